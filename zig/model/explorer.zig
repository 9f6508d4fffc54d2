//! Runs a program in every way that the memory model allows, and says what can go wrong.
//!
//! An execution does not depend on the order in which its events were added, as long as each comes
//! after what it reads from. So steps that choose nothing but their place among the writes are
//! taken as soon as they can be, and an execution that was reached before, by another order of
//! steps, is not looked at again (whole executions are compared, not hashes).

const std = @import("std");
const Allocator = std.mem.Allocator;
const execution_file = @import("execution.zig");
const Execution = execution_file.Execution;
const Event = execution_file.Event;
const EventId = execution_file.EventId;
const program_file = @import("program.zig");
const Op = program_file.Op;
const Place = program_file.Place;
const Program = program_file.Program;
const Register = program_file.Register;
const threads_max = program_file.threads_max;

const register_count = std.meta.fields(Register).len;

/// What the threads' registers hold at the end, by thread and register.
pub const Registers = [threads_max][register_count]u32;

pub const Fault = enum {
    /// A thread sleeps, and nobody is left who would wake it.
    lost_wake,
    /// Plain memory is read or written while another thread writes it.
    race,
    /// An `expect` does not hold.
    broken,
};

pub const Verdict = struct {
    /// Executions that came to their end.
    executions: u64 = 0,
    /// Executions on the way there.
    states: u64 = 0,
    faults: std.EnumSet(Fault) = .initEmpty(),
    /// Of the first fault: how it came to be.
    example: ?State = null,
    /// `Options.outcome` was seen at the end of an execution.
    outcome_seen: bool = false,

    pub fn isSound(v: *const Verdict) bool {
        return v.faults.count() == 0;
    }
};

pub const Options = struct {
    /// Of a litmus test: what is asked for.
    outcome: ?*const fn (registers: *const Registers) bool = null,
    /// The first fault ends the search.
    stop_at_fault: bool = false,
};

/// `TooLong`: an execution has more events than the checker takes. A loop does not end, or the
/// program is too large.
pub const Error = error{TooLong} || Allocator.Error;

pub fn explore(gpa: Allocator, program: *const Program, options: Options) Error!Verdict {
    var explorer: Explorer = .{
        .arena = .init(gpa),
        .program = program,
        .options = options,
    };
    defer explorer.arena.deinit();
    try explorer.search(&.{});
    return explorer.verdict;
}

/// An execution and where the threads stand in it.
pub const State = struct {
    execution: Execution = .{},
    at: [threads_max]u8 = @splat(0),
    registers: Registers = std.mem.zeroes(Registers),

    fn register(s: *State, thread: usize, which: Register) *u32 {
        return &s.registers[thread][@intFromEnum(which)];
    }

    fn next(s: *const State, program: *const Program, thread: usize) ?*const Op {
        const ops = program.threads.buffer[thread].ops.constSlice();
        return if (s.at[thread] < ops.len) &ops[s.at[thread]] else null;
    }

    /// One line per event, in an order in which they can have happened.
    pub fn print(s: *const State, program: *const Program, out: anytype) !void {
        for (s.execution.events.constSlice(), 0..) |*e, i| {
            const name = program.threads.buffer[e.thread].name;
            try out.print("  {d:>2} {s:<10} {s}: ", .{ i, name, @tagName(e.place) });
            if (e.reads()) {
                try out.print("read {d} ", .{e.value_read});
                if (e.source == execution_file.initial) {
                    try out.writeAll("from the start");
                } else try out.print("from {d}", .{e.source});
                if (e.writes()) try out.writeAll(", ");
            }
            if (e.writes()) try out.print("wrote {d}", .{e.value_written});
            const order = if (e.order) |order| @tagName(order) else "plain";
            try out.print(" ({s})\n", .{order});
        }
        for (std.enums.values(Place)) |place| {
            const writes = s.execution.writesTo(place);
            if (writes.len < 2) continue;
            try out.print("  writes of {s}, in order:", .{@tagName(place)});
            for (writes) |id| try out.print(" {d}", .{id});
            try out.writeByte('\n');
        }
    }
};

