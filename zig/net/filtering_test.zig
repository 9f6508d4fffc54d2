//! A filter in the way of connections, over the simulator: a cipher that a child could break, with
//! a handshake and records, so that what is sent and received can be looked at. An echo has to come
//! back whole whatever the seeds bring.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const testing = std.testing;
const network_file = @import("../io/simulated_network.zig");
const Link = network_file.Link;
const Network = network_file.Network;
const Simulator = @import("../io/simulator.zig").Simulator;
const FileHandle = @import("../core/file_handle.zig").FileHandle;
const limits = @import("../core/limits.zig");
const sealing = @import("../core/sealing.zig");
const log = @import("../core/log.zig");
const Port = @import("port.zig").Port;
const worker_file = @import("worker.zig");

/// A record: its kind, its length, its bytes, each of them turned over.
const Record = struct {
    const header_bytes = 3;
    const bytes_max = 900;

    const Kind = enum(u8) { hello = 'h', welcome = 'w', text = 't', end = 'e', failed = 'f', _ };

    fn write(out: []u8, kind: Kind, bytes: []const u8) usize {
        out[0] = @intFromEnum(kind);
        std.mem.writeInt(u16, out[1..3], @intCast(bytes.len), .big);
        for (out[header_bytes..][0..bytes.len], bytes) |*to, from| to.* = ~from;
        return header_bytes + bytes.len;
    }

    fn lenOf(bytes: []const u8) ?usize {
        if (bytes.len < header_bytes) return null;
        return header_bytes + @as(usize, std.mem.readInt(u16, bytes[1..3], .big));
    }

    /// Turns its bytes over where they lie.
    fn open(bytes: []u8) []u8 {
        for (bytes[header_bytes..]) |*byte| byte.* = ~byte.*;
        return bytes[header_bytes..];
    }
};

/// The system turns bytes over as well.
const sealer: Simulator.Sealer = .{
    .overhead_bytes = Record.header_bytes,
    .text_bytes_max = Record.bytes_max,
    .seal = struct {
        fn seal(out: []u8, kind: ?u8, text: []const u8, _: u32) void {
            const which: Record.Kind = if (kind) |number| @enumFromInt(number) else .text;
            _ = Record.write(out, which, text);
        }
    }.seal,
};

