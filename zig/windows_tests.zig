//! The root of the tests that Windows is to pass beside those that every system does, which
//! `npm run test:io -- iocp` runs under wine. Each by its name, since most of what is imported has
//! tests of Linux too.

test {
    _ = @import("bridge/doorbell_windows.zig");
    _ = @import("core/system/windows.zig");
    _ = @import("handlers/windows_names.zig");
    _ = @import("io/backend_storm_test.zig");
    _ = @import("io/backend_test.zig");
    _ = @import("io/health.zig");
    _ = @import("io/iocp.zig");
    _ = @import("server/signals_windows.zig");
}
