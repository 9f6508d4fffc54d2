// tests/websocket/sections.ts, of a handler in Zig.
// @ts-expect-error: tsc knows no file of this name
await import('./sections.ts?kind=zig');

export {};
