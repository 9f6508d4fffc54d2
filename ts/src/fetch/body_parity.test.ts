import { test } from 'uvu';
import { type Api, type Case, compare } from '../../../tests/support/parity.ts';

type Any = InstanceType<Api['Response']>;
type Message = Any | InstanceType<Api['Request']>;

const encode = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text));

/** A stream of these chunks, given when pulled. */
function streamOf(...chunks: unknown[]): ReadableStream<Uint8Array> {
  let next = 0;
  return new ReadableStream({
    pull(controller) {
      if (next === chunks.length) controller.close();
      else controller.enqueue(chunks[next++] as Uint8Array);
    },
  });
}

async function* generate(...chunks: unknown[]): AsyncGenerator<unknown> {
  yield* chunks;
}

function failing(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull(controller) {
      controller.error(new RangeError('broken'));
    },
  });
}

function view(): unknown {
  const buffer = encode('..view..').buffer;
  return new DataView(buffer, 2, 4);
}

/** Every kind of body, each made anew for every case. */
const kinds: Record<string, () => unknown> = {
  null: () => null,
  'empty text': () => '',
  text: () => 'Grüße, \u{1f985}',
  'text with a byte order mark': () => '\ufefftext',
  'text with a lone surrogate': () => 'a\ud800b',
  'long text': () => 'é'.repeat(5000),
  bytes: () => encode('bytes é'),
  'bytes that are no UTF-8': () => new Uint8Array([0x61, 0xff, 0xc3, 0x28, 0xe2, 0x82]),
  'bytes with a byte order mark': () => new Uint8Array([0xef, 0xbb, 0xbf, 0x61]),
  'empty bytes': () => new Uint8Array(0),
  'many bytes': () => new Uint8Array(70_000).fill(0x62),
  'an ArrayBuffer': () => encode('buffer').buffer,
  'a DataView': view,
  'a Uint16Array': () => new Uint16Array([0x6161, 0x6262]),
  'a Buffer of the pool': () => Buffer.from('pooled'),
  'a Blob': () => new Blob(['blob ', 'é'], { type: 'text/x' }),
  URLSearchParams: () =>
    new URLSearchParams([
      ['a b', 'c&d'],
      ['é', '1'],
    ]),
  'a stream': () => streamOf(encode('one '), encode('two')),
  'an empty stream': () => streamOf(),
  'a stream of text chunks': () => streamOf('text'),
  'a stream that fails': failing,
  'a stream of JSON': () => streamOf(encode('{"a"'), encode(':1}')),
  'an async generator': () => generate(encode('gen'), encode('erated')),
  'a String object': () => new String('object'),
  'JSON text': () => '{"a":[1,2]}',
};

const make: Record<string, (api: Api, body: unknown) => Message> = {
  Response: ({ Response }, body) => new Response(body as never),
  Request: ({ Request }, body) =>
    new Request('http://a/', { method: 'POST', body, duplex: 'half' } as never),
};

async function settle<T>(promise: Promise<T>): Promise<T | string> {
  try {
    return await promise;
  } catch (error) {
    return `rejects ${(error as Error).constructor.name}`;
  }
}

async function blobOf(message: Message): Promise<unknown> {
  const blob = await message.blob();
  return [blob.type, blob.size, await blob.text()];
}

async function drain(message: Message): Promise<unknown> {
  if (message.body === null) return null;
  const chunks: Uint8Array[] = [];
  for await (const chunk of message.body) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks).toString('latin1');
}

async function readByob(message: Message): Promise<unknown> {
  const reader = (message.body as ReadableStream).getReader({ mode: 'byob' });
  const all: number[] = [];
  for (;;) {
    const { done, value } = await reader.read(new Uint8Array(4));
    if (done) return all;
    all.push(...value);
  }
}

const readers: Record<string, (message: Message) => Promise<unknown>> = {
  text: (m) => m.text(),
  json: (m) => m.json(),
  arrayBuffer: async (m) => [...new Uint8Array(await m.arrayBuffer())].length,
  bytes: async (m) => Buffer.from(await m.bytes()).toString('latin1'),
  blob: blobOf,
  'body, chunk by chunk': drain,
};

function crossed(): Case[] {
  const cases: Case[] = [];
  for (const [owner, construct] of Object.entries(make)) {
    for (const [kind, body] of Object.entries(kinds)) {
      for (const [method, read] of Object.entries(readers)) {
        cases.push({
          name: `${owner} of ${kind}: ${method}, then used`,
          run: async (api) => {
            const message = construct(api, body());
            const before = message.bodyUsed;
            const value = await settle(read(message));
            return [before, value, message.bodyUsed, message.body?.locked];
          },
        });
      }
    }
  }
  return cases;
}

function perKind(name: string, run: (api: Api, body: unknown) => unknown): Case[] {
  return Object.entries(kinds).map(([kind, body]) => ({
    name: `${name}: ${kind}`,
    run: (api) => run(api, body()),
  }));
}

