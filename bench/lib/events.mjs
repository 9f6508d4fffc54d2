// Streams of events as far as the race speaks them: one that listens, and a POST that is an event for it.
import { request } from 'node:http';
import { text } from 'node:stream/consumers';

const HOST = '127.0.0.1';
const waitMs = 5000;
const opening = ':\n\n';

/** As bench/sse_load.zig publishes: 64 bytes that end with the mark. */
const message = `${'.'.repeat(63)}~`;

/**
 * Listens at /events, publishes twice, and throws an Error that says what was wrong with what came.
 * @returns {Promise<{ responseBytes: number, head: string }>} size of an event
 */
export async function verifyEvents(port) {
  const listener = await ask(port, { path: '/events' });
  try {
    check(listener, /^text\/event-stream/);
    const event = `data: ${message}\n\n`;
    const received = reader(listener);
    await received(opening);
    for (let count = 1; count <= 2; count += 1) {
      const published = await ask(port, { path: '/publish', method: 'POST' }, message);
      check(published, /^text\/plain/);
      if ((await text(published)) !== '~') throw new Error('/publish: the body is not ~');
      await received(opening + event.repeat(count));
    }
    return { responseBytes: event.length, head: '' };
  } finally {
    listener.destroy();
  }
}

function ask(port, what, body) {
  return new Promise((resolve, reject) => {
    const fields = body === undefined ? {} : { 'Content-Type': 'text/plain' };
    const asking = request({ host: HOST, port, agent: false, headers: fields, ...what }, resolve);
    asking.once('error', reject);
    asking.setTimeout(waitMs, () => asking.destroy(new Error(`${what.path}: no answer`)));
    asking.end(body);
  });
}

function check({ req, statusCode, headers }, type) {
  const given = headers['content-type'] ?? '';
  if (statusCode !== 200) throw new Error(`${req.path}: the status is ${statusCode}`);
  if (!type.test(given))
    throw new Error(`${req.path}: Content-Type does not match ${type}: ${given}`);
}

/** A function that waits until the stream has brought a text, which it has from its beginning, and no more. */
function reader(stream) {
  let received = '';
  let wake = () => {};
  let failure = null;
  const fail = (error) => {
    failure ??= error;
    wake();
  };
  stream.setEncoding('utf8').on('data', (piece) => {
    received += piece;
    wake();
  });
  stream.on('error', fail);
  stream.on('end', () => fail(new Error('/events: the stream has ended')));
  return async (wanted) => {
    const timer = setTimeout(
      () => fail(new Error(`/events: no event within ${waitMs} ms`)),
      waitMs,
    );
    try {
      while (received !== wanted) {
        if (!wanted.startsWith(received))
          throw new Error(`/events: not what was published: ${JSON.stringify(received)}`);
        if (failure !== null) throw failure;
        await new Promise((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  };
}
