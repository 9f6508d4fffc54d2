//! What libssl knows of a certificate that TLS 1.2 is served with, and what it asks when it serves.

const std = @import("std");
const Alert = @import("alert.zig").Alert;
const certificates = @import("certificates.zig");
const contexts = @import("context.zig");
const Context = contexts.Context;
const heap = @import("heap.zig");
const legacy = @import("legacy.zig");
const Legacy = legacy.Legacy;
const libcrypto = @import("libcrypto.zig");
const libssl = @import("libssl.zig");
const limits = @import("../core/limits.zig");
const system = @import("../core/system.zig");
const tickets = @import("tickets.zig");
const Ctx = libssl.Ctx;
const Error = certificates.Error;
const Iovec = @import("picotls.zig").Iovec;

/// ECDHE and AEAD alone, those that are preferred first.
const suites = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" ++
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" ++
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
const groups = "X25519:P-256:P-384";

/// `name` is what people call the certificate. It is freed by SSL_CTX_free.
pub fn create(
    context: *const Context,
    identity: *const certificates.Identity,
    name: []const u8,
    report: *certificates.Report,
) Error!*Ctx {
    libcrypto.ERR_clear_error();
    _ = try legacy.bioMethod();
    const ctx = libssl.SSL_CTX_new(libssl.TLS_server_method()) orelse return error.OutOfMemory;
    errdefer libssl.SSL_CTX_free(ctx);
    try configure(ctx, context);
    for (identity.chain.slice(), 0..) |certificate, index| {
        const ret = if (index == 0)
            libssl.SSL_CTX_use_certificate(ctx, certificate)
        else
            libssl.SSL_CTX_ctrl(ctx, libssl.ctrl_chain_certificate, 1, certificate);
        if (ret != 1) return report.fail(error.BadCertificate, "OpenSSL does not serve a " ++
            "certificate in {s} over TLS 1.2 ({s})", .{ name, certificates.lastReason() });
    }
    if (libssl.SSL_CTX_use_PrivateKey(ctx, identity.key) != 1)
        return report.fail(error.UnsupportedKey, "OpenSSL does not serve the key of the " ++
            "certificate in {s} over TLS 1.2 ({s})", .{ name, certificates.lastReason() });
    if (context.clients) |*clients| try askClients(ctx, clients);
    return ctx;
}

fn configure(ctx: *Ctx, context: *const Context) Error!void {
    // 1.3 is picotls's. libssl is told of it, so that it tells a client that may have been made
    // to forget it (RFC 8446 §4.1.3), and refuses one that says so itself (RFC 7507).
    _ = libssl.SSL_CTX_ctrl(ctx, libssl.ctrl_min_version, libssl.tls12, null);
    _ = libssl.SSL_CTX_ctrl(ctx, libssl.ctrl_max_version, libssl.tls13, null);
    const mode = libssl.mode_release_buffers | libssl.mode_no_auto_chain;
    _ = libssl.SSL_CTX_ctrl(ctx, libssl.ctrl_mode, mode, null);
    _ = libssl.SSL_CTX_ctrl(ctx, libssl.ctrl_session_cache_mode, 0, null);
    const message_bytes = limits.tls_message_bytes_max;
    _ = libssl.SSL_CTX_ctrl(ctx, libssl.ctrl_max_cert_list, message_bytes, null);
    const options = libssl.op_no_renegotiation | libssl.op_no_compression |
        libssl.op_server_preference | libssl.op_prioritize_chacha;
    const ticketing: u64 = if (context.ticketing == null) libssl.op_no_ticket else 0;
    _ = libssl.SSL_CTX_set_options(ctx, options | ticketing);
    if (libssl.SSL_CTX_set_cipher_list(ctx, suites) != 1) return error.OutOfMemory;
    if (libssl.SSL_CTX_ctrl(ctx, libssl.ctrl_groups_list, 0, groups) != 1)
        return error.OutOfMemory;
    libssl.SSL_CTX_set_info_callback(ctx, &info);
    libssl.SSL_CTX_set_alpn_select_cb(ctx, &selectProtocol, null);
    _ = libssl.SSL_CTX_callback_ctrl(ctx, libssl.ctrl_servername_callback, &serverName);
    staple(ctx);
    if (context.key_log != null) libssl.SSL_CTX_set_keylog_callback(ctx, &keyLog);
    const resumed = context.ticketing orelse return;
    _ = libssl.SSL_CTX_set_timeout(ctx, @intCast(resumed.lifetime_s));
    if (libssl.SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, &ticketKey) != 1)
        return error.OutOfMemory;
}

