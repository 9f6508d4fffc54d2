const std = @import("std");
const testing = std.testing;
const decoder_file = @import("decoder.zig");
const Block = decoder_file.Block;
const Decoder = decoder_file.Decoder;
const table_file = @import("table.zig");
const Record = table_file.Record;
const TablePool = @import("table_pool.zig").TablePool;

/// A decoder with its memory, and a block.
const Fixture = struct {
    memory: [table_file.memoryBytes(capacity)]u8 align(table_file.alignment) = undefined,
    text: [text_bytes]u8 = undefined,
    lines: [lines_max]Record = undefined,
    decoder: Decoder = undefined,
    block: Block = undefined,

    const capacity = 4096;
    const text_bytes = 8192;
    const lines_max = 40;

    fn init(self: *Fixture) void {
        self.decoder = Decoder.init(&self.memory, capacity);
        self.block = .{
            .text = &self.text,
            .lines = &self.lines,
            .limits = .{ .list_bytes_max = text_bytes, .read_bytes_max = 16 * text_bytes },
        };
    }

    fn decode(self: *Fixture, bytes: []const u8) !void {
        try self.decoder.decode(bytes, &self.block);
        self.decoder.table.checkInvariants();
    }

    fn text_of(self: *const Fixture) []const u8 {
        return self.text[0..self.block.bytes];
    }

    fn expect(self: *Fixture, comptime hex: []const u8, lines: []const u8, size: u32) !void {
        var bytes: [hex.len / 2]u8 = undefined;
        _ = try std.fmt.hexToBytes(&bytes, hex);
        try self.decode(&bytes);
        try testing.expectEqualStrings(lines, self.text_of());
        try testing.expectEqual(size, self.decoder.table.size);
        try testing.expectEqual(.none, self.block.excess);
    }
};

test "the requests of RFC 7541's appendix C.3 and C.4" {
    inline for (.{ .{
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    }, .{
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    } }) |blocks| {
        var fixture: Fixture = .{};
        fixture.init();
        const first = ":method: GET\r\n:scheme: http\r\n:path: /\r\n" ++
            ":authority: www.example.com\r\n";
        try fixture.expect(blocks[0], first, 57);
        try fixture.expect(blocks[1], first ++ "cache-control: no-cache\r\n", 110);
        try fixture.expect(blocks[2], ":method: GET\r\n:scheme: https\r\n:path: /index.html\r\n" ++
            ":authority: www.example.com\r\ncustom-key: custom-value\r\n", 164);
    }
}

