import { type Case, get, group, post, refused, served, servedLast } from '../case.ts';

/** What an attacker hides in a body. */
const hidden = 'GET {missing} HTTP/1.1\r\nHost: hidden\r\n\r\n';
const both = 'transfer_encoding_with_content_length';
const badLength = 'invalid_content_length';
const badCoding = 'invalid_transfer_encoding';

/** Transfer-Encoding lines behind which somebody might see a chunked body, and somebody else none. */
const coding = (name: string, lines: string, status = 400, code = badCoding) =>
  refused(name, post(lines, `0\r\n\r\n${hidden}`), status, code);
const value = (name: string, text: string, status?: number, code?: string) =>
  coding(name, `Transfer-Encoding: ${text}`, status, code);

/** One field or the other: which of them frames the message is what attacker and victim differ on. */
const twoFramings = group('RFC 9112 §6.3 (3); request smuggling CL.TE and TE.CL', [
  refused(
    'framing: Content-Length before Transfer-Encoding',
    post('Content-Length: 6\r\nTransfer-Encoding: chunked', '0\r\n\r\nG'),
    400,
    both,
  ),
  refused(
    'framing: Transfer-Encoding before Content-Length',
    post('Transfer-Encoding: chunked\r\nContent-Length: 4', `2c\r\n${hidden}\r\n0\r\n\r\n`),
    400,
    both,
  ),
  refused(
    'framing: Content-Length 0 and Transfer-Encoding',
    post('Content-Length: 0\r\nTransfer-Encoding: chunked', `0\r\n\r\n${hidden}`),
    400,
    both,
  ),
  refused(
    'framing: Content-Length and an unknown transfer coding',
    post('Content-Length: 4\r\nTransfer-Encoding: cow', 'body'),
    400,
    both,
  ),
  refused(
    'framing: Content-Length and Transfer-Encoding: identity',
    post('Content-Length: 4\r\nTransfer-Encoding: identity', 'body'),
    400,
    both,
  ),
  refused(
    'framing: a malformed Content-Length and Transfer-Encoding',
    post('Content-Length: x\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
    400,
    both,
  ),
  refused(
    'framing: Content-Length and Transfer-Encoding far apart',
    post(`Content-Length: 4\r\n${'X: y\r\n'.repeat(50)}Transfer-Encoding: chunked`, '0\r\n\r\n'),
    400,
    both,
  ),
  refused(
    'framing: both in GET',
    `${get('Content-Length: 5', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
    400,
    both,
  ),
  refused(
    'framing: both in HTTP/1.0',
    'POST {path} HTTP/1.0\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nbody',
    400,
    both,
  ),
  refused(
    'framing: Transfer-Encoding in HTTP/1.0',
    'POST {path} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
    'transfer_encoding_in_http10',
  ),
  refused(
    'framing: Transfer-Encoding in HTTP/1.0 with keep-alive',
    `POST {path} HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
    400,
    'transfer_encoding_in_http10',
  ),
]);

const codings = group('RFC 9112 §6.1, §7; request smuggling TE.TE', [
  coding('Transfer-Encoding: twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'),
  coding(
    'Transfer-Encoding: chunked, then another',
    'Transfer-Encoding: chunked\r\nTransfer-encoding: cow',
  ),
  coding(
    'Transfer-Encoding: chunked, then identity',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
  ),
  coding(
    'Transfer-Encoding: chunked, then an empty one',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding:',
  ),
  coding(
    'Transfer-Encoding: an empty one, then chunked',
    'Transfer-Encoding:\r\nTransfer-Encoding: chunked',
  ),
  coding(
    'Transfer-Encoding: another, then chunked',
    'Transfer-Encoding: cow\r\nTransfer-Encoding: chunked',
    501,
    'unknown_transfer_coding',
  ),
  coding(
    'Transfer-Encoding: identity, then chunked',
    'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked',
    501,
    'unknown_transfer_coding',
  ),
  value(
    'Transfer-Encoding: a list that ends in chunked',
    'gzip, chunked',
    501,
    'unknown_transfer_coding',
  ),
  value(
    'Transfer-Encoding: "identity, chunked"',
    'identity, chunked',
    501,
    'unknown_transfer_coding',
  ),
  value('Transfer-Encoding: "chunked, identity"', 'chunked, identity'),
  value('Transfer-Encoding: "chunked, gzip"', 'chunked, gzip'),
  value('Transfer-Encoding: "chunked, chunked"', 'chunked, chunked'),
  value('Transfer-Encoding: "chunked,chunked"', 'chunked,chunked'),
  value('Transfer-Encoding: identity', 'identity'),
  value('Transfer-Encoding: gzip', 'gzip'),
  value('Transfer-Encoding: xchunked', 'xchunked'),
  value('Transfer-Encoding: chunkedx', 'chunkedx'),
  value('Transfer-Encoding: chunk', 'chunk'),
  value('Transfer-Encoding: chunked-', 'chunked-'),
  value('Transfer-Encoding: nothing', ''),
  value('Transfer-Encoding: a comma', ','),
  value('Transfer-Encoding: a comma behind', 'chunked,'),
  value('Transfer-Encoding: a comma before', ',chunked'),
  value('Transfer-Encoding: commas around', ', chunked ,'),
  value('Transfer-Encoding: a parameter', 'chunked;q=1'),
  value('Transfer-Encoding: an empty parameter', 'chunked;'),
  value('Transfer-Encoding: quotes', '"chunked"'),
  value('Transfer-Encoding: single quotes', "'chunked'"),
  value('Transfer-Encoding: brackets', '[chunked]'),
  value('Transfer-Encoding: a word before', 'x chunked'),
  value('Transfer-Encoding: a word behind', 'chunked x'),
  value('Transfer-Encoding: two words', 'chunked chunked'),
  value('Transfer-Encoding: a tab between', 'chunked\tchunked'),
  value('Transfer-Encoding: a version', 'chunked/1.0'),
  value('Transfer-Encoding: an equals sign', 'chunked=1'),
  value('Transfer-Encoding: a colon', ': chunked'),
  value('Transfer-Encoding: a dash in it', 'chun-ked'),
  value('Transfer-Encoding: NEL before', '\x85chunked'),
  value('Transfer-Encoding: a no-break space behind', 'chunked\xa0'),
  value('Transfer-Encoding: the Kelvin sign for k', 'chun\xe2\x84\xaaed'),
  value('Transfer-Encoding: a long s that folds to nothing', 'chunked\xc5\xbf'),
  value('Transfer-Encoding: a vertical tab before', '\x0bchunked', 400, 'invalid_field_value'),
  value('Transfer-Encoding: a vertical tab behind', 'chunked\x0b', 400, 'invalid_field_value'),
  value('Transfer-Encoding: a form feed before', '\x0cchunked', 400, 'invalid_field_value'),
  value('Transfer-Encoding: NUL before', '\0chunked', 400, 'invalid_field_value'),
  value('Transfer-Encoding: NUL behind', 'chunked\0', 400, 'invalid_field_value'),
  value('Transfer-Encoding: DEL behind', 'chunked\x7f', 400, 'invalid_field_value'),
  value('Transfer-Encoding: a bare CR before', '\rchunked', 400, 'bare_carriage_return'),
  value('Transfer-Encoding: a bare LF before', '\nchunked', 400, 'bare_line_feed'),
  value('Transfer-Encoding: a bare CR behind', 'chunked\r', 400, 'bare_carriage_return'),
  value('Transfer-Encoding: folded before its value', '\r\n chunked', 400, 'obs_fold'),
  value('Transfer-Encoding: folded by a tab', '\r\n\tchunked', 400, 'obs_fold'),
  value('Transfer-Encoding: folded behind its value', 'chunked\r\n , identity', 400, 'obs_fold'),
]);

const names = group('RFC 9112 §5.1; hidden framing fields (HTTP desync attacks)', [
  coding(
    'hidden: a space before the colon',
    'Transfer-Encoding : chunked',
    400,
    'space_before_colon',
  ),
  coding(
    'hidden: a tab before the colon',
    'Transfer-Encoding\t: chunked',
    400,
    'space_before_colon',
  ),
  coding('hidden: a CRLF before the colon', 'Transfer-Encoding\r\n: chunked', 400, 'missing_colon'),
  coding('hidden: a space in the name', 'Transfer Encoding: chunked', 400, 'invalid_field_name'),
  coding('hidden: NUL behind the name', 'Transfer-Encoding\0: chunked', 400, 'invalid_field_name'),
  coding('hidden: NUL in the name', 'Transfer-\0Encoding: chunked', 400, 'invalid_field_name'),
  coding(
    'hidden: a vertical tab behind the name',
    'Transfer-Encoding\x0b: chunked',
    400,
    'invalid_field_name',
  ),
  coding(
    'hidden: obs-text in the name',
    'Transfer-Encoding\xa0: chunked',
    400,
    'invalid_field_name',
  ),
  coding(
    'hidden: a colon before the name',
    ':Transfer-Encoding: chunked',
    400,
    'invalid_field_name',
  ),
  coding(
    'hidden: quotes around the name',
    '"Transfer-Encoding": chunked',
    400,
    'invalid_field_name',
  ),
  coding(
    'hidden: behind a bare CR',
    'X: y\rTransfer-Encoding: chunked',
    400,
    'bare_carriage_return',
  ),
  coding('hidden: behind a bare LF', 'X: y\nTransfer-Encoding: chunked', 400, 'bare_line_feed'),
  coding('hidden: behind LF CR', 'X: y\n\rTransfer-Encoding: chunked', 400, 'bare_line_feed'),
  coding(
    'hidden: behind CR CR LF',
    'X: y\r\r\nTransfer-Encoding: chunked',
    400,
    'bare_carriage_return',
  ),
  coding('hidden: behind NUL', 'X: y\0Transfer-Encoding: chunked', 400, 'invalid_field_value'),
  coding('hidden: in a folded line', 'X: y\r\n Transfer-Encoding: chunked', 400, 'obs_fold'),
  coding(
    'hidden: in a line that a tab folds',
    'X: y\r\n\tTransfer-Encoding: chunked',
    400,
    'obs_fold',
  ),
  refused(
    'hidden: in a folded request line',
    `POST {path} HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: a\r\n\r\n0\r\n\r\n`,
    400,
    'obs_fold',
  ),
  refused(
    'hidden: Content-Length with a space before the colon',
    post('Content-Length : 44', hidden),
    400,
    'space_before_colon',
  ),
  refused('hidden: Content-Length folded', post('Content-Length:\r\n 44', hidden), 400, 'obs_fold'),
  refused(
    'hidden: Content-Length behind a bare CR',
    post('X: y\rContent-Length: 44', hidden),
    400,
    'bare_carriage_return',
  ),
  refused(
    'hidden: Content-Length with NUL behind its name',
    post('Content-Length\0: 44', hidden),
    400,
    'invalid_field_name',
  ),
  served(
    'hidden: underscores make other fields',
    post('Content-Length: 5\r\nTransfer_Encoding: chunked\r\nContent_Length: 0', '0\r\n\r\n'),
    '0\r\n\r\n',
  ),
  served(
    'hidden: names that only end or begin like framing fields',
    post(
      'Content-Length: 5\r\nX-Transfer-Encoding: chunked\r\nTransfer-Encoding-X: chunked\r\nX-Content-Length: 0',
      '0\r\n\r\n',
    ),
    '0\r\n\r\n',
  ),
  served(
    'hidden: TE and Content-Encoding do not frame',
    post('Content-Length: 5\r\nTE: chunked\r\nContent-Encoding: chunked', '0\r\n\r\n'),
    '0\r\n\r\n',
  ),
  served(
    'hidden: Connection names no framing field away',
    post('Connection: Content-Length\r\nContent-Length: 5', '0\r\n\r\n'),
    '0\r\n\r\n',
  ),
  served(
    'hidden: Connection names no transfer coding away',
    post('Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked', '1\r\nx\r\n0\r\n\r\n'),
    'x',
  ),
]);

/** Content-Length with this value, and four bytes behind. */
const length = (name: string, text: string, code = badLength) =>
  refused(`Content-Length: ${name}`, post(`Content-Length: ${text}`, 'body'), 400, code);

const lengths = group('RFC 9112 §6.2, §6.3 (5); RFC 9110 §8.6', [
  length('nothing', ''),
  length('blanks', ' \t '),
  length('a plus sign', '+4'),
  length('a minus sign', '-4'),
  length('minus zero', '-0'),
  length('hexadecimal', '0x4'),
  length('hexadecimal digits', 'a'),
  length('octal', '0o4'),
  length('an underscore', '1_0'),
  length('a fraction', '4.0'),
  length('an exponent', '4e0'),
  length('a letter behind', '4a'),
  length('a space inside', '4 4'),
  length('a tab inside', '4\t4'),
  length('a list of equal values', '4, 4'),
  length('a list of different values', '4, 5'),
  length('a list without spaces', '4,4'),
  length('a comma behind', '4,'),
  length('a comma before', ',4'),
  length('a semicolon', '4;'),
  length('quotes', '"4"'),
  length('obs-text digits', '\xb2'),
  length('digits of another script', '\xd9\xa4'),
  length('a no-break space behind', '4\xa0'),
  length('the word NaN', 'NaN'),
  length('2^63', '9223372036854775808'),
  length('2^64 - 1', '18446744073709551615'),
  length('2^64 + 4, which wraps to 4', '18446744073709551620'),
  length('a hundred digits', '9'.repeat(100)),
  length('NUL behind', '4\0', 'invalid_field_value'),
  length('a vertical tab behind', '4\x0b', 'invalid_field_value'),
  length('a bare CR behind', '4\r', 'bare_carriage_return'),
  length('folded', '4\r\n 4', 'obs_fold'),
  length('twice the same', '4\r\nContent-Length: 4', 'duplicate_content_length'),
  length('twice, in another case', '4\r\ncontent-length: 4', 'duplicate_content_length'),
  length('twice different', '4\r\nContent-Length: 0', 'duplicate_content_length'),
  length('0, then a length', '0\r\nContent-Length: 4', 'duplicate_content_length'),
  length('once empty, then a length', '\r\nContent-Length: 4', 'duplicate_content_length'),
  length('a length, then an empty one', '4\r\nContent-Length:', 'duplicate_content_length'),
  length('three times', '4\r\nContent-Length: 4\r\nContent-Length: 4', 'duplicate_content_length'),
  refused(
    'Content-Length: 2^32 + 4, above what a body may be',
    post('Content-Length: 4294967300', 'body'),
    413,
    'body_too_large',
  ),
  served(
    'Content-Length: leading zeros',
    post(`Content-Length: ${'0'.repeat(30)}4`, 'body'),
    'body',
  ),
  served('Content-Length: blanks around', post('Content-Length: \t 4 \t', 'body'), 'body'),
  served('Content-Length: 0', post('Content-Length: 0'), ''),
]);

const accepted = group('RFC 9112 §6.1, §6.3', [
  served('coding: small letters', post('Transfer-Encoding: chunked', '1\r\nx\r\n0\r\n\r\n'), 'x'),
  served('coding: mixed letters', post('tRANSFER-eNCODING: cHUNKED', '1\r\nx\r\n0\r\n\r\n'), 'x'),
  served(
    'coding: blanks around',
    post('Transfer-Encoding:\t chunked \t', '1\r\nx\r\n0\r\n\r\n'),
    'x',
  ),
  served('coding: no blank', post('Transfer-Encoding:chunked', '1\r\nx\r\n0\r\n\r\n'), 'x'),
  served('no framing field: no body (H2.TE, H2.CL downgrades)', `${post('X: y')}${get()}`, '', ''),
  served('POST without framing fields in the middle', get() + post('X: y') + get(), '', '', ''),
]);

/** A body that looks like a request, read whole by every method (CL.0, TE.0). */
const bodyOf = (method: string, rest: string) =>
  post(`Content-Length: ${rest.length}`, rest).replace('POST', method);
const chunkedBodyOf = (method: string, rest: string) =>
  post('Transfer-Encoding: chunked', `${rest.length.toString(16)}\r\n${rest}\r\n0\r\n\r\n`).replace(
    'POST',
    method,
  );
const plain = 'GET /hidden HTTP/1.1\r\nHost: hidden\r\n\r\n';
const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PURGE', 'get'];

const unread = group('request smuggling CL.0 and TE.0; RFC 9110 §9.3.1', [
  ...methods.map((method) =>
    served(`CL.0: the body of ${method} is no request`, bodyOf(method, plain), plain),
  ),
  ...methods.map((method) =>
    served(
      `TE.0: the chunked body of ${method} is no request`,
      chunkedBodyOf(method, plain),
      plain,
    ),
  ),
  {
    ...served('CL.0: the body of HEAD is no request', bodyOf('HEAD', plain), undefined),
    methods: ['HEAD'],
  },
  {
    ...served(
      'TE.0: the chunked body of HEAD is no request',
      chunkedBodyOf('HEAD', plain),
      undefined,
    ),
    methods: ['HEAD'],
  },
  served(
    'CL.0: the body of a request for nothing is no request',
    bodyOf('POST', plain).replace('{path}', '{missing}'),
    undefined,
  ),
  servedLast(
    'CL.0: the body of HTTP/1.0 is no request',
    bodyOf('POST', plain).replace('HTTP/1.1', 'HTTP/1.0'),
    plain,
  ),
]);

/** Message framing: RFC 9112 §6 and §11.2. */
export const framing: readonly Case[] = [
  ...twoFramings,
  ...codings,
  ...names,
  ...lengths,
  ...accepted,
  ...unread,
];
