//! What the TLS connections of a server share: certificates, names, protocols, tickets. It is made
//! when the server starts and only read afterwards, by any number of threads; what replaces it
//! (reload) is another one, and the old one lives as long as a connection that was opened with it.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;
const certificates = @import("certificates.zig");
pub const Source = certificates.Source;
pub const Report = certificates.Report;
const handshakes = @import("handshake.zig");
const Handshake = handshakes.Handshake;
const heap = @import("heap.zig");
const hellos = @import("hello.zig");
const legacy_context = @import("legacy_context.zig");
const libcrypto = @import("libcrypto.zig");
const libssl = @import("libssl.zig");
const limits = @import("../core/limits.zig");
const Names = @import("names.zig").Names;
const picotls = @import("picotls.zig");
const Replays = @import("replays.zig").Replays;
const suites = @import("suites.zig");
const system = @import("../core/system.zig");
const tickets = @import("tickets.zig");
const TlsVersion = @import("../core/tls_version.zig").TlsVersion;
pub const Secret = tickets.Secret;
const Tickets = tickets.Tickets;
const Iovec = picotls.Iovec;

const ContextSettings = struct {
    /// Clients that ask for no name, or for one that no certificate has, get the first whose
    /// signatures they take.
    certificates: []const Identity = &.{},
    /// The protocols that are spoken (ALPN), those that are preferred first.
    protocols: []const []const u8 = &.{"http/1.1"},
    /// The oldest version that is spoken.
    version_min: TlsVersion = .tls13,
    /// A client that asks for a name that no certificate has is refused (unrecognized_name).
    strict_names: bool = false,
    /// Null: sessions are not resumed. Nor are they where certificates of clients are asked for.
    tickets: ?TicketOptions = .{},
    /// Data ahead of a handshake (0-RTT) that is taken of a connection, bytes; 0 for none.
    early_bytes_max: u32 = 0,
    /// Null: clients are not asked for certificates.
    clients: ?ClientOptions = null,
    /// Secrets of every connection are written to it, in the form of SSLKEYLOGFILE.
    key_log: ?system.File = null,
    /// Milliseconds since 1970.
    clock: *const fn () u64 = &systemClock,

    pub const Identity = struct {
        /// PEM: the certificate, and those between it and its authority, in any order.
        certificate: Source,
        /// PEM, without a passphrase.
        key: Source,
        /// An OCSP response, DER. Clients of TLS 1.3 get it.
        staple: ?Source = null,
        /// The names that it serves; empty for those that it tells itself.
        names: []const []const u8 = &.{},
    };

    pub const TicketOptions = struct {
        /// Processes that share them resume each other's sessions; the first seals. Empty: a secret
        /// of this context's own.
        secrets: []const Secret = &.{},
        lifetime_s: u32 = limits.tls_ticket_lifetime_s_default,
    };

    pub const ClientOptions = struct {
        /// PEM: the authorities whose certificates are believed.
        authorities: Source,
        /// A client without a certificate, or with one that is not believed, is refused.
        require: bool,
    };
};

fn systemClock() u64 {
    return @intCast(@max(std.time.milliTimestamp(), 0));
}

pub const Error = certificates.Error;

/// What the handshake of a connection uses.
pub const Choice = struct {
    certificate: *const picotls.Context,
    /// Whether the certificate has the name that was asked for.
    matches: bool,
};

/// The same for a client of TLS 1.2.
pub const OldChoice = struct {
    ctx: *libssl.Ctx,
    /// OCSP; empty for none.
    staple: []const u8,
    matches: bool,
};

