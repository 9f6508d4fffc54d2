//! The other end of a stream, for tests: a socket that does not wait.

const builtin = @import("builtin");
const std = @import("std");
const posix = std.posix;
const system = @import("../core/system.zig");

const is_windows = builtin.os.tag == .windows;

/// Two sockets that are connected to each other.
pub fn socketPair() ![2]system.Socket {
    if (is_windows) return tcpPair();
    const linux = std.os.linux;
    var fds: [2]i32 = undefined;
    const rc = linux.socketpair(linux.AF.UNIX, linux.SOCK.STREAM | linux.SOCK.NONBLOCK, 0, &fds);
    if (linux.E.init(rc) != .SUCCESS) return error.SocketPair;
    return fds;
}

/// Windows has no pairs.
fn tcpPair() ![2]system.Socket {
    const listener = try system.streamSocket(posix.AF.INET);
    defer system.closeSocket(listener);
    var local: posix.sockaddr.in = .{ .port = 0, .addr = std.mem.nativeToBig(u32, 0x7f00_0001) };
    try system.bind(listener, @ptrCast(&local), @sizeOf(posix.sockaddr.in));
    try system.listen(listener, 1);
    var name: posix.sockaddr.storage = undefined;
    var len = try system.socketName(listener, &name);
    const client = try system.streamSocket(posix.AF.INET);
    errdefer system.closeSocket(client);
    system.connect(client, @ptrCast(&name), len) catch |err|
        if (err != error.ConnectionPending) return err;
    for (0..5000) |_| {
        const accepted = system.accept(listener, &name, &len) catch |err| {
            if (err != error.WouldBlock) return err;
            system.sleepMs(1);
            continue;
        };
        return .{ accepted, client };
    }
    return error.SocketPair;
}

/// As much as the socket takes.
pub fn say(fd: system.Socket, bytes: []const u8) !usize {
    return system.send(fd, &.{.{ .base = bytes.ptr, .len = bytes.len }}, false);
}

/// What comes within five seconds. 0: the end.
pub fn hear(fd: system.Socket, buffer: []u8) !usize {
    for (0..5000) |_| {
        return system.receive(fd, buffer) catch |err| {
            if (err != error.WouldBlock) return err;
            system.sleepMs(1);
            continue;
        };
    }
    return error.Silence;
}
