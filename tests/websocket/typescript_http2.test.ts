// tests/websocket/sections.ts, of a handler in TypeScript, over HTTP/2.
// @ts-expect-error: tsc knows no file of this name
await import('./sections.ts?kind=typescript&over=http2');

export {};
