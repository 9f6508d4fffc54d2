//! Workers that run in the loops of JS threads, both of which are played here: whose lane a request
//! goes to, and what comes about while a handler is long.

const std = @import("std");
const posix = std.posix;
const testing = std.testing;
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const Defect = @import("../core/defect.zig").Defect;
const Reader = @import("doorbell.zig").Reader;
const Instance = @import("instance.zig").Instance(void, void);

const config =
    \\{"server":{"port":0,"hostname":"127.0.0.1","connections_max":64},
    \\ "ring_bytes":131072,"credit_bytes":65536,"is_inline":true,"lends":true,"threads":2,
    \\ "announce":false,"table":{"targets":[{"kind":"lane","route":7}],"fallback":0}}
;
const patience_ms = 10_000;
const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

const Play = struct {
    instance: *Instance,
    offer: Instance.Offer,
    level: log.Level,
    /// Of doorbells: one that is closed is a thread that is gone.
    readers: std.BoundedArray(Reader, 8) = .{},

    /// Worker 0 is lent to this thread.
    fn open() !Play {
        return openWith(config);
    }

    fn openWith(json: []const u8) !Play {
        const level = log.setThreadLevel(.silent);
        log.setLevel(.silent);
        var defect: Defect = .{};
        const instance = try Instance.create(testing.allocator, json, &defect);
        errdefer instance.destroy();
        var self: Play = .{ .instance = instance, .offer = undefined, .level = level };
        for (0..2) |thread| _ = try self.attach(@intCast(thread));
        try testing.expectEqual(null, instance.offer(0)); // it has not started
        try instance.start(&defect);
        try testing.expectEqual(null, instance.offer(2));
        self.offer = instance.offer(0).?;
        return self;
    }

    fn close(self: *Play) void {
        self.instance.destroy();
        self.offer.loan.release();
        for (self.readers.slice()) |reader| reader.close();
        _ = log.setThreadLevel(self.level);
    }

    /// The thread sleeps.
    fn attach(self: *Play, thread: u32) !Reader {
        var defect: Defect = .{};
        const reader = try self.instance.attach(thread, &defect);
        self.readers.appendAssumeCapacity(reader);
        @atomicStore(u32, &self.instance.block.thread(thread).asleep, 1, .seq_cst);
        return reader;
    }

    fn borrow(self: *Play) !void {
        try testing.expectEqual(.lent, self.offer.loan.borrow(self, self.offer));
    }

    fn step(self: *Play) !void {
        try testing.expect(self.offer.loan.enter(self));
        defer self.offer.loan.leave();
        const engine = &self.instance.engine.?;
        engine.turn(0);
        try testing.expect(engine.rest(0) != null);
    }

    /// So many requests are on the lane of a worker and a thread.
    fn expectPending(self: *Play, worker: u32, thread: u32, count: u32, steps: bool) !void {
        const lane = &self.instance.dispatcher.lanes[worker * 2 + thread];
        for (0..patience_ms) |_| {
            if (steps) try self.step();
            if (@atomicLoad(u32, &lane.pending, .monotonic) == count) return;
            system.sleepMs(1);
        }
        return error.NotThere;
    }

    /// As a JS thread that has published something, once the worker sleeps.
    fn takeFlag(self: *Play, worker: u32) !void {
        const asleep = &self.instance.block.worker(worker).asleep;
        for (0..patience_ms) |_| {
            if (@atomicRmw(u32, asleep, .Xchg, 0, .seq_cst) == 1) return;
            system.sleepMs(1);
        }
        return error.StillAwake;
    }

    fn connect(self: *Play) !std.net.Stream {
        const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, self.instance.port());
        const stream = try std.net.tcpConnectToAddress(address);
        errdefer stream.close();
        const limit: posix.timeval = .{ .sec = patience_ms / 1000, .usec = 0 };
        const option = posix.SO.RCVTIMEO;
        try posix.setsockopt(stream.handle, posix.SOL.SOCKET, option, std.mem.asBytes(&limit));
        return stream;
    }
};

fn expectStatus(stream: std.net.Stream, status: []const u8) !void {
    var buffer: [2048]u8 = undefined;
    const count = try stream.read(&buffer);
    try testing.expect(std.mem.startsWith(u8, buffer[0..count], "HTTP/1.1 "));
    try testing.expectEqualStrings(status, buffer[9..12]);
}

test "requests go to the thread that has their worker, by a mark and not by its doorbell" {
    var play = try Play.open();
    defer play.close();
    try testing.expectEqual(2, play.instance.stats().workers);
    try play.borrow();
    try testing.expectEqual(1, play.instance.stats().@"inline");
    // The workers take connections in turn; nobody has the other one.
    const streams = [2]std.net.Stream{ try play.connect(), try play.connect() };
    defer for (streams) |stream| stream.close();
    for (streams) |stream| for (0..3) |_| try stream.writeAll(request);
    try play.expectPending(0, 0, 3, true);
    try play.expectPending(1, 1, 3, false);
    try testing.expect(play.offer.loan.rung);
    for ([_][2]u32{ .{ 0, 1 }, .{ 1, 0 } }) |others|
        try play.expectPending(others[0], others[1], 0, false);
}

