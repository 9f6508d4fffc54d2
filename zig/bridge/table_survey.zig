//! What a route table means (router/survey.zig), in JSON: for `gyrfalcon explain`.

const std = @import("std");
const Allocator = std.mem.Allocator;
const Method = @import("../http/method.zig").Method;
const router_file = @import("../router/router.zig");
const survey_file = @import("../router/survey.zig");
const Survey = survey_file.Survey;
const parse = @import("instance.zig").parse;
const table_file = @import("table.zig");
const Defect = table_file.Defect;
const Table = table_file.Table;

/// The answer, `{"methods": […], "rows": […], "shapes": […]}`, from `gpa`. The table is made first,
/// as a server makes it, so that the same is refused with the same words.
pub fn write(gpa: Allocator, json: []const u8, defect: *Defect) table_file.Error![]u8 {
    var arena_state = std.heap.ArenaAllocator.init(gpa);
    defer arena_state.deinit();
    const arena = arena_state.allocator();
    const description = try parse(table_file.Description, arena, json, defect);
    var bodies: table_file.Bodies = .{};
    defer bodies.deinit(gpa);
    const table = try Table.create(gpa, &description, &bodies, defect);
    table.destroy();
    const entries = try arena.alloc(router_file.Router.Entry, description.entries.len);
    for (entries, description.entries) |*entry, given| entry.* = .{
        .pattern = given.pattern,
        .method = if (given.method) |name| Method.parse(name) else null,
        .target = given.target,
    };
    var which: router_file.Defect = .{};
    const survey = Survey.init(arena, entries, &which) catch |err| switch (err) {
        error.OutOfMemory => return error.OutOfMemory,
        else => unreachable, // the table was made of the same entries
    };
    return std.json.stringifyAlloc(gpa, .{
        .methods = survey_file.methods,
        .rows = survey.rows,
        .shapes = survey.shapes,
    }, .{});
}

const testing = std.testing;

test "a survey is told in JSON" {
    var defect: Defect = .{};
    const json =
        \\{"entries":[{"pattern":"/a//:b","method":"GET","target":0}],
        \\ "targets":[{"kind":"lane","route":3}]}
    ;
    const told = try write(testing.allocator, json, &defect);
    defer testing.allocator.free(told);
    const expected =
        \\{"methods":["GET","HEAD","POST","PUT","DELETE","OPTIONS","PATCH","other"],
    ++
        \\"rows":[{"pattern":"/a/:b","shape":0,"reachable":true,"after":[]}],
    ++
        \\"shapes":[{"path":"/a/x",
    ++
        \\"answers":[0,0,null,null,null,null,null,null],"allow":"GET, HEAD"}]}
    ;
    try testing.expectEqualStrings(expected, told);
}

test "what a server refuses is refused, with its code" {
    const lane =
        \\{"entries":[{"pattern":"/*/a","target":0}],"targets":[{"kind":"lane"}]}
    ;
    const cases = [_]struct { []const u8, []const u8 }{
        .{ lane, "GYR_ROUTE_PATTERN" },
        .{ "{\"targets\":[{\"kind\":\"dir\",\"root\":\"/no/where\"}]}", "GYR_ROUTE_DIRECTORY" },
        .{ "{\"entries\":[{\"pattern\":\"/a\",\"target\":4}]}", "GYR_ENGINE_FAILED" },
        .{ "[]", "GYR_ENGINE_MISMATCH" },
    };
    for (cases) |case| {
        var defect: Defect = .{};
        try testing.expectError(error.Refused, write(testing.allocator, case[0], &defect));
        try testing.expectEqualStrings(case[1], defect.code);
    }
}
