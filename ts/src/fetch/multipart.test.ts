import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../../tests/support/wait.ts';
import {
  type FormOptions,
  formDefaults,
  type MultipartLimits,
  multipart,
  type Part,
} from './multipart.ts';
import { MultipartError } from './multipart_error.ts';
import { Request } from './request.ts';
import { Response } from './response.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const test = suite<{ folder: string }>('multipart', { folder: '' });

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-multipart-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true }));

const type = 'multipart/form-data; boundary=XX';

interface Sent {
  name: string;
  filename?: string;
  content: string;
}

function bodyOf(parts: readonly Sent[]): string {
  const texts = parts.map(({ name, filename, content }) => {
    const file = filename === undefined ? '' : `; filename="${filename}"\r\nContent-Type: a/b`;
    return `--XX\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${content}\r\n`;
  });
  return `${texts.join('')}--XX--\r\n`;
}

/** A request whose body comes in pieces of so many bytes; `asked` counts those that were asked for. */
function requestOf(
  body: string,
  size = 7,
): { request: Request; asked: () => number; cancelled: () => boolean } {
  const bytes = Buffer.from(body);
  let at = 0;
  let wasCancelled = false;
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (at >= bytes.length) controller.close();
        else controller.enqueue(new Uint8Array(bytes.subarray(at, at + size)));
        at += size;
      },
      cancel() {
        wasCancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  const headers = { 'content-type': type };
  const init = { method: 'POST', body: stream, headers, duplex: 'half' } as const;
  return {
    request: new Request('http://localhost/', init),
    asked: () => Math.min(at, bytes.length),
    cancelled: () => wasCancelled,
  };
}

async function failure(read: () => Promise<unknown>): Promise<MultipartError> {
  try {
    await read();
  } catch (error) {
    assert.instance(error, MultipartError, String(error));
    return error as MultipartError;
  }
  throw new Error('nothing failed');
}

async function entries(form: FormData): Promise<unknown[]> {
  const read: unknown[] = [];
  for (const [name, value] of form) {
    if (typeof value === 'string') read.push([name, value]);
    else read.push([name, value.name, value.type, value.size, await value.text()]);
  }
  return read;
}

const sample: Sent[] = [
  { name: 'a', content: 'é' },
  { name: 'f', filename: 'small', content: 'x'.repeat(10) },
  { name: 'f', filename: 'large', content: 'y'.repeat(100) },
  { name: 'f', filename: 'last', content: 'z'.repeat(5) },
  { name: 'a', content: '' },
];

test('a form has its fields and files, in memory and on disk, however it comes', async ({
  folder,
}) => {
  const expected = [
    ['a', 'é'],
    ['f', 'small', 'a/b', 10, 'x'.repeat(10)],
    ['f', 'large', 'a/b', 100, 'y'.repeat(100)],
    ['f', 'last', 'a/b', 5, 'z'.repeat(5)],
    ['a', ''],
  ];
  for (const memoryBytes of [0, 12, 15, 1000]) {
    for (const size of [1, 7, 10_000]) {
      const options = { memoryBytes, directory: folder };
      const form = await requestOf(bodyOf(sample), size).request.formData(options);
      assert.equal(await entries(form), expected, `${memoryBytes} in memory, pieces of ${size}`);
    }
  }
  const whole = new Request('http://localhost/', {
    method: 'POST',
    body: bodyOf(sample),
    headers: { 'content-type': type },
  });
  assert.equal(await entries(await whole.formData()), expected);
});

test('files that do not fit are on disk, the others are not', async ({ folder }) => {
  const { request } = requestOf(bodyOf(sample));
  const form = await request.formData({ memoryBytes: 15, directory: folder });
  assert.is(readdirSync(folder).length, 1);
  assert.is(form.getAll('f').length, 3);
});

