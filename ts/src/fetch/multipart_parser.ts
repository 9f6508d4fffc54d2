/**
 * Parses multipart/form-data (RFC 7578, RFC 2046 §5.1). It knows no stream: bytes are pushed, events are taken. It holds
 * no more than one head, or the part of a delimiter that ended a chunk; what it gives does not depend on the chunks.
 */
import { malformed, tooMuch } from './multipart_error.ts';
import { type PartHead, parseHead } from './multipart_head.ts';

export type MultipartEvent =
  | { readonly kind: 'part'; readonly head: PartHead }
  /** Content of the part: a view of what was pushed, or memory of its own. */
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  | { readonly kind: 'part-end' }
  | { readonly kind: 'end' };

/** What bounds the parser itself. */
export interface ParserLimits {
  /** Parts of the body. */
  readonly maxParts: number;
  /** Bytes of the fields of one part. */
  readonly maxHeadBytes: number;
}

const partEnd = { kind: 'part-end' } as const;
const end = { kind: 'end' } as const;

const cr = 0x0d;
const lf = 0x0a;
const dash = 0x2d;
const space = 0x20;
const tab = 0x09;
const lineEnd = Buffer.from('\r\n');
const headEnd = Buffer.from('\r\n\r\n');
const nothing = Buffer.alloc(0);

/** The line of a delimiter behind its boundary: nothing yet, a first '-', blanks, a CR. */
type DelimiterState = 'begin' | 'dash' | 'blanks' | 'cr';

export class MultipartParser {
  private readonly limits: ParserLimits;
  /** CRLF "--" boundary: it has no CR but its first byte. */
  private readonly delimiter: Buffer;
  private phase: 'preamble' | 'delimiter' | 'head' | 'body' | 'ended' = 'preamble';
  private delimiterState: DelimiterState = 'begin';
  private input: Buffer = nothing;
  private at = 0;
  /**
   * What is to come before the next input. The delimiter's CRLF may be the one that ends the head, and the body's first
   * needs none: in both places there is one, of which `skip` bytes are no content.
   */
  private held: Buffer = lineEnd;
  private skip = 2;
  private head: Buffer = nothing;
  private headLength = 0;
  private parts = 0;

  /** @throws MultipartError when the boundary cannot be one (RFC 2046 §5.1.1) */
  constructor(boundary: string, limits: ParserLimits) {
    if (!/^[\x20-\x7e]{0,69}[\x21-\x7e]$/.test(boundary)) {
      throw malformed('The boundary of a multipart body has 1 to 70 visible characters');
    }
    this.limits = limits;
    this.delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  }

  /** Gives it the next bytes, once `next()` has returned null. They must stay as they are until it does again. */
  push(bytes: Uint8Array): void {
    const given = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.input = this.held.length === 0 ? given : Buffer.concat([this.held, given]);
    this.held = nothing;
    this.at = 0;
  }

  /**
   * The next event, or null when more bytes are needed. Behind 'end' comes nothing more, whatever is pushed.
   *
   * @throws MultipartError when the bytes are malformed or above a limit; the parser is of no use from then on
   */
  next(): MultipartEvent | null {
    for (;;) {
      switch (this.phase) {
        case 'ended':
          return null;
        case 'delimiter': {
          const event = this.readDelimiter();
          if (event !== undefined) return event;
          break;
        }
        case 'head': {
          const event = this.readHead();
          if (event !== undefined) return event;
          break;
        }
        default: {
          const event = this.readContent();
          if (event !== undefined) return event;
        }
      }
    }
  }

  /** @throws MultipartError when the body has ended before its last delimiter */
  finish(): void {
    if (this.phase !== 'ended') throw malformed('The multipart body ends before its last boundary');
  }

  /** Undefined: the phase has changed. */
  private readContent(): MultipartEvent | null | undefined {
    const { input, at, delimiter } = this;
    if (at === input.length) return null;
    const found = input.indexOf(delimiter, at);
    const to = found >= 0 ? found : input.length - this.heldBack();
    const bytes = this.content(at, to);
    if (found >= 0) {
      // What comes before the delimiter goes first; the part's end when this is asked again.
      this.at = bytes === null ? found + delimiter.length : found;
      if (bytes !== null) return { kind: 'data', bytes };
      const ended = this.phase === 'body' ? partEnd : undefined;
      this.phase = 'delimiter';
      this.delimiterState = 'begin';
      return ended;
    }
    // A copy: the memory that was pushed is the caller's.
    this.held = Buffer.from(input.subarray(to));
    this.input = nothing;
    this.at = 0;
    return bytes === null ? null : { kind: 'data', bytes };
  }

