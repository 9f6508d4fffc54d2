//! Requests that have to be refused, and the statuses for it; and bytes changed at random.

const std = @import("std");
const Allocator = std.mem.Allocator;
const Options = @import("options.zig").Options;

const Case = struct { text: []const u8, statuses: []const u16 };

const host = "Host: sim.example\r\n";
const get = "GET /gen/whole/5/99 HTTP/1.1\r\n";
const post = "POST /sum/whole/0/99 HTTP/1.1\r\n" ++ host;
const chunked = post ++ "Transfer-Encoding: chunked\r\n\r\n";

const cases = [_]Case{
    .{ .text = get ++ "\r\n", .statuses = &.{400} },
    .{ .text = get ++ host ++ host ++ "\r\n", .statuses = &.{400} },
    .{ .text = get ++ "Host: a b\r\n\r\n", .statuses = &.{400} },
    .{ .text = "GET  / HTTP/1.1\r\n" ++ host ++ "\r\n", .statuses = &.{400} },
    .{ .text = "GET / HTTP/1.1\n" ++ host ++ "\r\n", .statuses = &.{400} },
    .{ .text = "GET / HTTP/2.0\r\n" ++ host ++ "\r\n", .statuses = &.{505} },
    .{ .text = "GET / HTTX/1.1\r\n" ++ host ++ "\r\n", .statuses = &.{400} },
    .{ .text = "G@T / HTTP/1.1\r\n" ++ host ++ "\r\n", .statuses = &.{400} },
    .{ .text = "GET x HTTP/1.1\r\n" ++ host ++ "\r\n", .statuses = &.{400} },
    .{ .text = "M" ** 40 ++ " / HTTP/1.1\r\n" ++ host ++ "\r\n", .statuses = &.{501} },
    .{ .text = "CONNECT sim.example:1 HTTP/1.1\r\n" ++ host ++ "\r\n", .statuses = &.{501} },
    .{ .text = "TRACE / HTTP/1.1\r\n" ++ host ++ "\r\n", .statuses = &.{501} },
    .{ .text = get ++ host ++ "X: a\r\n b\r\n\r\n", .statuses = &.{400} },
    .{ .text = get ++ host ++ "X : a\r\n\r\n", .statuses = &.{400} },
    .{ .text = get ++ host ++ "X\r\n\r\n", .statuses = &.{400} },
    .{ .text = get ++ host ++ "X: \x00\r\n\r\n", .statuses = &.{400} },
    .{ .text = get ++ host ++ "X: a\rb\r\n\r\n", .statuses = &.{400} },
    .{ .text = get ++ host ++ "X: a\n\r\n", .statuses = &.{400} },
    .{ .text = get ++ host ++ "Expect: magic\r\n\r\n", .statuses = &.{417} },
    .{ .text = get ++ host ++ "F: v\r\n" ** 30 ++ "\r\n", .statuses = &.{431} },
    .{ .text = get ++ host ++ "F: " ++ "v" ** 17000 ++ "\r\n\r\n", .statuses = &.{431} },
    .{ .text = "GET /" ++ "x" ** 700 ++ " HTTP/1.1\r\n" ++ host ++ "\r\n", .statuses = &.{414} },
    .{ .text = post ++ "Content-Length: 1, 1\r\n\r\nx", .statuses = &.{400} },
    .{ .text = post ++ "Content-Length: +1\r\n\r\nx", .statuses = &.{400} },
    .{
        .text = post ++ "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        .statuses = &.{400},
    },
    .{
        .text = post ++ "Content-Length: 18446744073709551616\r\n\r\n",
        .statuses = &.{400},
    },
    .{ .text = post ++ "Content-Length: 9999999\r\n\r\n", .statuses = &.{413} },
    .{
        .text = post ++ "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        .statuses = &.{400},
    },
    .{ .text = post ++ "Transfer-Encoding: gzip, chunked\r\n\r\n", .statuses = &.{501} },
    .{ .text = post ++ "Transfer-Encoding: chunked, chunked\r\n\r\n", .statuses = &.{400} },
    .{ .text = post ++ "Transfer-Encoding: xchunked\r\n\r\n", .statuses = &.{400} },
    .{
        .text = "POST /sum/whole/0/99 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        .statuses = &.{400},
    },
    .{ .text = chunked ++ "x\r\n", .statuses = &.{400} },
    .{ .text = chunked ++ "\r\n", .statuses = &.{400} },
    .{ .text = chunked ++ "1 \r\nx\r\n", .statuses = &.{400} },
    .{ .text = chunked ++ "1\nx\r\n", .statuses = &.{400} },
    .{ .text = chunked ++ "0x1\r\nx\r\n", .statuses = &.{400} },
    .{ .text = chunked ++ "1\r\nxy\r\n", .statuses = &.{400} },
    .{ .text = chunked ++ "fffffffffffffffff\r\n", .statuses = &.{ 400, 413 } },
    .{ .text = chunked ++ "0\r\nX : y\r\n\r\n", .statuses = &.{400} },
    .{ .text = chunked ++ "0\r\nX\r\n\r\n", .statuses = &.{400} },
};

