//! Targets taken apart on demand: percent-decoding, paths made canonical, query pairs
//! (RFC 3986 §2.1, §5.2.4, §6.2.2; WHATWG URL, application/x-www-form-urlencoded).
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

/// Why a path was refused. All are the client's doing.
pub const PathError = error{
    /// "%" without two hexadecimal digits after it, or a byte that has to be percent-encoded.
    InvalidEncoding,
    /// A backslash, encoded or not, which some readers take for a slash.
    AmbiguousSeparator,
    /// A NUL or another control character, encoded or not.
    ControlCharacter,
    /// What is decoded is not UTF-8; overlong forms and surrogates are not.
    InvalidUtf8,
    /// ".." above the root.
    EscapesRoot,
};

/// The canonical form of an absolute path, still percent-encoded (RFC 3986 §6.2.2): what everybody
/// compares. Dot segments are resolved, also where their dots are encoded, and empty segments are
/// left out; what a path may hold as it is, is decoded, triples of the rest have capital digits:
/// two canonical paths differ only where their segments do when they are decoded. "%2F" stays and
/// separates nothing. The path of a directory ends with "/": "/a/", "/a/.", "/a/b/..".
///
/// The result is `raw` itself where that is canonical, else a part of `out`. It is its own
/// canonical form, and never longer than `raw`. `raw` begins with "/"; `out` is as long as `raw` at
/// least and does not overlap it.
pub fn canonicalPath(raw: []const u8, out: []u8) PathError![]const u8 {
    if (isCanonical(raw)) return raw;
    std.debug.assert(raw[0] == '/' and out.len >= raw.len);
    out[0] = '/';
    var len: usize = 1; // out[0..len] always ends with the slash that begins the next segment
    var i: usize = 1;
    while (i < raw.len) {
        const end = std.mem.indexOfScalarPos(u8, raw, i, '/') orelse raw.len;
        const segment_len = try canonicalSegment(raw[i..end], out[len..]);
        const segment = out[len..][0..segment_len];
        i = @min(end + 1, raw.len);
        if (segment.len == 0 or std.mem.eql(u8, segment, ".")) continue;
        if (std.mem.eql(u8, segment, "..")) {
            if (len == 1) return error.EscapesRoot;
            len = std.mem.lastIndexOfScalar(u8, out[0 .. len - 1], '/').? + 1;
            continue;
        }
        len += segment.len;
        if (end == raw.len) break;
        out[len] = '/';
        len += 1;
    }
    return if (std.mem.eql(u8, out[0..len], raw)) raw else out[0..len];
}

/// Writes a segment without its slashes to `out`; returns its length.
fn canonicalSegment(in: []const u8, out: []u8) PathError!usize {
    var n: usize = 0;
    var i: usize = 0;
    while (i < in.len) {
        if (in[i] != '%') {
            try checkCharacter(in[i]);
            if (chars.Class.target_stop.has(in[i]) or in[i] == '?') return error.InvalidEncoding;
            out[n] = in[i];
            n += 1;
            i += 1;
            continue;
        }
        const byte = encodedByte(in[i..]) orelse return error.InvalidEncoding;
        try checkCharacter(byte);
        if (isPlain(byte)) {
            out[n] = byte;
            n += 1;
            i += 3;
            continue;
        }
        const len = 3 * try encodedSequenceLen(in[i..], byte);
        _ = std.ascii.upperString(out[n..], in[i..][0..len]);
        n += len;
        i += len;
    }
    return n;
}

/// Refuses what no path may hold in either form.
fn checkCharacter(c: u8) PathError!void {
    switch (c) {
        '\\' => return error.AmbiguousSeparator,
        0...0x1f, 0x7f => return error.ControlCharacter,
        else => {},
    }
}

/// What stands for itself in a segment. RFC 3986 §2.2 lets "@" and "%40" differ, but nothing here
/// tells them apart: with two forms of one name, a rule for one could be got round by the other.
fn isPlain(c: u8) bool {
    return switch (c) {
        '%', '/', '\\', '?', '"', '#', '<', '>' => false,
        '!', '$', '&'...'.', '0'...';', '=', '@'...'[', ']'...'~' => true,
        else => false,
    };
}

/// How many triples at the start of `in` make a character of UTF-8. `first` is the first's byte.
fn encodedSequenceLen(in: []const u8, first: u8) PathError!usize {
    const len = std.unicode.utf8ByteSequenceLength(first) catch return error.InvalidUtf8;
    var bytes: [4]u8 = .{ first, 0, 0, 0 };
    for (bytes[1..len], 1..) |*byte, i| {
        const rest = in[3 * i ..];
        if (rest.len == 0 or rest[0] != '%') return error.InvalidUtf8;
        byte.* = encodedByte(rest) orelse return error.InvalidEncoding;
    }
    return if (std.unicode.utf8ValidateSlice(bytes[0..len])) len else error.InvalidUtf8;
}

