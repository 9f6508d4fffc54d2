//! What a protocol may do in its callbacks: write to other connections, end them, pause; over the
//! simulator.

const std = @import("std");
const assert = std.debug.assert;
const testing = std.testing;
const network_file = @import("../io/simulated_network.zig");
const Link = network_file.Link;
const Network = network_file.Network;
const Simulator = @import("../io/simulator.zig").Simulator;
const Port = @import("port.zig").Port;
const worker_file = @import("worker.zig");

/// Does with bytes and ends what a test asks for.
const Scripted = struct {
    const Net = worker_file.Worker(Simulator, Scripted);
    const Conn = Net.Conn;
    pub const ConnState = struct { received: usize = 0 };

    net: *Net = undefined,
    conns: std.BoundedArray(*Conn, 8) = .{},
    closes: [8]u32 = @splat(0),
    onBytesDo: *const fn (*Scripted, *Conn, []u8) usize,
    onCloseDo: ?*const fn (*Scripted, *Conn) void = null,
    onUnsentDo: ?*const fn (*Scripted, *Conn) void = null,

    fn indexOf(self: *Scripted, conn: *Conn) usize {
        return std.mem.indexOfScalar(*Conn, self.conns.constSlice(), conn).?;
    }
    pub fn onOpen(self: *Scripted, conn: *Conn) void {
        self.conns.appendAssumeCapacity(conn);
    }
    pub fn onBytes(self: *Scripted, conn: *Conn, bytes: []u8) usize {
        return self.onBytesDo(self, conn, bytes);
    }
    pub fn onClose(self: *Scripted, conn: *Conn) void {
        self.closes[self.indexOf(conn)] += 1;
        if (self.onCloseDo) |call| call(self, conn);
    }
    pub fn onNoMemory(self: *Scripted, conn: *Conn, _: anytype, _: anytype) void {
        self.net.close(conn);
    }
    pub fn overBudget(_: *Scripted, _: *Conn, _: anytype) ?enum { pool, own } {
        return null;
    }
    pub fn onEof(_: *Scripted, _: *Conn) void {}
    pub fn onTimer(_: *Scripted, _: *Conn) void {}
    pub fn onDrain(self: *Scripted, conn: *Conn) void {
        self.net.close(conn);
    }
    pub fn onProgress(_: *Scripted, _: *Conn, _: u64) void {}
    pub fn onEofAhead(_: *Scripted, _: *Conn) void {}
    pub fn onUnsent(self: *Scripted, conn: *Conn) void {
        if (self.onUnsentDo) |call| call(self, conn);
    }
    pub fn afterEvent(_: *Scripted, _: *Conn) void {}
    pub fn checkInvariants(_: *Scripted, _: *Conn) void {}
    pub fn onTurn(_: *Scripted) void {}
    pub fn hasWork(_: *Scripted) bool {
        return false;
    }
};

const Stage = struct {
    events: [64]network_file.Trace.Event = undefined,
    trace: network_file.Trace = undefined,
    network: Network = undefined,
    asleep: u32 = 0,
    port: Port = undefined,
    net: Scripted.Net = undefined,
    scripted: Scripted = undefined,

    fn init(self: *Stage, scripted: Scripted, requests_max: u16) !void {
        self.* = .{};
        self.trace = .{ .events = &self.events };
        const faults: network_file.Faults = .{ .buffer_bytes_min = 4000, .buffer_bytes_max = 4000 };
        self.network = try Network.init(testing.allocator, 1, faults, 16, &self.trace);
        Simulator.current = &self.network;
        self.port = .{ .capacity = 8, .asleep = &self.asleep };
        self.scripted = scripted;
        self.net = try Scripted.Net.init(testing.allocator, .{
            .buffer_memory_bytes = 4 << 20,
            .receive_buffer_bytes = 4096,
            .turn_requests_max = requests_max,
        }, &self.port, &self.scripted);
        self.scripted.net = &self.net;
        self.net.begin();
    }

    fn deinit(self: *Stage) void {
        self.port.drain_deadline_ms.store(1, .monotonic);
        for (0..100) |_| if (!self.net.isDone()) self.turn();
        self.net.deinit();
        self.network.deinit();
    }

    fn turn(self: *Stage) void {
        self.network.advance(self.network.now_ms + 1);
        self.net.turn(self.net.beginTurn());
    }

    fn connect(self: *Stage) *Link {
        const link = self.network.connect(0, .{}).?;
        self.network.advance(self.network.now_ms + 1);
        for (0..Network.listeners_max) |i| if (self.network.hasWaiting(i)) {
            const taken = self.network.takeWaiting(i).?;
            taken.server = .accepted;
            self.network.descriptors += 1;
            _ = self.port.open.fetchAdd(1, .monotonic);
            const fd = self.network.handleOf(taken);
            assert(self.port.accepted.push(.{ .fd = fd, .peer = taken.peer }));
        };
        self.turn();
        return link;
    }
};

