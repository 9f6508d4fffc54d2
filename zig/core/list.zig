//! A doubly linked list through its items: no memory of its own, every operation in constant time.

const std = @import("std");
const assert = std.debug.assert;

/// The place of a `T` in one list.
pub fn Link(comptime T: type) type {
    return struct {
        prev: ?*T = null,
        next: ?*T = null,
        is_linked: bool = false,
    };
}

/// A list of `T`, by the link of an item that `linkOf` gives. An item is in one list by it at most.
pub fn List(comptime T: type, comptime linkOf: fn (item: *T) *Link(T)) type {
    return struct {
        const Self = @This();

        first: ?*T = null,
        last: ?*T = null,
        len: u32 = 0,

        /// Puts `item`, which is in no list, at the end.
        pub fn append(self: *Self, item: *T) void {
            const link = linkOf(item);
            assert(!link.is_linked);
            link.* = .{ .prev = self.last, .is_linked = true };
            if (self.last) |last| linkOf(last).next = item else self.first = item;
            self.last = item;
            self.len += 1;
        }

        /// Puts `item`, which is in no list, behind `before`, which is in this one; null: at the
        /// front.
        pub fn insertAfter(self: *Self, before: ?*T, item: *T) void {
            if (before == self.last) return self.append(item);
            const link = linkOf(item);
            assert(!link.is_linked);
            const after = if (before) |other| linkOf(other).next.? else self.first.?;
            link.* = .{ .prev = before, .next = after, .is_linked = true };
            linkOf(after).prev = item;
            if (before) |other| linkOf(other).next = item else self.first = item;
            self.len += 1;
        }

        /// Takes `item`, which is in this list, out of it.
        pub fn remove(self: *Self, item: *T) void {
            const link = linkOf(item);
            assert(link.is_linked and self.len > 0);
            if (link.prev) |prev| linkOf(prev).next = link.next else self.first = link.next;
            if (link.next) |next| linkOf(next).prev = link.prev else self.last = link.prev;
            link.* = .{};
            self.len -= 1;
        }

        /// The same, where it may be in no list.
        pub fn drop(self: *Self, item: *T) void {
            if (linkOf(item).is_linked) self.remove(item);
        }

        /// Takes the first item out.
        pub fn pop(self: *Self) ?*T {
            const item = self.first orelse return null;
            self.remove(item);
            return item;
        }
    };
}

const testing = std.testing;

const Item = struct {
    value: u8,
    link: Link(Item) = .{},

    fn linkOf(item: *Item) *Link(Item) {
        return &item.link;
    }
};

fn expectOrder(list: *const List(Item, Item.linkOf), want: []const u8) !void {
    var at = list.first;
    var before: ?*Item = null;
    for (want) |value| {
        const item = at orelse return error.TooShort;
        try testing.expectEqual(value, item.value);
        try testing.expectEqual(before, item.link.prev);
        before = item;
        at = item.link.next;
    }
    try testing.expectEqual(null, at);
    try testing.expectEqual(before, list.last);
    try testing.expectEqual(want.len, list.len);
}

test "items leave from the front, the middle and the end, and may come back" {
    var items: [4]Item = undefined;
    var list: List(Item, Item.linkOf) = .{};
    for (&items, 0..) |*item, i| {
        item.* = .{ .value = @intCast(i) };
        list.append(item);
    }
    try expectOrder(&list, &.{ 0, 1, 2, 3 });
    list.remove(&items[1]);
    try expectOrder(&list, &.{ 0, 2, 3 });
    list.drop(&items[1]); // is in no list: nothing happens
    list.append(&items[1]);
    list.remove(&items[0]);
    try expectOrder(&list, &.{ 2, 3, 1 });
    list.remove(&items[1]);
    try testing.expectEqual(&items[2], list.pop().?);
    try testing.expectEqual(&items[3], list.pop().?);
    try testing.expectEqual(null, list.pop());
    try expectOrder(&list, &.{});
}

test "items are put between others, in front of them and behind them" {
    var items: [4]Item = undefined;
    var list: List(Item, Item.linkOf) = .{};
    for (&items, 0..) |*item, i| item.* = .{ .value = @intCast(i) };
    list.insertAfter(null, &items[1]);
    try expectOrder(&list, &.{1});
    list.insertAfter(null, &items[0]);
    list.insertAfter(&items[1], &items[3]);
    list.insertAfter(&items[1], &items[2]);
    try expectOrder(&list, &.{ 0, 1, 2, 3 });
}
