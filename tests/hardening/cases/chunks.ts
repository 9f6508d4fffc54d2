import { type Case, chunked, group, post, refusedBody, served } from '../case.ts';

/** What an attacker hides in a body, and what follows it when its framing was taken another way. */
const hidden = 'GET {missing} HTTP/1.1\r\nHost: hidden\r\n\r\n';
const end = '0\r\n\r\n';

const bad = (name: string, body: string, code: string, status = 400) =>
  refusedBody(`chunk: ${name}`, chunked(body), status, code);

/** A chunk of three bytes whose size line is this. */
const size = (name: string, line: string, code = 'invalid_chunk_size', status = 400) =>
  bad(`size ${name}`, `${line}\r\nabc\r\n${end}${hidden}`, code, status);

const sizes = group('RFC 9112 §7.1', [
  size('with a plus sign', '+3'),
  size('with a minus sign', '-3'),
  size('with 0x', '0x3'),
  size('with 0X', '0X3'),
  size('with an h behind', '3h'),
  size('with an underscore', '0_3'),
  size('with a space before', ' 3'),
  size('with a tab before', '\t3'),
  size('with a space behind', '3 ', 'invalid_extension'),
  size('with a tab behind', '3\t', 'invalid_extension'),
  size('with a space inside', '0 3', 'invalid_extension'),
  size('that is empty', ''),
  size('that is a list', '3,3'),
  size('with a fraction', '3.0'),
  size('in quotes', '"3"'),
  size('that is a letter beyond f', 'g'),
  size('with NUL behind', '3\0'),
  size('with NUL before', '\x003'),
  size('with a vertical tab behind', '3\x0b'),
  size('with a form feed before', '\x0c3'),
  size('in full-width digits', '\xef\xbc\x93'),
  size('with a no-break space', '3\xa0'),
  size('of 2^64 + 3, which wraps to 3', '10000000000000003', 'chunk_size_too_large', 413),
  size('of 2^63', '8000000000000000', 'chunk_size_too_large', 413),
  size('of 2^64 - 1', 'ffffffffffffffff', 'chunk_size_too_large', 413),
  size(
    'of seventeen digits, sixteen of them zeros',
    `${'0'.repeat(16)}3`,
    'chunk_size_too_large',
    413,
  ),
  size('of a thousand zeros', '0'.repeat(1000), 'chunk_size_too_large', 413),
  size('of 2^32 + 3, above what a body may be', '100000003', 'body_too_large', 413),
  size('of 2^63 - 1, above what a body may be', '7fffffffffffffff', 'body_too_large', 413),
  bad('minus zero for an end', `-0\r\n\r\n`, 'invalid_chunk_size'),
  bad('0x0 for an end', `0x0\r\n\r\n`, 'invalid_chunk_size'),
  served('chunk: size with leading zeros', chunked(`${'0'.repeat(15)}3\r\nabc\r\n${end}`), 'abc'),
  served(
    'chunk: size in small and large letters',
    chunked(`a\r\n0123456789\r\nA\r\n0123456789\r\n${end}`),
    '01234567890123456789',
  ),
  served('chunk: the last of many zeros', chunked('3\r\nabc\r\n0000\r\n\r\n'), 'abc'),
]);

