//! The backends of Linux, of which one is chosen when the server starts: so the engine is compiled
//! once, and not for each of them. What that costs is a branch that always goes the same way.

const std = @import("std");
const posix = std.posix;
const Allocator = std.mem.Allocator;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const Epoll = @import("epoll.zig").Epoll;
const io = @import("io.zig");
const Kqueue = @import("kqueue.zig").Kqueue;
const kqueue_on_linux = @import("testing/kqueue_on_linux.zig").enabled;
const sealing = @import("../core/sealing.zig");
const transfer = @import("transfer.zig");
const Uring = @import("uring.zig").Uring;

pub const Linux = union(enum) {
    epoll: Epoll,
    io_uring: Uring,
    kqueue: if (kqueue_on_linux) Kqueue else noreturn,

    pub const Stream = io.Stream;

    // What is the same with all of them.
    const calls = @import("calls.zig").Calls(Linux);
    pub const nowMs = calls.nowMs;
    pub const wallSeconds = calls.wallSeconds;
    pub const closeAccepted = calls.closeAccepted;
    pub const shutdownSend = calls.shutdownSend;
    pub const inFlight = calls.inFlight;
    pub const send = calls.send;
    pub const sendFile = calls.sendFile;
    pub const acceptBatch = calls.acceptBatch;

    /// To wait, and to be woken; of those that can be chosen.
    pub const descriptors = if (kqueue_on_linux) Kqueue.descriptors else 2;

    /// How many more one has that a loop of others waits for (`descriptor`).
    pub fn descriptorsDriven(backend: io.Backend) u32 {
        return if (backend == .io_uring) 2 else 0; // uring_notice.zig
    }

    pub fn init(gpa: Allocator, options: io.Options) !Linux {
        return switch (options.backend) {
            .epoll => .{ .epoll = try Epoll.init(gpa, options) },
            .io_uring => .{ .io_uring = try Uring.init(gpa, options) },
            .kqueue => if (kqueue_on_linux)
                .{ .kqueue = try Kqueue.init(gpa, options) }
            else
                unreachable, // nobody chooses it
            .iocp => unreachable, // as above
        };
    }

    pub fn deinit(self: *Linux) void {
        switch (self.*) {
            inline else => |*own| own.deinit(),
        }
        self.* = undefined;
    }

    pub fn open(self: *Linux, stream: *Stream, fd: posix.socket_t, token: io.Token) !void {
        switch (self.*) {
            inline else => |*own| try own.open(stream, fd, token),
        }
    }

    pub fn connect(
        self: *Linux,
        stream: *Stream,
        endpoint: *const Endpoint,
        token: io.Token,
    ) !void {
        switch (self.*) {
            inline else => |*own| try own.connect(stream, endpoint, token),
        }
    }

    pub fn close(self: *Linux, stream: *Stream) io.Closing {
        return switch (self.*) {
            inline else => |*own| own.close(stream),
        };
    }

    pub fn abort(self: *Linux, stream: *Stream) io.Closing {
        return switch (self.*) {
            inline else => |*own| own.abort(stream),
        };
    }

    pub fn pauseRecv(self: *Linux, stream: *Stream) void {
        switch (self.*) {
            inline else => |*own| own.pauseRecv(stream),
        }
    }

    pub fn resumeRecv(self: *Linux, stream: *Stream) void {
        switch (self.*) {
            inline else => |*own| own.resumeRecv(stream),
        }
    }

    pub fn receiveNow(self: *Linux, stream: *Stream, context: anytype) void {
        switch (self.*) {
            inline else => |*own| own.receiveNow(stream, context),
        }
    }

    pub fn memoryBytes(self: *const Linux) usize {
        return switch (self.*) {
            inline else => |*own| own.memoryBytes(),
        };
    }

    pub fn hasInput(self: *Linux, stream: *const Stream) bool {
        return switch (self.*) {
            inline else => |*own| own.hasInput(stream),
        };
    }

    pub fn ring(its: io.Bell) void {
        if (kqueue_on_linux and Kqueue.isBell(its)) return Kqueue.ring(its);
        transfer.ring(its);
    }

    pub fn sendLater(self: *Linux, stream: *Stream, output: io.Output) void {
        switch (self.*) {
            inline else => |*own| own.sendLater(stream, output),
        }
    }

    /// io_uring's sends wait for all of their bytes (MSG_WAITALL) or copy none (SEND_ZC), which
    /// the kernel refuses of sockets whose records it seals.
    pub fn sealSends(self: *Linux, stream: *Stream, keys: *const sealing.Keys) bool {
        return switch (self.*) {
            inline else => |*own| own.sealSends(stream, keys),
        };
    }

    pub fn sendSealed(
        self: *Linux,
        stream: *Stream,
        message: *const sealing.Message,
    ) io.SendResult {
        return switch (self.*) {
            inline else => |*own| own.sendSealed(stream, message),
        };
    }

    pub fn listen(self: *Linux, stream: *Stream, fd: posix.socket_t, token: io.Token) !void {
        switch (self.*) {
            inline else => |*own| try own.listen(stream, fd, token),
        }
    }

    pub fn pauseAccept(self: *Linux, stream: *Stream) void {
        switch (self.*) {
            inline else => |*own| own.pauseAccept(stream),
        }
    }

    pub fn resumeAccept(self: *Linux, stream: *Stream) void {
        switch (self.*) {
            inline else => |*own| own.resumeAccept(stream),
        }
    }

    pub fn closeListener(self: *Linux, stream: *Stream) void {
        switch (self.*) {
            inline else => |*own| own.closeListener(stream),
        }
    }

    pub fn poll(self: *Linux, timeout_ms: i32, context: anytype) bool {
        return switch (self.*) {
            inline else => |*own| own.poll(timeout_ms, context),
        };
    }

    /// Can be read when there is something to poll for: for a loop of others that waits for it.
    /// Null: there is none.
    pub fn descriptor(self: *Linux) ?posix.fd_t {
        return switch (self.*) {
            .epoll => |*own| own.descriptor(),
            .io_uring => |*own| own.descriptor(),
            else => null,
        };
    }

    /// Where such a loop waits in the place of a poll: hands over what was asked for since the
    /// last. True: there is more to do, which the descriptor does not tell.
    pub fn handOver(self: *Linux) bool {
        return switch (self.*) {
            .epoll => |*own| own.handOver(),
            .io_uring => |*own| own.handOver(),
            else => true,
        };
    }

    pub fn bell(self: *const Linux) io.Bell {
        return switch (self.*) {
            inline else => |*own| own.bell(),
        };
    }
};

comptime {
    io.check(Linux);
}
