/** The commands that Markdown names. */

/** A command as a page has it, without its comment. */
export interface Command {
  /** On one line, with single spaces. */
  readonly text: string;
  /** `file:line` of the first page that has it. */
  readonly where: string;
}

/** Languages of blocks that are typed into a shell; in `console`, what follows `$ `. */
const shells = new Set(['sh', 'bash', 'shell', 'console']);

/** What a command begins with. In running text a program's name alone is a name, not a command. */
const program = /^(?:npm|npx|node|zig|gyrfalcon|curl|git|go|python3?|pip|make) ./;
const ownProgram = /^(?:\.ci\/run|zig-out\/bin\/\S+)(?: |$)/;

/**
 * Commands of the shell blocks and of the code in running text of one page, in order. A line that looks like a command
 * and stands in a block of another kind is given to `stray`: there it would escape whoever runs these.
 */
export function commandsOf(
  page: string,
  markdown: string,
  stray: (where: string) => void,
): Command[] {
  const found: Command[] = [];
  const add = (text: string, line: number): void => {
    const command = text
      .replace(/(?:^|\s+)#.*$/, '')
      .replace(/\s+/g, ' ')
      .trim();
    if (command !== '') found.push({ text: command, where: `${page}:${line}` });
  };
  let language: string | undefined;
  let begun: { text: string; line: number } | undefined;
  const prose: string[] = [];
  for (const [at, line] of markdown.split('\n').entries()) {
    const fence = /^ *```(\w*)/.exec(line);
    prose.push(fence === null && language === undefined ? line : '');
    if (fence !== null) {
      language = language === undefined ? (fence[1] ?? '') : undefined;
    } else if (language === undefined || !shells.has(language)) {
      const isCode = language !== undefined || /^(?: {4}|\t)/.test(line);
      if (isCode && isCommand(line.trim())) stray(`${page}:${at + 1}`);
    } else if (language !== 'console' || begun !== undefined || line.startsWith('$ ')) {
      // A line that ends in a backslash goes on in the next one.
      begun ??= { text: '', line: at + 1 };
      begun.text += line.replace(/^\$ /, '').replace(/\\$/, '');
      if (line.endsWith('\\')) continue;
      add(begun.text, begun.line);
      begun = undefined;
    }
  }
  const text = prose.join('\n');
  for (const match of text.matchAll(/`([^`]+)`/g)) {
    const code = (match[1] as string).replace(/\s+/g, ' ');
    if (isCommand(code)) add(code, text.slice(0, match.index).split('\n').length);
  }
  return found;
}

function isCommand(text: string): boolean {
  return program.test(text) || ownProgram.test(text);
}
