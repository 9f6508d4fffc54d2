//! Compressed WebSockets (RFC 7692) of a server in this process. It is linked with zlib-ng:
//! `zig build test-deflate`.

const std = @import("std");
const posix = std.posix;
const testing = std.testing;
const log = @import("../../core/log.zig");
const Request = @import("../../http/request.zig").Request;
const Response = @import("../../http/response.zig").Response;
const deflate = @import("../../websocket/deflate.zig");
const frames = @import("../../websocket/frames.zig");
const mask = @import("../../websocket/mask.zig");
const Config = @import("../config.zig").Config;
const Server = @import("../server.zig").Server;
const Compression = @import("compression.zig").Compression;
const Socket = @import("socket.zig").Socket;

const deadline_ms = 10_000;

/// Sends messages back. '+' subscribes to "news", '=' publishes what follows, '!' asks for a
/// message of 100,000 bytes, '-' that what follows is not compressed, '_' the same of what is
/// published. At /plain nothing is compressed.
const Echo = struct {
    ended: std.atomic.Value(u32) = .init(0),
    last_code: std.atomic.Value(u16) = .init(0),

    pub const Deflate = deflate;

    pub fn init() Echo {
        return .{};
    }

    pub fn deinit(_: *Echo) void {}

    pub fn handleRequest(_: *Echo, req: *Request, res: *Response) !void {
        res.upgrade(.{ .may_compress = !std.mem.eql(u8, req.path, "/plain") });
    }

    pub fn handleWSMessage(_: *Echo, ws: Socket, message: *const Socket.Message) void {
        const bytes = message.bytes;
        const first = if (bytes.len > 0) bytes[0] else 0;
        _ = switch (first) {
            '+' => blk: {
                _ = ws.subscribe("news");
                break :blk ws.sendText("subscribed");
            },
            '=' => ws.publish("news", message.kind, bytes[1..]),
            '-' => ws.sendPlain(message.kind, bytes[1..]),
            '_' => ws.publishPlain("news", message.kind, bytes[1..]),
            '!' => ws.sendText("large " ** 20_000),
            else => ws.send(message.kind, bytes),
        };
    }

    pub fn handleWSDisconn(self: *Echo, _: Socket, end: *const Socket.End) void {
        self.last_code.store(end.code, .release);
        _ = self.ended.fetchAdd(1, .acq_rel);
    }
};

/// Sends back parts as they come: each with its length in front, the last with "end".
const Parts = struct {
    ended: std.atomic.Value(u32) = .init(0),

    pub const Deflate = deflate;

    pub fn init() Parts {
        return .{};
    }

    pub fn deinit(_: *Parts) void {}

    pub fn handleRequest(_: *Parts, _: *Request, res: *Response) !void {
        res.upgrade(.{});
    }

    pub fn handleWSFrame(_: *Parts, ws: Socket, frame: *const Socket.Frame) void {
        var text: [64]u8 = undefined;
        const sum = std.hash.Crc32.hash(frame.bytes);
        const told = std.fmt.bufPrint(&text, "{d} {x} {}{}", .{
            frame.bytes.len,
            sum,
            @intFromBool(frame.begins),
            @intFromBool(frame.ends),
        }) catch unreachable;
        _ = ws.sendText(told);
        if (std.mem.startsWith(u8, frame.bytes, "end me")) _ = ws.terminate();
    }

    pub fn handleWSDisconn(self: *Parts, _: Socket, _: *const Socket.End) void {
        _ = self.ended.fetchAdd(1, .acq_rel);
    }
};

fn testConfig() Config {
    return .{
        .hostname = "127.0.0.1",
        .port = 0,
        .workers = 1,
        .connections_max = 64,
        .buffer_memory_bytes = 32 * 1024 * 1024,
        .websocket_deflate = true,
    };
}

const keeps: Config = blk: {
    var config = testConfig();
    config.websocket_deflate_server_context_takeover = true;
    config.websocket_deflate_client_context_takeover = true;
    break :blk config;
};

fn start(server: anytype, config: Config) !void {
    log.setLevel(.silent);
    try server.init(testing.allocator, config);
    errdefer server.deinit();
    try server.start();
}

