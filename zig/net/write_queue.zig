//! What a connection has still to send: bytes in pool blocks, bytes that live as long as the
//! server, ranges of files. Empty, and then free of cost,
//! unless the peer reads more slowly than it is answered.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const buddy = @import("../core/buddy.zig");
const Buddy = buddy.Buddy;
const Chain = @import("../core/chain.zig").Chain;
const FileHandle = @import("../core/file_handle.zig").FileHandle;
const Segment = @import("../core/chain.zig").Segment;
const limits = @import("../core/limits.zig");
const shares = @import("../core/shares.zig");
const memory = @import("../core/memory.zig");

/// A range of an open file, of which it is an owner.
pub const FileRange = struct { handle: FileHandle, offset: u64, length: u64 };

pub const Node = struct {
    next: ?*Node,
    source: Source,

    pub const Source = union(enum) {
        segment: *Segment,
        static: []const u8,
        file: FileRange,
        /// Of a connection with a filter: bytes that have passed it. They stand in front.
        sealed: *Segment,
    };
};

/// The nodes of all queues of a worker.
pub const NodePool = struct {
    nodes: []align(memory.page_bytes) Node,
    /// Nodes that are left for the first response of each connection.
    reserved: usize = 0,
    used: usize = 0,
    fresh: usize = 0,
    free: ?*Node = null,

    pub fn init(count: usize) error{OutOfMemory}!NodePool {
        return .{ .nodes = try memory.reserve(Node, count) };
    }

    /// Enough for `connections` connections, and a spare part.
    pub fn initFor(connections: u32) error{OutOfMemory}!NodePool {
        const reserved = @as(usize, connections) * limits.write_nodes_per_connection;
        var self = try init(reserved + limits.write_nodes_spare);
        self.reserved = reserved;
        return self;
    }

    /// Whether a connection that has output under way may come to need more.
    pub fn hasSpare(self: *const NodePool) bool {
        return self.nodes.len - self.used > self.reserved;
    }

    /// The same of one that has `depth` outputs under way: where these are many, as long as no
    /// fewer entries are left for the others.
    pub fn hasSpareFor(self: *const NodePool, depth: u32) bool {
        return shares.mayTake(depth, (self.nodes.len - self.used) -| self.reserved);
    }

    pub fn deinit(self: *NodePool) void {
        memory.release(Node, self.nodes);
        self.* = undefined;
    }

    fn take(self: *NodePool) ?*Node {
        if (self.free) |node| {
            self.free = node.next;
            self.used += 1;
            return node;
        }
        if (self.fresh == self.nodes.len) return null;
        self.fresh += 1;
        self.used += 1;
        return &self.nodes[self.fresh - 1];
    }

    fn give(self: *NodePool, node: *Node) void {
        node.* = .{ .next = self.free, .source = undefined };
        self.free = node;
        self.used -= 1;
    }
};

/// The pools that queues draw on, one of each per worker.
pub const Pools = struct { buffers: Buddy, nodes: NodePool };

