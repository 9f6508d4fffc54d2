import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { App } from './app.ts';
import { ThreadSockets } from './thread_sockets.ts';
import type { SocketHandlers } from './websocket.ts';

const test = suite('what the WebSockets of a thread share');

test('a reload that fails leaves sockets with the handlers that they had', () => {
  const appOf = (sockets: SocketHandlers | null): App => ({ sockets }) as App;
  const handlers = (): SocketHandlers => ({ message: () => {} });
  const [first, none, failing] = [appOf(handlers()), appOf(null), appOf(handlers())];
  const shared = new ThreadSockets({} as never, [], first, {} as never, {}, {} as never);
  shared.setApp(none);
  assert.is(shared.handlers, first.sockets, 'those that are open outlive one that has none');
  shared.setApp(failing);
  assert.is(shared.handlers, failing.sockets);
  shared.setApp(none);
  assert.is(shared.handlers, first.sockets);
});

test.run();
