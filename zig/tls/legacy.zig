//! TLS 1.2 of one connection, by OpenSSL's libssl, for the filter: it is given records and gives
//! their text, and writes records to memory of the filter's.
//!
//! libssl takes memory for each record and gives it back; between records a connection holds what
//! `limits.tls_legacy_idle_bytes_max` says.

const std = @import("std");
const assert = std.debug.assert;
const Alert = @import("alert.zig").Alert;
const contexts = @import("context.zig");
const Context = contexts.Context;
const handshakes = @import("handshake.zig");
const Details = handshakes.Details;
const heap = @import("heap.zig");
const hellos = @import("hello.zig");
const libcrypto = @import("libcrypto.zig");
const libssl = @import("libssl.zig");
const record = @import("record.zig");

/// What comes to the text of a record: header, the part of the nonce that is sent, tag.
pub const overhead_bytes = record.header_bytes + nonce_bytes + 16;
/// ChaCha20-Poly1305's is not sent.
const nonce_bytes = 8;

/// What a record has brought.
pub const Outcome = union(enum) {
    nothing,
    text: []u8,
    /// The peer sends no more.
    closed,
    /// The peer has ended the connection.
    ended: Alert,
    /// This side has, and libssl has written the alert.
    failed: Alert,
    /// It has to end, and the peer has not been told of this yet.
    broken: Alert,
};

pub const Legacy = struct {
    ssl: *libssl.Ssl,
    context: *const Context,
    /// What libssl has not read yet of the record that it is given.
    input: []const u8 = "",
    /// Where records are written to; null: behind `flight`.
    sink: ?[]u8 = null,
    sunk: usize = 0,
    /// What the handshake has to send; what `sent` says of it has been.
    flight: std.ArrayListUnmanaged(u8) = .{},
    sent: usize = 0,
    protocol: ?u8 = null,
    server_name: []const u8 = "",
    certificate: []const u8 = "",
    certificate_error: c_int = 0,
    /// The status of the certificate, for a client that asks for it; empty for none. The context's.
    staple: []const u8,
    /// The client has asked, and gets it.
    is_stapled: bool = false,
    /// The client has changed to its keys: what it sends is sealed.
    is_sealed: bool = false,
    alert_sent: ?Alert = null,
    alert_got: ?Alert = null,

    pub const Error = error{OutOfMemory};

    /// For a client that has said `hello`; `choice` is the certificate for it.
    pub fn create(
        context: *const Context,
        hello: *const hellos.Older,
        choice: contexts.OldChoice,
    ) Error!*Legacy {
        libcrypto.ERR_clear_error();
        const self = try heap.allocator.create(Legacy);
        errdefer heap.allocator.destroy(self);
        const ssl = libssl.SSL_new(choice.ctx) orelse return error.OutOfMemory;
        errdefer libssl.SSL_free(ssl);
        self.* = .{ .ssl = ssl, .context = context, .staple = choice.staple };
        const bio = libssl.BIO_new(try bioMethod()) orelse return error.OutOfMemory;
        libssl.BIO_set_data(bio, self);
        libssl.BIO_set_init(bio, 1);
        libssl.SSL_set_bio(ssl, bio, bio); // it has one share
        libssl.SSL_set_accept_state(ssl);
        if (libssl.SSL_set_ex_data(ssl, 0, self) != 1) return error.OutOfMemory;
        if (choice.matches)
            self.server_name = try std.ascii.allocLowerString(heap.allocator, hello.server_name);
        errdefer heap.allocator.free(self.server_name);
        // A session is resumed for its own name alone.
        var name_hash: [32]u8 = undefined;
        std.crypto.hash.sha2.Sha256.hash(self.server_name, &name_hash, .{});
        if (libssl.SSL_set_session_id_context(ssl, &name_hash, name_hash.len) != 1)
            return error.OutOfMemory;
        return self;
    }

    pub fn destroy(self: *Legacy) void {
        libssl.SSL_free(self.ssl);
        self.flight.deinit(heap.allocator);
        heap.allocator.free(self.server_name);
        heap.allocator.free(self.certificate);
        heap.allocator.destroy(self);
    }

    /// The connection that a callback of libssl is about.
    pub fn of(ssl: *const libssl.Ssl) *Legacy {
        return @alignCast(@ptrCast(libssl.SSL_get_ex_data(ssl, 0).?));
    }

    pub fn isComplete(self: *const Legacy) bool {
        return libssl.SSL_is_init_finished(self.ssl) == 1;
    }

    pub fn isResumed(self: *const Legacy) bool {
        return libssl.SSL_session_reused(self.ssl) == 1;
    }

    /// The number of the cipher suite; null before there is one, and where it is not TLS 1.2's.
    pub fn suite(self: *const Legacy) ?u16 {
        if (libssl.SSL_version(self.ssl) != libssl.tls12) return null;
        const cipher = libssl.SSL_get_current_cipher(self.ssl) orelse return null;
        return libssl.SSL_CIPHER_get_protocol_id(cipher);
    }

    /// Takes whole records: one, or the first ones, which are the ClientHello's. Text is moved to
    /// their beginning.
    pub fn take(self: *Legacy, records: []u8) Outcome {
        assert(self.sink == null);
        // libssl calls it an error of its own.
        if (self.is_sealed and records.len < self.sealedBytesMin())
            return .{ .broken = .bad_record_mac };
        if (records[0] == @intFromEnum(record.Type.change_cipher_spec)) self.is_sealed = true;
        self.input = records;
        defer self.input = "";
        libcrypto.ERR_clear_error();
        if (!self.isComplete()) {
            const ret = libssl.SSL_do_handshake(self.ssl);
            if (ret != 1) return self.outcomeOf(ret);
            return .nothing; // there is no text in the last record of a handshake
        }
        const room: c_int = @intCast(records.len);
        const n = libssl.SSL_read(self.ssl, records.ptr, room);
        if (n <= 0) return self.outcomeOf(n);
        // It was one record, whose text is shorter than it.
        assert(n < room and self.input.len == 0);
        return .{ .text = records[0..@intCast(n)] };
    }

    fn outcomeOf(self: *Legacy, ret: c_int) Outcome {
        const code = libssl.SSL_get_error(self.ssl, ret);
        if (self.alert_got) |alert| {
            return if (alert == .close_notify) .closed else .{ .ended = alert };
        }
        if (code == libssl.error_want_read) return .nothing;
        if (self.alert_sent) |alert| return .{ .failed = alert };
        return .{ .broken = .internal_error };
    }

    /// The shortest record that is sealed: without text.
    fn sealedBytesMin(self: *const Legacy) usize {
        const id = self.suite() orelse return 0;
        const has_nonce = id != 0xcca8 and id != 0xcca9;
        return if (has_nonce) overhead_bytes else overhead_bytes - nonce_bytes;
    }

    /// Writes `text` to `out`, in one record, for which there has to be room. Its length; null when
    /// there was no memory for it.
    pub fn seal(self: *Legacy, text: []const u8, out: []u8) ?usize {
        assert(out.len >= text.len + overhead_bytes);
        self.sink = out;
        self.sunk = 0;
        defer self.sink = null;
        libcrypto.ERR_clear_error();
        if (libssl.SSL_write(self.ssl, text.ptr, @intCast(text.len)) != text.len) return null;
        return self.sunk;
    }

    /// Writes an alert to `out`. Its length, 0 when there was no memory for it.
    pub fn writeAlert(self: *Legacy, alert: Alert, out: []u8) usize {
        assert(out.len >= 2 + overhead_bytes);
        self.sink = out;
        self.sunk = 0;
        defer self.sink = null;
        libcrypto.ERR_clear_error();
        const is_last = alert == .close_notify;
        const level: c_int = if (is_last) libssl.level_warning else libssl.level_fatal;
        _ = libssl.ssl3_send_alert(self.ssl, level, @intFromEnum(alert));
        return self.sunk;
    }

    pub fn unsent(self: *const Legacy) []const u8 {
        return self.flight.items[self.sent..];
    }

    /// So many bytes of `unsent` have been taken.
    pub fn skip(self: *Legacy, bytes: usize) void {
        self.sent += bytes;
        if (self.sent < self.flight.items.len) return;
        self.flight.clearAndFree(heap.allocator);
        self.sent = 0;
    }

    /// What the connection keeps; null when that is nothing.
    pub fn takeDetails(self: *Legacy) Error!?*Details {
        return Details.take(&self.server_name, &self.certificate, self.certificate_error);
    }

    /// libssl has sent or got an alert.
    pub fn note(self: *Legacy, is_sent: bool, level: u8, alert: Alert) void {
        if (level != libssl.level_fatal and alert != .close_notify) return;
        const place = if (is_sent) &self.alert_sent else &self.alert_got;
        if (place.* == null) place.* = alert;
    }
};

