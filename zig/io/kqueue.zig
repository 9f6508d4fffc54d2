//! The kqueue backend, for macOS and FreeBSD. What is asked of the system goes with the wait for
//! what it tells, so that most turns make one call for both.
//!
//! Reading is told by edges (EV_CLEAR), and registered once for the life of a socket: a pause and
//! the end of one cost no change, an end or a reset is told meanwhile, and a busy connection is not
//! looked at again after each turn. What has been told and was not received is noted, and asked
//! for again when somebody wants it. Room to write is asked for once at a time (EV_ONESHOT).

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Allocator = std.mem.Allocator;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const io = @import("io.zig");
const kevent_file = @import("kevent.zig");
const Kevent = kevent_file.Kevent;
const Filter = kevent_file.Filter;
const Flags = kevent_file.Flags;
const kevent = kevent_file.kevent;
const restAfter = @import("refused_wait.zig").restAfter;
const socket = @import("socket.zig");
const transfer = @import("transfer.zig");

pub const Kqueue = struct {
    kq: system.File,
    /// What JavaScript rings: a byte that is written ends a poll.
    pipe: [2]system.File,
    receive_buffer: []u8,
    gpa: Allocator,
    busy_poll_us: u32,
    /// What the system is told with the next wait.
    changes: [changes_max]Kevent = undefined,
    change_count: usize = 0,
    events: [events_max]Kevent = undefined,

    const events_max = 256;
    /// No more than events: each may fail, and is told as one then.
    const changes_max = events_max;
    const bell_token: io.Token = .{ .slot = 0, .kind = .internal };
    const pipe_token: io.Token = .{ .slot = 1, .kind = .internal };

    pub const Stream = io.Stream;

    const calls = @import("calls.zig").Calls(Kqueue);
    pub const nowMs = calls.nowMs;
    pub const wallSeconds = calls.wallSeconds;
    pub const closeAccepted = calls.closeAccepted;
    pub const shutdownSend = calls.shutdownSend;
    pub const hasInput = calls.hasInput;
    pub const inFlight = calls.inFlight;
    pub const send = calls.send;
    pub const sendFile = calls.sendFile;
    pub const sealSends = calls.sealNothing;
    pub const sendSealed = calls.sendNothingSealed;
    pub const acceptBatch = calls.acceptBatch;
    const wait = calls.wait;

    /// To wait, and the pipe. What stands in for the system in tests has three more.
    pub const descriptors = 3;

    const Notes = packed struct(u32) {
        /// Nothing is received.
        paused: bool = false,
        /// There may be something to receive, and the system will not tell of it by itself.
        unread: bool = false,
        /// The system has told that the peer sends no more. What it has sent may be unread.
        at_end: bool = false,
        /// The owner knows that the peer sends no more.
        ended: bool = false,
        /// Asked for room to write.
        wants_room: bool = false,
        /// It is being connected to.
        connecting: bool = false,
        /// Where in `changes` it was noted last. It may be another's place by now.
        read_change: u12 = 0,
        write_change: u12 = 0,
        _: u2 = 0,

        fn of(stream: *Stream) *Notes {
            return @ptrCast(&stream.notes);
        }
    };

    pub fn init(gpa: Allocator, options: io.Options) !Kqueue {
        const kq = try kevent_file.open();
        errdefer kevent_file.close(kq);
        const pipe = try system.pipe(.{ .CLOEXEC = true, .NONBLOCK = true });
        errdefer for (pipe) |end| system.close(end);
        const changes = [_]Kevent{ .{
            .ident = 0,
            .filter = .user,
            .flags = .{ .add = true, .clear = true },
            .udata = @bitCast(bell_token),
        }, .{
            .ident = @intCast(pipe[0]),
            .filter = .read,
            .flags = .{ .add = true, .clear = true },
            .udata = @bitCast(pipe_token),
        } };
        _ = try kevent(kq, &changes, &.{}, null);
        return .{
            .kq = kq,
            .pipe = pipe,
            .receive_buffer = try gpa.alloc(u8, options.receive_buffer_bytes),
            .gpa = gpa,
            .busy_poll_us = options.busy_poll_us,
        };
    }

    pub fn deinit(self: *Kqueue) void {
        self.gpa.free(self.receive_buffer);
        for (self.pipe) |end| system.close(end);
        kevent_file.close(self.kq);
        self.* = undefined;
    }

    /// Threads of ours ring the queue itself, JavaScript writes to the pipe: both are told.
    const Handle = packed struct(i64) { pipe: i32, kq: i32 };

    pub fn bell(self: *const Kqueue) io.Bell {
        const handle: Handle = .{ .pipe = self.pipe[1], .kq = self.kq };
        return @enumFromInt(@as(i64, @bitCast(handle)));
    }

    pub fn ring(its: io.Bell) void {
        const handle: Handle = @bitCast(@as(i64, @intFromEnum(its)));
        // Out of the block that JavaScript shares comes the pipe alone.
        if (!isBell(its)) return transfer.ring(its);
        const trigger: Kevent = .{
            .ident = 0,
            .filter = .user,
            .flags = .{}, // with EV_CLEAR FreeBSD would take the trigger back at once
            .fflags = kevent_file.note_trigger,
            .udata = @bitCast(bell_token),
        };
        _ = kevent(handle.kq, &.{trigger}, &.{}, null) catch |err| {
            log.limited("a worker could not be woken: {s}", .{@errorName(err)});
        };
    }

    /// Whether a bell has its queue, and is no descriptor alone.
    pub fn isBell(its: io.Bell) bool {
        const handle: Handle = @bitCast(@as(i64, @intFromEnum(its)));
        return handle.kq > 0;
    }

    /// What it has beside what `Allocator` gave it, bytes.
    pub fn memoryBytes(_: *const Kqueue) usize {
        return 0;
    }

    /// The system is told with the next wait. Where it refuses then, the stream fails.
    pub fn open(self: *Kqueue, stream: *Stream, fd: system.Socket, token: io.Token) !void {
        assert(token.kind != .internal);
        stream.* = .{ .fd = fd, .token = token };
        self.askForInput(stream);
    }

    pub fn connect(
        self: *Kqueue,
        stream: *Stream,
        endpoint: *const Endpoint,
        token: io.Token,
    ) system.Error!void {
        assert(token.kind == .outbound);
        stream.* = .{ .fd = try transfer.beginConnect(endpoint), .token = token };
        Notes.of(stream).connecting = true;
        self.askForRoom(stream);
    }

    /// The system drops what it was asked of a descriptor when that is closed.
    pub fn close(self: *Kqueue, stream: *Stream) io.Closing {
        // The number may be another socket's by the next wait.
        for ([_]Filter{ .read, .write }) |filter| {
            if (self.noted(stream, filter)) |it| it.filter = .none;
        }
        kevent_file.forget(self.kq, stream.fd);
        system.close(stream.fd);
        stream.* = .{};
        return .closed;
    }

    pub fn abort(self: *Kqueue, stream: *Stream) io.Closing {
        socket.setResetOnClose(stream.fd);
        return self.close(stream);
    }

    /// What comes in meanwhile is noted.
    pub fn pauseRecv(self: *Kqueue, stream: *Stream) void {
        const notes = Notes.of(stream);
        notes.paused = true;
        // An end that came with bytes is told ahead of them.
        if (notes.at_end and !notes.ended) self.askForInput(stream);
    }

    pub fn resumeRecv(self: *Kqueue, stream: *Stream) void {
        const notes = Notes.of(stream);
        notes.paused = false;
        if (notes.unread) self.askForInput(stream);
    }

    pub fn sendLater(self: *Kqueue, stream: *Stream, _: io.Output) void {
        const notes = Notes.of(stream);
        if (notes.wants_room) return;
        notes.wants_room = true;
        self.askForRoom(stream);
    }

    /// Told by its state and not by edges: what one batch leaves is told again.
    pub fn listen(self: *Kqueue, stream: *Stream, fd: system.Socket, token: io.Token) !void {
        assert(token.kind == .listener);
        stream.* = .{ .fd = fd, .token = token };
        self.change(stream, .read, .{ .add = true });
    }

    /// Also where another process has the socket: what was asked here is this descriptor's.
    pub fn closeListener(self: *Kqueue, stream: *Stream) void {
        _ = self.close(stream);
    }

    pub fn pauseAccept(self: *Kqueue, stream: *Stream) void {
        if (Notes.of(stream).paused) return;
        Notes.of(stream).paused = true;
        self.change(stream, .read, .{ .add = true, .disable = true });
    }

    pub fn resumeAccept(self: *Kqueue, stream: *Stream) void {
        if (!Notes.of(stream).paused) return;
        Notes.of(stream).paused = false;
        self.change(stream, .read, .{ .add = true, .enable = true });
    }

    /// Told with the next wait if there is input then, and later each time that some comes.
    fn askForInput(self: *Kqueue, stream: *Stream) void {
        Notes.of(stream).unread = false;
        self.change(stream, .read, .{ .add = true, .clear = true });
    }

    fn askForRoom(self: *Kqueue, stream: *Stream) void {
        self.change(stream, .write, .{ .add = true, .oneshot = true });
    }

    /// The change that waits for this filter of the stream, if one does.
    fn noted(self: *Kqueue, stream: *Stream, filter: Filter) ?*Kevent {
        const notes = Notes.of(stream);
        const place = if (filter == .read) notes.read_change else notes.write_change;
        if (place >= self.change_count) return null;
        const it = &self.changes[place];
        if (it.filter != filter or it.udata != @as(u64, @bitCast(stream.token))) return null;
        return it;
    }

    /// Notes a change for the next wait, in the place of one that waits: each says all that there
    /// is to say of its filter.
    fn change(self: *Kqueue, stream: *Stream, filter: Filter, flags: Flags) void {
        const it = self.noted(stream, filter) orelse blk: {
            if (self.change_count == changes_max) self.makeChanges();
            const place = self.change_count;
            self.change_count += 1;
            const notes = Notes.of(stream);
            if (filter == .read) {
                notes.read_change = @intCast(place);
            } else {
                notes.write_change = @intCast(place);
            }
            break :blk &self.changes[place];
        };
        it.* = .{
            .ident = @intCast(stream.fd),
            .filter = filter,
            .flags = flags,
            .udata = @bitCast(stream.token),
        };
    }

    /// Drops changes that were taken back.
    fn compact(self: *Kqueue) []Kevent {
        var kept: usize = 0;
        for (self.changes[0..self.change_count]) |it| {
            if (it.filter == .none) continue;
            self.changes[kept] = it;
            kept += 1;
        }
        self.change_count = kept;
        return self.changes[0..kept];
    }

    /// Tells the system ahead of the next wait: there is no room for more. Events are left alone.
    fn makeChanges(self: *Kqueue) void {
        var receipts: [changes_max]Kevent = undefined;
        const changes = self.compact();
        for (changes) |*it| it.flags.receipt = true;
        const room = receipts[0..changes.len];
        const count = kevent(self.kq, changes, room, &no_time) catch |err| blk: {
            log.limited("what connections wait for is not asked for: {s}", .{@errorName(err)});
            break :blk 0;
        };
        self.change_count = 0;
        for (receipts[0..count]) |*it| {
            // End the connection rather than lose an event; its owner finds out by its timeouts.
            if (it.data != 0) system.shutdown(@intCast(it.ident), .both) catch {};
        }
    }

    const no_time: posix.timespec = .{ .sec = 0, .nsec = 0 };

    /// Waits for events, at most `timeout_ms` (-1: for ever), and calls `context` back for each.
    /// True when there may be more.
    pub fn poll(self: *Kqueue, timeout_ms: i32, context: anytype) bool {
        const count = self.wait(timeout_ms);
        context.onAwake();
        comptime io.checkContext(Kqueue, @TypeOf(context.*));
        for (self.events[0..count]) |*event| {
            const token: io.Token = @bitCast(event.udata);
            if (token.kind == .internal) {
                if (token == pipe_token) self.drain();
                continue;
            }
            const stream = context.stream(token) orelse continue;
            if (stream.fd == system.no_socket) continue; // closed in this poll
            if (comptime io.accepts(@TypeOf(context.*))) {
                if (token.kind == .listener) {
                    self.serveListener(stream, event, context);
                    continue;
                }
            }
            if (context.isServed(token)) {
                self.serve(stream, event, context);
            } else if (event.filter == .read) {
                self.askForInput(stream); // told again with the next poll
            } else {
                self.askForRoom(stream);
            }
        }
        return count == events_max;
    }

    /// Returns how many events there are.
    pub fn sleep(self: *Kqueue, timeout_ms: i32) usize {
        const timeout: posix.timespec = .{
            .sec = @divTrunc(@max(timeout_ms, 0), std.time.ms_per_s),
            .nsec = @rem(@max(timeout_ms, 0), std.time.ms_per_s) * std.time.ns_per_ms,
        };
        const until = if (timeout_ms < 0) null else &timeout;
        const changes = self.compact();
        const count = kevent(self.kq, changes, &self.events, until) catch |err| switch (err) {
            error.Interrupted => 0, // what was to change has changed (kqueue(2))
            else => {
                restAfter(err);
                return 0;
            },
        };
        self.change_count = 0;
        return count;
    }

    /// What JavaScript has written counts for one wake.
    fn drain(self: *Kqueue) void {
        var bytes: [4096]u8 = undefined;
        while (true) {
            const count = system.read(self.pipe[0], &bytes) catch return; // it is empty
            if (count < bytes.len) return;
        }
    }

    fn serveListener(self: *Kqueue, stream: *Stream, event: *const Kevent, context: anytype) void {
        if (event.flags.err)
            return context.onAcceptFailed(stream.token, .of(errorIn(event)));
        _ = self.acceptBatch(stream, context);
    }

    fn errorIn(event: *const Kevent) system.Error {
        const errno = std.meta.intToEnum(system.Errno, event.data) catch return error.Unexpected;
        return system.errorOf(errno);
    }

    fn serve(self: *Kqueue, stream: *Stream, event: *const Kevent, context: anytype) void {
        const token = stream.token;
        if (comptime io.connects(@TypeOf(context.*))) {
            if (Notes.of(stream).connecting) return self.serveConnect(stream, event, context);
        }
        // The system would not be asked: for want of memory.
        if (event.flags.err) return context.onRecv(token, .failed);
        if (event.filter == .read) return self.serveInput(stream, event, context);
        if (!Notes.of(stream).wants_room) return;
        Notes.of(stream).wants_room = false;
        context.onSent(token, 0);
    }

    fn serveConnect(self: *Kqueue, stream: *Stream, event: *const Kevent, context: anytype) void {
        Notes.of(stream).connecting = false;
        const result: io.Connecting = if (event.flags.err)
            .{ .failed = errorIn(event) }
        else
            transfer.connected(stream.fd);
        if (result == .connected) self.askForInput(stream);
        context.onConnected(stream.token, result);
    }

    fn serveInput(self: *Kqueue, stream: *Stream, event: *const Kevent, context: anytype) void {
        const notes = Notes.of(stream);
        notes.unread = true;
        if (event.flags.eof) notes.at_end = true;
        if (!notes.paused) return self.receive(stream, context);
        if (!event.flags.eof) return;
        if (event.fflags != 0) return context.onRecv(stream.token, .failed); // a reset: its errno
        if (notes.ended) return;
        notes.ended = true;
        context.onRecv(stream.token, .eof_ahead);
    }

    /// Receives what is there, without waiting for an event that tells so.
    pub fn receiveNow(self: *Kqueue, stream: *Stream, context: anytype) void {
        self.receive(stream, context);
    }

    fn receive(self: *Kqueue, stream: *Stream, context: anytype) void {
        const token = stream.token;
        const buffer = self.receive_buffer;
        const notes = Notes.of(stream);
        const bytes = switch (transfer.receive(stream.fd, buffer)) {
            .bytes => |bytes| bytes,
            .eof => {
                notes.unread = false;
                notes.ended = true;
                return context.onRecv(token, .eof);
            },
            .would_block => {
                notes.unread = false;
                return;
            },
            .failed => return context.onRecv(token, .failed),
        };
        // A buffer that was not filled has taken all, but for the end.
        notes.unread = bytes.len == buffer.len or notes.at_end;
        context.onRecv(token, .{ .bytes = bytes });
        const current = context.stream(token) orelse return;
        if (current.fd == system.no_socket) return;
        if (Notes.of(current).unread and !Notes.of(current).paused) self.askForInput(current);
    }
};