/// Appends a request that has to be refused, and returns the statuses that may say so.
pub fn append(
    bytes: *std.ArrayList(u8),
    random: std.Random,
    options: *const Options,
) ![]const u16 {
    if (random.uintLessThan(u8, 12) == 0) return appendTooLong(bytes, options);
    const case = cases[random.uintLessThan(usize, cases.len)];
    try bytes.appendSlice(case.text);
    return case.statuses;
}

/// A chunked body above the limit, found only as it comes.
fn appendTooLong(bytes: *std.ArrayList(u8), options: *const Options) ![]const u16 {
    try bytes.appendSlice(chunked);
    const limit = if (options.bridge)
        options.config.body_bytes_max
    else
        options.config.body_buffered_bytes_max;
    var sent: u64 = 0;
    while (sent <= limit) : (sent += 60_000) {
        try bytes.writer().print("{x}\r\n", .{60_000});
        @memset(try bytes.addManyAsSlice(60_000), 'x');
        try bytes.appendSlice("\r\n");
    }
    return &.{413};
}

const words = [_][]const u8{
    "\r\n",                      "\n",           "\r",             "\r\n\r\n",
    "Content-Length: 5\r\n",     "chunked",      "0\r\n\r\n",      " HTTP/1.1\r\n",
    "Transfer-Encoding: ",       "Host: x\r\n",  "5\r\nabcde\r\n", "GET / HTTP/1.1\r\n",
    "Connection: close\r\n",     "ffffffff\r\n", "\x00",           "Expect: 100-continue\r\n",
    "Content-Length: 99999\r\n", " ",            ":",              "Connection: upgrade\r\n",
};

/// A copy of `bytes` with some of them changed, dropped, doubled or put between.
pub fn mutate(arena: Allocator, random: std.Random, bytes: []const u8) ![]u8 {
    var out = std.ArrayList(u8).init(arena);
    try out.appendSlice(bytes);
    for (0..1 + random.uintLessThan(usize, 5)) |_| {
        // Heads are short and bodies are long: the beginning gets its share.
        const within = if (random.boolean()) @min(out.items.len, 300) else out.items.len;
        const at = random.uintAtMost(usize, within);
        switch (random.uintLessThan(u8, 5)) {
            0 => if (at < out.items.len) {
                out.items[at] = random.int(u8);
            },
            1 => try out.insertSlice(at, words[random.uintLessThan(usize, words.len)]),
            2 => out.replaceRangeAssumeCapacity(
                at,
                @min(out.items.len - at, 1 + random.uintLessThan(usize, 30)),
                "",
            ),
            3 => {
                const n = @min(out.items.len - at, 1 + random.uintLessThan(usize, 60));
                try out.insertSlice(at, try arena.dupe(u8, out.items[at..][0..n]));
            },
            else => if (random.uintLessThan(u8, 4) == 0) out.shrinkRetainingCapacity(at),
        }
    }
    return out.items;
}
