import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project, type RunningServer, startApp, startZig, stopAll } from '../support/process.ts';
import { connect, type RawResponse } from '../support/socket.ts';
import { makeCase, makeCuts } from './generator.ts';
import { Random } from './random.ts';
import type { Verdict } from './verdict.ts';
import { ZigSide } from './zig_side.ts';

// The whole server on what the parsers were compared on: who reads the bytes right must answer them right.

const seed = 1;
const count = 2000;
const atOnce = 20;

const test = suite('differential server');

test.after(() => stopAll());

/** The method of each message, so far as it can be told: that of one which was refused too. */
function methodsOf({ requests }: Verdict, bytes: Buffer): string[] {
  const rest = bytes.toString('latin1', requests.at(-1)?.until ?? 0);
  return [...requests.map(({ method }) => method), /^(?:\r\n)*HEAD /.test(rest) ? 'HEAD' : 'GET'];
}

/** Sends the bytes, then no more; resolves to all final responses. */
async function ask(port: number, bytes: Buffer, cuts: number[], methods: string[]) {
  const client = await connect(port);
  const responses: RawResponse[] = [];
  try {
    const pieces = [...cuts, bytes.length].map((cut, i) => cut - (cuts[i - 1] ?? 0));
    // The server may refuse and close while there is more to send.
    await client.send(bytes, pieces).catch(() => {});
    client.end();
    for (;;) {
      await client.readAhead();
      if (client.received.length === 0) return responses;
      const response = await client.response(methods[responses.length]);
      if (response.status >= 200) responses.push(response);
    }
  } finally {
    client.destroy();
  }
}

/** What is wrong with the responses, given what the parser made of the bytes. */
function complaint(
  { requests, end }: Verdict,
  responses: readonly RawResponse[],
): string | undefined {
  const whole = requests.filter(({ complete }) => complete).length;
  const statuses = responses.map(({ status }) => status).join(' ');
  const last = responses.at(-1);
  const closes = last !== undefined && /\r\nConnection: close\r\n/i.test(last.head);
  if (responses.slice(0, -1).some(({ head }) => /\r\nConnection: close\r\n/i.test(head))) {
    return `goes on after a close: ${statuses}`;
  }
  // A handler may answer before it has the body: that it was broken then shows in the end alone.
  const early = requests.length > whole && responses.length === whole + 1;
  if (end === 'err' && responses.length <= whole + 1 && !early) {
    if (last === undefined || last.status < 400 || !closes) return `no refusal: ${statuses}`;
  }
  // A request that is refused for what it asks, not for its framing, ends the connection earlier.
  if (responses.length < whole && !(closes && (last?.status ?? 0) >= 400)) {
    return `${responses.length} responses to ${whole} requests: ${statuses}`;
  }
  // One more at most: to what was refused, or was not there as a whole.
  const more = end === 'err' || end === 'partial' ? 1 : 0;
  if (responses.length > whole + more) {
    return `${responses.length} responses to ${whole} requests: ${statuses}`;
  }
  return undefined;
}

async function hold(server: RunningServer): Promise<void> {
  const zig = new ZigSide();
  const complaints: string[] = [];
  for (let first = seed; first < seed + count; first += atOnce) {
    const randoms = Array.from({ length: atOnce }, (_, i) => new Random(first + i));
    const cases = randoms.map(makeCase);
    const verdicts = await zig.frame(cases);
    await Promise.all(
      cases.map(async (bytes, i) => {
        const verdict = verdicts[i] as Verdict;
        const cuts = makeCuts(randoms[i] as Random, bytes.length);
        const wrong = await ask(server.port, bytes, cuts, methodsOf(verdict, bytes)).then(
          (responses) => complaint(verdict, responses),
          String,
        );
        if (wrong === undefined) return;
        complaints.push(`seed ${first + i}: ${wrong}: ${JSON.stringify(bytes.toString('latin1'))}`);
      }),
    );
  }
  zig.close();
  assert.equal(complaints, []);
}

test('a Zig handler answers each request that the parser framed, and the refused one', async () => {
  await hold(await startZig('engine_app', []));
});

test('so does a TypeScript handler', async () => {
  await hold(await startApp(project('tests', 'clients', 'fixtures', 'app.ts')));
});

test.run();
