//! How a server secures its connections: plain data, which every engine knows, also one that has no
//! TLS in it.

const std = @import("std");
const Allocator = std.mem.Allocator;
const limits = @import("../../core/limits.zig");
const TlsVersion = @import("../../core/tls_version.zig").TlsVersion;

pub const Settings = struct {
    /// Clients that ask for no name, or for one that no certificate has, get the first whose
    /// signatures they take.
    certificates: []const Identity = &.{},
    /// For development, in the place of certificates: one that this machine's user is asked to
    /// believe, by an authority of the user's own.
    self_signed: bool = false,
    version_min: TlsVersion = .tls13,
    /// HTTP/2 is offered (ALPN), where the server speaks it.
    http2: bool = true,
    /// A client that asks for a name that no certificate has is refused.
    strict_names: bool = false,
    /// Sessions are resumed.
    tickets: bool = true,
    /// Secrets that tickets are sealed with, 64 hexadecimal digits each. Processes that share them
    /// resume each other's sessions; the first seals, all open. Empty: one of this server's own.
    ticket_secrets: []const []const u8 = &.{},
    /// For how long a session can be resumed, s.
    ticket_lifetime_s: u32 = limits.tls_ticket_lifetime_s_default,
    /// Data that is taken of a client ahead of its handshake (0-RTT), bytes; 0 for none.
    early_data_bytes_max: u32 = 0,
    client_certificates: ClientCertificates = .none,
    /// Whose certificates of clients are believed, PEM.
    client_authorities: ?Source = null,
    /// Path of a file that the secrets of every connection are appended to (SSLKEYLOGFILE); "" for
    /// none. Who reads it can read all that was sent.
    key_log: []const u8 = "",
    /// Value of a Strict-Transport-Security field (RFC 6797) that goes with every response over
    /// TLS; "" sends none.
    hsts: []const u8 = "",
    /// Linux seals the large files that HTTP/1 sends, where it can (kTLS), so that they need not
    /// pass through this process.
    ktls: bool = true,
    /// How often certificates' files are looked at, and read anew when they have changed, and
    /// whether one for development is to be replaced, ms; 0: never.
    reload_ms: u32 = limits.tls_reload_ms_default,

    pub const ClientCertificates = enum { none, request, require };

    pub const Source = union(enum) {
        /// A path.
        file: []const u8,
        /// The contents.
        text: []const u8,

        fn clone(self: Source, arena: Allocator) Allocator.Error!Source {
            return switch (self) {
                .file => |path| .{ .file = try arena.dupe(u8, path) },
                .text => |text| .{ .text = try arena.dupe(u8, text) },
            };
        }
    };

    pub const Identity = struct {
        /// PEM: the certificate, and those between it and its authority, in any order.
        certificate: Source,
        /// PEM, without a passphrase.
        key: Source,
        /// An OCSP response, DER.
        staple: ?Source = null,
        /// The names that it serves; empty for those that it tells itself.
        names: []const []const u8 = &.{},
    };

    pub const Problem = struct { option: []const u8, rule: []const u8 };

    /// The first value that cannot be, with what it would have to be.
    pub fn validate(self: *const Settings) ?Problem {
        if (self.self_signed and self.certificates.len > 0)
            return .{ .option = "tls.certificates", .rule = "none beside self_signed" };
        const is_empty = self.certificates.len == 0 and !self.self_signed;
        if (is_empty or self.certificates.len > limits.tls_certificates_max)
            return .{ .option = "tls.certificates", .rule = "1 to 256 of them" };
        const lifetime_s = self.ticket_lifetime_s;
        if (lifetime_s == 0 or lifetime_s > limits.tls_ticket_lifetime_s_max)
            return .{ .option = "tls.ticket_lifetime_s", .rule = "1 to 604800" };
        if (self.early_data_bytes_max > limits.tls_early_bytes_max_bound)
            return .{ .option = "tls.early_data_bytes_max", .rule = "at most 65536" };
        if (self.early_data_bytes_max > 0 and !self.tickets)
            return .{
                .option = "tls.early_data_bytes_max",
                .rule = "0 without tickets: data comes ahead where a session is resumed",
            };
        for (self.ticket_secrets) |text| if (secretOf(text) == null)
            return .{ .option = "tls.ticket_secrets", .rule = "64 hexadecimal digits each" };
        if (self.ticket_secrets.len > limits.tls_ticket_secrets_max)
            return .{ .option = "tls.ticket_secrets", .rule = "at most 16 of them" };
        const asks = self.client_certificates != .none;
        if (asks != (self.client_authorities != null))
            return .{
                .option = "tls.client_authorities",
                .rule = "there where client_certificates are asked for, and there alone",
            };
        if (asks and self.early_data_bytes_max > 0)
            return .{
                .option = "tls.early_data_bytes_max",
                .rule = "0 where certificates of clients are asked for: sessions are not resumed",
            };
        if (self.hsts.len > 256 or !@import("../../http/fields.zig").isFieldValue(self.hsts))
            return .{ .option = "tls.hsts", .rule = "a field value of at most 256 bytes" };
        return null;
    }

    pub fn secretOf(text: []const u8) ?[32]u8 {
        var out: [32]u8 = undefined;
        if (text.len != 2 * out.len) return null;
        _ = std.fmt.hexToBytes(&out, text) catch return null;
        return out;
    }

    pub fn clone(self: *const Settings, arena: Allocator) Allocator.Error!Settings {
        var out = self.*;
        const identities = try arena.alloc(Identity, self.certificates.len);
        for (self.certificates, identities) |from, *to| to.* = .{
            .certificate = try from.certificate.clone(arena),
            .key = try from.key.clone(arena),
            .staple = if (from.staple) |staple| try staple.clone(arena) else null,
            .names = try cloneTexts(arena, from.names),
        };
        out.certificates = identities;
        out.ticket_secrets = try cloneTexts(arena, self.ticket_secrets);
        if (self.client_authorities) |source| out.client_authorities = try source.clone(arena);
        out.key_log = try arena.dupe(u8, self.key_log);
        out.hsts = try arena.dupe(u8, self.hsts);
        return out;
    }

    fn cloneTexts(arena: Allocator, texts: []const []const u8) Allocator.Error![]const []const u8 {
        const out = try arena.alloc([]const u8, texts.len);
        for (texts, out) |from, *to| to.* = try arena.dupe(u8, from);
        return out;
    }
};

