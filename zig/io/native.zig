//! What a server of this system runs on.

const builtin = @import("builtin");

pub const Native = switch (builtin.os.tag) {
    .linux => @import("linux.zig").Linux,
    .macos, .freebsd => @import("kqueue.zig").Kqueue,
    .windows => @import("iocp.zig").Iocp,
    else => @compileError("there is no backend for this system"),
};
