//! What tests of backends have in common: owners of streams that write down what they are told.

const builtin = @import("builtin");
const std = @import("std");
const testing = std.testing;
const system = @import("../../core/system.zig");
const io = @import("../io.zig");
const test_peer = @import("../test_peer.zig");
const Uring = @import("../uring.zig").Uring;
pub const socketPair = test_peer.socketPair;

const is_windows = builtin.os.tag == .windows;

pub const first: io.Token = .{ .slot = 0, .generation = 1, .kind = .accepted };

/// Skipped where the system has it not, or a filter forbids it.
pub fn make(comptime B: type) !B {
    return makeWith(B, .{ .receive_buffer_bytes = 4096 });
}

pub fn makeWith(comptime B: type, options: io.Options) !B {
    return B.init(testing.allocator, options) catch |err| switch (err) {
        error.PermissionDenied, error.NotSupported, error.InvalidArgument => {
            return if (is_windows or B != Uring) err else error.SkipZigTest;
        },
        else => err,
    };
}

/// Writes down what two streams are told.
pub fn Recorder(comptime B: type) type {
    return struct {
        const Self = @This();

        streams: [2]B.Stream = .{ .{}, .{} },
        received: std.ArrayList(u8) = .init(testing.allocator),
        eof: bool = false,
        eof_ahead: u32 = 0,
        failed: bool = false,
        sent_calls: u32 = 0,
        sent_bytes: u64 = 0,
        closed: u32 = 0,
        connected: std.BoundedArray(io.Connecting, 4) = .{},
        /// Events wait.
        is_busy: bool = false,
        /// Those of this stream wait.
        busy_slot: ?u32 = null,
        /// Set: with all bytes that come for it the first stream is paused and resumed, twice.
        pauses_on: ?*B = null,

        pub fn deinit(self: *Self) void {
            self.received.deinit();
        }

        pub fn stream(self: *Self, token: io.Token) ?*B.Stream {
            return &self.streams[token.slot];
        }
        pub fn nextStream(self: *Self, from: *u32) ?*B.Stream {
            if (from.* == self.streams.len) return null;
            defer from.* += 1;
            return &self.streams[from.*];
        }
        pub fn isServed(self: *Self, token: io.Token) bool {
            return !self.is_busy and token.slot != self.busy_slot;
        }
        pub fn onRecv(self: *Self, _: io.Token, result: io.RecvResult) void {
            switch (result) {
                .bytes => |bytes| {
                    self.received.appendSlice(bytes) catch unreachable;
                    if (self.pauses_on) |backend| for (0..2) |_| {
                        backend.pauseRecv(&self.streams[0]);
                        backend.resumeRecv(&self.streams[0]);
                    };
                },
                .eof => self.eof = true,
                .eof_ahead => self.eof_ahead += 1,
                .failed => self.failed = true,
            }
        }
        pub fn onSent(self: *Self, _: io.Token, bytes: u64) void {
            self.sent_calls += 1;
            self.sent_bytes += bytes;
        }
        pub fn onClosed(self: *Self, _: io.Token) void {
            self.closed += 1;
        }
        pub fn onConnected(self: *Self, token: io.Token, result: io.Connecting) void {
            std.debug.assert(token.kind == .outbound);
            self.connected.append(result) catch unreachable;
        }
        pub fn onAwake(_: *Self) void {}

        /// Closes a stream, and polls until that has ended.
        pub fn end(self: *Self, backend: *B, index: usize) !void {
            if (backend.close(&self.streams[index]) == .under_way) {
                const before = self.closed;
                for (0..100) |_| {
                    if (self.closed > before) break;
                    _ = backend.poll(10, self);
                } else return error.StillOpen;
            }
            try testing.expectEqual(system.no_socket, self.streams[index].fd);
        }
    };
}

