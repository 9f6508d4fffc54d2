// The table of the race. To add a contender, add a row.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { overWebSocket } from './lib/sockets.mjs';
import {
  built,
  bun,
  certificate,
  frameworks,
  h2o,
  home,
  libraryEnv,
  nginx,
  root,
  tlsProgram,
  zigProgram,
} from './lib/tools.mjs';

/**
 * @typedef {object} Contender
 * @property {string} name    unique; what --only takes and the report prints
 * @property {string} group   floor | gyrfalcon | peer | framework | tls | h2 | ws | modes; --only takes it too, and the last five
 *   have to be asked for. h2 is loaded over HTTP/2
 * @property {boolean} [isSecured]  over TLS; so is the group tls
 * @property {'full' | 'resumed'} [handshakes]  a connection for each request, with such a handshake
 * @property {{ bytes: number, inFlight: number }} [socket]  a WebSocket that echoes messages of that size, so many at a time
 * @property {string} what    one line for the reader
 * @property {string} [path]  request target, by default '/'
 * @property {string[]} [paths]  targets that are asked for in turn, over HTTP/2; `path` is one of them
 * @property {Buffer} [body]  the exact body expected, by default 'Hello, World!'
 * @property {RegExp} [type]  what Content-Type has to match, by default text/plain
 * @property {string} [likeSizeOf]  contender whose response size on the wire this one takes on
 * @property {Record<string, string>} [env]
 * @property {(at: Place) => Promise<string[]>} command  builds what is needed (never a debug
 *   build) and returns the command that serves 127.0.0.1:port
 */

/**
 * @typedef {object} Place
 * @property {number} port
 * @property {number} responseBytes  what a response of `likeSizeOf` has on the wire
 * @property {boolean} idle   it has to hold 10,000 connections for minutes
 * @property {boolean} plain  it will run under valgrind
 */

const json = /^application\/json/;

/** Body of the small response. */
export const hello = Buffer.from('Hello, World!');

/** Body of the file: 6150 bytes of text. */
export const file6150 = Buffer.from(
  'The gyrfalcon is the largest of the falcons.\n'.repeat(137).slice(0, 6150),
);

/** A page and what belongs to it: twenty files, whose sizes are spread as those of pages are, bytes. */
const mixedSizes = [
  200, 400, 700, 1200, 1800, 2500, 3300, 4500, 6150, 8000, 10_000, 13_000, 17_000, 22_000, 28_000,
  36_000, 48_000, 64_000, 90_000, 130_000,
];
const mixedBody = (bytes) => Buffer.alloc(bytes, file6150);
/** Body of the large file: 1 MiB. */
const file1m = Buffer.alloc(2 ** 20, file6150);

const www = join(home, 'www');
const helloFile = join(www, 'hello.txt');
const file = join(www, 'file.txt');

/** The folder that the file contenders serve. */
export async function prepareFiles() {
  await mkdir(www, { recursive: true });
  await writeFile(helloFile, hello);
  await writeFile(file, file6150);
  for (const bytes of mixedSizes) await writeFile(join(www, `${bytes}.txt`), mixedBody(bytes));
  await writeFile(join(www, 'large.txt'), file1m);
}

const floor =
  (bodyFile) =>
  async ({ port, responseBytes, plain }) => [
    await zigProgram('floor', ['bench/floor.zig'], plain),
    String(port),
    bodyFile,
    String(responseBytes),
  ];

const zigHello = (plain) =>
  zigProgram(
    'zig_hello',
    [
      '-lc',
      '--dep',
      'gyrfalcon',
      '-Mroot=bench/apps/zig_hello.zig',
      '-Mgyrfalcon=zig/gyrfalcon.zig',
    ],
    plain,
  );

/** The same as a command. */
const zigPlain = async ({ port, idle, plain }) => [
  await zigHello(plain),
  String(port),
  ...(idle ? ['idle'] : []),
];

/** A module in bench/apps, served by the command that users have. */
export const app =
  (name, ...more) =>
  async ({ port, idle }) => {
    await built();
    const settings = [
      ...more,
      'GYRFALCON_SETUP=0', // built above, on all cores
      `GYRFALCON_BENCH_WWW=${www}`,
      `GYRFALCON_BENCH_IDLE=${Number(idle)}`,
    ];
    const command = [process.execPath, join(root, 'bin/gyrfalcon.mjs'), 'start'];
    const where = ['--host', '127.0.0.1', '--port', String(port), '--workers', '1'];
    return ['env', ...settings, ...command, join(root, 'bench/apps', name), ...where];
  };

const peer = (name) => join(root, 'bench/peers', name);

