/**
 * gRPC: the four kinds of method of greeter.proto, for any client that speaks it in clear text.
 *
 *     npx gyrfalcon start examples/07-grpc/app.ts
 *
 *     grpcurl -plaintext -proto examples/07-grpc/greeter.proto -d '{"text": "Ada"}' localhost:3000 greeter.Greeter/SayHello
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { defineApp } from 'gyrfalcon';
import { type Codec, first, GrpcError, grpc, Status, unimplemented } from './grpc.ts';

/** `message Text`, by hand. Programs have this made of their .proto files, by ts-proto or protobuf-es. */
const text: Codec<string> = {
  encode(message) {
    const bytes = Buffer.from(message);
    const length = [];
    for (let rest = bytes.length; rest > 0 || length.length === 0; rest = Math.floor(rest / 128)) {
      length.push((rest % 128) | (rest >= 128 ? 128 : 0));
    }
    return Buffer.concat([Buffer.from([0x0a, ...length]), bytes]); // field 1, a length follows
  },
  decode(bytes) {
    if (bytes.length === 0) return ''; // what is empty may be left out
    let at = 1;
    while ((bytes[at] as number) >= 128) at += 1;
    if (bytes[0] !== 0x0a) throw new GrpcError(Status.invalidArgument, 'This is no Text');
    return Buffer.from(bytes.subarray(at + 1)).toString();
  },
};

export default defineApp({
  routes: {
    // One message, one answer.
    '/greeter.Greeter/SayHello': {
      POST: grpc(text, text, async function* (messages) {
        const name = await first(messages);
        if (name === '') throw new GrpcError(Status.invalidArgument, 'Who are you?');
        yield `Hello ${name}`;
      }),
    },

    // One message, many answers. A client that cancels, or whose deadline is over, ends the sleep.
    '/greeter.Greeter/CountDown': {
      POST: grpc(text, text, async function* (messages, { signal }) {
        for (let n = Number(await first(messages)); n > 0; n -= 1) {
          yield String(n);
          await sleep(100, undefined, { signal });
        }
        yield 'lift-off';
      }),
    },

    // Many messages, one answer.
    '/greeter.Greeter/Join': {
      POST: grpc(text, text, async function* (messages) {
        const all: string[] = [];
        for await (const message of messages) all.push(message);
        yield all.join(' ');
      }),
    },

    // Many of both, for as long as both like.
    '/greeter.Greeter/Chat': {
      POST: grpc(text, text, async function* (messages, { metadata }) {
        const name = metadata.get('name') ?? 'you';
        for await (const message of messages) yield `${name}: ${message}`;
      }),
    },
  },
  fetch: unimplemented,
  // Calls may be silent for an hour, in whichever direction.
  bodyTimeout: 3_600_000,
  minBodyRate: 0,
});
