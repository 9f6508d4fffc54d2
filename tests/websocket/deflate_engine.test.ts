// tests/websocket/compression.ts, of a handler in Zig.
await import(new URL('./compression.ts?kind=zig', import.meta.url).href);

export {};
