//! What each connection waits for, and how long it may take.

const refusals_of = @import("refusals.zig").Refusals;

pub fn Timing(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const refusals = refusals_of(D);

        /// Sets the connection's timer for what it waits for now.
        pub fn afterEvent(d: *D, conn: *Conn) void {
            const app = &conn.app;
            const config = d.config;
            const slot = conn.id.slot;
            if (!conn.queue.isEmpty()) {
                d.net.wheel.set(slot, app.write_since_ms + config.write_timeout_ms);
            } else if (app.phase == .body and !conn.paused) {
                d.net.wheel.set(slot, app.body.since_ms + config.body_timeout_ms);
            } else if (app.first != null or app.pause.busy) {
                d.net.wheel.clear(slot); // the handler takes the time it takes
            } else if (d.net.draining and app.message_since_ms == 0) {
                d.finishIfIdle(conn);
            } else if (app.message_since_ms != 0) {
                d.net.wheel.set(slot, app.message_since_ms + config.header_timeout_ms);
            } else if (!app.served) {
                d.net.wheel.set(slot, app.opened_ms + config.header_timeout_ms);
            } else d.net.wheel.set(slot, d.net.now_ms + config.idle_timeout_ms);
        }

        pub fn onTimer(d: *D, conn: *Conn) void {
            const app = &conn.app;
            if (!conn.queue.isEmpty()) return d.net.close(conn);
            if (app.phase == .body and !conn.paused) {
                return refusals.refuse(d, conn, 408, "body_timeout");
            }
            if (app.first != null or app.pause.busy) return;
            if (app.message_since_ms != 0) return refusals.refuse(d, conn, 408, "header_timeout");
            d.endConn(conn, false);
        }
    };
}
