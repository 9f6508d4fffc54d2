//! The part of libssl's ABI that is used, declared by hand. Its objects are opaque.

const libcrypto = @import("libcrypto.zig");
const Bio = libcrypto.Bio;

pub const Ctx = opaque {};
pub const Ssl = opaque {};
pub const Method = opaque {};
pub const Cipher = opaque {};
pub const StoreCtx = opaque {};
pub const CipherCtx = opaque {};
pub const MacCtx = opaque {};

pub const tls12: c_int = 0x0303;
pub const tls13: c_int = 0x0304;

/// Commands of SSL_CTX_ctrl and SSL_ctrl, and of SSL_CTX_callback_ctrl, which takes a function.
pub const ctrl_mode = 33;
pub const ctrl_session_cache_mode = 44;
pub const ctrl_max_cert_list = 51;
pub const ctrl_servername_callback = 53;
pub const ctrl_status_callback = 63;
pub const ctrl_status_type = 65;
pub const ctrl_status_response = 71;
pub const ctrl_chain_certificate = 89;
pub const ctrl_groups_list = 92;
pub const ctrl_min_version = 123;
pub const ctrl_max_version = 124;

pub const mode_no_auto_chain = 0x8;
pub const mode_release_buffers = 0x10;

pub const op_no_ticket = 1 << 14;
pub const op_no_compression = 1 << 17;
pub const op_prioritize_chacha = 1 << 21;
pub const op_server_preference = 1 << 22;
pub const op_no_renegotiation = 1 << 30;

pub const verify_peer = 1;
pub const verify_required = 2;

pub const error_want_read = 2;
pub const error_zero_return = 6;

/// Bits of what an info callback is told of.
pub const where_read = 0x04;
pub const where_write = 0x08;
pub const where_alert = 0x4000;
pub const level_warning = 1;
pub const level_fatal = 2;

/// status_request (RFC 6066 §8): its number, and the one kind of status.
pub const extension_status_request = 5;
pub const status_ocsp = 1;

/// Where an extension of one's own may stand: in a ClientHello, and in the answer where no session
/// is resumed.
pub const extension_in_hellos = 0x40 | 0x80 | extension_in_server_hello;
/// Of TLS 1.2.
pub const extension_in_server_hello = 0x100;

/// What callbacks about extensions answer.
pub const ext_ok = 0;
pub const ext_fatal = 2;
pub const ext_no_ack = 3;

pub const ticket_name_bytes = 16;
pub const ticket_iv_bytes = 16;

pub const BioMethod = opaque {};
pub const bio_ctrl_flush = 11;
/// BIO_FLAGS_READ and BIO_FLAGS_SHOULD_RETRY.
pub const bio_retry_read = 1 | 8;
pub const bio_retry_all = 15;

/// OSSL_PARAM; the last of a list has no key.
pub const Param = extern struct {
    key: ?[*:0]const u8 = null,
    kind: Kind = .none,
    data: ?*const anyopaque = null,
    data_bytes: usize = 0,
    return_bytes: usize = 0,

    pub const Kind = enum(c_uint) { none = 0, text = 4, bytes = 5 };
};

pub extern fn TLS_server_method() *const Method;
pub extern fn SSL_CTX_new(*const Method) ?*Ctx;
pub extern fn SSL_CTX_free(?*Ctx) void;
pub extern fn SSL_CTX_ctrl(*Ctx, command: c_int, c_long, ?*const anyopaque) c_long;
pub extern fn SSL_CTX_callback_ctrl(*Ctx, command: c_int, ?*const anyopaque) c_long;
pub extern fn SSL_CTX_set_options(*Ctx, u64) u64;
pub extern fn SSL_CTX_set_cipher_list(*Ctx, [*:0]const u8) c_int;
pub extern fn SSL_CTX_use_certificate(*Ctx, *libcrypto.X509) c_int;
pub extern fn SSL_CTX_use_PrivateKey(*Ctx, *libcrypto.Pkey) c_int;
pub extern fn SSL_CTX_set_timeout(*Ctx, seconds: c_long) c_long;
pub extern fn SSL_CTX_set_verify(*Ctx, mode: c_int, ?*const anyopaque) void;
pub extern fn SSL_CTX_set1_cert_store(*Ctx, *libcrypto.Store) void;
/// Takes the list, of names, over.
pub extern fn SSL_CTX_set_client_CA_list(*Ctx, *libcrypto.Stack) void;
pub extern fn SSL_CTX_set_cert_verify_callback(
    *Ctx,
    *const fn (*StoreCtx, ?*anyopaque) callconv(.c) c_int,
    ?*anyopaque,
) void;
pub extern fn SSL_CTX_set_info_callback(
    *Ctx,
    *const fn (*const Ssl, where: c_int, value: c_int) callconv(.c) void,
) void;
pub extern fn SSL_CTX_set_keylog_callback(
    *Ctx,
    *const fn (*const Ssl, [*:0]const u8) callconv(.c) void,
) void;
pub extern fn SSL_CTX_set_alpn_select_cb(
    *Ctx,
    *const fn (
        *Ssl,
        chosen: *[*]const u8,
        len: *u8,
        offered: [*]const u8,
        offered_len: c_uint,
        ?*anyopaque,
    ) callconv(.c) c_int,
    ?*anyopaque,
) void;
/// 0: libssl has the extension itself.
pub extern fn SSL_CTX_add_custom_ext(
    *Ctx,
    kind: c_uint,
    context: c_uint,
    add: *const fn (
        *Ssl,
        kind: c_uint,
        context: c_uint,
        out: *?[*]const u8,
        len: *usize,
        ?*anyopaque,
        index: usize,
        alert: *c_int,
        ?*anyopaque,
    ) callconv(.c) c_int,
    free: ?*const anyopaque,
    ?*anyopaque,
    parse: *const fn (
        *Ssl,
        kind: c_uint,
        context: c_uint,
        bytes: [*]const u8,
        len: usize,
        ?*anyopaque,
        index: usize,
        alert: *c_int,
        ?*anyopaque,
    ) callconv(.c) c_int,
    ?*anyopaque,
) c_int;
pub extern fn CRYPTO_memdup(*const anyopaque, usize, file: [*:0]const u8, line: c_int) ?*anyopaque;
pub extern fn SSL_CTX_set_tlsext_ticket_key_evp_cb(
    *Ctx,
    *const fn (
        *Ssl,
        name: *[ticket_name_bytes]u8,
        iv: *[ticket_iv_bytes]u8,
        *CipherCtx,
        *MacCtx,
        is_sealing: c_int,
    ) callconv(.c) c_int,
) c_int;

