//! Clients that have ended their own side: they may still read, or be gone. What they are given,
//! and for how long, in virtual time.

const std = @import("std");
const testing = std.testing;
const log = @import("../core/log.zig");
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const Manual = @import("../io/manual.zig").Manual;
const Port = @import("../net/port.zig").Port;
const Config = @import("config.zig").Config;
const Driver = @import("driver.zig").Driver;
const exchange = @import("exchange.zig");

/// Every request waits for the test; of a body it takes as many bytes as the test allows.
const Script = struct {
    waiting: std.BoundedArray(exchange.ExchangeId, 8) = .{},
    takes: usize = std.math.maxInt(usize),
    aborts: u32 = 0,
    eofs: u32 = 0,

    pub const WorkerState = struct {};
    pub const ExchangeState = struct {};

    pub fn workerStart(_: *Script, _: anytype) error{}!void {}
    pub fn workerStop(_: *Script, _: anytype) void {}
    pub fn onSent(_: *Script, _: anytype, _: anytype, _: u64) void {}
    pub fn onAbort(self: *Script, _: anytype, _: anytype) void {
        self.aborts += 1;
    }
    pub fn onEof(self: *Script, _: anytype, _: anytype) void {
        self.eofs += 1;
    }
    pub fn onTurn(_: *Script, _: anytype) void {}
    pub fn hasWork(_: *Script, _: anytype) bool {
        return false;
    }
    pub fn onBody(self: *Script, _: anytype, _: anytype, bytes: []const u8, _: bool) usize {
        const taken = @min(bytes.len, self.takes);
        self.takes -= taken;
        return taken;
    }
    pub fn onRequest(
        self: *Script,
        _: anytype,
        ex: anytype,
        _: *Request,
        _: *Response,
    ) exchange.Action {
        self.waiting.appendAssumeCapacity(ex.id);
        return .pending;
    }
};

const second = 1000;
/// A timer is up to two ticks of 50 ms late.
const late_ms = 150;

/// A worker with one connection.
const Bench = struct {
    config: Config = .{ .buffer_memory_bytes = 1 << 24, .connection_memory_bytes_max = 1 << 24 },
    asleep: u32 = 0,
    port: Port,
    script: Script = .{},
    driver: Driver(Manual, Script, void, void),
    since_ms: u64,

    /// `self` must stay where it is.
    fn begin(self: *Bench) !void {
        log.setLevel(.silent);
        Manual.clock_ms = 1_000_000;
        self.* = .{
            .port = .{ .capacity = 1, .asleep = &self.asleep },
            .driver = undefined,
            .since_ms = Manual.clock_ms,
        };
        try self.driver.init(testing.allocator, &self.config, .epoll, &self.port, &self.script, 0);
        self.driver.net.begin();
        _ = self.port.open.fetchAdd(1, .seq_cst);
        try testing.expect(self.port.accepted.push(.{ .fd = 5, .peer = .{} }));
        self.driver.net.turn(0);
    }

    fn end(self: *Bench) !void {
        if (self.isOpen()) self.driver.net.onRecv(self.backend().token, .failed);
        self.driver.net.turn(0);
        try testing.expectEqual(@as(u64, 0), self.driver.net.pools.buffers.bytes_used);
        try testing.expectEqual(@as(u32, 0), self.driver.exchanges.used());
        self.driver.deinit(testing.allocator);
    }

    fn backend(self: *Bench) *Manual {
        return &self.driver.net.backend;
    }

    fn isOpen(self: *Bench) bool {
        return self.backend().is_open;
    }

    fn feed(self: *Bench, bytes: []const u8) void {
        var buffer: [1024]u8 = undefined;
        @memcpy(buffer[0..bytes.len], bytes);
        self.driver.net.onAwake();
        self.driver.net.onRecv(self.backend().token, .{ .bytes = buffer[0..bytes.len] });
        self.driver.net.turn(0);
    }

    /// The client ends its side; the backend sees that as it does.
    fn finish(self: *Bench) void {
        self.driver.net.onAwake();
        const is_read = self.backend().wants_recv;
        self.driver.net.onRecv(self.backend().token, if (is_read) .eof else .eof_ahead);
        self.driver.net.turn(0);
        self.mark();
    }

    fn exchangeAt(self: *Bench, index: usize) @TypeOf(self.driver.exchangeById(undefined).?) {
        return self.driver.exchangeById(self.script.waiting.get(index)).?;
    }

    /// Request number `index` is answered with the head of a stream.
    fn beginStream(self: *Bench, index: usize) void {
        self.driver.beginStream(self.exchangeAt(index), self.driver.response(), null);
        self.driver.net.turn(0);
        self.backend().in_flight = 0; // its client reads at once
    }

    fn stream(self: *Bench, index: usize, bytes: []const u8) void {
        self.driver.streamBody(self.exchangeAt(index), bytes, false);
        self.driver.net.turn(0);
        self.backend().in_flight = 0;
    }

    fn answer(self: *Bench, index: usize) void {
        self.driver.respond(self.exchangeAt(index), self.driver.response());
        self.driver.net.turn(0);
        self.backend().in_flight = 0;
    }

    fn drain(self: *Bench) void {
        self.port.drain_deadline_ms.store(Manual.clock_ms + 60 * second, .seq_cst);
        self.driver.net.turn(0);
        self.mark();
    }

    fn mark(self: *Bench) void {
        self.since_ms = Manual.clock_ms;
    }

    fn pass(self: *Bench, ms: u64) void {
        const until = Manual.clock_ms + ms;
        while (Manual.clock_ms < until) {
            Manual.clock_ms += @min(10, until - Manual.clock_ms);
            self.driver.net.turn(0);
        }
    }

    fn expectEndAfter(self: *Bench, ms: u64) !void {
        while (self.isOpen() and Manual.clock_ms - self.since_ms <= ms + late_ms) self.pass(10);
        const passed = Manual.clock_ms - self.since_ms;
        if (!self.isOpen() and passed >= ms and passed <= ms + late_ms) return;
        const how = if (self.isOpen()) "open" else "ended";
        std.debug.print("{s} after {d} ms, not {d}\n", .{ how, passed, ms });
        return error.AtAnotherTime;
    }

    fn expectOpenFor(self: *Bench, ms: u64) !void {
        self.pass(ms);
        try testing.expect(self.isOpen());
    }
};

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n";

