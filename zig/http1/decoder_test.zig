const std = @import("std");
const decoder = @import("decoder.zig");
const problem = @import("../http/problem.zig");
const Request = @import("../http/request.zig").Request;
const Version = @import("../http/request.zig").Version;
const Method = @import("../http/method.zig").Method;
const DecodeError = decoder.DecodeError;
const Limits = decoder.Limits;
const Result = decoder.Result;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectEqualStrings = std.testing.expectEqualStrings;

fn decodeOnce(bytes: []const u8, limits: Limits, req: *Request) Result {
    var hint: u32 = 0;
    return decoder.decodeHead(bytes, &hint, limits, req);
}

/// Feeds `bytes` in reads that end at `cuts` and at the end; stops at the first outcome.
fn decodeCut(bytes: []const u8, cuts: []const usize, limits: Limits, req: *Request) !Result {
    var hint: u32 = 0;
    for (cuts) |cut| {
        const before = hint;
        const result = decoder.decodeHead(bytes[0..cut], &hint, limits, req);
        try expect(hint >= before);
        if (result != .need_more) return result;
    }
    return decoder.decodeHead(bytes, &hint, limits, req);
}

fn expectSame(
    expected: Result,
    expected_req: *const Request,
    actual: Result,
    req: *const Request,
) !void {
    try expectEqual(expected, actual);
    if (expected != .head) return;
    inline for (.{ "method_text", "target", "path", "query", "authority", "head_bytes" }) |member| {
        try expectEqualStrings(@field(expected_req, member), @field(req, member));
    }
    try expectEqual(expected_req.method, req.method);
    try expectEqual(expected_req.version, req.version);
    try expectEqual(expected_req.fields.len, req.fields.len);
    for (expected_req.fields.slice(), req.fields.slice()) |a, b| {
        try expectEqualStrings(a.name, b.name);
        try expectEqualStrings(a.value, b.value);
    }
}

/// Whatever way `bytes` are cut in one, in two, or into single bytes, the outcome is the same.
fn expectSplitInvariant(bytes: []const u8, limits: Limits) !void {
    var expected_req = Request{};
    const expected = decodeOnce(bytes, limits, &expected_req);
    var req = Request{};
    for (0..bytes.len + 1) |cut| {
        req = .{};
        const actual = try decodeCut(bytes, &.{cut}, limits, &req);
        try expectSame(expected, &expected_req, actual, &req);
    }
    var cuts: [4096]usize = undefined;
    for (cuts[0..bytes.len], 0..) |*cut, i| cut.* = i;
    req = .{};
    const trickled = try decodeCut(bytes, cuts[0..bytes.len], limits, &req);
    try expectSame(expected, &expected_req, trickled, &req);
}

/// The outcome of `bytes`, the same at every split.
fn outcome(bytes: []const u8, limits: Limits, req: *Request) !Result {
    try expectSplitInvariant(bytes, limits);
    return decodeOnce(bytes, limits, req);
}

const browser_request = "GET /search?q=zig&page=2 HTTP/1.1\r\n" ++
    "Host: www.example.com:8080\r\n" ++
    "Connection: keep-alive\r\n" ++
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n" ++
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" ++
    "Accept-Language: en-GB,en;q=0.5\r\n" ++
    "Cookie: session=0123456789abcdef; theme=dark\r\n" ++
    "X-Empty:\r\n" ++
    "\r\n";

test "a usual request is taken apart into slices of its bytes, at every split" {
    var req = Request{};
    const result = try outcome(browser_request, .{}, &req);
    try expectEqual(browser_request.len, result.head.consumed);
    try expectEqual(.none, std.meta.activeTag(result.head.framing.body));
    try expect(result.head.framing.keep_alive);
    try expect(!result.head.framing.expect_continue and !result.head.framing.upgrade);
    try expectEqual(Method.GET, req.method);
    try expectEqualStrings("GET", req.method_text);
    try expectEqualStrings("/search?q=zig&page=2", req.target);
    try expectEqualStrings("/search", req.path);
    try expectEqualStrings("q=zig&page=2", req.query);
    try expectEqualStrings("www.example.com:8080", req.authority);
    try expectEqual(Version.http11, req.version);
    try expectEqual(7, req.fields.len);
    try expectEqualStrings("en-GB,en;q=0.5", req.header("accept-language").?);
    try expectEqualStrings("", req.header("x-empty").?);
    try expectEqualStrings(browser_request, req.head_bytes);
}

