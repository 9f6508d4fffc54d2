/** An explanation as people read it. */
import { relative } from 'node:path';
import type {
  ExplainedAnswer,
  ExplainedConstant,
  ExplainedFiles,
  ExplainedHandler,
  ExplainedRoute,
  ExplainedTarget,
  Explanation,
} from './explanation.ts';

const every = 'every method';
const labelWidth = every.length + 2;
/** Of patterns that go before another one, so many are named. */
const namedMax = 6;

/** The text, with a line feed at its end. Files are named from `folder`. */
export function explanationText(explanation: Explanation, folder: string): string {
  const { routes, fetch, unusual, warnings } = explanation;
  const blocks = [
    headLine(explanation),
    ...(warnings.length === 0 ? [] : [warnings.map((text) => `warning: ${text}`).join('\n')]),
    ...byPattern(routes).map((group) => patternBlock(group, routes, folder)),
    restBlock(fetch, unusual, folder),
    ...notes(explanation),
  ];
  return `${blocks.join('\n\n')}\n`;
}

function headLine({ app, mode, modeReason, threads, routes }: Explanation): string {
  const handlers =
    threads === 0
      ? 'the main thread'
      : counted(threads, 'thread of their own', 'threads of their own');
  const where = mode === 'inline' ? 'inline' : 'in threads';
  return `${app}: ${counted(routes.length, 'route', 'routes')}. Engine workers ${where} (${modeReason}), handlers in ${handlers}.`;
}

function byPattern(routes: readonly ExplainedRoute[]): ExplainedRoute[][] {
  const groups = new Map<string, ExplainedRoute[]>();
  for (const route of routes) {
    const group = groups.get(route.pattern);
    if (group === undefined) groups.set(route.pattern, [route]);
    else group.push(route);
  }
  return [...groups.values()];
}

function patternBlock(
  group: readonly ExplainedRoute[],
  all: readonly ExplainedRoute[],
  folder: string,
): string {
  const { pattern, canonical, path, methods } = group[0] as ExplainedRoute;
  const lines = [canonical === pattern ? pattern : `${pattern} (${canonical})`];
  for (const route of group) {
    lines.push(labelled(labelOf(route, all, group.length), targetText(route.target, folder)));
    if (route.unreachable !== null) lines.push(labelled('', `never reached: ${route.unreachable}`));
    else if (route.yieldsTo.length > 0) lines.push(labelled('', `behind ${some(route.yieldsTo)}`));
  }
  const own = new Set(group.map((route) => all.indexOf(route)));
  lines.push(...elsewhere(methods, path, own, all));
  return lines.join('\n');
}

/** The methods of a route: GET's answers HEAD where that has none. */
function labelOf(
  route: ExplainedRoute,
  all: readonly ExplainedRoute[],
  routesOfPattern: number,
): string {
  if (route.method === null) return routesOfPattern === 1 ? every : 'others';
  const { HEAD: head } = route.methods;
  const answersHead = head?.by === 'route' && all[head.route] === route && route.method === 'GET';
  return answersHead ? 'GET, HEAD' : route.method;
}

/** A line for each answer that is not of the pattern's own routes. */
function elsewhere(
  methods: ExplainedRoute['methods'],
  path: string,
  own: ReadonlySet<number>,
  all: readonly ExplainedRoute[],
): string[] {
  const groups = new Map<string, string[]>();
  for (const [method, answer] of Object.entries(methods)) {
    if (answer.by === 'route' && own.has(answer.route)) continue;
    const at = answer.by === 'route' ? ` (${path})` : '';
    const text = answerText(answer, all) + at;
    groups.set(text, [...(groups.get(text) ?? []), method]);
  }
  return [...groups].map(([text, names]) =>
    labelled(groups.size === 1 ? 'others' : names.join(', '), text),
  );
}

function answerText(answer: ExplainedAnswer, all: readonly ExplainedRoute[]): string {
  if (answer.by === 'fetch') return 'fetch';
  if (answer.by === 'engine') {
    const { status, allow } = answer;
    return `${status} by the engine${allow === null ? '' : `, Allow: ${allow}`}`;
  }
  const { pattern, method } = all[answer.route] as ExplainedRoute;
  return `${method ?? every} of ${pattern}`;
}

