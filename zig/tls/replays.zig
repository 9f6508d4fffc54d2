//! Which tickets have brought data ahead of a handshake lately (RFC 8446 §8.1): one that comes
//! again may be a replay, and its data is not taken. All workers of a server share one; several
//! threads may call.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;
const limits = @import("../core/limits.zig");

/// Tickets are remembered for this long at least, ms: as long as one can be made out to be fresh.
const period_ms = 2 * limits.tls_early_skew_ms;
const places = 2 * limits.tls_early_tickets_max;

pub const Replays = struct {
    mutex: std.Thread.Mutex = .{},
    /// What was seen in this period, and in the one before.
    sets: [2]Set,
    period: u64 = 0,

    const Set = struct {
        /// 0 is none.
        values: *[places]u64,
        count: u32 = 0,
    };

    pub fn create(gpa: Allocator) error{OutOfMemory}!*Replays {
        const self = try gpa.create(Replays);
        errdefer gpa.destroy(self);
        const first = try gpa.create([places]u64);
        errdefer gpa.destroy(first);
        const second = try gpa.create([places]u64);
        first.* = @splat(0);
        second.* = @splat(0);
        self.* = .{ .sets = .{ .{ .values = first }, .{ .values = second } } };
        return self;
    }

    pub fn destroy(self: *Replays, gpa: Allocator) void {
        for (self.sets) |set| gpa.destroy(set.values);
        gpa.destroy(self);
    }

    /// True once for a ticket: its data may be taken. False too where there is no room to remember
    /// it.
    pub fn isFirst(self: *Replays, now_ms: u64, ticket: u64) bool {
        const value = if (ticket == 0) 1 else ticket;
        self.mutex.lock();
        defer self.mutex.unlock();
        self.forget(now_ms / period_ms);
        if (find(&self.sets[1], value).* == value) return false;
        const place = find(&self.sets[0], value);
        if (place.* == value or self.sets[0].count == limits.tls_early_tickets_max) return false;
        place.* = value;
        self.sets[0].count += 1;
        return true;
    }

    fn forget(self: *Replays, period: u64) void {
        // A clock that was set back forgets nothing.
        if (period <= self.period) return;
        const follows = period == self.period + 1;
        self.period = period;
        std.mem.swap(Set, &self.sets[0], &self.sets[1]);
        clear(&self.sets[0]);
        if (!follows) clear(&self.sets[1]);
    }

    fn clear(set: *Set) void {
        if (set.count > 0) set.values.* = @splat(0);
        set.count = 0;
    }

    /// Where a value is, or would be: half of the places are empty at least.
    fn find(set: *const Set, value: u64) *u64 {
        assert(set.count <= places / 2);
        var index = value % places;
        while (set.values[index] != 0 and set.values[index] != value) index = (index + 1) % places;
        return &set.values[index];
    }
};

const testing = std.testing;

test "a ticket is first once, for as long as it could be replayed" {
    const replays = try Replays.create(testing.allocator);
    defer replays.destroy(testing.allocator);
    var seed = std.Random.DefaultPrng.init(3);
    for (0..200) |_| {
        const ticket = seed.random().int(u64);
        const begin = seed.random().uintLessThan(u64, 1 << 40);
        replays.period = 0; // as if it were new
        try testing.expect(replays.isFirst(begin, ticket));
        for ([_]u64{ 0, 1, period_ms / 2, period_ms - 1, period_ms }) |later|
            try testing.expect(!replays.isFirst(begin + later, ticket));
        try testing.expect(replays.isFirst(begin + 3 * period_ms, ticket));
    }
}

test "when there is no room for more, further tickets are not first, until time has passed" {
    const replays = try Replays.create(testing.allocator);
    defer replays.destroy(testing.allocator);
    const now = 7 * period_ms;
    for (1..limits.tls_early_tickets_max + 1) |ticket|
        try testing.expect(replays.isFirst(now, ticket *% 0x9e3779b97f4a7c15));
    try testing.expect(!replays.isFirst(now, 3));
    try testing.expect(replays.isFirst(now + period_ms, 3));
    try testing.expect(!replays.isFirst(now + period_ms, 0x9e3779b97f4a7c15));
}
