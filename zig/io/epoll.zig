//! The epoll backend: level-triggered, one registration per socket. A turn of a busy connection
//! costs one `recv` and one `sendmsg`; `epoll_ctl` is called only at open, under backpressure, when
//! a socket becomes full for the first time and when it stays empty: not for each time between.

const std = @import("std");
const assert = std.debug.assert;
const linux = std.os.linux;
const posix = std.posix;
const Allocator = std.mem.Allocator;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const io = @import("io.zig");
const kernel_tls = @import("kernel_tls.zig");
const restAfter = @import("refused_wait.zig").restAfter;
const sealing = @import("../core/sealing.zig");
const socket = @import("socket.zig");
const transfer = @import("transfer.zig");

pub const Epoll = struct {
    epoll_fd: posix.fd_t,
    bell_fd: posix.fd_t,
    receive_buffer: []u8,
    busy_poll_us: u32,
    /// Calls that changed what is asked of a socket.
    changes: u64 = 0,
    gpa: Allocator,
    events: [events_max]linux.epoll_event = undefined,

    const events_max = 256;
    const bell_token: io.Token = .{ .slot = 0, .kind = .internal };

    pub const Stream = io.Stream;

    const calls = @import("calls.zig").Calls(Epoll);
    pub const nowMs = calls.nowMs;
    pub const wallSeconds = calls.wallSeconds;
    pub const closeAccepted = calls.closeAccepted;
    pub const shutdownSend = calls.shutdownSend;
    pub const hasInput = calls.hasInput;
    pub const inFlight = calls.inFlight;
    pub const send = calls.send;
    pub const sendFile = calls.sendFile;
    pub const acceptBatch = calls.acceptBatch;
    pub const ring = transfer.ring;
    const wait = calls.wait;

    const Notes = packed struct(u32) {
        /// What epoll is asked to report; 0 while paused.
        interest: u27 = 0,
        /// epoll has it no more: it has hung up, which would be told with every poll.
        detached: bool = false,
        /// `onSent` is to be told.
        wants_room: bool = false,
        /// Receiving is paused, which epoll is told of only if it reports something: most who have
        /// ended their side are closed before that.
        pausing: bool = false,
        /// The peer's end has been told: it is not asked for any more.
        ended: bool = false,
        /// It is being connected to.
        connecting: bool = false,

        fn of(stream: *Stream) *Notes {
            return @ptrCast(&stream.notes);
        }
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
            .busy_poll_us = options.busy_poll_us,
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

    /// Can be read when there is something to poll for.
    pub fn descriptor(self: *const Epoll) posix.fd_t {
        return self.epoll_fd;
    }

    /// As `Uring.handOver`: epoll is told of everything at once.
    pub fn handOver(_: *Epoll) bool {
        return false;
    }

    pub fn memoryBytes(_: *const Epoll) usize {
        return 0;
    }

    pub fn open(self: *Epoll, stream: *Stream, fd: posix.fd_t, token: io.Token) !void {
        assert(token.kind != .internal);
        try self.add(stream, fd, token, linux.EPOLL.IN);
    }

    fn add(
        self: *Epoll,
        stream: *Stream,
        fd: posix.fd_t,
        token: io.Token,
        interest: u27,
    ) system.Error!void {
        stream.* = .{ .fd = fd, .token = token };
        Notes.of(stream).interest = interest;
        var event: linux.epoll_event = .{
            .events = interest,
            .data = .{ .u64 = @bitCast(token) },
        };
        try system.epollControl(self.epoll_fd, linux.EPOLL.CTL_ADD, fd, &event);
    }

    pub fn connect(
        self: *Epoll,
        stream: *Stream,
        endpoint: *const Endpoint,
        token: io.Token,
    ) system.Error!void {
        assert(token.kind == .outbound);
        const fd = try transfer.beginConnect(endpoint);
        errdefer {
            system.close(fd);
            stream.* = .{};
        }
        try self.add(stream, fd, token, linux.EPOLL.OUT);
        Notes.of(stream).connecting = true;
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

    /// Most pauses are over before anything comes: epoll is told of one when it reports in vain.
    pub fn pauseRecv(_: *Epoll, stream: *Stream) void {
        if (Notes.of(stream).interest & linux.EPOLL.IN != 0) Notes.of(stream).pausing = true;
    }

    fn stopRecv(self: *Epoll, stream: *Stream) void {
        Notes.of(stream).pausing = false;
        const rest = Notes.of(stream).interest & ~@as(u32, linux.EPOLL.IN);
        self.setInterest(stream, if (Notes.of(stream).ended) rest else rest | linux.EPOLL.RDHUP);
    }

    pub fn resumeRecv(self: *Epoll, stream: *Stream) void {
        Notes.of(stream).pausing = false;
        const rest = Notes.of(stream).interest & ~@as(u32, linux.EPOLL.RDHUP);
        self.setInterest(stream, rest | linux.EPOLL.IN);
    }

    pub fn sendLater(self: *Epoll, stream: *Stream, _: io.Output) void {
        Notes.of(stream).wants_room = true;
        self.setInterest(stream, Notes.of(stream).interest | linux.EPOLL.OUT);
    }

    pub fn sealSends(_: *Epoll, stream: *Stream, keys: *const sealing.Keys) bool {
        kernel_tls.seal(stream.fd, keys) catch return false;
        return true;
    }

    pub fn sendSealed(
        _: *Epoll,
        stream: *Stream,
        message: *const sealing.Message,
    ) io.SendResult {
        return kernel_tls.send(stream.fd, message);
    }

    fn setInterest(self: *Epoll, stream: *Stream, interest: u32) void {
        if (Notes.of(stream).interest == interest) return;
        Notes.of(stream).interest = @intCast(interest);
        const is_back = interest & linux.EPOLL.IN != 0;
        if (Notes.of(stream).detached and !is_back) return;
        var event: linux.epoll_event = .{
            .events = interest,
            .data = .{ .u64 = @bitCast(stream.token) },
        };
        self.changes += 1;
        const op: u32 = if (Notes.of(stream).detached) linux.EPOLL.CTL_ADD else linux.EPOLL.CTL_MOD;
        Notes.of(stream).detached = false;
        system.epollControl(self.epoll_fd, op, stream.fd, &event) catch {
            // Out of kernel memory, or forbidden: end the connection rather than lose an event;
            // the peer sees a reset. It may be gone already.
            system.shutdown(stream.fd, .both) catch {};
        };
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
        self.stopRecv(stream); // it is accepted from as long as epoll reports it
    }

    pub fn resumeAccept(self: *Epoll, stream: *Stream) void {
        self.resumeRecv(stream);
    }

    /// Waits for events, at most `timeout_ms` (-1: for ever), and calls `context` back for each.
    /// True when there may be more.
    pub fn poll(self: *Epoll, timeout_ms: i32, context: anytype) bool {
        const count = self.wait(timeout_ms);
        context.onAwake();
        comptime io.checkContext(Epoll, @TypeOf(context.*));
        for (self.events[0..count]) |event| {
            const token: io.Token = @bitCast(event.data.u64);
            if (token.kind == .internal) continue;
            const stream = context.stream(token) orelse continue;
            if (stream.fd == -1) continue; // closed in this poll
            if (comptime io.accepts(@TypeOf(context.*))) {
                if (token.kind == .listener) {
                    _ = self.acceptBatch(stream, context);
                    continue;
                }
            }
            if (context.isServed(token)) self.serve(stream, token, event.events, context);
        }
        return count == events_max;
    }

    /// Returns how many events there are.
    pub fn sleep(self: *Epoll, timeout_ms: i32) usize {
        const rc = linux.epoll_pwait(self.epoll_fd, &self.events, events_max, timeout_ms, null);
        return switch (linux.E.init(rc)) {
            .SUCCESS => rc,
            .INTR => 0,
            else => |errno| {
                restAfter(system.errorOf(errno));
                return 0;
            },
        };
    }

    fn serve(self: *Epoll, stream: *Stream, token: io.Token, events: u32, context: anytype) void {
        if (comptime io.connects(@TypeOf(context.*))) {
            if (Notes.of(stream).connecting) return self.serveConnect(stream, token, context);
        }
        const gone = events & (linux.EPOLL.ERR | linux.EPOLL.HUP) != 0;
        if (Notes.of(stream).pausing and (gone or events & linux.EPOLL.IN != 0))
            self.stopRecv(stream);
        if (events & linux.EPOLL.IN != 0 and Notes.of(stream).interest & linux.EPOLL.IN != 0) {
            self.receive(stream, token, context);
        } else if (gone) {
            self.serveGone(stream, token, events, context);
        } else if (events & Notes.of(stream).interest & linux.EPOLL.RDHUP != 0) {
            // Level-triggered as well: it would be told with every poll.
            self.setInterest(stream, Notes.of(stream).interest & ~@as(u32, linux.EPOLL.RDHUP));
            Notes.of(stream).ended = true;
            context.onRecv(token, .eof_ahead);
        }
        if (events & linux.EPOLL.OUT != 0) {
            const current = context.stream(token) orelse return;
            if (current.fd == -1 or !context.isServed(token)) return;
            if (Notes.of(current).interest & linux.EPOLL.OUT == 0) return;
            if (Notes.of(current).wants_room) {
                // Mostly it is full again soon: epoll is told otherwise when it reports in vain.
                Notes.of(current).wants_room = false;
                return context.onSent(token, 0);
            }
            self.setInterest(current, Notes.of(current).interest & ~@as(u32, linux.EPOLL.OUT));
        }
    }

    /// The connection is gone, or a unix socket's peer is: what that has sent is there still.
    fn serveGone(
        self: *Epoll,
        stream: *Stream,
        token: io.Token,
        events: u32,
        context: anytype,
    ) void {
        // Either would be told with every poll, and its owner may have more to do first.
        self.changes += 1;
        const op = linux.EPOLL.CTL_DEL;
        system.epollControl(self.epoll_fd, op, stream.fd, null) catch
            return context.onRecv(token, .failed);
        Notes.of(stream).detached = true;
        const is_reset = events & linux.EPOLL.ERR != 0;
        if (is_reset or Notes.of(stream).ended or system.unreadBytes(stream.fd) == 0)
            return context.onRecv(token, .failed);
        Notes.of(stream).ended = true;
        context.onRecv(token, .eof_ahead);
    }

    fn serveConnect(self: *Epoll, stream: *Stream, token: io.Token, context: anytype) void {
        Notes.of(stream).connecting = false;
        const result = transfer.connected(stream.fd);
        self.setInterest(stream, if (result == .connected) linux.EPOLL.IN else 0);
        context.onConnected(token, result);
    }

    /// Receives what is there, without waiting for an event that tells so.
    pub fn receiveNow(self: *Epoll, stream: *Stream, context: anytype) void {
        self.receive(stream, stream.token, context);
    }

    fn receive(self: *Epoll, stream: *Stream, token: io.Token, context: anytype) void {
        switch (transfer.receive(stream.fd, self.receive_buffer)) {
            .bytes => |bytes| context.onRecv(token, .{ .bytes = bytes }),
            .eof => {
                Notes.of(stream).ended = true;
                context.onRecv(token, .eof);
            },
            .would_block => {}, // level-triggered: told again
            .failed => context.onRecv(token, .failed),
        }
    }
};

comptime {
    io.check(Epoll);
}

const testing = std.testing;
const fixtures = @import("testing/fixtures.zig");
const Recorder = fixtures.Recorder(Epoll);

test "epoll: a wait that the system refuses is over soon, with nothing" {
    var backend = try Epoll.init(testing.allocator, .{ .receive_buffer_bytes = 4096 });
    const own = backend.epoll_fd;
    // No epoll: EINVAL, as a filter's EPERM would be.
    backend.epoll_fd = backend.bell_fd;
    log.setLevel(.silent);
    defer log.setLevel(.debug);
    var recorder: Recorder = .{};
    defer recorder.deinit();
    try testing.expect(!backend.poll(-1, &recorder));
    backend.epoll_fd = own;
    backend.deinit();
}

test "epoll: a socket whose events can no longer be asked for is ended" {
    var backend = try Epoll.init(testing.allocator, .{ .receive_buffer_bytes = 4096 });
    defer backend.deinit();
    const fds = try fixtures.socketPair();
    defer posix.close(fds[1]);
    var stream: Epoll.Stream = .{};
    try backend.open(&stream, fds[0], .{ .slot = 0, .kind = .accepted });
    defer _ = backend.close(&stream);
    // ENOENT from epoll_ctl, where another time it might be ENOMEM.
    try system.epollControl(backend.epoll_fd, linux.EPOLL.CTL_DEL, fds[0], null);
    backend.sendLater(&stream, .{ .memory = &.{} });
    var byte: [1]u8 = undefined;
    try testing.expectEqual(0, try posix.read(fds[1], &byte));
}

test "epoll: a socket that is full time and again is asked about once" {
    var backend = try Epoll.init(testing.allocator, .{ .receive_buffer_bytes = 4096 });
    defer backend.deinit();
    const fds = try fixtures.socketPair();
    defer posix.close(fds[1]);
    var filler: Filler = .{ .backend = &backend };
    try backend.open(&filler.one, fds[0], .{ .slot = 0, .kind = .accepted });
    filler.rounds_left = 10;
    filler.fill();
    var buffer: [65536]u8 = undefined;
    for (0..100_000) |_| {
        if (filler.rounds_left == 0) break;
        _ = posix.read(fds[1], &buffer) catch |err| try testing.expectEqual(error.WouldBlock, err);
        _ = backend.poll(0, &filler);
    } else return error.Stuck;
    for (0..3) |_| _ = backend.poll(0, &filler);
    // To ask, and to ask no longer.
    try testing.expectEqual(2, backend.changes);
    _ = backend.close(&filler.one);
}

/// Fills its socket whenever that has room, so many times.
const Filler = struct {
    backend: *Epoll,
    one: Epoll.Stream = .{},
    rounds_left: u32 = 0,

    fn fill(self: *Filler) void {
        const block = [_]u8{'x'} ** 4096;
        const iovecs = [_]posix.iovec_const{.{ .base = &block, .len = block.len }};
        while (self.backend.send(&self.one, &iovecs, false) == .sent) {}
        self.backend.sendLater(&self.one, .{ .memory = &iovecs });
    }

    pub fn stream(self: *Filler, _: io.Token) ?*Epoll.Stream {
        return &self.one;
    }
    pub fn onSent(self: *Filler, _: io.Token, _: u64) void {
        self.rounds_left -= 1;
        if (self.rounds_left > 0) self.fill();
    }
    pub fn isServed(_: *Filler, _: io.Token) bool {
        return true;
    }
    pub fn onRecv(_: *Filler, _: io.Token, _: io.RecvResult) void {}
    pub fn onClosed(_: *Filler, _: io.Token) void {}
    pub fn onAwake(_: *Filler) void {}
};

test "epoll: a pause that ends before anything has come costs no call, and holds otherwise" {
    var backend = try Epoll.init(testing.allocator, .{ .receive_buffer_bytes = 4096 });
    defer backend.deinit();
    const fds = try fixtures.socketPair();
    var recorder: Recorder = .{};
    defer recorder.deinit();
    const stream = &recorder.streams[0];
    try backend.open(stream, fds[0], .{ .slot = 0, .kind = .accepted });
    defer _ = backend.close(stream);
    for (0..10) |_| {
        backend.pauseRecv(stream);
        backend.resumeRecv(stream);
    }
    try testing.expectEqual(0, backend.changes);
    backend.pauseRecv(stream);
    _ = try posix.write(fds[1], "later");
    for (0..5) |_| _ = backend.poll(0, &recorder);
    try testing.expectEqualStrings("", recorder.received.items);
    try testing.expectEqual(1, backend.changes);
    backend.resumeRecv(stream);
    _ = backend.poll(1000, &recorder);
    try testing.expectEqualStrings("later", recorder.received.items);
    // Who hangs up meanwhile is heard.
    backend.pauseRecv(stream);
    posix.close(fds[1]);
    for (0..5) |_| _ = backend.poll(0, &recorder);
    try testing.expect(recorder.eof_ahead > 0 or recorder.failed);
}

test "epoll: who ends his side and is closed at once costs no call" {
    var backend = try Epoll.init(testing.allocator, .{ .receive_buffer_bytes = 4096 });
    defer backend.deinit();
    for ([_]bool{ true, false }) |is_closed| {
        const fds = try fixtures.socketPair();
        defer posix.close(fds[1]);
        var recorder: Recorder = .{};
        defer recorder.deinit();
        const stream = &recorder.streams[0];
        try backend.open(stream, fds[0], .{ .slot = 0, .kind = .accepted });
        try posix.shutdown(fds[1], .send);
        _ = backend.poll(1000, &recorder);
        try testing.expect(recorder.eof);
        backend.pauseRecv(stream);
        try testing.expectEqual(0, backend.changes);
        // One who waits for an answer is asked about no longer when epoll reports him again.
        if (!is_closed) for (0..5) |_| {
            _ = backend.poll(0, &recorder);
        };
        try testing.expectEqual(@intFromBool(!is_closed), backend.changes);
        _ = backend.close(stream);
    }
}
