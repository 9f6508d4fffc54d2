//! Exchanges of one turn in an order that the test chooses, on a backend that it moves by hand:
//! what one connection's end does to the others, and what follows an answer that ends it.

const std = @import("std");
const testing = std.testing;
const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const io = @import("../io/io.zig");
const Manual = @import("../io/manual.zig").Manual;
const Port = @import("../net/port.zig").Port;
const Config = @import("config.zig").Config;
const Driver = @import("driver.zig").Driver;
const exchange = @import("exchange.zig");

/// /wait and what has a body wait for the test; /busy finds room once `has_room` is set; anything
/// is answered at once then.
const Script = struct {
    has_room: bool = false,
    /// In the next turn these are answered, and then the busy ones are offered again.
    to_answer: std.BoundedArray(exchange.ExchangeId, 4) = .{},
    closes: bool = false,
    waiting: std.BoundedArray(exchange.ExchangeId, 8) = .{},
    answered_at_once: u32 = 0,
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
    pub fn hasWork(self: *Script, _: anytype) bool {
        return self.to_answer.len > 0;
    }
    pub fn onBody(_: *Script, _: anytype, _: anytype, bytes: []const u8, _: bool) usize {
        return bytes.len;
    }

    pub fn onRequest(
        self: *Script,
        _: anytype,
        ex: anytype,
        req: *Request,
        res: *Response,
    ) exchange.Action {
        if (std.mem.eql(u8, req.path, "/busy") and !self.has_room) return .busy;
        if (std.mem.eql(u8, req.path, "/wait") or !ex.body_complete) {
            self.waiting.appendAssumeCapacity(ex.id);
            return .pending;
        }
        self.answered_at_once += 1;
        res.sendStatic(if (std.mem.eql(u8, req.path, "/large")) &large else "now");
        return .respond;
    }

    pub fn onTurn(self: *Script, w: anytype) void {
        if (self.to_answer.len == 0) return;
        while (self.to_answer.pop()) |id| {
            const res = w.response();
            res.close = self.closes;
            res.sendStatic("later");
            w.respond(w.exchangeById(id).?, res);
        }
        if (w.hasBusy()) w.retryBusy();
    }
};

const large = [_]u8{'l'} ** (4 * 1024 * 1024);

const Bench = struct {
    config: Config = .{ .buffer_memory_bytes = 1 << 24, .connection_memory_bytes_max = 1 << 24 },
    asleep: u32 = 0,
    port: Port,
    script: Script = .{},
    driver: Driver(Manual, Script, void, void),

    /// `self` must stay where it is.
    fn begin(self: *Bench) !void {
        log.setLevel(.silent);
        Manual.clock_ms = 1_000_000;
        self.* = .{ .port = .{ .capacity = 4, .asleep = &self.asleep }, .driver = undefined };
        const gpa = testing.allocator;
        try self.driver.init(gpa, &self.config, .epoll, &self.port, &self.script, 0);
        self.driver.net.begin();
    }

    /// Ends the connections of `tokens`, which may have ended before.
    fn end(self: *Bench, tokens: []const io.Token) !void {
        for (tokens) |token| {
            if (self.driver.net.stream(token) != null) self.driver.net.onRecv(token, .failed);
        }
        self.driver.net.turn(0);
        try testing.expectEqual(@as(u32, 0), self.driver.net.conns.used);
        try testing.expectEqual(@as(u64, 0), self.driver.net.pools.buffers.bytes_used);
        try testing.expectEqual(@as(u32, 0), self.driver.exchanges.used());
        try testing.expectEqual(@as(u32, 0), self.driver.http1_worker.busy.len);
        self.driver.deinit(testing.allocator);
    }

    /// A new connection's token.
    fn connect(self: *Bench, fd: std.posix.fd_t) !io.Token {
        _ = self.port.open.fetchAdd(1, .seq_cst);
        try testing.expect(self.port.accepted.push(.{ .fd = fd, .peer = .{} }));
        self.driver.net.turn(0);
        return self.driver.net.backend.token;
    }

    fn feed(self: *Bench, token: io.Token, bytes: []const u8) void {
        var buffer: [16 * 1024]u8 = undefined;
        @memcpy(buffer[0..bytes.len], bytes);
        self.driver.net.onAwake();
        self.driver.net.onRecv(token, .{ .bytes = buffer[0..bytes.len] });
        self.driver.net.turn(0);
    }

    /// Answers the waiting request number `index`.
    fn answer(self: *Bench, index: usize) void {
        self.script.to_answer.appendAssumeCapacity(self.script.waiting.get(index));
        self.driver.net.turn(0);
    }
};

