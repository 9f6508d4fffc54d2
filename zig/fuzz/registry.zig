//! The fuzzers by name, for the executable that mutates by itself (zig/fuzz.zig) and for the
//! library that a coverage-guided fuzzer drives (zig/fuzz_coverage.zig).
const std = @import("std");
const decoder_fuzzer = @import("decoder.zig");
const chunked_fuzzer = @import("chunked.zig");
const connection_fuzzer = @import("connection.zig");
const frames_fuzzer = @import("frames.zig");
const hpack_fuzzer = @import("hpack.zig");
const leaf_fuzzers = @import("leaves.zig");
const websocket_fuzzer = @import("websocket.zig");
const ws_extensions_fuzzer = @import("ws_extensions.zig");

pub const Fuzzer = struct {
    name: []const u8,
    /// Checks all invariants on one input; `random` decides on cuts, limits and the like.
    run: *const fn (input: []const u8, random: std.Random) anyerror!void,
    /// Pieces that mutation inserts.
    words: []const []const u8,
};

pub const all = [_]Fuzzer{
    .{ .name = "decoder", .run = decoder_fuzzer.run, .words = &decoder_fuzzer.words },
    .{ .name = "chunked", .run = chunked_fuzzer.run, .words = &chunked_fuzzer.words },
    .{ .name = "hpack", .run = hpack_fuzzer.run, .words = &hpack_fuzzer.words },
    .{ .name = "frames", .run = frames_fuzzer.run, .words = &frames_fuzzer.words },
    .{ .name = "connection", .run = connection_fuzzer.run, .words = &connection_fuzzer.words },
    .{ .name = "websocket", .run = websocket_fuzzer.run, .words = &websocket_fuzzer.words },
    .{
        .name = "ws_extensions",
        .run = ws_extensions_fuzzer.run,
        .words = &ws_extensions_fuzzer.words,
    },
    .{ .name = "uri", .run = leaf_fuzzers.runUri, .words = &leaf_fuzzers.uri_words },
    .{ .name = "range", .run = leaf_fuzzers.runRange, .words = &leaf_fuzzers.range_words },
    .{ .name = "date", .run = leaf_fuzzers.runDate, .words = &leaf_fuzzers.date_words },
};

/// Index of the fuzzer called `name`.
pub fn find(name: []const u8) ?usize {
    for (all, 0..) |fuzzer, i| {
        if (std.mem.eql(u8, fuzzer.name, name)) return i;
    }
    return null;
}
