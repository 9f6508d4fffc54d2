//! Invariants of HTTP/2's connection: whatever comes, and whatever its owner does meanwhile, both
//! windows add up, streams are counted, replies are well-formed frames, and nothing follows the
//! connection's end.
const std = @import("std");
const Request = @import("../http/request.zig").Request;
const connection_file = @import("../http2/connection.zig");
const Stream = connection_file.Stream;
const frames = @import("../http2/frames.zig");
const hpack_decoder = @import("../http2/hpack/decoder.zig");
const hpack_encoder = @import("../http2/hpack/encoder.zig");
const table_file = @import("../http2/hpack/table.zig");
const mutator = @import("mutator.zig");
const require = mutator.require;

/// An input follows the preface and empty SETTINGS.
pub const words = @import("frames.zig").words;

const capacity = 4096;
const streams_max = 6;

const Owner = struct {
    const Connection = connection_file.Connection(Owner);

    connection: Connection = undefined,
    settings: connection_file.Settings = .{},
    slots: [streams_max]?Stream = @splat(null),
    random: std.Random,
    now_ms: u64 = 1,
    decoder_memory: [table_file.memoryBytes(capacity)]u8 align(table_file.alignment) = undefined,
    encoder_memory: [hpack_encoder.memoryBytes(capacity)]u8 align(table_file.alignment) = undefined,
    text: [8192]u8 = undefined,
    lines: [100]table_file.Record = undefined,
    memory: [2][8192]u8 = undefined,
    turn: u1 = 0,
    req: Request = .{},
    has_ended: bool = false,

    pub fn findStream(self: *Owner, id: frames.StreamId) ?*Stream {
        for (&self.slots) |*slot| if (slot.*) |*stream| if (stream.id == id) return stream;
        return null;
    }

    pub fn nextStream(self: *Owner, after: ?*Stream) ?*Stream {
        var is_behind = after == null;
        for (&self.slots) |*slot| if (slot.*) |*stream| {
            if (is_behind) return stream;
            is_behind = stream == after;
        };
        return null;
    }

    fn feed(self: *Owner, bytes: []const u8) !void {
        var block: hpack_decoder.Block = .{
            .text = &self.text,
            .lines = &self.lines,
            .limits = .{ .list_bytes_max = 4000, .read_bytes_max = 65_536 },
        };
        const scratch: connection_file.Scratch = .{ .block = &block, .req = &self.req };
        var rest = bytes;
        while (true) {
            const step = self.connection.next(self, rest, scratch, self.now_ms);
            try require(step.consumed <= rest.len);
            rest = rest[step.consumed..];
            try self.requireReply(step.reply);
            self.connection.checkInvariants(self);
            switch (step.event) {
                .need_more => return require(rest.len == 0),
                .need_memory => |needed| {
                    self.turn = ~self.turn;
                    _ = self.connection.frames.lend(self.memory[self.turn][0..needed]);
                },
                .failed => {
                    try require(self.has_ended == (step.reply.len == 0));
                    self.has_ended = true;
                    return;
                },
                .request => |of| self.open(of.id, of.end_stream, of.head.content_length),
                .refused => |of| self.open(of.id, of.end_stream, null),
                .data => |data| {
                    try require(data.stream == self.findStream(data.stream.id));
                    const len: u31 = @intCast(data.bytes.len);
                    self.connection.consume(data.stream, self.random.uintAtMost(u31, len));
                },
                .reset => |of| try require(of.stream.isClosed()),
                .broken => |of| try require(of.stream.isClosed() and step.reply.len > 0),
                .malformed => try require(step.reply.len > 0),
                .reply => try require(step.reply.len > 0),
                .trailers, .writable, .prioritized, .goaway, .pong => {},
            }
            self.act();
            self.connection.checkInvariants(self);
        }
    }

    /// Frames that are whole, and that a server may send.
    fn requireReply(_: *const Owner, reply: []const u8) !void {
        var rest = reply;
        while (rest.len > 0) {
            try require(rest.len >= frames.header_bytes);
            const header = frames.Header.parse(rest[0..frames.header_bytes]);
            try require(rest.len >= frames.header_bytes + header.len);
            rest = rest[frames.header_bytes + header.len ..];
            switch (header.type) {
                .settings, .ping, .goaway => try require(header.stream == 0),
                .rst_stream => try require(header.stream != 0),
                .window_update => {},
                else => return error.InvariantBroken,
            }
        }
    }

    fn open(self: *Owner, id: frames.StreamId, end_stream: bool, length: ?u64) void {
        for (&self.slots) |*slot| {
            if (slot.* != null) continue;
            slot.* = @as(Stream, undefined);
            return self.connection.open(&slot.*.?, id, end_stream, length);
        }
        var out: [frames.rst_stream_bytes]u8 = undefined;
        self.connection.refuse(id, &out);
    }

    /// What handlers may do at any time.
    fn act(self: *Owner) void {
        const slot = &self.slots[self.random.uintLessThan(usize, self.slots.len)];
        const stream = if (slot.*) |*own| own else return;
        const connection = &self.connection;
        var out: [64]u8 = undefined;
        if (stream.isClosed()) {
            if (self.random.boolean()) return;
            connection.release(stream);
            slot.* = null;
            _ = connection.writeUpdates(null, self.now_ms, out[0..Connection.updates_bytes_max]);
            return;
        }
        const is_sending = stream.state != .half_closed_local;
        switch (self.random.uintLessThan(u8, 8)) {
            0 => connection.resetStream(stream, .cancel, out[0..frames.rst_stream_bytes]),
            1 => if (is_sending) connection.sentEnd(stream),
            2, 3 => if (is_sending) {
                const bytes = self.random.uintAtMost(u24, connection.sendableBytes(stream));
                connection.sentData(stream, bytes, false);
            },
            4, 5 => {
                const window = &stream.receive;
                var held = window.size - window.open - window.owed;
                if (connection.data.stream == stream.id and connection.data.is_counted)
                    held -= connection.data.left;
                connection.consume(stream, self.random.uintAtMost(u31, held));
                const room = out[0..Connection.updates_bytes_max];
                _ = connection.writeUpdates(stream, self.now_ms, room);
            },
            6 => _ = connection.ping(self.now_ms, out[0..frames.ping_bytes]),
            else => self.now_ms += self.random.uintLessThan(u64, 50),
        }
    }
};

