//! A directory that files are opened below, and never outside of: neither by "..", nor by a
//! symbolic link, nor by a component that is swapped while it is looked up.
//!
//! Linux 5.6 and later do it in one call, openat2(2) with RESOLVE_BENEATH; FreeBSD 13 and macOS 11
//! have a flag of open(2), and refuse what is not plainly below. What they refuse, and where a
//! container's filter forbids openat2, the path is walked one component at a time from a held
//! descriptor, without following links; a link is read and what it says is walked the same way.
//! Links whose target is inside the root are followed, absolute ones too.
//!
//! Windows reads many names as another (windows_names.zig). There a file is opened in one call and
//! served only when its path, as the system then tells it, is that of the root with what was asked
//! for behind it, letter by letter. So no link is followed.

const std = @import("std");
const builtin = @import("builtin");
const assert = std.debug.assert;
const posix = std.posix;
const system = @import("../core/system.zig");
const windows = @import("../core/system/windows.zig");
const windows_names = @import("windows_names.zig");

const is_windows = builtin.os.tag == .windows;
const linux = builtin.os.tag == .linux;

/// Longest path below the root, bytes.
pub const path_bytes_max = @min(std.fs.max_path_bytes, 4096) - 1;
/// Links followed in one look-up before it is taken for a loop.
const links_max = 40;
/// Attempts of an openat2 that a concurrent rename made inconclusive.
const attempts_max = 16;

pub const OpenError = error{
    /// No such file, or one that is not to be had: outside the root, a loop of links, a device, a
    /// socket, a FIFO.
    NotFound,
    AccessDenied,
    /// No descriptors or no memory left, or a file system that is away: the client may try again.
    Unavailable,
    /// The system cannot read it, or what it says of it is not so.
    Unreadable,
};

/// What an answer of the system to a look-up means for its request.
pub fn refusal(err: system.Error) OpenError {
    return switch (err) {
        error.AccessDenied, error.PermissionDenied => error.AccessDenied,
        error.FileNotFound,
        error.NotDir,
        error.SymLinkLoop,
        error.NameTooLong,
        // No file has such a name; it left the root; a device or a FIFO that nobody serves.
        error.InvalidArgument,
        error.CrossDevice,
        error.NoDevice,
        => error.NotFound,
        error.ProcessFdQuotaExceeded,
        error.SystemFdQuotaExceeded,
        error.SystemResources,
        error.WouldBlock,
        error.Interrupted,
        error.FileBusy,
        // Network file systems, and those of other processes.
        error.StaleHandle,
        error.SocketNotConnected,
        error.ConnectionAborted,
        error.ConnectionTimedOut,
        => error.Unavailable,
        else => error.Unreadable,
    };
}

/// What an answer of the system to looking at an open file, or to reading it, means for its
/// request: the file is there.
pub fn fault(err: system.Error) OpenError {
    const refused = refusal(err);
    return if (refused == error.NotFound) error.Unreadable else refused;
}

/// Identity of a file's content: when any of it differs, the content may.
pub const Version = struct {
    size: u64,
    inode: u64,
    device: u64,
    modified_ns: i128,
    /// Time of the last change of content or inode, which cannot be set back.
    changed_ns: i128,

    /// The last change of content or inode, seconds since 1970.
    pub fn changedSeconds(self: *const Version) i64 {
        return secondsOf(self.changed_ns);
    }

    /// The last change of the content as the file says, seconds since 1970.
    pub fn modifiedSeconds(self: *const Version) i64 {
        return secondsOf(self.modified_ns);
    }

    fn secondsOf(ns: i128) i64 {
        return @intCast(@divFloor(ns, std.time.ns_per_s));
    }

    pub fn eql(a: Version, b: Version) bool {
        return std.meta.eql(a, b);
    }

    /// The version of the open file `fd` now.
    pub fn read(fd: posix.fd_t) OpenError!Version {
        const stat = system.fstat(fd) catch |err| return fault(err);
        return of(&stat);
    }

    fn of(stat: *const system.Stat) Version {
        return .{
            .size = stat.size,
            .inode = stat.inode,
            .device = stat.device,
            .modified_ns = stat.modified_ns,
            .changed_ns = stat.changed_ns,
        };
    }
};

/// An open file or directory. The caller closes `fd`.
pub const Opened = struct {
    fd: posix.fd_t,
    kind: enum { file, directory },
    version: Version,

    pub fn close(self: Opened) void {
        system.close(self.fd);
    }
};

