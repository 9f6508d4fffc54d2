//! Requests of HTTP/2: taken, offered to the dispatcher, and kept where they have to wait, for the
//! dispatcher or until their client has taken more of what is under way to it.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../../core/limits.zig");
const buddy = @import("../../core/buddy.zig");
const problem = @import("../../http/problem.zig");
const h1_decoder = @import("../../http1/decoder.zig");
const frames = @import("../../http2/frames.zig");
const StreamId = frames.StreamId;
const Priority = @import("../../http2/priority.zig").Priority;
const message = @import("../../http2/request.zig");
const handshake = @import("../../websocket/handshake.zig");
const admission_of = @import("../admission.zig").Admission;
const secured_of = @import("../secured.zig").Secured;
const refusals_of = @import("../refusals.zig").Refusals;
const Sink = @import("../request_body.zig").Sink;
const responses_of = @import("../responses.zig").Responses;
const contents_of = @import("contents.zig").Contents;

/// For the driver `D`.
pub fn Requests(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const Session = D.http2.Session;
        const admission = admission_of(D);
        const contents = contents_of(D);
        const secured = secured_of(D);
        const refusals = refusals_of(D);
        const responses = responses_of(D);

        /// A request that has come.
        pub fn begin(
            d: *D,
            session: *Session,
            stream: StreamId,
            end_stream: bool,
            head: *const message.Head,
            priority: Priority,
        ) void {
            const is_tunnel = head.protocol.len > 0;
            const length = if (end_stream) 0 else if (is_tunnel) null else head.content_length;
            const ex = take(d, session, stream, end_stream, length, priority) orelse return;
            fill(d, session.conn);
            if (is_tunnel) present(d, ex);
            defer d.request.is_extended_connect = false;
            const is_secure = d.request.tls != null;
            const is_other = head.scheme != .other and (head.scheme == .https) != is_secure;
            const framing: h1_decoder.Framing = .{
                .body = if (end_stream)
                    .none
                else if (head.content_length) |n|
                    .{ .length = n }
                else
                    .chunked,
                .keep_alive = true,
                .expect_continue = head.expect_continue,
                .upgrade = false,
            };
            const wrong: ?problem.Code = if (is_other)
                .misdirected_request
            else if (is_tunnel and !handshake.isWebSocket(head.protocol))
                .tunnel_not_supported // RFC 9220 §3 names the status
            else
                null;
            if (wrong orelse admission.admit(d, framing)) |code| {
                refuse(d, session, ex, end_stream, code);
            } else {
                ex.http2.awaits_continue = head.expect_continue and !end_stream and !is_tunnel;
                const waits = isFull(d, session) or session.held_up.len > 0;
                if (waits) holdUp(d, session, ex) else dispatch(d, session, ex);
            }
            spendTurn(d, session);
        }

        /// A request that is answered with an error.
        pub fn beginRefused(
            d: *D,
            session: *Session,
            stream: StreamId,
            end_stream: bool,
            why: message.Refusal,
        ) void {
            d.request.version = .http2;
            const length: ?u64 = if (end_stream) 0 else null;
            const ex = take(d, session, stream, end_stream, length, .{}) orelse return;
            refuse(d, session, ex, end_stream, problem.codeOf(why));
            spendTurn(d, session);
        }

        /// Its connection's share of the turn may be used up by it.
        fn spendTurn(d: *D, session: *Session) void {
            if (session.conn.isOpen()) _ = d.net.beginRequest(session.conn);
        }

        /// What is known of the request in `d.request` beyond its head.
        fn fill(d: *D, conn: *Conn) void {
            d.request.peer = conn.peer;
            d.request.body = .{};
            d.request.trailers.len = 0;
            if (D.is_secure) d.request.tls = secured.of(d, conn);
        }

        /// An extended CONNECT is to handlers what GET with Upgrade is over HTTP/1 (RFC 8441 §5).
        fn present(d: *D, ex: *Exchange) void {
            d.request.method = .GET;
            d.request.method_text = "GET";
            d.request.is_extended_connect = true;
            ex.http2.asks_tunnel = true;
            ex.http2.spares_content = true; // once it has been refused
        }

        /// Null: there is no room for it, and the client may try again (RFC 9113 §8.7).
        fn take(
            d: *D,
            session: *Session,
            stream: StreamId,
            end_stream: bool,
            length: ?u64,
            priority: Priority,
        ) ?*Exchange {
            session.served = true;
            const id = d.exchanges.take(session.depth) orelse {
                if (isUnread(d, session)) return null;
                var frame: [frames.rst_stream_bytes]u8 = undefined;
                session.protocol.refuse(stream, &frame);
                d.net.write(session.conn, &frame);
                spendTurn(d, session);
                return null;
            };
            const ex = d.exchanges.get(id).?;
            ex.* = .{
                .id = id,
                .conn = session.conn.id,
                .version = .http2,
                .is_head = d.request.method == .HEAD,
                .is_connect = d.request.method == .CONNECT,
                .keep_alive = true,
                .body_length = length,
                .http2 = .{ .place = .{ .id = stream, .priority = priority } },
            };
            const expected = if (end_stream) null else length;
            session.protocol.open(&ex.http2.stream, stream, end_stream, expected);
            D.http2.link(d, session, ex);
            return ex;
        }

        /// Offers the request in `d.request`, whose content has not come, or is in the inbox as far
        /// as it came while the request waited.
        fn dispatch(d: *D, session: *Session, ex: *Exchange) void {
            // What comes behind a CONNECT is none of its content.
            const is_whole = ex.http2.asks_tunnel or
                (contents.isWhole(ex) and !ex.http2.is_reading);
            ex.body_complete = is_whole;
            const id = ex.id;
            const res = d.response();
            const early = if (D.is_secure) secured.answer(d, session.conn, res) else null;
            const action = early orelse switch (d.request.method) {
                .CONNECT, .TRACE => admission.dispatchUnusual(d, ex, res),
                else => d.dispatcher.onRequest(d, ex, &d.request, res),
            };
            switch (action) {
                .respond, .upgrade => {
                    if (action == .upgrade and ex.http2.asks_tunnel) {
                        d.countRequest();
                        return D.websockets.upgrade(d, session.conn, ex, res);
                    }
                    // HTTP/2 has no Upgrade (RFC 9113 §8.6).
                    if (action == .upgrade) D.websockets.refuseUpgrade(d, res, .wrong_http_version);
                    d.countRequest();
                    if (!is_whole) sinkTo(d, ex, .discard);
                    return responses.respond(d, ex, res);
                },
                .buffer => {
                    assert(!is_whole);
                    d.countRequest();
                    ex.format = problem.formatOf(&d.request.fields);
                    sinkTo(d, ex, .gather);
                    if ((ex.body_length orelse 0) > d.config.body_buffered_bytes_max)
                        return d.carrierOf(ex).refuseMessage(ex, .body_too_large);
                    if (!keepHead(d, ex)) return;
                },
                .pending => {
                    d.countRequest();
                    ex.dispatched = true;
                    ex.format = problem.formatOf(&d.request.fields);
                    // It waited while its client ended its side.
                    if (session.conn.hasPeerEnded()) D.http2.tellEof(d, session.conn);
                    if (is_whole or d.exchanges.get(id) == null) return;
                    sinkTo(d, ex, .stream);
                },
                .busy => return waitForRoom(d, session, ex),
            }
            if (ex.http2.awaits_continue) {
                ex.http2.awaits_continue = false;
                d.carrierOf(ex).writeContinue(ex);
            }
            // What came while it waited.
            if (d.exchanges.get(id) == null or !ex.http2.is_reading) return;
            if (ex.http2.inbox.len > 0 or contents.isWhole(ex))
                contents.resumeBody(d, session.conn, ex);
        }

        /// Where the content goes of a request that is taken now. It may have begun before.
        fn sinkTo(d: *D, ex: *Exchange, sink: Sink) void {
            // Of what nothing has come the time begins now.
            const has_some = ex.http2.inbox.len > 0 or contents.isWhole(ex);
            if (!ex.http2.is_reading or !has_some) return contents.begin(d, ex, sink);
            ex.body.sink = sink;
            if (sink == .discard) d.carrierOf(ex).dropRequestBody(ex);
        }

        /// Refusals do not wait for their turn: who lets so many of them lie unread is cut off.
        fn isUnread(d: *D, session: *Session) bool {
            const in_turns = @max(d.config.output_high_water_bytes, limits.output_buffer_bytes);
            if (session.conn.queue.bytes < 4 * @as(u64, in_turns)) return false;
            D.http2.endFor(d, session, .http2_excessive_load, .enhance_your_calm);
            return true;
        }

        /// Answers a request that is not served.
        fn refuse(
            d: *D,
            session: *Session,
            ex: *Exchange,
            end_stream: bool,
            code: problem.Code,
        ) void {
            @branchHint(.cold);
            if (isUnread(d, session)) return;
            if (!end_stream and !ex.http2.asks_tunnel) contents.begin(d, ex, .discard);
            ex.format = problem.formatOf(&d.request.fields);
            refusals.report(d, session.conn, code, problem.statusOf(code));
            responses.respondError(d, ex, code);
        }

        // Those that wait.

        /// Whether so much waits for the client that its next requests wait as well. What waits for
        /// a window of its own stream keeps no others up, within bounds.
        fn isFull(d: *const D, session: *const Session) bool {
            const queue = &session.conn.queue;
            // What a client that has nothing under way needs is always there.
            const under_way = session.depth - session.held_up.len;
            if (under_way <= 1 and queue.isEmpty()) return false;
            if (!d.net.pools.nodes.hasSpareFor(under_way)) return true;
            const moving_bytes = session.held_bytes - session.stalled_bytes;
            const moving_files = session.held_files - session.stalled_files;
            return moving_bytes + queue.bytes >= d.config.output_high_water_bytes or
                moving_files + queue.files >= limits.http2_files_max or
                session.held_bytes >= d.config.connection_memory_bytes_max / 2 or
                session.held_files >= limits.http2_stalled_files_max;
        }

        fn holdUp(d: *D, session: *Session, ex: *Exchange) void {
            @branchHint(.unlikely);
            if (!keepHead(d, ex)) return;
            if (mayBegin(ex)) contents.begin(d, ex, .stream);
            waitForClient(session, ex);
        }

        fn mayBegin(ex: *const Exchange) bool {
            return ex.http2.stream.state == .open and !ex.http2.asks_tunnel;
        }

        /// The request of `ex`, whose head is kept, is offered when the others let it.
        pub fn waitForClient(session: *Session, ex: *Exchange) void {
            ex.http2.waits_for = .client;
            session.held_up.append(ex);
        }

        /// The request stays as it is until `retryBusy`, or until its time is up.
        fn waitForRoom(d: *D, session: *Session, ex: *Exchange) void {
            if (!keepHead(d, ex)) return;
            const is_begun = ex.http2.is_reading;
            // What comes of its content meanwhile waits with it.
            if (!is_begun and mayBegin(ex)) contents.begin(d, ex, .stream);
            const busy = &d.http2_worker.busy;
            const is_new = ex.http2.busy_since_ms == 0;
            if (is_new) ex.http2.busy_since_ms = d.net.now_ms;
            session.expect(ex.http2.busy_since_ms + d.config.dispatch_timeout_ms);
            ex.http2.waits_for = .dispatcher;
            // One that was refused again stays the first.
            if (is_new) busy.append(ex) else busy.insertAfter(null, ex);
        }

        /// It waits no more.
        pub fn stopWaiting(d: *D, ex: *Exchange) void {
            switch (ex.http2.waits_for) {
                .nothing => return,
                .dispatcher => d.http2_worker.busy.remove(ex),
                .client => D.http2.of(d.connOf(ex)).held_up.remove(ex),
                .turn => D.http2.of(d.connOf(ex)).unread.remove(ex),
            }
            ex.http2.waits_for = .nothing;
        }

        /// Offers those again that the dispatcher refused as `busy`.
        pub fn retryBusy(d: *D) void {
            const busy = &d.http2_worker.busy;
            var left = busy.len;
            while (left > 0) : (left -= 1) {
                const ex = busy.first orelse return;
                const conn = d.connOf(ex);
                const id = ex.id;
                again(d, D.http2.of(conn), ex);
                if (conn.isOpen()) d.afterEvent(conn);
                const same = d.exchanges.get(id) orelse continue;
                if (same.http2.waits_for == .dispatcher) return; // the others would be refused too
            }
        }

        /// Requests of `session` that wait may go on, when nobody is in the middle of something.
        pub fn resumeLater(d: *D, session: *Session) void {
            if (session.held_up.len == 0 or session.resumes.is_linked or session.is_over) return;
            if (isFull(d, session)) return;
            d.http2_worker.resuming.append(session);
        }

        /// Goes on with the requests of those sessions: once an event, or a turn, is over.
        pub fn resumeAll(d: *D) void {
            var left = d.http2_worker.resuming.len;
            while (left > 0) : (left -= 1) {
                const session = d.http2_worker.resuming.pop() orelse return;
                if (session.unread.len > 0) D.http2.tunnels.readAll(d, session);
                while (session.conn.isOpen() and !isFull(d, session)) {
                    const ex = session.held_up.first orelse break;
                    again(d, session, ex);
                }
                if (session.conn.isOpen()) d.afterEvent(session.conn);
            }
        }

        fn again(d: *D, session: *Session, ex: *Exchange) void {
            stopWaiting(d, ex);
            restore(d, session.conn, ex);
            defer d.request.is_extended_connect = false;
            dispatch(d, session, ex);
        }

        // Heads that are looked at again.

        /// Keeps text and lines of the block that the request is in. False: there is no room, and
        /// it was refused.
        fn keepHead(d: *D, ex: *Exchange) bool {
            if (ex.http2.head.len > 0) return true; // when it was looked at before
            const id = ex.id;
            const block = &d.http2_worker.block;
            const lines = block.lines[0..block.count];
            // As it was decoded: what was made of it behind that is made again.
            var text_len: u32 = 0;
            for (lines) |line| text_len += @intCast(line.lineBytes());
            const pool = &d.net.pools.buffers;
            const text = block.text[0..text_len];
            keepParts(ex, pool, text, std.mem.sliceAsBytes(lines)) catch {
                d.carrierOf(ex).refuseForMemory(ex, .pool);
                return false;
            };
            ex.http2.block_len = text_len;
            ex.http2.head_lines = @intCast(lines.len);
            d.carrierOf(ex).checkInputMemory(ex);
            return d.exchanges.get(id) != null and ex.response == .none;
        }

        fn keepParts(
            ex: *Exchange,
            pool: *buddy.Buddy,
            text: []const u8,
            lines: []const u8,
        ) error{OutOfBuffers}!void {
            try ex.http2.head.append(pool, text);
            try ex.http2.head.append(pool, lines);
            _ = try ex.http2.head.contiguous(pool, text.len + lines.len);
        }

        /// The request of `ex` is in `d.request` again.
        pub fn restore(d: *D, conn: *Conn, ex: *Exchange) void {
            const block = &d.http2_worker.block;
            block.forgetSource(); // it may be another request
            const kept = ex.http2.head.front();
            const lines = std.mem.sliceAsBytes(block.lines[0..ex.http2.head_lines]);
            @memcpy(block.text[0..ex.http2.block_len], kept[0..ex.http2.block_len]);
            @memcpy(lines, kept[ex.http2.block_len..][0..lines.len]);
            block.bytes = ex.http2.block_len;
            block.count = ex.http2.head_lines;
            block.excess = .none;
            const bounds = d.http2_worker.settings.request;
            const result = message.decode(block, false, bounds, &d.request);
            if (ex.http2.asks_tunnel) present(d, ex);
            const refused = admission.makePathCanonical(d);
            assert(result == .head and refused == null); // as the first time: the same block
            fill(d, conn);
        }
    };
}
