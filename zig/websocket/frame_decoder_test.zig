const std = @import("std");
const testing = std.testing;
const decoder_file = @import("frame_decoder.zig");
const Decoder = decoder_file.Decoder;
const errors = @import("errors.zig");
const frames = @import("frames.zig");
const client = @import("testing/client.zig");
const frame = client.frame;
const key = client.key;

/// What came of some bytes, in words. What depends on how they were cut is left out.
const Transcript = struct {
    text: std.ArrayList(u8),
    message: std.ArrayList(u8),

    fn init() Transcript {
        return .{ .text = .init(testing.allocator), .message = .init(testing.allocator) };
    }

    fn deinit(self: *Transcript) void {
        self.text.deinit();
        self.message.deinit();
    }

    /// Feeds one read. True: the connection has failed.
    fn feed(self: *Transcript, decoder: *Decoder, bytes: []u8) !bool {
        var rest = bytes;
        while (true) {
            const step = decoder.next(rest);
            const taken = rest[0..step.consumed];
            rest = rest[step.consumed..];
            const out = self.text.writer();
            switch (step.event) {
                .need_more => {
                    try testing.expectEqual(0, rest.len);
                    return false;
                },
                .err => |err| {
                    try out.print("error {s}\n", .{@tagName(err)});
                    var more = "more".*;
                    try testing.expectEqual(step.event, decoder.next(&more).event);
                    return true;
                },
                .data => |data| {
                    try testing.expectEqual(data.begins, self.message.items.len == 0);
                    if (data.begins) try self.message.writer().print("{s}{s}: ", .{
                        @tagName(data.kind), if (data.compressed) " compressed" else "",
                    });
                    // No byte is copied.
                    try testing.expect(data.bytes.len == 0 or
                        data.bytes.ptr + data.bytes.len == taken.ptr + taken.len);
                    try self.message.appendSlice(data.bytes);
                    try testing.expect(!data.ends or data.frame_bytes != null);
                    if (data.frame_bytes) |len| try self.message.writer().print("|{d}", .{len});
                    if (!data.ends) continue;
                    try out.print("{s}\n", .{self.message.items});
                    self.message.clearRetainingCapacity();
                },
                .ping => |payload| try out.print("ping {s}\n", .{payload}),
                .pong => |payload| try out.print("pong {s}\n", .{payload}),
                .close => |close| try out.print("close {?d} {s}\n", .{
                    if (close.code) |code| @intFromEnum(code) else null, close.reason,
                }),
            }
        }
    }
};

const Options = struct {
    role: frames.Role = .server,
    has_compression: bool = false,
    message_bytes_max: u63 = 1 << 20,
};

/// The transcript of `bytes` is `expected`, whole, byte by byte and cut in two anywhere.
fn expectEvents(bytes: []const u8, options: Options, expected: []const u8) !void {
    for (0..bytes.len + 2) |way| {
        const copy = try testing.allocator.dupe(u8, bytes);
        defer testing.allocator.free(copy);
        var transcript = Transcript.init();
        defer transcript.deinit();
        var decoder: Decoder = .{
            .limits = .{ .message_bytes_max = options.message_bytes_max },
            .role = options.role,
            .has_compression = options.has_compression,
        };
        if (way == bytes.len + 1) {
            for (copy) |*byte| if (try transcript.feed(&decoder, byte[0..1])) break;
        } else {
            const failed = try transcript.feed(&decoder, copy[0..way]);
            if (!failed) _ = try transcript.feed(&decoder, copy[way..]);
        }
        try testing.expectEqualStrings(expected, transcript.text.items);
    }
}

fn expectError(bytes: []const u8, options: Options, err: errors.Error) !void {
    var text: [64]u8 = undefined;
    const expected = try std.fmt.bufPrint(&text, "error {s}\n", .{@tagName(err)});
    try expectEvents(bytes, options, expected);
}

test "messages, and control frames between their fragments, are told wherever bytes were cut" {
    try expectEvents(
        frame(0x81, "Hello") ++ frame(0x82, "") ++ frame(0x81, "") ++
            frame(0x01, "Hel") ++ frame(0x89, "ping") ++ frame(0x00, "") ++
            frame(0x8a, "") ++ frame(0x80, "lo") ++
            frame(0x02, "") ++ frame(0x80, "") ++
            frame(0x82, "b" ** 126) ++ frame(0x89, "p" ** 125) ++
            frame(0x88, "\x03\xe8bye") ++ frame(0x81, "what follows is dropped") ++ "\xff\xff",
        .{},
        "text: Hello|5\nbinary: |0\ntext: |0\nping ping\npong \ntext: Hel|3|0lo|2\n" ++
            "binary: |0|0\nbinary: " ++ "b" ** 126 ++ "|126\nping " ++ "p" ** 125 ++
            "\nclose 1000 bye\n",
    );
}

