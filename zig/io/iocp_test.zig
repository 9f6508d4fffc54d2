//! The IOCP backend, on Windows, over real sockets.

const std = @import("std");
const posix = std.posix;
const testing = std.testing;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const limits = @import("../core/limits.zig");
const system = @import("../core/system.zig");
const windows = @import("../core/system/windows.zig");
const fixtures = @import("testing/fixtures.zig");
const io = @import("io.zig");
const iocp_file = @import("iocp.zig");
const Iocp = iocp_file.Iocp;
const Stream = iocp_file.Stream;
const socket = @import("socket.zig");
const test_peer = @import("test_peer.zig");

fn makeOne() !Iocp {
    return Iocp.init(testing.allocator, .{ .receive_buffer_bytes = 4096 });
}

/// Counts what has been told of one stream's output.
const Sender = struct {
    stream_of: Stream = .{},
    sent: u64 = 0,
    tells: u32 = 0,
    failed: bool = false,
    closed: bool = false,
    connected: ?io.Connecting = null,

    pub fn stream(self: *Sender, _: io.Token) ?*Stream {
        return &self.stream_of;
    }
    pub fn nextStream(_: *Sender, _: *u32) ?*Stream {
        return null;
    }
    pub fn isServed(_: *Sender, _: io.Token) bool {
        return true;
    }
    pub fn onAwake(_: *Sender) void {}
    pub fn onRecv(self: *Sender, _: io.Token, result: io.RecvResult) void {
        self.failed = self.failed or result == .failed;
    }
    pub fn onSent(self: *Sender, _: io.Token, bytes: u64) void {
        self.sent += bytes;
        self.tells += 1;
    }
    pub fn onClosed(self: *Sender, _: io.Token) void {
        self.closed = true;
    }
    pub fn onConnected(self: *Sender, _: io.Token, result: io.Connecting) void {
        self.connected = result;
    }

    fn end(self: *Sender, backend: *Iocp) !void {
        self.closed = backend.close(&self.stream_of) == .closed;
        for (0..200) |_| if (!self.closed) {
            _ = backend.poll(10, self);
        };
        try testing.expect(self.closed);
    }
};

fn fill(backend: *Iocp, stream: *Stream) !void {
    const block = [_]u8{'x'} ** 65536;
    const iovecs = [_]posix.iovec_const{.{ .base = &block, .len = block.len }};
    for (0..10_000) |_| if (backend.send(stream, &iovecs, false) == .would_block) return;
    return error.NeverFull;
}

test "iocp: a file is sent in parts by the system, and one that ends too early is told of" {
    var backend = try makeOne();
    defer backend.deinit();
    var folder = testing.tmpDir(.{});
    defer folder.cleanup();
    const content = "0123456789" ** 5000;
    try folder.dir.writeFile(.{ .sub_path = "file", .data = content });
    const file = try windows.openBelow(folder.dir.fd, "file");
    defer system.close(file);
    const fds = try test_peer.socketPair();
    defer system.closeSocket(fds[1]);
    var sender: Sender = .{};
    const stream = &sender.stream_of;
    try backend.open(stream, fds[0], fixtures.first);
    const range: io.FileRange = .{ .fd = file, .offset = 5, .length = 10 };
    try testing.expectEqual(.would_block, backend.sendFile(stream, file, 5, 10));
    backend.sendLater(stream, .{ .file = range });
    for (0..200) |_| if (sender.tells == 0) {
        _ = backend.poll(10, &sender);
    };
    try testing.expectEqual(10, sender.sent);
    var buffer: [16]u8 = undefined;
    try testing.expectEqualStrings("5678901234", buffer[0..try test_peer.hear(fds[1], &buffer)]);
    backend.sendLater(stream, .{ .file = .{ .fd = file, .offset = content.len, .length = 7 } });
    for (0..200) |_| if (sender.tells == 1) {
        _ = backend.poll(10, &sender);
    };
    try testing.expectEqual(10, sender.sent);
    try testing.expectEqual(io.SendResult{ .sent = 0 }, backend.sendFile(stream, file, 0, 7));
    try sender.end(&backend);
}

test "iocp: a stream whose output waits is aborted: its close is under way, and ends" {
    var backend = try makeOne();
    defer backend.deinit();
    const fds = try test_peer.socketPair();
    defer system.closeSocket(fds[1]);
    var sender: Sender = .{};
    const stream = &sender.stream_of;
    try backend.open(stream, fds[0], fixtures.first);
    _ = backend.poll(0, &sender);
    const more = [_]posix.iovec_const{.{ .base = "more", .len = 4 }};
    for (0..100) |_| {
        try fill(&backend, stream);
        backend.sendLater(stream, .{ .memory = &more });
        // Else its peer's buffer had taken some meanwhile.
        if (stream.output.under_way) break;
        _ = backend.poll(0, &sender);
    } else return error.NeverFull;
    sender.tells = 0;
    try testing.expectEqual(.under_way, backend.abort(stream));
    for (0..200) |_| if (!sender.closed) {
        _ = backend.poll(10, &sender);
    };
    try testing.expect(sender.closed);
    try testing.expectEqual(0, sender.tells);
    try testing.expectEqual(system.no_socket, stream.fd);
}

test "iocp: who comes while accepting rests waits, and is handed on afterwards" {
    var backend = try makeOne();
    defer backend.deinit();
    const endpoint: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const fd = try socket.listen(&endpoint, .{ .backlog = 64 });
    var door: fixtures.Door(Iocp) = .{};
    try backend.listen(&door.listener, fd, .{ .slot = 0, .kind = .listener });
    var address: Endpoint.System = undefined;
    const len = (try socket.endpointOf(fd)).toSystem(&address);
    backend.pauseAccept(&door.listener);
    // More than wait for clients at a time.
    var clients: [2 * limits.accepts_posted]system.Socket = undefined;
    for (&clients) |*client| {
        client.* = try socket.open(posix.AF.INET);
        system.connect(client.*, &address.any, len) catch |err|
            try testing.expectEqual(error.ConnectionPending, err);
    }
    defer for (clients) |client| system.closeSocket(client);
    for (0..5) |_| _ = backend.poll(10, &door);
    try testing.expectEqual(0, door.accepted);
    backend.resumeAccept(&door.listener);
    for (0..200) |_| if (door.accepted < clients.len) {
        _ = backend.poll(10, &door);
    };
    try testing.expectEqual(clients.len, door.accepted);
    try testing.expectEqual(null, door.failure);
    backend.closeListener(&door.listener);
}

test "iocp: a connection is begun from here, and one that nobody takes fails" {
    var backend = try makeOne();
    defer backend.deinit();
    const endpoint: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const fd = try socket.listen(&endpoint, .{ .backlog = 8 });
    const bound = try socket.endpointOf(fd);
    var sender: Sender = .{};
    const token: io.Token = .{ .slot = 0, .generation = 1, .kind = .outbound };
    for ([_]bool{ true, false }) |is_taken| {
        if (!is_taken) system.closeSocket(fd);
        try backend.connect(&sender.stream_of, &bound, token);
        sender.connected = null;
        for (0..500) |_| if (sender.connected == null) {
            _ = backend.poll(10, &sender);
        };
        try testing.expectEqual(is_taken, sender.connected.? == .connected);
        try sender.end(&backend);
    }
}
