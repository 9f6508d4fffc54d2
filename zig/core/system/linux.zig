//! What Linux alone has, and the calls that it makes in a way of its own. They are raw: node-zigar
//! puts hooks into those of libc.

const std = @import("std");
const linux = std.os.linux;
const posix = std.posix;
const common = @import("posix.zig");
const types = @import("types.zig");
const Error = types.Error;
const File = types.File;

/// Where posix.zig finds its calls.
pub const calls = linux;

pub const write = linux.write;

/// What a raw call of std.os.linux returned, or its error. `Interrupted` is one of them.
pub fn check(rc: usize) Error!usize {
    return switch (linux.E.init(rc)) {
        .SUCCESS => rc,
        else => |errno| common.errorOf(errno),
    };
}

/// Of an errno that not every system has.
pub fn errorOf(errno: linux.E) Error {
    return switch (errno) {
        .NONET => error.NetworkUnreachable,
        else => error.Unexpected,
    };
}

pub const has_socket_flags = true;
pub const no_signal = linux.MSG.NOSIGNAL;
/// What holds the last segment back for what follows at once.
pub const message_more = linux.MSG.MORE;

/// No more than setrlimit(2) says.
pub fn fileLimitMost() ?u64 {
    return null;
}

pub const dupfd_cloexec = 1030; // F_DUPFD_CLOEXEC, which std does not name

/// fcntl(2) with a number.
pub fn control(fd: File, command: i32, argument: u32) Error!usize {
    return check(linux.fcntl(fd, command, argument));
}

/// openat2(2): `resolve` are its RESOLVE_* flags. `WouldBlock` when a rename elsewhere made the
/// look-up inconclusive.
pub fn openResolving(dir: File, path: []const u8, flags: posix.O, resolve: u64) Error!File {
    const How = extern struct { flags: u64, mode: u64, resolve: u64 };
    const how: How = .{ .flags = @as(u32, @bitCast(flags)), .mode = 0, .resolve = resolve };
    var buffer: [posix.PATH_MAX]u8 = undefined;
    const name = @intFromPtr(try common.terminated(&buffer, path));
    const dir_argument: usize = @bitCast(@as(isize, dir));
    while (true) {
        const rc = linux.syscall4(.openat2, dir_argument, name, @intFromPtr(&how), @sizeOf(How));
        const fd = check(rc) catch |err| if (err == error.Interrupted) continue else return err;
        return @intCast(fd);
    }
}

/// As `publish` of posix.zig, by a file that has no name until it is whole: nothing is left of one
/// that is killed. Not every file system has such files.
pub fn publishNameless(path: []const u8, bytes: []const u8, rights: u16) Error!void {
    const flags: posix.O = .{
        .ACCMODE = .WRONLY,
        .TMPFILE = true,
        .DIRECTORY = true,
        .CLOEXEC = true,
    };
    const fd = try common.open(std.fs.path.dirname(path) orelse ".", flags, rights);
    defer common.close(fd);
    try common.writeWhole(fd, bytes);
    var buffer: [posix.PATH_MAX]u8 = undefined;
    const new = try common.terminated(&buffer, path);
    var name: [32]u8 = undefined;
    const old = std.fmt.bufPrintZ(&name, "/proc/self/fd/{d}", .{fd}) catch unreachable; // it fits
    const here = posix.AT.FDCWD;
    _ = try check(linux.linkat(here, old, here, new, posix.AT.SYMLINK_FOLLOW));
}

/// Renames a file, unless there is one of that name (`PathAlreadyExists`). Not every file system
/// can.
pub fn renameNew(from: []const u8, to: []const u8) Error!void {
    var buffers: [2][posix.PATH_MAX]u8 = undefined;
    const old = try common.terminated(&buffers[0], from);
    const new = try common.terminated(&buffers[1], to);
    const no_replace = 1; // RENAME_NOREPLACE
    _ = try check(linux.renameat2(posix.AT.FDCWD, old, posix.AT.FDCWD, new, no_replace));
}

/// By whose rights this process acts.
pub const effectiveUser = linux.geteuid;

/// The absolute path of what `fd` has open, as the system knows it now.
pub fn pathOf(fd: File, buffer: []u8) Error![]u8 {
    var name: [32]u8 = undefined;
    const link = std.fmt.bufPrint(&name, "/proc/self/fd/{d}", .{fd}) catch unreachable; // it fits
    return common.readLinkAt(posix.AT.FDCWD, link, buffer);
}