test "a stream that is silent ends five seconds after its client has ended its side" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.feed(get);
    bench.beginStream(0);
    try bench.expectOpenFor(60 * second); // a client that has not may wait for ever
    bench.finish();
    try testing.expectEqual(@as(u32, 1), bench.script.eofs);
    try testing.expectEqual(@as(u32, 0), bench.script.aborts);
    try bench.expectEndAfter(5 * second);
    try testing.expectEqual(@as(u32, 1), bench.script.aborts);
    try bench.end();
}

test "a stream that sends something now and then goes on for its half-closed client" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.feed(get);
    bench.beginStream(0);
    bench.finish();
    for (0..20) |_| {
        try bench.expectOpenFor(4900);
        bench.stream(0, "tick");
    }
    bench.mark();
    try bench.expectEndAfter(5 * second);
    try bench.end();
}

test "a handler that has not answered keeps its chance, and what it then streams has its time" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.feed(get);
    bench.finish();
    try testing.expectEqual(@as(u32, 1), bench.script.eofs);
    try bench.expectOpenFor(3600 * second);
    bench.beginStream(0);
    bench.mark();
    try bench.expectEndAfter(5 * second);
    try bench.end();
}

test "a half-closed client gets a whole response that comes late" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.feed(get);
    bench.finish();
    try bench.expectOpenFor(60 * second);
    bench.answer(0);
    try testing.expect(std.mem.startsWith(u8, bench.backend().sent.constSlice(), "HTTP/1.1 200"));
    try testing.expect(!bench.isOpen());
    try bench.end();
}

test "with no such timeout a silent stream goes on" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.config.half_close_timeout_ms = 0;
    bench.feed(get);
    bench.beginStream(0);
    bench.finish();
    try bench.expectOpenFor(3600 * second);
    bench.drain();
    try bench.expectOpenFor(50 * second); // as any other that is under way
    try bench.end();
}

test "unsent bytes of a stream are bounded by the write timeout, and its pause begins behind them" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.driver.rates.write.bytes_per_s = 0;
    bench.feed(get);
    bench.beginStream(0);
    bench.backend().room = 10;
    bench.driver.streamBody(bench.exchangeAt(0), "x" ** 1000, false);
    bench.driver.net.turn(0);
    bench.finish();
    try bench.expectOpenFor(20 * second);
    bench.backend().room = std.math.maxInt(usize);
    bench.driver.net.onSent(bench.backend().token, 0);
    bench.backend().in_flight = 0;
    bench.mark();
    try bench.expectEndAfter(5 * second);
    try bench.end();
    // And one that takes nothing.
    try bench.begin();
    bench.driver.rates.write.bytes_per_s = 0;
    bench.feed(get);
    bench.beginStream(0);
    bench.backend().room = 10;
    bench.driver.streamBody(bench.exchangeAt(0), "x" ** 1000, false);
    bench.driver.net.turn(0);
    bench.finish();
    try bench.expectEndAfter(30 * second);
    try bench.end();
}

