// The version: every file that tells it, and what the changelog says of it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, SetupError } from './project.mjs';

/** Of Semantic Versioning: three numbers, and behind a hyphen what comes before a release. */
export const versionPattern = /^(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}(?:-[0-9A-Za-z.-]+)?$/;

/** Files with the version, and where: each pattern is in its file once, or `times`; its second group is the version. */
export const places = [
  { file: 'package.json', pattern: /^( {2}"version": ")([^"]*)(",)$/gm },
  // Of the file, and of the package in it whose path is ''.
  {
    file: 'package-lock.json',
    pattern:
      /^( {2}"name": "gyrfalcon",\n {2}"version": "| {4}"": \{\n {6}"name": "gyrfalcon",\n {6}"version": ")([^"]*)(",)$/gm,
    times: 2,
  },
  {
    file: 'packages/create-gyrfalcon/package.json',
    pattern: /^( {2}"version": ")([^"]*)(",)$/gm,
  },
  { file: 'build.zig.zon', pattern: /^( {4}\.version = ")([^"]*)(",)$/gm },
  { file: 'zig/main.zig', pattern: /^(const version = ")([^"]*)(";)$/gm },
  // What is installed from what is published.
  { file: 'examples/10-container/package.json', pattern: /^( {4}"gyrfalcon": ")([^"]*)(")/gm },
  { file: 'examples/httparena/Dockerfile', pattern: /^(RUN npm install .* gyrfalcon@)(\S+)( )/gm },
  { file: 'docs/DEPLOYMENT.md', pattern: /(REGISTRY\/gyrfalcon:)([^\s:]+)()/g, times: 3 },
  { file: 'docs/ZIG.md', pattern: /(\/gyrfalcon-)([^\s/]+)(-zig\.tar\.gz)/g },
];

/**
 * The version that all of them tell. Throws a SetupError, which names files and versions, when they differ.
 *
 * @param {string} folder the checkout
 */
export function versionOf(folder = root) {
  const told = places.flatMap(({ file, pattern, times = 1 }) => {
    const found = [...readFileSync(join(folder, file), 'utf8').matchAll(pattern)];
    if (found.length !== times) {
      throw new SetupError(`${file} tells the version ${found.length} times, not ${times}.`);
    }
    return found.map(([, , version]) => ({ file, version }));
  });
  const [{ version }] = told;
  const other = told.find((one) => one.version !== version);
  if (other !== undefined) {
    throw new SetupError(
      `${other.file} tells ${other.version}, ${told[0].file} ${version}: npm run release:version -- ${version}`,
    );
  }
  return version;
}

/**
 * Writes a version into all of them, whatever they tell now, and into the changelog: a section for it, above the others,
 * unless it has one.
 *
 * @param {string} version
 * @param {string} folder the checkout
 * @returns {string[]} the files that have changed
 */
export function setVersion(version, folder = root) {
  if (!versionPattern.test(version)) {
    throw new SetupError(`"${version}" is no version of the form 1.2.3, or 1.2.3-rc.1.`);
  }
  // All are made before one is written.
  const texts = places.map(({ file, pattern, times = 1 }) => {
    const text = readFileSync(join(folder, file), 'utf8');
    const count = [...text.matchAll(pattern)].length;
    if (count !== times) throw new SetupError(`${file} tells the version ${count} times.`);
    return {
      file,
      text,
      changed: text.replace(pattern, (_, before, __, after) => before + version + after),
    };
  });
  const changelog = readFileSync(join(folder, 'CHANGELOG.md'), 'utf8');
  texts.push({
    file: 'CHANGELOG.md',
    text: changelog,
    changed:
      headingOf(changelog, version) === null
        ? changelog.replace(/^## /m, `## ${version} (unreleased)\n\n## `)
        : changelog,
  });
  const changed = texts.filter((one) => one.changed !== one.text);
  for (const { file, changed: text } of changed) writeFileSync(join(folder, file), text);
  return changed.map(({ file }) => file);
}

function headingOf(changelog, version) {
  const escaped = version.replaceAll('.', '\\.');
  return new RegExp(`^## ${escaped} \\((.*)\\)$`, 'm').exec(changelog);
}

/**
 * What the changelog says of a version. Throws a SetupError when it says nothing.
 *
 * @param {string} version
 * @param {string} folder the checkout
 * @returns {{ date: string | undefined, text: string }} `date`: YYYY-MM-DD; undefined while it says `unreleased`
 */
export function changesIn(version, folder = root) {
  const changelog = readFileSync(join(folder, 'CHANGELOG.md'), 'utf8');
  const heading = headingOf(changelog, version);
  if (heading === null) {
    throw new SetupError(
      `CHANGELOG.md has no section "## ${version} (YYYY-MM-DD)": npm run release:version -- ${version} makes one.`,
    );
  }
  const [line, when] = heading;
  const rest = changelog.slice(heading.index + line.length);
  const text = rest.split(/^## /m)[0].trim();
  if (text === '') throw new SetupError(`The section "${line}" of CHANGELOG.md is empty.`);
  const date = /^\d{4}-\d{2}-\d{2}$/.test(when) ? when : undefined;
  if (date === undefined && when !== 'unreleased') {
    throw new SetupError(`"${line}" of CHANGELOG.md: (YYYY-MM-DD) or (unreleased) is expected.`);
  }
  return { date, text };
}