function targetText(target: ExplainedTarget, folder: string): string {
  if (target.kind === 'constant') return constantText(target);
  return target.kind === 'files' ? filesText(target, folder) : handlerText(target, folder);
}

function constantText({ status, bytes, contentType, etag }: ExplainedConstant): string {
  const type = contentType === null ? '' : ` of ${contentType}`;
  const tag = etag === null ? '' : `, ETag ${etag}`;
  return `constant, by the engine: ${status}, ${counted(bytes, 'byte', 'bytes')}${type}${tag}`;
}

function filesText(files: ExplainedFiles, folder: string): string {
  const { index, cacheBytes, maxAge, dotfiles } = files;
  const parts = [
    `files, by the engine: ${shortened(files.folder, folder)}`,
    index.length === 0 ? 'no index' : `index ${index.join(', ')}`,
    cacheBytes === 0 ? 'none kept in memory' : `small ones kept in ${cacheBytes} bytes`,
    ...(maxAge === null ? [] : [`max-age ${maxAge}`]),
    ...(dotfiles ? ['dotfiles too'] : []),
  ];
  return parts.join(', ');
}

function handlerText(handler: ExplainedHandler, folder: string): string {
  const { name, file, line, column, crosses } = handler;
  const where = file === null ? [] : [`${shortened(file, folder)}:${line}:${column}`];
  const parts = [name ?? 'a function without a name', ...where];
  const parameters = crosses.find(({ part }) => part === 'parameters');
  const told =
    parameters === undefined ? '' : `; with parameters ${parameters.what.replace(/^.*: /, '')}`;
  return `JavaScript: ${parts.join(', ')}${told}`;
}

function restBlock(
  fetch: ExplainedHandler | null,
  unusual: Explanation['unusual'],
  folder: string,
): string {
  const lines = [
    'everything else',
    labelled(every, fetch === null ? '404 by the engine' : handlerText(fetch, folder)),
    ...Object.entries(unusual).map(([name, answer]) => labelled(name, answerText(answer, []))),
  ];
  return lines.join('\n');
}

/** What holds for all targets of a kind, once. */
function notes({ routes, fetch }: Explanation): string[] {
  const targets = [...routes.map(({ target }) => target), ...(fetch === null ? [] : [fetch])];
  const has = (kind: ExplainedTarget['kind']): boolean => targets.some((one) => one.kind === kind);
  const handlers = targets.filter((one) => one.kind === 'javascript');
  return [
    ...(has('constant')
      ? [
          'Constants are laid out when the server starts, and never reach JavaScript. HEAD gets the fields alone.\n' +
            'Conditions (If-None-Match) and Range are not looked at: each answer is whole.',
        ]
      : []),
    ...(has('files')
      ? [
          'Files never reach JavaScript: GET and HEAD, ETag and Last-Modified, conditions (304, 412), one range (206, 416).\n' +
            'They are sent as they are: no precompressed form is looked for.',
        ]
      : []),
    ...(handlers.length > 0 ? [crossingText(handlers)] : []),
  ];
}

/** Handlers differ in their parameters alone: one that has some stands for all. */
function crossingText(handlers: readonly ExplainedHandler[]): string {
  const [most] = handlers.toSorted((a, b) => b.crosses.length - a.crosses.length);
  const lines = (most?.crosses ?? []).map(({ part, what, why }) => {
    const text = part === 'parameters' ? 'where in the path they are' : what;
    return `${labelled(part, text)}\n${labelled('', `(${why})`)}`;
  });
  return ['What crosses the ring to JavaScript, of each request:', ...lines].join('\n');
}

function labelled(label: string, text: string): string {
  return `  ${label.padEnd(labelWidth)}${label.length >= labelWidth ? '  ' : ''}${text}`;
}

function some(patterns: readonly string[]): string {
  if (patterns.length <= namedMax) return patterns.join(', ');
  return `${patterns.slice(0, namedMax).join(', ')} and ${patterns.length - namedMax} more`;
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Below the folder: from there on. */
function shortened(path: string, folder: string): string {
  const short = relative(folder, path);
  return short === '' || short.startsWith('..') ? path : short;
}
