//! OpenSSL's libssl as a client, for tests: it reads and writes memory.

const std = @import("std");
const Allocator = std.mem.Allocator;
const Alert = @import("../alert.zig").Alert;
const heap = @import("../heap.zig");
const issuer = @import("issuer.zig");
const libcrypto = @import("../libcrypto.zig");
const libssl = @import("../libssl.zig");
const Bio = libcrypto.Bio;

const Ctx = opaque {};
const Ssl = opaque {};
const Session = opaque {};

extern fn TLS_client_method() *const anyopaque;
extern fn SSL_CTX_new(*const anyopaque) ?*Ctx;
extern fn SSL_CTX_free(*Ctx) void;
extern fn SSL_CTX_ctrl(*Ctx, c_int, c_long, ?*anyopaque) c_long;
extern fn SSL_CTX_set_cipher_list(*Ctx, [*:0]const u8) c_int;
extern fn SSL_CTX_set_options(*Ctx, u64) u64;
extern fn SSL_CTX_set_ciphersuites(*Ctx, [*:0]const u8) c_int;
extern fn SSL_CTX_sess_set_new_cb(*Ctx, *const fn (*Ssl, *Session) callconv(.c) c_int) void;
extern fn SSL_CTX_use_certificate(*Ctx, *libcrypto.X509) c_int;
extern fn SSL_CTX_use_PrivateKey(*Ctx, *libcrypto.Pkey) c_int;
extern fn SSL_new(*Ctx) ?*Ssl;
extern fn SSL_free(*Ssl) void;
extern fn SSL_set_bio(*Ssl, *Bio, *Bio) void;
extern fn SSL_set_connect_state(*Ssl) void;
extern fn SSL_ctrl(*Ssl, c_int, c_long, ?*anyopaque) c_long;
extern fn SSL_set_alpn_protos(*Ssl, [*]const u8, c_uint) c_int;
extern fn SSL_set_session(*Ssl, *Session) c_int;
extern fn SSL_set_ex_data(*Ssl, c_int, ?*anyopaque) c_int;
extern fn SSL_get_ex_data(*Ssl, c_int) ?*anyopaque;
extern fn SSL_SESSION_free(*Session) void;
extern fn SSL_SESSION_get_max_early_data(*const Session) u32;
extern fn SSL_do_handshake(*Ssl) c_int;
extern fn SSL_is_init_finished(*const Ssl) c_int;
extern fn SSL_read(*Ssl, [*]u8, c_int) c_int;
extern fn SSL_write(*Ssl, [*]const u8, c_int) c_int;
extern fn SSL_write_early_data(*Ssl, [*]const u8, usize, *usize) c_int;
extern fn SSL_get_early_data_status(*const Ssl) c_int;
extern fn SSL_get_error(*const Ssl, c_int) c_int;
extern fn SSL_renegotiate(*Ssl) c_int;
extern fn SSL_get_server_random(*const Ssl, [*]u8, usize) usize;
extern fn SSL_version(*const Ssl) c_int;
extern fn SSL_key_update(*Ssl, c_int) c_int;
extern fn SSL_shutdown(*Ssl) c_int;
extern fn SSL_session_reused(*const Ssl) c_int;
extern fn SSL_get0_alpn_selected(*const Ssl, *?[*]const u8, *c_uint) void;
extern fn SSL_get_current_cipher(*const Ssl) ?*const anyopaque;
extern fn SSL_CIPHER_get_name(?*const anyopaque) [*:0]const u8;
extern fn SSL_get1_peer_certificate(*const Ssl) ?*libcrypto.X509;
extern fn BIO_s_mem() *const anyopaque;
extern fn BIO_new(*const anyopaque) ?*Bio;
extern fn BIO_write(*Bio, [*]const u8, c_int) c_int;
extern fn BIO_read(*Bio, [*]u8, c_int) c_int;

const ctrl_set_session_cache_mode = 44;
const ctrl_set_tlsext_hostname = 55;
const ctrl_set_groups_list = 92;
const ctrl_set_signatures_list = 98;
const ctrl_get_extended_master_secret = 122;
const ctrl_set_max_version = 124;
const option_no_extended_master_secret = 1 << 0;
const ctrl_mode = 33;
const mode_fallback = 0x80;
const cache_client = 1;
const error_ssl = 1;
const error_want_read = 2;
const error_zero_return = 6;
/// Reasons of libssl's from here on are alerts of the peer's.
const reason_alert_min = 1000;

pub const Options = struct {
    server_name: [:0]const u8 = "",
    protocols: []const []const u8 = &.{},
    suites: ?[:0]const u8 = null,
    /// Those of TLS 1.2.
    old_suites: ?[:0]const u8 = null,
    extended_master_secret: bool = true,
    /// Says that it has been refused before (RFC 7507).
    is_fallback: bool = false,
    groups: ?[:0]const u8 = null,
    /// The kinds of signatures that it takes.
    signatures: ?[:0]const u8 = null,
    /// One of a former client's `session`; it is taken.
    session: ?*Session = null,
    early: []const u8 = "",
    certificate: ?issuer.Issued = null,
    /// Asks for the status of the certificate, which it cannot read, in this form (RFC 6066 §8).
    status_request: ?*const []const u8 = null,
    /// 0x0303 is TLS 1.2.
    version_max: u16 = 0x0304,
};

