//! What of the io_uring backend only a kernel that refuses, or lacks memory, brings about.

const std = @import("std");
const linux = std.os.linux;
const posix = std.posix;
const testing = std.testing;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const fixtures = @import("testing/fixtures.zig");
const io = @import("io.zig");
const ring_file = @import("ring.zig");
const socket = @import("socket.zig");
const Uring = @import("uring.zig").Uring;
const uring_state = @import("uring_state.zig");

const One = fixtures.One(Uring);
const Recorder = fixtures.Recorder(Uring);
const make = fixtures.make;
const socketPair = fixtures.socketPair;

const first = fixtures.first;
const second: io.Token = .{ .slot = 1, .generation = 1, .kind = .accepted };

/// The kernel takes no more operations until `end`: every entry is in use, and submitting fails.
const Refusal = struct {
    backend: *Uring,
    own_fd: posix.fd_t,

    fn begin(backend: *Uring) Refusal {
        log.setLevel(.silent);
        const own_fd = backend.kernel.fd;
        backend.kernel.fd = backend.bell_fd; // no ring
        while (backend.kernel.next()) |entry| {
            entry.opcode = .NOP;
            entry.flags = linux.IOSQE_CQE_SKIP_SUCCESS;
        }
        return .{ .backend = backend, .own_fd = own_fd };
    }

    fn end(self: Refusal) void {
        self.backend.kernel.fd = self.own_fd;
        log.setLevel(.debug);
    }
};

fn pollUntilClosed(backend: *Uring, recorder: *Recorder) !void {
    for (0..100) |_| {
        if (recorder.closed > 0) return;
        _ = backend.poll(10, recorder);
    }
    return error.StillOpen;
}

test "io_uring: a stream that is closed while the kernel takes nothing is closed later" {
    var one: One = undefined;
    try one.init();
    defer one.deinit();
    const stream = one.stream();
    one.backend.pauseRecv(stream);
    one.poll(0);
    const refusal = Refusal.begin(&one.backend);
    try testing.expectEqual(.under_way, one.backend.close(stream));
    refusal.end();
    try pollUntilClosed(&one.backend, &one.recorder);
    try testing.expectEqual(-1, stream.fd);
}

test "io_uring: a receive that the kernel does not take ends the connection" {
    var one: One = undefined;
    try one.init();
    defer one.deinit();
    const stream = one.stream();
    one.backend.pauseRecv(stream);
    for (0..3) |_| one.poll(0);
    const refusal = Refusal.begin(&one.backend);
    one.backend.resumeRecv(stream);
    refusal.end();
    for (0..3) |_| one.poll(10);
    try testing.expect(one.recorder.failed);
    try one.end();
}

test "io_uring: the bell is heard again after the kernel did not take it" {
    var backend = try make(Uring);
    defer backend.deinit();
    var recorder: Recorder = .{};
    defer recorder.deinit();
    _ = backend.poll(0, &recorder);
    // The operation that waits for it ends, and cannot be begun anew.
    try backend.kernel.cancelAll();
    try backend.kernel.enter(0);
    const refusal = Refusal.begin(&backend);
    _ = backend.poll(0, &recorder);
    refusal.end();
    _ = backend.poll(0, &recorder);
    var timer = try std.time.Timer.start();
    Uring.ring(backend.bell());
    _ = backend.poll(10_000, &recorder);
    try testing.expect(timer.read() < 5 * std.time.ns_per_s);
}

