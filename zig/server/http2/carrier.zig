//! How HTTP/2 carries responses: heads at once, in the order in which they are made, since both
//! sides' tables of fields go by it; content when windows, turns and the socket let it.

const limits = @import("../../core/limits.zig");
const FieldLines = @import("../../http/field_lines.zig").FieldLines;
const Response = @import("../../http/response.zig").Response;
const problem = @import("../../http/problem.zig");
const errors = @import("../../http2/errors.zig");
const frames = @import("../../http2/frames.zig");
const heads = @import("../../http2/response.zig");
const Out = @import("../../http2/hpack/encoder.zig").Out;
const common_timing_of = @import("../timing.zig").Timing;
const budget_file = @import("../budget.zig");
const refusals_of = @import("../refusals.zig").Refusals;
const responses_of = @import("../responses.zig").Responses;
const secured_of = @import("../secured.zig").Secured;
const FileRange = @import("../../net/write_queue.zig").FileRange;
const WriteQueue = @import("../../net/write_queue.zig").WriteQueue;
const output_of = @import("output.zig").Output;
const pushes_of = @import("pushes.zig").Pushes;

pub fn Http2Carrier(comptime D: type) type {
    return struct {
        const Self = @This();
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const common_timing = common_timing_of(D);
        const http2 = D.http2;
        const budget = budget_file.Budget(D);
        const output = output_of(D);
        const pushes = pushes_of(D);
        const refusals = refusals_of(D);
        const responses = responses_of(D);
        const secured = secured_of(D);

        d: *D,
        conn: *Conn,

        fn session(self: Self) *http2.Session {
            return http2.of(self.conn);
        }

        pub fn unsentBytes(_: Self, ex: *const Exchange) u64 {
            return ex.held.bytes;
        }

        pub fn noteStreamed(self: Self) void {
            common_timing.noteSent(self.d, self.conn);
        }

        // The request's body.

        pub fn isReading(_: Self, ex: *const Exchange) bool {
            return ex.http2.is_reading;
        }

        pub fn dropRequestBody(self: Self, ex: *Exchange) void {
            if (!self.isReading(ex)) return;
            ex.body.sink = .discard;
            const waiting = ex.http2.inbox.len;
            if (waiting == 0) return;
            ex.http2.inbox.deinit(&self.d.net.pools.buffers);
            ex.body.unpause(self.d.net.now_ms);
            self.session().expect(ex.body.since_ms + self.d.config.body_timeout_ms);
            // Told with what is written next: this is called where nothing may end `ex`.
            if (!ex.http2.stream.isClosed())
                self.session().protocol.consume(&ex.http2.stream, @intCast(waiting));
        }

        /// Nobody wants what is still to come: the client is told to spare itself that, behind the
        /// response (RFC 9113 §8.1).
        pub fn stopReading(self: Self, ex: *Exchange) void {
            ex.http2.spares_content = true;
            output.settle(self.d, self.session(), ex);
        }

        pub fn refuseMessage(self: Self, ex: *Exchange, code: problem.Code) void {
            const d = self.d;
            http2.stopWaiting(d, ex);
            const is_free = ex.response == .none;
            refusals.report(d, self.conn, code, if (is_free) problem.statusOf(code) else 0);
            if (ex.dispatched and ex.response != .done) d.dispatcher.onAbort(d, ex);
            ex.dispatched = false;
            ex.http2.is_reading = false;
            // Behind a whole response the rest of the request is nothing that failed (§8.1).
            if (!is_free) return http2.reset(d, ex, if (ex.http2.has_ended) .no_error else .cancel);
            ex.http2.spares_content = !http2.isWhole(ex);
            responses.respondError(d, ex, code);
        }

        pub fn refuseForMemory(self: Self, ex: *Exchange, owner: budget_file.Owner) void {
            self.refuseMessage(ex, owner.code());
        }

        pub fn checkInputMemory(self: Self, ex: *Exchange) void {
            if (budget.over(self.d, self.conn, .input)) |owner| self.refuseForMemory(ex, owner);
        }

        // Heads.

        pub fn writeContinue(self: Self, ex: *Exchange) void {
            self.writeInterim(ex, 100, .{});
        }

        pub fn writeInterim(self: Self, ex: *Exchange, status: u16, lines: FieldLines) void {
            if (!self.conn.isOpen() or ex.http2.stream.isClosed()) return;
            // It may be left out, to a client that does not read.
            const waiting = self.conn.queue.bytes + lines.text.len;
            if (waiting > self.d.config.output_high_water_bytes) return;
            self.writeBlock(ex, false, .{
                .status = status,
                .lines = lines,
                .length = null,
                .date = self.d.dateNow(),
            });
        }

        pub fn writeHead(
            self: Self,
            ex: *Exchange,
            res: *Response,
            length: ?u64,
            framed: bool,
        ) void {
            if (ex.http2.stream.isClosed()) return;
            // Ahead of what refers to them (RFC 9113 §8.4.1).
            if (res.pushes.len > 0) pushes.promiseAll(self.d, ex, res);
            if (!self.conn.isOpen()) return;
            if (res.unusual) res.settleFields(false, true);
            const is_whole = ex.response == .done;
            // What HEAD, or a status without content, is answered with ends here.
            // A page in the place of what was to be streamed follows its head.
            const has_page = ex.drop_body and !ex.is_head and res.body != .none;
            const is_bare = ex.is_head or (ex.drop_body and !has_page) or
                (is_whole and isEmpty(res) and res.trailers_len == 0);
            const ends = is_bare and (is_whole or ex.drop_body);
            self.writeBlock(ex, ends, .{
                .status = res.status,
                .lines = res.fieldLines(),
                .length = length,
                .date = self.d.dateNow(),
                .server = self.d.config.server_name,
                .own_line = if (D.is_secure)
                    secured.ownLine(self.d, self.conn, res.fieldLines())
                else
                    "",
                .has_date = res.has_date,
                .has_server = res.has_server,
                .body_allowed = framed,
            });
            if (ends and self.conn.isOpen()) {
                ex.http2.has_ended = true;
                self.session().protocol.sentEnd(&ex.http2.stream);
            }
        }

        fn isEmpty(res: *const Response) bool {
            return res.body == .none or res.bodyLength() == 0;
        }

        /// Encodes and sends a head: in this order and no other.
        fn writeBlock(self: Self, ex: *Exchange, ends: bool, parts: heads.HeadParts) void {
            const d = self.d;
            const own = self.session();
            own.protocol.sentHead(&ex.http2.stream);
            const frame_bytes_max = own.protocol.peer.frame_bytes_max;
            const bound = frames.headersBytes(heads.headBytesMax(&parts), frame_bytes_max);
            const is_small = bound <= limits.output_buffer_bytes / 2;
            const room = if (is_small)
                d.net.reserve(self.conn, @intCast(bound))
            else
                d.head_buffer; // it holds the largest head
            var out: Out = .{ .bytes = room[frames.header_bytes..] };
            const encoder = &own.protocol.encoder;
            if (parts.status >= 200)
                own.heads.writeHead(&d.http2_worker.shapes, encoder, &out, &parts)
            else
                heads.writeHead(encoder, &out, &parts);
            const id = ex.http2.stream.id;
            const len = frames.sealHeaders(room, out.len, id, ends, frame_bytes_max);
            if (is_small) d.net.commit(len) else d.net.writeBorrowed(self.conn, room[0..len]);
        }

        // Content: it waits in `held` for its turn.

        pub fn writeWithTrailers(self: Self, ex: *Exchange, res: *Response) void {
            self.writeHead(ex, res, res.bodyLength(), true);
            if (!self.conn.isOpen() or ex.http2.stream.isClosed()) return;
            self.writeBody(ex, res);
            if (self.conn.isOpen()) self.keepTrailers(ex, res.trailerLines());
        }

        fn keepTrailers(self: Self, ex: *Exchange, lines: FieldLines) void {
            if (lines.text.len == 0) return;
            ex.http2.trailing.append(&self.d.net.pools.buffers, lines.text) catch
                budget.refuse(self.d, self.conn, .output, .pool);
        }

        pub fn writeBody(self: Self, ex: *Exchange, res: *Response) void {
            if (ex.http2.stream.isClosed() or ex.http2.has_ended) return;
            const pools = &self.d.net.pools;
            // A page in the place of what was to be streamed is all that is sent.
            const ends = (ex.response == .done or ex.drop_body) and res.trailers_len == 0;
            defer if (ex.drop_body and self.conn.isOpen()) self.flush(ex);
            switch (res.body) {
                .none => {},
                .borrowed => |bytes| {
                    const rest = bytes[self.sendNow(ex, bytes, ends)..];
                    if (rest.len > 0) self.noteHeld(ex, ex.held.appendCopy(pools, rest));
                },
                .static => |bytes| {
                    const rest = bytes[self.sendNow(ex, bytes, ends)..];
                    if (rest.len > 0) self.noteHeld(ex, ex.held.appendStatic(pools, rest));
                },
                .written => |*chain| {
                    if (chain.first) |segment| if (segment.next == null) {
                        const n = self.sendNow(ex, segment.bytes(), ends);
                        chain.consume(&pools.buffers, n);
                    };
                    if (chain.len > 0) self.noteHeld(ex, ex.held.appendChain(pools, chain));
                },
                .file => |file| {
                    res.body = .none; // the file changes hands
                    if (file.length == 0) return file.handle.release();
                    const range: FileRange = .{
                        .handle = file.handle,
                        .offset = file.offset,
                        .length = file.length,
                    };
                    const result = ex.held.appendFile(pools, range);
                    result catch file.handle.release();
                    self.noteHeld(ex, result);
                },
            }
        }

        fn flush(self: Self, ex: *Exchange) void {
            output.offer(self.d, self.session(), ex);
            output.pump(self.d, self.session());
        }

        fn sendNow(self: Self, ex: *Exchange, bytes: []const u8, ends: bool) usize {
            return output.sendNow(self.d, self.session(), ex, bytes, ends);
        }

        pub fn writeData(self: Self, ex: *Exchange, data: []const u8) void {
            if (ex.http2.stream.isClosed()) return;
            const rest = data[self.sendNow(ex, data, false)..];
            if (rest.len == 0 or !self.conn.isOpen()) return;
            self.noteHeld(ex, ex.held.appendCopy(&self.d.net.pools, rest));
            if (self.conn.isOpen()) self.flush(ex);
        }

        pub fn writeEnd(self: Self, ex: *Exchange, trailer_lines: FieldLines) void {
            self.keepTrailers(ex, trailer_lines);
        }

        fn noteHeld(self: Self, ex: *Exchange, result: WriteQueue.Error!void) void {
            const d = self.d;
            result catch return budget.refuse(d, self.conn, .output, .pool);
            output.countHeld(self.session(), ex);
            if (budget.over(d, self.conn, .output)) |owner|
                budget.refuse(d, self.conn, .output, owner);
        }

        /// All of the response is there.
        pub fn advance(self: Self, ex: *Exchange) void {
            const d = self.d;
            const conn = self.conn;
            const own = self.session();
            const id = ex.id;
            if (ex.is_spoiled) {
                // What does not keep what its head has promised must not look whole.
                http2.reset(d, ex, .internal_error);
            } else if (ex.held.bytes == 0) {
                output.sendEnd(d, own, ex);
                if (conn.isOpen() and d.exchanges.get(id) != null) output.settle(d, own, ex);
            } else {
                output.offer(d, own, ex);
                output.pump(d, own);
            }
            if (conn.isOpen() and d.exchanges.get(id) != null)
                http2.writeUpdates(d, own, &ex.http2.stream);
            d.afterAnswer(conn);
        }
    };
}
