/** A registry of npm's on this machine: what it has not itself it asks of the one that npm is told of. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { listening, project, type RunningServer, start } from '../support/process.ts';
import { within } from '../support/wait.ts';
import { Place } from './place.ts';

/** Where the stage `packages` installs verdaccio (scripts/lib/toolchain.mjs). */
const installed = project('.toolchain', 'registry');

/** Why there is no registry, or undefined when there can be one. */
export const noRegistry = existsSync(join(installed, 'node_modules', 'verdaccio'))
  ? undefined
  : 'verdaccio is not installed: npm test -- --only packages installs it, where npm can';

/** What is published here, and asked of nobody else. */
const own = ['gyrfalcon', '@gyrfalcon', 'create-gyrfalcon'];

/** Packages of others are kept in `.toolchain`, so that a second run asks for them no more. */
export class Registry {
  readonly #folder: string;
  readonly #server: RunningServer;

  private constructor(folder: string, server: RunningServer) {
    this.#folder = folder;
    this.#server = server;
  }

  static async start(): Promise<Registry> {
    const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-registry-'));
    const storage = join(installed, 'storage');
    for (const name of own) rmSync(join(storage, name), { recursive: true, force: true });
    const config = join(folder, 'config.yaml');
    writeFileSync(config, configText(storage, folder));
    const script = project('tests', 'packages', 'fixtures', 'verdaccio.mjs');
    const running = start(process.execPath, [script, installed, config], { cwd: folder });
    return new Registry(folder, await listening(running));
  }

  get url(): string {
    return this.#server.url;
  }

  /** Publishes packages that were packed. */
  async publish(files: readonly string[]): Promise<void> {
    const place = new Place(this);
    try {
      const all = files.map(async (file) => {
        const { code, output } = await place.run(`npm publish --ignore-scripts ${file}`);
        assert.is(code, 0, output);
      });
      await within(Promise.all(all), 'the packages to be published', 60_000);
    } finally {
      place.remove();
    }
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Everybody may publish. The limit is above what an engine takes, which is sent as base64. */
function configText(storage: string, folder: string): string {
  const mine = (name: string): string =>
    `  '${name}':\n    access: $all\n    publish: $all\n    unpublish: $all\n`;
  return [
    `storage: ${storage}`,
    'uplinks:',
    '  elsewhere:',
    `    url: ${upstream()}`,
    '    maxage: 30d',
    '    timeout: 60s',
    'packages:',
    ...['gyrfalcon', 'create-gyrfalcon', '@gyrfalcon/*'].map(mine),
    `  '**':\n    access: $all\n    proxy: elsewhere`,
    'auth:',
    '  htpasswd:',
    `    file: ${join(folder, 'htpasswd')}`,
    'max_body_size: 100mb',
    'log:',
    '  type: stdout',
    '  format: pretty',
    '  level: warn',
    '',
  ].join('\n');
}

/** The registry that npm asks on this machine. */
function upstream(): string {
  const { status, stdout } = spawnSync('npm', ['config', 'get', 'registry'], {
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  assert.is(status, 0, 'npm tells which registry it asks');
  return stdout.trim();
}