/// Ends it; every connection has given back what it had.
fn stop(server: anytype) !void {
    server.requestStop(0);
    server.join();
    for (server.engine.impl.drivers) |*driver| {
        try testing.expectEqual(0, driver.websocket_worker.sessions.used);
        try testing.expectEqual(0, driver.net.pools.buffers.bytes_used);
        const compression = driver.websocket_worker.compression.?;
        try testing.expect(!compression.shared.inflater.is_busy);
        try testing.expectEqual(0, compression.copies.get(.at_once).used);
    }
    try testing.expectEqual(0, server.stats().allocations_after_start);
    server.deinit(); // which looks at the codec's memory
}

/// The first worker's.
fn compressionOf(server: anytype) *Compression(deflate) {
    return server.engine.impl.drivers[0].websocket_worker.compression.?;
}

const settings: deflate.Settings = .{
    .message_bytes_min = 0,
    .inflated_bytes_max = 64 << 20,
    .inflation_ratio_max = 100_000,
};

/// A client whose messages are compressed and decompressed as was agreed on.
const Client = struct {
    stream: std.net.Stream,
    memory: *deflate.Memory,
    deflater: *deflate.Deflater,
    inflater: *deflate.Inflater,
    answer: []const u8,
    answer_buffer: [200]u8 = undefined,
    buffer: []u8,
    text: []u8,

    const room = 4 << 20;

    fn open(server: anytype, path: []const u8, offer: []const u8) !*Client {
        const gpa = testing.allocator;
        const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, server.address().port);
        const stream = try std.net.tcpConnectToAddress(address);
        errdefer stream.close();
        const timeout: posix.timeval = .{ .sec = deadline_ms / 1000, .usec = 0 };
        const value = std.mem.asBytes(&timeout);
        try posix.setsockopt(stream.handle, posix.SOL.SOCKET, posix.SO.RCVTIMEO, value);
        try stream.writer().print("GET {s} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" ++
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" ++
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" ++
            "Sec-WebSocket-Extensions: {s}\r\n\r\n", .{ path, offer });
        const self = try gpa.create(Client);
        errdefer gpa.destroy(self);
        self.stream = stream;
        self.answer = try self.readAnswer();
        self.memory = try gpa.create(deflate.Memory);
        self.memory.* = .{ .allocator = gpa, .bytes_max = 8 << 20 };
        self.deflater = try .create(self.memory, &settings, 15, !self.has("client_no_context"));
        self.inflater = try .create(self.memory, 15, !self.has("server_no_context"));
        self.buffer = try gpa.alloc(u8, room);
        self.text = try gpa.alloc(u8, room);
        return self;
    }

    /// The value of Sec-WebSocket-Extensions; "" where the answer has none.
    fn readAnswer(self: *Client) ![]const u8 {
        var head: std.BoundedArray(u8, 1024) = .{};
        while (!std.mem.endsWith(u8, head.constSlice(), "\r\n\r\n"))
            try head.append(try self.stream.reader().readByte());
        try testing.expect(std.mem.startsWith(u8, head.constSlice(), "HTTP/1.1 101 "));
        const name = "Sec-WebSocket-Extensions: ";
        const at = std.mem.indexOf(u8, head.constSlice(), name) orelse return "";
        const rest = head.constSlice()[at + name.len ..];
        const value = rest[0..std.mem.indexOf(u8, rest, "\r\n").?];
        @memcpy(self.answer_buffer[0..value.len], value);
        return self.answer_buffer[0..value.len];
    }

    fn has(self: *const Client, parameter: []const u8) bool {
        return std.mem.indexOf(u8, self.answer, parameter) != null;
    }

    fn close(self: *Client) void {
        const gpa = testing.allocator;
        self.stream.close();
        self.deflater.destroy();
        self.inflater.destroy();
        gpa.destroy(self.memory);
        gpa.free(self.buffer);
        gpa.free(self.text);
        gpa.destroy(self);
    }

    /// A frame with these bytes, as they are.
    fn sendFrame(self: *Client, head_: frames.Head, payload: []const u8) !void {
        var head = head_;
        head.len = @intCast(payload.len);
        head.key = "\x01\x02\x03\x04".*;
        const out = try testing.allocator.alloc(u8, frames.head_bytes_max + payload.len);
        defer testing.allocator.free(out);
        const head_len = head.write(out[0..frames.head_bytes_max]).len;
        @memcpy(out[head_len..][0..payload.len], payload);
        _ = mask.apply(out[head_len..][0..payload.len], head.key.?);
        try self.stream.writeAll(out[0 .. head_len + payload.len]);
    }

    fn deflated(self: *Client, bytes: []const u8) []const u8 {
        return self.deflater.compress(&.{bytes}, self.buffer) orelse unreachable;
    }

    /// A message in one frame, compressed where it becomes shorter.
    fn send(self: *Client, opcode: frames.Opcode, bytes: []const u8) !void {
        const payload = self.deflater.compress(&.{bytes}, self.buffer);
        const head: frames.Head = .{ .opcode = opcode, .compressed = payload != null, .len = 0 };
        try self.sendFrame(head, payload orelse bytes);
    }

    /// The next message, of a frame or of several. Valid until the next call.
    fn receive(self: *Client) !struct { bytes: []const u8, compressed: bool, sent: usize } {
        const reader = self.stream.reader();
        var len: usize = 0;
        var compressed = false;
        while (true) {
            const first = try reader.readByte();
            try testing.expect(first & 0x0f <= 2); // no Close
            compressed = compressed or first & 0x40 != 0;
            const short = try reader.readByte();
            const part: usize = switch (short) {
                126 => try reader.readInt(u16, .big),
                127 => @intCast(try reader.readInt(u64, .big)),
                else => short,
            };
            try reader.readNoEof(self.buffer[len..][0..part]);
            len += part;
            if (first & 0x80 != 0) break;
        }
        const sent = self.buffer[0..len];
        if (!compressed) return .{ .bytes = sent, .compressed = false, .sent = len };
        var inflation: deflate.Inflation = .begin(self.inflater, &settings, .binary);
        const result = inflation.next(sent, true, self.text).result;
        try testing.expectEqual(.done, result.then);
        return .{ .bytes = result.bytes, .compressed = true, .sent = len };
    }

    fn expect(self: *Client, bytes: []const u8, compressed: bool) !void {
        const message = try self.receive();
        try testing.expectEqualStrings(bytes, message.bytes);
        try testing.expectEqual(compressed, message.compressed);
    }

    fn expectClose(self: *Client, code: u16) !void {
        const reader = self.stream.reader();
        try testing.expectEqual(0x88, try reader.readByte());
        try testing.expectEqual(2, try reader.readByte());
        try testing.expectEqual(code, try reader.readInt(u16, .big));
        try testing.expectEqual(error.EndOfStream, reader.readByte());
    }
};

