//! Reading a file that was opened, so that its request alone pays when the system cannot, or when
//! the file is not what it says: its size is a lie (/proc, /sys), or it changes meanwhile.

const std = @import("std");
const assert = std.debug.assert;
const system = @import("../core/system.zig");
const root_file = @import("dir_server_root.zig");
const Opened = root_file.Opened;
const Version = root_file.Version;

pub const Error = root_file.OpenError || error{
    /// It is no longer the version that was opened: open it again.
    Changed,
};

/// Reads all of a file into `room`, which is one byte longer than the file says it is, to see that
/// it has no more. It was the version that was opened when it had been read.
pub fn whole(opened: Opened, room: []u8) Error!void {
    const size = room.len - 1;
    assert(size == opened.version.size);
    var n: usize = 0;
    while (true) {
        const got = system.readAt(opened.fd, room[n..], n) catch |err|
            return root_file.fault(err);
        n += got;
        // A read that brings less than was asked for has met the end.
        if (n == size) break;
        if (n > size or got == 0) return misjudged(opened);
    }
    const after = try Version.read(opened.fd);
    if (!after.eql(opened.version)) return error.Changed;
}

/// Whether a file that is not read here can be read by those who send it.
pub fn probe(opened: Opened) Error!void {
    var byte: [1]u8 = undefined;
    const got = system.readAt(opened.fd, &byte, 0) catch |err| return root_file.fault(err);
    if (got == 0 and opened.version.size > 0) return misjudged(opened);
}

/// The file has another length than it was said to have.
fn misjudged(opened: Opened) Error {
    const after = Version.read(opened.fd) catch |err| return err;
    return if (after.eql(opened.version)) error.Unreadable else error.Changed;
}
