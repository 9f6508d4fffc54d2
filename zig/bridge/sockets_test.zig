//! WebSockets whose JS thread is played here: what the records say, and what becomes of those that
//! say wrong things.

const std = @import("std");
const testing = std.testing;
const abi = @import("abi.zig");
const hostile = @import("hostile_test.zig");
const Play = hostile.Play;
const ring_file = @import("ring.zig");

pub const config =
    \\{"server":{"port":0,"hostname":"127.0.0.1","workers":1,"connections_max":64},
    \\ "ring_bytes":131072,"credit_bytes":65536,
    \\ "table":{"targets":[{"kind":"lane","route":7}],"fallback":0,"websocket":
    \\ {"unsent_bytes_max":65536,"tells_pings":true,"tells_pongs":true}}}
;
/// A quarter of the ring, which is less than `credit_bytes` says.
pub const credit_bytes = 131072 / 4;
const key = "dGhlIHNhbXBsZSBub25jZQ==";
const asking_text = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" ++
    "Upgrade: websocket\r\n";
const usual_fields = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " ++ key ++ "\r\n";
pub const handshake_text = asking_text ++ usual_fields ++ "\r\n";
const answer_text = "HTTP/1.1 101 Switching Protocols\r\n";

pub const Name = struct { slot: u32, generation: u32 };

pub fn nameOf(record: ring_file.Record) Name {
    return .{ .slot = record.header.slot, .generation = record.header.generation };
}

pub fn headerOf(
    comptime T: type,
    kind: abi.RecordKind,
    flags: u16,
    name: Name,
    behind: usize,
) abi.RecordHeader {
    return .{
        .size = abi.recordSize(@intCast(@sizeOf(T) + @min(behind, abi.chunk_bytes_max))),
        .kind = kind,
        .flags = flags,
        .slot = name.slot,
        .generation = name.generation,
    };
}

pub fn publish(play: *Play, record: anytype, behind: []const u8) !void {
    const is_header = @TypeOf(record) == abi.RecordHeader;
    const header: abi.RecordHeader = if (is_header) record else record.header;
    var buffer: [64 * 1024]u8 = @splat(0);
    const fixed = std.mem.asBytes(&record);
    @memcpy(buffer[0..fixed.len], fixed);
    @memcpy(buffer[fixed.len..][0..behind.len], behind);
    try play.publishRaw(buffer[0..header.size]);
}

pub fn upgradeOf(name: Name) abi.SocketUpgrade {
    return .{
        .header = headerOf(abi.SocketUpgrade, .response_upgrade, 0, name, 0),
        .field_count = 0,
        .protocol_len = 0,
        .field_bytes = 0,
        .key = key.*,
    };
}

pub fn sendOf(name: Name, flags: u16, len: u32, total: u32) abi.SocketSend {
    return .{
        .header = headerOf(abi.SocketSend, .socket_send, flags, name, len),
        .len = len,
        .total = total,
    };
}

pub const whole = abi.flag_begin | abi.flag_end;

