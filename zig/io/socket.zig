//! Listening sockets.

const std = @import("std");
const posix = std.posix;
const Address = @import("../core/address.zig").Address;

pub const Listener = struct {
    fd: posix.socket_t,
    /// As bound: `port` is the one the system picked when 0 was asked for.
    address: Address,
};

pub const ListenOptions = struct {
    /// Name or address. "" and "::" listen on IPv6 and IPv4 alike,
    /// or on IPv4 alone where the system has no IPv6.
    hostname: []const u8,
    port: u16,
    backlog: u31,
};

pub const ListenError = error{
    AddressInUse,
    AddressNotAvailable,
    AccessDenied,
    UnknownHost,
    SystemResources,
    Unexpected,
};

/// A non-blocking listening socket.
pub fn listen(gpa: std.mem.Allocator, options: ListenOptions) ListenError!Listener {
    if (options.hostname.len == 0 or std.mem.eql(u8, options.hostname, "::")) {
        const any6 = std.net.Address.initIp6([_]u8{0} ** 16, options.port, 0, 0);
        return bind(any6, options.backlog, true) catch |err| switch (err) {
            error.AddressFamilyNotSupported, error.AddressNotAvailable => {
                const any4 = std.net.Address.initIp4(.{ 0, 0, 0, 0 }, options.port);
                return bind(any4, options.backlog, false) catch |e| narrow(e);
            },
            else => return narrow(err),
        };
    }
    const address = std.net.Address.parseIp(options.hostname, options.port) catch
        return listenByName(gpa, options);
    return bind(address, options.backlog, false) catch |err| narrow(err);
}

fn listenByName(gpa: std.mem.Allocator, options: ListenOptions) ListenError!Listener {
    const list = std.net.getAddressList(gpa, options.hostname, options.port) catch |err|
        return switch (err) {
            error.OutOfMemory => error.SystemResources,
            else => error.UnknownHost,
        };
    defer list.deinit();
    // IPv4 first: it is what "localhost" means to most clients.
    for ([_]u16{ posix.AF.INET, posix.AF.INET6 }) |family| {
        for (list.addrs) |address| {
            if (address.any.family != family) continue;
            return bind(address, options.backlog, false) catch |err| switch (err) {
                error.AddressFamilyNotSupported, error.AddressNotAvailable => continue,
                else => return narrow(err),
            };
        }
    }
    return error.UnknownHost;
}

fn bind(address: std.net.Address, backlog: u31, dual: bool) !Listener {
    const kind = posix.SOCK.STREAM | posix.SOCK.NONBLOCK | posix.SOCK.CLOEXEC;
    const fd = try posix.socket(address.any.family, kind, posix.IPPROTO.TCP);
    errdefer posix.close(fd);
    try setOption(fd, posix.SOL.SOCKET, posix.SO.REUSEADDR, 1);
    if (address.any.family == posix.AF.INET6) {
        try setOption(fd, posix.IPPROTO.IPV6, std.os.linux.IPV6.V6ONLY, @intFromBool(!dual));
    }
    try posix.bind(fd, &address.any, address.getOsSockLen());
    try posix.listen(fd, backlog);
    var storage: posix.sockaddr.storage = undefined;
    var len: posix.socklen_t = @sizeOf(posix.sockaddr.storage);
    try posix.getsockname(fd, @ptrCast(&storage), &len);
    const any: *align(4) const posix.sockaddr = @alignCast(@ptrCast(&storage));
    return .{ .fd = fd, .address = Address.fromStd(std.net.Address.initPosix(any)) };
}

fn setOption(fd: posix.socket_t, level: i32, option: u32, value: c_int) !void {
    try posix.setsockopt(fd, level, option, std.mem.asBytes(&value));
}

/// Sends small writes at once (RFC 9293 §3.7.4's Nagle algorithm off).
/// Failure leaves a slower, working connection.
pub fn setNoDelay(fd: posix.socket_t) void {
    setOption(fd, posix.IPPROTO.TCP, posix.TCP.NODELAY, 1) catch {};
}

/// A close is a reset from now on. Failure leaves a close that looks like an end.
pub fn setResetOnClose(fd: posix.socket_t) void {
    const linger = extern struct { on: c_int = 1, seconds: c_int = 0 }{};
    posix.setsockopt(fd, posix.SOL.SOCKET, posix.SO.LINGER, std.mem.asBytes(&linger)) catch {};
}

fn narrow(err: anyerror) ListenError {
    return switch (err) {
        error.AddressInUse => error.AddressInUse,
        error.AddressNotAvailable => error.AddressNotAvailable,
        error.AccessDenied, error.PermissionDenied => error.AccessDenied,
        error.SystemResources,
        error.ProcessFdQuotaExceeded,
        error.SystemFdQuotaExceeded,
        => error.SystemResources,
        else => error.Unexpected,
    };
}

const testing = std.testing;

fn listenOn(hostname: []const u8, port: u16) ListenError!Listener {
    return listen(testing.allocator, .{ .hostname = hostname, .port = port, .backlog = 8 });
}

test "a listener on port 0 tells the port it got, and a second one on that port is refused" {
    const first = try listenOn("127.0.0.1", 0);
    defer posix.close(first.fd);
    try testing.expect(first.address.port != 0);
    try testing.expectError(error.AddressInUse, listenOn("127.0.0.1", first.address.port));
}

test "localhost is a name that can be listened on; an unknown one is told" {
    const listener = try listenOn("localhost", 0);
    posix.close(listener.fd);
    try testing.expectError(error.UnknownHost, listenOn("no.such.host.invalid", 0));
}
