//! HTTP/2 on a connection: each stream is an exchange, and they are answered in whatever order
//! their responses are there. What bytes mean is zig/http2's; who answers is the dispatcher's.

const std = @import("std");
const assert = std.debug.assert;
const list = @import("../../core/list.zig");
const limits = @import("../../core/limits.zig");
const memory = @import("../../core/memory.zig");
const Chain = @import("../../core/chain.zig").Chain;
const Segment = @import("../../core/chain.zig").Segment;
const buddy = @import("../../core/buddy.zig");
const problem = @import("../../http/problem.zig");
const h1_decoder = @import("../../http1/decoder.zig");
const h2 = @import("../../http2/connection.zig");
const errors = @import("../../http2/errors.zig");
const frames = @import("../../http2/frames.zig");
const StreamId = frames.StreamId;
const hpack_decoder = @import("../../http2/hpack/decoder.zig");
const hpack_encoder = @import("../../http2/hpack/encoder.zig");
const table = @import("../../http2/hpack/table.zig");
const Priority = @import("../../http2/priority.zig").Priority;
const message = @import("../../http2/request.zig");
const scheduler = @import("../../http2/scheduler.zig");
const StreamMap = @import("../../http2/stream_map.zig").StreamMap;
const StreamEntry = @import("../../http2/stream_map.zig").Entry;
const admission_of = @import("../admission.zig").Admission;
const secured_of = @import("../secured.zig").Secured;
const common_timing_of = @import("../timing.zig").Timing;
const refusals_of = @import("../refusals.zig").Refusals;
const request_bodies_of = @import("../request_bodies.zig").RequestBodies;
const Sink = @import("../request_body.zig").Sink;
const responses_of = @import("../responses.zig").Responses;
const output_of = @import("output.zig").Output;

const ExchangeId = @import("../exchange.zig").ExchangeId;
const Stream = h2.Stream;
const decoder_bytes = hpack_decoder.table_bytes_initial;
const encoder_bytes = 768;

