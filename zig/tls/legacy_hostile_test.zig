//! What a client of TLS 1.2 may send that it should not, and records of both versions that were
//! changed on the way.

const std = @import("std");
const testing = std.testing;
const filters = @import("filter.zig");
const Alert = filters.Alert;
const heap = @import("heap.zig");
const limits = @import("../core/limits.zig");
const links = @import("testing/link.zig");
const record = @import("record.zig");

const tls12 = 0x0303;

fn siteOfBoth() !links.Site {
    return links.site(.{ .version_min = .tls12 });
}

/// When a client sends what it should not.
const When = enum { after_hello, open };

const Sent = struct { when: When, bytes: []const u8, alert: Alert };

test "records in the place of others" {
    const site = try siteOfBoth();
    defer site.deinit();
    const long: [record.header_bytes]u8 = .{ 23, 3, 3, 0x41, 1 };
    for ([_]Sent{
        // Text before there are keys; another ClientHello; a message of a server's; a bad one.
        .{ .when = .after_hello, .bytes = &.{ 23, 3, 3, 0, 1, 1 }, .alert = .unexpected_message },
        .{
            .when = .after_hello,
            .bytes = &.{ 22, 3, 3, 0, 4, 1, 0, 0, 0 },
            .alert = .unexpected_message,
        },
        .{
            .when = .after_hello,
            .bytes = &.{ 22, 3, 3, 0, 4, 14, 0, 0, 0 },
            .alert = .unexpected_message,
        },
        .{
            .when = .after_hello,
            .bytes = &.{ 22, 3, 3, 0, 5, 16, 0, 0, 1, 9 },
            .alert = .decode_error,
        },
        // ChangeCipherSpec ahead of the key exchange.
        .{ .when = .after_hello, .bytes = &.{ 20, 3, 3, 0, 1, 1 }, .alert = .unexpected_message },
        .{ .when = .after_hello, .bytes = &.{ 99, 3, 3, 0, 1, 1 }, .alert = .unexpected_message },
        .{ .when = .after_hello, .bytes = &long, .alert = .record_overflow },
        // What no key has sealed.
        .{
            .when = .open,
            .bytes = &(.{ 23, 3, 3, 0, 40 } ++ .{5} ** 40),
            .alert = .bad_record_mac,
        },
        .{ .when = .open, .bytes = &.{ 23, 3, 3, 0, 1, 5 }, .alert = .bad_record_mac },
        .{ .when = .open, .bytes = &.{ 21, 3, 3, 0, 2, 1, 0 }, .alert = .bad_record_mac },
        .{ .when = .open, .bytes = &.{ 20, 3, 3, 0, 1, 1 }, .alert = .unexpected_message },
        .{ .when = .open, .bytes = &.{ 22, 3, 3, 0, 1, 1 }, .alert = .no_renegotiation },
        .{ .when = .open, .bytes = &long, .alert = .record_overflow },
        .{ .when = .open, .bytes = &.{ 99, 3, 3, 0, 1, 1 }, .alert = .unexpected_message },
    }) |case| {
        errdefer std.debug.print("{s} {x}\n", .{ @tagName(case.when), case.bytes });
        var link = try links.withOpenssl(site.context, .{ .version_max = tls12 });
        defer link.deinit();
        switch (case.when) {
            .after_hello => try link.step(),
            .open => try link.run(),
        }
        try link.server.feed(case.bytes);
        const failure = link.server.filter.failure orelse return error.NoFailure;
        try testing.expectEqual(case.alert, failure.alert);
        try testing.expectEqual(filters.Failure.By.us, failure.by);
        try testing.expect(link.server.out.items.len > 0 and !link.server.filter.hasOutput());
        if (case.when == .after_hello) continue; // the client is not in a place to read it
        try link.client.feed(link.server.out.items);
        try testing.expectEqual(case.alert, link.client.alert);
    }
}

test "a client that says its last before its handshake is over has ended the connection" {
    const site = try siteOfBoth();
    defer site.deinit();
    for ([_][2]u8{ .{ 1, 0 }, .{ 2, 42 } }) |alert| {
        var link = try links.withOpenssl(site.context, .{ .version_max = tls12 });
        defer link.deinit();
        try link.step();
        try link.server.feed(&(.{ 21, 3, 3, 0, 2 } ++ alert));
        const filter = &link.server.filter;
        try testing.expect(!filter.isOpen() and !filter.takesText() and !filter.hasPeerClosed());
        try testing.expect(!filter.hasOutput());
        try testing.expectEqual(alert[1], @intFromEnum(filter.failure.?.alert));
        try testing.expectEqual(filters.Failure.By.peer, filter.failure.?.by);
    }
}

test "a ClientHello that is cut or changed anywhere is refused, or serves" {
    const site = try siteOfBoth();
    defer site.deinit();
    var link = try links.withOpenssl(site.context, .{
        .version_max = tls12,
        .server_name = "localhost",
    });
    defer link.deinit();
    const hello = link.client.out.items;
    var refused: usize = 0;
    for (0..hello.len) |index| {
        for ([_]u8{ 0x01, 0x11, 0x80 }) |bits| {
            var server: links.Server = try .init(testing.allocator, site.context);
            defer server.deinit();
            hello[index] ^= bits;
            defer hello[index] ^= bits;
            try server.feed(hello);
            const failure = server.filter.failure orelse continue;
            refused += 1;
            try testing.expect(failure.alert != .internal_error);
        }
    }
    try testing.expect(refused > 50);
}

