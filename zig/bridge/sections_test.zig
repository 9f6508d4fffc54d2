//! Trailers, interim responses and protocol errors on their way over a lane, told rightly and
//! wrongly. The JS thread is played, as in hostile_test.zig.

const std = @import("std");
const testing = std.testing;
const problem = @import("../http/problem.zig");
const abi = @import("abi.zig");
const hostile = @import("hostile_test.zig");
const Answer = hostile.Answer;
const Play = hostile.Play;
const Record = @import("ring.zig").Record;

const Trailers = struct {
    record: Record,
    head: abi.RequestTrailers,

    fn of(record: Record) !Trailers {
        try testing.expectEqual(.request_trailers, record.header.kind);
        return .{ .record = record, .head = record.fixed(abi.RequestTrailers).? };
    }

    fn expectField(self: *const Trailers, index: usize, name: []const u8, value: []const u8) !void {
        const bytes = self.record.bytes[@sizeOf(abi.RequestTrailers)..];
        const table: []const abi.FieldSpan = std.mem.bytesAsSlice(
            abi.FieldSpan,
            bytes[0 .. self.head.field_count * @sizeOf(abi.FieldSpan)],
        );
        const lines = bytes[table.len * @sizeOf(abi.FieldSpan) ..][0..self.head.line_bytes];
        const field = table[index];
        try testing.expectEqualStrings(name, lines[field.name.offset..][0..field.name.len]);
        try testing.expectEqualStrings(value, lines[field.value.offset..][0..field.value.len]);
    }
};

const post_head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const post_body = "3\r\nabc\r\n0\r\nX-Sum:  17 \r\nEmpty:\r\n\r\n";

fn isEnd(record: Record) bool {
    return record.header.flags & abi.flag_end != 0;
}

test "trailers follow a body that went along with its head, and end it" {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll(post_head ++ post_body);
    const head = try play.expect(.request_head);
    try testing.expectEqual(3, head.fixed(abi.RequestHead).?.inline_bytes);
    try testing.expect(!isEnd(head));
    const trailers = try Trailers.of(try play.expect(.request_trailers));
    try testing.expectEqual(2, trailers.head.field_count);
    try trailers.expectField(0, "X-Sum", "17");
    try trailers.expectField(1, "Empty", "");
    try play.publishRaw(std.mem.asBytes(&Answer.to(head)));
    try hostile.expectStatus(stream, "200");
}

test "trailers end a body that comes in pieces, wherever they are cut" {
    for (0..post_body.len) |split| {
        var play = try Play.open();
        defer play.close();
        const stream = try play.connect();
        defer stream.close();
        try stream.writeAll(post_head);
        _ = try play.expect(.request_head);
        try stream.writeAll(post_body[0..split]);
        std.time.sleep(std.time.ns_per_ms); // most of the time the cut is seen; it need not be
        try stream.writeAll(post_body[split..]);
        var content: usize = 0;
        const record = while (true) {
            const record = try play.nextOf(&.{ .request_chunk, .request_trailers });
            if (record.header.kind == .request_trailers) break record;
            try testing.expect(!isEnd(record));
            content += record.fixed(abi.Chunk).?.len;
        };
        try testing.expectEqual(3, content);
        const trailers = try Trailers.of(record);
        try trailers.expectField(0, "X-Sum", "17");
        try trailers.expectField(1, "Empty", "");
    }
}

/// Ends a body with trailers that are larger than what `fillRing` leaves free.
const long_trailers = "0\r\nX-Sum: 17\r\nX-Long: " ++ "y" ** 8000 ++ "\r\n\r\n";

/// Sends requests that nobody takes until one finds no room.
fn fillRing(play: *Play, streams: []std.net.Stream) !void {
    const filler = "X-Filler: " ++ "y" ** 7000 ++ "\r\n";
    for (streams) |*it| {
        it.* = try play.connect();
        try it.writeAll("GET /x HTTP/1.1\r\nHost: a\r\n" ++ filler ++ "\r\n");
    }
    const wanted = &play.engine.block.control(0, 0).request_wanted;
    for (0..10_000) |_| {
        if (@atomicLoad(u32, wanted, .seq_cst) == 1) return;
        std.time.sleep(std.time.ns_per_ms);
    }
    return error.RingIsNotFull;
}

test "trailers that find the ring full come when there is room" {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll(post_head);
    const head = try play.expect(.request_head);
    var others: [40]std.net.Stream = undefined;
    try fillRing(&play, &others);
    defer for (others) |other| other.close();
    try stream.writeAll(long_trailers);
    const record = try play.nextOf(&.{.request_trailers});
    try testing.expectEqual(head.header.slot, record.header.slot);
    try (try Trailers.of(record)).expectField(0, "X-Sum", "17");
}

