//! The acceptor: one thread that takes connections from the listener
//! and hands them to the workers in turn.

const std = @import("std");
const posix = std.posix;
const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const orders = @import("../core/orders.zig").wake;
const io = @import("../io/io.zig");
const AddressTable = @import("address_table.zig").AddressTable;
const port = @import("port.zig");
const Port = port.Port;

/// How long accepting rests when the process is out of descriptors, ms.
const exhausted_pause_ms = 100;
/// How often that is told at most, ms.
const exhausted_told_every_ms = 60_000;
/// How long until full worker queues are tried again, ms.
const full_queue_pause_ms = 5;
/// Batches accepted after a stop was asked for: clients that go on connecting must not put it off.
const stop_batches_max = 64;

pub fn Acceptor(comptime Io: type) type {
    return struct {
        const Self = @This();

        backend: Io,
        listener: Io.Stream = .{},
        ports: []Port,
        /// Set when there is a limit of connections per address.
        addresses: ?*AddressTable = null,
        /// Connections closed because of that limit. Written by this thread alone.
        refused_total: std.atomic.Value(u64) = .init(0),
        next: usize = 0,
        /// Accepted, and no worker had room in its queue.
        held: ?port.Accepted = null,
        paused_until_ms: ?u64 = null,
        /// All workers are at their capacity: a closing connection wakes the acceptor.
        waits_for_room: std.atomic.Value(bool) = .init(false),
        /// Set, and then `wake`, to stop accepting
        /// and have the workers drain until then (monotonic ms).
        stop_deadline_ms: std.atomic.Value(u64) = .init(0),
        /// When the log was last told of it, monotonic ms.
        exhausted_told_ms: ?u64 = null,
        /// The listener has failed for good.
        broken: bool = false,
        stop_batches_left: u32 = stop_batches_max,

        const token: u64 = Io.listener_bit;

        pub fn init(gpa: std.mem.Allocator, listener_fd: posix.socket_t, ports: []Port) !Self {
            var self: Self = .{
                .backend = try Io.init(gpa, .{ .receive_buffer_bytes = 1 }),
                .ports = ports,
            };
            errdefer self.backend.deinit();
            try self.backend.listen(&self.listener, listener_fd, token);
            return self;
        }

        pub fn deinit(self: *Self) void {
            if (self.listener.fd != -1) self.backend.close(&self.listener);
            self.backend.deinit();
            self.* = undefined;
        }

        /// Any thread: it looks at `stop_deadline_ms`.
        pub fn wake(self: *Self) void {
            Io.signal(self.backend.wakeDescriptor());
        }

        /// Any worker: a connection has ended.
        pub fn onRoom(context: *anyopaque) void {
            const self: *Self = @alignCast(@ptrCast(context));
            if (!self.waits_for_room.load(orders.peek)) return;
            if (self.waits_for_room.swap(false, orders.take)) {
                Io.signal(self.backend.wakeDescriptor());
            }
        }

        pub fn run(self: *Self) void {
            while (self.turn(self.timeout())) {}
        }

        /// One turn of the loop: wait, hand out what came. False once it has stopped.
        pub fn turn(self: *Self, timeout_ms: i32) bool {
            if (self.stop_deadline_ms.load(.seq_cst) != 0) return self.turnOfStop();
            _ = self.backend.poll(timeout_ms, self);
            self.retry();
            return true;
        }

        /// Clients whose connection the kernel has completed are served, then the port is given up.
        fn turnOfStop(self: *Self) bool {
            self.flushHeld();
            if (self.stop_batches_left > 0) {
                self.stop_batches_left -= 1;
                if (self.held != null) {
                    // The workers' queues are full.
                    self.backend.pauseAccept(&self.listener);
                    _ = self.backend.poll(1, self);
                    return true;
                }
                const more = self.hasRoom() and self.backend.acceptBatch(&self.listener, self);
                if (more or self.held != null) return true;
            }
            if (self.held) |accepted| {
                self.backend.closeAccepted(accepted.fd);
                if (self.addresses) |table| table.release(accepted.peer);
                self.held = null;
            }
            self.backend.close(&self.listener);
            self.tellWorkers();
            return false;
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
            if (self.stop_deadline_ms.load(.seq_cst) != 0) return 0;
            const until = self.paused_until_ms orelse return -1;
            return @intCast(@min(until -| self.backend.nowMs() + 1, 1000));
        }

        fn retry(self: *Self) void {
            if (self.broken) return;
            if (self.paused_until_ms) |until| {
                if (self.backend.nowMs() < until) return;
                self.paused_until_ms = null;
            }
            self.flushHeld();
            if (self.held != null) return self.pause(full_queue_pause_ms);
            if (!self.hasRoom()) {
                self.backend.pauseAccept(&self.listener);
                self.waits_for_room.store(true, orders.asleep);
                // Else: one closed meanwhile and may not have seen the flag.
                if (!self.hasRoom()) return;
                self.waits_for_room.store(false, orders.awake);
            }
            self.backend.resumeAccept(&self.listener);
        }

        fn pause(self: *Self, ms: u64) void {
            self.backend.pauseAccept(&self.listener);
            self.paused_until_ms = self.backend.nowMs() + ms;
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

        fn handOut(self: *Self, accepted: port.Accepted) void {
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

        pub fn stream(self: *Self, _: u64) ?*Io.Stream {
            return if (self.held == null and self.hasRoom()) &self.listener else null;
        }

        pub fn onAccept(self: *Self, _: u64, accepted: io.Accepted) void {
            if (self.addresses) |table| {
                if (!table.admit(accepted.peer)) return self.refuse(table, accepted);
            }
            self.handOut(.{ .fd = accepted.fd, .peer = accepted.peer });
        }

        fn refuse(self: *Self, table: *const AddressTable, accepted: io.Accepted) void {
            self.refused_total.store(self.refused_total.raw +% 1, .monotonic);
            self.backend.closeAccepted(accepted.fd);
            var text: [46]u8 = undefined;
            log.limited("{s} has {d} connections open: one more was closed " ++
                "(connections_per_address_max)", .{ accepted.peer.text(&text), table.limit });
        }

        /// Asked between two sockets of a batch.
        pub fn wantsMore(self: *Self, _: u64) bool {
            return self.held == null and self.hasRoom();
        }

        pub fn onAcceptFailed(self: *Self, _: u64, failure: io.AcceptError) void {
            switch (failure) {
                .exhausted => {
                    self.tellExhausted();
                    self.pause(exhausted_pause_ms);
                },
                .fatal => {
                    log.err("the listening socket failed: no more connections are accepted", .{});
                    self.broken = true;
                    self.backend.pauseAccept(&self.listener);
                },
            }
        }

        fn tellExhausted(self: *Self) void {
            const now = self.backend.nowMs();
            if (self.exhausted_told_ms) |told| if (now - told < exhausted_told_every_ms) return;
            self.exhausted_told_ms = now;
            log.warn("out of descriptors or memory: accepting rests until there are some", .{});
        }

        pub fn onRecv(_: *Self, _: u64, _: io.RecvResult) void {}
        pub fn onSent(_: *Self, _: u64, _: u64) void {}
    };
}
