//! Ctrl-C, Ctrl-Break, the end of the console and that of the system as something to wait for: what
//! signals.zig is elsewhere. A write to a pipe that nobody reads ends nothing here.

const std = @import("std");
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const win32 = @import("../core/system/win32.zig");
const windows = @import("../core/system/windows.zig");

/// What waits for them: one at a time in a process.
pub const Waiter = struct {
    semaphore: system.File,

    /// Waits for one of them, or one `release`. Where the system does not let it wait, it is as if
    /// one had come: whoever waits ends in order.
    pub fn wait(self: Waiter) void {
        windows.wait(self.semaphore) catch |err| {
            log.err("Ctrl-C cannot be waited for: {s}", .{@errorName(err)});
        };
    }

    /// Ends one `wait` without any.
    pub fn release(self: Waiter) void {
        // It cannot be full; else a next one may get through.
        windows.signal(self.semaphore) catch {};
    }

    /// Their own effects are back.
    pub fn uninstall(self: Waiter) void {
        windows.ignoreConsole(onEvent);
        mutex.lock();
        defer mutex.unlock();
        installed = null;
        system.close(self.semaphore);
    }
};

/// The system calls the handler on a thread of its own, also while it is being taken back.
var mutex: std.Thread.Mutex = .{};
var installed: ?Waiter = null;

/// Catches them from here on.
pub fn install() system.Error!Waiter {
    const waiter: Waiter = .{ .semaphore = try windows.semaphore() };
    errdefer system.close(waiter.semaphore);
    mutex.lock();
    defer mutex.unlock();
    try windows.hearConsole(onEvent);
    installed = waiter;
    return waiter;
}

/// Nothing has to be done for it here.
pub fn ignorePipe() system.Error!void {}

fn onEvent(event: u32) callconv(.winapi) i32 {
    {
        mutex.lock();
        defer mutex.unlock();
        const waiter = installed orelse return 0; // as without a handler
        waiter.release();
    }
    // The process ends when the handler of such an event returns, or some seconds later: what is in
    // flight is finished until then.
    const is_end = event != win32.CTRL_C_EVENT and event != win32.CTRL_BREAK_EVENT;
    if (is_end) system.sleepMs(60_000);
    return 1;
}

const testing = std.testing;

test "Ctrl-C and Ctrl-Break are waited for, one by one, until that is taken back" {
    const waiter = try install();
    for ([_]u32{ win32.CTRL_C_EVENT, win32.CTRL_BREAK_EVENT }) |event| {
        try testing.expectEqual(1, onEvent(event));
    }
    for (0..2) |_| waiter.wait();
    waiter.release();
    waiter.wait();
    waiter.uninstall();
    try testing.expectEqual(0, onEvent(win32.CTRL_C_EVENT));
}
