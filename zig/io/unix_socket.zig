//! Listening sockets with a path in the file system (unix(7)): who may connect, what a process that
//! ended without tidying up has left behind, and whose the file is when this one ends.

const std = @import("std");
const assert = std.debug.assert;
const linux = std.os.linux;
const posix = std.posix;
const Allocator = std.mem.Allocator;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const UnixPath = Endpoint.UnixPath;
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const socket = @import("socket.zig");

pub const Options = struct {
    backlog: u31,
    /// Rights of the file, who may write may connect; null: what the process's umask leaves.
    mode: ?u16 = null,
    /// A server that listens there already is followed at once: who connects comes here.
    take_over: bool = false,
};

pub const Error = error{
    OutOfMemory,
    /// A server listens there.
    SocketInUse,
    /// There is a file that is no socket.
    NotASocketFile,
    /// Somebody else's socket is there, and may not be tried.
    SocketNotOurs,
} || system.Error;

/// The file of a socket, to be removed by who made it.
pub const File = struct {
    /// From the root, so that a change of the working directory does not matter.
    path: []const u8,
    device: u64,
    inode: u64,
    is_removed: bool = false,

    pub fn deinit(self: *File, gpa: Allocator) void {
        gpa.free(self.path);
        self.* = undefined;
    }

    /// Removes the file, unless another socket has taken its place. While the socket is still
    /// open: the number of its inode may be another's later. No memory is taken.
    pub fn remove(self: *File) void {
        if (self.is_removed) return;
        self.is_removed = true;
        const found = system.lstat(self.path) catch return;
        if (found.device != self.device or found.inode != self.inode) return;
        system.unlink(self.path) catch |err| log.warn(
            "the socket {s} could not be removed: {s}",
            .{ self.path, @errorName(err) },
        );
    }
};

pub const Socket = struct { fd: posix.socket_t, file: ?File };

/// A socket that listens at `path`. The file of a server that is gone is replaced.
pub fn listen(gpa: Allocator, path: *const UnixPath, options: Options) Error!Socket {
    const endpoint: Endpoint = .{ .unix = path.* };
    if (path.isAbstract()) {
        const fd = socket.listen(&endpoint, .{ .backlog = options.backlog }) catch |err|
            return if (err == error.AddressInUse) error.SocketInUse else err;
        return .{ .fd = fd, .file = null };
    }
    const absolute = try fromRoot(gpa, path.bytes());
    errdefer gpa.free(absolute);
    // Of two servers that start together and find an old file, one would remove the other's.
    const folder = lockFolder(absolute);
    defer if (folder) |fd| system.close(fd);
    const fd = try socket.open(posix.AF.UNIX);
    errdefer system.close(fd);
    // As far as it narrows the rights, the mode holds from the first instant.
    if (options.mode) |mode| system.changeModeOf(fd, mode) catch {};
    var replaces = false;
    socket.bind(fd, &endpoint) catch |err| {
        if (err != error.AddressInUse) return err;
        replaces = try mayReplace(&endpoint, absolute, options.take_over);
        if (!replaces) try socket.bind(fd, &endpoint);
    };
    if (replaces) try bindOver(fd, path, absolute, options) else {
        errdefer system.unlink(absolute) catch {}; // who cannot listen leaves nothing behind
        if (options.mode) |mode| try system.changeMode(absolute, mode);
        try system.listen(fd, options.backlog);
    }
    const stat = try system.lstat(absolute);
    return .{ .fd = fd, .file = .{ .path = absolute, .device = stat.device, .inode = stat.inode } };
}

fn fromRoot(gpa: Allocator, path: []const u8) Error![]const u8 {
    if (std.fs.path.isAbsolute(path)) return gpa.dupe(u8, path);
    var buffer: [posix.PATH_MAX]u8 = undefined;
    return std.fs.path.join(gpa, &.{ try system.workingDirectory(&buffer), path });
}

/// Null where that cannot be, and when another program keeps it locked: the check is as good then
/// as without.
fn lockFolder(path: []const u8) ?posix.fd_t {
    const folder = std.fs.path.dirname(path) orelse return null;
    const flags: posix.O = .{ .DIRECTORY = true, .CLOEXEC = true };
    const fd = system.open(folder, flags, 0) catch return null;
    for (0..100) |_| {
        system.tryLock(fd) catch |err| {
            if (err != error.WouldBlock) break;
            system.sleepMs(2);
            continue;
        };
        return fd;
    }
    system.close(fd);
    return null;
}

/// There is a file where a socket is to be. True when it is that of a server that serves, whose
/// place is to be taken; false when the place is free now.
fn mayReplace(endpoint: *const Endpoint, absolute: []const u8, take_over: bool) Error!bool {
    const stat = system.lstat(absolute) catch |err|
        return if (err == error.FileNotFound) false else err;
    if (stat.kind != .socket) return error.NotASocketFile;
    if (!try isServed(endpoint)) {
        system.unlink(absolute) catch |err| if (err != error.FileNotFound) return err;
        return false;
    }
    return if (take_over) true else error.SocketInUse;
}

/// Whether somebody listens: connecting tells.
fn isServed(endpoint: *const Endpoint) Error!bool {
    const fd = try socket.open(posix.AF.UNIX);
    defer system.close(fd);
    var address: Endpoint.System = undefined;
    const len = endpoint.toSystem(&address);
    system.connect(fd, &address.any, len) catch |err| return switch (err) {
        error.ConnectionRefused, error.FileNotFound => false,
        error.WouldBlock, error.ConnectionPending => true, // its backlog is full
        error.AccessDenied, error.PermissionDenied => error.SocketNotOurs,
        else => error.SocketInUse, // of another kind than streams: no server of ours
    };
    return true;
}

