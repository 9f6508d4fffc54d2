//! The exchange's life on a connection: joins the byte streams of net/, the HTTP/1 decoder and
//! encoder, and whoever answers (a `Dispatcher`). Responses leave in the order of their requests,
//! whatever the order in which they are completed.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../core/limits.zig");
const list = @import("../core/list.zig");
const log = @import("../core/log.zig");
const slots = @import("../core/slots.zig");
const date = @import("../http/date.zig");
const problem = @import("../http/problem.zig");
const Fields = @import("../http/fields.zig").Fields;
const Request = @import("../http/request.zig").Request;
const field_lines = @import("../http/field_lines.zig");
const FieldLines = field_lines.FieldLines;
const LineList = field_lines.LineList;
const http_response = @import("../http/response.zig");
const Response = http_response.Response;
const trailers = @import("../http/trailers.zig");
const chunked = @import("../http1/chunked.zig");
const decoder = @import("../http1/decoder.zig");
const encoder = @import("../http1/encoder.zig");
const io = @import("../io/io.zig");
const net_worker = @import("../net/worker.zig");
const Port = @import("../net/port.zig").Port;
const Config = @import("config.zig").Config;
const exchange = @import("exchange.zig");
const ExchangePool = @import("exchange_pool.zig").ExchangePool;
const Http1Carrier = @import("http1_carrier.zig").Http1Carrier;
const Responses = @import("responses.zig").Responses;
const BodyReader = @import("body_reader.zig").BodyReader;
const Admission = @import("admission.zig").Admission;
const Refusals = @import("refusals.zig").Refusals;
const budget_file = @import("budget.zig");
const timing_file = @import("timing.zig");
const Timing = timing_file.Timing;

