//! The fuzzers of everything that reads a peer's bytes.
//!
//!     fuzz [--smoke] [--seed N] [--count N] [--corpus DIR] [NAME...]
//!
//! Each named fuzzer (all when none is named) first takes every file of DIR/NAME as it is, then
//! `count` inputs mutated from them. Input i is made from the seed N + i alone, so `--seed N
//! --count 1` makes a failing one again. `--smoke` is the short run of the test suite. Exits with 1
//! when an invariant is broken, with 2 when the arguments or the corpus are wrong; build it in a
//! safe mode to catch panics too.
const std = @import("std");
const registry = @import("fuzz/registry.zig");
const Fuzzer = registry.Fuzzer;
const Mutator = @import("fuzz/mutator.zig").Mutator;

const fuzzers = registry.all;
const smoke_count = 20_000;
const usage =
    \\usage: fuzz [--smoke] [--seed N] [--count N] [--corpus DIR] [NAME...]
    \\names: decoder chunked hpack frames connection websocket ws_extensions uri range date
    \\(default: all)
    \\
;

const Options = struct {
    seed: u64 = 1,
    count: u64 = 1_000_000,
    corpus: []const u8 = "tests/fuzz",
    selected: [fuzzers.len]bool = .{false} ** fuzzers.len,

    fn parse(args: []const [:0]const u8) error{Usage}!Options {
        var options = Options{};
        var any = false;
        var i: usize = 0;
        while (i < args.len) : (i += 1) {
            const arg = args[i];
            if (std.mem.eql(u8, arg, "--smoke")) {
                options.count = smoke_count;
                continue;
            }
            if (!std.mem.startsWith(u8, arg, "--")) {
                try options.select(arg);
                any = true;
                continue;
            }
            i += 1;
            if (i == args.len) return error.Usage;
            if (std.mem.eql(u8, arg, "--corpus")) {
                options.corpus = args[i];
                continue;
            }
            const number = std.fmt.parseInt(u64, args[i], 0) catch return error.Usage;
            if (std.mem.eql(u8, arg, "--seed")) {
                options.seed = number;
            } else if (std.mem.eql(u8, arg, "--count")) {
                options.count = number;
            } else return error.Usage;
        }
        if (!any) options.selected = .{true} ** fuzzers.len;
        return options;
    }

    fn select(options: *Options, name: []const u8) error{Usage}!void {
        options.selected[registry.find(name) orelse return error.Usage] = true;
    }
};

/// What runs now, for the report of a failure.
var current: struct { name: []const u8 = "", seed: ?u64 = null, input: []const u8 = "" } = .{};

pub const panic = std.debug.FullPanic(struct {
    fn report(message: []const u8, address: ?usize) noreturn {
        reportCurrent();
        std.debug.defaultPanic(message, address);
    }
}.report);

fn reportCurrent() void {
    if (current.name.len == 0) return;
    std.debug.print("\n{s}: failed on \"{s}\"\n", .{
        current.name,
        std.fmt.fmtSliceEscapeLower(current.input[0..@min(current.input.len, 4096)]),
    });
    if (current.seed) |seed| {
        std.debug.print("again: fuzz --seed {d} --count 1 {s}\n", .{ seed, current.name });
    }
}

pub fn main() u8 {
    return run() catch |e| {
        switch (e) {
            error.Usage => std.debug.print("{s}", .{usage}),
            else => std.debug.print("fuzz: {s}\n", .{@errorName(e)}),
        }
        return 2;
    };
}

fn run() !u8 {
    var arena_state = std.heap.ArenaAllocator.init(std.heap.page_allocator);
    defer arena_state.deinit();
    const arena = arena_state.allocator();
    const args = try std.process.argsAlloc(arena);
    const options = try Options.parse(args[1..]);
    for (fuzzers, options.selected) |fuzzer, selected| {
        if (!selected) continue;
        const corpus = try readCorpus(arena, options.corpus, fuzzer.name);
        if (!runOne(fuzzer, corpus, options)) return 1;
        std.debug.print("{s}: {d} files, {d} inputs, seed {d}: no failure\n", .{
            fuzzer.name, corpus.len, options.count, options.seed,
        });
    }
    return 0;
}

fn runOne(fuzzer: Fuzzer, corpus: []const []const u8, options: Options) bool {
    var buffer: [Mutator.input_bytes_max]u8 = undefined;
    const mutator = Mutator{ .corpus = corpus, .words = fuzzer.words };
    for (corpus) |input| {
        var prng = std.Random.DefaultPrng.init(options.seed);
        if (!check(fuzzer, input, null, prng.random())) return false;
    }
    for (0..options.count) |i| {
        const seed = options.seed +% i;
        var prng = std.Random.DefaultPrng.init(seed);
        const input = mutator.make(prng.random(), &buffer);
        if (!check(fuzzer, input, seed, prng.random())) return false;
    }
    return true;
}

fn check(fuzzer: Fuzzer, input: []const u8, seed: ?u64, random: std.Random) bool {
    current = .{ .name = fuzzer.name, .seed = seed, .input = input };
    defer current = .{};
    fuzzer.run(input, random) catch |e| {
        if (@errorReturnTrace()) |trace| std.debug.dumpStackTrace(trace.*);
        std.debug.print("{s}: {s}", .{ fuzzer.name, @errorName(e) });
        reportCurrent();
        return false;
    };
    return true;
}

/// The files of `root`/`name` in the order of their names, so that a seed means the same
/// everywhere.
fn readCorpus(arena: std.mem.Allocator, root: []const u8, name: []const u8) ![][]const u8 {
    const path = try std.fs.path.join(arena, &.{ root, name });
    var dir = std.fs.cwd().openDir(path, .{ .iterate = true }) catch |e| {
        std.debug.print("fuzz: no corpus in {s}\n", .{path});
        return e;
    };
    defer dir.close();
    var names = std.ArrayList([]const u8).init(arena);
    var entries = dir.iterate();
    while (try entries.next()) |entry| {
        if (entry.kind == .file) try names.append(try arena.dupe(u8, entry.name));
    }
    if (names.items.len == 0) return error.EmptyCorpus;
    std.mem.sort([]const u8, names.items, {}, struct {
        fn lessThan(_: void, a: []const u8, b: []const u8) bool {
            return std.mem.lessThan(u8, a, b);
        }
    }.lessThan);
    const files = try arena.alloc([]const u8, names.items.len);
    for (names.items, files) |file_name, *file| {
        file.* = try dir.readFileAlloc(arena, file_name, Mutator.input_bytes_max);
    }
    return files;
}
