// Where a contender's time goes: perf (sampling, the kernel included), else valgrind's callgrind
// (instructions of the process itself). `node bench/profile.mjs zig`
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { MissingError } from '../scripts/lib/project.mjs';
import { main } from '../scripts/lib/setup.mjs';
import { prepareFiles } from './contenders/data.mjs';
import { callgrind } from './lib/callgrind.mjs';
import { choose, startEntrant } from './lib/entrant.mjs';
import { chooseLoad, load } from './lib/load.mjs';
import { checkCores } from './lib/machine.mjs';
import { readOptions } from './lib/options.mjs';
import { stop, tree } from './lib/process.mjs';
import { home, run } from './lib/tools.mjs';

const SAMPLES_PER_SECOND = 2999;

const [name, ...rest] = process.argv.slice(2);
const at = rest.indexOf('--top');
const top = at < 0 ? 40 : Number(rest.splice(at, 2)[1]);
const flag = (word) => {
  const index = rest.indexOf(word);
  return index >= 0 && rest.splice(index, 1).length === 1;
};
const callers = flag('--callers');
const instructions = flag('--callgrind');
if (name === undefined || name.startsWith('-') || !(top > 0)) {
  console.error(
    'usage: node bench/profile.mjs NAME [--top 40] [--callers] [--callgrind] [--smoke] [options]',
  );
  process.exit(2);
}
const options = readOptions(['--seconds', '5', ...rest]);
const [row] = choose([name]);

const folder = join(home, 'profile');
const found = (program) =>
  (process.env.PATH ?? '').split(delimiter).some((part) => existsSync(join(part, program)));

await main(async () => {
  checkCores(options);
  await mkdir(folder, { recursive: true });
  await prepareFiles();
  await chooseLoad(options);
  if (found('perf') && !instructions) await withPerf();
  else if (found('valgrind')) await withCallgrind();
  else if (instructions) throw new MissingError('valgrind is not on PATH: install it');
  else throw new MissingError('neither perf (linux-perf) nor valgrind is on PATH: install one');
});

async function withPerf() {
  // Node.js then tells perf the names of compiled JavaScript, in /tmp/perf-PID.map.
  const env = { NODE_OPTIONS: '--perf-basic-prof' };
  const entrant = await startEntrant(row, options, { env });
  const data = join(folder, `${name}.data`);
  try {
    const target = { ...entrant, ...entrant.expected };
    if (options.warmup > 0) await load(target, { ...options, seconds: options.warmup });
    const record = ['record', '-q', '-e', 'cpu-clock', '-F', String(SAMPLES_PER_SECOND)];
    if (callers) record.push('-g');
    const pids = tree(entrant.server.pid).join(',');
    const perf = spawn('perf', [...record, '-o', data, '-p', pids], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const ended = once(perf, 'exit');
    const result = await load(target, options);
    perf.kill('SIGINT'); // perf writes its data and ends
    await ended;
    console.log(`${name}: ${(result.requests / result.seconds).toFixed(0)} req/s while profiled\n`);
    const shape = callers ? ['-g', 'caller,0.5,callee'] : ['-g', 'none'];
    const report = ['perf', 'report', '-i', data, '--stdio', '--no-children'];
    print(await run([...report, '-g', 'none', '--sort', 'dso', '--percent-limit', '0.5']));
    console.log();
    print(await run([...report, ...shape, '--sort', 'dso,symbol', '--percent-limit', '0.2']));
  } finally {
    const pids = tree(entrant.server.pid);
    await stop(entrant.server);
    for (const pid of pids) await rm(`/tmp/perf-${pid}.map`, { force: true });
  }
}

async function withCallgrind() {
  const data = join(folder, `${name}.callgrind`);
  const entrant = await startEntrant(row, options, { wrap: callgrind(data), readyMs: 120_000 });
  let requests = 0;
  try {
    ({ requests } = await load({ ...entrant, ...entrant.expected }, options));
  } finally {
    await stop(entrant.server); // callgrind writes its data when the server ends on SIGTERM
  }
  const annotated = await run(['callgrind_annotate', '--auto=no', data]);
  const total = Number(/^([\d,]+) .*PROGRAM TOTALS/m.exec(annotated)?.[1].replaceAll(',', ''));
  console.log(`${name}: ${(total / requests).toFixed(0)} instructions per request\n`);
  print(annotated.slice(annotated.indexOf('file:function')));
}

function print(text) {
  const lines = text
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    // perf pads to its longest symbol and adds empty columns.
    .map((line) => line.replace(/(\S) {3,}/g, '$1  ').replace(/[\s-]+$/, ''));
  console.log(lines.slice(0, callers ? top * 10 : top).join('\n'));
}
