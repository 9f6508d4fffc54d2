//! HTTP/2's frames (RFC 9113 §4.1, §6): what they are called, and how they are written to memory of
//! the caller's. How they are read is in `frame_decoder.zig`.

const std = @import("std");
const assert = std.debug.assert;
const errors = @import("errors.zig");

/// What a client sends first (RFC 9113 §3.4).
pub const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const header_bytes = 9;
/// SETTINGS_MAX_FRAME_SIZE before a peer says otherwise, and its least (§6.5.2).
pub const frame_bytes_initial = 16_384;
pub const frame_bytes_bound = (1 << 24) - 1;
/// Windows before a peer says otherwise, and the largest (§6.9).
pub const window_initial = 65_535;
pub const window_max = (1 << 31) - 1;

pub const StreamId = u31;

pub const Type = enum(u8) {
    data = 0x0,
    headers = 0x1,
    priority = 0x2,
    rst_stream = 0x3,
    settings = 0x4,
    push_promise = 0x5,
    ping = 0x6,
    goaway = 0x7,
    window_update = 0x8,
    continuation = 0x9,
    /// RFC 9218 §7.1
    priority_update = 0x10,
    _,
};

pub const Flags = packed struct(u8) {
    /// Of DATA and HEADERS; of SETTINGS and PING it is ACK.
    end_stream: bool = false,
    bit1: bool = false,
    end_headers: bool = false,
    padded: bool = false,
    bit4: bool = false,
    priority: bool = false,
    bit6: bool = false,
    bit7: bool = false,

    pub const ack: Flags = .{ .end_stream = true };
};

pub const Header = struct {
    /// Of the payload, bytes.
    len: u24,
    type: Type,
    flags: Flags = .{},
    /// 0: the connection.
    stream: StreamId,

    pub fn parse(bytes: *const [header_bytes]u8) Header {
        return .{
            .len = std.mem.readInt(u24, bytes[0..3], .big),
            .type = @enumFromInt(bytes[3]),
            .flags = @bitCast(bytes[4]),
            // The first bit is ignored (§4.1).
            .stream = @truncate(std.mem.readInt(u32, bytes[5..9], .big)),
        };
    }

    pub fn write(self: Header, out: *[header_bytes]u8) void {
        std.mem.writeInt(u24, out[0..3], self.len, .big);
        out[3] = @intFromEnum(self.type);
        out[4] = @bitCast(self.flags);
        std.mem.writeInt(u32, out[5..9], self.stream, .big);
    }
};

pub const SettingId = enum(u16) {
    header_table_size = 0x1,
    enable_push = 0x2,
    max_concurrent_streams = 0x3,
    initial_window_size = 0x4,
    max_frame_size = 0x5,
    max_header_list_size = 0x6,
    /// RFC 8441 §3
    enable_connect_protocol = 0x8,
    /// RFC 9218 §2.1
    no_rfc7540_priorities = 0x9,
    _,
};

pub const Setting = struct { id: SettingId, value: u32 };

pub const setting_bytes = 6;

/// Writes SETTINGS to the start of `out`, which has room, and returns its length.
pub fn writeSettings(out: []u8, settings: []const Setting) usize {
    const len = settings.len * setting_bytes;
    const header: Header = .{ .len = @intCast(len), .type = .settings, .stream = 0 };
    header.write(out[0..header_bytes]);
    for (settings, 0..) |setting, i| {
        const entry = out[header_bytes + i * setting_bytes ..][0..setting_bytes];
        std.mem.writeInt(u16, entry[0..2], @intFromEnum(setting.id), .big);
        std.mem.writeInt(u32, entry[2..6], setting.value, .big);
    }
    return header_bytes + len;
}

/// SETTINGS that acknowledges the peer's (§6.5.3).
pub const settings_ack: [header_bytes]u8 = blk: {
    var bytes: [header_bytes]u8 = undefined;
    const header: Header = .{ .len = 0, .type = .settings, .flags = .ack, .stream = 0 };
    header.write(&bytes);
    break :blk bytes;
};

pub const ping_bytes = header_bytes + 8;

