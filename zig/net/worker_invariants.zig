//! What always holds of a worker and its connections.

const std = @import("std");
const assert = std.debug.assert;

/// Asserts what holds of every connection between two turns, and of what they share.
pub fn checkWorker(worker: anytype) void {
    assert(worker.batch.isEmpty() and worker.batch.owner == null);
    assert(worker.closed == null);
    var linked: u32 = 0;
    var used: u32 = 0;
    for (0..worker.conns.fresh) |slot| {
        if (!worker.conns.isUsed(@intCast(slot))) continue;
        const conn = &worker.conns.items[slot];
        checkConnection(worker, conn);
        linked += @intFromBool(conn.is_ready);
        used += 1;
    }
    assert(used == worker.conns.used);
    assert(linked == worker.ready.len);
    assert(used <= worker.port.open.load(.monotonic));
}

/// Asserts what holds of a connection between two events.
pub fn checkConnection(worker: anytype, conn: anytype) void {
    assert(worker.conns.get(conn.id) == conn);
    assert(conn.is_ready == conn.ready.is_linked);
    assert(!conn.in_input and !conn.in_pump);
    assert((conn.queue.bytes == 0) == conn.queue.isEmpty());
    assert((conn.input.len == 0) == (conn.input.first == null));
    switch (conn.phase) {
        .open => {
            assert(conn.stream.fd != -1);
            assert(!conn.eof_told or conn.eof);
            // A connection that ends waits for its output alone.
            assert(!conn.finish_when_sent or !conn.queue.isEmpty());
            assert(conn.spent.requests <= worker.options.turn_requests_max);
            assert(conn.spent.bytes <= worker.options.turn_bytes_max);
            worker.protocol.checkInvariants(conn);
        },
        .lingering => {
            assert(conn.stream.fd != -1 and !conn.eof);
            assert(conn.queue.isEmpty() and conn.input.len == 0);
            assert(!conn.is_ready);
        },
        .closed => {
            assert(conn.queue.isEmpty() and conn.input.len == 0);
            assert(!conn.is_ready);
        },
    }
}
