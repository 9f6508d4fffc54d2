//! HPACK's Huffman code (RFC 7541 §5.2, appendix B). The code is canonical: the lengths of its
//! words tell the words. Decoding looks twelve bits up at a time, which are one or two symbols of
//! nearly all text.

const std = @import("std");
const assert = std.debug.assert;

/// Of the words of all bytes and of EOS, bits (appendix B).
const lengths = [257]u8{
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6,  10, 10, 12, 13, 6,  8,  11, 10, 10, 8,  11, 8,  6,  6,  6,
    5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8,  15, 6,  12, 10,
    13, 6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
    7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8,  13, 19, 13, 14, 6,
    15, 5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
    6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7,  15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
};
pub const eos = 256;
/// Of the shortest and the longest word, bits.
const length_min = 5;
const length_max = 30;
/// What one look-up takes in, bits.
const window_bits = 12;

/// So much more than the text may a Huffman string's bytes be decoded to.
pub fn decodedBytesMax(encoded_bytes: usize) usize {
    return encoded_bytes * 8 / length_min;
}

const Word = struct { code: u32, len: u8 };

/// The symbols in the order of their words, and for each length where its words begin.
const canon = blk: {
    @setEvalBranchQuota(20_000);
    var symbols: [257]u16 = undefined;
    var first_code: [length_max + 1]u32 = @splat(0);
    var first_symbol: [length_max + 1]u16 = @splat(0);
    // The first word, of 32 bits from the left, that is of a greater length.
    var limit: [length_max + 1]u64 = @splat(0);
    var words: [257]Word = undefined;
    var count: u16 = 0;
    var code: u32 = 0;
    for (length_min..length_max + 1) |len| {
        code <<= 1;
        first_code[len] = code;
        first_symbol[len] = count;
        for (lengths, 0..) |symbol_len, symbol| {
            if (symbol_len != len) continue;
            symbols[count] = symbol;
            words[symbol] = .{ .code = code, .len = len };
            count += 1;
            code += 1;
        }
        limit[len] = @as(u64, code) << (32 - len);
    }
    assert(count == 257 and code == 1 << length_max); // the code is complete
    break :blk .{
        .symbols = symbols,
        .first_code = first_code,
        .first_symbol = first_symbol,
        .limit = limit,
        .words = words,
    };
};

const Found = packed struct(u32) {
    first: u8 = 0,
    second: u8 = 0,
    /// Whole symbols in the window: 0 (its word is longer), 1 or 2.
    count: u2 = 0,
    /// Of the first one's word.
    first_bits: u4 = 0,
    /// Of all that are whole.
    bits: u4 = 0,
    unused: u6 = 0,
};

const window: [1 << window_bits]Found = blk: {
    @setEvalBranchQuota(200_000);
    var table: [1 << window_bits]Found = @splat(.{});
    for (canon.words[0..eos], 0..) |word, symbol| {
        if (word.len > window_bits) continue;
        const rest_bits = window_bits - word.len;
        const base = word.code << rest_bits;
        for (base..base + (1 << rest_bits)) |at| table[at] = .{
            .first = symbol,
            .count = 1,
            .first_bits = word.len,
            .bits = word.len,
        };
    }
    // What follows the first symbol in the window is looked up in it, shifted.
    const singles = table;
    for (&table, 0..) |*found, at| {
        if (found.count == 0) continue;
        const behind = singles[(at << found.first_bits) & ((1 << window_bits) - 1)];
        if (behind.count == 0 or behind.first_bits > window_bits - found.first_bits) continue;
        found.second = behind.first;
        found.count = 2;
        found.bits = found.first_bits + behind.first_bits;
    }
    break :blk table;
};

pub const DecodeError = error{
    /// EOS, or padding that is not the beginning of EOS or of eight bits and more (§5.2).
    InvalidHuffman,
    /// `out` is too small.
    NoSpaceLeft,
};

