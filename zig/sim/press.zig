//! What stands in the place of DEFLATE in a simulation, behind the same seams of the engine
//! (websocket/deflate.zig): a code for which no library is needed. Text becomes shorter by an
//! eighth. Each message tells which of its context it is, and its bytes depend on that: what is
//! lost, taken twice or in the place of another shows.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../core/limits.zig");
const errors = @import("../websocket/errors.zig");
const frames = @import("../websocket/frames.zig");
const WindowBits = @import("../websocket/permessage_deflate.zig").WindowBits;
const Validator = @import("../websocket/utf8.zig").Validator;

pub const Memory = @import("../websocket/zlib.zig").Memory;

/// A form, the message's number in its context, how long it is; then the message.
pub const head_bytes = 7;

const Form = enum(u8) { bytes = 'b', sevens = 's', _ };

/// What a byte at `at` of message `number` is veiled with.
fn veilOf(number: u16, at: usize) u8 {
    return @truncate(@as(usize, number) *% 31 +% at *% 7 +% 1);
}

/// The message that lies in `pieces`, in memory of `out`. Null: it does not fit.
pub fn encode(pieces: []const []const u8, number: u16, out: []u8) ?[]u8 {
    var total: usize = 0;
    var high: u8 = 0;
    for (pieces) |piece| {
        total += piece.len;
        for (piece) |byte| high |= byte;
    }
    const form: Form = if (high & 0x80 == 0) .sevens else .bytes;
    const body = if (form == .sevens) (total * 7 + 7) / 8 else total;
    if (head_bytes + body > out.len) return null;
    out[0] = @intFromEnum(form);
    std.mem.writeInt(u16, out[1..3], number, .big);
    std.mem.writeInt(u32, out[3..7], @intCast(total), .big);
    const room = out[head_bytes..][0..body];
    if (form == .sevens) packSevens(pieces, room) else join(pieces, room);
    for (room, 0..) |*byte, at| byte.* ^= veilOf(number, at);
    return out[0 .. head_bytes + body];
}

fn join(pieces: []const []const u8, out: []u8) void {
    var at: usize = 0;
    for (pieces) |piece| {
        @memcpy(out[at..][0..piece.len], piece);
        at += piece.len;
    }
}

fn packSevens(pieces: []const []const u8, out: []u8) void {
    var at: usize = 0;
    var bits: u16 = 0;
    var count: u4 = 0;
    for (pieces) |piece| for (piece) |byte| {
        bits |= @as(u16, byte) << count;
        count += 7;
        if (count < 8) continue;
        out[at] = @truncate(bits);
        bits >>= 8;
        count -= 8;
        at += 1;
    };
    if (count > 0) out[at] = @truncate(bits);
}

/// Reads message `number` of a context.
pub const Decoder = struct {
    number: u16,
    head: [head_bytes]u8 = undefined,
    head_len: u8 = 0,
    /// Of the message, bytes that are to come.
    left: u32 = 0,
    at: usize = 0,
    bits: u16 = 0,
    count: u4 = 0,

    /// What the beginning of `input`, which is taken off, becomes; "" when it wants more, or the
    /// message is over.
    pub fn next(self: *Decoder, input: *[]const u8, out: []u8) error{Data}![]u8 {
        while (self.head_len < head_bytes) {
            if (input.len == 0) return out[0..0];
            self.head[self.head_len] = input.*[0];
            self.head_len += 1;
            input.* = input.*[1..];
            if (self.head_len == head_bytes) try self.begin();
        }
        var len: usize = 0;
        while (len < out.len and self.left > 0) : (len += 1) {
            out[len] = self.take(input) orelse break;
            self.left -= 1;
        }
        return out[0..len];
    }

    fn begin(self: *Decoder) error{Data}!void {
        switch (@as(Form, @enumFromInt(self.head[0]))) {
            .bytes, .sevens => {},
            _ => return error.Data,
        }
        if (std.mem.readInt(u16, self.head[1..3], .big) != self.number) return error.Data;
        self.left = std.mem.readInt(u32, self.head[3..7], .big);
    }

    fn take(self: *Decoder, input: *[]const u8) ?u8 {
        if (self.head[0] == @intFromEnum(Form.bytes)) return self.takeByte(input);
        if (self.count < 7) {
            const byte = self.takeByte(input) orelse return null;
            self.bits |= @as(u16, byte) << self.count;
            self.count += 8;
        }
        const seven: u8 = @truncate(self.bits & 0x7f);
        self.bits >>= 7;
        self.count -= 7;
        return seven;
    }

    fn takeByte(self: *Decoder, input: *[]const u8) ?u8 {
        if (input.len == 0) return null;
        const byte = input.*[0] ^ veilOf(self.number, self.at);
        self.at += 1;
        input.* = input.*[1..];
        return byte;
    }

    /// All of the message was given.
    pub fn isDone(self: *const Decoder) bool {
        return self.head_len == head_bytes and self.left == 0;
    }
};

