// tests/websocket/sections.ts, of a handler in Zig, over HTTP/2.
await import(new URL('./sections.ts?kind=zig&over=http2', import.meta.url).href);

export {};
