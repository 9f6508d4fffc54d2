//! Tests of DirServer: requests made by hand, responses looked at before an engine has them.

const std = @import("std");
const testing = std.testing;
const posix = std.posix;
const Buddy = @import("../core/buddy.zig").Buddy;
const Method = @import("../http/method.zig").Method;
const problem = @import("../http/problem.zig");
const uri = @import("../http/uri.zig");
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const date = @import("../http/date.zig");
const DirServer = @import("dir_server.zig").DirServer;
const Cache = @import("dir_server_cache.zig").Cache;

const page = "<!doctype html><title>home</title>\n";
const big_bytes = 200_000;

/// The clock that tests set, milliseconds.
var test_ms: std.atomic.Value(u64) = .init(1_000_000);

fn testClock() u64 {
    return test_ms.load(.monotonic);
}

/// A field of a request.
const Line = [2][]const u8;

const Site = struct {
    tmp: testing.TmpDir,
    server: DirServer,
    pool: *Buddy,
    lines: [4096]u8 = undefined,

    const Setup = struct {
        index: []const []const u8 = &.{"index.html"},
        cache: bool = true,
        cache_ms: u32 = 1000,
        cache_bytes: usize = Cache.bytes_min,
        dotfiles: bool = false,
        max_age_s: ?u32 = null,
        redirect: bool = true,
    };

    fn init(setup: Setup) !Site {
        var tmp = testing.tmpDir(.{});
        errdefer tmp.cleanup();
        try fill(&tmp.dir);
        var buffer: [std.fs.max_path_bytes]u8 = undefined;
        var server = try DirServer.init(testing.allocator, .{
            .root = try tmp.dir.realpath("public", &buffer),
            .index = setup.index,
            .cache = setup.cache,
            .cache_ms = setup.cache_ms,
            .cache_bytes = setup.cache_bytes,
            .dotfiles = setup.dotfiles,
            .max_age_s = setup.max_age_s,
            .redirect = setup.redirect,
        });
        errdefer server.deinit(testing.allocator);
        server.now_ms = testClock;
        server.settle_ns = 0;
        const pool = try testing.allocator.create(Buddy);
        errdefer testing.allocator.destroy(pool);
        pool.* = try Buddy.init(1);
        return .{ .tmp = tmp, .server = server, .pool = pool };
    }

    fn fill(dir: *std.fs.Dir) !void {
        for ([_][]const u8{
            "public/sub/empty",
            "public/.git",
            "public/.well-known/acme",
            "public/dir with space",
        }) |path| try dir.makePath(path);
        const big = try testing.allocator.alloc(u8, big_bytes);
        defer testing.allocator.free(big);
        for (big, 0..) |*byte, i| byte.* = @truncate(i *% 131);
        for ([_][2][]const u8{
            .{ "secret", "secret" },
            .{ "public/index.html", page },
            .{ "public/sub/index.html", "sub index" },
            .{ "public/sub/other.htm", "other" },
            .{ "public/style.css", "body{}" },
            .{ "public/empty.txt", "" },
            .{ "public/digits.txt", "0123456789" },
            .{ "public/noext", "?" },
            .{ "public/ä ö.txt", "umlaut" },
            .{ "public/.env", "password" },
            .{ "public/.git/config", "config" },
            .{ "public/.well-known/acme/token", "token" },
            .{ "public/.well-known/.hidden", "hidden" },
            .{ "public/dir with space/a.js", "1" },
            .{ "public/big.bin", big },
        }) |file| try dir.writeFile(.{ .sub_path = file[0], .data = file[1] });
        try dir.symLink("../secret", "public/escape", .{});
        try dir.symLink("style.css", "public/link.css", .{});
    }

    fn deinit(self: *Site) void {
        self.server.deinit(testing.allocator);
        self.pool.deinit();
        testing.allocator.destroy(self.pool);
        self.tmp.cleanup();
    }

    /// What `path`, mounted at "/", is answered. `drop` the reply before the next.
    fn ask(self: *Site, method: Method, path: []const u8, lines: []const Line) !Reply {
        return self.askMounted(method, path, path, "", lines);
    }

    fn askMounted(
        self: *Site,
        method: Method,
        whole: []const u8,
        path: []const u8,
        query: []const u8,
        lines: []const Line,
    ) !Reply {
        var req: Request = .{ .method = method, .path = whole, .query = query };
        for (lines) |line| try testing.expect(req.fields.append(line[0], line[1]));
        var res = Response.init(&self.lines, self.pool);
        self.server.handle(&req, &res, path);
        return .{ .res = res };
    }

    fn expectStatus(self: *Site, path: []const u8, status: u16) !void {
        errdefer std.debug.print("path \"{s}\"\n", .{path});
        var reply = try self.ask(.GET, path, &.{});
        defer reply.drop();
        try testing.expectEqual(status, reply.res.status);
    }

    fn expectBody(self: *Site, path: []const u8, body: []const u8) !void {
        errdefer std.debug.print("path \"{s}\"\n", .{path});
        var reply = try self.ask(.GET, path, &.{});
        defer reply.drop();
        try testing.expectEqual(200, reply.res.status);
        try reply.expectBody(body);
    }

    fn write(self: *Site, path: []const u8, content: []const u8) !void {
        try self.tmp.dir.writeFile(.{ .sub_path = path, .data = content });
    }

    fn setModified(self: *Site, path: []const u8, seconds: i64) !void {
        const file = try self.tmp.dir.openFile(path, .{ .mode = .read_write });
        defer file.close();
        const ns = @as(i128, seconds) * std.time.ns_per_s;
        try file.updateTimes(ns, ns);
    }
};

