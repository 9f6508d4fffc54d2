//! The epoll backend: level-triggered, one registration per socket. A turn of a busy connection
//! costs one `recv` and one `sendmsg`; `epoll_ctl` is called only at open,
//! under backpressure and when a socket is full.

const std = @import("std");
const assert = std.debug.assert;
const linux = std.os.linux;
const posix = std.posix;
const Allocator = std.mem.Allocator;
const Address = @import("../core/address.zig").Address;
const clock = @import("../core/clock.zig");
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const io = @import("io.zig");
const socket = @import("socket.zig");

pub const Epoll = struct {
    epoll_fd: posix.fd_t,
    bell_fd: posix.fd_t,
    receive_buffer: []u8,
    gpa: Allocator,
    events: [events_max]linux.epoll_event = undefined,

    const events_max = 256;
    const bell_token: io.Token = .{ .slot = 0, .kind = .internal };

    pub const Stream = struct {
        fd: posix.fd_t = -1,
        /// What epoll is asked to report; 0 while unregistered or paused.
        interest: u32 = 0,
        /// The peer's end has been told: it is not asked for any more.
        ended: bool = false,
        token: io.Token = .{ .slot = 0, .kind = .internal },
    };

    pub fn init(gpa: Allocator, options: io.Options) !Epoll {
        const epoll_fd = try system.epollCreate();
        errdefer system.close(epoll_fd);
        const bell_fd = try system.eventDescriptor(linux.EFD.CLOEXEC | linux.EFD.NONBLOCK);
        errdefer system.close(bell_fd);
        // Edge-triggered and never read: each write is one wake, and there is no read to pay for.
        var event: linux.epoll_event = .{
            .events = linux.EPOLL.IN | linux.EPOLL.ET,
            .data = .{ .u64 = @bitCast(bell_token) },
        };
        try system.epollControl(epoll_fd, linux.EPOLL.CTL_ADD, bell_fd, &event);
        return .{
            .epoll_fd = epoll_fd,
            .bell_fd = bell_fd,
            .receive_buffer = try gpa.alloc(u8, options.receive_buffer_bytes),
            .gpa = gpa,
        };
    }

    pub fn deinit(self: *Epoll) void {
        self.gpa.free(self.receive_buffer);
        system.close(self.bell_fd);
        system.close(self.epoll_fd);
        self.* = undefined;
    }

    pub fn bell(self: *const Epoll) io.Bell {
        return .ofDescriptor(self.bell_fd);
    }

    /// It cannot fail for want of room: the counter holds 2^64 - 2 wakes.
    pub fn ring(its: io.Bell) void {
        _ = system.write(its.descriptor(), std.mem.asBytes(&@as(u64, 1))) catch |err| {
            log.limited("a worker could not be woken: {s}", .{@errorName(err)});
        };
    }

    pub fn nowMs(_: *const Epoll) u64 {
        return clock.monotonicMs();
    }

    pub fn wallSeconds(_: *const Epoll) i64 {
        return clock.realtimeSeconds();
    }

    pub fn open(self: *Epoll, stream: *Stream, fd: posix.fd_t, token: io.Token) !void {
        assert(token.kind != .internal);
        stream.* = .{ .fd = fd, .token = token, .interest = linux.EPOLL.IN };
        var event: linux.epoll_event = .{
            .events = stream.interest,
            .data = .{ .u64 = @bitCast(token) },
        };
        try system.epollControl(self.epoll_fd, linux.EPOLL.CTL_ADD, fd, &event);
    }

    /// The kernel drops the registration with the descriptor: nobody else holds a duplicate of it.
    pub fn close(_: *Epoll, stream: *Stream) io.Closing {
        system.close(stream.fd);
        stream.* = .{};
        return .closed;
    }

    pub fn abort(self: *Epoll, stream: *Stream) io.Closing {
        socket.setResetOnClose(stream.fd);
        return self.close(stream);
    }

    pub fn closeAccepted(_: *Epoll, fd: posix.fd_t) void {
        system.close(fd);
    }

    pub fn pauseRecv(self: *Epoll, stream: *Stream) void {
        const rest = stream.interest & ~@as(u32, linux.EPOLL.IN);
        self.setInterest(stream, if (stream.ended) rest else rest | linux.EPOLL.RDHUP);
    }

    pub fn resumeRecv(self: *Epoll, stream: *Stream) void {
        const rest = stream.interest & ~@as(u32, linux.EPOLL.RDHUP);
        self.setInterest(stream, rest | linux.EPOLL.IN);
    }

    pub fn hasInput(_: *Epoll, stream: *const Stream) bool {
        return system.isReady(stream.fd, linux.POLL.IN) catch false; // not known: as good as none
    }

    /// SIOCOUTQ (tcp(7)).
    pub fn inFlight(_: *Epoll, stream: *const Stream) u64 {
        var bytes: c_int = 0;
        const rc = linux.ioctl(stream.fd, linux.T.IOCOUTQ, @intFromPtr(&bytes));
        return if (linux.E.init(rc) == .SUCCESS) @intCast(@max(bytes, 0)) else 0;
    }

    pub fn sendLater(self: *Epoll, stream: *Stream) void {
        self.setInterest(stream, stream.interest | linux.EPOLL.OUT);
    }

    fn setInterest(self: *Epoll, stream: *Stream, interest: u32) void {
        if (stream.interest == interest) return;
        stream.interest = interest;
        var event: linux.epoll_event = .{
            .events = interest,
            .data = .{ .u64 = @bitCast(stream.token) },
        };
        const op = linux.EPOLL.CTL_MOD;
        system.epollControl(self.epoll_fd, op, stream.fd, &event) catch {
            // Out of kernel memory, or forbidden: end the connection rather than lose an event;
            // the peer sees a reset. It may be gone already.
            system.shutdown(stream.fd, .both) catch {};
        };
    }

    pub fn shutdownSend(_: *Epoll, stream: *Stream) void {
        system.shutdown(stream.fd, .send) catch {}; // a connection that is gone needs no FIN
    }

    /// One `sendmsg`. `more` holds the last segment back for what follows at once (MSG_MORE).
    pub fn send(
        _: *Epoll,
        stream: *Stream,
        iovecs: []const posix.iovec_const,
        more: bool,
    ) io.SendResult {
        const hold_back: u32 = if (more) linux.MSG.MORE else 0;
        const flags: u32 = linux.MSG.NOSIGNAL | linux.MSG.DONTWAIT | hold_back;
        while (true) {
            const rc = if (iovecs.len == 1)
                linux.sendto(stream.fd, iovecs[0].base, iovecs[0].len, flags, null, 0)
            else blk: {
                const message: linux.msghdr_const = .{
                    .name = null,
                    .namelen = 0,
                    .iov = iovecs.ptr,
                    .iovlen = @intCast(iovecs.len), // the count is small
                    .control = null,
                    .controllen = 0,
                    .flags = 0,
                };
                break :blk linux.sendmsg(stream.fd, &message, flags);
            };
            switch (linux.E.init(rc)) {
                .SUCCESS => return .{ .sent = rc },
                .INTR => continue,
                .AGAIN, .NOBUFS, .NOMEM => return .would_block,
                else => return .failed,
            }
        }
    }

    pub fn sendFile(
        _: *Epoll,
        stream: *Stream,
        fd: posix.fd_t,
        offset: u64,
        len: u64,
    ) io.SendResult {
        var at: i64 = @intCast(offset);
        const count: usize = @intCast(len);
        while (true) {
            const rc = linux.sendfile(stream.fd, fd, &at, count);
            switch (linux.E.init(rc)) {
                .SUCCESS => return .{ .sent = rc },
                .INTR => continue,
                .AGAIN => return .would_block,
                else => return .failed,
            }
        }
    }

    pub fn listen(self: *Epoll, stream: *Stream, fd: posix.fd_t, token: io.Token) !void {
        assert(token.kind == .listener);
        try self.open(stream, fd, token);
    }

    /// Another process may have the socket too, and keep the registration: it is given up first.
    pub fn closeListener(self: *Epoll, stream: *Stream) void {
        system.epollControl(self.epoll_fd, linux.EPOLL.CTL_DEL, stream.fd, null) catch |err|
            log.warn("a listener could not be let go of: {s}", .{@errorName(err)});
        _ = self.close(stream);
    }

    pub fn pauseAccept(self: *Epoll, stream: *Stream) void {
        self.pauseRecv(stream);
    }

    pub fn resumeAccept(self: *Epoll, stream: *Stream) void {
        self.resumeRecv(stream);
    }

    /// Accepts what waits on `stream`, at most `limits.accept_batch` sockets.
    /// True when there may be more.
    pub fn acceptBatch(_: *Epoll, stream: *Stream, context: anytype) bool {
        const token = stream.token;
        const fd = stream.fd;
        var refusal: system.Error = error.Unexpected;
        var refused: u32 = 0;
        for (0..limits.accept_batch) |_| {
            if (!context.wantsMore(token)) return false;
            var address: Endpoint.System = undefined;
            var len: posix.socklen_t = @sizeOf(Endpoint.System);
            const flags = posix.SOCK.NONBLOCK | posix.SOCK.CLOEXEC;
            const rc = linux.accept4(fd, &address.any, &len, flags);
            switch (linux.E.init(rc)) {
                .SUCCESS => {
                    const peer = Address.fromSystem(&address.any, len);
                    context.onAccept(token, .{ .fd = @intCast(rc), .peer = peer });
                },
                .AGAIN => return false,
                // The peer left, a signal came, or the network had a passing fault (accept(2)):
                // on to the next.
                .INTR,
                .CONNABORTED,
                .PROTO,
                .NETDOWN,
                .NOPROTOOPT,
                .HOSTDOWN,
                .NONET,
                .HOSTUNREACH,
                .OPNOTSUPP,
                .NETUNREACH,
                .PERM,
                => |errno| {
                    refused += 1;
                    refusal = system.errorOf(errno);
                },
                .MFILE, .NFILE, .NOBUFS, .NOMEM => {
                    context.onAcceptFailed(token, .exhausted);
                    return false;
                },
                else => |errno| {
                    context.onAcceptFailed(token, .{ .fatal = system.errorOf(errno) });
                    return false;
                },
            }
        }
        if (refused < limits.accept_batch) return true;
        // Whatever fails does not pass.
        context.onAcceptFailed(token, .{ .refused = refusal });
        return false;
    }

    /// Waits for events, at most `timeout_ms` (-1: for ever), and calls `context` back for each.
    /// True when there may be more.
    pub fn poll(self: *Epoll, timeout_ms: i32, context: anytype) bool {
        const rc = linux.epoll_pwait(self.epoll_fd, &self.events, events_max, timeout_ms, null);
        const count: usize = switch (linux.E.init(rc)) {
            .SUCCESS => rc,
            .INTR => 0,
            else => |errno| waitFailed(system.errorOf(errno)),
        };
        context.onAwake();
        comptime io.checkContext(Epoll, @TypeOf(context.*));
        for (self.events[0..count]) |event| {
            const token: io.Token = @bitCast(event.data.u64);
            if (token.kind == .internal) continue;
            const stream = context.stream(token) orelse continue;
            if (comptime io.accepts(@TypeOf(context.*))) {
                if (token.kind == .listener) {
                    _ = self.acceptBatch(stream, context);
                    continue;
                }
            }
            self.serve(stream, token, event.events, context);
        }
        return count == events_max;
    }

    /// A filter may forbid the call, of a process that has been running for long. The loop goes on,
    /// for the day that it is allowed again, and must not spin.
    fn waitFailed(err: system.Error) usize {
        log.limited("waiting for connections failed ({s}): tried again in {d} ms", .{
            @errorName(err),
            limits.poll_failed_pause_ms,
        });
        system.sleepMs(limits.poll_failed_pause_ms);
        return 0;
    }

    fn serve(self: *Epoll, stream: *Stream, token: io.Token, events: u32, context: anytype) void {
        const gone = events & (linux.EPOLL.ERR | linux.EPOLL.HUP) != 0;
        if (events & linux.EPOLL.IN != 0 and stream.interest & linux.EPOLL.IN != 0) {
            self.receive(stream, token, context);
        } else if (gone) {
            context.onRecv(token, .failed);
        } else if (events & linux.EPOLL.RDHUP != 0 and stream.interest & linux.EPOLL.RDHUP != 0) {
            // Level-triggered as well: it would be told with every poll.
            self.setInterest(stream, stream.interest & ~@as(u32, linux.EPOLL.RDHUP));
            stream.ended = true;
            context.onRecv(token, .eof_ahead);
        }
        if (events & linux.EPOLL.OUT != 0) {
            const current = context.stream(token) orelse return;
            if (current.interest & linux.EPOLL.OUT == 0) return;
            self.setInterest(current, current.interest & ~@as(u32, linux.EPOLL.OUT));
            context.onSent(token, 0);
        }
    }

    /// Receives what is there, without waiting for an event that tells so.
    pub fn receiveNow(self: *Epoll, stream: *Stream, context: anytype) void {
        self.receive(stream, stream.token, context);
    }

    fn receive(self: *Epoll, stream: *Stream, token: io.Token, context: anytype) void {
        const buffer = self.receive_buffer;
        const flags = linux.MSG.DONTWAIT;
        const rc = linux.recvfrom(stream.fd, buffer.ptr, buffer.len, flags, null, null);
        switch (linux.E.init(rc)) {
            .SUCCESS => {
                if (rc == 0) stream.ended = true;
                context.onRecv(token, if (rc == 0) .eof else .{ .bytes = buffer[0..rc] });
            },
            .AGAIN, .INTR, .NOBUFS, .NOMEM => {}, // level-triggered: told again
            else => context.onRecv(token, .failed),
        }
    }
};

