//! The tests of this room.

test {
    _ = @import("account.zig");
    _ = @import("connection.zig");
    _ = @import("frame_decoder.zig");
    _ = @import("frames.zig");
    _ = @import("hpack/decoder.zig");
    _ = @import("hpack/encoder.zig");
    _ = @import("hpack/huffman.zig");
    _ = @import("hpack/integer.zig");
    _ = @import("hpack/names.zig");
    _ = @import("hpack/table.zig");
    _ = @import("hpack/table_pool.zig");
    _ = @import("known_heads.zig");
    _ = @import("priority.zig");
    _ = @import("request.zig");
    _ = @import("response.zig");
    _ = @import("scheduler.zig");
    _ = @import("stream_map.zig");
    _ = @import("streams.zig");
    _ = @import("windows.zig");
}
