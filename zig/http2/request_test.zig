const std = @import("std");
const testing = std.testing;
const FieldLines = @import("../http/field_lines.zig").FieldLines;
const trailer_fields = @import("../http/trailers.zig");
const Fields = @import("../http/fields.zig").Fields;
const Request = @import("../http/request.zig").Request;
const request = @import("request.zig");
const Fixture = @import("testing/fixture.zig").Fixture;
const problem = @import("../http/problem.zig");

const get = ":method: GET\r\n:scheme: https\r\n:path: /a?b=c\r\n:authority: example.com\r\n";

const to_http = ":method: GET\r\n:scheme: http\r\n";

const Case = struct {
    fixture: Fixture = .{},
    req: Request = .{},

    fn decode(
        self: *Case,
        comptime lines: []const u8,
        end_stream: bool,
        limits: request.Limits,
    ) !request.Result {
        self.fixture.init();
        try self.fixture.pass(comptime FieldLines.of(lines));
        return request.decode(&self.fixture.block, end_stream, limits, &self.req);
    }
};

test "a request is what HTTP/1's decoder makes of it, with a Host that is made of :authority" {
    var case: Case = .{};
    const result = try case.decode(get ++ "accept: */*\r\npriority: u=1\r\n", true, .{});
    const req = &case.req;
    try testing.expectEqual(.GET, req.method);
    try testing.expectEqualStrings("GET", req.method_text);
    try testing.expectEqualStrings("/a?b=c", req.target);
    try testing.expectEqualStrings("/a", req.path);
    try testing.expectEqualStrings("b=c", req.query);
    try testing.expectEqualStrings("example.com", req.authority);
    try testing.expectEqual(.http2, req.version);
    try testing.expectEqual(3, req.fields.len);
    try testing.expectEqualStrings("host", req.fields.items[0].name);
    try testing.expectEqualStrings("example.com", req.fields.get("Host").?);
    try testing.expectEqualStrings("*/*", req.fields.get("accept").?);
    try testing.expectEqual(request.Head{
        .content_length = null,
        .expect_continue = false,
        .scheme = .https,
        .protocol = "",
        .priority = req.fields.items[2].value,
    }, result.head);
    try expectInside(req);
}

/// What crosses the bridge by offsets lies in the head.
fn expectInside(req: *const Request) !void {
    inline for (.{ "method_text", "target", "path", "query", "authority" }) |member|
        try testing.expect(isInside(req.head_bytes, @field(req, member)));
    for (req.fields.slice()) |field| {
        try testing.expect(isInside(req.head_bytes, field.name));
        try testing.expect(isInside(req.head_bytes, field.value));
    }
}

fn isInside(outer: []const u8, inner: []const u8) bool {
    return @intFromPtr(inner.ptr) >= @intFromPtr(outer.ptr) and
        @intFromPtr(inner.ptr) + inner.len <= @intFromPtr(outer.ptr) + outer.len;
}

test "crumbs of Cookie are one field, where the first was, adjacent or not" {
    var case: Case = .{};
    const lines = "accept: x\r\ncookie: a=1\r\ncookie: b=2\r\nvary: y\r\n" ++
        "cookie: c=3\r\nte: trailers\r\n";
    const result = try case.decode(get ++ lines, true, .{});
    try testing.expect(result == .head);
    const fields = &case.req.fields;
    try testing.expectEqual(5, fields.len);
    try testing.expectEqualStrings("cookie", fields.items[2].name);
    try testing.expectEqualStrings("a=1; b=2; c=3", fields.items[2].value);
    try testing.expectEqualStrings("y", fields.items[3].value);
    try testing.expectEqualStrings("trailers", fields.items[4].value);
    try expectInside(&case.req);
}

test "Host may stand for :authority, and beside it when it is the same" {
    var case: Case = .{};
    const without = to_http ++ ":path: /\r\n";
    const result = try case.decode(without ++ "host: a:80\r\n", true, .{});
    try testing.expectEqual(.http, result.head.scheme);
    try testing.expectEqualStrings("a:80", case.req.authority);
    try testing.expectEqual(1, case.req.fields.len);
    const both = without ++ ":authority: a:80\r\nx: y\r\nhost: A:80\r\n";
    try testing.expect(try case.decode(both, true, .{}) == .head);
    try testing.expectEqual(2, case.req.fields.len);
}

test "CONNECT has an authority with a port, and nothing else" {
    var case: Case = .{};
    const result = try case.decode(":method: CONNECT\r\n:authority: a:443\r\n", false, .{});
    try testing.expectEqual(.other, result.head.scheme);
    try testing.expectEqualStrings("a:443", case.req.target);
    try testing.expectEqualStrings("", case.req.path);
    try expectInside(&case.req);
    inline for (.{
        .{ ":scheme: http\r\n:authority: a:443\r\n", .invalid_scheme },
        .{ ":path: /\r\n:authority: a:443\r\n", .invalid_path },
        .{ ":authority: a\r\n", .invalid_authority },
        .{ "host: a:443\r\n", .missing_authority },
    }) |bad| {
        const refused = try case.decode(":method: CONNECT\r\n" ++ bad[0], false, .{});
        try testing.expectEqual(@as(request.Malformed, bad[1]), refused.malformed);
    }
}

