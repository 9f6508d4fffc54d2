//! The tests of what is linked with zlib-ng: `zig build test-deflate`.

test {
    _ = @import("server/websocket/compression_test.zig");
    _ = @import("websocket/deflate.zig");
}
