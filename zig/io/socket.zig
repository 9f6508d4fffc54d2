//! Listening sockets: made here or inherited, and the options that every connection gets from them.

const builtin = @import("builtin");
const std = @import("std");
const assert = std.debug.assert;
const linux = std.os.linux;
const posix = std.posix;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");

const is_windows = builtin.os.tag == .windows;

/// What a listening socket is made with. Connections inherit all of it but the backlog (tcp(7)), so
/// that accepting one takes no further call. A unix socket has none but the backlog.
pub const Options = struct {
    /// Waiting connections that the kernel holds.
    backlog: u31,
    /// Other sockets, also of other processes of this user, may listen on the same port.
    reuse_port: bool = false,
    /// Small writes leave at once (RFC 9293 §3.7.4's Nagle algorithm off).
    nodelay: bool = true,
    /// A connection on which nothing moves for so long is asked whether its peer is still there,
    /// ms, in whole seconds; 0: never.
    keepalive_ms: u32 = 0,
    /// A peer that does not acknowledge, or takes nothing, for so long is gone, ms. Longer than
    /// what `keepalive_ms` comes to; 0: the system's own patience, which is a quarter of an hour.
    user_timeout_ms: u32 = 0,
};

/// What systems number in ways of their own: tcp(4) of BSD and tcp(7) of Linux.
const option = switch (builtin.os.tag) {
    .linux => struct {
        const accepting = linux.SO.ACCEPTCONN;
        const reuse_port = linux.SO.REUSEPORT;
        const only_ip6 = linux.IPV6.V6ONLY;
        const nodelay = linux.TCP.NODELAY;
        const keepalive_idle = linux.TCP.KEEPIDLE;
        const keepalive_interval = linux.TCP.KEEPINTVL;
        const keepalive_count = linux.TCP.KEEPCNT;
        const user_timeout = linux.TCP.USER_TIMEOUT;
        const user_timeout_unit_ms = 1;
    },
    .macos => struct {
        const accepting = 0x02; // SO_ACCEPTCONN
        const reuse_port = 0x0200; // SO_REUSEPORT
        const only_ip6 = 27; // IPV6_V6ONLY
        const nodelay = 0x01; // TCP_NODELAY
        const keepalive_idle = 0x10; // TCP_KEEPALIVE
        const keepalive_interval = 0x101; // TCP_KEEPINTVL
        const keepalive_count = 0x102; // TCP_KEEPCNT
        const user_timeout = 0x80; // TCP_RXT_CONNDROPTIME
        const user_timeout_unit_ms = 1000;
    },
    .freebsd => struct {
        const accepting = 0x02; // SO_ACCEPTCONN
        const reuse_port = 0x10000; // SO_REUSEPORT_LB: the other one shares nothing out
        const only_ip6 = 27; // IPV6_V6ONLY
        const nodelay = 1; // TCP_NODELAY
        const keepalive_idle = 256; // TCP_KEEPIDLE
        const keepalive_interval = 512; // TCP_KEEPINTVL
        const keepalive_count = 1024; // TCP_KEEPCNT
        const user_timeout = 68; // TCP_MAXUNACKTIME
        const user_timeout_unit_ms = 1000;
    },
    .windows => struct {
        const accepting = 0x02; // SO_ACCEPTCONN
        const only_ip6 = 27; // IPV6_V6ONLY
        const nodelay = 1; // TCP_NODELAY
        const keepalive_idle = 3; // TCP_KEEPIDLE
        const keepalive_interval = 17; // TCP_KEEPINTVL
        const keepalive_count = 16; // TCP_KEEPCNT
        const user_timeout = 5; // TCP_MAXRT
        const user_timeout_unit_ms = 1000;
    },
    else => @compileError("these options are not known of this system"),
};

/// What a connection without a sign of life is asked before it is given up.
const keepalive_probes = 3;

/// How long the silence of a peer that is gone lasts at most until it is noticed, ms.
pub fn silenceMs(keepalive_ms: u32) u64 {
    const times = keepaliveTimes(keepalive_ms);
    return (@as(u64, times.idle_s) + @as(u64, times.interval_s) * keepalive_probes) * 1000;
}

const KeepaliveTimes = struct { idle_s: u32, interval_s: u32 };

fn keepaliveTimes(keepalive_ms: u32) KeepaliveTimes {
    const idle_s = @max(1, std.math.divCeil(u32, keepalive_ms, 1000) catch unreachable);
    return .{ .idle_s = idle_s, .interval_s = @max(1, idle_s / keepalive_probes) };
}

