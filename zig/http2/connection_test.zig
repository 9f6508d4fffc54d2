const std = @import("std");
const testing = std.testing;
const Request = @import("../http/request.zig").Request;
const FieldLines = @import("../http/field_lines.zig").FieldLines;
const connection_file = @import("connection.zig");
const Connection = connection_file.Connection;
const Settings = connection_file.Settings;
const Stream = connection_file.Stream;
const errors = @import("errors.zig");
const frames = @import("frames.zig");
const hpack_decoder = @import("hpack/decoder.zig");
const hpack_encoder = @import("hpack/encoder.zig");
const response = @import("response.zig");
const table_file = @import("hpack/table.zig");

const capacity = 4096;
const get = ":method: GET\r\n:scheme: https\r\n:path: /\r\n:authority: a\r\n";
const post = ":method: POST\r\n:scheme: https\r\n:path: /\r\n:authority: a\r\n";

/// A server's connection, its streams, and the client that speaks to it.
const Pair = struct {
    connection: Connection(Pair) = undefined,
    settings: Settings = .{},
    slots: [8]?Stream = @splat(null),
    scratch_text: [16 * 1024]u8 = undefined,
    scratch_lines: [128]table_file.Record = undefined,
    block: hpack_decoder.Block = undefined,
    req: Request = .{},
    memory: [3][encoder_bytes]u8 align(table_file.alignment) = undefined,
    client_encoder: hpack_encoder.Encoder = undefined,
    lent: [16 * 1024]u8 = undefined,
    now_ms: u64 = 1000,
    /// What the server tells and sends, in words.
    log: std.ArrayList(u8) = undefined,
    /// What the client sends.
    wire: std.ArrayList(u8) = undefined,
    /// Streams are opened as requests come.
    opens: bool = true,
    /// Content is consumed as it comes.
    consumes: bool = true,

    const encoder_bytes = std.mem.alignForward(
        usize,
        hpack_encoder.memoryBytes(capacity),
        table_file.alignment,
    );

    fn init(self: *Pair) !void {
        const decoder_bytes = table_file.memoryBytes(capacity);
        const own_bytes = hpack_encoder.memoryBytes(capacity);
        self.connection = .init(
            &self.settings,
            .init(self.memory[0][0..decoder_bytes], capacity),
            .init(self.memory[1][0..own_bytes], capacity),
        );
        self.client_encoder = .init(self.memory[2][0..own_bytes], capacity);
        self.block = .{
            .text = &self.scratch_text,
            .lines = &self.scratch_lines,
            .limits = .{ .list_bytes_max = 8192, .read_bytes_max = 64 * 1024 },
        };
        self.log = .init(testing.allocator);
        self.wire = .init(testing.allocator);
        var greeting: [Connection(Pair).greeting_bytes_max]u8 = undefined;
        const len = self.connection.greet(&greeting);
        try testing.expectEqual(.settings, frames.Header.parse(greeting[0..9]).type);
        try testing.expect(len >= frames.header_bytes);
        try self.wire.appendSlice(frames.preface);
        try self.frame(.settings, 0, 0, "");
        try self.frame(.settings, 1, 0, "");
        try self.expect("writable any > settings ack\n");
    }

    fn deinit(self: *Pair) void {
        self.log.deinit();
        self.wire.deinit();
    }

    pub fn findStream(self: *Pair, id: frames.StreamId) ?*Stream {
        for (&self.slots) |*slot| {
            if (slot.*) |*stream| if (stream.id == id) return stream;
        }
        return null;
    }

    pub fn nextStream(self: *Pair, after: ?*Stream) ?*Stream {
        var is_behind = after == null;
        for (&self.slots) |*slot| {
            if (slot.*) |*stream| {
                if (is_behind) return stream;
                is_behind = stream == after;
            }
        }
        return null;
    }

    // The client.

    fn frame(self: *Pair, kind: frames.Type, flags: u8, id: u31, payload: []const u8) !void {
        var header: [frames.header_bytes]u8 = undefined;
        const told: frames.Header = .{
            .len = @intCast(payload.len),
            .type = kind,
            .flags = @bitCast(flags),
            .stream = id,
        };
        told.write(&header);
        try self.wire.appendSlice(&header);
        try self.wire.appendSlice(payload);
    }

    fn headers(self: *Pair, id: u31, end_stream: bool, comptime lines: []const u8) !void {
        var bytes: [4096]u8 = undefined;
        var out: hpack_encoder.Out = .{ .bytes = &bytes };
        self.client_encoder.begin(&out);
        self.client_encoder.lines(&out, comptime FieldLines.of(lines));
        try self.frame(.headers, if (end_stream) 5 else 4, id, out.written());
    }

    fn update(self: *Pair, id: u31, increment: u32) !void {
        var payload: [4]u8 = undefined;
        std.mem.writeInt(u32, &payload, increment, .big);
        try self.frame(.window_update, 0, id, &payload);
    }

    // The server.

    /// What has been sent to the server since the last time does this.
    fn expect(self: *Pair, expected: []const u8) !void {
        self.log.clearRetainingCapacity();
        // In memory of its own: it is not kept longer than it may be.
        const bytes = try testing.allocator.dupe(u8, self.wire.items);
        defer testing.allocator.free(bytes);
        self.wire.clearRetainingCapacity();
        try self.feed(bytes);
        try testing.expectEqualStrings(expected, self.log.items);
    }

    fn feed(self: *Pair, bytes: []const u8) !void {
        const out = self.log.writer();
        var rest = bytes;
        while (true) {
            const scratch: connection_file.Scratch = .{ .block = &self.block, .req = &self.req };
            const step = self.connection.next(self, rest, scratch, self.now_ms);
            rest = rest[step.consumed..];
            self.connection.checkInvariants(self);
            switch (step.event) {
                .need_more => return testing.expectEqual(0, rest.len),
                .need_memory => {
                    _ = self.connection.frames.lend(&self.lent);
                    continue;
                },
                .failed => |err| try out.print("failed {s}", .{@tagName(err)}),
                .request => |request| {
                    try out.print("request {d} {s}", .{ request.id, self.req.method_text });
                    const urgency = request.priority.urgency;
                    if (urgency != 3) try out.print(" urgency {d}", .{urgency});
                    const length = request.head.content_length;
                    if (self.opens) self.open(request.id, request.end_stream, length);
                },
                .refused => |refused| {
                    try out.print("refused {d} {s}", .{ refused.id, @tagName(refused.why) });
                    self.open(refused.id, refused.end_stream, null);
                },
                .malformed => |of| {
                    try out.print("malformed {d} {s}", .{ of.id, @tagName(of.why) });
                },
                .data => |data| {
                    try out.print("data {d} {s}", .{ data.stream.id, data.bytes });
                    if (data.end_stream) try out.writeAll(" end");
                    const len: u31 = @intCast(data.bytes.len);
                    if (self.consumes) self.connection.consume(data.stream, len);
                },
                .trailers => |t| try out.print("trailers {d} {s}", .{
                    t.stream.id, std.mem.trimRight(u8, t.lines, "\r\n"),
                }),
                .reset => |of| try out.print("reset {d} {s}", .{ of.stream.id, @tagName(of.code) }),
                .broken => |of| {
                    try out.print("broken {d} {s}", .{ of.stream.id, @tagName(of.why) });
                },
                .writable => |stream| if (stream) |own|
                    try out.print("writable {d}", .{own.id})
                else
                    try out.writeAll("writable any"),
                .prioritized => |of| try out.print("prioritized {d} {d} {}", .{
                    of.stream.id, of.priority.urgency, of.priority.incremental,
                }),
                .goaway => |code| try out.print("goaway {s}", .{@tagName(code)}),
                .pong => try out.writeAll("pong"),
                .reply => {},
            }
            try self.tellReply(step.reply);
            try out.writeByte('\n');
            if (step.event == .failed) return;
        }
    }

    /// The frames of a reply.
    fn tellReply(self: *Pair, reply: []const u8) !void {
        const out = self.log.writer();
        var rest = reply;
        while (rest.len > 0) {
            const header = frames.Header.parse(rest[0..frames.header_bytes]);
            const payload = rest[frames.header_bytes..][0..header.len];
            rest = rest[frames.header_bytes + payload.len ..];
            try out.print(" > {s}", .{@tagName(header.type)});
            if (header.stream != 0) try out.print(" {d}", .{header.stream});
            if (header.type == .settings and header.flags.end_stream) try out.writeAll(" ack");
            const word = if (header.type == .goaway) payload[4..] else payload;
            if (word.len == 4) {
                const value = std.mem.readInt(u32, word[0..4], .big);
                if (header.type == .window_update) {
                    try out.print(" {d}", .{value});
                } else try out.print(" {s}", .{@tagName(@as(errors.Code, @enumFromInt(value)))});
            }
        }
    }

    fn open(self: *Pair, id: u31, end_stream: bool, length: ?u64) void {
        for (&self.slots) |*slot| {
            if (slot.* != null) continue;
            slot.* = @as(Stream, undefined);
            return self.connection.open(&slot.*.?, id, end_stream, length);
        }
        unreachable;
    }

    fn release(self: *Pair, id: u31) void {
        for (&self.slots) |*slot| {
            if (slot.*) |*stream| if (stream.id == id) {
                self.connection.release(stream);
                slot.* = null;
                return;
            };
        }
        unreachable;
    }

    /// A request that has come whole.
    fn begun(self: *Pair, id: u31) !void {
        try self.headers(id, true, get);
        var line: [64]u8 = undefined;
        try self.expect(try std.fmt.bufPrint(&line, "request {d} GET\n", .{id}));
    }
};

