//! What one WebSocket may take of its worker, on a backend that the test moves by hand: memory that
//! waits for peers, turns, the mailbox, subscriptions.

const std = @import("std");
const testing = std.testing;
const limits = @import("../../core/limits.zig");
const log = @import("../../core/log.zig");
const problem = @import("../../http/problem.zig");
const Request = @import("../../http/request.zig").Request;
const Response = @import("../../http/response.zig").Response;
const io = @import("../../io/io.zig");
const Manual = @import("../../io/manual.zig").Manual;
const Port = @import("../../net/port.zig").Port;
const Config = @import("../config.zig").Config;
const Driver = @import("../driver.zig").Driver;
const HandlerDispatcher = @import("../handler.zig").HandlerDispatcher;
const Mailbox = @import("socket.zig").Mailbox;
const Socket = @import("socket.zig").Socket;

const sockets_max = 1040;

/// /large is answered with `large_bytes`, anything else by a socket, which subscribes to "news".
/// A message has as many bytes published as `published` is long; trouble is told to `admin`.
const App = struct {
    sockets: std.BoundedArray(Socket, sockets_max) = .{},
    ended: u32 = 0,
    published: []const u8 = "",
    last_status: ?Socket.Status = null,
    admin: ?Socket = null,
    told: u32 = 0,

    pub fn init() App {
        return .{};
    }

    pub fn deinit(_: *App) void {}

    pub fn handleRequest(_: *App, req: *Request, res: *Response) !void {
        if (std.mem.eql(u8, req.path, "/large")) return res.write(&large);
        res.upgrade(.{});
    }

    pub fn handleWSConn(self: *App, ws: Socket) void {
        self.sockets.appendAssumeCapacity(ws);
        _ = ws.subscribe("news");
    }

    pub fn handleWSMessage(self: *App, ws: Socket, _: *const Socket.Message) void {
        self.last_status = ws.publish("news", .binary, self.published);
    }

    pub fn handleWSDisconn(self: *App, _: Socket, _: *const Socket.End) void {
        self.ended += 1;
    }

    pub fn onProtocolError(self: *App, _: *const problem.ProtocolError) void {
        const ws = self.admin orelse return;
        self.told += 1;
        if (ws.sendText("trouble") != .posted) @panic("written in the middle of a send");
        if (ws.publish("trouble", .text, "trouble") != .posted) @panic("a walk in another");
    }
};

const large = [_]u8{'l'} ** (256 * 1024);
const zeros = [_]u8{0} ** (1024 * 1024);

const Dispatcher = HandlerDispatcher(App);
const Worker = Driver(Manual, Dispatcher, void);

/// A worker with sockets. Its backend has one room and one output for all of them.
const Bench = struct {
    config: Config,
    asleep: u32 = 0,
    port: Port,
    app: App = .{},
    dispatcher: Dispatcher,
    driver: Worker,
    mailboxes: [1]*Mailbox,
    tokens: std.BoundedArray(io.Token, sockets_max + 1) = .{},

    /// `self` must stay where it is.
    fn begin(self: *Bench, config: Config, sockets: usize) !void {
        log.setLevel(.silent);
        Manual.clock_ms = 1_000_000;
        self.* = .{
            .config = config,
            .port = .{ .capacity = sockets_max + 1, .asleep = &self.asleep },
            .dispatcher = .{ .handler = &self.app },
            .driver = undefined,
            .mailboxes = .{&self.driver.websocket_worker.mailbox},
        };
        const gpa = testing.allocator;
        try self.driver.init(gpa, &self.config, .epoll, &self.port, &self.dispatcher, 0);
        self.driver.websocket_worker.mailbox.peers = &self.mailboxes;
        self.driver.net.begin();
        for (0..sockets) |_| _ = try self.connect(handshake);
        try testing.expectEqual(sockets, self.app.sockets.len);
    }

    fn end(self: *Bench) !void {
        for (self.tokens.constSlice()) |token|
            if (self.driver.net.stream(token) != null) self.driver.net.onRecv(token, .failed);
        while (self.driver.hasWork()) self.driver.net.turn(0);
        try testing.expectEqual(self.app.sockets.len, self.app.ended);
        try testing.expectEqual(0, self.driver.net.conns.used);
        try testing.expectEqual(0, self.driver.net.pools.buffers.bytes_used);
        self.driver.deinit(testing.allocator);
    }

    /// A new connection, on which `bytes` have come.
    fn connect(self: *Bench, bytes: []const u8) !io.Token {
        _ = self.port.open.fetchAdd(1, .seq_cst);
        try testing.expect(self.port.accepted.push(.{ .fd = 5, .peer = .{} }));
        self.driver.net.turn(0);
        const token = self.driver.net.backend.token;
        self.tokens.appendAssumeCapacity(token);
        self.feed(token, bytes);
        return token;
    }

    fn feed(self: *Bench, token: io.Token, bytes: []const u8) void {
        var buffer: [1024]u8 = undefined;
        @memcpy(buffer[0..bytes.len], bytes);
        self.driver.net.onAwake();
        self.driver.net.onRecv(token, .{ .bytes = buffer[0..bytes.len] });
        self.driver.net.turn(0);
    }

    /// The socket of that number publishes so much.
    fn publish(self: *Bench, index: usize, bytes: []const u8) void {
        self.app.published = bytes;
        self.feed(self.tokens.get(index), message);
    }

    /// What waits for the connection of that number, bytes.
    fn waiting(self: *Bench, index: usize) u64 {
        return self.driver.net.conns.items[self.tokens.get(index).slot].queue.bytes;
    }
};

const handshake = "GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" ++
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" ++
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// An empty text, masked with zeros.
const message = "\x81\x80\x00\x00\x00\x00";

fn configWith(memory_bytes: u64) Config {
    return .{ .buffer_memory_bytes = memory_bytes, .connection_memory_bytes_max = memory_bytes };
}

test "a message to many sockets that take nothing leaves memory for others, and ends none" {
    for ([_]usize{ 512 * 1024, 60 * 1024 }) |len| {
        var bench: Bench = undefined;
        try bench.begin(configWith(4 * 1024 * 1024), 100);
        bench.driver.net.backend.room = 0;
        bench.publish(0, zeros[0..len]);
        try testing.expectEqual(0, bench.app.ended);
        try testing.expect(bench.waiting(1) > len);
        try testing.expectEqual(0, bench.waiting(99));
        // Who has taken all is sent what is small.
        bench.publish(0, "small");
        try testing.expect(bench.waiting(99) > 0);
        // A response that has to wait is whole.
        _ = try bench.connect("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        try testing.expect(bench.waiting(100) > large.len);
        try testing.expectEqual(0, bench.app.ended);
        try bench.end();
    }
}

test "what is said of a socket that ends in the middle of a publish is posted, not written" {
    var config = configWith(4 * 1024 * 1024);
    config.connection_memory_bytes_max = 8 * 1024;
    var bench: Bench = undefined;
    try bench.begin(config, 4);
    bench.app.admin = bench.app.sockets.get(0);
    bench.driver.net.backend.room = 0;
    bench.publish(0, zeros[0 .. 12 * 1024]);
    try testing.expectEqual(3, bench.app.told); // once for each that may not keep so much
    bench.driver.net.turn(0);
    try testing.expectEqual(3, bench.app.ended);
    try testing.expect(bench.waiting(0) >= 3 * "trouble".len);
    try bench.end();
}