comptime {
    io.check(Kqueue);
}

const testing = std.testing;
const fixtures = @import("testing/fixtures.zig");
const Recorder = fixtures.Recorder(Kqueue);

const test_options: io.Options = .{ .receive_buffer_bytes = 4096 };

fn acceptedToken(slot: u32) io.Token {
    return .{ .slot = slot, .generation = 1, .kind = .accepted };
}

test "kqueue: a pause and its end ask the system for nothing, unless something came meanwhile" {
    var one: fixtures.One(Kqueue) = undefined;
    try one.init();
    defer one.deinit();
    const stream = one.stream();
    try testing.expectEqual(1, one.backend.change_count);
    one.poll(0);
    for (0..3) |_| {
        one.backend.pauseRecv(stream);
        one.backend.resumeRecv(stream);
    }
    one.backend.pauseRecv(stream);
    try testing.expectEqual(0, one.backend.change_count);
    _ = try system.write(one.peer, "hello");
    one.poll(1000);
    try testing.expectEqual(0, one.recorder.received.items.len);
    for (0..3) |_| {
        one.backend.resumeRecv(stream);
        one.backend.pauseRecv(stream);
    }
    one.backend.resumeRecv(stream);
    try testing.expectEqual(1, one.backend.change_count);
    one.poll(1000);
    try testing.expectEqualStrings("hello", one.recorder.received.items);
    try one.end();
}

