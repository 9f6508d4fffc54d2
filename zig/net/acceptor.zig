//! The acceptor: one thread that takes connections from the listeners
//! and hands them to the workers in turn.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const orders = @import("../core/orders.zig").wake;
const system = @import("../core/system.zig");
const io = @import("../io/io.zig");
const AddressTable = @import("address_table.zig").AddressTable;
const Port = @import("port.zig").Port;

/// How long accepting rests when the process is out of descriptors, ms.
const exhausted_pause_ms = 100;
/// How often that is told at most, ms.
const exhausted_told_every_ms = 60_000;
/// How long until full worker queues are tried again, ms.
const full_queue_pause_ms = 5;
/// Batches accepted after a stop was asked for: clients that go on connecting must not put it off.
const stop_batches_max = 64;

/// Who hears of what becomes of the listeners. Called on the acceptor's thread.
pub const Observer = struct {
    context: *anyopaque,
    /// The server stops: what waits at the listeners is accepted now, then they are closed.
    onStop: *const fn (context: *anyopaque) void,
    /// A listener has failed, and is closed; once for each.
    onLost: *const fn (context: *anyopaque, listener: u32, err: system.Error) void,
};

pub fn Acceptor(comptime Io: type) type {
    return struct {
        const Self = @This();

        backend: Io,
        /// In the order of their tokens; without a descriptor once closed.
        listeners: std.BoundedArray(Io.Stream, limits.listeners_max) = .{},
        ports: []Port,
        observer: ?Observer = null,
        /// Set when there is a limit of connections per address.
        addresses: ?*AddressTable = null,
        /// Connections closed because of that limit. Written by this thread alone.
        refused_total: std.atomic.Value(u64) = .init(0),
        next: usize = 0,
        /// Accepted, and no worker had room in its queue.
        held: ?io.Accepted = null,
        paused_until_ms: ?u64 = null,
        /// All workers are at their capacity: a closing connection wakes the acceptor.
        waits_for_room: std.atomic.Value(bool) = .init(false),
        /// Set, and then `wake`, to stop accepting
        /// and have the workers drain until then (monotonic ms).
        stop_deadline_ms: std.atomic.Value(u64) = .init(0),
        /// How long before the workers drain the listeners are given up, ms: another server takes
        /// the place of this one, and who has just connected is to have an answer.
        hand_over_ms: u32 = 0,
        /// Listeners that are kept for that long, for connections that are half made.
        lingering: std.StaticBitSet(limits.listeners_max) = .initEmpty(),
        stop: Stop = .{},
        /// When the log was last told of it, monotonic ms.
        exhausted_told_ms: ?u64 = null,

        const Stop = struct {
            /// When it began, monotonic ms; 0: it has not.
            since_ms: u64 = 0,
            batches_left: u32 = stop_batches_max,
        };

        pub fn init(
            gpa: std.mem.Allocator,
            backend: io.Backend,
            fds: []const posix.socket_t,
            ports: []Port,
        ) !Self {
            assert(fds.len > 0 and fds.len <= limits.listeners_max);
            var self: Self = .{
                .backend = try Io.init(gpa, .{ .backend = backend, .receive_buffer_bytes = 1 }),
                .ports = ports,
            };
            errdefer self.backend.deinit();
            for (fds, 0..) |fd, i| {
                const listener = self.listeners.addOneAssumeCapacity();
                listener.* = .{};
                try self.backend.listen(listener, fd, tokenOf(i));
            }
            return self;
        }

        fn tokenOf(index: usize) io.Token {
            return .{ .slot = @intCast(index), .kind = .listener };
        }

        /// Closes what is still listened on.
        pub fn deinit(self: *Self) void {
            self.closeListeners(.all);
            self.backend.deinit();
            self.* = undefined;
        }

        fn closeListeners(self: *Self, which: enum { prompt, all }) void {
            for (self.listeners.slice(), 0..) |*listener, i| {
                if (which == .prompt and self.lingering.isSet(i)) continue;
                if (listener.fd != system.no_socket) self.backend.closeListener(listener);
            }
        }

        /// Any thread: it looks at `stop_deadline_ms`.
        pub fn wake(self: *Self) void {
            Io.ring(self.backend.bell());
        }

        /// Any worker: a connection has ended.
        pub fn onRoom(context: *anyopaque) void {
            const self: *Self = @alignCast(@ptrCast(context));
            if (!self.waits_for_room.load(orders.peek)) return;
            if (self.waits_for_room.swap(false, orders.take)) {
                Io.ring(self.backend.bell());
            }
        }

        pub fn run(self: *Self) void {
            while (self.turn(self.timeout())) {}
        }

        /// One turn of the loop: wait, hand out what came. False once it has stopped.
        pub fn turn(self: *Self, timeout_ms: i32) bool {
            if (self.stop_deadline_ms.load(.seq_cst) != 0) return self.turnOfStop(timeout_ms);
            _ = self.backend.poll(timeout_ms, self);
            self.retry();
            return true;
        }

        /// Clients whose connection the kernel has completed are served, then the ports are given
        /// up. Where another server takes the place of this one the workers are told later: a
        /// connection may be half made, and a client that has just connected has not asked yet.
        fn turnOfStop(self: *Self, timeout_ms: i32) bool {
            if (self.stop.since_ms == 0) self.beginStop();
            self.flushHeld();
            const is_over = self.backend.nowMs() >= self.handedOverAt();
            if (self.held != null and !(is_over and self.stop.batches_left == 0)) {
                // The workers' queues are full.
                self.stop.batches_left -|= 1;
                self.pauseAccept();
                _ = self.backend.poll(1, self);
                return true;
            }
            if (self.stop.batches_left > 0) {
                self.stop.batches_left -= 1;
                if (self.acceptBatches() or self.held != null) return true;
                self.stop.batches_left = 0;
                self.closeListeners(.prompt);
            }
            if (!is_over) {
                if (self.hasRoom()) self.resumeAccept() else self.pauseAccept();
                _ = self.backend.poll(timeout_ms, self);
                return true;
            }
            if (self.held) |accepted| {
                self.backend.closeAccepted(accepted.fd);
                if (self.addresses) |table| table.release(accepted.peer);
                self.held = null;
            }
            self.closeListeners(.all);
            self.tellWorkers();
            return false;
        }

        fn beginStop(self: *Self) void {
            self.stop.since_ms = @max(self.backend.nowMs(), 1);
            if (self.hand_over_ms > 0) for (self.ports) |*worker| {
                worker.retiring.store(true, .monotonic);
            };
            if (self.observer) |observer| observer.onStop(observer.context);
        }

        /// Not later than what is in flight is cut.
        fn handedOverAt(self: *const Self) u64 {
            const deadline = self.stop_deadline_ms.load(.seq_cst);
            return @min(self.stop.since_ms + self.hand_over_ms, deadline);
        }

        /// True when there may be more.
        fn acceptBatches(self: *Self) bool {
            var more = false;
            for (self.listeners.slice()) |*listener| {
                if (listener.fd == system.no_socket) continue;
                if (!self.hasRoom()) return false;
                if (self.backend.acceptBatch(listener, self)) more = true;
            }
            return more;
        }

        fn tellWorkers(self: *Self) void {
            var told: u64 = 0;
            while (true) {
                const deadline = self.stop_deadline_ms.load(.seq_cst);
                if (deadline == told) return; // else: it was shortened meanwhile
                for (self.ports) |*worker| {
                    worker.drain_deadline_ms.store(deadline, orders.publish);
                    worker.wake(Io);
                }
                told = deadline;
            }
        }

        /// For how long `turn` may wait, ms; -1: until something comes.
        pub fn timeout(self: *const Self) i32 {
            if (self.stop_deadline_ms.load(.seq_cst) != 0) {
                if (self.stop.batches_left > 0) return 0;
                return @intCast(@min(self.handedOverAt() -| self.backend.nowMs(), 1000));
            }
            const until = self.paused_until_ms orelse return -1;
            return @intCast(@min(until -| self.backend.nowMs() + 1, 1000));
        }

        fn retry(self: *Self) void {
            if (self.paused_until_ms) |until| {
                if (self.backend.nowMs() < until) return;
                self.paused_until_ms = null;
            }
            self.flushHeld();
            if (self.held != null) return self.pause(full_queue_pause_ms);
            if (!self.hasRoom()) {
                self.pauseAccept();
                self.waits_for_room.store(true, orders.asleep);
                // Else: one closed meanwhile and may not have seen the flag.
                if (!self.hasRoom()) return;
                self.waits_for_room.store(false, orders.awake);
            }
            self.resumeAccept();
        }

        fn pause(self: *Self, ms: u64) void {
            self.pauseAccept();
            self.paused_until_ms = self.backend.nowMs() + ms;
        }

        fn pauseAccept(self: *Self) void {
            for (self.listeners.slice()) |*listener| {
                if (listener.fd != system.no_socket) self.backend.pauseAccept(listener);
            }
        }

        fn resumeAccept(self: *Self) void {
            for (self.listeners.slice()) |*listener| {
                if (listener.fd != system.no_socket) self.backend.resumeAccept(listener);
            }
        }

        fn hasRoom(self: *Self) bool {
            for (self.ports) |*worker| {
                if (worker.open.load(orders.look) < worker.capacity) return true;
            }
            return false;
        }

        fn flushHeld(self: *Self) void {
            const accepted = self.held orelse return;
            self.held = null;
            self.handOut(accepted);
        }

        fn handOut(self: *Self, accepted: io.Accepted) void {
            for (0..self.ports.len) |_| {
                const worker = &self.ports[self.next];
                self.next = (self.next + 1) % self.ports.len;
                if (worker.open.load(.monotonic) >= worker.capacity) continue;
                // Counted first: the worker may close it, and count that,
                // before this thread goes on.
                _ = worker.open.fetchAdd(1, .seq_cst);
                if (!worker.accepted.push(accepted)) {
                    _ = worker.open.fetchSub(1, .seq_cst);
                    continue;
                }
                worker.wake(Io);
                return;
            }
            self.held = accepted;
        }

        // What the backend calls.

        pub fn onAwake(_: *Self) void {}

        pub fn stream(self: *Self, token: io.Token) ?*Io.Stream {
            const listener = &self.listeners.slice()[token.slot];
            return if (listener.fd == system.no_socket) null else listener;
        }

        pub fn nextStream(self: *Self, from: *u32) ?*Io.Stream {
            const all = self.listeners.slice();
            if (from.* >= all.len) return null;
            defer from.* += 1;
            return &all[from.*];
        }

        pub fn isServed(_: *Self, _: io.Token) bool {
            return true;
        }

        pub fn onAccept(self: *Self, token: io.Token, accepted: io.Accepted) void {
            if (self.addresses) |table| {
                if (!table.admit(accepted.peer)) return self.refuse(table, accepted);
            }
            var noted = accepted;
            noted.listener = @intCast(token.slot);
            self.handOut(noted);
        }

        fn refuse(self: *Self, table: *const AddressTable, accepted: io.Accepted) void {
            self.refused_total.store(self.refused_total.raw +% 1, .monotonic);
            self.backend.closeAccepted(accepted.fd);
            var text: [46]u8 = undefined;
            log.limited("{s} has {d} connections open: one more was closed " ++
                "(connections_per_address_max)", .{ accepted.peer.text(&text), table.limit });
        }

        /// Asked between two sockets of a batch.
        pub fn wantsMore(self: *Self, _: io.Token) bool {
            return self.held == null and self.hasRoom();
        }

        pub fn onAcceptFailed(self: *Self, token: io.Token, failure: io.AcceptError) void {
            switch (failure) {
                .exhausted => {
                    self.tellResting("out of descriptors or memory");
                    self.pause(exhausted_pause_ms);
                },
                .refused => |err| {
                    self.tellResting(@errorName(err));
                    self.pause(exhausted_pause_ms);
                },
                .fatal => |err| self.lose(token.slot, err),
            }
        }

        /// It would fail again and again: the others go on without it.
        fn lose(self: *Self, index: u32, err: system.Error) void {
            self.backend.closeListener(&self.listeners.slice()[index]);
            if (self.observer) |observer| observer.onLost(observer.context, index, err);
        }

        fn tellResting(self: *Self, why: []const u8) void {
            const now = self.backend.nowMs();
            if (self.exhausted_told_ms) |told| if (now - told < exhausted_told_every_ms) return;
            self.exhausted_told_ms = now;
            log.warn("{s}: accepting rests until it can go on", .{why});
        }

        pub fn onRecv(_: *Self, _: io.Token, _: io.RecvResult) void {}
        pub fn onSent(_: *Self, _: io.Token, _: u64) void {}
        pub fn onClosed(_: *Self, _: io.Token) void {}
    };
}