/// The dispatcher's interface is described in docs/ARCHITECTURE.md, "Dispatchers".
pub fn Driver(comptime Io: type, comptime Dispatcher: type) type {
    return struct {
        const Self = @This();

        pub const Net = net_worker.Worker(Io, Self);
        pub const Conn = Net.Conn;
        pub const Exchange = exchange.Exchange(Dispatcher.ExchangeState);
        pub const ExchangeId = exchange.ExchangeId;
        /// What an exchange reaches its connection by.
        pub const Carrier = Http1Carrier(Self);
        const responses = Responses(Self);
        const body_reader = BodyReader(Self);
        const admission = Admission(Self);
        const refusals = Refusals(Self);
        const timing = Timing(Self);
        const budget = budget_file.Budget(Self);

        /// The HTTP part of a connection.
        pub const ConnState = struct {
            body: body_reader.State = .{},
            write: timing_file.WriteState = .{},
            /// Among those whose request the dispatcher refused as `busy`.
            busy: list.Link(Conn) = .{},
            /// Since when that request waits, monotonic ms; 0 while none does.
            busy_since_ms: u64 = 0,
            /// Since when input is not read, monotonic ms; means something while `pause` is set.
            paused_ms: u64 = 0,
            opened_ms: u64 = 0,

            // Looked at with each request: `hot_offset`.

            /// Exchanges in the order of their requests.
            first: ?*Exchange = null,
            last: ?*Exchange = null,
            /// First byte of the message that is being read, monotonic ms; 0 between messages.
            message_since_ms: u64 = 0,
            /// In memory, of responses that wait for an earlier one, bytes.
            held_bytes: u64 = 0,
            /// Opaque to all but the head decoder.
            hint: u32 = 0,
            depth: u16 = 0,
            /// Ranges of files in responses that wait for an earlier one.
            held_files: u32 = 0,
            phase: Phase = .head,
            pause: Pause = .{},
            /// A request was read on it.
            served: bool = false,
            /// More bytes follow the request that is being served, or may:
            /// a close has to let the client read first.
            more_input: bool = false,
            /// More bytes are buffered behind those that are being looked at.
            more_beyond: bool = false,

            pub const hot_offset = @offsetOf(ConnState, "first");

            pub const Phase = enum(u8) { head, body, stop };
            pub const Pause = packed struct(u8) {
                /// Too many responses outstanding, or too many bytes unsent.
                output: bool = false,
                /// The dispatcher had no room for the request.
                busy: bool = false,
                /// The dispatcher has no room for the body.
                body: bool = false,
                _: u5 = 0,

                pub fn any(self: Pause) bool {
                    return @as(u8, @bitCast(self)) != 0;
                }

                pub fn has(self: Pause, reason: PauseReason) bool {
                    return @as(u8, @bitCast(self)) & bit(reason) != 0;
                }

                pub fn set(self: *Pause, reason: PauseReason, on: bool) void {
                    const others = @as(u8, @bitCast(self.*)) & ~bit(reason);
                    self.* = @bitCast(others | if (on) bit(reason) else 0);
                }

                fn bit(reason: PauseReason) u8 {
                    return @as(u8, 1) << @intFromEnum(reason);
                }
            };
        };

        /// Why a connection is not read; the bits of `Pause`.
        pub const PauseReason = enum(u3) { output, busy, body };

        const BusyList = list.List(Conn, busyLinkOf);

        fn busyLinkOf(conn: *Conn) *list.Link(Conn) {
            return &conn.app.busy;
        }

        net: Net,
        dispatcher: *Dispatcher,
        config: *const Config,
        index: u32,
        state: Dispatcher.WorkerState = .{},
        exchanges: ExchangePool(Exchange),
        /// Connections whose request the dispatcher refused as `busy`, oldest first.
        busy: BusyList = .{},
        request: Request = .{},
        scratch: Response,
        /// Field lines of the response at hand.
        lines: LineList,
        /// Where heads are written that wait for their turn, or are too large to be written where
        /// they are sent from.
        head_buffer: []u8,
        segments: [limits.body_segments_max][]const u8 = undefined,
        /// The path of the request at hand, where it did not come canonical.
        path_buffer: []u8,
        date_ms: u64 = 0,
        date_seconds: i64 = -1,
        date_text: [29]u8 = undefined,
        keep_alive_text: [encoder.keep_alive_lines_bytes_max]u8 = undefined,
        keep_alive_len: u8 = 0,
        decode_limits: decoder.Limits,
        rates: timing_file.Rates,
        /// Requests read. Written by the worker alone; others may look.
        requests_total: std.atomic.Value(u64) = .init(0),
        errors_total: std.atomic.Value(u64) = .init(0),
        /// Connections that were too slow.
        timeouts_total: std.atomic.Value(u64) = .init(0),

        /// What an idle connection occupies, bytes: its slot, the slot's bookkeeping and its timer.
        pub const idle_bytes = @sizeOf(Conn) + 2 * @sizeOf(u32) + 48;

        /// `self` must stay where it is.
        pub fn init(
            self: *Self,
            gpa: std.mem.Allocator,
            config: *const Config,
            backend: io.Backend,
            port: *Port,
            dispatcher: *Dispatcher,
            index: u32,
        ) !void {
            comptime assert(idle_bytes <= limits.idle_connection_bytes_max);
            var exchanges = try ExchangePool(Exchange).init(port.capacity, config.exchanges_spare);
            errdefer exchanges.deinit();
            const path_buffer = try gpa.alloc(u8, config.target_bytes_max);
            errdefer gpa.free(path_buffer);
            const lines_max = config.response_head_bytes_max;
            const lines_list = try LineList.alloc(gpa, lines_max);
            errdefer lines_list.free(gpa);
            // What the engine adds to the lines takes less than half of what is left by usual ones.
            const head_buffer = try gpa.alloc(u8, lines_max + limits.output_buffer_bytes / 4);
            errdefer gpa.free(head_buffer);
            self.* = .{
                .net = try Net.init(gpa, .{
                    .backend = backend,
                    .zero_copy = config.zero_copy,
                    .busy_poll_us = config.busy_poll_us,
                    .buffer_memory_bytes = config.buffer_memory_bytes,
                    .receive_buffer_bytes = config.receive_buffer_bytes,
                    .turn_bytes_max = config.turn_bytes_max,
                    .turn_requests_max = config.turn_requests_max,
                }, port, self),
                .dispatcher = dispatcher,
                .config = config,
                .index = index,
                .exchanges = exchanges,
                .scratch = undefined,
                .lines = lines_list,
                .head_buffer = head_buffer,
                .path_buffer = path_buffer,
                .decode_limits = .{
                    .target_bytes_max = config.target_bytes_max,
                    .head_bytes_max = config.head_bytes_max,
                    .header_count_max = config.header_count_max,
                },
                .rates = timing_file.Rates.of(config),
            };
            self.scratch = Response.init(self.lines, &self.net.pools.buffers);
            self.scratch.memory_bytes_max = config.connection_memory_bytes_max;
            const lines = encoder.keepAliveLines(&self.keep_alive_text, config.idle_timeout_ms);
            self.keep_alive_len = @intCast(lines.len);
        }

        pub fn deinit(self: *Self, gpa: std.mem.Allocator) void {
            self.net.deinit();
            gpa.free(self.head_buffer);
            self.lines.free(gpa);
            gpa.free(self.path_buffer);
            self.exchanges.deinit();
            self.* = undefined;
        }

        // For the dispatcher.

        /// The exchange named by `id`, or null when it has ended.
        pub fn exchangeById(self: *Self, id: ExchangeId) ?*Exchange {
            return self.exchanges.get(id);
        }

        /// The worker's response, fresh. For `respond` and `beginStream`.
        pub fn response(self: *Self) *Response {
            self.scratch.reset();
            return &self.scratch;
        }

        /// Answers with a whole response.
        pub fn respond(self: *Self, ex: *Exchange, res: *Response) void {
            responses.respond(self, ex, res);
        }

        /// Sends the head of a response whose body follows by `streamBody`.
        /// `length` in bytes, null when it is not known.
        pub fn beginStream(self: *Self, ex: *Exchange, res: *Response, length: ?u64) void {
            responses.beginStream(self, ex, res, length);
        }

        /// Sends the next bytes of a streamed body; `end` with the last ones. May call the
        /// dispatcher's `onSent` and `onAbort`.
        pub fn streamBody(self: *Self, ex: *Exchange, bytes: []const u8, end: bool) void {
            responses.streamBody(self, ex, bytes, end);
        }

        /// Ends a streamed body, with trailer fields behind it: lines as `Response.trailerLines`
        /// has them. They go with a chunked body only; otherwise they are dropped, as they are for
        /// HEAD and for a status without content.
        pub fn endStream(self: *Self, ex: *Exchange, trailer_lines: FieldLines) void {
            responses.endStream(self, ex, trailer_lines);
        }

        /// Sends an interim response (RFC 9110 §15.2) with field lines as `Response.hintLines` has
        /// them, in its exchange's turn. Nothing is sent to HTTP/1.0, once the response has begun,
        /// when the client leaves too much unread, and for 101.
        pub fn interim(self: *Self, ex: *Exchange, status: u16, lines: FieldLines) void {
            responses.interim(self, ex, status, lines);
        }

        /// The trailer fields that `ex.trailers` holds. Valid until the next request is read.
        pub fn trailerFields(self: *Self, ex: *Exchange) error{OutOfBuffers}!*const Fields {
            // They are bounded by trailer_bytes_max.
            const len: usize = @intCast(ex.trailers.len);
            const lines = try ex.trailers.contiguous(&self.net.pools.buffers, len);
            trailers.parse(lines[0..len], &self.request.trailers);
            return &self.request.trailers;
        }

        /// Answers with the engine's own page for `code`;
        /// closes the connection when the response has begun.
        pub fn respondError(self: *Self, ex: *Exchange, code: problem.Code) void {
            responses.respondError(self, ex, code);
        }

        /// Gives the exchange up and closes its connection.
        pub fn reset(self: *Self, ex: *Exchange) void {
            const conn = self.connOf(ex);
            conn.is_cut = ex.endsByClose();
            ex.response = .done;
            self.net.close(conn);
        }

        /// The dispatcher takes body bytes again.
        pub fn resumeBody(self: *Self, ex: *Exchange) void {
            const conn = self.connOf(ex);
            if (conn.app.body.exchange != ex) return;
            self.unpause(conn, .body);
            if (conn.isOpen()) self.afterEvent(conn);
        }

        /// Offers the requests again that were refused as `busy`.
        pub fn retryBusy(self: *Self) void {
            var left = self.busy.len;
            // What one of them sends may end another.
            while (left > 0) : (left -= 1) {
                const conn = self.busy.pop() orelse return;
                self.unpause(conn, .busy);
                if (conn.isOpen()) self.afterEvent(conn);
                if (conn.app.pause.busy) return; // refused again: the others would be too
            }
        }

        pub fn hasBusy(self: *const Self) bool {
            return self.busy.len > 0;
        }

        // For net/.

        pub fn onTurn(self: *Self) void {
            self.dispatcher.onTurn(self);
        }

        pub fn hasWork(self: *Self) bool {
            return self.dispatcher.hasWork(self);
        }

        pub fn onOpen(self: *Self, conn: *Conn) void {
            conn.app.opened_ms = self.net.now_ms;
        }

        pub fn onBytes(self: *Self, conn: *Conn, bytes: []const u8) usize {
            var used: usize = 0;
            conn.app.more_beyond = conn.input.len > bytes.len;
            while (used < bytes.len and conn.isOpen() and !conn.paused) {
                const rest = bytes[used..];
                const n = switch (conn.app.phase) {
                    .head => self.onHead(conn, rest),
                    .body => body_reader.read(self, conn, rest),
                    // Nothing is made of bytes behind the last message. That there are some counts
                    // for how the connection is closed.
                    .stop => stop: {
                        conn.app.more_input = true;
                        break :stop rest.len;
                    },
                };
                if (n == 0) break;
                used += n;
            }
            return used;
        }

        fn onHead(self: *Self, conn: *Conn, bytes: []const u8) usize {
            const app = &conn.app;
            if (self.outputFull(conn)) {
                self.pause(conn, .output);
                return 0;
            }
            if (!self.net.beginRequest(conn)) return 0;
            if (app.message_since_ms == 0) app.message_since_ms = self.net.now_ms;
            switch (decoder.decodeHead(bytes, &app.hint, self.decode_limits, &self.request)) {
                .need_more => return 0,
                .err => |err| {
                    refusals.refuseHead(self, conn, bytes, problem.codeOf(err));
                    return bytes.len;
                },
                .head => |head| {
                    app.hint = 0;
                    return self.beginExchange(conn, bytes, head.consumed, head.framing);
                },
            }
        }

        /// Returns how many of `bytes` are done with: 0 when the request has to wait.
        fn beginExchange(
            self: *Self,
            conn: *Conn,
            bytes: []const u8,
            head_len: u32,
            framing: decoder.Framing,
        ) usize {
            const app = &conn.app;
            const length: ?u64 = switch (framing.body) {
                .none => 0,
                .length => |n| n,
                .chunked => null,
            };
            if (admission.admit(self, framing)) |code| {
                refusals.refuseDecoded(self, conn, code);
                return bytes.len;
            }
            // There is room for it: `onHead` has looked.
            const ex = self.takeExchange(conn, length, framing.keep_alive).?;
            ex.keep_alive_asked = framing.keep_alive_asked;
            const rest = bytes[head_len..];
            const body_len = body_reader.whole(self, conn, ex, rest, framing) catch
                return bytes.len;
            ex.body_complete = body_len != null;
            self.request.peer = conn.peer;
            app.more_input = rest.len > (body_len orelse rest.len) or app.more_beyond;
            const consumed = head_len + (body_len orelse 0);
            const res = self.response();
            const action = switch (self.request.method) {
                .CONNECT, .TRACE => admission.dispatchUnusual(self, ex, res),
                else => self.dispatcher.onRequest(self, ex, &self.request, res),
            };
            switch (action) {
                .respond => {
                    self.messageBegun(conn, ex);
                    if (!ex.body_complete) body_reader.begin(self, conn, ex, framing, .discard);
                    responses.respond(self, ex, res);
                },
                .buffer => {
                    assert(!ex.body_complete);
                    ex.format = problem.formatOf(&self.request.fields);
                    self.messageBegun(conn, ex);
                    body_reader.gather(self, conn, ex, bytes[0..head_len], framing);
                    if (framing.expect_continue and rest.len == 0 and app.phase == .body) {
                        self.carrierOf(ex).writeContinue(ex);
                    }
                    return head_len;
                },
                .pending => {
                    ex.dispatched = true;
                    ex.format = problem.formatOf(&self.request.fields);
                    self.messageBegun(conn, ex);
                    if (!ex.body_complete or (self.request.body.len > 0 and !ex.body_taken)) {
                        body_reader.begin(self, conn, ex, framing, .stream);
                        // Not to a client that has not waited (RFC 9110 §10.1.1).
                        if (framing.expect_continue and rest.len == 0) {
                            self.carrierOf(ex).writeContinue(ex);
                        }
                        return head_len;
                    }
                },
                .busy => {
                    self.dropLast(conn, ex);
                    self.waitForRoom(conn);
                    return 0;
                },
            }
            return consumed;
        }

        /// The request stays unread until `retryBusy`, or until its time is up.
        fn waitForRoom(self: *Self, conn: *Conn) void {
            const app = &conn.app;
            if (app.busy_since_ms == 0) app.busy_since_ms = self.net.now_ms;
            self.pause(conn, .busy);
            self.busy.append(conn);
        }

        /// No thread of the handler's has taken the request in time.
        pub fn giveUpWaiting(self: *Self, conn: *Conn) void {
            self.busy.remove(conn);
            conn.app.busy_since_ms = 0;
            refusals.refuse(self, conn, .dispatch_timeout);
            // What follows is read, and dropped: a client that leaves is noticed.
            self.unpause(conn, .busy);
        }

        fn messageBegun(self: *Self, conn: *Conn, ex: *Exchange) void {
            conn.app.served = true;
            conn.app.busy_since_ms = 0;
            conn.app.message_since_ms = 0;
            if (!ex.keep_alive) conn.app.phase = .stop;
            self.requests_total.store(self.requests_total.raw +% 1, .monotonic);
        }

        /// The dispatcher's second look at a request whose body has been gathered.
        pub fn dispatchGathered(self: *Self, conn: *Conn, ex: *Exchange) void {
            const head = ex.gathered.front()[0..ex.head_len];
            var hint: u32 = 0;
            const decoded = decoder.decodeHead(head, &hint, self.decode_limits, &self.request);
            const refused = admission.makePathCanonical(self);
            assert(decoded == .head and refused == null); // as the first time: the same bytes
            const len = ex.gathered.len - ex.head_len;
            // limits.zig: they are few enough.
            const pieces = ex.gathered.slices(ex.head_len, len, &self.segments).?;
            self.request.body = .{ .segments = pieces, .len = len };
            self.request.peer = conn.peer;
            self.request.trailers.len = 0;
            if (ex.trailers.len > 0) {
                _ = self.trailerFields(ex) catch
                    return refusals.refuseWhole(self, conn, ex, .out_of_buffers);
            }
            ex.body_complete = true;
            const res = self.response();
            switch (self.dispatcher.onRequest(self, ex, &self.request, res)) {
                .respond => responses.respond(self, ex, res),
                .pending => ex.dispatched = true,
                .buffer, .busy => unreachable, // the dispatcher asked for the whole body and has it
            }
        }

        // Exchanges.

        pub fn takeExchange(self: *Self, conn: *Conn, length: ?u64, keep_alive: bool) ?*Exchange {
            const app = &conn.app;
            const id = self.exchanges.take(app.depth) orelse return null;
            const ex = self.exchanges.get(id).?;
            ex.* = .{
                .id = id,
                .conn = conn.id,
                .version = self.request.version,
                .is_head = self.request.method == .HEAD,
                .is_connect = self.request.method == .CONNECT,
                .keep_alive = keep_alive,
                .body_length = length,
                .prev = app.last,
            };
            if (app.last) |last| last.next = ex else app.first = ex;
            app.last = ex;
            app.depth += 1;
            return ex;
        }

        pub fn carrierOf(self: *Self, ex: *Exchange) Carrier {
            return .{ .d = self, .conn = self.connOf(ex) };
        }

        pub fn connOf(self: *Self, ex: *Exchange) *Conn {
            // Exchanges end before their connection's slot does.
            return self.net.conns.get(ex.conn).?;
        }

        /// Undoes `takeExchange`.
        fn dropLast(self: *Self, conn: *Conn, ex: *Exchange) void {
            const app = &conn.app;
            assert(app.last == ex);
            app.last = ex.prev;
            if (ex.prev) |before| before.next = null else app.first = null;
            app.depth -= 1;
            self.freeExchange(conn, ex);
        }

        /// Takes the first exchange, which is done, off its connection.
        pub fn retireFirst(self: *Self, conn: *Conn) void {
            const app = &conn.app;
            const ex = app.first.?;
            app.first = ex.next;
            if (ex.next) |next| next.prev = null else app.last = null;
            app.depth -= 1;
            if (app.phase == .body and app.body.exchange == ex) body_reader.abandon(conn);
            self.freeExchange(conn, ex);
        }

        /// `conn` has let go of it.
        fn freeExchange(self: *Self, conn: *Conn, ex: *Exchange) void {
            conn.app.held_bytes -= ex.held_bytes;
            conn.app.held_files -= ex.held_files;
            ex.gathered.deinit(&self.net.pools.buffers);
            ex.trailers.deinit(&self.net.pools.buffers);
            ex.held.deinit(&self.net.pools);
            self.exchanges.release(ex.id, conn.app.depth);
        }

        pub fn overBudget(
            self: *const Self,
            conn: *const Conn,
            direction: budget_file.Direction,
        ) ?budget_file.Owner {
            return budget.over(self, conn, direction);
        }

        pub fn onNoMemory(
            self: *Self,
            conn: *Conn,
            direction: budget_file.Direction,
            owner: budget_file.Owner,
        ) void {
            budget.refuse(self, conn, direction, owner);
        }

        pub fn onEof(self: *Self, conn: *Conn) void {
            const app = &conn.app;
            if (app.phase == .body) self.cutBody(conn);
            if (!conn.isOpen()) return;
            if (app.first == null) return self.endConn(conn, false);
            app.phase = .stop;
            app.message_since_ms = 0;
            // The requests were complete: their responses may still be read (RFC 9112 §9.6).
            self.tellEof(conn);
        }

        /// Bytes are unread before the client's end: they are served as always.
        pub fn onEofAhead(self: *Self, conn: *Conn) void {
            self.tellEof(conn);
        }

        /// Nobody may be there any more: whoever works for this client is told, once.
        fn tellEof(self: *Self, conn: *Conn) void {
            timing.onPeerEnd(self, conn);
            if (!@hasDecl(Dispatcher, "onEof")) return;
            var at = conn.app.first;
            while (at) |ex| {
                at = ex.next;
                if (!ex.dispatched or ex.response == .done or ex.eof_told) continue;
                ex.eof_told = true;
                self.dispatcher.onEof(self, ex);
                if (!conn.isOpen()) return;
            }
        }

        pub fn onUnsent(self: *Self, conn: *Conn) void {
            timing.onUnsent(self, conn);
        }

        /// The rest of the body will not come: its exchange ends without an answer,
        /// those before it do not.
        fn cutBody(self: *Self, conn: *Conn) void {
            const app = &conn.app;
            const cut = app.body.exchange;
            app.body.exchange = null;
            app.phase = .stop;
            const ex = cut orelse return;
            switch (ex.response) {
                .none => {
                    if (ex.dispatched) self.dispatcher.onAbort(self, ex);
                    self.dropLast(conn, ex);
                },
                .streaming => self.net.close(conn),
                .done => ex.keep_alive = false,
            }
        }

        pub fn onProgress(self: *Self, conn: *Conn, bytes: u64) void {
            timing.onProgress(self, conn, bytes);
            if (conn.app.first) |ex| responses.credit(self, .{ .d = self, .conn = conn }, ex);
            if (conn.queue.bytes < self.config.output_high_water_bytes / 2) {
                self.unpauseOutput(conn);
            }
        }

        pub fn unpauseOutput(self: *Self, conn: *Conn) void {
            if (!self.outputFull(conn)) self.unpause(conn, .output);
        }

        /// Whether so much is under way to this client that its next request has to wait. What a
        /// client that has nothing under way needs is always there.
        fn outputFull(self: *const Self, conn: *const Conn) bool {
            const app = &conn.app;
            if (app.depth == 0 and conn.queue.isEmpty()) return false;
            if (app.depth >= self.config.pipeline_depth_max) return true;
            // Responses that wait for an earlier one occupy memory as well.
            const bytes = conn.queue.bytes + app.held_bytes;
            if (bytes >= self.config.output_high_water_bytes) return true;
            if (conn.queue.files + app.held_files >= limits.connection_files_max) return true;
            return !self.exchanges.hasRoom(app.depth) or !self.net.pools.nodes.hasSpare();
        }

        pub fn onDrain(self: *Self, conn: *Conn) void {
            self.finishIfIdle(conn);
        }

        pub fn finishIfIdle(self: *Self, conn: *Conn) void {
            const app = &conn.app;
            // Paused without an exchange: a complete request is waiting for room.
            if (app.first != null or app.message_since_ms != 0 or conn.paused) return;
            // A request was in time: it comes next.
            if (app.phase == .head and self.net.hasInput(conn)) return;
            self.endConn(conn, app.phase == .body);
        }

        /// Closes once what was written is sent; nothing more is read as a request.
        pub fn endConn(self: *Self, conn: *Conn, linger: bool) void {
            conn.app.message_since_ms = 0;
            // Not one byte may follow what announced the end, however long that takes to be sent.
            self.dropExchanges(conn);
            self.net.finish(conn, linger);
        }

        pub fn onClose(self: *Self, conn: *Conn) void {
            if (conn.app.first) |ex| if (ex.endsByClose()) {
                conn.is_cut = true;
            };
            self.dropExchanges(conn);
            self.busy.drop(conn);
        }

        /// Ends all exchanges that have no response yet; nothing more is read as a request.
        fn dropExchanges(self: *Self, conn: *Conn) void {
            const app = &conn.app;
            var at = app.first;
            app.phase = .stop;
            app.first = null;
            app.last = null;
            app.body.exchange = null;
            while (at) |ex| {
                at = ex.next;
                if (ex.dispatched and ex.response != .done) self.dispatcher.onAbort(self, ex);
                app.depth -= 1;
                self.freeExchange(conn, ex);
            }
        }

        /// Asserts what holds of an open connection between two events.
        pub fn checkInvariants(self: *Self, conn: *Conn) void {
            const app = &conn.app;
            assert((app.first == null) == (app.last == null));
            assert(app.depth <= self.config.pipeline_depth_max + 1); // one that was refused
            var depth: u16 = 0;
            var held: u64 = 0;
            var held_files: u32 = 0;
            var before: ?*Exchange = null;
            var reads_body = false;
            var at = app.first;
            while (at) |ex| : (at = ex.next) {
                assert(self.exchanges.get(ex.id) == ex);
                assert(ex.conn == conn.id);
                assert(ex.prev == before);
                assert(ex.held_bytes == ex.held.memory_bytes);
                assert(ex.held_files == ex.held.files);
                // The first writes to its connection; one that is done has left it.
                if (before == null) assert(ex.held.isEmpty() and ex.response != .done);
                reads_body = reads_body or app.body.exchange == ex;
                held += ex.held_bytes;
                held_files += ex.held_files;
                depth += 1;
                before = ex;
            }
            assert(app.last == before);
            assert(app.depth == depth);
            assert(app.held_bytes == held);
            assert(app.held_files == held_files);
            assert(conn.queue.files + held_files <= limits.connection_files_max);
            assert(app.body.exchange == null or (reads_body and app.phase == .body));
            // What is paused has a reason, and who waits for room is in the list of those.
            assert(app.pause.any() == conn.paused);
            assert(app.pause.busy == app.busy.is_linked);
            assert(!app.pause.busy or app.busy_since_ms != 0);
            assert(!app.pause.body or app.body.exchange != null);
        }

        // Pausing.

        pub fn pause(self: *Self, conn: *Conn, reason: PauseReason) void {
            if (!conn.app.pause.any()) timing.onPause(self, conn);
            conn.app.pause.set(reason, true);
            self.net.pauseInput(conn);
        }

        pub fn unpause(self: *Self, conn: *Conn, reason: PauseReason) void {
            if (!conn.app.pause.has(reason)) return;
            conn.app.pause.set(reason, false);
            if (conn.app.pause.any()) return;
            timing.onUnpause(self, conn);
            self.net.resumeInput(conn);
        }

        // Time.

        /// After each event on a connection: its timer is set for what it waits for now.
        pub fn afterEvent(self: *Self, conn: *Conn) void {
            timing.afterEvent(self, conn);
        }

        pub fn onTimer(self: *Self, conn: *Conn) void {
            timing.onTimer(self, conn);
        }

        pub fn countTimeout(self: *Self) void {
            self.timeouts_total.store(self.timeouts_total.raw +% 1, .monotonic);
        }

        /// What a client that asks for it is told of the connection's time between requests.
        pub fn keepAliveLines(self: *const Self) []const u8 {
            return self.keep_alive_text[0..self.keep_alive_len];
        }

        /// The Date field's value, made once a second.
        pub fn dateNow(self: *Self) *const [29]u8 {
            if (self.date_ms != self.net.now_ms) {
                self.date_ms = self.net.now_ms;
                const seconds = self.net.backend.wallSeconds();
                if (seconds != self.date_seconds) {
                    self.date_seconds = seconds;
                    date.format(seconds, &self.date_text);
                }
            }
            return &self.date_text;
        }
    };
}
