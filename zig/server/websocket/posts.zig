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
const Head = struct { id: Id, word: Word, topic_len: u8, len: u32 };

const head_bytes = std.mem.alignForward(usize, @sizeOf(Head), alignment);

pub const Posts = struct {
    mutex: std.Thread.Mutex = .{},
    /// Both buffers.
    bytes: []align(memory.page_bytes) u8,
    /// The one that is being filled.
    filling: u1 = 0,
    /// How much of it is in use. Written under the lock; the worker looks without.
    len: std.atomic.Value(usize) = .init(0),

    /// Room for `capacity` bytes with what stands before each. Memory is used for what comes to be.
    pub fn init(capacity: u32) error{OutOfMemory}!Posts {
        comptime assert(@alignOf(Head) <= alignment);
        const half = std.mem.alignForward(usize, capacity, alignment);
        return .{ .bytes = try memory.reserve(u8, 2 * half) };
    }

    pub fn deinit(self: *Posts) void {
        memory.release(u8, self.bytes);
        self.* = undefined;
    }

    fn buffer(self: *Posts, which: u1) []align(alignment) u8 {
        const half = self.bytes.len / 2;
        return @alignCast(self.bytes[which * half ..][0..half]);
    }

    /// Nothing waits for the worker.
    pub fn isEmpty(self: *const Posts) bool {
        return self.len.load(orders.look) == 0;
    }

    /// Any thread: false when there is no room. Whoever adds something wakes the worker then.
    pub fn add(self: *Posts, id: Id, word: Word, topic: []const u8, bytes: []const u8) bool {
        self.mutex.lock();
        defer self.mutex.unlock();
        const len = self.len.raw;
        const room = self.buffer(self.filling)[len..];
        const fixed_bytes = head_bytes + topic.len;
        if (room.len < fixed_bytes or bytes.len > room.len - fixed_bytes) return false;
        const head: *Head = @alignCast(@ptrCast(room.ptr));
        head.* = .{
            .id = id,
            .word = word,
            .topic_len = @intCast(topic.len),
            .len = @intCast(bytes.len),
        };
        @memcpy(room[head_bytes..][0..topic.len], topic);
        @memcpy(room[fixed_bytes..][0..bytes.len], bytes);
        const end = std.mem.alignForward(usize, len + fixed_bytes + bytes.len, alignment);
        self.len.store(end, orders.publish);
        return true;
    }

    /// The worker: takes what there is. It stays where it is until the next `take`.
    pub fn take(self: *Posts) Iterator {
        if (self.isEmpty()) return .{ .rest = &.{} };
        self.mutex.lock();
        defer self.mutex.unlock();
        const taken = self.buffer(self.filling)[0..self.len.raw];
        self.filling ^= 1;
        self.len.store(0, orders.publish);
        return .{ .rest = @alignCast(taken) };
    }

    pub const Post = struct { id: Id, word: Word, topic: []const u8, bytes: []const u8 };

    /// Walks what was taken, in the order in which it was added.
    pub const Iterator = struct {
        rest: []align(alignment) const u8,

        pub fn next(self: *Iterator) ?Post {
            if (self.rest.len == 0) return null;
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

test "posts come out as they went in, in their order, and there may be more while they are read" {
    var posts = try Posts.init(1024);
    defer posts.deinit();
    const id: Id = .{ .slot = 3, .generation = 5 };
    try testing.expect(posts.isEmpty());
    try testing.expect(posts.add(id, .{ .message = .text }, "", "one"));
    try testing.expect(posts.add(.none, .{ .publish = .text }, "news", "two"));
    var first = posts.take();
    try testing.expect(posts.isEmpty());
    try testing.expect(posts.add(id, .ping, "", "three"));
    const one = first.next().?;
    try testing.expectEqual(id, one.id);
    try testing.expectEqual(Word{ .message = .text }, one.word);
    try testing.expectEqualStrings("one", one.bytes);
    const two = first.next().?;
    try testing.expectEqual(Word{ .publish = .text }, two.word);
    try testing.expectEqualStrings("news", two.topic);
    try testing.expectEqualStrings("two", two.bytes);
    try testing.expectEqual(null, first.next());
    var second = posts.take();
    try testing.expectEqualStrings("three", second.next().?.bytes);
    try testing.expectEqual(null, second.next());
    try testing.expectEqual(null, @constCast(&posts.take()).next());
}

test "what finds no room is refused, and what is there stays whole" {
    var posts = try Posts.init(256);
    defer posts.deinit();
    var count: u8 = 0;
    while (posts.add(.none, .ping, "", &.{ count, count, count })) count += 1;
    try testing.expect(count > 2);
    try testing.expect(!posts.add(.none, .{ .message = .binary }, "", &([_]u8{0} ** 256)));
    var taken = posts.take();
    for (0..count) |i| {
        const byte: u8 = @intCast(i);
        try testing.expectEqualSlices(u8, &.{ byte, byte, byte }, taken.next().?.bytes);
    }
    try testing.expectEqual(null, taken.next());
    try testing.expect(posts.add(.none, .ping, "", ""));
}

test "threads that post at once lose nothing, and each keeps its order" {
    const rounds = 2_000;
    const Poster = struct {
        fn run(posts: *Posts, thread: u32) void {
            var number: u32 = 0;
            while (number < rounds) {
                const id: Id = .{ .slot = thread, .generation = 1 };
                if (posts.add(id, .ping, "", std.mem.asBytes(&number))) {
                    number += 1;
                } else std.Thread.yield() catch {};
            }
        }
    };
    var posts = try Posts.init(4096);
    defer posts.deinit();
    var threads: [3]std.Thread = undefined;
    for (&threads, 0..) |*thread, i|
        thread.* = try std.Thread.spawn(.{}, Poster.run, .{ &posts, @as(u32, @intCast(i)) });
    var seen = [_]u32{0} ** threads.len;
    while (seen[0] + seen[1] + seen[2] < threads.len * rounds) {
        var taken = posts.take();
        while (taken.next()) |post| {
            const number = std.mem.bytesToValue(u32, post.bytes[0..4]);
            try testing.expectEqual(seen[post.id.slot], number);
            seen[post.id.slot] += 1;
        }
    }
    for (threads) |thread| thread.join();
}
