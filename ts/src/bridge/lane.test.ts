import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EngineMirror } from '../../../tests/support/engine_mirror.ts';
import * as abi from './abi.gen.ts';
import { Block, Lane, RingReader, RingWriter, recordSize } from './lane.ts';

/** Both ends of a small ring that begins anywhere, near the wrap of 32 bits too. */
function ends(
  position: number,
  capacity = 256,
): { writer: RingWriter; reader: RingReader; block: Block } {
  const { block } = new EngineMirror(capacity);
  const lane = block.laneOffset(0, 0);
  const tail = lane + abi.LANE_CONTROL_RESPONSE_TAIL;
  const head = lane + abi.LANE_CONTROL_RESPONSE_HEAD;
  block.i32[tail >> 2] = position;
  block.i32[head >> 2] = position;
  const base = lane + abi.LANE_CONTROL_BYTES;
  const wanted = lane + abi.LANE_CONTROL_RESPONSE_WANTED;
  return {
    writer: new RingWriter(block, base, tail, head, wanted),
    reader: new RingReader(block, base, tail, head),
    block,
  };
}

type Ends = ReturnType<typeof ends>;

function put({ writer, block }: Ends, size: number, mark: number): boolean {
  const at = writer.reserve(size);
  if (at === -1) return false;
  block.i32[at >> 2] = size;
  block.i32[(at >> 2) + 1] = abi.KIND_RESPONSE_CHUNK;
  block.u8.fill(mark & 0xff, at + 8, at + size);
  writer.commit(size);
  return true;
}

function take({ reader, block }: Ends): { size: number; mark: number } | null {
  const at = reader.peek();
  if (at === -1) return null;
  const size = block.i32[at >> 2] as number;
  const mark = block.u8[at + 8] as number;
  for (let i = at + 8; i < at + size; i++) assert.is(block.u8[i], mark);
  reader.advance(size);
  return { size, mark };
}

test('a record is invisible until the batch is published', () => {
  const both = ends(0);
  put(both, 32, 1);
  put(both, 16, 2);
  assert.is(take(both), null);
  assert.ok(both.writer.publish());
  assert.not(both.writer.publish());
  assert.equal(take(both), { size: 32, mark: 1 });
  assert.equal(take(both), { size: 16, mark: 2 });
  assert.is(take(both), null);
});

test('a full ring refuses, says that it waits, and has room again after a release', () => {
  const both = ends(0);
  const wanted = (both.block.laneOffset(0, 0) + abi.LANE_CONTROL_RESPONSE_WANTED) >> 2;
  for (let i = 0; i < 4; i++) assert.ok(put(both, 64, i));
  assert.is(both.block.i32[wanted], 0);
  assert.not(put(both, 64, 4));
  assert.is(both.block.i32[wanted], 1);
  assert.not(both.writer.hasRoomOrWishes());
  both.writer.publish();
  assert.equal(take(both), { size: 64, mark: 0 });
  assert.not(both.writer.hasRoomOrWishes());
  assert.ok(both.reader.release());
  assert.not(both.reader.release());
  assert.ok(both.writer.hasRoomOrWishes());
  assert.ok(put(both, 64, 4));
});

test('a wish for room that was taken down for too little of it is stated anew before sleep', () => {
  const both = ends(0);
  const wanted = (both.block.laneOffset(0, 0) + abi.LANE_CONTROL_RESPONSE_WANTED) >> 2;
  assert.ok(put(both, 16, 1));
  for (let i = 0; i < 3; i++) assert.ok(put(both, 80, 2));
  both.writer.publish();
  take(both);
  both.reader.release();
  assert.not(put(both, 64, 3));
  both.block.i32[wanted] = 0; // the reader, which finds nobody asleep
  assert.not(both.writer.hasRoomOrWishes());
  assert.is(both.block.i32[wanted], 1);
});

test('room that has come is still seen when a smaller record has used some of it meanwhile', () => {
  const both = ends(0);
  assert.ok(put(both, 128, 1));
  assert.ok(put(both, 112, 2));
  assert.not(put(both, 64, 3));
  both.writer.publish();
  take(both);
  both.reader.release();
  assert.ok(put(both, 32, 4));
  assert.ok(both.writer.hasRoomOrWishes(), 'for the one that waits');
  assert.ok(put(both, 64, 3));
});

test('a record that does not fit before the end goes to the front behind a skip record', () => {
  for (const left of [8, 16, 24, 120]) {
    const both = ends(256 - left);
    assert.ok(put(both, 128, 9));
    both.writer.publish();
    assert.equal(take(both), { size: 128, mark: 9 });
    assert.is(take(both), null);
    assert.not(both.reader.hasMore());
  }
});

test('random sizes in random batches arrive whole and in order, across the wrap of 32 bits', () => {
  for (const start of [0, 0x7fff_f000, -4096]) {
    const both = ends(start);
    let seed = 12345;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fff_ffff;
      return seed % below;
    };
    const sizes: number[] = [];
    let taken = 0;
    for (let written = 0; written < 5000; ) {
      const size = recordSize(16 + random(100));
      if (put(both, size, written)) {
        sizes.push(size);
        written++;
      }
      if (random(3) === 0 || both.writer.reserve(128) === -1) both.writer.publish();
      if (random(4) !== 0) continue;
      for (let got = take(both); got !== null; got = take(both)) {
        assert.equal(got, { size: sizes[taken], mark: taken & 0xff });
        taken++;
      }
      both.reader.release();
    }
    both.writer.publish();
    for (let got = take(both); got !== null; got = take(both)) taken++;
    assert.is(taken, 5000);
  }
});

test('records that lie behind one another are counted up to the end of the ring', () => {
  const both = ends(256 - 64);
  put(both, 32, 1);
  put(both, 32, 2);
  put(both, 32, 3);
  both.writer.publish();
  both.reader.peek();
  assert.is(both.reader.contiguous(), 64);
  both.reader.advance(64);
  both.reader.peek();
  assert.is(both.reader.contiguous(), 32);
});

test('a sleeping worker is to be woken once, an awake one never', () => {
  const mirror = new EngineMirror();
  const lane = new Lane(mirror.block, 0, 0);
  const write = () => {
    const at = lane.responses.reserve(16);
    mirror.block.i32[at >> 2] = 16;
    mirror.block.i32[(at >> 2) + 1] = abi.KIND_RESPONSE_ABORT;
    lane.responses.commit(16);
  };
  assert.not(lane.flush());
  write();
  assert.not(lane.flush());
  mirror.workerAsleep = true;
  assert.not(lane.flush());
  write();
  assert.ok(lane.flush());
  write();
  assert.not(lane.flush());
});

test('a worker that waits for room is woken when there is some', () => {
  const mirror = new EngineMirror(4096);
  const lane = new Lane(mirror.block, 0, 0);
  while (mirror.request() !== null);
  mirror.workerAsleep = true;
  assert.is(mirror.control(abi.LANE_CONTROL_REQUEST_WANTED), 1);
  assert.not(lane.flush());
  const at = lane.requests.peek();
  lane.requests.advance(mirror.block.i32[at >> 2] as number);
  assert.ok(lane.flush());
  assert.is(mirror.control(abi.LANE_CONTROL_REQUEST_WANTED), 0);
  assert.ok(mirror.request());
});

test('memory of another version, or of no engine, is refused', () => {
  const { block } = new EngineMirror();
  block.i32[abi.BLOCK_HEADER_VERSION >> 2] = abi.VERSION + 1;
  assert.throws(() => new Block(block.u8), /ABI version/);
  assert.throws(() => new Block(new Uint8Array(4096)), /not an engine block/);
});

test.run();
