//! The calls that Linux and the systems that came from BSD have in common. Each system's file says
//! how they are made (`calls`) and what they answer (`check`).

const builtin = @import("builtin");
const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const types = @import("types.zig");
const Error = types.Error;
const File = types.File;
const Socket = types.Socket;
const Stat = types.Stat;

const own = if (builtin.os.tag == .linux) @import("linux.zig") else @import("bsd.zig");
const calls = own.calls;
const check = own.check;

pub const Errno = posix.E;

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
        .PROTO => error.ProtocolFailure,
        .ROFS => error.ReadOnlyFileSystem,
        .NOTCONN => error.SocketNotConnected,
        .STALE => error.StaleHandle,
        .LOOP => error.SymLinkLoop,
        .NFILE => error.SystemFdQuotaExceeded,
        .NOMEM, .NOBUFS => error.SystemResources,
        .AGAIN => error.WouldBlock,
        else => own.errorOf(errno),
    };
}

pub fn openAt(dir: File, path: []const u8, flags: posix.O, mode: u32) Error!File {
    var buffer: [posix.PATH_MAX]u8 = undefined;
    const name = try terminated(&buffer, path);
    while (true) {
        const rc = check(calls.openat(dir, name, flags, mode)) catch |err|
            if (err == error.Interrupted) continue else return err;
        return @intCast(rc);
    }
}

/// `path` relative to the working directory.
pub fn open(path: []const u8, flags: posix.O, mode: u32) Error!File {
    return openAt(posix.AT.FDCWD, path, flags, mode);
}

/// What the link at `path` says, as far as it fits `buffer`.
pub fn readLinkAt(dir: File, path: []const u8, buffer: []u8) Error![]u8 {
    var name_buffer: [posix.PATH_MAX]u8 = undefined;
    const name = try terminated(&name_buffer, path);
    return buffer[0..try check(calls.readlinkat(dir, name, buffer.ptr, buffer.len))];
}

pub fn unlink(path: []const u8) Error!void {
    var buffer: [posix.PATH_MAX]u8 = undefined;
    _ = try check(calls.unlink(try terminated(&buffer, path)));
}

/// `to` is replaced when it is there, at one instant.
pub fn rename(from: []const u8, to: []const u8) Error!void {
    var buffers: [2][posix.PATH_MAX]u8 = undefined;
    const old = try terminated(&buffers[0], from);
    _ = try check(calls.rename(old, try terminated(&buffers[1], to)));
}

/// Makes a file of `bytes`, unless there is one (`PathAlreadyExists`): of several that try, one
/// does. Its readers find all of it or none, also after a power cut; where neither names nor links
/// can be given only once, they may find a part, and read again. `rights` as of open(2).
pub fn publish(path: []const u8, bytes: []const u8, rights: u16) Error!void {
    own.publishNameless(path, bytes, rights) catch |err| switch (err) {
        error.PathAlreadyExists => return err,
        // What is wrong with the place is found there, too.
        else => return publishNamed(path, bytes, rights),
    };
}

/// By a name of its own until it is whole: one that is killed meanwhile leaves that.
fn publishNamed(path: []const u8, bytes: []const u8, rights: u16) Error!void {
    var number: [8]u8 = undefined;
    try own.random(&number);
    var buffer: [posix.PATH_MAX]u8 = undefined;
    const name = std.fmt.fmtSliceHexLower(&number);
    const partial = std.fmt.bufPrint(&buffer, "{s}.{}", .{ path, name }) catch
        return error.NameTooLong;
    try createFile(partial, bytes, rights);
    errdefer unlink(partial) catch {}; // what went wrong first is told
    own.renameNew(partial, path) catch |err| switch (err) {
        error.PathAlreadyExists => return err,
        // Not every file system can, nor give a file two names.
        else => linkNew(partial, path) catch |second| switch (second) {
            error.NotSupported, error.PermissionDenied => {
                try createFile(path, bytes, rights);
                try unlink(partial);
            },
            else => return second,
        },
    };
}

/// Gives a file the name `to`, unless there is one (`PathAlreadyExists`). The name `from` ends.
fn linkNew(from: []const u8, to: []const u8) Error!void {
    var buffers: [2][posix.PATH_MAX]u8 = undefined;
    const old = try terminated(&buffers[0], from);
    const new = try terminated(&buffers[1], to);
    _ = try check(calls.linkat(posix.AT.FDCWD, old, posix.AT.FDCWD, new, 0));
    try unlink(from);
}

