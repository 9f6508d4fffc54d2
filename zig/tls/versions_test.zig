//! What is the same in TLS 1.3 and 1.2, against OpenSSL as a client of either.

const std = @import("std");
const testing = std.testing;
const Alert = @import("alert.zig").Alert;
const certificates = @import("certificates.zig");
const Context = @import("context.zig").Context;
const issuer = @import("testing/issuer.zig");
const links = @import("testing/link.zig");
const openssl_client = @import("testing/openssl_client.zig");

/// The newest version that a client speaks.
const Version = enum(u16) { tls12 = 0x0303, tls13 = 0x0304 };
const versions = std.enums.values(Version);

/// A site that serves both.
fn siteWith(settings: Context.Settings) !links.Site {
    var both = settings;
    both.version_min = .tls12;
    return links.site(both);
}

/// A connection whose handshake is over as far as it goes.
fn linkOf(
    site: links.Site,
    version: Version,
    options: openssl_client.Options,
) !links.OpensslLink {
    var own = options;
    own.version_max = @intFromEnum(version);
    var link = try links.withOpenssl(site.context, own);
    errdefer link.deinit();
    try link.run();
    return link;
}

test "each side says that it sends no more, and the other may go on" {
    const site = try siteWith(.{});
    defer site.deinit();
    for (versions) |version| {
        errdefer std.debug.print("{s}\n", .{@tagName(version)});
        var link = try linkOf(site, version, .{});
        defer link.deinit();
        try link.client.send("the last");
        try link.client.shutdown();
        try link.run();
        const filter = &link.server.filter;
        try testing.expect(filter.hasPeerClosed() and filter.failure == null);
        try testing.expectEqualStrings("the last", link.server.text.items);
        try link.server.send("an answer");
        filter.close();
        try testing.expect(filter.hasOutput() and !link.client.closed);
        try link.server.flush();
        try link.run();
        try testing.expectEqualStrings("an answer", link.client.text.items);
        try testing.expect(link.client.closed and !filter.hasOutput());
        filter.close(); // says nothing twice
        try testing.expect(!filter.hasOutput());
    }
}

test "this side may say first that it sends no more, and still reads" {
    const site = try siteWith(.{});
    defer site.deinit();
    for (versions) |version| {
        errdefer std.debug.print("{s}\n", .{@tagName(version)});
        var link = try linkOf(site, version, .{});
        defer link.deinit();
        const filter = &link.server.filter;
        filter.close();
        try link.server.flush();
        try link.client.send("on its way");
        try link.run();
        try testing.expect(link.client.closed and filter.failure == null);
        try testing.expectEqualStrings("on its way", link.server.text.items);
    }
}

test "the caller ends a connection with an alert of its choosing" {
    const site = try siteWith(.{});
    defer site.deinit();
    for (versions) |version| {
        errdefer std.debug.print("{s}\n", .{@tagName(version)});
        var link = try linkOf(site, version, .{});
        defer link.deinit();
        link.server.filter.abort(.access_denied);
        try link.server.flush();
        try link.run();
        try testing.expectEqual(Alert.access_denied, link.client.alert);
    }
}

test "a certificate of the client's is asked for, believed or refused, and told" {
    const gpa = testing.allocator;
    const root = try issuer.issue(.{ .common_name = "an authority", .is_authority = true });
    defer root.deinit();
    const pem = try root.certificatePem(gpa);
    defer gpa.free(pem);
    const believed = try issuer.issue(.{ .common_name = "a client", .issuer = root });
    defer believed.deinit();
    const expired = try issuer.issue(.{ .issuer = root, .until_s = -60 });
    defer expired.deinit();
    const ed25519 = try issuer.issue(.{ .common_name = "a stranger", .kind = .ed25519 });
    defer ed25519.deinit();
    const rsa = try issuer.issue(.{ .common_name = "a stranger", .kind = .rsa2048 });
    defer rsa.deinit();
    const Case = struct {
        version: Version,
        shows: ?issuer.Issued,
        /// Where one is required; null: it is believed.
        alert: ?Alert,
    };
    for ([_]bool{ true, false }) |require| {
        const site = try siteWith(.{ .clients = .{
            .authorities = links.textSource("authorities", pem),
            .require = require,
        } });
        defer site.deinit();
        for ([_]Case{
            .{ .version = .tls13, .shows = believed, .alert = null },
            .{ .version = .tls13, .shows = expired, .alert = .certificate_expired },
            .{ .version = .tls13, .shows = ed25519, .alert = .certificate_unknown },
            .{ .version = .tls13, .shows = null, .alert = .certificate_required },
            .{ .version = .tls12, .shows = believed, .alert = null },
            .{ .version = .tls12, .shows = expired, .alert = .certificate_expired },
            .{ .version = .tls12, .shows = rsa, .alert = .unknown_ca },
            .{ .version = .tls12, .shows = null, .alert = .handshake_failure },
        }) |case| {
            errdefer std.debug.print("{s} {?}\n", .{ @tagName(case.version), case.alert });
            var link = try linkOf(site, case.version, .{ .certificate = case.shows });
            defer link.deinit();
            if (require) {
                try testing.expectEqual(case.alert, link.client.alert);
                if (case.alert != null) continue;
            }
            const filter = &link.server.filter;
            try testing.expect(filter.isOpen());
            try link.client.send("hello");
            try link.run();
            try testing.expectEqualStrings("hello", link.server.text.items);
            try testing.expectEqual(null, link.client.session); // each shows its certificate again
            const shows = case.shows orelse {
                try testing.expectEqual(null, filter.details);
                continue;
            };
            const details = filter.details.?;
            const der = try certificates.derOf(gpa, shows.certificate);
            defer gpa.free(der);
            try testing.expectEqualSlices(u8, der, details.certificate);
            try testing.expectEqual(case.alert == null, details.certificate_error == 0);
        }
    }
}
