//! Doorbells of Windows: named pipes. A descriptor is of no use to Node.js there, since it belongs
//! to one of several C libraries in the process; and net.Socket opens a name by itself.

const std = @import("std");
const win = std.os.windows;
const system = @import("../core/system.zig");

const prefix = "\\\\.\\pipe\\gyrfalcon-";
const random_bytes = 16;
/// ASCII. Nobody can guess it. Who lists the pipes of this machine finds it, and may be the first
/// to open it: a pipe is opened once, and all that comes out of it is that it rings.
pub const Name = [prefix.len + 2 * random_bytes]u8;

pub const Pipe = struct { end: win.HANDLE, name: Name };

// CreateNamedPipeW(): what it is opened for, and how it works.
const outbound = 0x2;
const first_instance = 0x80000;
const byte_type = 0x0;
const no_wait = 0x1;
const reject_remote_clients = 0x8;
const rings_held = 64;

extern "kernel32" fn CreateNamedPipeW(
    name: [*:0]const u16,
    open_mode: win.DWORD,
    pipe_mode: win.DWORD,
    instances_max: win.DWORD,
    out_bytes: win.DWORD,
    in_bytes: win.DWORD,
    timeout_ms: win.DWORD,
    security: ?*anyopaque,
) callconv(.winapi) win.HANDLE;

/// A pipe that one client of this machine may open for reading; its end is the caller's to close.
pub fn make() system.Error!Pipe {
    var random: [random_bytes]u8 = undefined;
    std.crypto.random.bytes(&random);
    var pipe: Pipe = undefined;
    const text = .{std.fmt.fmtSliceHexLower(&random)};
    const whole = std.fmt.bufPrint(&pipe.name, prefix ++ "{s}", text) catch
        unreachable; // it fits
    std.debug.assert(whole.len == pipe.name.len);
    var wide: [pipe.name.len:0]u16 = undefined;
    for (wide[0..pipe.name.len], pipe.name) |*unit, byte| unit.* = byte;
    wide[wide.len] = 0;
    pipe.end = CreateNamedPipeW(
        &wide,
        outbound | first_instance,
        byte_type | no_wait | reject_remote_clients,
        1,
        rings_held,
        0,
        0,
        null,
    );
    if (pipe.end != win.INVALID_HANDLE_VALUE) return pipe;
    return switch (win.GetLastError()) {
        .ACCESS_DENIED => error.AccessDenied,
        .NOT_ENOUGH_MEMORY, .NO_SYSTEM_RESOURCES => error.SystemResources,
        .TOO_MANY_OPEN_FILES => error.ProcessFdQuotaExceeded,
        else => error.Unexpected,
    };
}

/// As `doorbell.ring`.
pub fn ring(end: win.HANDLE) bool {
    var written: win.DWORD = 0;
    if (win.kernel32.WriteFile(end, "!", 1, &written, null) != 0) return true;
    return switch (win.GetLastError()) {
        // It was closed by the client that had it.
        .BROKEN_PIPE, .NO_DATA, .PIPE_NOT_CONNECTED => false,
        else => true,
    };
}

const testing = std.testing;

/// As net.Socket does it.
fn open(name: *const Name) win.HANDLE {
    const wide = std.unicode.utf8ToUtf16LeAllocZ(testing.allocator, name) catch unreachable;
    defer testing.allocator.free(wide);
    const read = win.GENERIC_READ;
    return win.kernel32.CreateFileW(wide, read, 0, null, win.OPEN_EXISTING, 0, null);
}

test "a doorbell can be opened once by its name, and is rung; what rang before went nowhere" {
    if (@import("builtin").os.tag != .windows) return error.SkipZigTest;
    const pipe = try make();
    defer win.CloseHandle(pipe.end);
    try testing.expect(ring(pipe.end));
    const reader: std.fs.File = .{ .handle = open(&pipe.name) };
    try testing.expect(reader.handle != win.INVALID_HANDLE_VALUE);
    try testing.expect(open(&pipe.name) == win.INVALID_HANDLE_VALUE);
    for (0..3) |_| try testing.expect(ring(pipe.end));
    var rings: [8]u8 = undefined;
    try testing.expectEqual(3, try reader.readAll(rings[0..3]));
    // More than it holds: that is rung enough, and nobody waits.
    for (0..4 * rings_held) |_| try testing.expect(ring(pipe.end));
    reader.close();
    try testing.expect(!ring(pipe.end));
}
