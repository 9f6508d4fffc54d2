// The list of what a release is made of, as CycloneDX 1.5 has it in JSON: what is linked into the executables, from what was
// compiled, and what npm's packages ask for, from package-lock.json. The same sources give the same bytes.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateThere, zlibNg } from './deflate.mjs';
import { zigLibrary } from './executables.mjs';
import { at, readIfThere, SetupError } from './project.mjs';
import { openssl, picotls, tlsThere } from './tls.mjs';
import { zigVersion } from './toolchain.mjs';

/**
 * @param {object} release
 * @param {string} release.version
 * @param {number} release.time seconds since 1970
 * @param {object[]} release.targets of the executables: entries of scripts/lib/executables.mjs
 * @param {string} release.zig its path
 * @returns {string} the text of the file
 */
export function sbomOf({ version, time, targets, zig }) {
  const executable = {
    type: 'application',
    'bom-ref': 'executable',
    name: 'gyrfalcon (executable)',
    version,
    licenses: [{ license: { id: 'MIT' } }],
  };
  const packaged = {
    type: 'library',
    'bom-ref': 'npm',
    name: 'gyrfalcon',
    version,
    purl: `pkg:npm/gyrfalcon@${version}`,
    licenses: [{ license: { id: 'MIT' } }],
  };
  const linked = linkedInto(targets, zig);
  const { components: asked, dependencies } = askedOfNpm();
  const shared = linked.filter(({ properties }) => properties === undefined);
  const bom = {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      timestamp: new Date(time * 1000).toISOString().replace('.000Z', 'Z'),
      component: {
        type: 'application',
        'bom-ref': 'release',
        name: 'gyrfalcon',
        version,
        description: 'An HTTP server: a Zig engine, TypeScript handlers.',
        licenses: [{ license: { id: 'MIT' } }],
      },
    },
    components: [executable, packaged, ...linked, ...asked],
    dependencies: [
      { ref: 'release', dependsOn: ['executable', 'npm'] },
      { ref: 'executable', dependsOn: refsOf(linked) },
      // Its engines are linked with the same, but for the C library, which is the system's.
      { ref: 'npm', dependsOn: [...refsOf(shared), ...dependencies.direct] },
      ...linked.map((component) => ({ ref: component['bom-ref'] })),
      ...dependencies.others,
    ],
  };
  // Of what is in it: another one for each release, and the same for the same.
  const serialNumber = `urn:uuid:${uuidOf(JSON.stringify(bom))}`;
  const { bomFormat, specVersion, ...rest } = bom;
  return `${JSON.stringify({ bomFormat, specVersion, serialNumber, ...rest }, null, 2)}\n`;
}

const refsOf = (components) => components.map((component) => component['bom-ref']);

/** A UUID of version 8 (RFC 9562 §5.8). */
function uuidOf(text) {
  const hash = createHash('sha256').update(text).digest();
  hash[6] = (hash[6] & 0x0f) | 0x80;
  hash[8] = (hash[8] & 0x3f) | 0x80;
  const hex = hash.toString('hex', 0, 16);
  return [[0, 8], [8, 12], [12, 16], [16, 20], [20]].map((part) => hex.slice(...part)).join('-');
}

const sha256 = (content) => [{ alg: 'SHA-256', content }];

