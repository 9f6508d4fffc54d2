//! WebSocket on a connection that has left HTTP. What bytes mean is zig/websocket's; what messages
//! mean is the dispatcher's.
//!
//! The dispatcher's functions are called one at a time: when something has come, or at the end of a
//! turn. Never while it is sending something: whatever that brings about, the end of this or of
//! another connection, is told at the end of the turn.

const assert = @import("std").debug.assert;
const Chain = @import("../../core/chain.zig").Chain;
const Id = @import("../../core/slots.zig").Id;
const limits = @import("../../core/limits.zig");
const never = @import("../../core/rate.zig").never;
const problem = @import("../../http/problem.zig");
const errors = @import("../../websocket/errors.zig");
const frame_decoder = @import("../../websocket/frame_decoder.zig");
const frames = @import("../../websocket/frames.zig");
const budget_of = @import("../budget.zig").Budget;
const refusals_of = @import("../refusals.zig").Refusals;
const inflater_of = @import("inflater.zig").Inflater;
const output_of = @import("output.zig").Output;
const sessions_of = @import("session.zig").Sessions;
const Mailbox = @import("socket.zig").Mailbox;
const Socket = @import("socket.zig").Socket;
const upgrades_of = @import("upgrades.zig").Upgrades;
const Code = errors.Code;

