//! What holds of every backend, over real sockets of this system.

const builtin = @import("builtin");
const std = @import("std");
const posix = std.posix;
const testing = std.testing;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const Epoll = @import("epoll.zig").Epoll;
const Iocp = @import("iocp.zig").Iocp;
const Kqueue = @import("kqueue.zig").Kqueue;
const Linux = @import("linux.zig").Linux;
const Uring = @import("uring.zig").Uring;
const io = @import("io.zig");
const socket = @import("socket.zig");
const test_peer = @import("test_peer.zig");
const hear = test_peer.hear;
const say = test_peer.say;
const fixtures = @import("testing/fixtures.zig");
const Crowd = fixtures.Crowd;
const Door = fixtures.Door;
const One = fixtures.One;
const Recorder = fixtures.Recorder;
const first = fixtures.first;
const make = fixtures.make;
const makeWith = fixtures.makeWith;
const socketPair = fixtures.socketPair;

const is_windows = builtin.os.tag == .windows;
const backends = if (is_windows) .{Iocp} else .{ Epoll, Uring, Linux, Kqueue };

fn onAll(comptime check: anytype) !void {
    inline for (backends) |B| check(B) catch |err| {
        if (err != error.SkipZigTest) {
            std.debug.print("on {s}\n", .{@typeName(B)});
            return err;
        }
    };
}

/// A poll waits for as long as it may: an event would end it at once, time and again. Something
/// else may end one: a signal, the end of what was under way.
fn expectSilence(comptime B: type, backend: *B, context: anytype) !void {
    const wait_ms = 50;
    for (0..5) |_| {
        var timer = try std.time.Timer.start();
        _ = backend.poll(wait_ms, context);
        if (timer.read() >= wait_ms * std.time.ns_per_ms) return;
    }
    return error.Restless;
}

test "backend: bytes, a pause, the end of the stream" {
    try onAll(exchangeBytes);
}

fn exchangeBytes(comptime B: type) !void {
    var one: One(B) = undefined;
    try one.init();
    defer one.deinit();
    const stream = one.stream();
    _ = try say(one.peer, "hello");
    one.poll(1000);
    try testing.expectEqualStrings("hello", one.recorder.received.items);
    one.backend.pauseRecv(stream);
    _ = try say(one.peer, " again");
    one.poll(0);
    try testing.expectEqualStrings("hello", one.recorder.received.items);
    one.backend.resumeRecv(stream);
    one.poll(1000);
    try testing.expectEqualStrings("hello again", one.recorder.received.items);
    try system.shutdown(one.peer, .send);
    one.poll(1000);
    try testing.expect(one.recorder.eof);
    try one.end();
    one.hangUp();
}

test "backend: the peer's end is told once while nothing is received, ahead of what it has sent" {
    try onAll(tellEndOnce);
}

fn tellEndOnce(comptime B: type) !void {
    var one: One(B) = undefined;
    try one.init();
    defer one.deinit();
    const stream = one.stream();
    one.backend.pauseRecv(stream);
    // Windows does not tell of an end that lies behind what is unread.
    const unread = if (is_windows) "" else "last words";
    _ = try say(one.peer, unread);
    one.poll(0);
    try testing.expectEqual(@as(u32, 0), one.recorder.eof_ahead);
    try system.shutdown(one.peer, .send);
    one.poll(1000);
    try testing.expectEqual(@as(u32, 1), one.recorder.eof_ahead);
    one.poll(0);
    one.backend.resumeRecv(stream);
    one.poll(1000);
    try testing.expectEqualStrings(unread, one.recorder.received.items);
    one.backend.pauseRecv(stream);
    one.poll(0);
    try testing.expect(!one.recorder.failed);
    one.backend.resumeRecv(stream);
    // With one backend it came together with the bytes.
    if (!one.recorder.eof) one.poll(1000);
    try testing.expect(one.recorder.eof);
    one.backend.pauseRecv(stream);
    one.poll(0);
    try testing.expectEqual(@as(u32, 1), one.recorder.eof_ahead);
}

