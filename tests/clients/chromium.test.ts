import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Authority, noTls } from '../support/certificates.ts';
import { Chromium, noChromium, type Tab } from '../support/chromium.ts';
import { project, type RunningServer, startApp, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';

// examples/09-chat in two tabs of a browser, as two people would use it.
const test = suite('clients: Chromium');
const authority = noTls === undefined && noChromium === undefined ? new Authority() : undefined;
let browser: Chromium | undefined;

test.before(async () => {
  if (noChromium === undefined) browser = await Chromium.start();
});
test.after(async () => {
  await browser?.end();
  await stopAll();
  authority?.remove();
});

testUnless(test, noChromium, 'two tabs talk in a room, and leave it', async () => {
  const server = await startApp(project('tests', 'clients', 'chat_app.ts'), ['--threads', '2']);
  await talk(server, server.url);
  assert.equal(server.stdout().match(/CHAT OVER .*/g), Array(2).fill('CHAT OVER HTTP/1'));
});

testUnless(test, noChromium ?? noTls, 'over TLS they do so on streams of HTTP/2', async () => {
  const { certFile, keyFile } = (authority as Authority).issue(['localhost', '127.0.0.1']);
  const tls = ['--tls-cert', certFile, '--tls-key', keyFile];
  const server = await startApp(project('tests', 'clients', 'chat_app.ts'), tls);
  await talk(server, server.url.replace('http:', 'https:'));
  assert.equal(server.stdout().match(/CHAT OVER .*/g), Array(2).fill('CHAT OVER HTTP/2'));
});

test.run();

async function talk(server: RunningServer, url: string): Promise<void> {
  const [ada, bob] = (await Promise.all([browser?.tab(url), browser?.tab(url)])) as [Tab, Tab];
  assert.is(await ada.evaluate('document.title'), 'Rooms');
  await enter(ada, 'Ada', 'garden');
  await enter(bob, 'Bob', 'garden');
  await ada.texts('#said li', 'Bob has come');
  await say(ada, 'Grüße, 世界 🦅');
  assert.equal(await ada.texts('#said li', 'You: Grüße, 世界 🦅'), [
    'You are in garden',
    'Bob has come',
    'You: Grüße, 世界 🦅',
  ]);
  await bob.texts('#said li', 'Ada: Grüße, 世界 🦅');
  await say(bob, '/room attic');
  await bob.texts('#said li', 'You are in attic');
  await ada.texts('#said li', 'Bob has gone');
  await say(bob, '<b>nobody hears this</b>');
  await bob.texts('#said li', 'You: <b>nobody hears this</b>');
  await say(bob, '/room garden');
  await ada.texts('#said li', 'Bob has come');
  await bob.evaluate('location.reload()');
  await ada.texts('#said li', 'Bob has gone');
  const stopped = server.stop();
  await ada.texts('#said li', 'The end: 1001 ');
  assert.is((await stopped).code, 0, server.stderr());
}

async function enter(tab: Tab, name: string, room: string): Promise<void> {
  await tab.type('#name', name);
  await tab.type('#room', room);
  await tab.enter();
  await tab.texts('#said li', `You are in ${room}`);
  assert.is(await tab.evaluate(`document.querySelector('#enter').hidden`), true);
}

async function say(tab: Tab, text: string): Promise<void> {
  await tab.type('#text', text);
  await tab.enter();
}