test "all slices lie inside the head" {
    for ([_][]const u8{
        browser_request,
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://b:1?x HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "\r\nGET / HTTP/1.0\r\nA:\r\nB: \r\n\r\n",
    }) |bytes| {
        var req = Request{};
        _ = decodeOnce(bytes, .{}, &req).head;
        inline for (.{ "method_text", "target", "path", "query" }) |member| {
            try expectInside(req.head_bytes, @field(req, member));
        }
        if (req.authority.len > 0) try expectInside(req.head_bytes, req.authority);
        for (req.fields.slice()) |field| {
            try expectInside(req.head_bytes, field.name);
            try expectInside(req.head_bytes, field.value);
        }
    }
}

fn expectInside(outer: []const u8, inner: []const u8) !void {
    try expect(@intFromPtr(inner.ptr) >= @intFromPtr(outer.ptr));
    try expect(@intFromPtr(inner.ptr) + inner.len <= @intFromPtr(outer.ptr) + outer.len);
}

test "members of the request that are not the head's are left alone" {
    var req = Request{ .body = .{ .len = 7 } };
    _ = decodeOnce(browser_request, .{}, &req).head;
    try expectEqual(7, req.body.len);
}

test "a request decoded after another into the same memory keeps nothing of it" {
    var req = Request{};
    _ = decodeOnce("GET http://secret/a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", .{}, &req).head;
    _ = decodeOnce("GET / HTTP/1.0\r\n\r\n", .{}, &req).head;
    try expectEqualStrings("", req.authority);
    try expectEqualStrings("", req.query);
    try expectEqual(0, req.fields.len);
    _ = decodeOnce("GET http://secret/a?b HTTP/1.1\r\nHost: a\r\n\r\n", .{}, &req).head;
    _ = decodeOnce("OPTIONS * HTTP/1.0\r\n\r\n", .{}, &req).head;
    try expectEqualStrings("", req.authority);
    try expectEqualStrings("", req.query);
}

const TargetCase = struct {
    line: []const u8,
    path: []const u8,
    query: []const u8,
    authority: []const u8,
};

const target_cases = [_]TargetCase{
    .{ .line = "GET /", .path = "/", .query = "", .authority = "h" },
    .{ .line = "GET /?", .path = "/", .query = "", .authority = "h" },
    .{ .line = "GET /a?b?c", .path = "/a", .query = "b?c", .authority = "h" },
    .{ .line = "GET //x/y", .path = "//x/y", .query = "", .authority = "h" },
    .{ .line = "GET /%zz%", .path = "/%zz%", .query = "", .authority = "h" },
    .{ .line = "GET /a[]{}|^\\`", .path = "/a[]{}|^\\`", .query = "", .authority = "h" },
    .{ .line = "GET http://o/p?q", .path = "/p", .query = "q", .authority = "o" },
    .{ .line = "GET HTTPS://o:443", .path = "/", .query = "", .authority = "o:443" },
    .{ .line = "GET http://[::1]:80?q", .path = "/", .query = "q", .authority = "[::1]:80" },
    .{ .line = "OPTIONS *", .path = "*", .query = "", .authority = "h" },
    .{ .line = "CONNECT o:443", .path = "", .query = "", .authority = "o:443" },
    .{ .line = "PROPFIND /a", .path = "/a", .query = "", .authority = "h" },
    .{ .line = "get /a", .path = "/a", .query = "", .authority = "h" },
};

test "the four target forms" {
    for (target_cases) |case| {
        var buffer: [256]u8 = undefined;
        const rest = " HTTP/1.1\r\nHost: h\r\n\r\n";
        const bytes = try std.fmt.bufPrint(&buffer, "{s}{s}", .{ case.line, rest });
        var req = Request{};
        const result = try outcome(bytes, .{}, &req);
        try expect(result == .head);
        try expectEqualStrings(case.path, req.path);
        try expectEqualStrings(case.query, req.query);
        try expectEqualStrings(case.authority, req.authority);
    }
}

