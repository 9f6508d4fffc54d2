const std = @import("std");
const encoder = @import("encoder.zig");
const HeadParts = encoder.HeadParts;

const date: *const [29]u8 = "Sun, 06 Nov 1994 08:49:37 GMT";
const date_line = "Date: " ++ date ++ "\r\n";

fn expectHead(expected: []const u8, parts: HeadParts) !void {
    var out: [1024]u8 = undefined;
    const len = try encoder.head(&out, parts);
    try std.testing.expectEqualStrings(expected, out[0..len]);
    try std.testing.expect(len <= encoder.sizeBound(&parts));
}

test "a plain response carries fields, date and length" {
    try expectHead(
        "HTTP/1.1 200 OK\r\nX-Type: plain\r\n" ++ date_line ++ "Content-Length: 13\r\n\r\n",
        .{ .field_lines = "X-Type: plain\r\n", .length = 13, .date = date, .keep_alive = true },
    );
}

test "an unknown length is chunked for 1.1 and ends by closing for 1.0" {
    try expectHead(
        "HTTP/1.1 200 OK\r\n" ++ date_line ++ "Transfer-Encoding: chunked\r\n\r\n",
        .{ .length = null, .date = date, .keep_alive = true },
    );
    const old = HeadParts{ .version = .http10, .length = null, .date = date, .keep_alive = true };
    try std.testing.expect(old.endsByClose());
    try expectHead("HTTP/1.1 200 OK\r\n" ++ date_line ++ "Connection: close\r\n\r\n", old);
}

test "a 1.0 client is told when the connection stays open" {
    try expectHead(
        "HTTP/1.1 200 OK\r\n" ++ date_line ++ "Content-Length: 0\r\nConnection: keep-alive\r\n\r\n",
        .{ .version = .http10, .length = 0, .date = date, .keep_alive = true },
    );
}

test "a client that asks is told in whole seconds for how long the connection stays open" {
    var buffer: [encoder.keep_alive_lines_bytes_max]u8 = undefined;
    for ([_]u32{ 1000, 5999, std.math.maxInt(u32) }, [_][]const u8{ "1", "5", "4294967" }) |ms, n| {
        const lines = encoder.keepAliveLines(&buffer, ms);
        var expected: [256]u8 = undefined;
        const text = try std.fmt.bufPrint(&expected, "HTTP/1.1 200 OK\r\n{s}" ++
            "Content-Length: 0\r\nConnection: keep-alive\r\nKeep-Alive: timeout={s}\r\n\r\n", .{
            date_line,
            n,
        });
        const Version = @FieldType(HeadParts, "version");
        for ([_]Version{ .http10, .http11 }) |version| try expectHead(text, .{
            .version = version,
            .length = 0,
            .date = date,
            .keep_alive = true,
            .keep_alive_lines = lines,
        });
        // Never where the connection ends.
        for ([_]HeadParts{
            .{ .length = 0, .date = date, .keep_alive = false, .keep_alive_lines = lines },
            .{
                .version = .http10,
                .length = null,
                .date = date,
                .keep_alive = true,
                .keep_alive_lines = lines,
            },
        }) |parts| {
            var out: [256]u8 = undefined;
            const closing = out[0..try encoder.head(&out, parts)];
            try std.testing.expect(std.mem.indexOf(u8, closing, "Connection: close\r\n") != null);
            try std.testing.expect(std.mem.indexOf(u8, closing, "Keep-Alive") == null);
        }
    }
    try std.testing.expectEqualStrings("", encoder.keepAliveLines(&buffer, 999));
}

test "closing is announced" {
    try expectHead(
        "HTTP/1.1 404 Not Found\r\n" ++ date_line ++
            "Content-Length: 1\r\nConnection: close\r\n\r\n",
        .{ .status = 404, .length = 1, .date = date, .keep_alive = false },
    );
}

