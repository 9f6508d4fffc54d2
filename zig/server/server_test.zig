//! Servers on real sockets, in this process: what only the engine's inside can tell (allocations,
//! pools, exchanges), and its life from start to stop. What a client can tell is tested in tests/.

const std = @import("std");
const posix = std.posix;
const testing = std.testing;
const log = @import("../core/log.zig");
const problem = @import("../http/problem.zig");
const Listener = @import("../net/listeners.zig").Listener;
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const Config = @import("config.zig").Config;
const Server = @import("server.zig").Server;

/// How long anything may take before a test calls it missing.
const deadline_ms = 10_000;

/// Answers /hello, /size/N (N bytes), /echo, /fail and, in time, /wait.
const App = struct {
    /// Requests for /wait are held until it is set.
    gate: std.Thread.ResetEvent = .{},
    waiting: std.atomic.Value(u32) = .init(0),

    pub fn init() App {
        return .{};
    }

    pub fn deinit(_: *App) void {}

    pub fn handleRequest(self: *App, req: *Request, res: *Response) !void {
        if (std.mem.eql(u8, req.path, "/fail")) return error.Intended;
        if (std.mem.eql(u8, req.path, "/wait")) {
            _ = self.waiting.fetchAdd(1, .release);
            self.gate.wait();
        }
        if (std.mem.startsWith(u8, req.path, "/size/")) return writePattern(req, res);
        if (!std.mem.eql(u8, req.path, "/echo")) return res.sendStatic("hello");
        for (req.body.segments) |segment| try res.write(segment);
    }

    fn writePattern(req: *Request, res: *Response) !void {
        var left = try std.fmt.parseInt(usize, req.path["/size/".len..], 10);
        const piece = [_]u8{'p'} ** 1000;
        while (left > 0) {
            const n = @min(left, piece.len);
            try res.write(piece[0..n]);
            left -= n;
        }
    }
};

const AppServer = Server(App);

fn testConfig() Config {
    return .{
        .hostname = "127.0.0.1",
        .port = 0,
        .workers = 2,
        .connections_max = 64,
        .buffer_memory_bytes = 32 * 1024 * 1024,
    };
}

/// A server that is listening; `stop` ends it and gives its memory back.
fn start(server: *AppServer, config: Config) !void {
    log.setLevel(.silent); // the failures below are meant
    try server.init(testing.allocator, config);
    errdefer server.deinit();
    try server.start();
}

fn stop(server: *AppServer) void {
    server.requestStop(deadline_ms);
    server.join();
    server.deinit();
}

fn connect(server: *const AppServer) !std.net.Stream {
    const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, server.address().port);
    const stream = try std.net.tcpConnectToAddress(address);
    errdefer stream.close();
    const timeout: posix.timeval = .{ .sec = deadline_ms / 1000, .usec = 0 };
    const value = std.mem.asBytes(&timeout);
    try posix.setsockopt(stream.handle, posix.SOL.SOCKET, posix.SO.RCVTIMEO, value);
    return stream;
}

/// What follows the head of one response; the caller frees it.
fn readBody(stream: std.net.Stream) ![]u8 {
    var head: [4096]u8 = undefined;
    var len: usize = 0;
    while (!std.mem.endsWith(u8, head[0..len], "\r\n\r\n")) : (len += 1) {
        if (len == head.len) return error.HeadTooLong;
        if (try stream.read(head[len..][0..1]) == 0) return error.ConnectionEnded;
    }
    const name = "Content-Length: ";
    const at = std.mem.indexOf(u8, head[0..len], name) orelse return error.NoLength;
    const end = std.mem.indexOfPos(u8, head[0..len], at, "\r\n").?;
    const body_len = try std.fmt.parseInt(usize, head[at + name.len .. end], 10);
    const body = try testing.allocator.alloc(u8, body_len);
    errdefer testing.allocator.free(body);
    if (try stream.reader().readAll(body) != body.len) return error.ConnectionEnded;
    return body;
}

fn expectBody(stream: std.net.Stream, expected: []const u8) !void {
    const body = try readBody(stream);
    defer testing.allocator.free(body);
    try testing.expectEqualStrings(expected, body);
}

/// Waits until `probe` is true.
fn until(context: anytype, comptime probe: fn (@TypeOf(context)) bool) !void {
    var timer = try std.time.Timer.start();
    while (!probe(context)) {
        if (timer.read() > deadline_ms * std.time.ns_per_ms) return error.NotInTime;
        std.time.sleep(std.time.ns_per_ms);
    }
}

fn hasNoConnections(server: *AppServer) bool {
    return server.stats().connections == 0;
}

