//! Sealing and opening of records, by whoever computes them.

const std = @import("std");
const builtin = @import("builtin");
const testing = std.testing;
const picotls = @import("picotls.zig");
const record = @import("record.zig");
const Keys = record.Keys;
const suites = @import("suites.zig");
const heap = @import("heap.zig");

/// Two suites that differ in who computes.
const Pair = struct { fused: suites.Suite, plain: suites.Suite };

fn pairs() [2]Pair {
    return .{
        pairOf(&picotls.ptls_non_temporal_aes128gcm, &picotls.ptls_openssl_aes128gcm, false),
        pairOf(&picotls.ptls_non_temporal_aes256gcm, &picotls.ptls_openssl_aes256gcm, true),
    };
}

fn pairOf(
    fused: *const picotls.AeadAlgorithm,
    plain: *const picotls.AeadAlgorithm,
    is_long: bool,
) Pair {
    const id: u16 = if (is_long) 0x1302 else 0x1301;
    const hash = if (is_long) &picotls.ptls_openssl_sha384 else &picotls.ptls_openssl_sha256;
    return .{
        .fused = .{ .id = id, .aead = fused, .hash = hash, .name = "fused" },
        .plain = .{ .id = id, .aead = plain, .hash = hash, .name = "plain" },
    };
}

fn secretOf(suite: *const suites.Suite) []const u8 {
    const bytes: [48]u8 = comptime blk: {
        var bytes: [48]u8 = undefined;
        for (&bytes, 0..) |*byte, index| byte.* = index * 5;
        break :blk bytes;
    };
    return (&bytes)[0..suite.hash.digest_size];
}

test "fused AES-GCM seals what libcrypto seals, at every length and place" {
    if (builtin.cpu.arch != .x86_64 or suites.fusedHere() == .none) return error.SkipZigTest;
    heap.init();
    var text: [1200]u8 = undefined;
    for (&text, 0..) |*byte, index| byte.* = @truncate(index *% 31 +% index / 256);
    for (pairs()) |pair| {
        var len: usize = 0;
        while (len < text.len) : (len += if (len < 300) 1 else 37) {
            errdefer std.debug.print("{d} bytes\n", .{len});
            try expectSame(&pair, text[0..len], len % 67);
        }
    }
}

fn expectSame(pair: *const Pair, text: []const u8, offset: usize) !void {
    var fused: Keys = try .init(&pair.fused, .seal, secretOf(&pair.fused));
    defer fused.deinit();
    var plain: Keys = try .init(&pair.plain, .seal, secretOf(&pair.plain));
    defer plain.deinit();
    var one: [1400]u8 align(64) = @splat(0xaa);
    var two: [1400]u8 align(64) = @splat(0xaa);
    const a = one[offset..];
    const b = two[offset..];
    for (0..2) |_| { // of two records
        const len = fused.sealBytes(.application_data, text, a);
        try testing.expectEqual(len, plain.sealBytes(.application_data, text, b));
        try testing.expectEqualSlices(u8, b[0..len], a[0..len]);
    }
    try testing.expectEqualSlices(u8, &two, &one); // nothing around it either
    var opening: Keys = try .init(&pair.fused, .open, secretOf(&pair.fused));
    defer opening.deinit();
    opening.seq = 1;
    const opened = try opening.open(a[0 .. text.len + record.overhead_bytes]);
    try testing.expectEqual(record.Type.application_data, opened.type);
    try testing.expectEqualSlices(u8, text, opened.text);
}