const Cipher = struct {
    is_offloaded: bool = false,
    phase: enum { hello, open, peer_closed, failed } = .hello,
    /// The system has sealed so much text.
    sealed_bytes: usize = 0,
    /// Of the welcome: larger than a socket's buffer.
    welcome_left: usize = 0,
    says: ?Record.Kind = null,

    const welcome_bytes = 6000;
    /// Two are a turn's.
    const hello_us = limits.filter_turn_us / 2;
    pub var in_use: u32 = 0;
    pub var hellos: u32 = 0;
    /// Connections for which the system seals.
    pub var offloaded: u32 = 0;
    /// What it may seal of each.
    pub var sealed_bytes_max: usize = std.math.maxInt(usize);

    const Read = struct { text: []u8, used: usize, cost_us: u32 = 0 };
    const Written = struct { taken: usize, len: usize };

    fn init() Cipher {
        in_use += 1;
        return .{};
    }
    pub fn deinit(_: *Cipher) void {
        in_use -= 1;
    }
    pub fn isOpen(self: *const Cipher) bool {
        return self.phase == .open or self.phase == .peer_closed;
    }
    pub fn takesText(self: *const Cipher) bool {
        return self.isOpen();
    }
    pub fn hasPeerClosed(self: *const Cipher) bool {
        return self.phase == .peer_closed;
    }
    pub fn hasFailed(self: *const Cipher) bool {
        return self.phase == .failed;
    }
    pub fn hasOutput(self: *const Cipher) bool {
        return self.welcome_left > 0 or self.says != null;
    }
    pub fn close(self: *Cipher) void {
        if (self.phase != .failed) self.says = .end;
    }
    pub const offload_bytes_min = file_bytes_max;
    pub fn keysOf(self: *const Cipher, out: *sealing.Keys) bool {
        if (!self.isOpen() or self.hasOutput()) return false;
        out.appendNTimesAssumeCapacity(0, 4);
        return true;
    }
    pub fn offload(self: *Cipher) void {
        self.is_offloaded = true;
        offloaded += 1;
    }
    pub fn noteSealed(self: *Cipher, bytes: usize) void {
        assert(self.is_offloaded);
        self.sealed_bytes += bytes;
        if (self.sealed_bytes < sealed_bytes_max or self.phase == .failed) return;
        self.phase = .failed;
        self.says = .failed;
    }
    pub fn message(self: *const Cipher) ?sealing.Message {
        return .{ .kind = @intFromEnum(self.says orelse return null), .bytes = .{ 0, 0 } };
    }
    pub fn said(self: *Cipher) void {
        self.says = null;
    }
    pub fn lacking(bytes: []const u8) usize {
        const len = Record.lenOf(bytes) orelse return Record.header_bytes - bytes.len;
        return len -| bytes.len;
    }

    pub fn read(self: *Cipher, bytes: []u8) Read {
        if (self.phase == .peer_closed or self.phase == .failed)
            return .{ .text = bytes[0..0], .used = bytes.len };
        const len = Record.lenOf(bytes) orelse return .{ .text = bytes[0..0], .used = 0 };
        if (bytes.len < len) return .{ .text = bytes[0..0], .used = 0 };
        const text = Record.open(bytes[0..len]);
        const nothing: Read = .{ .text = bytes[0..0], .used = len };
        switch (@as(Record.Kind, @enumFromInt(bytes[0]))) {
            .hello => if (self.phase == .hello) {
                self.phase = .open;
                self.welcome_left = welcome_bytes;
                hellos += 1;
                return .{ .text = nothing.text, .used = len, .cost_us = hello_us };
            },
            .text => if (self.phase == .open) return .{ .text = text, .used = len },
            .end => if (self.phase == .open) {
                self.phase = .peer_closed;
                return nothing;
            },
            else => {},
        }
        self.phase = .failed;
        self.says = .failed;
        return nothing;
    }

    pub fn write(self: *Cipher, pieces: []const posix.iovec_const, out: []u8) Written {
        assert(!self.is_offloaded);
        const room = @min(out.len, 4000);
        var len: usize = 0;
        while (self.welcome_left > 0) {
            const n = @min(self.welcome_left, Record.bytes_max);
            if (len + Record.header_bytes + n > room) return .{ .taken = 0, .len = len };
            const bytes: [Record.bytes_max]u8 = @splat('W');
            len += Record.write(out[len..], .welcome, bytes[0..n]);
            self.welcome_left -= n;
        }
        var taken: usize = 0;
        if (self.takesText() and self.says == null) for (pieces) |piece| {
            var rest = piece.base[0..piece.len];
            while (rest.len > 0) {
                const n = @min(rest.len, Record.bytes_max);
                if (len + Record.header_bytes + n > room) return .{ .taken = taken, .len = len };
                len += Record.write(out[len..], .text, rest[0..n]);
                taken += n;
                rest = rest[n..];
            }
        };
        if (self.says) |kind| if (len + Record.header_bytes <= room) {
            len += Record.write(out[len..], kind, "");
            self.says = null;
        };
        return .{ .taken = taken, .len = len };
    }
};