const echo_small = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
const echo_chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" ++
    "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";

/// Requests of every kind on one connection: small, gathered, chunked,
/// large responses, a handler's failure.
fn exerciseConnection(server: *AppServer) !void {
    const stream = try connect(server);
    defer stream.close();
    try stream.writeAll("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" ++ echo_small ++ echo_chunked);
    try expectBody(stream, "hello");
    try expectBody(stream, "body");
    try expectBody(stream, "abcde");
    const large = try testing.allocator.alloc(u8, 300_000);
    defer testing.allocator.free(large);
    for (large, 0..) |*byte, i| byte.* = @truncate(i *% 7 +% i / 251);
    try stream.writeAll("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
    try stream.writeAll(large);
    try expectBody(stream, large);
    try stream.writeAll("GET /fail HTTP/1.1\r\nHost: a\r\n\r\n");
    try expectBody(stream, problem.page(.text, .internal_error));
    try stream.writeAll("GET /size/1500000 HTTP/1.1\r\nHost: a\r\n\r\n");
    const body = try readBody(stream);
    defer testing.allocator.free(body);
    try testing.expectEqual(@as(usize, 1_500_000), body.len);
}

/// Connections that end at awkward moments: in a head, in a body,
/// with a response unread, with garbage.
fn exerciseAborts(server: *AppServer) !void {
    const beginnings = [_][]const u8{
        "",
        "GET /hel",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nsome",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nsome",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /size/9000000 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" ** 100,
        "nonsense\r\n\r\n",
    };
    for (beginnings) |beginning| {
        const stream = try connect(server);
        defer stream.close();
        try stream.writeAll(beginning);
    }
}

test "no request allocates: small and large bodies, failures, aborts and refusals" {
    var server: AppServer = undefined;
    try start(&server, testConfig());
    defer stop(&server);
    for (0..3) |_| {
        try exerciseConnection(&server);
        try exerciseAborts(&server);
    }
    try until(&server, hasNoConnections);
    try testing.expectEqual(@as(u64, 0), server.stats().allocations_after_start);
    try testing.expect(server.stats().requests_total >= 18);
}

test "when all connections have closed, every pool is whole again" {
    var server: AppServer = undefined;
    try start(&server, testConfig());
    defer stop(&server);
    for (0..3) |_| {
        try exerciseConnection(&server);
        try exerciseAborts(&server);
    }
    try until(&server, hasNoConnections);
    try testing.expectEqual(@as(u64, 0), server.stats().buffer_bytes);
    server.requestStop(deadline_ms);
    server.join(); // the workers' own counters may be read now
    for (server.engine.impl.drivers) |*driver| {
        try testing.expectEqual(@as(u32, 0), driver.exchanges.used());
        try testing.expectEqual(@as(u32, 0), driver.net.conns.used);
        try testing.expectEqual(@as(u32, 0), driver.http1_worker.busy.len);
    }
}

test "a server starts and stops again and again, and gives all its memory and descriptors back" {
    const before = try openDescriptors();
    for (0..20) |_| {
        var server: AppServer = undefined;
        try start(&server, testConfig());
        defer stop(&server);
        const stream = try connect(&server);
        defer stream.close();
        try stream.writeAll(echo_small);
        try expectBody(stream, "body");
    }
    try testing.expectEqual(before, try openDescriptors());
}

fn openDescriptors() !usize {
    var dir = try std.fs.openDirAbsolute("/proc/self/fd", .{ .iterate = true });
    defer dir.close();
    var count: usize = 0;
    var entries = dir.iterate();
    while (try entries.next()) |_| count += 1;
    return count;
}

test "a server that was made and never started gives everything back" {
    const before = try openDescriptors();
    log.setLevel(.silent);
    var server: AppServer = undefined;
    try server.init(testing.allocator, testConfig());
    server.deinit();
    try testing.expectEqual(before, try openDescriptors());
}

test "two servers in one process do not know of each other" {
    var one: AppServer = undefined;
    try start(&one, testConfig());
    defer stop(&one);
    var other: AppServer = undefined;
    try start(&other, testConfig());
    try testing.expect(one.address().port != other.address().port);
    const to_one = try connect(&one);
    defer to_one.close();
    {
        const to_other = try connect(&other);
        defer to_other.close();
        try to_one.writeAll(echo_small);
        try to_other.writeAll("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        try expectBody(to_other, "hello");
        try expectBody(to_one, "body");
    }
    stop(&other);
    try to_one.writeAll(echo_small);
    try expectBody(to_one, "body");
    try testing.expectEqual(@as(u64, 2), one.stats().requests_total);
}

test "a port in use is an error, and nothing of the second server stays behind" {
    var server: AppServer = undefined;
    try start(&server, testConfig());
    defer stop(&server);
    const before = try openDescriptors();
    var second: AppServer = undefined;
    var config = testConfig();
    config.port = server.address().port;
    try testing.expectError(error.AddressInUse, second.init(testing.allocator, config));
    try testing.expectEqual(before, try openDescriptors());
}

test "a stop closes idle connections at once and finishes the exchange in flight" {
    var server: AppServer = undefined;
    try start(&server, testConfig());
    const idle = try connect(&server);
    defer idle.close();
    try idle.writeAll(echo_small);
    try expectBody(idle, "body");
    const busy = try connect(&server);
    defer busy.close();
    try busy.writeAll("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    try until(&server, isWaiting);
    const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, server.address().port);
    server.requestStop(deadline_ms);
    // The idle one may be of the worker that /wait holds: it closes when that one is through.
    server.handler.gate.set();
    var byte: [1]u8 = undefined;
    try testing.expectEqual(@as(usize, 0), try idle.read(&byte));
    try expectBody(busy, "hello");
    server.join();
    try testing.expectError(error.ConnectionRefused, std.net.tcpConnectToAddress(address));
    server.deinit();
}

fn isWaiting(server: *AppServer) bool {
    return server.handler.waiting.load(.acquire) > 0;
}

test "a stop with a deadline of zero ends a request that is half there" {
    var server: AppServer = undefined;
    try start(&server, testConfig());
    const stream = try connect(&server);
    defer stream.close();
    try stream.writeAll(echo_small ++
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    try expectBody(stream, "body");
    server.requestStop(0);
    server.join();
    server.deinit();
    var byte: [1]u8 = undefined;
    const ended = stream.read(&byte) catch 0; // a reset is as good as an end
    try testing.expectEqual(@as(usize, 0), ended);
}

test "a handler whose init fails leaves no server behind" {
    const Failing = struct {
        const Self = @This();
        pub fn init() error{Intended}!Self {
            return error.Intended;
        }
        pub fn deinit(_: *Self) void {}
        pub fn handleRequest(_: *Self, _: *Request, _: *Response) void {}
    };
    log.setLevel(.silent);
    const before = try openDescriptors();
    var server: Server(Failing) = undefined;
    try testing.expectError(error.Intended, server.init(testing.allocator, testConfig()));
    try testing.expectEqual(before, try openDescriptors());
}

test "a handler hears that the server listens, and answers for its own failures" {
    const Hooked = struct {
        const Self = @This();
        port: u16 = 0,
        pub fn init() Self {
            return .{};
        }
        pub fn deinit(_: *Self) void {}
        pub fn handleRequest(_: *Self, _: *Request, res: *Response) !void {
            try res.write("dropped");
            return error.Intended;
        }
        pub fn onListening(self: *Self, listeners: []const Listener) void {
            self.port = listeners[0].endpoint.port();
        }
        pub fn onError(_: *Self, err: anyerror, _: *Request, res: *Response) void {
            res.sendStatic(@errorName(err));
        }
    };
    log.setLevel(.silent);
    var server: Server(Hooked) = undefined;
    try server.init(testing.allocator, testConfig());
    defer server.deinit();
    try server.start();
    defer server.join();
    defer server.requestStop(deadline_ms);
    try testing.expectEqual(server.address().port, server.handler.port);
    const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, server.address().port);
    const stream = try std.net.tcpConnectToAddress(address);
    defer stream.close();
    try stream.writeAll("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    try expectBody(stream, "Intended");
}

fn isHandingOver(server: *AppServer) bool {
    return server.engine.impl.ports[0].retiring.load(.monotonic);
}

/// How long a server goes on that waits for another to take its place when it is to end at once,
/// ns.
fn endOfHandOver() !u64 {
    var server: AppServer = undefined;
    var config = testConfig();
    config.reuse_port = true;
    try start(&server, config);
    defer server.deinit();
    server.engine.impl.acceptor.hand_over_ms = deadline_ms;
    server.requestStop(2 * deadline_ms);
    try until(&server, isHandingOver);
    var timer = try std.time.Timer.start();
    server.requestStop(0);
    server.join();
    return timer.read();
}

test "a stop that is to be over sooner ends the wait for another server" {
    // Its thread looks at the time once a second by itself; a machine may be slow for a moment.
    for (0..3) |_| if (try endOfHandOver() < std.time.ns_per_s / 2) return;
    return error.NotInTime;
}
