//! Lets the engine allocate while it starts and not after. Passing requests must not allocate: a
//! request that does is counted, and fails a test.

const std = @import("std");
const Allocator = std.mem.Allocator;
const Alignment = std.mem.Alignment;

/// Wraps an allocator; after `freeze` every allocation or growth fails and is counted.
pub const FrozenAllocator = struct {
    child: Allocator,
    frozen: std.atomic.Value(bool) = .init(false),
    /// Allocations asked for since `freeze`.
    violations: std.atomic.Value(u64) = .init(0),
    /// Bytes held now.
    bytes: std.atomic.Value(u64) = .init(0),

    pub fn allocator(self: *FrozenAllocator) Allocator {
        return .{
            .ptr = self,
            .vtable = &.{ .alloc = alloc, .resize = resize, .remap = remap, .free = free },
        };
    }

    pub fn freeze(self: *FrozenAllocator) void {
        self.frozen.store(true, .release);
    }

    /// Allocation is allowed again: the engine has stopped.
    pub fn thaw(self: *FrozenAllocator) void {
        self.frozen.store(false, .release);
    }

    fn refuse(self: *FrozenAllocator) bool {
        if (!self.frozen.load(.acquire)) return false;
        _ = self.violations.fetchAdd(1, .monotonic);
        return true;
    }

    fn alloc(context: *anyopaque, len: usize, alignment: Alignment, ra: usize) ?[*]u8 {
        const self: *FrozenAllocator = @alignCast(@ptrCast(context));
        if (self.refuse()) return null;
        const ptr = self.child.rawAlloc(len, alignment, ra) orelse return null;
        _ = self.bytes.fetchAdd(len, .monotonic);
        return ptr;
    }

    fn resize(context: *anyopaque, old: []u8, alignment: Alignment, len: usize, ra: usize) bool {
        const self: *FrozenAllocator = @alignCast(@ptrCast(context));
        if (len > old.len and self.refuse()) return false;
        if (!self.child.rawResize(old, alignment, len, ra)) return false;
        self.count(old.len, len);
        return true;
    }

    fn remap(context: *anyopaque, old: []u8, alignment: Alignment, len: usize, ra: usize) ?[*]u8 {
        const self: *FrozenAllocator = @alignCast(@ptrCast(context));
        if (len > old.len and self.refuse()) return null;
        const ptr = self.child.rawRemap(old, alignment, len, ra) orelse return null;
        self.count(old.len, len);
        return ptr;
    }

    fn free(context: *anyopaque, old: []u8, alignment: Alignment, ra: usize) void {
        const self: *FrozenAllocator = @alignCast(@ptrCast(context));
        _ = self.bytes.fetchSub(old.len, .monotonic);
        self.child.rawFree(old, alignment, ra);
    }

    fn count(self: *FrozenAllocator, old: usize, new: usize) void {
        if (new >= old) {
            _ = self.bytes.fetchAdd(new - old, .monotonic);
        } else {
            _ = self.bytes.fetchSub(old - new, .monotonic);
        }
    }
};

test "a frozen allocator refuses to allocate, still frees, and thaws" {
    var frozen: FrozenAllocator = .{ .child = std.testing.allocator };
    const gpa = frozen.allocator();
    const before = try gpa.alloc(u8, 100);
    frozen.freeze();
    try std.testing.expectError(error.OutOfMemory, gpa.alloc(u8, 1));
    try std.testing.expectEqual(@as(u64, 1), frozen.violations.load(.monotonic));
    gpa.free(before);
    try std.testing.expectEqual(@as(u64, 0), frozen.bytes.load(.monotonic));
    frozen.thaw();
    gpa.free(try gpa.alloc(u8, 10));
}
