// Which test files run where, and which of them run at the same time.
import { availableParallelism } from 'node:os';
import { relative } from 'node:path';
import { at, filesBelow, root } from './project.mjs';

/** The test files below `folder` that the filter lets pass. */
export function testFiles({ filter = '' }, folder, except) {
  return filesBelow(at(folder), (path) => {
    return path.endsWith('.test.ts') && path.includes(filter) && !except?.test(path);
  });
}

/** Those whose paths match. */
export function matching(files, which) {
  return files.filter((path) => which.test(relative(root, path)));
}

/** What the suite of sockets does not hold. */
const notBlackbox = /^tests\/(?:examples|frameworks|images|packages|readme|release|targets|tls)\//;

/**
 * What no backend has to do with: files, modules and other programs are looked at, the words of heads, shapes of the API
 * in TypeScript, what zlib-ng makes of messages, inline mode, which names its backends.
 */
const aboutNoBackend =
  /^tests\/(?:bench|commands|docs|inline|runner|setup|support)\/|^tests\/(?:bridge\/captured|cli\/module_formats|differential\/differential|node\/parity|tools\/httplint|websocket\/(?:broker_\w+|deflate_\w+|hono|ws))\./;

/**
 * What of it takes longest and is about one part of the server, or says once more over HTTP/2 what others have said: more
 * than a third of its time. A plain `npm test`, which is to end within ten minutes, has it on one backend; the others have
 * it in continuous integration.
 */
const tail =
  /^tests\/(?:bridge\/(?:log|threads)|conformance\/rates|faults\/(?:budgets|storm)|http2\/(?:grpc|hostile_\w+)|listening\/sharing|node\/churn|places\/places|tools\/slowhttptest|websocket\/(?:engine|typescript|engine_http2|http2|typescript_http2))\./;

/**
 * The suite of sockets. `isAgain`: on another backend, once what has nothing to do with one has been tested; without its
 * longest files, where neither continuous integration nor somebody by a stage's or a file's name has asked for them
 * (`context.isWhole`).
 */
export function socketSuite(context, { isAgain = false } = {}) {
  const isLeftOut = (name) => aboutNoBackend.test(name) || (tail.test(name) && !context.isWhole);
  const files = testFiles(context, 'tests', notBlackbox);
  return isAgain ? files.filter((path) => !isLeftOut(relative(root, path))) : files;
}

/** What of it says of HTTP/1 what holds whatever lies below it, and resets no connection. */
export const aboutHttp =
  /^tests\/(?:conformance\/(?:engine|serve|messages|limits|timeouts|rates)|hardening\/(?:hardening|slow)|faults\/files)\./;

/** What of it asks by fetch(), or by a request of which it does not matter how it was written. */
export const aboutRequests =
  /^tests\/(?:bridge\/(?:context|framing|handlers|heads|multipart|request_members|serve|trailers)|clients\/clients|conformance\/(?:engine|paths|serve)|faults\/files|files\/|hardening\/names|http2\/over_http2)\b/;

/** Tests of the server over sockets that need nothing of the machine but a processor that may be slow. */
export const anywhere =
  /^tests\/(?:conformance\/(?:engine|limits|messages|timeouts)|faults\/(?:connections|half_close|keep_alive|resources|stop)|files\/|hardening\/(?:heads|slow)|listening\/hosts|load\/idle|regression\/peregrine|targets\/executables)/;

/** What of `anywhere` needs nothing that wine lacks: signals but Ctrl-C's, /proc. */
export const onWine =
  /^tests\/(?:conformance\/(?:engine|limits|messages|timeouts)|faults\/(?:budgets|connections|half_close|keep_alive|resources)|hardening\/(?:hardening|heads|slow)|listening\/hosts|regression\/peregrine|targets\/windows)/;

/** What the handlers' end of the bridge does; files that start Node.js themselves would start it for this processor. */
export const onArm64 =
  /^tests\/bridge\/(?:bodies|context|framing|handlers|heads|memory|multipart|request_members|serve|trailers)/;

/** They want the machine for themselves: they load it, share it out, or ask how long something took that is short. */
const alone =
  /^tests\/(?:bridge\/memory|conformance\/rates|faults\/storm|load\/|node\/churn|places\/|tools\/slowhttptest)/;

/** They wait for time to pass, with bounds that a busy machine may miss. Two of them leave each other a processor. */
const timed =
  /^tests\/(?:bridge\/(?:exit|request_members|threads)|conformance\/timeouts|faults\/(?:behind_end|budgets|half_close|keep_alive|stop)|files\/|hardening\/(?:names|slow)|http2\/hostile|listening\/|regression\/|websocket\/)/;

/**
 * Test files in the groups that run one after the other, with how many of a group run at a time: as many as there are
 * processors, two at most. A file that does nothing but ask and compare does not mind the one beside it.
 */
export function inGroups(files, processors = availableParallelism()) {
  const groupOf = (path) => {
    const name = relative(root, path);
    return alone.test(name) ? 'alone' : timed.test(name) ? 'timed' : 'other';
  };
  const two = Math.min(2, processors);
  return [
    { name: 'other', jobs: two },
    { name: 'timed', jobs: two },
    { name: 'alone', jobs: 1 },
  ]
    .map(({ name, jobs }) => ({ jobs, files: files.filter((path) => groupOf(path) === name) }))
    .filter((group) => group.files.length > 0);
}

/** What of it asks a server whose handlers are in TypeScript, and does not look at threads. */
export const servedByTypeScript =
  /^tests\/(?:bridge\/(?:bodies|context|exit|framing|handlers|heads|log|memory|multipart|permission|request_members|serve|trailers)|cli\/cli|conformance\/(?:limits|paths|serve|timeouts)|faults\/(?:connections|half_close|keep_alive|stop)|hardening\/(?:heads|names|slow)|http2\/(?:grpc|http2|node|push)|https\/\w+|inline\/\w+|node\/handler|regression\/bridge|websocket\/(?:hono|serve|typescript|ws))\./;

/** All lists of paths: a test holds that they name files. */
export const lists = {
  aboutHttp,
  aboutNoBackend,
  aboutRequests,
  alone,
  anywhere,
  notBlackbox,
  onArm64,
  onWine,
  servedByTypeScript,
  tail,
  timed,
};
