/** The command line: which commands and options there are, their parsing and their help. */
import { parseArgs } from 'node:util';
import { LOG_LEVELS } from '../core/log.ts';
import { CliError, closest } from './errors.ts';

/** One option of a command. */
interface OptionSpec {
  readonly short?: string;
  /** The name of its value in the help text; without one the option is a switch. */
  readonly value?: string;
  readonly help: string;
  /** The whole numbers it takes, inclusive. */
  readonly range?: readonly [number, number];
  /** The words it takes. */
  readonly choices?: readonly string[];
}

/** One command: `gyrfalcon <name> …`. */
export interface CommandSpec {
  readonly name: string;
  readonly usage: string;
  readonly summary: string;
  readonly operands: readonly string[];
  /** Operands behind those that may be left out. */
  readonly optional?: readonly string[];
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** What stands in its help text above the options. */
  readonly about: readonly string[];
}

/** A parsed command line. */
export interface Invocation {
  readonly command: CommandSpec | undefined;
  readonly operands: readonly string[];
  readonly numbers: Readonly<Record<string, number>>;
  readonly strings: Readonly<Record<string, string>>;
  /** The switches of the command that were given. */
  readonly switches: ReadonlySet<string>;
  readonly help: boolean;
  readonly version: boolean;
}

/** What an app is, as help texts begin to say it. */
const anApp =
  'The module’s default export is an object of options as for serve(), or one with a fetch method';

const start: CommandSpec = {
  name: 'start',
  usage: 'gyrfalcon start <app.ts> [options]',
  summary: 'Serve the app that a module exports',
  about: [
    anApp,
    'such as a Hono app. Sockets that a service manager hands over (LISTEN_FDS) are listened at',
    'without any option.',
  ],
  operands: ['app.ts'],
  options: {
    port: {
      short: 'p',
      value: 'N',
      help: 'port to listen on; 0 takes a free one (default: the app’s own, else $PORT, else 3000)',
      range: [0, 65_535],
    },
    host: {
      short: 'H',
      value: 'H',
      help: 'address or host name to listen on (default: the app’s own, else all)',
    },
    unix: {
      value: 'PATH',
      help: 'listen at a unix socket instead; @NAME is an abstract one',
    },
    'unix-mode': {
      value: 'MODE',
      help: 'rights of that socket, octal (default: what the umask leaves)',
    },
    fd: {
      value: 'N',
      help: 'listen at a socket that this process was started with',
      range: [0, 2 ** 31 - 1],
    },
    'tls-cert': {
      value: 'FILE',
      help: 'certificate, PEM: HTTP goes over TLS; needs --tls-key',
    },
    'tls-key': { value: 'FILE', help: 'its private key, PEM' },
    'tls-self-signed': {
      help: 'for development: a certificate of an authority of your own, and how to trust it',
    },
    'https-port': {
      value: 'N',
      help: 'port for https; requests to --port are sent there',
      range: [0, 65_535],
    },
    'reuse-port': {
      help: 'let other processes listen there too; take a unix socket over',
    },
    threads: {
      short: 't',
      value: 'N',
      help: 'run the handlers in so many JavaScript worker threads (default: in the main one)',
      range: [1, 256],
    },
    workers: {
      short: 'w',
      value: 'N',
      help: 'engine workers (default: one per CPU that the process may use)',
      range: [1, 256],
    },
    mode: {
      value: 'M',
      help: 'where engine workers run: auto, inline (with the handlers) or threads (default: auto)',
      choices: ['auto', 'inline', 'threads'],
    },
    log: {
      value: 'L',
      help: `how much to tell on stderr: ${LOG_LEVELS.join(', ')} (default: info)`,
      choices: LOG_LEVELS,
    },
    quiet: { short: 'q', help: 'tell errors alone: --log error' },
  },
};

const explain: CommandSpec = {
  name: 'explain',
  usage: 'gyrfalcon explain <app.ts> [--json]',
  summary: 'Tell where each request of an app would be answered',
  about: [
    anApp,
    'such as a Hono app. The module is imported as `gyrfalcon start` does it, and nothing is listened',
    'at. Errors are those that it would have.',
  ],
  operands: ['app.ts'],
  options: {
    json: { help: 'as JSON, for programs: the type Explanation of the package' },
  },
};

const healthcheck: CommandSpec = {
  name: 'healthcheck',
  usage: 'gyrfalcon healthcheck [<url>] [options]',
  summary: 'Ask a server whether it answers',
  about: [
    'The exit code is 0 when it answers with a status below 400, else 1. The URL is one of http; unless',
    'given it is http://127.0.0.1:3000/, or that with $PORT.',
  ],
  operands: [],
  optional: ['url'],
  options: {
    timeout: {
      value: 'S',
      help: 'seconds that it has to answer (default: 5)',
      range: [1, 65_535],
    },
    unix: { value: 'PATH', help: 'ask by a unix socket; @NAME is an abstract one' },
  },
};

const everywhere: Readonly<Record<string, OptionSpec>> = {
  help: { short: 'h', help: 'show this help' },
  version: { short: 'v', help: 'show the version' },
};