const Malformed = struct { []const u8, DecodeError, u16 };
const get = "GET / HTTP/1.1\r\nHost: a\r\n";
const post = "POST / HTTP/1.1\r\nHost: a\r\n";

const malformed_request_lines = [_]Malformed{
    .{ " GET / HTTP/1.1\r\nHost: a\r\n\r\n", .invalid_method, 400 },
    .{ "\tGET / HTTP/1.1\r\nHost: a\r\n\r\n", .invalid_method, 400 },
    .{ "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .invalid_method, 400 },
    .{ "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", .invalid_method, 400 },
    .{ "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .invalid_method, 400 },
    .{ "\x16\x03\x01\x02\x00", .invalid_method, 400 },
    .{ "G\x00T / HTTP/1.1\r\n\r\n", .invalid_method, 400 },
    .{ "G(T / HTTP/1.1\r\n\r\n", .invalid_method, 400 },
    .{ "G\xc3T / HTTP/1.1\r\n\r\n", .invalid_method, 400 },
    .{ "GET\t/ HTTP/1.1\r\n\r\n", .invalid_method, 400 },
    .{ "GET\r\n", .invalid_method, 400 },
    .{ "A" ** 33 ++ " / HTTP/1.1\r\n\r\n", .method_too_long, 501 },
    .{ "GET  / HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET  HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET a HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET * HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "OPTIONS ** HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET /a#b HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET /\x00 HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET /\x7f HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET /\xff HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET /\" HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET /<a> HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET /\t HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET ftp://a/ HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET http:///a HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET http://u@a/ HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET http:/a HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET a:80 HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "CONNECT /a HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "CONNECT a HTTP/1.1\r\n\r\n", .invalid_target, 400 },
    .{ "GET /\r\n", .invalid_version, 400 },
    .{ "GET /\n", .invalid_version, 400 },
    .{ "GET / \r\n", .invalid_version, 400 },
    .{ "GET /  HTTP/1.1\r\n\r\n", .invalid_version, 400 },
    .{ "GET / a HTTP/1.1\r\n\r\n", .invalid_version, 400 },
    .{ "GET / http/1.1\r\n\r\n", .invalid_version, 400 },
    .{ "GET / HTTP/1.1 \r\n\r\n", .invalid_version, 400 },
    .{ "GET / HTTP/11\r\n\r\n", .invalid_version, 400 },
    .{ "GET / HTTP/1.10\r\n\r\n", .invalid_version, 400 },
    .{ "GET / HTTP/1.\r\n\r\n", .invalid_version, 400 },
    .{ "GET / HTTP/1,1\r\n\r\n", .invalid_version, 400 },
    .{ "GET / ICE/1.0\r\n\r\n", .invalid_version, 400 },
    .{ "GET / HTTP/0.9\r\n\r\n", .version_not_supported, 505 },
    .{ "GET / HTTP/2.0\r\n\r\n", .version_not_supported, 505 },
    .{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .version_not_supported, 505 },
    .{ "GET / HTTP/1.1\nHost: a\n\n", .bare_line_feed, 400 },
    .{ "GET / HTTP/1.1\rHost: a\r\r", .bare_carriage_return, 400 },
};

const malformed_lines = [_]Malformed{
    .{ get ++ "\n", .bare_line_feed, 400 },
    .{ get ++ "A: b\n\r\n", .bare_line_feed, 400 },
    .{ get ++ "A: b\r\n\n", .bare_line_feed, 400 },
    .{ get ++ "\r\r\n", .bare_carriage_return, 400 },
    .{ get ++ "\rA: b\r\n\r\n", .bare_carriage_return, 400 },
    .{ get ++ "A: b\rc\r\n\r\n", .bare_carriage_return, 400 },
    .{ get ++ "A: b\r\r\n\r\n", .bare_carriage_return, 400 },
    .{ get ++ "A: b\r\n c\r\n\r\n", .obs_fold, 400 },
    .{ get ++ "A: b\r\n\tc: d\r\n\r\n", .obs_fold, 400 },
    .{ "GET / HTTP/1.1\r\n Host: a\r\n\r\n", .obs_fold, 400 },
    .{ get ++ " \r\n\r\n", .obs_fold, 400 },
    .{ get ++ "A\r\n\r\n", .missing_colon, 400 },
    .{ get ++ "A\n\r\n", .missing_colon, 400 },
    .{ get ++ "A \r\n\r\n", .missing_colon, 400 },
    .{ get ++ "A : b\r\n\r\n", .space_before_colon, 400 },
    .{ get ++ "A\t: b\r\n\r\n", .space_before_colon, 400 },
    .{ get ++ "Transfer-Encoding : chunked\r\n\r\n", .space_before_colon, 400 },
    .{ get ++ ": b\r\n\r\n", .invalid_field_name, 400 },
    .{ get ++ "A b: c\r\n\r\n", .invalid_field_name, 400 },
    .{ get ++ "A\x00: c\r\n\r\n", .invalid_field_name, 400 },
    .{ get ++ "A\xff: c\r\n\r\n", .invalid_field_name, 400 },
    .{ get ++ "(A): c\r\n\r\n", .invalid_field_name, 400 },
    .{ get ++ "A\x0b: c\r\n\r\n", .invalid_field_name, 400 },
    .{ get ++ "A: b\x00c\r\n\r\n", .invalid_field_value, 400 },
    .{ get ++ "A: \x7f\r\n\r\n", .invalid_field_value, 400 },
    .{ get ++ "A: \x0b\r\n\r\n", .invalid_field_value, 400 },
    .{ get ++ "A: \x1b[0m\r\n\r\n", .invalid_field_value, 400 },
};

const malformed_semantics = [_]Malformed{
    .{ "GET / HTTP/1.1\r\n\r\n", .missing_host, 400 },
    .{ "GET http://a/ HTTP/1.1\r\n\r\n", .missing_host, 400 },
    .{ get ++ "Host: a\r\n\r\n", .duplicate_host, 400 },
    .{ "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", .duplicate_host, 400 },
    .{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", .invalid_host, 400 },
    .{ "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .invalid_host, 400 },
    .{ "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", .invalid_host, 400 },
    .{ "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", .invalid_host, 400 },
    .{ "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", .invalid_host, 400 },
    .{ "GET / HTTP/1.1\r\nHost: a, a\r\n\r\n", .invalid_host, 400 },
    .{ "GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n", .invalid_host, 400 },
    .{ post ++ "Content-Length:\r\n\r\n", .invalid_content_length, 400 },
    .{ post ++ "Content-Length: -1\r\n\r\n", .invalid_content_length, 400 },
    .{ post ++ "Content-Length: +1\r\n\r\n", .invalid_content_length, 400 },
    .{ post ++ "Content-Length: 0x1\r\n\r\n", .invalid_content_length, 400 },
    .{ post ++ "Content-Length: 1 2\r\n\r\n", .invalid_content_length, 400 },
    .{ post ++ "Content-Length: 1, 1\r\n\r\n", .invalid_content_length, 400 },
    .{ post ++ "Content-Length: 1_0\r\n\r\n", .invalid_content_length, 400 },
    .{ post ++ "Content-Length: 1.0\r\n\r\n", .invalid_content_length, 400 },
    .{ post ++ "Content-Length: 9223372036854775808\r\n\r\n", .invalid_content_length, 400 },
    .{ post ++ "Content-Length: 18446744073709551616\r\n\r\n", .invalid_content_length, 400 },
    .{ post ++ "Content-Length: 18446744073709551617\r\n\r\n", .invalid_content_length, 400 },
    .{ post ++ "Content-Length: " ++ "9" ** 60 ++ "\r\n\r\n", .invalid_content_length, 400 },
    .{ post ++ "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", .duplicate_content_length, 400 },
    .{ post ++ "Content-Length: 1\r\ncontent-length: 1\r\n\r\n", .duplicate_content_length, 400 },
    .{
        post ++ "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        .transfer_encoding_with_content_length,
        400,
    },
    .{
        post ++ "transfer-encoding: identity\r\nContent-Length: 1\r\n\r\n",
        .transfer_encoding_with_content_length,
        400,
    },
    .{ "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .transfer_encoding_in_http10, 400 },
    .{ post ++ "Transfer-Encoding:\r\n\r\n", .invalid_transfer_encoding, 400 },
    .{ post ++ "Transfer-Encoding: ,\r\n\r\n", .invalid_transfer_encoding, 400 },
    .{ post ++ "Transfer-Encoding: chunked,\r\n\r\n", .invalid_transfer_encoding, 400 },
    .{ post ++ "Transfer-Encoding: , chunked\r\n\r\n", .invalid_transfer_encoding, 400 },
    .{ post ++ "Transfer-Encoding: gzip,, chunked\r\n\r\n", .invalid_transfer_encoding, 400 },
    .{ post ++ "Transfer-Encoding: identity\r\n\r\n", .invalid_transfer_encoding, 400 },
    .{ post ++ "Transfer-Encoding: xchunked\r\n\r\n", .invalid_transfer_encoding, 400 },
    .{ post ++ "Transfer-Encoding: chunked;a=b\r\n\r\n", .invalid_transfer_encoding, 400 },
    .{ post ++ "Transfer-Encoding: \"chunked\"\r\n\r\n", .invalid_transfer_encoding, 400 },
    .{ post ++ "Transfer-Encoding: chunked, gzip\r\n\r\n", .invalid_transfer_encoding, 400 },
    .{ post ++ "Transfer-Encoding: chunked, chunked\r\n\r\n", .invalid_transfer_encoding, 400 },
    .{
        post ++ "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        .invalid_transfer_encoding,
        400,
    },
    .{
        post ++ "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
        .invalid_transfer_encoding,
        400,
    },
    .{
        post ++ "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n\r\n",
        .invalid_transfer_encoding,
        400,
    },
    .{ post ++ "Transfer-Encoding: gzip, chunked\r\n\r\n", .unknown_transfer_coding, 501 },
    .{
        post ++ "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        .unknown_transfer_coding,
        501,
    },
    .{ post ++ "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n", .expectation_failed, 417 },
    .{ post ++ "Expect: 100-continue, a=b\r\nContent-Length: 1\r\n\r\n", .expectation_failed, 417 },
    .{ post ++ "Expect: 100-continue;a\r\nContent-Length: 1\r\n\r\n", .expectation_failed, 417 },
};

test "every malformed head is refused with its own error and status, at every split" {
    inline for (.{ malformed_request_lines, malformed_lines, malformed_semantics }) |table| {
        for (table) |case| {
            errdefer std.debug.print("for {s}\n", .{std.fmt.fmtSliceEscapeLower(case[0])});
            var req = Request{};
            const result = try outcome(case[0], .{}, &req);
            try expect(result == .err);
            try expectEqual(case[1], result.err);
            try expectEqual(case[2], problem.statusOf(problem.codeOf(result.err)));
        }
    }
}

test "what follows a defect does not change the error" {
    for (malformed_lines) |case| {
        var buffer: [512]u8 = undefined;
        const bytes = try std.fmt.bufPrint(&buffer, "{s}A: \x00\r\nB\r\n\r\nGET /", .{case[0]});
        var req = Request{};
        try expectEqual(Result{ .err = case[1] }, try outcome(bytes, .{}, &req));
    }
}

test "every error has a status in the 400s or 500s" {
    for (std.enums.values(DecodeError)) |e| {
        const status = problem.statusOf(problem.codeOf(e));
        try expect(status >= 400 and status < 600);
    }
}

test "every proper prefix of a valid request needs more" {
    for ([_][]const u8{
        browser_request,
        "\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
        "DELETE http://a/ HTTP/1.0\r\n\r\n",
    }) |bytes| {
        for (0..bytes.len) |len| {
            var req = Request{};
            try expectEqual(Result.need_more, decodeOnce(bytes[0..len], .{}, &req));
        }
    }
}

test "an unfinished line is not judged before its end, except the request line" {
    var req = Request{};
    try expectEqual(Result.need_more, try outcome(get ++ "A\x00", .{}, &req));
    try expectEqual(Result.need_more, try outcome(get ++ " folded", .{}, &req));
    try expectEqual(Result{ .err = .invalid_method }, try outcome("\x80", .{}, &req));
}

test "empty lines before a request line are skipped, up to four" {
    var req = Request{};
    for (1..decoder.leading_crlf_max + 1) |n| {
        var buffer: [128]u8 = undefined;
        for (0..n) |i| buffer[2 * i ..][0..2].* = "\r\n".*;
        const rest = get ++ "\r\n";
        @memcpy(buffer[2 * n ..][0..rest.len], rest);
        const bytes = buffer[0 .. 2 * n + rest.len];
        const result = try outcome(bytes, .{}, &req);
        try expectEqual(bytes.len, result.head.consumed);
        try expectEqualStrings(rest, req.head_bytes);
    }
}

test "a head that HEAD begins is told from others, whatever its fields are" {
    for ([_][]const u8{ "HEAD / HTTP/1.1\r\nX", "\r\nHEAD ", "HEAD * HTTP/9.9\r\n" }) |bytes| {
        try expect(decoder.beginsWithHead(bytes));
    }
    for ([_][]const u8{ "", "\r\n", "HEAD", "head / ", "HEADS / ", "GET HEAD ", " HEAD / " }) |b| {
        try expect(!decoder.beginsWithHead(b));
    }
}

test "only empty lines leave the hint at the start of a message" {
    var req = Request{};
    var hint: u32 = 0;
    for ([_][]const u8{ "", "\r", "\r\n", "\r\n\r", "\r\n\r\n" }) |bytes| {
        try expectEqual(Result.need_more, decoder.decodeHead(bytes, &hint, .{}, &req));
        try expectEqual(0, hint);
    }
}

const framing_cases = [_]struct { []const u8, decoder.Framing }{
    .{ get ++ "\r\n", .{
        .body = .none,
        .keep_alive = true,
        .expect_continue = false,
        .upgrade = false,
    } },
    .{ post ++ "Content-Length: 0\r\n\r\n", .{
        .body = .{ .length = 0 },
        .keep_alive = true,
        .expect_continue = false,
        .upgrade = false,
    } },
    .{ post ++ "CONTENT-LENGTH: \t0009223372036854775807 \r\n\r\n", .{
        .body = .{ .length = std.math.maxInt(i64) },
        .keep_alive = true,
        .expect_continue = false,
        .upgrade = false,
    } },
    .{ post ++ "Transfer-Encoding: Chunked\r\nConnection: close\r\n\r\n", .{
        .body = .chunked,
        .keep_alive = false,
        .expect_continue = false,
        .upgrade = false,
    } },
    .{ post ++ "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n", .{
        .body = .{ .length = 5 },
        .keep_alive = true,
        .expect_continue = true,
        .upgrade = false,
    } },
    .{ post ++ "Expect: ,100-continue,\t100-CONTINUE\r\nContent-Length: 5\r\n\r\n", .{
        .body = .{ .length = 5 },
        .keep_alive = true,
        .expect_continue = true,
        .upgrade = false,
    } },
    .{ post ++ "Expect:\r\nContent-Length: 5\r\n\r\n", .{
        .body = .{ .length = 5 },
        .keep_alive = true,
        .expect_continue = false,
        .upgrade = false,
    } },
    .{ get ++ "Expect: 100-continue\r\n\r\n", .{
        .body = .none,
        .keep_alive = true,
        .expect_continue = false,
        .upgrade = false,
    } },
    .{ "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", .{
        .body = .{ .length = 5 },
        .keep_alive = false,
        .expect_continue = false,
        .upgrade = false,
    } },
    .{ "GET / HTTP/1.0\r\nExpect: magic\r\nConnection: Keep-Alive\r\n\r\n", .{
        .body = .none,
        .keep_alive = true,
        .keep_alive_asked = true,
        .expect_continue = false,
        .upgrade = false,
    } },
    .{ "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", .{
        .body = .none,
        .keep_alive = false,
        .expect_continue = false,
        .upgrade = false,
    } },
    .{ get ++ "Connection: keep-alive\r\nConnection: x, CLOSE\r\n\r\n", .{
        .body = .none,
        .keep_alive = false,
        .expect_continue = false,
        .upgrade = false,
    } },
    .{ get ++ "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n", .{
        .body = .none,
        .keep_alive = true,
        .keep_alive_asked = true,
        .expect_continue = false,
        .upgrade = true,
    } },
    .{ get ++ "Upgrade: websocket\r\n\r\n", .{
        .body = .none,
        .keep_alive = true,
        .expect_continue = false,
        .upgrade = false,
    } },
    .{ "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", .{
        .body = .none,
        .keep_alive = false,
        .expect_continue = false,
        .upgrade = false,
    } },
};

test "framing and persistence follow version, Connection, Content-Length and Transfer-Encoding" {
    for (framing_cases) |case| {
        var req = Request{};
        const result = try outcome(case[0], .{}, &req);
        try expect(result == .head);
        try expectEqual(case[1], result.head.framing);
    }
}

test "a minor version above 1 is read as 1" {
    var req = Request{};
    const result = try outcome("GET / HTTP/1.2\r\nHost: a\r\n\r\n", .{}, &req);
    try expect(result == .head);
    try expectEqual(Version.http11, req.version);
}

test "HTTP/1.0 needs no Host" {
    var req = Request{};
    try expect(try outcome("GET / HTTP/1.0\r\n\r\n", .{}, &req) == .head);
    try expectEqualStrings("", req.authority);
}

test "white space around a value is no part of it, inside it is" {
    var req = Request{};
    _ = (try outcome(get ++ "A: \t b \t c\t \r\nB:d\r\nC: \xe9\r\n\r\n", .{}, &req)).head;
    try expectEqualStrings("b \t c", req.header("a").?);
    try expectEqualStrings("d", req.header("b").?);
    try expectEqualStrings("\xe9", req.header("c").?);
}

test "names may hold any token character" {
    var req = Request{};
    _ = (try outcome(get ++ "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n", .{}, &req)).head;
    try expectEqualStrings("!#$%&'*+-.^_`|~09azAZ", req.fields.items[1].name);
}

test "a target of exactly the limit passes, one byte more is 414" {
    const limits = Limits{ .target_bytes_max = 40 };
    inline for (.{ .{ 40, true }, .{ 41, false } }) |case| {
        var req = Request{};
        const target = "/" ++ "a" ** (case[0] - 1);
        const bytes = "GET " ++ target ++ " HTTP/1.1\r\nHost: a\r\n\r\n";
        const result = try outcome(bytes, limits, &req);
        if (case[1]) try expect(result == .head) else {
            try expectEqual(Result{ .err = .uri_too_long }, result);
            // It is refused before its end is there.
            try expectEqual(result, decodeOnce("GET " ++ target, limits, &req));
            try expectEqual(result, try outcome("GET " ++ target ++ "\x00", limits, &req));
        }
    }
}

test "a head of exactly the limit passes, one byte more is 431" {
    const bytes = get ++ "A: " ++ "b" ** 100 ++ "\r\n\r\n";
    var req = Request{};
    try expect(try outcome(bytes, .{ .head_bytes_max = bytes.len }, &req) == .head);
    const short = Limits{ .head_bytes_max = bytes.len - 1 };
    try expectEqual(Result{ .err = .head_too_large }, try outcome(bytes, short, &req));
    try expectEqual(Result{ .err = .head_too_large }, try outcome(bytes ++ "more", short, &req));
    // It is refused as soon as no byte is left for its end.
    const cut = bytes[0 .. bytes.len - 1];
    try expectEqual(Result{ .err = .head_too_large }, try outcome(cut, short, &req));
}

test "as many fields as the limit pass, one more is 431" {
    const limits = Limits{ .header_count_max = 5 };
    var req = Request{};
    try expect(try outcome(get ++ "A: b\r\n" ** 4 ++ "\r\n", limits, &req) == .head);
    const over = get ++ "A: b\r\n" ** 5 ++ "\r\n";
    try expectEqual(Result{ .err = .too_many_fields }, try outcome(over, limits, &req));
    // A limit above the array's size does not reach past the array.
    const many = get ++ "A: b\r\n" ** 128 ++ "\r\n";
    try expectEqual(
        Result{ .err = .too_many_fields },
        decodeOnce(many, .{ .header_count_max = 60_000 }, &req),
    );
    const most = get ++ "A: b\r\n" ** 127 ++ "\r\n";
    try expect(decodeOnce(most, .{ .header_count_max = 128 }, &req) == .head);
}

test "pipelined bytes after the head are left untouched and decode next" {
    const first = post ++ "Content-Length: 3\r\n\r\n";
    const second = "GET /second HTTP/1.1\r\nHost: b\r\n\r\n";
    const bytes = first ++ "abc" ++ second;
    for (0..bytes.len + 1) |cut| {
        var req = Request{};
        const result = try decodeCut(bytes, &.{cut}, .{}, &req);
        try expectEqual(first.len, result.head.consumed);
        try expectEqualStrings(first, req.head_bytes);
    }
    var req = Request{};
    const result = try outcome(bytes[first.len + 3 ..], .{}, &req);
    try expectEqual(second.len, result.head.consumed);
    try expectEqualStrings("/second", req.path);
}

test "regression: a fragment without CRLF underflows" {
    for ([_][]const u8{
        "G",
        "GE",
        "GET /",
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\r",
        get ++ "A",
        get ++ "A:",
    }) |bytes| {
        var req = Request{};
        try expectEqual(Result.need_more, try outcome(bytes, .{}, &req));
    }
}

test "regression: header values over 255 bytes are refused" {
    inline for (.{ 255, 256, 257, 1000, 2500 }) |len| {
        var req = Request{};
        const value = "v" ** len;
        const result = try outcome(get ++ "X-Long: " ++ value ++ "\r\n\r\n", .{}, &req);
        try expect(result == .head);
        try expectEqualStrings(value, req.header("x-long").?);
    }
    var req = Request{};
    const value = "v" ** 30_000;
    _ = decodeOnce(get ++ "X-Long: " ++ value ++ "\r\n\r\n", .{}, &req).head;
    try expectEqualStrings(value, req.header("x-long").?);
}

test "regression: a header with an empty value underflows" {
    for ([_][]const u8{
        "X:\r\n\r\n",
        "X: \r\n\r\n",
        "X: \t \r\n\r\n",
        "X:\r\nY: z\r\n\r\n",
    }) |tail| {
        var buffer: [128]u8 = undefined;
        const bytes = try std.fmt.bufPrint(&buffer, "{s}{s}", .{ get, tail });
        var req = Request{};
        const result = try outcome(bytes, .{}, &req);
        try expect(result == .head);
        try expectEqualStrings("", req.header("x").?);
    }
}

test "regression: a parser shared by a worker loses pipelined bytes" {
    // Two connections' fragments take turns on one Request: each keeps its place in its own hint
    // and bytes.
    const a = "GET /a HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n";
    const b = "PUT /b HTTP/1.1\r\nHost: b\r\nContent-Length: 9\r\n\r\n";
    var req = Request{};
    for (0..a.len) |cut| {
        var hint_a: u32 = 0;
        var hint_b: u32 = 0;
        try expectEqual(Result.need_more, decoder.decodeHead(a[0..cut], &hint_a, .{}, &req));
        try expectEqual(Result.need_more, decoder.decodeHead(b[0..cut], &hint_b, .{}, &req));
        try expectEqual(a.len, decoder.decodeHead(a, &hint_a, .{}, &req).head.consumed);
        try expectEqualStrings("/a", req.path);
        try expectEqual(b.len, decoder.decodeHead(b, &hint_b, .{}, &req).head.consumed);
        try expectEqualStrings("/b", req.path);
        try expectEqualStrings("b", req.authority);
    }
}
