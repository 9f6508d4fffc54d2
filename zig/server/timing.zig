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

const limits = @import("../core/limits.zig");
const rate = @import("../core/rate.zig");
const Code = @import("../http/problem.zig").Code;
const Config = @import("config.zig").Config;
const refusals_of = @import("refusals.zig").Refusals;

const never = rate.never;

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

/// What a connection waits for that has nothing else to wait for.
pub const Awaited = enum { handler, first_request, request };

/// What holds of connections whatever their protocol: output has to be taken, and who has nothing
/// to say leaves. The protocol has deadlines of its own.
pub fn Timing(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const refusals = refusals_of(D);

        /// Sets the connection's timer for what it waits for now.
        pub fn afterEvent(d: *D, conn: *Conn) void {
            const deadline = @min(writeDeadline(d, conn), d.protocolDeadline(conn));
            if (deadline != never) return d.net.setTimer(conn, deadline);
            const awaited = D.awaited(conn);
            if (awaited == .handler) {
                d.net.clearTimer(conn); // it takes the time it takes
            } else if (d.net.draining) {
                d.finishIfIdle(conn);
            } else if (awaited == .first_request) {
                d.net.setTimer(conn, conn.app.opened_ms + d.config.header_timeout_ms);
            } else {
                const idle_ms = @as(u64, d.config.idle_timeout_ms) + limits.idle_grace_ms;
                d.net.setTimer(conn, d.net.now_ms + idle_ms);
            }
        }

        fn writeDeadline(d: *const D, conn: *const Conn) u64 {
            if (conn.queue.isEmpty()) return never;
            return conn.app.pace.deadlineMs(d.rates.write, d.config.write_timeout_ms);
        }

        pub fn onTimer(d: *D, conn: *Conn) void {
            if (d.net.now_ms >= writeDeadline(d, conn) and !hasTaken(d, conn)) {
                d.countTimeout();
                const is_silent = conn.app.pace.isSilent(d.net.now_ms, d.config.write_timeout_ms);
                const code: Code = if (is_silent) .write_timeout else .response_too_slow;
                return refusals.closeFor(d, conn, code);
            }
            // Else it is set anew when this event is over.
            const rests = d.onProtocolTimer(conn);
            if (!rests or !conn.queue.isEmpty()) return;
            const awaited = D.awaited(conn);
            if (awaited == .handler) return;
            // A client that still reads its response has not begun to be idle.
            if (awaited == .request and isArriving(d, conn)) return;
            // A request may be on its way to a server that has answered others.
            if (awaited == .request) d.finishIfIdle(conn) else d.endConn(conn, false);
        }

        /// Whether the client has kept up after all: asks the system what has left.
        fn hasTaken(d: *D, conn: *Conn) bool {
            const in_flight = d.net.backend.inFlight(&conn.stream);
            conn.app.pace.look(d.rates.write, d.net.now_ms, in_flight);
            return d.net.now_ms < writeDeadline(d, conn);
        }

        /// Whether something is on its way to the client.
        pub fn isArriving(d: *D, conn: *Conn) bool {
            const in_flight = d.net.backend.inFlight(&conn.stream);
            return conn.app.pace.isArriving(d.net.now_ms, in_flight);
        }

        /// What a client that sends no more is given from now on may pause anew.
        pub fn noteSent(d: *D, conn: *Conn) void {
            if (!conn.hasPeerEnded() or !conn.queue.isEmpty()) return;
            conn.app.pace.noteSent(d.net.now_ms);
        }

        /// The socket is full: bytes wait for the client.
        pub fn onUnsent(d: *D, conn: *Conn) void {
            const pace = &conn.app.pace;
            if (!pace.meter.is_running) {
                const in_flight = d.net.backend.inFlight(&conn.stream);
                pace.begin(d.rates.write, d.net.now_ms, in_flight);
            }
            afterEvent(d, conn);
        }

        /// The socket took `bytes` of what waits.
        pub fn onProgress(d: *D, conn: *Conn, bytes: u64) void {
            if (!conn.queue.isEmpty()) return conn.app.pace.progress(d.net.now_ms, bytes);
            conn.app.pace.end();
            noteSent(d, conn);
        }
    };
}
