//! The pipe by which the engine wakes a JS thread, made here and read there.

const builtin = @import("builtin");
const std = @import("std");
const system = @import("../core/system.zig");
const windows = @import("doorbell_windows.zig");

const is_windows = builtin.os.tag == .windows;

/// What a JS thread is to open, as it is told of it in JSON.
pub const Reader = union(enum) {
    /// A descriptor, which is the thread's.
    fd: if (is_windows) noreturn else system.File,
    /// The name of a pipe that can be opened once.
    path: if (is_windows) windows.Name else noreturn,

    /// For engines' own tests, which play the thread.
    pub fn close(self: Reader) void {
        switch (self) {
            .fd => |fd| system.close(fd),
            .path => {}, // nobody has opened it
        }
    }
};

pub const Doorbell = struct {
    /// The end that is rung. Whoever has it closes it.
    end: system.File,
    reader: Reader,

    pub fn make() system.Error!Doorbell {
        if (is_windows) {
            const pipe = try windows.make();
            return .{ .end = pipe.end, .reader = .{ .path = pipe.name } };
        }
        const ends = try system.pipe(.{ .NONBLOCK = true, .CLOEXEC = true });
        return .{ .end = ends[1], .reader = .{ .fd = ends[0] } };
    }
};

/// One byte. A full pipe has rings enough in it, and whoever has not opened it yet looks around
/// when it does. False: nobody holds the other end any more.
pub fn ring(end: system.File) bool {
    if (is_windows) return windows.ring(end);
    _ = system.write(end, "!") catch |err| return err != error.BrokenPipe;
    return true;
}
