//! Tests of the router: tables of cases, a comparison with a naive matcher, and memory.

const std = @import("std");
const testing = std.testing;
const Method = @import("../http/method.zig").Method;
const router = @import("router.zig");
const pattern_syntax = @import("pattern.zig");
const Router = router.Router;
const Params = router.Params;
const Match = router.Match;
const MethodSet = router.MethodSet;

fn entry(pattern: []const u8, method: ?Method, target: u32) Router.Entry {
    return .{ .pattern = pattern, .method = method, .target = target };
}

const Case = struct {
    method: Method = .GET,
    path: []const u8,
    want: ?u32,
    params: []const []const u8 = &.{},
};

fn expectCases(r: *const Router, cases: []const Case) !void {
    for (cases) |case| {
        errdefer std.debug.print("path {s}\n", .{case.path[0..@min(case.path.len, 80)]});
        var params: Params = .{};
        const got = r.match(case.method, case.path, &params);
        if (case.want) |target| {
            try testing.expectEqual(Match{ .found = target }, got);
        } else {
            try testing.expectEqual(Match.none, got);
        }
        try testing.expectEqual(case.params.len, params.len);
        for (case.params, 0..) |want, i| {
            try testing.expectEqualStrings(want, params.get(i, case.path));
        }
    }
}

const site = [_]Router.Entry{
    entry("/", .GET, 0),
    entry("/users", .GET, 1),
    entry("/users/:id", .GET, 2),
    entry("/users/me", .GET, 3),
    entry("/users/:id/posts/:post", .GET, 4),
    entry("/users/me/settings", .GET, 5),
    entry("/files/*", .GET, 6),
    entry("/files/special.txt", .GET, 7),
    entry("/a/:b/c", .GET, 8),
    entry("/a/b/:c", .GET, 9),
    entry("/a/b/d/*", .GET, 10),
    entry("/docs/", .GET, 11),
    entry("/v1/jobs:cancel", .GET, 12),
    entry("/sp%20ace", .GET, 13),
    entry("//%64ouble", .GET, 14),
    entry("/caf%c3%a9", .GET, 15),
    entry("/x/../dotted/./:id", .GET, 16),
};

const site_cases = [_]Case{
    .{ .path = "/", .want = 0 },
    .{ .path = "/users", .want = 1 },
    .{ .path = "/users/7", .want = 2, .params = &.{"7"} },
    .{ .path = "/users/me", .want = 3 },
    .{ .path = "/users/mex", .want = 2, .params = &.{"mex"} },
    .{ .path = "/users/m", .want = 2, .params = &.{"m"} },
    .{ .path = "/users/7/posts/x", .want = 4, .params = &.{ "7", "x" } },
    .{ .path = "/users/me/settings", .want = 5 },
    // The literal "me" leads nowhere: the parameter takes it.
    .{ .path = "/users/me/posts/9", .want = 4, .params = &.{ "me", "9" } },
    .{ .path = "/users/7/settings", .want = null },
    .{ .path = "/users/7/posts", .want = null },
    // A trailing slash is another path; a parameter is never empty.
    .{ .path = "/users/", .want = null },
    .{ .path = "/users/7/", .want = null },
    .{ .path = "/docs/", .want = 11 },
    .{ .path = "/docs", .want = null },
    .{ .path = "/files/a/b.txt", .want = 6, .params = &.{"a/b.txt"} },
    .{ .path = "/files/", .want = 6, .params = &.{""} },
    .{ .path = "/files", .want = 6, .params = &.{""} },
    .{ .path = "/files/special.txt", .want = 7 },
    .{ .path = "/files/special.txt/x", .want = 6, .params = &.{"special.txt/x"} },
    .{ .path = "/filesx", .want = null },
    .{ .path = "/a/b/c", .want = 9, .params = &.{"c"} },
    .{ .path = "/a/x/c", .want = 8, .params = &.{"x"} },
    // Also where the wildcard is left with nothing, the literal before it goes before the
    // parameter.
    .{ .path = "/a/b/d", .want = 10, .params = &.{""} },
    .{ .path = "/a/b/d/", .want = 10, .params = &.{""} },
    .{ .path = "/a/b/d/e", .want = 10, .params = &.{"e"} },
    .{ .path = "/a/x/d", .want = null },
    .{ .path = "/v1/jobs:cancel", .want = 12 },
    // An encoded slash separates nothing.
    .{ .path = "/sp%20ace", .want = 13 },
    .{ .path = "/users/a%2Fb", .want = 2, .params = &.{"a%2Fb"} },
    // Patterns are canonical, however they were written.
    .{ .path = "/double", .want = 14 },
    .{ .path = "/caf%C3%A9", .want = 15, .params = &.{} },
    .{ .path = "/dotted/7", .want = 16, .params = &.{"7"} },
    .{ .path = "", .want = null },
    .{ .path = "*", .want = null },
    .{ .path = "users", .want = null },
};