var memory: Owner = undefined;

/// Checks one input.
pub fn run(input: []const u8, random: std.Random) !void {
    const owner = &memory;
    owner.* = .{ .random = random };
    owner.settings = .{
        .streams_max = 1 + random.uintLessThan(u32, streams_max),
        .stream_window = random.uintAtMost(u31, 70_000),
        .connection_window = frames.window_initial + random.uintAtMost(u31, 1000),
        .window_max = 100_000,
        .frame = .{ .block_bytes_max = 8000 },
    };
    const own_bytes = hpack_encoder.memoryBytes(capacity);
    owner.connection = .init(
        &owner.settings,
        .init(&owner.decoder_memory, capacity),
        .init(owner.encoder_memory[0..own_bytes], capacity),
    );
    var greeting: [Owner.Connection.greeting_bytes_max]u8 = undefined;
    const len = owner.connection.greet(&greeting);
    try owner.requireReply(greeting[0..len]);
    try owner.feed(frames.preface ++ "\x00\x00\x00\x04\x00\x00\x00\x00\x00");
    var cuts_buffer: [512]usize = undefined;
    const cuts = mutator.cutsOf(input.len, random, &cuts_buffer);
    var from: usize = 0;
    for (cuts) |cut| {
        try owner.feed(input[from..cut]);
        from = cut;
    }
    try owner.feed(input[from..]);
    try owner.feed("more");
}
