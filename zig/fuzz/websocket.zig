//! Invariants of WebSocket's frames: the events do not depend on how the bytes were cut, are those
//! that a second reader finds, and lie in what was given; a connection answers by frames that are
//! right themselves, and ends once.
const std = @import("std");
const connection_file = @import("../websocket/connection.zig");
const decoder_file = @import("../websocket/frame_decoder.zig");
const mutator = @import("mutator.zig");
const rate = @import("../core/rate.zig");
const reference = @import("websocket_reference.zig");
const Notes = reference.Notes;
const require = mutator.require;

/// Frames of both sides; keys of zeros leave text readable to who mutates it.
pub const words = [_][]const u8{
    "\x81\x85\x00\x00\x00\x00Hello",
    "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
    "\x01\x83\x00\x00\x00\x00Hel",
    "\x80\x82\x00\x00\x00\x00lo",
    "\x00\x80\x00\x00\x00\x00",
    "\xc1\x87\x00\x00\x00\x00\xf2\x48\xcd\xc9\xc9\x07\x00",
    "\x41\x81\x00\x00\x00\x00\xf2",
    "\x89\x84\x00\x00\x00\x00ping",
    "\x8a\x80\x00\x00\x00\x00",
    "\x88\x80\x00\x00\x00\x00",
    "\x88\x85\x00\x00\x00\x00\x03\xe8bye",
    "\x82\xfe\x00\x7e\x00\x00\x00\x00",
    "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00",
    "\x81\x88\x00\x00\x00\x00\xe2\x82\xac\xf0\x9f\x98\x80\x41",
    "\xed\x9f\xbf",
    "\xf4\x8f\xbf\xbf",
    "\x81\x05Hello",
    "\x80\x02lo",
    "\x88\x02\x03\xe9",
};

const State = struct {
    notes: Notes = .{},
    message: [64 * 1024]u8 = undefined,
    len: usize = 0,
    is_in_message: bool = false,
    wrong: []const u8 = "",
    has_ended: bool = false,

    fn feed(self: *State, decoder: *decoder_file.Decoder, bytes: []u8) !void {
        var rest = bytes;
        while (!self.has_ended) {
            const step = decoder.next(rest);
            try require(step.consumed <= rest.len);
            const taken = rest[0..step.consumed];
            rest = rest[step.consumed..];
            switch (step.event) {
                .need_more => return require(rest.len == 0),
                .err => |err| {
                    self.wrong = @tagName(err);
                    self.has_ended = true;
                    try require(err.code().maySend());
                    try require(decoder.next(rest).event == .err);
                },
                .data => |data| {
                    try require(mutator.isInside(taken, data.bytes));
                    try require(data.begins == (self.len == 0 and !self.is_in_message));
                    self.is_in_message = !data.ends;
                    @memcpy(self.message[self.len..][0..data.bytes.len], data.bytes);
                    self.len += data.bytes.len;
                    if (!data.ends) continue;
                    self.notes.note(@tagName(data.kind), self.message[0..self.len]);
                    self.len = 0;
                },
                .ping => |payload| self.notes.note("ping", payload),
                .pong => |payload| self.notes.note("pong", payload),
                .close => |close| {
                    var payload: [125]u8 = undefined;
                    var len: usize = 0;
                    if (close.code) |code| {
                        std.mem.writeInt(u16, payload[0..2], @intFromEnum(code), .big);
                        @memcpy(payload[2..][0..close.reason.len], close.reason);
                        len = 2 + close.reason.len;
                    }
                    self.notes.note("close", payload[0..len]);
                    self.has_ended = true;
                    try require(decoder.next(rest).consumed == rest.len);
                },
            }
        }
    }
};

var states: [2]State = .{ .{}, .{} };
var copy: [mutator.Mutator.input_bytes_max]u8 = undefined;

