import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request as nodeRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'undici';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lacks, type RunningServer, start, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { patternOf, startEngine, stopEngine } from '../support/target.ts';
import { within } from '../support/wait.ts';

// Clients as people use them. What a machine lacks is skipped by name.
const test = suite('clients');
const hello = 'Hello from the engine\n';
const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-clients-'));
let server: RunningServer;

test.before(async () => {
  server = await startEngine();
});
test.after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await stopEngine(server);
  await stopAll();
});

/** Runs a program to its end, which must be a good one. */
async function run(command: string, args: readonly string[]): Promise<string> {
  const running = start(command, args);
  const { code } = await within(running.ended, `the end of ${command}`, 30_000);
  assert.is(code, 0, running.stdout() + running.stderr());
  return running.stdout();
}

test('fetch: many at once, with bodies both ways', async () => {
  await Promise.all(
    Array.from({ length: 100 }, async (_, index) => {
      const body = patternOf(index * 1000);
      const response = await fetch(`${server.url}echo`, { method: 'POST', body });
      assert.is(response.status, 200);
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(body));
    }),
  );
});

test('fetch: a streamed upload is chunked and comes back', async () => {
  const piece = patternOf(50_000);
  let left = 40;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (left === 0) return controller.close();
      left -= 1;
      controller.enqueue(piece);
    },
  });
  const init = { method: 'POST', body, duplex: 'half' };
  const response = await fetch(`${server.url}echo`, init as RequestInit);
  const received = Buffer.from(await response.arrayBuffer());
  assert.ok(received.equals(Buffer.concat(Array.from({ length: 40 }, () => piece))));
});

test('fetch: an aborted download does no harm to those that follow', async () => {
  for (let round = 0; round < 5; round += 1) {
    const controller = new AbortController();
    const response = await fetch(`${server.url}static/50000000`, { signal: controller.signal });
    await response.body?.getReader().read();
    controller.abort();
    assert.is(await (await fetch(`${server.url}hello`)).text(), hello);
  }
});

test('undici: pipelined requests on few connections are answered in order', async () => {
  const pool = new Pool(server.url, { connections: 2, pipelining: 10 });
  try {
    await Promise.all(
      Array.from({ length: 500 }, async (_, index) => {
        const size = (index * 37) % 5000;
        const { statusCode, body } = await pool.request({ path: `/size/${size}`, method: 'GET' });
        assert.is(statusCode, 200);
        assert.ok(Buffer.from(await body.arrayBuffer()).equals(patternOf(size)));
      }),
    );
  } finally {
    await pool.close();
  }
});

test('node:http with an Agent keeps its connections', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const ports = new Set<number | undefined>();
  const ask = (path: string, body?: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const options = {
        agent,
        port: server.port,
        path,
        method: body === undefined ? 'GET' : 'PUT',
      };
      const request = nodeRequest(options, (response: IncomingMessage) => {
        ports.add(response.socket.localPort);
        let text = '';
        response.setEncoding('utf8').on('data', (piece: string) => {
          text += piece;
        });
        response.on('end', () => resolve(text));
      });
      request.on('error', reject).end(body);
    });
  try {
    for (let round = 0; round < 20; round += 1) {
      const texts = await Promise.all([
        ask('/hello'),
        ask('/echo', `round ${round}`),
        ask('/hello'),
        ask('/size/20000'),
      ]);
      assert.is(texts[0], hello);
      assert.is(texts[1], `round ${round}`);
      assert.is(texts[3]?.length, 20_000);
    }
    assert.ok(ports.size <= 8, `${ports.size} connections for 80 requests`);
  } finally {
    agent.destroy();
  }
});

test('node:http waits for 100 (Continue) and is told', async () => {
  const body = await new Promise<string>((resolve, reject) => {
    const headers = { expect: '100-continue', 'content-length': 5 };
    const options = { port: server.port, path: '/echo', method: 'POST', headers };
    const request = nodeRequest(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () => resolve(text));
    });
    request.on('error', reject);
    request.on('continue', () => request.end('hello'));
    request.flushHeaders();
  });
  assert.is(body, 'hello');
});

