// tests/websocket/sections.ts, of a handler in TypeScript.
await import(new URL('./sections.ts?kind=typescript', import.meta.url).href);

export {};
