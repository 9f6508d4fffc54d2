//! Why a server could not start, and what would help.

const builtin = @import("builtin");
const listeners_file = @import("../net/listeners.zig");

pub const StartError = listeners_file.Error || error{
    ThreadQuotaExceeded,
    WorkerStartFailed,
    /// The backend has nothing that another loop could wait for.
    NotDriven,
    /// Certificates, or what goes with them, cannot be used.
    TlsRefused,
    /// Compression is asked for, and is not part of the program.
    DeflateMissing,
};

/// What is told of a start that failed.
pub const Trouble = struct {
    message: []const u8,
    /// What helps.
    hint: []const u8,

    /// Null where an address or a certificate is at fault: that has been told in words.
    pub fn of(err: StartError) ?Trouble {
        return switch (err) {
            error.AddressInUse,
            error.AccessDenied,
            error.AddressNotAvailable,
            error.AddressInvalid,
            error.UnknownHost,
            error.TlsRefused,
            error.DeflateMissing,
            => null,
            error.OutOfMemory => .{
                .message = "There is not enough memory",
                .hint = "smaller pools, or fewer workers",
            },
            error.SystemResources => .{
                .message = "There are no descriptors left, or no memory of the kernel",
                .hint = "a higher limit of open files (ulimit -n), or fewer workers",
            },
            error.ThreadQuotaExceeded => .{
                .message = "A thread could not be started",
                .hint = "fewer workers, or a higher limit of threads (ulimit -u; pids.max of a " ++
                    "container); a sandbox must allow clone and clone3",
            },
            error.WorkerStartFailed => .{
                .message = "A worker could not be started",
                .hint = "the log tells why",
            },
            error.NotDriven => .{
                .message = "This backend cannot be waited for in a loop of others",
                .hint = "epoll or io_uring; or a thread for the worker",
            },
            error.Unexpected => .{
                .message = "The system refused what the engine needs",
                .hint = if (builtin.os.tag == .linux)
                    "the log tells what; a sandbox must allow epoll and eventfd"
                else
                    "the log tells what",
            },
        };
    }
};
