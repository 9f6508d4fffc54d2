//! How HTTP/1 carries responses: their heads and framing, one behind the other in the order of
//! their requests, and the connection's end behind the last (RFC 9112 §6, §9).

const limits = @import("../../core/limits.zig");
const FieldLines = @import("../../http/field_lines.zig").FieldLines;
const Response = @import("../../http/response.zig").Response;
const budget_file = @import("../budget.zig");
const encoder = @import("../../http1/encoder.zig");
const responses_of = @import("../responses.zig").Responses;
const problem = @import("../../http/problem.zig");
const refusals_of = @import("refusals.zig").Refusals;
const secured_of = @import("../secured.zig").Secured;
const timing_of = @import("timing.zig").Timing;
const FileRange = @import("../../net/write_queue.zig").FileRange;
const WriteQueue = @import("../../net/write_queue.zig").WriteQueue;

/// What an exchange reaches its connection by. All that write may end the connection: `isOpen`
/// tells.
pub fn Http1Carrier(comptime D: type) type {
    return struct {
        const Self = @This();
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const http1 = D.http1;
        const budget = budget_file.Budget(D);
        const refusals = refusals_of(D);
        const responses = responses_of(D);
        const timing = timing_of(D);
        const secured = secured_of(D);

        d: *D,
        conn: *Conn,

        pub fn isOpen(self: Self) bool {
            return self.conn.isOpen();
        }

        /// Whether what `ex` writes leaves at once: the responses to earlier requests have.
        pub fn isSpeaking(self: Self, ex: *const Exchange) bool {
            return http1.of(self.conn).first == ex;
        }

        /// Of the exchange that is speaking, bytes.
        pub fn unsentBytes(self: Self, _: *const Exchange) u64 {
            return self.conn.queue.bytes;
        }

        /// Some of the speaking exchange's stream was sent, or it has begun.
        pub fn noteStreamed(self: Self) void {
            timing.onStreamed(self.d, self.conn);
        }

        // The request's body.

        /// Whether the content of `ex` is being read.
        pub fn isReading(self: Self, ex: *const Exchange) bool {
            return http1.isReading(self.conn, ex);
        }

        /// What is still to come of it is read and dropped.
        pub fn dropRequestBody(self: Self, ex: *Exchange) void {
            if (self.isReading(ex)) ex.body.sink = .discard;
        }

        /// Nobody reads the body of a request that has been answered. When more of it is known to
        /// come than is worth reading, or it has been as long already, the connection ends, and the
        /// response says so. A streamed response says nothing: its handler may well go on reading.
        pub fn announceUnreadBody(self: Self, ex: *Exchange) void {
            if (!self.isReading(ex)) return;
            const left = http1.of(self.conn).framing.leastLeft(ex.body.seen);
            if (left > limits.discard_bytes_max) ex.keep_alive = false;
        }

        /// Nobody wants so much of what is still to come as to read on. The response, if it is
        /// still under way, is sent to its end first.
        pub fn stopReading(self: Self, _: *Exchange) void {
            if (http1.stopReading(self.d, self.conn)) |ex| {
                ex.keep_alive = false;
            } else self.d.endConn(self.conn, true);
        }

        /// The message whose content is being read is refused.
        pub fn refuseMessage(self: Self, _: *Exchange, code: problem.Code) void {
            refusals.refuse(self.d, self.conn, code);
        }

        pub fn refuseForMemory(self: Self, _: *Exchange, owner: budget_file.Owner) void {
            budget.refuse(self.d, self.conn, .input, owner);
        }

        /// Refuses the message that is being read if more is kept than may be.
        pub fn checkInputMemory(self: Self, ex: *Exchange) void {
            if (budget.over(self.d, self.conn, .input)) |owner| self.refuseForMemory(ex, owner);
        }

        /// Tells a client that waits for it to send its body.
        pub fn writeContinue(self: Self, ex: *Exchange) void {
            ex.body.awaits_continue = true;
            self.emit(ex, encoder.continue_response);
        }

        // Heads.

        /// `framed`: whether the head tells where the content ends.
        pub fn writeHead(
            self: Self,
            ex: *Exchange,
            res: *Response,
            length: ?u64,
            framed: bool,
        ) void {
            @branchHint(.unlikely); // the usual response has it in line
            self.writeHeadInline(ex, res, length, framed);
        }

        pub inline fn writeHeadInline(
            self: Self,
            ex: *Exchange,
            res: *Response,
            length: ?u64,
            framed: bool,
        ) void {
            const d = self.d;
            const conn = self.conn;
            ex.chunked = length == null and framed and ex.version != .http10;
            if (res.unusual) res.settleFields(ex.version == .http10, ex.chunked and !ex.drop_body);
            if (res.close) ex.keep_alive = false;
            const is_ending = d.net.draining or d.net.retiring;
            if (is_ending and ex.keep_alive and self.isLast(ex)) {
                // The client is told that the connection ends.
                // A request that crosses this response must not turn into a reset.
                ex.keep_alive = false;
                http1.of(conn).more_input = true;
            }
            const lines = res.fieldLines();
            const parts: encoder.HeadParts = .{
                .version = ex.version,
                .status = res.status,
                .field_lines = lines.text,
                .length = length,
                .date = d.dateNow(),
                .server = d.config.server_name,
                .keep_alive = ex.keep_alive,
                .keep_alive_lines = if (ex.keep_alive_asked) d.keepAliveLines() else "",
                .own_line = if (D.is_secure) secured.ownLine(d, conn, lines) else "",
                .has_date = res.has_date,
                .has_server = res.has_server,
                .body_allowed = framed,
            };
            if (parts.endsByClose()) ex.keep_alive = false;
            // What follows a response that announces the end is not served (RFC 9112 §9.6).
            const own = http1.of(conn);
            if (!ex.keep_alive and own.phase == .head) own.phase = .stop;
            const bound: u32 = @intCast(encoder.sizeBound(&parts));
            if (self.isSpeaking(ex) and bound <= limits.output_buffer_bytes / 2) {
                // As much as the bound was reserved.
                const n = encoder.head(d.net.reserve(conn, bound), parts) catch unreachable;
                return d.net.commit(n);
            }
            // The buffer holds the largest head.
            const n = encoder.head(d.head_buffer, parts) catch unreachable;
            self.emit(ex, d.head_buffer[0..n]);
        }

        /// Whether no request behind that of `ex` has been seen, not even in part.
        fn isLast(self: Self, ex: *const Exchange) bool {
            const conn = self.conn;
            if (ex.next != null or http1.of(conn).more_input) return false;
            // Within the input loop `more_input` is up to date.
            return conn.in_input or conn.input.len == 0;
        }

        /// Nothing to HTTP/1.0 (RFC 9110 §15.2); and, since it may be left out, nothing to a client
        /// that does not read.
        pub fn writeInterim(self: Self, ex: *Exchange, status: u16, lines: FieldLines) void {
            const d = self.d;
            const conn = self.conn;
            if (ex.version == .http10 or !conn.isOpen()) return;
            const waiting = conn.queue.bytes + ex.held.bytes;
            if (waiting + lines.text.len > d.config.output_high_water_bytes) return;
            // The buffer holds the largest head.
            const n = encoder.head(d.head_buffer, .{
                .version = ex.version,
                .status = status,
                .field_lines = lines.text,
                .length = null,
                .date = d.dateNow(),
                .keep_alive = true,
            }) catch unreachable;
            self.emit(ex, d.head_buffer[0..n]);
        }

        // Content.

        /// Head, content and trailers, which are dropped for HTTP/1.0.
        pub fn writeWithTrailers(self: Self, ex: *Exchange, res: *Response) void {
            const length = res.bodyLength();
            if (ex.version == .http10) {
                self.writeHead(ex, res, length, true);
                if (self.isOpen()) self.writeBody(ex, res);
                return;
            }
            self.writeHead(ex, res, null, true);
            if (length > 0) {
                var head: [encoder.chunk_head_bytes_max]u8 = undefined;
                self.emit(ex, encoder.chunkHead(&head, length));
                if (self.isOpen()) self.writeBody(ex, res);
                self.emit(ex, encoder.chunk_end);
            }
            self.writeLastChunk(ex, res.trailerLines());
        }

        /// The body as it is.
        pub fn writeBody(self: Self, ex: *Exchange, res: *Response) void {
            const net = &self.d.net;
            const conn = self.conn;
            const speaks = self.isSpeaking(ex);
            switch (res.body) {
                .none => {},
                .borrowed => |bytes| if (speaks)
                    net.writeBorrowed(conn, bytes)
                else
                    self.noteHeld(ex, ex.held.appendCopy(&net.pools, bytes)),
                .static => |bytes| if (speaks)
                    net.writeStatic(conn, bytes)
                else
                    self.noteHeld(ex, ex.held.appendStatic(&net.pools, bytes)),
                .written => |*chain| if (speaks)
                    net.writeChain(conn, chain)
                else
                    self.noteHeld(ex, ex.held.appendChain(&net.pools, chain)),
                .file => |file| {
                    res.body = .none; // the file changes hands
                    if (file.length == 0) return file.handle.release();
                    const range: FileRange = .{
                        .handle = file.handle,
                        .offset = file.offset,
                        .length = file.length,
                    };
                    if (speaks) return net.writeFile(conn, range);
                    const result = ex.held.appendFile(&net.pools, range);
                    result catch file.handle.release();
                    self.noteHeld(ex, result);
                },
            }
        }

        /// Some bytes of a stream.
        pub fn writeData(self: Self, ex: *Exchange, data: []const u8) void {
            if (data.len == 0) return;
            if (!ex.chunked) return self.emit(ex, data);
            var head: [encoder.chunk_head_bytes_max]u8 = undefined;
            self.emit(ex, encoder.chunkHead(&head, data.len));
            self.emit(ex, data);
            self.emit(ex, encoder.chunk_end);
        }

        /// The end of a stream. Trailers go with a chunked body alone.
        pub fn writeEnd(self: Self, ex: *Exchange, trailer_lines: FieldLines) void {
            if (ex.chunked) self.writeLastChunk(ex, trailer_lines);
        }

        fn writeLastChunk(self: Self, ex: *Exchange, trailer_lines: FieldLines) void {
            if (trailer_lines.lengths.len == 0) return self.emit(ex, encoder.last_chunk);
            self.emit(ex, encoder.last_chunk_head);
            self.emit(ex, trailer_lines.text);
            self.emit(ex, encoder.trailers_end);
        }

        // Order.

        fn emit(self: Self, ex: *Exchange, bytes: []const u8) void {
            if (!self.isOpen()) return;
            if (self.isSpeaking(ex)) return self.d.net.writeBorrowed(self.conn, bytes);
            self.noteHeld(ex, ex.held.appendCopy(&self.d.net.pools, bytes));
        }

        /// Something was appended to what `ex` holds back, with this result.
        fn noteHeld(self: Self, ex: *Exchange, result: WriteQueue.Error!void) void {
            const d = self.d;
            const own = http1.of(self.conn);
            result catch return budget.refuse(d, self.conn, .output, .pool);
            own.held_bytes += ex.held.memory_bytes - ex.held_bytes;
            own.held_files += ex.held.files - ex.held_files;
            ex.held_bytes = ex.held.memory_bytes;
            ex.held_files = ex.held.files;
            if (budget.over(d, self.conn, .output)) |owner|
                budget.refuse(d, self.conn, .output, owner);
        }

        /// Lets go of the exchanges at the front that are done, and lets the next ones speak.
        pub fn advance(self: Self, _: *Exchange) void {
            const d = self.d;
            const conn = self.conn;
            const own = http1.of(conn);
            while (own.first) |ex| {
                if (ex.response != .done) break;
                const keep_alive = ex.keep_alive;
                http1.retireFirst(d, conn);
                if (!keep_alive) {
                    const more = own.phase == .body or own.first != null or own.more_input;
                    d.endConn(conn, more);
                    return http1.unpause(d, conn, .upgrade);
                }
                const next = own.first orelse break;
                if (!next.held.isEmpty()) {
                    own.held_bytes -= next.held_bytes;
                    own.held_files -= next.held_files;
                    next.held_bytes = 0;
                    next.held_files = 0;
                    d.net.writeQueue(conn, &next.held);
                    if (!conn.isOpen()) return;
                }
                // Sending may have ended it.
                if (own.first == next) responses.credit(d, d.carrierOf(next), next);
            }
            if (own.pause.body and !http1.wantsContent(conn)) http1.unpause(d, conn, .body);
            if (own.pause.output) http1.unpauseOutput(d, conn);
            if (own.pause.upgrade and own.last == null) http1.unpause(d, conn, .upgrade);
            if (!conn.isOpen()) return;
            if (own.first == null and conn.eof and !conn.in_input and !conn.paused) {
                return d.endConn(conn, false);
            }
            d.afterAnswer(conn);
        }
    };
}
