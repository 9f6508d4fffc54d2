// A framework on the server that is usual for it: node bench/peers/framework.mjs NAME PORT
const [, , name, port] = process.argv;
const { listen } = await import(`../../tests/frameworks/apps/race/${name}.mjs`);
await listen(Number(port));
