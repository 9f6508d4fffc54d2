//! What an exchange has of HTTP/2's: of meaning where that is spoken, and not filled in elsewhere.

const list = @import("../../core/list.zig");
const Chain = @import("../../core/chain.zig").Chain;
const Id = @import("../../core/slots.zig").Id;
const Place = @import("../../http2/scheduler.zig").Place;
const Stream = @import("../../http2/connection.zig").Stream;
const Stall = @import("stall.zig").Stall;

/// Of an exchange of type `E`.
pub fn Part(comptime E: type) type {
    return struct {
        stream: Stream = undefined,
        /// Among those of its connection that may send.
        place: Place(E),
        /// Among those that wait: for the dispatcher, for others of their connection, for a turn.
        waiting: list.Link(E) = .{},
        waits_for: WaitsFor = .nothing,
        /// Since when the dispatcher has no room for it, monotonic ms.
        busy_since_ms: u64 = 0,
        /// Its stream's window is closed, and it has content to send.
        stall: Stall = .{},
        /// A head that is looked at again: the block's text, `block_len` bytes, and its lines.
        head: Chain = .{},
        block_len: u32 = 0,
        head_lines: u16 = 0,
        /// Content of the request, or of a tunnel, that nobody has taken yet.
        inbox: Chain = .{},
        /// Trailer lines of the response, as of HTTP/1.
        trailing: Chain = .{},
        /// Content of the request is still to be read, or to be taken.
        is_reading: bool = false,
        /// The client sends its content when it is told to.
        awaits_continue: bool = false,
        /// It has been given all of its credit.
        is_large: bool = false,
        /// END_STREAM has been sent.
        has_ended: bool = false,
        /// Nobody wants the rest of the request's content.
        spares_content: bool = false,
        /// An extended CONNECT: what comes behind its head is no content, but its tunnel's.
        asks_tunnel: bool = false,
        /// The WebSocket that its stream carries.
        socket: Id = .none,

        pub const WaitsFor = enum {
            nothing,
            dispatcher,
            client,
            /// A tunnel, of which something is to be read.
            turn,
        };
    };
}