fn start(pair: *Pair, settings: Settings) !void {
    pair.* = .{ .settings = settings };
    try pair.init();
}

test "an idle connection and its tables hold no more than 6 KiB" {
    const own = @sizeOf(Connection(Pair));
    try testing.expect(own <= 960);
    const tables = table_file.memoryBytes(4096) + hpack_encoder.memoryBytes(512);
    try testing.expect(own + tables <= 6 * 1024);
    try testing.expect(@sizeOf(Stream) <= 64);
}

test "requests come with content and trailers, are answered, and make room for others" {
    var pair: Pair = undefined;
    try start(&pair, .{ .streams_max = 2 });
    defer pair.deinit();
    try pair.headers(1, false, post ++ "content-length: 5\r\n");
    try pair.frame(.data, 0, 1, "he");
    try pair.frame(.data, 8, 1, "\x02llo\x00\x00");
    try pair.headers(1, true, "x-sum: 1\r\n");
    try pair.headers(3, true, get);
    try pair.headers(5, true, get);
    try pair.expect("request 1 POST\ndata 1 he\ndata 1 llo\ntrailers 1 x-sum: 1\n" ++
        "request 3 GET\n > rst_stream 5 refused_stream\n");
    const stream = pair.findStream(1).?;
    try testing.expectEqual(16_384, pair.connection.sendableBytes(stream));
    pair.connection.sentData(stream, 10, true);
    try testing.expect(stream.isClosed());
    pair.release(1);
    try pair.begun(7);
    pair.connection.checkInvariants(&pair);
}

