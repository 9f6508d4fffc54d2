//! What is known of a request's content while it arrives, whatever protocol brings it.

const std = @import("std");
const limits = @import("../core/limits.zig");
const rate = @import("../core/rate.zig");

/// Where content goes.
pub const Sink = enum(u8) {
    /// To the dispatcher, as it takes it.
    stream,
    /// It is kept until it is whole.
    gather,
    /// Nobody wants it; it is read so that the connection can be kept.
    discard,
};

const never = rate.never;

pub const RequestBody = struct {
    sink: Sink,
    /// Nothing came yet, and 100 (Continue) waits behind earlier responses.
    awaits_continue: bool = false,
    /// Content so far, bytes.
    seen: u64 = 0,
    /// What nobody wanted of it, bytes.
    discarded: u64 = 0,
    /// Something of it came, or reading went on, monotonic ms.
    since_ms: u64,
    meter: rate.Meter = .{},

    pub fn begin(sink: Sink, its: rate.Rate, now_ms: u64) RequestBody {
        var self: RequestBody = .{ .sink = sink, .since_ms = now_ms };
        self.meter.begin(its, now_ms);
        return self;
    }

    /// The client was told that it may send: its time begins.
    pub fn invite(self: *RequestBody, its: rate.Rate, now_ms: u64, is_paused: bool) void {
        self.awaits_continue = false;
        self.since_ms = now_ms;
        self.meter.begin(its, now_ms);
        if (is_paused) self.meter.pause(its, now_ms);
    }

    /// From now on it is not read: what does not come is not held against the client.
    pub fn pause(self: *RequestBody, its: rate.Rate, now_ms: u64) void {
        self.meter.pause(its, now_ms);
    }

    pub fn unpause(self: *RequestBody, now_ms: u64) void {
        self.since_ms = now_ms;
        self.meter.unpause(now_ms);
    }

    /// Until when more has to come, monotonic ms. `timeout_ms`: how long nothing may come.
    pub fn deadlineMs(self: *const RequestBody, its: rate.Rate, timeout_ms: u64) u64 {
        if (self.awaits_continue) return never;
        const fast = self.meter.deadlineMs(its) orelse never;
        return @min(fast, self.since_ms + timeout_ms);
    }

    /// Whether there would be more than `bytes_max` of it with `more` bytes.
    pub fn isTooLarge(self: *const RequestBody, more: u64, bytes_max: u64) bool {
        return self.seen + more > bytes_max;
    }

    /// Whether a rest that nobody wants is to be read. `left`: what was said to come, bytes.
    pub fn isWorthReading(self: *const RequestBody, left: ?u64) bool {
        return self.discarded +| (left orelse 0) <= limits.discard_bytes_max;
    }

    /// Counts what nobody wants. False: that is more than is worth reading.
    pub fn discard(self: *RequestBody, bytes: usize) bool {
        self.discarded += bytes;
        return self.discarded <= limits.discard_bytes_max;
    }
};

const testing = std.testing;
const test_rate: rate.Rate = .{ .bytes_per_s = 100, .grace_ms = 5_000, .ahead_ms_max = 10_000 };

test "content has to come in time and fast enough, once the client may send it" {
    var body: RequestBody = .begin(.stream, test_rate, 1_000);
    try testing.expectEqual(4_000, body.deadlineMs(test_rate, 3_000)); // silence
    try testing.expectEqual(6_000, body.deadlineMs(test_rate, 9_000)); // its rate
    body.awaits_continue = true;
    try testing.expectEqual(never, body.deadlineMs(test_rate, 3_000));
    body.invite(test_rate, 50_000, false);
    try testing.expectEqual(53_000, body.deadlineMs(test_rate, 3_000));
    body.pause(test_rate, 51_000);
    body.unpause(80_000);
    try testing.expectEqual(83_000, body.deadlineMs(test_rate, 3_000));
    try testing.expectEqual(84_000, body.deadlineMs(test_rate, 9_000)); // a second was used up
}

test "a client that is invited while it is not read has its time from when it is" {
    var body: RequestBody = .begin(.stream, test_rate, 0);
    body.invite(test_rate, 1_000, true);
    body.unpause(20_000);
    try testing.expectEqual(25_000, body.deadlineMs(test_rate, 9_000));
}

test "content is bounded, and so is what is read of it for nobody" {
    var body: RequestBody = .begin(.discard, test_rate, 0);
    body.seen = 90;
    try testing.expect(!body.isTooLarge(10, 100));
    try testing.expect(body.isTooLarge(11, 100));
    try testing.expect(body.isWorthReading(null) and body.isWorthReading(limits.discard_bytes_max));
    try testing.expect(!body.isWorthReading(limits.discard_bytes_max + 1));
    try testing.expect(body.discard(limits.discard_bytes_max));
    try testing.expect(body.isWorthReading(0) and !body.isWorthReading(1));
    try testing.expect(!body.isWorthReading(std.math.maxInt(u64)));
    try testing.expect(!body.discard(1));
}
