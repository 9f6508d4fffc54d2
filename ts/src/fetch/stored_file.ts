/**
 * Files on disk behind the platform's File and Blob. The file is removed when nothing that was made of it by their methods
 * can be reached any more, and at the latest when the process exits.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, openAsBlob, rmSync } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Stands for a file on disk; whoever holds it keeps the file. */
class Holder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    collected.register(this, path);
  }
}

const collected = new FinalizationRegistry<string>((path) => {
  unlink(path).catch(() => {}); // it may have been removed from outside, which is as good
});

/** What keeps the file of a blob, a slice or a stream. */
const holders = new WeakMap<object, Holder>();

/** A file: methods of the platform's, whose results keep what they read from. */
class StoredFile extends File {
  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return keepFrom(this, super.stream());
  }

  override slice(start?: number, end?: number, type?: string): Blob {
    return sliceFrom(this, super.slice(start, end, type));
  }

  override text(): Promise<string> {
    return whileRead(this, super.text());
  }

  override arrayBuffer(): Promise<ArrayBuffer> {
    return whileRead(this, super.arrayBuffer());
  }
}

/** A slice of a file. */
class StoredBlob extends Blob {
  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return keepFrom(this, super.stream());
  }

  override slice(start?: number, end?: number, type?: string): Blob {
    return sliceFrom(this, super.slice(start, end, type));
  }

  override text(): Promise<string> {
    return whileRead(this, super.text());
  }

  override arrayBuffer(): Promise<ArrayBuffer> {
    return whileRead(this, super.arrayBuffer());
  }
}

/** They are no classes of their own to whoever looks, and `bytes()` is there where the platform has it. */
for (const [stored, platform] of [
  [StoredFile, File],
  [StoredBlob, Blob],
] as const) {
  Object.defineProperty(stored, 'name', { value: platform.name });
  const { bytes } = platform.prototype as { bytes?: (this: Blob) => Promise<Uint8Array> };
  if (bytes === undefined) continue;
  Object.defineProperty(stored.prototype, 'bytes', {
    configurable: true,
    writable: true,
    value(this: Blob) {
      return whileRead(this, bytes.call(this));
    },
  });
}

function keepFrom<T extends object>(from: Blob, made: T): T {
  const holder = holders.get(from);
  if (holder !== undefined) holders.set(made, holder);
  return made;
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

/** A folder of this thread's own, which nobody else may read. */
function ownFolder(): string {
  if (folder === undefined) {
    const made = mkdtempSync(join(tmpdir(), `gyrfalcon-${process.pid}-`));
    process.once('exit', () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  return folder;
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
    const path = join(directory ?? ownFolder(), `part-${randomUUID()}`);
    return new FileWriter(await open(path, 'wx', 0o600), path);
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
    const blob = await openAsBlob(this.path, { type });
    const file = new StoredFile([blob], name, { type });
    holders.set(file, holder);
    return file;
  }

  /** Never fails: what the file is given up for is what is to be told. */
  async discard(): Promise<void> {
    if (this.handle.fd >= 0) await this.handle.close().catch(() => {});
    await unlink(this.path).catch(() => {});
  }
}
