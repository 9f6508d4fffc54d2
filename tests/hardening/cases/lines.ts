import { type Case, get, group, refused, refusedBody, served, servedLast } from '../case.ts';

const rest = 'Host: a\r\n\r\n';
/** A request line, and fields that are as they should be. */
const line = (name: string, text: string, code: string, status = 400) =>
  refused(`request line: ${name}`, `${text}\r\n${rest}`, status, code);

const methods = group('RFC 9112 §3.1; RFC 9110 §9.1', [
  line('a space before the method', ' GET {path} HTTP/1.1', 'invalid_method'),
  line('a tab before the method', '\tGET {path} HTTP/1.1', 'invalid_method'),
  line('no method', ' {path} HTTP/1.1', 'invalid_method'),
  line('NUL before the method', '\0GET {path} HTTP/1.1', 'invalid_method'),
  line('NUL in the method', 'G\0ET {path} HTTP/1.1', 'invalid_method'),
  line('NUL behind the method', 'GET\0{path} HTTP/1.1', 'invalid_method'),
  line('a tab behind the method', 'GET\t{path} HTTP/1.1', 'invalid_method'),
  line('a vertical tab behind the method', 'GET\x0b{path} HTTP/1.1', 'invalid_method'),
  line('a no-break space behind the method', 'GET\xa0{path} HTTP/1.1', 'invalid_method'),
  line('a colon behind the method', 'GET: {path} HTTP/1.1', 'invalid_method'),
  line('quotes around the method', '"GET" {path} HTTP/1.1', 'invalid_method'),
  line('a parenthesis in the method', 'GE(T {path} HTTP/1.1', 'invalid_method'),
  line('obs-text in the method', 'G\xc3\x8bT {path} HTTP/1.1', 'invalid_method'),
  line('a byte order mark', '\xef\xbb\xbfGET {path} HTTP/1.1', 'invalid_method'),
  line('the method alone', 'GET', 'invalid_method'),
  line('a method of 33 letters', `${'M'.repeat(33)} {path} HTTP/1.1`, 'method_too_long', 501),
  served(
    'request line: a method of 32 letters',
    `${'M'.repeat(32)} {path} HTTP/1.1\r\n${rest}`,
    '',
  ),
  served(
    'request line: a method in small letters is another method',
    `get {path} HTTP/1.1\r\n${rest}`,
    '',
  ),
  served(
    'request line: a method of every token character',
    `!#$%&'*+-.^_\`|~09azAZ {path} HTTP/1.1\r\n${rest}`,
    '',
  ),
]);

const targets = group('RFC 9112 §3.2; RFC 3986', [
  line('no target', 'GET HTTP/1.1', 'invalid_version'),
  line('an empty target', 'GET  HTTP/1.1', 'invalid_target'),
  line('two spaces before the target', 'GET  {path} HTTP/1.1', 'invalid_target'),
  line('a space in the target', 'GET {path} x HTTP/1.1', 'invalid_version'),
  line('a tab in the target', 'GET {path}\tx HTTP/1.1', 'invalid_target'),
  line('NUL in the target', 'GET {path}\0 HTTP/1.1', 'invalid_target'),
  line('a control character in the target', 'GET {path}\x01 HTTP/1.1', 'invalid_target'),
  line('DEL in the target', 'GET {path}\x7f HTTP/1.1', 'invalid_target'),
  line('a form feed in the target', 'GET {path}\x0c HTTP/1.1', 'invalid_target'),
  line('a fragment', 'GET {path}#x HTTP/1.1', 'invalid_target'),
  line('an encoded query and a fragment', 'GET {path}?x#y HTTP/1.1', 'invalid_target'),
  line('UTF-8 in the target', 'GET {path}\xc3\xa4 HTTP/1.1', 'invalid_target'),
  line('latin1 in the target', 'GET {path}\xe4 HTTP/1.1', 'invalid_target'),
  line('obs-text in the query', 'GET {path}?\xe4 HTTP/1.1', 'invalid_target'),
  line('a quotation mark in the target', 'GET {path}?" HTTP/1.1', 'invalid_target'),
  line('angle brackets in the target', 'GET {path}?<script> HTTP/1.1', 'invalid_target'),
  line('a target without a slash', 'GET hello HTTP/1.1', 'invalid_target'),
  line('a query alone', 'GET ?x HTTP/1.1', 'invalid_target'),
  line('a bare CR in the target', 'GET {path}\r x HTTP/1.1', 'invalid_version'),
  line('a bare LF in the target', 'GET {path}\n x HTTP/1.1', 'invalid_version'),
  served(
    'request line: a query of what browsers leave bare',
    `GET {path}?[]{}|\\^\` HTTP/1.1\r\n${rest}`,
    '',
  ),
]);