/// A socket that listens on `endpoint`; the port may be 0. On `Endpoint.any6` connections over IPv4
/// come in too.
pub fn listen(endpoint: *const Endpoint, options: Options) system.Error!posix.socket_t {
    const fd = try open(endpoint.family());
    errdefer system.closeSocket(fd);
    switch (endpoint.*) {
        .unix => {},
        .ip4, .ip6 => {
            try setReuse(fd, options.reuse_port);
            setTcpOptions(fd, options);
        },
    }
    if (endpoint.* == .ip6) {
        const only6: c_int = @intFromBool(!endpoint.isAny());
        try setOption(fd, ip6_level, option.only_ip6, only6);
    }
    try bind(fd, endpoint);
    try system.listen(fd, options.backlog);
    return fd;
}

const ip6_level = if (is_windows) 41 else posix.IPPROTO.IPV6;

/// A port whose last connections are about to end is free, and others may have it as well if
/// `shared`.
fn setReuse(fd: system.Socket, shared: bool) system.Error!void {
    if (is_windows) {
        // SO_REUSEADDR lets any other take the port away there. It is free without that as well.
        if (shared) return error.NotSupported;
        const exclusive: u32 = @bitCast(~@as(i32, posix.SO.REUSEADDR)); // SO_EXCLUSIVEADDRUSE
        return setOption(fd, posix.SOL.SOCKET, exclusive, 1);
    }
    try setOption(fd, posix.SOL.SOCKET, posix.SO.REUSEADDR, 1);
    if (shared) try setOption(fd, posix.SOL.SOCKET, option.reuse_port, 1);
}

/// A stream socket of `family`, bound to nothing.
pub fn open(family: u32) system.Error!posix.socket_t {
    return system.streamSocket(family);
}

pub fn bind(fd: posix.socket_t, endpoint: *const Endpoint) system.Error!void {
    var address: Endpoint.System = undefined;
    const len = endpoint.toSystem(&address);
    try system.bind(fd, &address.any, len);
}

pub const InheritError = error{
    /// It is no socket for streams, or of a family that is not served.
    WrongKind,
    /// It is a socket, and nobody has called listen(2).
    NotListening,
} || system.Error;

/// Makes a listening socket that this process was started with fit for an engine: it does not
/// block, is not inherited by others in turn, and hands its options on to its connections.
pub fn inherit(fd: posix.socket_t, options: Options) InheritError!void {
    const kind = try system.socketOption(c_int, fd, posix.SOL.SOCKET, posix.SO.TYPE);
    if (kind != posix.SOCK.STREAM) return error.WrongKind;
    var address: Endpoint.System = undefined;
    _ = try system.socketName(fd, &address.storage);
    switch (address.any.family) {
        posix.AF.INET, posix.AF.INET6, posix.AF.UNIX => {},
        else => return error.WrongKind,
    }
    if (try system.socketOption(c_int, fd, posix.SOL.SOCKET, option.accepting) == 0)
        return error.NotListening;
    try system.setNonBlocking(fd);
    try system.setCloseOnExec(fd);
    if (address.any.family != posix.AF.UNIX) setTcpOptions(fd, options);
}

/// What `fd` is bound to.
pub fn endpointOf(fd: posix.socket_t) system.Error!Endpoint {
    var address: Endpoint.System = undefined;
    const len = try system.socketName(fd, &address.storage);
    return Endpoint.fromSystem(&address, len) orelse error.AddressFamilyNotSupported;
}

/// A system that lacks one of them leaves a slower, working connection, or one whose end is noticed
/// later.
fn setTcpOptions(fd: posix.socket_t, options: Options) void {
    const tcp = posix.IPPROTO.TCP;
    setOption(fd, tcp, option.nodelay, @intFromBool(options.nodelay)) catch {};
    const keeps_alive = options.keepalive_ms > 0;
    setOption(fd, posix.SOL.SOCKET, posix.SO.KEEPALIVE, @intFromBool(keeps_alive)) catch {};
    if (keeps_alive) {
        const times = keepaliveTimes(options.keepalive_ms);
        setOption(fd, tcp, option.keepalive_idle, @intCast(times.idle_s)) catch {};
        setOption(fd, tcp, option.keepalive_interval, @intCast(times.interval_s)) catch {};
        setOption(fd, tcp, option.keepalive_count, keepalive_probes) catch {};
    }
    const unit_ms = option.user_timeout_unit_ms;
    const timeout = std.math.divCeil(u32, options.user_timeout_ms, unit_ms) catch unreachable;
    setOption(fd, tcp, option.user_timeout, std.math.lossyCast(c_int, timeout)) catch {};
}

