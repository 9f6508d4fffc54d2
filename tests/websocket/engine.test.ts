// tests/websocket/sections.ts, of a handler in Zig.
await import(new URL('./sections.ts?kind=zig', import.meta.url).href);

export {};
