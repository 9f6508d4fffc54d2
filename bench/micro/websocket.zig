//! Nanoseconds to unmask, to check text, to read small frames, and to compress messages, beside the
//! loop that says the same plainly.
//!
//!     zig build bench-websocket -- [--smoke]
//!
//! Each number is the least of 15 samples of about 20 ms: the cost when nothing disturbs.
const std = @import("std");
const websocket = @import("websocket");
const mask = websocket.mask;

var text: [64 * 1024]u8 = undefined;
var out: [64 * 1024 + 16]u8 = undefined;
var is_smoke = false;

fn unmask(bytes: []u8) void {
    std.mem.doNotOptimizeAway(mask.apply(bytes, "\x37\xfa\x21\x3d".*));
}

/// RFC 6455 §5.3, as it is written there.
fn unmaskPlainly(bytes: []u8) void {
    const key = "\x37\xfa\x21\x3d".*;
    for (bytes, 0..) |*byte, i| {
        byte.* ^= key[i % 4];
        std.mem.doNotOptimizeAway(byte);
    }
}

fn check(bytes: []u8) void {
    std.debug.assert(websocket.utf8.isValid(bytes));
}

fn checkByStd(bytes: []u8) void {
    std.debug.assert(std.unicode.utf8ValidateSlice(bytes));
}

/// All frames of a read. They are masked with zeros, so that they can be read again.
fn decode(bytes: []u8) void {
    var decoder: websocket.frame_decoder.Decoder = .{};
    var rest = bytes;
    while (true) {
        const step = decoder.next(rest);
        rest = rest[step.consumed..];
        if (step.event == .need_more) return;
        std.mem.doNotOptimizeAway(step.event.data.bytes.ptr);
    }
}

fn receive(bytes: []u8) void {
    var answer: websocket.connection.Out = undefined;
    var rest = bytes;
    while (true) {
        const step = connection.next(rest, &answer, 1);
        rest = rest[step.consumed..];
        if (step.event == .need_more) return;
        std.mem.doNotOptimizeAway(step.event.data.bytes.ptr);
    }
}
var connection: websocket.connection.Connection = undefined;
const settings: websocket.connection.Settings = .{};

const deflate_settings: websocket.deflate.Settings = .{};
var deflater: *websocket.deflate.Deflater = undefined;
var inflater: *websocket.deflate.Inflater = undefined;

fn compress(bytes: []u8) void {
    std.mem.doNotOptimizeAway(deflater.compress(&.{bytes}, &out).?);
}

fn decompress(bytes: []u8) void {
    var inflation =
        websocket.deflate.Inflation.begin(inflater, &deflate_settings, .text);
    const step = inflation.next(bytes, true, &out);
    std.debug.assert(step.result.then == .done);
    std.mem.doNotOptimizeAway(step.result.bytes);
}

/// `count`: of what is timed, as often as it is done in one run.
fn measure(name: []const u8, comptime run: fn ([]u8) void, bytes: []u8, count: usize) !void {
    const sample_ns: u64 = if (is_smoke) 1000 else 20 * std.time.ns_per_ms;
    var timer = try std.time.Timer.start();
    var rounds: u64 = 0;
    while (timer.read() < sample_ns) : (rounds += 1) runOnce(run, bytes);
    var best: u64 = std.math.maxInt(u64);
    for (0..15) |_| {
        _ = timer.lap();
        for (0..rounds) |_| runOnce(run, bytes);
        best = @min(best, timer.lap());
    }
    const run_ns = @as(f64, @floatFromInt(best)) / @as(f64, @floatFromInt(rounds));
    const size: f64 = @floatFromInt(bytes.len);
    try std.io.getStdOut().writer().print("{s:<36}{d:>6} bytes {d:>9.1} ns {d:>7.2} GB/s\n", .{
        name, bytes.len / count, run_ns / @as(f64, @floatFromInt(count)), size / run_ns,
    });
}

