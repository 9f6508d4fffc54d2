//! A client that loads servers with listeners to events (text/event-stream): so many connections
//! listen, one more publishes by POST, the next time once all have the event before.
//!
//!     sse_load <port> <connections> <seconds>
//!
//! An event is 64 bytes that end with `~`, and the answer to a POST is `~`: what stands around them
//! is the server's, whether it sends chunks or not. Prints a line of JSON in the form that
//! bench/wrk.lua prints: the requests are the events that listeners received, the latencies those
//! from the POST until each of them.

const std = @import("std");
const linux = std.os.linux;
const posix = std.posix;
const Histogram = @import("histogram.zig");

const connections_max = 10_000;
const mark = '~';
const message = "." ** 63 ++ [_]u8{mark};
/// Longer than any server takes for what it does.
const silence_ms_max = 10_000;

/// The last is who publishes.
var sockets: [connections_max + 1]i32 = undefined;
var latencies: Histogram = .{};

pub fn main() !void {
    var args = std.process.args();
    _ = args.skip();
    const port = try std.fmt.parseInt(u16, args.next() orelse return error.Usage, 10);
    const count = try std.fmt.parseInt(u16, args.next() orelse return error.Usage, 10);
    const seconds = try std.fmt.parseInt(u64, args.next() orelse return error.Usage, 10);
    if (count == 0 or count > connections_max) return error.ConnectionCount;

    const epoll: i32 = try posix.epoll_create1(linux.EPOLL.CLOEXEC);
    for (0..count) |index| sockets[index] = try listen(port);
    sockets[count] = try open(port);
    for (sockets[0 .. count + 1], 0..) |fd, index| {
        var event: linux.epoll_event = .{ .events = linux.EPOLL.IN, .data = .{ .u64 = index } };
        try posix.epoll_ctl(epoll, linux.EPOLL.CTL_ADD, fd, &event);
    }
    var storage: [256]u8 = undefined;
    const head = "POST /publish HTTP/1.1\r\nHost: 127.0.0.1:{d}\r\nContent-Type: text/plain\r\n" ++
        "Content-Length: {d}\r\n\r\n{s}";
    const request = try std.fmt.bufPrint(&storage, head, .{ port, message.len, message });

    const began_ns = now();
    var rounds: u64 = 0;
    while (now() - began_ns < seconds * std.time.ns_per_s) : (rounds += 1)
        try round(epoll, sockets[count], count, request);
    try print(rounds * count, (now() - began_ns) / 1000);
}

/// Publishes, and waits until all have it and the POST has its answer.
fn round(epoll: i32, publisher: i32, count: usize, request: []const u8) !void {
    const sent_ns = now();
    if (try posix.send(publisher, request, linux.MSG.NOSIGNAL) != request.len)
        return error.ShortSend;
    var missing = count + 1;
    var events: [256]linux.epoll_event = undefined;
    var buffer: [16 * 1024]u8 = undefined;
    while (missing > 0) {
        const ready = posix.epoll_wait(epoll, &events, silence_ms_max);
        if (ready == 0) return error.EventsMissing;
        for (events[0..ready]) |event| {
            const index: usize = @intCast(event.data.u64);
            const got = try posix.recv(sockets[index], &buffer, 0);
            if (got == 0) return error.ServerClosed;
            const marks = std.mem.count(u8, buffer[0..got], &.{mark});
            if (marks > 1 or marks > missing) return error.EventTwice;
            if (marks == 1 and index < count) latencies.add((now() - sent_ns) / 1000);
            missing -= marks;
        }
    }
}

/// A connection whose stream has begun: its first event is a comment.
fn listen(port: u16) !i32 {
    const fd = try open(port);
    var storage: [128]u8 = undefined;
    const head = "GET /events HTTP/1.1\r\nHost: 127.0.0.1:{d}\r\nAccept: text/event-stream\r\n\r\n";
    const request = try std.fmt.bufPrint(&storage, head, .{port});
    if (try posix.send(fd, request, linux.MSG.NOSIGNAL) != request.len) return error.ShortSend;
    var received: [4096]u8 = undefined;
    var len: usize = 0;
    while (std.mem.indexOf(u8, received[0..len], ":\n\n") == null) {
        const got = try posix.recv(fd, received[len..], 0);
        if (got == 0) return error.NoStream;
        len += got;
    }
    return fd;
}

fn open(port: u16) !i32 {
    const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, port);
    const fd = try posix.socket(linux.AF.INET, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0);
    try posix.connect(fd, &address.any, address.getOsSockLen());
    try posix.setsockopt(
        fd,
        linux.IPPROTO.TCP,
        linux.TCP.NODELAY,
        &std.mem.toBytes(@as(c_int, 1)),
    );
    return fd;
}

fn now() u64 {
    const time = posix.clock_gettime(.MONOTONIC) catch unreachable; // always there on Linux
    return @as(u64, @intCast(time.sec)) * 1_000_000_000 + @as(u64, @intCast(time.nsec));
}

fn print(events: u64, duration_us: u64) !void {
    const form = "GYR {{\"requests\":{d},\"duration_us\":{d},\"p50\":{d},\"p99\":{d}," ++
        "\"p999\":{d},\"max\":{d},\"errors\":{{}}}}\n";
    try std.io.getStdOut().writer().print(form, .{
        events,
        duration_us,
        latencies.percentile(500),
        latencies.percentile(990),
        latencies.percentile(999),
        latencies.most,
    });
}
