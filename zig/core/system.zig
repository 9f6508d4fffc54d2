//! The system's calls, with an error for whatever they answer. std's wrappers hold some answers for
//! impossible (`unreachable`), which the outside can bring all the same: EINVAL from a read of a
//! file that is none, EPERM from a seccomp filter, ENOSPC from a limit. There the process would
//! end. Here every errno is an error, and the caller's switch has an `else` for the rest.
//!
//! A call that a signal interrupts is made again. A path that is longer than the system takes is
//! `NameTooLong`, one with a NUL in it `InvalidArgument`. tests/docs/system.test.ts holds the rest
//! of zig/ to this file.
//!
//! Each family of systems has a file of its own in system/. What is named here and not in that of
//! the target does not compile where it is called, so that no call pretends.

const builtin = @import("builtin");
const std = @import("std");
const posix = std.posix;
const types = @import("system/types.zig");

/// What a family has of the calls that all have.
const family = switch (builtin.os.tag) {
    .linux, .macos, .freebsd => @import("system/posix.zig"),
    .windows => windows,
    else => @compileError("Gyrfalcon is not written for " ++ @tagName(builtin.os.tag)),
};

/// What a system does in a way of its own.
const own = switch (builtin.os.tag) {
    .linux => linux,
    .macos, .freebsd => @import("system/bsd.zig"),
    .windows => windows,
    else => unreachable, // `family` has said it
};

const linux = @import("system/linux.zig");
const windows = @import("system/windows.zig");

pub const Error = types.Error;
pub const File = types.File;
pub const Socket = types.Socket;
pub const SpawnError = types.SpawnError;
pub const Stat = types.Stat;
pub const no_file = types.no_file;
pub const standard_output = types.standard_output;
pub const standard_error = types.standard_error;
pub const no_socket = types.no_socket;
pub const numberOf = types.numberOf;
pub const ofNumber = types.ofNumber;

pub const Errno = family.Errno;
pub const errorOf = family.errorOf;

pub const open = family.open;
pub const openAt = family.openAt;
pub const readLinkAt = family.readLinkAt;
pub const readFile = family.readFile;
pub const readPrivateFile = family.readPrivateFile;
pub const stat = family.stat;
pub const lstat = family.lstat;
pub const fstat = family.fstat;
pub const unlink = family.unlink;
pub const rename = family.rename;
pub const publish = family.publish;
pub const makeDirectory = family.makeDirectory;
pub const changeMode = family.changeMode;
pub const changeModeOf = family.changeModeOf;
pub const tryLock = family.tryLock;

pub const close = family.close;
pub const closeSocket = family.closeSocket;
pub const read = family.read;
pub const readAt = family.readAt;
pub const write = family.write;
pub const duplicate = family.duplicate;
pub const setCloseOnExec = family.setCloseOnExec;
pub const setNonBlocking = family.setNonBlocking;
pub const isReady = family.isReady;
pub const isReadyWithin = family.isReadyWithin;

pub const socket = family.socket;
pub const streamSocket = family.streamSocket;
pub const accept = family.accept;
pub const send = family.send;
pub const receive = family.receive;
pub const bind = family.bind;
pub const listen = family.listen;
pub const connect = family.connect;
pub const shutdown = family.shutdown;
pub const socketName = family.socketName;
pub const socketOption = family.socketOption;
pub const setSocketOption = family.setSocketOption;
pub const interface_name_bytes = family.interface_name_bytes;

pub const fileLimit = family.fileLimit;
pub const setFileLimit = family.setFileLimit;
pub const processId = family.processId;
pub const setSignalAction = family.setSignalAction;
pub const sleepMs = family.sleepMs;
pub const spawn = family.spawn;
pub const unmapMemory = family.unmapMemory;
pub const variable = family.variable;

pub const hostName = own.hostName;
pub const pathOf = own.pathOf;
pub const workingDirectory = own.workingDirectory;
pub const pipe = own.pipe;
pub const sendFile = own.sendFile;
pub const inFlight = own.inFlight;
pub const unreadBytes = own.unreadBytes;
pub const affinity = own.affinity;
pub const setAffinity = own.setAffinity;
pub const interfaceName = own.interfaceName;
pub const random = own.random;
pub const mapMemory = own.mapMemory;
pub const discardMemory = own.discardMemory;
pub const check = own.check;

// Of those that came from BSD alone.

pub const processors = own.processors;
pub const openBeneath = own.openBeneath;
pub const opensBeneath = own.opensBeneath;

// Of Linux alone.