/// Sends back what comes; and, for a byte '!', a file.
const Echo = struct {
    const Net = worker_file.Worker(Simulator, Echo);
    const Conn = Net.Conn;
    pub const ConnState = struct { is_filtered: bool = false };
    pub const Filter = Cipher;

    net: *Net = undefined,
    file: ?FileHandle = null,
    file_bytes: usize = file_bytes_max,
    refuses: bool = false,
    failed: u32 = 0,
    opened: u32 = 0,
    closed: u32 = 0,

    const high_water = 16 * 1024;

    pub fn filterFor(self: *Echo, conn: *const Net.Conn) error{Refused}!?Cipher {
        if (self.refuses) return error.Refused;
        return if (conn.listener == 0) Cipher.init() else null;
    }
    pub fn onFiltered(_: *Echo, conn: *Conn) void {
        assert(!conn.app.is_filtered);
        conn.app.is_filtered = true;
    }
    pub fn onFilterFailed(self: *Echo, _: *Conn) void {
        self.failed += 1;
    }
    pub fn onOpen(self: *Echo, _: *Conn) void {
        self.opened += 1;
    }
    pub fn onBytes(self: *Echo, conn: *Conn, bytes: []u8) usize {
        if (bytes[0] == '!') if (self.file) |file| {
            const handle = file.retain();
            self.net.writeFile(conn, .{ .handle = handle, .offset = 0, .length = self.file_bytes });
            return 1;
        };
        const n = std.mem.indexOfScalarPos(u8, bytes, 1, '!') orelse bytes.len;
        self.net.writeBorrowed(conn, bytes[0..n]);
        if (conn.isOpen() and conn.queue.bytes > high_water) self.net.pauseInput(conn);
        return n;
    }
    pub fn onProgress(self: *Echo, conn: *Conn, _: u64) void {
        if (conn.queue.bytes <= high_water / 2) self.net.resumeInput(conn);
    }
    pub fn onEof(self: *Echo, conn: *Conn) void {
        self.net.finish(conn, false);
    }
    pub fn onTimer(_: *Echo, _: *Conn) void {}
    pub fn onDrain(self: *Echo, conn: *Conn) void {
        self.net.finish(conn, true);
    }
    pub fn onClose(self: *Echo, _: *Conn) void {
        self.closed += 1;
    }
    pub fn onNoMemory(self: *Echo, conn: *Conn, _: anytype, _: anytype) void {
        self.net.close(conn);
    }
    pub fn overBudget(_: *Echo, _: *Conn, _: anytype) ?enum { pool, own } {
        return null;
    }
    pub fn onEofAhead(_: *Echo, _: *Conn) void {}
    pub fn onUnsent(_: *Echo, _: *Conn) void {}
    pub fn afterEvent(_: *Echo, _: *Conn) void {}
    pub fn checkInvariants(_: *Echo, _: *Conn) void {}
    pub fn onTurn(_: *Echo) void {}
    pub fn hasWork(_: *Echo) bool {
        return false;
    }
};

const file_bytes_max = 10_000;

fn fileByteAt(at: usize) u8 {
    return @truncate(at *% 11 +% at / 256);
}

/// What clients send: nothing that asks for a file.
fn byteAt(at: usize) u8 {
    return 'a' + @as(u8, @intCast((at +% at / 251) % 26));
}

