//! What a client may send that it should not: each has its alert (RFC 8446 §6.2).

const std = @import("std");
const testing = std.testing;
const filters = @import("filter.zig");
const Alert = filters.Alert;
const Filter = filters.Filter;
const heap = @import("heap.zig");
const limits = @import("../core/limits.zig");
const links = @import("testing/link.zig");
const record = @import("record.zig");
const Keys = record.Keys;

/// Gives a server these bytes at once, then one by one: the alert has to be the same.
fn expectAlert(site: links.Site, bytes: []const u8, alert: Alert) !void {
    for ([_]usize{ bytes.len, 1 }) |part| {
        var server: links.Server = try .init(testing.allocator, site.context);
        defer server.deinit();
        var at: usize = 0;
        while (at < bytes.len) : (at += part) {
            try server.feed(bytes[at..@min(at + part, bytes.len)]);
        }
        try expectFailure(&server.filter, alert);
        try testing.expectEqualSlices(
            u8,
            &.{ 21, 3, 3, 0, 2, 2, @intFromEnum(alert) },
            server.out.items,
        );
    }
}

fn expectFailure(filter: *const Filter, alert: Alert) !void {
    const failure = filter.failure orelse return error.NoFailure;
    try testing.expectEqual(filters.Failure.By.us, failure.by);
    try testing.expectEqual(alert, failure.alert);
}

test "first bytes that are no ClientHello" {
    const site = try links.site(.{});
    defer site.deinit();
    const Case = struct { bytes: []const u8, alert: Alert };
    for ([_]Case{
        // A record that is too long; a message of another kind; none.
        .{ .bytes = &.{ 22, 3, 1, 0x40, 1 }, .alert = .record_overflow },
        .{ .bytes = &.{ 22, 3, 1, 0, 4, 2, 0, 0, 0 }, .alert = .unexpected_message },
        .{ .bytes = &.{ 22, 3, 1, 0, 4, 20, 0, 0, 0 }, .alert = .unexpected_message },
        .{ .bytes = &.{ 22, 3, 1, 0, 0 }, .alert = .unexpected_message },
        // A message that is larger than any is.
        .{ .bytes = &.{ 22, 3, 1, 0, 4, 1, 0, 0, 0 }, .alert = .decode_error },
        // A version that never was.
        .{ .bytes = &.{ 22, 3, 1, 0, 6, 1, 0, 0, 2, 2, 0 }, .alert = .protocol_version },
        // An alert.
        .{ .bytes = &.{ 21, 3, 1, 0, 2, 2, 40 }, .alert = .unexpected_message },
    }) |case| {
        errdefer std.debug.print("{x}\n", .{case.bytes});
        try expectAlert(site, case.bytes, case.alert);
    }
}

test "what is no TLS is told from it, and gets no alert" {
    const site = try links.site(.{});
    defer site.deinit();
    for ([_][]const u8{
        "GET / HTTP/1.1\r\n\r\n",
        "\x16\x02\x01\x00\x01x",
        "\x17\x03\x03\x00\x01x",
    }) |text| {
        var server: links.Server = try .init(testing.allocator, site.context);
        defer server.deinit();
        try server.feed(text);
        try testing.expectEqual(filters.Failure.By.not_tls, server.filter.failure.?.by);
        try testing.expectEqual(0, server.out.items.len);
    }
}

test "a ClientHello that is cut or changed anywhere is refused, or serves" {
    const site = try links.site(.{});
    defer site.deinit();
    var link = try links.withPicotls(site.context, .{ .server_name = "localhost" });
    defer link.deinit();
    const hello = try testing.allocator.dupe(u8, link.client.out.items);
    defer testing.allocator.free(hello);
    var refused: usize = 0;
    for (0..hello.len) |index| {
        var server: links.Server = try .init(testing.allocator, site.context);
        defer server.deinit();
        hello[index] ^= 0x11;
        defer hello[index] ^= 0x11;
        try server.feed(hello);
        if (server.filter.failure) |failure| {
            refused += 1;
            try testing.expect(failure.alert != .internal_error);
        }
    }
    try testing.expect(refused > 50);
}

