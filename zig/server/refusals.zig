//! Messages that are refused: who is told of them. What is answered, and how the connection ends,
//! is the protocol's affair.

const problem = @import("../http/problem.zig");
const responses_of = @import("responses.zig").Responses;
const Mailbox = @import("websocket/socket.zig").Mailbox;

pub fn Refusals(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const responses = responses_of(D);

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
        pub fn report(d: *D, conn: *Conn, code: problem.Code, status: u16) void {
            @branchHint(.cold);
            d.errors_total.store(d.errors_total.raw +% 1, .monotonic);
            if (!@hasDecl(@TypeOf(d.dispatcher.*), "onProtocolError")) return;
            const err: problem.ProtocolError = .{
                .code = code,
                .status = status,
                .peer = conn.peer,
            };
            // A socket's function may be in the middle of a send: nothing is written here.
            const before = Mailbox.away();
            defer Mailbox.leave(before);
            d.dispatcher.onProtocolError(d, &err);
        }
    };
}
