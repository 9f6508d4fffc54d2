//! A JS thread, played: it reads the request rings, answers later and out of order, whole or
//! streamed under credit, gives up now and then, sleeps and is woken by the protocol of
//! docs/ARCHITECTURE.md, "The bridge"; and it may die and come back.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Allocator = std.mem.Allocator;
const abi = @import("../bridge/abi.zig");
const Dispatcher = @import("../bridge/dispatcher.zig").Dispatcher;
const ring_file = @import("../bridge/ring.zig");
const network_file = @import("../io/simulated_network.zig");
const Network = network_file.Network;
const never = network_file.never;
const Simulator = @import("../io/simulator.zig").Simulator;
const job_file = @import("js_job.zig");
const Job = job_file.Job;
const JsSockets = @import("js_sockets.zig").JsSockets;

pub const JsThread = struct {
    gpa: Allocator,
    index: u32,
    dispatcher: *Dispatcher,
    network: *Network,
    /// Per worker.
    lanes: []Lane,
    jobs: std.ArrayListUnmanaged(Job) = .{},
    sockets: JsSockets,
    doorbell: posix.fd_t = -1,
    alive: bool = false,
    sleeping: bool = false,
    /// When it dies, while it lives; when it comes back, while it does not.
    turns_at: u64 = never,
    dies: bool,
    /// Requests come over what stands in TLS's place.
    secured: bool,
    requests: u64 = 0,

    pub const Lane = struct {
        requests: ring_file.Consumer,
        responses: ring_file.Producer,
        /// The engine's position when the response ring was last found full.
        full_at: ?u32 = null,
    };

    pub fn init(
        gpa: Allocator,
        index: u32,
        dispatcher: *Dispatcher,
        network: *Network,
        dies: bool,
        secured: bool,
    ) !JsThread {
        return .{
            .gpa = gpa,
            .index = index,
            .dispatcher = dispatcher,
            .network = network,
            .lanes = try gpa.alloc(Lane, dispatcher.block.layout.workers),
            .sockets = try .init(gpa, network.random(), dispatcher.block.layout.workers),
            .dies = dies,
            .secured = secured,
        };
    }

    pub fn deinit(self: *JsThread) void {
        if (self.doorbell != -1) posix.close(self.doorbell);
        self.sockets.deinit();
        self.jobs.deinit(self.gpa);
        self.gpa.free(self.lanes);
        self.* = undefined;
    }

    // What the scheduler asks.

    pub fn wakesAt(self: *JsThread) u64 {
        if (!self.alive) return self.turns_at;
        if (!self.sleeping or self.isRung()) return 0;
        var at = self.turns_at;
        for (self.jobs.items) |*job| at = @min(at, job.due_ms);
        for (self.lanes, 0..) |*lane, worker| {
            if (lane.full_at == null and self.sockets.hasOutput(@intCast(worker))) return 0;
        }
        return at;
    }

    /// The engine has exchanged the flag, and then has to have rung.
    fn isRung(self: *JsThread) bool {
        return @atomicLoad(u32, self.asleep(), .seq_cst) == 0;
    }

    fn asleep(self: *JsThread) *u32 {
        return &self.dispatcher.block.thread(self.index).asleep;
    }

    pub fn step(self: *JsThread) !void {
        const now = self.network.now_ms;
        if (!self.alive) return self.attach();
        if (now >= self.turns_at) return self.die();
        if (self.sleeping) self.awake();
        for (self.lanes, 0..) |*lane, worker| try self.readLane(lane, @intCast(worker));
        try self.answer();
        try self.sockets.grantAll();
        for (self.lanes, 0..) |*lane, worker| {
            const is_written = try self.sockets.flush(@intCast(worker), &lane.responses);
            if (!is_written) self.wantRoom(lane, @intCast(worker));
            self.flush(lane, @intCast(worker));
        }
        if (self.network.random().boolean()) self.sleep();
    }

    // Life and death.

    fn attach(self: *JsThread) !void {
        self.turns_at = self.network.now_ms + 10;
        const reader = self.dispatcher.threads.attach(self.index) catch |err| switch (err) {
            error.WorkersBusy => return, // later
            else => return err,
        };
        self.doorbell = reader.fd;
        const block = self.dispatcher.block;
        for (self.lanes, 0..) |*lane, worker| lane.* = .{
            .requests = .{ .ring = block.requestRing(@intCast(worker), self.index) },
            .responses = .{ .ring = block.responseRing(@intCast(worker), self.index) },
        };
        @atomicStore(u32, self.asleep(), 0, .seq_cst);
        self.alive = true;
        self.sleeping = false;
        self.turns_at = never;
        if (self.dies) {
            self.turns_at = self.network.now_ms + self.network.random().uintLessThan(u64, 8_000);
        }
        self.network.trace.note(self.network.now_ms, never_connection, "JS thread comes", 0, 0);
        self.wakeAll();
    }

    const never_connection = network_file.Trace.nobody;

    fn die(self: *JsThread) void {
        assert(self.dispatcher.threads.detach(self.index));
        posix.close(self.doorbell);
        self.doorbell = -1;
        self.alive = false;
        self.jobs.clearRetainingCapacity();
        self.sockets.forgetAll();
        self.turns_at = self.network.now_ms + self.network.random().uintLessThan(u64, 2_000);
        self.network.trace.note(self.network.now_ms, never_connection, "JS thread dies", 0, 0);
        self.wakeAll();
    }

    /// No more deaths: what is left has to be answered.
    pub fn settle(self: *JsThread) void {
        self.dies = false;
        if (self.alive) self.turns_at = never;
    }

    fn wakeAll(self: *JsThread) void {
        for (0..self.lanes.len) |worker| self.wake(@intCast(worker));
    }

    fn wake(self: *JsThread, worker: u32) void {
        const line = self.dispatcher.block.worker(worker);
        if (@atomicRmw(u32, &line.asleep, .Xchg, 0, .seq_cst) == 1)
            Simulator.ring(.ofNumber(line.wake_fd));
    }

    fn sleep(self: *JsThread) void {
        @atomicStore(u32, self.asleep(), 1, .seq_cst);
        for (self.lanes) |*lane| {
            const room = if (lane.full_at) |head| self.headOf(lane) != head else false;
            if (lane.requests.isEmpty() and !room) continue;
            @atomicStore(u32, self.asleep(), 0, .seq_cst);
            return;
        }
        self.sleeping = true;
    }

    fn headOf(_: *JsThread, lane: *const Lane) u32 {
        return @atomicLoad(u32, lane.responses.ring.head, .seq_cst);
    }

    fn awake(self: *JsThread) void {
        self.sleeping = false;
        if (self.isRung()) {
            var rings: [64]u8 = undefined;
            const n = posix.read(self.doorbell, &rings) catch 0;
            if (n == 0) std.debug.panic("the engine took the asleep flag and did not ring", .{});
        }
        @atomicStore(u32, self.asleep(), 0, .seq_cst);
    }

    // Reading.

    fn readLane(self: *JsThread, lane: *Lane, worker: u32) !void {
        const most = self.network.random().intRangeAtMost(u32, 1, 50);
        for (0..most) |_| {
            const record = try lane.requests.next() orelse break;
            try self.take(worker, &record);
        }
        if (self.network.random().uintLessThan(u8, 4) == 0) return; // given back later
        if (!lane.requests.release()) return;
        const control = self.dispatcher.block.control(worker, self.index);
        if (@atomicLoad(u32, &control.request_wanted, .seq_cst) == 0) return;
        @atomicStore(u32, &control.request_wanted, 0, .seq_cst);
        self.wake(worker);
    }

    fn take(self: *JsThread, worker: u32, record: *const ring_file.Record) !void {
        const header = record.header;
        if (header.kind == .request_head) {
            self.requests += 1;
            var job = try Job.begin(self.network, worker, record);
            if (job.is_secured != self.secured)
                std.debug.panic("invariant: JS is told of TLS: {}", .{job.is_secured});
            job.credit = self.dispatcher.block.layout.credit_bytes;
            job.note(self.network, "JS reads a request");
            return self.jobs.append(self.gpa, job);
        }
        if (JsSockets.takes(header.kind)) return self.sockets.take(worker, record);
        if (header.kind == .request_abort) self.sockets.abort(.{
            .worker = worker,
            .slot = header.slot,
            .generation = header.generation,
        });
        const index = self.indexOf(worker, header.slot, header.generation) orelse return;
        const job = &self.jobs.items[index];
        switch (header.kind) {
            .request_chunk => job.takeBody(self.network, record),
            .request_trailers => job.takeTrailers(self.network, record),
            .response_credit => {
                job.credit += record.fixed(abi.Credit).?.grant;
                job.due_ms = @min(job.due_ms, self.network.now_ms);
            },
            .request_abort => {
                job.note(self.network, "JS is told of an abort");
                _ = self.jobs.swapRemove(index);
            },
            .request_eof => {},
            else => {}, // what the simulation makes nothing of
        }
    }

    fn indexOf(self: *JsThread, worker: u32, slot: u32, generation: u32) ?usize {
        for (self.jobs.items, 0..) |*job, i| {
            if (job.worker == worker and job.slot == slot and job.generation == generation)
                return i;
        }
        return null;
    }

    // Answering.

    fn answer(self: *JsThread) !void {
        const random = self.network.random();
        var i: usize = 0;
        while (i < self.jobs.items.len) {
            const job = &self.jobs.items[i];
            const lane = &self.lanes[job.worker];
            if (job.due_ms > self.network.now_ms) {
                i += 1;
                continue;
            }
            if (job.asks_socket) {
                try self.sockets.upgrade(.{
                    .worker = job.worker,
                    .slot = job.slot,
                    .generation = job.generation,
                }, job.key);
                _ = self.jobs.swapRemove(i);
                continue;
            }
            const step_result = try job.step(self.network, &lane.responses);
            switch (step_result) {
                .done => {
                    _ = self.jobs.swapRemove(i);
                    continue;
                },
                .full => {
                    self.wantRoom(lane, job.worker);
                    job.due_ms = never;
                    job.blocked = true;
                },
                .waits => job.due_ms = never,
                .again => job.due_ms = self.network.now_ms + random.uintLessThan(u64, 60),
            }
            i += 1;
        }
    }

    /// The engine wakes this thread once there is room in the response ring.
    fn wantRoom(self: *JsThread, lane: *Lane, worker: u32) void {
        const control = self.dispatcher.block.control(worker, self.index);
        @atomicStore(u32, &control.response_wanted, 1, .seq_cst);
        lane.full_at = self.headOf(lane);
    }

    fn flush(self: *JsThread, lane: *Lane, worker: u32) void {
        if (lane.responses.publish()) self.wake(worker);
        if (lane.full_at == null or self.headOf(lane) == lane.full_at.?) return;
        lane.full_at = null;
        for (self.jobs.items) |*job| if (job.blocked and job.worker == worker) {
            job.blocked = false;
            job.due_ms = self.network.now_ms;
        };
    }
};
