//! A JS thread that does everything wrong: the engine answers 500, logs, and goes on. The thread is
//! played here, over the same memory and with the same records as ts/src uses.

const std = @import("std");
const testing = std.testing;
const posix = std.posix;
const log = @import("../core/log.zig");
const abi = @import("abi.zig");
const Instance = @import("instance.zig").Instance(void, void);
const Defect = @import("instance.zig").Defect;
const ring_file = @import("ring.zig");

const config =
    \\{"server":{"port":0,"hostname":"127.0.0.1","workers":1,"connections_max":64},
    \\ "table":{"targets":[{"kind":"lane","route":7},{"kind":"constant","body":"Yw=="}],
    \\ "fallback":0,"entries":[{"pattern":"/constant","target":1}]}}
;

/// An engine with one worker, and this thread as its JS thread.
pub const Play = struct {
    engine: *Instance,
    doorbell: posix.fd_t,
    requests: ring_file.Consumer,
    responses: ring_file.Producer,
    /// Whose rings these are.
    worker: u32 = 0,
    /// How a sleeping worker is woken: as JavaScript does it on most systems, or as on Windows.
    wakes: enum { by_write, by_call } = .by_write,

    pub fn open() !Play {
        return openWith(config);
    }

    pub fn openWith(json: []const u8) !Play {
        log.setLevel(.silent);
        var defect: Defect = .{};
        const engine = try Instance.create(testing.allocator, json, &defect);
        errdefer engine.destroy();
        var self: Play = .{
            .engine = engine,
            .doorbell = -1,
            .requests = undefined,
            .responses = undefined,
        };
        try self.attach();
        try engine.start(&defect);
        return self;
    }

    pub fn attach(self: *Play) !void {
        var defect: Defect = .{};
        self.doorbell = (try self.engine.attach(0, &defect)).fd;
        self.requests = .{ .ring = self.engine.block.requestRing(0, 0) };
        self.responses = .{ .ring = self.engine.block.responseRing(0, 0) };
    }

    pub fn detach(self: *Play) void {
        self.engine.detach(0);
        posix.close(self.doorbell);
    }

    pub fn close(self: *Play) void {
        self.detach();
        self.engine.destroy();
        log.setLevel(.debug);
    }

    pub fn connect(self: *const Play) !std.net.Stream {
        const address = try std.net.Address.parseIp("127.0.0.1", self.engine.port());
        const stream = try std.net.tcpConnectToAddress(address);
        const timeout = posix.timeval{ .sec = 10, .usec = 0 };
        try posix.setsockopt(
            stream.handle,
            posix.SOL.SOCKET,
            posix.SO.RCVTIMEO,
            std.mem.asBytes(&timeout),
        );
        return stream;
    }

    /// Waits for the next record of `kind`.
    pub fn expect(self: *Play, kind: abi.RecordKind) !ring_file.Record {
        for (0..10_000) |_| {
            if (try self.requests.next()) |record| {
                try testing.expectEqual(kind, record.header.kind);
                return record;
            }
            _ = self.requests.release();
            std.time.sleep(std.time.ns_per_ms);
        }
        return error.NothingCame;
    }

    /// Waits for the next request, and passes over what else is told.
    pub fn nextRequest(self: *Play) !ring_file.Record {
        return self.nextOf(&.{.request_head});
    }

    /// Waits for the next record of one of `kinds`, and passes over others.
    pub fn nextOf(self: *Play, kinds: []const abi.RecordKind) !ring_file.Record {
        for (0..10_000) |_| {
            while (try self.requests.next()) |record| {
                if (std.mem.indexOfScalar(abi.RecordKind, kinds, record.header.kind) != null) {
                    return record;
                }
            }
            if (self.requests.release()) self.wake();
            std.time.sleep(std.time.ns_per_ms);
        }
        return error.NothingCame;
    }

    /// Publishes `bytes` as they are, and wakes the worker.
    pub fn publishRaw(self: *Play, bytes: []const u8) !void {
        const size = abi.recordSize(@intCast(bytes.len));
        const room = (try self.responses.reserve(size)).?;
        @memset(room, 0);
        @memcpy(room[0..bytes.len], bytes);
        self.responses.commit(size);
        _ = self.responses.publish();
        self.wake();
    }

    pub fn wake(self: *Play) void {
        const line = self.engine.block.worker(self.worker);
        if (@atomicRmw(u32, &line.asleep, .Xchg, 0, .seq_cst) != 1) return;
        switch (self.wakes) {
            .by_write => _ = posix.write(line.wake_fd, std.mem.asBytes(&@as(u64, 1))) catch
                unreachable,
            .by_call => Instance.ring(line.wake_fd),
        }
    }
};

