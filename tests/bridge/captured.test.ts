/** Modules that keep the platform's fetch and classes, and give them light objects. */
import * as assert from 'uvu/assert';
import { programOf, start } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { within } from '../support/wait.ts';

const test = sideBySide('captured');
const fixture = programOf('tests', 'bridge', 'fixtures', 'captured_platform.ts');

/** Where requests have private fields, nothing that is older than this package can read a light one. */
const arePrivate = Object.getOwnPropertySymbols(new Request('http://a/')).length === 0;

interface Told {
  running: Record<string, string> | 'right';
  stopped: Record<string, string>;
  copy: string;
  again: string;
  proxy: string;
  restored: boolean[];
}

async function run(when: string, globals: string): Promise<Told> {
  const program = start(process.execPath, [...fixture, when, globals]);
  const ending = await within(program.ended, 'the end of the program', 30_000);
  assert.equal(ending, { code: 0, signal: null }, program.stderr());
  return JSON.parse(program.stdout());
}

const wrong = (results: Record<string, string>) =>
  Object.entries(results).filter(([, result]) => result !== 'right');

for (const when of ['before import', 'after import', 'while it runs', 'after the stop']) {
  for (const globals of ['true', 'false']) {
    const name = `fetch and classes kept ${when}, globals: ${globals}`;
    if (arePrivate && when === 'before import') {
      test(`${name}: what has to read a light request fails, by a TypeError`, async () => {
        const { stopped } = await run(when, globals);
        for (const [use, result] of wrong(stopped)) {
          assert.match(use, /fetch|Request/);
          assert.match(result, /^(threw )?TypeError/);
        }
        assert.equal([stopped.Response, stopped.Headers], ['right', 'right']);
      });
      continue;
    }
    test(`${name}: take light objects, in a handler and after the stop`, async () => {
      const told = await run(when, globals);
      if (told.running !== 'right') {
        assert.equal(wrong(told.running), []);
        assert.is(told.copy, 'POST a sent');
        assert.is(told.again, 'POST a sent');
        assert.is(told.proxy, 'POST a 4 sent');
      }
      assert.equal(wrong(told.stopped), []);
      assert.equal(told.restored, [true, true, true, true]);
    });
  }
}

test.run();
