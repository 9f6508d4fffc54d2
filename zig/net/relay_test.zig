//! Connections that a worker makes itself, by the simplest protocol that needs them: each
//! connection that comes in is joined to one that goes out. Over the simulator, whose seeds bring
//! what no system does on request, and over real sockets.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const testing = std.testing;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const system = @import("../core/system.zig");
const choose = @import("../io/choose.zig");
const io = @import("../io/io.zig");
const Linux = @import("../io/linux.zig").Linux;
const network_file = @import("../io/simulated_network.zig");
const Link = network_file.Link;
const Network = network_file.Network;
const Simulator = @import("../io/simulator.zig").Simulator;
const socket = @import("../io/socket.zig");
const connection = @import("connection.zig");
const Port = @import("port.zig").Port;
const worker_file = @import("worker.zig");

fn Relay(comptime Io: type) type {
    return struct {
        const Self = @This();
        const Net = worker_file.Worker(Io, Self);
        const Conn = Net.Conn;

        pub const ConnState = struct { other: ?*connection.Connection(Io, Self) = null };

        const patience_ms = 60_000;
        const high_water = 32 * 1024;

        net: *Net = undefined,
        upstream: Endpoint,
        opened: u32 = 0,
        closed: u32 = 0,
        refused: u32 = 0,

        pub fn onOpen(self: *Self, conn: *Conn) void {
            self.opened += 1;
            const other = self.net.connect(&self.upstream) catch {
                self.refused += 1;
                return self.net.close(conn);
            };
            conn.app.other = other;
            other.app.other = conn;
            self.net.setTimer(other, self.net.now_ms + patience_ms);
            self.net.pauseInput(conn);
        }

        pub fn onConnected(self: *Self, conn: *Conn, failure: ?system.Error) void {
            self.net.clearTimer(conn);
            if (failure == null) return self.net.resumeInput(conn.app.other.?);
            self.refused += 1;
            self.endOther(conn);
        }

        pub fn onBytes(self: *Self, conn: *Conn, bytes: []u8) usize {
            const other = conn.app.other orelse return bytes.len;
            self.net.writeBorrowed(other, bytes);
            if (other.isOpen() and other.queue.bytes > high_water) self.net.pauseInput(conn);
            return bytes.len;
        }

        pub fn onProgress(self: *Self, conn: *Conn, _: u64) void {
            if (conn.queue.bytes > high_water / 2) return;
            if (conn.app.other) |other| self.net.resumeInput(other);
        }

        pub fn onEof(self: *Self, conn: *Conn) void {
            self.net.finish(conn, false);
        }

        pub fn onTimer(self: *Self, conn: *Conn) void {
            assert(conn.phase == .connecting);
            self.net.close(conn);
        }

        pub fn onDrain(self: *Self, conn: *Conn) void {
            self.net.close(conn);
        }

        pub fn onClose(self: *Self, conn: *Conn) void {
            if (conn.kind == .accepted) self.closed += 1;
            self.endOther(conn);
        }

        /// What the other was sent reaches it first.
        fn endOther(self: *Self, conn: *Conn) void {
            const other = conn.app.other orelse return;
            conn.app.other = null;
            other.app.other = null;
            self.net.finish(other, false);
        }

        pub fn onNoMemory(self: *Self, conn: *Conn, _: anytype, _: anytype) void {
            self.net.close(conn);
        }

        pub fn overBudget(_: *Self, _: *Conn, _: anytype) ?enum { pool, own } {
            return null;
        }
        pub fn onEofAhead(_: *Self, _: *Conn) void {}
        pub fn onUnsent(_: *Self, _: *Conn) void {}
        pub fn afterEvent(_: *Self, _: *Conn) void {}
        pub fn checkInvariants(_: *Self, _: *Conn) void {}
        pub fn onTurn(_: *Self) void {}
        pub fn hasWork(_: *Self) bool {
            return false;
        }
    };
}

/// The byte at `at` of what a client sends.
fn patternAt(client: usize, at: usize) u8 {
    return @truncate(at *% 31 +% client *% 7 +% at / 251);
}

/// A client sends so many bytes, and wants them back.
const Client = struct {
    link: ?*Link,
    total: usize,
    sent: usize = 0,
    received: usize = 0,

    fn step(self: *Client, network: *Network, index: usize) !void {
        const link = self.link orelse return;
        var buffer: [700]u8 = undefined;
        const n = @min(buffer.len, self.total - self.sent);
        for (buffer[0..n], self.sent..) |*byte, at| byte.* = patternAt(index, at);
        if (n > 0) self.sent += network.clientSend(link, buffer[0..n]);
        switch (network.clientRecv(link, &buffer)) {
            .bytes => |got| {
                for (buffer[0..got], self.received..) |byte, at|
                    try testing.expectEqual(patternAt(index, at), byte);
                self.received += got;
                if (self.received < self.total) return;
            },
            .nothing => return,
            .eof, .reset => {},
        }
        network.clientClose(link, false);
        self.link = null;
    }
};