const Stage = struct {
    events: [256]network_file.Trace.Event = undefined,
    trace: network_file.Trace = undefined,
    network: Network = undefined,
    asleep: u32 = 0,
    port: Port = undefined,
    net: Echo.Net = undefined,
    echo: Echo = .{},

    fn init(self: *Stage, seed: u64, faults: network_file.Faults) !void {
        self.* = .{};
        log.setLevel(.silent);
        Cipher.in_use = 0;
        Cipher.hellos = 0;
        Simulator.sealer = sealer;
        self.trace = .{ .events = &self.events };
        self.network = try Network.init(testing.allocator, seed, faults, 16, &self.trace);
        Simulator.current = &self.network;
        self.port = .{ .capacity = 8, .asleep = &self.asleep };
        self.net = try Echo.Net.init(testing.allocator, .{
            .buffer_memory_bytes = 4 << 20,
            .receive_buffer_bytes = 4096,
            // Of a short turn's text the records are longer than the turn.
            .turn_bytes_max = if (seed % 2 == 1) 3000 else limits.turn_bytes_max_default,
        }, &self.port, &self.echo);
        self.echo.net = &self.net;
        self.net.begin();
    }

    fn deinit(self: *Stage) !void {
        self.port.drain_deadline_ms.store(self.network.now_ms + 50, .monotonic);
        for (0..2000) |_| if (!self.net.isDone()) self.turn();
        try testing.expect(self.net.isDone());
        try testing.expectEqual(0, self.net.pools.buffers.bytes_used);
        try testing.expectEqual(0, self.net.pools.nodes.used);
        try testing.expectEqual(0, Cipher.in_use);
        try testing.expectEqual(self.echo.opened, self.echo.closed);
        if (self.echo.file) |file| file.release();
        self.net.deinit();
        self.network.deinit();
    }

    fn turn(self: *Stage) void {
        self.network.advance(self.network.now_ms + 1);
        self.net.turn(self.net.beginTurn());
        self.net.checkInvariants();
    }

    /// Until `client` has been told the end, or is gone.
    fn talk(self: *Stage, client: *Client, random: std.Random) !void {
        for (0..200_000) |_| {
            if (client.end != null or client.is_gone) return;
            try client.step(&self.network, random.intRangeAtMost(usize, 1, 1000));
            self.turn();
        }
    }

    /// Connects to the listener of this number; null: it was refused.
    fn connect(self: *Stage, listener: u16) ?*Link {
        const link = self.network.connect(0, .{}) orelse return null;
        for (0..100) |_| {
            self.turn();
            for (0..Network.listeners_max) |i| {
                if (!self.network.hasWaiting(i)) continue;
                const taken = self.network.takeWaiting(i).?;
                taken.server = .accepted;
                self.network.descriptors += 1;
                _ = self.port.open.fetchAdd(1, .monotonic);
                assert(self.port.accepted.push(.{
                    .fd = self.network.handleOf(taken),
                    .peer = taken.peer,
                    .listener = listener,
                }));
                self.turn();
                return link;
            }
        }
        return null;
    }
};

/// The other end of the cipher.
const Client = struct {
    link: *Link,
    /// What is to be sent, in records already.
    out: std.ArrayListUnmanaged(u8) = .{},
    sent: usize = 0,
    in: std.ArrayListUnmanaged(u8) = .{},
    text: std.ArrayListUnmanaged(u8) = .{},
    welcomed: usize = 0,
    end: ?Record.Kind = null,
    is_gone: bool = false,

    const gpa = testing.allocator;

    fn deinit(self: *Client) void {
        self.out.deinit(gpa);
        self.in.deinit(gpa);
        self.text.deinit(gpa);
    }

    fn say(self: *Client, kind: Record.Kind, bytes: []const u8) !void {
        const out = try self.out.addManyAsSlice(gpa, Record.header_bytes + bytes.len);
        _ = Record.write(out, kind, bytes);
    }

    fn step(self: *Client, network: *Network, most: usize) !void {
        if (self.is_gone) return;
        const rest = self.out.items[self.sent..];
        self.sent += network.clientSend(self.link, rest[0..@min(rest.len, most)]);
        var buffer: [700]u8 = undefined;
        switch (network.clientRecv(self.link, buffer[0..@min(most, buffer.len)])) {
            .bytes => |n| try self.in.appendSlice(gpa, buffer[0..n]),
            .nothing => {},
            else => self.is_gone = true,
        }
        while (Record.lenOf(self.in.items)) |len| {
            if (self.in.items.len < len) break;
            const kind: Record.Kind = @enumFromInt(self.in.items[0]);
            const text = Record.open(self.in.items[0..len]);
            try testing.expect(self.end == null); // nothing follows the end
            switch (kind) {
                .welcome => self.welcomed += text.len,
                .text => try self.text.appendSlice(gpa, text),
                .end, .failed => self.end = kind,
                else => return error.UnexpectedRecord,
            }
            try self.in.replaceRange(gpa, 0, len, "");
        }
    }
};

