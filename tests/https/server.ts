/** The app of tests/apps/https_app.ts, and clients that speak TLS to it. */
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import * as assert from 'uvu/assert';
import { listening, programOf, type RunningServer, start } from '../support/process.ts';
import { until, within } from '../support/wait.ts';

export interface HttpsServer extends RunningServer {
  /** Of each place, in their order. */
  readonly ports: number[];
}

export async function startHttps(options: object): Promise<HttpsServer> {
  const app = programOf('tests', 'apps', 'https_app.ts');
  const args = [...app, JSON.stringify(options)];
  const server = await listening(start(process.execPath, args));
  // Its last line: it takes signals by then.
  const line = await until(() => /^ADDRESSES (.*)$/m.exec(server.stdout())?.[1], 'its addresses');
  return { ...server, ports: JSON.parse(line) as number[] };
}

export async function stopHttps(server: HttpsServer): Promise<void> {
  const { code, signal } = await server.stop();
  const output = server.stdout() + server.stderr();
  assert.equal([code, signal], [0, null], output);
  assert.match(server.stdout(), /^STOPPED 0$/m, 'nothing was allocated after the start');
}

/** A server for the time of `run`, which ends in order. */
export async function serving(
  options: object,
  run: (server: HttpsServer) => Promise<void>,
): Promise<void> {
  const server = await startHttps(options);
  await run(server);
  await stopHttps(server);
}

/** Options of node:https and node:tls. */
export type ClientOptions = RequestOptions & ConnectionOptions;

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** One request by node:https, on a connection of its own. */
export function ask(
  port: number,
  path: string,
  options: ClientOptions = {},
  body?: Buffer,
): Promise<Answer> {
  const answered = new Promise<Answer>((resolve, reject) => {
    const given = { host: '127.0.0.1', port, path, agent: false, servername: 'a.test', ...options };
    const sent = httpsRequest(given, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode as number,
          headers: response.headers,
          body: Buffer.concat(pieces),
        }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
  return within(answered, `an answer to ${path}`);
}

/** The same, of JSON. */
export async function askJson(
  port: number,
  path: string,
  options: ClientOptions = {},
): Promise<Record<string, unknown>> {
  const { status, body } = await ask(port, path, options);
  assert.is(status, 200, body.toString());
  return JSON.parse(body.toString()) as Record<string, unknown>;
}

/** A connection whose handshake is over. */
export async function connectHttps(
  port: number,
  options: ConnectionOptions = {},
): Promise<TLSSocket> {
  const given = { host: '127.0.0.1', port, servername: 'a.test', ...options };
  const socket = connectTls(given);
  await within(
    new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    }),
    'a handshake',
  );
  return socket;
}

/** Why a connection was refused, in the client's words. */
export async function refusal(client: Promise<unknown>): Promise<string> {
  try {
    await client;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return `${code} ${message}`;
  }
  return 'none';
}
