//! The io_uring backend: one receive per connection that goes on by itself and takes its buffers
//! from a ring, so that a connection that is idle has none; everything that a turn asks for is
//! submitted by the call that waits for the next. Sending is a plain system call, as with epoll:
//! the kernel does the same work for it, and what a socket does not take is known at once.
//!
//! A socket is closed when the last of its operations has completed: until then the kernel holds
//! it, whatever its descriptor says.

const std = @import("std");
const assert = std.debug.assert;
const linux = std.os.linux;
const posix = std.posix;
const Allocator = std.mem.Allocator;
const clock = @import("../core/clock.zig");
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const io = @import("io.zig");
const ring_file = @import("ring.zig");
const socket = @import("socket.zig");
const transfer = @import("transfer.zig");
const Ring = ring_file.Ring;
const Completion = ring_file.Completion;

/// POLLRDHUP (poll(2)): std has it not.
const poll_rdhup = 0x2000;

const no_token: io.Token = .{ .slot = 0, .kind = .internal };

/// What a completion is told by: a token, whose slot has room in 24 bits, and the operation.
const Tag = packed struct(u64) {
    slot: u24,
    generation: u28,
    kind: io.Token.Of,
    operation: Operation,

    fn of(token: io.Token, operation: Operation) Tag {
        return .{
            .slot = @intCast(token.slot),
            .generation = token.generation,
            .kind = token.kind,
            .operation = operation,
        };
    }

    fn named(self: Tag) io.Token {
        return .{ .slot = self.slot, .generation = self.generation, .kind = self.kind };
    }
};

/// Of completions that nobody waits for.
const nobody: u64 = @bitCast(Tag.of(no_token, .cancel));

const Operation = enum(u8) {
    /// Bytes, again and again.
    receive,
    /// While nothing is received: the peer's end, a reset.
    watch,
    /// Room for bytes to be sent.
    room,
    /// Somebody waits at a listener.
    accept,
    /// A connect has ended.
    connect,
    /// An operation is taken back; nobody waits for this.
    cancel,
    /// Another thread rings.
    bell,
};