test "backend: a reset of a stream that is paused is told, and is no event from then on" {
    try onAll(tellResetOnce);
}

fn tellResetOnce(comptime B: type) !void {
    var one: One(B) = undefined;
    try one.init();
    defer one.deinit();
    const stream = one.stream();
    one.poll(0);
    one.backend.pauseRecv(stream);
    // A socket with bytes that nobody has read is reset when it is closed.
    const iovecs = [_]posix.iovec_const{.{ .base = "unread", .len = 6 }};
    try testing.expectEqual(io.SendResult{ .sent = 6 }, one.backend.send(stream, &iovecs, false));
    for (0..3) |_| one.poll(0);
    one.hangUp();
    for (0..100) |_| if (!one.recorder.failed) {
        one.poll(10);
    };
    try testing.expect(one.recorder.failed);
    // Its owner may have what came before to do first.
    try expectSilence(B, &one.backend, &one.recorder);
    try one.end();
}

test "backend: a full socket says so and tells when it takes bytes again" {
    try onAll(fillSocket);
}

fn fillSocket(comptime B: type) !void {
    var one: One(B) = undefined;
    try one.init();
    defer one.deinit();
    const stream = one.stream();
    const block = [_]u8{'x'} ** 65536;
    const iovecs = [_]posix.iovec_const{.{ .base = &block, .len = block.len }} ** 2;
    var total: usize = 0;
    while (true) switch (one.backend.send(stream, &iovecs, false)) {
        .sent => |n| total += n,
        .would_block => break,
        .failed => return error.Unexpected,
    };
    if (!is_windows) try testing.expect(one.backend.inFlight(stream) > 0); // not known there
    one.backend.sendLater(stream, .{ .memory = &iovecs });
    one.poll(0);
    try testing.expectEqual(@as(u32, 0), one.recorder.sent_calls);
    var buf: [65536]u8 = undefined;
    while (total > 0) total -|= try hear(one.peer, &buf); // what waited may have come too
    one.poll(1000);
    try testing.expectEqual(@as(u64, 0), one.backend.inFlight(stream));
    try testing.expectEqual(@as(u32, 1), one.recorder.sent_calls);
    one.poll(0);
    try testing.expectEqual(@as(u32, 1), one.recorder.sent_calls);
}

test "backend: a ring ends a poll, once" {
    try onAll(ringBell);
}

fn ringBell(comptime B: type) !void {
    var backend = try make(B);
    defer backend.deinit();
    var recorder: Recorder(B) = .{};
    defer recorder.deinit();
    var timer = try std.time.Timer.start();
    // The second is what comes out of the block that JavaScript shares.
    const bell = backend.bell();
    for ([_]io.Bell{ bell, .ofNumber(bell.number()) }) |its| {
        B.ring(its);
        _ = backend.poll(10_000, &recorder);
        try testing.expect(timer.lap() < 5 * std.time.ns_per_s);
        try expectSilence(B, &backend, &recorder); // nothing is left of it
        _ = timer.lap();
    }
}

test "backend: a poll that looks for events before it sleeps ends in time, and sleeps" {
    try onAll(lookThenSleep);
}

fn lookThenSleep(comptime B: type) !void {
    if (is_windows) return error.SkipZigTest; // it goes to sleep at once
    const options: io.Options = .{ .receive_buffer_bytes = 4096, .busy_poll_us = 2000 };
    var backend = try makeWith(B, options);
    defer backend.deinit();
    var recorder: Recorder(B) = .{};
    defer recorder.deinit();
    const before = try posix.clock_gettime(.THREAD_CPUTIME_ID);
    var timer = try std.time.Timer.start();
    // Something else may end one, as in `expectSilence`.
    for (0..6) |_| {
        if (timer.read() >= 250 * std.time.ns_per_ms) break;
        _ = backend.poll(100, &recorder);
    } else return error.Restless;
    const after = try posix.clock_gettime(.THREAD_CPUTIME_ID);
    const spent_ns = (after.sec - before.sec) * std.time.ns_per_s + after.nsec - before.nsec;
    try testing.expect(spent_ns < 100 * std.time.ns_per_ms);
    timer.reset();
    _ = backend.poll(1, &recorder);
    try testing.expect(timer.read() < std.time.ns_per_s);
    B.ring(backend.bell());
    _ = backend.poll(-1, &recorder);
    var sleeper = try std.Thread.spawn(.{}, struct {
        fn run(bell: io.Bell) void {
            std.Thread.sleep(20 * std.time.ns_per_ms);
            B.ring(bell);
        }
    }.run, .{backend.bell()});
    defer sleeper.join();
    _ = backend.poll(-1, &recorder);
}

