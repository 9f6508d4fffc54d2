const std = @import("std");
const testing = std.testing;
const orders = @import("../core/orders.zig");
const explorer = @import("explorer.zig");
const wake = @import("wake.zig");

fn verdictOf(program: *const @import("program.zig").Program) !explorer.Verdict {
    return explorer.explore(testing.allocator, program, .{ .stop_at_fault = true });
}

test "no wake is lost, and nothing is read before it is published" {
    for (std.enums.values(wake.Protocol)) |protocol| {
        const program = protocol.program(orders.wake);
        const verdict = try verdictOf(&program);
        try testing.expect(verdict.executions > 1);
        if (verdict.example) |example| {
            std.debug.print("{s}:\n", .{protocol.about()});
            try example.print(&program, std.io.getStdErr().writer());
        }
        try testing.expect(verdict.isSound());
    }
}

test "with any of its orders weakened the protocol fails: the checker can, and none is too strong" {
    var buffer: std.BoundedArray(wake.Mutant, 32) = .{};
    const mutants = wake.mutants(&buffer);
    // Of all orders but `awake`, which is relaxed already.
    try testing.expectEqual(std.meta.fields(orders.Orders).len - 1, mutants.len);
    for (mutants) |*mutant| {
        const is_found = for (std.enums.values(wake.Protocol)) |protocol| {
            const program = protocol.program(mutant.orders);
            if (!(try verdictOf(&program)).isSound()) break true;
        } else false;
        if (!is_found) std.debug.print("{s} as {s} is not found\n", .{
            mutant.field,
            @tagName(mutant.order),
        });
        try testing.expect(is_found);
    }
}

test "a wish for room that is stated once, and taken down, is a lost wake" {
    for ([_]wake.Writer{ .worker, .thread }) |who| {
        const verdict = try verdictOf(&wake.wishedOnce(who));
        try testing.expect(verdict.faults.contains(.lost_wake));
    }
}
