// A framework on Bun, by the way that is usual for it there: bun bench/peers/framework_bun.mjs NAME PORT
const [, , name, port] = process.argv;
const app = await import(`../../tests/frameworks/apps/race/${name}.mjs`);
const where = { port: Number(port), hostname: '127.0.0.1' };
if ('bun' in app) app.bun(where);
else Bun.serve({ ...where, fetch: app.fetch });
