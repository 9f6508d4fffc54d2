//! Tests of DirServer: large files that are kept open.

const std = @import("std");
const testing = std.testing;
const posix = std.posix;
const FileHandle = @import("../core/file_handle.zig").FileHandle;
const system = @import("../core/system.zig");
const Request = @import("../http/request.zig").Request;
const LineBuffer = @import("../http/field_lines.zig").LineBuffer;
const Response = @import("../http/response.zig").Response;
const Buddy = @import("../core/buddy.zig").Buddy;
const fixture = @import("dir_server_fixture.zig");
const open_files = @import("dir_server_open_files.zig");
const test_ms = &fixture.test_ms;
const big_bytes = fixture.big_bytes;
const Site = fixture.Site;

/// The descriptor that `path` is sent from, which nobody has left to send from afterwards.
fn sentFrom(site: *Site, path: []const u8, length: u64) !posix.fd_t {
    errdefer std.debug.print("path \"{s}\"\n", .{path});
    var reply = try site.ask(.GET, path, &.{});
    defer reply.drop();
    try testing.expectEqual(200, reply.res.status);
    try testing.expectEqual(length, reply.res.body.file.length);
    return reply.res.body.file.handle.fd();
}

fn isOpen(fd: posix.fd_t) bool {
    _ = system.fstat(fd) catch return false;
    return true;
}

/// Descriptors that are open, of the first thousand.
fn countOpen() usize {
    var open: usize = 0;
    for (0..1000) |fd| {
        if (isOpen(@intCast(fd))) open += 1;
    }
    return open;
}

fn bytes(value: u8, len: usize) ![]u8 {
    const content = try testing.allocator.alloc(u8, len);
    @memset(content, value);
    return content;
}

test "a large file takes one descriptor, however many it is sent to" {
    var site = try Site.init(.{});
    defer site.deinit();
    var first = try site.ask(.GET, "/big.bin", &.{});
    defer first.drop();
    const handle = first.res.body.file.handle;
    for (0..10) |i| {
        var text: [32]u8 = undefined;
        const range = try std.fmt.bufPrint(&text, "bytes={d}-{d}", .{ i * 10, i * 10 + 4 });
        var other = try site.ask(.GET, "/big.bin", &.{.{ "Range", range }});
        defer other.drop();
        try testing.expectEqual(206, other.res.status);
        try testing.expectEqual(handle, other.res.body.file.handle);
        try testing.expectEqual(i * 10, other.res.body.file.offset);
        var want: [5]u8 = undefined;
        for (&want, i * 10..) |*byte, at| byte.* = @truncate(at *% 131);
        try other.expectBody(&want);
    }
}

test "a file that is kept open is described as one that is opened" {
    var site = try Site.init(.{ .max_age_s = 60 });
    defer site.deinit();
    var first = try site.ask(.GET, "/big.bin", &.{});
    const first_lines = try testing.allocator.dupe(u8, first.res.fieldLines().text);
    defer testing.allocator.free(first_lines);
    const tag = try testing.allocator.dupe(u8, first.header("etag").?);
    defer testing.allocator.free(tag);
    first.drop();
    var again = try site.ask(.GET, "/big.bin", &.{});
    defer again.drop();
    try testing.expectEqualStrings(first_lines, again.res.fieldLines().text);
    var head = try site.ask(.HEAD, "/big.bin", &.{});
    defer head.drop();
    try testing.expectEqual(big_bytes, head.res.declared_length.?);
    var same = try site.ask(.GET, "/big.bin", &.{.{ "If-None-Match", tag }});
    defer same.drop();
    try testing.expectEqual(304, same.res.status);
    var out_of_range = try site.ask(.GET, "/big.bin", &.{.{ "Range", "bytes=999999-" }});
    defer out_of_range.drop();
    try testing.expectEqual(416, out_of_range.res.status);
}

test "a kept file that changes, is replaced or removed is seen at once" {
    var site = try Site.init(.{});
    defer site.deinit();
    _ = try sentFrom(&site, "/big.bin", big_bytes);
    var before = try site.ask(.HEAD, "/big.bin", &.{});
    var tag: [64]u8 = undefined;
    const tag_len = before.header("etag").?.len;
    @memcpy(tag[0..tag_len], before.header("etag").?);
    before.drop();

    // In place, of the same length.
    const other = try bytes('o', big_bytes);
    defer testing.allocator.free(other);
    try site.write("public/big.bin", other);
    try site.setModified("public/big.bin", 784_111_777);
    var changed = try site.ask(.GET, "/big.bin", &.{.{ "If-None-Match", tag[0..tag_len] }});
    try testing.expectEqual(200, changed.res.status);
    try changed.expectBody(other);
    changed.drop();

    // Cut short.
    try site.write("public/big.bin", other[0 .. big_bytes - 1]);
    const old = try sentFrom(&site, "/big.bin", big_bytes - 1);

    // Another in its place.
    const third = try bytes('t', big_bytes);
    defer testing.allocator.free(third);
    try site.write("public/new.bin", third);
    try site.tmp.dir.rename("public/new.bin", "public/big.bin");
    try site.expectBody("/big.bin", third);
    _ = old;

    try site.tmp.dir.deleteFile("public/big.bin");
    try site.expectStatus("/big.bin", 404);
    const small = "small now";
    try site.write("public/big.bin", small);
    try site.expectBody("/big.bin", small);
}