test "204 and 304 have no framing fields, and close nothing for lack of a length" {
    for ([_]u16{ 204, 304 }) |status| {
        for ([_]?u64{ null, 0, 5 }) |length| {
            var out: [256]u8 = undefined;
            const parts = HeadParts{
                .version = .http10,
                .status = status,
                .length = length,
                .date = date,
                .keep_alive = true,
            };
            const text = out[0..try encoder.head(&out, parts)];
            try std.testing.expect(std.mem.indexOf(u8, text, "Content-Length") == null);
            try std.testing.expect(std.mem.indexOf(u8, text, "Transfer-Encoding") == null);
            try std.testing.expect(std.mem.indexOf(u8, text, "Connection: keep-alive") != null);
        }
    }
}

test "an interim response has the handler's fields and nothing else" {
    try expectHead(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        .{
            .status = 103,
            .field_lines = "Link: </a>\r\n",
            .length = null,
            .date = date,
            .server = "g",
            .keep_alive = false,
        },
    );
}

test "a 2xx to CONNECT has no framing fields" {
    try expectHead("HTTP/1.1 200 OK\r\n" ++ date_line ++ "\r\n", .{
        .length = 0,
        .date = date,
        .keep_alive = true,
        .body_allowed = false,
    });
}

test "the handler's own Date and Server stand alone" {
    try expectHead("HTTP/1.1 200 OK\r\nDate: x\r\nServer: y\r\nContent-Length: 0\r\n\r\n", .{
        .field_lines = "Date: x\r\nServer: y\r\n",
        .length = 0,
        .date = date,
        .server = "gyrfalcon",
        .keep_alive = true,
        .has_date = true,
        .has_server = true,
    });
    const own_lines = date_line ++ "Server: g\r\n";
    try expectHead("HTTP/1.1 200 OK\r\n" ++ own_lines ++ "Content-Length: 0\r\n\r\n", .{
        .length = 0,
        .date = date,
        .server = "g",
        .keep_alive = true,
    });
}

test "a status without a registered reason keeps the space before it" {
    try expectHead("HTTP/1.1 599 \r\n" ++ date_line ++ "Content-Length: 0\r\n\r\n", .{
        .status = 599,
        .length = 0,
        .date = date,
        .keep_alive = true,
    });
}

test "every length is written in decimal" {
    const most = std.math.maxInt(u64);
    for ([_]u64{ 0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 123_456_789, most }) |length| {
        var expected: [256]u8 = undefined;
        const text = try std.fmt.bufPrint(
            &expected,
            "HTTP/1.1 200 OK\r\n" ++ date_line ++ "Content-Length: {d}\r\n\r\n",
            .{length},
        );
        try expectHead(text, .{ .length = length, .date = date, .keep_alive = true });
    }
}

test "a head that does not fit is refused, and the bound is enough" {
    const parts = HeadParts{
        .version = .http10,
        .status = 431,
        .field_lines = "A: b\r\n" ** 20,
        .length = std.math.maxInt(u64),
        .date = date,
        .server = "gyrfalcon",
        .keep_alive = true,
    };
    var out: [1024]u8 = undefined;
    const bound = encoder.sizeBound(&parts);
    try std.testing.expectError(error.NoSpaceLeft, encoder.head(out[0 .. bound - 1], parts));
    _ = try encoder.head(out[0..bound], parts);
}

test "the longest status line fits into what is set aside for it" {
    const status = @import("../http/status.zig");
    for (100..1000) |code| {
        try std.testing.expect("HTTP/1.1 000 \r\n".len + status.reason(@intCast(code)).len <= 64);
    }
}

test "chunk heads are hexadecimal" {
    var out: [encoder.chunk_head_bytes_max]u8 = undefined;
    const cases = .{
        .{ 1, "1\r\n" },
        .{ 15, "f\r\n" },
        .{ 16, "10\r\n" },
        .{ 255, "ff\r\n" },
        .{ 256, "100\r\n" },
        .{ 32_768, "8000\r\n" },
        .{ 0xabcdef, "abcdef\r\n" },
        .{ std.math.maxInt(u64), "ffffffffffffffff\r\n" },
    };
    inline for (cases) |case| {
        try std.testing.expectEqualStrings(case[1], encoder.chunkHead(&out, case[0]));
    }
}