/// The share of a key that a ClientHello has for `group`, alone.
fn shareIn(hello: []u8, group: u16) ![]u8 {
    for (0..hello.len - 10) |at| {
        // key_share, with two lengths, and the group's number.
        if (std.mem.readInt(u16, hello[at..][0..2], .big) != 51) continue;
        const len = std.mem.readInt(u16, hello[at + 2 ..][0..2], .big);
        if (std.mem.readInt(u16, hello[at + 4 ..][0..2], .big) +% 2 != len) continue;
        if (std.mem.readInt(u16, hello[at + 6 ..][0..2], .big) != group) continue;
        return hello[at + 10 ..][0 .. len - 6];
    }
    return error.NoShare;
}

test "a share of a key that is of no use is an illegal parameter" {
    const site = try links.site(.{});
    defer site.deinit();
    for ([_]struct { group: [:0]const u8, number: u16 }{
        .{ .group = "X25519", .number = 29 },
        .{ .group = "P-256", .number = 23 },
        .{ .group = "P-384", .number = 24 },
    }) |case| {
        errdefer std.debug.print("{s}\n", .{case.group});
        var link = try links.withOpenssl(site.context, .{ .groups = case.group });
        defer link.deinit();
        const hello = try testing.allocator.dupe(u8, link.client.out.items);
        defer testing.allocator.free(hello);
        const share = try shareIn(hello, case.number);
        // No point of the curve; of X25519 one whose multiples are all zero.
        const is_point = share[0] == 4 and case.number != 29;
        @memset(share[@intFromBool(is_point)..], 0);
        try expectAlert(site, hello, .illegal_parameter);
    }
}

test "a client of TLS 1.2 is told that its version is not served" {
    const site = try links.site(.{});
    defer site.deinit();
    var link = try links.withOpenssl(site.context, .{ .version_max = 0x0303 });
    defer link.deinit();
    try link.run();
    try testing.expectEqual(Alert.protocol_version, link.client.alert);
    try testing.expectEqual(filters.Failure.By.old_version, link.server.filter.failure.?.by);
}

/// A connection, and the client's keys: for records that no client would make.
const Forged = struct {
    link: links.PicotlsLink,
    keys: Keys,

    /// With `is_open` false the client's Finished is still to come.
    fn init(site: links.Site, is_open: bool) !Forged {
        var link = try links.withPicotls(site.context, .{});
        errdefer link.deinit();
        try link.step();
        if (is_open) try link.run();
        link.client.out.clearRetainingCapacity();
        const filter = &link.server.filter;
        try testing.expectEqual(is_open, filter.isOpen());
        const reading = &filter.reading.?;
        const suite = filter.suite.?;
        var keys: Keys = try .init(suite, .seal, reading.secret[0..suite.hash.digest_size]);
        keys.seq = reading.seq;
        return .{ .link = link, .keys = keys };
    }

    fn deinit(self: *Forged) void {
        self.keys.deinit();
        self.link.deinit();
    }

    fn send(self: *Forged, kind: record.Type, text: []const u8) !void {
        const memory = try testing.allocator.alloc(u8, text.len + record.overhead_bytes);
        defer testing.allocator.free(memory);
        const len = self.keys.sealBytes(kind, text, memory);
        try self.link.server.feed(memory[0..len]);
    }

    fn expect(self: *Forged, alert: Alert) !void {
        try expectFailure(&self.link.server.filter, alert);
        // The client reads it.
        try self.link.client.feed(self.link.server.out.items);
        try testing.expectEqual(alert, self.link.client.alert);
    }
};

const Sent = struct {
    /// Null: not sealed.
    kind: ?record.Type = .handshake,
    bytes: []const u8,
    alert: ?Alert,
};

fn expectEach(site: links.Site, is_open: bool, cases: []const Sent) !void {
    for (cases) |case| {
        const begin = case.bytes[0..@min(case.bytes.len, 40)];
        errdefer std.debug.print("{?} {x}\n", .{ case.kind, begin });
        var forged: Forged = try .init(site, is_open);
        defer forged.deinit();
        if (case.kind) |kind| {
            try forged.send(kind, case.bytes);
        } else {
            try forged.link.server.feed(case.bytes);
        }
        if (case.alert) |alert| {
            try forged.expect(alert);
        } else {
            try testing.expectEqual(null, forged.link.server.filter.failure);
        }
    }
}

const longest: [record.text_bytes_max]u8 = @splat('x');

