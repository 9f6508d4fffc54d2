//! Who of a worker's sockets hears what: topics by name, and the sockets that have subscribed to
//! each. A topic is there for as long as it has a subscriber. Memory is fixed: who finds no room is
//! told so.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../../core/limits.zig");
const list = @import("../../core/list.zig");
const memory = @import("../../core/memory.zig");
const shares = @import("../../core/shares.zig");
const slots = @import("../../core/slots.zig");

/// An owner's subscriptions: the first of them, and how many there are.
pub const Own = struct { first: ?*anyopaque = null, count: u32 = 0 };

/// Walks over who hears of a topic, by whose they are: there may be one of each at a time.
pub const Walk = enum { at_once, own_posts, posts };

/// `ownOf` gives what an owner keeps of its subscriptions.
pub fn Topics(
    comptime Owner: type,
    comptime ownOf: fn (owner: *Owner) *Own,
) type {
    return struct {
        const Self = @This();

        pub const Subscription = struct {
            id: slots.Id,
            owner: *Owner,
            topic: *Topic,
            /// How many there were before it. Those of a topic stand in this order.
            number: u64,
            among: list.Link(Subscription) = .{},
            /// The next of the same owner.
            next: ?*Subscription,
        };

        fn amongOf(subscription: *Subscription) *list.Link(Subscription) {
            return &subscription.among;
        }

        const Topic = struct {
            id: slots.Id,
            name_len: u8,
            name: [limits.websocket_topic_bytes_max]u8,
            /// The next in the same bucket.
            next: ?*Topic,
            subscribers: list.List(Subscription, amongOf) = .{},

            fn is(self: *const Topic, name: []const u8) bool {
                return std.mem.eql(u8, self.name[0..self.name_len], name);
            }
        };

        topics: slots.Slots(Topic),
        subscriptions: slots.Slots(Subscription),
        buckets: []align(memory.page_bytes) ?*Topic,
        /// Nobody outside knows it: names may be chosen by clients.
        seed: u64,
        /// Subscriptions that there have been.
        count: u64 = 0,
        walks: std.EnumArray(Walk, Place) = .initFill(.{}),

        /// How far a walk has come.
        const Place = struct {
            /// The next subscriber: it moves on when that one goes.
            next: ?*Subscription = null,
            /// Who has come since it began is not told.
            end: u64 = 0,
        };

        /// For so many subscriptions. Memory is used for those that come to be.
        pub fn init(count: u32, seed: u64) error{OutOfMemory}!Self {
            var topics = try slots.Slots(Topic).init(count);
            errdefer topics.deinit();
            var subscriptions = try slots.Slots(Subscription).init(count);
            errdefer subscriptions.deinit();
            const bucket_count = std.math.ceilPowerOfTwoAssert(u32, @max(count, 1));
            return .{
                .topics = topics,
                .subscriptions = subscriptions,
                .buckets = try memory.reserve(?*Topic, bucket_count),
                .seed = seed,
            };
        }

        pub fn deinit(self: *Self) void {
            assert(self.subscriptions.used == 0 and self.topics.used == 0);
            memory.release(?*Topic, self.buckets);
            self.subscriptions.deinit();
            self.topics.deinit();
            self.* = undefined;
        }

        pub fn reservedBytes(self: *const Self) u64 {
            return self.topics.reservedBytes() + self.subscriptions.reservedBytes() +
                self.buckets.len * @sizeOf(?*Topic);
        }

        fn bucketOf(self: *Self, name: []const u8) *?*Topic {
            const hash = std.hash.Wyhash.hash(self.seed, name);
            return &self.buckets[@intCast(hash & (self.buckets.len - 1))];
        }

        fn find(self: *Self, name: []const u8) ?*Topic {
            var at = self.bucketOf(name).*;
            while (at) |topic| : (at = topic.next) if (topic.is(name)) return topic;
            return null;
        }

        fn firstOf(owner: *Owner) ?*Subscription {
            return @alignCast(@ptrCast(ownOf(owner).first));
        }

        /// Whether `owner` may have another: nobody has most of what there is.
        fn mayTake(self: *const Self, owner: *Owner) bool {
            const has = ownOf(owner).count;
            const left = self.subscriptions.items.len - self.subscriptions.used;
            return has < limits.websocket_socket_subscriptions_max and shares.mayTake(has, left);
        }

        /// How many hear of the topic.
        pub fn subscribersOf(self: *Self, name: []const u8) u32 {
            return if (self.find(name)) |topic| topic.subscribers.len else 0;
        }

        /// `owner` hears of the topic from now on. Once, however often this is called.
        pub fn subscribe(self: *Self, owner: *Owner, name: []const u8) error{NoRoom}!void {
            assert(name.len > 0 and name.len <= limits.websocket_topic_bytes_max);
            var own = firstOf(owner);
            while (own) |it| : (own = it.next) if (it.topic.is(name)) return;
            if (!self.mayTake(owner)) return error.NoRoom;
            const id = self.subscriptions.take() orelse return error.NoRoom;
            // There are as many topics as subscriptions.
            const topic = self.find(name) orelse self.make(name);
            const subscription = self.subscriptions.get(id).?;
            subscription.* = .{
                .id = id,
                .owner = owner,
                .topic = topic,
                .number = self.count,
                .next = firstOf(owner),
            };
            self.count += 1;
            topic.subscribers.append(subscription);
            ownOf(owner).first = subscription;
            ownOf(owner).count += 1;
        }

        fn make(self: *Self, name: []const u8) *Topic {
            const id = self.topics.take().?;
            const topic = self.topics.get(id).?;
            const bucket = self.bucketOf(name);
            topic.* = .{
                .id = id,
                .name_len = @intCast(name.len),
                .name = undefined,
                .next = bucket.*,
            };
            @memcpy(topic.name[0..name.len], name);
            bucket.* = topic;
            return topic;
        }

        /// `owner` hears of the topic no more.
        pub fn unsubscribe(self: *Self, owner: *Owner, name: []const u8) void {
            var before: ?*Subscription = null;
            var own = firstOf(owner);
            while (own) |it| : ({
                before = it;
                own = it.next;
            }) {
                if (!it.topic.is(name)) continue;
                if (before) |other| other.next = it.next else ownOf(owner).first = it.next;
                ownOf(owner).count -= 1;
                return self.drop(it);
            }
        }

        /// `owner` hears of nothing any more.
        pub fn forget(self: *Self, owner: *Owner) void {
            var own = firstOf(owner);
            ownOf(owner).* = .{};
            while (own) |it| {
                own = it.next;
                self.drop(it);
            }
        }

        fn drop(self: *Self, subscription: *Subscription) void {
            for (&self.walks.values) |*place|
                if (place.next == subscription) {
                    place.next = subscription.among.next;
                };
            const topic = subscription.topic;
            topic.subscribers.remove(subscription);
            self.subscriptions.release(subscription.id);
            if (topic.subscribers.len > 0) return;
            var at = self.bucketOf(topic.name[0..topic.name_len]);
            while (at.* != topic) at = &at.*.?.next;
            at.* = topic.next;
            self.topics.release(topic.id);
        }

        /// Begins a walk over who hears of the topic; `next` goes on with it. Subscribers may come
        /// and go meanwhile: those that have come are not told.
        pub fn begin(self: *Self, walk: Walk, name: []const u8) void {
            const place = self.walks.getPtr(walk);
            assert(place.next == null);
            const topic = self.find(name) orelse return;
            place.* = .{ .next = topic.subscribers.first, .end = self.count };
        }

        pub fn next(self: *Self, walk: Walk) ?*Owner {
            const place = self.walks.getPtr(walk);
            const subscription = place.next orelse return null;
            if (subscription.number >= place.end) {
                place.next = null;
                return null;
            }
            place.next = subscription.among.next;
            return subscription.owner;
        }
    };
}

