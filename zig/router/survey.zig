//! What a table of patterns means, asked of the router that it makes: who answers the methods of
//! each pattern, which patterns go before it, and which entries no request comes to. It is for
//! people and is in no hurry: its time grows with the square of the table and, where there are
//! wildcards, with that of its longest pattern (a second for 33 patterns, one of 200 segments).
//!
//! The router is asked about a few paths that stand for all. A parameter stands for a segment that
//! no pattern has as a literal: a path that has literals in its place is matched by the same
//! patterns and by more. A wildcard stands for every number of such segments up to one more than
//! the longest pattern has, with and without a slash behind.

const std = @import("std");
const Allocator = std.mem.Allocator;
const Method = @import("../http/method.zig").Method;
const router_file = @import("router.zig");
const pattern_syntax = @import("pattern.zig");
const Entry = router_file.Router.Entry;
const Router = router_file.Router;
const MethodSet = router_file.MethodSet;

/// The methods that are asked about; the last one stands for all without a name of their own. Not
/// TRACE and CONNECT: what they ask about is no path (server/admission.zig).
pub const methods = [_]Method{ .GET, .HEAD, .POST, .PUT, .DELETE, .OPTIONS, .PATCH, .other };

/// One entry of the table.
pub const Row = struct {
    /// In its canonical form.
    pattern: []const u8,
    /// Index of its shape: "/a/:x" and "/a/:y" are one.
    shape: u32,
    /// Requests can come to it.
    reachable: bool,
    /// Shapes that take some of the requests which it would answer without them.
    after: []const u32,
};

/// The entries of one shape.
pub const Shape = struct {
    /// A path that is left to this shape as far as can be.
    path: []const u8,
    /// Who answers each of `methods` there: the index of an entry, of this shape or of another one;
    /// null: none.
    answers: [methods.len]?u32,
    /// What a 405 there has in its Allow field.
    allow: []const u8,
};

/// A table's rows, in its order, and the shapes, in the order of their first entries.
pub const Survey = struct {
    rows: []const Row,
    shapes: []const Shape,

    /// Everything is allocated from `arena`. On an error `defect` tells which entry it is about.
    pub fn init(
        arena: Allocator,
        entries: []const Entry,
        defect: *router_file.Defect,
    ) (Router.Error || Allocator.Error)!Survey {
        const numbered = try arena.dupe(Entry, entries);
        for (numbered, 0..) |*entry, i| entry.target = @intCast(i);
        var surveyor: Surveyor = .{
            .entries = numbered,
            .router = try Router.initReporting(arena, numbered, defect),
        };
        return surveyor.run(arena);
    }
};

/// The paths that a pattern matches.
const Form = struct {
    /// Null: a parameter.
    segments: []const ?[]const u8,
    /// A wildcard follows.
    is_open: bool,

    fn of(arena: Allocator, pattern: []const u8) Allocator.Error!Form {
        var segments: std.ArrayListUnmanaged(?[]const u8) = .empty;
        var each = pattern_syntax.SegmentIterator.init(pattern);
        while (each.next()) |segment| switch (segment) {
            .literal => |text| try segments.append(arena, text),
            .param => try segments.append(arena, null),
            .wildcard => return .{ .segments = segments.items, .is_open = true },
        };
        return .{ .segments = segments.items, .is_open = false };
    }

    fn eql(a: Form, b: Form) bool {
        if (a.is_open != b.is_open or a.segments.len != b.segments.len) return false;
        for (a.segments, b.segments) |x, y| if (!eqlSegments(x, y)) return false;
        return true;
    }

    fn eqlSegments(a: ?[]const u8, b: ?[]const u8) bool {
        return std.mem.eql(u8, a orelse return b == null, b orelse return false);
    }

    /// What is both of two segments.
    fn both(a: ?[]const u8, b: ?[]const u8) error{Apart}!?[]const u8 {
        const x = a orelse return if (isEmpty(b)) error.Apart else b;
        const y = b orelse return if (isEmpty(a)) error.Apart else a;
        return if (std.mem.eql(u8, x, y)) x else error.Apart;
    }

    /// A parameter is never empty.
    fn isEmpty(segment: ?[]const u8) bool {
        return segment != null and segment.?.len == 0;
    }

    /// The paths that both match; null: none. `room` has as many places as the longer has segments.
    fn meet(a: Form, b: Form, room: []?[]const u8) ?Form {
        const len = @max(a.segments.len, b.segments.len);
        for (room[0..len], 0..) |*place, i| {
            if (i >= a.segments.len) {
                if (!a.is_open) return null;
                place.* = b.segments[i];
            } else if (i >= b.segments.len) {
                if (!b.is_open) return null;
                place.* = a.segments[i];
            } else {
                place.* = both(a.segments[i], b.segments[i]) catch return null;
            }
        }
        return .{ .segments = room[0..len], .is_open = a.is_open and b.is_open };
    }
};

