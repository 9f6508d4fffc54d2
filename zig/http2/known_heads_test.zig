const std = @import("std");
const testing = std.testing;
const FieldLines = @import("../http/field_lines.zig").FieldLines;
const encoder_file = @import("hpack/encoder.zig");
const Fixture = @import("testing/fixture.zig").Fixture;
const known = @import("known_heads.zig");
const response = @import("response.zig");

const date = "Sun, 06 Nov 1994 08:49:37 GMT";
const lines = FieldLines.of("content-type: text/plain\r\nx-a: b\r\n");

/// A connection whose heads are kept, and beside it one whose heads are put together each time:
/// both have to say the same, byte for byte.
const Pair = struct {
    kept: Fixture = .{},
    plain: Fixture = .{},
    blocks: known.Blocks = .{},

    fn init(self: *Pair) void {
        self.kept.init();
        self.plain.init();
    }

    /// Returns how many bytes the block has.
    fn write(self: *Pair, shapes: *known.Shapes, p: response.HeadParts) !usize {
        var bytes: [2][4096]u8 = undefined;
        var kept: encoder_file.Out = .{ .bytes = bytes[0][0..response.headBytesMax(&p)] };
        self.blocks.writeHead(shapes, &self.kept.encoder, &kept, &p);
        var plain: encoder_file.Out = .{ .bytes = bytes[1][0..response.headBytesMax(&p)] };
        response.writeHead(&self.plain.encoder, &plain, &p);
        try testing.expectEqualSlices(u8, plain.written(), kept.written());
        _ = try self.kept.decode(kept.written());
        return kept.len;
    }

    fn isKept(self: *const Pair) bool {
        for (self.blocks.numbers) |number| if (number != 0) return true;
        return false;
    }
};

fn partsOf(length: ?u64) response.HeadParts {
    return .{ .status = 200, .lines = lines, .length = length, .date = date, .server = "a" };
}

test "a head that comes again is a copy, once the table has its fields" {
    var shapes: known.Shapes = .{};
    var pair: Pair = .{};
    pair.init();
    _ = try pair.write(&shapes, partsOf(5));
    try testing.expect(!pair.isKept());
    for (0..3) |_| _ = try pair.write(&shapes, partsOf(5));
    try testing.expect(pair.isKept());
    // :status, date, server, two lines and the length: an index each.
    try testing.expectEqual(6, try pair.write(&shapes, partsOf(5)));
    try testing.expectEqual(1, shapes.count);
    // It is no other than the one that is kept.
    for (&pair.blocks.places, pair.blocks.numbers) |*block, number| {
        if (number != 0) block.bytes[0] ^= 1;
    }
    try testing.expectError(error.TestExpectedEqual, pair.write(&shapes, partsOf(5)));
}

test "what is secret is kept nowhere" {
    var shapes: known.Shapes = .{};
    var pair: Pair = .{};
    pair.init();
    var p = partsOf(5);
    p.lines = comptime .of("set-cookie: session=8c1f\r\n");
    for (0..4) |_| {
        _ = try pair.write(&shapes, p);
        const all = std.mem.asBytes(&shapes);
        try testing.expectEqual(null, std.mem.indexOf(u8, all, "8c1f"));
    }
    try testing.expect(!pair.isKept());
}

test "lengths may differ, be absent, and not be said" {
    var shapes: known.Shapes = .{};
    var pair: Pair = .{};
    pair.init();
    for (0..3) |_| _ = try pair.write(&shapes, partsOf(5));
    for ([_]?u64{ 5, 6, 5, 123_456_789, null, 0, 5, std.math.maxInt(u64) } ** 4) |length|
        _ = try pair.write(&shapes, partsOf(length));
    var bare = partsOf(5);
    bare.body_allowed = false;
    for (0..3) |_| _ = try pair.write(&shapes, bare);
    try testing.expectEqual(1, shapes.count); // they are of one kind
    bare.status = 304;
    for (0..3) |_| _ = try pair.write(&shapes, bare);
    try testing.expectEqual(2, shapes.count);
}

test "each part of a head makes it another" {
    var shapes: known.Shapes = .{};
    var pair: Pair = .{};
    pair.init();
    for (0..4) |_| _ = try pair.write(&shapes, partsOf(5));
    var others: [9]response.HeadParts = @splat(partsOf(5));
    others[0].status = 201;
    others[1].lines = comptime .of("content-type: text/plain\r\nx-a: c\r\n");
    others[2].lines = comptime .of("content-type: text/plain\r\nx-b: b\r\n");
    others[3].date = "Sun, 06 Nov 1994 08:49:38 GMT";
    others[4].server = "b";
    others[5].own_line = "x-own: 1\r\n";
    others[6].lines = .{};
    others[7].has_date = true;
    others[8].has_server = true;
    for (0..4) |_| for (others, 0..) |p, i| {
        _ = try pair.write(&shapes, p);
        _ = try pair.write(&shapes, others[(i * 5 + 2) % others.len]);
        _ = try pair.write(&shapes, partsOf(5));
    };
}