comptime {
    io.check(Epoll);
}

const testing = std.testing;

const Recorder = struct {
    streams: [2]Epoll.Stream = .{ .{}, .{} },
    received: std.ArrayList(u8),
    eof: bool = false,
    eof_ahead: u32 = 0,
    failed: bool = false,
    sent_calls: u32 = 0,

    pub fn stream(self: *Recorder, token: io.Token) ?*Epoll.Stream {
        const found = &self.streams[token.slot];
        return if (found.fd == -1) null else found;
    }
    pub fn onRecv(self: *Recorder, _: io.Token, result: io.RecvResult) void {
        switch (result) {
            .bytes => |bytes| self.received.appendSlice(bytes) catch unreachable,
            .eof => self.eof = true,
            .eof_ahead => self.eof_ahead += 1,
            .failed => self.failed = true,
        }
    }
    pub fn onSent(self: *Recorder, _: io.Token, _: u64) void {
        self.sent_calls += 1;
    }
    pub fn onClosed(_: *Recorder, _: io.Token) void {}
    pub fn onAwake(_: *Recorder) void {}
    pub fn wantsMore(_: *Recorder, _: io.Token) bool {
        return true;
    }
    pub fn onAccept(_: *Recorder, _: io.Token, _: io.Accepted) void {}
    pub fn onAcceptFailed(_: *Recorder, _: io.Token, _: io.AcceptError) void {}
};