test "a ClientHello that never ends takes no more memory than its bound" {
    const site = try siteOfBoth();
    defer site.deinit();
    var server: links.Server = try .init(testing.allocator, site.context);
    defer server.deinit();
    const before = heap.counts().bytes;
    // It says that it has as much as one may have.
    const len: u24 = limits.tls_message_bytes_max;
    var head = [_]u8{ 22, 3, 1, 0, 4, 1, 0, 0, 0 };
    std.mem.writeInt(u24, head[6..9], len, .big);
    try server.feed(&head);
    const part = [_]u8{ 22, 3, 1, 0x40, 0 } ++ .{0} ** record.text_bytes_max;
    var most: usize = 0;
    for (0..limits.tls_message_bytes_max / record.text_bytes_max + 1) |_| {
        try server.feed(&part);
        most = @max(most, heap.counts().bytes - before);
        if (server.filter.failure != null) break;
    }
    try testing.expect(server.filter.failure != null);
    try testing.expect(most <= 3 * limits.tls_message_bytes_max);
}

/// Connections whose records are changed, cut, doubled or put in another order, until `seconds`
/// have passed.
fn mutate(seed: u64, seconds: f64) !usize {
    errdefer std.debug.print("seed {d}\n", .{seed});
    const site = try siteOfBoth();
    defer site.deinit();
    var prng = std.Random.DefaultPrng.init(seed);
    const random = prng.random();
    var timer = try std.time.Timer.start();
    var count: usize = 0;
    while (@as(f64, @floatFromInt(timer.read())) < seconds * std.time.ns_per_s) : (count += 1) {
        const is_old = random.boolean();
        var link = try links.withOpenssl(site.context, .{
            .version_max = if (is_old) tls12 else 0x0304,
            .server_name = "localhost",
        });
        defer link.deinit();
        try mutateOne(&link, random);
        const filter = &link.server.filter;
        // What was sealed is whole or refused, and nothing is owed for ever.
        const text = link.server.text.items;
        var rest = text;
        while (rest.len > 0) {
            const n = @min(rest.len, "a text".len);
            try testing.expectEqualStrings("a text"[0..n], rest[0..n]);
            rest = rest[n..];
        }
        try testing.expect(!filter.hasOutput());
        if (filter.failure) |failure| try testing.expect(failure.alert != .internal_error);
    }
    return count;
}

fn mutateOne(link: *links.OpensslLink, random: std.Random) !void {
    const gpa = testing.allocator;
    const spoilt_at = random.uintLessThan(usize, 4);
    for (0..5) |round| {
        if (link.client.isComplete()) link.client.send("a text") catch return;
        var up: std.ArrayListUnmanaged(u8) = .{};
        defer up.deinit(gpa);
        try up.appendSlice(gpa, link.client.out.items);
        link.client.out.clearRetainingCapacity();
        if (round >= spoilt_at) try spoil(&up, random);
        var at: usize = 0;
        while (at < up.items.len) {
            const n = @min(up.items.len - at, 1 + random.uintLessThan(usize, 600));
            try link.server.feed(up.items[at..][0..n]);
            at += n;
        }
        const down = try link.server.out.toOwnedSlice(gpa);
        defer gpa.free(down);
        // A client whose bytes were changed is not to complain of what it gets.
        if (round < spoilt_at) try link.client.feed(down);
    }
}

/// Changes bytes, or takes records out, doubles them, moves them.
fn spoil(bytes: *std.ArrayListUnmanaged(u8), random: std.Random) !void {
    const gpa = testing.allocator;
    if (bytes.items.len == 0) {
        const kinds = [_]u8{ 20, 21, 22, 23, 24 };
        const kind = kinds[random.uintLessThan(usize, kinds.len)];
        const len = random.uintLessThan(u8, 80);
        try bytes.appendSlice(gpa, &.{ kind, 3, 3, 0, len });
        for (0..len) |_| try bytes.append(gpa, random.int(u8));
        return;
    }
    switch (random.uintLessThan(u8, 5)) {
        0 => for (0..1 + random.uintLessThan(usize, 4)) |_| {
            bytes.items[random.uintLessThan(usize, bytes.items.len)] = random.int(u8);
        },
        1 => bytes.shrinkRetainingCapacity(random.uintLessThan(usize, bytes.items.len)),
        2 => { // it comes again
            const again = try gpa.dupe(u8, bytes.items);
            defer gpa.free(again);
            try bytes.appendSlice(gpa, again);
        },
        3 => { // the header of a record says another kind
            bytes.items[0] = 20 + random.uintLessThan(u8, 5);
        },
        else => { // the first record comes last
            const len = record.header_bytes + record.Header.parse(bytes.items[0..5]).len;
            if (len < bytes.items.len) std.mem.rotate(u8, bytes.items, len);
        },
    }
}

test "records that are changed, cut, doubled or moved neither crash nor confuse a server" {
    const given = try std.process.hasEnvVar(testing.allocator, "GYRFALCON_TLS_FUZZ_SECONDS");
    var seconds: f64 = 2;
    if (given) {
        const name = "GYRFALCON_TLS_FUZZ_SECONDS";
        const text = try std.process.getEnvVarOwned(testing.allocator, name);
        defer testing.allocator.free(text);
        seconds = try std.fmt.parseFloat(f64, text);
    }
    const count = try mutate(@intCast(std.time.microTimestamp()), seconds);
    if (given) std.debug.print("{d} connections\n", .{count});
    try testing.expect(count > 0);
}
