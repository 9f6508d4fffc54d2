/** Receive windows grow where the peer is near: a round trip of less than a tick of the clock was once taken for none. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stopAll } from '../support/process.ts';
import { serveApp } from '../support/target.ts';
import { until } from '../support/wait.ts';
import { FrameClient, frame, preface, settingsFrame } from './client.ts';
import { head } from './hpack.ts';

const test = suite('windows of HTTP/2');

const initial = 65_535;
/** Content that is sent at most before its window has grown, bytes. */
const most = 64 * 2 ** 20;

/** What may be sent on stream 1 and on the connection, by the frames that have come. */
class Windows {
  stream = initial;
  connection = initial;

  take(client: FrameClient): void {
    for (const { type, flags, stream, payload } of client.frames.splice(0)) {
      if (type === 6 && flags === 0) client.send(frame(6, 1, 0, payload)); // PING is answered
      if (type !== 8) continue;
      const increment = payload.readUInt32BE();
      if (stream === 0) this.connection += increment;
      else this.stream += increment;
    }
  }

  get open(): number {
    return Math.min(this.stream, this.connection);
  }
}

test('the window of an upload over loopback grows', async () => {
  const server = await serveApp.start({ workers: 1 });
  const client = await FrameClient.connect(server.port);
  const windows = new Windows();
  client.socket.on('data', () => windows.take(client)); // its PING is answered at once
  client.send(preface, settingsFrame([]), frame(1, 4, 1, head('/describe', 'POST')));
  let largest = 0;
  for (let sent = 0; sent < most && largest <= initial; ) {
    await until(() => {
      largest = Math.max(largest, windows.stream);
      return windows.open > 0 || client.ended;
    }, 'room in the windows');
    const bytes = Math.min(windows.open, 16_384);
    client.send(frame(0, 0, 1, Buffer.alloc(bytes)));
    windows.stream -= bytes;
    windows.connection -= bytes;
    sent += bytes;
  }
  assert.ok(largest > initial, `${largest} bytes at most`);
  client.socket.destroy();
  await serveApp.stop(server);
});

test.after(stopAll);
test.run();