test "messages in the place of the client's Finished" {
    const site = try links.site(.{});
    defer site.deinit();
    try expectEach(site, false, &.{
        .{ .bytes = &(.{ 20, 0, 0, 32 } ++ .{7} ** 32), .alert = .decrypt_error },
        .{ .bytes = &(.{ 20, 0, 0, 31 } ++ .{7} ** 31), .alert = .decode_error },
        .{ .bytes = &(.{ 20, 0, 0, 33 } ++ .{7} ** 33), .alert = .decode_error },
        .{ .bytes = &(.{ 20, 0, 0, 32 } ++ .{7} ** 32 ++ .{20}), .alert = .unexpected_message },
        .{ .bytes = &.{ 24, 0, 0, 1, 0 }, .alert = .unexpected_message },
        .{ .bytes = &.{ 11, 0, 0, 0 }, .alert = .unexpected_message },
        .{ .bytes = &.{ 1, 0, 0, 0 }, .alert = .unexpected_message },
        .{ .bytes = "", .alert = .unexpected_message },
        .{ .kind = .application_data, .bytes = "too early", .alert = .unexpected_message },
        .{ .kind = .change_cipher_spec, .bytes = &.{1}, .alert = .unexpected_message },
        .{ .kind = .alert, .bytes = &.{ 1, 2, 3 }, .alert = .decode_error },
        .{ .kind = .alert, .bytes = "", .alert = .unexpected_message },
        .{ .kind = null, .bytes = &.{ 22, 3, 3, 0, 1, 1 }, .alert = .unexpected_message },
        .{ .kind = null, .bytes = &.{ 20, 3, 3, 0, 1, 1 }, .alert = null },
        .{ .kind = null, .bytes = &.{ 20, 3, 3, 0, 1, 2 }, .alert = .unexpected_message },
        .{ .kind = null, .bytes = &.{ 20, 3, 3, 0, 2, 1, 1 }, .alert = .unexpected_message },
        .{ .kind = null, .bytes = &.{ 23, 3, 3, 0, 2, 1, 1 }, .alert = .bad_record_mac },
        .{ .kind = null, .bytes = &(.{ 23, 3, 3, 0, 30 } ++ .{5} ** 30), .alert = .bad_record_mac },
        .{ .kind = null, .bytes = &.{ 23, 3, 3, 0x41, 1 }, .alert = .record_overflow },
        .{ .kind = null, .bytes = &.{ 99, 3, 3, 0, 1 }, .alert = .unexpected_message },
    });
}

test "messages and records behind the handshake" {
    const site = try links.site(.{});
    defer site.deinit();
    try expectEach(site, true, &.{
        // Another handshake; messages that servers send.
        .{ .bytes = &.{ 1, 0, 0, 0 }, .alert = .unexpected_message },
        .{ .bytes = &.{ 4, 0, 0, 0 }, .alert = .unexpected_message },
        .{ .bytes = &.{ 20, 0, 0, 0 }, .alert = .unexpected_message },
        .{ .bytes = "", .alert = .unexpected_message },
        // KeyUpdate (§4.6.3).
        .{ .bytes = &.{ 24, 0, 0, 1, 0 }, .alert = null },
        .{ .bytes = &.{ 24, 0, 0, 1, 2 }, .alert = .illegal_parameter },
        .{ .bytes = &.{ 24, 0, 0, 2, 0, 0 }, .alert = .decode_error },
        .{ .bytes = &.{ 24, 0, 0, 1, 0, 24 }, .alert = .unexpected_message },
        .{ .bytes = &.{ 24, 0, 0, 1, 1, 24, 0, 0, 1, 1 }, .alert = .unexpected_message },
        .{ .kind = .change_cipher_spec, .bytes = &.{1}, .alert = .unexpected_message },
        .{ .kind = @enumFromInt(99), .bytes = "x", .alert = .unexpected_message },
        // Padding alone.
        .{ .kind = @enumFromInt(0), .bytes = &.{ 0, 0, 0 }, .alert = .unexpected_message },
        .{ .kind = .application_data, .bytes = &longest, .alert = null },
        .{ .kind = .alert, .bytes = &.{1}, .alert = .decode_error },
        .{ .kind = .alert, .bytes = "", .alert = .unexpected_message },
        .{ .kind = null, .bytes = &.{ 20, 3, 3, 0, 1, 1 }, .alert = .unexpected_message },
        .{ .kind = null, .bytes = &.{ 21, 3, 3, 0, 2, 1, 0 }, .alert = .unexpected_message },
        .{ .kind = null, .bytes = &.{ 22, 3, 3, 0, 1, 1 }, .alert = .unexpected_message },
        .{ .kind = null, .bytes = &(.{ 23, 3, 3, 0, 30 } ++ .{5} ** 30), .alert = .bad_record_mac },
    });
}

