//! Content of requests on its way to the dispatcher, and windows given back for it.

const Sink = @import("../request_body.zig").Sink;
const request_bodies_of = @import("../request_bodies.zig").RequestBodies;
const output_of = @import("output.zig").Output;

/// For the driver `D`.
pub fn Contents(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const http2 = D.http2;
        const Session = http2.Session;
        const Stream = http2.Stream;
        const output = output_of(D);
        const request_bodies = request_bodies_of(D);

        /// The content of `ex` is to come.
        pub fn begin(d: *D, ex: *Exchange, sink: Sink) void {
            request_bodies.begin(d, ex, sink);
            ex.http2.is_reading = true;
            expectMore(d, ex);
        }

        /// Until when more of it has to come is known to the timer.
        fn expectMore(d: *D, ex: *Exchange) void {
            const session = http2.of(d.connOf(ex));
            session.expect(ex.body.deadlineMs(d.rates.body, d.config.body_timeout_ms));
        }

        pub fn takeData(d: *D, ex: *Exchange, bytes: []const u8, end_stream: bool) void {
            if (ex.http2.asks_tunnel) return D.http2.tunnels.takeData(d, ex, bytes, end_stream);
            if (!ex.http2.is_reading) return consume(d, http2.of(d.connOf(ex)), ex, bytes.len);
            ex.body.since_ms = d.net.now_ms;
            if (ex.http2.inbox.len > 0 or ex.http2.waits_for != .nothing) return keep(d, ex, bytes);
            deliver(d, ex, bytes, end_stream);
        }

        pub fn takeTrailers(d: *D, ex: *Exchange, lines: []const u8) void {
            if (!ex.http2.is_reading) return;
            const id = ex.id;
            request_bodies.keepTrailers(d, d.carrierOf(ex), ex, lines);
            if (d.exchanges.get(id) == null or !ex.http2.is_reading) return; // it was refused
            if (ex.http2.inbox.len > 0 or ex.http2.waits_for != .nothing) return;
            deliver(d, ex, "", true);
        }

        /// Nobody takes it now.
        fn keep(d: *D, ex: *Exchange, bytes: []const u8) void {
            const carrier = d.carrierOf(ex);
            // What nobody takes is not held against the client.
            if (ex.http2.inbox.len == 0) ex.body.pause(d.rates.body, d.net.now_ms);
            ex.http2.inbox.append(&d.net.pools.buffers, bytes) catch
                return carrier.refuseForMemory(ex, .pool);
            carrier.checkInputMemory(ex);
        }

        fn deliver(d: *D, ex: *Exchange, bytes: []const u8, end_stream: bool) void {
            const carrier = d.carrierOf(ex);
            const session = http2.of(d.connOf(ex));
            const id = ex.id;
            const taken = request_bodies.deliver(d, carrier, ex, bytes, 0, end_stream) orelse
                return;
            ex.body.meter.add(d.rates.body, taken, d.net.now_ms);
            const is_kept = taken < bytes.len;
            if (is_kept) keep(d, ex, bytes[taken..]);
            if (d.exchanges.get(id) == null) return;
            consume(d, session, ex, taken);
            if (is_kept or !end_stream) return;
            if (d.exchanges.get(id) != null) finish(d, ex);
        }

        /// So much of the content of `ex` is of no further concern, bytes.
        pub fn consume(d: *D, session: *Session, ex: *Exchange, bytes: usize) void {
            const stream = &ex.http2.stream;
            // What nobody wants more of is given back with the stream: the client is to stop.
            if (bytes == 0 or stream.isClosed() or ex.http2.spares_content) return;
            session.protocol.consume(stream, @intCast(bytes));
            writeUpdates(d, session, stream);
        }

        /// Writes what is due of the connection's window, and of that of `stream`.
        pub fn writeUpdates(d: *D, session: *Session, stream: ?*Stream) void {
            var updates: [@TypeOf(session.protocol).updates_bytes_max]u8 = undefined;
            const len = session.protocol.writeUpdates(stream, d.net.now_ms, &updates);
            if (len > 0) d.net.write(session.conn, updates[0..len]);
        }

        /// The content has come whole, and been taken.
        fn finish(d: *D, ex: *Exchange) void {
            ex.http2.is_reading = false;
            const conn = d.connOf(ex);
            if (ex.is_retired) return output.settle(d, http2.of(conn), ex);
            if (ex.body.sink != .gather) return;
            ex.body.sink = .discard;
            d.dispatchGathered(conn, ex);
        }

        /// The dispatcher takes the content of `ex` again.
        pub fn resumeBody(d: *D, conn: *Conn, ex: *Exchange) void {
            const pool = &d.net.pools.buffers;
            const id = ex.id;
            const inbox = &ex.http2.inbox;
            if (!ex.http2.is_reading or ex.http2.waits_for != .nothing) return;
            if (inbox.len == 0 and isWhole(ex)) return deliver(d, ex, "", true);
            while (inbox.len > 0) {
                const front = inbox.front();
                const is_last = front.len == inbox.len and isWhole(ex);
                const carrier = d.carrierOf(ex);
                const taken = request_bodies.deliver(d, carrier, ex, front, 0, is_last) orelse
                    return;
                if (!conn.isOpen() or d.exchanges.get(id) == null) return;
                // It was answered under the call: nobody wants the rest, which is gone.
                if (inbox.len == 0) break;
                const is_stuck = taken < front.len;
                inbox.consume(pool, taken);
                if (inbox.len == 0) {
                    ex.body.unpause(d.net.now_ms);
                    expectMore(d, ex);
                }
                ex.body.since_ms = d.net.now_ms;
                ex.body.meter.add(d.rates.body, taken, d.net.now_ms);
                consume(d, http2.of(conn), ex, taken);
                if (is_stuck or !conn.isOpen() or d.exchanges.get(id) == null) return;
            }
            if (isWhole(ex)) finish(d, ex);
        }

        /// Whether the client has sent all of its request.
        pub fn isWhole(ex: *const Exchange) bool {
            return ex.http2.stream.state.isRequestWhole();
        }
    };
}
