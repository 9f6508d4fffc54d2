//! Keys and certificates for tests, made by libcrypto when they are asked for.

const std = @import("std");
const Allocator = std.mem.Allocator;
const heap = @import("../heap.zig");
const libcrypto = @import("../libcrypto.zig");
const Bio = libcrypto.Bio;
const Name = libcrypto.Name;
const Pkey = libcrypto.Pkey;
const X509 = libcrypto.X509;

extern fn EVP_PKEY_Q_keygen(?*anyopaque, ?[*:0]const u8, kind: [*:0]const u8, ...) ?*Pkey;
extern fn X509_new() ?*X509;
extern fn X509_set_version(*X509, c_long) c_int;
extern fn X509_get_serialNumber(*X509) *anyopaque;
extern fn ASN1_INTEGER_set_uint64(*anyopaque, u64) c_int;
extern fn X509_getm_notBefore(*X509) *anyopaque;
extern fn X509_getm_notAfter(*X509) *anyopaque;
extern fn X509_gmtime_adj(*anyopaque, c_long) ?*anyopaque;
extern fn X509_set_pubkey(*X509, *Pkey) c_int;
extern fn X509_set_issuer_name(*X509, *Name) c_int;
extern fn X509_NAME_add_entry_by_txt(
    *Name,
    field: [*:0]const u8,
    kind: c_int,
    [*]const u8,
    c_int,
    c_int,
    c_int,
) c_int;
extern fn X509V3_EXT_conf_nid(
    ?*anyopaque,
    ?*anyopaque,
    nid: c_int,
    value: [*:0]const u8,
) ?*anyopaque;
extern fn X509_add_ext(*X509, *anyopaque, c_int) c_int;
extern fn X509_EXTENSION_free(*anyopaque) void;
extern fn X509_sign(*X509, *Pkey, digest: ?*const anyopaque) c_int;
extern fn EVP_sha256() *const anyopaque;
extern fn EVP_aes_256_cbc() *const anyopaque;
extern fn BIO_s_mem() *const anyopaque;
extern fn BIO_new(*const anyopaque) ?*Bio;
extern fn BIO_ctrl(*Bio, c_int, c_long, ?*anyopaque) c_long;
extern fn PEM_write_bio_X509(*Bio, *X509) c_int;
extern fn PEM_write_bio_PrivateKey(
    *Bio,
    *Pkey,
    cipher: ?*const anyopaque,
    password: ?[*]const u8,
    c_int,
    ?*const anyopaque,
    ?*anyopaque,
) c_int;

const nid_basic_constraints = 87;
const mbstring_ascii = 0x1001;
const ctrl_info = 3;

pub const Kind = enum { p256, p384, ed25519, rsa1024, rsa2048 };

/// A key and a certificate for it.
pub const Issued = struct {
    key: *Pkey,
    certificate: *X509,

    pub fn deinit(self: Issued) void {
        libcrypto.EVP_PKEY_free(self.key);
        libcrypto.X509_free(self.certificate);
    }

    /// PEM; to be freed.
    pub fn certificatePem(self: Issued, gpa: Allocator) ![]u8 {
        const bio = BIO_new(BIO_s_mem()).?;
        defer _ = libcrypto.BIO_free(bio);
        if (PEM_write_bio_X509(bio, self.certificate) != 1) return error.Libcrypto;
        return textOf(gpa, bio);
    }

    pub fn keyPem(self: Issued, gpa: Allocator) ![]u8 {
        return self.keyPemWith(gpa, null);
    }

    /// Locked with a passphrase, if there is one.
    pub fn keyPemWith(self: Issued, gpa: Allocator, password: ?[]const u8) ![]u8 {
        const bio = BIO_new(BIO_s_mem()).?;
        defer _ = libcrypto.BIO_free(bio);
        const cipher = if (password != null) EVP_aes_256_cbc() else null;
        const word = if (password) |text| text.ptr else null;
        const len: c_int = if (password) |text| @intCast(text.len) else 0;
        if (PEM_write_bio_PrivateKey(bio, self.key, cipher, word, len, null, null) != 1)
            return error.Libcrypto;
        return textOf(gpa, bio);
    }
};

fn textOf(gpa: Allocator, bio: *Bio) ![]u8 {
    var text: [*]const u8 = undefined;
    const len = BIO_ctrl(bio, ctrl_info, 0, @ptrCast(&text));
    return gpa.dupe(u8, text[0..@intCast(len)]);
}

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
        .p256 => EVP_PKEY_Q_keygen(null, null, "EC", @as([*:0]const u8, "P-256")),
        .p384 => EVP_PKEY_Q_keygen(null, null, "EC", @as([*:0]const u8, "P-384")),
        .ed25519 => EVP_PKEY_Q_keygen(null, null, "ED25519"),
        .rsa1024 => EVP_PKEY_Q_keygen(null, null, "RSA", @as(usize, 1024)),
        .rsa2048 => EVP_PKEY_Q_keygen(null, null, "RSA", @as(usize, 2048)),
    } orelse return error.Libcrypto;
    errdefer libcrypto.EVP_PKEY_free(key);
    const certificate = X509_new() orelse return error.Libcrypto;
    errdefer libcrypto.X509_free(certificate);
    _ = X509_set_version(certificate, 2);
    serial += 1;
    _ = ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial);
    _ = X509_gmtime_adj(X509_getm_notBefore(certificate), options.from_s);
    _ = X509_gmtime_adj(X509_getm_notAfter(certificate), options.until_s);
    _ = X509_set_pubkey(certificate, key);
    const subject = libcrypto.X509_get_subject_name(certificate);
    const name = options.common_name;
    _ = X509_NAME_add_entry_by_txt(
        subject,
        "CN",
        mbstring_ascii,
        name.ptr,
        @intCast(name.len),
        -1,
        0,
    );
    const issuer = if (options.issuer) |issued|
        libcrypto.X509_get_subject_name(issued.certificate)
    else
        subject;
    _ = X509_set_issuer_name(certificate, issuer);
    if (options.names) |names| try extend(certificate, libcrypto.nid_subject_alt_name, names);
    if (options.is_authority) try extend(certificate, nid_basic_constraints, "critical,CA:TRUE");
    const signing = if (options.issuer) |issued| issued.key else key;
    const is_edwards = libcrypto.EVP_PKEY_get_id(signing) == 1087;
    if (X509_sign(certificate, signing, if (is_edwards) null else EVP_sha256()) == 0)
        return error.Libcrypto;
    return .{ .key = key, .certificate = certificate };
}

fn extend(certificate: *X509, nid: c_int, value: [:0]const u8) !void {
    const extension = X509V3_EXT_conf_nid(null, null, nid, value) orelse return error.Libcrypto;
    defer X509_EXTENSION_free(extension);
    _ = X509_add_ext(certificate, extension, -1);
}
