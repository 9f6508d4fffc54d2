import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { MultipartError } from './multipart_error.ts';
import { MultipartParser, type ParserLimits } from './multipart_parser.ts';

const limits: ParserLimits = { maxParts: 1000, maxHeadBytes: 16384 };

interface Read {
  name: string;
  filename: string | null;
  type: string;
  content: string;
}

/** Feeds a parser the body cut before each of `cuts`, and gives the parts or what was wrong with them. */
function parse(
  body: string | Buffer,
  cuts: readonly number[] = [],
  bounds = limits,
): Read[] | string {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const parts: Read[] = [];
  try {
    const parser = new MultipartParser('XX', bounds);
    const starts = [0, ...cuts, bytes.length];
    for (let i = 0; i + 1 < starts.length; i += 1) {
      const piece = Buffer.from(bytes.subarray(starts[i], starts[i + 1]));
      parser.push(piece);
      for (let event = parser.next(); event !== null; event = parser.next()) {
        if (event.kind === 'part') {
          const { name, filename, type } = event.head;
          parts.push({ name, filename, type, content: '' });
        } else if (event.kind === 'data') {
          const part = parts.at(-1) as Read;
          part.content += Buffer.from(event.bytes).toString('latin1');
        }
      }
      piece.fill(0x2a); // what was pushed is the caller's again
    }
    parser.finish();
  } catch (error) {
    if (error instanceof MultipartError) return `${error.status} ${error.message}`;
    throw error;
  }
  return parts;
}

/** A body with one part whose Content-Disposition is this. */
function disposed(disposition: string): string {
  return `--XX\r\nContent-Disposition: ${disposition}\r\n\r\nx\r\n--XX--\r\n`;
}

function nameOf(disposition: string): string | [string, string | null] {
  const parts = parse(disposed(disposition));
  if (typeof parts === 'string') return parts;
  return [parts[0]?.name as string, parts[0]?.filename ?? null];
}

const field = 'Content-Disposition: form-data; name="a"';

const bodies: Readonly<Record<string, string>> = {
  'a form': [
    '--XX',
    'Content-Disposition: form-data; name="text"',
    '',
    'one\r\ntwo',
    '--XX',
    'content-disposition:form-data; name="file"; filename="é.txt"',
    'Content-Type: text/x; charset=utf-8',
    '',
    '\r\n--X\r\n--XY\r\n-\r\r\n--\r',
    '--XX',
    field,
    '',
    '',
    '--XX--',
    '',
  ].join('\r\n'),
  'preamble and epilogue': `this is\r\n--X\r\n no part\r\n--XX\r\n${field}\r\n\r\nx\r\n--XX--\r\nand\r\n--XX\r\nthis not`,
  'blanks behind the boundaries': `--XX \t \r\n${field}\r\n\r\nx\r\n--XX\t\r\n${field}\r\n\r\ny\r\n--XX-- \t\r\n`,
  'no line end at the end': `--XX\r\n${field}\r\n\r\nx\r\n--XX--`,
  'no parts': '--XX--\r\n',
  'parts without content': `--XX\r\n${field}\r\n\r\n--XX\r\n${field}\r\n\r\n\r\n--XX--`,
};

test('a form is read the same at every cut, and in single bytes', () => {
  for (const [name, body] of Object.entries(bodies)) {
    const whole = parse(body);
    assert.not.type(whole, 'string', name);
    const length = Buffer.byteLength(body);
    for (let cut = 0; cut <= length; cut += 1) {
      assert.equal(parse(body, [cut]), whole, `${name}, cut at ${cut}`);
      assert.equal(
        parse(body, [cut, Math.min(cut + 3, length)]),
        whole,
        `${name}, piece at ${cut}`,
      );
    }
    const each = Array.from({ length: length - 1 }, (_, at) => at + 1);
    assert.equal(parse(body, each), whole, `${name}, in single bytes`);
  }
});

test('the content is what stands between the delimiters, byte for byte', () => {
  assert.equal(parse(bodies['a form'] as string), [
    { name: 'text', filename: null, type: 'text/plain', content: 'one\r\ntwo' },
    {
      name: 'file',
      filename: 'é.txt',
      type: 'text/x; charset=utf-8',
      content: '\r\n--X\r\n--XY\r\n-\r\r\n--\r',
    },
    { name: 'a', filename: null, type: 'text/plain', content: '' },
  ]);
  const counts = Object.entries(bodies).map(([name, body]) => [name, parse(body).length]);
  assert.equal(Object.fromEntries(counts), {
    'a form': 3,
    'preamble and epilogue': 1,
    'blanks behind the boundaries': 2,
    'no line end at the end': 1,
    'no parts': 0,
    'parts without content': 2,
  });
});

