// tests/websocket/sections.ts, of a handler in TypeScript, over HTTP/2.
await import(new URL('./sections.ts?kind=typescript&over=http2', import.meta.url).href);

export {};
