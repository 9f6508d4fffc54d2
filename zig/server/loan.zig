//! A worker's own thread lends it to a loop of others, which runs it between `enter` and `leave`,
//! and has it back when that loop gives it up: there is somebody to run it at all times. The thread
//! sleeps meanwhile. It takes the worker back by itself where it must (`recall`); the loop finds
//! that out by its next `enter`.
//!
//! Whoever has the worker calls it: its own thread without a lock, since it alone lends; a loop,
//! and who else is to have a word with a worker that is lent, under `mutex`.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;

/// It outlives the engine, for as long as a loop may look.
pub const Loan = struct {
    gpa: Allocator,
    references: std.atomic.Value(u32) = .init(1),
    mutex: std.Thread.Mutex = .{},
    /// The worker is somebody else's, or its thread is to look at something.
    changed: std.Thread.Condition = .{},
    /// Who asks for it.
    asker: ?*anyopaque = null,
    /// The same for the worker's thread, which looks between two turns.
    is_asked: std.atomic.Value(bool) = .init(false),
    /// Who has it; null: its own thread.
    borrower: ?*anyopaque = null,
    /// It runs no more.
    has_ended: bool = false,
    /// The worker has something for the borrower.
    rung: bool = false,

    pub fn create(gpa: Allocator) error{OutOfMemory}!*Loan {
        const self = try gpa.create(Loan);
        self.* = .{ .gpa = gpa };
        return self;
    }

    pub fn retain(self: *Loan) *Loan {
        _ = self.references.fetchAdd(1, .monotonic);
        return self;
    }

    pub fn release(self: *Loan) void {
        if (self.references.fetchSub(1, .acq_rel) == 1) self.gpa.destroy(self);
    }

    // The loop.

    pub const Outcome = enum { lent, ended, taken };

    /// Waits until the worker's thread has come to the end of a turn, for which `ring` wakes it.
    /// `.taken`: another has it, or asks for it.
    pub fn borrow(self: *Loan, who: *anyopaque, context: anytype) Outcome {
        self.mutex.lock();
        defer self.mutex.unlock();
        if (self.has_ended) return .ended;
        if (self.asker != null or self.borrower != null) return .taken;
        self.asker = who;
        self.is_asked.store(true, .release);
        context.ring(); // as in `wake`
        while (self.borrower != who) {
            if (self.has_ended) return .ended;
            self.changed.wait(&self.mutex);
        }
        return .lent;
    }

    /// The worker is `who`'s to call until `leave`. False: it is not any more.
    pub fn enter(self: *Loan, who: *anyopaque) bool {
        self.mutex.lock();
        if (self.borrower == who) return true;
        self.mutex.unlock();
        return false;
    }

    pub fn leave(self: *Loan) void {
        self.mutex.unlock();
    }

    /// In the place of `leave`: the worker's thread has it again.
    pub fn giveBack(self: *Loan) void {
        assert(self.borrower != null);
        self.borrower = null;
        self.changed.broadcast();
        self.mutex.unlock();
    }

    /// The loop in which it was has published something for it and taken its asleep flag down, so
    /// that nobody else rings: its own thread has it now, and may sleep. `ring` finds what it rings
    /// open: it has not ended, and cannot while this has the mutex.
    pub fn wake(self: *Loan, context: anytype) void {
        self.mutex.lock();
        defer self.mutex.unlock();
        if (!self.has_ended) context.ring();
    }

    // Any thread.

    /// As `enter`, for a word with a worker that is lent, whoever has it. False: it is not.
    pub fn enterLent(self: *Loan) bool {
        self.mutex.lock();
        if (self.borrower != null) return true;
        self.mutex.unlock();
        return false;
    }

    pub fn isLent(self: *Loan) bool {
        self.mutex.lock();
        defer self.mutex.unlock();
        return self.borrower != null;
    }

    /// The thread of a worker that is lent looks whether it is to take it back.
    pub fn remind(self: *Loan) void {
        self.mutex.lock();
        defer self.mutex.unlock();
        self.changed.broadcast();
    }

    // The worker's thread.

    pub fn isAsked(self: *const Loan) bool {
        return self.is_asked.load(.acquire);
    }

    /// Lends the worker, and waits until it is this thread's again: it is given back, or the time
    /// has come that `context.recallMs` tells, in so many ms; null: none is set.
    /// `context.onLent(rung)` is told of both: null when it is back.
    pub fn lend(self: *Loan, context: anytype) void {
        self.mutex.lock();
        defer self.mutex.unlock();
        self.is_asked.store(false, .monotonic);
        const asker = self.asker orelse return;
        self.asker = null;
        self.rung = false;
        context.onLent(&self.rung);
        self.borrower = asker;
        self.changed.broadcast();
        while (self.borrower != null) {
            const left_ms = context.recallMs() orelse {
                self.changed.wait(&self.mutex);
                continue;
            };
            if (left_ms == 0) {
                self.borrower = null;
                break;
            }
            // Early or late, it is looked at again.
            self.changed.timedWait(&self.mutex, left_ms * std.time.ns_per_ms) catch {};
        }
        context.onLent(null);
    }

    /// Nobody gets it any more.
    pub fn end(self: *Loan) void {
        self.mutex.lock();
        defer self.mutex.unlock();
        assert(self.borrower == null);
        self.has_ended = true;
        self.asker = null;
        self.changed.broadcast();
    }
};

