//! The system's calls, with an error for whatever they answer. std's wrappers hold some answers for
//! impossible (`unreachable`), which the outside can bring all the same: EINVAL from a read of a
//! file that is none, EPERM from a seccomp filter, ENOSPC from a limit. There the process would
//! end. Here every errno is an error, and the caller's switch has an `else` for the rest.
//!
//! The calls are raw: node-zigar puts hooks into those of libc. A call that a signal interrupts is
//! made again. A path that is longer than the system takes is `NameTooLong`, one with a NUL in it
//! `InvalidArgument`. tests/docs/system.test.ts holds the rest of zig/ to this file.

const std = @import("std");
const assert = std.debug.assert;
const linux = std.os.linux;
const posix = std.posix;

pub const Errno = linux.E;

/// What a call can answer, by the names of std where it has one.
pub const Error = error{
    AccessDenied,
    AddressFamilyNotSupported,
    AddressInUse,
    AddressNotAvailable,
    AlreadyConnected,
    BadDescriptor,
    BrokenPipe,
    ConnectionAborted,
    ConnectionPending,
    ConnectionRefused,
    ConnectionResetByPeer,
    ConnectionTimedOut,
    CrossDevice,
    FileBusy,
    FileNotFound,
    FileTooBig,
    HostUnreachable,
    InputOutput,
    Interrupted,
    InvalidArgument,
    IsDir,
    NameTooLong,
    NetworkUnreachable,
    NoDevice,
    NoSpaceLeft,
    NoSuchProcess,
    NotASocket,
    NotDir,
    NotSupported,
    PathAlreadyExists,
    PermissionDenied,
    ProcessFdQuotaExceeded,
    ReadOnlyFileSystem,
    SocketNotConnected,
    StaleHandle,
    SymLinkLoop,
    SystemFdQuotaExceeded,
    SystemResources,
    WouldBlock,
    /// Any other.
    Unexpected,
};

/// The error that stands for `errno`, which is not SUCCESS.
pub fn errorOf(errno: Errno) Error {
    return switch (errno) {
        .SUCCESS => unreachable, // the caller has looked
        .ACCES => error.AccessDenied,
        .AFNOSUPPORT => error.AddressFamilyNotSupported,
        .ADDRINUSE => error.AddressInUse,
        .ADDRNOTAVAIL => error.AddressNotAvailable,
        .ISCONN => error.AlreadyConnected,
        .BADF => error.BadDescriptor,
        .PIPE => error.BrokenPipe,
        .CONNABORTED => error.ConnectionAborted,
        .INPROGRESS, .ALREADY => error.ConnectionPending,
        .CONNREFUSED => error.ConnectionRefused,
        .CONNRESET => error.ConnectionResetByPeer,
        .TIMEDOUT => error.ConnectionTimedOut,
        .XDEV => error.CrossDevice,
        .BUSY, .TXTBSY => error.FileBusy,
        .NOENT => error.FileNotFound,
        .FBIG, .OVERFLOW => error.FileTooBig,
        .HOSTUNREACH, .HOSTDOWN => error.HostUnreachable,
        .IO => error.InputOutput,
        .INTR => error.Interrupted,
        .INVAL => error.InvalidArgument,
        .ISDIR => error.IsDir,
        .NAMETOOLONG => error.NameTooLong,
        .NETUNREACH, .NETDOWN => error.NetworkUnreachable,
        .NXIO, .NODEV => error.NoDevice,
        .NOSPC, .DQUOT => error.NoSpaceLeft,
        .SRCH => error.NoSuchProcess,
        .NOTSOCK => error.NotASocket,
        .NOTDIR => error.NotDir,
        .NOSYS, .OPNOTSUPP, .NOPROTOOPT, .PROTONOSUPPORT => error.NotSupported,
        .EXIST => error.PathAlreadyExists,
        .PERM => error.PermissionDenied,
        .MFILE => error.ProcessFdQuotaExceeded,
        .ROFS => error.ReadOnlyFileSystem,
        .NOTCONN => error.SocketNotConnected,
        .STALE => error.StaleHandle,
        .LOOP => error.SymLinkLoop,
        .NFILE => error.SystemFdQuotaExceeded,
        .NOMEM, .NOBUFS => error.SystemResources,
        .AGAIN => error.WouldBlock,
        else => error.Unexpected,
    };
}

/// What a raw call of std.os.linux returned, or its error. `Interrupted` is one of them.
pub fn check(rc: usize) Error!usize {
    return switch (Errno.init(rc)) {
        .SUCCESS => rc,
        else => |errno| errorOf(errno),
    };
}

