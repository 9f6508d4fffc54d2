// Archives whose bytes follow from what is in them: tar, gzip, zip, and the `ar` of Debian's packages. Every entry has the
// same time and belongs to root; entries are in the order of their paths. Node.js builtins only.
import { deflateRawSync, gzipSync } from 'node:zlib';

/**
 * @typedef {object} Entry
 * @property {string} path relative, with `/`
 * @property {Buffer} [data] what is in the file; without, it is a folder
 * @property {boolean} [isProgram] whether it may be executed
 */

const block = 512;

/** @param {Entry[]} entries @param {string} top folder that all are put into @returns {Entry[]} */
export function below(top, entries) {
  return entries.map((entry) => ({ ...entry, path: `${top}/${entry.path}` }));
}

/**
 * The bytes of a tar archive (ustar, POSIX.1-1988). Folders come before what is in them.
 *
 * @param {Entry[]} entries the folders among them need not be named
 * @param {number} time of all, seconds since 1970
 */
export function tarOf(entries, time) {
  const parts = sorted(withFolders(entries)).flatMap(({ path, data, isProgram }) => {
    const isFolder = data === undefined;
    const header = Buffer.alloc(block);
    putPath(header, isFolder ? `${path}/` : path);
    const octal = (value, at, length) =>
      header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
    octal(isFolder || isProgram ? 0o755 : 0o644, 100, 8);
    octal(0, 108, 8);
    octal(0, 116, 8);
    octal(data?.length ?? 0, 124, 12);
    octal(time, 136, 12);
    header.write('        ', 148, 'latin1');
    header.write(isFolder ? '5' : '0', 156, 'latin1');
    header.write('ustar\u000000root', 257, 'latin1');
    header.write('root', 297, 'latin1');
    octal(
      header.reduce((sum, byte) => sum + byte, 0),
      148,
      7,
    );
    return isFolder ? [header] : [header, data, Buffer.alloc(padding(data.length))];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

const padding = (length) => (block - (length % block)) % block;

/** A path of more than 100 bytes is cut at a slash; its front goes into a field of its own. */
function putPath(header, path) {
  if (!/^[\x20-\x7e]+$/.test(path)) throw new Error(`only ASCII goes into an archive: ${path}`);
  if (path.length <= 100) {
    header.write(path, 0, 'latin1');
    return;
  }
  const cut = path.indexOf('/', path.length - 101);
  if (cut < 0 || cut > 155) throw new Error(`too long a path for an archive: ${path}`);
  header.write(path.slice(cut + 1), 0, 'latin1');
  header.write(path.slice(0, cut), 345, 'latin1');
}

function withFolders(entries) {
  const known = new Set(entries.map(({ path }) => path));
  const folders = new Set();
  for (const { path } of entries) {
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
      const folder = path.slice(0, at);
      if (!known.has(folder)) folders.add(folder);
    }
  }
  return [...[...folders].map((path) => ({ path })), ...entries];
}

const sorted = (entries) => [...entries].sort((one, other) => (one.path < other.path ? -1 : 1));

/** The same bytes on every system and at every time. */
export function gzipOf(data) {
  const packed = gzipSync(data, { level: 9 });
  packed.fill(0, 4, 8); // no time
  packed[9] = 255; // no system
  return packed;
}

/** The bytes of a zip archive. `time`: seconds since 1970; zip knows none before 1980. */
export function zipOf(entries, time) {
  const [locals, centrals] = [[], []];
  const date = new Date(Math.max(time, 315_532_800) * 1000);
  const days =
    ((date.getUTCFullYear() - 1980) << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate();
  const seconds =
    (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1);
  let offset = 0;
  for (const { path, data, isProgram } of sorted(entries)) {
    const name = Buffer.from(path, 'latin1');
    const packed = deflateRawSync(data, { level: 9 });
    const shared = Buffer.alloc(26);
    for (const [i, value] of [20, 0, 8, seconds, days].entries())
      shared.writeUInt16LE(value, 2 * i);
    shared.writeUInt32LE(crcOf(data), 10);
    shared.writeUInt32LE(packed.length, 14);
    shared.writeUInt32LE(data.length, 18);
    shared.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), shared, name, packed]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(((isProgram ? 0o100755 : 0o100644) << 16) >>> 0, 6);
    rest.writeUInt32LE(offset, 10);
    // Made on a system of Unix's kind (3): the rights are read then.
    centrals.push(Buffer.from('PK\x01\x02\x14\x03', 'latin1'), shared, rest, name);
    locals.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(centrals);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, central, end]);
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  return value;
});

function crcOf(data) {
  let crc = 0xffffffff;
  for (const byte of data) crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 0xff];
  return (crc ^ 0xffffffff) >>> 0;
}

/**
 * The bytes of an `ar` archive in the form of deb(5), in the order given.
 *
 * @param {{ path: string, data: Buffer }[]} members with names of 16 letters at most
 */
export function arOf(members, time) {
  const parts = members.flatMap(({ path, data }) => {
    const fields = [path.padEnd(16), String(time).padEnd(12), '0     ', '0     ', '100644  '];
    const header = `${fields.join('')}${String(data.length).padEnd(10)}\`\n`;
    return [Buffer.from(header, 'latin1'), data, Buffer.from(data.length % 2 === 1 ? '\n' : '')];
  });
  return Buffer.concat([Buffer.from('!<arch>\n'), ...parts]);
}
