const std = @import("std");
const chunked = @import("chunked.zig");
const problem = @import("../http/problem.zig");
const ChunkedDecoder = chunked.ChunkedDecoder;
const ChunkError = chunked.ChunkError;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectEqualStrings = std.testing.expectEqualStrings;

/// What a whole body came to.
const Outcome = struct {
    data: std.BoundedArray(u8, 65_536) = .{},
    trailers: std.BoundedArray(u8, chunked.trailer_bytes_max) = .{},
    /// Bytes consumed up to the end, or those fed when there was none.
    consumed: usize = 0,
    end: enum { need_more, end, err } = .need_more,
    err: ?ChunkError = null,

    /// Feeds one read; true when the body is over.
    fn feed(out: *Outcome, decoder: *ChunkedDecoder, read: []const u8) !bool {
        var rest = read;
        while (true) switch (decoder.next(rest)) {
            .need_more => |n| {
                try expectEqual(rest.len, n);
                out.consumed += n;
                return false;
            },
            .data => |data| {
                try expect(data.bytes.len > 0 and data.consumed <= rest.len);
                const end = @intFromPtr(data.bytes.ptr) + data.bytes.len;
                try expectEqual(@intFromPtr(rest.ptr) + data.consumed, end);
                try out.data.appendSlice(data.bytes);
                out.consumed += data.consumed;
                rest = rest[data.consumed..];
            },
            .trailer => |piece| {
                try expect(piece.bytes.len > 0 and piece.consumed <= rest.len);
                const end = @intFromPtr(piece.bytes.ptr) + piece.bytes.len;
                try expectEqual(@intFromPtr(rest.ptr) + piece.consumed, end);
                try out.trailers.appendSlice(piece.bytes);
                out.consumed += piece.consumed;
                rest = rest[piece.consumed..];
            },
            .end => |n| {
                out.consumed += n;
                out.end = .end;
                return true;
            },
            .err => |e| {
                out.end = .err;
                out.err = e;
                return true;
            },
        };
    }
};

fn decode(bytes: []const u8, cuts: []const usize) !Outcome {
    var out = Outcome{};
    var decoder = ChunkedDecoder{};
    var start: usize = 0;
    for (cuts) |cut| {
        if (try out.feed(&decoder, bytes[start..cut])) return out;
        start = cut;
    }
    _ = try out.feed(&decoder, bytes[start..]);
    return out;
}

fn expectSame(expected: *const Outcome, actual: *const Outcome) !void {
    try expectEqualStrings(expected.data.slice(), actual.data.slice());
    try expectEqual(expected.end, actual.end);
    try expectEqual(expected.err, actual.err);
    if (expected.end == .err) return;
    try expectEqual(expected.consumed, actual.consumed);
    try expectEqualStrings(expected.trailers.slice(), actual.trailers.slice());
}

/// The outcome of `bytes`, the same when they are cut in one, in two at any place, or into single
/// bytes.
fn outcome(bytes: []const u8) !Outcome {
    const expected = try decode(bytes, &.{});
    for (0..bytes.len + 1) |cut| {
        const actual = try decode(bytes, &.{cut});
        try expectSame(&expected, &actual);
    }
    var cuts: [4096]usize = undefined;
    for (cuts[0..bytes.len], 0..) |*cut, i| cut.* = i;
    const trickled = try decode(bytes, cuts[0..bytes.len]);
    try expectSame(&expected, &trickled);
    return expected;
}

const valid = [_]struct { []const u8, []const u8 }{
    .{ "0\r\n\r\n", "" },
    .{ "5\r\nhello\r\n0\r\n\r\n", "hello" },
    .{ "5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n", "hello world" },
    .{ "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789" },
    .{ "0000000000000005\r\n" ++ "\r\n\r\n\r" ++ "\r\n0\r\n\r\n", "\r\n\r\n\r" },
    .{ "1;a\r\nx\r\n0;b\r\n\r\n", "x" },
    .{ "1;a=b;c=\"d\\\"\\\\;\t\xff\"\r\nx\r\n0\r\n\r\n", "x" },
    .{ "1 \t;\ta = \"b\" ; c\r\nx\r\n0\r\n\r\n", "x" },
    .{ "1\r\nx\r\n0\r\nX-Sum: 1\r\nY:\r\nHostess: \xff\t\r\n\r\n", "x" },
};

