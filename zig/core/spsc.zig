//! A bounded queue from one producing thread to one consuming thread.

const std = @import("std");
const assert = std.debug.assert;
const orders = @import("orders.zig").wake;

pub fn Spsc(comptime T: type, comptime capacity: u32) type {
    comptime assert(std.math.isPowerOfTwo(capacity));
    return struct {
        const Self = @This();

        head: std.atomic.Value(u32) align(std.atomic.cache_line) = .init(0),
        tail: std.atomic.Value(u32) align(std.atomic.cache_line) = .init(0),
        items: [capacity]T align(std.atomic.cache_line) = undefined,

        /// Producer: false when the queue is full. The consumer may sleep: wake it.
        pub fn push(self: *Self, item: T) bool {
            const tail = self.tail.load(.monotonic);
            if (tail -% self.head.load(orders.read) == capacity) return false;
            self.items[tail % capacity] = item;
            self.tail.store(tail +% 1, orders.publish);
            return true;
        }

        /// Consumer: null when the queue is empty.
        pub fn pop(self: *Self) ?T {
            const head = self.head.load(.monotonic);
            if (head == self.tail.load(orders.read)) return null;
            const item = self.items[head % capacity];
            self.head.store(head +% 1, orders.give_back);
            return item;
        }

        /// Consumer: also for the look between setting its asleep flag and sleeping.
        pub fn isEmpty(self: *const Self) bool {
            return self.head.load(.monotonic) == self.tail.load(orders.look);
        }
    };
}

test "a full queue refuses, and order is kept over wrap-around" {
    var queue: Spsc(u32, 4) = .{};
    for (0..10) |round| {
        for (0..4) |i| try std.testing.expect(queue.push(@intCast(round * 4 + i)));
        try std.testing.expect(!queue.push(0));
        for (0..4) |i| try std.testing.expectEqual(@as(?u32, @intCast(round * 4 + i)), queue.pop());
        try std.testing.expectEqual(@as(?u32, null), queue.pop());
    }
}

test "two threads: everything arrives once and in order" {
    const Queue = Spsc(u32, 64);
    const count = 100_000;
    const producer = struct {
        fn run(queue: *Queue) void {
            var i: u32 = 0;
            while (i < count) if (queue.push(i)) {
                i += 1;
            } else std.Thread.yield() catch {};
        }
    };
    var queue: Queue = .{};
    const thread = try std.Thread.spawn(.{}, producer.run, .{&queue});
    var expected: u32 = 0;
    while (expected < count) if (queue.pop()) |got| {
        try std.testing.expectEqual(expected, got);
        expected += 1;
    } else std.Thread.yield() catch {};
    thread.join();
}
