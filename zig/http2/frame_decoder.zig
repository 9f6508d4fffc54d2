//! Decoder of a client's frames (RFC 9113 §4, §6), without I/O: bytes in, cut anywhere, events out.
//! It keeps no more than the frame's header and small payloads. Data pass through as slices of the
//! bytes that were given, and so do field blocks that come in one piece; others are put together in
//! memory that the caller lends, as much as has come of them.
//!
//! It knows what a frame must be by itself. What it may be on its stream is in `streams.zig`.

const std = @import("std");
const assert = std.debug.assert;
const errors = @import("errors.zig");
const frames = @import("frames.zig");
const Header = frames.Header;
const SettingId = frames.SettingId;
const StreamId = frames.StreamId;

pub const Limits = struct {
    /// Our SETTINGS_MAX_FRAME_SIZE, bytes.
    frame_bytes_max: u24 = frames.frame_bytes_initial,
    /// A field block, encoded, bytes.
    block_bytes_max: u32 = 64 * 1024,
    /// CONTINUATION frames of one field block.
    continuations_max: u16 = 32,
    /// Settings in one frame.
    settings_max: u16 = 64,
};

/// What has come. Slices are valid until the next call.
pub const Event = union(enum) {
    /// Nothing more can be told from these bytes, which all have been taken.
    need_more,
    /// A field block is in pieces: memory for at least so many bytes is needed (`lend`). No byte of
    /// what follows has been taken.
    need_memory: usize,
    err: errors.ConnectionError,
    /// A DATA frame begins.
    data_begin: DataBegin,
    /// Some of its content; at least one piece of each frame.
    data: Data,
    headers: Headers,
    rst_stream: Reset,
    settings: Settings,
    settings_ack,
    ping: [8]u8,
    ping_ack: [8]u8,
    goaway: struct { last: StreamId, code: errors.Code },
    /// On stream 0 it is the connection's.
    window_update: WindowUpdate,
    /// RFC 7540's, which means nothing any more.
    priority: StreamId,
    priority_update: struct { stream: StreamId, value: []const u8 },
    /// A frame of a type that is not known; it is skipped.
    unknown,
    stream_error: struct { stream: StreamId, err: errors.StreamError },

    pub const Reset = struct { stream: StreamId, code: errors.Code };

    pub const WindowUpdate = struct { stream: StreamId, increment: u31 };

    pub const DataBegin = struct {
        stream: StreamId,
        /// What it takes of both windows, bytes (§6.9.1).
        window_bytes: u24,
        /// As much of that is padding, which nobody will consume.
        padding_bytes: u16,
        end_stream: bool,
    };

    pub const Data = struct {
        stream: StreamId,
        bytes: []const u8,
        /// Nothing of the frame follows.
        ends_frame: bool,
        /// Nor of the stream.
        end_stream: bool,
    };

    pub const Headers = struct {
        stream: StreamId,
        /// The whole field block, encoded.
        block: []const u8,
        end_stream: bool,
        /// CONTINUATION frames that it took.
        continuations: u16,
        /// The stream is made to depend on itself: a stream error, once the block is decoded (RFC
        /// 7540 §5.3.1).
        self_dependent: bool,
    };
};

/// A SETTINGS frame: what it says of each setting last; null: nothing.
pub const Settings = struct {
    header_table_size: ?u32 = null,
    /// The smallest that it says: HPACK's encoder must go down to it (RFC 7541 §4.2).
    header_table_size_min: u32 = 0,
    enable_push: ?bool = null,
    max_concurrent_streams: ?u32 = null,
    initial_window_size: ?u31 = null,
    max_frame_size: ?u24 = null,
    max_header_list_size: ?u32 = null,
    no_rfc7540_priorities: ?bool = null,
};

pub const Step = struct {
    /// Bytes that were taken.
    consumed: usize,
    event: Event,
};

const State = enum {
    preface,
    header,
    /// What stands in front of the payload: the padding's length, a priority.
    prefix,
    data,
    block,
    /// A payload of a fixed length.
    fixed,
    settings,
    priority_update,
    skip,
    failed,
};

