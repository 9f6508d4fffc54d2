//! Whose turn it is to send (RFC 9218 §10). Streams that have something to send, and may, wait in
//! lists through themselves. The most urgent go first. Of the same urgency those whose responses
//! are of use in part take turns, the others go one after the other in the order of their numbers,
//! and the two kinds alternate. Nobody starves: now and then a turn is given to what is less
//! urgent.

const std = @import("std");
const assert = std.debug.assert;
const Link = @import("../core/list.zig").Link;
const List = @import("../core/list.zig").List;
const StreamId = @import("frames.zig").StreamId;
const Priority = @import("priority.zig").Priority;

/// So many turns in a row go to the most urgent while others wait; the next goes to those.
pub const turns_in_a_row_max = 15;
const urgencies = std.math.maxInt(u3) + 1;

/// A stream's place among those that wait.
pub fn Place(comptime T: type) type {
    return struct {
        link: Link(T) = .{},
        id: StreamId,
        priority: Priority = .{},
    };
}

/// The order of `T`s, which have their place where `placeOf` says.
pub fn Scheduler(comptime T: type, comptime placeOf: fn (item: *T) *Place(T)) type {
    return struct {
        const Self = @This();
        const Items = List(T, linkOf);

        fn linkOf(item: *T) *Link(T) {
            return &placeOf(item).link;
        }

        const Bucket = struct {
            /// In the order of their numbers.
            whole: Items = .{},
            /// In the order of their turns.
            incremental: Items = .{},
            /// Whose turn it is of the two.
            is_incremental_next: bool = false,

            fn isEmpty(self: *const Bucket) bool {
                return self.whole.len + self.incremental.len == 0;
            }

            fn listOf(self: *Bucket, priority: Priority) *Items {
                return if (priority.incremental) &self.incremental else &self.whole;
            }

            fn first(self: *const Bucket) *T {
                const incremental = self.incremental.first orelse return self.whole.first.?;
                const whole = self.whole.first orelse return incremental;
                return if (self.is_incremental_next) incremental else whole;
            }
        };

        buckets: [urgencies]Bucket = @splat(.{}),
        /// Turns that the most urgent have had while others waited.
        turns_in_a_row: u8 = 0,
        /// Which urgency the last turn of those others went to.
        yielded_to: u3 = urgencies - 1,

        pub fn isEmpty(self: *const Self) bool {
            for (&self.buckets) |*bucket| if (!bucket.isEmpty()) return false;
            return true;
        }

        /// `item`, which does not wait, has something to send.
        pub fn add(self: *Self, item: *T) void {
            const place = placeOf(item);
            const list = self.buckets[place.priority.urgency].listOf(place.priority);
            if (place.priority.incremental) return list.append(item);
            // New streams have higher numbers: their place is found at once.
            var before = list.last;
            while (before) |other| : (before = placeOf(other).link.prev) {
                if (placeOf(other).id < place.id) break;
            }
            list.insertAfter(before, item);
        }

        /// `item` has nothing to send, or may not: it waits no longer, if it did.
        pub fn remove(self: *Self, item: *T) void {
            const place = placeOf(item);
            if (!place.link.is_linked) return;
            self.buckets[place.priority.urgency].listOf(place.priority).remove(item);
        }

        /// The peer wants `item` sent otherwise (PRIORITY_UPDATE).
        pub fn reprioritize(self: *Self, item: *T, priority: Priority) void {
            const place = placeOf(item);
            const is_waiting = place.link.is_linked;
            self.remove(item);
            place.priority = priority;
            if (is_waiting) self.add(item);
        }

        /// Whose turn it is; null: nobody waits. It stays where it is: `remove` it when it has
        /// nothing more. Each call is one turn: what is sent in one is about the same for all.
        pub fn next(self: *Self) ?*T {
            const urgency = self.nextUrgency() orelse return null;
            const bucket = &self.buckets[urgency];
            const item = bucket.first();
            const is_incremental = placeOf(item).priority.incremental;
            bucket.is_incremental_next = !is_incremental;
            if (is_incremental) {
                bucket.incremental.remove(item);
                bucket.incremental.append(item);
            }
            return item;
        }

        fn nextUrgency(self: *Self) ?u3 {
            var waiting: u8 = 0;
            for (&self.buckets, 0..) |*bucket, urgency| {
                waiting |= @as(u8, @intFromBool(!bucket.isEmpty())) << @intCast(urgency);
            }
            if (waiting == 0) return null;
            const most: u3 = @intCast(@ctz(waiting));
            const others = waiting & (waiting - 1);
            if (others == 0) {
                self.turns_in_a_row = 0;
                return most;
            }
            if (self.turns_in_a_row < turns_in_a_row_max) {
                self.turns_in_a_row += 1;
                return most;
            }
            self.turns_in_a_row = 0;
            // The next less urgent one behind the last that had such a turn, round and round.
            const behind = others & ~((@as(u8, 2) << self.yielded_to) -% 1);
            self.yielded_to = @intCast(@ctz(if (behind != 0) behind else others));
            return self.yielded_to;
        }

        /// What always holds.
        pub fn checkInvariants(self: *const Self) void {
            for (&self.buckets, 0..) |*bucket, urgency| {
                var last_id: StreamId = 0;
                var at = bucket.whole.first;
                while (at) |item| : (at = placeOf(item).link.next) {
                    const place = placeOf(item);
                    assert(place.id > last_id and !place.priority.incremental);
                    assert(place.priority.urgency == urgency);
                    last_id = place.id;
                }
                at = bucket.incremental.first;
                while (at) |item| : (at = placeOf(item).link.next) {
                    const place = placeOf(item);
                    assert(place.priority.incremental and place.priority.urgency == urgency);
                }
            }
        }
    };
}

