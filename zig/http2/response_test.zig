const std = @import("std");
const testing = std.testing;
const FieldLines = @import("../http/field_lines.zig").FieldLines;
const response = @import("response.zig");
const encoder_file = @import("hpack/encoder.zig");
const Fixture = @import("testing/fixture.zig").Fixture;

const date = "Sun, 06 Nov 1994 08:49:37 GMT";

/// What a peer reads of a head of these parts.
fn readBack(fixture: *Fixture, p: response.HeadParts) ![]const u8 {
    var bytes: [4096]u8 = undefined;
    var out: encoder_file.Out = .{ .bytes = bytes[0..response.headBytesMax(&p)] };
    response.writeHead(&fixture.encoder, &out, &p);
    return fixture.decode(out.written());
}

test "a head is its status, what the engine adds and the lines, in lower case" {
    var fixture: Fixture = .{};
    fixture.init();
    const lines = comptime FieldLines.of("Content-Type: text/plain\r\nX-A: b\r\n");
    const expected = ":status: 200\r\ndate: " ++ date ++ "\r\nserver: gyrfalcon\r\n" ++
        "content-type: text/plain\r\nx-a: b\r\ncontent-length: 12\r\n";
    for (0..2) |_| try testing.expectEqualStrings(expected, try readBack(&fixture, .{
        .status = 200,
        .lines = lines,
        .length = 12,
        .date = date,
        .server = "gyrfalcon",
    }));
}

test "a handler's own Date and Server stand alone; no length where there is no content" {
    var fixture: Fixture = .{};
    fixture.init();
    const lines = comptime FieldLines.of("Date: today\r\nServer: mine\r\n");
    for ([_]struct { u16, bool }{ .{ 204, true }, .{ 304, true }, .{ 200, false } }) |case| {
        var expected: [128]u8 = undefined;
        const form = ":status: {d}\r\ndate: today\r\nserver: mine\r\n";
        const text = try std.fmt.bufPrint(&expected, form, .{case[0]});
        try testing.expectEqualStrings(text, try readBack(&fixture, .{
            .status = case[0],
            .lines = lines,
            .length = 5,
            .date = date,
            .server = "gyrfalcon",
            .has_date = true,
            .has_server = true,
            .body_allowed = case[1],
        }));
    }
}

test "an interim response has a status and lines, and what belongs to connections is left out" {
    var fixture: Fixture = .{};
    fixture.init();
    const lines = comptime FieldLines.of("Connection: upgrade\r\nUpgrade: a\r\n" ++
        "Link: </a.css>\r\n" ++
        "TE: x\r\nkeep-alive: 1\r\nProxy-Connection: x\r\nTransfer-Encoding: chunked\r\n");
    const expected = ":status: 103\r\nlink: </a.css>\r\n";
    try testing.expectEqualStrings(expected, try readBack(&fixture, .{
        .status = 103,
        .lines = lines,
        .length = null,
        .date = date,
    }));
    var bytes: [256]u8 = undefined;
    var out: encoder_file.Out = .{ .bytes = bytes[0..response.trailersBytesMax(lines)] };
    response.writeTrailers(&fixture.encoder, &out, lines);
    try testing.expectEqualStrings("link: </a.css>\r\n", try fixture.decode(out.written()));
}

test "a value is sent without the white space around it" {
    var fixture: Fixture = .{};
    fixture.init();
    const lines = comptime FieldLines.of("x-a:  b c\t\r\nx-b:  \r\n");
    const text = try readBack(&fixture, .{
        .status = 100,
        .lines = lines,
        .length = null,
        .date = date,
    });
    try testing.expectEqualStrings(":status: 100\r\nx-a: b c\r\nx-b: \r\n", text);
    var fields = fixture.block.fields();
    while (fields.next()) |field| try testing.expect(!field.defects.value);
}

test "the bound of a head holds for any status and length" {
    const lines = comptime FieldLines.of("a: \r\nb: \r\n");
    for ([_]u16{ 200, 999 }) |status| {
        var fixture: Fixture = .{};
        fixture.init();
        fixture.encoder.setPeerLimit(0);
        fixture.encoder.setPeerLimit(1000);
        _ = try readBack(&fixture, .{
            .status = status,
            .lines = lines,
            .length = std.math.maxInt(u64),
            .date = date,
            .server = "\x00\x01\x02" ** 50, // no shorter by the Huffman code
        });
    }
}