pub const Context = struct {
    pub const Settings = ContextSettings;

    gpa: Allocator,
    entries: []Entry,
    names: Names = .{},
    protocols: []const []const u8,
    version_min: TlsVersion,
    strict_names: bool,
    early_bytes_max: u32,
    key_log: ?system.File,
    clock: Clock,
    /// Where sessions are resumed.
    ticketing: ?Tickets = null,
    encrypt_ticket: picotls.EncryptTicket = .{ .cb = &encryptTicket },
    /// Where data ahead is taken.
    replays: ?*Replays = null,
    /// Told apart from the contexts of other processes, and of this one's past: tickets of theirs
    /// bring no data ahead, as nobody here knows whether that has been seen.
    instance: [16]u8 = undefined,
    clients: ?Clients = null,

    /// One certificate.
    const Entry = struct {
        emit: picotls.EmitCertificate = .{ .cb = &emitCertificate },
        signer: picotls.Signer,
        ptls: picotls.Context,
        /// Certificate messages, without and with a staple.
        plain: []const u8 = "",
        stapled: []const u8 = "",
        /// OCSP; empty for none.
        staple: []const u8 = "",
        /// Where TLS 1.2 is served.
        legacy: ?*libssl.Ctx = null,
        kind: certificates.KeyKind,

        fn deinit(self: *Entry, gpa: Allocator) void {
            picotls.ptls_openssl_dispose_sign_certificate(&self.signer);
            libssl.SSL_CTX_free(self.legacy);
            gpa.free(self.plain);
            gpa.free(self.stapled);
            gpa.free(self.staple);
        }

        fn ofOld(self: *const Entry, matches: bool) OldChoice {
            return .{ .ctx = self.legacy.?, .staple = self.staple, .matches = matches };
        }

        /// Whether the key makes signatures of a kind that the client takes.
        fn signsFor(self: *const Entry, algorithms: []const u16) bool {
            var scheme = self.signer.schemes.?;
            while (scheme[0].id != std.math.maxInt(u16)) : (scheme += 1) {
                if (std.mem.indexOfScalar(u16, algorithms, scheme[0].id) != null) return true;
            }
            return false;
        }

        /// The same for a client of TLS 1.2, which has suites for kinds of keys.
        fn signsForOld(self: *const Entry, hello: *const hellos.Older) bool {
            const suites_of, const signatures = switch (self.kind) {
                .rsa => .{ &old_rsa_suites, &old_rsa_signatures },
                .elliptic => .{ &old_ecdsa_suites, &old_ecdsa_signatures },
                .ed25519 => .{ &old_ecdsa_suites, &old_ed25519_signatures },
            };
            const algorithms = hello.algorithms orelse return false; // SHA-1 alone is meant
            return hello.suites.hasAny(suites_of) and algorithms.hasAny(signatures);
        }

        const old_ecdsa_suites = [_]u16{ 0xc02b, 0xc02c, 0xcca9 };
        const old_rsa_suites = [_]u16{ 0xc02f, 0xc030, 0xcca8 };
        const old_ecdsa_signatures = [_]u16{ 0x0403, 0x0503, 0x0603 };
        const old_ed25519_signatures = [_]u16{0x0807};
        const old_rsa_signatures = [_]u16{ 0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806 };
    };

    const Clock = extern struct {
        super: picotls.GetTime = .{ .cb = &now },
        read: *const anyopaque,

        fn now(super: *picotls.GetTime) callconv(.c) u64 {
            const self: *Clock = @alignCast(@fieldParentPtr("super", super));
            return self.nowMs();
        }

        pub fn nowMs(self: *const Clock) u64 {
            const read: *const fn () u64 = @ptrCast(@alignCast(self.read));
            return read();
        }
    };

    pub const Clients = struct {
        verifier: picotls.Verifier,
        override: picotls.OverrideVerify = .{ .cb = &overrideVerify },
        require: bool,
        /// The authorities' names, DER, told to clients.
        authorities: []Iovec,

        fn deinit(self: *Clients, gpa: Allocator) void {
            picotls.ptls_openssl_dispose_verify_certificate(&self.verifier);
            for (self.authorities) |name| gpa.free(name.slice());
            gpa.free(self.authorities);
        }
    };

    /// `gpa` is used here and in `destroy`. What the options point to is copied. After an error
    /// `report` says in words what is wrong.
    pub fn create(gpa: Allocator, options: Settings, report: *Report) Error!*Context {
        heap.init();
        assert(options.certificates.len > 0);
        assert(options.protocols.len < 255); // their indices are bytes, 255 is none
        assert(options.early_bytes_max <= limits.tls_early_bytes_max_bound);
        if (options.certificates.len > limits.tls_certificates_max)
            return report.fail(error.TooMany, "more than {d} certificates", .{
                limits.tls_certificates_max,
            });
        try libcrypto.lookUp();
        const self = try gpa.create(Context);
        errdefer gpa.destroy(self);
        const entries = try gpa.alloc(Entry, options.certificates.len);
        errdefer gpa.free(entries);
        self.* = .{
            .gpa = gpa,
            .entries = entries[0..0],
            .protocols = &.{},
            .version_min = options.version_min,
            .strict_names = options.strict_names,
            .early_bytes_max = options.early_bytes_max,
            .key_log = options.key_log,
            .clock = .{ .read = @ptrCast(options.clock) },
        };
        errdefer self.release();
        ptlsRandom(&self.instance);
        try self.copyProtocols(options.protocols);
        if (options.clients) |clients| try self.loadClients(clients, report);
        if (options.tickets) |ticketing| try self.makeTickets(ticketing);
        for (options.certificates) |identity| {
            const index = self.entries.len;
            try self.load(&entries[index], @intCast(index), identity, report);
            self.entries = entries[0 .. index + 1];
        }
        return self;
    }

    pub fn destroy(self: *Context) void {
        const gpa = self.gpa;
        const entries = self.entries;
        self.release();
        gpa.free(entries);
        gpa.destroy(self);
    }

    fn release(self: *Context) void {
        for (self.entries) |*entry| entry.deinit(self.gpa);
        self.names.deinit(self.gpa);
        for (self.protocols) |protocol| self.gpa.free(protocol);
        self.gpa.free(self.protocols);
        if (self.ticketing) |ticketing| {
            std.crypto.secureZero(u8, @constCast(std.mem.sliceAsBytes(ticketing.secrets)));
            self.gpa.free(ticketing.secrets);
        }
        if (self.replays) |replays| replays.destroy(self.gpa);
        if (self.clients) |*clients| clients.deinit(self.gpa);
    }

    fn copyProtocols(self: *Context, protocols: []const []const u8) Error!void {
        const copies = try self.gpa.alloc([]const u8, protocols.len);
        var count: usize = 0;
        errdefer {
            for (copies[0..count]) |copy| self.gpa.free(copy);
            self.gpa.free(copies);
        }
        for (protocols, copies) |protocol, *copy| {
            assert(protocol.len > 0 and protocol.len <= 255);
            copy.* = try self.gpa.dupe(u8, protocol);
            count += 1;
        }
        self.protocols = copies;
    }

    fn makeTickets(self: *Context, options: Settings.TicketOptions) Error!void {
        assert(options.lifetime_s > 0 and options.lifetime_s <= limits.tls_ticket_lifetime_s_max);
        if (self.clients != null) return; // each session is to show its certificate
        const secrets = try self.gpa.alloc(Secret, @max(options.secrets.len, 1));
        if (options.secrets.len > 0) {
            @memcpy(secrets, options.secrets);
        } else {
            ptlsRandom(&secrets[0]);
        }
        self.ticketing = .{ .secrets = secrets, .lifetime_s = options.lifetime_s };
        if (self.early_bytes_max > 0) self.replays = try Replays.create(self.gpa);
    }

    fn loadClients(self: *Context, options: Settings.ClientOptions, report: *Report) Error!void {
        const text = try certificates.read(self.gpa, options.authorities, report);
        defer self.gpa.free(text);
        const name = options.authorities.name();
        const all = try certificates.readAll(name, text, report);
        defer for (all.slice()) |each| libcrypto.X509_free(each);
        const store = libcrypto.X509_STORE_new() orelse return error.OutOfMemory;
        defer libcrypto.X509_STORE_free(store); // the verifier has its own share
        const authorities = try self.gpa.alloc(Iovec, all.len);
        var count: usize = 0;
        errdefer {
            for (authorities[0..count]) |each| self.gpa.free(each.slice());
            self.gpa.free(authorities);
        }
        for (all.slice(), authorities) |authority, *der| {
            if (libcrypto.X509_STORE_add_cert(store, authority) != 1) return error.OutOfMemory;
            der.* = .of(try derOfName(self.gpa, authority));
            count += 1;
        }
        var verifier: picotls.Verifier = undefined;
        if (picotls.ptls_openssl_init_verify_certificate(&verifier, store) != 0)
            return error.OutOfMemory;
        self.clients = .{
            .verifier = verifier,
            .require = options.require,
            .authorities = authorities,
        };
        self.clients.?.verifier.override_callback = &self.clients.?.override;
    }

    fn derOfName(gpa: Allocator, certificate: *const libcrypto.X509) Error![]u8 {
        const subject = libcrypto.X509_get_subject_name(certificate);
        const len = libcrypto.i2d_X509_NAME(subject, null);
        if (len <= 0) return error.OutOfMemory;
        const out = try gpa.alloc(u8, @intCast(len));
        var end: [*]u8 = out.ptr;
        _ = libcrypto.i2d_X509_NAME(subject, &end);
        return out;
    }

    fn load(
        self: *Context,
        entry: *Entry,
        index: u16,
        options: Settings.Identity,
        report: *Report,
    ) Error!void {
        var identity = try certificates.load(self.gpa, options.certificate, options.key, report);
        defer identity.deinit();
        entry.* = .{ .signer = undefined, .ptls = undefined, .kind = .of(identity.key) };
        if (picotls.ptls_openssl_init_sign_certificate(&entry.signer, identity.key) != 0)
            return report.fail(error.UnsupportedKey, "TLS 1.3 has no signatures for the kind of " ++
                "key in {s}: take one on the curve P-256, Ed25519, or RSA", .{options.key.name()});
        errdefer entry.deinit(self.gpa);
        entry.plain = try self.messageOf(&identity, "");
        if (options.staple) |source| {
            entry.staple = try certificates.readStaple(self.gpa, source, report);
            entry.stapled = try self.messageOf(&identity, entry.staple);
        }
        entry.ptls = self.ptlsContext(entry);
        if (self.version_min == .tls12) {
            const name = options.certificate.name();
            entry.legacy = try legacy_context.create(self, &identity, name, report);
        }
        try self.addNames(index, identity.chain.get(0), options, report);
    }

    /// The Certificate message of a chain (RFC 8446 §4.4.2).
    fn messageOf(self: *Context, identity: *certificates.Identity, staple: []const u8) Error![]u8 {
        var list: std.BoundedArray(Iovec, limits.tls_chain_max) = .{};
        defer for (list.slice()) |der| self.gpa.free(der.slice());
        for (identity.chain.slice()) |certificate|
            list.appendAssumeCapacity(.of(try certificates.derOf(self.gpa, certificate)));
        var memory: [64]u8 = undefined;
        var out: picotls.Buffer = .of(&memory);
        defer out.deinit();
        const head = [4]u8{ 11, 0, 0, 0 };
        if (picotls.ptls_buffer__do_pushv(&out, &head, head.len) != 0) return error.OutOfMemory;
        const items = list.slice();
        const given: Iovec = .of(staple);
        if (picotls.ptls_build_certificate_message(&out, .{}, items.ptr, items.len, given) != 0)
            return error.OutOfMemory;
        const message = out.bytes();
        std.mem.writeInt(u24, message[1..4], @intCast(message.len - head.len), .big);
        return self.gpa.dupe(u8, message);
    }

    fn ptlsContext(self: *Context, entry: *Entry) picotls.Context {
        const clients = if (self.clients) |*clients| clients else null;
        return .{
            .get_time = &self.clock.super,
            .key_exchanges = &suites.groups,
            .cipher_suites = suites.all(),
            .on_client_hello = &handshakes.on_client_hello,
            .on_extension = &handshakes.on_extension,
            .update_traffic_key = &handshakes.update_traffic_key,
            .emit_certificate = &entry.emit,
            .sign_certificate = &entry.signer.super,
            .verify_certificate = if (clients) |present| &present.verifier.super else null,
            .client_ca_names = if (clients) |present| .{
                .list = present.authorities.ptr,
                .count = present.authorities.len,
            } else .{},
            .ticket_lifetime = if (self.ticketing) |ticketing| ticketing.lifetime_s else 0,
            .encrypt_ticket = if (self.ticketing != null) &self.encrypt_ticket else null,
            .max_early_data_size = if (self.replays != null) self.early_bytes_max else 0,
            .max_buffer_size = limits.tls_message_bytes_max,
            .flags = .{
                .require_dhe_on_psk = true,
                .require_client_authentication = clients != null,
                .server_cipher_preference = true,
                .server_cipher_chacha_priority = true,
            },
        };
    }

    const Naming = struct { context: *Context, index: u16, report: *Report, name: []const u8 };

    fn addNames(
        self: *Context,
        index: u16,
        leaf: *const libcrypto.X509,
        options: Settings.Identity,
        report: *Report,
    ) Error!void {
        for (options.names) |name| self.names.add(self.gpa, name, index) catch |err| switch (err) {
            error.OutOfMemory => return error.OutOfMemory,
            error.BadName => return report.fail(error.BadName, "\"{s}\" is no host name; `*.` " ++
                "may stand before one", .{name}),
        };
        if (options.names.len > 0) return;
        const naming: Naming = .{
            .context = self,
            .index = index,
            .report = report,
            .name = options.certificate.name(),
        };
        try certificates.forEachName(leaf, naming, addName);
    }

    fn addName(naming: Naming, name: []const u8) Error!void {
        const self = naming.context;
        self.names.add(self.gpa, name, naming.index) catch |err| switch (err) {
            error.OutOfMemory => return error.OutOfMemory,
            error.BadName => try naming.report.warn("the certificate in {s} is for \"{s}\", " ++
                "which no client asks for", .{ naming.name, name }),
        };
    }

    /// picotls's context of the certificate that a handshake begins with.
    pub fn first(self: *const Context) *const picotls.Context {
        return &self.entries[0].ptls;
    }

    /// The certificate for a client that asks for `name` and takes these signatures.
    pub fn choose(self: *const Context, name: []const u8, algorithms: []const u16) Choice {
        const found = self.names.find(name);
        for (found) |index| {
            const entry = &self.entries[index];
            if (entry.signsFor(algorithms)) return .{ .certificate = &entry.ptls, .matches = true };
        }
        if (found.len > 0) // none will do, and the handshake says so
            return .{ .certificate = &self.entries[found[0]].ptls, .matches = true };
        for (self.entries) |*entry| if (entry.signsFor(algorithms))
            return .{ .certificate = &entry.ptls, .matches = false };
        return .{ .certificate = self.first(), .matches = false };
    }

    /// The certificate for a client of TLS 1.2, which has to be served.
    pub fn chooseOld(self: *const Context, hello: *const hellos.Older) OldChoice {
        assert(self.version_min == .tls12);
        const found = self.names.find(hello.server_name);
        for (found) |index| {
            const entry = &self.entries[index];
            if (entry.signsForOld(hello)) return entry.ofOld(true);
        }
        if (found.len > 0) return self.entries[found[0]].ofOld(true);
        for (self.entries) |*entry| if (entry.signsForOld(hello)) return entry.ofOld(false);
        return self.entries[0].ofOld(false);
    }

    /// A line of SSLKEYLOGFILE, where one is kept.
    pub fn logSecret(
        self: *const Context,
        random: []const u8,
        is_writing: bool,
        epoch: usize,
        secret: []const u8,
    ) void {
        const fd = self.key_log orelse return;
        const name = switch (epoch) {
            1 => "EARLY_TRAFFIC_SECRET",
            2 => "HANDSHAKE_TRAFFIC_SECRET",
            else => "TRAFFIC_SECRET_0",
        };
        var memory: [256]u8 = undefined;
        const line = std.fmt.bufPrint(&memory, "{s}_{s} {} {}\n", .{
            if (is_writing) "SERVER" else "CLIENT",
            name,
            std.fmt.fmtSliceHexLower(random),
            std.fmt.fmtSliceHexLower(secret),
        }) catch unreachable; // 32, 32 and 48 bytes at most
        // It is for debugging: nothing depends on it.
        _ = system.write(fd, line) catch {};
    }
};