/// Makes a file of `bytes`, which was not there, and has it written to the disk.
fn createFile(path: []const u8, bytes: []const u8, rights: u16) Error!void {
    const flags: posix.O = .{ .ACCMODE = .WRONLY, .CREAT = true, .EXCL = true, .CLOEXEC = true };
    const fd = try open(path, flags, rights);
    defer close(fd);
    errdefer unlink(path) catch {}; // what it would be told of is told already
    try writeWhole(fd, bytes);
}

/// Returns when the disk has it.
pub fn writeWhole(fd: File, bytes: []const u8) Error!void {
    var rest = bytes;
    while (rest.len > 0) rest = rest[try write(fd, rest)..];
    _ = try check(calls.fsync(fd));
}

pub fn makeDirectory(path: []const u8, rights: u16) Error!void {
    var buffer: [posix.PATH_MAX]u8 = undefined;
    _ = try check(calls.mkdirat(posix.AT.FDCWD, try terminated(&buffer, path), rights));
}

/// Symbolic links are followed.
pub fn changeMode(path: []const u8, mode: u16) Error!void {
    var buffer: [posix.PATH_MAX]u8 = undefined;
    _ = try check(calls.chmod(try terminated(&buffer, path), mode));
}

pub fn changeModeOf(fd: File, mode: u16) Error!void {
    _ = try check(calls.fchmod(fd, mode));
}

/// Of `path` itself: a symbolic link is not followed.
pub fn lstat(path: []const u8) Error!Stat {
    return statAt(path, posix.AT.SYMLINK_NOFOLLOW);
}

/// Of what `path` leads to, links followed.
pub fn stat(path: []const u8) Error!Stat {
    return statAt(path, 0);
}

fn statAt(path: []const u8, flags: u32) Error!Stat {
    var buffer: [posix.PATH_MAX]u8 = undefined;
    var answer: posix.Stat = undefined;
    const name = try terminated(&buffer, path);
    _ = try check(calls.fstatat(posix.AT.FDCWD, name, &answer, flags));
    return statOf(&answer);
}

pub fn fstat(fd: File) Error!Stat {
    var answer: posix.Stat = undefined;
    _ = try check(calls.fstat(fd, &answer));
    return statOf(&answer);
}

fn statOf(answer: *const posix.Stat) Stat {
    const Type = posix.S;
    return .{
        .kind = switch (answer.mode & Type.IFMT) {
            Type.IFREG => .file,
            Type.IFDIR => .directory,
            Type.IFSOCK => .socket,
            else => .other,
        },
        .size = @intCast(@max(answer.size, 0)),
        .device = @intCast(answer.dev),
        .inode = answer.ino,
        .modified_ns = nanoseconds(answer.mtime()),
        .changed_ns = nanoseconds(answer.ctime()),
    };
}

fn nanoseconds(time: posix.timespec) i128 {
    return @as(i128, time.sec) * std.time.ns_per_s + time.nsec;
}

/// The lock of a file, for this descriptor alone. It ends with the descriptor. `WouldBlock` when
/// another has it.
pub fn tryLock(fd: File) Error!void {
    const exclusive = 2; // LOCK_EX and LOCK_NB, which std does not name everywhere
    const at_once = 4;
    _ = try check(calls.flock(fd, exclusive | at_once));
}

/// Closes a descriptor that its owner holds: one that is not open is a mistake of the program. What
/// else the system says changes nothing, the descriptor is gone (close(2)).
pub fn close(fd: File) void {
    _ = check(calls.close(fd)) catch |err| assert(err != error.BadDescriptor);
}

/// As `close`, for a socket: elsewhere they are not the same.
pub const closeSocket = close;

pub fn read(fd: File, buffer: []u8) Error!usize {
    while (true) {
        return check(calls.read(fd, buffer.ptr, buffer.len)) catch |err|
            if (err == error.Interrupted) continue else return err;
    }
}

/// `offset` may be any: beyond what the system can take is `InvalidArgument`.
pub fn readAt(fd: File, buffer: []u8, offset: u64) Error!usize {
    const at = std.math.cast(i64, offset) orelse return error.InvalidArgument;
    while (true) {
        return check(calls.pread(fd, buffer.ptr, buffer.len, at)) catch |err|
            if (err == error.Interrupted) continue else return err;
    }
}