/** What is compiled or linked into executables. What is in those of some systems alone says in which. */
function linkedInto(targets, zig) {
  const library = (ref, name, version, license, more = {}) => ({
    type: 'library',
    'bom-ref': ref,
    name,
    ...(version === undefined ? {} : { version }),
    licenses: [license.includes(' ') ? { expression: license } : { license: { id: license } }],
    ...more,
  });
  const components = [
    library('zig', 'Zig standard library and compiler-rt', zigVersion, 'MIT', {
      purl: `pkg:generic/zig@${zigVersion}`,
    }),
  ];
  const secured = targets.map(tlsThere).find((folder) => folder !== undefined);
  if (secured !== undefined) {
    const version = headerOf(
      join(secured, 'include', 'openssl', 'opensslv.h'),
      /OPENSSL_VERSION_STR "([^"]+)"/,
    );
    components.push(
      library('openssl', 'OpenSSL', version, 'Apache-2.0', {
        purl: `pkg:cargo/${openssl.crate}@${openssl.version}`,
        cpe: `cpe:2.3:a:openssl:openssl:${version}:*:*:*:*:*:*:*`,
        hashes: sha256(openssl.checksum),
      }),
      library('picotls', 'picotls', undefined, 'MIT', {
        description: `as it is in ${picotls.project} ${picotls.version}, whose hash is given`,
        purl: `pkg:pypi/${picotls.project}@${picotls.version}`,
        hashes: sha256(picotls.checksum),
      }),
    );
  }
  if (deflateThere() !== undefined) {
    const header = join(deflateThere(), 'include', 'zlib-ng.h');
    const version = headerOf(header, /ZLIBNG_VERSION "([^"]+)"/);
    components.push(
      library('zlib-ng', 'zlib-ng', version, 'Zlib', {
        purl: `pkg:cargo/${zlibNg.crate}@${zlibNg.version}`,
        hashes: sha256(zlibNg.checksum),
      }),
    );
  }
  const lib = zigLibrary(zig);
  const inThose = (platform) => ({
    properties: [{ name: 'gyrfalcon:executables', value: platform }],
  });
  if (targets.some(({ platform }) => platform === 'linux-musl')) {
    const header = join(lib, 'libc', 'musl', 'src', 'internal', 'version.h');
    const version = headerOf(header, /VERSION "([^"]+)"/);
    components.push(
      library('musl', 'musl', version, 'MIT', {
        cpe: `cpe:2.3:a:musl-libc:musl:${version}:*:*:*:*:*:*:*`,
        purl: `pkg:generic/musl@${version}`,
        ...inThose('linux-musl'),
      }),
    );
  }
  if (targets.some(({ platform }) => platform === 'win32')) {
    const header = join(lib, 'libc', 'include', 'any-windows-any', '_mingw_mac.h');
    const number = (part) => headerOf(header, new RegExp(`MINGW64_VERSION_${part} (\\d+)`));
    const version = ['MAJOR', 'MINOR', 'BUGFIX'].map(number).join('.');
    components.push(
      library('mingw-w64', 'mingw-w64', version, 'ZPL-2.1', {
        purl: `pkg:generic/mingw-w64@${version}`,
        ...inThose('win32'),
      }),
    );
  }
  return components;
}

function headerOf(path, pattern) {
  const version = pattern.exec(readIfThere(path) ?? '')?.[1];
  if (version === undefined) throw new SetupError(`${path} tells no version.`);
  return version;
}

/** What npm installs for the package `gyrfalcon`: not what is for its development, nor what is up to the user. */
function askedOfNpm() {
  const { packages } = JSON.parse(readFileSync(at('package-lock.json'), 'utf8'));
  const kept = Object.entries(packages).filter(
    ([path, { dev, peer, devOptional }]) => path !== '' && !dev && !peer && !devOptional,
  );
  const nameOf = (path) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const refOf = (path) => `npm:${nameOf(path)}@${packages[path].version}`;
  const components = kept.map(([path, { version, license, integrity, optional }]) => ({
    type: 'library',
    'bom-ref': refOf(path),
    ...groupAndName(nameOf(path)),
    version,
    scope: optional ? 'optional' : 'required',
    ...(license === undefined ? {} : { licenses: [{ license: { id: license } }] }),
    purl: `pkg:npm/${nameOf(path).replace('@', '%40')}@${version}`,
    ...(integrity === undefined ? {} : { hashes: [hashOfIntegrity(integrity)] }),
  }));
  const asked = ({ dependencies = {}, optionalDependencies = {} }) =>
    Object.keys({ ...dependencies, ...optionalDependencies })
      .map((name) => `node_modules/${name}`)
      .filter((path) => kept.some(([other]) => other === path))
      .map(refOf)
      .sort();
  const others = kept.map(([path, entry]) => ({ ref: refOf(path), dependsOn: asked(entry) }));
  return { components, dependencies: { direct: asked(packages['']), others } };
}

function groupAndName(name) {
  const [scope, rest] = name.split('/');
  return rest === undefined ? { name } : { group: scope, name: rest };
}

const algorithms = { sha512: 'SHA-512', sha256: 'SHA-256', sha1: 'SHA-1' };

function hashOfIntegrity(integrity) {
  const [, name, base64] = /^(\w+)-(\S+)/.exec(integrity);
  return { alg: algorithms[name], content: Buffer.from(base64, 'base64').toString('hex') };
}
