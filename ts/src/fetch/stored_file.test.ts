import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Request } from './request.ts';
import { Response } from './response.ts';
import { blobOfParts, FileWriter } from './stored_file.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const test = suite<{ folder: string }>('files of forms on disk');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-stored-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

async function store(text: string, folder: string | undefined): Promise<File> {
  const writer = await FileWriter.open(folder);
  await writer.write([Buffer.from(text)]);
  return writer.finish('name', 'a/b');
}

/** Long enough for the removal of what nobody has any more. */
async function collect(): Promise<void> {
  for (let i = 0; i < 5; i++) {
    collectGarbage();
    await pause(5);
  }
}

async function formOf(text: string, folder: string): Promise<FormData> {
  const form = new FormData();
  form.append('file', await store(text, folder));
  return form;
}

test('a form that is a body keeps its files', async ({ folder }) => {
  const response = new Response(await formOf('one', folder));
  const form = await formOf('two', folder);
  const request = new Request('http://localhost/', { method: 'POST', body: form }).clone();
  const stream = new Response(await formOf('three', folder)).body as ReadableStream<Uint8Array>;
  const blob = blobOfParts([await store('four', folder), ', ', await store('five', folder)]);
  await collect();
  assert.is(readdirSync(folder).length, 5);
  assert.match(await response.text(), /\r\none\r\n/);
  assert.match(await request.text(), /\r\ntwo\r\n/);
  assert.match(await new Response(stream).text(), /\r\nthree\r\n/);
  assert.is(await blob.slice(0, 8).text(), 'four, fi');
});

test('files in a folder that is given are removed at exit, and what else is there is not', ({
  folder,
}) => {
  const script = `
    import { writeFileSync } from 'node:fs';
    import { FileWriter } from ${JSON.stringify(new URL('stored_file.ts', import.meta.url).href)};
    const directory = process.argv[1];
    writeFileSync(directory + '/other', '');
    const writer = await FileWriter.open(directory);
    globalThis.kept = await writer.finish('name', 'a/b');
    await FileWriter.open(directory);`;
  const loader = new URL('../../../scripts/ts.mjs', import.meta.url).href;
  const flags = ['--import', loader, '--input-type=module', '-e', script, folder];
  execFileSync(process.execPath, flags);
  assert.equal(readdirSync(folder), ['other']);
});

test('the process’s own folder is made anew when somebody has removed it', async () => {
  const ours = () => readdirSync(tmpdir()).filter((name) => name.startsWith(own));
  const own = `gyrfalcon-${process.pid}-`;
  await store('one', undefined);
  assert.is(ours().length, 1);
  rmSync(join(tmpdir(), ours()[0] as string), { recursive: true });
  const file = await store('two', undefined);
  assert.is(await file.text(), 'two');
  assert.is(ours().length, 1);
});

test.run();
