//! What each connection waits for, and how long it may take. At every moment one of these bounds a
//! connection, except while a handler works:
//!
//!   unsent output   the client takes some within `write_timeout_ms`, and `write_rate_min` a second
//!   a body          some comes within `body_timeout_ms`, and `body_rate_min` a second; not while
//!                   the engine does not read it, nor before a 100 (Continue) has left
//!   a head          it is whole `header_timeout_ms` after its first byte, whatever else goes on
//!   a thread        of the handler's takes a request within `dispatch_timeout_ms`
//!   a stream        once its client sends no more, some of it comes within `half_close_timeout_ms`
//!   nothing         `idle_timeout_ms` and `limits.idle_grace_ms`, behind a response that has
//!                   arrived; on a new connection `header_timeout_ms`

const std = @import("std");
const limits = @import("../core/limits.zig");
const rate = @import("../core/rate.zig");
const Code = @import("../http/problem.zig").Code;
const Config = @import("config.zig").Config;
const refusals_of = @import("refusals.zig").Refusals;

/// No deadline.
const never = std.math.maxInt(u64);

/// The rates that a configuration asks for. A client that was faster can rest for as long as one
/// that has sent, or taken, nothing: not longer, however fast it was.
pub const Rates = struct {
    body: rate.Rate,
    write: rate.Rate,

    pub fn of(config: *const Config) Rates {
        return .{
            .body = .{
                .bytes_per_s = config.body_rate_min,
                .grace_ms = config.rate_grace_ms,
                .ahead_ms_max = config.body_timeout_ms,
            },
            .write = .{
                .bytes_per_s = config.write_rate_min,
                .grace_ms = config.rate_grace_ms,
                .ahead_ms_max = config.write_timeout_ms,
            },
        };
    }
};

/// How fast a client takes what waits for it. Bytes that only moved to the system's buffer are not
/// taken yet: what is in flight is asked for when time seems to be up.
pub const WriteState = struct {
    /// Runs while there is unsent output.
    meter: rate.Meter = .{},
    /// The client took something, monotonic ms. Once it sends no more: or it was sent something.
    since_ms: u64 = 0,
    /// Given to the system and not known to be taken, bytes. Without unsent output: what was found
    /// to be so when it was last asked for; 0 before.
    in_flight: u64 = 0,
};

