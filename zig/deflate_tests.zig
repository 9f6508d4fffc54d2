//! The tests of what is linked with zlib-ng: `zig build test-deflate`.

test {
    _ = @import("websocket/deflate.zig");
}
