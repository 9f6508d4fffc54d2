//! What is made and asked on Windows for the user's sake: files and folders, the environment, the
//! machine's name.

const std = @import("std");
const types = @import("types.zig");
const Error = types.Error;
const win32 = @import("win32.zig");
const windows = @import("windows.zig");
const check = windows.check;
const path_units_max = windows.path_units_max;
const wide = windows.wide;

/// Makes a file of `bytes`, unless there is one (`PathAlreadyExists`): of several that try, one
/// does. Its readers find all of it or none, also after a power cut. It has the rights of its
/// folder.
pub fn publish(path: []const u8, bytes: []const u8, _: u16) Error!void {
    var number: [8]u8 = undefined;
    try windows.random(&number);
    var buffer: [path_units_max]u8 = undefined;
    const name = std.fmt.fmtSliceHexLower(&number);
    const partial = std.fmt.bufPrint(&buffer, "{s}.{}", .{ path, name }) catch
        return error.NameTooLong;
    try createFile(partial, bytes);
    errdefer windows.unlink(partial) catch {}; // what it would be told of is told already
    var units: [2][path_units_max]u16 = undefined;
    const old = try wide(&units[0], partial);
    const replaces_none = 0;
    try check(win32.MoveFileExW(old, try wide(&units[1], path), replaces_none));
}

/// Makes a file of `bytes`, which was not there, and has it written to the disk.
fn createFile(path: []const u8, bytes: []const u8) Error!void {
    var units: [path_units_max]u16 = undefined;
    const name = try wide(&units, path);
    const how = win32.CREATE_NEW;
    const file = win32.CreateFileW(name, win32.access_write, 0, null, how, 0, null);
    if (file == win32.invalid_handle) return windows.last();
    errdefer windows.unlink(path) catch {}; // what it would be told of is told already
    defer windows.close(file);
    var rest = bytes;
    while (rest.len > 0) rest = rest[try windows.write(file, rest)..];
    try check(win32.FlushFileBuffers(file));
}

/// The file at `path`, as far as it fits `buffer`. What is no file is an error: a pipe or a device.
/// Files have the rights of their folder: a user's alone, for what the user's programs keep.
pub fn readFile(path: []const u8, buffer: []u8) Error![]u8 {
    var units: [path_units_max]u16 = undefined;
    const name = try wide(&units, path);
    const how = win32.OPEN_EXISTING;
    const file = win32.CreateFileW(name, win32.access_read, win32.share_all, null, how, 0, null);
    if (file == win32.invalid_handle) return windows.last();
    defer windows.close(file);
    if ((try windows.fstat(file)).kind != .file) return error.NoFile;
    var filled: usize = 0;
    while (filled < buffer.len) {
        const n = try windows.read(file, buffer[filled..]);
        if (n == 0) break;
        filled += n;
    }
    return buffer[0..filled];
}

/// With the rights of its own folder.
pub fn makeDirectory(path: []const u8, _: u16) Error!void {
    var units: [path_units_max]u16 = undefined;
    try check(win32.CreateDirectoryW(try wide(&units, path), null));
}

/// A variable of the environment, in `buffer`; null where there is none, or one that is longer.
pub fn variable(name: [*:0]const u8, buffer: []u8) ?[]const u8 {
    var name_units: [path_units_max]u16 = undefined;
    const asked = wide(&name_units, std.mem.span(name)) catch return null;
    var units: [path_units_max]u16 = undefined;
    const len = win32.GetEnvironmentVariableW(asked, &units, units.len);
    if (len == 0 or len >= units.len) return null;
    return narrow(units[0..len], buffer);
}

/// The name of the machine.
pub fn hostName(buffer: []u8) Error![]const u8 {
    const dns_name = 1; // ComputerNameDnsHostname
    var units: [path_units_max]u16 = undefined;
    var len: u32 = units.len;
    try check(win32.GetComputerNameExW(dns_name, &units, &len));
    return narrow(units[0..len], buffer) orelse error.NameTooLong;
}

fn narrow(units: []const u16, buffer: []u8) ?[]const u8 {
    if (std.unicode.calcWtf8Len(units) > buffer.len) return null;
    return buffer[0..std.unicode.wtf16LeToWtf8(buffer, units)];
}