/// Decodes a whole string to the start of `out`, and returns its length. Bytes of `out` behind it
/// may be overwritten.
pub fn decode(in: []const u8, out: []u8) DecodeError!usize {
    // The bits that have been read and not used, from the left; behind them zeros.
    var bits: u64 = 0;
    var bit_count: u32 = 0;
    var at: usize = 0;
    var len: usize = 0;
    const per_fill = 56 / window_bits;
    while (in.len - at >= 8 and out.len - len >= 2 * per_fill) {
        const ahead = std.mem.readInt(u64, in[at..][0..8], .big);
        bits |= ahead >> @intCast(bit_count);
        at += (63 - bit_count) >> 3;
        bit_count |= 56;
        inline for (0..per_fill) |_| {
            const found = window[@intCast(bits >> (64 - window_bits))];
            if (found.count == 0) {
                @branchHint(.unlikely);
                break;
            }
            out[len..][0..2].* = .{ found.first, found.second };
            len += found.count;
            bits <<= found.bits;
            bit_count -= found.bits;
        } else continue;
        // A long word. There may be less than 30 bits of it.
        const word = try longWord(bits);
        if (word.bits > bit_count) continue;
        out[len] = word.symbol;
        len += 1;
        bits <<= @intCast(word.bits);
        bit_count -= word.bits;
    }
    // What a fill took more than it counted would be taken twice.
    if (bit_count < 64) bits &= ~(@as(u64, std.math.maxInt(u64)) >> @intCast(bit_count));
    return decodeRest(in[at..], out, len, bits, bit_count);
}

fn decodeRest(in: []const u8, out: []u8, begin: usize, begin_bits: u64, count: u32) !usize {
    var bits = begin_bits;
    var bit_count = count;
    var at: usize = 0;
    var len = begin;
    while (true) {
        while (bit_count <= 56 and at < in.len) : (at += 1) {
            bits |= @as(u64, in[at]) << @intCast(56 - bit_count);
            bit_count += 8;
        }
        const found = window[@intCast(bits >> (64 - window_bits))];
        // Behind the end there are zeros: a word that reaches there is none.
        const word: LongWord = if (found.count > 0)
            .{ .symbol = found.first, .bits = found.first_bits }
        else
            try longWord(bits);
        if (word.bits > bit_count) break;
        if (len == out.len) return error.NoSpaceLeft;
        out[len] = word.symbol;
        len += 1;
        bits <<= @intCast(word.bits);
        bit_count -= word.bits;
    }
    assert(at == in.len);
    if (bit_count >= 8) return error.InvalidHuffman;
    const ones = ~(@as(u64, std.math.maxInt(u64)) >> @intCast(bit_count));
    if (bits != ones) return error.InvalidHuffman;
    return len;
}

const LongWord = struct { symbol: u8, bits: u32 };

/// The word at the left of `bits`, which is longer than the window.
fn longWord(bits: u64) error{InvalidHuffman}!LongWord {
    const ahead: u32 = @intCast(bits >> 32);
    const len: u32 = for (window_bits + 1..length_max) |len| {
        if (ahead < canon.limit[len]) break @intCast(len);
    } else length_max;
    const code = ahead >> @intCast(32 - len);
    const symbol = canon.symbols[canon.first_symbol[len] + code - canon.first_code[len]];
    if (symbol == eos) return error.InvalidHuffman;
    return .{ .symbol = @intCast(symbol), .bits = len };
}

/// The symbol whose word are `code`'s last `bits`: for those who read bit by bit.
pub fn symbolOf(code: u32, bits: u8) ?u16 {
    for (canon.words, 0..) |word, symbol| {
        if (word.len == bits and word.code == code) return @intCast(symbol);
    }
    return null;
}

/// What `bytes` take encoded, bytes.
pub fn encodedBytes(bytes: []const u8) usize {
    var bits: usize = 0;
    for (bytes) |byte| bits += lengths[byte];
    return (bits + 7) / 8;
}

/// Encodes `bytes` to the start of `out`, which has room for `encodedBytes(bytes)`. Returns that.
pub fn encode(bytes: []const u8, out: []u8) usize {
    var bits: u64 = 0;
    var bit_count: u6 = 0;
    var len: usize = 0;
    for (bytes) |byte| {
        const word = canon.words[byte];
        // At most 31 bits are there already.
        bits = (bits << @intCast(word.len)) | word.code;
        bit_count += @intCast(word.len);
        if (bit_count < 32) continue;
        bit_count -= 32;
        std.mem.writeInt(u32, out[len..][0..4], @truncate(bits >> bit_count), .big);
        len += 4;
    }
    while (bit_count >= 8) {
        bit_count -= 8;
        out[len] = @truncate(bits >> bit_count);
        len += 1;
    }
    if (bit_count > 0) {
        const padding: u8 = @as(u8, 0xff) >> @intCast(bit_count);
        out[len] = @as(u8, @truncate(bits << @intCast(8 - bit_count))) | padding;
        len += 1;
    }
    return len;
}

test {
    _ = @import("huffman_test.zig");
}
