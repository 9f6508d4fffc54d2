//! The part of libcrypto's ABI that is used, declared by hand. Its objects are opaque.

pub const Bio = opaque {};
pub const Pkey = opaque {};
pub const X509 = opaque {};
pub const Store = opaque {};
pub const Name = opaque {};
pub const Stack = opaque {};
pub const Time = opaque {};
pub const Integer = opaque {};
pub const String = opaque {};

/// GENERAL_NAME.
pub const GeneralName = extern struct {
    kind: c_int,
    value: *String,
};

pub const general_name_dns = 2;
pub const nid_subject_alt_name = 85;
pub const nid_common_name = 13;
/// V_ASN1_UTF8STRING and others of ASN1_STRING_to_UTF8 are told by it.
pub const x509_ok = 0;

pub const PasswordCallback = *const fn (
    out: [*]u8,
    size: c_int,
    is_writing: c_int,
    context: ?*anyopaque,
) callconv(.c) c_int;

pub extern fn BIO_new_mem_buf(bytes: [*]const u8, len: c_int) ?*Bio;
pub extern fn BIO_free(*Bio) c_int;

pub extern fn PEM_read_bio_X509(*Bio, ?*?*X509, ?PasswordCallback, ?*anyopaque) ?*X509;
pub extern fn PEM_read_bio_PrivateKey(*Bio, ?*?*Pkey, ?PasswordCallback, ?*anyopaque) ?*Pkey;

pub extern fn EVP_PKEY_free(?*Pkey) void;
pub extern fn EVP_PKEY_get_id(*const Pkey) c_int;
pub extern fn EVP_PKEY_get_bits(*const Pkey) c_int;

pub extern fn X509_free(?*X509) void;
pub extern fn X509_up_ref(*X509) c_int;
pub extern fn X509_check_private_key(*const X509, *const Pkey) c_int;
pub extern fn X509_check_issued(issuer: *X509, subject: *X509) c_int;
pub extern fn X509_get0_notBefore(*const X509) *const Time;
pub extern fn X509_get0_notAfter(*const X509) *const Time;
pub extern fn X509_cmp(*const X509, *const X509) c_int;
pub extern fn X509_get_subject_name(*const X509) *Name;
pub extern fn X509_get_ext_d2i(*const X509, nid: c_int, ?*c_int, ?*c_int) ?*anyopaque;
pub extern fn X509_NAME_get_text_by_NID(*Name, nid: c_int, out: [*]u8, len: c_int) c_int;
pub extern fn ASN1_TIME_diff(
    days: *c_int,
    seconds: *c_int,
    from: ?*const Time,
    to: *const Time,
) c_int;
pub extern fn ASN1_STRING_get0_data(*const String) [*]const u8;
pub extern fn ASN1_STRING_length(*const String) c_int;
pub extern fn GENERAL_NAMES_free(?*anyopaque) void;
/// With null for `out` how long it is; else `out` is moved behind what was written.
pub extern fn i2d_X509(*const X509, out: ?*[*]u8) c_int;
pub extern fn i2d_X509_NAME(*const Name, out: ?*[*]u8) c_int;

pub extern fn X509_STORE_new() ?*Store;
pub extern fn X509_STORE_free(?*Store) void;
pub extern fn X509_STORE_add_cert(*Store, *X509) c_int;

pub extern fn OPENSSL_sk_num(?*const Stack) c_int;
pub extern fn OPENSSL_sk_value(?*const Stack, c_int) ?*anyopaque;

pub extern fn ERR_get_error() c_ulong;
pub extern fn ERR_clear_error() void;
pub extern fn ERR_reason_error_string(c_ulong) ?[*:0]const u8;
/// 0 is OPENSSL_VERSION, the text.
pub extern fn OpenSSL_version(kind: c_int) [*:0]const u8;

extern fn EVP_MD_fetch(?*anyopaque, [*:0]const u8, ?[*:0]const u8) ?*anyopaque;
extern fn EVP_MD_free(?*anyopaque) void;
extern fn EVP_CIPHER_fetch(?*anyopaque, [*:0]const u8, ?[*:0]const u8) ?*anyopaque;
extern fn EVP_CIPHER_free(?*anyopaque) void;
extern fn EVP_MAC_fetch(?*anyopaque, [*:0]const u8, ?[*:0]const u8) ?*anyopaque;
extern fn EVP_MAC_free(?*anyopaque) void;
extern fn EVP_KDF_fetch(?*anyopaque, [*:0]const u8, ?[*:0]const u8) ?*anyopaque;
extern fn EVP_KDF_free(?*anyopaque) void;
extern fn EVP_KEYMGMT_fetch(?*anyopaque, [*:0]const u8, ?[*:0]const u8) ?*anyopaque;
extern fn EVP_KEYMGMT_free(?*anyopaque) void;
extern fn EVP_KEYEXCH_fetch(?*anyopaque, [*:0]const u8, ?[*:0]const u8) ?*anyopaque;
extern fn EVP_KEYEXCH_free(?*anyopaque) void;
extern fn EVP_SIGNATURE_fetch(?*anyopaque, [*:0]const u8, ?[*:0]const u8) ?*anyopaque;
extern fn EVP_SIGNATURE_free(?*anyopaque) void;
extern fn EVP_KEM_fetch(?*anyopaque, [*:0]const u8, ?[*:0]const u8) ?*anyopaque;
extern fn EVP_KEM_free(?*anyopaque) void;

/// Has libcrypto look up an algorithm of each kind that handshakes use. The first look-up of a kind
/// finds all of it, or, where memory is short, nothing, and then nothing ever after: so it is made
/// when a server starts.
pub fn lookUp() error{OutOfMemory}!void {
    inline for (.{
        .{ EVP_MD_fetch, EVP_MD_free, "SHA256" },
        .{ EVP_CIPHER_fetch, EVP_CIPHER_free, "AES-128-GCM" },
        .{ EVP_MAC_fetch, EVP_MAC_free, "HMAC" },
        .{ EVP_KDF_fetch, EVP_KDF_free, "HKDF" },
        .{ EVP_KEYMGMT_fetch, EVP_KEYMGMT_free, "X25519" },
        .{ EVP_KEYEXCH_fetch, EVP_KEYEXCH_free, "X25519" },
        .{ EVP_SIGNATURE_fetch, EVP_SIGNATURE_free, "ECDSA" },
        .{ EVP_KEM_fetch, EVP_KEM_free, "ML-KEM-768" },
    }) |kind| {
        const fetch, const free, const name = kind;
        free(fetch(null, name, null) orelse return error.OutOfMemory);
    }
}