/// Paths of a form, those with the most segments first.
const Paths = struct {
    form: Form,
    fresh: []const u8,
    buffer: []u8,
    /// Segments in the wildcard's place that the next paths have.
    tail: usize,
    with_slash: bool = false,
    is_done: bool = false,

    fn next(self: *Paths) ?[]const u8 {
        if (self.is_done) return null;
        const path = self.write();
        if (self.form.is_open and !self.with_slash) {
            self.with_slash = true;
        } else if (self.form.is_open and self.tail > 0) {
            self.tail -= 1;
            self.with_slash = false;
        } else self.is_done = true;
        return path;
    }

    fn write(self: *Paths) []const u8 {
        var len: usize = 0;
        for (self.form.segments) |segment| len = self.append(len, segment orelse self.fresh);
        for (0..self.tail) |_| len = self.append(len, self.fresh);
        if (self.with_slash) len = self.append(len, "");
        return self.buffer[0..len];
    }

    fn append(self: *Paths, at: usize, segment: []const u8) usize {
        self.buffer[at] = '/';
        @memcpy(self.buffer[at + 1 ..][0..segment.len], segment);
        return at + 1 + segment.len;
    }
};

const Surveyor = struct {
    /// The target of each is its index.
    entries: []const Entry,
    router: Router,
    forms: []const Form = &.{},
    /// Of each entry.
    shape_of: []u32 = &.{},
    fresh: []const u8 = "",
    /// Segments that the longest pattern has.
    depth: usize = 0,
    path_room: []u8 = &.{},
    meet_room: []?[]const u8 = &.{},

    fn run(self: *Surveyor, arena: Allocator) Allocator.Error!Survey {
        const rows = try arena.alloc(Row, self.entries.len);
        self.shape_of = try arena.alloc(u32, self.entries.len);
        var forms: std.ArrayListUnmanaged(Form) = .empty;
        var bytes: usize = 0;
        for (rows, self.entries, self.shape_of) |*row, entry, *shape| {
            const room = try arena.alloc(u8, entry.pattern.len);
            // The router has taken it.
            row.pattern = pattern_syntax.canonical(entry.pattern, room) catch unreachable;
            const form = try Form.of(arena, row.pattern);
            shape.* = for (forms.items, 0..) |known, i| {
                if (known.eql(form)) break @intCast(i);
            } else blk: {
                try forms.append(arena, form);
                break :blk @intCast(forms.items.len - 1);
            };
            row.shape = shape.*;
            self.depth = @max(self.depth, form.segments.len);
            bytes = @max(bytes, row.pattern.len);
        }
        self.forms = forms.items;
        self.fresh = try self.freshSegment(arena);
        const segments_max = 2 * self.depth + 3;
        // Literals may come from two patterns.
        self.path_room = try arena.alloc(u8, 2 * bytes + segments_max * (self.fresh.len + 1));
        self.meet_room = try arena.alloc(?[]const u8, self.depth);
        for (rows, self.entries, 0..) |*row, entry, i| {
            row.reachable = self.isReachable(entry, @intCast(i));
            row.after = try self.shapesBefore(arena, entry, row.shape);
        }
        const shapes = try arena.alloc(Shape, forms.items.len);
        for (shapes, 0..) |*shape, i| shape.* = try self.shapeOf(arena, @intCast(i));
        return .{ .rows = rows, .shapes = shapes };
    }

    /// A segment that no pattern has.
    fn freshSegment(self: *const Surveyor, arena: Allocator) Allocator.Error![]const u8 {
        var text: std.ArrayListUnmanaged(u8) = .empty;
        try text.append(arena, 'x');
        while (self.isLiteral(text.items)) try text.append(arena, 'x');
        return text.items;
    }

    fn isLiteral(self: *const Surveyor, text: []const u8) bool {
        for (self.forms) |form| for (form.segments) |segment| {
            if (Form.eqlSegments(segment, text)) return true;
        };
        return false;
    }

    fn pathsOf(self: *const Surveyor, form: Form) Paths {
        return .{
            .form = form,
            .fresh = self.fresh,
            .buffer = self.path_room,
            .tail = if (form.is_open) self.depth - form.segments.len + 1 else 0,
        };
    }

    fn answerer(self: *const Surveyor, method: Method, path: []const u8) ?u32 {
        var params: router_file.Params = .{};
        return switch (self.router.match(method, path, &params)) {
            .found => |entry| entry,
            .method_not_allowed, .none => null,
        };
    }

    fn isReachable(self: *const Surveyor, entry: Entry, index: u32) bool {
        var paths = self.pathsOf(self.forms[self.shape_of[index]]);
        while (paths.next()) |path| for (methods) |method| {
            if (takes(entry, method) and self.answerer(method, path) == index) return true;
        };
        return false;
    }

    fn takes(entry: Entry, method: Method) bool {
        const own = entry.method orelse return true;
        return own == method or (own == .GET and method == .HEAD);
    }

    fn shapesBefore(
        self: *const Surveyor,
        arena: Allocator,
        entry: Entry,
        shape: u32,
    ) Allocator.Error![]const u32 {
        var found: std.ArrayListUnmanaged(u32) = .empty;
        for (self.forms, 0..) |form, i| {
            if (i == shape) continue;
            const both = self.forms[shape].meet(form, self.meet_room) orelse continue;
            if (self.goesBefore(@intCast(i), entry, both)) try found.append(arena, @intCast(i));
        }
        return found.items;
    }

    /// Whether shape `other` takes a request of `entry` on one of the paths of `both`.
    fn goesBefore(self: *const Surveyor, other: u32, entry: Entry, both: Form) bool {
        var paths = self.pathsOf(both);
        while (paths.next()) |path| for (methods) |method| {
            if (!takes(entry, method)) continue;
            const winner = self.answerer(method, path) orelse continue;
            if (self.shape_of[winner] == other) return true;
        };
        return false;
    }

    /// On the path on which it answers the most methods.
    fn shapeOf(self: *const Surveyor, arena: Allocator, index: u32) Allocator.Error!Shape {
        var best: Shape = undefined;
        var best_count: ?usize = null;
        var paths = self.pathsOf(self.forms[index]);
        while (paths.next()) |path| {
            var shape: Shape = .{ .path = "", .answers = undefined, .allow = "" };
            var count: usize = 0;
            var allowed: MethodSet = .empty;
            for (&shape.answers, methods) |*answer, method| {
                var params: router_file.Params = .{};
                answer.* = switch (self.router.match(method, path, &params)) {
                    .found => |entry| entry,
                    .method_not_allowed => |set| blk: {
                        allowed = set;
                        break :blk null;
                    },
                    .none => null,
                };
                const winner = answer.* orelse continue;
                if (self.shape_of[winner] == index) count += 1;
            }
            if (best_count != null and count <= best_count.?) continue;
            best_count = count;
            var text: [MethodSet.allow_bytes_max]u8 = undefined;
            shape.allow = try arena.dupe(u8, allowed.allow(&text));
            shape.path = try arena.dupe(u8, path);
            best = shape;
        }
        return best; // every form has a path
    }
};

