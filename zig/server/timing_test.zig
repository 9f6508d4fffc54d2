//! How long a connection may take for what, with the defaults, in virtual time.

const std = @import("std");
const testing = std.testing;
const log = @import("../core/log.zig");
const problem = @import("../http/problem.zig");
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const Manual = @import("../io/manual.zig").Manual;
const Port = @import("../net/port.zig").Port;
const Config = @import("config.zig").Config;
const Driver = @import("driver.zig").Driver;
const HandlerDispatcher = @import("handler.zig").HandlerDispatcher;

const large = [_]u8{'l'} ** (1 << 20);

/// /large is static; anything else is told its length.
const App = struct {
    last_error: ?problem.Code = null,

    pub fn init() App {
        return .{};
    }
    pub fn deinit(_: *App) void {}
    pub fn handleRequest(_: *App, req: *Request, res: *Response) !void {
        if (std.mem.eql(u8, req.path, "/large")) return res.sendStatic(&large);
        try res.print("{d}\n", .{req.body.len});
    }
    pub fn onProtocolError(self: *App, err: *const problem.ProtocolError) void {
        self.last_error = err.code;
    }
};

const second = 1000;
/// A timer is up to two ticks of 50 ms late.
const late_ms = 150;

/// A worker with one connection, and the time at which it was opened.
const Bench = struct {
    config: Config = .{ .buffer_memory_bytes = 1 << 24, .connection_memory_bytes_max = 1 << 24 },
    asleep: u32 = 0,
    port: Port,
    app: App = .{},
    dispatcher: HandlerDispatcher(App),
    driver: Driver(Manual, HandlerDispatcher(App), void, void),
    since_ms: u64,

    /// `self` must stay where it is.
    fn begin(self: *Bench) !void {
        log.setLevel(.silent);
        Manual.clock_ms = 1_000_000;
        self.* = .{
            .port = .{ .capacity = 1, .asleep = &self.asleep },
            .dispatcher = .{ .handler = &self.app },
            .driver = undefined,
            .since_ms = Manual.clock_ms,
        };
        const dispatcher = &self.dispatcher;
        const gpa = testing.allocator;
        try self.driver.init(gpa, &self.config, .epoll, &self.port, dispatcher, 0);
        self.driver.net.begin();
        _ = self.port.open.fetchAdd(1, .seq_cst);
        try testing.expect(self.port.accepted.push(.{ .fd = 5, .peer = .{} }));
        self.driver.net.turn(0);
        try testing.expect(self.backend().is_open);
    }

    fn end(self: *Bench) !void {
        if (self.backend().is_open) {
            self.driver.net.onRecv(self.backend().token, .failed);
            self.driver.net.turn(0);
        }
        try testing.expectEqual(@as(u64, 0), self.driver.net.pools.buffers.bytes_used);
        try testing.expectEqual(@as(u32, 0), self.driver.exchanges.used());
        self.driver.deinit(testing.allocator);
    }

    fn backend(self: *Bench) *Manual {
        return &self.driver.net.backend;
    }

    /// The time of what comes next counts from here.
    fn mark(self: *Bench) void {
        self.since_ms = Manual.clock_ms;
    }

    fn passedMs(self: *const Bench) u64 {
        return Manual.clock_ms - self.since_ms;
    }

    fn pass(self: *Bench, ms: u64) void {
        Manual.clock_ms += ms;
        self.driver.net.turn(0);
    }

    /// Gives `bytes` to the connection, if it is open.
    fn feed(self: *Bench, bytes: []const u8) void {
        if (!self.isServed()) return;
        var buffer: [65536]u8 = undefined;
        @memcpy(buffer[0..bytes.len], bytes);
        self.driver.net.onAwake();
        self.driver.net.onRecv(self.backend().token, .{ .bytes = buffer[0..bytes.len] });
        self.driver.net.turn(0);
    }

    /// Open, and not closing behind a refusal.
    fn isServed(self: *Bench) bool {
        if (!self.backend().is_open) return false;
        const conn = self.driver.net.conns.get(self.backend().token.id()).?;
        return conn.phase == .open and !conn.finish_when_sent;
    }

    /// Sends `piece` every `every_ms` until the connection ends; that must be after so long.
    fn expectEndAfter(self: *Bench, ms: u64, piece: []const u8, every_ms: u64) !void {
        while (self.isServed() and self.passedMs() <= ms + late_ms) {
            self.pass(10);
            if (piece.len > 0 and self.passedMs() % every_ms == 0) self.feed(piece);
        }
        try testing.expect(!self.isServed());
        if (self.passedMs() >= ms and self.passedMs() <= ms + late_ms) return;
        std.debug.print("after {d} ms, not {d}\n", .{ self.passedMs(), ms });
        return error.AtAnotherTime;
    }

    fn expectError(self: *Bench, code: ?problem.Code) !void {
        try testing.expectEqual(code, self.app.last_error);
    }
};

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const get_large = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
const post_chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