const version = (name: string, text: string, code = 'invalid_version', status = 400) =>
  line(`version ${name}`, `GET {path} ${text}`, code, status);

const versions = group('RFC 9112 §2.3; RFC 9110 §2.5, §15.6.6', [
  refused('request line: none (HTTP/0.9)', 'GET {path}\r\n', 400, 'invalid_version'),
  refused('request line: none, and LF (HTTP/0.9)', 'GET {path}\n', 400, 'invalid_version'),
  version('without its digits', 'HTTP'),
  version('without a minor digit', 'HTTP/1'),
  version('with a dot and no digit', 'HTTP/1.'),
  version('with two minor digits', 'HTTP/1.10'),
  version('with two major digits', 'HTTP/01.1'),
  version('with a sign', 'HTTP/+1.1'),
  version('with a comma', 'HTTP/1,1'),
  version('without a dot', 'HTTP/11'),
  version('in small letters', 'http/1.1'),
  version('in mixed letters', 'Http/1.1'),
  version('of HTTPS', 'HTTPS/1.1'),
  version('of another protocol', 'ICAP/1.0'),
  version('of RTSP', 'RTSP/1.0'),
  version('with a space before the slash', 'HTTP /1.1'),
  version('with a space behind', 'HTTP/1.1 '),
  version('with a tab behind', 'HTTP/1.1\t'),
  version('with NUL behind', 'HTTP/1.1\0'),
  version('with text behind', 'HTTP/1.1x'),
  version('with a word behind', 'HTTP/1.1 x'),
  version('twice', 'HTTP/1.1 HTTP/1.1'),
  version('behind two spaces', ' HTTP/1.1'),
  version('behind a tab', '\tHTTP/1.1'),
  version('in digits of another script', 'HTTP/\xd9\xa1.\xd9\xa1'),
  version('0.9', 'HTTP/0.9', 'version_not_supported', 505),
  version('0.0', 'HTTP/0.0', 'version_not_supported', 505),
  version('2.0', 'HTTP/2.0', 'version_not_supported', 505),
  version('2 without a minor digit', 'HTTP/2'),
  version('3.0', 'HTTP/3.0', 'version_not_supported', 505),
  version('9.9', 'HTTP/9.9', 'version_not_supported', 505),
  served('request line: version 1.2 is read as 1.1', `GET {path} HTTP/1.2\r\n${rest}`, ''),
  served('request line: version 1.9 is read as 1.1', `GET {path} HTTP/1.9\r\n${rest}`, ''),
  servedLast('request line: version 1.0 closes', 'GET {path} HTTP/1.0\r\n\r\n', ''),
]);

/** First bytes of a TLS 1.3 ClientHello. */
const hello =
  '\x16\x03\x01\x00\xf1\x01\x00\x00\xed\x03\x03GET / HTTP/1.1\r\nHost: hidden\r\n\r\n\x20\x13\x01';

const protocols = group('RFC 9113 §3.3; RFC 8446; other protocols on the port', [
  refused(
    'protocol: what begins like the preface of HTTP/2 and is none',
    'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n\0\0\0\x04\0\0\0\0\0',
    505,
    'version_not_supported',
  ),
  refused('protocol: a TLS ClientHello', hello, 400, 'invalid_method'),
  refused(
    'protocol: an SSL 2 ClientHello',
    '\x80\x2e\x01\0\x02\0\x15\0\0\0\x10',
    400,
    'invalid_method',
  ),
  refused('protocol: an SSH banner', 'SSH-2.0-OpenSSH_9.6\r\n', 400, 'invalid_method'),
  refused('protocol: SMTP', 'EHLO a\r\n', 400, 'invalid_version'),
  refused(
    'protocol: the PROXY protocol, version 1',
    'PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n',
    400,
    'invalid_version',
  ),
  refused(
    'protocol: the PROXY protocol, version 2',
    '\r\n\r\n\0\r\nQUIT\n\x20\0\0\0',
    400,
    'invalid_method',
  ),
  refused('protocol: Redis', '*1\r\n$4\r\nPING\r\n', 400, 'invalid_method'),
  refused('protocol: JSON', '{"jsonrpc":"2.0"}\r\n', 400, 'invalid_method'),
  refused(
    'protocol: a response',
    'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    400,
    'invalid_method',
  ),
  refused('protocol: bytes above ASCII', '\xff\xfe\xfd\xfc', 400, 'invalid_method'),
  refused('protocol: zeros', '\0'.repeat(64), 400, 'invalid_method'),
]);

