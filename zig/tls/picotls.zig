//! The part of picotls's ABI that is used, declared by hand: its headers are macros for the most
//! part. testing/layout.zig compares every struct with what C says of it.

pub const Iovec = extern struct {
    base: ?[*]const u8 = null,
    len: usize = 0,

    pub fn of(bytes: []const u8) Iovec {
        return .{ .base = bytes.ptr, .len = bytes.len };
    }

    pub fn slice(self: Iovec) []const u8 {
        const base = self.base orelse return &.{};
        return base[0..self.len];
    }
};

/// Bytes that grow: beyond `capacity` they move to the heap.
pub const Buffer = extern struct {
    base: ?[*]u8,
    capacity: usize,
    off: usize = 0,
    is_allocated: u8 = 0,
    align_bits: u8 = 0,

    pub fn of(memory: []u8) Buffer {
        return .{ .base = memory.ptr, .capacity = memory.len };
    }

    pub fn bytes(self: *const Buffer) []u8 {
        const base = self.base orelse return &.{};
        return base[0..self.off];
    }

    pub fn deinit(self: *Buffer) void {
        ptls_buffer__release_memory(self);
        self.* = undefined;
    }
};

/// A connection's handshake.
pub const Tls = opaque {};
/// The transcript and the secrets of a handshake.
pub const KeySchedule = opaque {};
pub const AsyncJob = opaque {};

pub const digest_bytes_max = 64;

pub const HashAlgorithm = extern struct {
    name: [*:0]const u8,
    block_size: usize,
    digest_size: usize,
    create: *const fn () callconv(.c) ?*anyopaque,
    empty_digest: [digest_bytes_max]u8,
};

pub const Aead = extern struct {
    algo: *const AeadAlgorithm,
    dispose_crypto: ?*const fn (*Aead) callconv(.c) void,
    do_get_iv: ?*const fn (*Aead, *anyopaque) callconv(.c) void,
    do_set_iv: ?*const fn (*Aead, *const anyopaque) callconv(.c) void,
    do_encrypt_init: ?*const anyopaque,
    do_encrypt_update: ?*const anyopaque,
    do_encrypt_final: ?*const anyopaque,
    do_encrypt: ?*const anyopaque,
    do_encrypt_v: *const fn (
        self: *Aead,
        output: [*]u8,
        input: [*]Iovec,
        count: usize,
        seq: u64,
        aad: [*]const u8,
        aad_len: usize,
    ) callconv(.c) void,
    /// How many bytes of text there are; maxInt when they are not what was sealed.
    do_decrypt: *const fn (
        self: *Aead,
        output: [*]u8,
        input: [*]const u8,
        len: usize,
        seq: u64,
        aad: [*]const u8,
        aad_len: usize,
    ) callconv(.c) usize,
};

pub const AeadAlgorithm = extern struct {
    name: [*:0]const u8,
    confidentiality_limit: u64,
    integrity_limit: u64,
    ctr_cipher: ?*const anyopaque,
    ecb_cipher: ?*const anyopaque,
    key_size: usize,
    iv_size: usize,
    tag_size: usize,
    tls12_fixed_iv_size: usize,
    tls12_record_iv_size: usize,
    flags: c_uint,
    align_bits: u8,
    context_size: usize,
    setup_crypto: *const anyopaque,
};

pub const CipherSuite = extern struct {
    id: u16,
    aead: *const AeadAlgorithm,
    hash: *const HashAlgorithm,
    name: [*:0]const u8,
};

pub const KeyExchange = extern struct {
    id: u16,
    create: *const anyopaque,
    exchange: *const anyopaque,
    data: isize,
    name: [*:0]const u8,
};

pub const MessageEmitter = extern struct {
    buf: *Buffer,
    enc: *anyopaque,
    record_header_length: usize,
    begin_message: *const fn (*MessageEmitter) callconv(.c) c_int,
    commit_message: *const fn (*MessageEmitter) callconv(.c) c_int,
};

