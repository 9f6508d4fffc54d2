// What the WebSockets of tests/websocket/app.ts do: text says what is to be done, and is sent back with the name of these
// handlers in front; bytes are sent back as they are.
import { AsyncLocalStorage } from 'node:async_hooks';
import { threadId } from 'node:worker_threads';
import {
  type Request,
  Response,
  type Server,
  type ServerWebSocket,
  type WebSocketHandler,
} from 'gyrfalcon';
import { Hono } from 'hono';

interface Data {
  name: string;
}
type Ws = ServerWebSocket<Data>;

const storage = new AsyncLocalStorage<string>();
const ended: string[] = [];
const announced = new Set<Ws>();
let drains = 0;
const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** Handlers of `hold`: each has its peer's credit for as long as it waits. */
const held = { running: 0, release: (): void => {} };
const released = new Promise<void>((resolve) => {
  held.release = resolve;
});
let kept: Ws | null = null;
/** Once a socket was asked for. */
let serving: Server | null = null;

const commands: Record<string, (ws: Ws, text: string) => unknown> = {
  /** What is known of the socket. */
  about: (ws) =>
    ws.send(
      JSON.stringify({
        data: ws.data,
        address: ws.remoteAddress,
        protocol: ws.protocol,
        extensions: ws.extensions,
        state: ws.readyState,
        topics: ws.subscriptions,
        thread: threadId,
        context: storage.getStore() ?? null,
        drains,
        holds: held.running,
        buffered: ws.getBufferedAmount(),
      }),
    ),
  ended: (ws) => ws.send(JSON.stringify(ended)),
  enter: (_ws, text) => storage.enterWith(text),
  subscribe: (ws, topic) => ws.subscribe(topic),
  unsubscribe: (ws, topic) => ws.unsubscribe(topic),
  publish: (ws, text) =>
    ws.publish(text.split(' ')[0] as string, text.split(' ').slice(1).join(' ')),
  /** As the first lines of many a chat. */
  join: (ws, text) => {
    ws.subscribe('chat');
    ws.send(`welcome ${text}`);
    serving?.publish('chat', `${text} has come`);
  },
  leave: (ws, text) => {
    ws.unsubscribe('chat');
    serving?.publish('chat', `${text} has gone`);
    ws.send('goodbye');
  },
  /** Numbered, of 16 KiB. */
  publishMany: (ws, text) => {
    const [topic = '', count = ''] = text.split(' ');
    for (let n = 0; n < Number(count); n++) {
      const bytes = Buffer.alloc(16_384);
      bytes.writeUInt32BE(n);
      if (ws.publish(topic, bytes) === 0) console.log('NOT PUBLISHED');
    }
  },
  /** Others hear of its end. */
  announce: (ws) => {
    announced.add(ws);
  },
  publishLarge: (ws, text) => ws.publish(text, Buffer.alloc(900_000, 'p')),
  plain: (ws, text) => ws.send(text, false),
  plainBytes: (ws, text) => ws.send(Buffer.from(text), false),
  largePlain: (ws, text) => ws.send(Buffer.alloc(Number(text), '!'), false),
  publishPlain: (ws, text) => {
    const [topic = '', ...rest] = text.split(' ');
    ws.publish(topic, rest.join(' '), false);
  },
  publishBoth: (ws, text) => {
    const [topic = '', ...rest] = text.split(' ');
    for (const compress of [true, false, undefined]) ws.publish(topic, rest.join(' '), compress);
  },
  throw: () => {
    throw new Error('intended');
  },
  reject: () => Promise.reject(new Error('intended')),
  large: (ws, text) => ws.send(Buffer.alloc(Number(text), '!')),
  largeText: (ws, text) => ws.send('€'.repeat(Number(text))),
  count: (ws, text) => {
    for (let n = 0; n < Number(text); n++) ws.send(`${n}`);
  },
  /** Sends 64 KiB until it is told not to; tells how often each answer came. */
  flood: (ws, text) => {
    const answers: Record<string, number> = {};
    const bytes = Buffer.alloc(65_536, 'f');
    for (let n = 0; n < Number(text); n++) {
      const answer = ws.send(bytes);
      answers[answer] = (answers[answer] ?? 0) + 1;
    }
    kept = ws;
    console.log(`FLOOD ${JSON.stringify(answers)}`);
  },
  ping: (ws, text) => ws.ping(text),
  pong: (ws, text) => ws.pong(text),
  close: (ws, text) => ws.close(Number(text.split(' ')[0]), text.split(' ').slice(1).join(' ')),
  terminate: (ws) => ws.terminate(),
  binaryType: (ws, text) => {
    ws.binaryType = text as 'arraybuffer';
  },
  /** Blocks the thread. */
  block: (_ws, text) => {
    const until = Date.now() + Number(text);
    while (Date.now() < until);
  },
  /** Is not done until /release is asked for. */
  hold: async () => {
    held.running += 1;
    await released;
  },
  die: () => process.exit(7),
};

