//! What WebSockets are sent, and what bounds it: a peer that does not take what it is sent costs
//! itself its messages, or its connection, and nobody else anything.

const Id = @import("../../core/slots.zig").Id;
const limits = @import("../../core/limits.zig");
const frames = @import("../../websocket/frames.zig");
const errors = @import("../../websocket/errors.zig");
const sessions_of = @import("session.zig").Sessions;
const socket = @import("socket.zig");
const Status = socket.Socket.Status;

/// The part of the driver `D` that sends to sockets.
pub fn Output(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const websockets = D.websockets;
        const Session = sessions_of(D).Session;

        pub const operations: socket.Mailbox.Operations = .{ .say = sayErased, .wake = wake };

        fn of(owner: *anyopaque) *D {
            return @alignCast(@ptrCast(owner));
        }

        fn sayErased(
            owner: *anyopaque,
            id: Id,
            word: socket.Word,
            topic: []const u8,
            bytes: []const u8,
        ) Status {
            return say(of(owner), id, word, topic, bytes);
        }

        /// Any thread.
        fn wake(owner: *anyopaque) void {
            const d = of(owner);
            d.net.port.wake(@TypeOf(d.net.backend));
        }

        /// What a program, on whatever thread, says to a socket. All has been checked.
        pub fn say(
            d: *D,
            id: Id,
            word: socket.Word,
            topic: []const u8,
            bytes: []const u8,
        ) Status {
            if (word == .publish) {
                publish(d, id, topic, word.publish, bytes);
                return .sent;
            }
            const session = websockets.byId(d, id) orelse return .closed;
            const conn = session.conn.?;
            if (word == .terminate) {
                d.net.close(conn);
                return .sent;
            }
            if (!session.protocol.isOpen()) return .closed;
            switch (word) {
                .message => |kind| return send(d, session, kind, bytes),
                .ping => {
                    if (!hasRoom(d, conn, bytes.len)) return overflow(d, conn);
                    const out = &d.websocket_worker.out;
                    d.net.write(conn, session.protocol.ping(bytes, out));
                },
                .close => |code| close(d, session, @enumFromInt(code), bytes),
                .subscribe => d.websocket_worker.topics.subscribe(session, topic) catch
                    return .dropped,
                .unsubscribe => d.websocket_worker.topics.unsubscribe(session, topic),
                .terminate, .publish => unreachable, // above
            }
            return statusOf(session);
        }

        fn statusOf(session: *const Session) Status {
            const conn = session.conn orelse return .closed;
            return if (conn.queue.isEmpty()) .sent else .waits;
        }

        /// To this worker's sockets that have subscribed to the topic, but to the one of that name.
        fn publish(
            d: *D,
            except: Id,
            topic: []const u8,
            kind: frames.Kind,
            bytes: []const u8,
        ) void {
            const topics = &d.websocket_worker.topics;
            topics.begin(topic);
            // Sending may end any of them.
            while (topics.next()) |session| {
                if (session.id == except or !session.protocol.isOpen()) continue;
                _ = send(d, session, kind, bytes);
            }
        }

        /// A message that was made here.
        fn send(d: *D, session: *Session, kind: frames.Kind, bytes: []const u8) Status {
            const conn = session.conn.?;
            if (!hasRoom(d, conn, bytes.len)) return overflow(d, conn);
            var fragments = session.protocol.fragments(kind, @intCast(bytes.len), false);
            var at: usize = 0;
            while (fragments.next()) |head| {
                const len: usize = @intCast(head.len);
                writeFrame(d, conn, &head, bytes[at..][0..len]);
                if (session.conn == null) return .closed;
                at += len;
            }
            return statusOf(session);
        }

        /// What waits for some leaves memory for others: those that hold much have half of the pool
        /// between them, all of them three quarters. Who has taken all is sent what is small in any
        /// case, as it leaves at once, mostly.
        fn hasRoom(d: *const D, conn: *const Conn, bytes: usize) bool {
            const waiting = conn.queue.bytes;
            const after = waiting + bytes;
            if (waiting > 0 and after > d.config.websocket_unsent_bytes_max) return false;
            if (after <= limits.buffer_bytes_min) return true;
            const quarter = d.config.buffer_memory_bytes / 4;
            const is_large = after > limits.connection_memory_share_bytes;
            const common = if (is_large) 2 * quarter else 3 * quarter;
            return d.net.pools.buffers.bytes_used + bytes <= common;
        }

        fn overflow(d: *D, conn: *Conn) Status {
            @branchHint(.unlikely);
            switch (d.config.websocket_overflow) {
                .drop => return .dropped,
                .close => {
                    d.net.close(conn);
                    return .closed;
                },
            }
        }

        fn writeFrame(d: *D, conn: *Conn, head: *const frames.Head, payload: []const u8) void {
            const net = &d.net;
            if (payload.len <= limits.output_buffer_bytes / 4) {
                const bytes: u32 = @intCast(frames.head_bytes_max + payload.len);
                const room = net.reserve(conn, bytes);
                const head_len = head.write(room[0..frames.head_bytes_max]).len;
                @memcpy(room[head_len..][0..payload.len], payload);
                return net.commit(head_len + payload.len);
            }
            var text: [frames.head_bytes_max]u8 = undefined;
            net.write(conn, head.write(&text));
            if (conn.isOpen()) net.writeBorrowed(conn, payload);
        }

        /// Begins to close. The peer's answer is waited for.
        pub fn close(d: *D, session: *Session, code: errors.Code, reason: []const u8) void {
            const conn = session.conn.?;
            const out = &d.websocket_worker.out;
            d.net.write(conn, session.protocol.close(code, reason, out, d.net.now_ms));
            if (session.conn == null) return;
            // Its answer is read, whatever waits for it.
            session.notes.unpause = session.is_paused;
            if (session.is_paused) websockets.settleLater(d, session);
            d.afterAnswer(conn);
        }
    };
}
