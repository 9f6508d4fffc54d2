/** What is written of a response's head and text, read back byte by byte. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EngineMirror } from '../../../tests/support/engine_mirror.ts';
import * as abi from './abi.gen.ts';
import { type Block, RingWriter, recordSize } from './lane.ts';
import { WRITTEN, writeHead } from './response_record.ts';

const ringBytes = 4096;

/** Writes one response into an empty ring whose free bytes are all `mark`, and reads its record. */
function written(fields: string[], text: string, mark: number) {
  const { block } = new EngineMirror(ringBytes);
  const lane = block.laneOffset(0, 0);
  const base = lane + abi.LANE_CONTROL_BYTES;
  const writer = new RingWriter(
    block,
    base,
    lane + abi.LANE_CONTROL_RESPONSE_TAIL,
    lane + abi.LANE_CONTROL_RESPONSE_HEAD,
    lane + abi.LANE_CONTROL_RESPONSE_WANTED,
  );
  block.u8.fill(mark, base, base + ringBytes);
  const parts = {
    status: 201,
    statusText: '',
    fields,
    body: text,
    length: null,
    mayBeWhole: false,
  };
  assert.is(writeHead(block, writer, 7, 9, parts, text, 0, true), WRITTEN);
  return { block, base, ...read(block, base) };
}

function read(block: Block, at: number) {
  const { u8, u16, i32 } = block;
  const count = u16[(at + abi.RESPONSE_HEAD_FIELD_COUNT) >> 1] as number;
  const table = at + abi.RESPONSE_HEAD_BYTES;
  let from = table + count * abi.RESPONSE_FIELD_BYTES;
  const next = (bytes: number, encoding: 'latin1' | 'utf8') => {
    from += bytes;
    return u8.toString(encoding, from - bytes, from);
  };
  const fields: string[] = [];
  for (let i = 0; i < count * 2; i++) {
    fields.push(next(u16[(table >> 1) + i] as number, 'latin1'));
  }
  const text = next(i32[(at + abi.RESPONSE_HEAD_INLINE_BYTES) >> 2] as number, 'utf8');
  const type = abi.CONTENT_TYPES[i32[(at + abi.RESPONSE_HEAD_CONTENT_TYPE) >> 2] as number];
  return { fields, text, type, size: i32[at >> 2] as number };
}

/** Of every length about that of four characters, of a loop's end, and beyond; in ASCII and in more. */
const texts = [0, 1, 2, 3, 4, 5, 7, 8, 13, 31, 32, 33, 41].flatMap((length) => [
  'abcdefghijklmnopqrstuvwxyz0123456789-._~!'.slice(0, length),
  'é€x'.repeat(14).slice(0, length),
]);

/** Has a text come so often that its bytes are kept. */
function repeat(text: string): void {
  for (let time = 0; time < 70; time++) written([], text, 0);
}

test('a text is what was given, whether it comes for the first time, once more or between others', () => {
  for (const text of texts) {
    repeat(text);
    for (let time = 0; time < 4; time++) assert.is(written([], text, time).text, text);
    for (const other of texts) {
      assert.is(written([], other, 1).text, other);
      assert.is(written([], text, 2).text, text);
    }
  }
});

test('a text that came before is not taken for one that differs in its last character', () => {
  for (const length of [2, 3, 4, 9, 32]) {
    const text = 'x'.repeat(length);
    repeat(text);
    const other = `${text.slice(1)}y`;
    assert.is(written([], other, 0).text, other);
  }
});

test('behind the room of a record nothing is written, however often its text has come', () => {
  for (const fields of [[], ['x', ''], ['x', 'y'], ['xy', 'z']]) {
    const table = (fields.length / 2) * abi.RESPONSE_FIELD_BYTES;
    const fixed = abi.RESPONSE_HEAD_BYTES + table + fields.join('').length;
    for (const text of texts) {
      repeat(text);
      for (let time = 0; time < 2; time++) {
        const { block, base } = written(fields, text, time);
        const room = recordSize(fixed + text.length * 3);
        const behind = block.u8.subarray(base + room, base + ringBytes);
        assert.ok(behind.every((byte) => byte === time));
      }
    }
  }
});

test('the first content type that the engine knows goes as a number, any other field as text', () => {
  const known = abi.CONTENT_TYPES[1] as string;
  const second = abi.CONTENT_TYPES[2] as string;
  for (const type of [known, known, second, known]) {
    const record = written(['x-a', 'é', 'content-type', type, 'content-type', type], 'z', 0);
    assert.is(record.type, type);
    assert.equal(record.fields, ['x-a', 'é', 'content-type', type]);
  }
  const unknown = written(['content-type', 'text/unheard-of', 'content-type', known], 'z', 0);
  assert.is(unknown.type, known);
  assert.equal(unknown.fields, ['content-type', 'text/unheard-of']);
});

test.run();
