//! Accept (RFC 9110 §12.5.1): how much a client wants the media types that a server can give.

const std = @import("std");
const chars = @import("chars.zig");

/// Longest value that is looked at, bytes: what browsers send has less than 200.
pub const value_bytes_max = 2048;

/// A weight times 1000 (RFC 9110 §12.4.2).
pub const Quality = u16;
pub const quality_max: Quality = 1000;

/// One element of the list: a range of media types and its weight.
pub const Range = struct {
    /// "*" for any.
    type: []const u8,
    /// "*" for any.
    subtype: []const u8,
    /// It has parameters besides the weight.
    has_parameters: bool,
    quality: Quality,
};

/// Walks the ranges of one field value. Empty elements are skipped (RFC 9110 §5.6.1.2).
pub const Iterator = struct {
    bytes: []const u8,
    at: usize = 0,

    /// The next range, or null after the last. After an error there is nothing more to be had.
    pub fn next(it: *Iterator) error{Malformed}!?Range {
        while (true) {
            it.skipWhiteSpace();
            if (it.at == it.bytes.len) return null;
            if (!it.skip(',')) break;
        }
        const main = try it.token();
        if (!it.skip('/')) return error.Malformed;
        const sub = try it.token();
        if (std.mem.eql(u8, main, "*") and !std.mem.eql(u8, sub, "*")) return error.Malformed;
        var range: Range = .{
            .type = main,
            .subtype = sub,
            .has_parameters = false,
            .quality = quality_max,
        };
        try it.parameters(&range);
        return range;
    }

    /// *( OWS ";" OWS [ parameter ] ), then the end of the element.
    fn parameters(it: *Iterator, range: *Range) error{Malformed}!void {
        var weighed = false;
        while (true) {
            it.skipWhiteSpace();
            if (it.at == it.bytes.len or it.skip(',')) return;
            if (!it.skip(';')) return error.Malformed;
            it.skipWhiteSpace();
            if (it.at == it.bytes.len or it.peek() == ';' or it.peek() == ',') continue;
            const name = try it.token();
            const is_weight = chars.eqlLower(name, "q");
            // Before RFC 9110, names without a value could follow the weight.
            if (!it.skip('=')) {
                if (is_weight or !weighed) return error.Malformed;
                continue;
            }
            if (is_weight) {
                if (weighed) return error.Malformed;
                weighed = true;
                range.quality = parseQuality(try it.token()) orelse return error.Malformed;
            } else {
                // What follows the weight belongs to no media type.
                if (!weighed) range.has_parameters = true;
                if (it.skip('"')) try it.quotedRest() else _ = try it.token();
            }
        }
    }

    fn peek(it: *const Iterator) u8 {
        return it.bytes[it.at];
    }

    fn skip(it: *Iterator, c: u8) bool {
        if (it.at == it.bytes.len or it.bytes[it.at] != c) return false;
        it.at += 1;
        return true;
    }

    fn skipWhiteSpace(it: *Iterator) void {
        while (it.at < it.bytes.len and chars.isOws(it.bytes[it.at])) it.at += 1;
    }

    fn token(it: *Iterator) error{Malformed}![]const u8 {
        const start = it.at;
        while (it.at < it.bytes.len and chars.token_table[it.bytes[it.at]]) it.at += 1;
        if (it.at == start) return error.Malformed;
        return it.bytes[start..it.at];
    }

    /// A quoted string behind its first quote (RFC 9110 §5.6.4).
    fn quotedRest(it: *Iterator) error{Malformed}!void {
        while (it.at < it.bytes.len) {
            const c = it.bytes[it.at];
            it.at += 1;
            if (c == '"') return;
            if (chars.Class.has(.value_stop, c)) return error.Malformed;
            if (c == '\\') {
                if (it.at == it.bytes.len) return error.Malformed;
                if (chars.Class.has(.value_stop, it.bytes[it.at])) return error.Malformed;
                it.at += 1;
            }
        }
        return error.Malformed;
    }
};

/// ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ), in thousandths.
fn parseQuality(text: []const u8) ?Quality {
    if (text.len == 0 or text.len > 5 or (text[0] != '0' and text[0] != '1')) return null;
    if (text.len > 1 and text[1] != '.') return null;
    var value: Quality = text[0] - '0';
    for (2..5) |i| {
        const digit = if (i < text.len) text[i] else '0';
        if (!std.ascii.isDigit(digit)) return null;
        value = value * 10 + (digit - '0');
    }
    return if (value <= quality_max) value else null;
}

/// How much one media type is wanted: what the most specific of the ranges that match it says.
pub const Wish = struct {
    type: []const u8,
    subtype: []const u8,
    /// 0: not at all, or not mentioned.
    quality: Quality = 0,
    precision: Precision = .none,

    /// How exactly the range matched, the loosest first.
    pub const Precision = enum(u8) {
        none,
        any,
        main_type,
        /// Its type, with parameters that the type offered does not have: the nearest there is to
        /// what was asked for.
        variant,
        exact,
    };

    /// Takes a range into account. Of equally precise ones the largest weight counts.
    pub fn note(wish: *Wish, range: Range) void {
        const precision = wish.match(range);
        if (@intFromEnum(precision) < @intFromEnum(wish.precision)) return;
        if (precision == .none) return;
        const better = precision != wish.precision or range.quality > wish.quality;
        if (better) wish.quality = range.quality;
        wish.precision = precision;
    }

    fn match(wish: *const Wish, range: Range) Precision {
        if (std.mem.eql(u8, range.type, "*")) return .any;
        if (!std.ascii.eqlIgnoreCase(range.type, wish.type)) return .none;
        if (std.mem.eql(u8, range.subtype, "*")) return .main_type;
        if (!std.ascii.eqlIgnoreCase(range.subtype, wish.subtype)) return .none;
        return if (range.has_parameters) .variant else .exact;
    }
};

