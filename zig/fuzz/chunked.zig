//! Invariants of the chunked decoder: the outcome does not depend on how the bytes were cut, data
//! lies inside the input, and what was encoded comes back.
const std = @import("std");
const chunked = @import("../http1/chunked.zig");
const encoder = @import("../http1/encoder.zig");
const field_lines = @import("../http/fields.zig");
const Fields = field_lines.Fields;
const problem = @import("../http/problem.zig");
const trailers = @import("../http/trailers.zig");
const reference = @import("chunked_reference.zig");
const mutator = @import("mutator.zig");
const require = mutator.require;

pub const words = [_][]const u8{
    "\r\n",
    "\n",
    "\r",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "0\r\n",
    "7fffffffffffffff\r\n",
    "ffffffffffffffff",
    "0000000000",
    ";a=b",
    ";a=\"b;\\\"\"",
    ";",
    "=",
    "\"",
    "\\",
    "X: y\r\n",
    "Content-Length: 1\r\n",
    "Trailer: x\r\n",
    "X-Sum:\t a \xff \r\n",
    "x:\r\n" ** 20,
    "content-md5: a\r\n",
    "transfer-encoding:chunked\r\n",
    " ",
    "\t",
    ":",
    "\x00",
};

/// What a body came to.
const Outcome = struct {
    hash: std.hash.Wyhash = std.hash.Wyhash.init(0),
    /// The trailer section so far.
    trailers: std.BoundedArray(u8, chunked.trailer_bytes_max) = .{},
    data_len: usize = 0,
    consumed: usize = 0,
    ended: bool = false,
    err: ?chunked.ChunkError = null,
    /// Decides how much data is given back to the decoder; null for none.
    keeper: ?std.Random = null,

    /// Feeds one read; true when the body is over.
    fn feed(out: *Outcome, decoder: *chunked.ChunkedDecoder, read: []const u8) !bool {
        var rest = read;
        while (true) switch (decoder.next(rest)) {
            .need_more => |n| {
                try require(n == rest.len);
                out.consumed += n;
                return false;
            },
            .data => |data| {
                try require(data.bytes.len > 0 and data.consumed <= rest.len);
                try require(mutator.isInside(rest[0..data.consumed], data.bytes));
                const len = data.bytes.len;
                const kept = if (out.keeper) |random| random.uintLessThan(usize, len) else 0;
                decoder.unread(kept);
                out.hash.update(data.bytes[0 .. len - kept]);
                out.data_len += len - kept;
                out.consumed += data.consumed - kept;
                rest = rest[data.consumed - kept ..];
            },
            .trailer => |piece| {
                try require(piece.bytes.len > 0 and piece.consumed <= rest.len);
                try require(mutator.isInside(rest[0..piece.consumed], piece.bytes));
                out.trailers.appendSlice(piece.bytes) catch return error.InvariantBroken;
                out.consumed += piece.consumed;
                rest = rest[piece.consumed..];
            },
            .end => |n| {
                try require(n <= rest.len);
                out.consumed += n;
                out.ended = true;
                return true;
            },
            .err => |e| {
                out.err = e;
                return true;
            },
        };
    }
};

fn decode(input: []const u8, cuts: []const usize, keeper: ?std.Random) !Outcome {
    var out = Outcome{ .keeper = keeper };
    var decoder = chunked.ChunkedDecoder{};
    var start: usize = 0;
    for (cuts) |cut| {
        if (try out.feed(&decoder, input[start..cut])) return out;
        start = cut;
    }
    _ = try out.feed(&decoder, input[start..]);
    return out;
}

/// Checks one input.
pub fn run(input: []const u8, random: std.Random) !void {
    var cuts_buffer: [512]usize = undefined;
    const cuts = mutator.cutsOf(input.len, random, &cuts_buffer);
    var whole = try decode(input, &.{}, null);
    var cut = try decode(input, cuts, random);
    try require(whole.hash.final() == cut.hash.final() and whole.data_len == cut.data_len);
    try require(whole.ended == cut.ended and whole.err == cut.err);
    if (whole.err) |e| {
        try require(problem.statusOf(problem.codeOf(e)) >= 400);
    } else {
        try require(whole.consumed == cut.consumed and whole.consumed <= input.len);
        try require(whole.ended or whole.consumed == input.len);
    }
    try require(whole.data_len <= input.len);
    if (whole.ended) {
        try require(std.mem.eql(u8, whole.trailers.slice(), cut.trailers.slice()));
        try requireTrailers(whole.trailers.slice());
    }
    try requireAgreed(input, &whole);
    try requireRoundTrip(input, random);
}

/// A reader that only knows the grammar says the same, but for limits.
fn requireAgreed(input: []const u8, out: *Outcome) !void {
    switch (reference.read(input)) {
        .open => try require(!out.ended),
        .refused => try require(out.err != null),
        .ended => |body| {
            if (out.err) |e| {
                const limit = problem.statusOf(problem.codeOf(e)) != 400;
                return require(limit or e == .forbidden_trailer);
            }
            try require(out.ended and out.consumed == body.consumed);
            try require(std.mem.eql(u8, out.trailers.slice(), body.trailers));
            try require(out.data_len == body.data_len and out.hash.final() == body.hash);
        },
    }
}

/// What was let through is lines, each one field that may stand in a trailer section.
fn requireTrailers(lines: []const u8) !void {
    var fields = Fields{};
    trailers.parse(lines, &fields);
    try require(fields.len == std.mem.count(u8, lines, "\n"));
    try require(fields.len <= chunked.trailer_count_max);
    var bytes: usize = 0;
    for (fields.slice()) |field| {
        try require(field_lines.isToken(field.name) and field_lines.isFieldValue(field.value));
        try require(!trailers.isForbidden(field.name));
        bytes += field.name.len + field.value.len + ":\r\n".len;
    }
    try require(bytes <= lines.len);
}

/// Any bytes, sent as chunks of any sizes, come back whole, and nothing behind them is touched.
fn requireRoundTrip(input: []const u8, random: std.Random) !void {
    var wire: [8192]u8 = undefined;
    var stream = std.io.fixedBufferStream(&wire);
    const data = input[0..@min(input.len, 512)];
    var rest = data;
    while (rest.len > 0) {
        var chunk_head: [encoder.chunk_head_bytes_max]u8 = undefined;
        const size = 1 + random.uintLessThan(usize, rest.len);
        try stream.writer().writeAll(encoder.chunkHead(&chunk_head, size));
        try stream.writer().writeAll(rest[0..size]);
        try stream.writer().writeAll(encoder.chunk_end);
        rest = rest[size..];
    }
    try stream.writer().writeAll(encoder.last_chunk);
    const len = stream.pos;
    try stream.writer().writeAll("GET / HTTP/1.1\r\n");

    var cuts_buffer: [64]usize = undefined;
    const cuts = mutator.cutsOf(stream.pos, random, &cuts_buffer);
    var out = try decode(stream.getWritten(), cuts, null);
    try require(out.ended and out.err == null and out.consumed == len);
    try require(out.hash.final() == std.hash.Wyhash.hash(0, data));
}
