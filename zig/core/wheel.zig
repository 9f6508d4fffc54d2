//! A coarse timer wheel with one timer per connection. Pushing a deadline back, which is what every
//! request on a kept-alive connection does, writes one word:
//! the entry moves only when its old slot comes round.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("limits.zig");
const memory = @import("memory.zig");

const slot_count = limits.wheel_slots;
const word_count = slot_count / 64;
const none: u32 = std.math.maxInt(u32);

pub const Wheel = struct {
    entries: []align(memory.page_bytes) Entry,
    heads: [slot_count]u32 = [_]u32{none} ** slot_count,
    occupied: [word_count]u64 = [_]u64{0} ** word_count,
    /// Ticks up to and including this one have been served.
    tick: u64 = 0,
    active: u32 = 0,

    const Entry = struct {
        next: u32,
        prev: u32,
        /// Slot + 1; 0 while the entry is not in the wheel.
        slot_plus_one: u32,
        /// Tick at which the entry's slot comes round for it; never after `deadline`.
        parked: u64,
        /// Tick at which the timer fires; `off` when disarmed but still parked.
        deadline: u64,
    };
    const off: u64 = std.math.maxInt(u64);

    pub fn init(count: u32) error{OutOfMemory}!Wheel {
        return .{ .entries = try memory.reserve(Entry, count) };
    }

    pub fn deinit(self: *Wheel) void {
        memory.release(Entry, self.entries);
        self.* = undefined;
    }

    pub fn reservedBytes(self: *const Wheel) u64 {
        return self.entries.len * @sizeOf(Entry) + @sizeOf(Wheel);
    }

    /// The tick at or after `ms`, so that a timer never fires early.
    pub fn tickAfter(ms: u64) u64 {
        return ms / limits.tick_ms + 1;
    }

    /// Arms timer `index` to fire at `deadline_ms` (monotonic), in place of what was set before.
    pub fn set(self: *Wheel, index: u32, deadline_ms: u64) void {
        const deadline = @max(tickAfter(deadline_ms), self.tick + 1);
        const entry = &self.entries[index];
        if (entry.slot_plus_one != 0) {
            entry.deadline = deadline;
            if (entry.parked <= deadline) return;
            self.remove(index);
        }
        entry.deadline = deadline;
        self.park(index);
    }

    /// Disarms timer `index`.
    pub fn clear(self: *Wheel, index: u32) void {
        self.entries[index].deadline = off;
    }

    /// Disarms and takes the entry out of the wheel: for a slot that changes hands.
    pub fn drop(self: *Wheel, index: u32) void {
        if (self.entries[index].slot_plus_one != 0) self.remove(index);
        self.entries[index].deadline = off;
    }

    /// Serves all ticks up to `now_ms`. Calls `context.onTimer(index)` for each timer that fires,
    /// disarmed before the call; it may set or drop any timer.
    pub fn advance(self: *Wheel, now_ms: u64, context: anytype) void {
        const now = now_ms / limits.tick_ms;
        if (now <= self.tick) return;
        if (self.active == 0 or now - self.tick > slot_count) {
            // Nothing parked, or a gap longer than a round: one round serves every slot.
            if (self.active == 0) {
                self.tick = now;
                return;
            }
            self.tick = now - slot_count;
        }
        while (self.tick < now) {
            self.tick += 1;
            const slot: u32 = @intCast(self.tick % slot_count);
            if (self.occupied[slot / 64] & bit(slot) == 0) continue;
            self.resettle(slot);
            while (self.firstDue(slot)) |index| {
                self.remove(index);
                self.entries[index].deadline = off;
                context.onTimer(index);
            }
        }
    }

    /// Moves on what is parked in `slot` with a deadline that belongs elsewhere,
    /// and lets go of what is disarmed.
    fn resettle(self: *Wheel, slot: u32) void {
        var at = self.heads[slot];
        while (at != none) {
            const index = at;
            const entry = &self.entries[index];
            at = entry.next;
            if (entry.deadline == off) {
                self.remove(index);
            } else if (entry.deadline > self.tick and entry.deadline % slot_count != slot) {
                self.remove(index);
                self.park(index);
            } else entry.parked = entry.deadline; // due now, or here again whole rounds later
        }
    }

    fn firstDue(self: *const Wheel, slot: u32) ?u32 {
        var at = self.heads[slot];
        while (at != none) : (at = self.entries[at].next) {
            if (self.entries[at].deadline <= self.tick) return at;
        }
        return null;
    }

    /// Time until the next slot that holds something comes round, ms; null when nothing is parked.
    pub fn timeoutMs(self: *const Wheel, now_ms: u64) ?u32 {
        if (self.active == 0) return null;
        var distance: u32 = 1;
        while (distance <= slot_count) {
            const slot: u32 = @intCast((self.tick + distance) % slot_count);
            const word = self.occupied[slot / 64] >> @intCast(slot % 64);
            if (word != 0) {
                distance += @ctz(word);
                break;
            }
            distance += 64 - slot % 64;
        }
        const due_ms = (self.tick + distance) * limits.tick_ms;
        return @intCast(due_ms -| now_ms);
    }

    fn park(self: *Wheel, index: u32) void {
        const entry = &self.entries[index];
        const slot: u32 = @intCast(entry.deadline % slot_count);
        entry.parked = entry.deadline;
        entry.slot_plus_one = slot + 1;
        entry.prev = none;
        entry.next = self.heads[slot];
        if (entry.next != none) self.entries[entry.next].prev = index;
        self.heads[slot] = index;
        self.occupied[slot / 64] |= bit(slot);
        self.active += 1;
    }

    fn remove(self: *Wheel, index: u32) void {
        const entry = &self.entries[index];
        const slot = entry.slot_plus_one - 1;
        if (entry.prev == none) {
            self.heads[slot] = entry.next;
        } else {
            self.entries[entry.prev].next = entry.next;
        }
        if (entry.next != none) self.entries[entry.next].prev = entry.prev;
        if (self.heads[slot] == none) self.occupied[slot / 64] &= ~bit(slot);
        entry.slot_plus_one = 0;
        self.active -= 1;
    }

    fn bit(slot: u32) u64 {
        return @as(u64, 1) << @intCast(slot % 64);
    }
};

