//! A worker's HTTP: joins the byte streams of net/, the protocol that each connection speaks, and
//! whoever answers (a `Dispatcher`). What the protocol does with bytes is its own affair; what
//! exchanges and responses mean is in the parts beside this one.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../core/limits.zig");
const problem = @import("../http/problem.zig");
const Fields = @import("../http/fields.zig").Fields;
const Push = @import("../http/push.zig").Push;
const PushError = @import("../http/push.zig").Error;
const Request = @import("../http/request.zig").Request;
const field_lines = @import("../http/field_lines.zig");
const FieldLines = field_lines.FieldLines;
const LineList = field_lines.LineList;
const Response = @import("../http/response.zig").Response;
const trailers = @import("../http/trailers.zig");
const decoder = @import("../http1/decoder.zig");
const encoder = @import("../http1/encoder.zig");
const io = @import("../io/io.zig");
const net_worker = @import("../net/worker.zig");
const system = @import("../core/system.zig");
const worker_token = @import("../core/worker_token.zig");
const Port = @import("../net/port.zig").Port;
const Config = @import("config.zig").Config;
const DateClock = @import("date_clock.zig").DateClock;
const exchange = @import("exchange.zig");
const ExchangePool = @import("exchange_pool.zig").ExchangePool;
const http1_file = @import("http1/connection.zig");
const CarrierOf = @import("carrier.zig").Carrier;
const http2_file = @import("http2/connection.zig");
const http2_output = @import("http2/output.zig");
const Http2Timing = @import("http2/timing.zig").Timing;
const detect = @import("../http2/frame_decoder.zig").detect;
const Socket = @import("websocket/socket.zig").Socket;
const RemoteSockets = @import("websocket/remote.zig").RemoteSockets;
const WebSockets = @import("websocket/connection.zig").WebSockets;
const Http1Refusals = @import("http1/refusals.zig").Refusals;
const Http1Timing = @import("http1/timing.zig").Timing;
const Responses = @import("responses.zig").Responses;
const Admission = @import("admission.zig").Admission;
const Secured = @import("secured.zig").Secured;
const Refusals = @import("refusals.zig").Refusals;
const budget_file = @import("budget.zig");
const timing_file = @import("timing.zig");
const Timing = timing_file.Timing;
const WritePace = @import("write_pace.zig").WritePace;

