//! Requests that wait for a thread: while one thread takes nothing, another that comes does, and
//! who waits too long is told so. Workers that sleep, and who wakes them.

const std = @import("std");
const testing = std.testing;
const posix = std.posix;
const log = @import("../core/log.zig");
const Defect = @import("instance.zig").Defect;
const hostile = @import("hostile_test.zig");
const Play = hostile.Play;
const ring_file = @import("ring.zig");

const connections_max = 64;
/// Enough of these fill the ring of a thread that takes none.
const large_request = "GET / HTTP/1.1\r\nHost: a\r\nX: " ++ "x" ** 8000 ++ "\r\n\r\n";

fn configOf(comptime timeout_ms: []const u8) []const u8 {
    return "{\"server\":{\"port\":0,\"hostname\":\"127.0.0.1\",\"workers\":1," ++
        "\"connections_max\":64,\"dispatch_timeout_ms\":" ++ timeout_ms ++ "}," ++
        "\"threads\":2,\"ring_bytes\":262144," ++
        "\"table\":{\"targets\":[{\"kind\":\"lane\",\"route\":7}],\"fallback\":0,\"entries\":[]}}";
}

/// Clients with a request each: more than the thread's ring has room for.
const Crowd = struct {
    streams: [connections_max - 1]std.net.Stream = undefined,
    count: usize = 0,
    answered: std.StaticBitSet(connections_max - 1) = .initEmpty(),

    fn come(self: *Crowd, play: *const Play) !void {
        while (self.count < self.streams.len) : (self.count += 1) {
            const stream = try play.connect();
            self.streams[self.count] = stream;
            try stream.writeAll(large_request);
        }
        // The ring has been found full, and nothing more of it is taken.
        const wanted = &play.engine.block.control(0, 0).request_wanted;
        for (0..10_000) |_| {
            const is_full = @atomicLoad(u32, wanted, .seq_cst) == 1;
            const read = play.engine.stats().requests;
            std.time.sleep(20 * std.time.ns_per_ms);
            if (is_full and play.engine.stats().requests == read) return;
        }
        return error.NotInTime;
    }

    /// Waits until some are answered, each of them that it came too late, and counts them. None
    /// is asked again.
    fn takeRefusals(self: *Crowd, timeout_ms: i32) !usize {
        var fds: [connections_max - 1]posix.pollfd = undefined;
        for (fds[0..self.count], self.streams[0..self.count], 0..) |*fd, stream, i| {
            const asked = if (self.answered.isSet(i)) -1 else stream.handle;
            fd.* = .{ .fd = asked, .events = posix.POLL.IN, .revents = 0 };
        }
        const found = try posix.poll(fds[0..self.count], timeout_ms);
        for (fds[0..self.count], 0..) |fd, i| {
            if (fd.revents == 0) continue;
            try hostile.expectText(self.streams[i], "dispatch_timeout");
            self.answered.set(i);
        }
        return found;
    }

    fn leave(self: *Crowd) void {
        for (self.streams[0..self.count]) |stream| stream.close();
    }
};

fn waitFor(word: *const u32, value: u32) !void {
    for (0..10_000) |_| {
        if (@atomicLoad(u32, word, .seq_cst) == value) return;
        std.time.sleep(std.time.ns_per_ms);
    }
    return error.NotInTime;
}

/// As a thread that is terminated when it has taken the sleeping worker's flag down, before the
/// wake that it owes for that.
fn takeFlag(play: *const Play, worker: u32) !void {
    const asleep = &play.engine.block.worker(worker).asleep;
    for (0..10_000) |_| {
        if (@atomicRmw(u32, asleep, .Xchg, 0, .seq_cst) == 1) return;
        std.time.sleep(std.time.ns_per_ms);
    }
    return error.NotInTime;
}

test "a worker that sleeps is woken by a call as it is by a write" {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    defer stream.close();
    for ([_]@TypeOf(play.wakes){ .by_call, .by_write, .by_call }) |way| {
        play.wakes = way;
        try stream.writeAll(hostile.request_text);
        const record = try play.nextRequest();
        try waitFor(&play.engine.block.worker(0).asleep, 1);
        try play.publishRaw(std.mem.asBytes(&hostile.Answer.to(record)));
        try hostile.expectStatus(stream, "200");
    }
}

