//! Certificates of the server's and of clients', and what is wrong with them.

const std = @import("std");
const testing = std.testing;
const filters = @import("filter.zig");
const Alert = filters.Alert;
const Context = filters.Context;
const heap = @import("heap.zig");
const issuer = @import("testing/issuer.zig");
const libcrypto = @import("libcrypto.zig");
const links = @import("testing/link.zig");
const stride = @import("testing/stride.zig").stride;

/// Which of a site's certificates a client was shown.
fn shown(site: links.Site, client: anytype) !usize {
    const certificate = client.peerCertificate() orelse return error.NoCertificate;
    defer libcrypto.X509_free(certificate);
    for (site.issued, 0..) |each, index| {
        if (libcrypto.X509_cmp(each.certificate, certificate) == 0) return index;
    }
    return error.UnknownCertificate;
}

test "a client is shown the certificate for the name that it asks for, or the first" {
    const site = try links.siteOf(&.{
        .{ .names = "DNS:example.com,DNS:www.example.com" },
        .{ .names = "DNS:*.example.com", .kind = .rsa2048 },
        .{ .common_name = "common.example.org" },
    }, .{});
    defer site.deinit();
    const Case = struct { asked: [:0]const u8, index: usize, is_known: bool };
    for ([_]Case{
        .{ .asked = "example.com", .index = 0, .is_known = true },
        .{ .asked = "WWW.example.com", .index = 0, .is_known = true },
        .{ .asked = "other.example.com", .index = 1, .is_known = true },
        .{ .asked = "common.example.org", .index = 2, .is_known = true },
        .{ .asked = "a.other.example.com", .index = 0, .is_known = false },
        .{ .asked = "nowhere.org", .index = 0, .is_known = false },
        .{ .asked = "", .index = 0, .is_known = false },
    }) |case| {
        errdefer std.debug.print("{s}\n", .{case.asked});
        var link = try links.withOpenssl(site.context, .{ .server_name = case.asked });
        defer link.deinit();
        try link.run();
        try testing.expectEqual(case.index, try shown(site, link.client));
        try testing.expectEqual(case.is_known, link.server.filter.details != null);
    }
}

test "a client gets a certificate that it can verify, whether it asks for a name or for none" {
    const site = try links.siteOf(&.{
        .{ .names = "DNS:localhost" },
        .{ .names = "DNS:localhost", .kind = .rsa2048 },
    }, .{ .version_min = .tls12 });
    defer site.deinit();
    for ([_]u16{ 0x0304, 0x0303 }) |version_max| {
        for ([_][:0]const u8{ "localhost", "nowhere.org", "" }) |name| {
            for ([_][:0]const u8{ "ECDSA+SHA256", "RSA-PSS+SHA256" }, 0..) |signatures, index| {
                errdefer std.debug.print("{x} {s} {s}\n", .{ version_max, name, signatures });
                var link = try links.withOpenssl(site.context, .{
                    .version_max = version_max,
                    .server_name = name,
                    .signatures = signatures,
                });
                defer link.deinit();
                try link.run();
                try testing.expectEqual(index, try shown(site, link.client));
            }
        }
    }
}

test "a name that no certificate has is refused where names are strict" {
    const site = try links.siteOf(&.{.{ .names = "DNS:example.com" }}, .{ .strict_names = true });
    defer site.deinit();
    var link = try links.withOpenssl(site.context, .{ .server_name = "nowhere.org" });
    defer link.deinit();
    try link.run();
    try testing.expectEqual(Alert.unrecognized_name, link.client.alert);
    var unnamed = try links.withOpenssl(site.context, .{});
    defer unnamed.deinit();
    try unnamed.run();
    try testing.expect(unnamed.client.isComplete());
}

test "a staple is sent to those who ask for one" {
    const gpa = testing.allocator;
    const issued = try issuer.issue(.{});
    defer issued.deinit();
    const certificate = try issued.certificatePem(gpa);
    defer gpa.free(certificate);
    const key = try issued.keyPem(gpa);
    defer gpa.free(key);
    const staple = [_]u8{ 0x30, 3, 10, 1, 0 };
    var report: filters.Report = .{ .gpa = gpa };
    defer report.deinit();
    const context = try Context.create(gpa, .{ .certificates = &.{.{
        .certificate = links.textSource("certificate", certificate),
        .key = links.textSource("key", key),
        .staple = links.textSource("staple", &staple),
    }} }, &report);
    defer context.destroy();
    for ([_]bool{ true, false }) |wants| {
        var link = try links.withPicotls(context, .{ .wants_staple = wants });
        defer link.deinit();
        try link.run();
        try testing.expect(link.client.isComplete());
        try testing.expectEqualSlices(u8, if (wants) &staple else "", link.client.staple.slice());
    }
}

