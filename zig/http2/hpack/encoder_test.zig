const std = @import("std");
const testing = std.testing;
const FieldLines = @import("../../http/field_lines.zig").FieldLines;
const decoder_file = @import("decoder.zig");
const Block = decoder_file.Block;
const Decoder = decoder_file.Decoder;
const encoder_file = @import("encoder.zig");
const Encoder = encoder_file.Encoder;
const Out = encoder_file.Out;
const shapes = @import("testing/shapes.zig");
const table_file = @import("table.zig");

const capacity = 4096;

/// An encoder, and a decoder that has to come to what was encoded.
const Pair = struct {
    encoder_memory: [encoder_file.memoryBytes(capacity)]u8 align(table_file.alignment) = undefined,
    decoder_memory: [table_file.memoryBytes(capacity)]u8 align(table_file.alignment) = undefined,
    text: [16 * 1024]u8 = undefined,
    lines: [128]table_file.Record = undefined,
    out: [32 * 1024]u8 = undefined,
    encoder: Encoder = undefined,
    decoder: Decoder = undefined,

    fn init(self: *Pair, encoder_capacity: u32) void {
        const bytes = encoder_file.memoryBytes(encoder_capacity);
        self.encoder = Encoder.init(self.encoder_memory[0..bytes], encoder_capacity);
        self.decoder = Decoder.init(&self.decoder_memory, capacity);
    }

    /// The block of `all`, which the decoder understands.
    fn encode(self: *Pair, all: FieldLines) ![]const u8 {
        var out: Out = .{ .bytes = self.out[0..encoder_file.blockBytesMax(all)] };
        self.encoder.begin(&out);
        self.encoder.lines(&out, all);
        var block: Block = .{
            .text = &self.text,
            .lines = &self.lines,
            .limits = .{ .list_bytes_max = 1 << 16, .read_bytes_max = 1 << 20 },
        };
        try self.decoder.decode(out.written(), &block);
        self.encoder.table.checkInvariants();
        self.decoder.table.checkInvariants();
        var fields = block.fields();
        var each = all.fields();
        while (each.next()) |one| {
            const field = fields.next() orelse return error.TooFew;
            try testing.expect(std.ascii.eqlIgnoreCase(one.name, field.text));
            for (field.text) |c| try testing.expect(!std.ascii.isUpper(c));
            try testing.expectEqualStrings(one.value, field.value);
        }
        try testing.expectEqual(null, fields.next());
        return out.written();
    }
};

test "what recurs takes a byte the second time, what differs mostly no place in the table" {
    var pair: Pair = .{};
    pair.init(capacity);
    const lines = comptime FieldLines.of(
        "Content-Type: text/html; charset=utf-8\r\nServer: gyrfalcon\r\nX-A: b\r\n",
    );
    try testing.expect((try pair.encode(lines)).len > 20);
    try testing.expectEqual(3, (try pair.encode(lines)).len);
    const tag = comptime FieldLines.of("ETag: \"0123456789abcdef\"\r\n");
    const first = (try pair.encode(tag)).len;
    try testing.expectEqual(3, pair.encoder.table.count);
    // It is kept now. The name's index has more room in such a field.
    try testing.expectEqual(first - 1, (try pair.encode(tag)).len);
    try testing.expectEqual(4, pair.encoder.table.count);
    try testing.expectEqual(1, (try pair.encode(tag)).len);
    // A value that differs each time.
    var line: [64]u8 = undefined;
    for (0..50) |i| {
        const text = try std.fmt.bufPrint(&line, "X-Request-Id: {d:0>10}\r\n", .{i});
        _ = try pair.encode(.{
            .text = text,
            .lengths = &.{.{ .name = "X-Request-Id".len, .value = 10 }},
        });
    }
    try testing.expectEqual(5, pair.encoder.table.count);
    try testing.expectEqual(3, (try pair.encode(lines)).len);
}

test "what is secret is never indexed, nor what could be guessed" {
    var pair: Pair = .{};
    pair.init(capacity);
    const secrets = comptime FieldLines.of("Authorization: Bearer abcdefgh\r\n" ++
        "Set-Cookie: session=0123456789abcdef0123456789abcdef\r\nCookie: id=17\r\n" ++
        "X-CSRF-Token: 0123456789abcdef\r\nProxy-Authorization: Basic YTpi\r\n");
    for (0..3) |_| {
        const block = try pair.encode(secrets);
        try testing.expectEqual(0x1f, block[0]); // never indexed, name 23
        try testing.expectEqual(23 - 15, block[1]);
    }
    try testing.expectEqual(0, pair.encoder.table.count);
    const long = comptime FieldLines.of("cookie: theme=dark; consent=1; id=17\r\n");
    _ = try pair.encode(long);
    try testing.expectEqual(1, pair.encoder.table.count);
}

