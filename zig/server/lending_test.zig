//! An engine whose workers are lent to loops of others: here poll(2), where libuv is in Node.js
//! (bridge/inline.zig).

const std = @import("std");
const posix = std.posix;
const testing = std.testing;
const log = @import("../core/log.zig");
const Defect = @import("../core/defect.zig").Defect;
const system = @import("../core/system.zig");
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const Config = @import("config.zig").Config;
const Engine = @import("engine.zig").Engine(Dispatcher, void, void);
const Dispatcher = @import("handler.zig").HandlerDispatcher(App);
const Loan = @import("loan.zig").Loan;

const App = struct {
    pub fn init() App {
        return .{};
    }

    pub fn deinit(_: *App) void {}

    /// Says on which thread it was called.
    pub fn handleRequest(_: *App, _: *Request, res: *Response) !void {
        var text: [20]u8 = undefined;
        try res.write(try std.fmt.bufPrint(&text, "{d:0>20}", .{std.Thread.getCurrentId()}));
    }
};

const patience_ms = 10_000;

/// A loop on a thread of its own that has worker `worker`.
const Loop = struct {
    engine: *Engine,
    worker: u32,
    thread: std.Thread = undefined,
    /// Of the thread.
    id: std.atomic.Value(std.Thread.Id) = .init(0),
    /// Who borrows.
    outcome: ?Loan.Outcome = null,
    leaves: std.atomic.Value(bool) = .init(false),
    blocks: std.atomic.Value(bool) = .init(false),
    is_blocked: std.Thread.ResetEvent = .{},
    goes_on: std.Thread.ResetEvent = .{},
    has_it: std.Thread.ResetEvent = .{},

    fn start(self: *Loop) !void {
        self.thread = try system.spawn(run, .{self});
        try self.has_it.timedWait(patience_ms * std.time.ns_per_ms);
    }

    pub fn ring(self: *Loop) void {
        Engine.ring(self.engine.bell(self.worker));
    }

    /// What it waits for is changed first.
    fn tell(self: *Loop, flag: *std.atomic.Value(bool)) void {
        flag.store(true, .release);
        self.ring();
    }

    fn run(self: *Loop) void {
        const loan = self.engine.loan(self.worker).retain();
        defer loan.release();
        self.id.store(std.Thread.getCurrentId(), .release);
        self.outcome = loan.borrow(self, self);
        self.has_it.set();
        if (self.outcome != .lent) return;
        const fd = self.engine.descriptor(self.worker);
        while (loan.enter(self)) {
            self.engine.turn(self.worker);
            self.engine.turnAside(self.worker);
            const wait = self.engine.rest(self.worker);
            if (wait == null or self.leaves.load(.acquire)) return loan.giveBack();
            loan.leave();
            if (self.blocks.swap(false, .acq_rel)) {
                self.is_blocked.set();
                self.goes_on.wait();
                continue;
            }
            var fds = [_]posix.pollfd{.{ .fd = fd, .events = posix.POLL.IN, .revents = 0 }};
            const most: i32 = if (wait.? < 0) patience_ms else @min(wait.?, patience_ms);
            _ = posix.poll(&fds, most) catch return;
        }
    }
};

const Client = struct {
    stream: std.net.Stream,

    fn open(engine: *const Engine) !Client {
        const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, engine.address().port);
        const stream = try std.net.tcpConnectToAddress(address);
        errdefer stream.close();
        const limit: posix.timeval = .{ .sec = patience_ms / 1000, .usec = 0 };
        const option = posix.SO.RCVTIMEO;
        try posix.setsockopt(stream.handle, posix.SOL.SOCKET, option, std.mem.asBytes(&limit));
        return .{ .stream = stream };
    }

    /// The thread that has answered.
    fn ask(self: Client) !std.Thread.Id {
        try self.stream.writeAll("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        return self.answer();
    }

    fn answer(self: Client) !std.Thread.Id {
        var buffer: [1024]u8 = undefined;
        var len: usize = 0;
        while (true) {
            if (std.mem.indexOf(u8, buffer[0..len], "\r\n\r\n")) |head| {
                const body = buffer[head + 4 .. len];
                if (body.len == 20) return std.fmt.parseInt(std.Thread.Id, body, 10);
            }
            const count = try self.stream.read(buffer[len..]);
            if (count == 0) return error.Closed;
            len += count;
        }
    }
};