test "a connection on which nothing comes is closed after ten seconds" {
    var bench: Bench = undefined;
    try bench.begin();
    try bench.expectEndAfter(10 * second, "", 1);
    try bench.expectError(null);
    try testing.expectEqual(@as(usize, 0), bench.backend().sent.len);
    try bench.end();
}

test "a head has ten seconds from its first byte, however many follow" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.pass(9 * second);
    bench.feed("GET /");
    bench.mark();
    try bench.expectEndAfter(10 * second, "x", 100);
    try bench.expectError(.header_timeout);
    try bench.end();
}

test "empty lines have ten seconds, and no answer" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.feed("\r\n");
    try bench.expectEndAfter(10 * second, "", 1);
    try bench.expectError(null);
    try bench.end();
    // Between requests too.
    try bench.begin();
    bench.feed(get);
    bench.backend().sent.clear();
    bench.pass(4 * second);
    bench.feed("\r\n\r");
    bench.mark();
    try bench.expectEndAfter(10 * second, "", 1);
    try bench.expectError(null);
    try testing.expectEqual(@as(usize, 0), bench.backend().sent.len);
    try bench.end();
}

test "between requests a connection has the five seconds that clients are told, and one more" {
    var bench: Bench = undefined;
    try bench.begin();
    for (0..3) |_| {
        bench.pass(5900);
        bench.feed(get);
    }
    const before = bench.backend().sent.constSlice();
    try testing.expect(std.mem.indexOf(u8, before, "Keep-Alive") == null);
    bench.backend().sent.clear();
    bench.pass(5900);
    bench.feed("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    const sent = bench.backend().sent.constSlice();
    try testing.expect(std.mem.indexOf(u8, sent, "\r\nKeep-Alive: timeout=5\r\n") != null);
    bench.backend().in_flight = 0; // its client has it
    bench.mark();
    try bench.expectEndAfter(6 * second, "", 1);
    try bench.expectError(null);
    try bench.end();
}

test "a client that still reads its response is not idle, one that does not is" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.feed(get_large); // all of it is with the system at once
    for (0..20) |_| {
        bench.pass(5900);
        try testing.expect(bench.isServed());
        bench.backend().in_flight -= 50_000;
    }
    bench.mark();
    while (bench.isServed() and bench.passedMs() < 20 * second) bench.pass(10);
    try testing.expect(!bench.isServed());
    try testing.expect(bench.passedMs() >= 6 * second);
    try bench.expectError(null);
    try bench.end();
}

test "a body of which nothing comes has five seconds" {
    for ([_][]const u8{ post, post_chunked }) |head| {
        var bench: Bench = undefined;
        try bench.begin();
        bench.feed(head);
        try bench.expectEndAfter(5 * second, "", 1);
        try bench.expectError(.body_too_slow);
        try bench.end();
    }
}

test "a body that came fast may rest for thirty seconds" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.feed(post);
    for (0..20) |_| bench.feed(&([_]u8{'x'} ** 40_000));
    bench.mark();
    try bench.expectEndAfter(30 * second, "", 1);
    try bench.expectError(.body_timeout);
    try bench.end();
}

test "after a burst a body that trickles has thirty seconds as well" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.feed(post);
    for (0..20) |_| bench.feed(&([_]u8{'x'} ** 40_000));
    bench.mark();
    try bench.expectEndAfter(30 * second, "x", 10 * second);
    try bench.expectError(.body_too_slow);
    try bench.end();
}

test "a body at the rate is read for an hour, and one below it is not" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.feed(post);
    for (0..3600) |_| {
        bench.pass(1000);
        bench.feed("x" ** 240);
    }
    try testing.expect(bench.isServed());
    bench.mark();
    // At half of it the grace lasts twice as long, and what is ahead is used up too.
    try bench.expectEndAfter(10 * second, "x" ** 12, 100);
    try bench.expectError(.body_too_slow);
    try bench.end();
}