inline fn get(comptime path: []const u8) []const u8 {
    return "GET " ++ path ++ " HTTP/1.1\r\nHost: a\r\n\r\n";
}

test "requests that wait for room are offered again although one's connection fails meanwhile" {
    var bench: Bench = undefined;
    try bench.begin();
    const first = try bench.connect(5);
    const second = try bench.connect(6);
    bench.feed(first, get("/busy"));
    bench.feed(second, get("/wait") ++ get("/busy"));
    try testing.expectEqual(@as(u32, 2), bench.driver.http1_worker.busy.len);
    bench.script.has_room = true;
    // The answer to the second is gathered when the first gets its own, and cannot be sent.
    bench.driver.net.backend.broken_fd = 6;
    bench.answer(0);
    try testing.expectEqual(@as(u32, 1), bench.script.answered_at_once);
    try bench.end(&.{ first, second });
}

test "nothing is served behind an answer that ends the connection, also while a body is read" {
    var bench: Bench = undefined;
    try bench.begin();
    const token = try bench.connect(5);
    const head = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    bench.feed(token, get("/wait") ++ get("/wait") ++ head ++ "ab");
    try testing.expectEqual(@as(usize, 3), bench.script.waiting.len);
    bench.script.closes = true;
    bench.answer(1); // it is not the first's turn yet
    bench.feed(token, "cd" ++ get("/now"));
    try testing.expectEqual(@as(u32, 0), bench.script.answered_at_once);
    bench.script.closes = false;
    bench.answer(0);
    const sent = bench.driver.net.backend.sent.constSlice();
    try testing.expectEqual(@as(usize, 2), std.mem.count(u8, sent, "later"));
    try testing.expectEqual(@as(usize, 1), std.mem.count(u8, sent, "Connection: close"));
    try bench.end(&.{token});
}

test "an exchange that was answered before its content has come is nobody's, and ends with that" {
    const head = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    const Rest = enum { comes, is_cut, fails, comes_late };
    for (std.enums.values(Rest)) |rest| {
        var bench: Bench = undefined;
        try bench.begin();
        const token = try bench.connect(5);
        bench.feed(token, head ++ "ab");
        const id = bench.script.waiting.get(0);
        try testing.expect(bench.driver.exchangeById(id) != null);
        bench.answer(0);
        try testing.expect(bench.driver.exchangeById(id) == null);
        try testing.expectEqual(1, bench.driver.exchanges.used());
        switch (rest) {
            .comes => {
                bench.feed(token, "cd" ++ get("/now"));
                try testing.expectEqual(1, bench.script.answered_at_once);
            },
            .is_cut => bench.driver.net.onRecv(token, .eof),
            .fails => bench.driver.net.onRecv(token, .failed),
            .comes_late => {
                Manual.clock_ms += bench.config.body_timeout_ms + 100;
                bench.driver.net.turn(0);
                try testing.expectEqual(1, bench.driver.timeouts_total.raw);
            },
        }
        try testing.expectEqual(0, bench.driver.exchanges.used());
        try bench.end(&.{token});
    }
}

