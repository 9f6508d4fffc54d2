//! Pool memory: what one connection may hold of it, and what happens when there is none.

const log = @import("../core/log.zig");
const Code = @import("../http/problem.zig").Code;
const refusals_of = @import("refusals.zig").Refusals;

/// What found no room.
pub const Direction = enum { input, output };
/// Whose room is used up.
pub const Owner = enum { connection, pool };

pub fn Budget(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const refusals = refusals_of(D);

        pub fn isOver(d: *const D, conn: *const Conn) bool {
            const max = d.config.connection_memory_bytes_max;
            // Nobody holds more than all of them together.
            if (d.net.pools.buffers.bytes_used <= max) return false;
            return held(conn) > max;
        }

        /// The blocks that belong to a connection, bytes.
        fn held(conn: *const Conn) u64 {
            var bytes = conn.input.block_bytes + conn.queue.block_bytes;
            var at = conn.app.first;
            while (at) |ex| : (at = ex.next) {
                bytes += ex.gathered.block_bytes + ex.trailers.block_bytes + ex.held.block_bytes;
            }
            return bytes;
        }

        /// A message that is being read is refused; what was to be sent cannot be left out.
        pub fn refuse(d: *D, conn: *Conn, direction: Direction, owner: Owner) void {
            @branchHint(.cold);
            if (direction == .input and conn.app.phase == .stop) return; // refused before
            const what = switch (owner) {
                .connection => "a connection holds more memory than connection_memory_bytes_max",
                .pool => "the memory of a worker's connections (buffer_memory_bytes) is used up",
            };
            const then = switch (direction) {
                .input => "its request was refused with 503",
                .output => "it was closed",
            };
            log.limited("{s}: {s}", .{ what, then });
            const code: Code = switch (owner) {
                .connection => .connection_memory,
                .pool => .out_of_buffers,
            };
            switch (direction) {
                .input => refusals.refuse(d, conn, code),
                .output => refusals.closeFor(d, conn, code),
            }
        }
    };
}
