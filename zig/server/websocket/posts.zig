//! What other threads say to the sockets of one worker, on its way there: two buffers of a fixed
//! size, one of which is filled by all while the worker reads the other.

const std = @import("std");
const assert = std.debug.assert;
const Id = @import("../../core/slots.zig").Id;
const memory = @import("../../core/memory.zig");
const orders = @import("../../core/orders.zig").wake;
const Word = @import("socket.zig").Word;

const alignment = 8;

/// Stands before the bytes.
const Head = struct {
    id: Id,
    word: Word,
    topic_len: u8,
    /// All of it is there.
    is_written: std.atomic.Value(bool),
    len: u32,
};

const head_bytes = std.mem.alignForward(usize, @sizeOf(Head), alignment);

pub const Post = struct {
    id: Id,
    word: Word,
    topic: []const u8,
    bytes: []const u8,
};

pub const Posts = struct {
    mutex: std.Thread.Mutex = .{},
    /// Both buffers.
    bytes: []align(memory.page_bytes) u8,
    /// What messages leave of a buffer for words that end something.
    kept: u32,
    /// The one that is being filled.
    filling: u1 = 0,
    /// How much of it is in use. Written under the lock; the worker looks without.
    len: std.atomic.Value(usize) = .init(0),

    /// Room for `capacity` bytes with what stands before each, of which `kept` are not for
    /// messages. Memory is used for what comes to be.
    pub fn init(capacity: u32, kept: u32) error{OutOfMemory}!Posts {
        comptime assert(@alignOf(Head) <= alignment);
        const half = std.mem.alignForward(usize, capacity, alignment);
        return .{ .bytes = try memory.reserve(u8, 2 * half), .kept = kept };
    }

    pub fn deinit(self: *Posts) void {
        memory.release(u8, self.bytes);
        self.* = undefined;
    }

    fn buffer(self: *Posts, which: u1) []align(alignment) u8 {
        const half = self.bytes.len / 2;
        return @alignCast(self.bytes[which * half ..][0..half]);
    }

    /// There is nothing to take.
    pub fn isEmpty(self: *const Posts) bool {
        return self.len.load(orders.look) == 0;
    }

    /// Any thread: false when there is no room. Whoever adds something wakes the worker then.
    pub fn add(self: *Posts, post: *const Post) bool {
        const head = self.placeFor(post) orelse return false;
        // Outside the lock: a copy holds up neither the worker nor others.
        const out = @as([*]u8, @ptrCast(head)) + head_bytes;
        @memcpy(out[0..post.topic.len], post.topic);
        @memcpy(out[post.topic.len..][0..post.bytes.len], post.bytes);
        head.is_written.store(true, orders.publish);
        return true;
    }

    fn placeFor(self: *Posts, post: *const Post) ?*Head {
        self.mutex.lock();
        defer self.mutex.unlock();
        const len = self.len.raw;
        const room = self.buffer(self.filling)[len..];
        const bytes = head_bytes + post.topic.len + post.bytes.len;
        const wanted = std.mem.alignForward(usize, bytes, alignment);
        if (wanted > self.shareOf(post.word, room.len)) return null;
        const head: *Head = @alignCast(@ptrCast(room.ptr));
        head.* = .{
            .id = post.id,
            .word = post.word,
            .topic_len = @intCast(post.topic.len),
            .is_written = .init(false),
            .len = @intCast(post.bytes.len),
        };
        self.len.store(len + wanted, orders.publish);
        return head;
    }

    /// How much of what is left one post may take. Whoever sends much leaves others half, and room
    /// for what ends it.
    fn shareOf(self: *const Posts, word: Word, left: usize) usize {
        return switch (word) {
            .close, .terminate, .unsubscribe => left,
            .message, .publish, .ping, .pong, .subscribe => (left -| self.kept) / 2,
        };
    }

    /// The worker, when it has dealt with what it took before: takes what there is. That stays
    /// where it is until the next `take`.
    pub fn take(self: *Posts) Iterator {
        if (self.isEmpty()) return .{};
        self.mutex.lock();
        defer self.mutex.unlock();
        const taken = self.buffer(self.filling)[0..self.len.raw];
        self.filling ^= 1;
        self.len.store(0, orders.publish);
        return .{ .rest = @alignCast(taken) };
    }

    /// Walks what was taken, in the order in which it was added.
    pub const Iterator = struct {
        rest: []align(alignment) const u8 = &.{},

        /// All has been walked.
        pub fn isEmpty(self: *const Iterator) bool {
            return self.rest.len == 0;
        }

        /// Whether there is a next, which has been written by now.
        pub fn hasNext(self: *const Iterator) bool {
            if (self.rest.len == 0) return false;
            const head: *const Head = @ptrCast(self.rest.ptr);
            return head.is_written.load(orders.look);
        }

        /// Null at the end, and while somebody is still writing the next: he wakes the worker when
        /// that is there.
        pub fn next(self: *Iterator) ?Post {
            if (!self.hasNext()) return null;
            const head: *const Head = @ptrCast(self.rest.ptr);
            const post: Post = .{
                .id = head.id,
                .word = head.word,
                .topic = self.rest[head_bytes..][0..head.topic_len],
                .bytes = self.rest[head_bytes + head.topic_len ..][0..head.len],
            };
            const used = head_bytes + head.topic_len + head.len;
            const end = std.mem.alignForward(usize, used, alignment);
            self.rest = @alignCast(self.rest[end..]);
            return post;
        }
    };
};

