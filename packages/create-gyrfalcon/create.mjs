#!/usr/bin/env node
// `npm create gyrfalcon`: writes a project from a template into a folder that is empty. It asks nothing and installs nothing.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** What each template is, and what it needs beside gyrfalcon. */
const templates = {
  hello: { about: 'a constant, a handler, JSON' },
  hono: { about: 'a Hono application', dependencies: { hono: '^4.6.0' } },
  static: { about: 'a folder of files, and a handler beside it' },
  chat: { about: 'a WebSocket, and a page that talks to it' },
};

const usage = `Usage: npm create gyrfalcon [FOLDER] -- [--template NAME]

Writes a project into FOLDER (gyrfalcon-app unless given), which must be empty or not be there.

Templates:
${Object.entries(templates)
  .map(
    ([name, { about }]) =>
      `  ${name.padEnd(8)}${about}${name === 'hello' ? ' (unless given)' : ''}`,
  )
  .join('\n')}
`;

/** A mistake that a sentence tells of. */
class Mistake extends Error {}

try {
  run(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Mistake)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = 2;
}

function run(args) {
  const { values, positionals } = read(args);
  if (values.help) {
    console.log(usage);
    return;
  }
  const [folder = 'gyrfalcon-app', more] = positionals;
  if (more !== undefined) throw new Mistake(`one folder is enough, and "${more}" is another`);
  if (!Object.hasOwn(templates, values.template)) {
    const known = Object.keys(templates).join(', ');
    throw new Mistake(`there is no template "${values.template}"; there are ${known}`);
  }
  const template = templates[values.template];
  const path = resolve(folder);
  checkEmpty(path);
  write(path, values.template, template);
  tell(path, values.template);
}

function read(args) {
  const options = {
    template: { type: 'string', short: 't', default: 'hello' },
    help: { type: 'boolean', short: 'h', default: false },
  };
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new Mistake(
      `${error.message.replace(/\.? To specify.*$/s, '')}; --help tells what there is`,
    );
  }
}

/** A repository that was only just made counts as empty. */
function checkEmpty(path) {
  let names;
  try {
    names = existsSync(path) ? readdirSync(path).filter((name) => name !== '.git') : [];
  } catch (error) {
    if (error.code === 'ENOTDIR') throw new Mistake(`${path} is no folder: name another one`);
    throw error;
  }
  if (names.length === 0) return;
  throw new Mistake(`${path} is not empty, it has ${names[0]} in it: name another folder`);
}

function write(path, name, { dependencies = {} }) {
  const from = (folder) => fileURLToPath(new URL(`./templates/${folder}`, import.meta.url));
  mkdirSync(path, { recursive: true });
  cpSync(from(name), path, { recursive: true });
  cpSync(join(from('common'), 'tsconfig.json'), join(path, 'tsconfig.json'));
  // npm would not pack it under its own name.
  cpSync(join(from('common'), 'gitignore'), join(path, '.gitignore'));
  const { version } = JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8'));
  const manifest = {
    name: packageName(path),
    private: true,
    type: 'module',
    scripts: { start: 'gyrfalcon start app.ts' },
    dependencies: { gyrfalcon: `^${version}`, ...dependencies },
    devDependencies: { '@types/node': '^20.19.0' },
  };
  writeFileSync(join(path, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** The folder's name, as far as npm takes it for a package's. */
function packageName(path) {
  const name = basename(path)
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[._-]+|-+$/g, '');
  const isRefused = name === '' || name === 'node_modules' || name === 'favicon.ico'; // by npm
  return isRefused ? 'gyrfalcon-app' : name;
}

function tell(path, template) {
  const manager = /^(pnpm|yarn|bun)\b/.exec(process.env.npm_config_user_agent ?? '')?.[1] ?? 'npm';
  const folder = relative(process.cwd(), path);
  const enter = folder === '' ? '' : `cd ${/^[\w./-]+$/.test(folder) ? folder : `"${folder}"`} && `;
  console.log(`${path}: template ${template}\n\nNext:\n`);
  console.log(`  ${enter}${manager} install`);
  console.log(`  ${manager === 'npm' ? 'npm start' : `${manager} run start`}`);
}
