import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { greeter, sayHello, textsOf } from '../http2/greeter.ts';
import { project, type RunningServer, startApp, startZig, stopAll } from '../support/process.ts';
import { sideBySide } from '../support/side_by_side.ts';
import { closing, handshake, WebSocketClient } from '../websocket/client.ts';

const test = sideBySide('examples', 3);
const tested = new Set<string>();

test.after(stopAll);

/** A test of one example, with the example running. */
function example(
  name: string,
  file: string,
  check: (url: string, server: RunningServer) => Promise<void>,
): void {
  tested.add(name);
  test(`${name}/${file} does what its header says`, async () => {
    const server = file.endsWith('.zig')
      ? await startZig(file.replace('.zig', ''))
      : await startApp(project('examples', name, file));
    await check(server.url, server);
    const { code } = await server.stop();
    assert.is(code, 0, server.stderr());
  });
}

const textOf = async (url: string, init?: RequestInit): Promise<string> =>
  (await fetch(url, init)).text();

example('01-hello', 'app.ts', async (url) => {
  assert.is(await textOf(url), 'Hello from Gyrfalcon\n');
  assert.ok(Math.abs(Date.parse((await textOf(`${url}time`)).trim()) - Date.now()) < 60_000);
  assert.is(await textOf(`${url}hello/Ada%20L`), '{"hello":"Ada L"}');
  assert.is(
    await textOf(`${url}sum`, { method: 'POST', body: '{"numbers":[1,2,3]}' }),
    '{"sum":6}',
  );
  const broken = await fetch(`${url}sum`, { method: 'POST', body: '{' });
  assert.is(broken.status, 400);
  assert.match(((await broken.json()) as { error: string }).error, /JSON/);
  const missing = await fetch(`${url}elsewhere`);
  assert.equal([missing.status, await missing.text()], [404, 'Nothing at /elsewhere\n']);
});

example('01-hello', 'hello.zig', async (url) => {
  assert.is(await textOf(url), 'Hello from Zig\n');
  assert.is(await textOf(`${url}hello?x=1&name=Ada+L`), 'Hello Ada L\n');
  assert.is(await textOf(`${url}hello`), 'Hello, whoever you are\n');
  assert.is((await fetch(`${url}elsewhere`)).status, 404);
  assert.is((await fetch(url, { method: 'DELETE' })).headers.get('allow'), 'GET, HEAD');
});

example('02-counter', 'counter.zig', async (url, server) => {
  assert.is(await textOf(url), '0\n');
  const counts = await Promise.all(
    Array.from({ length: 20 }, () => textOf(url, { method: 'POST' })),
  );
  const sorted = counts.map(Number).sort((a, b) => a - b);
  assert.equal(
    sorted,
    Array.from({ length: 20 }, (_, index) => index + 1),
  );
  assert.is(await textOf(url), '20\n');
  assert.is((await fetch(url, { method: 'PUT' })).status, 405);
  await server.stop();
  assert.match(server.stderr(), 'Counted to 20');
});

example('03-static', 'app.ts', async (url) => {
  const page = await fetch(url);
  assert.is(page.headers.get('content-type'), 'text/html; charset=utf-8');
  assert.match(await page.text(), '<h1>A static site</h1>');
  const part = await fetch(`${url}style.css`, { headers: { range: 'bytes=0-3' } });
  assert.equal([part.status, await part.text()], [206, 'body']);
  assert.match(await textOf(`${url}docs/`), '<h1>Documents</h1>');
  assert.ok(JSON.parse(await textOf(`${url}api/time`)).time > 0);
  assert.is((await fetch(`${url}..%2fapp.ts`)).ok, false);
});

example('04-hono', 'app.ts', async (url) => {
  const hello = await fetch(url);
  assert.is(await hello.text(), 'Hello from Hono\n');
  assert.match(hello.headers.get('server-timing') ?? '', /^app;dur=/);
  assert.is(await textOf(`${url}books/1`), '{"id":1,"title":"Middlemarch"}');
  const added = await fetch(`${url}books`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"title":"Emma"}',
  });
  assert.equal([added.status, await added.json()], [201, { id: 2, title: 'Emma' }]);
  assert.is((await fetch(`${url}books`, { method: 'POST', body: '{}' })).status, 400);
  assert.is((await fetch(`${url}books/9`)).status, 404);
  assert.is(await textOf(`${url}count`), '1\n2\n3\n');
});

example('05-node-http', 'app.ts', async (url, server) => {
  const hello = await fetch(url);
  assert.is(await hello.text(), 'Hello 127.0.0.1\n');
  assert.is(hello.headers.get('x-served-by'), 'middleware');
  assert.is(await textOf(url, { method: 'POST', body: 'some text' }), '9 bytes\n');
  const source = project('examples', '05-node-http', 'app.ts');
  assert.is(await textOf(`${url}source`), readFileSync(source, 'utf8'));
  assert.match(server.stdout(), /^GET \/ 200 [\d.]+ ms$/m);
});