/** A framework on Gyrfalcon, and on the server that is usual for it. */
const framework = (name, what, peerName, usual) => [
  {
    name,
    group: 'framework',
    what: `${what} on gyrfalcon`,
    env: production,
    command: async (place) => {
      await frameworks();
      return app('framework.ts', `GYRFALCON_BENCH_FRAMEWORK=${name}`)(place);
    },
  },
  {
    name: peerName,
    group: 'framework',
    what: `${what} on ${usual}`,
    env: production,
    command: async ({ port }) => {
      await frameworks();
      return [process.execPath, peer('framework.mjs'), name, String(port)];
    },
  },
];
const production = { NODE_ENV: 'production' };

/** @type {Contender[]} */
export const contenders = [
  {
    name: 'floor',
    group: 'floor',
    what: 'least epoll server: one recv, one send, nothing parsed',
    likeSizeOf: 'zig',
    command: floor(helloFile),
  },
  {
    name: 'floor-file',
    group: 'floor',
    what: 'the same with the 6150-byte body from memory',
    path: '/file.txt',
    body: file6150,
    likeSizeOf: 'dir',
    command: floor(file),
  },
  {
    name: 'zig',
    group: 'gyrfalcon',
    what: 'gyrfalcon, handler in Zig',
    command: zigPlain,
  },
  {
    name: 'constant',
    group: 'gyrfalcon',
    what: 'gyrfalcon in Node.js, constant route',
    command: app('constant.ts'),
  },
  {
    name: 'handler',
    group: 'gyrfalcon',
    what: 'gyrfalcon in Node.js, TypeScript handler',
    command: app('handler.ts'),
  },
  {
    name: 'handler-params',
    group: 'gyrfalcon',
    what: 'gyrfalcon in Node.js, TypeScript handler, /users/:id to JSON',
    path: '/users/4711',
    body: Buffer.from('{"id":"4711"}'),
    type: json,
    command: app('handler.ts'),
  },
  {
    name: 'dir',
    group: 'gyrfalcon',
    what: 'gyrfalcon in Node.js, DirServer, 6150-byte file',
    path: '/file.txt',
    body: file6150,
    command: app('static.ts'),
  },
  {
    name: 'bun-static',
    group: 'peer',
    what: 'Bun.serve, static route',
    command: async ({ port }) => [await bun(), peer('bun_static.mjs'), String(port)],
  },
  {
    name: 'bun-handler',
    group: 'peer',
    what: 'Bun.serve, handler',
    command: async ({ port }) => [await bun(), peer('bun_handler.mjs'), String(port)],
  },
  {
    name: 'bun-params',
    group: 'peer',
    what: 'Bun.serve, handler, /users/:id to JSON',
    path: '/users/4711',
    body: Buffer.from('{"id":"4711"}'),
    type: json,
    command: async ({ port }) => [await bun(), peer('bun_handler.mjs'), String(port)],
  },
  {
    name: 'node',
    group: 'peer',
    what: 'node:http',
    command: async ({ port }) => [process.execPath, peer('node_http.mjs'), String(port)],
  },
  {
    name: 'nginx',
    group: 'peer',
    what: 'nginx, one worker, return 200',
    env: libraryEnv,
    command: nginxWith("location / { default_type text/plain; return 200 'Hello, World!'; }"),
  },
  {
    name: 'nginx-file',
    group: 'peer',
    what: 'nginx, one worker, 6150-byte file, open_file_cache',
    path: '/file.txt',
    body: file6150,
    env: libraryEnv,
    command: nginxWith(`root ${www}; open_file_cache max=100 inactive=1h; sendfile off;`),
  },
  {
    name: 'zig-tls',
    group: 'tls',
    what: 'gyrfalcon over TLS, handler in Zig',
    command: zigTls,
  },
  {
    name: 'handler-tls',
    group: 'tls',
    what: 'gyrfalcon in Node.js over TLS, TypeScript handler',
    command: async (place) => {
      const { cert, key } = await certificate();
      const settings = [`GYRFALCON_BENCH_CERT=${cert}`, `GYRFALCON_BENCH_KEY=${key}`];
      return app('handler_https.ts', ...settings)(place);
    },
  },
  {
    name: 'dir-tls',
    group: 'tls',
    what: 'gyrfalcon over TLS, DirServer, 6150-byte file',
    path: '/file.txt',
    body: file6150,
    command: zigTls,
  },
  {
    name: 'bun-tls',
    group: 'tls',
    what: 'Bun.serve over TLS, handler',
    command: bunTls,
  },
  {
    name: 'nginx-tls',
    group: 'tls',
    what: 'nginx over TLS, one worker, return 200',
    env: libraryEnv,
    command: nginxTls("location / { default_type text/plain; return 200 'Hello, World!'; }"),
  },
  {
    name: 'nginx-tls-file',
    group: 'tls',
    what: 'nginx over TLS, one worker, 6150-byte file, open_file_cache',
    path: '/file.txt',
    body: file6150,
    env: libraryEnv,
    command: nginxTls(`root ${www}; open_file_cache max=100 inactive=1h;`),
  },
  {
    name: 'h2o-tls',
    group: 'tls',
    what: 'h2o over TLS, one thread, 13-byte file',
    path: '/hello.txt',
    env: libraryEnv,
    command: h2oWith(true),
  },
  {
    name: 'h2o-tls-file',
    group: 'tls',
    what: 'h2o over TLS, one thread, 6150-byte file',
    path: '/file.txt',
    body: file6150,
    env: libraryEnv,
    command: h2oWith(true),
  },
  ...largeOverTls(),
  ...handshakesOf('full'),
  ...handshakesOf('resumed'),
  ...overHttp2(false),
  ...overHttp2(true),
  ...overWebSocket(),
  ...inBothModes(),
  ...framework('hono', 'Hono 4', 'hono-node', '@hono/node-server'),
  ...framework('h3', 'h3 2', 'h3-srvx', 'srvx'),
  ...framework('elysia', 'Elysia 1', 'elysia-node', '@hono/node-server'),
  ...framework('express', 'Express 5', 'express-node', 'node:http'),
  ...framework('fastify', 'Fastify 5', 'fastify-node', 'node:http'),
];

