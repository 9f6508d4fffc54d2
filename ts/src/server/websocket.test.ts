import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { PerMessageDeflateOptions } from '../bridge/websocket.ts';
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
    [{ message, partialMessagesLimit: 1e6 }, 'maxPayloadLength, which is 16777216'],
    [{ message, idleTimeout: -1 }, 'a number of seconds'],
    [{ message, backpressureLimit: 1 }, 'from 1024'],
    [{ message, sendPings: 1 }, 'a boolean'],
    [{ message, origins: 'all' }, "'same', 'any'"],
    [{ message, origins: [1] }, "'same', 'any'"],
    [{ message, protocols: 'chat' }, 'an array'],
    [{ message, protocols: ['a b'] }, 'token'],
    [{ message, perMessageDeflate: 'yes' }, 'a boolean, or an object'],
    [{ message, perMessageDeflate: { compress: '5KB' } }, 'one of disable, shared'],
    [{ message, perMessageDeflate: { decompress: 1 } }, 'perMessageDeflate.decompress'],
    [{ message, perMessageDeflate: { decompress: false } }, 'RFC 7692'],
    [{ message, perMessageDeflate: { serverContextTakeover: 1 } }, 'a boolean'],
    [{ message, perMessageDeflate: { clientWindowBits: 7 } }, 'from 8 to 15'],
    [{ message, perMessageDeflate: { memoryBytes: 1000 } }, 'from 1048576'],
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
  const inside = refused({ message, perMessageDeflate: { treshold: 1 } });
  assert.is(inside.code, 'GYR_OPTION_UNKNOWN');
  assert.match(inside.message, 'did you mean threshold?');
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

test('compressors of Bun have the windows and the contexts that the engine is told', () => {
  const told = (perMessageDeflate: PerMessageDeflateOptions | boolean) =>
    engineWebSocket({ message, perMessageDeflate });
  assert.is(told(false)?.deflate, undefined);
  assert.is(told({ compress: 'disable', decompress: false })?.deflate, undefined);
  const usual = told(true);
  assert.equal(told({}), usual);
  assert.equal(told({ compress: 'shared', decompress: 'shared' }), usual);
  assert.equal([usual?.deflate, usual?.deflate_bytes_min, usual?.deflate_level], [true, 256, 1]);
  assert.is(usual?.deflate_server_context_takeover, false);
  assert.is(usual?.deflate_client_context_takeover, false);
  assert.is(told({ compress: false })?.deflate_bytes_min, 2 ** 32 - 1);
  const contexts = (given: PerMessageDeflateOptions) => {
    const all = told(given);
    return [
      ...[all?.deflate_server_context_takeover, all?.deflate_server_window_bits],
      ...[all?.deflate_client_context_takeover, all?.deflate_client_window_bits],
    ];
  };
  assert.equal(contexts({ compress: 'dedicated' }), [true, 15, false, 15]);
  assert.equal(contexts({ decompress: 'dedicated' }), [false, 15, true, 15]);
  assert.equal(contexts({ compress: '3KB', decompress: '8KB' }), [true, 9, true, 13]);
  assert.equal(contexts({ compress: '256KB', decompress: '256KB' }), [true, 15, true, 15]);
  const own = { serverContextTakeover: false, serverWindowBits: 12, clientContextTakeover: true };
  assert.equal(contexts({ compress: 'dedicated', ...own }), [false, 12, true, 15]);
});

test.run();
