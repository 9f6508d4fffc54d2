//! Flow control (RFC 9113 §5.2, §6.9): how much may be sent, and how much the peer may send.

const std = @import("std");
const assert = std.debug.assert;
const frames = @import("frames.zig");
const window_max = frames.window_max;

/// What may be sent, on a stream or on the connection.
pub const SendWindow = struct {
    /// Bytes; below 0 when the peer has made its initial window smaller (§6.9.2).
    bytes: i32 = frames.window_initial,

    /// `initial`: the peer's SETTINGS_INITIAL_WINDOW_SIZE.
    pub fn init(initial: u31) SendWindow {
        return .{ .bytes = initial };
    }

    pub fn available(self: SendWindow) u31 {
        return @intCast(@max(self.bytes, 0));
    }

    /// So much is sent: at most what is available.
    pub fn take(self: *SendWindow, bytes: u31) void {
        assert(bytes <= self.available());
        self.bytes -= bytes;
    }

    /// WINDOW_UPDATE has come.
    pub fn grow(self: *SendWindow, increment: u31) error{WindowOverflow}!void {
        try self.shift(increment);
    }

    /// The peer's SETTINGS_INITIAL_WINDOW_SIZE is another: to be told to the window of each stream,
    /// and not to the connection's (§6.9.2).
    pub fn changeInitial(self: *SendWindow, before: u31, after: u31) error{WindowOverflow}!void {
        try self.shift(@as(i64, after) - before);
    }

    fn shift(self: *SendWindow, by: i64) error{WindowOverflow}!void {
        const bytes = self.bytes + by;
        if (bytes > window_max) return error.WindowOverflow;
        // No lower than what was sent under the largest window and then all taken away.
        self.bytes = @intCast(bytes);
    }
};

/// What the peer may send. What it has sent is in three parts: not consumed yet, consumed and not
/// given back yet (`owed`), given back.
pub const ReceiveWindow = struct {
    /// What the peer may send now, bytes.
    open: u31 = frames.window_initial,
    /// Consumed, and to be given back by the next WINDOW_UPDATE, bytes.
    owed: u31 = 0,
    /// What the peer may have under way, bytes.
    size: u31 = frames.window_initial,

    pub fn init(size: u31) ReceiveWindow {
        return .{ .open = size, .size = size };
    }

    /// A DATA frame has begun: it counts whole, with its padding.
    pub fn receive(self: *ReceiveWindow, bytes: u24) error{WindowExceeded}!void {
        if (bytes > self.open) return error.WindowExceeded;
        self.open -= bytes;
    }

    /// So much of what has come is of no further concern: a handler has it, or it was dropped.
    pub fn consume(self: *ReceiveWindow, bytes: u31) void {
        assert(@as(u64, self.open) + self.owed + bytes <= self.size);
        self.owed += bytes;
    }

    /// Whether enough has been consumed for a WINDOW_UPDATE: half a window, so that the peer never
    /// stands still for want of one, and few are sent.
    pub fn isUpdateDue(self: *const ReceiveWindow) bool {
        return self.owed > 0 and self.owed >= self.size / 2;
    }

    /// What a WINDOW_UPDATE is to give back now; null: none is due.
    pub fn takeUpdate(self: *ReceiveWindow) ?u31 {
        return if (self.isUpdateDue()) self.takeAll() else null;
    }

    /// The same, however little it is.
    pub fn takeAll(self: *ReceiveWindow) ?u31 {
        if (self.owed == 0) return null;
        const increment = self.owed;
        self.open += increment;
        self.owed = 0;
        return increment;
    }

    /// Makes it larger. The difference is given back as what was consumed is.
    pub fn enlarge(self: *ReceiveWindow, size: u31) void {
        if (size <= self.size) return;
        self.owed += size - self.size;
        self.size = size;
    }
};