test "an extended CONNECT has a protocol, where that was offered" {
    var case: Case = .{};
    const lines = ":method: CONNECT\r\n:protocol: websocket\r\n:scheme: https\r\n" ++
        ":path: /chat\r\n:authority: a\r\n";
    const result = try case.decode(lines, false, .{ .extended_connect = true });
    try testing.expectEqualStrings("websocket", result.head.protocol);
    try testing.expectEqualStrings("/chat", case.req.path);
    const refused = try case.decode(lines, false, .{});
    try testing.expectEqual(.invalid_protocol, refused.malformed);
    const other = try case.decode(
        get ++ ":protocol: websocket\r\n",
        false,
        .{ .extended_connect = true },
    );
    try testing.expectEqual(.invalid_protocol, other.malformed);
}

test "what a request must not be is malformed, by name" {
    inline for (.{
        .{ ":scheme: http\r\n:path: /\r\n:authority: a\r\n", .missing_method },
        .{ ":method: G T\r\n:scheme: http\r\n:path: /\r\n:authority: a\r\n", .invalid_method },
        .{ ":method: GET\r\n:path: /\r\n:authority: a\r\n", .invalid_scheme },
        .{ ":method: GET\r\n:scheme: \r\n:path: /\r\n:authority: a\r\n", .invalid_scheme },
        .{ ":method: GET\r\n:scheme: 1a\r\n:path: /\r\n:authority: a\r\n", .invalid_scheme },
        .{ ":method: GET\r\n:scheme: a b\r\n:path: /\r\n:authority: a\r\n", .invalid_scheme },
        .{ ":method: GET\r\n:scheme: http\r\n:authority: a\r\n", .invalid_path },
        .{ to_http ++ ":path: \r\n:authority: a\r\n", .invalid_path },
        .{ to_http ++ ":path: a\r\n:authority: a\r\n", .invalid_path },
        .{ to_http ++ ":path: *\r\n:authority: a\r\n", .invalid_path },
        .{ to_http ++ ":path: /a b\r\n:authority: a\r\n", .invalid_path },
        .{ to_http ++ ":path: /a#b\r\n:authority: a\r\n", .invalid_path },
        .{ to_http ++ ":path: http://a/\r\n:authority: a\r\n", .invalid_path },
        .{ to_http ++ ":path: /\r\n", .missing_authority },
        .{ to_http ++ ":path: /\r\n:authority: \r\n", .invalid_authority },
        .{ to_http ++ ":path: /\r\n:authority: u@a\r\n", .invalid_authority },
        .{ get ++ "host: b\r\n", .invalid_host },
        .{ get ++ "host: example.com\r\nhost: example.com\r\n", .invalid_host },
        .{ get ++ ":method: GET\r\n", .invalid_pseudo_field },
        .{ get ++ ":path: /\r\n", .invalid_pseudo_field },
        .{ get ++ ":status: 200\r\n", .invalid_pseudo_field },
        .{ get ++ ":other: x\r\n", .invalid_field_name },
        .{ to_http ++ "x: y\r\n:path: /\r\n:authority: a\r\n", .invalid_pseudo_field },
        .{ get ++ "a b: y\r\n", .invalid_field_name },
        .{ get ++ "x:  y\r\n", .invalid_field_value },
        .{ get ++ "x: y\x00\r\n", .invalid_field_value },
        .{ get ++ "connection: close\r\n", .connection_field },
        .{ get ++ "keep-alive: 1\r\n", .connection_field },
        .{ get ++ "proxy-connection: close\r\n", .connection_field },
        .{ get ++ "transfer-encoding: chunked\r\n", .connection_field },
        .{ get ++ "upgrade: h2c\r\n", .connection_field },
        .{ get ++ "te: gzip\r\n", .invalid_te },
        .{ get ++ "te: trailers, gzip\r\n", .invalid_te },
        .{ get ++ "content-length: 1\r\n", .content_length_mismatch },
        .{ get ++ "content-length: -1\r\n", .invalid_content_length },
        .{ get ++ "content-length: \r\n", .invalid_content_length },
        .{ get ++ "content-length: 9223372036854775808\r\n", .invalid_content_length },
        .{ get ++ "content-length: 0\r\ncontent-length: 0\r\n", .invalid_content_length },
    }) |bad| {
        var case: Case = .{};
        const result = try case.decode(bad[0], true, .{});
        try testing.expectEqual(@as(request.Malformed, bad[1]), result.malformed);
    }
}

