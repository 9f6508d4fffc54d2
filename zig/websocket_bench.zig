//! What of WebSocket bench/micro/websocket.zig times: zlib-ng has to be linked with it, which the
//! public module is free of.

pub const connection = @import("websocket/connection.zig");
pub const deflate = @import("websocket/deflate.zig");
pub const frame_decoder = @import("websocket/frame_decoder.zig");
pub const frames = @import("websocket/frames.zig");
pub const mask = @import("websocket/mask.zig");
pub const utf8 = @import("websocket/utf8.zig");
