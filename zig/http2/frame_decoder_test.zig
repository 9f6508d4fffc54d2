const std = @import("std");
const testing = std.testing;
const errors = @import("errors.zig");
const decoder_file = @import("frame_decoder.zig");
const Decoder = decoder_file.Decoder;
const Limits = decoder_file.Limits;
const frames = @import("frames.zig");
const Header = frames.Header;

/// What came of some bytes, in words. What depends on how they were cut is left out.
const Transcript = struct {
    text: std.ArrayList(u8),
    memory: [2][1024]u8 = undefined,
    lent: usize = 0,
    in_data: bool = false,

    fn init() Transcript {
        return .{ .text = std.ArrayList(u8).init(testing.allocator) };
    }

    fn deinit(self: *Transcript) void {
        self.text.deinit();
    }

    /// Feeds one read. True: the connection has ended.
    fn feed(self: *Transcript, decoder: *Decoder, bytes: []const u8) !bool {
        var rest = bytes;
        while (true) {
            const step = decoder.next(rest);
            rest = rest[step.consumed..];
            const out = self.text.writer();
            switch (step.event) {
                .need_more => {
                    try testing.expectEqual(0, rest.len);
                    return false;
                },
                .need_memory => |bytes_needed| {
                    // As little as does, so that it has to grow.
                    self.lent += 1;
                    _ = decoder.lend(self.memory[self.lent % 2][0..bytes_needed]);
                },
                .err => |err| {
                    try out.print("error {s}\n", .{@tagName(err)});
                    try testing.expectEqual(step.event, decoder.next("more").event);
                    return true;
                },
                .data_begin => |begin| try out.print("data {d}: {d}-{d} end={}:", .{
                    begin.stream, begin.window_bytes, begin.padding_bytes, begin.end_stream,
                }),
                .data => |data| {
                    try out.writeAll(data.bytes);
                    try testing.expect(data.ends_frame or !data.end_stream);
                    if (data.ends_frame) try out.print(" end={}\n", .{data.end_stream});
                },
                .headers => |headers| {
                    try out.print("headers {d}: {s} end={} self={}\n", .{
                        headers.stream, headers.block, headers.end_stream, headers.self_dependent,
                    });
                    if (decoder.memory.len > 0) _ = decoder.takeBack();
                },
                .settings => |settings| try out.print("settings {?d} {?d}\n", .{
                    settings.header_table_size, settings.initial_window_size,
                }),
                .ping => |data| try out.print("ping {s}\n", .{data}),
                .ping_ack => |data| try out.print("ping_ack {s}\n", .{data}),
                .priority_update => |update| try out.print("priority_update {d}: {s}\n", .{
                    update.stream, update.value,
                }),
                .rst_stream => |reset| try out.print("rst_stream {d} {s}\n", .{
                    reset.stream, @tagName(reset.code),
                }),
                .window_update => |update| try out.print("window_update {d} {d}\n", .{
                    update.stream, update.increment,
                }),
                .goaway => |goaway| try out.print("goaway {d} {s}\n", .{
                    goaway.last, @tagName(goaway.code),
                }),
                .stream_error => |e| try out.print("stream_error {d} {s}\n", .{
                    e.stream, @tagName(e.err),
                }),
                .priority => |stream| try out.print("priority {d}\n", .{stream}),
                .unknown, .settings_ack => try out.print("{s}\n", .{@tagName(step.event)}),
            }
        }
    }
};

/// The transcript of `bytes` is `expected`, whole, byte by byte and cut in two anywhere.
fn expectEvents(bytes: []const u8, limits: Limits, expected: []const u8) !void {
    for (0..bytes.len + 2) |way| {
        var transcript = Transcript.init();
        defer transcript.deinit();
        var decoder: Decoder = .{ .limits = limits };
        if (way == bytes.len + 1) {
            for (bytes) |*byte| {
                const read = try testing.allocator.dupe(u8, byte[0..1]);
                defer testing.allocator.free(read);
                if (try transcript.feed(&decoder, read)) break;
            }
        } else {
            const ended = try transcript.feed(&decoder, bytes[0..way]);
            if (!ended) _ = try transcript.feed(&decoder, bytes[way..]);
        }
        try testing.expectEqualStrings(expected, transcript.text.items);
    }
}

