//! Limits on a connection where the answer comes later: time that the engine does not read is
//! nobody's fault, and what is held for one client is bounded. Servers on real sockets, in this
//! process, with a dispatcher whose answers wait for a word of the test.

const std = @import("std");
const posix = std.posix;
const testing = std.testing;
const Defect = @import("../core/defect.zig").Defect;
const log = @import("../core/log.zig");
const problem = @import("../http/problem.zig");
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const Config = @import("config.zig").Config;
const Engine = @import("engine.zig").Engine;
const Action = @import("exchange.zig").Action;
const ExchangeId = @import("exchange.zig").ExchangeId;

const deadline_ms = 10_000;
const mib = 1024 * 1024;
const large = [_]u8{'l'} ** (8 * mib);

/// /hold and /stream are answered when the gate opens, /stream with all of `large`; /late takes its
/// body only then, and answers when it is whole; /gather has its body gathered and tells its
/// length; /large is `large`; the rest is answered at once.
const Gated = struct {
    is_open: std.atomic.Value(bool) = .init(false),
    /// Requests that wait for it.
    waiting: std.atomic.Value(u32) = .init(0),
    aborted: std.atomic.Value(u32) = .init(0),
    last_error: std.atomic.Value(u16) = .init(0),
    last_status: std.atomic.Value(u16) = .init(0),

    pub const WorkerState = struct { held: std.BoundedArray(ExchangeId, 64) = .{} };
    pub const ExchangeState = struct { kind: enum { hold, stream, late } = .hold };

    pub fn workerStart(_: *Gated, _: anytype) error{}!void {}
    pub fn workerStop(_: *Gated, _: anytype) void {}
    pub fn hasWork(self: *Gated, w: anytype) bool {
        return self.is_open.load(.seq_cst) and w.state.held.len > 0;
    }

    pub fn onRequest(self: *Gated, w: anytype, ex: anytype, req: *Request, res: *Response) Action {
        if (std.mem.eql(u8, req.path, "/gather")) {
            if (!ex.body_complete) return .buffer;
            res.print("{d}", .{req.body.len}) catch unreachable;
            return .respond;
        }
        if (std.mem.eql(u8, req.path, "/large")) res.send(&large) else res.sendStatic("now");
        inline for (.{ "hold", "stream", "late" }) |name| {
            if (std.mem.eql(u8, req.path[1..], name)) {
                ex.user = .{ .kind = @field(@TypeOf(ex.user.kind), name) };
                w.state.held.append(ex.id) catch unreachable;
                _ = self.waiting.fetchAdd(1, .seq_cst);
                return .pending;
            }
        }
        return .respond;
    }

    pub fn onBody(self: *Gated, w: anytype, ex: anytype, bytes: []const u8, end: bool) usize {
        if (!self.is_open.load(.seq_cst)) return 0;
        if (end) finish(w, ex);
        return bytes.len;
    }

    pub fn onTurn(self: *Gated, w: anytype) void {
        if (!self.is_open.load(.seq_cst)) return;
        while (w.state.held.pop()) |id| {
            const ex = w.exchangeById(id) orelse continue;
            switch (ex.user.kind) {
                .hold => finish(w, ex),
                .stream => {
                    w.beginStream(ex, w.response(), large.len);
                    w.streamBody(ex, &large, true);
                },
                .late => w.resumeBody(ex),
            }
        }
    }

    fn finish(w: anytype, ex: anytype) void {
        const res = w.response();
        res.sendStatic("later");
        w.respond(ex, res);
    }

    pub fn onAbort(self: *Gated, _: anytype, _: anytype) void {
        _ = self.aborted.fetchAdd(1, .seq_cst);
    }
    pub fn onSent(_: *Gated, _: anytype, _: anytype, _: u64) void {}

    pub fn onProtocolError(self: *Gated, _: anytype, err: *const problem.ProtocolError) void {
        self.last_error.store(@intFromEnum(err.code), .seq_cst);
        self.last_status.store(err.status, .seq_cst);
    }
};