test "bytes that come behind the last request, before its answer, let the client read that first" {
    var bench: Bench = undefined;
    try bench.begin();
    const token = try bench.connect(5);
    bench.feed(token, "GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    bench.feed(token, "more, which nobody reads as a request");
    bench.answer(0);
    // A close would turn what the client still sends into a reset (RFC 9112 §9.6).
    try testing.expect(bench.driver.net.backend.is_open);
    Manual.clock_ms += limits.linger_ms + 100;
    bench.driver.net.turn(0);
    try testing.expect(!bench.driver.net.backend.is_open);
    try bench.end(&.{token});
}

/// The client of `token` goes on and on, 4000 bytes at a time, until it has been read for more than
/// it may.
fn flood(bench: *Bench, token: io.Token) !void {
    const more: [4000]u8 = @splat('m');
    var taken: u64 = 0;
    while (taken + more.len <= bench.driver.net.options.drop_bytes_max) : (taken += more.len) {
        bench.feed(token, &more);
        try testing.expect(bench.driver.net.backend.is_open);
        try testing.expect(bench.driver.net.backend.wants_recv);
    }
    bench.feed(token, &more);
}

fn last(comptime path: []const u8) []const u8 {
    return "GET " ++ path ++ " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
}

/// A client whose last response waits for it.
fn beginUntaken(bench: *Bench) !io.Token {
    try bench.begin();
    bench.driver.net.options.drop_bytes_max = 50_000;
    const token = try bench.connect(5);
    bench.driver.net.backend.room = 1_000_000;
    bench.feed(token, comptime last("/large"));
    for (0..16) |_| bench.driver.net.turn(0); // each has a share of it
    try testing.expect(bench.driver.net.backend.later != null);
    return token;
}

test "a client that goes on behind its connection's end, and takes nothing, is reset" {
    var bench: Bench = undefined;
    const token = try beginUntaken(&bench);
    try flood(&bench, token);
    try testing.expect(!bench.driver.net.backend.is_open);
    try bench.end(&.{token});
}

test "what it takes meanwhile counts, be it out of what the system holds" {
    const Taken = enum { of_queue, of_system };
    for (std.enums.values(Taken)) |taken| {
        var bench: Bench = undefined;
        const token = try beginUntaken(&bench);
        const net = &bench.driver.net;
        for (0..3) |_| {
            bench.feed(token, "m");
            switch (taken) {
                .of_queue => {
                    for (0..8) |_| bench.feed(token, &([_]u8{'m'} ** 5000));
                    net.backend.room = 1;
                    net.onSent(token, 0);
                },
                .of_system => {
                    net.backend.in_flight -= 1;
                    try flood(&bench, token);
                },
            }
            try testing.expect(net.backend.is_open);
        }
        try flood(&bench, token); // the count has begun anew
        try testing.expect(!net.backend.is_open);
        try bench.end(&.{token});
    }
}

test "a client that has been sent its response may go on for as long as its connection lingers" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.driver.net.options.drop_bytes_max = 50_000;
    const token = try bench.connect(5);
    bench.feed(token, comptime last("/now") ++ "more");
    const more: [4000]u8 = @splat('m');
    for (0..100) |_| bench.feed(token, &more);
    try testing.expect(bench.driver.net.backend.is_open);
    Manual.clock_ms += limits.linger_ms + 100;
    bench.driver.net.turn(0);
    try testing.expect(!bench.driver.net.backend.is_open);
    try bench.end(&.{token});
}

test "a client that goes on behind its last request is read no further until that is answered" {
    const Way = enum { is_answered, is_answered_in_part, fails, ends };
    for (std.enums.values(Way)) |way| {
        var bench: Bench = undefined;
        try bench.begin();
        bench.driver.net.options.drop_bytes_max = 50_000;
        const net = &bench.driver.net;
        const token = try bench.connect(5);
        bench.feed(token, comptime last("/wait"));
        try flood(&bench, token);
        try testing.expect(net.backend.is_open and !net.backend.wants_recv);
        switch (way) {
            // It reads what comes behind the answer until it lingers no more.
            .is_answered, .is_answered_in_part => {
                if (way == .is_answered_in_part) net.backend.room = 10;
                bench.answer(0);
                try testing.expect(net.backend.is_open and net.backend.wants_recv);
                bench.feed(token, "more");
                try testing.expect(net.backend.is_open);
            },
            .fails => {
                net.onRecv(token, .failed);
                try testing.expectEqual(1, bench.script.aborts);
            },
            .ends => {
                net.onRecv(token, .eof_ahead);
                try testing.expectEqual(1, bench.script.eofs);
                bench.answer(0);
            },
        }
        try bench.end(&.{token});
    }
}

