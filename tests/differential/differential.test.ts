import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { sentinel } from './generator.ts';
import { lacking, NodeSide } from './node_side.ts';
import { rules } from './rules.ts';
import { compare } from './run.ts';
import { ZigSide } from './zig_side.ts';

const test = suite('differential');

testUnless(
  test,
  lacking,
  'the engine and llhttp frame alike, but for what docs/DIFFERENTIAL.md explains',
  async () => {
    const { cases, requests, refused, classes, unexplained } = await compare(1, { count: 10_000 });
    assert.equal(unexplained, []);
    // That much was compared, and not all of it refused.
    assert.ok(cases >= 10_000 && requests > 5_000 && refused > 1_000, `${requests}, ${refused}`);
    assert.ok(classes.size > 15, `${classes.size} classes`);
  },
);

testUnless(test, lacking, 'a well-formed pipeline is the same to both', async () => {
  const bytes = Buffer.from(
    'POST /a?b HTTP/1.1\r\nHost: a\r\nX:  y \r\nContent-Length: 5\r\n\r\nhello' +
      'PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;e\r\n!\r\n0\r\nT: u\r\n\r\n' +
      sentinel,
  );
  const [node, zig] = [new NodeSide(), new ZigSide()];
  const theirs = await node.frame(bytes, [3, 70, 71, 150]);
  const [ours] = await zig.frame([bytes]);
  node.close();
  zig.close();
  assert.is(ours?.end, 'idle');
  const plain = ours?.requests.map(({ until, ...request }) => request);
  assert.equal(plain, theirs.requests);
  assert.equal(
    theirs.requests.map(({ target, length }) => [target, length]),
    [
      ['/a?b', 5],
      ['/c', 6],
      ['/sentinel', 0],
    ],
  );
});

test('docs/DIFFERENTIAL.md explains each class', () => {
  const text = readFileSync(project('docs', 'DIFFERENTIAL.md'), 'utf8');
  const explained = [...text.matchAll(/^### `(.+)`$/gm)].map((match) => match[1]);
  const names = [...new Set(rules.map((rule) => rule.name))];
  assert.equal(explained.sort(), names.sort());
});

test.run();
