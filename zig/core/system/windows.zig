//! The calls of Windows, with an error for whatever they answer: those that other systems have by
//! the same name, and below them what IOCP needs.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const windows = std.os.windows;
const Address = @import("../address.zig").Address;
const limits = @import("../limits.zig");
const types = @import("types.zig");
const user = @import("windows_user.zig");
const win32 = @import("win32.zig");
const Error = types.Error;
const File = types.File;
const Socket = types.Socket;
const Stat = types.Stat;

/// What GetLastError and WSAGetLastError answer: one numbering.
pub const Errno = u32;

/// The error that stands for `code`. A call that fails may leave 0, too.
pub fn errorOf(code: Errno) Error {
    return switch (code) {
        // ACCESS_DENIED, WSAEACCES
        5, 10013 => error.AccessDenied,
        // SHARING_VIOLATION, LOCK_VIOLATION, BUSY
        32, 33, 170 => error.FileBusy,
        // WSAEAFNOSUPPORT
        10047 => error.AddressFamilyNotSupported,
        // WSAEADDRINUSE
        10048 => error.AddressInUse,
        // WSAEADDRNOTAVAIL, INVALID_NETNAME
        10049, 1214 => error.AddressNotAvailable,
        // WSAEISCONN
        10056 => error.AlreadyConnected,
        // INVALID_HANDLE, WSAEBADF
        6, 10009 => error.BadDescriptor,
        // BROKEN_PIPE, NO_DATA, PIPE_NOT_CONNECTED
        109, 232, 233 => error.BrokenPipe,
        // CONNECTION_ABORTED, WSAECONNABORTED, OPERATION_ABORTED
        1236, 10053, 995 => error.ConnectionAborted,
        // IO_PENDING, WSAEINPROGRESS, WSAEALREADY
        997, 10036, 10037 => error.ConnectionPending,
        // CONNECTION_REFUSED, WSAECONNREFUSED
        1225, 10061 => error.ConnectionRefused,
        // NETNAME_DELETED, REQUEST_ABORTED, WSAENETRESET, WSAECONNRESET, WSAEDISCON
        64, 1235, 10052, 10054, 10101 => error.ConnectionResetByPeer,
        // SEM_TIMEOUT, WSAETIMEDOUT
        121, 10060 => error.ConnectionTimedOut,
        // NOT_SAME_DEVICE
        17 => error.CrossDevice,
        // FILE_NOT_FOUND, PATH_NOT_FOUND, BAD_NETPATH, BAD_NET_NAME, INVALID_NAME, BAD_PATHNAME
        2, 3, 53, 67, 123, 161 => error.FileNotFound,
        // FILE_TOO_LARGE
        223 => error.FileTooBig,
        // HOST_UNREACHABLE, WSAEHOSTDOWN, WSAEHOSTUNREACH
        1232, 10064, 10065 => error.HostUnreachable,
        // CRC, SEEK, WRITE_FAULT, READ_FAULT, IO_DEVICE, DEVICE_NOT_CONNECTED
        23, 25, 29, 30, 1117, 1167 => error.InputOutput,
        // WSAEINTR
        10004 => error.Interrupted,
        // INVALID_FUNCTION, BAD_LENGTH, INVALID_PARAMETER, INSUFFICIENT_BUFFER, BAD_ARGUMENTS,
        // WSAEINVAL
        1, 24, 87, 122, 160, 10022 => error.InvalidArgument,
        // DIRECTORY_NOT_SUPPORTED
        336 => error.IsDir,
        // BUFFER_OVERFLOW, FILENAME_EXCED_RANGE, WSAENAMETOOLONG
        111, 206, 10063 => error.NameTooLong,
        // NETWORK_UNREACHABLE, WSAENETDOWN, WSAENETUNREACH
        1231, 10050, 10051 => error.NetworkUnreachable,
        // INVALID_DRIVE, BAD_UNIT, DEV_NOT_EXIST, NO_SUCH_DEVICE
        15, 20, 55, 433 => error.NoDevice,
        // HANDLE_DISK_FULL, DISK_FULL
        39, 112 => error.NoSpaceLeft,
        // WSAENOTSOCK
        10038 => error.NotASocket,
        // DIRECTORY
        267 => error.NotDir,
        // NOT_SUPPORTED, CALL_NOT_IMPLEMENTED, WSAENOPROTOOPT, WSAEPROTONOSUPPORT,
        // WSAESOCKTNOSUPPORT, WSAEOPNOTSUPP, WSAEPFNOSUPPORT
        50, 120, 10042, 10043, 10044, 10045, 10046 => error.NotSupported,
        // FILE_EXISTS, ALREADY_EXISTS
        80, 183 => error.PathAlreadyExists,
        // PRIVILEGE_NOT_HELD
        1314 => error.PermissionDenied,
        // TOO_MANY_OPEN_FILES, WSAEMFILE
        4, 10024 => error.ProcessFdQuotaExceeded,
        // WRITE_PROTECT
        19 => error.ReadOnlyFileSystem,
        // WSAENOTCONN
        10057 => error.SocketNotConnected,
        // UNEXP_NET_ERR, REQ_NOT_ACCEP, CANCELLED
        59, 71, 1223 => error.StaleHandle,
        // STOPPED_ON_SYMLINK, CANT_RESOLVE_FILENAME
        681, 1921 => error.SymLinkLoop,
        // NOT_ENOUGH_MEMORY, OUTOFMEMORY, NO_SYSTEM_RESOURCES, WORKING_SET_QUOTA, PAGEFILE_QUOTA,
        // COMMITMENT_LIMIT, WSAENOBUFS
        8, 14, 1450, 1453, 1454, 1455, 10055 => error.SystemResources,
        // IO_INCOMPLETE, WSAEWOULDBLOCK
        996, 10035 => error.WouldBlock,
        else => error.Unexpected,
    };
}