const first: io.Token = .{ .slot = 0, .kind = .accepted };

fn socketPair() ![2]posix.fd_t {
    var fds: [2]i32 = undefined;
    const rc = linux.socketpair(linux.AF.UNIX, linux.SOCK.STREAM | linux.SOCK.NONBLOCK, 0, &fds);
    if (linux.E.init(rc) != .SUCCESS) return error.SocketPair;
    return fds;
}

test "epoll: bytes, a pause, the end of the stream" {
    var backend = try Epoll.init(testing.allocator, .{ .receive_buffer_bytes = 4096 });
    defer backend.deinit();
    const fds = try socketPair();
    var recorder: Recorder = .{ .received = .init(testing.allocator) };
    defer recorder.received.deinit();
    try backend.open(&recorder.streams[0], fds[0], first);
    _ = try posix.write(fds[1], "hello");
    _ = backend.poll(1000, &recorder);
    try testing.expectEqualStrings("hello", recorder.received.items);
    backend.pauseRecv(&recorder.streams[0]);
    _ = try posix.write(fds[1], " again");
    _ = backend.poll(0, &recorder);
    try testing.expectEqualStrings("hello", recorder.received.items);
    backend.resumeRecv(&recorder.streams[0]);
    _ = backend.poll(1000, &recorder);
    try testing.expectEqualStrings("hello again", recorder.received.items);
    try posix.shutdown(fds[1], .send);
    _ = backend.poll(1000, &recorder);
    try testing.expect(recorder.eof);
    _ = backend.close(&recorder.streams[0]);
    posix.close(fds[1]);
}