pub fn openAt(dir: posix.fd_t, path: []const u8, flags: posix.O, mode: u32) Error!posix.fd_t {
    var buffer: [posix.PATH_MAX]u8 = undefined;
    const name = try terminated(&buffer, path);
    while (true) {
        const rc = check(linux.openat(dir, name, flags, mode)) catch |err|
            if (err == error.Interrupted) continue else return err;
        return @intCast(rc);
    }
}

/// `path` relative to the working directory.
pub fn open(path: []const u8, flags: posix.O, mode: u32) Error!posix.fd_t {
    return openAt(posix.AT.FDCWD, path, flags, mode);
}

/// openat2(2): `resolve` are its RESOLVE_* flags. `WouldBlock` when a rename elsewhere made the
/// look-up inconclusive.
pub fn openResolving(
    dir: posix.fd_t,
    path: []const u8,
    flags: posix.O,
    resolve: u64,
) Error!posix.fd_t {
    const How = extern struct { flags: u64, mode: u64, resolve: u64 };
    const how: How = .{ .flags = @as(u32, @bitCast(flags)), .mode = 0, .resolve = resolve };
    var buffer: [posix.PATH_MAX]u8 = undefined;
    const name = @intFromPtr(try terminated(&buffer, path));
    const dir_argument: usize = @bitCast(@as(isize, dir));
    while (true) {
        const rc = linux.syscall4(.openat2, dir_argument, name, @intFromPtr(&how), @sizeOf(How));
        const fd = check(rc) catch |err| if (err == error.Interrupted) continue else return err;
        return @intCast(fd);
    }
}

/// What the link at `path` says, as far as it fits `buffer`.
pub fn readLinkAt(dir: posix.fd_t, path: []const u8, buffer: []u8) Error![]u8 {
    var name_buffer: [posix.PATH_MAX]u8 = undefined;
    const name = try terminated(&name_buffer, path);
    return buffer[0..try check(linux.readlinkat(dir, name, buffer.ptr, buffer.len))];
}

/// The absolute path of what `fd` has open, as the system knows it now.
pub fn pathOf(fd: posix.fd_t, buffer: []u8) Error![]u8 {
    var name: [32]u8 = undefined;
    const link = std.fmt.bufPrint(&name, "/proc/self/fd/{d}", .{fd}) catch unreachable; // it fits
    return readLinkAt(posix.AT.FDCWD, link, buffer);
}

pub fn unlink(path: []const u8) Error!void {
    var buffer: [posix.PATH_MAX]u8 = undefined;
    _ = try check(linux.unlink(try terminated(&buffer, path)));
}

/// `to` is replaced when it is there, at one instant.
pub fn rename(from: []const u8, to: []const u8) Error!void {
    var buffers: [2][posix.PATH_MAX]u8 = undefined;
    const old = try terminated(&buffers[0], from);
    _ = try check(linux.rename(old, try terminated(&buffers[1], to)));
}

/// Symbolic links are followed.
pub fn changeMode(path: []const u8, mode: u32) Error!void {
    var buffer: [posix.PATH_MAX]u8 = undefined;
    _ = try check(linux.chmod(try terminated(&buffer, path), mode));
}

pub fn changeModeOf(fd: posix.fd_t, mode: u32) Error!void {
    _ = try check(linux.fchmod(fd, mode));
}

/// Of `path` itself: a symbolic link is not followed.
pub fn lstat(path: []const u8) Error!linux.Stat {
    var buffer: [posix.PATH_MAX]u8 = undefined;
    var out: linux.Stat = undefined;
    const name = try terminated(&buffer, path);
    _ = try check(linux.fstatat(linux.AT.FDCWD, name, &out, linux.AT.SYMLINK_NOFOLLOW));
    return out;
}

pub fn workingDirectory(buffer: []u8) Error![]u8 {
    const len = try check(linux.getcwd(buffer.ptr, buffer.len));
    return buffer[0 .. len - 1]; // without its NUL
}

/// The lock of a file, for this descriptor alone. It ends with the descriptor. `WouldBlock` when
/// another has it.
pub fn tryLock(fd: posix.fd_t) Error!void {
    const exclusive = 2; // LOCK_EX and LOCK_NB, which std does not name
    const at_once = 4;
    _ = try check(linux.flock(fd, exclusive | at_once));
}

/// Closes a descriptor that its owner holds: one that is not open is a mistake of the program. What
/// else the system says changes nothing, the descriptor is gone (close(2)).
pub fn close(fd: posix.fd_t) void {
    assert(Errno.init(linux.close(fd)) != .BADF);
}

