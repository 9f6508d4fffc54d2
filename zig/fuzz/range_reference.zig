//! A second reader of Range fields, written from RFC 9110 §14.1.2 without a look at the first:
//! clear instead of quick.
const std = @import("std");
const Parsed = @import("../http/range.zig").Parsed;

/// What the field `value` asks of content of `size` bytes.
pub fn parse(value: []const u8, size: u64) Parsed {
    if (size == 0) return .none;
    const equals = std.mem.indexOfScalar(u8, value, '=') orelse return .none;
    if (!std.ascii.eqlIgnoreCase(value[0..equals], "bytes")) return .none;
    const spec = std.mem.trim(u8, value[equals + 1 ..], " \t");
    if (std.mem.count(u8, spec, "-") != 1) return .none;
    var sides = std.mem.splitScalar(u8, spec, '-');
    const left = sides.next().?;
    const right = sides.next().?;
    if (!isDigits(left) or !isDigits(right) or left.len + right.len == 0) return .none;
    if (left.len == 0) {
        const suffix = number(right);
        if (suffix == 0) return .unsatisfiable;
        const first = if (suffix > size) 0 else size - suffix;
        return .{ .range = .{ .first = @intCast(first), .last = size - 1 } };
    }
    const first = number(left);
    const last = if (right.len == 0) most else number(right);
    if (last < first) return .none;
    if (first >= size) return .unsatisfiable;
    return .{ .range = .{ .first = @intCast(first), .last = @intCast(@min(last, size - 1)) } };
}

const most: u128 = std.math.maxInt(u64);

fn isDigits(text: []const u8) bool {
    return std.mem.indexOfNone(u8, text, "0123456789") == null;
}

/// Nothing is as large as 2^64: above it all numbers are equal.
fn number(digits: []const u8) u128 {
    const significant = std.mem.trimLeft(u8, digits, "0");
    if (significant.len == 0) return 0;
    if (significant.len > 20) return most;
    return @min(most, std.fmt.parseInt(u128, significant, 10) catch unreachable);
}
