//! Nanoseconds to find what answers a request: the router's table, and what could be generated for
//! one app alone: a perfect hash of its paths, and a walk that knows its segments. And of a
//! constant: its head put together, and copied from finished bytes.
//!
//!     zig build bench-route
//!
//! Paths take turns, so that branches are not learned by heart. Each number is the least of 15
//! samples of about 20 ms: the cost when nothing disturbs, and all of the table is in the cache.
const std = @import("std");
const gyrfalcon = @import("gyrfalcon");
const Router = gyrfalcon.Router;
const Params = @typeInfo(@typeInfo(@TypeOf(Router.match)).@"fn".params[3].type.?).pointer.child;

/// Resources of an API: each has a list, an item, and an item of an item.
fn Table(comptime resources: usize) type {
    return struct {
        const names = blk: {
            var all: [resources][]const u8 = undefined;
            for (&all, 0..) |*name, i| name.* = std.fmt.comptimePrint("resource{d}", .{i * 37});
            break :blk all;
        };
        const rests = [_][]const u8{ "", "/:id", "/:id/items/:item" };
        const entries = blk: {
            var all: [rests.len * resources]Router.Entry = undefined;
            for (&all, 0..) |*entry, i| entry.* = .{
                .pattern = "/api/v1/" ++ names[i / rests.len] ++ rests[i % rests.len],
                .method = .GET,
                .target = i,
            };
            break :blk all;
        };
        const statics = paths("");
        const items = paths("/4711");
        const deep = paths("/4711/items/815");

        fn paths(comptime rest: []const u8) [resources][]const u8 {
            var all: [resources][]const u8 = undefined;
            for (&all, names) |*path, name| path.* = "/api/v1/" ++ name ++ rest;
            return all;
        }
    };
}

/// Numbers of words by a hash that no two of them share: a word's bucket tells how its slot is
/// found. Made at the start here, and of constants in a program that is made for its words.
fn PerfectHash(comptime words: []const []const u8) type {
    return struct {
        const size = std.math.ceilPowerOfTwoAssert(usize, words.len * 2);
        const shift = 64 - @as(u7, std.math.log2_int(usize, size));
        const Slots = [size]u32;
        var displacements: Slots = @splat(0);
        var slots: Slots = @splat(words.len);

        fn init() void {
            // Buckets of more words go first: later ones find less room.
            for (0..words.len) |i| for (0..size) |bucket| {
                if (countIn(bucket) == words.len - i) place(bucket);
            };
        }

        fn countIn(bucket: usize) usize {
            var count: usize = 0;
            for (words) |word| count += @intFromBool(bucketOf(hashOf(word)) == bucket);
            return count;
        }

        fn place(bucket: usize) void {
            var displacement: u32 = 1;
            while (!fits(bucket, displacement)) displacement += 1;
            displacements[bucket] = displacement;
        }

        fn fits(bucket: usize, displacement: u32) bool {
            var trial = slots;
            for (words, 0..) |word, i| {
                const hash = hashOf(word);
                if (bucketOf(hash) != bucket) continue;
                const slot = slotOf(hash, displacement);
                if (trial[slot] != words.len) return false;
                trial[slot] = @intCast(i);
            }
            slots = trial;
            return true;
        }

        fn find(word: []const u8) ?u32 {
            const hash = hashOf(word);
            const index = slots[slotOf(hash, displacements[bucketOf(hash)])];
            if (index == words.len) return null;
            return if (std.mem.eql(u8, words[index], word)) index else null;
        }

        /// Of the last eight bytes, before them eight more, and the length.
        fn hashOf(word: []const u8) u64 {
            var hash: u64 = word.len;
            if (word.len >= 8) hash ^= last(word, 0) else for (word) |byte| hash = hash << 8 ^ byte;
            // What ends a word is in the highest bits: a product carries nothing down.
            hash = folded(hash *% 0x9e37_79b9_7f4a_7c15);
            if (word.len >= 16) hash ^= last(word, 8);
            return folded(hash *% 0xd134_2543_de82_ef95);
        }

        fn folded(product: u64) u64 {
            return product ^ product >> 32;
        }

        fn last(word: []const u8, behind: usize) u64 {
            return std.mem.readInt(u64, word[word.len - behind - 8 ..][0..8], .little);
        }

        fn bucketOf(hash: u64) usize {
            return @intCast(hash & size - 1);
        }

        fn slotOf(hash: u64, displacement: u32) usize {
            return @intCast(((hash ^ displacement) *% 0x9e37_79b9_7f4a_7c15) >> @intCast(shift));
        }
    };
}