/// A socket, and the client's end of it.
pub const Pair = struct {
    stream: std.net.Stream,
    name: Name,

    pub fn open(play: *Play) !Pair {
        const stream = try play.connect();
        errdefer stream.close();
        try stream.writeAll(handshake_text);
        return answer(play, stream, nameOf(try play.nextRequest()));
    }

    /// The socket that a request becomes.
    pub fn answer(play: *Play, stream: std.net.Stream, asked: Name) !Pair {
        try publish(play, upgradeOf(asked), "");
        const record = try play.nextOf(&.{.socket_open});
        const opened = record.fixed(abi.SocketOpen).?;
        try testing.expectEqual(asked.slot, opened.exchange_slot);
        try testing.expectEqual(asked.generation, opened.exchange_generation);
        try testing.expectEqual(credit_bytes, opened.credit);
        try testing.expectEqual(65536, opened.unsent_max);
        const self: Pair = .{ .stream = stream, .name = nameOf(record) };
        var head: [512]u8 = undefined;
        var len: usize = 0;
        while (!std.mem.endsWith(u8, head[0..len], "\r\n\r\n"))
            len += try stream.read(head[len..][0..1]);
        try testing.expect(std.mem.startsWith(u8, &head, answer_text));
        return self;
    }

    pub fn close(self: *const Pair) void {
        self.stream.close();
    }

    /// Sends a frame, masked with zeros.
    pub fn say(self: *const Pair, opcode: u8, payload: []const u8) !void {
        // One write: the system holds a second, small one back.
        var frame: [14 + 65_535]u8 = undefined;
        const head = frame[0..14];
        @memset(head, 0);
        head[0] = 0x80 | opcode;
        var len: usize = 2;
        if (payload.len < 126) {
            head[1] = 0x80 | @as(u8, @intCast(payload.len));
        } else {
            head[1] = 0x80 | 126;
            std.mem.writeInt(u16, head[2..4], @intCast(payload.len), .big);
            len = 4;
        }
        len += 4;
        @memcpy(frame[len..][0..payload.len], payload);
        try self.stream.writeAll(frame[0 .. len + payload.len]);
    }

    pub fn readAll(self: *const Pair, out: []u8) !void {
        var len: usize = 0;
        while (len < out.len) {
            const n = try self.stream.read(out[len..]);
            if (n == 0) return error.EndOfStream;
            len += n;
        }
    }

    pub fn expectFrame(self: *const Pair, first: u8, payload: []const u8) !void {
        var buffer: [256]u8 = undefined;
        try self.readAll(buffer[0..2]);
        try testing.expectEqual(first, buffer[0]);
        try testing.expectEqual(payload.len, buffer[1]);
        try self.readAll(buffer[0..payload.len]);
        try testing.expectEqualStrings(payload, buffer[0..payload.len]);
    }

    pub fn expectClose(self: *const Pair, code: u16) !void {
        var text: [2]u8 = undefined;
        std.mem.writeInt(u16, &text, code, .big);
        try self.expectFrame(0x88, &text);
    }

    pub fn send(self: *const Pair, play: *Play, text: []const u8) !void {
        const len: u32 = @intCast(text.len);
        try publish(play, sendOf(self.name, whole | abi.flag_text, len, len), text);
    }

    /// It goes both ways.
    pub fn expectAlive(self: *const Pair, play: *Play) !void {
        try self.say(1, "there");
        const record = try play.nextOf(&.{.socket_message});
        try testing.expectEqual(self.name, nameOf(record));
        try self.send(play, "here");
        try self.expectFrame(0x81, "here");
    }
};

test "messages, pings and the end of a socket, both ways" {
    var play = try Play.openWith(config);
    defer play.close();
    const pair = try Pair.open(&play);
    defer pair.close();
    try pair.say(1, "hello");
    const record = try play.nextOf(&.{.socket_message});
    try testing.expectEqual(whole | abi.flag_text, record.header.flags);
    const chunk = record.fixed(abi.Chunk).?;
    try testing.expectEqualStrings("hello", record.bytes[@sizeOf(abi.Chunk)..][0..chunk.len]);
    try publish(&play, sendOf(pair.name, abi.flag_begin, 3, 8), "one");
    try publish(&play, sendOf(pair.name, 0, 3, 8), "two");
    try publish(&play, sendOf(pair.name, abi.flag_end, 2, 8), "ab");
    try pair.expectFrame(0x82, "onetwoab");
    try pair.say(9, "a");
    try pair.expectFrame(0x8a, "a");
    _ = try play.nextOf(&.{.socket_ping});
    try pair.say(10, "b");
    _ = try play.nextOf(&.{.socket_pong});
    inline for (.{ .{ .socket_send_ping, 0x89 }, .{ .socket_send_pong, 0x8a } }) |one| {
        const header = headerOf(abi.Chunk, one[0], 0, pair.name, 1);
        try publish(&play, abi.Chunk{ .header = header, .len = 1, .reserved = 0 }, "c");
        try pair.expectFrame(one[1], "c");
    }
    try publish(&play, abi.SocketClose{
        .header = headerOf(abi.SocketClose, .socket_send_close, 0, pair.name, 3),
        .code = 4000,
        .reason_len = 3,
        .reserved = 0,
    }, "bye");
    try pair.expectFrame(0x88, "\x0f\xa0bye");
    try pair.say(8, "\x0f\xa1ok");
    const end = try play.nextOf(&.{.socket_close});
    const told = end.fixed(abi.SocketClose).?;
    try testing.expectEqual(abi.flag_end, told.header.flags);
    try testing.expectEqual(4001, told.code);
    try testing.expectEqualStrings("ok", end.bytes[@sizeOf(abi.SocketClose)..][0..told.reason_len]);
    try testing.expectEqual(0, play.engine.stats().badRecords);
}