/// Of an NTSTATUS that is no success.
pub fn ofStatus(status: u32) Error {
    return errorOf(win32.RtlNtStatusToDosError(status));
}

pub fn last() Error {
    return errorOf(win32.GetLastError());
}

fn lastOfSockets() Error {
    return errorOf(win32.WSAGetLastError());
}

pub fn check(ok: i32) Error!void {
    if (ok == 0) return last();
}

/// Of a call of Winsock's, which answers 0.
fn checkSocket(answer: i32) Error!void {
    if (answer != 0) return lastOfSockets();
}

// Files.

pub const publish = user.publish;
pub const readFile = user.readFile;
pub const readPrivateFile = user.readFile;
pub const makeDirectory = user.makeDirectory;
pub const variable = user.variable;
pub const hostName = user.hostName;

/// Closes a handle that its owner holds: one that is not open is a mistake of the program.
pub fn close(file: File) void {
    check(win32.CloseHandle(file)) catch |err| assert(err != error.BadDescriptor);
}

pub fn read(file: File, buffer: []u8) Error!usize {
    return readWith(file, buffer, null);
}

/// `offset` may be any: beyond what the system can take is `InvalidArgument`.
pub fn readAt(file: File, buffer: []u8, offset: u64) Error!usize {
    if (offset > std.math.maxInt(i64)) return error.InvalidArgument;
    var place = std.mem.zeroes(win32.OVERLAPPED);
    place.DUMMYUNIONNAME.DUMMYSTRUCTNAME = .{
        .Offset = @truncate(offset),
        .OffsetHigh = @intCast(offset >> 32),
    };
    return readWith(file, buffer, &place);
}

fn readWith(file: File, buffer: []u8, place: ?*win32.OVERLAPPED) Error!usize {
    const at_end = 38; // ERROR_HANDLE_EOF
    const broken_pipe = 109; // nobody writes any more
    const len: u32 = @intCast(@min(buffer.len, std.math.maxInt(i32)));
    var n: u32 = 0;
    if (win32.ReadFile(file, buffer.ptr, len, &n, place) == 0) {
        const code = win32.GetLastError();
        return if (code == at_end or code == broken_pipe) 0 else errorOf(code);
    }
    return n;
}

pub fn write(file: File, bytes: []const u8) Error!usize {
    const len: u32 = @intCast(@min(bytes.len, std.math.maxInt(i32)));
    var n: u32 = 0;
    try check(win32.WriteFile(try standardOf(file), bytes.ptr, len, &n, null));
    return n;
}

