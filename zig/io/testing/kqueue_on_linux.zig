//! Whether the engine can be asked for kqueue on Linux, where testing/kevent.zig stands in for the
//! system's. For tests alone: `npm run test:io -- kqueue` sets it in a copy of this folder.

pub const enabled = false;
