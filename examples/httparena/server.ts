/**
 * An entry for HttpArena: one process for each CPU, on the ports that the profiles ask for.
 *
 *     node --import gyrfalcon/loader examples/httparena/data.ts build/httparena
 *     DATA_DIR=build/httparena node --import gyrfalcon/loader examples/httparena/server.ts
 *
 *     curl 'http://localhost:8080/baseline11?a=13&b=42'
 *     curl 'http://localhost:8080/json/2?m=3'
 */
import cluster from 'node:cluster';
import { availableParallelism } from 'node:os';
import { keepFor } from './cache.ts';

const { PROCESSES = String(availableParallelism()) } = process.env;

/** When one ends that was not asked to, all do: whoever runs this is to notice. */
function startProcesses(count: number): void {
  let starting = count;
  let isStopping = false;
  const stop = (): void => {
    isStopping = true;
    for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGTERM');
  };
  process.once('SIGTERM', stop);
  cluster.on('exit', (_, code, signal) => {
    if (isStopping) return;
    console.error(`A process has ended: ${signal ?? code}`);
    process.exitCode = 1;
    stop();
  });
  for (let n = 0; n < count; n += 1) {
    const worker = cluster.fork({ PROCESSES });
    keepFor(worker);
    worker.on('message', (message) => {
      if (typeof message !== 'string') return;
      starting -= 1;
      if (starting === 0) console.log(`${count} processes: ${message}`);
    });
  }
}

if (cluster.isPrimary) startProcesses(Number(PROCESSES));
else await import('./worker.ts');
