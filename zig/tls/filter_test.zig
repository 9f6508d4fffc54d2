//! The filter against picotls and OpenSSL as clients: handshakes, bytes, ends, memory.

const std = @import("std");
const testing = std.testing;
const posix = std.posix;
const filters = @import("filter.zig");
const Alert = filters.Alert;
const heap = @import("heap.zig");
const issuer = @import("testing/issuer.zig");
const limits = @import("../core/limits.zig");
const links = @import("testing/link.zig");
const Client = @import("testing/picotls_client.zig").Client;
const record = @import("record.zig");

const request = "GET / HTTP/1.1\r\n\r\n";

/// Sends something up, and something longer down.
fn exchange(link: anytype) !void {
    const seen = link.server.text.items.len;
    const got = link.client.text.items.len;
    try link.client.send(request);
    try link.run();
    try testing.expectEqualStrings(request, link.server.text.items[seen..]);
    var long: [100_000]u8 = undefined;
    for (&long, 0..) |*byte, index| byte.* = @truncate(index *% 7 +% index / 256);
    try link.server.send(&long);
    try link.run();
    try testing.expectEqualSlices(u8, &long, link.client.text.items[got..]);
}

test "picotls and OpenSSL as clients finish a handshake and exchange bytes both ways" {
    const site = try links.site(.{});
    defer site.deinit();
    {
        var link = try links.withPicotls(site.context, .{ .server_name = "localhost" });
        defer link.deinit();
        try link.run();
        try testing.expect(link.client.isComplete() and link.server.filter.isOpen());
        try testing.expectEqualStrings("localhost", link.server.filter.details.?.server_name);
        try exchange(&link);
    }
    {
        var link = try links.withOpenssl(site.context, .{ .server_name = "localhost" });
        defer link.deinit();
        try link.run();
        try testing.expect(link.client.isComplete() and link.server.filter.isOpen());
        try exchange(&link);
    }
}

test "every suite, group and kind of certificate serves OpenSSL" {
    const names = [_][:0]const u8{
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    };
    const groups = [_][:0]const u8{ "X25519MLKEM768", "X25519", "P-256", "P-384" };
    for ([_]issuer.Kind{ .p256, .p384, .ed25519, .rsa2048 }, 0..) |kind, index| {
        const site = try links.siteOf(&.{.{ .kind = kind }}, .{});
        defer site.deinit();
        for (names, 0x1301..) |name, id| {
            const group = groups[(index + id) % groups.len];
            var link = try links.withOpenssl(site.context, .{ .suites = name, .groups = group });
            defer link.deinit();
            try link.run();
            try testing.expectEqualStrings(name, link.client.suiteName());
            try testing.expectEqual(id, link.server.filter.suite.?.id);
            try exchange(&link);
        }
    }
}

