//! An engine whose worker has no thread, in a loop of others: here poll(2), where libuv is in
//! Node.js (bridge/inline.zig).

const std = @import("std");
const posix = std.posix;
const testing = std.testing;
const log = @import("../core/log.zig");
const Defect = @import("../core/defect.zig").Defect;
const system = @import("../core/system.zig");
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const io = @import("../io/io.zig");
const choose = @import("../io/choose.zig");
const Native = @import("../io/native.zig").Native;
const Config = @import("config.zig").Config;
const Engine = @import("engine.zig").Engine(Dispatcher, void, void);
const Dispatcher = @import("handler.zig").HandlerDispatcher(App);

const App = struct {
    pub fn init() App {
        return .{};
    }

    pub fn deinit(_: *App) void {}

    pub fn handleRequest(_: *App, _: *Request, res: *Response) !void {
        res.sendStatic("hello");
    }
};

/// No step may be further away than this: the loop waits for the descriptor alone.
const patience_ms = 10_000;

const Loop = struct {
    engine: *Engine,
    turns: u32 = 0,

    /// Runs until the worker has ended.
    fn run(self: *Loop) !void {
        self.engine.turn(0);
        while (self.engine.rest(0)) |wait| {
            var fds = [_]posix.pollfd{.{
                .fd = self.engine.descriptor(0),
                .events = posix.POLL.IN,
                .revents = 0,
            }};
            const most: i32 = if (wait < 0) patience_ms else @min(wait, patience_ms);
            if (try posix.poll(&fds, most) == 0 and wait < 0) return error.NobodyCame;
            self.engine.turn(0);
            self.engine.turnAside(0);
            self.turns += 1;
        }
    }
};

/// Asks on its own thread, on one connection for each round, and has the engine stop then.
const Client = struct {
    engine: *Engine,
    failure: ?anyerror = null,

    fn run(self: *Client) void {
        self.ask() catch |err| {
            self.failure = err;
        };
        self.engine.requestStop(patience_ms);
    }

    fn ask(self: *Client) !void {
        for (0..2) |_| {
            const port = self.engine.address().port;
            const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, port);
            const stream = try std.net.tcpConnectToAddress(address);
            defer stream.close();
            const limit: posix.timeval = .{ .sec = patience_ms / 1000, .usec = 0 };
            const level = posix.SOL.SOCKET;
            try posix.setsockopt(stream.handle, level, posix.SO.RCVTIMEO, std.mem.asBytes(&limit));
            for (0..20) |_| {
                try stream.writeAll("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                var buffer: [1024]u8 = undefined;
                var len: usize = 0;
                while (!std.mem.endsWith(u8, buffer[0..len], "hello")) {
                    const count = try stream.read(buffer[len..]);
                    if (count == 0) return error.Closed;
                    len += count;
                }
            }
            // The worker's own timer closes it.
            var byte: [1]u8 = undefined;
            if (try stream.read(&byte) != 0) return error.NotClosed;
        }
    }
};

/// Of a small server with one worker.
fn smallConfig() Config {
    return .{
        .hostname = "127.0.0.1",
        .port = 0,
        .workers = 1,
        .connections_max = 8,
        .buffer_memory_bytes = 8 * 1024 * 1024,
        .log = .silent,
    };
}

test "a worker without a thread serves from a loop of others, keeps its times, and ends" {
    const before = log.setThreadLevel(.silent);
    defer _ = log.setThreadLevel(before);
    for ([_]io.Kind{ .epoll, .io_uring }) |kind| {
        var config = smallConfig();
        config.io = kind;
        config.idle_timeout_ms = 20;
        var app: App = .{};
        var dispatcher: Dispatcher = .{ .handler = &app };
        var defect: Defect = .{};
        var engine = try Engine.init(testing.allocator, &config, &dispatcher, &defect);
        defer engine.deinit();
        if (!choose.isAvailable(kind)) continue;
        try engine.startDriven();
        var client: Client = .{ .engine = &engine };
        const thread = try system.spawn(Client.run, .{&client});
        var loop: Loop = .{ .engine = &engine };
        const outcome = loop.run();
        thread.join();
        engine.join();
        try outcome;
        try testing.expectEqual(null, client.failure);
        try testing.expectEqual(40, engine.stats().requests_total);
        try testing.expectEqual(0, engine.stats().allocations_after_start);
        try testing.expect(engine.isStopped());
        // It slept in between: so many turns more would be a loop that spins.
        try testing.expect(loop.turns < 1000);
    }
}

/// Those that this process has open.
fn openDescriptors() !u32 {
    var folder = try std.fs.openDirAbsolute("/proc/self/fd", .{ .iterate = true });
    defer folder.close();
    var entries = folder.iterate();
    var count: u32 = 0;
    while (try entries.next()) |_| count += 1;
    return count - 1; // the folder's own
}

test "a worker without a thread opens as many descriptors as connections leave to it" {
    const before = log.setThreadLevel(.silent);
    defer _ = log.setThreadLevel(before);
    for ([_]io.Kind{ .epoll, .io_uring }) |kind| {
        if (!choose.isAvailable(kind)) continue;
        var config = smallConfig();
        config.io = kind;
        var app: App = .{};
        var dispatcher: Dispatcher = .{ .handler = &app };
        var defect: Defect = .{};
        const others = try openDescriptors();
        var engine = try Engine.init(testing.allocator, &config, &dispatcher, &defect);
        defer engine.deinit();
        try engine.startDriven();
        const driven = Native.descriptorsDriven(engine.choice.backend);
        const listeners = 1;
        const own = try openDescriptors() - others - listeners;
        engine.requestStop(0);
        engine.join();
        try testing.expectEqual(2 * Native.descriptors + driven, own);
    }
}

test "a worker without a thread is run to its end by join, whatever is under way" {
    const before = log.setThreadLevel(.silent);
    defer _ = log.setThreadLevel(before);
    const config = smallConfig();
    var app: App = .{};
    var dispatcher: Dispatcher = .{ .handler = &app };
    var defect: Defect = .{};
    var engine = try Engine.init(testing.allocator, &config, &dispatcher, &defect);
    defer engine.deinit();
    try engine.startDriven();
    engine.turn(0);
    const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, engine.address().port);
    const stream = try std.net.tcpConnectToAddress(address);
    defer stream.close();
    try stream.writeAll("GET / HTTP/1.1\r\nHo");
    engine.requestStop(0);
    engine.join();
    try testing.expect(engine.isStopped());
    try testing.expectEqual(null, engine.rest(0));
    engine.turn(0); // does nothing any more
}
