//! Streams of every backend under whatever may be done to them, in whatever order: what is received
//! is what was sent, nothing is told of a stream that was closed, and every close ends.

const builtin = @import("builtin");
const std = @import("std");
const posix = std.posix;
const testing = std.testing;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const system = @import("../core/system.zig");
const Epoll = @import("epoll.zig").Epoll;
const Iocp = @import("iocp.zig").Iocp;
const Kqueue = @import("kqueue.zig").Kqueue;
const Uring = @import("uring.zig").Uring;
const fixtures = @import("testing/fixtures.zig");
const io = @import("io.zig");
const socket = @import("socket.zig");
const test_peer = @import("test_peer.zig");

const is_windows = builtin.os.tag == .windows;
const backends = if (is_windows) .{Iocp} else .{ Epoll, Uring, Kqueue };
const steps = 3000;

/// What both ends send, from its beginning, again and again: a byte tells where it is.
const period = 251 * 4;
const output_bytes_max = 200 * 1024;
var pattern: [period + output_bytes_max]u8 = undefined;

fn fillPattern() void {
    for (&pattern, 0..) |*byte, n| byte.* = @truncate(n % 251 ^ n / 251 % 4 * 60);
}

fn patternAt(n: u64) []const u8 {
    return pattern[@intCast(n % period)..];
}

