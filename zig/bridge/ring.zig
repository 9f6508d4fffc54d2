//! One direction of a lane: a single-producer single-consumer ring of records. The producer
//! publishes once per batch; each side keeps a copy of the other's position and rereads it only
//! when the copy says full or empty. What the peer wrote is never trusted: positions, sizes and
//! alignment are checked on a copy.

const std = @import("std");
const assert = std.debug.assert;
const abi = @import("abi.zig");
const orders = @import("../core/orders.zig").wake;

/// The ring's memory as both sides see it.
pub const Ring = struct {
    bytes: [*]align(abi.record_align) u8,
    /// Power of two, bytes.
    capacity: u32,
    tail: *u32,
    head: *u32,
};

pub const Corrupt = error{CorruptRing};

/// The writing end. One thread owns it.
pub const Producer = struct {
    ring: Ring,
    /// Next byte to write. Runs ahead of the published tail within a batch.
    tail: u32 = 0,
    published: u32 = 0,
    head_seen: u32 = 0,

    /// Room for one record of `size` bytes (a multiple of 8), or null when the ring is full.
    /// Nothing is visible to the other side until `publish`. A second `reserve` without `commit`
    /// returns the same room.
    pub fn reserve(p: *Producer, size: u32) Corrupt!?[]align(abi.record_align) u8 {
        assert(size % abi.record_align == 0);
        assert(size >= @sizeOf(abi.RecordHeader));
        assert(size <= p.ring.capacity / 2);
        const offset = p.tail & (p.ring.capacity - 1);
        const to_end = p.ring.capacity - offset;
        const skip = if (to_end < size) to_end else 0;
        if (!try p.hasRoom(skip + size)) return null;
        if (skip != 0) {
            p.writeSkip(offset, skip);
            p.tail +%= skip;
            return p.at(0, size);
        }
        return p.at(offset, size);
    }

    /// Ends the record that `reserve` made room for; `size` may be smaller than what was reserved.
    pub fn commit(p: *Producer, size: u32) void {
        assert(size % abi.record_align == 0);
        p.tail +%= size;
        assert(p.tail -% p.head_seen <= p.ring.capacity);
    }

    /// Shows everything committed to the other side. False when there was nothing new.
    pub fn publish(p: *Producer) bool {
        if (p.tail == p.published) return false;
        p.published = p.tail;
        // The caller looks at the other side's asleep flag next.
        @atomicStore(u32, p.ring.tail, p.tail, orders.publish);
        return true;
    }

    /// Whether a record of `size` bytes fits now.
    pub fn fits(p: *Producer, size: u32) Corrupt!bool {
        const to_end = p.ring.capacity - (p.tail & (p.ring.capacity - 1));
        return p.hasRoom(if (to_end < size) to_end + size else size);
    }

    /// Whether one fits, and behind it records of `kept` bytes together, of which none has more
    /// than `largest`.
    pub fn fitsBeside(p: *Producer, size: u32, kept: u32, largest: u32) Corrupt!bool {
        const mask = p.ring.capacity - 1;
        const to_end = p.ring.capacity - (p.tail & mask);
        const own = if (to_end < size) to_end + size else size;
        const left = p.ring.capacity - ((p.tail +% own) & mask);
        const skip = if (left < kept) @min(left, largest) else 0;
        return p.hasRoom(own + kept + skip);
    }

    /// Whether `need` bytes are free, together or not.
    pub fn hasRoom(p: *Producer, need: u32) Corrupt!bool {
        if (p.ring.capacity - (p.tail -% p.head_seen) >= need) return true;
        const head = @atomicLoad(u32, p.ring.head, orders.look);
        const used = p.tail -% head;
        // The reader may only have moved forward, and not past what was published.
        if (used > p.tail -% p.head_seen or used < p.tail -% p.published) return error.CorruptRing;
        if (head % abi.record_align != 0) return error.CorruptRing;
        p.head_seen = head;
        return p.ring.capacity - used >= need;
    }

    fn writeSkip(p: *Producer, offset: u32, size: u32) void {
        // Where only 8 bytes are left, half a header is enough: the reader stops at `kind`.
        const words: *[2]u32 = @ptrCast(@alignCast(p.ring.bytes + offset));
        words[0] = size;
        words[1] = @intFromEnum(abi.RecordKind.skip);
    }

    fn at(p: *Producer, offset: u32, size: u32) []align(abi.record_align) u8 {
        return @alignCast(p.ring.bytes[offset..][0..size]);
    }
};