pub const Client = struct {
    gpa: Allocator,
    ctx: *Ctx,
    ssl: *Ssl,
    incoming: *Bio,
    outgoing: *Bio,
    out: std.ArrayListUnmanaged(u8) = .{},
    text: std.ArrayListUnmanaged(u8) = .{},
    session: ?*Session = null,
    alert: ?Alert = null,
    closed: bool = false,

    pub fn create(gpa: Allocator, options: Options) !*Client {
        heap.init();
        libcrypto.ERR_clear_error();
        const self = try gpa.create(Client);
        const ctx = SSL_CTX_new(TLS_client_method()) orelse return error.Libssl;
        _ = SSL_CTX_ctrl(ctx, ctrl_set_session_cache_mode, cache_client, null);
        _ = SSL_CTX_ctrl(ctx, ctrl_set_max_version, options.version_max, null);
        SSL_CTX_sess_set_new_cb(ctx, &newSession);
        if (options.suites) |names| {
            if (SSL_CTX_set_ciphersuites(ctx, names) != 1) return error.Libssl;
        }
        if (options.old_suites) |names| {
            if (SSL_CTX_set_cipher_list(ctx, names) != 1) return error.Libssl;
        }
        if (!options.extended_master_secret)
            _ = SSL_CTX_set_options(ctx, option_no_extended_master_secret);
        if (options.status_request) |request| {
            const in_hello = 0x80;
            const ret = libssl.SSL_CTX_add_custom_ext(
                @ptrCast(ctx),
                libssl.extension_status_request,
                in_hello,
                &addExtension,
                null,
                @ptrCast(@constCast(request)),
                &takeExtension,
                null,
            );
            if (ret != 1) return error.Libssl;
        }
        if (options.is_fallback) _ = SSL_CTX_ctrl(ctx, ctrl_mode, mode_fallback, null);
        if (options.certificate) |issued| {
            if (SSL_CTX_use_certificate(ctx, issued.certificate) != 1) return error.Libssl;
            if (SSL_CTX_use_PrivateKey(ctx, issued.key) != 1) return error.Libssl;
        }
        const ssl = SSL_new(ctx) orelse return error.Libssl;
        const incoming = BIO_new(BIO_s_mem()).?;
        const outgoing = BIO_new(BIO_s_mem()).?;
        SSL_set_bio(ssl, incoming, outgoing);
        SSL_set_connect_state(ssl);
        _ = SSL_set_ex_data(ssl, 0, self);
        self.* = .{
            .gpa = gpa,
            .ctx = ctx,
            .ssl = ssl,
            .incoming = incoming,
            .outgoing = outgoing,
        };
        try self.configure(options);
        if (options.early.len > 0) {
            var written: usize = 0;
            const early = options.early;
            if (SSL_write_early_data(ssl, early.ptr, early.len, &written) != 1) return error.Libssl;
            try self.drain();
        }
        try self.feed("");
        return self;
    }

    fn configure(self: *Client, options: Options) !void {
        const ssl = self.ssl;
        if (options.server_name.len > 0) {
            const name: *anyopaque = @constCast(options.server_name.ptr);
            _ = SSL_ctrl(ssl, ctrl_set_tlsext_hostname, 0, name);
        }
        if (options.groups) |groups| {
            const names: *anyopaque = @constCast(groups.ptr);
            if (SSL_ctrl(ssl, ctrl_set_groups_list, 0, names) != 1) return error.Libssl;
        }
        if (options.signatures) |signatures| {
            const names: *anyopaque = @constCast(signatures.ptr);
            if (SSL_ctrl(ssl, ctrl_set_signatures_list, 0, names) != 1) return error.Libssl;
        }
        var memory: [256]u8 = undefined;
        var len: usize = 0;
        for (options.protocols) |protocol| {
            memory[len] = @intCast(protocol.len);
            @memcpy(memory[len + 1 ..][0..protocol.len], protocol);
            len += 1 + protocol.len;
        }
        if (len > 0) _ = SSL_set_alpn_protos(ssl, &memory, @intCast(len));
        if (options.session) |session| {
            defer SSL_SESSION_free(session);
            if (SSL_set_session(ssl, session) != 1) return error.Libssl;
        }
    }

    pub fn destroy(self: *Client) void {
        SSL_free(self.ssl);
        SSL_CTX_free(self.ctx);
        if (self.session) |session| SSL_SESSION_free(session);
        self.out.deinit(self.gpa);
        self.text.deinit(self.gpa);
        self.gpa.destroy(self);
    }

    pub fn takeSession(self: *Client) ?*Session {
        defer self.session = null;
        return self.session;
    }

    pub fn isComplete(self: *const Client) bool {
        return SSL_is_init_finished(self.ssl) == 1;
    }

    pub fn isResumed(self: *const Client) bool {
        return SSL_session_reused(self.ssl) == 1;
    }

    pub fn hasEarlyAccepted(self: *const Client) bool {
        return SSL_get_early_data_status(self.ssl) == 2;
    }

    pub fn chosenProtocol(self: *const Client) []const u8 {
        var name: ?[*]const u8 = null;
        var len: c_uint = 0;
        SSL_get0_alpn_selected(self.ssl, &name, &len);
        return if (name) |text| text[0..len] else "";
    }

    pub fn version(self: *const Client) c_int {
        return SSL_version(self.ssl);
    }

    pub fn hasExtendedMasterSecret(self: *const Client) bool {
        return SSL_ctrl(self.ssl, ctrl_get_extended_master_secret, 0, null) == 1;
    }

    pub fn serverRandom(self: *const Client) [32]u8 {
        var random: [32]u8 = undefined;
        std.debug.assert(SSL_get_server_random(self.ssl, &random, random.len) == random.len);
        return random;
    }

    /// Begins another handshake in this one.
    pub fn renegotiate(self: *Client) !void {
        if (SSL_renegotiate(self.ssl) != 1) return error.Libssl;
        try self.note(SSL_do_handshake(self.ssl));
        try self.drain();
    }

    pub fn suiteName(self: *const Client) []const u8 {
        return std.mem.span(SSL_CIPHER_get_name(SSL_get_current_cipher(self.ssl)));
    }

    /// To be freed.
    pub fn peerCertificate(self: *const Client) ?*libcrypto.X509 {
        return SSL_get1_peer_certificate(self.ssl);
    }

    pub fn feed(self: *Client, bytes: []const u8) !void {
        libcrypto.ERR_clear_error(); // a server of the same thread may have left some
        if (bytes.len > 0) _ = BIO_write(self.incoming, bytes.ptr, @intCast(bytes.len));
        if (!self.isComplete()) try self.note(SSL_do_handshake(self.ssl));
        while (self.isComplete() and self.alert == null and !self.closed) {
            var memory: [4096]u8 = undefined;
            const n = SSL_read(self.ssl, &memory, memory.len);
            if (n <= 0) {
                try self.note(n);
                break;
            }
            try self.text.appendSlice(self.gpa, memory[0..@intCast(n)]);
        }
        try self.drain();
    }

    fn note(self: *Client, ret: c_int) !void {
        if (ret > 0) return;
        switch (SSL_get_error(self.ssl, ret)) {
            error_want_read => {},
            error_zero_return => self.closed = true,
            error_ssl => {
                const code = libcrypto.ERR_get_error();
                const reason = code & 0x7fffff;
                if (reason >= reason_alert_min and reason < reason_alert_min + 256) {
                    self.alert = @enumFromInt(@as(u8, @intCast(reason - reason_alert_min)));
                } else {
                    const text = libcrypto.ERR_reason_error_string(code);
                    std.debug.print("libssl, as a client: {s}\n", .{text orelse "?"});
                    return error.ClientFailed;
                }
                libcrypto.ERR_clear_error();
            },
            else => return error.ClientFailed,
        }
    }

    fn drain(self: *Client) !void {
        while (true) {
            var memory: [4096]u8 = undefined;
            const n = BIO_read(self.outgoing, &memory, memory.len);
            if (n <= 0) return;
            try self.out.appendSlice(self.gpa, memory[0..@intCast(n)]);
        }
    }

    pub fn send(self: *Client, bytes: []const u8) !void {
        if (SSL_write(self.ssl, bytes.ptr, @intCast(bytes.len)) != bytes.len)
            return error.ClientFailed;
        try self.drain();
    }

    pub fn updateKeys(self: *Client, request: bool) void {
        _ = SSL_key_update(self.ssl, @intFromBool(request));
    }

    pub fn shutdown(self: *Client) !void {
        _ = SSL_shutdown(self.ssl);
        try self.drain();
    }

    /// `argument`: its bytes.
    fn addExtension(
        _: *libssl.Ssl,
        _: c_uint,
        _: c_uint,
        out: *?[*]const u8,
        len: *usize,
        _: ?*anyopaque,
        _: usize,
        _: *c_int,
        argument: ?*anyopaque,
    ) callconv(.c) c_int {
        const bytes: *const []const u8 = @alignCast(@ptrCast(argument.?));
        out.* = bytes.ptr;
        len.* = bytes.len;
        return 1;
    }

    fn takeExtension(
        _: *libssl.Ssl,
        _: c_uint,
        _: c_uint,
        _: [*]const u8,
        _: usize,
        _: ?*anyopaque,
        _: usize,
        _: *c_int,
        _: ?*anyopaque,
    ) callconv(.c) c_int {
        return 1;
    }

    fn newSession(ssl: *Ssl, session: *Session) callconv(.c) c_int {
        const self: *Client = @alignCast(@ptrCast(SSL_get_ex_data(ssl, 0).?));
        if (self.session) |old| SSL_SESSION_free(old);
        self.session = session;
        return 1;
    }
};