const testing = std.testing;

const Recorder = struct {
    fired: std.ArrayList(u32),
    fn onTimer(self: *Recorder, index: u32) void {
        self.fired.append(index) catch unreachable;
    }
};

test "a timer fires once, never early, at most a tick late" {
    var wheel = try Wheel.init(4);
    defer wheel.deinit();
    var recorder: Recorder = .{ .fired = .init(testing.allocator) };
    defer recorder.fired.deinit();
    wheel.advance(1000, &recorder);
    wheel.set(1, 1475);
    var now: u64 = 1000;
    while (now < 1475) : (now += 5) wheel.advance(now, &recorder);
    try testing.expectEqual(@as(usize, 0), recorder.fired.items.len);
    wheel.advance(1475 + 2 * limits.tick_ms, &recorder);
    wheel.advance(90_000, &recorder);
    try testing.expectEqualSlices(u32, &.{1}, recorder.fired.items);
}

test "timers fire at their latest deadline: pushed back, pulled forward, cleared or far ahead" {
    var wheel = try Wheel.init(64);
    defer wheel.deinit();
    var prng = std.Random.DefaultPrng.init(11);
    const random = prng.random();
    var due = [_]?u64{null} ** 64;
    const Check = struct {
        due: *[64]?u64,
        now: u64,
        fn onTimer(self: *@This(), index: u32) void {
            const at = self.due[index] orelse @panic("a timer fired that was not armed");
            assert(at <= self.now);
            assert(self.now - at <= 3 * limits.tick_ms);
            self.due[index] = null;
        }
    };
    var check: Check = .{ .due = &due, .now = 0 };
    for (0..200_000) |_| {
        check.now += random.uintLessThan(u64, limits.tick_ms);
        wheel.advance(check.now, &check);
        const index = random.uintLessThan(u32, 64);
        switch (random.uintLessThan(u8, 8)) {
            0 => {
                wheel.clear(index);
                due[index] = null;
            },
            1 => {
                wheel.drop(index);
                due[index] = null;
            },
            else => {
                const at = check.now + random.uintLessThan(u64, 120_000);
                wheel.set(index, at);
                due[index] = at;
            },
        }
        for (due) |at| if (at) |ms| try testing.expect(ms + 3 * limits.tick_ms >= check.now);
    }
}

test "timeoutMs tells the next occupied slot and null when there is none" {
    var wheel = try Wheel.init(2);
    defer wheel.deinit();
    try testing.expectEqual(@as(?u32, null), wheel.timeoutMs(0));
    wheel.set(0, 1000);
    const wait = wheel.timeoutMs(0).?;
    try testing.expect(wait >= 1000 and wait <= 1000 + limits.tick_ms);
}

test "a timer that waits for a later round of its slot can be pulled forward" {
    var wheel = try Wheel.init(1);
    defer wheel.deinit();
    var recorder: Recorder = .{ .fired = .init(testing.allocator) };
    defer recorder.fired.deinit();
    const round_ms = slot_count * limits.tick_ms;
    wheel.set(0, 1000);
    wheel.set(0, 1000 + round_ms);
    wheel.advance(1000 + limits.tick_ms, &recorder); // its first slot comes round
    wheel.set(0, 2000);
    wheel.advance(2000 + 2 * limits.tick_ms, &recorder);
    try testing.expectEqualSlices(u32, &.{0}, recorder.fired.items);
}

test "a clock that jumps by more than a round fires everything that is due" {
    var wheel = try Wheel.init(3);
    defer wheel.deinit();
    var recorder: Recorder = .{ .fired = .init(testing.allocator) };
    defer recorder.fired.deinit();
    for (0..3) |i| wheel.set(@intCast(i), 100 * (i + 1));
    wheel.advance(10 * slot_count * limits.tick_ms, &recorder);
    try testing.expectEqual(@as(usize, 3), recorder.fired.items.len);
}
