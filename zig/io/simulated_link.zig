//! One simulated connection: two bounded byte streams with delay, and how each side may end.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Address = @import("../core/address.zig").Address;
const limits = @import("../core/limits.zig");
const io = @import("io.zig");

/// Virtual ms at which nothing happens.
pub const never: u64 = std.math.maxInt(u64);

/// One direction. Bytes that were sent are under way until they arrive, in order; both kinds
/// together are bounded, as the kernel's buffers are.
pub const Channel = struct {
    bytes: []u8,
    head: usize = 0,
    len: usize = 0,
    /// The first bytes, which the receiver can read.
    arrived: usize = 0,
    flights: [flights_max]Flight = undefined,
    flights_len: usize = 0,
    /// When the FIN arrives; behind all bytes.
    fin_at: u64 = never,

    const flights_max = 16;
    const Flight = struct { len: usize, at: u64 };

    pub fn room(self: *const Channel) usize {
        return self.bytes.len - self.len;
    }

    /// Sends `data`, which fits; it arrives at `at`, or when what was sent before it does.
    pub fn push(self: *Channel, data: []const u8, at: u64) void {
        assert(data.len <= self.room() and self.fin_at == never);
        for (data, self.head + self.len..) |byte, i| self.bytes[i % self.bytes.len] = byte;
        self.len += data.len;
        const due = @max(at, self.lastArrival());
        if (self.flights_len == flights_max) {
            const last = &self.flights[flights_max - 1];
            last.* = .{ .len = last.len + data.len, .at = due };
        } else {
            self.flights[self.flights_len] = .{ .len = data.len, .at = due };
            self.flights_len += 1;
        }
    }

    pub fn finish(self: *Channel, at: u64) void {
        if (self.fin_at == never) self.fin_at = @max(at, self.lastArrival());
    }

    pub fn lastArrival(self: *const Channel) u64 {
        return if (self.flights_len == 0) 0 else self.flights[self.flights_len - 1].at;
    }

    /// What has been under way until `now` arrives.
    pub fn land(self: *Channel, now: u64) void {
        var landed: usize = 0;
        while (landed < self.flights_len and self.flights[landed].at <= now) : (landed += 1) {
            self.arrived += self.flights[landed].len;
        }
        if (landed == 0) return;
        self.flights_len -= landed;
        std.mem.copyForwards(
            Flight,
            self.flights[0..self.flights_len],
            self.flights[landed..][0..self.flights_len],
        );
    }

    /// Receives as much as has arrived and fits `out`.
    pub fn pull(self: *Channel, out: []u8) usize {
        const n = @min(out.len, self.arrived);
        for (out[0..n], self.head..) |*byte, i| byte.* = self.bytes[i % self.bytes.len];
        self.head = (self.head + n) % self.bytes.len;
        self.len -= n;
        self.arrived -= n;
        return n;
    }

    /// The end can be read: all bytes were, and no more will come.
    pub fn atEnd(self: *const Channel, now: u64) bool {
        return self.len == 0 and self.fin_at <= now;
    }

    pub fn readable(self: *const Channel, now: u64) bool {
        return self.arrived > 0 or self.atEnd(now);
    }

    /// What has not arrived never will.
    pub fn cut(self: *Channel) void {
        self.len = self.arrived;
        self.flights_len = 0;
    }

    pub fn clear(self: *Channel) void {
        self.cut();
        self.len = 0;
        self.arrived = 0;
    }

    /// When something next becomes visible to the receiver, after `now`.
    pub fn nextArrival(self: *const Channel, now: u64) u64 {
        if (self.flights_len > 0) return self.flights[0].at;
        return if (self.fin_at != never and self.fin_at > now) self.fin_at else never;
    }
};

/// Output that belongs to the system until it has been sent, or the socket is gone: the owner may
/// neither change it nor give it up meanwhile.
pub const HeldOutput = struct {
    iovecs: std.BoundedArray(posix.iovec_const, limits.iovecs_max) = .{},
    file: ?io.FileRange = null,
    /// Of what it was when it was taken.
    checksum: u64 = 0,

    pub fn of(output: io.Output) HeldOutput {
        var self: HeldOutput = .{};
        switch (output) {
            .memory => |iovecs| self.iovecs.appendSliceAssumeCapacity(iovecs),
            .file => |range| self.file = range,
        }
        self.checksum = self.sum();
        return self;
    }

    fn sum(self: *const HeldOutput) u64 {
        var hasher: std.hash.Wyhash = .init(0);
        for (self.iovecs.constSlice()) |iovec| hasher.update(iovec.base[0..iovec.len]);
        return hasher.final();
    }

    pub fn check(self: *const HeldOutput) void {
        if (self.sum() != self.checksum)
            @panic("output was changed, or given up, while the system had it");
    }
};

