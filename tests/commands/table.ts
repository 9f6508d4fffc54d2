/** How each command that Markdown names is run by the tests, in seconds where the command itself takes minutes. */

/** Commands of one kind. The first row whose pattern matches is the one. */
export interface Row {
  readonly pattern: RegExp;
  /** What is run in the place of the command; the command itself unless given. */
  readonly short?: (command: string) => string;
  /** It is a server: it has to print its URL, to answer under it, and to end on SIGTERM. */
  readonly serves?: boolean;
  /** Files that the page has the reader make first, by name. */
  readonly files?: Readonly<Record<string, string>>;
  /** What the machine may lack: the command then ends with 69 and says so, and is skipped. */
  readonly mayLack?: RegExp;
  /** It is not run here; who runs it. */
  readonly elsewhere?: string;
  /** Before this row, with whatever they have to compile. */
  readonly minutes?: number;
}

const smoke = (command: string): string => `${command} --smoke`;
const app = "export default { fetch: () => new Response('a fresh clone\\n') };\n";
const program = `import { serve } from 'gyrfalcon';
const server = serve({ port: 0, fetch: () => new Response('a program\\n') });
console.log(\`Listening on \${server.url}\`);
process.once('SIGTERM', () => server.stop());
`;

/** The engine may be without what this machine cannot build. */
const pack = (command: string): string =>
  command.endsWith('--list') ? command : `${command} --partial`;

