//! The buffer pool of one worker: a buddy allocator over one reserved region of address space.
//!
//! Blocks are powers of two from `limits.buffer_bytes_min` to `limits.buffer_bytes_max`. The
//! bookkeeping lies outside the blocks,
//! so that a block that was never handed out never becomes resident.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("limits.zig");
const memory = @import("memory.zig");

pub const Order = u4;
pub const order_max: Order =
    std.math.log2_int(u32, limits.buffer_bytes_max / limits.buffer_bytes_min);

/// Size of a block of order `order`, bytes.
pub fn blockBytes(order: Order) u32 {
    return limits.buffer_bytes_min << order;
}

/// Smallest order whose block holds `bytes`, or the largest order when none does.
pub fn orderFor(bytes: u64) Order {
    if (bytes <= limits.buffer_bytes_min) return 0;
    if (bytes >= limits.buffer_bytes_max) return order_max;
    const blocks = std.math.divCeil(u64, bytes, limits.buffer_bytes_min) catch unreachable;
    return @intCast(std.math.log2_int_ceil(u64, blocks));
}

pub const Buddy = struct {
    region: []align(memory.page_bytes) u8,
    /// One per smallest block; meaningful at the first block of a run.
    states: []align(memory.page_bytes) State,
    links: []align(memory.page_bytes) Link,
    free: [@as(usize, order_max) + 1]u32 = [_]u32{none} ** (@as(usize, order_max) + 1),
    /// Largest blocks below this index have been used; the rest is untouched.
    fresh: u32 = 0,
    big_blocks: u32,
    /// Written by the owning thread alone, atomically: statistics read it from others.
    bytes_used: u64 = 0,

    const none: u32 = std.math.maxInt(u32);
    const blocks_per_big: u32 = limits.buffer_bytes_max / limits.buffer_bytes_min;
    const State = packed struct(u8) { order: Order, is_free: bool, is_head: bool, _: u2 = 0 };
    const Link = struct { next: u32, prev: u32 };

    /// Reserves `bytes` (rounded up to whole largest blocks, at least one) of address space.
    pub fn init(bytes: u64) error{OutOfMemory}!Buddy {
        const big_bytes = limits.buffer_bytes_max;
        const big_blocks: u32 = @intCast(@max(1, (bytes + big_bytes - 1) / big_bytes));
        const count: usize = @as(usize, big_blocks) * blocks_per_big;
        const region = try memory.reserve(u8, @as(usize, big_blocks) * big_bytes);
        errdefer memory.release(u8, region);
        const states = try memory.reserve(State, count);
        errdefer memory.release(State, states);
        const links = try memory.reserve(Link, count);
        return .{ .region = region, .states = states, .links = links, .big_blocks = big_blocks };
    }

    pub fn deinit(self: *Buddy) void {
        memory.release(u8, self.region);
        memory.release(State, self.states);
        memory.release(Link, self.links);
        self.* = undefined;
    }

    /// Address space held, bookkeeping included, bytes.
    pub fn reservedBytes(self: *const Buddy) u64 {
        return self.region.len + self.states.len * (@sizeOf(State) + @sizeOf(Link));
    }

    /// A block of `blockBytes(order)` bytes with undefined contents,
    /// or null when the pool is used up.
    pub fn alloc(self: *Buddy, order: Order) ?[]u8 {
        var at: usize = order;
        while (at <= order_max and self.free[at] == none) at += 1;
        var index: u32 = undefined;
        if (at <= order_max) {
            index = self.free[at];
            self.unlink(index, @intCast(at));
        } else {
            if (self.fresh == self.big_blocks) return null;
            index = self.fresh * blocks_per_big;
            self.fresh += 1;
            at = order_max;
        }
        while (at > order) {
            at -= 1;
            self.link(index + (@as(u32, 1) << @intCast(at)), @intCast(at));
        }
        self.states[index] = .{ .order = order, .is_free = false, .is_head = true };
        @atomicStore(u64, &self.bytes_used, self.bytes_used + blockBytes(order), .monotonic);
        return self.region[@as(usize, index) * limits.buffer_bytes_min ..][0..blockBytes(order)];
    }

    /// A block that was taken for good does not count as used, nor does what takes its place.
    pub fn exempt(self: *Buddy, order: Order) void {
        @atomicStore(u64, &self.bytes_used, self.bytes_used - blockBytes(order), .monotonic);
    }

    /// Counts it again: it is about to be given back.
    pub fn readmit(self: *Buddy, order: Order) void {
        @atomicStore(u64, &self.bytes_used, self.bytes_used + blockBytes(order), .monotonic);
    }

    /// Gives back a block that `alloc` of this pool returned;
    /// `order` must be the one it was asked with.
    pub fn release(self: *Buddy, block: [*]u8, order: Order) void {
        const offset = @intFromPtr(block) - @intFromPtr(self.region.ptr);
        assert(offset < self.region.len and offset % blockBytes(order) == 0);
        var index: u32 = @intCast(offset / limits.buffer_bytes_min);
        const state = self.states[index];
        assert(state.is_head and !state.is_free and state.order == order);
        @atomicStore(u64, &self.bytes_used, self.bytes_used - blockBytes(order), .monotonic);
        var at: Order = order;
        while (at < order_max) : (at += 1) {
            const buddy = index ^ (@as(u32, 1) << at);
            const other = self.states[buddy];
            if (!(other.is_head and other.is_free and other.order == at)) break;
            self.unlink(buddy, at);
            self.states[@max(buddy, index)].is_head = false;
            index = @min(buddy, index);
        }
        self.link(index, at);
    }

    fn link(self: *Buddy, index: u32, order: Order) void {
        const head = self.free[order];
        self.links[index] = .{ .next = head, .prev = none };
        if (head != none) self.links[head].prev = index;
        self.free[order] = index;
        self.states[index] = .{ .order = order, .is_free = true, .is_head = true };
    }

    fn unlink(self: *Buddy, index: u32, order: Order) void {
        const at = self.links[index];
        if (at.prev == none) self.free[order] = at.next else self.links[at.prev].next = at.next;
        if (at.next != none) self.links[at.next].prev = at.prev;
        self.states[index].is_free = false;
    }
};