pub const Decoder = struct {
    limits: Limits = .{},
    state: State = .preface,
    /// The frame that is being read.
    frame: Header = .{ .len = 0, .type = .data, .stream = 0 },
    /// Of its payload, without padding, bytes.
    left: u32 = 0,
    padding: u8 = 0,
    /// A part of what has to be whole.
    kept: [64]u8 = undefined,
    kept_len: u8 = 0,
    /// The peer's settings have come.
    has_settings: bool = false,
    settings: Settings = .{},
    /// The stream whose field block is being read; 0: none.
    block_stream: StreamId = 0,
    block_ends_stream: bool = false,
    block_self_dependent: bool = false,
    continuations: u16 = 0,
    /// Of the block so far, in `memory`, bytes.
    block_len: u32 = 0,
    memory: []u8 = &.{},
    failure: errors.ConnectionError = undefined,

    /// The next event of `bytes`, which follow those that were taken. To be called until it answers
    /// `need_more`, also when no bytes are left.
    pub fn next(self: *Decoder, bytes: []const u8) Step {
        var step: Step = .{ .consumed = 0, .event = .need_more };
        while (true) {
            const rest = bytes[step.consumed..];
            const read = switch (self.state) {
                .header => self.readHeader(rest, &step.event),
                .data => self.readData(rest, &step.event),
                .block => self.readBlock(rest, &step.event),
                .prefix => self.readPrefix(rest, &step.event),
                .fixed => self.readFixed(rest, &step.event),
                .settings => self.readSettings(rest, &step.event),
                .priority_update => self.readPriorityUpdate(rest, &step.event),
                .skip => self.skip(rest),
                .preface => self.readPreface(rest, &step.event),
                .failed => self.fail(self.failure, &step.event),
            };
            step.consumed += read.consumed;
            if (read.then == .go_on) continue;
            assert(step.event != .need_more or step.consumed == bytes.len);
            return step;
        }
    }

    /// Gives memory for a field block, more than there was before, which is returned.
    pub fn lend(self: *Decoder, memory: []u8) []u8 {
        const before = self.memory;
        assert(memory.len > before.len);
        @memcpy(memory[0..self.block_len], before[0..self.block_len]);
        self.memory = memory;
        return before;
    }

    /// Gives the memory back, between two field blocks or when the connection ends.
    pub fn takeBack(self: *Decoder) []u8 {
        const memory = self.memory;
        self.memory = &.{};
        self.block_len = 0;
        return memory;
    }

    /// Whether a field block has begun and not ended.
    pub fn isInBlock(self: *const Decoder) bool {
        return self.block_stream != 0;
    }

    /// What a reader did: how much it took, and whether an event came of it or the next reader is
    /// to be asked. The event is `need_more` unless a reader has set it.
    const Read = struct {
        consumed: usize,
        then: enum { tell, go_on },

        fn tell(consumed: usize) Read {
            return .{ .consumed = consumed, .then = .tell };
        }

        fn goOn(consumed: usize) Read {
            return .{ .consumed = consumed, .then = .go_on };
        }
    };

    fn fail(self: *Decoder, err: errors.ConnectionError, out: *Event) Read {
        @branchHint(.cold);
        self.state = .failed;
        self.failure = err;
        out.* = .{ .err = err };
        return .tell(0);
    }

    fn streamError(self: *Decoder, consumed: usize, err: errors.StreamError, out: *Event) Read {
        @branchHint(.cold);
        out.* = .{ .stream_error = .{ .stream = self.frame.stream, .err = err } };
        return .tell(consumed);
    }

    /// Brings `len` bytes together, over as many calls as that takes. Null: they are not all there,
    /// and `rest` was kept. Otherwise also how many of `rest` they took.
    inline fn gather(self: *Decoder, rest: []const u8, len: usize) ?struct { []const u8, usize } {
        if (self.kept_len == 0 and rest.len >= len) return .{ rest[0..len], len };
        const taken = @min(rest.len, len - self.kept_len);
        @memcpy(self.kept[self.kept_len..][0..taken], rest[0..taken]);
        self.kept_len += @intCast(taken);
        if (self.kept_len < len) return null;
        self.kept_len = 0;
        return .{ self.kept[0..len], taken };
    }

    fn readPreface(self: *Decoder, rest: []const u8, out: *Event) Read {
        const expected = frames.preface[self.kept_len..];
        const len = @min(rest.len, expected.len);
        if (!std.mem.eql(u8, rest[0..len], expected[0..len]))
            return self.fail(.invalid_preface, out);
        if (len < expected.len) {
            self.kept_len += @intCast(len);
            return .tell(len);
        }
        self.kept_len = 0;
        self.state = .header;
        return .goOn(len);
    }

    fn readHeader(self: *Decoder, rest: []const u8, out: *Event) Read {
        const bytes, const taken = self.gather(rest, frames.header_bytes) orelse
            return .tell(rest.len);
        self.frame = Header.parse(bytes[0..frames.header_bytes]);
        self.left = self.frame.len;
        self.padding = 0;
        if (self.begin()) |err| return self.fail(err, out);
        if (self.state != .skip) return .goOn(taken);
        out.* = .unknown;
        return .tell(taken);
    }

    /// Judges a frame by its header, and decides who reads its payload.
    fn begin(self: *Decoder) ?errors.ConnectionError {
        const frame = &self.frame;
        if (frame.len > self.limits.frame_bytes_max) return .frame_too_large;
        if (!self.has_settings and (frame.type != .settings or frame.flags.end_stream))
            return .settings_missing;
        if (self.block_stream != 0 and
            (frame.type != .continuation or frame.stream != self.block_stream))
            return .field_block_interrupted;
        switch (frame.type) {
            .data => {
                if (frame.stream == 0) return .invalid_stream_id;
                self.state = .prefix;
            },
            .headers => {
                // Clients begin streams of odd numbers (§5.1.1).
                if (frame.stream % 2 == 0) return .invalid_stream_id;
                self.block_stream = frame.stream;
                self.block_ends_stream = frame.flags.end_stream;
                self.block_self_dependent = false;
                self.continuations = 0;
                self.block_len = 0;
                if (frame.len > self.limits.block_bytes_max) return .field_block_too_large;
                const has_prefix = frame.flags.padded or frame.flags.priority;
                self.state = if (has_prefix) .prefix else .block;
            },
            .continuation => {
                if (self.block_stream == 0) return .continuation_without_headers;
                self.continuations += 1;
                if (self.continuations > self.limits.continuations_max)
                    return .too_many_continuations;
                if (self.block_len + frame.len > self.limits.block_bytes_max)
                    return .field_block_too_large;
                self.state = .block;
            },
            .settings => {
                if (frame.stream != 0) return .invalid_stream_id;
                const is_ack = frame.flags.end_stream;
                if (frame.len % frames.setting_bytes != 0 or (is_ack and frame.len > 0))
                    return .invalid_frame_length;
                if (frame.len > self.limits.settings_max * @as(u32, frames.setting_bytes))
                    return .too_many_settings;
                self.settings = .{};
                self.has_settings = true;
                self.state = .settings;
            },
            .ping, .goaway => {
                if (frame.stream != 0) return .invalid_stream_id;
                const is_goaway = frame.type == .goaway;
                if (frame.len < 8 or (frame.len > 8 and !is_goaway)) return .invalid_frame_length;
                self.state = .fixed;
            },
            .rst_stream, .priority => {
                if (frame.stream == 0) return .invalid_stream_id;
                if (frame.type == .rst_stream and frame.len != 4) return .invalid_frame_length;
                self.state = .fixed;
            },
            .window_update => {
                if (frame.len != 4) return .invalid_frame_length;
                self.state = .fixed;
            },
            .priority_update => {
                if (frame.stream != 0) return .invalid_stream_id;
                if (frame.len < 4) return .invalid_frame_length;
                self.state = .priority_update;
            },
            .push_promise => return .push_from_client,
            _ => self.state = .skip,
        }
        return null;
    }

    fn readPrefix(self: *Decoder, rest: []const u8, out: *Event) Read {
        const flags = self.frame.flags;
        const is_headers = self.frame.type == .headers;
        const has_priority = flags.priority and is_headers;
        const len = @as(u32, @intFromBool(flags.padded)) + @as(u32, if (has_priority) 5 else 0);
        if (len > self.left) return self.fail(.invalid_frame_length, out);
        const bytes, const taken = self.gather(rest, len) orelse return .tell(rest.len);
        self.left -= len;
        if (flags.padded) {
            self.padding = bytes[0];
            if (self.padding > self.left) return self.fail(.invalid_padding, out);
            self.left -= self.padding;
        }
        if (has_priority) {
            const dependency: StreamId =
                @truncate(std.mem.readInt(u32, bytes[len - 5 ..][0..4], .big));
            self.block_self_dependent = dependency == self.frame.stream;
        }
        self.state = if (is_headers) .block else .data;
        if (is_headers) return .goOn(taken);
        out.* = .{ .data_begin = .{
            .stream = self.frame.stream,
            .window_bytes = self.frame.len,
            .padding_bytes = if (flags.padded) 1 + @as(u16, self.padding) else 0,
            .end_stream = flags.end_stream,
        } };
        return .tell(taken);
    }

    /// The payload is over; padding may follow.
    inline fn endPayload(self: *Decoder) void {
        self.state = if (self.padding == 0) .header else .skip;
        self.left = self.padding;
    }

    fn readData(self: *Decoder, rest: []const u8, out: *Event) Read {
        const len: u32 = @intCast(@min(rest.len, self.left));
        if (len == 0 and self.left > 0) return .tell(0);
        self.left -= len;
        const ends_frame = self.left == 0;
        if (ends_frame) self.endPayload();
        out.* = .{ .data = .{
            .stream = self.frame.stream,
            .bytes = rest[0..len],
            .ends_frame = ends_frame,
            .end_stream = ends_frame and self.frame.flags.end_stream,
        } };
        return .tell(len);
    }

    fn readBlock(self: *Decoder, rest: []const u8, out: *Event) Read {
        const ends_block = self.frame.flags.end_headers;
        if (ends_block and self.block_len == 0 and rest.len >= self.left) {
            const block = rest[0..self.left];
            self.endBlock(block, out);
            return .tell(block.len);
        }
        const len: u32 = @intCast(@min(rest.len, self.left));
        const needed = self.block_len + len;
        if (needed > self.memory.len) {
            out.* = .{ .need_memory = needed };
            return .tell(0);
        }
        @memcpy(self.memory[self.block_len..][0..len], rest[0..len]);
        self.block_len = needed;
        self.left -= len;
        if (self.left > 0) return .tell(len);
        if (!ends_block) {
            self.endPayload();
            return .goOn(len);
        }
        self.endBlock(self.memory[0..needed], out);
        return .tell(len);
    }

    fn endBlock(self: *Decoder, block: []const u8, out: *Event) void {
        const stream = self.block_stream;
        self.block_stream = 0;
        self.block_len = 0;
        self.endPayload();
        out.* = .{ .headers = .{
            .stream = stream,
            .block = block,
            .end_stream = self.block_ends_stream,
            .continuations = self.continuations,
            .self_dependent = self.block_self_dependent,
        } };
    }

    fn readFixed(self: *Decoder, rest: []const u8, out: *Event) Read {
        if (self.frame.type == .priority and self.frame.len != 5) {
            self.state = .skip;
            return self.streamError(0, .invalid_priority_length, out);
        }
        const len: u32 = switch (self.frame.type) {
            .ping, .goaway => 8,
            .priority => 5,
            else => 4,
        };
        const bytes, const taken = self.gather(rest, len) orelse return .tell(rest.len);
        self.left -= len;
        self.endPayload();
        const first = std.mem.readInt(u32, bytes[0..4], .big);
        const stream = self.frame.stream;
        switch (self.frame.type) {
            .ping => {
                const data = bytes[0..8].*;
                const is_ack = self.frame.flags.end_stream;
                out.* = if (is_ack) .{ .ping_ack = data } else .{ .ping = data };
            },
            .goaway => {
                // What it says beside that is for people.
                self.left = self.frame.len - len;
                if (self.left > 0) self.state = .skip;
                const code = std.mem.readInt(u32, bytes[4..8], .big);
                out.* = .{ .goaway = .{ .last = @truncate(first), .code = @enumFromInt(code) } };
            },
            .priority => {
                if (@as(StreamId, @truncate(first)) == stream)
                    return self.streamError(taken, .self_dependency, out);
                out.* = .{ .priority = stream };
            },
            .rst_stream => out.* = .{ .rst_stream = .{
                .stream = stream,
                .code = @enumFromInt(first),
            } },
            .window_update => {
                const increment: u31 = @truncate(first);
                if (increment == 0 and stream == 0) return self.fail(.window_update_of_zero, out);
                if (increment == 0) return self.streamError(taken, .window_update_of_zero, out);
                out.* = .{ .window_update = .{ .stream = stream, .increment = increment } };
            },
            else => unreachable, // `begin` sends no others here
        }
        return .tell(taken);
    }

    fn readSettings(self: *Decoder, rest: []const u8, out: *Event) Read {
        var at: usize = 0;
        while (self.left > 0) {
            const bytes, const taken = self.gather(rest[at..], frames.setting_bytes) orelse
                return .tell(rest.len);
            at += taken;
            self.left -= frames.setting_bytes;
            const id = std.mem.readInt(u16, bytes[0..2], .big);
            const value = std.mem.readInt(u32, bytes[2..6], .big);
            if (note(&self.settings, @enumFromInt(id), value)) |err| return self.fail(err, out);
        }
        self.state = .header;
        const is_ack = self.frame.flags.end_stream;
        out.* = if (is_ack) .settings_ack else .{ .settings = self.settings };
        return .tell(at);
    }

    fn readPriorityUpdate(self: *Decoder, rest: []const u8, out: *Event) Read {
        // A longer value has nothing that is known here.
        const len = @min(self.left, self.kept.len);
        const bytes, const taken = self.gather(rest, len) orelse return .tell(rest.len);
        const is_whole = len == self.left;
        self.left -= len;
        self.state = if (is_whole) .header else .skip;
        const stream: StreamId = @truncate(std.mem.readInt(u32, bytes[0..4], .big));
        if (stream == 0) return self.fail(.invalid_stream_id, out); // RFC 9218 §7.1
        out.* = .{ .priority_update = .{
            .stream = stream,
            .value = if (is_whole) bytes[4..] else "",
        } };
        return .tell(taken);
    }

    fn skip(self: *Decoder, rest: []const u8) Read {
        const len: u32 = @intCast(@min(rest.len, self.left));
        self.left -= len;
        if (self.left > 0) return .tell(len);
        self.state = .header;
        return .goOn(len);
    }
};

