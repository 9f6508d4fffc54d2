import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { extractMimeType, parseMimeType, serializeMimeType } from './mime_type.ts';

const parsed: [string, string | null][] = [
  ['text/html', 'text/html'],
  ['  TEXT/HTML\t', 'text/html'],
  ['text/html;charset=UTF-8', 'text/html;charset=UTF-8'],
  ['text/html ; CharSet = utf-8', 'text/html'],
  ['text/html; charset="utf-8"', 'text/html;charset=utf-8'],
  ['text/html;charset="a b"', 'text/html;charset="a b"'],
  ['text/html;x="a\\"b\\\\"', 'text/html;x="a\\"b\\\\"'],
  ['text/html;x="open', 'text/html;x=open'],
  ['text/html;x="a"junk;y=b', 'text/html;x=a;y=b'],
  ['text/html;x=', 'text/html'],
  ['text/html;x=""', 'text/html;x=""'],
  ['text/html;;;x=1', 'text/html;x=1'],
  ['text/html;x;y=2', 'text/html;y=2'],
  ['text/html;x=1;X=2', 'text/html;x=1'],
  ['text/html;x=é', 'text/html;x="é"'],
  ['text/html;x=☃', 'text/html'],
  ['text/html;a b=1', 'text/html'],
  ['multipart/form-data; boundary=--X', 'multipart/form-data;boundary=--X'],
  ['text', null],
  ['/html', null],
  ['text/', null],
  ['te xt/html', null],
  ['text/ht ml', null],
  ['', null],
];

for (const [text, expected] of parsed) {
  test(`${JSON.stringify(text)} is ${expected ?? 'no MIME type'}`, () => {
    const type = parseMimeType(text);
    assert.is(type === null ? null : serializeMimeType(type), expected);
  });
}

const extracted: [string, string | null][] = [
  ['text/plain, text/html', 'text/html'],
  ['text/html;charset=gbk, text/html', 'text/html;charset=gbk'],
  ['text/html;charset=gbk, text/plain', 'text/plain'],
  ['text/html;charset=gbk;x=y, */*', 'text/html;charset=gbk;x=y'],
  ['text/html;x="a,b", bad', 'text/html;x="a,b"'],
  ['bad', null],
];

for (const [text, expected] of extracted) {
  test(`of the values ${text} counts ${expected ?? 'none'}`, () => {
    const type = extractMimeType(text);
    assert.is(type === null ? null : serializeMimeType(type), expected);
  });
}

test('a long run of spaces takes no more than linear time', () => {
  const spaces = ' '.repeat(200_000);
  const start = process.cpuUsage().user;
  assert.is(parseMimeType(`a/b;x=${spaces}y`)?.essence, 'a/b');
  assert.is(parseMimeType(`a/b${spaces}y`), null);
  assert.ok(process.cpuUsage().user - start < 2_000_000, 'more than two seconds of CPU');
});

test.run();
