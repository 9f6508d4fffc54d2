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
/// A message has as many bytes published as `published` is long; trouble is told to `admin`,
/// and that more was published than a turn reaches.
const App = struct {
    sockets: std.BoundedArray(Socket, sockets_max) = .{},
    ended: u32 = 0,
    published: []const u8 = "",
    last_status: ?Socket.Status = null,
    admin: ?Socket = null,
    told: u32 = 0,
    messages: u32 = 0,

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
        self.messages += 1;
        self.last_status = ws.publish("news", .binary, self.published);
        if (self.admin) |admin| if (self.last_status == .posted) {
            _ = admin.sendText("behind");
        };
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
const Worker = Driver(Manual, Dispatcher, void, void);

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
        self.driver.websocket_worker.mailbox.settle();
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

    /// Another thread publishes "a" so often, or as often as there is room.
    fn publishElsewhere(self: *Bench, count: usize) !void {
        const thread = try std.Thread.spawn(.{}, publishMany, .{ self.mailboxes[0], count });
        thread.join();
    }

    fn publishMany(mailbox: *Mailbox, count: usize) void {
        for (0..count) |_| {
            if (mailbox.publish(.none, "news", .{ .kind = .text }, "a") != .posted) return;
        }
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

test "what was published goes on in the next turn, until every subscriber has had it" {
    const sockets = sockets_max; // more than one turn sends to
    var bench: Bench = undefined;
    try bench.begin(configWith(64 * 1024 * 1024), sockets);
    const backend = &bench.driver.net.backend;
    const frame_bytes = "\x81\x01a".len;
    const before = backend.in_flight;
    try bench.publishElsewhere(20);
    var turns: usize = 0;
    while (bench.driver.hasWork()) : (turns += 1) {
        const in_flight = backend.in_flight;
        bench.driver.net.turn(0);
        const most = limits.websocket_turn_sends_max * frame_bytes;
        try testing.expect(backend.in_flight - in_flight <= most);
    }
    try testing.expect(turns >= 20);
    try testing.expectEqual(20 * sockets * frame_bytes, backend.in_flight - before);
    try bench.end();
}

test "who publishes to more than a turn reaches is read on behind that, and nothing overtakes it" {
    var bench: Bench = undefined;
    try bench.begin(configWith(64 * 1024 * 1024), sockets_max);
    bench.app.admin = bench.app.sockets.get(sockets_max - 1);
    bench.app.published = "a";
    bench.feed(bench.tokens.get(0), message ++ message);
    try testing.expectEqual(.posted, bench.app.last_status.?);
    try testing.expectEqual(1, bench.app.messages);
    // Who has published less is read.
    bench.feed(bench.tokens.get(1), message);
    try testing.expectEqual(2, bench.app.messages);
    while (bench.driver.hasWork()) bench.driver.net.turn(0);
    const sent = bench.driver.net.backend.sent.constSlice();
    try testing.expect(std.mem.endsWith(u8, sent, "\x82\x01a\x81\x06behind"));
    while (bench.app.messages < 3 or bench.driver.hasWork()) bench.driver.net.turn(0);
    bench.app.admin = null;
    try bench.end();
}

test "whatever others post, a worker's own sockets publish and are answered" {
    var bench: Bench = undefined;
    try bench.begin(configWith(64 * 1024 * 1024), sockets_max);
    try bench.publishElsewhere(1 << 20); // until there is no room
    bench.app.published = "b";
    bench.feed(bench.tokens.get(0), message ++ message);
    try testing.expectEqual(.posted, bench.app.last_status.?);
    for (0..4) |_| bench.driver.net.turn(0);
    try testing.expectEqual(2, bench.app.messages);
    try testing.expect(!bench.mailboxes[0].others.isEmpty());
    try bench.end();
}

test "who has filled a worker's mailbox is ended all the same" {
    var bench: Bench = undefined;
    try bench.begin(configWith(64 * 1024 * 1024), 2);
    const ws = bench.app.sockets.get(0);
    const other = bench.app.sockets.get(1);
    // Large ones leave room for those of others.
    while (ws.sendBinary(&zeros) == .posted) {}
    try testing.expectEqual(.posted, other.sendBinary(zeros[0 .. 64 * 1024]));
    while (ws.sendText("more") == .posted) {}
    try testing.expectEqual(.posted, other.close(1000, ""));
    try testing.expectEqual(.posted, ws.terminate());
    while (bench.driver.hasWork()) bench.driver.net.turn(0);
    try testing.expectEqual(1, bench.app.ended); // the other's answer is waited for
    try bench.end();
}

test "one socket takes half of a worker's subscriptions at most" {
    var config = configWith(4 * 1024 * 1024);
    config.websocket_subscriptions_max = 64;
    var bench: Bench = undefined;
    try bench.begin(config, 2);
    const before = bench.mailboxes[0].enter();
    defer Mailbox.leave(before);
    for ([_]usize{ 31, 15 }, bench.app.sockets.constSlice()) |most, ws| {
        var name: [1]u8 = .{0};
        while (ws.subscribe(&name) == .sent) name[0] += 1;
        try testing.expectEqual(.dropped, ws.subscribe(&name));
        try testing.expect(name[0] >= most and name[0] <= most + 1);
        try testing.expectEqual(.sent, ws.subscribe("news")); // it has that
    }
    try bench.end();
}
