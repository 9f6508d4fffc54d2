import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ERROR_CODES, GyrfalconError } from '../core/errors.ts';
import { checkTableOptions, engineConfig, type ServeOptions, stopDeadline } from './options.ts';

const fetch = () => new Response('x');

function errorOf(run: () => unknown): GyrfalconError {
  try {
    run();
  } catch (error) {
    assert.instance(error, GyrfalconError);
    return error as GyrfalconError;
  }
  throw new Error('nothing was thrown');
}

test('a broker is an object that opens, with bounds for what waits for it', () => {
  const broker = { name: 'b', open: () => Promise.reject(new Error('never')) };
  engineConfig({ fetch, broker: { ...broker, maxWaitingBytes: 2 ** 21, maxWaitingTime: 1 } });
  const wrong = [null, 7, {}, { name: 'b' }, { ...broker, name: undefined }];
  for (const one of wrong) {
    const error = errorOf(() => engineConfig({ fetch, broker: one } as unknown as ServeOptions));
    assert.is(error.code, 'GYR_OPTION_INVALID');
    assert.match(error.message, /^Option broker is /);
  }
  for (const [name, value] of [
    ['maxWaitingBytes', 2 ** 21 - 1],
    ['maxWaitingTime', 0],
    ['maxWaitingTime', 1.5],
  ] as const) {
    const error = errorOf(() => engineConfig({ fetch, broker: { ...broker, [name]: value } }));
    assert.match(error.message, new RegExp(`^Option broker\\.${name} is `));
  }
});

test('options are translated to the engine’s names', () => {
  const config = engineConfig({
    fetch,
    port: 8080,
    hostname: '127.0.0.1',
    keepAliveTimeout: 1000,
    maxRequestBodySize: 10,
    pin: true,
    zeroCopy: true,
    hugePages: true,
    busyPollMicros: 50,
    trace: true,
    connect: false,
    minBodyRate: 0,
    minResponseRate: 1000,
    rateGrace: 10,
    maxConnectionsPerAddress: 5,
    maxConnectionMemory: 2 ** 25,
    serverName: '',
    ringBytes: 524_288,
    creditBytes: 65_536,
    threads: 2,
    io: 'epoll',
  });
  assert.equal(config, {
    server: {
      port: 8080,
      hostname: '127.0.0.1',
      idle_timeout_ms: 1000,
      body_bytes_max: 10,
      pin: true,
      zero_copy: true,
      huge_pages: true,
      busy_poll_us: 50,
      trace: true,
      connect: false,
      body_rate_min: 0,
      write_rate_min: 1000,
      rate_grace_ms: 10,
      connections_per_address_max: 5,
      connection_memory_bytes_max: 2 ** 25,
      server_name: '',
      io: 'epoll',
    },
    threads: 2,
    ring_bytes: 524_288,
    credit_bytes: 65_536,
  });
});

test('the log has five levels; who hears that it listens need not read it there', () => {
  assert.equal(engineConfig({ log: 'warn' }).server, { log: 'warn' });
  assert.equal(engineConfig({ onListen: () => {} }), { server: {}, threads: 0, announce: false });
  assert.throws(
    () => engineConfig({ log: 'loud' as 'warn' }),
    /Option log is 'loud'.*it must be one of silent, error, warn, info, debug/,
  );
});

test('without options the engine’s defaults hold', () => {
  assert.equal(engineConfig({}), { server: {}, threads: 0 });
});

test('limits on memory that were not set follow those that were', () => {
  const cases: [ServeOptions, gathered: number | undefined, connection: number | undefined][] = [
    [{}, undefined, undefined],
    [{ bufferMemoryBytes: 2 ** 20 }, 2 ** 19, undefined],
    [{ maxConnectionMemory: 2 ** 22 }, 2 ** 21 - 2 ** 18, 2 ** 22],
    [{ outputHighWaterBytes: 2 ** 26 }, undefined, 2 ** 26 + 2 ** 21 + 2 ** 23],
    [{ outputHighWaterBytes: 2 ** 26, maxConnectionMemory: 2 ** 27 }, undefined, 2 ** 27],
  ];
  for (const [options, gathered, connection] of cases) {
    const { server } = engineConfig(options);
    assert.is(server.body_buffered_bytes_max, gathered);
    assert.is(server.connection_memory_bytes_max, connection);
  }
});

