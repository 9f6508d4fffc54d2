//! HTTP/1 on a connection: requests are read one behind the other, and their responses leave in the
//! same order, whatever the order in which they are completed (RFC 9112 §9.3).

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../../core/limits.zig");
const list = @import("../../core/list.zig");
const problem = @import("../../http/problem.zig");
const decoder = @import("../../http1/decoder.zig");
const admission_of = @import("../admission.zig").Admission;
const secured_of = @import("../secured.zig").Secured;
const pause_file = @import("../pause.zig");
const responses_of = @import("../responses.zig").Responses;
const common_timing_of = @import("../timing.zig").Timing;
const bodies_file = @import("bodies.zig");
const refusals_of = @import("refusals.zig").Refusals;
const timing_of = @import("timing.zig").Timing;

/// HTTP/1 for the driver `D`.
pub fn Http1(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const admission = admission_of(D);
        const secured = secured_of(D);
        const bodies = bodies_file.Bodies(D);
        const refusals = refusals_of(D);
        const responses = responses_of(D);
        const timing = timing_of(D);
        const common_timing = common_timing_of(D);

        /// Of a connection.
        pub const State = struct {
            /// Among those whose request the dispatcher refused as `busy`.
            busy: list.Link(Conn) = .{},
            /// Since when that request waits, monotonic ms; 0 while none does.
            busy_since_ms: u64 = 0,
            /// Since when input is not read, monotonic ms; means something while `pause` is set.
            paused_ms: u64 = 0,
            /// The exchange whose content is being read, in phase `body` and no other. It may have
            /// left the others: `is_retired`.
            reading: ?*Exchange = null,
            framing: bodies_file.Framing = .{},

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
            pause: pause_file.Pause = .{},
            /// A request was read on it.
            served: bool = false,
            /// More bytes follow the request that is being served, or may:
            /// a close has to let the client read first.
            more_input: bool = false,
            /// More bytes are buffered behind those that are being looked at.
            more_beyond: bool = false,
            /// What is spoken on the connection: in the place where HTTP/1 looks anyway.
            spoken: Spoken = .http1,

            pub const hot_offset = @offsetOf(State, "first");
        };

        pub const Phase = enum(u8) { head, body, stop };
        pub const Spoken = enum(u8) { http1, http2, websocket };

        /// Of a worker.
        pub const Worker = struct {
            /// Connections whose request the dispatcher refused as `busy`, oldest first.
            busy: list.List(Conn, busyLinkOf) = .{},
        };

        fn busyLinkOf(conn: *Conn) *list.Link(Conn) {
            return &of(conn).busy;
        }

        /// What HTTP/1 keeps of `conn`.
        pub inline fn of(conn: anytype) @TypeOf(&conn.app.http1) {
            return &conn.app.http1;
        }

        // Reading.

        pub fn onBytes(d: *D, conn: *Conn, bytes: []const u8) usize {
            const own = of(conn);
            var used: usize = 0;
            own.more_beyond = conn.input.len > bytes.len;
            while (used < bytes.len and conn.isOpen() and !conn.paused) {
                if (own.spoken != .http1) break; // what follows is none
                const rest = bytes[used..];
                const n = switch (own.phase) {
                    .head => onHead(d, conn, rest),
                    .body => bodies.read(d, conn, rest),
                    // Nothing is made of bytes behind the last message. That there are some counts
                    // for how the connection is closed.
                    .stop => stop: {
                        own.more_input = true;
                        // Behind its end it is the worker that counts.
                        if (!conn.finish_when_sent and !d.net.mayDrop(conn, rest.len))
                            pause(d, conn, .end);
                        break :stop rest.len;
                    },
                };
                if (n == 0) break;
                used += n;
            }
            return used;
        }

        /// In line it would make the loop around it dearer by fifty instructions a request.
        noinline fn onHead(d: *D, conn: *Conn, bytes: []const u8) usize {
            const own = of(conn);
            if (outputFull(d, conn)) {
                pause(d, conn, .output);
                return 0;
            }
            if (!d.net.beginRequest(conn)) return 0;
            if (own.message_since_ms == 0) own.message_since_ms = d.net.now_ms;
            switch (decoder.decodeHead(bytes, &own.hint, d.decode_limits, &d.request)) {
                .need_more => return 0,
                .err => |err| {
                    refusals.refuseHead(d, conn, bytes, problem.codeOf(err));
                    return bytes.len;
                },
                .head => |head| {
                    own.hint = 0;
                    return beginExchange(d, conn, bytes, head.consumed, head.framing);
                },
            }
        }

        /// Returns how many of `bytes` are done with: 0 when the request has to wait.
        fn beginExchange(
            d: *D,
            conn: *Conn,
            bytes: []const u8,
            head_len: u32,
            framing: decoder.Framing,
        ) usize {
            const own = of(conn);
            const length: ?u64 = switch (framing.body) {
                .none => 0,
                .length => |n| n,
                .chunked => null,
            };
            if (D.is_secure) d.request.tls = secured.of(d, conn);
            if (admission.admit(d, framing)) |code| {
                refusals.refuseDecoded(d, conn, code);
                return bytes.len;
            }
            // There is room for it: `onHead` has looked.
            const ex = takeExchange(d, conn, length, framing.keep_alive).?;
            ex.keep_alive_asked = framing.keep_alive_asked;
            const rest = bytes[head_len..];
            const body_len = bodies.whole(d, conn, ex, rest, framing) catch
                return bytes.len;
            ex.body_complete = body_len != null;
            d.request.peer = conn.peer;
            own.more_input = rest.len > (body_len orelse rest.len) or own.more_beyond;
            const consumed = head_len + (body_len orelse 0);
            const res = d.response();
            const early = if (D.is_secure) secured.answer(d, conn, res) else null;
            const action = early orelse switch (d.request.method) {
                .CONNECT, .TRACE => admission.dispatchUnusual(d, ex, res),
                else => d.dispatcher.onRequest(d, ex, &d.request, res),
            };
            switch (action) {
                .respond => {
                    messageBegun(d, conn, ex);
                    if (!ex.body_complete) bodies.begin(d, conn, ex, framing, .discard);
                    responses.respond(d, ex, res);
                },
                .buffer => {
                    assert(!ex.body_complete);
                    ex.format = problem.formatOf(&d.request.fields);
                    messageBegun(d, conn, ex);
                    bodies.gather(d, conn, ex, bytes[0..head_len], framing);
                    if (framing.expect_continue and rest.len == 0 and own.phase == .body) {
                        d.carrierOf(ex).writeContinue(ex);
                    }
                    return head_len;
                },
                .upgrade => {
                    messageBegun(d, conn, ex);
                    if (!ex.body_complete) bodies.begin(d, conn, ex, framing, .discard);
                    D.websockets.upgrade(d, conn, ex, res);
                },
                .pending => {
                    ex.dispatched = true;
                    ex.format = problem.formatOf(&d.request.fields);
                    messageBegun(d, conn, ex);
                    if (!ex.body_complete or (d.request.body.len > 0 and !ex.body_taken)) {
                        bodies.begin(d, conn, ex, framing, .stream);
                        // Not to a client that has not waited (RFC 9110 §10.1.1).
                        if (framing.expect_continue and rest.len == 0) {
                            d.carrierOf(ex).writeContinue(ex);
                        }
                        return head_len;
                    }
                    if (ex.holds_input) pause(d, conn, .upgrade);
                },
                .busy => {
                    dropLast(d, conn, ex);
                    waitForRoom(d, conn);
                    return 0;
                },
            }
            return consumed;
        }

        fn messageBegun(d: *D, conn: *Conn, ex: *Exchange) void {
            const own = of(conn);
            own.served = true;
            own.busy_since_ms = 0;
            own.message_since_ms = 0;
            if (!ex.keep_alive) own.phase = .stop;
            d.countRequest();
        }

        /// Nothing can be made of the bytes that follow.
        pub fn endInput(conn: *Conn) void {
            const own = of(conn);
            own.phase = .stop;
            own.message_since_ms = 0;
            own.served = true;
            own.more_input = true; // what is left of the message may be on its way
        }

        /// The message whose content is being read is read no further. Returns its exchange; null
        /// when that was answered before, and has ended with this.
        pub fn stopReading(d: *D, conn: *Conn) ?*Exchange {
            const own = of(conn);
            const ex = own.reading.?;
            own.reading = null;
            endInput(conn);
            if (!ex.is_retired) return ex;
            endRetired(d, conn, ex);
            return null;
        }

        /// Whether the content of `ex` is being read.
        pub inline fn isReading(conn: *const Conn, ex: *const Exchange) bool {
            return of(conn).phase == .body and of(conn).reading == ex;
        }

        /// Somebody wants the content that is being read.
        pub fn wantsContent(conn: *Conn) bool {
            const ex = of(conn).reading orelse return false;
            return ex.body.sink != .discard;
        }

        // Waiting for the dispatcher.

        /// The request stays unread until `retryBusy`, or until its time is up.
        fn waitForRoom(d: *D, conn: *Conn) void {
            const own = of(conn);
            if (own.busy_since_ms == 0) own.busy_since_ms = d.net.now_ms;
            pause(d, conn, .busy);
            d.http1_worker.busy.append(conn);
        }

        /// Offers the requests again that were refused as `busy`.
        pub fn retryBusy(d: *D) void {
            const busy = &d.http1_worker.busy;
            var left = busy.len;
            // What one of them sends may end another.
            while (left > 0) : (left -= 1) {
                const conn = busy.pop() orelse return;
                unpause(d, conn, .busy);
                if (conn.isOpen()) d.afterEvent(conn);
                if (of(conn).pause.busy) return; // refused again: the others would be too
            }
        }

        /// No thread of the handler's has taken the request in time.
        pub fn giveUpWaiting(d: *D, conn: *Conn) void {
            d.http1_worker.busy.remove(conn);
            of(conn).busy_since_ms = 0;
            refusals.refuse(d, conn, .dispatch_timeout);
            // What follows is read, and dropped: a client that leaves is noticed.
            unpause(d, conn, .busy);
        }

        /// The dispatcher takes the content of `ex` again.
        pub fn resumeBody(d: *D, conn: *Conn, ex: *Exchange) void {
            if (of(conn).reading != ex) return;
            unpause(d, conn, .body);
            if (conn.isOpen()) d.afterEvent(conn);
        }

        pub fn pause(d: *D, conn: *Conn, reason: pause_file.Reason) void {
            const own = of(conn);
            if (!own.pause.any()) timing.onPause(d, conn);
            own.pause.set(reason, true);
            d.net.pauseInput(conn);
        }

        pub fn unpause(d: *D, conn: *Conn, reason: pause_file.Reason) void {
            const own = of(conn);
            if (!own.pause.has(reason)) return;
            own.pause.set(reason, false);
            if (own.pause.any()) return;
            timing.onUnpause(d, conn);
            d.net.resumeInput(conn);
        }

        /// The connection ends: what still comes is read, and dropped, so that a client that sends
        /// all it has first reads its answer then.
        pub fn dropInput(d: *D, conn: *Conn) void {
            unpause(d, conn, .end);
            unpause(d, conn, .body);
        }

        // Exchanges.

        /// The next exchange of `conn`, for the request in `d.request`; null when it can have no
        /// more.
        pub fn takeExchange(d: *D, conn: *Conn, length: ?u64, keep_alive: bool) ?*Exchange {
            const own = of(conn);
            const id = d.exchanges.take(own.depth) orelse return null;
            const ex = d.exchanges.get(id).?;
            ex.* = .{
                .id = id,
                .conn = conn.id,
                .version = d.request.version,
                .is_head = d.request.method == .HEAD,
                .is_connect = d.request.method == .CONNECT,
                .keep_alive = keep_alive,
                .body_length = length,
                .prev = own.last,
            };
            if (own.last) |last| last.next = ex else own.first = ex;
            own.last = ex;
            own.depth += 1;
            return ex;
        }

        /// Undoes `takeExchange`.
        fn dropLast(d: *D, conn: *Conn, ex: *Exchange) void {
            const own = of(conn);
            assert(own.last == ex);
            own.last = ex.prev;
            if (ex.prev) |before| before.next = null else own.first = null;
            own.depth -= 1;
            endExchange(d, conn, ex);
        }

        /// Takes the first exchange, which is done, off its connection. Its content may still be
        /// under way: it is kept until that has been read.
        pub fn retireFirst(d: *D, conn: *Conn) void {
            const own = of(conn);
            const ex = own.first.?;
            own.first = ex.next;
            if (ex.next) |next| next.prev = null else own.last = null;
            own.depth -= 1;
            if (!isReading(conn, ex)) return endExchange(d, conn, ex);
            retire(d, conn, ex);
        }

        /// The connection leaves HTTP behind the request of `ex`, which has been answered: nothing
        /// that follows was looked at.
        pub fn leave(d: *D, conn: *Conn, ex: *Exchange) void {
            const own = of(conn);
            assert(own.first == ex and own.last == ex and own.reading == null);
            own.pause.set(.upgrade, false); // who takes the connection over reads it again
            assert(own.message_since_ms == 0 and !own.pause.any());
            retireFirst(d, conn);
            own.phase = .stop;
        }

        fn retire(d: *D, conn: *Conn, ex: *Exchange) void {
            @branchHint(.unlikely);
            releaseMemory(d, conn, ex);
            ex.is_retired = true;
            ex.body.sink = .discard;
        }

        /// `conn` has let go of it.
        fn endExchange(d: *D, conn: *Conn, ex: *Exchange) void {
            releaseMemory(d, conn, ex);
            d.exchanges.release(ex.id, of(conn).depth);
        }

        /// The content of an exchange that was answered before has been read.
        pub fn endRetired(d: *D, conn: *Conn, ex: *Exchange) void {
            assert(ex.is_retired);
            d.exchanges.release(ex.id, of(conn).depth);
        }

        inline fn releaseMemory(d: *D, conn: *Conn, ex: *Exchange) void {
            const own = of(conn);
            own.held_bytes -= ex.held_bytes;
            own.held_files -= ex.held_files;
            ex.gathered.deinit(&d.net.pools.buffers);
            ex.trailers.deinit(&d.net.pools.buffers);
            ex.held.deinit(&d.net.pools);
        }

        /// Ends all exchanges that have no response yet; nothing more is read as a request.
        pub fn dropExchanges(d: *D, conn: *Conn) void {
            const own = of(conn);
            var at = own.first;
            const reading = own.reading;
            own.phase = .stop;
            own.message_since_ms = 0;
            own.first = null;
            own.last = null;
            own.reading = null;
            if (reading) |ex| if (ex.is_retired) endRetired(d, conn, ex);
            while (at) |ex| {
                at = ex.next;
                if (ex.dispatched and ex.response != .done) d.dispatcher.onAbort(d, ex);
                own.depth -= 1;
                endExchange(d, conn, ex);
            }
        }

        /// The blocks of memory that its exchanges hold, bytes.
        pub fn heldBytes(conn: *const Conn) u64 {
            var bytes: u64 = 0;
            var at = of(conn).first;
            while (at) |ex| : (at = ex.next) {
                bytes += ex.gathered.block_bytes + ex.trailers.block_bytes + ex.held.block_bytes;
            }
            return bytes;
        }

        // Output.

        /// Some of what waited has left.
        pub fn onProgress(d: *D, conn: *Conn) void {
            if (of(conn).first) |ex| responses.credit(d, d.carrierOf(ex), ex);
            if (conn.queue.bytes < d.config.output_high_water_bytes / 2) unpauseOutput(d, conn);
        }

        pub fn unpauseOutput(d: *D, conn: *Conn) void {
            if (!outputFull(d, conn)) unpause(d, conn, .output);
        }

        /// Whether so much is under way to this client that its next request has to wait. What a
        /// client that has nothing under way needs is always there.
        fn outputFull(d: *const D, conn: *const Conn) bool {
            const own = of(conn);
            if (own.depth == 0 and conn.queue.isEmpty()) return false;
            if (own.depth >= d.config.pipeline_depth_max) return true;
            // Responses that wait for an earlier one occupy memory as well.
            const bytes = conn.queue.bytes + own.held_bytes;
            if (bytes >= d.config.output_high_water_bytes) return true;
            if (conn.queue.files + own.held_files >= limits.connection_files_max) return true;
            return !d.exchanges.hasRoom(own.depth) or !d.net.pools.nodes.hasSpare();
        }

        // The end.

        pub fn onEof(d: *D, conn: *Conn) void {
            const own = of(conn);
            if (own.phase == .body) cutBody(d, conn);
            if (!conn.isOpen()) return;
            if (own.first == null) return d.endConn(conn, false);
            own.phase = .stop;
            own.message_since_ms = 0;
            // The requests were complete: their responses may still be read (RFC 9112 §9.6).
            tellEof(d, conn);
        }

        /// Nobody may be there any more: whoever works for this client is told, once.
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

        /// The rest of the content will not come: its exchange ends without an answer,
        /// those before it do not.
        fn cutBody(d: *D, conn: *Conn) void {
            const own = of(conn);
            const ex = own.reading.?;
            own.reading = null;
            own.phase = .stop;
            if (ex.is_retired) return endRetired(d, conn, ex);
            switch (ex.response) {
                .none => {
                    if (ex.dispatched) d.dispatcher.onAbort(d, ex);
                    dropLast(d, conn, ex);
                },
                .streaming => d.net.close(conn),
                .done => ex.keep_alive = false,
            }
        }

        pub fn finishIfIdle(d: *D, conn: *Conn) void {
            const own = of(conn);
            // Paused without an exchange: a complete request is waiting for room.
            if (own.first != null or own.message_since_ms != 0 or conn.paused) return;
            // A request was in time: it comes next.
            if (own.phase == .head and d.net.hasInput(conn)) return;
            d.endConn(conn, own.phase == .body);
        }

        pub fn onClose(d: *D, conn: *Conn) void {
            if (of(conn).first) |ex| if (ex.endsByClose()) {
                conn.is_cut = true;
            };
            dropExchanges(d, conn);
            d.http1_worker.busy.drop(conn);
        }

        /// Asserts what holds of an open connection between two events.
        pub fn checkInvariants(d: *D, conn: *Conn) void {
            const own = of(conn);
            assert((own.first == null) == (own.last == null));
            assert(own.depth <= d.config.pipeline_depth_max + 1); // one that was refused
            var depth: u16 = 0;
            var held: u64 = 0;
            var held_files: u32 = 0;
            var before: ?*Exchange = null;
            var at = own.first;
            while (at) |ex| : (at = ex.next) {
                assert(d.exchanges.get(ex.id) == ex);
                assert(ex.conn == conn.id);
                assert(ex.prev == before);
                assert(!ex.is_retired);
                assert(ex.held_bytes == ex.held.memory_bytes);
                assert(ex.held_files == ex.held.files);
                // The first writes to its connection; one that is done has left it.
                if (before == null) assert(ex.held.isEmpty() and ex.response != .done);
                held += ex.held_bytes;
                held_files += ex.held_files;
                depth += 1;
                before = ex;
            }
            assert(own.last == before);
            assert(own.depth == depth);
            assert(own.held_bytes == held);
            assert(own.held_files == held_files);
            assert(conn.queue.files + held_files <= limits.connection_files_max);
            // Of the messages that were read in part there is one, the last.
            assert((own.reading != null) == (own.phase == .body));
            if (own.reading) |ex| {
                assert(d.exchanges.get(ex.id) == ex and ex.conn == conn.id);
                assert(if (ex.is_retired) own.first == null else own.last == ex);
                if (ex.response == .done) assert(ex.body.sink == .discard);
            }
            // What is paused has a reason, and who waits for room is in the list of those.
            assert(own.pause.any() == conn.paused);
            assert(own.pause.busy == own.busy.is_linked);
            assert(!own.pause.busy or own.busy_since_ms != 0);
            assert(!own.pause.body or own.phase != .head);
            assert(!own.pause.end or (own.phase == .stop and !conn.finish_when_sent));
            assert(!own.pause.upgrade or own.last == null or own.last.?.holds_input);
        }
    };
}
