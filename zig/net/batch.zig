//! What one connection is sent in one turn, gathered so that any number of pipelined responses
//! leaves in one vectored write.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const buddy = @import("../core/buddy.zig");
const FileHandle = @import("../core/file_handle.zig").FileHandle;
const Buddy = buddy.Buddy;
const Chain = @import("../core/chain.zig").Chain;
const Segment = @import("../core/chain.zig").Segment;
const limits = @import("../core/limits.zig");
const write_queue = @import("write_queue.zig");
const FileRange = write_queue.FileRange;

pub const Batch = struct {
    /// What is written by `room` and `commit`. A block of the worker's pool, so that it can become
    /// part of a write queue; another takes its place then.
    segment: *Segment,
    iovecs: [limits.iovecs_max]posix.iovec_const = undefined,
    kinds: [limits.iovecs_max]Kind = undefined,
    /// Where pieces that are content of files have it from: the batch is one of their owners.
    ranges: [limits.iovecs_max]FileRange = undefined,
    count: u32 = 0,
    /// Sum of the pieces, bytes.
    bytes: usize = 0,
    /// The connection whose bytes these are.
    owner: ?*anyopaque = null,

    /// `.file` is in the buffer too, but need not stay there: it can be read again.
    pub const Kind = enum(u8) { buffered, static, borrowed, file };

    const order = buddy.orderFor(limits.output_buffer_bytes);

    pub fn init(pool: *Buddy) error{OutOfMemory}!Batch {
        const segment = Segment.create(pool, order) catch return error.OutOfMemory;
        pool.exempt(order);
        return .{ .segment = segment };
    }

    pub fn deinit(self: *Batch, pool: *Buddy) void {
        pool.readmit(order);
        self.segment.destroy(pool);
        self.* = undefined;
    }

    pub fn isEmpty(self: *const Batch) bool {
        return self.count == 0;
    }

    pub fn reset(self: *Batch) void {
        for (self.kinds[0..self.count], self.ranges[0..self.count]) |kind, range|
            if (kind == .file) range.handle.release();
        self.segment.end = 0;
        self.count = 0;
        self.bytes = 0;
        self.owner = null;
    }

    /// Whether `wanted` more bytes can be written to `room`.
    pub fn fits(self: *const Batch, wanted: u32) bool {
        return self.segment.room().len >= wanted and self.count < limits.iovecs_max;
    }

    pub fn fitsSlice(self: *const Batch) bool {
        return self.count < limits.iovecs_max;
    }

    pub fn room(self: *Batch) []u8 {
        return self.segment.room();
    }

    /// The first `n` bytes of `room` are part of the output now.
    pub fn commit(self: *Batch, n: usize) void {
        if (n == 0) return;
        assert(n <= self.segment.room().len);
        const start = self.segment.room().ptr;
        if (self.count > 0 and self.kinds[self.count - 1] == .buffered) {
            self.iovecs[self.count - 1].len += n; // buffered pieces follow each other in the buffer
        } else {
            self.iovecs[self.count] = .{ .base = start, .len = n };
            self.kinds[self.count] = .buffered;
            self.count += 1;
        }
        self.segment.end += @intCast(n);
        self.bytes += n;
    }

    /// The first bytes of `room`, as many as `range` is long, are part of the output now: they are
    /// content of a file. The batch is the owner of `range` from here on.
    pub fn commitFile(self: *Batch, range: FileRange) void {
        const room_left = self.segment.room();
        self.segment.end += @intCast(range.length);
        self.ranges[self.count] = range;
        self.addSlice(room_left[0..@intCast(range.length)], .file);
    }

    pub fn addSlice(self: *Batch, slice: []const u8, kind: Kind) void {
        if (slice.len == 0) return;
        self.iovecs[self.count] = .{ .base = slice.ptr, .len = slice.len };
        self.kinds[self.count] = kind;
        self.count += 1;
        self.bytes += slice.len;
    }

    pub fn pieces(self: *Batch) []posix.iovec_const {
        return self.iovecs[0..self.count];
    }

    /// The pieces, and behind them as many blocks of `chain` as there are iovecs for. The blocks do
    /// not become part of the batch.
    pub fn piecesWith(self: *Batch, chain: ?*const Chain) []posix.iovec_const {
        var count = self.count;
        var at = if (chain) |it| it.first else null;
        while (at) |segment| : (at = segment.next) {
            if (count == limits.iovecs_max) break;
            const bytes = segment.bytes();
            if (bytes.len == 0) continue;
            self.iovecs[count] = .{ .base = bytes.ptr, .len = bytes.len };
            count += 1;
        }
        return self.iovecs[0..count];
    }

    /// Queues all but the first `sent` bytes: static bytes, and the block that was written, by
    /// reference. What of the block is less than half of it, and what was borrowed, is copied: a
    /// queue holds no more than twice the memory that it needs. Content of files takes none: it is
    /// read again.
    pub fn moveRest(
        self: *Batch,
        sent: usize,
        queue: *write_queue.WriteQueue,
        pools: *write_queue.Pools,
    ) write_queue.WriteQueue.Error!void {
        const handover = self.handoverFor(sent, &pools.buffers);
        errdefer if (handover) |own| {
            // Once it has taken the place of the other it stays.
            if (self.segment != own.next) own.next.destroy(&pools.buffers);
        };
        var unsent: Unsent = .{ .batch = self, .sent = sent };
        while (unsent.next()) |piece| switch (piece.kind) {
            .static => try queue.appendStatic(pools, piece.bytes),
            .borrowed => try queue.appendCopy(pools, piece.bytes),
            .file => {
                const range = self.ranges[piece.index];
                const handle = range.handle.retain();
                errdefer handle.release();
                try queue.appendFile(pools, .{
                    .handle = handle,
                    .offset = range.offset + range.length - piece.bytes.len,
                    .length = piece.bytes.len,
                });
            },
            .buffered => if (handover) |own| {
                // The last of the pieces brings the block with it: those before leave first.
                if (piece.index != own.last) {
                    try queue.appendStatic(pools, piece.bytes);
                    continue;
                }
                const segment = self.segment;
                segment.start = @intCast(piece.bytes.ptr - segment.base());
                // What is behind it is of files.
                segment.end = segment.start + @as(u32, @intCast(piece.bytes.len));
                try queue.appendSegment(pools, segment);
                self.segment = own.next;
            } else try queue.appendCopy(pools, piece.bytes),
        };
    }

    /// Goes over what is left of the pieces when `sent` bytes of all have left.
    const Unsent = struct {
        batch: *const Batch,
        sent: usize,
        index: usize = 0,

        const Piece = struct { index: usize, kind: Kind, bytes: []const u8 };

        fn next(self: *Unsent) ?Piece {
            while (self.index < self.batch.count) {
                const index = self.index;
                self.index += 1;
                const iovec = self.batch.iovecs[index];
                const gone = @min(self.sent, iovec.len);
                self.sent -= gone;
                if (gone == iovec.len) continue;
                const bytes = iovec.base[gone..iovec.len];
                return .{ .index = index, .kind = self.batch.kinds[index], .bytes = bytes };
            }
            return null;
        }
    };

    const Handover = struct { next: *Segment, last: usize };

    /// The block that takes the place of the batch's own when that goes, and the piece that it goes
    /// with; null when it does not.
    fn handoverFor(self: *const Batch, sent: usize, pool: *Buddy) ?Handover {
        var unsent: Unsent = .{ .batch = self, .sent = sent };
        var bytes: usize = 0;
        var last: usize = 0;
        while (unsent.next()) |piece| {
            if (piece.kind != .buffered) continue;
            bytes += piece.bytes.len;
            last = piece.index;
        }
        if (bytes < self.segment.capacity / 2) return null;
        return .{ .next = Segment.create(pool, order) catch return null, .last = last };
    }
};