pub const Settings = struct {
    level: u4 = 1,
    message_bytes_min: u32,
    inflated_bytes_max: u63,
    inflation_ratio_max: u32,
};

/// So much each of them takes of the memory for them, bytes: few fit.
const context_bytes = 100_000;

pub const Deflater = struct {
    memory: *Memory,
    settings: *const Settings,
    keeps_context: bool,
    number: u16 = 0,
    filler: [context_bytes]u8 = undefined,

    pub fn create(
        memory: *Memory,
        settings: *const Settings,
        _: WindowBits,
        keeps_context: bool,
    ) error{OutOfMemory}!*Deflater {
        const self = try memory.create(Deflater);
        self.* = .{ .memory = memory, .settings = settings, .keeps_context = keeps_context };
        return self;
    }

    pub fn destroy(self: *Deflater) void {
        self.memory.destroy(Deflater, self);
    }

    pub fn compress(self: *Deflater, pieces: []const []const u8, out: []u8) ?[]u8 {
        var left: usize = 0;
        for (pieces) |piece| left += piece.len;
        if (left == 0 or left < self.settings.message_bytes_min) return null;
        // It is to become shorter.
        const bytes = encode(pieces, self.number, out[0..@min(out.len, left - 1)]) orelse
            return null;
        if (self.keeps_context) self.number +%= 1;
        return bytes;
    }
};

pub const Inflater = struct {
    memory: *Memory,
    keeps_context: bool,
    is_busy: bool = false,
    number: u16 = 0,
    filler: [context_bytes]u8 = undefined,

    pub fn create(
        memory: *Memory,
        _: WindowBits,
        keeps_context: bool,
    ) error{OutOfMemory}!*Inflater {
        const self = try memory.create(Inflater);
        self.* = .{ .memory = memory, .keeps_context = keeps_context };
        return self;
    }

    pub fn destroy(self: *Inflater) void {
        self.memory.destroy(Inflater, self);
    }
};

