//! Whether text is UTF-8 (RFC 3629), as its pieces come: what is wrong is told in the piece that
//! makes it so (RFC 6455 §8.1).

const std = @import("std");
const assert = std.debug.assert;

/// Bytes that are looked at together. What is asked of them becomes a word of as many bits.
const block_bytes = 32;
const V = @Vector(block_bytes, u8);
const Mask = u32;

pub const Validator = struct {
    /// Continuation bytes that have to follow.
    pending: u2 = 0,
    /// Between these the next of them is.
    low: u8 = 0x80,
    high: u8 = 0xbf,

    /// Whether `bytes` may follow what was taken. Not to be asked again once they may not.
    pub fn take(self: *Validator, bytes: []const u8) bool {
        var rest = bytes;
        while (self.pending > 0) {
            if (rest.len == 0) return true;
            if (!self.step(rest[0])) return false;
            rest = rest[1..];
        }
        while (rest.len >= block_bytes) {
            const ascii = asciiBytes(rest);
            rest = rest[ascii..];
            if (rest.len < block_bytes) break;
            rest = rest[charsBytes(rest[0..block_bytes]) orelse return false ..];
        }
        while (rest.len >= 8) {
            const eight = std.mem.readInt(u64, rest[0..8], .little);
            if (self.pending == 0 and eight & 0x8080808080808080 == 0) {
                rest = rest[8..];
                continue;
            }
            for (rest[0..8]) |byte| if (!self.step(byte)) return false;
            rest = rest[8..];
        }
        for (rest) |byte| if (!self.step(byte)) return false;
        return true;
    }

    /// Whether the text may end here.
    pub fn isComplete(self: *const Validator) bool {
        return self.pending == 0;
    }

    /// RFC 3629 §4, byte by byte.
    inline fn step(self: *Validator, byte: u8) bool {
        if (self.pending > 0) {
            if (byte < self.low or byte > self.high) return false;
            self.* = .{ .pending = self.pending - 1 };
            return true;
        }
        switch (byte) {
            0x00...0x7f => {},
            0xc2...0xdf => self.pending = 1,
            // No form that is longer than it has to be, and no surrogates.
            0xe0 => self.* = .{ .pending = 2, .low = 0xa0 },
            0xe1...0xec, 0xee...0xef => self.pending = 2,
            0xed => self.* = .{ .pending = 2, .high = 0x9f },
            // Nothing above U+10FFFF.
            0xf0 => self.* = .{ .pending = 3, .low = 0x90 },
            0xf1...0xf3 => self.pending = 3,
            0xf4 => self.* = .{ .pending = 3, .high = 0x8f },
            0x80...0xc1, 0xf5...0xff => return false,
        }
        return true;
    }
};

/// Whether `text` is UTF-8, whole.
pub fn isValid(text: []const u8) bool {
    var validator: Validator = .{};
    return validator.take(text) and validator.isComplete();
}

/// How many bytes at the beginning are ASCII, in blocks.
inline fn asciiBytes(bytes: []const u8) usize {
    const wide = 4 * block_bytes;
    var at: usize = 0;
    while (bytes.len - at >= wide) : (at += wide) {
        const a: V = bytes[at..][0..block_bytes].*;
        const b: V = bytes[at + block_bytes ..][0..block_bytes].*;
        const c: V = bytes[at + 2 * block_bytes ..][0..block_bytes].*;
        const d: V = bytes[at + 3 * block_bytes ..][0..block_bytes].*;
        if (highBits(a | b | c | d) != 0) break;
    }
    while (bytes.len - at >= block_bytes) : (at += block_bytes) {
        if (highBits(bytes[at..][0..block_bytes].*) != 0) break;
    }
    return at;
}

inline fn all(comptime byte: u8) V {
    return @splat(byte);
}

/// The compiler is kept from putting the word off and working on vectors of bits, which takes it
/// three to nine times as long.
inline fn bits(v: @Vector(block_bytes, bool)) Mask {
    const mask: Mask = @bitCast(v);
    return asm (""
        : [out] "=r" (-> Mask),
        : [in] "0" (mask),
    );
}

inline fn highBits(v: V) Mask {
    return bits(v >= all(0x80));
}

