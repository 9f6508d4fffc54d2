/** What the packages are run by: versions of Node.js, and what else there is. Each is there, or `lacks` says why not. */
import { project } from '../support/process.ts';

interface Program {
  readonly title: string;
  readonly path: string;
  readonly lacks: string | undefined;
}

const { nodeThere } = (await import(project('scripts', 'lib', 'nodes.mjs'))) as {
  nodeThere(major: number): string | undefined;
};
const tools = (await import(project('bench', 'lib', 'tools.mjs'))) as {
  bun(): Promise<string>;
  deno(): Promise<string>;
};

const ownMajor = Number.parseInt(process.versions.node, 10);

function node(major: number): Program {
  const path = major === ownMajor ? process.execPath : nodeThere(major);
  const lacks =
    path === undefined ? 'it is not there: npm test -- --only packages gets it' : undefined;
  return { title: `Node.js ${major}`, path: path ?? '', lacks };
}

async function other(title: string, find: () => Promise<string>, command: string) {
  let path = '';
  let lacks: string | undefined;
  try {
    path = await find();
  } catch (error) {
    lacks = (error as Error).message.split('\n')[0];
  }
  return { title, path, lacks, command };
}

export const programs = {
  nodes: [20, 22, 24].map(node),
  /** One that the packages are not for. */
  oldNode: node(18),
  /** `command`: how one starts the package's command. */
  others: [
    await other('Bun', tools.bun, 'bun x --bun gyrfalcon start'),
    await other('Deno', tools.deno, 'deno run -A node_modules/gyrfalcon/bin/gyrfalcon.mjs start'),
  ],
};