test "valid bodies decode to their data at every split" {
    for (valid) |case| {
        const out = try outcome(case[0]);
        try expectEqual(.end, out.end);
        try expectEqual(case[0].len, out.consumed);
        try expectEqualStrings(case[1], out.data.slice());
    }
}

test "the trailer section is given out as it came, at every split" {
    const cases = [_][]const u8{
        "",
        "X-Sum: 1\r\n",
        "A:\r\n",
        "X-Sum: 1\r\nY:\r\nHostess: \xff\t\r\nx-sum:\t2\r\n",
        "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\nServer-Timing: db;dur=53\r\n",
    };
    for (cases) |lines| {
        var buffer: [256]u8 = undefined;
        for ([_][]const u8{ "", "GET / HTTP/1.1\r\n", "\r\n" }) |behind| {
            const body = "1\r\nx\r\n0;last\r\n";
            const bytes = try std.fmt.bufPrint(&buffer, "{s}{s}\r\n{s}", .{ body, lines, behind });
            const out = try outcome(bytes);
            try expectEqual(.end, out.end);
            try expectEqual(bytes.len - behind.len, out.consumed);
            try expectEqualStrings(lines, out.trailers.slice());
        }
    }
}

test "every proper prefix of a valid body needs more" {
    for (valid) |case| for (0..case[0].len) |len| {
        const out = try decode(case[0][0..len], &.{});
        try expectEqual(.need_more, out.end);
        try expectEqual(len, out.consumed);
    };
}

test "bytes after the body are left untouched" {
    for (valid) |case| {
        var buffer: [256]u8 = undefined;
        const bytes = try std.fmt.bufPrint(&buffer, "{s}GET / HTTP/1.1\r\n", .{case[0]});
        const out = try outcome(bytes);
        try expectEqual(.end, out.end);
        try expectEqual(case[0].len, out.consumed);
    }
}

const malformed = [_]struct { []const u8, ChunkError }{
    .{ "\r\n", .invalid_chunk_size },
    .{ "g\r\n", .invalid_chunk_size },
    .{ "-1\r\n", .invalid_chunk_size },
    .{ "+1\r\n", .invalid_chunk_size },
    .{ " 1\r\n", .invalid_chunk_size },
    .{ "0x1\r\n", .invalid_chunk_size },
    .{ "1_0\r\n", .invalid_chunk_size },
    .{ ";a\r\n", .invalid_chunk_size },
    .{ "1,\r\n", .invalid_chunk_size },
    .{ "1\x00\r\n", .invalid_chunk_size },
    .{ "8000000000000000\r\n", .chunk_size_too_large },
    .{ "ffffffffffffffff\r\n", .chunk_size_too_large },
    .{ "10000000000000000\r\n", .chunk_size_too_large },
    .{ "00000000000000001\r\n", .chunk_size_too_large },
    .{ "1\nx\r\n0\r\n\r\n", .bare_line_feed },
    .{ "1;a\nx\r\n0\r\n\r\n", .bare_line_feed },
    .{ "1;\nx\r\n0\r\n\r\n", .bare_line_feed },
    .{ "1;a=\"\n\"\r\n", .bare_line_feed },
    .{ "1\r\nx\n0\r\n\r\n", .bare_line_feed },
    .{ "0\r\n\n", .bare_line_feed },
    .{ "0\r\nA\n\r\n", .bare_line_feed },
    .{ "0\r\nA: b\n\r\n", .bare_line_feed },
    .{ "1\rx\r\n0\r\n\r\n", .bare_carriage_return },
    .{ "1\r\nx\r0\r\n\r\n", .bare_carriage_return },
    .{ "1;a\r\r\n", .bare_carriage_return },
    .{ "0\r\n\r\r\n", .bare_carriage_return },
    .{ "0\r\nA: b\rC: d\r\n\r\n", .bare_carriage_return },
    .{ "1\r\nxy\r\n0\r\n\r\n", .missing_chunk_end },
    .{ "1\r\nx0\r\n\r\n", .missing_chunk_end },
    .{ "1 \r\n", .invalid_extension },
    .{ "1 2\r\n", .invalid_extension },
    .{ "1;\r\n", .invalid_extension },
    .{ "1;;a\r\n", .invalid_extension },
    .{ "1;a=\r\n", .invalid_extension },
    .{ "1;a=b=c\r\n", .invalid_extension },
    .{ "1;a=\"b\r\n", .invalid_extension },
    .{ "1;a=\"\\\x00\"\r\n", .invalid_extension },
    .{ "1;a=\"b\"c\r\n", .invalid_extension },
    .{ "1;a b\r\n", .invalid_extension },
    .{ "1;a \r\n", .invalid_extension },
    .{ "1;a=b c\r\n", .invalid_extension },
    .{ "1;(\r\n", .invalid_extension },
    .{ "1;\xff\r\n", .invalid_extension },
    .{ "0\r\n A: b\r\n\r\n", .invalid_trailer },
    .{ "0\r\n: b\r\n\r\n", .invalid_trailer },
    .{ "0\r\nA\r\n\r\n", .invalid_trailer },
    .{ "0\r\nA : b\r\n\r\n", .invalid_trailer },
    .{ "0\r\nA: b\r\n c\r\n\r\n", .invalid_trailer },
    .{ "0\r\nA: \x00\r\n\r\n", .invalid_trailer },
    .{ "0\r\nGET / HTTP/1.1\r\n\r\n", .invalid_trailer },
    .{ "0\r\nContent-Length: 5\r\n\r\n", .forbidden_trailer },
    .{ "0\r\nX: y\r\ntransfer-ENCODING:chunked\r\n\r\n", .forbidden_trailer },
    .{ "0\r\nHost: a\r\n\r\n", .forbidden_trailer },
    .{ "0\r\nWWW-Authenticate: a\r\n\r\n", .forbidden_trailer },
    .{ "0\r\nAge: 1\r\n\r\n", .forbidden_trailer },
    .{ "0\r\nIf-Modified-Since: x\r\n\r\n", .forbidden_trailer },
    .{ "0\r\nIf-Unmodified-Since: x\r\n\r\n", .forbidden_trailer },
};