pub const ClientHello = extern struct {
    server_name: Iovec,
    raw_message: Iovec,
    cipher_suites: Iovec,
    negotiated_protocols: List(Iovec),
    signature_algorithms: List(u16),
    certificate_compression_algorithms: List(u16),
    server_certificate_types: List(u8),
    psk_identities: List(PskIdentity),
    /// Bit 0; the others are anything.
    incompatible_version: c_uint,
};

pub fn List(comptime T: type) type {
    return extern struct {
        list: ?[*]const T = null,
        count: usize = 0,

        pub fn slice(self: @This()) []const T {
            const list = self.list orelse return &.{};
            return list[0..self.count];
        }
    };
}

pub const PskIdentity = extern struct {
    identity: Iovec,
    obfuscated_ticket_age: u32,
    binder: Iovec,
};

pub const GetTime = extern struct {
    cb: *const fn (*GetTime) callconv(.c) u64,
};

pub const OnClientHello = extern struct {
    cb: *const fn (*OnClientHello, *Tls, *ClientHello) callconv(.c) c_int,
};

pub const OnExtension = extern struct {
    cb: *const fn (*OnExtension, *Tls, u8, u16, Iovec) callconv(.c) c_int,
};

pub const EmitCertificate = extern struct {
    cb: *const fn (
        self: *EmitCertificate,
        tls: *Tls,
        emitter: *MessageEmitter,
        key_schedule: *KeySchedule,
        context: Iovec,
        push_status_request: c_int,
        compress_algorithms: ?[*]const u16,
        compress_count: usize,
    ) callconv(.c) c_int,
};

pub const SignCertificate = extern struct {
    cb: *const fn (
        self: *SignCertificate,
        tls: *Tls,
        async_job: ?*?*AsyncJob,
        selected_algorithm: *u16,
        output: *Buffer,
        input: Iovec,
        algorithms: ?[*]const u16,
        count: usize,
    ) callconv(.c) c_int,
};

pub const VerifyCertificate = extern struct {
    cb: *const anyopaque,
    algos: [*]const u16,
};

pub const EncryptTicket = extern struct {
    cb: *const fn (*EncryptTicket, *Tls, c_int, *Buffer, Iovec) callconv(.c) c_int,
};

pub const SaveTicket = extern struct {
    cb: *const fn (*SaveTicket, *Tls, Iovec, *const anyopaque) callconv(.c) c_int,
};

pub const UpdateTrafficKey = extern struct {
    cb: *const fn (*UpdateTrafficKey, *Tls, c_int, usize, *const anyopaque) callconv(.c) c_int,
};

/// Bits of `Context.flags`.
pub const Flags = packed struct(c_uint) {
    require_dhe_on_psk: bool = false,
    use_exporter: bool = false,
    send_change_cipher_spec: bool = false,
    require_client_authentication: bool = false,
    omit_end_of_early_data: bool = false,
    use_raw_public_keys: bool = false,
    server_cipher_preference: bool = false,
    server_cipher_chacha_priority: bool = false,
    padding: u24 = 0,
};

