//! What of the io_uring backend only a kernel that refuses, or lacks memory, brings about.

const std = @import("std");
const linux = std.os.linux;
const posix = std.posix;
const testing = std.testing;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const backend_test = @import("backend_test.zig");
const io = @import("io.zig");
const socket = @import("socket.zig");
const Uring = @import("uring.zig").Uring;

const Recorder = backend_test.Recorder(Uring);
const make = backend_test.make;
const socketPair = backend_test.socketPair;

const first: io.Token = .{ .slot = 0, .generation = 1, .kind = .accepted };
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
    var backend = try make(Uring);
    defer backend.deinit();
    const fds = try socketPair();
    defer posix.close(fds[1]);
    var recorder: Recorder = .{};
    defer recorder.deinit();
    const stream = &recorder.streams[0];
    try backend.open(stream, fds[0], first);
    backend.pauseRecv(stream);
    _ = backend.poll(0, &recorder);
    const refusal = Refusal.begin(&backend);
    try testing.expectEqual(.under_way, backend.close(stream));
    refusal.end();
    try pollUntilClosed(&backend, &recorder);
    try testing.expectEqual(-1, stream.fd);
}

test "io_uring: a receive that the kernel does not take ends the connection" {
    var backend = try make(Uring);
    defer backend.deinit();
    const fds = try socketPair();
    defer posix.close(fds[1]);
    var recorder: Recorder = .{};
    defer recorder.deinit();
    const stream = &recorder.streams[0];
    try backend.open(stream, fds[0], first);
    backend.pauseRecv(stream);
    for (0..3) |_| _ = backend.poll(0, &recorder);
    const refusal = Refusal.begin(&backend);
    backend.resumeRecv(stream);
    refusal.end();
    for (0..3) |_| _ = backend.poll(10, &recorder);
    try testing.expect(recorder.failed);
    try recorder.end(&backend, 0);
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
    var door: backend_test.Door(Uring) = .{};
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

test "io_uring: what it shares with the kernel is counted" {
    var backend = try make(Uring);
    defer backend.deinit();
    const buffers = backend.buffers.bytes.len;
    try testing.expect(backend.memoryBytes() > buffers);
    try testing.expect(backend.memoryBytes() < buffers + (1 << 20));
}
