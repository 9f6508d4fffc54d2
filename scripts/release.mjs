// `npm run release`: all files of a release, in build/release (docs/RELEASING.md). It publishes nothing. It wants a checkout
// without changes, one version in all files, and a dated section for it in CHANGELOG.md.
//   npm run release -- --dry-run          a rehearsal: tells what a release would be refused for, and goes on
//   npm run release -- --url URL          where the files will be downloaded from: Homebrew's formula names it
//   npm run release -- --url URL --homepage URL    and where one reads of it
//   npm run release -- linux-musl.x64     executables for these systems alone (npm run release:executables -- --list)
//   npm run release -- --npm none         without packages for npm; `here`: with the engine for this system alone
//   npm run release -- --to DIR           into another folder; what is in it goes
//   npm run release -- --partial          also what is without TLS or without compression
import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import { executableTarget, executableTargets } from './lib/executables.mjs';
import { packPackages } from './lib/packages.mjs';
import { SetupError } from './lib/project.mjs';
import { checkoutState, filesIn, makeRelease, releaseFolder, releaseTime } from './lib/release.mjs';
import { Progress } from './lib/run.mjs';
import { main, setup } from './lib/setup.mjs';
import { targets as engineTargets, targetHere } from './lib/targets.mjs';
import { changesIn, versionOf } from './lib/version.mjs';

await main(async () => {
  const { values, positionals } = parseArgs({
    options: {
      'dry-run': { type: 'boolean', default: false },
      homepage: { type: 'string' },
      npm: { type: 'string', default: 'all' },
      partial: { type: 'boolean', default: false },
      to: { type: 'string', default: releaseFolder },
      url: { type: 'string' },
    },
    allowPositionals: true,
  });
  const targets = positionals.length === 0 ? executableTargets : positionals.map(executableTarget);
  const engines = enginesFor(values.npm);
  const url = urlOf('--url', 'the folder with the files', values.url);
  const homepage = urlOf('--homepage', 'the page that tells of it', values.homepage);
  if (homepage !== undefined && url === undefined) {
    throw new SetupError('--homepage goes with --url: it is for the formula.');
  }
  const version = versionOf();
  const state = checkoutState();
  const hindrances = hindrancesOf(version, state);
  if (hindrances.length > 0 && !values['dry-run']) {
    throw new SetupError(`${hindrances.join('\n')}\n(--dry-run rehearses all the same)`);
  }
  for (const hindrance of hindrances) console.log(`a release would be refused: ${hindrance}`);

  const { zig } = await setup({ engine: false, quiet: true });
  const progress = new Progress({ quiet: true });
  const { to, partial: isPartial } = values;
  const addPackages =
    engines.length === 0
      ? undefined
      : (folder) => packPackages(engines, { zig, to: folder, isPartial }, progress);
  const given = [
    ...(values.npm === 'all' ? [] : ['--npm', values.npm]),
    ...(isPartial ? ['--partial'] : []),
    ...(url === undefined ? [] : ['--url', url]),
    ...(homepage === undefined ? [] : ['--homepage', homepage]),
    ...positionals,
  ];
  const places = { to, url, homepage };
  const release = { version, time: releaseTime(), zig, state, targets, isPartial, given };
  await makeRelease({ ...release, ...places, addPackages }, progress);
  console.log(`Gyrfalcon ${version}, in ${relative('', to) || '.'}:`);
  for (const name of filesIn(to)) console.log(`  ${name}`);
});

/** The engines whose packages are made, by what `--npm` says; none without packages. */
function enginesFor(which) {
  if (which === 'none') return [];
  if (which === 'all') return engineTargets;
  const here = targetHere();
  if (which === 'here') return engineTargets.filter(({ name }) => name === here.name);
  throw new SetupError(`--npm takes all, here or none, got ${which}.`);
}

/** What an option says, without the slash at its end. */
function urlOf(option, what, text) {
  if (text === undefined) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:') return text.replace(/\/+$/, '');
  throw new SetupError(`${option} takes the https: URL of ${what}, got ${text}.`);
}

/** Why what is here is no release; nothing when it is one. */
function hindrancesOf(version, { commit, isClean }) {
  const found = [];
  if (changesIn(version).date === undefined) {
    found.push(
      `CHANGELOG.md says that ${version} is unreleased: put the day in, "## ${version} (YYYY-MM-DD)".`,
    );
  }
  if (commit === undefined) found.push('This is no git clone: a release is of a commit.');
  else if (!isClean)
    found.push('There are changes that are not committed: a release is of a commit.');
  return found;
}