test('a file on disk is a File like any other', async ({ folder }) => {
  const { request } = requestOf(bodyOf(sample));
  const form = await request.formData({ memoryBytes: 0, directory: folder });
  const file = form.getAll('f')[1] as File;
  assert.instance(file, File);
  assert.is(file.constructor.name, 'File');
  assert.is(Object.prototype.toString.call(file), '[object File]');
  assert.is(await file.slice(1, 3).text(), 'yy');
  assert.is(await file.slice(1, 30).slice(2, 5).text(), 'yyy');
  assert.is((await file.arrayBuffer()).byteLength, 100);
  assert.is(await new Blob([file, '!']).text(), `${'y'.repeat(100)}!`);
  assert.is(await new File([file], 'other').text(), 'y'.repeat(100));
  assert.is(await new Response(file).text(), 'y'.repeat(100));
  let streamed = '';
  for await (const chunk of file.stream()) streamed += Buffer.from(chunk).toString();
  assert.is(streamed, 'y'.repeat(100));
  const again = new FormData();
  again.append('again', file);
  assert.equal(await entries(await new Response(again).formData()), [
    ['again', 'large', 'a/b', 100, 'y'.repeat(100)],
  ]);
});

test('a file on disk is removed when nothing of it is in use', async ({ folder }) => {
  const kept = await (async () => {
    const { request } = requestOf(bodyOf(sample));
    const form = await request.formData({ memoryBytes: 0, directory: folder });
    const [first, second] = form.getAll('f') as File[];
    const of: { slice?: Blob | undefined; stream?: ReadableStream<Uint8Array> | undefined } = {
      slice: first?.slice(0, 4),
      stream: second?.stream(),
    };
    return of;
  })();
  assert.is(readdirSync(folder).length, 3);
  await until(() => {
    collectGarbage();
    return readdirSync(folder).length === 2;
  }, 'the removal of the file that nothing is left of');
  assert.is(await kept.slice?.text(), 'xxxx');
  let streamed = 0;
  for await (const chunk of kept.stream as ReadableStream<Uint8Array>) streamed += chunk.length;
  assert.is(streamed, 100);
  kept.slice = undefined;
  kept.stream = undefined;
  await until(() => {
    collectGarbage();
    return readdirSync(folder).length === 0;
  }, 'the removal of all files');
});

test('limits are refused with 413 and the option, and leave nothing behind', async ({ folder }) => {
  const cases: [FormOptions, RegExp][] = [
    [{ maxParts: 4 }, /over 4 parts .*maxParts/],
    [{ maxFieldBytes: 1 }, /field .* over 1 bytes .*maxFieldBytes/],
    [{ maxFieldsBytes: 1 }, /fields .* over 1 bytes .*maxFieldsBytes/],
    [{ maxFileBytes: 99 }, /file .* over 99 bytes .*maxFileBytes/],
    [{ maxBytes: 300 }, /body has over 300 bytes .*maxBytes/],
    [{ maxHeadBytes: 40 }, /over 40 bytes .*maxHeadBytes/],
  ];
  for (const [limits, message] of cases) {
    const { request, cancelled } = requestOf(bodyOf(sample));
    const options = { memoryBytes: 0, directory: folder, ...limits };
    const error = await failure(() => request.formData(options));
    assert.equal([error.code, error.status], ['GYR_MULTIPART_LIMIT', 413], String(message));
    assert.match(error.message, message);
    assert.is(cancelled(), true, 'the rest is not asked for');
    assert.is(request.bodyUsed, true);
    await until(() => {
      collectGarbage(); // of those that were whole when it failed
      return readdirSync(folder).length === 0;
    }, 'an empty folder');
  }
  const exact = { maxParts: 5, maxFieldBytes: 2, maxFieldsBytes: 2, maxFileBytes: 100 };
  const { request } = requestOf(bodyOf(sample));
  assert.is([...(await request.formData(exact))].length, 5);
});