const testing = std.testing;

fn entryOf(pattern: []const u8, method: ?Method) Entry {
    return .{ .pattern = pattern, .method = method, .target = 77 };
}

fn surveyOf(arena: Allocator, entries: []const Entry) !Survey {
    var defect: router_file.Defect = .{};
    return Survey.init(arena, entries, &defect);
}

test "each shape tells who answers its methods, and what the rest is allowed" {
    var arena = std.heap.ArenaAllocator.init(testing.allocator);
    defer arena.deinit();
    const found = try surveyOf(arena.allocator(), &.{
        entryOf("/users/:id", .GET),
        entryOf("/users//:name", .DELETE),
        entryOf("/users/me", .PUT),
        entryOf("/*", .POST),
        entryOf("/x", null),
    });
    try testing.expectEqualStrings("/users/:name", found.rows[1].pattern);
    const shapes = [_]u32{ 0, 0, 1, 2, 3 };
    for (found.rows, shapes) |each, shape| {
        try testing.expectEqual(shape, each.shape);
        try testing.expect(each.reachable);
    }
    // GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, other
    const user = found.shapes[0];
    try testing.expectEqual([_]?u32{ 0, 0, 3, null, 1, null, null, null }, user.answers);
    try testing.expectEqualStrings("GET, HEAD, POST, DELETE", user.allow);
    try testing.expectEqualStrings("/users/xx", user.path);
    const me = found.shapes[1];
    try testing.expectEqual([_]?u32{ 0, 0, 3, 2, 1, null, null, null }, me.answers);
    try testing.expectEqualStrings("GET, HEAD, POST, PUT, DELETE", me.allow);
    const rest = found.shapes[2];
    try testing.expectEqual([_]?u32{ null, null, 3, null, null, null, null, null }, rest.answers);
    try testing.expectEqualStrings("POST", rest.allow);
    try testing.expectEqual([_]?u32{4} ** 8, found.shapes[3].answers);
    try testing.expectEqualSlices(u32, &.{3}, found.rows[3].after);
    try testing.expectEqualSlices(u32, &.{}, found.rows[0].after);
}

