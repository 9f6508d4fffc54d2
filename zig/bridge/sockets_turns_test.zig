//! WebSockets and requests that want the same room, or the same turns: who has which, with a JS
//! thread that is played here.

const std = @import("std");
const testing = std.testing;
const abi = @import("abi.zig");
const hostile = @import("hostile_test.zig");
const Play = hostile.Play;
const ring_file = @import("ring.zig");
const sockets = @import("sockets_test.zig");
const Pair = sockets.Pair;

/// The next record, whose room is given back at once.
fn takeOne(play: *Play) !ring_file.Record {
    for (0..10_000) |_| {
        if (try play.requests.next()) |record| {
            _ = play.requests.release();
            play.wake();
            return record;
        }
        _ = play.requests.release();
        std.time.sleep(std.time.ns_per_ms);
    }
    return error.NothingCame;
}

/// Waits until something has found no room in the ring.
fn expectFull(play: *const Play) !void {
    const wanted = &play.engine.block.control(0, 0).request_wanted;
    for (0..10_000) |_| {
        if (@atomicLoad(u32, wanted, .seq_cst) == 1) return;
        std.time.sleep(std.time.ns_per_ms);
    }
    return error.NeverFull;
}

const long_request = "GET / HTTP/1.1\r\nHost: a\r\nX: " ++ "x" ** 8000 ++ "\r\n\r\n";

test "requests that wait for room leave sockets theirs" {
    var play = try Play.openWith(sockets.config);
    defer play.close();
    const pair = try Pair.open(&play);
    defer pair.close();
    var streams: [60]std.net.Stream = undefined;
    for (&streams) |*stream| {
        stream.* = try play.connect();
        for (0..4) |_| try stream.writeAll(long_request);
    }
    defer for (streams) |stream| stream.close();
    try expectFull(&play);
    try pair.say(1, "late" ** 1000); // more than sixteen requests leave of the ring
    var heads: usize = 0;
    for (0..4 * streams.len) |_| {
        const record = try takeOne(&play);
        if (record.header.kind == .socket_message) break;
        if (record.header.kind == .request_head) heads += 1;
    }
    // Some came before it, and sixteen go in the ring, and in a turn of the requests.
    try testing.expect(heads < 2 * streams.len);
}

test "sockets that flood leave requests their room" {
    var play = try Play.openWith(sockets.config);
    defer play.close();
    var floods = try sockets.Floods.open(&play);
    defer floods.end();
    try floods.begin(&play);
    for (0..3) |_| {
        const stream = try play.connect();
        defer stream.close();
        try stream.writeAll(long_request);
        // How many records come until acceptor and worker have had the processor is up to the
        // machine: a request that is starved never comes.
        var timer = try std.time.Timer.start();
        while (timer.read() < 10 * std.time.ns_per_s) {
            const record = try takeOne(&play);
            if (record.header.kind == .request_head) break;
        } else return error.Starved;
    }
}

test "pings that are told take credit: who sends nothing else waits as well" {
    var play = try Play.openWith(sockets.config);
    defer play.close();
    const pair = try Pair.open(&play);
    defer pair.close();
    const other = try Pair.open(&play);
    defer other.close();
    const payload = [_]u8{'p'} ** 100;
    const cost = payload.len + abi.socket_message_cost;
    const pings = 400;
    for (0..pings) |_| try pair.say(9, &payload);
    const most = sockets.credit_bytes / cost;
    var told: usize = 0;
    // What one more may take is kept.
    while (told < most - 1) : (told += 1) _ = try play.nextOf(&.{.socket_ping});
    try other.say(1, "there");
    for (0..2) |_| {
        const record = try play.nextOf(&.{ .socket_ping, .socket_message });
        if (record.header.kind == .socket_message) break;
        told += 1;
    } else return error.NotHeld;
    try testing.expect(told <= most);
    try sockets.grant(&play, pair.name, 1 << 20);
    while (told < pings) : (told += 1) _ = try play.nextOf(&.{.socket_ping});
}

test "a grant of all there is, twice, is no more than that" {
    var play = try Play.openWith(sockets.config);
    defer play.close();
    const pair = try Pair.open(&play);
    defer pair.close();
    for (0..2) |_| try sockets.grant(&play, pair.name, std.math.maxInt(u32));
    try pair.expectAlive(&play);
}

