/**
 * Makes what a client sends on one connection: mostly well-formed requests, in which a piece or two is replaced by
 * one that a careless or hostile client would send.
 */
import type { Random } from './random.ts';

/** Mostly the usual piece; now and then an odd one. */
type Pieces = readonly [usual: readonly string[], odd: readonly string[]];

const methods: Pieces = [
  ['GET', 'GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'],
  [
    'get',
    'FOO',
    'M-SEARCH',
    'PROPFIND',
    'QUERY',
    'TRACE',
    'CONNECT',
    'PRI',
    'X',
    '',
    ' GET',
    '\tGET',
    '\r\nGET',
    '\r\n\r\nGET',
    '\nGET',
    '\rGET',
    'G\0ET',
    'GE(T',
    'GET\t',
    'GET ',
    'GÉT',
    'A'.repeat(33),
    'GET:',
    '"GET"',
  ],
];

const targets: Pieces = [
  ['/', '/a', '/a/b?c=d', '/%41', '/a;b=c', '/?', '/index.html'],
  [
    '*',
    'http://a/',
    'http://a',
    'https://a:443/x?y',
    'HTTP://A/',
    'http://a?x',
    'http://u@a/',
    'http://[::1]:80/',
    'http://',
    'http:///x',
    'ftp://a/',
    'http:/a',
    'a',
    'a:80',
    '[::1]:80',
    'a:',
    '//a/b',
    '',
    '/a#b',
    '/a b',
    '/a\tb',
    '/\0',
    '/é',
    '/"',
    '/<',
    '/a\\b',
    '/[',
    '/{}',
    '/|',
    '/^',
    '/`',
    '?',
    '#',
    '/%',
    '/%zz',
    '/\x7f',
    '/\x01',
    ' /',
    '/ ',
    '\t/',
    `/${'a'.repeat(200)}`,
    '/../..',
    '/..%2f',
  ],
];

const versions: Pieces = [
  ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0'],
  [
    'HTTP/1.2',
    'HTTP/1.9',
    'HTTP/2.0',
    'HTTP/0.9',
    'HTTP/3.0',
    'HTTP/1',
    'HTTP/1.',
    'HTTP/1.10',
    'HTTP/11.1',
    'http/1.1',
    'HTTP/1.1 ',
    ' HTTP/1.1',
    'HTTP/1,1',
    'HTTP/ 1.1',
    'HTTP/1. 1',
    'HTTPS/1.1',
    'ICE/1.0',
    'RTSP/1.0',
    'HTTP/1.1\t',
    'HTTP/1.1x',
    '',
    'HTTP/x.y',
    'HTTP/1.1\0',
  ],
];

/** What ends a line. */
const endings: Pieces = [
  ['\r\n'],
  [
    '\n',
    '\r',
    '\r\r\n',
    '\n\r',
    '\r\n ',
    ' \r\n',
    '\t\r\n',
    '\0\r\n',
    '\r\0\n',
    '\n\n',
    '',
    '\r \n',
    '\x0b\r\n',
  ],
];

const hosts: Pieces = [
  ['Host: a', 'Host: a', 'Host: example.org', 'host:a:80', 'Host: [::1]:80'],
  [
    '',
    'Host:',
    'Host: ',
    'Host: a\r\nHost: a',
    'Host: a\r\nHost: b',
    'Host: a b',
    'Host: a, b',
    'Host: u@a',
    'Host: a/b',
    'Host: a:x',
    'Host: a:99999',
    'Host: http://a',
    'Host: "a"',
    'Host: ä',
    'Host : a',
    'Host\t: a',
    ' Host: a',
    'Host; a',
    'Host',
    'Host: a\0',
    'Host: a:',
    'Host: [',
    'Host: %41',
    'Host: a_b',
    'Host: \ta\t',
  ],
];

