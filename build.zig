//! Build steps of the Zig side. `zig build --help` lists them.
//!
//! The Node.js module is built here too (`node-module`), as node-zigar's own build file would;
//! scripts/lib/build.mjs asks for it when something has changed.

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
    tls: Tls,
    deflate: Deflate,

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

    /// A module that is told what it has: `@import("build_options")`. What links the libraries then
    /// is up to the caller.
    fn product(c: Context, root: []const u8, parts: Parts) *std.Build.Module {
        const root_module = c.module(root);
        addBuildOptions(c.b, root_module, parts);
        return root_module;
    }

    /// What this build has the libraries of.
    fn ownParts(c: Context) Parts {
        return .{ .tls = c.tls.folder != null, .deflate = c.deflate.folder != null };
    }

    /// Links those.
    fn linkParts(c: Context, to: *std.Build.Module) void {
        if (c.tls.folder) |folder| linkTls(c.b, to, folder);
        if (c.deflate.folder) |folder| linkDeflate(c, to, folder);
    }
};

/// What a program may have, or be without.
const Parts = struct {
    /// OpenSSL and picotls.
    tls: bool,
    /// zlib-ng.
    deflate: bool,
};

fn addBuildOptions(b: *std.Build, module: *std.Build.Module, parts: Parts) void {
    const options = b.addOptions();
    options.addOption(bool, "tls", parts.tls);
    options.addOption(bool, "deflate", parts.deflate);
    module.addOptions("build_options", options);
}

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
        .tls = tlsOf(b, target),
        .deflate = deflateOf(b),
    };
    const check = b.step("check", "Compile everything, run nothing");

    addProducts(c, check);
    addTests(c, check);
    addExamples(c, check);
    addTestApps(c, check);
    addFuzz(c, check);
    addModel(c, check);
    addAbi(c, check);
    addBench(c, check);
    addTls(c, check);
    addDeflate(c, check);
}

/// The executable and the Node.js module.
fn addProducts(c: Context, check: *std.Build.Step) void {
    const root_module = c.product("zig/main.zig", c.ownParts());
    // It names the folder that it was built in. Without, every folder gives the same bytes.
    root_module.strip = c.b.option(bool, "strip", "Leave the debug information out of the " ++
        "executable, as releases do");
    c.linkParts(root_module);
    c.b.installArtifact(c.b.addExecutable(.{ .name = "gyrfalcon", .root_module = root_module }));
    addNodeModule(c);

    const both = c.b.step("products", "Compile executable and Node.js module, with TLS and " ++
        "compression and without; link and run nothing");
    for ([_]bool{ true, false }) |has_all| {
        const parts: Parts = .{ .tls = has_all, .deflate = has_all };
        const server = c.product("zig/main.zig", parts);
        both.dependOn(&c.b.addExecutable(.{ .name = "gyrfalcon", .root_module = server }).step);
        // One of its tests names each of its functions: nothing else would call them.
        both.dependOn(&c.b.addTest(.{
            .root_module = c.product("zig/node.zig", parts),
            .filters = &.{"node: all"},
        }).step);
    }
    check.dependOn(both);
}

