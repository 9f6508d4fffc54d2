//! TLS 1.2 behind the filter, against OpenSSL as a client that speaks nothing newer.

const std = @import("std");
const testing = std.testing;
const posix = std.posix;
const filters = @import("filter.zig");
const Alert = filters.Alert;
const Filter = filters.Filter;
const Context = filters.Context;
const heap = @import("heap.zig");
const issuer = @import("testing/issuer.zig");
const TlsVersion = @import("../core/tls_version.zig").TlsVersion;
const legacies = @import("legacy.zig");
const limits = @import("../core/limits.zig");
const links = @import("testing/link.zig");
const stride = @import("testing/stride.zig").stride;
const openssl_client = @import("testing/openssl_client.zig");
const record = @import("record.zig");

const tls12 = 0x0303;
const request = "GET / HTTP/1.1\r\n\r\n";

/// A site that serves TLS 1.2 too.
fn siteWith(settings: Context.Settings) !links.Site {
    var both = settings;
    both.version_min = .tls12;
    return links.site(both);
}

fn withOld(site: links.Site, options: openssl_client.Options) !links.OpensslLink {
    var old = options;
    old.version_max = tls12;
    return links.withOpenssl(site.context, old);
}

/// One whose handshake is over.
fn opened(site: links.Site, options: openssl_client.Options) !links.OpensslLink {
    var link = try withOld(site, options);
    errdefer link.deinit();
    try link.run();
    if (!link.client.isComplete() or !link.server.filter.isOpen()) return error.NotOpen;
    return link;
}