const Bench = struct {
    config: Config,
    app: App = .{},
    dispatcher: Dispatcher = undefined,
    engine: Engine = undefined,
    level: log.Level,

    fn init(self: *Bench, workers: u32) !void {
        self.* = .{
            .level = log.setThreadLevel(.silent),
            .config = .{
                .hostname = "127.0.0.1",
                .port = 0,
                .workers = workers,
                .connections_max = 8,
                .buffer_memory_bytes = 8 * 1024 * 1024,
                .log = .silent,
            },
        };
        self.dispatcher = .{ .handler = &self.app };
        var defect: Defect = .{};
        self.engine = try Engine.initLending(
            testing.allocator,
            &self.config,
            &self.dispatcher,
            &defect,
        );
        errdefer self.engine.deinit();
        try self.engine.startLending();
    }

    /// Stops what still runs.
    fn deinit(self: *Bench) void {
        self.engine.requestStop(0);
        self.engine.join();
        self.engine.deinit();
        _ = log.setThreadLevel(self.level);
    }
};

test "lent workers serve in their loops, and on their own threads before and after that" {
    var bench: Bench = undefined;
    try bench.init(2);
    defer bench.deinit();
    const engine = &bench.engine;
    var clients: [2]Client = undefined;
    for (&clients) |*client| client.* = try Client.open(engine); // in turn
    defer for (clients) |client| client.stream.close();
    var own: [2]std.Thread.Id = undefined;
    for (clients, &own) |client, *id| id.* = try client.ask();
    try testing.expect(own[0] != own[1]);
    try testing.expectEqual(0, engine.countLent());
    for (0..2) |_| {
        var loops = [2]Loop{
            .{ .engine = engine, .worker = 0 },
            .{ .engine = engine, .worker = 1 },
        };
        for (&loops) |*loop| try loop.start();
        try testing.expectEqual(2, engine.countLent());
        for (clients, &loops) |client, *loop| {
            for (0..5) |_| try testing.expectEqual(loop.id.load(.acquire), try client.ask());
        }
        for (&loops) |*loop| {
            loop.tell(&loop.leaves);
            loop.thread.join();
            try testing.expectEqual(.lent, loop.outcome.?);
        }
        for (clients, own) |client, id| try testing.expectEqual(id, try client.ask());
        try testing.expectEqual(0, engine.countLent());
    }
    try testing.expectEqual(0, engine.stats().allocations_after_start);
}