/// A connection as the network knows it. `client` and `server` name who acts.
pub const Link = struct {
    used: bool = false,
    generation: u32 = 0,
    /// Who connected, for the trace.
    id: u32 = 0,
    peer: Address = .{},
    /// Client to server, server to client.
    up: Channel,
    down: Channel,
    client_open: bool = false,
    server: Server = .none,
    /// When the SYN is there to be accepted.
    connects_at: u64 = never,
    /// Whose backlog it waits in.
    listener: u8 = 0,
    /// The backend and its name for the stream, once it was opened.
    backend: u32 = 0,
    token: io.Token = .{ .slot = 0, .kind = .internal },
    wants_recv: bool = false,
    /// An operation that a pause came too late for brings bytes still.
    brings_late: bool = false,
    wants_send: bool = false,
    /// What the system has to send by itself.
    output: ?HeldOutput = null,
    /// A connection that the server began fails.
    is_refused: bool = false,
    /// When an RST arrives.
    reset_server_at: u64 = never,
    reset_client_at: u64 = never,
    server_finished: bool = false,
    /// The number of the next record, where the system seals what the server sends.
    sealed_next: ?u32 = null,
    /// Sent by the server since its turn began: for whoever checks its share.
    turn_bytes: u64 = 0,
    /// The server was told of the client's FIN, or has read it.
    fin_told: bool = false,
    /// When the client closed its end, virtual ms.
    client_left_ms: u64 = never,

    pub const Server = enum {
        none,
        /// In the listener's backlog.
        waiting,
        /// The engine has the descriptor and no stream yet.
        accepted,
        /// The engine has begun it, and was not told yet what became of it.
        connecting,
        open,
        closed,
    };

    /// Descriptors are told from the system's by this bit; the generation, in the bits above the
    /// slot's twelve, tells the uses of a slot apart.
    const handle_bit: u32 = 0x4000_0000;
    pub const slots_max = 1 << 12;

    pub fn handle(self: *const Link, slot: usize) posix.fd_t {
        const generation: u32 = self.generation & 0x3ffff;
        return @intCast(handle_bit | generation << 12 | @as(u32, @intCast(slot)));
    }

    pub fn slotOf(fd: posix.fd_t) ?usize {
        if (fd < handle_bit) return null;
        return @as(u32, @intCast(fd)) & (slots_max - 1);
    }

    pub fn serverHasDescriptor(self: *const Link) bool {
        return switch (self.server) {
            .accepted, .connecting, .open => true,
            .none, .waiting, .closed => false,
        };
    }

    /// All stood still for so long: nobody is to blame for it.
    pub fn forgive(self: *Link, stall_ms: u64) void {
        if (self.client_left_ms != never) self.client_left_ms += stall_ms;
    }

    /// What is on its way arrives.
    pub fn land(self: *Link, now: u64) void {
        self.up.land(now);
        self.down.land(now);
    }

    pub fn nextEvent(self: *const Link, now: u64) u64 {
        var at = @min(self.up.nextArrival(now), self.down.nextArrival(now));
        for ([_]u64{ self.reset_server_at, self.reset_client_at, self.connects_at }) |other| {
            if (other > now) at = @min(at, other);
        }
        return at;
    }
};

const testing = std.testing;

test "bytes arrive in order, when they are due, and the end behind them" {
    var memory: [8]u8 = undefined;
    var channel: Channel = .{ .bytes = &memory };
    var out: [8]u8 = undefined;
    channel.push("abc", 10);
    channel.push("de", 5); // does not overtake
    channel.finish(0);
    channel.land(9);
    try testing.expectEqual(0, channel.pull(&out));
    try testing.expectEqual(10, channel.nextArrival(9));
    channel.land(10);
    try testing.expectEqualStrings("abc", out[0..channel.pull(out[0..3])]);
    try testing.expect(!channel.atEnd(10));
    try testing.expectEqualStrings("de", out[0..channel.pull(&out)]);
    try testing.expect(channel.atEnd(10));
    try testing.expectEqual(8, channel.room());
}