test "every forbidden name is refused in a trailer section, at every split" {
    @setEvalBranchQuota(10_000);
    for (@import("../http/trailers.zig").forbidden) |name| {
        var buffer: [128]u8 = undefined;
        var out = try outcome(try std.fmt.bufPrint(&buffer, "0\r\nA: b\r\n{s}: 1\r\n", .{name}));
        try expectEqual(ChunkError.forbidden_trailer, out.err.?);
        out = try outcome(try std.fmt.bufPrint(&buffer, "0\r\n{s}x: 1\r\n\r\n", .{name}));
        try expectEqual(.end, out.end);
        out = try outcome(try std.fmt.bufPrint(&buffer, "0\r\n{s}: 1\r\n\r\n", .{name[1..]}));
        try expectEqual(.end, out.end);
    }
}

test "as many trailers as the limit pass, one more does not, at every split" {
    const lines = "A:\r\n" ** chunked.trailer_count_max;
    var out = try outcome("0\r\n" ++ lines ++ "\r\n");
    try expectEqual(.end, out.end);
    try expectEqualStrings(lines, out.trailers.slice());
    out = try outcome("0\r\n" ++ lines ++ "B:\r\n\r\n");
    try expectEqual(ChunkError.too_many_trailers, out.err.?);
}

test "every malformed body is refused with its own error, at every split" {
    for (malformed) |case| {
        errdefer std.debug.print("for {s}\n", .{std.fmt.fmtSliceEscapeLower(case[0])});
        const out = try outcome(case[0]);
        try expectEqual(.err, out.end);
        try expectEqual(case[1], out.err.?);
    }
}

test "every error has a status in the 400s" {
    for (std.enums.values(ChunkError)) |e| {
        const status = problem.statusOf(problem.codeOf(e));
        try expect(status >= 400 and status < 500);
    }
}

test "regression: a read of 16 KiB or more of one chunk overflows" {
    const data = "x" ** 40_000;
    for ([_]usize{ 16_383, 16_384, 16_385, 32_768, 40_000 }) |cut| {
        const out = try decode("9c40\r\n" ++ data ++ "\r\n0\r\n\r\n", &.{cut});
        try expectEqual(.end, out.end);
        try expectEqualStrings(data, out.data.slice());
    }
}