test('random bytes come out as they went in, whatever the cuts', () => {
  let seed = 12345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  for (let round = 0; round < 300; round += 1) {
    // Mostly of what delimiters are made of.
    const content = Buffer.from(
      Array.from({ length: random(60) }, () => '\r\n-XYZ'.charCodeAt(random(6))),
    );
    if (`\r\n${content.toString()}\r\n`.includes('\r\n--XX')) continue;
    const body = Buffer.concat([
      Buffer.from(`--XX\r\n${field}\r\n\r\n`),
      content,
      Buffer.from('\r\n--XX--'),
    ]);
    const cuts = Array.from({ length: random(5) }, () => random(body.length)).sort((a, b) => a - b);
    assert.equal(parse(body, cuts), [
      { name: 'a', filename: null, type: 'text/plain', content: content.toString('latin1') },
    ]);
  }
});

test('bodies that were damaged at random are read the same at every cut', () => {
  let seed = 99;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  const pieces = [
    '\r',
    '\n',
    '-',
    '--',
    '\r\n',
    '--XX',
    '\r\n--XX',
    ' ',
    ':',
    ';',
    '"',
    '\\',
    '\0',
    'é',
  ];
  const outcomes = new Set<string>();
  for (let round = 0; round < 3000; round += 1) {
    let body = Object.values(bodies)[random(Object.keys(bodies).length)] as string;
    for (let damage = 1 + random(3); damage > 0; damage -= 1) {
      const at = random(body.length);
      body = body.slice(0, at) + pieces[random(pieces.length)] + body.slice(at + random(4));
    }
    const whole = parse(body);
    outcomes.add(typeof whole === 'string' ? whole : 'read');
    const length = Buffer.byteLength(body);
    const cuts = Array.from({ length: 1 + random(6) }, () => random(length)).sort((a, b) => a - b);
    assert.equal(parse(body, cuts), whole, JSON.stringify({ body, cuts }));
  }
  assert.ok(outcomes.size > 5, 'the damage had many outcomes');
});

test('Content-Disposition as browsers, curl, .NET and others write it', () => {
  const expected: Record<string, [string, string | null]> = {
    'form-data; name="a"': ['a', null],
    'form-data; name=a': ['a', null],
    'Form-Data;NAME="a"': ['a', null],
    'form-data ; name = "a" ; filename = "b" ;': ['a', 'b'],
    'form-data;\tname=a;filename=b.txt': ['a', 'b.txt'],
    'form-data; filename="b"; name="a"': ['a', 'b'],
    'form-data; name="a"; filename=""': ['a', ''],
    'form-data; name=""': ['', null],
    'form-data; name="a;b"; filename="c=d;e"': ['a;b', 'c=d;e'],
    'form-data; name="a\\"b"; filename="c\\"d\\\\e"': ['a"b', 'c"d\\e'],
    'form-data; name="a%22b%0D%0A%25"; filename="c%22d%0a"': ['a"b\r\n%25', 'c"d\n'],
    'form-data; name=a%22; filename=b': ['a%22', 'b'],
    'form-data; name="a"; filename="C:\\dir\\b.txt"': ['a', 'C:\\dir\\b.txt'],
    'form-data; name="a"; filename="C:\\dir\\"': ['a', 'C:\\dir\\'],
    'form-data; filename="dir\\"; name="a"': ['a', 'dir\\'],
    'form-data; name="a"; filename="é🦅.txt"': ['a', 'é🦅.txt'],
    // The last byte of it is what Latin-1 has for a blank.
    'form-data; name=à ; filename=à': ['à', 'à'],
    // .NET sends both, the plain one in a form that only mail knows.
    'form-data; name=a; filename="=?utf-8?B?w6k=?="; filename*=utf-8\'\'%C3%A9.txt': ['a', 'é.txt'],
    "form-data; name=a; filename*=UTF-8'en'b%20c; filename=b": ['a', 'b c'],
    "form-data; name=a; filename*=iso-8859-1''%E9": ['a', 'é'],
    "form-data; name=a; filename=b; filename*=x-unknown''%E9": ['a', 'b'],
    'form-data; name=a; filename=b; filename*=nonsense': ['a', 'b'],
    'form-data; name="a"; filename="../../etc/passwd"': ['a', '../../etc/passwd'],
  };
  for (const [disposition, names] of Object.entries(expected)) {
    assert.equal(nameOf(disposition), names, disposition);
  }
});

