// Rows over TLS: the small response, files, and a connection for each request.
import { join } from 'node:path';
import { certificate, libraryEnv } from '../lib/tools.mjs';
import { file1m, file6150, www } from './data.mjs';
import { app, bunTls, h2oWith, nginxAnswer, nginxFiles, nginxTls, zigTls } from './programs.mjs';

/** Those over TLS. */
export const overTls = () => [
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
    command: nginxTls(nginxAnswer),
  },
  {
    name: 'nginx-tls-file',
    group: 'tls',
    what: 'nginx over TLS, one worker, 6150-byte file, open_file_cache',
    path: '/file.txt',
    body: file6150,
    env: libraryEnv,
    command: nginxTls(nginxFiles('off')),
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
];

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
    row('nginx', 'nginx, one worker,', nginxTls(nginxFiles('on')), libraries),
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
  const libraries = { env: libraryEnv };
  return [
    row('zig', 'gyrfalcon, handler in Zig,', zigTls),
    row('nginx', 'nginx, one worker,', nginxTls(nginxAnswer), libraries),
    row('h2o', 'h2o, one thread,', h2oWith(true), { path: '/hello.txt', ...libraries }),
    row('bun', 'Bun.serve,', bunTls),
  ];
}
