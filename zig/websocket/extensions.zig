//! The grammar of Sec-WebSocket-Extensions (RFC 6455 §9.1): extensions with their parameters, in
//! the order in which a client prefers them.

const std = @import("std");
const assert = std.debug.assert;
const chars = @import("../http/chars.zig");
const fields_file = @import("../http/fields.zig");

pub const Parameter = struct {
    name: []const u8,
    /// Between the quotes where it has some; null: it has no value.
    value: ?[]const u8 = null,

    /// The value as a number of one or two digits without a zero in front; null when it is none.
    pub fn number(self: *const Parameter) ?u8 {
        var digits: [2]u8 = undefined;
        var len: usize = 0;
        for (self.value orelse return null) |c| {
            // A quoted pair stands for its second byte.
            if (c == '\\') continue;
            if (len == digits.len or !std.ascii.isDigit(c)) return null;
            digits[len] = c;
            len += 1;
        }
        if (len == 0 or digits[0] == '0') return null;
        return std.fmt.parseInt(u8, digits[0..len], 10) catch null;
    }
};

pub const Malformed = error{Malformed};

/// Walks the extensions of one field value, and the parameters of each.
pub const Iterator = struct {
    rest: []const u8,
    state: enum { start, in_extension, done } = .start,
    count: usize = 0,

    /// The next extension's name; what the last one has of parameters is passed over, and checked.
    /// Null behind the last; a list without any is malformed.
    pub fn next(self: *Iterator) Malformed!?[]const u8 {
        while (try self.parameter()) |_| {}
        // Elements may be empty (RFC 2616 §2.1, which the grammar is written in).
        while (self.rest.len > 0 and (self.rest[0] == ',' or chars.isOws(self.rest[0])))
            self.rest = self.rest[1..];
        if (self.rest.len == 0) {
            if (self.count == 0) return error.Malformed;
            self.state = .done;
            return null;
        }
        self.count += 1;
        self.state = .in_extension;
        return try self.token();
    }

    /// The next parameter of the extension that `next` gave; null behind the last.
    pub fn parameter(self: *Iterator) Malformed!?Parameter {
        if (self.state != .in_extension) return null;
        self.skipOws();
        if (self.rest.len == 0 or self.rest[0] == ',') {
            self.state = .start;
            return null;
        }
        if (self.rest[0] != ';') return error.Malformed;
        self.rest = self.rest[1..];
        self.skipOws();
        var found: Parameter = .{ .name = try self.token() };
        self.skipOws();
        if (self.rest.len == 0 or self.rest[0] != '=') return found;
        self.rest = self.rest[1..];
        self.skipOws();
        const is_quoted = self.rest.len > 0 and self.rest[0] == '"';
        found.value = if (is_quoted) try self.quoted() else try self.token();
        return found;
    }

    fn skipOws(self: *Iterator) void {
        while (self.rest.len > 0 and chars.isOws(self.rest[0])) self.rest = self.rest[1..];
    }

    fn token(self: *Iterator) Malformed![]const u8 {
        var len: usize = 0;
        while (len < self.rest.len and chars.token_table[self.rest[len]]) len += 1;
        if (len == 0) return error.Malformed;
        defer self.rest = self.rest[len..];
        return self.rest[0..len];
    }

    /// What a quoted string stands for has to be a token.
    fn quoted(self: *Iterator) Malformed![]const u8 {
        assert(self.rest[0] == '"');
        var at: usize = 1;
        var count: usize = 0;
        while (at < self.rest.len and self.rest[at] != '"') : (at += 1) {
            if (self.rest[at] == '\\') at += 1;
            if (at == self.rest.len or !chars.token_table[self.rest[at]]) return error.Malformed;
            count += 1;
        }
        if (at >= self.rest.len or count == 0) return error.Malformed;
        defer self.rest = self.rest[at + 1 ..];
        return self.rest[1..at];
    }
};

const testing = std.testing;

/// The value in another form; `error.Malformed` when it has none.
fn shape(value: []const u8, out: *std.ArrayList(u8)) !void {
    var it: Iterator = .{ .rest = value };
    while (try it.next()) |name| {
        try out.writer().print("[{s}", .{name});
        while (try it.parameter()) |parameter| {
            try out.writer().print(" {s}", .{parameter.name});
            if (parameter.value) |text| try out.writer().print("={s}", .{text});
        }
        try out.append(']');
    }
}

test "extensions and their parameters are found in whatever spelling the grammar allows" {
    inline for (.{
        .{ "a", "[a]" },
        .{ "a, b;c", "[a][b c]" },
        .{ "a;b=c;d=\"e\" , f", "[a b=c d=e][f]" },
        .{ " ,, a ; b = c ,, ", "[a b=c]" },
        .{ "a;b=\"\\c\\d\"", "[a b=\\c\\d]" },
        .{ "a;a;a=a", "[a a a=a]" },
    }) |case| {
        var out: std.ArrayList(u8) = .init(testing.allocator);
        defer out.deinit();
        try shape(case[0], &out);
        try testing.expectEqualStrings(case[1], out.items);
    }
}

test "what the grammar does not allow is malformed (RFC 6455 §9.1)" {
    for ([_][]const u8{
        "",
        " ",
        ",",
        ",,",
        ";a",
        "a;",
        "a;;b",
        "a;,b",
        "a b",
        "a;b=",
        "a;b=,c",
        "a;b=c d",
        "a=b",
        "a;b=\"\"",
        "a;b=\"c",
        "a;b=\"c d\"",
        "a;b=\"c\\\"",
        "a;b=\"\\",
        "a;b=\"c\"d",
        "a,b;=c",
        "a;b==c",
        "\"a\"",
        "a;\"b\"",
        "a(b)",
        "a\x00",
    }) |value| {
        var out: std.ArrayList(u8) = .init(testing.allocator);
        defer out.deinit();
        try testing.expectError(error.Malformed, shape(value, &out));
    }
}

test "a number has one or two digits, and no zero in front" {
    inline for (.{
        .{ "8", 8 },     .{ "15", 15 },    .{ "99", 99 },  .{ "1\\5", 15 },
        .{ "08", null }, .{ "0", null },   .{ "", null },  .{ "100", null },
        .{ "+8", null }, .{ "8.0", null }, .{ "a", null },
    }) |case| {
        const parameter: Parameter = .{ .name = "a", .value = case[0] };
        try testing.expectEqual(@as(?u8, case[1]), parameter.number());
    }
    const none: Parameter = .{ .name = "a" };
    try testing.expectEqual(null, none.number());
}