fn frame(
    comptime kind: frames.Type,
    comptime flags: u8,
    comptime stream: u31,
    comptime payload: []const u8,
) *const [frames.header_bytes + payload.len]u8 {
    const whole = comptime blk: {
        var bytes: [frames.header_bytes + payload.len]u8 = undefined;
        const header: Header = .{
            .len = payload.len,
            .type = kind,
            .flags = @bitCast(flags),
            .stream = stream,
        };
        header.write(bytes[0..frames.header_bytes]);
        bytes[frames.header_bytes..].* = payload[0..payload.len].*;
        break :blk bytes;
    };
    return &whole;
}

const start = frames.preface ++ frame(.settings, 0, 0, "");
const started = "settings null null\n";

fn expectAfterStart(pieces: []const []const u8, expected: []const u8) !void {
    const bytes = try std.mem.concat(testing.allocator, u8, pieces);
    defer testing.allocator.free(bytes);
    const whole = try std.mem.concat(testing.allocator, u8, &.{ start, bytes });
    defer testing.allocator.free(whole);
    const text = try std.mem.concat(testing.allocator, u8, &.{ started, expected });
    defer testing.allocator.free(text);
    try expectEvents(whole, .{}, text);
}

test "every frame is told, wherever its bytes were cut" {
    try expectEvents(frames.preface ++
        frame(.settings, 0, 0, "\x00\x01\x00\x00\x10\x00\x00\x04\x00\x01\x00\x00\x12\x34abcd") ++
        frame(.settings, 1, 0, "") ++
        frame(.window_update, 0, 0, "\x80\x00\x00\x07") ++
        frame(.headers, 0x25, 1, "\x80\x00\x00\x00\x10block") ++
        frame(.headers, 0x2c, 3, "\x02\x00\x00\x00\x03\x10block\x00\x00") ++
        frame(.headers, 0, 5, "one ") ++ frame(.continuation, 0, 5, "two ") ++
        frame(.continuation, 0, 5, "") ++ frame(.continuation, 4, 5, "three") ++
        frame(.headers, 0, 7, "") ++ frame(.continuation, 4, 7, "") ++
        frame(.data, 0, 5, "some") ++ frame(.data, 8, 5, "\x03more\x00\x00\x00") ++
        frame(.data, 9, 5, "\x00") ++ frame(.data, 1, 7, "") ++
        frame(.ping, 0, 0, "12345678") ++ frame(.ping, 1, 0, "87654321") ++
        frame(.priority, 0, 9, "\x00\x00\x00\x01\x00") ++
        frame(.priority, 0, 9, "\x00\x00\x00\x09\x00") ++ frame(.priority, 0, 9, "four") ++
        frame(.priority_update, 0, 0, "\x00\x00\x00\x09u=2, i") ++
        frame(.priority_update, 0, 0, "\x00\x00\x00\x09" ++ "x" ** 100) ++
        frame(@enumFromInt(0xbe), 0xff, 9, "whatever") ++
        frame(@enumFromInt(0xbf), 0, 0, "") ++
        frame(.window_update, 0, 5, "\x00\x00\x00\x00") ++
        frame(.rst_stream, 0, 5, "\x00\x00\x00\x08") ++
        frame(.goaway, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x00bye") ++
        frame(.goaway, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x0b"), .{}, "settings 4096 65536\n" ++
        "settings_ack\n" ++ "window_update 0 7\n" ++
        "headers 1: block end=true self=false\n" ++ "headers 3: block end=false self=true\n" ++
        "headers 5: one two three end=false self=false\n" ++
        "headers 7:  end=false self=false\n" ++
        "data 5: 4-0 end=false:some end=false\n" ++ "data 5: 8-4 end=false:more end=false\n" ++
        "data 5: 1-1 end=true: end=true\n" ++ "data 7: 0-0 end=true: end=true\n" ++
        "ping 12345678\n" ++ "ping_ack 87654321\n" ++ "priority 9\n" ++
        "stream_error 9 self_dependency\n" ++ "stream_error 9 invalid_priority_length\n" ++
        "priority_update 9: u=2, i\n" ++ "priority_update 9: \n" ++ "unknown\n" ++ "unknown\n" ++
        "stream_error 5 window_update_of_zero\n" ++ "rst_stream 5 cancel\n" ++
        "goaway 0 no_error\n" ++ "goaway 0 enhance_your_calm\n");
}

test "a connection that does not begin with preface and settings ends" {
    try expectEvents("GET / HTTP/1.1\r\n\r\n", .{}, "error invalid_preface\n");
    try expectEvents("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", .{}, "error invalid_preface\n");
    inline for (.{
        frame(.ping, 0, 0, "12345678"),      frame(.settings, 1, 0, ""), frame(.headers, 5, 1, ""),
        frame(@enumFromInt(0xbe), 0, 0, ""),
    }) |first| try expectEvents(frames.preface ++ first, .{}, "error settings_missing\n");
}

test "a preface is seen as soon as it is there, another protocol at its first byte" {
    for (0..frames.preface.len) |len| {
        try testing.expectEqual(.need_more, decoder_file.detect(frames.preface[0..len]));
    }
    try testing.expectEqual(.http2, decoder_file.detect(frames.preface));
    try testing.expectEqual(.http2, decoder_file.detect(frames.preface ++ "more"));
    try testing.expectEqual(.other, decoder_file.detect("G"));
    try testing.expectEqual(.other, decoder_file.detect("PRI * HTTP/1.1"));
}

test "frames on streams that they cannot be on end the connection" {
    inline for (.{
        frame(.data, 0, 0, "a"),               frame(.headers, 5, 0, "a"),
        frame(.headers, 5, 2, "a"),            frame(.priority, 0, 0, "12345"),
        frame(.rst_stream, 0, 0, "1234"),      frame(.settings, 0, 1, ""),
        frame(.ping, 0, 1, "12345678"),        frame(.goaway, 0, 1, "12345678"),
        frame(.priority_update, 0, 1, "1234"), frame(.priority_update, 0, 0, &.{ 0, 0, 0, 0 }),
    }) |bytes| try expectAfterStart(&.{bytes}, "error invalid_stream_id\n");
    // Of a push: whether there is one, its owner knows.
    const of_push = frame(.priority_update, 0, 0, "\x00\x00\x00\x02u=1");
    try expectAfterStart(&.{of_push}, "priority_update 2: u=1\n");
}

test "frames of lengths that they cannot have end the connection" {
    inline for (.{
        frame(.rst_stream, 0, 1, "123"),                  frame(.rst_stream, 0, 1, "12345"),
        frame(.settings, 0, 0, "12345"),                  frame(.settings, 1, 0, "123456"),
        frame(.ping, 0, 0, "1234567"),                    frame(.ping, 0, 0, "123456789"),
        frame(.goaway, 0, 0, "1234567"),                  frame(.window_update, 0, 0, "123"),
        frame(.window_update, 0, 1, "12345"),             frame(.priority_update, 0, 0, "123"),
        frame(.headers, 0x2c, 1, "\x00\x00\x00\x00\x03"), frame(.headers, 0x24, 1, "1234"),
        frame(.headers, 0x0c, 1, ""),                     frame(.data, 8, 1, ""),
    }) |bytes| try expectAfterStart(&.{bytes}, "error invalid_frame_length\n");
    var header: [frames.header_bytes]u8 = undefined;
    const large: Header = .{ .len = 16_385, .type = .data, .stream = 1 };
    large.write(&header);
    try expectEvents(start ++ header, .{}, started ++ "error frame_too_large\n");
    const unknown: Header = .{ .len = 16_385, .type = @enumFromInt(0xbe), .stream = 1 };
    unknown.write(&header);
    try expectEvents(start ++ header, .{}, started ++ "error frame_too_large\n");
}

test "padding longer than the payload ends the connection" {
    inline for (.{
        frame(.data, 8, 1, "\x04123"),
        frame(.headers, 0x0c, 1, "\x04123"),
        frame(.headers, 0x2c, 1, "\x01\x00\x00\x00\x03\x10"),
    }) |bytes| try expectAfterStart(&.{bytes}, "error invalid_padding\n");
    try expectAfterStart(&.{frame(.data, 8, 1, "\x03123")}, "data 1: 4-4 end=false: end=false\n");
}

test "a field block is in one piece, on one stream" {
    inline for (.{
        frame(.data, 0, 1, ""),              frame(.headers, 4, 1, ""),
        frame(.continuation, 4, 3, ""),      frame(.ping, 0, 0, "12345678"),
        frame(@enumFromInt(0xbe), 0, 0, ""), frame(.window_update, 0, 0, "1234"),
    }) |bytes| try expectAfterStart(
        &.{ frame(.headers, 0, 1, "a"), bytes },
        "error field_block_interrupted\n",
    );
    try expectAfterStart(
        &.{frame(.continuation, 4, 1, "")},
        "error continuation_without_headers\n",
    );
    try expectAfterStart(
        &.{ frame(.headers, 4, 1, ""), frame(.continuation, 4, 1, "") },
        "headers 1:  end=false self=false\nerror continuation_without_headers\n",
    );
    try expectAfterStart(&.{frame(.push_promise, 4, 1, "1234")}, "error push_from_client\n");
}

test "settings have the values that they can have" {
    inline for (.{
        .{ "\x00\x02\x00\x00\x00\x02", "error invalid_setting\n" },
        .{ "\x00\x04\x80\x00\x00\x00", "error invalid_initial_window\n" },
        .{ "\x00\x05\x00\x00\x3f\xff", "error invalid_setting\n" },
        .{ "\x00\x05\x01\x00\x00\x00", "error invalid_setting\n" },
        .{ "\x00\x08\x00\x00\x00\x02", "error invalid_setting\n" },
        .{ "\x00\x09\x00\x00\x00\x02", "error invalid_setting\n" },
        .{ "\x00\x04\x7f\xff\xff\xff", "settings null 2147483647\n" },
        .{ "\x00\x05\x00\xff\xff\xff", "settings null null\n" },
        .{ "\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x09", "settings 9 null\n" },
    }) |case| try expectAfterStart(&.{frame(.settings, 0, 0, case[0])}, case[1]);
    var decoder: Decoder = .{};
    const twice = "\x00\x01\x00\x00\x00\x02\x00\x01\x00\x00\x00\x01\x00\x01\x00\x00\x00\x09";
    const settings = decoder.next(frames.preface ++ frame(.settings, 0, 0, twice)).event.settings;
    try testing.expectEqual(9, settings.header_table_size);
    try testing.expectEqual(1, settings.header_table_size_min);
    try expectAfterStart(
        &.{frame(.window_update, 0, 0, "\x00\x00\x00\x00")},
        "error window_update_of_zero\n",
    );
}

test "field blocks in many pieces, of many bytes, and floods of settings are cut off" {
    const limits: Limits = .{ .block_bytes_max = 20, .continuations_max = 3, .settings_max = 2 };
    const ten = "0123456789";
    const piece = frame(.continuation, 0, 1, ten);
    const empty = frame(.continuation, 0, 1, "");
    const head = start ++ frame(.headers, 0, 1, ten);
    try expectEvents(
        head ++ piece ++ frame(.continuation, 4, 1, "a"),
        limits,
        started ++ "error field_block_too_large\n",
    );
    try expectEvents(
        head ++ piece ++ frame(.continuation, 4, 1, ""),
        limits,
        started ++ "headers 1: " ++ ten ++ ten ++ " end=false self=false\n",
    );
    try expectEvents(head ++ empty ** 4, limits, started ++ "error too_many_continuations\n");
    try expectEvents(
        start ++ frame(.headers, 4, 1, ten ++ ten ++ "a"),
        limits,
        started ++ "error field_block_too_large\n",
    );
    try expectEvents(
        start ++ frame(.settings, 0, 0, "\x00\x09\x00\x00\x00\x01" ** 3),
        limits,
        started ++ "error too_many_settings\n",
    );
}

test "what is written is read" {
    var out: [256]u8 = undefined;
    var len: usize = 0;
    len += frames.writeSettings(out[len..], &.{
        .{ .id = .initial_window_size, .value = 7 },
        .{ .id = .header_table_size, .value = 0 },
    });
    out[len..][0..frames.header_bytes].* = frames.settings_ack;
    len += frames.header_bytes;
    frames.writePing(out[len..][0..frames.ping_bytes], "abcdefgh".*, true);
    len += frames.ping_bytes;
    frames.writeWindowUpdate(out[len..][0..frames.window_update_bytes], 3, 5);
    len += frames.window_update_bytes;
    frames.writeRstStream(out[len..][0..frames.rst_stream_bytes], 3, .refused_stream);
    len += frames.rst_stream_bytes;
    frames.writeDataHeader(out[len..][0..frames.header_bytes], 5, 2, true);
    len += frames.header_bytes;
    out[len..][0..2].* = "ab".*;
    len += 2;
    frames.writeGoaway(out[len..][0..frames.goaway_bytes], 5, .enhance_your_calm);
    len += frames.goaway_bytes;
    var bytes: [frames.preface.len + 256]u8 = undefined;
    bytes[0..frames.preface.len].* = frames.preface.*;
    @memcpy(bytes[frames.preface.len..][0..len], out[0..len]);
    try expectEvents(bytes[0 .. frames.preface.len + len], .{}, "settings 0 7\nsettings_ack\n" ++
        "ping_ack abcdefgh\nwindow_update 3 5\nrst_stream 3 refused_stream\n" ++
        "data 5: 2-0 end=true:ab end=true\ngoaway 5 enhance_your_calm\n");
}
