//! Session tickets (RFC 8446 §4.6.1): a session, sealed with a key that only servers know, kept by
//! the client.
//!
//! A key is derived from a secret and the time: it seals for as long as tickets live, and opens for
//! as long again. Processes that are given the same secrets read each other's tickets, and after a
//! restart their own, with no word between them. Of several secrets the first seals, and all open:
//! so a secret is replaced without a session lost. What is read is only read: no locks.
//!
//! A ticket is `name(8) nonce(24) sealed tag(16)`; the name is that of the key.

const std = @import("std");
const assert = std.debug.assert;
const Cipher = std.crypto.aead.chacha_poly.XChaCha20Poly1305;
const Hkdf = std.crypto.kdf.hkdf.HkdfSha256;

pub const Secret = [32]u8;
const name_bytes = 8;
pub const overhead_bytes = name_bytes + Cipher.nonce_length + Cipher.tag_length;
/// Where what is unique of a ticket lies.
const unique_at = name_bytes;

const Key = struct {
    name: [name_bytes]u8,
    key: [Cipher.key_length]u8,

    fn of(secret: *const Secret, period: u64) Key {
        var info: [32]u8 = undefined;
        const label = "gyrfalcon session tickets";
        info[0..label.len].* = label.*;
        const text = info[0 .. label.len + 7];
        std.mem.writeInt(u56, text[label.len..][0..7], @intCast(period), .big);
        var out: [name_bytes + Cipher.key_length]u8 = undefined;
        Hkdf.expand(&out, text, Hkdf.extract("", secret));
        return .{ .name = out[0..name_bytes].*, .key = out[name_bytes..].* };
    }
};

/// The keys of a ticket of TLS 1.2, whose form is OpenSSL's (RFC 5077 §4): AES-256-CBC and HMAC.
pub const OldKey = struct {
    name: [16]u8,
    cipher: [32]u8,
    mac: [32]u8,
    /// Tickets are sealed with it now.
    is_current: bool,

    fn of(secret: *const Secret, period: u64, is_current: bool) OldKey {
        const label = "gyrfalcon tickets, TLS 1.2";
        var info: [label.len + 8]u8 = undefined;
        info[0..label.len].* = label.*;
        std.mem.writeInt(u64, info[label.len..], period, .big);
        var out: [16 + 32 + 32]u8 = undefined;
        defer std.crypto.secureZero(u8, &out);
        Hkdf.expand(&out, &info, Hkdf.extract("", secret));
        return .{
            .name = out[0..16].*,
            .cipher = out[16..48].*,
            .mac = out[48..80].*,
            .is_current = is_current,
        };
    }

    pub fn forget(self: *OldKey) void {
        std.crypto.secureZero(u8, &self.cipher);
        std.crypto.secureZero(u8, &self.mac);
    }
};

