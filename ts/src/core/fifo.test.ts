import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Fifo } from './fifo.ts';

test('what came first goes first, whatever comes meanwhile', () => {
  const fifo = new Fifo<number>();
  fifo.shift();
  let next = 0;
  let expected = 0;
  for (let round = 0; round < 100; round++) {
    for (let n = 0; n < 100; n++) fifo.push(next++);
    for (let n = 0; n < 90; n++) {
      assert.is(fifo.first, expected++);
      fifo.shift();
    }
  }
  assert.is(fifo.length, 1000);
  for (; fifo.first !== undefined; fifo.shift()) assert.is(fifo.first, expected++);
  assert.equal([fifo.length, expected], [0, next]);
});

test('a long queue is emptied in time', () => {
  const fifo = new Fifo<number>();
  for (let n = 0; n < 500_000; n++) fifo.push(n);
  const begin = performance.now();
  while (fifo.length > 0) fifo.shift();
  assert.ok(performance.now() - begin < 5000, 'it is not moved for each');
});

test.run();
