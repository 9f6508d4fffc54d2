//! What servers in Zig make of the data set for a request: every item with its total, as JSON.

const std = @import("std");

const Rating = struct { score: u32, count: u32 };

const Item = struct {
    id: u32,
    name: []const u8,
    category: []const u8,
    price: u32,
    quantity: u32,
    active: bool,
    tags: []const []const u8,
    rating: Rating,
    /// Computed for each request; the file has none.
    total: u32 = 0,
};

const items_max = 64;
/// The list has 8 KiB.
pub const bytes_max = 16 * 1024;
const file_bytes_max = 1 << 20;

items: []const Item,

const List = @This();

/// Reads the file that GYRFALCON_BENCH_DATA names. It stays in memory for good.
pub fn load(gpa: std.mem.Allocator) !List {
    const path = std.posix.getenv("GYRFALCON_BENCH_DATA") orelse return error.DataMissing;
    const text = try std.fs.cwd().readFileAlloc(gpa, path, file_bytes_max);
    const items = try std.json.parseFromSliceLeaky([]const Item, gpa, text, .{});
    if (items.len > items_max) return error.TooManyItems;
    return .{ .items = items };
}

/// Writes the list into `out`.
pub fn write(list: *const List, out: *[bytes_max]u8) error{NoSpaceLeft}![]const u8 {
    var lines: [items_max]Item = undefined;
    for (list.items, lines[0..list.items.len]) |*item, *line| {
        line.* = item.*;
        line.total = item.price * item.quantity;
    }
    var stream = std.io.fixedBufferStream(out);
    const value = .{ .items = lines[0..list.items.len], .count = list.items.len };
    try std.json.stringify(value, .{}, stream.writer());
    return stream.getWritten();
}
