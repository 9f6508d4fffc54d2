/**
 * The image of the executable, built for both processors of its Dockerfile, and run as a container is: on files that nobody
 * can write to, as the image's user, with the program as the first of its processes.
 */
import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { until, within } from '../support/wait.ts';
import { Container, type ContainerOptions, checkConfined } from './container.ts';
import {
  architectures,
  type Image,
  imagesLack,
  notRunnable,
  Place,
  shellImage,
  stageExecutables,
} from './images.ts';

const test = suite('image of the executable');

/** Above it the image is too large: as files, bytes. */
const sizeMax = 15_000_000;
/** What the image has its server listen at. */
const url = 'http://127.0.0.1:8080';
/** Longer than the server grants to what is in flight, 10 s; as long as compose.yaml grants to it. */
const graceMs = 15_000;
/** More than sockets take that nobody reads from, bytes. */
const largeBytes = 64 * 1024 * 1024;

const missing = architectures.find(
  ({ name }) => !existsSync(project('build', 'images', name, 'gyrfalcon')),
);
const lack =
  imagesLack() ??
  (missing && `the executable for ${missing.name} is not built: npm run pack:images builds it`);

const place = new Place();
let images: Image[];

if (lack === undefined) {
  test.before(async () => {
    const context = place.at('context');
    stageExecutables(context);
    images = await place.build({
      name: 'gyrfalcon',
      context,
      file: place.at('context', 'packages', 'images', 'Dockerfile'),
      args: { BUILDER: await shellImage(place.store, place.at('shell')) },
    });
  });
}
test.after(async () => {
  await stopAll();
  place.remove();
});

testUnless(test, lack, 'there is one for each processor, and small it is', () => {
  const names = architectures.map(({ name }) => name).sort();
  assert.equal(images.map(({ architecture }) => architecture).sort(), names);
  for (const { os, architecture, unpacked } of images) {
    assert.is(os, 'linux');
    assert.ok(unpacked > 1_000_000 && unpacked < sizeMax, `${architecture}: ${unpacked} bytes`);
  }
});

for (const { name } of architectures) {
  const why = lack ?? notRunnable(name);
  const check = (about: string, body: () => Promise<void>): void =>
    testUnless(test, why, `${name}: ${about}`, body);
  const start = async (options?: ContainerOptions): Promise<Container> => {
    const image = images.find(({ architecture }) => architecture === name) as Image;
    return Container.start(image, await place.store.files('gyrfalcon', name), options);
  };

  check('it serves its page, is healthy, and nobody’s that could change something', async () => {
    const container = await start();
    const page = await container.get(`${url}/`);
    assert.is(page.status, 200);
    assert.match(page.body, 'It works');
    assert.equal(await container.health(), { code: 0, output: '' });
    checkConfined(container);
    const nowhere = await container.exec(['/gyrfalcon', 'healthcheck', `${url}/nowhere`]);
    assert.equal([nowhere.code, nowhere.output], [1, `gyrfalcon: ${url}/nowhere answered 404\n`]);
    container.terminate();
    assert.equal(await container.ended(graceMs), { code: 0, signal: null }, container.output());
  });

  check('SIGTERM lets no more in, and ends it behind what is in flight', async () => {
    const folder = large();
    const container = await start({ mounts: { '/srv': folder } });
    const client = await container.client(`${url}/large.bin`);
    container.terminate();
    await until(async () => (await container.health()).code === 1, 'an unhealthy server', graceMs);
    client.child.kill('SIGUSR2');
    assert.equal(await container.ended(graceMs), { code: 0, signal: null }, container.output());
    await within(client.ended, 'the end of the client');
    assert.match(client.stdout() + client.stderr(), `body ${largeBytes} whole`);
  });
}

testUnless(test, lack, 'whoever does not read keeps it no longer than it may be kept', async () => {
  const { name } = architectures.find(({ arch }) => arch === process.arch) ?? { name: '' };
  const image = images.find(({ architecture }) => architecture === name) as Image;
  const files = await place.store.files('gyrfalcon', name);
  const container = await Container.start(image, files, { mounts: { '/srv': large() } });
  const client = await container.client(`${url}/large.bin`);
  container.terminate();
  const ending = await container.ended(graceMs);
  assert.equal(ending, { code: 0, signal: null }, container.output());
  client.child.kill('SIGUSR2');
  await within(client.ended, 'the end of the client');
  assert.match(client.stdout() + client.stderr(), /body \d+ broken/);
});

/** A folder with a page, and a file that takes a while to be sent. */
function large(): string {
  const folder = place.at('srv');
  mkdirSync(folder, { recursive: true });
  writeFileSync(place.at('srv', 'index.html'), 'a folder of mine\n');
  writeFileSync(place.at('srv', 'large.bin'), '');
  truncateSync(place.at('srv', 'large.bin'), largeBytes);
  return folder;
}

test.run();
