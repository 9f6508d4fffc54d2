//! Compressed messages that have come whole, on their way to the dispatcher.

const assert = @import("std").debug.assert;
const Chain = @import("../../core/chain.zig").Chain;
const Segment = @import("../../core/chain.zig").Segment;
const frames = @import("../../websocket/frames.zig");
const sessions_of = @import("session.zig").Sessions;

/// The bytes of a message, as they lie.
pub const Pieces = struct {
    bytes: []const u8,
    rest: ?*Segment,

    pub fn of(bytes: []const u8) Pieces {
        return .{ .bytes = bytes, .rest = null };
    }

    pub fn ofChain(chain: *const Chain) Pieces {
        const first = chain.first orelse return .of("");
        return .{ .bytes = first.bytes(), .rest = first.next };
    }

    fn isLast(self: *const Pieces) bool {
        return self.rest == null;
    }

    fn advance(self: *Pieces) void {
        assert(self.bytes.len == 0);
        const segment = self.rest.?;
        self.* = .{ .bytes = segment.bytes(), .rest = segment.next };
    }
};

/// The part of the driver `D` that decompresses.
pub fn Inflater(comptime D: type) type {
    return struct {
        const Session = sessions_of(D).Session;
        const websockets = D.websockets;

        /// Tells of a message, whole, or in parts as large as the worker's memory for it: nothing
        /// of it is kept by the connection. Whoever is told may end the connection.
        pub fn take(
            d: *D,
            session: *Session,
            kind: frames.Kind,
            message: Pieces,
        ) void {
            if (!D.has_compression) unreachable; // the decoder takes none
            const worker = &d.websocket_worker;
            const compression = worker.compression.?;
            // Before whoever is told of the message says something, which counts for itself.
            defer worker.sends_left -|= worker.takeSpent();
            var inflation = compression.inflate(&session.ends, kind);
            defer inflation.abandon();
            var pieces = message;
            var begins = true;
            var len: usize = 0;
            while (true) {
                const out = worker.whole[len..];
                const result = switch (inflation.next(pieces.bytes, pieces.isLast(), out)) {
                    .failed => |err| {
                        const reply = session.protocol.fail(err, &worker.out);
                        return websockets.fail(d, session, err, reply);
                    },
                    .result => |result| result,
                };
                pieces.bytes = pieces.bytes[result.consumed..];
                len += result.bytes.len;
                compression.chargeInflated(result.bytes.len);
                const ends = result.then == .done;
                // A message that is told whole has found out that it is too long before it is here.
                assert(ends or !D.gathers_messages or len < worker.whole.len);
                if (ends or len == worker.whole.len) {
                    websockets.tell(d, session, &.{
                        .kind = kind,
                        .bytes = worker.whole[0..len],
                        .begins = begins,
                        .ends = ends,
                        .compressed = true,
                        .frame_bytes = null,
                    });
                    if (ends or session.tunnel == null) return;
                    begins = false;
                    len = 0;
                }
                if (result.then == .need_input) pieces.advance();
            }
        }
    };
}