test "an answer is what the client's decoder understands, within its largest frame" {
    var pair: Pair = undefined;
    try start(&pair, .{});
    defer pair.deinit();
    try pair.begun(1);
    var bytes: [512]u8 = undefined;
    const parts: response.HeadParts = .{
        .status = 200,
        .lines = comptime FieldLines.of("Content-Type: text/plain\r\n"),
        .length = 2,
        .date = "Sun, 06 Nov 1994 08:49:37 GMT",
    };
    var out: hpack_encoder.Out = .{
        .bytes = bytes[frames.header_bytes..][0..response.headBytesMax(&parts)],
    };
    response.writeHead(&pair.connection.encoder, &out, &parts);
    const peer = &pair.connection.peer;
    const len = frames.sealHeaders(&bytes, out.len, 1, false, peer.frame_bytes_max);
    const header = frames.Header.parse(bytes[0..frames.header_bytes]);
    try testing.expectEqual(len, frames.header_bytes + header.len);
    try testing.expectEqual(1, header.stream);
    try testing.expect(header.flags.end_headers and !header.flags.end_stream);
}

test "settings of the peer reach windows, tables and frames" {
    var pair: Pair = undefined;
    try start(&pair, .{});
    defer pair.deinit();
    try pair.begun(1);
    const stream = pair.findStream(1).?;
    pair.connection.sentData(stream, 1000, false);
    try pair.frame(.settings, 0, 0, "\x00\x04\x00\x00\x01\xf4\x00\x05\x00\x00\x80\x00" ++
        "\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x10\x00");
    try pair.expect("writable any > settings ack\n");
    try testing.expectEqual(-500, stream.send.bytes);
    try testing.expectEqual(0, pair.connection.sendableBytes(stream));
    try testing.expectEqual(32_768, pair.connection.peer.frame_bytes_max);
    try testing.expectEqual(0, pair.connection.encoder.size_min);
    try pair.update(1, 600);
    try pair.expect("writable 1\n");
    try testing.expectEqual(100, pair.connection.sendableBytes(stream));
    try pair.update(1, 0x7fffffff);
    try pair.expect("broken 1 window_overflow > rst_stream 1 flow_control_error\n");
}

