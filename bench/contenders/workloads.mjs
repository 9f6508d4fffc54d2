// Rows of the workloads: what HttpArena's profiles ask of a server over HTTP/1, each beside the peers that can do it. A
// workload is a heat of its own: its servers run beside each other, and not beside those of another.
import { libraryEnv } from '../lib/tools.mjs';
import {
  file1m,
  file6150,
  files,
  file as fileToServe,
  hello,
  json,
  listed,
  mixedBody,
  mixedSizes,
  posted,
  queried,
  text,
  uploaded,
  user,
} from './data.mjs';
import { frameworkServers } from './plain.mjs';
import {
  app,
  floor,
  h2oWith,
  haproxyAnswer,
  inGo,
  inRust,
  lighttpdFiles,
  nginxAnswer,
  nginxFiles,
  nginxWith,
  onBun,
  onDeno,
  onNode,
  uws,
  withPostgres,
  zigPlain,
  zigWork,
} from './programs.mjs';

const libraries = { env: libraryEnv };

/** Programs that have every workload but those of files, where no list of servers below says otherwise. */
const servers = {
  zig: { what: 'gyrfalcon, handler in Zig', role: 'own', command: zigWork },
  handler: {
    what: 'gyrfalcon in Node.js, TypeScript handler',
    role: 'own',
    command: app('work.ts'),
  },
  constant: {
    what: 'gyrfalcon in Node.js, constant route',
    role: 'own',
    command: app('constant.ts'),
  },
  bun: { what: 'Bun.serve, handler', command: onBun('bun_work.mjs') },
  'bun-static': { what: 'Bun.serve, static route', command: onBun('bun_static.mjs') },
  deno: { what: 'Deno.serve', command: onDeno('deno_work.mjs') },
  node: { what: 'node:http', command: onNode('node_work.mjs') },
  uws: { what: 'uWebSockets, its C interface', command: uws, ...libraries },
  go: { what: 'Go, net/http', command: inGo('nethttp') },
  fasthttp: { what: 'Go, fasthttp', command: inGo('fasthttp') },
  hyper: { what: 'Rust, hyper 1', command: inRust('hyper') },
  actix: { what: 'Rust, actix-web 4', command: inRust('actix') },
  may: { what: 'Rust, may_minihttp', command: inRust('may') },
  nginx: { what: 'nginx, one worker', command: nginxWith(nginxAnswer), ...libraries },
  haproxy: { what: 'haproxy, one thread', command: haproxyAnswer, ...libraries },
  ...Object.fromEntries(frameworkServers.map(({ name, ...server }) => [name, server])),
};

const compiled = ['uws', 'go', 'fasthttp', 'hyper', 'actix', 'may'];
const scripts = ['bun', 'deno', 'node'];
const all = ['zig', 'handler', ...scripts, ...compiled];
/** Frameworks that race where a request takes some work: on Gyrfalcon, and where they are fastest or usual. */
const some = [
  ...['hono', 'hono-bun', 'hono-node', 'elysia', 'elysia-bun', 'h3', 'h3-srvx'],
  ...['fastify', 'fastify-node', 'express', 'express-node'],
];
const ends = ['nginx', 'haproxy'];

/** The small response, as it is asked for. */
const small = {
  ...{ path: '/', body: hello, type: text },
  servers: ['zig', 'constant', 'handler', 'bun-static', ...scripts, ...compiled, ...ends],
};

/** Connections of the heats of the group conns beside the 64 that the small response has. */
const counts = [1, 512, 4096];

