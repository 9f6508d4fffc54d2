//! Invariants of the small readers: paths and queries, byte ranges, dates.
const std = @import("std");
const uri = @import("../http/uri.zig");
const range = @import("../http/range.zig");
const date = @import("../http/date.zig");
const range_reference = @import("range_reference.zig");
const mutator = @import("mutator.zig");
const require = mutator.require;

const text_bytes_max = 4096;

pub const uri_words = [_][]const u8{
    "/",
    "//",
    "/./",
    "/../",
    "..",
    ".",
    "%2e",
    "%2E%2e",
    "%2f",
    "%5c",
    "\\",
    "%",
    "%4",
    "%zz",
    "%00",
    "%25",
    "+",
    "&",
    "=",
    "?",
    "#",
    "%c3%a4",
    "ä",
    "%c0%ae",
    "%ff",
    "/%2e%2e/",
    "a",
};

/// Paths become canonical or are refused; forms decode to no more bytes than they had.
pub fn runUri(input: []const u8, random: std.Random) !void {
    const text = input[0..@min(input.len, text_bytes_max)];
    var out: [text_bytes_max]u8 = undefined;
    if (uri.normalizePath(text, out[0..text.len])) |path| {
        try requireCanonical(path);
        try requireIdempotent(path);
        const short = out[0..random.uintLessThan(usize, path.len)];
        try require(uri.normalizePath(text, short) == error.NoSpaceLeft);
    } else |e| try require(e != error.NoSpaceLeft);

    const decoded = uri.percentDecode(text, out[0..text.len]) catch |e| blk: {
        try require(e == error.InvalidEncoding);
        break :blk 0;
    };
    try require(decoded <= text.len);
    var pairs = uri.QueryIterator.init(text);
    var pairs_bytes: usize = 0;
    while (pairs.next()) |pair| {
        try require(mutator.isInside(text, pair.name) and mutator.isInside(text, pair.value));
        _ = try pair.decodeName(out[0..pair.name.len]);
        _ = try pair.decodeValue(out[0..pair.value.len]);
        pairs_bytes += pair.name.len + pair.value.len;
    }
    try require(pairs_bytes <= text.len);
}

fn requireCanonical(path: []const u8) !void {
    try require(path.len > 0 and path[0] == '/');
    try require(std.unicode.utf8ValidateSlice(path));
    try require(std.mem.indexOfAny(u8, path, "\\\x00\r\n\x7f") == null);
    try require(std.mem.indexOf(u8, path, "//") == null);
    var segments = std.mem.splitScalar(u8, path, '/');
    while (segments.next()) |segment| {
        try require(!std.mem.eql(u8, segment, ".") and !std.mem.eql(u8, segment, ".."));
    }
}

/// A canonical path, encoded again, has itself as its canonical form.
fn requireIdempotent(path: []const u8) !void {
    var encoded: [3 * text_bytes_max]u8 = undefined;
    var stream = std.io.fixedBufferStream(&encoded);
    for (path) |c| {
        if (c == '/') {
            try stream.writer().writeByte(c);
        } else {
            try stream.writer().print("%{X:0>2}", .{c});
        }
    }
    var again: [3 * text_bytes_max]u8 = undefined;
    try require(std.mem.eql(u8, path, try uri.normalizePath(stream.getWritten(), &again)));
}

pub const range_words = [_][]const u8{
    "bytes=",
    "bytes",
    "=",
    "-",
    ",",
    "0",
    "1",
    "499",
    "18446744073709551615",
    "18446744073709551616",
    "items=",
    " ",
    "\t",
    "+",
    "00000000000000000000000000000000001",
};

/// A range lies inside the content, means itself when written out, and is what another reader makes
/// of the field.
pub fn runRange(input: []const u8, random: std.Random) !void {
    const sizes = [_]u64{ 0, 1, 2, 500, 1000, std.math.maxInt(u64), random.int(u64) };
    for (sizes) |size| {
        const parsed = range.parse(input, size);
        try require(std.meta.eql(range_reference.parse(input, size), parsed));
        switch (parsed) {
            .none, .unsatisfiable => {},
            .range => |found| try requireSoundRange(found, size),
        }
    }
}

fn requireSoundRange(found: range.Range, size: u64) !void {
    try require(found.first <= found.last and found.last < size);
    try require(found.length() >= 1 and found.length() <= size);
    var text: [64]u8 = undefined;
    const again = try std.fmt.bufPrint(&text, "bytes={d}-{d}", .{ found.first, found.last });
    try require(std.meta.eql(range.Parsed{ .range = found }, range.parse(again, size)));
}

pub const date_words = [_][]const u8{
    "Sun, ",
    "Sunday, ",
    "Sun Nov  6 ",
    "06 Nov 1994 ",
    "06-Nov-94 ",
    "08:49:37",
    " GMT",
    "29 Feb 2024",
    "9999",
    "0000",
    ":60",
    "24:",
    "31",
    " ",
    "-",
};

/// A date that was read is written and read again as itself; any moment that can be written is
/// read.
pub fn runDate(input: []const u8, random: std.Random) !void {
    var text: [date.length]u8 = undefined;
    if (date.parse(input)) |seconds| {
        if (seconds >= 0) {
            date.format(seconds, &text);
            // 23:59:60 on the last day of 9999 is the one moment that is read but cannot be
            // written.
            try require(date.parse(&text) == seconds or seconds == 253_402_300_800);
        }
    }
    const moment = random.uintAtMost(u64, 253_402_300_799);
    date.format(@intCast(moment), &text);
    try require(date.parse(&text) == @as(i64, @intCast(moment)));
    date.format(random.int(i64), &text);
    try require(date.parse(&text) != null);
}