pub const Root = struct {
    fd: posix.fd_t,
    lookup: Lookup,

    pub const Lookup = enum {
        openat2,
        /// By a flag of open(2): macOS and FreeBSD.
        flag,
        components,
        /// Windows.
        spelling,

        fn of(directory: system.File) Lookup {
            if (linux) return if (hasOpenat2(directory)) .openat2 else .components;
            return if (system.opensBeneath(directory)) .flag else .components;
        }
    };

    /// Opens the directory `path`. It is held: renaming it or replacing a link in `path` later does
    /// not change which directory is served.
    pub fn open(path: []const u8) system.Error!Root {
        if (is_windows) return .{ .fd = try windows.openDirectory(path), .lookup = .spelling };
        const flags: posix.O = .{ .ACCMODE = .RDONLY, .DIRECTORY = true, .CLOEXEC = true };
        const fd = try system.open(path, flags, 0);
        return .{ .fd = fd, .lookup = .of(fd) };
    }

    pub fn close(self: *Root) void {
        system.close(self.fd);
        self.* = undefined;
    }

    /// Opens `path` for reading: relative to the root, "" for the root itself. A path that ends in
    /// "/" names a directory only. Never blocks on a FIFO or a device.
    pub fn openBeneath(self: *const Root, path: []const u8) OpenError!Opened {
        assert(path.len == 0 or path[0] != '/');
        if (path.len > path_bytes_max) return error.NotFound;
        if (std.mem.indexOfScalar(u8, path, 0) != null) return error.NotFound;
        if (is_windows) return self.openSpelled(path);
        const fd = switch (self.lookup) {
            .openat2 => try self.openResolved(path),
            .flag => try self.openFlagged(path),
            .components => try self.openWalking(path),
            .spelling => unreachable, // `open` does not choose it elsewhere
        };
        return examine(fd);
    }

    fn openSpelled(self: *const Root, path: []const u8) OpenError!Opened {
        if (!windows_names.isPath(path)) return error.NotFound;
        const name = std.mem.trimRight(u8, path, "/");
        const fd = windows.openBelow(self.fd, name) catch |err| return refusal(err);
        const opened = try examine(fd);
        errdefer opened.close();
        var buffer: [std.fs.max_path_bytes]u8 = undefined;
        const real = windows.pathOf(fd, &buffer) catch |err| return refusal(err);
        if (!std.mem.eql(u8, try self.pathBelow(real), name)) return error.NotFound;
        if (name.len < path.len and opened.kind != .directory) return error.NotFound;
        return opened;
    }

    fn examine(fd: posix.fd_t) OpenError!Opened {
        errdefer system.close(fd);
        const stat = system.fstat(fd) catch |err| return fault(err);
        return .{
            .fd = fd,
            .kind = switch (stat.kind) {
                .file => .file,
                .directory => .directory,
                .socket, .other => return error.NotFound,
            },
            .version = Version.of(&stat),
        };
    }

    fn openResolved(self: *const Root, path: []const u8) OpenError!posix.fd_t {
        if (!linux) unreachable; // `open` does not choose it elsewhere
        return openat2(self.fd, pathOrSelf(path), resolve.beneath) catch |err| switch (err) {
            // It left the root on its way: refused, unless it came back.
            error.CrossDevice => self.openRealPath(path),
            else => refusal(err),
        };
    }

    fn openFlagged(self: *const Root, path: []const u8) OpenError!posix.fd_t {
        if (linux) unreachable; // `open` does not choose it here
        var names = std.mem.splitScalar(u8, path, '/');
        while (names.next()) |name| {
            if (std.mem.eql(u8, name, "..")) return self.openWalking(path);
        }
        return system.openBeneath(self.fd, pathOrSelf(path)) catch |err| switch (err) {
            // A link on its way: it may lead to what is below all the same.
            error.CrossDevice, error.SymLinkLoop => self.openWalking(path),
            else => refusal(err),
        };
    }

    /// Opens `path`, whose links are absolute or pass through directories above the root, if the
    /// file at its end is below the root. The look-up itself opens nothing (O_PATH).
    fn openRealPath(self: *const Root, path: []const u8) OpenError!posix.fd_t {
        const flags: posix.O = .{ .PATH = true, .CLOEXEC = true };
        const place = system.openAt(self.fd, path, flags, 0) catch |err| return refusal(err);
        defer system.close(place);
        var real_buffer: [std.fs.max_path_bytes]u8 = undefined;
        const real = system.pathOf(place, &real_buffer) catch |err| return refusal(err);
        const below = try self.pathBelow(real);
        const how = resolve.beneath | resolve.no_symlinks;
        return openat2(self.fd, pathOrSelf(below), how) catch |err| refusal(err);
    }

    fn pathOrSelf(path: []const u8) []const u8 {
        return if (path.len == 0) "." else path;
    }

    /// The part of the absolute path `real` below the root's own, without a slash before it.
    fn pathBelow(self: *const Root, real: []const u8) OpenError![]const u8 {
        var buffer: [std.fs.max_path_bytes]u8 = undefined;
        const own = system.pathOf(self.fd, &buffer) catch |err| return refusal(err);
        const base = std.mem.trimRight(u8, own, "/");
        if (!std.mem.startsWith(u8, real, base)) return error.NotFound;
        const rest = real[base.len..];
        if (rest.len > 0 and rest[0] != '/') return error.NotFound;
        return std.mem.trimLeft(u8, rest, "/");
    }

    fn openWalking(self: *const Root, path: []const u8) OpenError!posix.fd_t {
        var walk: Walk = .{ .root = self };
        try walk.replace(&.{path});
        for (0..links_max) |_| {
            if (try walk.run()) |fd| return fd;
        }
        return error.NotFound;
    }
};

