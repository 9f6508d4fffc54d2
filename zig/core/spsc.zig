//! A bounded queue from one producing thread to one consuming thread.

const std = @import("std");
const assert = std.debug.assert;

pub fn Spsc(comptime T: type, comptime capacity: u32) type {
    comptime assert(std.math.isPowerOfTwo(capacity));
    return struct {
        const Self = @This();

        head: std.atomic.Value(u32) align(64) = .init(0),
        tail: std.atomic.Value(u32) align(64) = .init(0),
        items: [capacity]T align(64) = undefined,

        /// Producer: false when the queue is full.
        pub fn push(self: *Self, item: T) bool {
            const tail = self.tail.load(.monotonic);
            if (tail -% self.head.load(.acquire) == capacity) return false;
            self.items[tail % capacity] = item;
            self.tail.store(tail +% 1, .release);
            return true;
        }

        /// Consumer: null when the queue is empty.
        pub fn pop(self: *Self) ?T {
            const head = self.head.load(.monotonic);
            if (head == self.tail.load(.acquire)) return null;
            const item = self.items[head % capacity];
            self.head.store(head +% 1, .release);
            return item;
        }

        /// Either side; sequentially consistent,
        /// for the check between setting an asleep flag and sleeping.
        pub fn isEmpty(self: *const Self) bool {
            return self.head.load(.seq_cst) == self.tail.load(.seq_cst);
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