test "epoll: the peer's end is told once while nothing is received, ahead of what it has sent" {
    var backend = try Epoll.init(testing.allocator, .{ .receive_buffer_bytes = 4096 });
    defer backend.deinit();
    const fds = try socketPair();
    defer posix.close(fds[1]);
    var recorder: Recorder = .{ .received = .init(testing.allocator) };
    defer recorder.received.deinit();
    const stream = &recorder.streams[0];
    try backend.open(stream, fds[0], first);
    defer _ = backend.close(stream);
    backend.pauseRecv(stream);
    _ = try posix.write(fds[1], "last words");
    _ = backend.poll(0, &recorder);
    try testing.expectEqual(@as(u32, 0), recorder.eof_ahead);
    try posix.shutdown(fds[1], .send);
    _ = backend.poll(1000, &recorder);
    try testing.expectEqual(@as(u32, 1), recorder.eof_ahead);
    _ = backend.poll(0, &recorder);
    backend.resumeRecv(stream);
    _ = backend.poll(1000, &recorder);
    try testing.expectEqualStrings("last words", recorder.received.items);
    backend.pauseRecv(stream);
    _ = backend.poll(0, &recorder);
    try testing.expect(!recorder.eof and !recorder.failed);
    backend.resumeRecv(stream);
    _ = backend.poll(1000, &recorder);
    try testing.expect(recorder.eof);
    backend.pauseRecv(stream);
    _ = backend.poll(0, &recorder);
    try testing.expectEqual(@as(u32, 1), recorder.eof_ahead);
}

