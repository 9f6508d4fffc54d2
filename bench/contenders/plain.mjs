// Rows of the small response, of the frameworks, and of both modes.
import { libraryEnv } from '../lib/tools.mjs';
import { file6150, json } from './data.mjs';
import {
  app,
  floor,
  frameworkHere,
  frameworkOnBun,
  frameworkOnNode,
  h2oWith,
  haproxyAnswer,
  inGo,
  inRust,
  lighttpdFiles,
  nginxAnswer,
  nginxWith,
  onBun,
  onDeno,
  onNode,
  uws,
  zigPlain,
} from './programs.mjs';

const own = (name, what, command) => ({ name, group: 'gyrfalcon', what, command });
const peer = (name, what, command, more = {}) => ({ name, group: 'peer', what, command, ...more });
const libraries = { env: libraryEnv };

/** The servers of the small response. */
export const plain = [
  {
    name: 'floor',
    group: 'floor',
    what: 'least epoll server: one recv, one send, nothing parsed',
    likeSizeOf: 'zig',
    command: floor(),
  },
  own('zig', 'gyrfalcon, handler in Zig', zigPlain),
  own('constant', 'gyrfalcon in Node.js, constant route', app('constant.ts')),
  own('handler', 'gyrfalcon in Node.js, TypeScript handler', app('handler.ts')),
  peer('bun-static', 'Bun.serve, static route', onBun('bun_static.mjs')),
  peer('bun-handler', 'Bun.serve, handler', onBun('bun_handler.mjs')),
  peer('deno', 'Deno.serve, handler', onDeno('deno_handler.mjs')),
  peer('node', 'node:http', onNode('node_http.mjs')),
  peer('uws', 'uWebSockets, its C interface', uws, libraries),
  peer('go', 'Go, net/http', inGo('nethttp')),
  peer('fasthttp', 'Go, fasthttp', inGo('fasthttp')),
  peer('hyper', 'Rust, hyper 1', inRust('hyper')),
  peer('actix', 'Rust, actix-web 4', inRust('actix')),
  peer('may', 'Rust, may_minihttp', inRust('may')),
  peer('nginx', 'nginx, one worker, return 200', nginxWith(nginxAnswer), libraries),
  peer('haproxy', 'haproxy, one thread, http-request return', haproxyAnswer, libraries),
  peer('h2o', 'h2o, one thread, 13-byte file', h2oWith(false), {
    path: '/hello.txt',
    ...libraries,
  }),
  peer('lighttpd', 'lighttpd, 13-byte file', lighttpdFiles, { path: '/hello.txt', ...libraries }),
];

/** What runs frameworks: here, and where they are usual. Those of the first kind are Gyrfalcon's. */
export const frameworkServers = [
  ...[
    ['hono', 'Hono 4', 'hono-node', '@hono/node-server'],
    ['h3', 'h3 2', 'h3-srvx', 'srvx'],
    ['elysia', 'Elysia 1', 'elysia-node', '@hono/node-server'],
    ['express', 'Express 5', 'express-node', 'node:http'],
    ['fastify', 'Fastify 5', 'fastify-node', 'node:http'],
  ].flatMap(([name, what, peerName, usual]) => [
    { name, what: `${what} on gyrfalcon`, role: 'own', command: frameworkHere(name) },
    { name: peerName, what: `${what} on ${usual}`, command: frameworkOnNode(name) },
  ]),
  { name: 'hono-bun', what: 'Hono 4 on Bun', command: frameworkOnBun('hono') },
  { name: 'elysia-bun', what: 'Elysia 1 on Bun', command: frameworkOnBun('elysia') },
];

export const frameworkRows = frameworkServers.map((server) => ({ ...server, group: 'framework' }));

/** Those in which JavaScript runs, and the constant, in the mode that is named and not in the one that is chosen. */
export function inBothModes() {
  const params = { path: '/users/4711', body: Buffer.from('{"id":"4711"}'), type: json };
  return ['inline', 'threads'].flatMap((mode) => {
    const row = (name, what, file, more = {}) => ({
      name: `${name}-${mode}`,
      group: 'modes',
      role: 'own',
      what: `${what}, mode: '${mode}'`,
      command: app(file, `GYRFALCON_MODE=${mode}`),
      ...more,
    });
    return [
      row('constant', 'constant route', 'constant.ts'),
      row('handler', 'TypeScript handler', 'handler.ts'),
      row('params', '/users/:id to JSON', 'handler.ts', params),
      row('dir', 'DirServer, 6150-byte file', 'static.ts', { path: '/file.txt', body: file6150 }),
    ];
  });
}
