//! Linux seals what a socket is sent, if it is asked to and has the module `tls` (kTLS): then a
//! file goes from its pages to the network card without this process.

const builtin = @import("builtin");
const std = @import("std");
const posix = std.posix;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const sealing = @import("../core/sealing.zig");
const system = @import("../core/system.zig");
const io = @import("io.zig");
const socket = @import("socket.zig");

/// Of <linux/tcp.h> and <linux/tls.h>.
const tcp_ulp = 31;
const tls_level = 282;
const tls_tx = 1;

/// How long a connection over the loopback interface is waited for, ms.
const ready_ms_max = 100;

/// The system seals in records what `fd` is sent from here on. After an error it sends on as it
/// did.
pub fn seal(fd: system.Socket, keys: *const sealing.Keys) system.Error!void {
    try system.setSocketOption([3]u8, fd, posix.IPPROTO.TCP, tcp_ulp, "tls".*);
    try system.setSocketBytes(fd, tls_level, tls_tx, keys.constSlice());
}

/// A record that is no data, whole or not at all.
pub fn send(fd: system.Socket, message: *const sealing.Message) io.SendResult {
    const sent = system.sendTyped(fd, tls_level, tls_tx, message.kind, &message.bytes) catch |err|
        return switch (err) {
            error.WouldBlock, error.SystemResources => .would_block,
            else => .failed,
        };
    return .{ .sent = sent };
}

/// Whether this system seals; if not, why.
pub const Support = union(enum) { yes, no: []const u8 };

var known: Support = undefined;
var is_known = std.once(find);

/// Found when it is first asked for: where there is no module, each try may have the kernel look
/// for one.
pub fn support() Support {
    is_known.call();
    return known;
}

fn find() void {
    known = probe();
}

/// Tries it on a connection of its own, over the loopback interface.
fn probe() Support {
    if (builtin.os.tag != .linux) return .{ .no = "this system has none" };
    tryIt() catch |err| return .{ .no = switch (err) {
        error.FileNotFound => "the kernel has no module tls, or may not load it",
        error.AccessDenied, error.PermissionDenied => "the system forbids it",
        else => @errorName(err),
    } };
    return .yes;
}

fn tryIt() system.Error!void {
    const pair = try Pair.init();
    defer pair.deinit();
    var keys: sealing.Keys = .{};
    // TLS 1.3, AES-128-GCM, a key that nothing is sealed with.
    keys.appendSliceAssumeCapacity(&.{ 0x04, 0x03, 51, 0 });
    keys.appendNTimesAssumeCapacity(0, 36);
    try seal(pair.near, &keys);
}

/// Two sockets that are connected to each other.
const Pair = struct {
    near: system.Socket,
    far: system.Socket,

    fn init() system.Error!Pair {
        const loopback: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
        const listener = try socket.listen(&loopback, .{ .backlog = 1 });
        defer system.closeSocket(listener);
        const near = try socket.open(posix.AF.INET);
        errdefer system.closeSocket(near);
        const at = try socket.endpointOf(listener);
        var address: Endpoint.System = undefined;
        const len = at.toSystem(&address);
        system.connect(near, &address.any, len) catch |err|
            if (err != error.ConnectionPending) return err;
        // On some kernels the other end is there only when a thread of theirs has run.
        _ = try system.isReadyWithin(near, posix.POLL.OUT, ready_ms_max);
        _ = try system.isReadyWithin(listener, posix.POLL.IN, ready_ms_max);
        var storage: posix.sockaddr.storage = undefined;
        var storage_len: posix.socklen_t = undefined;
        return .{ .near = near, .far = try system.accept(listener, &storage, &storage_len) };
    }

    fn deinit(self: Pair) void {
        system.closeSocket(self.near);
        system.closeSocket(self.far);
    }
};

test "what this system says of sealing is one of the two, and costs no descriptor" {
    const before = try system.duplicate(0, 0);
    system.close(before);
    switch (probe()) {
        .yes => {},
        .no => |why| try std.testing.expect(why.len > 0),
    }
    const after = try system.duplicate(0, 0);
    system.close(after);
    try std.testing.expectEqual(before, after);
}
