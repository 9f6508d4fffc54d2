//! The simulator's executable: runs seed after seed, and replays the one that failed.
//!
//!     sim [--seed N] [--seeds COUNT] [--minutes M]
//!
//! Without COUNT and M it runs seed N alone. docs/SIMULATOR.md tells what a run is.

const std = @import("std");
const client = @import("sim/client.zig");
const Files = @import("sim/files.zig").Files;
const Options = @import("sim/options.zig").Options;
const run_file = @import("sim/run.zig");
const Trace = @import("io/simulated_trace.zig").Trace;

const usage = "usage: sim [--seed N] [--seeds COUNT] [--minutes M]\n";

/// Every so many seeds one is run again, to see that it does the same.
const repeat_interval = 16;

const Arguments = struct {
    seed: u64 = 1,
    seeds: ?u64 = null,
    minutes: ?u64 = null,

    fn parse(args: []const [:0]const u8) error{Usage}!Arguments {
        var self: Arguments = .{};
        var i: usize = 0;
        while (i < args.len) : (i += 1) {
            if (i + 1 == args.len) return error.Usage;
            const number = std.fmt.parseInt(u64, args[i + 1], 0) catch return error.Usage;
            if (std.mem.eql(u8, args[i], "--seed")) {
                self.seed = number;
            } else if (std.mem.eql(u8, args[i], "--seeds")) {
                self.seeds = number;
            } else if (std.mem.eql(u8, args[i], "--minutes")) {
                self.minutes = number;
            } else return error.Usage;
            i += 1;
        }
        return self;
    }

    fn isReplay(self: Arguments) bool {
        return self.seeds == null and self.minutes == null;
    }
};

/// The run that is under way, for the report of a failure.
var current: ?struct { options: *const Options, trace: *const Trace, replay: bool } = null;

pub const panic = std.debug.FullPanic(struct {
    fn report(message: []const u8, address: ?usize) noreturn {
        reportFailure(message);
        std.debug.defaultPanic(message, address);
    }
}.report);

fn reportFailure(message: []const u8) void {
    const run = current orelse return;
    current = null;
    const options = run.options;
    std.debug.print("\nsim: seed {d} fails: {s}\n", .{ options.seed, message });
    std.debug.print("  {s}, {s}{s}, {d} workers, {d} clients, {d} at a time\n", .{
        if (options.bridge) "bridge" else "Zig handler",
        if (options.secured) "secured, " else "",
        if (options.calm) "calm" else "rough",
        options.config.workers,
        options.clients,
        options.crowd,
    });
    if (run.replay) {
        std.debug.print("  the last events:\n", .{});
        run.trace.print(client.Client.failing, 60);
    }
    std.debug.print("again: zig build fuzz -Dseed={d}\n\n", .{options.seed});
}

pub fn main() !u8 {
    const gpa = std.heap.c_allocator;
    const args = try std.process.argsAlloc(gpa);
    defer std.process.argsFree(gpa, args);
    const arguments = Arguments.parse(args[1..]) catch {
        std.debug.print(usage, .{});
        return 2;
    };
    var files = try Files.init(gpa);
    defer files.deinit();
    const events = try gpa.alloc(Trace.Event, 1 << 16);
    defer gpa.free(events);
    return runAll(gpa, arguments, &files, events);
}

fn runAll(
    gpa: std.mem.Allocator,
    arguments: Arguments,
    files: *Files,
    events: []Trace.Event,
) !u8 {
    var total: run_file.Outcome = .{};
    var timer = try std.time.Timer.start();
    var told: u64 = 0;
    var done: u64 = 0;
    while (!isEnough(arguments, done, timer.read())) : (done += 1) {
        const seed = arguments.seed +% done;
        const outcome = try runOnce(gpa, seed, files, events, arguments.isReplay());
        if (done % repeat_interval == 0) {
            const again = try runOnce(gpa, seed, files, events, false);
            if (again.hash != outcome.hash) {
                std.debug.print("sim: seed {d} ran differently the second time\n", .{seed});
                return 1;
            }
        }
        total.connections += outcome.connections;
        total.requests += outcome.requests;
        total.responses += outcome.responses;
        total.steps += outcome.steps;
        total.virtual_ms += outcome.virtual_ms;
        total.hash = outcome.hash;
        const minute = timer.read() / std.time.ns_per_min;
        if (minute == told) continue;
        told = minute;
        report(done + 1, total, timer.read());
    }
    report(done, total, timer.read());
    if (arguments.isReplay()) std.debug.print("trace hash {x:0>16}\n", .{total.hash});
    return 0;
}

fn isEnough(arguments: Arguments, done: u64, elapsed_ns: u64) bool {
    if (arguments.minutes) |minutes| {
        if (elapsed_ns >= minutes * std.time.ns_per_min) return true;
        return if (arguments.seeds) |seeds| done >= seeds else false;
    }
    return done >= arguments.seeds orelse 1;
}

fn runOnce(
    gpa: std.mem.Allocator,
    seed: u64,
    files: *Files,
    events: []Trace.Event,
    replay: bool,
) !run_file.Outcome {
    const options = Options.of(seed);
    var trace: Trace = .{ .events = events };
    current = .{ .options = &options, .trace = &trace, .replay = replay };
    defer current = null;
    return run_file.runSeed(gpa, &options, files, &trace);
}

fn report(seeds: u64, total: run_file.Outcome, elapsed_ns: u64) void {
    std.debug.print(
        "sim: {d} seeds, {d} connections, {d} requests, {d} responses, {d} steps, " ++
            "{d} virtual s in {d} s: no failure\n",
        .{
            seeds,       total.connections,       total.requests,                 total.responses,
            total.steps, total.virtual_ms / 1000, elapsed_ns / std.time.ns_per_s,
        },
    );
}
