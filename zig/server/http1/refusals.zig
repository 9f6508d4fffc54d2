//! HTTP/1 messages that are refused: the error response, and the connection's end behind it.

const problem = @import("../../http/problem.zig");
const decoder = @import("../../http1/decoder.zig");
const refusals_of = @import("../refusals.zig").Refusals;
const responses_of = @import("../responses.zig").Responses;

pub fn Refusals(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const http1 = D.http1;
        const common = refusals_of(D);
        const responses = responses_of(D);

        /// Refuses the message that is being read; the connection closes behind the error response.
        pub fn refuse(d: *D, conn: *Conn, code: problem.Code) void {
            if (http1.of(conn).phase == .body) return refuseBody(d, conn, code);
            refuseHead(d, conn, conn.input.front(), code);
        }

        /// The same for a head that is not in `request`: `bytes` is what there is of it. What HEAD
        /// is answered with has no content, whatever became of its fields (RFC 9110 §9.3.2).
        pub fn refuseHead(d: *D, conn: *Conn, bytes: []const u8, code: problem.Code) void {
            // `request` may be of another message, or decoded in part.
            d.request.version = .http11;
            d.request.method = if (decoder.beginsWithHead(bytes)) .HEAD else .GET;
            refuseMessage(d, conn, code, problem.formatIn(bytes));
        }

        /// The same for a message whose head is in `request`.
        pub fn refuseDecoded(d: *D, conn: *Conn, code: problem.Code) void {
            refuseMessage(d, conn, code, problem.formatOf(&d.request.fields));
        }

        fn refuseMessage(d: *D, conn: *Conn, code: problem.Code, format: problem.Format) void {
            http1.endInput(conn);
            const ex = http1.takeExchange(d, conn, 0, false) orelse {
                // The spare exchanges are in use: just the end behind the responses to come.
                common.report(d, conn, code, 0);
                http1.of(conn).last.?.keep_alive = false;
                return;
            };
            ex.format = format;
            common.report(d, conn, code, problem.statusOf(code));
            responses.respondError(d, ex, code);
        }

        fn refuseBody(d: *D, conn: *Conn, code: problem.Code) void {
            const ex = http1.stopReading(d, conn) orelse {
                // It was answered before its content.
                common.report(d, conn, code, 0);
                return d.endConn(conn, true);
            };
            ex.keep_alive = false;
            common.report(d, conn, code, if (ex.response == .none) problem.statusOf(code) else 0);
            switch (ex.response) {
                .none => {},
                .streaming => return d.net.close(conn),
                .done => return,
            }
            if (ex.dispatched) d.dispatcher.onAbort(d, ex);
            ex.dispatched = false;
            responses.respondError(d, ex, code);
        }
    };
}
