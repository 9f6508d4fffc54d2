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
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const io = @import("io.zig");
const ring_file = @import("ring.zig");
const restAfter = @import("refused_wait.zig").restAfter;
const socket = @import("socket.zig");
const transfer = @import("transfer.zig");
const lost = @import("uring_lost.zig");
const Notice = @import("uring_notice.zig").Notice;
const uring_state = @import("uring_state.zig");
const Operation = uring_state.Operation;
const Ring = ring_file.Ring;
const InputFilter = @import("uring_inputs.zig").InputFilter;
const State = uring_state.State;
const Tag = uring_state.Tag;
const ZeroCopies = uring_state.ZeroCopies;
const no_token = uring_state.no_token;
const nobody = uring_state.nobody;
const Completion = ring_file.Completion;

/// POLLRDHUP (poll(2)): std has it not.
const poll_rdhup = 0x2000;

pub const Uring = struct {
    kernel: Ring,
    buffers: ring_file.Buffers,
    bell_fd: posix.fd_t,
    /// For a loop of others that waits in the place of `poll`.
    notice: ?Notice = null,
    awaits_bell: bool = false,
    gpa: Allocator,
    /// Completions of sockets that are not to be served now, in their order: for the next poll.
    held: []Completion,
    held_len: usize = 0,
    /// Buffers that the held ones keep.
    kept_buffers: u32 = 0,
    /// For who receives while the buffers of the ring are kept.
    spare: []u8,
    inputs: InputFilter = .{},
    zero_copies: ZeroCopies = .none,
    busy_poll_us: u32,
    /// Completions were lost once: what comes late may be of slots that are others' now.
    lost_track: bool = false,
    /// Of some stream is to be told that it is lost.
    has_lost: bool = false,

    /// Completions that one poll looks at.
    const batch_max = 64;
    const gathers_max = batch_max / 16;
    const held_max = 1024;
    /// Locked memory: about 100 KiB.
    pub const sizes: Ring.Sizes = .{ .submissions = 512, .completions = 4096 };
    /// For who waits at listeners alone.
    const sizes_small: Ring.Sizes = .{ .submissions = 64, .completions = 128 };
    /// Twice what a poll looks at, so that small receives always find one: to do without costs a
    /// call for each.
    const buffers_count = 128;
    /// A receive that brings more takes several. Half of it made uploads dearer by a tenth, and
    /// twice as much won nothing.
    const buffer_bytes_max = 8 * 1024;

    comptime {
        assert(buffers_count >= 2 * batch_max);
    }

    pub const Stream = io.Stream;

    const calls = @import("calls.zig").Calls(Uring);
    pub const nowMs = calls.nowMs;
    pub const wallSeconds = calls.wallSeconds;
    pub const closeAccepted = calls.closeAccepted;
    pub const shutdownSend = calls.shutdownSend;
    pub const inFlight = calls.inFlight;
    pub const send = calls.send;
    pub const sendFile = calls.sendFile;
    pub const sealSends = calls.sealNothing;
    pub const sendSealed = calls.sendNothingSealed;
    pub const acceptBatch = calls.acceptBatch;
    pub const ring = transfer.ring;
    const wait = calls.wait;

    /// Whether this system has what is needed for one worker, and lets us use it.
    pub fn probe() system.Error!void {
        var kernel = try Ring.init(sizes);
        defer kernel.deinit();
        var buffers = ring_file.Buffers.init(&kernel, buffers_count, 64) catch |err|
            return switch (err) {
                error.OutOfMemory => error.SystemResources,
                else => |other| other,
            };
        defer buffers.deinit();
        try kernel.enable();
        try kernel.enter(0);
    }

    pub fn init(gpa: Allocator, options: io.Options) !Uring {
        // Who receives next to nothing is an acceptor.
        const is_small = options.receive_buffer_bytes < 64;
        var kernel = try Ring.init(if (is_small) sizes_small else sizes);
        errdefer kernel.deinit();
        const each = std.math.clamp(options.receive_buffer_bytes, 64, buffer_bytes_max);
        const count: u16 = if (is_small) 2 else buffers_count;
        var buffers = try ring_file.Buffers.init(&kernel, count, each);
        errdefer buffers.deinit();
        const bell_fd = try system.eventDescriptor(linux.EFD.CLOEXEC | linux.EFD.NONBLOCK);
        errdefer system.close(bell_fd);
        var self: Uring = .{
            .kernel = kernel,
            .buffers = buffers,
            .bell_fd = bell_fd,
            .gpa = gpa,
            .held = &.{},
            .spare = &.{},
            .busy_poll_us = options.busy_poll_us,
        };
        self.held = try gpa.alloc(Completion, held_max);
        errdefer gpa.free(self.held);
        self.spare = try gpa.alloc(u8, options.receive_buffer_bytes);
        errdefer gpa.free(self.spare);
        if (options.zero_copy) self.zero_copies = try ZeroCopies.init(gpa);
        self.awaitBell();
        return self;
    }

    pub fn memoryBytes(self: *const Uring) usize {
        return self.kernel.memoryBytes() + self.buffers.memoryBytes();
    }

    pub fn deinit(self: *Uring) void {
        self.kernel.deinit();
        self.buffers.deinit();
        system.close(self.bell_fd);
        if (self.notice) |*notice| notice.deinit();
        self.zero_copies.deinit(self.gpa);
        self.gpa.free(self.spare);
        self.gpa.free(self.held);
        self.* = undefined;
    }

    // Waking, clocks.

    pub fn bell(self: *const Uring) io.Bell {
        return .ofDescriptor(self.bell_fd);
    }

    /// Can be read when there is something to poll for. Null: the system does not give it.
    pub fn descriptor(self: *Uring) ?posix.fd_t {
        if (self.notice == null) self.notice = Notice.init(&self.kernel, self.bell_fd) catch |err| {
            log.err("io_uring cannot tell what it completes: {s}", .{@errorName(err)});
            return null;
        };
        return self.notice.?.epoll_fd;
    }

    /// Where somebody else waits for `descriptor`, in the place of a poll: submits what was asked
    /// for since the last. True: there is more to do, which the descriptor does not tell.
    pub fn handOver(self: *Uring) bool {
        if (!self.awaits_bell) self.awaitBell();
        if (self.kernel.hasSubmissions()) self.kernel.submit() catch return true;
        if (self.notice) |*notice| notice.forget();
        if (self.kernel.waiting() > 0 or self.kernel.hasWork()) return true;
        return self.held_len > 0 or self.has_lost or !self.awaits_bell;
    }

    /// Each write completes it once more; the count is never read.
    pub fn awaitBell(self: *Uring) void {
        self.awaits_bell = false;
        const entry = self.next() orelse return; // the next poll tries again
        self.awaits_bell = true;
        entry.opcode = .POLL_ADD;
        entry.fd = self.bell_fd;
        entry.rw_flags = linux.POLL.IN;
        entry.len = linux.IORING_POLL_ADD_MULTI;
        entry.user_data = @bitCast(Tag.of(no_token, .bell));
    }

    // Operations.

    /// An entry for the next submission. Null when the kernel takes none.
    fn next(self: *Uring) ?*ring_file.Submission {
        if (self.kernel.next()) |entry| return entry;
        // Completions are left where they are: the queue for them has room for one poll's.
        self.kernel.submit() catch return null;
        return self.kernel.next();
    }

    /// An entry for an operation of `stream`. Without one the connection cannot go on: the next
    /// poll tells so. A listener tries again.
    fn begin(self: *Uring, stream: *Stream, operation: Operation) ?*ring_file.Submission {
        const entry = self.next() orelse {
            log.limited("the kernel takes no more operations: a connection is ended", .{});
            if (stream.token.kind != .listener) system.shutdown(stream.fd, .both) catch {};
            State.of(stream).is_lost = true;
            self.has_lost = true;
            return null;
        };
        entry.fd = stream.fd;
        entry.user_data = @bitCast(Tag.of(stream.token, operation));
        return entry;
    }

    fn receive(self: *Uring, stream: *Stream) void {
        const state = State.of(stream);
        if (state.under_way.receive or state.under_way.input) return;
        if (state.at_end or !state.wants_input) return;
        if (self.isShort()) {
            state.under_way.input = self.awaitEvents(stream, .input, linux.POLL.IN);
            return;
        }
        const entry = self.begin(stream, .receive) orelse return;
        entry.opcode = .RECV;
        entry.flags = linux.IOSQE_BUFFER_SELECT;
        entry.ioprio = linux.IORING_RECV_MULTISHOT;
        entry.buf_index = ring_file.Buffers.group;
        state.under_way.receive = true;
    }

    /// Streams that are not served keep so many buffers that the others receive without: each when
    /// bytes are there, into `spare`. So nobody takes what another needs to go on.
    fn isShort(self: *const Uring) bool {
        return self.kept_buffers > self.buffers.ring.len / 2;
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
        if (!state.under_way.watch) {
            const entry = self.begin(stream, .watch) orelse return;
            entry.opcode = .POLL_ADD;
            entry.rw_flags = poll_rdhup;
            entry.len = linux.IORING_POLL_ADD_MULTI;
            state.under_way.watch = true;
        } else if (state.saw_reset or owesEnd(state)) {
            // It came while bytes were wanted, and was left to them to tell.
            if (state.under_way.tell) return;
            const entry = self.begin(stream, .tell) orelse return;
            entry.opcode = .NOP;
            state.under_way.tell = true;
        }
    }

    /// The peer's end is to be told ahead of what is unread.
    fn owesEnd(state: *const State) bool {
        return state.saw_end and !state.told_end and !state.at_end;
    }

    // Streams.

    pub fn open(self: *Uring, stream: *Stream, fd: posix.socket_t, token: io.Token) !void {
        assert(token.kind != .internal);
        stream.* = .{ .fd = fd, .token = token };
        State.of(stream).wants_input = true;
        self.receive(stream);
        if (!State.of(stream).under_way.isAny()) return error.SystemResources;
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
        const under_way = &State.of(stream).under_way;
        under_way.connect = self.awaitEvents(stream, .connect, linux.POLL.OUT);
        if (under_way.connect) return;
        system.close(fd);
        stream.* = .{};
        return error.SystemResources;
    }

    pub fn close(self: *Uring, stream: *Stream) io.Closing {
        const state = State.of(stream);
        assert(!state.is_closing);
        self.dropHeld(stream);
        if (!state.under_way.isAny()) {
            system.close(stream.fd);
            stream.* = .{};
            return .closed;
        }
        state.is_closing = true;
        self.cancelAll(stream);
        closeSocket(stream);
        return .under_way;
    }

    /// What is held of a stream that is closed is noted now: what the kernel tells of it after that
    /// may be its last, in this very poll.
    fn dropHeld(self: *Uring, stream: *Stream) void {
        for (self.held[0..self.held_len]) |*completion| {
            const tag: Tag = @bitCast(completion.user_data);
            if (tag.named() != stream.token) continue;
            self.giveBack(completion.*);
            if (hasBuffer(completion.*)) self.kept_buffers -= 1;
            self.noteEnd(stream, tag.operation, completion.*);
            completion.* = .{ .user_data = nobody, .res = 0, .flags = 0 };
        }
    }

    pub fn abort(self: *Uring, stream: *Stream) io.Closing {
        socket.setResetOnClose(stream.fd);
        return self.close(stream);
    }

    /// One by one, by what they are named: for all of a descriptor the kernel would look at all
    /// that is under way for others.
    fn cancelAll(self: *Uring, stream: *Stream) void {
        const under_way = State.of(stream).under_way;
        var is_taken = true;
        inline for (.{ .receive, .input, .watch, .room, .send, .accept, .connect }) |operation| {
            if (@field(under_way, @tagName(operation)))
                is_taken = self.cancel(stream, operation) and is_taken;
        }
        State.of(stream).is_cancelled = is_taken;
        // Each completes then, and what goes on after that is cancelled again.
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
        if (!state.under_way.receive or state.cancelling) return;
        state.cancelling = self.cancel(stream, .receive);
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
        return self.wasReceived(stream) or transfer.hasInput(stream.fd);
    }

    /// Whether a receive has completed for it that it has not been told of.
    fn wasReceived(self: *Uring, stream: *const Stream) bool {
        const held = self.held[0..self.held_len];
        if (!self.inputs.mayHave(&self.kernel, held, stream.token)) return false;
        const tag: u64 = @bitCast(Tag.of(stream.token, .receive));
        for (held) |completion| {
            if (completion.user_data == tag and completion.res >= 0) return true;
        }
        for (0..self.kernel.waiting()) |i| {
            const completion = self.kernel.peek(@intCast(i));
            if (completion.user_data == tag and completion.res >= 0) return true;
        }
        return false;
    }

    pub fn sendLater(self: *Uring, stream: *Stream, output: io.Output) void {
        State.of(stream).wants_room = true;
        if (self.sendInPlace(stream, output)) return;
        self.awaitRoom(stream);
    }

    fn awaitRoom(self: *Uring, stream: *Stream) void {
        const under_way = &State.of(stream).under_way;
        if (under_way.room) return;
        under_way.room = self.awaitEvents(stream, .room, linux.POLL.OUT);
    }

    /// Has the kernel send the first piece of `output` from where it lies, if it is large. False:
    /// it is sent in the plain way.
    fn sendInPlace(self: *Uring, stream: *Stream, output: io.Output) bool {
        const state = State.of(stream);
        if (output != .memory or state.is_copied) return false;
        const piece = output.memory[0];
        if (piece.len < limits.zero_copy_bytes_min) return false;
        const place = self.zero_copies.take() orelse return false;
        const entry = self.begin(stream, .send) orelse {
            self.zero_copies.release(place);
            return false;
        };
        ring_file.fillSendInPlace(entry, piece.base[0..piece.len]);
        state.send_place = place;
        state.under_way.send = true;
        return true;
    }

    // Accepting.

    pub fn listen(self: *Uring, stream: *Stream, fd: posix.socket_t, token: io.Token) !void {
        assert(token.kind == .listener);
        stream.* = .{ .fd = fd, .token = token };
        self.resumeAccept(stream);
        if (!State.of(stream).under_way.accept) return error.SystemResources;
    }

    pub fn pauseAccept(_: *Uring, stream: *Stream) void {
        State.of(stream).wants_input = false;
    }

    pub fn resumeAccept(self: *Uring, stream: *Stream) void {
        State.of(stream).wants_input = true;
        const under_way = &State.of(stream).under_way;
        if (under_way.accept) return;
        under_way.accept = self.awaitEvents(stream, .accept, linux.POLL.IN);
    }

    /// Another process may have the socket too: what is under way is given up first. What was not
    /// submitted yet would wait for whatever has the descriptor's number then.
    pub fn closeListener(self: *Uring, stream: *Stream) void {
        if (State.of(stream).under_way.accept) {
            self.kernel.withdraw(@bitCast(Tag.of(stream.token, .accept)));
            if (self.kernel.is_enabled) {
                self.cancelAll(stream);
                self.enter(0);
            }
        }
        system.close(stream.fd);
        stream.* = .{};
    }

    // Polling.

    /// Submits what the turn has asked for, waits, at most `timeout_ms` (-1: for ever), and calls
    /// `context` back. True when there may be more.
    pub fn poll(self: *Uring, timeout_ms: i32, context: anytype) bool {
        comptime io.checkContext(Uring, @TypeOf(context.*));
        comptime io.checkEnumerable(Uring, @TypeOf(context.*));
        if (!self.kernel.is_enabled) self.enable();
        if (!self.awaits_bell) self.awaitBell();
        self.inputs.forget();
        // What is held may be served by now, and nothing else need come; nor of who is lost.
        _ = self.wait(if (self.held_len > 0 or self.has_lost) 0 else timeout_ms);
        self.gather();
        context.onAwake();
        if (self.kernel.hasDropped()) return lost.startOver(self, context);
        if (self.has_lost) lost.tell(self, context);
        self.serveHeld(context);
        for (0..batch_max) |_| {
            if (self.held_len == self.held.len) return true; // what is left waits in the ring
            const completion = self.kernel.take() orelse return false;
            if (!self.serve(completion, context)) self.hold(completion);
        }
        return self.kernel.waiting() > 0 or self.kernel.hasWork();
    }

    /// Returns how many completions wait.
    pub fn sleep(self: *Uring, timeout_ms: i32) usize {
        self.enter(timeout_ms);
        return self.kernel.waiting();
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

    pub fn enter(self: *Uring, timeout_ms: i32) void {
        self.kernel.enter(timeout_ms) catch |err| restAfter(err);
    }

    fn hold(self: *Uring, completion: Completion) void {
        self.held[self.held_len] = completion;
        self.held_len += 1;
        if (hasBuffer(completion)) self.kept_buffers += 1;
        self.inputs.note(completion);
    }

    fn hasBuffer(completion: Completion) bool {
        return completion.flags & linux.IORING_CQE_F_BUFFER != 0;
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
        assert(self.held_len == count); // callbacks hold nothing
        self.held_len = left;
        self.kept_buffers = 0;
        for (self.held[0..left]) |completion| {
            if (hasBuffer(completion)) self.kept_buffers += 1;
        }
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
            // A listener that was closed; a connection's slot is kept until all that the kernel has
            // of it is completed.
            assert(tag.operation == .accept or self.lost_track);
            self.giveBack(completion);
            return true;
        };
        if (State.of(stream).is_closing) {
            self.giveBack(completion);
            self.noteEnd(stream, tag.operation, completion);
            if (goesOn(completion) and !State.of(stream).is_cancelled) self.cancelAll(stream);
            finishClose(stream, context);
            return true;
        }
        if (tag.operation != .accept and !context.isServed(token)) {
            // What came lies in buffers that others need: the rest of it stays in the socket.
            if (tag.operation == .receive and goesOn(completion)) self.endReceive(stream);
            return false;
        }
        self.noteEnd(stream, tag.operation, completion);
        switch (tag.operation) {
            .receive => self.serveReceive(stream, completion, context),
            .input => self.serveInput(stream, context),
            .watch => self.serveWatch(stream, completion, context),
            .tell => serveTell(stream, context),
            .room => serveRoom(stream, context),
            .send => self.serveSend(stream, context),
            .accept => self.serveAccept(stream, context),
            .connect => self.serveConnect(stream, context),
            .bell, .cancel => unreachable, // there are no others
        }
        return true;
    }

    /// The operation is still under way.
    fn goesOn(completion: Completion) bool {
        return completion.flags & linux.IORING_CQE_F_MORE != 0;
    }

    /// Notes what is no longer under way.
    fn noteEnd(self: *Uring, stream: *Stream, operation: Operation, completion: Completion) void {
        const state = State.of(stream);
        if (operation == .send) return self.noteSent(state, completion);
        if (goesOn(completion)) return;
        switch (operation) {
            .receive => {
                state.under_way.receive = false;
                state.cancelling = false;
            },
            .input => state.under_way.input = false,
            .watch => state.under_way.watch = false,
            .tell => state.under_way.tell = false,
            .room => state.under_way.room = false,
            .accept => state.under_way.accept = false,
            .connect => state.under_way.connect = false,
            .send, .bell, .cancel => {},
        }
    }

    fn noteSent(self: *Uring, state: *State, completion: Completion) void {
        const under_way = &state.under_way;
        if (completion.flags & linux.IORING_CQE_F_NOTIF != 0) {
            under_way.notice = false;
            const usage: u32 = @bitCast(completion.res);
            if (usage & linux.IORING_NOTIF_USAGE_ZC_COPIED != 0) state.is_copied = true;
        } else {
            under_way.send = false;
            under_way.notice = goesOn(completion);
            if (completion.res >= 0) {
                self.zero_copies.sent[state.send_place] = @intCast(completion.res);
            } else {
                state.is_copied = true; // no memory may be locked, or the socket cannot do it
            }
        }
        if (!under_way.notice) self.zero_copies.release(state.send_place);
    }

    /// Gives the buffer of a completion, if it has one, back to the kernel.
    fn giveBack(self: *Uring, completion: Completion) void {
        if (hasBuffer(completion)) self.buffers.put(@intCast(completion.flags >> 16));
    }

    pub fn finishClose(stream: *Stream, context: anytype) void {
        closeSocket(stream);
        if (State.of(stream).under_way.isAny()) return;
        const token = stream.token;
        stream.* = .{};
        context.onClosed(token);
    }

    /// Closes the descriptor as soon as no operation has the socket. What was sent and is the
    /// kernel's still has not, and an aborted socket gives it up when it is closed.
    fn closeSocket(stream: *Stream) void {
        var others = State.of(stream).under_way;
        others.notice = false;
        if (others.isAny() or stream.fd == -1) return;
        system.close(stream.fd);
        stream.fd = -1;
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
                if (goesOn(completion)) {
                    const has_more = completion.flags & linux.IORING_CQE_F_SOCK_NONEMPTY != 0;
                    return if (!has_more) self.askForEnd(token, context);
                }
            } else {
                State.of(stream).at_end = true;
                context.onRecv(token, .eof);
            },
            .NOBUFS => return self.serveInput(stream, context),
            // Taken back, for a pause that may be over.
            .CANCELED, .INTR, .AGAIN => {},
            else => return context.onRecv(token, .failed),
        }
        self.goOn(token, context);
    }

    /// Where the peer's end was seen, a receive that brings nothing more is begun anew, which
    /// brings the end. By itself it may not: behind 32 pieces that it found at once, Linux 6.18
    /// takes a unix socket that holds no bytes for one that nothing is known of.
    fn askForEnd(self: *Uring, token: io.Token, context: anytype) void {
        const stream = context.stream(token) orelse return;
        const state = State.of(stream);
        if (stream.fd == -1 or state.is_closing) return;
        if (state.saw_end and state.wants_input) self.endReceive(stream);
    }

    /// Receives what is there without a buffer of the ring.
    fn serveInput(self: *Uring, stream: *Stream, context: anytype) void {
        const token = stream.token;
        const state = State.of(stream);
        if (!state.wants_input) return;
        switch (transfer.receive(stream.fd, self.spare)) {
            .bytes => |bytes| context.onRecv(token, .{ .bytes = bytes }),
            .eof => {
                state.at_end = true;
                context.onRecv(token, .eof);
            },
            .would_block => {},
            .failed => return context.onRecv(token, .failed),
        }
        self.goOn(token, context);
    }

    /// Receives on, unless the callback has ended the stream.
    fn goOn(self: *Uring, token: io.Token, context: anytype) void {
        const stream = context.stream(token) orelse return;
        if (stream.fd != -1 and !State.of(stream).is_closing) self.receive(stream);
    }

    fn serveWatch(self: *Uring, stream: *Stream, completion: Completion, context: anytype) void {
        const state = State.of(stream);
        if (completion.res < 0) return;
        const events: u32 = @intCast(completion.res);
        if (events & poll_rdhup != 0) state.saw_end = true;
        const hung_up = events & linux.POLL.HUP != 0 and system.unreadBytes(stream.fd) == 0;
        if (events & linux.POLL.ERR != 0 or hung_up) state.saw_reset = true;
        if (!state.under_way.watch and !state.wants_input) self.watch(stream);
        if (state.saw_end and state.wants_input and system.unreadBytes(stream.fd) == 0)
            self.endReceive(stream); // as in `askForEnd`
        serveTell(stream, context);
    }

    /// Tells what the watch has seen, unless receiving is about to tell it.
    fn serveTell(stream: *Stream, context: anytype) void {
        const state = State.of(stream);
        const is_receiving = state.under_way.receive or state.under_way.input;
        if (state.wants_input and is_receiving) return;
        if (state.saw_reset) return context.onRecv(stream.token, .failed);
        if (state.wants_input or !owesEnd(state)) return;
        state.told_end = true;
        context.onRecv(stream.token, .eof_ahead);
    }

    fn serveRoom(stream: *Stream, context: anytype) void {
        if (!State.of(stream).wants_room) return;
        State.of(stream).wants_room = false;
        context.onSent(stream.token, 0);
    }

    /// Tells how much was sent when the kernel has no more of it. What failed is sent in the plain
    /// way, which tells why.
    fn serveSend(self: *Uring, stream: *Stream, context: anytype) void {
        const state = State.of(stream);
        if (state.under_way.notice) return;
        state.wants_room = false;
        context.onSent(stream.token, self.zero_copies.sent[state.send_place]);
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
