/**
 * A program for node:http, as it is: `req` and `res`, connect's kind of middleware, a stream through
 * pipeline. Express, Fastify, Koa and Nest applications are given to `nodeHandler` in the same way
 * (docs/NODE.md).
 *
 *     npx gyrfalcon start examples/05-node-http/app.ts
 *
 *     curl http://localhost:3000/
 *     curl http://localhost:3000/ -d 'some text'
 *     curl http://localhost:3000/source
 */
import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { nodeHandler } from 'gyrfalcon/node';

type Next = () => void;

/** Middleware of connect's kind: a field on each response, and a line for each that has gone. */
function timed(req: IncomingMessage, res: ServerResponse, next: Next): void {
  const begun = performance.now();
  res.setHeader('X-Served-By', 'middleware');
  res.on('finish', () => {
    const took = (performance.now() - begun).toFixed(1);
    console.log(`${req.method} ${req.url} ${res.statusCode} ${took} ms`);
  });
  next();
}

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  if (req.url === '/source') {
    res.setHeader('Content-Type', 'text/plain; charset=utf-8');
    await pipeline(createReadStream(new URL(import.meta.url)), res);
  } else if (req.method === 'POST') {
    let bytes = 0;
    for await (const chunk of req) bytes += (chunk as Buffer).length;
    res.end(`${bytes} bytes\n`);
  } else {
    res.end(`Hello ${req.socket.remoteAddress}\n`);
  }
}

export default {
  fetch: nodeHandler((req, res) => timed(req, res, () => answer(req, res))),
};