test "a client that prefers ChaCha20 gets it; else AES-128-GCM is taken" {
    const site = try links.site(.{});
    defer site.deinit();
    const Case = struct { offered: [:0]const u8, chosen: u16 };
    for ([_]Case{
        .{ .offered = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256", .chosen = 0x1303 },
        .{ .offered = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256", .chosen = 0x1301 },
    }) |case| {
        var link = try links.withOpenssl(site.context, .{ .suites = case.offered });
        defer link.deinit();
        try link.run();
        try testing.expectEqual(case.chosen, link.server.filter.suite.?.id);
    }
}

test "a client whose first share is of a group that is not served is asked for another" {
    const site = try links.site(.{});
    defer site.deinit();
    // OpenSSL sends a share of the first group alone.
    var link = try links.withOpenssl(site.context, .{ .groups = "P-521:X25519" });
    defer link.deinit();
    try link.run();
    try exchange(&link);
}

test "the protocol is the server's first that is offered; none that is common is refused" {
    const site = try links.site(.{ .protocols = &.{ "h2", "http/1.1" } });
    defer site.deinit();
    const Case = struct { offered: []const []const u8, chosen: []const u8, index: ?u8 };
    for ([_]Case{
        .{ .offered = &.{ "http/1.1", "h2" }, .chosen = "h2", .index = 0 },
        .{ .offered = &.{ "x", "http/1.1" }, .chosen = "http/1.1", .index = 1 },
        .{ .offered = &.{}, .chosen = "", .index = null },
    }) |case| {
        var link = try links.withOpenssl(site.context, .{ .protocols = case.offered });
        defer link.deinit();
        try link.run();
        try testing.expectEqualStrings(case.chosen, link.client.chosenProtocol());
        try testing.expectEqual(case.index, link.server.filter.protocol);
    }
    var link = try links.withOpenssl(site.context, .{ .protocols = &.{"http/9"} });
    defer link.deinit();
    try link.run();
    try testing.expectEqual(Alert.no_application_protocol, link.client.alert);
}

test "however the bytes are cut, a handshake and what follows it are the same" {
    const site = try links.site(.{});
    defer site.deinit();
    for ([_]usize{ 1, 2, 3, 5, 7, 16, 100, 1000 }) |bytes| {
        var link = try links.withPicotls(site.context, .{ .server_name = "localhost" });
        defer link.deinit();
        try link.runInParts(bytes);
        try testing.expect(link.client.isComplete() and link.server.filter.isOpen());
        try link.client.send("one");
        try link.client.send("two");
        try link.runInParts(bytes);
        try testing.expectEqualStrings("onetwo", link.server.text.items);
    }
}

test "records are opened at every offset that they are cut at" {
    const site = try links.site(.{});
    defer site.deinit();
    var link = try links.withOpenssl(site.context, .{});
    defer link.deinit();
    try link.run();
    var expected: std.ArrayListUnmanaged(u8) = .{};
    defer expected.deinit(testing.allocator);
    var cut: usize = 0;
    while (true) : (cut += 1) {
        try link.client.send("the first record");
        try link.client.send("and a second");
        try expected.appendSlice(testing.allocator, "the first recordand a second");
        const bytes = try link.client.out.toOwnedSlice(testing.allocator);
        defer testing.allocator.free(bytes);
        if (cut > bytes.len) break;
        try link.server.feed(bytes[0..cut]);
        try link.server.feed(bytes[cut..]);
        try testing.expectEqualStrings(expected.items, link.server.text.items);
    }
}

test "texts of every kind of length arrive, through buffers of every size" {
    const site = try links.site(.{});
    defer site.deinit();
    var link = try links.withOpenssl(site.context, .{});
    defer link.deinit();
    try link.run();
    var text: [70_000]u8 = undefined;
    for (&text, 0..) |*byte, index| byte.* = @truncate(index *% 13 +% index / 256);
    const max = record.text_bytes_max;
    for ([_]usize{ 1, 2, 490, 491, 4095, 4096, 4097, max - 1, max, max + 1, 70_000 }) |len| {
        for ([_]usize{ filters.Filter.write_bytes_min, 5000, max + 22, 65_536 }) |room| {
            const before = link.client.text.items.len;
            try link.server.sendThrough(text[0..len], room);
            try link.run();
            try testing.expectEqualSlices(u8, text[0..len], link.client.text.items[before..]);
            const seen = link.server.text.items.len;
            try link.client.send(text[0..len]);
            try link.run();
            try testing.expectEqualSlices(u8, text[0..len], link.server.text.items[seen..]);
        }
    }
}

test "records are small at first, then as large as can be, and small again after a rest" {
    const site = try links.site(.{});
    defer site.deinit();
    var link = try links.withPicotls(site.context, .{});
    defer link.deinit();
    try link.run();
    const text: [200_000]u8 = @splat('x');
    const pieces = [1]posix.iovec_const{.{ .base = &text, .len = text.len }};
    const room = try testing.allocator.alloc(u8, 300_000);
    defer testing.allocator.free(room);
    const filter = &link.server.filter;
    for (0..2) |_| {
        const written = filter.write(&pieces, room);
        try testing.expectEqual(text.len, written.taken);
        var at: usize = 0;
        var sent: usize = 0;
        while (at < written.len) {
            const header = record.Header.parse(room[at..][0..record.header_bytes]);
            const len = header.len - (record.overhead_bytes - record.header_bytes);
            const most = if (sent < limits.tls_start_bytes)
                limits.tls_start_record_bytes
            else
                record.text_bytes_max;
            try testing.expectEqual(@min(most, text.len - sent), len);
            sent += len;
            at += record.header_bytes + header.len;
        }
        try testing.expectEqual(text.len, sent);
        filter.slowStart();
    }
}

test "many pieces fill records, across their bounds" {
    const site = try links.site(.{});
    defer site.deinit();
    var link = try links.withPicotls(site.context, .{});
    defer link.deinit();
    try link.run();
    var text: [20_000]u8 = undefined;
    for (&text, 0..) |*byte, index| byte.* = @truncate(index *% 3);
    var pieces: [200]posix.iovec_const = undefined;
    for (&pieces, 0..) |*piece, index| piece.* = .{ .base = text[index * 100 ..].ptr, .len = 100 };
    pieces[7].len = 0;
    var room: [32 * 1024]u8 = undefined;
    const written = link.server.filter.write(&pieces, &room);
    try testing.expectEqual(19_900, written.taken);
    try link.client.feed(room[0..written.len]);
    try testing.expectEqualSlices(u8, text[0..700], link.client.text.items[0..700]);
    try testing.expectEqualSlices(u8, text[800..], link.client.text.items[700..]);
}

test "both sides change their keys whenever they like" {
    const site = try links.site(.{});
    defer site.deinit();
    for ([_]u16{ 0x1301, 0x1302, 0x1303 }) |id| {
        var link = try links.withPicotls(site.context, .{ .suite = id });
        defer link.deinit();
        try link.run();
        for (0..3) |_| {
            link.client.updateKeys(false);
            try exchange(&link);
            link.client.updateKeys(true);
            try exchange(&link);
        }
    }
    var link = try links.withOpenssl(site.context, .{});
    defer link.deinit();
    try link.run();
    for ([_]bool{ true, false, true }) |requests| {
        link.client.updateKeys(requests);
        try exchange(&link);
    }
}

test "keys are changed before they have sealed too much" {
    const site = try links.site(.{});
    defer site.deinit();
    var link = try links.withPicotls(site.context, .{});
    defer link.deinit();
    try link.run();
    const filter = &link.server.filter;
    // Records that nobody reads.
    filter.writing.?.seq = record.records_per_key_max;
    var room: [1024]u8 = undefined;
    const pieces = [1]posix.iovec_const{.{ .base = "x", .len = 1 }};
    const written = filter.write(&pieces, &room);
    try testing.expectEqual(1, written.taken);
    try testing.expectEqual(1, filter.writing.?.seq);
    // A KeyUpdate, and the record under the new keys.
    try testing.expectEqual(2 * record.overhead_bytes + 5 + 1, written.len);
}

test "an alert of the peer's ends the connection and is told; user_canceled alone does not" {
    const site = try links.site(.{});
    defer site.deinit();
    var link = try links.withPicotls(site.context, .{});
    defer link.deinit();
    try link.run();
    try link.client.sendAlert(.user_canceled);
    try exchange(&link);
    try link.client.sendAlert(.bad_certificate);
    try link.run();
    const failure = link.server.filter.failure.?;
    try testing.expectEqual(Alert.bad_certificate, failure.alert);
    try testing.expectEqual(.peer, failure.by);
    try testing.expect(!link.server.filter.hasOutput());
}

test "an established connection allocates nothing for its records, and holds little" {
    const site = try links.site(.{});
    defer site.deinit();
    for ([_]u16{ 0x1301, 0x1302, 0x1303 }) |id| {
        const before = heap.counts();
        var server: links.Server = try .init(testing.allocator, site.context);
        defer server.deinit();
        const client = try Client.create(testing.allocator, .{ .suite = id });
        var link: links.PicotlsLink = .{ .server = server, .client = client };
        try link.run();
        try exchange(&link);
        // Records of the server's alone: picotls as a client allocates for each of them.
        try client.send(request);
        const up = try client.out.toOwnedSlice(testing.allocator);
        defer testing.allocator.free(up);
        const opened = heap.counts();
        try link.server.feed(up);
        try link.server.send(request);
        try testing.expectEqual(opened.taken, heap.counts().taken);
        client.destroy();
        const held = heap.counts().bytes - before.bytes + @sizeOf(filters.Filter);
        errdefer std.debug.print("{x}: {d} bytes\n", .{ id, held });
        try testing.expect(held <= limits.tls_idle_bytes_max);
        server = link.server;
    }
}

test "whatever allocation fails, a handshake ends with an error and nothing is lost" {
    const site = try links.site(.{});
    defer site.deinit();
    // libcrypto keeps some of what it looks up.
    try failEach(site);
    const before = heap.counts().bytes;
    try failEach(site);
    try testing.expectEqual(before, heap.counts().bytes);
}

/// Has each allocation of a handshake fail, one after the other, until none does.
fn failEach(site: links.Site) !void {
    var count: u32 = 0;
    var is_complete = false;
    while (!is_complete) : (count += 1) {
        try testing.expect(count < 10_000);
        const client = try Client.create(testing.allocator, .{ .server_name = "localhost" });
        defer client.destroy();
        heap.failAfter(count);
        defer heap.failAfter(null);
        var server = links.Server.init(testing.allocator, site.context) catch continue;
        defer server.deinit();
        try server.feed(client.out.items);
        is_complete = server.filter.failure == null;
        heap.failAfter(null);
        if (is_complete) continue;
        switch (server.filter.failure.?.alert) {
            // libcrypto does not say why it does not take a key share.
            .internal_error, .illegal_parameter => {},
            else => |alert| try testing.expectEqual(Alert.internal_error, alert),
        }
    }
    try testing.expect(count > 20);
}

test "connections that end give all of their memory back" {
    const site = try links.site(.{});
    defer site.deinit();
    var before: usize = 0;
    for (0..20) |n| {
        if (n == 4) before = heap.counts().bytes; // what libcrypto keeps is there
        var link = try links.withPicotls(site.context, .{ .server_name = "localhost" });
        defer link.deinit();
        switch (n % 4) {
            0 => {}, // nothing was sent
            1 => try link.server.feed(link.client.out.items[0..100]),
            2 => try link.step(),
            else => {
                try link.run();
                try exchange(&link);
            },
        }
    }
    try testing.expectEqual(before, heap.counts().bytes);
}
