//! The I/O interface: completion-shaped, with one implementation per facility of a system, chosen
//! when the server starts, and one over a simulated network.
//!
//! A backend is a value that belongs to one thread, but for what is said to be any thread's.
//! Sockets are named by a `Token` that their owner picks. The owner keeps a `Stream` for each, that
//! is the backend's, and answers `context.stream(token)` with it: with null when it is stale.
//!
//! `check` holds a backend to its operations, `checkContext` an owner to what is called back.

const builtin = @import("builtin");
const std = @import("std");
const Allocator = std.mem.Allocator;
const posix = std.posix;
const Address = @import("../core/address.zig").Address;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const Id = @import("../core/slots.zig").Id;
const sealing = @import("../core/sealing.zig");
const system = @import("../core/system.zig");

const is_windows = builtin.os.tag == .windows;

/// What the configuration may ask for. `auto` takes what measurement says is best on this system.
pub const Kind = enum { auto, epoll, io_uring, kqueue, iocp };

pub const Options = struct {
    /// Where a system has several, one of those that it has.
    backend: Backend = .epoll,
    /// What one receive may bring, bytes.
    receive_buffer_bytes: u32,
    /// Large memory is sent from where it is, by a backend that can.
    zero_copy: bool = false,
    /// For how long a poll looks for events before it sleeps, µs.
    busy_poll_us: u32 = 0,
};

/// The backends of all systems. choose.zig knows which of them this one has.
pub const Backend = enum { epoll, io_uring, kqueue, iocp };

/// Names a socket to its backend, and to its owner in callbacks. The generation tells the uses of a
/// slot apart: what a system completes late finds nobody.
pub const Token = packed struct(u64) {
    slot: u32,
    generation: u28 = 0,
    kind: Of,

    pub const Of = enum(u4) {
        /// A connection that a listener brought.
        accepted,
        /// A connection that was made from here.
        outbound,
        listener,
        datagram,
        /// The backend's own.
        internal,
        _,
    };

    pub fn of(kind: Of, ident: Id) Token {
        return .{ .slot = ident.slot, .generation = ident.generation, .kind = kind };
    }

    /// The slot that the socket is kept in.
    pub fn id(self: Token) Id {
        return .{ .slot = self.slot, .generation = self.generation };
    }
};

/// What ends a backend's poll from any other thread. It can be told to JavaScript as a number. How
/// it is rung is the backend's affair.
pub const Bell = enum(isize) {
    none = -1,
    _,

    pub fn ofDescriptor(fd: system.File) Bell {
        return @enumFromInt(system.numberOf(fd));
    }

    pub fn descriptor(self: Bell) system.File {
        if (is_windows) return system.ofNumber(@intCast(@intFromEnum(self)));
        return @truncate(@intFromEnum(self));
    }

    /// What JavaScript knows it by. Where a descriptor is a number, it is that one.
    pub fn number(self: Bell) i32 {
        return @truncate(@intFromEnum(self));
    }

    /// A bell that `ring` takes as well.
    pub fn ofNumber(its: i32) Bell {
        return @enumFromInt(its);
    }
};