pub const request_text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn readHead(stream: std.net.Stream, buffer: []u8) ![]const u8 {
    var len: usize = 0;
    while (std.mem.indexOf(u8, buffer[0..len], "\r\n\r\n") == null) {
        const n = try stream.read(buffer[len..]);
        if (n == 0) return error.EndOfStream;
        len += n;
    }
    return buffer[0..len];
}

pub fn expectStatus(stream: std.net.Stream, status: []const u8) !void {
    var buffer: [4096]u8 = undefined;
    const head = try readHead(stream, &buffer);
    try testing.expectEqualStrings(status, head["HTTP/1.1 ".len..][0..3]);
}

/// Reads until `text` has come.
pub fn expectText(stream: std.net.Stream, text: []const u8) !void {
    var buffer: [4096]u8 = undefined;
    var len: usize = 0;
    while (std.mem.indexOf(u8, buffer[0..len], text) == null) {
        const n = try stream.read(buffer[len..]);
        if (n == 0) return error.EndOfStream;
        len += n;
    }
}

/// A good answer, for tests to spoil.
pub const Answer = extern struct {
    head: abi.ResponseHead,
    table: [2]abi.ResponseField,
    text: [16]u8,

    pub fn to(record: ring_file.Record) Answer {
        return .{
            .head = .{
                .header = .{
                    .size = @sizeOf(Answer),
                    .kind = .response_head,
                    .flags = abi.flag_end,
                    .slot = record.header.slot,
                    .generation = record.header.generation,
                },
                .status = 200,
                .field_count = 2,
                .content_type = .none,
                .reserved = .{ 0, 0, 0 },
                .field_bytes = 8,
                .inline_bytes = 8,
                .body_length = 0,
            },
            .table = .{ .{ .name_len = 2, .value_len = 2 }, .{ .name_len = 2, .value_len = 2 } },
            .text = "x1v1x2v2the body".*,
        };
    }
};

test "a good answer arrives, with its fields and its body" {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll(request_text);
    const record = try play.expect(.request_head);
    try testing.expectEqual(7, record.fixed(abi.RequestHead).?.route);
    try play.publishRaw(std.mem.asBytes(&Answer.to(record)));
    var buffer: [4096]u8 = undefined;
    const all = try readHead(stream, &buffer);
    try testing.expect(std.mem.indexOf(u8, all, "x1: v1\r\nx2: v2\r\n") != null);
    try testing.expect(std.mem.endsWith(u8, all, "the body"));
}

const Spoil = *const fn (answer: *Answer) void;

/// What a wrong answer gets. The lane and the connection go on.
fn expectRefused(spoil: Spoil) !void {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    defer stream.close();
    for (0..2) |_| {
        try stream.writeAll(request_text);
        var answer = Answer.to(try play.expect(.request_head));
        spoil(&answer);
        try play.publishRaw(std.mem.asBytes(&answer));
        try expectStatus(stream, "500");
        _ = try play.expect(.request_abort);
    }
    try stream.writeAll(request_text);
    try play.publishRaw(std.mem.asBytes(&Answer.to(try play.expect(.request_head))));
    try expectStatus(stream, "200");
}

fn spoils(comptime change: anytype) Spoil {
    return &struct {
        fn spoil(answer: *Answer) void {
            change.apply(answer);
        }
    }.spoil;
}

test "lengths that reach beyond the record are refused with 500, and the lane goes on" {
    try expectRefused(spoils(struct {
        fn apply(a: *Answer) void {
            a.head.field_count = 65535;
        }
    }));
    try expectRefused(spoils(struct {
        fn apply(a: *Answer) void {
            a.head.field_bytes = 0xffff_ffff;
        }
    }));
    try expectRefused(spoils(struct {
        fn apply(a: *Answer) void {
            a.head.inline_bytes = 0xffff_ffff;
        }
    }));
    try expectRefused(spoils(struct {
        fn apply(a: *Answer) void {
            a.table[1].value_len = 7; // beyond field_bytes
        }
    }));
}

