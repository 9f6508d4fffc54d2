//! What WebSockets are sent, and what bounds it: a peer that does not take what it is sent costs
//! itself its messages, or its connection, and nobody else anything.

const std = @import("std");
const Id = @import("../../core/slots.zig").Id;
const Chain = @import("../../core/chain.zig").Chain;
const limits = @import("../../core/limits.zig");
const frames = @import("../../websocket/frames.zig");
const errors = @import("../../websocket/errors.zig");
const Post = @import("posts.zig").Post;
const sessions_of = @import("session.zig").Sessions;
const socket = @import("socket.zig");
const topics_file = @import("topics.zig");
const Status = socket.Socket.Status;

/// The part of the driver `D` that sends to sockets.
pub fn Output(comptime D: type) type {
    return struct {
        const websockets = D.websockets;
        const Session = sessions_of(D).Session;
        const Tunnel = sessions_of(D).Tunnel;

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
            const d = of(owner);
            const mailbox = &d.websocket_worker.mailbox;
            // What this thread has posted comes first.
            const may_say = !mailbox.isBehind(mailbox.own_posted);
            return sayOrPost(d, id, word, topic, bytes, may_say);
        }

        /// `may_say`: nothing that was posted has to be said before.
        fn sayOrPost(
            d: *D,
            id: Id,
            word: socket.Word,
            topic: []const u8,
            bytes: []const u8,
            may_say: bool,
        ) Status {
            const worker = &d.websocket_worker;
            const is_long = word == .publish and
                worker.topics.subscribersOf(topic) *| sendCost(d, bytes) > worker.sends_left;
            if (!is_long and may_say) {
                defer worker.sends_left -|= worker.takeSpent();
                return say(d, id, word, topic, bytes);
            }
            const status = worker.mailbox.post(id, word, topic, bytes);
            if (status == .posted and word == .publish) {
                if (websockets.byId(d, id)) |session|
                    session.ahead_of = worker.mailbox.own_posted;
            }
            return status;
        }

        /// To this worker's subscribers, now or in turns. Whoever calls sees to it that nothing is
        /// said behind what it has posted before (`Mailbox.isBehind`).
        pub fn publish(
            d: *D,
            except: Id,
            topic: []const u8,
            manner: socket.Manner,
            bytes: []const u8,
        ) Status {
            return sayOrPost(d, except, .{ .publish = manner }, topic, bytes, true);
        }

        /// Any thread.
        fn wake(owner: *anyopaque) void {
            const d = of(owner);
            d.net.port.wake(@TypeOf(d.net.backend));
        }

        /// Says what was posted, as much of it as a turn has room for: half is for what the
        /// worker's own thread has posted, what that leaves for the others. What comes meanwhile is
        /// for the next turn.
        pub fn deliver(d: *D) void {
            const mailbox = &d.websocket_worker.mailbox;
            const half = limits.websocket_turn_sends_max / 2;
            const left = deliverFrom(d, &mailbox.own, .own_posts, half);
            _ = deliverFrom(d, &mailbox.others, .posts, half + left);
        }

        /// Returns what is left of `most` sends.
        fn deliverFrom(d: *D, lane: *socket.Lane, which: topics_file.Walk, most: u32) u32 {
            lane.refill();
            var left = most;
            while (left > 0) {
                const post = lane.next() orelse break;
                if (post.word == .publish) {
                    if (lane.publishing == null) begin(d, which, post.topic);
                    lane.publishing = post;
                    left = walk(d, which, &post, left);
                    if (left == 0) break;
                    lane.publishing = null;
                } else _ = say(d, post.id, post.word, post.topic, post.bytes);
                if (which == .own_posts) d.websocket_worker.mailbox.own_said += 1;
                left -|= costOf(post.bytes.len) +| d.websocket_worker.takeSpent();
            }
            return left;
        }

        /// What a short message takes of a turn for each of many sockets, in sends.
        fn sendCost(d: *const D, bytes: []const u8) u32 {
            if (!D.has_compression) return 1;
            const compression = d.websocket_worker.compression orelse return 1;
            return 1 + compression.ownCost(bytes.len);
        }

        /// What a message of so many bytes takes of a turn, in sends.
        fn costOf(bytes: usize) u32 {
            return @intCast(1 + bytes / limits.websocket_send_bytes);
        }

        /// What a program, on whatever thread, says to a socket. All has been checked.
        fn say(
            d: *D,
            id: Id,
            word: socket.Word,
            topic: []const u8,
            bytes: []const u8,
        ) Status {
            if (word == .publish) {
                const worker = &d.websocket_worker;
                const post: Post = .{ .id = id, .word = word, .topic = topic, .bytes = bytes };
                begin(d, .at_once, topic);
                defer dropCopies(d, .at_once);
                const most = std.math.maxInt(u32); // there are no more than go in one turn
                worker.sends_left -|= most - walk(d, .at_once, &post, most);
                return .sent;
            }
            const session = websockets.byId(d, id) orelse return .closed;
            if (word == .terminate) {
                websockets.terminate(d, session);
                return .sent;
            }
            if (!session.protocol.isOpen()) return .closed;
            switch (word) {
                .message => |manner| return send(d, session, manner, bytes, null),
                .ping, .pong => {
                    if (refusalOf(d, session, bytes.len)) |status| return status;
                    control(d, session, word == .ping, bytes);
                },
                .close => |code| close(d, session, @enumFromInt(code), bytes),
                .subscribe => d.websocket_worker.topics.subscribe(session, topic) catch
                    return .dropped,
                .unsubscribe => d.websocket_worker.topics.unsubscribe(session, topic),
                .terminate, .publish => unreachable, // above
            }
            return statusOf(session);
        }

        pub fn control(d: *D, session: *Session, is_ping: bool, bytes: []const u8) void {
            const out = &d.websocket_worker.out;
            session.tunnel.?.write(d, if (is_ping)
                session.protocol.ping(bytes, out)
            else
                session.protocol.pong(bytes, out));
        }

        fn statusOf(session: *Session) Status {
            const tunnel = session.tunnel orelse return .closed;
            if (tunnel.isClear()) return .sent;
            session.is_behind = true;
            return .waits;
        }

        fn begin(d: *D, which: topics_file.Walk, topic: []const u8) void {
            dropCopies(d, which);
            d.websocket_worker.topics.begin(which, topic);
        }

        fn dropCopies(d: *D, which: topics_file.Walk) void {
            if (!D.has_compression) return;
            if (d.websocket_worker.compression) |it| it.dropCopies(which);
        }

        /// Sends a message to this worker's sockets that have subscribed to its topic, but to the
        /// one of that name. Returns what is left of `most` sends when all have it; 0: it is to go
        /// on.
        fn walk(d: *D, which: topics_file.Walk, post: *const Post, most: u32) u32 {
            const topics = &d.websocket_worker.topics;
            var left = most;
            while (left > 0) {
                // Sending may end any of them.
                const session = topics.next(which) orelse return left;
                left -|= costOf(post.bytes.len);
                if (session.id == post.id or !session.protocol.isOpen()) continue;
                _ = send(d, session, post.word.publish, post.bytes, which);
                left -|= d.websocket_worker.takeSpent();
            }
            return 0;
        }

        /// A message that was made here. `of_walk`: it is published.
        fn send(
            d: *D,
            session: *Session,
            manner: socket.Manner,
            bytes: []const u8,
            of_walk: ?topics_file.Walk,
        ) Status {
            // Before it is compressed: what is not sent is not worked on either.
            if (refusalOf(d, session, bytes.len)) |status| return status;
            return writeMessage(d, session, manner, bytes, of_walk);
        }

        /// The same, where room has been seen to.
        pub fn write(d: *D, session: *Session, manner: socket.Manner, bytes: []const u8) Status {
            return writeMessage(d, session, manner, bytes, null);
        }

        fn writeMessage(
            d: *D,
            session: *Session,
            manner: socket.Manner,
            bytes: []const u8,
            of_walk: ?topics_file.Walk,
        ) Status {
            const compressed =
                if (manner.may_compress) compress(d, session, bytes, of_walk) else null;
            const payload = compressed orelse bytes;
            return writeFrames(d, session, manner.kind, payload, compressed != null);
        }

        fn writeFrames(
            d: *D,
            session: *Session,
            kind: frames.Kind,
            payload: []const u8,
            is_compressed: bool,
        ) Status {
            var fragments = session.protocol.fragments(kind, @intCast(payload.len), is_compressed);
            var at: usize = 0;
            while (fragments.next()) |head| {
                const len: usize = @intCast(head.len);
                writeFrame(d, session, &head, payload[at..][0..len]);
                if (session.tunnel == null) return .closed;
                at += len;
            }
            return statusOf(session);
        }

        /// What is sent in the place of `bytes`, valid until the next send; null: they themselves.
        fn compress(
            d: *D,
            session: *Session,
            bytes: []const u8,
            of_walk: ?topics_file.Walk,
        ) ?[]const u8 {
            if (!D.has_compression) return null;
            const compression = d.websocket_worker.compression orelse return null;
            const ends = &session.ends;
            if (of_walk) |which| return compression.deflateOnce(ends, bytes, which);
            return compression.deflate(ends, bytes);
        }

        /// The same of a message in blocks.
        fn compressChain(d: *D, session: *Session, message: *const Chain) ?[]const u8 {
            if (!D.has_compression) return null;
            const compression = d.websocket_worker.compression orelse return null;
            // As many as hold the longest that is compressed: they double.
            var buffer: [64][]const u8 = undefined;
            const pieces = message.slices(0, message.len, &buffer) orelse return null;
            return compression.deflatePieces(&session.ends, pieces);
        }

        /// What waits for some leaves memory for others: those that hold much have half of the pool
        /// between them, all of them three quarters. Who has taken all is sent what is small in any
        /// case, as it leaves at once, mostly.
        fn hasRoom(d: *const D, tunnel: Tunnel, bytes: usize) bool {
            const waiting = tunnel.waiting();
            const after = waiting + bytes;
            if (waiting > 0 and after > d.config.websocket_unsent_bytes_max) return false;
            return hasMemory(d, tunnel, bytes);
        }

        /// Whether so much more may wait for the peer, as far as memory goes.
        pub fn hasMemory(d: *const D, tunnel: Tunnel, bytes: usize) bool {
            // Of each socket: that bounds what its connection holds of it.
            if (tunnel.waiting() + bytes <= limits.buffer_bytes_min) return true;
            const after = tunnel.holding(d, bytes) orelse return false;
            const quarter = d.config.buffer_memory_bytes / 4;
            const is_large = after > limits.connection_memory_share_bytes;
            const common = if (is_large) 2 * quarter else 3 * quarter;
            return d.net.pools.buffers.bytes_used + bytes <= common;
        }

        /// A message in blocks of the pool, which are given back as it goes out.
        pub fn writeChain(d: *D, session: *Session, manner: socket.Manner, message: *Chain) void {
            const kind = manner.kind;
            if (manner.may_compress) if (compressChain(d, session, message)) |payload| {
                message.deinit(&d.net.pools.buffers);
                _ = writeFrames(d, session, kind, payload, true);
                return;
            };
            const tunnel = session.tunnel.?;
            var fragments = session.protocol.fragments(kind, @intCast(message.len), false);
            while (fragments.next()) |head| {
                var text: [frames.head_bytes_max]u8 = undefined;
                tunnel.write(d, head.write(&text));
                var left: usize = @intCast(head.len);
                while (left > 0 and session.tunnel != null) {
                    const front = message.front();
                    const part = front[0..@min(front.len, left)];
                    tunnel.writeBorrowed(d, part);
                    message.consume(&d.net.pools.buffers, part.len);
                    left -= part.len;
                }
                if (session.tunnel == null) return;
            }
        }

        /// What becomes of a message of so many bytes for which there is no room; null: there is.
        fn refusalOf(d: *D, session: *Session, bytes: usize) ?Status {
            if (hasRoom(d, session.tunnel.?, bytes)) return null;
            // Of what was said in this turn some may leave.
            if (session.tunnel.?.stream != null) {
                session.tunnel.?.flush(d);
                const tunnel = session.tunnel orelse return .closed;
                if (!session.protocol.isOpen()) return .closed;
                if (hasRoom(d, tunnel, bytes)) return null;
            }
            return overflow(d, session);
        }

        fn overflow(d: *D, session: *Session) Status {
            @branchHint(.unlikely);
            switch (d.config.websocket_overflow) {
                .drop => {
                    session.is_behind = true;
                    session.tunnel.?.noteRefused();
                    return .dropped;
                },
                .close => {
                    websockets.terminate(d, session);
                    return .closed;
                },
            }
        }

        fn writeFrame(
            d: *D,
            session: *Session,
            head: *const frames.Head,
            payload: []const u8,
        ) void {
            const tunnel = session.tunnel.?;
            if (tunnel.stream == null) return writeFrameOn(d, tunnel.conn, head, payload);
            var text: [frames.head_bytes_max]u8 = undefined;
            tunnel.write(d, head.write(&text));
            if (session.tunnel != null) tunnel.write(d, payload);
        }

        fn writeFrameOn(
            d: *D,
            conn: *D.Conn,
            head: *const frames.Head,
            payload: []const u8,
        ) void {
            const net = &d.net;
            if (payload.len <= limits.message_copy_bytes_max) {
                const bytes: u32 = @intCast(frames.head_bytes_max + payload.len);
                const room = net.reserve(conn, bytes);
                const head_len = head.write(room[0..frames.head_bytes_max]).len;
                @memcpy(room[head_len..][0..payload.len], payload);
                return net.commit(head_len + payload.len);
            }
            var text: [frames.head_bytes_max]u8 = undefined;
            net.write(conn, head.write(&text));
            if (conn.isOpen()) net.writeUncopied(conn, payload);
        }

        /// Begins to close. The peer's answer is waited for.
        pub fn close(d: *D, session: *Session, code: errors.Code, reason: []const u8) void {
            const tunnel = session.tunnel.?;
            const out = &d.websocket_worker.out;
            tunnel.write(d, session.protocol.close(code, reason, out, d.net.now_ms));
            if (session.tunnel == null) return;
            websockets.noteDeadline(session);
            // Its answer is read, whatever waits for it.
            session.notes.unpause = session.is_paused;
            if (session.is_paused) websockets.settleLater(d, session);
            d.afterAnswer(tunnel.conn);
        }
    };
}