const text = (api: Api, body: unknown = 'x'): Any => new api.Response(body as never);

const formText = 'a=1&b=%C3%A9+x&a=2&%FF=%zz&=e&?q=1';
const multipart = [
  '--XX',
  'Content-Disposition: form-data; name="a"',
  '',
  'one\r\ntwo',
  '--XX',
  'Content-Disposition: form-data; name="f"; filename="é.txt"',
  'Content-Type: text/x',
  '',
  'file',
  '--XX--',
  '',
].join('\r\n');

async function entriesOf(form: FormData): Promise<unknown> {
  const entries: unknown[] = [];
  for (const [name, value] of form) {
    if (typeof value === 'string') entries.push([name, value]);
    else entries.push([name, value.name, value.type, await value.text()]);
  }
  return entries;
}

function formOf(name: string, body: unknown, type: string | null): Case {
  return {
    name: `formData: ${name}`,
    run: async ({ Response }) => {
      const headers: Record<string, string> = type === null ? {} : { 'content-type': type };
      const response = new Response(body as never, { headers });
      if (type === null) response.headers.delete('content-type');
      return entriesOf((await response.formData()) as FormData);
    },
  };
}

function sampleForm(): FormData {
  const form = new FormData();
  form.append('plain', 'text');
  form.append('na"me\r\n', 'line\nline\rline\r\n');
  form.append('file', new File(['data'], 'a"b.txt', { type: 'text/x' }));
  form.append('blob', new Blob([new Uint8Array([1, 2, 255])]));
  return form;
}

/** A TypeError with a code and a status. */
const multipartError = {
  because: 'the error is of a class of its own, below TypeError',
  value: 'throws MultipartError',
};

const formCases: Case[] = [
  formOf('urlencoded', formText, 'application/x-www-form-urlencoded'),
  formOf('urlencoded with charset', 'a=1', 'Application/X-WWW-Form-Urlencoded; charset=utf-8'),
  formOf('multipart', multipart, 'multipart/form-data; boundary=XX'),
  formOf('multipart, quoted boundary', multipart, 'multipart/form-data; boundary="XX"'),
  {
    ...formOf('multipart without boundary', multipart, 'multipart/form-data'),
    instead: multipartError,
  },
  {
    ...formOf('multipart that is cut', multipart.slice(0, 60), 'multipart/form-data; boundary=XX'),
    instead: multipartError,
  },
  formOf('of text', 'a=1', 'text/plain'),
  formOf('without a type', 'a=1', null),
  formOf('empty urlencoded', '', 'application/x-www-form-urlencoded'),
  {
    name: 'formData: there and back',
    run: async ({ Response }) =>
      entriesOf((await new Response(sampleForm()).formData()) as FormData),
  },
  {
    name: 'formData: there and back, text alone',
    run: async ({ Request }) => {
      const form = new FormData();
      form.append('a', 'é');
      form.append('b', '');
      const request = new Request('http://a/', { method: 'POST', body: form });
      return entriesOf((await request.formData()) as FormData);
    },
  },
  {
    name: 'formData: the bytes of a form',
    run: async ({ Response }) => {
      const response = new Response(sampleForm());
      const type = response.headers.get('content-type') as string;
      const boundary = type.slice(type.indexOf('boundary=') + 9);
      return (await response.text()).replaceAll(boundary, 'BOUNDARY');
    },
  },
  {
    name: 'formData: of URLSearchParams',
    run: async ({ Response }) => {
      return entriesOf((await new Response(new URLSearchParams('a=1&a=2')).formData()) as FormData);
    },
  },
];

const blobTypes = [
  'text/html',
  'Text/HTML;Charset="UTF-8"',
  'bad',
  'a/b;c',
  'a/b; c=d ; c=e',
  'a/b, c/d',
];

