/**
 * gRPC over a handler's Request and Response: messages with their lengths in front in the bodies, the status of a call in
 * the trailers (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
 */
import type { Request, Server } from 'gyrfalcon';

/** What a call ends with, other than 0 (OK). */
export const Status = {
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
} as const;

/** Thrown by a method: what the client is told. */
export class GrpcError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** How a message is written and read: as your protobuf library has it. */
export interface Codec<T> {
  encode(message: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** What a method knows of its call beside the messages. */
export interface Call {
  /** The client's metadata. */
  metadata: Request['headers'];
  /** Aborted when the client cancels, has gone, or its deadline is over. */
  signal: AbortSignal;
}

/**
 * A method: takes the messages of the client and yields those of the server, however many on each side. Where the client
 * sends one message, `first` gives it.
 */
export type Method<In, Out> = (messages: AsyncIterable<In>, call: Call) => AsyncIterable<Out>;

const messageBytesMax = 4 * 1024 * 1024;
const prefixBytes = 5;

/** The handler of a method. */
export function grpc<In, Out>(input: Codec<In>, output: Codec<Out>, method: Method<In, Out>) {
  return (request: Request, server: Server): Response => {
    if (!request.headers.get('content-type')?.startsWith('application/grpc')) {
      return new Response('This is for clients of gRPC\n', { status: 415 });
    }
    let status = 0;
    let message = '';
    // Asked for when the body has ended.
    server.responseTrailers(request, () => ({
      'grpc-status': String(status),
      ...(message === '' ? {} : { 'grpc-message': encodeURI(message) }),
    }));
    const deadline = deadlineOf(request);
    const signal = deadline === null ? request.signal : AbortSignal.any([request.signal, deadline]);

    async function* answer(): AsyncGenerator<Uint8Array> {
      const call = { metadata: request.headers, signal };
      const answers = method(messagesOf(request, input), call)[Symbol.asyncIterator]();
      try {
        for (;;) {
          const { done, value } = await untilAborted(answers.next(), deadline);
          if (done) return;
          yield framed(output.encode(value));
        }
      } catch (error) {
        [status, message] = told(error, signal);
      } finally {
        // A method that waits for something sees the signal; nobody waits for it here.
        Promise.resolve(answers.return?.()).catch(() => {});
      }
    }
    return new Response(answer(), { headers: { 'content-type': 'application/grpc' } });
  };
}

/** The answer to a method that there is none of. */
export const unimplemented = (): Response =>
  new Response(null, {
    headers: {
      'content-type': 'application/grpc',
      'grpc-status': String(Status.unimplemented),
      'grpc-message': encodeURI('There is no such method'),
    },
  });

/** The one message of a client that sends one. */
export async function first<T>(messages: AsyncIterable<T>): Promise<T> {
  for await (const message of messages) return message;
  throw new GrpcError(Status.invalidArgument, 'A message is missing');
}

/** The messages of a request's body, wherever its pieces are cut. */
async function* messagesOf<T>(request: Request, { decode }: Codec<T>): AsyncGenerator<T> {
  let parts: Uint8Array[] = [];
  let have = 0;
  let wanted = prefixBytes;
  for await (const part of request.body ?? []) {
    parts.push(part);
    have += part.length;
    if (have < wanted) continue;
    let rest = Buffer.concat(parts);
    for (;;) {
      wanted = prefixBytes;
      if (rest.length >= prefixBytes) wanted += lengthIn(rest);
      if (rest.length < wanted || rest.length < prefixBytes) break;
      yield decode(rest.subarray(prefixBytes, wanted));
      rest = rest.subarray(wanted);
    }
    parts = [rest];
    have = rest.length;
  }
  if (have > 0) throw new GrpcError(Status.invalidArgument, 'The last message is cut off');
}

/** Of the message that begins here, bytes. */
function lengthIn(bytes: Buffer): number {
  if (bytes[0] !== 0) throw new GrpcError(Status.unimplemented, 'Messages are not decompressed');
  const length = bytes.readUInt32BE(1);
  if (length > messageBytesMax) throw new GrpcError(Status.resourceExhausted, 'A large message');
  return length;
}

function framed(message: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(prefixBytes + message.length);
  bytes[0] = 0; // not compressed
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, prefixBytes);
  return bytes;
}

const units: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Aborted when the time is over that the client gives the call; null where it gives all. */
function deadlineOf(request: Request): AbortSignal | null {
  const [, digits, unit] =
    /^(\d{1,8})([HMSmun])$/.exec(request.headers.get('grpc-timeout') ?? '') ?? [];
  if (digits === undefined || unit === undefined) return null;
  const ms = Math.ceil(Number(digits) * (units[unit] as number));
  return AbortSignal.timeout(Math.min(ms, 2 ** 31 - 1));
}

/** What `promise` gives, unless the deadline is over before. */
function untilAborted<T>(promise: Promise<T>, deadline: AbortSignal | null): Promise<T> {
  if (deadline === null) return promise;
  return new Promise((resolve, reject) => {
    const late = () => reject(new GrpcError(Status.deadlineExceeded, 'The deadline is over'));
    if (deadline.aborted) late();
    deadline.addEventListener('abort', late, { once: true });
    promise.then(resolve, reject).finally(() => deadline.removeEventListener('abort', late));
  });
}

/** What the client is told of an error: what is no GrpcError stays here. */
function told(error: unknown, signal: AbortSignal): [status: number, message: string] {
  if (error instanceof GrpcError) return [error.status, error.message];
  // What a method comes upon because its client has cancelled, or gone, is nobody's fault.
  if (signal.aborted) return [Status.cancelled, ''];
  console.error(error);
  return [Status.unknown, 'Something went wrong'];
}