/// What a build of one app could be made to run.
fn Generated(comptime T: type) type {
    return struct {
        const prefix = "/api/v1/";
        const Statics = PerfectHash(&T.statics);
        const Names = PerfectHash(&T.names);

        fn init() void {
            Statics.init();
            Names.init();
        }

        fn match(path: []const u8, params: *Params) ?u32 {
            params.len = 0;
            if (Statics.find(path)) |index| return 3 * index;
            if (!std.mem.startsWith(u8, path, prefix)) return null;
            const end = segmentEnd(path, prefix.len);
            const name = Names.find(path[prefix.len..end]) orelse return null;
            if (end == path.len) return null;
            const id_end = segmentEnd(path, end + 1);
            params.items[0] = .{ .off = @intCast(end + 1), .len = @intCast(id_end - end - 1) };
            params.len = 1;
            if (id_end == path.len) return 3 * name + 1;
            if (!std.mem.startsWith(u8, path[id_end..], "/items/")) return null;
            const item = id_end + "/items/".len;
            if (segmentEnd(path, item) != path.len) return null;
            params.items[1] = .{ .off = @intCast(item), .len = @intCast(path.len - item) };
            params.len = 2;
            return 3 * name + 2;
        }

        fn segmentEnd(path: []const u8, from: usize) usize {
            var end = from;
            while (end < path.len and path[end] != '/') end += 1;
            return end;
        }
    };
}

const Way = enum { table, generated };

fn Lookup(comptime T: type, comptime way: Way) type {
    return struct {
        var router: Router = undefined;

        fn run(path: []const u8) void {
            var params: Params = .{};
            const found: ?u32 = switch (way) {
                .table => targetOf(router.match(.GET, path, &params)),
                .generated => Generated(T).match(path, &params),
            };
            std.debug.assert(found != null);
            std.mem.doNotOptimizeAway(found);
            std.mem.doNotOptimizeAway(&params);
        }

        fn targetOf(match: anytype) ?u32 {
            return switch (match) {
                .found => |target| target,
                .method_not_allowed, .none => null,
            };
        }
    };
}

fn measureTable(comptime resources: usize) !void {
    const T = Table(resources);
    inline for (comptime std.enums.values(Way)) |way| {
        const Looks = Lookup(T, way);
        if (way == .generated) Generated(T).init();
        if (way == .table) Looks.router = try Router.init(std.heap.c_allocator, &T.entries);
        defer if (way == .table) Looks.router.deinit(std.heap.c_allocator);
        try measure(3 * resources, @tagName(way) ++ ", no parameter", Looks.run, &T.statics);
        try measure(3 * resources, @tagName(way) ++ ", one", Looks.run, &T.items);
        try measure(3 * resources, @tagName(way) ++ ", two", Looks.run, &T.deep);
    }
}

const date = "Sun, 06 Nov 1994 08:49:37 GMT";
const lines = "content-type: text/plain;charset=UTF-8\r\n";
const content = "Hello, World!";

/// As the engine does: the lines are laid out, the rest of the head is put together.
const Constant = struct {
    var finished: [256]u8 = undefined;
    var finished_len: usize = 0;
    var date_at: usize = 0;
    var out: [256]u8 = undefined;

    fn assemble(field_lines: []const u8) void {
        const len = gyrfalcon.http1.encoder.head(&out, .{
            .field_lines = field_lines,
            .length = content.len,
            .date = date,
            .server = "gyrfalcon",
            .keep_alive = true,
        }) catch unreachable;
        @memcpy(out[len..][0..content.len], content);
        std.mem.doNotOptimizeAway(out[0 .. len + content.len]);
    }

    fn finish() void {
        assemble(lines);
        finished = out;
        finished_len = std.mem.indexOf(u8, &out, content).? + content.len;
        date_at = std.mem.indexOf(u8, &out, date).?;
    }

    fn copy(_: []const u8) void {
        @memcpy(out[0..finished_len], finished[0..finished_len]);
        @memcpy(out[date_at..][0..date.len], date);
        std.mem.doNotOptimizeAway(out[0..finished_len]);
    }
};

fn measure(
    routes: usize,
    name: []const u8,
    comptime run: fn ([]const u8) void,
    paths: []const []const u8,
) !void {
    var timer = try std.time.Timer.start();
    var rounds: u64 = 0;
    while (timer.read() < 20 * std.time.ns_per_ms) : (rounds += 1) runAll(run, paths);
    var best: u64 = std.math.maxInt(u64);
    for (0..15) |_| {
        _ = timer.lap();
        for (0..rounds) |_| runAll(run, paths);
        best = @min(best, timer.lap());
    }
    const calls = @as(f64, @floatFromInt(rounds)) * @as(f64, @floatFromInt(paths.len));
    const nanoseconds = @as(f64, @floatFromInt(best)) / calls;
    const writer = std.io.getStdOut().writer();
    try writer.print("{d:>4} routes  {s:<30}{d:>8.1} ns\n", .{ routes, name, nanoseconds });
}

/// The compiler must not know what the bytes are.
fn runAll(comptime run: fn ([]const u8) void, paths: []const []const u8) void {
    for (paths) |path| {
        var opaque_path = path;
        std.mem.doNotOptimizeAway(&opaque_path);
        run(opaque_path);
    }
}

pub fn main() !void {
    inline for (.{ 2, 16, 128 }) |resources| try measureTable(resources);
    Constant.finish();
    try measure(1, "constant, head put together", Constant.assemble, &.{lines});
    try measure(1, "constant, finished bytes", Constant.copy, &.{lines});
}