const p = "permessage-deflate";
const none = p ++ "; server_no_context_takeover; client_no_context_takeover";
const words = "some words, and some words again; " ** 30;

test "compression: messages both ways, of all sizes, with contexts and without" {
    for ([_]Config{ testConfig(), keeps }) |config| {
        var server: Server(Echo) = undefined;
        try start(&server, config);
        for ([_]struct { []const u8, []const u8, []const u8 }{
            .{ p, none, p },
            .{ p ++ "; client_max_window_bits", none, p },
            .{
                p ++ "; server_max_window_bits=9; client_max_window_bits=9",
                none ++ "; server_max_window_bits=9; client_max_window_bits=9",
                p ++ "; server_max_window_bits=9; client_max_window_bits=9",
            },
            .{ p ++ "; server_no_context_takeover; client_no_context_takeover", none, none },
        }) |case| {
            const client = try Client.open(&server, "/", case[0]);
            defer client.close();
            const own = config.websocket_deflate_server_context_takeover;
            try testing.expectEqualStrings(if (own) case[2] else case[1], client.answer);
            // A window of 512 is what was promised here; this client's goes further.
            if (client.has("client_max_window_bits")) continue;
            try client.send(.text, "short");
            try client.expect("short", false);
            for (0..3) |_| {
                try client.send(.text, words);
                try client.expect(words, true);
            }
            try client.sendFrame(.{ .opcode = .text, .len = 0 }, words); // as it is
            try client.expect(words, true);
            try client.sendFrame(.{ .opcode = .text, .compressed = true, .len = 0 }, "\x00");
            try client.expect("", false);
            try client.send(.text, "!");
            try client.expect("large " ** 20_000, true);
            const large = try testing.allocator.alloc(u8, 3 << 20);
            defer testing.allocator.free(large);
            for (large, 0..) |*byte, i| byte.* = @truncate(i *% i >> 9);
            try client.send(.binary, large);
            const back = try client.receive();
            try testing.expect(std.mem.eql(u8, large, back.bytes));
        }
        try stop(&server);
    }
}

