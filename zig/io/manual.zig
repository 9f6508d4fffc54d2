//! A backend that a test moves by hand: a clock that stands still until it is set, one connected
//! socket, a listener whose sockets and failures are listed. For what takes hours, and for what a
//! kernel does not do on request.

const std = @import("std");
const posix = std.posix;
const Address = @import("../core/address.zig").Address;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const sealing = @import("../core/sealing.zig");
const io = @import("io.zig");

pub const Manual = struct {
    /// Milliseconds. All backends of a thread share the clock.
    pub threadlocal var clock_ms: u64 = 0;

    /// Of the socket that was opened last.
    token: io.Token = .{ .slot = 0, .kind = .internal },
    is_open: bool = false,
    wants_recv: bool = false,
    /// Sending on this descriptor fails.
    broken_fd: ?posix.fd_t = null,
    /// What the socket takes before it is full, bytes.
    room: usize = std.math.maxInt(usize),
    /// What the peer has not acknowledged of what was taken, bytes.
    in_flight: u64 = 0,
    /// The last bytes that were taken.
    sent: std.BoundedArray(u8, 1024) = .{},
    /// What accepting brings, one after the other; nothing more behind them.
    incoming: []const Incoming = &.{},
    /// What the last `sendLater` was given.
    later: ?io.Output = null,
    /// The listener, by its number, that brings them.
    incoming_at: u32 = 0,
    closed_listeners: u32 = 0,
    wants_accept: bool = true,
    /// What connections receive, one of them with each poll.
    ready: []const Ready = &.{},
    /// Descriptors that were closed without having been opened.
    closed_unopened: u32 = 0,

    pub const Ready = struct { token: io.Token, bytes: []const u8 };
    pub const Incoming = union(enum) { peer: Address, failure: io.AcceptError };
    pub const Stream = struct { fd: posix.fd_t = -1 };

    pub fn init(_: std.mem.Allocator, _: io.Options) error{OutOfMemory}!Manual {
        return .{};
    }
    pub fn deinit(_: *Manual) void {}
    pub fn bell(_: *const Manual) io.Bell {
        return .none;
    }
    pub fn ring(_: io.Bell) void {}
    pub fn nowMs(_: *const Manual) u64 {
        return clock_ms;
    }
    pub fn wallSeconds(_: *const Manual) i64 {
        return @intCast(clock_ms / 1000);
    }
    pub fn memoryBytes(_: *const Manual) usize {
        return 0;
    }

    pub fn open(self: *Manual, stream: *Stream, fd: posix.fd_t, token: io.Token) error{}!void {
        stream.fd = fd;
        self.token = token;
        self.is_open = true;
        self.wants_recv = true;
    }
    pub fn connect(
        self: *Manual,
        stream: *Stream,
        _: *const Endpoint,
        token: io.Token,
    ) error{}!void {
        try self.open(stream, 8, token);
    }
    pub fn close(self: *Manual, stream: *Stream) io.Closing {
        stream.* = .{};
        self.is_open = false;
        return .closed;
    }
    pub fn pauseRecv(self: *Manual, _: *Stream) void {
        self.wants_recv = false;
    }
    pub fn resumeRecv(self: *Manual, _: *Stream) void {
        self.wants_recv = true;
    }
    pub fn receiveNow(_: *Manual, _: *Stream, _: anytype) void {}
    pub fn hasInput(_: *Manual, _: *const Stream) bool {
        return false;
    }
    pub fn sendLater(self: *Manual, _: *Stream, output: io.Output) void {
        self.later = output;
    }
    pub fn shutdownSend(_: *Manual, _: *Stream) void {}
    pub fn inFlight(self: *Manual, _: *const Stream) u64 {
        return self.in_flight;
    }

    pub fn send(
        self: *Manual,
        stream: *Stream,
        iovecs: []const posix.iovec_const,
        _: bool,
    ) io.SendResult {
        if (self.broken_fd) |fd| if (fd == stream.fd) return .failed;
        if (self.room == 0) return .would_block;
        var taken: usize = 0;
        for (iovecs) |iovec| {
            const n = @min(iovec.len, self.room);
            self.room -= n;
            taken += n;
            const kept = @min(n, self.sent.buffer.len);
            if (self.sent.len + kept > self.sent.buffer.len) self.sent.clear();
            self.sent.appendSliceAssumeCapacity(iovec.base[n - kept .. n]);
        }
        self.in_flight += taken;
        return .{ .sent = taken };
    }
    pub fn sealSends(_: *Manual, _: *Stream, _: *const sealing.Keys) bool {
        return false;
    }
    pub fn sendSealed(_: *Manual, _: *Stream, _: *const sealing.Message) io.SendResult {
        return .failed;
    }
    pub fn sendFile(_: *Manual, _: *Stream, _: posix.fd_t, _: u64, _: u64) io.SendResult {
        return .failed;
    }

    pub fn listen(_: *Manual, stream: *Stream, fd: posix.fd_t, _: io.Token) error{}!void {
        stream.fd = fd;
    }
    pub fn closeListener(self: *Manual, stream: *Stream) void {
        stream.* = .{};
        self.closed_listeners += 1;
    }
    pub fn pauseAccept(self: *Manual, _: *Stream) void {
        self.wants_accept = false;
    }
    pub fn resumeAccept(self: *Manual, _: *Stream) void {
        self.wants_accept = true;
    }
    fn listenerToken(self: *const Manual) io.Token {
        return .{ .slot = self.incoming_at, .kind = .listener };
    }
    pub fn acceptBatch(self: *Manual, stream: *Stream, context: anytype) bool {
        const token = self.listenerToken();
        if (context.stream(token) != stream) return false;
        while (self.incoming.len > 0 and context.wantsMore(token)) {
            const next = self.incoming[0];
            self.incoming = self.incoming[1..];
            switch (next) {
                .peer => |peer| context.onAccept(token, .{ .fd = 9, .peer = peer }),
                .failure => |failure| {
                    context.onAcceptFailed(token, failure);
                    return false;
                },
            }
        }
        return false;
    }
    pub fn abort(self: *Manual, stream: *Stream) io.Closing {
        return self.close(stream);
    }

    pub fn closeAccepted(self: *Manual, _: posix.fd_t) void {
        self.closed_unopened += 1;
    }

    /// Brings what waits to be accepted, or the next of `ready`. True when there may be more.
    pub fn poll(self: *Manual, _: i32, context: anytype) bool {
        context.onAwake();
        if (comptime io.accepts(@TypeOf(context.*))) {
            if (!self.wants_accept) return false;
            const stream = context.stream(self.listenerToken()) orelse return false;
            return self.acceptBatch(stream, context);
        }
        if (self.ready.len == 0) return false;
        var buffer: [1024]u8 = undefined;
        const next = self.ready[0];
        self.ready = self.ready[1..];
        @memcpy(buffer[0..next.bytes.len], next.bytes);
        context.onRecv(next.token, .{ .bytes = buffer[0..next.bytes.len] });
        return self.ready.len > 0;
    }
};

comptime {
    io.check(Manual);
}