test "an upgrade that cannot be is answered with 500, and JS is told to forget it" {
    var play = try Play.openWith(config);
    defer play.close();
    const Spoil = *const fn (record: *abi.SocketUpgrade) void;
    for ([_]Spoil{
        &struct {
            fn f(r: *abi.SocketUpgrade) void {
                r.field_count = 65535;
            }
        }.f,
        &struct {
            fn f(r: *abi.SocketUpgrade) void {
                r.field_bytes = 0xffff_ffff;
            }
        }.f,
        &struct {
            fn f(r: *abi.SocketUpgrade) void {
                r.protocol_len = 65535;
            }
        }.f,
        &struct {
            fn f(r: *abi.SocketUpgrade) void {
                r.header.size = 24; // too short
            }
        }.f,
        &struct {
            fn f(r: *abi.SocketUpgrade) void {
                r.protocol_len = 1; // what stands behind it is zero, and no token
                r.header.size += 8;
            }
        }.f,
    }) |spoil| {
        const stream = try play.connect();
        defer stream.close();
        try stream.writeAll(handshake_text);
        var record = upgradeOf(nameOf(try play.nextRequest()));
        spoil(&record);
        try publish(&play, record, "");
        try hostile.expectStatus(stream, "500");
        _ = try play.nextOf(&.{.request_abort});
    }
    // A request that does not ask for one gets none.
    const plain = try play.connect();
    defer plain.close();
    try plain.writeAll(hostile.request_text);
    try publish(&play, upgradeOf(nameOf(try play.nextRequest())), "");
    try hostile.expectStatus(plain, "500");
    try testing.expectEqual(6, play.engine.stats().badRecords);
    const pair = try Pair.open(&play);
    defer pair.close();
    try pair.expectAlive(&play);
}

test "what is wrong with a handshake is answered when JS asks for the socket" {
    var play = try Play.openWith(config);
    defer play.close();
    const cases = [_]struct { []const u8, []const u8, u16 }{
        .{ "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: " ++ key ++ "\r\n", "426", 0 },
        .{ "Sec-WebSocket-Version: 13\r\n", "400", 0 },
        .{ "Origin: http://b\r\n" ++ usual_fields, "403", 0 },
        .{
            "Origin: http://b\r\n" ++ usual_fields,
            "101",
            abi.flag_origin_allowed,
        },
        .{
            "Origin: http://a\r\n" ++ usual_fields,
            "403",
            abi.flag_origin_refused,
        },
    };
    for (cases) |case| {
        const stream = try play.connect();
        defer stream.close();
        try stream.writeAll(asking_text);
        try stream.writeAll(case[0]);
        try stream.writeAll("\r\n");
        var record = upgradeOf(nameOf(try play.nextRequest()));
        record.header.flags = case[2];
        try publish(&play, record, "");
        try hostile.expectStatus(stream, case[1]);
        const is_open = std.mem.eql(u8, case[1], "101");
        _ = try play.nextOf(&.{if (is_open) .socket_open else .request_abort});
    }
    try testing.expectEqual(0, play.engine.stats().badRecords);
}

