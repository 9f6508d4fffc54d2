//! The checker's own test: litmus tests whose verdicts under C11 are known.

const std = @import("std");
const testing = std.testing;
const explorer = @import("explorer.zig");
const Registers = explorer.Registers;
const p = @import("program.zig");
const Order = p.Order;
const Program = p.Program;
const Thread = p.Thread;

fn isSeen(program: Program, outcome: *const fn (*const Registers) bool) !bool {
    const verdict = try explorer.explore(testing.allocator, &program, .{ .outcome = outcome });
    try testing.expect(verdict.executions > 0 and verdict.isSound());
    return verdict.outcome_seen;
}

/// Store buffering.
fn sb(write: Order, read: Order) Program {
    return .of(&.{
        .of("1", &.{ p.store(.x, 1, write), p.load(.a, .y, read) }),
        .of("2", &.{ p.store(.y, 1, write), p.load(.a, .x, read) }),
    });
}

fn bothZero(r: *const Registers) bool {
    return r[0][0] == 0 and r[1][0] == 0;
}

test "SB: neither store is seen, unless all four accesses are sequentially consistent" {
    try testing.expect(!try isSeen(sb(.seq_cst, .seq_cst), bothZero));
    try testing.expect(try isSeen(sb(.seq_cst, .acquire), bothZero));
    try testing.expect(try isSeen(sb(.release, .seq_cst), bothZero));
    try testing.expect(try isSeen(sb(.release, .acquire), bothZero));
    try testing.expect(try isSeen(sb(.monotonic, .monotonic), bothZero));
}

/// As SB, with read-modify-writes in the place of the stores.
fn sbModify(modify: Order, read: Order) Program {
    return .of(&.{
        .of("1", &.{ p.exchange(.a, .x, 1, modify), p.load(.a, .y, read) }),
        .of("2", &.{ p.exchange(.a, .y, 1, modify), p.load(.a, .x, read) }),
    });
}

test "SB: read-modify-writes that release order nothing before a later load" {
    try testing.expect(!try isSeen(sbModify(.seq_cst, .seq_cst), bothZero));
    try testing.expect(try isSeen(sbModify(.acq_rel, .acquire), bothZero));
}

/// Message passing.
fn mp(write: Order, read: Order) Program {
    return .of(&.{
        .of("1", &.{ p.store(.x, 1, .monotonic), p.store(.y, 1, write) }),
        .of("2", &.{ p.load(.a, .y, read), p.load(.b, .x, .monotonic) }),
    });
}

fn flagWithoutData(r: *const Registers) bool {
    return r[1][0] == 1 and r[1][1] == 0;
}

test "MP: the flag is seen without the data, unless it is released and acquired" {
    try testing.expect(!try isSeen(mp(.release, .acquire), flagWithoutData));
    try testing.expect(try isSeen(mp(.release, .monotonic), flagWithoutData));
    try testing.expect(try isSeen(mp(.monotonic, .acquire), flagWithoutData));
    try testing.expect(try isSeen(mp(.seq_cst, .monotonic), flagWithoutData));
}

fn mpPlain(write: Order, read: Order) Program {
    return .of(&.{
        .of("1", &.{ p.write(.item, 7), p.store(.y, 1, write) }),
        .of("2", &.{
            p.load(.a, .y, read),
            p.goIf(.a, .equal, 0, .done),
            p.read(.b, .item),
            p.expect(.b, 7),
            p.label(.done),
        }),
    });
}

test "MP: plain data behind a flag that does not synchronise is a race" {
    for ([_]Order{ .release, .seq_cst }) |write| {
        const sound = try explorer.explore(testing.allocator, &mpPlain(write, .acquire), .{});
        try testing.expect(sound.isSound());
    }
    for ([_][2]Order{ .{ .monotonic, .acquire }, .{ .release, .monotonic } }) |orders| {
        const program = mpPlain(orders[0], orders[1]);
        const verdict = try explorer.explore(testing.allocator, &program, .{});
        try testing.expect(verdict.faults.contains(.race));
    }
}

/// Message passing through a release sequence: another thread's read-modify-write is in between.
fn mpSequence(middle: p.Op) Program {
    return .of(&.{
        .of("1", &.{ p.store(.x, 1, .monotonic), p.store(.y, 1, .release) }),
        .of("2", &.{ p.load(.a, .y, .acquire), p.load(.b, .x, .monotonic) }),
        .of("3", &.{middle}),
    });
}

fn sequenceWithoutData(r: *const Registers) bool {
    return r[1][0] == 2 and r[1][1] == 0;
}

test "MP: a read-modify-write carries a release on, a store ends it" {
    // Behind 0 the addition gives 1, behind the store of 1 it gives 2.
    try testing.expect(!try isSeen(mpSequence(p.add(.y, 1, .monotonic)), sequenceWithoutData));
    try testing.expect(try isSeen(mpSequence(p.store(.y, 2, .monotonic)), sequenceWithoutData));
}

/// Load buffering.
fn lb(read: Order, write: Order) Program {
    return .of(&.{
        .of("1", &.{ p.load(.a, .x, read), p.store(.y, 1, write) }),
        .of("2", &.{ p.load(.a, .y, read), p.store(.x, 1, write) }),
    });
}

fn bothOne(r: *const Registers) bool {
    return r[0][0] == 1 and r[1][0] == 1;
}

test "LB: forbidden where one side of each access synchronises, and beyond C11 always" {
    try testing.expect(!try isSeen(lb(.acquire, .release), bothOne));
    // The limit of the model: C11 allows this one.
    try testing.expect(!try isSeen(lb(.monotonic, .monotonic), bothOne));
}

