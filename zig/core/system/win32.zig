//! What Windows calls its own: types, numbers and functions as they are, where std lacks them or
//! gives them types that forbid what the system answers. zig/core/system/windows.zig and the IOCP
//! backend call them; nobody else does.

const std = @import("std");
const windows = std.os.windows;
const ws2_32 = windows.ws2_32;

pub const HANDLE = windows.HANDLE;
pub const SOCKET = ws2_32.SOCKET;
pub const GUID = windows.GUID;
pub const OVERLAPPED = windows.OVERLAPPED;
pub const UNICODE_STRING = windows.UNICODE_STRING;
pub const OBJECT_ATTRIBUTES = windows.OBJECT_ATTRIBUTES;
pub const IO_STATUS_BLOCK = windows.IO_STATUS_BLOCK;

pub const invalid_handle = windows.INVALID_HANDLE_VALUE;
pub const infinite: u32 = std.math.maxInt(u32);

pub const OverlappedEntry = extern struct {
    key: usize,
    /// Null for what `PostQueuedCompletionStatus` was not given one for.
    overlapped: ?*OVERLAPPED,
    internal: usize,
    bytes: u32,
};

pub const Buffer = extern struct { len: u32, buf: [*]const u8 };

// Winsock's numbers.

pub const WSA_FLAG_OVERLAPPED: u32 = 0x01;
pub const WSA_FLAG_NO_HANDLE_INHERIT: u32 = 0x80;
pub const FIONBIO: i32 = @bitCast(@as(u32, 0x8004667e));
pub const SIO_GET_EXTENSION_FUNCTION_POINTER: u32 = 0xc8000006;
pub const SO_UPDATE_ACCEPT_CONTEXT: u32 = 0x700b;
pub const SO_UPDATE_CONNECT_CONTEXT: u32 = 0x7010;
pub const SO_PROTOCOL_INFOW: u32 = 0x2005;
pub const MSG_PEEK: i32 = 2;
/// The provider's sockets are handles of the system's, which no other layer has wrapped.
pub const XP1_IFS_HANDLES: u32 = 0x20000;

pub const connect_ex_id: GUID = .{
    .Data1 = 0x25a207b9,
    .Data2 = 0xddf3,
    .Data3 = 0x4660,
    .Data4 = .{ 0x8e, 0xe9, 0x76, 0xe5, 0x8c, 0x74, 0x06, 0x3e },
};

pub const ConnectEx = *const fn (
    socket: SOCKET,
    name: *const ws2_32.sockaddr,
    name_len: i32,
    send_buffer: ?*const anyopaque,
    send_len: u32,
    sent: ?*u32,
    overlapped: *OVERLAPPED,
) callconv(.winapi) i32;

pub extern "ws2_32" fn WSAStartup(version: u16, data: *ws2_32.WSADATA) callconv(.winapi) i32;
pub extern "ws2_32" fn WSAGetLastError() callconv(.winapi) u32;
pub extern "ws2_32" fn WSASocketW(
    family: i32,
    kind: i32,
    protocol: i32,
    info: ?*const anyopaque,
    group: u32,
    flags: u32,
) callconv(.winapi) SOCKET;
pub extern "ws2_32" fn closesocket(socket: SOCKET) callconv(.winapi) i32;
pub extern "ws2_32" fn ioctlsocket(socket: SOCKET, command: i32, value: *u32) callconv(.winapi) i32;
pub extern "ws2_32" fn bind(
    socket: SOCKET,
    name: *const ws2_32.sockaddr,
    len: i32,
) callconv(.winapi) i32;
pub extern "ws2_32" fn listen(socket: SOCKET, backlog: i32) callconv(.winapi) i32;
pub extern "ws2_32" fn connect(
    socket: SOCKET,
    name: *const ws2_32.sockaddr,
    len: i32,
) callconv(.winapi) i32;
pub extern "ws2_32" fn accept(
    socket: SOCKET,
    name: ?*ws2_32.sockaddr,
    len: ?*i32,
) callconv(.winapi) SOCKET;
pub extern "ws2_32" fn getsockname(
    socket: SOCKET,
    name: *ws2_32.sockaddr,
    len: *i32,
) callconv(.winapi) i32;
pub extern "ws2_32" fn setsockopt(
    socket: SOCKET,
    level: i32,
    option: i32,
    value: [*]const u8,
    len: i32,
) callconv(.winapi) i32;
pub extern "ws2_32" fn getsockopt(
    socket: SOCKET,
    level: i32,
    option: i32,
    value: [*]u8,
    len: *i32,
) callconv(.winapi) i32;
pub extern "ws2_32" fn shutdown(socket: SOCKET, how: i32) callconv(.winapi) i32;
pub extern "ws2_32" fn recv(
    socket: SOCKET,
    buffer: [*]u8,
    len: i32,
    flags: i32,
) callconv(.winapi) i32;
pub extern "ws2_32" fn send(
    socket: SOCKET,
    buffer: [*]const u8,
    len: i32,
    flags: i32,
) callconv(.winapi) i32;
/// As `select` takes them: one socket, or none.
pub const SocketSet = extern struct {
    count: u32,
    sockets: [1]SOCKET,

    pub fn of(socket: SOCKET, is_in: bool) SocketSet {
        return .{ .count = @intFromBool(is_in), .sockets = .{socket} };
    }
};