/// The compiler must not know what the bytes are.
inline fn runOnce(comptime run: fn ([]u8) void, bytes: []u8) void {
    var opaque_bytes = bytes;
    std.mem.doNotOptimizeAway(&opaque_bytes);
    run(opaque_bytes);
}

fn fill(bytes: []u8, with: []const u8) void {
    for (bytes, 0..) |*byte, i| byte.* = with[i % with.len];
}

/// Whole frames of `len` bytes each, as many as fit 16 KiB. Returns how many there are.
fn fillFrames(len: u16, kind: websocket.frames.Kind) struct { []u8, usize } {
    var at: usize = 0;
    var count: usize = 0;
    while (at + len + 16 <= 16 * 1024) : (count += 1) {
        var head: [websocket.frames.head_bytes_max]u8 = undefined;
        const own: websocket.frames.Head = .{
            .opcode = kind.opcode(),
            .len = len,
            .key = .{ 0, 0, 0, 0 },
        };
        const written = own.write(&head);
        @memcpy(text[at..][0..written.len], written);
        fill(text[at + written.len ..][0..len], "plain text ");
        at += written.len + len;
    }
    return .{ text[0..at], count };
}

pub fn main() !void {
    var args = std.process.args();
    while (args.next()) |arg| {
        if (std.mem.eql(u8, arg, "--smoke")) is_smoke = true;
    }
    for ([_]usize{ 8, 64, 1024, 64 * 1024 }) |len| {
        try measure("unmask", unmask, text[0..len], 1);
        try measure("unmask, byte by byte", unmaskPlainly, text[0..len], 1);
    }
    const languages = [_]struct { []const u8, []const u8 }{
        .{ "ASCII", "plain text, " },
        .{ "French", "\u{e9}t\u{e9} \u{e0} la mer, " },
        .{ "Chinese", "\u{4e2d}\u{6587}" },
    };
    for (languages) |language| {
        for ([_]usize{ 64, 16 * 1024 }) |about| {
            const len = about / language[1].len * language[1].len;
            fill(text[0..len], language[1]);
            var name: [64]u8 = undefined;
            const by_std = try std.fmt.bufPrint(&name, "UTF-8, {s}, by std", .{language[0]});
            try measure(by_std[0 .. by_std.len - ", by std".len], check, text[0..len], 1);
            try measure(by_std, checkByStd, text[0..len], 1);
        }
    }
    connection = .init(&settings, null, false, 1);
    for ([_]u16{ 8, 64, 1024 }) |len| {
        const binary = fillFrames(len, .binary);
        try measure("decode, binary frames", decode, binary[0], binary[1]);
        try measure("receive, binary messages", receive, binary[0], binary[1]);
        const plain = fillFrames(len, .text);
        try measure("receive, text messages", receive, plain[0], plain[1]);
    }
    var memory: websocket.deflate.Memory = .{
        .allocator = std.heap.c_allocator,
        .bytes_max = 8 << 20,
    };
    inflater = try .create(&memory, 15, false);
    deflater = try .create(&memory, &deflate_settings, 15, false);
    const json = "{\"id\":1042,\"user\":\"someone\",\"text\":\"a message of some words\"}, ";
    for ([_]usize{ 256, 1024, 16 * 1024 }) |len| {
        fill(text[0..len], json);
        // It does not repeat as a whole.
        var prng = std.Random.DefaultPrng.init(1);
        const random = prng.random();
        for (0..len / 16) |_| text[random.uintLessThan(usize, len)] = 'a' + @as(u8, random.int(u4));
        try measure("compress, a message by itself", compress, text[0..len], 1);
        var payload: [32 * 1024]u8 = undefined;
        const compressed = deflater.compress(&.{text[0..len]}, &payload).?;
        try measure("decompress it", decompress, compressed, 1);
    }
    const writer = std.io.getStdOut().writer();
    try writer.print("compressor and decompressor: {d} bytes\n", .{memory.bytes});
}
