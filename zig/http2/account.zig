//! What a connection's peer asks for without use: frames that cost work and bring nothing, streams
//! that are begun and given up. Each has a cost; time pays some, use pays more. A peer that owes
//! too much is told ENHANCE_YOUR_CALM and the connection ends (RFC 9113 §10.5).

const std = @import("std");
const assert = std.debug.assert;

/// What is charged.
pub const Charge = enum {
    /// The peer has reset a stream that was under way (rapid reset, CVE-2023-44487).
    stream_reset_by_peer,
    /// The peer does not want what was pushed: it is asked for by no one.
    push_refused,
    /// We had to reset a stream for what the peer sent on it ("made you reset", CVE-2025-8671).
    stream_reset_for_error,
    /// A stream beyond those that may be under way.
    stream_refused,
    settings,
    /// Also an acknowledgement that nobody waits for.
    ping,
    /// DATA without content that does not end its stream; padding is no content.
    empty_data,
    continuation,
    window_update,
    /// PRIORITY and PRIORITY_UPDATE.
    priority,
    /// Of a type that is not known.
    unknown_frame,
    /// On a stream that has ended.
    late_frame,

    fn points(self: Charge) u32 {
        return switch (self) {
            .stream_reset_by_peer, .stream_reset_for_error => 20,
            .stream_refused => 10,
            .push_refused => 2,
            .settings => 100,
            .ping => 10,
            .empty_data => 10,
            .continuation => 5,
            .window_update => 1,
            .priority => 2,
            .unknown_frame => 5,
            .late_frame => 2,
        };
    }
};

/// What is credited.
pub const Credit = enum {
    /// A response was sent whole.
    response_sent,
    /// A DATA frame was sent, for which the peer may well send a WINDOW_UPDATE or a PING.
    data_sent,

    fn points(self: Credit) u32 {
        return switch (self) {
            .response_sent => 20,
            .data_sent => 10,
        };
    }
};

/// Where the peer's window ends a DATA frame, it is of use from this size on, bytes.
pub const useful_bytes_min = 1024;

/// A peer may owe so many points: those of 500 streams that are reset, or 1000 pings.
const points_max = 10_000;
/// Time pays so many: those of 50 resets, or 100 pings.
const points_per_s = 1_000;

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

    /// Something was of use. Nothing is saved up.
    pub fn credit(self: *Account, what: Credit) void {
        self.owed -|= what.points() * 1000;
    }
};

const testing = std.testing;

/// After how many of `what` at once it is too much.
fn burstOf(what: Charge) u32 {
    var account: Account = .{};
    var count: u32 = 0;
    while (account.charge(what, 5)) count += 1 else |_| return count;
}

test "floods of each kind end the connection, bursts of honest clients do not" {
    for ([_]struct { Charge, u32, u32 }{
        // A page with its hundred streams may be left, several times in a row.
        .{ .stream_reset_by_peer, 400, 1000 },
        .{ .stream_reset_for_error, 100, 1000 },
        .{ .stream_refused, 400, 2000 },
        .{ .push_refused, 1000, 10_000 },
        .{ .settings, 10, 200 },
        .{ .ping, 100, 2000 },
        .{ .empty_data, 100, 2000 },
        .{ .continuation, 100, 5000 },
        .{ .window_update, 5000, 20_000 },
        .{ .priority, 1000, 10_000 },
        .{ .unknown_frame, 100, 5000 },
        .{ .late_frame, 1000, 10_000 },
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
        now_ms += 20; // fifty resets a second
        try slow.charge(.stream_reset_by_peer, now_ms);
        fast.charge(.stream_reset_by_peer, now_ms) catch {
            is_cut_off = true;
            break;
        };
        fast.charge(.ping, now_ms) catch {
            is_cut_off = true;
            break;
        };
    }
    try testing.expect(is_cut_off);
}

test "responses that are sent pay for streams that are reset, data for updates and pings" {
    var account: Account = .{};
    for (0..100_000) |_| {
        try account.charge(.stream_reset_by_peer, 1);
        account.credit(.response_sent);
        for (0..10) |_| try account.charge(.window_update, 1);
        account.credit(.data_sent);
        try account.charge(.ping, 1);
        account.credit(.data_sent);
    }
    // Nothing is saved up.
    var rich: Account = .{};
    for (0..1000) |_| rich.credit(.response_sent);
    var count: u32 = 0;
    while (rich.charge(.ping, 1)) count += 1 else |_| {}
    try testing.expectEqual(burstOf(.ping), count);
}

test "a long silence pays for all, and no clock overflows" {
    var account: Account = .{};
    while (account.charge(.ping, 0)) {} else |_| {}
    try account.charge(.ping, 10_000);
    try account.charge(.ping, std.math.maxInt(u64));
    account.owed = 0;
    account.at_ms = 0;
    try account.charge(.ping, std.math.maxInt(u64));
}
