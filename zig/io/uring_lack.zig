//! Why a system has no io_uring for us, and what would help.

const std = @import("std");
const system = @import("../core/system.zig");

pub const Lack = enum {
    filter,
    setting,
    kernel_without,
    kernel_old,
    memory_locked,
    memory,
    descriptors,
    unknown,

    /// What the system itself says of it.
    pub const Facts = struct {
        /// kernel.io_uring_disabled: 1 forbids it to most, 2 to all; null where there is no such
        /// setting.
        disabled: ?u8 = null,
        /// RLIMIT_MEMLOCK; null: unlimited, or not known.
        memlock_bytes: ?u64 = null,

        fn read() Facts {
            var facts: Facts = .{};
            var buffer: [16]u8 = undefined;
            if (system.readFile("/proc/sys/kernel/io_uring_disabled", &buffer)) |line| {
                const digits = std.mem.trim(u8, line, " \n");
                facts.disabled = std.fmt.parseInt(u8, digits, 10) catch null;
            } else |_| {} // an older kernel, or no /proc
            if (system.resourceLimit(.MEMLOCK)) |limit| {
                if (limit.cur != std.math.maxInt(@TypeOf(limit.cur)))
                    facts.memlock_bytes = limit.cur;
            } else |_| {}
            return facts;
        }
    };

    /// Of the error that the system answered with.
    pub fn of(err: system.Error) Lack {
        return from(err, Facts.read());
    }

    fn from(err: system.Error, facts: Facts) Lack {
        return switch (err) {
            error.PermissionDenied,
            error.AccessDenied,
            => if (facts.disabled orelse 0 > 0) .setting else .filter,
            error.NotSupported => .kernel_without,
            error.InvalidArgument => .kernel_old,
            error.SystemResources => if (facts.memlock_bytes != null) .memory_locked else .memory,
            error.ProcessFdQuotaExceeded, error.SystemFdQuotaExceeded => .descriptors,
            else => .unknown,
        };
    }

    /// What it is, and its cure. Lives for ever.
    pub fn text(self: Lack) []const u8 {
        return switch (self) {
            .filter => "a seccomp filter forbids io_uring, as the usual one of containers does: " ++
                "allow io_uring_setup, io_uring_enter and io_uring_register in its profile",
            .setting => "the sysctl kernel.io_uring_disabled forbids io_uring: set it to 0",
            .kernel_without => "this kernel has no io_uring: it is older than Linux 5.1, built " ++
                "without CONFIG_IO_URING, or a sandbox stands for it",
            .kernel_old => "io_uring is of use from Linux 6.1 on: use a newer kernel",
            .memory_locked => "io_uring got no memory that is locked: raise ulimit -l " ++
                "(LimitMEMLOCK=), 128 KiB for each worker of all servers of this user",
            .memory => "io_uring got no memory from the kernel",
            .descriptors => "out of file descriptors: raise ulimit -n",
            .unknown => "the kernel refused io_uring in a way that is not known",
        };
    }
};

const testing = std.testing;

test "each reason for which a system has no io_uring is told apart" {
    const cases = .{
        .{ error.PermissionDenied, Lack.Facts{}, Lack.filter },
        .{ error.PermissionDenied, Lack.Facts{ .disabled = 0 }, Lack.filter },
        .{ error.PermissionDenied, Lack.Facts{ .disabled = 1 }, Lack.setting },
        .{ error.PermissionDenied, Lack.Facts{ .disabled = 2 }, Lack.setting },
        .{ error.NotSupported, Lack.Facts{ .disabled = 2 }, Lack.kernel_without },
        .{ error.InvalidArgument, Lack.Facts{}, Lack.kernel_old },
        .{ error.SystemResources, Lack.Facts{ .memlock_bytes = 65536 }, Lack.memory_locked },
        .{ error.SystemResources, Lack.Facts{}, Lack.memory },
        .{ error.ProcessFdQuotaExceeded, Lack.Facts{}, Lack.descriptors },
        .{ error.Unexpected, Lack.Facts{}, Lack.unknown },
    };
    inline for (cases) |case| try testing.expectEqual(case[2], Lack.from(case[0], case[1]));
    for (std.enums.values(Lack)) |lack| try testing.expect(lack.text().len > 0);
}