pub fn workingDirectory(buffer: []u8) Error![]u8 {
    const len = try check(linux.getcwd(buffer.ptr, buffer.len));
    // "(unreachable)/…" of one that another root hides.
    if (buffer[0] != '/') return error.FileNotFound;
    return buffer[0 .. len - 1]; // without its NUL
}

/// The name of the machine.
pub fn hostName(buffer: []u8) Error![]const u8 {
    var names: linux.utsname = undefined;
    _ = try check(linux.uname(&names));
    const name = std.mem.sliceTo(&names.nodename, 0);
    if (name.len > buffer.len) return error.NameTooLong;
    @memcpy(buffer[0..name.len], name);
    return buffer[0..name.len];
}

/// The ends of a pipe, for reading and for writing.
pub fn pipe(flags: posix.O) Error![2]File {
    var ends: [2]i32 = undefined;
    _ = try check(linux.pipe2(&ends, flags));
    return ends;
}

/// Sets an option whose length is known at run time.
pub fn setSocketBytes(fd: types.Socket, level: i32, option: u32, bytes: []const u8) Error!void {
    _ = try check(linux.setsockopt(fd, level, option, bytes.ptr, @intCast(bytes.len)));
}

/// Sends `bytes` with a control message of one byte, `value`, without waiting.
pub fn sendTyped(
    fd: types.Socket,
    level: i32,
    kind: i32,
    value: u8,
    bytes: []const u8,
) Error!usize {
    const Type = extern struct {
        len: usize = @offsetOf(@This(), "value") + 1,
        level: i32,
        kind: i32,
        value: u8,
    };
    const record_type: Type = .{ .level = level, .kind = kind, .value = value };
    const message: posix.msghdr_const = .{
        .name = null,
        .namelen = 0,
        .iov = &.{.{ .base = bytes.ptr, .len = bytes.len }},
        .iovlen = 1,
        .control = &record_type,
        .controllen = @sizeOf(Type),
        .flags = 0,
    };
    while (true) {
        const rc = linux.sendmsg(fd, &message, linux.MSG.NOSIGNAL | linux.MSG.DONTWAIT);
        return check(rc) catch |err| if (err == error.Interrupted) continue else return err;
    }
}

/// A range of a file, as much as the socket takes; 0 at the file's end.
pub fn sendFile(fd: types.Socket, file: File, offset: u64, len: u64) Error!usize {
    var at = std.math.cast(i64, offset) orelse return error.InvalidArgument;
    const count = std.math.cast(usize, len) orelse std.math.maxInt(usize);
    while (true) {
        return check(linux.sendfile(fd, file, &at, count)) catch |err|
            if (err == error.Interrupted) continue else return err;
    }
}

/// Received by the system and not by us (FIONREAD, ioctl_tty(2)), bytes; 0 where that is not known.
pub fn unreadBytes(fd: types.Socket) u64 {
    var bytes: c_int = 0;
    const rc = linux.ioctl(fd, linux.T.FIONREAD, @intFromPtr(&bytes));
    return if (linux.E.init(rc) == .SUCCESS) @intCast(@max(bytes, 0)) else 0;
}

/// Sent and not acknowledged by the peer, bytes; 0 where that is not known.
pub fn inFlight(fd: types.Socket) u64 {
    var bytes: c_int = 0;
    const rc = linux.ioctl(fd, linux.T.IOCOUTQ, @intFromPtr(&bytes)); // SIOCOUTQ (tcp(7))
    return if (check(rc)) |_| @intCast(@max(bytes, 0)) else |_| 0;
}

pub fn eventDescriptor(flags: u32) Error!File {
    return @intCast(try check(linux.eventfd(0, flags)));
}

pub fn epollCreate() Error!File {
    return @intCast(try check(linux.epoll_create1(linux.EPOLL.CLOEXEC)));
}

/// `operation`: one of linux.EPOLL.CTL_*.
pub fn epollControl(
    epoll_fd: File,
    operation: u32,
    fd: File,
    event: ?*linux.epoll_event,
) Error!void {
    _ = try check(linux.epoll_ctl(epoll_fd, operation, fd, event));
}

/// The name of a network interface, in `buffer`.
pub fn interfaceName(
    index: u32,
    buffer: *[common.interface_name_bytes]u8,
) Error![]const u8 {
    const get_name = 0x8910; // SIOCGIFNAME (netdevice(7)), which std does not name
    const Request = extern struct { name: [16]u8, index: i32, rest: [20]u8 = undefined };
    const fd = try common.socket(linux.AF.UNIX, linux.SOCK.DGRAM | linux.SOCK.CLOEXEC, 0);
    defer common.close(fd);
    const number = std.math.cast(i32, index) orelse return error.NoDevice;
    var request: Request = .{ .name = undefined, .index = number };
    _ = try check(linux.ioctl(fd, get_name, @intFromPtr(&request)));
    buffer.* = request.name;
    return std.mem.sliceTo(buffer, 0);
}

