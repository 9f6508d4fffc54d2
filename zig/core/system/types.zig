//! What the calls of every system take and give.

const builtin = @import("builtin");
const std = @import("std");
const posix = std.posix;

const is_windows = builtin.os.tag == .windows;

/// An open file, a directory or a pipe.
pub const File = posix.fd_t;
/// Where there is no file.
pub const no_file: File = if (is_windows) std.os.windows.INVALID_HANDLE_VALUE else -1;

/// Where a process writes what it has to say. Windows is asked for them by these numbers.
pub const standard_output: File = if (is_windows) @ptrFromInt(0xffff_fff5) else 1;
pub const standard_error: File = if (is_windows) @ptrFromInt(0xffff_fff4) else 2;

/// What a descriptor is counted by in a table: small, and no other's while it is open.
pub fn numberOf(file: File) u32 {
    // A handle of Windows is a multiple of four.
    return if (is_windows) @intCast(@intFromPtr(file) / 4) else @intCast(file);
}

/// The descriptor that has this number.
pub fn ofNumber(number: u32) File {
    return if (is_windows) @ptrFromInt(@as(usize, number) * 4) else @intCast(number);
}

pub const Socket = posix.socket_t;
/// Where there is no socket.
pub const no_socket: Socket = if (is_windows) std.os.windows.ws2_32.INVALID_SOCKET else -1;

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
    /// A pipe or a device, where a file is to be.
    NoFile,
    NoDevice,
    NoSpaceLeft,
    NoSuchProcess,
    NotASocket,
    NotDir,
    /// A file that another user has, or may read or write.
    NotPrivate,
    NotSupported,
    PathAlreadyExists,
    PermissionDenied,
    ProcessFdQuotaExceeded,
    ProtocolFailure,
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

/// What a file is, and which: no two that exist have the same device and inode.
pub const Stat = struct {
    kind: enum { file, directory, socket, other },
    /// Bytes.
    size: u64,
    device: u64,
    inode: u64,
    /// The last change of the content, as the file says: since 1970.
    modified_ns: i128,
    /// The last change of content or inode.
    changed_ns: i128,
};

/// Open files of a process.
pub const FileLimit = struct {
    now: u64,
    /// As far as it may be raised.
    most: u64,
};

/// What a socket stops doing.
pub const Direction = enum(i32) { receive = 0, send = 1, both = 2 };

pub const SpawnError = error{ OutOfMemory, ThreadQuotaExceeded };