pub fn writePing(out: *[ping_bytes]u8, opaque_data: [8]u8, is_ack: bool) void {
    const flags: Flags = if (is_ack) .ack else .{};
    const header: Header = .{ .len = 8, .type = .ping, .flags = flags, .stream = 0 };
    header.write(out[0..header_bytes]);
    out[header_bytes..].* = opaque_data;
}

pub const goaway_bytes = header_bytes + 8;

/// `last` is the last stream that was or may be served (§6.8).
pub fn writeGoaway(out: *[goaway_bytes]u8, last: StreamId, code: errors.Code) void {
    const header: Header = .{ .len = 8, .type = .goaway, .stream = 0 };
    header.write(out[0..header_bytes]);
    std.mem.writeInt(u32, out[header_bytes..][0..4], last, .big);
    std.mem.writeInt(u32, out[header_bytes + 4 ..][0..4], @intFromEnum(code), .big);
}

pub const rst_stream_bytes = header_bytes + 4;

pub fn writeRstStream(out: *[rst_stream_bytes]u8, stream: StreamId, code: errors.Code) void {
    assert(stream != 0);
    const header: Header = .{ .len = 4, .type = .rst_stream, .stream = stream };
    header.write(out[0..header_bytes]);
    std.mem.writeInt(u32, out[header_bytes..][0..4], @intFromEnum(code), .big);
}

pub const window_update_bytes = header_bytes + 4;

pub fn writeWindowUpdate(
    out: *[window_update_bytes]u8,
    stream: StreamId,
    increment: u31,
) void {
    assert(increment > 0);
    const header: Header = .{ .len = 4, .type = .window_update, .stream = stream };
    header.write(out[0..header_bytes]);
    std.mem.writeInt(u32, out[header_bytes..][0..4], increment, .big);
}

/// The header of DATA; `len` bytes follow.
pub fn writeDataHeader(
    out: *[header_bytes]u8,
    stream: StreamId,
    len: u24,
    end_stream: bool,
) void {
    assert(stream != 0);
    const header: Header = .{
        .len = len,
        .type = .data,
        .flags = .{ .end_stream = end_stream },
        .stream = stream,
    };
    header.write(out);
}

/// What a field block of `block_bytes` takes in frames, bytes.
pub fn headersBytes(block_bytes: usize, frame_bytes_max: u24) usize {
    return block_bytes + header_bytes * framesOf(block_bytes, frame_bytes_max);
}

fn framesOf(block_bytes: usize, frame_bytes_max: u24) usize {
    if (block_bytes <= frame_bytes_max) return 1; // nearly always, and a division takes its time
    return std.math.divCeil(usize, block_bytes, frame_bytes_max) catch unreachable;
}

/// Makes HEADERS, and CONTINUATION where it takes that, of a field block of `block_bytes` that was
/// written to `out` from `header_bytes` on. `out` has room for `headersBytes`, which is returned.
pub fn sealHeaders(
    out: []u8,
    block_bytes: usize,
    stream: StreamId,
    end_stream: bool,
    frame_bytes_max: u24,
) usize {
    const flags: Flags = .{ .end_stream = end_stream };
    return sealBlock(out, block_bytes, .headers, flags, stream, frame_bytes_max);
}

/// What stands in front of the field block in PUSH_PROMISE, bytes.
pub const promised_id_bytes = 4;
/// Where the field block of PUSH_PROMISE begins.
pub const promise_block_at = header_bytes + promised_id_bytes;

/// Makes PUSH_PROMISE of a field block that was written to `out` from `promise_block_at` on: that
/// `promised` will answer it is told on `stream` (§6.6). `out` has room for `headersBytes` of the
/// block and `promised_id_bytes`, which is returned.
pub fn sealPromise(
    out: []u8,
    block_bytes: usize,
    stream: StreamId,
    promised: StreamId,
    frame_bytes_max: u24,
) usize {
    assert(stream % 2 == 1 and promised % 2 == 0 and promised != 0);
    std.mem.writeInt(u32, out[header_bytes..][0..promised_id_bytes], promised, .big);
    const payload_bytes = promised_id_bytes + block_bytes;
    return sealBlock(out, payload_bytes, .push_promise, .{}, stream, frame_bytes_max);
}