/// A backend with one stream that is open, what it is told, and its peer.
pub fn One(comptime B: type) type {
    return struct {
        const Self = @This();

        backend: B,
        recorder: Recorder(B) = .{},
        /// `system.no_socket` once it has hung up.
        peer: system.Socket,

        pub fn init(self: *Self) !void {
            self.* = .{ .backend = try make(B), .peer = system.no_socket };
            errdefer self.deinit();
            const fds = try socketPair();
            self.peer = fds[1];
            try self.backend.open(self.stream(), fds[0], first);
        }

        pub fn deinit(self: *Self) void {
            if (self.peer != system.no_socket) self.hangUp();
            self.recorder.deinit();
            self.backend.deinit();
        }

        pub fn stream(self: *Self) *B.Stream {
            return &self.recorder.streams[0];
        }

        pub fn poll(self: *Self, timeout_ms: i32) void {
            _ = self.backend.poll(timeout_ms, &self.recorder);
        }

        pub fn hangUp(self: *Self) void {
            system.closeSocket(self.peer);
            self.peer = system.no_socket;
        }

        /// Closes the stream, and polls until that has ended.
        pub fn end(self: *Self) !void {
            try self.recorder.end(&self.backend, 0);
        }
    };
}

/// Counts what comes in at one listener.
pub fn Door(comptime B: type) type {
    return struct {
        const Self = @This();

        listener: B.Stream = .{},
        accepted: u32 = 0,
        failure: ?io.AcceptError = null,

        pub fn stream(self: *Self, _: io.Token) ?*B.Stream {
            return if (self.listener.fd == system.no_socket) null else &self.listener;
        }
        pub fn nextStream(self: *Self, from: *u32) ?*B.Stream {
            if (from.* > 0) return null;
            from.* += 1;
            return &self.listener;
        }
        pub fn onAccept(self: *Self, _: io.Token, accepted: io.Accepted) void {
            system.closeSocket(accepted.fd);
            self.accepted += 1;
        }
        pub fn onAcceptFailed(self: *Self, _: io.Token, failure: io.AcceptError) void {
            self.failure = failure;
        }
        pub fn wantsMore(_: *Self, _: io.Token) bool {
            return true;
        }
        pub fn onRecv(_: *Self, _: io.Token, _: io.RecvResult) void {}
        pub fn onSent(_: *Self, _: io.Token, _: u64) void {}
        pub fn onClosed(_: *Self, _: io.Token) void {}
        pub fn isServed(_: *Self, _: io.Token) bool {
            return true;
        }
        pub fn onAwake(_: *Self) void {}
    };
}

/// Many streams, of which all but one may have to wait.
pub fn Crowd(comptime B: type, comptime count: u32) type {
    return struct {
        const Self = @This();

        streams: [count]B.Stream = @splat(.{}),
        peers: [count]system.Socket = undefined,
        /// All streams but this wait.
        served_only: ?u32 = null,
        received: [count]u32 = @splat(0),
        closed: u32 = 0,

        pub fn open(self: *Self, backend: *B) !void {
            for (&self.streams, &self.peers, 0..) |*one, *peer, slot| {
                const fds = try socketPair();
                peer.* = fds[1];
                try backend.open(one, fds[0], .{ .slot = @intCast(slot), .kind = .accepted });
            }
        }

        pub fn close(self: *Self, backend: *B) !void {
            var open_count: usize = 0;
            for (&self.streams) |*one|
                open_count += @intFromBool(backend.close(one) == .under_way);
            for (0..count) |_| {
                if (self.closed == open_count) break;
                _ = backend.poll(10, self);
            } else return error.StillOpen;
            for (self.peers) |peer| system.closeSocket(peer);
        }

        pub fn stream(self: *Self, token: io.Token) ?*B.Stream {
            return &self.streams[token.slot];
        }
        pub fn nextStream(self: *Self, from: *u32) ?*B.Stream {
            if (from.* == self.streams.len) return null;
            defer from.* += 1;
            return &self.streams[from.*];
        }
        pub fn isServed(self: *Self, token: io.Token) bool {
            return if (self.served_only) |slot| token.slot == slot else true;
        }
        pub fn onRecv(self: *Self, token: io.Token, result: io.RecvResult) void {
            self.received[token.slot] += @intCast(result.bytes.len);
        }
        pub fn onSent(_: *Self, _: io.Token, _: u64) void {}
        pub fn onClosed(self: *Self, _: io.Token) void {
            self.closed += 1;
        }
        pub fn onAwake(_: *Self) void {}
    };
}
