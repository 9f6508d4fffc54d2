//! How many connections each address has open, for the limit on that. One table for all workers:
//! the acceptor counts a connection in, the worker that owned it counts it out.
//!
//! Open addressing with linear probing over a table made at start, twice as large as there can be
//! entries. Slots are chosen by a keyed hash, so that nobody can pick addresses that collide.

const std = @import("std");
const assert = std.debug.assert;
const Address = @import("../core/address.zig").Address;
const memory = @import("../core/memory.zig");

pub const AddressTable = struct {
    entries: []align(memory.page_bytes) Entry,
    /// Connections that one address may have.
    limit: u32,
    seed: Seed,
    mutex: std.Thread.Mutex = .{},

    pub const Seed = [hash_key_bytes]u8;
    const Hash = std.crypto.auth.siphash.SipHash64(1, 3);
    const hash_key_bytes = Hash.key_length;

    /// `count` 0: free.
    const Entry = struct { key: Key, count: u32 };

    /// Who shares a limit: an IPv4 address, or an IPv6 /64, which is what one subscriber gets at
    /// least (RFC 6177).
    const Key = struct {
        prefix: [8]u8,
        family: Address.Family,

        /// Null for a peer without an address, who has no limit.
        fn of(address: Address) ?Key {
            return switch (address.family) {
                .none, .unix => null,
                .ipv4 => .{ .prefix = address.bytes[0..4].* ++ [_]u8{0} ** 4, .family = .ipv4 },
                .ipv6 => .{ .prefix = address.bytes[0..8].*, .family = .ipv6 },
            };
        }
    };

    /// A table for at most `connections` at a time.
    pub fn init(connections: u64, limit: u32, seed: Seed) error{OutOfMemory}!AddressTable {
        assert(limit > 0);
        const size = std.math.ceilPowerOfTwo(usize, @intCast(2 * @max(connections, 1))) catch
            return error.OutOfMemory;
        return .{ .entries = try memory.reserve(Entry, size), .limit = limit, .seed = seed };
    }

    pub fn deinit(self: *AddressTable) void {
        memory.release(Entry, self.entries);
        self.* = undefined;
    }

    pub fn reservedBytes(self: *const AddressTable) u64 {
        return self.entries.len * @sizeOf(Entry);
    }

    /// Counts a connection from `address`; false, and not counted, when it has all it may have.
    /// Any thread.
    pub fn admit(self: *AddressTable, address: Address) bool {
        const key = Key.of(address) orelse return true;
        self.mutex.lock();
        defer self.mutex.unlock();
        const entry = &self.entries[self.find(key)];
        if (entry.count >= self.limit) return false;
        if (entry.count == 0) entry.key = key;
        entry.count += 1;
        return true;
    }

    /// A connection from `address` that was admitted has ended. Any thread.
    pub fn release(self: *AddressTable, address: Address) void {
        const key = Key.of(address) orelse return;
        self.mutex.lock();
        defer self.mutex.unlock();
        const index = self.find(key);
        assert(self.entries[index].count > 0);
        self.entries[index].count -= 1;
        if (self.entries[index].count == 0) self.closeGap(index);
    }

    /// The entry of `key`, or the free one where it belongs.
    fn find(self: *const AddressTable, key: Key) usize {
        const mask = self.entries.len - 1;
        var at = self.home(key);
        // Half of the entries are free.
        while (self.entries[at].count > 0) : (at = (at + 1) & mask) {
            if (std.meta.eql(self.entries[at].key, key)) return at;
        }
        return at;
    }

    fn home(self: *const AddressTable, key: Key) usize {
        const bytes = key.prefix ++ [_]u8{@intFromEnum(key.family)};
        const hash = Hash.toInt(&bytes, &self.seed);
        return @as(usize, @truncate(hash)) & (self.entries.len - 1);
    }

    /// Moves entries into the gap at `index` whose search would stop there.
    fn closeGap(self: *AddressTable, index: usize) void {
        const mask = self.entries.len - 1;
        var gap = index;
        var at = (gap + 1) & mask;
        while (self.entries[at].count > 0) : (at = (at + 1) & mask) {
            const from_home = (at -% self.home(self.entries[at].key)) & mask;
            if (from_home < ((at -% gap) & mask)) continue;
            self.entries[gap] = self.entries[at];
            self.entries[at].count = 0;
            gap = at;
        }
    }
};