/// What a connection leads to: it sends back what it gets.
const Echo = struct {
    link: ?*Link,
    buffer: [2000]u8 = undefined,
    len: usize = 0,

    fn step(self: *Echo, network: *Network) void {
        const link = self.link orelse return;
        if (self.len > 0) {
            const sent = network.clientSend(link, self.buffer[0..self.len]);
            std.mem.copyForwards(u8, &self.buffer, self.buffer[sent..self.len]);
            self.len -= sent;
        }
        if (self.len > self.buffer.len / 2) {
            if (link.reset_client_at > network.now_ms) return;
        } else switch (network.clientRecv(link, self.buffer[self.len..])) {
            .bytes => |got| {
                self.len += got;
                return;
            },
            .nothing => return,
            .eof, .reset => {},
        }
        network.clientClose(link, false);
        self.link = null;
    }
};

test "what goes in at a relay comes back from where it leads, whatever the system does meanwhile" {
    for (1..120) |seed| simulate(seed) catch |err| {
        std.debug.print("seed {d}\n", .{seed});
        return err;
    };
}

fn faultsOf(random: std.Random) network_file.Faults {
    return .{
        .short_recv = random.uintLessThan(u16, 600),
        .short_send = random.uintLessThan(u16, 600),
        .refused_send = random.uintLessThan(u16, 300),
        .spurious_event = random.uintLessThan(u16, 100),
        .late_event = random.uintLessThan(u16, 300),
        .held_event = random.uintLessThan(u16, 300),
        .late_recv = random.uintAtMost(u16, 2) * 500,
        .takes_output = random.uintAtMost(u16, 2) * 500,
        .connect_refused = random.uintLessThan(u16, 200),
        .slow_close = random.uintLessThan(u16, 500),
        .open_refused = random.uintLessThan(u16, 100),
        .delay_ms_max = random.uintLessThan(u32, 20),
        .buffer_bytes_min = 16,
        .buffer_bytes_max = random.intRangeAtMost(u32, 64, 4000),
    };
}

fn simulate(seed: u64) !void {
    const Its = Relay(Simulator);
    var events: [64]network_file.Trace.Event = undefined;
    var trace: network_file.Trace = .{ .events = &events };
    var prng: std.Random.DefaultPrng = .init(seed);
    const random = prng.random();
    const faults = faultsOf(random);
    var network = try Network.init(testing.allocator, seed, faults, 64, &trace);
    defer network.deinit();
    Simulator.current = &network;
    var asleep: u32 = 0;
    var port: Port = .{ .capacity = 8, .asleep = &asleep };
    var relay: Its = .{ .upstream = .any4 };
    var net = try Its.Net.init(testing.allocator, .{
        .buffer_memory_bytes = 4 << 20,
        .receive_buffer_bytes = random.intRangeAtMost(u32, 16, 4096),
        .turn_bytes_max = 128 * 1024,
        .outbound_max = random.intRangeAtMost(u32, 2, 8),
    }, &port, &relay);
    defer net.deinit();
    relay.net = &net;
    net.begin();

    var clients: [12]Client = undefined;
    var echoes: [clients.len]Echo = undefined;
    var dialed: usize = 0;
    for (&clients, 0..) |*client, i| {
        const link = network.connect(@intCast(i), .{}).?;
        client.* = .{ .link = link, .total = 1 + random.uintLessThan(usize, 60_000) };
    }
    for (0..200_000) |_| {
        network.advance(network.now_ms + random.uintAtMost(u64, 2));
        for (0..Network.listeners_max) |i| admit(&network, &port, i);
        net.turn(net.beginTurn());
        net.checkInvariants();
        while (network.takeDialed()) |link| : (dialed += 1) echoes[dialed] = .{ .link = link };
        for (&clients, 0..) |*client, i| try client.step(&network, i);
        for (echoes[0..dialed]) |*echo| echo.step(&network);
        const is_over = for (&clients) |*client| {
            if (client.link != null) break false;
        } else net.conns.used == 0 and net.outbound.used == 0;
        if (is_over) break;
    } else return error.NeverEnds;

    var served: usize = 0;
    for (&clients) |*client| {
        if (client.received == client.total) served += 1;
        try testing.expect(client.received == client.total or client.received == 0);
    }
    // Whose connection could not be opened at all is not known to the relay.
    try testing.expectEqual(relay.opened, served + relay.refused);
    try testing.expectEqual(relay.opened, relay.closed);
    try testing.expectEqual(0, net.wheel.active);
    try testing.expectEqual(0, net.pools.buffers.bytes_used);
    try testing.expectEqual(0, net.pools.nodes.used);
    try testing.expectEqual(0, network.descriptors);
    port.drain_deadline_ms.store(1, .monotonic);
    net.turn(0);
    try testing.expect(net.isDone());
}

