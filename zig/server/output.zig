//! Responses on their way from the exchange to the connection: heads,
//! bodies whole or streamed, order, credit.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const problem = @import("../http/problem.zig");
const status_codes = @import("../http/status.zig");
const http_response = @import("../http/response.zig");
const Response = http_response.Response;
const budget_of = @import("budget.zig").Budget;
const encoder = @import("../http1/encoder.zig");
const timing_of = @import("timing.zig").Timing;
const FileRange = @import("../net/write_queue.zig").FileRange;
const WriteQueue = @import("../net/write_queue.zig").WriteQueue;

pub fn Output(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const budget = budget_of(D);
        const timing = timing_of(D);

        /// Nobody reads the body of a request that has been answered. When more of it is known to
        /// come than is worth reading, or it has been as long already, the connection ends, and the
        /// response says so. A streamed response says nothing: its handler may well go on reading.
        fn announceUnreadBody(conn: *const Conn, ex: *Exchange) void {
            const body = &conn.app.body;
            if (conn.app.phase != .body or body.exchange != ex) return;
            var left = body.left;
            if (body.is_chunked and !body.decoder.lastChunkSeen()) {
                left = @max(body.decoder.dataLeft(), body.seen);
            }
            if (left > limits.discard_bytes_max) ex.keep_alive = false;
        }

        /// Sends a whole response.
        pub fn respond(d: *D, ex: *Exchange, res: *Response) void {
            assert(ex.response == .none);
            const conn = d.connOf(ex);
            // From here on the dispatcher is done with it,
            // also when the connection fails under the writes.
            markDone(conn, ex);
            announceUnreadBody(conn, ex);
            if (res.status == 200 and !ex.is_head and !ex.is_connect and !res.unusual) {
                writeHeadInline(d, conn, ex, res, res.bodyLength(), true);
                if (conn.isOpen()) writeBody(d, conn, ex, res);
            } else respondUnusual(d, conn, ex, res);
            res.dropBody();
            if (conn.isOpen()) advance(d, conn);
        }

        /// Without content, whatever the handler gave.
        fn respondHead(d: *D, conn: *Conn, ex: *Exchange, res: *Response) void {
            @branchHint(.unlikely);
            if (res.status == 205) {
                noteContent(ex, res);
                return writeHead(d, conn, ex, res, 0, true);
            }
            if (!ex.is_head) noteContent(ex, res);
            // A handler that gave no body to HEAD has not said how long that to GET is: it must
            // not be told then (RFC 9110 §8.6).
            const known = res.declared_length != null or res.body != .none;
            const length = res.declared_length orelse res.bodyLength();
            writeHead(d, conn, ex, res, if (known) length else null, known);
        }

        fn noteContent(ex: *const Exchange, res: *const Response) void {
            if (ex.is_head or res.bodyLength() == 0) return;
            log.limited("a handler gave a body with status {d}: it is left out", .{res.status});
        }

        /// With another status than 200, for another method than GET, with early hints ahead,
        /// trailers behind, or fields that depend on the client.
        fn respondUnusual(d: *D, conn: *Conn, ex: *Exchange, res: *Response) void {
            @branchHint(.unlikely);
            _ = checkStatus(d, ex, res);
            if (res.hints_len > 0) emitInterim(d, conn, ex, 103, res.hintLines());
            if (!conn.isOpen()) return;
            if (ex.is_head or !status_codes.contentAllowed(res.status)) {
                return respondHead(d, conn, ex, res);
            }
            const length = res.bodyLength();
            if (res.trailers_len == 0 or ex.version == .http10) {
                writeHead(d, conn, ex, res, length, true);
                if (conn.isOpen()) writeBody(d, conn, ex, res);
                return;
            }
            writeHead(d, conn, ex, res, null, true);
            if (length > 0) {
                var head: [encoder.chunk_head_bytes_max]u8 = undefined;
                emit(d, conn, ex, encoder.chunkHead(&head, length));
                if (conn.isOpen()) writeBody(d, conn, ex, res);
                emit(d, conn, ex, encoder.chunk_end);
            }
            emitLastChunk(d, conn, ex, res.trailerLines());
        }

        /// False: the response has been replaced.
        fn checkStatus(d: *const D, ex: *const Exchange, res: *Response) bool {
            if (res.status >= 200 and res.status <= 599) {
                if (!ex.is_connect or res.status >= 300) return true;
            }
            refuseStatus(d, ex, res);
            return false;
        }

        fn refuseStatus(d: *const D, ex: *const Exchange, res: *Response) void {
            @branchHint(.cold);
            // A success would make a tunnel of the connection, and there is none (RFC 9110 §9.3.6).
            const tunnel = ex.is_connect and res.status >= 200 and res.status < 300;
            const code: problem.Code = if (tunnel) .tunnel_not_supported else .internal_error;
            log.limited("a handler set status {d}{s}: answered with {d}", .{
                res.status, if (tunnel) " for CONNECT" else "", problem.statusOf(code),
            });
            // An exchange that is answered at once is that of `request`.
            const at_once = !ex.dispatched;
            const format = if (at_once) problem.formatOf(&d.request.fields) else ex.format;
            res.reset();
            problem.write(res, format, code);
        }

        fn isFront(conn: *const Conn, ex: *const Exchange) bool {
            return conn.app.first == ex;
        }

        /// Whether no request behind that of `ex` has been seen, not even in part.
        fn isLast(conn: *const Conn, ex: *const Exchange) bool {
            if (ex.next != null or conn.app.more_input) return false;
            // Within the input loop `more_input` is up to date.
            return conn.in_input or conn.input.len == 0;
        }

        /// `framed`: whether the head tells where the content ends.
        fn writeHead(
            d: *D,
            conn: *Conn,
            ex: *Exchange,
            res: *Response,
            length: ?u64,
            framed: bool,
        ) void {
            @branchHint(.unlikely); // the usual response has it in line
            writeHeadInline(d, conn, ex, res, length, framed);
        }

        inline fn writeHeadInline(
            d: *D,
            conn: *Conn,
            ex: *Exchange,
            res: *Response,
            length: ?u64,
            framed: bool,
        ) void {
            ex.chunked = length == null and framed and ex.version != .http10;
            if (res.unusual) res.settleFields(ex.version == .http10, ex.chunked and !ex.drop_body);
            if (res.close) ex.keep_alive = false;
            const is_ending = d.net.draining or d.net.retiring;
            if (is_ending and ex.keep_alive and isLast(conn, ex)) {
                // The client is told that the connection ends.
                // A request that crosses this response must not turn into a reset.
                ex.keep_alive = false;
                conn.app.more_input = true;
            }
            const parts: encoder.HeadParts = .{
                .version = ex.version,
                .status = res.status,
                .field_lines = res.fieldLines(),
                .length = length,
                .date = d.dateNow(),
                .server = d.config.server_name,
                .keep_alive = ex.keep_alive,
                .keep_alive_lines = if (ex.keep_alive_asked) d.keepAliveLines() else "",
                .has_date = res.has_date,
                .has_server = res.has_server,
                .body_allowed = framed,
            };
            if (parts.endsByClose()) ex.keep_alive = false;
            // What follows a response that announces the end is not served (RFC 9112 §9.6).
            if (!ex.keep_alive and conn.app.phase == .head) conn.app.phase = .stop;
            const bound: u32 = @intCast(encoder.sizeBound(&parts));
            if (isFront(conn, ex) and bound <= limits.output_buffer_bytes / 2) {
                // As much as the bound was reserved.
                const n = encoder.head(d.net.reserve(conn, bound), parts) catch unreachable;
                return d.net.commit(n);
            }
            // The buffer holds the largest head.
            const n = encoder.head(d.head_buffer, parts) catch unreachable;
            emit(d, conn, ex, d.head_buffer[0..n]);
        }

        /// Something was appended to what `ex` holds back, with this result.
        fn hold(d: *D, conn: *Conn, ex: *Exchange, result: WriteQueue.Error!void) void {
            result catch return budget.refuse(d, conn, .output, .pool);
            conn.app.held_bytes += ex.held.memory_bytes - ex.held_bytes;
            conn.app.held_files += ex.held.files - ex.held_files;
            ex.held_bytes = ex.held.memory_bytes;
            ex.held_files = ex.held.files;
            if (budget.over(d, conn, .output)) |owner| budget.refuse(d, conn, .output, owner);
        }

        fn writeBody(d: *D, conn: *Conn, ex: *Exchange, res: *Response) void {
            const pools = &d.net.pools;
            const front = isFront(conn, ex);
            switch (res.body) {
                .none => {},
                .borrowed => |bytes| if (front)
                    d.net.writeBorrowed(conn, bytes)
                else
                    hold(d, conn, ex, ex.held.appendCopy(pools, bytes)),
                .static => |bytes| if (front)
                    d.net.writeStatic(conn, bytes)
                else
                    hold(d, conn, ex, ex.held.appendStatic(pools, bytes)),
                .written => |*chain| if (front)
                    d.net.writeChain(conn, chain)
                else
                    hold(d, conn, ex, ex.held.appendChain(pools, chain)),
                .file => |file| {
                    res.body = .none; // the file changes hands
                    if (file.length == 0) return file.handle.release();
                    const range: FileRange = .{
                        .handle = file.handle,
                        .offset = file.offset,
                        .length = file.length,
                    };
                    if (front) return d.net.writeFile(conn, range);
                    const result = ex.held.appendFile(pools, range);
                    result catch file.handle.release();
                    hold(d, conn, ex, result);
                },
            }
        }

        /// The engine's page for `code`, in the form that was kept for the exchange.
        pub fn respondError(d: *D, ex: *Exchange, code: problem.Code) void {
            if (ex.response != .none) return d.reset(ex);
            const res = d.response();
            problem.write(res, ex.format, code);
            respond(d, ex, res);
        }

        /// Sends an interim response; nothing where the client must not get one (RFC 9110 §15.2),
        /// and, since it may be left out, nothing to a client that does not read.
        pub fn interim(d: *D, ex: *Exchange, status: u16, lines: []const u8) void {
            @branchHint(.cold);
            if (ex.version == .http10 or ex.response != .none) return;
            if (status < 100 or status > 199 or status == 101) return;
            emitInterim(d, d.connOf(ex), ex, status, lines);
        }

        fn emitInterim(
            d: *D,
            conn: *Conn,
            ex: *Exchange,
            status: u16,
            lines: []const u8,
        ) void {
            if (ex.version == .http10 or !conn.isOpen()) return;
            const waiting = conn.queue.bytes + ex.held.bytes;
            if (waiting + lines.len > d.config.output_high_water_bytes) return;
            // The buffer holds the largest head.
            const n = encoder.head(d.head_buffer, .{
                .version = ex.version,
                .status = status,
                .field_lines = lines,
                .length = null,
                .date = d.dateNow(),
                .keep_alive = true,
            }) catch unreachable;
            emit(d, conn, ex, d.head_buffer[0..n]);
        }

        /// Tells a client that waits for it to send its body.
        pub fn sendContinue(d: *D, ex: *Exchange) void {
            const conn = d.connOf(ex);
            conn.app.body.awaits_continue = true;
            emit(d, conn, ex, encoder.continue_response);
        }

        fn emit(d: *D, conn: *Conn, ex: *Exchange, bytes: []const u8) void {
            if (!conn.isOpen()) return;
            if (isFront(conn, ex)) return d.net.writeBorrowed(conn, bytes);
            hold(d, conn, ex, ex.held.appendCopy(&d.net.pools, bytes));
        }

        pub fn beginStream(d: *D, ex: *Exchange, res: *Response, length: ?u64) void {
            assert(ex.response == .none);
            const conn = d.connOf(ex);
            const replaced = !checkStatus(d, ex, res);
            const empty = replaced or res.status == 205;
            ex.response = .streaming;
            ex.drop_body = ex.is_head or empty or !status_codes.contentAllowed(res.status);
            ex.stream_left = length;
            if (res.hints_len > 0) emitInterim(d, conn, ex, 103, res.hintLines());
            if (!conn.isOpen()) return res.dropBody();
            const told = if (replaced) res.bodyLength() else if (empty) 0 else length;
            writeHead(d, conn, ex, res, told, true);
            // A page in the place of what was to be streamed is sent at once.
            if (replaced and conn.isOpen() and !ex.is_head) writeBody(d, conn, ex, res);
            res.dropBody();
            if (conn.isOpen() and isFront(conn, ex)) timing.onStreamed(d, conn);
        }

        pub fn streamBody(d: *D, ex: *Exchange, bytes: []const u8, end: bool) void {
            assert(ex.response == .streaming);
            const conn = d.connOf(ex);
            if (ex.drop_body) {
                if (end) return finishStream(d, conn, ex);
                return d.dispatcher.onSent(d, ex, bytes.len);
            }
            var data = bytes;
            var excess = false;
            if (ex.stream_left) |left| {
                excess = bytes.len > left;
                if (excess) data = bytes[0..@intCast(left)];
                ex.stream_left = left - data.len;
            }
            ex.uncredited += data.len;
            writeChunk(d, conn, ex, data);
            if (!conn.isOpen()) return;
            if (excess) return spoiled(d, conn, ex, "more than its Content-Length");
            if (end) return endBody(d, conn, ex, "");
            if (!isFront(conn, ex)) return;
            timing.onStreamed(d, conn);
            credit(d, conn, ex);
        }

        fn writeChunk(d: *D, conn: *Conn, ex: *Exchange, data: []const u8) void {
            if (data.len == 0) return;
            if (!ex.chunked) return emit(d, conn, ex, data);
            var head: [encoder.chunk_head_bytes_max]u8 = undefined;
            emit(d, conn, ex, encoder.chunkHead(&head, data.len));
            emit(d, conn, ex, data);
            emit(d, conn, ex, encoder.chunk_end);
        }

        pub fn endStream(d: *D, ex: *Exchange, trailer_lines: []const u8) void {
            assert(ex.response == .streaming);
            const conn = d.connOf(ex);
            if (ex.drop_body) return finishStream(d, conn, ex);
            endBody(d, conn, ex, trailer_lines);
        }

        fn endBody(d: *D, conn: *Conn, ex: *Exchange, trailer_lines: []const u8) void {
            if ((ex.stream_left orelse 0) > 0) {
                return spoiled(d, conn, ex, "less than its Content-Length");
            }
            if (ex.chunked) emitLastChunk(d, conn, ex, trailer_lines);
            if (conn.isOpen()) finishStream(d, conn, ex);
        }

        fn emitLastChunk(d: *D, conn: *Conn, ex: *Exchange, trailer_lines: []const u8) void {
            if (trailer_lines.len == 0) return emit(d, conn, ex, encoder.last_chunk);
            emit(d, conn, ex, encoder.last_chunk_head);
            emit(d, conn, ex, trailer_lines);
            emit(d, conn, ex, encoder.trailers_end);
        }

        fn finishStream(d: *D, conn: *Conn, ex: *Exchange) void {
            markDone(conn, ex);
            advance(d, conn);
        }

        /// Nobody wants what is still to come of the request's body.
        fn markDone(conn: *Conn, ex: *Exchange) void {
            ex.response = .done;
            const app = &conn.app;
            if (app.phase == .body and app.body.exchange == ex) app.body.sink = .discard;
        }

        /// A body that does not keep what its head promised: the client has to see that,
        /// and no response may follow.
        fn spoiled(d: *D, conn: *Conn, ex: *Exchange, comptime what: []const u8) void {
            log.limited("a handler sent " ++ what ++ ": the connection is closed", .{});
            ex.keep_alive = false;
            // The dispatcher may believe that more is to follow.
            if (ex.dispatched) d.dispatcher.onAbort(d, ex);
            ex.dispatched = false;
            finishStream(d, conn, ex);
        }

        /// Grants credit for the streamed bytes of the first exchange that have left.
        pub fn credit(d: *D, conn: *Conn, ex: *Exchange) void {
            if (ex.response != .streaming) return;
            const outstanding = @min(conn.queue.bytes, ex.uncredited);
            const granted = ex.uncredited - outstanding;
            if (granted == 0) return;
            ex.uncredited = outstanding;
            d.dispatcher.onSent(d, ex, granted);
        }

        /// Lets go of the exchanges at the front that are done, and lets the next ones speak.
        fn advance(d: *D, conn: *Conn) void {
            const app = &conn.app;
            while (app.first) |ex| {
                if (ex.response != .done) break;
                const keep_alive = ex.keep_alive;
                d.retireFirst(conn);
                if (!keep_alive) {
                    const more = app.phase == .body or app.first != null or app.more_input;
                    return d.endConn(conn, more);
                }
                const next = app.first orelse break;
                if (!next.held.isEmpty()) {
                    app.held_bytes -= next.held_bytes;
                    app.held_files -= next.held_files;
                    next.held_bytes = 0;
                    next.held_files = 0;
                    d.net.writeQueue(conn, &next.held);
                    if (!conn.isOpen()) return;
                }
                // Sending may have ended it.
                if (app.first == next and next.response == .streaming) credit(d, conn, next);
            }
            if (app.pause.body and app.body.sink == .discard) d.unpause(conn, .body);
            if (app.pause.output) d.unpauseOutput(conn);
            if (!conn.isOpen()) return;
            if (app.first == null and conn.eof and !conn.in_input and !conn.paused) {
                return d.endConn(conn, false);
            }
            // Within an event net/ asks for the timer itself, when the event is over.
            if (conn.isOpen() and !conn.in_input) d.afterEvent(conn);
        }
    };
}
