//! The acceptor where the system has nothing left to give, and where addresses have had enough.

const std = @import("std");
const testing = std.testing;
const Address = @import("../core/address.zig").Address;
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const Manual = @import("../io/manual.zig").Manual;
const acceptor_file = @import("acceptor.zig");
const Acceptor = acceptor_file.Acceptor;
const AddressTable = @import("address_table.zig").AddressTable;
const Port = @import("port.zig").Port;

const peer: Address = .{ .bytes = .{ 192, 0, 2, 1 } ++ .{0} ** 12, .family = .ipv4 };
const other: Address = .{ .bytes = .{ 192, 0, 2, 2 } ++ .{0} ** 12, .family = .ipv4 };

/// Counts what an acceptor tells.
const Told = struct {
    stops: u32 = 0,
    lost: std.BoundedArray(u32, 8) = .{},
    why: ?anyerror = null,

    fn observer(self: *Told) acceptor_file.Observer {
        return .{ .context = self, .onStop = onStop, .onLost = onLost };
    }

    fn onStop(context: *anyopaque) void {
        const self: *Told = @alignCast(@ptrCast(context));
        self.stops += 1;
    }

    fn onLost(context: *anyopaque, listener: u32, err: system.Error) void {
        const self: *Told = @alignCast(@ptrCast(context));
        self.lost.append(listener) catch unreachable;
        self.why = err;
    }
};

test "without descriptors or memory accepting rests for a while and goes on, again and again" {
    log.setLevel(.silent);
    Manual.clock_ms = 1000;
    var asleep: u32 = 0;
    var ports = [_]Port{.{ .capacity = 10, .asleep = &asleep }};
    var acceptor = try Acceptor(Manual).init(testing.allocator, .epoll, &.{3}, &ports);
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
    try testing.expectEqual(0, backend.closed_listeners);
    Manual.clock_ms += 1000;
    try testing.expect(acceptor.turn(0));
    try testing.expect(backend.wants_accept);
}