test "a wrong record about a socket closes it with 1011, and no other" {
    var play = try Play.openWith(config);
    defer play.close();
    const other = try Pair.open(&play);
    defer other.close();
    const none: Name = .{ .slot = 0, .generation = 0 };
    const Make = struct {
        fn topic(kind: abi.RecordKind, len: u32) abi.SocketTopic {
            const header = headerOf(abi.SocketTopic, kind, 0, none, 0);
            return .{ .header = header, .topic_len = len, .reserved = 0 };
        }
        fn close(code: u16, len: u16) abi.SocketClose {
            const header = headerOf(abi.SocketClose, .socket_send_close, 0, none, 0);
            return .{ .header = header, .code = code, .reason_len = len, .reserved = 0 };
        }
        fn chunk(kind: abi.RecordKind, len: u32) abi.Chunk {
            const header = headerOf(abi.Chunk, kind, 0, none, 0);
            return .{ .header = header, .len = len, .reserved = 0 };
        }
    };
    var bad: u64 = 0;
    inline for (.{
        sendOf(none, whole, 0xffff_ffff, 0xffff_ffff),
        sendOf(none, whole, 40_000, 40_000),
        sendOf(none, whole, 1, 2), // it does not end
        sendOf(none, abi.flag_end, 1, 1), // it has not begun
        sendOf(none, abi.flag_begin, 0, 0xffff_ffff),
        sendOf(none, abi.flag_begin, 3, 2),
        Make.topic(.socket_subscribe, 0),
        Make.topic(.socket_subscribe, 129),
        Make.topic(.socket_unsubscribe, 100),
        Make.close(1005, 0),
        Make.close(1000, 124),
        Make.close(1000, 65535),
        Make.chunk(.socket_send_ping, 126),
        Make.chunk(.socket_send_pong, 0xffff_ffff),
    }) |wrong| {
        const pair = try Pair.open(&play);
        defer pair.close();
        var record = wrong;
        record.header.slot = pair.name.slot;
        record.header.generation = pair.name.generation;
        record.header.size = @sizeOf(@TypeOf(record));
        try publish(&play, record, "");
        try pair.expectClose(1011);
        bad += 1;
    }
    const pair = try Pair.open(&play);
    defer pair.close();
    try pair.send(&play, "\xff"); // no UTF-8
    try pair.expectClose(1011);
    try testing.expectEqual(bad + 1, play.engine.stats().badRecords);
    try other.expectAlive(&play);
}

test "more than may wait for a peer closes its socket, whatever JS has counted" {
    var play = try Play.openWith(config);
    defer play.close();
    const pair = try Pair.open(&play);
    defer pair.close();
    const bytes = [_]u8{'x'} ** 32_000;
    // The client reads nothing.
    var sent: usize = 0;
    while (play.engine.stats().badRecords == 0 and sent < 2000) : (sent += 1) {
        for (0..10_000) |_| {
            if (try play.responses.fits(abi.chunk_bytes_max + 64)) break;
            std.time.sleep(std.time.ns_per_ms);
        } else return error.NoRoom;
        try publish(&play, sendOf(pair.name, whole, bytes.len, bytes.len), &bytes);
    }
    try testing.expect(sent < 2000);
    try testing.expectEqual(1, play.engine.stats().badRecords);
}

test "what has left is told in steps" {
    var play = try Play.openWith(config);
    defer play.close();
    const pair = try Pair.open(&play);
    defer pair.close();
    const step = 65536 / 4;
    const bytes = [_]u8{'x'} ** 8000;
    var counted: usize = 0;
    for (0..20) |_| {
        try publish(&play, sendOf(pair.name, whole, bytes.len, bytes.len), &bytes);
        var frame: [bytes.len + 4]u8 = undefined;
        try pair.readAll(&frame);
        counted += bytes.len + abi.socket_message_cost;
    }
    var told: usize = 0;
    while (told + step <= counted) {
        const record = try play.nextOf(&.{.socket_sent});
        told += record.fixed(abi.Credit).?.grant;
    }
    try testing.expect(told <= counted);
}

