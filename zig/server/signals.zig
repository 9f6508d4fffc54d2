//! SIGINT and SIGTERM as something to wait for. SIGPIPE is ignored:
//! writes tell of a peer that is gone.

const std = @import("std");
const posix = std.posix;

var event_fd: std.atomic.Value(posix.fd_t) = .init(-1);

/// Catches the signals from here on. The descriptor is for `wait`.
pub fn install() !posix.fd_t {
    const fd = try posix.eventfd(0, std.os.linux.EFD.CLOEXEC | std.os.linux.EFD.SEMAPHORE);
    event_fd.store(fd, .seq_cst);
    const action = sigaction(onSignal, posix.SA.RESTART);
    posix.sigaction(posix.SIG.INT, &action, null);
    posix.sigaction(posix.SIG.TERM, &action, null);
    const ignore = sigaction(onPipe, posix.SA.RESTART);
    posix.sigaction(posix.SIG.PIPE, &ignore, null);
    return fd;
}

/// The signals' own effects are back.
pub fn uninstall() void {
    const action = sigaction(posix.SIG.DFL, 0);
    posix.sigaction(posix.SIG.INT, &action, null);
    posix.sigaction(posix.SIG.TERM, &action, null);
    const fd = event_fd.swap(-1, .seq_cst);
    if (fd != -1) posix.close(fd);
}

fn sigaction(handler: ?posix.Sigaction.handler_fn, flags: c_uint) posix.Sigaction {
    return .{ .handler = .{ .handler = handler }, .mask = posix.empty_sigset, .flags = flags };
}

/// Waits for one signal, or one `release`.
pub fn wait(fd: posix.fd_t) void {
    var count: u64 = 0;
    // It blocks until there is something to read.
    _ = posix.read(fd, std.mem.asBytes(&count)) catch unreachable;
}

/// Ends one `wait` without a signal.
pub fn release(fd: posix.fd_t) void {
    _ = posix.write(fd, std.mem.asBytes(&@as(u64, 1))) catch unreachable;
}

/// An empty handler in place of SIG_IGN, which child processes would inherit.
fn onPipe(_: c_int) callconv(.c) void {}

fn onSignal(_: c_int) callconv(.c) void {
    const fd = event_fd.load(.seq_cst);
    if (fd != -1) release(fd); // write(2) is async-signal-safe
}
