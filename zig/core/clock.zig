//! The two clocks that the engine reads, once per loop turn.
//! libc's `clock_gettime` goes through the vDSO.

const std = @import("std");
const builtin = @import("builtin");

const linux = builtin.os.tag == .linux;
const is_windows = builtin.os.tag == .windows;
const windows = @import("system/windows.zig");

/// Milliseconds of a clock that never goes back. Resolution: that of the kernel's tick, 1–16 ms.
pub fn monotonicMs() u64 {
    if (is_windows) return windows.monotonicMs();
    const ts = read(if (linux) .MONOTONIC_COARSE else .MONOTONIC, .MONOTONIC);
    return @as(u64, @intCast(ts.sec)) * 1000 + @as(u64, @intCast(ts.nsec)) / 1_000_000;
}

/// Microseconds of a clock that never goes back: dearer, and finer.
pub fn monotonicUs() u64 {
    if (is_windows) return windows.monotonicUs();
    const ts = read(.MONOTONIC, .MONOTONIC);
    return @as(u64, @intCast(ts.sec)) * 1_000_000 + @as(u64, @intCast(ts.nsec)) / 1000;
}

/// Seconds since 1970-01-01 UTC.
pub fn realtimeSeconds() i64 {
    if (is_windows) return windows.realtimeSeconds();
    return read(if (linux) .REALTIME_COARSE else .REALTIME, .REALTIME).sec;
}

/// Whether there are clocks to read: a sandbox may forbid it. Asked at the start; a clock that
/// cannot be read later stands still, and so do all timeouts.
pub fn isReadable() bool {
    return monotonicMs() != 0 and realtimeSeconds() != 0;
}

/// Some sandboxes know the plain clocks alone.
fn read(coarse: std.c.clockid_t, plain: std.c.clockid_t) std.c.timespec {
    var ts: std.c.timespec = undefined;
    if (std.c.clock_gettime(coarse, &ts) == 0) return ts;
    if (std.c.clock_gettime(plain, &ts) == 0) return ts;
    return .{ .sec = 0, .nsec = 0 };
}

test "a clock that the system does not have is read from the plain one" {
    const missing: std.c.clockid_t = @enumFromInt(15);
    try std.testing.expect(read(missing, .REALTIME).sec > 1_700_000_000);
    try std.testing.expectEqual(0, read(missing, missing).sec);
}

test "the monotonic clock does not go back" {
    const a = monotonicMs();
    const b = monotonicMs();
    try std.testing.expect(b >= a);
    const fine = monotonicUs();
    try std.testing.expect(monotonicUs() >= fine);
    try std.testing.expect(realtimeSeconds() > 1_700_000_000);
    try std.testing.expect(isReadable());
}