test "io_uring: after completions were lost all connections are ended, and no slot is kept" {
    var backend = try make(Uring);
    defer backend.deinit();
    const closing = try socketPair();
    defer posix.close(closing[1]);
    const idle = try socketPair();
    var recorder: Recorder = .{};
    defer recorder.deinit();
    try backend.open(&recorder.streams[0], closing[0], first);
    try backend.open(&recorder.streams[1], idle[0], second);
    _ = backend.poll(0, &recorder);
    try testing.expectEqual(.under_way, backend.close(&recorder.streams[0]));
    _ = try posix.write(idle[1], "hello");
    try backend.kernel.enter(1000);
    while (backend.kernel.take()) |_| {} // nobody hears of them
    backend.kernel.dropped.* += 1;
    log.setLevel(.silent);
    defer log.setLevel(.debug);
    for (0..3) |_| _ = backend.poll(0, &recorder);
    try testing.expectEqual(1, recorder.closed);
    try testing.expect(recorder.failed);
    try testing.expectEqual(0, recorder.received.items.len); // some may lack
    try testing.expectEqual(.closed, backend.close(&recorder.streams[1]));
    posix.close(idle[1]);
    // It goes on for others, and can be woken.
    const fds = try socketPair();
    defer posix.close(fds[1]);
    try backend.open(&recorder.streams[0], fds[0], first);
    for (0..600) |_| { // more than there are buffers
        _ = try posix.write(fds[1], "x");
        _ = backend.poll(1000, &recorder);
    }
    try testing.expectEqual(600, recorder.received.items.len);
    try recorder.end(&backend, 0);
    var timer = try std.time.Timer.start();
    Uring.ring(backend.bell());
    _ = backend.poll(10_000, &recorder);
    try testing.expect(timer.read() < 5 * std.time.ns_per_s);
}

test "io_uring: a listener that is closed before the first poll is not waited for" {
    var backend = try make(Uring);
    defer backend.deinit();
    const endpoint: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const fd = try socket.listen(&endpoint, .{ .backlog = 8 });
    var door: fixtures.Door(Uring) = .{};
    try backend.listen(&door.listener, fd, .{ .slot = 0, .kind = .listener });
    backend.closeListener(&door.listener);
    // Something that is ready has the number now.
    const other = try system.eventDescriptor(0);
    defer system.close(other);
    _ = try system.write(other, std.mem.asBytes(&@as(u64, 1)));
    if (other != fd) return error.SkipZigTest; // another thread's
    var timer = try std.time.Timer.start();
    _ = backend.poll(100, &door);
    try testing.expect(timer.read() >= 100 * std.time.ns_per_ms);
}

/// Two ends of a TCP connection; what is sent goes from where it is.
const Pair = struct {
    backend: Uring,
    recorder: Recorder = .{},
    peer: posix.fd_t,
    fd: posix.fd_t,

    fn init(self: *Pair) !void {
        const endpoint: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
        const listener = try socket.listen(&endpoint, .{ .backlog = 1 });
        defer system.close(listener);
        var address: Endpoint.System = undefined;
        const len = (try socket.endpointOf(listener)).toSystem(&address);
        const peer = try socket.open(linux.AF.INET);
        errdefer system.close(peer);
        system.connect(peer, &address.any, len) catch |err|
            try testing.expectEqual(error.ConnectionPending, err);
        _ = try system.isReady(listener, linux.POLL.IN);
        const fd = try posix.accept(listener, null, null, posix.SOCK.NONBLOCK);
        errdefer system.close(fd);
        const options: io.Options = .{ .receive_buffer_bytes = 4096, .zero_copy = true };
        self.* = .{ .backend = try .init(testing.allocator, options), .peer = peer, .fd = fd };
    }

    fn deinit(self: *Pair) void {
        self.recorder.deinit();
        system.close(self.peer);
        self.backend.deinit();
    }

    /// Sends until the socket is full. Returns how many bytes it took.
    fn fill(self: *Pair, bytes: []const u8) !usize {
        const iovecs = [_]posix.iovec_const{.{ .base = bytes.ptr, .len = bytes.len }};
        var total: usize = 0;
        while (true) switch (self.backend.send(&self.recorder.streams[0], &iovecs, false)) {
            .sent => |n| total += n,
            .would_block => return total,
            .failed => return error.Unexpected,
        };
    }
};

