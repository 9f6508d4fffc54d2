//! What is wrong with something that the user gave, in words for the user.

const std = @import("std");

/// Filled in by who refuses, read by who tells. `hint` may point into the value itself: it stays
/// where it is.
pub const Defect = struct {
    /// Stable: docs/ERRORS.md.
    code: []const u8 = "GYR_ENGINE_FAILED",
    buffer: [512]u8 = undefined,
    len: usize = 0,
    /// What to do about it; "" when the message says it all.
    hint: []const u8 = "",
    hint_buffer: [256]u8 = undefined,

    pub fn message(self: *const Defect) []const u8 {
        return self.buffer[0..self.len];
    }

    pub fn set(
        self: *Defect,
        code: []const u8,
        hint: []const u8,
        comptime fmt: []const u8,
        args: anytype,
    ) void {
        self.code = code;
        self.hint = hint;
        self.len = print(&self.buffer, fmt, args).len;
    }

    /// A hint that has to be put together.
    pub fn setHint(self: *Defect, comptime fmt: []const u8, args: anytype) void {
        self.hint = print(&self.hint_buffer, fmt, args);
    }

    /// Cut at the buffer's end.
    fn print(buffer: []u8, comptime fmt: []const u8, args: anytype) []const u8 {
        return std.fmt.bufPrint(buffer, fmt, args) catch buffer;
    }
};
