//! A simulated client that speaks HTTP/2 by prior knowledge: opens streams, keeps its windows, and
//! knows what each stream, and the connection, have to bring. How it sends: `http2_sender.zig`.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;
const hpack_decoder = @import("../http2/hpack/decoder.zig");
const hpack_encoder = @import("../http2/hpack/encoder.zig");
const table = @import("../http2/hpack/table.zig");
const network_file = @import("../io/simulated_network.zig");
const Network = network_file.Network;
const never = network_file.never;
const client_file = @import("client.zig");
const Manner = client_file.Manner;
const patience_ms = client_file.Client.patience_ms;
const Line = @import("line.zig").Line;
const Options = @import("options.zig").Options;
const Plan = @import("plan.zig").Plan;
const reader_file = @import("http2_reader.zig");
const script = @import("http2_script.zig");
const Sender = @import("http2_sender.zig").Sender;
const stream_file = @import("http2_stream.zig");
const Stream = stream_file.Stream;

pub const Http2Client = struct {
    arena: Allocator,
    id: u32,
    network: *Network,
    options: *const Options,
    manner: Manner,
    ways: script.Ways,
    /// What is asked for, and behind it what has been pushed.
    streams: []Stream,
    /// Room for all that may be.
    stream_room: []Stream,
    /// How many are asked for.
    asked: usize,
    /// Nothing was to keep it from its answers.
    strict: bool,
    start_at: u64,
    random: std.Random,
    line: Line,
    phase: client_file.Client.Phase = .coming,
    sender: Sender = .{},
    reader: reader_file.Reader = .{},
    decoder: hpack_decoder.Decoder = undefined,
    encoder: hpack_encoder.Encoder = undefined,
    /// A field block in pieces.
    block: std.ArrayListUnmanaged(u8) = .{},
    block_stream: u32 = 0,
    block_ends_stream: bool = false,
    /// The stream that the block promises; 0: it is no promise.
    block_promised: u32 = 0,
    promised_last: u32 = 0,
    /// Of the server's SETTINGS.
    settings_seen: bool = false,
    peer_streams_max: u32 = 100,
    /// Streams may be asked to become WebSockets.
    peer_connects: bool = false,
    peer_window: u31 = 65_535,
    send_window: i64 = 65_535,
    /// Ours, in the order in which they were sent; so many were acknowledged.
    settings: std.BoundedArray(Settings, 16) = .{},
    settings_acked: usize = 0,
    /// Of the connection's window, by WINDOW_UPDATE, bytes.
    granted: i64 = 0,
    received: u64 = 0,
    pings_sent: u32 = 0,
    pings_answered: u32 = 0,
    /// The last stream that is served, as GOAWAY says.
    goaway_last: ?u32 = null,
    farewell: enum { none, announced, final } = .none,
    half_closed: bool = false,
    given_up: bool = false,
    reads_at: u64 = 0,
    closes_at: u64 = never,
    last_progress_ms: u64 = 0,
    /// When a stream was last under way.
    busy_ms: u64 = 0,
    responses: u32 = 0,

    pub const Settings = struct { initial_window: u32, table_bytes: u32, frame_bytes_max: u32 };

    const table_memory_bytes = table.memoryBytes(hpack_decoder.table_bytes_initial);
    const encoder_table_bytes = 4096;

    /// `self` is filled in but for what follows from the arena.
    pub fn prepare(self: *Http2Client) !void {
        const alignment = table.alignment;
        const decoding = try self.arena.alignedAlloc(u8, alignment, table_memory_bytes);
        @memset(decoding, 0);
        self.decoder = .init(decoding, hpack_decoder.table_bytes_initial);
        const bytes = hpack_encoder.memoryBytes(encoder_table_bytes);
        const encoding = try self.arena.alignedAlloc(u8, alignment, bytes);
        @memset(encoding, 0);
        self.encoder = .init(encoding, encoder_table_bytes);
    }

    // What the scheduler asks.

    pub fn wakesAt(self: *Http2Client) u64 {
        switch (self.phase) {
            .coming => return self.start_at,
            .ended => return never,
            .talking => {},
        }
        var at = self.closes_at;
        if (!self.stoppedReading() and self.line.canRecv()) at = @min(at, self.reads_at);
        if (self.stoppedReading() and self.line.link.?.server == .closed) at = 0;
        if (self.line.hasRecords() or self.wantsToGiveUp() or self.wantsToFinish()) at = 0;
        return @min(at, self.sender.wakesAt(self));
    }

    pub fn step(self: *Http2Client) !void {
        switch (self.phase) {
            .coming => return self.connect(),
            .ended => return,
            .talking => {},
        }
        if (self.wantsToGiveUp()) return self.giveUp();
        if (self.stoppedReading()) {
            if (self.line.link.?.server == .closed) return self.end();
        } else {
            const is_due = self.network.now_ms >= self.reads_at;
            if (is_due and self.line.canRecv()) try self.read();
        }
        if (self.phase == .talking) try self.sender.step(self);
        if (self.phase != .talking) return;
        self.noteBusy();
        if (self.wantsToFinish()) {
            self.half_closed = true;
            self.line.finish();
        }
        if (self.manner.ending == .close and self.closes_at == never and self.isDone())
            self.closes_at = self.network.now_ms + self.random.uintAtMost(u64, 300);
        if (self.network.now_ms >= self.closes_at) self.end();
    }

    /// Fails when nothing has happened for too long.
    pub fn checkLiveness(self: *Http2Client) void {
        if (self.phase != .talking) return;
        const now = self.network.now_ms;
        const link = self.line.link.?;
        if (link.server == .waiting or link.server == .accepted) {
            self.last_progress_ms = now; // the server's deadlines begin with it
            for (self.streams) |*stream| stream.since_ms = now;
            return;
        }
        const idle_ms = now - self.last_progress_ms;
        if (idle_ms > patience_ms)
            self.fail("nothing has happened for {d} ms: the connection does not end", .{idle_ms});
        if (self.given_up or self.isCorrupt() or self.half_closed or self.manner.creeps) return;
        for (self.streams) |*stream| {
            if (!stream.isLive() or stream.answered or stream.sent > 0) continue;
            const ms = now - stream.since_ms;
            if (ms > 6 * patience_ms)
                self.fail("stream {d}: nothing has happened on it for {d} ms", .{ stream.id, ms });
        }
    }

    /// All stood still for so long: nobody is to blame for it.
    pub fn forgive(self: *Http2Client, stall_ms: u64) void {
        self.last_progress_ms += stall_ms;
        for (self.streams) |*stream| stream.since_ms += stall_ms;
    }

    pub fn fail(self: *const Http2Client, comptime fmt: []const u8, args: anytype) noreturn {
        client_file.Client.failing = self.id;
        std.debug.print("\nHTTP/2, {s}, {any}\n", .{
            if (self.strict) "strict" else "not strict", self.ways,
        });
        for (self.streams) |*stream| if (stream.isLive()) std.debug.print(
            "  stream {d}: {s} {s}, {d} of {?d} sent, {d} received\n",
            .{
                stream.id,          stream.ask.method, stream.ask.target, stream.sent,
                stream.ask.content, stream.received,
            },
        );
        std.debug.panic("connection {d}: " ++ fmt, .{self.id} ++ args);
    }

    /// What was sent has been changed: little can be said of what comes for it.
    pub fn isCorrupt(self: *const Http2Client) bool {
        return self.sender.is_corrupt;
    }

    /// What a stream's window begins with in the server's eyes, as far as this client knows.
    pub fn initialWindowOf(self: *const Http2Client, stream: *const Stream) i64 {
        const count = @max(stream.settings_sent, self.settings_acked);
        return self.settings.get(count - 1).initial_window;
    }

    pub fn find(self: *Http2Client, id: u32) ?*Stream {
        for (self.streams) |*stream| if (stream.id == id) return stream;
        return null;
    }

    pub fn isLive(self: *const Http2Client) bool {
        for (self.streams) |*stream| if (stream.isLive()) return true;
        return false;
    }

    /// All that was to be asked has been, and is over.
    fn isDone(self: *const Http2Client) bool {
        for (self.streams) |*stream| {
            if (stream.phase == .done) continue;
            if (stream.phase == .coming and self.farewell != .none) continue;
            return false;
        }
        return true;
    }

    fn noteBusy(self: *Http2Client) void {
        if (self.isLive()) self.busy_ms = self.network.now_ms;
    }

    fn connect(self: *Http2Client) void {
        const network = self.network;
        if (!network.isListening()) {
            self.phase = .ended;
            return;
        }
        if (!self.line.connect(self.id)) {
            self.start_at = network.now_ms + 50; // the backlog is full
            return;
        }
        // Updates of windows, and content, of many streams want a share of what there is.
        if (self.line.link.?.up.bytes.len < 2_000) self.strict = false;
        self.phase = .talking;
        self.last_progress_ms = network.now_ms;
        self.busy_ms = network.now_ms;
    }

    fn end(self: *Http2Client) void {
        self.line.close(false);
        self.phase = .ended;
    }

    pub fn progress(self: *Http2Client) void {
        self.last_progress_ms = self.network.now_ms;
    }

    // Giving up.

    fn wantsToGiveUp(self: *const Http2Client) bool {
        return self.manner.giving_up != .not and !self.given_up and
            self.sender.total >= self.manner.giving_up_after;
    }

    fn giveUp(self: *Http2Client) void {
        self.given_up = true;
        self.progress();
        if (self.manner.abandon(&self.line)) self.phase = .ended;
    }

    fn stoppedReading(self: *const Http2Client) bool {
        return self.given_up and self.manner.giving_up == .stop_reading;
    }

    fn wantsToFinish(self: *const Http2Client) bool {
        if (self.manner.ending != .half_close or self.half_closed or !self.sender.isEmpty())
            return false;
        if (!self.sender.greeted or self.isStalled()) return false;
        // A window that is not open any more cannot be opened.
        if (self.strict or self.ways.initial_window < 1 << 20) return self.isDone();
        for (self.streams) |*stream| {
            if (stream.phase == .coming and self.farewell == .none) return false;
            if (stream.isLive() and !stream.ended) return false;
        }
        return true;
    }

    pub fn isStalled(self: *const Http2Client) bool {
        return self.given_up and self.manner.giving_up == .stall;
    }

    // Reading.

    fn read(self: *Http2Client) !void {
        var room: [Line.room_bytes]u8 = undefined;
        const most = self.manner.readMost(self.random);
        const pause_ms = client_file.pauseOf(self.random, self.manner.read_pause_ms);
        self.reads_at = self.network.now_ms + pause_ms;
        switch (self.line.recv(most, &room)) {
            .nothing => {},
            .text => |text| {
                self.progress();
                if (text.len > 0) try self.feed(text);
            },
            .eof => self.onEnd(false),
            .reset => self.onEnd(true),
            .wrong => |what| self.fail("{s}", .{what}),
        }
    }

    fn frameBytesMax(self: *const Http2Client) u32 {
        if (self.isCorrupt()) return std.math.maxInt(u24);
        if (self.settings_acked == 0) return 16_384;
        return self.settings.get(self.settings_acked - 1).frame_bytes_max;
    }

    fn feed(self: *Http2Client, bytes: []const u8) !void {
        var rest = bytes;
        while (self.phase == .talking) {
            const event = self.reader.next(&rest, self.frameBytesMax()) catch |err| {
                // It was not taken for HTTP/2 then.
                if (self.isCorrupt() and !self.settings_seen) return self.end();
                self.fail("a frame is wrong: {s}", .{@errorName(err)});
            };
            switch (event) {
                .more => return,
                .frame => |*frame| try self.take(frame),
                .data_begin => |begin| self.onDataBegin(begin.stream, begin.len),
                .data => |data| if (self.find(data.stream)) |stream|
                    stream.onData(self, data.bytes),
                .data_end => |ended| if (ended.end_stream) {
                    if (self.find(ended.stream)) |stream| stream.onEnd(self);
                },
            }
        }
    }

    fn onDataBegin(self: *Http2Client, id: u32, len: u32) void {
        if (!self.settings_seen) self.fail("no SETTINGS ahead of all else", .{});
        if (self.block_stream != 0) self.fail("DATA within a field block", .{});
        self.received += len;
        if (self.isCorrupt()) return;
        const allowed = 65_535 + self.granted;
        if (len > 0 and self.received > allowed) self.fail(
            "{d} bytes have come, and the connection's window let {d} come",
            .{ self.received, allowed },
        );
        self.streamOf(id).onDataBegin(self, len);
    }

    /// The one of a frame; the server has to know of it.
    fn streamOf(self: *Http2Client, id: u32) *Stream {
        const stream = self.find(id) orelse self.fail("a frame on stream {d}, of none", .{id});
        if (stream.reset_by_server) self.fail("a frame on stream {d} behind its reset", .{id});
        if (stream.unserved) self.fail("a frame on stream {d}, which is not served", .{id});
        return stream;
    }

    fn take(self: *Http2Client, frame: *const reader_file.Frame) !void {
        const is_settings = frame.type == .settings and frame.flags == 0;
        if (!self.settings_seen and !is_settings) self.fail("no SETTINGS ahead of all else", .{});
        const in_block = self.block_stream != 0;
        if (in_block != (frame.type == .continuation) or
            (in_block and frame.stream != self.block_stream))
            self.fail("a frame of type {d} breaks a field block", .{@intFromEnum(frame.type)});
        switch (frame.type) {
            .data => unreachable, // it is no frame for the reader
            .headers => {
                self.block.clearRetainingCapacity();
                self.block_stream = frame.stream;
                self.block_ends_stream = frame.flags & reader_file.flag_end_stream != 0;
                self.block_promised = 0;
                try self.takeBlock(frame);
            },
            .continuation => try self.takeBlock(frame),
            .settings => try self.takeSettings(frame),
            .ping => try self.takePing(frame),
            .goaway => self.takeGoaway(frame),
            .rst_stream => {
                const code: stream_file.Code = @enumFromInt(frame.word(0));
                if (self.isCorrupt()) {
                    if (self.find(frame.stream)) |stream| stream.phase = .done;
                } else self.streamOf(frame.stream).onReset(self, code);
            },
            .window_update => self.takeUpdate(frame),
            .push_promise => {
                self.block.clearRetainingCapacity();
                self.block_stream = frame.stream;
                self.block_promised = frame.word(0);
                var fragment = frame.*;
                fragment.payload = frame.payload[4..];
                try self.takeBlock(&fragment);
            },
            .priority => self.fail("a frame that no server sends", .{}),
            _ => self.fail("a frame of type {d}", .{@intFromEnum(frame.type)}),
        }
    }

    fn takeBlock(self: *Http2Client, frame: *const reader_file.Frame) !void {
        try self.block.appendSlice(self.arena, frame.payload);
        if (frame.flags & reader_file.flag_end_headers == 0) return;
        defer self.block_stream = 0;
        var text: [16 * 1024]u8 = undefined;
        var lines: [64]table.Record = undefined;
        var block: hpack_decoder.Block = .{
            .text = &text,
            .lines = &lines,
            .limits = .{ .list_bytes_max = text.len, .read_bytes_max = text.len },
        };
        self.decoder.decode(self.block.items, &block) catch |err| {
            if (self.isCorrupt()) return self.end(); // what it said of tables may have changed
            self.fail("a field block of stream {d}: {s}", .{ frame.stream, @errorName(err) });
        };
        if (self.block_promised != 0) return self.takePromise(&block);
        const head = reader_file.Head.of(&block) catch |err|
            self.fail("stream {d}: a field is wrong: {s}", .{ frame.stream, @errorName(err) });
        if (!self.isCorrupt())
            return self.streamOf(frame.stream).onHeaders(self, head, self.block_ends_stream);
        if (self.find(frame.stream)) |stream|
            stream.onHeaders(self, head, self.block_ends_stream);
    }

    /// A response is promised on the stream of another: that of a plan which says so.
    fn takePromise(self: *Http2Client, block: *const hpack_decoder.Block) !void {
        if (self.isCorrupt()) return;
        const id = self.block_promised;
        const most = self.ways.pushes_max orelse self.fail("a push, which none was to be", .{});
        if (id % 2 != 0 or id <= self.promised_last)
            self.fail("stream {d} is promised behind stream {d}", .{ id, self.promised_last });
        self.promised_last = id;
        const beside = self.streamOf(self.block_stream);
        if (beside.answered or beside.isPush())
            self.fail("stream {d} is promised on stream {d}", .{ id, beside.id });
        var live: u32 = 0;
        for (self.streams) |*stream| live += @intFromBool(stream.isPush() and stream.isLive());
        if (live >= most) self.fail("{d} pushes at a time, where {d} may be", .{ live + 1, most });
        const ask = try self.arena.create(script.Ask);
        ask.* = try self.promisedAsk(beside, block);
        if (self.streams.len == self.stream_room.len) self.fail("too many pushes", .{});
        self.streams = self.stream_room[0 .. self.streams.len + 1];
        const stream = &self.streams[self.streams.len - 1];
        stream.* = .{
            .ask = ask,
            .id = id,
            .phase = .live,
            .settings_sent = self.settings_acked,
            .ended = true,
            .since_ms = self.network.now_ms,
        };
        const in = self.ways.push_cancels_in;
        if (in > 0 and self.random.uintLessThan(u8, in) == 0)
            stream.cancels_at = self.network.now_ms + self.random.uintAtMost(u64, 300);
        self.network.note(self.line.link.?, "client reads a promise", id, beside.id);
    }

    fn promisedAsk(
        self: *Http2Client,
        beside: *const Stream,
        block: *const hpack_decoder.Block,
    ) !script.Ask {
        const wanted = [_]script.Field{
            .{ .name = ":method", .value = "GET" },
            .{ .name = ":scheme", .value = if (self.options.secured) "https" else "http" },
            .{ .name = ":authority", .value = "sim.example" },
        };
        var each = block.fields();
        for (wanted) |field| {
            const told = each.next() orelse self.fail("a promise without {s}", .{field.name});
            const is_right = std.mem.eql(u8, told.text, field.name) and
                std.mem.eql(u8, told.value, field.value);
            if (!is_right)
                self.fail("a promise with {s} {s}", .{ told.text, told.value });
        }
        const path = each.next() orelse self.fail("a promise without a path", .{});
        const plan = Plan.parse(path.value, "") orelse
            self.fail("a promise of {s}", .{path.value});
        const is_planned = beside.ask.expected == .answer and planned: {
            const own = beside.ask.expected.answer;
            for (0..own.pushCount()) |index| {
                if (std.meta.eql(own.pushed(@intCast(index)), plan)) break :planned true;
            }
            break :planned false;
        };
        if (!is_planned) self.fail("stream {d}: a promise of {s}", .{ beside.id, path.value });
        return .{
            .method = "GET",
            .target = try self.arena.dupe(u8, path.value),
            .number = plan.number,
            .expected = .{ .answer = plan },
        };
    }

    fn takeSettings(self: *Http2Client, frame: *const reader_file.Frame) !void {
        if (frame.flags & reader_file.flag_ack != 0) {
            if (self.settings_acked == self.settings.len) {
                if (self.isCorrupt()) return;
                self.fail("SETTINGS are acknowledged that were not sent", .{});
            }
            self.settings_acked += 1;
            const acked = self.settings.get(self.settings_acked - 1);
            self.decoder.setLimit(acked.table_bytes);
            return;
        }
        if (self.settings_seen) self.fail("SETTINGS have come twice", .{});
        self.settings_seen = true;
        var at: usize = 0;
        while (at < frame.payload.len) : (at += 6) {
            const name = std.mem.readInt(u16, frame.payload[at..][0..2], .big);
            const value = std.mem.readInt(u32, frame.payload[at + 2 ..][0..4], .big);
            switch (name) {
                1 => self.encoder.setPeerLimit(value),
                3 => self.peer_streams_max = value,
                4 => {
                    const delta = @as(i64, value) - self.peer_window;
                    self.peer_window = @intCast(value);
                    for (self.streams) |*stream| if (stream.isLive()) {
                        stream.send_window += delta;
                    };
                },
                5, 6, 9 => {},
                8 => { // extended CONNECT (RFC 8441 §3)
                    if (value != 1) self.fail("SETTINGS_ENABLE_CONNECT_PROTOCOL {d}", .{value});
                    self.peer_connects = true;
                },
                else => self.fail("setting {d}", .{name}),
            }
        }
        try self.sender.settingsAck(self);
    }

    fn takePing(self: *Http2Client, frame: *const reader_file.Frame) !void {
        if (frame.flags & reader_file.flag_ack == 0)
            return self.sender.pong(self, frame.payload[0..8].*);
        if (self.isCorrupt()) return;
        const number = std.mem.readInt(u64, frame.payload[0..8], .big);
        if (self.pings_answered == self.pings_sent or number != self.pings_answered)
            self.fail("PING {d} is answered in place of {d}", .{ number, self.pings_answered });
        self.pings_answered += 1;
    }

    fn takeUpdate(self: *Http2Client, frame: *const reader_file.Frame) void {
        const increment = frame.word(0);
        if (increment == 0 or increment > std.math.maxInt(u31))
            self.fail("WINDOW_UPDATE by {d}", .{increment});
        const window = if (frame.stream == 0)
            &self.send_window
        else if (self.isCorrupt())
            &(self.find(frame.stream) orelse return).send_window
        else
            &self.streamOf(frame.stream).send_window;
        window.* += increment;
        if (window.* > std.math.maxInt(u31)) self.fail("a window overflows", .{});
    }

    fn takeGoaway(self: *Http2Client, frame: *const reader_file.Frame) void {
        const last = frame.word(0);
        const code: stream_file.Code = @enumFromInt(frame.word(4));
        self.line.note("client reads GOAWAY", frame.word(4), last);
        if (self.goaway_last) |before| if (last > before)
            self.fail("GOAWAY names stream {d} behind stream {d}", .{ last, before });
        const is_first = self.goaway_last == null;
        self.goaway_last = last;
        self.farewell = if (last == std.math.maxInt(u31)) .announced else .final;
        if (self.isCorrupt()) return;
        if (self.farewell == .final) self.checkLast(last);
        switch (code) {
            .no_error => if (self.strict and is_first and !self.isDone()) self.checkIdle(),
            .enhance_your_calm, .protocol_error => if (self.strict)
                self.fail("GOAWAY with {d}", .{@intFromEnum(code)}),
            else => self.fail("GOAWAY with {d}", .{@intFromEnum(code)}),
        }
    }

    /// What is told to be the last that is served: one that was begun, and none behind it was.
    fn checkLast(self: *Http2Client, last: u32) void {
        if (last != 0 and self.find(last) == null)
            self.fail("GOAWAY names stream {d}, of none", .{last});
        for (self.streams) |*stream| {
            if (stream.id <= last or stream.isPush()) continue;
            if (stream.head != null or stream.reset_by_server)
                self.fail("GOAWAY names stream {d}, and {d} was served", .{ last, stream.id });
            if (stream.isLive()) {
                stream.phase = .done;
                stream.unserved = true;
            }
        }
    }

    /// A client that has something to ask is sent away only where it took its time.
    fn checkIdle(self: *Http2Client) void {
        const config = &self.options.config;
        const ms = self.network.now_ms - self.busy_ms;
        if (self.isLive() or ms < @min(config.idle_timeout_ms, config.header_timeout_ms) / 2)
            self.fail("GOAWAY {d} ms after a stream was under way", .{ms});
    }

    fn onEnd(self: *Http2Client, reset: bool) void {
        self.line.note("client sees the end", @intFromBool(reset), self.streams.len);
        if (self.strict) {
            if (!reset and !self.reader.isBetween()) self.fail("the end came within a frame", .{});
            for (self.streams) |*stream| if (stream.isLive() and !stream.answered)
                self.fail("the end came in place of the answer on stream {d}", .{stream.id});
            if (self.farewell == .none) self.fail("the end came without GOAWAY", .{});
        }
        self.end();
    }
};
