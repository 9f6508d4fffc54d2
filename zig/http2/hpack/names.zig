//! The names of fields that HTTP/2 looks at, and HPACK's static table (RFC 7541, appendix A).

const std = @import("std");
const assert = std.debug.assert;
const chars = @import("../../http/chars.zig");

/// The name of a field, as far as anything here depends on it. Those of the static table come
/// first, in its order.
pub const Name = enum(u8) {
    @":authority",
    @":method",
    @":path",
    @":scheme",
    @":status",
    @"accept-charset",
    @"accept-encoding",
    @"accept-language",
    @"accept-ranges",
    accept,
    @"access-control-allow-origin",
    age,
    allow,
    authorization,
    @"cache-control",
    @"content-disposition",
    @"content-encoding",
    @"content-language",
    @"content-length",
    @"content-location",
    @"content-range",
    @"content-type",
    cookie,
    date,
    etag,
    expect,
    expires,
    from,
    host,
    @"if-match",
    @"if-modified-since",
    @"if-none-match",
    @"if-range",
    @"if-unmodified-since",
    @"last-modified",
    link,
    location,
    @"max-forwards",
    @"proxy-authenticate",
    @"proxy-authorization",
    range,
    referer,
    refresh,
    @"retry-after",
    server,
    @"set-cookie",
    @"strict-transport-security",
    @"transfer-encoding",
    @"user-agent",
    vary,
    via,
    @"www-authenticate",
    // Not in the static table.
    @":protocol",
    connection,
    @"keep-alive",
    @"proxy-connection",
    te,
    trailer,
    upgrade,
    priority,
    other,

    const last_static: Name = .@"www-authenticate";

    /// The one called `lower`, which must be in lower case to be found.
    pub fn find(lower: []const u8) Name {
        return switch (lower.len) {
            inline 2...27 => |len| findOf(len, lower[0..len]),
            else => .other,
        };
    }

    fn findOf(comptime len: usize, lower: *const [len]u8) Name {
        const Word = std.meta.Int(.unsigned, 8 * len);
        const word: Word = @bitCast(lower.*);
        inline for (std.meta.fields(Name)) |field| {
            if (field.name.len == len and field.value != @intFromEnum(Name.other)) {
                const bytes: *const [len]u8 = field.name[0..len];
                if (word == comptime @as(Word, @bitCast(bytes.*))) return @enumFromInt(field.value);
            }
        }
        return .other;
    }

    pub fn isPseudo(self: Name) bool {
        return switch (self) {
            .@":authority", .@":method", .@":path", .@":scheme", .@":status" => true,
            .@":protocol" => true,
            else => false,
        };
    }

    /// Where the static table has it first; 0: not at all.
    pub inline fn staticIndex(self: Name) u8 {
        return first_index[@intFromEnum(self)];
    }
};

/// An entry of the static table.
pub const Entry = struct {
    name: Name,
    name_len: u8,
    value_len: u8,
    /// "name: value\r\n", and zeros.
    line: [line_bytes]u8,

    /// No line of the static table is longer.
    pub const line_bytes = 32;
    pub const separator = ": ";
    pub const line_end = "\r\n";
};

/// Entries of the static table: their indexes are 1 to this.
pub const static_count = 61;

/// The static table; index 0 is none of it.
pub const static_table: [static_count + 1]Entry = blk: {
    @setEvalBranchQuota(100_000);
    const Value = struct { Name, []const u8 };
    const values = [_]Value{
        .{ .@":method", "GET" },
        .{ .@":method", "POST" },
        .{ .@":path", "/" },
        .{ .@":path", "/index.html" },
        .{ .@":scheme", "http" },
        .{ .@":scheme", "https" },
        .{ .@":status", "200" },
        .{ .@":status", "204" },
        .{ .@":status", "206" },
        .{ .@":status", "304" },
        .{ .@":status", "400" },
        .{ .@":status", "404" },
        .{ .@":status", "500" },
        .{ .@"accept-encoding", "gzip, deflate" },
    };
    var table: [static_count + 1]Entry = undefined;
    table[0] = entry(.other, "", "");
    var count: usize = 0;
    for (0..@intFromEnum(Name.last_static) + 1) |tag| {
        const name: Name = @enumFromInt(tag);
        const before = count;
        for (values) |value| if (value[0] == name) {
            count += 1;
            table[count] = entry(name, @tagName(name), value[1]);
        };
        if (count > before) continue;
        count += 1;
        table[count] = entry(name, @tagName(name), "");
    }
    assert(count == static_count);
    break :blk table;
};

