import type { Test } from 'uvu';
import type { RunningServer } from '../../support/process.ts';
import type { Target } from '../../support/target.ts';
import { bodies } from './bodies.ts';
import { earlyAnswers, framing } from './framing.ts';
import { malformed } from './malformed.ts';
import { closing, messages } from './messages.ts';
import { methods } from './methods.ts';
import { problems } from './problems.ts';
import { semantics } from './semantics.ts';
import { splits } from './splits.ts';
import { trailers } from './trailers.ts';

/** The whole table over one target. */
export function conformance(test: Test, target: Target): void {
  let server: RunningServer;
  const port = (): number => server.port;
  test.before(async () => {
    server = await target.start({ workers: 1 });
  });
  messages(test, port);
  closing(test, port);
  semantics(test, port);
  splits(test, port);
  bodies(test, port);
  malformed(test, port);
  problems(test, port);
  trailers(test, port);
  framing(test, port);
  if (target.early) earlyAnswers(test, port);
  methods(test, target);
  test('the server ends in order after all of that', () => target.stop(server));
}
