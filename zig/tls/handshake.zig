//! A server's handshake: what lives from a connection's first byte until its handshake is over and
//! has been sent. picotls reads and writes the messages and computes the secrets; records, keys
//! and their order are the filter's.

const std = @import("std");
const assert = std.debug.assert;
const Alert = @import("alert.zig").Alert;
const Context = @import("context.zig").Context;
const heap = @import("heap.zig");
const hellos = @import("hello.zig");
const picotls = @import("picotls.zig");
const record = @import("record.zig");
const Keys = record.Keys;
const Suite = @import("suites.zig").Suite;
const Iovec = picotls.Iovec;

/// What is known of a connection once its handshake is over, beyond numbers.
pub const Details = struct {
    /// The name that the client asked for, in lower case; empty when it asked for none that the
    /// server has.
    server_name: []const u8,
    /// The client's certificate, DER; empty without.
    certificate: []const u8,
    /// X509_verify_cert's result for it: 0 when it leads to one of the authorities.
    certificate_error: c_int,

    /// Takes the two over, and leaves "" in their places; null when there is nothing to keep.
    pub fn take(
        server_name: *[]const u8,
        certificate: *[]const u8,
        certificate_error: c_int,
    ) error{OutOfMemory}!?*Details {
        if (server_name.len == 0 and certificate.len == 0) return null;
        const self = try heap.allocator.create(Details);
        self.* = .{
            .server_name = server_name.*,
            .certificate = certificate.*,
            .certificate_error = certificate_error,
        };
        server_name.* = "";
        certificate.* = "";
        return self;
    }

    pub fn deinit(self: *Details) void {
        heap.allocator.free(self.server_name);
        heap.allocator.free(self.certificate);
        heap.allocator.destroy(self);
    }
};

/// The keys of RFC 8446 §7.1, by picotls's numbers.
const Epoch = enum(usize) { initial = 0, early = 1, handshake = 2, application = 3 };

const extension_early_data = 42;
/// Where a ClientHello says how long its session id is: behind its header, version and random.
const session_id_at = 4 + 2 + 32;

