//! Request methods (RFC 9110 §9). The registered ones are enum values; every other token is
//! `other` and travels as text in `Request.method_text`.
const std = @import("std");

pub const Method = enum(u8) {
    GET,
    HEAD,
    POST,
    PUT,
    DELETE,
    CONNECT,
    OPTIONS,
    TRACE,
    PATCH,
    other = 255,

    /// The method named by `bytes`. Methods are case-sensitive (RFC 9110 §9.1): `get` is `other`.
    /// `bytes` is not checked to be a token; that is asked of those that are `other`.
    pub fn parse(bytes: []const u8) Method {
        return switch (bytes.len) {
            3 => pick(bytes, &.{ .GET, .PUT }),
            4 => pick(bytes, &.{ .HEAD, .POST }),
            5 => pick(bytes, &.{ .TRACE, .PATCH }),
            6 => pick(bytes, &.{.DELETE}),
            7 => pick(bytes, &.{ .CONNECT, .OPTIONS }),
            else => .other,
        };
    }

    /// The method's token, static memory; "" for `other`, whose text only the request knows.
    pub fn text(method: Method) []const u8 {
        return if (method == .other) "" else @tagName(method);
    }

    fn pick(bytes: []const u8, comptime candidates: []const Method) Method {
        inline for (candidates) |candidate| {
            const name = comptime candidate.text();
            if (std.mem.eql(u8, bytes[0..name.len], name)) return candidate;
        }
        return .other;
    }
};

test "every registered method is parsed from its own text" {
    for (std.enums.values(Method)) |method| {
        if (method == .other) continue;
        try std.testing.expectEqual(method, Method.parse(method.text()));
    }
}

test "an unknown, a lower-case and an empty method are other" {
    for ([_][]const u8{ "", "get", "Get", "GETT", "GE", "PROPFIND", "PATCHES", "TRACK" }) |text| {
        try std.testing.expectEqual(Method.other, Method.parse(text));
    }
    try std.testing.expectEqualStrings("", Method.other.text());
}