/// Skipped where the kernel has no io_uring for us, or cannot send in place.
fn needSendInPlace() !void {
    var backend = try make(Uring);
    backend.deinit();
    if (!ring_file.canSendInPlace()) return error.SkipZigTest;
}

test "io_uring: large memory is sent from where it is, and is the kernel's until it tells" {
    try needSendInPlace();
    var pair: Pair = undefined;
    try pair.init();
    defer pair.deinit();
    const stream = &pair.recorder.streams[0];
    try pair.backend.open(stream, pair.fd, first);
    _ = pair.backend.poll(0, &pair.recorder);
    const block = try testing.allocator.alloc(u8, 256 * 1024);
    defer testing.allocator.free(block);
    for (block, 0..) |*byte, i| byte.* = @truncate(i / 251);
    const before = try pair.fill(block);
    const iovecs = [_]posix.iovec_const{.{ .base = block.ptr, .len = block.len }};
    pair.backend.sendLater(stream, .{ .memory = &iovecs });
    for (0..3) |_| _ = pair.backend.poll(0, &pair.recorder);
    try testing.expectEqual(0, pair.recorder.sent_calls);
    var received: usize = 0;
    var buffer: [65536]u8 = undefined;
    for (0..10_000) |_| {
        const n = posix.read(pair.peer, &buffer) catch |err| switch (err) {
            error.WouldBlock => 0,
            else => return err,
        };
        for (buffer[0..n], received..) |byte, i| {
            // What was filled in begins with the block, again and again, each time where it ended.
            if (i >= before) try testing.expectEqual(block[i - before], byte);
        }
        received += n;
        _ = pair.backend.poll(if (n == 0) 10 else 0, &pair.recorder);
        if (pair.recorder.sent_calls == 1 and received == before + pair.recorder.sent_bytes) break;
    } else return error.NotSent;
    try testing.expect(pair.recorder.sent_bytes > 0);
    // Loopback copies: from here on this stream is sent in the plain way.
    _ = try pair.fill(block);
    pair.backend.sendLater(stream, .{ .memory = &iovecs });
    try testing.expectEqual(limits.zero_copies_max, pair.backend.zero_copies.free_count);
    try pair.recorder.end(&pair.backend, 0);
}

test "io_uring: a connection is closed while the kernel has its memory" {
    try needSendInPlace();
    for (0..4) |round| {
        var pair: Pair = undefined;
        try pair.init();
        defer pair.deinit();
        const stream = &pair.recorder.streams[0];
        try pair.backend.open(stream, pair.fd, first);
        _ = pair.backend.poll(0, &pair.recorder);
        const block = try testing.allocator.alloc(u8, 256 * 1024);
        defer testing.allocator.free(block);
        @memset(block, 'x');
        _ = try pair.fill(block);
        const iovecs = [_]posix.iovec_const{.{ .base = block.ptr, .len = block.len }};
        pair.backend.sendLater(stream, .{ .memory = &iovecs });
        if (round % 2 == 1) _ = pair.backend.poll(0, &pair.recorder);
        // Room comes, and what is sent then is taken from the socket by nobody.
        var buffer: [65536]u8 = undefined;
        const under_way = &uring_state.State.of(stream).under_way;
        if (round >= 2) for (0..64) |_| {
            if (under_way.notice) break;
            _ = posix.read(pair.peer, &buffer) catch break;
            _ = pair.backend.poll(0, &pair.recorder);
        };
        if (round >= 2) try testing.expect(under_way.notice and !under_way.send);
        try testing.expectEqual(.under_way, pair.backend.abort(stream));
        try pollUntilClosed(&pair.backend, &pair.recorder);
        try testing.expectEqual(-1, stream.fd);
        try testing.expectEqual(limits.zero_copies_max, pair.backend.zero_copies.free_count);
    }
}

