//! Whose turn it is to send (RFC 9218 §10). Streams that have something to send, and may, wait in
//! lists through themselves. The most urgent go first. Of the same urgency those whose responses
//! are of use in part take turns, the others go one after the other in the order of their numbers,
//! and the two kinds alternate. Nobody starves: now and then a turn is given to what is less
//! urgent.

const std = @import("std");
const assert = std.debug.assert;
const Link = @import("../core/list.zig").Link;
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

/// The order of `T`s, which have their place where `placeOf` says. Of an idle connection it takes
/// no more than its ends.
pub fn Scheduler(comptime T: type, comptime placeOf: fn (item: *T) *Place(T)) type {
    return struct {
        const Self = @This();

        /// Of each urgency the last of those that are sent whole, in the order of their numbers;
        /// behind it comes the first.
        whole: [urgencies]?*T = @splat(null),
        /// Of each urgency the last of those of use in part, in the order of their turns; behind it
        /// comes the first.
        incremental: [urgencies]?*T = @splat(null),
        /// A bit for each urgency: somebody waits.
        waiting: u8 = 0,
        /// Of each urgency, whose turn it is of the two kinds.
        incremental_next: u8 = 0,
        /// Turns that the most urgent have had while others waited.
        turns_in_a_row: u8 = 0,
        /// Which urgency the last turn of those others went to.
        yielded_to: u3 = urgencies - 1,

        pub fn isEmpty(self: *const Self) bool {
            return self.waiting == 0;
        }

        fn linkOf(item: *T) *Link(T) {
            return &placeOf(item).link;
        }

        fn bit(urgency: u3) u8 {
            return @as(u8, 1) << urgency;
        }

        fn endOf(self: *Self, priority: Priority) *?*T {
            const ends = if (priority.incremental) &self.incremental else &self.whole;
            return &ends[priority.urgency];
        }

        /// `item`, which does not wait, has something to send.
        pub fn add(self: *Self, item: *T) void {
            const place = placeOf(item);
            assert(!place.link.is_linked);
            self.waiting |= bit(place.priority.urgency);
            const end = self.endOf(place.priority);
            const last = end.* orelse {
                place.link = .{ .prev = item, .next = item, .is_linked = true };
                end.* = item;
                return;
            };
            if (place.priority.incremental or placeOf(last).id < place.id) {
                insertBehind(last, item);
                end.* = item;
                return;
            }
            // New streams have higher numbers: such a one comes seldom.
            var before = linkOf(last).prev.?;
            while (before != last and placeOf(before).id > place.id) before = linkOf(before).prev.?;
            insertBehind(before, item);
        }

        fn insertBehind(before: *T, item: *T) void {
            const after = linkOf(before).next.?;
            linkOf(item).* = .{ .prev = before, .next = after, .is_linked = true };
            linkOf(before).next = item;
            linkOf(after).prev = item;
        }

        /// `item` has nothing to send, or may not: it waits no longer, if it did.
        pub fn remove(self: *Self, item: *T) void {
            const place = placeOf(item);
            if (!place.link.is_linked) return;
            const urgency = place.priority.urgency;
            const end = self.endOf(place.priority);
            const before = place.link.prev.?;
            const after = place.link.next.?;
            if (before == item) {
                end.* = null;
                const is_bucket_empty = self.whole[urgency] == null and
                    self.incremental[urgency] == null;
                if (is_bucket_empty) self.waiting &= ~bit(urgency);
            } else {
                linkOf(before).next = after;
                linkOf(after).prev = before;
                if (end.* == item) end.* = before;
            }
            place.link = .{};
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
            const item = self.firstOf(urgency);
            if (placeOf(item).priority.incremental) {
                self.incremental[urgency] = item; // behind the last: the round goes on
                self.incremental_next &= ~bit(urgency);
            } else self.incremental_next |= bit(urgency);
            return item;
        }

        fn firstOf(self: *const Self, urgency: u3) *T {
            const last_incremental = self.incremental[urgency] orelse
                return linkOf(self.whole[urgency].?).next.?;
            const is_whole_next = self.incremental_next & bit(urgency) == 0;
            if (self.whole[urgency]) |last| if (is_whole_next) return linkOf(last).next.?;
            return linkOf(last_incremental).next.?;
        }

        fn nextUrgency(self: *Self) ?u3 {
            if (self.waiting == 0) return null;
            const most: u3 = @intCast(@ctz(self.waiting));
            const others = self.waiting & (self.waiting - 1);
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
            for (0..urgencies) |index| {
                const urgency: u3 = @intCast(index);
                const has_some = self.whole[urgency] != null or self.incremental[urgency] != null;
                assert(has_some == (self.waiting & bit(urgency) != 0));
                checkRing(self.whole[urgency], .{ .urgency = urgency });
                checkRing(self.incremental[urgency], .{ .urgency = urgency, .incremental = true });
            }
        }

        fn checkRing(end: ?*T, priority: Priority) void {
            const last = end orelse return;
            var last_id: StreamId = 0;
            var at = linkOf(last).next.?;
            while (true) : (at = linkOf(at).next.?) {
                const place = placeOf(at);
                assert(place.link.is_linked and linkOf(place.link.next.?).prev == at);
                assert(place.priority.urgency == priority.urgency);
                assert(place.priority.incremental == priority.incremental);
                assert(priority.incremental or place.id > last_id);
                last_id = place.id;
                if (at == last) return;
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