/// A good section, for tests to spoil.
const Section = extern struct {
    head: abi.FieldSection,
    table: [2]abi.ResponseField,
    text: [8]u8,

    fn to(record: Record, kind: abi.RecordKind) Section {
        return .{
            .head = .{
                .header = .{
                    .size = @sizeOf(Section),
                    .kind = kind,
                    .flags = 0,
                    .slot = record.header.slot,
                    .generation = record.header.generation,
                },
                .status = 103,
                .field_count = 2,
                .field_bytes = 8,
            },
            .table = .{ .{ .name_len = 2, .value_len = 2 }, .{ .name_len = 2, .value_len = 2 } },
            .text = "x1v1x2v2".*,
        };
    }
};

fn beginAnswer(play: *Play, record: Record) !void {
    var answer = Answer.to(record);
    answer.head.header.flags = 0;
    answer.head.body_length = abi.length_unknown;
    try play.publishRaw(std.mem.asBytes(&answer));
}

test "trailers end a chunked response, and the connection goes on" {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    defer stream.close();
    for (0..2) |_| {
        try stream.writeAll(hostile.request_text);
        const record = try play.expect(.request_head);
        try beginAnswer(&play, record);
        try play.publishRaw(std.mem.asBytes(&Section.to(record, .response_trailers)));
        try hostile.expectText(stream, "8\r\nthe body\r\n0\r\nx1: v1\r\nx2: v2\r\n\r\n");
    }
    try testing.expectEqual(0, play.engine.stats().badRecords);
}

test "interim responses go ahead of the response" {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll(hostile.request_text);
    const record = try play.expect(.request_head);
    for (0..2) |_| {
        try play.publishRaw(std.mem.asBytes(&Section.to(record, .response_interim)));
        const early = "HTTP/1.1 103 Early Hints\r\nx1: v1\r\nx2: v2\r\n\r\n";
        try hostile.expectText(stream, early);
    }
    try play.publishRaw(std.mem.asBytes(&Answer.to(record)));
    try hostile.expectStatus(stream, "200");
}

const Case = struct { kind: abi.RecordKind, begun: bool, spoil: *const fn (*Section) void };

fn changes(comptime change: anytype) *const fn (*Section) void {
    return &struct {
        fn spoil(section: *Section) void {
            change.apply(section);
        }
    }.spoil;
}

const untouched = changes(struct {
    fn apply(_: *Section) void {}
});
const too_many = changes(struct {
    fn apply(s: *Section) void {
        s.head.field_count = 65535;
    }
});
const too_long = changes(struct {
    fn apply(s: *Section) void {
        s.head.field_bytes = 0xffff_ffff;
    }
});
const beyond = changes(struct {
    fn apply(s: *Section) void {
        s.table[1].value_len = 3;
    }
});
const line_feed = changes(struct {
    fn apply(s: *Section) void {
        s.text[2..4].* = "\r\n".*;
    }
});
const nul = changes(struct {
    fn apply(s: *Section) void {
        s.text[3] = 0;
    }
});
const no_name = changes(struct {
    fn apply(s: *Section) void {
        s.table[0] = .{ .name_len = 0, .value_len = 4 };
    }
});
const forbidden = changes(struct {
    fn apply(s: *Section) void {
        s.text[0..4].* = "hOSt".*;
        s.table[0] = .{ .name_len = 4, .value_len = 0 };
    }
});

fn withStatus(comptime status: u16) *const fn (*Section) void {
    return changes(struct {
        fn apply(s: *Section) void {
            s.head.status = status;
        }
    });
}

const cases = blk: {
    var all: []const Case = &.{
        .{ .kind = .response_trailers, .begun = false, .spoil = untouched },
        .{ .kind = .response_interim, .begun = true, .spoil = untouched },
        .{ .kind = .response_trailers, .begun = true, .spoil = forbidden },
    };
    for (.{ too_many, too_long, beyond, line_feed, nul, no_name }) |spoil| {
        all = all ++ &[_]Case{
            .{ .kind = .response_trailers, .begun = true, .spoil = spoil },
            .{ .kind = .response_interim, .begun = false, .spoil = spoil },
        };
    }
    for (.{ 0, 99, 100, 101, 200, 65535 }) |status| {
        const spoil = withStatus(status);
        all = all ++ &[_]Case{.{ .kind = .response_interim, .begun = false, .spoil = spoil }};
    }
    break :blk all;
};

test "a wrong section costs its exchange and nothing else" {
    var play = try Play.open();
    defer play.close();
    for (cases) |case| {
        const stream = try play.connect();
        defer stream.close();
        try stream.writeAll(hostile.request_text);
        const record = try play.expect(.request_head);
        if (case.begun) try beginAnswer(&play, record);
        var section = Section.to(record, case.kind);
        case.spoil(&section);
        try play.publishRaw(std.mem.asBytes(&section));
        _ = try play.expect(.request_abort);
        var buffer: [4096]u8 = undefined;
        const n = try stream.readAtLeast(&buffer, 12);
        if (case.begun) {
            // The end is missing, and the connection is closed.
            while (try stream.read(&buffer) > 0) {}
        } else try testing.expectEqualStrings("HTTP/1.1 500", buffer[0..@min(n, 12)]);
        const next = try play.connect();
        defer next.close();
        try next.writeAll(hostile.request_text);
        try play.publishRaw(std.mem.asBytes(&Answer.to(try play.expect(.request_head))));
        try hostile.expectStatus(next, "200");
    }
    try testing.expectEqual(0, play.engine.stats().pending);
}

