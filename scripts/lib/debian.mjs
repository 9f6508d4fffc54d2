// Debian's package of the executable, in the form of deb(5). It is put together here, and not by dpkg-deb, so that it can be
// made on every system and that the same executable gives the same bytes.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { arOf, gzipOf, tarOf } from './bundles.mjs';
import { at } from './project.mjs';

/** What Debian calls processors. */
export const debianArchitectures = { x64: 'amd64', arm64: 'arm64' };

/** Whom Debian's policy wants named. Whoever publishes a package is that; the address is none on purpose (RFC 2606). */
const maintainer = 'The Gyrfalcon authors <maintainers@gyrfalcon.invalid>';

const texts = (name) => readFileSync(at('packages', 'debian', name));

/** Debian sorts what comes before a release by `~`: 1.0.0~rc.1 is older than 1.0.0. */
export const debianVersion = (version) => version.replace('-', '~');

/** The name of the package's file. */
export function debianFile(version, { arch }) {
  return `gyrfalcon_${debianVersion(version)}_${debianArchitectures[arch]}.deb`;
}

/**
 * The package, its bytes.
 *
 * @param {object} of
 * @param {string} of.version
 * @param {{ arch: string }} of.target
 * @param {Buffer} of.executable
 * @param {string} of.licences of what is linked into it
 * @param {string} of.manual gyrfalcon(1)
 * @param {number} of.time of all files, seconds since 1970
 * @returns {Buffer}
 */
export function debianPackage({ version, target, executable, licences, manual, time }) {
  const files = filesOf({ executable, licences, manual });
  const control = [
    { path: 'control', data: Buffer.from(controlText(version, target, files)) },
    { path: 'conffiles', data: Buffer.from('/etc/default/gyrfalcon\n') },
    { path: 'md5sums', data: Buffer.from(sumsOf(files)) },
    ...['postinst', 'prerm', 'postrm'].map((path) => ({
      path,
      data: texts(path),
      isProgram: true,
    })),
  ];
  const archive = (entries) => gzipOf(tarOf([{ path: '.' }, ...entries].map(fromHere), time));
  return arOf(
    [
      { path: 'debian-binary', data: Buffer.from('2.0\n') },
      { path: 'control.tar.gz', data: archive(control) },
      { path: 'data.tar.gz', data: archive(files) },
    ],
    time,
  );
}

/** Debian's paths begin with `./`. */
const fromHere = (entry) => (entry.path === '.' ? entry : { ...entry, path: `./${entry.path}` });

function filesOf({ executable, licences, manual }) {
  const doc = 'usr/share/doc/gyrfalcon';
  const units = ['gyrfalcon.service', 'gyrfalcon.socket'].map((name) => ({
    path: `usr/lib/systemd/system/${name}`,
    data: texts(name),
  }));
  return [
    { path: 'usr/bin/gyrfalcon', data: executable, isProgram: true },
    ...units,
    { path: 'etc/default/gyrfalcon', data: texts('default') },
    { path: 'usr/share/gyrfalcon/www/index.html', data: texts('index.html') },
    { path: 'usr/share/man/man1/gyrfalcon.1.gz', data: gzipOf(Buffer.from(manual)) },
    { path: `${doc}/README.md`, data: readFileSync(at('packages', 'executable', 'README.md')) },
    { path: `${doc}/changelog.gz`, data: gzipOf(readFileSync(at('CHANGELOG.md'))) },
    { path: `${doc}/copyright`, data: Buffer.from(copyrightText(licences)) },
  ];
}

function controlText(version, { arch }, files) {
  const kibibytes = files.reduce((sum, { data }) => sum + Math.ceil(data.length / 1024), 0);
  return `Package: gyrfalcon
Version: ${debianVersion(version)}
Architecture: ${debianArchitectures[arch]}
Maintainer: ${maintainer}
Installed-Size: ${kibibytes}
Section: httpd
Priority: optional
Description: HTTP server for static files, with an engine in Zig
 Serves the files below a folder over HTTP/1.1 and HTTP/2, with TLS where a
 certificate is given. It is one executable that needs no library. systemd
 opens its socket, hands it over, and starts the server in a sandbox when the
 first client comes.
`;
}

function sumsOf(files) {
  const sum = (data) => createHash('md5').update(data).digest('hex');
  // Of what is changed by the administrator there is none.
  return files
    .filter(({ path }) => !path.startsWith('etc/'))
    .map(({ path, data }) => `${sum(data)}  ${path}\n`)
    .sort((one, other) => (one.slice(34) < other.slice(34) ? -1 : 1))
    .join('');
}

function copyrightText(licences) {
  const own = readFileSync(at('LICENSE'), 'utf8').trimEnd();
  return `Gyrfalcon is under these terms, and what is linked into its executable under those below.\n\n${own}\n\n\n${licences}`;
}
