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
        const budget = budget_of(D);
        const output = output_of(D);
        const refusals = refusals_of(D);
        const sessions = sessions_of(D);
        const upgrades = upgrades_of(D);
        const inflater = inflater_of(D);

        pub const Session = sessions.Session;
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
            return if (session.conn == null) null else session;
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
            var used: usize = 0;
            // Of who has ended nothing is read any more.
            while (of(conn)) |session| {
                // What has come is told first: it is read no further until that is done.
                if (session.backlog != null) return used;
                if (used < bytes.len and !mayRead(d, conn, session)) return used;
                const end_of_part = used + partOf(d, conn, session, bytes.len - used);
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
                    .data => |*data| take(d, conn, session, data),
                    .ping => |payload| {
                        d.net.write(conn, step.reply);
                        tellControl(d, conn, session, .ping, payload);
                    },
                    .pong => |payload| tellControl(d, conn, session, .pong, payload),
                    .closed => |close| {
                        const code = close.code orelse .no_status;
                        end(d, session, code, close.reason, true);
                        finish(d, conn, step.reply);
                    },
                    .failed => |err| fail(d, conn, session, err, step.reply),
                }
            }
            return bytes.len;
        }

        /// Whether the next frame may be read now. Who does not take what it is sent waits with
        /// what it sends, but for its Close.
        fn mayRead(d: *D, conn: *Conn, session: *Session) bool {
            if (conn.is_ready) return false; // it has had its turn
            const worker = &d.websocket_worker;
            if (session.is_ahead) session.is_ahead = !worker.mailbox.own.isEmpty();
            if (session.is_ahead or worker.sends_left == 0) {
                d.net.goOnLater(conn);
                return false;
            }
            const waiting = conn.queue.bytes;
            if (waiting >= d.config.output_high_water_bytes and session.protocol.isOpen()) {
                pause(d, conn, session);
                return false;
            }
            return d.net.beginRequest(conn);
        }

        /// How many of `bytes` bytes the dispatcher has room for. 0: none are left, or it has none,
        /// and `remote.unpause` tells when it has.
        fn partOf(d: *D, conn: *Conn, session: *Session, bytes: usize) usize {
            // Who has been told to close is heard for its answer.
            if (!D.asks_room or !session.protocol.isOpen() or bytes == 0) return bytes;
            const room = d.dispatcher.socketRoom(d, session, bytes);
            if (room > 0) return room;
            pause(d, conn, session);
            session.protocol.hold(d.net.now_ms);
            return 0;
        }

        pub fn pause(d: *D, conn: *Conn, session: *Session) void {
            session.is_paused = true;
            session.protocol.pause(d.net.now_ms);
            d.net.pauseInput(conn);
        }

        fn tellControl(
            d: *D,
            conn: *const Conn,
            session: *Session,
            kind: frames.Opcode,
            payload: []const u8,
        ) void {
            if (!D.asks_room or !session.protocol.isOpen()) return;
            if (of(conn) != session) return; // the answer has ended it
            d.dispatcher.onSocketControl(d, session, kind, payload);
        }

        fn take(d: *D, conn: *Conn, session: *Session, data: *const frame_decoder.Data) void {
            if (!D.has_sockets) unreachable; // nobody has upgraded
            // What is compressed goes through what others use too: whole, without a pause.
            const keeps = D.gathers_messages or data.compressed;
            if (!keeps or data.isWhole()) {
                if (!data.compressed) return tellInPlace(d, conn, session, data);
                return inflater.take(d, conn, session, data.kind, .of(data.bytes));
            }
            const pool = &d.net.pools.buffers;
            session.message.append(pool, data.bytes) catch
                return giveUp(d, conn, session, .out_of_buffers);
            if (budget.over(d, conn, .input)) |owner|
                return giveUp(d, conn, session, owner.code());
            if (!data.ends) return;
            // The socket may end before the message has been dealt with.
            var message = session.message;
            session.message = .{};
            defer message.deinit(pool);
            if (data.compressed)
                return inflater.take(d, conn, session, data.kind, .ofChain(&message));
            var whole = data.*;
            whole.begins = true;
            whole.bytes = message.front();
            if (whole.bytes.len < message.len)
                whole.bytes = join(&message, d.websocket_worker.whole);
            tell(d, session, &whole);
        }

        /// Tells of bytes that lie where they came. What is not in the worker's own buffer goes
        /// with its connection, which whoever is told may end, and with it what he is told.
        fn tellInPlace(
            d: *D,
            conn: *Conn,
            session: *Session,
            data: *const frame_decoder.Data,
        ) void {
            if (!conn.is_filtered and conn.input.len == 0) return tell(d, session, data);
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
            conn: *Conn,
            session: *Session,
            err: errors.Error,
            reply: []const u8,
        ) void {
            refusals.report(d, conn, .websocket_error, 0);
            end(d, session, err.code(), "", false);
            finish(d, conn, reply);
        }

        /// The socket of a connection is over: nothing more is said to it, or told of it but its
        /// end. What was written is sent.
        fn end(d: *D, session: *Session, code: Code, reason: []const u8, is_clean: bool) void {
            const conn = session.conn.?;
            assert(conn.app.websocket == session);
            conn.app.websocket = null;
            session.conn = null;
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

        /// The last that is said on `conn`. This end is closed behind it (RFC 6455 §7.1.1).
        fn finish(d: *D, conn: *Conn, farewell: []const u8) void {
            if (farewell.len > 0) d.net.write(conn, farewell);
            if (conn.isOpen()) d.endConn(conn, true);
        }

        /// There is no room for what comes.
        pub fn giveUp(d: *D, conn: *Conn, session: *Session, why: problem.Code) void {
            @branchHint(.cold);
            refusals.report(d, conn, why, 0);
            const code: Code = switch (why) {
                .connection_memory => .message_too_big,
                else => .try_again_later,
            };
            closeFor(d, conn, session, code);
        }

        /// Ends it with `code`, without waiting for an answer.
        pub fn closeFor(d: *D, conn: *Conn, session: *Session, code: Code) void {
            const worker = &d.websocket_worker;
            const farewell = if (session.protocol.isOpen())
                session.protocol.close(code, "", &worker.out, d.net.now_ms)
            else
                "";
            end(d, session, code, "", false);
            finish(d, conn, farewell);
        }

        /// Nothing more can be made of what comes, for want of memory.
        pub fn refuse(d: *D, conn: *Conn, why: problem.Code) void {
            const session = of(conn) orelse return;
            giveUp(d, conn, session, why);
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
            const session = of(conn) orelse return true;
            switch (session.protocol.onDeadline(&d.websocket_worker.out, d.net.now_ms)) {
                .nothing => {},
                .ping => |frame| d.net.write(conn, frame),
                .slow => |farewell| {
                    timedOut(d, conn);
                    end(d, session, .policy_violation, "", false);
                    finish(d, conn, farewell);
                },
                .unheard => |farewell| {
                    timedOut(d, conn);
                    end(d, session, .try_again_later, "", false);
                    finish(d, conn, farewell);
                },
                .silent, .close_unanswered => {
                    timedOut(d, conn);
                    end(d, session, .abnormal, "", false);
                    d.net.close(conn);
                },
            }
            return false;
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
            const session = of(conn) orelse return;
            const waiting = conn.queue.bytes;
            const is_news = D.asks_room or waiting == 0;
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
            const conn = session.conn orelse return tellEnd(d, session);
            if (notes.unpause) unpause(d, conn, session);
            if (session.conn == null) return; // by what came
            if (notes.drained and (D.asks_room or conn.queue.isEmpty())) {
                const before = d.websocket_worker.mailbox.enter();
                d.dispatcher.onSocketDrain(d, session);
                Mailbox.leave(before);
            }
            if (conn.isOpen()) d.afterAnswer(conn);
        }

        fn unpause(d: *D, conn: *Conn, session: *Session) void {
            if (!session.is_paused) return;
            if (!inflater.tellBacklog(d, session)) return;
            session.is_paused = false;
            session.protocol.unpause(d.net.now_ms);
            d.net.resumeInput(conn);
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
            assert(session.conn == conn);
            assert(!session.protocol.isClosed());
            assert(session.is_paused == conn.paused);
            assert(session.backlog == null or session.is_paused);
            if (!D.gathers_messages) return;
            assert(session.message.len == 0 or session.protocol.decoder.isInMessage());
        }
    };
}