pub fn resourceLimit(resource: linux.rlimit_resource) Error!linux.rlimit {
    var limit: linux.rlimit = undefined;
    _ = try check(linux.getrlimit(resource, &limit));
    return limit;
}

/// Fills `buffer` with bytes that nobody can guess.
pub fn random(buffer: []u8) Error!void {
    var filled: usize = 0;
    while (filled < buffer.len) {
        const rest = buffer[filled..];
        filled += check(linux.getrandom(rest.ptr, rest.len, 0)) catch |err|
            if (err == error.Interrupted) continue else return err;
    }
}

/// Fills `words` with the CPUs that the calling thread may run on; the system has none beyond
/// them, or answers `InvalidArgument`.
pub fn affinity(words: []usize) Error!void {
    const bytes = std.mem.sliceAsBytes(words);
    // std's call has the length of its own set in its type.
    const set = @intFromPtr(bytes.ptr);
    const filled = try check(linux.syscall3(.sched_getaffinity, 0, bytes.len, set));
    @memset(bytes[filled..], 0);
}

/// The calling thread runs on these CPUs alone. None of them, or none that it may have, is
/// `InvalidArgument`.
pub fn setAffinity(words: []const usize) Error!void {
    const bytes = std.mem.sliceAsBytes(words);
    const set = @intFromPtr(bytes.ptr);
    _ = try check(linux.syscall3(.sched_setaffinity, 0, bytes.len, set));
}

/// Pages of zeroes, `bytes` of them rounded up to whole ones.
pub fn mapMemory(bytes: usize) Error![*]align(std.heap.page_size_min) u8 {
    const rights = linux.PROT.READ | linux.PROT.WRITE;
    const kind: linux.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true };
    return @ptrFromInt(try check(linux.mmap(null, bytes, rights, kind, -1, 0)));
}

/// The pages are zero when they are next touched, and take no memory until then.
pub fn discardMemory(memory: []align(std.heap.page_size_min) u8) Error!void {
    _ = try check(linux.madvise(memory.ptr, memory.len, linux.MADV.DONTNEED));
}

/// What a huge page holds on x86_64, and on aarch64 with pages of 4 KiB.
pub const huge_page_bytes = 2 << 20;

/// Has the memory in huge pages from its next touch on, where the kernel has them to give.
pub fn adviseHuge(memory: []align(std.heap.page_size_min) u8) Error!void {
    _ = try check(linux.madvise(memory.ptr, memory.len, linux.MADV.HUGEPAGE));
}

const testing = std.testing;

test "every errno is an error" {
    for (1..4096) |number| {
        const answered = check(@bitCast(-@as(isize, @intCast(number))));
        try testing.expect(if (answered) |_| false else |_| true);
    }
    try testing.expectEqual(7, try check(7));
}

test "what std holds impossible of an eventfd is an error" {
    var byte: [1]u8 = undefined;
    const event = try eventDescriptor(linux.EFD.CLOEXEC);
    defer common.close(event);
    // An eventfd takes eight bytes or none.
    try testing.expectError(error.InvalidArgument, common.write(event, "1"));
    const far = std.math.maxInt(u64);
    try testing.expectError(error.InvalidArgument, common.readAt(event, &byte, far));
}

test "what is no file is not read, and nobody waits for it" {
    const name = "read-file-test.fifo";
    _ = linux.unlink(name);
    try std.testing.expectEqual(0, linux.mknod(name, linux.S.IFIFO | 0o600, 0));
    defer _ = linux.unlink(name);
    var buffer: [16]u8 = undefined;
    const family = @import("posix.zig");
    try std.testing.expectError(error.NoFile, family.readFile(name, &buffer));
    try std.testing.expectError(error.NoFile, family.readFile("/dev/zero", &buffer));
    try std.testing.expectError(error.IsDir, family.readFile("/", &buffer));
}

test "a file that the system makes up is read whole" {
    var buffer: [4096]u8 = undefined;
    const status = try common.readFile("/proc/self/status", &buffer);
    try testing.expect(std.mem.startsWith(u8, status, "Name:"));
    try testing.expectEqual(10, (try common.readFile("/proc/self/status", buffer[0..10])).len);
    try testing.expectError(error.FileNotFound, common.readFile("/proc/self/nothing", &buffer));
}
