//! Sealing by the system (kTLS): what Linux is told of the keys that a connection sends with, and
//! what its filter has to say once it seals nothing itself any more. TLS 1.3 alone.
//!
//! The system cannot be given other keys on most kernels: a peer that asks for some ends the
//! connection, and so does the end of what one key may seal.

const std = @import("std");
const assert = std.debug.assert;
const Alert = @import("alert.zig").Alert;
const Filter = @import("filter.zig").Filter;
const picotls = @import("picotls.zig");
const record = @import("record.zig");
const sealing = @import("../core/sealing.zig");
const Suite = @import("suites.zig").Suite;

/// A suite as <linux/tls.h> numbers it.
const Cipher = enum(u16) { aes_128_gcm = 51, aes_256_gcm = 52, chacha20_poly1305 = 54 };

/// TLS 1.3's number.
const version: u16 = 0x0304;
const nonce_bytes = 12;
/// Of AES-GCM's nonce the system wants the beginning apart.
const salt_bytes = 4;
const key_bytes_max = 32;

/// As many as full records under one key, and no number of records: what an attacker learns is a
/// matter of blocks (RFC 8446 §5.5).
const sealed_bytes_max: u64 = record.records_per_key_max * record.text_bytes_max;

fn cipherOf(suite: *const Suite) ?Cipher {
    return switch (suite.id) {
        0x1301 => .aes_128_gcm,
        0x1302 => .aes_256_gcm,
        0x1303 => .chacha20_poly1305,
        else => null,
    };
}

/// Fills `out`, which is empty, with `struct tls12_crypto_info_…` for the records behind those that
/// `keys` have sealed. False: the system has no such cipher, or there was no memory. Who has it can
/// read what is sent: the caller wipes `out`, and there is no other copy.
pub fn infoOf(suite: *const Suite, keys: *const record.Keys, out: *sealing.Keys) bool {
    assert(out.len == 0);
    const cipher = cipherOf(suite) orelse return false;
    var key: [key_bytes_max]u8 = undefined;
    var nonce: [nonce_bytes]u8 = undefined;
    defer std.crypto.secureZero(u8, &key);
    defer std.crypto.secureZero(u8, &nonce);
    const key_bytes = suite.aead.key_size;
    assert(suite.aead.iv_size == nonce_bytes);
    if (!expand(suite, keys, "key", key[0..key_bytes])) return false;
    if (!expand(suite, keys, "iv", &nonce)) return false;
    var seq: [8]u8 = undefined;
    std.mem.writeInt(u64, &seq, keys.seq, .big);
    out.appendSliceAssumeCapacity(std.mem.asBytes(&version));
    out.appendSliceAssumeCapacity(std.mem.asBytes(&@intFromEnum(cipher)));
    switch (cipher) {
        .aes_128_gcm, .aes_256_gcm => {
            out.appendSliceAssumeCapacity(nonce[salt_bytes..]);
            out.appendSliceAssumeCapacity(key[0..key_bytes]);
            out.appendSliceAssumeCapacity(nonce[0..salt_bytes]);
        },
        .chacha20_poly1305 => {
            out.appendSliceAssumeCapacity(&nonce);
            out.appendSliceAssumeCapacity(key[0..key_bytes]);
        },
    }
    out.appendSliceAssumeCapacity(&seq);
    return true;
}

/// RFC 8446 §7.3. False: there was no memory for it.
fn expand(suite: *const Suite, keys: *const record.Keys, label: [*:0]const u8, out: []u8) bool {
    const secret: picotls.Iovec = .of(keys.secret[0..suite.hash.digest_size]);
    const ret = picotls.ptls_hkdf_expand_label(
        suite.hash,
        out.ptr,
        out.len,
        secret,
        label,
        .{},
        null,
    );
    return ret == 0;
}

/// Fills `out`, which is empty, with what the system is to seal with from here on. False while the
/// filter has something to say that it has to seal itself, and where the system has no such cipher.
/// The caller wipes `out`.
pub fn keysOf(filter: *const Filter, out: *sealing.Keys) bool {
    if (filter.legacy != null or !filter.isOpen() or !filter.takesText()) return false;
    if (filter.hasOutput() or filter.handshake != null) return false;
    return infoOf(filter.suite.?, &filter.writing.?, out);
}

/// The system has taken the keys: `write` is not called again, and nothing of them stays here.
pub fn begin(filter: *Filter) void {
    assert(filter.offloaded_left == null);
    filter.offloaded_left = sealed_bytes_max;
    filter.writing.?.deinit();
    filter.writing = null;
}

/// The system has sealed so many bytes of text.
pub fn noteSealed(filter: *Filter, bytes: usize) void {
    const left = filter.offloaded_left.?;
    filter.offloaded_left = left -| bytes;
    if (filter.offloaded_left == 0) filter.abort(.internal_error);
}