/// Small writes of a connection that was made from here leave at once. One without it works.
pub fn setNodelay(fd: posix.socket_t) void {
    setOption(fd, posix.IPPROTO.TCP, option.nodelay, 1) catch {};
}

fn setOption(fd: posix.socket_t, level: i32, number: u32, value: c_int) system.Error!void {
    try system.setSocketOption(c_int, fd, level, number, value);
}

/// A close is a reset from now on. Failure leaves a close that looks like an end.
pub fn setResetOnClose(fd: posix.socket_t) void {
    const Part = if (is_windows) u16 else c_int;
    const Linger = extern struct { on: Part, seconds: Part };
    const linger: Linger = .{ .on = 1, .seconds = 0 };
    system.setSocketOption(Linger, fd, posix.SOL.SOCKET, posix.SO.LINGER, linger) catch {};
}

/// From now on no connection begins at this listening TCP socket: what opens one is dropped, and
/// its client tries again a second later. Those that have begun are completed. For a port that
/// others listen on as well, ahead of a close, which resets whatever has begun by then.
/// `NotSupported` where this is not Linux.
pub fn takeNoMore(fd: posix.socket_t) system.Error!void {
    if (builtin.os.tag != .linux) return error.NotSupported;
    const Instruction = extern struct { code: u16, jump_true: u8, jump_false: u8, operand: u32 };
    const Program = extern struct { len: c_ushort, instructions: [*]const Instruction };
    // Classic BPF (bpf(4)): the flags are in byte 13 of the TCP header, SYN is 2 and ACK is 16.
    const instructions = [_]Instruction{
        .{ .code = 0x30, .jump_true = 0, .jump_false = 0, .operand = 13 }, // load the byte
        .{ .code = 0x54, .jump_true = 0, .jump_false = 0, .operand = 0x12 }, // SYN and ACK of it
        .{ .code = 0x15, .jump_true = 0, .jump_false = 1, .operand = 0x02 }, // SYN alone?
        .{ .code = 0x06, .jump_true = 0, .jump_false = 0, .operand = 0 }, // then drop it
        .{ .code = 0x06, .jump_true = 0, .jump_false = 0, .operand = std.math.maxInt(u32) },
    };
    const program: Program = .{ .len = instructions.len, .instructions = &instructions };
    try system.setSocketOption(Program, fd, posix.SOL.SOCKET, linux.SO.ATTACH_FILTER, program);
}

const testing = std.testing;

const local: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };

/// Connects to where `fd` listens; returns what was accepted and what connected.
fn connectTo(fd: posix.socket_t) ![2]posix.socket_t {
    const endpoint = try endpointOf(fd);
    var address: Endpoint.System = undefined;
    const len = endpoint.toSystem(&address);
    const client = try system.socket(endpoint.family(), linux.SOCK.STREAM, 0);
    try system.connect(client, &address.any, len);
    const accepted = try system.check(linux.accept4(fd, null, null, linux.SOCK.CLOEXEC));
    return .{ @intCast(accepted), client };
}

fn optionOf(fd: posix.socket_t, level: i32, number: u32) !c_int {
    return system.socketOption(c_int, fd, level, number);
}

test "a listener on port 0 tells the port it got, and a second one on that port is refused" {
    const first = try listen(&local, .{ .backlog = 8 });
    defer system.close(first);
    const bound = try endpointOf(first);
    try testing.expect(bound.port() != 0);
    try testing.expectError(error.AddressInUse, listen(&bound, .{ .backlog = 8 }));
}

test "sockets that reuse a port share it, and one that does not is refused" {
    const options: Options = .{ .backlog = 8, .reuse_port = true };
    const first = try listen(&local, options);
    defer system.close(first);
    const bound = try endpointOf(first);
    system.close(try listen(&bound, options));
    try testing.expectError(error.AddressInUse, listen(&bound, .{ .backlog = 8 }));
}

