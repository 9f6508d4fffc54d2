// tests/websocket/compression.ts, of a handler in Zig.
// @ts-expect-error: tsc knows no file of this name
await import('./compression.ts?kind=zig');

export {};
