//! Compressed messages that have come whole, on their way to the dispatcher.

const assert = @import("std").debug.assert;
const Chain = @import("../../core/chain.zig").Chain;
const Segment = @import("../../core/chain.zig").Segment;
const frames = @import("../../websocket/frames.zig");
const budget_of = @import("../budget.zig").Budget;
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
        const budget = budget_of(D);
        const websockets = D.websockets;

        /// Tells of a message, whole, or in parts as large as the worker's memory for it. Nothing
        /// of it is kept by the connection but what the dispatcher has no room for. Whoever is told
        /// may end the connection.
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
                    const part: Part = .{
                        .kind = kind,
                        .bytes = worker.whole[0..len],
                        .begins = begins,
                        .ends = ends,
                    };
                    if (D.asks_room) offer(d, session, &part) else tell(d, session, &part);
                    if (ends or session.tunnel == null) return;
                    begins = false;
                    len = 0;
                }
                if (result.then == .need_input) pieces.advance();
            }
        }

        const Part = struct { kind: frames.Kind, bytes: []u8, begins: bool, ends: bool };

        fn tell(d: *D, session: *Session, part: *const Part) void {
            websockets.tell(d, session, &.{
                .kind = part.kind,
                .bytes = part.bytes,
                .begins = part.begins,
                .ends = part.ends,
                .compressed = true,
                .frame_bytes = null,
            });
        }

        /// Tells of as much as the dispatcher has room for. What is left is kept until it has some:
        /// what decompresses is others' by then. Nothing more is read meanwhile.
        fn offer(d: *D, session: *Session, part: *const Part) void {
            var rest = part.*;
            if (session.backlog == null) {
                if (tellWhile(d, session, &rest)) return;
                session.backlog = .{ .kind = rest.kind, .begins = rest.begins };
                websockets.pause(d, session);
            }
            session.message.append(&d.net.pools.buffers, rest.bytes) catch
                return websockets.giveUp(d, session, .out_of_buffers);
            if (budget.over(d, session.tunnel.?.conn, .input)) |owner|
                websockets.giveUp(d, session, owner.code());
        }

        /// True: all of `part` was told, or nobody is there any more. False: it is what is left.
        fn tellWhile(d: *D, session: *Session, part: *Part) bool {
            while (session.tunnel != null) {
                // An end without bytes takes room as well.
                const room = d.dispatcher.socketRoom(d, session, @max(part.bytes.len, 1));
                if (room == 0) return false;
                var now = part.*;
                now.bytes = part.bytes[0..@min(part.bytes.len, room)];
                part.bytes = part.bytes[now.bytes.len..];
                now.ends = part.ends and part.bytes.len == 0;
                tell(d, session, &now);
                part.begins = false;
                if (part.bytes.len == 0) return true;
            }
            return true;
        }

        /// The dispatcher may have room again. True: it has been told of all that was kept.
        pub fn tellBacklog(d: *D, session: *Session) bool {
            if (!D.has_compression or !D.asks_room) return true;
            const backlog = &(session.backlog orelse return true);
            const pool = &d.net.pools.buffers;
            // Who has been told to close is heard for its answer alone.
            while (session.protocol.isOpen()) {
                const front = session.message.front();
                var part: Part = .{
                    .kind = backlog.kind,
                    .bytes = front,
                    .begins = backlog.begins,
                    .ends = front.len == session.message.len,
                };
                const is_told = tellWhile(d, session, &part);
                if (session.tunnel == null) return true;
                backlog.begins = part.begins;
                session.message.consume(pool, front.len - part.bytes.len);
                if (!is_told) return false;
                if (part.ends) break;
            }
            session.message.deinit(pool);
            session.backlog = null;
            return true;
        }
    };
}