const lines: Pieces = [
  [
    'Accept: */*',
    'X: y',
    'X-Empty:',
    'X:y',
    'X:  y  ',
    'X:\ty\t',
    'Cookie: a=b; c=d',
    'User-Agent: x (y)',
    'Connection: keep-alive',
    'X_Y: z',
    'X: "q:r"',
    'Accept: a\r\nAccept: b',
  ],
  [
    'X : y',
    'X\t: y',
    ' X: y',
    '\tX: y',
    'X: y\r\n z',
    'X: y\r\n\tz',
    'X: y\r\n ',
    'X',
    ': y',
    ':',
    '',
    'X: a\0b',
    'X: a\x01b',
    'X: a\x7fb',
    'X: a\xffb',
    'X: a\rb',
    'X: a\nb',
    'X\0: y',
    'X\r: y',
    'X\n: y',
    '(X): y',
    'Ä: y',
    'X Y: z',
    'X:\0',
    'X: \x0b',
    '"X": y',
    'X@Y: z',
    `X: ${'y'.repeat(500)}`,
    `${'N'.repeat(300)}: y`,
    '__proto__: x',
    'Connection: close',
    'Connection: Close',
    'Connection: close, x',
    'Connection: keep-alive, close',
    'Connection:',
    'Connection: ,',
    'Connection: x',
    'Connection: "close"',
    'Connection: clos\xe9',
    'Connection: closed',
    'Proxy-Connection: close',
    'Connection: upgrade\r\nUpgrade: h2c',
    'Upgrade: websocket',
    'Connection: upgrade',
    'Connection: Upgrade\r\nUpgrade: websocket',
    'Expect: 100-continue',
    'Expect: x',
    'Expect:',
    'Expect: 100-Continue',
    'Trailer: X',
    'TE: trailers',
    'Keep-Alive: timeout=5',
  ],
];

const contentLengths: Pieces = [
  ['Content-Length: N'],
  [
    'Content-Length: +N',
    'Content-Length: -N',
    'Content-Length: 0N',
    'Content-Length:N',
    'Content-Length:  N ',
    'Content-Length:\tN',
    'Content-Length: N, N',
    'Content-Length: N,N',
    'Content-Length: N\r\nContent-Length: N',
    'Content-Length: N\r\nContent-Length: 0',
    'Content-Length: 0\r\nContent-Length: N',
    'Content-Length: 0xN',
    'Content-Length: N.0',
    'Content-Length: N N',
    'Content-Length:',
    'Content-Length: ',
    'Content-Length: "N"',
    'Content-Length: 99999999999999999999',
    'Content-Length: 18446744073709551616',
    'Content-Length: 9223372036854775808',
    'Content-Length: 18446744073709551621',
    'Content-Length : N',
    'Content_Length: N',
    'content-length: N',
    'CONTENT-LENGTH: N',
    'Content-Length: N\0',
    'Content-Length: \x0bN',
    'Content-Length:\r\n N',
    'Content-Length: N;',
    'Content-Length: N\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nContent-Length: N',
    'Content-Length: N\r\nTransfer-Encoding: identity',
    'Content-Length: \xb2',
    'Content-Length: 1e1',
    'X: y\r\nContent-Length: 1000',
    'Content-Length: N\r\nX: y',
    'Content-Length: 00000000000000000000000N',
  ],
];

