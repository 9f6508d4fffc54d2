//! What the tests of DirServer have in common: a site in a temporary directory, requests made by
//! hand, responses looked at before an engine has them.

const std = @import("std");
const testing = std.testing;
const Buddy = @import("../core/buddy.zig").Buddy;
const Method = @import("../http/method.zig").Method;
const Request = @import("../http/request.zig").Request;
const LineBuffer = @import("../http/field_lines.zig").LineBuffer;
const Response = @import("../http/response.zig").Response;
const DirServer = @import("dir_server.zig").DirServer;
const Cache = @import("dir_server_cache.zig").Cache;

pub const page = "<!doctype html><title>home</title>\n";
pub const big_bytes = 200_000;

/// The clock that tests set, milliseconds.
pub var test_ms: std.atomic.Value(u64) = .init(1_000_000);

fn testClock() u64 {
    return test_ms.load(.monotonic);
}

/// A field of a request.
pub const Line = [2][]const u8;

pub const Site = struct {
    tmp: testing.TmpDir,
    server: DirServer,
    pool: *Buddy,
    lines: LineBuffer(4096, 64) = .{},

    pub const Setup = struct {
        index: []const []const u8 = &.{"index.html"},
        cache: bool = true,
        cache_ms: u32 = 1000,
        cache_bytes: usize = Cache.bytes_min,
        open_files: u32 = 64,
        dotfiles: bool = false,
        max_age_s: ?u32 = null,
        redirect: bool = true,
    };

    pub fn init(setup: Setup) !Site {
        var tmp = testing.tmpDir(.{});
        errdefer tmp.cleanup();
        try fill(&tmp.dir);
        var buffer: [std.fs.max_path_bytes]u8 = undefined;
        return serve(tmp, try tmp.dir.realpath("public", &buffer), setup);
    }

    /// A site of a directory that is there already.
    pub fn initAt(root: []const u8, setup: Setup) !Site {
        return serve(testing.tmpDir(.{}), root, setup);
    }

    fn serve(tmp: testing.TmpDir, root: []const u8, setup: Setup) !Site {
        var server = try DirServer.init(testing.allocator, .{
            .root = root,
            .index = setup.index,
            .cache = setup.cache,
            .cache_ms = setup.cache_ms,
            .cache_bytes = setup.cache_bytes,
            .open_files = setup.open_files,
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

    pub fn deinit(self: *Site) void {
        self.server.deinit(testing.allocator);
        self.pool.deinit();
        testing.allocator.destroy(self.pool);
        self.tmp.cleanup();
    }

    /// What `path`, mounted at "/", is answered. `drop` the reply before the next.
    pub fn ask(self: *Site, method: Method, path: []const u8, lines: []const Line) !Reply {
        return self.askMounted(method, path, path, "", lines);
    }

    pub fn askMounted(
        self: *Site,
        method: Method,
        whole: []const u8,
        path: []const u8,
        query: []const u8,
        lines: []const Line,
    ) !Reply {
        var req: Request = .{ .method = method, .path = whole, .query = query };
        for (lines) |line| try testing.expect(req.fields.append(line[0], line[1]));
        var res = Response.init(self.lines.list(), self.pool);
        self.server.handle(&req, &res, path);
        return .{ .res = res };
    }

    pub fn expectStatus(self: *Site, path: []const u8, status: u16) !void {
        errdefer std.debug.print("path \"{s}\"\n", .{path});
        var reply = try self.ask(.GET, path, &.{});
        defer reply.drop();
        try testing.expectEqual(status, reply.res.status);
    }

    pub fn expectBody(self: *Site, path: []const u8, body: []const u8) !void {
        errdefer std.debug.print("path \"{s}\"\n", .{path});
        var reply = try self.ask(.GET, path, &.{});
        defer reply.drop();
        try testing.expectEqual(200, reply.res.status);
        try reply.expectBody(body);
    }

    pub fn write(self: *Site, path: []const u8, content: []const u8) !void {
        try self.tmp.dir.writeFile(.{ .sub_path = path, .data = content });
    }

    pub fn setModified(self: *Site, path: []const u8, seconds: i64) !void {
        const file = try self.tmp.dir.openFile(path, .{ .mode = .read_write });
        defer file.close();
        const ns = @as(i128, seconds) * std.time.ns_per_s;
        try file.updateTimes(ns, ns);
    }
};

pub const Reply = struct {
    res: Response,

    pub fn drop(self: *Reply) void {
        self.res.dropBody();
    }

    pub fn header(self: *const Reply, name: []const u8) ?[]const u8 {
        var lines = std.mem.splitSequence(u8, self.res.fieldLines().text, "\r\n");
        while (lines.next()) |line| {
            const colon = std.mem.indexOf(u8, line, ": ") orelse continue;
            if (std.ascii.eqlIgnoreCase(line[0..colon], name)) return line[colon + 2 ..];
        }
        return null;
    }

    pub fn expectHeader(self: *const Reply, name: []const u8, value: []const u8) !void {
        const found = self.header(name) orelse return error.HeaderMissing;
        try testing.expectEqualStrings(value, found);
    }

    pub fn expectBody(self: *const Reply, want: []const u8) !void {
        switch (self.res.body) {
            .none => try testing.expectEqualStrings(want, ""),
            .borrowed, .static => |bytes| try testing.expectEqualStrings(want, bytes),
            .written => |chain| {
                try testing.expectEqual(want.len, chain.len);
                try testing.expectEqualSlices(u8, want, chain.front());
            },
            .file => |file| {
                try testing.expectEqual(want.len, file.length);
                const got = try testing.allocator.alloc(u8, want.len);
                defer testing.allocator.free(got);
                const n = try std.posix.pread(file.handle.fd(), got, file.offset);
                try testing.expectEqualSlices(u8, want, got[0..n]);
            },
        }
    }
};
