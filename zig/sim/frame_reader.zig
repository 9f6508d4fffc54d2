//! A strict reader of a server's frames (RFC 6455 §5), for the simulated clients. It shares no code
//! with the engine: what it does not find exactly as the RFC says is a violation.

const std = @import("std");
const Kind = @import("../websocket/frames.zig").Kind;

pub const Violation = error{
    Masked,
    ReservedBits,
    UnknownOpcode,
    LongControl,
    CutControl,
    LengthNotShortest,
    NoMessage,
    WithinMessage,
    BadClose,
};

/// A part of a message.
pub const Data = struct { kind: Kind, bytes: []const u8, ends: bool, compressed: bool };

pub const Event = union(enum) {
    /// All bytes were looked at.
    more,
    data: Data,
    ping: []const u8,
    pong: []const u8,
    /// Null: it has no code.
    close: ?u16,
};

pub const Reader = struct {
    /// It was agreed that messages may be (RFC 7692 §6).
    may_compress: bool = false,
    head: [10]u8 = undefined,
    head_len: usize = 0,
    /// Of the frame that is being read, bytes; null: its head is.
    left: ?u64 = null,
    control: [125]u8 = undefined,
    control_len: usize = 0,
    /// The message that has begun and not ended.
    kind: ?Kind = null,
    compressed: bool = false,

    /// The next thing that `bytes`, which becomes shorter, says.
    pub fn next(self: *Reader, bytes: *[]const u8) Violation!Event {
        if (self.left == null and !try self.readHead(bytes)) return .more;
        const opcode: u4 = @truncate(self.head[0]);
        const fin = self.head[0] & 0x80 != 0;
        const n: usize = @intCast(@min(self.left.?, bytes.len));
        const part = bytes.*[0..n];
        bytes.* = bytes.*[n..];
        self.left.? -= n;
        const is_whole = self.left.? == 0;
        if (is_whole) {
            self.left = null;
            self.head_len = 0;
        }
        if (opcode >= 8) {
            @memcpy(self.control[self.control_len..][0..n], part);
            self.control_len += n;
            return if (is_whole) self.controlEvent(opcode) else .more;
        }
        if (n == 0 and !is_whole) return .more;
        const kind = self.kind.?;
        if (is_whole and fin) self.kind = null;
        return .{ .data = .{
            .kind = kind,
            .bytes = part,
            .ends = is_whole and fin,
            .compressed = self.compressed,
        } };
    }

    fn controlEvent(self: *Reader, opcode: u4) Violation!Event {
        const payload = self.control[0..self.control_len];
        self.control_len = 0;
        if (opcode == 9) return .{ .ping = payload };
        if (opcode == 10) return .{ .pong = payload };
        if (payload.len == 1) return error.BadClose;
        if (payload.len == 0) return .{ .close = null };
        const code = std.mem.readInt(u16, payload[0..2], .big);
        const is_sent = (code >= 1000 and code <= 1014) or (code >= 3000 and code <= 4999);
        if (!is_sent or (code >= 1004 and code <= 1006)) return error.BadClose;
        if (!std.unicode.utf8ValidateSlice(payload[2..])) return error.BadClose;
        return .{ .close = code };
    }

    /// False: more of it is to come.
    fn readHead(self: *Reader, bytes: *[]const u8) Violation!bool {
        while (true) {
            if (self.head_len >= 2) {
                const short = self.head[1] & 0x7f;
                const wanted: usize = if (short == 126) 4 else if (short == 127) 10 else 2;
                if (self.head_len == wanted) {
                    self.left = switch (short) {
                        126 => std.mem.readInt(u16, self.head[2..4], .big),
                        127 => std.mem.readInt(u64, self.head[2..10], .big),
                        else => short,
                    };
                    try self.check();
                    return true;
                }
            }
            if (bytes.len == 0) return false;
            self.head[self.head_len] = bytes.*[0];
            self.head_len += 1;
            bytes.* = bytes.*[1..];
        }
    }

    fn check(self: *Reader) Violation!void {
        const opcode: u4 = @truncate(self.head[0]);
        const fin = self.head[0] & 0x80 != 0;
        const short = self.head[1] & 0x7f;
        if (self.head[1] & 0x80 != 0) return error.Masked;
        const begins_message = opcode == 1 or opcode == 2;
        const known: u8 = if (self.may_compress and begins_message) 0x40 else 0;
        if (self.head[0] & 0x70 & ~known != 0) return error.ReservedBits;
        if (short == 126 and self.left.? < 126) return error.LengthNotShortest;
        if (short == 127 and self.left.? < 0x1_0000) return error.LengthNotShortest;
        switch (opcode) {
            0 => if (self.kind == null) return error.NoMessage,
            1, 2 => {
                if (self.kind != null) return error.WithinMessage;
                self.kind = if (opcode == 1) .text else .binary;
                self.compressed = self.head[0] & 0x40 != 0;
            },
            8, 9, 10 => {
                if (short > 125) return error.LongControl;
                if (!fin) return error.CutControl;
            },
            else => return error.UnknownOpcode,
        }
    }
};

const testing = std.testing;

test "the reader takes frames in pieces, with pings between them, and finds what is wrong" {
    const text = "\x01\x02ab\x89\x01p\x80\x01c\x82\x00\x8a\x00\x88\x05\x03\xe8bye";
    for (0..text.len + 1) |cut| {
        var reader: Reader = .{};
        var seen: std.BoundedArray(u8, 16) = .{};
        var ends: usize = 0;
        for ([_][]const u8{ text[0..cut], text[cut..] }) |piece| {
            var rest = piece;
            while (true) switch (try reader.next(&rest)) {
                .more => break,
                .data => |data| {
                    seen.appendSliceAssumeCapacity(data.bytes);
                    ends += @intFromBool(data.ends);
                },
                .ping => |payload| try testing.expectEqualStrings("p", payload),
                .pong => |payload| try testing.expectEqual(0, payload.len),
                .close => |code| try testing.expectEqual(1000, code.?),
            };
        }
        try testing.expectEqualStrings("abc", seen.slice());
        try testing.expectEqual(2, ends);
    }
    var compressing: Reader = .{ .may_compress = true };
    for ([_]struct { []const u8, bool }{ .{ "\xc1\x01x", true }, .{ "\x81\x01x", false } }) |case| {
        var rest = case[0];
        try testing.expectEqual(case[1], (try compressing.next(&rest)).data.compressed);
    }
    var compressed_ping: []const u8 = "\xc9\x00";
    try testing.expectError(error.ReservedBits, compressing.next(&compressed_ping));
    const Case = struct { Violation, []const u8 };
    for ([_]Case{
        .{ error.Masked, "\x81\x80" },
        .{ error.ReservedBits, "\xc1\x00" },
        .{ error.UnknownOpcode, "\x83\x00" },
        .{ error.LongControl, "\x89\x7e\x00\x7e" },
        .{ error.CutControl, "\x09\x00" },
        .{ error.LengthNotShortest, "\x82\x7e\x00\x7d" },
        .{ error.LengthNotShortest, "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff" },
        .{ error.NoMessage, "\x80\x00" },
        .{ error.WithinMessage, "\x01\x00\x81\x00" },
        .{ error.BadClose, "\x88\x01x" },
        .{ error.BadClose, "\x88\x02\x03\xed" },
    }) |case| {
        var reader: Reader = .{};
        var rest = case[1];
        const found = while (true) {
            const event = reader.next(&rest) catch |err| break err;
            try testing.expect(event != .more);
        };
        try testing.expectEqual(case[0], found);
    }
}
