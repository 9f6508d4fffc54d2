import { type Case, chunked, get, group, post, refused, served } from '../case.ts';

/** The limits that the servers of this suite have. */
export const bodyBytesMax = 1024 * 1024;
const [targetMax, headMax, countMax] = [8192, 32_768, 100];

const once = (one: Omit<Case, 'source'>): Omit<Case, 'source'> => ({ ...one, once: true });
const targetOf = (length: number): string => {
  const path = '/nowhere?';
  return `GET ${path}${'x'.repeat(length - path.length)} HTTP/1.1\r\nHost: a\r\n\r\n`;
};
const headOf = (length: number): string =>
  `GET /nowhere HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(length - 39)}\r\n\r\n`;

/** One more than what may be, and much more. */
const sizes = group('RFC 9112 §3, §5.4; RFC 9110 §4.1, §15.5.14', [
  once(served('limit: a target of the largest length', targetOf(targetMax), 404)),
  once(refused('limit: a target one byte longer', targetOf(targetMax + 1), 414, 'uri_too_long')),
  once(refused('limit: a target of 100 KB', targetOf(100_000), 414, 'uri_too_long')),
  once(refused('limit: a target without an end', `GET /${'x'.repeat(9000)}`, 414, 'uri_too_long')),
  once(
    refused(
      'limit: a method of 100 KB',
      `${'M'.repeat(100_000)} {path} HTTP/1.1\r\n\r\n`,
      501,
      'method_too_long',
    ),
  ),
  once(served('limit: a head of the largest length', headOf(headMax), 404)),
  once(refused('limit: a head one byte longer', headOf(headMax + 1), 431, 'head_too_large')),
  once(
    refused('limit: a value of 100 KB', get(`X: ${'x'.repeat(100_000)}`), 431, 'head_too_large'),
  ),
  once(refused('limit: a name of 100 KB', get(`${'X'.repeat(100_000)}: x`), 431, 'head_too_large')),
  once(
    refused(
      'limit: a value without an end',
      `GET {path} HTTP/1.1\r\nX: ${'x'.repeat(40_000)}`,
      431,
      'head_too_large',
    ),
  ),
  once(
    refused(
      'limit: a name without an end',
      `GET {path} HTTP/1.1\r\n${'X'.repeat(40_000)}`,
      431,
      'head_too_large',
    ),
  ),
  once(
    refused(
      'limit: blanks without an end',
      `GET {path} HTTP/1.1\r\nX:${' '.repeat(40_000)}`,
      431,
      'head_too_large',
    ),
  ),
  once(served('limit: as many fields as may be', get(...new Array(countMax - 1).fill('X: y')), '')),
  once(
    refused(
      'limit: one field more',
      get(...new Array(countMax).fill('X: y')),
      431,
      'too_many_fields',
    ),
  ),
  once(
    refused(
      'limit: more fields than there is room for',
      get(...new Array(129).fill('X: y')),
      431,
      'too_many_fields',
    ),
  ),
  once(
    refused(
      'limit: ten thousand fields',
      get(...new Array(10_000).fill('X: y')),
      431,
      'head_too_large',
    ),
  ),
  once(
    refused(
      'limit: fields without an end',
      `GET {path} HTTP/1.1\r\n${'X: y\r\n'.repeat(10_000)}`,
      431,
      'head_too_large',
    ),
  ),
  once(refused('limit: empty lines without an end', '\r\n'.repeat(50_000), 400, 'invalid_method')),
  once(
    refused(
      'limit: a body one byte too long by its length',
      post(`Content-Length: ${bodyBytesMax + 1}`),
      413,
      'body_too_large',
    ),
  ),
  once({
    ...served(
      'limit: a body of the largest length',
      post(`Content-Length: ${bodyBytesMax}`, 'x'.repeat(bodyBytesMax)),
      'x'.repeat(bodyBytesMax),
    ),
    expected: { served: ['x'.repeat(bodyBytesMax)], closesEarly: true },
  }),
  once({
    name: 'limit: a body one byte too long in chunks',
    send: chunked(
      `${bodyBytesMax.toString(16)}\r\n${'x'.repeat(bodyBytesMax)}\r\n1\r\nx\r\n0\r\n\r\n`,
    ),
    expected: { refused: [413, 'body_too_large'], inBody: true },
  }),
  once({
    name: 'limit: one chunk that is too long',
    send: chunked(`${(bodyBytesMax + 1).toString(16)}\r\nx`),
    expected: { refused: [413, 'body_too_large'], inBody: true },
  }),
]);

/** The limits of a message: 413, 414, 431, 501. */
export const limits: readonly Case[] = sizes;
