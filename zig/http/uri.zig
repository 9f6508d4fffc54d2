//! Targets taken apart on demand: percent-decoding, paths made canonical, query pairs
//! (RFC 3986 §2.1, §5.2.4; WHATWG URL, application/x-www-form-urlencoded).
const std = @import("std");
const chars = @import("chars.zig");

/// Why text could not be percent-decoded.
pub const DecodeError = error{
    /// "%" without two hexadecimal digits after it.
    InvalidEncoding,
    NoSpaceLeft,
};

/// Decodes percent-encoded `in` to the start of `out` and returns the number of bytes written. The
/// result may be any bytes, NUL and invalid UTF-8 included. `out` may be `in` itself. It never
/// needs more than `in.len` bytes.
pub fn percentDecode(in: []const u8, out: []u8) DecodeError!usize {
    var n: usize = 0;
    var i: usize = 0;
    while (i < in.len) : (n += 1) {
        if (n == out.len) return error.NoSpaceLeft;
        if (in[i] != '%') {
            out[n] = in[i];
            i += 1;
        } else {
            out[n] = encodedByte(in[i..]) orelse return error.InvalidEncoding;
            i += 3;
        }
    }
    return n;
}

/// The byte that "%xx" at the start of `text` stands for.
fn encodedByte(text: []const u8) ?u8 {
    if (text.len < 3) return null;
    const high = chars.hexValue(text[1]) orelse return null;
    const low = chars.hexValue(text[2]) orelse return null;
    return @as(u8, high) << 4 | low;
}

/// Why a path was refused. All but `NoSpaceLeft` are the client's doing.
pub const PathError = error{
    /// It does not begin with "/".
    NotAbsolute,
    /// "%" without two hexadecimal digits after it.
    InvalidEncoding,
    /// An encoded slash, or a backslash in either form: readers differ on what they separate.
    AmbiguousSeparator,
    /// A NUL or another control character after decoding.
    ControlCharacter,
    /// The decoded path is not UTF-8.
    InvalidUtf8,
    /// ".." above the root.
    EscapesRoot,
    NoSpaceLeft,
};

/// The canonical form of a raw path, written to the start of `out` and returned as a slice of it:
/// decoded once, "//", "/./" and "/../" resolved, always beginning with "/", ending with "/" when
/// the path named a directory ("/a/", "/a/." and "/a/b/.." do). It never needs more than `in.len`
/// bytes. `out` must not overlap `in`.
pub fn normalizePath(in: []const u8, out: []u8) PathError![]const u8 {
    if (in.len == 0 or in[0] != '/') return error.NotAbsolute;
    if (out.len == 0) return error.NoSpaceLeft;
    out[0] = '/';
    var len: usize = 1; // out[0..len] always ends with the slash that begins the next segment
    var i: usize = 1;
    while (i < in.len) {
        const end = std.mem.indexOfScalarPos(u8, in, i, '/') orelse in.len;
        const segment_len = try decodeSegment(in[i..end], out[len..]);
        const segment = out[len..][0..segment_len];
        const last = end == in.len;
        i = @min(end + 1, in.len);
        if (segment.len == 0 or std.mem.eql(u8, segment, ".")) continue;
        if (std.mem.eql(u8, segment, "..")) {
            if (len == 1) return error.EscapesRoot;
            len = std.mem.lastIndexOfScalar(u8, out[0 .. len - 1], '/').? + 1;
            continue;
        }
        if (!std.unicode.utf8ValidateSlice(segment)) return error.InvalidUtf8;
        len += segment.len;
        if (last) break;
        if (len == out.len) return error.NoSpaceLeft;
        out[len] = '/';
        len += 1;
    }
    return out[0..len];
}

fn decodeSegment(in: []const u8, out: []u8) PathError!usize {
    const len = try percentDecode(in, out);
    for (out[0..len]) |c| switch (c) {
        '/', '\\' => return error.AmbiguousSeparator,
        0...0x1f, 0x7f => return error.ControlCharacter,
        else => {},
    };
    return len;
}