const Reply = struct {
    res: Response,

    fn drop(self: *Reply) void {
        self.res.dropBody();
    }

    fn header(self: *const Reply, name: []const u8) ?[]const u8 {
        var lines = std.mem.splitSequence(u8, self.res.fieldLines(), "\r\n");
        while (lines.next()) |line| {
            const colon = std.mem.indexOf(u8, line, ": ") orelse continue;
            if (std.ascii.eqlIgnoreCase(line[0..colon], name)) return line[colon + 2 ..];
        }
        return null;
    }

    fn expectHeader(self: *const Reply, name: []const u8, value: []const u8) !void {
        const found = self.header(name) orelse return error.HeaderMissing;
        try testing.expectEqualStrings(value, found);
    }

    fn expectBody(self: *const Reply, want: []const u8) !void {
        switch (self.res.body) {
            .none => try testing.expectEqualStrings(want, ""),
            .borrowed, .static => |bytes| try testing.expectEqualStrings(want, bytes),
            .written => return error.UnexpectedBody,
            .file => |file| {
                try testing.expectEqual(want.len, file.length);
                const got = try testing.allocator.alloc(u8, want.len);
                defer testing.allocator.free(got);
                const n = try posix.pread(file.fd, got, file.offset);
                try testing.expectEqualSlices(u8, want, got[0..n]);
            },
        }
    }
};

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
                const lines = copy[0..head.res.lines_len];
                @memcpy(lines, head.res.fieldLines());
                var get = try site.ask(.GET, case[0], &.{});
                defer get.drop();
                try testing.expectEqualStrings(get.res.fieldLines(), lines);
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

test "a client that has the content is answered 304 with validators only" {
    inline for (.{ true, false }) |cache| {
        var site = try Site.init(.{ .cache = cache, .max_age_s = 60 });
        defer site.deinit();
        try site.setModified("public/style.css", 784_111_777);
        var tag_buffer: [64]u8 = undefined;
        const tag = blk: {
            var first = try site.ask(.GET, "/style.css", &.{});
            defer first.drop();
            try first.expectHeader("Cache-Control", "max-age=60");
            const text = first.header("ETag").?;
            @memcpy(tag_buffer[0..text.len], text);
            break :blk tag_buffer[0..text.len];
        };
        for ([_]Line{
            .{ "If-None-Match", tag },
            .{ "If-None-Match", "*" },
            .{ "If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT" },
        }) |line| {
            for ([_]Method{ .GET, .HEAD }) |method| {
                var reply = try site.ask(method, "/style.css", &.{line});
                defer reply.drop();
                try testing.expectEqual(304, reply.res.status);
                try reply.expectHeader("ETag", tag);
                try reply.expectHeader("Cache-Control", "max-age=60");
                try testing.expect(reply.header("Content-Type") == null);
                try reply.expectBody("");
            }
        }
        var other = try site.ask(.GET, "/style.css", &.{.{ "If-None-Match", "\"x\"" }});
        defer other.drop();
        try testing.expectEqual(200, other.res.status);
        var failed = try site.ask(.GET, "/style.css", &.{.{ "If-Match", "\"x\"" }});
        defer failed.drop();
        try testing.expectEqual(412, failed.res.status);
    }
}

