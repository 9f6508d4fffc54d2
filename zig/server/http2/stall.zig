//! A client that opens no window for what waits for it: how long it may do so. It has to take some
//! within `write_timeout_ms`, and `write_rate_min` a second, as whoever does not read a socket.

const limits = @import("../../core/limits.zig");
const rate = @import("../../core/rate.zig");
const useful_bytes_min = @import("../../http2/account.zig").useful_bytes_min;

/// Of a stream that has content to send, or of a connection.
pub const Stall = struct {
    meter: rate.Meter = .{},
    /// Since when the window is closed, or the last of it was used, monotonic ms.
    since_ms: u64 = 0,
    restarts: u8 = 0,
    has_begun: bool = false,
    is_on: bool = false,

    /// The window is closed, and something waits for it.
    pub fn begin(self: *Stall, write: rate.Rate, now_ms: u64) void {
        if (self.is_on) return;
        self.is_on = true;
        self.since_ms = now_ms;
        if (self.has_begun) return self.meter.unpause(now_ms);
        self.has_begun = true;
        self.meter.begin(write, now_ms);
    }

    /// It is open, or nothing waits any more. What goes on here is not the client's fault.
    pub fn end(self: *Stall, write: rate.Rate, now_ms: u64) void {
        if (!self.is_on) return;
        self.is_on = false;
        self.meter.pause(write, now_ms);
    }

    /// What it waits for was on its way until now: its time begins, a few times. False: it has
    /// done so too often.
    pub fn restart(self: *Stall, write: rate.Rate, now_ms: u64) bool {
        if (self.restarts == limits.http2_stall_restarts_max) return false;
        self.restarts += 1;
        self.since_ms = now_ms;
        self.meter.begin(write, now_ms);
        return true;
    }

    /// The client has let so much go, bytes.
    pub fn sent(self: *Stall, write: rate.Rate, bytes: u64, now_ms: u64) void {
        if (!self.has_begun) {
            self.has_begun = true;
            self.meter.begin(write, now_ms);
            self.meter.pause(write, now_ms);
        }
        self.meter.add(write, bytes, now_ms);
        if (bytes >= useful_bytes_min) self.restarts = 0;
    }

    /// When it will have waited too long, monotonic ms.
    pub fn deadlineMs(self: *const Stall, write: rate.Rate, timeout_ms: u32) u64 {
        if (!self.is_on) return rate.never;
        return @min(self.since_ms + timeout_ms, self.meter.deadlineMs(write) orelse rate.never);
    }
};

const testing = @import("std").testing;
const test_rate: rate.Rate = .{ .bytes_per_s = 240, .grace_ms = 5_000, .ahead_ms_max = 30_000 };

test "a window that stays closed has its time" {
    var stall: Stall = .{};
    try testing.expectEqual(rate.never, stall.deadlineMs(test_rate, 3_000));
    stall.begin(test_rate, 1_000);
    stall.begin(test_rate, 2_000); // it is the same one
    try testing.expectEqual(4_000, stall.deadlineMs(test_rate, 3_000));
    stall.end(test_rate, 3_999);
    try testing.expectEqual(rate.never, stall.deadlineMs(test_rate, 3_000));
}

test "a window that is opened by a byte now and then does not last for ever" {
    var stall: Stall = .{};
    var now_ms: u64 = 1_000;
    const late = while (now_ms < 60_000) : (now_ms += 1_000) {
        stall.begin(test_rate, now_ms);
        if (now_ms + 1_000 > stall.deadlineMs(test_rate, 30_000)) break true;
        stall.end(test_rate, now_ms + 1_000);
        stall.sent(test_rate, 1, now_ms + 1_000);
    } else false;
    try testing.expect(late and now_ms < 10_000);
}

test "what has left before the window closed counts for the client" {
    var stall: Stall = .{};
    stall.sent(test_rate, 64 * 1024, 1_000);
    stall.begin(test_rate, 1_000);
    try testing.expectEqual(31_000, stall.deadlineMs(test_rate, 30_000));
    try testing.expect(stall.restart(test_rate, 31_000));
    try testing.expectEqual(36_000, stall.deadlineMs(test_rate, 30_000));
    for (0..7) |i| try testing.expect(stall.restart(test_rate, 36_000 + i));
    stall.sent(test_rate, 1, 36_010); // a byte does not make up for it
    try testing.expect(!stall.restart(test_rate, 36_011));
    stall.sent(test_rate, 4096, 36_020);
    try testing.expect(stall.restart(test_rate, 36_021));
}

test "time in which the window was open is not held against the client" {
    var stall: Stall = .{};
    for (0..100) |i| {
        const now_ms = 1_000 + i * 10_000;
        stall.begin(test_rate, now_ms);
        try testing.expect(now_ms + 1_000 <= stall.deadlineMs(test_rate, 30_000));
        stall.end(test_rate, now_ms + 1_000);
        stall.sent(test_rate, 240, now_ms + 1_000);
    }
}
