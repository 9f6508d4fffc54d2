const std = @import("std");
const testing = std.testing;
const deflate = @import("deflate.zig");
const Deflater = deflate.Deflater;
const Inflater = deflate.Inflater;
const Inflation = deflate.Inflation;
const Memory = deflate.Memory;
const errors = @import("errors.zig");
const frames = @import("frames.zig");
const limits = @import("../core/limits.zig");

/// As usual, but that short messages are compressed too.
const default: deflate.Settings = .{ .message_bytes_min = 0 };

fn memoryOf(bytes_max: usize) Memory {
    return .{ .allocator = testing.allocator, .bytes_max = bytes_max };
}

const Outcome = union(enum) { text: []const u8, failed: errors.Error };

/// A message from an inflater, in parts cut at `cut`, through outputs of `out_bytes`.
fn inflate(
    inflater: *Inflater,
    settings: *const deflate.Settings,
    kind: frames.Kind,
    payload: []const u8,
    cut: usize,
    out_bytes: usize,
    into: *std.ArrayList(u8),
) !Outcome {
    into.clearRetainingCapacity();
    var out: [4096]u8 = undefined;
    var inflation = Inflation.begin(inflater, settings, kind);
    var rest = payload[0..cut];
    var ends = cut == payload.len;
    while (true) {
        switch (inflation.next(rest, ends, out[0..out_bytes])) {
            .failed => |err| return .{ .failed = err },
            .result => |result| {
                try into.appendSlice(result.bytes);
                rest = rest[result.consumed..];
                switch (result.then) {
                    .more => try testing.expectEqual(out_bytes, result.bytes.len),
                    .need_input => {
                        try testing.expect(!ends and rest.len == 0);
                        rest = payload[cut..];
                        ends = true;
                    },
                    .done => {
                        try testing.expect(ends and rest.len == 0);
                        return .{ .text = into.items };
                    },
                }
            },
        }
    }
}

fn expectInflated(inflater: *Inflater, payload: []const u8, expected: []const u8) !void {
    var into: std.ArrayList(u8) = .init(testing.allocator);
    defer into.deinit();
    const outcome = try inflate(inflater, &default, .text, payload, payload.len, 4096, &into);
    try testing.expectEqualStrings(expected, outcome.text);
}

