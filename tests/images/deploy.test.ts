/**
 * What docs/DEPLOYMENT.md gives for Compose and Kubernetes agrees with the images, with the app, and with what the server does.
 * Kubernetes' own schemas are those of the package kubernetes-validate.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lacks, project } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';

const test = suite('examples of deployment');

const example = (name: string): string => project('examples', '10-container', name);
/** What its Dockerfile says, and what that of the executable says. */
const dockerfile = readFileSync(example('Dockerfile'), 'utf8');
const executable = readFileSync(project('packages', 'images', 'Dockerfile'), 'utf8');
const app = readFileSync(example('app.ts'), 'utf8');
const page = readFileSync(project('docs', 'DEPLOYMENT.md'), 'utf8');
const { name, version } = JSON.parse(readFileSync(example('package.json'), 'utf8'));
/** What its image is called. */
const image = `${name}:${version}`;

const python = {
  ...process.env,
  PYTHONPATH: project('.toolchain', 'kubernetes-validate'),
  PYTHONDONTWRITEBYTECODE: '1',
};

function inPython(...args: string[]) {
  return spawnSync('python3', args, { env: python, encoding: 'utf8' });
}

function lacksSchemas(): string | undefined {
  return inPython('-c', 'import kubernetes_validate').status === 0
    ? undefined
    : 'kubernetes-validate is not installed: python3 -m pip install --target .toolchain/kubernetes-validate kubernetes-validate';
}

const lacking = lacks('python3') ?? lacksSchemas();

/** The documents of a YAML file. */
function documents<T>(path: string): T[] {
  const script =
    'import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))';
  const { status, stdout, stderr } = inPython('-c', script, path);
  assert.is(status, 0, stderr);
  return JSON.parse(stdout);
}

/** The number that a line of a Dockerfile has. */
const port = (text: string): number => Number(/^EXPOSE (\d+)$/m.exec(text)?.[1]);
const user = (text: string): string => /^USER (\S+)$/m.exec(text)?.[1] ?? '';

/** What the server grants to what is in flight as it stops, seconds: docs/LIMITS.md. */
const shutdownSeconds = Number(
  /`shutdownTimeout` `shutdown_timeout_ms` \| (\d+) s/.exec(
    readFileSync(project('docs', 'LIMITS.md'), 'utf8'),
  )?.[1],
);

interface Service {
  readonly build?: string | { readonly context: string; readonly dockerfile: string };
  readonly image?: string;
  readonly command?: readonly string[];
  readonly ports: readonly string[];
  readonly volumes?: readonly string[];
  readonly read_only: boolean;
  readonly cap_drop: readonly string[];
  readonly security_opt: readonly string[];
  readonly stop_grace_period: string;
  readonly init?: boolean;
}

testUnless(test, lacking, 'compose.yaml agrees with the images', () => {
  const [compose] = documents<{ services: Record<string, Service> }>(example('compose.yaml'));
  const { app: own, files, ...others } = compose?.services ?? {};
  assert.equal(others, {});
  assert.ok(own !== undefined && files !== undefined);
  assert.is(own.build, '.');
  assert.is(own.image, image);
  assert.equal(own.ports, [`3000:${port(dockerfile)}`]);
  assert.equal(files.ports, [`8080:${port(executable)}`]);
  assert.is(files.image, undefined, 'no command of the page makes one for Docker by that name');
  const { context, dockerfile: path } = files.build as Exclude<
    Service['build'],
    string | undefined
  >;
  assert.is(resolve(example(context)), resolve(project()), 'it is built of the checkout');
  assert.is(readFileSync(resolve(example(context), path), 'utf8'), executable);
  const cmd = JSON.parse(/^CMD (\[.*\])$/m.exec(executable)?.[1] ?? '[]');
  assert.equal(files.command, cmd, 'what the image says too');
  assert.equal(files.volumes, [`../03-static/public:${cmd[1]}:ro`]);
  for (const service of [own, files]) {
    assert.is(service.read_only, true);
    assert.equal(service.cap_drop, ['ALL']);
    assert.equal(service.security_opt, ['no-new-privileges:true']);
    assert.ok(Number.parseInt(service.stop_grace_period, 10) > shutdownSeconds);
  }
});

