import { GyrfalconError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { noBytes } from '../fetch/chunks.ts';
import type { ResponseParts } from '../fetch/response_parts.ts';
import * as abi from './abi.gen.ts';
import { tellResponse } from './diagnostics.ts';
import { type Exchange, PHASE_OPEN } from './exchange.ts';
import { checkLength, checkStream, isStream } from './framing.ts';
import { Outgoing } from './outgoing.ts';
import { discard, fitsInline, lengthOfNone } from './response_checks.ts';
import {
  HEAD_ALONE,
  HEAD_TOO_LARGE,
  RING_FULL,
  WRITTEN,
  writeAbort,
  writeChunk,
  writeFieldSection,
  writeHead,
} from './response_record.ts';
import type { Trailers } from './trailers.ts';

/** Text up to this length surely fits a head record, whatever its characters are. */
const inlineTextMax = Math.floor(abi.RESPONSE_INLINE_BYTES_MAX / 3);

/** What a responder needs of its channel. */
export interface ResponderHost {
  readonly log: Log;
  /** A record stands in a ring that was not published. */
  wrote(): void;
  /** The response of an exchange cannot be sent: it is answered with an error. */
  failed(exchange: Exchange, error: GyrfalconError): void;
}

/** Writes the responses of exchanges into their rings: as much as ring and credit allow, and the rest when they allow more. */
export class Responder {
  private readonly host: ResponderHost;

  constructor(host: ResponderHost) {
    this.host = host;
  }

  /** Leaves the answer to the engine, which has a page for that. */
  giveUp(exchange: Exchange): void {
    exchange.outgoing = Outgoing.none();
    exchange.port.keep(exchange);
    this.pushBroken(exchange);
  }

  /** Sends a response; what does not go at once is kept in the exchange. */
  send(exchange: Exchange, parts: ResponseParts): void {
    if (exchange.phase !== PHASE_OPEN) {
      discard(parts.body);
      return;
    }
    if (parts.length !== null) checkLength(parts, exchange.isHead, this.host.log);
    const { body } = parts;
    if (exchange.trailers?.areDeclared && exchange.takesTrailers(parts.status)) {
      this.sendTrailing(exchange, parts, exchange.trailers);
      return;
    }
    if (isStream(body)) {
      this.sendStream(exchange, parts, body);
      return;
    }
    const fits = typeof body === 'string' ? body.length <= inlineTextMax : fitsInline(body);
    const written = fits ? this.writeWhole(exchange, parts, body) : RING_FULL;
    if (written === WRITTEN) {
      tellResponse(exchange, parts.status);
      this.finish(exchange);
    } else if (written === HEAD_TOO_LARGE) {
      this.headTooLarge(exchange);
    } else {
      const bytes = typeof body === 'string' ? Buffer.from(body) : body;
      const length = bytes === null ? lengthOfNone(exchange, parts) : bytes.length;
      this.start(exchange, new Outgoing(parts, bytes, null, length));
    }
  }

  private writeWhole(
    exchange: Exchange,
    parts: ResponseParts,
    body: string | Uint8Array | null,
  ): number {
    const { block, responses } = exchange.port.lane;
    const { slot, generation } = exchange;
    // The engine counts the bytes of a body that comes whole.
    const length = body === null ? lengthOfNone(exchange, parts) : 0;
    return writeHead(block, responses, slot, generation, parts, body, length, true);
  }

  private sendStream(
    exchange: Exchange,
    parts: ResponseParts,
    stream: ReadableStream<Uint8Array>,
  ): void {
    if (exchange.isHead) {
      discard(stream);
      this.start(exchange, new Outgoing(parts, null, null, parts.length));
      return;
    }
    exchange.compact();
    const outgoing = new Outgoing(parts, null, stream, parts.length);
    if (!parts.mayBeWhole || parts.length !== null) {
      this.start(exchange, outgoing);
      return;
    }
    exchange.outgoing = outgoing;
    exchange.port.keep(exchange);
    outgoing.readAhead(
      () => this.push(exchange, outgoing),
      (cause) => this.streamFailed(exchange, outgoing, cause),
    );
  }

  /** A response with trailers goes in chunks, whatever its body is (RFC 9112 §7.1.2). */
  private sendTrailing(exchange: Exchange, parts: ResponseParts, trailers: Trailers): void {
    const { body } = parts;
    const { names } = trailers;
    if (names.length > 0) parts.fields = [...parts.fields, 'trailer', names.join(', ')];
    exchange.compact();
    const stream = isStream(body) ? body : null;
    const bytes = typeof body === 'string' ? Buffer.from(body) : isStream(body) ? null : body;
    this.start(exchange, new Outgoing(parts, bytes, stream, null, trailers));
  }

  private start(exchange: Exchange, outgoing: Outgoing): void {
    exchange.outgoing = outgoing;
    exchange.port.keep(exchange);
    this.push(exchange, outgoing);
  }

  /** Goes on with a response when there is room again: its stream may be asked for more. */
  resume(exchange: Exchange, outgoing: Outgoing): void {
    outgoing.runInAsyncScope(this.push, this, exchange, outgoing);
  }

  /** Sends as much as ring and credit allow, and sees to it that the rest will follow. */
  private push(exchange: Exchange, outgoing: Outgoing): void {
    if (exchange.queued || outgoing.isHeld || exchange.phase !== PHASE_OPEN) return;
    if (outgoing.parts !== null && !this.pushHead(exchange, outgoing, outgoing.parts)) return;
    while (exchange.phase === PHASE_OPEN) {
      const { bytes } = outgoing;
      if (bytes === null || outgoing.at === bytes.length) {
        if (outgoing.isLast) this.pushEnd(exchange, outgoing);
        else if (!outgoing.reading) this.readMore(exchange, outgoing);
        return;
      }
      const left = bytes.length - outgoing.at;
      const count = Math.min(left, abi.CHUNK_BYTES_MAX, exchange.credit);
      if (count === 0) return; // goes on when the engine grants more
      const part = bytes.subarray(outgoing.at, outgoing.at + count);
      const end = outgoing.isLast && count === left && !outgoing.hasTrailers;
      if (!this.pushPart(exchange, part, end)) return;
      outgoing.at += count;
    }
  }

  /** Ends a body whose last byte has been sent. */
  private pushEnd(exchange: Exchange, outgoing: Outgoing): void {
    const fields = outgoing.trailerFields;
    if (outgoing.hasTrailers && fields === null) {
      if (!outgoing.reading) this.makeTrailers(exchange, outgoing);
    } else if (fields === null || fields.length === 0) {
      this.pushPart(exchange, noBytes, true);
    } else {
      const { block, responses } = exchange.port.lane;
      const { slot, generation } = exchange;
      const kind = abi.KIND_RESPONSE_TRAILERS;
      if (writeFieldSection(block, responses, slot, generation, kind, 0, fields)) {
        this.finish(exchange);
      } else {
        exchange.port.queue(exchange);
      }
    }
  }

  private makeTrailers(exchange: Exchange, outgoing: Outgoing): void {
    outgoing.makeTrailers(
      () => this.push(exchange, outgoing),
      (cause) => {
        const message = 'The trailers of a response could not be made';
        const error = new GyrfalconError('GYR_RESPONSE_TRAILERS', message, '', { cause });
        this.breakOff(exchange, outgoing, error);
      },
    );
  }

  private pushHead(exchange: Exchange, outgoing: Outgoing, parts: ResponseParts): boolean {
    const { bytes } = outgoing;
    const most = bytes === null ? 0 : Math.min(bytes.length, abi.RESPONSE_INLINE_BYTES_MAX);
    const written = this.writeHeadWith(exchange, outgoing, parts, most);
    return written === HEAD_ALONE
      ? this.pushedHead(exchange, outgoing, this.writeHeadWith(exchange, outgoing, parts, 0), 0)
      : this.pushedHead(exchange, outgoing, written, most);
  }

  /** Writes the head, with the first `count` bytes of what is at hand. */
  private writeHeadWith(
    exchange: Exchange,
    outgoing: Outgoing,
    parts: ResponseParts,
    count: number,
  ): number {
    const { lane } = exchange.port;
    const { bytes } = outgoing;
    return writeHead(
      lane.block,
      lane.responses,
      exchange.slot,
      exchange.generation,
      parts,
      bytes === null ? null : bytes.subarray(0, count),
      outgoing.length,
      outgoing.endsAt(count),
    );
  }

  private pushedHead(
    exchange: Exchange,
    outgoing: Outgoing,
    written: number,
    count: number,
  ): boolean {
    if (written === RING_FULL) {
      exchange.port.queue(exchange);
      return false;
    }
    if (written === HEAD_TOO_LARGE) {
      outgoing.cancel();
      exchange.outgoing = null;
      this.headTooLarge(exchange);
      return false;
    }
    const end = outgoing.endsAt(count);
    if (outgoing.parts !== null) tellResponse(exchange, outgoing.parts.status);
    outgoing.parts = null;
    outgoing.hasBegun = true;
    outgoing.at = count;
    exchange.credit -= count;
    if (end) this.finish(exchange);
    else this.host.wrote();
    return !end;
  }

  private pushPart(exchange: Exchange, part: Uint8Array, end: boolean): boolean {
    const { lane } = exchange.port;
    const { slot, generation } = exchange;
    if (!writeChunk(lane.block, lane.responses, slot, generation, part, end)) {
      exchange.port.queue(exchange);
      return false;
    }
    exchange.credit -= part.length;
    if (end) this.finish(exchange);
    else this.host.wrote();
    return true;
  }

  private readMore(exchange: Exchange, outgoing: Outgoing): void {
    outgoing.bytes = null;
    outgoing.read(
      () => {
        checkStream(outgoing, this.host.log);
        this.push(exchange, outgoing);
      },
      (cause) => this.streamFailed(exchange, outgoing, cause),
    );
  }

  private streamFailed(exchange: Exchange, outgoing: Outgoing, cause: unknown): void {
    const message = 'The body stream of a response failed';
    const error = new GyrfalconError('GYR_RESPONSE_BODY', message, '', { cause });
    this.breakOff(exchange, outgoing, error);
  }

  /** The response cannot be finished: the client must not take what it has for the whole. */
  private breakOff(exchange: Exchange, outgoing: Outgoing, error: GyrfalconError): void {
    if (exchange.phase !== PHASE_OPEN) return;
    if (!exchange.isOfLeaving(error.cause)) this.host.log.error('gyrfalcon:', error);
    outgoing.cancel(error.cause);
    outgoing.broken = true;
    this.pushBroken(exchange);
  }

  private pushBroken(exchange: Exchange): void {
    const { lane } = exchange.port;
    if (writeAbort(lane.block, lane.responses, exchange.slot, exchange.generation)) {
      if (exchange.outgoing?.hasBegun !== true) tellResponse(exchange, 500); // the engine's page
      this.finish(exchange);
    } else {
      exchange.port.queue(exchange);
    }
  }

  private headTooLarge(exchange: Exchange): void {
    const message = 'The header fields of a response do not fit';
    const { responseFieldBytes } = exchange.port.lane.block;
    const hint = `at most ${abi.RESPONSE_FIELD_COUNT_MAX} fields and ${responseFieldBytes} bytes: maxResponseHeaderBytes`;
    this.host.failed(exchange, new GyrfalconError('GYR_RESPONSE_HEAD_TOO_LARGE', message, hint));
  }

  /** The response has been written to its end. */
  private finish(exchange: Exchange): void {
    exchange.finish();
    exchange.port.forget(exchange);
    this.host.wrote();
  }

  /** Goes on with a response that found the ring full before. */
  again(exchange: Exchange): void {
    const { outgoing } = exchange;
    if (outgoing?.broken) this.pushBroken(exchange);
    else if (outgoing !== null && exchange.phase === PHASE_OPEN) this.resume(exchange, outgoing);
  }
}
