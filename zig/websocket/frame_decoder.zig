//! Decoder of a peer's frames (RFC 6455 §5), without I/O: bytes in, cut anywhere, events out.
//! Payloads are unmasked where they lie and pass through as slices of the bytes that were given. It
//! keeps no more than a frame's head and the payload of a control frame, where those are cut.
//!
//! What is wrong is told as early as it can be: by the first two bytes of a head, by its length, by
//! the first piece of a text that is no UTF-8.

const std = @import("std");
const assert = std.debug.assert;
const errors = @import("errors.zig");
const frames = @import("frames.zig");
const mask = @import("mask.zig");
const Validator = @import("utf8.zig").Validator;
const Kind = frames.Kind;
const Opcode = frames.Opcode;

pub const Limits = struct {
    /// A message, all its frames together, as they are sent, bytes.
    message_bytes_max: u63 = 16 * 1024 * 1024,
};

/// What has come. Slices are valid until the next call.
pub const Event = union(enum) {
    /// Nothing more can be told from these bytes, which all have been taken.
    need_more,
    err: errors.Error,
    /// A message, or a part of one.
    data: Data,
    ping: []const u8,
    pong: []const u8,
    /// The last event: what follows is taken and dropped.
    close: Close,
};

/// A message that `begins` and `ends` here is whole. Of others there are parts, in their order: as
/// much as has come of a frame.
pub const Data = struct {
    kind: Kind,
    bytes: []u8,
    begins: bool,
    ends: bool,
    /// As RFC 7692 says; its text was not looked at.
    compressed: bool,
    /// The frame ends here, which had so many bytes.
    frame_bytes: ?u63,

    pub fn isWhole(self: *const Data) bool {
        return self.begins and self.ends;
    }
};

pub const Close = struct {
    /// Null: it has none.
    code: ?errors.Code,
    /// UTF-8.
    reason: []const u8,
};

pub const Step = struct {
    /// Bytes that were taken.
    consumed: usize,
    event: Event,
};

const State = enum { head, payload, control, ended, failed };