test "io_uring: small memory, and files, wait for room" {
    try needSendInPlace();
    var pair: Pair = undefined;
    try pair.init();
    defer pair.deinit();
    const stream = &pair.recorder.streams[0];
    try pair.backend.open(stream, pair.fd, first);
    const small = [_]posix.iovec_const{.{ .base = "x", .len = 1 }};
    pair.backend.sendLater(stream, .{ .memory = &small });
    _ = pair.backend.poll(1000, &pair.recorder);
    try testing.expectEqual(1, pair.recorder.sent_calls);
    pair.backend.sendLater(stream, .{ .file = .{ .fd = pair.fd, .offset = 0, .length = 1 << 20 } });
    _ = pair.backend.poll(1000, &pair.recorder);
    try testing.expectEqual(2, pair.recorder.sent_calls);
    try testing.expectEqual(0, pair.recorder.sent_bytes);
    try pair.recorder.end(&pair.backend, 0);
}

test "io_uring: what it shares with the kernel is counted" {
    var backend = try make(Uring);
    defer backend.deinit();
    const buffers = backend.buffers.bytes.len;
    try testing.expect(backend.memoryBytes() > buffers);
    try testing.expect(backend.memoryBytes() < buffers + (1 << 20));
}

test "io_uring: what a callback begins while all is started over is not forgotten" {
    var backend = try make(Uring);
    defer backend.deinit();
    const one = try socketPair();
    defer posix.close(one[1]);
    const two = try socketPair();
    defer posix.close(two[1]);
    var ends: Ends = .{ .backend = &backend };
    try backend.open(&ends.streams[0], one[0], first);
    try backend.open(&ends.streams[1], two[0], second);
    _ = backend.poll(0, &ends);
    backend.pauseRecv(&ends.streams[1]);
    for (0..3) |_| _ = backend.poll(0, &ends);
    backend.kernel.dropped.* += 1;
    log.setLevel(.silent);
    defer log.setLevel(.debug);
    ends.is_over = true;
    _ = backend.poll(0, &ends);
    // Another connection gets the number of the second's descriptor.
    const pair = try socketPair();
    defer for (pair) |fd| posix.close(fd);
    if (pair[0] != two[0] and pair[1] != two[0]) {
        // It is not another's: it is open for as long as the kernel has an operation for it.
        for (0..20) |_| if (ends.closed == 0) {
            _ = backend.poll(10, &ends);
        };
        return testing.expectEqual(1, ends.closed);
    }
    const peer = if (pair[0] == two[0]) pair[1] else pair[0];
    for (0..2) |_| _ = backend.poll(0, &ends);
    _ = try posix.write(peer, "for the other");
    for (0..3) |_| _ = backend.poll(10, &ends);
    var buffer: [32]u8 = undefined;
    const n = posix.read(two[0], &buffer) catch 0;
    try testing.expectEqualStrings("for the other", buffer[0..n]);
}

test "io_uring: what is held of a stream that another ends goes before its last completion" {
    var backend = try make(Uring);
    defer backend.deinit();
    const one = try socketPair();
    defer posix.close(one[1]);
    const two = try socketPair();
    var ends: Ends = .{ .backend = &backend, .ends_second = true };
    try backend.open(&ends.streams[0], one[0], first);
    try backend.open(&ends.streams[1], two[0], second);
    _ = backend.poll(0, &ends);
    const before = backend.buffers.tail;
    // In one poll: bytes of the second, which are held; those of the first, which end it; its end.
    _ = try posix.write(two[1], "held");
    try enterFor(&backend, 1);
    _ = try posix.write(one[1], "x");
    try enterFor(&backend, 2);
    posix.close(two[1]);
    try enterFor(&backend, 3);
    for (0..3) |_| _ = backend.poll(0, &ends);
    try testing.expectEqual(1, ends.closed);
    try testing.expectEqual(before + 2, backend.buffers.tail); // both have been given back
    try testing.expectEqual(0, backend.kept_buffers);
    ends.ends_second = false;
    if (backend.close(&ends.streams[0]) == .under_way) for (0..100) |_| {
        if (ends.closed == 2) break;
        _ = backend.poll(10, &ends);
    } else return error.StillOpen;
}