test "a KeyUpdate may be cut, but nothing may come between its parts" {
    const site = try links.site(.{});
    defer site.deinit();
    {
        var forged: Forged = try .init(site, true);
        defer forged.deinit();
        for ([_]u8{ 24, 0, 0, 1, 1 }) |byte| try forged.send(.handshake, &.{byte});
        const suite = forged.link.server.filter.suite.?;
        const next = try forged.keys.next(suite, .seal);
        forged.keys.deinit();
        forged.keys = next;
        try forged.send(.application_data, "under new keys");
        try testing.expectEqualStrings("under new keys", forged.link.server.text.items);
    }
    var forged: Forged = try .init(site, true);
    defer forged.deinit();
    try forged.send(.handshake, &.{ 24, 0 });
    try forged.send(.application_data, "between");
    try forged.expect(.unexpected_message);
}

test "a client that says its last before its handshake is over has ended the connection" {
    const site = try links.site(.{});
    defer site.deinit();
    const says_end = [_]u8{ 21, 3, 3, 0, 2, 1, 0 };
    for ([_]bool{ false, true }) |is_hello_whole| {
        var link = try links.withPicotls(site.context, .{});
        defer link.deinit();
        const hello = link.client.out.items;
        if (is_hello_whole) {
            try link.server.feed(hello);
        } else {
            var part: [15]u8 = .{ 22, 3, 1, 0, 10 } ++ .{0} ** 10;
            @memcpy(part[5..], hello[5..15]);
            try link.server.feed(&part);
        }
        try link.server.feed(&says_end);
        try expectEnded(&link.server.filter);
    }
}

/// By the client, which has shown nothing of itself.
fn expectEnded(filter: *const Filter) !void {
    try testing.expect(!filter.isOpen() and !filter.takesText() and !filter.hasPeerClosed());
    try testing.expect(!filter.hasOutput());
    const failure = filter.failure orelse return error.NoFailure;
    try testing.expectEqual(Alert.close_notify, failure.alert);
    try testing.expectEqual(filters.Failure.By.peer, failure.by);
}

test "who has nothing to say any more owes no new keys" {
    const site = try links.site(.{});
    defer site.deinit();
    const asks = [_]u8{ 24, 0, 0, 1, 1 };
    {
        // The server has said that it sends no more.
        var forged: Forged = try .init(site, true);
        defer forged.deinit();
        forged.link.server.filter.close();
        try forged.link.server.flush();
        try forged.send(.handshake, &asks);
        try testing.expectEqual(null, forged.link.server.filter.failure);
        try testing.expect(!forged.link.server.filter.hasOutput());
    }
    // The client has ended the connection.
    var forged: Forged = try .init(site, true);
    defer forged.deinit();
    var memory: [200]u8 = undefined;
    const bytes = try sealAskingAnd(&forged, &.{ 2, 40 }, &memory);
    const filter = &forged.link.server.filter;
    try testing.expectEqual(bytes.len, filter.read(bytes).used);
    try testing.expectEqual(filters.Failure.By.peer, filter.failure.?.by);
    try testing.expect(!filter.hasOutput());
}

/// Two records: one that asks for new keys, and an alert under the client's own new keys.
fn sealAskingAnd(forged: *Forged, alert: *const [2]u8, memory: []u8) ![]u8 {
    const asks = [_]u8{ 24, 0, 0, 1, 1 };
    const one = forged.keys.sealBytes(.handshake, &asks, memory);
    const next = try forged.keys.next(forged.link.server.filter.suite.?, .seal);
    forged.keys.deinit();
    forged.keys = next;
    const two = forged.keys.sealBytes(.alert, alert, memory[one..]);
    return memory[0 .. one + two];
}

test "without memory for new keys a connection ends, half closed as well" {
    const site = try links.site(.{});
    defer site.deinit();
    var forged: Forged = try .init(site, true);
    defer forged.deinit();
    var memory: [200]u8 = undefined;
    const bytes = try sealAskingAnd(&forged, &.{ 1, 0 }, &memory);
    const filter = &forged.link.server.filter;
    try testing.expectEqual(bytes.len, filter.read(bytes).used);
    try testing.expect(filter.hasPeerClosed() and filter.hasOutput());
    heap.failAfter(0);
    defer heap.failAfter(null);
    try forged.link.server.flush();
    heap.failAfter(null);
    try forged.expect(.internal_error);
}

