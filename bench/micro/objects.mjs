// Nanoseconds per operation of the light Web API classes, beside the platform's.
//
//   node bench/micro/objects.mjs [filter] [--smoke]
//
// Each figure is the median of several timed batches after a warm-up. Promises are timed with their
// await, so those rows carry the cost of one microtask turn.

import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const source = fileURLToPath(new URL('../../ts/src/', import.meta.url));
const contents = `export { Headers } from './fetch/headers.ts';
export { Request, fromSource } from './fetch/request.ts';
export { Response } from './fetch/response.ts';
export { responseParts } from './fetch/response_parts.ts';`;
const bundle = await build({
  stdin: { contents, resolveDir: source, loader: 'ts' },
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  write: false,
});
const code = Buffer.from(bundle.outputFiles[0].contents).toString('base64');
const light = await import(`data:text/javascript;base64,${code}`);
const { Headers, Request, Response, fromSource, responseParts } = light;

const { values, positionals } = parseArgs({
  options: { smoke: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const filter = positionals[0] ?? '';
const batches = values.smoke ? 1 : 15;
const warmUps = values.smoke ? 0 : 5;
let sink;

async function measure(name, count, run) {
  if (!name.includes(filter)) return;
  const times = [];
  for (let batch = 0; batch < warmUps + batches; batch++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < count; i++) {
      const result = run(i);
      sink = result instanceof Promise ? await result : result;
    }
    if (batch >= warmUps) times.push(Number(process.hrtime.bigint() - start) / count);
  }
  times.sort((a, b) => a - b);
  const median = times[batches >> 1];
  console.log(`${name.padEnd(58)} ${median.toFixed(0).padStart(7)} ns`);
}

/** A request as the lane would give it: strings made when asked for. */
class FakeSource {
  method = 'GET';
  hasBody = false;
  #fields = { host: 'localhost:3000', accept: '*/*', 'user-agent': 'bench/1' };
  url() {
    return 'http://localhost:3000/users/42?tab=orders';
  }
  header(name) {
    return this.#fields[name] ?? null;
  }
  headerPairs() {
    return Object.entries(this.#fields);
  }
  body() {
    return null;
  }
  signal() {
    return new AbortController().signal;
  }
}

const payload = Buffer.from('{"name":"falcon","speed":389}');
class PostSource extends FakeSource {
  method = 'POST';
  hasBody = true;
  body() {
    return { whole: () => payload, stream: () => null, collect: () => null };
  }
}

const bytes = new Uint8Array(512).fill(120);
const three = {
  'content-type': 'text/html',
  'cache-control': 'no-store',
  'x-request-id': 'abc123',
};
const params = { names: ['id'], raw: () => '42' };
const get = new FakeSource();
const post = new PostSource();
const many = 200_000;
const few = 5_000;

await measure("new Response('x')", many, () => new Response('x'));
await measure("responseParts(new Response('x'))", many, () => responseParts(new Response('x')));
await measure('Response.json({…})', many, (i) => Response.json({ id: i, name: 'falcon' }));
await measure('JSON.stringify({…}) alone', many, (i) => JSON.stringify({ id: i, name: 'falcon' }));
await measure(
  'new Response(text, { headers: 3 })',
  many,
  () => new Response('x', { headers: three }),
);
await measure('  … and responseParts', many, () =>
  responseParts(new Response('x', { headers: three })),
);
await measure('new Response(512 bytes, { status, headers: 3 })', many, () => {
  return new Response(bytes, { status: 201, headers: three });
});
await measure('new Response(text, { headers: Headers })', many, () => {
  const headers = new Headers();
  headers.set('content-type', 'text/plain');
  return new Response('x', { headers });
});
const answer = new Response('x');
await measure('instanceof Response', many, () => answer instanceof Response);
await measure('Request from source: method, url', many, () => {
  const request = Request[fromSource](get, null);
  return request.method.length + request.url.length;
});
await measure('Request from source: headers.get', many, () => {
  return Request[fromSource](get, null).headers.get('User-Agent');
});
await measure(
  'Request from source: params.id',
  many,
  () => Request[fromSource](get, params).params.id,
);
await measure('Request from source: headers.get, url, await text()', many, () => {
  const request = Request[fromSource](post, params);
  sink = request.headers.get('accept');
  sink = request.url;
  return request.text();
});
await measure('Request from source: await json()', many, () =>
  Request[fromSource](post, null).json(),
);
await measure('light body stream: new Response(text).body', few, () => new Response('x').body);
await measure('platform: new Response(text)', few, () => new globalThis.Response('x'));
await measure('platform: new Response(text, { headers: 3 })', few, () => {
  return new globalThis.Response('x', { headers: three });
});
await measure('platform: new Request(url)', few, () => new globalThis.Request('http://localhost/'));

if (sink === null) console.log('never'); // keeps the results alive