pub const Inflation = struct {
    inflater: *Inflater,
    settings: *const Settings,
    is_text: bool,
    decoder: Decoder,
    text: Validator = .{},
    in_bytes: u64 = 0,
    out_bytes: u63 = 0,
    is_over: bool = false,

    pub const Step = union(enum) { result: Result, failed: errors.Error };
    pub const Result = struct {
        consumed: usize,
        bytes: []u8,
        then: enum { more, need_input, done },
    };

    pub fn begin(inflater: *Inflater, settings: *const Settings, kind: frames.Kind) Inflation {
        assert(!inflater.is_busy);
        inflater.is_busy = true;
        return .{
            .inflater = inflater,
            .settings = settings,
            .is_text = kind == .text,
            .decoder = .{ .number = inflater.number },
        };
    }

    pub fn abandon(self: *Inflation) void {
        if (self.is_over) return;
        self.is_over = true;
        self.inflater.is_busy = false;
    }

    pub fn next(self: *Inflation, input: []const u8, ends: bool, out: []u8) Step {
        assert(out.len > 0 and !self.is_over);
        const taken = self.run(input, ends, out) catch |err| {
            self.abandon();
            return .{ .failed = switch (err) {
                error.Data => .invalid_compression,
                error.Text => .invalid_utf8,
                error.TooLarge => .message_too_large,
                error.Ratio => .inflation_too_large,
            } };
        };
        return .{ .result = taken };
    }

    const Error = error{ Data, Text, TooLarge, Ratio };

    fn run(self: *Inflation, input: []const u8, ends: bool, out: []u8) Error!Result {
        var rest = input;
        const bytes = try self.decoder.next(&rest, out);
        const consumed = input.len - rest.len;
        self.in_bytes += consumed;
        try self.count(bytes);
        if (bytes.len == out.len) return .{ .consumed = consumed, .bytes = bytes, .then = .more };
        if (rest.len > 0) return error.Data;
        if (!ends) return .{ .consumed = consumed, .bytes = bytes, .then = .need_input };
        if (!self.decoder.isDone()) return error.Data;
        if (self.is_text and !self.text.isComplete()) return error.Text;
        if (self.inflater.keeps_context) self.inflater.number +%= 1;
        self.abandon();
        return .{ .consumed = consumed, .bytes = bytes, .then = .done };
    }

    fn count(self: *Inflation, bytes: []const u8) Error!void {
        self.out_bytes += @intCast(bytes.len);
        if (self.out_bytes > self.settings.inflated_bytes_max) return error.TooLarge;
        const allowed = self.in_bytes *| self.settings.inflation_ratio_max;
        if (self.out_bytes > allowed +| limits.websocket_inflation_free_bytes) return error.Ratio;
        if (self.is_text and !self.text.take(bytes)) return error.Text;
    }
};

pub const Shared = struct {
    memory: *Memory,
    settings: *const Settings,
    inflater: *Inflater,
    deflaters: [16]?*Deflater = @splat(null),

    pub fn init(memory: *Memory, settings: *const Settings) error{OutOfMemory}!Shared {
        return .{
            .memory = memory,
            .settings = settings,
            .inflater = try Inflater.create(memory, 15, false),
        };
    }

    pub fn deinit(self: *Shared) void {
        self.inflater.destroy();
        for (self.deflaters) |each| if (each) |own| own.destroy();
    }

    pub fn deflater(self: *Shared, bits: WindowBits) ?*Deflater {
        const place = &self.deflaters[bits];
        if (place.* == null)
            place.* = Deflater.create(self.memory, self.settings, bits, false) catch return null;
        return place.*;
    }
};

const testing = std.testing;

test "what is pressed comes out as it went in, wherever it is cut; another number is refused" {
    var coded: [200]u8 = undefined;
    for ([_][]const u8{ "", "a", "seven bits, packed", "\xff\x00\x80 eight" }) |text| {
        const bytes = encode(&.{ text[0 .. text.len / 2], text[text.len / 2 ..] }, 300, &coded).?;
        for (0..bytes.len + 1) |cut| {
            var decoder: Decoder = .{ .number = 300 };
            var out: std.BoundedArray(u8, 64) = .{};
            for ([_][]const u8{ bytes[0..cut], bytes[cut..] }) |piece| {
                var rest = piece;
                var room: [3]u8 = undefined;
                while (true) {
                    const some = try decoder.next(&rest, &room);
                    if (some.len == 0) break;
                    out.appendSliceAssumeCapacity(some);
                }
                try testing.expectEqual(0, rest.len);
            }
            try testing.expect(decoder.isDone());
            try testing.expectEqualStrings(text, out.slice());
        }
        var other: Decoder = .{ .number = 301 };
        var rest: []const u8 = bytes;
        var room: [64]u8 = undefined;
        try testing.expectError(error.Data, other.next(&rest, &room));
        try testing.expectEqual(null, encode(&.{text}, 0, coded[0 .. bytes.len - 1]));
    }
}