/// Standard output and error have numbers of their own until they are asked for.
fn standardOf(file: File) Error!File {
    if (file != types.standard_output and file != types.standard_error) return file;
    const which: u32 = @truncate(@intFromPtr(file));
    const found = win32.GetStdHandle(which) orelse return error.BadDescriptor; // it has none
    return if (found == win32.invalid_handle) last() else found;
}

/// Windows has no limit of its own: what runs out is memory.
pub fn fileLimit() Error!types.FileLimit {
    return error.NotSupported;
}

pub fn setFileLimit(_: u64) Error!void {
    return error.NotSupported;
}

/// Whose number is chosen, Windows does not know.
pub fn duplicate(_: File, _: u31) Error!File {
    return error.NotSupported;
}

/// Windows does not tell of a file, or a pipe.
pub fn isReady(_: File, _: i16) Error!bool {
    return error.NotSupported;
}

/// Of a socket, whether it can be read or written, or a connect of its has failed. `WSAPoll` told
/// nobody of that before Windows 10 of 2020.
pub fn isReadyWithin(fd: Socket, events: i16, timeout_ms: u31) Error!bool {
    var readable: win32.SocketSet = .of(fd, events & posix.POLL.IN != 0);
    var writable: win32.SocketSet = .of(fd, events & posix.POLL.OUT != 0);
    var failed = writable;
    const timeout: win32.TimeValue = .ofMs(timeout_ms);
    const ready = win32.select(0, &readable, &writable, &failed, &timeout);
    return if (ready < 0) lastOfSockets() else ready > 0;
}

/// A directory, to open others below it. It may be renamed and removed meanwhile.
pub fn openDirectory(path: []const u8) Error!File {
    var buffer: [path_units_max]u16 = undefined;
    const name = try wide(&buffer, path);
    const access = win32.access_list_and_look;
    const file = win32.CreateFileW(
        name,
        access,
        win32.share_all,
        null,
        win32.OPEN_EXISTING,
        win32.FILE_FLAG_BACKUP_SEMANTICS,
        null,
    );
    if (file == win32.invalid_handle) return last();
    errdefer close(file);
    if ((try fstat(file)).kind != .directory) return error.NotDir;
    return file;
}

/// What is at `path` below `directory`, to be read: names with single slashes between them, or
/// none for the directory itself. Names are taken as they are: the system's own reading of them,
/// which knows devices and drops dots, is left out. Links are followed: `pathOf` tells where to.
pub fn openBelow(directory: File, path: []const u8) Error!File {
    var buffer: [path_units_max]u16 = undefined;
    const name = try wide(&buffer, path);
    const len: u16 = @intCast(std.mem.len(name) * 2);
    for (name[0 .. len / 2]) |*unit| if (unit.* == '/') {
        unit.* = '\\';
    };
    var text: win32.UNICODE_STRING = .{ .Length = len, .MaximumLength = len, .Buffer = name };
    const attributes: win32.OBJECT_ATTRIBUTES = .{
        .Length = @sizeOf(win32.OBJECT_ATTRIBUTES),
        .RootDirectory = directory,
        .Attributes = 0,
        .ObjectName = &text,
        .SecurityDescriptor = null,
        .SecurityQualityOfService = null,
    };
    var status_block: win32.IO_STATUS_BLOCK = undefined;
    var file: File = undefined;
    const status = win32.NtCreateFile(
        &file,
        win32.access_read,
        &attributes,
        &status_block,
        null,
        0,
        win32.share_all,
        win32.FILE_OPEN,
        win32.FILE_SYNCHRONOUS_IO_NONALERT,
        null,
        0,
    );
    return switch (status) {
        0 => file,
        // It is about to go, and its name with it: the system has one number for this and a lack
        // of rights.
        0xc000_0056 => error.FileNotFound, // STATUS_DELETE_PENDING
        else => ofStatus(status),
    };
}