/// What backends of one system keep of a socket, so that which of them runs can be chosen when the
/// server starts.
pub const Stream = struct {
    /// -1: there is no socket, or it has been closed.
    fd: system.File = system.no_file,
    /// The backend's notes; 0 in a fresh one.
    notes: u32 = 0,
    token: Token = .{ .slot = 0, .kind = .internal },
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

/// What a full socket is to be sent next.
pub const Output = union(enum) {
    /// The bytes stay where they are, as they are, until `onSent`, or the end of the stream's
    /// close. The array of iovecs need not: it is read during the call.
    memory: []const posix.iovec_const,
    /// The file stays open as long.
    file: FileRange,
};

/// A range of an open file, bytes.
pub const FileRange = struct { fd: system.File, offset: u64, length: u64 };

/// What became of a connection that was begun from here.
pub const Connecting = union(enum) {
    connected,
    /// There is none, and there will be none. The stream is to be closed all the same.
    failed: system.Error,
};

/// A new socket, connected and not blocking. Whoever has it closes it, or opens a stream for it.
pub const Accepted = struct {
    fd: system.Socket,
    peer: Address,
    /// The number of the listener that it came in by. The acceptor notes it.
    listener: u16 = 0,
};

pub const AcceptError = union(enum) {
    /// Out of descriptors or memory: the listener stays ready; pause it.
    exhausted,
    /// Try after try fails although the listener is well (a filter forbids accept4): pause it.
    refused: system.Error,
    /// The listener itself is broken, and stays so.
    fatal: system.Error,

    /// What an answer to accepting means, other than that nobody waits. A client that has left and
    /// a passing fault of the network are told in the place of a connection (accept(2)), by errors
    /// that differ from system to system: `refused`, of which only many together are told.
    pub fn of(err: system.Error) AcceptError {
        return switch (err) {
            error.ProcessFdQuotaExceeded,
            error.SystemFdQuotaExceeded,
            error.SystemResources,
            => .exhausted,
            error.BadDescriptor, error.InvalidArgument, error.NotASocket => .{ .fatal = err },
            else => .{ .refused = err },
        };
    }
};

/// What became of a close.
pub const Closing = enum {
    /// The socket is gone, and its stream is the owner's again.
    closed,
    /// Operations of the system's are under way: `onClosed` tells when they have ended, in a later
    /// poll. Nothing else is told of the token, and the stream stays where it is until then.
    under_way,
};

/// Stands for `context: anytype`.
const Context = opaque {};
/// Stands for the backend itself: a pointer to it, also to a constant one.
const Self = opaque {};

const Operation = struct { []const u8, []const type, type };

/// The operations of a backend `B`, all on the thread that it belongs to unless they say otherwise.
fn operations(comptime B: type) []const Operation {
    const Its = *B.Stream;
    return &.{
        .{ "init", &.{ Allocator, Options }, B },
        .{ "deinit", &.{Self}, void },

        // Starts receiving on a connected socket, which must not block. After an error the
        // descriptor is the caller's as before.
        .{ "open", &.{ Self, Its, system.Socket, Token }, void },
        // Begins a connection to an endpoint. `onConnected` tells, in a later poll, what became of
        // it; with `connected` the stream is as after `open`. Until then it can only be closed.
        // After an error there is no stream. The token's kind is `outbound`.
        .{ "connect", &.{ Self, Its, *const Endpoint, Token }, void },
        // The only place that closes the descriptor.
        .{ "close", &.{ Self, Its }, Closing },
        // The same with a reset: the peer sees that bytes lack.
        .{ "abort", &.{ Self, Its }, Closing },
        // FIN.
        .{ "shutdownSend", &.{ Self, Its }, void },

        // Stop and restart receiving. A reset is told all the same, and once, where the system
        // knows it, the peer's end (`eof_ahead`).
        .{ "pauseRecv", &.{ Self, Its }, void },
        .{ "resumeRecv", &.{ Self, Its }, void },
        // Calls `onRecv` with what is there, if anything is.
        .{ "receiveNow", &.{ Self, Its, Context }, void },
        // Bytes, or the end, can be received now.
        .{ "hasInput", &.{ Self, *const B.Stream }, bool },

        // Now, as much as goes. `more`: other bytes follow at once.
        .{ "send", &.{ Self, Its, []const posix.iovec_const, bool }, SendResult },
        // A range of a file, now, as much as goes: its length bounds how long that may take.
        .{ "sendFile", &.{ Self, Its, system.File, u64, u64 }, SendResult },
        // The socket is full: asks for one `onSent`, when it takes bytes again. A backend may have
        // the system send of `output` what it will meanwhile, and tells then how much that was.
        // Nothing else is sent before.
        .{ "sendLater", &.{ Self, Its, Output }, void },
        // From here on the system seals in TLS's records what is sent, for as long as the socket
        // is there. False: it does not, and everything is as it was.
        .{ "sealSends", &.{ Self, Its, *const sealing.Keys }, bool },
        // After that: a record that is no data, whole or not at all. Where the socket is full,
        // `sendLater` with no memory asks for `onSent`.
        .{ "sendSealed", &.{ Self, Its, *const sealing.Message }, SendResult },
        // Sent and not acknowledged by the peer, bytes; 0 where that is not known.
        .{ "inFlight", &.{ Self, *const B.Stream }, u64 },

        // Starts accepting. The token's kind is `listener`.
        .{ "listen", &.{ Self, Its, system.Socket, Token }, void },
        .{ "pauseAccept", &.{ Self, Its }, void },
        .{ "resumeAccept", &.{ Self, Its }, void },
        .{ "closeListener", &.{ Self, Its }, void },
        // Accepts now what waits, a batch at most. True when there may be more.
        .{ "acceptBatch", &.{ Self, Its, Context }, bool },
        // For a socket from `onAccept` that no stream was opened for.
        .{ "closeAccepted", &.{ Self, system.Socket }, void },

        // Waits, milliseconds at most (-1: for ever), and calls back. True when there may be more.
        .{ "poll", &.{ Self, i32, Context }, bool },
        // What ends a poll.
        .{ "bell", &.{Self}, Bell },
        // Any thread: ends the poll that is under way, or else the next. There is no backend at
        // hand where this is called.
        .{ "ring", &.{Bell}, void },
        // Any thread: a clock that never goes back.
        .{ "nowMs", &.{Self}, u64 },
        // Since 1970-01-01 UTC.
        .{ "wallSeconds", &.{Self}, i64 },
        // What it has beside what `Allocator` gave it, bytes.
        .{ "memoryBytes", &.{Self}, usize },
    };
}

/// What a poll calls on its context `C`, which is the owner of the streams.
fn callbacks(comptime B: type) []const Operation {
    return &.{
        // The stream of a token, also of one whose close is under way; null when it is stale.
        .{ "stream", &.{ Self, Token }, ?*B.Stream },
        // Whether its events are to be told now, or in a later poll: for which those have to wait
        // that come in this one, too. Not asked of a listener.
        .{ "isServed", &.{ Self, Token }, bool },
        // The wait is over; once for each poll, before the others.
        .{ "onAwake", &.{Self}, void },
        .{ "onRecv", &.{ Self, Token, RecvResult }, void },
        // After `sendLater`, once: so many bytes of its output were sent. 0: send them now.
        .{ "onSent", &.{ Self, Token, u64 }, void },
        // The end of a close that was under way.
        .{ "onClosed", &.{ Self, Token }, void },
    };
}

/// What a backend needs as well that may lose track of its streams.
fn enumeration(comptime B: type) []const Operation {
    return &.{
        // The first stream in use from slot `from` on, which is moved behind it; null at the end.
        .{ "nextStream", &.{ Self, *u32 }, ?*B.Stream },
    };
}

/// What is called as well on a context that has listeners.
const accept_callbacks = [_]Operation{
    .{ "onAccept", &.{ Self, Token, Accepted }, void },
    // Asked before each socket of a batch.
    .{ "wantsMore", &.{ Self, Token }, bool },
    .{ "onAcceptFailed", &.{ Self, Token, AcceptError }, void },
};

/// What is called as well on a context that connects.
const connect_callbacks = [_]Operation{
    .{ "onConnected", &.{ Self, Token, Connecting }, void },
};

/// Whether there may be listeners among the streams of a context.
pub fn accepts(comptime C: type) bool {
    return @hasDecl(C, "onAccept");
}

/// Whether a context may have begun connections.
pub fn connects(comptime C: type) bool {
    return @hasDecl(C, "onConnected") and @TypeOf(C.onConnected) != void;
}

/// Compile error unless `B` has every operation with the types that are named here.
pub fn check(comptime B: type) void {
    if (!@hasDecl(B, "Stream")) @compileError(@typeName(B) ++ " lacks `Stream`");
    checkAll(B, operations(B));
}

/// Compile error unless a backend `B` can call `C` back.
pub fn checkContext(comptime B: type, comptime C: type) void {
    checkAll(C, callbacks(B));
    if (accepts(C)) checkAll(C, &accept_callbacks);
    if (connects(C)) checkAll(C, &connect_callbacks);
}

/// Compile error unless `B` can ask `C` for all of its streams.
pub fn checkEnumerable(comptime B: type, comptime C: type) void {
    checkAll(C, enumeration(B));
}

fn checkAll(comptime T: type, comptime list: []const Operation) void {
    for (list) |operation| {
        const name, const params, const returns = operation;
        const what = "`" ++ @typeName(T) ++ "." ++ name ++ "` ";
        if (!@hasDecl(T, name)) @compileError(what ++ "is missing: see io/io.zig");
        const Fn = @TypeOf(@field(T, name));
        if (@typeInfo(Fn) != .@"fn") @compileError(what ++ "is no function");
        const info = @typeInfo(Fn).@"fn";
        if (info.params.len != params.len) @compileError(what ++ std.fmt.comptimePrint(
            "takes {d} parameters, not {d}",
            .{ info.params.len, params.len },
        ));
        for (info.params, params) |has, wants| {
            if (!matches(T, has.type, wants)) @compileError(what ++ "takes " ++
                (if (has.type) |Has| @typeName(Has) else "anytype") ++ " where it is given " ++
                @typeName(wants));
        }
        const Has = info.return_type orelse continue; // not told of a generic function
        const Returns = switch (@typeInfo(Has)) {
            .error_union => |either| either.payload,
            else => Has,
        };
        if (Returns != returns) @compileError(what ++ "returns " ++ @typeName(Returns) ++
            ", not " ++ @typeName(returns));
    }
}

fn matches(comptime T: type, comptime has: ?type, comptime wants: type) bool {
    return switch (wants) {
        Context => has == null,
        Self => has == *T or has == *const T,
        else => has == wants,
    };
}

test "a token keeps slot, generation and kind apart" {
    const ident: Id = .{ .slot = 7, .generation = std.math.maxInt(u28) };
    const token = Token.of(.outbound, ident);
    try std.testing.expectEqual(ident, token.id());
    try std.testing.expectEqual(.outbound, token.kind);
    try std.testing.expect(token != Token.of(.accepted, ident));
    try std.testing.expect(token != Token.of(.outbound, .{ .slot = 7, .generation = 1 }));
}

test "a client that has left costs a listener nothing, whatever the system calls that" {
    for ([_]system.Error{
        error.ConnectionAborted, // most systems
        error.ConnectionResetByPeer, // Windows
        error.ConnectionTimedOut,
        error.HostUnreachable,
        error.Interrupted,
        error.PermissionDenied,
        error.Unexpected,
    }) |err| try std.testing.expectEqual(AcceptError{ .refused = err }, AcceptError.of(err));
    for ([_]system.Error{ error.BadDescriptor, error.InvalidArgument, error.NotASocket }) |err|
        try std.testing.expectEqual(AcceptError{ .fatal = err }, AcceptError.of(err));
    try std.testing.expectEqual(.exhausted, AcceptError.of(error.SystemFdQuotaExceeded));
}