/// One look-up without openat2. The path is rewritten and walked again from the root at each link
/// and each "..", so that no step leaves a directory but downwards.
const Walk = struct {
    root: *const Root,
    /// Components separated by single slashes; those before a link or ".." are known to be neither.
    path: [path_bytes_max]u8 = undefined,
    len: usize = 0,
    must_be_directory: bool = false,

    /// The file, or null when the path was rewritten and is to be walked again.
    fn run(self: *Walk) OpenError!?posix.fd_t {
        var directory = self.root.fd;
        defer if (directory != self.root.fd) system.close(directory);
        if (self.len == 0) return try self.openLast(directory, ".");
        var start: usize = 0;
        while (true) {
            const rest = self.path[start..self.len];
            const name = rest[0 .. std.mem.indexOfScalar(u8, rest, '/') orelse rest.len];
            const end = start + name.len;
            if (std.mem.eql(u8, name, "..")) {
                try self.goUp(start, end);
                return null;
            }
            const last = end == self.len;
            const flags = if (last) file_flags else directory_flags;
            const fd = open(directory, name, flags) catch |err| {
                if (err != error.PerhapsLink) return @as(OpenError, @errorCast(err));
                try self.expandLink(directory, start, end);
                return null;
            };
            if (last) return try self.checkLast(fd);
            if (directory != self.root.fd) system.close(directory);
            directory = fd;
            start = end + 1;
        }
    }

    fn openLast(self: *Walk, directory: posix.fd_t, name: []const u8) OpenError!posix.fd_t {
        const fd = open(directory, name, file_flags) catch |err| switch (err) {
            error.PerhapsLink => return error.NotFound,
            else => |e| return e,
        };
        return self.checkLast(fd);
    }

    fn checkLast(self: *Walk, fd: posix.fd_t) OpenError!posix.fd_t {
        if (!self.must_be_directory) return fd;
        errdefer system.close(fd);
        const stat = system.fstat(fd) catch |err| return fault(err);
        return if (stat.kind == .directory) fd else error.NotFound;
    }

    /// Removes the ".." at [start, end) with the component before it.
    fn goUp(self: *Walk, start: usize, end: usize) OpenError!void {
        if (start == 0) return error.NotFound;
        const above = self.path[0 .. start - 1];
        const kept = above[0 .. std.mem.lastIndexOfScalar(u8, above, '/') orelse 0];
        return self.replace(&.{ kept, self.path[end..self.len] });
    }

    /// Puts the target of the link at [start, end) in its place.
    fn expandLink(self: *Walk, directory: posix.fd_t, start: usize, end: usize) OpenError!void {
        var buffer: [std.fs.max_path_bytes]u8 = undefined;
        const target = system.readLinkAt(directory, self.path[start..end], &buffer) catch |err|
            return refusal(err);
        const rest = self.path[end..self.len];
        if (target.len > 0 and target[0] == '/') {
            return self.replace(&.{ try self.root.pathBelow(target), rest });
        }
        return self.replace(&.{ self.path[0..start], target, rest });
    }

    /// Sets the path to `parts` joined, without empty components and ".".
    fn replace(self: *Walk, parts: []const []const u8) OpenError!void {
        var joined: [path_bytes_max]u8 = undefined;
        var n: usize = 0;
        for (parts) |part| {
            var names = std.mem.tokenizeScalar(u8, part, '/');
            while (names.next()) |name| {
                if (std.mem.eql(u8, name, ".")) continue;
                const slash = @intFromBool(n > 0);
                if (n + slash + name.len > joined.len) return error.NotFound;
                if (n > 0) joined[n] = '/';
                @memcpy(joined[n + slash ..][0..name.len], name);
                n += slash + name.len;
            }
        }
        const last = parts[parts.len - 1];
        const tail = if (last.len > 0) last else if (parts.len > 1) parts[parts.len - 2] else "";
        if (std.mem.endsWith(u8, tail, "/") or std.mem.endsWith(u8, tail, "/.")) {
            self.must_be_directory = true;
        }
        @memcpy(self.path[0..n], joined[0..n]);
        self.len = n;
    }

    const common: posix.O = .{ .ACCMODE = .RDONLY, .NOFOLLOW = true, .CLOEXEC = true };

    const file_flags: posix.O = blk: {
        var flags = common;
        flags.NONBLOCK = true;
        flags.NOCTTY = true;
        break :blk flags;
    };

    const directory_flags: posix.O = blk: {
        var flags = common;
        flags.DIRECTORY = true;
        // Passing through needs the right to search, not that to list.
        if (@hasField(posix.O, "PATH")) flags.PATH = true;
        break :blk flags;
    };

    fn open(
        directory: posix.fd_t,
        name: []const u8,
        flags: posix.O,
    ) (OpenError || error{PerhapsLink})!posix.fd_t {
        return system.openAt(directory, name, flags, 0) catch |err| switch (err) {
            // What the system answers for a link that is not to be followed.
            error.SymLinkLoop, error.NotDir => error.PerhapsLink,
            else => refusal(err),
        };
    }
};

