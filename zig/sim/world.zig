//! One run: a server over the simulated network, its clients, and the scheduler that lets one of
//! them at a time take one step. Everybody who can do something is drawn from at random; virtual
//! time passes when nobody can.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;
const FrozenAllocator = @import("../core/frozen_allocator.zig").FrozenAllocator;
const network_file = @import("../io/simulated_network.zig");
const Network = network_file.Network;
const Trace = network_file.Trace;
const never = network_file.never;
const Simulator = @import("../io/simulator.zig").Simulator;
const net_acceptor = @import("../net/acceptor.zig");
const Port = @import("../net/port.zig").Port;
const Driver = @import("../server/driver.zig").Driver;
const Mailbox = @import("../server/websocket/socket.zig").Mailbox;
const Client = @import("client.zig").Client;
const Options = @import("options.zig").Options;
const press = @import("press.zig");
const veil = @import("veil.zig");
const Visitor = @import("visitor.zig").Visitor;

pub const Outcome = struct {
    hash: u64 = 0,
    connections: u64 = 0,
    requests: u64 = 0,
    responses: u64 = 0,
    steps: u64 = 0,
    virtual_ms: u64 = 0,
};

/// `Backend` makes the dispatcher and plays what is behind it: servers.zig.
pub fn World(comptime Backend: type) type {
    return struct {
        const Self = @This();
        const Worker = Driver(Simulator, Backend.Dispatcher, veil.Veil, press);
        const Acceptor = net_acceptor.Acceptor(Simulator);

        gpa: Allocator,
        arena: std.heap.ArenaAllocator,
        frozen: FrozenAllocator,
        options: *const Options,
        network: *Network,
        random: std.Random,
        backend: *Backend,
        ports: []Port,
        workers: []Worker,
        mailboxes: []*Mailbox,
        asleep: []u32,
        acceptor: Acceptor,
        loops: []Loop,
        clients: []Visitor,
        /// Indices of the clients that are there.
        crowd: std.ArrayListUnmanaged(usize) = .{},
        next_client: usize = 0,
        runnable: std.ArrayListUnmanaged(Actor) = .{},
        handshakes: veil.Set,
        shared: veil.Veil.Shared = .{},
        started_ms: u64,
        stopping: bool = false,
        outcome: Outcome = .{},
        steps_since_pause: u64 = 0,

        /// Where an engine's loop stands: between turns, in its wait, or at its end.
        const Loop = struct {
            state: enum { between, waiting, done } = .between,
            timeout: i32 = 0,
            until: u64 = 0,

            fn wait(self: *Loop, timeout: i32, now: u64) void {
                self.state = .waiting;
                self.timeout = timeout;
                self.until = if (timeout < 0) never else now + @as(u64, @intCast(timeout));
            }
        };

        const Actor = union(enum) { acceptor, worker: usize, player: usize, client: usize };

        /// Without a pause in which time passes.
        const steps_max = 3_000_000;
        /// Where the minimum rates are off, a client may take hours for its body.
        const virtual_ms_max = 40 * 3600 * 1000;

        pub fn init(
            self: *Self,
            gpa: Allocator,
            options: *const Options,
            network: *Network,
            backend: *Backend,
        ) !void {
            const count = options.config.workers;
            self.* = .{
                .gpa = gpa,
                .arena = .init(gpa),
                .frozen = .{ .child = gpa },
                .options = options,
                .network = network,
                .random = network.random(),
                .backend = backend,
                .ports = try gpa.alloc(Port, count),
                .workers = try gpa.alloc(Worker, count),
                .mailboxes = try gpa.alloc(*Mailbox, count),
                .asleep = try gpa.alloc(u32, count),
                .acceptor = undefined,
                .loops = try gpa.alloc(Loop, count + 1),
                .clients = try gpa.alloc(Visitor, options.clients),
                .handshakes = options.handshakes,
                .started_ms = network.now_ms,
            };
            for (self.shared.by_listener[0..Network.listeners_max]) |*set| {
                if (options.secured) set.* = &self.handshakes;
            }
            Simulator.sealer = if (options.secured) veil.Veil.sealer else null;
            @memset(self.loops, .{});
            @memset(self.asleep, 0);
            try self.start();
            const arena = self.arena.allocator();
            for (self.clients, 0..) |*client, i|
                client.* = try .make(arena, self.random, options, network, @intCast(i));
        }

        fn start(self: *Self) !void {
            const dispatcher = &self.backend.dispatcher;
            const frozen = self.frozen.allocator();
            const total = self.options.config.connections_max;
            const count: u32 = @intCast(self.ports.len);
            for (self.ports, self.workers, 0..) |*port, *worker, i| {
                const index: u32 = @intCast(i);
                port.* = .{
                    .capacity = @max(total / count, 1),
                    .asleep = if (@hasDecl(Backend.Dispatcher, "asleepFlag"))
                        dispatcher.asleepFlag(index)
                    else
                        &self.asleep[index],
                };
                try worker.init(frozen, &self.options.config, .epoll, port, dispatcher, index);
                worker.tls = &self.shared;
                self.mailboxes[i] = &worker.websocket_worker.mailbox;
                self.mailboxes[i].peers = self.mailboxes;
                worker.net.on_room = &Acceptor.onRoom;
                worker.net.on_room_context = &self.acceptor;
                try dispatcher.workerStart(worker);
                worker.net.begin();
            }
            self.acceptor = try Acceptor.init(frozen, .epoll, &Network.listener_fds, self.ports);
            self.acceptor.hand_over_ms = self.options.hand_over_ms;
            if (self.options.hand_over_ms > 0) self.acceptor.lingering.set(0);
            self.frozen.freeze();
            try self.backend.open(self.ports);
        }

        /// After `run`.
        pub fn deinit(self: *Self) void {
            const frozen = self.frozen.allocator();
            for (self.workers) |*worker| worker.deinit(frozen);
            self.acceptor.deinit();
            if (self.frozen.bytes.load(.monotonic) != 0) self.fail("the engine leaks memory", .{});
            self.crowd.deinit(self.gpa);
            self.runnable.deinit(self.gpa);
            self.gpa.free(self.clients);
            self.gpa.free(self.loops);
            self.gpa.free(self.asleep);
            self.gpa.free(self.workers);
            self.gpa.free(self.mailboxes);
            self.gpa.free(self.ports);
            self.arena.deinit();
            self.* = undefined;
        }

        fn fail(_: *const Self, comptime fmt: []const u8, args: anytype) noreturn {
            Client.failing = null;
            std.debug.panic("invariant: " ++ fmt, args);
        }

        pub fn run(self: *Self) !Outcome {
            while (!self.isOver()) {
                try self.admit();
                self.disturb();
                try self.findRunnable();
                if (self.runnable.items.len == 0) {
                    self.passTime();
                    continue;
                }
                const index = self.random.uintLessThan(usize, self.runnable.items.len);
                try self.step(self.runnable.items[index]);
                self.outcome.steps += 1;
                self.steps_since_pause += 1;
                if (self.steps_since_pause > steps_max) self.failOfHaste();
                self.considerStop();
            }
            for (self.workers) |*worker| {
                self.backend.dispatcher.workerStop(worker);
                self.outcome.requests += worker.requests_total.raw;
            }
            self.checkEnd();
            self.outcome.hash = self.network.trace.hash;
            self.outcome.virtual_ms = self.network.now_ms - self.started_ms;
            return self.outcome;
        }

        fn isOver(self: *const Self) bool {
            for (self.loops) |*loop| if (loop.state != .done) return false;
            return self.crowd.items.len == 0 and self.next_client == self.clients.len;
        }

        /// Lets the next clients come.
        fn admit(self: *Self) !void {
            while (self.crowd.items.len < self.options.crowd and
                self.next_client < self.clients.len)
            {
                const client = &self.clients[self.next_client];
                client.setStart(self.network.now_ms + self.random.uintLessThan(u64, 300));
                try self.crowd.append(self.gpa, self.next_client);
                self.next_client += 1;
            }
        }

        /// What happens to a machine as a whole.
        fn disturb(self: *Self) void {
            const network = self.network;
            if (self.options.stalls and network.chance(1) and self.random.boolean()) {
                const stall = self.random.intRangeAtMost(u64, 500, 20_000);
                network.trace.note(network.now_ms, Trace.nobody, "all stands still", stall, 0);
                network.advance(network.now_ms + stall);
                for (self.crowd.items) |i| self.clients[i].forgive(stall);
                for (network.links) |*link| if (link.used) link.forgive(stall);
            }
            if (self.options.wall_jumps and network.chance(1)) {
                network.wall_offset_s = self.random.uintLessThan(u32, 4_000_000_000);
            }
        }

        // The scheduler.

        fn findRunnable(self: *Self) !void {
            const now = self.network.now_ms;
            const list = &self.runnable;
            list.clearRetainingCapacity();
            if (self.loopIsDue(self.loopOfAcceptor(), &self.acceptor.backend))
                try list.append(self.gpa, .acceptor);
            for (self.workers, 0..) |*worker, i| {
                if (self.loopIsDue(&self.loops[i], &worker.net.backend))
                    try list.append(self.gpa, .{ .worker = i });
            }
            for (self.backend.players(), 0..) |*player, i| {
                if (player.wakesAt() <= now) try list.append(self.gpa, .{ .player = i });
            }
            for (self.crowd.items) |i| {
                if (self.clients[i].wakesAt() <= now) try list.append(self.gpa, .{ .client = i });
            }
        }

        fn loopOfAcceptor(self: *Self) *Loop {
            return &self.loops[self.loops.len - 1];
        }

        fn loopIsDue(self: *const Self, loop: *const Loop, backend: *const Simulator) bool {
            return switch (loop.state) {
                .between => true,
                .waiting => self.network.now_ms >= loop.until or backend.hasEvents(),
                .done => false,
            };
        }

        /// Nobody can do anything now: on to when somebody can.
        fn passTime(self: *Self) void {
            var at = self.network.nextEvent();
            for (self.loops) |*loop| if (loop.state == .waiting) {
                at = @min(at, loop.until);
            };
            for (self.backend.players()) |*player| at = @min(at, player.wakesAt());
            for (self.crowd.items) |i| at = @min(at, self.clients[i].wakesAt());
            if (self.options.drain_after_ms) |after| if (!self.stopping) {
                at = @min(at, @max(self.started_ms + after, self.network.now_ms + 1));
            };
            if (at == never) self.failOfSilence();
            self.network.advance(at);
            self.steps_since_pause = 0;
            if (at - self.started_ms > virtual_ms_max)
                self.fail("no end after {d} ms", .{virtual_ms_max});
            for (self.crowd.items) |i| self.clients[i].checkLiveness();
            self.checkGone();
        }

        /// A connection whose client has closed it ends in time, whatever is being done for it.
        fn checkGone(self: *const Self) void {
            for (self.network.links) |*link| {
                if (!link.used or link.client_open or link.server != .open) continue;
                const ms = self.network.now_ms - link.client_left_ms;
                if (ms <= Client.patience_ms) continue;
                Client.failing = link.id;
                std.debug.panic("connection {d}: its client left {d} ms ago", .{ link.id, ms });
            }
        }

        /// Somebody goes on and on, and time does not pass.
        fn failOfHaste(self: *Self) noreturn {
            const actor = self.runnable.items[0];
            if (actor == .client)
                self.clients[actor.client].fail("has something to do, and goes on and on", .{});
            self.fail("no end after {d} steps; {s} {d} has something to do, among {d}", .{
                steps_max,
                @tagName(actor),
                switch (actor) {
                    .acceptor => 0,
                    .worker, .player, .client => |i| i,
                },
                self.runnable.items.len,
            });
        }

        /// A wake or a timer is missing.
        fn failOfSilence(self: *Self) noreturn {
            for (self.crowd.items) |i| if (self.clients[i].phase() == .talking)
                self.clients[i].fail("everybody waits, with no timer set: this client too", .{});
            self.fail("everybody waits, with no timer set", .{});
        }

        fn step(self: *Self, actor: Actor) !void {
            switch (actor) {
                .acceptor => self.stepAcceptor(),
                .worker => |i| self.stepWorker(i),
                .player => |i| try self.backend.players()[i].step(),
                .client => |i| try self.stepClient(i),
            }
        }

        fn stepAcceptor(self: *Self) void {
            const loop = self.loopOfAcceptor();
            if (loop.state == .between)
                return loop.wait(self.acceptor.timeout(), self.network.now_ms);
            loop.state = if (self.acceptor.turn(loop.timeout)) .between else .done;
        }

        fn stepWorker(self: *Self, i: usize) void {
            const loop = &self.loops[i];
            const net = &self.workers[i].net;
            if (loop.state == .between) return loop.wait(net.beginTurn(), self.network.now_ms);
            self.mailboxes[i].settle(); // its thread is this one
            net.turn(loop.timeout);
            net.checkInvariants();
            self.checkShares(net.backend.index);
            self.workers[i].exchanges.check();
            loop.state = if (net.isDone()) .done else .between;
        }

        /// No client was sent more in this turn than its share.
        fn checkShares(self: *Self, backend: u32) void {
            // What records add to it is little.
            const bytes = self.options.config.turn_bytes_max;
            const share = if (self.options.secured) bytes + bytes / 8 + 2048 else bytes;
            for (self.network.links) |*link| {
                if (!link.used or link.backend != backend) continue;
                if (link.turn_bytes > share)
                    self.fail("a client got {d} bytes in one turn", .{link.turn_bytes});
                link.turn_bytes = 0;
            }
        }

        fn stepClient(self: *Self, i: usize) !void {
            const client = &self.clients[i];
            try client.step();
            if (client.phase() != .ended) return;
            self.outcome.connections += 1;
            self.outcome.responses += client.responses();
            const at = std.mem.indexOfScalar(usize, self.crowd.items, i).?;
            _ = self.crowd.swapRemove(at);
        }

        /// Stops the server when it is time, or when all clients are gone and so is what they left.
        fn considerStop(self: *Self) void {
            if (self.stopping) return;
            const now = self.network.now_ms;
            if (self.options.drain_after_ms) |after| {
                if (now - self.started_ms >= after) return self.stop();
            }
            if (self.crowd.items.len > 0 or self.next_client < self.clients.len) return;
            for (self.ports) |*port| if (port.open.load(.monotonic) > 0) return;
            if (self.network.backlog.items.len > 0 or self.acceptor.held != null) return;
            for (self.workers) |*worker| self.checkPools(worker);
            self.stop();
        }

        fn stop(self: *Self) void {
            const now = self.network.now_ms;
            self.stopping = true;
            self.network.trace.note(now, Trace.nobody, "stop", self.options.drain_grace_ms, 0);
            self.acceptor.stop_deadline_ms.store(now + self.options.drain_grace_ms, .seq_cst);
            self.acceptor.wake();
        }

        // What has to hold when everybody has gone.

        fn checkEnd(self: *Self) void {
            for (self.workers, self.ports) |*worker, *port| {
                self.checkPools(worker);
                self.expect("connections counted by the port", port.open.load(.monotonic));
                self.expect("sockets in the port", @intFromBool(!port.accepted.isEmpty()));
            }
            self.expect("descriptors", self.network.descriptors);
            self.expect("allocations after the start", self.frozen.violations.load(.monotonic));
            self.expect("filters", self.handshakes.filters);
            self.backend.checkEnd();
        }

        fn checkPools(self: *Self, worker: *Worker) void {
            const net = &worker.net;
            self.expect("connections", net.conns.used);
            self.expect("exchanges", worker.exchanges.used());
            self.expect("bytes of buffers", net.pools.buffers.bytes_used);
            self.expect("handshakes", worker.handshakes.queue.len);
            self.expect("handshakes that have ended", worker.handshakes.evicted.len);
            self.expect("handshakes that wait", net.filtering.waitingCount());
            self.expect("timers", net.wheel.active);
            const websockets = &worker.websocket_worker;
            self.expect("WebSockets", websockets.sessions.used);
            self.expect("WebSockets of which something is to be told", websockets.due.len);
            self.expect("subscriptions", websockets.topics.subscriptions.used);
            self.expect("topics", websockets.topics.topics.used);
            self.expect("words to WebSockets", @intFromBool(websockets.mailbox.hasWork()));
            const http2 = &worker.http2_worker;
            const waiting = worker.http1_worker.busy.len + http2.busy.len + http2.resuming.len;
            self.expect("requests that wait for room", waiting);
            self.expect("streams of HTTP/2", http2.streams.count);
            self.expect("bytes in the batch", net.batch.bytes);
            var free: usize = 0;
            var node = net.pools.nodes.free;
            while (node) |it| : (node = it.next) free += 1;
            self.expect("nodes of write queues", net.pools.nodes.fresh - free);
        }

        fn expect(self: *const Self, comptime what: []const u8, left: u64) void {
            if (left != 0) self.fail("{d} " ++ what ++ " left at the end", .{left});
        }
    };
}
