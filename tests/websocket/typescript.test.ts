// tests/websocket/sections.ts, of a handler in TypeScript.
// @ts-expect-error: tsc knows no file of this name
await import('./sections.ts?kind=typescript');

export {};
