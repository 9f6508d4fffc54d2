//! Masking (RFC 6455 §5.3): each byte of a client's payload is combined with one of the key's four.

const std = @import("std");

/// Of one frame, turned so that its first byte is for the next byte of the payload.
pub const Key = [4]u8;

/// Bytes in one step: what the target has, at most 64.
const step_bytes = @min(64, @max(16, std.simd.suggestVectorLength(u8) orelse 16));
const V = @Vector(step_bytes, u8);

/// Masks `bytes`, or unmasks them, in place. Returns the key for what follows them.
pub fn apply(bytes: []u8, key: Key) Key {
    const word: u32 = @bitCast(key);
    var rest = bytes;
    if (rest.len >= step_bytes) {
        const pattern: V = @bitCast(@as(@Vector(step_bytes / 4, u32), @splat(word)));
        // Two at a time: the loop's own cost is half.
        while (rest.len >= 2 * step_bytes) {
            const first: V = rest[0..step_bytes].*;
            const second: V = rest[step_bytes..][0..step_bytes].*;
            rest[0..step_bytes].* = first ^ pattern;
            rest[step_bytes..][0..step_bytes].* = second ^ pattern;
            rest = rest[2 * step_bytes ..];
        }
        if (rest.len >= step_bytes) {
            const last: V = rest[0..step_bytes].*;
            rest[0..step_bytes].* = last ^ pattern;
            rest = rest[step_bytes..];
        }
    }
    const double = @as(u64, word) << 32 | word;
    while (rest.len >= 8) {
        const eight: u64 = @bitCast(rest[0..8].*);
        rest[0..8].* = @bitCast(eight ^ double);
        rest = rest[8..];
    }
    if (rest.len >= 4) {
        const four: u32 = @bitCast(rest[0..4].*);
        rest[0..4].* = @bitCast(four ^ word);
        rest = rest[4..];
    }
    for (rest, 0..) |*byte, i| byte.* ^= key[i];
    return turned(key, bytes.len);
}

/// The key for what follows `count` bytes.
inline fn turned(key: Key, count: usize) Key {
    const word = std.mem.readInt(u32, &key, .little);
    var out: Key = undefined;
    std.mem.writeInt(u32, &out, std.math.rotr(u32, word, 8 * (count % 4)), .little);
    return out;
}

const testing = std.testing;

/// RFC 6455 §5.3, as it is written there.
fn plainly(bytes: []u8, key: Key) void {
    for (bytes, 0..) |*byte, i| byte.* ^= key[i % 4];
}

test "bytes of any number and place are masked as the RFC says, in one piece and in two" {
    var prng = std.Random.DefaultPrng.init(11);
    const random = prng.random();
    var original: [5 * step_bytes]u8 = undefined;
    random.bytes(&original);
    for (0..4 * step_bytes + 5) |len| {
        for (0..5) |start| {
            const key: Key = @bitCast(random.int(u32));
            var expected = original;
            plainly(expected[start..][0..len], key);
            var whole = original;
            const after = apply(whole[start..][0..len], key);
            // What is around it is as it was, too.
            try testing.expectEqualSlices(u8, &expected, &whole);
            for (after, 0..) |byte, i| try testing.expectEqual(key[(len + i) % 4], byte);
            var cut = original;
            const at = random.uintAtMost(usize, len);
            const between = apply(cut[start..][0..at], key);
            const end = apply(cut[start + at ..][0 .. len - at], between);
            try testing.expectEqualSlices(u8, &expected, &cut);
            try testing.expectEqual(after, end);
        }
    }
}