fn faultsOf(random: std.Random) network_file.Faults {
    return .{
        .short_recv = random.uintLessThan(u16, 900),
        .short_send = random.uintLessThan(u16, 900),
        .refused_send = random.uintLessThan(u16, 300),
        .spurious_event = random.uintLessThan(u16, 100),
        .late_event = random.uintLessThan(u16, 300),
        .late_recv = random.uintAtMost(u16, 2) * 500,
        .held_event = random.uintLessThan(u16, 300),
        .takes_output = random.uintAtMost(u16, 2) * 500,
        .slow_close = random.uintLessThan(u16, 500),
        .delay_ms_max = random.uintLessThan(u32, 10),
        .buffer_bytes_min = 500,
        .buffer_bytes_max = 5000,
    };
}

test "filter: an echo through it comes back whole, and its end is said, whatever the system does" {
    for (1..80) |seed| {
        var prng = std.Random.DefaultPrng.init(seed);
        const random = prng.random();
        var stage: Stage = undefined;
        try stage.init(seed, faultsOf(random));
        var client: Client = .{ .link = stage.connect(0).? };
        defer client.deinit();
        try client.say(.hello, "");
        const total = random.uintAtMost(usize, 60_000);
        var bytes: [Record.bytes_max]u8 = undefined;
        var said: usize = 0;
        while (said < total) {
            const n = random.intRangeAtMost(usize, 1, @min(Record.bytes_max, total - said));
            for (bytes[0..n], said..) |*byte, at| byte.* = byteAt(at);
            try client.say(.text, bytes[0..n]);
            said += n;
        }
        try client.say(.end, "");
        try stage.talk(&client, random);
        errdefer std.debug.print("seed {d}\n", .{seed});
        try testing.expectEqual(Record.Kind.end, client.end.?);
        try testing.expectEqual(Cipher.welcome_bytes, client.welcomed);
        try testing.expectEqual(total, client.text.items.len);
        for (client.text.items, 0..) |byte, at| try testing.expectEqual(byteAt(at), byte);
        try stage.deinit();
    }
}

const file_name = "filter-test.tmp";

/// What is sent for a byte '!', and its content.
fn writeTestFile() ![file_bytes_max]u8 {
    var content: [file_bytes_max]u8 = undefined;
    for (&content, 0..) |*byte, at| byte.* = fileByteAt(at);
    try std.fs.cwd().writeFile(.{ .sub_path = file_name, .data = &content });
    return content;
}

/// Three times a file between two letters, and the end. Whoever seals it, it comes whole.
fn expectFiles(seed: u64, content: []const u8) !void {
    var prng = std.Random.DefaultPrng.init(seed);
    const random = prng.random();
    var stage: Stage = undefined;
    try stage.init(seed, faultsOf(random));
    stage.echo.file = FileHandle.adopt(try posix.open(file_name, .{}, 0)).?;
    stage.echo.file_bytes = content.len;
    var client: Client = .{ .link = stage.connect(0).? };
    defer client.deinit();
    try client.say(.hello, "");
    for (0..3) |_| try client.say(.text, "a!b");
    try client.say(.end, "");
    try stage.talk(&client, random);
    errdefer std.debug.print("seed {d}\n", .{seed});
    const part_bytes = content.len + 2;
    try testing.expectEqual(3 * part_bytes, client.text.items.len);
    for (0..3) |i| {
        const part = client.text.items[i * part_bytes ..][0..part_bytes];
        try testing.expectEqual('a', part[0]);
        try testing.expectEqualSlices(u8, content, part[1 .. part_bytes - 1]);
        try testing.expectEqual('b', part[part_bytes - 1]);
    }
    try testing.expectEqual(Record.Kind.end, client.end.?);
    try stage.deinit();
}

test "filter: files pass it, or are sealed by the system, in their order among what else is sent" {
    Cipher.offloaded = 0;
    const content = try writeTestFile();
    defer std.fs.cwd().deleteFile(file_name) catch {};
    for (1..20) |seed| try expectFiles(seed, &content);
    try testing.expect(Cipher.offloaded > 0 and Cipher.offloaded < 19);
}

