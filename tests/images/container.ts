/** Containers of images, in namespaces of this machine: with a network, processes and mounts of their own. */
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type Ending, project, type Running, start } from '../support/process.ts';
import { until, within } from '../support/wait.ts';
import { emulatorOf, type Image } from './images.ts';

/** An emulated Node.js takes seconds to start on a machine at rest, and a minute on one that is not, ms. */
const startMs = 240_000;

export interface ContainerOptions {
  /** What is given to the entry point in the place of the image's own. */
  readonly args?: readonly string[];
  /** Folders that are mounted, read-only, by their places. */
  readonly mounts?: Readonly<Record<string, string>>;
}

/** What a program in a container came to. */
export interface Outcome {
  readonly code: number | null;
  readonly output: string;
}

/** An image's files, as a container of them is started, and what its configuration says. */
export class Container {
  readonly #image: Image;
  readonly #folder: string;
  readonly #running: Running;
  /** Of the program, as this machine numbers processes. */
  readonly pid: number;

  private constructor(image: Image, folder: string, running: Running, pid: number) {
    this.#image = image;
    this.#folder = folder;
    this.#running = running;
    this.pid = pid;
  }

  /**
   * Starts what the image is for, on files that nobody can write to, and waits until it listens.
   *
   * @param folder - the image's files
   */
  static async start(
    image: Image,
    folder: string,
    { args = image.config.Cmd, mounts = {} }: ContainerOptions = {},
  ): Promise<Container> {
    for (const name of ['dev', 'proc', 'tmp']) mkdirSync(join(folder, name), { recursive: true });
    const emulator = emulatorOf(image);
    if (emulator !== undefined) copyFileSync(emulator, join(folder, '.emulator'));
    const told = program(image, folder, [...image.config.Entrypoint, ...args]);
    const spaces = ['--net', '--pid', '--mount', '--ipc', '--uts', '--fork', '--kill-child'];
    const running = start('unshare', [...spaces, ...entering({ ...told, mounts })]);
    let ended = false;
    running.ended.then(() => {
      ended = true;
    });
    const listens = /listening on |Listening on /;
    await until(() => ended || listens.test(output(running)), 'the server in the image', startMs);
    assert.ok(!ended, output(running));
    const pid = childOf(running.child.pid as number);
    return new Container(image, folder, running, pid);
  }

  /** Runs a program in it to its end. */
  async exec(argv: readonly string[]): Promise<Outcome> {
    const told = program(this.#image, this.#folder, argv);
    const spaces = ['--net', '--pid', '--mount', '--ipc', '--uts'];
    const where = ['--target', String(this.pid), ...spaces];
    const running = start('nsenter', [...where, ...entering(told)]);
    const { code } = await within(running.ended, `the end of ${argv.join(' ')}`, startMs);
    return { code, output: output(running) };
  }

  /** What the image's HEALTHCHECK comes to. */
  health(): Promise<Outcome> {
    const [kind, ...argv] = this.#image.config.Healthcheck.Test;
    assert.is(kind, 'CMD', 'it needs no shell');
    return this.exec(argv);
  }

  /** Begins to ask a URL of it: tests/images/fixtures/client.mjs says how. Resolves when the answer has begun. */
  async client(url: string): Promise<Running> {
    const script = project('tests', 'images', 'fixtures', 'client.mjs');
    const where = ['--target', String(this.pid), '--net'];
    const running = start('nsenter', [...where, process.execPath, script, url]);
    await until(() => running.stdout().includes('head '), `an answer to ${url}`, startMs);
    return running;
  }

  /** Asks it for a URL by GET. */
  async get(url: string): Promise<{ status: number; body: string }> {
    const script = `const r = await fetch(${JSON.stringify(url)});
console.log(JSON.stringify({ status: r.status, body: await r.text() }));`;
    const node = [process.execPath, '--input-type=module', '-e', script];
    const running = start('nsenter', ['--target', String(this.pid), '--net', ...node]);
    const { code } = await within(running.ended, `an answer to ${url}`, startMs);
    assert.is(code, 0, running.stderr());
    return JSON.parse(running.stdout());
  }

  /** Asks the program to stop, as who runs containers does. */
  terminate(): void {
    process.kill(this.pid, 'SIGTERM');
  }

  /** Its end, within `ms`. */
  ended(ms: number): Promise<Ending> {
    return within(this.#running.ended, 'the end of the container', ms);
  }

  /** What it has printed. */
  output(): string {
    return output(this.#running);
  }

  /** A line of /proc/PID/status. */
  status(key: string): string {
    const text = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return new RegExp(`^${key}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '';
  }

  /** How what it sees as `/` is mounted: `ro`, among others. */
  rootOptions(): readonly string[] {
    const lines = readFileSync(`/proc/${this.pid}/mountinfo`, 'utf8').trim().split('\n');
    const root = lines.map((line) => line.split(' ')).find((fields) => fields[4] === '/');
    return root?.[5]?.split(',') ?? [];
  }
}

const output = (running: Running): string => running.stdout() + running.stderr();

/** What tests/images/enter.py is told of a program. */
function program(image: Image, root: string, argv: readonly string[]): object {
  const { config, emulated } = image;
  const [user, group] = config.User.split(':').map(Number);
  const env = Object.fromEntries(config.Env.map((line) => line.split(/=(.*)/s).slice(0, 2)));
  const own =
    emulatorOf(image) === undefined
      ? { env, argv }
      : {
          env: { ...env, ...emulated },
          argv: ['/.emulator', ...argv],
        };
  return { root, user, group, cwd: config.WorkingDir || '/', ...own };
}

/** Its program is the first process, and nobody who could change something. */
export function checkConfined(container: Container): void {
  assert.is(container.status('Uid'), '65532\t65532\t65532\t65532');
  assert.is(container.status('Gid'), '65532\t65532\t65532\t65532');
  assert.match(container.status('CapEff'), /^0+$/);
  assert.match(container.status('NSpid'), /\s1$/, 'it is the first process of the container');
  assert.ok(container.rootOptions().includes('ro'), container.rootOptions().join());
}

const entering = (told: object): string[] => [
  'python3',
  project('tests', 'images', 'enter.py'),
  JSON.stringify(told),
];

/** The only child of a process. */
function childOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  assert.match(text, /^\d+$/);
  return Number(text);
}
