/** A client of examples/07-grpc, by @grpc/grpc-js. */
import {
  type CallOptions,
  type ChannelCredentials,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  credentials,
  loadPackageDefinition,
  type Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { project } from '../support/process.ts';

export interface Text {
  text: string;
}

type Answered = (error: ServiceError | null, answer?: Text) => void;

/** What loadPackageDefinition makes of greeter.proto. */
export interface Greeter extends Client {
  SayHello(message: Text, options: CallOptions, answered: Answered): ClientUnaryCall;
  CountDown(message: Text, options?: CallOptions): ClientReadableStream<Text>;
  Join(answered: Answered): ClientWritableStream<Text>;
  Chat(metadata?: Metadata): ClientDuplexStream<Text, Text>;
}

export function greeter(
  port: number,
  channel: ChannelCredentials = credentials.createInsecure(),
  options: object = {},
): Greeter {
  const file = project('examples', '07-grpc', 'greeter.proto');
  const loaded = loadPackageDefinition(loadSync(file)) as unknown as {
    greeter: {
      Greeter: new (address: string, channel: ChannelCredentials, options: object) => Greeter;
    };
  };
  return new loaded.greeter.Greeter(`127.0.0.1:${port}`, channel, options);
}

/** A unary call's answer. */
export function sayHello(
  client: Greeter,
  text: string,
  options: CallOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    client.SayHello({ text }, options, (error, answer) => {
      if (error === null) resolve(answer?.text ?? '');
      else reject(error);
    });
  });
}

/** All answers of a stream. */
export async function textsOf(stream: AsyncIterable<Text>): Promise<string[]> {
  const texts: string[] = [];
  for await (const { text } of stream) texts.push(text);
  return texts;
}
