const std = @import("std");
const testing = std.testing;
const huffman = @import("huffman.zig");

fn expectCode(text: []const u8, comptime hex: []const u8) !void {
    var code: [hex.len / 2]u8 = undefined;
    _ = try std.fmt.hexToBytes(&code, hex);
    var out: [256]u8 = undefined;
    try testing.expectEqual(code.len, huffman.encodedBytes(text));
    try testing.expectEqualSlices(u8, &code, out[0..huffman.encode(text, &out)]);
    try testing.expectEqualStrings(text, out[0..try huffman.decode(&code, &out)]);
}

test "the strings of RFC 7541's appendix C are encoded and decoded as they are there" {
    try expectCode("www.example.com", "f1e3c2e5f23a6ba0ab90f4ff");
    try expectCode("no-cache", "a8eb10649cbf");
    try expectCode("custom-key", "25a849e95ba97d7f");
    try expectCode("custom-value", "25a849e95bb8e8b4bf");
    try expectCode("302", "6402");
    try expectCode("private", "aec3771a4b");
    try expectCode("Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff");
    try expectCode("https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3");
    try expectCode("gzip", "9bd9ab");
    try expectCode(
        "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
        "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587" ++
            "316065c003ed4ee5b1063d5007",
    );
    try expectCode("", "");
}

test "any bytes come back, whatever their words' lengths and wherever they end" {
    var prng = std.Random.DefaultPrng.init(1);
    const random = prng.random();
    var text: [97]u8 = undefined;
    var code: [4 * text.len]u8 = undefined;
    var back: [text.len]u8 = undefined;
    for (0..20_000) |round| {
        const len = random.uintAtMost(usize, text.len);
        for (text[0..len]) |*byte| byte.* = switch (round % 3) {
            0 => random.int(u8),
            1 => 0x20 + random.uintLessThan(u8, 0x5f),
            else => if (random.uintLessThan(u8, 8) == 0) random.int(u8) else 'e',
        };
        const code_len = huffman.encode(text[0..len], &code);
        try testing.expectEqual(code_len, huffman.encodedBytes(text[0..len]));
        try testing.expect(len <= huffman.decodedBytesMax(code_len));
        // In memory of its own length: nothing behind it is read.
        const own = try testing.allocator.dupe(u8, code[0..code_len]);
        defer testing.allocator.free(own);
        const back_len = try huffman.decode(own, back[0..len]);
        try testing.expectEqualSlices(u8, text[0..len], back[0..back_len]);
        if (len > 0) {
            const short = huffman.decode(own, back[0 .. len - 1]);
            try testing.expectError(error.NoSpaceLeft, short);
        }
    }
}

/// What the code says, bit by bit.
fn plainDecode(in: []const u8, out: []u8) error{InvalidHuffman}!usize {
    var len: usize = 0;
    var code: u32 = 0;
    var bits: u32 = 0;
    for (in) |byte| for (0..8) |i| {
        code = code << 1 | (byte >> @intCast(7 - i) & 1);
        bits += 1;
        const symbol = huffman.symbolOf(code, @intCast(bits)) orelse continue;
        if (symbol == huffman.eos) return error.InvalidHuffman;
        out[len] = @intCast(symbol);
        len += 1;
        code = 0;
        bits = 0;
    };
    if (bits >= 8 or code != (@as(u32, 1) << @intCast(bits)) - 1) return error.InvalidHuffman;
    return len;
}

test "random bits are decoded, or refused, as a decoder does that reads bit by bit" {
    var prng = std.Random.DefaultPrng.init(2);
    const random = prng.random();
    var in: [24]u8 = undefined;
    var out: [40]u8 = undefined;
    var plain: [40]u8 = undefined;
    for (0..3_000) |round| {
        const len = random.uintAtMost(usize, in.len);
        random.bytes(in[0..len]);
        // Long words are rare in random bits.
        if (round % 2 == 0 and len > 6) {
            const at = random.uintAtMost(usize, len - 6);
            @memset(in[at..][0..random.uintAtMost(usize, 4)], 0xff);
        }
        const expected = plainDecode(in[0..len], &plain);
        const found = huffman.decode(in[0..len], &out);
        if (expected) |expected_len| {
            const found_len = try found;
            try testing.expectEqualSlices(u8, plain[0..expected_len], out[0..found_len]);
        } else |_| try testing.expectError(error.InvalidHuffman, found);
    }
}

test "EOS, padding of eight bits and padding with a zero are refused" {
    var out: [16]u8 = undefined;
    for ([_][]const u8{
        "\xff\xff\xff\xff", // EOS
        "\xff\xff\xff\xfc",
        "\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff", // behind what is decoded fast
        "\x1f\xff", // "a", then eight bits and more
        "\xff",
        "\x18", // "a", then 000
        "\x1e", // "a", then 110
        "\xff\xff\xff",
    }) |bad| try testing.expectError(error.InvalidHuffman, huffman.decode(bad, &out));
    try testing.expectEqual(1, try huffman.decode("\x1f", &out));
}
