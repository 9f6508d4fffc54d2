/** The Markdown files of this project, and what they name. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { project, root } from '../support/process.ts';
import { type Command, commandsOf } from './markdown.ts';

/** What earlier versions had may be gone. */
const history = 'CHANGELOG.md';

export interface Pages {
  readonly names: readonly string[];
  /** Each command once, by its text. */
  readonly commands: ReadonlyMap<string, Command>;
  /** `file:line` of commands that stand where they would not be found. */
  readonly strays: readonly string[];
}

/** Reads the pages that git knows. There are none when this is no clone. */
export function readPages(): Pages {
  const listing = spawnSync('git', ['ls-files', '-z', '*.md'], { cwd: root, encoding: 'utf8' });
  const names = (listing.status === 0 ? listing.stdout : '')
    .split('\0')
    .filter((name) => name !== '' && name !== history && existsSync(project(name)));
  const commands = new Map<string, Command>();
  const strays: string[] = [];
  for (const name of names) {
    const markdown = readFileSync(project(name), 'utf8');
    for (const command of commandsOf(name, markdown, (where) => strays.push(where))) {
      if (!commands.has(command.text)) commands.set(command.text, command);
    }
  }
  return { names, commands, strays };
}
