// tests/websocket/compression.ts, of a handler in TypeScript.
await import(new URL('./compression.ts?kind=typescript', import.meta.url).href);

export {};
