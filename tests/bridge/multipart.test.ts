/** Forms that real clients send: as parts, whole with files on disk, above limits; memory stays bounded. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MultipartError, multipart, Response, type Server, serve } from 'gyrfalcon';
import { Hono } from 'hono';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lacks } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { connect, exchange, type RawResponse } from '../support/socket.ts';
import { until, within } from '../support/wait.ts';

const test = suite('multipart over HTTP');
const megabyte = 2 ** 20;

let server: Server;
let folder: string;
const logged: unknown[] = [];

test.before(() => {
  folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-forms-'));
  const hono = new Hono();
  hono.post('/hono', async (context) => {
    const body = await context.req.parseBody();
    return context.json(Object.keys(body));
  });
  server = serve({
    port: 0,
    hostname: '127.0.0.1',
    workers: 1,
    maxRequestBodySize: 512 * megabyte,
    keepAliveTimeout: 60_000, // of the connections that fetch() keeps while large forms go over others
    routes: {
      '/form': async (request) => {
        const form = await request.formData({ directory: folder, maxFileBytes: 200 * megabyte });
        const sizes = [...form].map(([name, value]) => [
          name,
          typeof value === 'string' ? value : [value.name, value.type, value.size],
        ]);
        return Response.json(sizes);
      },
      '/small': async (request) => {
        const form = await request.formData({ directory: folder, maxFileBytes: 8 * megabyte });
        return new Response(String([...form].length));
      },
      '/parts': async (request) => {
        const sizes: unknown[] = [];
        for await (const part of multipart(request, { maxParts: 10 })) {
          let size = 0;
          for await (const chunk of part.stream()) size += chunk.length;
          sizes.push([part.name, part.filename, size]);
        }
        return Response.json(sizes);
      },
      '/first': async (request) => {
        for await (const part of multipart(request)) return new Response(part.name);
        return new Response('none');
      },
    },
    fetch: (request) => hono.fetch(request as never),
    error: (error) => {
      if (error instanceof MultipartError) return error.getResponse();
      logged.push(error);
      return new Response('unexpected', { status: 500 });
    },
  });
});

test.after(async () => {
  await server.stop(true);
  rmSync(folder, { recursive: true });
  assert.equal(logged, []);
});

function url(path: string): string {
  return new URL(path, server.url).href;
}

/** Sends a form with one file of so many bytes; each kilobyte of it holds the beginning of a delimiter. */
async function post(path: string, bytes: number): Promise<RawResponse> {
  const head = '--XX\r\nContent-Disposition: form-data; name=f; filename=large.bin\r\n\r\n';
  const end = '\r\n--XX--\r\n';
  const client = await connect(server.port);
  const { socket } = client;
  const length = head.length + bytes + end.length;
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\nContent-Type: multipart/form-data; boundary=XX\r\n\r\n${head}`,
  );
  // A block of nothing else would have most of the time of these tests go into the search of Node.js.
  const block = Buffer.alloc(megabyte, `${'x'.repeat(1020)}\r\n--`);
  for (let left = bytes; left > 0 && !socket.destroyed; left -= block.length) {
    if (socket.write(block)) continue;
    const others = new AbortController();
    const { signal } = others;
    await Promise.race([once(socket, 'drain', { signal }), once(socket, 'close', { signal })]);
    others.abort();
  }
  if (!socket.destroyed) socket.write(end);
  const response = await client.response('POST', 60_000);
  client.destroy();
  return response;
}

test('a form of the platform’s fetch comes whole and in parts', async () => {
  const form = new FormData();
  form.append('text', 'é');
  form.append('file', new File(['x'.repeat(1000)], 'a "b".txt', { type: 'text/x' }));
  const whole = await fetch(url('/form'), { method: 'POST', body: form });
  assert.equal(await whole.json(), [
    ['text', 'é'],
    ['file', ['a "b".txt', 'text/x', 1000]],
  ]);
  const parts = await fetch(url('/parts'), { method: 'POST', body: form });
  assert.equal(await parts.json(), [
    ['text', null, 2],
    ['file', 'a "b".txt', 1000],
  ]);
  const hono = await fetch(url('/hono'), { method: 'POST', body: form });
  assert.equal(await hono.json(), ['text', 'file']);
});

testUnless(test, lacks('curl'), 'a form of curl comes whole and in parts', async () => {
  const args = ['-sS', '-F', 'a=1', '-F', 'f=@-;filename=a"b\\c.txt;type=text/x', url('/form')];
  const running = promisify(execFile)('curl', args);
  running.child.stdin?.end('content');
  const { stdout } = await within(running, 'curl');
  assert.equal(JSON.parse(stdout), [
    ['a', '1'],
    ['f', ['a"b\\c.txt', 'text/x', 7]],
  ]);
});

test('a form as HttpClient of .NET writes it', async () => {
  const body = [
    '--b9f2d2c8-3f7e',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Disposition: form-data; name=text',
    '',
    'one',
    '--b9f2d2c8-3f7e',
    'Content-Disposition: form-data; name=file; filename="=?utf-8?B?w6kudHh0?="; filename*=utf-8\'\'%C3%A9.txt',
    '',
    'two',
    '--b9f2d2c8-3f7e--',
    '',
  ].join('\r\n');
  const headers = { 'content-type': 'multipart/form-data; boundary="b9f2d2c8-3f7e"' };
  const response = await fetch(url('/form'), { method: 'POST', body, headers });
  assert.equal(await response.json(), [
    ['text', 'one'],
    ['file', ['é.txt', 'text/plain', 3]],
  ]);
});

test('a large file goes through without being in memory', async () => {
  const size = 192 * megabyte;
  for (const path of ['/form', '/parts']) {
    const before = process.memoryUsage().rss;
    let peak = before;
    const timer = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss);
    }, 10);
    const response = await post(path, size).finally(() => clearInterval(timer));
    const file =
      path === '/form' ? ['f', ['large.bin', 'text/plain', size]] : ['f', 'large.bin', size];
    assert.equal(JSON.parse(response.body.toString()), [file]);
    const growth = (peak - before) / megabyte;
    assert.ok(growth < 120, `${path}: ${growth.toFixed(0)} MiB more`);
  }
});

/** Counts those that are made from now on. Files of earlier tests may go at any time: the garbage collector removes them. */
function countNewFiles(): () => number {
  const before = new Set(readdirSync(folder));
  return () => readdirSync(folder).filter((name) => !before.has(name)).length;
}

test('a form that is refused is answered with its status, and leaves no file', async () => {
  const added = countNewFiles();
  const large = await post('/small', 32 * megabyte);
  assert.is(large.status, 413);
  await until(() => added() === 0, 'the removal of the file');
  const headers = { 'content-type': 'multipart/form-data; boundary=XX' };
  const part = '--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n';
  const many = await fetch(url('/parts'), {
    method: 'POST',
    headers,
    body: `${part.repeat(11)}--XX--`,
  });
  assert.equal(
    [many.status, await many.text()],
    [413, '413 Content Too Large: GYR_MULTIPART_LIMIT\n'],
  );
  for (const path of ['/form', '/parts', '/hono']) {
    const cut = await fetch(url(path), { method: 'POST', headers, body: part });
    assert.equal([cut.status, await cut.text()], [400, '400 Bad Request: GYR_MULTIPART_INVALID\n']);
  }
});

test('without an error handler the client is answered so, and the log is silent', async () => {
  const lines: unknown[] = [];
  const { error } = console;
  console.error = (...args: unknown[]) => lines.push(args);
  const plain = serve({
    port: 0,
    hostname: '127.0.0.1',
    workers: 1,
    log: 'error',
    fetch: async (request) => Response.json([...(await request.formData({ maxParts: 1 }))]),
  });
  try {
    const headers = { 'content-type': 'multipart/form-data; boundary=XX' };
    const part = '--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n';
    const statuses: number[] = [];
    for (const body of [`${part}--XX--`, `${part}${part}--XX--`, part]) {
      const { status } = await fetch(plain.url, { method: 'POST', headers, body });
      statuses.push(status);
    }
    assert.equal(statuses, [200, 413, 400]);
    assert.equal(lines, []);
  } finally {
    console.error = error;
    await plain.stop(true);
  }
});

test('what the server is told of forms holds where a call says nothing else, also in Hono', async () => {
  const hono = new Hono();
  hono.post('/hono', async (context) => {
    return context.json([...(await context.req.formData()).keys()]);
  });
  const limited = serve({
    port: 0,
    hostname: '127.0.0.1',
    workers: 1,
    log: 'error',
    forms: { maxParts: 1 },
    routes: {
      '/form': async (request) => Response.json([...(await request.formData()).keys()]),
      '/wide': async (request) => {
        return Response.json([...(await request.formData({ maxParts: 2 })).keys()]);
      },
      '/parts': async (request) => {
        const names: string[] = [];
        for await (const { name } of multipart(request)) names.push(name);
        return Response.json(names);
      },
    },
    fetch: (request) => hono.fetch(request as never),
  });
  const headers = { 'content-type': 'multipart/form-data; boundary=XX' };
  const part = '--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n';
  const status = async (path: string): Promise<number> => {
    const init = { method: 'POST', headers, body: `${part}${part}--XX--` };
    return (await fetch(new URL(path, limited.url), init)).status;
  };
  try {
    const statuses: number[] = [];
    for (const path of ['/form', '/parts', '/hono', '/wide']) statuses.push(await status(path));
    assert.equal(statuses, [413, 413, 413, 200]);
    await limited.reload({ forms: { maxParts: 2 }, fetch: () => new Response() });
  } finally {
    await limited.stop(true);
  }
});

test('100000 parts are refused at the first that is too many', async () => {
  const part = '--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n';
  const body = `${part.repeat(100_000)}--XX--`;
  const fields = `Host: a\r\nContent-Type: multipart/form-data; boundary=XX\r\nContent-Length: ${body.length}`;
  // Hono's parseBody reads it whole, and makes a Response of it. Each has a connection of its own: an HTTP/2 session of
  // Node.js counts what it was not to send any more for good, and takes no response beyond 10 MB of that.
  for (const path of ['/form', '/parts', '/hono']) {
    const request = `POST ${path} HTTP/1.1\r\n${fields}\r\n\r\n${body}`;
    assert.is((await exchange(server.port, request)).status, 413, path);
  }
});

test('a handler answers after the first part, while the client sends', async () => {
  const client = await connect(server.port);
  await client.send(
    'POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nContent-Type: multipart/form-data; boundary=XX\r\n\r\n--XX\r\nContent-Disposition: form-data; name="early"\r\n\r\n',
  );
  const response = await client.response();
  assert.is(response.body.toString(), 'early');
  client.destroy();
});

test('a client that leaves in the middle of a file ends the read, and the file is removed', async () => {
  const added = countNewFiles();
  const client = await connect(server.port);
  await client.send(
    `POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\nContent-Type: multipart/form-data; boundary=XX\r\n\r\n--XX\r\nContent-Disposition: form-data; name="f"; filename="g"\r\n\r\n${'x'.repeat(3 * megabyte)}`,
  );
  await until(() => added() === 1, 'a file');
  client.destroy();
  await until(() => added() === 0, 'the end of the file');
  logged.length = 0; // the client's leaving, told to a handler that nobody waits for
});

test.run();