const testing = std.testing;

const Item = struct {
    place: Place(Item),
    turns: u32 = 0,

    fn placeOf(item: *Item) *Place(Item) {
        return &item.place;
    }

    fn init(id: StreamId, urgency: u3, incremental: bool) Item {
        return .{ .place = .{
            .id = id,
            .priority = .{ .urgency = urgency, .incremental = incremental },
        } };
    }
};

const Order = Scheduler(Item, Item.placeOf);

fn expectTurns(order: *Order, ids: []const StreamId) !void {
    for (ids) |id| try testing.expectEqual(id, order.next().?.place.id);
    order.checkInvariants();
}

test "the most urgent goes first, and of the same urgency the first that began, to its end" {
    var items = [_]Item{
        .init(5, 3, false),
        .init(1, 3, false),
        .init(3, 3, false),
        .init(7, 0, false),
    };
    var order: Order = .{};
    for (&items) |*item| order.add(item);
    try expectTurns(&order, &.{ 7, 7, 7 });
    order.remove(&items[3]);
    try expectTurns(&order, &.{ 1, 1, 1 });
    order.remove(&items[1]);
    try expectTurns(&order, &.{3});
    order.add(&items[1]); // it has something to send again
    try expectTurns(&order, &.{ 1, 1 });
    for (&items) |*item| order.remove(item);
    try testing.expect(order.isEmpty() and order.next() == null);
}

test "incremental ones take turns, and alternate with the others of their urgency" {
    var items = [_]Item{
        .init(1, 3, true),
        .init(3, 3, true),
        .init(5, 3, false),
        .init(7, 3, true),
    };
    var order: Order = .{};
    order.add(&items[0]);
    order.add(&items[1]);
    try expectTurns(&order, &.{ 1, 3, 1, 3 });
    order.add(&items[3]);
    try expectTurns(&order, &.{ 1, 3, 7, 1, 3, 7 });
    order.add(&items[2]);
    try expectTurns(&order, &.{ 5, 1, 5, 3, 5, 7, 5 });
}

test "what is less urgent gets a turn now and then, whatever comes before it" {
    var items = [_]Item{
        .init(1, 0, false),
        .init(3, 3, false),
        .init(5, 5, true),
        .init(7, 7, false),
    };
    var order: Order = .{};
    for (&items) |*item| order.add(item);
    const rounds = 30 * (turns_in_a_row_max + 1);
    for (0..rounds) |_| order.next().?.turns += 1;
    try testing.expectEqual(30 * turns_in_a_row_max, items[0].turns);
    for (items[1..]) |item| try testing.expectEqual(10, item.turns);
}

test "another priority moves what waits, and is remembered of what does not" {
    var items = [_]Item{ .init(1, 3, false), .init(3, 3, false) };
    var order: Order = .{};
    for (&items) |*item| order.add(item);
    order.reprioritize(&items[1], .{ .urgency = 1 });
    try expectTurns(&order, &.{ 3, 3 });
    order.remove(&items[1]);
    order.reprioritize(&items[1], .{ .urgency = 5, .incremental = true });
    try expectTurns(&order, &.{1});
    order.add(&items[1]);
    try expectTurns(&order, &.{1});
    order.remove(&items[0]);
    try expectTurns(&order, &.{3});
}

test "of equals each gets as much as the others, and each that waits is served in time" {
    var prng = std.Random.DefaultPrng.init(7);
    const random = prng.random();
    var items: [40]Item = undefined;
    for (&items, 0..) |*item, i| {
        item.* = .init(@intCast(2 * i + 1), random.int(u3), true);
    }
    var order: Order = .{};
    for (&items) |*item| order.add(item);
    for (0..100_000) |_| order.next().?.turns += 1;
    for (&items) |a| for (&items) |b| {
        try testing.expect(a.turns > 0);
        if (a.place.priority.urgency != b.place.priority.urgency) continue;
        try testing.expect(@max(a.turns, b.turns) - @min(a.turns, b.turns) <= 1);
    };
    for (0..20_000) |_| {
        const item = &items[random.uintLessThan(usize, items.len)];
        switch (random.uintLessThan(u8, 3)) {
            0 => order.remove(item),
            1 => if (!item.place.link.is_linked) order.add(item),
            else => order.reprioritize(item, .{
                .urgency = random.int(u3),
                .incremental = random.boolean(),
            }),
        }
        order.checkInvariants();
    }
}