test "compression: where it is not wanted, or not offered, messages are as they are" {
    var server: Server(Echo) = undefined;
    try start(&server, testConfig());
    for ([_][2][]const u8{ .{ "/plain", p }, .{ "/", "other" }, .{ "/", p ++ "; x=1" } }) |case| {
        const client = try Client.open(&server, case[0], case[1]);
        defer client.close();
        try testing.expectEqualStrings("", client.answer);
        try client.sendFrame(.{ .opcode = .text, .len = 0 }, words);
        try client.expect(words, false);
        try client.send(.text, words);
        try client.expectClose(1002);
    }
    try stop(&server);
}

test "compression: a message that says so is not compressed, and those beside it are" {
    for ([_]Config{ testConfig(), keeps }) |config| {
        var server: Server(Echo) = undefined;
        try start(&server, config);
        const one = try Client.open(&server, "/", p);
        defer one.close();
        const other = try Client.open(&server, "/", p);
        defer other.close();
        try other.send(.text, "+");
        try other.expect("subscribed", false);
        for (0..2) |_| {
            try one.send(.text, "-" ++ words);
            try one.expect(words, false);
            try one.send(.text, words);
            try one.expect(words, true);
            try one.send(.text, "_" ++ words);
            try other.expect(words, false);
            try one.send(.text, "=" ++ words);
            try other.expect(words, true);
        }
        try stop(&server);
    }
}

test "compression: a message is read at every cut, and in fragments of all sizes" {
    var server: Server(Echo) = undefined;
    try start(&server, testConfig());
    const client = try Client.open(&server, "/", p);
    defer client.close();
    const payload = try testing.allocator.dupe(u8, client.deflated(words ++ "and an end"));
    defer testing.allocator.free(payload);
    for (0..payload.len + 1) |cut| {
        const first: frames.Head = .{ .opcode = .text, .compressed = true, .fin = false, .len = 0 };
        try client.sendFrame(first, payload[0..cut]);
        if (cut % 7 == 0) try client.sendFrame(.{ .opcode = .pong, .len = 0 }, "");
        try client.sendFrame(.{ .opcode = .continuation, .len = 0 }, payload[cut..]);
        try client.expect(words ++ "and an end", true);
    }
    for (1..20) |size| {
        var at: usize = 0;
        while (at < payload.len) : (at += size) {
            const part = payload[at..@min(at + size, payload.len)];
            try client.sendFrame(.{
                .opcode = if (at == 0) .text else .continuation,
                .compressed = at == 0,
                .fin = at + size >= payload.len,
                .len = 0,
            }, part);
        }
        try client.expect(words ++ "and an end", true);
    }
    try stop(&server);
}

test "compression: connections that share a decompressor do not wait for each other" {
    var server: Server(Echo) = undefined;
    try start(&server, testConfig());
    const slow = try Client.open(&server, "/", p);
    defer slow.close();
    const other = try Client.open(&server, "/", p);
    defer other.close();
    const payload = slow.deflated(words);
    const middle = payload.len / 2;
    const first: frames.Head = .{ .opcode = .text, .compressed = true, .fin = false, .len = 0 };
    const mine = try testing.allocator.dupe(u8, payload);
    defer testing.allocator.free(mine);
    try slow.sendFrame(first, mine[0..middle]);
    for (0..3) |_| {
        // Parts of both, one after the other.
        try other.sendFrame(first, mine[0..middle]);
        try other.sendFrame(.{ .opcode = .continuation, .len = 0 }, mine[middle..]);
        try other.expect(words, true);
    }
    try other.sendFrame(first, mine[0..3]);
    try slow.sendFrame(.{ .opcode = .continuation, .len = 0 }, mine[middle..]);
    try slow.expect(words, true);
    try other.sendFrame(.{ .opcode = .continuation, .len = 0 }, mine[3..]);
    try other.expect(words, true);
    try stop(&server);
}