fn exchange(link: *links.OpensslLink) !void {
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

test "a client of TLS 1.2 is served where that is allowed, and one of 1.3 as ever" {
    const site = try siteWith(.{});
    defer site.deinit();
    var link = try opened(site, .{ .server_name = "LOCALHOST" });
    defer link.deinit();
    const filter = &link.server.filter;
    try testing.expectEqual(TlsVersion.tls12, filter.version());
    try testing.expectEqual(tls12, link.client.version());
    try testing.expectEqualStrings("localhost", filter.details.?.server_name);
    try testing.expect(link.client.hasExtendedMasterSecret());
    try exchange(&link);
    var modern = try links.withOpenssl(site.context, .{ .server_name = "localhost" });
    defer modern.deinit();
    try modern.run();
    try testing.expectEqual(TlsVersion.tls13, modern.server.filter.version());
    try testing.expectEqual(0x0304, modern.client.version());
    try exchange(&modern);
}

/// Of a server's first flight: whether its hello has an empty status_request, and the messages
/// between certificate and key exchange.
const Flight = struct {
    answers_request: bool = false,
    status: []const u8 = "",

    fn read(bytes: []const u8) !Flight {
        var self: Flight = .{};
        const server_hello = 2;
        const certificate = 11;
        const certificate_status = 22;
        var last: u8 = 0;
        var records = bytes;
        while (records.len > 0) {
            const header = record.Header.parse(records[0..record.header_bytes]);
            if (header.type != .handshake) break;
            var rest = records[record.header_bytes..][0..header.len];
            records = records[record.header_bytes + header.len ..];
            while (rest.len > 0) {
                const len = std.mem.readInt(u24, rest[1..4], .big);
                const body = rest[4..][0..len];
                switch (rest[0]) {
                    server_hello => self.answers_request =
                        std.mem.indexOf(u8, body, &.{ 0, 5, 0, 0 }) != null,
                    certificate_status => {
                        if (last != certificate) return error.OutOfPlace;
                        self.status = body;
                    },
                    else => {},
                }
                last = rest[0];
                rest = rest[4 + len ..];
            }
        }
        return self;
    }
};

/// Where a session is resumed no certificate is shown, and no staple.
fn expectNoneResumed(context: *const Context, asks: *const []const u8) !void {
    var first = try links.withOpenssl(context, .{ .version_max = tls12 });
    defer first.deinit();
    try first.run();
    var link = try links.withOpenssl(context, .{
        .version_max = tls12,
        .session = first.client.takeSession(),
        .status_request = asks,
    });
    defer link.deinit();
    try link.run();
    try testing.expect(link.client.isComplete() and link.client.isResumed());
}

test "a staple is sent to those who ask for one, and only where there is one" {
    const gpa = testing.allocator;
    const issued = try issuer.issue(.{});
    defer issued.deinit();
    const certificate = try issued.certificatePem(gpa);
    defer gpa.free(certificate);
    const key = try issued.keyPem(gpa);
    defer gpa.free(key);
    const staple = [_]u8{ 0x30, 3, 10, 1, 0 };
    const asks: []const u8 = &.{ 1, 0, 0, 0, 0 };
    const asks_by_name: []const u8 = &.{ 1, 0, 3, 0, 1, 7, 0, 0 };
    const other: []const u8 = &.{ 2, 9 };
    const Case = struct { has: bool, request: ?*const []const u8, gets: bool };
    for ([_]Case{
        .{ .has = true, .request = &asks, .gets = true },
        .{ .has = true, .request = &asks_by_name, .gets = true },
        .{ .has = true, .request = &other, .gets = false },
        .{ .has = true, .request = null, .gets = false },
        .{ .has = false, .request = &asks, .gets = false },
    }) |case| {
        var report: filters.Report = .{ .gpa = gpa };
        defer report.deinit();
        const context = try Context.create(gpa, .{ .version_min = .tls12, .certificates = &.{.{
            .certificate = links.textSource("certificate", certificate),
            .key = links.textSource("key", key),
            .staple = if (case.has) links.textSource("staple", &staple) else null,
        }} }, &report);
        defer context.destroy();
        var link = try links.withOpenssl(context, .{
            .version_max = tls12,
            .status_request = case.request,
        });
        defer link.deinit();
        try link.server.feed(link.client.out.items);
        const flight = try Flight.read(link.server.out.items);
        try testing.expectEqual(case.gets, flight.answers_request);
        const expected: []const u8 = if (case.gets) &(.{ 1, 0, 0, staple.len } ++ staple) else "";
        try testing.expectEqualSlices(u8, expected, flight.status);
        if (case.has) try expectNoneResumed(context, &asks);
    }
    const broken: []const u8 = &.{ 1, 0, 9, 0 };
    const site = try siteWith(.{});
    defer site.deinit();
    var link = try withOld(site, .{ .status_request = &broken });
    defer link.deinit();
    try link.run();
    try testing.expectEqual(Alert.decode_error, link.client.alert);
}

test "a client that may have been made to forget TLS 1.3 can see it, or is told" {
    const site = try siteWith(.{});
    defer site.deinit();
    var link = try opened(site, .{});
    defer link.deinit();
    const random = link.client.serverRandom();
    try testing.expectEqualStrings("DOWNGRD\x01", random[24..]);
    var fallback = try withOld(site, .{ .is_fallback = true });
    defer fallback.deinit();
    try fallback.run();
    try testing.expectEqual(Alert.inappropriate_fallback, fallback.client.alert);
}

test "every suite and kind of certificate serves, and is told" {
    const Case = struct { name: [:0]const u8, id: u16, is_rsa: bool = false };
    const cases = [_]Case{
        .{ .name = "ECDHE-ECDSA-AES128-GCM-SHA256", .id = 0xc02b },
        .{ .name = "ECDHE-ECDSA-AES256-GCM-SHA384", .id = 0xc02c },
        .{ .name = "ECDHE-ECDSA-CHACHA20-POLY1305", .id = 0xcca9 },
        .{ .name = "ECDHE-RSA-AES128-GCM-SHA256", .id = 0xc02f, .is_rsa = true },
        .{ .name = "ECDHE-RSA-AES256-GCM-SHA384", .id = 0xc030, .is_rsa = true },
        .{ .name = "ECDHE-RSA-CHACHA20-POLY1305", .id = 0xcca8, .is_rsa = true },
    };
    for ([_]issuer.Kind{ .p256, .p384, .ed25519, .rsa2048 }) |kind| {
        const site = try links.siteOf(&.{.{ .kind = kind }}, .{ .version_min = .tls12 });
        defer site.deinit();
        for (cases) |case| {
            if (case.is_rsa != (kind == .rsa2048)) continue;
            var link = try opened(site, .{ .old_suites = case.name });
            defer link.deinit();
            try testing.expectEqualStrings(case.name, link.client.suiteName());
            try testing.expectEqual(case.id, link.server.filter.suite.?.id);
            try exchange(&link);
        }
    }
}

test "a client with no suite but bad ones, or no certificate that it takes, is refused" {
    const site = try siteWith(.{});
    defer site.deinit();
    for ([_][:0]const u8{
        "AES128-GCM-SHA256", // no forward secrecy
        "ECDHE-ECDSA-AES128-SHA256", // CBC
        "ECDHE-RSA-AES128-GCM-SHA256", // the certificate is no RSA one
    }) |suites| {
        var link = try withOld(site, .{ .old_suites = suites });
        defer link.deinit();
        try link.run();
        try testing.expectEqual(Alert.handshake_failure, link.client.alert);
        const failure = link.server.filter.failure.?;
        try testing.expectEqual(Alert.handshake_failure, failure.alert);
        try testing.expectEqual(filters.Failure.By.us, failure.by);
    }
}

test "names that no certificate has are refused where names are strict" {
    const site = try siteWith(.{ .strict_names = true });
    defer site.deinit();
    var link = try withOld(site, .{ .server_name = "nowhere.org" });
    defer link.deinit();
    try link.run();
    try testing.expectEqual(Alert.unrecognized_name, link.client.alert);
    var unnamed = try opened(site, .{});
    defer unnamed.deinit();
}

test "the protocol is the server's first that is offered; none that is common is refused" {
    const site = try siteWith(.{ .protocols = &.{ "h2", "http/1.1" } });
    defer site.deinit();
    const Case = struct { offered: []const []const u8, chosen: []const u8, index: ?u8 };
    for ([_]Case{
        .{ .offered = &.{ "http/1.1", "h2" }, .chosen = "h2", .index = 0 },
        .{ .offered = &.{ "x", "http/1.1" }, .chosen = "http/1.1", .index = 1 },
        .{ .offered = &.{}, .chosen = "", .index = null },
    }) |case| {
        var link = try opened(site, .{ .protocols = case.offered });
        defer link.deinit();
        try testing.expectEqualStrings(case.chosen, link.client.chosenProtocol());
        try testing.expectEqual(case.index, link.server.filter.protocol);
    }
    var link = try withOld(site, .{ .protocols = &.{"http/9"} });
    defer link.deinit();
    try link.run();
    try testing.expectEqual(Alert.no_application_protocol, link.client.alert);
}

test "however the bytes are cut, a handshake and what follows it are the same" {
    const site = try siteWith(.{});
    defer site.deinit();
    for ([_]usize{ 1, 2, 3, 5, 7, 16, 100, 1000 }) |bytes| {
        var link = try withOld(site, .{ .server_name = "localhost" });
        defer link.deinit();
        try link.runInParts(bytes);
        try testing.expect(link.client.isComplete() and link.server.filter.isOpen());
        try link.client.send("one");
        try link.client.send("two");
        try link.runInParts(bytes);
        try testing.expectEqualStrings("onetwo", link.server.text.items);
    }
}

test "a ClientHello may be cut into records at every offset, whatever its version" {
    const site = try siteWith(.{});
    defer site.deinit();
    for ([_]u16{ tls12, 0x0304 }) |version_max| {
        var cut: usize = 1;
        while (true) : (cut += try stride()) {
            const options: openssl_client.Options = .{ .version_max = version_max };
            var link = try links.withOpenssl(site.context, options);
            defer link.deinit();
            const hello = try link.client.out.toOwnedSlice(testing.allocator);
            defer testing.allocator.free(hello);
            const body = hello[record.header_bytes..];
            if (cut >= body.len) break;
            for ([_][]const u8{ body[0..cut], body[cut..] }) |part| {
                var header = [_]u8{ 22, 3, 1, 0, 0 };
                std.mem.writeInt(u16, header[3..5], @intCast(part.len), .big);
                try link.server.feed(&header);
                try link.server.feed(part);
            }
            // Two handshakes in full would take long at each.
            if (cut % 16 != 0) {
                try testing.expect(link.server.out.items.len > 0);
                try testing.expectEqual(null, link.server.filter.failure);
                continue;
            }
            try link.run();
            try exchange(&link);
        }
    }
}

test "records are opened at every offset that they are cut at" {
    const site = try siteWith(.{});
    defer site.deinit();
    var link = try opened(site, .{});
    defer link.deinit();
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
    const site = try siteWith(.{});
    defer site.deinit();
    for ([_][:0]const u8{
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    }) |suites| {
        var link = try opened(site, .{ .old_suites = suites });
        defer link.deinit();
        var text: [70_000]u8 = undefined;
        for (&text, 0..) |*byte, index| byte.* = @truncate(index *% 13 +% index / 256);
        const max = record.text_bytes_max;
        for ([_]usize{ 1, 2, 483, 490, 4095, 4096, 4097, max - 1, max, max + 1, 70_000 }) |len| {
            for ([_]usize{ Filter.write_bytes_min, 5000, max + 22, max + 29, 65_536 }) |room| {
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
}

test "records are small at first, then as large as can be, and are filled by many pieces" {
    const site = try siteWith(.{});
    defer site.deinit();
    var link = try opened(site, .{});
    defer link.deinit();
    var text: [200_000]u8 = undefined;
    for (&text, 0..) |*byte, index| byte.* = @truncate(index *% 3 +% index / 256);
    const gpa = testing.allocator;
    const room = try gpa.alloc(u8, 300_000);
    defer gpa.free(room);
    const filter = &link.server.filter;
    const whole = [1]posix.iovec_const{.{ .base = &text, .len = text.len }};
    const written = filter.write(&whole, room);
    try testing.expectEqual(text.len, written.taken);
    var at: usize = 0;
    var sent: usize = 0;
    while (at < written.len) {
        const header = record.Header.parse(room[at..][0..record.header_bytes]);
        const len = header.len - (legacies.overhead_bytes - record.header_bytes);
        const is_start = sent < limits.tls_start_bytes;
        const most = if (is_start) limits.tls_start_record_bytes else record.text_bytes_max;
        try testing.expectEqual(@min(most, text.len - sent), len);
        sent += len;
        at += record.header_bytes + header.len;
    }
    try testing.expectEqual(text.len, sent);
    try link.client.feed(room[0..written.len]);
    try testing.expectEqualSlices(u8, &text, link.client.text.items);
    var pieces: [60]posix.iovec_const = undefined;
    for (&pieces, 0..) |*piece, index| piece.* = .{ .base = text[index * 100 ..].ptr, .len = 100 };
    pieces[7].len = 0;
    const more = filter.write(&pieces, room);
    try testing.expectEqual(5900, more.taken);
    try testing.expectEqual(5900 + legacies.overhead_bytes, more.len);
    try link.client.feed(room[0..more.len]);
    const got = link.client.text.items[text.len..];
    try testing.expectEqualSlices(u8, text[0..700], got[0..700]);
    try testing.expectEqualSlices(u8, text[800..6000], got[700..]);
}

test "another handshake in a connection is refused, and ends it" {
    const site = try siteWith(.{});
    defer site.deinit();
    var link = try opened(site, .{});
    defer link.deinit();
    try link.client.renegotiate();
    try link.run();
    const failure = link.server.filter.failure.?;
    try testing.expectEqual(Alert.no_renegotiation, failure.alert);
    try testing.expectEqual(filters.Failure.By.us, failure.by);
    try testing.expectEqual(Alert.no_renegotiation, link.client.alert);
}

test "a client older than TLS 1.2 is told that its version is not served" {
    const site = try siteWith(.{});
    defer site.deinit();
    // TLS 1.1's number, in a ClientHello that has no extensions.
    const body = [_]u8{ 3, 2 } ++ .{7} ** 32 ++ .{ 0, 0, 2, 0xc0, 0x2b, 1, 0 };
    const hello = [_]u8{ 22, 3, 1, 0, body.len + 4, 1, 0, 0, body.len } ++ body;
    var server: links.Server = try .init(testing.allocator, site.context);
    defer server.deinit();
    try server.feed(&hello);
    const failure = server.filter.failure.?;
    try testing.expectEqual(Alert.protocol_version, failure.alert);
    try testing.expectEqual(filters.Failure.By.old_version, failure.by);
    try testing.expectEqualSlices(u8, &.{ 0, 2, 2, 70 }, server.out.items[3..]);
}

test "a client without extended master secrets is served" {
    const site = try siteWith(.{});
    defer site.deinit();
    var link = try opened(site, .{ .extended_master_secret = false });
    defer link.deinit();
    try testing.expect(!link.client.hasExtendedMasterSecret());
    try exchange(&link);
}

// Sessions.

var now_ms: u64 = 0;

fn clock() u64 {
    return now_ms;
}

const Expected = enum { resumed, anew };

/// `from` gives a session for `name`, which is taken to `to` as one for `other`.
fn expectSession(
    from: links.Site,
    to: links.Site,
    name: [:0]const u8,
    other: [:0]const u8,
    later_s: u64,
    expected: Expected,
) !void {
    now_ms = 1_000_000_000_000;
    var link = try opened(from, .{ .server_name = name });
    defer link.deinit();
    try testing.expect(!link.client.isResumed());
    now_ms += later_s * 1000;
    var later = try opened(to, .{ .server_name = other, .session = link.client.takeSession() });
    defer later.deinit();
    try testing.expectEqual(expected == .resumed, later.client.isResumed());
    try testing.expectEqual(expected == .resumed, later.server.filter.is_resumed);
    try exchange(&later);
}

test "a session is resumed by who has the secret, for its name, until its ticket has expired" {
    const first = [_][32]u8{@splat(1)};
    const rotated = [_][32]u8{ @splat(2), @splat(1) };
    const other = [_][32]u8{@splat(3)};
    var sites: [4]links.Site = undefined;
    const secrets = [_]?[]const [32]u8{ &first, &rotated, &other, null };
    for (&sites, secrets) |*site, given| site.* = try links.siteOf(
        &.{.{ .names = "DNS:localhost,DNS:example.com" }},
        .{
            .version_min = .tls12,
            .clock = &clock,
            .tickets = if (given) |some| .{ .secrets = some, .lifetime_s = 100 } else null,
        },
    );
    defer for (&sites) |site| site.deinit();
    const here, const also, const stranger, const without = sites;
    try expectSession(here, here, "localhost", "localhost", 1, .resumed);
    try expectSession(here, also, "localhost", "localhost", 1, .resumed);
    try expectSession(here, here, "", "", 1, .resumed);
    try expectSession(here, here, "localhost", "localhost", 101, .resumed); // the next key's time
    try expectSession(here, here, "localhost", "localhost", 301, .anew);
    try expectSession(here, here, "localhost", "example.com", 1, .anew);
    try expectSession(here, stranger, "localhost", "localhost", 1, .anew);
    try expectSession(also, here, "localhost", "localhost", 1, .anew);
    try expectSession(here, without, "localhost", "localhost", 1, .anew);
}

// Certificates of clients.

test "secrets are written in the form of SSLKEYLOGFILE, where that is asked for" {
    var directory = testing.tmpDir(.{});
    defer directory.cleanup();
    const file = try directory.dir.createFile("keys", .{ .read = true });
    defer file.close();
    const site = try siteWith(.{ .key_log = file.handle });
    defer site.deinit();
    var link = try opened(site, .{});
    defer link.deinit();
    const text = try directory.dir.readFileAlloc(testing.allocator, "keys", 4096);
    defer testing.allocator.free(text);
    var words = std.mem.splitScalar(u8, std.mem.trimRight(u8, text, "\n"), ' ');
    try testing.expectEqualStrings("CLIENT_RANDOM", words.next().?);
    try testing.expectEqual(64, words.next().?.len);
    try testing.expectEqual(96, words.next().?.len);
    try testing.expectEqual(null, words.next());
}

// Memory.

test "an idle connection holds little, and one that has ended nothing" {
    const site = try siteWith(.{});
    defer site.deinit();
    var before: usize = 0;
    for (0..12) |n| {
        if (n == 4) before = heap.counts().bytes; // what libcrypto keeps is there
        var link = try withOld(site, .{ .server_name = "localhost" });
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
    var link = try opened(site, .{ .server_name = "localhost" });
    defer link.deinit();
    try exchange(&link);
    const with = heap.counts().bytes;
    link.server.filter.deinit();
    const held = with - heap.counts().bytes + @sizeOf(Filter);
    link.server.filter = try .init(site.context);
    errdefer std.debug.print("{d} bytes\n", .{held});
    try testing.expect(held <= limits.tls_legacy_idle_bytes_max);
}

test "whatever allocation fails, a connection ends with an error and nothing is lost" {
    const site = try siteWith(.{});
    defer site.deinit();
    try failEach(site); // libcrypto keeps some of what it looks up
    const before = heap.counts().bytes;
    try failEach(site);
    try testing.expectEqual(before, heap.counts().bytes);
}

const Stage = enum { hello, finish, read, write };

/// Has each allocation of the server's fail, in each stage of a connection.
fn failEach(site: links.Site) !void {
    {
        var link = try opened(site, .{}); // libcrypto keeps that it found no memory, too
        defer link.deinit();
        try exchange(&link);
    }
    for (std.enums.values(Stage)) |stage| {
        for ([_]bool{ false, true }) |once| {
            var count: u32 = 0;
            while (try failIn(site, stage, count, once)) count += try stride();
            try testing.expect(count > 0 and count < 10_000);
        }
    }
}

/// Has the allocation behind `count` others fail. False: there were not so many.
fn failIn(site: links.Site, stage: Stage, count: u32, once: bool) !bool {
    errdefer std.debug.print("{s}, allocation {d}\n", .{ @tagName(stage), count });
    var link = try withOld(site, .{ .server_name = "localhost" });
    defer link.deinit();
    switch (stage) {
        .hello => {},
        .finish => try link.step(),
        .read, .write => {
            try link.run();
            try link.client.send(request);
        },
    }
    const gpa = testing.allocator;
    const up = try link.client.out.toOwnedSlice(gpa);
    defer gpa.free(up);
    const refused = heap.counts().refused;
    if (once) heap.failOnceAfter(count) else heap.failAfter(count);
    defer heap.failAfter(null);
    if (stage == .write) {
        link.server.send(request) catch |err| switch (err) {
            error.NotSent => {}, // the connection has ended
            else => return err,
        };
    } else {
        try link.server.feed(up);
    }
    const was_refused = heap.counts().refused != refused;
    heap.failAfter(null);
    const filter = &link.server.filter;
    try testing.expect(!filter.hasOutput());
    if (filter.failure) |failure| {
        try testing.expectEqual(filters.Failure.By.us, failure.by);
        switch (failure.alert) {
            // libssl does not say why it finds no suite, and libcrypto not why a share is none.
            .handshake_failure, .illegal_parameter, .decode_error, .decrypt_error => {},
            .bad_record_mac => {},
            else => |alert| try testing.expectEqual(Alert.internal_error, alert),
        }
    }
    return was_refused;
}