pub const Handshake = struct {
    tls: *picotls.Tls,
    context: *const Context,
    suite: ?*const Suite = null,
    read_early: ?Keys = null,
    read_handshake: ?Keys = null,
    read_application: ?Keys = null,
    write_handshake: ?Keys = null,
    write_application: ?Keys = null,
    /// What has to be sent, in records. What `sent` says of it has been.
    flight: std.ArrayListUnmanaged(u8) = .{},
    sent: usize = 0,
    /// The client has sent data ahead, or means to.
    offers_early: bool = false,
    /// The client wants to see a ChangeCipherSpec.
    owes_change_cipher_spec: bool = false,
    is_old_version: bool = false,
    /// The client speaks TLS 1.3, or nothing older is served.
    is_modern: bool,
    /// Of a ClientHello that is looked at, what came in records before its last.
    begun: std.ArrayListUnmanaged(u8) = .{},
    protocol: ?u8 = null,
    server_name: []const u8 = "",
    certificate: []const u8 = "",
    certificate_error: c_int = 0,

    pub const Error = error{OutOfMemory};

    pub fn create(context: *const Context) Error!*Handshake {
        const self = try heap.allocator.create(Handshake);
        errdefer heap.allocator.destroy(self);
        const tls = picotls.ptls_server_new(context.first()) orelse return error.OutOfMemory;
        self.* = .{
            .tls = tls,
            .context = context,
            .is_modern = context.version_min == .tls13,
        };
        picotls.ptls_get_data_ptr(tls).* = self;
        return self;
    }

    pub fn destroy(self: *Handshake) void {
        picotls.ptls_free(self.tls);
        inline for (.{
            &self.read_early,
            &self.read_handshake,
            &self.read_application,
            &self.write_handshake,
            &self.write_application,
        }) |keys| if (keys.*) |*present| present.deinit();
        self.begun.deinit(heap.allocator);
        self.flight.deinit(heap.allocator);
        heap.allocator.free(self.server_name);
        heap.allocator.free(self.certificate);
        heap.allocator.destroy(self);
    }

    /// The handshake that a callback of picotls is about.
    pub fn of(tls: *picotls.Tls) *Handshake {
        return @alignCast(@ptrCast(picotls.ptls_get_data_ptr(tls).*.?));
    }

    pub fn isComplete(self: *const Handshake) bool {
        return picotls.ptls_handshake_is_complete(self.tls) != 0;
    }

    /// Whether data that the client sends ahead is accepted.
    pub fn acceptsEarly(self: *const Handshake) bool {
        return self.read_early != null;
    }

    pub const Look = struct {
        found: hellos.Look,
        /// The message, as far as it is there: `body`, or with what came before it.
        message: []const u8,
    };

    /// Looks at a ClientHello, of which `body` is the next part, for the client's version.
    pub fn look(self: *Handshake, body: []const u8) Error!Look {
        assert(!self.is_modern);
        if (self.begun.items.len == 0) {
            const found = hellos.look(body);
            if (found != .unfinished) return .{ .found = found, .message = body };
        }
        try self.begun.appendSlice(heap.allocator, body);
        const message = self.begun.items;
        return .{ .found = hellos.look(message), .message = message };
    }

    /// The message that `look` has found, in records; to be freed.
    pub fn begunRecords(self: *const Handshake) Error![]u8 {
        var records: std.ArrayListUnmanaged(u8) = .{};
        errdefer records.deinit(heap.allocator);
        var rest: []const u8 = self.begun.items;
        while (rest.len > 0) {
            const part = rest[0..@min(rest.len, record.text_bytes_max)];
            rest = rest[part.len..];
            const header: record.Header = .{ .type = .handshake, .len = @intCast(part.len) };
            header.write(try records.addManyAsArray(heap.allocator, record.header_bytes));
            try records.appendSlice(heap.allocator, part);
        }
        return records.toOwnedSlice(heap.allocator);
    }

    /// Takes handshake messages, whole or in parts, that came under the keys of `epoch`. An answer
    /// is appended to the flight. The alert that the connection ends with, or null.
    pub fn take(self: *Handshake, bytes: []const u8) ?Alert {
        var memory: [8 * 1024]u8 = undefined;
        var out: picotls.Buffer = .of(&memory);
        defer out.deinit();
        var offsets: [5]usize = @splat(0);
        const epoch = picotls.ptls_get_read_epoch(self.tls);
        const ret = picotls.ptls_server_handle_message(
            self.tls,
            &out,
            &offsets,
            epoch,
            bytes.ptr,
            bytes.len,
            null,
        );
        if (ret != 0 and ret != picotls.err_in_progress) {
            return alertOf(ret);
        }
        self.write(out.bytes(), &offsets) catch return .internal_error;
        return null;
    }

    fn alertOf(ret: c_int) Alert {
        assert(ret != 0);
        if (ret > 0 and ret < picotls.peer_alert_min) return @enumFromInt(@as(u8, @intCast(ret)));
        return .internal_error; // no memory, or libcrypto failed
    }

    /// Makes records of messages. Those of one epoch share records, as far as they fit.
    fn write(self: *Handshake, messages: []const u8, offsets: *const [5]usize) Error!void {
        if (messages.len == 0) return;
        const plain = messages[offsets[0]..offsets[1]];
        try self.writeRecords(null, plain);
        if (plain.len > 0 and self.owes_change_cipher_spec) {
            self.owes_change_cipher_spec = false;
            try self.flight.appendSlice(heap.allocator, &record.change_cipher_spec);
        }
        assert(offsets[1] == offsets[2]); // a server writes nothing under early keys
        try self.writeRecords(&self.write_handshake, messages[offsets[2]..offsets[3]]);
        try self.writeRecords(&self.write_application, messages[offsets[3]..offsets[4]]);
    }

    fn writeRecords(self: *Handshake, keys: ?*?Keys, bytes: []const u8) Error!void {
        var rest = bytes;
        while (rest.len > 0) {
            const part = rest[0..@min(rest.len, record.text_bytes_max)];
            rest = rest[part.len..];
            const most = part.len + record.overhead_bytes;
            const room = try self.flight.addManyAsSlice(heap.allocator, most);
            if (keys) |sealing| {
                const used = sealing.*.?.sealBytes(.handshake, part, room);
                assert(used == most);
            } else {
                const header: record.Header = .{ .type = .handshake, .len = @intCast(part.len) };
                header.write(room[0..record.header_bytes]);
                @memcpy(room[record.header_bytes..][0..part.len], part);
                self.flight.items.len -= most - record.header_bytes - part.len;
            }
        }
    }

    pub fn unsent(self: *const Handshake) []const u8 {
        return self.flight.items[self.sent..];
    }

    /// What the connection keeps; null when that is nothing.
    pub fn takeDetails(self: *Handshake) Error!?*Details {
        return Details.take(&self.server_name, &self.certificate, self.certificate_error);
    }

    /// The protocol of the server's list that comes first there and is offered (RFC 7301 §3.2).
    fn chooseProtocol(self: *Handshake, offered: []const Iovec) c_int {
        if (offered.len == 0) return 0;
        for (self.context.protocols, 0..) |protocol, index| {
            for (offered) |name| {
                if (!std.mem.eql(u8, name.slice(), protocol)) continue;
                self.protocol = @intCast(index);
                return picotls.ptls_set_negotiated_protocol(self.tls, protocol.ptr, protocol.len);
            }
        }
        return @intFromEnum(Alert.no_application_protocol);
    }
};

