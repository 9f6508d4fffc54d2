//! Messages compressed and decompressed (RFC 7692 §7.2) by zlib-ng. `permessage_deflate.zig` has
//! the parameters; a build without the library has no `permessage_deflate.Policy`, and this file is
//! not part of it.
//!
//! Where messages do not refer to those before them, one compressor and one decompressor serve all
//! connections of a worker, one message after the other. Others have their own.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../core/limits.zig");
const errors = @import("errors.zig");
const frames = @import("frames.zig");
const permessage_deflate = @import("permessage_deflate.zig");
const Validator = @import("utf8.zig").Validator;
const WindowBits = permessage_deflate.WindowBits;
const zlib = @import("zlib.zig");
pub const Memory = zlib.Memory;

/// What a flush ends with, and messages are sent without (§7.2.1).
const tail = "\x00\x00\xff\xff";

pub const Settings = struct {
    /// 1 to 9. Beyond 1 it takes several times as long, for messages that are smaller by less than
    /// a third.
    level: u4 = 1,
    /// 1 to 9: what is kept of a message before it is written.
    memory_level: u4 = 5,
    /// Messages below are sent as they are, bytes.
    message_bytes_min: u32 = limits.websocket_deflate_bytes_min_default,
    /// A message that is received, once it is decompressed, bytes.
    inflated_bytes_max: u63 = limits.websocket_message_bytes_max_default,
    /// It may be so many times as long as what was sent, beyond `inflation_free_bytes`.
    inflation_ratio_max: u32 = limits.websocket_inflation_ratio_max_default,
};

/// Compresses what is sent.
pub const Deflater = struct {
    stream: zlib.Stream,
    memory: *Memory,
    settings: *const Settings,
    /// Messages refer to those before them.
    keeps_context: bool,
    /// Nothing has been written since it was made or reset.
    is_fresh: bool = true,

    /// `bits`, and whether messages refer to those before them, as was agreed.
    pub fn create(
        memory: *Memory,
        settings: *const Settings,
        bits: WindowBits,
        keeps_context: bool,
    ) error{OutOfMemory}!*Deflater {
        const self = try memory.create(Deflater);
        errdefer memory.destroy(Deflater, self);
        self.* = .{
            .stream = .init(memory),
            .memory = memory,
            .settings = settings,
            .keeps_context = keeps_context,
        };
        // The library has no window of 256 bytes. In one of 512 it refers back by 250 at most, as
        // it leaves room for what it looks ahead.
        const own: i32 = @max(bits, 9);
        return switch (zlib.zng_deflateInit2(
            &self.stream,
            settings.level,
            zlib.deflated,
            -own,
            settings.memory_level,
            zlib.default_strategy,
        )) {
            .ok => self,
            .out_of_memory => error.OutOfMemory,
            else => unreachable, // the numbers are in its range
        };
    }

    pub fn destroy(self: *Deflater) void {
        // It tells whether output was left, which nobody wants.
        _ = zlib.zng_deflateEnd(&self.stream);
        self.memory.destroy(Deflater, self);
    }

    /// What came before is forgotten. To be called, too, when the peer has had a compressed message
    /// of another deflater: it is in the peer's window and not in this one's.
    pub fn forget(self: *Deflater) void {
        if (self.is_fresh) return;
        assert(zlib.zng_deflateReset(&self.stream) == .ok);
        self.is_fresh = true;
    }

    /// The payload of a message, which lies in `pieces`, in memory of `out`. Null: it is short
    /// already, did not become shorter, or `out` has too little room; it is to be sent as it is.
    pub fn compress(self: *Deflater, pieces: []const []const u8, out: []u8) ?[]u8 {
        var left: usize = 0;
        for (pieces) |piece| left += piece.len;
        if (left == 0 or left < self.settings.message_bytes_min) return null;
        // With the tail, which goes, and one byte that tells that there was room.
        const room = @min(out.len, left + tail.len, zlib.avail_max);
        self.stream.setOut(out[0..room]);
        self.is_fresh = false;
        for (pieces) |piece| {
            left -= piece.len;
            if (piece.len > zlib.avail_max) return self.giveUp();
            self.stream.setIn(piece);
            if (self.stream.avail_out == 0) return self.giveUp();
            const status = zlib.zng_deflate(&self.stream, .none);
            assert(status == .ok or status == .buffer_error);
            if (self.stream.avail_in > 0) return self.giveUp();
        }
        if (self.stream.avail_out == 0) return self.giveUp();
        self.stream.setIn("");
        const status = zlib.zng_deflate(&self.stream, .sync);
        assert(status == .ok or status == .buffer_error);
        if (self.stream.avail_out == 0) return self.giveUp();
        const len = room - self.stream.avail_out;
        assert(std.mem.eql(u8, out[len - tail.len ..][0..tail.len], tail));
        if (!self.keeps_context) self.forget();
        return out[0 .. len - tail.len];
    }

    /// What was compressed goes nowhere. A block that has begun is ended first: zlib-ng's reset
    /// leaves it open at level 1, and the next message would go on in it, without its head.
    fn giveUp(self: *Deflater) ?[]u8 {
        var nowhere: [4096]u8 = undefined;
        self.stream.setIn("");
        while (true) {
            self.stream.setOut(&nowhere);
            const status = zlib.zng_deflate(&self.stream, .sync);
            assert(status == .ok or status == .buffer_error);
            if (self.stream.avail_out > 0) break;
        }
        self.forget();
        return null;
    }
};

