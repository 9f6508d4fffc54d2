//! The fuzzers behind libFuzzer's C interface, for `node scripts/fuzz-coverage.mjs`. The fuzzer is
//! named by the environment variable GYRFALCON_FUZZER; what it decides at random follows from the
//! input alone, so that an input means the same every time.
//!
//! Zig 0.14 emits the counters of SanitizerCoverage but leaves registering them to its own fuzzer,
//! and its table of code addresses lacks the flags that libFuzzer's has; so both are handed over
//! here.
const std = @import("std");
const registry = @import("fuzz/registry.zig");

const edges_max = 1 << 17;

extern var __start___sancov_cntrs: u8;
extern var __stop___sancov_cntrs: u8;
extern const __start___sancov_pcs1: usize;
extern const __stop___sancov_pcs1: usize;
extern fn __sanitizer_cov_8bit_counters_init(start: *u8, stop: *u8) void;
extern fn __sanitizer_cov_pcs_init(start: *const Address, stop: *const Address) void;

/// An entry of libFuzzer's table.
const Address = extern struct { address: usize, flags: usize };

var addresses: [edges_max + 1]Address = undefined;
var fuzzer: registry.Fuzzer = undefined;

export fn LLVMFuzzerInitialize(_: *c_int, _: *[*][*:0]u8) c_int {
    const name = std.posix.getenv("GYRFALCON_FUZZER") orelse "";
    const index = registry.find(name) orelse {
        std.debug.print("GYRFALCON_FUZZER: no fuzzer called \"{s}\"\n", .{name});
        std.process.exit(2);
    };
    fuzzer = registry.all[index];
    if (std.posix.getenv("GYRFALCON_FUZZER_WORDS")) |path| writeWords(path) catch |e| {
        std.debug.print("{s}: {s}\n", .{ path, @errorName(e) });
        std.process.exit(2);
    };
    registerCounters();
    return 0;
}

/// The words that mutation inserts, as a dictionary that libFuzzer reads: it does so after this.
fn writeWords(path: []const u8) !void {
    const file = try std.fs.cwd().createFile(path, .{});
    defer file.close();
    for (fuzzer.words) |word| {
        try file.writer().writeByte('"');
        for (word) |c| try file.writer().print("\\x{X:0>2}", .{c});
        try file.writer().writeAll("\"\n");
    }
}

fn registerCounters() void {
    const first: [*]const usize = @ptrCast(&__start___sancov_pcs1);
    const bytes = @intFromPtr(&__stop___sancov_pcs1) - @intFromPtr(&__start___sancov_pcs1);
    const count = bytes / @sizeOf(usize);
    const counters = @intFromPtr(&__stop___sancov_cntrs) - @intFromPtr(&__start___sancov_cntrs);
    if (count != counters or count > edges_max) @panic("coverage tables do not fit each other");
    for (first[0..count], addresses[0..count]) |address, *entry| {
        entry.* = .{ .address = address, .flags = 0 };
    }
    __sanitizer_cov_8bit_counters_init(&__start___sancov_cntrs, &__stop___sancov_cntrs);
    __sanitizer_cov_pcs_init(&addresses[0], &addresses[count]);
}

export fn LLVMFuzzerTestOneInput(bytes: [*]const u8, len: usize) c_int {
    const input = bytes[0..len];
    var prng = std.Random.DefaultPrng.init(std.hash.Wyhash.hash(0, input));
    fuzzer.run(input, prng.random()) catch |e| {
        if (@errorReturnTrace()) |trace| std.debug.dumpStackTrace(trace.*);
        std.debug.panic("{s}: {s}", .{ fuzzer.name, @errorName(e) });
    };
    return 0;
}
