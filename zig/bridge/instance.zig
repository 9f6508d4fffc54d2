//! One engine as Node.js holds it: made from a configuration in JSON, started, fed with JS threads,
//! stopped, destroyed. Called from JS threads, one call at a time (registry.zig sees to that).

const std = @import("std");
const Allocator = std.mem.Allocator;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const log = @import("../core/log.zig");
const memory = @import("../core/memory.zig");
const orders = @import("../core/orders.zig").wake;
const system = @import("../core/system.zig");
const Listeners = @import("../net/listeners.zig").Listeners;
const Config = @import("../server/config.zig").Config;
const TlsSettings = @import("../server/tls/settings.zig").Settings;
const server_engine = @import("../server/engine.zig");
const Loan = @import("../server/loan.zig").Loan;
const abi = @import("abi.zig");
const block_file = @import("block.zig");
const Block = block_file.Block;
const Layout = block_file.Layout;
const Dispatcher = @import("dispatcher.zig").Dispatcher;
const lane_file = @import("lane.zig");
const Reader = @import("doorbell.zig").Reader;
const table_file = @import("table.zig");
const Table = table_file.Table;
pub const Defect = table_file.Defect;

/// What `serve()` passes on.
pub const Description = struct {
    server: Config = .{},
    /// JS threads that may be attached at a time.
    threads: u32 = 1,
    /// 0: as `Layout.ringBytes` chooses.
    ring_bytes: u32 = 0,
    credit_bytes: u32 = abi.credit_bytes_default,
    table: table_file.Description = .{},
    /// Whether the log tells that the server listens.
    announce: bool = true,
    /// Workers run in the loops of JS threads (inline.zig): the one of an engine that has no thread
    /// for it, or, with `lends`, one in each of `threads`.
    is_inline: bool = false,
    lends: bool = false,
    /// Why it has one, or not: for the log.
    mode_reason: []const u8 = "configured",
};

/// What `reload()` passes on.
const Change = struct {
    /// Null: it stays as it is.
    table: ?table_file.Description = null,
    /// Certificates are read anew.
    reloads_tls: bool = false,
    /// In the place of those that are there; null: from the same sources.
    tls: ?[]const TlsSettings = null,
};

/// The user can do something about it: `Defect` says what.
pub const Error = error{ OutOfMemory, Refused };

/// How long a control call waits for the workers, ms. They answer within a turn of their loop.
const patience_ms = 5_000;

