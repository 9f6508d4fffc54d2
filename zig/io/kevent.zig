//! kqueue(2) as the backend calls it: of macOS and FreeBSD, and in tests of Linux, where
//! testing/kevent.zig stands in for it.

const builtin = @import("builtin");
const std = @import("std");
const posix = std.posix;
const system = @import("../core/system.zig");

const is_macos = builtin.os.tag == .macos;
const is_linux = builtin.os.tag == .linux;

/// One change, or one event.
pub const Kevent = if (is_macos) extern struct {
    ident: usize,
    filter: Filter,
    flags: Flags,
    fflags: u32 = 0,
    data: i64 = 0,
    udata: u64 = 0,
} else extern struct {
    ident: usize,
    filter: Filter,
    flags: Flags,
    fflags: u32 = 0,
    data: i64 = 0,
    udata: u64 = 0,
    _ext: [4]u64 = @splat(0),
};

pub const Filter = enum(i16) {
    read = -1,
    write = -2,
    timer = -7,
    user = if (is_macos) -10 else -11,
    /// Not the system's: a change that has been taken back.
    none = 0,
    _,
};

pub const Flags = packed struct(u16) {
    add: bool = false,
    delete: bool = false,
    enable: bool = false,
    disable: bool = false,
    oneshot: bool = false,
    clear: bool = false,
    receipt: bool = false,
    dispatch: bool = false,
    _: u6 = 0,
    /// In `data` is an errno.
    err: bool = false,
    eof: bool = false,
};

/// Rings an event of the filter `user`.
pub const note_trigger: u32 = 0x01000000;

pub fn open() system.Error!system.File {
    if (is_linux) return stand_in.kqueue();
    const fd: system.File = @intCast(try system.check(std.c.kqueue()));
    errdefer system.close(fd);
    try system.setCloseOnExec(fd);
    return fd;
}

pub fn close(kq: system.File) void {
    if (is_linux) return stand_in.close(kq);
    system.close(kq);
}

/// `fd` is about to be closed, and what was asked of it ends. The system knows that by itself.
pub fn forget(kq: system.File, fd: system.File) void {
    if (is_linux) stand_in.forget(kq, fd);
}

/// Makes `changes` and fills `events`; null waits for ever. A change that fails is an event with
/// the flag `err`, or where there is no room the call's own error.
pub fn kevent(
    kq: system.File,
    changes: []const Kevent,
    events: []Kevent,
    timeout: ?*const posix.timespec,
) system.Error!usize {
    if (is_linux) return stand_in.kevent(kq, changes, events, timeout);
    return system.check(kevent_c(
        kq,
        changes.ptr,
        @intCast(changes.len),
        events.ptr,
        @intCast(events.len),
        timeout,
    ));
}

const kevent_c = @extern(*const fn (
    c_int,
    [*]const Kevent,
    c_int,
    [*]Kevent,
    c_int,
    ?*const posix.timespec,
) callconv(.c) c_int, .{ .name = "kevent" });

const stand_in = @import("testing/kevent.zig");

comptime {
    if (!is_linux) {
        if (@sizeOf(Kevent) != @sizeOf(std.c.Kevent)) @compileError("struct kevent has changed");
    }
}
