// What a server executes, counted by valgrind's callgrind, between two moments that the caller names.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { run } from './tools.mjs';

/**
 * Caches of a size of their own, whatever the processor at hand has: 32 KiB for code and for data, 8 MiB behind them. They
 * are simulated, so that two machines count the same.
 */
const caches = ['--cache-sim=yes', '--I1=32768,8,64', '--D1=32768,8,64', '--LL=8388608,16,64'];

/**
 * What runs a command, and what that makes of itself by exec, under callgrind; code that V8 makes anew is seen.
 * @param {string} file  where counts go, at the end of the process
 * @param {string[]} options  more of callgrind's
 */
export const callgrind = (file, ...options) => [
  'valgrind',
  '-q',
  '--tool=callgrind',
  '--trace-children=yes',
  '--trace-children-skip=*esbuild*', // a program of Go, which valgrind does not always bear
  '--smc-check=all-non-file',
  ...options,
  `--callgrind-out-file=${file}`,
];

/**
 * The same so that a process can be counted from `beginCounting` on.
 * @param {string} file  each dump is `file`.1, .2 and so on
 */
export const counting = (file) => callgrind(file, ...caches, '--instr-atstart=no');

/** The process begins to count, with caches that are empty. @param {number} pid */
export const beginCounting = (pid) => control(pid, '--instr=on');

const control = (pid, what) => run(['callgrind_control', what, String(pid)], { timeout: 60_000 });

/**
 * @typedef {object} Counts
 * @property {number} instructions
 * @property {number} codeMisses  of the first cache for code
 * @property {number} dataMisses  of the first cache for data, reads and writes
 */

/**
 * Counts of what a process has executed since it was asked last, or began.
 * @param {number} pid  of a process that `counting(file)` runs
 * @param {string} file
 * @param {RegExp} part  names of the programs and libraries that count: "linux.x64.so"
 * @returns {Promise<Counts>}
 */
export async function countsSince(pid, file, part) {
  let number = 1;
  while (existsSync(`${file}.${number}`)) number += 1;
  await control(pid, '--dump');
  const dump = `${file}.${number}`;
  if (!existsSync(dump)) throw new Error(`callgrind has written no ${basename(dump)}`);
  return countsIn(readFileSync(dump, 'latin1'), part);
}

/** Removes what a process has dumped. */
export function removeDumps(file) {
  rmSync(file, { force: true });
  for (let number = 1; existsSync(`${file}.${number}`); number += 1) rmSync(`${file}.${number}`);
}

const events = { instructions: ['Ir'], codeMisses: ['I1mr'], dataMisses: ['D1mr', 'D1mw'] };

/**
 * Sums the self cost of the functions of some programs and libraries. The format is that of "Callgrind Format
 * Specification" in valgrind's manual: `ob=` names whose code the lines behind it are of, by a number and, the first time, a
 * name; a line behind `calls=` has the cost of what was called, which is not the function's own.
 * @param {string} text
 * @param {RegExp} part
 * @returns {Counts}
 */
export function countsIn(text, part) {
  const names = new Map();
  const counts = { instructions: 0, codeMisses: 0, dataMisses: 0 };
  let columns = [];
  let counted = false;
  let isCall = false;
  for (const line of text.split('\n')) {
    const object = /^c?ob=\((\d+)\)(?: (.*))?$/.exec(line);
    if (object !== null) {
      const [, number, name] = object;
      if (name !== undefined) names.set(number, part.test(name));
      if (!line.startsWith('c')) counted = names.get(number) === true;
    } else if (line.startsWith('events: ')) {
      columns = line.slice('events: '.length).trim().split(' ');
    } else if (line.startsWith('calls=')) {
      isCall = true;
    } else if (/^[\d+*-]/.test(line)) {
      if (counted && !isCall) add(counts, columns, line.split(' ').slice(1));
      isCall = false;
    }
  }
  return counts;
}

function add(counts, columns, numbers) {
  for (const [name, parts] of Object.entries(events)) {
    for (const part of parts) counts[name] += Number(numbers[columns.indexOf(part)] ?? 0);
  }
}