const codings: Pieces = [
  ['Transfer-Encoding: chunked', 'transfer-encoding: chunked', 'Transfer-Encoding:chunked'],
  [
    'Transfer-Encoding: Chunked',
    'Transfer-Encoding: CHUNKED',
    'Transfer-Encoding: gzip, chunked',
    'Transfer-Encoding: chunked, gzip',
    'Transfer-Encoding: gzip',
    'Transfer-Encoding: identity',
    'Transfer-Encoding: chunked, chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
    'Transfer-Encoding: x, chunked',
    'Transfer-Encoding: chunked;q=1',
    'Transfer-Encoding: chunked;',
    'Transfer-Encoding: chunked,',
    'Transfer-Encoding: ,chunked',
    'Transfer-Encoding: , chunked',
    'Transfer-Encoding: chunked, ',
    'Transfer-Encoding:',
    'Transfer-Encoding: ',
    'Transfer-Encoding: "chunked"',
    "Transfer-Encoding: 'chunked'",
    'Transfer-Encoding : chunked',
    'Transfer-Encoding\t: chunked',
    ' Transfer-Encoding: chunked',
    'Transfer-Encoding:\r\n chunked',
    'Transfer-Encoding: chun\r\n ked',
    'Transfer-Encoding: \x0bchunked',
    'Transfer-Encoding: \x0cchunked',
    'Transfer-Encoding: chunked\x0b',
    'Transfer-Encoding: chunked\0',
    'Transfer-Encoding: chunkedx',
    'Transfer-Encoding: xchunked',
    'Transfer-Encoding: chunke',
    'Transfer_Encoding: chunked',
    'Transfer-Encoding; chunked',
    'Transfer-Encoding:\tchunked\t',
    'Transfer-Encoding: chunked ',
    'Transfer-Encoding: gzip;chunked',
    'Transfer-Encoding: gzip chunked',
    'X: y\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunkeD',
    'Transfer-Encoding\0: chunked',
    'Transfer-Encoding: cow, chunked',
    'TE: chunked',
    'Transfer-Encoding: \xa0chunked',
    'Transfer-Encoding: chunked\r\nContent-Length: 3',
  ],
];

/** A chunk's line; N is the size. */
const chunkLines: Pieces = [
  ['N', 'N', 'N', '0N', 'N;a', 'N;a=b', 'N;a="b"'],
  [
    'N ',
    'N\t',
    ' N',
    '\tN',
    '+N',
    '-N',
    '0xN',
    '0XN',
    'NG',
    'N;',
    'N;;',
    'N; a',
    'N ;a',
    'N ; a = b',
    'N;a=',
    'N;a="',
    'N;a="b',
    'N;a="b\\"c"',
    'N;a="\\',
    'N;=b',
    'N;a=b=c',
    'N;a b',
    'N,a',
    'N;a\0',
    'N;\x01',
    'N;a="\x01"',
    'N;\n',
    'N;a\n',
    'N;a\r',
    'N\0',
    'N\r',
    '',
    ';a',
    'N.0',
    '00000000000000000N',
    '0000000000000000N',
    '10000000000000000',
    'ffffffffffffffff',
    '8000000000000000',
    '7fffffffffffffff',
    'N;a="b"c',
    'N;a="b" ',
    'N;é',
    'N;"a"',
    `N;${'a'.repeat(300)}`,
    'N;a;b;c',
    'N;a=b;c="d e";f',
    'N;a\t=\tb',
    'N 1',
    'N;a="\t"',
    'N;a=\xff',
    'N;a="\xff"',
  ],
];

const trailerLines: Pieces = [
  ['X-Sum: 1', 'X: y', 'X:'],
  [
    'Content-Length: 5',
    'Transfer-Encoding: chunked',
    'Host: b',
    'Trailer: x',
    ' X: y',
    'X : y',
    'X',
    ': y',
    'X: a\0b',
    'X: a\x01',
    'X: y\r\n z',
    'X: \rb',
    'X: \nb',
    'Authorization: x',
    'Content-Type: a/b',
    '(X): y',
    'Connection: close',
    'Expect: 100-continue',
    'X: \x7f',
    `X: ${'y'.repeat(300)}`,
    'Content-Length: x',
    'Upgrade: x',
    'Set-Cookie: a',
  ],
];

/** Sent behind most pipelines: whoever framed what came before as we do finds it. */
export const sentinel = 'GET /sentinel HTTP/1.1\r\nHost: s\r\n\r\n';

