//! Frames as they are sent (RFC 6455 §5): heads, control frames, and messages in several of them.

const std = @import("std");
const assert = std.debug.assert;
const errors = @import("errors.zig");
const mask = @import("mask.zig");
const utf8 = @import("utf8.zig");

/// RFC 6455 §5.2
pub const Opcode = enum(u4) {
    continuation = 0x0,
    text = 0x1,
    binary = 0x2,
    close = 0x8,
    ping = 0x9,
    pong = 0xa,
    _,

    pub inline fn isControl(self: Opcode) bool {
        return @intFromEnum(self) >= 0x8;
    }
};

/// What a message's content is.
pub const Kind = enum(u1) {
    text,
    binary,

    pub fn opcode(self: Kind) Opcode {
        return if (self == .text) .text else .binary;
    }
};

/// Which end of a connection one is.
pub const Role = enum {
    server,
    /// Masks what it sends.
    client,
};

/// The payload of a control frame, bytes (§5.5).
pub const control_bytes_max = 125;
/// The reason in a Close, bytes.
pub const reason_bytes_max = control_bytes_max - 2;
/// A head: two bytes, a length of 64 bits, a key.
pub const head_bytes_max = 2 + 8 + 4;
/// A control frame, whole, bytes.
pub const control_frame_bytes_max = 2 + 4 + control_bytes_max;

/// What stands in front of a payload.
pub const Head = struct {
    opcode: Opcode,
    /// The last frame of its message.
    fin: bool = true,
    /// RSV1: the message is compressed (RFC 7692 §6). On the first frame of a message only.
    compressed: bool = false,
    /// Of the payload, bytes.
    len: u63,
    /// A client has one for each frame, which nobody can foresee (§10.3).
    key: ?mask.Key = null,

    /// What it takes, bytes.
    pub fn bytes(self: *const Head) usize {
        const extended: usize = if (self.len <= 125) 0 else if (self.len <= 0xffff) 2 else 8;
        return 2 + extended + @as(usize, if (self.key == null) 0 else 4);
    }

    /// Writes it, and returns what was written.
    pub fn write(self: *const Head, out: *[head_bytes_max]u8) []u8 {
        assert(!self.opcode.isControl() or (self.fin and self.len <= control_bytes_max));
        assert(!self.compressed or self.opcode == .text or self.opcode == .binary);
        out[0] = @as(u8, @intFromEnum(self.opcode)) |
            (@as(u8, @intFromBool(self.fin)) << 7) |
            (@as(u8, @intFromBool(self.compressed)) << 6);
        const masked: u8 = if (self.key == null) 0 else 0x80;
        var at: usize = 2;
        if (self.len <= 125) {
            out[1] = masked | @as(u8, @intCast(self.len));
        } else if (self.len <= 0xffff) {
            out[1] = masked | 126;
            std.mem.writeInt(u16, out[2..4], @intCast(self.len), .big);
            at = 4;
        } else {
            out[1] = masked | 127;
            std.mem.writeInt(u64, out[2..10], self.len, .big);
            at = 10;
        }
        if (self.key) |key| {
            out[at..][0..4].* = key;
            at += 4;
        }
        assert(at == self.bytes());
        return out[0..at];
    }
};

/// Writes a control frame to `out` and returns it. A payload has at most `control_bytes_max`.
pub fn writeControl(
    out: *[control_frame_bytes_max]u8,
    opcode: Opcode,
    payload: []const u8,
    key: ?mask.Key,
) []u8 {
    assert(opcode.isControl() and payload.len <= control_bytes_max);
    const head: Head = .{ .opcode = opcode, .len = @intCast(payload.len), .key = key };
    const head_len = head.write(out[0..head_bytes_max]).len;
    const copy = out[head_len..][0..payload.len];
    // It may be from a frame that came: its place is never this one.
    @memcpy(copy, payload);
    if (key) |own| _ = mask.apply(copy, own);
    return out[0 .. head_len + payload.len];
}

/// Writes a Close to `out` and returns it. `code`: one that may be sent, or null, and no reason
/// then. Of a `reason`, UTF-8, that is too long the end is left out.
pub fn writeClose(
    out: *[control_frame_bytes_max]u8,
    code: ?errors.Code,
    reason: []const u8,
    key: ?mask.Key,
) []u8 {
    var payload: [control_bytes_max]u8 = undefined;
    const sent = code orelse {
        assert(reason.len == 0);
        return writeControl(out, .close, "", key);
    };
    assert(sent.maySend());
    std.mem.writeInt(u16, payload[0..2], @intFromEnum(sent), .big);
    const short = shortened(reason);
    assert(utf8.isValid(short));
    @memcpy(payload[2..][0..short.len], short);
    return writeControl(out, .close, payload[0 .. 2 + short.len], key);
}