// What picotls calls.

pub var on_client_hello: picotls.OnClientHello = .{ .cb = &clientHello };
pub var on_extension: picotls.OnExtension = .{ .cb = &extension };
pub var update_traffic_key: picotls.UpdateTrafficKey = .{ .cb = &trafficKey };

/// Chooses certificate and protocol.
fn clientHello(
    _: *picotls.OnClientHello,
    tls: *picotls.Tls,
    hello: *picotls.ClientHello,
) callconv(.c) c_int {
    const self: *Handshake = .of(tls);
    if (hello.incompatible_version & 1 != 0) {
        self.is_old_version = true;
        return 0; // protocol_version follows
    }
    const raw = hello.raw_message.slice();
    assert(raw.len > session_id_at); // it has been decoded
    self.owes_change_cipher_spec = raw[session_id_at] != 0;
    const asked = hello.server_name.slice();
    const choice = self.context.choose(asked, hello.signature_algorithms.slice());
    if (choice.matches) {
        self.server_name = std.ascii.allocLowerString(heap.allocator, asked) catch
            return picotls.err_no_memory;
        // As it came: a second ClientHello is compared with it.
        const ret = picotls.ptls_set_server_name(tls, asked.ptr, asked.len);
        if (ret != 0) return ret;
    } else if (asked.len > 0 and self.context.strict_names) {
        return @intFromEnum(Alert.unrecognized_name);
    }
    picotls.ptls_set_context(tls, choice.certificate);
    return self.chooseProtocol(hello.negotiated_protocols.slice());
}

fn extension(
    _: *picotls.OnExtension,
    tls: *picotls.Tls,
    _: u8,
    kind: u16,
    _: Iovec,
) callconv(.c) c_int {
    if (kind == extension_early_data) Handshake.of(tls).offers_early = true;
    return 0;
}

fn trafficKey(
    _: *picotls.UpdateTrafficKey,
    tls: *picotls.Tls,
    is_writing: c_int,
    epoch: usize,
    secret: *const anyopaque,
) callconv(.c) c_int {
    const self: *Handshake = .of(tls);
    const suite = picotls.ptls_get_cipher(tls).?;
    self.suite = suite;
    const bytes = @as([*]const u8, @ptrCast(secret))[0..suite.hash.digest_size];
    const writes = is_writing != 0;
    const place: *?Keys = switch (@as(Epoch, @enumFromInt(epoch))) {
        .initial => unreachable, // there is no key
        .early => &self.read_early,
        .handshake => if (writes) &self.write_handshake else &self.read_handshake,
        .application => if (writes) &self.write_application else &self.read_application,
    };
    assert(place.* == null);
    place.* = Keys.init(suite, if (writes) .seal else .open, bytes) catch
        return picotls.err_no_memory;
    self.context.logSecret(picotls.ptls_get_client_random(tls).slice(), writes, epoch, bytes);
    return 0;
}