/// The dispatcher's interface is described in docs/ARCHITECTURE.md, "Dispatchers". `Security`: what
/// secures connections (tls.zig), void: nothing does. `Deflate`: what compresses the messages of
/// WebSockets (../websocket/deflate.zig), void: nothing does.
pub fn Driver(
    comptime Io: type,
    comptime Dispatcher: type,
    comptime Security: type,
    comptime Deflate: type,
) type {
    return struct {
        const Self = @This();

        pub const Net = net_worker.Worker(Io, Self);
        pub const Conn = Net.Conn;
        pub const Exchange = exchange.Exchange(Dispatcher.ExchangeState);
        pub const ExchangeId = exchange.ExchangeId;
        /// What an exchange reaches its connection by.
        pub const Carrier = CarrierOf(Self);
        const responses = Responses(Self);
        pub const http1 = http1_file.Http1(Self);
        const http1_timing = Http1Timing(Self);
        pub const http2 = http2_file.Http2(Self);
        const http2_timing = Http2Timing(Self);
        const http2_out = http2_output.Output(Self);
        pub const websockets = WebSockets(Self);
        const http1_refusals = Http1Refusals(Self);
        const admission = Admission(Self);
        const refusals = Refusals(Self);
        const timing = Timing(Self);
        const budget = budget_file.Budget(Self);
        const secured = Secured(Self);

        /// Whether connections may leave HTTP for WebSocket.
        pub const has_sockets =
            @hasDecl(Dispatcher, "SocketState") and Dispatcher.SocketState != void;
        /// The dispatcher's part of a socket.
        pub const SocketState = if (has_sockets) Dispatcher.SocketState else struct {};
        /// The dispatcher is told of messages when they are whole.
        pub const gathers_messages = has_sockets and Dispatcher.gathers_messages;
        /// The dispatcher says how much of what comes it has room for.
        pub const asks_room = has_sockets and @hasDecl(Dispatcher, "socketRoom");
        /// What a dispatcher that is elsewhere says to sockets.
        pub const remote = RemoteSockets(Self);

        /// What compresses their messages, and whether there is something that does.
        pub const Codec = if (has_sockets) Deflate else void;
        pub const has_compression = Codec != void;

        /// Whether connections may be secured.
        pub const is_secure = Security != void;
        const Tls = if (is_secure) Security else struct {
            pub const Filter = void;
            pub const Shared = void;
            pub const Handshakes = void;
        };
        pub const Filter = Tls.Filter;

        /// The HTTP part of a connection.
        pub const ConnState = struct {
            pace: WritePace = .{},
            opened_ms: u64 = 0,
            /// HTTP/2's state, where that is spoken.
            http2: *http2.Session = undefined,
            /// The socket that it has become; null when that has ended.
            websocket: ?*websockets.Session = null,
            /// HTTP/1's; it tells what is spoken.
            http1: http1.State = .{},

            pub const hot_offset = @offsetOf(ConnState, "http1") + http1.State.hot_offset;
        };

        net: Net,
        dispatcher: *Dispatcher,
        config: *const Config,
        index: u32,
        /// Whom the thread works as that runs it.
        token: u64,
        state: Dispatcher.WorkerState = .{},
        exchanges: ExchangePool(Exchange),
        http1_worker: http1.Worker = .{},
        http2_worker: http2.Worker,
        websocket_worker: websockets.Worker,
        /// Whose requests are offered again first.
        asks_http2_first: bool = false,
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
        date: DateClock = .{},
        keep_alive_text: [encoder.keep_alive_lines_bytes_max]u8 = undefined,
        keep_alive_len: u8 = 0,
        /// The engine's; set when it has been made.
        tls: if (is_secure) ?*Tls.Shared else void = if (is_secure) null,
        handshakes: Tls.Handshakes,
        decode_limits: decoder.Limits,
        rates: timing_file.Rates,
        /// Requests read. Written by the worker alone; others may look.
        requests_total: std.atomic.Value(u64) = .init(0),
        errors_total: std.atomic.Value(u64) = .init(0),
        /// Responses that were promised, and those of them that their clients have reset.
        pushes_total: std.atomic.Value(u64) = .init(0),
        pushes_refused_total: std.atomic.Value(u64) = .init(0),
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
            var seed: u64 = undefined;
            system.random(std.mem.asBytes(&seed)) catch return error.SystemResources;
            var http2_worker = try http2.Worker.init(gpa, config, port.capacity, seed);
            errdefer http2_worker.deinit(gpa);
            var websocket_worker = try websockets.Worker.init(
                config,
                port.capacity,
                self,
                &websockets.operations,
            );
            errdefer websocket_worker.deinit();
            self.* = .{
                .http2_worker = http2_worker,
                .websocket_worker = websocket_worker,
                .net = try Net.init(gpa, .{
                    .backend = backend,
                    .zero_copy = config.zero_copy,
                    .busy_poll_us = config.busy_poll_us,
                    .buffer_memory_bytes = config.buffer_memory_bytes,
                    .receive_buffer_bytes = config.receive_buffer_bytes,
                    .turn_bytes_max = config.turn_bytes_max,
                    .turn_requests_max = config.turn_requests_max,
                    .drop_bytes_max = config.drop_bytes_max,
                }, port, self),
                .dispatcher = dispatcher,
                .config = config,
                .index = index,
                .token = worker_token.make(),
                .exchanges = exchanges,
                .scratch = undefined,
                .lines = lines_list,
                .head_buffer = head_buffer,
                .path_buffer = path_buffer,
                .handshakes = if (is_secure) .{ .most = config.tls_handshakes_max },
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

        /// The calling thread is the worker's from here on.
        pub fn settle(self: *Self) void {
            self.websocket_worker.mailbox.settle();
            _ = worker_token.put(self.token);
        }

        pub fn deinit(self: *Self, gpa: std.mem.Allocator) void {
            self.net.deinit();
            self.websocket_worker.deinit();
            self.http2_worker.deinit(gpa);
            gpa.free(self.head_buffer);
            self.lines.free(gpa);
            gpa.free(self.path_buffer);
            self.exchanges.deinit();
            self.* = undefined;
        }

        // For the dispatcher.

        /// A socket as programs have it.
        pub fn socketOf(self: *Self, session: *const websockets.Session) Socket {
            return websockets.handleOf(self, session);
        }

        /// The exchange named by `id`, or null when it has ended.
        pub fn exchangeById(self: *Self, id: ExchangeId) ?*Exchange {
            const ex = self.exchanges.get(id) orelse return null;
            return if (ex.is_retired) null else ex;
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
            const conn = self.connOf(ex);
            responses.streamBody(self, ex, bytes, end);
            self.setTimer(conn);
        }

        /// What was written may wait for the client now; HTTP/1 sets its timer where its writes
        /// wait.
        fn setTimer(self: *Self, conn: *Conn) void {
            if (conn.app.http1.spoken == .http2) self.afterAnswer(conn);
        }

        /// Something was done on `conn` for an exchange. Within an event net/ asks for the timer
        /// itself, when the event is over.
        pub fn afterAnswer(self: *Self, conn: *Conn) void {
            if (conn.isOpen() and !conn.in_input) self.afterEvent(conn);
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

        /// How many responses may be pushed now beside that of `ex`.
        pub fn pushRoom(self: *Self, ex: *const Exchange) u16 {
            if (self.config.http2_pushes_max == 0 or ex.version != .http2) return 0;
            return http2.pushRoom(self, ex);
        }

        /// Promises a response on the stream of `ex`, whose own is not complete, and has its
        /// request answered as others are. `authority` is that of the request of `ex`.
        pub fn push(
            self: *Self,
            ex: *Exchange,
            what: *const Push,
            authority: []const u8,
        ) PushError!void {
            if (self.pushRoom(ex) == 0) return error.PushNotAllowed;
            const conn = self.connOf(ex);
            defer self.setTimer(conn);
            return http2.promise(self, ex, &.{ .push = what, .authority = authority });
        }

        /// Whether a response that is being sent may have more under way than it began with, from
        /// now to its end.
        pub fn makeLarge(self: *Self, ex: *Exchange) bool {
            const conn = self.connOf(ex);
            return switch (conn.app.http1.spoken) {
                .http1 => true,
                .http2 => http2_out.makeLarge(self, http2.of(conn), ex),
                .websocket => unreachable, // it has no exchanges
            };
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
            if (conn.app.http1.spoken == .http2) {
                ex.dispatched = false;
                ex.response = .done;
                http2.reset(self, ex, .internal_error);
                return self.setTimer(conn);
            }
            conn.is_cut = ex.endsByClose();
            ex.response = .done;
            self.net.close(conn);
        }

        /// The dispatcher takes body bytes again.
        pub fn resumeBody(self: *Self, ex: *Exchange) void {
            const conn = self.connOf(ex);
            switch (conn.app.http1.spoken) {
                .http1 => http1.resumeBody(self, conn, ex),
                .http2 => {
                    http2.resumeBody(self, conn, ex);
                    self.setTimer(conn);
                },
                .websocket => unreachable, // it has no exchanges
            }
        }

        /// Offers the requests again that were refused as `busy`.
        pub fn retryBusy(self: *Self) void {
            // Whoever is asked first leaves little room for the other.
            self.asks_http2_first = !self.asks_http2_first;
            if (self.asks_http2_first) http2.retryBusy(self);
            http1.retryBusy(self);
            if (!self.asks_http2_first) http2.retryBusy(self);
        }

        pub fn hasBusy(self: *const Self) bool {
            return self.http1_worker.busy.len > 0 or self.http2_worker.busy.len > 0;
        }

        // For net/.

        pub fn onTurn(self: *Self) void {
            if (is_secure) secured.closeEvicted(self);
            self.dispatcher.onTurn(self);
            websockets.onTurn(self);
            http2.resumeAll(self); // sends what the others have said on its streams
        }

        /// No turn comes any more, and no connection is left.
        pub fn onStop(self: *Self) void {
            websockets.onStop(self);
        }

        pub fn filterFor(self: *Self, conn: *const Conn) error{}!?Filter {
            if (!is_secure) return null;
            const shared = self.tls orelse return null;
            const set = shared.by_listener[conn.listener] orelse return null;
            return Filter.init(set, &self.handshakes, conn.id);
        }

        pub fn onFiltered(self: *Self, conn: *Conn) void {
            secured.onFiltered(self, conn);
        }

        pub fn onFilterFailed(self: *Self, conn: *Conn) void {
            secured.onFilterFailed(self, conn);
        }

        pub fn hasWork(self: *Self) bool {
            return self.http2_worker.resuming.len > 0 or websockets.hasWork(self) or
                self.dispatcher.hasWork(self);
        }

        pub fn onOpen(self: *Self, conn: *Conn) void {
            conn.app.opened_ms = self.net.now_ms;
        }

        pub fn onBytes(self: *Self, conn: *Conn, bytes: []u8) usize {
            switch (conn.app.http1.spoken) {
                .http1 => {
                    if (is_secure and !conn.app.http1.served and secured.wantsHttp2(self, conn)) {
                        http2.begin(self, conn); // data ahead of the handshake's end
                        return http2.onBytes(self, conn, bytes);
                    }
                    const may_turn = !conn.app.http1.served and !conn.is_filtered; // ALPN tells
                    if (may_turn and bytes[0] == 'P' and self.config.http2) {
                        switch (detect(bytes)) {
                            .http2 => {
                                http2.begin(self, conn);
                                return http2.onBytes(self, conn, bytes);
                            },
                            .need_more => return 0,
                            .other => {},
                        }
                    }
                    return http1.onBytes(self, conn, bytes);
                },
                .http2 => return http2.onBytes(self, conn, bytes),
                .websocket => return websockets.onBytes(self, conn, bytes),
            }
        }

        pub fn onEof(self: *Self, conn: *Conn) void {
            switch (conn.app.http1.spoken) {
                .http1 => http1.onEof(self, conn),
                .http2 => http2.onEof(self, conn),
                .websocket => websockets.onEof(self, conn),
            }
        }

        /// Bytes are unread before the client's end: they are served as always.
        pub fn onEofAhead(self: *Self, conn: *Conn) void {
            switch (conn.app.http1.spoken) {
                .http1 => http1.tellEof(self, conn),
                .http2 => http2.tellEof(self, conn),
                .websocket => {}, // what it has sent comes first
            }
        }

        pub fn onUnsent(self: *Self, conn: *Conn) void {
            timing.onUnsent(self, conn);
        }

        pub fn onProgress(self: *Self, conn: *Conn, bytes: u64) void {
            timing.onProgress(self, conn, bytes);
            switch (conn.app.http1.spoken) {
                .http1 => http1.onProgress(self, conn),
                .http2 => http2_out.onProgress(self, conn),
                .websocket => websockets.onProgress(self, conn),
            }
        }

        pub fn onDrain(self: *Self, conn: *Conn) void {
            self.finishIfIdle(conn);
        }

        pub fn onClose(self: *Self, conn: *Conn) void {
            switch (conn.app.http1.spoken) {
                .http1 => http1.onClose(self, conn),
                .http2 => http2.onClose(self, conn),
                .websocket => websockets.drop(self, conn),
            }
        }

        /// After each event on a connection: its timer is set for what it waits for now.
        pub fn afterEvent(self: *Self, conn: *Conn) void {
            // What was left when its turn was over goes on.
            if (conn.app.http1.spoken == .http2) http2_out.pump(self, http2.of(conn));
            if (conn.isOpen()) timing.afterEvent(self, conn);
        }

        pub fn onTimer(self: *Self, conn: *Conn) void {
            timing.onTimer(self, conn);
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

        /// Asserts what holds of an open connection between two events.
        pub fn checkInvariants(self: *Self, conn: *Conn) void {
            switch (conn.app.http1.spoken) {
                .http1 => http1.checkInvariants(self, conn),
                .http2 => http2.checkInvariants(self, conn),
                .websocket => websockets.checkInvariants(self, conn),
            }
        }

        // What the common parts ask of a connection's protocol.

        /// The earliest moment at which it will have waited too long, monotonic ms.
        pub fn protocolDeadline(self: *Self, conn: *Conn) u64 {
            return switch (conn.app.http1.spoken) {
                .http1 => http1_timing.deadline(self, conn),
                .http2 => http2_timing.deadline(self, conn),
                .websocket => websockets.deadline(conn),
            };
        }

        /// Acts on the deadlines that are over. Returns whether none is left to come.
        pub fn onProtocolTimer(self: *Self, conn: *Conn) bool {
            return switch (conn.app.http1.spoken) {
                .http1 => http1_timing.onTimer(self, conn),
                .http2 => http2_timing.onTimer(self, conn),
                .websocket => websockets.onTimer(self, conn),
            };
        }

        pub fn awaited(conn: *Conn) timing_file.Awaited {
            return switch (conn.app.http1.spoken) {
                .http1 => http1_timing.awaited(conn),
                .http2 => http2_timing.awaited(conn),
                .websocket => .handler, // its own deadline is all that it has
            };
        }

        /// The blocks of memory that its exchanges hold, bytes.
        pub fn heldBytes(conn: *const Conn) u64 {
            return switch (conn.app.http1.spoken) {
                .http1 => http1.heldBytes(conn),
                .http2 => http2.heldBytes(conn),
                .websocket => websockets.heldBytes(conn),
            };
        }

        /// Whether something can still be made of what comes.
        pub fn readsMessages(conn: *const Conn) bool {
            return switch (conn.app.http1.spoken) {
                .http1 => http1.of(conn).phase != .stop,
                .http2 => conn.isOpen(),
                .websocket => websockets.of(conn) != null,
            };
        }

        /// Refuses the message that is being read.
        pub fn refuse(self: *Self, conn: *Conn, code: problem.Code) void {
            switch (conn.app.http1.spoken) {
                .http1 => http1_refusals.refuse(self, conn, code),
                // Of input that no exchange has: frames in pieces.
                .http2 => http2.endFor(self, http2.of(conn), code, .enhance_your_calm),
                .websocket => websockets.refuse(self, conn, code),
            }
        }

        pub fn finishIfIdle(self: *Self, conn: *Conn) void {
            switch (conn.app.http1.spoken) {
                .http1 => http1.finishIfIdle(self, conn),
                .http2 => http2.finishIfIdle(self, conn),
                .websocket => websockets.finishIfIdle(self, conn),
            }
        }

        /// Closes once what was written is sent; nothing more is read as a request.
        pub fn endConn(self: *Self, conn: *Conn, linger: bool) void {
            // Not one byte may follow what announced the end, however long that takes to be sent.
            switch (conn.app.http1.spoken) {
                .http1 => http1.dropExchanges(self, conn),
                .http2 => http2.end(self, conn),
                .websocket => websockets.drop(self, conn),
            }
            // A client of HTTP/2 has always something on its way: updates, acknowledgements. They
            // must not turn into a reset that overtakes what it has not read.
            const lingers = linger or conn.app.http1.spoken == .http2;
            if (conn.isOpen()) self.net.finish(conn, lingers);
            if (conn.app.http1.spoken == .http1) http1.dropInput(self, conn);
        }

        // Exchanges.

        pub fn carrierOf(self: *Self, ex: *Exchange) Carrier {
            return .{ .d = self, .conn = self.connOf(ex) };
        }

        pub fn connOf(self: *Self, ex: *Exchange) *Conn {
            // Exchanges end before their connection's slot does.
            return self.net.conns.get(ex.conn).?;
        }

        /// The dispatcher's second look at a request whose body has been gathered.
        pub fn dispatchGathered(self: *Self, conn: *Conn, ex: *Exchange) void {
            const head_len = switch (conn.app.http1.spoken) {
                .http1 => self.restoreHead(conn, ex),
                .http2 => none: {
                    http2.restore(self, conn, ex);
                    break :none 0;
                },
                .websocket => unreachable, // it has no exchanges
            };
            const len = ex.gathered.len - head_len;
            // limits.zig: they are few enough.
            const pieces = ex.gathered.slices(head_len, len, &self.segments).?;
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
                .upgrade => {
                    websockets.refuseUpgrade(self, res, .has_content);
                    responses.respond(self, ex, res);
                },
                .pending => {
                    ex.dispatched = true;
                    // Its client may have ended its side while the request waited.
                    const is_http2 = conn.app.http1.spoken == .http2;
                    if (is_http2 and conn.hasPeerEnded()) http2.tellEof(self, conn);
                },
                .buffer, .busy => unreachable, // the dispatcher asked for the whole body and has it
            }
        }

        /// The head of a request of HTTP/1 that was kept is in `request` again; its length, bytes.
        fn restoreHead(self: *Self, conn: *Conn, ex: *Exchange) u32 {
            const head = ex.gathered.front()[0..ex.head_len];
            var hint: u32 = 0;
            const decoded = decoder.decodeHead(head, &hint, self.decode_limits, &self.request);
            if (is_secure) self.request.tls = secured.of(self, conn);
            const refused = admission.makePathCanonical(self);
            assert(decoded == .head and refused == null); // as the first time: the same bytes
            return ex.head_len;
        }

        pub fn countRequest(self: *Self) void {
            self.requests_total.store(self.requests_total.raw +% 1, .monotonic);
        }

        pub fn countPush(self: *Self) void {
            self.pushes_total.store(self.pushes_total.raw +% 1, .monotonic);
        }

        pub fn countRefusedPush(self: *Self) void {
            self.pushes_refused_total.store(self.pushes_refused_total.raw +% 1, .monotonic);
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
            const now_ms = self.net.now_ms;
            if (self.date.isOld(now_ms)) self.date.set(now_ms, self.net.backend.wallSeconds());
            return self.date.text();
        }
    };
}