test "who grants nothing has the peer wait, and loses nothing; others go on" {
    var play = try Play.openWith(config);
    defer play.close();
    const pair = try Pair.open(&play);
    defer pair.close();
    const other = try Pair.open(&play);
    defer other.close();
    const Sender = struct {
        fn run(one: Pair) void {
            const bytes = [_]u8{'x'} ** 1000;
            for (0..500) |_| one.say(2, &bytes) catch return;
        }
    };
    const sender = try std.Thread.spawn(.{}, Sender.run, .{pair});
    defer sender.join();
    var got: usize = 0;
    var ends: usize = 0;
    // Nothing more comes when all is spent but what a ping might cost.
    while (got < credit_bytes - abi.socket_message_cost - 125) {
        const record = try play.nextOf(&.{.socket_message});
        try testing.expectEqual(pair.name, nameOf(record));
        got += record.fixed(abi.Chunk).?.len + abi.socket_message_cost;
        if (record.header.flags & abi.flag_end != 0) ends += 1;
    }
    try other.say(1, "there");
    const next = try play.nextOf(&.{.socket_message});
    try testing.expectEqual(other.name, nameOf(next));
    try grant(&play, pair.name, 1 << 30);
    while (ends < 500) {
        const record = try play.nextOf(&.{.socket_message});
        if (record.header.flags & abi.flag_end != 0) ends += 1;
    }
}

/// Has the engine tell more of `name`.
pub fn grant(play: *Play, name: Name, bytes: u32) !void {
    try publish(play, abi.Credit{
        .header = headerOf(abi.Credit, .socket_credit, 0, name, 0),
        .grant = bytes,
        .reserved = 0,
    }, "");
}

/// Sends without an end, until its socket is shut.
fn flood(one: Pair) void {
    const bytes = [_]u8{'x'} ** 4000;
    while (true) one.say(2, &bytes) catch return;
}

/// Floods of several clients, with credit to spare, into a ring that nobody reads.
pub const Floods = struct {
    pairs: [4]Pair,
    threads: [4]std.Thread,

    pub fn open(play: *Play) !Floods {
        var self: Floods = undefined;
        for (&self.pairs) |*pair| {
            pair.* = try Pair.open(play);
            try grant(play, pair.name, 1 << 30);
        }
        return self;
    }

    pub fn begin(self: *Floods, play: *const Play) !void {
        for (&self.pairs, &self.threads) |*pair, *thread|
            thread.* = try std.Thread.spawn(.{}, flood, .{pair.*});
        const wanted = &play.engine.block.control(0, 0).request_wanted;
        for (0..10_000) |_| {
            if (@atomicLoad(u32, wanted, .seq_cst) == 1) return;
            std.time.sleep(std.time.ns_per_ms);
        }
        return error.NeverFull;
    }

    pub fn end(self: *const Floods) void {
        for (self.pairs) |pair| std.posix.shutdown(pair.stream.handle, .both) catch {};
        for (self.threads) |thread| thread.join();
        for (self.pairs) |pair| pair.close();
    }

    /// Which of them a record is of.
    pub fn indexOf(self: *const Floods, record: ring_file.Record) ?usize {
        for (self.pairs, 0..) |pair, i| if (pair.name.slot == record.header.slot) return i;
        return null;
    }
};

test "who floods a full ring has its turns, and a late message comes between them" {
    var play = try Play.openWith(config);
    defer play.close();
    var floods = try Floods.open(&play);
    defer floods.end();
    const late = try Pair.open(&play);
    defer late.close();
    try floods.begin(&play);
    try late.say(1, "late");
    for (0..200) |_| {
        const record = try play.nextOf(&.{.socket_message});
        if (floods.indexOf(record) == null) break;
    } else return error.Starved;
    // All have their share from here on.
    var counts: [4]usize = @splat(0);
    for (0..600) |_| {
        const record = try play.nextOf(&.{.socket_message});
        counts[floods.indexOf(record).?] += record.fixed(abi.Chunk).?.len;
    }
    for (counts) |count| {
        try testing.expect(count * 8 > std.mem.max(usize, &counts));
    }
}

/// Has the ring full but for less than any record of a socket takes.
fn fill(play: *Play, one: *const Pair, leaving: []const Pair) !void {
    const control = play.engine.block.control(0, 0);
    try grant(play, one.name, 1 << 30);
    const bytes = [_]u8{'x'} ** 200;
    while (@atomicLoad(u32, &control.request_wanted, .seq_cst) == 0) {
        const before = @atomicLoad(u32, &control.request_tail, .seq_cst);
        try one.say(2, &bytes);
        for (0..10_000) |_| {
            if (@atomicLoad(u32, &control.request_tail, .seq_cst) != before) break;
            if (@atomicLoad(u32, &control.request_wanted, .seq_cst) == 1) break;
            std.time.sleep(std.time.ns_per_ms);
        } else return error.NeverFull;
    }
    // The ends of sockets are small.
    for (leaving) |pair| pair.close();
}

