/** Holds what came of a case to what had to come, and the kinds of handler to each other. */
import * as assert from 'uvu/assert';
import type { Answer, Delivery, Transcript } from './attempt.ts';
import type { Case } from './case.ts';
import type { Kind } from './kinds.ts';

/** One case played against one kind. */
export interface Played {
  kind: Kind;
  delivery: Delivery;
  transcript: Transcript;
}

/** Fails unless each outcome is the expected one, and all are the same. */
export function judge(one: Case, played: readonly Played[]): void {
  for (const each of played) judgeOne(one, each);
  for (const each of played.slice(1)) {
    const [first, other] = [played[0] as Played, each].map((these) =>
      outcomeOf(one, these, isEarly(one, each)),
    );
    assert.equal(
      other,
      first,
      `${each.kind.name}, ${each.delivery}: not as ${played[0]?.kind.name}`,
    );
  }
}

const finals = ({ transcript }: Played): Answer[] =>
  transcript.answers.filter(({ status }) => status >= 200);

/** The answers to the case itself: not to the requests before it. */
const answersOf = (played: Played): Answer[] =>
  finals(played).slice(played.delivery === 'behind two others' ? 2 : 0);

function judgeOne(one: Case, played: Played): void {
  const { served = [], refused, continues = 0 } = one.expected;
  const { kind, delivery, transcript } = played;
  const note = `${kind.name}, ${delivery}: ${JSON.stringify(transcript)}`;
  const answers = answersOf(played);
  assert.is(transcript.rest, '', note);
  assert.is(transcript.end, 'closed', note);
  if (delivery === 'behind two others') {
    assert.equal([transcript.answers[0]?.status, transcript.answers[1]?.status], [200, 404], note);
  }
  assert.is(answers.length, countOf(one, played), note);
  for (const [index, what] of served.entries()) {
    if (typeof what === 'number') assert.is(answers[index]?.status, what, note);
    else if (what !== undefined && kind.echoes) assert.is(answers[index]?.body, what, note);
  }
  if (!kind.early) {
    assert.is(transcript.answers.length - finals(played).length, continues, note);
  }
  if (refused !== undefined && !isEarly(one, played)) {
    const refusal = answers.at(-1) as Answer;
    assert.is(refusal.status, refused[0], note);
    if (one.methods?.at(-1) === 'HEAD') assert.is(refusal.body, '', note);
    else assert.ok(refusal.body.includes(refused[1]), note);
    assert.is(refusal.close, true, note);
  }
}

/** How many answers there have to be; the last is the one to the request that was sent behind the case. */
function countOf(one: Case, played: Played): number {
  const { served = [], refused, closes, closesEarly, cut } = one.expected;
  const { early } = played.kind;
  if (early && (closesEarly || leftEarly(one, played))) return 1;
  if (refused !== undefined) return served.length + 1;
  if (cut) return served.length + (early ? 1 : 0);
  return served.length + (closes ? 0 : 1);
}

/** Whether the handler answered without the body, before more was known of that. */
function isEarly(one: Case, played: Played): boolean {
  const { inBody, refused, closesEarly, cut } = one.expected;
  if (!played.kind.early) return false;
  if (closesEarly || cut || leftEarly(one, played)) return true;
  return (
    refused !== undefined && inBody === true && answersOf(played).at(-1)?.status !== refused[0]
  );
}

/** Whether it answered and closed while chunks were still to come: nobody can tell how many. */
function leftEarly({ send }: Case, played: Played): boolean {
  const answers = answersOf(played);
  const inPieces = played.delivery === 'in small pieces' || typeof send !== 'string';
  return inPieces && answers.length === 1 && answers[0]?.close === true && answers[0].status < 406;
}

/** What has to be the same everywhere: the engine's own words, the number of answers and the connection's end. */
function outcomeOf(one: Case, played: Played, early: boolean): unknown {
  const answers = answersOf(played);
  const refusal = one.expected.refused === undefined ? undefined : answers.at(-1)?.text;
  const closing = answers.map(({ close }) => close);
  const { end } = played.transcript;
  if (early) return { end };
  return { end, closing, refusal };
}