test "a pattern goes before another one where both match, for the methods that it has" {
    var arena = std.heap.ArenaAllocator.init(testing.allocator);
    defer arena.deinit();
    const found = try surveyOf(arena.allocator(), &.{
        entryOf("/a/:b", .GET),
        entryOf("/a/x", .GET),
        entryOf("/a/xx", .POST),
        entryOf("/:a/:b/*", .GET),
        entryOf("/a/:b/*", .HEAD),
    });
    try testing.expectEqualSlices(u32, &.{1}, found.rows[0].after);
    try testing.expectEqualSlices(u32, &.{ 0, 1, 4 }, found.rows[3].after);
    try testing.expectEqualSlices(u32, &.{ 0, 1 }, found.rows[4].after);
}

test "a wildcard is unreachable when others take every path that it has" {
    var arena = std.heap.ArenaAllocator.init(testing.allocator);
    defer arena.deinit();
    const entries = [_]Entry{
        entryOf("/a/*", .GET),
        entryOf("/a/:b/*", null),
        entryOf("/a", .GET),
        entryOf("/a/", null),
        entryOf("/a", .HEAD),
    };
    const whole = try surveyOf(arena.allocator(), &entries);
    try testing.expect(!whole.rows[0].reachable);
    try testing.expectEqualSlices(u32, &.{ 1, 2, 3 }, whole.rows[0].after);
    for (whole.rows[1..]) |each| try testing.expect(each.reachable);
    // "/a/" is left to it.
    const most = try surveyOf(arena.allocator(), &.{ entries[0], entries[1], entries[2] });
    try testing.expect(most.rows[0].reachable);
}

test "TRACE and CONNECT have no path: their entries are unreachable" {
    var arena = std.heap.ArenaAllocator.init(testing.allocator);
    defer arena.deinit();
    const entries = [_]Entry{ entryOf("/a", .TRACE), entryOf("/*", .CONNECT) };
    const found = try surveyOf(arena.allocator(), &entries);
    for (found.rows) |each| try testing.expect(!each.reachable);
}

test "a table that the router refuses is refused, and an empty one is empty" {
    var arena = std.heap.ArenaAllocator.init(testing.allocator);
    defer arena.deinit();
    var defect: router_file.Defect = .{};
    const twice = [_]Entry{ entryOf("/a/:b", .GET), entryOf("/a/:c", .GET) };
    const refused = Survey.init(arena.allocator(), &twice, &defect);
    try testing.expectError(error.RouteDuplicate, refused);
    try testing.expectEqual(1, defect.entry);
    const none = try surveyOf(arena.allocator(), &.{});
    try testing.expectEqual(0, none.rows.len);
}

