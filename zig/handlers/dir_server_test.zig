//! Tests of DirServer: which path is answered with what.

const std = @import("std");
const testing = std.testing;
const Method = @import("../http/method.zig").Method;
const problem = @import("../http/problem.zig");
const uri = @import("../http/uri.zig");
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const DirServer = @import("dir_server.zig").DirServer;
const Cache = @import("dir_server_cache.zig").Cache;
const fixture = @import("dir_server_fixture.zig");
const Line = fixture.Line;
const Reply = fixture.Reply;
const page = fixture.page;
const big_bytes = fixture.big_bytes;
const Site = fixture.Site;

test "a file is sent with its type, its validators and its content" {
    inline for (.{ true, false }) |cache| {
        var site = try Site.init(.{ .cache = cache });
        defer site.deinit();
        try site.setModified("public/style.css", 784_111_777);
        // Twice: read, then kept.
        for (0..2) |_| {
            var reply = try site.ask(.GET, "/style.css", &.{});
            defer reply.drop();
            try testing.expectEqual(200, reply.res.status);
            try reply.expectHeader("Content-Type", "text/css; charset=utf-8");
            try reply.expectHeader("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
            try reply.expectHeader("Accept-Ranges", "bytes");
            const tag = reply.header("ETag").?;
            try testing.expect(tag.len > 4 and tag[0] == '"' and tag[tag.len - 1] == '"');
            try testing.expect(reply.header("Cache-Control") == null);
            try testing.expect(reply.header("Content-Length") == null); // the engine's
            try reply.expectBody("body{}");
            const from_cache = reply.res.body == .borrowed;
            try testing.expectEqual(cache, from_cache);
        }
    }
}

test "paths lead to files as clients write them" {
    var site = try Site.init(.{});
    defer site.deinit();
    for (0..2) |_| {
        try site.expectBody("/", page);
        try site.expectBody("/index.html", page);
        try site.expectBody("/sub/", "sub index");
        try site.expectBody("/link.css", "body{}");
        try site.expectBody("/%C3%A4%20%C3%B6.txt", "umlaut");
        try site.expectBody("/dir%20with%20space/a.js", "1");
        try site.expectBody("/empty.txt", "");
        try site.expectBody("/.well-known/acme/token", "token");
    }
    var reply = try site.ask(.GET, "/noext", &.{});
    defer reply.drop();
    try reply.expectHeader("Content-Type", "application/octet-stream");
}

test "what is not there, outside, hidden or no file is refused" {
    inline for (.{ true, false }) |cache| {
        var site = try Site.init(.{ .cache = cache });
        defer site.deinit();
        for (0..2) |_| {
            for ([_][]const u8{
                "/nothing",
                "/style.css/",
                "/style.css/x",
                "/sub/empty/",
                "/escape",
                "/.env",
                "/.git/config",
                "/../secret",
                "/..;/secret",
                "/style.css%00",
                "/.well-known/.hidden",
                "/" ++ "x" ** 300,
                "/" ++ "y/" ** 4000,
            }) |path| try site.expectStatus(path, 404);
            for ([_][]const u8{
                "/..%2Fsecret",
                "/sub%2Findex.html",
                "/style.css%2F",
                "/%zz",
            }) |path| try site.expectStatus(path, 400);
        }
    }
}

test "dotfiles are served when that is asked for" {
    var site = try Site.init(.{ .dotfiles = true });
    defer site.deinit();
    try site.expectBody("/.env", "password");
    try site.expectBody("/.git/config", "config");
}

test "methods other than GET and HEAD are refused with Allow" {
    var site = try Site.init(.{});
    defer site.deinit();
    for ([_]Method{ .POST, .PUT, .DELETE, .OPTIONS, .PATCH, .TRACE, .CONNECT, .other }) |method| {
        var reply = try site.ask(method, "/style.css", &.{});
        defer reply.drop();
        try testing.expectEqual(405, reply.res.status);
        try reply.expectHeader("Allow", "GET, HEAD");
    }
}

test "refusals are pages with a code, as text or as JSON" {
    var site = try Site.init(.{});
    defer site.deinit();
    for ([_]struct { Method, []const u8, Line, problem.Code }{
        .{ .GET, "/nothing", .{ "X", "" }, .not_found },
        .{ .PUT, "/style.css", .{ "X", "" }, .method_not_allowed },
        .{ .GET, "/style.css", .{ "If-Match", "\"other\"" }, .precondition_failed },
        .{ .GET, "/digits.txt", .{ "Range", "bytes=10-" }, .range_not_satisfiable },
    }) |case| {
        inline for (.{ .text, .json }, .{ "*/*", "application/json" }) |format, accept| {
            var reply = try site.ask(case[0], case[1], &.{ case[2], .{ "Accept", accept } });
            defer reply.drop();
            try testing.expectEqual(problem.statusOf(case[3]), reply.res.status);
            try reply.expectHeader("Vary", "Accept");
            try reply.expectBody(problem.page(format, case[3]));
        }
    }
}

test "HEAD has the fields and the length of GET, and no body" {
    inline for (.{ true, false }) |cache| {
        var site = try Site.init(.{ .cache = cache });
        defer site.deinit();
        for ([_]struct { []const u8, u64 }{
            .{ "/", page.len },
            .{ "/empty.txt", 0 },
            .{ "/big.bin", big_bytes },
        }) |case| {
            for (0..2) |_| {
                var head = try site.ask(.HEAD, case[0], &.{.{ "Range", "bytes=1-2" }});
                defer head.drop();
                try testing.expectEqual(200, head.res.status);
                try testing.expectEqual(.none, std.meta.activeTag(head.res.body));
                try testing.expectEqual(case[1], head.res.declared_length.?);
                var copy: [4096]u8 = undefined;
                const lines = copy[0..head.res.fieldLines().text.len];
                @memcpy(lines, head.res.fieldLines().text);
                var get = try site.ask(.GET, case[0], &.{});
                defer get.drop();
                try testing.expectEqualStrings(get.res.fieldLines().text, lines);
                try testing.expectEqual(case[1], get.res.bodyLength());
            }
        }
    }
}

test "a directory without its slash is redirected to the one with it, the query kept" {
    var site = try Site.init(.{});
    defer site.deinit();
    const Case = struct { whole: []const u8, path: []const u8, query: []const u8, to: []const u8 };
    for ([_]Case{
        .{ .whole = "/sub", .path = "/sub", .query = "", .to = "/sub/" },
        .{ .whole = "/sub", .path = "/sub", .query = "a=1&b", .to = "/sub/?a=1&b" },
        .{ .whole = "/m/sub", .path = "/sub", .query = "", .to = "/m/sub/" },
        .{ .whole = "/m", .path = "", .query = "q", .to = "/m/?q" },
        .{
            .whole = "/m/dir%20with%20space",
            .path = "/dir%20with%20space",
            .query = "", //
            .to = "/m/dir%20with%20space/",
        },
    }) |case| {
        var reply = try site.askMounted(.GET, case.whole, case.path, case.query, &.{});
        defer reply.drop();
        try testing.expectEqual(301, reply.res.status);
        try reply.expectHeader("Location", case.to);
    }
    var bad = try site.askMounted(.GET, "/sub", "/sub", "a\r\nSet-Cookie: b", &.{});
    defer bad.drop();
    try testing.expectEqual(400, bad.res.status);
    try testing.expect(bad.header("Set-Cookie") == null);
    try testing.expect(bad.header("Location") == null);
}

test "without redirects the index file is served in place" {
    var site = try Site.init(.{ .redirect = false });
    defer site.deinit();
    for (0..2) |_| {
        try site.expectBody("/sub", "sub index");
        try site.expectBody("", page);
        try site.expectStatus("/sub/empty", 404);
    }
}

test "index files are tried in order; without any a directory is not found" {
    var site = try Site.init(.{ .index = &.{ "absent", "other.htm", "index.html" } });
    defer site.deinit();
    try site.expectBody("/sub/", "other");
    try site.expectBody("/", page);
    var bare = try Site.init(.{ .index = &.{} });
    defer bare.deinit();
    try bare.expectStatus("/", 404);
    try bare.expectStatus("/sub", 301);
    for ([_][]const u8{ "", ".", "..", "a/b", "a\x00", "n" ** 256 }) |name| {
        const made = DirServer.init(testing.allocator, .{ .root = ".", .index = &.{name} });
        try testing.expectError(error.InvalidIndexName, made);
    }
}

test "a large file goes by descriptor, whole and in part" {
    var site = try Site.init(.{});
    defer site.deinit();
    const want = try testing.allocator.alloc(u8, big_bytes);
    defer testing.allocator.free(want);
    for (want, 0..) |*byte, i| byte.* = @truncate(i *% 131);
    {
        var reply = try site.ask(.GET, "/big.bin", &.{});
        defer reply.drop();
        try testing.expectEqual(.file, std.meta.activeTag(reply.res.body));
        try reply.expectBody(want);
    }
    var part = try site.ask(.GET, "/big.bin", &.{.{ "Range", "bytes=100000-100009" }});
    defer part.drop();
    try testing.expectEqual(206, part.res.status);
    try part.expectHeader("Content-Range", "bytes 100000-100009/200000");
    try part.expectBody(want[100_000..100_010]);
}

test "fields that a handler has set before stay" {
    var site = try Site.init(.{});
    defer site.deinit();
    var res = Response.init(site.lines.list(), site.pool);
    try res.header("X-Frame-Options", "DENY");
    const req: Request = .{ .path = "/style.css" };
    site.server.handle(&req, &res, "/style.css");
    const reply: Reply = .{ .res = res };
    try reply.expectHeader("X-Frame-Options", "DENY");
    try reply.expectHeader("Content-Type", "text/css; charset=utf-8");
}

test "cache memory out of bounds is refused, a root that is no directory too" {
    const Options = DirServer.Options;
    const small: Options = .{ .root = ".", .cache_bytes = Cache.bytes_min - 1 };
    try testing.expectError(error.InvalidCacheBytes, DirServer.init(testing.allocator, small));
    const absent: Options = .{ .root = "zig-no-such-directory" };
    try testing.expectError(error.FileNotFound, DirServer.init(testing.allocator, absent));
}

test "an allocation that fails at init leaks nothing" {
    const attempt = struct {
        fn run(gpa: std.mem.Allocator) !void {
            var server = try DirServer.init(gpa, .{ .root = ".", .index = &.{ "a", "b" } });
            server.deinit(gpa);
        }
    };
    try testing.checkAllAllocationFailures(testing.allocator, attempt.run, .{});
}

test "no random path leads to what is outside or hidden" {
    const pieces = [_][]const u8{
        "..",  ".",          "%2e%2e",   "%2E.",   "",       "sub",         "empty",  "escape",
        "%2f", "%5c",        "\\",       "secret", ".env",   ".git",        "config", "%00",
        "%",   "index.html", "link.css", "%252e",  "%c0%ae", ".well-known", "public", "a",
    };
    var site = try Site.init(.{});
    defer site.deinit();
    var prng = std.Random.DefaultPrng.init(0xd1f);
    const random = prng.random();
    var found: usize = 0;
    for (0..5000) |_| {
        var path: std.BoundedArray(u8, 256) = .{};
        for (0..random.intRangeAtMost(usize, 1, 7)) |_| {
            path.appendSliceAssumeCapacity("/");
            path.appendSliceAssumeCapacity(pieces[random.uintLessThan(usize, pieces.len)]);
        }
        errdefer std.debug.print("path \"{s}\"\n", .{path.slice()});
        var canonical: [256]u8 = undefined;
        const sent = uri.canonicalPath(path.slice(), &canonical) catch continue;
        var reply = try site.ask(.GET, sent, &.{});
        defer reply.drop();
        switch (reply.res.status) {
            200 => {
                const body = reply.res.body.borrowed;
                for ([_][]const u8{ "secret", "password", "config", "hidden" }) |bad| {
                    try testing.expect(!std.mem.eql(u8, body, bad));
                }
                found += 1;
            },
            301, 400, 404 => {},
            else => return error.UnexpectedStatus,
        }
    }
    try testing.expect(found > 0);
}
