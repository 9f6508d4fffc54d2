// tests/websocket/compression.ts, of a handler in TypeScript.
// @ts-expect-error: tsc knows no file of this name
await import('./compression.ts?kind=typescript');

export {};
