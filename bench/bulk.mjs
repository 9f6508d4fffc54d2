// One large body each way over HTTP/2, on one stream: throughput of Gyrfalcon beside nginx, each pinned to a core, loaded in
// turn by h2load on another. Uploads go into a file (nginx: by PUT of its module for WebDAV), and, at Gyrfalcon, nowhere.
//   node bench/bulk.mjs [--only down,up] [--way h2,h2-tls] [--mib 1024] [--rounds 3] [--smoke]
import { execFile } from 'node:child_process';
import { mkdir, open as openFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { main } from '../scripts/lib/setup.mjs';
import { targetHere } from '../scripts/lib/targets.mjs';
import { tlsThere } from '../scripts/lib/tls.mjs';
import { app, nginxTls, nginxWith } from './contenders/programs.mjs';
import { checkCores } from './lib/machine.mjs';
import { integer } from './lib/options.mjs';
import { cpuMicrosBetween, cpuTime, freePort, start, stop, tree } from './lib/process.mjs';
import { median } from './lib/statistics.mjs';
import { certificate, gyrfalcon, h2load, home, libraryEnv } from './lib/tools.mjs';
import { open } from './lib/verify.mjs';

const execute = promisify(execFile);

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'down,up' },
    way: { type: 'string', default: 'h2,h2-tls' },
    mib: { type: 'string', default: '1024' },
    rounds: { type: 'string', default: '3' },
    smoke: { type: 'boolean', default: false },
  },
});
const mib = values.smoke ? 16 : integer(values, 'mib', 1, 65_536);
const rounds = values.smoke ? 1 : integer(values, 'rounds', 1, 1000);

const www = join(home, 'www-bulk');
const into = join(www, 'into');
const file = join(www, 'bulk.bin');

/** @param {boolean} isSecured */
const nginxOf = (isSecured) => (isSecured ? nginxTls : nginxWith);

/** Who takes part: how it is started, and what it is asked. */
const entrants = {
  down: [
    {
      name: 'gyrfalcon',
      path: '/bulk.bin',
      command: async ({ port }, isSecured) => {
        const where = ['--host', '127.0.0.1', '--port', String(port), '--workers', '1'];
        const { cert, key } = isSecured ? await certificate() : {};
        const secured = isSecured ? ['--tls-cert', cert, '--tls-key', key] : [];
        return [await gyrfalcon(), 'serve', www, ...where, ...secured];
      },
    },
    {
      name: 'nginx',
      path: '/bulk.bin',
      command: (place, isSecured) => nginxOf(isSecured)(`root ${www};`, ' http2')(place),
    },
  ],
  up: [
    { name: 'gyrfalcon, TypeScript, into a file', path: '/file', command: uploadApp },
    { name: 'gyrfalcon, TypeScript, BYOB, into a file', path: '/byob', command: uploadApp },
    { name: 'gyrfalcon, TypeScript, counted', path: '/count', command: uploadApp },
    {
      name: 'nginx, into a file',
      path: '/nginx.bin',
      method: 'PUT',
      command: (place, isSecured) => {
        const server = `root ${into}; client_max_body_size 0; dav_methods PUT; client_body_temp_path ${into};`;
        return nginxOf(isSecured)(server, ' http2')(place);
      },
    },
  ],
};

async function uploadApp(place, isSecured) {
  const { cert, key } = isSecured ? await certificate() : {};
  const secured = isSecured ? [`GYRFALCON_BENCH_CERT=${cert}`, `GYRFALCON_BENCH_KEY=${key}`] : [];
  return app('upload.ts', `GYRFALCON_BENCH_INTO=${into}`, ...secured)(place);
}

/** One body: MiB a second, and the server's CPU ms for each MiB. */
async function measure({ server, port }, entrant, direction, isSecured) {
  const data = direction === 'up' ? ['-d', file] : [];
  const method = entrant.method === undefined ? [] : ['-H', `:method: ${entrant.method}`];
  const load = [await h2load(), '-n1', '-c1', '-m1', '-t1', ...data, ...method];
  const url = `http${isSecured ? 's' : ''}://127.0.0.1:${port}${entrant.path}`;
  const pids = () => tree(server.pid);
  const before = cpuTime(pids());
  const { stdout } = await execute('taskset', ['-c', '1', ...load, url], {
    env: { ...process.env, ...libraryEnv },
    timeout: 300_000,
  });
  const used = cpuMicrosBetween(before, cpuTime(pids()));
  const [, amount, unit] = /^finished in ([\d.]+)(us|ms|s|m)/m.exec(stdout) ?? [];
  if (!/ 1 2xx,/.test(stdout) || amount === undefined)
    throw new Error(`${entrant.name}: ${stdout}`);
  const seconds = Number(amount) * { us: 1e-6, ms: 1e-3, s: 1, m: 60 }[unit];
  const bytes = Number(/\((\d+)\) data/.exec(stdout)?.[1]);
  if (direction === 'down' && bytes !== mib * 2 ** 20) throw new Error(`${bytes} bytes came`);
  return { speed: mib / seconds, cpu: used / 1000 / mib };
}

async function race(direction, isSecured) {
  if (isSecured && tlsThere(targetHere()) === undefined)
    return console.log('left out over TLS, which is not built: npm run build:tls');
  const running = [];
  try {
    for (const entrant of entrants[direction]) {
      const port = await freePort();
      const command = await entrant.command({ port }, isSecured);
      const server = start(command, { core: 0, nice: 0, env: libraryEnv });
      running.push({ entrant, server, port, speeds: [], cpus: [] });
      await listening(server, port);
    }
    for (let round = 0; round <= rounds; round += 1) {
      for (const one of round % 2 === 0 ? running : [...running].reverse()) {
        const { speed, cpu } = await measure(one, one.entrant, direction, isSecured);
        if (round === 0 && !values.smoke) continue; // warm
        one.speeds.push(speed);
        one.cpus.push(cpu);
      }
    }
  } finally {
    for (const { server } of running) await stop(server);
  }
  const way = isSecured ? 'h2-tls' : 'h2';
  for (const { entrant, speeds, cpus } of running) {
    const numbers = [median(speeds).toFixed(0), median(cpus).toFixed(3)];
    console.log(`| ${way} ${direction} | ${entrant.name} | ${numbers.join(' | ')} |`);
  }
}

/** Waits until it takes connections. */
async function listening(server, port) {
  for (let tries = 0; tries < 200; tries += 1) {
    if (server.exited !== null) throw new Error(`${server.exited}: ${server.output}`);
    const socket = await open(port, false).catch(() => null);
    if (socket !== null) return socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`it does not listen: ${server.output}`);
}

/** A file of so many MiB, which no file system keeps as a hole. */
async function writeBulk() {
  await mkdir(into, { recursive: true });
  const bytes = mib * 2 ** 20;
  if ((await stat(file).catch(() => null))?.size === bytes) return;
  const handle = await openFile(file, 'w');
  const piece = Buffer.alloc(2 ** 20, 'bulk ');
  for (let n = 0; n < mib; n += 1) await handle.write(piece);
  await handle.close();
}

await main(async () => {
  checkCores({ serverCore: 0, loadCore: 1 });
  await writeBulk();
  try {
    console.log(`| ${mib} MiB | server | MiB/s | CPU ms/MiB |`);
    console.log('| --- | --- | ---: | ---: |');
    for (const way of values.way.split(','))
      for (const direction of values.only.split(',')) await race(direction, way === 'h2-tls');
  } finally {
    await rm(into, { recursive: true, force: true });
  }
});
