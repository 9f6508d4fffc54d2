//! What a simulated client of HTTP/2 sends, and when: it is written frame by frame to memory, and
//! leaves in pieces. Where the client is to send what is wrong, bytes are changed on their way.

const std = @import("std");
const never = @import("../io/simulated_network.zig").never;
const encoder_file = @import("../http2/hpack/encoder.zig");
const errors = @import("../http2/errors.zig");
const frames = @import("../http2/frames.zig");
const integer = @import("../http2/hpack/integer.zig");
const Client = @import("http2_client.zig").Http2Client;
const Pattern = @import("pattern.zig").Pattern;
const script = @import("http2_script.zig");
const Stream = @import("http2_stream.zig").Stream;
const Talk = @import("talk.zig").Talk;

pub const Sender = struct {
    bytes: std.ArrayListUnmanaged(u8) = .{},
    /// How much of `bytes` has left.
    at: usize = 0,
    /// Bytes that have left.
    total: usize = 0,
    /// Bytes that were written.
    written: usize = 0,
    sends_at: u64 = 0,
    greeted: bool = false,
    is_corrupt: bool = false,
    next: usize = 0,
    next_id: u32 = 1,
    opens_at: u64 = 0,
    noises_at: u64 = 0,

    /// More is written only when there is less of it, bytes.
    const low_bytes = 2_000;

    pub fn isEmpty(self: *const Sender) bool {
        return self.at == self.bytes.items.len;
    }

    // When.

    pub fn wakesAt(self: *const Sender, client: *Client) u64 {
        if (client.half_closed or client.isStalled()) return never;
        if (!client.line.canSend()) return never;
        if (!self.isEmpty()) return self.sends_at;
        return @max(self.dueAt(client), self.sends_at);
    }

    /// When there is something to write.
    fn dueAt(self: *const Sender, client: *Client) u64 {
        if (!self.greeted) return 0;
        var at: u64 = never;
        for (client.streams) |*stream| {
            if (!stream.isLive()) continue;
            at = @min(at, stream.cancels_at orelse never);
            if (missing(client, stream) > 0) return 0;
            if (canSendContent(client, stream)) return 0;
            if (stream.waitsForContinue()) if (stream.continue_since) |since| {
                if (client.manner.continue_patience_ms) |patience| at = @min(at, since + patience);
            };
            // What is not wanted any more.
            if (stream.answered and stream.ask.withholds) return 0;
        }
        if (missingOfConnection(client) > 0) return 0;
        if (self.mayOpen(client)) at = @min(at, self.opens_at);
        if (client.ways.noises > 0 and self.mayMakeNoise(client)) at = @min(at, self.noises_at);
        return at;
    }

    fn mayMakeNoise(_: *const Sender, client: *Client) bool {
        return client.isLive() and client.farewell == .none;
    }

    fn mayOpen(self: *const Sender, client: *Client) bool {
        if (self.next == client.asked or client.farewell != .none) return false;
        if (client.streams[self.next].talk != null and !client.peer_connects) return false;
        var count: u32 = 0;
        var sending: u32 = 0;
        for (client.streams) |*stream| if (stream.isLive() and !stream.isPush()) {
            count += 1;
            if (!stream.ended and stream.talk == null) sending += 1;
        };
        const most = if (client.manner.lockstep) 1 else client.ways.streams_max;
        return count < @min(most, client.peer_streams_max) and sending < 3;
    }

    fn canSendContent(client: *const Client, stream: *const Stream) bool {
        if (!stream.hasContent()) return false;
        const has_window = @min(client.send_window, stream.send_window) > 0;
        if (stream.talk) |talk| {
            if (stream.head.?.status != 200) return true; // the end is to be sent
            if (talk.pending().len > 0) return has_window;
            return talk.wantsToSay() or talk.isOver();
        }
        if (stream.sent == stream.ask.content.?) return true; // the end is to be sent
        return has_window;
    }

    /// What a stream's window is to be filled up by, bytes.
    fn missing(client: *const Client, stream: *const Stream) i64 {
        if (stream.answered or hasStalled(client)) return 0;
        const initial: i64 = client.settings.get(client.settings.len - 1).initial_window;
        const left = initial + stream.granted - @as(i64, @intCast(stream.received));
        return lacking(left, client.ways.stream_target);
    }

    fn missingOfConnection(client: *const Client) i64 {
        if (hasStalled(client)) return 0;
        const left = 65_535 + client.granted - @as(i64, @intCast(client.received));
        return lacking(left, client.ways.connection_target);
    }

    fn lacking(left: i64, target: u32) i64 {
        return if (left <= target / 2) target - left else 0;
    }

    fn hasStalled(client: *const Client) bool {
        const after = client.ways.stalls_after orelse return false;
        return client.received >= after;
    }

    // What.

    pub fn step(self: *Sender, client: *Client) !void {
        client.line.pump();
        if (client.half_closed or client.isStalled()) return;
        if (self.bytes.items.len - self.at < low_bytes) try self.write(client);
        const now = client.network.now_ms;
        if (now < self.sends_at or self.isEmpty()) return;
        const rest = self.bytes.items[self.at..];
        const most = client.manner.sendMost(client.random, rest.len);
        const n = client.line.send(rest[0..most]);
        if (n == 0) return;
        self.at += n;
        self.total += n;
        client.progress();
        if (client.manner.send_pause_ms > 0)
            self.sends_at = now + client.random.uintAtMost(u32, client.manner.send_pause_ms);
        if (!self.isEmpty()) return;
        self.bytes.clearRetainingCapacity();
        self.at = 0;
    }

    fn write(self: *Sender, client: *Client) !void {
        const from = self.bytes.items.len;
        if (!self.greeted) try self.greet(client);
        const now = client.network.now_ms;
        for (client.streams) |*stream| if (stream.isLive()) try self.tend(client, stream);
        const more = missingOfConnection(client);
        if (more > 0) {
            client.granted += more;
            try self.windowUpdate(client, 0, @intCast(more));
        }
        if (now >= self.opens_at and self.mayOpen(client)) try self.open(client);
        try self.sendContent(client);
        if (client.ways.noises > 0 and now >= self.noises_at and self.mayMakeNoise(client))
            try self.makeNoise(client);
        self.spoil(client, from);
    }

    fn greet(self: *Sender, client: *Client) !void {
        self.greeted = true;
        try self.bytes.appendSlice(client.arena, frames.preface);
        try self.sendSettings(client, .{
            .initial_window = client.ways.initial_window,
            .table_bytes = client.ways.table_bytes,
            .frame_bytes_max = client.ways.frame_bytes_max,
        });
        self.opens_at = client.network.now_ms;
    }

    fn sendSettings(self: *Sender, client: *Client, settings: Client.Settings) !void {
        client.settings.append(settings) catch unreachable; // few are sent
        var out: [64]u8 = undefined;
        const pushes_max = client.ways.pushes_max;
        const len = frames.writeSettings(&out, &.{
            .{ .id = .header_table_size, .value = settings.table_bytes },
            .{ .id = .enable_push, .value = @intFromBool(pushes_max != null) },
            .{ .id = .max_concurrent_streams, .value = pushes_max orelse 0 },
            .{ .id = .initial_window_size, .value = settings.initial_window },
            .{ .id = .max_frame_size, .value = settings.frame_bytes_max },
        });
        try self.bytes.appendSlice(client.arena, out[0..len]);
    }

    pub fn settingsAck(self: *Sender, client: *Client) !void {
        if (client.half_closed) return;
        try self.bytes.appendSlice(client.arena, &frames.settings_ack);
    }

    pub fn pong(self: *Sender, client: *Client, data: [8]u8) !void {
        if (client.half_closed) return;
        var out: [frames.ping_bytes]u8 = undefined;
        frames.writePing(&out, data, true);
        try self.bytes.appendSlice(client.arena, &out);
    }

    fn windowUpdate(self: *Sender, client: *Client, id: u32, increment: u31) !void {
        var out: [frames.window_update_bytes]u8 = undefined;
        frames.writeWindowUpdate(&out, @intCast(id), increment);
        try self.bytes.appendSlice(client.arena, &out);
    }

    fn reset(self: *Sender, client: *Client, stream: *Stream) !void {
        var out: [frames.rst_stream_bytes]u8 = undefined;
        const code: errors.Code = if (client.random.boolean()) .cancel else .no_error;
        frames.writeRstStream(&out, @intCast(stream.id), code);
        try self.bytes.appendSlice(client.arena, &out);
        stream.phase = .done;
    }

    /// What a stream that is under way needs.
    fn tend(self: *Sender, client: *Client, stream: *Stream) !void {
        const now = client.network.now_ms;
        if (now >= stream.cancels_at orelse never) return self.reset(client, stream);
        if (stream.answered and stream.ask.withholds) return self.reset(client, stream);
        if (stream.waitsForContinue()) {
            const since = stream.continue_since.?;
            if (client.manner.continue_patience_ms) |patience| {
                if (now >= since + patience) stream.continued = true;
            }
        }
        const more = missing(client, stream);
        if (more == 0) return;
        stream.granted += more;
        stream.since_ms = now;
        try self.windowUpdate(client, stream.id, @intCast(more));
    }

    // Requests.

    fn open(self: *Sender, client: *Client) !void {
        const now = client.network.now_ms;
        const stream = &client.streams[self.next];
        self.next += 1;
        const ask = stream.ask;
        stream.id = self.next_id;
        self.next_id += if (client.random.uintLessThan(u8, 5) == 0) 4 else 2;
        stream.phase = .live;
        stream.settings_sent = client.settings.len;
        stream.began_before_settings = !client.settings_seen;
        stream.send_window = client.peer_window;
        stream.since_ms = now;
        if (ask.content == null) stream.ended = true;
        if (ask.expects_continue) stream.continue_since = now;
        if (ask.priority != null and client.random.boolean()) try self.priority(client, stream);
        try self.headers(client, stream);
        if (ask.priority != null and client.random.boolean()) try self.priority(client, stream);
        switch (ask.cancels) {
            .not, .on_head => {},
            .at_once => try self.reset(client, stream),
            .later => stream.cancels_at = now + ask.cancels_after_ms,
        }
        self.opens_at = now;
        if (self.next < client.asked) self.opens_at += client.streams[self.next].ask.rests_ms;
    }

    fn headers(self: *Sender, client: *Client, stream: *Stream) !void {
        const ask = stream.ask;
        var room: [60_000]u8 = undefined;
        var out: encoder_file.Out = .{ .bytes = &room };
        const encoder = &client.encoder;
        encoder.begin(&out);
        encoder.known(&out, .@":method", ask.method);
        const is_https = client.options.secured != ask.is_misdirected;
        encoder.known(&out, .@":scheme", if (is_https) "https" else "http");
        encoder.known(&out, .@":authority", "sim.example");
        encoder.known(&out, .@":path", ask.target);
        if (stream.talk != null) literal(&out, .{ .name = ":protocol", .value = "websocket" });
        var digits: [10]u8 = undefined;
        if (ask.declared) |length| encoder.known(
            &out,
            .@"content-length",
            std.fmt.bufPrint(&digits, "{d}", .{length}) catch unreachable, // it fits
        );
        if (ask.expects_continue) encoder.field(&out, "expect", "100-continue");
        if (ask.trailer) encoder.field(&out, "trailer", "X-Sum");
        for (0..ask.filler) |i| {
            var name: [16]u8 = undefined;
            const text = std.fmt.bufPrint(&name, "x-field-{d}", .{i}) catch
                unreachable; // it fits
            const filler = "v" ** 90;
            encoder.field(&out, text, filler[0..client.random.uintAtMost(usize, filler.len)]);
        }
        for (ask.fields) |field| literal(&out, field);
        try self.block(client, stream, out.written(), stream.ended);
    }

    /// As it is, whatever it is.
    fn literal(out: *encoder_file.Out, field: script.Field) void {
        out.bytes[out.len] = 0;
        out.len += 1;
        for ([_][]const u8{ field.name, field.value }) |text| {
            out.len += integer.encode(out.bytes[out.len..], 7, 0, @intCast(text.len));
            @memcpy(out.bytes[out.len..][0..text.len], text);
            out.len += text.len;
        }
    }

    /// HEADERS and, where the client likes it or has to, CONTINUATION.
    fn block(self: *Sender, client: *Client, stream: *Stream, bytes: []const u8, ends: bool) !void {
        const pieces: usize = if (client.ways.splits) client.random.uintAtMost(usize, 4) else 0;
        const most = @max(1, @min(16_000, if (pieces == 0) bytes.len else bytes.len / pieces));
        var at: usize = 0;
        while (at == 0 or at < bytes.len) {
            const n = @min(bytes.len - at, most);
            const is_last = at + n == bytes.len;
            const is_first = at == 0;
            const pads = is_first and client.ways.pads;
            const padding: u8 = if (pads) client.random.int(u8) else 0;
            const weighs = is_first and client.random.uintLessThan(u8, 8) == 0;
            const extra = @as(usize, if (pads) 1 else 0) + if (weighs) @as(usize, 5) else 0;
            const header: frames.Header = .{
                .len = @intCast(n + extra + padding),
                .type = if (is_first) .headers else .continuation,
                .flags = .{
                    .end_stream = is_first and ends,
                    .end_headers = is_last,
                    .padded = pads,
                    .priority = weighs,
                },
                .stream = @intCast(stream.id),
            };
            try self.frame(client, header);
            if (pads) try self.bytes.append(client.arena, padding);
            if (weighs) try self.bytes.appendSlice(client.arena, &.{ 0, 0, 0, 0, 15 });
            try self.bytes.appendSlice(client.arena, bytes[at..][0..n]);
            try self.bytes.appendNTimes(client.arena, 0, padding);
            at += n;
            if (bytes.len == 0) return;
        }
    }

    fn frame(self: *Sender, client: *Client, header: frames.Header) !void {
        var out: [frames.header_bytes]u8 = undefined;
        header.write(&out);
        try self.bytes.appendSlice(client.arena, &out);
    }

    fn priority(self: *Sender, client: *Client, stream: *Stream) !void {
        const value = stream.ask.priority.?;
        const header: frames.Header = .{
            .len = @intCast(4 + value.len),
            .type = .priority_update,
            .stream = 0,
        };
        try self.frame(client, header);
        var id: [4]u8 = undefined;
        std.mem.writeInt(u32, &id, stream.id, .big);
        try self.bytes.appendSlice(client.arena, &id);
        try self.bytes.appendSlice(client.arena, value);
    }

    // Content.

    fn sendContent(self: *Sender, client: *Client) !void {
        var count: usize = 0;
        for (client.streams) |*stream| {
            if (canSendContent(client, stream)) count += 1;
        }
        if (count == 0) return;
        var chosen = client.random.uintLessThan(usize, count);
        for (client.streams) |*stream| if (canSendContent(client, stream)) {
            if (chosen == 0) return self.sendData(client, stream);
            chosen -= 1;
        };
    }

    fn sendData(self: *Sender, client: *Client, stream: *Stream) !void {
        if (stream.talk) |talk| return self.sendTalk(client, stream, talk);
        const ask = stream.ask;
        const length = ask.content.?;
        const window: u32 = @intCast(@max(0, @min(client.send_window, stream.send_window)));
        const n = @min(length - stream.sent, client.ways.data_bytes_max, window);
        const room = @min(window, frames.frame_bytes_initial) - n;
        const pads = client.ways.pads and room > 0 and client.random.boolean();
        const padding: u8 = if (pads) @intCast(@min(room - 1, client.random.int(u8))) else 0;
        const is_last = stream.sent + n == length;
        // The end may come by itself.
        const ends = is_last and !ask.trailer and (n == 0 or client.random.boolean());
        if (n > 0 or ends) {
            const len: u24 = @intCast(n + padding + @intFromBool(pads));
            try self.frame(client, .{
                .len = len,
                .type = .data,
                .flags = .{ .end_stream = ends, .padded = pads },
                .stream = @intCast(stream.id),
            });
            if (pads) try self.bytes.append(client.arena, padding);
            const pattern = Pattern.of(.request, client.id, ask.number);
            pattern.fill(try self.bytes.addManyAsSlice(client.arena, n), stream.sent);
            try self.bytes.appendNTimes(client.arena, 0, padding);
            stream.sent += n;
            stream.send_window -= len;
            client.send_window -= len;
        } else try self.trailers(client, stream);
        if (ends) stream.ended = true;
        if (stream.ended and stream.answered) stream.phase = .done;
    }

    /// DATA of a WebSocket: frames do not begin where frames do.
    fn sendTalk(self: *Sender, client: *Client, stream: *Stream, talk: *Talk) !void {
        const is_refused = stream.head.?.status != 200;
        if (!is_refused and talk.pending().len < low_bytes and talk.wantsToSay()) try talk.say();
        const rest = if (is_refused) "" else talk.pending();
        const window: usize = @intCast(@max(0, @min(client.send_window, stream.send_window)));
        const n = @min(rest.len, client.ways.data_bytes_max, window, frames.frame_bytes_initial);
        // Behind the last of it the end comes with it, or by itself.
        const is_last = is_refused or (n == rest.len and talk.isOver());
        const ends = is_last and (n == 0 or client.random.boolean());
        if (n == 0 and !ends) return;
        try self.frame(client, .{
            .len = @intCast(n),
            .type = .data,
            .flags = .{ .end_stream = ends },
            .stream = @intCast(stream.id),
        });
        try self.bytes.appendSlice(client.arena, rest[0..n]);
        talk.sent(n);
        stream.sent += @intCast(n);
        stream.send_window -= @intCast(n);
        client.send_window -= @intCast(n);
        if (ends) stream.ended = true;
        if (stream.ended and stream.answered) stream.phase = .done;
    }

    fn trailers(self: *Sender, client: *Client, stream: *Stream) !void {
        var room: [300]u8 = undefined;
        var out: encoder_file.Out = .{ .bytes = &room };
        client.encoder.begin(&out);
        var digits: [10]u8 = undefined;
        const number = std.fmt.bufPrint(&digits, "{d}", .{stream.ask.number}) catch
            unreachable; // it fits
        client.encoder.field(&out, "x-other", "");
        client.encoder.field(&out, "x-sum", number);
        try self.block(client, stream, out.written(), true);
        stream.ended = true;
    }

    // What nothing depends on.

    fn makeNoise(self: *Sender, client: *Client) !void {
        client.ways.noises -= 1;
        self.noises_at = client.network.now_ms +
            client.random.uintAtMost(u64, client.ways.noise_pause_ms);
        switch (client.random.uintLessThan(u8, 5)) {
            0 => {
                var out: [frames.ping_bytes]u8 = undefined;
                var data: [8]u8 = undefined;
                std.mem.writeInt(u64, &data, client.pings_sent, .big);
                client.pings_sent += 1;
                frames.writePing(&out, data, false);
                try self.bytes.appendSlice(client.arena, &out);
            },
            1 => { // PRIORITY, of what was and will be
                const id = client.random.intRangeAtMost(u31, 1, 100) * 2 + 1;
                try self.frame(client, .{ .len = 5, .type = .priority, .stream = id });
                try self.bytes.appendSlice(client.arena, &.{ 0, 0, 0, 0, 15 });
            },
            2 => {
                try self.frame(client, .{ .len = 3, .type = @enumFromInt(0x77), .stream = 1 });
                try self.bytes.appendSlice(client.arena, "abc");
            },
            3 => if (client.ways.settings_change and client.settings.len < 12) {
                var settings = client.settings.get(client.settings.len - 1);
                settings.table_bytes = client.random.uintAtMost(u32, 4096);
                // No window grows beyond what it can be.
                if (client.random.boolean())
                    settings.initial_window = client.random.uintAtMost(u32, 200_000);
                try self.sendSettings(client, settings);
            },
            else => if (client.ways.says_goaway) {
                var out: [frames.goaway_bytes]u8 = undefined;
                frames.writeGoaway(&out, 0, .no_error);
                try self.bytes.appendSlice(client.arena, &out);
            },
        }
    }

    /// Changes bytes behind `from`, where that is to be.
    fn spoil(self: *Sender, client: *Client, from: usize) void {
        const random = client.random;
        for (client.ways.spoils_at) |at| {
            const len = self.bytes.items.len - from;
            if (at < self.written or at >= self.written + len) continue;
            self.is_corrupt = true;
            const byte = &self.bytes.items[from + at - self.written];
            switch (random.uintLessThan(u8, 3)) {
                0 => byte.* = random.int(u8),
                1 => byte.* ^= @as(u8, 1) << random.int(u3),
                else => _ = self.bytes.orderedRemove(from + at - self.written),
            }
        }
        self.written += self.bytes.items.len - from;
    }
};