test "a loop that blocks holds up its own worker's connections, which go on with it" {
    var bench: Bench = undefined;
    try bench.init(2);
    defer bench.deinit();
    const engine = &bench.engine;
    var loop: Loop = .{ .engine = engine, .worker = 0 };
    try loop.start();
    const first = try Client.open(engine);
    defer first.stream.close();
    const second = try Client.open(engine);
    defer second.stream.close();
    try testing.expectEqual(loop.id.load(.acquire), try first.ask());
    loop.tell(&loop.blocks);
    try loop.is_blocked.timedWait(patience_ms * std.time.ns_per_ms);
    try first.stream.writeAll("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (0..5) |_| try testing.expect(try second.ask() != loop.id.load(.acquire));
    try testing.expectEqual(1, engine.countLent());
    loop.goes_on.set();
    try testing.expectEqual(loop.id.load(.acquire), try first.answer());
    loop.tell(&loop.leaves);
    loop.thread.join();
}

/// Has lent workers look, over and over, from a thread that has none.
const Nag = struct {
    engine: *Engine,
    stops: std.atomic.Value(bool) = .init(false),

    fn run(self: *Nag) void {
        while (!self.stops.load(.acquire)) {
            self.engine.hurryLent();
            _ = self.engine.countLent();
        }
    }
};

test "others have words with workers while these serve, and come to loops and leave them" {
    var bench: Bench = undefined;
    try bench.init(2);
    defer bench.deinit();
    const engine = &bench.engine;
    var clients: [2]Client = undefined;
    for (&clients) |*client| client.* = try Client.open(engine);
    defer for (clients) |client| client.stream.close();
    var nag: Nag = .{ .engine = engine };
    const nagging = try system.spawn(Nag.run, .{&nag});
    defer nagging.join();
    defer nag.stops.store(true, .release);
    for (0..20) |_| {
        var loops = [2]Loop{
            .{ .engine = engine, .worker = 0 },
            .{ .engine = engine, .worker = 1 },
        };
        for (&loops) |*loop| try loop.start();
        for (0..10) |_| for (clients, &loops) |client, *loop|
            try testing.expectEqual(loop.id.load(.acquire), try client.ask());
        for (&loops) |*loop| loop.tell(&loop.leaves);
        for (&loops) |*loop| loop.thread.join();
        for (clients) |client| _ = try client.ask();
    }
    try testing.expectEqual(0, engine.countLent());
}

test "a stop takes back what a loop that is blocked has, when its time is over" {
    var bench: Bench = undefined;
    try bench.init(1);
    const engine = &bench.engine;
    var loop: Loop = .{ .engine = engine, .worker = 0 };
    try loop.start();
    const client = try Client.open(engine);
    defer client.stream.close();
    _ = try client.ask();
    try client.stream.writeAll("GET / HTTP/1.1\r\nHo");
    loop.tell(&loop.blocks);
    try loop.is_blocked.timedWait(patience_ms * std.time.ns_per_ms);
    const loan = engine.loan(0).retain();
    defer loan.release();
    engine.requestStop(patience_ms);
    engine.requestStop(20); // which counts
    engine.join();
    try testing.expect(engine.isStopped());
    try testing.expectError(error.Closed, client.answer());
    var late: Loop = .{ .engine = engine, .worker = 0 };
    try testing.expectEqual(.ended, loan.borrow(&late, &late));
    loop.goes_on.set();
    loop.thread.join(); // it finds out
    bench.deinit();
}

test "a stop ends in the loops, before its time is over" {
    var bench: Bench = undefined;
    try bench.init(2);
    const engine = &bench.engine;
    var loops = [2]Loop{ .{ .engine = engine, .worker = 0 }, .{ .engine = engine, .worker = 1 } };
    for (&loops) |*loop| try loop.start();
    const client = try Client.open(engine);
    defer client.stream.close();
    _ = try client.ask();
    engine.requestStop(10 * patience_ms);
    for (&loops) |*loop| loop.thread.join();
    engine.join();
    try testing.expectError(error.Closed, client.answer());
    bench.deinit();
}

/// A worker's thread that has it back sleeps, and its flag says so.
fn sleeps(engine: *const Engine) bool {
    return !engine.loan(0).isLent() and
        @atomicLoad(u32, engine.impl.ports[0].asleep, .seq_cst) == 1;
}

test "who has taken down the flag of a worker that was taken back wakes it: a stop is over" {
    var bench: Bench = undefined;
    try bench.init(1);
    const engine = &bench.engine;
    var loop: Loop = .{ .engine = engine, .worker = 0 };
    try loop.start();
    loop.tell(&loop.blocks);
    try loop.is_blocked.timedWait(patience_ms * std.time.ns_per_ms);
    // As in the wait for another server: the end of the time is there, and the worker not told.
    engine.impl.acceptor.stop_deadline_ms.store(1, .seq_cst);
    engine.loan(0).remind();
    for (0..patience_ms) |_| {
        if (sleeps(engine)) break;
        system.sleepMs(1);
    } else return error.StillAwake;
    // The loop publishes as a lane does (bridge/lane.zig): the wake is its own to do from here on.
    const asleep = engine.impl.ports[0].asleep;
    try testing.expectEqual(1, @atomicRmw(u32, asleep, .Xchg, 0, .seq_cst));
    try testing.expect(!engine.loan(0).enter(&loop));
    engine.loan(0).wake(&loop);
    for (0..patience_ms) |_| {
        if (sleeps(engine)) break;
        system.sleepMs(1);
    } else return error.NotWoken;
    engine.impl.acceptor.wake(); // nobody has yet
    loop.goes_on.set();
    loop.thread.join();
    bench.deinit();
}

test "descriptors are counted for who waits for a worker in a loop" {
    const Impl = std.meta.Child(@FieldType(Engine, "impl"));
    const own = Impl.descriptorsNeeded(.epoll, 3, false);
    try testing.expectEqual(own + 3, Impl.descriptorsNeeded(.epoll, 3, true));
}

test "workers that change threads are on no ring of io_uring" {
    const before = log.setThreadLevel(.silent);
    defer _ = log.setThreadLevel(before);
    const config: Config = .{
        .hostname = "127.0.0.1",
        .port = 0,
        .workers = 2,
        .connections_max = 8,
        .buffer_memory_bytes = 8 * 1024 * 1024,
        .log = .silent,
        .io = .io_uring,
    };
    var app: App = .{};
    var dispatcher: Dispatcher = .{ .handler = &app };
    var defect: Defect = .{};
    var engine = try Engine.initLending(testing.allocator, &config, &dispatcher, &defect);
    defer engine.deinit();
    try testing.expectEqualStrings("epoll", engine.backendName());
}
