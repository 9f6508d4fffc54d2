//! What other threads see of a worker: a queue of accepted sockets,
//! a way to wake it, and what it is asked to do.

const std = @import("std");
const posix = std.posix;
const limits = @import("../core/limits.zig");
const Spsc = @import("../core/spsc.zig").Spsc;
const Address = @import("../core/address.zig").Address;

pub const Accepted = struct { fd: posix.socket_t, peer: Address };

pub const Port = struct {
    accepted: Spsc(Accepted, limits.accept_queue_length) = .{},
    /// Connections that the worker has room for.
    capacity: u32,
    /// Sockets handed over and not closed yet. The acceptor adds, the worker subtracts.
    open: std.atomic.Value(u32) align(64) = .init(0),
    /// Monotonic ms at which a worker that drains closes what is left; 0 while it serves.
    drain_deadline_ms: std.atomic.Value(u64) = .init(0),
    wake_fd: posix.fd_t = -1,
    /// 1 while the worker sleeps or is about to. Whoever exchanges it to 0 sends the wake.
    asleep: *u32,

    /// Wakes the worker if it sleeps. Publish first, then call.
    pub fn wake(self: *Port, comptime Io: type) void {
        if (@atomicRmw(u32, self.asleep, .Xchg, 0, .seq_cst) == 1) Io.signal(self.wake_fd);
    }
};
