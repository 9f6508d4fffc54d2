//! Small programs of several threads over shared words: what the checker takes.

const std = @import("std");

pub const Order = std.builtin.AtomicOrder;

pub const threads_max = 4;
pub const ops_max = 48;

/// Shared words. All are 0 at the start.
pub const Place = enum(u8) {
    /// Of litmus tests.
    x,
    y,
    /// Positions of queues: how far one side has written, and the other has read.
    tail,
    tail_2,
    head,
    /// What lies in the queue: plain memory.
    item,
    item_2,
    /// The sleeper's flag.
    asleep,
    /// Someone waits for room.
    wish,
    /// Counts the wakes that were sent and not taken.
    bell,
};

pub const Register = enum(u8) { a, b, c, d };
pub const Label = enum(u8) { again, next, rest, sleep, awake, done };

pub const Op = union(enum) {
    /// Reads `place` into `to`.
    load: struct { to: Register, place: Place, order: Order },
    store: struct { place: Place, value: u32, order: Order },
    /// Puts what was there into `to`.
    exchange: struct { to: Register, place: Place, value: u32, order: Order },
    add: struct { place: Place, value: u32, order: Order },
    /// Accesses of plain memory: two that no synchronisation orders are a race.
    read: struct { to: Register, place: Place },
    write: struct { place: Place, value: u32 },
    /// Waits until `place` is not 0, and makes it 0. The system's wake promises nothing about
    /// memory here.
    sleep: Place,
    /// Makes `place` 0, without waiting.
    poll: Place,
    label: Label,
    goto: Label,
    go_if: struct { to: Label, register: Register, is: Relation, value: u32 },
    /// As `go_if`, between registers.
    go_if_same: struct { to: Label, register: Register, other: Register },
    /// The program is broken where this does not hold.
    expect: struct { register: Register, value: u32 },
};

pub const Relation = enum { equal, other, below };

pub const Thread = struct {
    name: []const u8,
    ops: std.BoundedArray(Op, ops_max) = .{},

    pub fn of(name: []const u8, ops: []const Op) Thread {
        var thread: Thread = .{ .name = name };
        thread.add(ops);
        return thread;
    }

    pub fn add(thread: *Thread, ops: []const Op) void {
        thread.ops.appendSliceAssumeCapacity(ops);
    }

    /// Where a jump from `at` leads: to the next such label ahead, or else back to the first.
    pub fn indexOf(thread: *const Thread, target: Label, at: usize) usize {
        const ops = thread.ops.constSlice();
        for (0..ops.len) |distance| {
            const op = &ops[(at + distance) % ops.len];
            if (op.* == .label and op.label == target) return (at + distance) % ops.len;
        }
        unreachable; // a jump to nowhere
    }
};

pub const Program = struct {
    threads: std.BoundedArray(Thread, threads_max) = .{},

    pub fn of(threads: []const Thread) Program {
        var program: Program = .{};
        program.threads.appendSliceAssumeCapacity(threads);
        return program;
    }
};

// Short names, so that a program is read line by line.

pub fn load(to: Register, place: Place, order: Order) Op {
    return .{ .load = .{ .to = to, .place = place, .order = order } };
}

pub fn store(place: Place, value: u32, order: Order) Op {
    return .{ .store = .{ .place = place, .value = value, .order = order } };
}

pub fn exchange(to: Register, place: Place, value: u32, order: Order) Op {
    return .{ .exchange = .{ .to = to, .place = place, .value = value, .order = order } };
}

pub fn add(place: Place, value: u32, order: Order) Op {
    return .{ .add = .{ .place = place, .value = value, .order = order } };
}

pub fn read(to: Register, place: Place) Op {
    return .{ .read = .{ .to = to, .place = place } };
}

pub fn write(place: Place, value: u32) Op {
    return .{ .write = .{ .place = place, .value = value } };
}

/// Sends a wake.
pub fn ring(bell: Place) Op {
    return add(bell, 1, .monotonic);
}

pub fn sleep(bell: Place) Op {
    return .{ .sleep = bell };
}

pub fn poll(bell: Place) Op {
    return .{ .poll = bell };
}

pub fn label(at: Label) Op {
    return .{ .label = at };
}

pub fn goto(to: Label) Op {
    return .{ .goto = to };
}

pub fn goIf(register: Register, is: Relation, value: u32, to: Label) Op {
    return .{ .go_if = .{ .to = to, .register = register, .is = is, .value = value } };
}

pub fn goIfSame(register: Register, other: Register, to: Label) Op {
    return .{ .go_if_same = .{ .to = to, .register = register, .other = other } };
}

pub fn expect(register: Register, value: u32) Op {
    return .{ .expect = .{ .register = register, .value = value } };
}
