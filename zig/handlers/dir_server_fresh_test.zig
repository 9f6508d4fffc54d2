//! Tests of DirServer: files that change while they are served, and the cache.

const std = @import("std");
const testing = std.testing;
const Buddy = @import("../core/buddy.zig").Buddy;
const log = @import("../core/log.zig");
const Request = @import("../http/request.zig").Request;
const LineBuffer = @import("../http/field_lines.zig").LineBuffer;
const Response = @import("../http/response.zig").Response;
const DirServer = @import("dir_server.zig").DirServer;
const fixture = @import("dir_server_fixture.zig");
const test_ms = &fixture.test_ms;
const Site = fixture.Site;

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
        try testing.expectEqual(.written, std.meta.activeTag(reply.res.body));
    }
    try site.write("public/style.css", "BODY{}");
    try site.expectBody("/style.css", "BODY{}");
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
    const Asker = struct {
        server: *DirServer,
        /// Requests that were begun.
        begun: std.atomic.Value(u32) = .init(0),
        /// Requests that had another answer than a whole file.
        wrong: u32 = 0,
        done: *const std.atomic.Value(bool),

        fn run(self: *@This()) void {
            var pool = Buddy.init(1) catch unreachable;
            defer pool.deinit();
            var lines: LineBuffer(4096, 64) = .{};
            while (!self.done.load(.acquire)) {
                _ = self.begun.fetchAdd(1, .acq_rel);
                var res = Response.init(lines.list(), &pool);
                const req: Request = .{ .path = "/swapped" };
                self.server.handle(&req, &res, "/swapped");
                defer res.dropBody();
                const is_whole = switch (res.body) {
                    .borrowed => |body| body.len > 0 and std.mem.allEqual(u8, body, body[0]) and
                        body.len == 1000 + @as(usize, body[0]),
                    // What is not kept in memory is read by those who send it.
                    else => true,
                };
                if (res.status != 200 or !is_whole) self.wrong += 1;
            }
        }

        /// Returns when a request was begun after `seen` of them.
        fn next(self: *const @This(), seen: u32) !void {
            while (self.begun.load(.acquire) == seen) try std.Thread.yield();
        }
    };
    var content: [1256]u8 = undefined;
    var done: std.atomic.Value(bool) = .init(false);
    try replace(&site, &content, 0);
    var askers: [2]Asker = @splat(.{ .server = &site.server, .done = &done });
    var threads: [2]std.Thread = undefined;
    for (&threads, &askers) |*thread, *asker| {
        thread.* = try std.Thread.spawn(.{}, Asker.run, .{asker});
    }
    for (1..2000) |i| {
        // No request meets more than two files: one that changed at every look would be answered
        // with 503, and how often it is looked at between two changes is the scheduler's affair.
        var seen: [2]u32 = undefined;
        for (&seen, &askers) |*count, *asker| count.* = asker.begun.load(.acquire);
        try replace(&site, &content, @truncate(i));
        for (seen, &askers) |count, *asker| try asker.next(count);
    }
    done.store(true, .release);
    for (threads) |thread| thread.join();
    for (askers) |asker| try testing.expectEqual(0, asker.wrong);
}

/// Writes a new file and moves it to the place of the old one, as deployments do.
fn replace(site: *Site, content: *[1256]u8, salt: u8) !void {
    const part = content[0 .. 1000 + @as(usize, salt)];
    @memset(part, salt);
    try site.write("public/next", part);
    try site.tmp.dir.rename("public/next", "public/swapped");
}

test "a root that is built anew is served, and 503 answers while there is none" {
    log.setLevel(.silent);
    defer log.setLevel(.info);
    inline for (.{ true, false }) |cache| {
        var site = try Site.init(.{ .cache = cache });
        defer site.deinit();
        try site.expectBody("/style.css", "body{}");
        const dir = &site.tmp.dir;
        try dir.deleteTree("public");
        _ = test_ms.fetchAdd(1000, .monotonic);
        for (0..2) |_| try site.expectStatus("/style.css", 503);
        try dir.makePath("public");
        try site.expectStatus("/style.css", 404);
        try site.write("public/style.css", "BODY{}");
        try site.expectBody("/style.css", "BODY{}");
        // Moved away, another in its place: by the next look at it.
        try dir.rename("public", "old");
        try dir.makePath("public");
        try site.write("public/style.css", "anew{}");
        _ = test_ms.fetchAdd(1000, .monotonic);
        try site.expectBody("/style.css", "anew{}");
    }
}

test "a link to the root that is swapped is followed within cache_ms" {
    var site = try Site.init(.{});
    defer site.deinit();
    const dir = &site.tmp.dir;
    try dir.makePath("release-1");
    try dir.makePath("release-2");
    try site.write("release-1/page", "1");
    try site.write("release-2/page", "2");
    try site.write("release-2/big", "big" ** 40_000);
    try dir.symLink("../secret", "release-2/escape", .{});
    try dir.symLink("release-1", "current", .{});
    var buffer: [std.fs.max_path_bytes]u8 = undefined;
    const folder = try dir.realpath(".", &buffer);
    const path = try std.fmt.allocPrint(testing.allocator, "{s}/current", .{folder});
    defer testing.allocator.free(path);
    var linked = try Site.initAt(path, .{});
    defer linked.deinit();
    try linked.expectBody("/page", "1");
    // The root is looked at again while the entry is not: the entry's time is that of the root.
    _ = test_ms.fetchAdd(999, .monotonic);
    try linked.expectStatus("/other", 404);
    try dir.symLink("release-2", "next", .{});
    try dir.rename("next", "current");
    try linked.expectBody("/page", "1");
    _ = test_ms.fetchAdd(1, .monotonic);
    try linked.expectBody("/page", "2");
    try linked.expectBody("/big", "big" ** 40_000);
    try linked.expectStatus("/escape", 404);
    try linked.expectStatus("/../release-1/page", 404);
}
