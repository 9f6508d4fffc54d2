//! Build steps of the Zig side. `zig build --help` lists them.
//!
//! The Node.js module is not built here but by scripts/bootstrap.mjs, through node-zigar.

const std = @import("std");
const builtin = @import("builtin");

const zig_required = "0.14.1";

pub fn build(b: *std.Build) void {
    // Only the branch taken is analysed, so another Zig version gets to print its one sentence.
    if (comptime std.mem.eql(u8, builtin.zig_version_string, zig_required)) {
        steps(b);
    } else {
        std.debug.print("error: Gyrfalcon needs Zig " ++ zig_required ++ ", this is Zig " ++
            builtin.zig_version_string ++ ": get it with `pip install ziglang==" ++ zig_required ++
            "` (then `python3 -m ziglang build`) or from https://ziglang.org/download/.\n", .{});
        std.process.exit(2);
    }
}

const Context = struct {
    b: *std.Build,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
    engine: *std.Build.Module,

    /// A module of this project: every one links libc.
    fn module(c: Context, root: []const u8) *std.Build.Module {
        return c.b.createModule(.{
            .root_source_file = c.b.path(root),
            .target = c.target,
            .optimize = c.optimize,
            .link_libc = true,
        });
    }

    /// An executable, named as its root file,
    /// that uses the engine as a dependent would: `@import("gyrfalcon")`.
    fn application(c: Context, root: []const u8) *std.Build.Step.Compile {
        const root_module = c.module(root);
        root_module.addImport("gyrfalcon", c.engine);
        return c.b.addExecutable(.{ .name = std.fs.path.stem(root), .root_module = root_module });
    }
};

fn steps(b: *std.Build) void {
    const target = b.standardTargetOptions(.{});
    const optimize = b.standardOptimizeOption(.{});
    const c: Context = .{
        .b = b,
        .target = target,
        .optimize = optimize,
        .engine = b.addModule("gyrfalcon", .{
            .root_source_file = b.path("zig/gyrfalcon.zig"),
            .target = target,
            .optimize = optimize,
            .link_libc = true,
        }),
    };
    const check = b.step("check", "Compile everything, run nothing");

    const server = b.addExecutable(.{
        .name = "gyrfalcon",
        .root_module = c.module("zig/main.zig"),
    });
    b.installArtifact(server);
    check.dependOn(&server.step);

    addTests(c, check);
    addExamples(c, check);
    addTestApps(c, check);
    addFuzz(c, check);
    addModel(c, check);
    addAbi(c, check);
    addBench(c, check);
    addTls(c, check);
}

fn addTests(c: Context, check: *std.Build.Step) void {
    const filters = c.b.option(
        []const []const u8,
        "test-filter",
        "Run only the tests whose name contains this (may be given more than once)",
    ) orelse &.{};
    const root_module = c.module("zig/gyrfalcon.zig");
    root_module.sanitize_thread = c.b.option(
        bool,
        "sanitize-thread",
        "Run the tests under ThreadSanitizer",
    ) orelse false;
    const tests = c.b.addTest(.{ .root_module = root_module, .filters = filters });
    const run = c.b.addRunArtifact(tests);
    // Sockets, clocks and files are outside of what the build cache can see.
    run.has_side_effects = true;
    c.b.step("test", "Run the Zig tests").dependOn(&run.step);
    check.dependOn(&tests.step);
}

fn addExamples(c: Context, check: *std.Build.Step) void {
    const examples = [_]struct { step: []const u8, root: []const u8, about: []const u8 }{
        .{
            .step = "example",
            .root = "examples/01-hello/hello.zig",
            .about = "Run the main example, a Zig handler",
        },
        .{
            .step = "counter",
            .root = "examples/02-counter/counter.zig",
            .about = "Run the counter, a Zig handler with state",
        },
    };
    const install = c.b.step("examples", "Install the Zig examples' executables");
    for (examples) |example| {
        const exe = c.application(example.root);
        const run = c.b.addRunArtifact(exe);
        if (c.b.args) |args| run.addArgs(args);
        c.b.step(c.b.fmt("run-{s}", .{example.step}), example.about).dependOn(&run.step);
        install.dependOn(&c.b.addInstallArtifact(exe, .{
            .dest_dir = .{ .override = .{ .custom = "examples" } },
        }).step);
        check.dependOn(&exe.step);
    }
}

/// What the black-box tests start. Most start the server alone.
fn addTestApps(c: Context, check: *std.Build.Step) void {
    const server = c.application("tests/apps/engine_app.zig");
    const differential = c.b.addExecutable(.{
        .name = "differential",
        .root_module = c.module("zig/differential.zig"),
    });
    const all = c.b.step("test-apps", "Install the executables that the black-box tests start");
    const one = c.b.step("test-server", "Install the server among them that most tests start");
    one.dependOn(&c.b.addInstallArtifact(server, .{}).step);
    all.dependOn(one);
    all.dependOn(&c.b.addInstallArtifact(differential, .{}).step);
    for ([_]*std.Build.Step.Compile{ server, differential }) |exe| check.dependOn(&exe.step);
}

