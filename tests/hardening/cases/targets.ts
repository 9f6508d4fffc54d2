import { type Case, get, group, refused, served, servedLast } from '../case.ts';

const withHost = (...lines: string[]): string =>
  `GET {path} HTTP/1.1\r\n${lines.map((text) => `${text}\r\n`).join('')}\r\n`;
const host = (name: string, value: string, code = 'invalid_host') =>
  refused(`Host: ${name}`, withHost(`Host: ${value}`), 400, code);
const fine = (name: string, value: string) =>
  served(`Host: ${name}`, withHost(`Host: ${value}`), '');

const hosts = group('RFC 9112 §3.2; RFC 9110 §7.2; RFC 3986 §3.2', [
  refused('Host: missing', withHost(), 400, 'missing_host'),
  refused(
    'Host: missing among others',
    withHost('X: y', 'Hosts: a', 'X-Host: a'),
    400,
    'missing_host',
  ),
  refused('Host: twice the same', withHost('Host: a', 'Host: a'), 400, 'duplicate_host'),
  refused('Host: twice different', withHost('Host: a', 'Host: b'), 400, 'duplicate_host'),
  refused(
    'Host: twice, in another case',
    withHost('Host: a', 'X: y', 'hOST: b'),
    400,
    'duplicate_host',
  ),
  refused('Host: twice, once empty', withHost('Host:', 'Host: a'), 400, 'duplicate_host'),
  refused(
    'Host: twice in HTTP/1.0',
    'GET {path} HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n',
    400,
    'duplicate_host',
  ),
  servedLast('Host: missing in HTTP/1.0', 'GET {path} HTTP/1.0\r\n\r\n', ''),
  refused('Host: with a space before the colon', withHost('Host : a'), 400, 'space_before_colon'),
  refused('Host: folded', withHost('Host:\r\n a'), 400, 'obs_fold'),
  refused('Host: folded behind its value', withHost('Host: a\r\n b'), 400, 'obs_fold'),
  host('empty', ''),
  host('blanks', ' \t'),
  host('a list', 'a, b'),
  host('two words', 'a b'),
  host('a tab inside', 'a\tb'),
  host('user information', 'user@a'),
  host('user information and a password', 'user:secret@a'),
  host('an at sign alone', '@'),
  host('a path', 'a/b'),
  host('a query', 'a?b'),
  host('a fragment', 'a#b'),
  host('a backslash', 'a\\b'),
  host('a scheme', 'http://a'),
  host('quotes', '"a"'),
  host('angle brackets', '<a>'),
  host('a pipe', 'a|b'),
  host('obs-text', 'b\xfccher'),
  host('UTF-8', 'b\xc3\xbccher'),
  host('an open encoding', 'a%4'),
  host('an encoding that is none', 'a%zz'),
  host('NUL', 'a\0b', 'invalid_field_value'),
  host('a port alone', ':80'),
  host('a port with letters', 'a:80x'),
  host('a negative port', 'a:-1'),
  host('a port with a plus sign', 'a:+80'),
  host('a port beyond 65535', 'a:65536'),
  host('a port of many digits', `a:${'9'.repeat(30)}`),
  host('two ports', 'a:80:80'),
  host('a space before the port', 'a: 80'),
  host('a port in hexadecimal', 'a:0x50'),
  host('an IPv6 address without brackets', '::1'),
  host('an IPv6 address with an open bracket', '[::1'),
  host('an IPv6 address with a bracket behind', '::1]'),
  host('text behind a bracket', '[::1]x'),
  host('a port that is none behind a bracket', '[::1]:x'),
  host('user information before a bracket', 'a@[::1]'),
  host('nothing in brackets', '[]'),
  host('an IPv4 address in brackets', '[127.0.0.1]'),
  host('a name in brackets', '[localhost]'),
  host('a zone', '[fe80::1%25eth0]'),
  fine('an empty port', 'a:'),
  fine('a port', 'a:65535'),
  fine('an IPv4 address', '127.0.0.1:8080'),
  fine('an IPv6 address', '[::1]'),
  fine('an IPv6 address and a port', '[2001:db8::1]:8080'),
  fine('capital letters and a dot at the end', 'EXAMPLE.com.'),
  fine('underscores', 'a_b.example'),
]);

const absolute = (name: string, target: string, code = 'invalid_target') =>
  refused(`target: ${name}`, `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`, 400, code);
const fineTarget = (name: string, target: string) =>
  served(`target: ${name}`, `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`, '');