/// The path of what `file` has open, with its volume, as the file system spells it, in UTF-8 with
/// slashes, behind a slash.
pub fn pathOf(file: File, buffer: []u8) Error![]u8 {
    var units: [path_units_max]u16 = undefined;
    const flags = win32.VOLUME_NAME_NT;
    const len = win32.GetFinalPathNameByHandleW(file, &units, units.len, flags);
    if (len == 0) return last();
    if (len > units.len) return error.NameTooLong;
    // A unit is three bytes at most.
    if (@as(usize, len) * 3 > buffer.len) return error.NameTooLong;
    const path = buffer[0..std.unicode.wtf16LeToWtf8(buffer, units[0..len])];
    std.mem.replaceScalar(u8, path, '\\', '/');
    return path;
}

pub fn workingDirectory(buffer: []u8) Error![]u8 {
    var units: [path_units_max]u16 = undefined;
    const len = win32.GetCurrentDirectoryW(units.len, &units);
    if (len == 0) return last();
    if (len > units.len or @as(usize, len) * 3 > buffer.len) return error.NameTooLong;
    return buffer[0..std.unicode.wtf16LeToWtf8(buffer, units[0..len])];
}

/// Of what `path` leads to, links followed.
pub fn stat(path: []const u8) Error!Stat {
    return statWith(path, 0);
}

/// Of `path` itself: a link is not followed.
pub fn lstat(path: []const u8) Error!Stat {
    return statWith(path, win32.FILE_FLAG_OPEN_REPARSE_POINT);
}

fn statWith(path: []const u8, flags: u32) Error!Stat {
    var buffer: [path_units_max]u16 = undefined;
    const name = try wide(&buffer, path);
    const look = 0x80; // FILE_READ_ATTRIBUTES
    const all_flags = flags | win32.FILE_FLAG_BACKUP_SEMANTICS;
    const how = win32.OPEN_EXISTING;
    const file = win32.CreateFileW(name, look, win32.share_all, null, how, all_flags, null);
    if (file == win32.invalid_handle) return last();
    defer close(file);
    return fstat(file);
}

pub fn unlink(path: []const u8) Error!void {
    var buffer: [path_units_max]u16 = undefined;
    try check(win32.DeleteFileW(try wide(&buffer, path)));
}

pub fn fstat(file: File) Error!Stat {
    if (win32.GetFileType(file) != win32.FILE_TYPE_DISK) return .{
        .kind = .other,
        .size = 0,
        .device = 0,
        .inode = 0,
        .modified_ns = 0,
        .changed_ns = 0,
    };
    var found: win32.FileInformation = undefined;
    try check(win32.GetFileInformationByHandle(file, &found));
    var times: win32.BasicInformation = undefined;
    const class = 0; // FileBasicInfo
    const len = @sizeOf(win32.BasicInformation);
    try check(win32.GetFileInformationByHandleEx(file, class, &times, len));
    const is_directory = found.attributes & win32.FILE_ATTRIBUTE_DIRECTORY != 0;
    return .{
        .kind = if (is_directory) .directory else .file,
        .size = joined(found.size),
        .device = found.volume,
        .inode = joined(found.index),
        .modified_ns = sinceEpoch(times.written),
        .changed_ns = sinceEpoch(times.changed),
    };
}

fn joined(high_and_low: [2]u32) u64 {
    return @as(u64, high_and_low[0]) << 32 | high_and_low[1];
}

/// Nanoseconds since 1970, of units of 100 ns since 1601.
fn sinceEpoch(time: i64) i128 {
    const between = 11_644_473_600 * @as(i128, std.time.ns_per_s);
    return @as(i128, time) * 100 - between;
}

/// The longest path that the system takes has 32,767 units; one of HTTP is far shorter.
pub const path_units_max = 4096;

/// `path` in UTF-16 with a NUL behind it. What is no UTF-8 is no name.
pub fn wide(buffer: *[path_units_max]u16, path: []const u8) Error![*:0]u16 {
    if (std.mem.indexOfScalar(u8, path, 0) != null) return error.InvalidArgument;
    const units = std.unicode.calcWtf16LeLen(path) catch return error.InvalidArgument;
    if (units >= buffer.len) return error.NameTooLong;
    const len = std.unicode.wtf8ToWtf16Le(buffer, path) catch return error.InvalidArgument;
    buffer[len] = 0;
    return buffer[0..len :0].ptr;
}

// The process.

