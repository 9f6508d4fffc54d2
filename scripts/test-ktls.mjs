// `npm run test:ktls`: the server on a kernel that seals for TLS (kTLS), in a virtual machine, since few kernels that one
// develops on have the module. The machine has a kernel of Debian's and one program (zig/ktls_vm.zig), and is emulated.
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { filesBelow, MissingError, root, SetupError, toolchain } from './lib/project.mjs';
import { outputOf, Progress, run, tail } from './lib/run.mjs';
import { main, setup } from './lib/setup.mjs';
import { targets } from './lib/targets.mjs';
import { buildTls, tlsFolder, tlsOption } from './lib/tls.mjs';

const folder = join(toolchain, 'ktls');
const target = targets.find(({ name }) => name === 'linux-musl.x64');
/** Of the kernel: TLS, and the ciphers of its suites. What is not among the modules is in the kernel itself. */
const modules = [
  'tls',
  'gcm',
  'ctr',
  'ghash-generic',
  'chacha20poly1305',
  'chacha_generic',
  'poly1305_generic',
];
/** How long the machine may take, emulated, ms. */
const limit_ms = 5 * 60_000;

await main(async () => {
  const progress = new Progress();
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new MissingError('the machine is for Linux on x86-64');
  const qemu = 'qemu-system-x86_64';
  if (outputOf(qemu, ['--version']) === undefined)
    throw new MissingError(
      `${qemu} is not on PATH: apt-get install --no-install-recommends qemu-system-x86`,
    );
  const { zig } = await setup({ engine: false });
  await buildTls(target, zig, progress);
  const kernel = await fetchKernel(progress);
  const program = await build(zig, progress);
  const image = join(folder, 'initramfs');
  writeFileSync(image, archive(program, kernel));
  const said = await boot(qemu, kernel.image, image);
  if (!said.includes('ktls: all is well')) throw new SetupError(`it failed\n${tail(said, 40)}`);
});

/** A kernel of Debian's, unpacked and not installed: the path of its image, and of its modules. */
async function fetchKernel(progress) {
  const found = kernelIn(folder);
  if (found !== undefined) return found;
  const depends = outputOf('apt-cache', ['depends', 'linux-image-amd64']) ?? '';
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined)
    throw new MissingError('apt knows no kernel: linux-image-amd64 of Debian is wanted');
  mkdirSync(folder, { recursive: true });
  await progress.work(`kernel: ${name}`, async () => {
    await succeed('apt-get', ['download', name], folder);
    const file = readdirSync(folder).find((one) => one.endsWith('.deb'));
    await succeed('dpkg-deb', ['-x', file, '.'], folder);
    rmSync(join(folder, file));
  });
  return kernelIn(folder);
}

function kernelIn(place) {
  const names = readIfFolder(join(place, 'boot'));
  const image = names.find((name) => name.startsWith('vmlinuz-'));
  if (image === undefined) return undefined;
  const libraries = ['lib', 'usr/lib'].map((one) => join(place, one, 'modules'));
  const tree = libraries.find((one) => readIfFolder(one).length > 0);
  const version = image.slice('vmlinuz-'.length);
  return { image: join(place, 'boot', image), modules: join(tree, version) };
}

function readIfFolder(path) {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

async function succeed(command, args, cwd = root) {
  const { code, output } = await run(command, args, { cwd });
  if (code !== 0) throw new SetupError(`${command} ${args.join(' ')}\n${tail(output, 40)}`);
}

async function build(zig, progress) {
  const prefix = join(folder, 'program');
  const options = [
    '-Dtarget=x86_64-linux-musl',
    '-Doptimize=ReleaseSafe',
    tlsOption(tlsFolder(target)),
  ];
  await progress.work('the program in the machine', () =>
    succeed(zig, ['build', 'ktls-vm', ...options, '--prefix', prefix]),
  );
  return join(prefix, 'bin', 'ktls_vm');
}

/** The modules' files, in the order in which they are to be loaded: each names those that it needs. */
function modulesOf(kernel) {
  const files = filesBelow(kernel.modules, (name) => name.endsWith('.ko'));
  const byName = new Map(files.map((file) => [nameOf(basename(file, '.ko')), file]));
  const order = new Set();
  const add = (name) => {
    const file = byName.get(nameOf(name));
    if (file === undefined || order.has(file)) return;
    const [, needs] = /\0depends=([\w,-]*)\0/.exec(readFileSync(file, 'latin1'));
    for (const other of needs.split(',').filter(Boolean)) add(other);
    order.add(file);
  };
  for (const name of modules) add(name);
  return [...order];
}

/** As the kernel has it: a file may be called otherwise. */
function nameOf(module) {
  return module.replaceAll('-', '_');
}

/** The first file system: cpio in its form `newc`, which the kernel unpacks. */
function archive(program, kernel) {
  const [directory, executable, device] = [0o040755, 0o100755, 0o020600];
  const entries = [
    { name: 'dev', mode: directory },
    { name: 'dev/console', mode: device, device: [5, 1] },
    { name: 'init', mode: executable, content: readFileSync(program) },
    { name: 'modules', mode: directory },
    ...modulesOf(kernel).map((file, i) => ({
      name: `modules/${String(i).padStart(2, '0')}-${basename(file)}`,
      mode: executable,
      content: readFileSync(file),
    })),
    { name: 'TRAILER!!!', mode: 0 },
  ];
  return Buffer.concat(entries.flatMap(entryOf));
}

function entryOf({ name, mode, content = Buffer.alloc(0), device = [0, 0] }, inode) {
  const title = Buffer.from(`${name}\0`);
  const links = 1;
  const numbers = [
    inode + 1,
    mode,
    0,
    0,
    links,
    0,
    content.length,
    0,
    0,
    ...device,
    title.length,
    0,
  ];
  const digits = numbers.map((number) => number.toString(16).padStart(8, '0')).join('');
  return [padded(Buffer.concat([Buffer.from(`070701${digits}`), title])), padded(content)];
}

/** To a multiple of four bytes. */
function padded(bytes) {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

/** What the machine says until it ends; what it says of kTLS is printed as it comes. */
function boot(qemu, kernel, image) {
  const machine = [
    '-accel',
    'tcg',
    '-cpu',
    'max',
    '-m',
    '512',
    '-nographic',
    '-no-reboot',
    '-nic',
    'none',
  ];
  const append = ['-append', 'console=ttyS0 quiet panic=-1'];
  const child = spawn(qemu, [...machine, '-kernel', kernel, '-initrd', image, ...append], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  let shown = 0;
  child.stdout.setEncoding('latin1').on('data', (text) => {
    said += text;
    const lines = said.slice(shown).split('\n');
    const rest = lines.pop();
    for (const line of lines) if (/ktls: |TLS: /.test(line)) console.log(line.trimEnd());
    shown = said.length - rest.length;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), limit_ms);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(timer);
      resolve(said);
    });
  });
}
