/** React Router's static handler and React's streaming server renderer, beside srvx. */
import { Suspense, use } from 'react';
import { renderToReadableStream } from 'react-dom/server.edge';
import {
  createStaticHandler,
  createStaticRouter,
  data,
  Link,
  Outlet,
  type RouteObject,
  redirect,
  StaticRouterProvider,
  useLoaderData,
  useRouteError,
} from 'react-router';
import type { Running } from '../compare.ts';
import { onSrvx } from './srvx.ts';

function Late({ text }: { text: Promise<string> }) {
  return <p>{use(text)}</p>;
}

function Page() {
  const { id, late } = useLoaderData() as { id: string; late: Promise<string> };
  return (
    <main>
      <h1>Page {id}</h1>
      <Suspense fallback={<p>…</p>}>
        <Late text={late} />
      </Suspense>
    </main>
  );
}

const routes: RouteObject[] = [
  {
    path: '/',
    Component: () => (
      <>
        <Link to="/pages/1">one</Link>
        <Outlet />
      </>
    ),
    ErrorBoundary: () => <p>Error: {(useRouteError() as { data?: string }).data ?? 'unknown'}</p>,
    children: [
      { index: true, Component: () => <h1>Hello</h1> },
      {
        path: 'pages/:id',
        loader: ({ params }) => ({
          id: params.id,
          late: new Promise((resolve) => setTimeout(() => resolve('later'), 10)),
        }),
        Component: Page,
      },
      { path: 'away', loader: () => redirect('/pages/2') },
      {
        path: 'missing',
        loader: () => {
          throw data('no such thing', { status: 404 });
        },
        Component: () => null,
      },
      {
        path: 'form',
        action: async ({ request }) => Object.fromEntries(await request.formData()),
        Component: () => <p>sent</p>,
      },
      {
        path: 'resource',
        loader: async ({ request }) => Response.json({ a: request.headers.get('x-a') }),
      },
    ],
  },
];

async function handle(request: Request): Promise<Response> {
  const { query, queryRoute, dataRoutes } = createStaticHandler(routes);
  if (new URL(request.url).pathname === '/resource') return queryRoute(request);
  const context = await query(request);
  if (context instanceof Response) return context;
  const router = createStaticRouter(dataRoutes, context);
  const body = await renderToReadableStream(
    <html lang="en">
      <body>
        <StaticRouterProvider router={router} context={context} hydrate={false} />
      </body>
    </html>,
  );
  const headers = { 'content-type': 'text/html; charset=utf-8' };
  return new Response(body, { status: context.statusCode, headers });
}

export async function make(): Promise<{ fetch: typeof handle }> {
  return { fetch: handle };
}

export async function peer(): Promise<Running> {
  return onSrvx(handle);
}

const form = { 'content-type': 'application/x-www-form-urlencoded' };

export const requests = [
  { path: '/' },
  { path: '/', method: 'HEAD' },
  { path: '/pages/7' },
  { path: '/away' },
  { path: '/missing' },
  { path: '/form', method: 'POST', headers: form, body: 'a=b' },
  { path: '/resource', headers: { 'x-a': 'b' } },
  { path: '/elsewhere' },
];