pub const Context = extern struct {
    random_bytes: *const fn (*anyopaque, usize) callconv(.c) void = &ptls_openssl_random_bytes,
    get_time: *GetTime,
    /// Ends with null.
    key_exchanges: [*]const ?*const KeyExchange,
    /// Ends with null.
    cipher_suites: [*]const ?*const CipherSuite,
    certificates: List(Iovec) = .{},
    psk_identity: Iovec = .{},
    psk_secret: Iovec = .{},
    psk_hash: ?*const HashAlgorithm = null,
    ech_client_ciphers: ?*const anyopaque = null,
    ech_client_kems: ?*const anyopaque = null,
    ech_create_opener: ?*const anyopaque = null,
    ech_retry_configs: Iovec = .{},
    on_client_hello: ?*OnClientHello = null,
    emit_certificate: ?*EmitCertificate = null,
    sign_certificate: ?*SignCertificate = null,
    verify_certificate: ?*VerifyCertificate = null,
    /// Seconds; 0 for no tickets.
    ticket_lifetime: u32 = 0,
    max_early_data_size: u32 = 0,
    max_buffer_size: usize = 0,
    hkdf_label_prefix: ?[*:0]const u8 = null,
    flags: Flags = .{},
    encrypt_ticket: ?*EncryptTicket = null,
    save_ticket: ?*SaveTicket = null,
    log_event: ?*anyopaque = null,
    update_open_count: ?*anyopaque = null,
    update_traffic_key: ?*UpdateTrafficKey = null,
    decompress_certificate: ?*anyopaque = null,
    on_extension: ?*OnExtension = null,
    tls12_cipher_suites: ?[*]const ?*const CipherSuite = null,
    ticket_context_bytes: [32]u8 = @splat(0),
    ticket_context_flags: c_uint = 0,
    client_ca_names: List(Iovec) = .{},
    client_ticket_requests: [2]u8 = .{ 0, 0 },
    server_tickets_max: u8 = 0,
};

/// ptls_handshake_properties_t, the client's member of its union.
pub const ClientProperties = extern struct {
    negotiated_protocols: List(Iovec) = .{},
    session_ticket: Iovec = .{},
    max_early_data_size: ?*usize = null,
    early_data_acceptance: c_uint = 0,
    flags: c_uint = 0,
    ech_configs: Iovec = .{},
    ech_retry_configs: ?*Iovec = null,
    /// The server's member is larger.
    padding: [server_bytes - 72]u8 = @splat(0),
    additional_extensions: ?*const anyopaque = null,
    collect_extension: ?*const anyopaque = null,
    collected_extensions: ?*const anyopaque = null,

    const server_bytes = digest_bytes_max + 8 + 8 + 16 + 8;
};

pub const Verifier = extern struct {
    super: VerifyCertificate,
    cert_store: ?*anyopaque,
    override_callback: ?*OverrideVerify,
};

pub const OverrideVerify = extern struct {
    cb: *const fn (
        self: *OverrideVerify,
        tls: *Tls,
        ret: c_int,
        openssl_ret: c_int,
        certificate: ?*anyopaque,
        chain: ?*anyopaque,
    ) callconv(.c) c_int,
};

pub const Signer = extern struct {
    super: SignCertificate,
    key: ?*anyopaque,
    schemes: ?[*]const SignatureScheme,
    flags: c_uint,
};

/// A list of these ends with `id` 65535.
pub const SignatureScheme = extern struct {
    id: u16,
    digest: ?*const anyopaque,
};

// What functions return: 0, an alert to be sent, an alert that came (from 256), or one of these.

pub const peer_alert_min = 0x100;
pub const internal_min = 0x200;
pub const err_no_memory = internal_min + 1;
pub const err_in_progress = internal_min + 2;
pub const err_library = internal_min + 3;
pub const err_session_not_found = internal_min + 5;
pub const err_reject_early_data = internal_min + 9;