const testing = std.testing;

fn wishOf(accept: []const u8, main: []const u8, sub: []const u8) !Wish {
    var wish: Wish = .{ .type = main, .subtype = sub };
    var it: Iterator = .{ .bytes = accept };
    while (try it.next()) |range| wish.note(range);
    return wish;
}

test "the most specific range decides: the example of RFC 9110, section 12.5.1" {
    const accept = "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, " ++
        "text/plain;format=fixed;q=0.4, */*;q=0.5";
    for ([_]struct { []const u8, []const u8, Quality }{
        .{ "text", "plain", 700 },
        .{ "text", "html", 300 },
        .{ "image", "jpeg", 500 },
    }) |case| try testing.expectEqual(case[2], (try wishOf(accept, case[0], case[1])).quality);
}

test "types are compared without regard to case, and whatever the order" {
    for ([_][]const u8{
        "APPLICATION/Json;Q=0.2, */*",
        "*/*, application/json;q=0.2",
        "application/*;q=0.9,application/json;q=0.2,*/*;q=1",
        "application/json;q=0.1,application/json;q=0.2",
        "application/json;q=0.2,application/json;q=0.1",
        "application/json;v=1,application/json;q=0.2",
    }) |accept| {
        errdefer std.debug.print("for {s}\n", .{accept});
        const wish = try wishOf(accept, "application", "json");
        try testing.expectEqual(@as(Quality, 200), wish.quality);
        try testing.expectEqual(Wish.Precision.exact, wish.precision);
    }
}

test "a weight has three digits at most and is no more than 1" {
    for ([_]struct { []const u8, Quality }{
        .{ "0", 0 },        .{ "0.", 0 },      .{ "0.0", 0 },  .{ "0.5", 500 }, .{ "0.05", 50 },
        .{ "0.005", 5 },    .{ "0.999", 999 }, .{ "1", 1000 }, .{ "1.", 1000 }, .{ "1.0", 1000 },
        .{ "1.000", 1000 },
    }) |case| {
        errdefer std.debug.print("for {s}\n", .{case[0]});
        try testing.expectEqual(case[1], parseQuality(case[0]).?);
    }
    for ([_][]const u8{
        "",    "2",   "1.1",    "1.001", "-1", "+1", ".5", "0,5", "00.5", "0.5x", "x", "1e0",
        "0x1", "NaN", "0.0000", "0..1",  "01",
    }) |bad| {
        errdefer std.debug.print("for {s}\n", .{bad});
        try testing.expectEqual(@as(?Quality, null), parseQuality(bad));
    }
}

test "lists are walked: empty elements, white space, quoted strings, what follows a weight" {
    for ([_]struct { []const u8, usize }{
        .{ "", 0 },
        .{ " \t", 0 },
        .{ ",, ,", 0 },
        .{ "a/b", 1 },
        .{ " a/b , c/d ", 2 },
        .{ ",a/b,,c/d,", 2 },
        .{ "a/b;q=0.1 ; x=y", 1 },
        .{ "a/b ;q=1\t,c/d", 2 },
        .{ "a/b;,c/d;;", 2 },
        .{ "a/b;x=\"1,2;q=0\",c/d", 2 },
        .{ "a/b;x=\"\\\"\";q=0.5", 1 },
        .{ "a/b;x=\"\"", 1 },
        .{ "a/b;q=0.5;level, c/d", 2 },
        .{ "*/*", 1 },
        .{ "*", 0 },
    }) |case| {
        errdefer std.debug.print("for {s}\n", .{case[0]});
        var it: Iterator = .{ .bytes = case[0] };
        var count: usize = 0;
        while (it.next() catch null) |_| count += 1;
        try testing.expectEqual(case[1], count);
    }
}

test "what is no Accept is told" {
    for ([_][]const u8{
        "json",             "*",       "a/",          "/b",         "a/b/c",
        "a /b",             "a/ b",    "a/b c/d",     "*/b",        "a/b;q",
        "a/b;q=",           "a/b;q=2", "a/b;q=\"1\"", "a/b;q= 1",   "a/b;q=1;q=1",
        "a/b;x",            "a/b;x=",  "a/b;x=\"",    "a/b;=1",     "a/b;x=\"\\",
        "a/b;x=\"\x00\"",   "a/b\x00", "\xff/b",      "a/b;q=0.1x", "a/b, ;",
        "a/b;x=\"\\\x7f\"", "(a)/b",   "a/b;x=y z",   "a=b",        "a/b\nc/d",
    }) |bad| {
        errdefer std.debug.print("for {s}\n", .{std.fmt.fmtSliceEscapeLower(bad)});
        try testing.expectError(error.Malformed, wishOf(bad, "a", "b"));
    }
}

test "random bytes are walked to an end" {
    var prng = std.Random.DefaultPrng.init(7);
    const random = prng.random();
    const alphabet = "a/*;,=q01.\" \\\t-";
    for (0..20_000) |_| {
        var bytes: [40]u8 = undefined;
        const len = random.uintAtMost(usize, bytes.len);
        for (bytes[0..len]) |*c| c.* = alphabet[random.uintLessThan(usize, alphabet.len)];
        var it: Iterator = .{ .bytes = bytes[0..len] };
        while (it.next() catch null) |range| {
            try testing.expect(range.quality <= quality_max);
            try testing.expect(range.type.len > 0 and range.subtype.len > 0);
            try testing.expect(it.at <= len);
        }
    }
}
