// WebSockets of serve() as tests/websocket/serve.test.ts asks for them. Argument: options of serve(), as JSON, `websocket`
// among them; null: none. SIGHUP: reload(), and a line RELOADED. SIGUSR2: publishes "from main" under "news", or
// `publishes` messages of 1 MB.
import { type ReloadOptions, serve } from 'gyrfalcon';
import { moduleOf } from '../support/process.ts';
import { handlers } from './handlers.ts';

const given = JSON.parse(process.argv[2] ?? '{}');
const { websocket = {}, threads = 0, publishes = 0, ...options } = given;
const base = { hostname: '127.0.0.1', port: 0, ...options };

function named(name: string) {
  const own = handlers(name);
  return websocket === null
    ? { ...own, websocket: undefined }
    : { ...own, websocket: { ...own.websocket, ...websocket } };
}

// The module of `threads` has them from there.
process.env.SOCKET_OPTIONS = JSON.stringify(websocket);

const server =
  threads === 0
    ? serve({ ...base, ...named('first') })
    : await serve({ ...base, threads, module: moduleOf('tests', 'websocket', 'handlers.ts') });

process.on('SIGHUP', async () => {
  // Of a server without WebSockets: with some, which it cannot get.
  const other = websocket === null ? handlers('second') : named('second');
  try {
    await server.reload(threads === 0 ? (other as ReloadOptions) : undefined);
    console.log('RELOADED');
  } catch (error) {
    console.log(`NOT RELOADED ${(error as { code: string }).code}`);
  }
});
process.on('SIGUSR2', () => {
  const answers =
    publishes === 0
      ? [server.publish('news', 'from main')]
      : Array.from({ length: publishes }, () => server.publish('news', Buffer.alloc(1_000_000)));
  console.log(`PUBLISHED ${answers}`);
});
process.once('SIGTERM', async () => {
  await server.stop({ deadline: 5000 });
  console.log('STOPPED');
});
// Last: who reads it may send a signal at once, which would end a process that does not take it yet.
console.log(`${server.url}`);