/// Until so many completions wait.
fn enterFor(backend: *Uring, count: u32) !void {
    for (0..100) |_| {
        try backend.kernel.enter(0);
        if (backend.kernel.waiting() == count) return;
        system.sleepMs(1);
    }
    return error.NothingCame;
}

/// As a worker with a relay: the end of the first stream lets the second go on.
const Ends = struct {
    streams: [2]Uring.Stream = .{ .{}, .{} },
    backend: *Uring,
    is_over: bool = false,
    /// The second waits, until bytes of the first end it.
    ends_second: bool = false,
    closed: u32 = 0,

    pub fn stream(self: *Ends, token: io.Token) ?*Uring.Stream {
        const found = &self.streams[token.slot];
        return if (found.fd == -1) null else found;
    }
    pub fn nextStream(self: *Ends, from: *u32) ?*Uring.Stream {
        if (from.* == self.streams.len) return null;
        defer from.* += 1;
        return &self.streams[from.*];
    }
    pub fn isServed(self: *Ends, token: io.Token) bool {
        return !self.ends_second or token.slot == 0;
    }
    pub fn onRecv(self: *Ends, token: io.Token, result: io.RecvResult) void {
        if (self.ends_second) _ = self.backend.close(&self.streams[1]);
        if (!self.is_over or result != .failed) return;
        if (token.slot == 0) self.backend.resumeRecv(&self.streams[1]);
        _ = self.backend.close(&self.streams[token.slot]);
    }
    pub fn onSent(_: *Ends, _: io.Token, _: u64) void {}
    pub fn onClosed(self: *Ends, _: io.Token) void {
        self.closed += 1;
    }
    pub fn onAwake(_: *Ends) void {}
};

test "io_uring: a receive that the kernel does not take ends a connection that was never paused" {
    var one: One = undefined;
    try one.init();
    defer one.deinit();
    one.poll(0);
    // The receive ends, as it does when there were no buffers or it was cancelled.
    try one.backend.kernel.cancelAll();
    try one.backend.kernel.enter(0);
    const refusal = Refusal.begin(&one.backend);
    one.poll(0);
    refusal.end();
    // That it ends is told at once, although nothing else comes.
    var timer = try std.time.Timer.start();
    one.poll(5000);
    try testing.expect(one.recorder.failed);
    try testing.expect(timer.read() < std.time.ns_per_s);
    try one.end();
}

test "io_uring: nor is one forgotten whose first receive the kernel does not take" {
    var backend = try make(Uring);
    defer backend.deinit();
    const local: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const listener = try socket.listen(&local, .{ .backlog = 8 });
    defer system.close(listener);
    const endpoint = try socket.endpointOf(listener);
    var recorder: Recorder = .{};
    defer recorder.deinit();
    const stream = &recorder.streams[0];
    try backend.connect(stream, &endpoint, .{ .slot = 0, .generation = 1, .kind = .outbound });
    if (!backend.kernel.is_enabled) try backend.kernel.enable();
    for (0..20) |_| { // the connect ends, and is not told yet
        try backend.kernel.enter(10);
        if (backend.kernel.waiting() > 0) break;
    }
    const peer = try posix.accept(listener, null, null, 0);
    const refusal = Refusal.begin(&backend);
    _ = backend.poll(0, &recorder);
    refusal.end();
    try testing.expectEqual(1, recorder.connected.len);
    _ = posix.write(peer, "hello") catch 0;
    for (0..5) |_| _ = backend.poll(10, &recorder);
    posix.close(peer);
    for (0..5) |_| _ = backend.poll(10, &recorder);
    try testing.expect(recorder.connected.get(0) == .failed or recorder.failed or recorder.eof or
        recorder.received.items.len > 0);
    try recorder.end(&backend, 0);
}