/// Finds a size for a receive window that does not hold a fast peer back. A window that is emptied
/// within a round trip does: it is doubled.
pub const Tuning = struct {
    /// When the last WINDOW_UPDATE was sent, monotonic ms; 0: none yet.
    updated_ms: u64 = 0,

    /// A WINDOW_UPDATE is being sent. `rtt_ms`: of the connection, as a PING tells.
    pub fn onUpdate(
        self: *Tuning,
        window: *ReceiveWindow,
        now_ms: u64,
        rtt_ms: u32,
        size_max: u31,
    ) void {
        const before_ms = self.updated_ms;
        self.updated_ms = now_ms;
        if (before_ms == 0 or now_ms - before_ms > @max(rtt_ms, 1)) return;
        window.enlarge(@min(window.size *| 2, size_max));
    }
};

const testing = std.testing;

test "a send window is used up, grows, and cannot overflow" {
    var window = SendWindow.init(10);
    window.take(4);
    try testing.expectEqual(6, window.available());
    try window.grow(5);
    window.take(11);
    try testing.expectEqual(0, window.available());
    try window.grow(window_max);
    try testing.expectError(error.WindowOverflow, window.grow(1));
    try testing.expectEqual(window_max, window.available());
}

test "another initial window moves what is open, also below nothing" {
    var window = SendWindow.init(65_535);
    window.take(65_535);
    try window.changeInitial(65_535, 16_384);
    try testing.expectEqual(0, window.available());
    try testing.expectEqual(16_384 - 65_535, window.bytes);
    try window.grow(50_000);
    try testing.expectEqual(849, window.available());
    try window.grow(window_max - 849 - 5);
    try window.changeInitial(0, 5);
    try testing.expectError(error.WindowOverflow, window.changeInitial(0, 1));
    // All that can be sent under the largest window, and the window taken away.
    var lowest = SendWindow.init(window_max);
    lowest.take(window_max);
    try lowest.changeInitial(window_max, 0);
    try testing.expectEqual(-window_max, lowest.bytes);
}

test "a receive window refuses more than it has open, and gives back by halves" {
    var window = ReceiveWindow.init(100);
    try window.receive(60);
    try testing.expectError(error.WindowExceeded, window.receive(41));
    window.consume(49);
    try testing.expectEqual(null, window.takeUpdate());
    window.consume(1);
    try testing.expectEqual(50, window.takeUpdate().?);
    try testing.expectEqual(null, window.takeUpdate());
    try window.receive(90);
    try testing.expectError(error.WindowExceeded, window.receive(1));
    try testing.expectEqual(null, ReceiveWindow.takeUpdate(&window));
}

test "whatever is received and consumed, the peer never has more under way than the size" {
    var prng = std.Random.DefaultPrng.init(4);
    const random = prng.random();
    var window = ReceiveWindow.init(1000);
    var held: u31 = 0; // received, not consumed
    var allowed: u64 = 1000; // as the peer sees it
    for (0..20_000) |_| {
        switch (random.uintLessThan(u8, 4)) {
            0 => {
                const bytes = random.uintAtMost(u24, 600);
                if (window.receive(bytes)) {
                    try testing.expect(bytes <= allowed);
                    allowed -= bytes;
                    held += bytes;
                } else |_| try testing.expect(bytes > allowed);
            },
            1 => {
                const bytes = random.uintAtMost(u31, held);
                window.consume(bytes);
                held -= bytes;
            },
            2 => if (window.takeUpdate()) |increment| {
                allowed += increment;
            },
            else => if (random.uintLessThan(u16, 1000) == 0) window.enlarge(window.size + 100),
        }
        try testing.expectEqual(allowed, window.open);
        try testing.expect(allowed + held + window.owed == window.size);
    }
}

test "a window that is emptied within a round trip is doubled up to its bound, another is not" {
    var window = ReceiveWindow.init(1000);
    var tuning: Tuning = .{};
    var now_ms: u64 = 1000;
    for ([_]u31{ 1000, 2000, 4000, 5000, 5000 }) |size| {
        tuning.onUpdate(&window, now_ms, 20, 5000);
        try testing.expectEqual(size, window.size);
        now_ms += 20;
    }
    var slow = ReceiveWindow.init(1000);
    var other: Tuning = .{};
    for (0..5) |i| other.onUpdate(&slow, 1000 + 21 * i, 20, 5000);
    try testing.expectEqual(1000, slow.size);
}