const endings = group(
  'RFC 9112 §7.1, §2.2; loose line endings in chunks (HTTP garden, CVE-2024-52304)',
  [
    bad('LF behind a size', `3\nabc\r\n${end}`, 'bare_line_feed'),
    bad('CR behind a size', `3\rabc\r\n${end}`, 'bare_carriage_return'),
    bad('LF CR behind a size', `3\n\rabc\r\n${end}`, 'bare_line_feed'),
    bad('CR CR LF behind a size', `3\r\r\nabc\r\n${end}`, 'bare_carriage_return'),
    bad('CR and another byte behind a size', `3\rXabc\r\n${end}`, 'bare_carriage_return'),
    bad('LF behind data', `3\r\nabc\n${end}`, 'bare_line_feed'),
    bad('CR behind data', `3\r\nabc\r${end}`, 'bare_carriage_return'),
    bad('LF CR behind data', `3\r\nabc\n\r${end}`, 'bare_line_feed'),
    bad('CR CR LF behind data', `3\r\nabc\r\r\n${end}`, 'bare_carriage_return'),
    bad('nothing behind data', `3\r\nabc${end}`, 'missing_chunk_end'),
    bad('two other bytes behind data', `3\r\nabcXX${end}`, 'missing_chunk_end'),
    bad('an empty line behind data', `3\r\nabc\r\n\r\n${end}`, 'invalid_chunk_size'),
    bad('longer than its size', `3\r\nabcd\r\n${end}`, 'missing_chunk_end'),
    bad('shorter than its size', `5\r\nabc\r\n${end}`, 'missing_chunk_end'),
    bad('a space behind data', `3\r\nabc \r\n${end}`, 'missing_chunk_end'),
    bad('LF for all line ends', '3\nabc\n0\n\n', 'bare_line_feed'),
    bad('CR for all line ends', '3\rabc\r0\r\r', 'bare_carriage_return'),
    bad('the last with LF', `0\n\r\n${hidden}`, 'bare_line_feed'),
    bad('the last with LF LF', `0\n\n${hidden}`, 'bare_line_feed'),
    bad('the last with CRLF LF', `0\r\n\n${hidden}`, 'bare_line_feed'),
    bad('the last with CRLF CR', `0\r\n\r${hidden}`, 'bare_carriage_return'),
    bad('the last with CRLF CR and another byte', `0\r\n\rX${hidden}`, 'bare_carriage_return'),
    bad('the last with CRLF CR CR LF', `0\r\n\r\r\n${hidden}`, 'bare_carriage_return'),
    bad('the last with CR CR LF', `0\r\r\n\r\n${hidden}`, 'bare_carriage_return'),
    bad('the last with a space behind', `0 \r\n\r\n${hidden}`, 'invalid_extension'),
    bad('the last without its empty line, a request behind', `0\r\n${hidden}`, 'invalid_trailer'),
    bad('the last with two other bytes for its empty line', `0\r\nXX${hidden}`, 'invalid_trailer'),
  ],
);

/** An extension that stands behind the size of a chunk. */
const extension = (name: string, text: string, code = 'invalid_extension', status = 400) =>
  bad(`extension ${name}`, `3${text}\r\nabc\r\n${end}${hidden}`, code, status);
const allowed = (name: string, text: string) =>
  served(`chunk: extension ${name}`, chunked(`3${text}\r\nabc\r\n${end}`), 'abc');