test('an impossible value is refused: which, what was given, what would be right', () => {
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ port: 65_536 }, /Option port is 65536 \(it must be an integer from 0 to 65535\)/],
    [{ port: '80' }, /Option port is '80'/],
    [{ workers: 1.5 }, /Option workers is 1.5/],
    [{ pin: 1 }, /Option pin is 1 \(it must be a boolean\)/],
    [{ hostname: 1 }, /must be a string/],
    [{ ringBytes: 300_000 }, /a power of two/],
    [{ ringBytes: 1024 }, /from 131072/],
    [{ io: 'select' }, /'auto', 'epoll', 'io_uring', 'kqueue' or 'iocp'/],
    [{ fetch: 'x' }, /Option fetch is 'x' \(it must be a function\)/],
    [{ error: {} }, /must be a function/],
    [{ onProtocolError: 'log' }, /Option onProtocolError is 'log'/],
    [{ trace: 'yes' }, /must be a boolean/],
    [{ minBodyRate: -1 }, /from 0/],
    [{ signal: {} }, /an AbortSignal/],
  ];
  for (const [options, message] of cases) {
    const error = errorOf(() => engineConfig(options as ServeOptions));
    assert.is(error.code, 'GYR_OPTION_INVALID');
    assert.match(error.message, message);
    assert.match(error.message, '[GYR_OPTION_INVALID]');
  }
  assert.is(
    errorOf(() => engineConfig(null as unknown as ServeOptions)).code,
    'GYR_OPTION_INVALID',
  );
});

test('a misspelt option is refused with the one that was meant', () => {
  const cases: [string, string][] = [
    ['prot', 'did you mean port?'],
    ['hostName', 'did you mean hostname?'],
    ['maxRequestBodysize', 'did you mean maxRequestBodySize?'],
  ];
  for (const [name, hint] of cases) {
    const error = errorOf(() => engineConfig({ [name]: 1 } as ServeOptions));
    assert.is(error.code, 'GYR_OPTION_UNKNOWN');
    assert.is(error.hint, hint);
  }
  assert.match(errorOf(() => engineConfig({ zzz: 1 } as ServeOptions)).hint, 'options are port');
});

test('neither routes nor fetch is refused', () => {
  assert.is(errorOf(() => checkTableOptions({})).code, 'GYR_NO_HANDLER');
  assert.is(errorOf(() => checkTableOptions({ routes: 7 })).code, 'GYR_OPTION_INVALID');
  assert.is(errorOf(() => checkTableOptions({ routes: [] })).code, 'GYR_OPTION_INVALID');
  assert.is(errorOf(() => checkTableOptions({ routes: new Map() })).code, 'GYR_OPTION_INVALID');
  const forms = (given: unknown): string => {
    return errorOf(() => checkTableOptions({ fetch, forms: given })).code;
  };
  assert.is(forms(1), 'GYR_OPTION_INVALID');
  assert.is(forms({ maxParts: -1 }), 'GYR_OPTION_INVALID');
  assert.is(forms({ maxPart: 1 }), 'GYR_OPTION_UNKNOWN');
  checkTableOptions({ fetch, forms: { maxParts: 1, directory: '/tmp' } });
  checkTableOptions({ fetch });
  checkTableOptions({ routes: {} });
});

test('stop() takes a deadline of any length, and refuses what is none', () => {
  assert.is(stopDeadline(true, 7), 0);
  for (const none of [false, undefined, null, {}, { deadline: undefined }]) {
    assert.is(stopDeadline(none, 7), 7);
  }
  assert.is(stopDeadline({}), 10_000);
  assert.is(stopDeadline({ deadline: 0 }), 0);
  assert.is(stopDeadline({ deadline: 1.5 }), 2);
  assert.is(stopDeadline({ deadline: Number.POSITIVE_INFINITY }), 2 ** 31 - 1);
  for (const wrong of [5, 'true', { deadline: -1 }, { deadline: Number.NaN }, { deadline: '5' }]) {
    assert.is(errorOf(() => stopDeadline(wrong)).code, 'GYR_OPTION_INVALID');
  }
});

test('an error tells its code, its hint and its cause', () => {
  const cause = new Error('deep');
  const error = new GyrfalconError('GYR_THREAD', 'it broke', 'mend it', { cause });
  assert.is(error.message, 'it broke (mend it) [GYR_THREAD]');
  assert.is(error.name, 'GyrfalconError');
  assert.is(error.cause, cause);
  assert.ok(Object.keys(ERROR_CODES).includes(error.code));
});

test.run();
