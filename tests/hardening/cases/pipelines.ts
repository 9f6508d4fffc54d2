import { type Case, chunked, get, group, post, refused, served, servedLast } from '../case.ts';

const body = 'GET /hidden HTTP/1.1\r\nHost: hidden\r\n\r\n';
const withLength = (text = body): string => post(`Content-Length: ${text.length}`, text);
const inChunks = (text = body): string =>
  chunked(`${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`);
const missing = 'GET {missing} HTTP/1.1\r\nHost: a\r\n\r\n';
const h2c = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'];
const webSocket = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
];

const order = group('RFC 9112 §9.3.2', [
  served(
    'pipeline: bodies of both framings between requests without',
    get() + withLength() + get() + inChunks() + get(),
    '',
    body,
    '',
    body,
    '',
  ),
  served(
    'pipeline: what is found and what is not',
    missing + get() + missing + get(),
    404,
    '',
    404,
    '',
  ),
  served(
    'pipeline: an empty body, an empty chunked body',
    withLength('') + chunked('0\r\n\r\n') + get(),
    '',
    '',
    '',
  ),
  {
    ...served(
      'pipeline: HEAD in the middle',
      `${get()}HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n${get()}`,
      '',
      undefined,
      '',
    ),
    methods: ['GET', 'HEAD', 'GET'],
  },
  {
    ...served('pipeline: five hundred requests', get().repeat(500), ...new Array(500).fill('')),
    once: true,
  },
  {
    ...served(
      'pipeline: two hundred bodies',
      (withLength() + inChunks()).repeat(100),
      ...new Array(200).fill(body),
    ),
    once: true,
  },
  refused(
    'pipeline: a request behind one that is refused',
    `GET {path} HTTP/1.1\r\n\r\n${get()}`,
    400,
    'missing_host',
  ),
]);

const upgrades = group('RFC 9110 §7.8; h2c and WebSocket smuggling', [
  served('upgrade: h2c in the middle of a pipeline', get() + get(...h2c) + get(), '', '', ''),
  served(
    'upgrade: WebSocket in the middle of a pipeline',
    get() + get(...webSocket) + get(),
    '',
    '',
    '',
  ),
  served(
    'upgrade: h2c with a body',
    post(`${h2c.join('\r\n')}\r\nContent-Length: 4`, 'body') + get(),
    'body',
    '',
  ),
  served(
    'upgrade: WebSocket with a chunked body',
    post(`${webSocket.join('\r\n')}\r\nTransfer-Encoding: chunked`, '4\r\nbody\r\n0\r\n\r\n') +
      get(),
    'body',
    '',
  ),
  served('upgrade: to TLS', get('Connection: Upgrade', 'Upgrade: TLS/1.2') + get(), '', ''),
  served('upgrade: without Connection', get('Upgrade: h2c') + get(), '', ''),
  served('upgrade: Connection without it', get('Connection: Upgrade') + get(), '', ''),
  servedLast(
    'upgrade: in HTTP/1.0',
    'GET {path} HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
    '',
  ),
]);

const persistence = group('RFC 9112 §9.3, §9.6', [
  servedLast('persistence: close in the middle', get() + get('Connection: close') + get(), '', ''),
  servedLast('persistence: close in capitals', get('Connection: CLOSE') + get(), ''),
  servedLast('persistence: close in a list', get('Connection: x , close,') + get(), ''),
  servedLast(
    'persistence: close in the second of two lines',
    get('Connection: keep-alive', 'Connection: close') + get(),
    '',
  ),
  servedLast(
    'persistence: close before keep-alive',
    get('Connection: close, keep-alive') + get(),
    '',
  ),
  servedLast(
    'persistence: close behind a body',
    post('Connection: close\r\nContent-Length: 4', 'body') + get(),
    'body',
  ),
  servedLast(
    'persistence: close behind a chunked body',
    post('Connection: close\r\nTransfer-Encoding: chunked', '4\r\nbody\r\n0\r\n\r\n') + get(),
    'body',
  ),
  served(
    'persistence: options that only look like close',
    get('Connection: closed, x-close, "close"'),
    '',
  ),
  served('persistence: Proxy-Connection says nothing', get('Proxy-Connection: close'), ''),
  servedLast(
    'persistence: HTTP/1.0 in the middle',
    `${get()}GET {path} HTTP/1.0\r\n\r\n${get()}`,
    '',
    '',
  ),
  servedLast(
    'persistence: HTTP/1.0 with close and keep-alive',
    `GET {path} HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n${get()}`,
    '',
  ),
  served(
    'persistence: HTTP/1.0 with keep-alive',
    `GET {path} HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n${get()}`,
    '',
    '',
  ),
]);

const expecting = (framing: string): string => post(`Expect: 100-continue\r\n${framing}`);

