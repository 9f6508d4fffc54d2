/** Forms as they arrive: part by part, or whole with the large files on disk. */
import { GyrfalconError } from '../core/errors.ts';
import { Gathered } from './chunks.ts';
import { Headers } from './headers.ts';
import { extractMimeType } from './mime_type.ts';
import { malformed, tooMuch } from './multipart_error.ts';
import type { PartHead } from './multipart_head.ts';
import { type MultipartEvent, MultipartParser } from './multipart_parser.ts';
import { FileWriter } from './stored_file.ts';

/** What bounds a form; above a bound it is refused with GYR_MULTIPART_LIMIT (413). */
export interface MultipartLimits {
  /** Parts of the form, or its fields where it is URL-encoded. @default 1000 */
  maxParts?: number;
  /** Bytes of the fields of one part. @default 16384 */
  maxHeadBytes?: number;
  /** Bytes of one value that is no file. @default 1 MiB */
  maxFieldBytes?: number;
  /** Bytes of all values that are no files. @default 8 MiB */
  maxFieldsBytes?: number;
  /** Bytes of one file. @default as many as the body has */
  maxFileBytes?: number;
  /** Bytes of the body. @default what the server takes: maxRequestBodySize */
  maxBytes?: number;
}

/** How `formData()` keeps files. */
export interface FormOptions extends MultipartLimits {
  /** Bytes of files that one form keeps in memory; a file that would go above is on disk. @default 1 MiB */
  memoryBytes?: number;
  /** Folder for the files on disk. @default one of the process's own below the system's for such files */
  directory?: string;
}

type Settings = Required<Omit<FormOptions, 'directory'>> & { readonly directory?: string };

const defaults: Settings = {
  maxParts: 1000,
  maxHeadBytes: 16384,
  maxFieldBytes: 1024 * 1024,
  maxFieldsBytes: 8 * 1024 * 1024,
  maxFileBytes: Number.POSITIVE_INFINITY,
  maxBytes: Number.POSITIVE_INFINITY,
  memoryBytes: 1024 * 1024,
};

/**
 * For responses: what a program has fetched or made itself may be large. But it may also be a client's body, which a
 * framework has read and passes on, so that the parts, which cost more than their bytes, have a bound.
 */
export const responseForms: FormOptions = {
  maxParts: 10_000,
  maxFieldBytes: Number.POSITIVE_INFINITY,
  maxFieldsBytes: Number.POSITIVE_INFINITY,
};

/** So much of a file is gathered for one write. */
const writeBytes = 256 * 1024;

/** A request of a server has under this key what the server was told of forms. */
export const formDefaults: unique symbol = Symbol('gyrfalcon.formDefaults');

/** Checks options before there is a form. @throws GyrfalconError as `settingsOf` */
export function checkFormOptions(options: FormOptions): void {
  settingsOf(options);
}

/**
 * All options, with the defaults of those that are not given.
 *
 * @throws GyrfalconError GYR_OPTION_INVALID, GYR_OPTION_UNKNOWN
 */
export function settingsOf(options: FormOptions): Settings {
  const settings: Record<string, unknown> = { ...defaults };
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (name !== 'directory' && !Object.hasOwn(defaults, name)) {
      throw new GyrfalconError('GYR_OPTION_UNKNOWN', `A form has no option "${name}"`);
    }
    const fits = name === 'directory' ? typeof value === 'string' : isBound(value);
    if (!fits) {
      const hint = name === 'directory' ? 'a path' : 'a number of bytes or parts, from 0';
      throw new GyrfalconError('GYR_OPTION_INVALID', `The option ${name} is ${value}`, hint);
    }
    settings[name] = value;
  }
  return settings as Settings;
}

/** `options` over `base`; one that is undefined says nothing. */
export function formOptions(base: FormOptions | undefined, options: FormOptions): FormOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...base, ...Object.fromEntries(given) };
}

function isBound(value: unknown): boolean {
  return typeof value === 'number' && value >= 0;
}

/** The boundary of a form; null when the content-type is no multipart/form-data. */
export function boundaryOf(contentType: string | null): string | null {
  const type = extractMimeType(contentType);
  if (type?.essence !== 'multipart/form-data') return null;
  const boundary = type.parameters.get('boundary');
  if (boundary === undefined) throw malformed('The multipart content-type has no boundary');
  return boundary;
}

/** A body: whole, or as it arrives. */
export type Pieces = Uint8Array | ReadableStream<Uint8Array>;

/** The events of a body, within its limits. */
class EventReader {
  private readonly parser: MultipartParser;
  private readonly settings: Settings;
  private reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  private whole: Uint8Array | null = null;
  private failure: unknown = null;
  private total = 0;
  private fields = 0;
  private inPart = 0;
  private isFile = false;

  constructor(pieces: Pieces, boundary: string, settings: Settings) {
    this.settings = settings;
    if (pieces instanceof Uint8Array) this.whole = pieces;
    else this.reader = pieces.getReader();
    try {
      this.parser = new MultipartParser(boundary, settings);
    } catch (error) {
      this.cancel();
      throw error;
    }
  }

