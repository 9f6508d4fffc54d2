//! TLS between a connection's socket and its protocol: `tls.Filter` as net/ wants one
//! (net/filtering.zig), made when a client's first bytes have come. A connection that says nothing
//! costs no handshake.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const clock = @import("../../core/clock.zig");
const limits = @import("../../core/limits.zig");
const list = @import("../../core/list.zig");
const sealing = @import("../../core/sealing.zig");
const Id = @import("../../core/slots.zig").Id;
const Security = @import("../../http/security.zig").Security;
const offload_file = @import("../../tls/offload.zig");
const tls = @import("../../tls/filter.zig");
const handshakes_file = @import("handshakes.zig");
const plain_page = @import("plain_page.zig");
const store = @import("store.zig");
const Bundle = store.Bundle;
const Set = store.Set;

/// Of a worker.
pub const Handshakes = handshakes_file.Handshakes(Filter);

pub const Filter = struct {
    set: *Set,
    handshakes: *Handshakes,
    /// Its connection.
    conn: Id,
    link: list.Link(Filter) = .{},
    bundle: ?*Bundle = null,
    inner: ?tls.Filter = null,
    security: Security = .{},
    /// What the client is told that speaks no TLS, until it has been written.
    page: []const u8 = "",
    ended: Ended = .no,

    const Ended = enum {
        no,
        /// There was no memory for a handshake.
        no_memory,
        /// Others came while its handshake took its time.
        evicted,
        /// The protocol knows why.
        failed,
    };

    /// It stays where it is from the first call of `read` on.
    pub fn init(set: *Set, handshakes: *Handshakes, conn: Id) Filter {
        return .{ .set = set, .handshakes = handshakes, .conn = conn };
    }

    pub fn deinit(self: *Filter) void {
        self.handshakes.end(self, self.ended == .evicted);
        self.drop();
        self.* = undefined;
    }

    fn drop(self: *Filter) void {
        if (self.inner) |*inner| inner.deinit();
        self.inner = null;
        self.security = .{}; // it points to what goes
        if (self.bundle) |bundle| bundle.release();
        self.bundle = null;
    }

    /// Its handshake ends for another one.
    pub fn evict(self: *Filter) void {
        self.ended = .evicted;
        self.drop();
    }

    fn begin(self: *Filter) ?*tls.Filter {
        if (self.inner) |*inner| return inner;
        if (self.ended != .no) return null;
        const bundle = self.set.acquire();
        self.inner = tls.Filter.init(bundle.context) catch {
            bundle.release();
            self.ended = .no_memory;
            return null;
        };
        self.bundle = bundle;
        self.handshakes.begin(self);
        return &self.inner.?;
    }

    pub const Read = struct {
        text: []u8,
        used: usize,
        /// Of a handshake, µs.
        cost_us: u32,
    };

    pub fn read(self: *Filter, bytes: []u8) Read {
        if (self.isOpen()) return self.readRecords(bytes);
        const began_us = clock.monotonicUs();
        var result = self.readRecords(bytes);
        // What takes less than the clock can tell costs something too.
        result.cost_us = std.math.lossyCast(u32, clock.monotonicUs() -| began_us) +| 1;
        return result;
    }

    fn readRecords(self: *Filter, bytes: []u8) Read {
        const inner = self.begin() orelse
            return .{ .text = bytes[0..0], .used = bytes.len, .cost_us = 0 };
        const was_taking = inner.takesText();
        const had_failed = inner.failure != null;
        const result = inner.read(bytes);
        if (!was_taking and inner.takesText()) self.noteAgreed(inner);
        if (inner.failure) |failure| {
            if (!had_failed and failure.by == .not_tls) self.page = plain_page.of(bytes);
        }
        if (inner.isOpen() or inner.failure != null) self.settleHandshake(inner);
        return .{ .text = result.text, .used = result.used, .cost_us = 0 };
    }

    /// Parameters are known, though the handshake may not be over.
    fn noteAgreed(self: *Filter, inner: *const tls.Filter) void {
        const context = self.bundle.?.context;
        self.security.version = inner.version();
        self.security.cipher = std.mem.span(inner.suite.?.name);
        if (inner.protocol) |index| self.security.protocol = context.protocols[index];
        // The details that follow take it over as it lies.
        if (inner.handshake) |handshake| self.security.server_name = handshake.server_name;
        self.security.is_resumed = inner.is_resumed;
    }

    fn settleHandshake(self: *Filter, inner: *tls.Filter) void {
        if (!self.link.is_linked) return;
        self.handshakes.end(self, false);
        if (!inner.isOpen()) return;
        const details = inner.details orelse return;
        // Handlers are told of it with each request.
        if (details.certificate.len > limits.tls_certificate_bytes_max)
            return inner.abort(.bad_certificate);
        self.security.server_name = details.server_name;
        self.security.certificate = details.certificate;
        self.security.is_authorized = details.certificate.len > 0 and
            details.certificate_error == 0;
    }

    /// What a request that is being read is told.
    pub fn securityNow(self: *Filter) *const Security {
        self.security.is_early = !self.isOpen();
        return &self.security;
    }

    /// The field line that goes with every response; "" for none.
    pub fn hstsLine(self: *const Filter) []const u8 {
        const bundle = self.bundle orelse return "";
        return bundle.hsts_line;
    }

    /// What begins no record is read at once: its bytes at the place of a length say nothing.
    pub fn lacking(bytes: []const u8) usize {
        return if (tls.record.beginsNone(bytes)) 0 else tls.record.lacking(bytes);
    }

    pub fn write(self: *Filter, pieces: []const posix.iovec_const, out: []u8) tls.Written {
        if (self.page.len > 0) {
            const n = @min(self.page.len, out.len);
            @memcpy(out[0..n], self.page[0..n]);
            self.page = self.page[n..];
            return .{ .taken = 0, .len = n };
        }
        const inner = if (self.inner) |*inner| inner else return .{ .taken = 0, .len = 0 };
        const written = inner.write(pieces, out);
        if (self.ended == .failed) self.dropSaid(inner);
        return written;
    }

    pub fn hasOutput(self: *const Filter) bool {
        if (self.page.len > 0) return true;
        return if (self.inner) |*inner| inner.hasOutput() else false;
    }

    pub fn isOpen(self: *const Filter) bool {
        return if (self.inner) |*inner| inner.isOpen() else false;
    }

    pub fn takesText(self: *const Filter) bool {
        return if (self.inner) |*inner| inner.takesText() else false;
    }

    pub fn hasPeerClosed(self: *const Filter) bool {
        return if (self.inner) |*inner| inner.hasPeerClosed() else false;
    }

    pub fn hasFailed(self: *const Filter) bool {
        if (self.ended != .no) return true;
        return if (self.inner) |*inner| inner.failure != null else false;
    }

    /// Why it has failed; null where `ended` says it. Nobody asks again.
    pub fn takeReason(self: *Filter) ?tls.Failure {
        const inner = if (self.inner) |*inner| inner else return null;
        self.ended = .failed;
        const failure = inner.failure.?;
        self.dropSaid(inner);
        return failure;
    }

    /// The connection lingers, and its handshake is not counted any more: once the peer has been
    /// told, it holds no memory.
    fn dropSaid(self: *Filter, inner: *const tls.Filter) void {
        if (!inner.hasOutput()) self.drop();
    }

    pub fn close(self: *Filter) void {
        if (self.inner) |*inner| inner.close();
    }

    // Where the system seals.

    pub const offload_bytes_min = limits.offload_bytes_min;

    pub fn keysOf(self: *const Filter, out: *sealing.Keys) bool {
        const bundle = self.bundle orelse return false;
        if (!bundle.offloads or self.ended != .no) return false;
        return offload_file.keysOf(&self.inner.?, out);
    }

    pub fn offload(self: *Filter) void {
        offload_file.begin(&self.inner.?);
    }

    pub fn noteSealed(self: *Filter, bytes: usize) void {
        if (self.inner) |*inner| offload_file.noteSealed(inner, bytes);
    }

    pub fn message(self: *const Filter) ?sealing.Message {
        return if (self.inner) |*inner| offload_file.message(inner) else null;
    }

    pub fn said(self: *Filter) void {
        const inner = &self.inner.?;
        offload_file.said(inner);
        if (self.ended == .failed) self.dropSaid(inner);
    }
};
