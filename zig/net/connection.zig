//! A connection as its worker keeps it.

const std = @import("std");
const assert = std.debug.assert;
const Address = @import("../core/address.zig").Address;
const Chain = @import("../core/chain.zig").Chain;
const list = @import("../core/list.zig");
const Id = @import("../core/slots.zig").Id;
const io = @import("../io/io.zig");
const WriteQueue = @import("write_queue.zig").WriteQueue;

/// What a connection has had of turn `turn` of its worker.
pub const Spent = struct { turn: u32 = 0, bytes: u32 = 0, requests: u16 = 0 };

pub const Phase = enum(u8) {
    /// It was begun from here, and is not there yet.
    connecting,
    open,
    /// Its protocol is being told that it ends.
    ending,
    lingering,
    closed,
};

/// In memory: what is written under backpressure, then the protocol's part, whose end is looked at
/// with each request, and what of this part is. Zig orders fields by alignment and then as
/// declared, so that words come before bytes; the assertions below hold it so.
pub fn Connection(comptime Io: type, comptime Protocol: type) type {
    return struct {
        const Self = @This();

        queue: WriteQueue align(64) = .{},
        /// Received and not consumed. Empty, and without a block, between messages.
        input: Chain = .{},
        /// Its place in the worker's ready list.
        ready: list.Link(Self) = .{},
        next_closed: ?*Self = null,
        /// What came and was dropped since its peer took some of the output that waits; and how
        /// much of that the system held when it began. Bytes.
        dropped: u64 = 0,
        dropped_since_in_flight: u64 = 0,
        padding: [padding_bytes]u8 align(8) = undefined,
        app: Protocol.ConnState = .{},
        stream: Io.Stream = .{},
        id: Id,
        spent: Spent = .{},
        /// The turn in which it came to the ready list.
        ready_turn: u32 = 0,
        peer: Address,
        /// The number of the listener that it came in by.
        listener: u16 = 0,
        phase: Phase = .open,
        /// Whether it came in, or was made from here.
        kind: io.Token.Of = .accepted,
        /// It has used up its turn and goes on with the next. Its events wait that long.
        is_ready: bool = false,
        /// Input is not given to the protocol: `resumeInput` ends it.
        paused: bool = false,
        /// Nor is it received: for as long as the protocol has not seen all that was before.
        recv_paused: bool = false,
        /// The peer sends no more; and the protocol knows.
        eof: bool = false,
        eof_told: bool = false,
        /// The peer sends no more, and input is paused: its end stands behind what is unread.
        eof_ahead: bool = false,
        /// Within the input loop: a `resumeInput` is remembered, not nested.
        in_input: bool = false,
        in_pump: bool = false,
        /// The socket is full, and `onSent` will tell: the system may have the queue's beginning.
        awaits_room: bool = false,
        finish_when_sent: bool = false,
        linger: bool = false,
        /// Set by the protocol: the connection's end would look like that of a message that is not
        /// whole.
        is_cut: bool = false,
        /// Its bytes pass a filter (filtering.zig).
        is_filtered: bool = false,

        const cold_bytes = @sizeOf(WriteQueue) + @sizeOf(Chain) + @sizeOf(list.Link(Self)) +
            @sizeOf(?*Self) + 2 * @sizeOf(u64) + hot_offset;
        const has_layout = @hasDecl(Protocol.ConnState, "hot_offset");
        const hot_offset = if (has_layout) Protocol.ConnState.hot_offset else 0;
        /// The hot fields begin a cache line.
        const padding_bytes = std.mem.alignForward(usize, cold_bytes, 64) - cold_bytes;

        /// Asserts where the fields lie.
        pub fn checkLayout() void {
            if (!has_layout) return;
            comptime {
                const hot = @offsetOf(Self, "app") + hot_offset;
                assert(hot % 64 == 0);
                // A stream may take more where the system writes to it.
                const stream_bytes = @max(@sizeOf(Io.Stream), 16);
                assert(@sizeOf(Self) - hot == std.mem.alignForward(usize, 112 + stream_bytes, 64));
            }
        }

        pub fn readyLink(self: *Self) *list.Link(Self) {
            return &self.ready;
        }

        pub fn isOpen(self: *const Self) bool {
            return self.phase == .open;
        }

        /// The peer sends no more. It may still read, or be gone.
        pub fn hasPeerEnded(self: *const Self) bool {
            return self.eof_told or self.eof_ahead;
        }
    };
}
