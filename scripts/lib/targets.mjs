// The systems that the engine's Node.js module is built for.

/**
 * `platform` and `arch` are node-zigar's names: Node.js's, with `linux-musl` beside `linux` for glibc. `cpu` is the oldest
 * processor that the code runs on, by Zig's name. `lacks` says why the engine cannot be built there yet.
 */
export const targets = [
  { platform: 'linux', arch: 'x64' },
  { platform: 'linux', arch: 'arm64' },
  { platform: 'linux-musl', arch: 'x64' },
  { platform: 'linux-musl', arch: 'arm64' },
  { platform: 'darwin', arch: 'arm64' },
  { platform: 'darwin', arch: 'x64' },
  { platform: 'win32', arch: 'x64' },
].map((target) => ({ ...target, name: nameOf(target), cpu: cpuOf(target.arch) }));

/** This machine, in the form of `targets`; it may be none of them. */
export function targetHere() {
  const { arch } = process;
  const here = { platform: platformHere(), arch };
  return { ...here, name: nameOf(here), cpu: cpuOf(arch) };
}

function platformHere() {
  if (process.platform !== 'linux') return process.platform;
  const { header } = process.report.getReport();
  return header.glibcVersionRuntime === undefined ? 'linux-musl' : 'linux';
}

/** What a module's file is called, but for its extension: "linux.x64". */
export function nameOf({ platform, arch }) {
  return `${platform}.${arch}`;
}

/** Every x86-64 processor since 2009, and the first of the other architectures. */
export function cpuOf(arch) {
  return arch === 'x64' ? 'x86_64_v2' : 'baseline';
}

/** The npm package that holds the engine for one of `targets`; ts/src/bridge/engine_files.ts looks for it by this name. */
export function enginePackage({ platform, arch }) {
  const [os, libc] = platform.split('-');
  return `@gyrfalcon/engine-${os}-${arch}${libc === undefined ? '' : `-${libc}`}`;
}

/** The ending of a shared library's name there. */
export function libraryExtension(platform) {
  return { darwin: 'dylib', win32: 'dll' }[platform] ?? 'so';
}

const triples = {
  linux: (arch) => `${arch}-linux-gnu`,
  'linux-musl': (arch) => `${arch}-linux-musl`,
  darwin: (arch) => `${arch}-macos`,
  win32: (arch) => `${arch}-windows-gnu`,
};

/** How Zig calls one of `targets`. */
export function tripleOf({ platform, arch }) {
  return triples[platform](arch === 'x64' ? 'x86_64' : 'aarch64');
}
