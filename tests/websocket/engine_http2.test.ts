// tests/websocket/sections.ts, of a handler in Zig, over HTTP/2.
// @ts-expect-error: tsc knows no file of this name
await import('./sections.ts?kind=zig&over=http2');

export {};