/** Those in which JavaScript runs, and the constant, in the mode that is named and not in the one that is chosen. */
function inBothModes() {
  const params = { path: '/users/4711', body: Buffer.from('{"id":"4711"}'), type: json };
  return ['inline', 'threads'].flatMap((mode) => {
    const row = (name, what, file, more = {}) => ({
      name: `${name}-${mode}`,
      group: 'modes',
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

/** Those that serve the file of 1 MiB over TLS. */
function largeOverTls() {
  const row = (name, what, command, more = {}) => ({
    name: `${name}-tls-1m`,
    group: 'tls',
    what: `${what} over TLS, file of 1 MiB`,
    path: '/large.txt',
    body: file1m,
    command,
    ...more,
  });
  const libraries = { env: libraryEnv };
  return [
    row('dir', 'gyrfalcon, DirServer,', zigTls),
    row('nginx', 'nginx, one worker,', nginxTls(`root ${www}; sendfile on;`), libraries),
    row('h2o', 'h2o, one thread,', h2oWith(true), libraries),
    row('bun', 'Bun.serve, Bun.file,', bunTls, { path: join(www, 'large.txt') }),
  ];
}

/** Those that are asked once on each connection over TLS. */
function handshakesOf(handshakes) {
  const row = (name, what, command, more = {}) => ({
    name: `${name}-tls-${handshakes}`,
    group: 'tls',
    what: `${what} a connection over TLS for each request, handshakes ${handshakes}`,
    handshakes,
    command,
    ...more,
  });
  const answer = "location / { default_type text/plain; return 200 'Hello, World!'; }";
  const libraries = { env: libraryEnv };
  return [
    row('zig', 'gyrfalcon, handler in Zig,', zigTls),
    row('nginx', 'nginx, one worker,', nginxTls(answer), libraries),
    row('h2o', 'h2o, one thread,', h2oWith(true), { path: '/hello.txt', ...libraries }),
    row('bun', 'Bun.serve,', bunTls),
  ];
}

async function bunTls({ port }) {
  const { cert, key } = await certificate();
  return [await bun(), peer('bun_https.mjs'), String(port), cert, key];
}

/** The contenders over HTTP/2, in clear text by prior knowledge, or over TLS by ALPN. */
function overHttp2(isSecured) {
  const way = isSecured ? 'h2-tls' : 'h2';
  const where = `over HTTP/2${isSecured ? ' and TLS' : ', clear text'}`;
  const row = (name, what, command, more = {}) => ({
    name: name.replace('-h2', `-${way}`),
    group: 'h2',
    isSecured,
    what: `${what} ${where}`,
    command,
    ...more,
  });
  const ofFile = { path: '/file.txt', body: file6150 };
  const ofHello = { path: '/hello.txt' };
  const ofMixed = {
    path: '/36000.txt',
    body: mixedBody(36_000),
    paths: mixedSizes.map((bytes) => `/${bytes}.txt`),
  };
  const withLibraries = { env: libraryEnv };
  const nginxOf = (server) =>
    isSecured ? nginxTls(server, ' http2') : nginxWith(server, ' http2');
  return [
    row('zig-h2', 'gyrfalcon, handler in Zig,', async (place) =>
      isSecured ? zigTls(place) : zigPlain(place),
    ),
    row('handler-h2', 'gyrfalcon in Node.js, TypeScript handler,', async (place) => {
      if (!isSecured) return app('handler.ts')(place);
      const { cert, key } = await certificate();
      const settings = [`GYRFALCON_BENCH_CERT=${cert}`, `GYRFALCON_BENCH_KEY=${key}`];
      return app('handler_https.ts', ...settings)(place);
    }),
    row(
      'dir-h2',
      'gyrfalcon, DirServer, 6150-byte file,',
      isSecured ? zigTls : app('static.ts'),
      ofFile,
    ),
    row(
      'dir-h2-mixed',
      'gyrfalcon, DirServer, 20 mixed files,',
      isSecured ? zigTls : app('static.ts'),
      ofMixed,
    ),
    row('h2o-h2', 'h2o, one thread, 13-byte file,', h2oWith(isSecured), {
      ...ofHello,
      ...withLibraries,
    }),
    row('h2o-h2-file', 'h2o, one thread, 6150-byte file,', h2oWith(isSecured), {
      ...ofFile,
      ...withLibraries,
    }),
    row('h2o-h2-mixed', 'h2o, one thread, 20 mixed files,', h2oWith(isSecured), {
      ...ofMixed,
      ...withLibraries,
    }),
    row(
      'nginx-h2',
      'nginx, one worker, return 200,',
      nginxOf("location / { default_type text/plain; return 200 'Hello, World!'; }"),
      withLibraries,
    ),
    row(
      'nginx-h2-file',
      'nginx, one worker, 6150-byte file, open_file_cache,',
      nginxOf(`root ${www}; open_file_cache max=100 inactive=1h;`),
      { ...ofFile, ...withLibraries },
    ),
    row(
      'nginx-h2-mixed',
      'nginx, one worker, 20 mixed files, open_file_cache,',
      nginxOf(`root ${www}; open_file_cache max=100 inactive=1h;`),
      { ...ofMixed, ...withLibraries },
    ),
    row('bun-h2', 'Bun.serve, handler,', async ({ port }) => {
      const { cert, key } = isSecured ? await certificate() : {};
      const secured = isSecured ? [cert, key] : [];
      return [await bun(), peer('bun_h2.mjs'), String(port), ...secured];
    }),
    // Over TLS h2load does not come to an end with it.
    ...(isSecured
      ? []
      : [
          row('node-h2', 'node:http2', async ({ port }) => [
            process.execPath,
            peer('node_h2.mjs'),
            String(port),
          ]),
        ]),
  ];
}

/** h2o with what it serves small files best by: open files kept. Its listeners speak HTTP/1 and HTTP/2. */
function h2oWith(isSecured) {
  return async ({ port }) => {
    const folder = join(home, 'h2o');
    await mkdir(folder, { recursive: true });
    const { cert, key } = isSecured ? await certificate() : {};
    const ssl = isSecured ? `, ssl: {certificate-file: ${cert}, key-file: ${key}}` : '';
    const user = process.getuid() === 0 ? 'user: root\n' : '';
    const configuration = `${user}listen: {host: 127.0.0.1, port: ${port}${ssl}}
num-threads: 1
error-log: /dev/null
hosts: {default: {paths: {/: {file.dir: ${www}}}}}
`;
    const file = join(folder, `${port}.conf`);
    await writeFile(file, configuration);
    return [await h2o(), '-c', file];
  };
}

async function zigTls({ port }) {
  const { cert, key } = await certificate();
  return [await tlsProgram('zig_https'), String(port), cert, key, www];
}

/** The same over TLS 1.3. */
export function nginxTls(server, listen = '') {
  return async (place) => {
    const { cert, key } = await certificate();
    const secured = `ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_protocols TLSv1.3;`;
    return nginxWith(`${secured} ${server}`, ` ssl${listen}`)(place);
  };
}

/**
 * nginx as it is tuned for this: no access log, no limit on requests per connection (the default of
 * 1000 would close connections in the middle of a measurement). For the small file read + writev of
 * an open descriptor was its best: 0.88 of sendfile with tcp_nopush, 0.70 of no open_file_cache.
 */
export function nginxWith(server, listen = '') {
  return async ({ port }) => {
    const folder = join(home, 'nginx', String(port));
    await mkdir(folder, { recursive: true });
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((name) => `${name}_temp_path ${join(folder, name)};`)
      .join(' ');
    const configuration = `daemon off; worker_processes 1; pid ${join(folder, 'pid')};
error_log stderr crit;
events { worker_connections 12000; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600; tcp_nopush on;
  ${temporary}
  types { text/plain txt; }
  server { listen 127.0.0.1:${port}${listen} backlog=2048; ${server} }
}
`;
    await writeFile(join(folder, 'nginx.conf'), configuration);
    const arguments_ = ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')];
    return [await nginx(), ...(process.getuid() === 0 ? ['-g', 'user root;'] : []), ...arguments_];
  };
}