/** A case that does not depend on anything but `random`. */
export function makeCase(random: Random): Buffer {
  const maker = new Maker(random);
  const count = 1 + random.below(3);
  let text = '';
  for (let i = 0; i < count; i++) text += maker.message();
  if (!random.oneIn(4)) text += sentinel;
  const bytes = Buffer.from(text, 'latin1');
  return random.oneIn(6) ? mangled(bytes, random) : bytes;
}

/** Where reads end, ascending. */
export function makeCuts(random: Random, length: number): number[] {
  if (length === 0 || random.oneIn(2)) return [];
  const cuts = Array.from({ length: 1 + random.below(4) }, () => random.below(length));
  return cuts.sort((a, b) => a - b);
}

/** A byte less, more or other, or the end too early. */
function mangled(bytes: Buffer, random: Random): Buffer {
  if (bytes.length === 0) return bytes;
  const at = random.below(bytes.length);
  const odd = Buffer.from([
    random.pick([0, 9, 10, 13, 32, 34, 44, 58, 59, 61, 127, 128, 255, 48, 97]),
  ]);
  switch (random.below(5)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), odd, bytes.subarray(at)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), odd, bytes.subarray(at + 1)]);
    case 3:
      return bytes.subarray(0, at);
    default:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(random.below(at + 1))]);
  }
}

class Maker {
  readonly #random: Random;
  /** How rare odd pieces are in this case: most cases have one or two. */
  readonly #rarity: number;

  constructor(random: Random) {
    this.#random = random;
    this.#rarity = random.pick([10, 25, 50, 100]);
  }

  message(): string {
    const line = `${this.#pick(methods)}${this.#space()}${this.#pick(targets)}${this.#space()}`;
    const head = [`${line}${this.#pick(versions)}`, this.#pick(hosts)];
    for (let i = this.#random.below(3); i > 0; i--) head.push(this.#pick(lines));
    const body = this.#body(head);
    // Framing fields stand anywhere below the request line.
    if (this.#random.oneIn(2)) head.splice(1, 0, ...head.splice(-1));
    return `${head.map((text) => text + this.#pick(endings)).join('')}${this.#pick(endings)}${body}`;
  }

  /** Adds the fields that frame a body and gives its bytes. */
  #body(head: string[]): string {
    const kind = this.#random.below(5);
    if (kind < 2) return '';
    if (kind < 4) {
      head.push(this.#pick(codings));
      return this.#chunks();
    }
    const data = 'x'.repeat(this.#random.below(12));
    head.push(this.#pick(contentLengths).replaceAll('N', String(data.length)));
    if (this.#random.oneIn(12)) return `${data}\r\n`;
    return this.#random.oneIn(12) ? `0\r\n\r\n${sentinel}`.slice(0, data.length + 30) : data;
  }

  #chunks(): string {
    let text = '';
    for (let i = this.#random.below(3); i > 0; i--) {
      const data = this.#random.pick([
        'hello',
        'x',
        '0\r\n\r\n',
        'GET / HTTP/1.1\r\n\r\n',
        'y'.repeat(40),
      ]);
      const hex = data.length.toString(16);
      const size = this.#random.oneIn(2) ? hex : hex.toUpperCase();
      const line = this.#pick(chunkLines).replaceAll('N', size);
      text += `${line}${this.#pick(endings)}${data}${this.#pick(endings)}`;
    }
    text += `${this.#pick(chunkLines).replaceAll('N', '0')}${this.#pick(endings)}`;
    if (this.#random.oneIn(4)) text += `${this.#pick(trailerLines)}${this.#pick(endings)}`;
    return text + this.#pick(endings);
  }

  #space(): string {
    return this.#pick([[' '], ['  ', '\t', '', ' \t', '\x0b', '\x0c', '\r', '\0', '\xa0']]);
  }

  #pick([usual, odd]: Pieces): string {
    return this.#random.pick(this.#random.oneIn(this.#rarity) ? odd : usual);
  }
}
