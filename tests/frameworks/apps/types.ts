/** What docs/NODE.md and the README say of frameworks, for the type checker: it is compiled, and not run. */
import http from 'node:http';
import { NestFactory } from '@nestjs/core';
import { Elysia } from 'elysia';
import Fastify from 'fastify';
import { H3 } from 'h3';
import { Hono } from 'hono';
import { type ServeOptions, serve } from '../../../dist/index.js';
import { type NodeListener, nodeHandler } from '../../../dist/node/index.js';

const listener: NodeListener = async (_req, res) => {
  res.end();
};
const onError = (error: unknown, req: http.IncomingMessage, res: http.ServerResponse): void => {
  res.end(`${req.url}: ${error}`);
};
const handlers = [
  nodeHandler(listener, { onError }),
  nodeHandler((req, res) => res.end(req.url)),
  nodeHandler(http.createServer()),
  nodeHandler(Fastify()),
  nodeHandler(await NestFactory.create(class {})),
] as const;
const [handler] = handlers;
const routes = { '/a/:id': handler, '/b/*': { GET: handler } };
export const options: ServeOptions = { fetch: handler, routes };
serve({ fetch: handler, routes: { '/a/:id': handler } });
serve({ fetch: new Hono().fetch });
serve({ fetch: new H3().fetch });
const elysia = new Elysia();
serve({ fetch: (request) => elysia.fetch(request) });
