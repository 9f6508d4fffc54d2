/** The three ways to run a server, as commands: a Zig handler, serve() in Node.js, and the executable. */
import { programOf } from './process.ts';
import { zigProgram } from './target.ts';

export interface Way {
  readonly name: string;
  /** Starts it on a free port of 127.0.0.1, unless `hostname` said otherwise. */
  readonly command: readonly string[];
  /** What stands before the path of a file of the folder. */
  readonly files: string;
}

export interface WayOptions {
  /** Worker threads. @default one per CPU */
  workers?: number;
  /** "" for every interface. @default 127.0.0.1 */
  hostname?: string;
}

/** Each with `folder` behind it. */
export function waysOf(folder: string, options: WayOptions = {}): [Way, Way, Way] {
  const { workers, hostname = '127.0.0.1' } = options;
  const arguments_ = [
    `--files=${folder}`,
    `--hostname=${hostname}`,
    ...(workers === undefined ? [] : [`--workers=${workers}`]),
  ];
  const serveOptions = JSON.stringify({ files: folder, workers, hostname });
  const app = programOf('tests', 'apps', 'serve_app.ts');
  const flags = workers === undefined ? [] : ['--workers', `${workers}`];
  return [
    {
      name: 'a Zig handler',
      command: [zigProgram('engine_app'), ...arguments_],
      files: '/files/',
    },
    {
      name: 'serve()',
      command: [process.execPath, ...app, serveOptions],
      files: '/files/',
    },
    {
      name: 'the executable',
      command: [
        ...[zigProgram('gyrfalcon'), 'serve', folder, '--port', '0', '--host', hostname],
        ...flags,
      ],
      files: '/',
    },
  ];
}