test "another root is seen within cache_ms, and what was kept is closed" {
    var site = try Site.init(.{ .cache_ms = 1000 });
    defer site.deinit();
    const old = try sentFrom(&site, "/big.bin", big_bytes);
    try site.tmp.dir.rename("public", "retired");
    try site.tmp.dir.makeDir("public");
    const content = try bytes('n', 100_000);
    defer testing.allocator.free(content);
    try site.write("public/big.bin", content);
    _ = test_ms.fetchAdd(999, .monotonic);
    try testing.expectEqual(old, try sentFrom(&site, "/big.bin", big_bytes));
    _ = test_ms.fetchAdd(1, .monotonic);
    try site.expectBody("/big.bin", content);
    // The same again, and the file is not there.
    try site.tmp.dir.rename("public", "retired too");
    try site.tmp.dir.makeDir("public");
    _ = test_ms.fetchAdd(1000, .monotonic);
    try site.expectStatus("/big.bin", 404);
}

test "a path that is looked at again keeps its descriptor" {
    var site = try Site.init(.{ .cache_ms = 1000 });
    defer site.deinit();
    const first = try sentFrom(&site, "/big.bin", big_bytes);
    for (0..5) |_| {
        _ = test_ms.fetchAdd(5000, .monotonic);
        try testing.expectEqual(first, try sentFrom(&site, "/big.bin", big_bytes));
    }
}

test "a file that nobody asks for is closed, one that is being sent when it has been" {
    var site = try Site.init(.{});
    defer site.deinit();
    const content = try bytes('c', 100_000);
    defer testing.allocator.free(content);
    try site.write("public/other.bin", content);
    const idle = try sentFrom(&site, "/big.bin", big_bytes);
    var slow = try site.ask(.GET, "/other.bin", &.{});
    _ = test_ms.fetchAdd(open_files.idle_ms, .monotonic);
    try testing.expect(isOpen(idle));
    try site.expectBody("/noext", "?");
    try testing.expect(!isOpen(idle));
    const sending = slow.res.body.file.handle;
    try testing.expect(isOpen(sending.fd()) and !sending.isShared());
    try slow.expectBody(content);
    slow.drop();
    try testing.expect(!isOpen(sending.fd()));
}

test "no more files are kept open than were asked to be" {
    var site = try Site.init(.{ .open_files = 3 });
    defer site.deinit();
    const before = countOpen();
    var name: [32]u8 = undefined;
    for (0..12) |i| {
        const content = try bytes(@intCast(i), 70_000);
        defer testing.allocator.free(content);
        try site.write(try std.fmt.bufPrint(&name, "public/f{d}", .{i}), content);
    }
    for (0..10) |_| {
        for (0..12) |i| {
            const content = try bytes(@intCast(i), 70_000);
            defer testing.allocator.free(content);
            try site.expectBody(try std.fmt.bufPrint(&name, "/f{d}", .{i}), content);
        }
    }
    try testing.expectEqual(before + 3, countOpen());
}

test "a loop over more files than are kept open finds some of them" {
    var site = try Site.init(.{ .open_files = 8 });
    defer site.deinit();
    var name: [32]u8 = undefined;
    const content = try bytes('l', 70_000);
    defer testing.allocator.free(content);
    for (0..12) |i| {
        try site.write(try std.fmt.bufPrint(&name, "public/f{d}", .{i}), content);
    }
    var hits: usize = 0;
    for (0..50) |_| {
        for (0..12) |i| {
            var reply = try site.ask(.GET, try std.fmt.bufPrint(&name, "/f{d}", .{i}), &.{});
            defer reply.drop();
            // A newcomer that was kept counts too: one in four at most.
            if (reply.res.body.file.handle.isShared()) hits += 1;
        }
    }
    try testing.expect(hits > 50 * 12 / 2);
}

test "a file that could not be sent as it was said to be is opened again" {
    var site = try Site.init(.{});
    defer site.deinit();
    var first = try site.ask(.GET, "/big.bin", &.{});
    defer first.drop();
    first.res.body.file.handle.doubt();
    var second = try site.ask(.GET, "/big.bin", &.{});
    defer second.drop();
    try testing.expect(first.res.body.file.handle != second.res.body.file.handle);
    var third = try site.ask(.GET, "/big.bin", &.{});
    defer third.drop();
    try testing.expectEqual(second.res.body.file.handle, third.res.body.file.handle);
}