fn addFuzz(c: Context, check: *std.Build.Step) void {
    const exe = c.b.addExecutable(.{ .name = "fuzz", .root_module = c.module("zig/fuzz.zig") });
    const step = c.b.step("fuzz", "Run a fuzzer: zig build fuzz -- [--smoke] [--seed N]; " ++
        "or the simulator: zig build fuzz -Dseed=N [-Dminutes=M]");
    if (addSimulator(c, check)) |run| {
        step.dependOn(&run.step);
    } else {
        const run = c.b.addRunArtifact(exe);
        if (c.b.args) |args| run.addArgs(args);
        step.dependOn(&run.step);
    }
    check.dependOn(&exe.step);

    const library = c.b.addLibrary(.{
        .name = "fuzz_coverage",
        .root_module = c.module("zig/fuzz_coverage.zig"),
    });
    library.root_module.fuzz = true;
    library.root_module.pic = true;
    library.bundle_compiler_rt = true;
    c.b.step("fuzz-library", "Install the fuzzers as libFuzzer takes them")
        .dependOn(&c.b.addInstallArtifact(library, .{}).step);
    check.dependOn(&library.step);
}

/// The simulator, ReleaseSafe; null when no option asks for it.
fn addSimulator(c: Context, check: *std.Build.Step) ?*std.Build.Step.Run {
    check.dependOn(&c.b.addExecutable(.{
        .name = "sim-check",
        .root_module = c.module("zig/sim.zig"),
    }).step);
    const Option = struct { name: []const u8, about: []const u8 };
    const options = [_]Option{
        .{ .name = "seed", .about = "Replay this seed of the simulator, or begin at it" },
        .{ .name = "seeds", .about = "Run so many seeds of the simulator" },
        .{ .name = "minutes", .about = "Run the simulator for so long, seed after seed" },
    };
    var values: [options.len]?u64 = undefined;
    var any = false;
    for (options, &values) |option, *value| {
        value.* = c.b.option(u64, option.name, option.about);
        any = any or value.* != null;
    }
    if (!any) return null;
    const exe = c.b.addExecutable(.{ .name = "sim", .root_module = c.b.createModule(.{
        .root_source_file = c.b.path("zig/sim.zig"),
        .target = c.target,
        .optimize = .ReleaseSafe,
        .link_libc = true,
    }) });
    const run = c.b.addRunArtifact(exe);
    run.has_side_effects = true;
    run.stdio = .inherit;
    for (options, values) |option, value| {
        const number = value orelse continue;
        run.addArgs(&.{ c.b.fmt("--{s}", .{option.name}), c.b.fmt("{d}", .{number}) });
    }
    return run;
}

/// The check of the sleep and wake protocols against the memory model, ReleaseSafe.
fn addModel(c: Context, check: *std.Build.Step) void {
    const exe = c.b.addExecutable(.{ .name = "model", .root_module = c.b.createModule(.{
        .root_source_file = c.b.path("zig/model.zig"),
        .target = c.target,
        .optimize = .ReleaseSafe,
    }) });
    const run = c.b.addRunArtifact(exe);
    run.stdio = .inherit;
    if (c.b.args) |args| run.addArgs(args);
    c.b.step("model", "Check the wake protocols against the memory model: " ++
        "zig build model -- [--examples]").dependOn(&run.step);
    check.dependOn(&exe.step);
}

/// Zig is the source of the bridge's ABI; ts/src/bridge/abi.gen.ts is written from it, and kept.
fn addAbi(c: Context, check: *std.Build.Step) void {
    const generated = "ts/src/bridge/abi.gen.ts";
    const root_module = c.module("zig/abi_gen.zig");
    const exe = c.b.addExecutable(.{ .name = "abi_gen", .root_module = root_module });
    check.dependOn(&exe.step);

    const write = c.b.addRunArtifact(exe);
    const update = c.b.addUpdateSourceFiles();
    update.addCopyFileToSource(write.captureStdOut(), generated);
    c.b.step("abi", "Write " ++ generated ++ " from the Zig declarations").dependOn(&update.step);

    const compare = c.b.addRunArtifact(exe);
    const current = c.b.build_root.handle.readFileAlloc(c.b.allocator, generated, 1 << 20) catch "";
    compare.expectStdOutEqual(current);
    c.b.step("abi-check", "Fail when " ++ generated ++ " is stale").dependOn(&compare.step);
}