// The BIO that libssl reads records from and writes them to.

var bio_method: ?*libssl.BioMethod = null;
var bio_method_is_made = std.once(makeBioMethod);

fn makeBioMethod() void {
    const kind = 0x400 | 127; // BIO_TYPE_SOURCE_SINK
    const method = libssl.BIO_meth_new(kind, "records") orelse return;
    _ = libssl.BIO_meth_set_write(method, &bioWrite);
    _ = libssl.BIO_meth_set_read(method, &bioRead);
    _ = libssl.BIO_meth_set_ctrl(method, &bioCtrl);
    bio_method = method;
}

/// The first call is made when a context is: where memory is not short.
pub fn bioMethod() Legacy.Error!*const libssl.BioMethod {
    bio_method_is_made.call();
    return bio_method orelse error.OutOfMemory;
}

fn bioRead(bio: *libcrypto.Bio, out: [*]u8, room: c_int) callconv(.c) c_int {
    libssl.BIO_clear_flags(bio, libssl.bio_retry_all);
    const self: *Legacy = @alignCast(@ptrCast(libssl.BIO_get_data(bio).?));
    const n = @min(self.input.len, @as(usize, @intCast(room)));
    if (n == 0) {
        libssl.BIO_set_flags(bio, libssl.bio_retry_read);
        return -1;
    }
    @memcpy(out[0..n], self.input[0..n]);
    self.input = self.input[n..];
    return @intCast(n);
}

fn bioWrite(bio: *libcrypto.Bio, bytes: [*]const u8, len: c_int) callconv(.c) c_int {
    libssl.BIO_clear_flags(bio, libssl.bio_retry_all);
    const self: *Legacy = @alignCast(@ptrCast(libssl.BIO_get_data(bio).?));
    const given = bytes[0..@intCast(len)];
    const sink = self.sink orelse {
        self.flight.appendSlice(heap.allocator, given) catch return -1;
        return len;
    };
    if (sink.len - self.sunk < given.len) return -1;
    @memcpy(sink[self.sunk..][0..given.len], given);
    self.sunk += given.len;
    return len;
}

fn bioCtrl(_: *libcrypto.Bio, command: c_int, _: c_long, _: ?*anyopaque) callconv(.c) c_long {
    return @intFromBool(command == libssl.bio_ctrl_flush);
}