/// WebSocket for the driver `D`.
pub fn WebSockets(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const budget = budget_of(D);
        const output = output_of(D);
        const refusals = refusals_of(D);
        const sessions = sessions_of(D);
        const upgrades = upgrades_of(D);
        const inflater = inflater_of(D);

        pub const Session = sessions.Session;
        const Tunnel = sessions.Tunnel;
        pub const Worker = sessions.Worker;
        pub const operations = output.operations;
        pub const upgrade = upgrades.upgrade;
        pub const refuseUpgrade = upgrades.refuse;

        /// The socket of `conn`; null when it has ended, and what was written is on its way yet.
        pub inline fn of(conn: *const Conn) ?*Session {
            return conn.app.websocket;
        }

        /// The socket that `id` names; null when it has ended.
        pub fn byId(d: *D, id: Id) ?*Session {
            const session = d.websocket_worker.sessions.get(id) orelse return null;
            return if (session.tunnel == null) null else session;
        }

        /// `session` as programs have it.
        pub fn handleOf(d: *D, session: *const Session) Socket {
            return .{
                .id = session.id,
                .user = session.user,
                .mailbox = &d.websocket_worker.mailbox,
            };
        }

        // Reading.

        pub fn onBytes(d: *D, conn: *Conn, bytes: []u8) usize {
            const session = of(conn) orelse return bytes.len;
            return read(d, session, bytes);
        }

        /// Returns how much of what comes is done with. Of who has ended nothing is read any more.
        fn read(d: *D, session: *Session, bytes: []u8) usize {
            var used: usize = 0;
            while (session.tunnel) |tunnel| {
                // What has come is told first: it is read no further until that is done.
                if (session.backlog != null) return used;
                if (used < bytes.len and !mayRead(d, tunnel, session)) return used;
                const end_of_part = used + partOf(d, session, bytes.len - used);
                if (D.asks_room and end_of_part == used) return used;
                const step = session.protocol.next(
                    bytes[used..end_of_part],
                    &d.websocket_worker.out,
                    d.net.now_ms,
                );
                used += step.consumed;
                switch (step.event) {
                    .need_more => {
                        assert(used == end_of_part);
                        if (used == bytes.len) return used;
                    },
                    .data => |*data| take(d, session, data),
                    .ping => |payload| {
                        // Told first: an answer may push out what others are sent, and their
                        // ends then take the room that was found for this.
                        tellControl(d, session, .ping, payload);
                        if (session.tunnel) |it| it.write(d, step.reply);
                    },
                    .pong => |payload| tellControl(d, session, .pong, payload),
                    .closed => |close| {
                        const code = close.code orelse .no_status;
                        end(d, session, code, close.reason, true);
                        tunnel.finish(d, step.reply);
                    },
                    .failed => |err| fail(d, session, err, step.reply),
                }
            }
            return bytes.len;
        }

        /// Whether the next frame may be read now. Who does not take what it is sent waits with
        /// what it sends, but for its Close.
        fn mayRead(d: *D, tunnel: Tunnel, session: *Session) bool {
            const worker = &d.websocket_worker;
            const has_had_turn = tunnel.conn.is_ready;
            const is_ahead = worker.mailbox.isBehind(session.ahead_of);
            if (has_had_turn or is_ahead or worker.sends_left == 0) {
                tunnel.goOnLater(d);
                return false;
            }
            const waiting = tunnel.waiting();
            if (waiting >= d.config.output_high_water_bytes and session.protocol.isOpen()) {
                pause(d, session);
                return false;
            }
            return tunnel.beginMessage(d);
        }

        /// How many of `bytes` bytes the dispatcher has room for. 0: none are left, or it has none,
        /// and `remote.unpause` tells when it has.
        fn partOf(d: *D, session: *Session, bytes: usize) usize {
            // Who has been told to close is heard for its answer.
            if (!D.asks_room or !session.protocol.isOpen() or bytes == 0) return bytes;
            const room = d.dispatcher.socketRoom(d, session, bytes);
            if (room > 0) return room;
            pause(d, session);
            session.protocol.hold(d.net.now_ms);
            return 0;
        }

        pub fn pause(d: *D, session: *Session) void {
            session.is_paused = true;
            session.protocol.pause(d.net.now_ms);
            session.tunnel.?.pause(d);
        }

        fn tellControl(
            d: *D,
            session: *Session,
            kind: frames.Opcode,
            payload: []const u8,
        ) void {
            if (!D.asks_room or !session.protocol.isOpen()) return;
            d.dispatcher.onSocketControl(d, session, kind, payload);
        }

        fn take(d: *D, session: *Session, data: *const frame_decoder.Data) void {
            if (!D.has_sockets) unreachable; // nobody has upgraded
            // What is compressed goes through what others use too: whole, without a pause.
            const keeps = D.gathers_messages or data.compressed;
            if (!keeps or data.isWhole()) {
                if (!data.compressed) return tellInPlace(d, session, data);
                return inflater.take(d, session, data.kind, .of(data.bytes));
            }
            const pool = &d.net.pools.buffers;
            session.message.append(pool, data.bytes) catch
                return giveUp(d, session, .out_of_buffers);
            if (budget.over(d, session.tunnel.?.conn, .input)) |owner|
                return giveUp(d, session, owner.code());
            if (!data.ends) return;
            // The socket may end before the message has been dealt with.
            var message = session.message;
            session.message = .{};
            defer message.deinit(pool);
            if (data.compressed)
                return inflater.take(d, session, data.kind, .ofChain(&message));
            var whole = data.*;
            whole.begins = true;
            whole.bytes = message.front();
            if (whole.bytes.len < message.len)
                whole.bytes = join(&message, d.websocket_worker.whole);
            tell(d, session, &whole);
        }

        /// Tells of bytes that lie where they came. What is not in the worker's own buffer goes
        /// with its connection, which whoever is told may end, and with it what he is told: unless
        /// he but copies it to where he has room.
        fn tellInPlace(d: *D, session: *Session, data: *const frame_decoder.Data) void {
            if (D.asks_room or session.tunnel.?.isInPlace()) return tell(d, session, data);
            var copy = data.*;
            copy.bytes = d.websocket_worker.whole[0..data.bytes.len];
            @memcpy(copy.bytes, data.bytes);
            tell(d, session, &copy);
        }

        fn join(message: *const Chain, out: []u8) []u8 {
            var len: usize = 0;
            var at = message.first;
            while (at) |segment| : (at = segment.next) {
                const bytes = segment.bytes();
                @memcpy(out[len..][0..bytes.len], bytes);
                len += bytes.len;
            }
            return out[0..len];
        }

        pub fn tell(d: *D, session: *Session, data: *const frame_decoder.Data) void {
            const before = d.websocket_worker.mailbox.enter();
            defer Mailbox.leave(before);
            d.dispatcher.onSocketData(d, session, data);
        }

        // The end.

        /// What came is wrong. `reply` tells the peer so.
        pub fn fail(
            d: *D,
            session: *Session,
            err: errors.Error,
            reply: []const u8,
        ) void {
            const tunnel = session.tunnel.?;
            refusals.report(d, tunnel.conn, .websocket_error, 0);
            end(d, session, err.code(), "", false);
            tunnel.finish(d, reply);
        }

        /// A socket is over: nothing more is said to it, or told of it but its
        /// end. What was written is sent.
        fn end(d: *D, session: *Session, code: Code, reason: []const u8, is_clean: bool) void {
            const tunnel = session.tunnel.?;
            if (tunnel.stream) |ex| {
                assert(ex.http2.socket == session.id);
                ex.http2.socket = .none;
            } else {
                assert(tunnel.conn.app.websocket == session);
                tunnel.conn.app.websocket = null;
            }
            session.tunnel = null;
            session.protocol.lose();
            session.message.deinit(&d.net.pools.buffers);
            session.outgoing.deinit(&d.net.pools.buffers);
            session.backlog = null;
            d.websocket_worker.topics.forget(session);
            session.end_code = code;
            session.is_clean = is_clean;
            session.reason_len = @intCast(reason.len); // a Close has room for no more
            @memcpy(session.reason[0..reason.len], reason);
            settleLater(d, session);
        }

        /// There is no room for what comes.
        pub fn giveUp(d: *D, session: *Session, why: problem.Code) void {
            @branchHint(.cold);
            refusals.report(d, session.tunnel.?.conn, why, 0);
            const code: Code = switch (why) {
                .connection_memory => .message_too_big,
                else => .try_again_later,
            };
            closeFor(d, session, code);
        }

        /// Ends it with `code`, without waiting for an answer.
        pub fn closeFor(d: *D, session: *Session, code: Code) void {
            const tunnel = session.tunnel.?;
            const worker = &d.websocket_worker;
            const farewell = if (session.protocol.isOpen())
                session.protocol.close(code, "", &worker.out, d.net.now_ms)
            else
                "";
            end(d, session, code, "", false);
            tunnel.finish(d, farewell);
        }

        /// Ends it without a word; what was not sent is lost.
        pub fn terminate(d: *D, session: *Session) void {
            const tunnel = session.tunnel.?;
            end(d, session, .abnormal, "", false);
            tunnel.reset(d);
        }

        /// Nothing more can be made of what comes, for want of memory.
        pub fn refuse(d: *D, conn: *Conn, why: problem.Code) void {
            const session = of(conn) orelse return;
            giveUp(d, session, why);
        }

        /// The peer has hung up without a Close.
        pub fn onEof(d: *D, conn: *Conn) void {
            const session = of(conn) orelse return; // what was written is on its way
            end(d, session, .abnormal, "", false);
            d.endConn(conn, false);
        }

        /// The connection is gone, or is to end behind what was written.
        pub fn drop(d: *D, conn: *Conn) void {
            const session = of(conn) orelse return;
            end(d, session, .abnormal, "", false);
        }

        /// A stop: the peer is told, and has its time to answer.
        pub fn finishIfIdle(d: *D, conn: *Conn) void {
            const session = of(conn) orelse return;
            if (session.protocol.isOpen()) output.close(d, session, .going_away, "");
        }

        // Time.

        pub fn deadline(conn: *const Conn) u64 {
            const session = of(conn) orelse return never;
            return session.protocol.deadlineMs();
        }

        /// Returns whether no deadline is left to come.
        pub fn onTimer(d: *D, conn: *Conn) bool {
            onDeadline(d, of(conn) orelse return true);
            return false;
        }

        fn onDeadline(d: *D, session: *Session) void {
            const tunnel = session.tunnel.?;
            switch (session.protocol.onDeadline(&d.websocket_worker.out, d.net.now_ms)) {
                .nothing => {},
                .ping => |frame| tunnel.write(d, frame),
                .slow => |farewell| {
                    timedOut(d, tunnel.conn);
                    end(d, session, .policy_violation, "", false);
                    tunnel.finish(d, farewell);
                },
                .unheard => |farewell| {
                    timedOut(d, tunnel.conn);
                    end(d, session, .try_again_later, "", false);
                    tunnel.finish(d, farewell);
                },
                .silent, .close_unanswered => {
                    timedOut(d, tunnel.conn);
                    terminate(d, session);
                },
            }
        }

        fn timedOut(d: *D, conn: *Conn) void {
            d.countTimeout();
            refusals.report(d, conn, .websocket_timeout, 0);
        }

        // What waits for the end of the turn.

        /// Something of `session` is to be told, or done.
        pub fn settleLater(d: *D, session: *Session) void {
            if (!session.due.is_linked) d.websocket_worker.due.append(session);
        }

        /// The socket took some of what waits.
        pub fn onProgress(d: *D, conn: *Conn) void {
            if (of(conn)) |session| noteProgress(d, session, conn.queue.bytes, true);
        }

        /// `waited`: for the peer, and not just for the end of the turn.
        fn noteProgress(d: *D, session: *Session, waiting: u64, waited: bool) void {
            const is_news = D.asks_room or (waiting == 0 and waited);
            session.notes.drained = session.notes.drained or is_news;
            session.notes.unpause = session.notes.unpause or
                (session.is_paused and waiting < d.config.output_high_water_bytes / 2);
            if (session.notes != Notes{}) settleLater(d, session);
        }

        const Notes = sessions.Notes;

        pub fn hasWork(d: *const D) bool {
            const worker = &d.websocket_worker;
            return D.has_sockets and (worker.due.len > 0 or worker.mailbox.hasWork());
        }

        pub fn onTurn(d: *D) void {
            if (!D.has_sockets) return;
            const worker = &d.websocket_worker;
            output.deliver(d);
            worker.sends_left = limits.websocket_turn_sends_max;
            // What comes to be due meanwhile is for the next turn.
            var left = worker.due.len;
            while (left > 0) : (left -= 1) settle(d, worker.due.pop() orelse return);
        }

        /// No connection is left, and no turn comes: what is left to tell is told.
        pub fn onStop(d: *D) void {
            if (!D.has_sockets) return;
            while (d.websocket_worker.due.pop()) |session| settle(d, session);
        }

        fn settle(d: *D, session: *Session) void {
            const notes = session.notes;
            session.notes = .{};
            const tunnel = session.tunnel orelse return tellEnd(d, session);
            const conn = tunnel.conn;
            if (notes.unpause) unpause(d, tunnel, session);
            if (session.tunnel == null) return; // by what came
            if (notes.drained and (D.asks_room or tunnel.waiting() == 0)) {
                session.is_behind = false;
                const before = d.websocket_worker.mailbox.enter();
                d.dispatcher.onSocketDrain(d, session);
                Mailbox.leave(before);
            }
            noteDeadline(session);
            if (conn.isOpen()) d.afterAnswer(conn);
        }

        fn unpause(d: *D, tunnel: Tunnel, session: *Session) void {
            if (!session.is_paused) return;
            if (!inflater.tellBacklog(d, session)) return;
            session.is_paused = false;
            session.protocol.unpause(d.net.now_ms);
            tunnel.unpause(d);
        }

        /// Its deadline may have come nearer.
        pub fn noteDeadline(session: *const Session) void {
            if (session.tunnel) |tunnel| tunnel.expect(session.protocol.deadlineMs());
        }

        fn tellEnd(d: *D, session: *Session) void {
            if (session.is_told) {
                const before = d.websocket_worker.mailbox.enter();
                defer Mailbox.leave(before);
                const its = session.end();
                // Not told yet: `remote.release` ends it.
                if (!d.dispatcher.onSocketClose(d, session, &its)) return;
            }
            if (D.has_compression) session.ends.deinit();
            d.websocket_worker.sessions.release(session.id);
        }

        // What it holds.

        /// Blocks of memory, bytes.
        pub fn heldBytes(conn: *const Conn) u64 {
            const session = of(conn) orelse return 0;
            return session.message.block_bytes + session.outgoing.block_bytes;
        }

        pub fn checkInvariants(d: *D, conn: *Conn) void {
            const session = of(conn) orelse {
                assert(conn.finish_when_sent); // it waits for its output alone
                return;
            };
            assert(d.websocket_worker.sessions.get(session.id) == session);
            assert(session.tunnel.?.conn == conn and session.tunnel.?.stream == null);
            assert(session.is_paused == conn.paused);
            check(session);
        }

        fn check(session: *const Session) void {
            assert(!session.protocol.isClosed());
            assert(session.backlog == null or session.is_paused);
            if (!D.gathers_messages) return;
            assert(session.message.len == 0 or session.protocol.decoder.isInMessage());
        }

        // On a stream of HTTP/2. What asks for `ex` is told nothing of one that carries none.

        fn onStream(d: *D, ex: *const Exchange) ?*Session {
            if (ex.http2.socket == Id.none) return null;
            return d.websocket_worker.sessions.get(ex.http2.socket).?;
        }

        pub fn isStreamPaused(d: *D, ex: *const Exchange) bool {
            return onStream(d, ex).?.is_paused;
        }

        /// As `onBytes`, of what has come on the stream. `ex` has a socket, and may not any more.
        pub fn readStream(d: *D, ex: *const Exchange, bytes: []u8) usize {
            const session = onStream(d, ex).?;
            const used = read(d, session, bytes);
            noteDeadline(session);
            return used;
        }

        /// The client has ended its side without a Close.
        pub fn onStreamEof(d: *D, ex: *const Exchange) void {
            const session = onStream(d, ex).?;
            const tunnel = session.tunnel.?;
            end(d, session, .abnormal, "", false);
            tunnel.finish(d, "");
        }

        /// The stream is gone.
        pub fn dropStream(d: *D, ex: *const Exchange) void {
            if (onStream(d, ex)) |session| end(d, session, .abnormal, "", false);
        }

        /// There is no room for what was to be said.
        pub fn loseStream(d: *D, ex: *const Exchange) void {
            const session = onStream(d, ex).?;
            refusals.report(d, session.tunnel.?.conn, .out_of_buffers, 0);
            terminate(d, session);
        }

        /// There is no room for what has come, and was not read yet: no message is too big (1009).
        pub fn giveUpStream(d: *D, ex: *const Exchange, why: problem.Code) void {
            @branchHint(.cold);
            const session = onStream(d, ex).?;
            refusals.report(d, session.tunnel.?.conn, why, 0);
            closeFor(d, session, .try_again_later);
        }

        /// As `finishIfIdle`.
        pub fn finishStream(d: *D, ex: *const Exchange) void {
            const session = onStream(d, ex) orelse return;
            if (session.protocol.isOpen()) output.close(d, session, .going_away, "");
        }

        pub fn streamDeadline(d: *D, ex: *const Exchange) u64 {
            const session = onStream(d, ex) orelse return never;
            return session.protocol.deadlineMs();
        }

        pub fn onStreamTimer(d: *D, ex: *const Exchange) void {
            onDeadline(d, onStream(d, ex).?);
        }

        /// Some of what waits on the stream has left.
        pub fn onStreamProgress(d: *D, ex: *const Exchange) void {
            const session = onStream(d, ex).?;
            noteProgress(d, session, ex.held.bytes, session.is_behind);
        }

        /// Nothing waits on the stream, and its connection has room again.
        pub fn noteStreamRoom(d: *D, ex: *const Exchange) void {
            const session = onStream(d, ex).?;
            if (session.is_behind) noteProgress(d, session, 0, true);
        }

        /// Whether its messages refer to those before them, one way or both.
        pub fn hasOwnCompressor(d: *D, ex: *const Exchange) bool {
            const session = onStream(d, ex) orelse return false;
            return session.ends.deflater != null or session.ends.inflater != null;
        }

        /// Blocks of memory, bytes.
        pub fn heldBytesOn(d: *D, ex: *const Exchange) u64 {
            const session = onStream(d, ex) orelse return 0;
            return session.message.block_bytes + session.outgoing.block_bytes;
        }

        pub fn checkStream(d: *D, ex: *const Exchange) void {
            const session = onStream(d, ex) orelse return;
            assert(session.tunnel.?.stream == ex);
            assert(session.tunnel.?.conn == d.net.conns.get(ex.conn).?);
            assert(ex.response == .streaming and !ex.http2.is_reading);
            check(session);
        }
    };
}
