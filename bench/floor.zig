//! The floor of the race: the least epoll server that can answer a keep-alive client.
//! One `epoll_wait` per batch, one `recv` and one `send` per request, nothing parsed, nothing
//! allocated, no timers. What a server costs above this is what it adds to the kernel's own work.
//!
//!     floor <port> <body file> <response bytes> <content type> [<pipelined>]
//!
//! The response is laid out once and padded with a filler field up to `response bytes`, so that it
//! is as long on the wire as the answer of the server that it is compared with. With `pipelined`
//! the ends of heads in what one `recv` got are counted, and as many responses, so many at most,
//! leave by one `send`.
//! It is no server to use: a request split over two segments would be answered twice.

const std = @import("std");
const linux = std.os.linux;

const events_max = 256;
const response_bytes_max = 1 << 20;
const pipelined_max = 64;
const backlog = 2048;

var response_storage: [response_bytes_max]u8 = undefined;

pub fn main() !void {
    var args = std.process.args();
    _ = args.skip();
    const port = try std.fmt.parseInt(u16, args.next() orelse return usage(), 10);
    const body_path = args.next() orelse return usage();
    const total = try std.fmt.parseInt(usize, args.next() orelse return usage(), 10);
    const content_type = args.next() orelse return usage();
    const pipelined = if (args.next()) |word| try std.fmt.parseInt(usize, word, 10) else 1;
    if (pipelined == 0 or pipelined > pipelined_max) return usage();

    const one = try layOut(body_path, total, content_type);
    if (one.len * pipelined > response_storage.len) return error.ResponsesTooLong;
    for (1..pipelined) |i| @memcpy(response_storage[i * one.len ..][0..one.len], one);
    try run(try listen(port), response_storage[0 .. one.len * pipelined], pipelined);
}

fn usage() error{Usage} {
    const form = "<port> <body file> <response bytes> <content type> [<pipelined>]";
    std.debug.print("usage: floor {s}\n", .{form});
    return error.Usage;
}

/// Head, filler field and body. `total` is raised to what head and body need at least.
fn layOut(body_path: []const u8, total: usize, content_type: []const u8) ![]const u8 {
    var body_storage: [response_bytes_max / 2]u8 = undefined;
    const body = try std.fs.cwd().readFile(body_path, &body_storage);

    var stream = std.io.fixedBufferStream(&response_storage);
    const out = stream.writer();
    try out.print("HTTP/1.1 200 OK\r\nContent-Type: {s}\r\nContent-Length: {d}\r\n", .{
        content_type,
        body.len,
    });
    const filler = "X-Fill: ";
    const bare = stream.pos + "\r\n".len + body.len;
    if (total > bare + filler.len + "\r\n".len) {
        try out.writeAll(filler);
        try out.writeByteNTimes('x', total - bare - filler.len - "\r\n".len);
        try out.writeAll("\r\n");
    }
    try out.print("\r\n{s}", .{body});
    return stream.getWritten();
}

fn listen(port: u16) !i32 {
    const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, port);
    const fd = try std.posix.socket(linux.AF.INET, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0);
    const on = std.mem.toBytes(@as(c_int, 1));
    try std.posix.setsockopt(fd, linux.SOL.SOCKET, linux.SO.REUSEADDR, &on);
    try std.posix.setsockopt(fd, linux.IPPROTO.TCP, linux.TCP.NODELAY, &on); // inherited
    try std.posix.bind(fd, &address.any, address.getOsSockLen());
    try std.posix.listen(fd, backlog);
    return fd;
}

/// `responses`: so many of one length, one behind the other.
fn run(listener: i32, responses: []const u8, count: usize) !noreturn {
    const epoll: i32 = try std.posix.epoll_create1(linux.EPOLL.CLOEXEC);
    try watch(epoll, listener);

    var events: [events_max]linux.epoll_event = undefined;
    var request: [16 * 1024]u8 = undefined;
    while (true) {
        const ready = std.posix.epoll_wait(epoll, &events, -1);
        for (events[0..ready]) |event| {
            const fd = event.data.fd;
            if (fd == listener) {
                const cloexec = linux.SOCK.CLOEXEC;
                try watch(epoll, std.posix.accept(listener, null, null, cloexec) catch continue);
                continue;
            }
            answer(fd, &request, responses, count);
        }
    }
}

fn watch(epoll: i32, fd: i32) !void {
    var event: linux.epoll_event = .{ .events = linux.EPOLL.IN, .data = .{ .fd = fd } };
    try std.posix.epoll_ctl(epoll, linux.EPOLL.CTL_ADD, fd, &event);
}

/// A short write cannot be resumed here; with one response in flight per connection and a send
/// buffer larger than it, there is none.
fn answer(fd: i32, request: []u8, responses: []const u8, count: usize) void {
    const got: isize = @bitCast(linux.recvfrom(fd, request.ptr, request.len, 0, null, null));
    if (got <= 0) {
        _ = linux.close(fd); // leaves the epoll set with it
        return;
    }
    const asked = if (count == 1) 1 else @min(count, heads(request[0..@intCast(got)]));
    const len = responses.len / count * asked;
    _ = linux.sendto(fd, responses.ptr, len, linux.MSG.NOSIGNAL, null, 0);
}

/// How many heads end in `bytes`: nowhere else do two CR stand one byte apart.
fn heads(bytes: []const u8) usize {
    const lanes = 32;
    const cr: @Vector(lanes, u8) = @splat('\r');
    var found: usize = 0;
    var at: usize = 0;
    while (at + lanes + 2 <= bytes.len) : (at += lanes) {
        const first: @Vector(lanes, u8) = bytes[at..][0..lanes].*;
        const second: @Vector(lanes, u8) = bytes[at + 2 ..][0..lanes].*;
        const both = @as(u32, @bitCast(first == cr)) & @as(u32, @bitCast(second == cr));
        found += @popCount(both);
    }
    while (at + 2 < bytes.len) : (at += 1)
        found += @intFromBool(bytes[at] == '\r' and bytes[at + 2] == '\r');
    return found;
}