test('limits hold for a form that is not in parts, and its fields are counted before they are read', async () => {
  const formOf = (body: string) =>
    new Request('http://localhost/', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
  const cases: [FormOptions, RegExp][] = [
    [{ maxParts: 2 }, /over 2 fields .*maxParts/],
    [{ maxFieldBytes: 2 }, /field .* over 2 bytes .*maxFieldBytes/],
    [{ maxFieldsBytes: 3 }, /fields .* over 3 bytes .*maxFieldsBytes/],
    [{ maxBytes: 15 }, /form has over 15 bytes .*maxBytes/],
  ];
  const text = '&a=1&&b=%C3%A9!&c'; // 17 bytes, of which values have 4
  for (const [limits, message] of cases) {
    const error = await failure(() => formOf(text).formData(limits));
    assert.equal([error.code, error.status], ['GYR_MULTIPART_LIMIT', 413], String(message));
    assert.match(error.message, message);
  }
  const exact = { maxParts: 3, maxFieldBytes: 3, maxFieldsBytes: 4, maxBytes: 17 };
  assert.equal(await entries(await formOf(text).formData(exact)), [
    ['a', '1'],
    ['b', 'é!'],
    ['c', ''],
  ]);
  const error = await failure(() => formOf('a&'.repeat(1001)).formData());
  assert.match(error.message, /over 1000 fields/);
  assert.is([...(await formOf('a&'.repeat(1000)).formData())].length, 1000);
  const response = new Response(new URLSearchParams('a&'.repeat(2000)));
  assert.is([...(await response.formData())].length, 2000);
});

test('what is malformed is refused with 400, and the rest is not asked for', async () => {
  const { request, asked, cancelled } = requestOf(`--XX\r\nnonsense\r\n\r\n${'x'.repeat(1000)}`);
  const error = await failure(() => request.formData());
  assert.equal([error.code, error.status], ['GYR_MULTIPART_INVALID', 400]);
  assert.instance(error, TypeError);
  assert.ok(asked() < 100);
  assert.ok(cancelled());
  const response = error.getResponse();
  assert.equal(
    [response.status, await response.text()],
    [400, '400 Bad Request: GYR_MULTIPART_INVALID\n'],
  );
});

test('a folder that cannot be written to is told by the system', async ({ folder }) => {
  const { request, cancelled } = requestOf(bodyOf(sample));
  const options = { memoryBytes: 0, directory: join(folder, 'gone') };
  try {
    await request.formData(options);
    assert.unreachable();
  } catch (error) {
    assert.is((error as NodeJS.ErrnoException).code, 'ENOENT');
  }
  assert.ok(cancelled());
});

test('options are checked by name and value', async () => {
  const wrong: [object, string][] = [
    [{ maxPart: 1 }, 'GYR_OPTION_UNKNOWN'],
    [{ maxParts: -1 }, 'GYR_OPTION_INVALID'],
    [{ maxParts: '1' }, 'GYR_OPTION_INVALID'],
    [{ toString: 1 }, 'GYR_OPTION_UNKNOWN'],
    [{ maxBytes: Number.NaN }, 'GYR_OPTION_INVALID'],
    [{ directory: 1 }, 'GYR_OPTION_INVALID'],
  ];
  for (const [options, code] of wrong) {
    const { request } = requestOf(bodyOf(sample));
    try {
      await request.formData(options as FormOptions);
      assert.unreachable();
    } catch (error) {
      assert.is((error as { code?: string }).code, code, JSON.stringify(options));
    }
  }
});

test('an option that is undefined leaves the one that was given before', async () => {
  const message = {
    headers: new Headers({ 'content-type': type }),
    body: new Blob([bodyOf(sample)]).stream(),
    [formDefaults]: { maxParts: 4 },
  };
  const error = await failure(async () => {
    for await (const part of multipart(message, { maxParts: undefined } as object))
      await part.text();
  });
  assert.match(error.message, /over 4 parts/);
});

test('parts come one after the other, with what they say of themselves', async () => {
  const { request } = requestOf(bodyOf(sample));
  const seen: unknown[] = [];
  for await (const part of multipart(request)) {
    const { name, filename, headers } = part;
    const { length } = await part.bytes();
    seen.push([name, filename, part.type, headers.get('content-type'), length]);
  }
  assert.equal(seen, [
    ['a', null, 'text/plain', null, 2],
    ['f', 'small', 'a/b', 'a/b', 10],
    ['f', 'large', 'a/b', 'a/b', 100],
    ['f', 'last', 'a/b', 'a/b', 5],
    ['a', null, 'text/plain', null, 0],
  ]);
});

test('a part is read as text, as a stream, or not at all', async () => {
  const { request } = requestOf(bodyOf(sample));
  const texts: string[] = [];
  for await (const part of multipart(request)) {
    if (part.filename === 'large') {
      let text = '';
      for await (const chunk of part.stream()) text += Buffer.from(chunk).toString();
      texts.push(text);
    } else if (part.filename !== 'small') {
      texts.push(await part.text());
    }
  }
  assert.equal(texts, ['é', 'y'.repeat(100), 'zzzzz', '']);
});

test('nothing is asked of the client before somebody wants it', async () => {
  const content = 'x'.repeat(100_000);
  const { request, asked, cancelled } = requestOf(
    bodyOf([{ name: 'a', filename: 'b', content }]),
    100,
  );
  const parts = multipart(request);
  assert.is(asked(), 0);
  const { value } = await parts.next();
  const reader = (value as Part).stream().getReader();
  await reader.read();
  assert.ok(asked() < 1000, `${asked()} bytes were asked for`);
  await parts.return();
  assert.ok(cancelled());
  assert.ok(asked() < 1000);
});

test('a stream that is cancelled skips the rest of its part', async () => {
  const { request } = requestOf(bodyOf(sample));
  const names: string[] = [];
  for await (const part of multipart(request)) {
    names.push(part.name);
    const reader = part.stream().getReader();
    await reader.read();
    await reader.cancel();
  }
  assert.equal(names, ['a', 'f', 'f', 'f', 'a']);
});

test('a part that was passed, or read twice, is refused', async () => {
  const { request } = requestOf(bodyOf(sample));
  const parts = multipart(request);
  const first = (await parts.next()).value as Part;
  const second = (await parts.next()).value as Part;
  assert.is(await second.text(), 'x'.repeat(10));
  for (const part of [first, second]) {
    try {
      await part.text();
      assert.unreachable();
    } catch (error) {
      assert.instance(error, TypeError);
      assert.match((error as Error).message, /^multipart: the part (was passed|has been read)/);
    }
  }
});

test('limits hold for parts that nobody reads', async () => {
  const read = async (options: MultipartLimits): Promise<number> => {
    let count = 0;
    for await (const _ of multipart(requestOf(bodyOf(sample)).request, options)) count += 1;
    return count;
  };
  assert.is(await read({}), 5);
  assert.is((await failure(() => read({ maxFileBytes: 99 }))).status, 413);
  assert.is((await failure(() => read({ maxParts: 4 }))).status, 413);
  assert.is((await failure(() => read({ maxBytes: 100 }))).status, 413);
});

test('a failure of the body reaches whoever reads, and those after', async () => {
  let pulls = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulls += 1;
      if (pulls > 1) controller.error(new Error('the client has left'));
      else controller.enqueue(new Uint8Array(Buffer.from(bodyOf(sample).slice(0, 150))));
    },
  });
  const headers = { 'content-type': type };
  const init = { method: 'POST', body: stream, headers, duplex: 'half' } as const;
  const parts = multipart(new Request('http://localhost/', init));
  await parts.next();
  const file = (await parts.next()).value as Part;
  for (const step of [() => file.bytes(), () => parts.next()]) {
    try {
      await step();
      assert.unreachable();
    } catch (error) {
      assert.is((error as Error).message, 'the client has left');
    }
  }
});

