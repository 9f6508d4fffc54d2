//! What a connection of HTTP/1 waits for: a head, content, a thread of the handler's, a stream.

const std = @import("std");
const limits = @import("../../core/limits.zig");
const never = @import("../../core/rate.zig").never;
const Awaited = @import("../timing.zig").Awaited;
const common_of = @import("../timing.zig").Timing;
const refusals_of = @import("refusals.zig").Refusals;

pub fn Timing(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const http1 = D.http1;
        const common = common_of(D);
        const refusals = refusals_of(D);

        /// The earliest of its deadlines, monotonic ms.
        pub fn deadline(d: *D, conn: *Conn) u64 {
            inviteIfSent(d, conn);
            return @min(readDeadline(d, conn), roomDeadline(d, conn), streamDeadline(d, conn));
        }

        pub fn awaited(conn: *Conn) Awaited {
            const own = http1.of(conn);
            if (own.first != null) return .handler;
            return if (own.served) .request else .first_request;
        }

        fn readDeadline(d: *const D, conn: *Conn) u64 {
            const own = http1.of(conn);
            if (conn.paused) return never;
            switch (own.phase) {
                .head => {
                    if (own.message_since_ms == 0) return never;
                    return own.message_since_ms + d.config.header_timeout_ms;
                },
                .body => {
                    const body = &own.reading.?.body;
                    return body.deadlineMs(d.rates.body, d.config.body_timeout_ms);
                },
                .stop => return never,
            }
        }

        /// Until when a thread has to have taken the request that waits for one.
        fn roomDeadline(d: *const D, conn: *Conn) u64 {
            const own = http1.of(conn);
            if (!own.pause.busy) return never;
            return own.busy_since_ms + d.config.dispatch_timeout_ms;
        }

        /// A client that has gone looks like one that has only ended its own side, until it is sent
        /// something. A stream that has nothing to send would never find out.
        fn streamDeadline(d: *const D, conn: *Conn) u64 {
            if (!conn.hasPeerEnded() or !conn.queue.isEmpty()) return never;
            const own = http1.of(conn);
            const ex = own.first orelse return never;
            // A handler that has not answered yet keeps its chance.
            if (ex.response != .streaming) return never;
            const pause_ms = d.config.half_close_timeout_ms;
            if (pause_ms == 0) return never;
            const pace = &conn.app.pace;
            if (pace.in_flight > 0) return pace.since_ms + d.config.write_timeout_ms;
            // A handler that reads on is at work.
            const read_ms = if (own.reading) |reading| reading.body.since_ms else 0;
            return @max(pace.since_ms, read_ms) + if (d.net.draining)
                @min(pause_ms, limits.half_close_drain_ms)
            else
                pause_ms;
        }

        /// Once 100 (Continue) has left, behind all earlier responses, the body is the client's to
        /// send.
        fn inviteIfSent(d: *D, conn: *Conn) void {
            const own = http1.of(conn);
            if (own.phase != .body) return;
            const ex = own.reading.?;
            if (!ex.body.awaits_continue or !conn.queue.isEmpty()) return;
            if (own.first == null or own.first == ex) onInvited(d, conn);
        }

        /// The time of the content that is being read begins.
        pub fn onInvited(d: *D, conn: *Conn) void {
            const ex = http1.of(conn).reading.?;
            ex.body.invite(d.rates.body, d.net.now_ms, conn.paused);
        }

        /// Returns whether nothing is under way that has a deadline of its own.
        pub fn onTimer(d: *D, conn: *Conn) bool {
            const now = d.net.now_ms;
            if (now >= roomDeadline(d, conn)) {
                http1.giveUpWaiting(d, conn);
                return false;
            }
            const read_deadline = readDeadline(d, conn);
            if (now >= read_deadline) {
                refuseLate(d, conn);
                return false;
            }
            if (now >= streamDeadline(d, conn) and !common.isArriving(d, conn)) {
                d.net.close(conn);
                return false;
            }
            return read_deadline == never and !http1.of(conn).pause.busy;
        }

        fn refuseLate(d: *D, conn: *Conn) void {
            const own = http1.of(conn);
            d.countTimeout();
            if (own.phase == .body) {
                const since_ms = own.reading.?.body.since_ms;
                const is_silent = d.net.now_ms >= since_ms + d.config.body_timeout_ms;
                return refusals.refuse(d, conn, if (is_silent) .body_timeout else .body_too_slow);
            }
            // Empty lines before a request that never came (RFC 9112 §2.2) get no answer: the
            // client would take it for that of its next request.
            if (own.first == null and onlyEmptyLines(conn)) return d.endConn(conn, false);
            refusals.refuse(d, conn, .header_timeout);
        }

        fn onlyEmptyLines(conn: *const Conn) bool {
            const bytes = conn.input.front();
            return bytes.len == conn.input.len and std.mem.indexOfNone(u8, bytes, "\r\n") == null;
        }

        /// Some of the first exchange's stream was sent, or it has begun.
        pub fn onStreamed(d: *D, conn: *Conn) void {
            if (!conn.hasPeerEnded()) return;
            common.noteSent(d, conn);
            common.afterEvent(d, conn);
        }

        /// Input is not read from now on: what the client does not send is not held against it.
        pub fn onPause(d: *D, conn: *Conn) void {
            const own = http1.of(conn);
            own.paused_ms = d.net.now_ms;
            if (own.reading) |ex| ex.body.pause(d.rates.body, d.net.now_ms);
        }

        pub fn onUnpause(d: *D, conn: *Conn) void {
            const own = http1.of(conn);
            const now = d.net.now_ms;
            if (own.message_since_ms != 0) own.message_since_ms += now - own.paused_ms;
            if (own.reading) |ex| ex.body.unpause(now);
        }
    };
}
