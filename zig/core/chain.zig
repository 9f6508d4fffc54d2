//! A byte queue over pool blocks that double in size: what is received of a message that does not
//! fit one buffer. Bytes never move once they are in,
//! except when `contiguous` asks for them in one piece.

const builtin = @import("builtin");
const std = @import("std");
const assert = std.debug.assert;
const buddy = @import("buddy.zig");
const Buddy = buddy.Buddy;
const limits = @import("limits.zig");

/// A block with its own bookkeeping in front of the bytes.
pub const Segment = struct {
    next: ?*Segment,
    start: u32,
    end: u32,
    capacity: u32,
    order: buddy.Order,

    pub const overhead: u32 = std.mem.alignForward(u32, @sizeOf(Segment), 32);

    pub fn create(pool: *Buddy, order: buddy.Order) error{OutOfBuffers}!*Segment {
        const block = pool.alloc(order) orelse return error.OutOfBuffers;
        const segment: *Segment = @alignCast(@ptrCast(block.ptr));
        segment.* = .{
            .next = null,
            .start = 0,
            .end = 0,
            .capacity = @intCast(block.len - overhead),
            .order = order,
        };
        return segment;
    }

    /// What it takes of the pool.
    pub fn blockBytes(self: *const Segment) u64 {
        return self.capacity + overhead;
    }

    pub fn destroy(self: *Segment, pool: *Buddy) void {
        // Who looks at it after this sees it.
        if (builtin.mode == .Debug) {
            const held = self.bytes();
            @memset(held[0..@min(held.len, 64)], 0xa5);
        }
        pool.release(@ptrCast(self), self.order);
    }

    pub fn base(self: *Segment) [*]u8 {
        return @as([*]u8, @ptrCast(self)) + overhead;
    }

    pub fn bytes(self: *Segment) []u8 {
        return self.base()[self.start..self.end];
    }

    pub fn room(self: *Segment) []u8 {
        return self.base()[self.end..self.capacity];
    }
};

/// Largest number of bytes that `Chain.contiguous` can be asked for.
pub const contiguous_bytes_max = limits.buffer_bytes_max - Segment.overhead;