/// Walks the pairs of a query as forms write them: "a=1&b=two+words&c". Empty pairs are skipped.
pub const QueryIterator = struct {
    rest: []const u8,

    /// One pair, still encoded; slices of the query. A pair without "=" has an empty value.
    pub const Pair = struct {
        name: []const u8,
        value: []const u8,

        /// The name decoded into `out`, which need not be larger than the name.
        pub fn decodeName(pair: Pair, out: []u8) error{NoSpaceLeft}![]const u8 {
            return decodeForm(pair.name, out);
        }

        /// The value decoded into `out`, which need not be larger than the value.
        pub fn decodeValue(pair: Pair, out: []u8) error{NoSpaceLeft}![]const u8 {
            return decodeForm(pair.value, out);
        }
    };

    /// `query` without its "?"; the iterator borrows it.
    pub fn init(query: []const u8) QueryIterator {
        return .{ .rest = query };
    }

    /// The next pair, or null after the last.
    pub fn next(it: *QueryIterator) ?Pair {
        while (it.rest.len > 0) {
            const end = std.mem.indexOfScalar(u8, it.rest, '&') orelse it.rest.len;
            const text = it.rest[0..end];
            it.rest = it.rest[@min(end + 1, it.rest.len)..];
            if (text.len == 0) continue;
            const equals = std.mem.indexOfScalar(u8, text, '=') orelse text.len;
            return .{ .name = text[0..equals], .value = text[@min(equals + 1, text.len)..] };
        }
        return null;
    }

    /// The still encoded value of the first pair whose decoded name is `name`, from here on; null
    /// when there is none. Moves past it.
    pub fn find(it: *QueryIterator, name: []const u8) ?[]const u8 {
        while (it.next()) |pair| {
            if (formEquals(pair.name, name)) return pair.value;
        }
        return null;
    }
};

/// Decodes form-encoded `in` to the start of `out`: "+" is a space, "%xx" a byte, and a "%" that
/// begins no such triple stands for itself (WHATWG URL §5.1).
/// `out` may be `in` itself and need not be larger.
pub fn decodeForm(in: []const u8, out: []u8) error{NoSpaceLeft}![]const u8 {
    var bytes = FormBytes{ .rest = in };
    var n: usize = 0;
    while (bytes.next()) |c| : (n += 1) {
        if (n == out.len) return error.NoSpaceLeft;
        out[n] = c;
    }
    return out[0..n];
}

fn formEquals(encoded: []const u8, plain: []const u8) bool {
    var bytes = FormBytes{ .rest = encoded };
    for (plain) |c| {
        if (bytes.next() != c) return false;
    }
    return bytes.next() == null;
}

const FormBytes = struct {
    rest: []const u8,

    fn next(it: *FormBytes) ?u8 {
        if (it.rest.len == 0) return null;
        const c = it.rest[0];
        if (c == '%') {
            if (encodedByte(it.rest)) |byte| {
                it.rest = it.rest[3..];
                return byte;
            }
        }
        it.rest = it.rest[1..];
        return if (c == '+') ' ' else c;
    }
};

fn expectPath(expected: []const u8, in: []const u8) !void {
    var out: [256]u8 = undefined;
    try std.testing.expectEqualStrings(expected, try normalizePath(in, out[0..in.len]));
}

fn expectPathError(expected: PathError, in: []const u8) !void {
    var out: [256]u8 = undefined;
    try std.testing.expectError(expected, normalizePath(in, &out));
}

test "a canonical path is left as it is" {
    for ([_][]const u8{ "/", "/a", "/a/", "/a/b.html", "/...", "/a/..b/.c" }) |path| {
        try expectPath(path, path);
    }
}

test "dot segments and empty segments are resolved, directories keep their slash" {
    try expectPath("/", "//");
    try expectPath("/", "/.");
    try expectPath("/a/b", "//a///b");
    try expectPath("/a/b", "/a/./b");
    try expectPath("/b", "/a/../b");
    try expectPath("/a/", "/a/b/..");
    try expectPath("/a/", "/a/.");
    try expectPath("/", "/a/..");
    try expectPath("/c", "/a/b/../../c");
    try expectPath("/c/", "/a//../c//");
}