/// Checks one input.
pub fn run(input: []const u8, random: std.Random) !void {
    const options: reference.Options = .{
        .masked = random.uintLessThan(u8, 8) > 0,
        .has_compression = random.boolean(),
        .message_bytes_max = if (random.boolean()) 64 * 1024 else random.uintAtMost(u16, 300),
    };
    var cuts_buffer: [512]usize = undefined;
    const cuts = mutator.cutsOf(input.len, random, &cuts_buffer);
    for (&states, [2][]const usize{ &.{}, cuts }) |*state, own_cuts| {
        state.* = .{};
        var decoder: decoder_file.Decoder = .{
            .limits = .{ .message_bytes_max = @intCast(options.message_bytes_max) },
            .role = if (options.masked) .server else .client,
            .has_compression = options.has_compression,
        };
        const bytes = copy[0..input.len];
        @memcpy(bytes, input);
        var from: usize = 0;
        for (own_cuts) |cut| {
            try state.feed(&decoder, bytes[from..cut]);
            from = cut;
        }
        try state.feed(&decoder, bytes[from..]);
    }
    var expected: Notes = .{};
    const wrong = reference.read(input, options, &expected);
    for (&states) |*state| {
        try require(std.mem.eql(u8, wrong, state.wrong));
        try require(expected.count == state.notes.count);
    }
    const hash = expected.hash.final();
    for (&states) |*state| try require(hash == state.notes.hash.final());
    try runConnection(input, options, cuts, random);
}

/// The same bytes as a connection takes them, which may send a Close of its own at any time.
fn runConnection(
    input: []const u8,
    options: reference.Options,
    cuts: []const usize,
    random: std.Random,
) !void {
    const settings: connection_file.Settings = .{
        .message_bytes_max = @intCast(options.message_bytes_max),
    };
    var keys = connection_file.Connection.Keys.init(@splat(1));
    var now_ms: u64 = 1;
    var connection: connection_file.Connection = .init(
        &settings,
        if (options.masked) null else &keys,
        options.has_compression,
        now_ms,
    );
    var out: connection_file.Out = undefined;
    const bytes = copy[0..input.len];
    @memcpy(bytes, input);
    var from: usize = 0;
    var has_closed = false;
    for (0..cuts.len + 1) |i| {
        const to = if (i < cuts.len) cuts[i] else input.len;
        var rest = bytes[from..to];
        from = to;
        while (true) {
            const step = connection.next(rest, &out, now_ms);
            rest = rest[step.consumed..];
            const had_closed = has_closed;
            if (step.reply.len > 0) try requireFrame(step.reply, &options);
            if (step.reply.len > 0 and step.reply[0] & 0xf == 8) has_closed = true;
            // One Close, and no message once it is sent.
            if (had_closed) try require(step.event != .data);
            if (had_closed and has_closed) try require(step.reply.len == 0 or step.event == .ping);
            if (connection.isClosed()) return require(has_closed);
            if (step.event == .need_more) break;
        }
        try require(rest.len == 0);
        if (!has_closed and random.uintLessThan(u8, 8) == 0) {
            try requireFrame(connection.close(.going_away, "bye", &out, now_ms), &options);
            has_closed = true;
        }
        now_ms += random.uintLessThan(u64, 40_000);
        const deadline = connection.deadlineMs();
        try require(deadline != rate.never);
        switch (connection.onDeadline(&out, now_ms)) {
            .nothing => try require(now_ms < deadline),
            .ping => |frame| try requireFrame(frame, &options),
            .slow, .unheard, .silent, .close_unanswered => return require(connection.isClosed()),
        }
    }
}

/// A frame of the connection's own.
fn requireFrame(bytes: []const u8, options: *const reference.Options) !void {
    const own: reference.Options = .{
        .masked = !options.masked,
        .has_compression = false,
        .message_bytes_max = 0,
    };
    var notes: Notes = .{};
    try require(reference.read(bytes, own, &notes).len == 0);
    try require(notes.count == 1);
}