test "literal goes before parameter before wildcard, per segment, with backtracking" {
    var r = try Router.init(testing.allocator, &site);
    defer r.deinit(testing.allocator);
    try expectCases(&r, &site_cases);
}

test "a router built at comptime matches as one built at start" {
    const r = comptime Router.comptimeInit(&site);
    try expectCases(&r, &site_cases);
}

test "the order of the entries does not matter" {
    var shuffled = site;
    var prng = std.Random.DefaultPrng.init(1);
    for (0..8) |_| {
        prng.random().shuffle(Router.Entry, &shuffled);
        var r = try Router.init(testing.allocator, &shuffled);
        defer r.deinit(testing.allocator);
        try expectCases(&r, &site_cases);
    }
}

test "the entries may be gone after init" {
    const gpa = testing.allocator;
    const pattern = try gpa.dupe(u8, "/users/:id/x");
    var r = blk: {
        defer gpa.free(pattern);
        defer @memset(pattern, '#');
        break :blk try Router.init(gpa, &.{entry(pattern, .GET, 5)});
    };
    defer r.deinit(gpa);
    try expectCases(&r, &.{.{ .path = "/users/1/x", .want = 5, .params = &.{"1"} }});
}

test "an empty table matches nothing" {
    var r = try Router.init(testing.allocator, &.{});
    defer r.deinit(testing.allocator);
    try expectCases(&r, &.{ .{ .path = "/", .want = null }, .{ .path = "/a/b", .want = null } });
}

test "a wildcard at the root takes every path, its slash excluded" {
    const entries = [_]Router.Entry{ entry("/*", null, 1), entry("/:a/:b", null, 2) };
    var r = try Router.init(testing.allocator, &entries);
    defer r.deinit(testing.allocator);
    try expectCases(&r, &.{
        .{ .path = "/", .want = 1, .params = &.{""} },
        .{ .path = "/a", .want = 1, .params = &.{"a"} },
        .{ .path = "/a/", .want = 1, .params = &.{"a/"} },
        .{ .path = "/a/b", .want = 2, .params = &.{ "a", "b" } },
        .{ .path = "/a/b/c", .want = 1, .params = &.{"a/b/c"} },
    });
}

test "HEAD is answered by its own entry, else by GET's, else by that for every method" {
    var r = try Router.init(testing.allocator, &.{
        entry("/get", .GET, 1),
        entry("/both", .GET, 2),
        entry("/both", .HEAD, 3),
        entry("/any", null, 4),
        entry("/get-any", .GET, 5),
        entry("/get-any", null, 6),
        entry("/post", .POST, 7),
    });
    defer r.deinit(testing.allocator);
    try expectCases(&r, &.{
        .{ .method = .HEAD, .path = "/get", .want = 1 },
        .{ .method = .HEAD, .path = "/both", .want = 3 },
        .{ .method = .HEAD, .path = "/any", .want = 4 },
        .{ .method = .HEAD, .path = "/get-any", .want = 5 },
        .{ .method = .POST, .path = "/get-any", .want = 6 },
    });
    var params: Params = .{};
    const refused = r.match(.HEAD, "/post", &params);
    try testing.expectEqual(Match{ .method_not_allowed = MethodSet.of(&.{.POST}) }, refused);
}

