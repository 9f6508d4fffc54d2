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

/// What a call of libc returned, or its error. `Interrupted` is one of them.
pub fn check(rc: isize) Error!usize {
    if (rc == -1) return common.errorOf(@enumFromInt(c._errno().*));
    return @intCast(rc);
}

/// Of an errno that not every system has.
pub fn errorOf(errno: c.E) Error {
    if (is_macos) return switch (errno) {
        .NOTSUP => error.NotSupported,
        else => error.Unexpected,
    };
    return switch (errno) {
        // open(2) says so of a link that is not to be followed.
        .MLINK => error.SymLinkLoop,
        // A look-up that left its directory.
        .NOTCAPABLE => error.CrossDevice,
        else => error.Unexpected,
    };
}

pub const dupfd_cloexec: c_int = if (is_macos) 67 else 17; // F_DUPFD_CLOEXEC

/// fcntl(2) with a number.
pub fn control(fd: File, command: c_int, argument: u32) Error!usize {
    return check(c.fcntl(fd, command, argument));
}

/// The absolute path of what `fd` has open, as the system knows it now.
pub fn pathOf(fd: File, buffer: []u8) Error![]u8 {
    // F_GETPATH and F_KINFO give the path and its NUL, in this much room.
    const Answer = if (is_macos) extern struct {
        path: [posix.PATH_MAX]u8,
    } else extern struct {
        size: c_int = @sizeOf(@This()),
        // Type, flags, offset and what depends on the type: struct kinfo_file of sys/user.h.
        others: [path_offset - @sizeOf(c_int)]u8 = undefined,
        path: [posix.PATH_MAX]u8,

        const path_offset = 368;
    };
    const get_path: c_int = if (is_macos) 50 else 22;
    var answer: Answer = .{ .path = undefined };
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
