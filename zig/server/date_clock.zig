//! The Date field's value (RFC 9110 §6.6.1), made once a second.

const date = @import("../http/date.zig");

pub const DateClock = struct {
    /// When the time of day was last asked for, monotonic ms.
    asked_ms: u64 = 0,
    /// What it was, seconds since 1970.
    seconds: i64 = -1,
    bytes: [29]u8 = undefined,

    /// Whether the time of day has to be asked for.
    pub fn isOld(self: *const DateClock, now_ms: u64) bool {
        return self.asked_ms != now_ms;
    }

    pub fn set(self: *DateClock, now_ms: u64, seconds: i64) void {
        self.asked_ms = now_ms;
        if (seconds == self.seconds) return;
        self.seconds = seconds;
        date.format(seconds, &self.bytes);
    }

    /// Once it was set.
    pub fn text(self: *const DateClock) *const [29]u8 {
        return &self.bytes;
    }
};

const testing = @import("std").testing;

test "the date is that of the second, and asked for once a millisecond" {
    var clock: DateClock = .{};
    try testing.expect(clock.isOld(7));
    clock.set(7, 784_111_777);
    try testing.expectEqualStrings("Sun, 06 Nov 1994 08:49:37 GMT", clock.text());
    try testing.expect(!clock.isOld(7) and clock.isOld(8));
    clock.set(8, 784_111_777);
    try testing.expectEqualStrings("Sun, 06 Nov 1994 08:49:37 GMT", clock.text());
    clock.set(9, 784_111_778);
    try testing.expectEqualStrings("Sun, 06 Nov 1994 08:49:38 GMT", clock.text());
    clock.set(10, 784_111_700); // it was set back
    try testing.expectEqualStrings("Sun, 06 Nov 1994 08:48:20 GMT", clock.text());
}