/// Two of three heads lie in the sockets, a batch of one poll each, when their time is over.
/// `is_aside`: words of others are served before the sockets are looked at.
fn expectInTime(is_aside: bool) !void {
    var bench: Bench = undefined;
    try bench.begin();
    const tokens = [_]io.Token{ try bench.connect(5), try bench.connect(6), try bench.connect(7) };
    for (tokens) |token| bench.feed(token, "GET /now HTTP/1.1\r\nHost");
    Manual.clock_ms += bench.config.header_timeout_ms + 1000;
    if (is_aside) bench.driver.net.turnAside();
    bench.driver.net.backend.ready = &.{
        .{ .token = tokens[0], .bytes = ": a\r\n\r\n" },
        .{ .token = tokens[1], .bytes = ": a\r\n\r\n" },
    };
    bench.driver.net.turn(0);
    try testing.expectEqual(@as(u32, 2), bench.script.answered_at_once);
    // From the third nothing has come.
    try testing.expectEqual(@as(u64, 1), bench.driver.timeouts_total.raw);
    try bench.end(&tokens);
}

test "what came while the worker was held up counts as in time, more than one poll brings too" {
    try expectInTime(false);
}

test "it counts so too where others' words were served before the sockets were looked at" {
    try expectInTime(true);
}

test "a client that pipelines leaves the first exchange of every other connection" {
    var bench: Bench = undefined;
    try bench.begin();
    bench.driver.exchanges.spare = 2;
    const greedy = try bench.connect(5);
    bench.feed(greedy, get("/wait") ** 4 ++ get("/now"));
    try testing.expectEqual(@as(usize, 3), bench.script.waiting.len); // its first and the spare
    const other = try bench.connect(6);
    const third = try bench.connect(7);
    bench.feed(other, get("/now"));
    bench.feed(third, get("/wait"));
    try testing.expectEqual(@as(u32, 1), bench.script.answered_at_once);
    try testing.expectEqual(@as(u64, 0), bench.driver.errors_total.raw);
    // As its own are answered, it gets on.
    for (0..3) |i| bench.answer(i);
    try testing.expectEqual(@as(usize, 5), bench.script.waiting.len);
    bench.answer(4);
    try testing.expectEqual(@as(u32, 2), bench.script.answered_at_once);
    try bench.end(&.{ greedy, other, third });
}

test "while entries of write queues are scarce, who has output under way is not read" {
    var bench: Bench = undefined;
    try bench.begin();
    const nodes = &bench.driver.net.pools.nodes;
    const greedy = try bench.connect(5);
    const other = try bench.connect(6);
    nodes.used += limits.write_nodes_spare;
    bench.feed(greedy, get("/wait") ++ get("/wait"));
    try testing.expectEqual(@as(usize, 1), bench.script.waiting.len);
    bench.feed(other, get("/now"));
    try testing.expectEqual(@as(u32, 1), bench.script.answered_at_once);
    nodes.used -= limits.write_nodes_spare;
    bench.answer(0);
    try testing.expectEqual(@as(usize, 2), bench.script.waiting.len);
    try bench.end(&.{ greedy, other });
}

test "a request that waits for room is answered with 503 when its time is up" {
    var bench: Bench = undefined;
    try bench.begin();
    const token = try bench.connect(5);
    bench.feed(token, get("/wait") ++ get("/busy") ++ get("/now"));
    Manual.clock_ms += bench.config.dispatch_timeout_ms / 2;
    bench.driver.net.turn(0);
    try testing.expectEqual(@as(u32, 1), bench.driver.http1_worker.busy.len);
    // It is not begun anew by being offered in vain.
    bench.driver.retryBusy();
    Manual.clock_ms += bench.config.dispatch_timeout_ms / 2 + 100;
    bench.driver.net.turn(0);
    try testing.expectEqual(@as(u32, 0), bench.driver.http1_worker.busy.len);
    bench.script.has_room = true;
    bench.answer(0);
    const sent = bench.driver.net.backend.sent.constSlice();
    try testing.expect(std.mem.indexOf(u8, sent, "later").? <
        std.mem.indexOf(u8, sent, "dispatch_timeout").?);
    try testing.expectEqual(@as(u32, 0), bench.script.answered_at_once);
    try bench.end(&.{token});
}

