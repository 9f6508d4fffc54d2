import { type Case, group, refused, served } from '../case.ts';

const request = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
const same = (name: string, target: string) => served(`path: ${name}`, request(target), '');
const other = (name: string, target: string) => served(`path: ${name}`, request(target), 404);
const bad = (name: string, target: string, code: string) =>
  refused(`path: ${name}`, request(target), 400, code);

/** Paths that are one path: router, static files and handlers see its canonical form. */
const equal = group('RFC 3986 §6.2.2', [
  same('two slashes before', '/{path}'),
  same('many slashes before', '/////{path}'),
  same('a dot segment before', '/.{path}'),
  same('two dot segments before', '/./.{path}'),
  same('a segment that is left again', '/x/..{path}'),
  same('two segments that are left again', '/x/y/../..{path}'),
  same('an empty segment that is left again', '/x//..{path}'),
  same('an encoded dot segment', '/%2e{path}'),
  same('an encoded dot segment in capitals', '/%2E{path}'),
  same('a segment left by encoded dots', '/x/%2e%2e{path}'),
  same('a segment left by one encoded dot', '/x/.%2E{path}'),
  same('a segment left by the other encoded dot', '/x/%2e.{path}'),
  same('unreserved characters encoded', '{encoded}'),
  same('reserved characters encoded in a segment that is left again', '/x%40%3a%3B%2b/..{path}'),
  same('a query of dots and slashes', '{path}?/../%2e%2e//\\'),
  same('a query of what is refused in paths', '{path}?%00%0d%0a%5c%ff%zz%'),
  same('an absolute target with dot segments', 'http://a/x/..{path}'),
  same('an absolute target with empty segments', 'http://a//{path}'),
]);

/** Paths that are others, however near. */
const different = group('RFC 3986 §6.2.2; path confusion', [
  other('a slash behind', '{path}/'),
  other('a dot segment behind', '{path}/.'),
  other('an encoded dot segment behind', '{path}/%2e'),
  other('two slashes behind', '{path}//'),
  other('a parameter behind', '{path};x=1'),
  other('a parameter behind a dot segment', '/x/..;{path}'),
  other('an encoded parameter behind a dot segment', '/x/..%3b{path}'),
  other('a parameter in a dot segment', '/.;x{path}'),
  other('a space behind', '{path}%20'),
  other('a dot behind', '{path}.'),
  other('three dots', '/x/...{path}'),
  other('dots encoded twice', '/x/%252e%252e{path}'),
  other('encoded twice', '/%2565cho'),
  other('full-width dots', '/x/%ef%bc%8e%ef%bc%8e{path}'),
  other('a division slash', '/x/..%e2%88%95..{path}'),
  other('a host in place of a segment', '//hidden.example{path}'),
  other('an encoded question mark', '{path}%3fx'),
  other('an encoded number sign', '{path}%23x'),
  other('capital letters', '/NOWHERE'),
]);

const unfit = group('RFC 3986 §2.1, §5.2.4; RFC 3629 §10; path traversal', [
  bad('above the root', '/..{path}', 'path_escapes_root'),
  bad('above the root by encoded dots', '/%2e%2e{path}', 'path_escapes_root'),
  bad('above the root behind a segment', '/x/../..{path}', 'path_escapes_root'),
  bad('above the root behind empty segments', '///..{path}', 'path_escapes_root'),
  bad('above the root at its end', '/..', 'path_escapes_root'),
  bad('above the root of an absolute target', 'http://a/..{path}', 'path_escapes_root'),
  bad('a backslash', '/x\\..{path}', 'ambiguous_separator'),
  bad('a backslash for the first slash', '/\\hidden{path}', 'ambiguous_separator'),
  bad('an encoded backslash', '/x%5c..{path}', 'ambiguous_separator'),
  bad('an encoded backslash in capitals', '/x%5C..{path}', 'ambiguous_separator'),
  bad('NUL', '{path}%00', 'control_character_in_path'),
  bad('NUL before an extension', '{path}%00.html', 'control_character_in_path'),
  bad('CR LF', '{path}%0d%0aX-Injected:%20y', 'control_character_in_path'),
  bad('CR', '{path}%0d', 'control_character_in_path'),
  bad('LF', '{path}%0A', 'control_character_in_path'),
  bad('a tab', '{path}%09', 'control_character_in_path'),
  bad('an escape character', '{path}%1b', 'control_character_in_path'),
  bad('DEL', '{path}%7f', 'control_character_in_path'),
  bad('NUL in a segment that is left again', '/%00/..{path}', 'control_character_in_path'),
  bad('a percent sign alone', '{path}%', 'invalid_percent_encoding'),
  bad('one digit', '{path}%4', 'invalid_percent_encoding'),
  bad('a letter for a digit', '{path}%4g', 'invalid_percent_encoding'),
  bad('letters for digits', '{path}%zz', 'invalid_percent_encoding'),
  bad('an encoding of IIS', '{path}%u002f', 'invalid_percent_encoding'),
  bad('a percent sign between digits', '{path}%%32', 'invalid_percent_encoding'),
  bad('a slash in overlong UTF-8', '/x/..%c0%af..{path}', 'invalid_utf8_in_path'),
  bad('a slash in longer UTF-8', '/x/..%e0%80%af{path}', 'invalid_utf8_in_path'),
  bad('dots in overlong UTF-8', '/x/%c0%ae%c0%ae{path}', 'invalid_utf8_in_path'),
  bad('NUL in overlong UTF-8', '{path}%c0%80', 'invalid_utf8_in_path'),
  bad('a surrogate', '{path}%ed%a0%80', 'invalid_utf8_in_path'),
  bad('beyond Unicode', '{path}%f4%90%80%80', 'invalid_utf8_in_path'),
  bad('five bytes of UTF-8', '{path}%f8%88%80%80%80', 'invalid_utf8_in_path'),
  bad('a byte that begins nothing', '{path}%80', 'invalid_utf8_in_path'),
  bad('latin1', '{path}%e4', 'invalid_utf8_in_path'),
  bad('a character that is cut off', '{path}%c3', 'invalid_utf8_in_path'),
  bad('a character that a slash cuts off', '{path}%c3/%a4', 'invalid_utf8_in_path'),
]);

/** Paths: one canonical form, or none (docs/ARCHITECTURE.md). */
export const paths: readonly Case[] = [...equal, ...different, ...unfit];
