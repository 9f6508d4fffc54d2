//! SIGINT and SIGTERM as something to wait for. SIGPIPE is ignored:
//! writes tell of a peer that is gone.

const std = @import("std");
const linux = std.os.linux;
const posix = std.posix;
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");

var event_fd: std.atomic.Value(posix.fd_t) = .init(-1);

/// Catches the signals from here on. The descriptor is for `wait`.
pub fn install() system.Error!posix.fd_t {
    const fd = try system.eventDescriptor(linux.EFD.CLOEXEC | linux.EFD.SEMAPHORE);
    event_fd.store(fd, .seq_cst);
    errdefer uninstall();
    const action = sigaction(onSignal, posix.SA.RESTART);
    try system.setSignalAction(posix.SIG.INT, action);
    try system.setSignalAction(posix.SIG.TERM, action);
    try ignorePipe();
    return fd;
}

/// A write to what nobody reads is an error from here on, and not the end of the process.
pub fn ignorePipe() system.Error!void {
    try system.setSignalAction(posix.SIG.PIPE, sigaction(onPipe, posix.SA.RESTART));
}

/// The signals' own effects are back.
pub fn uninstall() void {
    const action = sigaction(posix.SIG.DFL, 0);
    // Where it is refused, the signals do nothing from here on.
    system.setSignalAction(posix.SIG.INT, action) catch {};
    system.setSignalAction(posix.SIG.TERM, action) catch {};
    const fd = event_fd.swap(-1, .seq_cst);
    if (fd != -1) system.close(fd);
}

fn sigaction(handler: ?posix.Sigaction.handler_fn, flags: c_uint) posix.Sigaction {
    return .{ .handler = .{ .handler = handler }, .mask = posix.empty_sigset, .flags = flags };
}

/// Waits for one signal, or one `release`. Where the system does not let it wait, it is as if a
/// signal had come: whoever waits ends in order.
pub fn wait(fd: posix.fd_t) void {
    var count: u64 = 0;
    _ = system.read(fd, std.mem.asBytes(&count)) catch |err| {
        log.err("signals cannot be waited for: {s}", .{@errorName(err)});
    };
}

/// Ends one `wait` without a signal. Async-signal-safe.
pub fn release(fd: posix.fd_t) void {
    // It cannot be full. Where the system refuses, a next signal may get through.
    _ = system.write(fd, std.mem.asBytes(&@as(u64, 1))) catch {};
}

/// An empty handler in place of SIG_IGN, which child processes would inherit.
fn onPipe(_: c_int) callconv(.c) void {}

fn onSignal(_: c_int) callconv(.c) void {
    const fd = event_fd.load(.seq_cst);
    if (fd != -1) release(fd);
}