pub fn fstat(fd: posix.fd_t) Error!linux.Stat {
    var answer: linux.Stat = undefined;
    _ = try check(linux.fstat(fd, &answer));
    return answer;
}

/// Of what `path` leads to, links followed.
pub fn stat(path: []const u8) Error!linux.Stat {
    var buffer: [posix.PATH_MAX]u8 = undefined;
    var answer: linux.Stat = undefined;
    const name = try terminated(&buffer, path);
    _ = try check(linux.fstatat(posix.AT.FDCWD, name, &answer, 0));
    return answer;
}

pub fn read(fd: posix.fd_t, buffer: []u8) Error!usize {
    while (true) {
        return check(linux.read(fd, buffer.ptr, buffer.len)) catch |err|
            if (err == error.Interrupted) continue else return err;
    }
}

/// `offset` may be any: beyond what the system can take is `InvalidArgument`.
pub fn readAt(fd: posix.fd_t, buffer: []u8, offset: u64) Error!usize {
    const at = std.math.cast(i64, offset) orelse return error.InvalidArgument;
    while (true) {
        return check(linux.pread(fd, buffer.ptr, buffer.len, at)) catch |err|
            if (err == error.Interrupted) continue else return err;
    }
}

pub fn write(fd: posix.fd_t, bytes: []const u8) Error!usize {
    while (true) {
        return check(linux.write(fd, bytes.ptr, bytes.len)) catch |err|
            if (err == error.Interrupted) continue else return err;
    }
}

/// The file at `path`, as far as it fits `buffer`. The size that the system tells is not looked at:
/// files that it makes up as they are read (/proc, /sys) have none.
pub fn readFile(path: []const u8, buffer: []u8) Error![]u8 {
    const fd = try open(path, .{ .ACCMODE = .RDONLY, .CLOEXEC = true }, 0);
    defer close(fd);
    var filled: usize = 0;
    while (filled < buffer.len) {
        const n = try read(fd, buffer[filled..]);
        if (n == 0) break;
        filled += n;
    }
    return buffer[0..filled];
}

/// The ends of a pipe, for reading and for writing.
pub fn pipe(flags: posix.O) Error![2]posix.fd_t {
    var ends: [2]i32 = undefined;
    _ = try check(linux.pipe2(&ends, flags));
    return ends;
}

pub fn eventDescriptor(flags: u32) Error!posix.fd_t {
    return @intCast(try check(linux.eventfd(0, flags)));
}

/// A second descriptor of the same file, `lowest` or above, that a program started from here does
/// not inherit.
pub fn duplicate(fd: posix.fd_t, lowest: u31) Error!posix.fd_t {
    const dupfd_cloexec = 1030; // F_DUPFD_CLOEXEC, which std does not name
    return @intCast(try check(linux.fcntl(fd, dupfd_cloexec, lowest)));
}

/// Programs that are started from here do not inherit `fd`.
pub fn setCloseOnExec(fd: posix.fd_t) Error!void {
    _ = try check(linux.fcntl(fd, linux.F.SETFD, linux.FD_CLOEXEC));
}

/// Calls on the open file do not wait from now on, also those of other processes that have it.
pub fn setNonBlocking(fd: posix.fd_t) Error!void {
    const flags = try check(linux.fcntl(fd, linux.F.GETFL, 0));
    const nonblocking = @as(u32, @bitCast(linux.O{ .NONBLOCK = true }));
    _ = try check(linux.fcntl(fd, linux.F.SETFL, flags | nonblocking));
}

/// Whether one of `events` has come for `fd`, or its end, without waiting.
pub fn isReady(fd: posix.fd_t, events: i16) Error!bool {
    var fds = [_]posix.pollfd{.{ .fd = fd, .events = events, .revents = 0 }};
    while (true) {
        const ready = check(linux.poll(&fds, 1, 0)) catch |err|
            if (err == error.Interrupted) continue else return err;
        return ready == 1 and fds[0].revents & events != 0;
    }
}

pub fn epollCreate() Error!posix.fd_t {
    return @intCast(try check(linux.epoll_create1(linux.EPOLL.CLOEXEC)));
}

/// `operation`: one of linux.EPOLL.CTL_*.
pub fn epollControl(
    epoll_fd: posix.fd_t,
    operation: u32,
    fd: posix.fd_t,
    event: ?*linux.epoll_event,
) Error!void {
    _ = try check(linux.epoll_ctl(epoll_fd, operation, fd, event));
}

pub fn socket(family: u32, kind: u32, protocol: u32) Error!posix.socket_t {
    return @intCast(try check(linux.socket(family, kind, protocol)));
}

