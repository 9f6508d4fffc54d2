//! Memory for pools. Reserved at start, made resident by the system page by page when first
//! touched: in contrast to `Allocator.alloc`, nothing here writes to what it hands out.

const builtin = @import("builtin");
const std = @import("std");
const system = @import("system.zig");

pub const page_bytes = std.heap.page_size_min;

var reserved_total = std.atomic.Value(u64).init(0);

/// Whether what this thread reserves is to lie in huge pages.
threadlocal var wants_huge = false;

/// Large reservations of this thread's lie in huge pages from here on, where the system has them,
/// or no more. What was said before.
pub fn setThreadHuge(new: bool) bool {
    defer wants_huge = new;
    return wants_huge;
}

/// Why the system gives no huge pages to who asks for them; null: it does, or nobody can tell.
pub fn hugeProblem() ?[]const u8 {
    if (builtin.os.tag != .linux) return "only Linux has them for the asking";
    const bytes = system.huge_page_bytes;
    const memory = (system.mapMemory(bytes) catch return null)[0..bytes];
    defer system.unmapMemory(memory) catch {}; // untouched, it takes no memory
    system.adviseHuge(memory) catch return "the kernel has none (CONFIG_TRANSPARENT_HUGEPAGE)";
    const setting = "/sys/kernel/mm/transparent_hugepage/enabled";
    var buffer: [128]u8 = undefined;
    const text = system.readFile(setting, &buffer) catch return null;
    const is_off = std.mem.indexOf(u8, text, "[never]") != null;
    return if (is_off) setting ++ " says never: madvise would be right" else null;
}

/// `count` values of `T`, zero-filled by the system, page-aligned.
pub fn reserve(comptime T: type, count: usize) error{OutOfMemory}![]align(page_bytes) T {
    const bytes = std.math.mul(usize, @sizeOf(T), @max(count, 1)) catch return error.OutOfMemory;
    const ptr = system.mapMemory(bytes) catch return error.OutOfMemory;
    if (wants_huge) adviseHuge(@ptrCast(ptr[0..bytes]));
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

/// Where the system refuses, the pages stay small: `hugeProblem` says why.
fn adviseHuge(bytes: []align(page_bytes) u8) void {
    if (builtin.os.tag != .linux) return;
    if (bytes.len >= system.huge_page_bytes) system.adviseHuge(bytes) catch {};
}

test "large reservations of a thread that wants it are to lie in huge pages" {
    // qemu says yes to advice, and takes none.
    var value: [8]u8 = undefined;
    const is_emulated = system.variable("GYRFALCON_EMULATED", &value) != null;
    if (is_emulated or hugeProblem() != null) return error.SkipZigTest;
    for ([_]bool{ false, true, true }, [_]usize{ 8 << 20, 8 << 20, 4096 }) |is_huge, bytes| {
        const before = setThreadHuge(is_huge);
        const items = try reserve(u8, bytes);
        defer release(u8, items);
        try std.testing.expectEqual(is_huge, setThreadHuge(before));
        const are_large = bytes >= system.huge_page_bytes;
        try std.testing.expectEqual(is_huge and are_large, try isAdvised(@intFromPtr(items.ptr)));
    }
}

/// Whether the mapping that holds the address has the flag `hg` in /proc/self/smaps.
fn isAdvised(address: usize) !bool {
    const gpa = std.testing.allocator;
    const buffer = try gpa.alloc(u8, 4 << 20);
    defer gpa.free(buffer);
    var lines = std.mem.tokenizeScalar(u8, try system.readFile("/proc/self/smaps", buffer), '\n');
    var is_it = false;
    while (lines.next()) |line| {
        const end = std.mem.indexOfScalar(u8, line, ' ') orelse line.len;
        if (std.mem.indexOfScalar(u8, line[0..end], '-')) |dash| {
            const from = std.fmt.parseInt(usize, line[0..dash], 16) catch continue;
            const to = try std.fmt.parseInt(usize, line[dash + 1 .. end], 16);
            is_it = from <= address and address < to;
        } else if (is_it and std.mem.startsWith(u8, line, "VmFlags:")) {
            return std.mem.indexOf(u8, line, " hg") != null;
        }
    }
    return error.TestUnexpectedResult;
}

test "reserved memory is zero and is counted until released" {
    const before = reservedBytes();
    const items = try reserve(u32, 5000);
    try std.testing.expectEqual(before + 20_000, reservedBytes());
    for (items) |item| try std.testing.expectEqual(@as(u32, 0), item);
    release(u32, items);
    try std.testing.expectEqual(before, reservedBytes());
}