test "epoll: a full socket says so and tells when it takes bytes again" {
    var backend = try Epoll.init(testing.allocator, .{ .receive_buffer_bytes = 4096 });
    defer backend.deinit();
    const fds = try socketPair();
    defer posix.close(fds[1]);
    var recorder: Recorder = .{ .received = .init(testing.allocator) };
    defer recorder.received.deinit();
    const stream = &recorder.streams[0];
    try backend.open(stream, fds[0], first);
    defer _ = backend.close(stream);
    const block = [_]u8{'x'} ** 65536;
    const iovecs = [_]posix.iovec_const{.{ .base = &block, .len = block.len }} ** 2;
    var total: usize = 0;
    while (true) switch (backend.send(stream, &iovecs, false)) {
        .sent => |n| total += n,
        .would_block => break,
        .failed => return error.Unexpected,
    };
    try testing.expect(backend.inFlight(stream) > 0);
    backend.sendLater(stream);
    _ = backend.poll(0, &recorder);
    try testing.expectEqual(@as(u32, 0), recorder.sent_calls);
    var buf: [65536]u8 = undefined;
    while (total > 0) total -= try posix.read(fds[1], &buf);
    _ = backend.poll(1000, &recorder);
    try testing.expectEqual(@as(u64, 0), backend.inFlight(stream));
    try testing.expectEqual(@as(u32, 1), recorder.sent_calls);
    _ = backend.poll(0, &recorder);
    try testing.expectEqual(@as(u32, 1), recorder.sent_calls);
}

test "epoll: a write to the wake descriptor ends a poll, once" {
    var backend = try Epoll.init(testing.allocator, .{ .receive_buffer_bytes = 4096 });
    defer backend.deinit();
    var recorder: Recorder = .{ .received = .init(testing.allocator) };
    defer recorder.received.deinit();
    var timer = try std.time.Timer.start();
    Epoll.ring(backend.bell());
    _ = backend.poll(10_000, &recorder);
    try testing.expect(timer.lap() < 5 * std.time.ns_per_s);
    const wait_ms = 50;
    _ = backend.poll(wait_ms, &recorder); // nothing is left of it
    try testing.expect(timer.lap() >= wait_ms * std.time.ns_per_ms);
}