/// RFC 9113 §6.5.2
fn note(settings: *Settings, id: SettingId, value: u32) ?errors.ConnectionError {
    switch (id) {
        .header_table_size => {
            settings.header_table_size_min = if (settings.header_table_size == null)
                value
            else
                @min(value, settings.header_table_size_min);
            settings.header_table_size = value;
        },
        .enable_push => {
            if (value > 1) return .invalid_setting;
            settings.enable_push = value == 1;
        },
        .max_concurrent_streams => settings.max_concurrent_streams = value,
        .initial_window_size => {
            if (value > frames.window_max) return .invalid_initial_window;
            settings.initial_window_size = @intCast(value);
        },
        .max_frame_size => {
            if (value < frames.frame_bytes_initial or value > frames.frame_bytes_bound)
                return .invalid_setting;
            settings.max_frame_size = @intCast(value);
        },
        .max_header_list_size => settings.max_header_list_size = value,
        // A client's says nothing to a server, but has two values (RFC 8441 §3).
        .enable_connect_protocol => if (value > 1) return .invalid_setting,
        .no_rfc7540_priorities => {
            if (value > 1) return .invalid_setting;
            settings.no_rfc7540_priorities = value == 1;
        },
        _ => {},
    }
    return null;
}

/// What the first bytes of a connection in clear text speak.
pub const Preface = enum { http2, other, need_more };

/// Whether `bytes`, the first of a connection, are HTTP/2's preface (RFC 9113 §3.3).
pub fn detect(bytes: []const u8) Preface {
    const len = @min(bytes.len, frames.preface.len);
    if (!std.mem.eql(u8, bytes[0..len], frames.preface[0..len])) return .other;
    return if (len == frames.preface.len) .http2 else .need_more;
}

test {
    _ = @import("frame_decoder_test.zig");
}
