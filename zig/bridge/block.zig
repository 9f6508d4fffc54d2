//! The memory that one engine shares with its JS threads: header, one line per worker and per
//! thread, and a lane for each pair. JS keeps views of it for as long as it likes, so it is never
//! unmapped: a block whose engine has ended waits for the next engine of the same layout.

const std = @import("std");
const assert = std.debug.assert;
const abi = @import("abi.zig");
const limits = @import("../core/limits.zig");
const memory = @import("../core/memory.zig");
const system = @import("../core/system.zig");
const Ring = @import("ring.zig").Ring;

pub const Layout = struct {
    workers: u32,
    threads: u32,
    /// Of each ring: a power of two within `abi.ringBytesMin` and `abi.ring_bytes_max`.
    ring_bytes: u32,
    credit_bytes: u32,
    /// Field lines of one response, within `abi.response_field_bytes_bound`.
    response_field_bytes: u32 = abi.response_field_bytes_max,

    const workers_offset = abi.cache_line_bytes;
    const rings_bytes_usual_max = 512 << 20;

    fn threadsOffset(self: Layout) u64 {
        return workers_offset + @as(u64, self.workers) * @sizeOf(abi.WorkerLine);
    }

    fn lanesOffset(self: Layout) u64 {
        return self.threadsOffset() + @as(u64, self.threads) * @sizeOf(abi.ThreadLine);
    }

    fn laneStride(self: Layout) u64 {
        return @sizeOf(abi.LaneControl) + 2 * @as(u64, self.ring_bytes);
    }

    /// The ring to take where none was asked for: the usual one, or the smallest where the usual
    /// ones of so many lanes would take more than `rings_bytes_usual_max`.
    pub fn ringBytes(workers: u32, threads: u32, head_bytes_max: u32) u32 {
        const usual = 2 * @as(u64, abi.ring_bytes_default) * workers * threads;
        if (usual <= rings_bytes_usual_max) return abi.ring_bytes_default;
        return abi.ringBytesMin(head_bytes_max);
    }

    /// How many lanes with rings of `ring_bytes` there may be, whatever the number of workers and
    /// threads.
    pub fn lanesMax(ring_bytes: u32) u32 {
        const lines = workers_offset + (@as(u64, limits.workers_max) + std.math.maxInt(u16)) *
            abi.cache_line_bytes;
        const stride = @sizeOf(abi.LaneControl) + 2 * @as(u64, ring_bytes);
        return @intCast((std.math.maxInt(i32) - lines) / stride);
    }

    /// Bytes of the whole block, or null when it is larger than JS can address by 31-bit offsets.
    pub fn bytes(self: Layout) ?u32 {
        const total = self.lanesOffset() + self.laneStride() * self.workers * self.threads;
        return if (total <= std.math.maxInt(i32)) @intCast(total) else null;
    }
};

pub const Block = struct {
    bytes: []align(memory.page_bytes) u8,
    layout: Layout,

    /// Takes a block; its lanes are empty. Any thread.
    pub fn take(layout: Layout) error{ OutOfMemory, BlockTooLarge }!Block {
        const size = layout.bytes() orelse return error.BlockTooLarge;
        const raw = idle.take(size) orelse try memory.reserve(u8, size);
        const block: Block = .{ .bytes = raw, .layout = layout };
        block.header().* = .{
            .magic = abi.magic,
            .version = abi.version,
            .worker_count = layout.workers,
            .thread_count = layout.threads,
            .ring_bytes = layout.ring_bytes,
            .credit_bytes = layout.credit_bytes,
            .lane_stride = @intCast(layout.laneStride()),
            .lanes_offset = @intCast(layout.lanesOffset()),
            .workers_offset = Layout.workers_offset,
            .threads_offset = @intCast(layout.threadsOffset()),
            .state = 0,
            .response_field_bytes = layout.response_field_bytes,
            .reserved = [_]u32{0} ** 4,
        };
        return block;
    }

    /// Gives the block back; its pages go back to the system, its addresses stay valid.
    pub fn release(self: *Block) void {
        // Pages that are locked in memory (mlockall) cannot be given back.
        system.discardMemory(self.bytes) catch @memset(self.bytes, 0);
        self.header().state = abi.state_stopped; // what a late reader should find
        idle.give(self.bytes);
        self.* = undefined;
    }

    pub fn header(self: Block) *abi.BlockHeader {
        return @ptrCast(self.bytes.ptr);
    }

    pub fn worker(self: Block, index: u32) *abi.WorkerLine {
        assert(index < self.layout.workers);
        const offset = Layout.workers_offset + index * @sizeOf(abi.WorkerLine);
        return @alignCast(@ptrCast(self.bytes.ptr + offset));
    }

    pub fn thread(self: Block, index: u32) *abi.ThreadLine {
        assert(index < self.layout.threads);
        const offset = self.layout.threadsOffset() + index * @sizeOf(abi.ThreadLine);
        return @alignCast(@ptrCast(self.bytes.ptr + offset));
    }

    pub fn control(self: Block, worker_index: u32, thread_index: u32) *abi.LaneControl {
        return @alignCast(@ptrCast(self.bytes.ptr + self.laneOffset(worker_index, thread_index)));
    }

    pub fn requestRing(self: Block, worker_index: u32, thread_index: u32) Ring {
        const c = self.control(worker_index, thread_index);
        return self.ring(worker_index, thread_index, 0, &c.request_tail, &c.request_head);
    }

    pub fn responseRing(self: Block, worker_index: u32, thread_index: u32) Ring {
        const c = self.control(worker_index, thread_index);
        return self.ring(
            worker_index,
            thread_index,
            self.layout.ring_bytes,
            &c.response_tail,
            &c.response_head,
        );
    }

    fn ring(self: Block, w: u32, t: u32, offset: u64, tail: *u32, head: *u32) Ring {
        const start = self.laneOffset(w, t) + @sizeOf(abi.LaneControl) + offset;
        const ptr: [*]align(abi.record_align) u8 = @alignCast(self.bytes.ptr + start);
        return .{ .bytes = ptr, .capacity = self.layout.ring_bytes, .tail = tail, .head = head };
    }

    fn laneOffset(self: Block, w: u32, t: u32) u64 {
        assert(w < self.layout.workers and t < self.layout.threads);
        const index = @as(u64, w) * self.layout.threads + t;
        return self.layout.lanesOffset() + index * self.layout.laneStride();
    }
};