const testing = std.testing;
const WriteQueue = write_queue.WriteQueue;

fn testPools(nodes: usize) !write_queue.Pools {
    return .{
        .buffers = try Buddy.init(4 * limits.buffer_bytes_max),
        .nodes = try write_queue.NodePool.init(nodes),
    };
}

/// Writes `len` bytes that go on from what is there.
fn fill(batch: *Batch, len: usize) void {
    for (batch.room()[0..len], batch.bytes..) |*byte, i| byte.* = @truncate(i *% 7);
    batch.commit(len);
}

fn expectQueued(queue: *WriteQueue, pools: *write_queue.Pools, from: usize, to: usize) !void {
    try testing.expectEqual(to - from, queue.bytes);
    var at = from;
    while (!queue.isEmpty()) {
        var iovecs: [4]posix.iovec_const = undefined;
        var file_follows = false;
        var taken: usize = 0;
        for (queue.iovecs(&iovecs, &file_follows)) |iovec| {
            for (iovec.base[0..iovec.len]) |byte| {
                try testing.expectEqual(@as(u8, @truncate(at *% 7)), byte);
                at += 1;
            }
            taken += iovec.len;
        }
        queue.consume(pools, taken);
    }
    try testing.expectEqual(to, at);
    try testing.expectEqual(0, pools.buffers.bytes_used);
}

