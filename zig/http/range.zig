//! Range requests for one byte range (RFC 9110 §14).
const std = @import("std");
const chars = @import("chars.zig");

/// Byte positions in the content, both inclusive; `first <= last < size`.
pub const Range = struct {
    first: u64,
    last: u64,

    /// Bytes in the range.
    pub fn length(range: Range) u64 {
        return range.last - range.first + 1;
    }
};

/// What a Range field asks for.
pub const Parsed = union(enum) {
    /// Malformed, another unit, several ranges: serve the whole, as if the field were absent.
    none,
    /// Nothing of the content lies in the range: 416 with `Content-Range: bytes */size`.
    unsatisfiable,
    range: Range,
};

/// Reads the value of a Range field against content of `size` bytes. A last position past the end
/// is the end, a suffix longer than the content is all of it (RFC 9110 §14.1.2). A server may
/// ignore any Range field (§14.2), so several ranges and anything malformed are `none`, and so is
/// any range of empty content: clients that ask in pieces ("bytes=0-") want the 200.
pub fn parse(value: []const u8, size: u64) Parsed {
    if (size == 0) return .none;
    const unit = "bytes=";
    if (value.len <= unit.len or !std.ascii.startsWithIgnoreCase(value, unit)) return .none;
    const spec = chars.trimOws(value[unit.len..]);
    const dash = std.mem.indexOfScalar(u8, spec, '-') orelse return .none;
    const last_text = spec[dash + 1 ..];
    if (dash == 0) return parseSuffix(last_text, size);
    const first = parseDigits(spec[0..dash]) orelse return .none;
    const last = if (last_text.len == 0)
        std.math.maxInt(u64)
    else
        parseDigits(last_text) orelse return .none;
    if (last < first) return .none;
    if (first >= size) return .unsatisfiable;
    return .{ .range = .{ .first = first, .last = @min(last, size - 1) } };
}

/// "-n": the last n bytes.
fn parseSuffix(text: []const u8, size: u64) Parsed {
    const suffix = parseDigits(text) orelse return .none;
    if (suffix == 0) return .unsatisfiable;
    return .{ .range = .{ .first = size -| suffix, .last = size - 1 } };
}

/// One or more digits; a number past 2^64 - 1 is read as that.
fn parseDigits(text: []const u8) ?u64 {
    var n: u64 = 0;
    for (text) |c| {
        if (!std.ascii.isDigit(c)) return null;
        n = n *| 10 +| (c - '0');
    }
    return if (text.len > 0) n else null;
}

fn expectRange(first: u64, last: u64, value: []const u8, size: u64) !void {
    const expected = Parsed{ .range = .{ .first = first, .last = last } };
    try std.testing.expectEqual(expected, parse(value, size));
}

test "a range inside the content" {
    try expectRange(0, 499, "bytes=0-499", 1000);
    try expectRange(500, 999, "bytes=500-", 1000);
    try expectRange(500, 999, "bytes=-500", 1000);
    try expectRange(0, 0, "bytes=0-0", 1);
    try expectRange(7, 7, "BYTES= 007-7\t", 1000);
    try std.testing.expectEqual(500, parse("bytes=-500", 1000).range.length());
}

test "a range past the end is cut to the content" {
    try expectRange(900, 999, "bytes=900-5000", 1000);
    try expectRange(0, 999, "bytes=-5000", 1000);
    try expectRange(1, 999, "bytes=1-99999999999999999999999999", 1000);
    try expectRange(0, 999, "bytes=-99999999999999999999999999", 1000);
    const most = std.math.maxInt(u64);
    try expectRange(0, most - 1, "bytes=0-", most);
}

test "a range that lies behind the content is unsatisfiable" {
    for ([_][]const u8{
        "bytes=1000-", "bytes=1000-2000", "bytes=99999999999999999999-", "bytes=-0",
    }) |value| try std.testing.expectEqual(Parsed.unsatisfiable, parse(value, 1000));
}

test "every range of empty content serves the whole" {
    for ([_][]const u8{
        "bytes=0-", "bytes=0-0", "bytes=0-99", "bytes=7-", "bytes=-1", "bytes=-0", "bytes=1-0", "x",
    }) |value| try std.testing.expectEqual(Parsed.none, parse(value, 0));
}

test "what is malformed, of another unit or several ranges serves the whole" {
    for ([_][]const u8{
        "",            "bytes",     "bytes=",    "bytes=-",     "bytes=a-b",    "bytes=1",
        "bytes=2-1",   "bytes=1-x", "bytes=--1", "bytes=+1-2",  "bytes=0-1,3-", "bytes=0-1,",
        "bytes=1 - 2", "items=0-1", "bytes 0-1", "bytes=0x1-2", "bytes=-+1",    "bytes=1-2-3",
    }) |value| try std.testing.expectEqual(Parsed.none, parse(value, 1000));
}