// Certificates of clients.

const Authority = struct {
    root: issuer.Issued,
    pem: []u8,

    fn init() !Authority {
        const root = try issuer.issue(.{ .common_name = "an authority", .is_authority = true });
        return .{ .root = root, .pem = try root.certificatePem(testing.allocator) };
    }

    fn deinit(self: Authority) void {
        testing.allocator.free(self.pem);
        self.root.deinit();
    }
};

test "whatever allocation fails, no certificate of a client's is believed that should not be" {
    const authority: Authority = try .init();
    defer authority.deinit();
    const stranger = try issuer.issue(.{ .common_name = "a stranger" });
    defer stranger.deinit();
    const site = try links.site(.{ .clients = .{
        .authorities = links.textSource("authorities", authority.pem),
        .require = false,
    } });
    defer site.deinit();
    {
        var link = try links.withOpenssl(site.context, .{ .certificate = stranger });
        defer link.deinit();
        try link.run(); // libcrypto keeps that it found no memory to look something up
    }
    for ([_]*const fn (u32) void{ &failAfter, &heap.failOnceAfter }) |fail| {
        var count: u32 = 0;
        while (true) : (count += try stride()) {
            try testing.expect(count < 10_000);
            var link = try links.withOpenssl(site.context, .{ .certificate = stranger });
            defer link.deinit();
            try link.step();
            const up = try link.client.out.toOwnedSlice(testing.allocator);
            defer testing.allocator.free(up);
            const refused = heap.counts().refused;
            fail(count);
            defer heap.failAfter(null);
            try link.server.feed(up);
            const filter = &link.server.filter;
            if (filter.isOpen()) try testing.expect(filter.details.?.certificate_error != 0);
            if (heap.counts().refused == refused) break; // it needs no more
        }
        try testing.expect(count > 20);
    }
}

fn failAfter(count: u32) void {
    heap.failAfter(count);
}

// What is wrong with a configuration.

const Files = struct {
    certificate: []const u8,
    key: []const u8,
    staple: ?[]const u8 = null,
    names: []const []const u8 = &.{},
};

/// What comes of a context of these; the words of the report begin and contain so.
fn expectRefused(files: Files, err: anyerror, words: []const u8) !void {
    var report: filters.Report = .{ .gpa = testing.allocator };
    defer report.deinit();
    const made = Context.create(testing.allocator, .{ .certificates = &.{.{
        .certificate = links.textSource("cert.pem", files.certificate),
        .key = links.textSource("key.pem", files.key),
        .staple = if (files.staple) |bytes| links.textSource("staple.der", bytes) else null,
        .names = files.names,
    }} }, &report);
    try testing.expectError(err, made);
    errdefer std.debug.print("{s}\n", .{report.message});
    try testing.expect(std.mem.indexOf(u8, report.message, words) != null);
}

test "what is wrong with files is told, with what helps" {
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    const gpa = arena.allocator();
    const issued = try issuer.issue(.{});
    defer issued.deinit();
    const other = try issuer.issue(.{ .common_name = "another" });
    defer other.deinit();
    const short = try issuer.issue(.{ .kind = .rsa1024 });
    defer short.deinit();
    const certificate = try issued.certificatePem(gpa);
    const key = try issued.keyPem(gpa);
    const foreign = try other.certificatePem(gpa);
    const broken = try std.mem.replaceOwned(u8, gpa, certificate, "MII", "MIJ");
    const both = try std.mem.concat(gpa, u8, &.{ certificate, foreign });
    const torn = try std.mem.concat(gpa, u8, &.{ certificate, broken });
    const locked = try issuer.lockedKeyPem(issued, gpa, "a passphrase");
    const short_key = try short.keyPem(gpa);
    const short_certificate = try short.certificatePem(gpa);
    const bad_key = try std.mem.replaceOwned(u8, gpa, key, "MIG", "MIH");
    const Case = struct { files: Files, err: anyerror, words: []const u8 };
    for ([_]Case{
        .{
            .files = .{ .certificate = "", .key = key },
            .err = error.BadCertificate,
            .words = "cert.pem holds no certificate",
        },
        .{
            .files = .{ .certificate = broken, .key = key },
            .err = error.BadCertificate,
            .words = "cert.pem:1: the certificate that begins here is broken",
        },
        .{
            .files = .{ .certificate = torn, .key = key },
            .err = error.BadCertificate,
            .words = ": the certificate that begins here is broken",
        },
        .{
            .files = .{ .certificate = certificate, .key = certificate },
            .err = error.BadKey,
            .words = "key.pem holds no key",
        },
        .{
            .files = .{ .certificate = certificate, .key = bad_key },
            .err = error.BadKey,
            .words = "the key in key.pem is broken",
        },
        .{
            .files = .{ .certificate = certificate, .key = locked },
            .err = error.EncryptedKey,
            .words = "openssl pkey -in key.pem",
        },
        .{
            .files = .{ .certificate = foreign, .key = key },
            .err = error.KeyMismatch,
            .words = "the key in key.pem is not that of a certificate in cert.pem",
        },
        .{
            .files = .{ .certificate = short_certificate, .key = short_key },
            .err = error.UnsupportedKey,
            .words = "has 1024 bits",
        },
        .{
            .files = .{ .certificate = both, .key = key },
            .err = error.BadChain,
            .words = ": the certificate that begins here did not issue",
        },
        .{
            .files = .{ .certificate = certificate, .key = key, .staple = "-----BEGIN" },
            .err = error.BadStaple,
            .words = "staple.der is no OCSP response",
        },
        .{
            .files = .{ .certificate = certificate, .key = key, .names = &.{"a b"} },
            .err = error.BadName,
            .words = "\"a b\" is no host name",
        },
    }) |case| try expectRefused(case.files, case.err, case.words);
}

