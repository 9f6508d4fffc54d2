/** Where two verdicts on the same bytes part. */
import type { Framed, Verdict } from './verdict.ts';

/** What a parser made of one message: took it, refused it, waits for more of it, or never looked at it. */
export type Step = 'took' | 'refused' | 'waits' | 'stopped';

/** The first message that the two made different things of. */
export interface Parting {
  readonly ours: Step;
  readonly theirs: Step;
  /** Our code when we refused. */
  readonly code: string;
  /** llhttp's code when it refused. */
  readonly theirCode: string;
  /** What the client sent from this message on. */
  readonly text: string;
  /** The heads of the messages before it. */
  readonly before: readonly string[];
}

function same(a: Framed | undefined, b: Framed | undefined): boolean {
  return (
    a !== undefined &&
    b !== undefined &&
    a.complete === b.complete &&
    a.method === b.method &&
    a.target === b.target &&
    a.length === b.length &&
    a.body === b.body &&
    a.fields === b.fields &&
    a.trailers === b.trailers
  );
}

function stepAt(verdict: Verdict, index: number): Step {
  if (verdict.requests[index]?.complete) return 'took';
  if (verdict.code === 'HPE_CLOSED_CONNECTION') return 'stopped';
  if (verdict.end === 'err') return 'refused';
  return verdict.end === 'closed' || verdict.end === 'connect' ? 'stopped' : 'waits';
}

/** The head at the start of `text`, empty lines before it included, or all of `text` when it does not end. */
export function headOf(text: string): string {
  const start = /^(?:\r\n)*/.exec(text)?.[0].length ?? 0;
  const end = text.indexOf('\r\n\r\n', start);
  return end < 0 ? text : text.slice(0, end + 4);
}

/**
 * Undefined when the two agree: the same requests, then both refuse, both stop or both wait for more. What of a body
 * had come when it was refused, and by which code, is not compared.
 */
export function parting(bytes: Buffer, ours: Verdict, theirs: Verdict): Parting | undefined {
  const before: string[] = [];
  let [index, start] = [0, 0];
  while (same(ours.requests[index], theirs.requests[index])) {
    if (!ours.requests[index]?.complete) break;
    before.push(headOf(bytes.toString('latin1', start)));
    start = ours.requests[index]?.until ?? start;
    index += 1;
  }
  const text = bytes.toString('latin1', start);
  const [ourStep, theirStep] = [stepAt(ours, index), stepAt(theirs, index)];
  if (ourStep === theirStep && ourStep !== 'took') return undefined;
  // That the connection is over shows only where something follows.
  if (ourStep === 'stopped' && theirStep === 'waits' && /^[\r\n]*$/.test(text)) return undefined;
  return {
    ours: ourStep,
    theirs: theirStep,
    code: ourStep === 'refused' ? ours.code : '',
    theirCode: theirStep === 'refused' ? theirs.code : '',
    text,
    before,
  };
}
