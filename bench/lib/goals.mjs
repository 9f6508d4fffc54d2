// What this project wants to reach: CPU per request of one contender against another's.

import { everyPeer } from './statistics.mjs';

const own = ['json', 'params', 'post'];

/** A contender whose name, or that of the one that it is held to, is not in a run is not judged there. */
export const goals = [
  { name: 'zig', base: 'floor', at_most: 1.08 },
  { name: 'zig', base: everyPeer, at_most: 1 },
  { name: 'constant', base: 'floor', at_most: 1.1 },
  { name: 'constant', base: everyPeer, at_most: 1 },
  { name: 'handler', base: 'bun-handler', at_most: 0.75 },
  { name: 'handler', base: 'deno', at_most: 1 },
  { name: 'handler', base: 'fasthttp', at_most: 1 },
  ...own.flatMap((work) => [
    { name: `handler-${work}`, base: `bun-${work}`, at_most: 0.75 },
    { name: `handler-${work}`, base: `deno-${work}`, at_most: 1 },
    { name: `handler-${work}`, base: `fasthttp-${work}`, at_most: 1 },
    { name: `hono-${work}`, base: `hono-bun-${work}`, at_most: 0.65 },
  ]),
  { name: 'hono', base: 'hono-bun', at_most: 0.65 },
  { name: 'handler-c1', base: 'bun-c1', at_most: 0.9 },
  { name: 'handler-c512', base: 'bun-c512', at_most: 0.8 },
  { name: 'handler-c4096', base: 'bun-c4096', at_most: 0.8 },
  { name: 'zig-pipelined', base: 'floor-pipelined', at_most: 1.3 },
  { name: 'dir', base: everyPeer, at_most: 1 },
  { name: 'zig-ws', base: 'uws-ws', at_most: 0.9 },
  { name: 'zig-ws-16k', base: 'uws-ws-16k', at_most: 0.9 },
  { name: 'zig-ws-x16', base: 'uws-ws-x16', at_most: 0.9 },
  { name: 'zig-tls', base: 'nginx-tls', at_most: 1 },
  { name: 'handler-tls', base: 'bun-tls', at_most: 1 },
  ...['nginx', 'h2o'].flatMap((peer) => [
    { name: 'dir-tls', base: `${peer}-tls-file`, at_most: 1 },
    { name: 'dir-tls-1m', base: `${peer}-tls-1m`, at_most: 1 },
    { name: 'zig-tls-full', base: `${peer}-tls-full`, at_most: 1 },
    { name: 'zig-tls-resumed', base: `${peer}-tls-resumed`, at_most: 1 },
  ]),
  ...['h2', 'h2-tls'].flatMap((way) => [
    { name: `zig-${way}`, base: `h2o-${way}`, at_most: 1 },
    { name: `handler-${way}`, base: `bun-${way}`, at_most: 0.5 },
    { name: `dir-${way}`, base: `nginx-${way}-file`, at_most: 1 },
    { name: `dir-${way}`, base: `h2o-${way}-file`, at_most: 1 },
    { name: `dir-${way}-mixed`, base: `nginx-${way}-mixed`, at_most: 1 },
    { name: `dir-${way}-mixed`, base: `h2o-${way}-mixed`, at_most: 1 },
  ]),
];