test "a file that cannot be read is named" {
    heap.init();
    var report: filters.Report = .{ .gpa = testing.allocator };
    defer report.deinit();
    const made = Context.create(testing.allocator, .{ .certificates = &.{.{
        .certificate = .{ .file = "/nowhere/cert.pem" },
        .key = .{ .file = "/nowhere/key.pem" },
    }} }, &report);
    try testing.expectError(error.Unreadable, made);
    try testing.expect(std.mem.startsWith(u8, report.message, "/nowhere/cert.pem cannot be read"));
}

test "a chain is put in order without its root; an expired certificate is served, with a warning" {
    const gpa = testing.allocator;
    const root = try issuer.issue(.{ .common_name = "root", .is_authority = true });
    defer root.deinit();
    const middle = try issuer.issue(.{
        .common_name = "middle",
        .is_authority = true,
        .issuer = root,
    });
    defer middle.deinit();
    const leaf = try issuer.issue(.{ .common_name = "leaf", .issuer = middle, .until_s = -90_000 });
    defer leaf.deinit();
    var arena: std.heap.ArenaAllocator = .init(gpa);
    defer arena.deinit();
    const parts = [_][]const u8{
        try root.certificatePem(arena.allocator()),
        try middle.certificatePem(arena.allocator()),
        try leaf.certificatePem(arena.allocator()),
    };
    const text = try std.mem.concat(arena.allocator(), u8, &parts);
    const key = try leaf.keyPem(arena.allocator());
    var report: filters.Report = .{ .gpa = gpa };
    defer report.deinit();
    var identity = try @import("certificates.zig").load(
        gpa,
        links.textSource("cert.pem", text),
        links.textSource("key.pem", key),
        &report,
    );
    defer identity.deinit();
    try testing.expectEqual(2, identity.chain.len);
    try testing.expectEqual(0, libcrypto.X509_cmp(identity.chain.get(0), leaf.certificate));
    try testing.expectEqual(0, libcrypto.X509_cmp(identity.chain.get(1), middle.certificate));
    try testing.expectEqual(1, report.warnings.items.len);
    try testing.expect(std.mem.indexOf(u8, report.warnings.items[0], "expired 1 days ago") != null);
}

test "secrets are written in the form of SSLKEYLOGFILE, where that is asked for" {
    var directory = testing.tmpDir(.{});
    defer directory.cleanup();
    const file = try directory.dir.createFile("keys", .{ .read = true });
    defer file.close();
    const site = try links.site(.{ .key_log = file.handle });
    defer site.deinit();
    var link = try links.withOpenssl(site.context, .{});
    defer link.deinit();
    try link.run();
    const text = try directory.dir.readFileAlloc(testing.allocator, "keys", 4096);
    defer testing.allocator.free(text);
    var lines = std.mem.splitScalar(u8, std.mem.trim(u8, text, "\n"), '\n');
    for ([_][]const u8{
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_TRAFFIC_SECRET_0",
        "CLIENT_TRAFFIC_SECRET_0",
    }) |name| {
        var words = std.mem.splitScalar(u8, lines.next().?, ' ');
        try testing.expectEqualStrings(name, words.next().?);
        try testing.expectEqual(64, words.next().?.len);
        try testing.expectEqual(64, words.next().?.len); // AES-128-GCM's hash has 32 bytes
        try testing.expectEqual(null, words.next());
    }
    try testing.expectEqual(null, lines.next());
}