test "backend: a listener that is closed is not told of again, although another process has it" {
    try onAll(closeListener);
}

fn closeListener(comptime B: type) !void {
    var backend = try make(B);
    defer backend.deinit();
    const endpoint: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const fd = try socket.listen(&endpoint, .{ .backlog = 8 });
    // As good as another process's. Windows has no second descriptor of a socket.
    const others = if (is_windows) fd else try system.duplicate(fd, 0);
    defer if (!is_windows) system.close(others);
    var door: Door(B) = .{};
    try backend.listen(&door.listener, fd, .{ .slot = 0, .kind = .listener });
    var address: Endpoint.System = undefined;
    const len = (try socket.endpointOf(fd)).toSystem(&address);
    var clients: [2]system.Socket = undefined;
    for (&clients) |*client| client.* = try socket.open(posix.AF.INET);
    defer for (clients) |client| system.closeSocket(client);
    system.connect(clients[0], &address.any, len) catch |err|
        try testing.expectEqual(error.ConnectionPending, err);
    _ = backend.poll(1000, &door);
    try testing.expectEqual(1, door.accepted);
    backend.closeListener(&door.listener);
    system.connect(clients[1], &address.any, len) catch |err|
        try testing.expectEqual(error.ConnectionPending, err);
    try expectSilence(B, &backend, &door);
    try testing.expectEqual(1, door.accepted);
}

test "backend: a listener that another process has shut down is told of as broken" {
    try onAll(breakListener);
}

fn breakListener(comptime B: type) !void {
    if (is_windows) return error.SkipZigTest; // a socket that listens cannot be shut down
    var backend = try make(B);
    defer backend.deinit();
    const endpoint: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const fd = try socket.listen(&endpoint, .{ .backlog = 8 });
    var door: Door(B) = .{};
    try backend.listen(&door.listener, fd, .{ .slot = 0, .kind = .listener });
    try system.shutdown(fd, .both);
    _ = backend.poll(1000, &door);
    try testing.expectEqual(error.InvalidArgument, door.failure.?.fatal);
    backend.closeListener(&door.listener);
}

test "backend: what comes for a stream that is not served now is told later, in order" {
    try onAll(serveLater);
}

fn serveLater(comptime B: type) !void {
    var one: One(B) = undefined;
    try one.init();
    defer one.deinit();
    var sent: [5000]u8 = undefined; // more than one receive brings
    for (&sent, 0..) |*byte, i| byte.* = @truncate(i);
    one.recorder.is_busy = true;
    _ = try say(one.peer, sent[0..2500]);
    for (0..3) |_| one.poll(10);
    _ = try say(one.peer, sent[2500..]);
    one.hangUp();
    for (0..3) |_| one.poll(10);
    try testing.expectEqual(0, one.recorder.received.items.len);
    one.recorder.is_busy = false;
    for (0..10) |_| if (!one.recorder.eof) {
        one.poll(10);
    };
    try testing.expectEqualSlices(u8, &sent, one.recorder.received.items);
    try testing.expect(one.recorder.eof);
    try one.end();
}

test "backend: a stream is closed while bytes come in, is paused, waits for room" {
    try onAll(closeBusy);
}