/// libssl writes the message with the status, without knowing OCSP. It does not know the extension
/// that asks for one, unless a person's own does.
fn staple(ctx: *Ctx) void {
    _ = libssl.SSL_CTX_callback_ctrl(ctx, libssl.ctrl_status_callback, &status);
    _ = libssl.SSL_CTX_add_custom_ext(
        ctx,
        libssl.extension_status_request,
        libssl.extension_in_hellos,
        &answerStatusRequest,
        null,
        null,
        &takeStatusRequest,
        null,
    );
}

fn askClients(ctx: *Ctx, clients: *const Context.Clients) Error!void {
    const required: c_int = if (clients.require) libssl.verify_required else 0;
    libssl.SSL_CTX_set_verify(ctx, libssl.verify_peer | required, null);
    libssl.SSL_CTX_set1_cert_store(ctx, @ptrCast(clients.verifier.cert_store.?));
    libssl.SSL_CTX_set_cert_verify_callback(ctx, &verify, null);
    const names = libssl.OPENSSL_sk_new_null() orelse return error.OutOfMemory;
    errdefer libssl.OPENSSL_sk_pop_free(names, &libssl.X509_NAME_free);
    for (clients.authorities) |authority| try addName(names, authority);
    libssl.SSL_CTX_set_client_CA_list(ctx, names);
}

fn addName(names: *libcrypto.Stack, authority: Iovec) Error!void {
    const der = authority.slice();
    var at: [*]const u8 = der.ptr;
    const name = libssl.d2i_X509_NAME(null, &at, @intCast(der.len)) orelse
        return error.OutOfMemory;
    if (libssl.OPENSSL_sk_push(names, name) > 0) return;
    libssl.X509_NAME_free(name);
    return error.OutOfMemory;
}

// What libssl calls.

fn info(ssl: *const libssl.Ssl, where: c_int, value: c_int) callconv(.c) void {
    if (where & libssl.where_alert == 0) return;
    const is_sent = where & libssl.where_write != 0;
    const alert: Alert = @enumFromInt(@as(u8, @truncate(@as(c_uint, @bitCast(value)))));
    Legacy.of(ssl).note(is_sent, @truncate(@as(c_uint, @bitCast(value)) >> 8), alert);
}

/// The protocol of the server's list that comes first there and is offered (RFC 7301 §3.2).
fn selectProtocol(
    ssl: *libssl.Ssl,
    chosen: *[*]const u8,
    chosen_len: *u8,
    offered: [*]const u8,
    offered_len: c_uint,
    _: ?*anyopaque,
) callconv(.c) c_int {
    const self: *Legacy = .of(ssl);
    for (self.context.protocols, 0..) |protocol, index| {
        var rest = offered[0..offered_len]; // libssl has seen that it is in form
        while (rest.len > 0) {
            const name = rest[1..][0..rest[0]];
            rest = rest[1 + name.len ..];
            if (!std.mem.eql(u8, name, protocol)) continue;
            self.protocol = @intCast(index);
            chosen.* = protocol.ptr;
            chosen_len.* = @intCast(protocol.len);
            return libssl.ext_ok;
        }
    }
    return libssl.ext_fatal; // no_application_protocol
}

/// A client is told whether the server knows its name (RFC 6066 §3).
fn serverName(ssl: *libssl.Ssl, _: *c_int, _: ?*anyopaque) callconv(.c) c_int {
    const is_known = Legacy.of(ssl).server_name.len > 0;
    return if (is_known) libssl.ext_ok else libssl.ext_no_ack;
}

/// A kind of status, and for OCSP whom and what the client would have asked, which is not looked at
/// (RFC 6066 §8).
fn takeStatusRequest(
    ssl: *libssl.Ssl,
    _: c_uint,
    _: c_uint,
    bytes: [*]const u8,
    len: usize,
    _: ?*anyopaque,
    _: usize,
    alert: *c_int,
    _: ?*anyopaque,
) callconv(.c) c_int {
    const request = bytes[0..len];
    if (request.len > 0 and request[0] != libssl.status_ocsp) return 1; // of a kind to come
    if (!isOcspRequest(request)) {
        alert.* = @intFromEnum(Alert.decode_error);
        return 0;
    }
    _ = libssl.SSL_ctrl(ssl, libssl.ctrl_status_type, libssl.status_ocsp, null);
    return 1;
}

/// Two lists of so many bytes stand behind the kind.
fn isOcspRequest(request: []const u8) bool {
    if (request.len == 0) return false;
    var rest = request[1..];
    for (0..2) |_| {
        if (rest.len < 2) return false;
        const len = std.mem.readInt(u16, rest[0..2], .big);
        if (rest.len - 2 < len) return false;
        rest = rest[2 + len ..];
    }
    return rest.len == 0;
}

