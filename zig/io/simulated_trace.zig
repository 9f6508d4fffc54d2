//! What happened in a simulation, in order: a hash that two runs of one seed share, and the last
//! events, for whoever looks for the cause of a failure.

const std = @import("std");

pub const Trace = struct {
    hash: u64 = 0x9e37_79b9_7f4a_7c15,
    count: u64 = 0,
    events: []Event,

    pub const Event = struct {
        at_ms: u64,
        /// Of the simulation, as everybody who takes part numbers its connections.
        connection: u32,
        what: []const u8,
        a: u64,
        b: u64,
    };

    /// Events of no connection.
    pub const nobody: u32 = std.math.maxInt(u32);

    /// `what` lives as long as the program.
    pub fn note(
        self: *Trace,
        at_ms: u64,
        connection: u32,
        what: []const u8,
        a: u64,
        b: u64,
    ) void {
        for ([_]u64{ at_ms, connection, what.len, what[0], a, b }) |word| {
            self.hash = (self.hash ^ word) *% 0x100_0000_01b3;
            self.hash ^= self.hash >> 29;
        }
        self.events[@intCast(self.count % self.events.len)] = .{
            .at_ms = at_ms,
            .connection = connection,
            .what = what,
            .a = a,
            .b = b,
        };
        self.count += 1;
    }

    /// Prints the last `max` events of `connection`, and those of nobody in particular.
    pub fn print(self: *const Trace, connection: ?u32, max: usize) void {
        const kept = @min(self.count, self.events.len);
        var shown: usize = 0;
        var first = kept;
        while (first > 0 and shown < max) {
            first -= 1;
            if (concerns(self.at(kept, first), connection)) shown += 1;
        }
        for (first..@intCast(kept)) |i| {
            const event = self.at(kept, i);
            if (concerns(event, connection)) printOne(event);
        }
    }

    fn printOne(event: *const Event) void {
        std.debug.print("  {d:>9} ms  ", .{event.at_ms});
        if (event.connection == nobody) {
            std.debug.print("          ", .{});
        } else std.debug.print("conn {d:<4} ", .{event.connection});
        std.debug.print("{s} {d} {d}\n", .{ event.what, event.a, event.b });
    }

    fn at(self: *const Trace, kept: u64, i: u64) *const Event {
        return &self.events[@intCast((self.count - kept + i) % self.events.len)];
    }

    fn concerns(event: *const Event, connection: ?u32) bool {
        const wanted = connection orelse return true;
        return event.connection == wanted or event.connection == nobody;
    }
};