test "what is unsent goes to the queue in order: a block half full as it is, less as a copy" {
    var pools = try testPools(16);
    defer pools.buffers.deinit();
    defer pools.nodes.deinit();
    var batch = try Batch.init(&pools.buffers);
    defer batch.deinit(&pools.buffers);
    var static: [1000]u8 = undefined;
    for (&static, 20_000..) |*byte, i| byte.* = @truncate(i *% 7);
    for ([_]usize{ 0, 1, 19_999, 20_000, 20_500, 21_000, 25_000, 50_999 }) |sent| {
        fill(&batch, 20_000);
        batch.addSlice(&static, .static);
        fill(&batch, 30_000);
        const own = batch.segment;
        var queue: WriteQueue = .{};
        try batch.moveRest(sent, &queue, &pools);
        const unsent = @as(usize, 50_000) - @min(sent, 20_000) - (sent -| 21_000);
        try testing.expectEqual(unsent < own.capacity / 2, batch.segment == own);
        try testing.expect(queue.block_bytes <= 2 * unsent + limits.buffer_bytes_min + 64);
        batch.reset();
        fill(&batch, 40_000); // another's
        try expectQueued(&queue, &pools, sent, 51_000);
        batch.reset();
    }
}

test "content of files takes no memory in the queue: what is unsent of it is to be read again" {
    var pools = try testPools(16);
    defer pools.buffers.deinit();
    defer pools.nodes.deinit();
    var batch = try Batch.init(&pools.buffers);
    defer batch.deinit(&pools.buffers);
    var folder = testing.tmpDir(.{});
    defer folder.cleanup();
    var content: [60_000]u8 = undefined;
    for (&content, 0..) |*byte, i| byte.* = @truncate(i *% 7);
    try folder.dir.writeFile(.{ .sub_path = "file", .data = &content });
    const file = FileHandle.adopt((try folder.dir.openFile("file", .{})).handle).?;
    defer file.release();
    // Frames of ten bytes and a part of the file, as far as a client sees the file with gaps.
    for ([_]usize{ 0, 9, 10, 10_000, 16_010, 16_015, 40_000, 48_029 }) |sent| {
        for (0..3) |n| {
            const offset = n * 16_010;
            fill(&batch, 10);
            @memcpy(batch.room()[0..16_000], content[offset + 10 ..][0..16_000]);
            batch.commitFile(.{ .handle = file.retain(), .offset = offset + 10, .length = 16_000 });
        }
        var queue: WriteQueue = .{};
        try batch.moveRest(sent, &queue, &pools);
        batch.reset();
        try testing.expect(queue.memory_bytes <= 30);
        var at = sent;
        while (queue.first) |node| {
            const bytes = switch (node.source) {
                .file => |range| content[@intCast(range.offset)..][0..@intCast(range.length)],
                .segment => |segment| segment.bytes(),
                .static, .sealed => unreachable,
            };
            for (bytes) |byte| {
                try testing.expectEqual(@as(u8, @truncate(at *% 7)), byte);
                at += 1;
            }
            queue.consume(&pools, bytes.len);
        }
        try testing.expectEqual(48_030, at);
        try testing.expect(!file.isShared());
        try testing.expectEqual(0, pools.buffers.bytes_used);
    }
    // A block that goes to the queue as it is has no part in the file behind its last piece.
    fill(&batch, 40_000);
    @memcpy(batch.room()[0..10_000], content[40_000..50_000]);
    batch.commitFile(.{ .handle = file.retain(), .offset = 40_000, .length = 10_000 });
    var taken: WriteQueue = .{};
    try batch.moveRest(5, &taken, &pools);
    try testing.expectEqual(49_995, taken.bytes);
    try testing.expectEqual(39_995, taken.first.?.source.segment.bytes().len);
    taken.deinit(&pools);
    batch.reset();
    // Nothing is held where there is no node for it.
    var none = try testPools(0);
    defer none.buffers.deinit();
    defer none.nodes.deinit();
    batch.commitFile(.{ .handle = file.retain(), .offset = 0, .length = 5 });
    var queue: WriteQueue = .{};
    try testing.expectError(error.OutOfBuffers, batch.moveRest(0, &queue, &none));
    batch.reset();
    try testing.expect(!file.isShared() and queue.isEmpty());
}