/// HTTP/2 for the driver `D`.
pub fn Http2(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const admission = admission_of(D);
        const secured = secured_of(D);
        const common_timing = common_timing_of(D);
        const refusals = refusals_of(D);
        const request_bodies = request_bodies_of(D);
        const responses = responses_of(D);
        const output = output_of(D);

        const Order = scheduler.Scheduler(Exchange, placeOf);

        fn placeOf(ex: *Exchange) *scheduler.Place(Exchange) {
            return &ex.place;
        }

        pub fn exchangeOf(stream: *Stream) *Exchange {
            return @alignCast(@fieldParentPtr("stream", stream));
        }

        /// Of a connection, in a slot of its worker's with the connection's number.
        pub const Session = struct {
            d: *D,
            conn: *Conn,
            protocol: h2.Connection(Session),
            order: Order = .{},
            /// Exchanges, in the order in which they have begun.
            first: ?*Exchange = null,
            last: ?*Exchange = null,
            depth: u16 = 0,
            /// In memory, of responses that wait to be sent, bytes.
            held_bytes: u64 = 0,
            held_files: u32 = 0,
            /// What the decoder of frames has been lent for a field block in pieces.
            lent: ?*Segment = null,
            /// Since when the field block that is being read is, monotonic ms; 0 between blocks.
            block_since_ms: u64 = 0,
            /// When the client has last had something to say, monotonic ms.
            heard_ms: u64,
            farewell: enum { none, announced, final } = .none,
            /// Nothing more is read: the connection ends behind what has been written.
            is_over: bool = false,
            /// In its worker's list of those whose requests may go on.
            resumes: list.Link(Session) = .{},
            /// Exchanges that wait until less is under way to the client.
            held_up: list.List(Exchange, busyLinkOf) = .{},
            /// A request was read on it.
            served: bool = false,
            in_pump: bool = false,
            decoder_memory: [table.memoryBytes(decoder_bytes)]u8 align(table.alignment) = undefined,
            encoder_memory: [hpack_encoder.memoryBytes(encoder_bytes)]u8 align(table.alignment) =
                undefined,

            pub fn findStream(self: *Session, id: StreamId) ?*Stream {
                const slot = self.d.http2_worker.streams.get(self.conn.id.slot, id) orelse
                    return null;
                return &self.d.exchanges.slots.items[slot].stream;
            }

            pub fn nextStream(self: *Session, before: ?*Stream) ?*Stream {
                const next = if (before) |stream| exchangeOf(stream).next else self.first;
                return if (next) |ex| &ex.stream else null;
            }
        };

        /// Of a worker.
        pub const Worker = struct {
            sessions: []align(memory.page_bytes) Session,
            streams: StreamMap,
            entries: []align(memory.page_bytes) StreamEntry,
            /// Where field blocks are decoded to.
            block: hpack_decoder.Block,
            lines: []table.Record,
            settings: h2.Settings,
            /// Exchanges whose request the dispatcher refused as `busy`, oldest first.
            busy: list.List(Exchange, busyLinkOf) = .{},
            /// Those whose requests may go on.
            resuming: list.List(Session, resumesOf) = .{},

            pub fn init(gpa: std.mem.Allocator, config: anytype, connections: u32, seed: u64) !Worker {
                const sessions = try memory.reserve(Session, connections);
                errdefer memory.release(Session, sessions);
                const streams_max = connections + config.exchanges_spare;
                const entries = try memory.reserve(StreamEntry, StreamMap.entryCount(streams_max));
                errdefer memory.release(StreamEntry, entries);
                const text = try gpa.alloc(u8, block_text_bytes);
                errdefer gpa.free(text);
                const lines = try gpa.alloc(table.Record, block_lines);
                return .{
                    .sessions = sessions,
                    .streams = .init(entries, seed),
                    .entries = entries,
                    .block = .{
                        .text = text,
                        .lines = lines,
                        .limits = .{
                            .list_bytes_max = config.head_bytes_max,
                            .read_bytes_max = 4 * config.head_bytes_max,
                        },
                    },
                    .lines = lines,
                    .settings = .{
                        .streams_max = config.http2_streams_max,
                        // Streams that nobody reads keep no others from theirs.
                        .connection_window = @intCast(@min(
                            @as(u64, config.http2_streams_max) * frames.window_initial,
                            frames.window_max,
                        )),
                        .header_list_bytes = config.head_bytes_max,
                        .request = .{
                            .target_bytes_max = config.target_bytes_max,
                            .header_count_max = config.header_count_max,
                        },
                    },
                };
            }

            pub fn deinit(self: *Worker, gpa: std.mem.Allocator) void {
                gpa.free(self.lines);
                gpa.free(self.block.text);
                memory.release(StreamEntry, self.entries);
                memory.release(Session, self.sessions);
                self.* = undefined;
            }
        };

        const block_text_bytes = 65_535;
        const block_lines = 256;

        fn resumesOf(session: *Session) *list.Link(Session) {
            return &session.resumes;
        }

        fn busyLinkOf(ex: *Exchange) *list.Link(Exchange) {
            return &ex.busy;
        }

        /// What HTTP/2 keeps of `conn`.
        pub inline fn of(conn: *const Conn) *Session {
            return conn.app.http2;
        }

        /// `conn`, on which nothing has been read, speaks HTTP/2 from here on.
        pub fn begin(d: *D, conn: *Conn) void {
            const session = &d.http2_worker.sessions[conn.id.slot];
            session.* = .{
                .d = d,
                .conn = conn,
                .protocol = undefined,
                .heard_ms = d.net.now_ms,
            };
            session.protocol = .init(
                &d.http2_worker.settings,
                .init(&session.decoder_memory, decoder_bytes),
                .init(&session.encoder_memory, encoder_bytes),
            );
            conn.app.http2 = session;
            conn.app.http1.spoken = .http2;
            var greeting: [@TypeOf(session.protocol).greeting_bytes_max]u8 = undefined;
            const len = session.protocol.greet(&greeting);
            d.net.write(conn, greeting[0..len]);
            if (!conn.isOpen()) return;
            // Windows grow by what a round trip takes.
            var ping: [frames.ping_bytes]u8 = undefined;
            if (session.protocol.ping(d.net.now_ms, &ping)) |_| d.net.write(conn, &ping);
        }

        // Reading.

        pub fn onBytes(d: *D, conn: *Conn, bytes: []const u8) usize {
            const session = of(conn);
            var used: usize = 0;
            session.heard_ms = d.net.now_ms;
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
                .request => |*request| {
                    const ex = takeExchange(d, session, request.id, request.end_stream, &.{
                        .content_length = request.head.content_length,
                        .priority = Priority.parse(request.head.priority),
                    }) orelse return;
                    beginExchange(d, session, ex, request.end_stream, &request.head);
                },
                .refused => |refused| {
                    // Of what it may be of another message.
                    d.request.version = .http2;
                    d.request.method = .GET;
                    d.request.fields.len = 0;
                    const ex = takeExchange(d, session, refused.id, refused.end_stream, &.{}) orelse
                        return;
                    refuse(d, session, ex, refused.end_stream, problem.codeOf(refused.why));
                },
                .malformed => |_| refusals.report(d, conn, .malformed_message, 0),
                .data => |data| takeData(d, exchangeOf(data.stream), data.bytes, data.end_stream),
                .trailers => |trailers| takeTrailers(d, exchangeOf(trailers.stream), trailers.lines),
                .reset => |by_peer| abort(d, exchangeOf(by_peer.stream)),
                .broken => |broken| {
                    refusals.report(d, conn, .malformed_message, 0);
                    abort(d, exchangeOf(broken.stream));
                },
                .writable => |stream| {
                    if (stream) |one| output.offer(session, exchangeOf(one)) else {
                        var at = session.first;
                        while (at) |ex| : (at = ex.next) output.offer(session, ex);
                    }
                    output.pump(d, session);
                },
                .prioritized => |one| session.order.reprioritize(
                    exchangeOf(one.stream),
                    one.priority,
                ),
                .pong => if (session.farewell == .announced) finalFarewell(d, session),
                .goaway, .reply => {},
            }
        }

        fn noteBlock(d: *D, session: *Session) void {
            if (session.protocol.frames.isInBlock()) {
                if (session.block_since_ms == 0) session.block_since_ms = d.net.now_ms;
                return;
            }
            session.block_since_ms = 0;
            if (session.lent) |segment| {
                _ = session.protocol.frames.takeBack();
                segment.destroy(&d.net.pools.buffers);
                session.lent = null;
            }
        }

        fn lend(d: *D, session: *Session, bytes: usize) void {
            const pool = &d.net.pools.buffers;
            const order = buddy.orderFor(@max(bytes, 4096) + Segment.overhead);
            const segment = Segment.create(pool, order) catch {
                return refusals.closeFor(d, session.conn, .out_of_buffers);
            };
            _ = session.protocol.frames.lend(segment.room());
            if (session.lent) |before| before.destroy(pool);
            session.lent = segment;
        }

        fn fail(d: *D, conn: *Conn, err: errors.ConnectionError) void {
            of(conn).is_over = true;
            const code: problem.Code = if (err.code() == .enhance_your_calm)
                .http2_excessive_load
            else
                .http2_connection_error;
            refusals.report(d, conn, code, 0);
            d.endConn(conn, true);
        }

        // Exchanges.

        const Begun = struct { content_length: ?u64 = null, priority: Priority = .{} };

        /// Null: there is no room for it, and the client may try again (RFC 9113 §8.7).
        fn takeExchange(
            d: *D,
            session: *Session,
            stream: StreamId,
            end_stream: bool,
            begun: *const Begun,
        ) ?*Exchange {
            session.served = true;
            const id = d.exchanges.take(session.depth) orelse {
                var frame: [frames.rst_stream_bytes]u8 = undefined;
                session.protocol.refuse(stream, &frame);
                d.net.write(session.conn, &frame);
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
                .body_length = if (end_stream) 0 else begun.content_length,
                .prev = session.last,
                .place = .{ .id = stream, .priority = begun.priority },
            };
            if (session.last) |last| last.next = ex else session.first = ex;
            session.last = ex;
            session.depth += 1;
            session.protocol.open(&ex.stream, stream, end_stream, begun.content_length);
            d.http2_worker.streams.put(session.conn.id.slot, stream, id.slot);
            return ex;
        }

        fn beginExchange(
            d: *D,
            session: *Session,
            ex: *Exchange,
            end_stream: bool,
            head: *const message.Head,
        ) void {
            d.request.peer = session.conn.peer;
            d.request.body = .{};
            d.request.trailers.len = 0;
            if (D.is_secure) d.request.tls = secured.of(d, session.conn);
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
            const wrong: ?problem.Code = if (is_other) .misdirected_request else null;
            if (wrong orelse admission.admit(d, framing)) |code|
                return refuse(d, session, ex, end_stream, code);
            ex.awaits_continue = head.expect_continue and !end_stream;
            if (isFull(d, session) or session.held_up.len > 0) return holdUp(d, session, ex);
            dispatch(d, session, ex);
            // Its share of the turn may be used up.
            if (session.conn.isOpen()) _ = d.net.beginRequest(session.conn);
        }

        /// Whether so much waits for the client that its next requests wait as well.
        fn isFull(d: *const D, session: *const Session) bool {
            const queue = &session.conn.queue;
            // What a client that has nothing under way needs is always there.
            if (session.depth <= 1 and queue.isEmpty()) return false;
            return session.held_bytes + queue.bytes >= d.config.output_high_water_bytes or
                session.held_files + queue.files >= limits.connection_files_max or
                !d.net.pools.nodes.hasSpare();
        }

        fn holdUp(d: *D, session: *Session, ex: *Exchange) void {
            @branchHint(.unlikely);
            if (!keepHead(d, ex)) return;
            if (ex.stream.state == .open) beginContent(d, ex, .stream);
            ex.is_held_up = true;
            session.held_up.append(ex);
        }

        /// Requests of `session` that wait may go on, when nobody is in the middle of something.
        pub fn resumeLater(d: *D, session: *Session) void {
            if (!session.resumes.is_linked) d.http2_worker.resuming.append(session);
        }

        /// Goes on with the requests of those sessions: once an event, or a turn, is over.
        pub fn resumeAll(d: *D) void {
            var left = d.http2_worker.resuming.len;
            while (left > 0) : (left -= 1) {
                const session = d.http2_worker.resuming.pop() orelse return;
                resumeHeldUp(d, session);
                if (session.conn.isOpen()) d.afterEvent(session.conn);
            }
        }

        fn resumeHeldUp(d: *D, session: *Session) void {
            const conn = session.conn;
            while (conn.isOpen() and !isFull(d, session)) {
                const ex = session.held_up.pop() orelse return;
                ex.is_held_up = false;
                restore(d, conn, ex);
                dispatch(d, session, ex);
            }
        }

        /// Offers the request in `d.request`, whose content has not come.
        fn dispatch(d: *D, session: *Session, ex: *Exchange) void {
            // What has come of the content while the request waited is in the inbox.
            const ends = ex.stream.state == .half_closed_remote and !ex.is_reading;
            ex.body_complete = ends;
            const id = ex.id;
            const res = d.response();
            const early = if (D.is_secure) secured.answer(d, session.conn, res) else null;
            const action = early orelse switch (d.request.method) {
                .CONNECT, .TRACE => admission.dispatchUnusual(d, ex, res),
                else => d.dispatcher.onRequest(d, ex, &d.request, res),
            };
            switch (action) {
                .respond => {
                    d.countRequest();
                    if (!ends) sinkTo(d, ex, .discard);
                    responses.respond(d, ex, res);
                },
                .buffer => {
                    assert(!ends);
                    d.countRequest();
                    ex.format = problem.formatOf(&d.request.fields);
                    sinkTo(d, ex, .gather);
                    if ((ex.body_length orelse 0) > d.config.body_buffered_bytes_max)
                        return d.carrierOf(ex).refuseMessage(ex, .body_too_large);
                    if (!keepHead(d, ex)) return;
                    invite(d, ex);
                    takeWaiting(d, session, id);
                },
                .pending => {
                    d.countRequest();
                    ex.dispatched = true;
                    ex.format = problem.formatOf(&d.request.fields);
                    if (ends) return;
                    sinkTo(d, ex, .stream);
                    invite(d, ex);
                    takeWaiting(d, session, id);
                },
                .busy => wait(d, session, ex),
            }
        }

        /// Where the content of a request goes that is taken now. It may have begun before.
        fn sinkTo(d: *D, ex: *Exchange, sink: Sink) void {
            if (!ex.is_reading) return beginContent(d, ex, sink);
            ex.body.sink = sink;
            if (sink == .discard) d.carrierOf(ex).dropRequestBody(ex);
        }

        /// What came while the request waited.
        fn takeWaiting(d: *D, session: *Session, id: ExchangeId) void {
            const ex = d.exchanges.get(id) orelse return;
            if (ex.inbox.len == 0 and !isWhole(ex)) return;
            if (ex.is_reading) resumeBody(d, session.conn, ex);
        }

        fn invite(d: *D, ex: *Exchange) void {
            if (!ex.awaits_continue) return;
            ex.awaits_continue = false;
            d.carrierOf(ex).writeContinue(ex);
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
            if (!end_stream) beginContent(d, ex, .discard);
            ex.format = problem.formatOf(&d.request.fields);
            refusals.report(d, session.conn, code, problem.statusOf(code));
            responses.respondError(d, ex, code);
        }

        /// The request stays as it is until `retryBusy`, or until its time is up.
        fn wait(d: *D, session: *Session, ex: *Exchange) void {
            if (ex.busy.is_linked) return;
            if (ex.gathered.len == 0 and !keepHead(d, ex)) return;
            // What comes of its content meanwhile waits with it.
            if (ex.stream.state == .open) beginContent(d, ex, .stream);
            if (ex.waiting_since_ms == 0) ex.waiting_since_ms = d.net.now_ms;
            d.http2_worker.busy.append(ex);
            _ = session;
        }

        pub fn retryBusy(d: *D) void {
            const busy = &d.http2_worker.busy;
            var left = busy.len;
            while (left > 0) : (left -= 1) {
                const ex = busy.pop() orelse return;
                const conn = d.connOf(ex);
                restore(d, conn, ex);
                dispatch(d, of(conn), ex);
                if (conn.isOpen()) d.afterEvent(conn);
                if (ex.busy.is_linked) return; // refused again: the others would be too
            }
        }

        // Heads that are looked at again.

        /// Text and lines of the block that the request is in. False: the exchange was refused.
        fn keepHead(d: *D, ex: *Exchange) bool {
            if (ex.head.len > 0) return true; // when it was looked at before
            const id = ex.id;
            const block = &d.http2_worker.block;
            const lines = block.lines[0..block.count];
            // As it was decoded: what was made of it behind that is made again.
            var text_len: u32 = 0;
            for (lines) |line| text_len += @intCast(line.lineBytes());
            const pool = &d.net.pools.buffers;
            const text = block.text[0..text_len];
            const kept = keepParts(ex, pool, text, std.mem.sliceAsBytes(lines));
            kept catch {
                d.carrierOf(ex).refuseForMemory(ex, .pool);
                return false;
            };
            ex.block_len = text_len;
            ex.head_lines = @intCast(lines.len);
            d.carrierOf(ex).checkInputMemory(ex);
            return d.exchanges.get(id) != null and ex.response == .none;
        }

        fn keepParts(
            ex: *Exchange,
            pool: *buddy.Buddy,
            text: []const u8,
            lines: []const u8,
        ) error{OutOfBuffers}!void {
            try ex.head.append(pool, text);
            try ex.head.append(pool, lines);
            _ = try ex.head.contiguous(pool, text.len + lines.len);
        }

        /// The request of `ex` is in `d.request` again.
        pub fn restore(d: *D, conn: *Conn, ex: *Exchange) void {
            const block = &d.http2_worker.block;
            const kept = ex.head.front();
            const lines = std.mem.sliceAsBytes(block.lines[0..ex.head_lines]);
            @memcpy(block.text[0..ex.block_len], kept[0..ex.block_len]);
            @memcpy(lines, kept[ex.block_len..][0..lines.len]);
            block.bytes = ex.block_len;
            block.count = ex.head_lines;
            block.excess = .none;
            const result = message.decode(block, false, d.http2_worker.settings.request, &d.request);
            const refused = admission.makePathCanonical(d);
            assert(result == .head and refused == null); // as the first time: the same block
            d.request.peer = conn.peer;
            d.request.body = .{};
            d.request.trailers.len = 0;
            if (D.is_secure) d.request.tls = secured.of(d, conn);
        }

        // Content.

        fn beginContent(d: *D, ex: *Exchange, sink: Sink) void {
            request_bodies.begin(d, ex, sink);
            ex.is_reading = true;
        }

        fn takeData(d: *D, ex: *Exchange, bytes: []const u8, end_stream: bool) void {
            if (!ex.is_reading) return consume(d, of(d.connOf(ex)), ex, bytes.len); // refused
            ex.body.since_ms = d.net.now_ms;
            if (ex.inbox.len > 0 or isWaiting(ex)) return keep(d, ex, bytes);
            deliver(d, ex, bytes, end_stream);
        }

        /// Its request has not been taken.
        fn isWaiting(ex: *const Exchange) bool {
            return ex.busy.is_linked;
        }

        fn keep(d: *D, ex: *Exchange, bytes: []const u8) void {
            const carrier = d.carrierOf(ex);
            // What nobody takes is not held against the client.
            if (ex.inbox.len == 0) ex.body.pause(d.rates.body, d.net.now_ms);
            ex.inbox.append(&d.net.pools.buffers, bytes) catch
                return carrier.refuseForMemory(ex, .pool);
            carrier.checkInputMemory(ex);
        }

        fn deliver(d: *D, ex: *Exchange, bytes: []const u8, end_stream: bool) void {
            const carrier = d.carrierOf(ex);
            const session = of(d.connOf(ex));
            const id = ex.id;
            const taken = request_bodies.deliver(d, carrier, ex, bytes, 0, end_stream) orelse return;
            ex.body.meter.add(d.rates.body, taken, d.net.now_ms);
            const is_kept = taken < bytes.len;
            if (is_kept) keep(d, ex, bytes[taken..]);
            if (d.exchanges.get(id) == null) return;
            consume(d, session, ex, taken);
            if (is_kept or !end_stream) return;
            if (d.exchanges.get(id) != null) endContent(d, ex);
        }

        pub fn consume(d: *D, session: *Session, ex: *Exchange, bytes: usize) void {
            if (bytes == 0 or ex.stream.isClosed()) return;
            session.protocol.consume(&ex.stream, @intCast(bytes));
            writeUpdates(d, session, &ex.stream);
        }

        fn writeUpdates(d: *D, session: *Session, stream: ?*Stream) void {
            var updates: [@TypeOf(session.protocol).updates_bytes_max]u8 = undefined;
            const len = session.protocol.writeUpdates(stream, d.net.now_ms, &updates);
            if (len > 0) d.net.write(session.conn, updates[0..len]);
        }

        fn takeTrailers(d: *D, ex: *Exchange, lines: []const u8) void {
            if (!ex.is_reading) return;
            request_bodies.keepTrailers(d, d.carrierOf(ex), ex, lines);
            if (ex.inbox.len > 0 or isWaiting(ex)) return;
            deliver(d, ex, "", true);
        }

        /// The content has come whole, and been taken.
        fn endContent(d: *D, ex: *Exchange) void {
            ex.is_reading = false;
            const conn = d.connOf(ex);
            if (ex.is_retired) return output.settle(d, of(conn), ex);
            if (ex.body.sink != .gather) return;
            ex.body.sink = .discard;
            d.dispatchGathered(conn, ex);
        }

        /// The dispatcher takes the content of `ex` again.
        pub fn resumeBody(d: *D, conn: *Conn, ex: *Exchange) void {
            const pool = &d.net.pools.buffers;
            const id = ex.id;
            if (!ex.is_reading) return;
            if (ex.inbox.len == 0 and isWhole(ex)) return deliver(d, ex, "", true);
            while (ex.inbox.len > 0) {
                const front = ex.inbox.front();
                const is_last = front.len == ex.inbox.len and isWhole(ex);
                const carrier = d.carrierOf(ex);
                const taken = request_bodies.deliver(d, carrier, ex, front, 0, is_last) orelse return;
                if (!conn.isOpen() or d.exchanges.get(id) == null) return;
                // It was answered under the call: nobody wants the rest, which is gone.
                if (ex.inbox.len == 0) break;
                ex.inbox.consume(pool, taken);
                if (ex.inbox.len == 0) ex.body.unpause(d.net.now_ms);
                ex.body.meter.add(d.rates.body, taken, d.net.now_ms);
                consume(d, of(conn), ex, taken);
                if (taken < front.len) return;
            }
            if (isWhole(ex)) endContent(d, ex);
        }

        /// Whether the client has sent all of its request.
        fn isWhole(ex: *const Exchange) bool {
            return ex.stream.state == .half_closed_remote or ex.stream.state == .closed;
        }

        // The end.

        /// The stream is closed before its time: who works for it is told.
        fn abort(d: *D, ex: *Exchange) void {
            const session = of(d.connOf(ex));
            assert(ex.stream.isClosed());
            tellAbort(d, ex);
            release(d, session, ex);
            if (session.conn.isOpen()) afterRelease(d, session);
        }

        fn tellAbort(d: *D, ex: *Exchange) void {
            dropWaiting(d, ex);
            if (!ex.dispatched or ex.response == .done) return;
            ex.dispatched = false;
            d.dispatcher.onAbort(d, ex);
        }

        fn dropWaiting(d: *D, ex: *Exchange) void {
            if (!ex.is_held_up) return d.http2_worker.busy.drop(ex);
            ex.is_held_up = false;
            of(d.connOf(ex)).held_up.remove(ex);
        }

        /// Ends a stream from this side before its time.
        pub fn reset(d: *D, ex: *Exchange, code: errors.Code) void {
            const session = of(d.connOf(ex));
            var frame: [frames.rst_stream_bytes]u8 = undefined;
            const was_open = !ex.stream.isClosed();
            if (was_open) session.protocol.resetStream(&ex.stream, code, &frame);
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
            ex.is_reading = false;
            session.order.remove(ex);
            dropWaiting(d, ex);
            d.http2_worker.streams.remove(session.conn.id.slot, ex.stream.id);
            session.protocol.release(&ex.stream);
            if (ex.prev) |before| before.next = ex.next else session.first = ex.next;
            if (ex.next) |next| next.prev = ex.prev else session.last = ex.prev;
            session.depth -= 1;
            session.held_bytes -= ex.held_bytes;
            session.held_files -= ex.held_files;
            const pools = &d.net.pools;
            ex.gathered.deinit(&pools.buffers);
            ex.trailers.deinit(&pools.buffers);
            ex.head.deinit(&pools.buffers);
            ex.inbox.deinit(&pools.buffers);
            ex.trailing.deinit(&pools.buffers);
            ex.held.deinit(pools);
            d.exchanges.release(ex.id, session.depth);
        }

        pub fn afterRelease(d: *D, session: *Session) void {
            writeUpdates(d, session, null);
            if (session.held_up.len > 0) resumeLater(d, session);
            if (!session.conn.isOpen()) return;
            const is_last = session.farewell == .final or session.conn.eof_told;
            if (session.depth == 0 and is_last) d.endConn(session.conn, false);
        }

        /// All exchanges end, without an answer where there is none yet.
        pub fn dropExchanges(d: *D, conn: *Conn) void {
            const session = of(conn);
            session.is_over = true;
            d.http2_worker.resuming.drop(session);
            while (session.first) |ex| {
                tellAbort(d, ex);
                if (session.first != ex) continue;
                // Nothing is sent any more: the stream's end needs no word.
                ex.stream.state = .closed;
                release(d, session, ex);
            }
            if (session.lent) |segment| {
                _ = session.protocol.frames.takeBack();
                segment.destroy(&d.net.pools.buffers);
                session.lent = null;
            }
        }

        pub fn onClose(d: *D, conn: *Conn) void {
            dropExchanges(d, conn);
        }

        /// The client sends no more: what has come whole is answered.
        pub fn onEof(d: *D, conn: *Conn) void {
            const session = of(conn);
            var at = session.first;
            while (at) |ex| {
                at = ex.next;
                if (isWhole(ex)) continue;
                tellAbort(d, ex);
                ex.stream.state = .closed;
                release(d, session, ex);
            }
            if (session.depth == 0) return d.endConn(conn, false);
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
            }
        }

        /// A stop: streams that begin within a round trip are served yet (RFC 9113 §6.8).
        pub fn finishIfIdle(d: *D, conn: *Conn) void {
            const session = of(conn);
            switch (session.farewell) {
                .none => {
                    session.farewell = .announced;
                    var goaway: [frames.goaway_bytes]u8 = undefined;
                    session.protocol.goAway(.announced, .no_error, &goaway);
                    d.net.write(conn, &goaway);
                    var ping: [frames.ping_bytes]u8 = undefined;
                    if (session.protocol.ping(d.net.now_ms, &ping)) |_| d.net.write(conn, &ping);
                },
                .announced => {},
                .final => if (session.depth == 0) d.endConn(conn, false),
            }
        }

        fn finalFarewell(d: *D, session: *Session) void {
            session.farewell = .final;
            var goaway: [frames.goaway_bytes]u8 = undefined;
            session.protocol.goAway(.final, .no_error, &goaway);
            d.net.write(session.conn, &goaway);
            if (session.depth == 0) d.endConn(session.conn, false);
        }

        /// The blocks of memory that its exchanges hold, bytes.
        pub fn heldBytes(conn: *const Conn) u64 {
            const session = of(conn);
            var bytes: u64 = if (session.lent) |segment| segment.blockBytes() else 0;
            var at = session.first;
            while (at) |ex| : (at = ex.next) {
                bytes += ex.gathered.block_bytes + ex.trailers.block_bytes + ex.head.block_bytes +
                    ex.inbox.block_bytes + ex.trailing.block_bytes + ex.held.block_bytes;
            }
            return bytes;
        }

        pub fn checkInvariants(d: *D, conn: *Conn) void {
            const session = of(conn);
            session.protocol.checkInvariants(session);
            session.order.checkInvariants();
            var depth: u16 = 0;
            var held: u64 = 0;
            var at = session.first;
            while (at) |ex| : (at = ex.next) {
                assert(d.exchanges.get(ex.id) == ex);
                assert(ex.held_bytes == ex.held.memory_bytes);
                held += ex.held_bytes;
                depth += 1;
            }
            assert(depth == session.depth and held == session.held_bytes);
        }
    };
}