test "trailers that are owed to a thread that dies are forgotten with their request" {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll(post_head);
    _ = try play.expect(.request_head);
    var others: [40]std.net.Stream = undefined;
    try fillRing(&play, &others);
    defer for (others) |other| other.close();
    try stream.writeAll(long_trailers);
    play.detach();
    try hostile.expectStatus(stream, "503");
    try play.attach();
    const next = try play.connect();
    defer next.close();
    try next.writeAll(post_head ++ post_body);
    while (true) {
        const record = try play.nextOf(&.{ .request_head, .request_trailers });
        if (record.header.kind == .request_trailers) break;
    }
}

test "trailers that are owed to a client that leaves are not told any more" {
    var play = try Play.open();
    defer play.close();
    const stream = try play.connect();
    try stream.writeAll(post_head);
    const head = try play.expect(.request_head);
    var others: [40]std.net.Stream = undefined;
    try fillRing(&play, &others);
    defer for (others) |other| other.close();
    try stream.writeAll(long_trailers);
    // A reset: the exchange ends, and its end is owed in the place of the trailers.
    const linger = extern struct { on: c_int = 1, seconds: c_int = 0 }{};
    const bytes = std.mem.asBytes(&linger);
    try std.posix.setsockopt(stream.handle, std.posix.SOL.SOCKET, std.posix.SO.LINGER, bytes);
    const before = play.engine.stats().pending;
    stream.close();
    for (0..10_000) |_| {
        if (play.engine.stats().pending < before) break;
        std.time.sleep(std.time.ns_per_ms);
    } else return error.StillPending;
    const told = try play.nextOf(&.{ .request_abort, .request_trailers });
    try testing.expectEqual(.request_abort, told.header.kind);
    try testing.expectEqual(head.header.slot, told.header.slot);
}

test "random sections never end the engine" {
    var play = try Play.open();
    defer play.close();
    var prng = std.Random.DefaultPrng.init(testing.random_seed);
    const random = prng.random();
    for (0..200) |i| {
        const stream = try play.connect();
        defer stream.close();
        try stream.writeAll("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        const record = try play.nextRequest();
        const kind: abi.RecordKind = if (i % 2 == 0) .response_trailers else .response_interim;
        if (i % 4 == 0) try beginAnswer(&play, record);
        var section = Section.to(record, kind);
        hostile.spoilAtRandom(random, std.mem.asBytes(&section));
        try play.publishRaw(std.mem.asBytes(&section));
        // Whatever that was, an abort ends the exchange if it is still open.
        var end = Answer.to(record).head.header;
        end.kind = .response_abort;
        end.size = @sizeOf(abi.RecordHeader);
        try play.publishRaw(std.mem.asBytes(&end));
        var buffer: [4096]u8 = undefined;
        while (stream.read(&buffer) catch 0 != 0) {}
    }
    try testing.expectEqual(0, play.engine.stats().pending);
}

const listening_config =
    \\{"server":{"port":0,"hostname":"127.0.0.1","workers":1,"connections_max":64},
    \\ "table":{"targets":[{"kind":"lane","route":7}],"fallback":0,"protocol_errors":true}}
;

fn sendMalformed(play: *Play) !void {
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    try hostile.expectStatus(stream, "400");
}

test "a refused message is told to the thread, with who sent it" {
    var play = try Play.openWith(listening_config);
    defer play.close();
    try sendMalformed(&play);
    const err = (try play.expect(.protocol_error)).fixed(abi.ProtocolError).?;
    try testing.expectEqual(@intFromEnum(problem.Code.space_before_colon), err.code);
    try testing.expectEqual(400, err.status);
    try testing.expectEqual(0, err.dropped);
    try testing.expectEqual(.ipv4, err.peer_family);
    try testing.expectEqualSlices(u8, &.{ 127, 0, 0, 1 }, err.peer_address[0..4]);
    try testing.expect(err.peer_port != 0);
}

test "nobody is told of refused messages who did not ask" {
    var play = try Play.open();
    defer play.close();
    try sendMalformed(&play);
    const stream = try play.connect();
    defer stream.close();
    try stream.writeAll(hostile.request_text);
    _ = try play.expect(.request_head);
}

test "refused messages leave half of the ring to requests, and those that were not told count" {
    var play = try Play.openWith(listening_config);
    defer play.close();
    var others: [40]std.net.Stream = undefined;
    try fillRing(&play, &others);
    defer for (others) |other| other.close();
    for (0..3) |_| try sendMalformed(&play);
    for (0..others.len) |_| _ = try play.nextRequest();
    _ = play.requests.release();
    try sendMalformed(&play);
    const err = (try play.nextOf(&.{.protocol_error})).fixed(abi.ProtocolError).?;
    try testing.expectEqual(3, err.dropped);
}
