//! macOS and FreeBSD: the calls are those of libc, which is all that these systems hold stable.

const builtin = @import("builtin");
const std = @import("std");
const c = std.c;
const posix = std.posix;
const common = @import("posix.zig");
const types = @import("types.zig");
const Error = types.Error;
const File = types.File;

const is_macos = builtin.os.tag == .macos;

/// Where posix.zig finds its calls.
pub const calls = c;

/// node-zigar puts a hook into write(2), which is of no use to threads that are not Node.js's. This
/// is the same call by the other name that macOS has for it.
pub const write = if (is_macos) write_nocancel else c.write;
const write_nocancel = @extern(
    *const fn (File, [*]const u8, usize) callconv(.c) isize,
    .{ .name = "write$NOCANCEL" },
);

/// What a call of libc returned, or its error. `Interrupted` is one of them.
pub fn check(rc: isize) Error!usize {
    if (rc == -1) return common.errorOf(@enumFromInt(c._errno().*));
    return @intCast(rc);
}

/// Of an errno that not every system has.
pub fn errorOf(errno: c.E) Error {
    if (is_macos) return error.Unexpected;
    return switch (errno) {
        // open(2) says so of a link that is not to be followed.
        .MLINK => error.SymLinkLoop,
        // A look-up that left its directory.
        .NOTCAPABLE => error.CrossDevice,
        else => error.Unexpected,
    };
}

/// macOS has neither accept4(2) nor the flags of socket(2).
pub const has_socket_flags = !is_macos;
/// macOS has an option of the socket instead: see `prepareSocket`.
pub const no_signal: u32 = if (is_macos) 0 else 0x20000; // MSG_NOSIGNAL
/// There is no such flag. Two segments leave where Linux makes one.
pub const message_more: u32 = 0;

/// What the flags of socket(2) and accept4(2) do elsewhere.
pub fn prepareSocket(fd: types.Socket) Error!void {
    try common.setCloseOnExec(fd);
    try common.setNonBlocking(fd);
    const no_sigpipe = 0x1022; // SO_NOSIGPIPE
    try common.setSocketOption(c_int, fd, c.SOL.SOCKET, no_sigpipe, 1);
}

/// Files have names from their beginning on.
pub fn publishNameless(_: []const u8, _: []const u8, _: u16) Error!void {
    return error.NotSupported;
}

/// Renames a file, unless there is one of that name (`PathAlreadyExists`). FreeBSD cannot, nor
/// can every file system.
pub fn renameNew(from: []const u8, to: []const u8) Error!void {
    if (!is_macos) return error.NotSupported;
    var buffers: [2][posix.PATH_MAX]u8 = undefined;
    const old = try common.terminated(&buffers[0], from);
    const exclusive = 4; // RENAME_EXCL
    _ = try check(renamex_np(old, try common.terminated(&buffers[1], to), exclusive));
}

extern "c" fn renamex_np(from: [*:0]const u8, to: [*:0]const u8, flags: c_uint) c_int;

/// By whose rights this process acts.
pub const effectiveUser = geteuid;
extern "c" fn geteuid() c_uint;

/// A range of a file, as much as the socket takes; 0 at the file's end.
pub fn sendFile(fd: types.Socket, file: File, offset: u64, len: u64) Error!usize {
    if (len == 0) return 0; // 0 would mean all that there is
    const at = std.math.cast(i64, offset) orelse return error.InvalidArgument;
    const most = @min(len, std.math.maxInt(i64));
    while (true) {
        var sent: c.off_t = if (is_macos) @intCast(most) else 0;
        const rc = if (is_macos)
            c.sendfile(file, fd, at, &sent, null, 0)
        else
            c.sendfile(file, fd, at, @intCast(most), null, &sent, 0);
        _ = check(rc) catch |err| switch (err) {
            // What went before counts.
            error.WouldBlock, error.Interrupted => if (sent == 0) {
                if (err == error.Interrupted) continue else return err;
            },
            else => return err,
        };
        return @intCast(sent);
    }
}