pub const Chain = struct {
    first: ?*Segment = null,
    last: ?*Segment = null,
    len: u64 = 0,
    /// What its blocks take of the pool.
    block_bytes: u64 = 0,

    /// Appends all of `bytes` or nothing. New segments double from the size of the last one, so
    /// that no more than twice the bytes held is ever reserved (and one smallest block).
    pub fn append(self: *Chain, pool: *Buddy, bytes: []const u8) error{OutOfBuffers}!void {
        const mark = self.last;
        const mark_end = if (mark) |segment| segment.end else 0;
        errdefer self.rewind(pool, mark, mark_end);
        var rest = bytes;
        while (rest.len > 0) {
            const segment = if (self.last != null and self.last.?.room().len > 0)
                self.last.?
            else
                try self.grow(pool, rest.len);
            const room = segment.room();
            const n = @min(room.len, rest.len);
            @memcpy(room[0..n], rest[0..n]);
            segment.end += @intCast(n);
            rest = rest[n..];
        }
        self.len += bytes.len;
    }

    /// Room for `len` bytes in one piece, at most `contiguous_bytes_max`, in a chain that is empty.
    /// `commit` tells which of them were written.
    pub fn reserve(self: *Chain, pool: *Buddy, len: usize) error{OutOfBuffers}![]u8 {
        assert(self.first == null and len <= contiguous_bytes_max);
        const segment = try self.grow(pool, len);
        return segment.room()[0..len];
    }

    /// Of the room that `reserve` gave, `len` bytes from `start` on are the chain's now.
    pub fn commit(self: *Chain, start: u32, len: u32) void {
        const segment = self.last.?;
        assert(self.len == 0 and start + len <= segment.capacity);
        segment.start = start;
        segment.end = start + len;
        self.len = len;
    }

    fn grow(self: *Chain, pool: *Buddy, need: usize) error{OutOfBuffers}!*Segment {
        const doubled: buddy.Order =
            if (self.last) |last| @min(last.order + 1, buddy.order_max) else 0;
        const exact = buddy.orderFor(@as(u64, need) + Segment.overhead);
        const segment = try Segment.create(pool, @max(doubled, exact));
        if (self.last) |last| last.next = segment else self.first = segment;
        self.last = segment;
        self.block_bytes += segment.blockBytes();
        return segment;
    }

    fn drop(self: *Chain, pool: *Buddy, segment: *Segment) void {
        self.block_bytes -= segment.blockBytes();
        segment.destroy(pool);
    }

    fn rewind(self: *Chain, pool: *Buddy, mark: ?*Segment, mark_end: u32) void {
        var extra: ?*Segment = if (mark) |segment| segment.next else self.first;
        while (extra) |segment| {
            extra = segment.next;
            self.drop(pool, segment);
        }
        if (mark) |segment| {
            segment.next = null;
            segment.end = mark_end;
        } else self.first = null;
        self.last = mark;
    }

    /// The first bytes in one piece, as many as lie together. Empty when the chain is.
    pub fn front(self: *const Chain) []u8 {
        return if (self.first) |segment| segment.bytes() else &.{};
    }

    /// Makes the first min(`want`, len) bytes lie together and returns them (perhaps with more
    /// behind them). `want` is at most `contiguous_bytes_max`.
    pub fn contiguous(self: *Chain, pool: *Buddy, want: usize) error{OutOfBuffers}![]u8 {
        assert(want <= contiguous_bytes_max);
        const need = @min(want, self.len);
        const first = self.first orelse return &.{};
        if (first.end - first.start >= need) return first.bytes();
        const target = try Segment.create(pool, buddy.orderFor(@as(u64, need) + Segment.overhead));
        self.block_bytes += target.blockBytes();
        var filled: usize = 0;
        while (self.first) |segment| {
            const room = target.capacity - filled;
            const n = @min(room, segment.end - segment.start);
            @memcpy(target.base()[filled..][0..n], segment.bytes()[0..n]);
            filled += n;
            segment.start += @intCast(n);
            if (segment.start < segment.end) break;
            self.first = segment.next;
            self.drop(pool, segment);
        }
        target.end = @intCast(filled);
        target.next = self.first;
        if (self.first == null) self.last = target;
        self.first = target;
        return target.bytes();
    }

    /// Drops the first `n` bytes; blocks that become empty return to the pool.
    pub fn consume(self: *Chain, pool: *Buddy, n: u64) void {
        assert(n <= self.len);
        self.len -= n;
        var rest = n;
        while (self.first) |segment| {
            const held = segment.end - segment.start;
            if (rest < held) {
                segment.start += @intCast(rest);
                return;
            }
            rest -= held;
            self.first = segment.next;
            self.drop(pool, segment);
        }
        self.last = null;
        assert(rest == 0);
    }

    /// Writes the pieces that make up bytes [offset, offset + length) to `out`; returns those used,
    /// or null when `out` is too short for them.
    pub fn slices(
        self: *const Chain,
        offset: u64,
        length: u64,
        out: [][]const u8,
    ) ?[]const []const u8 {
        assert(offset + length <= self.len);
        var skip = offset;
        var rest = length;
        var n: usize = 0;
        var at = self.first;
        while (at) |segment| : (at = segment.next) {
            if (rest == 0) break;
            const bytes = segment.bytes();
            if (skip >= bytes.len) {
                skip -= bytes.len;
                continue;
            }
            const take = @min(bytes.len - skip, rest);
            if (n == out.len) return null;
            out[n] = bytes[@intCast(skip)..][0..@intCast(take)];
            n += 1;
            skip = 0;
            rest -= take;
        }
        return out[0..n];
    }

    pub fn deinit(self: *Chain, pool: *Buddy) void {
        var at = self.first;
        while (at) |segment| {
            at = segment.next;
            segment.destroy(pool);
        }
        self.* = .{};
    }
};

