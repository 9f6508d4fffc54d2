//! The engine's log: one line per event to standard error, level first. Formatting uses a stack
//! buffer, so that logging never allocates. Nothing waits for standard error: what it does not take
//! at once is lost, and the next line that it takes tells how much. Lines that peers can provoke go
//! through `limited`.
//!
//! How much is told is a property of a server (`Config.log`): a thread that works for one logs as
//! that server wants it (`setThreadLevel`). `setLevel` bounds all of the process.

const builtin = @import("builtin");
const std = @import("std");
const clock = @import("clock.zig");
const system = @import("system.zig");

/// How much is told; each level has the lines of those before it.
pub const Level = enum(u8) { silent, @"error", warn, info, debug };

/// Bytes of a line, with its end: below PIPE_BUF, so that lines of several threads do not mix.
const line_bytes_max = 1024;
/// Lines that peers provoke: at most this many in a second, the rest is counted and told.
const limited_lines_max = 20;

var process_level: std.atomic.Value(Level) = .init(.debug);
threadlocal var thread_level: Level = .info;
var stderr: Output = .{ .fd = system.standard_error };
var window_start_ms: std.atomic.Value(u64) = .init(0);
var window_lines: std.atomic.Value(u32) = .init(0);

/// No server of this process tells more than `new` has.
pub fn setLevel(new: Level) void {
    process_level.store(new, .monotonic);
}

/// How much the calling thread tells from here on; `.info` unless set. Returns what held before.
pub fn setThreadLevel(new: Level) Level {
    defer thread_level = new;
    return thread_level;
}

pub fn err(comptime fmt: []const u8, args: anytype) void {
    line(.@"error", fmt, args);
}

pub fn warn(comptime fmt: []const u8, args: anytype) void {
    line(.warn, fmt, args);
}

pub fn info(comptime fmt: []const u8, args: anytype) void {
    line(.info, fmt, args);
}

pub fn debug(comptime fmt: []const u8, args: anytype) void {
    line(.debug, fmt, args);
}