test "a whole message in one read is told as one slice of it" {
    var bytes = (frame(0x82, "payload") ++ frame(0x82, "more")).*;
    var decoder: Decoder = .{};
    const step = decoder.next(&bytes);
    try testing.expectEqual(13, step.consumed);
    try testing.expect(step.event.data.isWhole());
    try testing.expectEqual(bytes[6..].ptr, step.event.data.bytes.ptr);
    try testing.expectEqualStrings("payload", step.event.data.bytes);
}

test "a server's frames are not masked, a client's are (RFC 6455 §5.1)" {
    try expectEvents("\x81\x05Hello\x89\x00", .{ .role = .client }, "text: Hello|5\nping \n");
    try expectError("\x81\x05Hello", .{}, .unmasked_frame);
    try expectError("\x81\x00", .{}, .unmasked_frame);
    try expectError(frame(0x81, "Hello"), .{ .role = .client }, .masked_frame);
}

test "reserved bits fail the connection unless an extension has given them a meaning (§5.2)" {
    for ([_]u8{ 0x40, 0x20, 0x10, 0x70, 0x50 }) |bits| {
        const one = [_]u8{0x81 | bits} ++ frame(0x81, "a")[1..].*;
        try expectError(&one, .{}, .reserved_bits);
        const allowed = bits == 0x40;
        if (allowed) {
            try expectEvents(&one, .{ .has_compression = true }, "text compressed: a|1\n");
        } else try expectError(&one, .{ .has_compression = true }, .reserved_bits);
    }
}

test "RSV1 is the message's: continuations and control frames do not have it (RFC 7692 §6.1)" {
    const with: Options = .{ .has_compression = true };
    try expectEvents(
        frame(0x41, "a") ++ frame(0x89, "") ++ frame(0x80, "\xff") ++ frame(0x81, "b"),
        with,
        "ping \ntext compressed: a|1\xff|1\ntext: b|1\n",
    );
    try expectError(frame(0xc9, ""), with, .reserved_bits);
    try expectEvents(
        frame(0x41, "a") ++ frame(0xc0, "b"),
        with,
        "error reserved_bits\n",
    );
}

test "reserved opcodes fail the connection (RFC 6455 §5.2)" {
    inline for (.{ 3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf }) |opcode| {
        try expectError(frame(0x80 | opcode, ""), .{}, .reserved_opcode);
        try expectError(frame(opcode, "a"), .{}, .reserved_opcode);
    }
}

test "a length has as few bytes as it needs, and no sign (RFC 6455 §5.2)" {
    try expectError("\x82\xfe\x00\x00" ++ key, .{}, .length_not_minimal);
    try expectError("\x82\xfe\x00\x7d" ++ key, .{}, .length_not_minimal);
    try expectError("\x82\xff" ++ "\x00" ** 8 ++ key, .{}, .length_not_minimal);
    const just_too_long = "\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff" ++ key;
    try expectError(just_too_long, .{}, .length_not_minimal);
    try expectError("\x82\xff\x80" ++ "\x00" ** 7 ++ key, .{}, .length_too_large);
}

test "control frames are short and whole (RFC 6455 §5.5)" {
    inline for (.{ 0x8, 0x9, 0xa }) |opcode| {
        try expectError(frame(opcode, ""), .{}, .fragmented_control);
        try expectError(frame(0x80 | opcode, "a" ** 126), .{}, .control_too_long);
    }
}

test "fragments begin, go on and end in that order (RFC 6455 §5.4)" {
    try expectError(frame(0x80, "a"), .{}, .nothing_to_continue);
    try expectError(frame(0x00, "a"), .{}, .nothing_to_continue);
    inline for (.{ 0x01, 0x02, 0x81, 0x82 }) |first| {
        try expectEvents(
            frame(0x01, "a") ++ frame(0x8a, "b") ++ frame(first, "b"),
            .{},
            "pong b\nerror message_interrupted\n",
        );
    }
    try expectEvents(
        frame(0x81, "a") ++ frame(0x80, "b"),
        .{},
        "text: a|1\nerror nothing_to_continue\n",
    );
}

