//! Which backend a server runs on, and why.

const std = @import("std");
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const io = @import("io.zig");
const Lack = @import("uring_lack.zig").Lack;
const Uring = @import("uring.zig").Uring;

const Backend = io.Backend;

pub const Choice = struct {
    backend: Backend,
    /// For the line printed at start.
    reason: []const u8,
};

/// What `asked` stands for on this system. Where it is `auto` the environment's GYRFALCON_IO is
/// asked. One that cannot be had is told in the log, with what would help, and epoll takes over.
pub fn choose(asked: io.Kind) Choice {
    const given: Choice = switch (asked) {
        .auto => fromEnvironment() orelse
            return .{ .backend = .epoll, .reason = "the fastest measured on Linux" },
        .epoll => .{ .backend = .epoll, .reason = "configured" },
        .io_uring => .{ .backend = .io_uring, .reason = "configured" },
    };
    if (given.backend == .epoll) return given;
    Uring.probe() catch |err| return instead(err);
    return given;
}

/// What runs where io_uring cannot be had, for `err`. It is told in the log.
pub fn instead(err: system.Error) Choice {
    const why = Lack.of(err).text();
    log.warn("GYR_IO_UNAVAILABLE: epoll takes over: {s}", .{why});
    return .{ .backend = .epoll, .reason = why };
}

fn fromEnvironment() ?Choice {
    const name = "GYRFALCON_IO";
    const value = std.mem.span(std.c.getenv(name) orelse return null);
    if (value.len == 0 or std.mem.eql(u8, value, "auto")) return null;
    const backend = std.meta.stringToEnum(Backend, value) orelse {
        log.warn(name ++ " is \"{s}\": auto, epoll or io_uring would be right", .{value});
        return null;
    };
    return .{ .backend = backend, .reason = name };
}