const testing = std.testing;

test "orderFor gives the smallest block that fits" {
    try testing.expectEqual(@as(Order, 0), orderFor(0));
    try testing.expectEqual(@as(Order, 0), orderFor(4096));
    try testing.expectEqual(@as(Order, 1), orderFor(4097));
    try testing.expectEqual(@as(Order, 4), orderFor(65536));
    try testing.expectEqual(order_max, orderFor(1 << 40));
}

test "blocks never overlap, all memory comes back and coalesces, whatever the order of release" {
    var pool = try Buddy.init(4 * limits.buffer_bytes_max);
    defer pool.deinit();
    var prng = std.Random.DefaultPrng.init(7);
    const random = prng.random();
    const Held = struct { block: []u8, order: Order, tag: u8 };
    var held = std.ArrayList(Held).init(testing.allocator);
    defer held.deinit();
    for (0..20_000) |round| {
        if (random.boolean() or held.items.len == 0) {
            const order = random.uintAtMost(Order, order_max);
            const block = pool.alloc(order) orelse continue;
            const tag: u8 = @truncate(round);
            block[0] = tag;
            block[block.len - 1] = tag;
            try held.append(.{ .block = block, .order = order, .tag = tag });
        } else {
            const item = held.swapRemove(random.uintLessThan(usize, held.items.len));
            try testing.expectEqual(item.tag, item.block[0]);
            try testing.expectEqual(item.tag, item.block[item.block.len - 1]);
            pool.release(item.block.ptr, item.order);
        }
    }
    for (held.items) |item| pool.release(item.block.ptr, item.order);
    try testing.expectEqual(@as(u64, 0), pool.bytes_used);
    // Coalesced again: every largest block can be had.
    for (0..4) |_| try testing.expect(pool.alloc(order_max) != null);
    try testing.expect(pool.alloc(0) == null);
}
