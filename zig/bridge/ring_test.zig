const std = @import("std");
const testing = std.testing;
const abi = @import("abi.zig");
const ring_file = @import("ring.zig");
const Ring = ring_file.Ring;
const Producer = ring_file.Producer;
const Consumer = ring_file.Consumer;

/// Rings here are far smaller than the engine allows, so that they wrap and fill all the time.
fn Fixture(comptime capacity: u32) type {
    return struct {
        bytes: [capacity]u8 align(abi.record_align) = undefined,
        tail: u32 = 0,
        head: u32 = 0,

        const Self = @This();

        fn ring(f: *Self) Ring {
            return .{ .bytes = &f.bytes, .capacity = capacity, .tail = &f.tail, .head = &f.head };
        }

        /// Both ends at `position`, so that tests can begin anywhere, near the wrap of u32 too.
        fn ends(f: *Self, position: u32) struct { p: Producer, c: Consumer } {
            f.tail = position;
            f.head = position;
            return .{
                .p = .{
                    .ring = f.ring(),
                    .tail = position,
                    .published = position,
                    .head_seen = position,
                },
                .c = .{
                    .ring = f.ring(),
                    .head = position,
                    .released = position,
                    .tail_seen = position,
                },
            };
        }
    };
}

fn put(p: *Producer, size: u32, slot: u32) !bool {
    const room = (try p.reserve(size)) orelse return false;
    const header: *abi.RecordHeader = @ptrCast(room.ptr);
    header.* = .{
        .size = size,
        .kind = .request_chunk,
        .flags = 0,
        .slot = slot,
        .generation = ~slot,
    };
    for (room[@sizeOf(abi.RecordHeader)..], 0..) |*b, i| b.* = pattern(slot, i);
    p.commit(size);
    return true;
}

fn pattern(slot: u32, i: usize) u8 {
    return @truncate(slot *% 31 +% @as(u32, @intCast(i)) *% 7);
}

fn expectRecord(record: ring_file.Record, size: u32, slot: u32) !void {
    try testing.expectEqual(size, record.header.size);
    try testing.expectEqual(slot, record.header.slot);
    try testing.expectEqual(~slot, record.header.generation);
    for (record.bytes[@sizeOf(abi.RecordHeader)..], 0..) |b, i| try testing.expectEqual(
        pattern(slot, i),
        b,
    );
}

test "a record is invisible until the batch is published" {
    var f: Fixture(256) = .{};
    var e = f.ends(0);
    try testing.expect(try put(&e.p, 32, 1));
    try testing.expect(try put(&e.p, 16, 2));
    try testing.expectEqual(null, try e.c.next());
    try testing.expect(e.p.publish());
    try testing.expect(!e.p.publish());
    try expectRecord((try e.c.next()).?, 32, 1);
    try expectRecord((try e.c.next()).?, 16, 2);
    try testing.expectEqual(null, try e.c.next());
}

test "a full ring refuses until the reader releases, and loses nothing" {
    var f: Fixture(256) = .{};
    var e = f.ends(0);
    var slot: u32 = 0;
    while (try put(&e.p, 64, slot)) slot += 1;
    try testing.expectEqual(4, slot);
    _ = e.p.publish();
    try expectRecord((try e.c.next()).?, 64, 0);
    try testing.expect(!try put(&e.p, 64, 4)); // read, but not released
    try testing.expect(e.c.release());
    try testing.expect(!e.c.release());
    try testing.expect(try put(&e.p, 64, 4));
    try testing.expect(!try put(&e.p, 64, 5));
    _ = e.p.publish();
    for (1..5) |i| try expectRecord((try e.c.next()).?, 64, @intCast(i));
    try testing.expectEqual(null, try e.c.next());
}

test "a record that does not fit before the end goes to the front behind a skip record" {
    for ([_]u32{ 8, 16, 24, 120 }) |left| {
        var f: Fixture(256) = .{};
        var e = f.ends(256 - left);
        try testing.expect(try put(&e.p, 128, 9));
        _ = e.p.publish();
        try expectRecord((try e.c.next()).?, 128, 9);
        try testing.expectEqual(null, try e.c.next());
        try testing.expect(e.c.release());
        try testing.expectEqual(@as(u32, 256 + 128), f.head);
    }
}

test "positions wrap at 2^32 without a record lost" {
    var f: Fixture(256) = .{};
    var e = f.ends(0 -% @as(u32, 512));
    for (0..64) |i| {
        try testing.expect(try put(&e.p, 72, @intCast(i)));
        _ = e.p.publish();
        try expectRecord((try e.c.next()).?, 72, @intCast(i));
        _ = e.c.release();
    }
    try testing.expect(f.tail < 64 * 128);
}

