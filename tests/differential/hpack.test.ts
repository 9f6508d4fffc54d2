import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../support/skip.ts';
import { compareHpack, lackingNghttp2 } from './hpack.ts';

const test = suite('differential of HPACK');

testUnless(test, lackingNghttp2(), 'field blocks are the same fields to nghttp2', async () => {
  const { cases, blocks, refused, classes, unexplained } = await compareHpack(1, { count: 4000 });
  assert.equal(unexplained, []);
  // That much was compared, and not all of it refused.
  assert.ok(cases >= 4000 && blocks > 6000 && refused > 500, `${blocks} blocks, ${refused}`);
  assert.ok((classes.get('size-updates') ?? 0) > 0);
});

test.run();
