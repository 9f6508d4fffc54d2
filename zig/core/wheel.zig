//! A coarse timer wheel with one timer per connection. Pushing a deadline back, which is what every
//! request on a kept-alive connection does, writes one word: the entry moves only when its old slot
//! comes round.
//!
//! A deadline further off than one round waits in its slot until its round has come. Each slot
//! knows the earliest tick that it has something for, so that it is left alone until then. A visit
//! looks at each entry of the slot once: one timer costs a step per round that it waits, and one to
//! fire.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("limits.zig");
const memory = @import("memory.zig");

const slot_count = limits.wheel_slots;
const word_count = slot_count / 64;
const none: u32 = std.math.maxInt(u32);
/// Behind the slots: the list of what is due now, while callbacks are made.
const due_list = slot_count;

pub const Wheel = struct {
    entries: []align(memory.page_bytes) Entry,
    /// Of each slot, and of the due list.
    heads: [slot_count + 1]u32 = [_]u32{none} ** (slot_count + 1),
    /// Per slot: no entry is parked for an earlier tick. Means something while it is occupied.
    earliest: [slot_count]u64 = undefined,
    occupied: [word_count]u64 = [_]u64{0} ** word_count,
    /// Ticks up to and including this one have been served.
    tick: u64 = 0,
    /// No slot has something for an earlier tick.
    next_tick: u64 = off,
    /// Entries in slots and on the due list.
    active: u32 = 0,
    /// Entries that `advance` has looked at, ever.
    steps: u64 = 0,

    const Entry = struct {
        next: u32,
        prev: u32,
        /// Slot, or the due list, + 1; 0 while the entry is in neither.
        list_plus_one: u32,
        /// Tick for which the entry is in its slot; never after `deadline`.
        parked: u64,
        /// Tick at which the timer fires; `off` when disarmed but still parked.
        deadline: u64,
    };
    const off: u64 = std.math.maxInt(u64);

    pub fn init(count: u32) error{OutOfMemory}!Wheel {
        assert(count < none);
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
        if (entry.list_plus_one != 0) {
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
        if (self.entries[index].list_plus_one != 0) self.remove(index);
        self.entries[index].deadline = off;
    }

    /// Serves all ticks up to `now_ms`. Calls `context.onTimer(index)` for each timer that fires,
    /// disarmed before the call. It may set, clear or drop any timer, also one that is due now:
    /// that one fires if it is still armed for now when its turn comes.
    pub fn advance(self: *Wheel, now_ms: u64, context: anytype) void {
        assert(self.heads[due_list] == none); // not from a callback
        const now = now_ms / limits.tick_ms;
        if (now <= self.tick) return;
        if (self.active == 0 or now < self.next_tick) {
            self.tick = now;
            return;
        }
        assert(self.next_tick > self.tick);
        // Nothing is due before `next_tick`; and one round comes by every slot.
        self.tick = @max(self.next_tick - 1, now -| slot_count);
        while (self.tick < now) {
            self.tick += 1;
            const slot: u32 = @intCast(self.tick % slot_count);
            if (!self.isOccupied(slot) or self.earliest[slot] > self.tick) continue;
            self.visit(slot);
            self.fire(context);
        }
        self.next_tick = self.nextTick();
    }

    /// Moves what is due to the due list and what has a deadline that belongs elsewhere to its
    /// slot, and lets go of what is disarmed. What is left is for later rounds.
    fn visit(self: *Wheel, slot: u32) void {
        var earliest = off;
        var at = self.heads[slot];
        while (at != none) {
            const index = at;
            const entry = &self.entries[index];
            at = entry.next;
            self.steps += 1;
            if (entry.deadline == off) {
                self.remove(index);
            } else if (entry.deadline <= self.tick) {
                self.remove(index);
                self.link(index, due_list);
            } else if (entry.deadline % slot_count != slot) {
                self.remove(index);
                self.park(index);
            } else {
                entry.parked = entry.deadline;
                earliest = @min(earliest, entry.deadline);
            }
        }
        self.earliest[slot] = earliest;
    }

    /// Calls back for what is on the due list. Every callback may change that list.
    fn fire(self: *Wheel, context: anytype) void {
        while (self.heads[due_list] != none) {
            const index = self.heads[due_list];
            const entry = &self.entries[index];
            self.steps += 1;
            self.remove(index);
            if (entry.deadline == off) continue;
            if (entry.deadline > self.tick) {
                self.park(index);
                continue;
            }
            entry.deadline = off;
            context.onTimer(index);
        }
    }

    /// The earliest tick that a slot has something for; `off` when all are empty.
    fn nextTick(self: *const Wheel) u64 {
        var earliest = off;
        var distance: u32 = 1;
        while (distance <= slot_count) {
            const slot: u32 = @intCast((self.tick + distance) % slot_count);
            const word = self.occupied[slot / 64] >> @intCast(slot % 64);
            if (word == 0) {
                distance += 64 - slot % 64;
                continue;
            }
            distance += @ctz(word);
            if (distance > slot_count) break;
            const tick = self.tick + distance;
            const found = self.earliest[tick % slot_count];
            if (found <= tick) return tick; // in this round: the others come later
            earliest = @min(earliest, found);
            distance += 1;
        }
        return earliest;
    }

    /// Time until `advance` has something to do, ms; null when it never has. A deadline that was
    /// pushed back or cleared counts until its old time has come.
    pub fn timeoutMs(self: *const Wheel, now_ms: u64) ?u32 {
        if (self.active == 0) return null;
        return std.math.lossyCast(u32, self.next_tick *| limits.tick_ms -| now_ms);
    }

    fn park(self: *Wheel, index: u32) void {
        const entry = &self.entries[index];
        assert(entry.deadline > self.tick and entry.deadline != off);
        const slot: u32 = @intCast(entry.deadline % slot_count);
        entry.parked = entry.deadline;
        self.earliest[slot] = if (self.isOccupied(slot))
            @min(self.earliest[slot], entry.parked)
        else
            entry.parked;
        self.next_tick = if (self.active == 0)
            entry.parked
        else
            @min(self.next_tick, entry.parked);
        self.occupied[slot / 64] |= bit(slot);
        self.link(index, slot);
    }

    fn link(self: *Wheel, index: u32, list: u32) void {
        const entry = &self.entries[index];
        assert(entry.list_plus_one == 0);
        entry.list_plus_one = list + 1;
        entry.prev = none;
        entry.next = self.heads[list];
        if (entry.next != none) self.entries[entry.next].prev = index;
        self.heads[list] = index;
        self.active += 1;
    }

    fn remove(self: *Wheel, index: u32) void {
        const entry = &self.entries[index];
        const list = entry.list_plus_one - 1;
        if (entry.prev == none) {
            self.heads[list] = entry.next;
        } else {
            self.entries[entry.prev].next = entry.next;
        }
        if (entry.next != none) self.entries[entry.next].prev = entry.prev;
        if (self.heads[list] == none and list != due_list) self.occupied[list / 64] &= ~bit(list);
        entry.list_plus_one = 0;
        self.active -= 1;
    }

    fn isOccupied(self: *const Wheel, slot: u32) bool {
        return self.occupied[slot / 64] & bit(slot) != 0;
    }

    fn bit(slot: u32) u64 {
        return @as(u64, 1) << @intCast(slot % 64);
    }

    /// What holds between calls.
    fn checkInvariants(self: *const Wheel) void {
        assert(self.heads[due_list] == none);
        var active: u32 = 0;
        for (0..slot_count) |slot| {
            assert(self.isOccupied(@intCast(slot)) == (self.heads[slot] != none));
            var at = self.heads[slot];
            var prev: u32 = none;
            while (at != none) : (at = self.entries[at].next) {
                const entry = &self.entries[at];
                assert(entry.list_plus_one == slot + 1 and entry.prev == prev);
                assert(entry.parked > self.tick and entry.parked <= entry.deadline);
                assert(entry.parked % slot_count == slot);
                assert(self.earliest[slot] <= entry.parked and self.next_tick <= entry.parked);
                prev = at;
                active += 1;
            }
        }
        assert(active == self.active);
    }
};

const testing = std.testing;
const round_ms = slot_count * limits.tick_ms;

const Recorder = struct {
    fired: std.ArrayList(u32),
    fn onTimer(self: *Recorder, index: u32) void {
        self.fired.append(index) catch unreachable;
    }
};

const Count = struct {
    timers: usize = 0,
    fn onTimer(self: *Count, _: u32) void {
        self.timers += 1;
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
    wheel.advance(1475 + limits.tick_ms, &recorder);
    wheel.advance(90_000, &recorder);
    try testing.expectEqualSlices(u32, &.{1}, recorder.fired.items);
}

/// Timers that are looked at one by one, beside a wheel. Callbacks set, clear and drop others.
const Naive = struct {
    const count = 4096;

    wheel: *Wheel,
    random: std.Random,
    /// Tick at which each fires.
    deadlines: [count]?u64 = [_]?u64{null} ** count,
    now_ms: u64 = 0,
    fired: u64 = 0,

    fn onTimer(self: *Naive, index: u32) void {
        // Armed, and not early. That none is late is seen after each `advance`.
        assert(self.deadlines[index].? <= self.wheel.tick);
        self.deadlines[index] = null;
        self.fired += 1;
        for (0..self.random.uintLessThan(u8, 4)) |_| self.change();
    }

    fn change(self: *Naive) void {
        const index = self.someTimer();
        switch (self.random.uintLessThan(u8, 8)) {
            0 => {
                self.wheel.clear(index);
                self.deadlines[index] = null;
            },
            1 => {
                self.wheel.drop(index);
                self.deadlines[index] = null;
            },
            else => {
                const at = self.now_ms + self.someDelay();
                self.wheel.set(index, at);
                self.deadlines[index] = @max(Wheel.tickAfter(at), self.wheel.tick + 1);
            },
        }
    }

    /// One that is due with the one that fires, or any.
    fn someTimer(self: *Naive) u32 {
        const any = self.random.uintLessThan(u32, count);
        if (self.random.boolean()) return any;
        for (0..64) |offset| {
            const index: u32 = @intCast((any + offset) % count);
            if ((self.deadlines[index] orelse continue) <= self.wheel.tick) return index;
        }
        return any;
    }

    /// Many meet in few slots, within this round and beyond it.
    fn someDelay(self: *Naive) u64 {
        const rounds = round_ms * self.random.uintLessThan(u64, 4);
        return switch (self.random.uintLessThan(u8, 4)) {
            0 => self.random.uintLessThan(u64, 4 * limits.tick_ms),
            1 => rounds + 100 * limits.tick_ms,
            2 => rounds + self.random.uintLessThan(u64, 10 * limits.tick_ms),
            else => self.random.uintLessThan(u64, 3 * round_ms),
        };
    }

    /// The tick of the first that is armed.
    fn earliest(self: *const Naive) ?u64 {
        var first: ?u64 = null;
        for (self.deadlines) |deadline| {
            const tick = deadline orelse continue;
            first = @min(first orelse tick, tick);
        }
        return first;
    }
};

test "thousands of timers, set, cleared and dropped in callbacks too, fire when they are due" {
    var wheel = try Wheel.init(Naive.count);
    defer wheel.deinit();
    var prng = std.Random.DefaultPrng.init(11);
    const naive = try testing.allocator.create(Naive);
    defer testing.allocator.destroy(naive);
    naive.* = .{ .wheel = &wheel, .random = prng.random() };
    for (0..2_000) |_| {
        for (0..naive.random.uintLessThan(u8, 32)) |_| naive.change();
        naive.now_ms += if (naive.random.uintLessThan(u8, 100) == 0)
            naive.random.uintLessThan(u64, 2 * round_ms)
        else
            naive.random.uintLessThan(u64, 4 * limits.tick_ms);
        wheel.advance(naive.now_ms, naive);
        wheel.checkInvariants();
        const first = naive.earliest() orelse continue;
        try testing.expect(first > wheel.tick);
        // The worker is not called too late for it.
        const wait = wheel.timeoutMs(naive.now_ms).?;
        try testing.expect(naive.now_ms + wait <= first * limits.tick_ms);
    }
    try testing.expect(naive.fired > 10_000);
}

test "timers of two rounds in one slot cost few steps each, however many there are" {
    const count = 100_000;
    var wheel = try Wheel.init(count);
    defer wheel.deinit();
    var fired: Count = .{};
    for (0..count) |i| wheel.set(@intCast(i), 1000 + round_ms * (i % 2));
    wheel.advance(1000 + limits.tick_ms, &fired);
    try testing.expectEqual(count / 2, fired.timers);
    try testing.expect(wheel.steps <= 2 * count);
    wheel.advance(1000 + round_ms + limits.tick_ms, &fired);
    try testing.expectEqual(count, fired.timers);
    try testing.expect(wheel.steps <= 3 * count);
}

test "what waits for a later round costs nothing until then" {
    var wheel = try Wheel.init(1000);
    defer wheel.deinit();
    var fired: Count = .{};
    const hour_ms = 60 * 60 * 1000;
    for (0..1000) |i| wheel.set(@intCast(i), hour_ms + i);
    var now: u64 = 0;
    while (now < hour_ms) : (now += 10_007) {
        wheel.advance(now, &fired);
        const wait = wheel.timeoutMs(now).?;
        try testing.expect(wait >= hour_ms - now and wait <= hour_ms - now + limits.tick_ms);
    }
    try testing.expectEqual(0, wheel.steps);
    wheel.advance(now, &fired);
    try testing.expectEqual(1000, fired.timers);
}

test "the worker sleeps until the first of those that wait for later rounds" {
    var wheel = try Wheel.init(4);
    defer wheel.deinit();
    var fired: Count = .{};
    wheel.set(0, 100);
    wheel.set(1, 3 * round_ms + 1000);
    wheel.set(2, round_ms + 2000);
    wheel.set(3, 2 * round_ms + 3000);
    wheel.advance(100 + limits.tick_ms, &fired);
    try testing.expectEqual(1, fired.timers);
    for ([_]u64{ round_ms + 2000, 2 * round_ms + 3000, 3 * round_ms + 1000 }) |deadline| {
        const now = wheel.tick * limits.tick_ms;
        try testing.expectEqual(deadline + limits.tick_ms, now + wheel.timeoutMs(now).?);
        wheel.advance(deadline + limits.tick_ms, &fired);
    }
    try testing.expectEqual(4, fired.timers);
}

test "pushing a deadline back moves nothing until the old one has come" {
    var wheel = try Wheel.init(1);
    defer wheel.deinit();
    var fired: Count = .{};
    wheel.set(0, 5_000);
    for (0..49) |i| {
        const now = i * 100;
        wheel.advance(now, &fired);
        wheel.set(0, now + 5_000);
        try testing.expectEqual(0, wheel.steps);
        try testing.expectEqual(5_000 + limits.tick_ms - now, wheel.timeoutMs(now).?);
    }
    wheel.advance(5_000 + limits.tick_ms, &fired);
    try testing.expectEqual(1, wheel.steps);
    wheel.advance(4_800 + 5_000, &fired);
    try testing.expectEqual(0, fired.timers);
    wheel.advance(4_800 + 5_000 + limits.tick_ms, &fired);
    try testing.expectEqual(1, fired.timers);
}

/// Timer 0 changes 1, 2 and 3, which are due with it.
const Meddler = struct {
    wheel: *Wheel,
    fired: std.BoundedArray(u32, 8) = .{},

    fn onTimer(self: *Meddler, index: u32) void {
        self.fired.appendAssumeCapacity(index);
        if (index != 0) return;
        self.wheel.clear(1);
        self.wheel.drop(2);
        self.wheel.set(3, 2000);
        self.wheel.set(4, 1000); // in the past: in the next tick
    }
};

test "a callback disarms, drops and pushes back timers that are due with its own" {
    var wheel = try Wheel.init(5);
    defer wheel.deinit();
    var meddler: Meddler = .{ .wheel = &wheel };
    for (0..4) |i| wheel.set(@intCast(i), 1000);
    wheel.advance(1000 + limits.tick_ms, &meddler);
    try testing.expectEqualSlices(u32, &.{0}, meddler.fired.slice());
    wheel.advance(1000 + 2 * limits.tick_ms, &meddler);
    try testing.expectEqualSlices(u32, &.{ 0, 4 }, meddler.fired.slice());
    wheel.advance(2000 + limits.tick_ms, &meddler);
    try testing.expectEqualSlices(u32, &.{ 0, 4, 3 }, meddler.fired.slice());
    try testing.expectEqual(0, wheel.active);
}

test "timeoutMs tells when the next timer is due, null when there is none" {
    var wheel = try Wheel.init(2);
    defer wheel.deinit();
    var fired: Count = .{};
    try testing.expectEqual(null, wheel.timeoutMs(0));
    wheel.set(0, 1000);
    wheel.set(1, std.math.maxInt(u64) / 2);
    try testing.expectEqual(1000 + limits.tick_ms, wheel.timeoutMs(0).?);
    wheel.advance(1000 + limits.tick_ms, &fired);
    try testing.expectEqual(std.math.maxInt(u32), wheel.timeoutMs(2000).?);
    wheel.drop(1);
    try testing.expectEqual(null, wheel.timeoutMs(2000));
}

test "a timer that waits for a later round of its slot can be pulled forward" {
    var wheel = try Wheel.init(1);
    defer wheel.deinit();
    var recorder: Recorder = .{ .fired = .init(testing.allocator) };
    defer recorder.fired.deinit();
    wheel.set(0, 1000);
    wheel.set(0, 1000 + round_ms);
    wheel.advance(1000 + limits.tick_ms, &recorder); // its first slot comes round
    wheel.set(0, 2000);
    wheel.advance(2000 + limits.tick_ms, &recorder);
    try testing.expectEqualSlices(u32, &.{0}, recorder.fired.items);
}

test "a clock that jumps by more than a round fires everything that is due" {
    var wheel = try Wheel.init(4);
    defer wheel.deinit();
    var recorder: Recorder = .{ .fired = .init(testing.allocator) };
    defer recorder.fired.deinit();
    for (0..3) |i| wheel.set(@intCast(i), 100 * (i + 1));
    wheel.set(3, 20 * round_ms);
    wheel.advance(10 * round_ms, &recorder);
    try testing.expectEqual(@as(usize, 3), recorder.fired.items.len);
    wheel.advance(20 * round_ms + limits.tick_ms, &recorder);
    try testing.expectEqual(@as(usize, 4), recorder.fired.items.len);
}
