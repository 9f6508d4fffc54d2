//! The counterpart of the floor: the least client that can load a server over keep-alive
//! connections. One `send` and one `recv` per request, responses told apart by their length alone,
//! which has been verified before and does not change. It costs less than wrk, so that a fast
//! server is kept busier from one core; wrk stays the judge of what is right.
//!
//!     load <port> <path> <connections> <seconds> <response bytes> [field line]...
//!
//! Prints one line of JSON in the form that bench/wrk.lua prints.

const std = @import("std");
const linux = std.os.linux;
const posix = std.posix;

const connections_max = 10_000;
const latency_us_max = 1 << 17;

const Connection = struct { fd: i32 = -1, missing: usize = 0, sent_ns: u64 = 0 };

var connections_storage: [connections_max]Connection = undefined;
/// Requests by latency in microseconds; the last entry holds all that took longer.
var latencies: [latency_us_max]u32 = @splat(0);

const Totals = struct { requests: u64 = 0, bytes: u64 = 0, broken: u64 = 0 };

pub fn main() !void {
    var arena = std.heap.ArenaAllocator.init(std.heap.page_allocator);
    const args = try std.process.argsAlloc(arena.allocator());
    if (args.len < 6) {
        std.debug.print("usage: load <port> <path> <connections> <seconds> <bytes> [field]\n", .{});
        return error.Usage;
    }
    const port = try std.fmt.parseInt(u16, args[1], 10);
    const count = try std.fmt.parseInt(u16, args[3], 10);
    if (count == 0 or count > connections_max) return error.ConnectionCount;
    const seconds = try std.fmt.parseInt(u64, args[4], 10);
    const response_bytes = try std.fmt.parseInt(usize, args[5], 10);

    var request = std.ArrayList(u8).init(arena.allocator());
    try request.writer().print("GET {s} HTTP/1.1\r\nHost: 127.0.0.1:{d}\r\n", .{ args[2], port });
    for (args[6..]) |line| try request.writer().print("{s}\r\n", .{line});
    try request.appendSlice("\r\n");

    const epoll: i32 = try posix.epoll_create1(linux.EPOLL.CLOEXEC);
    const connections = connections_storage[0..count];
    for (connections, 0..) |*connection, i| try open(epoll, connection, i, port);

    const began = now();
    for (connections) |*connection| ask(connection, request.items, response_bytes);
    const until_ns = began + seconds * std.time.ns_per_s;
    const totals = run(epoll, connections, request.items, response_bytes, until_ns);
    try print(totals, (now() - began) / 1000);
}

fn open(epoll: i32, connection: *Connection, index: usize, port: u16) !void {
    const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, port);
    const fd = try posix.socket(linux.AF.INET, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0);
    try posix.connect(fd, &address.any, address.getOsSockLen());
    const on = std.mem.toBytes(@as(c_int, 1));
    try posix.setsockopt(fd, linux.IPPROTO.TCP, linux.TCP.NODELAY, &on);
    var event: linux.epoll_event = .{ .events = linux.EPOLL.IN, .data = .{ .u64 = index } };
    try posix.epoll_ctl(epoll, linux.EPOLL.CTL_ADD, fd, &event);
    connection.* = .{ .fd = fd };
}

fn run(
    epoll: i32,
    connections: []Connection,
    request: []const u8,
    response_bytes: usize,
    until_ns: u64,
) Totals {
    var totals: Totals = .{};
    var events: [256]linux.epoll_event = undefined;
    var buffer: [64 * 1024]u8 = undefined;
    var alive = connections.len;
    while (alive > 0) {
        // Woken a few times a second even when the server has stopped answering.
        const ready = posix.epoll_wait(epoll, &events, 250);
        if (now() >= until_ns) break;
        for (events[0..ready]) |event| {
            const connection = &connections[event.data.u64];
            const fd = connection.fd;
            const got: isize = @bitCast(linux.recvfrom(fd, &buffer, buffer.len, 0, null, null));
            if (got <= 0 or got > connection.missing) {
                totals.broken += 1;
                alive -= 1;
                _ = linux.close(fd);
                continue;
            }
            totals.bytes += @intCast(got);
            connection.missing -= @intCast(got);
            if (connection.missing > 0) continue;
            totals.requests += 1;
            const latency_us = (now() - connection.sent_ns) / 1000;
            latencies[@min(latency_us, latency_us_max - 1)] += 1;
            ask(connection, request, response_bytes);
        }
    }
    return totals;
}

/// A request is far smaller than a send buffer with nothing else in it: never cut short.
fn ask(connection: *Connection, request: []const u8, response_bytes: usize) void {
    connection.missing = response_bytes;
    connection.sent_ns = now();
    _ = linux.sendto(connection.fd, request.ptr, request.len, linux.MSG.NOSIGNAL, null, 0);
}

fn now() u64 {
    const time = posix.clock_gettime(.MONOTONIC) catch unreachable; // always there on Linux
    return @as(u64, @intCast(time.sec)) * 1_000_000_000 + @as(u64, @intCast(time.nsec));
}

fn percentile(requests: u64, share: u64) u64 {
    var below: u64 = 0;
    for (latencies, 0..) |count, latency_us| {
        below += count;
        if (below * 100 >= requests * share) return latency_us;
    }
    return latency_us_max;
}

fn print(totals: Totals, duration_us: u64) !void {
    try std.io.getStdOut().writer().print(
        "GYR {{\"requests\":{d},\"duration_us\":{d},\"bytes\":{d},\"p50\":{d},\"p99\":{d}," ++
            "\"errors\":{{\"read\":{d}}}}}\n",
        .{
            totals.requests,
            duration_us,
            totals.bytes,
            percentile(totals.requests, 50),
            percentile(totals.requests, 99),
            totals.broken,
        },
    );
}
