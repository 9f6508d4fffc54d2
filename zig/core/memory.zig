//! Memory for pools. Reserved at start, made resident by the system page by page when first
//! touched: in contrast to `Allocator.alloc`, nothing here writes to what it hands out.

const std = @import("std");
const system = @import("system.zig");

pub const page_bytes = std.heap.page_size_min;

var reserved_total = std.atomic.Value(u64).init(0);

/// `count` values of `T`, zero-filled by the system, page-aligned.
pub fn reserve(comptime T: type, count: usize) error{OutOfMemory}![]align(page_bytes) T {
    const bytes = std.math.mul(usize, @sizeOf(T), @max(count, 1)) catch return error.OutOfMemory;
    const ptr = system.mapMemory(bytes) catch return error.OutOfMemory;
    _ = reserved_total.fetchAdd(bytes, .monotonic);
    const typed: [*]align(page_bytes) T = @alignCast(@ptrCast(ptr));
    return typed[0..count];
}

/// Gives back what `reserve` returned.
pub fn release(comptime T: type, items: []align(page_bytes) T) void {
    const bytes = @sizeOf(T) * @max(items.len, 1);
    const raw: [*]align(page_bytes) u8 = @ptrCast(items.ptr);
    // A process at its limit of mappings may not split one: the addresses stay reserved then, and
    // are counted on.
    system.unmapMemory(raw[0..bytes]) catch return;
    _ = reserved_total.fetchSub(bytes, .monotonic);
}

/// Bytes reserved by this process and not released:
/// what "pools" means in the line printed at start.
pub fn reservedBytes() u64 {
    return reserved_total.load(.monotonic);
}

test "reserved memory is zero and is counted until released" {
    const before = reservedBytes();
    const items = try reserve(u32, 5000);
    try std.testing.expectEqual(before + 20_000, reservedBytes());
    for (items) |item| try std.testing.expectEqual(@as(u32, 0), item);
    release(u32, items);
    try std.testing.expectEqual(before, reservedBytes());
}
