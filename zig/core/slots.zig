//! A fixed pool of slots that are named by index and generation.
//! A stale id never finds the slot's next user.

const std = @import("std");
const assert = std.debug.assert;
const memory = @import("memory.zig");

/// Names one use of one slot. `generation` is odd while the slot is in use.
pub const Id = packed struct(u64) {
    slot: u32,
    /// So that it has room in a token of the I/O interface, beside the kind of what it names.
    generation: u28,
    unused: u4 = 0,

    pub const none: Id = .{ .slot = std.math.maxInt(u32), .generation = 0 };
};

pub fn Slots(comptime T: type) type {
    return struct {
        const Self = @This();

        items: []align(memory.page_bytes) T,
        generations: []align(memory.page_bytes) u28,
        /// Free slots that have been used before, a stack.
        free: []align(memory.page_bytes) u32,
        free_len: u32 = 0,
        /// Slots from this one on have never been used: their pages are not resident.
        fresh: u32 = 0,
        used: u32 = 0,

        pub fn init(count: u32) error{OutOfMemory}!Self {
            const items = try memory.reserve(T, count);
            errdefer memory.release(T, items);
            const generations = try memory.reserve(u28, count);
            errdefer memory.release(u28, generations);
            return .{
                .items = items,
                .generations = generations,
                .free = try memory.reserve(u32, count),
            };
        }

        pub fn deinit(self: *Self) void {
            memory.release(T, self.items);
            memory.release(u28, self.generations);
            memory.release(u32, self.free);
            self.* = undefined;
        }

        pub fn reservedBytes(self: *const Self) u64 {
            return self.items.len * (@sizeOf(T) + @sizeOf(u28) + @sizeOf(u32));
        }

        /// Takes a slot; its value is undefined. Null when all are in use.
        pub fn take(self: *Self) ?Id {
            const slot = if (self.free_len > 0) blk: {
                self.free_len -= 1;
                break :blk self.free[self.free_len];
            } else if (self.fresh < self.items.len) blk: {
                self.fresh += 1;
                break :blk self.fresh - 1;
            } else return null;
            self.generations[slot] +%= 1;
            assert(self.generations[slot] & 1 == 1);
            self.used += 1;
            return .{ .slot = slot, .generation = self.generations[slot] };
        }

        /// The slot's value, or null when `id` is stale or was never valid.
        /// Ids may come from outside: all are checked.
        pub fn get(self: *Self, id: Id) ?*T {
            if (id.slot >= self.fresh or id.generation & 1 == 0) return null;
            if (self.generations[id.slot] != id.generation) return null;
            return &self.items[id.slot];
        }

        pub fn isUsed(self: *const Self, slot: u32) bool {
            return slot < self.fresh and self.generations[slot] & 1 == 1;
        }

        /// Ends the use named by `id`, which must be current.
        pub fn release(self: *Self, id: Id) void {
            assert(self.get(id) != null);
            self.items[id.slot] = undefined;
            self.generations[id.slot] +%= 1;
            self.free[self.free_len] = id.slot;
            self.free_len += 1;
            self.used -= 1;
        }
    };
}

const testing = std.testing;

test "a stale id does not find the slot's next user" {
    var slots = try Slots(u64).init(2);
    defer slots.deinit();
    const first = slots.take().?;
    slots.get(first).?.* = 1;
    slots.release(first);
    const second = slots.take().?;
    try testing.expectEqual(first.slot, second.slot);
    try testing.expect(slots.get(first) == null);
    try testing.expect(slots.get(second) != null);
}

test "ids from outside are refused: out of range, even generation, slot never used" {
    var slots = try Slots(u64).init(4);
    defer slots.deinit();
    _ = slots.take().?;
    try testing.expect(slots.get(.{ .slot = 4, .generation = 1 }) == null);
    try testing.expect(slots.get(.{ .slot = 1, .generation = 1 }) == null);
    try testing.expect(slots.get(.{ .slot = 0, .generation = 0 }) == null);
    try testing.expect(slots.get(Id.none) == null);
}

test "a full pool gives null and recovers" {
    var slots = try Slots(u8).init(2);
    defer slots.deinit();
    const a = slots.take().?;
    _ = slots.take().?;
    try testing.expect(slots.take() == null);
    slots.release(a);
    try testing.expect(slots.take() != null);
    try testing.expectEqual(@as(u32, 2), slots.used);
}
