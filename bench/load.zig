//! The counterpart of the floor: the least client that can load a server over keep-alive
//! connections. One `send` and one `recv` per request, responses told apart by their length alone,
//! which has been verified before and does not change. It costs less than wrk, so that a fast
//! server is kept busier from one core; wrk stays the judge of what is right.
//!
//!     load <port> <request file> <connections> <seconds> <response bytes> [name=number]...
//!
//! `copies`: so many requests are sent at once, and as many responses are waited for.
//! `each`: a connection ends after so many requests, or so many times `copies`, by the client, and
//! another takes its place.
//! `rate`: so many requests are due each second, whatever the server does with those before them.
//! They are spread over the connections, and a latency counts from when the request was due, not
//! from when it could be sent: who is late has all that waited behind counted as late too. What is
//! due and has no answer at the end counts with the time it has waited until then.
//!
//! Prints one line of JSON in the form that bench/wrk.lua prints.

const std = @import("std");
const linux = std.os.linux;
const posix = std.posix;
const Histogram = @import("histogram.zig");

const connections_max = 10_000;
const request_bytes_max = 1 << 20;
/// Addresses of loopback that connections come from in turn, where they are many: a pair of
/// addresses has 28,000 ports for them, each of which rests for a while after its use.
const sources = 16;
/// Woken a few times a second even when the server has stopped answering.
const wake_ns = 250 * std.time.ns_per_ms;

const Connection = struct {
    fd: i32 = -1,
    /// Bytes of the answer that have not come; 0: nothing was asked.
    missing: usize = 0,
    since_ns: u64 = 0,
    /// Requests on this connection since it was opened.
    asked: u64 = 0,
    /// How many of its requests have been sent, where they are due at a rate.
    turn: u64 = 0,
};

const Options = struct { copies: u64 = 1, each: u64 = 0, rate: u64 = 0 };

var connections_storage: [connections_max]Connection = undefined;
var latencies: Histogram = .{};