test('what is beside the app on the machine stays out of its image', () => {
  const ignored = readFileSync(example('.dockerignore'), 'utf8').split('\n');
  for (const name of ['node_modules', '.git', '.env*']) assert.ok(ignored.includes(name), name);
  assert.match(page, 'and `.dockerignore` beside it another', 'whoever copies one copies both');
});

test('the page has a command that makes the image of the app by its name', () => {
  assert.match(page, new RegExp(`^docker build .* -t ${image} examples/10-container$`, 'm'));
});

test('whoever builds an image says which registry its base is of', () => {
  for (const text of [dockerfile, executable]) {
    const bases = [...text.matchAll(/^ARG \w+=([^$\s]+)$/gm)].map(([, base]) => base as string);
    assert.is(bases.length, 1, 'the base was found');
    assert.match(bases[0] as string, /^node:24-[a-z-]+$/);
  }
});

test('both images run as the same number, which is not root’s, and stop by SIGTERM', () => {
  for (const text of [dockerfile, executable]) {
    assert.is(user(text), '65532:65532');
    assert.match(text, /^STOPSIGNAL SIGTERM$/m);
    assert.match(text, /^HEALTHCHECK [\s\S]*?CMD \[/m);
    assert.match(text, /^ENTRYPOINT \[/m);
  }
});

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

interface Spec {
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly containers: readonly {
    readonly image: string;
    readonly ports: readonly { name: string; containerPort: number }[];
    readonly startupProbe: Probe;
    readonly readinessProbe: Probe;
    readonly livenessProbe: Probe;
    readonly lifecycle: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
    readonly securityContext: Readonly<Record<string, unknown>>;
  }[];
}

interface Resource {
  readonly kind: string;
  readonly spec: {
    readonly selector: unknown;
    readonly ports: readonly { targetPort: string }[];
    readonly template: { readonly metadata: { readonly labels: unknown }; readonly spec: Spec };
  };
}

testUnless(
  test,
  lacking,
  'Kubernetes takes kubernetes.yaml, from the version that it names on',
  () => {
    for (const version of ['1.30', '1.37']) {
      const options = ['--strict', '--kubernetes-version', version];
      const { status, stdout, stderr } = inPython(
        ...['-m', 'kubernetes_validate', ...options, example('kubernetes.yaml')],
      );
      const said = stdout + stderr;
      assert.is(status, 0, said);
      assert.is(said.split('\n').filter((line) => line.includes(' passed ')).length, 3, said);
    }
  },
);

testUnless(test, lacking, 'kubernetes.yaml agrees with the image, the app and the server', () => {
  const resources = documents<Resource>(example('kubernetes.yaml'));
  assert.equal(
    resources.map(({ kind }) => kind),
    ['Deployment', 'Service', 'PodDisruptionBudget'],
  );
  const [deployment, service, budget] = resources as [Resource, Resource, Resource];
  const { spec, metadata } = deployment.spec.template;
  for (const selector of [deployment.spec.selector, budget.spec.selector])
    assert.equal(selector, { matchLabels: metadata.labels });
  assert.equal(service.spec.selector, metadata.labels);

  const [container, ...others] = spec.containers;
  assert.ok(container !== undefined && others.length === 0);
  assert.is(container.image, image);
  assert.equal(container.ports, [{ name: 'http', containerPort: port(dockerfile) }]);
  assert.is(service.spec.ports[0]?.targetPort, 'http');

  const { startupProbe, readinessProbe, livenessProbe } = container;
  for (const { httpGet } of [startupProbe, readinessProbe, livenessProbe]) {
    assert.is(httpGet.port, 'http');
    assert.match(app, `'${httpGet.path}': () =>`);
  }
  assert.match(dockerfile, `"http://127.0.0.1:${port(dockerfile)}${readinessProbe.httpGet.path}"`);

  const { seconds } = container.lifecycle.preStop.sleep;
  assert.ok(spec.terminationGracePeriodSeconds > seconds + shutdownSeconds);

  const [uid, gid] = user(dockerfile).split(':').map(Number);
  const { runAsUser, runAsGroup, runAsNonRoot } = spec.securityContext;
  assert.equal([runAsUser, runAsGroup, runAsNonRoot], [uid, gid, true]);
  assert.equal(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  });
});

test.run();