test "filter: for less of a file than is worth it the system is not asked to seal" {
    Cipher.offloaded = 0;
    const content = try writeTestFile();
    defer std.fs.cwd().deleteFile(file_name) catch {};
    for (1..10) |seed| try expectFiles(seed, content[0 .. Cipher.offload_bytes_min - 1]);
    try testing.expectEqual(0, Cipher.offloaded);
}

test "filter: a connection whose system has sealed all that it may is told so, and ends" {
    _ = try writeTestFile();
    defer std.fs.cwd().deleteFile(file_name) catch {};
    Cipher.offloaded = 0;
    defer Cipher.sealed_bytes_max = std.math.maxInt(usize);
    for (1..30) |seed| {
        var prng = std.Random.DefaultPrng.init(seed);
        const random = prng.random();
        var stage: Stage = undefined;
        try stage.init(seed, faultsOf(random));
        stage.echo.file = FileHandle.adopt(try posix.open(file_name, .{}, 0)).?;
        // Within the file, or within the text behind it.
        const most = file_bytes_max + 5 * Record.bytes_max;
        Cipher.sealed_bytes_max = random.intRangeAtMost(usize, 1, most);
        const before = Cipher.offloaded;
        var client: Client = .{ .link = stage.connect(0).? };
        defer client.deinit();
        try client.say(.hello, "");
        while (client.welcomed < Cipher.welcome_bytes) {
            try client.step(&stage.network, random.intRangeAtMost(usize, 1, 1000));
            stage.turn();
        }
        try client.say(.text, "!");
        const bytes: [Record.bytes_max]u8 = @splat('t');
        for (0..6) |_| try client.say(.text, &bytes);
        const total = file_bytes_max + 6 * Record.bytes_max;
        for (0..100_000) |_| {
            if (client.end != null or client.text.items.len == total) break;
            try client.step(&stage.network, random.intRangeAtMost(usize, 1, 1000));
            stage.turn();
        }
        errdefer std.debug.print("seed {d}\n", .{seed});
        stage.turn();
        const is_offloaded = Cipher.offloaded > before;
        try testing.expectEqual(is_offloaded, client.end != null);
        try testing.expectEqual(@intFromBool(is_offloaded), stage.echo.failed);
        if (is_offloaded) {
            try testing.expectEqual(Record.Kind.failed, client.end.?);
            try testing.expectEqual(1, stage.echo.closed); // lingers at most
        }
        try stage.deinit();
    }
    try testing.expect(Cipher.offloaded > 0 and Cipher.offloaded < 29);
}

test "filter: what it refuses is answered by itself, heard no further, and ends the connection" {
    for (1..30) |seed| {
        var prng = std.Random.DefaultPrng.init(seed);
        const random = prng.random();
        var stage: Stage = undefined;
        try stage.init(seed, faultsOf(random));
        var client: Client = .{ .link = stage.connect(0).? };
        defer client.deinit();
        const is_late = random.boolean();
        if (is_late) {
            try client.say(.hello, "");
            var bytes: [Record.bytes_max]u8 = undefined;
            for (&bytes, 0..) |*byte, at| byte.* = byteAt(at);
            for (0..random.uintLessThan(usize, 20)) |_| try client.say(.text, &bytes);
        }
        try client.say(@enumFromInt('?'), "what");
        for (0..5) |_| try client.say(.text, "more, which nobody hears");
        try stage.talk(&client, random);
        errdefer std.debug.print("seed {d}\n", .{seed});
        try testing.expectEqual(Record.Kind.failed, client.end.?);
        try testing.expectEqual(1, stage.echo.failed);
        try stage.deinit();
    }
}

test "filter: a listener without one has none; one that refuses a connection closes it" {
    var stage: Stage = undefined;
    try stage.init(1, .{});
    const plain = stage.connect(1).?;
    _ = stage.network.clientSend(plain, "plain");
    for (0..3) |_| stage.turn();
    var buffer: [16]u8 = undefined;
    const result = stage.network.clientRecv(plain, &buffer);
    try testing.expectEqualStrings("plain", buffer[0..result.bytes]);
    stage.echo.refuses = true;
    _ = stage.connect(0).?;
    for (0..3) |_| stage.turn();
    try testing.expectEqual(1, stage.net.conns.used);
    try testing.expectEqual(1, stage.echo.opened);
    try stage.deinit();
}