test "connections of an address that has enough are closed, others are handed out" {
    log.setLevel(.silent);
    Manual.clock_ms = 1000;
    var asleep: u32 = 0;
    var ports = [_]Port{.{ .capacity = 10, .asleep = &asleep }};
    var acceptor = try Acceptor(Manual).init(testing.allocator, .epoll, &.{3}, &ports);
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

test "a listener that fails is closed and told of, once; the others go on" {
    log.setLevel(.silent);
    Manual.clock_ms = 1000;
    var asleep: u32 = 0;
    var ports = [_]Port{.{ .capacity = 10, .asleep = &asleep }};
    var acceptor = try Acceptor(Manual).init(testing.allocator, .epoll, &.{ 3, 4 }, &ports);
    defer acceptor.deinit();
    var told: Told = .{};
    acceptor.observer = told.observer();
    const backend = &acceptor.backend;
    const failure: Manual.Incoming = .{ .failure = .{ .fatal = error.InvalidArgument } };
    backend.incoming_at = 1;
    backend.incoming = &.{ .{ .peer = peer }, failure, failure, .{ .peer = peer } };
    for (0..20) |_| {
        try testing.expectEqual(-1, acceptor.timeout());
        try testing.expect(acceptor.turn(0));
    }
    try testing.expectEqualSlices(u32, &.{1}, told.lost.slice());
    try testing.expectEqual(error.InvalidArgument, told.why.?);
    try testing.expectEqual(1, backend.closed_listeners);
    try testing.expectEqual(2, backend.incoming.len); // a socket that is closed is not asked
    try testing.expectEqual(1, ports[0].open.raw);
    backend.incoming_at = 0;
    backend.incoming = &.{ .{ .peer = other }, failure };
    for (0..2) |_| try testing.expect(acceptor.turn(0));
    try testing.expectEqual(2, ports[0].open.raw);
    try testing.expectEqualSlices(u32, &.{ 1, 0 }, told.lost.slice());
    // Without any it waits for the stop.
    try testing.expectEqual(-1, acceptor.timeout());
    acceptor.stop_deadline_ms.store(2000, .seq_cst);
    while (acceptor.turn(acceptor.timeout())) {}
    try testing.expectEqual(2, backend.closed_listeners);
    try testing.expectEqual(2000, ports[0].drain_deadline_ms.raw);
}

test "accepting that fails again and again although the listener is well rests in between" {
    log.setLevel(.silent);
    Manual.clock_ms = 1000;
    var asleep: u32 = 0;
    var ports = [_]Port{.{ .capacity = 10, .asleep = &asleep }};
    var acceptor = try Acceptor(Manual).init(testing.allocator, .epoll, &.{3}, &ports);
    defer acceptor.deinit();
    var told: Told = .{};
    acceptor.observer = told.observer();
    const backend = &acceptor.backend;
    const failure: Manual.Incoming = .{ .failure = .{ .refused = error.PermissionDenied } };
    backend.incoming = &.{ failure, failure, .{ .peer = peer } };
    var turns: u32 = 0;
    while (backend.incoming.len > 0) : (turns += 1) {
        try testing.expect(turns < 10);
        try testing.expect(acceptor.turn(0));
        Manual.clock_ms += @intCast(@max(acceptor.timeout(), 0));
    }
    try testing.expectEqual(1201, Manual.clock_ms -| 1); // two rests of 100 ms
    try testing.expectEqual(0, told.lost.len);
    try testing.expectEqual(1, ports[0].open.raw);
}

test "a server whose place is taken goes on for a while: it accepts what waits and what is late" {
    log.setLevel(.silent);
    Manual.clock_ms = 1000;
    var asleep: u32 = 0;
    var ports = [_]Port{.{ .capacity = 10, .asleep = &asleep }};
    var acceptor = try Acceptor(Manual).init(testing.allocator, .epoll, &.{ 3, 4 }, &ports);
    defer acceptor.deinit();
    var told: Told = .{};
    acceptor.observer = told.observer();
    acceptor.hand_over_ms = 300;
    acceptor.lingering.set(0);
    const backend = &acceptor.backend;
    backend.incoming = &.{ .{ .peer = peer }, .{ .peer = peer } };
    acceptor.stop_deadline_ms.store(11_000, .seq_cst);
    for (0..5) |_| try testing.expect(acceptor.turn(0));
    try testing.expectEqual(1, told.stops);
    try testing.expectEqual(2, ports[0].open.raw);
    try testing.expect(ports[0].retiring.raw);
    try testing.expectEqual(0, ports[0].drain_deadline_ms.raw);
    try testing.expectEqual(1, backend.closed_listeners); // the one that need not linger
    try testing.expectEqual(300, acceptor.timeout());
    Manual.clock_ms += 299;
    backend.incoming = &.{.{ .peer = peer }};
    try testing.expect(acceptor.turn(1));
    try testing.expectEqual(3, ports[0].open.raw);
    try testing.expectEqual(1, acceptor.timeout());
    Manual.clock_ms += 1;
    try testing.expect(!acceptor.turn(0));
    try testing.expectEqual(2, backend.closed_listeners);
    try testing.expectEqual(11_000, ports[0].drain_deadline_ms.raw);
    try testing.expectEqual(1, told.stops);
}

test "a stop that is to be over at once does not wait for anybody" {
    Manual.clock_ms = 1000;
    var asleep: u32 = 0;
    var ports = [_]Port{.{ .capacity = 10, .asleep = &asleep }};
    var acceptor = try Acceptor(Manual).init(testing.allocator, .epoll, &.{3}, &ports);
    defer acceptor.deinit();
    acceptor.hand_over_ms = 300;
    acceptor.lingering.set(0);
    acceptor.stop_deadline_ms.store(11_000, .seq_cst);
    try testing.expect(acceptor.turn(0));
    acceptor.stop_deadline_ms.store(1000, .seq_cst);
    try testing.expect(!acceptor.turn(0));
    try testing.expectEqual(1000, ports[0].drain_deadline_ms.raw);
}
