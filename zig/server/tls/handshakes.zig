//! The handshakes of a worker that are under way. There may be so many of them at a time, and no
//! more; the one that has taken longest ends for the next. A client that means it is through in two
//! round trips, so that it takes a flood of that many in so short a time to keep one out.

const std = @import("std");
const assert = std.debug.assert;
const list = @import("../../core/list.zig");

/// `H` has a `link` and ends by `evict`.
pub fn Handshakes(comptime H: type) type {
    return struct {
        const Self = @This();
        const Queue = list.List(H, linkOf);

        pub const Link = list.Link(H);

        /// In the order in which they have begun.
        queue: Queue = .{},
        /// Those that ended for others: their connections are to be closed.
        evicted: Queue = .{},
        most: u32,

        fn linkOf(item: *H) *list.Link(H) {
            return &item.link;
        }

        pub fn begin(self: *Self, item: *H) void {
            assert(self.most > 0);
            if (self.queue.len >= self.most) {
                const oldest = self.queue.pop().?;
                oldest.evict();
                self.evicted.append(oldest);
            }
            self.queue.append(item);
        }

        /// It is over, or its connection is. `was_evicted`: by `begin`.
        pub fn end(self: *Self, item: *H, was_evicted: bool) void {
            if (was_evicted) self.evicted.drop(item) else self.queue.drop(item);
        }

        pub fn takeEvicted(self: *Self) ?*H {
            return self.evicted.pop();
        }
    };
}

const Item = struct {
    link: list.Link(Item) = .{},
    is_evicted: bool = false,

    fn evict(self: *Item) void {
        self.is_evicted = true;
    }
};

test "the oldest ends for the next" {
    var items: [4]Item = @splat(.{});
    var handshakes: Handshakes(Item) = .{ .most = 2 };
    handshakes.begin(&items[0]);
    handshakes.begin(&items[1]);
    try std.testing.expectEqual(null, handshakes.takeEvicted());
    handshakes.end(&items[0], false);
    handshakes.begin(&items[2]);
    try std.testing.expectEqual(null, handshakes.takeEvicted());
    handshakes.begin(&items[3]);
    try std.testing.expect(items[1].is_evicted);
    try std.testing.expectEqual(&items[1], handshakes.takeEvicted().?);
    handshakes.begin(&items[0]);
    try std.testing.expect(items[2].is_evicted);
    handshakes.end(&items[2], true);
    try std.testing.expectEqual(null, handshakes.takeEvicted());
}
