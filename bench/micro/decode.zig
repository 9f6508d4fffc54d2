//! Nanoseconds to decode a request head, to make a path canonical, to encode a response head and to
//! undo chunking; and what HTTP/2 does in their place: HPACK, the Huffman code, frames.
//!
//!     zig build bench-decode
//!
//! Each number is the least of 15 samples of about 20 ms: the cost when nothing disturbs.
const std = @import("std");
const gyrfalcon = @import("gyrfalcon");
const decoder = gyrfalcon.http1.decoder;
const chunked = gyrfalcon.http1.chunked;
const encoder = gyrfalcon.http1.encoder;

const wrk = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n\r\n";
const oha = "GET / HTTP/1.1\r\naccept: */*\r\nhost: 127.0.0.1:3000\r\n\r\n";
const browser = "GET /products/42?ref=home&page=2 HTTP/1.1\r\n" ++
    "Host: www.example.com\r\n" ++
    "Connection: keep-alive\r\n" ++
    "Cache-Control: max-age=0\r\n" ++
    "Upgrade-Insecure-Requests: 1\r\n" ++
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) " ++
    "Chrome/126.0.0.0 Safari/537.36\r\n" ++
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp," ++
    "*/*;q=0.8\r\n" ++
    "Sec-Fetch-Site: none\r\n" ++
    "Sec-Fetch-Mode: navigate\r\n" ++
    "Sec-Fetch-Dest: document\r\n" ++
    "Accept-Encoding: gzip, deflate, br, zstd\r\n" ++
    "Accept-Language: en-GB,en-US;q=0.9,en;q=0.8\r\n" ++
    "Cookie: session=7f3c9a1e5b2d4860; theme=dark; consent=1\r\n" ++
    "\r\n";
const long = "GET /" ++ "t" ** 8000 ++ " HTTP/1.1\r\nHost: a\r\n" ++
    ("X-Long: " ++ "v" ** 11_000 ++ "\r\n") ** 2 ++ "\r\n";
const chunks = "8000\r\n" ++ "x" ** 32_768 ++ "\r\n";

fn decode(bytes: []const u8) void {
    var hint: u32 = 0;
    const result = decoder.decodeHead(bytes, &hint, .{}, &request);
    std.debug.assert(result == .head);
    std.mem.doNotOptimizeAway(result);
    std.mem.doNotOptimizeAway(&request);
}
var request: gyrfalcon.Request = .{};

/// Every byte is a read of its own: what a slow client costs in all.
fn trickle(bytes: []const u8) void {
    var hint: u32 = 0;
    for (1..bytes.len) |len| {
        const result = decoder.decodeHead(bytes[0..len], &hint, .{}, &request);
        std.debug.assert(result == .need_more);
        std.mem.doNotOptimizeAway(result);
    }
}

fn canonical(path: []const u8) void {
    std.mem.doNotOptimizeAway(gyrfalcon.uri.canonicalPath(path, &out) catch unreachable);
}

fn encode(bytes: []const u8) void {
    const len = encoder.head(&out, .{
        .field_lines = bytes,
        .length = 13,
        .date = "Sun, 06 Nov 1994 08:49:37 GMT",
        .keep_alive = true,
    }) catch unreachable;
    std.mem.doNotOptimizeAway(out[0..len]);
}
var out: [1024]u8 = undefined;

fn dechunk(bytes: []const u8) void {
    var rest = bytes;
    while (true) switch (body.next(rest)) {
        .data => |data| rest = rest[data.consumed..],
        .need_more => return,
        .trailer, .end, .err => unreachable,
    };
}
var body: chunked.ChunkedDecoder = .{};