fn Storm(comptime B: type) type {
    return struct {
        const Self = @This();

        const Slot = struct {
            stream: B.Stream = .{},
            generation: u28 = 0,
            state: enum { free, open, closing } = .free,
            /// The other end; `system.no_socket` once it has gone.
            peer: system.Socket = system.no_socket,
            is_paused: bool = false,
            is_served: bool = true,
            /// Of the peer: it has ended its side, and how.
            ended: enum { no, fin, reset } = .no,
            said: u64 = 0,
            received: u64 = 0,
            saw_end: bool = false,
            sent: u64 = 0,
            heard: u64 = 0,
            awaits_room: bool = false,
            failed: bool = false,
            /// What the system was offered. It is changed as soon as that is over.
            output: [output_bytes_max]u8 = undefined,
        };

        backend: B,
        random: std.Random,
        listener: system.Socket,
        slots: [12]Slot = @splat(.{}),
        /// Nobody comes to be served meanwhile.
        in_poll: bool = false,
        /// What went wrong in a callback.
        fault: ?anyerror = null,

        fn tokenOf(self: *Self, slot: *Slot) io.Token {
            const index = slot - &self.slots[0];
            const generation = slot.generation;
            return .{ .slot = @intCast(index), .generation = generation, .kind = .accepted };
        }

        fn expect(self: *Self, holds: bool, err: anyerror) void {
            if (!holds and self.fault == null) self.fault = err;
        }

        fn pick(self: *Self) *Slot {
            return &self.slots[self.random.uintLessThan(usize, self.slots.len)];
        }

        fn chance(self: *Self, one_in: u32) bool {
            return self.random.uintLessThan(u32, one_in) == 0;
        }

        /// At most `max` bytes of the pattern from `at` on.
        fn someOf(self: *Self, at: u64, max: usize) []const u8 {
            return patternAt(at)[0 .. 1 + self.random.uintLessThan(usize, max)];
        }

        fn begin(self: *Self, slot: *Slot) !void {
            const pair = if (is_windows or self.chance(2))
                try test_peer.socketPair()
            else
                try self.tcpPair();
            const generation = slot.generation +% 1;
            slot.* = .{ .generation = generation, .peer = pair[1], .state = .open };
            const bytes: c_int = 20_000; // full before long
            try system.setSocketOption(c_int, pair[0], posix.SOL.SOCKET, posix.SO.SNDBUF, bytes);
            try self.backend.open(&slot.stream, pair[0], self.tokenOf(slot));
        }

        fn tcpPair(self: *Self) ![2]system.Socket {
            var address: Endpoint.System = undefined;
            const len = (try socket.endpointOf(self.listener)).toSystem(&address);
            const client = try socket.open(posix.AF.INET);
            errdefer system.closeSocket(client);
            system.connect(client, &address.any, len) catch |err|
                if (err != error.ConnectionPending) return err;
            var name: posix.sockaddr.storage = undefined;
            var name_len: posix.socklen_t = undefined;
            for (0..1000) |_| return .{
                system.accept(self.listener, &name, &name_len) catch {
                    system.sleepMs(1);
                    continue;
                },
                client,
            };
            return error.NobodyCame;
        }

        fn close(self: *Self, slot: *Slot) void {
            if (slot.state != .open) return;
            const is_reset = slot.awaits_room or self.chance(4);
            slot.state = .closing;
            const ending = if (is_reset)
                self.backend.abort(&slot.stream)
            else
                self.backend.close(&slot.stream);
            if (ending == .closed) self.free(slot);
        }

        fn free(self: *Self, slot: *Slot) void {
            self.expect(slot.state == .closing, error.ClosedTwice);
            slot.state = .free;
            @memset(&slot.output, 0xee);
            if (slot.peer != system.no_socket) system.closeSocket(slot.peer);
            slot.peer = system.no_socket;
        }

        fn send(self: *Self, slot: *Slot) void {
            if (slot.awaits_room or slot.failed or slot.state != .open) return;
            const max: usize = if (self.chance(3)) output_bytes_max else 3000;
            const bytes = self.someOf(slot.sent, max);
            const iovecs = [_]posix.iovec_const{.{ .base = bytes.ptr, .len = bytes.len }};
            switch (self.backend.send(&slot.stream, &iovecs, false)) {
                .sent => |n| {
                    slot.sent += n;
                    if (n == bytes.len) return;
                },
                .would_block => {},
                .failed => {
                    slot.failed = true;
                    return self.expect(slot.ended != .no, error.SendFailed);
                },
            }
            const rest = self.someOf(slot.sent, max);
            slot.awaits_room = true;
            @memcpy(slot.output[0..rest.len], rest);
            const later = [_]posix.iovec_const{.{ .base = &slot.output, .len = rest.len }};
            self.backend.sendLater(&slot.stream, .{ .memory = &later });
        }

        /// The other end does something.
        fn movePeer(self: *Self, slot: *Slot) void {
            if (slot.peer == system.no_socket) return;
            switch (self.random.uintLessThan(u8, 16)) {
                0...5 => if (slot.ended == .no) {
                    const max: usize = if (self.chance(8)) 100_000 else 2000;
                    slot.said += test_peer.say(slot.peer, self.someOf(slot.said, max)) catch 0;
                },
                6...12 => self.hear(slot, if (self.chance(3)) 100_000 else 5000),
                13 => if (slot.ended == .no and self.chance(4)) {
                    slot.ended = .fin;
                    system.shutdown(slot.peer, .send) catch {};
                },
                14 => if (self.chance(8)) {
                    // With bytes that it has not read that is a reset.
                    slot.ended = .reset;
                    if (self.chance(2)) socket.setResetOnClose(slot.peer);
                    system.closeSocket(slot.peer);
                    slot.peer = system.no_socket;
                },
                else => {},
            }
        }

        /// The other end takes what has come for it, at most `max` bytes.
        fn hear(self: *Self, slot: *Slot, max: usize) void {
            var buffer: [100_000]u8 = undefined;
            const n = system.receive(slot.peer, buffer[0..max]) catch 0;
            const want = patternAt(slot.heard)[0..n];
            self.expect(std.mem.eql(u8, want, buffer[0..n]), error.HeardWrong);
            slot.heard += n;
        }

        fn move(self: *Self, slot: *Slot) void {
            if (slot.state != .open) return;
            switch (self.random.uintLessThan(u8, 12)) {
                0 => {
                    slot.is_paused = true;
                    self.backend.pauseRecv(&slot.stream);
                },
                1...2 => {
                    slot.is_paused = false;
                    self.backend.resumeRecv(&slot.stream);
                },
                3...6 => self.send(slot),
                7 => slot.is_served = false,
                8...9 => if (!self.in_poll) {
                    slot.is_served = true;
                },
                10 => if (self.chance(12)) self.close(slot),
                else => _ = self.backend.hasInput(&slot.stream),
            }
        }

        fn named(self: *Self, token: io.Token) *Slot {
            const slot = &self.slots[token.slot];
            self.expect(slot.generation == token.generation, error.Stale);
            return slot;
        }

        // What the backend calls.

        pub fn onAwake(_: *Self) void {}

        pub fn stream(self: *Self, token: io.Token) ?*B.Stream {
            const slot = &self.slots[token.slot];
            if (slot.state == .free or slot.generation != token.generation) return null;
            return &slot.stream;
        }

        pub fn nextStream(self: *Self, from: *u32) ?*B.Stream {
            while (from.* < self.slots.len) {
                const slot = &self.slots[from.*];
                from.* += 1;
                if (slot.state != .free) return &slot.stream;
            }
            return null;
        }

        pub fn isServed(self: *Self, token: io.Token) bool {
            const slot = self.named(token);
            return slot.state == .open and slot.is_served;
        }

        pub fn onRecv(self: *Self, token: io.Token, result: io.RecvResult) void {
            const slot = self.named(token);
            self.expect(slot.state == .open, error.ToldAfterClose);
            self.expect(slot.is_served, error.ToldOutOfTurn);
            switch (result) {
                .bytes => |bytes| {
                    self.expect(!slot.saw_end, error.BytesBehindEnd);
                    const want = patternAt(slot.received)[0..bytes.len];
                    self.expect(std.mem.eql(u8, want, bytes), error.ReceivedWrong);
                    slot.received += bytes.len;
                    self.expect(slot.received <= slot.said, error.ReceivedTooMuch);
                    @memset(bytes, 0xa5);
                },
                .eof => {
                    slot.saw_end = true;
                    self.expect(slot.ended != .no, error.EndOutOfNowhere);
                    if (slot.ended == .fin)
                        self.expect(slot.received == slot.said, error.LostBytes);
                    slot.is_paused = true;
                    self.backend.pauseRecv(&slot.stream);
                },
                .eof_ahead => self.expect(slot.ended != .no, error.EndOutOfNowhere),
                .failed => {
                    self.expect(slot.ended != .no, error.FailedOutOfNowhere);
                    slot.failed = true;
                    if (!self.chance(4)) return self.close(slot);
                },
            }
            // A callback may do what it likes, to others too.
            if (self.chance(4)) self.move(slot);
            if (self.chance(6)) self.move(self.pick());
            if (self.chance(40)) self.close(self.pick());
        }

        pub fn onSent(self: *Self, token: io.Token, bytes: u64) void {
            const slot = self.named(token);
            self.expect(slot.state == .open, error.ToldAfterClose);
            self.expect(slot.awaits_room, error.NobodyWaits);
            slot.awaits_room = false;
            slot.sent += bytes;
            @memset(&slot.output, 0xee);
            if (self.chance(2)) self.send(slot);
            if (self.chance(40)) self.close(self.pick());
        }

        pub fn onClosed(self: *Self, token: io.Token) void {
            self.free(self.named(token));
        }

        // The run.

        fn run(self: *Self) !void {
            for (0..steps) |_| {
                const slot = self.pick();
                if (slot.state == .free) try self.begin(slot);
                self.movePeer(slot);
                self.movePeer(self.pick());
                self.move(slot);
                if (self.chance(3)) {
                    self.in_poll = true;
                    _ = self.backend.poll(0, self);
                    self.in_poll = false;
                }
                if (self.fault) |fault| return fault;
            }
            self.in_poll = true;
            try self.settle();
            for (&self.slots) |*slot| self.close(slot);
            var timer = try std.time.Timer.start();
            while (timer.read() < 20 * std.time.ns_per_s) {
                const left = for (&self.slots) |*slot| {
                    if (slot.state != .free) break true;
                } else false;
                if (!left) return;
                _ = self.backend.poll(5, self);
                if (self.fault) |fault| return fault;
            }
            return error.StillOpen;
        }

        /// What has been said comes to be received when nobody rests.
        fn settle(self: *Self) !void {
            var timer = try std.time.Timer.start();
            while (timer.read() < 20 * std.time.ns_per_s) {
                var is_done = true;
                for (&self.slots) |*slot| {
                    if (slot.state != .open or slot.failed or slot.ended == .reset) continue;
                    slot.is_served = true;
                    if (slot.is_paused and !slot.saw_end) {
                        slot.is_paused = false;
                        self.backend.resumeRecv(&slot.stream);
                    }
                    if (slot.received < slot.said) is_done = false;
                    if (slot.ended == .fin and !slot.saw_end) is_done = false;
                    if (slot.awaits_room) is_done = false;
                    self.hear(slot, 100_000);
                }
                if (self.fault) |fault| return fault;
                if (is_done) return;
                _ = self.backend.poll(1, self);
            }
            return error.LostInput;
        }
    };
}

fn storm(comptime B: type) !void {
    fillPattern();
    for (0..2) |round| {
        const seed = testing.random_seed +% round;
        errdefer std.debug.print("on {s} with seed {d}\n", .{ @typeName(B), seed });
        try runOnce(B, seed);
    }
}

fn runOnce(comptime B: type, seed: u64) !void {
    var random = std.Random.DefaultPrng.init(seed);
    const endpoint: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const listener = try socket.listen(&endpoint, .{ .backlog = 8 });
    defer system.closeSocket(listener);
    const its = try testing.allocator.create(Storm(B));
    defer testing.allocator.destroy(its);
    const options: io.Options = .{ .receive_buffer_bytes = 4096, .zero_copy = seed % 2 == 1 };
    its.* = .{
        .backend = try fixtures.makeWith(B, options),
        .random = random.random(),
        .listener = listener,
    };
    defer its.backend.deinit();
    try its.run();
}

test "backend: whatever is done to streams in whatever order, what is sent is received" {
    inline for (backends) |B| storm(B) catch |err| if (err != error.SkipZigTest) return err;
}