/// Sent and not acknowledged by the peer, bytes; 0 where that is not known.
pub fn inFlight(fd: types.Socket) u64 {
    if (is_macos) {
        const bytes_queued = 0x1024; // SO_NWRITE
        const bytes = common.socketOption(c_int, fd, c.SOL.SOCKET, bytes_queued) catch return 0;
        return @intCast(@max(bytes, 0));
    }
    const bytes_queued: c_int = 0x40046677; // FIONWRITE
    var bytes: c_int = 0;
    const rc = c.ioctl(fd, bytes_queued, &bytes);
    return if (check(rc)) |_| @intCast(@max(bytes, 0)) else |_| 0;
}

/// How many processors there are that threads may run on.
pub fn processors() Error!u32 {
    return number(if (is_macos) "hw.activecpu" else "hw.ncpu");
}

fn number(name: [*:0]const u8) Error!u32 {
    var value: c_int = 0;
    var len: usize = @sizeOf(c_int);
    _ = try check(c.sysctlbyname(name, &value, &len, null, 0));
    return if (value > 0) @intCast(value) else error.Unexpected;
}

/// macOS refuses more than this, whatever getrlimit(2) says.
pub fn fileLimitMost() ?u64 {
    return if (is_macos) number("kern.maxfilesperproc") catch null else null;
}

/// Fills `words` with the CPUs that the calling thread may run on. `NotSupported` on macOS, where
/// threads have no such thing.
pub fn affinity(words: []usize) Error!void {
    if (is_macos) return error.NotSupported;
    return cpuSet(cpuset_getaffinity, std.mem.sliceAsBytes(words));
}

/// The calling thread runs on these CPUs alone. None of them, or none that it may have, is
/// `InvalidArgument`.
pub fn setAffinity(words: []const usize) Error!void {
    if (is_macos) return error.NotSupported;
    return cpuSet(cpuset_setaffinity, @constCast(std.mem.sliceAsBytes(words)));
}

/// Kernels differ in how long a set is, and refuse any other length.
fn cpuSet(call: *const CpuSetCall, words: []u8) Error!void {
    const by_thread = 1; // CPU_WHICH_TID
    const own_set = 3; // CPU_LEVEL_WHICH
    for ([_]usize{ 128, 32 }) |len| {
        if (len > words.len) continue;
        if (call(own_set, by_thread, -1, len, words.ptr) == 0) return;
        const errno: c.E = @enumFromInt(c._errno().*);
        if (errno != .RANGE) return if (errno == .DEADLK)
            error.InvalidArgument
        else
            common.errorOf(errno);
    }
    return error.InvalidArgument;
}

const CpuSetCall = fn (c_int, c_int, i64, usize, [*]u8) callconv(.c) c_int;
extern "c" fn cpuset_getaffinity(c_int, c_int, i64, usize, [*]u8) c_int;
extern "c" fn cpuset_setaffinity(c_int, c_int, i64, usize, [*]u8) c_int;

pub const dupfd_cloexec: c_int = if (is_macos) 67 else 17; // F_DUPFD_CLOEXEC

/// fcntl(2) with a number.
pub fn control(fd: File, command: c_int, argument: u32) Error!usize {
    return check(c.fcntl(fd, command, argument));
}

/// Opens a file for reading, neither waiting for a FIFO nor taking a terminal over, with the flag
/// that keeps a look-up below its directory. FreeBSD answers `CrossDevice` when it would leave.
/// macOS follows no link, and answers `SymLinkLoop` for one; `path` has no "..".
pub fn openBeneath(dir: File, path: []const u8) Error!File {
    const nofollow_any = 0x20000000;
    const resolve_beneath = 0x00800000;
    const beneath: u32 = if (is_macos) nofollow_any else resolve_beneath;
    const plain: posix.O = .{
        .ACCMODE = .RDONLY,
        .CLOEXEC = true,
        .NONBLOCK = true,
        .NOCTTY = true,
    };
    const flags: posix.O = @bitCast(@as(u32, @bitCast(plain)) | beneath);
    return common.openAt(dir, path, flags, 0);
}

