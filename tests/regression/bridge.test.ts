import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stopAll } from '../support/process.ts';
import { connect } from '../support/socket.ts';
import { patternOf, serveApp } from '../support/target.ts';

const test = suite('bridge regressions');
test.after(stopAll);

test('an answer that found the ring full slept on when a later one found room', async () => {
  // 216 answers of 3000 bytes are more than a ring takes; small ones come between them.
  const server = await serveApp.start({ workers: 1 });
  const get = (size: number): string => `GET /size/${size} HTTP/1.1\r\nHost: a\r\n\r\n`;
  const sizes = [3000, 10, 3000, 3000];
  for (let round = 0; round < 60; round += 1) {
    await Promise.all(
      Array.from({ length: 72 }, async () => {
        const client = await connect(server.port);
        await client.send(sizes.map(get).join(''));
        for (const size of sizes) {
          assert.ok((await client.response()).body.equals(patternOf(size)), `round ${round}`);
        }
        client.destroy();
      }),
    );
  }
  await serveApp.stop(server);
});

test.run();
