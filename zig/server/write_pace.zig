//! How fast a client takes what waits for it. Bytes that only moved to the system's buffer are not
//! taken yet: what is in flight is asked for when time seems to be up.

const std = @import("std");
const rate = @import("../core/rate.zig");

const never = rate.never;

pub const WritePace = struct {
    /// Runs while there is unsent output.
    meter: rate.Meter = .{},
    /// The client took something, monotonic ms. Once it sends no more: or it was sent something.
    since_ms: u64 = 0,
    /// Given to the system and not known to be taken, bytes. Without unsent output: what was found
    /// to be so when it was last asked for; 0 before.
    in_flight: u64 = 0,

    /// Output waits from now on, behind so much in flight.
    pub fn begin(self: *WritePace, its: rate.Rate, now_ms: u64, in_flight: u64) void {
        self.since_ms = now_ms;
        self.in_flight = in_flight;
        self.meter.begin(its, now_ms);
    }

    /// Until when the client has to take more, monotonic ms. `timeout_ms`: how long it may take
    /// nothing. While the meter does not run, it is not the client that output waits for.
    pub fn deadlineMs(self: *const WritePace, its: rate.Rate, timeout_ms: u64) u64 {
        if (!self.meter.is_running) return never;
        const fast = self.meter.deadlineMs(its) orelse never;
        return @min(fast, self.since_ms + timeout_ms);
    }

    /// Whether it is silence that the deadline is up for.
    pub fn isSilent(self: *const WritePace, now_ms: u64, timeout_ms: u64) bool {
        return now_ms >= self.since_ms + timeout_ms;
    }

    /// The system was asked: so much is in flight. What is not any more was taken.
    pub fn look(self: *WritePace, its: rate.Rate, now_ms: u64, in_flight: u64) void {
        const taken = self.in_flight -| in_flight;
        self.in_flight = in_flight;
        self.meter.add(its, taken, now_ms);
        if (taken > 0) self.since_ms = now_ms;
    }

    /// The socket took so much of what waits.
    pub fn progress(self: *WritePace, now_ms: u64, bytes: u64) void {
        if (bytes == 0) return;
        self.in_flight += bytes;
        self.since_ms = now_ms;
    }

    /// Nothing waits any more.
    pub fn end(self: *WritePace) void {
        self.meter.stop();
        self.in_flight = 0;
    }

    /// A client that sends no more was sent something: it may pause anew.
    pub fn noteSent(self: *WritePace, now_ms: u64) void {
        self.since_ms = now_ms;
        self.in_flight = 0;
    }

    /// Whether the system holds something for the client, and not just what it held when it was
    /// last asked.
    pub fn isArriving(self: *WritePace, now_ms: u64, in_flight: u64) bool {
        const before = self.in_flight;
        self.in_flight = in_flight;
        if (in_flight == before or in_flight == 0) return false;
        self.since_ms = now_ms;
        return true;
    }
};

const testing = std.testing;
const test_rate: rate.Rate = .{ .bytes_per_s = 100, .grace_ms = 5_000, .ahead_ms_max = 10_000 };

test "what waits is to be taken in time and fast enough; what is in flight counts when asked for" {
    var pace: WritePace = .{};
    try testing.expectEqual(never, pace.deadlineMs(test_rate, 3_000));
    pace.begin(test_rate, 1_000, 500);
    try testing.expectEqual(4_000, pace.deadlineMs(test_rate, 3_000));
    try testing.expectEqual(6_000, pace.deadlineMs(test_rate, 9_000));
    pace.look(test_rate, 3_000, 500); // nothing was
    try testing.expectEqual(4_000, pace.deadlineMs(test_rate, 3_000));
    pace.look(test_rate, 3_500, 400);
    try testing.expectEqual(6_500, pace.deadlineMs(test_rate, 3_000));
    try testing.expectEqual(7_000, pace.deadlineMs(test_rate, 9_000)); // 100 bytes: a second
    pace.progress(6_000, 10); // to the system's buffer: no silence, and nothing taken
    try testing.expectEqual(7_000, pace.deadlineMs(test_rate, 3_000));
    try testing.expect(!pace.isSilent(7_000, 3_000) and pace.isSilent(9_000, 3_000));
    pace.end();
    try testing.expectEqual(never, pace.deadlineMs(test_rate, 3_000));
}

test "a response arrives as long as less of it is in flight each time" {
    var pace: WritePace = .{};
    try testing.expect(pace.isArriving(1_000, 300));
    try testing.expect(pace.isArriving(2_000, 200));
    try testing.expectEqual(2_000, pace.since_ms);
    try testing.expect(!pace.isArriving(3_000, 200));
    try testing.expect(!pace.isArriving(4_000, 0));
    try testing.expectEqual(2_000, pace.since_ms);
}