pub const WriteQueue = struct {
    first: ?*Node = null,
    last: ?*Node = null,
    /// Unsent bytes, those of files included.
    bytes: u64 = 0,
    /// Unsent bytes that occupy memory.
    memory_bytes: u64 = 0,
    /// What its blocks take of the pool.
    block_bytes: u64 = 0,
    /// Ranges of files in it, each of which may keep a descriptor open.
    files: u32 = 0,

    pub const Error = error{OutOfBuffers};

    pub fn isEmpty(self: *const WriteQueue) bool {
        return self.first == null;
    }

    /// Appends a copy of all of `bytes`, or nothing.
    pub fn appendCopy(self: *WriteQueue, pools: *Pools, bytes: []const u8) Error!void {
        if (bytes.len == 0) return;
        const segment = self.tailRoom() orelse return self.appendBlocks(pools, bytes);
        const room = segment.room();
        const n = @min(room.len, bytes.len);
        // The tail is filled only after the remainder has found its blocks.
        if (n < bytes.len) try self.appendBlocks(pools, bytes[n..]);
        @memcpy(room[0..n], bytes[0..n]);
        segment.end += @intCast(n);
        self.count(n, n);
    }

    fn tailRoom(self: *WriteQueue) ?*Segment {
        const last = self.last orelse return null;
        if (last.source != .segment or last.source.segment.room().len == 0) return null;
        return last.source.segment;
    }

    fn appendBlocks(self: *WriteQueue, pools: *Pools, bytes: []const u8) Error!void {
        var chain: Chain = .{};
        errdefer chain.deinit(&pools.buffers);
        try chain.append(&pools.buffers, bytes);
        try self.appendChain(pools, &chain);
    }

    /// Appends the blocks of `chain` without copying and leaves it empty.
    /// On an error nothing has changed.
    pub fn appendChain(self: *WriteQueue, pools: *Pools, chain: *Chain) Error!void {
        var added: WriteQueue = .{};
        var at = chain.first;
        while (at) |segment| : (at = segment.next) {
            const bytes = segment.end - segment.start;
            added.push(pools, .{ .segment = segment }, bytes, true) catch |err| {
                added.releaseNodes(pools);
                return err;
            };
            added.block_bytes += segment.blockBytes();
        }
        chain.* = .{};
        self.appendQueue(&added);
    }

    /// Appends a block; the queue is the owner from here on, unless an error is returned.
    pub fn appendSegment(self: *WriteQueue, pools: *Pools, segment: *Segment) Error!void {
        try self.push(pools, .{ .segment = segment }, segment.end - segment.start, true);
        self.block_bytes += segment.blockBytes();
    }

    fn releaseNodes(self: *WriteQueue, pools: *Pools) void {
        while (self.first) |node| {
            self.first = node.next;
            pools.nodes.give(node);
        }
        self.* = .{};
    }

    pub fn appendStatic(self: *WriteQueue, pools: *Pools, bytes: []const u8) Error!void {
        if (bytes.len > 0) try self.push(pools, .{ .static = bytes }, bytes.len, false);
    }

    /// Appends a file range; the queue is the owner from here on, unless an error is returned.
    pub fn appendFile(self: *WriteQueue, pools: *Pools, file: FileRange) Error!void {
        try self.push(pools, .{ .file = file }, file.length, false);
        self.files += 1;
    }

    fn push(
        self: *WriteQueue,
        pools: *Pools,
        source: Node.Source,
        bytes: u64,
        in_memory: bool,
    ) Error!void {
        const node = pools.nodes.take() orelse return error.OutOfBuffers;
        node.* = .{ .next = null, .source = source };
        if (self.last) |last| last.next = node else self.first = node;
        self.last = node;
        self.count(bytes, if (in_memory) bytes else 0);
    }

    fn count(self: *WriteQueue, bytes: u64, in_memory: u64) void {
        self.bytes += bytes;
        self.memory_bytes += in_memory;
    }

    /// Moves everything of `other` to the end of this queue.
    pub fn appendQueue(self: *WriteQueue, other: *WriteQueue) void {
        if (other.first == null) return;
        if (self.last) |last| last.next = other.first else self.first = other.first;
        self.last = other.last;
        self.count(other.bytes, other.memory_bytes);
        self.block_bytes += other.block_bytes;
        self.files += other.files;
        other.* = .{};
    }

    /// Puts a copy of `bytes`, which have passed the connection's filter, in front of all.
    pub fn prependSealed(self: *WriteQueue, pools: *Pools, bytes: []const u8) Error!void {
        assert(!self.isSealed());
        const order = buddy.orderFor(bytes.len + Segment.overhead);
        const segment = try Segment.create(&pools.buffers, order);
        const node = pools.nodes.take() orelse {
            segment.destroy(&pools.buffers);
            return error.OutOfBuffers;
        };
        @memcpy(segment.room()[0..bytes.len], bytes);
        segment.end = @intCast(bytes.len);
        node.* = .{ .next = self.first, .source = .{ .sealed = segment } };
        if (self.first == null) self.last = node;
        self.first = node;
        self.count(bytes.len, bytes.len);
        self.block_bytes += segment.blockBytes();
    }

    /// Whether its beginning has passed the connection's filter.
    pub fn isSealed(self: *const WriteQueue) bool {
        const first = self.first orelse return false;
        return first.source == .sealed;
    }

    /// The leading pieces in memory as iovecs; none when a file comes first. What has passed a
    /// filter is told alone. `file_follows` tells whether a file is next after them.
    pub fn iovecs(
        self: *const WriteQueue,
        out: []posix.iovec_const,
        file_follows: *bool,
    ) []posix.iovec_const {
        var n: usize = 0;
        var at = self.first;
        file_follows.* = false;
        while (at) |node| : (at = node.next) {
            const bytes: []const u8 = switch (node.source) {
                .segment => |segment| segment.bytes(),
                .static => |bytes| bytes,
                .sealed => |segment| {
                    out[0] = .{ .base = segment.bytes().ptr, .len = segment.bytes().len };
                    return out[0..1];
                },
                .file => {
                    file_follows.* = true;
                    break;
                },
            };
            if (n == out.len) break;
            out[n] = .{ .base = bytes.ptr, .len = bytes.len };
            n += 1;
        }
        return out[0..n];
    }

    /// Takes note that the first `n` bytes were sent.
    pub fn consume(self: *WriteQueue, pools: *Pools, n: u64) void {
        assert(n <= self.bytes);
        self.bytes -= n;
        var rest = n;
        while (self.first) |node| {
            const held = lengthOf(node);
            const take = @min(rest, held);
            switch (node.source) {
                .segment, .sealed => |segment| {
                    segment.start += @intCast(take);
                    self.memory_bytes -= take;
                },
                .static => |*bytes| bytes.* = bytes.*[@intCast(take)..],
                .file => |*file| {
                    file.offset += take;
                    file.length -= take;
                },
            }
            rest -= take;
            if (take < held) return;
            self.dropFirst(pools, node);
        }
        assert(rest == 0);
    }

    fn lengthOf(node: *const Node) u64 {
        return switch (node.source) {
            .segment, .sealed => |segment| segment.end - segment.start,
            .static => |bytes| bytes.len,
            .file => |file| file.length,
        };
    }

    fn dropFirst(self: *WriteQueue, pools: *Pools, node: *Node) void {
        self.first = node.next;
        if (self.first == null) self.last = null;
        switch (node.source) {
            .segment, .sealed => |segment| {
                self.block_bytes -= segment.blockBytes();
                segment.destroy(&pools.buffers);
            },
            .static => {},
            .file => |file| {
                self.files -= 1;
                file.handle.release();
            },
        }
        pools.nodes.give(node);
    }

    /// Gives everything up: blocks return to the pool, files are closed.
    pub fn deinit(self: *WriteQueue, pools: *Pools) void {
        while (self.first) |node| self.dropFirst(pools, node);
        self.* = .{};
    }
};

