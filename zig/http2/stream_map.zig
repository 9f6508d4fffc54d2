//! Finds a stream by its connection and its number, in memory of the caller's: one map for all the
//! connections of a worker, so that an idle connection has no part in it.

const std = @import("std");
const assert = std.debug.assert;
const StreamId = @import("frames.zig").StreamId;

pub const Key = packed struct(u64) {
    /// 0 for none: clients' streams begin at 1.
    stream: u32,
    connection: u32,
};

/// An entry of the table; a key of zeros is an empty one.
pub const Entry = struct { key: Key, value: u32 };

pub const StreamMap = struct {
    entries: []Entry,
    count: u32 = 0,
    seed: u64,

    const run_len = 8;
    /// Odd, with its bits well spread: 2^64 divided by the golden ratio.
    const multiplier = 0x9e3779b97f4a7c15;
    const empty: Entry = .{ .key = .{ .stream = 0, .connection = 0 }, .value = 0 };

    /// How many entries a map of at most `count` streams is given: half of them stay empty.
    pub fn entryCount(count: u32) usize {
        return std.math.ceilPowerOfTwoAssert(usize, @as(usize, @max(count, 1)) * 2);
    }

    /// `entries` are as many as `entryCount` says, all of them zeros. `seed` is random, so that no
    /// client can choose numbers that fall together.
    pub fn init(entries: []Entry, seed: u64) StreamMap {
        assert(std.math.isPowerOfTwo(entries.len));
        return .{ .entries = entries, .seed = seed };
    }

    pub fn get(self: *const StreamMap, connection: u32, stream: StreamId) ?u32 {
        const entry = &self.entries[self.find(keyOf(connection, stream))];
        return if (entry.key.stream == 0) null else entry.value;
    }

    /// Adds a stream that is not there; there is room.
    pub fn put(self: *StreamMap, connection: u32, stream: StreamId, value: u32) void {
        assert(stream != 0 and self.count < self.entries.len / 2);
        const key = keyOf(connection, stream);
        const entry = &self.entries[self.find(key)];
        assert(entry.key.stream == 0);
        entry.* = .{ .key = key, .value = value };
        self.count += 1;
    }

    /// Takes out a stream that is there.
    pub fn remove(self: *StreamMap, connection: u32, stream: StreamId) void {
        var hole = self.find(keyOf(connection, stream));
        assert(self.entries[hole].key.stream != 0);
        self.count -= 1;
        // What stands behind it, and could not stand nearer to its place, moves up.
        const mask = self.entries.len - 1;
        var at = (hole + 1) & mask;
        while (self.entries[at].key.stream != 0) : (at = (at + 1) & mask) {
            const home = self.homeOf(self.entries[at].key);
            if ((at -% home) & mask < (at -% hole) & mask) continue;
            self.entries[hole] = self.entries[at];
            hole = at;
        }
        self.entries[hole] = empty;
    }

    /// Where `key` is, or would be.
    fn find(self: *const StreamMap, key: Key) usize {
        var at = self.homeOf(key);
        while (true) : (at = (at + 1) & (self.entries.len - 1)) {
            const entry = &self.entries[at];
            if (entry.key == key or entry.key.stream == 0) return at;
        }
    }

    /// Streams that follow each other on a connection are neighbours, eight of them in two cache
    /// lines: a connection goes through its streams in order, and mostly ends them so.
    fn homeOf(self: *const StreamMap, key: Key) usize {
        const run = key.stream / (2 * run_len);
        const place = key.stream / 2 % run_len;
        const mixed = (@as(u64, key.connection) << 32 | run) ^ self.seed;
        const wide = @as(u128, mixed) * multiplier;
        const hash: u64 = @truncate(wide ^ wide >> 64);
        return (hash *% run_len + place) & (self.entries.len - 1);
    }

    fn keyOf(connection: u32, stream: StreamId) Key {
        return .{ .stream = stream, .connection = connection };
    }
};

const testing = std.testing;

test "a map holds what was put into it, through any removals" {
    const most = 50;
    var entries: [StreamMap.entryCount(most)]Entry = @splat(StreamMap.empty);
    var map = StreamMap.init(&entries, 9);
    var model = std.AutoHashMap(u64, u32).init(testing.allocator);
    defer model.deinit();
    var prng = std.Random.DefaultPrng.init(8);
    const random = prng.random();
    for (0..50_000) |round| {
        const connection = random.uintLessThan(u32, 5);
        const stream: StreamId = 2 * random.uintLessThan(u31, 30) + 1;
        const key = @as(u64, connection) << 32 | stream;
        try testing.expectEqual(model.get(key), map.get(connection, stream));
        if (model.contains(key)) {
            map.remove(connection, stream);
            _ = model.remove(key);
        } else if (model.count() < most) {
            map.put(connection, stream, @intCast(round));
            try model.put(key, @intCast(round));
        }
        try testing.expectEqual(model.count(), map.count);
    }
    var all = model.iterator();
    while (all.next()) |each| {
        const connection: u32 = @intCast(each.key_ptr.* >> 32);
        const stream: StreamId = @truncate(each.key_ptr.*);
        try testing.expectEqual(each.value_ptr.*, map.get(connection, stream).?);
    }
}