fn closeBusy(comptime B: type) !void {
    var backend = try make(B);
    defer backend.deinit();
    const iovecs = [_]posix.iovec_const{.{ .base = "reply", .len = 5 }};
    for (0..50) |round| {
        const fds = try socketPair();
        defer system.closeSocket(fds[1]);
        var recorder: Recorder(B) = .{};
        defer recorder.deinit();
        const stream = &recorder.streams[0];
        try backend.open(stream, fds[0], first);
        if (round % 2 == 0) _ = backend.poll(0, &recorder);
        _ = try say(fds[1], "some bytes");
        if (round % 3 == 0) backend.pauseRecv(stream);
        if (round % 5 == 0) backend.sendLater(stream, .{ .memory = &iovecs });
        if (round % 7 == 0) backend.resumeRecv(stream);
        try recorder.end(&backend, 0);
        // The peer sees the end: nothing of ours holds the socket. Before it stands what the
        // system may have sent of the output.
        var buffer: [16]u8 = undefined;
        const n = hear(fds[1], &buffer) catch |err| switch (err) {
            error.ConnectionResetByPeer => continue,
            else => return err,
        };
        if (n == 0) continue;
        try testing.expectEqualStrings("reply", buffer[0..n]);
        try testing.expectEqual(0, try hear(fds[1], &buffer));
    }
}

test "backend: what was held for a stream does not wait for another event" {
    try onAll(wakeForHeld);
}

fn wakeForHeld(comptime B: type) !void {
    var one: One(B) = undefined;
    try one.init();
    defer one.deinit();
    _ = try say(one.peer, "hello");
    one.recorder.is_busy = true;
    one.poll(0);
    one.recorder.is_busy = false;
    var timer = try std.time.Timer.start();
    one.poll(2_000);
    try testing.expectEqualStrings("hello", one.recorder.received.items);
    try testing.expect(timer.read() < std.time.ns_per_s);
    try one.end();
}

test "backend: a stream that is not served takes no buffers from the others" {
    try onAll(shareBuffers);
}

fn shareBuffers(comptime B: type) !void {
    var backend = try make(B);
    defer backend.deinit();
    const busy = try socketPair();
    defer system.closeSocket(busy[1]);
    const other = try socketPair();
    defer system.closeSocket(other[1]);
    var recorder: Recorder(B) = .{};
    defer recorder.deinit();
    try backend.open(&recorder.streams[0], busy[0], first);
    recorder.busy_slot = first.slot;
    // More than all buffers hold.
    const block = [_]u8{'x'} ** 4096;
    for (0..1000) |_| {
        _ = say(busy[1], &block) catch |err| try testing.expectEqual(error.WouldBlock, err);
        _ = backend.poll(0, &recorder);
    }
    const second: io.Token = .{ .slot = 1, .generation = 1, .kind = .accepted };
    try backend.open(&recorder.streams[1], other[0], second);
    _ = try say(other[1], "hello");
    for (0..5) |_| _ = backend.poll(0, &recorder);
    try testing.expectEqualStrings("hello", recorder.received.items);
    recorder.busy_slot = null;
    try recorder.end(&backend, 0);
    try recorder.end(&backend, 1);
}

test "backend: a poll says that there may be more" {
    try onAll(tellMore);
}

fn tellMore(comptime B: type) !void {
    var backend = try make(B);
    defer backend.deinit();
    var crowd: Crowd(B, 100) = .{};
    try crowd.open(&backend);
    _ = backend.poll(0, &crowd);
    for (crowd.peers) |peer| _ = try say(peer, "hello");
    // As long as there may be more there is; at the end nothing is left.
    for (0..crowd.peers.len) |_| {
        if (!backend.poll(0, &crowd)) break;
    }
    for (crowd.received) |received| try testing.expectEqual(5, received);
    try crowd.close(&backend);
}

test "backend: however many streams are not served, the one that is receives" {
    try onAll(receiveAmongWaiting);
}

