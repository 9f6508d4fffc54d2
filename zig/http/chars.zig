//! Character classes of the HTTP grammar, and vector scans for the first byte of a class.
//! A scan never reads outside its slice: the end is covered by a second, overlapping load.
const std = @import("std");

/// Bytes per vector: what the target has, at most 32 (heads are short; wider loads would mostly
/// overlap).
pub const vector_len = @min(32, @max(16, std.simd.suggestVectorLength(u8) orelse 16));

fn Mask(comptime len: usize) type {
    return std.meta.Int(.unsigned, len);
}

/// tchar (RFC 9110 §5.6.2).
pub const token_table: [256]bool = blk: {
    var table = [_]bool{false} ** 256;
    for ("!#$%&'*+-.^_`|~") |c| table[c] = true;
    for ('0'..'9' + 1) |c| table[c] = true;
    for ('a'..'z' + 1) |c| table[c] = true;
    for ('A'..'Z' + 1) |c| table[c] = true;
    break :blk table;
};

/// The sets of bytes that `find` looks for.
pub const Class = enum {
    /// Ends a field value: any control character but HTAB, and DEL (RFC 9110 §5.5).
    value_stop,
    /// Ends a request target: all outside "!".."~", and `"`, `#`, `<`, `>`. What WHATWG URL
    /// serialisers leave bare although RFC 3986 does not allow it (`[]{}|\^` and the backtick) does
    /// not end it.
    target_stop,
    /// Everything but letters, digits, "-" and "_": ends a usual field name.
    name_stop,
    /// Everything but letters, digits, "-", "_" and ".": ends a usual host.
    host_stop,
    /// LF.
    line_feed,
    /// "?".
    question_mark,

    /// Whether `c` is in the class.
    pub inline fn has(comptime class: Class, c: u8) bool {
        return switch (class) {
            .value_stop => (c < 0x20 and c != '\t') or c == 0x7f,
            .target_stop => c -% 0x21 > 0x7e - 0x21 or c & 0xfe == '"' or c & 0xfd == '<',
            .name_stop => (c | 0x20) -% 'a' > 25 and c -% '0' > 9 and c != '-' and c != '_',
            .host_stop => @as(Class, .name_stop).has(c) and c != '.',
            .line_feed => c == '\n',
            .question_mark => c == '?',
        };
    }

    /// A bit for each byte of `v` that is in the class.
    inline fn mask(comptime class: Class, comptime len: usize, v: @Vector(len, u8)) Mask(len) {
        const of_len = struct {
            inline fn all(comptime c: u8) @Vector(len, u8) {
                return @splat(c);
            }

            inline fn bits(of: @Vector(len, bool)) Mask(len) {
                return @bitCast(of);
            }
        };
        const all = of_len.all;
        const bits = of_len.bits;
        return switch (class) {
            .value_stop => (bits(v < all(0x20)) & ~bits(v == all('\t'))) | bits(v == all(0x7f)),
            .target_stop => bits(v -% all(0x21) > all(0x7e - 0x21)) |
                bits(v & all(0xfe) == all('"')) | bits(v & all(0xfd) == all('<')),
            .name_stop => bits((v | all(0x20)) -% all('a') > all(25)) &
                bits(v -% all('0') > all(9)) & ~(bits(v == all('-')) | bits(v == all('_'))),
            .host_stop => @as(Class, .name_stop).mask(len, v) & ~bits(v == all('.')),
            .line_feed => bits(v == all('\n')),
            .question_mark => bits(v == all('?')),
        };
    }
};

/// Index of the first byte at or after `start` that is in `class`; `bytes.len` when there is none.
/// `start` must not be past the end.
pub inline fn find(comptime class: Class, bytes: []const u8, start: usize) usize {
    std.debug.assert(start <= bytes.len);
    // Of text that is known when the program is compiled a loop leaves nothing.
    if (bytes.len < vector_len) return findScalar(class, bytes, start);
    return findBy(vector_len, class, bytes, start);
}

/// By vectors of `len` bytes; there are that many at least.
inline fn findBy(
    comptime len: usize,
    comptime class: Class,
    bytes: []const u8,
    start: usize,
) usize {
    var i = start;
    while (i + len <= bytes.len) : (i += len) {
        const found = class.mask(len, bytes[i..][0..len].*);
        if (found != 0) return i + @ctz(found);
    }
    if (i == bytes.len) return i;
    const last = bytes.len - len;
    const found = class.mask(len, bytes[last..][0..len].*) >> @intCast(i - last);
    return if (found != 0) i + @ctz(found) else bytes.len;
}

