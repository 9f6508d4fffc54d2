//! What the lengths beside a response's lines say is what the lines say, whatever was done to them.

const std = @import("std");
const testing = std.testing;
const Buddy = @import("../core/buddy.zig").Buddy;
const limits = @import("../core/limits.zig");
const field_lines = @import("field_lines.zig");
const FieldLines = field_lines.FieldLines;
const LineBuffer = field_lines.LineBuffer;
const Field = @import("fields.zig").Field;
const Response = @import("response.zig").Response;

/// Expects pairs and text of `lines` to be those of `expected`.
fn expectLines(expected: []const Field, lines: FieldLines) !void {
    var each = lines.fields();
    var at: usize = 0;
    for (expected) |field| {
        const found = each.next() orelse return error.TestUnexpectedResult;
        try testing.expectEqualStrings(field.name, found.name);
        try testing.expectEqualStrings(field.value, found.value);
        var buffer: [256]u8 = undefined;
        const line = try std.fmt.bufPrint(&buffer, "{s}: {s}\r\n", .{ field.name, field.value });
        try testing.expectEqualStrings(line, lines.text[at..][0..line.len]);
        at += line.len;
    }
    try testing.expectEqual(null, each.next());
    try testing.expectEqual(at, lines.text.len);
}

test "lines that are known when the program is compiled have their lengths" {
    const lines = comptime FieldLines.of("a: b\r\nx-empty: \r\nLink: <a: b>\r\n");
    const expected = [_]Field{
        .{ .name = "a", .value = "b" },
        .{ .name = "x-empty", .value = "" },
        .{ .name = "Link", .value = "<a: b>" },
    };
    try expectLines(&expected, lines);
    for (0..expected.len + 1) |count| try expectLines(expected[0..count], lines.first(count));
    try expectLines(&.{}, comptime FieldLines.of(""));
    const copy = try lines.dupe(testing.allocator);
    defer testing.allocator.free(copy.text);
    defer testing.allocator.free(copy.lengths);
    try expectLines(&expected, copy);
}

test "a value in pieces is one value, and is left out whole" {
    var buffer: LineBuffer(20, 8) = .{};
    var list = buffer.list();
    try list.appendPieces("A", &.{ "b", "", "cd" });
    try expectLines(&.{.{ .name = "A", .value = "bcd" }}, list.view());
    try testing.expectError(error.HeadTooLarge, list.appendPieces("B", &.{ "1234", "56789" }));
    try expectLines(&.{.{ .name = "A", .value = "bcd" }}, list.view());
    try list.appendPieces("B", &.{ "123", "4567" });
    try testing.expectEqual(20, list.view().text.len);
}

test "a name or value as long as a head may be has its length told" {
    const bytes = limits.response_head_bytes_max_bound;
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: LineBuffer(bytes, 4) = .{};
    const long = [_]u8{'a'} ** bytes;
    var res = Response.init(lines.list(), &pool);
    try testing.expectError(error.HeadTooLarge, res.header("b", &long));
    try res.header("b", long[5..]);
    var each = res.fields();
    try testing.expectEqual(bytes - 5, each.next().?.value.len);
    res.reset();
    try res.header(long[4..], "");
    each = res.fields();
    try testing.expectEqual(bytes - 4, each.next().?.name.len);
    res.reset();
    try res.trailer("t", long[5..]);
    each = res.trailerLines().fields();
    try testing.expectEqual(bytes - 5, each.next().?.value.len);
}

