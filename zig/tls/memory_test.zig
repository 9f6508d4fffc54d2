//! What becomes of handshakes for which there is no memory: each ends with an error or serves, and
//! gives back what it has taken. The usual ones are in filter_test.zig.

const std = @import("std");
const testing = std.testing;
const filters = @import("filter.zig");
const Alert = filters.Alert;
const heap = @import("heap.zig");
const issuer = @import("testing/issuer.zig");
const links = @import("testing/link.zig");
const stride = @import("testing/stride.zig").stride;
const openssl_client = @import("testing/openssl_client.zig");

const Kind = enum {
    /// The client is asked for another share.
    retried,
    resumed,
    /// With data ahead.
    early,
    /// The client shows a certificate.
    certified,
};

/// Which of the client's flights finds no memory.
const Flight = enum { first, second };

const early = "GET / HTTP/1.1\r\n\r\n";

const Case = struct {
    site: links.Site,
    kind: Kind,
    certificate: issuer.Issued,

    /// Has the allocation behind `count` others fail, and all behind it unless `once`. False: there
    /// were not so many.
    fn fail(self: Case, flight: Flight, count: u32, once: bool) !bool {
        errdefer std.debug.print("{s}, {s} flight, allocation {d}\n", .{
            @tagName(self.kind),
            @tagName(flight),
            count,
        });
        const gpa = testing.allocator;
        var options: openssl_client.Options = .{ .server_name = "localhost" };
        var former: ?links.OpensslLink = null; // a session ends with what it was given by
        defer if (former) |*link| link.deinit();
        switch (self.kind) {
            .retried => options.groups = "P-521:X25519",
            .certified => options.certificate = self.certificate,
            .resumed, .early => {
                former = try links.withOpenssl(self.site.context, options);
                try former.?.run();
                options.session = former.?.client.takeSession();
                if (self.kind == .early) options.early = early;
            },
        }
        var link = try links.withOpenssl(self.site.context, options);
        defer link.deinit();
        if (flight == .second) try link.step();
        const up = try link.client.out.toOwnedSlice(gpa);
        defer gpa.free(up);
        const refused = heap.counts().refused;
        if (once) heap.failOnceAfter(count) else heap.failAfter(count);
        defer heap.failAfter(null);
        try link.server.feed(up);
        const was_refused = heap.counts().refused != refused;
        heap.failAfter(null);
        const filter = &link.server.filter;
        try testing.expect(!filter.hasOutput());
        if (!was_refused and self.kind == .resumed) try testing.expect(filter.is_resumed);
        if (!was_refused and self.kind == .early)
            try testing.expectEqualStrings(early, link.server.early.items);
        const failure = filter.failure orelse return was_refused;
        try testing.expectEqual(filters.Failure.By.us, failure.by);
        switch (failure.alert) {
            // libcrypto does not say why it takes neither share, signature nor record.
            .internal_error, .illegal_parameter, .decrypt_error, .bad_record_mac => {},
            .bad_certificate, .certificate_unknown, .unknown_ca, .handshake_failure => {},
            else => |alert| try testing.expectEqual(Alert.internal_error, alert),
        }
        return was_refused;
    }

    fn failEach(self: Case) !void {
        for ([_]Flight{ .first, .second }) |flight| for ([_]bool{ false, true }) |once| {
            var count: u32 = 0;
            while (try self.fail(flight, count, once)) count += try stride();
            try testing.expect(count > 0 and count < 10_000);
        };
    }
};

test "whatever allocation fails, in whatever handshake, it ends with an error or serves" {
    const root = try issuer.issue(.{ .common_name = "an authority", .is_authority = true });
    defer root.deinit();
    const pem = try root.certificatePem(testing.allocator);
    defer testing.allocator.free(pem);
    const certificate = try issuer.issue(.{ .common_name = "a client", .issuer = root });
    defer certificate.deinit();
    const site = try links.site(.{ .early_bytes_max = 1000 });
    defer site.deinit();
    const asking = try links.site(.{ .clients = .{
        .authorities = links.textSource("authorities", pem),
        .require = true,
    } });
    defer asking.deinit();
    for (std.enums.values(Kind)) |kind| {
        const case: Case = .{
            .site = if (kind == .certified) asking else site,
            .kind = kind,
            .certificate = certificate,
        };
        // libcrypto keeps what it looks up, and that it found no memory to look up.
        _ = try case.fail(.first, std.math.maxInt(u32), false);
        _ = try case.fail(.second, std.math.maxInt(u32), false);
        try case.failEach(); // and what it has to say of that
        const before = heap.counts().bytes;
        try case.failEach();
        try testing.expectEqual(before, heap.counts().bytes);
    }
}