/** In the order in which they are run: the first sets everything up. */
export const rows: readonly Row[] = [
  { pattern: /^npm start$/, short: () => 'npm start -- --port 0', serves: true, minutes: 30 },
  { pattern: /^npm run build$/ },
  { pattern: /^npm run bootstrap$/, short: () => 'node scripts/bootstrap.mjs --no-start' },
  { pattern: /^export PATH=/, short: (command) => `${command}; test "$(zig version)" = 0.14.1` },

  // The package
  {
    pattern: /^npx gyrfalcon start app\.ts$/,
    short: (command) => `${command} --port 0`,
    serves: true,
    files: { 'app.ts': app },
  },
  {
    pattern: /^npx gyrfalcon start examples\/09-chat\/app\.ts$/,
    short: (command) => `${command} --port 0`,
    serves: true,
  },
  { pattern: /^npx gyrfalcon explain examples\/01-hello\/app\.ts(?: --json)?$/ },
  {
    pattern: /^gyrfalcon explain app\.ts$/,
    short: (command) => `npx ${command}`,
    files: { 'app.ts': app },
  },
  { pattern: /^gyrfalcon start --help$/, short: (command) => `npx ${command}` },
  {
    pattern: /^node --import gyrfalcon\/loader file\.ts$/,
    serves: true,
    files: { 'file.ts': program },
  },
  {
    pattern: /^node --cpu-prof --import gyrfalcon\/loader file\.ts$/,
    serves: true,
    files: { 'file.ts': program },
  },
  { pattern: /^node --import gyrfalcon\/loader examples\/httparena\/data\.ts build\/httparena$/ },
  {
    pattern: /^DATA_DIR=\S+ node --import gyrfalcon\/loader examples\/httparena\/server\.ts$/,
    short: (command) => `PROCESSES=1 HTTP_PORT=0 HTTP2_PORT=0 ${command}`,
    serves: true,
  },
  { pattern: /^npm run pack:packages -- (?:linux\.x64|--list)$/, short: pack },
  { pattern: /^npm run pack:packages$/, short: () => 'npm run pack:packages -- --list' },
  { pattern: /^npm run release:version$/ },
  {
    pattern: /^npm run release:version -- 0\.2\.0$/,
    elsewhere: 'tests/release/papers.test.ts, on copies of the files',
  },
  {
    pattern: /^npm run release:executables\b/,
    short: () => 'npm run release:executables -- --list',
  },
  {
    pattern: /^npm run release(?: -- (?:--dry-run|--url \S+ --homepage \S+))?$/,
    elsewhere: 'the stage release of npm test rehearses it',
  },
  {
    pattern: /^gyrfalcon (?:serve \.\/public --port 8080|--help)$/,
    elsewhere: 'tests/release/executables.test.ts, of each system',
  },
  {
    pattern: /^node --import \.\/scripts\/ts\.mjs tests\/packages\/serve\.ts$/,
    serves: true,
  },
  { pattern: /^node --import \.\/scripts\/ts\.mjs tests\/packages\/measure\.ts$/, short: smoke },
  {
    pattern: /^(?:npm (?:i|install) gyrfalcon|npm create gyrfalcon\b.*|npm publish)$/,
    elsewhere: 'tests/packages, from a registry of its own: they are on no other yet',
  },
  { pattern: /^(?:curl|wscat) /, elsewhere: 'tests/readme asks the server of the block before it' },
  { pattern: /^redis-cli publish /, elsewhere: 'tests/websocket/broker_redis.test.ts' },

  // docs/DEPLOYMENT.md
  {
    pattern: /^gyrfalcon start$/,
    short: () => 'npx gyrfalcon start app.ts --port 0',
    serves: true,
    files: { 'app.ts': app },
  },
  {
    pattern: /^gyrfalcon start app\.ts --port 3000 --reuse-port &$/,
    short: () => 'npx gyrfalcon start app.ts --port 0 --reuse-port',
    serves: true,
    files: { 'app.ts': app },
  },
  {
    pattern: /^gyrfalcon start app\.ts --tls-cert FILE --tls-key FILE --port 80 --https-port 443$/,
    elsewhere: 'tests/https/command.test.ts',
  },
  {
    pattern: /^gyrfalcon start app\.ts --tls-self-signed$/,
    elsewhere: 'tests/https/command.test.ts',
  },
  {
    pattern: /^gyrfalcon start app\.ts --unix \S+ --unix-mode 660$/,
    short:
      () => `node_modules/.bin/gyrfalcon start app.ts --unix ./app.sock --unix-mode 660 & server=$!
      curl -sf --retry 20 --retry-delay 1 --retry-all-errors --unix-socket app.sock http://localhost/
      answered=$?; kill $server; wait; exit $answered`,
    files: { 'app.ts': app },
  },
  {
    pattern: /^(?:systemd-socket-activate |gyrfalcon serve \.\/public --fd 3$|kill -TERM )/,
    elsewhere: 'tests/listening hands sockets over, and puts a new process beside an old one',
  },

  {
    pattern: /^npm run pack:images(?: -- --partial)?$/,
    elsewhere: 'the stage images of npm test makes the same image, of executables for two systems',
  },
  {
    pattern: /^(?:skopeo|docker|kubectl) /,
    elsewhere:
      'tests/images makes the images by buildah, and holds the files to schemas: none of the three is here',
  },
  {
    pattern: /^gyrfalcon healthcheck /,
    elsewhere: 'tests/cli/healthcheck.test.ts; tests/images in containers',
  },

  // Tests
  { pattern: /^npm test$/, short: () => 'npm test -- --only format,types,lint' },
  { pattern: /^npm test -- --list$/ },
  { pattern: /^npm test -- --ci$/, short: (command) => `${command} --list` },
  {
    pattern: /^npm test -- --only (?:static|modules|http2|blackbox|images|packages|release)\b/,
    short: (command) => `${command} --list`,
  },
  { pattern: /^npm run build:tls\b/, short: () => 'npm run build:tls -- --list' },
  {
    pattern: /^npm run test:autobahn\b/,
    short: () => 'npm run test:autobahn -- --smoke',
    mayLack: /root|debootstrap|download|install|not built/,
  },
  {
    pattern: /^npm run test:tls-scan\b/,
    short: () => 'npm run test:tls-scan -- --smoke',
    mayLack: /TLS|sslscan/,
  },
  { pattern: /^npm run build:deflate$/, elsewhere: 'the stage deflate of npm test does the same' },
  { pattern: /^npm run build:modules\b/, short: () => 'npm run build:modules -- --list' },
  { pattern: /^npm test -- --all$/, short: () => 'npm test -- --all --list' },
  { pattern: /^\.ci\/run$/, elsewhere: 'it is what runs this' },
  { pattern: /^npm run test:commands$/, elsewhere: 'it is what runs this' },
  {
    pattern: /^npm run test:frameworks$/,
    short: (command) => `${command} -- --filter frameworks/connect`,
  },
  { pattern: /^npm run test:io\b/, short: () => 'npm run test:io -- --smoke' },
  { pattern: /^npm run test:ktls$/, elsewhere: 'by hand: it emulates a machine, for minutes' },
  { pattern: /^npm run test:nodes$/, short: (command) => `${command} -- --smoke` },
  // npm test runs the stage itself, and a planted bug is sought below.
  { pattern: /^npm test -- --only sim,bugs$/, short: (command) => `${command} --list` },
  { pattern: /^npm test -- --only / },
  { pattern: /^node --import \.\/scripts\/ts\.mjs ts\/src\/\S+\.test\.ts$/ },
  { pattern: /^npm run (?:check|lint|format)$/ },

  // Zig
  { pattern: /^zig fmt/, short: () => 'zig fmt zig examples build.zig' },
  { pattern: /^zig build (?:check|abi)$/ },
  { pattern: /^zig build model(?: -- --examples)?$/ },
  // npm test runs all of it.
  { pattern: /^zig build test$/, short: (command) => `${command} -Dtest-filter=litmus` },
  { pattern: /^zig build test -Dtest-filter=\w+$/ },
  {
    pattern: /^(?:GYRFALCON_TLS_FUZZ_SECONDS=\d+ )?zig build test-tls\b/,
    elsewhere: 'the stage tls of npm test builds what it links, for minutes',
  },
  { pattern: /^zig build test-apps / },
  {
    pattern: /^zig build fuzz -D(?:seed=N|seed=\d+)$/,
    short: (command) => command.replace('=N', '=7'),
  },
  {
    pattern: /^zig build fuzz -Dseed=\d+ -D(?:minutes|seeds)=\d+$/,
    short: (command) => command.replace(/-Dminutes=\d+|-Dseeds=\d+/, '-Dseeds=20'),
  },
  { pattern: /^zig build fuzz .*-- /, short: smoke },
  { pattern: /^zig build run-\w+$/, short: (command) => `${command} -- 0`, serves: true },
  { pattern: /^zig build bench-(?:decode|route)$/ },
  {
    pattern: /^zig build (?:bench-websocket|test-deflate)$/,
    elsewhere: 'the stage deflate of npm test',
  },
  { pattern: /^zig build bench-tls$/, elsewhere: 'the stage tls of npm test, in its short form' },
  { pattern: /^zig build$/ },
  { pattern: /^zig fetch\b/, elsewhere: 'tests/release/zig_package.test.ts' },
  { pattern: /^zig build -Dstrip$/, elsewhere: 'the stages static and release of npm test' },
  // The stage `static` of npm test runs what they make.
  {
    pattern: /^zig build (?:install examples )?-Dtarget=\S+-linux-musl /,
    short: (command) => command.replace('-Doptimize=ReleaseSafe ', ''),
    minutes: 10,
  },
  {
    pattern: /^zig-out\/bin\/gyrfalcon serve \.\/public$/,
    short: (command) => `${command} --port 0`,
    serves: true,
    files: { 'public/index.html': 'a fresh clone\n' },
  },

  // What runs long
  { pattern: /^node scripts\/sim-bugs\.mjs$/, short: (command) => `${command} parser` },
  {
    pattern: /^node scripts\/fuzz-coverage\.mjs /,
    short: (command) =>
      smoke(command).replace('FILE', 'tests/fuzz/decoder/$(ls tests/fuzz/decoder | head -1)'),
    mayLack: /libFuzzer|C\+\+ compiler/,
  },
  { pattern: /^node --import \.\/scripts\/ts\.mjs tests\/differential\/run\.ts /, short: smoke },
  { pattern: /^node --import \.\/scripts\/ts\.mjs tests\/differential\/hpack\.ts /, short: smoke },
  { pattern: /^node bench\/soak\.mjs /, short: smoke },

  // Measurements
  { pattern: /^node bench\/race\.mjs --(?:list|help)$/ },
  { pattern: /^npm run bench$/, short: (command) => `${command} -- --smoke` },
  // One of each kind of load, the page with them; each group has its own heat.
  {
    pattern: /^npm run bench -- --only all\b.* --write$/,
    short: () => smoke('npm run bench -- --only zig-json,zig-post,zig-short,zig-c1,sse --write'),
    mayLack: /taskset|core/,
  },
  {
    pattern: /^(?:npm run bench -- |node bench\/race\.mjs )/,
    short: smoke,
    mayLack: /taskset|core/,
  },
  {
    pattern: /^node bench\/(?:idle|io|neighbour|streams|threads)\.mjs/,
    short: smoke,
    mayLack: /taskset|core|wrk|not on io_uring/,
  },
  { pattern: /^node bench\/broadcast\.mjs/, short: smoke, mayLack: /taskset|core/ },
  { pattern: /^node bench\/bulk\.mjs/, short: smoke, mayLack: /taskset|core|h2load|nginx/ },
  { pattern: /^node bench\/wide\.mjs/, short: smoke },
  { pattern: /^node bench\/accept\.mjs/, short: smoke, mayLack: /Linux|wrk/ },
  { pattern: /^node bench\/profile\.mjs/, short: smoke, mayLack: /taskset|core|perf|valgrind/ },
  { pattern: /^node bench\/cost\.mjs/, short: smoke, mayLack: /Linux|valgrind/ },
  { pattern: /^node bench\/keepalive-race\.mjs/, short: smoke },
  { pattern: /^node bench\/micro\/(?:objects|async_scopes)\.mjs/, short: smoke },
];

/** The row of a command; undefined when the table has none. */
export function rowOf(command: string): Row | undefined {
  return rows.find(({ pattern }) => pattern.test(command));
}