test "a response has so many fields, early hints and trailers, and no more" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    const count = limits.response_field_count_max;
    const list = try field_lines.LineList.alloc(testing.allocator, 16 * 1024);
    defer list.free(testing.allocator);
    var res = Response.init(list, &pool);
    for (2..count) |_| try res.header("a", "");
    try res.trailer("t", "");
    try testing.expectError(error.HeadTooLarge, res.header("Upgrade", "x")); // brings Connection
    try res.earlyHint("h", "");
    try testing.expectError(error.HeadTooLarge, res.header("a", ""));
    try testing.expectError(error.HeadTooLarge, res.lines.appendPieces("a", &.{""}));
    try testing.expectError(error.HeadTooLarge, res.trailer("t", ""));
    try testing.expectError(error.HeadTooLarge, res.earlyHint("h", ""));
    const one = comptime FieldLines.of("a: \r\n");
    try testing.expectError(error.HeadTooLarge, res.addLines(one));
    try res.addLines(.{});
    res.settleFields(false, true); // the Trailer field finds no room
    try testing.expectEqual(count - 2, res.fieldLines().lengths.len);
    try testing.expectEqual(1, res.hintLines().lengths.len);
    try testing.expectEqual(1, res.trailerLines().lengths.len);
    res.reset();
    for (0..count) |_| try res.header("a", "");
    try testing.expectError(error.HeadTooLarge, res.header("a", ""));
}

test "a field that finds no room leaves no trace of itself" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: LineBuffer(40, 8) = .{};
    const long = "v" ** 40;
    for ([_][]const u8{ "Date", "Server", "Upgrade", "Trailer" }) |name| {
        var res = Response.init(lines.list(), &pool);
        try testing.expectError(error.HeadTooLarge, res.header(name, long));
        try testing.expectEqual(Response.init(lines.list(), &pool), res);
        try res.header(name, "1");
        const before = res;
        try testing.expectError(error.HeadTooLarge, res.header(name, long));
        try testing.expectEqual(before, res); // the former is still there
    }
}

/// The pairs of a response, as a plain list has them.
const Model = struct {
    fields: Pairs = .{},
    hints: Pairs = .{},
    trailers: Pairs = .{},

    const Pairs = std.BoundedArray(Field, 64);

    fn drop(pairs: *Pairs, name: []const u8) void {
        var i: usize = 0;
        while (i < pairs.len) {
            const is_it = std.ascii.eqlIgnoreCase(pairs.get(i).name, name);
            if (is_it) _ = pairs.orderedRemove(i) else i += 1;
        }
    }

    fn has(pairs: *const Pairs, name: []const u8) bool {
        for (pairs.slice()) |field| if (std.ascii.eqlIgnoreCase(field.name, name)) return true;
        return false;
    }

    fn header(self: *Model, name: []const u8, value: []const u8) !void {
        const former = has(&self.fields, name);
        for ([_][]const u8{ "date", "server", "upgrade" }) |single| {
            if (std.ascii.eqlIgnoreCase(name, single)) drop(&self.fields, name);
        }
        if (std.ascii.eqlIgnoreCase(name, "upgrade") and !former) {
            try self.fields.append(.{ .name = "Connection", .value = "upgrade" });
        }
        try self.fields.append(.{ .name = name, .value = value });
    }

    /// Whether `settleFields` may add a Trailer field.
    fn settle(self: *Model, http10: bool, chunked: bool) bool {
        if (http10 and has(&self.fields, "upgrade")) {
            drop(&self.fields, "upgrade");
            drop(&self.fields, "connection");
        }
        if (!chunked) drop(&self.fields, "trailer");
        return chunked and self.trailers.len > 0 and !has(&self.fields, "trailer");
    }

    fn expect(self: *const Model, res: *const Response) !void {
        try expectLines(self.fields.slice(), res.fieldLines());
        try expectLines(self.hints.slice(), res.hintLines());
        try expectLines(self.trailers.slice(), res.trailerLines());
    }
};

const names = [_][]const u8{ "a", "X-B", "Link", "date", "Date", "SERVER", "Upgrade", "trailer" };
const values = [_][]const u8{ "", "1", "a: b", "\tobs \xff", "v" ** 30 };
const made_before = FieldLines.of("etag: \"1\"\r\nx-empty: \r\n");

const Operation = enum { header, pieces, add, hint, trailer, drop, rewind, settle, clear, reset };
/// How often each is done, in that order.
const weights = [_]u8{ 8, 3, 3, 4, 4, 3, 2, 2, 1, 1 };

