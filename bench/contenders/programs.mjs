// The commands of servers that several rows of the race share. Each serves 127.0.0.1 on one core, by one worker.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { postgres } from '../lib/postgres.mjs';
import {
  built,
  bun,
  certificate,
  deno,
  frameworks,
  goProgram,
  h2o,
  haproxy,
  home,
  lighttpd,
  nginx,
  root,
  rustProgram,
  tlsProgram,
  uwebsockets,
  zigProgram,
} from '../lib/tools.mjs';
import { environment, helloFile, www } from './data.mjs';

export const peer = (name) => join(root, 'bench/peers', name);

/** The floor, with a body, its type, and how many requests a client sends at once. */
export const floor =
  (bodyFile = helloFile, type = 'text/plain', pipelined = 1) =>
  async ({ port, responseBytes, plain }) => [
    await zigProgram('floor', ['bench/floor.zig'], plain),
    ...[port, bodyFile, responseBytes, type, pipelined].map(String),
  ];

const engine = (name) => [
  ...['-lc', '--dep', 'gyrfalcon'],
  `-Mroot=bench/apps/${name}.zig`,
  '-Mgyrfalcon=zig/gyrfalcon.zig',
];

/** The handler in Zig of the small response. */
export const zigPlain = async ({ port, idle, plain }) => [
  await zigProgram('zig_hello', engine('zig_hello'), plain),
  String(port),
  ...(idle ? ['idle'] : []),
];

/** The handler in Zig of the workloads. */
export const zigWork = async ({ port, plain }) => [
  await zigProgram('zig_work', engine('zig_work'), plain),
  String(port),
];

export async function zigTls({ port, idle }) {
  const { cert, key } = await certificate();
  const program = await tlsProgram('zig_https');
  return [program, String(port), cert, key, www, ...(idle ? ['idle'] : [])];
}

/** A module in bench/apps, served by the command that users have. */
export const app =
  (name, ...more) =>
  async ({ port, idle }) => {
    await built();
    const settings = [
      ...more,
      'GYRFALCON_SETUP=0', // built above, on all cores
      `GYRFALCON_BENCH_IDLE=${Number(idle)}`,
      ...Object.entries(environment).map(([key, value]) => `${key}=${value}`),
    ];
    const command = [process.execPath, join(root, 'bin/gyrfalcon.mjs'), 'start'];
    const where = ['--host', '127.0.0.1', '--port', String(port), '--workers', '1'];
    return ['env', ...settings, ...command, join(root, 'bench/apps', name), ...where];
  };

/** A framework of tests/frameworks/apps/race on Gyrfalcon. */
export const frameworkHere = (name) => async (place) => {
  await frameworks();
  return app('framework.ts', `GYRFALCON_BENCH_FRAMEWORK=${name}`)(place);
};

/** On the server for Node.js that is usual for it. */
export const frameworkOnNode =
  (name) =>
  async ({ port }) => {
    await frameworks();
    return [process.execPath, peer('framework.mjs'), name, String(port)];
  };

export const frameworkOnBun =
  (name) =>
  async ({ port }) => {
    await frameworks();
    return [await bun(), peer('framework_bun.mjs'), name, String(port)];
  };

export const onBun =
  (name) =>
  async ({ port }) => [await bun(), peer(name), String(port)];

export const onDeno =
  (name) =>
  async ({ port }) => {
    const rights = ['--allow-net', '--allow-read', '--allow-env'];
    return [await deno(), 'run', ...rights, '--no-prompt', '--quiet', peer(name), String(port)];
  };

export const onNode =
  (name) =>
  async ({ port }) => [process.execPath, peer(name), String(port)];

export async function bunTls({ port }) {
  const { cert, key } = await certificate();
  return [await bun(), peer('bun_https.mjs'), String(port), cert, key];
}

export const inGo =
  (name) =>
  async ({ port }) => [await goProgram(name), String(port)];

export const inRust =
  (name) =>
  async ({ port }) => [await rustProgram(name), String(port)];

/** The same program, told where a Postgres listens. */
export const withPostgres = (command) => async (place) => {
  const url = await postgres(place);
  return ['env', `GYRFALCON_BENCH_POSTGRES=${url}`, ...(await command(place))];
};