/// Bytes of a network interface's name, with its NUL.
pub const interface_name_bytes = 16;

/// Scopes are told by their number on this system.
pub fn interfaceName(_: u32, _: *[interface_name_bytes]u8) Error![]const u8 {
    return error.NotSupported;
}

/// Fills `buffer` with bytes that nobody can guess.
pub fn random(buffer: []u8) Error!void {
    const len: u32 = @intCast(buffer.len);
    if (win32.SystemFunction036(buffer.ptr, len) == 0) return error.SystemResources;
}

/// Milliseconds of a clock that never goes back.
pub fn monotonicMs() u64 {
    return win32.GetTickCount64();
}

/// Microseconds of a clock that never goes back: dearer, and finer.
pub fn monotonicUs() u64 {
    const counts: u128 = std.os.windows.QueryPerformanceCounter();
    return @intCast(counts * std.time.us_per_s / std.os.windows.QueryPerformanceFrequency());
}

/// Seconds since 1970-01-01 UTC.
pub fn realtimeSeconds() i64 {
    var time: [2]u32 = undefined;
    win32.GetSystemTimeAsFileTime(&time);
    const since = sinceEpoch(@bitCast(joined(.{ time[1], time[0] })));
    return @intCast(@divFloor(since, std.time.ns_per_s));
}

pub fn sleepMs(ms: u32) void {
    win32.Sleep(ms);
}

/// Fills `words` with the CPUs that threads of this process run on: those of one group of the
/// system's, 64 at most.
pub fn affinity(words: []usize) Error!void {
    @memset(words, 0);
    var machine: usize = 0;
    try check(win32.GetProcessAffinityMask(win32.GetCurrentProcess(), &words[0], &machine));
    // 0: the process has threads in several groups.
    if (words[0] == 0) return error.NotSupported;
}

/// How many CPUs there are in all groups.
pub fn processors() Error!u32 {
    const all_groups = 0xffff;
    const count = win32.GetActiveProcessorCount(all_groups);
    return if (count == 0) last() else count;
}

/// The calling thread runs on these CPUs alone. None of them, or none that it may have, is
/// `InvalidArgument`.
pub fn setAffinity(words: []const usize) Error!void {
    for (words[1..]) |word| if (word != 0) return error.InvalidArgument;
    if (win32.SetThreadAffinityMask(win32.GetCurrentThread(), words[0]) == 0) return last();
}

/// Pages of zeroes, `bytes` of them rounded up to whole ones. The system has promised them, and
/// finds one when it is first touched.
pub fn mapMemory(bytes: usize) Error![*]align(std.heap.page_size_min) u8 {
    const kind = win32.MEM_RESERVE | win32.MEM_COMMIT;
    const place = win32.VirtualAlloc(null, bytes, kind, win32.PAGE_READWRITE) orelse return last();
    return @alignCast(@ptrCast(place));
}

/// All that `mapMemory` gave.
pub fn unmapMemory(memory: []align(std.heap.page_size_min) u8) Error!void {
    try check(win32.VirtualFree(memory.ptr, 0, win32.MEM_RELEASE));
}

/// The pages are zero when they are next touched, and take no memory until then.
pub fn discardMemory(memory: []align(std.heap.page_size_min) u8) Error!void {
    try check(win32.VirtualFree(memory.ptr, memory.len, win32.MEM_DECOMMIT));
    const kind = win32.MEM_COMMIT;
    const rights = win32.PAGE_READWRITE;
    // Without it the next touch would end the process.
    while (win32.VirtualAlloc(memory.ptr, memory.len, kind, rights) == null) sleepMs(1);
}

/// A thread that runs a function which returns nothing.
pub fn spawn(comptime function: anytype, arguments: anytype) types.SpawnError!std.Thread {
    return std.Thread.spawn(.{}, function, arguments) catch |err| switch (err) {
        error.OutOfMemory => error.OutOfMemory,
        else => error.ThreadQuotaExceeded,
    };
}

/// Something that is counted and waited for.
pub fn semaphore() Error!File {
    return win32.CreateSemaphoreW(null, 0, std.math.maxInt(i32), null) orelse last();
}

pub fn signal(its: File) Error!void {
    try check(win32.ReleaseSemaphore(its, 1, null));
}