/// `Security` and `Deflate`: see server/engine.zig.
pub fn Instance(comptime Security: type, comptime Deflate: type) type {
    return struct {
        const Self = @This();
        const Engine = server_engine.Engine(Dispatcher, Security, Deflate);

        gpa: Allocator,
        /// The configuration's strings.
        arena: std.heap.ArenaAllocator,
        config: Config,
        block: Block,
        announce: bool,
        is_inline: bool,
        lends: bool,
        mode_reason: []const u8,
        /// Of an inline worker that is alone: it has something for the JS thread, which sleeps.
        rung: bool = false,
        /// Who has it run.
        watcher: ?Watcher = null,
        bodies: table_file.Bodies = .{},
        dispatcher: Dispatcher,
        engine: ?Engine = null,
        ended: std.atomic.Value(bool) = .init(false),

        /// Told when the engine goes, by a call of `destroy`, and asked nothing after that.
        pub const Watcher = struct {
            context: *anyopaque,
            onDestroy: *const fn (context: *anyopaque) void,
        };

        pub fn create(gpa: Allocator, json: []const u8, defect: *Defect) Error!*Self {
            const self = try gpa.create(Self);
            errdefer gpa.destroy(self);
            self.gpa = gpa;
            self.arena = .init(gpa);
            errdefer self.arena.deinit();
            const description = try parse(Description, self.arena.allocator(), json, defect);
            self.config = description.server;
            self.config.websocket = description.table.websocket != null;
            if (description.table.websocket) |*its| its.apply(&self.config);
            self.announce = description.announce;
            self.is_inline = description.is_inline;
            self.lends = description.is_inline and description.lends;
            self.mode_reason = description.mode_reason;
            self.rung = false;
            self.watcher = null;
            const level = log.setThreadLevel(self.config.log);
            defer _ = log.setThreadLevel(level);
            const is_huge = memory.setThreadHuge(self.config.huge_pages);
            defer _ = memory.setThreadHuge(is_huge);
            try checkConfig(&self.config, &description, defect);
            if (self.is_inline) self.config.workers = if (self.lends) description.threads else 1;
            if (self.lends) try checkLent(&self.config, defect);
            self.config.workers = self.config.workerCount();
            self.bodies = .{};
            self.engine = null;
            self.ended = .init(false);
            errdefer self.bodies.deinit(gpa);
            const layout = self.layoutFor(&description);
            self.block = Block.take(layout) catch |err| return switch (err) {
                error.OutOfMemory => error.OutOfMemory,
                error.BlockTooLarge => refuseLayout(layout, defect),
            };
            errdefer self.block.release();
            const table = try Table.create(gpa, &description.table, &self.bodies, defect);
            errdefer table.destroy();
            const exchanges_max = self.config.exchangesMax(self.config.workers);
            self.dispatcher = try Dispatcher.init(gpa, self.block, table, exchanges_max);
            self.dispatcher.is_paired = self.lends;
            if (self.is_inline and !self.lends) for (self.dispatcher.lanes) |*lane| {
                lane.rung = &self.rung;
            };
            return self;
        }

        fn layoutFor(self: *const Self, description: *const Description) Layout {
            const workers = self.config.workers;
            const threads = description.threads;
            const head_bytes_max = self.config.head_bytes_max;
            return .{
                .workers = workers,
                .threads = threads,
                .ring_bytes = if (description.ring_bytes != 0)
                    description.ring_bytes
                else
                    Layout.ringBytes(workers, threads, head_bytes_max),
                .credit_bytes = description.credit_bytes,
                .response_field_bytes = self.config.response_head_bytes_max,
            };
        }

        /// The hint has numbers that are taken: so many workers beside these threads, or the
        /// reverse.
        fn refuseLayout(layout: Layout, defect: *Defect) Error {
            const lanes_max = Layout.lanesMax(layout.ring_bytes);
            defect.set(
                "GYR_OPTION_INVALID",
                "",
                "The rings of {d} workers and {d} threads take more than 2 GiB",
                .{ layout.workers, layout.threads },
            );
            const workers = lanes_max / layout.threads;
            const threads = lanes_max / layout.workers;
            if (workers > 0 and threads > 0) defect.setHint(
                "workers: {d}, or threads: {d}, with rings of {d} bytes",
                .{ workers, threads, layout.ring_bytes },
            ) else defect.setHint(
                "leave ringBytes out: of {d} bytes each, {d} workers times threads have rings",
                .{ layout.ring_bytes, lanes_max },
            );
            return error.Refused;
        }

        /// Stops at once what still runs.
        pub fn destroy(self: *Self) void {
            const gpa = self.gpa;
            if (self.watcher) |it| it.onDestroy(it.context);
            if (self.engine) |*engine| {
                const level = log.setThreadLevel(self.config.log); // an inline worker's end is here
                defer _ = log.setThreadLevel(level);
                engine.requestStop(0);
                self.ringAll();
                engine.join();
                engine.deinit();
            }
            const table = self.dispatcher.table.load(.acquire);
            self.dispatcher.deinit();
            table.destroy();
            self.bodies.deinit(gpa);
            self.block.release();
            self.arena.deinit();
            gpa.destroy(self);
        }

        /// Opens what is to be listened on and starts the workers.
        pub fn start(self: *Self, defect: *Defect) Error!void {
            const level = log.setThreadLevel(self.config.log);
            defer _ = log.setThreadLevel(level);
            if (self.engine != null) {
                defect.set("GYR_ENGINE_FAILED", "", "The engine has been started before", .{});
                return error.Refused;
            }
            const init = if (self.lends) &Engine.initLending else &Engine.init;
            self.engine = init(
                self.gpa,
                &self.config,
                &self.dispatcher,
                defect,
            ) catch |err| return refuseStart(err, defect);
            const engine = &self.engine.?;
            engine.onStopped(&onStopped, self);
            engine.onListenerLost(&onListenerLost, self);
            for (0..self.config.workers) |worker| {
                const bell = engine.bell(@intCast(worker));
                self.block.worker(@intCast(worker)).wake_fd = bell.number();
            }
            self.startEngine(engine) catch |err| {
                engine.deinit();
                self.engine = null;
                return refuseStart(err, defect);
            };
            var buffer: [512]u8 = undefined;
            if (!self.announce) return;
            const text = "listening on {s}: {s} ({s}), {d} workers {s} ({s}), {d} MiB of pools";
            log.info(text, .{
                Listeners.describe(engine.listeners(), &buffer),
                engine.backendName(),
                engine.choice.reason,
                engine.workerCount(),
                if (self.is_inline) "inline" else "in threads",
                self.mode_reason,
                self.memoryBytes() >> 20,
            });
        }

        fn startEngine(self: *const Self, engine: *Engine) server_engine.StartError!void {
            if (self.lends) return engine.startLending();
            return if (self.is_inline) engine.startDriven() else engine.start();
        }

        fn refuseStart(err: server_engine.StartError, defect: *Defect) Error {
            if (err == error.OutOfMemory) return error.OutOfMemory;
            // An address that cannot be listened on has been told of.
            if (defect.len == 0) if (server_engine.Trouble.of(err)) |trouble| {
                const text = "The engine could not start: {s}";
                const is_mode = err == error.NotDriven;
                const code = if (is_mode) "GYR_MODE_UNAVAILABLE" else "GYR_ENGINE_FAILED";
                defect.set(code, trouble.hint, text, .{trouble.message});
            };
            return error.Refused;
        }

        /// On the last thread of the engine that ends.
        fn onStopped(context: *anyopaque) void {
            const self: *Self = @alignCast(@ptrCast(context));
            self.ended.store(true, .release);
            _ = @atomicRmw(u32, &self.block.header().state, .Or, abi.state_stopped, .seq_cst);
            self.dispatcher.threads.ringAll();
        }

        /// On the acceptor's thread.
        fn onListenerLost(context: *anyopaque) void {
            const self: *Self = @alignCast(@ptrCast(context));
            const lost = abi.state_listener_lost;
            _ = @atomicRmw(u32, &self.block.header().state, .Add, lost, .seq_cst);
            self.dispatcher.threads.ringAll();
        }

        /// The end of the thread's doorbell that is read, which is the caller's.
        pub fn attach(self: *Self, thread: u32, defect: *Defect) Error!Reader {
            const level = log.setThreadLevel(self.config.log); // it may run lent workers
            defer _ = log.setThreadLevel(level);
            var waited_ms: u32 = 0;
            while (true) {
                const reader = self.dispatcher.threads.attach(thread) catch |err| {
                    const is_patient = waited_ms < patience_ms and !self.isStopped() and
                        self.engine != null; // before its start nobody is busy
                    if (err == error.WorkersBusy and is_patient) {
                        self.hurry();
                        waited_ms += 1;
                        continue;
                    }
                    defect.set(
                        "GYR_THREAD",
                        "",
                        "Thread {d} cannot be attached: {s}",
                        .{ thread, @errorName(err) },
                    );
                    return error.Refused;
                };
                self.wakeAll(); // requests that wait for a thread may go
                return reader;
            }
        }

        /// What a JS thread needs to borrow its worker: kept while the instance may go.
        pub const Offer = struct {
            loan: *Loan,
            bell: i32,

            /// For `Loan.borrow`.
            pub fn ring(self: Offer) void {
                Engine.ring(.ofNumber(self.bell));
            }
        };

        /// The worker that JS thread `thread` may have in its loop. The loan is the caller's, to
        /// release. Null: it does not run in such, or has not started.
        pub fn offer(self: *Self, thread: u32) ?Offer {
            const engine = &(self.engine orelse return null);
            if (!self.lends or thread >= self.config.workers) return null;
            const loan = engine.loan(thread).retain();
            return .{ .loan = loan, .bell = engine.bell(thread).number() };
        }

        /// Wakes the worker whose line in the block has this number: where JavaScript cannot do it
        /// by a write.
        pub fn ring(number: i32) void {
            Engine.ring(.ofNumber(number));
        }

        pub fn detach(self: *Self, thread: u32) void {
            if (!self.dispatcher.threads.detach(thread)) return;
            if (self.engine == null) self.dispatcher.noticeEarly(thread) else self.ringAll();
        }

        /// Has all workers look, also one whose asleep flag is down: a thread that was terminated
        /// may have taken it down, and not come to the wake.
        fn ringAll(self: *Self) void {
            const engine = &(self.engine orelse return);
            for (0..self.config.workers) |worker| Engine.ring(engine.bell(@intCast(worker)));
        }

        /// Has inline workers look at once at what they are to take notice of: the one of this
        /// thread would do so when this call is over, one of another when its handler is. Others
        /// look by themselves, and are waited for.
        fn hurry(self: *Self) void {
            const engine = &(self.engine orelse return);
            if (self.is_inline and !self.lends) {
                engine.turnAside(0);
                return Engine.ring(engine.bell(0)); // for what that has brought up
            }
            engine.hurryLent();
            system.sleepMs(1);
        }

        /// Puts a new route table in place and waits until no worker uses the old one; and other
        /// certificates.
        pub fn reload(self: *Self, json: []const u8, defect: *Defect) Error!void {
            const level = log.setThreadLevel(self.config.log);
            defer _ = log.setThreadLevel(level);
            var arena = std.heap.ArenaAllocator.init(self.gpa);
            defer arena.deinit();
            const change = try parse(Change, arena.allocator(), json, defect);
            try self.checkSockets(&change, defect);
            // What can fail comes first: of what has been given anew all is taken, or nothing.
            const fresh = if (change.table) |*description|
                try Table.create(self.gpa, description, &self.bodies, defect)
            else
                null;
            errdefer if (fresh) |table| table.destroy();
            try self.reloadTls(&change, defect);
            if (fresh) |table| self.takeTable(table);
        }

        /// Memory is set aside at the start alone.
        fn checkSockets(self: *const Self, change: *const Change, defect: *Defect) Error!void {
            const table = &(change.table orelse return);
            if (table.websocket == null or self.config.websocket) return;
            const text = "reload() has websocket, and the server was started without";
            defect.set("GYR_RELOAD", "give websocket to serve()", text, .{});
            return error.Refused;
        }

        fn takeTable(self: *Self, fresh: *Table) void {
            const old = self.dispatcher.table.swap(fresh, orders.publish);
            self.wakeAll();
            var waited_ms: u32 = 0;
            while (self.engine != null and !self.dispatcher.tableSettled()) : (waited_ms += 1) {
                if (waited_ms == patience_ms) {
                    log.err(
                        "a worker does not take the new route table: the old one stays in memory",
                        .{},
                    );
                    return;
                }
                if (waited_ms % 100 == 99) self.wakeAll();
                self.hurry();
            }
            old.destroy();
        }

        fn reloadTls(self: *Self, change: *const Change, defect: *Defect) Error!void {
            if (!change.reloads_tls) return;
            const engine = &(self.engine orelse return);
            if (change.tls) |settings| {
                if (settings.len != self.config.tls.len) {
                    defect.set("GYR_OPTION_INVALID", "", "Option tls has {d} sets of " ++
                        "certificates", .{settings.len});
                    defect.setHint("as many as serve() was given, {d}", .{self.config.tls.len});
                    return error.Refused;
                }
                for (settings) |*one| if (one.validate()) |problem| {
                    const text = "Option {s} cannot be";
                    defect.set("GYR_OPTION_INVALID", problem.rule, text, .{problem.option});
                    return error.Refused;
                };
            }
            engine.reloadTls(change.tls, defect) catch |err| return switch (err) {
                error.OutOfMemory => error.OutOfMemory,
                error.TlsRefused => error.Refused,
            };
        }

        fn wakeAll(self: *Self) void {
            if (self.engine) |*engine| engine.wakeAll();
        }

        pub fn requestStop(self: *Self, deadline_ms: u32) void {
            if (self.engine) |*engine| engine.requestStop(deadline_ms);
        }

        pub fn isStopped(self: *const Self) bool {
            return self.ended.load(.acquire);
        }

        pub fn memoryBytes(self: *const Self) u64 {
            const pools = if (self.engine) |*engine| engine.memoryBytes() else 0;
            const table = self.dispatcher.table.load(.acquire);
            return pools + self.dispatcher.memoryBytes() + table.memoryBytes();
        }

        pub const Info = struct {
            listeners: ListenersInfo,
            backend: []const u8,
            backendReason: []const u8,
            workers: u32,
            maxConnections: u64,
            memoryBytes: u64,
        };

        /// After `start`.
        pub fn info(self: *const Self) Info {
            const engine = &self.engine.?;
            return .{
                .listeners = .{ .engine = engine },
                .backend = engine.backendName(),
                .backendReason = engine.choice.reason,
                .workers = engine.workerCount(),
                .maxConnections = engine.stats().connections_max,
                .memoryBytes = self.memoryBytes(),
            };
        }

        /// After `start`: of the first that is listened on.
        pub fn port(self: *const Self) u16 {
            return self.engine.?.address().port;
        }

        /// After `start`: what is listened on, and what of it has failed.
        pub fn listeners(self: *const Self) ?ListenersInfo {
            return .{ .engine = &(self.engine orelse return null) };
        }

        /// An array in JSON.
        pub const ListenersInfo = struct {
            engine: *const Engine,

            pub fn jsonStringify(self: ListenersInfo, out: anytype) !void {
                try out.beginArray();
                for (self.engine.listeners(), 0..) |*listener, i| {
                    var buffer: [Endpoint.text_bytes_max]u8 = undefined;
                    const host = listener.endpoint.host(&buffer);
                    const failure = self.engine.listenerError(i);
                    try out.write(.{
                        .place = listener.place,
                        .family = switch (listener.endpoint) {
                            .ip4 => "IPv4",
                            .ip6 => "IPv6",
                            .unix => "unix",
                        },
                        // The path of an inherited socket may be anything.
                        .address = if (std.unicode.utf8ValidateSlice(host)) host else "(no text)",
                        .port = listener.endpoint.port(),
                        .failure = if (failure) |err| @errorName(err) else null,
                    });
                }
                try out.endArray();
            }
        };

        pub const Stats = struct {
            workers: u32 = 0,
            /// Workers that run on a thread of handlers now.
            @"inline": u32 = 0,
            connections: u64 = 0,
            /// Connections that are served at a time: `maxConnections`, or as many as there are
            /// descriptors for.
            maxConnections: u64 = 0,
            requests: u64 = 0,
            errors: u64 = 0,
            /// Connections closed at once: their address had all it may have.
            refused: u64 = 0,
            /// Connections ended because the client was too slow.
            timeouts: u64 = 0,
            /// Responses that were pushed, and those of them that their clients have reset.
            pushes: u64 = 0,
            pushesRefused: u64 = 0,
            /// Requests that are with handlers now.
            pending: u64 = 0,
            badRecords: u64 = 0,
            allocationsAfterStart: u64 = 0,
            bufferBytes: u64 = 0,
            memoryBytes: u64 = 0,
        };

        pub fn stats(self: *const Self) Stats {
            const engine = &(self.engine orelse return .{});
            const numbers = engine.stats();
            var pending: u64 = 0;
            for (self.dispatcher.lanes) |*lane|
                pending += @atomicLoad(u32, &lane.pending, .monotonic);
            return .{
                .workers = numbers.workers,
                .@"inline" = if (self.lends) engine.countLent() else @intFromBool(self.is_inline),
                .connections = numbers.connections,
                .maxConnections = numbers.connections_max,
                .requests = numbers.requests_total,
                .errors = numbers.errors_total,
                .refused = numbers.refused_total,
                .timeouts = numbers.timeouts_total,
                .pushes = numbers.pushes_total,
                .pushesRefused = numbers.pushes_refused_total,
                .pending = pending,
                .badRecords = self.dispatcher.bad_records.load(.monotonic),
                .allocationsAfterStart = numbers.allocations_after_start,
                .bufferBytes = numbers.buffer_bytes,
                .memoryBytes = self.memoryBytes(),
            };
        }
    };
}

