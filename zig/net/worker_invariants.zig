//! What always holds of a worker and its connections.

const std = @import("std");
const assert = std.debug.assert;

/// Asserts what holds of every connection between two turns, and of what they share.
pub fn checkWorker(worker: anytype) void {
    assert(worker.batch.isEmpty() and worker.batch.owner == null);
    assert(worker.closed == null);
    const ready = checkSlots(worker, &worker.conns) + checkSlots(worker, &worker.outbound);
    const Worker = @TypeOf(worker.*);
    const waiting = if (Worker.filters) worker.filtering.waitingCount() else 0;
    assert(ready == worker.ready.len + waiting);
    assert(worker.conns.used <= worker.port.open.load(.monotonic));
}

/// Returns how many of the connections in `slots` are on the ready list.
fn checkSlots(worker: anytype, slots: anytype) u32 {
    var ready: u32 = 0;
    var used: u32 = 0;
    for (0..slots.fresh) |slot| {
        if (!slots.isUsed(@intCast(slot))) continue;
        const conn = &slots.items[slot];
        assert(slots.get(conn.id) == conn);
        checkConnection(worker, conn);
        ready += @intFromBool(conn.is_ready);
        used += 1;
    }
    assert(used == slots.used);
    return ready;
}

/// Asserts what holds of a connection between two events.
pub fn checkConnection(worker: anytype, conn: anytype) void {
    assert(conn.is_ready == conn.ready.is_linked);
    assert(!conn.in_input and !conn.in_pump);
    assert((conn.queue.bytes == 0) == conn.queue.isEmpty());
    assert((conn.input.len == 0) == (conn.input.first == null));
    switch (conn.phase) {
        .open => {
            assert(!conn.awaits_room or !conn.queue.isEmpty());
            assert(!conn.eof_told or conn.eof);
            // What is not received is asked for again by whatever goes on with the input.
            assert(conn.eof or !conn.paused or conn.recv_paused);
            assert(conn.eof or !conn.recv_paused or conn.paused or conn.is_ready);
            // A connection that ends waits for its output alone.
            assert(!conn.finish_when_sent or !conn.queue.isEmpty());
            assert(!conn.finish_when_sent or conn.dropped <= worker.options.drop_bytes_max);
            assert(conn.spent.requests <= worker.options.turn_requests_max);
            // Records are longer than the text that was cut to what is left of the turn.
            assert(conn.is_filtered or conn.spent.bytes <= worker.options.turn_bytes_max);
            worker.protocol.checkInvariants(conn);
        },
        .lingering => {
            assert(!conn.eof and !conn.awaits_room);
            assert(conn.queue.isEmpty() and conn.input.len == 0);
            assert(!conn.is_ready);
        },
        .connecting => {
            assert(conn.kind == .outbound and !conn.awaits_room);
            assert(conn.queue.isEmpty() and conn.input.len == 0);
            assert(!conn.is_ready);
        },
        .ending => unreachable, // it has ended before the event has
        .closed => {
            assert(conn.queue.isEmpty() or conn.awaits_room);
            assert(conn.input.len == 0);
            assert(!conn.is_ready);
        },
    }
}
