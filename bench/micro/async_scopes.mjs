// What it costs to call a handler so that it starts in a known async context, and leaves nothing in it.
//
//   node bench/micro/async_scopes.mjs [--smoke]
//
// Nanoseconds per call with the object that stands for the request, the median of several batches: with async_hooks
// off, with an AsyncLocalStorage in use, and with an init hook beside it. "leaks" is whether `enterWith` of one call is
// found by the next on this Node.js.
import { AsyncLocalStorage, AsyncResource, createHook } from 'node:async_hooks';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { smoke: { type: 'boolean', default: false } } });
const calls = values.smoke ? 640 : 192_000;
const batches = values.smoke ? 1 : 7;
/** Calls of one turn, where calls are put off. */
const turn = 64;

/** As a request's exchange: some fields, and perhaps a resource. */
class Plain {
  constructor(handler) {
    this.handler = handler;
    this.phase = 0;
    this.body = null;
  }
}
class Resource extends AsyncResource {
  constructor(handler) {
    super('REQUEST');
    this.handler = handler;
    this.phase = 0;
    this.body = null;
  }
}

const run = (request) => request.handler(request);
const kept = new AsyncResource('KEPT');
const snapshot = AsyncLocalStorage.snapshot();
const settled = Promise.resolve();

/** Ways to call `handler`. One that puts it off gives a promise of its end. */
const ways = {
  'called as it is': (handler) => run(new Plain(handler)),
  'a resource per call': (handler) => {
    const request = new Plain(handler);
    new AsyncResource('REQUEST').runInAsyncScope(run, null, request);
  },
  'the request is the resource': (handler) => {
    const request = new Resource(handler);
    request.runInAsyncScope(run, null, request);
  },
  'one resource for all': (handler) => kept.runInAsyncScope(run, null, new Plain(handler)),
  'AsyncLocalStorage.snapshot': (handler) => snapshot(run, new Plain(handler)),
  'a promise job per call': (handler) => {
    const request = new Plain(handler);
    return settled.then(() => run(request));
  },
  'queueMicrotask per call': (handler) => {
    const request = new Plain(handler);
    return new Promise((resolve) => {
      queueMicrotask(() => {
        run(request);
        resolve();
      });
    });
  },
};

let sink = 0;
const work = (request) => {
  sink += request.phase;
};

async function batchOf(way) {
  const start = process.hrtime.bigint();
  for (let i = 0; i < calls; i += turn) {
    let last;
    for (let j = 0; j < turn; j++) last = way(work);
    if (last !== undefined) await last;
  }
  return Number(process.hrtime.bigint() - start) / calls;
}

async function measure() {
  const medians = {};
  for (const [name, way] of Object.entries(ways)) {
    const times = [];
    for (let batch = 0; batch <= batches; batch++) times.push(await batchOf(way));
    times.shift(); // the first one warms up
    times.sort((a, b) => a - b);
    medians[name] = Math.round(times[times.length >> 1]);
  }
  return medians;
}

/** Whether what one call enters is found by the next, of the same turn. */
async function leaksOf(way) {
  const store = new AsyncLocalStorage();
  const found = [];
  const handler = () => {
    found.push(store.getStore());
    store.enterWith('left behind');
  };
  await new Promise((resolve) => setImmediate(resolve));
  await Promise.all([way(handler), way(handler)]);
  return found[1] === undefined ? 'no' : 'yes';
}

const columns = { 'hooks off': await measure() };
const store = new AsyncLocalStorage();
store.enterWith({});
columns['storage in use'] = await measure();
const hook = createHook({ init() {} }).enable();
columns['init hook too'] = await measure();
hook.disable();
const rows = {};
for (const [name, way] of Object.entries(ways)) {
  rows[name] = { leaks: await leaksOf(way) };
  for (const [title, medians] of Object.entries(columns)) rows[name][title] = medians[name];
}
console.log(`Node.js ${process.version}, nanoseconds per call (sink ${sink})`);
console.table(rows);