test('what two readers would take differently is refused', () => {
  const refused = [
    'form-data',
    'form-data; filename="b"',
    'attachment; name="a"',
    'form-data; name="a"; name="b"',
    'form-data; name="a"; filename="b"; filename="c"',
    'form-data; name="a',
    'form-data; name="a"b',
    'form-data; name',
    'form-data; na me="a"',
    'form-data; ; name="a"',
  ];
  for (const disposition of refused) {
    assert.match(String(nameOf(disposition)), /^400 .*\[GYR_MULTIPART_INVALID\]$/, disposition);
  }
});

test('a malformed body is refused, at every cut', () => {
  const refused: Readonly<Record<string, string>> = {
    nothing: '',
    'no boundary': 'a=b',
    'an end that is missing': `--XX\r\n${field}\r\n\r\nx\r\n`,
    'an end that is half there': `--XX\r\n${field}\r\n\r\nx\r\n--XX-`,
    'a head that does not end': `--XX\r\n${field}\r\n`,
    'a part without a head': '--XX\r\n\r\nx\r\n--XX--',
    'a boundary that goes on': `--XX\r\n${field}\r\n\r\nx\r\n--XXY\r\n--XX--`,
    'a dash behind a boundary': `--XX\r\n${field}\r\n\r\nx\r\n--XX-y\r\n--XX--`,
    'blanks and dashes behind a boundary': `--XX\r\n${field}\r\n\r\nx\r\n--XX --\r\n`,
    'a bare CR behind a boundary': `--XX\rx${field}\r\n\r\nx\r\n--XX--`,
    'a bare LF in a head': `--XX\r\n${field}\nX: y\r\n\r\nx\r\n--XX--`,
    'a bare LF behind a boundary': `--XX\n${field}\r\n\r\nx\r\n--XX--`,
    'a folded line': `--XX\r\n${field};\r\n filename="b"\r\n\r\nx\r\n--XX--`,
    'a line without a colon': `--XX\r\n${field}\r\nX\r\n\r\nx\r\n--XX--`,
    'a blank before a colon': `--XX\r\nContent-Disposition : form-data; name="a"\r\n\r\nx\r\n--XX--`,
    'a NUL in a field': `--XX\r\nContent-Disposition: form-data; name="a\0"\r\n\r\nx\r\n--XX--`,
    'two dispositions': `--XX\r\n${field}\r\n${field}\r\n\r\nx\r\n--XX--`,
    'two types': `--XX\r\n${field}\r\nContent-Type: a/b\r\nContent-Type: a/c\r\n\r\nx\r\n--XX--`,
    'a nested form as if it were of this one': `--XX\r\nContent-Type: multipart/mixed; boundary=YY\r\n\r\n--YY\r\n${field}\r\n\r\nx\r\n--YY--\r\n--XX--`,
  };
  for (const [name, body] of Object.entries(refused)) {
    const whole = parse(body);
    assert.match(String(whole), /^400 .*\[GYR_MULTIPART_INVALID\]$/, name);
    for (let cut = 0; cut <= body.length; cut += 1) {
      assert.is(parse(body, [cut]), whole, `${name}, cut at ${cut}`);
    }
  }
});

test('a nested form is content', () => {
  const nested = `--YY\r\n${field}\r\n\r\nx\r\n--YY--`;
  const parts = parse(
    `--XX\r\n${field}\r\nContent-Type: multipart/mixed; boundary=YY\r\n\r\n${nested}\r\n--XX--`,
  );
  assert.equal(parts, [
    { name: 'a', filename: null, type: 'multipart/mixed; boundary=YY', content: nested },
  ]);
});

test('a boundary has 1 to 70 visible characters', () => {
  const message = (boundary: string): string => {
    try {
      new MultipartParser(boundary, limits);
      return 'taken';
    } catch (error) {
      return (error as MultipartError).code;
    }
  };
  for (const boundary of ['a', 'a'.repeat(70), "'()+_,-./:=? x", '----WebKitFormBoundaryE19z']) {
    assert.is(message(boundary), 'taken', boundary);
  }
  for (const boundary of ['', 'a'.repeat(71), 'a ', 'é', 'a\r\nb']) {
    assert.is(message(boundary), 'GYR_MULTIPART_INVALID', JSON.stringify(boundary));
  }
});

