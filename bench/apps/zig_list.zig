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

/// Room for the lines of a list.
pub const Lines = [items_max]Item;

/// What is to be sent: the list with its totals, which are computed into `lines`.
pub const Totalled = struct { items: []const Item, count: usize };

pub fn totalled(list: *const List, lines: *Lines) Totalled {
    for (list.items, lines[0..list.items.len]) |*item, *line| {
        line.* = item.*;
        line.total = item.price * item.quantity;
    }
    return .{ .items = lines[0..list.items.len], .count = list.items.len };
}
