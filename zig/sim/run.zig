//! Runs one seed.

const std = @import("std");
const Allocator = std.mem.Allocator;
const log = @import("../core/log.zig");
const network_file = @import("../io/simulated_network.zig");
const Network = network_file.Network;
const Trace = network_file.Trace;
const Simulator = @import("../io/simulator.zig").Simulator;
const Files = @import("files.zig").Files;
const Options = @import("options.zig").Options;
const servers = @import("servers.zig");
const world_file = @import("world.zig");
pub const Outcome = world_file.Outcome;

/// Of a worker's connections, and of those that wait.
const links_max = 256;

/// A run, with what outlives it when it fails: its options and its trace.
pub fn runSeed(gpa: Allocator, options: *const Options, files: *Files, trace: *Trace) !Outcome {
    log.setLevel(.silent);
    const before = openFiles();
    var network = try Network.init(gpa, options.seed, options.faults, links_max, trace);
    defer network.deinit();
    Simulator.current = &network;
    defer Simulator.current = null;
    const outcome = if (options.bridge)
        try runOn(servers.JsServer, gpa, options, &network, files)
    else
        try runOn(servers.ZigServer, gpa, options, &network, files);
    const after = openFiles();
    if (after != before)
        std.debug.panic("invariant: {d} open files before the run, {d} after", .{ before, after });
    return outcome;
}

fn runOn(
    comptime Server: type,
    gpa: Allocator,
    options: *const Options,
    network: *Network,
    files: *Files,
) !Outcome {
    const server = try gpa.create(Server);
    defer gpa.destroy(server);
    try server.init(gpa, options, network, files);
    defer server.deinit(gpa);
    const World = world_file.World(Server);
    const world = try gpa.create(World);
    defer gpa.destroy(world);
    try world.init(gpa, options, network, server);
    defer world.deinit();
    return world.run();
}

fn openFiles() usize {
    var dir = std.fs.openDirAbsolute("/proc/self/fd", .{ .iterate = true }) catch return 0;
    defer dir.close();
    var count: usize = 0;
    var entries = dir.iterate();
    while (entries.next() catch return 0) |_| count += 1;
    return count;
}

test "the same seed gives the same run, also of files that are made anew, and another one another" {
    const gpa = std.testing.allocator;
    defer log.setLevel(.debug);
    const events = try gpa.alloc(Trace.Event, 1024);
    defer gpa.free(events);
    var hashes: [4]u64 = undefined;
    for ([_]u64{ 3, 4, 3, 4 }, &hashes) |seed, *hash| {
        var options = Options.of(seed);
        options.clients = 40;
        var files = try Files.init(gpa);
        defer files.deinit();
        var trace: Trace = .{ .events = events };
        hash.* = (try runSeed(gpa, &options, &files, &trace)).hash;
    }
    try std.testing.expectEqual(hashes[0], hashes[2]);
    try std.testing.expectEqual(hashes[1], hashes[3]);
    try std.testing.expect(hashes[0] != hashes[1]);
}

test {
    _ = @import("../io/simulator.zig");
    _ = @import("client.zig");
    _ = @import("frame_reader.zig");
    _ = @import("http2_reader.zig");
    _ = @import("options.zig");
    _ = @import("pattern.zig");
    _ = @import("plan.zig");
    _ = @import("press.zig");
    _ = @import("response_reader.zig");
    _ = @import("talk.zig");
    _ = @import("veil.zig");
}