test "data before a defect is delivered" {
    const out = try outcome("5\r\nhelloX");
    try expectEqualStrings("hello", out.data.slice());
    try expectEqual(ChunkError.missing_chunk_end, out.err.?);
}

test "data that is given back comes again" {
    const bytes = "5\r\nhello\r\n0\r\n\r\n";
    for (0..6) |kept| {
        var decoder = ChunkedDecoder{};
        const first = decoder.next(bytes).data;
        decoder.unread(kept);
        var rest: []const u8 = bytes[first.consumed - kept ..];
        if (kept > 0) {
            const again = decoder.next(rest).data;
            try expectEqualStrings("hello"[5 - kept ..], again.bytes);
            rest = rest[again.consumed..];
        }
        try expectEqual(rest.len, decoder.next(rest).end);
    }
}

test "the largest chunk size is taken and counted down" {
    var decoder = ChunkedDecoder{};
    const event = decoder.next("7fffffffffffffff\r\nabc");
    try expectEqualStrings("abc", event.data.bytes);
    try expectEqual(chunked.chunk_size_max - 3, decoder.remaining);
}

test "what is left of a chunk is known once its size line is whole" {
    var dec: ChunkedDecoder = .{};
    try expectEqual(3, dec.next("1f3").need_more);
    try expectEqual(0, dec.dataLeft());
    try expectEqual(2, dec.next("\r\n").need_more);
    try expectEqual(0x1f3, dec.dataLeft());
    try expectEqualStrings("abc", dec.next("abc").data.bytes);
    try expectEqual(0x1f0, dec.dataLeft());
    dec.unread(1);
    try expectEqual(0x1f1, dec.dataLeft());
}

test "an extension of the limit passes, one byte more does not" {
    // ";" and the CR count too.
    const name = "a" ** (chunked.extension_bytes_max - 2);
    var out = try decode("1;" ++ name ++ "\r\nx\r\n0\r\n\r\n", &.{});
    try expectEqual(.end, out.end);
    out = try decode("1;a" ++ name ++ "\r\nx\r\n0\r\n\r\n", &.{});
    try expectEqual(ChunkError.extensions_too_large, out.err.?);
}

test "tiny chunks with extensions are refused, large ones with extensions are not" {
    const tiny = "1;" ++ "e" ** 100 ++ "\r\nx\r\n";
    var decoder = ChunkedDecoder{};
    var out = Outcome{};
    for (0..1000) |_| {
        if (try out.feed(&decoder, tiny)) break;
    }
    try expectEqual(ChunkError.extensions_too_large, out.err.?);

    const large = "200;" ++ "e" ** 100 ++ "\r\n" ++ "x" ** 512 ++ "\r\n";
    decoder = .{};
    for (0..10_000) |_| {
        out = .{};
        try expect(!try out.feed(&decoder, large));
    }
}

test "chunks without extensions are never refused for their overhead" {
    var decoder = ChunkedDecoder{};
    for (0..100_000) |_| {
        var out = Outcome{};
        try expect(!try out.feed(&decoder, "1\r\nx\r\n"));
    }
}

test "a trailer section of the limit passes, one byte more does not" {
    const line = "A:" ++ "b" ** 200 ++ "\r\n";
    const lines = line ** (chunked.trailer_bytes_max / line.len);
    const filler = "B:" ++ "c" ** (chunked.trailer_bytes_max % line.len + line.len - 4) ++ "\r\n";
    const full = lines[line.len..] ++ filler;
    try expectEqual(chunked.trailer_bytes_max, full.len);
    var out = try decode("0\r\n" ++ full ++ "\r\n", &.{});
    try expectEqual(.end, out.end);
    out = try decode("0\r\nx" ++ full ++ "\r\n", &.{});
    try expectEqual(ChunkError.trailers_too_large, out.err.?);
    out = try decode("0\r\nA:" ++ "b" ** 60_000, &.{});
    try expectEqual(ChunkError.trailers_too_large, out.err.?);
}

test "no bytes change nothing" {
    var decoder = ChunkedDecoder{};
    for ("2;a\r\nxy\r\n0\r\nA: b\r\n\r\n") |c| {
        const before = decoder;
        try expectEqual(chunked.Event{ .need_more = 0 }, decoder.next(""));
        try expectEqual(before, decoder);
        _ = decoder.next(&.{c});
    }
}
