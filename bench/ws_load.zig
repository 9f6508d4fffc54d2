//! A client that loads servers over WebSocket. Frames are written once, masked by one key for all,
//! and answers told apart by their length alone, which has been verified before.
//!
//!     ws_load echo <port> <path> <connections> <seconds> <bytes> <in flight>
//!     ws_load cast <port> <path> <connections> <messages> <bytes>
//!
//! `echo`: each connection has so many messages on their way, and counts what comes back. It prints
//! a line of JSON in the form that bench/wrk.lua prints.
//!
//! `cast`: connections listen. It prints "ready" when all are there, and goes on by a line of its
//! standard input: one more connection sends messages, one after the other, each once all have had
//! the one before. The same line of JSON: the requests are what listeners received, the latencies
//! those until the last of them.
//!
//! A PING would be taken for a part of an answer: the servers send none.

const std = @import("std");
const linux = std.os.linux;
const posix = std.posix;

const connections_max = 12_000;
const latency_us_max = 1 << 20;
const in_flight_max = 64;
/// Longer than any server takes for what it does.
const silence_ms_max = 10_000;

const Connection = struct {
    fd: i32,
    /// Of what is on its way, bytes that have not come.
    missing: usize = 0,
    sent_ns: u64 = 0,
};

var connections_storage: [connections_max]Connection = undefined;
/// Messages by latency in microseconds; the last entry holds all that took longer.
var latencies: [latency_us_max]u32 = @splat(0);

const Totals = struct { messages: u64 = 0, bytes: u64 = 0, broken: u64 = 0 };

pub fn main() !void {
    var arena = std.heap.ArenaAllocator.init(std.heap.page_allocator);
    const allocator = arena.allocator();
    const args = try std.process.argsAlloc(allocator);
    if (args.len < 7) return error.Usage;
    const is_cast = std.mem.eql(u8, args[1], "cast");
    if (!is_cast and args.len < 8) return error.Usage;
    const port = try std.fmt.parseInt(u16, args[2], 10);
    const count = try std.fmt.parseInt(u16, args[4], 10);
    const amount = try std.fmt.parseInt(u64, args[5], 10);
    const bytes = try std.fmt.parseInt(usize, args[6], 10);
    if (count == 0 or count >= connections_max or amount == 0) return error.Count;

    const epoll: i32 = try posix.epoll_create1(linux.EPOLL.CLOEXEC);
    const connections = connections_storage[0..count];
    for (connections, 0..) |*connection, i|
        connection.* = .{ .fd = try open(epoll, i, port, args[3]) };
    const frame = try frameOf(allocator, bytes);
    const answer_bytes = frame.len - key.len;
    if (is_cast) return cast(epoll, connections, frame, answer_bytes, amount, port, args[3]);

    const in_flight = try std.fmt.parseInt(usize, args[7], 10);
    if (in_flight == 0 or in_flight > in_flight_max) return error.Count;
    const frames = try allocator.alloc(u8, frame.len * in_flight);
    for (0..in_flight) |i| @memcpy(frames[i * frame.len ..][0..frame.len], frame);
    const began = now();
    for (connections) |*connection| send(connection, frames, answer_bytes * in_flight);
    const until_ns = began + amount * std.time.ns_per_s;
    const totals = echo(epoll, connections, frame, frames, answer_bytes, until_ns);
    try print(&totals, (now() - began) / 1000);
}

const key = [4]u8{ 0x6b, 0x91, 0x2e, 0xd4 };

/// A binary message as a client sends it: its payload is "x", whose first byte tells nothing.
fn frameOf(allocator: std.mem.Allocator, bytes: usize) ![]u8 {
    var out = std.ArrayList(u8).init(allocator);
    const writer = out.writer();
    try writer.writeByte(0x82);
    if (bytes < 126) {
        try writer.writeByte(0x80 | @as(u8, @intCast(bytes)));
    } else if (bytes <= std.math.maxInt(u16)) {
        try writer.writeByte(0x80 | 126);
        try writer.writeInt(u16, @intCast(bytes), .big);
    } else {
        try writer.writeByte(0x80 | 127);
        try writer.writeInt(u64, bytes, .big);
    }
    try writer.writeAll(&key);
    for (0..bytes) |i| try writer.writeByte('x' ^ key[i % key.len]);
    return out.toOwnedSlice();
}

/// A connection that has been answered with 101 (RFC 6455 §4.2.2).
fn open(epoll: i32, index: usize, port: u16, path: []const u8) !i32 {
    const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, port);
    const fd = try posix.socket(linux.AF.INET, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0);
    try posix.connect(fd, &address.any, address.getOsSockLen());
    const on = std.mem.toBytes(@as(c_int, 1));
    try posix.setsockopt(fd, linux.IPPROTO.TCP, linux.TCP.NODELAY, &on);
    var buffer: [2048]u8 = undefined;
    const request = try std.fmt.bufPrint(&buffer, "GET {s} HTTP/1.1\r\nHost: 127.0.0.1:{d}\r\n" ++
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" ++
        "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n", .{ path, port });
    if (try posix.send(fd, request, linux.MSG.NOSIGNAL) != request.len) return error.ShortWrite;
    var len: usize = 0;
    while (!std.mem.endsWith(u8, buffer[0..len], "\r\n\r\n")) {
        if (len == buffer.len) return error.LongHead;
        // Byte by byte: what follows the head is the first message's.
        const got = try posix.recv(fd, buffer[len..][0..1], 0);
        if (got == 0) return error.Closed;
        len += got;
    }
    if (!std.mem.startsWith(u8, &buffer, "HTTP/1.1 101")) return error.NotUpgraded;
    var event: linux.epoll_event = .{ .events = linux.EPOLL.IN, .data = .{ .u64 = index } };
    try posix.epoll_ctl(epoll, linux.EPOLL.CTL_ADD, fd, &event);
    return fd;
}