test "filter: of a burst of handshakes a turn has its share, in order, and others are served" {
    var stage: Stage = undefined;
    try stage.init(2, .{});
    var clients: [7]Client = undefined;
    for (&clients) |*client| client.* = .{ .link = stage.connect(0).? };
    defer for (&clients) |*client| client.deinit();
    const open = &clients[0];
    try open.say(.hello, "");
    for (0..20) |_| {
        try open.step(&stage.network, 1000);
        stage.turn();
    }
    try testing.expectEqual(1, Cipher.hellos);
    // What follows a hello in the same piece is not lost while it waits.
    for (clients[1..]) |*client| {
        try client.say(.hello, "");
        try client.say(.text, "hello");
        try client.step(&stage.network, 1000);
    }
    for (0..3) |turn| {
        try open.say(.text, "more");
        try open.step(&stage.network, 1000);
        stage.turn();
        try testing.expectEqual(3 + 2 * turn, Cipher.hellos);
        try open.step(&stage.network, 1000);
        try testing.expectEqual(4 * (turn + 1), open.text.items.len);
        // Those that come later wait behind those that have waited, and lose nothing when they end.
        const left: u32 = @intCast(4 - 2 * turn);
        try testing.expectEqual(left, stage.net.filtering.waitingCount());
        if (left > 0) try testing.expectEqual(0, stage.net.beginTurn());
    }
    for (0..20) |_| {
        for (&clients) |*client| try client.step(&stage.network, 1000);
        stage.turn();
    }
    for (clients[1..]) |*client| {
        try testing.expectEqual(Cipher.welcome_bytes, client.welcomed);
        try testing.expectEqualStrings("hello", client.text.items);
    }
    try stage.deinit();
}

test "filter: who waits for the turn of its handshake may leave, and be closed" {
    for (0..2) |is_drained| {
        var stage: Stage = undefined;
        try stage.init(1, .{});
        var clients: [6]Client = undefined;
        for (&clients) |*client| client.* = .{ .link = stage.connect(0).? };
        defer for (&clients) |*client| client.deinit();
        for (&clients) |*client| {
            try client.say(.hello, "");
            try client.step(&stage.network, 1000);
        }
        stage.turn();
        try testing.expectEqual(4, stage.net.filtering.waitingCount());
        if (is_drained == 1) {
            stage.port.drain_deadline_ms.store(stage.network.now_ms, .monotonic);
            stage.turn();
            try testing.expectEqual(0, stage.net.filtering.waitingCount());
        } else for (&clients) |*client| stage.network.clientClose(client.link, true);
        for (0..5) |_| stage.turn();
        try testing.expectEqual(0, stage.net.conns.used);
        try stage.deinit();
    }
}

test "filter: a drain says the end to who is there, and to who has not begun" {
    var stage: Stage = undefined;
    try stage.init(1, .{});
    var client: Client = .{ .link = stage.connect(0).? };
    defer client.deinit();
    var silent: Client = .{ .link = stage.connect(0).? };
    defer silent.deinit();
    try client.say(.hello, "");
    for (0..100) |_| {
        try client.step(&stage.network, 1000);
        stage.turn();
    }
    try testing.expectEqual(Cipher.welcome_bytes, client.welcomed);
    stage.port.drain_deadline_ms.store(stage.network.now_ms + 1000, .monotonic);
    for (0..100) |_| {
        stage.turn();
        try client.step(&stage.network, 1000);
        try silent.step(&stage.network, 1000);
    }
    try testing.expectEqual(Record.Kind.end, client.end.?);
    try testing.expectEqual(Record.Kind.end, silent.end.?);
    try stage.deinit();
}