test "what is too much is refused with its status" {
    const Expected = struct { request.Refusal, u16 };
    inline for (.{
        .{ get ++ "x: y\r\n" ** 9, Expected{ .too_many_fields, 431 } },
        .{ get ++ "x: y\r\n" ** 8, Expected{ .too_many_fields, 431 } }, // Host is the ninth
        .{ get ++ "x: y\r\n" ** 130, Expected{ .too_many_fields, 431 } },
        .{ get ++ "x: " ++ "y" ** 8000 ++ "\r\ncookie: z\r\n", Expected{ .head_too_large, 431 } },
        .{ get ++ "expect: a\r\n", Expected{ .expectation_failed, 417 } },
        .{
            to_http ++ ":path: /" ++ "x" ** 64 ++ "\r\n:authority: a\r\n",
            Expected{ .uri_too_long, 414 },
        },
        .{
            ":method: " ++ "A" ** 33 ++ "\r\n:scheme: http\r\n:path: /\r\n:authority: a\r\n",
            Expected{ .method_too_long, 501 },
        },
    }) |bad| {
        var case: Case = .{};
        const limits: request.Limits = .{ .header_count_max = 8, .target_bytes_max = 64 };
        const result = try case.decode(bad[0], true, limits);
        try testing.expectEqual(bad[1][0], result.refused);
        try testing.expectEqual(bad[1][1], problem.statusOf(problem.codeOf(result.refused)));
    }
    var case: Case = .{};
    try testing.expect(
        try case.decode(get ++ "x: y\r\n" ** 7, true, .{ .header_count_max = 8 }) == .head,
    );
}

test "cookies that do not fit the block joined are too large" {
    var case: Case = .{};
    const crumb = "cookie: " ++ "c" ** 2000 ++ "\r\n";
    const result = try case.decode(get ++ crumb ** 3, true, .{});
    try testing.expectEqual(.head_too_large, result.refused);
    try testing.expect(try case.decode(get ++ crumb ** 2, true, .{}) == .head);
}

test "an expectation counts where content follows, OPTIONS may ask of all, a length is told" {
    var case: Case = .{};
    const lines = get ++ "expect: 100-Continue\r\ncontent-length: 12\r\n";
    const result = try case.decode(lines, false, .{});
    try testing.expect(result.head.expect_continue);
    try testing.expectEqual(12, result.head.content_length.?);
    const ended = try case.decode(get ++ "expect: 100-continue\r\n", true, .{});
    try testing.expect(!ended.head.expect_continue);
    const all = ":method: OPTIONS\r\n:scheme: ftp\r\n:path: *\r\n:authority: a\r\n";
    const options = try case.decode(all, true, .{});
    try testing.expectEqual(.other, options.head.scheme);
    try testing.expectEqualStrings("*", case.req.path);
}

test "content is as long as it was said to be" {
    var content: request.Content = .{ .left = 10 };
    try content.take(4);
    try testing.expectError(error.Malformed, content.end());
    try content.take(6);
    try content.take(0);
    try content.end();
    try testing.expectError(error.Malformed, content.take(1));
    var unknown: request.Content = .{ .left = null };
    try unknown.take(1 << 40);
    try unknown.end();
}

fn expectTrailers(comptime lines: []const u8, expected: ?request.TrailerError) !void {
    var fixture: Fixture = .{};
    fixture.init();
    try fixture.pass(comptime FieldLines.of(lines));
    const limits: request.TrailerLimits = .{ .bytes_max = 100, .count_max = 4 };
    try testing.expectEqual(expected, request.checkTrailers(&fixture.block, limits));
    if (expected != null) return;
    var fields: Fields = .{};
    trailer_fields.parse(fixture.text[0..fixture.block.bytes], &fields);
    try testing.expectEqual(fixture.block.count, fields.len);
    try testing.expectEqualStrings("1", fields.get("x-sum").?);
}

test "trailers are lines without pseudo-header fields and without what belongs in a head" {
    try expectTrailers("x-sum: 1\r\nx-b: \r\n", null);
    try expectTrailers("x-sum: 1\r\n:path: /\r\n", .{ .malformed = .pseudo_trailer });
    try expectTrailers("content-length: 1\r\n", .{ .malformed = .forbidden_trailer });
    try expectTrailers("connection: a\r\n", .{ .malformed = .forbidden_trailer });
    try expectTrailers("a b: 1\r\n", .{ .malformed = .invalid_field_name });
    try expectTrailers("a:  1\r\n", .{ .malformed = .invalid_field_value });
    try expectTrailers("a: 1\r\n" ** 5, .too_many_trailers);
    try expectTrailers("a: " ++ "1" ** 100 ++ "\r\n", .trailers_too_large);
}