const resolve = struct {
    const no_magic_links = 0x02;
    const no_symlinks = 0x04;
    const beneath = 0x08 | no_magic_links;
};

/// openat2(2): read-only, close-on-exec, not waiting for FIFOs, not taking a terminal over.
fn openat2(directory: posix.fd_t, path: []const u8, flags: u64) system.Error!posix.fd_t {
    const open_flags: posix.O = .{
        .ACCMODE = .RDONLY,
        .CLOEXEC = true,
        .NONBLOCK = true,
        .NOCTTY = true,
    };
    for (0..attempts_max) |_| {
        return system.openResolving(directory, path, open_flags, flags) catch |err| switch (err) {
            error.WouldBlock => continue,
            else => err,
        };
    }
    return error.WouldBlock;
}

/// Whether the kernel has openat2 and lets us use it.
fn hasOpenat2(directory: posix.fd_t) bool {
    const fd = openat2(directory, ".", resolve.beneath) catch return false;
    system.close(fd);
    return true;
}

const testing = std.testing;

/// A root in a temporary directory with a secret beside it.
const Fixture = struct {
    tmp: testing.TmpDir,
    root: Root,

    fn init(lookup: Root.Lookup) !Fixture {
        var tmp = testing.tmpDir(.{});
        errdefer tmp.cleanup();
        try tmp.dir.makePath("site/sub/deep");
        try tmp.dir.makePath("outside");
        const files = [_][]const u8{ "site/a", "site/sub/b", "site/sub/deep/c", "outside/secret" };
        for (files) |path| try tmp.dir.writeFile(.{ .sub_path = path, .data = path });
        var buffer: [std.fs.max_path_bytes]u8 = undefined;
        const path = try tmp.dir.realpath("site", &buffer);
        var root = try Root.open(path);
        errdefer root.close();
        if (lookup == .openat2 and root.lookup != .openat2) return error.SkipZigTest; // no openat2
        root.lookup = lookup;
        try links(&tmp.dir, path);
        return .{ .tmp = tmp, .root = root };
    }

    fn links(dir: *std.fs.Dir, path: []const u8) !void {
        var buffer: [std.fs.max_path_bytes]u8 = undefined;
        const inside = try std.fmt.bufPrint(&buffer, "{s}/sub", .{path});
        try dir.symLink(inside, "site/absolute-inside", .{});
        const own = [_][2][]const u8{
            .{ "a", "site/to-a" },
            .{ "sub", "site/to-sub" },
            .{ "to-sub", "site/to-to-sub" },
            .{ "../../a", "site/sub/deep/to-a" },
            .{ "sub/./deep/../b", "site/winding" },
            .{ "to-sub/deep/..//b", "site/winding-through-link" },
            .{ "../outside/secret", "site/out" },
            .{ "../outside", "site/out-dir" },
            .{ "../../../outside/secret", "site/sub/deep/out" },
            .{ "../site/a", "site/out-and-in" },
            .{ "/etc/passwd", "site/absolute-out" },
            .{ "/", "site/slash" },
            .{ "loop", "site/loop" },
            .{ "loop-b", "site/loop-a" },
            .{ "loop-a", "site/loop-b" },
            .{ "nowhere", "site/dangling" },
            .{ ".", "site/self" },
            .{ "a/", "site/a-as-dir" },
        };
        for (own) |link| try dir.symLink(link[0], link[1], .{});
    }

    fn deinit(self: *Fixture) void {
        self.root.close();
        self.tmp.cleanup();
    }

    fn expectFile(self: *Fixture, path: []const u8, content: []const u8) !void {
        errdefer std.debug.print("path \"{s}\"\n", .{path});
        const opened = try self.root.openBeneath(path);
        defer opened.close();
        try testing.expectEqual(.file, opened.kind);
        try testing.expectEqual(content.len, opened.version.size);
        var buffer: [64]u8 = undefined;
        const n = try posix.read(opened.fd, &buffer);
        try testing.expectEqualStrings(content, buffer[0..n]);
    }

    fn expectDirectory(self: *Fixture, path: []const u8) !void {
        errdefer std.debug.print("path \"{s}\"\n", .{path});
        const opened = try self.root.openBeneath(path);
        defer opened.close();
        try testing.expectEqual(.directory, opened.kind);
    }

    fn expectError(self: *Fixture, path: []const u8, err: OpenError) !void {
        errdefer std.debug.print("path \"{s}\"\n", .{path});
        const result = self.root.openBeneath(path);
        if (result) |opened| opened.close() else |_| {}
        try testing.expectError(err, result);
    }
};

