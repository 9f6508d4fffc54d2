//! Keys and certificates for tests, made when they are asked for.

const std = @import("std");
const Allocator = std.mem.Allocator;
const heap = @import("../heap.zig");
const issuer = @import("../issuer.zig");
pub const Issued = issuer.Issued;
const libcrypto = @import("../libcrypto.zig");
const Pkey = libcrypto.Pkey;

extern fn EVP_PKEY_Q_keygen(?*anyopaque, ?[*:0]const u8, kind: [*:0]const u8, ...) ?*Pkey;
extern fn EVP_aes_256_cbc() *const anyopaque;

pub const Kind = enum { p256, p384, ed25519, rsa1024, rsa2048 };

pub const Options = struct {
    kind: Kind = .p256,
    common_name: []const u8 = "a test",
    /// In the form of openssl.cnf: "DNS:example.com,DNS:*.example.com".
    names: ?[:0]const u8 = null,
    is_authority: bool = false,
    /// Null: it signs itself.
    issuer: ?Issued = null,
    /// From now, s.
    from_s: c_long = -3600,
    until_s: c_long = 30 * 24 * 3600,
};

var serial: u64 = 1;

pub fn issue(options: Options) !Issued {
    heap.init();
    const key = switch (options.kind) {
        .p256 => try issuer.newKey(),
        .p384 => EVP_PKEY_Q_keygen(null, null, "EC", @as([*:0]const u8, "P-384")),
        .ed25519 => EVP_PKEY_Q_keygen(null, null, "ED25519"),
        .rsa1024 => EVP_PKEY_Q_keygen(null, null, "RSA", @as(usize, 1024)),
        .rsa2048 => EVP_PKEY_Q_keygen(null, null, "RSA", @as(usize, 2048)),
    } orelse return error.Libcrypto;
    errdefer libcrypto.EVP_PKEY_free(key);
    serial += 1;
    var extensions: std.BoundedArray(issuer.Extension, 2) = .{};
    if (options.names) |names|
        extensions.appendAssumeCapacity(.{ .kind = .subject_alt_name, .value = names });
    if (options.is_authority)
        extensions.appendAssumeCapacity(.{
            .kind = .basic_constraints,
            .value = "critical,CA:TRUE",
        });
    return issuer.certify(key, .{
        .common_name = options.common_name,
        .extensions = extensions.constSlice(),
        .issuer = options.issuer,
        .serial = serial,
        .from_s = options.from_s,
        .until_s = options.until_s,
    });
}

/// The key, PEM, locked with a passphrase; to be freed.
pub fn lockedKeyPem(issued: Issued, gpa: Allocator, password: []const u8) ![]u8 {
    return issued.keyPemWith(gpa, EVP_aes_256_cbc(), password);
}
