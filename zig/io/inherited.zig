//! Sockets that a service manager opened and started this process with (sd_listen_fds(3)).

const builtin = @import("builtin");
const std = @import("std");
const posix = std.posix;
const limits = @import("../core/limits.zig");
const system = @import("../core/system.zig");

/// The first of them; the others follow.
const first_fd: posix.fd_t = 3;

pub const sockets_max = limits.listeners_max;
pub const Sockets = std.BoundedArray(posix.fd_t, sockets_max);

pub const Error = error{
    /// LISTEN_FDS is no number.
    Malformed,
    TooMany,
};

extern "c" fn unsetenv(name: [*:0]const u8) c_int;

/// What LISTEN_FDS names, if LISTEN_PID says that it is meant for this process: none if it is not.
/// The variables are gone afterwards, so that no program that is started from here takes them for
/// its own. Called once, before there are other threads.
pub fn take() Error!Sockets {
    if (builtin.os.tag == .windows) return .{}; // no service manager hands over any there
    const fds = variable("LISTEN_FDS");
    const pid = variable("LISTEN_PID");
    defer for ([_][*:0]const u8{ "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES" }) |name| {
        _ = unsetenv(name); // it fails for names that are none
    };
    return parse(fds, pid, system.processId());
}

fn variable(name: [*:0]const u8) ?[]const u8 {
    return std.mem.span(std.c.getenv(name) orelse return null);
}

fn parse(fds: ?[]const u8, pid: ?[]const u8, own_pid: posix.pid_t) Error!Sockets {
    var sockets: Sockets = .{};
    const meant_for = std.fmt.parseInt(posix.pid_t, pid orelse return sockets, 10) catch
        return sockets;
    if (meant_for != own_pid) return sockets;
    const count = std.fmt.parseInt(u32, fds orelse return sockets, 10) catch
        return error.Malformed;
    if (count > limits.listeners_max) return error.TooMany;
    for (0..count) |i| sockets.appendAssumeCapacity(first_fd + @as(posix.fd_t, @intCast(i)));
    return sockets;
}

const testing = std.testing;

test "sockets are taken that are meant for this process, and no others" {
    const sockets = try parse("2", "77", 77);
    try testing.expectEqualSlices(posix.fd_t, &.{ 3, 4 }, sockets.constSlice());
    const none = [_][2]?[]const u8{
        .{ null, null },  .{ "1", null }, .{ null, "77" },
        .{ "1", "78" },   .{ "1", "" },   .{ "1", "x77" },
        .{ "many", "1" }, .{ "0", "77" },
    };
    for (none) |pair| try testing.expectEqual(0, (try parse(pair[0], pair[1], 77)).len);
    try testing.expectError(error.Malformed, parse("many", "77", 77));
    try testing.expectError(error.Malformed, parse("-1", "77", 77));
    try testing.expectError(error.TooMany, parse("17", "77", 77));
}