pub const Uring = struct {
    kernel: Ring,
    buffers: ring_file.Buffers,
    bell_fd: posix.fd_t,
    gpa: Allocator,
    /// Completions of sockets that are not to be served now, in their order: for the next poll.
    held: []Completion,
    held_len: usize = 0,

    /// Completions that one poll looks at.
    const batch_max = 256;
    const gathers_max = batch_max / 16;
    const held_max = 1024;
    const sizes: Ring.Sizes = .{ .submissions = 1024, .completions = 8192 };
    const buffers_count = 256;
    /// A receive that brings more takes several.
    const buffer_bytes_max = 16 * 1024;

    pub const Stream = io.Stream;

    const State = packed struct(u32) {
        /// Bytes are wanted; of a listener: connections.
        wants_input: bool = false,
        wants_room: bool = false,
        /// The peer's end was seen by the watch, and told ahead of what is unread.
        saw_end: bool = false,
        told_end: bool = false,
        /// The peer's end was received.
        at_end: bool = false,
        // Under way in the kernel, or about to be.
        receiving: bool = false,
        watching: bool = false,
        awaiting_room: bool = false,
        accepting: bool = false,
        connecting: bool = false,
        /// The receive that is under way is being taken back.
        cancelling: bool = false,
        is_closing: bool = false,
        unused: u20 = 0,

        fn isBusy(self: State) bool {
            return self.receiving or self.watching or self.awaiting_room or self.accepting or
                self.connecting;
        }

        fn of(stream: *Stream) *State {
            return @ptrCast(&stream.notes);
        }
    };

    /// Whether this system has what is needed, and lets us use it.
    pub fn probe() system.Error!void {
        var kernel = try Ring.init(.{ .submissions = 4, .completions = 8 });
        defer kernel.deinit();
        var buffers = ring_file.Buffers.init(&kernel, 2, 64) catch |err| return switch (err) {
            error.OutOfMemory => error.SystemResources,
            else => |other| other,
        };
        try kernel.enable();
        try kernel.enter(0);
        buffers.deinit();
    }

    pub fn init(gpa: Allocator, options: io.Options) !Uring {
        var kernel = try Ring.init(sizes);
        errdefer kernel.deinit();
        const each = std.math.clamp(options.receive_buffer_bytes, 64, buffer_bytes_max);
        // Who receives next to nothing is an acceptor.
        const count: u16 = if (options.receive_buffer_bytes < 64) 2 else buffers_count;
        var buffers = try ring_file.Buffers.init(&kernel, count, each);
        errdefer buffers.deinit();
        const bell_fd = try system.eventDescriptor(linux.EFD.CLOEXEC | linux.EFD.NONBLOCK);
        errdefer system.close(bell_fd);
        var self: Uring = .{
            .kernel = kernel,
            .buffers = buffers,
            .bell_fd = bell_fd,
            .gpa = gpa,
            .held = try gpa.alloc(Completion, held_max),
        };
        self.awaitBell();
        return self;
    }

    pub fn deinit(self: *Uring) void {
        self.kernel.deinit();
        self.buffers.deinit();
        system.close(self.bell_fd);
        self.gpa.free(self.held);
        self.* = undefined;
    }

    // Waking, clocks.

    pub fn bell(self: *const Uring) io.Bell {
        return .ofDescriptor(self.bell_fd);
    }

    /// It cannot fail for want of room: the counter holds 2^64 - 2 rings.
    pub fn ring(its: io.Bell) void {
        transfer.ring(its);
    }

    /// Each write completes it once more; the count is never read.
    fn awaitBell(self: *Uring) void {
        const entry = self.next() orelse return;
        entry.opcode = .POLL_ADD;
        entry.fd = self.bell_fd;
        entry.rw_flags = linux.POLL.IN;
        entry.len = linux.IORING_POLL_ADD_MULTI;
        entry.user_data = @bitCast(Tag.of(no_token, .bell));
    }

    pub fn nowMs(_: *const Uring) u64 {
        return clock.monotonicMs();
    }

    pub fn wallSeconds(_: *const Uring) i64 {
        return clock.realtimeSeconds();
    }

    // Operations.

    /// An entry for the next submission. Null when the kernel takes none.
    fn next(self: *Uring) ?*ring_file.Submission {
        if (self.kernel.next()) |entry| return entry;
        if (self.kernel.is_enabled) self.enter(0);
        return self.kernel.next();
    }

    /// An entry for an operation of `stream`. Without one the connection cannot go on: its end is
    /// brought about, which what is under way will tell.
    fn begin(self: *Uring, stream: *Stream, operation: Operation) ?*ring_file.Submission {
        const entry = self.next() orelse {
            log.limited("the kernel takes no more operations: a connection is ended", .{});
            system.shutdown(stream.fd, .both) catch {};
            return null;
        };
        entry.fd = stream.fd;
        entry.user_data = @bitCast(Tag.of(stream.token, operation));
        return entry;
    }

    fn receive(self: *Uring, stream: *Stream) void {
        const state = State.of(stream);
        if (state.receiving or state.at_end or !state.wants_input) return;
        const entry = self.begin(stream, .receive) orelse return;
        entry.opcode = .RECV;
        entry.flags = linux.IOSQE_BUFFER_SELECT;
        entry.ioprio = linux.IORING_RECV_MULTISHOT;
        entry.buf_index = ring_file.Buffers.group;
        state.receiving = true;
    }

    /// Completes once, when one of `events` is there.
    fn awaitEvents(self: *Uring, stream: *Stream, operation: Operation, events: u32) bool {
        const entry = self.begin(stream, operation) orelse return false;
        entry.opcode = .POLL_ADD;
        entry.rw_flags = events;
        return true;
    }

    /// Completes with each change from here on, and with what there is; once begun it stays. A
    /// reset, and that both sides have ended, is told without being asked for.
    fn watch(self: *Uring, stream: *Stream) void {
        const state = State.of(stream);
        if (!state.watching) {
            const entry = self.begin(stream, .watch) orelse return;
            entry.opcode = .POLL_ADD;
            entry.rw_flags = poll_rdhup;
            entry.len = linux.IORING_POLL_ADD_MULTI;
            state.watching = true;
        } else if (state.saw_end and !state.told_end and !state.at_end) {
            // It came while bytes were wanted, and was left to them to tell.
            if (self.held_len == self.held.len) return;
            self.hold(.{
                .user_data = @bitCast(Tag.of(stream.token, .watch)),
                .res = poll_rdhup,
                .flags = linux.IORING_CQE_F_MORE,
            });
        }
    }

    // Streams.

    pub fn open(self: *Uring, stream: *Stream, fd: posix.socket_t, token: io.Token) !void {
        assert(token.kind != .internal);
        stream.* = .{ .fd = fd, .token = token };
        State.of(stream).wants_input = true;
        self.receive(stream);
        if (!State.of(stream).receiving) return error.SystemResources;
    }

    pub fn connect(
        self: *Uring,
        stream: *Stream,
        endpoint: *const Endpoint,
        token: io.Token,
    ) system.Error!void {
        assert(token.kind == .outbound);
        const fd = try transfer.beginConnect(endpoint);
        stream.* = .{ .fd = fd, .token = token };
        State.of(stream).connecting = self.awaitEvents(stream, .connect, linux.POLL.OUT);
        if (State.of(stream).connecting) return;
        system.close(fd);
        stream.* = .{};
        return error.SystemResources;
    }

    pub fn close(self: *Uring, stream: *Stream) io.Closing {
        const state = State.of(stream);
        assert(!state.is_closing);
        if (!state.isBusy()) {
            system.close(stream.fd);
            stream.* = .{};
            return .closed;
        }
        state.is_closing = true;
        self.cancelAll(stream);
        return .under_way;
    }

    pub fn abort(self: *Uring, stream: *Stream) io.Closing {
        socket.setResetOnClose(stream.fd);
        return self.close(stream);
    }

    /// One by one, by what they are named: for all of a descriptor the kernel would look at all
    /// that is under way for others.
    fn cancelAll(self: *Uring, stream: *Stream) void {
        const state = State.of(stream).*;
        var is_taken = true;
        if (state.receiving) is_taken = self.cancel(stream, .receive) and is_taken;
        if (state.watching) is_taken = self.cancel(stream, .watch) and is_taken;
        if (state.awaiting_room) is_taken = self.cancel(stream, .room) and is_taken;
        if (state.accepting) is_taken = self.cancel(stream, .accept) and is_taken;
        if (state.connecting) is_taken = self.cancel(stream, .connect) and is_taken;
        // They may complete when the connection ends.
        if (!is_taken) system.shutdown(stream.fd, .both) catch {};
    }

    /// False when the kernel takes no operations.
    fn cancel(self: *Uring, stream: *Stream, operation: Operation) bool {
        const entry = self.next() orelse return false;
        entry.opcode = .ASYNC_CANCEL;
        entry.fd = -1;
        entry.addr = @bitCast(Tag.of(stream.token, operation));
        entry.flags = linux.IOSQE_CQE_SKIP_SUCCESS;
        entry.user_data = nobody;
        return true;
    }

    /// The receive that is under way is to end. Bytes that it has not brought stay in the socket.
    fn endReceive(self: *Uring, stream: *Stream) void {
        const state = State.of(stream);
        if (!state.receiving or state.cancelling) return;
        state.cancelling = self.cancel(stream, .receive);
    }

    pub fn closeAccepted(_: *Uring, fd: posix.socket_t) void {
        system.close(fd);
    }

    pub fn shutdownSend(_: *Uring, stream: *Stream) void {
        system.shutdown(stream.fd, .send) catch {}; // a connection that is gone needs no FIN
    }

    pub fn pauseRecv(self: *Uring, stream: *Stream) void {
        State.of(stream).wants_input = false;
        self.endReceive(stream);
        self.watch(stream);
    }

    pub fn resumeRecv(self: *Uring, stream: *Stream) void {
        State.of(stream).wants_input = true;
        // One that is being taken back is begun anew when that is done.
        self.receive(stream);
    }

    /// With the next poll it comes by itself.
    pub fn receiveNow(_: *Uring, _: *Stream, _: anytype) void {}

    pub fn hasInput(self: *Uring, stream: *const Stream) bool {
        const tag: u64 = @bitCast(Tag.of(stream.token, .receive));
        for (self.held[0..self.held_len]) |completion| {
            if (completion.user_data == tag and completion.res >= 0) return true;
        }
        for (0..self.kernel.waiting()) |i| {
            const completion = self.kernel.peek(@intCast(i));
            if (completion.user_data == tag and completion.res >= 0) return true;
        }
        return transfer.hasInput(stream.fd);
    }

    pub fn send(
        _: *Uring,
        stream: *Stream,
        iovecs: []const posix.iovec_const,
        more: bool,
    ) io.SendResult {
        return transfer.send(stream.fd, iovecs, more);
    }

    pub fn sendFile(
        _: *Uring,
        stream: *Stream,
        fd: posix.fd_t,
        offset: u64,
        len: u64,
    ) io.SendResult {
        return transfer.sendFile(stream.fd, fd, offset, len);
    }

    pub fn sendLater(self: *Uring, stream: *Stream, _: io.Output) void {
        const state = State.of(stream);
        state.wants_room = true;
        if (state.awaiting_room) return;
        state.awaiting_room = self.awaitEvents(stream, .room, linux.POLL.OUT);
    }

    pub fn inFlight(_: *Uring, stream: *const Stream) u64 {
        return transfer.inFlight(stream.fd);
    }

    // Accepting.

    pub fn listen(self: *Uring, stream: *Stream, fd: posix.socket_t, token: io.Token) !void {
        assert(token.kind == .listener);
        stream.* = .{ .fd = fd, .token = token };
        self.resumeAccept(stream);
        if (!State.of(stream).accepting) return error.SystemResources;
    }

    pub fn pauseAccept(_: *Uring, stream: *Stream) void {
        State.of(stream).wants_input = false;
    }

    pub fn resumeAccept(self: *Uring, stream: *Stream) void {
        State.of(stream).wants_input = true;
        if (State.of(stream).accepting) return;
        State.of(stream).accepting = self.awaitEvents(stream, .accept, linux.POLL.IN);
    }

    /// Another process may have the socket too: what is under way is given up first.
    pub fn closeListener(self: *Uring, stream: *Stream) void {
        if (State.of(stream).accepting and self.kernel.is_enabled) {
            self.cancelAll(stream);
            self.enter(0);
        }
        system.close(stream.fd);
        stream.* = .{};
    }

    pub fn acceptBatch(_: *Uring, stream: *Stream, context: anytype) bool {
        return transfer.acceptBatch(stream.fd, stream.token, context);
    }

    // Polling.

    /// Submits what the turn has asked for, waits, at most `timeout_ms` (-1: for ever), and calls
    /// `context` back. True when there may be more.
    pub fn poll(self: *Uring, timeout_ms: i32, context: anytype) bool {
        comptime io.checkContext(Uring, @TypeOf(context.*));
        if (!self.kernel.is_enabled) self.enable();
        // What is held may be served by now, and nothing else need come.
        self.enter(if (self.held_len > 0) 0 else timeout_ms);
        self.gather();
        context.onAwake();
        self.serveHeld(context);
        for (0..batch_max) |_| {
            if (self.held_len == self.held.len) return true; // what is left waits in the ring
            const completion = self.kernel.take() orelse return false;
            if (!self.serve(completion, context)) self.hold(completion);
        }
        return self.kernel.waiting() > 0 or self.kernel.hasWork();
    }

    /// The kernel stops at twenty or so that are due, and needs to be told to go on.
    fn gather(self: *Uring) void {
        for (0..gathers_max) |_| {
            if (!self.kernel.hasWork() or self.kernel.waiting() >= batch_max) return;
            self.kernel.enter(0) catch return; // the next poll tells
        }
    }

    fn enable(self: *Uring) void {
        self.kernel.enable() catch |err|
            log.limited("the io_uring of a thread cannot be enabled: {s}", .{@errorName(err)});
    }

    /// A filter may forbid the call, of a process that has been running for long. The loop goes on,
    /// for the day that it is allowed again, and must not spin.
    fn enter(self: *Uring, timeout_ms: i32) void {
        self.kernel.enter(timeout_ms) catch |err| {
            log.limited("waiting for connections failed ({s}): tried again in {d} ms", .{
                @errorName(err),
                limits.poll_failed_pause_ms,
            });
            system.sleepMs(limits.poll_failed_pause_ms);
        };
    }

    fn hold(self: *Uring, completion: Completion) void {
        self.held[self.held_len] = completion;
        self.held_len += 1;
    }

    /// Offers again what could not be served in earlier polls.
    fn serveHeld(self: *Uring, context: anytype) void {
        const count = self.held_len;
        var left: usize = 0;
        for (0..count) |i| {
            const completion = self.held[i];
            self.held[i].user_data = nobody; // `hasInput` looks at the others
            if (self.serve(completion, context)) continue;
            self.held[left] = completion;
            left += 1;
        }
        // What is behind these was added by the callbacks.
        const added = self.held[count..self.held_len];
        std.mem.copyForwards(Completion, self.held[left..], added);
        self.held_len = left + added.len;
    }

    /// False when it is for later: the stream is not to be served now.
    fn serve(self: *Uring, completion: Completion, context: anytype) bool {
        const tag: Tag = @bitCast(completion.user_data);
        switch (tag.operation) {
            .bell => {
                if (completion.flags & linux.IORING_CQE_F_MORE == 0) self.awaitBell();
                return true;
            },
            .cancel => return true,
            else => {},
        }
        const token = tag.named();
        const stream = context.stream(token) orelse {
            // A listener that was closed, or an end that `watch` has held; a connection's slot is
            // kept until all that the kernel has of it is completed.
            assert(tag.operation == .accept or tag.operation == .watch);
            return true;
        };
        if (State.of(stream).is_closing) {
            self.noteEnd(stream, tag.operation, completion);
            self.finishClose(stream, context);
            return true;
        }
        if (tag.operation != .accept and !context.isServed(token)) {
            // What came lies in buffers that others need: the rest of it stays in the socket.
            const goes_on = completion.flags & linux.IORING_CQE_F_MORE != 0;
            if (tag.operation == .receive and goes_on) self.endReceive(stream);
            return false;
        }
        self.noteEnd(stream, tag.operation, completion);
        switch (tag.operation) {
            .receive => self.serveReceive(stream, completion, context),
            .watch => self.serveWatch(stream, completion, context),
            .room => serveRoom(stream, context),
            .accept => self.serveAccept(stream, context),
            .connect => self.serveConnect(stream, context),
            .bell, .cancel => unreachable, // there are no others
        }
        return true;
    }

    /// Notes what is no longer under way.
    fn noteEnd(self: *Uring, stream: *Stream, operation: Operation, completion: Completion) void {
        const state = State.of(stream);
        switch (operation) {
            .receive => {
                if (completion.flags & linux.IORING_CQE_F_MORE == 0) {
                    state.receiving = false;
                    state.cancelling = false;
                }
                if (state.is_closing) self.giveBack(completion);
            },
            .watch => if (completion.flags & linux.IORING_CQE_F_MORE == 0) {
                state.watching = false;
            },
            .room => state.awaiting_room = false,
            .accept => state.accepting = false,
            .connect => state.connecting = false,
            .bell, .cancel => {},
        }
    }

    /// Gives the buffer of a completion, if it has one, back to the kernel.
    fn giveBack(self: *Uring, completion: Completion) void {
        if (completion.flags & linux.IORING_CQE_F_BUFFER == 0) return;
        self.buffers.put(@intCast(completion.flags >> 16));
    }

    fn finishClose(_: *Uring, stream: *Stream, context: anytype) void {
        if (State.of(stream).isBusy()) return;
        const token = stream.token;
        system.close(stream.fd);
        stream.* = .{};
        context.onClosed(token);
    }

    fn serveReceive(self: *Uring, stream: *Stream, completion: Completion, context: anytype) void {
        const token = stream.token;
        const errno: linux.E = if (completion.res < 0) @enumFromInt(-completion.res) else .SUCCESS;
        switch (errno) {
            .SUCCESS => if (completion.res > 0) {
                const index: u16 = @intCast(completion.flags >> 16);
                const bytes = self.buffers.get(index)[0..@intCast(completion.res)];
                context.onRecv(token, .{ .bytes = bytes });
                self.buffers.put(index);
            } else {
                State.of(stream).at_end = true;
                context.onRecv(token, .eof);
            },
            // Out of buffers, which are back by the end of this poll; or taken back for a pause
            // that is over.
            .NOBUFS, .CANCELED, .INTR, .AGAIN => {},
            else => return context.onRecv(token, .failed),
        }
        const current = context.stream(token) orelse return;
        if (current.fd != -1 and !State.of(current).is_closing) self.receive(current);
    }

    fn serveWatch(self: *Uring, stream: *Stream, completion: Completion, context: anytype) void {
        const state = State.of(stream);
        if (completion.res < 0) return;
        const events: u32 = @intCast(completion.res);
        if (events & poll_rdhup != 0) state.saw_end = true;
        if (state.wants_input) return; // receiving tells it
        if (!state.watching) self.watch(stream);
        if (events & (linux.POLL.ERR | linux.POLL.HUP) != 0) {
            return context.onRecv(stream.token, .failed);
        }
        if (!state.saw_end or state.told_end or state.at_end) return;
        state.told_end = true;
        context.onRecv(stream.token, .eof_ahead);
    }

    fn serveRoom(stream: *Stream, context: anytype) void {
        if (!State.of(stream).wants_room) return;
        State.of(stream).wants_room = false;
        context.onSent(stream.token, 0);
    }

    fn serveConnect(self: *Uring, stream: *Stream, context: anytype) void {
        if (comptime !io.connects(@TypeOf(context.*))) return;
        const result = transfer.connected(stream.fd);
        if (result == .connected) {
            State.of(stream).wants_input = true;
            self.receive(stream);
        }
        context.onConnected(stream.token, result);
    }

    fn serveAccept(self: *Uring, stream: *Stream, context: anytype) void {
        if (comptime !io.accepts(@TypeOf(context.*))) return;
        if (!State.of(stream).wants_input) return;
        const token = stream.token;
        _ = self.acceptBatch(stream, context);
        const current = context.stream(token) orelse return; // it was broken, and is closed
        if (State.of(current).wants_input) self.resumeAccept(current);
    }
};

comptime {
    io.check(Uring);
}
