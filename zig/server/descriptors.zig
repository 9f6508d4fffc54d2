//! File descriptors: enough of them, and their table grown before clients wait for it.

const std = @import("std");
const posix = std.posix;

/// Descriptors that a server holds besides its connections: listener, epoll,
/// events, files being sent, the program's own.
const spare = 256;
/// fcntl(2)'s F_DUPFD_CLOEXEC on Linux, which std does not name.
const f_dupfd_cloexec: c_int = 1030;

/// Raises the soft limit towards what `connections_max` connections need, as far as the hard limit
/// lets, and has the kernel size the descriptor table now: growing it while threads run stalls
/// `accept` for tens of milliseconds. Returns the limit in force.
pub fn prepare(connections_max: u32, descriptor: posix.fd_t) u64 {
    const wanted: u64 = @as(u64, connections_max) + spare;
    // Unknown: accepting rests when they run out.
    var limit = posix.getrlimit(.NOFILE) catch return 0;
    if (limit.cur < wanted and limit.cur < limit.max) {
        const raised: posix.rlimit = .{ .cur = @min(wanted, limit.max), .max = limit.max };
        if (posix.setrlimit(.NOFILE, raised)) limit = raised else |_| {} // the limit stays as it is
    }
    const highest: c_int = @intCast(@min(wanted, limit.cur -| 1, 1 << 20));
    const copy = std.c.fcntl(descriptor, f_dupfd_cloexec, highest);
    if (copy >= 0) posix.close(copy);
    return limit.cur;
}

test "the limit is raised or left, and the descriptor lent is still open" {
    const fd = try posix.open("/dev/null", .{ .CLOEXEC = true }, 0);
    defer posix.close(fd);
    const before = try posix.getrlimit(.NOFILE);
    const now = prepare(64, fd);
    try std.testing.expect(now >= @min(before.cur, 64 + spare));
    try std.testing.expect(std.c.fcntl(fd, posix.F.GETFD) >= 0);
}
