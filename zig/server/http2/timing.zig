//! What a connection of HTTP/2 waits for: field blocks, content, windows, a thread of the
//! handler's.

const std = @import("std");
const limits = @import("../../core/limits.zig");
const never = @import("../../core/rate.zig").never;
const Awaited = @import("../timing.zig").Awaited;
const common_timing_of = @import("../timing.zig").Timing;

pub fn Timing(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const common_timing = common_timing_of(D);
        const http2 = D.http2;

        /// The earliest of its deadlines, or a moment before it, monotonic ms.
        pub fn deadline(d: *D, conn: *Conn) u64 {
            const session = http2.of(conn);
            if (session.is_over) return never;
            const first = @min(session.due_ms, ownDeadline(d, session));
            return @min(first, halfClosedDeadline(d, session));
        }

        /// Of what no exchange waits for.
        fn ownDeadline(d: *const D, session: *const http2.Session) u64 {
            const window = if (session.order.isEmpty())
                never
            else
                session.stall.deadlineMs(d.rates.write, d.config.write_timeout_ms);
            return @min(blockDeadline(d, session), farewellDeadline(session), window);
        }

        /// A client that has gone looks like one that has only ended its own side, until it is sent
        /// something. Streams that have nothing to send would never find out.
        fn halfClosedDeadline(d: *const D, session: *const http2.Session) u64 {
            const conn = session.conn;
            if (!conn.hasPeerEnded() or !conn.queue.isEmpty()) return never;
            const pause_ms = d.config.half_close_timeout_ms;
            if (pause_ms == 0) return never;
            var at = session.first orelse return never;
            // A handler that has not answered yet keeps its chance.
            while (at.response != .streaming) at = at.next orelse return never;
            const pace = &conn.app.pace;
            if (pace.in_flight > 0) return pace.since_ms + d.config.write_timeout_ms;
            // A handler that reads on is at work.
            const read_ms = if (at.http2.is_reading) at.body.since_ms else 0;
            return @max(pace.since_ms, read_ms) + if (d.net.draining)
                @min(pause_ms, limits.half_close_drain_ms)
            else
                pause_ms;
        }

        fn blockDeadline(d: *const D, session: *const http2.Session) u64 {
            if (session.block_since_ms == 0) return never;
            return session.block_since_ms + d.config.header_timeout_ms;
        }

        fn farewellDeadline(session: *const http2.Session) u64 {
            if (session.farewell != .announced) return never;
            return session.farewell_ms + limits.http2_farewell_ms;
        }

        /// Of one exchange.
        fn deadlineOf(d: *D, ex: *const Exchange) u64 {
            switch (ex.http2.waits_for) {
                .nothing, .turn => {},
                .client => return never, // for what others of its client's do not take
                .dispatcher => return ex.http2.busy_since_ms + d.config.dispatch_timeout_ms,
            }
            const window = ex.http2.stall.deadlineMs(d.rates.write, d.config.write_timeout_ms);
            return @min(bodyDeadline(d, ex), window, socketDeadline(d, ex));
        }

        /// Of what its WebSocket waits for.
        fn socketDeadline(d: *D, ex: *const Exchange) u64 {
            return if (D.has_sockets) D.websockets.streamDeadline(d, ex) else never;
        }

        fn bodyDeadline(d: *const D, ex: *const Exchange) u64 {
            if (!ex.http2.is_reading or http2.isWhole(ex)) return never;
            // What the dispatcher has no room for is not held against the client; nor that it has
            // nothing to say while both sides talk.
            if (ex.http2.inbox.len > 0) return never;
            if (ex.response != .none and !ex.http2.has_ended) return never;
            return ex.body.deadlineMs(d.rates.body, d.config.body_timeout_ms);
        }

        pub fn awaited(conn: *const Conn) Awaited {
            const session = http2.of(conn);
            if (session.first != null) return .handler;
            // A client that has told its settings may have nothing to ask yet.
            const has_begun = session.served or session.protocol.frames.has_settings;
            return if (has_begun) .request else .first_request;
        }

        /// Acts on the deadlines that are over. Returns whether none is left to come.
        pub fn onTimer(d: *D, conn: *Conn) bool {
            const session = http2.of(conn);
            if (session.is_over) return false;
            const now = d.net.now_ms;
            if (now >= blockDeadline(d, session)) {
                d.countTimeout();
                http2.endFor(d, session, .header_timeout, .protocol_error);
                return false;
            }
            if (now >= farewellDeadline(session)) {
                http2.finalFarewell(d, session);
                if (!conn.isOpen()) return false;
            }
            const is_arriving = now >= deadline(d, conn) and isArriving(d, session);
            if (now >= ownDeadline(d, session)) {
                if (is_arriving and session.stall.restart(d.rates.write, now)) return false;
                d.countTimeout();
                http2.endFor(d, session, .write_timeout, .enhance_your_calm);
                return false;
            }
            if (now >= halfClosedDeadline(d, session)) {
                if (!common_timing.isArriving(d, conn)) d.net.close(conn);
                return false;
            }
            if (now >= session.due_ms) {
                if (is_arriving) restartStalls(d, session);
                lookAtExchanges(d, session);
            }
            return conn.isOpen() and deadline(d, conn) == never;
        }

        /// Whether the system holds something for the client, and not just what it held when it was
        /// last asked. It tells of all streams together.
        fn isArriving(d: *D, session: *http2.Session) bool {
            const before = session.in_flight;
            session.in_flight = d.net.backend.inFlight(&session.conn.stream);
            return session.in_flight != 0 and session.in_flight != before;
        }

        /// No window is opened for what has not come.
        fn restartStalls(d: *D, session: *http2.Session) void {
            var at = session.first;
            while (at) |ex| : (at = ex.next) {
                const is_late = d.net.now_ms >= deadlineOf(d, ex);
                if (is_late and ex.http2.stall.is_on)
                    _ = ex.http2.stall.restart(d.rates.write, d.net.now_ms);
            }
        }

        fn lookAtExchanges(d: *D, session: *http2.Session) void {
            const now = d.net.now_ms;
            var first: u64 = never;
            // What comes to be expected meanwhile, of exchanges that were looked at too, is kept.
            session.due_ms = never;
            var at = session.first;
            while (at) |ex| {
                at = ex.next;
                if (now >= socketDeadline(d, ex)) {
                    const id = ex.id;
                    const next = if (at) |after| after.id else null;
                    D.websockets.onStreamTimer(d, ex);
                    if (!session.conn.isOpen()) return;
                    // It may have ended, and others with it.
                    if (next) |after| at = d.exchanges.get(after) orelse session.first;
                    if (d.exchanges.get(id) == null) continue;
                }
                const deadline_ms = deadlineOf(d, ex);
                if (now < deadline_ms) {
                    first = @min(first, deadline_ms);
                    continue;
                }
                onLate(d, ex);
                if (!session.conn.isOpen()) return;
                at = session.first; // it may have ended others
                first = never;
            }
            session.expect(first);
        }

        fn onLate(d: *D, ex: *Exchange) void {
            const carrier = d.carrierOf(ex);
            // Both sides have said all: many clients leave the end of theirs off.
            const is_over = ex.http2.stream.is_tunnel and ex.http2.has_ended;
            if (is_over) return http2.reset(d, ex, .no_error);
            d.countTimeout();
            if (ex.http2.waits_for == .dispatcher) {
                http2.stopWaiting(d, ex);
                return carrier.refuseMessage(ex, .dispatch_timeout);
            }
            if (ex.http2.stall.is_on) return http2.cancel(d, ex);
            const is_silent = d.net.now_ms >= ex.body.since_ms + d.config.body_timeout_ms;
            carrier.refuseMessage(ex, if (is_silent) .body_timeout else .body_too_slow);
        }
    };
}