/// One random operation on both.
fn step(random: std.Random, res: *Response, model: *Model) !void {
    const name = names[random.uintLessThan(usize, names.len)];
    const value = values[random.uintLessThan(usize, values.len)];
    const operation: Operation = @enumFromInt(random.weightedIndex(u8, &weights));
    switch (operation) {
        .header => if (res.header(name, value)) |_| try model.header(name, value) else |err| {
            try testing.expectEqual(error.HeadTooLarge, err);
        },
        .pieces => {
            const cut = random.uintAtMost(usize, value.len);
            const pieces = [_][]const u8{ value[0..cut], value[cut..] };
            res.lines.appendPieces("Location", &pieces) catch return;
            try model.fields.append(.{ .name = "Location", .value = value });
        },
        .add => {
            res.addLines(made_before) catch return;
            var each = made_before.fields();
            while (each.next()) |field| try model.fields.append(field);
        },
        .hint => if (res.earlyHint(name, value)) |_| {
            try model.hints.append(.{ .name = name, .value = value });
        } else |_| {},
        .trailer => if (res.trailer(name, value)) |_| {
            try model.trailers.append(.{ .name = name, .value = value });
        } else |_| {},
        // What is noted of these would no longer be so.
        .drop => if (name.len < 4 or std.mem.eql(u8, name, "Link")) {
            res.dropField(name);
            Model.drop(&model.fields, name);
        },
        .rewind => {
            const mark = res.lines.mark();
            const before = model.fields;
            for (0..random.uintLessThan(usize, 3)) |_| {
                if (res.header("X-Gone", value)) |_| {} else |_| break;
            }
            res.lines.rewind(mark);
            model.fields = before;
        },
        .settle => {
            const chunked = random.boolean();
            const http10 = random.boolean();
            const may_add = model.settle(http10, chunked);
            res.settleFields(http10, chunked);
            if (may_add and res.fieldLines().lengths.len > model.fields.len) {
                try expectTrailerNames(model, res);
                res.lines.rewind(markBehind(res, model.fields.len));
            }
        },
        .clear => {
            res.clearFields();
            model.fields = .{};
        },
        .reset => {
            res.reset();
            model.* = .{};
        },
    }
}

/// Where the list stood when it had `count` lines.
fn markBehind(res: *const Response, count: usize) field_lines.LineList.Mark {
    const lines = res.fieldLines().first(count);
    return .{ .bytes = @intCast(lines.text.len), .count = @intCast(count) };
}

/// The last field is Trailer, and names the trailers.
fn expectTrailerNames(model: *const Model, res: *const Response) !void {
    var each = res.fields();
    var last: Field = undefined;
    while (each.next()) |field| last = field;
    try testing.expectEqualStrings("Trailer", last.name);
    var listed = std.mem.splitSequence(u8, last.value, ", ");
    for (model.trailers.slice()) |field| {
        try testing.expectEqualStrings(field.name, listed.next().?);
    }
    try testing.expectEqual(null, listed.next());
}

test "pairs and text are one, whatever is done to fields, hints and trailers" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    // Sometimes the text is full first, sometimes the table of lengths.
    var lines: LineBuffer(600, 40) = .{};
    for (0..400) |seed| {
        var prng = std.Random.DefaultPrng.init(seed);
        const random = prng.random();
        const bytes = random.intRangeAtMost(usize, 60, 600);
        const count = random.intRangeAtMost(usize, 4, 40);
        var res = Response.init(
            .{ .text = lines.text[0..bytes], .lengths = lines.lengths[0..count] },
            &pool,
        );
        var model: Model = .{};
        for (0..100) |_| {
            try step(random, &res, &model);
            try model.expect(&res);
        }
        res.reset();
        try testing.expectEqual(bytes, res.lines.text.len);
        try testing.expectEqual(count, res.lines.lengths.len);
    }
}
