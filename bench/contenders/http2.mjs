// Rows over HTTP/2.
import { bun, certificate, libraryEnv } from '../lib/tools.mjs';
import { file6150, mixedBody, mixedSizes } from './data.mjs';
import {
  app,
  h2oWith,
  nginxAnswer,
  nginxFiles,
  nginxTls,
  nginxWith,
  peer,
  zigPlain,
  zigTls,
} from './programs.mjs';

/** The contenders over HTTP/2, in clear text by prior knowledge, or over TLS by ALPN. */
export function overHttp2(isSecured) {
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
    row('nginx-h2', 'nginx, one worker, return 200,', nginxOf(nginxAnswer), withLibraries),
    row(
      'nginx-h2-file',
      'nginx, one worker, 6150-byte file, open_file_cache,',
      nginxOf(nginxFiles('off')),
      { ...ofFile, ...withLibraries },
    ),
    row(
      'nginx-h2-mixed',
      'nginx, one worker, 20 mixed files, open_file_cache,',
      nginxOf(nginxFiles('off')),
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
