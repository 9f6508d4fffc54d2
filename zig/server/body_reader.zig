//! Request bodies: where the bytes behind a head go, whatever their framing.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../core/limits.zig");
const problem = @import("../http/problem.zig");
const trailers = @import("../http/trailers.zig");
const chunked = @import("../http1/chunked.zig");
const decoder = @import("../http1/decoder.zig");
const rate = @import("../core/rate.zig");
const budget_of = @import("budget.zig").Budget;
const refusals_of = @import("refusals.zig").Refusals;
const timing_of = @import("timing.zig").Timing;

pub fn BodyReader(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const timing = timing_of(D);
        const refusals = refusals_of(D);
        const budget = budget_of(D);

        pub const Sink = enum(u8) {
            /// To the dispatcher, as it takes them.
            stream,
            /// Kept until the body is whole.
            gather,
            /// Nobody wants them; they are read so that the connection can be kept.
            discard,
        };

        pub const State = struct {
            /// The exchange whose body is arriving; null when it has ended before its body.
            exchange: ?*Exchange = null,
            sink: Sink = .stream,
            is_chunked: bool = false,
            /// Bytes to come, for a body with a length.
            left: u64 = 0,
            /// Bytes of content so far.
            seen: u64 = 0,
            discarded: u64 = 0,
            /// Something of it came, or reading went on, monotonic ms.
            since_ms: u64 = 0,
            meter: rate.Meter = .{},
            /// Nothing came yet, and 100 (Continue) waits behind earlier responses.
            awaits_continue: bool = false,
            decoder: chunked.ChunkedDecoder = .{},
        };

        /// When `rest` begins with the whole body, sets that of `request`, trailers included, and
        /// returns the bytes that it takes with its framing. A body that is seen to be broken is
        /// refused before anybody acts on its request.
        pub fn whole(
            d: *D,
            conn: *Conn,
            ex: *Exchange,
            rest: []const u8,
            framing: decoder.Framing,
        ) error{Refused}!?usize {
            d.request.body = .{};
            d.request.trailers.len = 0;
            switch (framing.body) {
                .none => return 0,
                .length => |n| {
                    if (n == 0) return 0;
                    if (n > rest.len or n > d.config.body_buffered_bytes_max) return null;
                    d.segments[0] = rest[0..@intCast(n)];
                    d.request.body = .{ .segments = d.segments[0..1], .len = n };
                    return @intCast(n);
                },
                .chunked => return wholeChunked(d, conn, ex, rest),
            }
        }

        fn wholeChunked(
            d: *D,
            conn: *Conn,
            ex: *Exchange,
            rest: []const u8,
        ) error{Refused}!?usize {
            var dec: chunked.ChunkedDecoder = .{};
            var count: usize = 0;
            var len: u64 = 0;
            var used: usize = 0;
            var lines: []const u8 = "";
            while (true) switch (dec.next(rest[used..])) {
                .data => |data| {
                    // In too many pieces: it goes the longer way.
                    if (count == d.segments.len) return null;
                    d.segments[count] = data.bytes;
                    count += 1;
                    len += data.bytes.len;
                    used += data.consumed;
                    if (len + dec.dataLeft() > d.config.body_bytes_max) {
                        beginRefused(d, conn, ex);
                        refusals.refuse(d, conn, .body_too_large);
                        return error.Refused;
                    }
                },
                .trailer => |piece| {
                    lines = piece.bytes; // all of them: `rest` was not cut
                    used += piece.consumed;
                },
                .end => |n| {
                    const len_max = @min(d.config.body_bytes_max, d.config.body_buffered_bytes_max);
                    if (len > len_max) return null;
                    if (lines.len > 0 and !takeTrailers(d, ex, lines)) return null;
                    d.request.body = .{ .segments = d.segments[0..count], .len = len };
                    return used + n;
                },
                .need_more => return null,
                .err => |err| {
                    beginRefused(d, conn, ex);
                    refusals.refuse(d, conn, problem.codeOf(err));
                    return error.Refused;
                },
            };
        }

        /// False when there is no memory for them: `read` meets that again, and answers it.
        fn takeTrailers(d: *D, ex: *Exchange, lines: []const u8) bool {
            @branchHint(.cold);
            ex.trailers.append(&d.net.pools.buffers, lines) catch return false;
            trailers.parse(lines, &d.request.trailers);
            return true;
        }

        /// The bytes that follow on `conn` are the body of `ex`.
        pub fn begin(d: *D, conn: *Conn, ex: *Exchange, framing: decoder.Framing, sink: Sink) void {
            const app = &conn.app;
            app.body = .{ .exchange = ex, .sink = sink, .since_ms = d.net.now_ms };
            app.body.meter.begin(d.rates.body, d.net.now_ms);
            ex.trailers.deinit(&d.net.pools.buffers); // they come again, behind the body
            switch (framing.body) {
                .none => unreachable, // complete as it is
                .length => |n| app.body.left = n,
                .chunked => app.body.is_chunked = true,
            }
            app.phase = .body;
            // A client that waits for 100 (Continue) and is refused may send the body or not:
            // no telling what comes next.
            if (sink == .discard and
                (framing.expect_continue or app.body.left > limits.discard_bytes_max))
            {
                ex.keep_alive = false;
            }
        }

        /// The body of `ex` is to be kept, behind its head, until it is whole.
        pub fn gather(
            d: *D,
            conn: *Conn,
            ex: *Exchange,
            head: []const u8,
            framing: decoder.Framing,
        ) void {
            begin(d, conn, ex, framing, .gather);
            if (conn.app.body.left > d.config.body_buffered_bytes_max) {
                return refusals.refuse(d, conn, .body_too_large);
            }
            ex.gathered.append(&d.net.pools.buffers, head) catch
                return budget.refuse(d, conn, .input, .pool);
            ex.head_len = @intCast(head.len);
        }

        /// The exchange has ended before its body: what is still to come is dropped.
        pub fn abandon(conn: *Conn) void {
            conn.app.body.exchange = null;
            conn.app.body.sink = .discard;
        }

        /// Takes bytes of the body; returns how many it is done with. Framing counts for the rate
        /// as content does: how much of it there may be is the decoder's to bound.
        pub fn read(d: *D, conn: *Conn, bytes: []const u8) usize {
            const body = &conn.app.body;
            const now = d.net.now_ms;
            if (body.awaits_continue) timing.onInvited(d, conn); // unasked
            body.since_ms = now;
            const taken = readSome(d, conn, bytes);
            body.meter.add(d.rates.body, taken, now);
            return taken;
        }

        fn readSome(d: *D, conn: *Conn, bytes: []const u8) usize {
            const body = &conn.app.body;
            if (!body.is_chunked) {
                const n: usize = @intCast(@min(body.left, bytes.len));
                const taken = deliver(d, conn, bytes[0..n], n == body.left);
                if (conn.app.phase != .body) return bytes.len;
                body.left -= taken;
                if (taken < n) d.pause(conn, .body);
                if (body.left == 0) end(d, conn, bytes.len > taken);
                return taken;
            }
            switch (body.decoder.next(bytes)) {
                .need_more => |n| {
                    if (isTooLarge(d, body, 0)) {
                        refusals.refuse(d, conn, .body_too_large);
                        return bytes.len;
                    }
                    return n;
                },
                .data => |data| {
                    const taken = deliver(d, conn, data.bytes, false);
                    if (conn.app.phase != .body) return bytes.len;
                    const kept = data.bytes.len - taken;
                    body.decoder.unread(kept);
                    if (kept > 0) d.pause(conn, .body);
                    return data.consumed - kept;
                },
                .trailer => |piece| {
                    if (body.sink != .discard) keepTrailers(d, conn, body.exchange.?, piece.bytes);
                    return if (conn.app.phase == .body) piece.consumed else bytes.len;
                },
                .end => |n| {
                    _ = deliver(d, conn, "", true);
                    if (conn.app.phase == .body) end(d, conn, bytes.len > n);
                    return n;
                },
                .err => |err| {
                    refusals.refuse(d, conn, problem.codeOf(err));
                    return bytes.len;
                },
            }
        }

        /// The connection reads the body of `ex`, which is about to be refused.
        fn beginRefused(d: *const D, conn: *Conn, ex: *Exchange) void {
            ex.format = problem.formatOf(&d.request.fields);
            conn.app.body = .{ .exchange = ex, .sink = .discard };
            conn.app.phase = .body;
        }

        /// Returns how many of `bytes` were taken.
        /// The phase is no longer `body` when the message was refused.
        fn deliver(d: *D, conn: *Conn, bytes: []const u8, is_end: bool) usize {
            const body = &conn.app.body;
            if (isTooLarge(d, body, bytes.len)) {
                refusals.refuse(d, conn, .body_too_large);
                return bytes.len;
            }
            var taken = bytes.len;
            switch (body.sink) {
                .stream => taken = d.dispatcher.onBody(d, body.exchange.?, bytes, is_end),
                .gather => keep(d, conn, body.exchange.?, bytes),
                .discard => discard(d, conn, bytes),
            }
            if (body.sink == .discard) taken = bytes.len; // it was answered under the call
            assert(taken <= bytes.len);
            body.seen += taken;
            return taken;
        }

        /// Whether the body is too large with `more` bytes and what its chunk announces.
        fn isTooLarge(d: *const D, body: *const State, more: u64) bool {
            return body.seen + more + body.decoder.dataLeft() > d.config.body_bytes_max;
        }

        fn keep(d: *D, conn: *Conn, ex: *Exchange, bytes: []const u8) void {
            const held = ex.gathered.len - ex.head_len;
            if (held + bytes.len > d.config.body_buffered_bytes_max) {
                return refusals.refuse(d, conn, .body_too_large);
            }
            ex.gathered.append(&d.net.pools.buffers, bytes) catch
                return budget.refuse(d, conn, .input, .pool);
            if (budget.over(d, conn, .input)) |owner| budget.refuse(d, conn, .input, owner);
        }

        fn keepTrailers(d: *D, conn: *Conn, ex: *Exchange, bytes: []const u8) void {
            ex.trailers.append(&d.net.pools.buffers, bytes) catch
                budget.refuse(d, conn, .input, .pool);
        }

        fn discard(d: *D, conn: *Conn, bytes: []const u8) void {
            const body = &conn.app.body;
            body.discarded += bytes.len;
            if (body.discarded <= limits.discard_bytes_max) return;
            conn.app.phase = .stop;
            conn.app.more_input = true;
            // The response, if it is still under way, is sent to its end first.
            if (body.exchange) |ex| ex.keep_alive = false else d.endConn(conn, true);
        }

        fn end(d: *D, conn: *Conn, more: bool) void {
            const app = &conn.app;
            app.more_input = more or app.more_beyond;
            const ex = app.body.exchange;
            const sink = app.body.sink;
            app.body.exchange = null;
            // What follows a response that announces the end is not served (RFC 9112 §9.6), be it
            // to this request or, given while its body was read, to one before it.
            app.phase = .head;
            var at = app.first;
            while (at) |one| : (at = one.next) {
                if (!one.keep_alive) app.phase = .stop;
            }
            if (sink == .gather) d.dispatchGathered(conn, ex.?);
        }
    };
}
