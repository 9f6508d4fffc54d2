import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until, within } from '../../../tests/support/wait.ts';
import { BunDoorbell, type Doorbell, NamedPipeDoorbell, openDoorbell } from './doorbell.ts';
import type { Engine } from './engine.ts';

// The kind of doorbell that Windows has, over what this system has for a named pipe: a unix socket.
const test = suite('doorbell');
const path =
  process.platform === 'win32'
    ? `\\\\.\\pipe\\gyrfalcon-test-${process.pid}`
    : join(tmpdir(), `gyrfalcon-doorbell-${process.pid}`);

let server: Server;
let engineEnd: Promise<Socket>;

test.before.each(async () => {
  server = createServer();
  engineEnd = new Promise((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(path, resolve));
});
test.after.each(() => {
  server.close();
});

test('in Bun a turn that throws is not the last one', async () => {
  const thrown: unknown[] = [];
  const hear = (error: unknown) => thrown.push(error);
  process.on('unhandledRejection', hear);
  const rung: ReadableStreamDefaultController<Uint8Array>[] = [];
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => void rung.push(controller),
  });
  const doorbell = new BunDoorbell({ file: () => ({ stream: () => stream }) }, 3, () => {});
  let rings = 0;
  try {
    doorbell.open(() => {
      rings += 1;
      if (rings === 1) throw new Error('of a handler');
    });
    for (let time = 1; time <= 3; time++) {
      rung[0]?.enqueue(new Uint8Array(1));
      await until(() => rings === time, `ring ${time}`);
    }
    await until(() => thrown.length === 1, 'what was thrown');
  } finally {
    doorbell.close();
    process.off('unhandledRejection', hear);
  }
});

test('in Bun the end of the pipe lets the process end', async () => {
  const failing = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.error(new Error('EBADF')),
  });
  const doorbell = new BunDoorbell({ file: () => ({ stream: () => failing }) }, 3, () => {});
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  doorbell.open(() => {});
  await until(() => timers() < before, 'the timer that keeps the process running is gone');
});

test('a named pipe rings once when it is connected, for what came before, and then for what is written', async () => {
  let rings = 0;
  const doorbell = new NamedPipeDoorbell(path, () => {});
  doorbell.open(() => {
    rings += 1;
  });
  const engine = await within(engineEnd, 'the connection');
  await until(() => rings === 1, 'the first ring');
  engine.write('!');
  await until(() => rings === 2, 'the second ring');
  engine.write('!'.repeat(200));
  await until(() => rings > 2, 'the third ring');
  assert.ok(rings <= 6, 'rings that come together are one');
  doorbell.close();
  await within(new Promise((resolve) => engine.once('close', resolve)), 'the end');
});

test('the engine’s end may go at any time', async () => {
  let rings = 0;
  const doorbell = new NamedPipeDoorbell(path, () => {});
  doorbell.open(() => {
    rings += 1;
  });
  const engine = await within(engineEnd, 'the connection');
  await until(() => rings === 1, 'the first ring');
  engine.destroy();
  const left = (): Promise<number> =>
    new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
  await until(async () => (await left()) === 0, 'the end of the connection');
  doorbell.unref();
  doorbell.close();
});

test('a pipe that cannot be opened is an error that nobody can miss', async () => {
  server.close();
  const told = new Promise<Error>((resolve) => {
    process.once('uncaughtException', resolve);
  });
  new NamedPipeDoorbell(`${path}-none`, () => {}).open(() => assert.unreachable());
  const { code } = (await within(told, 'the error')) as NodeJS.ErrnoException;
  assert.is(code, 'GYR_THREAD');
});

test('which kind it is follows from what the engine gives', () => {
  const rung: number[] = [];
  const engineOf = (end: { fd: number } | { path: string }): Engine =>
    ({ attach: () => end, ring: (bell: number) => rung.push(bell) }) as unknown as Engine;
  const named: Doorbell = openDoorbell(engineOf({ path }), 1, 0);
  assert.instance(named, NamedPipeDoorbell);
  named.wake(1234);
  assert.equal(rung, [1234]);
  assert.not.instance(openDoorbell(engineOf({ fd: 99 }), 1, 0), NamedPipeDoorbell);
});

test.run();