test "a thread that goes while sockets have turns and requests wait leaves nobody behind" {
    var play = try Play.openWith(sockets.config);
    defer play.close();
    var floods = try sockets.Floods.open(&play);
    defer floods.end();
    try floods.begin(&play);
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll(long_request);
    for (0..20) |_| _ = try takeOne(&play);
    play.detach();
    try play.attach();
    const coming = try play.connect();
    try coming.writeAll(sockets.handshake_text);
    // What waited before may come before it.
    const asked = while (true) {
        const record = try play.nextRequest();
        if (record.fixed(abi.RequestHead).?.upgrade == 1) break sockets.nameOf(record);
    };
    const pair = try Pair.answer(&play, coming, asked);
    defer pair.close();
    try pair.expectAlive(&play);
}

/// A socket of the worker's lane to that thread.
fn openOn(plays: *[2]Play, wanted: usize) !Pair {
    for (0..10) |_| {
        const stream = try plays[0].connect();
        errdefer stream.close();
        try stream.writeAll(sockets.handshake_text);
        const at, const asked = try nextRequestOfAny(plays);
        const pair = try Pair.answer(&plays[at], stream, asked);
        if (at == wanted) return pair;
        pair.close();
    }
    return error.NeverChosen;
}

fn nextRequestOfAny(plays: *[2]Play) !struct { usize, sockets.Name } {
    for (0..10_000) |_| {
        for (plays, 0..) |*play, i| {
            while (try play.requests.next()) |record| {
                if (record.header.kind == .request_head) return .{ i, sockets.nameOf(record) };
            }
            if (play.requests.release()) play.wake();
        }
        std.time.sleep(std.time.ns_per_ms);
    }
    return error.NothingCame;
}

test "what a thread says to sockets does not wait for what another has published" {
    var play = try Play.openWith(
        \\{"server":{"port":0,"hostname":"127.0.0.1","workers":1,"connections_max":256},
        \\ "threads":2,"ring_bytes":524288,"credit_bytes":32768,
        \\ "table":{"targets":[{"kind":"lane","route":7}],"fallback":0,"websocket":
        \\ {"unsent_bytes_max":65536}}}
    );
    defer play.close();
    const length = 96_000;
    // Each costs six of the 1024 that go in a turn: the third message to all of them is for the
    // next ones, and does not reach the last in the first of these.
    var crowd: [100]Pair = undefined;
    for (&crowd) |*pair| {
        pair.* = try Pair.open(&play);
        try sockets.subscribe(&play, pair);
    }
    defer for (crowd) |pair| pair.close();
    var defect: @import("instance.zig").Defect = .{};
    const reader = try play.engine.attach(1, &defect);
    defer std.posix.close(reader.fd);
    defer play.engine.detach(1);
    var plays = [2]Play{ play, play };
    plays[1].requests = .{ .ring = play.engine.block.requestRing(0, 1) };
    plays[1].responses = .{ .ring = play.engine.block.responseRing(0, 1) };
    const last = try openOn(&plays, 1);
    defer last.close();
    try sockets.subscribe(&plays[1], &last);
    try last.send(&plays[1], "here");
    try last.expectFrame(0x81, "here");
    for (0..6) |_| {
        // All is there when the worker looks, whoever it looks at first.
        const small = sockets.sendOf(last.name, sockets.whole | abi.flag_text, 5, 5);
        try hold(&plays[1].responses, small, "small");
        for ("xyz") |byte| {
            for ([_]u16{ abi.flag_begin, 0, abi.flag_end }) |flags| {
                var part: [4 + length / 3]u8 = @splat(byte);
                part[0..4].* = "news".*;
                const record = sockets.partOf(sockets.nobody, flags, length / 3, length);
                try hold(&plays[0].responses, record, &part);
            }
        }
        _ = plays[1].responses.publish();
        _ = plays[0].responses.publish();
        plays[0].wake();
        var is_small_there = false;
        for (0..4) |_| {
            var head: [10]u8 = undefined;
            try last.readAll(head[0..2]);
            if (head[0] == 0x81) {
                is_small_there = true;
                try last.readAll(head[0..5]);
                continue;
            }
            try last.readAll(head[2..]);
            var bytes: [length]u8 = undefined;
            try last.readAll(&bytes);
            if (bytes[0] == 'z') try testing.expect(is_small_there);
        }
    }
    // `play` is closed with what it knows of its rings.
    play.requests = plays[0].requests;
    play.responses = plays[0].responses;
}

/// Writes a record, and does not publish it.
fn hold(ring: *ring_file.Producer, record: anytype, behind: []const u8) !void {
    const size = record.header.size;
    const room = (try ring.reserve(size)).?;
    @memset(room, 0);
    const fixed = std.mem.asBytes(&record);
    @memcpy(room[0..fixed.len], fixed);
    @memcpy(room[fixed.len..][0..behind.len], behind);
    ring.commit(size);
}