pub const Tickets = struct {
    /// At least one, the caller's. The first seals.
    secrets: []const Secret,
    lifetime_s: u32,

    fn periodOf(self: *const Tickets, now_ms: u64) u64 {
        return now_ms / 1000 / self.lifetime_s;
    }

    /// Writes a ticket to `out`, which has room for `overhead_bytes` more than `session`.
    pub fn seal(self: *const Tickets, now_ms: u64, session: []const u8, out: []u8) void {
        assert(out.len == session.len + overhead_bytes);
        var key: Key = .of(&self.secrets[0], self.periodOf(now_ms));
        defer std.crypto.secureZero(u8, &key.key);
        out[0..name_bytes].* = key.name;
        const nonce = out[name_bytes..][0..Cipher.nonce_length];
        std.crypto.random.bytes(nonce);
        const sealed = out[name_bytes + Cipher.nonce_length ..][0..session.len];
        const tag = out[out.len - Cipher.tag_length ..][0..Cipher.tag_length];
        Cipher.encrypt(sealed, tag, session, &key.name, nonce.*, key.key);
    }

    pub const OpenError = error{
        /// No key has its name, or it is not what was sealed.
        Unknown,
    };

    /// How long the session in a ticket is; null for what is none.
    pub fn sessionBytes(ticket: []const u8) ?usize {
        if (ticket.len < overhead_bytes) return null;
        return ticket.len - overhead_bytes;
    }

    /// Writes the session that is in a ticket to `out`, which is `sessionBytes` long.
    pub fn open(
        self: *const Tickets,
        now_ms: u64,
        ticket: []const u8,
        out: []u8,
    ) OpenError!void {
        assert(out.len == sessionBytes(ticket).?);
        const now = self.periodOf(now_ms);
        for (self.secrets) |*secret| {
            // A clock that is a little behind sees tickets of the period that follows.
            for ([_]u64{ now, now -| 1, now + 1 }) |period| {
                var key: Key = .of(secret, period);
                defer std.crypto.secureZero(u8, &key.key);
                if (!std.mem.eql(u8, &key.name, ticket[0..name_bytes])) continue;
                const nonce = ticket[name_bytes..][0..Cipher.nonce_length].*;
                const sealed = ticket[name_bytes + Cipher.nonce_length ..][0..out.len];
                const tag = ticket[ticket.len - Cipher.tag_length ..][0..Cipher.tag_length].*;
                return Cipher.decrypt(out, sealed, tag, &key.name, nonce, key.key) catch
                    error.Unknown;
            }
        }
        return error.Unknown;
    }

    /// What seals a ticket of TLS 1.2. It is to be forgotten.
    pub fn oldKey(self: *const Tickets, now_ms: u64) OldKey {
        return .of(&self.secrets[0], self.periodOf(now_ms), true);
    }

    /// What opens the ticket of TLS 1.2 that has this name; null when none does.
    pub fn oldKeyOf(self: *const Tickets, now_ms: u64, name: *const [16]u8) ?OldKey {
        const now = self.periodOf(now_ms);
        for (self.secrets, 0..) |*secret, index| {
            for ([_]u64{ now, now -| 1, now + 1 }) |period| {
                var key: OldKey = .of(secret, period, index == 0 and period == now);
                if (std.mem.eql(u8, &key.name, name)) return key;
                key.forget();
            }
        }
        return null;
    }

    /// A number that two tickets hardly share.
    pub fn uniqueOf(ticket: []const u8) u64 {
        return std.mem.readInt(u64, ticket[unique_at..][0..8], .little);
    }
};

const testing = std.testing;

fn sealedBy(tickets: *const Tickets, now_ms: u64, session: []const u8, out: []u8) []u8 {
    const ticket = out[0 .. session.len + overhead_bytes];
    tickets.seal(now_ms, session, ticket);
    return ticket;
}

test "a ticket is opened in its period and the next, by whoever has the secret, and not later" {
    const tickets: Tickets = .{ .secrets = &.{@splat(7)}, .lifetime_s = 100 };
    const others: Tickets = .{ .secrets = &.{ @splat(1), @splat(7) }, .lifetime_s = 100 };
    const strangers: Tickets = .{ .secrets = &.{@splat(2)}, .lifetime_s = 100 };
    const session = "a session";
    var memory: [200]u8 = undefined;
    var out: [session.len]u8 = undefined;
    const ticket = sealedBy(&tickets, 1_000_050_000, session, &memory);
    for ([_]u64{ 1_000_050_000, 1_000_149_000, 999_990_000 }) |now_ms| {
        try tickets.open(now_ms, ticket, &out);
        try testing.expectEqualStrings(session, &out);
        try others.open(now_ms, ticket, &out);
    }
    for ([_]u64{ 1_000_200_000, 999_800_000 }) |now_ms|
        try testing.expectError(error.Unknown, tickets.open(now_ms, ticket, &out));
    try testing.expectError(error.Unknown, strangers.open(1_000_050_000, ticket, &out));
}

test "a ticket that was changed anywhere is not opened" {
    const tickets: Tickets = .{ .secrets = &.{@splat(7)}, .lifetime_s = 100 };
    var memory: [200]u8 = undefined;
    const ticket = sealedBy(&tickets, 5_000, "a session", &memory);
    var out: [9]u8 = undefined;
    for (0..ticket.len) |index| {
        ticket[index] ^= 0x40;
        try testing.expectError(error.Unknown, tickets.open(5_000, ticket, &out));
        ticket[index] ^= 0x40;
    }
    try tickets.open(5_000, ticket, &out);
    try testing.expectEqual(null, Tickets.sessionBytes(ticket[0 .. overhead_bytes - 1]));
}

test "two tickets of one session have nothing in common but their key" {
    const tickets: Tickets = .{ .secrets = &.{@splat(7)}, .lifetime_s = 100 };
    var one: [200]u8 = undefined;
    var two: [200]u8 = undefined;
    const first = sealedBy(&tickets, 5_000, "a session", &one);
    const second = sealedBy(&tickets, 5_000, "a session", &two);
    try testing.expect(!std.mem.eql(u8, first[name_bytes..], second[name_bytes..]));
    try testing.expect(Tickets.uniqueOf(first) != Tickets.uniqueOf(second));
}