const extensions = group(
  'RFC 9112 §7.1.1; TERM.EXT, EXT.TERM and their like (2025); CVE-2025-55315, CVE-2023-39326',
  [
    allowed('by name', ';a'),
    allowed('with a value', ';a=b'),
    allowed('with a quoted value', ';a="b \\" c;\t\xff"'),
    allowed('with an empty quoted value', ';a=""'),
    allowed('with blanks', ' ; a = b'),
    allowed('three times', ';a;b=c;d="e"'),
    allowed('of the largest length', `;${'e'.repeat(4094)}`),
    served('chunk: extension on the last', chunked('0;a=b\r\n\r\n'), ''),
    extension('without a name', ';'),
    extension('without a name, twice', ';;'),
    extension('without a name, with a value', ';=b'),
    extension('without a value', ';a='),
    extension('with two values', ';a=b=c'),
    extension('of two words', ';a b'),
    extension('with a blank behind', ';a '),
    extension('in quotes', ';"a"'),
    extension('with an open quote', ';a="b'),
    extension('with text behind a quote', ';a="b"c'),
    extension('with an escape that nothing follows', ';a="b\\'),
    extension('with obs-text', ';\xe4'),
    extension('with NUL', ';a\0'),
    extension('with a control character', ';a=\x01'),
    extension('with NUL in quotes', ';a="\0"'),
    extension('with DEL in quotes', ';a="\x7f"'),
    extension('with NUL escaped in quotes', ';a="\\\0"'),
    extension('with CRLF in quotes', ';a="\r\n"'),
    extension('with LF in quotes', ';a="\n"', 'bare_line_feed'),
    extension('with CR in quotes', ';a="\rb"'),
    extension('with LF escaped in quotes', ';a="\\\n"', 'bare_line_feed'),
    extension('that is LF', ';\n', 'bare_line_feed'),
    extension('that is CR', ';\r', 'invalid_extension'),
    extension('with LF behind its name', ';a\n', 'bare_line_feed'),
    extension('with CR behind its name', ';a\r', 'bare_carriage_return'),
    extension('with CR and text behind its name', ';a\rb', 'bare_carriage_return'),
    extension('with LF behind its value', ';a=b\n', 'bare_line_feed'),
    extension('with CR and text behind its value', ';a=b\rc', 'bare_carriage_return'),
    extension('with LF CR', ';a\n\r', 'bare_line_feed'),
    extension('behind LF', '\n;a', 'bare_line_feed'),
    extension('behind CR', '\r;a', 'bare_carriage_return'),
    bad(
      'EXT.TERM: LF in an extension hides a chunk',
      `2;\nxx\r\n45\r\n0\r\n\r\n${hidden}`,
      'bare_line_feed',
    ),
    bad(
      'EXT.TERM: CR in an extension hides a chunk',
      `2;\rxx\r\n45\r\n0\r\n\r\n${hidden}`,
      'invalid_extension',
    ),
    bad(
      'TERM.EXT: LF ends a size before its extension',
      `5\n;a\r\nabc\r\n${end}`,
      'bare_line_feed',
    ),
    bad('TERM.SPILL: LF ends a chunk that is too long', `3\r\nabcd\n${end}`, 'missing_chunk_end'),
    bad(
      'SPILL.TERM: data runs into the next size',
      `5\r\nabcde3\r\nabc\r\n${end}`,
      'missing_chunk_end',
    ),
    bad(
      'ONE.TWO: one byte ends a chunk where two should',
      `3\r\nabc\n3\r\nabc\r\n${end}`,
      'bare_line_feed',
    ),
    extension('one byte too long', `;${'e'.repeat(4096)}`, 'extensions_too_large', 413),
    extension('of 20 KiB', `;${'e'.repeat(20_000)}`, 'extensions_too_large', 413),
  ],
);

const overhead = group('RFC 9112 §7.1.1; CVE-2023-39326, CVE-2022-2880 and their like', [
  {
    ...bad(
      'overhead: tiny chunks with large extensions',
      `${`1;${'e'.repeat(1000)}\r\nx\r\n`.repeat(20)}${end}`,
      'extensions_too_large',
      413,
    ),
    once: true,
  },
  {
    ...bad(
      'overhead: many small extensions',
      `${'1;e=eeeeeeeeeeeeeeee\r\nx\r\n'.repeat(2000)}${end}`,
      'extensions_too_large',
      413,
    ),
    once: true,
  },
  {
    ...served(
      'chunk: overhead of single bytes is taken',
      chunked(`${'1\r\nx\r\n'.repeat(5000)}${end}`),
      'x'.repeat(5000),
    ),
    once: true,
  },
  {
    ...bad(
      'overhead: more single bytes than a body may have',
      `${'1\r\nx\r\n'.repeat(1024 * 1024 + 1)}${end}`,
      'body_too_large',
      413,
    ),
    once: true,
  },
]);

/** A trailer section of these lines. */
const trailers = (name: string, lines: string, code = 'invalid_trailer', status = 400) =>
  refusedBody(
    `trailer: ${name}`,
    chunked(`3\r\nabc\r\n0\r\n${lines}\r\n\r\n${hidden}`),
    status,
    code,
  );