/// A warning that a peer can cause as often as it likes.
pub fn limited(comptime fmt: []const u8, args: anytype) void {
    if (!shows(.warn)) return;
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

fn shows(at: Level) bool {
    const most = @min(@intFromEnum(thread_level), @intFromEnum(process_level.load(.monotonic)));
    return @intFromEnum(at) <= most;
}

fn line(at: Level, comptime fmt: []const u8, args: anytype) void {
    if (!shows(at)) return;
    var buffer: [line_bytes_max]u8 = undefined;
    stderr.put(format(&buffer, at, fmt, args));
}

/// Cut where the buffer ends.
fn format(
    buffer: *[line_bytes_max]u8,
    at: Level,
    comptime fmt: []const u8,
    args: anytype,
) []const u8 {
    const room = buffer[0 .. buffer.len - 1];
    const body = std.fmt.bufPrint(room, "gyrfalcon {s}: " ++ fmt, .{@tagName(at)} ++ args) catch
        room;
    buffer[body.len] = '\n';
    return buffer[0 .. body.len + 1];
}

const writable: i16 = if (builtin.os.tag == .windows) 0x10 else std.posix.POLL.OUT;

/// Where lines go. Any thread. The calls are raw: in Node.js, writes of libc to standard error
/// become calls of `console`, which come late, in another order, or not at all.
const Output = struct {
    fd: system.File,
    calls: Calls = .{},
    /// Lines that were not taken, whole or to their end, since that was last told.
    lost: std.atomic.Value(u32) = .init(0),
    /// The last line has no end.
    cut: std.atomic.Value(bool) = .init(false),

    /// What tests replace.
    const Calls = struct {
        isReady: *const fn (fd: system.File, events: i16) system.Error!bool = &system.isReady,
        write: *const fn (fd: system.File, bytes: []const u8) system.Error!usize = &system.write,
    };

    fn put(self: *Output, text: []const u8) void {
        if (self.cut.load(.monotonic)) {
            if (!self.write("\n")) return self.lose();
            self.cut.store(false, .monotonic);
        }
        const lost = self.lost.load(.monotonic);
        if (lost > 0) {
            var buffer: [line_bytes_max]u8 = undefined;
            const told = format(&buffer, .warn, "standard error did not take {d} lines", .{lost});
            if (!self.write(told)) return self.lose();
            _ = self.lost.fetchSub(lost, .monotonic);
        }
        if (!self.write(text)) self.lose();
    }

    fn lose(self: *Output) void {
        _ = self.lost.fetchAdd(1, .monotonic);
    }

    /// False when not all of it was taken.
    fn write(self: *Output, text: []const u8) bool {
        var rest = text;
        while (rest.len > 0) {
            // A pipe that nobody empties may be one whose writers wait. Where the system cannot
            // tell (Windows), the line waits with them.
            const ready = self.calls.isReady(self.fd, writable) catch true;
            const n = if (ready) self.calls.write(self.fd, rest) catch 0 else 0;
            if (n == 0) break;
            rest = rest[n..];
        }
        if (rest.len > 0 and rest.len < text.len) self.cut.store(true, .monotonic);
        return rest.len == 0;
    }
};

const testing = std.testing;
const posix = std.posix;

fn expectPiped(fd: posix.fd_t, expected: []const u8) !void {
    var buffer: [2 * line_bytes_max]u8 = undefined;
    const got = try system.read(fd, &buffer);
    try testing.expectEqualStrings(expected, buffer[0..got]);
}

test "a level has the lines of those before it, and the smaller of thread and process holds" {
    const before = setThreadLevel(.warn);
    defer _ = setThreadLevel(before);
    const process_before = process_level.load(.monotonic);
    defer setLevel(process_before);
    setLevel(.debug);
    try testing.expect(shows(.@"error") and shows(.warn));
    try testing.expect(!shows(.info) and !shows(.debug));
    setLevel(.@"error");
    try testing.expect(shows(.@"error") and !shows(.warn));
    setLevel(.silent);
    try testing.expect(!shows(.@"error"));
    setLevel(.debug);
    try testing.expectEqual(.warn, setThreadLevel(.silent));
    try testing.expect(!shows(.@"error"));
    const Other = struct {
        fn run(out: *bool) void {
            out.* = shows(.info) and !shows(.debug);
        }
    };
    var as_usual = false;
    (try system.spawn(Other.run, .{&as_usual})).join();
    try testing.expect(as_usual);
}

test "a line has its level and its end, and is cut where it is too long" {
    var buffer: [line_bytes_max]u8 = undefined;
    try testing.expectEqualStrings("gyrfalcon error: port 80\n", format(
        &buffer,
        .@"error",
        "port {d}",
        .{80},
    ));
    const long = format(&buffer, .info, "{s}", .{"x" ** (2 * line_bytes_max)});
    try testing.expectEqual(line_bytes_max, long.len);
    try testing.expect(std.mem.endsWith(u8, long, "xx\n"));
}

test "a full pipe holds nobody up, and what it did not take is told when it takes lines again" {
    for ([_]bool{ true, false }) |waits| {
        const ends = try system.pipe(.{ .CLOEXEC = true, .NONBLOCK = !waits });
        defer for (ends) |fd| system.close(fd);
        var output: Output = .{ .fd = ends[1] };
        output.put("first\n");
        try expectPiped(ends[0], "first\n");
        const filler = "f" ** 4096;
        var filled: usize = 0;
        while (try system.isReady(ends[1], posix.POLL.OUT)) {
            filled += try system.write(ends[1], filler);
        }
        output.put("lost\n");
        output.put("lost too\n");
        var buffer: [filler.len]u8 = undefined;
        while (filled > 0) filled -= try system.read(ends[0], &buffer);
        output.put("last\n");
        try expectPiped(ends[0], "gyrfalcon warn: standard error did not take 2 lines\nlast\n");
        output.put("after\n");
        try expectPiped(ends[0], "after\n");
    }
}

test "a line that was taken in part is ended before the next, or goes on at once" {
    const Stub = struct {
        var taken: std.BoundedArray(u8, 256) = .{};
        var room: usize = 0;
        var at_once: usize = 0;

        fn isReady(_: posix.fd_t, _: i16) system.Error!bool {
            return true;
        }
        fn write(_: posix.fd_t, bytes: []const u8) system.Error!usize {
            if (room == 0) return error.WouldBlock;
            const n = @min(bytes.len, room, at_once);
            taken.appendSlice(bytes[0..n]) catch unreachable;
            room -= n;
            return n;
        }
    };
    var output: Output = .{ .fd = -1, .calls = .{ .isReady = Stub.isReady, .write = Stub.write } };
    Stub.room = 100;
    Stub.at_once = 2;
    output.put("in pieces\n");
    try testing.expectEqualStrings("in pieces\n", Stub.taken.slice());
    Stub.taken.clear();
    Stub.room = 3;
    output.put("cut off\n");
    output.put("not begun\n");
    Stub.room = 100;
    output.put("last\n");
    try testing.expectEqualStrings(
        "cut\ngyrfalcon warn: standard error did not take 2 lines\nlast\n",
        Stub.taken.slice(),
    );
}

test "standard error that is closed is no matter" {
    var output: Output = .{ .fd = -1 };
    output.put("nobody reads this\n");
    try testing.expectEqual(1, output.lost.load(.monotonic));
}
