//! The two clocks that the engine reads, once per loop turn.
//! libc's `clock_gettime` goes through the vDSO.

const std = @import("std");
const builtin = @import("builtin");

const linux = builtin.os.tag == .linux;

/// Milliseconds of a clock that never goes back. Resolution: that of the kernel's tick, 1–10 ms.
pub fn monotonicMs() u64 {
    const ts = read(if (linux) .MONOTONIC_COARSE else .MONOTONIC);
    return @as(u64, @intCast(ts.sec)) * 1000 + @as(u64, @intCast(ts.nsec)) / 1_000_000;
}

/// Seconds since 1970-01-01 UTC.
pub fn realtimeSeconds() i64 {
    return read(if (linux) .REALTIME_COARSE else .REALTIME).sec;
}

fn read(clock: std.c.clockid_t) std.c.timespec {
    var ts: std.c.timespec = undefined;
    const rc = std.c.clock_gettime(clock, &ts);
    std.debug.assert(rc == 0); // the clock exists and the pointer is good
    return ts;
}

test "the monotonic clock does not go back" {
    const a = monotonicMs();
    const b = monotonicMs();
    try std.testing.expect(b >= a);
    try std.testing.expect(realtimeSeconds() > 1_700_000_000);
}
