/**
 * The image of an app in TypeScript, built for both processors of examples/10-container/Dockerfile from the packages that npm
 * installs, and run as a container is: on files that nobody can write to, as the image's user, with Node.js as the first of
 * its processes.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { packAll } from '../packages/packed.ts';
import { noRegistry, Registry } from '../packages/registry.ts';
import { project, stopAll } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';
import { until, within } from '../support/wait.ts';
import { Container, type ContainerOptions, checkConfined } from './container.ts';
import { architectures, type Image, imagesLack, notRunnable, Place } from './images.ts';
import { nodeImages, nodeImagesLack } from './node_base.ts';

const test = suite('image of an app in TypeScript');

const example = project('examples', '10-container');
/** Above it the image is too large: what clients fetch, bytes. Node.js alone is larger than that as a file. */
const packedMax = 80_000_000;
const url = 'http://127.0.0.1:3000';
/** As long as compose.yaml grants to what is in flight. An emulated Node.js is slow to end as well. */
const graceMs = 15_000;

/** The engines that images are made with. */
const engines = architectures.map(({ arch }) => `linux.${arch}`);
const missing = engines.find((name) => !existsSync(project('build', 'engine.zigar', `${name}.so`)));
const lack =
  imagesLack() ??
  noRegistry ??
  nodeImagesLack() ??
  (missing && `the engine for ${missing} is not built: npm test -- --only images builds it`);

const place = new Place();
let images: Image[];

if (lack === undefined) {
  test.before(async () => {
    const context = place.at('context');
    cpSync(example, context, { recursive: true });
    cpSync(project('tests', 'images', 'fixtures', 'slow.ts'), join(context, 'slow.ts'));
    // What lies beside an app on the machine of whoever builds it.
    for (const folder of ['.git', 'node_modules/gyrfalcon']) {
      mkdirSync(join(context, folder), { recursive: true });
      writeFileSync(join(context, folder, 'of-the-machine'), '');
    }
    writeFileSync(join(context, '.env.local'), 'SECRET=1\n');
    const registry = await Registry.start();
    await registry.publish((await packAll(true, engines)).map(({ file }) => file));
    const args = { ...(await nodeImages(place)), NPM_CONFIG_REGISTRY: registry.url };
    images = await place.build({ name: 'app', context, file: join(context, 'Dockerfile'), args });
    await registry.stop();
  });
}
test.after(async () => {
  await stopAll();
  place.remove();
});

testUnless(
  test,
  lack,
  'there is one for each processor, small to fetch, with what production needs alone',
  async () => {
    const names = architectures.map(({ name }) => name).sort();
    assert.equal(images.map(({ architecture }) => architecture).sort(), names);
    for (const { architecture, packed } of images) {
      assert.ok(packed > 20_000_000 && packed < packedMax, `${architecture}: ${packed} bytes`);
      const files = await place.store.files('app', architecture);
      const there = (...path: string[]): boolean => existsSync(join(files, ...path));
      const modules = ['app', 'node_modules'];
      const { name, arch } =
        architectures.find((it) => it.name === architecture) ?? architectures[0]!;
      assert.ok(there(...modules, '@gyrfalcon', `engine-linux-${arch}`), name);
      const other = arch === 'x64' ? 'arm64' : 'x64';
      assert.not.ok(there(...modules, '@gyrfalcon', `engine-linux-${other}`), name);
      assert.not.ok(there(...modules, '@gyrfalcon', `engine-linux-${arch}-musl`), name);
      for (const unneeded of ['typescript', '@types', 'node-zigar'])
        assert.not.ok(there(...modules, unneeded), unneeded);
      for (const unneeded of ['bin/sh', 'usr/local/bin/npm', 'node', 'app/Dockerfile'])
        assert.not.ok(there(unneeded), unneeded);
      for (const path of ['.git', '.env.local', 'node_modules/gyrfalcon/of-the-machine'])
        assert.not.ok(there('app', path), `${path} of the machine`);
    }
  },
);

for (const { name, arch } of architectures) {
  const why = lack ?? notRunnable(name);
  const isEmulated = arch !== process.arch;
  const ms = isEmulated ? 120_000 : graceMs;
  const check = (about: string, body: () => Promise<void>): void =>
    testUnless(test, why, `${name}: ${about}`, body);
  const start = async (options?: ContainerOptions): Promise<Container> => {
    const image = images.find(({ architecture }) => architecture === name) as Image;
    const files = await place.store.files('app', name);
    if (!isEmulated) return Container.start(image, files, options);
    // The compiler for TypeScript is a program of its own, which the kernel starts: in an emulator it must be of this
    // machine's processor.
    const esbuild = project('node_modules', '@esbuild', `linux-${process.arch}`, 'bin', 'esbuild');
    cpSync(esbuild, join(files, '.esbuild'));
    const emulated = { ESBUILD_BINARY_PATH: '/.esbuild' };
    return Container.start({ ...image, emulated }, files, options);
  };

  check('it answers, is healthy, and nobody’s that could change something', async () => {
    const container = await start();
    assert.equal(await container.get(`${url}/`), { status: 200, body: 'Hello from a container\n' });
    assert.is((await container.get(`${url}/livez`)).status, 200);
    assert.equal(await container.health(), { code: 0, output: '' });
    checkConfined(container);
    container.terminate();
    assert.equal(await container.ended(ms), { code: 0, signal: null }, container.output());
  });

  check(
    'an app that is not ready is not healthy, and SIGTERM waits for what is in flight',
    async () => {
      const container = await start({ args: ['start', 'slow.ts', '--port', '3000'] });
      const { code, output } = await container.health();
      assert.equal([code, output], [1, `unhealthy: ${url}/readyz: it answered 503\n`]);
      const client = await container.client(`${url}/until-stop`);
      client.child.kill('SIGUSR2');
      container.terminate();
      assert.equal(await container.ended(ms), { code: 0, signal: null }, container.output());
      await within(client.ended, 'the end of the client');
      assert.match(client.stdout(), 'body 12 whole');
    },
  );
}

testUnless(
  test,
  lack,
  'an answer without an end keeps it no longer than it may be kept',
  async () => {
    const { name } = architectures.find(({ arch }) => arch === process.arch) ?? { name: '' };
    const image = images.find(({ architecture }) => architecture === name) as Image;
    const files = await place.store.files('app', name);
    const args = ['start', 'slow.ts', '--port', '3000'];
    const container = await Container.start(image, files, { args });
    const client = await container.client(`${url}/never`);
    client.child.kill('SIGUSR2');
    container.terminate();
    await until(async () => (await container.health()).code === 1, 'an unhealthy server', graceMs);
    const ending = await container.ended(graceMs);
    assert.equal(ending, { code: 0, signal: null }, container.output());
    await within(client.ended, 'the end of the client');
    assert.match(client.stdout() + client.stderr(), 'broken');
  },
);

test('the app asks for the version of Gyrfalcon that it stands beside', () => {
  const { version } = JSON.parse(readFileSync(project('package.json'), 'utf8'));
  const { dependencies } = JSON.parse(readFileSync(join(example, 'package.json'), 'utf8'));
  assert.equal(dependencies, { gyrfalcon: version });
});

test.run();