pub fn wait(its: File) Error!void {
    if (win32.WaitForSingleObject(its, win32.infinite) != 0) return last();
}

/// `handler` hears of Ctrl-C and the like, on a thread of its own, until `ignoreConsole`.
pub fn hearConsole(handler: win32.ConsoleHandler) Error!void {
    try check(win32.SetConsoleCtrlHandler(handler, 1));
}

pub fn ignoreConsole(handler: win32.ConsoleHandler) void {
    _ = win32.SetConsoleCtrlHandler(handler, 0); // it was heard, so that it can be ended
}

// Sockets.

var sockets_started: std.atomic.Value(bool) = .init(false);

/// Winsock is started once, and stays until the process ends.
pub fn startSockets() Error!void {
    if (sockets_started.load(.acquire)) return;
    var data: windows.ws2_32.WSADATA = undefined;
    const answer = win32.WSAStartup(0x0202, &data);
    if (answer != 0) return errorOf(@intCast(answer));
    sockets_started.store(true, .release);
}

/// A TCP socket that does not block, and that programs started from here do not inherit.
pub fn streamSocket(family: u32) Error!Socket {
    try startSockets();
    const flags = win32.WSA_FLAG_OVERLAPPED | win32.WSA_FLAG_NO_HANDLE_INHERIT;
    const tcp = posix.IPPROTO.TCP;
    const made = win32.WSASocketW(@intCast(family), posix.SOCK.STREAM, tcp, null, 0, flags);
    if (made == types.no_socket) return lastOfSockets();
    errdefer closeSocket(made);
    var on: u32 = 1;
    try checkSocket(win32.ioctlsocket(made, win32.FIONBIO, &on));
    return made;
}

/// A connection that waits at a listener, as `streamSocket` makes them; `len` is how much of
/// `storage` the peer's address takes.
pub fn accept(fd: Socket, storage: *posix.sockaddr.storage, len: *posix.socklen_t) Error!Socket {
    var room: i32 = @sizeOf(posix.sockaddr.storage);
    // What the listener does not wait for, its connections do not.
    const accepted = win32.accept(fd, @ptrCast(storage), &room);
    if (accepted == types.no_socket) return lastOfSockets();
    len.* = @intCast(room);
    return accepted;
}

/// As `close`, for a socket.
pub fn closeSocket(fd: Socket) void {
    checkSocket(win32.closesocket(fd)) catch |err| assert(err != error.NotASocket);
}

pub fn bind(fd: Socket, address: *const posix.sockaddr, len: posix.socklen_t) Error!void {
    try checkSocket(win32.bind(fd, address, @intCast(len)));
}

pub fn listen(fd: Socket, backlog: u31) Error!void {
    try checkSocket(win32.listen(fd, backlog));
}

pub fn connect(fd: Socket, address: *const posix.sockaddr, len: posix.socklen_t) Error!void {
    checkSocket(win32.connect(fd, address, @intCast(len))) catch |err|
        return if (err == error.WouldBlock) error.ConnectionPending else err;
}

pub fn shutdown(fd: Socket, how: types.Direction) Error!void {
    try checkSocket(win32.shutdown(fd, @intFromEnum(how)));
}

/// Fills `storage` with the address that `fd` is bound to; returns how many bytes it has.
pub fn socketName(fd: Socket, storage: *posix.sockaddr.storage) Error!posix.socklen_t {
    var len: i32 = @sizeOf(posix.sockaddr.storage);
    try checkSocket(win32.getsockname(fd, @ptrCast(storage), &len));
    return @intCast(len);
}

pub fn setSocketOption(
    comptime T: type,
    fd: Socket,
    level: i32,
    option: u32,
    value: T,
) Error!void {
    const bytes = std.mem.asBytes(&value);
    try checkSocket(win32.setsockopt(fd, level, @bitCast(option), bytes, bytes.len));
}

pub fn socketOption(comptime T: type, fd: Socket, level: i32, option: u32) Error!T {
    var value: T = undefined;
    var len: i32 = @sizeOf(T);
    const bytes = std.mem.asBytes(&value);
    try checkSocket(win32.getsockopt(fd, level, @bitCast(option), bytes, &len));
    return if (len == @sizeOf(T)) value else error.Unexpected;
}

