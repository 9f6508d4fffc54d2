//! Workers that run in a loop of others, by calls: the one of an engine that has no thread for it,
//! or those that are lent (lending.zig).

const std = @import("std");
const assert = std.debug.assert;
const log = @import("../core/log.zig");
const worker_token = @import("../core/worker_token.zig");
const StartError = @import("start_error.zig").StartError;

/// `E`: the engine on one backend (engine.zig).
pub fn Driven(comptime E: type) type {
    return struct {
        /// Begins the one worker of an engine that has no thread for it.
        pub fn begin(self: *E) StartError!void {
            assert(self.drivers.len == 1);
            const driver = &self.drivers[0];
            if (!E.can_be_driven) return error.NotDriven;
            if (driver.net.backend.descriptor() == null) return error.NotDriven;
            const before = runAs(driver);
            defer _ = worker_token.put(before);
            self.dispatcher.workerStart(driver) catch |err| {
                log.err("the worker could not start: {s}", .{@errorName(err)});
                return error.WorkerStartFailed;
            };
            _ = self.running.fetchAdd(1, .acq_rel);
            self.is_under_way = true;
            driver.net.begin();
        }

        pub fn drive(self: *E, index: u32, how: enum { turn, aside }) void {
            if (self.is_driven and !self.is_under_way) return;
            const driver = &self.drivers[index];
            const before = runAs(driver);
            defer _ = worker_token.put(before);
            switch (how) {
                .turn => driver.net.turn(0),
                .aside => driver.net.turnAside(),
            }
        }

        pub fn rest(self: *E, index: u32) ?i32 {
            if (!E.can_be_driven) return null;
            if (self.is_driven and !self.is_under_way) return null;
            const net = &self.drivers[index].net;
            if (net.isDone()) {
                if (self.is_driven) end(self);
                return null;
            }
            const wait = net.beginTurn();
            return if (net.backend.handOver()) 0 else wait;
        }

        /// Runs the one worker to its end, where it has not come to it.
        pub fn join(self: *E) void {
            if (!self.is_under_way) return;
            const driver = &self.drivers[0];
            const before = runAs(driver);
            defer _ = worker_token.put(before);
            while (!driver.net.isDone()) driver.net.turn(driver.net.beginTurn());
            end(self);
        }

        /// The thread may drive several, and do other things. Returns whom it works as when it does
        /// not drive this one.
        fn runAs(driver: anytype) u64 {
            driver.websocket_worker.mailbox.settle();
            return worker_token.put(driver.token);
        }

        fn end(self: *E) void {
            const driver = &self.drivers[0];
            driver.onStop();
            self.dispatcher.workerStop(driver);
            self.is_under_way = false;
            self.threadEnds();
        }
    };
}
