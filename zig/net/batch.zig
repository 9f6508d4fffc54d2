//! What one connection is sent in one turn, gathered so that any number of pipelined responses
//! leaves in one vectored write.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Chain = @import("../core/chain.zig").Chain;
const limits = @import("../core/limits.zig");
const memory = @import("../core/memory.zig");
const write_queue = @import("write_queue.zig");

pub const Batch = struct {
    buffer: []align(memory.page_bytes) u8,
    len: u32 = 0,
    iovecs: [limits.iovecs_max]posix.iovec_const = undefined,
    kinds: [limits.iovecs_max]Kind = undefined,
    count: u32 = 0,
    /// Sum of the pieces, bytes.
    bytes: usize = 0,
    /// The connection whose bytes these are.
    owner: ?*anyopaque = null,

    pub const Kind = enum(u8) { buffered, static, borrowed };

    pub fn init() error{OutOfMemory}!Batch {
        return .{ .buffer = try memory.reserve(u8, limits.output_buffer_bytes) };
    }

    pub fn deinit(self: *Batch) void {
        memory.release(u8, self.buffer);
        self.* = undefined;
    }

    pub fn isEmpty(self: *const Batch) bool {
        return self.count == 0;
    }

    pub fn reset(self: *Batch) void {
        self.len = 0;
        self.count = 0;
        self.bytes = 0;
        self.owner = null;
    }

    /// Whether `wanted` more bytes can be written to `room`.
    pub fn fits(self: *const Batch, wanted: u32) bool {
        return self.buffer.len - self.len >= wanted and self.count < limits.iovecs_max;
    }

    pub fn fitsSlice(self: *const Batch) bool {
        return self.count < limits.iovecs_max;
    }

    pub fn room(self: *Batch) []u8 {
        return self.buffer[self.len..];
    }

    /// The first `n` bytes of `room` are part of the output now.
    pub fn commit(self: *Batch, n: usize) void {
        if (n == 0) return;
        assert(n <= self.buffer.len - self.len);
        const start = self.buffer.ptr + self.len;
        if (self.count > 0 and self.kinds[self.count - 1] == .buffered) {
            self.iovecs[self.count - 1].len += n; // buffered pieces follow each other in the buffer
        } else {
            self.iovecs[self.count] = .{ .base = start, .len = n };
            self.kinds[self.count] = .buffered;
            self.count += 1;
        }
        self.len += @intCast(n);
        self.bytes += n;
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

    /// Queues all but the first `sent` bytes: static bytes by reference, the others as copies.
    pub fn moveRest(
        self: *const Batch,
        sent: usize,
        queue: *write_queue.WriteQueue,
        pools: *write_queue.Pools,
    ) write_queue.WriteQueue.Error!void {
        var skip = sent;
        for (self.iovecs[0..self.count], self.kinds[0..self.count]) |iovec, kind| {
            if (skip >= iovec.len) {
                skip -= iovec.len;
                continue;
            }
            const rest = iovec.base[skip..iovec.len];
            skip = 0;
            switch (kind) {
                .static => try queue.appendStatic(pools, rest),
                .buffered, .borrowed => try queue.appendCopy(pools, rest),
            }
        }
    }
};
