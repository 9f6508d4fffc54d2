//! The JS threads of an engine: who is there, since when, and how to wake them. A thread's epoch is
//! odd while it is attached. Workers notice a change by comparing epochs; a place is free again
//! when every worker has noticed.

const std = @import("std");
const Allocator = std.mem.Allocator;
const orders = @import("../core/orders.zig").wake;
const system = @import("../core/system.zig");
const doorbell_file = @import("doorbell.zig");
const Doorbell = doorbell_file.Doorbell;

pub fn isAttached(epoch: u32) bool {
    return epoch & 1 == 1;
}

pub const Threads = struct {
    places: []Place,
    workers: u32,
    /// Attach and detach come from JS threads.
    mutex: std.Thread.Mutex = .{},

    const Place = struct {
        epoch: std.atomic.Value(u32) align(64) = .init(0),
        /// The end of the doorbell that is rung; closed by the last worker that lets go of it.
        doorbell: std.atomic.Value(system.File) = .init(system.no_file),
        /// Workers that have not noticed the last detachment.
        unaware: std.atomic.Value(u32) = .init(0),
    };

    pub fn init(gpa: Allocator, count: u32, workers: u32) error{OutOfMemory}!Threads {
        const places = try gpa.alloc(Place, count);
        for (places) |*place| place.* = .{};
        return .{ .places = places, .workers = workers };
    }

    /// After the workers have ended.
    pub fn deinit(self: *Threads, gpa: Allocator) void {
        for (self.places) |*place| closeDoorbell(place);
        gpa.free(self.places);
        self.* = undefined;
    }

    /// Also for a worker's look between setting its asleep flag and sleeping.
    pub fn epoch(self: *const Threads, thread: u32) u32 {
        return self.places[thread].epoch.load(orders.look);
    }

    pub fn doorbell(self: *const Threads, thread: u32) system.File {
        return self.places[thread].doorbell.load(.acquire);
    }

    pub const AttachError = error{ AlreadyAttached, WorkersBusy, NoSuchThread } || system.Error;

    /// Any thread: takes a place; the workers are to be woken. Returns the end of its doorbell that
    /// is read, which is the caller's.
    /// `WorkersBusy`: not all workers have noticed that the last thread in this place is gone; try
    /// again.
    pub fn attach(self: *Threads, thread: u32) AttachError!doorbell_file.Reader {
        self.mutex.lock();
        defer self.mutex.unlock();
        if (thread >= self.places.len) return error.NoSuchThread;
        const place = &self.places[thread];
        const current = place.epoch.load(.acquire);
        if (isAttached(current)) return error.AlreadyAttached;
        if (place.unaware.load(.acquire) != 0) return error.WorkersBusy;
        const made = try Doorbell.make();
        place.doorbell.store(made.end, .release);
        place.epoch.store(current +% 1, orders.publish);
        return made.reader;
    }

    /// Any thread: the JS thread is gone. False when none was attached. The workers are to be
    /// woken.
    pub fn detach(self: *Threads, thread: u32) bool {
        self.mutex.lock();
        defer self.mutex.unlock();
        if (thread >= self.places.len) return false;
        const place = &self.places[thread];
        const current = place.epoch.load(.acquire);
        if (!isAttached(current)) return false;
        place.unaware.store(self.workers, .release);
        place.epoch.store(current +% 1, orders.publish);
        return true;
    }

    /// A worker has noticed that the thread is gone: once per worker and detachment.
    pub fn noticed(self: *Threads, thread: u32) void {
        const place = &self.places[thread];
        if (place.unaware.fetchSub(1, .acq_rel) == 1) closeDoorbell(place);
    }

    /// Any thread: rings every doorbell, whether the thread sleeps or not.
    pub fn ringAll(self: *Threads) void {
        self.mutex.lock();
        defer self.mutex.unlock();
        for (self.places) |*place| {
            if (!isAttached(place.epoch.load(.acquire))) continue;
            _ = doorbell_file.ring(place.doorbell.load(.acquire));
        }
    }

    fn closeDoorbell(place: *Place) void {
        const end = place.doorbell.swap(system.no_file, .acq_rel);
        if (end != system.no_file) system.close(end);
    }
};

const testing = std.testing;

test "a place is free again when every worker has noticed, and the doorbell is closed then" {
    var threads = try Threads.init(testing.allocator, 1, 2);
    defer threads.deinit(testing.allocator);
    try testing.expectError(error.NoSuchThread, threads.attach(1));
    const fd = (try threads.attach(0)).fd;
    defer system.close(fd);
    try testing.expectError(error.AlreadyAttached, threads.attach(0));
    threads.ringAll();
    var byte: [8]u8 = undefined;
    try testing.expectEqual(1, try system.read(fd, &byte));
    try testing.expect(threads.detach(0));
    try testing.expect(!threads.detach(0));
    threads.noticed(0);
    try testing.expectError(error.WorkersBusy, threads.attach(0));
    try testing.expectError(error.WouldBlock, system.read(fd, &byte));
    threads.noticed(0);
    try testing.expectEqual(0, try system.read(fd, &byte)); // closed
    (try threads.attach(0)).close();
}
