/** An empty folder on a machine that has Node.js and npm, and nothing else: no Zig, no compiler, no home of anybody's. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { listening, type Running, type RunningServer, start } from '../support/process.ts';
import { within } from '../support/wait.ts';

/** npm's programs, where npm is; they are scripts of Node.js's. */
export const npmFolder = (process.env.PATH ?? '')
  .split(delimiter)
  .map((folder) => join(folder, 'npm'))
  .filter((path) => existsSync(path))
  .map((path) => dirname(realpathSync(path)))
  .find((folder) => existsSync(join(folder, 'npx-cli.js')));

/** Why commands of npm's cannot be run here, or undefined when they can. */
export const noNpm =
  process.platform === 'win32'
    ? 'what is on PATH is told by links, which Windows has not for everybody'
    : npmFolder === undefined
      ? 'npm is not on PATH'
      : undefined;

/** How a command ended, and what it printed on both streams. */
export interface Outcome {
  code: number | null;
  output: string;
  stderr: string;
}

export class Place {
  /** Where commands are run: it is empty at first. */
  readonly folder: string;
  readonly #top: string;
  readonly #env: NodeJS.ProcessEnv;

  /**
   * @param registry - that npm asks
   * @param node - the path of the Node.js on PATH
   * @param programs - others there, by their names
   */
  constructor(
    registry: { url: string },
    node: string = process.execPath,
    programs: Readonly<Record<string, string>> = {},
  ) {
    this.#top = mkdtempSync(join(tmpdir(), 'gyrfalcon-place-'));
    const [bin, home] = [join(this.#top, 'bin'), join(this.#top, 'home')];
    this.folder = join(this.#top, 'app');
    for (const folder of [bin, home, this.folder]) mkdirSync(folder);
    const npm = (name: string): string => join(npmFolder ?? '', `${name}-cli.js`);
    const onPath = { node, npm: npm('npm'), npx: npm('npx'), sh: '/bin/sh', ...programs };
    for (const [name, path] of Object.entries(onPath)) symlinkSync(path, join(bin, name));
    const { host } = new URL(registry.url);
    // npm publishes only for somebody, whoever it is.
    const settings = [`registry=${registry.url}`, `//${host}/:_authToken=anybody`, 'fund=false'];
    writeFileSync(
      join(home, '.npmrc'),
      `${settings.join('\n')}\nupdate-notifier=false\naudit=false\n`,
    );
    const none = Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined]));
    this.#env = { ...none, HOME: home, PATH: bin, TMPDIR: tmpdir() };
  }

  /** The path of a file in the folder. */
  at(...names: string[]): string {
    return join(this.folder, ...names);
  }

  write(name: string, text: string): void {
    writeFileSync(this.at(name), text);
  }

  /** What npm has kept of earlier installs goes. */
  emptyCache(): void {
    rmSync(join(this.#top, 'home', '.npm'), { recursive: true, force: true });
  }

  /** Runs a command line to its end. */
  async run(command: string, { cwd = this.folder, ms = 120_000 } = {}): Promise<Outcome> {
    const running = this.#start(command, cwd);
    const { code } = await within(running.ended, `the end of: ${command}`, ms);
    const stderr = running.stderr();
    return { code, output: running.stdout() + stderr, stderr };
  }

  /** Runs a command line that is a server, and waits until it listens. */
  serve(command: string, cwd: string = this.folder): Promise<RunningServer> {
    return listening(this.#start(command, cwd));
  }

  #start(command: string, cwd: string): Running {
    // npm starts a shell that starts the program, and neither passes signals on.
    return start('/bin/sh', ['-c', command], { cwd, env: this.#env, isGroup: true });
  }

  remove(): void {
    rmSync(this.#top, { recursive: true, force: true });
  }
}