test "a thread may end between taking down a worker's flag and the wake that it owes for that" {
    var play = try Play.open();
    const unaware = &play.engine.dispatcher.threads.places[0].unaware;
    for (0..3) |_| {
        try takeFlag(&play, 0);
        play.detach();
        try waitFor(&unaware.raw, 0);
        try play.attach();
    }
    // Of a thread that nobody has told of either: the worker comes to its end all the same.
    try takeFlag(&play, 0);
    play.engine.destroy();
    posix.close(play.doorbell);
    log.setLevel(.debug);
}

test "the same of a thread whose end is noticed by another worker" {
    var play = try Play.openWith(
        \\{"server":{"port":0,"hostname":"127.0.0.1","workers":2,"connections_max":64},
        \\ "table":{"targets":[{"kind":"lane","route":7}],"fallback":0}}
    );
    defer play.engine.destroy();
    defer log.setLevel(.debug);
    const place = &play.engine.dispatcher.threads.places[0];
    const stream = try play.connect(); // worker 0
    defer stream.close();
    @atomicStore(u32, &play.engine.block.thread(0).asleep, 1, .seq_cst);
    try takeFlag(&play, 1);
    posix.close(play.doorbell);
    try stream.writeAll(hostile.request_text);
    try hostile.expectStatus(stream, "503");
    try waitFor(&place.unaware.raw, 0);
}

test "a request that waits for a full lane is offered to a thread that comes meanwhile" {
    var play = try Play.openWith(configOf("60000"));
    defer play.close();
    var crowd: Crowd = .{};
    defer crowd.leave();
    try crowd.come(&play);
    const taken = play.engine.stats().requests;
    try testing.expect(taken < crowd.count);
    var defect: Defect = .{};
    const doorbell = (try play.engine.attach(1, &defect)).fd;
    defer posix.close(doorbell);
    defer play.engine.detach(1);
    var other = play;
    other.requests = .{ .ring = play.engine.block.requestRing(0, 1) };
    for (taken..crowd.count) |_| _ = try other.nextRequest();
}

test "a request that no thread takes in time is answered with 503, and its connection ends" {
    var play = try Play.openWith(configOf("300"));
    defer play.close();
    var crowd: Crowd = .{};
    defer crowd.leave();
    try crowd.come(&play);
    const taken = play.engine.stats().requests;
    try testing.expect(taken < crowd.count);
    var refused: usize = 0;
    while (refused < crowd.count - taken) {
        const found = try crowd.takeRefusals(10_000);
        if (found == 0) return error.NotInTime;
        refused += found;
    }
    try testing.expectEqual(crowd.count - taken, refused);
    try testing.expectEqual(0, try crowd.takeRefusals(100)); // the others are with the thread
    try testing.expectEqual(refused, play.engine.stats().errors);
    // The thread goes on: what it has is answered, and a new request is taken.
    for (0..taken) |_| _ = try play.nextRequest();
    const fresh = try play.connect();
    defer fresh.close();
    try fresh.writeAll(hostile.request_text);
    _ = try play.nextRequest();
}

test "workers that sleep hear of a thread that another worker has found gone" {
    var play = try Play.openWith(
        \\{"server":{"port":0,"hostname":"127.0.0.1","workers":2,"connections_max":64,
        \\"header_timeout_ms":600000},
        \\"threads":1,"ring_bytes":262144,
        \\"table":{"targets":[{"kind":"lane","route":7}],"fallback":0,"entries":[]}}
    );
    defer play.engine.destroy();
    defer log.setLevel(.info);
    // The workers take connections in turn.
    var streams: [2]std.net.Stream = undefined;
    for (&streams, 0..) |*stream, worker| {
        stream.* = try play.connect();
        try stream.writeAll(hostile.request_text);
        var other = play;
        other.requests = .{ .ring = play.engine.block.requestRing(@intCast(worker), 0) };
        _ = try other.nextRequest();
    }
    defer for (streams) |stream| stream.close();
    // It ends without a word while it sleeps: who rings finds out.
    posix.close(play.doorbell);
    @atomicStore(u32, &play.engine.block.thread(0).asleep, 1, .seq_cst);
    try streams[0].writeAll(hostile.request_text);
    for (streams) |stream| try hostile.expectStatus(stream, "503");
}