test "a path that is there for other methods only reports all of them" {
    var r = try Router.init(testing.allocator, &.{
        entry("/users/:id", .GET, 1),
        entry("/users/:key", .DELETE, 2),
        entry("/users/me", .PUT, 3),
        entry("/users/*", .PATCH, 4),
        entry("/other", .POST, 5),
    });
    defer r.deinit(testing.allocator);
    const cases = [_]struct { []const u8, []const Method }{
        .{ "/users/me", &.{ .GET, .HEAD, .DELETE, .PUT, .PATCH } },
        .{ "/users/7", &.{ .GET, .HEAD, .DELETE, .PATCH } },
        .{ "/users/", &.{.PATCH} },
        .{ "/other", &.{.POST} },
    };
    for (cases) |case| {
        var params: Params = .{};
        const got = r.match(.OPTIONS, case[0], &params);
        try testing.expectEqual(Match{ .method_not_allowed = MethodSet.of(case[1]) }, got);
        try testing.expectEqual(@as(u8, 0), params.len);
    }
}

test "a literal without the method gives way to a parameter that has it" {
    var r = try Router.init(testing.allocator, &.{
        entry("/users/me", .GET, 1),
        entry("/users/:id", .POST, 2),
        entry("/*", .DELETE, 3),
    });
    defer r.deinit(testing.allocator);
    try expectCases(&r, &.{
        .{ .method = .GET, .path = "/users/me", .want = 1 },
        .{ .method = .POST, .path = "/users/me", .want = 2, .params = &.{"me"} },
        .{ .method = .DELETE, .path = "/users/me", .want = 3, .params = &.{"users/me"} },
    });
}

test "a method without a name of its own is matched by entries for every method only" {
    var r = try Router.init(testing.allocator, &.{
        entry("/any", null, 1),
        entry("/any", .GET, 2),
        entry("/get", .GET, 3),
    });
    defer r.deinit(testing.allocator);
    try expectCases(&r, &.{
        .{ .method = .other, .path = "/any", .want = 1 },
        .{ .method = .GET, .path = "/any", .want = 2 },
    });
    var params: Params = .{};
    const want: Match = .{ .method_not_allowed = MethodSet.of(&.{ .GET, .HEAD }) };
    try testing.expectEqual(want, r.match(.other, "/get", &params));
    const made = Router.init(testing.allocator, &.{entry("/", .other, 1)});
    try testing.expectError(error.MethodUnsupported, made);
}

test "a defect is reported with the entries it is about" {
    const cases = [_]struct { second: Router.Entry, err: Router.Error, other: ?usize }{
        .{ .second = entry("/a/:y", .GET, 9), .err = error.RouteDuplicate, .other = 1 },
        .{ .second = entry("/a//:y", .GET, 9), .err = error.RouteDuplicate, .other = 1 },
        .{ .second = entry("/%62", .GET, 9), .err = error.RouteDuplicate, .other = 3 },
        .{ .second = entry("/../b", .GET, 9), .err = error.EscapesRoot, .other = null },
        .{ .second = entry("/a/:y", null, 9), .err = error.RouteDuplicate, .other = 2 },
        .{ .second = entry("/b", .GET, 9), .err = error.RouteDuplicate, .other = 3 },
        .{ .second = entry("/w/*", .GET, 9), .err = error.RouteDuplicate, .other = 4 },
        .{ .second = entry("b", .GET, 9), .err = error.PatternNotAbsolute, .other = null },
        .{ .second = entry("/*/b", .GET, 9), .err = error.WildcardNotLast, .other = null },
        .{ .second = entry("/:x/:x", .GET, 9), .err = error.ParameterNameDuplicate, .other = null },
        .{ .second = entry("/:", .GET, 9), .err = error.ParameterNameEmpty, .other = null },
    };
    for (cases) |case| {
        var defect: router.Defect = .{};
        const made = Router.initReporting(testing.allocator, &.{
            entry("/", .GET, 0),
            entry("/a/:x", .GET, 0),
            entry("/a/:x", null, 0),
            entry("/b", .GET, 0),
            entry("/w/*", .GET, 0),
            case.second,
        }, &defect);
        try testing.expectError(case.err, made);
        try testing.expectEqual(@as(usize, 5), defect.entry);
        try testing.expectEqual(case.other, defect.other);
        try testing.expect(router.explain(case.err).len > 0);
    }
}