test "a batch that finds no room for what is unsent says so, and keeps its own block" {
    var pools = try testPools(1);
    defer pools.buffers.deinit();
    defer pools.nodes.deinit();
    var batch = try Batch.init(&pools.buffers);
    defer batch.deinit(&pools.buffers);
    const own = batch.segment;
    var queue: WriteQueue = .{};
    // Without nodes the block stays.
    fill(&batch, 40_000);
    batch.addSlice("static", .static);
    fill(&batch, 10_000);
    try testing.expectError(error.OutOfBuffers, batch.moveRest(0, &queue, &pools));
    try testing.expectEqual(own, batch.segment);
    queue.deinit(&pools);
    try testing.expectEqual(0, pools.buffers.bytes_used);
    batch.reset();
    // Nor does it go where no other can take its place.
    var taken: std.BoundedArray([]u8, 64) = .{};
    while (pools.buffers.alloc(Batch.order)) |block| taken.appendAssumeCapacity(block);
    pools.buffers.release(taken.pop().?.ptr, Batch.order);
    const small = pools.buffers.alloc(0).?;
    fill(&batch, 33_000);
    try testing.expectError(error.OutOfBuffers, batch.moveRest(0, &queue, &pools));
    try testing.expectEqual(own, batch.segment);
    try testing.expect(queue.isEmpty());
    pools.buffers.release(small.ptr, 0);
    for (taken.constSlice()) |block| pools.buffers.release(block.ptr, Batch.order);
}

test "a batch whose block has gone keeps the next, whatever fails behind it" {
    var pools = try testPools(1);
    defer pools.buffers.deinit();
    defer pools.nodes.deinit();
    var batch = try Batch.init(&pools.buffers);
    const others = pools.buffers.alloc(Batch.order).?; // as in use, so that the sum stays positive
    fill(&batch, 40_000);
    batch.addSlice("static", .static); // no node is left for it
    var queue: WriteQueue = .{};
    try testing.expectError(error.OutOfBuffers, batch.moveRest(0, &queue, &pools));
    queue.deinit(&pools);
    batch.reset();
    // The batch's block is nobody else's.
    var taken: std.BoundedArray([]u8, 64) = .{};
    while (pools.buffers.alloc(Batch.order)) |block| taken.appendAssumeCapacity(block);
    for (taken.constSlice()) |block|
        try testing.expect(@intFromPtr(block.ptr) != @intFromPtr(batch.segment));
    for (taken.constSlice()) |block| pools.buffers.release(block.ptr, Batch.order);
    pools.buffers.release(others.ptr, Batch.order);
    batch.deinit(&pools.buffers);
    try testing.expectEqual(0, pools.buffers.bytes_used);
}

test "a batch whose block has gone keeps the next where memory is short for what was borrowed" {
    var pools = try testPools(16);
    defer pools.buffers.deinit();
    defer pools.nodes.deinit();
    var batch = try Batch.init(&pools.buffers);
    // All but one block of the pool is in use.
    var taken: std.BoundedArray([]u8, 64) = .{};
    while (pools.buffers.alloc(Batch.order)) |block| taken.appendAssumeCapacity(block);
    pools.buffers.release(taken.pop().?.ptr, Batch.order);
    fill(&batch, 40_000);
    var large: [100_000]u8 = @splat('x');
    batch.addSlice(&large, .borrowed);
    var queue: WriteQueue = .{};
    try testing.expectError(error.OutOfBuffers, batch.moveRest(0, &queue, &pools));
    queue.deinit(&pools);
    batch.reset();
    while (pools.buffers.alloc(Batch.order)) |block| {
        taken.appendAssumeCapacity(block);
        try testing.expect(@intFromPtr(block.ptr) != @intFromPtr(batch.segment));
    }
}