test('a head has a bound that no cut moves', () => {
  const bounds = { maxParts: 9, maxHeadBytes: 100 };
  const body = (extra: number): string =>
    `--XX\r\n${field}\r\nX: ${'x'.repeat(100 - field.length - 5 + extra)}\r\n\r\nx\r\n--XX--`;
  for (let cut = 0; cut <= body(0).length; cut += 1) {
    assert.is(parse(body(0), [cut], bounds).length, 1, `cut at ${cut}`);
    assert.match(String(parse(body(1), [cut], bounds)), /^413 .*maxHeadBytes.*LIMIT/);
  }
  const many = `--XX\r\n${field}\r\n${'X: y\r\n'.repeat(32)}\r\nx\r\n--XX--`;
  assert.match(String(parse(many)), /^400 A part has over 32 fields/);
});

test('parts have a bound', () => {
  const part = `--XX\r\n${field}\r\n\r\nx\r\n`;
  assert.is(parse(`${part.repeat(9)}--XX--`, [], { maxParts: 9, maxHeadBytes: 100 }).length, 9);
  const more = parse(`${part.repeat(10)}--XX--`, [], { maxParts: 9, maxHeadBytes: 100 });
  assert.match(String(more), /^413 .*over 9 parts.*maxParts.*LIMIT/);
});

/** Milliseconds of CPU that it takes to parse `length` bytes of a repeated pattern as a part's content. */
function cost(pattern: string, length: number, pieceLength: number): number {
  const parser = new MultipartParser(`${'x'.repeat(69)}y`, { maxParts: 1e9, maxHeadBytes: 16384 });
  parser.push(Buffer.from(`--${'x'.repeat(69)}y\r\n${field}\r\n\r\n`));
  while (parser.next() !== null);
  const piece = Buffer.alloc(pieceLength, pattern);
  const before = process.cpuUsage();
  for (let at = 0; at < length; at += pieceLength) {
    parser.push(piece);
    while (parser.next() !== null);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

test('hostile content costs no more than so much a byte', () => {
  const begun = `\r\n--${'x'.repeat(69)}`;
  for (const pattern of [
    'a',
    '\r',
    '\r\n',
    '\r\n--',
    '-',
    'x',
    begun,
    begun.slice(1),
    `${begun}z`,
  ]) {
    const spent = cost(pattern, 16 * 1024 * 1024, 65536);
    assert.ok(spent < 2000, `16 MiB of ${JSON.stringify(pattern)}: ${spent.toFixed(0)} ms`);
  }
  // In single bytes it is the calls that cost.
  const spent = cost(begun, 100_000, 1);
  assert.ok(spent < 2000, `100000 single bytes: ${spent.toFixed(0)} ms`);
});

test('hostile heads cost no more than so much a byte', () => {
  const long = (piece: string): string => piece.repeat(Math.floor(15_000 / piece.length));
  const heads = [
    `${field}\r\nX: a${long(' ')}b`,
    `${field}\r\nX:${long('\t ')}b`,
    `Content-Disposition: form-data${long(' ')}; name="a"`,
    `Content-Disposition: form-data; name=a${long(' ')}b`,
    `Content-Disposition: form-data; name="${long('\\')}"`,
    `Content-Disposition: form-data; name="${long('\\"')}`,
    `Content-Disposition: form-data; name="${long('%22')}"`,
    `Content-Disposition: form-data; name=a; filename*=utf-8''${long('%41')}'`,
    `Content-Disposition: form-data; name=a${long(';')}`,
    `Content-Disposition: form-data; name=a; ${long('x')}`,
    `Content-Disposition: form-data; ${long('a=b; ')}`,
    long('X\r\n'),
    long('\r\r\n'),
  ];
  for (const head of heads) {
    const before = process.cpuUsage();
    for (let count = 0; count < 100; count += 1) parse(`--XX\r\n${head}\r\n\r\n\r\n--XX--`);
    const { user, system } = process.cpuUsage(before);
    const spent = (user + system) / 1000;
    assert.ok(spent < 1000, `100 heads of ${JSON.stringify(head.slice(0, 60))}…: ${spent} ms`);
  }
});

test('heads in single bytes cost no more than so much a byte', () => {
  const parser = new MultipartParser('XX', limits);
  const body = Buffer.from(
    `--XX\r\n${field}\r\nX: ${'x'.repeat(16000)}\r\n\r\nx\r\n`.repeat(20).concat('--XX--'),
  );
  const before = process.cpuUsage();
  for (let at = 0; at < body.length; at += 1) {
    parser.push(body.subarray(at, at + 1));
    while (parser.next() !== null);
  }
  parser.finish();
  const { user, system } = process.cpuUsage(before);
  assert.ok((user + system) / 1000 < 3000, `${(user + system) / 1000} ms`);
});

test.run();