test "parts that run into each other are not taken for one another" {
    var shapes: known.Shapes = .{};
    var pair: Pair = .{};
    pair.init();
    var one = partsOf(5);
    var other = partsOf(5);
    one.server = "ab";
    one.own_line = "c: 1\r\n";
    other.server = "a";
    other.own_line = "bc: 1\r\n";
    for (0..4) |_| {
        _ = try pair.write(&shapes, one);
        _ = try pair.write(&shapes, other);
    }
}

test "what the table forgets, or its size, is not referred to" {
    var shapes: known.Shapes = .{};
    var pair: Pair = .{};
    pair.init();
    for (0..4) |_| _ = try pair.write(&shapes, partsOf(5));
    try testing.expect(pair.isKept());
    var value: [400]u8 = @splat('x');
    for (0..64) |i| {
        // Large ones, that come twice, drive out what there is.
        _ = std.fmt.bufPrint(&value, "{d:0>8}", .{i}) catch unreachable;
        var text: [512]u8 = undefined;
        const line = std.fmt.bufPrint(&text, "etag: {s}\r\n", .{value}) catch unreachable;
        var p = partsOf(5);
        p.lines = .{ .text = line, .lengths = &.{.{ .name = 4, .value = value.len }} };
        for (0..3) |_| _ = try pair.write(&shapes, p);
        _ = try pair.write(&shapes, partsOf(5));
    }
    for ([_]u32{ 64, 0, 4096, 128, 4096 }) |size| {
        for (0..2) |_| {
            pair.kept.encoder.setPeerLimit(size);
            pair.plain.encoder.setPeerLimit(size);
            for (0..3) |_| _ = try pair.write(&shapes, partsOf(5));
        }
    }
}

test "connections share shapes, and not what they came to" {
    var shapes: known.Shapes = .{};
    var pairs: [2]Pair = .{ .{}, .{} };
    for (&pairs) |*pair| pair.init();
    var other = partsOf(5);
    other.lines = comptime .of("x-first: 1\r\n");
    for (0..4) |_| _ = try pairs[0].write(&shapes, other);
    for (0..4) |_| for (&pairs) |*pair| {
        _ = try pair.write(&shapes, partsOf(5));
    };
    try testing.expectEqual(2, shapes.count);
}

test "heads of every kind, at random, say what they would without" {
    var random = std.Random.DefaultPrng.init(7);
    const rand = random.random();
    var shapes: known.Shapes = .{};
    var pairs: [3]Pair = @splat(.{});
    for (&pairs) |*pair| pair.init();
    const texts = [_]FieldLines{
        .{},
        comptime .of("content-type: text/html\r\n"),
        comptime .of("content-type: text/css\r\n"),
        comptime .of("content-type: text/html\r\nset-cookie: a=b\r\n"),
        comptime .of("etag: \"1\"\r\n"),
        comptime .of("etag: \"2\"\r\nvary: accept\r\n"),
        comptime .of("x-long: " ++ "y" ** 300 ++ "\r\n"),
        comptime .of("authorization: secret\r\nConnection: close\r\n"),
    };
    const dates = [_]*const [29]u8{ date, "Sun, 06 Nov 1994 08:49:38 GMT" };
    for (0..20_000) |_| {
        const pair = &pairs[rand.uintLessThan(usize, pairs.len)];
        if (rand.uintLessThan(u32, 500) == 0) {
            const size = rand.uintLessThan(u32, 4097);
            pair.kept.encoder.setPeerLimit(size);
            pair.plain.encoder.setPeerLimit(size);
        }
        _ = try pair.write(&shapes, .{
            .status = if (rand.boolean()) 200 else 404,
            .lines = texts[rand.uintLessThan(usize, texts.len)],
            .length = if (rand.boolean()) 13 else rand.uintLessThan(u64, 40),
            .date = dates[@intFromBool(rand.uintLessThan(u32, 50) == 0)],
            .server = "gyrfalcon",
            .own_line = if (rand.uintLessThan(u32, 8) == 0) "x-own: 1\r\n" else "",
        });
    }
}