example('06-uploads', 'app.ts', async (url) => {
  const form = new FormData();
  form.append('title', 'Picture');
  form.append('file', new File(['x'.repeat(3_000_000)], 'a.png'));
  const send = (path: string, body: FormData | string): Promise<string> =>
    textOf(`${url}${path}`, { method: 'POST', body });
  assert.is(await send('form', form), '{"title":"Picture","name":"a.png","size":3000000}');
  const digest = createHash('sha256').update('x'.repeat(3_000_000)).digest('hex');
  assert.is(await send('digest', form), `{"a.png":"${digest}"}`);
  form.append('file', new File(['x'.repeat(21_000_000)], 'b.png'));
  assert.is(await send('form', form), '413 Content Too Large: GYR_MULTIPART_LIMIT\n');
  assert.is(await send('digest', 'x'), '400 Bad Request: GYR_MULTIPART_INVALID\n');
});

example('07-grpc', 'app.ts', async (_, { port }) => {
  const client = greeter(port);
  assert.is(await sayHello(client, 'Ada'), 'Hello Ada');
  assert.equal(await textsOf(client.CountDown({ text: '2' })), ['2', '1', 'lift-off']);
  const joined = new Promise((resolve) => {
    const call = client.Join((_error, answer) => resolve(answer?.text));
    for (const text of ['a', 'b', 'c']) call.write({ text });
    call.end();
  });
  assert.is(await joined, 'a b c');
  const chat = client.Chat();
  for (const text of ['one', 'two']) chat.write({ text });
  chat.end();
  assert.equal(await textsOf(chat), ['you: one', 'you: two']);
  client.close();
});

example('08-websocket', 'websocket.zig', async (url, { port }) => {
  assert.match(await textOf(url), '<title>Chat</title>');
  assert.is((await fetch(`${url}chat`)).status, 426);
  const open = (): Promise<WebSocketClient> =>
    WebSocketClient.connect({ port }).then(async (client) => {
      await client.send(handshake({ Origin: `http://a.test` }, 'GET /chat HTTP/1.1'));
      client.expectUpgrade(await client.response());
      return client;
    });
  const [ada, bob] = await Promise.all([open(), open()]);
  await ada.say('text', 'hello');
  for (const client of [ada, bob]) await client.expectText('hello');
  await bob.say('binary', 'x');
  await bob.frame();
  await bob.say('close', closing(1003));
  await bob.readToEnd();
  await ada.say('text', 'alone');
  await ada.expectText('alone');
  ada.destroy();
});

example('09-chat', 'app.ts', async (url, { port }) => {
  assert.match(await textOf(url), '<title>Rooms</title>');
  assert.is((await fetch(`${url}chat?name=a&room=b`)).status, 426);
  assert.is((await fetch(`${url}chat?name=%0A&room=b`)).status, 400);
  const open = async (name: string, room: string): Promise<WebSocketClient> => {
    const client = await WebSocketClient.connect({ port });
    await client.send(handshake({}, `GET /chat?name=${name}&room=${room} HTTP/1.1`));
    client.expectUpgrade(await client.response());
    await client.expectText(`You are in ${room}`);
    return client;
  };
  const ada = await open('Ada', 'north');
  const bob = await open('Bob', 'north');
  const eve = await open('Eve', 'south');
  await ada.expectText('Bob has come');
  await bob.say('text', 'hello');
  await bob.expectText('You: hello');
  await ada.expectText('Bob: hello');
  await bob.say('text', '/room south');
  await bob.expectText('You are in south');
  await ada.expectText('Bob has gone');
  await eve.expectText('Bob has come');
  await eve.say('binary', 'x');
  await eve.expectClose(1003);
  await bob.expectText('Eve has gone');
  ada.destroy();
  bob.destroy();
});

example('10-container', 'app.ts', async (url) => {
  assert.is(await textOf(url), 'Hello from a container\n');
  assert.is(await textOf(`${url}livez`), 'alive\n');
  assert.is(await textOf(`${url}readyz`), 'ready\n');
});

test('every example has a test', () => {
  tested.add('zig-package'); // tests/release/zig_package.test.ts
  const folders = readdirSync(project('examples'), { withFileTypes: true });
  for (const { name } of folders.filter((entry) => entry.isDirectory())) {
    const hasOwn = existsSync(project('tests', 'examples', `${name}.test.ts`));
    assert.ok(tested.has(name) || hasOwn, `examples/${name} has none`);
  }
});

test.run();