test "the examples of RFC 7692 §7.2.3 are decompressed, at every cut" {
    var memory = memoryOf(1 << 20);
    const inflater = try Inflater.create(&memory, 15, false);
    defer inflater.destroy();
    var into: std.ArrayList(u8) = .init(testing.allocator);
    defer into.deinit();
    for ([_][]const u8{
        "\xf2\x48\xcd\xc9\xc9\x07\x00",
        "\x00\x05\x00\xfa\xffHello\x00",
        // A last block, and two blocks.
        "\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    }) |payload| {
        for (0..payload.len + 1) |cut| {
            for ([_]usize{ 1, 2, 5, 100 }) |out_bytes| {
                const outcome =
                    try inflate(inflater, &default, .text, payload, cut, out_bytes, &into);
                try testing.expectEqualStrings("Hello", outcome.text);
            }
        }
    }
}

test "a message may refer to the one before it where that was agreed (RFC 7692 §7.2.3.2)" {
    var memory = memoryOf(1 << 20);
    const keeps = try Inflater.create(&memory, 15, true);
    defer keeps.destroy();
    try expectInflated(keeps, "\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello");
    try expectInflated(keeps, "\xf2\x00\x11\x00\x00", "Hello");
    // Behind a last block the window is still there.
    try expectInflated(keeps, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello");
    try expectInflated(keeps, "\xf2\x00\x11\x00\x00", "Hello");
    const forgets = try Inflater.create(&memory, 15, false);
    defer forgets.destroy();
    try expectInflated(forgets, "\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello");
    var into: std.ArrayList(u8) = .init(testing.allocator);
    defer into.deinit();
    const payload = "\xf2\x00\x11\x00\x00";
    const outcome = try inflate(forgets, &default, .text, payload, payload.len, 100, &into);
    try testing.expectEqual(errors.Error.invalid_compression, outcome.failed);
    // It is ready for the next message.
    try expectInflated(forgets, "\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello");
}

/// Text that has something to compress, and repeats over any distance.
fn fill(random: std.Random, text: []u8) void {
    const words = [_][]const u8{ "alpha ", "beta ", "gamma ", "delta, ", "epsilon ", "{\"a\":1}" };
    var len: usize = 0;
    while (len < text.len) {
        const word = words[random.uintLessThan(usize, words.len)];
        const fits = @min(word.len, text.len - len);
        @memcpy(text[len..][0..fits], word[0..fits]);
        len += fits;
        if (len < text.len and random.uintLessThan(u8, 8) == 0) {
            text[len] = 32 + random.uintLessThan(u8, 90);
            len += 1;
        }
    }
}

test "what is compressed with any window and context is decompressed with the same (§7.1)" {
    var prng = std.Random.DefaultPrng.init(3);
    const random = prng.random();
    var text: [20_000]u8 = undefined;
    var out: [20_010]u8 = undefined;
    var into: std.ArrayList(u8) = .init(testing.allocator);
    defer into.deinit();
    for (8..16) |bits| {
        for ([_]bool{ true, false }) |keeps| {
            for ([_]u4{ 1, 2, 6, 9 }) |level| {
                var memory = memoryOf(2 << 20);
                const settings: deflate.Settings = .{ .level = level, .message_bytes_min = 0 };
                const deflater = try Deflater.create(&memory, &settings, @intCast(bits), keeps);
                defer deflater.destroy();
                // It has the window that was agreed on, and no byte more.
                const inflater = try Inflater.create(&memory, @intCast(bits), keeps);
                defer inflater.destroy();
                for (0..24) |_| {
                    const longest: usize = if (random.boolean()) 300 else text.len;
                    const len = 1 + random.uintLessThan(usize, longest);
                    fill(random, text[0..len]);
                    const cut = random.uintAtMost(usize, len);
                    const pieces = [_][]const u8{ text[0..cut], text[cut..len] };
                    const payload = deflater.compress(&pieces, &out) orelse continue;
                    try testing.expect(payload.len < len);
                    const outcome = try inflate(
                        inflater,
                        &settings,
                        .text,
                        payload,
                        random.uintAtMost(usize, payload.len),
                        1 + random.uintLessThan(usize, 4096),
                        &into,
                    );
                    try testing.expectEqualStrings(text[0..len], outcome.text);
                }
            }
        }
    }
}

test "what does not become shorter is sent as it is, and those behind it still arrive" {
    var prng = std.Random.DefaultPrng.init(4);
    const random = prng.random();
    var memory = memoryOf(2 << 20);
    const deflater = try Deflater.create(&memory, &default, 15, true);
    defer deflater.destroy();
    const inflater = try Inflater.create(&memory, 15, true);
    defer inflater.destroy();
    var noise: [2000]u8 = undefined;
    var out: [2010]u8 = undefined;
    const text = "a message that says the same over and over, over and over, over and over";
    for (0..20) |_| {
        random.bytes(&noise);
        const len = 1 + random.uintLessThan(usize, noise.len);
        try testing.expectEqual(null, deflater.compress(&.{noise[0..len]}, &out));
        try testing.expectEqual(null, deflater.compress(&.{}, &out));
        // Of too little room it makes nothing, either.
        try testing.expectEqual(null, deflater.compress(&.{text}, out[0..10]));
        try testing.expectEqual(null, deflater.compress(&.{text}, out[0..0]));
        for (0..2) |_| {
            const payload = deflater.compress(&.{text}, &out).?;
            try expectInflated(inflater, payload, text);
        }
    }
}

test "what does not become shorter, block by block, spoils nothing behind it (Autobahn 12.2.7)" {
    var memory = memoryOf(1 << 20);
    var prng = std.Random.DefaultPrng.init(7);
    var noise: [16384]u8 = undefined;
    prng.random().bytes(&noise);
    const text = "what can be shortened can be shortened" ** 100;
    for ([_]u4{ 1, 2, 6, 9 }) |level| {
        const settings: deflate.Settings = .{ .message_bytes_min = 0, .level = level };
        const deflater = try Deflater.create(&memory, &settings, 15, false);
        defer deflater.destroy();
        const inflater = try Inflater.create(&memory, 15, false);
        defer inflater.destroy();
        var out: [20_000]u8 = undefined;
        for (0..8) |_| {
            try testing.expectEqual(null, deflater.compress(&.{&noise}, &out));
            const payload = deflater.compress(&.{text}, &out).?;
            try expectInflated(inflater, payload, text);
        }
    }
}

test "a message is never longer than is taken, nor many times what was sent (1009)" {
    var memory = memoryOf(2 << 20);
    const settings: deflate.Settings = .{ .inflated_bytes_max = 1 << 20 };
    const deflater = try Deflater.create(&memory, &settings, 15, false);
    defer deflater.destroy();
    const inflater = try Inflater.create(&memory, 15, false);
    defer inflater.destroy();
    const zeros = try testing.allocator.alloc(u8, 2 << 20);
    defer testing.allocator.free(zeros);
    @memset(zeros, 'a');
    var out: [64 * 1024]u8 = undefined;
    var into: std.ArrayList(u8) = .init(testing.allocator);
    defer into.deinit();
    const strict: deflate.Settings = .{ .inflation_ratio_max = 10 };
    const lax: deflate.Settings = .{ .inflated_bytes_max = 1 << 20, .inflation_ratio_max = 2000 };
    for ([_]struct { *const deflate.Settings, usize, ?errors.Error }{
        .{ &lax, 1 << 20, null },
        .{ &lax, (1 << 20) + 1, .message_too_large },
        .{ &lax, 2 << 20, .message_too_large },
        .{ &strict, limits.websocket_inflation_free_bytes, null },
        .{ &strict, 2 * limits.websocket_inflation_free_bytes, .inflation_too_large },
    }) |case| {
        const payload = deflater.compress(&.{zeros[0..case[1]]}, &out).?;
        const outcome = try inflate(inflater, case[0], .binary, payload, 1, 4096, &into);
        if (case[2]) |err| {
            try testing.expectEqual(err, outcome.failed);
            // No more is made of it than is allowed.
            try testing.expect(into.items.len <= case[0].inflated_bytes_max + 4096);
        } else try testing.expectEqual(case[1], outcome.text.len);
    }
}

test "text is UTF-8 once it is decompressed, or the connection fails (RFC 6455 §8.1)" {
    var memory = memoryOf(2 << 20);
    const deflater = try Deflater.create(&memory, &default, 15, false);
    defer deflater.destroy();
    const inflater = try Inflater.create(&memory, 15, false);
    defer inflater.destroy();
    var out: [1000]u8 = undefined;
    var into: std.ArrayList(u8) = .init(testing.allocator);
    defer into.deinit();
    const good = "\u{20ac} and so on, and so on, and so on, and so on, and so on \u{20ac}";
    for ([_]struct { []const u8, frames.Kind, bool }{
        .{ good, .text, true },
        .{ good[1..], .text, false },
        .{ good[0 .. good.len - 1], .text, false },
        .{ good[1..], .binary, true },
    }) |case| {
        const payload = deflater.compress(&.{case[0]}, &out).?;
        for (1..30) |out_bytes| {
            const outcome =
                try inflate(inflater, &default, case[1], payload, 3, out_bytes, &into);
            if (case[2])
                try testing.expectEqualStrings(case[0], outcome.text)
            else
                try testing.expectEqual(errors.Error.invalid_utf8, outcome.failed);
        }
    }
}

test "what is cut, spoilt or random fails or is a message, and the next one arrives" {
    var prng = std.Random.DefaultPrng.init(6);
    const random = prng.random();
    var memory = memoryOf(2 << 20);
    const deflater = try Deflater.create(&memory, &default, 15, false);
    defer deflater.destroy();
    const inflater = try Inflater.create(&memory, 15, false);
    defer inflater.destroy();
    var text: [600]u8 = undefined;
    var out: [700]u8 = undefined;
    var into: std.ArrayList(u8) = .init(testing.allocator);
    defer into.deinit();
    fill(random, &text);
    const whole = deflater.compress(&.{&text}, &out).?;
    // The end of a message is in its last block: what is cut is never taken for whole.
    for (0..whole.len - 1) |len| {
        const outcome = try inflate(inflater, &default, .binary, whole[0..len], 0, 4096, &into);
        try testing.expectEqual(errors.Error.invalid_compression, outcome.failed);
    }
    for (0..4000) |_| {
        var spoilt: [700]u8 = undefined;
        const sent = spoilt[0..whole.len];
        @memcpy(sent, whole);
        if (random.boolean()) random.bytes(sent);
        for (0..1 + random.uintLessThan(usize, 4)) |_|
            sent[random.uintLessThan(usize, sent.len)] = random.int(u8);
        const cut = random.uintAtMost(usize, sent.len);
        const room = 1 + random.uintLessThan(usize, 500);
        _ = try inflate(inflater, &default, .text, sent, cut, room, &into);
    }
    try expectInflated(inflater, whole, &text);
}

test "memory is counted, bounded, and all given back" {
    var memory = memoryOf(8 << 20);
    var shared = try deflate.Shared.init(&memory, &default);
    try testing.expect(memory.bytes > 0 and memory.bytes < 600 * 1024);
    const usual = memory.bytes;
    try testing.expectEqual(shared.deflater(15), shared.deflater(15));
    try testing.expectEqual(usual, memory.bytes);
    // Another window is made once; eight and nine are one.
    try testing.expectEqual(shared.deflater(8).?, shared.deflater(9).?);
    const more = memory.bytes;
    try testing.expect(more > usual);
    memory.bytes_max = more;
    // Where memory is short there is none, and messages are sent as they are.
    try testing.expectEqual(null, shared.deflater(10));
    try testing.expectError(error.OutOfMemory, Inflater.create(&memory, 15, true));
    try testing.expectError(error.OutOfMemory, Deflater.create(&memory, &default, 15, true));
    try testing.expectEqual(more, memory.bytes);
    shared.deinit();
    try testing.expectEqual(0, memory.bytes);
    // At whatever block it ends.
    var bytes_max: usize = 0;
    while (bytes_max < 700 * 1024) : (bytes_max += 1000) {
        var short = memoryOf(bytes_max);
        if (deflate.Shared.init(&short, &default)) |made| {
            var copy = made;
            copy.deinit();
        } else |_| {}
        try testing.expectEqual(0, short.bytes);
    }
}

test "a short message is sent as it is, and costs nothing" {
    var memory = memoryOf(2 << 20);
    const settings: deflate.Settings = .{ .message_bytes_min = 100 };
    const deflater = try Deflater.create(&memory, &settings, 15, true);
    defer deflater.destroy();
    var out: [200]u8 = undefined;
    const text = "a" ** 100;
    try testing.expectEqual(null, deflater.compress(&.{ text[0..50], text[0..49] }, &out));
    try testing.expect(deflater.is_fresh);
    try testing.expect(deflater.compress(&.{ text[0..50], text[0..50] }, &out) != null);
}

test "a message that is abandoned leaves nothing to the next" {
    var memory = memoryOf(2 << 20);
    const inflater = try Inflater.create(&memory, 15, false);
    defer inflater.destroy();
    var out: [3]u8 = undefined;
    const payload = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    for ([_]usize{ 1, 3, 7 }) |len| {
        var inflation = Inflation.begin(inflater, &default, .text);
        _ = inflation.next(payload[0..len], false, &out);
        inflation.abandon();
        try expectInflated(inflater, payload, "Hello");
        // A message that has ended has nothing to give up.
        inflation.abandon();
    }
}

test "messages pass without an allocation" {
    var memory = memoryOf(2 << 20);
    var shared = try deflate.Shared.init(&memory, &default);
    defer shared.deinit();
    const before = memory.bytes;
    memory.bytes_max = before;
    var out: [1000]u8 = undefined;
    const text = "over and over and over and over and over and over and over and over";
    for (0..100) |_| {
        const payload = shared.deflater(15).?.compress(&.{text}, &out).?;
        try expectInflated(shared.inflater, payload, text);
        try testing.expectEqual(before, memory.bytes);
    }
}
