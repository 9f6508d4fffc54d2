//! The calls of Windows, on Windows.

const std = @import("std");
const testing = std.testing;
const system = @import("../system.zig");
const windows = @import("windows.zig");

test "windows: every number is an error, and so is every status" {
    for (0..20_000) |code| {
        const err = windows.errorOf(@intCast(code));
        try testing.expect(@errorName(err).len > 0);
    }
    for (0..4096) |low| {
        const status: u32 = @intCast(0xc000_0000 + low);
        try testing.expect(@errorName(windows.ofStatus(status)).len > 0);
    }
    try testing.expectEqual(error.FileNotFound, windows.errorOf(2));
    try testing.expectEqual(error.WouldBlock, windows.errorOf(10035));
    try testing.expectEqual(error.ConnectionResetByPeer, windows.ofStatus(0xc000_020d));
    for ([_]u32{ 0, 19_999 }) |code|
        try testing.expectEqual(error.Unexpected, windows.errorOf(code));
}

test "windows: memory is mapped as zeroes, is zero again when discarded, and unmapped" {
    const bytes = 3 * std.heap.page_size_min;
    const memory = (try system.mapMemory(bytes))[0..bytes];
    try testing.expectEqual(0, memory[bytes - 1]);
    memory[bytes - 1] = 1;
    memory[0] = 2;
    try system.discardMemory(memory[std.heap.page_size_min..]);
    try testing.expectEqual(0, memory[bytes - 1]);
    try testing.expectEqual(2, memory[0]);
    try system.unmapMemory(memory);
}

test "windows: what is below a folder is opened, told apart, read, and its path is as it is spelt" {
    var tmp = testing.tmpDir(.{});
    defer tmp.cleanup();
    try tmp.dir.makePath("Sub");
    try tmp.dir.writeFile(.{ .sub_path = "Sub/File ü.txt", .data = "content" });
    var buffer: [4096]u8 = undefined;
    const folder = try windows.pathOf(tmp.dir.fd, &buffer);
    const file = try windows.openBelow(tmp.dir.fd, "Sub/File ü.txt");
    defer system.close(file);
    var own: [4096]u8 = undefined;
    const path = try windows.pathOf(file, &own);
    try testing.expectEqualStrings(folder, path[0..folder.len]);
    try testing.expectEqualStrings("/Sub/File ü.txt", path[folder.len..]);
    const stat = try system.fstat(file);
    try testing.expectEqual(.file, stat.kind);
    try testing.expectEqual(7, stat.size);
    try testing.expect(stat.modified_ns > 1_700_000_000 * std.time.ns_per_s);
    var content: [16]u8 = undefined;
    try testing.expectEqualStrings("tent", content[0..try system.readAt(file, &content, 3)]);
    try testing.expectEqual(0, try system.readAt(file, &content, 7));
    const far = std.math.maxInt(u64);
    try testing.expectError(error.InvalidArgument, system.readAt(file, &content, far));

    const sub = try windows.openBelow(tmp.dir.fd, "Sub");
    defer system.close(sub);
    try testing.expectEqual(.directory, (try system.fstat(sub)).kind);
    try testing.expect(stat.inode != (try system.fstat(sub)).inode);
    const same = try windows.openBelow(tmp.dir.fd, "");
    defer system.close(same);
    try testing.expectEqual(.directory, (try system.fstat(same)).kind);
    for ([_][]const u8{ "Sub/none", "none/none", "Sub/File ü.txt/none" }) |name| {
        try testing.expectError(error.FileNotFound, windows.openBelow(tmp.dir.fd, name));
    }
    try testing.expectError(error.InvalidArgument, windows.openBelow(tmp.dir.fd, "a\x00b"));
    try testing.expectError(error.InvalidArgument, windows.openBelow(tmp.dir.fd, "\xff"));
    try testing.expectError(error.NameTooLong, windows.openBelow(tmp.dir.fd, "a" ** 5000));
}

test "windows: a file is read as far as it fits" {
    var tmp = testing.tmpDir(.{});
    defer tmp.cleanup();
    try tmp.dir.writeFile(.{ .sub_path = "file", .data = "content" });
    var buffer: [256]u8 = undefined;
    const path = try std.fmt.bufPrint(&buffer, ".zig-cache/tmp/{s}/file", .{&tmp.sub_path});
    var content: [16]u8 = undefined;
    try testing.expectEqualStrings("content", try system.readFile(path, &content));
    try testing.expectEqualStrings("con", try system.readFile(path, content[0..3]));
    const missing = path[0 .. path.len - 1];
    try testing.expectError(error.FileNotFound, system.readFile(missing, &content));
}

test "windows: a file is published under a name that nobody has; a folder is made once" {
    var tmp = testing.tmpDir(.{});
    defer tmp.cleanup();
    var buffers: [2][256]u8 = undefined;
    const place = ".zig-cache/tmp/{s}/{s}";
    const file = try std.fmt.bufPrint(&buffers[0], place, .{ &tmp.sub_path, "file" });
    const folder = try std.fmt.bufPrint(&buffers[1], place, .{ &tmp.sub_path, "folder" });
    try system.publish(file, "first", 0o600);
    try testing.expectError(error.PathAlreadyExists, system.publish(file, "second", 0o600));
    var content: [16]u8 = undefined;
    try testing.expectEqualStrings("first", try system.readPrivateFile(file, &content));
    try system.makeDirectory(folder, 0o700);
    try testing.expectError(error.PathAlreadyExists, system.makeDirectory(folder, 0o700));
    var buffer: [256]u8 = undefined;
    try testing.expect((try system.hostName(&buffer)).len > 0);
    try testing.expect(system.variable("SystemRoot", &buffer).?.len > 0);
    try testing.expectEqual(null, system.variable("GYRFALCON_THERE_IS_NONE", &buffer));
    try testing.expectError(error.NoFile, system.readFile("NUL", &buffer));
}

test "windows: the clocks go, and the CPUs are counted" {
    const before = windows.monotonicMs();
    system.sleepMs(30);
    try testing.expect(windows.monotonicMs() > before);
    try testing.expect(windows.realtimeSeconds() > 1_700_000_000);
    try testing.expect(try windows.processors() > 0);
    var words: [4]usize = undefined;
    try system.affinity(&words);
    try testing.expect(words[0] != 0);
    try system.setAffinity(&words);
    try testing.expectError(error.InvalidArgument, system.setAffinity(&.{ 0, 1 }));
}

test "windows: bytes that nobody can guess differ; of a file it is not told whether it waits" {
    var bytes: [64]u8 = @splat(0);
    try system.random(&bytes);
    try testing.expect(!std.mem.allEqual(u8, &bytes, 0));
    try testing.expectError(error.NotSupported, system.isReady(system.standard_error, 0));
}
