//! What backends that are told of readiness do with a socket without waiting for it: system calls
//! whose every answer is a result.

const std = @import("std");
const posix = std.posix;
const Address = @import("../core/address.zig").Address;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const clock = @import("../core/clock.zig");
const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const io = @import("io.zig");
const socket = @import("socket.zig");

/// A socket that is being connected to `endpoint`. It has become writable when that has ended.
pub fn beginConnect(endpoint: *const Endpoint) system.Error!posix.socket_t {
    const fd = try socket.open(endpoint.family());
    errdefer system.close(fd);
    if (endpoint.* != .unix) socket.setNodelay(fd);
    var address: Endpoint.System = undefined;
    const len = endpoint.toSystem(&address);
    system.connect(fd, &address.any, len) catch |err| switch (err) {
        error.ConnectionPending, error.Interrupted => {},
        else => return err,
    };
    return fd;
}

/// What became of a connect that has ended.
pub fn connected(fd: posix.socket_t) io.Connecting {
    const code = system.socketOption(c_int, fd, posix.SOL.SOCKET, posix.SO.ERROR) catch |err|
        return .{ .failed = err };
    if (code == 0) return .connected;
    const errno = std.meta.intToEnum(system.Errno, code) catch
        return .{ .failed = error.Unexpected };
    return .{ .failed = system.errorOf(errno) };
}

/// How long a poll looks for events before it sleeps.
pub const BusyPoll = struct {
    began_us: u64,
    busy_us: u32,
    timeout_ms: i32,
    /// What may be slept afterwards, ms; -1: for ever.
    left_ms: i32,

    pub fn begin(busy_us: u32, timeout_ms: i32) BusyPoll {
        return .{
            .began_us = clock.monotonicUs(),
            .busy_us = busy_us,
            .timeout_ms = timeout_ms,
            .left_ms = timeout_ms,
        };
    }

    /// Whether to look once more.
    pub fn goesOn(self: *BusyPoll) bool {
        std.atomic.spinLoopHint();
        const spent_us = clock.monotonicUs() -| self.began_us;
        if (self.timeout_ms > 0) {
            const spent_ms: i32 = @intCast(@min(spent_us / 1000, std.math.maxInt(i32)));
            self.left_ms = self.timeout_ms -| spent_ms;
            if (self.left_ms <= 0) {
                self.left_ms = 0;
                return false;
            }
        }
        return spent_us < self.busy_us;
    }
};

/// Rings a bell that is an eventfd. It cannot fail for want of room: the counter holds 2^64 - 2.
pub fn ring(bell: io.Bell) void {
    _ = system.write(bell.descriptor(), std.mem.asBytes(&@as(u64, 1))) catch |err| {
        log.limited("a worker could not be woken: {s}", .{@errorName(err)});
    };
}

/// One call. `more` holds the last segment back for what follows at once, where the system can.
pub fn send(fd: system.Socket, iovecs: []const posix.iovec_const, more: bool) io.SendResult {
    return .{ .sent = system.send(fd, iovecs, more) catch |err| return switch (err) {
        error.WouldBlock, error.SystemResources => .would_block,
        else => .failed,
    } };
}

pub fn sendFile(fd: system.Socket, file: system.File, offset: u64, len: u64) io.SendResult {
    return .{ .sent = system.sendFile(fd, file, offset, len) catch |err| return switch (err) {
        error.WouldBlock => .would_block,
        else => .failed,
    } };
}

pub const Received = union(enum) { bytes: []u8, eof, would_block, failed };

/// What is there, as much as `buffer` holds.
pub fn receive(fd: system.Socket, buffer: []u8) Received {
    const count = system.receive(fd, buffer) catch |err| return switch (err) {
        error.WouldBlock, error.SystemResources => .would_block, // told again
        else => .failed,
    };
    return if (count == 0) .eof else .{ .bytes = buffer[0..count] };
}

/// Not known: as good as none.
pub fn hasInput(fd: system.Socket) bool {
    return system.isReady(fd, posix.POLL.IN) catch false;
}

/// Accepts what waits at a listener, at most `limits.accept_batch` sockets, and calls `context`
/// back for each. True when there may be more.
pub fn acceptBatch(fd: posix.socket_t, token: io.Token, context: anytype) bool {
    var refusal: system.Error = error.Unexpected;
    var refused: u32 = 0;
    for (0..limits.accept_batch) |_| {
        if (!context.wantsMore(token)) return false;
        var address: Endpoint.System = undefined;
        var len: posix.socklen_t = undefined;
        const accepted = system.accept(fd, &address.storage, &len) catch |err| {
            if (err == error.WouldBlock) return false;
            const failure: io.AcceptError = .of(err);
            if (failure != .refused) {
                context.onAcceptFailed(token, failure);
                return false;
            }
            refused += 1;
            refusal = err;
            continue; // with the next client
        };
        const peer = Address.fromSystem(&address.any, len);
        context.onAccept(token, .{ .fd = accepted, .peer = peer });
    }
    if (refused < limits.accept_batch) return true;
    // Whatever fails does not pass.
    context.onAcceptFailed(token, .{ .refused = refusal });
    return false;
}
