//! What every backend does when the system refuses to let it wait.

const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");

/// A filter, or a sandbox, may forbid the call, of a process that has been running for long. The
/// loop goes on, for the day that it is allowed again, and must not spin: it rests for a moment.
pub fn restAfter(err: system.Error) void {
    log.limited("waiting for connections failed ({s}): tried again in {d} ms", .{
        @errorName(err),
        limits.poll_failed_pause_ms,
    });
    system.sleepMs(limits.poll_failed_pause_ms);
}