test "fields with CR, LF, NUL or a bad name are refused with 500" {
    try expectRefused(spoils(struct {
        fn apply(a: *Answer) void {
            a.text[2..4].* = "\r\n".*;
        }
    }));
    try expectRefused(spoils(struct {
        fn apply(a: *Answer) void {
            a.text[3] = 0;
        }
    }));
    try expectRefused(spoils(struct {
        fn apply(a: *Answer) void {
            a.text[0] = ':';
        }
    }));
    try expectRefused(spoils(struct {
        fn apply(a: *Answer) void {
            a.table[0] = .{ .name_len = 0, .value_len = 4 };
        }
    }));
}

test "an unknown kind, an unknown content type, a chunk before its head are refused with 500" {
    try expectRefused(spoils(struct {
        fn apply(a: *Answer) void {
            a.head.header.kind = @enumFromInt(999);
        }
    }));
    try expectRefused(spoils(struct {
        fn apply(a: *Answer) void {
            a.head.content_type = @enumFromInt(200);
        }
    }));
    try expectRefused(spoils(struct {
        fn apply(a: *Answer) void {
            a.head.header.kind = .response_chunk;
        }
    }));
    try expectRefused(spoils(struct {
        fn apply(a: *Answer) void {
            a.head.header.kind = .request_head; // the engine's to send
        }
    }));
}

test "a status that is none is answered as 500" {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    defer stream.close();
    for ([_]u16{ 0, 99, 100, 199, 600, 65535 }) |status| {
        try stream.writeAll(request_text);
        var answer = Answer.to(try play.expect(.request_head));
        answer.head.status = status;
        try play.publishRaw(std.mem.asBytes(&answer));
        try expectStatus(stream, "500");
    }
}

test "answers to exchanges that are not, or not any more, go nowhere" {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll(request_text);
    const record = try play.expect(.request_head);
    const good = Answer.to(record);
    for ([_][2]u32{
        .{ good.head.header.slot, good.head.header.generation +% 2 },
        .{ good.head.header.slot, good.head.header.generation -% 2 },
        .{ good.head.header.slot, 0 },
        .{ 0xffff_ffff, good.head.header.generation },
        .{ 63, 1 },
    }) |id| {
        var answer = good;
        answer.head.header.slot = id[0];
        answer.head.header.generation = id[1];
        try play.publishRaw(std.mem.asBytes(&answer));
    }
    try play.publishRaw(std.mem.asBytes(&good));
    try expectStatus(stream, "200");
    try play.publishRaw(std.mem.asBytes(&good)); // once more
    try stream.writeAll(request_text);
    try play.publishRaw(std.mem.asBytes(&Answer.to(try play.expect(.request_head))));
    try expectStatus(stream, "200");
    try testing.expectEqual(0, play.engine.stats().badRecords);
}

test "more body than there is credit for closes the connection" {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll(request_text);
    var answer = Answer.to(try play.expect(.request_head));
    answer.head.header.flags = 0;
    answer.head.body_length = abi.length_unknown;
    try play.publishRaw(std.mem.asBytes(&answer));
    const Full = extern struct { chunk: abi.Chunk, bytes: [abi.chunk_bytes_max]u8 };
    var chunk: Full = undefined;
    chunk.chunk = .{
        .header = .{
            .size = @sizeOf(Full),
            .kind = .response_chunk,
            .flags = 0,
            .slot = answer.head.header.slot,
            .generation = answer.head.header.generation,
        },
        .len = abi.chunk_bytes_max,
        .reserved = 0,
    };
    @memset(&chunk.bytes, 'x');
    // The client reads nothing: what the engine keeps for it is bounded by the credit, whatever is
    // sent.
    var refused = false;
    for (0..2000) |_| {
        if (try play.requests.next()) |record| if (record.header.kind == .request_abort) {
            refused = true;
            break;
        };
        _ = play.requests.release();
        const room = try play.responses.reserve(@sizeOf(Full)) orelse {
            play.wake();
            std.time.sleep(std.time.ns_per_ms);
            continue;
        };
        @memcpy(room, std.mem.asBytes(&chunk));
        play.responses.commit(@sizeOf(Full));
        _ = play.responses.publish();
        play.wake();
    }
    try testing.expect(refused);
    try testing.expectEqual(1, play.engine.stats().badRecords);
}

