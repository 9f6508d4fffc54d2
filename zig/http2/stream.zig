//! What HTTP/2 knows of a stream.

const request = @import("request.zig");
const streams_file = @import("streams.zig");
const windows = @import("windows.zig");
const StreamId = @import("frames.zig").StreamId;

/// What the protocol knows of a stream; a part of what its owner has for it.
pub const Stream = struct {
    id: StreamId,
    state: streams_file.State,
    send: windows.SendWindow,
    receive: windows.ReceiveWindow,
    tuning: windows.Tuning = .{},
    content: request.Content,
    /// A CONNECT was answered with success: from here on DATA is all that either side sends (RFC
    /// 9113 §8.5).
    is_tunnel: bool = false,

    /// The server has begun it: its request is one that was promised.
    pub fn isPush(self: *const Stream) bool {
        return self.id % 2 == 0;
    }

    /// Nothing can be sent or received any more: it is to be released.
    pub fn isClosed(self: *const Stream) bool {
        return self.state == .closed;
    }

    /// What has come and is not consumed, bytes.
    pub fn heldBytes(self: *const Stream) u31 {
        const window = &self.receive;
        return window.size - window.open - window.owed;
    }
};