test "who waits for credit and has something to tell goes on when the credit comes" {
    var play = try Play.openWith(config);
    defer play.close();
    var pairs: [3]Pair = undefined;
    for (&pairs) |*pair| pair.* = try Pair.open(&play);
    defer for (pairs) |pair| pair.close();
    var leaving: [16]Pair = undefined;
    for (&leaving) |*pair| pair.* = try Pair.open(&play);
    const bytes = [_]u8{'x'} ** 4000;
    const messages = 10; // more than the credit
    const waiting = pairs[0..2];
    for (waiting) |pair| {
        for (0..messages) |_| try pair.say(2, &bytes);
    }
    try fill(&play, &pairs[2], &leaving);
    for (waiting) |pair| for (0..5) |_| {
        try publish(&play, sendOf(pair.name, whole, bytes.len, bytes.len), &bytes);
        var frame: [bytes.len + 4]u8 = undefined;
        try pair.readAll(&frame);
    };
    for (waiting) |pair| {
        try pair.send(&play, "a turn later");
        try pair.expectFrame(0x81, "a turn later");
        try grant(&play, pair.name, 1 << 20);
    }
    var ends: usize = 0;
    while (ends < waiting.len * messages) {
        const record = try play.nextOf(&.{.socket_message});
        if (record.header.slot == pairs[2].name.slot) continue;
        if (record.header.flags & abi.flag_end != 0) ends += 1;
    }
}

test "what is to be told of sockets waits for room in a full ring, and comes" {
    var play = try Play.openWith(config);
    defer play.close();
    var leaving: [8]Pair = undefined;
    for (&leaving) |*pair| pair.* = try Pair.open(&play);
    const coming = try play.connect();
    defer coming.close();
    try coming.writeAll(handshake_text);
    const asked = nameOf(try play.nextRequest());
    var floods = try Floods.open(&play);
    defer floods.end();
    try floods.begin(&play);
    try publish(&play, upgradeOf(asked), "");
    for (leaving) |pair| pair.close();
    var ends: usize = 0;
    var is_open = false;
    while (ends < leaving.len or !is_open) {
        const record = try play.nextOf(&.{ .socket_close, .socket_open, .socket_message });
        if (record.header.kind == .socket_close) ends += 1;
        if (record.header.kind == .socket_open) is_open = true;
    }
    try testing.expectEqual(0, play.engine.stats().badRecords);
}

test "a peer that is held for as long as it might be silent is closed with 1013" {
    var play = try Play.openWith(
        \\{"server":{"port":0,"hostname":"127.0.0.1","workers":1,"connections_max":64},
        \\ "ring_bytes":131072,"credit_bytes":65536,
        \\ "table":{"targets":[{"kind":"lane","route":7}],"fallback":0,"websocket":
        \\ {"unsent_bytes_max":65536,"idle_timeout_ms":400,"ping_after_ms":0}}}
    );
    defer play.close();
    const held = try Pair.open(&play);
    defer held.close();
    const bytes = [_]u8{'x'} ** 4000;
    for (0..10) |_| try held.say(2, &bytes);
    try held.expectClose(1013);
    const end = try play.nextOf(&.{.socket_close});
    try testing.expectEqual(held.name, nameOf(end));
    try testing.expectEqual(1013, end.fixed(abi.SocketClose).?.code);
}

pub const nobody: Name = .{ .slot = abi.no_socket, .generation = 0 };

/// To the topic "news".
pub fn subscribe(play: *Play, pair: *const Pair) !void {
    const header = headerOf(abi.SocketTopic, .socket_subscribe, 0, pair.name, 4);
    const topic: abi.SocketTopic = .{ .header = header, .topic_len = 4, .reserved = 0 };
    try publish(play, topic, "news");
}

