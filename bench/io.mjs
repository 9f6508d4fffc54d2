// One backend beside another: CPU time per request of the same server on io_uring and on epoll, each pinned to a core,
// loaded in turn by wrk on another. What is printed is the median of the ratios of the rounds; and the ratio of the best
// rounds, which a busy machine disturbs least: what others do makes a request dearer, never cheaper.
// wrk opens its connections within the slot that is measured: from 1024 of them on it lasts four seconds, not one, so that
// opening them is a small part of what is counted.
//   node bench/io.mjs [--only hello,pipelined,file,large,upload] [--connections 1,64,512,4096] [--rounds 5]
//                     [--seconds SECONDS] [--smoke]
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { main } from '../scripts/lib/setup.mjs';
import { file6150 } from './contenders/data.mjs';
import { checkCores } from './lib/machine.mjs';
import { integer } from './lib/options.mjs';
import { cpuMicrosBetween, cpuTime, freePort, start, stop } from './lib/process.mjs';
import { median } from './lib/statistics.mjs';
import { gyrfalcon, home, libraryEnv, wrk, zigProgram } from './lib/tools.mjs';

const execute = promisify(execFile);
const backends = ['io_uring', 'epoll'];

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    connections: { type: 'string', default: '1,64,512,4096' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string' },
    smoke: { type: 'boolean', default: false },
  },
});
const connections = values.smoke
  ? [4]
  : values.connections
      .split(',')
      .map((connections) => integer({ connections }, 'connections', 1, 20_000));
const rounds = values.smoke ? 1 : integer(values, 'rounds', 1, 1000);
const seconds = values.seconds === undefined ? null : integer(values, 'seconds', 1, 600);
/** How long wrk is at it, with so many connections. */
const secondsOf = (count) => (values.smoke ? 1 : (seconds ?? (count < 1024 ? 1 : 4)));

const www = join(home, 'www-io');
const report = `
done = function(summary)
  local e = summary.errors
  io.write(string.format('IO %d %d\\n', summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
`;

/** What is asked for, of which server, and wrk's script for it. */
const workloads = {
  hello: { server: 'app', path: '/', script: '' },
  pipelined: {
    server: 'app',
    path: '/',
    script: `init = function() local r = {}; for i = 1, 16 do r[i] = wrk.format(nil) end; all = table.concat(r) end
request = function() return all end\n`,
  },
  file: { server: 'files', path: '/file.txt', script: '' },
  large: { server: 'files', path: '/large.bin', script: '' },
  upload: {
    server: 'app',
    path: '/',
    script: `wrk.method = 'POST'; wrk.body = string.rep('x', 65536)\n`,
  },
};

async function programs() {
  const engine = ['-lc', '--dep', 'gyrfalcon'];
  const modules = (root) => [...engine, `-Mroot=${root}`, '-Mgyrfalcon=zig/gyrfalcon.zig'];
  return {
    app: await zigProgram('zig_io', modules('bench/apps/zig_io.zig')),
    files: await gyrfalcon(),
  };
}

function commandOf(server, program, port) {
  if (server === 'app') return [program, String(port)];
  const where = ['--host', '127.0.0.1', '--port', String(port)];
  return [program, 'serve', www, ...where, '--workers', '1'];
}

/** CPU µs per request of one run of wrk. */
async function measure({ server, port }, { path, script }, count) {
  const file = join(home, 'io.lua');
  await writeFile(file, script + report);
  const load = [await wrk(), '-t1', `-c${count}`, `-d${secondsOf(count)}s`, '--timeout', '20s'];
  const command = ['-c', '1', ...load, '-s', file, `http://127.0.0.1:${port}${path}`];
  const before = cpuTime([server.pid]);
  const { stdout } = await execute('taskset', command, { env: { ...process.env, ...libraryEnv } });
  const used = cpuMicrosBetween(before, cpuTime([server.pid]));
  const [, requests, errors] = /^IO (\d+) (\d+)$/m.exec(stdout) ?? [];
  if (requests === undefined || Number(requests) === 0) throw new Error(`nothing came: ${stdout}`);
  return { micros: used / Number(requests), errors: Number(errors) };
}

async function race(name, count, program) {
  const workload = workloads[name];
  const servers = {};
  const found = { io_uring: [], epoll: [], ratios: [], errors: 0 };
  try {
    for (const backend of backends) {
      const port = await freePort();
      const command = commandOf(workload.server, program[workload.server], port);
      const env = { GYRFALCON_IO: backend };
      servers[backend] = { server: start(command, { core: 0, nice: 0, env }), port };
      await listening(servers[backend], backend);
      await measure(servers[backend], workload, count); // warm
    }
    for (let round = 0; round < rounds; round += 1) {
      const order = round % 2 === 0 ? backends : [...backends].reverse();
      const micros = {};
      for (const backend of order) {
        const one = await measure(servers[backend], workload, count);
        micros[backend] = one.micros;
        found.errors += one.errors;
        found[backend].push(one.micros);
      }
      found.ratios.push(micros.io_uring / micros.epoll);
    }
  } finally {
    for (const { server } of Object.values(servers)) await stop(server);
  }
  return found;
}

/** Waits until it listens, on what it was asked to. */
async function listening({ server }, backend) {
  for (let tries = 0; tries < 200; tries += 1) {
    const line = /listening on \S+ (\w+)/.exec(server.output);
    if (line?.[1] === backend) return;
    if (line !== null) throw new Error(`not on ${backend}: ${server.output}`);
    if (server.exited !== null) throw new Error(`${server.exited}: ${server.output}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`it does not listen: ${server.output}`);
}

await main(async () => {
  checkCores({ serverCore: 0, loadCore: 1 });
  await mkdir(www, { recursive: true });
  await writeFile(join(www, 'file.txt'), file6150);
  await writeFile(join(www, 'large.bin'), Buffer.alloc(2 ** 20, 'large '));
  const program = await programs();
  const names = values.smoke
    ? Object.keys(workloads)
    : (values.only?.split(',') ?? Object.keys(workloads));
  console.log(
    '| load | connections | io_uring µs | epoll µs | ratio | from | to | of the best | errors |',
  );
  console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
  for (const name of names) {
    for (const count of connections) {
      const found = await race(name, count, program);
      const numbers = [
        median(found.io_uring).toFixed(2),
        median(found.epoll).toFixed(2),
        median(found.ratios).toFixed(3),
        Math.min(...found.ratios).toFixed(3),
        Math.max(...found.ratios).toFixed(3),
        (Math.min(...found.io_uring) / Math.min(...found.epoll)).toFixed(3),
        found.errors,
      ];
      console.log(`| ${name} | ${count} | ${numbers.join(' | ')} |`);
    }
  }
});
