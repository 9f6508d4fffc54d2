//! Messages that are refused: the error response, and the connection's end behind it.

const std = @import("std");
const log = @import("../core/log.zig");
const status_codes = @import("../http/status.zig");
const output_of = @import("output.zig").Output;

pub fn Refusals(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const output = output_of(D);

        /// Refuses the message that is being read; the connection closes behind the error response.
        pub fn refuse(d: *D, conn: *Conn, status: u16, code: []const u8) void {
            // `request` may be of another message, or decoded in part.
            d.request.version = .http11;
            d.request.method = .GET;
            refuseDecoded(d, conn, status, code);
        }

        /// The same for a message whose head is in `request`.
        pub fn refuseDecoded(d: *D, conn: *Conn, status: u16, code: []const u8) void {
            const app = &conn.app;
            const reading_body = app.phase == .body;
            d.errors_total.store(d.errors_total.raw +% 1, .monotonic);
            app.phase = .stop;
            app.message_since_ms = 0;
            app.served = true;
            app.more_input = true; // what is left of the message may be on its way
            if (reading_body) {
                // Without one it was answered before its body.
                const ex = app.body.exchange orelse return d.endConn(conn, true);
                app.body.exchange = null;
                ex.keep_alive = false;
                switch (ex.response) {
                    .none => {},
                    .streaming => return d.net.close(conn),
                    .done => return,
                }
                if (ex.dispatched) d.dispatcher.onAbort(d, ex);
                ex.dispatched = false;
                return output.respondError(d, ex, status, code);
            }
            const ex = d.takeExchange(conn, 0, false) orelse
                return refuseBare(d, conn, status);
            output.respondError(d, ex, status, code);
        }

        /// All exchanges are in use: the least response,
        /// or just the end behind the responses that are still to come.
        fn refuseBare(d: *D, conn: *Conn, status: u16) void {
            if (conn.app.last) |last| {
                last.keep_alive = false;
                return;
            }
            var buf: [160]u8 = undefined;
            const head = std.fmt.bufPrint(
                &buf,
                "HTTP/1.1 {d} {s}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                .{ status, status_codes.reason(status) },
            ) catch unreachable; // reasons are short
            d.net.write(conn, head);
            d.endConn(conn, true);
        }

        pub fn outOfBuffers(d: *D, conn: *Conn) void {
            if (conn.app.phase == .stop) return; // refused before
            log.limited(
                "buffer memory is used up: a connection was refused with 503 (buffer_memory_bytes)",
                .{},
            );
            refuse(d, conn, 503, "out_of_buffers");
        }
    };
}
