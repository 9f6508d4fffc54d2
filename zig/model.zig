//! Checks the protocols by which threads sleep and are woken against the C11 memory model, and that
//! each of their memory orders is needed: `zig build model`. Exits with 1 when something does not
//! hold. `zig build model -- --examples` shows how each weaker order fails.

const std = @import("std");
const orders = @import("core/orders.zig");
const explorer = @import("model/explorer.zig");
const wake = @import("model/wake.zig");

pub fn main() !u8 {
    const gpa = std.heap.smp_allocator;
    var arguments = try std.process.argsWithAllocator(gpa);
    defer arguments.deinit();
    _ = arguments.skip();
    var with_examples = false;
    while (arguments.next()) |argument| {
        if (!std.mem.eql(u8, argument, "--examples")) {
            std.debug.print("usage: model [--examples]\n", .{});
            return 2;
        }
        with_examples = true;
    }
    const out = std.io.getStdOut().writer();
    var holds = true;
    for (std.enums.values(wake.Protocol)) |protocol| {
        const program = protocol.program(orders.wake);
        const verdict = try explorer.explore(gpa, &program, .{});
        try out.print("{s}: {d} executions: {s}\n", .{
            protocol.about(),
            verdict.executions,
            faultOf(&verdict) orelse "sound",
        });
        if (verdict.example) |*example| {
            holds = false;
            try example.print(&program, out);
        }
    }
    var buffer: std.BoundedArray(wake.Mutant, 32) = .{};
    for (wake.mutants(&buffer)) |*mutant| {
        try out.print("{s} as {s}:", .{ mutant.field, @tagName(mutant.order) });
        if (!try fails(gpa, mutant, with_examples, out)) {
            holds = false;
            try out.writeAll(" found nowhere: the order is stronger than it needs to be\n");
        }
    }
    return if (holds) 0 else 1;
}

/// Whether one of the protocols fails with the weaker order; tells the first that does.
fn fails(
    gpa: std.mem.Allocator,
    mutant: *const wake.Mutant,
    with_examples: bool,
    out: std.fs.File.Writer,
) !bool {
    for (std.enums.values(wake.Protocol)) |protocol| {
        const program = protocol.program(mutant.orders);
        const verdict = try explorer.explore(gpa, &program, .{ .stop_at_fault = true });
        const fault = faultOf(&verdict) orelse continue;
        try out.print(" {s} where {s}\n", .{ fault, protocol.about() });
        if (with_examples) try verdict.example.?.print(&program, out);
        return true;
    }
    return false;
}

fn faultOf(verdict: *const explorer.Verdict) ?[]const u8 {
    var faults = verdict.faults.iterator();
    return switch (faults.next() orelse return null) {
        .lost_wake => "a wake is lost",
        .race => "memory is read while it is written",
        .broken => "what is read is wrong",
    };
}