pub fn bind(fd: posix.socket_t, address: *const posix.sockaddr, len: posix.socklen_t) Error!void {
    _ = try check(linux.bind(fd, address, len));
}

pub fn listen(fd: posix.socket_t, backlog: u31) Error!void {
    _ = try check(linux.listen(fd, backlog));
}

pub fn connect(
    fd: posix.socket_t,
    address: *const posix.sockaddr,
    len: posix.socklen_t,
) Error!void {
    _ = try check(linux.connect(fd, address, len));
}

/// Fills `storage` with the address that `fd` is bound to; returns how many bytes it has.
pub fn socketName(fd: posix.socket_t, storage: *posix.sockaddr.storage) Error!posix.socklen_t {
    var len: posix.socklen_t = @sizeOf(posix.sockaddr.storage);
    _ = try check(linux.getsockname(fd, @ptrCast(storage), &len));
    return len;
}

pub fn setSocketOption(
    comptime T: type,
    fd: posix.socket_t,
    level: i32,
    option: u32,
    value: T,
) Error!void {
    const bytes = std.mem.asBytes(&value);
    _ = try check(linux.setsockopt(fd, level, option, bytes, bytes.len));
}

pub fn socketOption(
    comptime T: type,
    fd: posix.socket_t,
    level: i32,
    option: u32,
) Error!T {
    var value: T = undefined;
    var len: posix.socklen_t = @sizeOf(T);
    _ = try check(linux.getsockopt(fd, level, option, std.mem.asBytes(&value), &len));
    return if (len == @sizeOf(T)) value else error.Unexpected;
}

/// Bytes of a network interface's name, with its NUL.
pub const interface_name_bytes = 16;

/// The name of a network interface, in `buffer`.
pub fn interfaceName(index: u32, buffer: *[interface_name_bytes]u8) Error![]const u8 {
    const get_name = 0x8910; // SIOCGIFNAME (netdevice(7)), which std does not name
    const Request = extern struct { name: [16]u8, index: i32, rest: [20]u8 = undefined };
    const fd = try socket(linux.AF.UNIX, linux.SOCK.DGRAM | linux.SOCK.CLOEXEC, 0);
    defer close(fd);
    const number = std.math.cast(i32, index) orelse return error.NoDevice;
    var request: Request = .{ .name = undefined, .index = number };
    _ = try check(linux.ioctl(fd, get_name, @intFromPtr(&request)));
    buffer.* = request.name;
    return std.mem.sliceTo(buffer, 0);
}

pub fn shutdown(fd: posix.socket_t, how: enum(i32) { receive = 0, send = 1, both = 2 }) Error!void {
    _ = try check(linux.shutdown(fd, @intFromEnum(how)));
}

pub fn resourceLimit(resource: linux.rlimit_resource) Error!linux.rlimit {
    var limit: linux.rlimit = undefined;
    _ = try check(linux.getrlimit(resource, &limit));
    return limit;
}