/// What TypeScript tells in JSON.
pub fn parse(comptime T: type, arena: Allocator, json: []const u8, defect: *Defect) Error!T {
    return std.json.parseFromSliceLeaky(
        T,
        arena,
        json,
        .{ .allocate = .alloc_always },
    ) catch |err| switch (err) {
        error.OutOfMemory => error.OutOfMemory,
        else => {
            defect.set(
                "GYR_ENGINE_MISMATCH",
                "build the engine anew",
                "The engine does not understand its configuration: {s}",
                .{@errorName(err)},
            );
            return error.Refused;
        },
    };
}

fn checkConfig(config: *const Config, description: *const Description, defect: *Defect) Error!void {
    if (config.validate()) |problem| {
        defect.set("GYR_OPTION_INVALID", problem.rule, "Option {s} cannot be", .{problem.option});
        return error.Refused;
    }
    const ring = description.ring_bytes;
    const ring_min = abi.ringBytesMin(config.head_bytes_max);
    const is_size = ring >= ring_min and ring <= abi.ring_bytes_max and @popCount(ring) == 1;
    if (ring != 0 and !is_size) {
        defect.set("GYR_OPTION_INVALID", "", "Option ringBytes is {d}", .{ring});
        defect.setHint(
            "a power of two from {d} to {d}: two of the largest records must fit",
            .{ ring_min, abi.ring_bytes_max },
        );
        return error.Refused;
    }
    if (description.credit_bytes < abi.credit_bytes_min or description.credit_bytes > 1 << 30) {
        defect.set(
            "GYR_OPTION_INVALID",
            "32768 to 1073741824",
            "Option creditBytes is {d}",
            .{description.credit_bytes},
        );
        return error.Refused;
    }
    if (description.threads == 0 or description.threads > std.math.maxInt(u16)) {
        defect.set(
            "GYR_OPTION_INVALID",
            "at least 1",
            "Option threads is {d}",
            .{description.threads},
        );
        return error.Refused;
    }
}