/// The same by smaller vectors, for what a client sends and is mostly shorter than a vector: hosts,
/// paths.
pub fn findShort(comptime class: Class, bytes: []const u8) usize {
    if (bytes.len >= vector_len) return findBy(vector_len, class, bytes, 0);
    if (vector_len > 16 and bytes.len >= 16) return findBy(16, class, bytes, 0);
    if (bytes.len >= 8) return findBy(8, class, bytes, 0);
    return findScalar(class, bytes, 0);
}

fn findScalar(comptime class: Class, bytes: []const u8, start: usize) usize {
    for (bytes[start..], start..) |c, i| {
        if (class.has(c)) return i;
    }
    return bytes.len;
}

/// Whether `bytes` equals `lower`, letters compared without regard to ASCII case. `lower` must hold
/// only lower-case letters, digits and "-"; `bytes` must hold no control characters (the fold would
/// take a CR for "-").
pub inline fn eqlLower(bytes: []const u8, comptime lower: []const u8) bool {
    comptime for (lower) |c| switch (c) {
        'a'...'z', '0'...'9', '-' => {},
        else => unreachable,
    };
    if (bytes.len != lower.len) return false;
    const Word = std.meta.Int(.unsigned, 8 * lower.len);
    const word: Word = @bitCast(bytes[0..lower.len].*);
    const fold: Word = @bitCast([_]u8{0x20} ** lower.len);
    return word | fold == comptime @as(Word, @bitCast(lower[0..lower.len].*));
}

/// Value of a hexadecimal digit, null for any other byte.
pub inline fn hexValue(c: u8) ?u4 {
    return switch (c) {
        '0'...'9' => @intCast(c - '0'),
        'a'...'f' => @intCast(c - 'a' + 10),
        'A'...'F' => @intCast(c - 'A' + 10),
        else => null,
    };
}

/// `bytes` without spaces and tabs at either end (OWS, RFC 9110 §5.6.3).
pub fn trimOws(bytes: []const u8) []const u8 {
    var first: usize = 0;
    var end = bytes.len;
    while (first < end and isOws(bytes[first])) first += 1;
    while (end > first and isOws(bytes[end - 1])) end -= 1;
    return bytes[first..end];
}

/// Whether `c` is a space or a tab.
pub inline fn isOws(c: u8) bool {
    return c == ' ' or c == '\t';
}

test "a vector scan finds what a byte loop finds, at every length and start" {
    var buffer: [3 * vector_len + 5]u8 = undefined;
    var prng = std.Random.DefaultPrng.init(7);
    inline for (comptime std.enums.values(Class)) |class| {
        for (0..buffer.len + 1) |len| {
            for (0..4) |round| {
                for (buffer[0..len]) |*c| c.* = if (round == 0) 'a' else prng.random().int(u8);
                if (round == 1) for (buffer[0..len]) |*c| {
                    if (class.has(c.*)) c.* = 'a';
                };
                for (0..len + 1) |start| {
                    const expected = findScalar(class, buffer[0..len], start);
                    try std.testing.expectEqual(expected, find(class, buffer[0..len], start));
                }
                const expected = findScalar(class, buffer[0..len], 0);
                try std.testing.expectEqual(expected, findShort(class, buffer[0..len]));
            }
        }
    }
}

test "the classes hold exactly the bytes that the grammar says" {
    for (0..256) |n| {
        const c: u8 = @intCast(n);
        const control = c < 0x20 or c == 0x7f;
        try std.testing.expectEqual(control and c != '\t', Class.value_stop.has(c));
        const excluded = std.mem.indexOfScalar(u8, " \"#<>", c) != null;
        try std.testing.expectEqual(control or c > 0x7f or excluded, Class.target_stop.has(c));
        const usual = std.ascii.isAlphanumeric(c) or c == '-' or c == '_';
        try std.testing.expectEqual(!usual, Class.name_stop.has(c));
        if (usual) try std.testing.expect(token_table[c]);
    }
}

test "eqlLower folds letters only" {
    try std.testing.expect(eqlLower("Content-Length", "content-length"));
    try std.testing.expect(eqlLower("HOST", "host"));
    try std.testing.expect(!eqlLower("Hos", "host"));
    try std.testing.expect(!eqlLower("Content_Length", "content-length"));
    try std.testing.expect(!eqlLower("content-lengti", "content-length"));
}

test "trimOws removes blanks at both ends" {
    try std.testing.expectEqualStrings("a b", trimOws(" \t a b\t "));
    try std.testing.expectEqualStrings("", trimOws(" \t "));
    try std.testing.expectEqualStrings("", trimOws(""));
}
