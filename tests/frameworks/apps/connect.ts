/** connect, and middleware that knows no framework. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import bodyParser from 'body-parser';
import compression from 'compression';
import connect from 'connect';
import serveStatic from 'serve-static';

export async function make(): Promise<{ node: connect.Server }> {
  const app = connect();
  app.use(compression({ threshold: 0 }));
  app.use('/files', serveStatic(fileURLToPath(new URL('.', import.meta.url))));
  app.use(bodyParser.json());
  app.use('/echo', (req: IncomingMessage & { body?: unknown }, res: ServerResponse) => {
    res.setHeader('X-Url', `${req.url} ${req.method}`);
    res.end(JSON.stringify(req.body ?? null));
  });
  app.use('/hello', (_req: IncomingMessage, res: ServerResponse) => {
    res.writeHead(200, 'Reason', { 'Content-Type': 'text/plain', 'X-A': ['b', 'c'] });
    res.write('hel');
    res.end('lo');
  });
  app.use('/fails', (_req: unknown, _res: unknown, next: (error: Error) => void) => {
    next(Object.assign(new Error('failed'), { status: 409, stack: 'failed' }));
  });
  app.use('/told', () => {
    throw new Error('told');
  });
  app.use(
    '/told',
    (error: Error, _req: IncomingMessage, res: ServerResponse, _next: (error?: Error) => void) => {
      res.statusCode = 500;
      res.end(error.message);
    },
  );
  return { node: app };
}

const json = { 'content-type': 'application/json' };
const gzip = { 'accept-encoding': 'gzip, deflate' };

export const requests = [
  { path: '/hello' },
  { path: '/hello', headers: gzip },
  { path: '/hello', method: 'HEAD', headers: gzip },
  { path: '/files/package.json' },
  { path: '/files/package.json', headers: gzip },
  { path: '/files/package.json', headers: { range: 'bytes=0-3' } },
  { path: '/files' },
  { path: '/files/none' },
  { path: '/echo/x?y', method: 'POST', headers: json, body: '{"a":1}' },
  { path: '/echo', method: 'POST', headers: json, body: '{' },
  { path: '/told' },
  { path: '/elsewhere' },
];
