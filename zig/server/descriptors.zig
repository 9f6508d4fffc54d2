//! File descriptors: enough of them, their table grown before clients wait for it, and no more
//! connections than there are descriptors for.

const builtin = @import("builtin");
const std = @import("std");
const posix = std.posix;
const file_handle = @import("../core/file_handle.zig");
const system = @import("../core/system.zig");

/// Descriptors that connections leave to files which are sent and to the rest of the program. Of a
/// low limit it is a quarter.
const spare_max = 256;

/// Connections of all servers in this process, so that the limit is raised for all of them.
var connections_total: std.atomic.Value(u64) = .init(0);

pub const Needs = struct {
    /// Connections that are to be served at a time.
    connections: u32,
    /// What the engine is about to open beside them.
    engine: u32,
};

pub const Plan = struct {
    /// Connections that there are descriptors for: at least 1, at most what was asked for.
    connections: u32,
    /// The limit in force; null where the system does not tell.
    limit: ?u64,

    /// When the server is gone.
    pub fn release(self: Plan) void {
        _ = connections_total.fetchSub(self.connections, .monotonic);
    }
};

/// Raises the soft limit to what is needed, as far as the hard limit lets, and has the kernel size
/// the descriptor table now: growing it while threads run stalls `accept` for tens of milliseconds.
/// `descriptor` is any that is open.
pub fn prepare(needs: Needs, descriptor: system.Socket) Plan {
    const plan = planFor(.{
        .connections = needs.connections,
        .engine = needs.engine + file_handle.kept_max.load(.monotonic),
    }, descriptor);
    _ = connections_total.fetchAdd(plan.connections, .monotonic);
    return plan;
}

fn planFor(needs: Needs, descriptor: system.Socket) Plan {
    // There is no limit of descriptors, and no table to grow.
    if (builtin.os.tag == .windows) return .{ .connections = needs.connections, .limit = null };
    // The lowest that is free is given out next: about as many are open.
    const open: u64 = if (system.duplicate(descriptor, 0)) |lowest| blk: {
        system.close(lowest);
        break :blk @intCast(lowest);
    } else |_| 0;
    const others = connections_total.load(.monotonic);
    const wanted = others + needs.connections + open + needs.engine + spare_max;
    const limit = raisedLimit(wanted) orelse return .{
        .connections = needs.connections,
        .limit = null, // accepting rests when they run out
    };
    const highest: u31 = @intCast(@min(wanted, limit -| 1, 1 << 20));
    if (system.duplicate(descriptor, highest)) |copy| system.close(copy) else |_| {}
    return .{ .connections = connectionsWithin(limit, open, needs), .limit = limit };
}

/// The limit that holds now: raised to `wanted`, or as far as it goes. Null: it cannot be told.
fn raisedLimit(wanted: u64) ?u64 {
    const limit = system.fileLimit() catch return null;
    const raised = @min(wanted, limit.most);
    if (limit.now >= raised) return limit.now;
    // Where it may not be raised, it stays as it is.
    system.setFileLimit(raised) catch return limit.now;
    return raised;
}

fn connectionsWithin(limit: u64, open: u64, needs: Needs) u32 {
    const spare = @min(spare_max, limit / 4);
    const left = limit -| open -| needs.engine -| spare;
    return @intCast(std.math.clamp(left, 1, needs.connections));
}

const testing = std.testing;

test "connections leave descriptors to the engine, to files and to the program" {
    const needs: Needs = .{ .connections = 10_000, .engine = 6 };
    try testing.expectEqual(10_000, connectionsWithin(20_000, 20, needs));
    try testing.expectEqual(10_000, connectionsWithin(std.math.maxInt(u64), 20, needs));
    try testing.expectEqual(1024 - 20 - 6 - 256, connectionsWithin(1024, 20, needs));
    try testing.expectEqual(40 - 10 - 6 - 10, connectionsWithin(40, 10, needs));
    try testing.expectEqual(1, connectionsWithin(8, 10, needs));
    try testing.expectEqual(1, connectionsWithin(0, 0, needs));
}

test "the limit is raised or left, and the descriptor lent is still open" {
    const fd = try posix.open("/dev/null", .{ .CLOEXEC = true }, 0);
    defer posix.close(fd);
    const before = try posix.getrlimit(.NOFILE);
    const plan = prepare(.{ .connections = 64, .engine = 4 }, fd);
    defer plan.release();
    try testing.expect(plan.limit.? >= before.cur);
    try testing.expectEqual(plan.limit.?, (try posix.getrlimit(.NOFILE)).cur);
    try testing.expect(std.c.fcntl(fd, posix.F.GETFD) >= 0);
    const second = prepare(.{ .connections = 1, .engine = 4 }, fd);
    try testing.expectEqual(65, connections_total.load(.monotonic));
    second.release();
    try testing.expectEqual(64, connections_total.load(.monotonic));
}
