import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { connect, exchange, type RawClient } from '../../support/socket.ts';

/** Two requests with bodies, one that follows them, and what they are answered with. */
const conversation =
  'POST /echo HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nContent-Length: 12\r\n\r\nfirst body\r\n' +
  'POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n' +
  '4;ext=1\r\nseco\r\n7\r\nnd body\r\n0\r\nX-Trailer: t\r\n\r\n' +
  'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n';
const answers = ['first body\r\n', 'second body', 'Hello from the engine\n'];

async function expectAnswers(client: RawClient, note: string): Promise<void> {
  for (const answer of answers) {
    const { status, body } = await client.response();
    assert.is(status, 200, note);
    assert.is(body.toString(), answer, note);
  }
  assert.is(client.received.length, 0, note);
  client.destroy();
}

/** However a request was cut into segments, the outcome is the same. The server has one worker. */
export function splits(test: Test, port: () => number): void {
  /** Resolves when the server has seen all that was sent to it before: its one worker serves in turn. */
  const barrier = async (): Promise<void> => {
    await exchange(port(), 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
  };

  test('a conversation may be cut in two at every byte', async () => {
    const offsets = Array.from({ length: conversation.length - 1 }, (_, index) => index + 1);
    const clients = await Promise.all(offsets.map(() => connect(port())));
    const send = (part: (offset: number) => string): Promise<unknown> =>
      Promise.all(clients.map((client, index) => client.send(part(offsets[index] ?? 0))));
    await send((offset) => conversation.slice(0, offset));
    await barrier();
    await send((offset) => conversation.slice(offset));
    for (const [index, client] of clients.entries()) {
      await expectAnswers(client, `cut at ${offsets[index]}`);
    }
  });

  test('a conversation may come byte by byte', async () => {
    const client = await connect(port());
    for (const byte of conversation) {
      await client.send(byte);
      await barrier();
    }
    await expectAnswers(client, 'byte by byte');
  });

  test('a conversation may be cut anywhere, many times', async () => {
    let seed = 12_345;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
      return seed % below;
    };
    for (let round = 0; round < 60; round += 1) {
      const pieces = Array.from({ length: 40 }, () => 1 + random(30));
      const client = await connect(port());
      await client.send(conversation, pieces);
      await expectAnswers(client, `round ${round}: ${pieces}`);
    }
  });

  test('hundreds of conversations on one connection, cut where reads happen to end', async () => {
    const client = await connect(port());
    const count = 300;
    const sent = client.send(conversation.repeat(count), 4093);
    for (let index = 0; index < count; index += 1) {
      for (const answer of answers) {
        assert.is((await client.response()).body.toString(), answer, `number ${index}`);
      }
    }
    await sent;
    client.destroy();
  });
}