test "a path is decoded once" {
    try expectPath("/a b", "/a%20b");
    try expectPath("/%41", "/%2541");
    try expectPath("/ä", "/%c3%A4");
    try expectPath("/a?b#", "/a%3fb%23");
    try expectPath("/a+b", "/a+b");
}

test "an encoded traversal is a traversal" {
    try expectPathError(error.EscapesRoot, "/..");
    try expectPathError(error.EscapesRoot, "/%2e%2e/etc/passwd");
    try expectPathError(error.EscapesRoot, "/a/.%2E/../b");
    try expectPath("/b", "/a/%2e%2e/b");
    try expectPathError(error.AmbiguousSeparator, "/a/..%2f..%2fetc");
    try expectPathError(error.AmbiguousSeparator, "/a%5c..%5cb");
    try expectPathError(error.AmbiguousSeparator, "/a\\b");
}

test "what no file name should hold is refused" {
    try expectPathError(error.NotAbsolute, "");
    try expectPathError(error.NotAbsolute, "*");
    try expectPathError(error.NotAbsolute, "a");
    try expectPathError(error.ControlCharacter, "/a%00.html");
    try expectPathError(error.ControlCharacter, "/%0d%0a");
    try expectPathError(error.ControlCharacter, "/%7f");
    try expectPathError(error.InvalidUtf8, "/%ff");
    try expectPathError(error.InvalidUtf8, "/%c0%ae%c0%ae/");
    try expectPathError(error.InvalidEncoding, "/%");
    try expectPathError(error.InvalidEncoding, "/%4");
    try expectPathError(error.InvalidEncoding, "/%4g");
}

test "a path that does not fit is refused" {
    var out: [4]u8 = undefined;
    try std.testing.expectError(error.NoSpaceLeft, normalizePath("/abcd", &out));
    try std.testing.expectError(error.NoSpaceLeft, normalizePath("/abc/d", &out));
    try std.testing.expectError(error.NoSpaceLeft, normalizePath("/", out[0..0]));
    try std.testing.expectEqualStrings("/abc", try normalizePath("/abc", &out));
}

test "percentDecode decodes in place" {
    var text = "a%2Fb%00%zz".*;
    try std.testing.expectError(error.InvalidEncoding, percentDecode(&text, &text));
    var good = "a%2Fb%00+".*;
    const n = try percentDecode(&good, &good);
    try std.testing.expectEqualStrings("a/b\x00+", good[0..n]);
    try std.testing.expectError(error.NoSpaceLeft, percentDecode("abc", good[0..2]));
}

test "query pairs come in order, encoded, and decode on demand" {
    var it = QueryIterator.init("a=1&&b=two+words%21&c&=d&e=f=g");
    var out: [16]u8 = undefined;
    const expected = [_][2][]const u8{
        .{ "a", "1" }, .{ "b", "two words!" }, .{ "c", "" }, .{ "", "d" }, .{ "e", "f=g" },
    };
    for (expected) |pair| {
        const found = it.next().?;
        try std.testing.expectEqualStrings(pair[0], found.name);
        try std.testing.expectEqualStrings(pair[1], try found.decodeValue(&out));
    }
    try std.testing.expectEqual(null, it.next());
    var empty = QueryIterator.init("");
    try std.testing.expectEqual(null, empty.next());
}

test "find compares decoded names" {
    var it = QueryIterator.init("x=0&a%20b=1&a+b=2");
    try std.testing.expectEqualStrings("1", it.find("a b").?);
    try std.testing.expectEqualStrings("2", it.find("a b").?);
    try std.testing.expectEqual(null, it.find("a b"));
    var prefix = QueryIterator.init("ab=1");
    try std.testing.expectEqual(null, prefix.find("a"));
    try std.testing.expectEqual(null, prefix.find("abc"));
}

test "a percent sign that encodes nothing stands for itself in a form" {
    var out: [8]u8 = undefined;
    try std.testing.expectEqualStrings("100%", try decodeForm("100%", &out));
    try std.testing.expectEqualStrings("%zz %", try decodeForm("%zz+%25", &out));
    try std.testing.expectError(error.NoSpaceLeft, decodeForm("abcdefghi", &out));
}