test "a thread may be replaced before the engine has started" {
    const level = log.setThreadLevel(.silent);
    defer _ = log.setThreadLevel(level);
    var defect: Defect = .{};
    const instance = try Instance.create(testing.allocator, config, &defect);
    var play: Play = .{ .instance = instance, .offer = undefined, .level = level };
    for (0..3) |_| {
        _ = try play.attach(0);
        instance.detach(0);
    }
    _ = try play.attach(0);
    try instance.start(&defect);
    play.offer = instance.offer(0).?;
    defer play.close();
    const stream = try play.connect(); // worker 0
    defer stream.close();
    try stream.writeAll(request);
    try play.expectPending(0, 0, 1, false);
    instance.detach(0);
    try expectStatus(stream, "503");
    _ = try play.attach(0);
}

test "a thread may end between taking down a worker's flag and the wake that it owes for that" {
    var play = try Play.open();
    const threads = &play.instance.dispatcher.threads;
    for (0..2) |_| {
        try play.takeFlag(1);
        play.instance.detach(1);
        for (0..patience_ms) |_| {
            if (threads.places[1].unaware.load(.acquire) == 0) break;
            system.sleepMs(1);
        } else return error.NotWoken;
        _ = try play.attach(1);
    }
    try play.takeFlag(1);
    play.close(); // it comes to its end
}

test "a thread that ends costs its requests a 503; others take what comes until it is replaced" {
    var play = try Play.open();
    defer play.close();
    try play.borrow();
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll(request);
    try play.expectPending(0, 0, 1, true);
    // As its end has it (inline.zig).
    try testing.expect(play.offer.loan.enter(&play));
    play.instance.detach(0);
    play.offer.loan.giveBack();
    try expectStatus(stream, "503");
    try stream.writeAll(request);
    try play.expectPending(0, 1, 1, false);
    _ = try play.attach(0);
    try play.borrow();
    const second = try play.connect(); // worker 1
    defer second.close();
    const third = try play.connect();
    defer third.close();
    try third.writeAll(request);
    try play.expectPending(0, 0, 1, true);
    try play.expectPending(0, 1, 1, false);
}

test "a handler that is long keeps nobody from a reload, or from replacing another thread" {
    var play = try Play.open();
    defer play.close();
    try play.borrow();
    try play.step();
    // From here on this thread is in a handler, and makes no step.
    var defect: Defect = .{};
    const begun = std.time.milliTimestamp();
    const fresh =
        \\{"table":{"targets":[{"kind":"lane","route":8}],"fallback":0}}
    ;
    for (0..3) |_| try play.instance.reload(fresh, &defect);
    try testing.expect(play.instance.dispatcher.tableSettled());
    for (0..3) |_| {
        play.instance.detach(1);
        _ = try play.attach(1);
    }
    try testing.expect(std.time.milliTimestamp() - begun < patience_ms / 4);
    try play.step();
}

test "a worker is one reader of the files that are kept, whichever thread has it" {
    var tmp = testing.tmpDir(.{});
    defer tmp.cleanup();
    try tmp.dir.writeFile(.{ .sub_path = "a", .data = "a file" });
    var path: [std.fs.max_path_bytes]u8 = undefined;
    var json: [std.fs.max_path_bytes + 512]u8 = undefined;
    var play = try Play.openWith(try std.fmt.bufPrint(
        &json,
        \\{{"server":{{"port":0,"hostname":"127.0.0.1","connections_max":64}},
        \\ "is_inline":true,"lends":true,"threads":2,"announce":false,
        \\ "table":{{"targets":[{{"kind":"dir","root":"{s}"}}],"fallback":0}}}}
    ,
        .{try tmp.dir.realpath(".", &path)},
    ));
    defer play.close();
    const stream = try play.connect(); // worker 0
    defer stream.close();
    const file = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    for (0..3) |_| {
        try stream.writeAll(file);
        try expectStatus(stream, "200"); // from its own thread
        try play.borrow();
        try stream.writeAll(file);
        for (0..patience_ms) |_| {
            try play.step();
            var fds = [_]posix.pollfd{.{
                .fd = stream.handle,
                .events = posix.POLL.IN,
                .revents = 0,
            }};
            if (try posix.poll(&fds, 1) == 1) break;
        }
        try expectStatus(stream, "200");
        try testing.expect(play.offer.loan.enter(&play));
        play.offer.loan.giveBack();
    }
    const table = play.instance.dispatcher.table.load(.acquire);
    var readers: u32 = 0;
    for (table.targets[0].dir.cache.?.pins) |*pin|
        readers += @intFromBool(pin.owner.load(.monotonic) != 0);
    try testing.expectEqual(1, readers);
}

test "what a lane has said by a mark is said by the doorbell when its worker leaves the loop" {
    var play = try Play.open();
    defer play.close();
    const reader = play.readers.get(0);
    try play.borrow();
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll(request);
    try play.expectPending(0, 0, 1, true);
    var byte: [1]u8 = undefined;
    try testing.expectError(error.WouldBlock, system.read(reader.fd, &byte));
    try testing.expect(play.offer.loan.enter(&play));
    play.offer.loan.giveBack();
    var fds = [_]posix.pollfd{.{ .fd = reader.fd, .events = posix.POLL.IN, .revents = 0 }};
    try testing.expectEqual(1, try posix.poll(&fds, patience_ms));
    try testing.expectEqual(1, try system.read(reader.fd, &byte));
}