  /** The bytes of the input that are content of a part; null when there are none. */
  private content(from: number, to: number): Uint8Array | null {
    const skipped = Math.min(this.skip, to - from);
    this.skip -= skipped;
    if (this.phase === 'preamble' || from + skipped === to) return null;
    return this.input.subarray(from + skipped, to);
  }

  /** How many bytes at the end of the input may be the beginning of a delimiter. */
  private heldBack(): number {
    const { input, delimiter } = this;
    const from = Math.max(this.at, input.length - delimiter.length + 1);
    const tail = input.subarray(from);
    const start = tail.lastIndexOf(cr);
    if (start < 0) return 0;
    const length = tail.length - start;
    return tail.compare(delimiter, 0, length, start) === 0 ? length : 0;
  }

  /** Behind a boundary: "--" ends the body, blanks and CRLF begin a part. What else is there makes it ambiguous. */
  private readDelimiter(): MultipartEvent | null | undefined {
    const { input } = this;
    while (this.at < input.length) {
      const byte = input[this.at++];
      const state = this.delimiterState;
      if (state === 'dash' && byte === dash) {
        this.phase = 'ended';
        this.input = nothing;
        return end;
      }
      if (state === 'cr' && byte === lf) {
        this.beginHead();
        return undefined;
      }
      if (state === 'begin' && byte === dash) this.delimiterState = 'dash';
      else if (state !== 'begin' && state !== 'blanks') throw badDelimiter();
      else if (byte === cr) this.delimiterState = 'cr';
      else if (byte === space || byte === tab) this.delimiterState = 'blanks';
      else throw badDelimiter();
    }
    return null;
  }

  private beginHead(): void {
    this.parts += 1;
    if (this.parts > this.limits.maxParts) {
      throw tooMuch(`The multipart body has over ${this.limits.maxParts} parts`, 'maxParts');
    }
    this.phase = 'head';
    this.headLength = 0;
    // A head without fields ends with the CRLF of the delimiter's line.
    this.keepHead(lineEnd);
  }

  /** Looks at each byte once, however the head comes in pieces. */
  private readHead(): MultipartEvent | null | undefined {
    const { input, at } = this;
    if (at === input.length) return null;
    const last = input.indexOf(headEnd, at);
    // Most heads are here as a whole, and begin with a field.
    if (this.headLength === 2 && last >= 0 && input[at] !== cr) {
      if (last + 2 - at > this.limits.maxHeadBytes + 2) throw this.headTooLarge();
      this.at = last + headEnd.length;
      return this.beginBody(input.toString('latin1', at, last + 2));
    }
    const searched = Math.max(0, this.headLength - 3);
    const room = this.limits.maxHeadBytes + 6 - this.headLength;
    const taken = Math.min((last < 0 ? input.length : last + headEnd.length) - at, room);
    this.keepHead(input.subarray(at, at + taken));
    const found = this.head.subarray(0, this.headLength).indexOf(headEnd, searched);
    if (found < 0) {
      if (taken === room) throw this.headTooLarge();
      this.at += taken;
      return null;
    }
    const behind = this.headLength - (found + headEnd.length);
    this.at += taken - behind;
    return this.beginBody(this.head.toString('latin1', 2, found + 2));
  }

  private headTooLarge(): Error {
    const most = this.limits.maxHeadBytes;
    return tooMuch(`The fields of a part have over ${most} bytes`, 'maxHeadBytes');
  }

  private beginBody(fields: string): MultipartEvent {
    const head = parseHead(fields);
    this.phase = 'body';
    this.skip = 2;
    if (this.at >= 2) {
      this.at -= 2;
    } else {
      this.input = Buffer.concat([lineEnd, this.input.subarray(this.at)]);
      this.at = 0;
    }
    return { kind: 'part', head };
  }

  private keepHead(bytes: Buffer): void {
    const length = this.headLength + bytes.length;
    if (length > this.head.length) {
      const larger = Buffer.allocUnsafe(Math.max(512, 2 * length));
      this.head.copy(larger, 0, 0, this.headLength);
      this.head = larger;
    }
    bytes.copy(this.head, this.headLength);
    this.headLength = length;
  }
}

function badDelimiter(): Error {
  return malformed('A line of the multipart body begins with its boundary and goes on otherwise');
}
