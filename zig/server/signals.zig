//! SIGINT and SIGTERM as something to wait for. SIGPIPE is ignored:
//! writes tell of a peer that is gone.

const std = @import("std");
const posix = std.posix;
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");

/// What waits for signals: one at a time in a process.
pub const Waiter = struct {
    /// One byte in it for each signal.
    ends: [2]system.File,

    /// Waits for one signal, or one `release`. Where the system does not let it wait, it is as if a
    /// signal had come: whoever waits ends in order.
    pub fn wait(self: Waiter) void {
        var byte: [1]u8 = undefined;
        _ = system.read(self.ends[0], &byte) catch |err| {
            log.err("signals cannot be waited for: {s}", .{@errorName(err)});
        };
    }

    /// Ends one `wait` without a signal.
    pub fn release(self: Waiter) void {
        write(self.ends[1]);
    }

    /// The signals' own effects are back.
    pub fn uninstall(self: Waiter) void {
        const action = sigaction(posix.SIG.DFL, 0);
        // Where it is refused, the signals do nothing from here on.
        system.setSignalAction(posix.SIG.INT, action) catch {};
        system.setSignalAction(posix.SIG.TERM, action) catch {};
        signal_end.store(system.no_file, .seq_cst);
        for (self.ends) |end| system.close(end);
    }
};

/// Where the handler writes.
var signal_end: std.atomic.Value(system.File) = .init(system.no_file);

/// Catches the signals from here on.
pub fn install() system.Error!Waiter {
    const waiter: Waiter = .{ .ends = try system.pipe(.{ .CLOEXEC = true }) };
    signal_end.store(waiter.ends[1], .seq_cst);
    errdefer waiter.uninstall();
    // A handler must not wait: thousands of signals that nobody waits for are as good as more.
    try system.setNonBlocking(waiter.ends[1]);
    const action = sigaction(onSignal, posix.SA.RESTART);
    try system.setSignalAction(posix.SIG.INT, action);
    try system.setSignalAction(posix.SIG.TERM, action);
    try ignorePipe();
    return waiter;
}

/// A write to what nobody reads is an error from here on, and not the end of the process.
pub fn ignorePipe() system.Error!void {
    try system.setSignalAction(posix.SIG.PIPE, sigaction(onPipe, posix.SA.RESTART));
}

fn sigaction(handler: ?posix.Sigaction.handler_fn, flags: c_uint) posix.Sigaction {
    return .{ .handler = .{ .handler = handler }, .mask = posix.empty_sigset, .flags = flags };
}

/// Async-signal-safe.
fn write(end: system.File) void {
    // Where the system refuses, a next signal may get through.
    _ = system.write(end, "x") catch {};
}

/// An empty handler in place of SIG_IGN, which child processes would inherit.
fn onPipe(_: c_int) callconv(.c) void {}

fn onSignal(_: c_int) callconv(.c) void {
    const end = signal_end.load(.seq_cst);
    if (end != system.no_file) write(end);
}