testUnless(test, lacks('curl'), 'curl: versions, methods, uploads', async () => {
  const curl = (...args: string[]): Promise<string> => run('curl', ['-sS', '-m', '20', ...args]);
  const url = `${server.url}hello`;
  assert.is(await curl(url), hello);
  assert.is(await curl('--http1.0', url), hello);
  assert.is(await curl('--http1.0', '-H', 'Connection: keep-alive', url, url), hello + hello);
  assert.match(await curl('-I', `${server.url}size/12345`), /Content-Length: 12345/);
  assert.is(
    await curl('-w', '%{num_connects}', '-o', '/dev/null', '-o', '/dev/null', url, url),
    '10',
  );
  const upload = join(folder, 'upload');
  writeFileSync(upload, patternOf(3_000_000));
  for (const args of [
    ['--data-binary', `@${upload}`],
    ['-T', upload, '-H', 'Transfer-Encoding: chunked'],
    ['-T', upload, '-H', 'Expect: 100-continue', '--expect100-timeout', '15'],
  ]) {
    const download = join(folder, 'download');
    const told = await curl(
      '-w',
      '%{http_code} %{size_download}',
      '-o',
      download,
      ...args,
      `${server.url}echo`,
    );
    assert.is(told, '200 3000000', args.join(' '));
    assert.is(spawnSync('cmp', [upload, download]).status, 0, 'the same bytes');
  }
  assert.is(
    await curl('-o', '/dev/null', '-w', '%{size_download}', `${server.url}file/4000000`),
    '4000000',
  );
});

testUnless(test, lacks('wrk', '-v'), 'wrk: no error and no response but 200', async () => {
  const output = await run('wrk', ['-t1', '-c64', '-d1s', '--timeout', '5s', `${server.url}hello`]);
  assert.not.match(output, /Socket errors|Non-2xx/);
  assert.ok(Number(/(\d+) requests in/.exec(output)?.[1]) > 1000, output);
});

testUnless(
  test,
  lacks('wrk', '-v'),
  'wrk, pipelined: no error and no response but 200',
  async () => {
    const script = join(folder, 'pipeline.lua');
    writeFileSync(
      script,
      `init = function(args)
       local r = {}
       for i = 1, 16 do r[i] = wrk.format("GET", i % 2 == 0 and "/size/3000" or "/hello") end
       request_all = table.concat(r)
     end
     request = function() return request_all end\n`,
    );
    const output = await run('wrk', [
      '-t1',
      '-c16',
      '-d1s',
      '--timeout',
      '5s',
      '-s',
      script,
      server.url,
    ]);
    assert.not.match(output, /Socket errors|Non-2xx/);
    assert.ok(Number(/(\d+) requests in/.exec(output)?.[1]) > 1000, output);
  },
);

testUnless(
  test,
  lacks('ab', '-V'),
  'ab: HTTP/1.0 with keep-alive, every request answered',
  async () => {
    const output = await run('ab', ['-q', '-k', '-n', '2000', '-c', '20', `${server.url}hello`]);
    assert.match(output, /Complete requests:\s+2000/);
    assert.match(output, /Failed requests:\s+0/);
    assert.match(output, /Keep-Alive requests:\s+2000/);
  },
);

testUnless(
  test,
  lacks('python3'),
  'Python’s http.client: one connection, bodies of both framings',
  async () => {
    const script = `
import http.client, sys
c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
for n in (0, 10, 100000):
    c.request("POST", "/echo", body=b"x" * n)
    r = c.getresponse()
    assert r.status == 200 and r.read() == b"x" * n
    c.request("POST", "/echo", body=iter([b"a" * 1000] * 5), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert c.getresponse().read() == b"a" * 5000
    c.request("HEAD", "/size/77")
    r = c.getresponse()
    assert r.getheader("Content-Length") == "77" and r.read() == b""
print("done")
`;
    assert.is(await run('python3', ['-c', script, String(server.port)]), 'done\n');
  },
);

test.run();