pub extern fn SSL_new(*Ctx) ?*Ssl;
pub extern fn SSL_free(?*Ssl) void;
pub extern fn SSL_ctrl(*Ssl, command: c_int, c_long, ?*anyopaque) c_long;
pub extern fn SSL_set_bio(*Ssl, read: *Bio, write: *Bio) void;
pub extern fn SSL_set_accept_state(*Ssl) void;
pub extern fn SSL_set_ex_data(*Ssl, index: c_int, ?*anyopaque) c_int;
pub extern fn SSL_get_ex_data(*const Ssl, index: c_int) ?*anyopaque;
pub extern fn SSL_get_ex_data_X509_STORE_CTX_idx() c_int;
pub extern fn SSL_set_session_id_context(*Ssl, [*]const u8, c_uint) c_int;
pub extern fn SSL_do_handshake(*Ssl) c_int;
pub extern fn SSL_is_init_finished(*const Ssl) c_int;
pub extern fn SSL_read(*Ssl, [*]u8, c_int) c_int;
pub extern fn SSL_write(*Ssl, [*]const u8, c_int) c_int;
pub extern fn SSL_get_error(*const Ssl, c_int) c_int;
pub extern fn SSL_version(*const Ssl) c_int;
pub extern fn SSL_session_reused(*const Ssl) c_int;
pub extern fn SSL_get_current_cipher(*const Ssl) ?*const Cipher;
pub extern fn SSL_CIPHER_get_protocol_id(*const Cipher) u16;
/// It has no public header: there is no other way to send an alert of one's own choosing. What is
/// SSL_CONNECTION to it begins with an SSL.
pub extern fn ssl3_send_alert(*Ssl, level: c_int, description: c_int) c_int;

pub extern fn BIO_meth_new(kind: c_int, name: [*:0]const u8) ?*BioMethod;
pub extern fn BIO_meth_set_write(
    *BioMethod,
    *const fn (*Bio, [*]const u8, c_int) callconv(.c) c_int,
) c_int;
pub extern fn BIO_meth_set_read(
    *BioMethod,
    *const fn (*Bio, [*]u8, c_int) callconv(.c) c_int,
) c_int;
pub extern fn BIO_meth_set_ctrl(
    *BioMethod,
    *const fn (*Bio, c_int, c_long, ?*anyopaque) callconv(.c) c_long,
) c_int;
pub extern fn BIO_new(*const BioMethod) ?*Bio;
pub extern fn BIO_set_data(*Bio, ?*anyopaque) void;
pub extern fn BIO_get_data(*Bio) ?*anyopaque;
pub extern fn BIO_set_init(*Bio, c_int) void;
pub extern fn BIO_set_flags(*Bio, c_int) void;
pub extern fn BIO_clear_flags(*Bio, c_int) void;

pub extern fn X509_verify_cert(*StoreCtx) c_int;
pub extern fn X509_STORE_CTX_get_error(*const StoreCtx) c_int;
pub extern fn X509_STORE_CTX_get0_cert(*const StoreCtx) ?*libcrypto.X509;
pub extern fn X509_STORE_CTX_get_ex_data(*const StoreCtx, index: c_int) ?*anyopaque;
pub const x509_error_no_memory = 17;

pub extern fn d2i_X509_NAME(?*?*libcrypto.Name, *[*]const u8, c_long) ?*libcrypto.Name;
pub extern fn X509_NAME_free(?*libcrypto.Name) void;
pub extern fn OPENSSL_sk_new_null() ?*libcrypto.Stack;
pub extern fn OPENSSL_sk_push(*libcrypto.Stack, *anyopaque) c_int;
pub extern fn OPENSSL_sk_pop_free(?*libcrypto.Stack, *const anyopaque) void;

pub extern fn EVP_aes_256_cbc() *const anyopaque;
pub extern fn EVP_EncryptInit_ex(
    *CipherCtx,
    cipher: *const anyopaque,
    ?*anyopaque,
    key: [*]const u8,
    iv: [*]const u8,
) c_int;
pub extern fn EVP_DecryptInit_ex(
    *CipherCtx,
    cipher: *const anyopaque,
    ?*anyopaque,
    key: [*]const u8,
    iv: [*]const u8,
) c_int;
pub extern fn EVP_MAC_CTX_set_params(*MacCtx, [*]const Param) c_int;