test('what is no form is refused', async () => {
  for (const contentType of ['text/plain', 'multipart/mixed; boundary=XX', 'multipart/form-data']) {
    const init = { method: 'POST', body: bodyOf(sample), headers: { 'content-type': contentType } };
    const request = new Request('http://localhost/', init);
    const error = await failure(() => multipart(request).next());
    assert.is(error.code, 'GYR_MULTIPART_INVALID', contentType);
  }
});

test('a message of the platform has parts too', async () => {
  const form = new FormData();
  form.append('a"\r\nb', 'c');
  form.append('f', new File(['d'], 'e"\n.txt', { type: 'x/y' }));
  const seen: unknown[] = [];
  for await (const part of multipart(new globalThis.Response(form))) {
    seen.push([part.name, part.filename, part.type, await part.text()]);
  }
  assert.equal(seen, [
    ['a"\r\nb', null, 'text/plain', 'c'],
    ['f', 'e"\n.txt', 'x/y', 'd'],
  ]);
});

test('a folder of the process’s own is made for files, and nobody else may look', async () => {
  const before = new Set(readdirSync(tmpdir()));
  const form = await requestOf(bodyOf(sample)).request.formData({ memoryBytes: 0 });
  const made = readdirSync(tmpdir()).filter(
    (name) => !before.has(name) && name.startsWith(`gyrfalcon-${process.pid}-`),
  );
  assert.is(made.length, 1);
  assert.ok(existsSync(join(tmpdir(), made[0] as string)));
  assert.is(form.getAll('f').length, 3);
});

test.run();
