/** Where functions are in the source, as the debugger's interface tells. */
import { createRequire, findSourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';

/** A place in a file that somebody wrote: before types were erased, or a bundle made. */
export interface SourceLocation {
  /** Absolute path; the script's name where it is no file. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}

/** Of a function: its own name and place; those of the function that it was bound from. */
export interface FunctionSource {
  /** Null: it has none. */
  readonly name: string | null;
  /** Null: it is none of JavaScript's, or this Node.js has no inspector. */
  readonly location: SourceLocation | null;
}

interface Property {
  name: string;
  value?: {
    objectId?: string;
    value?: { scriptId: string; lineNumber: number; columnNumber: number };
  };
}

/** The part of inspector.Session that is used. On its own thread it calls back before `post` returns. */
interface Session {
  connect(): void;
  disconnect(): void;
  on(event: string, listener: (message: { params: unknown }) => void): void;
  post(
    method: string,
    params: object,
    callback: (error: Error | null, result: Record<string, unknown>) => void,
  ): void;
}

/** Under this name the inspector finds what it is asked about. */
const shelf = Symbol.for('gyrfalcon.located');
const boundPrefix = /^(?:bound )+/;

/** Sources of many functions, in their order. */
export function sourcesOf(functions: readonly unknown[]): FunctionSource[] {
  const locations = locationsOf(functions);
  return functions.map((one, i) => ({
    name: (one as { name?: string }).name?.replace(boundPrefix, '') || null,
    location: locations[i] ?? null,
  }));
}

function locationsOf(functions: readonly unknown[]): (SourceLocation | null)[] {
  const inspector = loadInspector();
  if (inspector === null) return [];
  const session = new inspector.Session();
  const scripts = new Map<string, string>();
  session.connect();
  Reflect.set(globalThis, shelf, functions);
  try {
    session.on('Debugger.scriptParsed', ({ params }) => {
      const { scriptId, url } = params as { scriptId: string; url: string };
      scripts.set(scriptId, url);
    });
    ask(session, 'Debugger.enable', {});
    return functions.map((_, i) => locationOf(session, scripts, `[${i}]`));
  } finally {
    Reflect.deleteProperty(globalThis, shelf);
    session.disconnect();
  }
}

/** Node.js can be built without it. */
function loadInspector(): { Session: new () => Session } | null {
  try {
    return createRequire(import.meta.url)('node:inspector') as { Session: new () => Session };
  } catch {
    return null;
  }
}

function ask(session: Session, method: string, params: object): Record<string, unknown> {
  let answer: Record<string, unknown> = {};
  session.post(method, params, (error, result) => {
    if (error === null) answer = result;
  });
  return answer;
}

function locationOf(
  session: Session,
  scripts: ReadonlyMap<string, string>,
  place: string,
): SourceLocation | null {
  const expression = `globalThis[Symbol.for('gyrfalcon.located')]${place}`;
  const { result } = ask(session, 'Runtime.evaluate', { expression });
  let objectId = (result as { objectId?: string } | undefined)?.objectId;
  while (objectId !== undefined) {
    const params = { objectId, ownProperties: true };
    const { internalProperties } = ask(session, 'Runtime.getProperties', params);
    const properties = (internalProperties ?? []) as Property[];
    const found = properties.find(({ name }) => name === '[[FunctionLocation]]')?.value?.value;
    if (found !== undefined) {
      const url = scripts.get(found.scriptId) ?? '';
      return url === '' ? null : written(url, found.lineNumber, found.columnNumber);
    }
    objectId = properties.find(({ name }) => name === '[[TargetFunction]]')?.value?.objectId;
  }
  return null;
}

/** By the source map, where there is one. Lines and columns are counted from 0 on both sides of it. */
function written(url: string, line: number, column: number): SourceLocation {
  const entry = findSourceMap(url)?.findEntry(line, column);
  if (entry !== undefined && 'originalSource' in entry) {
    const { originalSource, originalLine, originalColumn } = entry;
    return { file: pathOf(originalSource), line: originalLine + 1, column: originalColumn + 1 };
  }
  return { file: pathOf(url), line: line + 1, column: column + 1 };
}

function pathOf(url: string): string {
  return url.startsWith('file:') ? fileURLToPath(url) : url;
}
