/** The two calls of benchmark.proto. examples/07-grpc has gRPC with all that a service needs. */
import type { Request, Server } from 'gyrfalcon';

/** SumRequest, and StreamRequest, which has `count` too. */
interface Numbers {
  a: number;
  b: number;
  count: number;
}

const invalidArgument = '3';
const prefixBytes = 5;

/** Fields 1 to 3, varints all of them. What is 0 may be left out. */
function numbersOf(message: Uint8Array): Numbers {
  const fields = [0, 0, 0, 0];
  let at = 0;
  const varint = (): number => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at];
      if (byte === undefined || shift > 63n) throw new Error('A varint is cut off');
      at += 1;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(BigInt.asIntN(32, value));
    }
  };
  while (at < message.length) {
    const key = varint();
    if ((key & 7) !== 0) throw new Error('A field is no int32');
    fields[key >> 3] = varint();
  }
  const [, a = 0, b = 0, count = 0] = fields;
  return { a, b, count };
}

/** A SumReply, with its length in front. */
function reply(result: number): Uint8Array {
  const bytes: number[] = [];
  // A negative int32 is written as the int64 that it is (ten bytes).
  for (let rest = BigInt.asUintN(64, BigInt(result | 0)); rest > 0n; rest >>= 7n) {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
  }
  const message = bytes.length === 0 ? [] : [8, ...bytes];
  return Uint8Array.of(0, 0, 0, 0, message.length, ...message);
}

/** The one message of a call. Throws for what is none. */
async function numbersIn(request: Request): Promise<Numbers> {
  const body = Buffer.from(await request.arrayBuffer());
  if (body.length < prefixBytes || body[0] !== 0) throw new Error('A message is missing');
  if (body.readUInt32BE(1) !== body.length - prefixBytes) throw new Error('One message, please');
  return numbersOf(body.subarray(prefixBytes));
}

type Call = (request: Request, server: Server) => Promise<Response>;

/** A call that is answered by `answer`. The status of a call is in the trailers, which come last. */
function call(answer: (numbers: Numbers) => Uint8Array | AsyncIterable<Uint8Array>): Call {
  return async (request, server) => {
    if (!request.headers.get('content-type')?.startsWith('application/grpc')) {
      return new Response('This is for clients of gRPC\n', { status: 415 });
    }
    const headers = { 'content-type': 'application/grpc' };
    try {
      const body = answer(await numbersIn(request));
      server.responseTrailers(request, { 'grpc-status': '0' });
      return new Response(body, { headers });
    } catch (error) {
      const status = {
        'grpc-status': invalidArgument,
        'grpc-message': encodeURI((error as Error).message),
      };
      return new Response(null, { headers: { ...headers, ...status } });
    }
  };
}

/** One message, one answer. */
export const unary = (sum: (numbers: Numbers) => number): Call =>
  call((numbers) => reply(sum(numbers)));

/** One message, many answers, each of which goes out as it is made. */
export const serverStream = (sums: (numbers: Numbers) => Iterable<number>): Call =>
  call(async function* (numbers) {
    for (const sum of sums(numbers)) yield reply(sum);
  });