/** Each: its name, which the names of its rows end in, its group where that is another, and what a row has of it. */
const workloads = [
  {
    name: 'json',
    what: 'a list of 50 computed for each request',
    row: { path: '/json', body: listed, type: json },
    servers: [...all, ...some],
    floor: floor(files.list, 'application/json'),
  },
  {
    name: 'params',
    what: '/users/:id with a query to JSON',
    row: { ...user, type: json },
    servers: [...all, ...some],
    floor: floor(files.user, 'application/json'),
  },
  {
    name: 'query',
    what: 'a row of Postgres by pg',
    row: { ...queried, type: json },
    servers: ['handler', ...scripts],
    wrap: withPostgres,
  },
  {
    name: 'post',
    what: '1 KiB that comes back',
    row: { path: '/echo', body: posted, type: text, send: { file: files.posted, body: posted } },
    servers: [...all, ...some],
    floor: floor(files.posted),
  },
  {
    name: 'pipelined',
    what: '16 requests at once',
    row: { path: small.path, body: small.body, type: small.type, pipelined: 16 },
    servers: small.servers,
    floor: floor(undefined, undefined, 16),
  },
  {
    name: 'upload',
    what: '20 MB that are counted',
    row: {
      path: '/upload',
      body: Buffer.from(String(uploaded.length)),
      type: text,
      send: { file: files.uploaded, body: uploaded },
      connections: 4,
    },
    servers: all.filter((name) => name !== 'zig'),
  },
  {
    name: 'short',
    what: '10 requests on each connection',
    row: { path: small.path, body: small.body, type: small.type, each: 10 },
    servers: small.servers,
    floor: floor(),
  },
  ...counts.map((connections) => ({
    name: `c${connections}`,
    group: 'conns',
    what: connections === 1 ? 'one connection' : `${connections} connections`,
    row: { path: small.path, body: small.body, type: small.type, connections },
    servers: small.servers,
    floor: floor(),
  })),
  {
    name: 'sse',
    what: 'events to 256 listeners',
    row: { path: '/events', events: true, connections: 256 },
    servers: ['handler', 'bun', 'deno', 'node', 'go'],
  },
];

/** What a program that has only the small response answers it with; by the name of the server. */
const forSmall = { zig: zigPlain };

function rowsOf({ name, group = name, what, row, servers: names, floor: least, wrap }) {
  const rows = names.map((server) => ({
    ...servers[server],
    ...row,
    name: `${server}-${name}`,
    group,
    heat: name,
    what: `${servers[server].what}, ${what}`,
    ...(row.path === small.path && server in forSmall ? { command: forSmall[server] } : {}),
    ...(wrap === undefined ? {} : { command: wrap(servers[server].command) }),
  }));
  if (least === undefined) return rows;
  const floorRow = {
    ...row,
    name: `floor-${name}`,
    group,
    heat: name,
    role: 'floor',
    what: `least epoll server, ${what}`,
    likeSizeOf: `zig-${name}`,
    command: least,
  };
  return [floorRow, ...rows];
}

/** Who serves files, and how. */
const fileServers = {
  dir: { what: 'gyrfalcon in Node.js, DirServer', role: 'own', command: app('static.ts') },
  nginx: { what: 'nginx, one worker, open_file_cache', ...libraries },
  h2o: { what: 'h2o, one thread', command: h2oWith(false), ...libraries },
  lighttpd: { what: 'lighttpd', command: lighttpdFiles, ...libraries },
  bun: { what: 'Bun.serve, Bun.file', command: onBun('bun_work.mjs') },
  deno: { what: 'Deno.serve, Deno.open', command: onDeno('deno_work.mjs') },
  go: { what: 'Go, http.FileServer', command: inGo('nethttp') },
  fasthttp: { what: 'Go, fasthttp.FS', command: inGo('fasthttp') },
  actix: { what: 'Rust, actix-files', command: inRust('actix') },
};

function fileRows(heat, { group = heat, what, row, sendfile, suffix = `-${heat}` }) {
  return Object.entries(fileServers).map(([server, { command, ...rest }]) => ({
    ...rest,
    ...row,
    name: `${server}${suffix}`,
    group,
    heat,
    what: `${rest.what}, ${what}`,
    command: command ?? nginxWith(nginxFiles(sendfile)),
  }));
}

const small6150 = { path: '/file.txt', body: file6150, type: text };
/** The first of them is Gyrfalcon's, which has been called `dir` for long. */
const ofFile = fileRows('file', { what: '6150-byte file', row: small6150, sendfile: 'off' }).map(
  (row) => (row.name === 'dir-file' ? { ...row, name: 'dir' } : row),
);

/** All rows of the workloads. */
export const workloadRows = [
  ...workloads.flatMap(rowsOf),
  {
    ...small6150,
    name: 'floor-file',
    group: 'file',
    heat: 'file',
    role: 'floor',
    what: 'least epoll server, 6150-byte file',
    likeSizeOf: 'dir',
    command: floor(fileToServe),
  },
  ...ofFile,
  ...fileRows('file-1m', {
    group: 'file',
    what: 'file of 1 MiB',
    row: { path: '/large.txt', body: file1m, type: text },
    sendfile: 'on',
    suffix: '-1m',
  }),
  ...fileRows('mixed', {
    what: '20 mixed files in turn',
    row: {
      path: '/36000.txt',
      body: mixedBody(36_000),
      type: text,
      paths: mixedSizes.map((bytes) => `/${bytes}.txt`),
    },
    sendfile: 'off',
  }),
];
