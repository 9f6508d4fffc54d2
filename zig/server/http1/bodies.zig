//! How HTTP/1 frames content (RFC 9112 §6, §7): by a length, or in chunks.

const std = @import("std");
const limits = @import("../../core/limits.zig");
const problem = @import("../../http/problem.zig");
const trailers = @import("../../http/trailers.zig");
const chunked = @import("../../http1/chunked.zig");
const decoder = @import("../../http1/decoder.zig");
const request_bodies_of = @import("../request_bodies.zig").RequestBodies;
const Sink = @import("../request_body.zig").Sink;
const refusals_of = @import("refusals.zig").Refusals;
const timing_of = @import("timing.zig").Timing;

/// Of the message that is being read.
pub const Framing = struct {
    /// Bytes to come, of content with a length.
    left: u64 = 0,
    decoder: chunked.ChunkedDecoder = .{},
    is_chunked: bool = false,

    pub fn of(framing: decoder.Framing) Framing {
        return switch (framing.body) {
            .none => .{},
            .length => |n| .{ .left = n },
            .chunked => .{ .is_chunked = true },
        };
    }

    /// What is known to follow at least, bytes. `seen`: of content so far.
    pub fn leastLeft(self: *const Framing, seen: u64) u64 {
        if (!self.is_chunked) return self.left;
        // More than it has brought so far may be about to come.
        return if (self.decoder.lastChunkSeen()) 0 else @max(self.decoder.dataLeft(), seen);
    }
};

pub fn Bodies(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const http1 = D.http1;
        const timing = timing_of(D);
        const refusals = refusals_of(D);
        const request_bodies = request_bodies_of(D);

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

        /// The bytes that follow on `conn` are the content of `ex`.
        pub fn begin(d: *D, conn: *Conn, ex: *Exchange, framing: decoder.Framing, sink: Sink) void {
            const own = http1.of(conn);
            request_bodies.begin(d, ex, sink);
            own.reading = ex;
            own.framing = .of(framing);
            own.phase = .body;
            // A client that waits for 100 (Continue) and is refused may send the body or not:
            // no telling what comes next.
            if (sink == .discard and
                (framing.expect_continue or own.framing.left > limits.discard_bytes_max))
            {
                ex.keep_alive = false;
            }
        }

        /// The content of `ex` is to be kept, behind its head, until it is whole.
        pub fn gather(
            d: *D,
            conn: *Conn,
            ex: *Exchange,
            head: []const u8,
            framing: decoder.Framing,
        ) void {
            begin(d, conn, ex, framing, .gather);
            request_bodies.keepHead(d, d.carrierOf(ex), ex, head);
        }

        /// Takes bytes of the message; returns how many it is done with. Framing counts for the
        /// rate as content does: how much of it there may be is the decoder's to bound.
        pub noinline fn read(d: *D, conn: *Conn, bytes: []const u8) usize {
            const own = http1.of(conn);
            const ex = own.reading.?;
            const now = d.net.now_ms;
            if (ex.body.awaits_continue) timing.onInvited(d, conn); // unasked
            ex.body.since_ms = now;
            const taken = readSome(d, conn, ex, bytes);
            if (own.reading == ex) ex.body.meter.add(d.rates.body, taken, now);
            return taken;
        }

        fn readSome(d: *D, conn: *Conn, ex: *Exchange, bytes: []const u8) usize {
            const own = http1.of(conn);
            const framing = &own.framing;
            if (!framing.is_chunked) {
                const n: usize = @intCast(@min(framing.left, bytes.len));
                const is_end = n == framing.left;
                const taken = deliver(d, ex, bytes[0..n], 0, is_end) orelse return bytes.len;
                framing.left -= taken;
                if (taken < n) http1.pause(d, conn, .body);
                if (framing.left == 0) end(d, conn, bytes.len > taken);
                return taken;
            }
            switch (framing.decoder.next(bytes)) {
                .need_more => |n| {
                    const announced = framing.decoder.dataLeft();
                    if (ex.body.isTooLarge(announced, d.config.body_bytes_max)) {
                        refusals.refuse(d, conn, .body_too_large);
                        return bytes.len;
                    }
                    return n;
                },
                .data => |data| {
                    const announced = framing.decoder.dataLeft();
                    const taken = deliver(d, ex, data.bytes, announced, false) orelse
                        return bytes.len;
                    const kept = data.bytes.len - taken;
                    framing.decoder.unread(kept);
                    if (kept > 0) http1.pause(d, conn, .body);
                    return data.consumed - kept;
                },
                .trailer => |piece| {
                    request_bodies.keepTrailers(d, d.carrierOf(ex), ex, piece.bytes);
                    return if (own.reading == ex) piece.consumed else bytes.len;
                },
                .end => |n| {
                    const taken = deliver(d, ex, "", 0, true);
                    if (taken != null) end(d, conn, bytes.len > n);
                    return n;
                },
                .err => |err| {
                    refusals.refuse(d, conn, problem.codeOf(err));
                    return bytes.len;
                },
            }
        }

        fn deliver(
            d: *D,
            ex: *Exchange,
            bytes: []const u8,
            announced: u64,
            is_end: bool,
        ) ?usize {
            return request_bodies.deliver(d, d.carrierOf(ex), ex, bytes, announced, is_end);
        }

        /// The connection reads the content of `ex`, which is about to be refused.
        fn beginRefused(d: *D, conn: *Conn, ex: *Exchange) void {
            const own = http1.of(conn);
            ex.format = problem.formatOf(&d.request.fields);
            ex.body = .begin(.discard, d.rates.body, d.net.now_ms);
            own.reading = ex;
            own.framing = .{};
            own.phase = .body;
        }

        fn end(d: *D, conn: *Conn, more: bool) void {
            const own = http1.of(conn);
            const ex = own.reading.?;
            own.more_input = more or own.more_beyond;
            own.reading = null;
            // What follows a response that announces the end is not served (RFC 9112 §9.6), be it
            // to this request or, given while its body was read, to one before it.
            own.phase = .head;
            var at = own.first;
            while (at) |one| : (at = one.next) {
                if (!one.keep_alive) own.phase = .stop;
            }
            if (ex.is_retired) return http1.endRetired(d, conn, ex);
            if (ex.body.sink == .gather) d.dispatchGathered(conn, ex);
        }
    };
}

const testing = std.testing;

test "what is known to follow: the rest of a length, of a chunk, or as much again; then nothing" {
    var framing: decoder.Framing = .{
        .body = .{ .length = 10 },
        .keep_alive = true,
        .expect_continue = false,
        .upgrade = false,
    };
    const by_length: Framing = .of(framing);
    try testing.expectEqual(10, by_length.leastLeft(3));
    framing.body = .chunked;
    var in_chunks: Framing = .of(framing);
    try testing.expectEqual(3, in_chunks.leastLeft(3));
    _ = in_chunks.decoder.next("a\r\n");
    try testing.expectEqual(10, in_chunks.leastLeft(3));
    try testing.expectEqual(11, in_chunks.leastLeft(11));
    _ = in_chunks.decoder.next("0123456789");
    _ = in_chunks.decoder.next("\r\n0\r\n");
    try testing.expectEqual(0, in_chunks.leastLeft(10));
}
