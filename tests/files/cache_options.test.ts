/** What is kept of files, and for how long: the options of `dir()` and of the executable. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { type DirOptions, dir, type GyrfalconError, serve } from 'gyrfalcon';
import * as assert from 'uvu/assert';
import { listening, start, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { testUnless } from '../support/skip.ts';
import { exchange } from '../support/socket.ts';
import { zigProgram } from '../support/target.ts';
import { until } from '../support/wait.ts';

const test = sideBySide('cache options');
const root = realpathSync(mkdtempSync(join(tmpdir(), 'gyrfalcon-cache-')));
let folders = 0;

test.after(async () => {
  await stopAll();
  rmSync(root, { recursive: true });
});

/** Below 64 KiB: kept in memory. Above: kept open. */
const smallBytes = 60 * 1024;
const largeBytes = 70 * 1024;

interface Folder {
  path: string;
  write(bytes: number, text: string): void;
}

/** A folder of `count` files, all of the same bytes. */
function folderOf(count: number): Folder {
  const path = join(root, String(folders++));
  mkdirSync(path);
  const write = (bytes: number, text: string) => {
    for (let n = 0; n < count; n++) writeFileSync(join(path, `${n}.bin`), text.repeat(bytes));
  };
  return { path, write };
}

/** What has just changed is not kept: it may change again without its times telling. */
const settled = ({ path }: Folder) =>
  until(
    () => readdirSync(path).every((name) => Date.now() - statSync(join(path, name)).ctimeMs > 1000),
    'settled files',
  );

interface Serving {
  pid: number;
  /** The first character of file `n`. */
  ask(n: number): Promise<string>;
  stop(): Promise<unknown>;
}