/** Fields that say what a message is, where it goes, or who sends it: too late at its end. */
const forbidden = [
  'Content-Length: 0',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity',
  'Host: b',
  'Forwarded: for=b',
  'Via: 1.1 b',
  'Connection: close',
  'Keep-Alive: timeout=9',
  'Upgrade: h2c',
  'TE: trailers',
  'Trailer: X',
  'Expect: 100-continue',
  'Authorization: Basic eDp5',
  'Proxy-Authorization: Basic eDp5',
  'Cookie: a=b',
  'Set-Cookie: a=b',
  'Content-Type: text/html',
  'Content-Encoding: gzip',
  'Content-Range: bytes 0-1/2',
  'Range: bytes=0-1',
  'If-Match: *',
  'If-None-Match: *',
  'If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT',
  'If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT',
  'If-Range: "x"',
  'Cache-Control: no-cache',
  'Pragma: no-cache',
  'Max-Forwards: 1',
  'Location: /b',
  'Date: Sat, 01 Jan 2000 00:00:00 GMT',
];

const trailerSections = group('RFC 9112 §7.1.2; RFC 9110 §6.5.1; CVE-2024-41671 and its like', [
  ...forbidden.map((line) => trailers(`forbidden ${line}`, line, 'forbidden_trailer')),
  trailers('forbidden behind others', 'X: y\r\nZ: w\r\ncontent-LENGTH: 3', 'forbidden_trailer'),
  trailers('without a colon', 'nonsense'),
  trailers('without a name', ': x'),
  trailers('with a space before the colon', 'X : y'),
  trailers('with a space in its name', 'X y: z'),
  trailers('with white space before its name', ' X: y'),
  trailers('folded', 'X: y\r\n z'),
  trailers('with NUL in its name', 'X\0: y'),
  trailers('with NUL in its value', 'X: \0'),
  trailers('with a control character in its value', 'X: \x01'),
  trailers('with obs-text in its name', '\xe4: y'),
  trailers('with LF behind its name', 'X\n: y', 'bare_line_feed'),
  trailers('with LF behind its value', 'X: y\nZ: w', 'bare_line_feed'),
  trailers('with CR in its value', 'X: y\rZ: w', 'bare_carriage_return'),
  trailers('with CR CR LF', 'X: y\r\r\nZ: w', 'bare_carriage_return'),
  trailers('that is a request', 'GET / HTTP/1.1'),
  trailers('too large', `X: ${'t'.repeat(9000)}`, 'trailers_too_large', 431),
  trailers('too large together', `X: ${'y'.repeat(200)}\r\n`.repeat(50), 'trailers_too_large', 431),
  trailers('too many', 'X: y\r\n'.repeat(1000), 'too_many_trailers', 431),
  refusedBody(
    'trailer: LF for the empty line',
    chunked(`0\r\nX: y\r\n\n${hidden}`),
    400,
    'bare_line_feed',
  ),
  served('trailer: some', chunked('3\r\nabc\r\n0\r\nX-Sum: 1\r\nY:\r\nZ: \xff\t\r\n\r\n'), 'abc'),
  served(
    'trailer: by the name of a prototype',
    chunked('3\r\nabc\r\n0\r\n__proto__: x\r\n\r\n'),
    'abc',
  ),
  served(
    'trailer: names that only begin like forbidden ones',
    chunked('0\r\nHosts: a\r\nContent-Length-X: 1\r\nTEs: x\r\n\r\n'),
    '',
  ),
  served(
    'trailer: announced',
    post('Trailer: X\r\nTransfer-Encoding: chunked', '0\r\nX: y\r\n\r\n'),
    '',
  ),
]);

/** Chunked bodies: RFC 9112 §7.1. */
export const chunks: readonly Case[] = [
  ...sizes,
  ...endings,
  ...extensions,
  ...overhead,
  ...trailerSections,
];