test "the static table is used for whole fields and for names" {
    var pair: Pair = .{};
    pair.init(capacity);
    const request = comptime FieldLines.of("accept-encoding: gzip, deflate\r\n");
    try testing.expectEqualStrings("\x90", try pair.encode(request));
    var bytes: [32]u8 = undefined;
    var out: Out = .{ .bytes = &bytes };
    for ([_]u16{ 200, 204, 206, 304, 400, 404, 500 }) |code| pair.encoder.status(&out, code);
    try testing.expectEqualStrings("\x88\x89\x8a\x8b\x8c\x8d\x8e", out.written());
    out.len = 0;
    pair.encoder.status(&out, 201);
    try testing.expectEqualStrings("\x48\x82\x10\x03", out.written());
    out.len = 0;
    pair.encoder.status(&out, 201);
    try testing.expectEqualStrings("\xbe", out.written());
}

test "a change of the peer's table is told at the next block, the smallest size first" {
    var pair: Pair = .{};
    pair.init(capacity);
    const lines = comptime FieldLines.of("X-A: b\r\n");
    _ = try pair.encode(lines);
    try testing.expectEqualStrings("\xbe", try pair.encode(lines));
    pair.encoder.setPeerLimit(65_536); // no more than there is here: nothing changes
    try testing.expectEqualStrings("\xbe", try pair.encode(lines));
    pair.encoder.setPeerLimit(0);
    pair.encoder.setPeerLimit(100);
    const block = try pair.encode(lines);
    try testing.expectEqualStrings("\x20\x3f\x45\x40", block[0..4]);
    try testing.expectEqual(100, pair.decoder.table.size_max);
    try testing.expectEqualStrings("\xbe", try pair.encode(lines));
    pair.encoder.setPeerLimit(0);
    const none = try pair.encode(lines);
    try testing.expectEqualStrings("\x20\x00", none[0..2]);
    try testing.expectEqual(0, pair.encoder.table.count);
}

test "an encoder with less memory than the peer's table says so, one with none keeps nothing" {
    var pair: Pair = .{};
    pair.init(1024);
    const lines = comptime FieldLines.of("X-A: b\r\n");
    const block = try pair.encode(lines);
    try testing.expectEqualStrings("\x3f\xe1\x07\x40", block[0..4]);
    try testing.expectEqual(1024, pair.decoder.table.size_max);
    var none: Pair = .{};
    none.init(0);
    try testing.expectEqualStrings("\x20\x00", (try none.encode(lines))[0..2]);
    try testing.expectEqualStrings("\x00", (try none.encode(lines))[0..1]);
    try testing.expectEqual(0, none.decoder.table.count);
}

test "whatever is encoded comes back, within the bound, and both tables hold the same" {
    var prng = std.Random.DefaultPrng.init(5);
    const random = prng.random();
    for ([_]u32{ 0, 64, 256, 1024, 4096 }) |encoder_capacity| {
        var pair: Pair = .{};
        pair.init(encoder_capacity);
        for (0..1_000) |_| {
            if (random.uintLessThan(u8, 30) == 0)
                pair.encoder.setPeerLimit(random.uintAtMost(u32, 5000));
            var memory: shapes.Memory = .{};
            _ = try pair.encode(shapes.random(random, &memory));
            const ours = &pair.encoder.table;
            const theirs = &pair.decoder.table;
            try testing.expect(theirs.count >= ours.count);
            for (0..ours.count) |i| {
                const a = ours.record(ours.place(@intCast(i)));
                const b = theirs.record(theirs.place(@intCast(i)));
                try testing.expectEqual(a.size(), b.size());
            }
        }
    }
}

/// Bytes of all heads but the first, and of their blocks.
fn measure(pair: *Pair, comptime heads: []const []const u8) ![2]usize {
    var sums = [2]usize{ 0, 0 };
    inline for (heads, 0..) |head, i| {
        const lines = comptime FieldLines.of(head);
        const block = try pair.encode(lines);
        if (i > 0) {
            sums[0] += lines.text.len;
            sums[1] += block.len;
        }
    }
    return sums;
}

test "heads behind the first are at least 80 % smaller: a browser's, an API client's, responses" {
    inline for (.{
        shapes.browser_requests, shapes.api_requests, shapes.api_responses, shapes.file_responses,
    }, .{ 4096, 4096, 1024, 1024 }, .{ 85, 80, 80, 80 }) |heads, bytes, least| {
        var pair: Pair = .{};
        pair.init(bytes);
        const sums = try measure(&pair, heads);
        const saved = 100 - 100 * sums[1] / sums[0];
        try testing.expect(saved >= least);
    }
}

test "a name longer than any that is looked for is sent in lower case" {
    var pair: Pair = .{};
    pair.init(capacity);
    const lines = comptime FieldLines.of("X" ** 300 ++ ": b\r\n");
    for (0..2) |_| _ = try pair.encode(lines);
    try testing.expectEqual(0, pair.encoder.table.count);
}
