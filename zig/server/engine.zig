//! A running server: listeners, acceptor, workers, their threads,
//! from start to the last connection's end.

const builtin = @import("builtin");
const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Allocator = std.mem.Allocator;
const Address = @import("../core/address.zig").Address;
const Defect = @import("../core/defect.zig").Defect;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const clock = @import("../core/clock.zig");
const CpuSet = @import("../core/cpus.zig").Set;
const FrozenAllocator = @import("../core/frozen_allocator.zig").FrozenAllocator;
const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const memory = @import("../core/memory.zig");
const system = @import("../core/system.zig");
const io = @import("../io/io.zig");
const choose_file = @import("../io/choose.zig");
const Choice = choose_file.Choice;
const Native = @import("../io/native.zig").Native;
const AddressTable = @import("../net/address_table.zig").AddressTable;
const Acceptor = @import("../net/acceptor.zig").Acceptor;
const listeners_file = @import("../net/listeners.zig");
const Listener = listeners_file.Listener;
const Listeners = listeners_file.Listeners;
const Place = listeners_file.Place;
const Port = @import("../net/port.zig").Port;
const Config = @import("config.zig").Config;
const Mailbox = @import("websocket/socket.zig").Mailbox;
const TlsSettings = @import("tls/settings.zig").Settings;
const descriptors = @import("descriptors.zig");
const DrivenOf = @import("driven.zig").Driven;
const Driver = @import("driver.zig").Driver;
const LendingOf = @import("lending.zig").Lending;
const Loan = @import("loan.zig").Loan;
const start_error = @import("start_error.zig");

pub const StartError = start_error.StartError;
pub const Trouble = start_error.Trouble;

/// Of a call that makes something which the engine cannot do without.
fn refused(err: (Allocator.Error || system.Error)) StartError {
    switch (err) {
        error.OutOfMemory => return error.OutOfMemory,
        error.ProcessFdQuotaExceeded,
        error.SystemFdQuotaExceeded,
        error.SystemResources,
        error.NoSpaceLeft,
        => return error.SystemResources,
        else => {
            log.err("a system call that the start needs has failed: {s}", .{@errorName(err)});
            return error.Unexpected;
        },
    }
}

/// Numbers of a running server; read while it runs, each exact, the set not a snapshot.
pub const Stats = struct {
    workers: u32,
    connections: u64,
    /// Connections that are served at a time: `Config.connections_max`, or as many as there are
    /// descriptors for.
    connections_max: u64,
    requests_total: u64,
    errors_total: u64,
    /// Connections closed when they were accepted: their address had all it may have.
    refused_total: u64,
    /// Connections ended because the client was too slow; not those that were idle.
    timeouts_total: u64,
    /// Responses that were pushed (`Config.http2_pushes_max`), and those of them that their clients
    /// did not want.
    pushes_total: u64,
    pushes_refused_total: u64,
    /// Allocations after the start: always 0, or there is a bug.
    allocations_after_start: u64,
    /// Bytes of pool memory in use by messages in flight.
    buffer_bytes: u64,
};