/// As much of a reason as fits, in whole characters.
fn shortened(reason: []const u8) []const u8 {
    if (reason.len <= reason_bytes_max) return reason;
    var len: usize = reason_bytes_max;
    while (len > 0 and reason[len] & 0xc0 == 0x80) len -= 1;
    return reason[0..len];
}

/// The frames of a message whose length is known: each takes what follows of its bytes.
pub const Fragments = struct {
    kind: Kind,
    compressed: bool = false,
    /// Bytes that no frame has yet.
    left: u63,
    /// Of one frame, bytes; not 0.
    bytes_max: u63,
    is_first: bool = true,
    is_done: bool = false,

    /// The next frame's head, `key` aside; null behind the last.
    pub fn next(self: *Fragments) ?Head {
        assert(self.bytes_max > 0);
        if (self.is_done) return null;
        const len = @min(self.left, self.bytes_max);
        const head: Head = .{
            .opcode = if (self.is_first) self.kind.opcode() else .continuation,
            .fin = len == self.left,
            .compressed = self.compressed and self.is_first,
            .len = len,
        };
        self.left -= len;
        self.is_first = false;
        self.is_done = head.fin;
        return head;
    }
};

const testing = std.testing;

test "a length has as few bytes as it needs (RFC 6455 §5.2)" {
    var out: [head_bytes_max]u8 = undefined;
    inline for (.{
        .{ 0, "\x82\x00" },
        .{ 125, "\x82\x7d" },
        .{ 126, "\x82\x7e\x00\x7e" },
        .{ 0xffff, "\x82\x7e\xff\xff" },
        .{ 0x10000, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" },
        .{ std.math.maxInt(u63), "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff" },
    }) |case| {
        const head: Head = .{ .opcode = .binary, .len = case[0] };
        try testing.expectEqualSlices(u8, case[1], head.write(&out));
        const masked: Head = .{ .opcode = .binary, .len = case[0], .key = "abcd".* };
        const written = masked.write(&out);
        try testing.expectEqual(case[1].len + 4, written.len);
        try testing.expect(written[1] & 0x80 != 0);
        try testing.expectEqualStrings("abcd", written[written.len - 4 ..]);
    }
}

test "the examples of RFC 6455 §5.7 are written as they stand there" {
    var out: [control_frame_bytes_max]u8 = undefined;
    const text: Head = .{ .opcode = .text, .len = 5 };
    try testing.expectEqualSlices(u8, "\x81\x05", text.write(out[0..head_bytes_max]));
    const key = "\x37\xfa\x21\x3d".*;
    const masked: Head = .{ .opcode = .text, .len = 5, .key = key };
    const head = masked.write(out[0..head_bytes_max]);
    try testing.expectEqualSlices(u8, "\x81\x85\x37\xfa\x21\x3d", head);
    var hello = "Hello".*;
    _ = mask.apply(&hello, key);
    try testing.expectEqualSlices(u8, "\x7f\x9f\x4d\x51\x58", &hello);
    const ping = writeControl(&out, .ping, "Hello", null);
    try testing.expectEqualSlices(u8, "\x89\x05Hello", ping);
    const pong = writeControl(&out, .pong, "Hello", key);
    try testing.expectEqualSlices(u8, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", pong);
}

test "a Close has a code and a reason, or nothing (RFC 6455 §5.5.1)" {
    var out: [control_frame_bytes_max]u8 = undefined;
    try testing.expectEqualSlices(u8, "\x88\x00", writeClose(&out, null, "", null));
    try testing.expectEqualSlices(
        u8,
        "\x88\x05\x03\xe8bye",
        writeClose(&out, .normal, "bye", null),
    );
}

test "a reason that is too long for a Close is cut between two characters" {
    var out: [control_frame_bytes_max]u8 = undefined;
    inline for (.{ "\u{e9}", "\u{20ac}", "\u{1f600}", "a" }) |char| {
        const frame = writeClose(&out, .normal, char ** 130, null);
        const reason = frame[4..];
        try testing.expect(utf8.isValid(reason));
        try testing.expect(reason.len > reason_bytes_max - 4 and reason.len <= reason_bytes_max);
    }
}

test "a message above the limit becomes frames of that limit (RFC 6455 §5.4)" {
    inline for (.{ 0, 1, 9, 10, 11, 20, 21 }) |len| {
        var fragments: Fragments = .{
            .kind = .text,
            .compressed = true,
            .left = len,
            .bytes_max = 10,
        };
        var count: usize = 0;
        var sum: u63 = 0;
        while (fragments.next()) |head| : (count += 1) {
            const is_first = count == 0;
            try testing.expectEqual(is_first, head.opcode == .text);
            try testing.expectEqual(is_first, head.compressed);
            try testing.expectEqual(!is_first, head.opcode == .continuation);
            sum += head.len;
            try testing.expectEqual(sum == len, head.fin);
            try testing.expect(head.len <= 10 and (head.len > 0 or len == 0));
        }
        try testing.expectEqual(len, sum);
        try testing.expectEqual(@max(1, (len + 9) / 10), count);
    }
}
