/** One application on Gyrfalcon and on the server that is usual for it: its answers have to be the same. */
import { existsSync } from 'node:fs';
import { Agent, createServer, request as httpRequest, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync, inflateSync } from 'node:zlib';
import { type ServeOptions, serve } from 'gyrfalcon';
import { type NodeApp, nodeHandler } from 'gyrfalcon/node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project } from '../support/process.ts';
import { within } from '../support/wait.ts';

/** One request, as a client sends it. */
export interface Ask {
  path: string;
  /** @default 'GET' */
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Sends back what the last response set by Set-Cookie. */
  cookies?: boolean;
}

/** A server that runs. */
export interface Running {
  port: number;
  close(): Promise<unknown>;
}

/** A module of `apps/`: each call makes the application anew. */
export interface AppModule {
  /** The application as Gyrfalcon takes it: a handler of Fetch, or a program for node:http. */
  make(): Promise<{ fetch: ServeOptions['fetch'] } | { node: NodeApp }>;
  /** The application on the server that is usual for it. A program for node:http needs none. */
  peer?(): Promise<Running>;
  requests: Ask[];
  /** What differs from run to run, such as ids: it is replaced by its name before answers are compared. */
  volatile?: Record<string, RegExp>;
}

interface Answer {
  status: number | undefined;
  headers: [string, string][];
  body: string;
}

/** Fields that differ because the servers do, and those that frame the body. */
const ofTheServer = new Set([
  'date',
  'connection',
  'keep-alive',
  'server',
  'transfer-encoding',
  'content-length',
]);

/** Declares and runs the tests of a module in `apps/`. */
export async function compareApp(file: string): Promise<void> {
  const test = suite(file);
  if (!existsSync(project('tests/frameworks/apps/node_modules'))) {
    test('the frameworks are installed', () => {
      assert.unreachable('they are not: npm run test:frameworks installs them');
    });
    test.run();
    return;
  }
  const app: AppModule = await import(new URL(`apps/${file}`, import.meta.url).href);
  let theirs: Running;
  let ours: Running;
  test.before(async () => {
    theirs = await (app.peer ?? (() => onNode(app)))();
    ours = await onGyrfalcon(app);
  });
  test.after(async () => {
    await Promise.all([theirs.close(), ours.close()]);
  });
  const jars: [string[], string[]] = [[], []];
  for (const [index, ask] of app.requests.entries()) {
    test(`${index + 1}. ${ask.method ?? 'GET'} ${ask.path}`, async () => {
      const expected = steady(await answerOf(theirs.port, ask, jars[0]), app.volatile);
      const actual = steady(await answerOf(ours.port, ask, jars[1]), app.volatile);
      assert.equal(actual, expected);
    });
  }
  test.run();
}

async function onNode(app: AppModule): Promise<Running> {
  const made = (await app.make()) as { node: unknown };
  const server = createServer(made.node as RequestListener);
  return listen(server);
}

/** Starts an `http.Server` on a free port. */
export async function listen(server: ReturnType<typeof createServer>): Promise<Running> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  return { port: (server.address() as AddressInfo).port, close };
}

async function onGyrfalcon(app: AppModule): Promise<Running> {
  const made = await app.make();
  const fetch = 'node' in made ? nodeHandler(made.node) : made.fetch;
  const server = serve({ port: 0, hostname: '127.0.0.1', workers: 1, log: 'warn', fetch });
  return { port: server.port, close: () => server.stop(true) };
}

const agent = new Agent({ keepAlive: true });

function answerOf(port: number, ask: Ask, jar: string[]): Promise<Answer> {
  const { method = 'GET', path, body } = ask;
  const headers: Record<string, string> = { host: 'app.test', ...ask.headers };
  if (ask.cookies) headers.cookie = jar.map((line) => line.split(';')[0]).join('; ');
  if (body !== undefined) headers['content-length'] = `${Buffer.byteLength(body)}`;
  const answer = new Promise<Answer>((resolve, reject) => {
    const sent = httpRequest({ port, host: '127.0.0.1', method, path, headers, agent }, (res) => {
      const parts: Buffer[] = [];
      res.on('data', (part: Buffer) => parts.push(part));
      res.on('error', reject);
      res.on('end', () => {
        const cookies = res.headers['set-cookie'];
        if (cookies !== undefined) jar.splice(0, jar.length, ...cookies);
        const kept = combined(res.rawHeaders).filter(([field]) => !ofTheServer.has(field));
        const whole = Buffer.concat(parts);
        resolve({
          status: res.statusCode,
          headers: kept.sort(),
          body: decoded(whole, res.headers['content-encoding']).toString('latin1'),
        });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
  return within(answer, `${method} ${path}`);
}

/** How a coding cuts a body into blocks depends on when it was flushed. */
function decoded(body: Buffer, coding: string | undefined): Buffer {
  if (body.length === 0) return body;
  if (coding === 'gzip') return gunzipSync(body);
  return coding === 'deflate' ? inflateSync(body) : body;
}

/** Lines of one field are one (RFC 9110 §5.3), but for Set-Cookie. */
function combined(lines: string[]): [string, string][] {
  const fields = new Map<string, string>();
  const cookies: [string, string][] = [];
  for (let i = 0; i < lines.length; i += 2) {
    const name = (lines[i] as string).toLowerCase();
    const value = lines[i + 1] as string;
    const before = fields.get(name);
    if (name === 'set-cookie') cookies.push([name, value]);
    else fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return [...fields, ...cookies];
}

function steady(answer: Answer, volatile: Record<string, RegExp> = {}): Answer {
  let text = JSON.stringify(answer);
  for (const [name, pattern] of Object.entries(volatile)) text = text.replaceAll(pattern, name);
  return JSON.parse(text);
}
