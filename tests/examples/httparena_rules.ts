/**
 * What HttpArena asks of each profile, and what it checks before it measures one, in the words of this table.
 */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { credentials, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { type CloseEvent, WebSocket } from 'undici';
import * as assert from 'uvu/assert';
import { staticFiles } from '../../examples/httparena/data.ts';
import { type Authority, noTls } from '../support/certificates.ts';
import { noPostgres } from '../support/postgres.ts';
import { lacks } from '../support/process.ts';
import { connect } from '../support/socket.ts';
import { until, within } from '../support/wait.ts';
import {
  type Answer,
  authority,
  curl,
  type Entry,
  entryFolder,
  folder,
} from './httparena_entry.ts';

const random = (): number => 100 + Math.floor(Math.random() * 900);
const typeOf = ({ headers }: Answer): string | undefined => headers['content-type']?.split(';')[0];

interface Item {
  id: number;
  price: number;
  quantity: number;
  total?: number;
  active: unknown;
  tags: unknown;
  rating: { score: unknown };
}

interface List {
  items: Item[];
  count: number;
}

/** What `/json/{count}?m=` has to give. */
function checkJson(text: string, count: number, multiplier: number): void {
  const list = JSON.parse(text) as List;
  assert.equal([list.count, list.items.length], [count, count]);
  list.items.forEach((item, n) => {
    assert.is(item.id, n + 1, 'the first ones, in order');
    assert.is(item.total, item.price * item.quantity * multiplier);
  });
}

const decoders: Readonly<Record<string, (body: Buffer) => Buffer>> = {
  br: brotliDecompressSync,
  gzip: gunzipSync,
  identity: (body) => body,
};

/** The sum of two numbers that nobody can know before, and its type. */
async function checkSum(url: string, version: string, ...args: string[]): Promise<void> {
  const [a, b] = [random(), random()];
  const answer = await curl(...args, `${url}?a=${a}&b=${b}`);
  assert.equal([answer.text, answer.version, typeOf(answer)], [`${a + b}`, version, 'text/plain']);
}

async function checkStatic(url: string, ...args: string[]): Promise<void> {
  const types = {
    'reset.css': 'text/css',
    'app.js': 'text/javascript',
    'manifest.json': 'application/json',
  };
  for (const [name, type] of Object.entries(types)) {
    assert.is(typeOf(await curl(...args, `${url}${name}`)), type, name);
  }
  for (const name of Object.keys(staticFiles)) {
    const { body, headers } = await curl(
      ...args,
      '-H',
      'accept-encoding: br;q=1, gzip;q=0.8',
      `${url}${name}`,
    );
    assert.is(headers['content-encoding'], undefined, 'no file is compressed, which is allowed');
    assert.ok(body.equals(readFileSync(join(folder, 'static', name))), name);
  }
  assert.is((await curl(...args, `${url}nonexistent.txt`)).status, 404);
}

/** All of what h2load asks for is answered with 2xx. */
async function checkUnderLoad(url: string, ...args: string[]): Promise<void> {
  const output = await new Promise<string>((resolve, reject) => {
    execFile('h2load', ['-n', '800', '-c', '4', '-m', '100', ...args, url], (error, stdout) => {
      if (error === null) resolve(stdout);
      else reject(error);
    });
  });
  assert.match(output, /800 succeeded, 0 failed, 0 errored, 0 timeout/);
  assert.match(output, /status codes: 800 2xx/);
}

/** Clients of benchmark.proto. */
interface Service {
  GetSum(
    message: { a: number; b: number },
    answered: (error: ServiceError | null, answer?: { result: number }) => void,
  ): void;
  StreamSum(message: { a: number; b: number; count: number }): AsyncIterable<{ result: number }>;
  close(): void;
}

function service(port: number, isSecured: boolean): Service {
  const loaded = loadPackageDefinition(
    loadSync(join(entryFolder, 'benchmark.proto'), { defaults: true }),
  ) as unknown as {
    benchmark: { BenchmarkService: new (address: string, channel: unknown) => Service };
  };
  const channel = isSecured
    ? credentials.createSsl(Buffer.from((authority as Authority).cert))
    : credentials.createInsecure();
  return new loaded.benchmark.BenchmarkService(`localhost:${port}`, channel);
}

async function checkUnary(port: number, isSecured: boolean): Promise<void> {
  const client = service(port, isSecured);
  for (const [a, b] of [
    [1, 2],
    [0, 0],
    [-7, 3],
    [random(), 2 ** 30],
  ] as [number, number][]) {
    const answer = new Promise((resolve, reject) => {
      client.GetSum({ a, b }, (error, reply) =>
        error === null ? resolve(reply?.result) : reject(error),
      );
    });
    assert.is(await within(answer, 'a sum'), a + b);
  }
  client.close();
  // The bytes that h2load sends: a message of 4 bytes, a=1 and b=2.
  const file = join(folder, 'sum.bin');
  writeFileSync(file, Uint8Array.of(0, 0, 0, 0, 4, 8, 1, 16, 2));
  const fields = ['-H', 'content-type: application/grpc', '-H', 'te: trailers'];
  const url = `${isSecured ? 'https' : 'http'}://127.0.0.1:${port}/benchmark.BenchmarkService/GetSum`;
  if (lacks('h2load') === undefined) await checkUnderLoad(url, '-d', file, ...fields);
}

async function checkStream(port: number, isSecured: boolean): Promise<void> {
  const client = service(port, isSecured);
  const sums: number[] = [];
  for await (const { result } of client.StreamSum({ a: 40, b: 2, count: 5000 })) sums.push(result);
  assert.equal(
    sums,
    Array.from({ length: 5000 }, (_, n) => 42 + n),
  );
  client.close();
}

export interface Rule {
  readonly profiles: readonly string[];
  readonly says: string;
  /** Why it cannot be checked here. */
  readonly lack?: string | undefined;
  check(entry: Entry): Promise<void>;
}

export const noCurl = lacks('curl');
const noH2load = lacks('h2load');
export const http = ({ http }: Entry): string => `http://127.0.0.1:${http}`;
export const raw = async (
  port: number,
  request: string,
  pieces?: readonly number[],
): Promise<string> => {
  const client = await connect(port);
  await client.send(request, pieces);
  const { body } = await client.response();
  client.destroy();
  return body.toString();
};

/** What every profile over HTTP/1 with its own number of requests on a connection asks for. */
async function onOneConnection(
  port: number,
  requests: readonly (readonly [string, RegExp])[],
): Promise<void> {
  const client = await connect(port);
  for (const [request, answer] of requests) {
    await client.send(request);
    const { status, body } = await client.response();
    assert.is(status, 200);
    assert.match(body.toString(), answer);
  }
  client.destroy();
}

export const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost:8080\r\n\r\n`;
const post = (path: string, fields: string, body: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: localhost:8080\r\n${fields}\r\n\r\n${body}`;
const sums: readonly (readonly [string, RegExp])[] = [
  [get('/baseline11?a=13&b=42'), /^55$/],
  [post('/baseline11?a=13&b=42', 'Content-Length: 2', '20'), /^75$/],
  [post('/baseline11?a=13&b=42', 'Transfer-Encoding: chunked', '2\r\n20\r\n0\r\n\r\n'), /^75$/],
];

const baseline = ['baseline', 'limited-conn', 'api-4', 'api-16'];
const api = ['api-4', 'api-16'];

export const rules: readonly Rule[] = [
  {
    profiles: baseline,
    says: 'two parameters are summed, and are read of each request',
    lack: noCurl,
    check: (entry) => checkSum(`${http(entry)}/baseline11`, '1.1'),
  },
  {
    profiles: baseline,
    says: 'a body is a third summand, with its length or in chunks, and none is answered from memory',
    lack: noCurl,
    check: async (entry) => {
      for (const more of [[], ['-H', 'transfer-encoding: chunked'], []]) {
        const body = random();
        const given = ['-H', 'content-type: text/plain', '-d', `${body}`, ...more];
        const answer = await curl(...given, `${http(entry)}/baseline11?a=13&b=42`);
        assert.equal([answer.text, typeOf(answer)], [`${55 + body}`, 'text/plain']);
      }
    },
  },
  {
    profiles: baseline,
    says: 'a request that comes in pieces is one: cut in its path, behind its lines, ahead of its body, and in it',
    check: async ({ http }) => {
      const asked = get('/baseline11?a=13&b=42');
      for (const pieces of [
        [10, 24],
        [asked.indexOf('\r\n') + 2, 6],
      ]) {
        assert.is(await raw(http, asked, pieces), '55');
      }
      const sent = post('/baseline11?a=13&b=42', 'Content-Length: 2', '20');
      for (const pieces of [[sent.length - 2], [sent.length - 2, 1]]) {
        assert.is(await raw(http, sent, pieces), '75');
      }
    },
  },
  {
    profiles: ['limited-conn'],
    says: 'connections of ten requests each, which the client ends',
    check: async ({ http }) => {
      const ten = Array.from({ length: 10 }, (_, n) => sums[n % 3] as (typeof sums)[0]);
      for (let n = 0; n < 8; n += 1) await onOneConnection(http, ten);
    },
  },
  {
    profiles: ['pipelined'],
    says: 'sixteen requests at once have sixteen answers',
    check: async ({ http }) => {
      const client = await connect(http);
      await client.send(get('/pipeline').repeat(16));
      for (let n = 0; n < 16; n += 1) {
        const { body, headers } = await client.response();
        assert.equal(
          [body.toString(), headers.get('content-type')?.split(';')[0]],
          ['ok', 'text/plain'],
        );
      }
      client.destroy();
    },
  },
  {
    profiles: ['json', ...api],
    says: 'the first items, with totals by the multiplier of the request',
    lack: noCurl,
    check: async (entry) => {
      for (const [count, m] of [
        [12, 3],
        [22, 7],
        [31, 2],
        [50, 5],
        [1, random()],
      ] as [number, number][]) {
        const answer = await curl(`${http(entry)}/json/${count}?m=${m}`);
        checkJson(answer.text, count, m);
        assert.equal(
          [typeOf(answer), answer.headers['content-encoding']],
          ['application/json', undefined],
        );
      }
    },
  },
  {
    profiles: ['json-comp'],
    says: 'compressed for who takes it so, by the coding that is liked best, and for nobody else',
    lack: noCurl,
    check: async (entry) => {
      const codings: [accept: string, coding: string | undefined][] = [
        ['gzip, br', 'br'],
        ['gzip', 'gzip'],
        ['br;q=0.1, gzip;q=0.8', 'gzip'],
        ['br;q=0, *', 'gzip'],
        ['identity', undefined],
      ];
      for (const [n, [accept, coding]] of codings.entries()) {
        const url = `${http(entry)}/json/${25 + n}?m=${3 + n}`;
        const { body, headers } = await curl('-H', `accept-encoding: ${accept}`, url);
        assert.is(headers['content-encoding'], coding, accept);
        const plain = decoders[coding ?? 'identity']?.(body) as Buffer;
        checkJson(plain.toString(), 25 + n, 3 + n);
        if (coding !== undefined) assert.ok(body.length < plain.length / 2, `${body.length} bytes`);
      }
    },
  },
  {
    profiles: ['json-tls'],
    says: 'over TLS in HTTP/1.1, which is all that is offered there',
    lack: noTls ?? noCurl,
    check: async ({ http1Tls }) => {
      const url = `https://127.0.0.1:${http1Tls}/json`;
      for (const [count, m] of [
        [7, 2],
        [23, 11],
        [50, 1],
      ] as [number, number][]) {
        const answer = await curl('--http2', `${url}/${count}?m=${m}`);
        checkJson(answer.text, count, m);
        assert.equal([answer.version, typeOf(answer)], ['1.1', 'application/json']);
      }
    },
  },
  {
    profiles: ['upload'],
    says: 'the bytes that have come are counted, of 17 to 20 MiB',
    lack: noCurl,
    check: async (entry) => {
      for (const bytes of [17, random(), 512_000, 2_097_152, 10_485_760, 20_971_520]) {
        const file = join(folder, 'upload.bin');
        writeFileSync(file, Buffer.alloc(bytes, 'x'));
        // In chunks the other time: there is no Content-Length to give back.
        for (const more of [[], ['-H', 'transfer-encoding: chunked']]) {
          const type = ['-H', 'content-type: application/octet-stream'];
          const given = ['--data-binary', `@${file}`, ...type, ...more];
          assert.is((await curl(...given, `${http(entry)}/upload`)).text, `${bytes}`);
        }
      }
    },
  },
  {
    profiles: ['static'],
    says: 'twenty files, whole and of their types, and 404 for what is none',
    lack: noCurl,
    check: (entry) => checkStatic(`${http(entry)}/static/`),
  },
  {
    profiles: ['static-h2'],
    says: 'the same over TLS in HTTP/2',
    lack: noTls ?? noCurl,
    check: ({ http2Tls }) => checkStatic(`https://127.0.0.1:${http2Tls}/static/`, '--http2'),
  },
  {
    profiles: ['baseline-h2'],
    says: 'two parameters are summed, over TLS in HTTP/2',
    lack: noTls ?? noCurl ?? noH2load,
    check: async ({ http2Tls }) => {
      const url = `https://127.0.0.1:${http2Tls}/baseline2`;
      await checkSum(url, '2', '--http2');
      await checkUnderLoad(`${url}?a=1&b=1`);
    },
  },
  {
    profiles: ['baseline-h2c', 'json-h2c'],
    says: 'HTTP/2 in the clear by prior knowledge; HTTP/1 is refused at that port',
    lack: noCurl ?? noH2load,
    check: async ({ http2 }) => {
      const url = `http://127.0.0.1:${http2}`;
      await checkSum(`${url}/baseline2`, '2', '--http2-prior-knowledge');
      for (const path of ['/baseline2?a=1&b=1', '/json/1?m=1', '/']) {
        assert.is((await curl('--http1.1', `${url}${path}`)).status, 505);
      }
      await checkUnderLoad(`${url}/baseline2?a=1&b=1`);
      for (const [count, m] of [
        [12, 3],
        [22, 7],
        [31, 2],
        [50, 5],
      ] as [number, number][]) {
        const answer = await curl('--http2-prior-knowledge', `${url}/json/${count}?m=${m}`);
        checkJson(answer.text, count, m);
        assert.equal([answer.version, typeOf(answer)], ['2', 'application/json']);
      }
    },
  },
  {
    profiles: ['async-db', 'crud', ...api],
    says: 'rows of a range of prices, as many as were asked for, in the shape of the data set',
    lack: noPostgres ?? noCurl,
    check: async (entry) => {
      for (const [min, max, limit] of [
        [5, 80, 7],
        [20, 150, 18],
        [100, 400, 33],
        [10, 50, 50],
      ]) {
        const answer = await curl(`${http(entry)}/async-db?min=${min}&max=${max}&limit=${limit}`);
        assert.is(typeOf(answer), 'application/json');
        const { items, count } = JSON.parse(answer.text) as List;
        assert.equal([items.length, count], [limit, limit]);
        for (const { price, rating, tags, active } of items) {
          assert.ok(price >= (min as number) && price <= (max as number));
          assert.ok(Number.isInteger(rating.score) && Array.isArray(tags));
          assert.type(active, 'boolean');
        }
      }
      const defaults = JSON.parse((await curl(`${http(entry)}/async-db?limit=900`)).text) as List;
      assert.is(defaults.count, 50, 'fifty at most');
      const { text } = await curl(`${http(entry)}/async-db?min=9999&max=9999&limit=50`);
      assert.is(text, '{"items":[],"count":0}');
    },
  },
  {
    profiles: api,
    says: 'five requests on each connection, in their mix',
    lack: noPostgres,
    check: async ({ http }) => {
      const sum = sums[0] as (typeof sums)[0];
      const list = [get('/json/50?m=1'), /"count":50\}$/] as const;
      const rows = [get('/async-db?min=10&max=50'), /"count":50\}$/] as const;
      await onOneConnection(http, [sum, sum, list, list, rows]);
      await onOneConnection(http, [rows, list, sum, rows, list]);
    },
  },
  {
    profiles: ['crud'],
    says: 'a page of a category, and one item or none',
    lack: noPostgres ?? noCurl,
    check: async (entry) => {
      const url = `${http(entry)}/crud/items`;
      const page = JSON.parse((await curl(`${url}?category=electronics&page=1&limit=5`)).text);
      assert.equal([page.items.length, page.total, page.page, page.limit], [5, 5, 1, 5]);
      for (const item of page.items as Item[]) assert.ok(item.rating);
      const next = JSON.parse((await curl(`${url}?category=electronics&page=2&limit=5`)).text);
      assert.ok(next.items[0].id > page.items[4].id, 'in the order of ids');
      assert.is(JSON.parse((await curl(`${url}/1`)).text).id, 1);
      assert.is((await curl(`${url}/999999`)).status, 404);
    },
  },
  {
    profiles: ['crud'],
    says: 'an item is created, and created again, read back, and changed; what is none is told so',
    lack: noPostgres ?? noCurl,
    check: async (entry) => {
      const url = `${http(entry)}/crud/items`;
      const send = (method: string, path: string, body: object): Promise<Answer> =>
        curl(
          '-X',
          method,
          '-H',
          'content-type: application/json',
          '-d',
          JSON.stringify(body),
          `${url}${path}`,
        );
      const fields = { name: 'Made', category: 'test', price: 42, quantity: 7 };
      for (const price of [42, 43]) {
        const made = await send('POST', '', { id: 200_001, ...fields, price });
        assert.equal([made.status, JSON.parse(made.text).price], [201, price]);
      }
      assert.is(JSON.parse((await curl(`${url}/200001`)).text).id, 200_001);
      const changed = await send('PUT', '/200001', { name: 'Changed', price: 99, quantity: 1 });
      const { name, category, price } = JSON.parse(changed.text);
      assert.equal([changed.status, name, category, price], [200, 'Changed', 'test', 99]);
      assert.is(JSON.parse((await curl(`${url}/200001`)).text).name, 'Changed');
      assert.is((await send('PUT', '/999999', fields)).status, 404);
      for (const broken of [{}, { ...fields, price: 'a' }, { ...fields, quantity: 2 ** 40 }]) {
        assert.is((await send('POST', '', { id: 200_002, ...broken })).status, 400);
      }
    },
  },
  {
    profiles: ['crud'],
    says: 'an item is cached for all processes, until it is changed',
    lack: noPostgres ?? noCurl,
    check: (entry) => checkCache(entry, 1000),
  },
  {
    profiles: ['unary-grpc'],
    says: 'one message has its answer, in the clear',
    check: ({ http }) => checkUnary(http, false),
  },
  {
    profiles: ['unary-grpc-tls'],
    says: 'one message has its answer, over TLS',
    lack: noTls,
    check: ({ http2Tls }) => checkUnary(http2Tls, true),
  },
  {
    profiles: ['stream-grpc'],
    says: 'one message has five thousand answers, in the clear',
    check: ({ http }) => checkStream(http, false),
  },
  {
    profiles: ['stream-grpc-tls'],
    says: 'one message has five thousand answers, over TLS',
    lack: noTls,
    check: ({ http2Tls }) => checkStream(http2Tls, true),
  },
  {
    profiles: ['echo-ws'],
    says: 'messages come back as what they were, in their order; a request that asks for no WebSocket gets a 4xx',
    check: async ({ http }) => {
      const socket = new WebSocket(`ws://127.0.0.1:${http}/ws`);
      socket.binaryType = 'arraybuffer';
      const came: [string, boolean][] = [];
      socket.addEventListener('message', ({ data }) => {
        const isBinary = typeof data !== 'string';
        came.push([isBinary ? Buffer.from(data as ArrayBuffer).toString() : data, isBinary]);
      });
      const opened = new Promise((resolve) => socket.addEventListener('open', resolve));
      await within(opened, 'a WebSocket');
      const texts = Array.from({ length: 5 }, (_, n) => `message ${n} ${random()}`);
      for (const text of texts) socket.send(text);
      socket.send(Buffer.alloc(256, 7));
      await until(() => came.length === 6, 'six echoes');
      const expected = [...texts.map((text) => [text, false]), ['\u0007'.repeat(256), true]];
      assert.equal(came, expected);
      const closed = new Promise<CloseEvent>((resolve) =>
        socket.addEventListener('close', resolve),
      );
      socket.close(1000, 'done');
      assert.is((await within(closed, 'the close')).code, 1000);
      const refused = await connect(http);
      await refused.send(get('/ws'));
      assert.is((await refused.response()).status, 426);
      refused.destroy();
    },
  },
];

/**
 * Of each item MISS, HIT, and behind a change MISS, each asked for on a connection of its own, which whatever process has it
 * answers. What took longer than an entry of the cache lives says nothing, and another item is asked for.
 */
export async function checkCache(entry: Entry, from: number): Promise<void> {
  const url = (id: number): string => `${http(entry)}/crud/items/${id}`;
  const look = async (id: number): Promise<string | undefined> =>
    (await curl(url(id))).headers['x-cache'];
  const put = ['-X', 'PUT', '-d', '{"name":"Changed","price":99,"quantity":1}'];
  let id = from;
  for (let n = 0; n < 8; n += 1) {
    const found = await until(
      async () => {
        id += 1;
        const begun = performance.now();
        const missed = await look(id);
        const hit = await look(id);
        await curl(...put, url(id));
        const changed = await look(id);
        return performance.now() - begun < 150 ? [missed, hit, changed] : null;
      },
      'an answer while it is cached',
      30_000,
    );
    assert.equal(found, ['MISS', 'HIT', 'MISS']);
  }
}