/// What the filter has to say; `said` when the system has it.
pub fn message(filter: *const Filter) ?sealing.Message {
    const alert = filter.alert orelse return null;
    return .{ .kind = @intFromEnum(record.Type.alert), .bytes = alert.body() };
}

pub fn said(filter: *Filter) void {
    filter.alert = null;
    filter.sent_close = true;
}

const testing = std.testing;
const heap = @import("heap.zig");
const links = @import("testing/link.zig");
const suites = @import("suites.zig");

test "the system is told the keys of RFC 8448 §3" {
    heap.init();
    const suite = suites.find(0x1301).?;
    var secret: [32]u8 = undefined;
    _ = try std.fmt.hexToBytes(
        &secret,
        "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
    );
    var keys: record.Keys = try .init(suite, .seal, &secret);
    defer keys.deinit();
    keys.seq = 0x0102;
    var info: sealing.Keys = .{};
    try testing.expect(infoOf(suite, &keys, &info));
    var expected: [40]u8 = undefined;
    _ = try std.fmt.hexToBytes(&expected, "0403" ++ "3300" ++ // little endian here
        "dd83549aadf1e984" ++ "9f02283b6c9c07efc26bb9f2ac92e356" ++ "cf782b88" ++
        "0000000000000102");
    try testing.expectEqualSlices(u8, &expected, info.constSlice());
}

test "by what the system is told, records are sealed that the peer can open" {
    heap.init();
    const gcm = std.crypto.aead.aes_gcm;
    try expectSame(gcm.Aes128Gcm, suites.find(0x1301).?);
    try expectSame(gcm.Aes256Gcm, suites.find(0x1302).?);
    try expectSame(std.crypto.aead.chacha_poly.ChaCha20Poly1305, suites.find(0x1303).?);
}

/// Seals as the system does (tls_device_fallback.c, tls_sw.c), and as the filter does.
fn expectSame(comptime Aead: type, suite: *const Suite) !void {
    const secret: [48]u8 = @splat(0x5a);
    var keys: record.Keys = try .init(suite, .seal, secret[0..suite.hash.digest_size]);
    defer keys.deinit();
    keys.seq = 7;
    var info: sealing.Keys = .{};
    try testing.expect(infoOf(suite, &keys, &info));
    var out: [100]u8 = undefined;
    const len = keys.sealBytes(.application_data, "some text", &out);
    const is_gcm = Aead != std.crypto.aead.chacha_poly.ChaCha20Poly1305;
    const bytes = info.constSlice();
    const iv_bytes: usize = if (is_gcm) nonce_bytes - salt_bytes else nonce_bytes;
    const key = bytes[4 + iv_bytes ..][0..Aead.key_length].*;
    const behind = bytes[4 + iv_bytes + Aead.key_length ..];
    var nonce: [nonce_bytes]u8 = undefined;
    if (is_gcm) {
        nonce = behind[0..salt_bytes].* ++ bytes[4..12].*;
    } else nonce = bytes[4..16].*;
    const seq = behind[behind.len - 8 ..];
    for (nonce[4..], seq) |*byte, part| byte.* ^= part;
    const text = "some text" ++ "\x17";
    var sealed: [text.len]u8 = undefined;
    var tag: [16]u8 = undefined;
    Aead.encrypt(&sealed, &tag, text, out[0..record.header_bytes], nonce, key);
    try testing.expectEqualSlices(u8, out[record.header_bytes..len], &(sealed ++ tag));
}

test "once the system seals, the filter has no keys to write with" {
    const site = try links.site(.{});
    defer site.deinit();
    var link = try links.withOpenssl(site.context, .{});
    defer link.deinit();
    try link.run();
    const filter = &link.server.filter;
    var keys: sealing.Keys = .{};
    try testing.expect(keysOf(filter, &keys));
    try testing.expect(filter.writing != null);
    begin(filter);
    try testing.expect(filter.writing == null);
    filter.close();
    try testing.expectEqual(Alert.close_notify.body(), message(filter).?.bytes);
    said(filter);
    try testing.expect(message(filter) == null and !filter.takesText());
}

test "what one key may seal is bounded, for a peer too that sends no more" {
    const site = try links.site(.{});
    defer site.deinit();
    for ([_]bool{ false, true }) |has_peer_closed| {
        var link = try links.withOpenssl(site.context, .{});
        defer link.deinit();
        try link.run();
        const filter = &link.server.filter;
        if (has_peer_closed) {
            try link.client.shutdown();
            try link.run();
        }
        begin(filter);
        try testing.expectEqual(has_peer_closed, filter.hasPeerClosed());
        noteSealed(filter, sealed_bytes_max - 1);
        try testing.expect(filter.takesText() and message(filter) == null);
        noteSealed(filter, 1);
        try testing.expect(!filter.takesText() and filter.failure != null);
        try testing.expectEqual(Alert.internal_error.body(), message(filter).?.bytes);
        said(filter);
        noteSealed(filter, 1); // what was under way
        try testing.expect(message(filter) == null);
    }
}