const testing = std.testing;

fn testPools() !Pools {
    return .{
        .buffers = try Buddy.init(8 * limits.buffer_bytes_max),
        .nodes = try NodePool.init(64),
    };
}

test "a queue gives its bytes in order, whatever it is made of and however short the writes" {
    var pools = try testPools();
    defer pools.buffers.deinit();
    defer pools.nodes.deinit();
    var prng = std.Random.DefaultPrng.init(5);
    const random = prng.random();
    var source: [40_000]u8 = undefined;
    for (&source, 0..) |*byte, i| byte.* = @truncate(i *% 13 +% i / 256);
    for (0..200) |_| {
        var queue: WriteQueue = .{};
        var fed: usize = 0;
        while (fed < source.len) {
            const n = @min(random.uintAtMost(usize, 9000), source.len - fed);
            const piece = source[fed..][0..n];
            switch (random.uintLessThan(u8, 3)) {
                0 => try queue.appendCopy(&pools, piece),
                1 => try queue.appendStatic(&pools, piece),
                else => {
                    var other: WriteQueue = .{};
                    try other.appendCopy(&pools, piece);
                    queue.appendQueue(&other);
                },
            }
            fed += n;
        }
        var sent: usize = 0;
        var iovecs: [8]posix.iovec_const = undefined;
        while (!queue.isEmpty()) {
            var file_follows = false;
            const ready = queue.iovecs(&iovecs, &file_follows);
            var quota = random.uintAtMost(usize, 7000);
            var taken: u64 = 0;
            for (ready) |iovec| {
                const n = @min(quota, iovec.len);
                try testing.expectEqualSlices(u8, source[sent..][0..n], iovec.base[0..n]);
                sent += n;
                taken += n;
                quota -= n;
            }
            queue.consume(&pools, taken);
            try testing.expectEqual(pools.buffers.bytes_used, queue.block_bytes);
        }
        try testing.expectEqual(source.len, sent);
        try testing.expectEqual(@as(u64, 0), queue.bytes);
        try testing.expectEqual(@as(u64, 0), queue.memory_bytes);
    }
    try testing.expectEqual(@as(u64, 0), pools.buffers.bytes_used);
}

test "a queue that is given up closes its files and returns its blocks" {
    var pools = try testPools();
    defer pools.buffers.deinit();
    defer pools.nodes.deinit();
    const fd = try posix.open("/dev/null", .{}, 0);
    var queue: WriteQueue = .{};
    try queue.appendCopy(&pools, "head");
    const handle = FileHandle.adopt(fd).?;
    // Two ranges of one file.
    try queue.appendFile(&pools, .{ .handle = handle.retain(), .offset = 5, .length = 5 });
    try queue.appendFile(&pools, .{ .handle = handle, .offset = 0, .length = 10 });
    try testing.expectEqual(2, queue.files);
    queue.consume(&pools, 4 + 5);
    try testing.expectEqual(1, queue.files);
    try testing.expect(std.c.fcntl(fd, posix.F.GETFD) >= 0);
    queue.deinit(&pools);
    try testing.expectEqual(0, queue.files);
    try testing.expectEqual(@as(u64, 0), pools.buffers.bytes_used);
    try testing.expectEqual(posix.E.BADF, posix.errno(std.c.fcntl(fd, posix.F.GETFD)));
}

test "an append without nodes or blocks leaves the queue as it was" {
    var pools: Pools = .{ .buffers = try Buddy.init(1), .nodes = try NodePool.init(1) };
    defer pools.buffers.deinit();
    defer pools.nodes.deinit();
    var queue: WriteQueue = .{};
    defer queue.deinit(&pools);
    try queue.appendCopy(&pools, "abc");
    const big = [_]u8{'x'} ** 10_000;
    try testing.expectError(error.OutOfBuffers, queue.appendCopy(&pools, &big));
    try testing.expectError(error.OutOfBuffers, queue.appendStatic(&pools, "s"));
    try testing.expectEqual(@as(u64, 3), queue.bytes);
}
