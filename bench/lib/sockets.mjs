// The servers that speak WebSocket: for the race (contenders.mjs), and for broadcast.mjs.
import { dirname, join } from 'node:path';
import { built, bun, deno, libraryEnv, root, uwebsockets, zigProgram } from './tools.mjs';

const peer = (name) => join(root, 'bench/peers', name);

/** The servers of the group ws: at /echo what comes goes back, at /cast everybody else is sent it. */
export const socketServers = [
  { name: 'zig', what: 'gyrfalcon, handler in Zig', command: zigSocket },
  { name: 'ts', what: 'gyrfalcon, handler in TypeScript', command: tsSocket },
  {
    name: 'uws',
    what: 'uWebSockets, its C interface',
    env: libraryEnv,
    command: async ({ port, plain }) => [await uwsSocket(plain), String(port)],
  },
  {
    name: 'bun',
    what: 'Bun.serve',
    command: async ({ port }) => [await bun(), peer('bun_socket.mjs'), String(port)],
  },
  {
    name: 'deno',
    what: 'Deno.serve',
    command: async ({ port }) => [
      await deno(),
      ...['run', '--allow-net', '--no-prompt', '--quiet'],
      peer('deno_socket.mjs'),
      String(port),
    ],
  },
];

/** As `app` of contenders.mjs. */
async function tsSocket({ port }) {
  await built();
  const command = [process.execPath, join(root, 'bin/gyrfalcon.mjs'), 'start'];
  const where = ['--host', '127.0.0.1', '--port', String(port), '--workers', '1'];
  return ['env', 'GYRFALCON_SETUP=0', ...command, join(root, 'bench/apps/socket.ts'), ...where];
}

async function zigSocket({ port, plain }) {
  const root = '-Mroot=bench/apps/zig_socket.zig';
  const engine = ['--dep', 'gyrfalcon', root, '-Mgyrfalcon=zig/gyrfalcon.zig'];
  return [await zigProgram('zig_socket', ['-lc', ...engine], plain), String(port)];
}

/** What the library needs of others is found when it runs. */
async function uwsSocket(plain) {
  const library = await uwebsockets();
  const linked = [library, '-rpath', dirname(library), '-fallow-shlib-undefined'];
  return zigProgram('uws_socket', ['-lc', 'bench/peers/uws_socket.zig', ...linked], plain);
}

/** Their rows in the race. */
export function overWebSocket() {
  const shapes = [
    { suffix: '', socket: { bytes: 64, inFlight: 1 }, about: '64 bytes' },
    { suffix: '-16k', socket: { bytes: 16_384, inFlight: 1 }, about: '16 KiB' },
    { suffix: '-x16', socket: { bytes: 64, inFlight: 16 }, about: '64 bytes, 16 in flight' },
  ];
  return shapes.flatMap(({ suffix, socket, about }) =>
    socketServers.map(({ name, what, ...rest }) => ({
      ...rest,
      name: `${name}-ws${suffix}`,
      group: 'ws',
      what: `${what}, WebSocket echo, ${about}`,
      path: '/echo',
      socket,
    })),
  );
}
