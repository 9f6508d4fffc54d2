//! What the engine refuses, on real sockets: the page for the client, and the hook's one call.

const std = @import("std");
const testing = std.testing;
const Address = @import("../core/address.zig").Address;
const log = @import("../core/log.zig");
const problem = @import("../http/problem.zig");
const ProtocolError = problem.ProtocolError;
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const Config = @import("config.zig").Config;
const Server = @import("server.zig").Server;

/// How long anything may take before a test calls it missing.
const deadline_ns = 10 * std.time.ns_per_s;

/// Keeps what it is told of. /fail fails, /large has more than a socket takes.
const App = struct {
    mutex: std.Thread.Mutex = .{},
    heard: std.BoundedArray(ProtocolError, 16) = .{},
    said: std.Thread.Semaphore = .{},

    const large = "x" ** (8 * 1024 * 1024);

    pub fn init() App {
        return .{};
    }

    pub fn deinit(_: *App) void {}

    pub fn handleRequest(_: *App, req: *Request, res: *Response) !void {
        if (std.mem.eql(u8, req.path, "/fail")) return error.Intended;
        res.sendStatic(if (std.mem.eql(u8, req.path, "/large")) large else "fine");
    }

    pub fn onProtocolError(self: *App, err: *const ProtocolError) void {
        self.mutex.lock();
        defer self.mutex.unlock();
        self.heard.append(err.*) catch @panic("called too often");
        self.said.post();
    }
};

const Play = struct {
    server: Server(App) = undefined,

    /// Stays where it is.
    fn start(self: *Play, config: Config) !void {
        log.setLevel(.silent);
        var small = config;
        small.hostname = "127.0.0.1";
        small.port = 0;
        small.workers = 1;
        small.connections_max = 16;
        small.buffer_memory_bytes = 32 * 1024 * 1024;
        small.connection_memory_bytes_max = 16 * 1024 * 1024;
        try self.server.init(testing.allocator, small);
        errdefer self.server.deinit();
        try self.server.start();
    }

    /// Nothing else was told.
    fn stop(self: *Play) !void {
        self.server.requestStop(5000);
        self.server.join();
        defer self.server.deinit();
        try testing.expectEqual(@as(usize, 0), self.server.handler.heard.len);
    }

    fn connect(self: *Play) !std.net.Stream {
        const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, self.server.address().port);
        return std.net.tcpConnectToAddress(address);
    }

    /// Sends `request` and expects the page of `code`, the end behind it, and one call of the hook.
    fn expectRefused(
        self: *Play,
        request: []const u8,
        format: problem.Format,
        code: problem.Code,
    ) !void {
        const stream = try self.connect();
        defer stream.close();
        try stream.writeAll(request);
        var buffer: [4096]u8 = undefined;
        const answer = buffer[0..try stream.reader().readAll(&buffer)];
        var status: [16]u8 = undefined;
        const line = try std.fmt.bufPrint(&status, "HTTP/1.1 {d} ", .{problem.statusOf(code)});
        try testing.expectStringStartsWith(answer, line);
        try testing.expectStringEndsWith(answer, problem.page(format, code));
        try testing.expect(std.mem.indexOf(u8, answer, "\r\nVary: Accept\r\n") != null);
        try testing.expectEqual(1, std.mem.count(u8, answer, "\r\n\r\n"));
        try self.expectHeard(code, problem.statusOf(code));
    }

    fn expectHeard(self: *Play, code: problem.Code, status: u16) !void {
        const app = &self.server.handler;
        try app.said.timedWait(deadline_ns);
        app.mutex.lock();
        defer app.mutex.unlock();
        const err = app.heard.orderedRemove(0);
        try testing.expectEqual(code, err.code);
        try testing.expectEqual(status, err.status);
        try testing.expectEqual(Address.Family.ipv4, err.peer.family);
        try testing.expectEqualSlices(u8, &.{ 127, 0, 0, 1 }, err.peer.bytes[0..4]);
        try testing.expect(err.peer.port != 0);
    }
};

const json = "Accept: application/json\r\n";

test "a refused message is told to the hook once, a failure of the handler never" {
    var play: Play = .{};
    try play.start(.{ .body_bytes_max = 1000, .body_buffered_bytes_max = 1000 });
    try play.expectRefused("GET / HTTP/1.1\r\n\r\n", .text, .missing_host);
    try play.expectRefused("GET / HTTP/1.1\r\n" ++ json ++ "\r\n", .json, .missing_host);
    const connect = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
    try play.expectRefused(connect, .text, .method_not_implemented);
    const post = "POST / HTTP/1.1\r\nHost: a\r\n" ++ json;
    try play.expectRefused(post ++ "Content-Length: 1001\r\n\r\n", .json, .body_too_large);
    const chunked = post ++ "Transfer-Encoding: chunked\r\n\r\n";
    try play.expectRefused(chunked ++ "zz\r\n", .json, .invalid_chunk_size);
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll("GET /fail HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    var buffer: [1024]u8 = undefined;
    const answer = buffer[0..try stream.reader().readAll(&buffer)];
    try testing.expectStringEndsWith(answer, problem.page(.text, .internal_error));
    try play.stop();
}

test "clients that are too slow are told of, with the status that they got" {
    var play: Play = .{};
    try play.start(.{ .header_timeout_ms = 100, .body_timeout_ms = 100, .write_timeout_ms = 100 });
    const begun = "GET / HTTP/1.1\r\n";
    try play.expectRefused(begun ++ json ++ "X", .json, .header_timeout);
    try play.expectRefused(begun, .text, .header_timeout);
    const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n";
    try play.expectRefused(post ++ json ++ "\r\nhalf", .json, .body_timeout);
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    try play.expectHeard(.write_timeout, 0);
    try play.stop();
}
