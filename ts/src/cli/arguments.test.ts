import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { helpText, parse } from './arguments.ts';
import { CliError } from './errors.ts';

const test = suite('command line');

/** The error that parsing gives, as one text. */
function mistake(...args: string[]): string {
  try {
    parse(args);
  } catch (error) {
    if (error instanceof CliError) return [error.message, error.hint].join(' | ');
    throw error;
  }
  throw new Error('no error');
}

test('options are taken in every form', () => {
  for (const args of [
    ['start', 'app.ts', '--port', '80', '--host', '::1'],
    ['start', '--port=80', 'app.ts', '--host=::1'],
    ['start', '-p', '80', '-H', '::1', 'app.ts'],
    ['start', '-p80', '-H::1', 'app.ts'],
  ]) {
    const { command, operands, numbers, strings } = parse(args);
    assert.is(command?.name, 'start');
    assert.equal(operands, ['app.ts']);
    assert.equal({ ...numbers }, { port: 80 });
    assert.equal({ ...strings }, { host: '::1' });
  }
});

test('an unknown command is refused with the nearest one', () => {
  assert.is(mistake('strat', 'app.ts'), 'unknown command "strat" | did you mean "start"?');
  assert.is(
    mistake('frobnicate'),
    'unknown command "frobnicate" | gyrfalcon --help lists the commands',
  );
});

test('an operand that may be left out is none too many', () => {
  assert.equal(parse(['healthcheck']).operands, []);
  assert.equal(parse(['healthcheck', 'http://a/']).operands, ['http://a/']);
  assert.is(
    mistake('healthcheck', 'http://a/', 'http://b/'),
    '"http://b/" is one operand too many | gyrfalcon healthcheck [<url>] [options]',
  );
});

test('a file in the place of the command is told how to be served', () => {
  assert.is(
    mistake('./app.ts'),
    'unknown command "./app.ts" | to serve a file: gyrfalcon start ./app.ts',
  );
});

test('an unknown option is refused with the nearest one', () => {
  assert.is(
    mistake('start', 'a.ts', '--prot', '1'),
    'unknown option "--prot" | did you mean "--port"?',
  );
  assert.match(mistake('start', 'a.ts', '-z'), /unknown option "-z" \| gyrfalcon start --help/);
  assert.match(mistake('start', 'a.ts', '--constructor'), /unknown option/);
});

test('numbers are whole and within their range', () => {
  for (const value of ['http', '65536', '1.5', '1e3', '']) {
    assert.match(mistake('start', 'a.ts', `--port=${value}`), /--port takes a whole number/);
  }
  assert.match(mistake('start', 'a.ts', '--threads', '0'), /from 1 to 256, not "0"/);
  assert.is(parse(['start', 'a.ts', '--port', '0']).numbers.port, 0);
});

test('a missing value is named', () => {
  assert.match(mistake('start', 'a.ts', '--port'), /--port needs a value: --port N/);
  assert.match(mistake('start', 'a.ts', '--port', '--host', 'x'), /--port needs a value/);
  assert.match(mistake('start', 'a.ts', '--help=yes'), /takes no value/);
});

test('a word is one of its choices, and a switch is on when it is given', () => {
  const { strings, switches } = parse(['start', 'a.ts', '--log', 'warn', '-q']);
  assert.is(strings.log, 'warn');
  assert.ok(switches.has('quiet'));
  assert.not.ok(parse(['start', 'a.ts']).switches.has('quiet'));
  assert.is(
    mistake('start', 'a.ts', '--log', 'loud'),
    '--log takes one of silent, error, warn, info, debug, not "loud" | ',
  );
  assert.match(mistake('start', 'a.ts', '--quiet=1'), /takes no value/);
});

test('operands are counted', () => {
  assert.match(mistake('start'), /<app.ts> is missing/);
  assert.match(mistake('start', 'a.ts', 'b.ts'), /"b.ts" is one operand too many/);
});

test('help and version need nothing else', () => {
  assert.ok(parse(['--help']).help);
  assert.ok(parse(['start', '-h']).help);
  assert.ok(parse(['-v']).version);
});

test('the help text names every option', () => {
  const text = helpText(parse(['start', '--help']).command);
  for (const option of ['port', 'host', 'threads', 'workers', 'log', 'quiet', 'help']) {
    assert.match(text, `--${option}`);
  }
  assert.match(helpText(parse(['explain', '--help']).command), /--json[\s\S]*--help/);
  for (const name of ['start', 'explain']) assert.match(helpText(undefined), name);
});

test.run();