fn entry(name: Name, text: []const u8, value: []const u8) Entry {
    const line = text ++ Entry.separator ++ value ++ Entry.line_end;
    const padded = line ++ [_]u8{0} ** (Entry.line_bytes - line.len);
    return .{ .name = name, .name_len = text.len, .value_len = value.len, .line = padded.* };
}

const first_index: [std.meta.fields(Name).len]u8 = blk: {
    var indexes: [std.meta.fields(Name).len]u8 = @splat(0);
    var index = static_count;
    while (index > 0) : (index -= 1) indexes[@intFromEnum(static_table[index].name)] = index;
    break :blk indexes;
};

/// Where the static table has `name` with `value`.
pub fn staticMatch(name: Name, value: []const u8) ?u8 {
    const first: usize = switch (name) {
        .@":method", .@":path", .@":scheme", .@":status", .@"accept-encoding" => name.staticIndex(),
        else => return null,
    };
    for (static_table[first..], first..) |*candidate, index| {
        if (candidate.name != name) return null;
        const at = candidate.name_len + Entry.separator.len;
        if (std.mem.eql(u8, candidate.line[at..][0..candidate.value_len], value))
            return @intCast(index);
    }
    return null;
}

/// Whether `bytes` are a field's name as HTTP/2 has them: a token in lower case (RFC 9113 §8.2.1).
pub fn isLowerToken(bytes: []const u8) bool {
    for (bytes) |c| if (!lower_table[c]) return false;
    return bytes.len > 0;
}

const lower_table: [256]bool = blk: {
    var table = chars.token_table;
    for ('A'..'Z' + 1) |c| table[c] = false;
    break :blk table;
};

/// Writes `name` in lower case to the start of `out`.
pub fn lowerInto(out: []u8, name: []const u8) []const u8 {
    for (out[0..name.len], name) |*to, c| to.* = std.ascii.toLower(c);
    return out[0..name.len];
}

const testing = std.testing;

test "the static table has RFC 7541's entries at their places" {
    const places = [_]struct { usize, []const u8 }{
        .{ 1, ":authority: \r\n" },                    .{ 2, ":method: GET\r\n" },
        .{ 3, ":method: POST\r\n" },                   .{ 4, ":path: /\r\n" },
        .{ 5, ":path: /index.html\r\n" },              .{ 6, ":scheme: http\r\n" },
        .{ 7, ":scheme: https\r\n" },                  .{ 8, ":status: 200\r\n" },
        .{ 14, ":status: 500\r\n" },                   .{ 15, "accept-charset: \r\n" },
        .{ 16, "accept-encoding: gzip, deflate\r\n" }, .{ 17, "accept-language: \r\n" },
        .{ 28, "content-length: \r\n" },               .{ 32, "cookie: \r\n" },
        .{ 38, "host: \r\n" },                         .{ 55, "set-cookie: \r\n" },
        .{ 58, "user-agent: \r\n" },                   .{ 61, "www-authenticate: \r\n" },
    };
    for (places) |place| {
        const found = &static_table[place[0]];
        const len = @as(usize, found.name_len) + found.value_len + 4;
        try testing.expectEqualStrings(place[1], found.line[0..len]);
    }
    for (static_table[1..], 1..) |*each, index| {
        const value = each.line[each.name_len + 2 ..][0..each.value_len];
        if (each.value_len > 0) try testing.expectEqual(index, staticMatch(each.name, value).?);
        try testing.expectEqual(each.name, Name.find(each.line[0..each.name_len]));
        try testing.expect(each.name.staticIndex() <= index);
    }
    try testing.expectEqual(0, Name.other.staticIndex());
    try testing.expectEqual(null, staticMatch(.@":status", "201"));
    try testing.expectEqual(null, staticMatch(.@":path", ""));
}

test "a name is found in lower case and as a whole, and most names are others" {
    for (std.enums.values(Name)) |name| {
        try testing.expectEqual(name, Name.find(@tagName(name)));
    }
    for ([_][]const u8{ "", "t", "Te", "Host", "hosts", "x-a", ":foo", "x" ** 300 }) |text| {
        try testing.expectEqual(Name.other, Name.find(text));
    }
    try testing.expect(isLowerToken("x-1_~") and !isLowerToken("X") and !isLowerToken(""));
    try testing.expect(!isLowerToken("a b") and !isLowerToken(":a") and !isLowerToken("a\xe4"));
}
