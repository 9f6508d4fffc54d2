//! HTTP/2 on a connection: each stream is an exchange, and they are answered in whatever order
//! their responses are there. What bytes mean is zig/http2's; who answers is the dispatcher's.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../../core/limits.zig");
const never = @import("../../core/rate.zig").never;
const Segment = @import("../../core/chain.zig").Segment;
const Id = @import("../../core/slots.zig").Id;
const buddy = @import("../../core/buddy.zig");
const problem = @import("../../http/problem.zig");
const h2 = @import("../../http2/connection.zig");
const errors = @import("../../http2/errors.zig");
const frames = @import("../../http2/frames.zig");
const budget_of = @import("../budget.zig").Budget;
const common_timing_of = @import("../timing.zig").Timing;
const refusals_of = @import("../refusals.zig").Refusals;
const contents_of = @import("contents.zig").Contents;
const output_of = @import("output.zig").Output;
const pushes_of = @import("pushes.zig").Pushes;
const requests_of = @import("requests.zig").Requests;
const tunnels_of = @import("tunnels.zig").Tunnels;
const sessions_of = @import("session.zig").Sessions;

/// HTTP/2 for the driver `D`.
pub fn Http2(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const budget = budget_of(D);
        const common_timing = common_timing_of(D);
        const contents = contents_of(D);
        const output = output_of(D);
        const pushes = pushes_of(D);
        const refusals = refusals_of(D);
        const requests = requests_of(D);
        const sessions = sessions_of(D);

        pub const tunnels = tunnels_of(D);
        pub const Session = sessions.Session;
        pub const Stream = h2.Stream;
        pub const Worker = sessions.Worker;
        pub const of = sessions.of;
        pub const exchangeOf = sessions.exchangeOf;
        pub const promise = pushes.promise;
        pub const pushRoom = pushes.room;
        pub const restore = requests.restore;
        pub const resumeAll = requests.resumeAll;
        pub const resumeLater = requests.resumeLater;
        pub const retryBusy = requests.retryBusy;
        pub const stopWaiting = requests.stopWaiting;
        pub const consume = contents.consume;
        pub const writeUpdates = contents.writeUpdates;
        pub const isWhole = contents.isWhole;
        pub const resumeBody = contents.resumeBody;

        /// `conn`, on which nothing has been read, speaks HTTP/2 from here on.
        pub fn begin(d: *D, conn: *Conn) void {
            const session = &d.http2_worker.sessions[conn.id.slot];
            session.init(d, conn);
            conn.app.http2 = session;
            conn.app.http1.spoken = .http2;
            var greeting: [@TypeOf(session.protocol).greeting_bytes_max]u8 = undefined;
            const len = session.protocol.greet(&greeting);
            d.net.write(conn, greeting[0..len]);
            // Windows grow by what a round trip takes.
            if (conn.isOpen()) _ = sendPing(d, session);
        }

        /// False: one is on its way.
        fn sendPing(d: *D, session: *Session) bool {
            var ping: [frames.ping_bytes]u8 = undefined;
            _ = session.protocol.ping(d.net.now_ms, &ping) orelse return false;
            d.net.write(session.conn, &ping);
            return true;
        }

        // Reading.

        pub fn onBytes(d: *D, conn: *Conn, bytes: []const u8) usize {
            const session = of(conn);
            var used: usize = 0;
            // What has come before goes first on every second turn: resets, pings and windows wait
            // behind it no longer. The end of the other turns has what they leave of it.
            if (session.unread.len > 0) {
                session.unread_first = !session.unread_first;
                if (session.unread_first) tunnels.readAll(d, session);
            }
            while (conn.isOpen() and !session.is_over) {
                if (conn.is_ready) return used; // it has had its turn
                const step = session.protocol.next(session, bytes[used..], .{
                    .block = &d.http2_worker.block,
                    .req = &d.request,
                }, d.net.now_ms);
                used += step.consumed;
                if (step.reply.len > 0) d.net.write(conn, step.reply);
                if (!conn.isOpen()) break;
                if (step.event == .need_more) {
                    noteBlock(d, session);
                    return used;
                }
                take(d, conn, session, &step.event);
            }
            return bytes.len;
        }

        fn take(d: *D, conn: *Conn, session: *Session, event: *const h2.Event) void {
            if (!session.protocol.frames.isInBlock()) session.block_since_ms = 0;
            switch (event.*) {
                .need_more => unreachable, // the loop's
                .need_memory => |bytes| lend(d, session, bytes),
                .failed => |err| fail(d, conn, err),
                .request => |*request| requests.begin(
                    d,
                    session,
                    request.id,
                    request.end_stream,
                    &request.head,
                    request.priority,
                ),
                .refused => |refused| requests.beginRefused(
                    d,
                    session,
                    refused.id,
                    refused.end_stream,
                    refused.why,
                ),
                .malformed => refusals.report(d, conn, .malformed_message, 0),
                .data => |data| contents.takeData(
                    d,
                    exchangeOf(data.stream),
                    data.bytes,
                    data.end_stream,
                ),
                .trailers => |trailers| contents.takeTrailers(
                    d,
                    exchangeOf(trailers.stream),
                    trailers.lines,
                ),
                .reset => |by_peer| {
                    if (by_peer.stream.isPush()) d.countRefusedPush();
                    abort(d, exchangeOf(by_peer.stream));
                },
                .broken => |broken| {
                    refusals.report(d, conn, .malformed_message, 0);
                    abort(d, exchangeOf(broken.stream));
                },
                .writable => |stream| output.onWindow(d, session, stream),
                .prioritized => |one| tunnels.reprioritize(
                    session,
                    exchangeOf(one.stream),
                    one.priority,
                ),
                .pong => if (session.farewell == .announced) onFarewellPong(d, session),
                .goaway => pushes.giveUp(d, session),
                .reply => {},
            }
        }

        fn noteBlock(d: *D, session: *Session) void {
            if (session.protocol.frames.isInBlock()) {
                if (session.block_since_ms == 0) session.block_since_ms = d.net.now_ms;
                return;
            }
            session.block_since_ms = 0;
            takeBack(d, session);
        }

        /// Memory for a field block in pieces.
        fn lend(d: *D, session: *Session, bytes: usize) void {
            const pool = &d.net.pools.buffers;
            const order = buddy.orderFor(@max(bytes, 4096) + Segment.overhead);
            const segment = Segment.create(pool, order) catch {
                return endFor(d, session, .out_of_buffers, .enhance_your_calm);
            };
            _ = session.protocol.frames.lend(segment.room());
            if (session.lent) |before| before.destroy(pool);
            session.lent = segment;
            if (budget.over(d, session.conn, .input)) |_|
                endFor(d, session, .connection_memory, .enhance_your_calm);
        }

        fn takeBack(d: *D, session: *Session) void {
            const segment = session.lent orelse return;
            _ = session.protocol.frames.takeBack();
            segment.destroy(&d.net.pools.buffers);
            session.lent = null;
        }

        /// The reply with the reason is on its way.
        fn fail(d: *D, conn: *Conn, err: errors.ConnectionError) void {
            of(conn).is_over = true;
            const code: problem.Code = if (err.code() == .enhance_your_calm)
                .http2_excessive_load
            else
                .http2_connection_error;
            refusals.report(d, conn, code, 0);
            d.endConn(conn, true);
        }

        /// `ex`, whose stream has begun, is one of the connection's.
        pub fn link(d: *D, session: *Session, ex: *Exchange) void {
            ex.prev = session.last;
            if (session.last) |last| last.next = ex else session.first = ex;
            session.last = ex;
            session.depth += 1;
            d.http2_worker.streams.put(session.conn.id.slot, ex.http2.stream.id, ex.id.slot);
        }

        // The end of a stream.

        /// The stream is closed before its time: who works for it is told.
        fn abort(d: *D, ex: *Exchange) void {
            const session = of(d.connOf(ex));
            assert(ex.http2.stream.isClosed());
            tellAbort(d, ex);
            release(d, session, ex);
            if (session.conn.isOpen()) afterRelease(d, session);
        }

        fn tellAbort(d: *D, ex: *Exchange) void {
            requests.stopWaiting(d, ex);
            if (D.has_sockets) D.websockets.dropStream(d, ex);
            if (!ex.dispatched or ex.response == .done) return;
            ex.dispatched = false;
            d.dispatcher.onAbort(d, ex);
        }

        /// Ends a stream from this side before its time.
        pub fn reset(d: *D, ex: *Exchange, code: errors.Code) void {
            const session = of(d.connOf(ex));
            var frame: [frames.rst_stream_bytes]u8 = undefined;
            const was_open = !ex.http2.stream.isClosed();
            if (was_open) session.protocol.resetStream(&ex.http2.stream, code, &frame);
            release(d, session, ex);
            if (was_open) d.net.write(session.conn, &frame);
            if (session.conn.isOpen()) afterRelease(d, session);
        }

        /// The client does not take its response.
        pub fn cancel(d: *D, ex: *Exchange) void {
            tellAbort(d, ex);
            reset(d, ex, .cancel);
        }

        /// Lets go of an exchange whose stream is closed.
        pub fn release(d: *D, session: *Session, ex: *Exchange) void {
            assert(ex.http2.socket == Id.none);
            ex.http2.is_reading = false;
            session.order.remove(ex);
            requests.stopWaiting(d, ex);
            output.forget(session, ex);
            d.http2_worker.streams.remove(session.conn.id.slot, ex.http2.stream.id);
            session.protocol.release(&ex.http2.stream);
            if (ex.prev) |before| before.next = ex.next else session.first = ex.next;
            if (ex.next) |next| next.prev = ex.prev else session.last = ex.prev;
            session.depth -= 1;
            if (session.depth == 0) session.due_ms = never;
            const pools = &d.net.pools;
            ex.gathered.deinit(&pools.buffers);
            ex.trailers.deinit(&pools.buffers);
            ex.http2.head.deinit(&pools.buffers);
            ex.http2.inbox.deinit(&pools.buffers);
            ex.http2.trailing.deinit(&pools.buffers);
            ex.held.deinit(pools);
            d.exchanges.release(ex.id, session.depth);
        }

        pub fn afterRelease(d: *D, session: *Session) void {
            contents.writeUpdates(d, session, null);
            requests.resumeLater(d, session);
            tunnels.noteRoom(d, session);
            if (!session.conn.isOpen()) return;
            const is_last = session.farewell == .final or session.conn.eof_told;
            if (session.depth == 0 and is_last) d.endConn(session.conn, false);
        }

        // The end of the connection.

        /// All exchanges end, without an answer where there is none yet.
        pub fn dropExchanges(d: *D, conn: *Conn) void {
            const session = of(conn);
            session.is_over = true;
            session.block_since_ms = 0;
            d.http2_worker.resuming.drop(session);
            while (session.first) |ex| {
                tellAbort(d, ex);
                if (session.first != ex) continue;
                // Nothing is sent any more: the stream's end needs no word.
                ex.http2.stream.state = .closed;
                release(d, session, ex);
            }
            takeBack(d, session);
        }

        pub fn onClose(d: *D, conn: *Conn) void {
            dropExchanges(d, conn);
            assert(!of(conn).resumes.is_linked); // its slot is another's from here on
            of(conn).deinit();
        }

        /// Ends it for something that has not to do with one stream alone.
        pub fn endFor(d: *D, session: *Session, code: problem.Code, told: errors.Code) void {
            @branchHint(.cold);
            refusals.report(d, session.conn, code, 0);
            writeGoaway(d, session, .final, told);
            session.farewell = .final;
            if (session.conn.isOpen()) d.endConn(session.conn, true);
        }

        fn writeGoaway(
            d: *D,
            session: *Session,
            farewell: @TypeOf(session.protocol).Farewell,
            code: errors.Code,
        ) void {
            var goaway: [frames.goaway_bytes]u8 = undefined;
            session.protocol.goAway(farewell, code, &goaway);
            d.net.write(session.conn, &goaway);
        }

        /// Nothing more is said behind this: a client that was not told so is told now, and which
        /// of its streams were served (RFC 9113 §6.8).
        pub fn end(d: *D, conn: *Conn) void {
            const session = of(conn);
            if (!session.is_over and session.farewell != .final) {
                session.farewell = .final;
                writeGoaway(d, session, .final, .no_error);
                if (!conn.isOpen()) return;
            }
            dropExchanges(d, conn);
        }

        /// The client sends no more: what has come whole is answered.
        pub fn onEof(d: *D, conn: *Conn) void {
            const session = of(conn);
            var at = session.first;
            while (at) |ex| {
                // What has come on a tunnel is read, as if its end had come behind it.
                if (tunnels.hasUnread(ex)) ex.http2.stream.state = .half_closed_remote;
                if (contents.isWhole(ex)) {
                    at = ex.next;
                    continue;
                }
                tellAbort(d, ex);
                ex.http2.stream.state = .closed;
                release(d, session, ex);
                at = session.first; // others may have ended with it
            }
            if (session.depth == 0) return d.endConn(conn, false);
            requests.resumeLater(d, session);
            tellEof(d, conn);
        }

        pub fn tellEof(d: *D, conn: *Conn) void {
            common_timing.noteSent(d, conn);
            if (!@hasDecl(@TypeOf(d.dispatcher.*), "onEof")) return;
            var at = of(conn).first;
            while (at) |ex| {
                at = ex.next;
                if (!ex.dispatched or ex.response == .done or ex.eof_told) continue;
                ex.eof_told = true;
                d.dispatcher.onEof(d, ex);
                if (!conn.isOpen()) return;
                at = of(conn).first; // it may have ended others
            }
        }

        /// A stop, or nothing was asked for long enough: streams that begin within a round trip are
        /// served yet (RFC 9113 §6.8).
        pub fn finishIfIdle(d: *D, conn: *Conn) void {
            const session = of(conn);
            if (session.is_over) return;
            switch (session.farewell) {
                .none => {
                    session.farewell = .announced;
                    session.farewell_ms = d.net.now_ms;
                    pushes.giveUp(d, session);
                    if (!conn.isOpen()) return;
                    writeGoaway(d, session, .announced, .no_error);
                    session.farewell_pinged = sendPing(d, session);
                    closeSockets(d, session);
                },
                // It was idle: what has begun since may be a WebSocket.
                .announced => if (d.net.draining) closeSockets(d, session),
                .final => {
                    if (d.net.draining) closeSockets(d, session);
                    if (conn.isOpen() and session.depth == 0) d.endConn(conn, false);
                },
            }
        }

        fn closeSockets(d: *D, session: *Session) void {
            if (!D.has_sockets) return;
            var at = session.first;
            while (at) |ex| {
                at = ex.next;
                const next = if (at) |after| after.id else null;
                D.websockets.finishStream(d, ex);
                if (!session.conn.isOpen()) return;
                // It may have ended others. To who has been told nothing more is said.
                if (next) |id| at = d.exchanges.get(id) orelse session.first;
            }
        }

        /// The PING that comes back may be one from before the announcement.
        fn onFarewellPong(d: *D, session: *Session) void {
            if (session.farewell_pinged) return finalFarewell(d, session);
            session.farewell_pinged = sendPing(d, session);
        }

        /// What came on its way to the client has come back, or has had the time for it.
        pub fn finalFarewell(d: *D, session: *Session) void {
            session.farewell = .final;
            writeGoaway(d, session, .final, .no_error);
            if (session.conn.isOpen() and session.depth == 0) d.endConn(session.conn, false);
        }

        // What it holds.

        /// The blocks of memory that its exchanges hold, bytes.
        pub fn heldBytes(conn: *const Conn) u64 {
            const session = of(conn);
            var bytes: u64 = if (session.lent) |segment| segment.blockBytes() else 0;
            var at = session.first;
            while (at) |ex| : (at = ex.next) {
                bytes += ex.gathered.block_bytes + ex.trailers.block_bytes + ex.held.block_bytes +
                    ex.http2.head.block_bytes + ex.http2.inbox.block_bytes +
                    ex.http2.trailing.block_bytes;
                if (D.has_sockets) bytes += D.websockets.heldBytesOn(session.d, ex);
            }
            return bytes;
        }

        pub fn checkInvariants(d: *D, conn: *Conn) void {
            const session = of(conn);
            session.protocol.checkInvariants(session);
            session.order.checkInvariants();
            var depth: u16 = 0;
            var held: u64 = 0;
            var stalled: u64 = 0;
            var stalled_count: u16 = 0;
            var at = session.first;
            while (at) |ex| : (at = ex.next) {
                assert(d.exchanges.get(ex.id) == ex);
                assert(ex.held_bytes == ex.held.memory_bytes);
                assert(!ex.http2.stall.is_on or !ex.http2.place.link.is_linked);
                if (D.has_sockets) D.websockets.checkStream(d, ex);
                held += ex.held_bytes;
                if (ex.http2.stall.is_on) {
                    stalled += ex.held_bytes;
                    stalled_count += 1;
                }
                depth += 1;
            }
            assert(depth == session.depth and held == session.held_bytes);
            assert(stalled == session.stalled_bytes and stalled_count == session.stalled_count);
        }
    };
}
