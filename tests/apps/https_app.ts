// An app over TLS. Argument: options of serve(), as JSON. It prints `ERROR <code>` for what the engine refuses by itself
// and, on SIGUSR2, reads certificates anew.
import { dir, type ReloadOptions, type Request, Response, serve } from 'gyrfalcon';

const { files, ...options } = JSON.parse(process.argv[2] ?? '{}');

let pattern = Buffer.alloc(0);

/** The first bytes of a pattern. Most of the programs that this is started as are asked for none. */
function patternOf(length: number): Buffer {
  if (pattern.length < length) pattern = Buffer.alloc(length, 'what goes over TLS');
  return pattern.subarray(0, length);
}

/** Asks for `/` twenty times, and shows what it was told. */
const page = `<!doctype html><pre></pre><script type="module">
  const asked = Array.from({ length: 20 }, async () => (await fetch('/')).json());
  document.querySelector('pre').textContent = JSON.stringify(await Promise.all(asked));
</script>`;

function describe(request: Request): object {
  const { tls } = request;
  const subject = tls?.clientCertificate?.subject ?? null;
  return { url: request.url, method: request.method, ip: request.ip, tls, subject };
}

const server = serve({
  ...(options.listen === undefined ? { hostname: '127.0.0.1', port: 0 } : {}),
  ...options,
  routes: {
    ...(files === undefined ? {} : { '/files/*': dir(files) }),
    '/page': new Response(page, { headers: { 'content-type': 'text/html' } }),
    '/hello': new Response('Hello over TLS\n'),
    '/size/:n': (request) => new Response(patternOf(Number(request.params.n))),
    '/echo': async (request) => new Response(await request.bytes()),
    '/early/:status': (request) =>
      new Response(null, { status: request.tls?.earlyData ? Number(request.params.status) : 200 }),
    '/own-hsts': () => new Response('', { headers: { 'Strict-Transport-Security': 'max-age=1' } }),
    // Takes options of reload(), as JSON, and answers with what came of them.
    '/reload': async (request) => {
      const given = (await request.json()) as ReloadOptions;
      return server.reload(given).then(
        () => new Response('done'),
        (error: Error & { code: string }) => new Response(`${error.code} ${error.message}`),
      );
    },
    '/wait/:ms': async (request) => {
      await new Promise((resolve) => {
        setTimeout(resolve, Number(request.params.ms));
        request.signal.addEventListener('abort', resolve);
      });
      return new Response('waited\n');
    },
  },
  fetch: (request) => Response.json(describe(request)),
  onProtocolError: ({ code }) => console.log(`ERROR ${code}`),
});

console.log(`URL ${server.url}`);
process.on('SIGUSR2', () => {
  server.reload().then(
    () => console.log('RELOADED'),
    (error: unknown) => console.log(`REFUSED ${(error as Error).message}`),
  );
});
process.on('SIGTERM', async () => {
  const { allocationsAfterStart } = server.stats();
  await server.stop();
  console.log(`STOPPED ${allocationsAfterStart}`);
});
console.log(`ADDRESSES ${JSON.stringify(server.addresses.map(({ port }) => port))}`);