/// Asked once the certificate is chosen, of a client that wants its status.
fn status(ssl: *libssl.Ssl, _: ?*anyopaque) callconv(.c) c_int {
    const self: *Legacy = .of(ssl);
    const bytes = self.staple;
    if (bytes.len == 0) return libssl.ext_no_ack;
    // It is libssl's from here on.
    const own = libssl.CRYPTO_memdup(bytes.ptr, bytes.len, "", 0) orelse return libssl.ext_no_ack;
    _ = libssl.SSL_ctrl(ssl, libssl.ctrl_status_response, @intCast(bytes.len), own);
    self.is_stapled = true;
    return libssl.ext_ok;
}

/// An empty extension says that the status follows.
fn answerStatusRequest(
    ssl: *libssl.Ssl,
    _: c_uint,
    _: c_uint,
    out: *?[*]const u8,
    len: *usize,
    _: ?*anyopaque,
    _: usize,
    _: *c_int,
    _: ?*anyopaque,
) callconv(.c) c_int {
    out.* = null;
    len.* = 0;
    return @intFromBool(Legacy.of(ssl).is_stapled);
}

fn keyLog(ssl: *const libssl.Ssl, line: [*:0]const u8) callconv(.c) void {
    const fd = Legacy.of(ssl).context.key_log.?;
    var memory: [256]u8 = undefined;
    const text = std.fmt.bufPrint(&memory, "{s}\n", .{line}) catch return; // CLIENT_RANDOM: 177
    // It is for debugging: nothing depends on it.
    _ = system.write(fd, text) catch {};
}

/// Keeps what a client has shown. Where certificates are not required, none is refused; the
/// protocol is told what came of it.
fn verify(store: *libssl.StoreCtx, _: ?*anyopaque) callconv(.c) c_int {
    const index = libssl.SSL_get_ex_data_X509_STORE_CTX_idx();
    const ssl: *libssl.Ssl = @ptrCast(libssl.X509_STORE_CTX_get_ex_data(store, index).?);
    const self: *Legacy = .of(ssl);
    const is_believed = libssl.X509_verify_cert(store) == 1;
    const reason = libssl.X509_STORE_CTX_get_error(store);
    if (!is_believed) {
        // Without memory nothing has been verified.
        const is_known = reason != 0 and reason != libssl.x509_error_no_memory;
        if (!is_known or self.context.clients.?.require) return 0;
    }
    const shown = libssl.X509_STORE_CTX_get0_cert(store) orelse return 0;
    heap.allocator.free(self.certificate);
    self.certificate = "";
    self.certificate = certificates.derOf(heap.allocator, shown) catch return 0;
    self.certificate_error = if (is_believed) 0 else reason;
    return 1;
}

/// Tickets have OpenSSL's form (RFC 5077 §4), and keys of the context's secrets.
fn ticketKey(
    ssl: *libssl.Ssl,
    name: *[libssl.ticket_name_bytes]u8,
    iv: *[libssl.ticket_iv_bytes]u8,
    cipher: *libssl.CipherCtx,
    mac: *libssl.MacCtx,
    is_sealing: c_int,
) callconv(.c) c_int {
    const context = Legacy.of(ssl).context;
    const now_ms = context.clock.nowMs();
    const ticketing = &context.ticketing.?;
    const seals = is_sealing != 0;
    var key = if (seals)
        ticketing.oldKey(now_ms)
    else
        ticketing.oldKeyOf(now_ms, name) orelse return 0; // it is no ticket of ours
    defer key.forget();
    const aes = libssl.EVP_aes_256_cbc();
    if (seals) {
        name.* = key.name;
        std.crypto.random.bytes(iv);
        if (libssl.EVP_EncryptInit_ex(cipher, aes, null, &key.cipher, iv) != 1) return -1;
    } else {
        if (libssl.EVP_DecryptInit_ex(cipher, aes, null, &key.cipher, iv) != 1) return -1;
    }
    const params = [_]libssl.Param{
        .{ .key = "key", .kind = .bytes, .data = &key.mac, .data_bytes = key.mac.len },
        .{ .key = "digest", .kind = .text, .data = "SHA256", .data_bytes = 6 },
        .{},
    };
    if (libssl.EVP_MAC_CTX_set_params(mac, &params) != 1) return -1;
    // 2: it is opened, and the client is given another.
    return if (seals or key.is_current) 1 else 2;
}
