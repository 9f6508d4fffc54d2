//! Pool memory: what one connection may hold of it, and what happens when there is none.

const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const Code = @import("../http/problem.zig").Code;
const refusals_of = @import("refusals.zig").Refusals;

/// What found no room.
pub const Direction = enum { input, output };
/// Whose room is used up.
pub const Owner = enum {
    connection,
    pool,

    /// What a message is refused with for it.
    pub fn code(self: Owner) Code {
        return switch (self) {
            .connection => .connection_memory,
            .pool => .out_of_buffers,
        };
    }
};

pub fn Budget(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const refusals = refusals_of(D);

        /// Whose room is used up when `conn` holds what it holds; null: there is enough.
        pub fn over(d: *const D, conn: *const Conn, direction: Direction) ?Owner {
            const buffers = &d.net.pools.buffers;
            const max = d.config.connection_memory_bytes_max;
            // What is to be sent has been made: it is not given up for the sake of what may come.
            const common = switch (direction) {
                .input => d.config.buffer_memory_bytes / 4 * 3,
                .output => d.config.buffer_memory_bytes,
            };
            // Nobody holds more than all of them together.
            if (buffers.bytes_used <= @min(max, common)) return null;
            const queues = conn.input.block_bytes + conn.queue.block_bytes;
            const bytes = queues + D.heldBytes(conn);
            if (bytes > max) return .connection;
            const is_large = bytes > limits.connection_memory_share_bytes;
            return if (is_large and buffers.bytes_used > common) .pool else null;
        }

        /// A message that is being read is refused; what was to be sent cannot be left out.
        pub fn refuse(d: *D, conn: *Conn, direction: Direction, owner: Owner) void {
            @branchHint(.cold);
            if (direction == .input and !D.readsMessages(conn)) return; // refused before
            const what = switch (owner) {
                .connection => "a connection holds more memory than connection_memory_bytes_max",
                .pool => "the memory of a worker's connections (buffer_memory_bytes) is used up",
            };
            const then = switch (direction) {
                .input => "its request was refused with 503",
                .output => "it was closed",
            };
            log.limited("{s}: {s}", .{ what, then });
            switch (direction) {
                .input => d.refuse(conn, owner.code()),
                .output => refusals.closeFor(d, conn, owner.code()),
            }
        }
    };
}
