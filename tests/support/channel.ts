/** One JS thread's side of the bridge, over an engine that the test plays. */
import { Channel } from '../../ts/src/bridge/channel.ts';
import type { ProtocolError } from '../../ts/src/bridge/protocol_error.ts';
import type { SocketHandlers } from '../../ts/src/bridge/websocket.ts';
import type { Request } from '../../ts/src/fetch/request.ts';
import { RequestServer } from '../../ts/src/server/request_server.ts';
import {
  EngineMirror,
  type MirrorAnswer,
  MirrorDoorbell,
  type MirrorRequest,
} from './engine_mirror.ts';
import { until } from './wait.ts';

/** What handlers see of a server that concerns their request. */
class TestServer extends RequestServer {}

export type TestHandler = (request: Request) => unknown;

export interface Fixture {
  server: RequestServer;
  mirror: EngineMirror;
  doorbell: MirrorDoorbell;
  channel: Channel;
  stopped: () => boolean;
  /** How often it was told that listeners were lost. */
  lost: () => number;
  /** Sends a request, rings, and takes what was answered at once. */
  ask: (request?: MirrorRequest) => MirrorAnswer[];
  /** Rings and takes what there is, until there are `count` records. */
  answers: (count: number) => Promise<MirrorAnswer[]>;
}

interface FixtureOptions {
  names?: string[];
  ringBytes?: number;
  creditBytes?: number;
  workers?: number;
  /** As `ChannelHost` has it. */
  stopping?: () => void;
  error?: (error: unknown) => unknown;
  protocolError?: (error: ProtocolError) => unknown;
  sockets?: SocketHandlers;
}

/** A channel over the mirror of an engine, with one handler. */
export function open(handler: TestHandler, options: FixtureOptions = {}): Fixture {
  const ringBytes = options.ringBytes ?? 128 * 1024;
  const mirror = new EngineMirror(ringBytes, options.creditBytes, options.workers);
  const doorbell = new MirrorDoorbell();
  let stopped = false;
  const app = {
    routes: [
      {
        handler: handler as (request: Request) => unknown,
        names: options.names ?? [],
        pattern: null,
      },
    ],
    error: options.error ?? null,
    rawPaths: false,
    protocolError: options.protocolError ?? null,
    forms: {},
    sockets: options.sockets ?? null,
  };
  const server = new TestServer();
  let lost = 0;
  const host = {
    stopping: () => options.stopping?.(),
    stopped: () => {
      stopped = true;
    },
    listenerLost: () => {
      lost += 1;
    },
  };
  const channel = new Channel(mirror.block, 0, doorbell, app, server, host);
  return {
    server,
    mirror,
    doorbell,
    channel,
    stopped: () => stopped,
    lost: () => lost,
    ask: (request) => {
      mirror.request(request);
      doorbell.ring();
      return mirror.answers();
    },
    answers: async (count) => {
      const all: MirrorAnswer[] = [];
      await until(() => {
        doorbell.ring();
        all.push(...mirror.answers());
        return all.length >= count;
      }, `${count} records`);
      return all;
    },
  };
}

/** Collects the errors that are logged meanwhile. */
export async function logged(run: () => unknown): Promise<string[]> {
  const before = console.error;
  const lines: string[] = [];
  console.error = (...parts: unknown[]) => {
    lines.push(parts.map(String).join(' '));
  };
  try {
    await run();
  } finally {
    console.error = before;
  }
  return lines;
}

export const tick = () => new Promise((resolve) => setImmediate(resolve));
