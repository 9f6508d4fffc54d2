/** `gyrfalcon healthcheck`: asks a server once whether it answers, for containers that have no client of HTTP. */
import { type RequestOptions, request } from 'node:http';
import type { Invocation } from './arguments.ts';
import { CliError } from './errors.ts';

/** How long a server has to answer unless told, seconds. */
const timeoutDefault = 5;

/** What errors of the system's mean, by their codes. */
const meanings: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOENT: 'nothing listens there',
  ENOTFOUND: 'the name leads to no address',
  ECONNRESET: 'it closed the connection without an answer',
};

/**
 * Asks by GET, and ends the process: with 0 when the answer's status is below 400, else with 1 and a line on stderr.
 *
 * @throws {@link CliError} for what is no URL of http
 */
export async function healthcheck({ operands, numbers, strings }: Invocation): Promise<void> {
  const url = urlOf(operands[0] ?? `http://127.0.0.1:${process.env.PORT || 3000}/`);
  const seconds = numbers.timeout ?? timeoutDefault;
  const complaint = await ask(url, seconds * 1000, strings.unix);
  if (complaint !== undefined)
    console.error(`unhealthy: ${strings.unix ?? url.href}: ${complaint}`);
  process.exit(complaint === undefined ? 0 : 1);
}

function urlOf(text: string): URL {
  const hint = 'what speaks https has --https-port beside it, where http is answered';
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:') return url;
  throw new CliError(
    `healthcheck takes a URL as http://127.0.0.1:3000/, not "${text}"`,
    url?.protocol === 'https:' ? hint : undefined,
  );
}

/** What is wrong; undefined when nothing is. */
function ask(url: URL, timeoutMs: number, unix: string | undefined): Promise<string | undefined> {
  const path = unix?.startsWith('@') ? `\0${unix.slice(1)}` : unix;
  const options: RequestOptions = {
    agent: false,
    headers: { 'user-agent': 'gyrfalcon-healthcheck' },
    signal: AbortSignal.timeout(timeoutMs),
    ...(path === undefined ? {} : { socketPath: path }),
  };
  return new Promise((resolve) => {
    const asked = request(url, options, (answer) => {
      const status = answer.statusCode as number;
      answer.destroy();
      resolve(status < 400 ? undefined : `it answered ${status}`);
    });
    asked.on('error', (error: NodeJS.ErrnoException) => resolve(meaningOf(error, timeoutMs)));
    asked.end();
  });
}

function meaningOf({ code = '', message }: NodeJS.ErrnoException, timeoutMs: number): string {
  if (code === 'ABORT_ERR') return `it did not answer within ${timeoutMs / 1000} s`;
  if (code.startsWith('HPE_')) return 'it answered something that is no HTTP';
  return meanings[code] ?? message;
}