test "what ends the connection is told by GOAWAY, once" {
    const Case = struct { frames.Type, u31, []const u8, []const u8, []const u8 };
    const zeros = "\x00\x00\x00\x00";
    const one = "\x00\x00\x00\x01";
    for ([_]Case{
        .{ .data, 1, "a", "idle_stream", "protocol_error" },
        .{ .window_update, 1, one, "idle_stream", "protocol_error" },
        .{ .window_update, 1, zeros, "idle_stream", "protocol_error" },
        .{ .window_update, 0, "\x7f\xff\xff\xff", "window_overflow", "flow_control_error" },
        .{ .rst_stream, 1, one, "idle_stream", "protocol_error" },
        .{ .headers, 1, "\xbe", "invalid_field_block", "compression_error" },
        .{ .headers, 2, "\x82", "invalid_stream_id", "protocol_error" },
        .{ .ping, 0, "short", "invalid_frame_length", "frame_size_error" },
        .{ .priority, 5, "four", "invalid_frame_length", "frame_size_error" },
        .{ .priority, 5, "\x00\x00\x00\x05\x00", "idle_stream", "protocol_error" },
    }) |case| {
        var pair: Pair = undefined;
        try start(&pair, .{});
        defer pair.deinit();
        try pair.frame(.priority, 0, 9, "fives");
        try pair.frame(case[0], 4, case[1], case[2]);
        var line: [128]u8 = undefined;
        const form = "failed {s} > goaway {s}\n";
        try pair.expect(try std.fmt.bufPrint(&line, form, .{ case[3], case[4] }));
        try pair.frame(.ping, 0, 0, "12345678");
        try pair.expect(try std.fmt.bufPrint(&line, "failed {s}\n", .{case[3]}));
    }
}

test "a stream's errors reset it, and what still comes on it is ignored" {
    var pair: Pair = undefined;
    try start(&pair, .{ .stream_window = 8 });
    defer pair.deinit();
    try pair.headers(1, false, post ++ "content-length: 3\r\n");
    try pair.frame(.data, 0, 1, "four");
    try pair.frame(.data, 0, 1, "more");
    try pair.headers(1, true, "x: y\r\n");
    try pair.update(1, 5);
    try pair.frame(.rst_stream, 0, 1, "\x00\x00\x00\x08");
    try pair.expect("request 1 POST\nbroken 1 malformed > rst_stream 1 protocol_error\n");
    pair.release(1);
    pair.connection.checkInvariants(&pair);
    try pair.headers(3, false, post);
    try pair.frame(.data, 0, 3, "nine byte");
    try pair.expect("request 3 POST\nbroken 3 window_exceeded > rst_stream 3 flow_control_error\n");
    pair.release(3);
    pair.connection.checkInvariants(&pair);
    try pair.headers(5, false, post ++ "content-length: 3\r\n");
    try pair.frame(.data, 1, 5, "ab");
    try pair.expect("request 5 POST\nbroken 5 malformed > rst_stream 5 protocol_error\n");
    pair.release(5);
    try pair.headers(7, true, get ++ "connection: close\r\n");
    try pair.frame(.data, 0, 7, "late");
    try pair.expect("malformed 7 connection_field > rst_stream 7 protocol_error\n");
    try pair.headers(9, true, get);
    try pair.frame(.data, 0, 9, "behind the end");
    try pair.expect("request 9 GET\nbroken 9 stream_closed > rst_stream 9 stream_closed\n");
    pair.release(9);
    pair.connection.checkInvariants(&pair);
    try testing.expectEqual(0, pair.connection.streams.count);
}

test "frames behind a stream that ended are its client's errors" {
    var pair: Pair = undefined;
    try start(&pair, .{});
    defer pair.deinit();
    try pair.begun(1);
    pair.connection.sentEnd(pair.findStream(1).?);
    try pair.update(1, 5);
    try pair.frame(.data, 0, 1, "a");
    try pair.frame(.data, 0, 1, "b");
    try pair.update(1, 0);
    try pair.frame(.priority, 0, 1, "four");
    try pair.expect(" > rst_stream 1 stream_closed\n > rst_stream 1 frame_size_error\n");
    pair.release(1);
    try pair.begun(3);
    pair.connection.sentEnd(pair.findStream(3).?);
    pair.release(3);
    try pair.headers(3, true, get);
    try pair.expect("failed stream_ended > goaway stream_closed\n");
}