test "the responses of RFC 7541's appendix C.5 and C.6, with evictions" {
    inline for (.{ .{
        "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a3231" ++
            "20474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
        "4803333037c1c0bf",
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a697077" ++
            "38666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167" ++
            "653d333630303b2076657273696f6e3d31",
    }, .{
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad17" ++
            "1863c78f0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6" ++
            "c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    } }) |blocks| {
        var fixture: Fixture = .{};
        fixture.init();
        fixture.decoder.table.resize(256);
        const rest = "cache-control: private\r\ndate: Mon, 21 Oct 2013 20:13:21 GMT\r\n" ++
            "location: https://www.example.com\r\n";
        try fixture.expect(blocks[0], ":status: 302\r\n" ++ rest, 222);
        try fixture.expect(blocks[1], ":status: 307\r\n" ++ rest, 222);
        try fixture.expect(blocks[2], ":status: 200\r\ncache-control: private\r\n" ++
            "date: Mon, 21 Oct 2013 20:13:22 GMT\r\nlocation: https://www.example.com\r\n" ++
            "content-encoding: gzip\r\nset-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; " ++
            "max-age=3600; version=1\r\n", 215);
    }
}

test "the literals of RFC 7541's appendix C.2" {
    var fixture: Fixture = .{};
    fixture.init();
    try fixture.expect(
        "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
        "custom-key: custom-header\r\n",
        55,
    );
    fixture.init();
    try fixture.expect("040c2f73616d706c652f70617468", ":path: /sample/path\r\n", 0);
    try fixture.expect("100870617373776f726406736563726574", "password: secret\r\n", 0);
    try fixture.expect("82", ":method: GET\r\n", 0);
}

test "a block that is cut anywhere is refused, or is a shorter list" {
    const block = "\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff" ++
        "\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";
    var whole: usize = 0;
    for (0..block.len + 1) |cut| {
        // In memory of its own: nothing behind it is read.
        const bytes = try testing.allocator.dupe(u8, block[0..cut]);
        defer testing.allocator.free(bytes);
        var fixture: Fixture = .{};
        fixture.init();
        if (fixture.decode(bytes)) whole += 1 else |err| try testing.expectEqual(
            error.Compression,
            err,
        );
    }
    try testing.expectEqual(6, whole); // nothing, and behind each of the five fields
}

test "what is no field is refused" {
    const bad = [_][]const u8{
        "\x80", // index 0
        "\xbe", // not in the table
        "\x7f\xff\xff\xff\xff\x0f", // a name's index that overflows
        "\xff\xff\xff\xff\xff\xff",
        "\x7e\x01a", // a name that is not in the table
        "\x40", // no name
        "\x40\x01", // a name's length, no name
        "\x40\x01a", // no value
        "\x40\x01a\x02b", // less of a value than it says
        "\x00\x81\x00\x01a", // the name is no Huffman code: padding with zeros
        "\x00\x01a\x84\xff\xff\xff\xff", // EOS
        "\x00\x01a\x81\xff", // eight bits of padding
    };
    for (bad) |bytes| {
        var fixture: Fixture = .{};
        fixture.init();
        try testing.expectError(error.Compression, fixture.decode(bytes));
    }
}

test "the same field may be in the table twice" {
    var fixture: Fixture = .{};
    fixture.init();
    try fixture.decode("\x40\x01a\x01b\x40\x01a\x01b");
    try testing.expectEqual(2, fixture.decoder.table.count);
    try fixture.decode("\xbe\xbf");
    try testing.expectEqualStrings("a: b\r\na: b\r\n", fixture.text_of());
}

test "the table's size is changed at the beginning of a block, twice at most, up to the limit" {
    var fixture: Fixture = .{};
    fixture.init();
    try fixture.decode("\x40\x01a\x01b");
    try fixture.decode("\x20\x3f\xe1\x1f\x82"); // 0, then 4096
    try testing.expectEqual(0, fixture.decoder.table.count);
    try testing.expectEqual(4096, fixture.decoder.table.size_max);
    try fixture.decode("\x20"); // alone
    for ([_][]const u8{
        "\x3f\xe2\x1f", // 4097
        "\x20\x20\x20",
        "\x82\x20",
        "\x20\x82\x20",
        "\x3f\xe1\xff\xff\xff\xff\x7f",
    }) |bad| {
        fixture.init();
        try testing.expectError(error.Compression, fixture.decode(bad));
    }
}

test "once a smaller limit is acknowledged the next block must begin with a size within it" {
    var fixture: Fixture = .{};
    fixture.init();
    fixture.decoder.setLimit(100);
    try testing.expectError(error.Compression, fixture.decode("\x82"));
    fixture.init();
    fixture.decoder.setLimit(100);
    try testing.expectError(error.Compression, fixture.decode("\x3f\x46\x82")); // 101
    fixture.init();
    fixture.decoder.setLimit(100);
    try fixture.decode("\x3f\x45\x82"); // 100
    try fixture.decode("\x82");
    fixture.decoder.setLimit(4096);
    try fixture.decode("\x82"); // it need not grow
    try testing.expectEqual(100, fixture.decoder.table.size_max);
}

test "a list that is too large or too long is given up, and the table stays in step" {
    const kept = "\x40\x01k\x01v"; // 34 bytes of table
    inline for (.{ .too_large, .too_many }, .{ 30, 40 + 1 }) |excess, copies| {
        var fixture: Fixture = .{};
        fixture.init();
        if (excess == .too_large) fixture.block.limits.list_bytes_max = 1000;
        var bytes: [4 * 1024]u8 = undefined;
        const filler = "\x00\x01a\x01b";
        for (0..copies) |i| @memcpy(bytes[filler.len * i ..][0..filler.len], filler);
        const len = copies * filler.len;
        @memcpy(bytes[len..][0..kept.len], kept);
        try fixture.decode(bytes[0 .. len + kept.len]);
        try testing.expectEqual(@as(Block.Excess, excess), fixture.block.excess);
        try testing.expectEqual(0, fixture.block.count);
        try testing.expectEqual(copies * 34 + 34, fixture.block.list_bytes);
        try fixture.decode("\xbe");
        try testing.expectEqualStrings("k: v\r\n", fixture.text_of());
    }
}

test "a field that does not fit behind the others still gets into the table" {
    var fixture: Fixture = .{};
    fixture.init();
    fixture.block.limits.list_bytes_max = 1 << 20;
    var bytes: [16 * 1024]u8 = undefined;
    var stream = std.io.fixedBufferStream(&bytes);
    const writer = stream.writer();
    try writer.writeAll("\x00\x01a\x7f\xe1\x2e" ++ "x" ** 6000 ++ "b" ** 112); // 127 + 5985 bytes
    try writer.writeAll("\x40\x01k\x7f\xb9\x17" ++ "y" ** 3000 ++ "z" ** 128); // 127 + 3001
    _ = try fixture.decode(stream.getWritten());
    try testing.expectEqual(.too_large, fixture.block.excess);
    try testing.expectEqual(1, fixture.decoder.table.count);
    try fixture.decode("\xbe");
    try testing.expectEqualStrings("k: " ++ "y" ** 3000, fixture.text_of()[0..3003]);
    // One that no memory holds empties the table.
    stream.reset();
    try writer.writeAll("\x40\x01k\x7f\xa1\x46" ++ "y" ** 9120); // 127 + 8993 bytes
    _ = try fixture.decode(stream.getWritten());
    try testing.expectEqual(.too_large, fixture.block.excess);
    try testing.expectEqual(0, fixture.decoder.table.count);
}

test "a block whose few bytes stand for a great list ends the connection" {
    var fixture: Fixture = .{};
    fixture.init();
    var bytes: [8 * 1024]u8 = undefined;
    var stream = std.io.fixedBufferStream(&bytes);
    // 4000 bytes of table.
    try stream.writer().writeAll("\x40\x01k\x7f\xa1\x1e" ++ "y" ** 4000);
    try fixture.decode(stream.getWritten());
    try fixture.decode("\xbe" ** 20);
    try testing.expectEqual(.too_large, fixture.block.excess);
    try testing.expectError(error.ListTooLong, fixture.decode("\xbe" ** 4000));
    // Insertions that cost more than they send: a long name and a short value.
    fixture.init();
    stream.reset();
    try stream.writer().writeAll("\x40\x7f\x81\x1e" ++ "y" ** 3968 ++ "\x01v");
    try fixture.decode(stream.getWritten());
    try testing.expectEqual(1, fixture.decoder.table.count);
    try testing.expectError(error.ListTooLong, fixture.decode("\x7e\x01v" ** 1000));
}

test "names and values that no field may have are told, also from the table" {
    const Case = struct { []const u8, bool, bool };
    for ([_]Case{
        .{ "\x40\x01a\x01b", false, false },
        .{ "\x40\x01a\x00", false, false },
        .{ "\x40\x01A\x01b", true, false },
        .{ "\x40\x00\x01b", true, false },
        .{ "\x40\x03a b\x01b", true, false },
        .{ "\x40\x02a:\x01b", true, false },
        .{ "\x40\x04:foo\x01b", true, false },
        .{ "\x40\x09:protocol\x09websocket", false, false },
        .{ "\x40\x01a\x02b ", false, true },
        .{ "\x40\x01a\x02\tb", false, true },
        .{ "\x40\x01a\x03b\r\n", false, true },
        .{ "\x40\x01a\x01\x00", false, true },
        .{ "\x40\x01a\x03b\tc", false, false },
        .{ "\x44\x03/\x7fa", false, true },
    }) |case| {
        var fixture: Fixture = .{};
        fixture.init();
        for ([_][]const u8{ case[0], "\xbe" }) |bytes| {
            try fixture.decode(bytes);
            var fields = fixture.block.fields();
            const field = fields.next().?;
            try testing.expectEqual(null, fields.next());
            try testing.expectEqual(case[1], field.defects.name);
            try testing.expectEqual(case[2], field.defects.value);
        }
        // Under the same name, another value.
        try fixture.decode("\x7e\x01c");
        var fields = fixture.block.fields();
        try testing.expectEqual(case[1], fields.next().?.defects.name);
    }
}

test "a table takes memory as it is used, and decodes as one that has all of it" {
    const memory = try testing.allocator.alignedAlloc(
        u8,
        table_file.alignment,
        TablePool.memoryBytes(2),
    );
    defer testing.allocator.free(memory);
    var pool: TablePool = .init(memory, 2);
    var prng = std.Random.DefaultPrng.init(8);
    const random = prng.random();
    for (0..50) |_| {
        var pooled: Fixture = .{};
        pooled.init();
        pooled.decoder = .initPooled(&pool);
        defer pooled.decoder.deinit();
        var whole: Fixture = .{};
        whole.init();
        try pooled.decode(&.{0x82});
        try testing.expectEqual(0, pooled.decoder.table.ring.len);
        for (0..40) |_| {
            var bytes: [2048]u8 = undefined;
            var len: usize = 0;
            if (random.uintLessThan(u8, 8) == 0) {
                bytes[0..3].* = .{ 0x3f, 0xe1, random.uintAtMost(u8, 31) }; // up to 4096
                len = 3;
            }
            for (0..random.uintAtMost(usize, 4)) |_| {
                const value_len = random.uintLessThan(u8, 127);
                bytes[len..][0..3].* = .{ 0x40, 1, 'a' + random.uintLessThan(u8, 26) };
                bytes[len + 3] = value_len;
                @memset(bytes[len + 4 ..][0..value_len], '0' + value_len % 10);
                len += 4 + @as(usize, value_len);
            }
            const count = whole.decoder.table.count;
            if (count > 0) {
                bytes[len] = 0x80 | 62; // the newest entry
                len += 1;
            }
            const told = whole.decode(bytes[0..len]);
            try testing.expectEqual(told, pooled.decode(bytes[0..len]));
            told catch break; // it referred to what a smaller table had given up
            try testing.expectEqualStrings(whole.text_of(), pooled.text_of());
            const table = &pooled.decoder.table;
            try testing.expectEqual(whole.decoder.table.size, table.size);
            // No more than what was in use at a time, and the next size for it.
            try testing.expect(table.ring.len <= 4096);
        }
    }
}

test "a block that says the same as the one before is not decoded again, and has the same fields" {
    var fixture: Fixture = .{};
    fixture.init();
    try fixture.decode("\x82\x40\x01a\x01b\xbe"); // it changes the table
    try testing.expectEqual(null, fixture.block.source.decoder);
    try fixture.decode("\x82\xbe");
    var kept: [64]u8 = undefined;
    const text = kept[0..fixture.text_of().len];
    @memcpy(text, fixture.text_of());
    const before = fixture.block;
    // Who made a request of it has written behind it, and fields are counted anew.
    @memcpy(fixture.text[before.bytes..][0..4], "host");
    fixture.block.bytes += 4;
    try fixture.decode("\x82\xbe");
    try testing.expectEqualStrings(text, fixture.text_of());
    try testing.expectEqual(before.count, fixture.block.count);
    try testing.expectEqual(before.list_bytes, fixture.block.list_bytes);
    // Who does not say that it has written there sees it: nothing was decoded.
    fixture.text[0] = '!';
    try fixture.decode("\x82\xbe");
    try testing.expectEqual('!', fixture.text[0]);
    fixture.block.forgetSource();
    try fixture.decode("\x82\xbe");
    try testing.expectEqualStrings(text, fixture.text_of());
}

test "a block with other memory, or other limits, is decoded" {
    var fixture: Fixture = .{};
    fixture.init();
    for (0..2) |_| try fixture.decode("\x82\x82");
    var text: [Fixture.text_bytes]u8 = undefined;
    fixture.block.text = &text;
    try fixture.decode("\x82\x82");
    try testing.expectEqualStrings(":method: GET\r\n" ** 2, text[0..fixture.block.bytes]);
    fixture.block.limits.list_bytes_max = 60;
    try fixture.decode("\x82\x82");
    try testing.expectEqual(.too_large, fixture.block.excess);
}

test "what was decoded is not used for another block, table or decoder" {
    var fixture: Fixture = .{};
    fixture.init();
    var other: Fixture = .{};
    other.init();
    try fixture.decode("\x40\x01a\x01b");
    for (0..2) |_| try fixture.decode("\xbe");
    try testing.expectEqualStrings("a: b\r\n", fixture.text_of());
    try fixture.decode("\x40\x01c\x01d");
    for (0..2) |_| try fixture.decode("\xbe");
    try testing.expectEqualStrings("c: d\r\n", fixture.text_of());
    for (0..2) |_| try fixture.decode("\xbf");
    try testing.expectEqualStrings("a: b\r\n", fixture.text_of());
    // What adds to the table does so each time.
    for (0..3) |_| try fixture.decode("\x40\x01g\x01h");
    try testing.expectEqual(5, fixture.decoder.table.count);
    for (0..3) |_| try fixture.decode("\x40\x01c\x01d");
    // Of one whose table has another field there, into the same block.
    try other.decoder.decode("\x40\x01e\x01f", &fixture.block);
    try other.decoder.decode("\xbe", &fixture.block);
    try testing.expectEqualStrings("e: f\r\n", fixture.text_of());
    try fixture.decode("\xbe");
    try testing.expectEqualStrings("c: d\r\n", fixture.text_of());
    // The table is emptied by updates of its size.
    for (0..2) |_| try fixture.decode("\xbe");
    try fixture.decode("\x20\x3f\xe1\x1f\x82");
    try testing.expectError(error.Compression, fixture.decode("\xbe"));
}

test "an update of the size that is due is missed, though the block says what one before it said" {
    var fixture: Fixture = .{};
    fixture.init();
    for (0..2) |_| try fixture.decode("\x82");
    fixture.decoder.setLimit(4096);
    try fixture.decode("\x82");
    fixture.decoder.setLimit(100);
    try testing.expectError(error.Compression, fixture.decode("\x82"));
}

test "what is too long for the block, or has been overwritten, is decoded" {
    var fixture: Fixture = .{};
    fixture.init();
    fixture.block.limits.list_bytes_max = 60;
    for (0..3) |_| {
        try fixture.decode("\x82\x82");
        try testing.expectEqual(.too_large, fixture.block.excess);
        try testing.expectEqual(0, fixture.block.count);
    }
    try fixture.decode("\x82");
    try testing.expectEqual(.none, fixture.block.excess);
    const text = "x" ** ":method: GET\r\n".len;
    @memcpy(fixture.text[0..text.len], text);
    fixture.block.forgetSource();
    try fixture.decode("\x82");
    try testing.expectEqualStrings(":method: GET\r\n", fixture.text_of());
}