test "a Close has no payload, or a code that may be sent and a reason in UTF-8 (§5.5.1, §7.4)" {
    try expectEvents(frame(0x88, ""), .{}, "close null \n");
    try expectEvents(frame(0x88, "\x0f\xa0"), .{}, "close 4000 \n");
    try expectEvents(frame(0x88, "\x03\xf3\xc3\xa9"), .{}, "close 1011 \u{e9}\n");
    const longest = "\x03\xe8" ++ "r" ** 123;
    try expectEvents(frame(0x88, longest), .{}, "close 1000 " ++ "r" ** 123 ++ "\n");
    try expectError(frame(0x88, "\x03"), .{}, .invalid_close_length);
    inline for (.{ 0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535 }) |code| {
        const payload = comptime [_]u8{ code >> 8, code & 0xff };
        try expectError(frame(0x88, &payload), .{}, .invalid_close_code);
    }
    try expectError(frame(0x88, "\x03\xe8\xff"), .{}, .invalid_close_reason);
    try expectError(frame(0x88, "\x03\xe8\xc3"), .{}, .invalid_close_reason);
}

test "text is UTF-8 over all its fragments, or the connection fails (RFC 6455 §5.6, §8.1)" {
    try expectEvents(
        frame(0x01, "\xe2") ++ frame(0x00, "\x82") ++ frame(0x89, "") ++ frame(0x80, "\xac"),
        .{},
        "ping \ntext: \xe2|1\x82|1\xac|1\n",
    );
    try expectError(frame(0x81, "\xe2\x82"), .{}, .invalid_utf8);
    try expectError(frame(0x01, "\xe2\x82") ++ frame(0x80, ""), .{}, .invalid_utf8);
    try expectError(frame(0x01, "\xe2") ++ frame(0x80, "a"), .{}, .invalid_utf8);
    try expectEvents(frame(0x82, "\xe2\xff"), .{}, "binary: \xe2\xff|2\n");
    // What was incomplete belongs to no other message.
    try expectEvents(
        frame(0x82, "\xe2") ++ frame(0x81, "a"),
        .{},
        "binary: \xe2|1\ntext: a|1\n",
    );
}

test "text that is no UTF-8 is told before its frame has ended (RFC 6455 §8.1)" {
    var bytes = frame(0x81, "ab\xf4\x90 and what has not come").*;
    var decoder: Decoder = .{};
    const before = decoder.next(bytes[0 .. 6 + 3]);
    try testing.expectEqualStrings("ab\xf4", before.event.data.bytes);
    const step = decoder.next(bytes[6 + 3 ..][0..1]);
    try testing.expectEqual(errors.Error.invalid_utf8, step.event.err);
}

test "a message that is too long is told by its head, also of a later fragment (§10.4)" {
    const limited: Options = .{ .message_bytes_max = 10 };
    try expectEvents(frame(0x82, "0123456789"), limited, "binary: 0123456789|10\n");
    try expectError(frame(0x82, "0123456789a")[0..6], limited, .message_too_large);
    try expectError("\x82\xff\x7f" ++ "\xff" ** 7 ++ key, limited, .message_too_large);
    try expectError(
        frame(0x02, "01234") ++ frame(0x80, "56789a")[0..6],
        limited,
        .message_too_large,
    );
    try expectEvents(
        frame(0x02, "01234") ++ frame(0x80, "56789") ++ frame(0x82, "0123456789"),
        limited,
        "binary: 01234|556789|5\nbinary: 0123456789|10\n",
    );
}

test "a frame is judged by the first two bytes of its head, before the rest has come" {
    for ([_][]const u8{ "\x83\x80", "\xc1\x80", "\x80\x80", "\x81\x7f", "\x89\xff" }) |head| {
        var bytes: [2]u8 = head[0..2].*;
        var decoder: Decoder = .{};
        try testing.expectEqual(.need_more, std.meta.activeTag(decoder.next(bytes[0..1]).event));
        try testing.expectEqual(.err, std.meta.activeTag(decoder.next(bytes[1..]).event));
    }
}

test "an idle connection's decoder is small" {
    try testing.expect(@sizeOf(Decoder) <= 176);
}