test "a list that is too large is refused with its status, and the next request is understood" {
    var pair: Pair = undefined;
    try start(&pair, .{});
    defer pair.deinit();
    pair.block.limits.list_bytes_max = 200;
    try pair.headers(1, true, get ++ "x-kept: " ++ "v" ** 200 ++ "\r\n");
    try pair.headers(3, true, get);
    try pair.expect("refused 1 head_too_large\nrequest 3 GET\n");
}

test "content that nobody wants any more takes nothing of the connection's window" {
    var pair: Pair = undefined;
    try start(&pair, .{});
    defer pair.deinit();
    pair.consumes = false;
    try pair.headers(1, false, post);
    try pair.frame(.data, 0, 1, "x" ** 16_000);
    // The stream is let go of in the middle of a frame.
    const half = pair.wire.items.len;
    try pair.frame(.data, 8, 1, "\x05" ++ "y" ** 10_000 ++ "\x00" ** 5);
    const whole = try pair.wire.toOwnedSlice();
    defer testing.allocator.free(whole);
    try pair.feed(whole[0 .. half + 5000]);
    var out: [frames.rst_stream_bytes]u8 = undefined;
    pair.connection.resetStream(pair.findStream(1).?, .cancel, &out);
    pair.release(1);
    try pair.feed(whole[half + 5000 ..]);
    pair.connection.checkInvariants(&pair);
    try testing.expectEqual(65_535, pair.connection.receive.open + pair.connection.receive.owed);
    for (0..8) |_| try pair.frame(.data, 0, 1, "z" ** 10_000);
    try pair.expect(" > window_update 36006\n > window_update 40000\n");
    pair.connection.checkInvariants(&pair);
}

test "content behind a reset, in the same frame, is given back once, with its stream" {
    for ([_]bool{ false, true }) |is_late| {
        var pair: Pair = undefined;
        try start(&pair, .{});
        defer pair.deinit();
        try pair.headers(1, false, post);
        try pair.frame(.data, 0, 1, "x" ** 10_000);
        const bytes = try pair.wire.toOwnedSlice();
        defer testing.allocator.free(bytes);
        const cut = bytes.len - 8000;
        try pair.feed(bytes[0..cut]);
        var out: [frames.rst_stream_bytes]u8 = undefined;
        pair.connection.resetStream(pair.findStream(1).?, .cancel, &out);
        try pair.feed(bytes[cut..][0..3000]);
        if (!is_late) pair.release(1);
        try pair.feed(bytes[cut + 3000 ..]);
        if (is_late) pair.release(1);
        pair.connection.checkInvariants(&pair);
        const window = &pair.connection.receive;
        try testing.expectEqual(65_535, window.open + window.owed);
    }
}

test "what is consumed is given back by halves of a window, and windows grow for a fast peer" {
    var pair: Pair = undefined;
    try start(&pair, .{ .stream_window = 1000, .window_max = 3000 });
    defer pair.deinit();
    pair.connection.rtt_ms = 10;
    try pair.headers(1, false, post);
    try pair.frame(.data, 0, 1, "x" ** 499);
    try pair.feed(pair.wire.items);
    pair.wire.clearRetainingCapacity();
    const stream = pair.findStream(1).?;
    var out: [Connection(Pair).updates_bytes_max]u8 = undefined;
    try testing.expectEqual(0, pair.connection.writeUpdates(stream, pair.now_ms, &out));
    var sizes: [4]u31 = undefined;
    for (&sizes) |*size| {
        try pair.frame(.data, 0, 1, ("x" ** 3000)[0 .. stream.receive.size / 2]);
        try pair.feed(pair.wire.items);
        pair.wire.clearRetainingCapacity();
        const len = pair.connection.writeUpdates(stream, pair.now_ms, &out);
        try testing.expectEqual(frames.window_update_bytes, len);
        pair.now_ms += 5;
        size.* = stream.receive.size;
    }
    try testing.expectEqual([4]u31{ 1000, 2000, 3000, 3000 }, sizes);
    pair.connection.checkInvariants(&pair);
}

