//! Why a connection is not read.

pub const Reason = enum(u3) {
    /// Too many responses are outstanding, or too many bytes unsent.
    output,
    /// The dispatcher had no room for the request.
    busy,
    /// The dispatcher has no room for the content.
    body,
    /// The connection may leave HTTP behind the last request.
    upgrade,
    /// Enough has come behind the last request; the connection is read again when it ends.
    end,
};

/// The reasons that hold. A connection is read again when none does.
pub const Pause = packed struct(u8) {
    output: bool = false,
    busy: bool = false,
    body: bool = false,
    upgrade: bool = false,
    end: bool = false,
    _: u3 = 0,

    pub fn any(self: Pause) bool {
        return @as(u8, @bitCast(self)) != 0;
    }

    pub fn has(self: Pause, reason: Reason) bool {
        return @as(u8, @bitCast(self)) & bit(reason) != 0;
    }

    pub fn set(self: *Pause, reason: Reason, on: bool) void {
        const others = @as(u8, @bitCast(self.*)) & ~bit(reason);
        self.* = @bitCast(others | if (on) bit(reason) else 0);
    }

    fn bit(reason: Reason) u8 {
        return @as(u8, 1) << @intFromEnum(reason);
    }
};

const testing = @import("std").testing;

test "a pause holds until its last reason has gone, and each is the field of its name" {
    var pause: Pause = .{};
    try testing.expect(!pause.any());
    pause.set(.busy, true);
    pause.set(.body, true);
    pause.set(.body, true);
    try testing.expectEqual(Pause{ .busy = true, .body = true }, pause);
    pause.set(.body, false);
    try testing.expect(pause.any() and pause.has(.busy) and !pause.has(.body));
    pause.set(.output, false); // it did not hold
    pause.set(.busy, false);
    try testing.expect(!pause.any());
}
