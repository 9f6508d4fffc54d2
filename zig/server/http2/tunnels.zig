//! Streams that are tunnels (RFC 9113 §8.5, RFC 8441): what comes on one is its WebSocket's, and
//! what that says goes out as content does, in turns with that of other streams. What its socket
//! has not taken stays here, and in the stream's window, which is not opened for it: that holds up
//! its peer. What has come for others is read in turns with it.

const Id = @import("../../core/slots.zig").Id;
const limits = @import("../../core/limits.zig");
const problem = @import("../../http/problem.zig");
const Response = @import("../../http/response.zig").Response;
const Priority = @import("../../http2/priority.zig").Priority;
const budget_of = @import("../budget.zig").Budget;
const contents_of = @import("contents.zig").Contents;
const output_of = @import("output.zig").Output;
const requests_of = @import("requests.zig").Requests;

/// For the driver `D`.
pub fn Tunnels(comptime D: type) type {
    return struct {
        const Exchange = D.Exchange;
        const http2 = D.http2;
        const Session = http2.Session;
        const budget = budget_of(D);
        const contents = contents_of(D);
        const output = output_of(D);
        const requests = requests_of(D);

        /// Whether the request of `ex` asks for a tunnel, and has not been answered.
        pub fn isAsked(ex: *const Exchange) bool {
            return ex.version == .http2 and ex.http2.asks_tunnel and ex.response == .none;
        }

        /// Answers with 200 and the fields of `res`: from here on the stream is the socket's. The
        /// connection may end by it.
        pub fn begin(d: *D, ex: *Exchange, socket: Id, res: *Response) void {
            ex.dispatched = false;
            ex.response = .streaming;
            ex.http2.socket = socket;
            ex.http2.spares_content = false;
            http2.of(d.connOf(ex)).protocol.beginTunnel(&ex.http2.stream);
            // It has no end that others might wait for.
            ex.http2.place.priority.incremental = true;
            res.status = 200;
            res.dropBody();
            res.dropPushes();
            d.carrierOf(ex).writeHead(ex, res, null, true);
        }

        /// The client wants what is said on the stream sent otherwise: in turns with others all the
        /// same.
        pub fn reprioritize(session: *Session, ex: *Exchange, priority: Priority) void {
            session.order.reprioritize(ex, .{
                .urgency = priority.urgency,
                .incremental = priority.incremental or isTunnel(ex),
            });
        }

        // What comes.

        /// DATA on a stream whose request asks for a tunnel, or has become one.
        pub fn takeData(d: *D, ex: *Exchange, bytes: []const u8, end_stream: bool) void {
            if (!D.has_sockets) unreachable; // no such request is let through
            const session = http2.of(d.connOf(ex));
            const id = ex.id;
            if (ex.http2.socket == Id.none or ex.http2.inbox.len > 0 or
                D.websockets.isStreamPaused(d, ex)) return keep(d, ex, bytes);
            // They lie in what was received, which is this worker's to write to.
            const used = D.websockets.readStream(d, ex, @constCast(bytes));
            if (d.exchanges.get(id) == null) return;
            if (!isTunnel(ex)) return contents.consume(d, session, ex, bytes.len);
            keep(d, ex, bytes[used..]);
            if (d.exchanges.get(id) == null) return;
            contents.consume(d, session, ex, used);
            if (end_stream and isLeft(d, ex, id) and ex.http2.inbox.len == 0)
                D.websockets.onStreamEof(d, ex);
        }

        fn isTunnel(ex: *const Exchange) bool {
            return ex.http2.socket != Id.none;
        }

        fn isLeft(d: *D, ex: *const Exchange, id: Id) bool {
            return d.exchanges.get(id) != null and isTunnel(ex);
        }

        /// Nobody takes it now, and no window is opened for it. What there is no memory for is in
        /// no inbox: its share of the windows comes back when the stream is released, which its
        /// socket's end brings about.
        fn keep(d: *D, ex: *Exchange, bytes: []const u8) void {
            if (bytes.len == 0 or ex.http2.spares_content and ex.response != .none) return;
            ex.http2.inbox.append(&d.net.pools.buffers, bytes) catch
                return refuse(d, ex, .out_of_buffers);
            if (budget.over(d, d.connOf(ex), .input)) |owner| refuse(d, ex, owner.code());
        }

        fn refuse(d: *D, ex: *Exchange, why: problem.Code) void {
            @branchHint(.cold);
            if (isTunnel(ex)) return D.websockets.giveUpStream(d, ex, why);
            d.carrierOf(ex).refuseMessage(ex, why);
        }

        /// Whether something has come for the socket that it has not read, and more may come.
        pub fn hasUnread(ex: *const Exchange) bool {
            return isTunnel(ex) and ex.http2.inbox.len > 0 and !contents.isWhole(ex);
        }

        /// What was kept is read, as far as the socket lets it be. Not while it is paused.
        pub fn read(d: *D, ex: *Exchange) void {
            const session = http2.of(d.connOf(ex));
            const id = ex.id;
            const inbox = &ex.http2.inbox;
            while (inbox.len > 0) {
                const front = inbox.front();
                const used = D.websockets.readStream(d, ex, front);
                if (!isLeft(d, ex, id)) return; // what is left is dropped
                const is_held_up = used < front.len;
                inbox.consume(&d.net.pools.buffers, used);
                contents.consume(d, session, ex, used);
                if (is_held_up or !isLeft(d, ex, id)) return;
            }
            if (contents.isWhole(ex)) D.websockets.onStreamEof(d, ex);
        }

        /// What was kept is read in a later turn.
        pub fn readLater(d: *D, ex: *Exchange) void {
            const session = http2.of(d.connOf(ex));
            if (ex.http2.waits_for == .nothing) {
                ex.http2.waits_for = .turn;
                session.unread.append(ex);
            }
            goOnLater(d, session);
        }

        /// The turn of those has come, if their connection has some of it left.
        pub fn readAll(d: *D, session: *Session) void {
            var left = session.unread.len;
            while (left > 0 and session.conn.isOpen() and !session.conn.is_ready) : (left -= 1) {
                const ex = session.unread.first orelse return;
                requests.stopWaiting(d, ex);
                if (!D.websockets.isStreamPaused(d, ex)) read(d, ex);
            }
            if (session.unread.len > 0 and session.conn.isOpen()) goOnLater(d, session);
        }

        // What goes.

        /// Says `bytes` behind what was said before: they leave when windows, turns and the socket
        /// let them, with what else this turn brings. False: there is no room for them.
        pub fn write(d: *D, ex: *Exchange, bytes: []const u8) bool {
            const session = http2.of(d.connOf(ex));
            if (session.is_over) return true; // its exchanges are ending: nobody is told
            ex.held.appendCopy(&d.net.pools, bytes) catch return false;
            output.countHeld(session, ex);
            if (holdsTooMuch(d, session)) return false;
            output.offer(d, session, ex);
            // What is more than the socket is given at once need not wait for the turn's end.
            if (ex.held.bytes >= limits.output_buffer_bytes) {
                output.pump(d, session);
            } else if (!session.conn.in_input) goOnLater(d, session);
            return true;
        }

        /// What is not refused for want of room, as pongs are not, is bounded as well: it leaves a
        /// quarter for what is received, which the connection would end for.
        fn holdsTooMuch(d: *const D, session: *const Session) bool {
            const bytes = heldBytes(session);
            if (bytes <= limits.connection_memory_share_bytes) return false;
            if (bytes > d.config.connection_memory_bytes_max / 4 * 3) return true;
            return budget.over(d, session.conn, .output) != null;
        }

        /// The end of the turn looks at what is to be read and sent; an event does so by itself.
        fn goOnLater(d: *D, session: *Session) void {
            if (session.is_over or session.resumes.is_linked) return;
            d.http2_worker.resuming.append(session);
        }

        /// As much as may leave now does.
        pub fn flush(d: *D, ex: *Exchange) void {
            const session = http2.of(d.connOf(ex));
            output.offer(d, session, ex);
            output.pump(d, session);
        }

        /// Whether all that was said has left, or may with what else this turn brings.
        pub fn isClear(session: *const Session, ex: *const Exchange) bool {
            const bytes = ex.held.bytes;
            if (bytes == 0) return true;
            const own = ex.http2.stream.send.available();
            const window = @min(own, session.protocol.send.available());
            return bytes <= window and bytes < limits.output_buffer_bytes and
                session.conn.queue.isEmpty();
        }

        /// Whether so much more may wait, of a stream for which `own` wait with it, as far as what
        /// its connection holds goes: others of it are to have room for what they receive. Streams
        /// that hold much leave some for those that hold little.
        pub fn mayHold(d: *const D, session: *const Session, own: u64, bytes: usize) bool {
            const eighth = d.config.connection_memory_bytes_max / 8;
            const is_large = own > limits.connection_memory_share_bytes;
            return heldBytes(session) + bytes <= if (is_large) 3 * eighth else 4 * eighth;
        }

        /// Sockets of the connection that were refused room, and have nothing of their own under
        /// way, which would tell them of it, are told that there is some. They are called when the
        /// turn ends.
        pub fn noteRoom(d: *D, session: *Session) void {
            if (!D.has_sockets or !session.has_refused) return;
            // Less than they are refused at, that they are not told for every byte of it.
            if (heldBytes(session) > d.config.connection_memory_bytes_max / 4) return;
            session.has_refused = false;
            var at = session.first;
            while (at) |ex| : (at = ex.next) {
                if (isTunnel(ex) and ex.held.bytes == 0) D.websockets.noteStreamRoom(d, ex);
            }
        }

        /// What waits for the client on all streams, bytes of memory.
        pub fn heldBytes(session: *const Session) u64 {
            return session.held_bytes + session.conn.queue.bytes;
        }

        /// Its socket is over: END_STREAM goes behind what was said, and `farewell` ahead of it
        /// (RFC 8441 §5). What the client says yet is read and dropped for a while. The exchange
        /// may end by it, or the connection.
        pub fn end(d: *D, ex: *Exchange, farewell: []const u8) void {
            const session = http2.of(d.connOf(ex));
            const inbox = &ex.http2.inbox;
            requests.stopWaiting(d, ex);
            const waiting = inbox.len;
            inbox.deinit(&d.net.pools.buffers);
            ex.http2.asks_tunnel = false; // what is still to come is content
            if (farewell.len > 0 and !write(d, ex, farewell)) return http2.reset(d, ex, .cancel);
            if (!session.conn.isOpen()) return;
            ex.response = .done;
            if (!contents.isWhole(ex)) {
                contents.begin(d, ex, .discard);
                // Nobody is waited for in a stop who has been told so.
                ex.http2.spares_content = d.net.draining;
                if (waiting > 0) session.protocol.consume(&ex.http2.stream, @intCast(waiting));
            }
            d.carrierOf(ex).advance(ex);
        }
    };
}
