//! Certificates that are issued here: for development, and for tests.

const std = @import("std");
const Allocator = std.mem.Allocator;
const libcrypto = @import("libcrypto.zig");
const Bio = libcrypto.Bio;
const Name = libcrypto.Name;
const Pkey = libcrypto.Pkey;
const X509 = libcrypto.X509;

extern fn EVP_PKEY_Q_keygen(?*anyopaque, ?[*:0]const u8, kind: [*:0]const u8, ...) ?*Pkey;
extern fn X509_new() ?*X509;
extern fn X509_set_version(*X509, c_long) c_int;
extern fn X509_get_serialNumber(*X509) *libcrypto.Integer;
extern fn ASN1_INTEGER_set_uint64(*libcrypto.Integer, u64) c_int;
extern fn X509_getm_notBefore(*X509) *libcrypto.Time;
extern fn X509_getm_notAfter(*X509) *libcrypto.Time;
extern fn X509_gmtime_adj(*libcrypto.Time, c_long) ?*libcrypto.Time;
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
    *const ExtensionContext,
    nid: c_int,
    value: [*:0]const u8,
) ?*Made;
extern fn X509_add_ext(*X509, *Made, c_int) c_int;
extern fn X509_EXTENSION_free(*Made) void;
extern fn X509_sign(*X509, *Pkey, digest: ?*const anyopaque) c_int;
extern fn EVP_sha256() *const anyopaque;
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

const Made = opaque {};

/// X509V3_CTX: what extensions are made from.
const ExtensionContext = extern struct {
    flags: c_int = 0,
    issuer: *X509,
    subject: *X509,
    request: ?*anyopaque = null,
    revocations: ?*anyopaque = null,
    methods: ?*anyopaque = null,
    database: ?*anyopaque = null,
    issuer_key: ?*Pkey = null,
};

const mbstring_utf8 = 0x1000;
const ctrl_info = 3;
const pkey_ed25519 = 1087;

/// By numbers of libcrypto's objects.
pub const Kind = enum(c_int) {
    subject_key_identifier = 82,
    key_usage = 83,
    subject_alt_name = 85,
    basic_constraints = 87,
    authority_key_identifier = 90,
    extended_key_usage = 126,
    name_constraints = 666,
};

/// In the form of openssl.cnf: "critical,CA:TRUE".
pub const Extension = struct { kind: Kind, value: [:0]const u8 };

pub const Error = error{
    /// libcrypto could not: there was no memory, or a value has not the form that it has to have.
    Libcrypto,
};

/// A key and a certificate for it.
pub const Issued = struct {
    key: *Pkey,
    certificate: *X509,

    pub fn deinit(self: Issued) void {
        libcrypto.EVP_PKEY_free(self.key);
        libcrypto.X509_free(self.certificate);
    }

    /// PEM; to be freed.
    pub fn certificatePem(self: Issued, gpa: Allocator) (Allocator.Error || Error)![]u8 {
        const bio = BIO_new(BIO_s_mem()) orelse return error.Libcrypto;
        defer _ = libcrypto.BIO_free(bio);
        if (PEM_write_bio_X509(bio, self.certificate) != 1) return error.Libcrypto;
        return textOf(gpa, bio);
    }

    /// PEM; to be wiped and freed.
    pub fn keyPem(self: Issued, gpa: Allocator) (Allocator.Error || Error)![]u8 {
        return self.keyPemWith(gpa, null, "");
    }

    /// Locked by a cipher with a passphrase, if there is one.
    pub fn keyPemWith(
        self: Issued,
        gpa: Allocator,
        cipher: ?*const anyopaque,
        password: []const u8,
    ) (Allocator.Error || Error)![]u8 {
        const bio = BIO_new(BIO_s_mem()) orelse return error.Libcrypto;
        defer _ = libcrypto.BIO_free(bio);
        const word = if (cipher == null) null else password.ptr;
        const len: c_int = @intCast(password.len);
        if (PEM_write_bio_PrivateKey(bio, self.key, cipher, word, len, null, null) != 1)
            return error.Libcrypto;
        return textOf(gpa, bio);
    }
};

fn textOf(gpa: Allocator, bio: *Bio) Allocator.Error![]u8 {
    var text: [*]const u8 = undefined;
    const len = BIO_ctrl(bio, ctrl_info, 0, @ptrCast(&text));
    return gpa.dupe(u8, text[0..@intCast(len)]);
}

/// On the curve P-256.
pub fn newKey() Error!*Pkey {
    return EVP_PKEY_Q_keygen(null, null, "EC", @as([*:0]const u8, "P-256")) orelse
        error.Libcrypto;
}

pub const Options = struct {
    common_name: []const u8,
    extensions: []const Extension = &.{},
    /// Null: it signs itself.
    issuer: ?Issued = null,
    serial: u64,
    /// From now, s.
    from_s: c_long,
    until_s: c_long,
};

/// Issues a certificate for `key`, which is the result's then.
pub fn certify(key: *Pkey, options: Options) Error!Issued {
    const certificate = X509_new() orelse return error.Libcrypto;
    errdefer libcrypto.X509_free(certificate);
    const version_3 = 2;
    try check(X509_set_version(certificate, version_3));
    try check(ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), options.serial));
    _ = X509_gmtime_adj(X509_getm_notBefore(certificate), options.from_s) orelse
        return error.Libcrypto;
    _ = X509_gmtime_adj(X509_getm_notAfter(certificate), options.until_s) orelse
        return error.Libcrypto;
    try check(X509_set_pubkey(certificate, key));
    const subject = libcrypto.X509_get_subject_name(certificate);
    const name = options.common_name;
    const len: c_int = @intCast(name.len);
    try check(X509_NAME_add_entry_by_txt(subject, "CN", mbstring_utf8, name.ptr, len, -1, 0));
    const signing = options.issuer orelse Issued{ .key = key, .certificate = certificate };
    const issuer_name = libcrypto.X509_get_subject_name(signing.certificate);
    try check(X509_set_issuer_name(certificate, issuer_name));
    const context: ExtensionContext = .{ .issuer = signing.certificate, .subject = certificate };
    for (options.extensions) |extension| {
        const nid = @intFromEnum(extension.kind);
        const made = X509V3_EXT_conf_nid(null, &context, nid, extension.value) orelse
            return error.Libcrypto;
        defer X509_EXTENSION_free(made);
        try check(X509_add_ext(certificate, made, -1));
    }
    const is_edwards = libcrypto.EVP_PKEY_get_id(signing.key) == pkey_ed25519;
    if (X509_sign(certificate, signing.key, if (is_edwards) null else EVP_sha256()) == 0)
        return error.Libcrypto;
    return .{ .key = key, .certificate = certificate };
}

fn check(result: c_int) Error!void {
    if (result != 1) return error.Libcrypto;
}