test "the largest record fits an empty ring wherever the position stands" {
    var position: u32 = 0;
    while (position < 256) : (position += abi.record_align) {
        var f: Fixture(256) = .{};
        var e = f.ends(position);
        try testing.expect(try e.p.fits(128));
        try testing.expect(try put(&e.p, 128, position));
        _ = e.p.publish();
        try expectRecord((try e.c.next()).?, 128, position);
    }
}

test "a reserved record may be committed shorter" {
    var f: Fixture(256) = .{};
    var e = f.ends(0);
    const room = (try e.p.reserve(128)).?;
    @as(*abi.RecordHeader, @ptrCast(room.ptr)).* =
        .{ .size = 16, .kind = .request_abort, .flags = 0, .slot = 7, .generation = 8 };
    e.p.commit(16);
    _ = e.p.publish();
    const record = (try e.c.next()).?;
    try testing.expectEqual(.request_abort, record.header.kind);
    try testing.expectEqual(16, record.bytes.len);
    try testing.expectEqual(null, try e.c.next());
}

test "a hostile writer's positions and sizes are refused, never followed" {
    var f: Fixture(256) = .{};
    const words: [*]u32 = @ptrCast(&f.bytes);
    for ([_]u32{ 0, 8, 12, 20, 264, 0xffff_fff8, 512 }) |size| {
        var e = f.ends(0);
        words[0] = size;
        words[1] = @intFromEnum(abi.RecordKind.response_head);
        f.tail = 64;
        try testing.expectError(error.CorruptRing, e.c.next());
        e.c.resync();
        try testing.expectEqual(64, f.head);
    }
    for ([_]u32{ 4, 257, 264, 0xffff_fff8 }) |tail| {
        var e = f.ends(0);
        f.tail = tail;
        try testing.expectError(error.CorruptRing, e.c.next());
    }
    // A record that crosses the end of the memory.
    var e = f.ends(128 + 64);
    words[48] = 128;
    words[49] = 0x10;
    f.tail = 128 + 64 + 128;
    try testing.expectError(error.CorruptRing, e.c.next());
}

test "a hostile reader's position is refused by the writer" {
    for ([_]u32{ 4, 264, 0xffff_fff8 }) |head| {
        var f: Fixture(256) = .{};
        var e = f.ends(0);
        try testing.expect(try put(&e.p, 128, 1));
        try testing.expect(try put(&e.p, 128, 2));
        _ = e.p.publish();
        f.head = head;
        try testing.expectError(error.CorruptRing, e.p.reserve(128));
    }
}

test "the fixed part of a record that is too short is refused" {
    var f: Fixture(256) = .{};
    var e = f.ends(0);
    try testing.expect(try put(&e.p, 16, 1));
    try testing.expect(try put(&e.p, 40, 2));
    _ = e.p.publish();
    const short = (try e.c.next()).?;
    try testing.expectEqual(null, short.fixed(abi.ResponseHead));
    const long = (try e.c.next()).?;
    try testing.expectEqual(2, long.fixed(abi.ResponseHead).?.header.slot);
}

const hammer_count = 200_000;

fn hammerSizes(random: std.Random) u32 {
    const span: u32 = if (random.uintLessThan(u32, 8) == 0) 1000 else 100;
    return abi.recordSize(@sizeOf(abi.RecordHeader) + random.uintLessThan(u32, span));
}

fn hammerWrite(p: *Producer, seed: u64) !void {
    var prng = std.Random.DefaultPrng.init(seed);
    const random = prng.random();
    for (0..hammer_count) |i| {
        const size = hammerSizes(random);
        while (!try put(p, size, @intCast(i))) {
            _ = p.publish();
            std.Thread.yield() catch {};
        }
        if (i % 17 == 0) _ = p.publish();
    }
    _ = p.publish();
}

test "two threads, mixed sizes: every record arrives once, whole and in order" {
    const seed = testing.random_seed;
    var f: Fixture(4096) = .{};
    var e = f.ends(0 -% @as(u32, 1 << 20));
    const writer = try std.Thread.spawn(.{}, struct {
        fn run(p: *Producer, s: u64) void {
            hammerWrite(p, s) catch @panic("the writer found the ring corrupt");
        }
    }.run, .{ &e.p, seed });
    defer writer.join();
    var prng = std.Random.DefaultPrng.init(seed);
    const random = prng.random();
    var i: u32 = 0;
    while (i < hammer_count) {
        const record = (try e.c.next()) orelse {
            if (!e.c.release()) std.Thread.yield() catch {};
            continue;
        };
        try expectRecord(record, hammerSizes(random), i);
        i += 1;
        if (i % 13 == 0) _ = e.c.release();
    }
    try testing.expectEqual(null, try e.c.next());
}