/// What has come in, without waiting, as much as `buffer` holds; 0 at the end.
pub fn receive(fd: Socket, buffer: []u8) Error!usize {
    return receiveWith(fd, buffer, 0);
}

/// The same, and leaves it there.
pub fn peek(fd: Socket, buffer: []u8) Error!usize {
    return receiveWith(fd, buffer, win32.MSG_PEEK);
}

fn receiveWith(fd: Socket, buffer: []u8, flags: i32) Error!usize {
    const n = win32.recv(fd, buffer.ptr, @intCast(buffer.len), flags);
    return if (n < 0) lastOfSockets() else @intCast(n);
}

/// Sends as much as the socket takes, without waiting. The system does not wait for `more`.
pub fn send(fd: Socket, iovecs: []const posix.iovec_const, more: bool) Error!usize {
    _ = more;
    var buffers: Buffers = .{};
    buffers.fill(iovecs, std.math.maxInt(i32));
    var sent: u32 = 0;
    try checkSocket(win32.WSASend(fd, &buffers.items, buffers.count, &sent, 0, null, null));
    return sent;
}

/// Memory to be sent, as the system takes it.
const Buffers = struct {
    items: [limits.iovecs_max]win32.Buffer = undefined,
    count: u32 = 0,

    /// The first `most` bytes of `iovecs`.
    fn fill(self: *Buffers, iovecs: []const posix.iovec_const, most: u32) void {
        var left = most;
        for (iovecs) |iovec| {
            if (left == 0) return;
            const len: u32 = @intCast(@min(iovec.len, left));
            self.items[self.count] = .{ .buf = iovec.base, .len = len };
            self.count += 1;
            left -= len;
        }
    }
};

// What IOCP needs.

pub fn completionPort() Error!File {
    return win32.CreateIoCompletionPort(win32.invalid_handle, null, 0, 1) orelse last();
}

/// What ends of what is done for `fd` comes to `port`. `skips`: nothing comes of what ends at once.
pub fn associate(port: File, fd: Socket, skips: bool) Error!void {
    if (win32.CreateIoCompletionPort(@ptrCast(fd), port, 0, 0) == null) return last();
    if (!skips) return;
    const modes = win32.FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | win32.FILE_SKIP_SET_EVENT_ON_HANDLE;
    try check(win32.SetFileCompletionNotificationModes(@ptrCast(fd), modes));
}

/// Whether the provider of `fd` gives handles of the system's own.
pub fn isOwnSocket(fd: Socket) bool {
    const level = posix.SOL.SOCKET;
    const Info = windows.ws2_32.WSAPROTOCOL_INFOW;
    const info = socketOption(Info, fd, level, win32.SO_PROTOCOL_INFOW) catch return false;
    return info.dwServiceFlags1 & win32.XP1_IFS_HANDLES != 0;
}

pub fn connectEx(fd: Socket) Error!win32.ConnectEx {
    var function: win32.ConnectEx = undefined;
    var returned: u32 = 0;
    try checkSocket(win32.WSAIoctl(
        fd,
        win32.SIO_GET_EXTENSION_FUNCTION_POINTER,
        &win32.connect_ex_id,
        @sizeOf(win32.GUID),
        @ptrCast(&function),
        @sizeOf(win32.ConnectEx),
        &returned,
        null,
        null,
    ));
    return function;
}

/// Sends `port` a packet that belongs to no operation.
pub fn post(port: File) Error!void {
    try check(win32.PostQueuedCompletionStatus(port, 0, 0, null));
}

/// The packets that have come, after `timeout_ms` at most (-1: for ever); none when none came.
pub fn dequeue(
    port: File,
    entries: []win32.OverlappedEntry,
    timeout_ms: i32,
) Error![]win32.OverlappedEntry {
    const wait_timeout = 258;
    const ms: u32 = if (timeout_ms < 0) win32.infinite else @intCast(timeout_ms);
    const room: u32 = @intCast(entries.len);
    var count: u32 = 0;
    if (win32.GetQueuedCompletionStatusEx(port, entries.ptr, room, &count, ms, 0) == 0) {
        const code = win32.GetLastError();
        return if (code == wait_timeout) entries[0..0] else errorOf(code);
    }
    return entries[0..count];
}

