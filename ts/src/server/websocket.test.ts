import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { GyrfalconError } from '../core/errors.ts';
import { checkWebSocket, engineWebSocket } from './websocket.ts';

const message = (): void => {};

function refused(given: unknown): GyrfalconError {
  try {
    checkWebSocket(given);
  } catch (error) {
    return error as GyrfalconError;
  }
  throw new Error(`${JSON.stringify(given)} was taken`);
}

test('what cannot be is refused with what would be right', () => {
  for (const [given, text] of [
    [7, 'an object of handlers'],
    [{}, 'websocket.message'],
    [{ message: 'x' }, 'a function'],
    [{ message, open: 7 }, 'websocket.open'],
    [{ message, maxPayloadLength: 0 }, 'from 1 to 268435456'],
    [{ message, maxPayloadLength: 1.5 }, 'an integer'],
    [{ message, idleTimeout: -1 }, 'a number of seconds'],
    [{ message, backpressureLimit: 1 }, 'from 1024'],
    [{ message, sendPings: 1 }, 'a boolean'],
    [{ message, origins: 'all' }, "'same', 'any'"],
    [{ message, origins: [1] }, "'same', 'any'"],
    [{ message, protocols: 'chat' }, 'an array'],
    [{ message, protocols: ['a b'] }, 'token'],
  ] as const) {
    const error = refused(given);
    assert.is(error.code, 'GYR_OPTION_INVALID');
    assert.ok(error.message.includes(text), `${error.message}: ${text}`);
  }
});

test('a name that is not there is refused with the nearest one', () => {
  const error = refused({ message, maxPayloadLenght: 7 });
  assert.is(error.code, 'GYR_OPTION_UNKNOWN');
  assert.match(error.message, 'did you mean maxPayloadLength?');
});

test('what programs for Bun have is taken', () => {
  checkWebSocket(undefined);
  checkWebSocket({
    message,
    data: {},
    open: message,
    perMessageDeflate: true,
    idleTimeout: 0.5,
    protocols: ['chat'],
    origins: ['https://a.test'],
  });
});

test('the engine is told limits in its own units', () => {
  assert.is(engineWebSocket(undefined), null);
  const usual = engineWebSocket({ message });
  assert.is(usual?.idle_timeout_ms, 120_000);
  assert.is(usual?.ping_after_ms, 30_000);
  assert.equal([usual?.tells_pings, usual?.closes_on_overflow], [false, false]);
  const short = engineWebSocket({ message, ping: message, idleTimeout: 10 });
  assert.equal(
    [short?.idle_timeout_ms, short?.ping_after_ms, short?.tells_pings],
    [10_000, 5000, true],
  );
  const never = engineWebSocket({ message, idleTimeout: 0 });
  assert.equal([never?.idle_timeout_ms, never?.ping_after_ms], [0, 30_000]);
  assert.is(engineWebSocket({ message, sendPings: false })?.ping_after_ms, 0);
  const least = engineWebSocket({ message, idleTimeout: 0.0001 });
  assert.equal([least?.idle_timeout_ms, least?.ping_after_ms], [1, 0]);
});

test.run();