test "windows of tunnels grow less the more there are" {
    for ([_]u31{ 3000, 2000, 1333 }, 0..) |expected, others| {
        var pair: Pair = undefined;
        const bytes = 4000;
        try start(&pair, .{
            .stream_window = 1000,
            .window_max = 3000,
            .tunnel_window_bytes = bytes,
        });
        defer pair.deinit();
        pair.connection.rtt_ms = 10;
        try pair.headers(1, false, post);
        try pair.headers(3, false, post);
        try pair.headers(5, false, post);
        try pair.feed(pair.wire.items);
        pair.wire.clearRetainingCapacity();
        for (0..others + 1) |n| pair.connection.beginTunnel(pair.findStream(@intCast(2 * n + 1)).?);
        const stream = pair.findStream(1).?;
        for (0..6) |_| {
            try pair.frame(.data, 0, 1, ("x" ** bytes)[0 .. stream.receive.size / 2]);
            try pair.frame(.data, 0, 1, "x");
            try pair.feed(pair.wire.items);
            pair.wire.clearRetainingCapacity();
            var out: [Connection(Pair).updates_bytes_max]u8 = undefined;
            _ = pair.connection.writeUpdates(stream, pair.now_ms, &out);
            pair.now_ms += 5;
        }
        try testing.expectEqual(expected, stream.receive.size);
        pair.connection.checkInvariants(&pair);
    }
}

test "floods end the connection by name: rapid reset, made you reset, pings, settings and others" {
    const Flood = enum {
        rapid_reset,
        made_you_reset,
        ping,
        settings,
        empty_data,
        priority,
        unknown,
    };
    for (std.enums.values(Flood)) |flood| {
        var pair: Pair = undefined;
        try start(&pair, .{});
        defer pair.deinit();
        if (flood == .empty_data) try pair.headers(1, false, post);
        var id: u31 = 1;
        const has_ended = for (0..20_000) |_| {
            switch (flood) {
                .rapid_reset => {
                    try pair.headers(id, true, get);
                    try pair.frame(.rst_stream, 0, id, "\x00\x00\x00\x08");
                },
                .made_you_reset => {
                    try pair.headers(id, true, get);
                    try pair.update(id, 0);
                },
                .ping => try pair.frame(.ping, 0, 0, "12345678"),
                .settings => try pair.frame(.settings, 0, 0, ""),
                .empty_data => try pair.frame(.data, 8, 1, "\x00"),
                .priority => try pair.frame(.priority, 0, 9, "\x00\x00\x00\x01\x00"),
                .unknown => try pair.frame(@enumFromInt(0xbe), 0, 0, ""),
            }
            pair.log.clearRetainingCapacity();
            try pair.feed(pair.wire.items);
            pair.wire.clearRetainingCapacity();
            if (std.mem.indexOf(u8, pair.log.items, "failed excessive_load") != null) break true;
            if (flood == .rapid_reset or flood == .made_you_reset) pair.release(id);
            id += 2;
        } else false;
        try testing.expect(has_ended);
        try testing.expect(std.mem.endsWith(u8, pair.log.items, "goaway enhance_your_calm\n"));
    }
}

test "resets do not make room for more work than there may be at a time" {
    var pair: Pair = undefined;
    try start(&pair, .{ .streams_max = 2 });
    defer pair.deinit();
    for ([_]u31{ 1, 3 }) |id| {
        try pair.headers(id, true, get);
        try pair.frame(.rst_stream, 0, id, "\x00\x00\x00\x08");
    }
    try pair.headers(5, true, get);
    try pair.expect("request 1 GET\nreset 1 cancel\nrequest 3 GET\nreset 3 cancel\n" ++
        " > rst_stream 5 refused_stream\n");
}

test "a farewell is announced, then final; streams behind it are ignored" {
    var pair: Pair = undefined;
    try start(&pair, .{});
    defer pair.deinit();
    try pair.begun(1);
    var out: [frames.goaway_bytes]u8 = undefined;
    pair.connection.goAway(.announced, .no_error, &out);
    try testing.expectEqualSlices(u8, "\x7f\xff\xff\xff\x00\x00\x00\x00", out[9..]);
    try pair.begun(3);
    pair.connection.goAway(.final, .no_error, &out);
    try testing.expectEqualSlices(u8, "\x00\x00\x00\x03\x00\x00\x00\x00", out[9..]);
    try pair.headers(5, false, post);
    try pair.frame(.data, 0, 5, "late");
    try pair.update(5, 1);
    try pair.update(3, 1);
    try pair.expect("writable 3\n");
    pair.connection.checkInvariants(&pair);
}

