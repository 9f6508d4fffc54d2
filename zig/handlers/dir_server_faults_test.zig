//! Tests of DirServer: files that cannot be served as they should.

const std = @import("std");
const testing = std.testing;
const posix = std.posix;
const Request = @import("../http/request.zig").Request;
const LineBuffer = @import("../http/field_lines.zig").LineBuffer;
const Response = @import("../http/response.zig").Response;
const fixture = @import("dir_server_fixture.zig");
const test_ms = &fixture.test_ms;
const Site = fixture.Site;

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
            var room: LineBuffer(64, 8) = .{};
            var res = Response.init(room.list(), site.pool);
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

/// Asks a server of the directory `root` for `path`, and expects `status`.
fn expectStatusBelow(root: []const u8, path: []const u8, status: u16, cache: bool) !void {
    errdefer std.debug.print("{s}{s}, cache {}\n", .{ root, path, cache });
    var site = try Site.initAt(root, .{ .cache = cache });
    defer site.deinit();
    for (0..2) |_| try site.expectStatus(path, status);
}

test "a file that cannot be read, or is not as long as it says, is a 500" {
    if (@import("builtin").os.tag != .linux) return error.SkipZigTest; // the files are Linux's
    // Not everywhere is there a sysfs.
    std.fs.accessAbsolute("/sys/class/net/lo/speed", .{}) catch return error.SkipZigTest;
    for ([_]bool{ true, false }) |cache| {
        try expectStatusBelow("/sys/class/net/lo", "/speed", 500, cache); // EINVAL
        try expectStatusBelow("/sys/class/net/lo", "/address", 500, cache); // 4096 bytes, it says
        try expectStatusBelow("/proc/self", "/mem", 500, cache); // EIO, and no bytes, it says
        try expectStatusBelow("/proc/self", "/status", 500, cache); // no bytes, it says
    }
}
