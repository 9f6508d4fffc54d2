/** A program for node:http that runs on node:http itself and, as it is, on Gyrfalcon. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve } from 'gyrfalcon';
import { nodeHandler } from 'gyrfalcon/node';
import type { RawClient, RawResponse } from '../support/socket.ts';
import { connect } from '../support/socket.ts';

export type Listener = (req: IncomingMessage, res: ServerResponse) => unknown;

/** Fields that differ because the servers do. */
const ofTheServer = new Set(['date', 'connection', 'keep-alive', 'server']);

/**
 * What of a response must be the same. Chunks stand for the length that they come to: what a program
 * writes in one turn and ends is known as a whole here, and goes out with its length.
 */
export function comparable({ status, headers, body, trailers }: RawResponse): unknown {
  const fields = new Map(headers);
  if (fields.delete('transfer-encoding')) fields.set('content-length', `${body.length}`);
  return {
    status,
    headers: [...fields].filter(([name]) => !ofTheServer.has(name)).sort(),
    body: body.toString('latin1'),
    trailers: [...trailers].sort(),
  };
}

/** What happened, told by a program or its client. */
export type Told = (event: string) => void;

export interface Outcome {
  result: unknown;
  events: string[];
}

/** What a client does, on a connection that is open; `events` grow as the program tells them. */
type Ask = (client: RawClient, port: number, events: readonly string[]) => Promise<unknown>;

/** Runs `ask` with a client of each server; `program` makes the listener, given where to tell events. */
export async function onBoth(
  program: (tell: Told) => Listener,
  ask: Ask,
): Promise<{ node: Outcome; gyrfalcon: Outcome }> {
  return { node: await onNode(program, ask), gyrfalcon: await onGyrfalcon(program, ask) };
}

async function onNode(program: (tell: Told) => Listener, ask: Ask): Promise<Outcome> {
  const events: string[] = [];
  const server = createServer(program((event) => events.push(event)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    return { result: await asked(port, ask, events), events };
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function onGyrfalcon(program: (tell: Told) => Listener, ask: Ask): Promise<Outcome> {
  const events: string[] = [];
  const server = serve({
    port: 0,
    hostname: '127.0.0.1',
    workers: 1,
    log: 'silent',
    globals: false,
    fetch: nodeHandler(program((event) => events.push(event))),
  });
  try {
    return { result: await asked(server.port, ask, events), events };
  } finally {
    await server.stop(true);
  }
}

async function asked(port: number, ask: Ask, events: readonly string[]): Promise<unknown> {
  const client = await connect(port);
  try {
    return await ask(client, port, events);
  } finally {
    client.destroy();
  }
}