  /** The next event; what is wrong with the body ends it. */
  async next(): Promise<MultipartEvent> {
    if (this.failure !== null) throw this.failure;
    try {
      for (;;) {
        const event = this.parser.next();
        if (event !== null) return this.checked(event);
        const bytes = await this.read();
        if (bytes === null) this.parser.finish();
        else this.parser.push(bytes);
      }
    } catch (error) {
      this.failure = error;
      this.cancel(error);
      throw error;
    }
  }

  /** Nobody wants the rest. */
  cancel(reason?: unknown): void {
    this.whole = null;
    this.reader?.cancel(reason).catch(() => {}); // a client that leaves has failed the read already
    this.reader = null;
  }

  private async read(): Promise<Uint8Array | null> {
    let bytes = this.whole;
    this.whole = null;
    if (bytes === null && this.reader !== null) {
      const { value } = await this.reader.read();
      bytes = value ?? null;
      if (bytes !== null && !(bytes instanceof Uint8Array)) {
        throw new TypeError('Body: the stream gave a chunk that is not a Uint8Array');
      }
    }
    this.total += bytes?.byteLength ?? 0;
    const { maxBytes } = this.settings;
    if (this.total > maxBytes) {
      throw tooMuch(`The multipart body has over ${maxBytes} bytes`, 'maxBytes');
    }
    return bytes;
  }

  private checked(event: MultipartEvent): MultipartEvent {
    if (event.kind === 'part') {
      this.inPart = 0;
      this.isFile = event.head.filename !== null;
    } else if (event.kind === 'data') {
      this.count(event.bytes.byteLength);
    }
    return event;
  }

  private count(bytes: number): void {
    const { maxFileBytes, maxFieldBytes, maxFieldsBytes } = this.settings;
    this.inPart += bytes;
    if (this.isFile) {
      if (this.inPart <= maxFileBytes) return;
      throw tooMuch(`A file of the form has over ${maxFileBytes} bytes`, 'maxFileBytes');
    }
    if (this.inPart > maxFieldBytes) {
      throw tooMuch(`A field of the form has over ${maxFieldBytes} bytes`, 'maxFieldBytes');
    }
    this.fields += bytes;
    if (this.fields > maxFieldsBytes) {
      throw tooMuch(`The fields of the form have over ${maxFieldsBytes} bytes`, 'maxFieldsBytes');
    }
  }
}

/**
 * The whole form. Its large files are on disk (see {@link FormOptions}).
 *
 * @throws MultipartError when it is malformed or above a limit; what the system says when a file cannot be written
 */
export async function readForm(
  pieces: Pieces,
  boundary: string,
  options: FormOptions,
): Promise<FormData> {
  const settings = settingsOf(options);
  const events = new EventReader(pieces, boundary, settings);
  const form = new FormData();
  let memory = settings.memoryBytes;
  for (;;) {
    const event = await events.next();
    if (event.kind === 'end') break;
    if (event.kind !== 'part') throw new Error('multipart: a part was expected');
    const { head } = event;
    if (head.filename === null) {
      form.append(head.name, decodeField(await collect(events)));
      continue;
    }
    try {
      const { file, inMemory } = await readFile(events, head, memory, settings.directory);
      memory -= inMemory;
      form.append(head.name, file);
    } catch (error) {
      events.cancel(error);
      throw error;
    }
  }
  events.cancel();
  return form;
}

const utf8 = new TextDecoder();
/** Below it, the decoder's own call costs more than the text. */
const shortBytes = 4096;