/// What is published to it, but to `name`.
pub fn partOf(name: Name, flags: u16, len: u32, total: u32) abi.SocketPublish {
    return .{
        .header = headerOf(abi.SocketPublish, .socket_publish, flags, name, 4 + len),
        .len = len,
        .total = total,
        .topic_len = 4,
        .reserved = 0,
    };
}

test "records of sockets that are not, or not any more, go nowhere" {
    var play = try Play.openWith(config);
    defer play.close();
    const pair = try Pair.open(&play);
    defer pair.close();
    for ([_]Name{
        .{ .slot = pair.name.slot, .generation = pair.name.generation +% 2 },
        .{ .slot = pair.name.slot, .generation = 0 },
        .{ .slot = pair.name.slot, .generation = 0xffff_ffff },
        .{ .slot = 0xffff_ffff, .generation = pair.name.generation },
        .{ .slot = 100, .generation = 1 },
    }) |name| {
        try publish(&play, sendOf(name, whole, 1, 1), "x");
        try publish(&play, headerOf(abi.RecordHeader, .socket_terminate, 0, name, 0), "");
    }
    try pair.expectAlive(&play);
    try testing.expectEqual(0, play.engine.stats().badRecords);
}

test "a thread that goes has its sockets closed with 1012, and the next has none of them" {
    var play = try Play.openWith(config);
    defer play.close();
    const pair = try Pair.open(&play);
    defer pair.close();
    play.detach();
    try pair.expectClose(1012);
    try pair.say(8, "\x03\xf4");
    try play.attach();
    try publish(&play, sendOf(pair.name, whole, 1, 1), "x");
    const other = try Pair.open(&play);
    defer other.close();
    try other.expectAlive(&play);
}

test "a spoiled response ring closes the sockets on it with 1011" {
    var play = try Play.openWith(config);
    defer play.close();
    const pair = try Pair.open(&play);
    defer pair.close();
    const nonsense = [_]u32{ 12, 0xffff_ffff, 1, 2, 3, 4, 5, 6 }; // a size off the grid
    try play.publishRaw(std.mem.sliceAsBytes(&nonsense));
    try pair.expectClose(1011);
    try pair.say(8, "\x03\xf3");
    _ = try play.nextOf(&.{.socket_close});
    const other = try Pair.open(&play);
    defer other.close();
    try other.expectAlive(&play);
}

test "random records about sockets never end the engine" {
    var play = try Play.openWith(config);
    defer play.close();
    var prng = std.Random.DefaultPrng.init(testing.random_seed);
    const random = prng.random();
    for (0..150) |_| {
        const pair = try Pair.open(&play);
        defer pair.close();
        var bytes: [64]u8 align(8) = undefined;
        random.bytes(&bytes);
        const kind: abi.RecordKind = @enumFromInt(random.intRangeAtMost(u16, 23, 33));
        const header: *abi.RecordHeader = @ptrCast(&bytes);
        header.* = headerOf(abi.SocketPublish, kind, random.int(u16) & 7, pair.name, 32);
        // Lengths that are near what fits, mostly.
        for (bytes[16..32], 0..) |*byte, i| if (i % 4 > 0) {
            byte.* = 0;
        };
        try play.publishRaw(&bytes);
    }
    const other = try Pair.open(&play);
    defer other.close();
    try other.expectAlive(&play);
}

test "a record of what is published harms nobody where there are no WebSockets" {
    var play = try Play.openWith(
        \\{"server":{"port":0,"hostname":"127.0.0.1","workers":2,"connections_max":64},
        \\ "table":{"targets":[{"kind":"lane","route":7}],"fallback":0}}
    );
    defer play.close();
    const record: abi.SocketPublish = .{
        .header = headerOf(abi.SocketPublish, .socket_publish, whole, .{
            .slot = abi.no_socket,
            .generation = 0,
        }, 2),
        .len = 1,
        .total = 1,
        .topic_len = 1,
        .reserved = 0,
    };
    try publish(&play, record, "tx");
    for (0..10_000) |_| {
        if (play.engine.stats().badRecords == 1) return;
        std.time.sleep(std.time.ns_per_ms);
    }
    return error.NothingCame;
}
