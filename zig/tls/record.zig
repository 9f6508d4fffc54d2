//! TLS's record layer (RFC 8446 §5), without I/O: records are sealed into memory of the caller's
//! and opened where they lie.

const std = @import("std");
const assert = std.debug.assert;
const picotls = @import("picotls.zig");
const Iovec = picotls.Iovec;
const suites = @import("suites.zig");
const Suite = suites.Suite;

pub const header_bytes = 5;
/// What a record may hold, bytes.
pub const text_bytes_max = 16 * 1024;
/// What comes to a text: header, type, tag.
pub const overhead_bytes = header_bytes + 1 + tag_bytes;
pub const record_bytes_max = text_bytes_max + overhead_bytes;
const tag_bytes = 16;
/// TLSCiphertext.length may be so much above a text's (RFC 8446 §5.2).
pub const sealed_bytes_max = text_bytes_max + 256;
/// TLS 1.2's number, for middleboxes.
const version = [2]u8{ 3, 3 };
/// The largest hash of a cipher suite, bytes.
const secret_bytes_max = 48;
/// Records under one key, from RFC 8446 §5.5's 2^24.5 for AES-GCM.
pub const records_per_key_max: u64 = 1 << 24;

pub const Type = enum(u8) {
    change_cipher_spec = 20,
    alert = 21,
    handshake = 22,
    application_data = 23,
    _,
};

pub const Header = struct {
    type: Type,
    /// Bytes behind the header.
    len: u16,

    pub fn parse(bytes: *const [header_bytes]u8) Header {
        return .{ .type = @enumFromInt(bytes[0]), .len = std.mem.readInt(u16, bytes[3..5], .big) };
    }

    pub fn write(self: Header, out: *[header_bytes]u8) void {
        out[0] = @intFromEnum(self.type);
        out[1..3].* = version;
        std.mem.writeInt(u16, out[3..5], self.len, .big);
    }
};

/// How many bytes `prefix`, the beginning of a record, lacks to be whole: of its header as long as
/// that is not there, else of all of it.
pub fn lacking(prefix: []const u8) usize {
    if (prefix.len < header_bytes) return header_bytes - prefix.len;
    const whole = header_bytes + @as(usize, Header.parse(prefix[0..header_bytes]).len);
    return whole -| prefix.len;
}

/// Whether `prefix` is the beginning of no record at all, whatever follows.
pub fn beginsNone(prefix: []const u8) bool {
    if (prefix.len < header_bytes) return false;
    const header = Header.parse(prefix[0..header_bytes]);
    return switch (header.type) {
        .change_cipher_spec, .alert, .handshake, .application_data => false,
        _ => true,
    };
}

/// The ChangeCipherSpec that middleboxes want to see (RFC 8446 §D.4).
pub const change_cipher_spec = [_]u8{ 20, 3, 3, 0, 1, 1 };

/// The keys of one direction.
pub const Keys = struct {
    aead: *picotls.Aead,
    /// Of the next record.
    seq: u64 = 0,
    /// What the next keys are derived from.
    secret: [secret_bytes_max]u8,

    pub const Error = error{OutOfMemory};
    pub const Use = enum { open, seal };

    pub fn init(suite: *const Suite, use: Use, secret: []const u8) Error!Keys {
        assert(secret.len == suite.hash.digest_size and suite.aead.tag_size == tag_bytes);
        var self: Keys = .{ .aead = undefined, .secret = @splat(0) };
        @memcpy(self.secret[0..secret.len], secret);
        const aead = switch (use) {
            .seal => suite.aead,
            .open => suites.opening(suite),
        };
        const is_sealing = @intFromBool(use == .seal);
        self.aead = picotls.ptls_aead_new(aead, suite.hash, is_sealing, secret.ptr, null) orelse
            return error.OutOfMemory;
        return self;
    }

    pub fn deinit(self: *Keys) void {
        picotls.ptls_aead_free(self.aead);
        std.crypto.secureZero(u8, &self.secret);
        self.* = undefined;
    }

    /// Takes keys out of where they wait, which keeps nothing of them.
    pub fn move(place: *?Keys) Keys {
        const keys = place.*.?;
        std.crypto.secureZero(u8, std.mem.asBytes(place));
        place.* = null;
        return keys;
    }

    /// The keys that follow a KeyUpdate (RFC 8446 §7.2).
    pub fn next(self: *const Keys, suite: *const Suite, use: Use) Error!Keys {
        const size = suite.hash.digest_size;
        var secret: [secret_bytes_max]u8 = undefined;
        defer std.crypto.secureZero(u8, &secret);
        const old: Iovec = .of(self.secret[0..size]);
        const label = "traffic upd";
        if (picotls.ptls_hkdf_expand_label(suite.hash, &secret, size, old, label, .{}, null) != 0)
            return error.OutOfMemory;
        return init(suite, use, secret[0..size]);
    }

    /// Writes one record to `out`, and returns its length. `pieces` hold `len` bytes, and have room
    /// for one more at their end, which is used.
    pub fn seal(self: *Keys, kind: Type, pieces: []Iovec, len: usize, out: []u8) usize {
        assert(len <= text_bytes_max and out.len >= len + overhead_bytes);
        const behind: u16 = @intCast(len + 1 + tag_bytes);
        const header: Header = .{ .type = .application_data, .len = behind };
        header.write(out[0..header_bytes]);
        const type_byte = [1]u8{@intFromEnum(kind)};
        pieces[pieces.len - 1] = .of(&type_byte);
        const sealed = out[header_bytes..].ptr;
        const aead = self.aead;
        aead.do_encrypt_v(aead, sealed, pieces.ptr, pieces.len, self.seq, out.ptr, header_bytes);
        self.seq += 1;
        return header_bytes + @as(usize, behind);
    }

    /// The same for bytes in one piece.
    pub fn sealBytes(self: *Keys, kind: Type, bytes: []const u8, out: []u8) usize {
        var pieces = [2]Iovec{ .of(bytes), undefined };
        return self.seal(kind, &pieces, bytes.len, out);
    }

    pub const Opened = struct { type: Type, text: []u8 };

    pub const OpenError = error{
        /// It is not what the peer sealed.
        BadMac,
        /// More text than a record may hold.
        Overflow,
        /// Padding alone (RFC 8446 §5.4).
        NoType,
    };

    /// Opens a whole record where it lies: the text is a part of `record`.
    pub fn open(self: *Keys, record: []u8) OpenError!Opened {
        const sealed = record[header_bytes..];
        if (sealed.len < tag_bytes + 1) return error.BadMac;
        const aead = self.aead;
        const to = sealed.ptr;
        const len = aead.do_decrypt(aead, to, to, sealed.len, self.seq, record.ptr, header_bytes);
        if (len == std.math.maxInt(usize)) return error.BadMac;
        self.seq += 1;
        assert(len == sealed.len - tag_bytes);
        if (len > text_bytes_max + 1) return error.Overflow;
        const padded = sealed[0..len];
        const end = std.mem.lastIndexOfNone(u8, padded, &.{0}) orelse return error.NoType;
        return .{ .type = @enumFromInt(padded[end]), .text = padded[0..end] };
    }
};