fn receiveAmongWaiting(comptime B: type) !void {
    var backend = try make(B);
    defer backend.deinit();
    var crowd: Crowd(B, 48) = .{ .served_only = 0 };
    try crowd.open(&backend);
    _ = backend.poll(0, &crowd);
    // Each fills its socket, all of them together more than any backend has buffers for.
    const block = [_]u8{'x'} ** 4096;
    var sent: [crowd.peers.len]u32 = @splat(0);
    for (crowd.peers[1..], sent[1..]) |peer, *bytes| {
        while (true) bytes.* += @intCast(say(peer, &block) catch |err| switch (err) {
            error.WouldBlock => break,
            else => return err,
        });
    }
    for (0..100) |_| _ = backend.poll(0, &crowd);
    for (1..21) |round| {
        _ = try say(crowd.peers[0], "hello");
        for (0..10) |_| {
            _ = backend.poll(0, &crowd);
            if (crowd.received[0] == 5 * round) break;
        } else return error.Starved;
    }
    crowd.served_only = null;
    for (0..10_000) |_| {
        if (std.mem.eql(u32, sent[1..], crowd.received[1..])) break;
        _ = backend.poll(0, &crowd);
    } else return error.Lost;
    try crowd.close(&backend);
}

test "backend: what was received and not told counts as input" {
    try onAll(countUntold);
}

fn countUntold(comptime B: type) !void {
    var backend = try make(B);
    defer backend.deinit();
    var crowd: Crowd(B, 300) = .{}; // more than one poll tells
    try crowd.open(&backend);
    _ = backend.poll(0, &crowd);
    for (crowd.peers[0..290]) |peer| _ = try say(peer, "hello");
    for (0..20) |_| {
        _ = backend.poll(0, &crowd);
        for (&crowd.streams, crowd.received, 0..) |*stream, received, i|
            try testing.expectEqual(received == 0 and i < 290, backend.hasInput(stream));
    }
    crowd.served_only = 299;
    for (crowd.peers[0..2]) |peer| _ = try say(peer, "again");
    for (0..3) |_| _ = backend.poll(0, &crowd);
    try testing.expect(backend.hasInput(&crowd.streams[0]));
    try testing.expect(backend.hasInput(&crowd.streams[1]));
    try testing.expect(!backend.hasInput(&crowd.streams[2]));
    crowd.served_only = null;
    for (0..3) |_| _ = backend.poll(0, &crowd);
    for (&crowd.streams) |*stream| try testing.expect(!backend.hasInput(stream));
    try crowd.close(&backend);
}

test "backend: pauses while events are told lose none" {
    try onAll(pauseAmongHeld);
}

fn pauseAmongHeld(comptime B: type) !void {
    var one: One(B) = undefined;
    try one.init();
    defer one.deinit();
    const stream = one.stream();
    one.poll(0);
    // The peer's end is seen while bytes are wanted that were not received yet.
    one.backend.pauseRecv(stream);
    one.backend.resumeRecv(stream);
    _ = try say(one.peer, "last words");
    one.hangUp();
    one.poll(0);
    one.recorder.is_busy = true;
    for (0..3) |_| one.poll(0);
    one.recorder.is_busy = false;
    one.recorder.pauses_on = &one.backend;
    for (0..10) |_| if (!one.recorder.eof) {
        one.poll(10);
    };
    try testing.expectEqualStrings("last words", one.recorder.received.items);
    try testing.expect(one.recorder.eof);
    try one.end();
}

const outgoing: io.Token = .{ .slot = 0, .generation = 1, .kind = .outbound };

test "backend: what became of a connection that was begun is told once, and it carries bytes" {
    try onAll(connectOut);
}