pub fn setResourceLimit(resource: linux.rlimit_resource, limit: linux.rlimit) Error!void {
    _ = try check(linux.setrlimit(resource, &limit));
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

pub fn unmapMemory(memory: []align(std.heap.page_size_min) u8) Error!void {
    _ = try check(linux.munmap(memory.ptr, memory.len));
}

/// The pages are zero when they are next touched, and take no memory until then.
pub fn discardMemory(memory: []align(std.heap.page_size_min) u8) Error!void {
    _ = try check(linux.madvise(memory.ptr, memory.len, linux.MADV.DONTNEED));
}

/// Returns early where the system does not let it sleep.
pub fn sleepMs(ms: u32) void {
    var rest: linux.timespec = .{
        .sec = @intCast(ms / std.time.ms_per_s),
        .nsec = @intCast(ms % std.time.ms_per_s * std.time.ns_per_ms),
    };
    while (Errno.init(linux.nanosleep(&rest, &rest)) == .INTR) {}
}

/// What `signal` does from here on, for the whole process.
pub fn setSignalAction(signal: u6, action: posix.Sigaction) Error!void {
    _ = try check(linux.sigaction(signal, &action, null));
}

pub const SpawnError = error{ OutOfMemory, ThreadQuotaExceeded };

/// `std.Thread.spawn` with libc, for a function that returns nothing. A thread that a filter or a
/// limit refuses is an error, whatever errno that gives.
pub fn spawn(comptime function: anytype, arguments: anytype) SpawnError!std.Thread {
    const Arguments = @TypeOf(arguments);
    const heap = std.heap.c_allocator;
    const Entry = struct {
        fn run(raw: ?*anyopaque) callconv(.c) ?*anyopaque {
            const held: *Arguments = @alignCast(@ptrCast(raw));
            const copy = held.*;
            heap.destroy(held);
            @call(.auto, function, copy);
            return null;
        }
    };
    const held = try heap.create(Arguments);
    errdefer heap.destroy(held);
    held.* = arguments;
    var attributes: std.c.pthread_attr_t = undefined;
    if (std.c.pthread_attr_init(&attributes) != .SUCCESS) return error.OutOfMemory;
    defer _ = std.c.pthread_attr_destroy(&attributes);
    // As std does; where it is refused, libc's own default is as good.
    _ = std.c.pthread_attr_setstacksize(&attributes, std.Thread.SpawnConfig.default_stack_size);
    var handle: std.c.pthread_t = undefined;
    return switch (std.c.pthread_create(&handle, &attributes, Entry.run, held)) {
        .SUCCESS => .{ .impl = .{ .handle = handle } },
        .NOMEM => error.OutOfMemory,
        else => error.ThreadQuotaExceeded,
    };
}

const PathError = error{ NameTooLong, InvalidArgument };

fn terminated(buffer: *[posix.PATH_MAX]u8, path: []const u8) PathError![*:0]const u8 {
    if (std.mem.indexOfScalar(u8, path, 0) != null) return error.InvalidArgument;
    if (path.len >= buffer.len) return error.NameTooLong;
    @memcpy(buffer[0..path.len], path);
    buffer[path.len] = 0;
    return buffer[0..path.len :0];
}

const testing = std.testing;

test "every errno is an error, and those that callers tell apart are not Unexpected" {
    for (1..4096) |number| {
        const answered = check(@bitCast(-@as(isize, @intCast(number))));
        try testing.expect(if (answered) |_| false else |_| true);
    }
    try testing.expectEqual(error.Unexpected, errorOf(@enumFromInt(4095)));
    try testing.expectEqual(error.InvalidArgument, errorOf(.INVAL));
    try testing.expectEqual(error.PermissionDenied, errorOf(.PERM));
    try testing.expectEqual(7, try check(7));
}

test "what std holds impossible is an error: a descriptor that is not open, one of the wrong kind" {
    var byte: [1]u8 = undefined;
    try testing.expectError(error.BadDescriptor, read(-1, &byte));
    try testing.expectError(error.BadDescriptor, listen(-1, 1));
    const ends = try pipe(.{ .CLOEXEC = true, .NONBLOCK = true });
    defer close(ends[0]);
    try testing.expectError(error.NotASocket, listen(ends[0], 1));
    try testing.expectError(error.WouldBlock, read(ends[0], &byte));
    close(ends[1]);
    try testing.expectEqual(0, try read(ends[0], &byte));
    const event = try eventDescriptor(linux.EFD.CLOEXEC);
    defer close(event);
    // An eventfd takes eight bytes or none.
    try testing.expectError(error.InvalidArgument, write(event, "1"));
    try testing.expectError(error.InvalidArgument, readAt(event, &byte, std.math.maxInt(u64)));
}

test "a file that the system makes up is read whole; a path may be too long" {
    var buffer: [4096]u8 = undefined;
    const status = try readFile("/proc/self/status", &buffer);
    try testing.expect(std.mem.startsWith(u8, status, "Name:"));
    try testing.expectEqual(10, (try readFile("/proc/self/status", buffer[0..10])).len);
    try testing.expectError(error.FileNotFound, readFile("/proc/self/nothing", &buffer));
    try testing.expectError(error.IsDir, readFile("/proc", &buffer));
    const long = "a" ** posix.PATH_MAX;
    try testing.expectError(error.NameTooLong, open(long, .{}, 0));
    try testing.expectError(error.InvalidArgument, open("/proc\x00/self", .{}, 0));
}

test "memory is mapped as zeroes, is zero again when discarded, and unmapped" {
    const bytes = 3 * std.heap.page_size_min;
    const memory = (try mapMemory(bytes))[0..bytes];
    try testing.expectEqual(0, memory[bytes - 1]);
    memory[bytes - 1] = 1;
    try discardMemory(memory);
    try testing.expectEqual(0, memory[bytes - 1]);
    try unmapMemory(memory);
}

test "a thread runs with what it was given" {
    var sum: u32 = 0;
    const Adder = struct {
        fn run(into: *u32, a: u32, b: u32) void {
            into.* = a + b;
        }
    };
    const thread = try spawn(Adder.run, .{ &sum, 2, 3 });
    thread.join();
    try testing.expectEqual(5, sum);
}