const first = async (port: number, path: string): Promise<string> => {
  const request = `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
  return (await exchange(port, request)).body.toString('latin1', 0, 1);
};

/** The same options for `dir()` and for the executable. */
const ways: Record<string, (path: string, options: DirOptions) => Promise<Serving>> = {
  'dir()': async (path, options) => {
    const routes = { '/files/*': dir(path, options) };
    const server = serve({ port: 0, hostname: '127.0.0.1', workers: 1, log: 'silent', routes });
    const ask = (n: number) => first(server.port, `/files/${n}.bin`);
    return { pid: process.pid, ask, stop: () => server.stop() };
  },
  'the executable': async (path, { cache, cacheBytes, cacheTime, openFiles }) => {
    const args = ['serve', path, '--port', '0', '--host', '127.0.0.1', '--workers', '1'];
    if (cache === false) args.push('--no-cache');
    if (cacheBytes !== undefined) args.push('--cache-bytes', String(cacheBytes));
    if (cacheTime !== undefined) args.push('--cache-ms', String(cacheTime));
    if (openFiles !== undefined) args.push('--open-files', String(openFiles));
    const server = await listening(start(zigProgram('gyrfalcon'), args));
    const ask = (n: number) => first(server.port, `/${n}.bin`);
    return { pid: server.child.pid as number, ask, stop: () => server.stop() };
  },
};

const hour = 3_600_000;
const noProc = process.platform === 'linux' ? undefined : 'needs /proc';

for (const [name, open] of Object.entries(ways)) {
  /** Asks for all files, writes them anew, and counts those that are served as they were. */
  const keptOf = async (count: number, options: DirOptions): Promise<number> => {
    const folder = folderOf(count);
    folder.write(smallBytes, 'a');
    await settled(folder);
    const serving = await open(folder.path, options);
    for (let n = 0; n < count; n++) assert.is(await serving.ask(n), 'a');
    folder.write(smallBytes - 1, 'b');
    let kept = 0;
    for (let n = 0; n < count; n++) if ((await serving.ask(n)) === 'a') kept += 1;
    await serving.stop();
    return kept;
  };

  test(`${name}: a kept content is served for cacheTime without a look at its file`, async () => {
    assert.is(await keptOf(3, { cacheTime: hour }), 3);
    assert.is(await keptOf(3, { cacheTime: 0 }), 0);
  });

  test(`${name}: without the cache nothing is kept`, async () => {
    assert.is(await keptOf(3, { cacheTime: hour, cache: false }), 0);
  });

  test(`${name}: cacheBytes bounds the contents that are kept`, async () => {
    assert.is(await keptOf(12, { cacheTime: hour }), 12);
    const cacheBytes = 256 * 1024;
    assert.is(await keptOf(3, { cacheTime: hour, cacheBytes }), 3);
    // Which of more than fit are kept is a matter of how often each seems to be asked for, by an estimate: none may be
    // left when all have been asked for again.
    const kept = await keptOf(12, { cacheTime: hour, cacheBytes });
    assert.ok(kept <= 4, `${kept} files of 60 KiB in 256 KiB`);
  });

  testUnless(test, noProc, `${name}: openFiles bounds the large files kept open`, async () => {
    const folder = folderOf(5);
    folder.write(largeBytes, 'a');
    await settled(folder);
    for (const openFiles of [0, 2, 5]) {
      const serving = await open(folder.path, { openFiles });
      for (let n = 0; n < 5; n++) assert.is(await serving.ask(n), 'a');
      // What the last response held is closed a moment after it has been read.
      const held = () => openBelow(serving.pid, folder.path);
      await until(() => held() === openFiles, `${openFiles} open files of 5`);
      await serving.stop();
    }
  });
}

/** How many files below `folder` a process has open. */
function openBelow(pid: number, folder: string): number {
  const list = `/proc/${pid}/fd`;
  return readdirSync(list).filter((fd) => {
    try {
      return readlinkSync(join(list, fd)).startsWith(`${folder}/`);
    } catch {
      return false; // closed since
    }
  }).length;
}

const refused: readonly [options: object, code: string, told: RegExp][] = [
  [{ cacheBytes: 1000 }, 'GYR_OPTION_INVALID', /cacheBytes of dir\(\) is 1000.*from 262144/],
  [{ openFiles: 4097 }, 'GYR_OPTION_INVALID', /from 0 to 4096/],
  [{ openFiles: 1.5 }, 'GYR_OPTION_INVALID', /from 0 to 4096/],
  [{ cacheTime: -1 }, 'GYR_OPTION_INVALID', /from 0 to 4294967295/],
  [{ cacheTime: '1s' }, 'GYR_OPTION_INVALID', /cacheTime of dir\(\) is '1s'/],
  [{ maxAge: Number.NaN }, 'GYR_OPTION_INVALID', /maxAge of dir\(\) is NaN/],
  [{ cache: 'no' }, 'GYR_OPTION_INVALID', /must be a boolean/],
  [{ index: 'index.html' }, 'GYR_OPTION_INVALID', /must be an array of file names/],
  [{ cacheMs: 5 }, 'GYR_OPTION_UNKNOWN', /no option 'cacheMs'.*cacheTime/],
];

for (const [options, code, told] of refused) {
  test(`dir() refuses ${inspect(options)} with ${code}`, () => {
    try {
      dir(root, options);
    } catch (error) {
      assert.is((error as GyrfalconError).code, code);
      assert.match((error as GyrfalconError).message, told);
      return;
    }
    assert.unreachable('it was taken');
  });
}

test('the executable refuses sizes out of range', async () => {
  const refusals: [args: string[], told: RegExp][] = [
    [['--cache-bytes', '1000'], /cannot serve/],
    [['--cache-bytes', 'much'], /--cache-bytes takes a number/],
    [['--cache-ms', '-1'], /--cache-ms takes a number/],
    [['--open-files', '4097'], /cannot serve|--open-files/],
  ];
  for (const [args, told] of refusals) {
    const refused = start(zigProgram('gyrfalcon'), ['serve', root, '--port', '0', ...args]);
    const { code } = await refused.ended;
    assert.ok(code === 1 || code === 2, `${args}: ${code}`);
    assert.match(refused.stderr(), told);
  }
});

test.run();