/// `Dispatcher` answers the requests: docs/ARCHITECTURE.md, "Dispatchers". `Security` secures
/// connections: `tls.Tls`, or void in a program that has none. `Deflate` compresses the messages of
/// WebSockets: ../websocket/deflate.zig, or void.
pub fn Engine(comptime Dispatcher: type, comptime Security: type, comptime Deflate: type) type {
    return struct {
        const Self = @This();

        const Impl = EngineOn(Native, Dispatcher, Security, Deflate);

        impl: *Impl,
        choice: Choice,

        /// Opens what is to be listened on and makes the pools; `config` and `dispatcher` must
        /// outlive the engine. When an address or a certificate is what is wrong, `defect` says so.
        pub fn init(
            gpa: Allocator,
            config: *const Config,
            dispatcher: *Dispatcher,
            defect: *Defect,
        ) StartError!Self {
            const choice = choose_file.choose(config.io);
            return initOn(gpa, config, dispatcher, defect, choice, false);
        }

        /// As `init`, of an engine whose workers change threads (`startLending`).
        pub fn initLending(
            gpa: Allocator,
            config: *const Config,
            dispatcher: *Dispatcher,
            defect: *Defect,
        ) StartError!Self {
            const choice = choose_file.chooseMovable(config.io);
            return initOn(gpa, config, dispatcher, defect, choice, true);
        }

        fn initOn(
            gpa: Allocator,
            config: *const Config,
            dispatcher: *Dispatcher,
            defect: *Defect,
            first_choice: Choice,
            lends: bool,
        ) StartError!Self {
            const is_huge = memory.setThreadHuge(config.huge_pages);
            defer _ = memory.setThreadHuge(is_huge);
            if (config.huge_pages) {
                if (memory.hugeProblem()) |why| log.warn("huge_pages has no effect: {s}", .{why});
            }
            var choice = first_choice;
            const create = Impl.create;
            const first = create(gpa, config, choice.backend, lends, dispatcher, defect);
            const impl = first catch |err| blk: {
                // One ring could be had, as many as there are workers could not.
                if (builtin.os.tag != .linux or choice.backend != .io_uring) return err;
                if (err != error.SystemResources) return err;
                choice = choose_file.instead(error.SystemResources);
                break :blk try create(gpa, config, choice.backend, lends, dispatcher, defect);
            };
            if (config.zero_copy) choose_file.tellZeroCopy(choice.backend);
            return .{ .impl = impl, .choice = choice };
        }

        /// After `join`.
        pub fn deinit(self: *Self) void {
            self.impl.destroy();
            self.* = undefined;
        }

        /// Starts the threads. When it returns the server answers.
        pub fn start(self: *Self) StartError!void {
            try self.impl.start();
        }

        /// As `start`, but the one worker has no thread: it runs in the calls below, all of them on
        /// this thread, from a loop that waits for `descriptor` and for the time that `rest` tells.
        /// `join` runs it to its end.
        pub fn startDriven(self: *Self) StartError!void {
            self.impl.is_driven = true;
            try self.impl.start();
        }

        /// As `start`, of an engine of `initLending`: each worker has a thread, which lends it to a
        /// loop of others that asks for it (`loan`). While it is lent, the calls below are that
        /// loop's, between `enter` and `leave` of the loan.
        pub fn startLending(self: *Self) StartError!void {
            try Impl.lending.check(self.impl);
            try self.impl.start();
        }

        /// Of a worker that may be lent. Whoever keeps it retains it.
        pub fn loan(self: *const Self, index: u32) *Loan {
            return self.impl.loans[index];
        }

        /// Workers that are lent now.
        pub fn countLent(self: *const Self) u32 {
            return Impl.lending.countLent(self.impl);
        }

        /// Any thread: workers that are lent take notice of what has changed.
        pub fn hurryLent(self: *Self) void {
            Impl.lending.hurry(self.impl);
        }

        /// Of a worker that is driven: can be read when `turn` has something to do.
        pub fn descriptor(self: *const Self, index: u32) posix.fd_t {
            return self.impl.drivers[index].net.backend.descriptor().?; // it has started
        }

        /// One turn of a worker that is driven: what came, its timers, what is to be sent.
        pub fn turn(self: *Self, index: u32) void {
            Impl.driven.drive(self.impl, index, .turn);
        }

        /// Between two turns: what was published for the worker since.
        pub fn turnAside(self: *Self, index: u32) void {
            Impl.driven.drive(self.impl, index, .aside);
        }

        /// Ends what `turn` began: from here on other threads wake the worker. For how long it has
        /// nothing to do, ms: -1 until it is woken. Null: it has ended; one that is lent is to be
        /// given back.
        pub fn rest(self: *Self, index: u32) ?i32 {
            return Impl.driven.rest(self.impl, index);
        }

        /// The clock of a worker that is driven, as `turn` has seen it last, ms.
        pub fn nowMs(self: *const Self, index: u32) u64 {
            return self.impl.drivers[index].net.now_ms;
        }

        /// Any thread: stop accepting, finish what is in flight, close what is left after
        /// `timeout_ms`. A later call with a shorter time shortens it.
        pub fn requestStop(self: *Self, timeout_ms: u32) void {
            self.impl.requestStop(timeout_ms);
        }

        /// Waits for all threads to end.
        pub fn join(self: *Self) void {
            self.impl.join();
        }

        /// Whether all threads are at their end: `join` will not wait.
        pub fn isStopped(self: *const Self) bool {
            return self.impl.running.load(.acquire) == 0;
        }

        /// Called once, on the last thread that ends.
        pub fn onStopped(
            self: *Self,
            call: *const fn (context: *anyopaque) void,
            context: *anyopaque,
        ) void {
            self.impl.on_stopped = .{ .call = call, .context = context };
        }

        /// Called on the acceptor's thread when a listener has failed for good: it is closed, and
        /// has been logged. The others go on.
        pub fn onListenerLost(
            self: *Self,
            call: *const fn (context: *anyopaque) void,
            context: *anyopaque,
        ) void {
            self.impl.on_listener_lost = .{ .call = call, .context = context };
        }

        /// What is, or was, listened on: one or more, those of the first place first.
        pub fn listeners(self: *const Self) []const Listener {
            return self.impl.listeners.items.constSlice();
        }

        /// The first of them.
        pub fn address(self: *const Self) Address {
            return self.listeners()[0].endpoint.address();
        }

        /// Why a listener, by its index, has failed; null when it has not. Any thread.
        pub fn listenerError(self: *const Self, index: usize) ?system.Error {
            return self.impl.lost[index].why();
        }

        /// How many listeners have not failed. Any thread.
        pub fn listenersLeft(self: *const Self) u32 {
            return self.impl.listenersLeft();
        }

        /// Any thread: reads certificates anew, or takes other settings, for as many sets; what was
        /// there is served on when that fails, and `defect` says why.
        pub fn reloadTls(
            self: *Self,
            settings: ?[]const TlsSettings,
            defect: *Defect,
        ) error{ OutOfMemory, TlsRefused }!void {
            if (Security == void) return;
            if (self.impl.tls) |shared| try shared.reload(settings, defect);
        }

        pub fn backendName(self: *const Self) []const u8 {
            return @tagName(self.choice.backend);
        }

        /// Memory reserved by all pools of this engine, bytes of address space.
        pub fn memoryBytes(self: *const Self) u64 {
            return self.impl.memoryBytes();
        }

        pub fn stats(self: *const Self) Stats {
            return self.impl.stats();
        }

        pub fn workerCount(self: *const Self) u32 {
            return @intCast(self.impl.drivers.len);
        }

        /// Any thread: by which the sockets of worker `index` are reached, and those of all.
        pub fn mailbox(self: *const Self, index: u32) *Mailbox {
            return self.impl.mailboxes[index];
        }

        /// What wakes worker `index`.
        pub fn bell(self: *const Self, index: u32) io.Bell {
            return self.impl.ports[index].bell;
        }

        /// Any thread: rings the bell of a worker, of any engine of this kind.
        pub fn ring(its: io.Bell) void {
            Native.ring(its);
        }

        /// Any thread: wakes every worker that sleeps.
        pub fn wakeAll(self: *Self) void {
            self.impl.wakeAll();
        }
    };
}