test "sixteen parameters are captured, in order" {
    var r = try Router.init(testing.allocator, &.{
        entry("/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/*", null, 1),
    });
    defer r.deinit(testing.allocator);
    const texts = [_][]const u8{
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "E", "F/G",
    };
    const path = "/0/1/2/3/4/5/6/7/8/9/A/B/C/D/E/F/G";
    try expectCases(&r, &.{.{ .path = path, .want = 1, .params = &texts }});
}

test "a path longer than the spans can tell matches nothing" {
    const gpa = testing.allocator;
    var r = try Router.init(gpa, &.{
        entry("/*", null, 1),
        entry("/:a", null, 2),
        entry("/a/:b/c", null, 3),
    });
    defer r.deinit(gpa);
    const path = try gpa.alloc(u8, 70_000);
    defer gpa.free(path);
    @memset(path, 'a');
    path[0] = '/';
    const longest = path[0..65535];
    try expectCases(&r, &.{
        .{ .path = path, .want = null },
        .{ .path = path[0..65536], .want = null },
        .{ .path = longest, .want = 2, .params = &.{longest[1..]} },
    });
    @memset(path, '/');
    try expectCases(&r, &.{.{ .path = longest, .want = 1, .params = &.{longest[1..]} }});
}

test "a table made for backtracking costs one visit per node" {
    // Every prefix branches into a literal and a parameter, and none of the 2^15 combinations fits
    // the end.
    const gpa = testing.allocator;
    var arena = std.heap.ArenaAllocator.init(gpa);
    defer arena.deinit();
    var entries = std.ArrayList(Router.Entry).init(arena.allocator());
    for (0..1 << 10) |bits| {
        var pattern = std.ArrayList(u8).init(arena.allocator());
        for (0..10) |i| {
            const literal = bits >> @intCast(i) & 1 == 0;
            try if (literal) pattern.appendSlice("/a") else pattern.writer().print("/:p{d}", .{i});
        }
        try pattern.appendSlice("/end");
        try entries.append(entry(pattern.items, .GET, @intCast(bits)));
    }
    var r = try Router.init(gpa, entries.items);
    defer r.deinit(gpa);
    try expectCases(&r, &.{
        .{ .path = "/a" ** 10 ++ "/x", .want = null },
        .{ .path = "/a" ** 10 ++ "/end", .want = 0 },
    });
}

/// Rank of a match per segment, best first; compared in order of segments. The end of the path is
/// 0.
const Rank = struct {
    items: [24]u8 = @splat(0),

    fn before(a: Rank, b: Rank) bool {
        return std.mem.order(u8, &a.items, &b.items) == .lt;
    }
};

/// The rule, as plainly as it can be said: the rank of `path` under `pattern`, or null.
fn naiveRank(pattern: []const u8, path: []const u8) ?Rank {
    var rank: Rank = .{};
    var want = pattern_syntax.SegmentIterator.init(pattern);
    var have = std.mem.splitScalar(u8, path[1..], '/');
    var depth: usize = 0;
    while (want.next()) |segment| : (depth += 1) {
        if (segment == .wildcard) {
            rank.items[depth] = 3;
            return rank;
        }
        const text = have.next() orelse return null;
        switch (segment) {
            .literal => |literal| {
                if (!std.mem.eql(u8, literal, text)) return null;
                rank.items[depth] = 1;
            },
            .param => {
                if (text.len == 0) return null;
                rank.items[depth] = 2;
            },
            .wildcard => unreachable,
        }
    }
    return if (have.next() == null) rank else null;
}

fn naiveMatch(entries: []const Router.Entry, method: Method, path: []const u8) Match {
    var best: ?Rank = null;
    var target: u32 = 0;
    var allowed: MethodSet = .empty;
    var matched = false;
    for (entries) |e| {
        const rank = naiveRank(e.pattern, path) orelse continue;
        matched = true;
        if (e.method) |m| {
            allowed.insert(m);
            if (m == .GET) allowed.insert(.HEAD);
        }
        const head_by_get = method == .HEAD and e.method == .GET;
        if (e.method != null and e.method.? != method and !head_by_get) continue;
        // On one shape the method's own entry is best, then GET's for HEAD, then the one for all.
        var full = rank;
        full.items[23] = if (e.method == null) 3 else if (e.method.? == method) 1 else 2;
        if (best == null or full.before(best.?)) {
            best = full;
            target = e.target;
        }
    }
    if (best != null) return .{ .found = target };
    return if (matched) .{ .method_not_allowed = allowed } else .none;
}

