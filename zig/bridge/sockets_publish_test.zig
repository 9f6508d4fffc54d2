//! What a JS thread, which is played here, publishes: who is sent it, and what is wrong with it.

const testing = @import("std").testing;
const abi = @import("abi.zig");
const Play = @import("hostile_test.zig").Play;
const sockets = @import("sockets_test.zig");
const Pair = sockets.Pair;
const config = sockets.config;
const nobody = sockets.nobody;
const partOf = sockets.partOf;
const publish = sockets.publish;
const subscribe = sockets.subscribe;
const whole = sockets.whole;

test "what is published goes to the worker's own sockets, whose record it is" {
    var play = try Play.openWith(
        \\{"server":{"port":0,"hostname":"127.0.0.1","workers":2,"connections_max":64},
        \\ "ring_bytes":131072,"credit_bytes":65536,
        \\ "table":{"targets":[{"kind":"lane","route":7}],"fallback":0,"websocket":
        \\ {"unsent_bytes_max":65536}}}
    );
    defer play.close();
    var plays = [2]Play{ play, play };
    plays[1].requests = .{ .ring = play.engine.block.requestRing(1, 0) };
    plays[1].responses = .{ .ring = play.engine.block.responseRing(1, 0) };
    plays[1].worker = 1;
    // The workers take connections in turn.
    var pairs: [2]Pair = undefined;
    for (&pairs, &plays) |*pair, *its| {
        pair.* = try Pair.open(its);
        try subscribe(its, pair);
    }
    defer for (pairs) |pair| pair.close();
    for ([_][]const u8{ "newsa", "newsb" }, &plays) |text, *its| {
        try publish(its, partOf(nobody, whole, 1, 1), text);
    }
    try pairs[0].expectFrame(0x82, "a");
    try pairs[1].expectFrame(0x82, "b");
    for (pairs, &plays) |pair, *its| { // and nothing else
        try pair.send(its, "last");
        try pair.expectFrame(0x81, "last");
    }
}

test "what is published comes to all but one; what is wrong to nobody" {
    var play = try Play.openWith(config);
    defer play.close();
    const one = try Pair.open(&play);
    defer one.close();
    const two = try Pair.open(&play);
    defer two.close();
    for ([_]Pair{ one, two }) |pair| try subscribe(&play, &pair);
    try publish(&play, partOf(one.name, whole | abi.flag_text, 2, 2), "newshi");
    try two.expectFrame(0x81, "hi");
    try publish(&play, partOf(nobody, abi.flag_begin, 2, 4), "newsab");
    try publish(&play, partOf(nobody, abi.flag_end, 2, 4), "newscd");
    for ([_]Pair{ one, two }) |pair| try pair.expectFrame(0x82, "abcd");
    var wrong = [_]abi.SocketPublish{
        partOf(nobody, abi.flag_end, 1, 1), // it has not begun
        partOf(nobody, whole, 1, 2), // it does not end
        partOf(nobody, whole, 2, 1),
        partOf(nobody, whole, 1, abi.publish_bytes_max + 1),
        partOf(nobody, whole, 0xffff, 0xffff),
        partOf(nobody, whole | abi.flag_text, 1, 1), // no UTF-8
        partOf(nobody, whole, 1, 1),
        partOf(nobody, whole, 1, 1),
    };
    wrong[6].topic_len = 0;
    wrong[7].topic_len = 129;
    for (&wrong) |*record| {
        record.header.size = @sizeOf(abi.SocketPublish) + 8;
        try publish(&play, record.*, "news\xff");
    }
    try publish(&play, partOf(nobody, whole, 1, 1), "newsz");
    for ([_]Pair{ one, two }) |pair| try pair.expectFrame(0x82, "z");
    try testing.expectEqual(wrong.len, play.engine.stats().badRecords);
}

test "a wrong record in the middle of what is published costs that, and nothing later" {
    var play = try Play.openWith(config);
    defer play.close();
    const pair = try Pair.open(&play);
    defer pair.close();
    try subscribe(&play, &pair);
    const wrong = [_]abi.SocketPublish{
        partOf(nobody, 0, 1, abi.publish_bytes_max + 1),
        partOf(nobody, abi.flag_begin, 2, 4), // a second beginning
        partOf(nobody, 0, 0xffff, 4),
        partOf(nobody, 0, 4, 4), // more than was announced
        partOf(nobody, abi.flag_end, 1, 4), // less
    };
    for (wrong) |record| {
        try publish(&play, partOf(nobody, abi.flag_begin, 2, 4), "newsab");
        var one = record;
        one.header.size = @sizeOf(abi.SocketPublish) + 8;
        try publish(&play, one, "newscd");
        try publish(&play, partOf(nobody, whole, 1, 1), "newsz");
        try pair.expectFrame(0x82, "z");
    }
    try testing.expectEqual(wrong.len, play.engine.stats().badRecords);
}