/// Independent reads of independent writes.
fn iriw(write: Order, read: Order) Program {
    return .of(&.{
        .of("1", &.{p.store(.x, 1, write)}),
        .of("2", &.{p.store(.y, 1, write)}),
        .of("3", &.{ p.load(.a, .x, read), p.load(.b, .y, read) }),
        .of("4", &.{ p.load(.a, .y, read), p.load(.b, .x, read) }),
    });
}

fn readersDisagree(r: *const Registers) bool {
    return r[2][0] == 1 and r[2][1] == 0 and r[3][0] == 1 and r[3][1] == 0;
}

test "IRIW: readers may disagree on the order of writes that only release" {
    try testing.expect(!try isSeen(iriw(.seq_cst, .seq_cst), readersDisagree));
    try testing.expect(try isSeen(iriw(.release, .acquire), readersDisagree));
    try testing.expect(try isSeen(iriw(.seq_cst, .acquire), readersDisagree));
}

fn newThenOld(r: *const Registers) bool {
    return r[1][0] == 1 and r[1][1] == 0;
}

fn disagreeOnOne(r: *const Registers) bool {
    return r[2][0] == 1 and r[2][1] == 2 and r[3][0] == 2 and r[3][1] == 1;
}

test "CoRR: no thread sees one place go back, and all agree on the order of its writes" {
    const order: Order = .monotonic;
    try testing.expect(!try isSeen(.of(&.{
        .of("1", &.{p.store(.x, 1, order)}),
        .of("2", &.{ p.load(.a, .x, order), p.load(.b, .x, order) }),
    }), newThenOld));
    try testing.expect(!try isSeen(.of(&.{
        .of("1", &.{p.store(.x, 1, order)}),
        .of("2", &.{p.store(.x, 2, order)}),
        .of("3", &.{ p.load(.a, .x, order), p.load(.b, .x, order) }),
        .of("4", &.{ p.load(.a, .x, order), p.load(.b, .x, order) }),
    }), disagreeOnOne));
}

fn readsOverwritten(r: *const Registers) bool {
    return r[0][0] == 0;
}

test "CoWR: a thread reads no older value than it has written" {
    try testing.expect(!try isSeen(.of(&.{
        .of("1", &.{ p.store(.x, 1, .monotonic), p.load(.a, .x, .monotonic) }),
        .of("2", &.{p.store(.x, 2, .monotonic)}),
    }), readsOverwritten));
}

fn bothTook(r: *const Registers) bool {
    return r[1][0] == 1 and r[2][0] == 1;
}

test "atomicity: one of two exchanges takes what was stored" {
    try testing.expect(!try isSeen(.of(&.{
        .of("1", &.{p.store(.x, 1, .monotonic)}),
        .of("2", &.{p.exchange(.a, .x, 0, .monotonic)}),
        .of("3", &.{p.exchange(.a, .x, 0, .monotonic)}),
    }), bothTook));
}

/// 2+2W: each thread writes both places, in opposite order; each place ends with the first value.
fn writes22(order: Order) Program {
    return .of(&.{
        .of("1", &.{ p.store(.x, 1, order), p.store(.y, 2, order) }),
        .of("2", &.{ p.store(.y, 1, order), p.store(.x, 2, order) }),
        .of("3", &.{ p.load(.a, .x, .monotonic), p.load(.b, .x, .monotonic) }),
        .of("4", &.{ p.load(.a, .y, .monotonic), p.load(.b, .y, .monotonic) }),
    });
}

fn firstsWin(r: *const Registers) bool {
    return r[2][0] == 2 and r[2][1] == 1 and r[3][0] == 2 and r[3][1] == 1;
}

test "2+2W: both first writes come last in their order, unless all are sequentially consistent" {
    try testing.expect(!try isSeen(writes22(.seq_cst), firstsWin));
    try testing.expect(try isSeen(writes22(.release), firstsWin));
}

/// The example by which RC11 leaves the rules of C11: those ask of POWER and ARM what their
/// compilers do not do (Lahav et al., §2.1).
const z6u: Program = .of(&.{
    .of("1", &.{ p.store(.x, 1, .seq_cst), p.store(.y, 1, .release) }),
    .of("2", &.{ p.exchange(.a, .y, 2, .seq_cst), p.load(.b, .y, .monotonic) }),
    .of("3", &.{ p.store(.y, 3, .seq_cst), p.load(.a, .x, .seq_cst) }),
});

fn z6uOutcome(r: *const Registers) bool {
    return r[1][0] == 1 and r[1][1] == 3 and r[2][0] == 0;
}

test "Z6.U: allowed by RC11" {
    try testing.expect(try isSeen(z6u, z6uOutcome));
}

test "a thread that nobody wakes is found, and one that is woken is not" {
    const lost: Program = .of(&.{
        .of("sleeper", &.{p.sleep(.bell)}),
    });
    const verdict = try explorer.explore(testing.allocator, &lost, .{});
    try testing.expect(verdict.faults.contains(.lost_wake));
    const woken: Program = .of(&.{
        .of("sleeper", &.{p.sleep(.bell)}),
        .of("waker", &.{p.ring(.bell)}),
    });
    try testing.expect((try explorer.explore(testing.allocator, &woken, .{})).isSound());
}

test "a loop that does not end is an error, not a verdict" {
    const endless: Program = .of(&.{
        .of("1", &.{ p.label(.again), p.load(.a, .x, .monotonic), p.goto(.again) }),
    });
    try testing.expectError(error.TooLong, explorer.explore(testing.allocator, &endless, .{}));
}
