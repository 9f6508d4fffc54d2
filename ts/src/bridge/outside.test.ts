import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TopicCounts, topicName } from './outside.ts';

const test = suite('topics that other processes are told of');

test('the first subscription to a topic and the end of the last are told, and no others', () => {
  const told: string[] = [];
  const counts = new TopicCounts({
    publish: () => {},
    wants: (topic, isWanted) => told.push(`${isWanted ? '+' : '-'}${topic}`),
  });
  counts.began('a');
  counts.began('a');
  counts.began('b');
  counts.ended('a');
  assert.equal(told, ['+a', '+b']);
  counts.ended('a');
  counts.began('a');
  assert.equal(told, ['+a', '+b', '-a', '+a']);
});

test('names that are the same bytes to the engine are one', () => {
  assert.is(topicName('grüße 🦅'), 'grüße 🦅');
  assert.is(topicName('\ud800'), '\ufffd');
  const told: string[] = [];
  const counts = new TopicCounts({ publish: () => {}, wants: (topic) => told.push(topic) });
  counts.began('\ud800');
  counts.began('\udc00');
  counts.ended('\ufffd');
  assert.equal(told, ['\ufffd']);
});

test.run();