const Client = struct {
    epoll: i32,
    port: u16,
    connections: []Connection,
    request: []const u8,
    response_bytes: usize,
    options: Options,
    began_ns: u64 = 0,
    opened: u64 = 0,
    alive: usize = 0,
    /// The next request that is due at the rate.
    next: u64 = 0,
    requests: u64 = 0,
    bytes: u64 = 0,
    broken: u64 = 0,
    unanswered: u64 = 0,

    fn open(client: *Client, index: usize) !void {
        const connection = &client.connections[index];
        const fd = try posix.socket(linux.AF.INET, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0);
        errdefer posix.close(fd);
        if (client.options.each > 0) try client.bindSource(fd);
        const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, client.port);
        try posix.connect(fd, &address.any, address.getOsSockLen());
        try setOption(fd, linux.IPPROTO.TCP, linux.TCP.NODELAY);
        var event: linux.epoll_event = .{ .events = linux.EPOLL.IN, .data = .{ .u64 = index } };
        try posix.epoll_ctl(client.epoll, linux.EPOLL.CTL_ADD, fd, &event);
        connection.fd = fd;
        connection.asked = 0;
        connection.missing = 0;
        client.opened += 1;
    }

    fn bindSource(client: *Client, fd: i32) !void {
        const last: u8 = @intCast(2 + client.opened % sources);
        const source = std.net.Address.initIp4(.{ 127, 0, 0, last }, 0);
        try setOption(fd, linux.IPPROTO.IP, linux.IP.BIND_ADDRESS_NO_PORT);
        try posix.bind(fd, &source.any, source.getOsSockLen());
    }

    /// When the `turn`-th request of a connection is due.
    fn dueNs(client: *const Client, index: usize, turn: u64) u64 {
        const number: u128 = turn * client.connections.len + index;
        return client.began_ns +
            @as(u64, @intCast(number * std.time.ns_per_s / client.options.rate));
    }

    fn ask(client: *Client, connection: *Connection, since_ns: u64) void {
        connection.missing = client.response_bytes * client.options.copies;
        connection.since_ns = since_ns;
        connection.asked += 1;
        var rest = client.request;
        while (rest.len > 0) {
            const fd = connection.fd;
            const rc: isize =
                @bitCast(linux.sendto(fd, rest.ptr, rest.len, linux.MSG.NOSIGNAL, null, 0));
            if (rc <= 0) return; // the next receive tells that it is broken
            rest = rest[@intCast(rc)..];
        }
    }

    /// Asks on those whose requests have come due and that have nothing under way.
    fn askDue(client: *Client, now_ns: u64) void {
        const count = client.connections.len;
        while (true) : (client.next += 1) {
            const index: usize = @intCast(client.next % count);
            const due_ns = client.dueNs(index, client.next / count);
            if (due_ns > now_ns) return;
            const connection = &client.connections[index];
            // One that is behind asks when its answer comes.
            if (connection.fd < 0 or connection.missing > 0) continue;
            if (connection.turn != client.next / count) continue;
            connection.turn += 1;
            client.ask(connection, due_ns);
        }
    }

    fn receive(client: *Client, index: usize, buffer: []u8) !void {
        const connection = &client.connections[index];
        const fd = connection.fd;
        const got: isize = @bitCast(linux.recvfrom(fd, buffer.ptr, buffer.len, 0, null, null));
        if (got <= 0 or got > connection.missing) return client.drop(connection);
        client.bytes += @intCast(got);
        connection.missing -= @intCast(got);
        if (connection.missing > 0) return;
        const now_ns = now();
        client.requests += client.options.copies;
        for (0..client.options.copies) |_| latencies.add((now_ns - connection.since_ns) / 1000);
        if (client.options.rate > 0) {
            const due_ns = client.dueNs(index, connection.turn);
            if (due_ns > now_ns) return;
            connection.turn += 1;
            return client.ask(connection, due_ns);
        }
        if (client.options.each > 0 and connection.asked == client.options.each) {
            posix.close(fd);
            try client.open(index);
        }
        client.ask(connection, now_ns);
    }

    fn drop(client: *Client, connection: *Connection) void {
        client.broken += 1;
        client.alive -= 1;
        posix.close(connection.fd);
        connection.fd = -1;
        connection.missing = 0;
    }

    fn run(client: *Client, until_ns: u64) !void {
        var events: [256]linux.epoll_event = undefined;
        var buffer: [64 * 1024]u8 = undefined;
        while (client.alive > 0) {
            const now_ns = now();
            if (now_ns >= until_ns) break;
            if (client.options.rate > 0) client.askDue(now_ns);
            const ready = wait(client.epoll, &events, client.restNs());
            for (events[0..ready]) |event| try client.receive(@intCast(event.data.u64), &buffer);
        }
        if (client.options.rate > 0) client.countUnanswered(@min(now(), until_ns));
    }

    /// How long to wait for answers: until the next request is due.
    fn restNs(client: *const Client) u64 {
        if (client.options.rate == 0) return wake_ns;
        const count = client.connections.len;
        const due_ns = client.dueNs(@intCast(client.next % count), client.next / count);
        return @min(wake_ns, due_ns -| now());
    }

    fn countUnanswered(client: *Client, end_ns: u64) void {
        for (client.connections, 0..) |*connection, index| {
            if (connection.missing > 0) {
                latencies.add((end_ns -| connection.since_ns) / 1000);
                client.unanswered += 1;
            }
            while (client.dueNs(index, connection.turn) < end_ns) : (connection.turn += 1) {
                latencies.add((end_ns - client.dueNs(index, connection.turn)) / 1000);
                client.unanswered += 1;
            }
        }
    }
};

pub fn main() !void {
    var arena = std.heap.ArenaAllocator.init(std.heap.page_allocator);
    const args = try std.process.argsAlloc(arena.allocator());
    if (args.len < 6) {
        const form = "<port> <request file> <connections> <seconds> <bytes> [name=number]...";
        std.debug.print("usage: load {s}\n", .{form});
        return error.Usage;
    }
    const count = try std.fmt.parseInt(u16, args[3], 10);
    if (count == 0 or count > connections_max) return error.ConnectionCount;
    const seconds = try std.fmt.parseInt(u64, args[4], 10);
    const options = try parseOptions(args[6..]);
    const one = try std.fs.cwd().readFileAlloc(arena.allocator(), args[2], request_bytes_max);
    const all = try arena.allocator().alloc(u8, one.len * options.copies);
    for (0..options.copies) |copy| @memcpy(all[copy * one.len ..][0..one.len], one);

    const connections = connections_storage[0..count];
    @memset(connections, .{});
    var client: Client = .{
        .epoll = try posix.epoll_create1(linux.EPOLL.CLOEXEC),
        .port = try std.fmt.parseInt(u16, args[1], 10),
        .connections = connections,
        .request = all,
        .response_bytes = try std.fmt.parseInt(usize, args[5], 10),
        .options = options,
    };
    // Sleeps end when they are to, not up to 50 µs later.
    _ = try posix.prctl(.SET_TIMERSLACK, .{@as(usize, 1)});
    for (0..count) |index| try client.open(index);
    client.alive = count;
    client.began_ns = now();
    if (options.rate == 0) for (connections) |*it| client.ask(it, now());
    try client.run(client.began_ns + seconds * std.time.ns_per_s);
    try print(&client, (now() - client.began_ns) / 1000);
}

