import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { behind, CpuGroup } from '../support/confine.ts';
import { lacks, listening, type RunningServer, start, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { connect, type RawClient } from '../support/socket.ts';
import { until } from '../support/wait.ts';
import { waysOf } from '../support/ways.ts';

// What the machine grants a process: CPUs of its set, a container's quota of them, descriptors.
const test = suite('machine');
const cpus = availableParallelism();
const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-machine-'));
/** Above what is served from memory. */
const largeBytes = 100_000;
writeFileSync(join(folder, 'large.bin'), Buffer.alloc(largeBytes, 'x'));

test.after(async () => {
  await stopAll();
  rmSync(folder, { recursive: true });
});

const ways = waysOf(folder, { workers: 2 });

/** Starts a command behind a line of shell. */
function startAfter(line: string, command: readonly string[]): Promise<RunningServer> {
  const [shell, ...rest] = [...behind(line), ...command] as [string, ...string[]];
  return listening(start(shell, rest));
}

const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

async function ask(client: RawClient, path: string): Promise<number> {
  await client.send(request(path));
  return (await client.response()).status;
}

for (const { name, command, files } of ways) {
  const large = `${files}large.bin`;
  test(`with few descriptors ${name} serves as many connections as leave some to files`, async () => {
    const server = await startAfter('ulimit -n 150', command);
    const told = /limit of open files is 150 \(ulimit -n\): (\d+) connections/;
    const most = Number(told.exec(server.stderr())?.[1]);
    assert.ok(most > 40 && most < 120, server.stderr());
    const clients = await Promise.all(
      Array.from({ length: most + 20 }, () => connect(server.port)),
    );
    const sent = clients.map((client) => ask(client, large));
    for (const answer of sent) answer.catch(() => {});
    const served = (): RawClient[] => clients.filter((client) => client.socket.bytesRead > 0);
    await until(() => served().length === most, `${served().length} of ${most} to be served`);
    // At the limit a file can be opened still, and nobody else is let in.
    for (const client of served()) {
      await until(() => client.received.length === 0, 'the first answer');
      assert.is(await ask(client, large), 200);
    }
    assert.is(served().length, most);
    for (const client of served().slice(0, 20)) client.destroy();
    assert.equal(
      await Promise.all(sent),
      sent.map(() => 200),
    );
    for (const client of clients) client.destroy();
    await server.stop();
    assert.not.match(server.stderr(), 'out of descriptors');
  });

  test(`${name} raises a low soft limit, and then has nothing to tell`, async () => {
    const server = await startAfter('ulimit -Sn 64', command);
    const limits = readFileSync(`/proc/${server.child.pid}/limits`, 'latin1');
    const soft = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]);
    assert.ok(soft > 10_000, `${soft}`);
    assert.not.match(server.stderr(), 'limit of open files');
    await server.stop();
  });
}

/** Threads of the process that run on fewer CPUs than it has, by their CPU. */
function pinned({ child }: RunningServer): string[] {
  const tasks = `/proc/${child.pid}/task`;
  return readdirSync(tasks).flatMap((task) => {
    const status = readFileSync(join(tasks, task, 'status'), 'latin1');
    return /^Cpus_allowed_list:\s+(\S+)$/m.exec(status)?.[1] ?? [];
  });
}

const [, , executable] = ways;
const noTaskset = lacks('taskset');
const fewCpus = cpus < 2 ? 'this machine has one CPU' : undefined;

testUnless(
  test,
  noTaskset ?? fewCpus,
  'pinned workers keep to the CPUs of the process',
  async () => {
    const server = await listening(start('taskset', ['-c', '1', ...executable.command, '--pin']));
    assert.equal([...new Set(pinned(server))], ['1']);
    await server.stop();
  },
);

testUnless(test, fewCpus, 'worker n is pinned to the n-th CPU, and round again', async () => {
  const command = executable.command.with(-1, String(cpus + 1));
  const server = await listening(start(command[0] as string, [...command.slice(1), '--pin']));
  const alone = pinned(server).filter((list) => /^\d+$/.test(list));
  assert.is(alone.length, cpus + 1);
  assert.is(new Set(alone).size, cpus);
  await server.stop();
});

/** Workers that it started by itself. */
const workersOf = (server: RunningServer): number =>
  Number(/(\d+) workers?\b/.exec(server.stderr())?.[1]);

const [, , unset] = waysOf(folder).map(({ command }) => command) as [unknown, unknown, string[]];

testUnless(test, noTaskset ?? fewCpus, 'there is a worker for each CPU of the set', async () => {
  const server = await listening(start('taskset', ['-c', '1', ...unset]));
  assert.is(workersOf(server), 1);
  await server.stop();
});

testUnless(
  test,
  CpuGroup.missing() ?? fewCpus,
  'a container’s CPU quota bounds the workers',
  async () => {
    const group = new CpuGroup();
    try {
      for (const [quota, workers] of [
        [100_000, 1],
        [110_000, 2],
        [50_000, 1],
        [-1, cpus],
      ] as const) {
        group.quota = quota;
        const [command, ...rest] = [...group.prefix, ...unset] as [string, ...string[]];
        const server = await listening(start(command, rest));
        assert.is(workersOf(server), workers, `quota ${quota}`);
        await server.stop();
      }
    } finally {
      group.remove();
    }
  },
);

test.run();