const testing = std.testing;

fn addTo(posts: *Posts, id: Id, word: Word, topic: []const u8, bytes: []const u8) bool {
    return posts.add(&.{ .id = id, .word = word, .topic = topic, .bytes = bytes });
}

test "posts come out as they went in, in their order, and there may be more while they are read" {
    var posts = try Posts.init(1024, 0);
    defer posts.deinit();
    const id: Id = .{ .slot = 3, .generation = 5 };
    try testing.expect(posts.isEmpty());
    try testing.expect(addTo(&posts, id, .{ .message = .{ .kind = .text } }, "", "one"));
    try testing.expect(addTo(&posts, .none, .{ .publish = .{ .kind = .text } }, "news", "two"));
    var first = posts.take();
    try testing.expect(posts.isEmpty());
    try testing.expect(addTo(&posts, id, .ping, "", "three"));
    const one = first.next().?;
    try testing.expectEqual(id, one.id);
    try testing.expectEqual(Word{ .message = .{ .kind = .text } }, one.word);
    try testing.expectEqualStrings("one", one.bytes);
    const two = first.next().?;
    try testing.expectEqual(Word{ .publish = .{ .kind = .text } }, two.word);
    try testing.expectEqualStrings("news", two.topic);
    try testing.expectEqualStrings("two", two.bytes);
    try testing.expectEqual(null, first.next());
    var second = posts.take();
    try testing.expectEqualStrings("three", second.next().?.bytes);
    try testing.expectEqual(null, second.next());
    try testing.expectEqual(null, @constCast(&posts.take()).next());
}

test "what finds no room is refused, and what is there stays whole" {
    var posts = try Posts.init(256, 0);
    defer posts.deinit();
    var count: u8 = 0;
    while (addTo(&posts, .none, .ping, "", &.{ count, count, count })) count += 1;
    try testing.expect(count > 2);
    const whole: Word = .{ .message = .{ .kind = .binary } };
    try testing.expect(!addTo(&posts, .none, whole, "", &([_]u8{0} ** 256)));
    var taken = posts.take();
    for (0..count) |i| {
        const byte: u8 = @intCast(i);
        try testing.expectEqualSlices(u8, &.{ byte, byte, byte }, taken.next().?.bytes);
    }
    try testing.expectEqual(null, taken.next());
    try testing.expect(addTo(&posts, .none, .ping, "", ""));
}

test "threads that post at once lose nothing, and each keeps its order" {
    const rounds = 2_000;
    const Poster = struct {
        fn run(posts: *Posts, thread: u32) void {
            var number: u32 = 0;
            while (number < rounds) {
                const id: Id = .{ .slot = thread, .generation = 1 };
                if (addTo(posts, id, .ping, "", std.mem.asBytes(&number))) {
                    number += 1;
                } else std.Thread.yield() catch {};
            }
        }
    };
    var posts = try Posts.init(4096, 0);
    defer posts.deinit();
    var threads: [3]std.Thread = undefined;
    for (&threads, 0..) |*thread, i|
        thread.* = try std.Thread.spawn(.{}, Poster.run, .{ &posts, @as(u32, @intCast(i)) });
    var seen = [_]u32{0} ** threads.len;
    while (seen[0] + seen[1] + seen[2] < threads.len * rounds) {
        var taken = posts.take();
        while (!taken.isEmpty()) {
            const one = taken.next() orelse continue; // it is being written
            const number = std.mem.bytesToValue(u32, one.bytes[0..4]);
            try testing.expectEqual(seen[one.id.slot], number);
            seen[one.id.slot] += 1;
        }
    }
    for (threads) |thread| thread.join();
}

test "messages leave room for words that end something, and each half of what is left" {
    var posts = try Posts.init(4096, 1024);
    defer posts.deinit();
    const part = [_]u8{0} ** 1024;
    try testing.expect(!addTo(&posts, .none, .{ .message = .{ .kind = .text } }, "", &(part ** 2)));
    try testing.expect(addTo(&posts, .none, .{ .message = .{ .kind = .text } }, "", &part));
    try testing.expect(!addTo(&posts, .none, .{ .publish = .{ .kind = .text } }, "news", &part));
    while (addTo(&posts, .none, .{ .message = .{ .kind = .text } }, "", "small")) {}
    try testing.expect(!addTo(&posts, .none, .subscribe, "news", ""));
    try testing.expect(addTo(&posts, .none, .unsubscribe, "news", ""));
    try testing.expect(addTo(&posts, .none, .{ .close = 1000 }, "", "enough"));
    var count: usize = 0;
    while (addTo(&posts, .none, .terminate, "", "")) count += 1;
    try testing.expect(count > 30);
}

test "a post that is not written yet is waited for, and nothing overtakes it" {
    var posts = try Posts.init(1024, 0);
    defer posts.deinit();
    const slow: Post = .{ .id = .none, .word = .ping, .topic = "", .bytes = "" };
    const head = posts.placeFor(&slow).?;
    try testing.expect(addTo(&posts, .none, .terminate, "", ""));
    var taken = posts.take();
    try testing.expectEqual(null, taken.next());
    try testing.expect(!taken.isEmpty());
    head.is_written.store(true, orders.publish);
    try testing.expectEqual(Word.ping, taken.next().?.word);
    try testing.expectEqual(Word.terminate, taken.next().?.word);
    try testing.expect(taken.isEmpty());
}