fn echo(
    epoll: i32,
    connections: []Connection,
    frame: []const u8,
    frames: []const u8,
    answer_bytes: usize,
    until_ns: u64,
) Totals {
    var totals: Totals = .{};
    var events: [256]linux.epoll_event = undefined;
    var buffer: [256 * 1024]u8 = undefined;
    var alive = connections.len;
    while (alive > 0) {
        // Woken a few times a second even when the server has stopped answering.
        const ready = posix.epoll_wait(epoll, &events, 250);
        if (now() >= until_ns) break;
        for (events[0..ready]) |event| {
            const connection = &connections[event.data.u64];
            const got = receive(connection, &buffer) orelse {
                totals.broken += 1;
                alive -= 1;
                _ = linux.close(connection.fd);
                continue;
            };
            totals.bytes += got;
            // As many as are whole now are sent anew.
            const before = std.math.divCeil(usize, connection.missing + got, answer_bytes) catch
                unreachable; // a frame has a head
            const after = std.math.divCeil(usize, connection.missing, answer_bytes) catch
                unreachable;
            const whole = before - after;
            if (whole == 0) continue;
            totals.messages += whole;
            const latency_us = (now() - connection.sent_ns) / 1000;
            latencies[@min(latency_us, latency_us_max - 1)] += @intCast(whole);
            send(connection, frames[0 .. whole * frame.len], whole * answer_bytes);
        }
    }
    return totals;
}

/// Bytes that came, and are not missing any more; null: it has ended, or more came than was due.
fn receive(connection: *Connection, buffer: []u8) ?usize {
    const result = linux.recvfrom(connection.fd, buffer.ptr, buffer.len, 0, null, null);
    const got: isize = @bitCast(result);
    if (got <= 0 or got > connection.missing) return null;
    connection.missing -= @intCast(got);
    return @intCast(got);
}

/// Waits until the system has taken it: what is on its way is far less than what sockets hold.
fn send(connection: *Connection, bytes: []const u8, answer_bytes: usize) void {
    connection.missing += answer_bytes;
    connection.sent_ns = now();
    var at: usize = 0;
    while (at < bytes.len) {
        const rest = bytes[at..];
        const result = linux.sendto(connection.fd, rest.ptr, rest.len, linux.MSG.NOSIGNAL, null, 0);
        const sent: isize = @bitCast(result);
        if (sent <= 0) return; // its next receive tells
        at += @intCast(sent);
    }
}

fn cast(
    epoll: i32,
    listeners: []Connection,
    frame: []const u8,
    answer_bytes: usize,
    messages: u64,
    port: u16,
    path: []const u8,
) !void {
    // Not looked at: what it is told of its own messages does not matter.
    const own: i32 = try posix.epoll_create1(linux.EPOLL.CLOEXEC);
    var speaker: Connection = .{ .fd = try open(own, 0, port, path) };
    const out = std.io.getStdOut().writer();
    try out.writeAll("ready\n");
    var line: [16]u8 = undefined;
    _ = try posix.read(posix.STDIN_FILENO, &line);

    var totals: Totals = .{};
    var events: [256]linux.epoll_event = undefined;
    var buffer: [256 * 1024]u8 = undefined;
    const began = now();
    for (0..messages) |_| {
        for (listeners) |*listener| listener.missing = answer_bytes;
        send(&speaker, frame, 0);
        var left = listeners.len;
        while (left > 0) {
            const ready = posix.epoll_wait(epoll, &events, silence_ms_max);
            if (ready == 0) return error.Silent;
            for (events[0..ready]) |event| {
                const listener = &listeners[event.data.u64];
                totals.bytes += receive(listener, &buffer) orelse return error.Broken;
                if (listener.missing == 0) left -= 1;
            }
        }
        totals.messages += listeners.len;
        const latency_us = (now() - speaker.sent_ns) / 1000;
        latencies[@min(latency_us, latency_us_max - 1)] += @intCast(listeners.len);
        drop(speaker.fd, &buffer);
    }
    try print(&totals, (now() - began) / 1000);
}

/// What the speaker is sent goes.
fn drop(fd: i32, buffer: []u8) void {
    while (true) {
        const flags = linux.MSG.DONTWAIT;
        const got: isize = @bitCast(linux.recvfrom(fd, buffer.ptr, buffer.len, flags, null, null));
        if (got <= 0) return;
    }
}

fn now() u64 {
    const time = posix.clock_gettime(.MONOTONIC) catch unreachable; // always there on Linux
    return @as(u64, @intCast(time.sec)) * 1_000_000_000 + @as(u64, @intCast(time.nsec));
}

/// The latency below or at which so many thousandths of all are.
fn percentile(messages: u64, thousandths: u64) u64 {
    var below: u64 = 0;
    for (latencies, 0..) |count, latency_us| {
        below += count;
        if (below * 1000 >= messages * thousandths) return latency_us;
    }
    return latency_us_max;
}

fn print(totals: *const Totals, duration_us: u64) !void {
    try std.io.getStdOut().writer().print(
        "GYR {{\"requests\":{d},\"duration_us\":{d},\"bytes\":{d},\"p50\":{d},\"p99\":{d}," ++
            "\"p999\":{d},\"errors\":{{\"read\":{d}}}}}\n",
        .{
            totals.messages,
            duration_us,
            totals.bytes,
            percentile(totals.messages, 500),
            percentile(totals.messages, 990),
            percentile(totals.messages, 999),
            totals.broken,
        },
    );
}