fn EngineOn(
    comptime Io: type,
    comptime Dispatcher: type,
    comptime Security: type,
    comptime Deflate: type,
) type {
    return struct {
        const Self = @This();
        const WorkerDriver = Driver(Io, Dispatcher, Security, Deflate);
        const is_secure = WorkerDriver.is_secure;
        const MaybeTls = if (is_secure) ?*Security.Shared else void;
        const driven = DrivenOf(Self);
        const lending = LendingOf(Self);
        pub const Backend = Io;
        pub const DispatcherType = Dispatcher;

        parent: Allocator,
        frozen: FrozenAllocator,
        config: *const Config,
        backend: io.Backend,
        dispatcher: *Dispatcher,
        descriptors: descriptors.Plan,
        /// Where workers are pinned to; read when they are started.
        cpu_set: CpuSet = .{},
        listeners: Listeners,
        tls: MaybeTls,
        lost: [limits.listeners_max]Lost = [_]Lost{.{}} ** limits.listeners_max,
        ports: []Port,
        /// By which every worker's sockets are reached.
        mailboxes: []*Mailbox,
        drivers: []WorkerDriver,
        asleep: []align(64) AsleepLine,
        acceptor: Acceptor(Io),
        addresses: ?AddressTable = null,
        threads: []std.Thread,
        acceptor_thread: ?std.Thread = null,
        threads_started: usize = 0,
        /// The one worker runs where `driven.drive` is called, not on a thread of its own.
        is_driven: bool = false,
        /// It has begun, and not ended.
        is_under_way: bool = false,
        /// One for each worker where they may be lent; else none.
        loans: []*Loan = &.{},
        running: std.atomic.Value(u32) = .init(0),
        start_failed: std.atomic.Value(bool) = .init(false),
        ready: std.Thread.WaitGroup = .{},
        go: std.Thread.ResetEvent = .{},
        on_stopped: ?Hook = null,
        on_listener_lost: ?Hook = null,

        const Hook = struct {
            call: *const fn (context: *anyopaque) void,
            context: *anyopaque,
        };
        /// Written by the acceptor, read by any thread.
        const Lost = struct {
            code: std.atomic.Value(u16) = .init(0),

            fn set(self: *Lost, err: system.Error) void {
                self.code.store(@intFromError(err), .release);
            }

            fn why(self: *const Lost) ?system.Error {
                const code = self.code.load(.acquire);
                if (code == 0) return null;
                return @errorCast(@errorFromInt(code));
            }
        };
        /// A flag on a cache line of its own.
        const AsleepLine = struct { flag: u32 align(64) = 0 };

        fn create(
            parent: Allocator,
            config: *const Config,
            backend: io.Backend,
            lends: bool,
            dispatcher: *Dispatcher,
            defect: *Defect,
        ) StartError!*Self {
            if (!clock.isReadable()) {
                log.err("the system's clocks cannot be read", .{});
                return error.Unexpected;
            }
            try checkDeflate(config, defect);
            var buffer: [limits.listeners_max]Place = undefined;
            const places = config.places(&buffer);
            var listeners = try Listeners.open(parent, places, config.socketOptions(), defect);
            errdefer {
                listeners.closeMade();
                listeners.deinit(parent);
            }
            const tls = try makeTls(parent, config, listeners.items.constSlice(), defect);
            errdefer if (is_secure) if (tls) |shared| shared.destroy();
            const self = try parent.create(Self);
            errdefer parent.destroy(self);
            const count = config.workerCount();
            const needed = descriptorsNeeded(backend, count, lends);
            const plan = prepareDescriptors(config, needed, listeners.items.get(0).fd);
            errdefer plan.release();
            self.* = .{
                .parent = parent,
                .descriptors = plan,
                .frozen = .{ .child = parent },
                .config = config,
                .backend = backend,
                .dispatcher = dispatcher,
                .listeners = listeners,
                .tls = tls,
                .ports = &.{},
                .mailboxes = &.{},
                .drivers = &.{},
                .asleep = &.{},
                .acceptor = undefined,
                .threads = &.{},
            };
            const gpa = self.frozen.allocator();
            self.ports = try gpa.alloc(Port, count);
            errdefer gpa.free(self.ports);
            self.asleep = try gpa.alignedAlloc(AsleepLine, 64, count);
            errdefer gpa.free(self.asleep);
            self.threads = try gpa.alloc(std.Thread, count);
            errdefer gpa.free(self.threads);
            self.drivers = try gpa.alloc(WorkerDriver, count);
            errdefer gpa.free(self.drivers);
            var made: usize = 0;
            errdefer for (self.drivers[0..made]) |*driver| driver.deinit(gpa);
            while (made < count) : (made += 1) try self.makeWorker(gpa, @intCast(made));
            self.mailboxes = try gpa.alloc(*Mailbox, count);
            errdefer gpa.free(self.mailboxes);
            for (self.drivers, self.mailboxes) |*driver, *mailbox|
                mailbox.* = &driver.websocket_worker.mailbox;
            for (self.mailboxes) |mailbox| mailbox.peers = self.mailboxes;
            try self.makeAddressTable();
            errdefer if (self.addresses) |*table| table.deinit();
            if (lends) try lending.makeLoans(self);
            errdefer lending.releaseLoans(self);
            try self.makeAcceptor(gpa);
            for (self.drivers) |*driver| {
                driver.net.on_room = &Acceptor(Io).onRoom;
                driver.net.on_room_context = &self.acceptor;
                driver.net.addresses = self.acceptor.addresses;
                driver.tls = tls;
            }
            return self;
        }

        fn checkDeflate(config: *const Config, defect: *Defect) StartError!void {
            if (Deflate != void or !config.websocket_deflate) return;
            defect.set(
                "GYR_DEFLATE_MISSING",
                "build it with zlib-ng: npm run build:deflate",
                "This engine has no compression of WebSocket messages in it",
                .{},
            );
            return error.DeflateMissing;
        }

        /// Null where nothing is secured.
        fn makeTls(
            gpa: Allocator,
            config: *const Config,
            listeners: []const Listener,
            defect: *Defect,
        ) StartError!MaybeTls {
            if (is_secure) {
                if (config.tls.len == 0 and config.listen.len == 0) return null;
                return try Security.Shared.create(gpa, config, listeners, defect);
            }
            if (config.tls.len == 0 and !config.redirects()) return;
            defect.set(
                "GYR_TLS_MISSING",
                "build it with OpenSSL and picotls: npm run build:tls",
                "This engine has no TLS in it",
                .{},
            );
            return error.TlsRefused;
        }

        /// Of each worker and the acceptor, and of who waits for a worker in its loop.
        pub fn descriptorsNeeded(backend: io.Backend, workers: u32, lends: bool) u32 {
            const own = Io.descriptors * (workers + 1);
            if (lends) return own + workers; // a duplicate of each backend's (bridge/inline.zig)
            // One that is alone may be driven, which nobody has said yet.
            const is_alone = can_be_driven and workers == 1;
            return own + if (is_alone) Io.descriptorsDriven(backend) else 0;
        }

        fn prepareDescriptors(
            config: *const Config,
            needed: u32,
            fd: system.Socket,
        ) descriptors.Plan {
            const needs: descriptors.Needs = .{
                .connections = config.connections_max,
                .engine = needed,
            };
            const plan = descriptors.prepare(needs, fd);
            if (plan.connections < config.connections_max) log.warn(
                "the limit of open files is {d} (ulimit -n): {d} connections are served at a " ++
                    "time, not connections_max, {d}",
                .{ plan.limit orelse 0, plan.connections, config.connections_max },
            );
            return plan;
        }

        /// The listeners are the acceptor's from here on.
        fn makeAcceptor(self: *Self, gpa: Allocator) StartError!void {
            var fds: std.BoundedArray(posix.socket_t, limits.listeners_max) = .{};
            for (self.listeners.items.slice()) |*listener| fds.appendAssumeCapacity(listener.fd);
            const OnIo = Acceptor(Io);
            self.acceptor = OnIo.init(gpa, self.backend, fds.slice(), self.ports) catch |err|
                return refused(err);
            const acceptor = &self.acceptor;
            if (self.addresses) |*table| acceptor.addresses = table;
            acceptor.observer = .{ .context = self, .onStop = onStop, .onLost = onLost };
            if (self.listeners.shared) acceptor.hand_over_ms = limits.hand_over_ms;
            for (self.listeners.items.slice(), 0..) |*listener, i|
                acceptor.lingering.setValue(i, self.listeners.lingers(listener));
        }

        /// The acceptor is about to give the listeners up.
        fn onStop(context: *anyopaque) void {
            const self: *Self = @alignCast(@ptrCast(context));
            for (self.listeners.items.slice()) |*listener| self.listeners.retire(listener);
        }

        fn onLost(context: *anyopaque, index: u32, err: system.Error) void {
            const self: *Self = @alignCast(@ptrCast(context));
            const listener = &self.listeners.items.slice()[index];
            if (listener.file) |*file| file.remove();
            self.lost[index].set(err);
            var buffer: [Endpoint.text_bytes_max]u8 = undefined;
            const at = listener.endpoint.text(&buffer);
            const left = self.listenersLeft();
            const text = "the socket that listened on {s} failed ({s}) and is closed; " ++
                "{d} others go on";
            log.err(text, .{ at, @errorName(err), left });
            if (self.on_listener_lost) |it| it.call(it.context);
        }

        fn listenersLeft(self: *const Self) u32 {
            var left: u32 = 0;
            for (self.lost[0..self.listeners.items.len]) |*one| {
                if (one.why() == null) left += 1;
            }
            return left;
        }

        fn makeAddressTable(self: *Self) StartError!void {
            const limit = self.config.connections_per_address_max;
            if (limit == 0) return;
            var connections: u64 = 1; // the one that the acceptor may hold
            for (self.ports) |*port| connections += port.capacity;
            var seed: AddressTable.Seed = undefined;
            system.random(&seed) catch |err| return refused(err);
            self.addresses = try AddressTable.init(connections, limit, seed);
        }

        fn makeWorker(self: *Self, gpa: Allocator, index: u32) StartError!void {
            const count: u32 = @intCast(self.ports.len);
            const connections = self.descriptors.connections;
            self.asleep[index] = .{};
            self.ports[index] = .{
                .capacity = Config.connectionsOf(connections, index, count),
                .asleep = if (@hasDecl(Dispatcher, "asleepFlag"))
                    self.dispatcher.asleepFlag(index)
                else
                    &self.asleep[index].flag,
            };
            self.drivers[index].init(
                gpa,
                self.config,
                self.backend,
                &self.ports[index],
                self.dispatcher,
                index,
            ) catch |err| return refused(err);
        }

        fn destroy(self: *Self) void {
            assert(self.threads_started == 0); // joined
            const gpa = self.frozen.allocator();
            const parent = self.parent;
            // Of a server that was never started; else they are gone.
            for (self.listeners.items.slice()) |*listener| if (listener.file) |*file| file.remove();
            self.acceptor.deinit();
            self.listeners.deinit(parent);
            if (self.addresses) |*table| table.deinit();
            for (self.drivers) |*driver| driver.deinit(gpa);
            if (is_secure) if (self.tls) |shared| shared.destroy();
            lending.releaseLoans(self);
            gpa.free(self.mailboxes);
            gpa.free(self.drivers);
            gpa.free(self.threads);
            gpa.free(self.asleep);
            gpa.free(self.ports);
            assert(self.frozen.bytes.load(.monotonic) == 0);
            self.descriptors.release();
            parent.destroy(self);
        }

        fn start(self: *Self) StartError!void {
            if (self.config.pin) self.cpu_set = CpuSet.ofThread() catch |err| blk: {
                log.warn("the CPUs to pin workers to are not known: {s}", .{@errorName(err)});
                break :blk .{};
            };
            errdefer self.abandonStart();
            if (self.is_driven) try driven.begin(self) else try self.startWorkers();
            _ = self.running.fetchAdd(1, .acq_rel);
            self.acceptor_thread = system.spawn(runAcceptor, .{self}) catch {
                _ = self.running.fetchSub(1, .acq_rel);
                return error.ThreadQuotaExceeded;
            };
            if (is_secure) if (self.tls) |shared| {
                Security.Shared.tellSealing(self.config, self.backend);
                shared.start();
            };
            self.frozen.freeze();
            self.go.set();
        }

        fn startWorkers(self: *Self) StartError!void {
            self.ready.startMany(self.drivers.len);
            while (self.threads_started < self.drivers.len) : (self.threads_started += 1) {
                _ = self.running.fetchAdd(1, .acq_rel);
                const index = self.threads_started;
                self.threads[index] = system.spawn(runWorker, .{ self, index }) catch {
                    _ = self.running.fetchSub(1, .acq_rel);
                    for (index..self.drivers.len) |_| self.ready.finish();
                    return error.ThreadQuotaExceeded;
                };
            }
            self.ready.wait();
            if (self.start_failed.load(.acquire)) return error.WorkerStartFailed;
        }

        /// Whether a loop of others can wait for what this backend waits for.
        pub const can_be_driven = @hasDecl(Io, "descriptor");

        /// Ends the threads that did start: they have no connections yet.
        fn abandonStart(self: *Self) void {
            self.start_failed.store(true, .release);
            for (self.ports) |*port| port.drain_deadline_ms.store(1, .seq_cst);
            self.go.set();
            self.join();
        }

        fn runWorker(self: *Self, index: usize) void {
            _ = log.setThreadLevel(self.config.log);
            const driver = &self.drivers[index];
            if (self.config.pin) self.pin(index);
            driver.settle();
            if (self.dispatcher.workerStart(driver)) {
                self.ready.finish();
                self.go.wait();
                if (self.loans.len == 0) driver.net.run() else lending.run(self, index);
                driver.onStop();
                self.dispatcher.workerStop(driver);
            } else |err| {
                log.err("worker {d} could not start: {s}", .{ index, @errorName(err) });
                self.start_failed.store(true, .release);
                self.ready.finish();
            }
            self.threadEnds();
        }

        fn runAcceptor(self: *Self) void {
            _ = log.setThreadLevel(self.config.log);
            self.go.wait();
            self.acceptor.run();
            self.threadEnds();
        }

        pub fn threadEnds(self: *Self) void {
            // `start` itself tells that it failed.
            const on_stopped = if (self.start_failed.load(.acquire)) null else self.on_stopped;
            if (self.running.fetchSub(1, .acq_rel) == 1) if (on_stopped) |it| it.call(it.context);
        }

        /// Worker n goes to the n-th CPU of the process's set, and round again.
        fn pin(self: *const Self, index: usize) void {
            const count = self.cpu_set.count();
            if (count == 0) return; // told already
            const cpu = self.cpu_set.at(@intCast(index % count));
            CpuSet.only(cpu).apply() catch |err| log.warn(
                "worker {d} could not be pinned to CPU {d}: {s}",
                .{ index, cpu, @errorName(err) },
            );
        }

        fn requestStop(self: *Self, timeout_ms: u32) void {
            const deadline = @max(self.acceptor.backend.nowMs() + timeout_ms, 1);
            const told = &self.acceptor.stop_deadline_ms;
            var earlier: u64 = 0;
            while (told.cmpxchgWeak(earlier, deadline, .seq_cst, .seq_cst)) |found| {
                if (found != 0 and deadline >= found) return;
                earlier = found;
            }
            lending.remind(self);
            self.acceptor.wake(); // also from the wait for another server to take its place
            if (earlier == 0) return;
            for (self.ports) |*port| {
                // At 0 the acceptor is about to set it.
                if (port.drain_deadline_ms.load(.seq_cst) == 0) continue;
                port.drain_deadline_ms.store(deadline, .seq_cst);
                port.wake(Io);
            }
        }

        fn wakeAll(self: *Self) void {
            for (self.ports) |*port| port.wake(Io);
        }

        fn join(self: *Self) void {
            driven.join(self);
            if (self.acceptor_thread) |thread| thread.join();
            self.acceptor_thread = null;
            for (self.threads[0..self.threads_started]) |thread| thread.join();
            self.threads_started = 0;
            if (is_secure) if (self.tls) |shared| shared.stop();
            self.frozen.thaw();
        }

        fn memoryBytes(self: *const Self) u64 {
            var total = self.frozen.bytes.load(.monotonic);
            for (self.drivers) |*driver| {
                const net = &driver.net;
                total += net.backend.memoryBytes();
                total += net.conns.reservedBytes() + net.wheel.reservedBytes();
                total += net.pools.buffers.reservedBytes();
                total += driver.exchanges.reservedBytes() + net.outbound.reservedBytes();
                total += driver.http2_worker.reservedBytes();
                total += driver.websocket_worker.reservedBytes();
                total += net.pools.nodes.nodes.len * @sizeOf(@TypeOf(net.pools.nodes.nodes[0]));
            }
            total += self.acceptor.backend.memoryBytes();
            if (self.addresses) |*table| total += table.reservedBytes();
            return total;
        }

        fn stats(self: *const Self) Stats {
            var total: Stats = .{
                .workers = @intCast(self.drivers.len),
                .connections = 0,
                .connections_max = 0,
                .requests_total = 0,
                .errors_total = 0,
                .refused_total = self.acceptor.refused_total.load(.monotonic),
                .timeouts_total = 0,
                .pushes_total = 0,
                .pushes_refused_total = 0,
                .allocations_after_start = self.frozen.violations.load(.monotonic),
                .buffer_bytes = 0,
            };
            for (self.drivers, self.ports) |*driver, *port| {
                total.connections += port.open.load(.monotonic);
                total.connections_max += port.capacity;
                total.requests_total += driver.requests_total.load(.monotonic);
                total.errors_total += driver.errors_total.load(.monotonic);
                total.timeouts_total += driver.timeouts_total.load(.monotonic);
                total.pushes_total += driver.pushes_total.load(.monotonic);
                total.pushes_refused_total += driver.pushes_refused_total.load(.monotonic);
                const bytes_used = &driver.net.pools.buffers.bytes_used;
                total.buffer_bytes += @atomicLoad(u64, bytes_used, .monotonic);
            }
            return total;
        }
    };
}