// The second connection's bytes go to the first, which has gone: it is told so.

fn passOn(self: *Scripted, conn: *Scripted.Conn, bytes: []u8) usize {
    const first = self.conns.get(0);
    if (conn == first) return bytes.len;
    self.net.write(first, "one");
    self.net.flush(); // taken, and answered with a reset
    self.net.write(first, "two");
    return bytes.len;
}

fn sayGone(self: *Scripted, conn: *Scripted.Conn) void {
    if (conn != self.conns.get(0)) return;
    if (self.closes[0] > 1) return; // the test tells it, and not the end of the stack
    self.net.write(self.conns.get(1), "it has gone");
}

test "worker: what a protocol writes to another when a connection ends is sent; that ends once" {
    var stage: Stage = undefined;
    try stage.init(.{ .onBytesDo = passOn, .onCloseDo = sayGone }, 100);
    defer stage.deinit();
    const first = stage.connect();
    const second = stage.connect();
    stage.net.pauseInput(stage.scripted.conns.get(0));
    stage.network.clientClose(first, false);
    stage.turn();
    _ = stage.network.clientSend(second, "x");
    for (0..5) |_| stage.turn();
    var buffer: [64]u8 = undefined;
    const result = stage.network.clientRecv(second, &buffer);
    try testing.expectEqual(1, stage.scripted.closes[0]);
    try testing.expect(result == .bytes);
    try testing.expectEqualStrings("it has gone", buffer[0..result.bytes]);
}

// The second connection's bytes go to the first, which is slow: the second is told so.

fn passLarge(self: *Scripted, conn: *Scripted.Conn, bytes: []u8) usize {
    var text: [6000]u8 = undefined;
    for (&text, 0..) |*byte, i| byte.* = 'a' + @as(u8, @intCast(i % 26));
    if (conn != self.conns.get(0)) self.net.write(self.conns.get(0), &text);
    return bytes.len;
}

fn saySlow(self: *Scripted, conn: *Scripted.Conn) void {
    if (conn == self.conns.get(0)) self.net.write(self.conns.get(1), "it is slow");
}

test "worker: what a protocol writes to another when a connection is full is sent, nothing twice" {
    var stage: Stage = undefined;
    try stage.init(.{ .onBytesDo = passLarge, .onUnsentDo = saySlow }, 100);
    defer stage.deinit();
    const first = stage.connect();
    const second = stage.connect();
    _ = stage.network.clientSend(second, "x");
    var received: usize = 0;
    for (0..10) |_| {
        stage.turn();
        var buffer: [4000]u8 = undefined;
        switch (stage.network.clientRecv(first, &buffer)) {
            .bytes => |n| received += n,
            else => {},
        }
    }
    try testing.expectEqual(6000, received);
    var buffer: [64]u8 = undefined;
    const result = stage.network.clientRecv(second, &buffer);
    try testing.expect(result == .bytes);
    try testing.expectEqualStrings("it is slow", buffer[0..result.bytes]);
}

// Connection 0 and 1 have more requests than a turn has room for; 2 writes to 0 in each turn.

fn askOrTell(self: *Scripted, conn: *Scripted.Conn, bytes: []u8) usize {
    if (self.indexOf(conn) == 2) {
        self.net.write(self.conns.get(0), "y");
        self.net.flush();
        return bytes.len;
    }
    if (!self.net.beginRequest(conn)) return 0;
    conn.app.received += 1;
    return 1;
}

test "worker: a connection that waits for its turn gets it, though others write to it" {
    var stage: Stage = undefined;
    try stage.init(.{ .onBytesDo = askOrTell }, 2);
    defer stage.deinit();
    const links = [_]*Link{ stage.connect(), stage.connect(), stage.connect() };
    const requests: [100]u8 = @splat('r');
    for (links[0..2]) |link|
        try testing.expectEqual(100, stage.network.clientSend(link, &requests));
    for (0..200) |_| {
        _ = stage.network.clientSend(links[2], "z");
        stage.turn();
        stage.net.checkInvariants();
    }
    try testing.expectEqual(100, stage.scripted.conns.get(1).app.received);
    try testing.expectEqual(100, stage.scripted.conns.get(0).app.received);
}

