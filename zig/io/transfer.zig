//! What backends of Linux do with a socket without waiting for it: system calls whose every answer
//! is a result.

const std = @import("std");
const linux = std.os.linux;
const posix = std.posix;
const Address = @import("../core/address.zig").Address;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
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
    const code = system.socketOption(c_int, fd, linux.SOL.SOCKET, linux.SO.ERROR) catch |err|
        return .{ .failed = err };
    if (code == 0) return .connected;
    const errno = std.meta.intToEnum(linux.E, code) catch return .{ .failed = error.Unexpected };
    return .{ .failed = system.errorOf(errno) };
}

/// Rings a bell that is an eventfd. It cannot fail for want of room: the counter holds 2^64 - 2.
pub fn ring(bell: io.Bell) void {
    _ = system.write(bell.descriptor(), std.mem.asBytes(&@as(u64, 1))) catch |err| {
        log.limited("a worker could not be woken: {s}", .{@errorName(err)});
    };
}

/// One `sendmsg`. `more` holds the last segment back for what follows at once (MSG_MORE).
pub fn send(fd: posix.socket_t, iovecs: []const posix.iovec_const, more: bool) io.SendResult {
    const hold_back: u32 = if (more) linux.MSG.MORE else 0;
    const flags: u32 = linux.MSG.NOSIGNAL | linux.MSG.DONTWAIT | hold_back;
    while (true) {
        const rc = if (iovecs.len == 1)
            linux.sendto(fd, iovecs[0].base, iovecs[0].len, flags, null, 0)
        else blk: {
            const message: linux.msghdr_const = .{
                .name = null,
                .namelen = 0,
                .iov = iovecs.ptr,
                .iovlen = @intCast(iovecs.len), // the count is small
                .control = null,
                .controllen = 0,
                .flags = 0,
            };
            break :blk linux.sendmsg(fd, &message, flags);
        };
        switch (linux.E.init(rc)) {
            .SUCCESS => return .{ .sent = rc },
            .INTR => continue,
            .AGAIN, .NOBUFS, .NOMEM => return .would_block,
            else => return .failed,
        }
    }
}

pub fn sendFile(fd: posix.socket_t, file: posix.fd_t, offset: u64, len: u64) io.SendResult {
    var at: i64 = @intCast(offset);
    const count: usize = @intCast(len);
    while (true) {
        const rc = linux.sendfile(fd, file, &at, count);
        switch (linux.E.init(rc)) {
            .SUCCESS => return .{ .sent = rc },
            .INTR => continue,
            .AGAIN => return .would_block,
            else => return .failed,
        }
    }
}

pub const Received = union(enum) { bytes: []u8, eof, would_block, failed };

/// What is there, as much as `buffer` holds.
pub fn receive(fd: posix.socket_t, buffer: []u8) Received {
    const rc = linux.recvfrom(fd, buffer.ptr, buffer.len, linux.MSG.DONTWAIT, null, null);
    return switch (linux.E.init(rc)) {
        .SUCCESS => if (rc == 0) .eof else .{ .bytes = buffer[0..rc] },
        .AGAIN, .INTR, .NOBUFS, .NOMEM => .would_block, // told again
        else => .failed,
    };
}

/// Not known: as good as none.
pub fn hasInput(fd: posix.socket_t) bool {
    return system.isReady(fd, linux.POLL.IN) catch false;
}

/// SIOCOUTQ (tcp(7)).
pub fn inFlight(fd: posix.socket_t) u64 {
    var bytes: c_int = 0;
    const rc = linux.ioctl(fd, linux.T.IOCOUTQ, @intFromPtr(&bytes));
    return if (linux.E.init(rc) == .SUCCESS) @intCast(@max(bytes, 0)) else 0;
}

/// Accepts what waits at a listener, at most `limits.accept_batch` sockets, and calls `context`
/// back for each. True when there may be more.
pub fn acceptBatch(fd: posix.socket_t, token: io.Token, context: anytype) bool {
    var refusal: system.Error = error.Unexpected;
    var refused: u32 = 0;
    for (0..limits.accept_batch) |_| {
        if (!context.wantsMore(token)) return false;
        var address: Endpoint.System = undefined;
        var len: posix.socklen_t = @sizeOf(Endpoint.System);
        const flags = posix.SOCK.NONBLOCK | posix.SOCK.CLOEXEC;
        const rc = linux.accept4(fd, &address.any, &len, flags);
        switch (linux.E.init(rc)) {
            .SUCCESS => {
                const peer = Address.fromSystem(&address.any, len);
                context.onAccept(token, .{ .fd = @intCast(rc), .peer = peer });
            },
            .AGAIN => return false,
            // The peer left, a signal came, or the network had a passing fault (accept(2)):
            // on to the next.
            .INTR,
            .CONNABORTED,
            .PROTO,
            .NETDOWN,
            .NOPROTOOPT,
            .HOSTDOWN,
            .NONET,
            .HOSTUNREACH,
            .OPNOTSUPP,
            .NETUNREACH,
            .PERM,
            => |errno| {
                refused += 1;
                refusal = system.errorOf(errno);
            },
            .MFILE, .NFILE, .NOBUFS, .NOMEM => {
                context.onAcceptFailed(token, .exhausted);
                return false;
            },
            else => |errno| {
                context.onAcceptFailed(token, .{ .fatal = system.errorOf(errno) });
                return false;
            },
        }
    }
    if (refused < limits.accept_batch) return true;
    // Whatever fails does not pass.
    context.onAcceptFailed(token, .{ .refused = refusal });
    return false;
}