/// A block at whose beginning a character begins: how many bytes its whole characters have, at
/// least `block_bytes` - 3. Null: it has what is none.
inline fn charsBytes(block: *const [block_bytes]u8) ?usize {
    const v: V = block.*;
    const high = highBits(v);
    const leads = bits(v >= all(0xc2));
    const continuations = high & ~bits(v >= all(0xc0));
    // 0xc0, 0xc1 and all above 0xf4 are neither.
    if (bits(v >= all(0xf5)) != 0 or high != leads | continuations) return null;
    const leads3 = bits(v >= all(0xe0));
    const leads4 = bits(v >= all(0xf0));
    // A continuation stands where a character before it has room for one, and nowhere else.
    if (continuations != (leads << 1) | (leads3 << 2) | (leads4 << 3)) return null;
    // What the second byte of these may not be.
    const below_a0 = ~bits(v >= all(0xa0));
    const below_90 = ~bits(v >= all(0x90));
    const wrong = ((bits(v == all(0xe0)) << 1) & below_a0) |
        ((bits(v == all(0xed)) << 1) & ~below_a0) |
        ((bits(v == all(0xf0)) << 1) & below_90) |
        ((bits(v == all(0xf4)) << 1) & ~below_90);
    if (wrong != 0) return null;
    // Of characters that go on behind the block, the first byte.
    const cut = (leads & (1 << 31)) | (leads3 & (0b11 << 30)) | (leads4 & (0b111 << 29));
    return if (cut == 0) block_bytes else @ctz(cut);
}

const testing = std.testing;

/// A decoder of another make, std's.
fn plainly(text: []const u8) bool {
    return std.unicode.utf8ValidateSlice(text);
}

fn expectSame(text: []const u8) !void {
    const expected = plainly(text);
    try testing.expectEqual(expected, isValid(text));
    // In two pieces, anywhere.
    for (0..text.len + 1) |cut| {
        var validator: Validator = .{};
        const valid = validator.take(text[0..cut]) and validator.take(text[cut..]) and
            validator.isComplete();
        try testing.expectEqual(expected, valid);
    }
}

test "every sequence of two bytes, and every code point, is judged as by the standard library" {
    for (0..256) |first| {
        for (0..256) |second| {
            const pair = [_]u8{ @intCast(first), @intCast(second) };
            try testing.expectEqual(plainly(&pair), isValid(&pair));
            // The same, and a third and a fourth, at both ends of a block.
            for ([_]*const [2]u8{ "\x80\x80", "\xbf\xbf", "a\x80", "\x80a" }) |end| {
                var long: [80]u8 = @splat('x');
                for ([_]usize{ 0, 28, 29, 30, 31, 60 }) |at| {
                    long = @splat('x');
                    long[at..][0..4].* = pair ++ end.*;
                    try testing.expectEqual(plainly(&long), isValid(&long));
                }
            }
        }
    }
    for (0..0x110000) |point| {
        if (point >= 0xd800 and point <= 0xdfff) continue;
        var char: [4]u8 = undefined;
        const len = try std.unicode.utf8Encode(@intCast(point), &char);
        if (!isValid(char[0..len])) return error.TestUnexpectedResult;
    }
}

test "text of any language is taken, in whatever pieces it comes" {
    const text = "Stra\u{df}e \u{4e2d}\u{6587}\u{1f600} " ** 6 ++
        "plain ASCII in a row of more than thirty-two bytes";
    try expectSame(text);
    for (0..text.len) |len| try testing.expectEqual(plainly(text[0..len]), isValid(text[0..len]));
}

test "what is no UTF-8 is told in the piece that makes it so" {
    const wrong = [_][]const u8{
        "\x80", "\xc0",  "\xc1",      "\xe0\x9f",      "\xed\xa0", "\xf0\x8f", "\xf4\x90", "\xf5",
        "\xff", "\xc2a", "\xe1\x80a", "\xf1\x80\x80a",
    };
    for (wrong) |bytes| {
        for (0..70) |len| {
            var text: [80]u8 = @splat('a');
            @memcpy(text[len..][0..bytes.len], bytes);
            var validator: Validator = .{};
            try testing.expect(validator.take(text[0 .. len + bytes.len - 1]));
            try testing.expect(!validator.take(text[len + bytes.len - 1 ..][0..1]));
            try expectSame(text[0 .. len + bytes.len]);
        }
    }
}

test "random bytes and spoilt text are judged as by the standard library" {
    var prng = std.Random.DefaultPrng.init(5);
    const random = prng.random();
    var text: [200]u8 = undefined;
    for (0..4000) |_| {
        var len: usize = 0;
        while (len + 4 <= text.len) {
            const point: u21 = switch (random.uintLessThan(u8, 4)) {
                0 => random.uintLessThan(u21, 0x80),
                1 => 0x80 + random.uintLessThan(u21, 0x780),
                2 => 0xe000 + random.uintLessThan(u21, 0x2000),
                else => 0x10000 + random.uintLessThan(u21, 0x100000),
            };
            len += try std.unicode.utf8Encode(point, text[len..][0..4]);
        }
        const sent = text[0 .. len - random.uintLessThan(usize, 40)];
        if (random.boolean()) sent[random.uintLessThan(usize, sent.len)] = random.int(u8);
        try testing.expectEqual(plainly(sent), isValid(sent));
        const cut = random.uintAtMost(usize, sent.len);
        var validator: Validator = .{};
        const valid = validator.take(sent[0..cut]) and validator.take(sent[cut..]);
        try testing.expectEqual(plainly(sent), valid and validator.isComplete());
    }
}