const testing = std.testing;

test "what cannot be is named with its rule" {
    const source: Settings.Source = .{ .text = "" };
    const identities = [_]Settings.Identity{.{ .certificate = source, .key = source }};
    const good: Settings = .{ .certificates = &identities };
    try testing.expectEqual(null, good.validate());
    try testing.expectEqualStrings("tls.certificates", (Settings{}).validate().?.option);
    try testing.expectEqual(null, (Settings{ .self_signed = true }).validate());
    var bad = good;
    bad.self_signed = true;
    try testing.expectEqualStrings("tls.certificates", bad.validate().?.option);
    bad = good;
    bad.ticket_secrets = &.{"00"};
    try testing.expectEqualStrings("tls.ticket_secrets", bad.validate().?.option);
    bad.ticket_secrets = &.{"0g" ** 32};
    try testing.expectEqualStrings("tls.ticket_secrets", bad.validate().?.option);
    bad.ticket_secrets = &.{"0f" ** 32};
    try testing.expectEqual(null, bad.validate());
    bad.client_certificates = .require;
    try testing.expectEqualStrings("tls.client_authorities", bad.validate().?.option);
    bad.client_authorities = source;
    try testing.expectEqual(null, bad.validate());
    bad.early_data_bytes_max = 1;
    try testing.expectEqualStrings("tls.early_data_bytes_max", bad.validate().?.option);
    var unresumed = good;
    unresumed.tickets = false;
    try testing.expectEqual(null, unresumed.validate());
    unresumed.early_data_bytes_max = 1;
    try testing.expectEqualStrings("tls.early_data_bytes_max", unresumed.validate().?.option);
    var pinned = good;
    pinned.hsts = "max-age=1\r\nA: b";
    try testing.expectEqualStrings("tls.hsts", pinned.validate().?.option);
}

test "a copy shares nothing with what it was made of" {
    var arena = std.heap.ArenaAllocator.init(testing.allocator);
    defer arena.deinit();
    var path = "a.pem".*;
    const settings: Settings = .{
        .certificates = &.{.{ .certificate = .{ .file = &path }, .key = .{ .file = &path } }},
    };
    const copy = try settings.clone(arena.allocator());
    path[0] = 'b';
    try testing.expectEqualStrings("a.pem", copy.certificates[0].key.file);
}