pub fn write(fd: File, bytes: []const u8) Error!usize {
    while (true) {
        return check(own.write(fd, bytes.ptr, bytes.len)) catch |err|
            if (err == error.Interrupted) continue else return err;
    }
}

/// The file at `path`, as far as it fits `buffer`. The size that the system tells is not looked at:
/// files that it makes up as they are read (/proc, /sys) have none. What is no file is an error: of
/// a pipe somebody might wait for ever, and a device might never end.
pub fn readFile(path: []const u8, buffer: []u8) Error![]u8 {
    const fd = try openFile(path);
    defer close(fd);
    return readWhole(fd, buffer);
}

/// As `readFile`, of a file of this user's that nobody else may read or write: any other is
/// `NotPrivate`.
pub fn readPrivateFile(path: []const u8, buffer: []u8) Error![]u8 {
    const fd = try openFile(path);
    defer close(fd);
    var answer: posix.Stat = undefined;
    _ = try check(calls.fstat(fd, &answer));
    const of_others = 0o077;
    if (answer.uid != own.effectiveUser() or answer.mode & of_others != 0)
        return error.NotPrivate;
    return readWhole(fd, buffer);
}

fn openFile(path: []const u8) Error!File {
    // Opening a FIFO would wait for who writes to it.
    const flags: posix.O = .{ .ACCMODE = .RDONLY, .NONBLOCK = true, .CLOEXEC = true };
    const fd = try open(path, flags, 0);
    errdefer close(fd);
    switch ((try fstat(fd)).kind) {
        .file => return fd,
        .directory => return error.IsDir,
        .socket, .other => return error.NoFile,
    }
}

fn readWhole(fd: File, buffer: []u8) Error![]u8 {
    var filled: usize = 0;
    while (filled < buffer.len) {
        const n = try read(fd, buffer[filled..]);
        if (n == 0) break;
        filled += n;
    }
    return buffer[0..filled];
}

/// A second descriptor of the same file, `lowest` or above, that a program started from here does
/// not inherit.
pub fn duplicate(fd: File, lowest: u31) Error!File {
    return @intCast(try own.control(fd, own.dupfd_cloexec, lowest));
}

/// Programs that are started from here do not inherit `fd`.
pub fn setCloseOnExec(fd: File) Error!void {
    _ = try own.control(fd, posix.F.SETFD, posix.FD_CLOEXEC);
}

/// Calls on the open file do not wait from now on, also those of other processes that have it.
pub fn setNonBlocking(fd: File) Error!void {
    const flags = try own.control(fd, posix.F.GETFL, 0);
    const nonblocking = @as(u32, @bitCast(posix.O{ .NONBLOCK = true }));
    _ = try own.control(fd, posix.F.SETFL, @as(u32, @intCast(flags)) | nonblocking);
}

/// Whether one of `events` has come for `fd`, or its end, without waiting.
pub fn isReady(fd: File, events: i16) Error!bool {
    return isReadyWithin(fd, events, 0);
}

/// The same, and waits so long for it; longer where signals come meanwhile.
pub fn isReadyWithin(fd: File, events: i16, timeout_ms: u31) Error!bool {
    var fds = [_]posix.pollfd{.{ .fd = fd, .events = events, .revents = 0 }};
    while (true) {
        const ready = check(calls.poll(&fds, 1, timeout_ms)) catch |err|
            if (err == error.Interrupted) continue else return err;
        return ready == 1 and fds[0].revents & events != 0;
    }
}

pub fn socket(family: u32, kind: u32, protocol: u32) Error!Socket {
    return @intCast(try check(calls.socket(family, kind, protocol)));
}

/// A socket for streams that does not block, and that programs started from here do not inherit.
pub fn streamSocket(family: u32) Error!Socket {
    if (own.has_socket_flags) {
        const flags = posix.SOCK.STREAM | posix.SOCK.NONBLOCK | posix.SOCK.CLOEXEC;
        return socket(family, flags, 0);
    }
    const fd = try socket(family, posix.SOCK.STREAM, 0);
    errdefer close(fd);
    try own.prepareSocket(fd);
    return fd;
}