test "compression: what cannot be, is too long or grows too much ends its connection alone" {
    var server: Server(Echo) = undefined;
    var config = testConfig();
    config.websocket_message_bytes_max = 1 << 20;
    try start(&server, config);
    const neighbour = try Client.open(&server, "/", p);
    defer neighbour.close();
    const zeros = try testing.allocator.alloc(u8, (1 << 20) + 1);
    defer testing.allocator.free(zeros);
    @memset(zeros, 0);
    const noise = try testing.allocator.alloc(u8, (1 << 20) + 1);
    defer testing.allocator.free(noise);
    // A nibble of sixteen: half of the bytes are left.
    var prng = std.Random.DefaultPrng.init(1);
    for (noise) |*byte| byte.* = 'a' + @as(u8, prng.random().int(u4));
    const Case = struct {
        kind: frames.Opcode,
        bytes: ?[]const u8,
        raw: []const u8 = "",
        code: u16,
    };
    const cases = [_]Case{
        .{ .kind = .binary, .bytes = zeros, .code = 1009 }, // by its ratio
        .{ .kind = .binary, .bytes = noise, .code = 1009 }, // by a byte
        .{ .kind = .text, .bytes = "\xff" ** 300, .code = 1007 },
        .{ .kind = .text, .bytes = "words " ** 90 ++ "\xe2\x82", .code = 1007 },
        .{ .kind = .binary, .bytes = null, .raw = "\xff\xff\xff", .code = 1007 },
        .{ .kind = .binary, .bytes = null, .raw = "\xf2\x48", .code = 1007 },
    };
    for (cases) |case| {
        for ([_]bool{ false, true }) |in_parts| {
            const client = try Client.open(&server, "/", p);
            defer client.close();
            const payload = if (case.bytes) |bytes| client.deflated(bytes) else case.raw;
            const own = try testing.allocator.dupe(u8, payload);
            defer testing.allocator.free(own);
            var head: frames.Head = .{ .opcode = case.kind, .compressed = true, .len = 0 };
            if (in_parts) {
                head.fin = false;
                try client.sendFrame(head, own[0..1]);
                head = .{ .opcode = .continuation, .len = 0 };
            }
            try client.sendFrame(head, own[@intFromBool(in_parts)..]);
            try client.expectClose(case.code);
            try neighbour.send(.text, words);
            try neighbour.expect(words, true);
        }
    }
    try neighbour.send(.binary, noise[1..]); // the longest
    try testing.expectEqual(1 << 20, (try neighbour.receive()).bytes.len);
    try testing.expectEqual(2 * cases.len, server.handler.ended.load(.acquire));
    try stop(&server);
}

test "compression: contexts that the budget does not hold are declined, and come back" {
    var server: Server(Echo) = undefined;
    var config = keeps;
    config.websocket_deflate_memory_bytes = 2 << 20;
    try start(&server, config);
    const shared_bytes = compressionOf(&server).memory.bytes;
    var clients: [16]*Client = undefined;
    var own: usize = 0;
    for (&clients) |*client| {
        client.* = try Client.open(&server, "/", p);
        if (client.*.has("server_no")) {
            try testing.expect(client.*.has("client_no") or own < clients.len);
        } else own += 1;
    }
    try testing.expect(own >= 3 and own <= 8);
    try testing.expectEqualStrings(none, clients[clients.len - 1].answer);
    for (clients) |client| {
        for (0..2) |_| {
            try client.send(.text, words);
            try client.expect(words, true);
        }
    }
    for (clients) |client| client.close();
    var timer = try std.time.Timer.start();
    while (server.handler.ended.load(.acquire) < clients.len) {
        if (timer.read() > deadline_ms * std.time.ns_per_ms) return error.NotInTime;
        std.time.sleep(std.time.ns_per_ms);
    }
    const again = try Client.open(&server, "/", p);
    try testing.expectEqualStrings(p, again.answer);
    again.close();
    try testing.expect(compressionOf(&server).memory.bytes >= shared_bytes);
    try stop(&server);
}

