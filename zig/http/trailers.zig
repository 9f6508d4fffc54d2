//! Trailer fields (RFC 9110 §6.5): which may stand behind a body, and their lines as fields.
const std = @import("std");
const chars = @import("chars.zig");
const Fields = @import("fields.zig").Fields;

/// Fields that must not stand in a trailer section, lower case (RFC 9110 §6.5.1): what frames the
/// message, routes it, authenticates it, modifies the request, controls the response or says how
/// the content is to be read. The members of the classes are those of RFC 7230 §4.1.2. What is
/// made of the content belongs there and is let through: Content-Digest, Content-MD5, ETag,
/// Server-Timing, Authentication-Info.
pub const forbidden = framing ++ routing ++ authentication ++ modifiers ++ control ++ format;

const framing = [_][]const u8{
    "connection", "content-length", "keep-alive",        "proxy-connection",
    "te",         "trailer",        "transfer-encoding", "upgrade",
};
const routing = [_][]const u8{ "forwarded", "host", "max-forwards", "via" };
const authentication = [_][]const u8{
    "authorization",       "cookie",     "proxy-authenticate",
    "proxy-authorization", "set-cookie", "www-authenticate",
};
const modifiers = [_][]const u8{
    "cache-control", "expect",              "if-match", "if-modified-since", "if-none-match",
    "if-range",      "if-unmodified-since", "pragma",   "range",
};
const control = [_][]const u8{
    "age", "date", "expires", "location", "retry-after", "vary", "warning",
};
const format = [_][]const u8{ "content-encoding", "content-range", "content-type" };

/// Whether a field called `name` must not stand in a trailer section.
pub fn isForbidden(name: []const u8) bool {
    for (forbidden) |other| {
        if (std.ascii.eqlIgnoreCase(name, other)) return true;
    }
    return false;
}

/// Makes fields of `lines`: "name: value\r\n" lines as the chunked decoder lets them through, or as
/// `Response.trailer` writes them. The fields are slices of `lines`; lines beyond
/// `Fields.capacity` are left out.
pub fn parse(lines: []const u8, out: *Fields) void {
    out.len = 0;
    var rest = lines;
    while (std.mem.indexOfScalar(u8, rest, '\n')) |line_feed| {
        const line = rest[0..line_feed];
        rest = rest[line_feed + 1 ..];
        const colon = std.mem.indexOfScalar(u8, line, ':') orelse continue;
        const value = std.mem.trimRight(u8, line[colon + 1 ..], "\r");
        if (!out.append(line[0..colon], chars.trimOws(value))) return;
    }
}

test "a forbidden name is one in any case, and only as a whole" {
    for (forbidden) |name| {
        try std.testing.expect(isForbidden(name));
        for (name) |c| try std.testing.expect(!std.ascii.isUpper(c)); // the decoder compares so
    }
    try std.testing.expect(isForbidden("Content-LENGTH"));
    for ([_][]const u8{ "X-Sum", "Content-Digest", "content-md5", "Hos", "Hosts", "ETag" }) |n| {
        try std.testing.expect(!isForbidden(n));
    }
}

test "lines become fields without the white space around their values" {
    var fields = Fields{};
    parse("X-Sum: 1\r\nEmpty:\r\nX-Two:\t a: b \t\r\nx-sum:2\r\n", &fields);
    try std.testing.expectEqual(4, fields.len);
    try std.testing.expectEqualStrings("1", fields.get("x-sum").?);
    try std.testing.expectEqualStrings("", fields.get("empty").?);
    try std.testing.expectEqualStrings("a: b", fields.get("X-Two").?);
    try std.testing.expectEqualStrings("2", fields.slice()[3].value);
    parse("", &fields);
    try std.testing.expectEqual(0, fields.len);
}