const testing = std.testing;

const Listener = struct {
    own: Own = .{},
    heard: u32 = 0,

    fn ownOf(self: *Listener) *Own {
        return &self.own;
    }
};
const TestTopics = Topics(Listener, Listener.ownOf);

fn publish(topics: *TestTopics, name: []const u8) void {
    topics.begin(.at_once, name);
    while (topics.next(.at_once)) |listener| listener.heard += 1;
}

test "who has subscribed hears, once, until it has had enough" {
    var topics = try TestTopics.init(8, 1);
    defer topics.deinit();
    var ada: Listener = .{};
    var bob: Listener = .{};
    try topics.subscribe(&ada, "news");
    try topics.subscribe(&ada, "news");
    try topics.subscribe(&bob, "news");
    try topics.subscribe(&bob, "weather");
    publish(&topics, "news");
    publish(&topics, "weather");
    publish(&topics, "nothing");
    try testing.expectEqual(1, ada.heard);
    try testing.expectEqual(2, bob.heard);
    topics.unsubscribe(&bob, "news");
    topics.unsubscribe(&bob, "nothing");
    publish(&topics, "news");
    try testing.expectEqual(2, ada.heard);
    try testing.expectEqual(2, bob.heard);
    topics.forget(&ada);
    topics.forget(&bob);
    try testing.expectEqual(0, topics.topics.used);
}

