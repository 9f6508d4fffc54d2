//! An engine whose workers run in loops of others, one in each, and on threads of their own while
//! no loop has them (loan.zig): before one comes, after it has ended, and where it does not come to
//! the end of a stop.

const std = @import("std");
const worker_token = @import("../core/worker_token.zig");
const Loan = @import("loan.zig").Loan;
const Mailbox = @import("websocket/socket.zig").Mailbox;
const StartError = @import("start_error.zig").StartError;

/// `E`: the engine on one backend (engine.zig).
pub fn Lending(comptime E: type) type {
    return struct {
        const Io = E.Backend;

        /// One for each worker.
        pub fn makeLoans(self: *E) error{OutOfMemory}!void {
            const loans = try self.parent.alloc(*Loan, self.drivers.len);
            errdefer self.parent.free(loans);
            for (loans, 0..) |*loan, made| {
                errdefer for (loans[0..made]) |one| one.release();
                loan.* = try Loan.create(self.parent);
            }
            self.loans = loans;
        }

        pub fn releaseLoans(self: *E) void {
            for (self.loans) |loan| loan.release();
            self.parent.free(self.loans);
            self.loans = &.{};
        }

        /// Whether what the workers wait for can be waited for elsewhere.
        pub fn check(self: *E) StartError!void {
            if (!E.can_be_driven) return error.NotDriven;
            for (self.drivers) |*driver| {
                if (driver.net.backend.descriptor() == null) return error.NotDriven;
            }
        }

        /// On the worker's thread, in the place of `net.run`.
        pub fn run(self: *E, index: usize) void {
            const net = &self.drivers[index].net;
            const loan = self.loans[index];
            net.begin();
            while (!net.isDone()) {
                if (loan.isAsked()) {
                    loan.lend(Lender{ .engine = self, .index = index });
                    if (!net.isDone()) net.turn(0); // its clock has stood still
                } else net.turn(net.beginTurn());
            }
            loan.end();
        }

        const Lender = struct {
            engine: *E,
            index: usize,

            /// What is asked of a worker that is lent when a stop is to be over.
            pub fn recallMs(self: Lender) ?u64 {
                const deadline = self.engine.acceptor.stop_deadline_ms.load(.seq_cst);
                if (deadline == 0) return null;
                return deadline -| self.engine.drivers[self.index].net.backend.nowMs();
            }

            pub fn onLent(self: Lender, rung: ?*bool) void {
                if (@hasDecl(E.DispatcherType, "onLent"))
                    self.engine.dispatcher.onLent(@intCast(self.index), rung);
            }
        };

        /// Any thread: workers that are lent take notice of what has changed, whatever their
        /// borrowers are at.
        pub fn hurry(self: *E) void {
            for (self.loans, 0..) |loan, index| {
                if (!loan.enterLent()) continue;
                const driver = &self.drivers[index];
                const before = driver.websocket_worker.mailbox.visit();
                const token = worker_token.put(driver.token);
                driver.net.turnAside();
                _ = worker_token.put(token);
                Mailbox.goHome(before);
                loan.leave();
                Io.ring(self.ports[index].bell); // for what that has brought up
            }
        }

        /// Any thread: there is another time for the end of a stop.
        pub fn remind(self: *E) void {
            for (self.loans) |loan| loan.remind();
        }

        pub fn countLent(self: *const E) u32 {
            var count: u32 = 0;
            for (self.loans) |loan| count += @intFromBool(loan.isLent());
            return count;
        }
    };
}
