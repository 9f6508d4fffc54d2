/** Plays a case against one kind of handler and tells what came back. */
import { overTls } from '../support/over_tls.ts';
import { connect, exchange, type RawClient } from '../support/socket.ts';
import { until } from '../support/wait.ts';
import type { Case, Step } from './case.ts';
import type { Kind } from './kinds.ts';

/** How the bytes of a case are sent. */
export type Delivery = 'in one piece' | 'in small pieces' | 'behind two others';

/** One response, byte for byte but for its Date. */
export interface Answer {
  status: number;
  /** Whether it says that the connection ends. */
  close: boolean;
  body: string;
  /** All of it, the Date line left out. */
  text: string;
}

/** All that a client saw. */
export interface Transcript {
  answers: Answer[];
  /** What came behind the last whole response. */
  rest: string;
  end: 'closed' | 'reset';
}

/** Sends the case's bytes and, behind them, a last GET of the same path; gives everything up to the connection's end. */
export async function attempt(
  port: number,
  kind: Kind,
  one: Case,
  delivery: Delivery,
): Promise<Transcript> {
  const client = await connect(port);
  const steps = typeof one.send === 'string' ? [one.send] : one.send;
  const filled = join(steps.map((step) => fill(step, kind)));
  const before = delivery === 'behind two others' ? firstTwo(kind) : '';
  const sent = play(client, port, join([before, ...filled, ...last(one, kind)]), delivery);
  // A client that is refused is told to leave before it has sent everything.
  sent.catch(() => {});
  const received = await client.readToEnd();
  client.destroy();
  const methods = [...(before === '' ? [] : ['GET', 'HEAD']), ...(one.methods ?? [])];
  return {
    ...answersIn(received.toString('latin1'), methods),
    end: client.error === undefined ? 'closed' : 'reset',
  };
}

const firstTwo = (kind: Kind): string =>
  `GET ${kind.path} HTTP/1.1\r\nHost: a\r\n\r\nHEAD ${kind.missing} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** The request that shows where the server believes the next message to begin. */
function last(one: Case, kind: Kind): Step[] {
  if (one.send.includes('half-close')) return [];
  return [`GET ${kind.path} HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n`];
}

function fill(step: Step, kind: Kind): Step {
  if (typeof step !== 'string') return step;
  const filled = step
    .replaceAll('{path}', kind.path)
    .replaceAll('{missing}', kind.missing)
    .replaceAll('{encoded}', kind.path.replace(/[^/]/g, encodeByte));
  return overTls ? filled.replace(/(?<=^\S+ )http(s?)(?=:\/\/)/gim, otherScheme) : filled;
}

/** What a target in absolute form is of where the connection is secured, and the reverse. */
const otherScheme = (scheme: string): string => (/s$/i.test(scheme) ? 'http' : 'https');

const encodeByte = (character: string): string => `%${character.charCodeAt(0).toString(16)}`;

/** Texts that follow each other become one. */
function join(steps: readonly Step[]): Step[] {
  const joined: Step[] = [];
  for (const step of steps) {
    const before = joined.at(-1);
    if (isText(step) && before !== undefined && isText(before)) {
      joined[joined.length - 1] = before + step;
    } else joined.push(step);
  }
  return joined;
}

const isText = (step: Step): step is string =>
  typeof step === 'string' && step !== 'seen' && step !== 'half-close';

async function play(
  client: RawClient,
  port: number,
  steps: readonly Step[],
  delivery: Delivery,
): Promise<void> {
  for (const step of steps) {
    if (step === 'seen') await exchange(port, 'GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
    else if (step === 'half-close') client.end();
    else if (typeof step !== 'string') {
      await until(() => countOf(client) >= step.responses, `${step.responses} responses`);
    } else await client.send(step, delivery === 'in small pieces' ? sizeOf(step) : undefined);
  }
}

/** Single bytes, unless there are very many. */
const sizeOf = (text: string): number => Math.ceil(text.length / 400);

const countOf = (client: RawClient): number =>
  client.received.toString('latin1').split('HTTP/1.1 ').length - 1;

/** Takes apart what came, by the methods of the requests that it answers (GET where none is told). */
function answersIn(
  received: string,
  methods: readonly string[],
): { answers: Answer[]; rest: string } {
  const answers: Answer[] = [];
  let finals = 0;
  let at = 0;
  for (;;) {
    const bodyAt = received.indexOf('\r\n\r\n', at) + 4;
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(received.slice(at, at + 13))?.[1]);
    if (bodyAt === 3 || Number.isNaN(status)) return { answers, rest: received.slice(at) };
    const head = received.slice(at, bodyAt);
    const none = status < 200 || status === 204 || status === 304 || methods[finals] === 'HEAD';
    const length = none ? 0 : lengthIn(head);
    const end = bodyAt + length;
    if (Number.isNaN(end) || end > received.length) return { answers, rest: received.slice(at) };
    answers.push({
      status,
      close: /^connection: close\r$/im.test(head),
      body: received.slice(bodyAt, end),
      text: head.replace(/^Date: .*\r\n/m, '') + received.slice(bodyAt, end),
    });
    if (status >= 200) finals += 1;
    at = end;
  }
}

const lengthIn = (head: string): number => Number(/^content-length: (\d+)\r$/im.exec(head)?.[1]);
