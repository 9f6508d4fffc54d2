//! What a loop of others waits for where io_uring is polled from it (`Uring.descriptor`): a
//! descriptor that can be read when the ring has something to be entered for.
//!
//! The ring's own descriptor does not do: the kernel ends no wait for that when work comes up
//! which the ring's thread has to do itself (DEFER_TASKRUN). It writes to an eventfd then, but not
//! always where it is a write to another eventfd, the bell, that has brought the work up (seen on
//! Linux 6.18): so the bell is waited for itself, beside it. Both are told of by edges: nobody
//! reads them.

const std = @import("std");
const linux = std.os.linux;
const posix = std.posix;
const system = @import("../core/system.zig");
const Ring = @import("ring.zig").Ring;

pub const Notice = struct {
    /// What is waited for.
    epoll_fd: posix.fd_t,
    /// What the kernel writes to.
    event_fd: posix.fd_t,

    pub fn init(kernel: *const Ring, bell_fd: posix.fd_t) system.Error!Notice {
        const epoll_fd = try system.epollCreate();
        errdefer system.close(epoll_fd);
        const event_fd = try system.eventDescriptor(linux.EFD.CLOEXEC | linux.EFD.NONBLOCK);
        errdefer system.close(event_fd);
        for ([_]posix.fd_t{ event_fd, bell_fd }) |fd| {
            var event: linux.epoll_event = .{
                .events = linux.EPOLL.IN | linux.EPOLL.ET,
                .data = .{ .fd = fd },
            };
            try system.epollControl(epoll_fd, linux.EPOLL.CTL_ADD, fd, &event);
        }
        try kernel.notify(event_fd);
        return .{ .epoll_fd = epoll_fd, .event_fd = event_fd };
    }

    pub fn deinit(self: *Notice) void {
        system.close(self.epoll_fd);
        system.close(self.event_fd);
        self.* = undefined;
    }

    /// What was told so far is to be looked at now; from here on it is told anew.
    pub fn forget(self: *const Notice) void {
        var events: [2]linux.epoll_event = undefined;
        // Should it fail nothing is forgotten, and one look more is taken.
        _ = linux.epoll_pwait(self.epoll_fd, &events, events.len, 0, null);
    }
};