const otherCases: Case[] = [
  {
    name: 'reading twice rejects',
    run: async (api) => {
      const response = text(api);
      return [await response.text(), await settle(response.json())];
    },
  },
  {
    name: 'a body of null can be read often',
    run: async (api) => {
      const response = text(api, null);
      return [await response.text(), await response.text(), response.bodyUsed];
    },
  },
  {
    name: 'JSON defects reject with SyntaxError and use the body',
    run: async (api) => {
      const response = text(api, '{');
      return [await settle(response.json()), response.bodyUsed];
    },
  },
  {
    name: 'a locked body cannot be read or cloned',
    run: async (api) => {
      const response = text(api);
      response.body?.getReader();
      const read = await settle(response.text());
      let clone = '';
      try {
        response.clone();
      } catch (error) {
        clone = (error as Error).constructor.name;
      }
      return [read, clone, response.bodyUsed];
    },
  },
  {
    name: 'a body that was locked and released can be read',
    run: async (api) => {
      const response = text(api);
      response.body?.getReader().releaseLock();
      return [response.bodyUsed, await response.text()];
    },
  },
  {
    name: 'a cancelled body is used',
    run: async (api) => {
      const response = text(api);
      await response.body?.cancel();
      return [response.bodyUsed, await settle(response.text())];
    },
  },
  {
    name: 'body is one stream',
    run: (api) => {
      const response = text(api);
      return [
        new Set([response.body, response.body]).size,
        response.body instanceof ReadableStream,
      ];
    },
  },
  {
    name: 'a given stream is the body itself',
    run: (api) => {
      const stream = streamOf(encode('x'));
      return text(api, stream).body === stream;
    },
  },
  {
    name: 'clone of a clone',
    run: async (api) => {
      const first = text(api, streamOf(encode('a'), encode('b')));
      const second = first.clone();
      const third = second.clone();
      return Promise.all([third.text(), first.text(), second.text()]);
    },
  },
  {
    name: 'bytes are copied when the response is made',
    run: async (api) => {
      const bytes = encode('before');
      const response = text(api, bytes);
      bytes.fill(0x78);
      return response.text();
    },
  },
  {
    name: 'the bytes of a clone are its own',
    run: async (api) => {
      const first = text(api, encode('abc'));
      const second = first.clone();
      new Uint8Array(await first.arrayBuffer()).fill(0);
      return second.text();
    },
  },
  {
    name: 'the body of one response in another',
    run: async (api) => {
      const first = text(api);
      const second = new api.Response(first.body);
      return [first.bodyUsed, await second.text(), first.bodyUsed, await settle(first.text())];
    },
  },
  {
    name: 'reading the first spoils the second that shares its stream',
    run: async (api) => {
      const first = text(api);
      const second = new api.Response(first.body);
      return [await first.text(), second.bodyUsed, await settle(second.text())];
    },
  },
  {
    name: 'the body of a request in a response',
    run: async (api) => {
      const request = new api.Request('http://a/', { method: 'POST', body: 'echo' });
      return [await new api.Response(request.body).text(), request.bodyUsed];
    },
  },
  {
    name: 'a stream that was read in part',
    run: async (api) => {
      const response = text(api, streamOf(encode('a'), encode('b')));
      const reader = response.body?.getReader();
      await reader?.read();
      reader?.releaseLock();
      return [response.bodyUsed, await settle(response.text())];
    },
  },
  { name: 'bring your own buffer: text', run: (api) => readByob(text(api, 'abcdefghij')) },
  { name: 'bring your own buffer: bytes', run: (api) => readByob(text(api, encode('abc'))) },
  { name: 'bring your own buffer: empty', run: (api) => readByob(text(api, '')) },
  {
    name: 'tee of the body',
    run: async (api) => {
      const [a, b] = (text(api).body as ReadableStream).tee();
      return [await text(api, a).text(), await text(api, b).text()];
    },
  },
  {
    name: 'body piped through a transform',
    run: (api) => {
      const upper = new TransformStream({
        transform(chunk, controller) {
          controller.enqueue(encode(Buffer.from(chunk).toString().toUpperCase()));
        },
      });
      return text(api, text(api, 'shout').body?.pipeThrough(upper)).text();
    },
  },
  {
    name: 'methods of the body reject for a wrong this',
    run: ({ Response }) => {
      const names = ['text', 'json', 'arrayBuffer', 'blob', 'formData'] as const;
      return Promise.all(names.map((n) => settle(Response.prototype[n].call({} as never))));
    },
  },
  ...blobTypes.map((type) => ({
    name: `blob of type ${type}`,
    run: async ({ Response }: Api) => {
      const response = new Response('x', { headers: { 'content-type': type } });
      return (await response.blob()).type;
    },
  })),
  {
    name: 'an async generator of text',
    run: (api) => text(api, generate('text')).text(),
  },
  {
    name: 'an async generator that throws',
    run: (api) =>
      text(
        api,
        (async function* () {
          yield encode('x');
          throw new RangeError('broken');
        })(),
      ).text(),
  },
  {
    name: 'cancelling the body of an async generator ends it',
    run: async (api) => {
      let ended = false;
      const response = text(
        api,
        (async function* () {
          try {
            for (;;) yield encode('x');
          } finally {
            ended = true;
          }
        })(),
      );
      const reader = (response.body as ReadableStream).getReader();
      await reader.read();
      await reader.cancel();
      return ended;
    },
  },
];

const bodyCases: Case[] = [
  ...crossed(),
  ...perKind('clone, both read', async (api, body) => {
    const first = text(api, body);
    const second = first.clone();
    return Promise.all([settle(second.text()), settle(first.text())]);
  }),
  ...perKind('body touched, then text', async (api, body) => {
    const response = text(api, body);
    const had = response.body !== null;
    return [had, await settle(response.text()), response.bodyUsed, response.body?.locked];
  }),
  ...perKind('body touched, then clone', async (api, body) => {
    const first = text(api, body);
    void first.body;
    const second = first.clone();
    return [first.bodyUsed, await settle(first.text()), await settle(second.text())];
  }),
  ...formCases,
  ...otherCases,
];

compare('body', bodyCases);
test.run();