const beginnings = group('RFC 9112 §2.2', [
  served('beginning: an empty line before a request', `\r\n${get()}`, ''),
  served('beginning: four empty lines before a request', `\r\n\r\n\r\n\r\n${get()}`, ''),
  served('beginning: an empty line behind a body (old clients)', `${get()}\r\n${get()}`, '', ''),
  refused('beginning: five empty lines', `${'\r\n'.repeat(5)}${get()}`, 400, 'invalid_method'),
  refused('beginning: LF before a request', `\n${get()}`, 400, 'invalid_method'),
  refused('beginning: CR before a request', `\r${get()}`, 400, 'invalid_method'),
  refused('beginning: CR CR LF before a request', `\r\r\n${get()}`, 400, 'invalid_method'),
  refused('beginning: a line of blanks', ` \r\n${get()}`, 400, 'invalid_method'),
  refused('beginning: NUL before a request', `\0${get()}`, 400, 'invalid_method'),
]);

const endings = group('RFC 9112 §2.2; bare CR and bare LF', [
  refused(
    'line end: LF behind the request line',
    `GET {path} HTTP/1.1\n${rest}`,
    400,
    'bare_line_feed',
  ),
  refused(
    'line end: CR behind the request line',
    `GET {path} HTTP/1.1\r${rest}`,
    400,
    'bare_carriage_return',
  ),
  refused(
    'line end: LF CR behind the request line',
    `GET {path} HTTP/1.1\n\r${rest}`,
    400,
    'bare_line_feed',
  ),
  refused(
    'line end: CR CR LF behind the request line',
    `GET {path} HTTP/1.1\r\r\n${rest}`,
    400,
    'bare_carriage_return',
  ),
  refused('line end: LF everywhere', 'GET {path} HTTP/1.1\nHost: a\n\n', 400, 'bare_line_feed'),
  refused(
    'line end: CR everywhere',
    'GET {path} HTTP/1.1\rHost: a\r\r',
    400,
    'bare_carriage_return',
  ),
  refused('line end: LF behind a field', get('X: y\nZ: w'), 400, 'bare_line_feed'),
  refused('line end: CR behind a field', get('X: y\rZ: w'), 400, 'bare_carriage_return'),
  refused('line end: LF CR behind a field', get('X: y\n\rZ: w'), 400, 'bare_line_feed'),
  refused('line end: CR CR LF behind a field', get('X: y\r\r\nZ: w'), 400, 'bare_carriage_return'),
  refused(
    'line end: LF for the empty line',
    'GET {path} HTTP/1.1\r\nHost: a\r\n\n',
    400,
    'bare_line_feed',
  ),
  refused(
    'line end: LF LF for the end',
    'GET {path} HTTP/1.1\r\nHost: a\n\n',
    400,
    'bare_line_feed',
  ),
  refused(
    'line end: CR CR LF for the empty line',
    'GET {path} HTTP/1.1\r\nHost: a\r\n\r\r\n',
    400,
    'bare_carriage_return',
  ),
  refused(
    'line end: CR and a byte for the empty line',
    'GET {path} HTTP/1.1\r\nHost: a\r\n\rX\r\n\r\n',
    400,
    'bare_carriage_return',
  ),
  refused('line end: LF behind a field name', get('X\n: y'), 400, 'missing_colon'),
]);

const field = (name: string, text: string, code: string) =>
  refused(`field: ${name}`, get(text), 400, code);

