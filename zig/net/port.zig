//! What other threads see of a worker: a queue of accepted sockets,
//! a way to wake it, and what it is asked to do.

const std = @import("std");
const limits = @import("../core/limits.zig");
const orders = @import("../core/orders.zig").wake;
const Spsc = @import("../core/spsc.zig").Spsc;
const io = @import("../io/io.zig");

pub const Port = struct {
    accepted: Spsc(io.Accepted, limits.accept_queue_length) = .{},
    /// Sockets handed over and not closed yet. The acceptor adds, the worker subtracts: on a line
    /// of its own, so that what the worker reads in each turn is not taken from it.
    open: std.atomic.Value(u32) align(std.atomic.cache_line) = .init(0),
    /// Monotonic ms at which a worker that drains closes what is left; 0 while it serves.
    drain_deadline_ms: std.atomic.Value(u64) align(std.atomic.cache_line) = .init(0),
    /// Connections that the worker has room for.
    capacity: u32,
    /// The server is about to stop, and another takes its place: responses announce the end of
    /// their connections, so that clients make new ones.
    retiring: std.atomic.Value(bool) = .init(false),
    bell: io.Bell = .none,
    /// 1 while the worker sleeps or is about to. Whoever exchanges it to 0 sends the wake.
    asleep: *u32,

    /// Wakes the worker if it sleeps. Publish first, then call.
    pub fn wake(self: *Port, comptime Io: type) void {
        if (@atomicRmw(u32, self.asleep, .Xchg, 0, orders.take) == 1) Io.ring(self.bell);
    }
};

test "what the acceptor and the worker both write shares its cache line with nothing" {
    const line = std.atomic.cache_line;
    const open = @offsetOf(Port, "open") / line;
    inline for (.{ "accepted", "drain_deadline_ms", "capacity", "bell", "asleep" }) |name| {
        const first = @offsetOf(Port, name) / line;
        const bytes = @sizeOf(@FieldType(Port, name));
        const last = (@offsetOf(Port, name) + bytes - 1) / line;
        try std.testing.expect(open < first or open > last);
    }
}