test "data is passed over ahead of a second ClientHello, within bounds, and not behind" {
    const site = try links.site(.{});
    defer site.deinit();
    const generous = try links.site(.{
        .early_bytes_max = 1000,
        .tickets = .{ .secrets = &.{@splat(1)} },
    });
    defer generous.deinit();
    const groups = "P-521:X25519";
    const ahead: [record.header_bytes + 1024]u8 = .{ 23, 3, 3, 4, 0 } ++ .{7} ** 1024;
    for ([_]struct { sends: enum { nothing, beginning, all }, alert: Alert }{
        .{ .sends = .nothing, .alert = .unexpected_message },
        .{ .sends = .beginning, .alert = .unexpected_message },
        .{ .sends = .all, .alert = .bad_record_mac },
    }) |case| {
        errdefer std.debug.print("{s}\n", .{@tagName(case.sends)});
        var former = try links.withOpenssl(generous.context, .{ .groups = groups });
        defer former.deinit();
        try former.run();
        var link = try links.withOpenssl(site.context, .{
            .groups = groups,
            .session = former.client.takeSession(),
            .early = "ahead",
        });
        defer link.deinit();
        try link.step(); // there and back: the client has been asked for another share
        const second = try link.client.out.toOwnedSlice(testing.allocator);
        defer testing.allocator.free(second);
        const server = &link.server;
        try server.feed(&ahead);
        try testing.expectEqual(null, server.filter.failure);
        const begin = std.mem.indexOfScalar(u8, second, @intFromEnum(record.Type.handshake)).?;
        switch (case.sends) {
            .nothing => {},
            // One byte of it, in a record of its own.
            .beginning => try server.feed(&.{ 22, 3, 3, 0, 1, 1 }),
            .all => try server.feed(second[begin..]),
        }
        var passed: usize = 0;
        while (true) : (passed += ahead.len) {
            try server.feed(&ahead);
            if (server.filter.failure != null) break;
        }
        try testing.expectEqual(case.alert, server.filter.failure.?.alert);
        try testing.expect(passed <= limits.tls_early_skip_bytes);
        try testing.expectEqual(case.sends == .nothing, passed > 0);
    }
}

test "records that bring nothing end a connection when there are too many" {
    const site = try links.site(.{});
    defer site.deinit();
    var forged: Forged = try .init(site, true);
    defer forged.deinit();
    for (0..limits.tls_idle_records_max) |_| try forged.send(.application_data, "");
    try forged.send(.application_data, "a text starts their count again");
    for (0..limits.tls_idle_records_max) |_| try forged.send(.application_data, "");
    try testing.expectEqual(null, forged.link.server.filter.failure);
    try forged.send(.application_data, "");
    try forged.expect(.unexpected_message);
}

test "changed at random, whatever a client sends neither crashes nor confuses a server" {
    const site = try links.site(.{ .early_bytes_max = 1000 });
    defer site.deinit();
    const seed: u64 = @intCast(std.time.microTimestamp());
    errdefer std.debug.print("seed {d}\n", .{seed});
    var prng = std.Random.DefaultPrng.init(seed);
    const random = prng.random();
    var timer = try std.time.Timer.start();
    while (timer.read() < 1500 * std.time.ns_per_ms) {
        var link = try links.withPicotls(site.context, .{ .server_name = "localhost" });
        defer link.deinit();
        var is_spoilt = false;
        for (0..3) |_| {
            const up = try link.client.out.toOwnedSlice(testing.allocator);
            defer testing.allocator.free(up);
            if (up.len > 0 and random.boolean()) {
                for (0..1 + random.uintLessThan(usize, 4)) |_| {
                    up[random.uintLessThan(usize, up.len)] = random.int(u8);
                }
                is_spoilt = true;
            }
            const is_cut = random.uintLessThan(u8, 8) == 0;
            const end = if (is_cut) random.uintAtMost(usize, up.len) else up.len;
            is_spoilt = is_spoilt or end < up.len;
            try link.server.feed(up[0..end]);
            if (is_spoilt) {
                link.server.out.clearRetainingCapacity();
                continue;
            }
            try link.client.feed(link.server.out.items);
            link.server.out.clearRetainingCapacity();
            if (link.client.isComplete()) try link.client.send("a text");
        }
        // What was sealed is whole or refused.
        const text = link.server.text.items;
        try testing.expect(text.len == 0 or std.mem.startsWith(u8, text, "a text"));
    }
}