fn ptlsRandom(out: []u8) void {
    picotls.ptls_openssl_random_bytes(out.ptr, out.len);
}

// What picotls calls.

fn emitCertificate(
    emit: *picotls.EmitCertificate,
    _: *picotls.Tls,
    emitter: *picotls.MessageEmitter,
    key_schedule: *picotls.KeySchedule,
    _: Iovec,
    wants_staple: c_int,
    _: ?[*]const u16,
    _: usize,
) callconv(.c) c_int {
    const entry: *Context.Entry = @alignCast(@fieldParentPtr("emit", emit));
    const is_stapled = wants_staple != 0 and entry.stapled.len > 0;
    const message = if (is_stapled) entry.stapled else entry.plain;
    var ret = emitter.begin_message(emitter);
    if (ret != 0) return ret;
    ret = picotls.ptls_buffer__do_pushv(emitter.buf, message.ptr, message.len);
    if (ret != 0) return ret;
    picotls.ptls__key_schedule_update_hash(key_schedule, message.ptr, message.len, 0);
    return emitter.commit_message(emitter);
}

/// What a ticket holds in front of picotls's own words.
const TicketHead = extern struct {
    /// A ticket of another form is none.
    format: u8 = 1,
    /// Index of the protocol, 255 for none: data ahead is of that protocol (RFC 8446 §4.2.10).
    protocol: u8,
    instance: [16]u8,
};

