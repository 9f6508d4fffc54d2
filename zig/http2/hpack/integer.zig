//! HPACK's integers (RFC 7541 §5.1).

const std = @import("std");
const assert = std.debug.assert;

pub const Error = error{
    /// It ends before it is whole, is larger than `max`, or has more bytes than that needs.
    InvalidInteger,
};

/// No length, index or size that makes sense is larger.
pub const max = (1 << 28) - 1;
/// What an integer takes, bytes: its prefix and four times seven bits behind it.
pub const bytes_max = 5;

pub const Decoded = struct { value: u32, len: usize };

/// Decodes the integer that `bytes` begin with, of whose first byte it has the lower `prefix_bits`.
pub inline fn decode(bytes: []const u8, comptime prefix_bits: u4) Error!Decoded {
    comptime assert(prefix_bits >= 1 and prefix_bits <= 8);
    const prefix_max = (1 << prefix_bits) - 1;
    if (bytes.len == 0) return error.InvalidInteger;
    const prefix = bytes[0] & prefix_max;
    if (prefix < prefix_max) return .{ .value = prefix, .len = 1 };
    return decodeLong(bytes, prefix_max);
}

fn decodeLong(bytes: []const u8, prefix: u32) Error!Decoded {
    var value: u32 = 0;
    const most = @min(bytes.len, bytes_max);
    for (bytes[1..most], 0..) |byte, i| {
        value |= @as(u32, byte & 0x7f) << @intCast(7 * i);
        if (byte & 0x80 != 0) continue;
        if (value > max - prefix) break;
        return .{ .value = prefix + value, .len = i + 2 };
    }
    return error.InvalidInteger;
}

/// Encodes `value`, at most `max`, to the start of `out`, which has room for `bytes_max`. The upper
/// bits of the first byte are those of `first`. Returns the number of bytes.
pub inline fn encode(out: []u8, comptime prefix_bits: u4, first: u8, value: u32) usize {
    const prefix_max = (1 << prefix_bits) - 1;
    assert(value <= max and first & prefix_max == 0);
    if (value < prefix_max) {
        out[0] = first | @as(u8, @intCast(value));
        return 1;
    }
    out[0] = first | prefix_max;
    return encodeRest(out, value - prefix_max);
}

fn encodeRest(out: []u8, behind_prefix: u32) usize {
    var rest = behind_prefix;
    var len: usize = 1;
    while (rest >= 0x80) : (rest >>= 7) {
        out[len] = @as(u8, @truncate(rest)) | 0x80;
        len += 1;
    }
    out[len] = @intCast(rest);
    return len + 1;
}

const testing = std.testing;

test "the integers of RFC 7541's appendix C.1" {
    var out: [bytes_max]u8 = undefined;
    try testing.expectEqual(1, encode(&out, 5, 0, 10));
    try testing.expectEqualSlices(u8, "\x0a", out[0..1]);
    try testing.expectEqual(3, encode(&out, 5, 0, 1337));
    try testing.expectEqualSlices(u8, "\x1f\x9a\x0a", out[0..3]);
    try testing.expectEqual(1, encode(&out, 8, 0, 42));
    try testing.expectEqualSlices(u8, "\x2a", out[0..1]);
    try testing.expectEqual(Decoded{ .value = 10, .len = 1 }, try decode("\xea\xff", 5));
    try testing.expectEqual(Decoded{ .value = 1337, .len = 3 }, try decode("\x1f\x9a\x0a", 5));
    try testing.expectEqual(Decoded{ .value = 42, .len = 1 }, try decode("\x2a", 8));
}

test "every integer comes back, and none is decoded from a part of it" {
    var out: [bytes_max]u8 = undefined;
    inline for (.{ 1, 4, 5, 6, 7, 8 }) |prefix_bits| {
        var value: u32 = 0;
        while (value <= max) : (value = value * 2 + 1) {
            for ([_]u32{ value, @min(value + 1, max), value / 3 * 2 }) |each| {
                const len = encode(&out, prefix_bits, 0, each);
                const expected: Decoded = .{ .value = each, .len = len };
                try testing.expectEqual(expected, try decode(out[0..len], prefix_bits));
                for (0..len) |cut| {
                    try testing.expectError(
                        error.InvalidInteger,
                        decode(out[0..cut], prefix_bits),
                    );
                }
            }
        }
    }
}

test "an integer that overflows, or is drawn out, is refused" {
    for ([_][]const u8{
        "\x7f\xff\xff\xff\xff\x0f",
        "\x7f\xff\xff\xff\x7f", // one more than the largest: its prefix comes to it
        "\x7f\x80\x80\x80\x80\x00",
        "\x7f\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00",
        "\xff" ** 12,
    }) |bad| try testing.expectError(error.InvalidInteger, decode(bad, 7));
    try testing.expectEqual(0x7f, (try decode("\x7f\x80\x80\x80\x00", 7)).value);
}