const Rig = struct {
    config: Config,
    gated: Gated = .{},
    engine: Engine(Gated, void, void),

    /// `self` must stay where it is. The configuration is not validated: budgets may be tiny.
    fn start(self: *Rig, config: Config) !void {
        log.setLevel(.silent); // the refusals below are meant
        self.* = .{ .config = config, .engine = undefined };
        self.config.hostname = "127.0.0.1";
        self.config.port = 0;
        self.config.workers = 1;
        self.config.connections_max = 64;
        self.config.buffer_memory_bytes = 64 * mib;
        var defect: Defect = .{};
        self.engine = try Engine(Gated, void, void).init(
            testing.allocator,
            &self.config,
            &self.gated,
            &defect,
        );
        errdefer self.engine.deinit();
        try self.engine.start();
    }

    fn stop(self: *Rig) !void {
        self.engine.requestStop(0); // what lingers does not matter
        self.engine.join();
        const stats = self.engine.stats();
        self.engine.deinit();
        try testing.expectEqual(@as(u64, 0), stats.buffer_bytes);
        try testing.expectEqual(@as(u64, 0), stats.allocations_after_start);
    }

    fn open(self: *Rig) void {
        self.gated.is_open.store(true, .seq_cst);
        self.engine.wakeAll();
    }

    fn connect(self: *Rig) !std.net.Stream {
        const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, self.engine.address().port);
        const stream = try std.net.tcpConnectToAddress(address);
        const timeout: posix.timeval = .{ .sec = deadline_ms / 1000, .usec = 0 };
        const value = std.mem.asBytes(&timeout);
        try posix.setsockopt(stream.handle, posix.SOL.SOCKET, posix.SO.RCVTIMEO, value);
        return stream;
    }

    fn untilWaiting(self: *Rig, count: u32) !void {
        for (0..deadline_ms) |_| {
            if (self.gated.waiting.load(.seq_cst) == count) return;
            std.time.sleep(std.time.ns_per_ms);
        }
        return error.NotInTime;
    }

    fn expectError(self: *Rig, code: problem.Code, status: u16) !void {
        const told = self.gated.last_error.load(.seq_cst);
        try testing.expectEqual(@intFromEnum(code), told);
        try testing.expectEqual(status, self.gated.last_status.load(.seq_cst));
    }
};

fn rest(ms: u64) void {
    std.time.sleep(ms * std.time.ns_per_ms);
}

/// Reads one response, whose status must be this, and drops its body.
fn expectStatus(stream: std.net.Stream, status: u16) !void {
    var head: [4096]u8 = undefined;
    var len: usize = 0;
    while (!std.mem.endsWith(u8, head[0..len], "\r\n\r\n")) : (len += 1) {
        if (try stream.read(head[len..][0..1]) == 0) return error.ConnectionEnded;
    }
    const name = "Content-Length: ";
    const at = std.mem.indexOf(u8, head[0..len], name).? + name.len;
    const end = std.mem.indexOfPos(u8, head[0..len], at, "\r\n").?;
    try testing.expectEqual(status, try std.fmt.parseInt(u16, head["HTTP/1.1 ".len..][0..3], 10));
    try stream.reader().skipBytes(try std.fmt.parseInt(usize, head[at..end], 10), .{});
}

fn expectEnd(stream: std.net.Stream) !void {
    var byte: [1]u8 = undefined;
    const n = stream.read(&byte) catch |err| switch (err) {
        error.ConnectionResetByPeer => 0,
        else => return err,
    };
    try testing.expectEqual(@as(usize, 0), n);
}

inline fn get(comptime path: []const u8) []const u8 {
    return "GET " ++ path ++ " HTTP/1.1\r\nHost: a\r\n\r\n";
}

inline fn post(comptime path: []const u8, comptime length: []const u8) []const u8 {
    return "POST " ++ path ++ " HTTP/1.1\r\nHost: a\r\nContent-Length: " ++ length ++ "\r\n\r\n";
}

test "while a handler takes nothing of a body, neither its rate nor its timeout goes on" {
    var rig: Rig = undefined;
    try rig.start(.{ .body_timeout_ms = 150, .body_rate_min = 1_000_000, .rate_grace_ms = 150 });
    const stream = try rig.connect();
    defer stream.close();
    try stream.writeAll(post("/late", "40000") ++ "x" ** 39_999);
    try rig.untilWaiting(1);
    rest(600);
    rig.open();
    rest(50);
    try stream.writeAll("y");
    try expectStatus(stream, 200);
    try rig.stop();
}

test "once it takes some, they do" {
    var rig: Rig = undefined;
    try rig.start(.{ .body_timeout_ms = 5_000, .body_rate_min = 1_000_000, .rate_grace_ms = 150 });
    const stream = try rig.connect();
    defer stream.close();
    try stream.writeAll(post("/late", "40000") ++ "x" ** 39_999);
    try rig.untilWaiting(1);
    rest(300);
    rig.open();
    try expectStatus(stream, 408);
    try expectEnd(stream);
    try rig.expectError(.body_too_slow, 408);
    try testing.expectEqual(@as(u64, 1), rig.engine.stats().timeouts_total);
    try testing.expectEqual(@as(u32, 1), rig.gated.aborted.load(.seq_cst));
    try rig.stop();
}