test "a round trip is measured by a PING, which one that nobody waits for is not" {
    var pair: Pair = undefined;
    try start(&pair, .{});
    defer pair.deinit();
    var out: [frames.ping_bytes]u8 = undefined;
    try testing.expect(pair.connection.ping(pair.now_ms, &out) != null);
    try testing.expectEqual(null, pair.connection.ping(pair.now_ms, &out));
    pair.now_ms += 37;
    try pair.frame(.ping, 1, 0, "notasked");
    try pair.frame(.ping, 1, 0, out[frames.header_bytes..]);
    try pair.expect("pong\n");
    try testing.expectEqual(37, pair.connection.rtt_ms);
    // One that takes no tick of the clock is known as well: windows grow by it.
    try testing.expect(pair.connection.ping(pair.now_ms, &out) != null);
    try pair.frame(.ping, 1, 0, out[frames.header_bytes..]);
    try pair.expect("pong\n");
    try testing.expectEqual(1, pair.connection.rtt_ms);
}

test "a field block in pieces takes memory, and priorities reach their streams" {
    var pair: Pair = undefined;
    try start(&pair, .{});
    defer pair.deinit();
    try pair.frame(.headers, 1, 1, "\x82\x87");
    try pair.frame(.continuation, 0, 1, "\x84");
    try pair.frame(.continuation, 4, 1, "\x01\x01a");
    try pair.frame(.priority_update, 0, 0, "\x00\x00\x00\x01u=1, i");
    try pair.frame(.priority_update, 0, 0, "\x00\x00\x00\x09u=1, i");
    try pair.frame(.goaway, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x00");
    try pair.expect("request 1 GET\nprioritized 1 1 true\ngoaway no_error\n");
}

test "a priority that came ahead of its stream counts, and goes before the request's field" {
    var pair: Pair = undefined;
    try start(&pair, .{});
    defer pair.deinit();
    try pair.frame(.priority_update, 0, 0, "\x00\x00\x00\x05u=1");
    try pair.frame(.priority_update, 0, 0, "\x00\x00\x00\x05u=2");
    try pair.headers(1, true, get ++ "priority: u=6\r\n");
    try pair.headers(5, true, get ++ "priority: u=6\r\n");
    try pair.frame(.priority_update, 0, 0, "\x00\x00\x00\x03u=0"); // it will not begin any more
    try pair.headers(7, true, get);
    try pair.expect("request 1 GET urgency 6\nrequest 5 GET urgency 2\nrequest 7 GET\n");
}

test "priorities for more streams than may begin end the connection (RFC 9218 §7.1)" {
    var pair: Pair = undefined;
    try start(&pair, .{ .streams_max = 3 });
    defer pair.deinit();
    try pair.begun(1);
    inline for (.{ 3, 5, 3 }) |id|
        try pair.frame(.priority_update, 0, 0, &.{ 0, 0, 0, id, 'u', '=', '1' });
    try pair.expect("");
    try pair.frame(.priority_update, 0, 0, "\x00\x00\x00\x07u=1");
    try pair.expect("failed too_many_prioritized > goaway protocol_error\n");
}

test "a stream that was refused is not ahead any more" {
    var pair: Pair = undefined;
    try start(&pair, .{ .streams_max = 3 });
    defer pair.deinit();
    try pair.begun(1);
    try pair.begun(3);
    try pair.frame(.priority_update, 0, 0, "\x00\x00\x00\x07u=1");
    try pair.begun(5);
    try pair.headers(7, true, get);
    try pair.expect(" > rst_stream 7 refused_stream\n");
    pair.connection.sentEnd(pair.findStream(5).?);
    pair.release(5);
    try pair.frame(.priority_update, 0, 0, "\x00\x00\x00\x09u=1");
    try pair.expect("");
}

test "a priority for a push that nobody has promised ends the connection" {
    var pair: Pair = undefined;
    try start(&pair, .{});
    defer pair.deinit();
    try pair.frame(.priority_update, 0, 0, "\x00\x00\x00\x02u=1");
    try pair.expect("failed idle_stream > goaway protocol_error\n");
}

test "responses are promised where the peer lets them, until it has refused too many" {
    var pair: Pair = undefined;
    try start(&pair, .{});
    defer pair.deinit();
    try testing.expectEqual(5, pair.connection.pushRoom(5));
    try pair.frame(.settings, 0, 0, "\x00\x03\x00\x00\x00\x02");
    try pair.expect("writable any > settings ack\n");
    try testing.expectEqual(2, pair.connection.pushRoom(5));
    try pair.begun(1);
    for (0..8) |i| {
        try testing.expectEqual(2, pair.connection.pushRoom(5));
        pair.slots[7] = @as(Stream, undefined);
        const push = &pair.slots[7].?;
        try testing.expect(pair.connection.promise(push));
        try testing.expectEqual(2 * i + 2, push.id);
        try testing.expectEqual(1, pair.connection.pushRoom(5));
        if (i % 2 == 0) pair.connection.sentHead(push);
        pair.connection.checkInvariants(&pair);
        try pair.update(push.id, 10);
        var name: [4]u8 = undefined;
        std.mem.writeInt(u32, &name, push.id, .big);
        try pair.frame(.priority_update, 0, 0, &name);
        try pair.frame(.rst_stream, 0, push.id, "\x00\x00\x00\x08");
        try pair.update(push.id, 10); // late
        var line: [64]u8 = undefined;
        try pair.expect(try std.fmt.bufPrint(
            &line,
            "writable {0d}\nprioritized {0d} 3 false\nreset {0d} cancel\n",
            .{push.id},
        ));
        pair.release(push.id);
    }
    try testing.expectEqual(0, pair.connection.pushRoom(5));
    // One that is taken makes up for one that was refused.
    pair.connection.pushes_refused -= 1;
    try testing.expectEqual(2, pair.connection.pushRoom(5));
    try pair.frame(.settings, 0, 0, "\x00\x02\x00\x00\x00\x00");
    try pair.expect("writable any > settings ack\n");
    try testing.expectEqual(0, pair.connection.pushRoom(5));
}

test "content on a stream that was promised ends the connection" {
    var pair: Pair = undefined;
    try start(&pair, .{});
    defer pair.deinit();
    pair.slots[0] = @as(Stream, undefined);
    try testing.expect(pair.connection.promise(&pair.slots[0].?));
    try pair.frame(.data, 0, 2, "x");
    try pair.expect("failed content_for_push > goaway protocol_error\n");
}

test "an extended CONNECT is a request where it was offered, else its stream is reset" {
    const connect = ":method: CONNECT\r\n:protocol: websocket\r\n:scheme: https\r\n" ++
        ":path: /\r\n:authority: a\r\n";
    var pair: Pair = undefined;
    try start(&pair, .{ .request = .{ .extended_connect = true } });
    defer pair.deinit();
    try pair.headers(1, false, connect);
    try pair.headers(3, false, get ++ ":protocol: websocket\r\n");
    try pair.headers(5, false, connect ++ "a: b\r\n:protocol: websocket\r\n");
    try pair.expect("request 1 CONNECT\n" ++
        "malformed 3 invalid_protocol > rst_stream 3 protocol_error\n" ++
        "malformed 5 invalid_pseudo_field > rst_stream 5 protocol_error\n");
    var other: Pair = undefined;
    try start(&other, .{});
    defer other.deinit();
    try other.headers(1, false, connect);
    try other.expect("malformed 1 invalid_protocol > rst_stream 1 protocol_error\n");
}

test "a tunnel takes DATA and no fields: those break its stream (RFC 9113 §8.5)" {
    for ([_]bool{ false, true }) |end_stream| {
        var pair: Pair = undefined;
        try start(&pair, .{});
        defer pair.deinit();
        try pair.headers(1, false, post);
        try pair.expect("request 1 POST\n");
        pair.connection.beginTunnel(pair.findStream(1).?);
        try pair.frame(.data, 0, 1, "frames");
        try pair.headers(1, end_stream, "x-sum: 1\r\n");
        try pair.expect("data 1 frames\nbroken 1 malformed > rst_stream 1 protocol_error\n");
    }
}

test "the setting of extended CONNECT is said where it is taken, and nowhere else" {
    for ([_]bool{ false, true }) |is_taken| {
        var pair: Pair = undefined;
        try start(&pair, .{ .request = .{ .extended_connect = is_taken } });
        defer pair.deinit();
        var out: [Connection(Pair).greeting_bytes_max]u8 = undefined;
        _ = pair.connection.greet(&out);
        const header = frames.Header.parse(out[0..frames.header_bytes]);
        const setting = [_]u8{ 0, 8, 0, 0, 0, 1 }; // RFC 8441 §3
        const payload = out[frames.header_bytes..][0..header.len];
        try testing.expectEqual(is_taken, std.mem.indexOf(u8, payload, &setting) != null);
    }
}