test "kqueue: what a closed stream waited for is not asked of the next socket of its number" {
    var backend = try Kqueue.init(testing.allocator, test_options);
    defer backend.deinit();
    var recorder: Recorder = .{};
    defer recorder.deinit();
    const old = try fixtures.socketPair();
    defer system.close(old[1]);
    try backend.open(&recorder.streams[0], old[0], acceptedToken(0));
    backend.sendLater(&recorder.streams[0], .{ .memory = &.{} });
    try testing.expectEqual(2, backend.change_count);
    try recorder.end(&backend, 0);
    const new = try fixtures.socketPair();
    defer system.close(new[1]);
    try testing.expectEqual(old[0], new[0]);
    try backend.open(&recorder.streams[1], new[0], acceptedToken(1));
    _ = backend.poll(0, &recorder);
    try testing.expectEqual(0, backend.change_count);
    try testing.expectEqual(0, recorder.sent_calls);
    _ = try system.write(new[1], "hello");
    _ = backend.poll(1000, &recorder);
    try testing.expectEqualStrings("hello", recorder.received.items);
    try testing.expect(!recorder.failed);
    try recorder.end(&backend, 1);
}

test "kqueue: more changes than one wait takes are made ahead of it, and none is lost" {
    var backend = try Kqueue.init(testing.allocator, test_options);
    defer backend.deinit();
    const Crowd = struct {
        const Self = @This();

        streams: [Kqueue.changes_max + 50]Kqueue.Stream = @splat(.{}),
        received: usize = 0,

        pub fn stream(self: *Self, token: io.Token) ?*Kqueue.Stream {
            return &self.streams[token.slot];
        }
        pub fn isServed(_: *Self, _: io.Token) bool {
            return true;
        }
        pub fn onAwake(_: *Self) void {}
        pub fn onRecv(self: *Self, _: io.Token, result: io.RecvResult) void {
            self.received += result.bytes.len;
        }
        pub fn onSent(_: *Self, _: io.Token, _: u64) void {}
        pub fn onClosed(_: *Self, _: io.Token) void {}
    };
    var crowd: Crowd = .{};
    var peers: [crowd.streams.len]system.Socket = undefined;
    for (&crowd.streams, &peers, 0..) |*stream, *peer, slot| {
        const fds = try fixtures.socketPair();
        peer.* = fds[1];
        _ = try system.write(peer.*, "x");
        try backend.open(stream, fds[0], acceptedToken(@intCast(slot)));
    }
    while (backend.poll(0, &crowd)) {}
    try testing.expectEqual(peers.len, crowd.received);
    for (&crowd.streams, peers) |*stream, peer| {
        _ = backend.close(stream);
        system.close(peer);
    }
}