fn randomText(random: std.Random, out: []u8, patterns: bool) []const u8 {
    const literals = [_][]const u8{ "/a", "/b", "/ab", "/a", "/c", "/" };
    const names = [_][]const u8{ "/:p", "/:q", "/:r", "/:s", "/:t" };
    var n: usize = 0;
    const count = random.intRangeAtMost(usize, 1, 5);
    for (0..count) |i| {
        const wild = patterns and i + 1 == count and random.uintLessThan(u8, 4) == 0;
        const param = patterns and random.uintLessThan(u8, 3) == 0;
        // A canonical path has an empty segment at its end only.
        const choices = literals.len - @intFromBool(i + 1 < count);
        const literal = literals[random.uintLessThan(usize, choices)];
        const piece = if (wild) "/*" else if (param) names[i] else literal;
        @memcpy(out[n..][0..piece.len], piece);
        n += piece.len;
    }
    return out[0..n];
}

test "random tables match as the naive rule says" {
    const gpa = testing.allocator;
    const methods = [_]?Method{ .GET, .POST, .HEAD, null };
    const asked = [_]Method{ .GET, .POST, .HEAD, .PUT, .other };
    var prng = std.Random.DefaultPrng.init(0x9fa1c04);
    const random = prng.random();
    for (0..400) |_| {
        var texts: [24][64]u8 = undefined;
        var entries: std.BoundedArray(Router.Entry, 24) = .{};
        for (&texts, 0..) |*text, i| {
            const method = methods[random.uintLessThan(usize, methods.len)];
            const pattern = randomText(random, text, true);
            entries.appendAssumeCapacity(entry(pattern, method, @intCast(i)));
            var defect: router.Defect = .{};
            var trial = Router.initReporting(gpa, entries.slice(), &defect) catch |err| {
                try testing.expectEqual(error.RouteDuplicate, err);
                try testing.expectEqual(entries.len - 1, defect.entry);
                _ = entries.pop();
                continue;
            };
            trial.deinit(gpa);
        }
        var r = try Router.init(gpa, entries.slice());
        defer r.deinit(gpa);
        for (0..100) |_| {
            var path_buffer: [64]u8 = undefined;
            const path = randomText(random, &path_buffer, false);
            const method = asked[random.uintLessThan(usize, asked.len)];
            var params: Params = .{};
            const got = r.match(method, path, &params);
            try testing.expectEqual(naiveMatch(entries.slice(), method, path), got);
            if (got == .found) try expectParams(&entries, got.found, path, &params);
        }
    }
}

/// Puts the captured parameters back into the pattern, which must give the path.
fn expectParams(entries: anytype, target: u32, path: []const u8, params: *const Params) !void {
    const pattern = for (entries.slice()) |e| {
        if (e.target == target) break e.pattern;
    } else unreachable;
    var rebuilt: std.BoundedArray(u8, 256) = .{};
    var segments = pattern_syntax.SegmentIterator.init(pattern);
    var used: usize = 0;
    while (segments.next()) |segment| {
        rebuilt.appendAssumeCapacity('/');
        switch (segment) {
            .literal => |text| rebuilt.appendSliceAssumeCapacity(text),
            .param, .wildcard => {
                rebuilt.appendSliceAssumeCapacity(params.get(used, path));
                used += 1;
            },
        }
    }
    try testing.expectEqual(used, params.len);
    const text = rebuilt.slice();
    const stopped_before_wildcard = text.len == path.len + 1;
    try testing.expectEqualStrings(path, if (stopped_before_wildcard) text[0..path.len] else text);
}

test "an allocation that fails leaks nothing" {
    const attempt = struct {
        fn run(gpa: std.mem.Allocator) !void {
            var r = try Router.init(gpa, &site);
            r.deinit(gpa);
        }
    };
    try testing.checkAllAllocationFailures(testing.allocator, attempt.run, .{});
}
