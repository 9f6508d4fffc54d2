//! Whether a peer is as fast as it has to be. A meter keeps how far the peer is ahead of its
//! rate; time uses that up, bytes fill it. Nothing is sampled and no timer ticks: the moment at
//! which the peer will have fallen behind is known after each byte.

const std = @import("std");

/// The deadline of who has none, monotonic ms.
pub const never = std.math.maxInt(u64);

pub const Rate = struct {
    /// Bytes a second; 0: no such limit.
    bytes_per_s: u32,
    /// How far a peer is ahead when it begins, ms.
    grace_ms: u32,
    /// How far it can get ahead, ms: a burst does not pay for hours of silence.
    ahead_ms_max: u32,
};

pub const Meter = struct {
    /// How far the peer is ahead, thousandths of a byte.
    credit: u64 = 0,
    /// When `credit` was right, monotonic ms.
    at_ms: u64 = 0,
    is_running: bool = false,

    pub fn begin(self: *Meter, rate: Rate, now_ms: u64) void {
        const credit = @as(u64, rate.bytes_per_s) * rate.grace_ms;
        self.* = .{ .credit = credit, .at_ms = now_ms, .is_running = true };
    }

    /// `bytes` have come since it was last called.
    pub fn add(self: *Meter, rate: Rate, bytes: u64, now_ms: u64) void {
        const passed_ms = if (self.is_running) now_ms - self.at_ms else 0;
        const most = @as(u64, rate.bytes_per_s) * @max(rate.ahead_ms_max, rate.grace_ms);
        const used = @as(u64, rate.bytes_per_s) *| passed_ms;
        // What time has used beyond the credit, the bytes pay: they came before now.
        const owed = used -| self.credit;
        self.credit = @min((self.credit -| used) +| (bytes *| 1000 -| owed), most);
        self.at_ms = now_ms;
    }

    /// From now on the peer cannot send, or take, anything: that time is not held against it.
    pub fn pause(self: *Meter, rate: Rate, now_ms: u64) void {
        self.add(rate, 0, now_ms);
        self.is_running = false;
    }

    pub fn unpause(self: *Meter, now_ms: u64) void {
        if (self.is_running) return;
        self.at_ms = now_ms;
        self.is_running = true;
    }

    pub fn stop(self: *Meter) void {
        self.is_running = false;
    }

    /// When the peer will have fallen behind unless more bytes come, monotonic ms; null: never.
    pub fn deadlineMs(self: *const Meter, rate: Rate) ?u64 {
        if (!self.is_running or rate.bytes_per_s == 0) return null;
        const rest = self.credit % rate.bytes_per_s;
        return self.at_ms + self.credit / rate.bytes_per_s + @intFromBool(rest != 0);
    }
};

const testing = std.testing;
const test_rate: Rate = .{ .bytes_per_s = 240, .grace_ms = 5_000, .ahead_ms_max = 30_000 };

test "a peer from which nothing comes has fallen behind when its grace is over" {
    var meter: Meter = .{};
    try testing.expectEqual(@as(?u64, null), meter.deadlineMs(test_rate));
    meter.begin(test_rate, 1_000);
    try testing.expectEqual(@as(?u64, 6_000), meter.deadlineMs(test_rate));
    meter.add(test_rate, 0, 5_999);
    try testing.expectEqual(@as(?u64, 6_000), meter.deadlineMs(test_rate));
}

test "at its rate a peer goes on for ever, however small the pieces; a little below it does not" {
    inline for (.{ 1, 7, 240 }) |piece| {
        var meter: Meter = .{};
        var slow: Meter = .{};
        meter.begin(test_rate, 0);
        slow.begin(test_rate, 0);
        var fell_behind_ms: ?u64 = null;
        for (1..24_000 / piece) |i| {
            // Piece i is whole at this time, rounded up.
            const now = (i * piece * 1000 + 239) / 240;
            try testing.expect(now <= meter.deadlineMs(test_rate).?);
            meter.add(test_rate, piece, now);
            const later = now + now / 10; // a tenth slower
            if (fell_behind_ms == null and later > slow.deadlineMs(test_rate).?)
                fell_behind_ms = later;
            slow.add(test_rate, piece, later);
        }
        // A tenth of the time goes missing: the grace lasts for eleven times as long.
        const at = fell_behind_ms orelse return error.NotNoticed;
        try testing.expect(at > 45_000 and at < 60_000);
    }
}

test "a burst pays for no more silence than the rate allows to be ahead" {
    var meter: Meter = .{};
    meter.begin(test_rate, 0);
    meter.add(test_rate, 1 << 40, 10);
    try testing.expectEqual(@as(?u64, 30_010), meter.deadlineMs(test_rate));
    meter.add(test_rate, std.math.maxInt(u64), 20);
    try testing.expectEqual(@as(?u64, 30_020), meter.deadlineMs(test_rate));
}

test "the time of a pause is not held against the peer" {
    var meter: Meter = .{};
    meter.begin(test_rate, 0);
    meter.pause(test_rate, 2_000);
    try testing.expectEqual(@as(?u64, null), meter.deadlineMs(test_rate));
    meter.add(test_rate, 0, 50_000);
    meter.unpause(100_000);
    meter.unpause(101_000); // it runs: nothing happens
    try testing.expectEqual(@as(?u64, 103_000), meter.deadlineMs(test_rate));
}

test "a rate of zero is never fallen behind of" {
    const off: Rate = .{ .bytes_per_s = 0, .grace_ms = 5_000, .ahead_ms_max = 0 };
    var meter: Meter = .{};
    meter.begin(off, 0);
    meter.add(off, 5, 1_000_000);
    try testing.expectEqual(@as(?u64, null), meter.deadlineMs(off));
}

test "very high rates neither wrap nor lose time" {
    const max = std.math.maxInt(u32);
    const high: Rate = .{ .bytes_per_s = max, .grace_ms = max, .ahead_ms_max = max };
    var meter: Meter = .{};
    meter.begin(high, 0);
    meter.add(high, std.math.maxInt(u64), max);
    try testing.expectEqual(@as(?u64, 2 * @as(u64, max)), meter.deadlineMs(high));
    meter.add(high, 0, std.math.maxInt(u64));
    try testing.expectEqual(@as(?u64, std.math.maxInt(u64)), meter.deadlineMs(high));
}