/// The race against other servers. It compiles its programs by itself, ReleaseFast, with this Zig.
fn addBench(c: Context, check: *std.Build.Step) void {
    const run = c.b.addSystemCommand(&.{ "node", "bench/race.mjs" });
    if (std.fs.path.dirname(c.b.graph.zig_exe)) |folder| run.addPathDir(folder);
    run.stdio = .inherit;
    if (c.b.args) |args| run.addArgs(args);
    c.b.step("bench", "Race other servers: zig build bench -- [--help]").dependOn(&run.step);

    const decode = c.b.addExecutable(.{ .name = "decode", .root_module = c.b.createModule(.{
        .root_source_file = c.b.path("bench/micro/decode.zig"),
        .target = c.target,
        .optimize = .ReleaseFast,
        .link_libc = true,
    }) });
    decode.root_module.addImport("gyrfalcon", c.b.createModule(.{
        .root_source_file = c.b.path("zig/gyrfalcon.zig"),
        .target = c.target,
        .optimize = .ReleaseFast,
        .link_libc = true,
    }));
    const measure = c.b.addRunArtifact(decode);
    measure.has_side_effects = true;
    measure.stdio = .inherit;
    c.b.step("bench-decode", "Time the decoder and the encoder").dependOn(&measure.step);

    check.dependOn(&c.application("bench/micro/decode.zig").step);
    check.dependOn(&c.application("bench/apps/zig_hello.zig").step);
    for ([_][]const u8{ "floor", "load" }) |name| {
        const root = c.b.fmt("bench/{s}.zig", .{name});
        check.dependOn(&c.b.addExecutable(.{ .name = name, .root_module = c.module(root) }).step);
    }
}

/// The TLS filter's own tests and its bench. They link OpenSSL and picotls, which are in the folder
/// that -Dtls names: `npm run build:tls` makes one.
fn addTls(c: Context, check: *std.Build.Step) void {
    const folder = c.b.option([]const u8, "tls", "The folder with OpenSSL and picotls") orelse
        tlsFolder(c);
    const filters = c.b.option(
        []const []const u8,
        "tls-filter",
        "Run only the tests of TLS whose name contains this (may be given more than once)",
    ) orelse &.{};
    const root = "zig/tls_tests.zig";
    const run = c.b.addRunArtifact(c.b.addTest(.{
        .root_module = withTls(c, c.module(root), folder),
        .filters = filters,
    }));
    run.has_side_effects = true;
    c.b.step("test-tls", "Run the tests of the TLS filter").dependOn(&run.step);
    const library = c.b.addLibrary(.{
        .name = "tls_module",
        .linkage = .dynamic,
        .root_module = withTls(c, c.module("zig/tls_module.zig"), folder),
    });
    // Node.js has what it calls.
    library.linker_allow_shlib_undefined = true;
    c.b.step("tls-module", "Install a module for Node.js that has OpenSSL in it")
        .dependOn(&c.b.addInstallArtifact(library, .{}).step);
    const bench = c.b.addExecutable(.{
        .name = "tls_bench",
        .root_module = withTls(c, tlsBench(c, .ReleaseFast), folder),
    });
    const measure = c.b.addRunArtifact(bench);
    measure.has_side_effects = true;
    measure.stdio = .inherit;
    if (c.b.args) |args| measure.addArgs(args);
    c.b.step("bench-tls", "Time the TLS filter: zig build bench-tls -- [--smoke]")
        .dependOn(&measure.step);
    // Compiled, not linked: the libraries may not be there.
    check.dependOn(&c.b.addTest(.{ .root_module = c.module(root) }).step);
    check.dependOn(&c.b.addObject(.{
        .name = "tls_bench",
        .root_module = tlsBench(c, c.optimize),
    }).step);
}

fn tlsBench(c: Context, optimize: std.builtin.OptimizeMode) *std.Build.Module {
    const module = c.b.createModule(.{
        .root_source_file = c.b.path("bench/micro/tls.zig"),
        .target = c.target,
        .optimize = optimize,
        .link_libc = true,
    });
    module.addImport("tls", c.b.createModule(.{
        .root_source_file = c.b.path("zig/tls.zig"),
        .target = c.target,
        .optimize = optimize,
        .link_libc = true,
    }));
    return module;
}

/// Where `npm run build:tls` puts them for this target.
fn tlsFolder(c: Context) []const u8 {
    const target = c.target.result;
    const platform = switch (target.os.tag) {
        .macos => "darwin",
        .windows => "win32",
        else => if (target.abi.isMusl()) "linux-musl" else "linux",
    };
    const arch = if (target.cpu.arch == .aarch64) "arm64" else "x64";
    return c.b.fmt(".toolchain/tls/{s}.{s}", .{ platform, arch });
}

fn withTls(c: Context, module: *std.Build.Module, folder: []const u8) *std.Build.Module {
    const at: std.Build.LazyPath = .{ .cwd_relative = folder };
    // The compiler's C: it says how picotls's structs lie in memory.
    module.addCSourceFile(.{ .file = c.b.path("zig/tls/testing/layout.c") });
    module.addIncludePath(at.path(c.b, "include"));
    for ([_][]const u8{ "picotls", "ssl", "crypto" }) |name|
        module.addObjectFile(at.path(c.b, c.b.fmt("lib/lib{s}.a", .{name})));
    return module;
}
