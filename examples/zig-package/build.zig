//! A program with Gyrfalcon as a package: docs/ZIG.md tells how the dependency is had.

const std = @import("std");

pub fn build(b: *std.Build) void {
    const target = b.standardTargetOptions(.{});
    const optimize = b.standardOptimizeOption(.{});
    const gyrfalcon = b.dependency("gyrfalcon", .{ .target = target, .optimize = optimize });

    const exe = b.addExecutable(.{ .name = "site", .root_module = b.createModule(.{
        .root_source_file = b.path("src/main.zig"),
        .target = target,
        .optimize = optimize,
        .imports = &.{.{ .name = "gyrfalcon", .module = gyrfalcon.module("gyrfalcon") }},
    }) });
    b.installArtifact(exe);

    const run = b.addRunArtifact(exe);
    if (b.args) |args| run.addArgs(args);
    b.step("run", "Run the server: zig build run -- [PORT]").dependOn(&run.step);
}
