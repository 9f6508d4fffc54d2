/** Express with the middleware that nearly everybody has. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import bodyParser from 'body-parser';
import compression from 'compression';
import cookieParser from 'cookie-parser';
import express, { type NextFunction, type Request, type Response } from 'express';
import session from 'express-session';
import helmet from 'helmet';
import morgan from 'morgan';
import multer from 'multer';

const here = fileURLToPath(new URL('.', import.meta.url));
const large = 'All work and no play makes Jack a dull boy. '.repeat(500);

export async function make(): Promise<{ node: ReturnType<typeof express> }> {
  const lines: string[] = [];
  const app = express();
  app.set('env', 'production');
  app.set('trust proxy', 'loopback');
  app.use(morgan(':method :url :status', { stream: { write: (line) => lines.push(line.trim()) } }));
  app.use(helmet());
  app.use(compression());
  app.use(cookieParser('secret'));
  app.use(session({ secret: 'secret', resave: false, saveUninitialized: false }));
  app.use(bodyParser.json({ limit: '10kb' }), bodyParser.urlencoded({ extended: true }));
  app.use(bodyParser.text(), bodyParser.raw());
  app.use('/static', express.static(here, { index: 'package.json', dotfiles: 'deny' }));

  app.get('/', (_req, res) => res.send('<h1>Hello</h1>'));
  app.get('/json/:id', (req, res) => res.json({ id: req.params.id, query: req.query }));
  app.get('/nothing', (_req, res) => res.status(204).end());
  app.get('/about', (req, res) => {
    const { method, url, originalUrl, path, hostname, host, ip, ips, protocol, secure, xhr } = req;
    const { baseUrl, subdomains, httpVersion } = req;
    const accepts = [req.accepts('json', 'html'), req.acceptsEncodings('gzip'), req.get('x-a')];
    const { remoteAddress, remoteFamily } = req.socket;
    res.json({
      ...{ method, url, originalUrl, path, hostname, host, ip, ips, protocol, secure, xhr },
      ...{ baseUrl, subdomains, httpVersion, accepts, remoteAddress, remoteFamily },
      same: req.res === res && res.req === req && res.app === req.app,
    });
  });
  app.post('/echo', (req, res) => res.json({ type: typeof req.body, body: req.body }));
  app.post('/bytes', (req, res) => res.type('bin').send(req.body));
  app.get('/large', (_req, res) => res.type('text').send(large));
  app.get('/stream', async (_req, res) => {
    res.type('text');
    await pipeline(Readable.from([large, large], { objectMode: true }), res);
  });
  app.get('/slowly', async (_req, res) => {
    res.set('Content-Encoding', 'identity').type('text/event-stream').flushHeaders();
    for (let i = 0; i < 3; i++) {
      res.write(`data: ${i}\n\n`);
      (res as unknown as { flush(): void }).flush();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    res.end();
  });
  app.get('/file', (_req, res) => res.sendFile('package.json', { root: here }));
  app.get('/download', (_req, res) => res.download(`${here}package.json`, 'naïve.json'));
  app.get('/away', (_req, res) => res.redirect(301, '/json/1'));
  app.get('/back', (_req, res) => res.location('https://a.test/ü').sendStatus(307));
  app.get('/cookies', (req, res) => {
    res.cookie('plain', 'a b').cookie('signed', { a: 1 }, { signed: true, httpOnly: true });
    res.clearCookie('old').json([req.cookies.plain, req.signedCookies.signed]);
  });
  app.get('/visits', (req, res) => {
    const kept = req.session as unknown as { visits?: number };
    kept.visits = (kept.visits ?? 0) + 1;
    res.json(kept.visits);
  });
  app.get('/format', (_req, res) => {
    res.format({
      text: () => res.send('text'),
      html: () => res.send('<p>html</p>'),
      json: () => res.send({ a: 1 }),
    });
  });
  app.get('/jsonp', (_req, res) => res.jsonp({ a: '\u2028' }));
  app.get('/headers', (_req, res) => {
    res.append('Link', ['<a>', '<b>']).append('Link', '<c>').vary('Accept').links({ next: '/n' });
    res
      .attachment('a.png')
      .status(203)
      .send(Buffer.from([1, 2, 3]));
  });
  const upload = multer({ limits: { fileSize: 100_000 } });
  app.post('/upload', upload.array('files'), (req, res) => {
    const files = (req.files as Express.Multer.File[]).map((file) => ({
      ...{ field: file.fieldname, name: file.originalname, type: file.mimetype, size: file.size },
      begin: file.buffer.subarray(0, 8).toString(),
    }));
    res.json({ body: req.body, files });
  });
  app.get('/lines', (_req, res) => res.json(lines));
  app.get('/throws', () => {
    throw Object.assign(new Error('thrown'), { status: 418, headers: { 'X-Error': 'e' } });
  });
  app.get('/rejects', async () => Promise.reject(new Error('rejected')));
  app.get('/late', (_req, res, next) => {
    res.write('part', () => next(new Error('late')));
  });
  const router = express.Router({ mergeParams: true });
  router.use((_req, res, next) => {
    res.set('X-Router', 'yes');
    next();
  });
  router.route('/thing').get((req, res) => res.json([req.params.name, req.baseUrl, req.url]));
  app.use('/under/:name', router);
  app.use(
    (error: Error & { status?: number }, _req: Request, res: Response, next: NextFunction) => {
      if (res.headersSent) next(error);
      else res.status(error.status ?? 500).json({ error: error.message });
    },
  );
  return { node: app };
}

const json = { 'content-type': 'application/json' };
const form = { 'content-type': 'application/x-www-form-urlencoded' };
const gzip = { 'accept-encoding': 'gzip' };
const multipart = { 'content-type': 'multipart/form-data; boundary=xyz' };
const part = (name: string, more: string, body: string): string =>
  `--xyz\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${body}\r\n`;
const file = '; filename="a.txt"\r\nContent-Type: text/plain';

export const requests = [
  { path: '/' },
  { path: '/', method: 'HEAD' },
  { path: '/', method: 'OPTIONS' },
  { path: '/', method: 'DELETE' },
  { path: '/', headers: { 'if-none-match': 'W/"e-8RDuBaXPENdlWIlkOd27tL6jBrU"' } },
  { path: '/json/1?a=b&c[]=d&e=%C3%BC' },
  { path: '/nothing' },
  { path: '/about?x=1', headers: { 'x-a': 'a', 'x-requested-with': 'XMLHttpRequest' } },
  {
    path: '/about',
    headers: {
      host: 'a.b.example.test:81',
      'x-forwarded-for': '1.2.3.4, 127.0.0.1',
      'x-forwarded-proto': 'https',
    },
  },
  { path: '/echo', method: 'POST', headers: json, body: '{"a":[1,"ü"]}' },
  { path: '/echo', method: 'POST', headers: json, body: '{"a":' },
  { path: '/echo', method: 'POST', headers: json, body: JSON.stringify('x'.repeat(20_000)) },
  { path: '/echo', method: 'POST', headers: form, body: 'a=1&b[c]=2&b[d]=%20' },
  { path: '/echo', method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'text' },
  { path: '/echo', method: 'POST' },
  {
    path: '/bytes',
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: 'bytes'.repeat(10_000),
  },
  { path: '/large' },
  { path: '/large', headers: gzip },
  { path: '/large', method: 'HEAD', headers: gzip },
  { path: '/stream' },
  { path: '/stream', headers: gzip },
  { path: '/slowly' },
  { path: '/slowly', headers: gzip },
  { path: '/file' },
  { path: '/file', headers: { range: 'bytes=2-9' } },
  { path: '/file', headers: { range: 'bytes=2-3,5-6' } },
  { path: '/file', headers: { range: 'bytes=99999-' } },
  { path: '/file', method: 'HEAD' },
  { path: '/file', headers: { 'if-modified-since': 'Fri, 01 Jan 2100 00:00:00 GMT' } },
  { path: '/download' },
  { path: '/static/' },
  { path: '/static' },
  { path: '/static/express.ts' },
  { path: '/static/.npmrc' },
  { path: '/static/none' },
  { path: '/away' },
  { path: '/back' },
  { path: '/cookies' },
  { path: '/cookies', cookies: true },
  { path: '/visits' },
  { path: '/visits', cookies: true },
  { path: '/visits', cookies: true },
  { path: '/format', headers: { accept: 'text/html' } },
  { path: '/format', headers: { accept: 'application/json' } },
  { path: '/format', headers: { accept: 'image/png' } },
  { path: '/jsonp?callback=f' },
  { path: '/headers' },
  {
    path: '/upload',
    method: 'POST',
    headers: multipart,
    body: `${part('a', '', 'b')}${part('files', file, 'x'.repeat(50_000))}${part('files', file, '')}--xyz--\r\n`,
  },
  {
    path: '/upload',
    method: 'POST',
    headers: multipart,
    body: `${part('files', file, 'x'.repeat(200_000))}--xyz--\r\n`,
  },
  { path: '/upload', method: 'POST', headers: multipart, body: part('a', '', 'b') },
  {
    path: '/upload',
    method: 'POST',
    headers: multipart,
    body: `${part('other', file, 'x')}--xyz--\r\n`,
  },
  { path: '/throws' },
  { path: '/rejects' },
  { path: '/under/me/thing?q' },
  { path: '/elsewhere' },
  { path: '/lines' },
];

export const volatile = { SESSION: /connect\.sid=[^;"]+/g };