test "who finds no room is told so, and room comes back" {
    var topics = try TestTopics.init(4, 1);
    defer topics.deinit();
    var listeners: [5]Listener = .{Listener{}} ** 5;
    var name: [8]u8 = undefined;
    for (listeners[0..4], 0..) |*one, i|
        try topics.subscribe(one, try std.fmt.bufPrint(&name, "{d}", .{i}));
    try testing.expectError(error.NoRoom, topics.subscribe(&listeners[4], "more"));
    topics.forget(&listeners[1]);
    try topics.subscribe(&listeners[4], "more");
    for (&listeners) |*one| topics.forget(one);
}

test "one has half of what is left at most, and a thousand in any case" {
    var topics = try TestTopics.init(4096, 1);
    defer topics.deinit();
    var greedy: Listener = .{};
    var others: [4]Listener = .{Listener{}} ** 4;
    var name: [8]u8 = undefined;
    for (0..1024) |i| try topics.subscribe(&greedy, try std.fmt.bufPrint(&name, "{d}", .{i}));
    try testing.expectError(error.NoRoom, topics.subscribe(&greedy, "more"));
    try topics.subscribe(&greedy, "0"); // it has that
    topics.unsubscribe(&greedy, "0");
    try topics.subscribe(&greedy, "more");
    var counts: [4]usize = @splat(0);
    for (&others, &counts) |*other, *count| {
        while (true) : (count.* += 1) {
            const topic = try std.fmt.bufPrint(&name, "{d}", .{count.*});
            topics.subscribe(other, topic) catch break;
        }
    }
    try testing.expectEqual(1024, counts[1]);
    try testing.expect(counts[2] > 500 and counts[2] < 520);
    try testing.expect(counts[3] > 200);
    topics.forget(&greedy);
    for (&others) |*one| topics.forget(one);
}

test "who subscribes while others are told is not told, nor is anybody twice" {
    var topics = try TestTopics.init(8, 1);
    defer topics.deinit();
    var listeners: [3]Listener = .{Listener{}} ** 3;
    for (listeners[0..2]) |*one| try topics.subscribe(one, "news");
    topics.begin(.posts, "news");
    try testing.expectEqual(&listeners[0], topics.next(.posts).?);
    topics.unsubscribe(&listeners[0], "news");
    try topics.subscribe(&listeners[0], "news");
    try topics.subscribe(&listeners[2], "news");
    publish(&topics, "news"); // another walk in this one
    for (&listeners) |*one| try testing.expectEqual(1, one.heard);
    try testing.expectEqual(&listeners[1], topics.next(.posts).?);
    try testing.expectEqual(null, topics.next(.posts));
    try testing.expectEqual(3, topics.subscribersOf("news"));
    for (&listeners) |*one| topics.forget(one);
}

test "subscribers that go while all are told are not told, and the others are" {
    var topics = try TestTopics.init(8, 1);
    defer topics.deinit();
    var listeners: [4]Listener = .{Listener{}} ** 4;
    for (&listeners) |*one| try topics.subscribe(one, "news");
    topics.begin(.posts, "news");
    _ = topics.next(.posts).?;
    topics.forget(&listeners[0]); // the one that has been told
    topics.forget(&listeners[1]); // the next
    try testing.expectEqual(&listeners[2], topics.next(.posts).?);
    topics.forget(&listeners[3]);
    try testing.expectEqual(null, topics.next(.posts));
    topics.forget(&listeners[2]);
}

test "subscriptions come and go at random, and every one is heard" {
    var topics = try TestTopics.init(64, 7);
    defer topics.deinit();
    var listeners: [8]Listener = .{Listener{}} ** 8;
    var has: [8][8]bool = @splat(@splat(false));
    var prng = std.Random.DefaultPrng.init(5);
    const random = prng.random();
    for (0..20_000) |_| {
        const who = random.uintLessThan(usize, listeners.len);
        const what = random.uintLessThan(usize, 8);
        const name = "abcdefgh"[what..][0..1];
        if (random.boolean()) {
            try topics.subscribe(&listeners[who], name);
            has[who][what] = true;
        } else {
            topics.unsubscribe(&listeners[who], name);
            has[who][what] = false;
        }
        for (&listeners) |*one| one.heard = 0;
        publish(&topics, name);
        for (&listeners, &has) |*one, of|
            try testing.expectEqual(@intFromBool(of[what]), one.heard);
    }
    for (&listeners) |*one| topics.forget(one);
    try testing.expectEqual(0, topics.topics.used);
}
