//! One request and its response, from the head's arrival to the response's last byte.

const Chain = @import("../core/chain.zig").Chain;
const slots = @import("../core/slots.zig");
const problem = @import("../http/problem.zig");
const Version = @import("../http/request.zig").Version;
const RequestBody = @import("request_body.zig").RequestBody;
const WriteQueue = @import("../net/write_queue.zig").WriteQueue;
const Http2Part = @import("http2/part.zig").Part;

pub const ExchangeId = slots.Id;

/// What a dispatcher says to a request.
pub const Action = enum {
    /// The response is filled in.
    respond,
    /// Ask again when the whole body is in `req.body`.
    /// Only while `Exchange.body_complete` is false.
    buffer,
    /// The answer comes later, by the worker's `respond`, `beginStream`, `respondError` or `reset`.
    pending,
    /// The connection is to leave HTTP as `Response.upgrade` says. Of a dispatcher with sockets.
    upgrade,
    /// No room now: the request stays unread and is offered again after the worker's `retryBusy`.
    busy,
};

/// `State` is the dispatcher's own part.
pub fn Exchange(comptime State: type) type {
    return struct {
        const Self = @This();

        id: ExchangeId,
        /// The connection it arrived on.
        conn: slots.Id,
        /// The next request of the same connection, and the one before.
        next: ?*Self = null,
        prev: ?*Self = null,
        version: Version,
        /// The response has no body (RFC 9110 §9.3.2).
        is_head: bool,
        /// A success would turn the connection into a tunnel (RFC 9110 §9.3.6).
        is_connect: bool = false,
        /// The connection may carry another request after this one.
        keep_alive: bool,
        /// The client is told for how long.
        keep_alive_asked: bool = false,
        /// Length of the request body, bytes; null: chunked.
        body_length: ?u64,
        /// `req.body` holds the whole body during `onRequest`.
        body_complete: bool = false,
        /// Set by a dispatcher that returns `pending` with `body_complete`
        /// and has taken the body from `req.body`.
        body_taken: bool = false,
        /// Set by a dispatcher that returns `pending` and may have the connection leave HTTP for
        /// it: nothing that follows is read until it has been answered.
        holds_input: bool = false,
        /// Means something while the content is being read.
        body: RequestBody = undefined,
        /// Its response has been sent, and its content is still being read, for nobody: it is in no
        /// order any more, and ends with that.
        is_retired: bool = false,
        /// The dispatcher holds its id: it is told when the exchange ends early.
        dispatched: bool = false,
        /// The dispatcher was told that the client sends no more.
        eof_told: bool = false,
        /// The response has no body, whatever is streamed.
        drop_body: bool = false,
        response: Phase = .none,
        /// The form of an error page that is made when the request's head is gone.
        format: problem.Format = .text,
        /// Bytes of a streamed response that are still to come; null: chunked or ended by close.
        stream_left: ?u64 = null,
        chunked: bool = false,
        /// Streamed bytes for which no credit has been given yet.
        uncredited: u64 = 0,
        /// Head and body of a request whose body is gathered.
        gathered: Chain = .{},
        head_len: u32 = 0,
        /// Trailer lines of the request ("name: value\r\n"), checked, without the empty line; whole
        /// before `onBody` is told of the end, and during `onRequest` when the body came whole.
        /// `worker.trailerFields` makes fields of them.
        trailers: Chain = .{},
        /// Response bytes that wait for the responses of earlier requests.
        held: WriteQueue = .{},
        /// What of it is in memory, as its connection has counted it, bytes.
        held_bytes: u64 = 0,
        /// The ranges of files in `held`, as counted for the connection.
        held_files: u32 = 0,
        /// The response does not keep what its head has promised: it must not look whole.
        is_spoiled: bool = false,
        http2: Http2Part(Self) = undefined,
        user: State = .{},

        pub const Phase = enum(u8) { none, streaming, done };

        /// A body is under way that nothing but the connection's end will end (RFC 9112 §6.3).
        pub fn endsByClose(self: *const Self) bool {
            return self.response == .streaming and !self.chunked and !self.drop_body and
                self.stream_left == null;
        }
    };
}
