/** Options that bench/idle.mjs asks for: 10,000 connections and more, held for minutes. */
const held = {
  maxConnections: 24_000,
  keepAliveTimeout: 3_600_000,
  headerTimeout: 3_600_000,
};

/** What the apps of the race add to the defaults: nothing, unless connections are to be held. */
export const limits = process.env.GYRFALCON_BENCH_IDLE === '1' ? held : {};