pub const TimeValue = extern struct {
    seconds: i32,
    microseconds: i32,

    pub fn ofMs(ms: u31) TimeValue {
        return .{
            .seconds = ms / std.time.ms_per_s,
            .microseconds = ms % std.time.ms_per_s * std.time.us_per_ms,
        };
    }
};

/// `count` is not read. How many sockets are ready is answered, or -1.
pub extern "ws2_32" fn select(
    count: i32,
    readable: *SocketSet,
    writable: *SocketSet,
    failed: *SocketSet,
    timeout: *const TimeValue,
) callconv(.winapi) i32;
pub extern "ws2_32" fn WSARecv(
    socket: SOCKET,
    buffers: [*]const Buffer,
    count: u32,
    received: ?*u32,
    flags: *u32,
    overlapped: ?*OVERLAPPED,
    routine: ?*const anyopaque,
) callconv(.winapi) i32;
pub extern "ws2_32" fn WSASend(
    socket: SOCKET,
    buffers: [*]const Buffer,
    count: u32,
    sent: ?*u32,
    flags: u32,
    overlapped: ?*OVERLAPPED,
    routine: ?*const anyopaque,
) callconv(.winapi) i32;
pub extern "ws2_32" fn WSAIoctl(
    socket: SOCKET,
    code: u32,
    in: ?*const anyopaque,
    in_len: u32,
    out: ?*anyopaque,
    out_len: u32,
    returned: *u32,
    overlapped: ?*OVERLAPPED,
    routine: ?*const anyopaque,
) callconv(.winapi) i32;
pub extern "ws2_32" fn getaddrinfo(
    name: [*:0]const u8,
    service: ?[*:0]const u8,
    hints: *const ws2_32.addrinfo,
    found: *?*ws2_32.addrinfo,
) callconv(.winapi) i32;
pub extern "ws2_32" fn freeaddrinfo(found: *ws2_32.addrinfo) callconv(.winapi) void;
pub extern "mswsock" fn AcceptEx(
    listener: SOCKET,
    socket: SOCKET,
    output: [*]u8,
    receive_len: u32,
    local_len: u32,
    remote_len: u32,
    received: *u32,
    overlapped: *OVERLAPPED,
) callconv(.winapi) i32;
pub extern "mswsock" fn GetAcceptExSockaddrs(
    output: [*]const u8,
    receive_len: u32,
    local_len: u32,
    remote_len: u32,
    local: **ws2_32.sockaddr,
    local_actual: *i32,
    remote: **ws2_32.sockaddr,
    remote_actual: *i32,
) callconv(.winapi) void;
pub extern "mswsock" fn TransmitFile(
    socket: SOCKET,
    file: HANDLE,
    bytes: u32,
    bytes_per_send: u32,
    overlapped: ?*OVERLAPPED,
    head_and_tail: ?*const anyopaque,
    flags: u32,
) callconv(.winapi) i32;

// The kernel's.