/// Makes frames of `payload_bytes`: of the first `kind` with `flags`, and CONTINUATION.
fn sealBlock(
    out: []u8,
    payload_bytes: usize,
    kind: Type,
    flags: Flags,
    stream: StreamId,
    frame_bytes_max: u24,
) usize {
    assert(stream != 0);
    const count = framesOf(payload_bytes, frame_bytes_max);
    // From the last on: pieces move up by the headers in front of them.
    var index = count;
    while (index > 1) {
        index -= 1;
        const from = index * @as(usize, frame_bytes_max);
        const len = @min(payload_bytes - from, frame_bytes_max);
        const at = from + index * header_bytes;
        const piece = out[header_bytes + from ..][0..len];
        std.mem.copyBackwards(u8, out[at + header_bytes ..][0..len], piece);
        const header: Header = .{
            .len = @intCast(len),
            .type = .continuation,
            .flags = .{ .end_headers = index + 1 == count },
            .stream = stream,
        };
        header.write(out[at..][0..header_bytes]);
    }
    var own = flags;
    own.end_headers = count == 1;
    const first: Header = .{
        .len = @intCast(@min(payload_bytes, frame_bytes_max)),
        .type = kind,
        .flags = own,
        .stream = stream,
    };
    first.write(out[0..header_bytes]);
    return payload_bytes + header_bytes * count;
}

const testing = std.testing;

test "a frame's header is nine bytes, whose reserved bit is ignored" {
    var bytes: [header_bytes]u8 = undefined;
    const header: Header = .{
        .len = 0x010203,
        .type = .headers,
        .flags = .{ .end_stream = true, .end_headers = true, .padded = true, .priority = true },
        .stream = 0x7fffffff,
    };
    header.write(&bytes);
    try testing.expectEqualSlices(u8, "\x01\x02\x03\x01\x2d\x7f\xff\xff\xff", &bytes);
    bytes[5] = 0xff;
    try testing.expectEqual(header, Header.parse(&bytes));
}

test "a field block becomes as many frames as the peer's largest takes" {
    inline for (.{ 0, 1, 9, 10, 11, 20, 29, 30, 31 }) |block_bytes| {
        var out: [128]u8 = undefined;
        for (out[header_bytes..][0..block_bytes], 0..) |*byte, i| byte.* = @intCast(i);
        const len = sealHeaders(&out, block_bytes, 5, true, 10);
        try testing.expectEqual(headersBytes(block_bytes, 10), len);
        var at: usize = 0;
        var next: u8 = 0;
        while (at < len) {
            const header = Header.parse(out[at..][0..header_bytes]);
            try testing.expectEqual(5, header.stream);
            const is_first = at == 0;
            const expected: Type = if (is_first) .headers else .continuation;
            try testing.expectEqual(expected, header.type);
            try testing.expectEqual(is_first, header.flags.end_stream);
            at += header_bytes;
            for (out[at..][0..header.len]) |byte| {
                try testing.expectEqual(next, byte);
                next += 1;
            }
            at += header.len;
            try testing.expectEqual(at == len, header.flags.end_headers);
        }
        try testing.expectEqual(block_bytes, next);
    }
}

test "a promise has its stream in front of its fields, and goes on in CONTINUATION" {
    var out: [64]u8 = undefined;
    for (out[promise_block_at..][0..9], 0..) |*byte, i| byte.* = @intCast(i);
    const len = sealPromise(&out, 9, 5, 6, 10);
    const first: Header = .{ .len = 10, .type = .push_promise, .stream = 5 };
    try testing.expectEqual(first, Header.parse(out[0..header_bytes]));
    try testing.expectEqualSlices(u8, "\x00\x00\x00\x06\x00\x01\x02\x03\x04\x05", out[9..19]);
    const second = Header.parse(out[19..][0..header_bytes]);
    try testing.expectEqual(.continuation, second.type);
    try testing.expect(second.flags.end_headers and second.len == 3 and second.stream == 5);
    try testing.expectEqualSlices(u8, "\x06\x07\x08", out[28..len]);
}