fn connectOut(comptime B: type) !void {
    var backend = try make(B);
    defer backend.deinit();
    const local: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const listener = try socket.listen(&local, .{ .backlog = 8 });
    const endpoint = try socket.endpointOf(listener);
    var recorder: Recorder(B) = .{};
    defer recorder.deinit();
    const stream = &recorder.streams[0];
    try backend.connect(stream, &endpoint, outgoing);
    try testing.expectEqual(0, recorder.connected.len);
    for (0..100) |_| if (recorder.connected.len == 0) {
        _ = backend.poll(10, &recorder);
    };
    try testing.expectEqual(.connected, recorder.connected.get(0));
    const peer = try posix.accept(listener, null, null, 0);
    defer posix.close(peer);
    const iovecs = [_]posix.iovec_const{.{ .base = "there", .len = 5 }};
    try testing.expectEqual(io.SendResult{ .sent = 5 }, backend.send(stream, &iovecs, false));
    var buffer: [16]u8 = undefined;
    try testing.expectEqualStrings("there", buffer[0..try posix.read(peer, &buffer)]);
    _ = try posix.write(peer, "and back");
    _ = backend.poll(1000, &recorder);
    try testing.expectEqualStrings("and back", recorder.received.items);
    try expectSilence(B, &backend, &recorder);
    try testing.expectEqual(1, recorder.connected.len);
    try recorder.end(&backend, 0);
    // Nobody listens there now.
    system.close(listener);
    try backend.connect(stream, &endpoint, outgoing);
    for (0..100) |_| if (recorder.connected.len == 1) {
        _ = backend.poll(10, &recorder);
    };
    try testing.expectEqual(error.ConnectionRefused, recorder.connected.get(1).failed);
    try recorder.end(&backend, 0);
    try expectSilence(B, &backend, &recorder);
    try testing.expectEqual(2, recorder.connected.len);
}

test "backend: a connection that was begun can be closed before it is there" {
    try onAll(giveUpConnect);
}

fn giveUpConnect(comptime B: type) !void {
    var backend = try make(B);
    defer backend.deinit();
    const local: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const listener = try socket.listen(&local, .{ .backlog = 0 });
    defer system.close(listener);
    const endpoint = try socket.endpointOf(listener);
    var recorder: Recorder(B) = .{};
    defer recorder.deinit();
    // The first fills the backlog, those behind it wait.
    for (0..5) |round| {
        try backend.connect(&recorder.streams[0], &endpoint, outgoing);
        if (round % 2 == 1) _ = backend.poll(0, &recorder);
        try recorder.end(&backend, 0);
    }
    const before = recorder.connected.len;
    try expectSilence(B, &backend, &recorder);
    try testing.expectEqual(before, recorder.connected.len);
    // The path of no socket.
    const nowhere: Endpoint = .{ .unix = Endpoint.UnixPath.of("/nowhere/at/all").? };
    try testing.expectError(
        if (is_windows) error.AddressFamilyNotSupported else error.FileNotFound,
        backend.connect(&recorder.streams[0], &nowhere, outgoing),
    );
    try testing.expectEqual(system.no_socket, recorder.streams[0].fd);
}

test "backend: what a peer has sent before it closed a unix socket is received after a pause" {
    try onAll(lastWordsOfUnix);
}

fn lastWordsOfUnix(comptime B: type) !void {
    var one: One(B) = undefined;
    try one.init();
    defer one.deinit();
    const stream = one.stream();
    one.poll(0);
    one.backend.pauseRecv(stream);
    _ = try system.write(one.peer, "the whole response");
    one.hangUp();
    for (0..3) |_| one.poll(10);
    try testing.expect(!one.recorder.failed); // over TCP it is not
    one.backend.resumeRecv(stream);
    for (0..5) |_| if (!one.recorder.eof) {
        one.poll(10);
    };
    try testing.expectEqualStrings("the whole response", one.recorder.received.items);
    try testing.expect(one.recorder.eof);
    try one.end();
}

test "backend: the end behind more than a backend receives in one go is told after a pause" {
    try onAll(endBehindMuch);
}

fn endBehindMuch(comptime B: type) !void {
    var one: One(B) = undefined;
    try one.init();
    defer one.deinit();
    const stream = one.stream();
    one.poll(0);
    one.backend.pauseRecv(stream);
    for (0..3) |_| one.poll(0);
    const block: [4096]u8 = @splat('x');
    var said: usize = 0;
    for (0..64) |_| said += say(one.peer, &block) catch |err|
        if (err == error.WouldBlock) break else return err;
    try system.shutdown(one.peer, .send);
    for (0..3) |_| one.poll(0);
    one.backend.resumeRecv(stream);
    for (0..200) |_| if (!one.recorder.eof) {
        one.poll(5);
    };
    try testing.expectEqual(said, one.recorder.received.items.len);
    try testing.expect(one.recorder.eof);
    try one.end();
}
