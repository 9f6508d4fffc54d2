/**
 * Files on disk behind the platform's File and Blob. The file is removed when nothing that was made of it by their methods
 * can be reached any more, and at the latest when the process exits.
 */
import { randomUUID } from 'node:crypto';
// openAsBlob by the default export: a name that an old Node.js lacks would be told of before its age is.
import fs, { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Stands for a file on disk; whoever holds it keeps the file. */
class Holder {
  constructor(path: string) {
    collected.register(this, path);
  }
}

const collected = new FinalizationRegistry<string>((path) => void remove(path));

/** It may have been removed from outside, which is as good. */
async function remove(path: string): Promise<void> {
  await unlink(path).catch(() => {});
  elsewhere.delete(path);
}

/** What keeps the files of a blob, a slice or a stream. */
const holders = new WeakMap<object, readonly Holder[]>();

/** A file: methods of the platform's, whose results keep what they read from. */
class StoredFile extends File {}

/** A slice of a file, or what was made of several. */
class StoredBlob extends Blob {}

const platform: Blob & { bytes?: () => Promise<Uint8Array> } = Blob.prototype;
const { stream, slice, text, arrayBuffer, bytes } = platform;
const methods = {
  stream(this: Blob) {
    return keepFrom(this, stream.call(this));
  },
  slice(this: Blob, start?: number, end?: number, type?: string) {
    return sliceFrom(this, slice.call(this, start, end, type));
  },
  text(this: Blob) {
    return whileRead(this, text.call(this));
  },
  arrayBuffer(this: Blob) {
    return whileRead(this, arrayBuffer.call(this));
  },
  // Where the platform has it.
  ...(bytes !== undefined && {
    bytes(this: Blob) {
      return whileRead(this, bytes.call(this));
    },
  }),
};

/** They are no classes of their own to whoever looks. */
for (const stored of [StoredFile, StoredBlob]) {
  Object.defineProperty(stored, 'name', { value: Object.getPrototypeOf(stored).name });
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(stored.prototype, name, { configurable: true, writable: true, value });
  }
}

function keepFrom<T extends object>(from: Blob, made: T): T {
  const kept = holders.get(from);
  if (kept !== undefined) holders.set(made, kept);
  return made;
}

/** As `new Blob(parts)`, but for files on disk among them: it keeps those. */
export function blobOfParts(parts: readonly (string | Blob)[]): Blob {
  const blob = new Blob(parts as (string | Blob)[]);
  const kept = parts.flatMap((part) => (typeof part === 'string' ? [] : (holders.get(part) ?? [])));
  if (kept.length === 0) return blob;
  holders.set(blob, kept);
  return Object.setPrototypeOf(blob, StoredBlob.prototype) as Blob;
}

function sliceFrom(from: Blob, slice: Blob): Blob {
  Object.setPrototypeOf(slice, StoredBlob.prototype);
  return keepFrom(from, slice);
}

async function whileRead<T>(blob: Blob, result: Promise<T>): Promise<T> {
  // The handler of the promise holds the blob until there is nothing more to read.
  return result.finally(() => holders.get(blob));
}

let folder: string | undefined;
/** Files in folders that are the program's. */
const elsewhere = new Set<string>();
let cleansUp = false;

/** A folder of this thread's own, which nobody else may read. */
function ownFolder(): string {
  // What cleans the system's folder takes one that was not written to for some days.
  if (folder === undefined || !existsSync(folder)) {
    folder = mkdtempSync(join(tmpdir(), `gyrfalcon-${process.pid}-`));
  }
  return folder;
}

function cleanUp(): void {
  for (const path of folder === undefined ? elsewhere : [folder, ...elsewhere]) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // the process ends as it was to end
    }
  }
}

/** A file that is being written. Either `finish` or `discard` ends it. */
export class FileWriter {
  private readonly handle: FileHandle;
  private readonly path: string;

  private constructor(handle: FileHandle, path: string) {
    this.handle = handle;
    this.path = path;
  }

  /** @param directory - in the place of a folder of the process's own below the system's */
  static async open(directory: string | undefined): Promise<FileWriter> {
    if (!cleansUp) process.once('exit', cleanUp);
    cleansUp = true;
    const path = resolve(directory ?? ownFolder(), `part-${randomUUID()}`);
    const writer = new FileWriter(await open(path, 'wx', 0o600), path);
    if (directory !== undefined) elsewhere.add(path);
    return writer;
  }

  async write(bytes: readonly Uint8Array[]): Promise<void> {
    let left = bytes.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const { bytesWritten } = await this.handle.writev(bytes as Uint8Array[]);
    left -= bytesWritten;
    if (left > 0) await this.writeRest(Buffer.concat(bytes).subarray(bytesWritten));
  }

  /** writev may take less than it is given, as a disk that fills up does before it fails. */
  private async writeRest(rest: Uint8Array): Promise<void> {
    for (let at = 0; at < rest.byteLength; ) {
      at += (await this.handle.write(rest, at)).bytesWritten;
    }
  }

  /** The file as it was written. */
  async finish(name: string, type: string): Promise<File> {
    await this.handle.close();
    const holder = new Holder(this.path);
    const blob = await fs.openAsBlob(this.path, { type });
    const file = new StoredFile([blob], name, { type });
    holders.set(file, [holder]);
    return file;
  }

  /** Never fails: what the file is given up for is what is to be told. */
  async discard(): Promise<void> {
    if (this.handle.fd >= 0) await this.handle.close().catch(() => {});
    await remove(this.path);
  }
}
