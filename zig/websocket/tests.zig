//! The tests of this room.

test {
    _ = @import("account.zig");
    _ = @import("client_handshake.zig");
    _ = @import("connection.zig");
    _ = @import("errors.zig");
    _ = @import("extensions.zig");
    _ = @import("frame_decoder.zig");
    _ = @import("frames.zig");
    _ = @import("handshake.zig");
    _ = @import("mask.zig");
    _ = @import("permessage_deflate.zig");
    _ = @import("utf8.zig");
}
