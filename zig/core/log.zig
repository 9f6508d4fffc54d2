//! The engine's log: one line per event to standard error, level first. Formatting uses a stack
//! buffer, so that logging never allocates. Lines that peers can provoke go through `limited`.

const std = @import("std");
const clock = @import("clock.zig");

pub const Level = enum(u8) { err = 0, warn = 1, info = 2, debug = 3, off = 255 };

var level: std.atomic.Value(u8) = .init(@intFromEnum(Level.info));
var window_start_ms: std.atomic.Value(u64) = .init(0);
var window_lines: std.atomic.Value(u32) = .init(0);

/// Lines that peers provoke: at most this many in a second, the rest is counted and told.
const limited_lines_max = 20;

/// Lines above `new` in detail are dropped; `.off` drops all.
pub fn setLevel(new: Level) void {
    level.store(@intFromEnum(new), .monotonic);
}

pub fn err(comptime fmt: []const u8, args: anytype) void {
    line(.err, fmt, args);
}

pub fn warn(comptime fmt: []const u8, args: anytype) void {
    line(.warn, fmt, args);
}

pub fn info(comptime fmt: []const u8, args: anytype) void {
    line(.info, fmt, args);
}

/// A warning that a peer can cause as often as it likes.
pub fn limited(comptime fmt: []const u8, args: anytype) void {
    const now = clock.monotonicMs();
    const start = window_start_ms.load(.monotonic);
    if (now -% start >= 1000) {
        window_start_ms.store(now, .monotonic);
        const dropped = window_lines.swap(0, .monotonic);
        if (dropped > limited_lines_max) {
            line(.warn, "{d} more such lines were dropped", .{dropped - limited_lines_max});
        }
    }
    if (window_lines.fetchAdd(1, .monotonic) < limited_lines_max) line(.warn, fmt, args);
}

fn line(at: Level, comptime fmt: []const u8, args: anytype) void {
    const current = level.load(.monotonic);
    if (current == @intFromEnum(Level.off) or @intFromEnum(at) > current) return;
    var buf: [1024]u8 = undefined;
    const prefix = "gyrfalcon ";
    const room = buf[0 .. buf.len - 1];
    const body = std.fmt.bufPrint(room, prefix ++ "{s}: " ++ fmt, .{@tagName(at)} ++ args) catch
        room; // cut at the buffer's end
    buf[body.len] = '\n';
    // Standard error that cannot be written to leaves nobody to tell.
    _ = std.posix.write(std.posix.STDERR_FILENO, buf[0 .. body.len + 1]) catch return;
}
