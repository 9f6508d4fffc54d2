//! The acceptor where the system has nothing left to give, and where addresses have had enough.

const std = @import("std");
const testing = std.testing;
const Address = @import("../core/address.zig").Address;
const log = @import("../core/log.zig");
const Manual = @import("../io/manual.zig").Manual;
const Acceptor = @import("acceptor.zig").Acceptor;
const AddressTable = @import("address_table.zig").AddressTable;
const Port = @import("port.zig").Port;

const peer: Address = .{ .bytes = .{ 192, 0, 2, 1 } ++ .{0} ** 12, .family = .ipv4 };
const other: Address = .{ .bytes = .{ 192, 0, 2, 2 } ++ .{0} ** 12, .family = .ipv4 };

test "without descriptors or memory accepting rests for a while and goes on, again and again" {
    log.setLevel(.silent);
    Manual.clock_ms = 1000;
    var asleep: u32 = 0;
    var ports = [_]Port{.{ .capacity = 10, .asleep = &asleep }};
    var acceptor = try Acceptor(Manual).init(testing.allocator, 3, &ports);
    defer acceptor.deinit();
    const failure: Manual.Incoming = .{ .failure = .exhausted };
    const backend = &acceptor.backend;
    backend.incoming = &.{ .{ .peer = peer }, failure, failure, .{ .peer = peer }, failure };
    try testing.expect(acceptor.turn(0));
    try testing.expect(!backend.wants_accept);
    try testing.expectEqual(@as(u32, 1), ports[0].open.raw);
    for (0..5) |_| try testing.expect(acceptor.turn(0)); // no time passes: it rests
    try testing.expectEqual(@as(usize, 3), backend.incoming.len);
    for (0..6) |_| {
        const wait = acceptor.timeout();
        if (wait > 0) {
            try testing.expect(wait >= 50 and wait <= 200);
            Manual.clock_ms += @intCast(wait);
        }
        try testing.expect(acceptor.turn(0));
    }
    try testing.expectEqual(@as(usize, 0), backend.incoming.len);
    try testing.expectEqual(@as(u32, 2), ports[0].open.raw);
    try testing.expect(!acceptor.broken);
    Manual.clock_ms += 1000;
    try testing.expect(acceptor.turn(0));
    try testing.expect(backend.wants_accept);
}

test "connections of an address that has enough are closed, others are handed out" {
    log.setLevel(.silent);
    Manual.clock_ms = 1000;
    var asleep: u32 = 0;
    var ports = [_]Port{.{ .capacity = 10, .asleep = &asleep }};
    var acceptor = try Acceptor(Manual).init(testing.allocator, 3, &ports);
    defer acceptor.deinit();
    var table = try AddressTable.init(11, 2, [_]u8{1} ** 16);
    defer table.deinit();
    acceptor.addresses = &table;
    const backend = &acceptor.backend;
    backend.incoming = &.{
        .{ .peer = peer }, .{ .peer = peer }, .{ .peer = peer },
        .{ .peer = peer }, .{ .peer = .{} },  .{ .peer = other },
    };
    try testing.expect(acceptor.turn(0));
    try testing.expectEqual(@as(u64, 2), acceptor.refused_total.raw);
    try testing.expectEqual(@as(u32, 2), backend.closed_unopened);
    try testing.expectEqual(@as(u32, 4), ports[0].open.raw);
    table.release(peer);
    backend.incoming = &.{ .{ .peer = peer }, .{ .peer = peer } };
    try testing.expect(acceptor.turn(0));
    try testing.expectEqual(@as(u64, 3), acceptor.refused_total.raw);
    try testing.expectEqual(@as(u32, 5), ports[0].open.raw);
}