/// Whether this system knows that flag: one that does not would go wherever a path leads.
pub fn opensBeneath(dir: File) bool {
    if (is_macos) return builtin.target.os.isAtLeast(.macos, .{
        .major = 11,
        .minor = 0,
        .patch = 0,
    }) orelse false;
    const fd = openBeneath(dir, "..") catch |err| return err == error.CrossDevice;
    common.close(fd);
    return false;
}

/// The absolute path of what `fd` has open, as the system knows it now.
pub fn pathOf(fd: File, buffer: []u8) Error![]u8 {
    const Answer = if (is_macos) extern struct { path: [posix.PATH_MAX]u8 } else c.kinfo_file;
    var answer: Answer = undefined;
    if (!is_macos) answer.structsize = c.KINFO_FILE_SIZE;
    const get_path: c_int = if (is_macos) 50 else 22; // F_GETPATH, F_KINFO
    _ = try check(c.fcntl(fd, get_path, &answer));
    const path = std.mem.sliceTo(&answer.path, 0);
    // FreeBSD has none for a name that its cache has lost.
    if (path.len == 0) return error.FileNotFound;
    if (path.len > buffer.len) return error.NameTooLong;
    @memcpy(buffer[0..path.len], path);
    return buffer[0..path.len];
}

pub fn workingDirectory(buffer: []u8) Error![]u8 {
    if (c.getcwd(buffer.ptr, buffer.len) == null)
        return common.errorOf(@enumFromInt(c._errno().*));
    return std.mem.sliceTo(buffer, 0);
}

/// The name of the machine.
pub fn hostName(buffer: []u8) Error![]const u8 {
    _ = try check(c.gethostname(buffer.ptr, buffer.len));
    const end = std.mem.indexOfScalar(u8, buffer, 0) orelse return error.NameTooLong;
    return buffer[0..end];
}

/// The ends of a pipe, for reading and for writing.
pub fn pipe(flags: posix.O) Error![2]File {
    var ends: [2]c_int = undefined;
    if (!is_macos) {
        _ = try check(c.pipe2(&ends, flags));
        return ends;
    }
    _ = try check(c.pipe(&ends));
    errdefer for (ends) |end| common.close(end);
    for (ends) |end| {
        if (flags.CLOEXEC) try common.setCloseOnExec(end);
        if (flags.NONBLOCK) try common.setNonBlocking(end);
    }
    return ends;
}

/// The name of a network interface, in `buffer`.
pub fn interfaceName(
    index: u32,
    buffer: *[common.interface_name_bytes]u8,
) Error![]const u8 {
    if (if_indextoname(index, buffer) == null) return common.errorOf(@enumFromInt(c._errno().*));
    return std.mem.sliceTo(buffer, 0);
}

extern "c" fn if_indextoname(index: c_uint, name: *[common.interface_name_bytes]u8) ?[*:0]u8;

/// Fills `buffer` with bytes that nobody can guess.
pub fn random(buffer: []u8) Error!void {
    c.arc4random_buf(buffer.ptr, buffer.len);
}

/// Pages of zeroes, `bytes` of them rounded up to whole ones.
pub fn mapMemory(bytes: usize) Error![*]align(std.heap.page_size_min) u8 {
    return mapAt(null, bytes);
}

/// The pages are zero when they are next touched, and take no memory until then.
pub fn discardMemory(memory: []align(std.heap.page_size_min) u8) Error!void {
    // madvise(2) does not promise zeroes here: other pages take their place.
    _ = try mapAt(memory.ptr, memory.len);
}

fn mapAt(
    place: ?[*]align(std.heap.page_size_min) u8,
    bytes: usize,
) Error![*]align(std.heap.page_size_min) u8 {
    const rights = c.PROT.READ | c.PROT.WRITE;
    const kind: c.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true, .FIXED = place != null };
    const mapped = c.mmap(place, bytes, rights, kind, -1, 0);
    if (mapped == c.MAP_FAILED) return common.errorOf(@enumFromInt(c._errno().*));
    return @alignCast(@ptrCast(mapped));
}
