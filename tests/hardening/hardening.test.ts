import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stopAll } from '../support/process.ts';
import { attempt, type Delivery } from './attempt.ts';
import type { Case } from './case.ts';
import { caseNames, cases } from './cases/all.ts';
import { bodyBytesMax } from './cases/limits.ts';
import { judge, type Played } from './judge.ts';
import { kinds, Servers } from './kinds.ts';

// One table over a Zig handler, static files, a TypeScript handler and a constant response.
const test = suite('hardening');
const servers = new Servers();

test.before(() => servers.start({ body_bytes_max: bodyBytesMax }));
test.after(stopAll);

function deliveriesOf({ once, send, expected }: Case): Delivery[] {
  if (once) return ['in one piece'];
  const together: Delivery[] = ['in one piece', 'behind two others'];
  // What comes late to a server that has announced the end is answered with a reset.
  const late = expected.closes === true && !send.includes('half-close');
  return late ? together : [...together, 'in small pieces'];
}

async function play(one: Case): Promise<Played[]> {
  const runs = deliveriesOf(one).flatMap((delivery) => kinds.map((kind) => ({ kind, delivery })));
  return Promise.all(
    runs.map(async ({ kind, delivery }) => ({
      kind,
      delivery,
      transcript: await attempt(servers.portOf(kind), kind, one, delivery),
    })),
  );
}

test('no two cases have one name', () => {
  assert.equal(caseNames, [...new Set(caseNames)]);
});

for (const one of cases) {
  test(one.name, async () => judge(one, await play(one)));
}

test('both servers end in order after all of that', () => servers.stop());

test.run();