test "pieces of any size make the record that their bytes make" {
    heap.init();
    var seed = std.Random.DefaultPrng.init(11);
    const random = seed.random();
    var text: [3000]u8 = undefined;
    random.bytes(&text);
    for ([_]u16{ 0x1301, 0x1302, 0x1303 }) |id| {
        const suite = suites.find(id).?;
        for (0..200) |_| {
            var whole: Keys = try .init(suite, .seal, secretOf(suite));
            defer whole.deinit();
            var parts: Keys = try .init(suite, .seal, secretOf(suite));
            defer parts.deinit();
            var pieces: [40]picotls.Iovec = undefined;
            var count: usize = 0;
            var at: usize = 0;
            while (at < text.len and count < 39) {
                const most: usize = if (random.boolean()) 5 else 400;
                const n = @min(1 + random.uintLessThan(usize, most), text.len - at);
                pieces[count] = .of(text[at..][0..n]);
                at += n;
                count += 1;
            }
            var one: [3100]u8 = undefined;
            var two: [3100]u8 = undefined;
            const len = whole.sealBytes(.handshake, text[0..at], &one);
            try testing.expectEqual(len, parts.seal(.handshake, pieces[0 .. count + 1], at, &two));
            try testing.expectEqualSlices(u8, one[0..len], two[0..len]);
        }
    }
}

test "a record that was changed anywhere is not opened; padding is taken off" {
    heap.init();
    for ([_]u16{ 0x1301, 0x1302, 0x1303 }) |id| {
        const suite = suites.find(id).?;
        var sealing: Keys = try .init(suite, .seal, secretOf(suite));
        defer sealing.deinit();
        var sealed: [100]u8 = undefined;
        const len = sealing.sealBytes(.handshake, "a text\x00\x00", &sealed);
        for (0..len) |index| {
            var copy = sealed;
            copy[index] ^= 1;
            var opening: Keys = try .init(suite, .open, secretOf(suite));
            defer opening.deinit();
            try testing.expectError(error.BadMac, opening.open(copy[0..len]));
        }
        var padding: Keys = try .init(suite, .seal, secretOf(suite));
        defer padding.deinit();
        // The type is what is not 0 and comes last: here it is 23, and 0 follow.
        errdefer std.debug.print("{x}\n", .{id});
        const padded = padding.sealBytes(@enumFromInt(0), "a text\x17\x00\x00\x00", &sealed);
        var opening: Keys = try .init(suite, .open, secretOf(suite));
        defer opening.deinit();
        const opened = try opening.open(sealed[0..padded]);
        try testing.expectEqual(record.Type.application_data, opened.type);
        try testing.expectEqualStrings("a text", opened.text);
        const empty = padding.sealBytes(@enumFromInt(0), "\x00\x00", &sealed);
        try testing.expectError(error.NoType, opening.open(sealed[0..empty]));
    }
}

test "what a record lacks is told: its header, then the rest of it" {
    const bytes = [_]u8{ 23, 3, 3, 0, 4, 1, 2, 3, 4 };
    for ([_]usize{ 5, 4, 3, 2, 1, 4, 3, 2, 1, 0 }, 0..) |lacking, n|
        try testing.expectEqual(lacking, record.lacking(bytes[0..n]));
}

test "more text than a record may hold, padding and type counted, is an overflow" {
    heap.init();
    const suite = suites.find(0x1303).?;
    for ([_]usize{ record.text_bytes_max + 1, record.text_bytes_max + 2 }) |len| {
        var keys: Keys = try .init(suite, .seal, secretOf(suite));
        defer keys.deinit();
        var sealed: [record.header_bytes + record.sealed_bytes_max]u8 = undefined;
        const text: [record.text_bytes_max + 2]u8 = @splat(23);
        var pieces = [1]picotls.Iovec{.of(text[0..len])};
        const header: record.Header = .{ .type = .application_data, .len = @intCast(len + 16) };
        header.write(sealed[0..record.header_bytes]);
        const aead = keys.aead;
        aead.do_encrypt_v(aead, sealed[5..].ptr, &pieces, 1, 0, &sealed, record.header_bytes);
        var opening: Keys = try .init(suite, .open, secretOf(suite));
        defer opening.deinit();
        const opened = opening.open(sealed[0 .. record.header_bytes + len + 16]);
        if (len > record.text_bytes_max + 1) {
            try testing.expectError(error.Overflow, opened);
        } else {
            try testing.expectEqual(record.text_bytes_max, (try opened).text.len);
        }
    }
}