pub const Decoder = struct {
    limits: Limits = .{},
    /// Whose frames are read are those of the other role.
    role: frames.Role = .server,
    /// RFC 7692 was agreed: RSV1 has a meaning.
    has_compression: bool = false,
    state: State = .head,
    /// The frame that is being read.
    opcode: Opcode = .continuation,
    fin: bool = false,
    /// Its key, turned to what comes next.
    key: ?mask.Key = null,
    frame_bytes: u63 = 0,
    /// What has not come of it, bytes.
    left: u63 = 0,
    /// The message that has begun and not ended.
    kind: ?Kind = null,
    compressed: bool = false,
    /// Something of it was told.
    is_told: bool = false,
    /// Its frames so far, with the announced length of the one that is being read, bytes.
    message_bytes: u63 = 0,
    text: Validator = .{},
    /// A part of what has to be whole.
    kept: [kept_bytes]u8 = undefined,
    kept_len: u8 = 0,
    failure: errors.Error = undefined,

    const kept_bytes = @max(frames.head_bytes_max, frames.control_bytes_max);

    /// The next event of `bytes`, which follow those that were taken. To be called until it answers
    /// `need_more`, also when no bytes are left.
    pub fn next(self: *Decoder, bytes: []u8) Step {
        if (self.shortMessage(bytes)) |step| return step;
        var step: Step = .{ .consumed = 0, .event = .need_more };
        while (true) {
            const rest = bytes[step.consumed..];
            const read = switch (self.state) {
                .head => self.readHead(rest, &step.event),
                .payload => self.readPayload(rest, &step.event),
                .control => self.readControl(rest, &step.event),
                .ended => Read.tell(rest.len),
                .failed => self.fail(self.failure, &step.event),
            };
            step.consumed += read.consumed;
            if (read.then == .go_on) continue;
            assert(step.event != .need_more or step.consumed == bytes.len);
            return step;
        }
    }

    /// A client's message of one short frame that has come whole, as most do: nothing of it has to
    /// be remembered. Null: the bytes are something else, and are as they were.
    inline fn shortMessage(self: *Decoder, bytes: []u8) ?Step {
        const head_bytes = 2 + @sizeOf(mask.Key);
        if (bytes.len < head_bytes) return null;
        if (self.state != .head or self.kept_len > 0 or self.kind != null) return null;
        if (self.role != .server) return null;
        const kind: Kind = switch (bytes[0]) {
            0x81 => .text,
            0x82 => .binary,
            else => return null,
        };
        // Without the bit of masked frames it is too long, too.
        const len = bytes[1] ^ 0x80;
        if (len > short_bytes_max or bytes.len - head_bytes < len) return null;
        if (len > self.limits.message_bytes_max) return null;
        const payload = bytes[head_bytes..][0..len];
        _ = mask.apply(payload, bytes[2..head_bytes].*);
        if (kind == .text) {
            var text: Validator = .{};
            if (!text.take(payload) or !text.isComplete()) {
                var step: Step = .{ .consumed = 0, .event = undefined };
                step.consumed = self.fail(.invalid_utf8, &step.event).consumed;
                return step;
            }
        }
        return .{ .consumed = head_bytes + len, .event = .{ .data = .{
            .kind = kind,
            .bytes = payload,
            .begins = true,
            .ends = true,
            .compressed = false,
            .frame_bytes = len,
        } } };
    }

    /// The longest payload whose length stands in the second byte (§5.2).
    const short_bytes_max = 125;

    /// Whether a message has begun and not ended.
    pub fn isInMessage(self: *const Decoder) bool {
        return self.kind != null;
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

    fn fail(self: *Decoder, err: errors.Error, out: *Event) Read {
        @branchHint(.cold);
        self.state = .failed;
        self.failure = err;
        out.* = .{ .err = err };
        return .tell(0);
    }

    fn keep(self: *Decoder, bytes: []const u8) void {
        @memcpy(self.kept[self.kept_len..][0..bytes.len], bytes);
        self.kept_len += @intCast(bytes.len);
    }

    fn readHead(self: *Decoder, rest: []u8, out: *Event) Read {
        if (self.kept_len == 0 and rest.len >= 2) {
            const len = headBytes(rest[1]);
            if (rest.len >= len) {
                if (self.begin(rest[0..len])) |err| return self.fail(err, out);
                if (self.state != .payload) return .goOn(len);
                // What nearly always follows, without another turn.
                const read = self.readPayload(rest[len..], out);
                return .{ .consumed = len + read.consumed, .then = read.then };
            }
        }
        return self.readCutHead(rest, out);
    }

    /// As `readHead`, of a head that comes in pieces.
    fn readCutHead(self: *Decoder, rest: []const u8, out: *Event) Read {
        @branchHint(.unlikely);
        var at: usize = 0;
        while (true) {
            const want = if (self.kept_len < 2) 2 else headBytes(self.kept[1]);
            const take = @min(want - self.kept_len, rest.len - at);
            self.keep(rest[at..][0..take]);
            at += take;
            if (self.kept_len < want) return .tell(at);
            if (want > 2 or self.kept_len == headBytes(self.kept[1])) break;
            if (self.judge(self.kept[0..2])) |err| return self.fail(err, out);
        }
        const len = self.kept_len;
        self.kept_len = 0;
        if (self.begin(self.kept[0..len])) |err| return self.fail(err, out);
        return .goOn(at);
    }

    /// What a head has, by its second byte, bytes.
    inline fn headBytes(second: u8) u8 {
        const extended: u8 = switch (second & 0x7f) {
            126 => 2,
            127 => 8,
            else => 0,
        };
        return 2 + extended + (second >> 7) * 4;
    }

    /// What can be said of a frame by the first two bytes of its head.
    inline fn judge(self: *const Decoder, head: *const [2]u8) ?errors.Error {
        const opcode: Opcode = @enumFromInt(head[0] & 0xf);
        const fin = head[0] & 0x80 != 0;
        const rsv1 = head[0] & 0x40 != 0;
        if (head[0] & 0x30 != 0 or (rsv1 and !self.has_compression)) return .reserved_bits;
        const is_masked = head[1] & 0x80 != 0;
        if (is_masked != (self.role == .server))
            return if (is_masked) .masked_frame else .unmasked_frame;
        switch (opcode) {
            .text, .binary => if (self.kind != null) return .message_interrupted,
            .continuation => {
                // The bit is the message's, on its first frame (RFC 7692 §6.1).
                if (rsv1) return .reserved_bits;
                if (self.kind == null) return .nothing_to_continue;
            },
            .close, .ping, .pong => {
                if (rsv1) return .reserved_bits;
                if (!fin) return .fragmented_control;
                if (head[1] & 0x7f > frames.control_bytes_max) return .control_too_long;
            },
            _ => return .reserved_opcode,
        }
        return null;
    }

    /// Judges a frame by its whole head, and decides who reads its payload.
    inline fn begin(self: *Decoder, head: []const u8) ?errors.Error {
        if (self.judge(head[0..2])) |err| return err;
        const opcode: Opcode = @enumFromInt(head[0] & 0xf);
        const short: u7 = @truncate(head[1]);
        const len: u64 = switch (short) {
            126 => std.mem.readInt(u16, head[2..4], .big),
            127 => std.mem.readInt(u64, head[2..10], .big),
            else => short,
        };
        if (short == 126 and len <= 125) return .length_not_minimal;
        if (short == 127 and len <= 0xffff) return .length_not_minimal;
        if (len > std.math.maxInt(u63)) return .length_too_large;
        self.opcode = opcode;
        self.fin = head[0] & 0x80 != 0;
        self.frame_bytes = @intCast(len);
        self.left = self.frame_bytes;
        self.key = if (head[1] & 0x80 != 0) head[head.len - 4 ..][0..4].* else null;
        if (opcode.isControl()) {
            self.state = .control;
            return null;
        }
        if (opcode != .continuation) {
            self.kind = if (opcode == .text) .text else .binary;
            self.compressed = head[0] & 0x40 != 0;
            self.is_told = false;
            self.message_bytes = 0;
            self.text = .{};
        }
        if (len > self.limits.message_bytes_max - self.message_bytes) return .message_too_large;
        self.message_bytes += self.frame_bytes;
        self.state = .payload;
        return null;
    }

    inline fn unmask(self: *Decoder, bytes: []u8) void {
        if (self.key) |key| self.key = mask.apply(bytes, key);
    }

    inline fn readPayload(self: *Decoder, rest: []u8, out: *Event) Read {
        const len: usize = @intCast(@min(rest.len, self.left));
        if (len == 0 and self.left > 0) return .tell(0);
        const bytes = rest[0..len];
        self.unmask(bytes);
        self.left -= @intCast(len);
        const ends_frame = self.left == 0;
        const ends = ends_frame and self.fin;
        const kind = self.kind.?;
        if (kind == .text and !self.compressed) {
            const is_valid = self.text.take(bytes) and (!ends or self.text.isComplete());
            if (!is_valid) return self.fail(.invalid_utf8, out);
        }
        out.* = .{ .data = .{
            .kind = kind,
            .bytes = bytes,
            .begins = !self.is_told,
            .ends = ends,
            .compressed = self.compressed,
            .frame_bytes = if (ends_frame) self.frame_bytes else null,
        } };
        self.is_told = true;
        if (ends_frame) self.state = .head;
        if (ends) self.kind = null;
        return .tell(len);
    }

    fn readControl(self: *Decoder, rest: []u8, out: *Event) Read {
        const len: usize = @intCast(@min(rest.len, self.left));
        self.left -= @intCast(len);
        self.unmask(rest[0..len]);
        const is_whole = self.left == 0 and self.kept_len == 0;
        if (!is_whole) self.keep(rest[0..len]);
        if (self.left > 0) return .tell(len);
        const payload = if (is_whole) rest[0..len] else self.kept[0..self.kept_len];
        self.kept_len = 0;
        self.state = .head;
        switch (self.opcode) {
            .ping => out.* = .{ .ping = payload },
            .pong => out.* = .{ .pong = payload },
            .close => {
                const close = parseClose(payload) catch |err| return self.fail(switch (err) {
                    error.Length => .invalid_close_length,
                    error.Code => .invalid_close_code,
                    error.Reason => .invalid_close_reason,
                }, out);
                self.state = .ended;
                out.* = .{ .close = close };
            },
            else => unreachable, // `judge` lets no others through
        }
        return .tell(len);
    }
};

/// RFC 6455 §5.5.1, §7.4
fn parseClose(payload: []const u8) error{ Length, Code, Reason }!Close {
    if (payload.len == 0) return .{ .code = null, .reason = "" };
    if (payload.len == 1) return error.Length;
    const code: errors.Code = @enumFromInt(std.mem.readInt(u16, payload[0..2], .big));
    if (!code.maySend()) return error.Code;
    var text: Validator = .{};
    if (!text.take(payload[2..]) or !text.isComplete()) return error.Reason;
    return .{ .code = code, .reason = payload[2..] };
}

test {
    _ = @import("frame_decoder_test.zig");
}