test "requests beyond a connection's share of a turn are answered in the turns that follow" {
    var bench: Bench = undefined;
    try bench.begin();
    const net = &bench.driver.net;
    const greedy = try bench.connect(5);
    const other = try bench.connect(6);
    const share = limits.turn_requests_max_default;
    var buffer: [16 * 1024]u8 = undefined;
    const bytes = buffer[0 .. (3 * share + 1) * get("/now").len];
    const one = get("/now");
    for (0..3 * share + 1) |i| @memcpy(bytes[i * one.len ..][0..one.len], one);
    net.turn_number +%= 1;
    net.onRecv(greedy, .{ .bytes = bytes });
    try testing.expectEqual(share, bench.script.answered_at_once);
    try testing.expectEqual(0, net.beginTurn()); // it does not sleep
    net.backend.ready = &.{.{ .token = other, .bytes = get("/wait") }};
    net.turn(0);
    try testing.expectEqual(2 * share, bench.script.answered_at_once);
    try testing.expectEqual(1, bench.script.waiting.len); // not behind all of the other's
    net.turn(0);
    net.turn(0);
    try testing.expectEqual(3 * share + 1, bench.script.answered_at_once);
    try testing.expectEqual(0, net.ready.len);
    try bench.end(&.{ greedy, other });
}

test "bytes beyond a connection's share of a turn are sent in the turns that follow" {
    var bench: Bench = undefined;
    try bench.begin();
    const net = &bench.driver.net;
    const greedy = try bench.connect(5);
    const other = try bench.connect(6);
    bench.feed(greedy, get("/large") ++ get("/large"));
    const share = limits.turn_bytes_max_default;
    const turns = (2 * large.len) / share;
    for (2..turns) |_| { // receiving them was one, `feed` made another
        const before = net.backend.in_flight;
        net.turn(0);
        try testing.expectEqual(share, net.backend.in_flight - before);
        try testing.expectEqual(0, bench.driver.timeouts_total.raw);
    }
    bench.feed(other, get("/now"));
    try testing.expectEqual(3, bench.script.answered_at_once);
    net.turn(0);
    try testing.expectEqual(0, net.ready.len);
    try testing.expect(net.backend.in_flight > 2 * large.len);
    try bench.end(&.{ greedy, other });
}

test "a client that leaves while its share is used up is let go, and so is one that a stop finds" {
    var bench: Bench = undefined;
    try bench.begin();
    const greedy = try bench.connect(5);
    const second = try bench.connect(6);
    for ([_]io.Token{ greedy, second }) |token| bench.feed(token, get("/large"));
    try testing.expectEqual(2, bench.driver.net.ready.len);
    bench.driver.net.backend.broken_fd = 5;
    bench.driver.net.turn(0);
    try testing.expectEqual(1, bench.driver.net.ready.len);
    try testing.expectEqual(1, bench.driver.net.conns.used);
    bench.port.drain_deadline_ms.store(Manual.clock_ms + 10, .seq_cst);
    bench.driver.net.turn(0);
    try testing.expectEqual(1, bench.driver.net.conns.used); // its response is sent to its end
    Manual.clock_ms += 20;
    bench.driver.net.turn(0);
    try testing.expect(bench.driver.net.isDone());
    try bench.end(&.{});
}

/// A request of HTTP/2, whose fields leave the client's table as it is.
inline fn http2Get(comptime stream: u8, comptime path: []const u8) []const u8 {
    const block = "\x82\x86\x04" ++ [_]u8{path.len} ++ path ++ "\x01\x01a";
    return &([_]u8{ 0, 0, block.len, 1, 5, 0, 0, 0, stream }) ++ block;
}

test "a request of HTTP/2 is its own, though one that waited was offered since it came last" {
    var bench: Bench = undefined;
    try bench.begin();
    const token = try bench.connect(5);
    const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    bench.feed(token, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" ++ settings);
    bench.feed(token, http2Get(1, "/wait"));
    bench.feed(token, http2Get(3, "/busy"));
    bench.feed(token, http2Get(5, "/wait"));
    try testing.expectEqual(2, bench.script.waiting.len);
    bench.script.has_room = true;
    bench.answer(0);
    try testing.expectEqual(1, bench.script.answered_at_once);
    // The worker's block has "/busy", where the last that was decoded said "/wait".
    bench.feed(token, http2Get(7, "/wait"));
    try testing.expectEqual(3, bench.script.waiting.len);
    try testing.expectEqual(1, bench.script.answered_at_once);
    try bench.end(&.{token});
}
