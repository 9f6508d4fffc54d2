import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LOG_LEVELS, Log } from './log.ts';

const test = suite('log');
const consoleError = console.error;
let lines: string[] = [];

test.before.each(() => {
  lines = [];
  console.error = (...parts: unknown[]) => {
    lines.push(parts.map(String).join(' '));
  };
});
test.after.each(() => {
  console.error = consoleError;
});

test('each level has the lines of those before it', () => {
  const shown = LOG_LEVELS.map((level) => {
    const log = new Log(level);
    return LOG_LEVELS.slice(1).filter((at) => log.shows(at));
  });
  assert.equal(shown, [
    [],
    ['error'],
    ['error', 'warn'],
    ['error', 'warn', 'info'],
    ['error', 'warn', 'info', 'debug'],
  ]);
  assert.ok(new Log().shows('info') && !new Log().shows('debug'));
});

test('errors of handlers are errors, wrong framing is a warning', () => {
  const failure = new Error('thrown');
  for (const level of LOG_LEVELS) {
    new Log(level).error('failed:', failure);
    new Log(level).framing('Content-Length is wrong', 'leave it out');
  }
  assert.is(lines.filter((line) => line === 'failed: Error: thrown').length, 4);
  assert.is(lines.filter((line) => line.includes('Content-Length is wrong')).length, 3);
});

test('what cannot be shown is no error of its own', () => {
  console.error = (message: string, thrown: unknown) => {
    lines.push(`${message} ${thrown}`);
  };
  const hostile = {
    toString() {
      throw new Error('looked at');
    },
  };
  new Log().error('failed:', hostile);
  assert.equal(lines, ['failed: something that cannot be shown']);
});

test.run();
