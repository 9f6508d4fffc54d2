/** tRPC's handler of Fetch, beside srvx. */
import { initTRPC, TRPCError, tracked } from '@trpc/server';
import { fetchRequestHandler } from '@trpc/server/adapters/fetch';
import type { Running } from '../compare.ts';
import { onSrvx } from './srvx.ts';

interface Context {
  agent: string | null;
  headers: Headers;
}

const t = initTRPC.context<Context>().create();
const text = (value: unknown): string => {
  if (typeof value !== 'string') throw new TypeError('not a text');
  return value;
};

const router = t.router({
  hello: t.procedure.input(text).query(({ input }) => `Hello ${input}`),
  agent: t.procedure.query(({ ctx }) => ctx.agent),
  add: t.procedure
    .input((value: unknown) => value as { a: number; b: number })
    .mutation(({ input, ctx }) => {
      ctx.headers.set('x-added', 'yes');
      return input.a + input.b;
    }),
  upload: t.procedure
    .input((value: unknown) => value as FormData)
    .mutation(({ input }) => [...input].map(([name, value]) => [name, String(value)])),
  refuses: t.procedure.query(() => {
    throw new TRPCError({ code: 'FORBIDDEN', message: 'refused' });
  }),
  fails: t.procedure.query(() => {
    throw new Error('failed');
  }),
  items: t.procedure.query(async function* () {
    for (let i = 0; i < 3; i++) yield i;
  }),
  events: t.procedure.subscription(async function* () {
    for (let i = 0; i < 3; i++) yield tracked(`${i}`, { i });
  }),
});

function handle(req: Request): Promise<Response> {
  return fetchRequestHandler({
    endpoint: '/trpc',
    req,
    router,
    createContext: ({ req: { headers }, resHeaders }) => ({
      agent: headers.get('user-agent'),
      headers: resHeaders,
    }),
    onError: () => {},
  });
}

export async function make(): Promise<{ fetch: typeof handle }> {
  return { fetch: handle };
}

export async function peer(): Promise<Running> {
  return onSrvx(handle);
}

const json = { 'content-type': 'application/json' };
const query = (value: unknown): string => encodeURIComponent(JSON.stringify(value));

export const requests = [
  { path: `/trpc/hello?input=${query('world')}` },
  { path: `/trpc/hello?input=${query('world')}`, method: 'HEAD' },
  { path: '/trpc/hello' },
  { path: '/trpc/agent', headers: { 'user-agent': 'u' } },
  { path: `/trpc/hello,agent?batch=1&input=${query({ 0: 'batch' })}` },
  { path: '/trpc/add', method: 'POST', headers: json, body: '{"a":1,"b":2}' },
  { path: '/trpc/add', method: 'POST', headers: json, body: '{"a":' },
  { path: '/trpc/add' },
  {
    path: '/trpc/upload',
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=xyz' },
    body: '--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--xyz--\r\n',
  },
  { path: '/trpc/refuses' },
  { path: '/trpc/fails' },
  { path: '/trpc/events', headers: { accept: 'text/event-stream' } },
  {
    path: `/trpc/hello,items?batch=1&input=${query({ 0: 'stream' })}`,
    headers: { 'trpc-accept': 'application/jsonl' },
  },
  { path: '/trpc/none' },
];

/** Stacks have the places of the server. */
export const volatile = { STACK: /\\"stack\\":\\".*?[^\\]\\"/g };