/** All commands, in the order of the help text. */
export const commands: readonly CommandSpec[] = [start, explain, healthcheck];

/**
 * Parses the arguments after the program's name.
 *
 * @throws {@link CliError} for an unknown command or option, a missing or surplus operand and a value that does not fit
 */
export function parse(args: readonly string[]): Invocation {
  const name = args[0];
  const named = name !== undefined && !name.startsWith('-');
  const command = named ? commandNamed(name) : undefined;
  const specs = { ...command?.options, ...everywhere };
  const { tokens } = parseArgs({
    args: args.slice(named ? 1 : 0),
    options: Object.fromEntries(
      Object.entries(specs).map(([key, spec]) => [key, parserOption(spec)]),
    ),
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const operands: string[] = [];
  const numbers: Record<string, number> = {};
  const strings: Record<string, string> = {};
  const switches = new Set<string>();
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    const spec = Object.hasOwn(specs, token.name) ? specs[token.name] : undefined;
    if (spec === undefined) throw unknownOption(token.rawName, Object.keys(specs), command);
    if (spec.value === undefined) {
      if (token.value !== undefined) throw new CliError(`${token.rawName} takes no value`);
      switches.add(token.name);
    } else if (token.value === undefined || (!token.inlineValue && /^-\D/.test(token.value))) {
      throw new CliError(`${token.rawName} needs a value: ${token.rawName} ${spec.value}`);
    } else if (spec.range === undefined) {
      strings[token.name] = wordOf(token.rawName, token.value, spec.choices);
    } else {
      numbers[token.name] = wholeNumber(token.rawName, token.value, spec.range);
    }
  }
  const asked = { help: switches.has('help'), version: switches.has('version') };
  if (command !== undefined && !asked.help && !asked.version) checkOperands(command, operands);
  return { command, operands, numbers, strings, switches, ...asked };
}

/** The help text of a command, or of the program. */
export function helpText(command: CommandSpec | undefined): string {
  if (command === undefined) {
    return [
      'Gyrfalcon, an HTTP server: a Zig engine, TypeScript handlers.',
      '',
      'Usage: gyrfalcon <command> [options]',
      '',
      'Commands:',
      ...commands.map(({ name, summary }) => `  ${name.padEnd(22)}${summary}`),
      '',
      'Options:',
      ...optionLines(everywhere),
      '',
      'More on a command: gyrfalcon <command> --help',
    ].join('\n');
  }
  return [
    `${command.summary}.`,
    '',
    `Usage: ${command.usage}`,
    '',
    ...command.about,
    '',
    'Options:',
    ...optionLines({ ...command.options, help: everywhere.help as OptionSpec }),
  ].join('\n');
}

function optionLines(specs: Readonly<Record<string, OptionSpec>>): string[] {
  return Object.entries(specs).map(([name, { short, value, help }]) => {
    const left = `${short === undefined ? '    ' : `-${short}, `}--${name}${value ? ` ${value}` : ''}`;
    return `  ${left.padEnd(22)}${help}`;
  });
}

function parserOption({ short, value }: OptionSpec): {
  type: 'string' | 'boolean';
  short?: string;
} {
  const type = value === undefined ? 'boolean' : 'string';
  return short === undefined ? { type } : { type, short };
}

function commandNamed(name: string): CommandSpec {
  const found = commands.find((command) => command.name === name);
  if (found !== undefined) return found;
  if (/[./\\]/.test(name)) {
    throw new CliError(`unknown command "${name}"`, `to serve a file: gyrfalcon start ${name}`);
  }
  const near = closest(
    name,
    commands.map((command) => command.name),
  );
  throw new CliError(
    `unknown command "${name}"`,
    near === undefined ? 'gyrfalcon --help lists the commands' : `did you mean "${near}"?`,
  );
}

function unknownOption(raw: string, known: string[], command: CommandSpec | undefined): CliError {
  const near = closest(raw.replace(/^-+/, ''), known);
  const help = ['gyrfalcon', command?.name, '--help'].filter((word) => word !== undefined);
  return new CliError(
    `unknown option "${raw}"`,
    near === undefined ? `${help.join(' ')} lists the options` : `did you mean "--${near}"?`,
  );
}

function wholeNumber(name: string, text: string, [min, max]: readonly [number, number]): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= min && number <= max) return number;
  throw new CliError(`${name} takes a whole number from ${min} to ${max}, not "${text}"`);
}

function wordOf(name: string, text: string, choices: readonly string[] = [text]): string {
  if (choices.includes(text)) return text;
  throw new CliError(`${name} takes one of ${choices.join(', ')}, not "${text}"`);
}

function checkOperands(command: CommandSpec, operands: readonly string[]): void {
  const missing = command.operands[operands.length];
  if (missing !== undefined) throw new CliError(`<${missing}> is missing`, command.usage);
  const surplus = operands[command.operands.length + (command.optional?.length ?? 0)];
  if (surplus !== undefined)
    throw new CliError(`"${surplus}" is one operand too many`, command.usage);
}