/// There are as many workers as threads where they are lent.
fn checkLent(config: *const Config, defect: *Defect) Error!void {
    const problem = config.validate() orelse return;
    defect.set("GYR_OPTION_INVALID", problem.rule, "Option threads is {d}: as many workers as " ++
        "that cannot be", .{config.workers});
    return error.Refused;
}

const Plain = Instance(void, void);

test "too many rings are refused with numbers that are taken" {
    const gpa = std.testing.allocator;
    var defect: Defect = .{};
    const many = "{\"server\":{\"workers\":256},\"threads\":256}";
    try std.testing.expectError(error.Refused, Plain.create(gpa, many, &defect));
    try std.testing.expectEqualStrings("GYR_OPTION_INVALID", defect.code);
    try std.testing.expectEqualStrings(
        "workers: 31, or threads: 31, with rings of 131072 bytes",
        defect.hint,
    );
    const large = "{\"server\":{\"workers\":32},\"threads\":32,\"ring_bytes\":67108864}";
    try std.testing.expectError(error.Refused, Plain.create(gpa, large, &defect));
    try std.testing.expect(std.mem.startsWith(u8, defect.hint, "leave ringBytes out"));
    for ([_][]const u8{
        "{\"server\":{\"workers\":31,\"buffer_memory_bytes\":20971520},\"threads\":256}",
        "{\"server\":{\"workers\":64,\"buffer_memory_bytes\":20971520},\"threads\":64}",
    }) |taken| (try Plain.create(gpa, taken, &defect)).destroy();
}

test "a ring is as small as the largest request head lets it be" {
    const gpa = std.testing.allocator;
    var defect: Defect = .{};
    const small = "{\"server\":{\"workers\":1},\"ring_bytes\":131072}";
    (try Plain.create(gpa, small, &defect)).destroy();
    const heads = "{\"server\":{\"workers\":1,\"head_bytes_max\":65535},\"ring_bytes\":131072}";
    try std.testing.expectError(error.Refused, Plain.create(gpa, heads, &defect));
    try std.testing.expectEqualStrings(
        "a power of two from 262144 to 67108864: two of the largest records must fit",
        defect.hint,
    );
}