/** What the library needs of others is found when it runs. */
export async function uws({ port, plain }) {
  const library = await uwebsockets();
  const linked = [library, '-rpath', dirname(library), '-fallow-shlib-undefined'];
  const needed = ['--dep', 'json', '--dep', 'list', '-Mroot=bench/peers/uws_http.zig'];
  const modules = ['-Mlist=bench/apps/zig_list.zig', '-Mjson=zig/http/json.zig'];
  const source = ['-lc', ...needed, ...linked, ...modules];
  return [await zigProgram('uws_http', source, plain), String(port)];
}

/** nginx's answer without a file. */
export const nginxAnswer = "location / { default_type text/plain; return 200 'Hello, World!'; }";

/** What nginx serves files by. For large ones `sendfile on` is its best. */
export const nginxFiles = (sendfile) =>
  `root ${www}; open_file_cache max=100 inactive=1h; sendfile ${sendfile};`;

/**
 * nginx as it is tuned for this: no access log, no limit on requests per connection (the default of
 * 1000 would close connections in the middle of a measurement). For the small file read + writev of
 * an open descriptor was its best: 0.88 of sendfile with tcp_nopush, 0.70 of no open_file_cache.
 */
export function nginxWith(server, listen = '') {
  return async ({ port }) => {
    const folder = join(home, 'nginx', String(port));
    await mkdir(folder, { recursive: true });
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((name) => `${name}_temp_path ${join(folder, name)};`)
      .join(' ');
    const configuration = `daemon off; worker_processes 1; pid ${join(folder, 'pid')};
error_log stderr crit;
events { worker_connections 12000; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600; tcp_nopush on;
  ${temporary}
  types { text/plain txt; }
  server { listen 127.0.0.1:${port}${listen} backlog=2048; ${server} }
}
`;
    await writeFile(join(folder, 'nginx.conf'), configuration);
    const arguments_ = ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')];
    return [await nginx(), ...(process.getuid() === 0 ? ['-g', 'user root;'] : []), ...arguments_];
  };
}

/** The same over TLS 1.3. */
export function nginxTls(server, listen = '') {
  return async (place) => {
    const { cert, key } = await certificate();
    const secured = `ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_protocols TLSv1.3;`;
    return nginxWith(`${secured} ${server}`, ` ssl${listen}`)(place);
  };
}

/** A configuration file of a peer's own, of the port that it is for. */
async function configured(name, port, configuration) {
  const folder = join(home, name);
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${port}.conf`);
  await writeFile(file, configuration);
  return file;
}

/** h2o with what it serves small files best by: open files kept. Its listeners speak HTTP/1 and HTTP/2. */
export function h2oWith(isSecured) {
  return async ({ port }) => {
    const { cert, key } = isSecured ? await certificate() : {};
    const ssl = isSecured ? `, ssl: {certificate-file: ${cert}, key-file: ${key}}` : '';
    const user = process.getuid() === 0 ? 'user: root\n' : '';
    const configuration = `${user}listen: {host: 127.0.0.1, port: ${port}${ssl}}
num-threads: 1
error-log: /dev/null
hosts: {default: {paths: {/: {file.dir: ${www}}}}}
`;
    return [await h2o(), '-c', await configured('h2o', port, configuration)];
  };
}

/** lighttpd with nothing but its module for files. 65,535 requests of a connection are its most. */
export async function lighttpdFiles({ port }) {
  const { program, modules } = await lighttpd();
  const configuration = `server.document-root = "${www}"
server.bind = "127.0.0.1"
server.port = ${port}
server.listen-backlog = 2048
server.max-connections = 12000
server.max-fds = 16384
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 3600
server.compat-module-load = "disable"
server.modules = ( "mod_staticfile" )
mimetype.assign = ( ".txt" => "text/plain" )
`;
  return [program, '-D', '-m', modules, '-f', await configured('lighttpd', port, configuration)];
}

/** haproxy that answers by itself. */
export async function haproxyAnswer({ port }) {
  const configuration = `global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout client 1h
  timeout http-request 1h
  timeout http-keep-alive 1h
frontend race
  bind 127.0.0.1:${port} backlog 2048
  http-request return status 200 content-type text/plain string "Hello, World!"
`;
  return [await haproxy(), '-db', '-f', await configured('haproxy', port, configuration)];
}