test "an HTTP/1.0 body that is given up ended by FIN, as a whole one does" {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll("GET / HTTP/1.0\r\n\r\n");
    var answer = Answer.to(try play.expect(.request_head));
    answer.head.header.flags = 0;
    answer.head.body_length = abi.length_unknown; // the connection's end will end it
    try play.publishRaw(std.mem.asBytes(&answer));
    var buffer: [4096]u8 = undefined;
    _ = try readHead(stream, &buffer);
    var end = answer.head.header;
    end.kind = .response_abort;
    end.size = @sizeOf(abi.RecordHeader);
    try play.publishRaw(std.mem.asBytes(&end));
    const outcome = while (stream.read(&buffer)) |n| {
        if (n == 0) break error.EndOfStream;
    } else |err| err;
    try testing.expectEqual(error.ConnectionResetByPeer, outcome);
}

test "a spoiled response ring costs what is under way, and the lane goes on behind it" {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll(request_text);
    _ = try play.expect(.request_head);
    const nonsense = [_]u32{ 12, 0xffff_ffff, 1, 2, 3, 4, 5, 6 }; // a size off the grid
    try play.publishRaw(std.mem.sliceAsBytes(&nonsense));
    try expectStatus(stream, "500");
    _ = try play.expect(.request_abort);
    try stream.writeAll(request_text);
    try play.publishRaw(std.mem.asBytes(&Answer.to(try play.expect(.request_head))));
    try expectStatus(stream, "200");
}

test "a thread that spoils its position gets no more; constants go on, and a new thread is heard" {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    defer stream.close();
    const control = play.engine.block.control(0, 0);
    // The engine rereads the position when the ring seems full: a head larger than any makes it so
    // soon.
    @atomicStore(u32, &control.request_head, 0x7fff_fff8, .seq_cst);
    var waiting: [40]?std.net.Stream = @splat(null);
    defer for (waiting) |it| if (it) |s| s.close();
    const filler = "X-Filler: " ++ "y" ** 8000 ++ "\r\n";
    for (&waiting) |*it| {
        it.* = try play.connect();
        try it.*.?.writeAll("GET /x HTTP/1.1\r\nHost: a\r\n" ++ filler ++ "\r\n");
    }
    for (waiting[0..30]) |it| try expectStatus(it.?, "500");
    try stream.writeAll("GET /constant HTTP/1.1\r\nHost: a\r\n\r\n");
    try expectStatus(stream, "200");
    try stream.writeAll(request_text);
    try expectStatus(stream, "503");
    play.detach();
    try play.attach();
    try stream.writeAll(request_text);
    try play.publishRaw(std.mem.asBytes(&Answer.to(try play.expect(.request_head))));
    try expectStatus(stream, "200");
}

test "random records never end the engine" {
    var play = try Play.open();
    defer play.close();
    var prng = std.Random.DefaultPrng.init(testing.random_seed);
    const random = prng.random();
    for (0..200) |_| {
        const stream = try play.connect();
        defer stream.close();
        try stream.writeAll("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        const record = try play.nextRequest();
        const good = Answer.to(record);
        var answer = good;
        spoilAtRandom(random, std.mem.asBytes(&answer));
        try play.publishRaw(std.mem.asBytes(&answer));
        // Whatever that was, an abort ends the exchange if it is still open.
        var end = good.head.header;
        end.kind = .response_abort;
        end.size = @sizeOf(abi.RecordHeader);
        try play.publishRaw(std.mem.asBytes(&end));
        var buffer: [4096]u8 = undefined;
        while (try stream.read(&buffer) != 0) {}
    }
    try testing.expectEqual(0, play.engine.stats().pending);
    const other = try play.connect();
    defer other.close();
    try other.writeAll("GET /constant HTTP/1.1\r\nHost: a\r\n\r\n");
    try expectStatus(other, "200");
}

/// Changes some bytes, but neither size nor ids, so that the record is looked at.
pub fn spoilAtRandom(random: std.Random, bytes: []u8) void {
    for (0..1 + random.uintLessThan(usize, 6)) |_| {
        const at = random.uintLessThan(usize, bytes.len);
        if (at < 4 or (at >= 8 and at < 16)) continue;
        bytes[at] = random.int(u8);
    }
}