pub fn Timing(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const refusals = refusals_of(D);

        /// Sets the connection's timer for what it waits for now.
        pub fn afterEvent(d: *D, conn: *Conn) void {
            const app = &conn.app;
            if (app.phase == .body and app.body.awaits_continue) inviteIfSent(d, conn);
            const deadline = @min(
                writeDeadline(d, conn),
                readDeadline(d, conn),
                roomDeadline(d, conn),
                streamDeadline(d, conn),
            );
            if (deadline != never) {
                d.net.setTimer(conn, deadline);
            } else if (app.first != null) {
                d.net.clearTimer(conn); // the handler takes the time it takes
            } else if (d.net.draining) {
                d.finishIfIdle(conn);
            } else if (!app.served) {
                d.net.setTimer(conn, app.opened_ms + d.config.header_timeout_ms);
            } else {
                const idle_ms = @as(u64, d.config.idle_timeout_ms) + limits.idle_grace_ms;
                d.net.setTimer(conn, d.net.now_ms + idle_ms);
            }
        }

        fn writeDeadline(d: *const D, conn: *const Conn) u64 {
            const state = &conn.app.write;
            // While it does not run, it is not the client that output waits for.
            if (conn.queue.isEmpty() or !state.meter.is_running) return never;
            const fast = state.meter.deadlineMs(d.rates.write) orelse never;
            return @min(fast, state.since_ms + d.config.write_timeout_ms);
        }

        fn readDeadline(d: *const D, conn: *const Conn) u64 {
            const app = &conn.app;
            if (conn.paused) return never;
            switch (app.phase) {
                .head => {
                    if (app.message_since_ms == 0) return never;
                    return app.message_since_ms + d.config.header_timeout_ms;
                },
                .body => {
                    if (app.body.awaits_continue) return never;
                    const fast = app.body.meter.deadlineMs(d.rates.body) orelse never;
                    return @min(fast, app.body.since_ms + d.config.body_timeout_ms);
                },
                .stop => return never,
            }
        }

        /// Until when a thread has to have taken the request that waits for one.
        fn roomDeadline(d: *const D, conn: *const Conn) u64 {
            if (!conn.app.pause.busy) return never;
            return conn.app.busy_since_ms + d.config.dispatch_timeout_ms;
        }

        /// A client that has gone looks like one that has only ended its own side, until it is sent
        /// something. A stream that has nothing to send would never find out.
        fn streamDeadline(d: *const D, conn: *const Conn) u64 {
            const app = &conn.app;
            if (!conn.hasPeerEnded() or !conn.queue.isEmpty()) return never;
            const ex = app.first orelse return never;
            // A handler that has not answered yet keeps its chance.
            if (ex.response != .streaming) return never;
            const pause_ms = d.config.half_close_timeout_ms;
            if (pause_ms == 0) return never;
            if (app.write.in_flight > 0) return app.write.since_ms + d.config.write_timeout_ms;
            // A handler that reads on is at work.
            const read_ms = if (app.phase == .body) app.body.since_ms else 0;
            return @max(app.write.since_ms, read_ms) + if (d.net.draining)
                @min(pause_ms, limits.half_close_drain_ms)
            else
                pause_ms;
        }

        /// Once 100 (Continue) has left, behind all earlier responses, the body is the client's to
        /// send.
        fn inviteIfSent(d: *D, conn: *Conn) void {
            const app = &conn.app;
            const is_sent = conn.queue.isEmpty() and app.first == app.body.exchange;
            if (is_sent) onInvited(d, conn);
        }

        /// The body's time begins.
        pub fn onInvited(d: *D, conn: *Conn) void {
            const body = &conn.app.body;
            body.awaits_continue = false;
            body.since_ms = d.net.now_ms;
            body.meter.begin(d.rates.body, d.net.now_ms);
            if (conn.paused) body.meter.pause(d.rates.body, d.net.now_ms);
        }

        pub fn onTimer(d: *D, conn: *Conn) void {
            const app = &conn.app;
            const now = d.net.now_ms;
            if (now >= writeDeadline(d, conn) and !hasTaken(d, conn)) {
                d.countTimeout();
                const silent = now >= app.write.since_ms + d.config.write_timeout_ms;
                const code: Code = if (silent) .write_timeout else .response_too_slow;
                return refusals.closeFor(d, conn, code);
            }
            if (now >= roomDeadline(d, conn)) return d.giveUpWaiting(conn);
            const deadline = readDeadline(d, conn);
            if (now >= deadline) return refuseLate(d, conn);
            if (now >= streamDeadline(d, conn) and !isArriving(d, conn)) return d.net.close(conn);
            // Else it is set anew when this event is over.
            const rests = deadline == never and conn.queue.isEmpty();
            if (!rests or app.first != null or app.pause.busy) return;
            // A client that still reads its response has not begun to be idle.
            if (app.served and isArriving(d, conn)) return;
            d.endConn(conn, false);
        }

        fn refuseLate(d: *D, conn: *Conn) void {
            const app = &conn.app;
            d.countTimeout();
            if (app.phase == .body) {
                const silent = d.net.now_ms >= app.body.since_ms + d.config.body_timeout_ms;
                return refusals.refuse(d, conn, if (silent) .body_timeout else .body_too_slow);
            }
            // Empty lines before a request that never came (RFC 9112 §2.2) get no answer: the
            // client would take it for that of its next request.
            if (app.first == null and onlyEmptyLines(conn)) return d.endConn(conn, false);
            refusals.refuse(d, conn, .header_timeout);
        }

        fn onlyEmptyLines(conn: *const Conn) bool {
            const bytes = conn.input.front();
            return bytes.len == conn.input.len and std.mem.indexOfNone(u8, bytes, "\r\n") == null;
        }

        /// Whether the client has kept up after all: asks the system what has left.
        fn hasTaken(d: *D, conn: *Conn) bool {
            const state = &conn.app.write;
            const left = d.net.backend.inFlight(&conn.stream);
            const taken = state.in_flight -| left;
            state.in_flight = left;
            state.meter.add(d.rates.write, taken, d.net.now_ms);
            if (taken > 0) state.since_ms = d.net.now_ms;
            return d.net.now_ms < writeDeadline(d, conn);
        }

        /// The client will send no more.
        pub fn onPeerEnd(d: *D, conn: *Conn) void {
            noteSent(d, conn);
        }

        /// Some of the first exchange's stream was sent, or it has begun.
        pub fn onStreamed(d: *D, conn: *Conn) void {
            if (!conn.hasPeerEnded()) return;
            noteSent(d, conn);
            afterEvent(d, conn);
        }

        /// What a half-closed client is given from now on may pause anew.
        fn noteSent(d: *D, conn: *Conn) void {
            if (!conn.hasPeerEnded() or !conn.queue.isEmpty()) return;
            conn.app.write.since_ms = d.net.now_ms;
            conn.app.write.in_flight = 0;
        }

        /// Whether the system holds something for the client, and not just what it held when it was
        /// last asked.
        fn isArriving(d: *D, conn: *Conn) bool {
            const state = &conn.app.write;
            const before = state.in_flight;
            state.in_flight = d.net.backend.inFlight(&conn.stream);
            if (state.in_flight == before or state.in_flight == 0) return false;
            state.since_ms = d.net.now_ms;
            return true;
        }

        /// The socket is full: bytes wait for the client.
        pub fn onUnsent(d: *D, conn: *Conn) void {
            const state = &conn.app.write;
            if (!state.meter.is_running) {
                state.since_ms = d.net.now_ms;
                state.in_flight = d.net.backend.inFlight(&conn.stream);
                state.meter.begin(d.rates.write, d.net.now_ms);
            }
            afterEvent(d, conn);
        }

        /// The socket took `bytes` of what waits.
        pub fn onProgress(d: *D, conn: *Conn, bytes: u64) void {
            const state = &conn.app.write;
            if (conn.queue.isEmpty()) {
                state.meter.stop();
                state.in_flight = 0;
                return noteSent(d, conn);
            }
            if (bytes == 0) return;
            state.in_flight += bytes;
            state.since_ms = d.net.now_ms;
        }

        /// Input is not read from now on: what the client does not send is not held against it.
        pub fn onPause(d: *D, conn: *Conn) void {
            const app = &conn.app;
            app.paused_ms = d.net.now_ms;
            if (app.phase == .body) app.body.meter.pause(d.rates.body, d.net.now_ms);
        }

        pub fn onUnpause(d: *D, conn: *Conn) void {
            const app = &conn.app;
            const now = d.net.now_ms;
            if (app.message_since_ms != 0) app.message_since_ms += now - app.paused_ms;
            if (app.phase != .body) return;
            app.body.since_ms = now;
            app.body.meter.unpause(now);
        }
    };
}
