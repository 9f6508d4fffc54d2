//! The I/O interface: completion-shaped, one implementation per system facility,
//! chosen when the server starts.
//!
//! A backend is a value that belongs to one thread. Streams are identified by a `token` that the
//! owner picks and the backend hands back; the owner answers `context.stream(token)` with the
//! stream, or null when the token is stale.
//!
//! `poll(timeout_ms, context) bool` waits, calls back, and tells whether there may be more already:
//!   context.onAwake()                     the wait is over; once per poll, before the others
//!   context.onRecv(token, RecvResult)     bytes in a buffer that the backend picked, valid during
//!                                         the call
//!   context.onSent(token, u64)            after `sendLater`: so much was taken (0: nothing yet,
//!                                         send again)
//!   context.onAccept(token, Accepted)     a new socket
//!   context.wantsMore(token) bool         asked before each socket of a batch
//!   context.onAcceptFailed(token, AcceptError)
//!
//! Operations of a backend `B`:
//!   B.init(gpa, Options) !B, deinit()
//!   open(*Stream, fd, token) !void        start receiving on a connected, non-blocking socket
//!   close(*Stream) void                   the only place that closes the descriptor
//!   abort(*Stream) void                   closes with a reset: the peer sees that bytes lack
//!   pauseRecv / resumeRecv(*Stream)       stop and restart receiving; a reset is told all the
//!                                         same, and once, where the system knows it, the peer's
//!                                         end (`eof_ahead`)
//!   receiveNow(*Stream, context)          calls onRecv with what is there, if anything is
//!   hasInput(*const Stream) bool          bytes, or the end, can be received now
//!   send(*Stream, iovecs, more) SendResult        now, as much as goes
//!   sendFile(*Stream, fd, offset, len) SendResult now, as much as goes: `len` bounds how long
//!                                         it may take
//!   sendLater(*Stream)                    ask for onSent when the socket takes bytes again
//!   inFlight(*const Stream) u64           sent and not acknowledged by the peer, bytes; 0 where
//!                                         that is not known
//!   shutdownSend(*Stream)                 FIN
//!   listen(*Stream, fd, token) !void, pauseAccept, resumeAccept, closeListener
//!   acceptBatch(*Stream, context) bool    accepts now what waits; true when there may be more
//!   closeAccepted(fd)                     for a socket from onAccept that no stream was opened for
//!   nowMs() u64                           a clock that never goes back; any thread
//!   wallSeconds() i64                     since 1970-01-01 UTC
//!   wakeDescriptor() fd                   any thread: an 8-byte write of 1 ends a poll
//!   signal(fd) void                       any thread: such a write (no `self`)

const std = @import("std");
const builtin = @import("builtin");
const posix = std.posix;
const Address = @import("../core/address.zig").Address;
const system = @import("../core/system.zig");

/// What the configuration may ask for. `auto` takes what measurement says is best on this system.
pub const Kind = enum { auto, epoll };

pub const Options = struct {
    /// What one receive may bring, bytes.
    receive_buffer_bytes: u32,
};

pub const RecvResult = union(enum) {
    /// In the backend's buffer: valid during the callback; the owner may write to it.
    bytes: []u8,
    /// The peer will send no more; it may still read.
    eof,
    /// While receiving is paused: the peer will send no more. What it has sent is still to be
    /// received, with `eof` behind it.
    eof_ahead,
    /// The connection is gone.
    failed,
};

pub const SendResult = union(enum) {
    /// Taken by the system, bytes; fewer than given means that the socket is full.
    sent: usize,
    /// The socket takes nothing now.
    would_block,
    /// The connection is gone.
    failed,
};

pub const Accepted = struct { fd: posix.socket_t, peer: Address };

pub const AcceptError = union(enum) {
    /// Out of descriptors or memory: the listener stays ready; pause it.
    exhausted,
    /// Try after try fails although the listener is well (a filter forbids accept4): pause it.
    refused: system.Error,
    /// The listener itself is broken, and stays so.
    fatal: system.Error,
};

/// Compile error unless `B` declares the whole interface.
pub fn check(comptime B: type) void {
    const names = .{
        "init",        "deinit",       "open",           "close",
        "pauseRecv",   "resumeRecv",   "send",           "sendFile",
        "sendLater",   "poll",         "shutdownSend",   "listen",
        "pauseAccept", "resumeAccept", "wakeDescriptor", "Stream",
        "hasInput",    "acceptBatch",  "closeAccepted",  "closeListener",
        "nowMs",       "wallSeconds",  "inFlight",       "signal",
        "abort",       "receiveNow",
    };
    inline for (names) |name| {
        if (!@hasDecl(B, name)) @compileError(@typeName(B) ++ " lacks `" ++ name ++
            "`: see io/io.zig for the interface");
    }
}

/// The backend that `kind` stands for on this system, and why, for the line printed at start.
pub fn choose(kind: Kind) struct { kind: Kind, reason: []const u8 } {
    return switch (kind) {
        .auto => .{ .kind = .epoll, .reason = "the fastest measured on Linux" },
        .epoll => .{ .kind = .epoll, .reason = "configured" },
    };
}
