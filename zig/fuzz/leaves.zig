//! Invariants of the small readers: paths and queries, byte ranges, dates.
const std = @import("std");
const uri = @import("../http/uri.zig");
const range = @import("../http/range.zig");
const date = @import("../http/date.zig");
const range_reference = @import("range_reference.zig");
const uri_reference = @import("uri_reference.zig");
const mutator = @import("mutator.zig");
const require = mutator.require;

const text_bytes_max = 1024;

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
pub fn runUri(input: []const u8, _: std.Random) !void {
    const text = input[0..@min(input.len, text_bytes_max)];
    try runPath(text);
    var out: [text_bytes_max]u8 = undefined;
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

/// Everything that `canonicalPath` promises, on any bytes behind a "/".
pub fn runPath(input: []const u8) !void {
    var raw_buffer: [text_bytes_max + 1]u8 = undefined;
    raw_buffer[0] = '/';
    const rest = input[@intFromBool(input.len > 0 and input[0] == '/')..];
    const rest_len = @min(rest.len, text_bytes_max);
    @memcpy(raw_buffer[1..][0..rest_len], rest[0..rest_len]);
    const raw = raw_buffer[0 .. 1 + rest_len];

    var out: [text_bytes_max + 1]u8 = undefined;
    var expected_buffer: uri_reference.Text = .{};
    const expected = uri_reference.canonicalPath(raw, &expected_buffer);
    const path = uri.canonicalPath(raw, out[0..raw.len]) catch {
        try require(!uri.isCanonical(raw) and expected == null);
        return;
    };
    try require(expected != null and std.mem.eql(u8, expected.?, path));
    try require(path.len <= raw.len);
    try require((path.ptr == raw.ptr) == std.mem.eql(u8, path, raw));
    if (uri.isCanonical(raw)) try require(path.ptr == raw.ptr);
    try requireCanonical(path);
    var again: [text_bytes_max + 1]u8 = undefined;
    try require((try uri.canonicalPath(path, &again)).ptr == path.ptr);
    try requireOneForm(path);
}

/// The rules of the form, each by itself.
fn requireCanonical(path: []const u8) !void {
    try require(path.len > 0 and path[0] == '/');
    for (path) |c| try require(c > ' ' and c < 0x7f);
    try require(std.mem.indexOfAny(u8, path, "\\\"#<>?") == null);
    try require(std.mem.indexOf(u8, path, "//") == null);
    var segments = std.mem.splitScalar(u8, path, '/');
    while (segments.next()) |segment| {
        try require(!std.mem.eql(u8, segment, ".") and !std.mem.eql(u8, segment, ".."));
    }
    var rest = path;
    while (std.mem.indexOfScalar(u8, rest, '%')) |at| : (rest = rest[at + 3 ..]) {
        const byte = try std.fmt.parseInt(u8, rest[at + 1 ..][0..2], 16);
        for (rest[at + 1 ..][0..2]) |c| try require(!std.ascii.isLower(c));
        const mark = std.mem.indexOfScalar(u8, "-._~", byte) != null;
        try require(!mark and !std.ascii.isAlphanumeric(byte));
        try require(byte != '\\' and !std.ascii.isControl(byte));
    }
    var decoded: [text_bytes_max + 1]u8 = undefined;
    const len = try uri.percentDecode(path, &decoded);
    try require(std.unicode.utf8ValidateSlice(decoded[0..len]));
    const separated = std.mem.indexOf(u8, path, "%2F") == null;
    try require(separated == if (uri.decodePath(path, &decoded)) |_| true else |_| false);
}

/// Characters that stand for themselves and are encoded, and segments that lead nowhere, change
/// nothing.
fn requireOneForm(path: []const u8) !void {
    var longer: [8 * text_bytes_max]u8 = undefined;
    var stream = std.io.fixedBufferStream(&longer);
    const to = stream.writer();
    for (path, 0..) |c, i| {
        const in_triple = i >= 1 and path[i - 1] == '%' or i >= 2 and path[i - 2] == '%';
        if (c == '/') {
            const detours = [_][]const u8{ "/", "//", "/./", "/%2e/", "/x/../", "/x%2F/%2E./" };
            try to.writeAll(detours[i % detours.len]);
        } else if (!in_triple and c != '%') {
            try if (i % 2 == 0) to.print("%{X:0>2}", .{c}) else to.print("%{x:0>2}", .{c});
        } else if (in_triple) {
            try to.writeByte(std.ascii.toLower(c));
        } else try to.writeByte(c);
    }
    var out: [8 * text_bytes_max]u8 = undefined;
    try require(std.mem.eql(u8, path, try uri.canonicalPath(stream.getWritten(), &out)));
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