test "epoll: a wait that the system refuses is over soon, with nothing" {
    var backend = try Epoll.init(testing.allocator, .{ .receive_buffer_bytes = 4096 });
    const own = backend.epoll_fd;
    // No epoll: EINVAL, as a filter's EPERM would be.
    backend.epoll_fd = backend.bell_fd;
    log.setLevel(.silent);
    defer log.setLevel(.debug);
    var recorder: Recorder = .{ .received = .init(testing.allocator) };
    defer recorder.received.deinit();
    try testing.expect(!backend.poll(-1, &recorder));
    backend.epoll_fd = own;
    backend.deinit();
}

test "epoll: a socket whose events can no longer be asked for is ended" {
    var backend = try Epoll.init(testing.allocator, .{ .receive_buffer_bytes = 4096 });
    defer backend.deinit();
    const fds = try socketPair();
    defer posix.close(fds[1]);
    var stream: Epoll.Stream = .{};
    try backend.open(&stream, fds[0], first);
    defer _ = backend.close(&stream);
    // ENOENT from epoll_ctl, where another time it might be ENOMEM.
    try system.epollControl(backend.epoll_fd, linux.EPOLL.CTL_DEL, fds[0], null);
    backend.pauseRecv(&stream);
    var byte: [1]u8 = undefined;
    try testing.expectEqual(0, try posix.read(fds[1], &byte));
}

/// Counts what comes in at one listener.
const Door = struct {
    listener: Epoll.Stream = .{},
    accepted: u32 = 0,
    failure: ?io.AcceptError = null,

    pub fn stream(self: *Door, _: io.Token) ?*Epoll.Stream {
        return if (self.listener.fd == -1) null else &self.listener;
    }
    pub fn onAccept(self: *Door, _: io.Token, accepted: io.Accepted) void {
        system.close(accepted.fd);
        self.accepted += 1;
    }
    pub fn onAcceptFailed(self: *Door, _: io.Token, failure: io.AcceptError) void {
        self.failure = failure;
    }
    pub fn wantsMore(_: *Door, _: io.Token) bool {
        return true;
    }
    pub fn onRecv(_: *Door, _: io.Token, _: io.RecvResult) void {}
    pub fn onSent(_: *Door, _: io.Token, _: u64) void {}
    pub fn onClosed(_: *Door, _: io.Token) void {}
    pub fn onAwake(_: *Door) void {}
};

test "epoll: a listener that is closed is not told of again, although another process has it" {
    var backend = try Epoll.init(testing.allocator, .{ .receive_buffer_bytes = 1 });
    defer backend.deinit();
    const endpoint: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const fd = try socket.listen(&endpoint, .{ .backlog = 8 });
    // As good as another process's.
    const others = try system.duplicate(fd, 0);
    defer system.close(others);
    var door: Door = .{};
    try backend.listen(&door.listener, fd, .{ .slot = 0, .kind = .listener });
    var address: Endpoint.System = undefined;
    const len = (try socket.endpointOf(fd)).toSystem(&address);
    const clients = [_]posix.fd_t{ try socket.open(linux.AF.INET), try socket.open(linux.AF.INET) };
    defer for (clients) |client| system.close(client);
    system.connect(clients[0], &address.any, len) catch |err|
        try testing.expectEqual(error.ConnectionPending, err);
    _ = backend.poll(1000, &door);
    try testing.expectEqual(1, door.accepted);
    backend.closeListener(&door.listener);
    system.connect(clients[1], &address.any, len) catch |err|
        try testing.expectEqual(error.ConnectionPending, err);
    var timer = try std.time.Timer.start();
    const wait_ms = 50;
    _ = backend.poll(wait_ms, &door); // an event would end it at once
    try testing.expect(timer.lap() >= wait_ms * std.time.ns_per_ms);
    try testing.expectEqual(1, door.accepted);
}

test "epoll: a listener that another process has shut down is told of as broken" {
    var backend = try Epoll.init(testing.allocator, .{ .receive_buffer_bytes = 1 });
    defer backend.deinit();
    const endpoint: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const fd = try socket.listen(&endpoint, .{ .backlog = 8 });
    var door: Door = .{};
    try backend.listen(&door.listener, fd, .{ .slot = 0, .kind = .listener });
    try system.shutdown(fd, .both);
    _ = backend.poll(1000, &door);
    try testing.expectEqual(error.InvalidArgument, door.failure.?.fatal);
    backend.closeListener(&door.listener);
}