/// Every path of up to four segments out of three, one of which no pattern has.
fn allPaths(arena: Allocator) ![]const []const u8 {
    const texts = [_][]const u8{ "/a", "/b", "/z" };
    var paths: std.ArrayListUnmanaged([]const u8) = .empty;
    try paths.append(arena, "");
    var from: usize = 0;
    for (0..4) |_| {
        const to = paths.items.len;
        for (from..to) |i| for (texts) |text| {
            const longer = try std.mem.concat(arena, u8, &.{ paths.items[i], text });
            try paths.append(arena, longer);
        };
        from = to;
    }
    const count = paths.items.len;
    for (0..count) |i| {
        const with_slash = try std.mem.concat(arena, u8, &.{ paths.items[i], "/" });
        try paths.append(arena, with_slash);
    }
    return paths.items[1..];
}

fn randomPattern(random: std.Random, out: []u8) []const u8 {
    const names = [_][]const u8{ "/:p", "/:q", "/:r" };
    var n: usize = 0;
    const count = random.intRangeAtMost(usize, 1, 3);
    for (0..count) |i| {
        const is_last = i + 1 == count;
        const piece = switch (random.uintLessThan(u8, 8)) {
            0, 1 => "/a",
            2 => "/b",
            3, 4 => names[i],
            5, 6 => if (is_last) "/*" else names[i],
            else => if (is_last) "/" else "/a",
        };
        @memcpy(out[n..][0..piece.len], piece);
        n += piece.len;
    }
    return out[0..n];
}

/// What one entry alone matches.
const Alone = struct {
    router: Router,

    fn matches(self: *const Alone, path: []const u8) bool {
        var params: router_file.Params = .{};
        return self.router.match(.GET, path, &params) == .found;
    }
};

test "random tables: what is found on a few paths is what holds on all" {
    var arena_state = std.heap.ArenaAllocator.init(testing.allocator);
    defer arena_state.deinit();
    const paths = try allPaths(arena_state.allocator());
    const verbs = [_]?Method{ .GET, .POST, .HEAD, null };
    var prng = std.Random.DefaultPrng.init(0x5e17e4);
    const random = prng.random();
    var unreachable_count: usize = 0;
    for (0..150) |_| {
        var table_arena = std.heap.ArenaAllocator.init(testing.allocator);
        defer table_arena.deinit();
        const arena = table_arena.allocator();
        var entries: std.ArrayListUnmanaged(Entry) = .empty;
        for (0..14) |_| {
            const pattern = try arena.alloc(u8, 32);
            const verb = verbs[random.uintLessThan(usize, verbs.len)];
            try entries.append(arena, entryOf(randomPattern(random, pattern), verb));
            _ = surveyOf(arena, entries.items) catch |err| {
                try testing.expectEqual(error.RouteDuplicate, err);
                _ = entries.pop();
            };
        }
        const found = try surveyOf(arena, entries.items);
        const numbered = try arena.dupe(Entry, entries.items);
        for (numbered, 0..) |*entry, i| entry.target = @intCast(i);
        const whole = try Router.init(arena, numbered);
        for (entries.items, found.rows, 0..) |entry, each, index| {
            const single = [_]Entry{entryOf(entry.pattern, null)};
            const alone: Alone = .{ .router = try Router.init(arena, &single) };
            const before = try arena.alloc(bool, found.shapes.len);
            @memset(before, false);
            var is_reachable = false;
            for (paths) |path| for (methods) |method| {
                if (!Surveyor.takes(entry, method) or !alone.matches(path)) continue;
                var params: router_file.Params = .{};
                const winner = whole.match(method, path, &params).found;
                if (winner == index) is_reachable = true;
                const shape = found.rows[winner].shape;
                if (shape != each.shape) before[shape] = true;
            };
            errdefer std.debug.print("{s} of {d}\n", .{ entry.pattern, entries.items.len });
            try testing.expectEqual(is_reachable, each.reachable);
            if (!is_reachable) unreachable_count += 1;
            for (before, 0..) |expected, shape| {
                const told = std.mem.indexOfScalar(u32, each.after, @intCast(shape)) != null;
                try testing.expectEqual(expected, told);
            }
        }
    }
    try testing.expect(unreachable_count > 0);
}