fn pauseAndResume(self: *Scripted, conn: *Scripted.Conn, bytes: []u8) usize {
    self.net.pauseInput(conn);
    self.net.resumeInput(conn);
    conn.app.received += bytes.len;
    return bytes.len;
}

test "worker: a pause that is over before the callback is stops nothing" {
    var stage: Stage = undefined;
    try stage.init(.{ .onBytesDo = pauseAndResume }, 100);
    defer stage.deinit();
    const link = stage.connect();
    for (1..4) |count| {
        _ = stage.network.clientSend(link, "x");
        for (0..3) |_| stage.turn();
        try testing.expectEqual(count, stage.scripted.conns.get(0).app.received);
    }
}

// Connection 0 is paused when it has had its turn, and goes on whenever 1 says so.

fn pauseBehindTurn(self: *Scripted, conn: *Scripted.Conn, bytes: []u8) usize {
    if (self.indexOf(conn) == 1) {
        const other = self.conns.get(0);
        self.net.resumeInput(other);
        const is_receiving = Simulator.current.?.byHandle(other.stream.fd).wants_recv;
        conn.app.received += @intFromBool(is_receiving);
        return bytes.len;
    }
    if (!self.net.beginRequest(conn)) {
        self.net.pauseInput(conn);
        return 0;
    }
    conn.app.received += 1;
    return 1;
}

test "worker: a pause that ends while earlier input waits for its turn receives no more" {
    var stage: Stage = undefined;
    try stage.init(.{ .onBytesDo = pauseBehindTurn }, 2);
    defer stage.deinit();
    const links = [_]*Link{ stage.connect(), stage.connect() };
    try testing.expectEqual(9, stage.network.clientSend(links[0], "too many!"));
    stage.turn();
    const conn = stage.scripted.conns.get(0);
    var received: usize = 2;
    try testing.expectEqual(received, conn.app.received);
    try testing.expect(!links[0].wants_recv);
    while (received < 9) {
        _ = stage.network.clientSend(links[1], "x");
        stage.turn(); // it is told to go on, and has its turn
        stage.net.checkInvariants();
        received = @min(received + 2, 9);
        try testing.expectEqual(received, conn.app.received);
        try testing.expectEqual(received == 9, links[0].wants_recv);
    }
    try testing.expectEqual(0, stage.scripted.conns.get(1).app.received);
}

const large: [8000]u8 = @splat('s');

fn writeLarge(self: *Scripted, conn: *Scripted.Conn) void {
    if (self.indexOf(conn) == 1) self.net.writeStatic(self.conns.get(0), &large);
}

fn take(_: *Scripted, _: *Scripted.Conn, bytes: []u8) usize {
    return bytes.len;
}

test "worker: nothing is left gathered for a slot that is given back past the time to drain" {
    var stage: Stage = undefined;
    try stage.init(.{ .onBytesDo = take, .onCloseDo = writeLarge }, 100);
    defer stage.deinit();
    _ = stage.connect();
    _ = stage.connect();
    stage.net.draining = true; // told before; nobody has ended
    stage.port.drain_deadline_ms.store(1, .monotonic);
    stage.turn();
    try testing.expectEqual(0, stage.net.conns.used);
    try testing.expect(stage.net.batch.isEmpty() and stage.net.batch.owner == null);
}

// The end of the first is told to the second, which has gone too, and ends the first.

fn endAtOnce(self: *Scripted, conn: *Scripted.Conn, bytes: []u8) usize {
    if (self.indexOf(conn) == 2) {
        self.net.write(self.conns.get(1), "one");
        self.net.flush(); // taken, and answered with a reset
        self.net.finish(self.conns.get(0), true);
    }
    return bytes.len;
}

fn tellOther(self: *Scripted, conn: *Scripted.Conn) void {
    const index = self.indexOf(conn);
    if (self.closes[index] > 1 or index > 1) return;
    const other = self.conns.get(1 - index);
    if (index == 1) return self.net.close(other);
    self.net.write(other, "two");
    self.net.flush();
}

test "worker: a connection that is ended while its end is told ends once" {
    var stage: Stage = undefined;
    try stage.init(.{ .onBytesDo = endAtOnce, .onCloseDo = tellOther }, 100);
    defer stage.deinit();
    _ = stage.connect();
    const second = stage.connect();
    const third = stage.connect();
    stage.net.pauseInput(stage.scripted.conns.get(1));
    stage.network.clientClose(second, false);
    stage.turn();
    _ = stage.network.clientSend(third, "x");
    for (0..3) |_| stage.turn();
    try testing.expectEqual(1, stage.scripted.closes[0]);
    try testing.expectEqual(1, stage.scripted.closes[1]);
}