const Explorer = struct {
    arena: std.heap.ArenaAllocator,
    program: *const Program,
    options: Options,
    seen: std.StringHashMapUnmanaged(void) = .empty,
    verdict: Verdict = .{},

    fn isOver(self: *const Explorer) bool {
        return self.options.stop_at_fault and !self.verdict.isSound();
    }

    fn search(self: *Explorer, from: *const State) Error!void {
        if (self.isOver()) return;
        var state = from.*;
        for (0..self.program.threads.len) |thread| {
            if (!try self.runLocal(&state, thread)) return;
        }
        if (!try self.isNew(&state)) return;
        self.verdict.states += 1;
        // A store reads nothing: whoever has one goes first.
        for (0..self.program.threads.len) |thread| {
            const op = state.next(self.program, thread) orelse continue;
            if (op.* == .store) return self.branch(&state, thread, op);
        }
        var moved = false;
        for (0..self.program.threads.len) |thread| {
            const op = state.next(self.program, thread) orelse continue;
            if (op.* == .sleep and !canWake(&state, op.sleep)) continue;
            moved = true;
            try self.branch(&state, thread, op);
        }
        if (!moved) self.end(&state);
    }

    /// Takes the steps of a thread that choose nothing. False: a fault ends this execution.
    fn runLocal(self: *Explorer, state: *State, thread: usize) Error!bool {
        while (state.next(self.program, thread)) |op| {
            var jump: ?program_file.Label = null;
            switch (op.*) {
                .load, .store, .exchange, .add, .sleep, .poll => return true,
                .label => {},
                .goto => |to| jump = to,
                .go_if => |it| {
                    const value = state.register(thread, it.register).*;
                    const holds = switch (it.is) {
                        .equal => value == it.value,
                        .other => value != it.value,
                        .below => value < it.value,
                    };
                    if (holds) jump = it.to;
                },
                .go_if_same => |it| {
                    const value = state.register(thread, it.register).*;
                    if (value == state.register(thread, it.other).*) jump = it.to;
                },
                .expect => |it| if (state.register(thread, it.register).* != it.value) {
                    self.fault(.broken, state);
                    return false;
                },
                .read, .write => {
                    const place, const is_read = switch (op.*) {
                        .read => |it| .{ it.place, true },
                        .write => |it| .{ it.place, false },
                        else => unreachable,
                    };
                    const added = try state.execution.addEvent(.{
                        .thread = @intCast(thread),
                        .number = 0,
                        .place = place,
                        .kind = if (is_read) .load else .store,
                        .order = null,
                        .value_written = if (is_read) 0 else op.write.value,
                    }, state.execution.writesTo(place).len);
                    if (added == .race) {
                        self.fault(.race, state);
                        return false;
                    }
                    const id = state.execution.last_of[thread].?;
                    if (is_read) {
                        const value = state.execution.events.buffer[id].value_read;
                        state.register(thread, op.read.to).* = value;
                    }
                },
            }
            state.at[thread] = if (jump) |to|
                @intCast(self.program.threads.buffer[thread].indexOf(to, state.at[thread]))
            else
                state.at[thread] + 1;
        }
        return true;
    }

    /// Whoever reads the bell takes it: only its last value is there to be read.
    fn canWake(state: *const State, bell: Place) bool {
        const x = &state.execution;
        return x.valueOf(x.writeAt(bell, x.writesTo(bell).len)) != 0;
    }

    /// Goes on from every way in which `op` can happen now.
    fn branch(self: *Explorer, from: *const State, thread: usize, op: *const Op) Error!void {
        const Access = struct { Place, Event.Kind, program_file.Order };
        const place, const kind, const order = @as(Access, switch (op.*) {
            .load => |it| .{ it.place, .load, it.order },
            .store => |it| .{ it.place, .store, it.order },
            .exchange => |it| .{ it.place, .modify, it.order },
            .add => |it| .{ it.place, .modify, it.order },
            .sleep, .poll => |bell| .{ bell, .modify, .monotonic },
            else => unreachable,
        });
        const x = &from.execution;
        for (x.floor(@intCast(thread), place)..x.writesTo(place).len + 1) |rank| {
            if (kind != .load and !x.canFollow(place, rank)) continue;
            var state = from.*;
            const found = x.valueOf(x.writeAt(place, rank));
            const added = try state.execution.addEvent(.{
                .thread = @intCast(thread),
                .number = 0,
                .place = place,
                .kind = kind,
                .order = order,
                .value_written = switch (op.*) {
                    .store => |it| it.value,
                    .exchange => |it| it.value,
                    .add => |it| found + it.value,
                    else => 0,
                },
            }, rank);
            switch (added) {
                .forbidden => continue,
                .race => {
                    self.fault(.race, &state);
                    continue;
                },
                .yes => {},
            }
            switch (op.*) {
                .load => |it| state.register(thread, it.to).* = found,
                .exchange => |it| state.register(thread, it.to).* = found,
                else => {},
            }
            state.at[thread] += 1;
            try self.search(&state);
        }
    }

    fn end(self: *Explorer, state: *const State) void {
        self.verdict.executions += 1;
        for (0..self.program.threads.len) |thread| {
            if (state.next(self.program, thread) != null) return self.fault(.lost_wake, state);
        }
        const outcome = self.options.outcome orelse return;
        if (outcome(&state.registers)) self.verdict.outcome_seen = true;
    }

    fn fault(self: *Explorer, what: Fault, state: *const State) void {
        self.verdict.faults.insert(what);
        if (self.verdict.example == null) self.verdict.example = state.*;
    }

    /// Whether this execution was not reached before.
    fn isNew(self: *Explorer, state: *const State) Error!bool {
        var key: std.BoundedArray(u8, 4 * execution_file.events_max) = .{};
        const x = &state.execution;
        for (0..self.program.threads.len) |thread| {
            key.appendAssumeCapacity(x.counts[thread]);
            for (x.events.constSlice()) |*e| {
                if (e.thread != thread or !e.reads()) continue;
                key.appendAssumeCapacity(nameOf(x, e.source));
            }
        }
        for (std.enums.values(Place)) |place| {
            const writes = x.writesTo(place);
            if (writes.len < 2) continue;
            for (writes) |id| key.appendAssumeCapacity(nameOf(x, id));
        }
        const arena = self.arena.allocator();
        const place = try self.seen.getOrPut(arena, key.constSlice());
        if (!place.found_existing) place.key_ptr.* = try arena.dupe(u8, key.constSlice());
        return !place.found_existing;
    }

    /// The same for an event in whatever order events were added.
    fn nameOf(x: *const Execution, id: EventId) u8 {
        if (id == execution_file.initial) return execution_file.initial;
        const e = &x.events.buffer[id];
        return e.thread * execution_file.events_max + e.number;
    }

    comptime {
        // Names fit a byte, and the initial write has one of its own: no thread has all events.
        std.debug.assert(threads_max * execution_file.events_max <= 256);
    }
};
