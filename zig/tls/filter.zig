//! TLS of one connection, as a filter between a socket and a protocol: bytes in, bytes out, no
//! socket known. A server's side alone.
//!
//! What comes from the socket goes through `read`, which opens records where they lie and takes
//! note of all that is not data. What is to be sent goes through `write`, which puts handshake,
//! alerts and records into memory of the caller's, in the order in which they must leave: it is
//! called when the socket takes bytes, and what it has written is sent before anything else.
//!
//! A connection belongs to one thread at a time; the `Context` is shared and read only. Allocations
//! (heap.zig) are made by handshakes and key updates alone. Of an established connection there
//! remain this struct and two AEAD contexts of libcrypto or picotls.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
pub const Alert = @import("alert.zig").Alert;
const contexts = @import("context.zig");
pub const Context = contexts.Context;
pub const Report = contexts.Report;
pub const Source = contexts.Source;
const handshakes = @import("handshake.zig");
const Handshake = handshakes.Handshake;
const Legacy = legacies.Legacy;
const legacies = @import("legacy.zig");
pub const Details = handshakes.Details;
const heap = @import("heap.zig");
const hellos = @import("hello.zig");
const limits = @import("../core/limits.zig");
const picotls = @import("picotls.zig");
pub const record = @import("record.zig");
const Keys = record.Keys;
const suites = @import("suites.zig");
const Suite = suites.Suite;
const TlsVersion = @import("../core/tls_version.zig").TlsVersion;

const Phase = enum(u8) {
    /// Nothing is encrypted: a ClientHello, or a second one, is to come.
    hello,
    /// The client sends data ahead of its part of the handshake, and it is taken.
    early,
    /// The rest of the client's handshake is to come.
    handshake,
    open,
    /// The peer has said that it sends no more (close_notify). It may still read.
    peer_closed,
    /// It is over: only the alert that says so may be left to be sent.
    failed,
};

/// Why a connection has ended.
pub const Failure = struct {
    alert: Alert,
    by: By,

    pub const By = enum {
        /// What the peer sent was wrong; it is told by the alert.
        us,
        /// The peer sent the alert: close_notify where it left before the handshake was over.
        peer,
        /// Its first bytes are no TLS; they may be HTTP. Nothing is sent.
        not_tls,
        /// The client knows no version that is served.
        old_version,
    };
};

pub const Read = struct {
    /// Data for the protocol: a part of the bytes that were given.
    text: []u8,
    /// So many of the bytes are done with. The rest is the beginning of a record: it is to be kept
    /// and given again, followed by what comes next (`record.lacking`).
    used: usize,
    /// The text came ahead of the handshake: it may be a replay (RFC 8446 §8).
    is_early: bool,
};

pub const Written = struct {
    /// Bytes of the pieces that are in records now.
    taken: usize,
    /// Bytes that are to be sent.
    len: usize,
};