/// Decompresses what is received.
pub const Inflater = struct {
    stream: zlib.Stream,
    memory: *Memory,
    /// Messages may refer to those before them.
    keeps_context: bool,
    /// A message has begun and not ended.
    is_busy: bool = false,

    /// `bits` as was agreed, or more. A decompressor of 15 serves connections of any window.
    pub fn create(
        memory: *Memory,
        bits: WindowBits,
        keeps_context: bool,
    ) error{OutOfMemory}!*Inflater {
        assert(bits >= 8);
        const self = try memory.create(Inflater);
        errdefer memory.destroy(Inflater, self);
        self.* = .{
            .stream = .init(memory),
            .memory = memory,
            .keeps_context = keeps_context,
        };
        return switch (zlib.zng_inflateInit2(&self.stream, -@as(i32, bits))) {
            .ok => self,
            .out_of_memory => error.OutOfMemory,
            else => unreachable, // the number is in its range
        };
    }

    pub fn destroy(self: *Inflater) void {
        assert(zlib.zng_inflateEnd(&self.stream) == .ok);
        self.memory.destroy(Inflater, self);
    }

    fn forget(self: *Inflater) void {
        assert(zlib.zng_inflateReset(&self.stream) == .ok);
        self.is_busy = false;
    }
};

/// One message on its way through an inflater, to its end or until it is abandoned: then comes the
/// next. So an inflater that connections share is given a whole message, which was gathered; one
/// that is a connection's own may be given parts as they come.
pub const Inflation = struct {
    inflater: *Inflater,
    settings: *const Settings,
    is_text: bool,
    text: Validator = .{},
    in_bytes: u64 = 0,
    out_bytes: u63 = 0,
    /// Of `tail`, what was given to the inflater.
    tail_bytes: u8 = 0,
    /// It has ended, or failed.
    is_over: bool = false,

    pub const Step = union(enum) { result: Result, failed: errors.Error };

    pub const Result = struct {
        /// Of the input, what was taken, bytes.
        consumed: usize,
        /// What came of it, in the memory that was given.
        bytes: []u8,
        then: enum {
            /// There is more: to be called again, with what was not taken.
            more,
            /// To be called again with what comes next.
            need_input,
            /// The message ends here.
            done,
        },
    };

    pub fn begin(inflater: *Inflater, settings: *const Settings, kind: frames.Kind) Inflation {
        assert(!inflater.is_busy);
        inflater.is_busy = true;
        return .{ .inflater = inflater, .settings = settings, .is_text = kind == .text };
    }

    /// Nobody wants the rest: the connection has ended. The inflater is ready for another message.
    pub fn abandon(self: *Inflation) void {
        if (self.is_over) return;
        self.is_over = true;
        self.inflater.forget();
    }

    /// What a part of the message becomes. `ends`: nothing follows it. An error: the connection is
    /// failed for it; where the inflater is shared, it is ready for the next message.
    pub fn next(self: *Inflation, input: []const u8, ends: bool, out: []u8) Step {
        assert(out.len > 0 and !self.is_over);
        const taken = self.run(input, ends, out[0..@min(out.len, zlib.avail_max)]) catch |err| {
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

    fn run(
        self: *Inflation,
        input: []const u8,
        ends: bool,
        out: []u8,
    ) error{ Data, Text, TooLarge, Ratio }!Result {
        const stream = &self.inflater.stream;
        stream.setOut(out);
        var consumed: usize = 0;
        while (stream.avail_out > 0) {
            const is_tail = consumed == input.len;
            const given = if (is_tail and ends)
                tail[self.tail_bytes..]
            else
                input[consumed..][0..@min(input.len - consumed, zlib.avail_max)];
            stream.setIn(given);
            const status = zlib.zng_inflate(stream, .sync);
            const taken = given.len - stream.avail_in;
            if (is_tail and ends) self.tail_bytes += @intCast(taken) else consumed += taken;
            switch (status) {
                .ok => {},
                // There was nothing to do. Not an error: there may be more input.
                .buffer_error => {},
                // A last block (§7.2.3.4): what follows is a stream of its own, with the window.
                .stream_end => assert(zlib.zng_inflateResetKeep(stream) == .ok),
                .data_error, .need_dictionary => return error.Data,
                else => unreachable, // its window was allocated with it
            }
            if (stream.avail_in == 0 and status != .stream_end and stream.avail_out > 0) {
                if (is_tail or (!ends and consumed == input.len)) break;
            }
        }
        self.in_bytes += consumed;
        const bytes = out[0 .. out.len - stream.avail_out];
        try self.count(bytes);
        if (stream.avail_out == 0) return .{ .consumed = consumed, .bytes = bytes, .then = .more };
        if (!ends) return .{ .consumed = consumed, .bytes = bytes, .then = .need_input };
        // The input ended where a block does: nothing of it is in the tail.
        const between_blocks = stream.data_type & 128 != 0 and stream.data_type & 63 == 0;
        if (!between_blocks) return error.Data;
        if (self.is_text and !self.text.isComplete()) return error.Text;
        if (!self.inflater.keeps_context) self.inflater.forget();
        self.inflater.is_busy = false;
        self.is_over = true;
        return .{ .consumed = consumed, .bytes = bytes, .then = .done };
    }

    fn count(self: *Inflation, bytes: []const u8) error{ Text, TooLarge, Ratio }!void {
        self.out_bytes += @intCast(bytes.len);
        if (self.out_bytes > self.settings.inflated_bytes_max) return error.TooLarge;
        const allowed = self.in_bytes *| self.settings.inflation_ratio_max;
        if (self.out_bytes > allowed +| limits.websocket_inflation_free_bytes) return error.Ratio;
        if (self.is_text and !self.text.take(bytes)) return error.Text;
    }
};

/// What the connections of a worker share that have no context of their own.
pub const Shared = struct {
    memory: *Memory,
    settings: *const Settings,
    inflater: *Inflater,
    /// By window; made when a connection of that window comes first.
    deflaters: [16]?*Deflater = @splat(null),

    pub fn init(memory: *Memory, settings: *const Settings) error{OutOfMemory}!Shared {
        var self: Shared = .{
            .memory = memory,
            .settings = settings,
            .inflater = try Inflater.create(memory, 15, false),
        };
        errdefer self.inflater.destroy();
        // The usual window. Others can do without: their messages are sent as they are.
        self.deflaters[15] = try Deflater.create(memory, settings, 15, false);
        return self;
    }

    pub fn deinit(self: *Shared) void {
        self.inflater.destroy();
        for (self.deflaters) |each| if (each) |own| own.destroy();
    }

    /// A compressor for messages that stand by themselves; null where memory is short.
    pub fn deflater(self: *Shared, bits: WindowBits) ?*Deflater {
        const place = &self.deflaters[@max(bits, 9)];
        if (place.* == null)
            place.* = Deflater.create(self.memory, self.settings, bits, false) catch return null;
        return place.*;
    }
};

test {
    _ = @import("deflate_test.zig");
}
