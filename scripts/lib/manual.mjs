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
  const date = new Date(time * 1000).toISOString().slice(0, 10);
  const last = usage.trimEnd().split('\n').at(-1);
  const lines = [
    `.TH GYRFALCON 1 ${date} "Gyrfalcon ${version}" "User Commands"`,
    '.SH NAME',
    'gyrfalcon \\- HTTP server for static files',
    '.SH SYNOPSIS',
    '.B gyrfalcon serve',
    '.I directory',
    '.RI [ options ]',
    '.SH DESCRIPTION',
    'Serves the files below a directory over HTTP/1.1 and HTTP/2, until SIGTERM or SIGINT: what is in flight is finished then.',
    'A second signal ends it at once.',
    escaped(last),
    '.SH OPTIONS',
    ...options.flatMap(([, option, about]) => {
      const [name, value] = option.split(' ');
      const line = value === undefined ? `.B ${escaped(name)}` : `.BI ${escaped(name)} " ${value}"`;
      return ['.TP', line, escaped(`${about[0].toUpperCase()}${about.slice(1)}.`)];
    }),
    '.SH EXIT STATUS',
    '0 when a signal has ended it, 1 when it could not start or lost its sockets, 2 for wrong arguments.',
    '.SH FILES',
    '.TP',
    '.I /etc/default/gyrfalcon',
    'What gyrfalcon.service of the package for Debian serves, and how.',
  ];
  return `${lines.join('\n')}\n`;
}
