//! The CPUs that this process may use: those it may run on, and how much of them.

const builtin = @import("builtin");
const std = @import("std");
const assert = std.debug.assert;
const cgroup = @import("cgroup.zig");
const limits = @import("limits.zig");
const system = @import("system.zig");

/// CPUs by number, as sched_setaffinity(2) and cpuset_setaffinity(2) have them. macOS has no such
/// thing, and answers `NotSupported`.
pub const Set = struct {
    words: [limits.cpus_max / word_bits]usize = @splat(0),

    const word_bits = @bitSizeOf(usize);

    /// Those that the calling thread may run on, and threads that it starts: what `taskset` or a
    /// container's CPU set has left of the machine.
    pub fn ofThread() system.Error!Set {
        var set: Set = .{};
        try system.affinity(&set.words);
        return set;
    }

    pub fn only(cpu: u32) Set {
        var set: Set = .{};
        set.words[cpu / word_bits] = @as(usize, 1) << @intCast(cpu % word_bits);
        return set;
    }

    pub fn count(self: *const Set) u32 {
        var sum: u32 = 0;
        for (self.words) |word| sum += @popCount(word);
        return sum;
    }

    /// The number of the CPU that has `index` others before it in the set.
    pub fn at(self: *const Set, index: u32) u32 {
        assert(index < self.count());
        var left = index;
        for (self.words, 0..) |word, place| {
            if (left >= @popCount(word)) {
                left -= @popCount(word);
                continue;
            }
            var rest = word;
            for (0..left) |_| rest &= rest - 1;
            return @intCast(place * word_bits + @ctz(rest));
        }
        unreachable; // the count said so
    }

    /// The calling thread runs on these from here on, and on no other.
    pub fn apply(self: *const Set) system.Error!void {
        try system.setAffinity(&self.words);
    }
};

/// What counts for how many threads are of use.
pub const Share = struct {
    /// CPUs that threads may run on; 1 where that cannot be told: one thread always works.
    set: u32,
    /// What the control groups grant of them.
    quota: ?cgroup.Quota,

    /// `root`: as for `cgroup.cpuQuota`.
    pub fn read(root: []const u8) Share {
        return .{ .set = @max(countOfThread() catch 1, 1), .quota = cgroup.cpuQuota(root) };
    }

    fn countOfThread() system.Error!u32 {
        const set = Set.ofThread() catch |err| {
            if (builtin.os.tag == .linux) return err;
            return system.processors();
        };
        return set.count();
    }

    /// Threads that can run at the same time. At least 1.
    pub fn cpus(self: Share) u32 {
        return if (self.quota) |quota| @min(self.set, quota.cpus()) else self.set;
    }
};

const testing = std.testing;

test "CPUs are counted and found in a set with gaps, above the first thousand too" {
    const numbers = [_]u32{ 3, 63, 64, 1023, 1024, 5000, limits.cpus_max - 1 };
    var set: Set = .{};
    for (numbers, 1..) |cpu, count| {
        set.words[cpu / Set.word_bits] |= @as(usize, 1) << @intCast(cpu % Set.word_bits);
        try testing.expectEqual(count, set.count());
        for (numbers[0..count], 0..) |expected, index| {
            try testing.expectEqual(expected, set.at(@intCast(index)));
        }
    }
    try testing.expectEqual(5000, Set.only(5000).at(0));
    try testing.expectEqual(1, Set.only(5000).count());
}

test "the smaller of set and quota counts" {
    const quota: cgroup.Quota = .{ .quota_us = 150, .period_us = 100 };
    try testing.expectEqual(8, (Share{ .set = 8, .quota = null }).cpus());
    try testing.expectEqual(2, (Share{ .set = 8, .quota = quota }).cpus());
    try testing.expectEqual(1, (Share{ .set = 1, .quota = quota }).cpus());
}

test "a thread keeps to the set that it was given, and tells it to those it starts" {
    const Run = struct {
        fn outer(failed: *?anyerror) void {
            keep() catch |err| {
                failed.* = err;
            };
        }
        fn keep() !void {
            const whole = try Set.ofThread();
            const last = whole.at(whole.count() - 1);
            try Set.only(last).apply();
            var inherited: Set = .{};
            const thread = try system.spawn(look, .{&inherited});
            thread.join();
            try testing.expectEqual(Set.only(last), inherited);
            try testing.expectEqual(1, Share.read("").cpus());
        }
        fn look(out: *Set) void {
            out.* = Set.ofThread() catch .{};
        }
    };
    var failed: ?anyerror = null;
    const thread = try system.spawn(Run.outer, .{&failed});
    thread.join();
    if (failed) |err| return err;
    // No such CPU: told, and nothing changed.
    try testing.expectError(error.InvalidArgument, Set.only(limits.cpus_max - 1).apply());
}