/** Expectations; a handler that answers without the body closes, since nobody knows whether it will come. */
const expectations: Case[] = group('RFC 9110 §10.1.1; Expect-based desync (2025)', [
  {
    name: 'Expect: 100-continue, and the body when told to go on',
    send: [expecting('Content-Length: 5'), { responses: 1 }, 'hello', get()],
    expected: { served: ['hello', ''], continues: 1, closesEarly: true },
    once: true,
  },
  {
    name: 'Expect: 100-continue, and a chunked body when told to go on',
    send: [
      expecting('Transfer-Encoding: chunked'),
      { responses: 1 },
      '5\r\nhello\r\n0\r\n\r\n',
      get(),
    ],
    expected: { served: ['hello', ''], continues: 1, closesEarly: true },
    once: true,
  },
  {
    name: 'Expect: 100-continue, and a body that is broken when told to go on',
    send: [
      expecting('Transfer-Encoding: chunked'),
      { responses: 1 },
      '5\nhello\r\n0\r\n\r\n',
      get(),
    ],
    expected: { refused: [400, 'bare_line_feed'], continues: 1, inBody: true },
    once: true,
  },
  {
    ...served(
      'Expect: 100-continue, and the body at once',
      `${expecting('Content-Length: 5')}hello${get()}`,
      'hello',
      '',
    ),
    once: true,
  },
  {
    ...served(
      'Expect: 100-continue in mixed case, and the body at once',
      `${post('eXPECT: 100-Continue\r\nContent-Length: 5', 'hello')}${get()}`,
      'hello',
      '',
    ),
    once: true,
  },
  served('Expect: 100-continue without a body', get('Expect: 100-continue') + get(), '', ''),
  served(
    'Expect: 100-continue with an empty body',
    post('Expect: 100-continue\r\nContent-Length: 0') + get(),
    '',
    '',
  ),
  refused(
    'Expect: 100-continue with a body that is too large',
    expecting('Content-Length: 99999999'),
    413,
    'body_too_large',
  ),
  refused(
    'Expect: 100-continue with both framing fields',
    expecting('Content-Length: 5\r\nTransfer-Encoding: chunked'),
    400,
    'transfer_encoding_with_content_length',
  ),
  refused(
    'Expect: another',
    post('Expect: a-miracle\r\nContent-Length: 5', 'hello'),
    417,
    'expectation_failed',
  ),
  refused('Expect: another, without a body', get('Expect: 200-ok'), 417, 'expectation_failed'),
  refused(
    'Expect: a word before',
    post('Expect: y 100-continue\r\nContent-Length: 5', 'hello'),
    417,
    'expectation_failed',
  ),
  refused(
    'Expect: a word behind',
    post('Expect: 100-continue y\r\nContent-Length: 5', 'hello'),
    417,
    'expectation_failed',
  ),
  refused(
    'Expect: a parameter',
    post('Expect: 100-continue;x\r\nContent-Length: 5', 'hello'),
    417,
    'expectation_failed',
  ),
  refused(
    'Expect: another in a list',
    post('Expect: 100-continue, x\r\nContent-Length: 5', 'hello'),
    417,
    'expectation_failed',
  ),
  refused(
    'Expect: another in a second line',
    post('Expect: 100-continue\r\nExpect: x\r\nContent-Length: 5', 'hello'),
    417,
    'expectation_failed',
  ),
  refused(
    'Expect: LF before its value',
    post('Expect: \n100-continue\r\nContent-Length: 5', 'hello'),
    400,
    'bare_line_feed',
  ),
  servedLast(
    'Expect: in HTTP/1.0, and the body at once',
    'POST {path} HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello',
    'hello',
  ),
]);

/** Answers that do not wait for the body, and clients that do not send all of it. */
const parts: Case[] = group('RFC 9112 §8, §9.6; 0.CL and early responses (2025)', [
  {
    name: 'early: what looks like a request in a body that comes late',
    send: [post(`Content-Length: ${body.length}`), 'seen', body, get()],
    expected: { served: [body, ''] },
    once: true,
  },
  {
    name: 'early: what looks like a request in a chunk that comes late',
    send: [chunked(''), 'seen', `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`, get()],
    expected: { served: [body, ''] },
    once: true,
  },
  {
    name: 'early: a body larger than what is worth dropping',
    send: [post('Content-Length: 400000'), 'seen', 'x'.repeat(400_000), get()],
    expected: { served: ['x'.repeat(400_000), ''], closesEarly: true },
    once: true,
  },
  {
    name: 'cut: in a head',
    send: ['GET {path} HTTP/1.1\r\nHost: a\r\n', 'half-close'],
    expected: { closes: true },
  },
  {
    name: 'cut: in a head behind a request',
    send: [`${get()}GET {path} HTT`, 'half-close'],
    expected: { served: [''], closes: true },
  },
  {
    name: 'cut: in a body with a length',
    send: [post('Content-Length: 10', 'body'), 'half-close'],
    expected: { cut: true },
  },
  {
    name: 'cut: in a chunk',
    send: [chunked('a\r\nbody'), 'half-close'],
    expected: { cut: true },
  },
  {
    name: 'cut: before the last chunk',
    send: [chunked('4\r\nbody\r\n'), 'half-close'],
    expected: { cut: true },
  },
  {
    name: 'cut: behind the size of the last chunk',
    send: [chunked('4\r\nbody\r\n0\r\n'), 'half-close'],
    expected: { cut: true },
  },
  {
    name: 'cut: within the last CRLF',
    send: [chunked('4\r\nbody\r\n0\r\n\r'), 'half-close'],
    expected: { cut: true },
  },
  {
    name: 'cut: behind whole requests',
    send: [get() + withLength() + inChunks(), 'half-close'],
    expected: { served: ['', body, body], closes: true },
  },
]);

/** Several messages on a connection: RFC 9112 §9, RFC 9110 §7.8, §10.1.1. */
export const pipelines: readonly Case[] = [
  ...order,
  ...upgrades,
  ...persistence,
  ...expectations,
  ...parts,
];