const fields = group('RFC 9112 §5; RFC 9110 §5.1, §5.5', [
  field('without a colon', 'nonsense', 'missing_colon'),
  field('without a name', ': y', 'invalid_field_name'),
  field('without anything but a colon', ':', 'invalid_field_name'),
  field('with a space before the colon', 'X : y', 'space_before_colon'),
  field('with a tab before the colon', 'X\t: y', 'space_before_colon'),
  field('with a space in its name', 'X Y: z', 'invalid_field_name'),
  field('with NUL in its name', 'X\0Y: z', 'invalid_field_name'),
  field('with NUL before its name', '\0X: y', 'invalid_field_name'),
  field('with a control character in its name', 'X\x1f: y', 'invalid_field_name'),
  field('with DEL in its name', 'X\x7f: y', 'invalid_field_name'),
  field('with UTF-8 in its name', 'X\xc3\xa4: y', 'invalid_field_name'),
  field('with a parenthesis in its name', 'X(: y', 'invalid_field_name'),
  field('with brackets in its name', 'X[]: y', 'invalid_field_name'),
  field('with a slash in its name', 'X/Y: z', 'invalid_field_name'),
  field('with an at sign in its name', 'X@Y: z', 'invalid_field_name'),
  field('with quotes around its name', '"X": y', 'invalid_field_name'),
  field('with NUL in its value', 'X: a\0b', 'invalid_field_value'),
  field('with NUL for its value', 'X: \0', 'invalid_field_value'),
  field('with a control character in its value', 'X: a\x01b', 'invalid_field_value'),
  field('with an escape character in its value', 'X: \x1b[2J', 'invalid_field_value'),
  field('with a vertical tab in its value', 'X: a\x0bb', 'invalid_field_value'),
  field('with a form feed behind its value', 'X: a\x0c', 'invalid_field_value'),
  field('with DEL in its value', 'X: a\x7fb', 'invalid_field_value'),
  field('folded by a space', 'X: y\r\n z', 'obs_fold'),
  field('folded by a tab', 'X: y\r\n\tz', 'obs_fold'),
  field('folded into nothing', 'X: y\r\n ', 'obs_fold'),
  field('folded before its value', 'X:\r\n y', 'obs_fold'),
  refused(
    'field: white space before the first',
    'GET {path} HTTP/1.1\r\n Host: a\r\n\r\n',
    400,
    'obs_fold',
  ),
  refused(
    'field: a line of blanks before the first',
    'GET {path} HTTP/1.1\r\n \r\nHost: a\r\n\r\n',
    400,
    'obs_fold',
  ),
  served('field: with an empty value', get('X:'), ''),
  served('field: with blanks for a value', get('X: \t '), ''),
  served('field: with obs-text in its value', get('X: \xe4\xff\x80'), ''),
  served('field: with tabs in its value', get('X: a\tb'), ''),
  served('field: with colons in its value', get('X: y: z:'), ''),
  served('field: by every token character', get("!#$%&'*+-.^_`|~09azAZ: x"), ''),
]);

/** Refusals in JSON say the same as in text. */
const json = group('RFC 9110 §12.5.1; RFC 9457', [
  refused(
    'Accept: JSON, and a field that is none',
    get('Accept: application/json', 'X(: y'),
    400,
    '"code":"invalid_field_name"',
  ),
  refused(
    'Accept: JSON, and a path that is none',
    get('Accept: application/problem+json').replace('{path}', '/%00'),
    400,
    '"code":"control_character_in_path"',
  ),
  refusedBody(
    'Accept: JSON, and a chunk that is none',
    `${get('Accept: application/json', 'Transfer-Encoding: chunked')}x\r\n`,
    400,
    '"code":"invalid_chunk_size"',
  ),
]);

/** HEAD is answered without content, also when its head cannot be read. */
const head = group('RFC 9110 §9.3.2; RFC 9112 §6.3 (1)', [
  ...[
    refused('HEAD: with a field that is none', get('X(: y'), 400, 'invalid_field_name'),
    refused('HEAD: without Host', 'GET {path} HTTP/1.1\r\n\r\n', 400, 'missing_host'),
    refused(
      'HEAD: with a target that is none',
      'GET * HTTP/1.1\r\nHost: a\r\n\r\n',
      400,
      'invalid_target',
    ),
    refused(
      'HEAD: behind an empty line, of HTTP/2.0',
      `\r\nGET {path} HTTP/2.0\r\n${rest}`,
      505,
      'version_not_supported',
    ),
    refused(
      'HEAD: with too many fields',
      get(...new Array(101).fill('X: y')),
      431,
      'too_many_fields',
    ),
    refused(
      'HEAD: with both framing fields',
      get('Content-Length: 1', 'Transfer-Encoding: chunked'),
      400,
      'transfer_encoding_with_content_length',
    ),
    refused('HEAD: with another expectation', get('Expect: x'), 417, 'expectation_failed'),
    refusedBody(
      'HEAD: with a chunk that is none',
      `${get('Transfer-Encoding: chunked')}x\r\n`,
      400,
      'invalid_chunk_size',
    ),
  ].map((one) => ({
    ...one,
    send: (one.send as string).replace('GET', 'HEAD'),
    methods: ['HEAD'],
  })),
]);

/** Request lines, line ends and field lines: RFC 9112 §2–§3, §5. */
export const lines: readonly Case[] = [
  ...methods,
  ...targets,
  ...versions,
  ...protocols,
  ...beginnings,
  ...endings,
  ...fields,
  ...json,
  ...head,
];