/// Listens under another name and puts that in the place of the old socket, so that there is no
/// instant without one.
fn bindOver(
    fd: posix.socket_t,
    path: *const UnixPath,
    absolute: []const u8,
    options: Options,
) Error!void {
    var name: [UnixPath.path_bytes_max + 16]u8 = undefined;
    const beside = std.fmt.bufPrint(&name, "{s}.{d}", .{ path.bytes(), system.processId() }) catch
        return error.NameTooLong;
    const endpoint: Endpoint = .{ .unix = UnixPath.of(beside) orelse return error.NameTooLong };
    // One with this number that ended in between has left it.
    system.unlink(beside) catch |err| if (err != error.FileNotFound) return err;
    try socket.bind(fd, &endpoint);
    errdefer system.unlink(beside) catch {};
    if (options.mode) |mode| try system.changeMode(beside, mode);
    try system.listen(fd, options.backlog);
    try system.rename(beside, absolute);
}

const testing = std.testing;

/// A folder of its own for each test, as the working directory of nobody.
const Folder = struct {
    dir: std.testing.TmpDir,
    buffer: [posix.PATH_MAX]u8 = undefined,

    fn make() Folder {
        return .{ .dir = std.testing.tmpDir(.{}) };
    }

    /// The path of a socket in it, as short as can be.
    fn path(self: *Folder, name: []const u8) !UnixPath {
        const root = try self.dir.dir.realpath(".", &self.buffer);
        var whole: [posix.PATH_MAX]u8 = undefined;
        const joined = try std.fmt.bufPrint(&whole, "{s}/{s}", .{ root, name });
        return UnixPath.of(joined) orelse error.SkipZigTest; // the checkout lies too deep
    }

    fn listenAt(path_in: UnixPath, options: Options) !Socket {
        return listen(testing.allocator, &path_in, options);
    }

    fn end(made: *Socket) void {
        system.close(made.fd);
        if (made.file) |*file| file.deinit(testing.allocator);
    }
};

fn expectServed(path: UnixPath, served: bool) !void {
    try testing.expectEqual(served, try isServed(&.{ .unix = path }));
}

test "a socket that is left behind is replaced, one that is served is not" {
    var folder = Folder.make();
    defer folder.dir.cleanup();
    const path = try folder.path("a");
    var first = try Folder.listenAt(path, .{ .backlog = 8 });
    try expectServed(path, true);
    try testing.expectError(error.SocketInUse, Folder.listenAt(path, .{ .backlog = 8 }));
    try expectServed(path, true);
    Folder.end(&first); // as a process that is killed
    try expectServed(path, false);
    var second = try Folder.listenAt(path, .{ .backlog = 8 });
    defer Folder.end(&second);
    try expectServed(path, true);
}

test "a file that is no socket stays" {
    var folder = Folder.make();
    defer folder.dir.cleanup();
    const path = try folder.path("file");
    try folder.dir.dir.writeFile(.{ .sub_path = "file", .data = "mine" });
    const options: Options = .{ .backlog = 8, .take_over = true };
    try testing.expectError(error.NotASocketFile, Folder.listenAt(path, options));
    try folder.dir.dir.symLink("file", "link", .{});
    const link = try folder.path("link");
    try testing.expectError(error.NotASocketFile, Folder.listenAt(link, options));
    try testing.expectEqual(4, (try folder.dir.dir.statFile("file")).size);
}

test "the place of a server that serves is taken at once, and its file is not removed by it" {
    var folder = Folder.make();
    defer folder.dir.cleanup();
    const path = try folder.path("a");
    var old = try Folder.listenAt(path, .{ .backlog = 8 });
    var new = try Folder.listenAt(path, .{ .backlog = 8, .take_over = true, .mode = 0o600 });
    defer Folder.end(&new);
    // Taking the place has tried the old one, once.
    system.close(@intCast(try system.check(linux.accept4(old.fd, null, null, 0))));
    try expectServed(path, true);
    const none = system.check(linux.accept4(old.fd, null, null, 0));
    try testing.expectError(error.WouldBlock, none);
    old.file.?.remove();
    Folder.end(&old);
    try expectServed(path, true);
    var iterator = (try folder.dir.dir.openDir(".", .{ .iterate = true })).iterate();
    defer iterator.dir.close();
    var count: usize = 0;
    while (try iterator.next()) |_| count += 1;
    try testing.expectEqual(1, count);
    new.file.?.remove();
    try expectServed(path, false);
}

test "the mode is that of the file, whatever the umask, and a failure leaves none behind" {
    var folder = Folder.make();
    defer folder.dir.cleanup();
    for ([_]u16{ 0o600, 0o660, 0o666, 0o777 }) |mode| {
        const path = try folder.path("m");
        var made = try Folder.listenAt(path, .{ .backlog = 8, .mode = mode });
        const made_mode = (try folder.dir.dir.statFile("m")).mode;
        try testing.expectEqual(mode, made_mode & 0o777);
        made.file.?.remove();
        Folder.end(&made);
    }
    const nowhere = try folder.path("none/a");
    try testing.expectError(error.FileNotFound, Folder.listenAt(nowhere, .{ .backlog = 8 }));
}

test "an abstract name has no file, and is in use as long as somebody listens" {
    var name: [32]u8 = undefined;
    const abstract = try std.fmt.bufPrint(&name, "\x00gyrfalcon-{d}", .{linux.getpid()});
    const path = UnixPath.of(abstract).?;
    var first = try Folder.listenAt(path, .{ .backlog = 8 });
    try testing.expectEqual(null, first.file);
    try testing.expectError(error.SocketInUse, Folder.listenAt(path, .{ .backlog = 8 }));
    Folder.end(&first);
    var second = try Folder.listenAt(path, .{ .backlog = 8 });
    Folder.end(&second);
}
