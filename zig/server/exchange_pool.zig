//! The exchanges of a worker. There is one for each connection, always; what a connection has under
//! way beyond its first comes from a spare part. So a client that pipelines cannot take the
//! exchange of another; and of the spare ones no connection has so many that those who come later
//! find none.

const std = @import("std");
const assert = std.debug.assert;
const shares = @import("../core/shares.zig");
const slots = @import("../core/slots.zig");

pub fn ExchangePool(comptime Exchange: type) type {
    return struct {
        const Self = @This();

        slots: slots.Slots(Exchange),
        /// Exchanges beyond the first of each connection that can be in use at a time.
        spare: u32,
        /// Connections that have at least one.
        served: u32 = 0,

        /// For `connections` connections at most.
        pub fn init(connections: u32, spare: u32) error{OutOfMemory}!Self {
            return .{ .slots = try .init(connections + spare), .spare = spare };
        }

        pub fn deinit(self: *Self) void {
            self.slots.deinit();
            self.* = undefined;
        }

        pub fn reservedBytes(self: *const Self) u64 {
            return self.slots.reservedBytes();
        }

        pub fn get(self: *Self, id: slots.Id) ?*Exchange {
            return self.slots.get(id);
        }

        pub fn used(self: *const Self) u32 {
            return self.slots.used;
        }

        /// Whether a connection with `depth` exchanges can have another: where it has many, as long
        /// as no fewer are left for the others.
        pub fn hasRoom(self: *const Self, depth: u16) bool {
            if (depth == 0) return true;
            return shares.mayTake(depth, self.spare - (self.slots.used - self.served));
        }

        /// An exchange, undefined, for a connection that has `depth` of them; null when there is no
        /// room, which the first of a connection never meets.
        pub fn take(self: *Self, depth: u16) ?slots.Id {
            if (!self.hasRoom(depth)) return null;
            if (depth == 0) self.served += 1;
            const id = self.slots.take().?; // one for each connection, and the spare ones
            assert(self.slots.used - self.served <= self.spare);
            return id;
        }

        /// Asserts that the shares are kept.
        pub fn check(self: *const Self) void {
            assert(self.served <= self.slots.used);
            assert(self.slots.used - self.served <= self.spare);
        }

        /// Gives an exchange back; its connection has `depth` left.
        pub fn release(self: *Self, id: slots.Id, depth: u16) void {
            self.slots.release(id);
            if (depth == 0) self.served -= 1;
            assert(self.slots.used >= self.served);
        }
    };
}

const testing = std.testing;

test "the spare part runs out for those who have one, the first of each connection is there" {
    var pool = try ExchangePool(u64).init(3, 2);
    defer pool.deinit();
    const first = pool.take(0).?;
    const second = pool.take(1).?;
    const third = pool.take(2).?;
    try testing.expect(!pool.hasRoom(3));
    try testing.expectEqual(null, pool.take(3));
    const other = pool.take(0).?;
    try testing.expectEqual(null, pool.take(1)); // of `other`: the spare ones are gone
    const last = pool.take(0).?;
    pool.release(second, 2); // in any order
    const again = pool.take(1).?; // of `other`
    for ([_]slots.Id{ first, third }, [_]u16{ 1, 0 }) |id, left| pool.release(id, left);
    for ([_]slots.Id{ other, again }, [_]u16{ 1, 0 }) |id, left| pool.release(id, left);
    pool.release(last, 0);
    try testing.expectEqual(0, pool.used());
    try testing.expectEqual(0, pool.served);
}

test "who has many leaves as many to the others" {
    var pool = try ExchangePool(u64).init(2, 64);
    defer pool.deinit();
    var taken: u16 = 0;
    while (pool.take(taken)) |_| taken += 1;
    try testing.expectEqual(33, taken); // its first, and half of the spare ones
    var other: u16 = 0;
    while (pool.take(other)) |_| other += 1;
    try testing.expectEqual(17, other);
}