/// Whether a glance tells that `raw`, which begins with "/", is its own canonical form: nothing in
/// it is encoded and no segment is empty or begins with a dot. So it is with nearly all.
pub inline fn isCanonical(raw: []const u8) bool {
    inline for (.{ 16, 8, 4 }) |block_len| {
        if (raw.len >= block_len) return Glance(block_len).all(raw);
    }
    var before: u8 = 0;
    for (raw) |c| {
        if (before == '/' and (c == '/' or c == '.')) return false;
        if (c == '?' or c == '%' or c == '\\' or chars.Class.target_stop.has(c)) return false;
        before = c;
    }
    return true;
}

/// `isCanonical` of paths that are `len` bytes long at least.
fn Glance(comptime len: usize) type {
    return struct {
        const Block = @Vector(len, u8);
        const Bits = std.meta.Int(.unsigned, len);

        /// Blocks overlap by a byte at least: every two neighbours are together in one of them.
        fn all(raw: []const u8) bool {
            var i: usize = 0;
            while (i + len < raw.len) : (i += len - 1) {
                if (!one(raw[i..][0..len].*)) return false;
            }
            return one(raw[raw.len - len ..][0..len].*);
        }

        inline fn one(block: Block) bool {
            const slash = is(block, '/');
            const outside: Bits = @bitCast(block -% splat('!') > splat('~' - '!'));
            // `"` and "#"; "<" and ">"; "?".
            const excluded = is(block & splat(0xfe), '"') | is(block & splat(0xfd), '<') |
                is(block, '?');
            const coded = is(block, '%') | is(block, '\\');
            const odd = slash & (slash | is(block, '.')) >> 1;
            return outside | excluded | coded | odd == 0;
        }

        inline fn is(block: Block, comptime c: u8) Bits {
            return @bitCast(block == splat(c));
        }

        inline fn splat(comptime c: u8) Block {
            return @splat(c);
        }
    };
}