/// HPACK's tables, in which the heads of a browser and of a server are.
const Hpack = struct {
    const hpack = gyrfalcon.http2.hpack;
    const capacity = 4096;
    const Out = hpack.encoder.Out;

    const request_lines = gyrfalcon.FieldLines.of(":method: GET\r\n" ++
        ":authority: www.example.com\r\n:scheme: https\r\n" ++
        ":path: /products/42?ref=home&page=2\r\n" ++
        browser[std.mem.indexOf(u8, browser, "Cache-Control").? .. browser.len - 2]);
    const response_lines = gyrfalcon.FieldLines.of("content-type: text/plain;charset=utf-8\r\n" ++
        "cache-control: public, max-age=3600\r\nvary: accept-encoding\r\n");

    var encoder_memory: [hpack.encoder.memoryBytes(capacity)]u8 align(8) = undefined;
    var decoder_memory: [hpack.table.memoryBytes(capacity)]u8 align(8) = undefined;
    var text: [16 * 1024]u8 = undefined;
    var lines: [128]hpack.table.Record = undefined;
    var bytes: [4096]u8 = undefined;
    var encoder_state: hpack.encoder.Encoder = undefined;
    var decoder_state: hpack.decoder.Decoder = undefined;
    var block: hpack.decoder.Block = .{
        .text = &text,
        .lines = &lines,
        .limits = .{ .list_bytes_max = 16 * 1024, .read_bytes_max = 256 * 1024 },
    };

    fn init() void {
        encoder_state = hpack.encoder.Encoder.init(&encoder_memory, capacity);
        decoder_state = hpack.decoder.Decoder.init(&decoder_memory, capacity);
    }

    /// The block of the browser's request, the first or a later one.
    fn requestBlock(comptime repeats: usize, into: []u8) []const u8 {
        init();
        for (0..repeats + 1) |_| {
            var written: Out = .{ .bytes = &bytes };
            encoder_state.begin(&written);
            encoder_state.lines(&written, request_lines);
            @memcpy(into[0..written.len], written.written());
            if (repeats > 0) decoder_state.decode(written.written(), &block) catch unreachable;
            if (repeats == 0) return into[0..written.len];
        }
        var written: Out = .{ .bytes = &bytes };
        encoder_state.lines(&written, request_lines);
        @memcpy(into[0..written.len], written.written());
        return into[0..written.len];
    }

    fn decodeBlock(in: []const u8) void {
        decoder_state.decode(in, &block) catch unreachable;
        std.mem.doNotOptimizeAway(&block);
    }

    fn decodeRequest(in: []const u8) void {
        decodeBlock(in);
        const result = gyrfalcon.http2.request.decode(&block, true, .{}, &h2_request);
        std.debug.assert(result == .head);
        std.mem.doNotOptimizeAway(&h2_request);
    }
    var h2_request: gyrfalcon.Request = .{};

    fn encodeResponse(_: []const u8) void {
        var written: Out = .{ .bytes = &bytes };
        gyrfalcon.http2.response.writeHead(&encoder_state, &written, &.{
            .status = 200,
            .lines = response_lines,
            .length = 6150,
            .date = "Sun, 06 Nov 1994 08:49:37 GMT",
            .server = "gyrfalcon",
        });
        std.mem.doNotOptimizeAway(written.written());
    }

    fn decodeHuffman(in: []const u8) void {
        std.mem.doNotOptimizeAway(hpack.huffman.decode(in, &text) catch unreachable);
    }

    fn encodeHuffman(in: []const u8) void {
        std.mem.doNotOptimizeAway(hpack.huffman.encode(in, &text));
    }

    /// Seventeen bytes and more of a frame's header each.
    fn decodeFrames(in: []const u8) void {
        var frames: gyrfalcon.http2.frame_decoder.Decoder = .{};
        var rest = in;
        while (true) {
            const step = frames.next(rest);
            rest = rest[step.consumed..];
            std.mem.doNotOptimizeAway(&step);
            if (step.event == .need_more) return;
            std.debug.assert(step.event != .err);
        }
    }

    const preface = gyrfalcon.http2.frames.preface;
    const some_frames = preface ++ "\x00\x00\x00\x04\x00\x00\x00\x00\x00" ++
        "\x00\x00\x0a\x01\x05\x00\x00\x00\x010123456789" ** 32;
};

fn measure(name: []const u8, comptime run: fn ([]const u8) void, bytes: []const u8) !void {
    var timer = try std.time.Timer.start();
    var rounds: u64 = 0;
    while (timer.read() < 20 * std.time.ns_per_ms) : (rounds += 1) runOnce(run, bytes);
    var best: u64 = std.math.maxInt(u64);
    for (0..15) |_| {
        _ = timer.lap();
        for (0..rounds) |_| runOnce(run, bytes);
        best = @min(best, timer.lap());
    }
    const nanoseconds = @as(f64, @floatFromInt(best)) / @as(f64, @floatFromInt(rounds));
    try std.io.getStdOut().writer().print("{s:<34}{d:>6} bytes {d:>8.1} ns\n", .{
        name, bytes.len, nanoseconds,
    });
}

/// The compiler must not know what the bytes are.
inline fn runOnce(comptime run: fn ([]const u8) void, bytes: []const u8) void {
    var opaque_bytes = bytes;
    std.mem.doNotOptimizeAway(&opaque_bytes);
    run(opaque_bytes);
}

pub fn main() !void {
    try measure("decode, wrk", decode, wrk);
    try measure("decode, oha", decode, oha);
    try measure("decode, browser with 12 fields", decode, browser);
    try measure("decode, long fields byte by byte", trickle, long);
    try measure("path, canonical", canonical, "/");
    try measure("path, canonical", canonical, "/hello");
    try measure("path, canonical", canonical, "/products/42");
    try measure("path, canonical", canonical, "/assets/images/2024/header-large.webp");
    try measure("path, canonical but encoded", canonical, "/caf%C3%A9/menu%20du%20jour");
    try measure("path, made canonical", canonical, "/assets//%68eader/../x.webp");
    try measure("encode, Content-Type", encode, "Content-Type: text/plain;charset=utf-8\r\n");
    try measure("undo chunking, 32 KiB chunk", dechunk, chunks);

    const agent = browser[std.mem.indexOf(u8, browser, "Mozilla").?..][0..101];
    var code: [128]u8 = undefined;
    const code_len = Hpack.hpack.huffman.encode(agent, &code);
    try measure("Huffman decode, User-Agent", Hpack.decodeHuffman, code[0..code_len]);
    try measure("Huffman encode, User-Agent", Hpack.encodeHuffman, agent);
    var first: [1024]u8 = undefined;
    const first_block = Hpack.requestBlock(0, &first);
    try measure("HPACK decode, browser's first", Hpack.decodeBlock, first_block);
    var later: [1024]u8 = undefined;
    const later_block = Hpack.requestBlock(2, &later);
    try measure("HPACK decode, browser's later", Hpack.decodeBlock, later_block);
    try measure("HPACK decode and request, later", Hpack.decodeRequest, later_block);
    Hpack.init();
    try measure("HPACK encode, six fields", Hpack.encodeResponse, "");
    try measure("frames, 32 HEADERS", Hpack.decodeFrames, Hpack.some_frames);
}