const hono = new Hono<{ Bindings: Server }>();
hono.get('/hono', (c) => {
  const isUpgraded = c.env.upgrade(c.req.raw);
  return isUpgraded ? new globalThis.Response(null) : c.text('none\n', 426);
});

export function handlers(name: string) {
  const websocket: WebSocketHandler<Data> = {
    ...JSON.parse(process.env.SOCKET_OPTIONS ?? '{}'),
    protocols: ['one', 'two'],
    open(ws) {
      if (ws.data?.name === 'greeted') ws.send('welcome');
      if (ws.data?.name === 'throws') throw new Error('intended');
    },
    message(ws, message) {
      if (typeof message !== 'string') {
        const kind = Object.prototype.toString.call(message).slice(8, -1);
        ws.send(ws.binaryType === 'nodebuffer' ? message : kind);
        return undefined;
      }
      const [word = '', ...rest] = message.split(' ');
      const command = commands[word];
      if (command !== undefined) return command(ws, rest.join(' '));
      ws.send(`${name}: ${message}`);
      return undefined;
    },
    drain(ws) {
      drains += 1;
      if (kept === ws) ws.send('drained');
    },
    async close(ws, code, reason) {
      ended.push(`${code} ${reason}`);
      console.log(`CLOSED ${code} ${reason}`);
      if (announced.delete(ws)) ws.publish('news', `${ws.data.name} has gone`);
      if (ws.data?.name !== 'slow') return;
      commands.block?.(ws, '60');
      await rest(300);
      console.log('CLOSED SLOWLY');
    },
    ping(ws, data) {
      ws.send(`pinged ${data}`);
    },
    pong(ws, data) {
      ws.send(`ponged ${data}`);
    },
  };
  return {
    websocket,
    routes: {
      '/socket/:name': (request: Request<{ name: string }>, server: Server) => {
        const { name: who } = request.params;
        serving = server;
        const data = { name: who };
        const headers = { 'X-Who': who, 'Set-Cookie': 'a=b' };
        const options = { data, headers, perMessageDeflate: who !== 'plain' };
        return server.upgrade(request, options) ? undefined : new Response('none\n');
      },
      '/publish/:how': (request: Request<{ how: string }>, server: Server) => {
        const text = 'from the server; '.repeat(100);
        return new Response(`${server.publish('news', text, request.params.how !== 'plain')}\n`);
      },
      '/release': () => {
        held.release();
        return new Response('released\n');
      },
      /** What server.upgrade() throws, and answers. */
      '/wrong/:how': async (request: Request<{ how: string }>, server: Server) => {
        const { how } = request.params;
        if (how === 'later') await rest(20);
        const call = (options: object = {}) => {
          try {
            return server.upgrade(request, options);
          } catch (error) {
            return (error as { code?: string; name: string }).code ?? (error as Error).name;
          }
        };
        if (how === 'protocol') return Response.json(call({ protocol: 'no token' }));
        if (how === 'field') return Response.json(call({ headers: { a: 'b\nc' } }));
        if (how === 'twice') {
          const first = call();
          console.log(`TWICE ${first} ${call()}`);
          return undefined;
        }
        if (how === 'throws') {
          call();
          throw new Error('intended');
        }
        const answer = call();
        return answer === true ? undefined : Response.json(answer);
      },
    },
    fetch: (request: Request, server: Server) => hono.fetch(request as never, server),
  };
}

/** Each reload() imports it anew, by another number. */
const version = new URL(import.meta.url).searchParams.get('gyrfalcon');
const own = handlers(version === '0' || version === null ? 'thread' : `thread ${version}`);
export default { ...own, websocket: { ...own.websocket, backpressureLimit: 2 ** 26 } };