/// What an acceptor does.
fn admit(network: *Network, port: *Port, listener: usize) void {
    if (port.open.load(.monotonic) == port.capacity or !network.hasWaiting(listener)) return;
    const link = network.takeWaiting(listener).?;
    link.server = .accepted;
    network.descriptors += 1;
    _ = port.open.fetchAdd(1, .monotonic);
    assert(port.accepted.push(.{ .fd = network.handleOf(link), .peer = link.peer }));
}

test "a relay over sockets of this system, on each backend" {
    try relayOn(.epoll);
    if (choose.choose(.io_uring).backend == .io_uring) try relayOn(.io_uring);
}

/// Sends back what it gets, on one connection after the other, until one brings nothing.
fn echoAll(listener: system.Socket) void {
    var buffer: [16 * 1024]u8 = undefined;
    while (true) {
        const fd = posix.accept(listener, null, null, 0) catch return;
        defer system.close(fd);
        var total: usize = 0;
        while (true) {
            const n = posix.read(fd, &buffer) catch break;
            if (n == 0) break;
            total += n;
            var sent: usize = 0;
            while (sent < n) sent += posix.write(fd, buffer[sent..n]) catch break;
        }
        if (total == 0) return;
    }
}

fn relayOn(backend: io.Backend) !void {
    const Its = Relay(Linux);
    const local: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const listener = try blockingListener(&local);
    const echo = try std.Thread.spawn(.{}, echoAll, .{listener});
    var asleep: u32 = 0;
    var port: Port = .{ .capacity = 4, .asleep = &asleep };
    var relay: Its = .{ .upstream = try socket.endpointOf(listener) };
    var net = try Its.Net.init(testing.allocator, .{
        .backend = backend,
        .buffer_memory_bytes = 4 << 20,
        .receive_buffer_bytes = 64 * 1024,
        .outbound_max = 4,
    }, &port, &relay);
    relay.net = &net;
    const thread = try std.Thread.spawn(.{}, Its.Net.run, .{&net});

    const size = 1 << 20;
    try testing.expectEqual(size, try throughRelay(&port, size));
    try testing.expectEqual(5, try throughRelay(&port, 5));
    // One that says nothing ends the echo; then nobody listens, and its client is told so.
    try testing.expectEqual(0, try throughRelay(&port, 0));
    echo.join();
    system.close(listener);
    try testing.expectEqual(0, try throughRelay(&port, 5));

    port.drain_deadline_ms.store(1, .seq_cst);
    port.wake(Linux);
    thread.join();
    try testing.expectEqual(1, relay.refused);
    try testing.expectEqual(0, net.wheel.active);
    try testing.expectEqual(0, net.pools.buffers.bytes_used);
    net.deinit();
}

fn blockingListener(endpoint: *const Endpoint) !system.Socket {
    const fd = try socket.listen(endpoint, .{ .backlog = 8 });
    const flags = try posix.fcntl(fd, posix.F.GETFL, 0);
    const bit: usize = 1 << @bitOffsetOf(posix.O, "NONBLOCK");
    _ = try posix.fcntl(fd, posix.F.SETFL, flags & ~bit);
    return fd;
}

/// Sends so many bytes, receives what comes back until the end; returns how much that was.
fn throughRelay(port: *Port, size: usize) !usize {
    var fds: [2]i32 = undefined;
    const kind = std.os.linux.SOCK.STREAM;
    const rc = std.os.linux.socketpair(std.os.linux.AF.UNIX, kind, 0, &fds);
    try testing.expectEqual(0, rc);
    defer posix.close(fds[1]);
    try system.setNonBlocking(fds[0]);
    _ = port.open.fetchAdd(1, .monotonic);
    assert(port.accepted.push(.{ .fd = fds[0], .peer = .{} }));
    port.wake(Linux);
    const sender = try std.Thread.spawn(.{}, sendPattern, .{ fds[1], size });
    defer sender.join();
    var buffer: [16 * 1024]u8 = undefined;
    var received: usize = 0;
    while (true) {
        const n = posix.read(fds[1], &buffer) catch |err| switch (err) {
            error.ConnectionResetByPeer => 0,
            else => return err,
        };
        for (buffer[0..n], received..) |byte, at|
            try testing.expectEqual(patternAt(1, at), byte);
        received += n;
        if (n == 0 or received == size) return received;
    }
}

fn sendPattern(fd: posix.fd_t, size: usize) void {
    var buffer: [10_000]u8 = undefined;
    var sent: usize = 0;
    while (sent < size) {
        const n = @min(buffer.len, size - sent);
        for (buffer[0..n], sent..) |*byte, at| byte.* = patternAt(1, at);
        sent += posix.write(fd, buffer[0..n]) catch return;
    }
    if (size == 0) posix.shutdown(fd, .send) catch {};
}