const testing = std.testing;
const test_seed = [_]u8{7} ** AddressTable.hash_key_bytes;

fn addressOf(text: []const u8) Address {
    const parsed = std.net.Address.parseIp(text, 80) catch unreachable;
    return .fromSystem(&parsed.any, parsed.getOsSockLen());
}

test "an address has so many connections at a time, whatever others have" {
    var table = try AddressTable.init(8, 2, test_seed);
    defer table.deinit();
    const one = addressOf("192.0.2.1");
    const two = addressOf("192.0.2.2");
    try testing.expect(table.admit(one));
    try testing.expect(table.admit(one));
    try testing.expect(!table.admit(one));
    try testing.expect(table.admit(two));
    table.release(one);
    try testing.expect(table.admit(one));
    try testing.expect(!table.admit(one));
}

test "IPv6 counts by /64, IPv4 in IPv6 as IPv4, and the families apart" {
    var table = try AddressTable.init(8, 1, test_seed);
    defer table.deinit();
    try testing.expect(table.admit(addressOf("2001:db8:0:1::1")));
    try testing.expect(!table.admit(addressOf("2001:db8:0:1:ffff::2")));
    try testing.expect(table.admit(addressOf("2001:db8:0:2::1")));
    try testing.expect(table.admit(addressOf("192.0.2.1")));
    try testing.expect(!table.admit(addressOf("::ffff:192.0.2.1")));
    try testing.expect(table.admit(addressOf("c000:201::1"))); // the same first bytes
}

test "a peer without an address has no limit" {
    var table = try AddressTable.init(2, 1, test_seed);
    defer table.deinit();
    for (0..10) |_| try testing.expect(table.admit(.{}));
    for (0..10) |_| table.release(.{});
}

test "a table that is full and emptied in any order counts right, and is empty again" {
    const count = 64;
    var prng = std.Random.DefaultPrng.init(9);
    const random = prng.random();
    for (0..50) |round| {
        var seed = test_seed;
        seed[0] = @intCast(round);
        var table = try AddressTable.init(count, 3, seed);
        defer table.deinit();
        var open = std.BoundedArray(Address, count).init(0) catch unreachable;
        var counts = [_]u32{0} ** 40;
        for (0..2000) |_| {
            if (open.len < count and random.boolean()) {
                const host = random.uintLessThan(u8, counts.len);
                const address: Address = .{ .bytes = .{host} ++ .{0} ** 15, .family = .ipv4 };
                const admitted = table.admit(address);
                try testing.expectEqual(counts[host] < 3, admitted);
                if (!admitted) continue;
                counts[host] += 1;
                open.appendAssumeCapacity(address);
            } else if (open.len > 0) {
                const address = open.swapRemove(random.uintLessThan(usize, open.len));
                counts[address.bytes[0]] -= 1;
                table.release(address);
            }
        }
        for (open.constSlice()) |address| table.release(address);
        for (table.entries) |entry| try testing.expectEqual(@as(u32, 0), entry.count);
    }
}

test "threads that admit and release at once leave nothing behind" {
    var table = try AddressTable.init(8, 2, test_seed);
    defer table.deinit();
    const Run = struct {
        fn run(shared: *AddressTable, host: u8) void {
            const address: Address = .{ .bytes = .{host} ++ .{0} ** 15, .family = .ipv4 };
            for (0..5_000) |_| if (shared.admit(address)) shared.release(address);
        }
    };
    var threads: [4]std.Thread = undefined;
    for (&threads, 0..) |*thread, i| {
        thread.* = try std.Thread.spawn(.{}, Run.run, .{ &table, @as(u8, @intCast(i % 2)) });
    }
    for (&threads) |thread| thread.join();
    for (table.entries) |entry| try testing.expectEqual(@as(u32, 0), entry.count);
}