pub extern "kernel32" fn GetLastError() callconv(.winapi) u32;
pub extern "kernel32" fn CloseHandle(handle: HANDLE) callconv(.winapi) i32;
pub extern "kernel32" fn CreateIoCompletionPort(
    handle: HANDLE,
    port: ?HANDLE,
    key: usize,
    threads: u32,
) callconv(.winapi) ?HANDLE;
pub extern "kernel32" fn GetQueuedCompletionStatusEx(
    port: HANDLE,
    entries: [*]OverlappedEntry,
    count: u32,
    removed: *u32,
    timeout_ms: u32,
    alertable: i32,
) callconv(.winapi) i32;
pub extern "kernel32" fn PostQueuedCompletionStatus(
    port: HANDLE,
    bytes: u32,
    key: usize,
    overlapped: ?*OVERLAPPED,
) callconv(.winapi) i32;
pub extern "kernel32" fn CancelIoEx(
    handle: HANDLE,
    overlapped: ?*OVERLAPPED,
) callconv(.winapi) i32;
pub const FILE_SKIP_COMPLETION_PORT_ON_SUCCESS: u8 = 1;
pub const FILE_SKIP_SET_EVENT_ON_HANDLE: u8 = 2;
pub extern "kernel32" fn SetFileCompletionNotificationModes(
    handle: HANDLE,
    flags: u8,
) callconv(.winapi) i32;
pub extern "ntdll" fn RtlNtStatusToDosError(status: u32) callconv(.winapi) u32;
pub extern "kernel32" fn GetStdHandle(which: u32) callconv(.winapi) ?HANDLE;
pub extern "kernel32" fn ReadFile(
    file: HANDLE,
    buffer: [*]u8,
    len: u32,
    read: *u32,
    overlapped: ?*OVERLAPPED,
) callconv(.winapi) i32;
pub extern "kernel32" fn WriteFile(
    file: HANDLE,
    buffer: [*]const u8,
    len: u32,
    written: *u32,
    overlapped: ?*OVERLAPPED,
) callconv(.winapi) i32;

/// The same, FILE_TRAVERSE and FILE_LIST_DIRECTORY.
pub const access_list_and_look: u32 = 0x0010_0000 | 0x80 | 0x20 | 0x01;
/// SYNCHRONIZE, FILE_READ_ATTRIBUTES and FILE_READ_DATA.
pub const access_read: u32 = 0x0010_0000 | 0x80 | 0x01;
pub const share_all: u32 = 0x07;
pub const OPEN_EXISTING: u32 = 3;
pub const CREATE_NEW: u32 = 1;
/// SYNCHRONIZE, FILE_WRITE_DATA and FILE_READ_ATTRIBUTES.
pub const access_write: u32 = 0x0010_0000 | 0x80 | 0x02;
pub const FILE_OPEN: u32 = 1;
pub const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
pub const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
pub const FILE_DIRECTORY_FILE: u32 = 0x01;
pub const FILE_SYNCHRONOUS_IO_NONALERT: u32 = 0x20;
pub const FILE_ATTRIBUTE_DIRECTORY: u32 = 0x10;
pub const FILE_TYPE_DISK: u32 = 1;

pub extern "kernel32" fn CreateFileW(
    name: [*:0]const u16,
    access: u32,
    share: u32,
    security: ?*const anyopaque,
    disposition: u32,
    flags: u32,
    template: ?HANDLE,
) callconv(.winapi) HANDLE;
pub extern "ntdll" fn NtCreateFile(
    file: *HANDLE,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    status: *IO_STATUS_BLOCK,
    size: ?*const i64,
    file_attributes: u32,
    share: u32,
    disposition: u32,
    options: u32,
    extended: ?*const anyopaque,
    extended_len: u32,
) callconv(.winapi) u32;
pub extern "kernel32" fn CreateDirectoryW(
    name: [*:0]const u16,
    security: ?*anyopaque,
) callconv(.winapi) i32;
pub extern "kernel32" fn FlushFileBuffers(file: HANDLE) callconv(.winapi) i32;
pub extern "kernel32" fn MoveFileExW(
    from: [*:0]const u16,
    to: [*:0]const u16,
    flags: u32,
) callconv(.winapi) i32;
pub extern "kernel32" fn GetEnvironmentVariableW(
    name: [*:0]const u16,
    out: [*]u16,
    len: u32,
) callconv(.winapi) u32;
pub extern "kernel32" fn GetComputerNameExW(
    kind: i32,
    out: [*]u16,
    len: *u32,
) callconv(.winapi) i32;
pub extern "kernel32" fn DeleteFileW(name: [*:0]const u16) callconv(.winapi) i32;
pub extern "kernel32" fn GetFileType(file: HANDLE) callconv(.winapi) u32;