test "one byte range is sent as a part, from the cache and from a file" {
    inline for (.{ true, false }) |cache| {
        var site = try Site.init(.{ .cache = cache });
        defer site.deinit();
        const Case = struct { []const u8, []const u8, []const u8 };
        for ([_]Case{
            .{ "bytes=0-0", "bytes 0-0/10", "0" },
            .{ "bytes=2-4", "bytes 2-4/10", "234" },
            .{ "bytes=7-", "bytes 7-9/10", "789" },
            .{ "bytes=-2", "bytes 8-9/10", "89" },
            .{ "bytes=5-100", "bytes 5-9/10", "56789" },
        }) |case| {
            var reply = try site.ask(.GET, "/digits.txt", &.{.{ "Range", case[0] }});
            defer reply.drop();
            try testing.expectEqual(206, reply.res.status);
            try reply.expectHeader("Content-Range", case[1]);
            try reply.expectHeader("Content-Type", "text/plain; charset=utf-8");
            try reply.expectBody(case[2]);
        }
        var outside = try site.ask(.GET, "/digits.txt", &.{.{ "Range", "bytes=10-" }});
        defer outside.drop();
        try testing.expectEqual(416, outside.res.status);
        try outside.expectHeader("Content-Range", "bytes */10");
        var several = try site.ask(.GET, "/digits.txt", &.{.{ "Range", "bytes=0-1,4-5" }});
        defer several.drop();
        try testing.expectEqual(200, several.res.status);
        try several.expectBody("0123456789");
        var stale = try site.ask(.GET, "/digits.txt", &.{
            .{ "Range", "bytes=0-1" }, .{ "If-Range", "\"other\"" },
        });
        defer stale.drop();
        try testing.expectEqual(200, stale.res.status);
    }
}

test "a range of an empty file is the whole of it, with 200" {
    inline for (.{ true, false }) |cache| {
        var site = try Site.init(.{ .cache = cache });
        defer site.deinit();
        for ([_][]const u8{ "bytes=0-", "bytes=0-0", "bytes=-5" }) |value| {
            var reply = try site.ask(.GET, "/empty.txt", &.{.{ "Range", value }});
            defer reply.drop();
            try testing.expectEqual(200, reply.res.status);
            try testing.expect(reply.header("Content-Range") == null);
            try reply.expectBody("");
        }
    }
}

test "conditions are ignored where the answer would be no success without them" {
    var site = try Site.init(.{});
    defer site.deinit();
    const conditions = [_]Line{
        .{ "If-Match", "\"x\"" },
        .{ "If-None-Match", "*" },
        .{ "If-Modified-Since", "Fri, 31 Dec 9999 23:59:59 GMT" },
        .{ "If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT" },
    };
    const Case = struct { Method, []const u8, u16 };
    for ([_]Case{
        .{ .GET, "/nothing", 404 },
        .{ .HEAD, "/nothing", 404 },
        .{ .GET, "/sub", 301 },
        .{ .POST, "/style.css", 405 },
        .{ .OPTIONS, "/style.css", 405 },
    }) |case| {
        for (conditions) |line| {
            var reply = try site.ask(case[0], case[1], &.{line});
            defer reply.drop();
            try testing.expectEqual(case[2], reply.res.status);
        }
    }
}

test "a part and a 304 have the fields that a cache would have had of the whole" {
    var site = try Site.init(.{ .max_age_s = 60 });
    defer site.deinit();
    var whole = try site.ask(.GET, "/digits.txt", &.{});
    var copy: [64]u8 = undefined;
    const tag = try std.fmt.bufPrint(&copy, "{s}", .{whole.header("ETag").?});
    whole.drop();
    for ([_]struct { Line, u16 }{
        .{ .{ "Range", "bytes=0-3" }, 206 },
        .{ .{ "If-None-Match", tag }, 304 },
    }) |case| {
        var reply = try site.ask(.GET, "/digits.txt", &.{case[0]});
        defer reply.drop();
        try testing.expectEqual(case[1], reply.res.status);
        try reply.expectHeader("ETag", tag);
        try reply.expectHeader("Cache-Control", "max-age=60");
        if (case[1] == 304) continue;
        try reply.expectHeader("Content-Type", "text/plain; charset=utf-8");
        try testing.expect(reply.header("Last-Modified") != null);
    }
}

test "Content-Range in a request for a file changes nothing" {
    var site = try Site.init(.{});
    defer site.deinit();
    var reply = try site.ask(.GET, "/digits.txt", &.{.{ "Content-Range", "bytes 0-1/10" }});
    defer reply.drop();
    try testing.expectEqual(200, reply.res.status);
    try reply.expectBody("0123456789");
}