test "framing that trickles does not keep a body" {
    for ([_][2][]const u8{
        .{ "1;", "e" },
        .{ "0\r\n", "x" },
        .{ "0\r\nX: ", "v" },
        .{ "5\r\nab", "" },
    }) |parts| {
        var bench: Bench = undefined;
        try bench.begin();
        bench.feed(post_chunked);
        bench.feed(parts[0]);
        while (bench.isServed() and bench.passedMs() < 10 * second) {
            bench.pass(100);
            if (bench.passedMs() % second == 0) bench.feed(parts[1]);
        }
        try bench.expectError(.body_too_slow);
        try bench.end();
    }
}

test "a body is bounded while a response waits for its client" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.config.output_high_water_bytes = 1 << 24; // so that the next request is read
    bench.driver.rates.write.bytes_per_s = 0; // its deadline is another
    bench.backend().room = 1000;
    bench.feed(get_large);
    bench.feed(post);
    bench.mark();
    while (bench.isServed() and bench.passedMs() < 20 * second) {
        bench.pass(100);
        bench.backend().in_flight -|= 100; // its client reads
        if (bench.backend().in_flight == 0) {
            bench.backend().room = 100_000;
            bench.driver.net.onSent(bench.backend().token, 0);
        }
    }
    try bench.expectError(.body_too_slow);
    try testing.expect(bench.passedMs() <= 5 * second + late_ms);
    try bench.end();
}

test "a body timed out while its 100 (Continue) waited behind an earlier response" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.config.output_high_water_bytes = 1 << 24; // so that the next request is read
    bench.backend().room = 1000;
    bench.feed(get_large);
    bench.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n" ++
        "Expect: 100-continue\r\n\r\n");
    const conn = bench.driver.net.conns.get(bench.backend().token.id()).?;
    while (bench.isServed() and !conn.queue.isEmpty()) {
        bench.pass(100);
        bench.backend().in_flight = 0; // its client reads, for twenty seconds
        bench.backend().room = 5_000;
        bench.driver.net.onSent(bench.backend().token, 0);
    }
    try bench.expectError(null);
    try testing.expect(bench.passedMs() > 15 * second);
    bench.mark();
    // From here on it is the client's turn.
    try bench.expectEndAfter(5 * second, "", 1);
    try bench.expectError(.body_too_slow);
    try bench.end();
}

test "a client that takes nothing of its response has five seconds" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.backend().room = 100_000;
    bench.feed(get_large);
    try bench.expectEndAfter(5 * second, "", 1);
    try bench.expectError(.response_too_slow);
    try bench.end();
}

test "a client that took much of its response may rest for thirty seconds" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.backend().room = 500_000;
    bench.feed(get_large);
    bench.pass(4 * second);
    bench.backend().in_flight = 100_000;
    bench.pass(1100); // the engine has looked
    bench.mark();
    while (bench.isServed() and bench.passedMs() < 40 * second) bench.pass(10);
    try testing.expect(bench.passedMs() >= 29 * second and bench.passedMs() <= 31 * second);
    try bench.expectError(.write_timeout);
    try bench.end();
}

test "a client at the rate is served for an hour, though its socket takes nothing in between" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.backend().room = 10_000;
    bench.backend().in_flight = 3_000_000; // of earlier responses
    bench.feed(get_large);
    for (0..3600) |_| {
        bench.backend().in_flight -= 240;
        bench.pass(1000);
        try testing.expect(bench.isServed());
    }
    bench.mark();
    while (bench.isServed() and bench.passedMs() < 20 * second) {
        bench.backend().in_flight -= 100;
        bench.pass(1000);
    }
    try bench.expectError(.response_too_slow);
    try testing.expect(bench.passedMs() >= 5 * second and bench.passedMs() <= 12 * second);
    try bench.end();
}

test "with the rates off the timeouts are what holds" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.driver.rates.body.bytes_per_s = 0;
    bench.driver.rates.write.bytes_per_s = 0;
    bench.feed(post);
    bench.pass(29 * second);
    bench.feed("x");
    bench.mark();
    try bench.expectEndAfter(30 * second, "", 1);
    try bench.expectError(.body_timeout);
    try bench.end();
    try bench.begin();
    bench.driver.rates.write.bytes_per_s = 0;
    bench.backend().room = 1000;
    bench.feed(get_large);
    try bench.expectEndAfter(30 * second, "", 1);
    try bench.expectError(.write_timeout);
    try bench.end();
}
