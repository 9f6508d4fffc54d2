//! Who of a worker's sockets hears what: topics by name, and the sockets that have subscribed to
//! each. A topic is there for as long as it has a subscriber. Memory is fixed: who finds no room is
//! told so.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../../core/limits.zig");
const list = @import("../../core/list.zig");
const memory = @import("../../core/memory.zig");
const slots = @import("../../core/slots.zig");

/// `subscriptionsOf` gives the beginning of an owner's list.
pub fn Topics(
    comptime Owner: type,
    comptime subscriptionsOf: fn (owner: *Owner) *?*anyopaque,
) type {
    return struct {
        const Self = @This();

        pub const Subscription = struct {
            id: slots.Id,
            owner: *Owner,
            topic: *Topic,
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
        /// The next subscriber of a walk that is under way: it moves on when that one goes.
        walk: ?*Subscription = null,

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
            return @alignCast(@ptrCast(subscriptionsOf(owner).*));
        }

        /// `owner` hears of the topic from now on. Once, however often this is called.
        pub fn subscribe(self: *Self, owner: *Owner, name: []const u8) error{NoRoom}!void {
            assert(name.len > 0 and name.len <= limits.websocket_topic_bytes_max);
            var own = firstOf(owner);
            while (own) |it| : (own = it.next) if (it.topic.is(name)) return;
            const id = self.subscriptions.take() orelse return error.NoRoom;
            // There are as many topics as subscriptions.
            const topic = self.find(name) orelse self.make(name);
            const subscription = self.subscriptions.get(id).?;
            subscription.* = .{
                .id = id,
                .owner = owner,
                .topic = topic,
                .next = firstOf(owner),
            };
            topic.subscribers.append(subscription);
            subscriptionsOf(owner).* = subscription;
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
                if (before) |other| other.next = it.next else subscriptionsOf(owner).* = it.next;
                return self.drop(it);
            }
        }

        /// `owner` hears of nothing any more.
        pub fn forget(self: *Self, owner: *Owner) void {
            var own = firstOf(owner);
            subscriptionsOf(owner).* = null;
            while (own) |it| {
                own = it.next;
                self.drop(it);
            }
        }

        fn drop(self: *Self, subscription: *Subscription) void {
            if (self.walk == subscription) self.walk = subscription.among.next;
            const topic = subscription.topic;
            topic.subscribers.remove(subscription);
            self.subscriptions.release(subscription.id);
            if (topic.subscribers.len > 0) return;
            var at = self.bucketOf(topic.name[0..topic.name_len]);
            while (at.* != topic) at = &at.*.?.next;
            at.* = topic.next;
            self.topics.release(topic.id);
        }

        /// Begins a walk over who hears of the topic; `next` goes on with it. Subscribers may go
        /// meanwhile. There is one walk at a time.
        pub fn begin(self: *Self, name: []const u8) void {
            assert(self.walk == null);
            self.walk = if (self.find(name)) |topic| topic.subscribers.first else null;
        }

        pub fn next(self: *Self) ?*Owner {
            const subscription = self.walk orelse return null;
            self.walk = subscription.among.next;
            return subscription.owner;
        }
    };
}

const testing = std.testing;

const Listener = struct {
    subscriptions: ?*anyopaque = null,
    heard: u32 = 0,

    fn subscriptionsOf(self: *Listener) *?*anyopaque {
        return &self.subscriptions;
    }
};
const TestTopics = Topics(Listener, Listener.subscriptionsOf);

fn publish(topics: *TestTopics, name: []const u8) void {
    topics.begin(name);
    while (topics.next()) |listener| listener.heard += 1;
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

test "subscribers that go while all are told are not told, and the others are" {
    var topics = try TestTopics.init(8, 1);
    defer topics.deinit();
    var listeners: [4]Listener = .{Listener{}} ** 4;
    for (&listeners) |*one| try topics.subscribe(one, "news");
    topics.begin("news");
    _ = topics.next().?;
    topics.forget(&listeners[0]); // the one that has been told
    topics.forget(&listeners[1]); // the next
    try testing.expectEqual(&listeners[2], topics.next().?);
    topics.forget(&listeners[3]);
    try testing.expectEqual(null, topics.next());
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