pub extern fn ptls_buffer__release_memory(*Buffer) void;
pub extern fn ptls_buffer__do_pushv(*Buffer, src: *const anyopaque, len: usize) c_int;
pub extern fn ptls_server_new(*const Context) ?*Tls;
pub extern fn ptls_client_new(*const Context) ?*Tls;
pub extern fn ptls_free(*Tls) void;
pub extern fn ptls_set_context(*Tls, *const Context) void;
pub extern fn ptls_get_cipher(*Tls) ?*const CipherSuite;
pub extern fn ptls_get_client_random(*Tls) Iovec;
pub extern fn ptls_get_data_ptr(*Tls) *?*anyopaque;
pub extern fn ptls_get_negotiated_protocol(*Tls) ?[*:0]const u8;
pub extern fn ptls_set_negotiated_protocol(*Tls, [*]const u8, usize) c_int;
pub extern fn ptls_set_server_name(*Tls, [*]const u8, usize) c_int;
pub extern fn ptls_handshake_is_complete(*Tls) c_int;
pub extern fn ptls_is_psk_handshake(*Tls) c_int;
pub extern fn ptls_get_read_epoch(*Tls) usize;
/// `input` is handshake messages, whole or in parts. What is to be sent is appended to `out`:
/// bytes `[epoch_offsets[n], epoch_offsets[n + 1])` of it under the keys of epoch n.
pub extern fn ptls_server_handle_message(
    *Tls,
    out: *Buffer,
    epoch_offsets: *[5]usize,
    in_epoch: usize,
    input: [*]const u8,
    len: usize,
    properties: ?*anyopaque,
) c_int;
pub extern fn ptls_handshake(
    *Tls,
    out: *Buffer,
    input: ?[*]const u8,
    len: *usize,
    properties: ?*ClientProperties,
) c_int;
pub extern fn ptls_receive(*Tls, out: *Buffer, input: [*]const u8, len: *usize) c_int;
pub extern fn ptls_send(*Tls, out: *Buffer, input: [*]const u8, len: usize) c_int;
pub extern fn ptls_send_alert(*Tls, out: *Buffer, level: u8, description: u8) c_int;
pub extern fn ptls_update_key(*Tls, request: c_int) c_int;
pub extern fn ptls_aead_new(
    *const AeadAlgorithm,
    *const HashAlgorithm,
    is_enc: c_int,
    secret: [*]const u8,
    label_prefix: ?[*:0]const u8,
) ?*Aead;
pub extern fn ptls_aead_free(*Aead) void;
pub extern fn ptls_hkdf_expand_label(
    *const HashAlgorithm,
    output: [*]u8,
    len: usize,
    secret: Iovec,
    label: [*:0]const u8,
    hash_value: Iovec,
    label_prefix: ?[*:0]const u8,
) c_int;
pub extern fn ptls__key_schedule_update_hash(*KeySchedule, [*]const u8, usize, c_int) void;
pub extern fn ptls_build_certificate_message(
    *Buffer,
    context: Iovec,
    certificates: [*]const Iovec,
    count: usize,
    ocsp_status: Iovec,
) c_int;
pub extern var ptls_get_time: GetTime;
pub extern var ptls_clear_memory: *const fn (*anyopaque, usize) callconv(.c) void;

pub extern fn ptls_openssl_random_bytes(*anyopaque, usize) callconv(.c) void;
pub extern fn ptls_openssl_init_sign_certificate(*Signer, key: *anyopaque) c_int;
pub extern fn ptls_openssl_dispose_sign_certificate(*Signer) void;
pub extern fn ptls_openssl_init_verify_certificate(*Verifier, store: ?*anyopaque) c_int;
pub extern fn ptls_openssl_dispose_verify_certificate(*Verifier) void;
pub extern const ptls_openssl_secp256r1: KeyExchange;
pub extern const ptls_openssl_secp384r1: KeyExchange;
pub extern const ptls_openssl_x25519: KeyExchange;
pub extern const ptls_openssl_x25519mlkem768: KeyExchange;
pub extern const ptls_openssl_sha256: HashAlgorithm;
pub extern const ptls_openssl_sha384: HashAlgorithm;
pub extern const ptls_openssl_aes128gcm: AeadAlgorithm;
pub extern const ptls_openssl_aes256gcm: AeadAlgorithm;
pub extern const ptls_openssl_chacha20poly1305: AeadAlgorithm;

// lib/fusion.c, on x86-64 alone.

pub extern const ptls_non_temporal_aes128gcm: AeadAlgorithm;
pub extern const ptls_non_temporal_aes256gcm: AeadAlgorithm;
pub extern const ptls_fusion_aes128gcm: AeadAlgorithm;
pub extern const ptls_fusion_aes256gcm: AeadAlgorithm;
/// Whether AES and carry-less multiplication of 256 bits may be used.
pub extern var ptls_fusion_can_aesni256: c_int;