test "compression: what is published is compressed once for all whose messages stand alone" {
    for ([_]Config{ testConfig(), keeps }) |config| {
        var server: Server(Echo) = undefined;
        try start(&server, config);
        const offers = [_][]const u8{ p, none, p ++ "; server_max_window_bits=10", "x" };
        var clients: [24]*Client = undefined;
        for (&clients, 0..) |*client, i| {
            client.* = try Client.open(&server, "/", offers[i % offers.len]);
            try client.*.sendFrame(.{ .opcode = .text, .len = 0 }, "+");
            try client.*.expect("subscribed", false);
        }
        for (0..3) |_| {
            const before = compressionOf(&server).made.load(.monotonic);
            try testing.expectEqual(.posted, server.publish("news", .text, words));
            for (clients, 0..) |client, i| try client.expect(words, i % offers.len != 3);
            const made = compressionOf(&server).made.load(.monotonic) - before;
            // A window of 15 and one of 10; with contexts those of each by itself.
            const own = config.websocket_deflate_server_context_takeover;
            try testing.expectEqual(@as(u64, if (own) 12 + 1 else 2), made);
        }
        // At once, by one of them.
        try clients[0].send(.text, "=" ++ words);
        for (clients[1..], 1..) |client, i| try client.expect(words, i % offers.len != 3);
        for (clients) |client| client.close();
        try stop(&server);
    }
}

test "compression: what takes several turns to reach all is compressed once too" {
    var server: Server(Echo) = undefined;
    try start(&server, testConfig());
    var clients: [12]*Client = undefined;
    for (&clients) |*client| {
        client.* = try Client.open(&server, "/", p);
        try client.*.sendFrame(.{ .opcode = .text, .len = 0 }, "+");
        try client.*.expect("subscribed", false);
    }
    // A turn has 1024 sends of 16 KiB, and half of them are for what others post.
    const text = "a line that is much like others\n" ** 40_000;
    const before = compressionOf(&server).made.load(.monotonic);
    for (0..2) |_| {
        try testing.expectEqual(.posted, server.publish("news", .text, text));
        for (clients) |client| {
            const message = try client.receive();
            try testing.expect(message.compressed and std.mem.eql(u8, text, message.bytes));
        }
    }
    try testing.expectEqual(2, compressionOf(&server).made.load(.monotonic) - before);
    for (clients) |client| client.close();
    try stop(&server);
}

test "compression: a handler of parts has those of what is decompressed" {
    var server: Server(Parts) = undefined;
    try start(&server, testConfig());
    const client = try Client.open(&server, "/", p);
    const text = try testing.allocator.alloc(u8, (5 << 20) / 2);
    defer testing.allocator.free(text);
    var prng = std.Random.DefaultPrng.init(2);
    for (text) |*byte| byte.* = 'a' + @as(u8, prng.random().int(u4));
    var expected: [64]u8 = undefined;
    const middle: u32 = 1 << 20;
    for ([_]bool{ false, true }) |in_parts| {
        const payload = try testing.allocator.dupe(u8, client.deflated(text));
        defer testing.allocator.free(payload);
        var head: frames.Head = .{ .opcode = .text, .compressed = true, .len = 0 };
        head.fin = !in_parts;
        if (in_parts) {
            try client.sendFrame(head, payload[0..100]);
            head = .{ .opcode = .continuation, .len = 0 };
        }
        try client.sendFrame(head, payload[if (in_parts) 100 else 0..]);
        for ([_][3]u32{
            .{ 0, middle, 10 },
            .{ middle, 2 * middle, 0 },
            .{ 2 * middle, 5 << 19, 1 },
        }) |it| {
            const sum = std.hash.Crc32.hash(text[it[0]..it[1]]);
            const form = "{d} {x} {d:0>2}";
            const told = try std.fmt.bufPrint(&expected, form, .{ it[1] - it[0], sum, it[2] });
            try client.expect(told, false);
        }
    }
    // Who is told of a part may end the connection.
    @memcpy(text[0..6], "end me");
    try client.send(.text, text);
    const reader = client.stream.reader();
    const err = while (true) {
        _ = reader.readByte() catch |its| break its;
    };
    try testing.expect(err == error.EndOfStream or err == error.ConnectionResetByPeer);
    client.close();
    const other = try Client.open(&server, "/", p);
    try other.send(.text, words);
    _ = try other.receive();
    other.close();
    try stop(&server);
}

test "compression: a program without zlib-ng says so where it is asked for" {
    const Without = struct {
        pub fn init() @This() {
            return .{};
        }
        pub fn deinit(_: *@This()) void {}
        pub fn handleRequest(_: *@This(), _: *Request, _: *Response) !void {}
    };
    log.setLevel(.silent);
    var server: Server(Without) = undefined;
    const refused = server.init(testing.allocator, testConfig());
    try testing.expectError(error.DeflateMissing, refused);
}