const lookups = [_]Root.Lookup{ .openat2, .components };

test "files and directories below the root open, links that stay inside are followed" {
    inline for (lookups) |lookup| {
        var fixture = try Fixture.init(lookup);
        defer fixture.deinit();
        for ([_][]const u8{ "a", "to-a", "sub/deep/to-a", "self/a", "self/self/to-a" }) |path| {
            try fixture.expectFile(path, "site/a");
        }
        for ([_][]const u8{
            "sub/b",
            "to-sub/b",
            "to-to-sub/b",
            "winding",
            "winding-through-link",
            "absolute-inside/b",
            "self/winding",
            "absolute-inside/deep/../b",
        }) |path| try fixture.expectFile(path, "site/sub/b");
        for ([_][]const u8{
            "",
            "sub",
            "sub/",
            "sub/deep",
            "to-sub",
            "to-sub/",
            "absolute-inside/",
            "self/",
        }) |path| try fixture.expectDirectory(path);
    }
}

test "nothing outside the root opens, by no kind of link and no '..'" {
    inline for (lookups) |lookup| {
        var fixture = try Fixture.init(lookup);
        defer fixture.deinit();
        for ([_][]const u8{
            "out",
            "out-dir/secret",
            "out-dir",
            "out-dir/",
            "sub/deep/out",
            "absolute-out",
            "slash",
            "slash/etc/passwd",
            "..",
            "../outside/secret",
            "sub/../../outside/secret",
            "to-sub/../../outside/secret",
            "absolute-inside/../../outside/secret",
        }) |path| try fixture.expectError(path, error.NotFound);
    }
}

test "what is not there, loops, dangles or is no directory is not found" {
    inline for (lookups) |lookup| {
        var fixture = try Fixture.init(lookup);
        defer fixture.deinit();
        for ([_][]const u8{
            "x",
            "sub/x",
            "a/",
            "a/b",
            "sub/b/",
            "loop",
            "loop-a",
            "loop/x",
            "dangling",
            "to-a/",
            "a-as-dir",
            "n" ** 300,
            "d/" ** 2047 ++ "x",
        }) |path| try fixture.expectError(path, error.NotFound);
    }
}