fn parseOptions(words: []const []const u8) !Options {
    var options: Options = .{};
    for (words) |word| {
        const equals = std.mem.indexOfScalar(u8, word, '=') orelse return error.OptionWithoutValue;
        const value = try std.fmt.parseInt(u64, word[equals + 1 ..], 10);
        inline for (std.meta.fields(Options)) |field| {
            if (std.mem.eql(u8, word[0..equals], field.name)) {
                @field(options, field.name) = value;
                break;
            }
        } else return error.UnknownOption;
    }
    if (options.copies == 0) return error.NoCopies;
    if (options.rate > 0 and (options.copies > 1 or options.each > 0)) return error.RateAlone;
    return options;
}

fn setOption(fd: i32, level: i32, name: u32) !void {
    try posix.setsockopt(fd, level, name, &std.mem.toBytes(@as(c_int, 1)));
}

/// `epoll_wait` to the nanosecond.
fn wait(epoll: i32, events: []linux.epoll_event, ns: u64) usize {
    const timeout: linux.timespec = .{
        .sec = @intCast(ns / std.time.ns_per_s),
        .nsec = @intCast(ns % std.time.ns_per_s),
    };
    const rc = linux.syscall6(
        .epoll_pwait2,
        @intCast(epoll),
        @intFromPtr(events.ptr),
        events.len,
        @intFromPtr(&timeout),
        0,
        0,
    );
    const ready: isize = @bitCast(rc);
    return if (ready < 0) 0 else @intCast(ready); // interrupted by a signal: nothing is ready
}

fn now() u64 {
    const time = posix.clock_gettime(.MONOTONIC) catch unreachable; // always there on Linux
    return @as(u64, @intCast(time.sec)) * 1_000_000_000 + @as(u64, @intCast(time.nsec));
}

fn print(client: *const Client, duration_us: u64) !void {
    const form = "GYR {{\"requests\":{d},\"duration_us\":{d},\"bytes\":{d}," ++
        "\"p50\":{d},\"p99\":{d},\"p999\":{d},\"max\":{d},\"unanswered\":{d}," ++
        "\"errors\":{{\"read\":{d}}}}}\n";
    try std.io.getStdOut().writer().print(form, .{
        client.requests,
        duration_us,
        client.bytes,
        latencies.percentile(500),
        latencies.percentile(990),
        latencies.percentile(999),
        latencies.most,
        client.unanswered,
        client.broken,
    });
}

fn clientAt(rate: u64, connections: []Connection) Client {
    return .{
        .epoll = -1,
        .port = 0,
        .connections = connections,
        .request = "",
        .response_bytes = 1,
        .options = .{ .rate = rate },
        .began_ns = 1000,
    };
}

test "requests are due one after the other, spread over the connections" {
    var connections: [4]Connection = @splat(.{});
    const client = clientAt(1000, &connections);
    for (0..12) |number| {
        const due_ns = client.dueNs(number % 4, number / 4);
        try std.testing.expectEqual(1000 + number * std.time.ns_per_ms, due_ns);
    }
}

test "what is due and has no answer counts with the time that it has waited" {
    latencies = .{};
    defer latencies = .{};
    var connections: [2]Connection = @splat(.{});
    var client = clientAt(1000, &connections);
    // Of the first, which was due at once, no answer has come; the second has never been asked.
    connections[0] = .{ .missing = 1, .since_ns = client.began_ns, .turn = 1 };
    client.countUnanswered(client.began_ns + 4 * std.time.ns_per_ms);
    // Due after 0, 2 ms on the first, 1 and 3 ms on the second.
    try std.testing.expectEqual(4, client.unanswered);
    try std.testing.expectEqual(4, latencies.total);
    try std.testing.expectEqual(4000, latencies.most);
    try std.testing.expectEqual(1000, latencies.percentile(250));
}

test "options have names and values, and some do not go together" {
    const options = try parseOptions(&.{ "copies=16", "each=10" });
    try std.testing.expectEqual(Options{ .copies = 16, .each = 10 }, options);
    try std.testing.expectError(error.OptionWithoutValue, parseOptions(&.{"copies"}));
    try std.testing.expectError(error.UnknownOption, parseOptions(&.{"speed=1"}));
    try std.testing.expectError(error.NoCopies, parseOptions(&.{"copies=0"}));
    try std.testing.expectError(error.RateAlone, parseOptions(&.{ "rate=5", "each=1" }));
}

test {
    _ = Histogram;
}
