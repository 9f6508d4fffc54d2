//! What a connection of HTTP/2 waits for: field blocks, content, windows, a thread of the handler's.

const std = @import("std");
const limits = @import("../../core/limits.zig");
const never = @import("../../core/rate.zig").never;
const Awaited = @import("../timing.zig").Awaited;
const refusals_of = @import("../refusals.zig").Refusals;

pub fn Timing(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const http2 = D.http2;
        const refusals = refusals_of(D);

        /// The earliest of its deadlines, monotonic ms.
        pub fn deadline(d: *D, conn: *Conn) u64 {
            const session = http2.of(conn);
            var first = blockDeadline(d, session);
            var at = session.first;
            while (at) |ex| : (at = ex.next) first = @min(first, deadlineOf(d, ex));
            return first;
        }

        fn blockDeadline(d: *const D, session: *const http2.Session) u64 {
            if (session.block_since_ms == 0) return never;
            return session.block_since_ms + d.config.header_timeout_ms;
        }

        /// Of one exchange.
        fn deadlineOf(d: *const D, ex: *const Exchange) u64 {
            if (ex.is_held_up) return never; // for what others of its client's do not take
            if (ex.busy.is_linked) return ex.waiting_since_ms + d.config.dispatch_timeout_ms;
            const is_coming = ex.stream.state == .open or ex.stream.state == .half_closed_local;
            // What the dispatcher has no room for is not held against the client.
            const body = if (is_coming and ex.inbox.len == 0)
                ex.body.deadlineMs(d.rates.body, d.config.body_timeout_ms)
            else
                never;
            // A client that opens no window takes nothing.
            const is_stalled = ex.held.bytes > 0 and !ex.place.link.is_linked;
            const window = if (is_stalled) ex.sent_ms + d.config.write_timeout_ms else never;
            return @min(body, window);
        }

        pub fn awaited(conn: *const Conn) Awaited {
            const session = http2.of(conn);
            if (session.first != null) return .handler;
            return if (session.served) .request else .first_request;
        }

        /// Acts on the deadlines that are over. Returns whether none is left to come.
        pub fn onTimer(d: *D, conn: *Conn) bool {
            const session = http2.of(conn);
            const now = d.net.now_ms;
            if (now >= blockDeadline(d, session)) {
                d.countTimeout();
                refusals.closeFor(d, conn, .header_timeout);
                return false;
            }
            var at = session.first;
            while (at) |ex| {
                at = ex.next;
                if (now < deadlineOf(d, ex)) continue;
                d.countTimeout();
                onLate(d, ex);
                if (!conn.isOpen()) return false;
                at = session.first; // it may have ended others
            }
            return deadline(d, conn) == never;
        }

        fn onLate(d: *D, ex: *Exchange) void {
            const carrier = d.carrierOf(ex);
            if (ex.busy.is_linked) {
                d.http2_worker.busy.remove(ex);
                return carrier.refuseMessage(ex, .dispatch_timeout);
            }
            if (ex.held.bytes > 0 and !ex.place.link.is_linked) return http2.cancel(d, ex);
            const is_silent = d.net.now_ms >= ex.body.since_ms + d.config.body_timeout_ms;
            carrier.refuseMessage(ex, if (is_silent) .body_timeout else .body_too_slow);
        }
    };
}