test "a FIFO and a socket are refused without waiting" {
    inline for (lookups) |lookup| {
        var fixture = try Fixture.init(lookup);
        defer fixture.deinit();
        try makeFifo(&fixture.tmp.dir, "site/fifo");
        try fixture.expectError("fifo", error.NotFound);
    }
}

test "whatever the system answers, the request has an error" {
    for (1..4096) |number| {
        const err = system.errorOf(@enumFromInt(number));
        const want = if (err == error.Unexpected) error.Unreadable else refusal(err);
        try testing.expectEqual(want, refusal(err));
        try testing.expect(fault(err) != error.NotFound);
    }
    try testing.expectEqual(error.Unreadable, refusal(error.InputOutput));
    try testing.expectEqual(error.Unavailable, refusal(error.StaleHandle));
    try testing.expectEqual(error.Unavailable, refusal(error.ProcessFdQuotaExceeded));
    try testing.expectEqual(error.AccessDenied, refusal(error.PermissionDenied));
    try testing.expectEqual(error.NotFound, refusal(error.NoDevice));
}

fn makeFifo(dir: *std.fs.Dir, path: [*:0]const u8) !void {
    if (!linux) return error.SkipZigTest; // mknodat is called as Linux has it
    const os = std.os.linux;
    const rc = os.syscall4(
        .mknodat,
        @bitCast(@as(isize, dir.fd)),
        @intFromPtr(path),
        os.S.IFIFO | 0o600,
        0,
    );
    try testing.expectEqual(posix.E.SUCCESS, os.E.init(rc));
}

test "a look-up leaves no descriptor open" {
    inline for (lookups) |lookup| {
        var fixture = try Fixture.init(lookup);
        defer fixture.deinit();
        const before = try posix.dup(fixture.root.fd);
        posix.close(before);
        for ([_][]const u8{
            "sub/deep/c",
            "sub/deep/to-a",
            "absolute-inside/deep/c",
            "out",
            "out-and-in",
            "loop",
            "slash/etc/passwd",
            "sub/deep/x",
            "a/",
        }) |path| {
            if (fixture.root.openBeneath(path)) |opened| opened.close() else |_| {}
        }
        const after = try posix.dup(fixture.root.fd);
        posix.close(after);
        try testing.expectEqual(before, after);
    }
}

test "a file without the right to read is denied" {
    if (!linux) return error.SkipZigTest; // setfsuid is Linux's
    inline for (lookups) |lookup| {
        var fixture = try Fixture.init(lookup);
        defer fixture.deinit();
        const file = try fixture.tmp.dir.openFile("site/a", .{});
        defer file.close();
        try file.chmod(0);
        // The superuser may read everything: be another for this thread's file accesses.
        const superuser = std.os.linux.geteuid() == 0;
        if (superuser) _ = std.os.linux.syscall1(.setfsuid, 65534);
        defer if (superuser) {
            _ = std.os.linux.syscall1(.setfsuid, 0);
        };
        try fixture.expectError("a", error.AccessDenied);
    }
}

test "a directory that is swapped for a link to the outside is never followed there" {
    const Swapper = struct {
        fn run(dir: std.fs.Dir, done: *std.atomic.Value(bool)) void {
            while (!done.load(.acquire)) {
                dir.rename("site/sub", "site/held") catch return;
                dir.rename("site/out-dir", "site/sub") catch return;
                dir.rename("site/sub", "site/out-dir") catch return;
                dir.rename("site/held", "site/sub") catch return;
            }
        }
    };
    inline for (lookups) |lookup| {
        var fixture = try Fixture.init(lookup);
        defer fixture.deinit();
        try fixture.tmp.dir.writeFile(.{ .sub_path = "site/sub/secret", .data = "in" });
        var done: std.atomic.Value(bool) = .init(false);
        const thread = try std.Thread.spawn(.{}, Swapper.run, .{ fixture.tmp.dir, &done });
        defer thread.join();
        defer done.store(true, .release);
        for (0..3000) |_| {
            const opened = fixture.root.openBeneath("sub/secret") catch continue;
            defer opened.close();
            try testing.expectEqual("in".len, opened.version.size);
        }
    }
}