const testing = std.testing;

test "a chain keeps its bytes in order over any mix of append and consume" {
    var pool = try Buddy.init(16 * limits.buffer_bytes_max);
    defer pool.deinit();
    var prng = std.Random.DefaultPrng.init(3);
    const random = prng.random();
    var chain: Chain = .{};
    var written: u64 = 0;
    var read: u64 = 0;
    var buf: [70_000]u8 = undefined;
    for (0..2000) |_| {
        const n = random.uintLessThan(usize, buf.len);
        for (buf[0..n], written..) |*byte, i| byte.* = @truncate(i *% 31);
        if (chain.len < 4_000_000) {
            try chain.append(&pool, buf[0..n]);
            written += n;
        }
        const take = random.uintAtMost(u64, @min(chain.len, 90_000));
        const got = try chain.contiguous(&pool, @intCast(take));
        for (got[0..@intCast(take)], read..) |byte, i| {
            try testing.expectEqual(@as(u8, @truncate(i *% 31)), byte);
        }
        chain.consume(&pool, take);
        read += take;
        try testing.expectEqual(pool.bytes_used, chain.block_bytes);
    }
    chain.deinit(&pool);
    try testing.expectEqual(@as(u64, 0), pool.bytes_used);
}

test "a growing chain reserves no more than twice what it holds, and a block" {
    var pool = try Buddy.init(16 * limits.buffer_bytes_max);
    defer pool.deinit();
    var chain: Chain = .{};
    defer chain.deinit(&pool);
    const piece = [_]u8{1} ** 1000;
    while (chain.len < 3_000_000) {
        try chain.append(&pool, &piece);
        try testing.expect(pool.bytes_used <= 2 * chain.len + 2 * limits.buffer_bytes_min);
    }
}

test "an append that does not fit leaves the chain as it was" {
    var pool = try Buddy.init(limits.buffer_bytes_max);
    defer pool.deinit();
    var chain: Chain = .{};
    defer chain.deinit(&pool);
    try chain.append(&pool, "abc");
    const used = pool.bytes_used;
    const big = try testing.allocator.alloc(u8, 2 * limits.buffer_bytes_max);
    defer testing.allocator.free(big);
    @memset(big, 'x');
    try testing.expectError(error.OutOfBuffers, chain.append(&pool, big));
    try testing.expectEqual(used, pool.bytes_used);
    try testing.expectEqual(used, chain.block_bytes);
    try testing.expectEqualStrings("abc", chain.front());
}

test "slices tells the pieces of any window" {
    var pool = try Buddy.init(limits.buffer_bytes_max);
    defer pool.deinit();
    var chain: Chain = .{};
    defer chain.deinit(&pool);
    var bytes: [30_000]u8 = undefined;
    for (&bytes, 0..) |*byte, i| byte.* = @truncate(i *% 7);
    var fed: usize = 0;
    while (fed < bytes.len) : (fed += 1000) try chain.append(&pool, bytes[fed..][0..1000]);
    var out: [16][]const u8 = undefined;
    const windows = [_][2]u64{
        .{ 0, 30_000 },
        .{ 4000, 200 },
        .{ 4060, 9000 },
        .{ 29_999, 1 },
        .{ 5, 0 },
    };
    for (windows) |window| {
        var at = window[0];
        for (chain.slices(window[0], window[1], &out).?) |slice| {
            try testing.expectEqualSlices(u8, bytes[@intCast(at)..][0..slice.len], slice);
            at += slice.len;
        }
        try testing.expectEqual(window[0] + window[1], at);
    }
    try testing.expect(chain.slices(0, 30_000, out[0..1]) == null);
}
