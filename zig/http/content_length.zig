//! The value of Content-Length (RFC 9110 §8.6), whatever protocol brings it.

const std = @import("std");

/// The most that a message may say, bytes; so that sums with it cannot wrap.
pub const max = std.math.maxInt(i64);

/// The number that `text` is; null: it is none, or above `max`.
pub fn parse(text: []const u8) ?u64 {
    if (text.len == 0) return null;
    var length: u64 = 0;
    for (text) |c| {
        if (!std.ascii.isDigit(c)) return null;
        // Below 2^63 before, so ten times that cannot be had without passing the bound first.
        if (length > max / 10) return null;
        length = length * 10 + (c - '0');
        if (length > max) return null;
    }
    return length;
}

test "one decimal number in range, and nothing else" {
    try std.testing.expectEqual(0, parse("0").?);
    try std.testing.expectEqual(42, parse("0042").?);
    try std.testing.expectEqual(max, parse("9223372036854775807").?);
    for ([_][]const u8{ "", "-1", "+1", " 1", "1 ", "0x1", "1,1", "9223372036854775808" }) |text|
        try std.testing.expectEqual(null, parse(text));
}
