//! Which backend a server runs on, and why.

const builtin = @import("builtin");
const std = @import("std");
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const io = @import("io.zig");
const Lack = @import("uring_lack.zig").Lack;
const kqueue_on_linux = @import("testing/kqueue_on_linux.zig").enabled;
const ring_file = @import("ring.zig");
const Uring = @import("uring.zig").Uring;

const Backend = io.Backend;

pub const Choice = struct {
    backend: Backend,
    /// For the line printed at start.
    reason: []const u8,
};

/// What this system has. The first is taken where nothing else is asked for.
pub const available: []const Backend = switch (builtin.os.tag) {
    .linux => if (kqueue_on_linux) &.{ .epoll, .io_uring, .kqueue } else &.{ .epoll, .io_uring },
    .macos, .freebsd => &.{.kqueue},
    .windows => &.{.iocp},
    else => @compileError("there is no backend for this system"),
};

const reason_of_first = switch (builtin.os.tag) {
    .linux => "the fastest measured on Linux",
    else => "the one of this system",
};

/// What the option can be here, in words.
pub const rule = blk: {
    var text: []const u8 = "auto";
    for (available, 1..) |backend, i| {
        text = text ++ (if (i == available.len) " or " else ", ") ++ @tagName(backend);
    }
    break :blk text ++ " on this system";
};

/// Whether this system has what is asked for.
pub fn isAvailable(asked: io.Kind) bool {
    if (asked == .auto) return true;
    return isKnown(backendOf(asked));
}

fn isKnown(backend: Backend) bool {
    return std.mem.indexOfScalar(Backend, available, backend) != null;
}

fn backendOf(asked: io.Kind) Backend {
    return switch (asked) {
        .auto => available[0],
        inline else => |kind| @field(Backend, @tagName(kind)),
    };
}

/// What `asked`, which is available, stands for. Where it is `auto` the environment's GYRFALCON_IO
/// is asked. One that cannot be had is told in the log, with what would help, and another takes
/// over.
pub fn choose(asked: io.Kind) Choice {
    const given: Choice = switch (asked) {
        .auto => fromEnvironment() orelse
            return .{ .backend = available[0], .reason = reason_of_first },
        else => .{ .backend = backendOf(asked), .reason = "configured" },
    };
    if (builtin.os.tag != .linux or given.backend != .io_uring) return given;
    Uring.probe() catch |err| return instead(err);
    return given;
}

/// What runs where io_uring cannot be had, for `err`. It is told in the log.
pub fn instead(err: system.Error) Choice {
    const why = Lack.of(err).text();
    log.warn("GYR_IO_UNAVAILABLE: epoll takes over: {s}", .{why});
    return .{ .backend = .epoll, .reason = why };
}

/// As `choose`, for who polls a backend on one thread now and on another later: a ring of io_uring
/// is one thread's for good.
pub fn chooseMovable(asked: io.Kind) Choice {
    const given = choose(asked);
    if (builtin.os.tag != .linux or given.backend != .io_uring) return given;
    const why = "a ring of io_uring belongs to one thread, and these workers change theirs";
    log.warn("GYR_IO_UNAVAILABLE: epoll takes over: {s}", .{why});
    return .{ .backend = .epoll, .reason = why };
}

/// Tells in the log where large memory is copied although it is not to be.
pub fn tellZeroCopy(backend: Backend) void {
    const is_uring = builtin.os.tag == .linux and backend == .io_uring;
    if (is_uring and ring_file.canSendInPlace()) return;
    const why = if (is_uring)
        "the kernel cannot send without a copy: Linux 6.2 and later can"
    else
        "sending without a copy needs io_uring";
    log.warn("GYR_IO_UNAVAILABLE: what is sent is copied: {s}", .{why});
}

fn fromEnvironment() ?Choice {
    const name = "GYRFALCON_IO";
    const value = std.mem.span(std.c.getenv(name) orelse return null);
    if (value.len == 0 or std.mem.eql(u8, value, "auto")) return null;
    const backend = std.meta.stringToEnum(Backend, value);
    if (backend == null or !isKnown(backend.?)) {
        log.warn(name ++ " is \"{s}\": " ++ rule ++ " would be right", .{value});
        return null;
    }
    return .{ .backend = backend.?, .reason = name };
}

const testing = std.testing;

test "what another system has cannot be asked for" {
    try testing.expect(isAvailable(.auto));
    for (available) |backend| {
        const kind = std.meta.stringToEnum(io.Kind, @tagName(backend)).?;
        try testing.expect(isAvailable(kind));
        try testing.expectEqual(backend, backendOf(kind));
    }
    try testing.expectEqual(builtin.os.tag == .windows, isAvailable(.iocp));
    if (builtin.os.tag == .linux and !kqueue_on_linux) {
        try testing.expect(!isAvailable(.kqueue));
        try testing.expectEqualStrings("auto, epoll or io_uring on this system", rule);
    }
}