test "without descriptors a file that is kept open is served on" {
    var site = try Site.init(.{});
    defer site.deinit();
    const kept = try sentFrom(&site, "/big.bin", big_bytes);
    const old = try posix.getrlimit(.NOFILE);
    const lowest = try posix.dup(0);
    posix.close(lowest);
    var none = old;
    none.cur = @intCast(lowest);
    try posix.setrlimit(.NOFILE, none);
    defer posix.setrlimit(.NOFILE, old) catch unreachable;
    _ = test_ms.fetchAdd(5000, .monotonic);
    try testing.expectEqual(kept, try sentFrom(&site, "/big.bin", big_bytes));
}

test "with open_files 0, with cache_ms 0, and just after a change nothing is kept open" {
    for ([_]Site.Setup{ .{ .open_files = 0 }, .{ .cache_ms = 0 }, .{} }, 0..) |setup, i| {
        var site = try Site.init(setup);
        defer site.deinit();
        if (i == 2) site.server.settle_ns = 3600 * std.time.ns_per_s;
        const fd = try sentFrom(&site, "/big.bin", big_bytes);
        try testing.expect(!isOpen(fd));
    }
}

test "a head too full for a kept file's fields is a 500, and its handle is released" {
    var site = try Site.init(.{});
    defer site.deinit();
    var first = try site.ask(.GET, "/big.bin", &.{});
    const handle = first.res.body.file.handle;
    var room: LineBuffer(64, 8) = .{};
    var res = Response.init(room.list(), site.pool);
    const req: Request = .{ .path = "/big.bin" };
    try res.header("X-Filler", "0123456789012345678901234567890123456789");
    site.server.handle(&req, &res, "/big.bin");
    try testing.expectEqual(500, res.status);
    res.dropBody();
    try testing.expect(handle.isShared());
    site.server.open_files.?.forget(
        std.hash.Wyhash.hash(0, "/big.bin"),
        "/big.bin",
        handle,
    );
    try testing.expect(!handle.isShared());
    first.drop();
}

/// One thread that asks for a file which another replaces, and looks for contents that are mixed.
const Reader = struct {
    site: *Site,
    done: *std.atomic.Value(bool),
    torn: usize = 0,
    asked: usize = 0,

    fn run(self: *Reader) void {
        var pool = Buddy.init(1) catch return;
        defer pool.deinit();
        var lines: LineBuffer(4096, 64) = .{};
        while (!self.done.load(.acquire) or self.asked == 0) {
            const req: Request = .{ .method = .GET, .path = "/moving.bin" };
            var res = Response.init(lines.list(), &pool);
            self.site.server.handle(&req, &res, "/moving.bin");
            defer res.dropBody();
            self.asked += 1;
            self.look(&res) catch {
                self.torn += 1;
            };
        }
    }

    fn look(_: *Reader, res: *const Response) !void {
        if (res.status != 200) return error.Status;
        const file = res.body.file;
        var content: [80_000]u8 = undefined;
        // Not by std: a race detector would see the reads, and not who opens and closes.
        const n = try system.readAt(file.handle.fd(), &content, file.offset);
        if (n != file.length) return error.Length;
        // The length is told by the first byte.
        if (n != 70_000 + @as(usize, content[0])) return error.OtherFile;
        if (!std.mem.allEqual(u8, content[0..n], content[0])) return error.Mixed;
    }
};

test "threads that ask while a file is replaced get whole files, and none is left open" {
    var site = try Site.init(.{ .cache_ms = 1 });
    defer site.deinit();
    const Replacer = struct {
        fn put(s: *Site, round: usize) !void {
            const value: u8 = @truncate(round);
            const content = try bytes(value, 70_000 + @as(usize, value));
            defer testing.allocator.free(content);
            try s.write("public/new.bin", content);
            try s.tmp.dir.rename("public/new.bin", "public/moving.bin");
        }
    };
    try Replacer.put(&site, 0);
    const before = countOpen();
    var done: std.atomic.Value(bool) = .init(false);
    var readers: [3]Reader = undefined;
    var threads: [3]std.Thread = undefined;
    for (&readers, &threads) |*reader, *thread| {
        reader.* = .{ .site = &site, .done = &done };
        thread.* = try std.Thread.spawn(.{}, Reader.run, .{reader});
    }
    for (1..300) |round| {
        try Replacer.put(&site, round);
        _ = test_ms.fetchAdd(1, .monotonic);
    }
    done.store(true, .release);
    for (threads) |thread| thread.join();
    for (&readers) |*reader| try testing.expectEqual(0, reader.torn);
    _ = test_ms.fetchAdd(open_files.idle_ms, .monotonic);
    try site.expectBody("/noext", "?");
    try testing.expectEqual(before, countOpen());
}