/// A record as the reader sees it. `header` is a private copy; `bytes` is shared memory.
pub const Record = struct {
    header: abi.RecordHeader,
    /// The whole record, header included. Valid until `release`.
    bytes: []align(abi.record_align) const u8,

    /// A private copy of the record's fixed part, or null when the record is too short for it.
    pub fn fixed(r: *const Record, comptime T: type) ?T {
        if (r.bytes.len < @sizeOf(T)) return null;
        var value: T = undefined;
        @memcpy(std.mem.asBytes(&value), r.bytes[0..@sizeOf(T)]);
        value.header = r.header;
        return value;
    }
};

/// The reading end. One thread owns it.
pub const Consumer = struct {
    ring: Ring,
    head: u32 = 0,
    released: u32 = 0,
    tail_seen: u32 = 0,

    /// The next record, or null when there is none. It stays readable until `release`.
    pub fn next(c: *Consumer) Corrupt!?Record {
        while (true) {
            if (c.head == c.tail_seen) {
                if (!try c.refresh()) return null;
            }
            const available = c.tail_seen -% c.head;
            const offset = c.head & (c.ring.capacity - 1);
            const words: *[2]u32 = @ptrCast(@alignCast(c.ring.bytes + offset));
            const size = @as(*volatile u32, &words[0]).*;
            const kind_and_flags = @as(*volatile u32, &words[1]).*;
            if (size % abi.record_align != 0 or size == 0 or size > available or
                size > c.ring.capacity - offset) return error.CorruptRing;
            c.head +%= size;
            const kind: abi.RecordKind = @enumFromInt(@as(u16, @truncate(kind_and_flags)));
            if (kind == .skip) continue;
            if (size < @sizeOf(abi.RecordHeader)) return error.CorruptRing;
            const ids: *[2]u32 = @ptrCast(@alignCast(c.ring.bytes + offset + 8));
            return .{
                .header = .{
                    .size = size,
                    .kind = kind,
                    .flags = @truncate(kind_and_flags >> 16),
                    .slot = @as(*volatile u32, &ids[0]).*,
                    .generation = @as(*volatile u32, &ids[1]).*,
                },
                .bytes = @alignCast(c.ring.bytes[offset..][0..size]),
            };
        }
    }

    /// Gives everything read so far back to the writer. False when there was nothing.
    pub fn release(c: *Consumer) bool {
        if (c.head == c.released) return false;
        c.released = c.head;
        @atomicStore(u32, c.ring.head, c.head, orders.publish);
        return true;
    }

    /// Whether the writer has published nothing that `next` has not returned. Also for the look
    /// between setting an asleep flag and sleeping.
    pub fn isEmpty(c: *const Consumer) bool {
        return c.head == @atomicLoad(u32, c.ring.tail, orders.look);
    }

    /// Drops everything published, after `CorruptRing`. The writer's tail is taken as it is, on the
    /// record grid.
    pub fn resync(c: *Consumer) void {
        c.head = @atomicLoad(u32, c.ring.tail, orders.read) & ~@as(u32, abi.record_align - 1);
        c.tail_seen = c.head;
        _ = c.release();
    }

    fn refresh(c: *Consumer) Corrupt!bool {
        const tail = @atomicLoad(u32, c.ring.tail, orders.read);
        if (tail == c.head) return false;
        if (tail -% c.released > c.ring.capacity) return error.CorruptRing;
        if (tail % abi.record_align != 0) return error.CorruptRing;
        // A tail that went backwards would make the difference wrap.
        if (tail -% c.head > c.ring.capacity) return error.CorruptRing;
        c.tail_seen = tail;
        return true;
    }
};