/// The status of an operation on a file that has nothing there.
pub const end_of_file: u32 = 0xc000_0011;

/// What has become of an operation that was begun. `over`: with success.
pub const Begun = enum { over, pending };

/// What a call of Winsock's that begins an operation has answered. After an error there is none.
pub fn begun(succeeded: bool) Error!Begun {
    if (succeeded) return .over;
    const io_pending = 997;
    const code = win32.WSAGetLastError();
    return if (code == io_pending) .pending else errorOf(code);
}

/// Ends what is under way for `fd`: packets tell so.
pub fn cancel(fd: Socket) void {
    // What is over already has its packet.
    _ = win32.CancelIoEx(@ptrCast(fd), null);
}

/// A receive of no bytes: its end tells that there is something.
pub fn beginReceive(fd: Socket, overlapped: *win32.OVERLAPPED) Error!Begun {
    const nothing: win32.Buffer = .{ .buf = "", .len = 0 };
    var flags: u32 = 0;
    return begun(win32.WSARecv(fd, @ptrCast(&nothing), 1, null, &flags, overlapped, null) == 0);
}

/// The first `most` bytes of `iovecs`.
pub fn beginSend(
    fd: Socket,
    iovecs: []const posix.iovec_const,
    most: u32,
    overlapped: *win32.OVERLAPPED,
) Error!Begun {
    var buffers: Buffers = .{};
    buffers.fill(iovecs, most);
    const count = buffers.count;
    return begun(win32.WSASend(fd, &buffers.items, count, null, 0, overlapped, null) == 0);
}

/// Of `file` from the offset that `overlapped` has.
pub fn beginTransmit(
    fd: Socket,
    file: File,
    bytes: u32,
    overlapped: *win32.OVERLAPPED,
) Error!Begun {
    assert(bytes > 0); // 0 is all of the file
    return begun(win32.TransmitFile(fd, file, bytes, 0, overlapped, null, 0) != 0);
}

/// `addresses` has twice `address_bytes`.
pub fn beginAccept(
    listener: Socket,
    fd: Socket,
    addresses: []u8,
    address_bytes: u32,
    overlapped: *win32.OVERLAPPED,
) Error!Begun {
    assert(addresses.len == 2 * address_bytes);
    var received: u32 = 0;
    const len = address_bytes;
    return begun(win32.AcceptEx(
        listener,
        fd,
        addresses.ptr,
        0,
        len,
        len,
        &received,
        overlapped,
    ) != 0);
}

/// What an accept that is over has written of the other end.
pub fn peerOf(addresses: []const u8, address_bytes: u32) Address {
    var local: *posix.sockaddr = undefined;
    var remote: *posix.sockaddr = undefined;
    var local_len: i32 = 0;
    var remote_len: i32 = 0;
    const len = address_bytes;
    win32.GetAcceptExSockaddrs(
        addresses.ptr,
        0,
        len,
        len,
        &local,
        &local_len,
        &remote,
        &remote_len,
    );
    return Address.fromSystem(remote, @intCast(remote_len));
}

/// The socket has the options of its listener, and can be shut down, from here on. A failure says
/// that the client is gone, as receiving will.
pub fn finishAccept(listener: Socket, fd: Socket) void {
    const option = win32.SO_UPDATE_ACCEPT_CONTEXT;
    setSocketOption(Socket, fd, posix.SOL.SOCKET, option, listener) catch {};
}

/// The same of a socket that was connected from here.
pub fn finishConnect(fd: Socket) void {
    const option: i32 = @bitCast(win32.SO_UPDATE_CONNECT_CONTEXT);
    _ = win32.setsockopt(fd, posix.SOL.SOCKET, option, "", 0);
}

pub fn familyOf(fd: Socket) Error!u32 {
    const Info = windows.ws2_32.WSAPROTOCOL_INFOW;
    const info = try socketOption(Info, fd, posix.SOL.SOCKET, win32.SO_PROTOCOL_INFOW);
    return @intCast(info.iAddressFamily);
}

test {
    _ = @import("windows_test.zig");
}
