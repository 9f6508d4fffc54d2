//! Messages that are refused: the error response, and the connection's end behind it.

const problem = @import("../http/problem.zig");
const decoder = @import("../http1/decoder.zig");
const responses_of = @import("responses.zig").Responses;

pub fn Refusals(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const responses = responses_of(D);

        /// Refuses the message that is being read; the connection closes behind the error response.
        pub fn refuse(d: *D, conn: *Conn, code: problem.Code) void {
            if (conn.app.phase == .body) return refuseBody(d, conn, code);
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
            endInput(conn);
            const ex = d.takeExchange(conn, 0, false) orelse {
                // The spare exchanges are in use: just the end behind the responses to come.
                report(d, conn, code, 0);
                conn.app.last.?.keep_alive = false;
                return;
            };
            ex.format = format;
            report(d, conn, code, problem.statusOf(code));
            responses.respondError(d, ex, code);
        }

        /// Nothing can be made of the bytes that follow.
        fn endInput(conn: *Conn) void {
            const app = &conn.app;
            app.phase = .stop;
            app.message_since_ms = 0;
            app.served = true;
            app.more_input = true; // what is left of the message may be on its way
        }

        fn refuseBody(d: *D, conn: *Conn, code: problem.Code) void {
            const app = &conn.app;
            endInput(conn);
            // Without one it was answered before its body.
            const ex = app.body.exchange orelse {
                report(d, conn, code, 0);
                return d.endConn(conn, true);
            };
            app.body.exchange = null;
            ex.keep_alive = false;
            report(d, conn, code, if (ex.response == .none) problem.statusOf(code) else 0);
            switch (ex.response) {
                .none => {},
                .streaming => return d.net.close(conn),
                .done => return,
            }
            if (ex.dispatched) d.dispatcher.onAbort(d, ex);
            ex.dispatched = false;
            responses.respondError(d, ex, code);
        }

        /// Refuses a message that has been read to its end: the connection can go on.
        pub fn refuseWhole(d: *D, conn: *Conn, ex: *D.Exchange, code: problem.Code) void {
            report(d, conn, code, problem.statusOf(code));
            responses.respondError(d, ex, code);
        }

        /// Closes the connection without a response, or in the middle of one, and tells why.
        pub fn closeFor(d: *D, conn: *Conn, code: problem.Code) void {
            report(d, conn, code, 0);
            d.net.close(conn);
        }

        /// Counts a refused message and tells the dispatcher of it; before the response, so that
        /// what is done there cannot come after the connection's end. `status` is 0 when there is
        /// no response.
        fn report(d: *D, conn: *Conn, code: problem.Code, status: u16) void {
            @branchHint(.cold);
            d.errors_total.store(d.errors_total.raw +% 1, .monotonic);
            if (!@hasDecl(@TypeOf(d.dispatcher.*), "onProtocolError")) return;
            const err: problem.ProtocolError = .{
                .code = code,
                .status = status,
                .peer = conn.peer,
            };
            d.dispatcher.onProtocolError(d, &err);
        }
    };
}