pub const FileInformation = extern struct {
    attributes: u32,
    created: [2]u32,
    accessed: [2]u32,
    written: [2]u32,
    volume: u32,
    size: [2]u32,
    links: u32,
    index: [2]u32,
};
pub extern "kernel32" fn GetFileInformationByHandle(
    file: HANDLE,
    information: *FileInformation,
) callconv(.winapi) i32;

/// FILE_BASIC_INFO: times in units of 100 ns since 1601.
pub const BasicInformation = extern struct {
    created: i64,
    accessed: i64,
    written: i64,
    changed: i64,
    attributes: u32,
};
pub extern "kernel32" fn GetFileInformationByHandleEx(
    file: HANDLE,
    class: u32,
    information: *anyopaque,
    len: u32,
) callconv(.winapi) i32;
pub const VOLUME_NAME_NT: u32 = 2;
pub extern "kernel32" fn GetFinalPathNameByHandleW(
    file: HANDLE,
    path: [*]u16,
    len: u32,
    flags: u32,
) callconv(.winapi) u32;
pub extern "kernel32" fn GetCurrentDirectoryW(len: u32, path: [*]u16) callconv(.winapi) u32;

pub const MEM_COMMIT: u32 = 0x1000;
pub const MEM_RESERVE: u32 = 0x2000;
pub const MEM_DECOMMIT: u32 = 0x4000;
pub const MEM_RELEASE: u32 = 0x8000;
pub const PAGE_READWRITE: u32 = 0x04;
pub extern "kernel32" fn VirtualAlloc(
    place: ?*anyopaque,
    len: usize,
    kind: u32,
    rights: u32,
) callconv(.winapi) ?*anyopaque;
pub extern "kernel32" fn VirtualFree(
    place: *anyopaque,
    len: usize,
    kind: u32,
) callconv(.winapi) i32;

pub extern "kernel32" fn Sleep(ms: u32) callconv(.winapi) void;
pub extern "kernel32" fn GetTickCount64() callconv(.winapi) u64;
/// Units of 100 ns since 1601.
pub extern "kernel32" fn GetSystemTimeAsFileTime(time: *[2]u32) callconv(.winapi) void;
pub extern "advapi32" fn SystemFunction036(buffer: [*]u8, len: u32) callconv(.winapi) u8;
pub extern "kernel32" fn GetCurrentProcess() callconv(.winapi) HANDLE;
pub extern "kernel32" fn GetCurrentThread() callconv(.winapi) HANDLE;
pub extern "kernel32" fn GetProcessAffinityMask(
    process: HANDLE,
    own: *usize,
    machine: *usize,
) callconv(.winapi) i32;
pub extern "kernel32" fn SetThreadAffinityMask(thread: HANDLE, mask: usize) callconv(.winapi) usize;

pub extern "kernel32" fn GetActiveProcessorCount(group: u16) callconv(.winapi) u32;

pub const CTRL_C_EVENT: u32 = 0;
pub const CTRL_BREAK_EVENT: u32 = 1;
pub const CTRL_CLOSE_EVENT: u32 = 2;
pub const CTRL_SHUTDOWN_EVENT: u32 = 6;
pub const ConsoleHandler = *const fn (event: u32) callconv(.winapi) i32;
pub extern "kernel32" fn SetConsoleCtrlHandler(
    handler: ?ConsoleHandler,
    add: i32,
) callconv(.winapi) i32;
pub extern "kernel32" fn CreateSemaphoreW(
    security: ?*const anyopaque,
    initial: i32,
    most: i32,
    name: ?[*:0]const u16,
) callconv(.winapi) ?HANDLE;
pub extern "kernel32" fn ReleaseSemaphore(
    semaphore: HANDLE,
    count: i32,
    before: ?*i32,
) callconv(.winapi) i32;
pub extern "kernel32" fn WaitForSingleObject(object: HANDLE, ms: u32) callconv(.winapi) u32;