test "a head that had begun when reading stopped has its time left when it goes on" {
    var rig: Rig = undefined;
    try rig.start(.{ .header_timeout_ms = 400, .output_high_water_bytes = 16 * 1024 });
    const stream = try rig.connect();
    defer stream.close();
    try stream.writeAll(get("/stream") ++ "GET /ne");
    try rig.untilWaiting(1);
    rest(100); // the piece of a head is there
    rig.open();
    rest(50); // more than the sockets hold is under way
    try stream.writeAll("xt HTT");
    rest(700);
    try expectStatus(stream, 200);
    try stream.writeAll("P/1.1\r\nHost: a\r\n\r\n");
    try expectStatus(stream, 200);
    try rig.stop();
}

test "a pipelined head that does not become whole is refused behind what is still to be answered" {
    var rig: Rig = undefined;
    try rig.start(.{ .header_timeout_ms = 150 });
    const stream = try rig.connect();
    defer stream.close();
    try stream.writeAll(get("/hold") ++ "GET /ne");
    try rig.untilWaiting(1);
    rest(400);
    try rig.expectError(.header_timeout, 408);
    rig.open();
    try expectStatus(stream, 200);
    try expectStatus(stream, 408);
    try expectEnd(stream);
    try rig.stop();
}

test "held responses above the budget of a connection end it, and nothing else" {
    var rig: Rig = undefined;
    try rig.start(.{ .connection_memory_bytes_max = 2 * mib });
    const other = try rig.connect();
    defer other.close();
    try other.writeAll(get("/hold"));
    try rig.untilWaiting(1);
    const stream = try rig.connect();
    defer stream.close();
    try stream.writeAll(get("/hold") ++ get("/now") ++ get("/large"));
    try expectEnd(stream);
    try rig.expectError(.connection_memory, 0);
    try testing.expectEqual(@as(u64, 0), rig.engine.stats().buffer_bytes);
    rig.open();
    try expectStatus(other, 200);
    try rig.stop();
}

test "output that is not taken above the budget of a connection ends it" {
    var rig: Rig = undefined;
    // The sockets on the way hold less than what is left.
    try rig.start(.{ .connection_memory_bytes_max = mib / 2 });
    const stream = try rig.connect();
    defer stream.close();
    try stream.writeAll(get("/large"));
    rest(100);
    var dropped: [65536]u8 = undefined;
    var received: usize = 0;
    while (true) {
        const n = stream.read(&dropped) catch break;
        if (n == 0) break;
        received += n;
    }
    try testing.expect(received < large.len);
    try rig.expectError(.connection_memory, 0);
    try rig.stop();
}

test "a body above the budget of its connection is refused with 503" {
    var rig: Rig = undefined;
    try rig.start(.{ .connection_memory_bytes_max = mib / 2 });
    const stream = try rig.connect();
    defer stream.close();
    try stream.writeAll(post("/gather", "1000000"));
    stream.writeAll(large[0..900_000]) catch {}; // refused under way
    try expectStatus(stream, 503);
    try rig.expectError(.connection_memory, 503);
    const next = try rig.connect();
    defer next.close();
    try next.writeAll(post("/gather", "200000") ++ "z" ** 100_000);
    try next.writeAll("z" ** 100_000);
    try expectStatus(next, 200);
    try rig.stop();
}

test "an address with all the connections it may have gets another when one ends" {
    var rig: Rig = undefined;
    try rig.start(.{ .connections_per_address_max = 2 });
    const first = try rig.connect();
    const second = try rig.connect();
    defer second.close();
    for ([_]std.net.Stream{ first, second }) |stream| {
        try stream.writeAll(get("/now"));
        try expectStatus(stream, 200);
    }
    for (1..4) |count| {
        const refused = try rig.connect();
        defer refused.close();
        try expectEnd(refused);
        try testing.expectEqual(@as(u64, count), rig.engine.stats().refused_total);
    }
    first.close();
    for (0..deadline_ms) |_| {
        if (rig.engine.stats().connections == 1) break;
        rest(1);
    }
    const third = try rig.connect();
    defer third.close();
    try third.writeAll(get("/now"));
    try expectStatus(third, 200);
    try rig.stop();
}
