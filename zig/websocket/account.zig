//! What a connection's peer sends without use: frames that cost work and bring nothing. Each has a
//! cost; time pays some, messages pay more. A peer that owes too much is told so (1008) and the
//! connection ends. Messages are not charged, however small: they are what it is all for, and who
//! handles them can pause the peer.

const std = @import("std");
const assert = std.debug.assert;

/// What is charged.
pub const Charge = enum {
    ping,
    /// One that nobody waits for (RFC 6455 §5.5.3 allows it).
    unasked_pong,
    /// A part of a message that has no bytes.
    empty_fragment,
    /// A part of a message that has fewer bytes than `fragment_bytes_small`.
    small_fragment,

    fn points(self: Charge) u32 {
        return switch (self) {
            .ping, .unasked_pong, .empty_fragment => 10,
            .small_fragment => 1,
        };
    }
};

/// Fragments of so many bytes cost no more to read than they bring.
pub const fragment_bytes_small = 64;
/// A peer may owe so many points: those of 1000 pings.
const points_max = 10_000;
/// Time pays so many: those of 100 pings.
const points_per_s = 1_000;
/// A message that was taken pays so many: one ping's.
const points_per_message = 10;

pub const Account = struct {
    /// What is owed, thousandths of a point.
    owed: u32 = 0,
    /// When that was right, monotonic ms.
    at_ms: u64 = 0,

    /// The peer has done something. An error: it has done so too often.
    pub fn charge(self: *Account, what: Charge, now_ms: u64) error{ExcessiveLoad}!void {
        assert(now_ms >= self.at_ms);
        const paid = (now_ms - self.at_ms) *| points_per_s;
        self.at_ms = now_ms;
        self.owed = @intCast(self.owed -| @min(paid, std.math.maxInt(u32)));
        self.owed += what.points() * 1000;
        if (self.owed <= points_max * 1000) return;
        self.owed = points_max * 1000;
        return error.ExcessiveLoad;
    }

    /// A message has come whole. Nothing is saved up.
    pub inline fn credit(self: *Account) void {
        self.owed -|= points_per_message * 1000;
    }
};

const testing = std.testing;

/// After how many of `what` at once it is too much.
fn burstOf(what: Charge) u32 {
    var account: Account = .{};
    var count: u32 = 0;
    while (account.charge(what, 5)) count += 1 else |_| return count;
}

test "floods of each kind end the connection, bursts of honest peers do not" {
    for ([_]struct { Charge, u32, u32 }{
        .{ .ping, 100, 2000 },
        .{ .unasked_pong, 100, 2000 },
        .{ .empty_fragment, 100, 2000 },
        // A message of some kilobytes byte by byte.
        .{ .small_fragment, 5000, 20_000 },
    }) |case| {
        const burst = burstOf(case[0]);
        try testing.expect(burst >= case[1] and burst <= case[2]);
    }
}

test "what comes slowly enough goes on for ever, a little faster does not" {
    var slow: Account = .{};
    var fast: Account = .{};
    var now_ms: u64 = 1;
    var is_cut_off = false;
    for (0..20_000) |_| {
        now_ms += 10; // a hundred pings a second
        try slow.charge(.ping, now_ms);
        fast.charge(.ping, now_ms) catch {
            is_cut_off = true;
            break;
        };
        fast.charge(.small_fragment, now_ms) catch {
            is_cut_off = true;
            break;
        };
    }
    try testing.expect(is_cut_off);
}

test "messages pay for pings between them, and nothing is saved up" {
    var account: Account = .{};
    for (0..100_000) |_| {
        try account.charge(.ping, 1);
        account.credit();
    }
    var count: u32 = 0;
    while (account.charge(.ping, 1)) count += 1 else |_| {}
    try testing.expectEqual(burstOf(.ping), count);
}

test "a long silence pays for all, and no clock overflows" {
    var account: Account = .{};
    while (account.charge(.ping, 0)) {} else |_| {}
    try account.charge(.ping, 10_000);
    account.at_ms = 0;
    try account.charge(.ping, std.math.maxInt(u64));
}