/** UTF-8 decode (Encoding §6): a byte order mark is dropped, defects become U+FFFD. */
function decodeField(bytes: Uint8Array): string {
  if (bytes.byteLength > shortBytes) return utf8.decode(bytes);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** The content of the part that has begun. */
async function collect(events: EventReader): Promise<Uint8Array<ArrayBuffer>> {
  const content = new Gathered();
  for (;;) {
    const event = await events.next();
    if (event.kind !== 'data') return concat(content.pieces);
    content.add(event.bytes);
  }
}

/** In memory of its own. */
function concat(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

async function readFile(
  events: EventReader,
  { filename, type }: PartHead,
  memory: number,
  directory: string | undefined,
): Promise<{ file: File; inMemory: number }> {
  const name = filename as string;
  let content = new Gathered();
  let size = 0;
  let writer: FileWriter | null = null;
  try {
    for (;;) {
      const event = await events.next();
      if (event.kind !== 'data') break;
      content.add(event.bytes);
      size += event.bytes.byteLength;
      if (size <= (writer === null ? memory : writeBytes)) continue;
      writer ??= await FileWriter.open(directory);
      await writer.write(content.pieces);
      content = new Gathered();
      size = 0;
    }
    if (writer === null) {
      const file = new File(content.pieces as Uint8Array<ArrayBuffer>[], name, { type });
      return { file, inMemory: size };
    }
    if (size > 0) await writer.write(content.pieces);
    const file = await writer.finish(name, type);
    return { file, inMemory: 0 };
  } catch (error) {
    await writer?.discard();
    throw error;
  }
}

/** A part of a form as it arrives: a field, or a file. Read it, or let it be, before the next is asked for. */
export class Part {
  /** Name of the field. */
  readonly name: string;
  /**
   * Name of the file as the client gives it, '' for a file input that was left empty; null for a field that is no file.
   * It is the client's word: it may hold `../`, and is no path to write to.
   */
  readonly filename: string | null;
  /** The content-type; 'text/plain' when the client gives none. */
  readonly type: string;
  private readonly fields: PartHead['fields'];
  private readonly parts: PartReader;
  private lazyHeaders: Headers | null = null;
  private isTaken = false;

  /** Parts are made by `multipart()`. */
  constructor(head: PartHead, parts: PartReader) {
    this.name = head.name;
    this.filename = head.filename;
    this.type = head.type;
    this.fields = head.fields;
    this.parts = parts;
  }

  /** The fields of the part. */
  get headers(): Headers {
    if (this.lazyHeaders === null) {
      this.lazyHeaders = new Headers();
      for (const [name, value] of this.fields) this.lazyHeaders.append(name, value);
    }
    return this.lazyHeaders;
  }

  /** The content as it arrives; what is not read is not asked of the client. Cancelling skips the rest. */
  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    this.take();
    return new ReadableStream({
      type: 'bytes',
      pull: async (controller) => {
        const bytes = await this.parts.read(this);
        if (bytes !== null) {
          // A byte stream takes the memory that a chunk is in, and these are a view of more.
          controller.enqueue(new Uint8Array(bytes));
          return;
        }
        controller.close();
        controller.byobRequest?.respond(0);
      },
    }) as ReadableStream<Uint8Array<ArrayBuffer>>;
  }

  /** The whole content. */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    this.take();
    const content = new Gathered();
    for (;;) {
      const bytes = await this.parts.read(this);
      if (bytes === null) return concat(content.pieces);
      content.add(bytes);
    }
  }

  /** The whole content as text (UTF-8). */
  async text(): Promise<string> {
    return decodeField(await this.bytes());
  }

  private take(): void {
    if (this.isTaken) throw new TypeError('multipart: the part has been read already');
    this.isTaken = true;
  }
}

/** Gives parts, and their content to whoever reads them, one call after the other. */
class PartReader {
  private readonly events: EventReader;
  private current: Part | null = null;
  /** Parts that were read to their end. */
  private readonly finished = new WeakSet<Part>();
  private ended = false;
  private last: Promise<unknown> = Promise.resolve();

  constructor(events: EventReader) {
    this.events = events;
  }

  /** The next part, behind what is left of the present one; null at the end. */
  next(): Promise<Part | null> {
    return this.inTurn(async () => {
      while (this.current !== null) await this.advance();
      if (this.ended) return null;
      const event = await this.events.next();
      if (event.kind === 'part') {
        this.current = new Part(event.head, this);
        return this.current;
      }
      this.end();
      return null;
    });
  }

  /** More of the part's content; null at its end. */
  read(part: Part): Promise<Uint8Array | null> {
    return this.inTurn(async () => {
      if (this.current === part) {
        const bytes = await this.advance();
        if (bytes === null) this.finished.add(part);
        return bytes;
      }
      if (this.finished.has(part)) return null;
      throw new TypeError('multipart: the part was passed; read it before the next is asked for');
    });
  }

  end(): void {
    this.ended = true;
    this.current = null;
    this.events.cancel();
  }

  private async advance(): Promise<Uint8Array | null> {
    const event = await this.events.next();
    if (event.kind === 'data') return event.bytes;
    this.current = null;
    return null;
  }

  private inTurn<T>(step: () => Promise<T>): Promise<T> {
    const result = this.last.then(step);
    this.last = result.catch(() => {});
    return result;
  }
}

/** What `multipart()` needs of a message: its content-type and its body. */
export interface MultipartMessage {
  readonly headers: { get(name: string): string | null };
  readonly body: ReadableStream<Uint8Array> | null;
  /** Limits that hold where the call says nothing else. */
  readonly [formDefaults]?: FormOptions | undefined;
}

/**
 * The parts of a form as they arrive. Nothing is kept: a part is read, or skipped, before the next one comes.
 *
 * @example
 * ```ts
 * for await (const part of multipart(request, { maxFileBytes: 10 * 1024 * 1024 })) {
 *   if (part.filename === null) console.log(part.name, await part.text());
 *   else await writeFile(path, part.stream());
 * }
 * ```
 * @throws MultipartError GYR_MULTIPART_INVALID (400) for what is no form, GYR_MULTIPART_LIMIT (413) above a limit
 */
export async function* multipart(
  message: MultipartMessage,
  options: MultipartLimits = {},
): AsyncGenerator<Part, void, void> {
  const boundary = boundaryOf(message.headers.get('content-type'));
  if (boundary === null) throw malformed('The content-type is no multipart/form-data');
  const settings = settingsOf(formOptions(message[formDefaults], options));
  const pieces = message.body ?? new Uint8Array(0);
  const parts = new PartReader(new EventReader(pieces, boundary, settings));
  try {
    for (;;) {
      const part = await parts.next();
      if (part === null) return;
      yield part;
    }
  } finally {
    parts.end();
  }
}