/// A connection that waits at a listener, as `streamSocket` makes them; `len` is how much of
/// `storage` the peer's address takes. `Interrupted` is an answer as any.
pub fn accept(
    fd: Socket,
    storage: *posix.sockaddr.storage,
    len: *posix.socklen_t,
) Error!Socket {
    len.* = @sizeOf(posix.sockaddr.storage);
    if (own.has_socket_flags) {
        const flags = posix.SOCK.NONBLOCK | posix.SOCK.CLOEXEC;
        return @intCast(try check(calls.accept4(fd, @ptrCast(storage), len, flags)));
    }
    const accepted: Socket = @intCast(try check(calls.accept(fd, @ptrCast(storage), len)));
    own.prepareSocket(accepted) catch {
        // It can only be that the peer has left: nobody is served then.
        close(accepted);
        return error.ConnectionAborted;
    };
    return accepted;
}

const dont_wait: u32 = if (builtin.os.tag == .linux) 0x40 else 0x80; // MSG_DONTWAIT

/// What has come in, without waiting, as much as `buffer` holds; 0 at the end.
pub fn receive(fd: Socket, buffer: []u8) Error!usize {
    while (true) {
        const flags = dont_wait;
        return check(calls.recvfrom(fd, buffer.ptr, buffer.len, flags, null, null)) catch |err|
            if (err == error.Interrupted) continue else return err;
    }
}

/// Sends as much as the socket takes, without waiting. `more`: other bytes follow at once, which
/// the system may wait for.
pub fn send(fd: Socket, iovecs: []const posix.iovec_const, more: bool) Error!usize {
    const hold_back: u32 = if (more) own.message_more else 0;
    const flags: u32 = own.no_signal | dont_wait | hold_back;
    while (true) {
        const rc = if (iovecs.len == 1)
            calls.sendto(fd, iovecs[0].base, iovecs[0].len, flags, null, 0)
        else blk: {
            const message: posix.msghdr_const = .{
                .name = null,
                .namelen = 0,
                .iov = iovecs.ptr,
                .iovlen = @intCast(iovecs.len), // the count is small
                .control = null,
                .controllen = 0,
                .flags = 0,
            };
            break :blk calls.sendmsg(fd, &message, flags);
        };
        return check(rc) catch |err| if (err == error.Interrupted) continue else return err;
    }
}

pub fn processId() posix.pid_t {
    return calls.getpid();
}

pub fn bind(fd: Socket, address: *const posix.sockaddr, len: posix.socklen_t) Error!void {
    _ = try check(calls.bind(fd, address, len));
}

pub fn listen(fd: Socket, backlog: u31) Error!void {
    _ = try check(calls.listen(fd, backlog));
}

pub fn connect(fd: Socket, address: *const posix.sockaddr, len: posix.socklen_t) Error!void {
    _ = try check(calls.connect(fd, address, len));
}

/// Fills `storage` with the address that `fd` is bound to; returns how many bytes it has.
pub fn socketName(fd: Socket, storage: *posix.sockaddr.storage) Error!posix.socklen_t {
    var len: posix.socklen_t = @sizeOf(posix.sockaddr.storage);
    _ = try check(calls.getsockname(fd, @ptrCast(storage), &len));
    return len;
}

pub fn setSocketOption(
    comptime T: type,
    fd: Socket,
    level: i32,
    option: u32,
    value: T,
) Error!void {
    const bytes = std.mem.asBytes(&value);
    _ = try check(calls.setsockopt(fd, level, option, bytes, bytes.len));
}

pub fn socketOption(comptime T: type, fd: Socket, level: i32, option: u32) Error!T {
    var value: T = undefined;
    var len: posix.socklen_t = @sizeOf(T);
    _ = try check(calls.getsockopt(fd, level, option, std.mem.asBytes(&value), &len));
    return if (len == @sizeOf(T)) value else error.Unexpected;
}

/// Bytes of a network interface's name, with its NUL.
pub const interface_name_bytes = 16;

pub fn shutdown(fd: Socket, how: types.Direction) Error!void {
    _ = try check(calls.shutdown(fd, @intFromEnum(how)));
}

/// How many files this process may have open, and how far it may raise that by itself.
pub fn fileLimit() Error!types.FileLimit {
    var limit: posix.rlimit = undefined;
    _ = try check(calls.getrlimit(.NOFILE, &limit));
    const most: u64 = @bitCast(limit.max);
    return .{
        .now = @bitCast(limit.cur),
        .most = if (own.fileLimitMost()) |ceiling| @min(most, ceiling) else most,
    };
}