/// What node-zigar 0.14.0 makes of a module, with its build file's own settings.
fn addNodeModule(c: Context) void {
    const b = c.b;
    const sources: std.Build.LazyPath = .{ .cwd_relative = b.option(
        []const u8,
        "zigar",
        "The folder with the sources of node-zigar's compiler",
    ) orelse b.pathFromRoot("node_modules/zigar-compiler/zig") };
    const module = b.createModule(.{
        .root_source_file = b.path("zig/node.zig"),
        .imports = &.{.{ .name = "zigar", .module = b.createModule(.{
            .root_source_file = sources.path(b, "zigar.zig"),
        }) }},
    });
    addBuildOptions(b, module, c.ownParts());
    const library = b.addLibrary(.{
        .name = "engine",
        .linkage = .dynamic,
        .root_module = b.createModule(.{
            .root_source_file = sources.path(b, "stub-napi.zig"),
            .target = c.target,
            .optimize = c.optimize,
            .link_libc = true,
            .imports = &.{.{ .name = "module", .module = module }},
        }),
    });
    // A panic's stack has its lines from there. It is half of what lies on people's disks.
    if (c.target.result.ofmt == .elf) library.compress_debug_sections = .zlib;
    c.linkParts(library.root_module);
    const options = b.addOptions();
    options.addOption(comptime_int, "eval_branch_quota", 2_000_000);
    options.addOption(bool, "omit_functions", false);
    options.addOption(bool, "omit_variables", false);
    library.root_module.addOptions("export-options.zig", options);

    const suffix = c.target.result.dynamicLibSuffix();
    const name = b.fmt("{s}{s}", .{ targetName(b, c.target.result), suffix });
    const install = b.addInstallFileWithDir(library.getEmittedBin(), .prefix, name);
    b.step("node-module", "Install the engine as a module for Node.js (npm run build)")
        .dependOn(&install.step);
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
    const step = c.b.step("test", "Run the Zig tests");
    step.dependOn(&run.step);
    check.dependOn(&tests.step);
    // The race's own client is for Linux, as the race is.
    if (c.target.result.os.tag != .linux) return;
    const bench = c.b.addTest(.{ .root_module = c.module("bench/load.zig"), .filters = filters });
    step.dependOn(&c.b.addRunArtifact(bench).step);
    check.dependOn(&bench.step);
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
        .{
            .step = "websocket",
            .root = "examples/08-websocket/websocket.zig",
            .about = "Run the chat, a Zig handler with WebSockets",
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
    addBuildOptions(c.b, server.root_module, c.ownParts());
    c.linkParts(server.root_module);
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

    addMicro(c, check, "decode", "Time the decoder and the encoder");
    addMicro(c, check, "route", "Time the router beside what could be generated for one app");

    check.dependOn(&c.application("bench/apps/zig_hello.zig").step);
    check.dependOn(&c.application("bench/apps/zig_work.zig").step);
    for ([_][]const u8{ "floor", "load", "sse_load" }) |name| {
        const root = c.b.fmt("bench/{s}.zig", .{name});
        check.dependOn(&c.b.addExecutable(.{ .name = name, .root_module = c.module(root) }).step);
    }
}

/// A measurement of parts by themselves, which is nothing but optimised: `zig build bench-NAME`.
fn addMicro(c: Context, check: *std.Build.Step, name: []const u8, about: []const u8) void {
    const source = c.b.fmt("bench/micro/{s}.zig", .{name});
    const exe = c.b.addExecutable(.{ .name = name, .root_module = c.b.createModule(.{
        .root_source_file = c.b.path(source),
        .target = c.target,
        .optimize = .ReleaseFast,
        .link_libc = true,
    }) });
    exe.root_module.addImport("gyrfalcon", c.b.createModule(.{
        .root_source_file = c.b.path("zig/gyrfalcon.zig"),
        .target = c.target,
        .optimize = .ReleaseFast,
        .link_libc = true,
    }));
    const measure = c.b.addRunArtifact(exe);
    measure.has_side_effects = true;
    measure.stdio = .inherit;
    c.b.step(c.b.fmt("bench-{s}", .{name}), about).dependOn(&measure.step);
    check.dependOn(&c.application(source).step);
}

/// The TLS filter's own tests and its bench. They always link OpenSSL and picotls.
fn addTls(c: Context, check: *std.Build.Step) void {
    const filters = c.b.option(
        []const []const u8,
        "tls-filter",
        "Run only the tests of TLS whose name contains this (may be given more than once)",
    ) orelse &.{};
    const root = "zig/tls_tests.zig";
    const tests = c.b.addTest(.{
        .name = "tls_tests",
        .root_module = withTls(c, c.module(root)),
        .filters = filters,
    });
    const run = c.b.addRunArtifact(tests);
    run.has_side_effects = true;
    c.b.step("test-tls", "Run the tests of the TLS filter").dependOn(&run.step);
    c.b.step("tls-tests", "Install the tests of the TLS filter, for another system")
        .dependOn(&c.b.addInstallArtifact(tests, .{}).step);
    const library = c.b.addLibrary(.{
        .name = "tls_module",
        .linkage = .dynamic,
        .root_module = withTls(c, c.module("zig/tls_module.zig")),
    });
    // Node.js has what it calls.
    library.linker_allow_shlib_undefined = true;
    c.b.step("tls-module", "Install a module for Node.js that has OpenSSL in it")
        .dependOn(&c.b.addInstallArtifact(library, .{}).step);
    const bench = c.b.addExecutable(.{
        .name = "tls_bench",
        .root_module = withTls(c, tlsBench(c, .ReleaseFast)),
    });
    const measure = c.b.addRunArtifact(bench);
    measure.has_side_effects = true;
    measure.stdio = .inherit;
    if (c.b.args) |args| measure.addArgs(args);
    c.b.step("bench-tls", "Time the TLS filter: zig build bench-tls -- [--smoke]")
        .dependOn(&measure.step);
    const ktls = "zig/ktls_vm.zig";
    const machine = c.b.addExecutable(.{
        .name = "ktls_vm",
        .root_module = withTls(c, c.module(ktls)),
    });
    c.b.step("ktls-vm", "Install what npm run test:ktls starts in a virtual machine")
        .dependOn(&c.b.addInstallArtifact(machine, .{}).step);
    // Compiled, not linked: the libraries may not be there.
    check.dependOn(&c.b.addTest(.{ .root_module = c.module(root) }).step);
    check.dependOn(&c.b.addObject(.{ .name = "ktls_vm", .root_module = c.module(ktls) }).step);
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

fn withTls(c: Context, module: *std.Build.Module) *std.Build.Module {
    const folder = c.tls.folder orelse c.tls.usual;
    // The compiler's C: it says how picotls's structs lie in memory.
    module.addCSourceFile(.{ .file = c.b.path("zig/tls/testing/layout.c") });
    module.addIncludePath(folder.path(c.b, "include"));
    linkTls(c.b, module, folder);
    return module;
}

const Tls = struct {
    /// The folder with OpenSSL and picotls for the products; null when they are to have no TLS.
    folder: ?std.Build.LazyPath,
    /// Where `npm run build:tls` puts them for this target.
    usual: std.Build.LazyPath,
};

fn tlsOf(b: *std.Build, target: std.Build.ResolvedTarget) Tls {
    const usual = b.pathFromRoot(b.pathJoin(
        &.{ ".toolchain", "tls", targetName(b, target.result) },
    ));
    const asked = b.option([]const u8, "tls", "The folder with OpenSSL and picotls, or `off` " ++
        "(default: what `npm run build:tls` made for the target, if it did)") orelse
        if (isTurnedOff(b)) "off" else "";
    const folder: ?[]const u8 = if (std.mem.eql(u8, asked, "off"))
        null
    else if (asked.len > 0)
        asked
    else if (isBuilt(b, usual))
        usual
    else
        null;
    return .{
        .folder = if (folder) |path| .{ .cwd_relative = path } else null,
        .usual = .{ .cwd_relative = usual },
    };
}

/// `GYRFALCON_TLS=off`, as in scripts/lib/tls.mjs.
fn isTurnedOff(b: *std.Build) bool {
    const value = b.graph.env_map.get("GYRFALCON_TLS") orelse "";
    if (value.len == 0 or std.mem.eql(u8, value, "off")) return value.len > 0;
    std.process.fatal("GYRFALCON_TLS is {s}; it may be off, or not set.", .{value});
}

/// Whether all parts of TLS are there: each has its stamp once it is done.
fn isBuilt(b: *std.Build, folder: []const u8) bool {
    for ([_][]const u8{ "openssl.stamp", "picotls.stamp" }) |stamp|
        std.fs.accessAbsolute(b.pathJoin(&.{ folder, stamp }), .{}) catch return false;
    return true;
}

fn linkTls(b: *std.Build, module: *std.Build.Module, folder: std.Build.LazyPath) void {
    // Randomness and the names of hosts, of which OpenSSL asks the system.
    if (module.resolved_target.?.result.os.tag == .windows) {
        for ([_][]const u8{ "advapi32", "crypt32", "ws2_32" }) |name|
            module.linkSystemLibrary(name, .{});
    }
    for ([_][]const u8{ "picotls", "ssl", "crypto" }) |name|
        module.addObjectFile(folder.path(b, b.fmt("lib/lib{s}.a", .{name})));
}

/// The tests of what is linked with zlib-ng, and its bench.
fn addDeflate(c: Context, check: *std.Build.Step) void {
    const root = "zig/deflate_tests.zig";
    const tests = c.b.addTest(.{
        .name = "deflate_tests",
        .root_module = c.module(root),
        // Those of all that a server has are `zig build test`'s.
        .filters = &.{ "deflate", "compression" },
    });
    linkDeflate(c, tests.root_module, c.deflate.orUsual());
    c.b.step("test-deflate", "Run the tests of compression")
        .dependOn(&c.b.addRunArtifact(tests).step);
    c.b.step("deflate-tests", "Install the tests of compression, for another system")
        .dependOn(&c.b.addInstallArtifact(tests, .{}).step);
    const bench = c.b.addExecutable(.{
        .name = "websocket_bench",
        .root_module = websocketBench(c, .ReleaseFast),
    });
    linkDeflate(c, bench.root_module, c.deflate.orUsual());
    const measure = c.b.addRunArtifact(bench);
    measure.has_side_effects = true;
    measure.stdio = .inherit;
    if (c.b.args) |args| measure.addArgs(args);
    c.b.step("bench-websocket", "Time WebSocket's frames, text and compression: " ++
        "zig build bench-websocket -- [--smoke]").dependOn(&measure.step);
    // Compiled, not linked: the sources of zlib-ng may not be there.
    check.dependOn(&c.b.addTest(.{ .root_module = c.module(root) }).step);
    check.dependOn(&c.b.addObject(.{
        .name = "websocket_bench",
        .root_module = websocketBench(c, c.optimize),
    }).step);
}

fn websocketBench(c: Context, optimize: std.builtin.OptimizeMode) *std.Build.Module {
    const module = c.b.createModule(.{
        .root_source_file = c.b.path("bench/micro/websocket.zig"),
        .target = c.target,
        .optimize = optimize,
        .link_libc = true,
    });
    module.addImport("websocket", c.b.createModule(.{
        .root_source_file = c.b.path("zig/websocket_bench.zig"),
        .target = c.target,
        .optimize = optimize,
        .link_libc = true,
    }));
    return module;
}

const Deflate = struct {
    /// The folder with the sources of zlib-ng for the products; null when they are to have no
    /// compression.
    folder: ?std.Build.LazyPath,
    /// Where `npm run build:deflate` puts them.
    usual: std.Build.LazyPath,

    fn orUsual(self: Deflate) std.Build.LazyPath {
        return self.folder orelse self.usual;
    }
};

fn deflateOf(b: *std.Build) Deflate {
    const usual = b.pathFromRoot(b.pathJoin(&.{ ".toolchain", "zlib-ng" }));
    const asked = b.option([]const u8, "deflate", "The folder with the sources of zlib-ng, or " ++
        "`off` (default: what `npm run build:deflate` fetched, if it did)") orelse "";
    const folder: ?[]const u8 = if (std.mem.eql(u8, asked, "off"))
        null
    else if (asked.len > 0)
        asked
    else if (std.fs.accessAbsolute(b.pathJoin(&.{ usual, "stamp" }), .{})) |_|
        usual
    else |_|
        null;
    return .{
        .folder = if (folder) |path| .{ .cwd_relative = path } else null,
        .usual = .{ .cwd_relative = usual },
    };
}

/// Links zlib-ng, which is compiled from its sources.
fn linkDeflate(c: Context, module: *std.Build.Module, folder: std.Build.LazyPath) void {
    const target = c.target.result;
    const library = c.b.createModule(.{
        .target = c.target,
        .optimize = .ReleaseFast,
        .link_libc = true,
        .pic = true,
    });
    var files = std.ArrayList([]const u8).init(c.b.allocator);
    var flags = std.ArrayList([]const u8).init(c.b.allocator);
    addTo(&files, &zlib_ng.files);
    addTo(&flags, &zlib_ng.flags);
    if (target.os.tag != .windows) addTo(&flags, &zlib_ng.posix_flags);
    // What the processors of the target have, for certain: nothing is asked at run time.
    switch (target.cpu.arch) {
        .x86_64 => {
            addTo(&files, &zlib_ng.sse2_files);
            addTo(&flags, &.{ "-DX86_FEATURES", "-DX86_SSE2" });
            const features = target.cpu.features;
            if (std.Target.x86.featureSetHasAll(features, .{ .ssse3, .sse4_2 })) {
                addTo(&files, &zlib_ng.sse42_files);
                addTo(&flags, &.{ "-DX86_SSSE3", "-DX86_SSE42" });
            }
        },
        .aarch64 => {
            addTo(&files, &zlib_ng.neon_files);
            addTo(&flags, &.{ "-DARM_FEATURES", "-DARM_NEON", "-DARM_NEON_HASLD4" });
        },
        else => {},
    }
    library.addCSourceFiles(.{
        .root = folder.path(c.b, "source"),
        .files = files.items,
        .flags = flags.items,
    });
    library.addIncludePath(folder.path(c.b, "include"));
    library.addIncludePath(folder.path(c.b, "source"));
    module.linkLibrary(c.b.addLibrary(.{ .name = "zlib-ng", .root_module = library }));
}

fn addTo(list: *std.ArrayList([]const u8), more: []const []const u8) void {
    list.appendSlice(more) catch @panic("OOM");
}

/// What of zlib-ng is compiled: no files of gzip, no detection of processors, and of checksums,
/// which raw DEFLATE has none of, what others call.
const zlib_ng = struct {
    const files = [_][]const u8{
        "adler32.c",
        "arch/generic/adler32_c.c",
        "arch/generic/adler32_fold_c.c",
        "arch/generic/chunkset_c.c",
        "arch/generic/compare256_c.c",
        "arch/generic/crc32_braid_c.c",
        "arch/generic/crc32_fold_c.c",
        "arch/generic/slide_hash_c.c",
        "crc32.c",
        "crc32_braid_comb.c",
        "deflate.c",
        "deflate_fast.c",
        "deflate_huff.c",
        "deflate_medium.c",
        "deflate_quick.c",
        "deflate_rle.c",
        "deflate_slow.c",
        "deflate_stored.c",
        "inflate.c",
        "inftrees.c",
        "insert_string.c",
        "insert_string_roll.c",
        "trees.c",
        "zutil.c",
    };
    const sse2_files = [_][]const u8{
        "arch/x86/chunkset_sse2.c",
        "arch/x86/compare256_sse2.c",
        "arch/x86/slide_hash_sse2.c",
    };
    const sse42_files = [_][]const u8{
        "arch/x86/adler32_sse42.c",
        "arch/x86/adler32_ssse3.c",
        "arch/x86/chunkset_ssse3.c",
    };
    const neon_files = [_][]const u8{
        "arch/arm/adler32_neon.c",
        "arch/arm/chunkset_neon.c",
        "arch/arm/compare256_neon.c",
        "arch/arm/slide_hash_neon.c",
    };
    const flags = [_][]const u8{
        "-std=c11",
        "-w",
        "-fvisibility=hidden",
        "-Werror=implicit-function-declaration",
        "-DDISABLE_RUNTIME_CPU_DETECTION",
        "-DWITHOUT_CHORBA",
        "-DWITHOUT_CHORBA_SSE",
        "-DHAVE_ATTRIBUTE_ALIGNED",
        "-DHAVE_BUILTIN_CTZ",
        "-DHAVE_BUILTIN_CTZLL",
        "-DHAVE_THREAD_LOCAL",
    };
    const posix_flags = [_][]const u8{
        "-D_POSIX_C_SOURCE=200809L",
        "-DHAVE_POSIX_MEMALIGN",
        "-DHAVE_VISIBILITY_HIDDEN",
        "-DHAVE_VISIBILITY_INTERNAL",
    };
};

/// What scripts/lib/targets.mjs calls a target: "linux-musl.x64".
fn targetName(b: *std.Build, target: std.Target) []const u8 {
    const platform = switch (target.os.tag) {
        .macos => "darwin",
        .windows => "win32",
        .linux => if (target.abi.isMusl()) "linux-musl" else "linux",
        else => |tag| @tagName(tag),
    };
    const arch = switch (target.cpu.arch) {
        .aarch64 => "arm64",
        .x86_64 => "x64",
        else => |arch| @tagName(arch),
    };
    return b.fmt("{s}.{s}", .{ platform, arch });
}