test "connections have the listener's options: nodelay, keep-alive and user timeout" {
    const tcp = linux.IPPROTO.TCP;
    const options: Options = .{
        .backlog = 8,
        .keepalive_ms = 14_001,
        .user_timeout_ms = 31_000,
    };
    for ([_]Endpoint{ local, .any6 }) |endpoint| {
        const fd = try listen(&endpoint, options);
        defer system.close(fd);
        const pair = try connectTo(fd);
        defer for (pair) |one| system.close(one);
        try testing.expectEqual(1, try optionOf(pair[0], tcp, linux.TCP.NODELAY));
        try testing.expectEqual(1, try optionOf(pair[0], linux.SOL.SOCKET, linux.SO.KEEPALIVE));
        try testing.expectEqual(15, try optionOf(pair[0], tcp, linux.TCP.KEEPIDLE));
        try testing.expectEqual(5, try optionOf(pair[0], tcp, linux.TCP.KEEPINTVL));
        try testing.expectEqual(3, try optionOf(pair[0], tcp, linux.TCP.KEEPCNT));
        try testing.expectEqual(31_000, try optionOf(pair[0], tcp, linux.TCP.USER_TIMEOUT));
    }
    try testing.expectEqual(30_000, silenceMs(14_001));
    const without = try listen(&local, .{ .backlog = 8, .nodelay = false });
    defer system.close(without);
    const pair = try connectTo(without);
    defer for (pair) |one| system.close(one);
    try testing.expectEqual(0, try optionOf(pair[0], tcp, linux.TCP.NODELAY));
    try testing.expectEqual(0, try optionOf(pair[0], linux.SOL.SOCKET, linux.SO.KEEPALIVE));
    try testing.expectEqual(0, try optionOf(pair[0], tcp, linux.TCP.USER_TIMEOUT));
}

test "an inherited listener gets the options too, does not block and is not handed on" {
    const fd = try system.socket(linux.AF.INET, linux.SOCK.STREAM, 0);
    defer system.close(fd);
    const options: Options = .{ .backlog = 8, .keepalive_ms = 1000 };
    try testing.expectError(error.NotListening, inherit(fd, options));
    try bind(fd, &local);
    try system.listen(fd, 8);
    try inherit(fd, options);
    const flags = try system.check(linux.fcntl(fd, linux.F.GETFD, 0));
    try testing.expectEqual(linux.FD_CLOEXEC, flags);
    const none = system.check(linux.accept4(fd, null, null, 0));
    try testing.expectError(error.WouldBlock, none);
    const pair = try connectTo(fd);
    defer for (pair) |one| system.close(one);
    try testing.expectEqual(1, try optionOf(pair[0], linux.IPPROTO.TCP, linux.TCP.NODELAY));
    try testing.expectEqual(1, try optionOf(pair[0], linux.IPPROTO.TCP, linux.TCP.KEEPINTVL));
}

test "what is no listening stream socket cannot be inherited" {
    const options: Options = .{ .backlog = 8 };
    const datagram = try system.socket(linux.AF.INET, linux.SOCK.DGRAM, 0);
    defer system.close(datagram);
    try testing.expectError(error.WrongKind, inherit(datagram, options));
    const ends = try system.pipe(.{});
    defer for (ends) |end| system.close(end);
    try testing.expectError(error.NotASocket, inherit(ends[0], options));
    try testing.expectError(error.BadDescriptor, inherit(-1, options));
}

test "a listener that takes no more leaves new connections to others on its port" {
    const options: Options = .{ .backlog = 64, .reuse_port = true };
    const old = try listen(&local, options);
    const bound = try endpointOf(old);
    const new = try listen(&bound, options);
    defer system.close(new);
    try takeNoMore(old);
    var address: Endpoint.System = undefined;
    const len = bound.toSystem(&address);
    var clients: [32]posix.socket_t = undefined;
    for (&clients) |*client| {
        client.* = try open(linux.AF.INET);
        // It is under way: SYN has been sent, and maybe answered.
        system.connect(client.*, &address.any, len) catch |err|
            try testing.expectEqual(error.ConnectionPending, err);
    }
    defer for (clients) |client| system.close(client);
    const none = system.check(linux.accept4(old, null, null, 0));
    try testing.expectError(error.WouldBlock, none);
    system.close(old);
    var accepted: usize = 0;
    var tries: usize = 0;
    while (accepted < clients.len and tries < 500) : (tries += 1) {
        const fd = system.check(linux.accept4(new, null, null, 0)) catch {
            system.sleepMs(10);
            continue;
        };
        system.close(@intCast(fd));
        accepted += 1;
    }
    try testing.expectEqual(clients.len, accepted);
    for (clients) |client|
        try testing.expectEqual(0, try optionOf(client, linux.SOL.SOCKET, linux.SO.ERROR));
}