pub fn setFileLimit(to: u64) Error!void {
    var limit: posix.rlimit = undefined;
    _ = try check(calls.getrlimit(.NOFILE, &limit));
    limit.cur = @bitCast(to);
    _ = try check(calls.setrlimit(.NOFILE, &limit));
}

pub fn unmapMemory(memory: []align(std.heap.page_size_min) u8) Error!void {
    _ = try check(calls.munmap(memory.ptr, memory.len));
}

/// Returns early where the system does not let it sleep.
pub fn sleepMs(ms: u32) void {
    var rest: posix.timespec = .{
        .sec = @intCast(ms / std.time.ms_per_s),
        .nsec = @intCast(ms % std.time.ms_per_s * std.time.ns_per_ms),
    };
    while (true) {
        _ = check(calls.nanosleep(&rest, &rest)) catch |err|
            if (err == error.Interrupted) continue;
        return;
    }
}

/// What `signal` does from here on, for the whole process.
pub fn setSignalAction(signal: u6, action: posix.Sigaction) Error!void {
    _ = try check(calls.sigaction(signal, &action, null));
}

/// `std.Thread.spawn` with libc, for a function that returns nothing. A thread that a filter or a
/// limit refuses is an error, whatever errno that gives.
pub fn spawn(comptime function: anytype, arguments: anytype) types.SpawnError!std.Thread {
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

/// A variable of the environment, in `buffer`; null where there is none, or one that is longer.
pub fn variable(name: [*:0]const u8, buffer: []u8) ?[]const u8 {
    const value = std.mem.span(std.c.getenv(name) orelse return null);
    if (value.len > buffer.len) return null;
    @memcpy(buffer[0..value.len], value);
    return buffer[0..value.len];
}

/// `path` with a NUL behind it, in `buffer`.
pub fn terminated(buffer: *[posix.PATH_MAX]u8, path: []const u8) Error![*:0]const u8 {
    if (std.mem.indexOfScalar(u8, path, 0) != null) return error.InvalidArgument;
    if (path.len >= buffer.len) return error.NameTooLong;
    @memcpy(buffer[0..path.len], path);
    buffer[path.len] = 0;
    return buffer[0..path.len :0];
}

const testing = std.testing;

test "a file that needs a name from its beginning is published once, and has one name then" {
    var tmp = testing.tmpDir(.{ .iterate = true });
    defer tmp.cleanup();
    var buffer: [256]u8 = undefined;
    const path = try std.fmt.bufPrint(&buffer, ".zig-cache/tmp/{s}/file", .{&tmp.sub_path});
    try publishNamed(path, "first", 0o600);
    try testing.expectError(error.PathAlreadyExists, publishNamed(path, "second", 0o600));
    var content: [16]u8 = undefined;
    try testing.expectEqualStrings("first", try readFile(path, &content));
    var entries = tmp.dir.iterate();
    try testing.expectEqualStrings("file", (try entries.next()).?.name);
    try testing.expectEqual(null, try entries.next());
    try testing.expectError(error.FileNotFound, publishNamed("/none/file", "", 0o600));
}

test "a file that others may read or write, or that is another's, is not private" {
    var tmp = testing.tmpDir(.{});
    defer tmp.cleanup();
    var buffer: [256]u8 = undefined;
    const path = try std.fmt.bufPrint(&buffer, ".zig-cache/tmp/{s}/file", .{&tmp.sub_path});
    var content: [16]u8 = undefined;
    try publish(path, "content", 0o600);
    try testing.expectEqualStrings("content", try readPrivateFile(path, &content));
    for ([_]u16{ 0o640, 0o620, 0o604, 0o602 }) |mode| {
        try changeMode(path, mode);
        try testing.expectError(error.NotPrivate, readPrivateFile(path, &content));
    }
    try changeMode(path, 0o400);
    try testing.expectEqualStrings("content", try readPrivateFile(path, &content));
    if (own.effectiveUser() != 0) return;
    const file = try tmp.dir.openFile("file", .{});
    defer file.close();
    try file.chown(1, null);
    try testing.expectError(error.NotPrivate, readPrivateFile(path, &content));
}
