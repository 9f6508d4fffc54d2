// The manual page of the executable, from what its `--help` says.
import { readFileSync } from 'node:fs';
import { at, SetupError } from './project.mjs';

/** The text of `gyrfalcon --help`, as zig/main.zig has it. */
export function usageText() {
  const source = readFileSync(at('zig', 'main.zig'), 'utf8');
  const block = /^const usage =\n((?: {4}\\\\.*\n)+)/m.exec(source)?.[1];
  if (block === undefined) throw new SetupError('zig/main.zig has no usage text.');
  return block.replaceAll(/^ {4}\\\\/gm, '');
}

const escaped = (text) =>
  text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replace(/^[.']/, '\\&$&');

/** A way to call it, as a line of the synopsis: `gyrfalcon serve <directory> [options]`. */
function synopsisOf(call) {
  return escaped(call)
    .replace(/^gyrfalcon \w+/, '\\fB$&\\fR')
    .replaceAll(/<(\w+)>/g, '\\fI$1\\fR')
    .replaceAll('[options]', '[\\fIoptions\\fR]')
    .replaceAll(/((?:\\-){2}[\w\\-]+) ([A-Z]+)/g, '\\fB$1\\fR \\fI$2\\fR');
}

/**
 * gyrfalcon(1), in the language of man(7).
 *
 * @param {string} version
 * @param {number} time seconds since 1970
 */
export function manualOf(version, time) {
  const usage = usageText();
  const options = [...usage.matchAll(/^ {2}(--[\w-]+(?: [A-Z]+)?) +(.*)$/gm)];
  if (options.length === 0) throw new SetupError('The usage text of zig/main.zig has no options.');
  const calls = [...usage.matchAll(/^(?:Usage:| {6}) (gyrfalcon .*)$/gm)].map(([, call]) => call);
  if (calls.length === 0) throw new SetupError('The usage text of zig/main.zig has no usage.');
  const [, about] = usage.split('\n\n');
  const date = new Date(time * 1000).toISOString().slice(0, 10);
  const last = usage.trimEnd().split('\n').at(-1);
  const lines = [
    `.TH GYRFALCON 1 ${date} "Gyrfalcon ${version}" "User Commands"`,
    '.SH NAME',
    'gyrfalcon \\- HTTP server for static files',
    '.SH SYNOPSIS',
    calls.map(synopsisOf).join('\n.br\n'),
    '.SH DESCRIPTION',
    escaped(about.replaceAll('\n', ' ')),
    '.PP',
    'It serves over HTTP/1.1 and HTTP/2, until SIGTERM or SIGINT: what is in flight is finished then.',
    'A second signal ends it at once.',
    '.SH OPTIONS',
    ...options.flatMap(([, option, about]) => {
      const [name, value] = option.split(' ');
      const line = value === undefined ? `.B ${escaped(name)}` : `.BI ${escaped(name)} " ${value}"`;
      return ['.TP', line, escaped(`${about[0].toUpperCase()}${about.slice(1)}.`)];
    }),
    '.PP',
    escaped(last),
    '.SH EXIT STATUS',
    ...['.TP', '0', 'A signal has ended the server.'],
    'Of healthcheck: the server has answered with a status below 400.',
    ...['.TP', '1', 'The server could not start, or has lost its sockets.'],
    'Of healthcheck: the server has answered with another status, or not in time, or does not run.',
    ...['.TP', '2', 'The arguments are wrong.'],
    '.SH FILES',
    '.TP',
    '.I /etc/default/gyrfalcon',
    'What gyrfalcon.service of the package for Debian serves, and how.',
  ];
  return `${lines.join('\n')}\n`;
}
