//! WebSockets of a server in this process: what only the engine's inside can tell, and what
//! handlers on several threads see of it. What a client can tell is tested in tests/websocket.

const std = @import("std");
const posix = std.posix;
const testing = std.testing;
const limits = @import("../../core/limits.zig");
const log = @import("../../core/log.zig");
const Request = @import("../../http/request.zig").Request;
const Response = @import("../../http/response.zig").Response;
const frames = @import("../../websocket/frames.zig");
const mask = @import("../../websocket/mask.zig");
const Config = @import("../config.zig").Config;
const Server = @import("../server.zig").Server;
const Socket = @import("socket.zig").Socket;

/// How long anything may take before a test calls it missing.
const deadline_ms = 10_000;

/// Sends messages back, to all who are there when they begin with '*'. Text "close" closes,
/// "terminate" ends, "flood" is answered with messages until one is not taken, "nested" with what
/// has ended every other socket. "+TOPIC" and "-TOPIC" subscribe to a topic and end that; what
/// begins with '=' is published under "news".
const App = struct {
    mutex: std.Thread.Mutex = .{},
    sockets: std.BoundedArray(Socket, 16) = .{},
    opened: std.atomic.Value(u32) = .init(0),
    ended: std.atomic.Value(u32) = .init(0),
    drained: std.atomic.Value(u32) = .init(0),
    last_code: std.atomic.Value(u16) = .init(0),
    flood_taken: std.atomic.Value(u32) = .init(0),
    flood_ended: std.atomic.Value(u8) = .init(255),

    /// A function of the handler is running on this thread.
    threadlocal var is_inside: bool = false;

    pub fn init() App {
        return .{};
    }

    pub fn deinit(_: *App) void {}

    pub fn handleRequest(_: *App, req: *Request, res: *Response) !void {
        if (std.mem.eql(u8, req.path, "/hello")) return res.sendStatic("hello");
        res.upgrade(.{ .protocols = &.{ "echo", "chat" }, .user = 7 });
    }

    /// The socket of that number.
    fn at(self: *App, index: usize) Socket {
        self.mutex.lock();
        defer self.mutex.unlock();
        return self.sockets.get(index);
    }

    fn enter() void {
        if (is_inside) @panic("a function was called in the middle of another");
        is_inside = true;
    }

    pub fn handleWSConn(self: *App, ws: Socket) void {
        enter();
        defer is_inside = false;
        if (ws.user != 7) @panic("another's number");
        self.mutex.lock();
        defer self.mutex.unlock();
        self.sockets.append(ws) catch {};
        _ = self.opened.fetchAdd(1, .acq_rel);
    }

    pub fn handleWSMessage(self: *App, ws: Socket, message: *const Socket.Message) void {
        enter();
        defer is_inside = false;
        const bytes = message.bytes;
        if (std.mem.eql(u8, bytes, "close")) {
            _ = ws.close(4001, "as you wish");
            if (ws.sendText("too late") != .closed) @panic("sent behind a Close");
            return;
        }
        if (std.mem.eql(u8, bytes, "terminate")) {
            _ = ws.terminate();
            return;
        }
        if (std.mem.eql(u8, bytes, "flood")) return self.flood(ws);
        if (std.mem.eql(u8, bytes, "nested")) return self.endOthers(ws);
        if (bytes.len > 0) switch (bytes[0]) {
            '+' => {
                _ = ws.subscribe(bytes[1..]);
                _ = ws.sendText("subscribed");
                return;
            },
            '-' => {
                _ = ws.unsubscribe(bytes[1..]);
                _ = ws.sendText("unsubscribed");
                return;
            },
            '=' => {
                _ = ws.publish("news", message.kind, bytes);
                return;
            },
            else => {},
        };
        if (bytes.len == 0 or bytes[0] != '*') {
            _ = ws.send(message.kind, bytes);
            return;
        }
        self.mutex.lock();
        defer self.mutex.unlock();
        for (self.sockets.constSlice()) |each| _ = each.send(message.kind, bytes);
    }

    fn flood(self: *App, ws: Socket) void {
        const piece = [_]u8{'f'} ** 32_000;
        for (0..10_000) |_| switch (ws.sendBinary(&piece)) {
            .sent, .waits => _ = self.flood_taken.fetchAdd(1, .acq_rel),
            else => |status| {
                self.flood_ended.store(@intFromEnum(status), .release);
                return;
            },
        };
    }

    fn endOthers(self: *App, ws: Socket) void {
        self.mutex.lock();
        defer self.mutex.unlock();
        for (self.sockets.constSlice()) |each| if (!each.eql(ws)) {
            _ = each.terminate();
        };
        _ = ws.sendText("done");
    }

    pub fn handleWSDrain(self: *App, _: Socket) void {
        enter();
        defer is_inside = false;
        _ = self.drained.fetchAdd(1, .acq_rel);
    }

    pub fn handleWSDisconn(self: *App, ws: Socket, end: *const Socket.End) void {
        enter();
        defer is_inside = false;
        self.mutex.lock();
        defer self.mutex.unlock();
        for (self.sockets.constSlice(), 0..) |each, i| if (each.eql(ws)) {
            _ = self.sockets.swapRemove(i);
            break;
        };
        self.last_code.store(end.code, .release);
        _ = self.ended.fetchAdd(1, .acq_rel);
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

fn start(server: *AppServer, config: Config) !void {
    log.setLevel(.silent);
    try server.init(testing.allocator, config);
    errdefer server.deinit();
    try server.start();
}

/// Ends it, when all connections have gone; nothing may be left anywhere.
fn stop(server: *AppServer) !void {
    const allocations = server.stats().allocations_after_start;
    server.requestStop(deadline_ms);
    server.join();
    for (server.engine.impl.drivers) |*driver| {
        try testing.expectEqual(0, driver.websocket_worker.sessions.used);
        try testing.expectEqual(0, driver.exchanges.used());
        try testing.expectEqual(0, driver.net.pools.buffers.bytes_used);
    }
    try testing.expectEqual(server.handler.opened.raw, server.handler.ended.raw);
    server.deinit();
    try testing.expectEqual(0, allocations);
}

/// Waits until `value` is `wanted`.
fn until(value: anytype, wanted: anytype) !void {
    var timer = try std.time.Timer.start();
    while (value.load(.acquire) != wanted) {
        if (timer.read() > deadline_ms * std.time.ns_per_ms) return error.NotInTime;
        std.time.sleep(std.time.ns_per_ms);
    }
}

const handshake_text = "GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" ++
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, echo\r\n" ++
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// RFC 6455 §1.3 has key and answer.
const handshake_answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n" ++
    "Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" ++
    "Sec-WebSocket-Protocol: chat\r\n\r\n";

const Client = struct {
    stream: std.net.Stream,
    buffer: [70_000]u8 = undefined,

    /// Connects, and sends `bytes` with the handshake.
    fn open(server: *const AppServer, bytes: []const u8) !Client {
        const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, server.address().port);
        const stream = try std.net.tcpConnectToAddress(address);
        errdefer stream.close();
        const timeout: posix.timeval = .{ .sec = deadline_ms / 1000, .usec = 0 };
        const value = std.mem.asBytes(&timeout);
        try posix.setsockopt(stream.handle, posix.SOL.SOCKET, posix.SO.RCVTIMEO, value);
        var first: [4096]u8 = undefined;
        @memcpy(first[0..handshake_text.len], handshake_text);
        @memcpy(first[handshake_text.len..][0..bytes.len], bytes);
        try stream.writeAll(first[0 .. handshake_text.len + bytes.len]);
        var answer: [handshake_answer.len]u8 = undefined;
        try testing.expectEqual(answer.len, try stream.reader().readAll(&answer));
        try testing.expectEqualStrings(handshake_answer, &answer);
        return .{ .stream = stream };
    }

    fn close(self: *Client) void {
        self.stream.close();
    }

    fn frameOf(out: []u8, opcode: frames.Opcode, fin: bool, payload: []const u8) []u8 {
        const head: frames.Head = .{
            .opcode = opcode,
            .fin = fin,
            .len = @intCast(payload.len),
            .key = "\x01\x02\x03\x04".*,
        };
        const head_len = head.write(out[0..frames.head_bytes_max]).len;
        @memcpy(out[head_len..][0..payload.len], payload);
        _ = mask.apply(out[head_len..][0..payload.len], head.key.?);
        return out[0 .. head_len + payload.len];
    }

    fn send(self: *Client, opcode: frames.Opcode, fin: bool, payload: []const u8) !void {
        try self.stream.writeAll(frameOf(&self.buffer, opcode, fin, payload));
    }

    /// The payload of the next frame, which has this first byte. Valid until the next call.
    fn expect(self: *Client, first: u8) ![]const u8 {
        const reader = self.stream.reader();
        try testing.expectEqual(first, try reader.readByte());
        const short = try reader.readByte();
        const len: usize = switch (short) {
            126 => try reader.readInt(u16, .big),
            127 => @intCast(try reader.readInt(u64, .big)),
            else => short,
        };
        try reader.readNoEof(self.buffer[0..len]);
        return self.buffer[0..len];
    }

    fn expectText(self: *Client, text: []const u8) !void {
        try testing.expectEqualStrings(text, try self.expect(0x81));
    }

    fn expectEnd(self: *Client) !void {
        var byte: [1]u8 = undefined;
        try testing.expectEqual(0, try self.stream.read(&byte));
    }
};

test "websockets: messages whole and in parts, pings, and a Close, without an allocation" {
    var server: AppServer = undefined;
    try start(&server, testConfig());
    var client = try Client.open(&server, "");
    try client.send(.text, true, "hello");
    try client.expectText("hello");
    try client.send(.text, true, "");
    try client.expectText("");
    try client.send(.text, false, "in ");
    try client.send(.ping, true, "there?");
    try client.send(.continuation, false, "three ");
    try client.send(.continuation, true, "parts");
    try testing.expectEqualStrings("there?", try client.expect(0x8a));
    try client.expectText("in three parts");
    const large = try testing.allocator.alloc(u8, 69_000);
    defer testing.allocator.free(large);
    for (large, 0..) |*byte, i| byte.* = @truncate(i *% 7);
    try client.send(.binary, true, large);
    try testing.expectEqualSlices(u8, large, try client.expect(0x82));
    try client.send(.close, true, "\x03\xe8bye");
    try testing.expectEqualStrings("\x03\xe8", try client.expect(0x88));
    try client.expectEnd();
    client.close();
    try until(&server.handler.ended, 1);
    try testing.expectEqual(1000, server.handler.last_code.raw);
    try stop(&server);
}

test "websockets: what a client sends with its handshake is not lost" {
    var server: AppServer = undefined;
    try start(&server, testConfig());
    var buffer: [256]u8 = undefined;
    var client = try Client.open(&server, Client.frameOf(&buffer, .text, true, "early"));
    try client.expectText("early");
    client.close();
    try until(&server.handler.ended, 1);
    try testing.expectEqual(1006, server.handler.last_code.raw);
    try stop(&server);
}

test "websockets: a message of many blocks is told in one piece" {
    var server: AppServer = undefined;
    try start(&server, testConfig());
    var client = try Client.open(&server, "");
    const part = [_]u8{'p'} ** 60_000;
    for (0..40) |i| try client.send(if (i == 0) .binary else .continuation, i == 39, &part);
    var seen: usize = 0;
    // It is sent back in frames of at most a MiB, whose payloads are read in pieces.
    const reader = client.stream.reader();
    while (seen < 40 * part.len) {
        const first = try reader.readByte();
        try testing.expectEqual(@as(u8, if (seen == 0) 2 else 0), first & 0x0f);
        try testing.expectEqual(127, try reader.readByte());
        var left: usize = @intCast(try reader.readInt(u64, .big));
        try testing.expect(left <= limits.websocket_frame_bytes_max_default);
        seen += left;
        while (left > 0) {
            const piece = client.buffer[0..@min(left, client.buffer.len)];
            try reader.readNoEof(piece);
            try testing.expect(std.mem.allEqual(u8, piece, 'p'));
            left -= piece.len;
        }
        try testing.expectEqual(seen == 40 * part.len, first & 0x80 != 0);
    }
    client.close();
    try until(&server.handler.ended, 1);
    try stop(&server);
}

test "websockets: other threads, and those of other workers, reach a socket" {
    var server: AppServer = undefined;
    try start(&server, testConfig());
    var clients: [6]Client = undefined;
    for (&clients) |*client| client.* = try Client.open(&server, "");
    try until(&server.handler.opened, clients.len);
    for (0..clients.len) |i|
        try testing.expectEqual(.posted, server.handler.at(i).sendText("from outside"));
    for (&clients) |*client| try client.expectText("from outside");
    try clients[0].send(.text, true, "*all");
    for (&clients) |*client| try client.expectText("*all");
    const ws = server.handler.at(0);
    try testing.expectEqual(.invalid, ws.sendText("\xff"));
    try testing.expectEqual(.invalid, ws.close(1006, ""));
    try testing.expectEqual(.invalid, ws.ping("x" ** 126));
    const too_long = try testing.allocator.alloc(u8, limits.websocket_posts_bytes);
    defer testing.allocator.free(too_long);
    @memset(too_long, 'x');
    try testing.expectEqual(.dropped, ws.sendText(too_long));
    try testing.expectEqual(.posted, ws.close(4000, "from outside"));
    try testing.expectEqual(.posted, ws.sendText("too late"));
    var closed: u32 = 0;
    for (&clients) |*client| {
        client.stream.close();
        closed += 1;
    }
    try until(&server.handler.ended, closed);
    // A name of who has gone is nobody's.
    try testing.expectEqual(.posted, ws.sendText("too late"));
    try stop(&server);
}

test "websockets: what is published reaches those who have subscribed, of all workers" {
    var server: AppServer = undefined;
    try start(&server, testConfig());
    var clients: [6]Client = undefined;
    for (&clients) |*client| client.* = try Client.open(&server, "");
    for (clients[0..4]) |*client| {
        try client.send(.text, true, "+news");
        try client.expectText("subscribed");
    }
    try clients[3].send(.text, true, "-news");
    try clients[3].expectText("unsubscribed");
    // To all but who has published it.
    try clients[0].send(.text, true, "=one");
    for (clients[1..3]) |*client| try client.expectText("=one");
    try testing.expectEqual(.posted, server.publish("news", .text, "two"));
    for (clients[0..3]) |*client| try client.expectText("two");
    try testing.expectEqual(.invalid, server.publish("", .text, "x"));
    try testing.expectEqual(.invalid, server.publish("n" ** 129, .text, "x"));
    try testing.expectEqual(.invalid, server.publish("news", .text, "\xff"));
    // Who has gone misses it, and nobody else does.
    clients[1].close();
    try until(&server.handler.ended, 1);
    try clients[5].send(.text, true, "=three");
    for ([_]usize{ 0, 2 }) |i| try clients[i].expectText("=three");
    for ([_]usize{ 3, 4, 5 }) |i| {
        try clients[i].send(.text, true, "nothing else");
        try clients[i].expectText("nothing else");
    }
    for ([_]usize{ 0, 2, 3, 4, 5 }) |i| clients[i].close();
    try until(&server.handler.ended, 6);
    for (server.engine.impl.drivers) |*driver|
        try testing.expectEqual(0, driver.websocket_worker.topics.subscriptions.used);
    try stop(&server);
}

test "websockets: ends that a handler brings about are told when it is through" {
    var server: AppServer = undefined;
    var config = testConfig();
    config.workers = 1;
    try start(&server, config);
    var clients: [5]Client = undefined;
    for (&clients) |*client| client.* = try Client.open(&server, "");
    try until(&server.handler.opened, clients.len);
    try clients[2].send(.text, true, "nested");
    try clients[2].expectText("done");
    try until(&server.handler.ended, 4);
    try clients[2].send(.text, true, "terminate");
    try until(&server.handler.ended, 5);
    for (&clients) |*client| client.close();
    try stop(&server);
}

test "websockets: who does not take what it is sent has it dropped, and is told of room again" {
    var server: AppServer = undefined;
    try start(&server, testConfig());
    var client = try Client.open(&server, "");
    try client.send(.text, true, "flood");
    try until(&server.handler.flood_ended, @intFromEnum(Socket.Status.dropped));
    // It is told behind the last that waits: the peer may have that before.
    for (0..server.handler.flood_taken.load(.acquire)) |_| {
        const message = try client.expect(0x82);
        try testing.expectEqual(32_000, message.len);
    }
    try until(&server.handler.drained, 1);
    try client.send(.text, true, "close");
    _ = try client.expect(0x88);
    client.close();
    try until(&server.handler.ended, 1);
    try stop(&server);
}

test "websockets: where that is what is wanted, who does not take what it is sent is ended" {
    var server: AppServer = undefined;
    var config = testConfig();
    config.websocket_overflow = .close;
    try start(&server, config);
    var client = try Client.open(&server, "");
    var other = try Client.open(&server, "");
    try client.send(.text, true, "flood");
    try until(&server.handler.ended, 1);
    try testing.expectEqual(@intFromEnum(Socket.Status.closed), server.handler.flood_ended.raw);
    try testing.expectEqual(1006, server.handler.last_code.raw);
    try other.send(.text, true, "still here");
    try other.expectText("still here");
    other.close();
    client.close();
    try until(&server.handler.ended, 2);
    try stop(&server);
}

test "websockets: a stop tells them 1001 and waits for their answer" {
    var server: AppServer = undefined;
    try start(&server, testConfig());
    var client = try Client.open(&server, "");
    try client.send(.text, true, "hello");
    try client.expectText("hello");
    server.requestStop(deadline_ms);
    try testing.expectEqualStrings("\x03\xe9", try client.expect(0x88));
    try client.send(.close, true, "\x03\xe9");
    try client.expectEnd();
    client.close();
    try stop(&server);
}

test "websockets: a stop waits no longer than it may" {
    var server: AppServer = undefined;
    try start(&server, testConfig());
    var client = try Client.open(&server, "");
    try until(&server.handler.opened, 1);
    server.requestStop(50);
    try stop(&server);
    client.close();
}

test "websockets: an idle one keeps less than two KiB" {
    const Engine = @FieldType(AppServer, "engine");
    const Impl = @typeInfo(@FieldType(Engine, "impl")).pointer.child;
    const Driver = @typeInfo(@FieldType(Impl, "drivers")).pointer.child;
    const bytes = Driver.idle_bytes + @sizeOf(Driver.websockets.Session) + 2 * @sizeOf(u32);
    try testing.expect(bytes <= limits.idle_connection_bytes_max);
}