/// picotls's words are below: a name, a protocol, a secret and numbers.
const session_bytes_max = 1024;

fn encryptTicket(
    encrypt: *picotls.EncryptTicket,
    tls: *picotls.Tls,
    is_encrypting: c_int,
    out: *picotls.Buffer,
    given: Iovec,
) callconv(.c) c_int {
    const context: *Context = @alignCast(@fieldParentPtr("encrypt_ticket", encrypt));
    const handshake: *Handshake = .of(tls);
    var memory: [session_bytes_max]u8 = undefined;
    defer std.crypto.secureZero(u8, &memory);
    if (is_encrypting != 0) return sealTicket(context, handshake, out, given.slice(), &memory);
    return openTicket(context, handshake, out, given.slice(), &memory);
}

fn sealTicket(
    context: *const Context,
    handshake: *const Handshake,
    out: *picotls.Buffer,
    session: []const u8,
    memory: *[session_bytes_max]u8,
) c_int {
    const head: TicketHead = .{
        .protocol = handshake.protocol orelse 255,
        .instance = context.instance,
    };
    const len = @sizeOf(TicketHead) + session.len;
    if (len > memory.len) return picotls.err_library;
    memory[0..@sizeOf(TicketHead)].* = @bitCast(std.mem.asBytes(&head).*);
    @memcpy(memory[@sizeOf(TicketHead)..len], session);
    var sealed: [session_bytes_max + tickets.overhead_bytes]u8 = undefined;
    const ticket = sealed[0 .. len + tickets.overhead_bytes];
    context.ticketing.?.seal(context.clock.nowMs(), memory[0..len], ticket);
    return picotls.ptls_buffer__do_pushv(out, ticket.ptr, ticket.len);
}