test "what is in flight of a stream is awaited while its client takes some of it" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.feed(get);
    bench.beginStream(0);
    bench.stream(0, "x" ** 1000);
    bench.backend().in_flight = 1000;
    bench.finish();
    for (0..9) |_| {
        try bench.expectOpenFor(29 * second);
        bench.backend().in_flight -= 100;
    }
    bench.mark();
    while (bench.isOpen() and Manual.clock_ms - bench.since_ms <= 62 * second) bench.pass(10);
    try testing.expect(!bench.isOpen());
    // Two looks, each a write timeout apart, have found the same.
    const passed = Manual.clock_ms - bench.since_ms;
    try testing.expect(passed >= 30 * second);
    try bench.end();
}

test "a stop ends silent streams of half-closed clients at once, and no others" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.feed(get);
    bench.beginStream(0);
    bench.finish();
    try bench.expectOpenFor(second);
    bench.drain();
    try bench.expectEndAfter(0);
    try testing.expectEqual(@as(u32, 1), bench.script.aborts);
    try bench.end();
    // The client ends its side after the stop.
    try bench.begin();
    bench.feed(get);
    bench.beginStream(0);
    bench.drain();
    try bench.expectOpenFor(10 * second);
    bench.finish();
    try bench.expectEndAfter(500);
    try bench.end();
    // Something comes every now and then.
    try bench.begin();
    bench.feed(get);
    bench.beginStream(0);
    bench.finish();
    bench.drain();
    for (0..10) |_| {
        try bench.expectOpenFor(400);
        bench.stream(0, "tick");
    }
    try bench.end();
    // The handler has not answered.
    try bench.begin();
    bench.feed(get);
    bench.finish();
    bench.drain();
    try bench.expectOpenFor(50 * second);
    bench.answer(0);
    try testing.expect(!bench.isOpen());
    try bench.end();
}

test "the end of a client whose upload is not read is told, and its silent stream ends" {
    for ([_]bool{ false, true }) |streams| {
        var bench: Bench = undefined;
        try bench.begin();
        bench.script.takes = 10;
        bench.feed(post ++ "x" ** 100);
        try testing.expect(!bench.backend().wants_recv);
        if (streams) bench.beginStream(0);
        try bench.expectOpenFor(60 * second);
        bench.finish();
        try testing.expectEqual(@as(u32, 1), bench.script.eofs);
        if (streams) {
            try bench.expectEndAfter(5 * second);
        } else {
            try bench.expectOpenFor(3600 * second);
            // It reads on after all, and finds that the rest does not come.
            bench.script.takes = 1000;
            bench.driver.resumeBody(bench.exchangeAt(0));
            try testing.expect(bench.backend().wants_recv);
            bench.finish();
            try testing.expect(!bench.isOpen());
        }
        try testing.expectEqual(@as(u32, 1), bench.script.aborts);
        try testing.expectEqual(@as(u32, 1), bench.script.eofs);
        try bench.end();
    }
}

test "a handler that reads a half-closed client's upload slowly is at work" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.script.takes = 10;
    bench.feed(post ++ "x" ** 500);
    bench.beginStream(0);
    bench.finish();
    for (0..20) |_| {
        try bench.expectOpenFor(4900);
        bench.script.takes = 10;
        bench.driver.resumeBody(bench.exchangeAt(0));
    }
    bench.mark();
    try bench.expectEndAfter(5 * second);
    try bench.end();
}

test "a stream ends too where a request waits behind it, unread" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.config.pipeline_depth_max = 1;
    bench.feed(get ++ get);
    try testing.expect(!bench.backend().wants_recv);
    bench.beginStream(0);
    bench.finish();
    try testing.expectEqual(@as(usize, 1), bench.script.waiting.len);
    try bench.expectEndAfter(5 * second);
    try bench.end();
}

test "of pipelined responses the first decides" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.feed(get ++ get);
    bench.beginStream(1);
    bench.finish();
    try testing.expectEqual(@as(u32, 2), bench.script.eofs);
    try bench.expectOpenFor(60 * second); // its handler has not answered
    bench.answer(0);
    bench.mark();
    try bench.expectEndAfter(5 * second);
    try bench.end();
}