pub const openResolving = linux.openResolving;
pub const eventDescriptor = linux.eventDescriptor;
pub const resourceLimit = linux.resourceLimit;
pub const epollCreate = linux.epollCreate;
pub const epollControl = linux.epollControl;
pub const sendTyped = linux.sendTyped;
pub const setSocketBytes = linux.setSocketBytes;
pub const adviseHuge = linux.adviseHuge;
pub const huge_page_bytes = linux.huge_page_bytes;

test {
    _ = own;
    _ = family;
}

const testing = std.testing;

test "an errno that callers tell apart is not Unexpected" {
    try testing.expectEqual(error.Unexpected, errorOf(@enumFromInt(4095)));
    try testing.expectEqual(error.InvalidArgument, errorOf(.INVAL));
    try testing.expectEqual(error.PermissionDenied, errorOf(.PERM));
}

test "what std holds impossible is an error: a descriptor that is not open, one of the wrong kind" {
    var byte: [1]u8 = undefined;
    try testing.expectError(error.BadDescriptor, read(-1, &byte));
    try testing.expectError(error.BadDescriptor, listen(-1, 1));
    const ends = try pipe(.{ .CLOEXEC = true, .NONBLOCK = true });
    defer close(ends[0]);
    try testing.expectError(error.NotASocket, listen(ends[0], 1));
    try testing.expectError(error.WouldBlock, read(ends[0], &byte));
    close(ends[1]);
    try testing.expectEqual(0, try read(ends[0], &byte));
    const far = std.math.maxInt(u64);
    try testing.expectError(error.InvalidArgument, readAt(ends[0], &byte, far));
}

test "a path may be too long, have a NUL in it, or lead to a directory" {
    var buffer: [16]u8 = undefined;
    const long = "a" ** posix.PATH_MAX;
    try testing.expectError(error.NameTooLong, open(long, .{}, 0));
    try testing.expectError(error.InvalidArgument, open("/dev\x00/null", .{}, 0));
    try testing.expectError(error.IsDir, readFile("/dev", &buffer));
    try testing.expectEqual(.directory, (try stat("/dev")).kind);
    try testing.expectEqual(.other, (try lstat("/dev/null")).kind);
}

test "a file is published once, whole and with nothing beside it; a folder is made once" {
    var tmp = testing.tmpDir(.{ .iterate = true });
    defer tmp.cleanup();
    var buffers: [2][256]u8 = undefined;
    const place = ".zig-cache/tmp/{s}/{s}";
    const file = try std.fmt.bufPrint(&buffers[0], place, .{ &tmp.sub_path, "file" });
    const folder = try std.fmt.bufPrint(&buffers[1], place, .{ &tmp.sub_path, "folder" });
    try publish(file, "first", 0o600);
    try testing.expectError(error.PathAlreadyExists, publish(file, "second", 0o600));
    var content: [16]u8 = undefined;
    try testing.expectEqualStrings("first", try readFile(file, &content));
    try testing.expectEqualStrings("first", try readPrivateFile(file, &content));
    var entries = tmp.dir.iterate();
    try testing.expectEqualStrings("file", (try entries.next()).?.name);
    try testing.expectEqual(null, try entries.next());
    try makeDirectory(folder, 0o700);
    try testing.expectError(error.PathAlreadyExists, makeDirectory(folder, 0o700));
    try testing.expectEqual(.directory, (try stat(folder)).kind);
    const missing = folder[0 .. folder.len - 1];
    try testing.expectError(error.FileNotFound, readPrivateFile(missing, &content));
}

test "the machine has a name, and a variable that is not there is none" {
    var buffer: [256]u8 = undefined;
    try testing.expect((try hostName(&buffer)).len > 0);
    try testing.expectEqual(null, variable("GYRFALCON_THERE_IS_NONE", &buffer));
    if (variable("PATH", &buffer)) |path| try testing.expect(path.len > 0);
    try testing.expectEqual(null, variable("PATH", buffer[0..0]));
}

test "memory is mapped as zeroes, is zero again when discarded, and unmapped" {
    const bytes = 3 * std.heap.page_size_min;
    const memory = (try mapMemory(bytes))[0..bytes];
    try testing.expectEqual(0, memory[bytes - 1]);
    memory[bytes - 1] = 1;
    try discardMemory(memory);
    try testing.expectEqual(0, memory[bytes - 1]);
    try unmapMemory(memory);
}

test "a thread runs with what it was given" {
    var sum: u32 = 0;
    const Adder = struct {
        fn run(into: *u32, a: u32, b: u32) void {
            into.* = a + b;
        }
    };
    const thread = try spawn(Adder.run, .{ &sum, 2, 3 });
    thread.join();
    try testing.expectEqual(5, sum);
}