fn openTicket(
    context: *const Context,
    handshake: *const Handshake,
    out: *picotls.Buffer,
    ticket: []const u8,
    memory: *[session_bytes_max]u8,
) c_int {
    const len = Tickets.sessionBytes(ticket) orelse return picotls.err_session_not_found;
    if (len > memory.len or len < @sizeOf(TicketHead)) return picotls.err_session_not_found;
    const now_ms = context.clock.nowMs();
    context.ticketing.?.open(now_ms, ticket, memory[0..len]) catch
        return picotls.err_session_not_found;
    const head = std.mem.bytesToValue(TicketHead, memory[0..@sizeOf(TicketHead)]);
    if (head.format != 1) return picotls.err_session_not_found;
    const session = memory[@sizeOf(TicketHead)..len];
    const ret = picotls.ptls_buffer__do_pushv(out, session.ptr, session.len);
    if (ret != 0) return ret;
    if (!handshake.offers_early) return 0;
    const is_own = std.mem.eql(u8, &head.instance, &context.instance);
    const is_same = head.protocol == handshake.protocol orelse 255;
    const replays = context.replays orelse return picotls.err_reject_early_data;
    if (!is_own or !is_same or !replays.isFirst(now_ms, Tickets.uniqueOf(ticket)))
        return picotls.err_reject_early_data;
    return 0;
}

/// Keeps what a client has shown. Where certificates are not required, none is refused; the
/// protocol is told what came of it.
fn overrideVerify(
    override: *picotls.OverrideVerify,
    tls: *picotls.Tls,
    ret: c_int,
    verified: c_int,
    certificate: ?*anyopaque,
    _: ?*anyopaque,
) callconv(.c) c_int {
    const clients: *Context.Clients = @alignCast(@fieldParentPtr("override", override));
    // Without memory nothing has been verified, whatever `verified` says.
    if (ret != 0 and (clients.require or ret >= picotls.internal_min)) return ret;
    const shown = certificate orelse return 0;
    const der = certificates.derOf(heap.allocator, @ptrCast(shown)) catch
        return picotls.err_no_memory;
    const handshake: *Handshake = .of(tls);
    assert((ret == 0) == (verified == 0));
    handshake.certificate = der;
    handshake.certificate_error = verified;
    return 0;
}
