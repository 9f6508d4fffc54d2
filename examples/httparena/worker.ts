/** One of the processes: its servers share their ports with those of the others. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { serve } from 'gyrfalcon';
import app, { http2App } from './app.ts';

const {
  CERTS_DIR = '/certs',
  HTTP_PORT = '8080',
  HTTP1_TLS_PORT = '8081',
  HTTP2_PORT = '8082',
  HTTP2_TLS_PORT = '8443',
} = process.env;

const tls = { cert: join(CERTS_DIR, 'server.crt'), key: join(CERTS_DIR, 'server.key') };
const hasTls = existsSync(tls.cert);

// A process has the work of one CPU: the engine is in the loop of its handlers.
const shared = { mode: 'inline', threads: 0, reusePort: true, log: 'warn' } as const;

const clear = { port: Number(HTTP_PORT) };
const secured = { port: Number(HTTP2_TLS_PORT), tls };
const servers = [
  serve({ ...app, ...shared, listen: hasTls ? [clear, secured] : clear }),
  serve({ ...http2App, ...shared, port: Number(HTTP2_PORT) }),
];
// For HTTP/1 alone: no other protocol is offered.
if (hasTls) {
  servers.push(serve({ ...app, ...shared, http2: false, port: Number(HTTP1_TLS_PORT), tls }));
}

process.on('SIGTERM', async () => {
  await Promise.all(servers.map((server) => server.stop()));
  process.exit(0);
});
process.send?.(`${servers[0]?.url}`);
