//! What becomes of streams when the kernel has forgotten what it was asked for them, or would not
//! be asked: they fail.

const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const io = @import("io.zig");
const State = @import("uring_state.zig").State;
const Uring = @import("uring.zig").Uring;

/// Completions were lost, and with them bytes of whoever they were for, and the ends of
/// operations that slots wait for. All connections are ended; listeners go on.
pub fn startOver(self: *Uring, context: anytype) bool {
    @branchHint(.cold);
    log.err("io_uring lost what it had to tell, for want of kernel memory: all connections " ++
        "of a thread are ended", .{});
    self.lost_track = true;
    self.kernel.cancelAll() catch |err| startOverFailed(err);
    for (0..Uring.sizes.completions) |_| {
        while (self.kernel.take()) |_| {}
        if (!self.kernel.hasWork()) break;
        self.enter(0);
    }
    self.buffers.startOver(&self.kernel) catch |err| startOverFailed(err);
    self.held_len = 0;
    self.kept_buffers = 0;
    self.awaitBell();
    var from: u32 = 0;
    while (context.nextStream(&from)) |stream| {
        const state = State.of(stream);
        if (stream.fd == -1 and !state.is_closing) continue;
        if (state.under_way.send or state.under_way.notice)
            self.zero_copies.release(state.send_place);
        state.is_lost = true;
        state.lost_connect = state.under_way.connect;
        state.under_way = .{};
        state.cancelling = false;
    }
    // Only then: what is told of one may begin something of another.
    tell(self, context);
    return true;
}

/// Tells of the streams that were lost; a listener tries again.
pub fn tell(self: *Uring, context: anytype) void {
    @branchHint(.cold);
    self.has_lost = false;
    var from: u32 = 0;
    while (context.nextStream(&from)) |stream| {
        const state = State.of(stream);
        if (!state.is_lost) continue;
        state.is_lost = false;
        if (state.is_closing) {
            Uring.finishClose(stream, context);
        } else if (stream.token.kind == .listener) {
            if (state.wants_input) self.resumeAccept(stream);
        } else if (state.lost_connect) {
            state.lost_connect = false;
            if (comptime io.connects(@TypeOf(context.*)))
                context.onConnected(stream.token, .{ .failed = error.SystemResources });
        } else {
            context.onRecv(stream.token, .failed);
        }
    }
}

fn startOverFailed(err: system.Error) void {
    log.err("io_uring could not be started over: {s}", .{@errorName(err)});
}