const testing = std.testing;

/// A worker's thread that counts, and lends what it counts with.
const Counting = struct {
    loan: *Loan,
    /// Of whoever has the worker: no lock of its own guards it.
    count: u64 = 0,
    is_lent: bool = false,
    turns: u32 = 0,
    bell: std.Thread.ResetEvent = .{},
    stops: std.atomic.Value(bool) = .init(false),
    recalls: std.atomic.Value(bool) = .init(false),

    fn run(self: *Counting) void {
        while (!self.stops.load(.acquire)) {
            if (self.loan.isAsked()) self.loan.lend(self);
            self.count += 1;
            self.turns += 1;
            self.bell.timedWait(std.time.ns_per_ms) catch {};
            self.bell.reset();
        }
        self.loan.end();
    }

    fn ring(self: *Counting) void {
        self.bell.set();
    }

    fn onLent(self: *Counting, rung: ?*bool) void {
        self.is_lent = rung != null;
    }

    fn recallMs(self: *const Counting) ?u64 {
        return if (self.recalls.load(.acquire)) 0 else null;
    }
};

test "a worker is called by one at a time, whoever borrows it, and is its thread's again" {
    const loan = try Loan.create(testing.allocator);
    defer loan.release();
    var worker: Counting = .{ .loan = loan };
    const thread = try std.Thread.spawn(.{}, Counting.run, .{&worker});
    var expected: u64 = 0;
    var who: u8 = 0;
    for (0..50) |_| {
        try testing.expectEqual(.lent, loan.borrow(&who, &worker));
        try testing.expectEqual(.taken, loan.borrow(&expected, &worker));
        for (0..100) |_| {
            try testing.expect(loan.enter(&who));
            try testing.expect(worker.is_lent);
            worker.count += 1;
            loan.leave();
        }
        expected += 100;
        try testing.expect(loan.enterLent());
        loan.leave();
        try testing.expect(loan.enter(&who));
        loan.giveBack();
        try testing.expect(!loan.enter(&who));
    }
    worker.stops.store(true, .release);
    worker.ring();
    thread.join();
    try testing.expectEqual(expected + worker.turns, worker.count);
    try testing.expect(!worker.is_lent);
    try testing.expectEqual(.ended, loan.borrow(&who, &worker));
    try testing.expect(!loan.enterLent());
}

test "a worker whose borrower does not give it back is taken back when its time has come" {
    const loan = try Loan.create(testing.allocator);
    defer loan.release();
    var worker: Counting = .{ .loan = loan };
    const thread = try std.Thread.spawn(.{}, Counting.run, .{&worker});
    var who: u8 = 0;
    try testing.expectEqual(.lent, loan.borrow(&who, &worker));
    try testing.expect(loan.isLent());
    worker.stops.store(true, .release);
    worker.recalls.store(true, .release);
    loan.remind();
    thread.join();
    try testing.expect(!loan.enter(&who));
    try testing.expect(!loan.isLent());
}

test "the thread of a worker that it has back is woken by who had it, until the worker has ended" {
    const Rings = struct {
        count: u32 = 0,

        fn ring(self: *@This()) void {
            self.count += 1;
        }
    };
    const loan = try Loan.create(testing.allocator);
    defer loan.release();
    var rings: Rings = .{};
    loan.wake(&rings);
    try testing.expectEqual(1, rings.count);
    loan.end();
    loan.wake(&rings);
    try testing.expectEqual(1, rings.count); // what it would ring may be closed
}

test "who keeps a loan may ask when the engine is gone" {
    const loan = try Loan.create(testing.allocator);
    const kept = loan.retain();
    loan.end();
    loan.release();
    var who: u8 = 0;
    try testing.expect(!kept.enter(&who));
    kept.release();
}
