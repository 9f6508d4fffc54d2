/** The `gyrfalcon` command. Importing this module runs it on `process.argv`. */
import { readFileSync } from 'node:fs';
import { helpText, type Invocation, parse } from './arguments.ts';
import { CliError, report } from './errors.ts';

try {
  await run(process.argv.slice(2));
} catch (error) {
  if (!report(error)) throw error;
  process.exit(error instanceof CliError ? 2 : 1);
}

async function run(args: readonly string[]): Promise<void> {
  const invocation = parse(args);
  if (invocation.version) {
    console.log(version());
  } else if (invocation.help || args.length === 0) {
    console.log(helpText(invocation.command));
  } else if (invocation.command === undefined) {
    throw new CliError('a command is missing', 'gyrfalcon --help lists the commands');
  } else if (invocation.command.name === 'healthcheck') {
    await (await import('./healthcheck.ts')).healthcheck(invocation); // asks another process: no engine, no loader
  } else {
    // The server's modules are loaded once they are needed: --help answers without an engine. They are before the loader
    // is there: in Node.js 20 that makes a question to another thread of each import.
    const command = await commandOf(invocation.command.name);
    // Where it cannot be had, as in a package that was not installed whole, that is told before anything else can fail.
    (await import('../bridge/engine.ts')).loadEngine();
    await import('../loader/register.ts');
    await command(invocation);
  }
}

async function commandOf(name: string): Promise<(invocation: Invocation) => Promise<void>> {
  if (name === 'explain') return (await import('./explain.ts')).explainApp;
  return (await import('./start.ts')).start;
}

/** The version in package.json. */
function version(): string {
  const up = import.meta.url.endsWith('.ts') ? '../../../package.json' : '../../package.json';
  const text = readFileSync(new URL(up, import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