test "kqueue: bytes written to the bell, as JavaScript does it, end a poll, once" {
    var backend = try Kqueue.init(testing.allocator, test_options);
    defer backend.deinit();
    var recorder: Recorder = .{};
    defer recorder.deinit();
    for (0..3) |_| _ = try system.write(backend.bell().descriptor(), "8 bytes.");
    var timer = try std.time.Timer.start();
    _ = backend.poll(10_000, &recorder);
    try testing.expect(timer.lap() < 5 * std.time.ns_per_s);
    _ = backend.poll(30, &recorder);
    try testing.expect(timer.lap() >= 30 * std.time.ns_per_ms);
    try testing.expect(!try system.isReady(backend.pipe[0], posix.POLL.IN));
}

test "kqueue: a stream that the system refuses to watch fails" {
    var backend = try Kqueue.init(testing.allocator, test_options);
    defer backend.deinit();
    var recorder: Recorder = .{};
    defer recorder.deinit();
    const fds = try fixtures.socketPair();
    defer system.close(fds[1]);
    try backend.open(&recorder.streams[0], fds[0], acceptedToken(0));
    system.close(fds[0]); // EBADF, where another time it might be ENOMEM
    _ = backend.poll(0, &recorder);
    try testing.expect(recorder.failed);
}

test "kqueue: an end that came with more bytes than one receive takes is told ahead in a pause" {
    var one: fixtures.One(Kqueue) = undefined;
    try one.init();
    defer one.deinit();
    const stream = one.stream();
    _ = try system.write(one.peer, &[_]u8{'x'} ** 5000);
    one.hangUp();
    one.poll(1000);
    try testing.expectEqual(4096, one.recorder.received.items.len);
    one.backend.pauseRecv(stream);
    one.poll(1000);
    try testing.expectEqual(1, one.recorder.eof_ahead);
    try testing.expectEqual(4096, one.recorder.received.items.len);
    one.backend.resumeRecv(stream);
    for (0..3) |_| if (!one.recorder.eof) {
        one.poll(10);
    };
    try testing.expectEqual(5000, one.recorder.received.items.len);
    try testing.expect(one.recorder.eof);
    try one.end();
}

test "kqueue: a wait that the system refuses is over soon, with nothing" {
    var backend = try Kqueue.init(testing.allocator, test_options);
    const own = backend.kq;
    backend.kq = backend.pipe[0];
    log.setLevel(.silent);
    defer log.setLevel(.debug);
    var recorder: Recorder = .{};
    defer recorder.deinit();
    try testing.expect(!backend.poll(-1, &recorder));
    backend.kq = own;
    backend.deinit();
}