/// Blocks of engines that have ended.
const Idle = struct {
    mutex: std.Thread.Mutex = .{},
    list: std.ArrayListUnmanaged([]align(memory.page_bytes) u8) = .{},

    fn take(self: *Idle, size: u32) ?[]align(memory.page_bytes) u8 {
        self.mutex.lock();
        defer self.mutex.unlock();
        for (self.list.items, 0..) |bytes, i| {
            if (bytes.len == size) return self.list.swapRemove(i);
        }
        return null;
    }

    fn give(self: *Idle, bytes: []align(memory.page_bytes) u8) void {
        self.mutex.lock();
        defer self.mutex.unlock();
        // Without a place in the list the addresses stay reserved for good: 16 bytes of memory are
        // all that is missing.
        self.list.append(std.heap.c_allocator, bytes) catch return;
    }
};

var idle: Idle = .{};

test "lines and lanes lie behind one another on cache lines of their own" {
    var block = try Block.take(
        .{ .workers = 3, .threads = 2, .ring_bytes = abi.ring_bytes_min, .credit_bytes = 1 << 16 },
    );
    defer block.release();
    try std.testing.expectEqual(abi.magic, block.header().magic);
    var previous = @intFromPtr(block.thread(1));
    for (0..3) |w| for (0..2) |t| {
        const at = @intFromPtr(block.control(@intCast(w), @intCast(t)));
        try std.testing.expect(at >= previous + abi.cache_line_bytes);
        try std.testing.expectEqual(0, at % abi.cache_line_bytes);
        const request = @intFromPtr(block.requestRing(@intCast(w), @intCast(t)).bytes);
        const response = @intFromPtr(block.responseRing(@intCast(w), @intCast(t)).bytes);
        try std.testing.expectEqual(at + @sizeOf(abi.LaneControl), request);
        try std.testing.expectEqual(request + abi.ring_bytes_min, response);
        previous = response + abi.ring_bytes_min - abi.cache_line_bytes;
    };
    try std.testing.expectEqual(
        @intFromPtr(block.bytes.ptr) + block.bytes.len,
        previous + abi.cache_line_bytes,
    );
}

test "a released block is taken again, empty, and its address stays" {
    const layout: Layout = .{
        .workers = 1,
        .threads = 1,
        .ring_bytes = abi.ring_bytes_min,
        .credit_bytes = 1 << 16,
    };
    var first = try Block.take(layout);
    const address = first.bytes.ptr;
    first.control(0, 0).request_tail = 77;
    first.release();
    try std.testing.expectEqual(abi.state_stopped, @as(*abi.BlockHeader, @ptrCast(address)).state);
    var second = try Block.take(layout);
    defer second.release();
    try std.testing.expectEqual(address, second.bytes.ptr);
    try std.testing.expectEqual(0, second.control(0, 0).request_tail);
    try std.testing.expectEqual(0, second.header().state);
}

test "64 workers and 64 threads have rings that fit, the smallest; a few have the usual ones" {
    const head = limits.head_bytes_max_default;
    try std.testing.expectEqual(abi.ring_bytes_default, Layout.ringBytes(8, 8, head));
    try std.testing.expectEqual(abi.ring_bytes_default, Layout.ringBytes(32, 32, head));
    const ring_bytes = Layout.ringBytes(64, 64, head);
    try std.testing.expectEqual(128 * 1024, ring_bytes);
    var block = try Block.take(.{
        .workers = 64,
        .threads = 64,
        .ring_bytes = ring_bytes,
        .credit_bytes = abi.credit_bytes_default,
    });
    block.control(63, 63).request_tail = 1;
    block.release();
    // Heads of any size need larger ones.
    try std.testing.expectEqual(abi.ring_bytes_min, Layout.ringBytes(64, 64, 65535));
}

test "as many lanes as are said to fit do fit" {
    for ([_]u32{ 128 * 1024, 256 * 1024, 1 << 26 }) |ring_bytes| {
        const lanes = Layout.lanesMax(ring_bytes);
        try std.testing.expect(lanes > 0);
        for ([_][2]u32{ .{ 1, lanes }, .{ @min(lanes, 256), @max(lanes / 256, 1) } }) |pair| {
            const layout: Layout = .{
                .workers = pair[0],
                .threads = pair[1],
                .ring_bytes = ring_bytes,
                .credit_bytes = abi.credit_bytes_default,
            };
            try std.testing.expect(layout.bytes() != null);
        }
    }
}

test "a layout that JS cannot address is refused" {
    const layout: Layout = .{
        .workers = 256,
        .threads = 256,
        .ring_bytes = 1 << 20,
        .credit_bytes = 1 << 16,
    };
    try std.testing.expectEqual(null, layout.bytes());
    try std.testing.expectError(error.BlockTooLarge, Block.take(layout));
}