const misdirected = (name: string, target: string) =>
  refused(
    `target: ${name}`,
    `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`,
    421,
    'misdirected_request',
  );

const absoluteForm = group('RFC 9112 §3.2.2; RFC 9110 §4.2, §7.1', [
  fineTarget('absolute', 'http://a{path}'),
  fineTarget('absolute, another host than Host', 'http://b{path}'),
  fineTarget('absolute, with a port', 'http://a:8080{path}'),
  misdirected('absolute, of https', 'https://a{path}'),
  misdirected('absolute, of https in capitals', 'HTTPS://a:443{path}'),
  fineTarget('absolute, in capitals', 'HTTP://A{path}'),
  fineTarget('absolute, an IPv6 address', 'http://[::1]:80{path}'),
  absolute('absolute, of another scheme', 'ftp://a{path}'),
  absolute('absolute, without a host', 'http://{path}'),
  absolute('absolute, of https, without a host', 'https://{path}'),
  absolute('absolute, with a port and no host', 'http://:80{path}'),
  absolute('absolute, with one slash', 'http:{path}'),
  absolute('absolute, with user information', 'http://user@a{path}'),
  absolute('absolute, with an empty user', 'http://@a{path}'),
  absolute('absolute, with a port that is none', 'http://a:b{path}'),
  absolute('absolute, with a port beyond 65535', 'http://a:65536{path}'),
  absolute('absolute, with a backslash for a slash', 'http:\\\\a{path}'),
  absolute('absolute, with a backslash in its host', 'http://a\\b{path}'),
  absolute('absolute, with an open bracket', 'http://[::1{path}'),
  absolute('absolute, with a fragment', 'http://a{path}#x'),
  absolute('a scheme alone', 'http://'),
  refused(
    'target: absolute, without Host',
    'GET http://a{path} HTTP/1.1\r\n\r\n',
    400,
    'missing_host',
  ),
  refused(
    'target: absolute, with a Host that is none',
    'GET http://a{path} HTTP/1.1\r\nHost: a b\r\n\r\n',
    400,
    'invalid_host',
  ),
  refused(
    'target: absolute, with two Hosts',
    'GET http://a{path} HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n',
    400,
    'duplicate_host',
  ),
]);

const other = (name: string, line: string, status = 400, code = 'invalid_target') =>
  refused(`target: ${name}`, `${line} HTTP/1.1\r\nHost: a\r\n\r\n`, status, code);

const otherForms = group('RFC 9112 §3.2.3, §3.2.4; RFC 9110 §9.3.6–§9.3.8', [
  other('authority with GET', 'GET a:80'),
  other('authority with POST', 'POST a:80'),
  other('authority with OPTIONS', 'OPTIONS a:80'),
  other('a name with GET', 'GET a'),
  other('asterisk with GET', 'GET *'),
  { ...other('asterisk with HEAD', 'HEAD *'), methods: ['HEAD'] },
  other('asterisk with POST', 'POST *'),
  other('asterisk with an unknown method', 'PURGE *'),
  other('asterisk with options in small letters', 'options *'),
  other('two asterisks', 'OPTIONS **'),
  other('asterisk and a query', 'OPTIONS *?x'),
  other('CONNECT with a path', 'CONNECT {path}'),
  other('CONNECT without a port', 'CONNECT a'),
  other('CONNECT with an empty port', 'CONNECT a:'),
  other('CONNECT with an absolute target', 'CONNECT http://a:80/'),
  other('CONNECT with user information', 'CONNECT u@a:80'),
  other('CONNECT with an asterisk', 'CONNECT *'),
  other('CONNECT', 'CONNECT a:80', 501, 'method_not_implemented'),
  other('CONNECT to an IPv6 address', 'CONNECT [::1]:443', 501, 'method_not_implemented'),
  other('TRACE', 'TRACE {path}', 501, 'method_not_implemented'),
  refused(
    'target: CONNECT with a request behind it',
    `CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello${get()}`,
    501,
    'method_not_implemented',
  ),
  refused(
    'target: TRACE with a body',
    'TRACE {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    501,
    'method_not_implemented',
  ),
  served(
    'target: asterisk with OPTIONS',
    `OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n${get()}`,
    undefined,
    '',
  ),
  served('target: OPTIONS of a path', `OPTIONS {path} HTTP/1.1\r\nHost: a\r\n\r\n${get()}`, '', ''),
]);

/** Host and the four forms of a target: RFC 9112 §3.2. */
export const targets: readonly Case[] = [...hosts, ...absoluteForm, ...otherForms];