/// What the canonical `path` stands for: its triples decoded to the start of `out`. An encoded
/// slash is refused, since nothing would tell it from the others.
pub fn decodePath(
    path: []const u8,
    out: []u8,
) (DecodeError || error{AmbiguousSeparator})![]const u8 {
    const decoded = out[0..try percentDecode(path, out)];
    const slashes = std.mem.count(u8, decoded, "/");
    if (slashes != std.mem.count(u8, path, "/")) return error.AmbiguousSeparator;
    return decoded;
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

fn expectPath(expected: []const u8, raw: []const u8) !void {
    var out: [256]u8 = undefined;
    errdefer std.debug.print("path \"{s}\"\n", .{raw});
    const path = try canonicalPath(raw, out[0..raw.len]);
    try std.testing.expectEqualStrings(expected, path);
    try std.testing.expect(path.len <= raw.len);
    const same = std.mem.eql(u8, expected, raw);
    try std.testing.expectEqual(same, path.ptr == raw.ptr);
    var again: [256]u8 = undefined;
    try std.testing.expectEqual(path.ptr, (try canonicalPath(path, &again)).ptr);
    if (isCanonical(raw)) try std.testing.expect(same);
}

fn expectPathError(expected: PathError, raw: []const u8) !void {
    var out: [256]u8 = undefined;
    errdefer std.debug.print("path \"{s}\"\n", .{raw});
    try std.testing.expectError(expected, canonicalPath(raw, &out));
    // The same in front of and behind other segments, at every place in a block.
    var longer: [256]u8 = undefined;
    for (0..40) |n| {
        const filler = "/" ++ "a" ** 40;
        const text = try std.fmt.bufPrint(&longer, "{s}{s}/b", .{ filler[0 .. n + 2], raw });
        if (expected == error.EscapesRoot) continue;
        try std.testing.expect(!isCanonical(text));
        try std.testing.expectError(expected, canonicalPath(text, &out));
    }
}

test "a canonical path is its own canonical form, without a copy" {
    for ([_][]const u8{
        "/",
        "/a",
        "/a/",
        "/a/b.html",
        "/...",
        "/a/..b/.c",
        "/..;/",
        "/.well-known/acme",
        "/a;v=1,2/b:c@d",
        "/a!$&'()*+,;=:@",
        "/a[]{}|^`",
        "/a%2Fb%3F%25",
        "/%C3%A4/%E2%82%AC/%F0%9F%98%80",
        "/abcdefghijklmnopqrstuvwxyz/0123456789-._~",
    }) |path| try expectPath(path, path);
}

test "dot segments and empty segments are resolved, directories keep their slash" {
    try expectPath("/", "//");
    try expectPath("/", "/.");
    try expectPath("/", "/./");
    try expectPath("/a/b", "//a///b");
    try expectPath("/a/b", "/a/./b");
    try expectPath("/b", "/a/../b");
    try expectPath("/a/", "/a/b/..");
    try expectPath("/a/", "/a/.");
    try expectPath("/a/", "/a/b//..");
    try expectPath("/", "/a/..");
    try expectPath("/c", "/a/b/../../c");
    try expectPath("/c/", "/a//../c//");
    try expectPath("/.../..a", "/./.../x/../..a");
}

test "an encoded dot is a dot" {
    try expectPath("/admin", "/%2e/admin");
    try expectPath("/b", "/a/%2e%2e/b");
    try expectPath("/b", "/a/.%2E/b");
    try expectPath("/a/..;/b", "/a/%2e%2E;/b");
    try expectPath("/a.b", "/a%2eb");
    try expectPathError(error.EscapesRoot, "/..");
    try expectPathError(error.EscapesRoot, "/%2e%2e/etc/passwd");
    try expectPathError(error.EscapesRoot, "/a/.%2E/../b");
    try expectPathError(error.EscapesRoot, "/a/..//..");
}

test "what stands for itself is decoded once, other triples have capital digits" {
    try expectPath("/admin", "/%61dmin");
    try expectPath("/AZaz09-._~", "/%41%5a%61%7A%30%39%2d%2E%5f%7e");
    try expectPath("/a%20b", "/a%20b");
    try expectPath("/%2541", "/%2541");
    try expectPath("/%252e%252E/b", "/%252e%252E/b");
    try expectPath("/a%2Fb", "/a%2fb");
    try expectPath("/a%3Fb%23!", "/a%3fb%23%21");
    try expectPath("/@a:b;c=d+e&f$g,h'(i)*[j]^`{k|l}", "/%40a%3ab%3bc%3dd%2be%26f%24g%2Ch%27%28i" ++
        "%29%2a%5bj%5D%5e%60%7bk%7Cl%7d");
    try expectPath("/%22%3C%3E%25%20", "/%22%3c%3e%25%20");
    try expectPath("/%C3%A4", "/%c3%a4");
    try expectPath("/%F0%9F%98%80%E2%82%AC%C2%80", "/%f0%9F%98%80%e2%82%ac%c2%80");
    try expectPath("/..%2Fetc", "/..%2fetc");
}

test "what readers of a path disagree about is refused" {
    for ([_][]const u8{ "/a\\b", "/a%5cb", "/%5C", "/..%5c..%5c", "/\\evil.com" }) |raw| {
        try expectPathError(error.AmbiguousSeparator, raw);
    }
    for ([_][]const u8{
        "/%00", "/a%00.html", "/%0d%0a", "/%7F", "/\x00", "/a\nb", "/\x7f", "/%1f", //
    }) |raw| {
        try expectPathError(error.ControlCharacter, raw);
    }
    for ([_][]const u8{
        "/%", "/%4", "/%4g", "/%g4", "/%%34%31", "/%u0041", "/%c3%", "/%+1", "/%-1", //
    }) |raw| {
        try expectPathError(error.InvalidEncoding, raw);
    }
    for ([_][]const u8{ "/a b", "/a?b", "/a#b", "/\"", "/<", "/>", "/\xc3\xa4", "/\xff" }) |raw| {
        try expectPathError(error.InvalidEncoding, raw);
    }
}

test "what is decoded has to be UTF-8, in its shortest form" {
    for ([_][]const u8{
        "/%ff",       "/%80",          "/%C3",             "/%c3a",          "/%c3/%a4",
        "/%c3%41",    "/%e2%82",       "/%f8%88%80%80%80",
        // Overlong: ".", "/", a backslash, NUL.
        "/%c0%ae%c0%ae/", "/%c0%af",
        "/%C1%9C",    "/%e0%80%af",    "/%f0%80%80%af",    "/%c0%80",
        // Surrogates, and beyond U+10FFFF.
               "/%ed%a0%80",
        "/%ED%BF%BF", "/%f4%90%80%80",
    }) |raw| try expectPathError(error.InvalidUtf8, raw);
}

test "a glance finds the same at every place of a path of any length" {
    var buffer: [70]u8 = undefined;
    var out: [70]u8 = undefined;
    for (1..buffer.len + 1) |len| {
        const path = buffer[0..len];
        @memset(path, 'a');
        path[0] = '/';
        try std.testing.expect(isCanonical(path));
        for (1..len) |at| {
            for ("%\\?#\"<> \x00\x7f\x80\xff") |c| {
                path[at] = c;
                try std.testing.expect(!isCanonical(path));
                path[at] = 'a';
            }
            for ("/.") |c| {
                path[at - 1] = '/';
                path[at] = c;
                try std.testing.expect(!isCanonical(path));
                _ = try canonicalPath(path, &out);
                path[at - 1] = if (at == 1) '/' else 'a';
                path[at] = 'a';
            }
        }
    }
}

test "a canonical path is decoded, unless an encoded slash is in it" {
    var out: [32]u8 = undefined;
    try std.testing.expectEqualStrings("/ä b/%2F?", try decodePath("/%C3%A4%20b/%252F%3F", &out));
    try std.testing.expectError(error.AmbiguousSeparator, decodePath("/a%2Fb", &out));
    try std.testing.expectError(error.InvalidEncoding, decodePath("/a%zz", &out));
    try std.testing.expectError(error.NoSpaceLeft, decodePath("/abcd", out[0..4]));
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