test "a file that changes has another strong tag" {
    var site = try Site.init(.{ .cache_ms = 0 });
    defer site.deinit();
    var tags: [2][64]u8 = undefined;
    var lengths: [2]usize = undefined;
    for (0..2) |i| {
        try site.write("public/style.css", if (i == 0) "body{}" else "BODY{}");
        try site.setModified("public/style.css", 784_111_777 + @as(i64, @intCast(i)));
        var reply = try site.ask(.GET, "/style.css", &.{});
        defer reply.drop();
        lengths[i] = (try std.fmt.bufPrint(&tags[i], "{s}", .{reply.header("ETag").?})).len;
        try testing.expectEqual('"', tags[i][0]); // no W/
    }
    try testing.expect(!std.mem.eql(u8, tags[0][0..lengths[0]], tags[1][0..lengths[1]]));
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

test "a kept content is served for cache_ms and not longer" {
    var site = try Site.init(.{ .cache_ms = 1000 });
    defer site.deinit();
    try site.expectBody("/style.css", "body{}");
    try site.write("public/style.css", "body{color:red}");
    _ = test_ms.fetchAdd(999, .monotonic);
    try site.expectBody("/style.css", "body{}");
    _ = test_ms.fetchAdd(1, .monotonic);
    try site.expectBody("/style.css", "body{color:red}");
    try site.tmp.dir.deleteFile("public/style.css");
    try site.expectBody("/style.css", "body{color:red}");
    _ = test_ms.fetchAdd(1000, .monotonic);
    try site.expectStatus("/style.css", 404);
    try site.expectStatus("/style.css", 404);
    try site.write("public/style.css", "back");
    try site.expectBody("/style.css", "back");
}

test "with cache_ms 0 every request sees the file as it is" {
    var site = try Site.init(.{ .cache_ms = 0 });
    defer site.deinit();
    try site.expectBody("/style.css", "body{}");
    // Of the same size: the times tell.
    try site.write("public/style.css", "BODY{}");
    try site.setModified("public/style.css", 784_111_777);
    try site.expectBody("/style.css", "BODY{}");
    // A file swapped for one outside is not followed.
    try site.tmp.dir.deleteFile("public/style.css");
    try site.tmp.dir.symLink("../secret", "public/style.css", .{});
    try site.expectStatus("/style.css", 404);
}

test "an unchanged file is not read again when it is looked at again" {
    var site = try Site.init(.{});
    defer site.deinit();
    var first = try site.ask(.GET, "/style.css", &.{});
    const place = first.res.body.borrowed.ptr;
    first.drop();
    _ = test_ms.fetchAdd(5000, .monotonic);
    var second = try site.ask(.GET, "/style.css", &.{});
    defer second.drop();
    try testing.expectEqual(place, second.res.body.borrowed.ptr);
}

test "a file that has just changed is not kept yet" {
    var site = try Site.init(.{});
    defer site.deinit();
    site.server.settle_ns = 3600 * std.time.ns_per_s;
    for (0..2) |_| {
        var reply = try site.ask(.GET, "/style.css", &.{});
        defer reply.drop();
        try testing.expectEqual(.file, std.meta.activeTag(reply.res.body));
    }
    try site.write("public/style.css", "BODY{}");
    try site.expectBody("/style.css", "BODY{}");
}

test "a modification time in the future is told as now" {
    var site = try Site.init(.{});
    defer site.deinit();
    const now = std.time.timestamp();
    try site.setModified("public/style.css", now + 100_000);
    var reply = try site.ask(.GET, "/style.css", &.{});
    defer reply.drop();
    const told = date.parse(reply.header("Last-Modified").?).?;
    try testing.expect(told >= now - 1 and told <= now + 60);
}

test "without descriptors a kept file is served on and others are 503" {
    var site = try Site.init(.{});
    defer site.deinit();
    try site.expectBody("/style.css", "body{}");
    const old = try posix.getrlimit(.NOFILE);
    const probe = try posix.dup(0);
    posix.close(probe);
    var none = old;
    none.cur = @intCast(probe); // the lowest free descriptor is out of bounds
    try posix.setrlimit(.NOFILE, none);
    defer posix.setrlimit(.NOFILE, old) catch unreachable;
    try site.expectStatus("/digits.txt", 503);
    _ = test_ms.fetchAdd(5000, .monotonic);
    try site.expectBody("/style.css", "body{}");
}

test "a file without the right to read is 403" {
    if (@import("builtin").os.tag != .linux) return error.SkipZigTest; // setfsuid is Linux's
    var site = try Site.init(.{});
    defer site.deinit();
    const file = try site.tmp.dir.openFile("public/style.css", .{});
    defer file.close();
    try file.chmod(0);
    // The superuser may read everything: be another for this thread's file accesses.
    const superuser = std.os.linux.geteuid() == 0;
    if (superuser) _ = std.os.linux.syscall1(.setfsuid, 65534);
    defer if (superuser) {
        _ = std.os.linux.syscall1(.setfsuid, 0);
    };
    try site.expectStatus("/style.css", 403);
}

test "a head too full for the file's fields is a 500 that leaks no descriptor" {
    inline for (.{ true, false }) |cache| {
        var site = try Site.init(.{ .cache = cache });
        defer site.deinit();
        const before = try posix.dup(0);
        posix.close(before);
        for ([_][]const u8{ "/style.css", "/big.bin", "/sub" }) |path| {
            var room: [64]u8 = undefined;
            var res = Response.init(&room, site.pool);
            const req: Request = .{ .path = path };
            try res.header("X-Filler", "0123456789012345678901234567890123456789");
            site.server.handle(&req, &res, path);
            try testing.expectEqual(500, res.status);
            res.dropBody();
        }
        const after = try posix.dup(0);
        posix.close(after);
        try testing.expectEqual(before, after);
    }
}

test "fields that a handler has set before stay" {
    var site = try Site.init(.{});
    defer site.deinit();
    var res = Response.init(&site.lines, site.pool);
    try res.header("X-Frame-Options", "DENY");
    const req: Request = .{ .path = "/style.css" };
    site.server.handle(&req, &res, "/style.css");
    const reply: Reply = .{ .res = res };
    try reply.expectHeader("X-Frame-Options", "DENY");
    try reply.expectHeader("Content-Type", "text/css; charset=utf-8");
}

test "more files than the cache holds are all served right" {
    var site = try Site.init(.{});
    defer site.deinit();
    const content = try testing.allocator.alloc(u8, 30_000);
    defer testing.allocator.free(content);
    var name: [32]u8 = undefined;
    for (0..20) |i| {
        @memset(content, @intCast(i));
        try site.write(try std.fmt.bufPrint(&name, "public/f{d}", .{i}), content);
    }
    for (0..3) |_| {
        for (0..20) |i| {
            @memset(content, @intCast(i));
            try site.expectBody(try std.fmt.bufPrint(&name, "/f{d}", .{i}), content);
        }
    }
}

test "threads that ask while files change get whole contents" {
    var site = try Site.init(.{ .cache_ms = 0 });
    defer site.deinit();
    const Flag = std.atomic.Value(bool);
    const Asker = struct {
        fn run(server: *DirServer, mixed: *std.atomic.Value(u32), done: *Flag) void {
            var pool = Buddy.init(1) catch return;
            defer pool.deinit();
            var lines: [4096]u8 = undefined;
            while (!done.load(.acquire)) {
                var res = Response.init(&lines, &pool);
                const req: Request = .{ .path = "/swapped" };
                server.handle(&req, &res, "/swapped");
                defer res.dropBody();
                if (res.status != 200) _ = mixed.fetchAdd(1, .monotonic);
                if (res.body != .borrowed) continue;
                const body = res.body.borrowed;
                const whole = body.len > 0 and std.mem.allEqual(u8, body, body[0]) and
                    body.len == 1000 + @as(usize, body[0]);
                if (!whole) _ = mixed.fetchAdd(1, .monotonic);
            }
        }
    };
    var content: [1256]u8 = undefined;
    var mixed: std.atomic.Value(u32) = .init(0);
    var done: Flag = .init(false);
    try replace(&site, &content, 0);
    var threads: [2]std.Thread = undefined;
    for (&threads) |*thread| {
        thread.* = try std.Thread.spawn(.{}, Asker.run, .{ &site.server, &mixed, &done });
    }
    for (1..2000) |i| try replace(&site, &content, @truncate(i));
    done.store(true, .release);
    for (threads) |thread| thread.join();
    try testing.expectEqual(0, mixed.load(.monotonic));
}

/// Writes a new file and moves it to the place of the old one, as deployments do.
fn replace(site: *Site, content: *[1256]u8, salt: u8) !void {
    const part = content[0 .. 1000 + @as(usize, salt)];
    @memset(part, salt);
    try site.write("public/next", part);
    try site.tmp.dir.rename("public/next", "public/swapped");
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