pub const Filter = struct {
    /// Null once it is over, and its last bytes have been written.
    handshake: ?*Handshake,
    /// The connection as libssl has it, where TLS 1.2 is spoken: null for all others.
    legacy: ?*Legacy = null,
    reading: ?Keys = null,
    /// Null once the system seals: it has them alone.
    writing: ?Keys = null,
    suite: ?*const Suite = null,
    details: ?*Details = null,
    /// Bytes written in records since the connection was opened or `slowStart` was called.
    started_bytes: u32 = 0,
    /// Bytes of data ahead that are still taken, or skipped.
    early_bytes_left: u32 = 0,
    /// Records in a row that brought nothing.
    idle_records: u8 = 0,
    /// The beginning of a KeyUpdate whose end is in another record.
    message: [key_update_bytes]u8 = undefined,
    message_len: u8 = 0,
    phase: Phase = .hello,
    /// Index of the protocol in the context's list.
    protocol: ?u8 = null,
    failure: ?Failure = null,
    /// The system seals what is sent, and may so many bytes yet: offload.zig.
    offloaded_left: ?u64 = null,
    /// An alert that has to be sent.
    alert: ?Alert = null,
    is_resumed: bool = false,
    /// Data ahead was accepted.
    took_early: bool = false,
    /// Data ahead was not accepted: records that cannot be opened are passed over.
    is_skipping: bool = false,
    owes_key_update: bool = false,
    saw_hello: bool = false,
    sent_close: bool = false,

    const key_update_bytes = 5;
    const key_update = [key_update_bytes]u8{ 24, 0, 0, 1, 0 };
    const end_of_early_data = [4]u8{ 5, 0, 0, 0 };

    pub const Error = error{OutOfMemory};

    pub fn init(context: *const Context) Error!Filter {
        const handshake = try Handshake.create(context);
        return .{ .handshake = handshake, .early_bytes_left = context.early_bytes_max };
    }

    pub fn deinit(self: *Filter) void {
        self.endHandshake();
        if (self.legacy) |legacy| legacy.destroy();
        if (self.reading) |*keys| keys.deinit();
        if (self.writing) |*keys| keys.deinit();
        if (self.details) |details| details.deinit();
        self.* = undefined;
    }

    fn endHandshake(self: *Filter) void {
        const handshake = self.handshake orelse return;
        handshake.destroy();
        self.handshake = null;
    }

    /// Whether the handshake is over: protocol, suite and details are known, and data may be
    /// written.
    pub fn isOpen(self: *const Filter) bool {
        return self.phase == .open or self.phase == .peer_closed;
    }

    /// Whether data may be written: the handshake is over, or data ahead may be answered, which
    /// goes on when the client has no more of it.
    pub fn takesText(self: *const Filter) bool {
        const answers_early = self.took_early and self.phase != .failed;
        return (self.isOpen() or answers_early) and !self.sent_close;
    }

    pub fn hasPeerClosed(self: *const Filter) bool {
        return self.phase == .peer_closed;
    }

    /// Whether `write` has something to send though no data is.
    pub fn hasOutput(self: *const Filter) bool {
        if (self.unsent().len > 0) return true;
        return self.alert != null or (self.owes_key_update and self.takesText());
    }

    /// What is spoken; of meaning when the handshake is over.
    pub fn version(self: *const Filter) TlsVersion {
        return if (self.legacy == null) .tls13 else .tls12;
    }

    /// What of the handshake has to be sent.
    fn unsent(self: *const Filter) []const u8 {
        if (self.legacy) |legacy| return legacy.unsent();
        return if (self.handshake) |handshake| handshake.unsent() else "";
    }

    // Input.

    /// Takes what has come. Text of several records is moved together. It returns ahead of the end
    /// of `bytes` where the state of the connection changes: it is to be called again with the
    /// rest, until it uses nothing.
    pub fn read(self: *Filter, bytes: []u8) Read {
        var text: []u8 = bytes[0..0];
        var used: usize = 0;
        const before = self.phase;
        while (self.phase == before and self.goesOn()) {
            const rest = bytes[used..];
            if (rest.len < record.header_bytes) break;
            const header = record.Header.parse(rest[0..record.header_bytes]);
            if (self.refuse(header, rest)) break;
            const whole = record.header_bytes + @as(usize, header.len);
            if (rest.len < whole) break;
            used += whole;
            const more = self.take(header.type, rest[0..whole]) orelse continue;
            text = join(bytes, text, more);
        }
        if (!self.goesOn()) used = bytes.len; // what follows is of no interest
        return .{ .text = text, .used = used, .is_early = before == .early };
    }

    fn goesOn(self: *const Filter) bool {
        return self.phase != .failed and self.phase != .peer_closed;
    }

    fn join(bytes: []u8, text: []u8, more: []u8) []u8 {
        if (text.len == 0) return more;
        const begin = @intFromPtr(text.ptr) - @intFromPtr(bytes.ptr);
        const joined = bytes[begin..][0 .. text.len + more.len];
        std.mem.copyForwards(u8, joined[text.len..], more);
        return joined;
    }

    /// Looks at what can be seen of a record before it is whole. True: the connection has ended.
    fn refuse(self: *Filter, header: record.Header, bytes: []const u8) bool {
        if (!self.saw_hello and (header.type != .handshake or bytes[1] != 3)) {
            // An alert is TLS, though out of place.
            if (header.type == .alert and bytes[1] == 3) return self.fail(.unexpected_message);
            self.phase = .failed;
            self.failure = .{ .alert = .unexpected_message, .by = .not_tls };
            return true;
        }
        switch (header.type) {
            .change_cipher_spec, .alert, .handshake, .application_data => {},
            _ => return self.fail(.unexpected_message),
        }
        const is_sealed = header.type == .application_data;
        const most: usize = if (is_sealed) record.sealed_bytes_max else record.text_bytes_max;
        if (header.len > most) return self.fail(.record_overflow);
        return false;
    }

    /// Ends the connection; always true.
    fn fail(self: *Filter, alert: Alert) bool {
        assert(self.phase != .failed);
        self.phase = .failed;
        self.alert = alert;
        self.failure = .{ .alert = alert, .by = .us };
        if (self.handshake) |handshake| {
            if (handshake.is_old_version) self.failure.?.by = .old_version;
        }
        return true;
    }

    /// One whole record; its text, if it has some.
    fn take(self: *Filter, kind: record.Type, bytes: []u8) ?[]u8 {
        if (self.legacy) |legacy| return self.takeLegacy(legacy, kind, bytes);
        const body = bytes[record.header_bytes..];
        switch (kind) {
            .change_cipher_spec => self.takeChangeCipherSpec(body),
            .application_data => return self.takeSealed(bytes),
            .alert => if (self.phase == .open or self.phase == .early) {
                _ = self.fail(.unexpected_message);
            } else {
                self.takeAlert(body);
            },
            .handshake => if (self.phase != .hello or body.len == 0) {
                _ = self.fail(.unexpected_message);
            } else {
                return self.takeHello(bytes);
            },
            _ => unreachable, // it has been refused
        }
        return null;
    }

    /// It says nothing, and may come until the handshake is over (RFC 8446 §5).
    fn takeChangeCipherSpec(self: *Filter, body: []const u8) void {
        const is_expected = self.saw_hello and self.phase != .open;
        if (!is_expected or !std.mem.eql(u8, body, &.{1})) {
            _ = self.fail(.unexpected_message);
            return;
        }
        _ = self.countIdle();
    }

    /// Records that bring nothing cost their sender little. True: there were too many.
    fn countIdle(self: *Filter) bool {
        self.idle_records += 1;
        if (self.idle_records <= limits.tls_idle_records_max) return false;
        return self.fail(.unexpected_message);
    }

    /// A record with a ClientHello, or a part of one. There is never text in it: null.
    fn takeHello(self: *Filter, bytes: []u8) ?[]u8 {
        self.saw_hello = true;
        const handshake = self.handshake.?;
        const body = bytes[record.header_bytes..];
        if (handshake.is_modern) {
            self.takeModern(handshake, body);
            return null;
        }
        const look = handshake.look(body) catch {
            _ = self.fail(.internal_error);
            return null;
        };
        switch (look.found) {
            .unfinished => {},
            .modern => {
                handshake.is_modern = true;
                self.takeModern(handshake, look.message);
            },
            .older => |older| self.beginLegacy(handshake, &older, bytes) catch {
                _ = self.fail(.internal_error);
            },
        }
        return null;
    }

    fn takeModern(self: *Filter, handshake: *Handshake, body: []const u8) void {
        if (handshake.take(body)) |alert| {
            _ = self.fail(alert);
            return;
        }
        if (handshake.read_handshake == null) {
            // The message is not whole, or the client is asked for another one.
            self.skipEarly(handshake.offers_early);
            handshake.offers_early = false; // another one may not (RFC 8446 §4.1.2)
            return;
        }
        self.suite = handshake.suite;
        if (handshake.acceptsEarly()) {
            self.phase = .early;
            self.took_early = true;
            self.readWith(&handshake.read_early);
        } else {
            self.phase = .handshake;
            self.skipEarly(handshake.offers_early);
            self.readWith(&handshake.read_handshake);
        }
        // What this side has to say of the handshake has been said.
        self.writing = Keys.move(&handshake.write_application);
        self.protocol = handshake.protocol;
        self.is_resumed = picotls.ptls_is_psk_handshake(handshake.tls) != 0;
    }

    /// From here on the connection is libssl's. `bytes` is the last record of the ClientHello.
    fn beginLegacy(
        self: *Filter,
        handshake: *Handshake,
        hello: *const hellos.Older,
        bytes: []u8,
    ) Error!void {
        const context = handshake.context;
        const choice = context.chooseOld(hello);
        if (!choice.matches and hello.server_name.len > 0 and context.strict_names) {
            _ = self.fail(.unrecognized_name);
            return;
        }
        const legacy = try Legacy.create(context, hello, choice);
        self.legacy = legacy;
        self.phase = .handshake;
        defer self.endHandshake(); // which keeps the message until then
        if (handshake.begun.items.len == 0) {
            _ = self.takeLegacy(legacy, .handshake, bytes);
            return;
        }
        const records = try handshake.begunRecords();
        defer heap.allocator.free(records);
        _ = self.takeLegacy(legacy, .handshake, records);
    }

    /// Whole records for libssl; their text, if they have some.
    fn takeLegacy(self: *Filter, legacy: *Legacy, kind: record.Type, bytes: []u8) ?[]u8 {
        if (self.phase == .open) switch (kind) {
            .handshake => { // another one, under the keys of this
                _ = self.fail(.no_renegotiation);
                return null;
            },
            .change_cipher_spec => {
                _ = self.fail(.unexpected_message);
                return null;
            },
            else => {},
        };
        switch (legacy.take(bytes)) {
            .text => |text| {
                self.idle_records = 0;
                return text;
            },
            .nothing => if (self.phase == .open) {
                _ = self.countIdle();
            } else if (legacy.isComplete()) self.completeLegacy(legacy),
            .closed => if (self.phase == .open) {
                self.phase = .peer_closed;
            } else self.endByPeer(.close_notify),
            .ended => |alert| self.endByPeer(alert),
            .broken => |alert| _ = self.fail(alert),
            .failed => |alert| {
                _ = self.fail(alert);
                self.alert = null; // libssl has written it
                if (alert == .protocol_version) self.failure.?.by = .old_version;
            },
        }
        return null;
    }

    fn completeLegacy(self: *Filter, legacy: *Legacy) void {
        self.suite = if (legacy.suite()) |id| suites.findOld(id) else null;
        if (self.suite == null) { // 1.3: libssl has seen what hello.zig has not
            _ = self.fail(.internal_error);
            return;
        }
        self.details = legacy.takeDetails() catch {
            _ = self.fail(.internal_error);
            return;
        };
        self.protocol = legacy.protocol;
        self.is_resumed = legacy.isResumed();
        self.phase = .open;
        self.idle_records = 0;
    }

    /// What comes behind a ClientHello that offers data ahead is passed over.
    fn skipEarly(self: *Filter, is_offered: bool) void {
        if (is_offered) self.early_bytes_left = limits.tls_early_skip_bytes;
        self.is_skipping = is_offered;
    }

    /// From here on records are opened with these keys.
    fn readWith(self: *Filter, keys: *?Keys) void {
        if (self.reading) |*old| old.deinit();
        self.reading = Keys.move(keys);
    }

    fn takeSealed(self: *Filter, bytes: []u8) ?[]u8 {
        const keys = if (self.reading) |*keys| keys else {
            if (!self.skip(bytes.len)) _ = self.fail(.unexpected_message);
            return null;
        };
        const opened = keys.open(bytes) catch |err| {
            switch (err) {
                error.BadMac => if (!self.skip(bytes.len)) {
                    _ = self.fail(.bad_record_mac);
                },
                error.Overflow => _ = self.fail(.record_overflow),
                error.NoType => _ = self.fail(.unexpected_message),
            }
            return null;
        };
        self.is_skipping = false; // what is sent ahead comes first
        switch (opened.type) {
            .application_data => return self.takeText(opened.text),
            .handshake => self.takeMessages(opened.text),
            .alert => self.takeAlert(opened.text),
            else => _ = self.fail(.unexpected_message),
        }
        return null;
    }

    /// Passes over a record that the client sent ahead, and that this server cannot or will not
    /// open (RFC 8446 §4.2.10).
    fn skip(self: *Filter, bytes: usize) bool {
        if (!self.is_skipping or bytes > self.early_bytes_left) return false;
        self.early_bytes_left -= @intCast(bytes);
        return true;
    }

    fn takeText(self: *Filter, text: []u8) ?[]u8 {
        switch (self.phase) {
            .open => {},
            .early => {
                if (text.len > self.early_bytes_left) {
                    _ = self.fail(.unexpected_message); // RFC 8446 §4.2.10
                    return null;
                }
                self.early_bytes_left -= @intCast(text.len);
            },
            else => {
                _ = self.fail(.unexpected_message);
                return null;
            },
        }
        // A message must not be torn by other records.
        if (self.message_len > 0) {
            _ = self.fail(.unexpected_message);
            return null;
        }
        if (text.len == 0) {
            _ = self.countIdle();
            return null;
        }
        self.idle_records = 0;
        return text;
    }

    fn takeAlert(self: *Filter, body: []const u8) void {
        if (body.len != 2) {
            // RFC 8446 §5.4
            _ = self.fail(if (body.len == 0) .unexpected_message else .decode_error);
            return;
        }
        const alert: Alert = @enumFromInt(body[1]);
        switch (alert) {
            // Before that nothing is known of who says so: there is no half of a connection.
            .close_notify => if (self.phase == .open) {
                self.phase = .peer_closed;
            } else self.endByPeer(alert),
            // close_notify follows (RFC 8446 §6.1).
            .user_canceled => _ = self.countIdle(),
            else => self.endByPeer(alert),
        }
    }

    fn endByPeer(self: *Filter, alert: Alert) void {
        assert(self.goesOn());
        self.phase = .failed;
        self.failure = .{ .alert = alert, .by = .peer };
    }

    fn takeMessages(self: *Filter, body: []const u8) void {
        if (body.len == 0) {
            _ = self.fail(.unexpected_message);
            return;
        }
        if (self.phase == .open) return self.takePostHandshake(body);
        const handshake = self.handshake.?;
        // Keys change behind it: nothing may follow in its record.
        if (self.phase == .early and !std.mem.eql(u8, body, &end_of_early_data)) {
            _ = self.fail(.unexpected_message);
            return;
        }
        if (handshake.take(body)) |alert| {
            _ = self.fail(alert);
            return;
        }
        if (self.phase == .early) {
            self.phase = .handshake;
            self.readWith(&handshake.read_handshake);
        }
        if (handshake.isComplete()) self.complete(handshake);
    }

    fn complete(self: *Filter, handshake: *Handshake) void {
        self.details = handshake.takeDetails() catch {
            _ = self.fail(.internal_error);
            return;
        };
        self.readWith(&handshake.read_application);
        self.phase = .open;
        self.idle_records = 0;
        if (handshake.unsent().len == 0) self.endHandshake();
    }

    /// A client has one message left to send: KeyUpdate (RFC 8446 §4.6.3).
    fn takePostHandshake(self: *Filter, body: []const u8) void {
        for (body, 1..) |byte, count| {
            self.message[self.message_len] = byte;
            self.message_len += 1;
            if (self.message_len == 1 and byte != key_update[0]) {
                _ = self.fail(.unexpected_message);
                return;
            }
            if (self.message_len < key_update_bytes) continue;
            self.message_len = 0;
            const is_last = count == body.len; // keys change behind it
            self.takeKeyUpdate(is_last);
            if (self.phase != .open) return;
        }
    }

    fn takeKeyUpdate(self: *Filter, is_last: bool) void {
        const says = &self.message;
        if (!std.mem.eql(u8, says[1..4], key_update[1..4])) {
            _ = self.fail(.decode_error);
            return;
        }
        if (says[4] > 1) {
            _ = self.fail(.illegal_parameter);
            return;
        }
        if (!is_last) {
            _ = self.fail(.unexpected_message);
            return;
        }
        if (self.countIdle()) return;
        const keys = self.reading.?.next(self.suite.?, .open) catch {
            _ = self.fail(.internal_error);
            return;
        };
        self.reading.?.deinit();
        self.reading = keys;
        if (says[4] == 0) return;
        self.owes_key_update = self.offloaded_left == null;
        if (!self.owes_key_update) _ = self.fail(.internal_error); // the system takes no others
    }

    // Output.

    /// Fills `out` with what is to be sent next: the handshake, alerts, and records of `pieces`. A
    /// piece may be taken in part. What `out` should hold at least is `write_bytes_min`, and begin
    /// at a multiple of 64, which some processors are faster with.
    pub fn write(self: *Filter, pieces: []const posix.iovec_const, out: []u8) Written {
        assert(out.len >= write_bytes_min and self.offloaded_left == null);
        var len = self.writeFlight(out);
        if (self.unsent().len > 0) return .{ .taken = 0, .len = len };
        var taken: usize = 0;
        if (self.alert == null and self.takesText()) {
            const sealed = self.writeText(pieces, out[len..]);
            taken = sealed.taken;
            len += sealed.len;
        }
        // Text may have ended the connection: there were no new keys to be had.
        if (self.alert) |alert| if (out.len - len >= alert_bytes_max) {
            len += self.writeAlert(alert, out[len..]);
        };
        return .{ .taken = taken, .len = len };
    }

    const alert_bytes_max = legacies.overhead_bytes + 2;
    const key_update_record_bytes = record.overhead_bytes + key_update_bytes;
    /// What `write` needs at least, to get anywhere.
    pub const write_bytes_min = 512;

    fn writeFlight(self: *Filter, out: []u8) usize {
        const flight = self.unsent();
        const n = @min(flight.len, out.len);
        @memcpy(out[0..n], flight[0..n]);
        if (self.legacy) |legacy| legacy.skip(n);
        if (self.handshake) |handshake| {
            handshake.sent += n;
            if (n == flight.len and self.isOpen()) self.endHandshake();
        }
        return n;
    }

    fn writeAlert(self: *Filter, alert: Alert, out: []u8) usize {
        self.alert = null;
        self.sent_close = true;
        if (self.legacy) |legacy| return legacy.writeAlert(alert, out);
        const body = alert.body();
        if (self.writing) |*keys| return keys.sealBytes(.alert, &body, out);
        const header: record.Header = .{ .type = .alert, .len = body.len };
        header.write(out[0..record.header_bytes]);
        out[record.header_bytes..][0..body.len].* = body;
        return record.header_bytes + body.len;
    }

    /// Small records at first: a client can open one as soon as its first packets are there. Later
    /// those that cost least (RFC 8446 §5.1's most).
    fn recordBytes(self: *const Filter) usize {
        const is_start = self.started_bytes < limits.tls_start_bytes;
        return if (is_start) limits.tls_start_record_bytes else record.text_bytes_max;
    }

    /// The connection was idle: its next records are small again.
    pub fn slowStart(self: *Filter) void {
        self.started_bytes = 0;
    }

    fn writeText(self: *Filter, pieces: []const posix.iovec_const, out: []u8) Written {
        var at: Position = .{ .pieces = pieces };
        var len: usize = 0;
        const is_old = self.legacy != null;
        const overhead: usize = if (is_old) legacies.overhead_bytes else record.overhead_bytes;
        while (true) {
            if (self.needsKeyUpdate()) {
                if (out.len - len < key_update_record_bytes) break;
                len += self.writeKeyUpdate(out[len..]) orelse break;
            }
            var gathered: [limits.iovecs_max + 1]picotls.Iovec = undefined;
            const room = out.len - len;
            if (room <= overhead) break;
            const most = @min(self.recordBytes(), room - overhead);
            const part = at.gather(&gathered, most);
            if (part.bytes == 0) break;
            // No record is cut short for what is left of `out`, if another comes before.
            const is_cut = part.bytes < self.recordBytes() and !at.isAtEnd() and
                part.count < limits.iovecs_max;
            if (is_cut and len > 0) {
                at = part.before;
                break;
            }
            len += self.seal(gathered[0 .. part.count + 1], part.bytes, out[len..]) orelse {
                at = part.before;
                break;
            };
            self.started_bytes +|= @intCast(part.bytes);
        }
        return .{ .taken = at.taken, .len = len };
    }

    /// A record of `bytes` bytes in all pieces but the last, which is the record layer's. Null when
    /// there was no memory for it: the connection has ended.
    fn seal(self: *Filter, pieces: []picotls.Iovec, bytes: usize, out: []u8) ?usize {
        const legacy = self.legacy orelse
            return self.writing.?.seal(.application_data, pieces, bytes, out);
        const texts = pieces[0 .. pieces.len - 1];
        var memory: [record.text_bytes_max]u8 = undefined;
        const text = if (texts.len == 1) texts[0].slice() else join: {
            var len: usize = 0;
            for (texts) |piece| {
                @memcpy(memory[len..][0..piece.len], piece.slice());
                len += piece.len;
            }
            break :join memory[0..len];
        };
        assert(text.len == bytes);
        return legacy.seal(text, out) orelse {
            _ = self.fail(.internal_error);
            return null;
        };
    }

    /// Where `write` stands in its pieces.
    const Position = struct {
        pieces: []const posix.iovec_const,
        index: usize = 0,
        /// Within that piece.
        offset: usize = 0,
        taken: usize = 0,

        const Part = struct { count: usize, bytes: usize, before: Position };

        fn isAtEnd(self: *const Position) bool {
            return self.index == self.pieces.len;
        }

        /// The next bytes, `most` at most; steps over them.
        fn gather(self: *Position, out: []picotls.Iovec, most: usize) Part {
            const before = self.*;
            var bytes: usize = 0;
            var count: usize = 0;
            while (!self.isAtEnd() and bytes < most and count < out.len - 1) {
                const piece = self.pieces[self.index];
                const rest = piece.base[self.offset..piece.len];
                const part = rest[0..@min(rest.len, most - bytes)];
                if (part.len > 0) {
                    out[count] = .of(part);
                    count += 1;
                }
                bytes += part.len;
                self.offset += part.len;
                if (self.offset < piece.len) break;
                self.index += 1;
                self.offset = 0;
            }
            self.taken += bytes;
            return .{ .count = count, .bytes = bytes, .before = before };
        }
    };

    fn needsKeyUpdate(self: *const Filter) bool {
        if (self.legacy != null) return false;
        return self.owes_key_update or self.writing.?.seq >= record.records_per_key_max;
    }

    /// Null when there is no memory for other keys: the connection has ended.
    fn writeKeyUpdate(self: *Filter, out: []u8) ?usize {
        const next = self.writing.?.next(self.suite.?, .seal) catch {
            _ = self.fail(.internal_error);
            return null;
        };
        self.owes_key_update = false;
        const len = self.writing.?.sealBytes(.handshake, &key_update, out);
        self.writing.?.deinit();
        self.writing = next;
        return len;
    }

    /// Nothing more will be written: `write` tells the peer so (close_notify), behind what it has
    /// been given. What the peer sends is still read.
    pub fn close(self: *Filter) void {
        if (self.sent_close or self.alert != null or self.phase == .failed) return;
        self.alert = .close_notify;
    }

    /// Ends the connection with an alert of the caller's choosing.
    pub fn abort(self: *Filter, alert: Alert) void {
        if (self.phase != .failed) _ = self.fail(alert);
    }
};
