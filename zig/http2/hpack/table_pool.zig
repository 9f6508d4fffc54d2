//! Memory for the dynamic tables of many decoders: each has as much as its peer makes use of, and
//! none while that has kept nothing. There is some for every decoder at any time, so that a table
//! that grows never waits.

const std = @import("std");
const assert = std.debug.assert;
const table_file = @import("table.zig");
const Memory = []align(table_file.alignment) u8;

/// Sizes of tables, bytes. The last is what a peer may fill.
pub const capacities = [_]u32{ 1024, 2048, 4096 };

pub const TablePool = struct {
    classes: [capacities.len]Class,

    /// Blocks of one size, which lie behind each other.
    const Class = struct {
        memory: Memory,
        /// How many have been taken at least once: the others were never written to.
        fresh: u32 = 0,
        /// One that was given back, and refers to the next; `none`: there is none.
        free: u32 = none,

        const none = std.math.maxInt(u32);
    };

    /// Memory for the tables of so many decoders, bytes.
    pub fn memoryBytes(decoders: u32) usize {
        var bytes: usize = 0;
        for (capacities) |capacity| bytes += decoders * table_file.memoryBytes(capacity);
        return bytes;
    }

    /// `memory` is `memoryBytes(decoders)` long. What of it has not been used is not written to.
    pub fn init(memory: Memory, decoders: u32) TablePool {
        assert(memory.len == memoryBytes(decoders));
        var self: TablePool = undefined;
        var at: usize = 0;
        for (capacities, &self.classes) |capacity, *class| {
            const bytes = decoders * table_file.memoryBytes(capacity);
            class.* = .{ .memory = @alignCast(memory[at..][0..bytes]) };
            at += bytes;
        }
        return self;
    }

    /// Memory for a table of at least `bytes`: the smallest. A decoder has one at a time, and
    /// another one of another size while its entries move.
    pub fn take(self: *TablePool, bytes: u32) Memory {
        const index = classFor(bytes);
        const class = &self.classes[index];
        const len = table_file.memoryBytes(capacities[index]);
        if (class.free == Class.none) {
            assert((class.fresh + 1) * len <= class.memory.len);
            defer class.fresh += 1;
            return @alignCast(class.memory[class.fresh * len ..][0..len]);
        }
        const block: Memory = @alignCast(class.memory[class.free * len ..][0..len]);
        class.free = std.mem.readInt(u32, block[0..4], .little);
        return block;
    }

    /// Gives back what `take` returned.
    pub fn give(self: *TablePool, block: Memory) void {
        const class = for (capacities, &self.classes) |capacity, *class| {
            if (table_file.memoryBytes(capacity) == block.len) break class;
        } else unreachable; // there are blocks of no other size
        const offset = @intFromPtr(block.ptr) - @intFromPtr(class.memory.ptr);
        assert(offset % block.len == 0 and offset < class.memory.len);
        std.mem.writeInt(u32, block[0..4], class.free, .little);
        class.free = @intCast(offset / block.len);
    }

    /// The table that a block is for.
    pub fn capacityFor(bytes: u32) u32 {
        return capacities[classFor(bytes)];
    }

    fn classFor(bytes: u32) usize {
        for (capacities, 0..) |capacity, index| if (bytes <= capacity) return index;
        unreachable; // no peer is told that it may fill more
    }
};

comptime {
    // Blocks stay aligned behind each other, and have room for what they refer to.
    for (capacities) |capacity| {
        assert(table_file.memoryBytes(capacity) % table_file.alignment == 0);
        assert(capacity >= @sizeOf(u32));
    }
}

const testing = std.testing;

test "every decoder finds memory of each size, and what was given back is given out first" {
    const decoders = 3;
    const memory = try testing.allocator.alignedAlloc(
        u8,
        table_file.alignment,
        TablePool.memoryBytes(decoders),
    );
    defer testing.allocator.free(memory);
    var pool: TablePool = .init(memory, decoders);
    var blocks: [capacities.len * decoders]Memory = undefined;
    for (&blocks, 0..) |*block, i| {
        block.* = pool.take(capacities[i % capacities.len] - 1);
        @memset(block.*, @intCast(i));
    }
    for (blocks, 0..) |block, i| for (block) |byte| try testing.expectEqual(i, byte);
    pool.give(blocks[4]);
    pool.give(blocks[1]);
    try testing.expectEqual(blocks[1].ptr, pool.take(2048).ptr);
    try testing.expectEqual(blocks[4].ptr, pool.take(1025).ptr);
}
