//! The states of a client's streams as a server sees them (RFC 9113 §5.1), as plain data: what a
//! frame may do on its stream, and what is to be done where it may not.
//!
//! A stream that we have reset may still be sent to by who does not know yet: such frames are
//! ignored, but for what they do to the connection (HPACK's table, its window).

const std = @import("std");
const assert = std.debug.assert;
const errors = @import("errors.zig");
const frames = @import("frames.zig");
const StreamId = frames.StreamId;

pub const State = enum {
    /// The response was promised, and has not begun; there is nothing to receive (`reserved
    /// (local)`).
    reserved,
    /// The request is being received; the response may be under way.
    open,
    /// The request has come whole.
    half_closed_remote,
    /// The response has been sent whole, and the request has not come.
    half_closed_local,
    closed,

    /// END_STREAM has come.
    pub fn afterRemoteEnd(self: State) State {
        return switch (self) {
            .open => .half_closed_remote,
            .half_closed_local => .closed,
            .reserved, .half_closed_remote, .closed => unreachable, // a verdict has refused it
        };
    }

    /// A field block has been sent.
    pub fn afterLocalHead(self: State) State {
        return if (self == .reserved) .half_closed_remote else self;
    }

    /// Whether nothing of the request is to come any more.
    pub fn isRequestWhole(self: State) bool {
        return switch (self) {
            .reserved, .half_closed_remote, .closed => true,
            .open, .half_closed_local => false,
        };
    }

    /// END_STREAM has been sent.
    pub fn afterLocalEnd(self: State) State {
        return switch (self) {
            .open => .half_closed_local,
            .half_closed_remote => .closed,
            // A head goes ahead of the end, and nothing is sent behind it.
            .reserved, .half_closed_local, .closed => unreachable,
        };
    }
};

/// How a stream came to its end.
pub const End = enum(u2) { ended, reset_here, reset_by_peer };

/// What to do with a frame.
pub const Verdict = union(enum) {
    /// It is one of the stream's.
    accept,
    /// It came too late. Only what it does to the connection counts.
    ignore,
    stream_error: errors.StreamError,
    connection_error: errors.ConnectionError,
};

/// What to do with a field block.
pub const HeadersVerdict = union(enum) {
    /// A request begins.
    begin,
    /// They end the stream's request.
    trailers,
    ignore,
    /// The stream is reset. The block is decoded nevertheless.
    stream_error: errors.StreamError,
    connection_error: errors.ConnectionError,
};

/// A connection's streams, but for those that are under way: who owns them looks them up, and
/// passes their state.
pub const Streams = struct {
    /// The highest that the client has begun.
    last: StreamId = 0,
    /// How many are under way. A stream counts until its owner lets go of it, which is when nobody
    /// works for it any more, and not when it is reset: resets do not make room for more work.
    count: u32 = 0,
    /// Our SETTINGS_MAX_CONCURRENT_STREAMS.
    count_max: u32,
    /// The highest that was promised; 0: none.
    promised_last: StreamId = 0,
    /// How many of those are under way.
    promised_count: u32 = 0,
    /// After GOAWAY: the last stream that is served (§6.8).
    served_last: StreamId = std.math.maxInt(StreamId),
    /// The last ones that have ended.
    recent: [recent_count]Recent = @splat(.{ .number = 0, .end = .ended }),
    recent_next: u8 = 0,
    /// The highest of those that were reset here and are not among these any more: what comes of it
    /// and those before may well have been on its way.
    forgotten_last: StreamId = 0,

    const recent_count = 64;
    /// Clients' identifiers are odd, and begin at 1: `number` is half of one, rounded up.
    const Recent = packed struct(u32) { number: u30, end: End };

    /// A field block on `id`, whose state is `state`; null: it is not under way. Where it begins or
    /// is refused, the identifier is used up.
    pub fn onHeaders(
        self: *Streams,
        id: StreamId,
        state: ?State,
        end_stream: bool,
    ) HeadersVerdict {
        assert(id % 2 == 1); // the decoder of frames refuses others
        if (state) |known| return switch (known) {
            // A second field block ends the message (§8.1).
            .open, .half_closed_local => if (end_stream)
                .trailers
            else
                .{ .stream_error = .malformed },
            .half_closed_remote => .{ .stream_error = .stream_closed },
            .reserved, .closed => unreachable, // of even numbers, or not under way
        };
        if (id <= self.last) return switch (self.endOf(id) orelse {
            if (id <= self.forgotten_last) return .ignore;
            return .{ .connection_error = .stream_id_not_new };
        }) {
            .reset_here => .ignore,
            .ended, .reset_by_peer => .{ .connection_error = .stream_ended },
        };
        if (id > self.served_last) return .ignore;
        self.last = id;
        if (self.count < self.count_max) return .begin;
        self.ended(id, .reset_here);
        return .{ .stream_error = .too_many_streams };
    }

    pub fn onData(self: *const Streams, id: StreamId, state: ?State) Verdict {
        if (state) |known| return switch (known) {
            .open, .half_closed_local => .accept,
            .half_closed_remote => .{ .stream_error = .stream_closed },
            .reserved => .{ .connection_error = .content_for_push },
            .closed => unreachable, // it is not under way
        };
        if (id > self.served_last and id % 2 == 1) return .ignore;
        if (self.isIdle(id)) return .{ .connection_error = .idle_stream };
        if (id % 2 == 0) return .{ .stream_error = .stream_closed };
        const end = self.endOf(id) orelse {
            if (id <= self.forgotten_last) return .ignore;
            return .{ .stream_error = .stream_closed };
        };
        return if (end == .reset_here) .ignore else .{ .stream_error = .stream_closed };
    }

    /// RST_STREAM and WINDOW_UPDATE on a stream: they may come a while after its end (§5.1).
    pub fn onControl(self: *const Streams, id: StreamId, state: ?State) Verdict {
        if (state != null) return .accept;
        if (id > self.served_last and id % 2 == 1) return .ignore;
        return if (self.isIdle(id)) .{ .connection_error = .idle_stream } else .ignore;
    }

    /// A stream has begun: `onHeaders` has told so, and there was room for it.
    pub fn opened(self: *Streams) void {
        assert(self.count < self.count_max);
        self.count += 1;
    }

    /// A stream has ended, or one that `onHeaders` let begin is not to: from now on it is not under
    /// way, and its state is not to be passed any more.
    pub fn ended(self: *Streams, id: StreamId, end: End) void {
        // Nothing but controls may come on a push, and those are judged by its number alone.
        if (id % 2 == 0) return;
        const number = numberOf(id);
        if (self.placeOf(number)) |at| {
            self.recent[at].end = end; // it is reset once more, for a frame behind its end
            return;
        }
        const oldest = self.recent[self.recent_next];
        if (oldest.number != 0 and oldest.end == .reset_here)
            self.forgotten_last = @max(self.forgotten_last, oldest.number * 2 - 1);
        self.recent[self.recent_next] = .{ .number = number, .end = end };
        self.recent_next = (self.recent_next + 1) % recent_count;
    }

    /// A response is promised: the number of its stream (§5.1.1). Null: there are no more.
    pub fn promise(self: *Streams) ?StreamId {
        self.promised_last = std.math.add(StreamId, self.promised_last, 2) catch return null;
        self.promised_count += 1;
        return self.promised_last;
    }

    /// The owner of a stream that was opened, or promised, lets go of it.
    pub fn released(self: *Streams, id: StreamId) void {
        const count = if (id % 2 == 0) &self.promised_count else &self.count;
        assert(count.* > 0);
        count.* -= 1;
    }

    /// The last stream to name in a GOAWAY that is to be final. What comes on later ones is
    /// ignored.
    pub fn goAway(self: *Streams) StreamId {
        self.served_last = self.last;
        return self.last;
    }

    /// Whether it may yet begin, and be served.
    pub fn isAhead(self: *const Streams, id: StreamId) bool {
        return id > self.last and id <= self.served_last;
    }

    /// Whether it has not begun.
    pub fn isIdle(self: *const Streams, id: StreamId) bool {
        return id > if (id % 2 == 0) self.promised_last else self.last;
    }

    fn endOf(self: *const Streams, id: StreamId) ?End {
        return self.recent[self.placeOf(numberOf(id)) orelse return null].end;
    }

    /// Where a stream is among those that have ended last. It is asked for at each end: all are
    /// compared at once.
    fn placeOf(self: *const Streams, number: u30) ?usize {
        const All = @Vector(recent_count, u32);
        const all: All = @bitCast(self.recent);
        const numbers = all & @as(All, @splat(std.math.maxInt(u30)));
        const equal: std.meta.Int(.unsigned, recent_count) = @bitCast(
            numbers == @as(All, @splat(number)),
        );
        return if (equal == 0) null else @ctz(equal);
    }

    fn numberOf(id: StreamId) u30 {
        assert(id % 2 == 1);
        // The highest identifier would have 2^30, which is taken for none.
        return @truncate(id / 2 + 1);
    }
};

const testing = std.testing;

/// One stream that has begun.
fn begun(id: StreamId) Streams {
    var streams: Streams = .{ .count_max = 10 };
    assert(streams.onHeaders(id, null, false) == .begin);
    streams.opened();
    return streams;
}

test "streams begin in ascending order, as many as may be" {
    var streams: Streams = .{ .count_max = 2 };
    for ([_]StreamId{ 1, 5 }) |id| {
        try testing.expectEqual(.begin, streams.onHeaders(id, null, false));
        streams.opened();
    }
    const skipped = streams.onHeaders(3, null, false);
    try testing.expectEqual(.stream_id_not_new, skipped.connection_error);
    try testing.expectEqual(.too_many_streams, streams.onHeaders(7, null, true).stream_error);
    // What still comes on it is ignored, since the client does not know yet.
    try testing.expectEqual(.ignore, streams.onData(7, null));
    try testing.expectEqual(.ignore, streams.onHeaders(7, null, true));
    // A reset makes room when its work has ended, not before.
    streams.ended(5, .reset_by_peer);
    try testing.expectEqual(.too_many_streams, streams.onHeaders(9, null, true).stream_error);
    streams.released(1);
    try testing.expectEqual(.begin, streams.onHeaders(11, null, true));
    streams.ended(11, .reset_here);
    try testing.expectEqual(.ignore, streams.onData(11, null));
    try testing.expectEqual(11, streams.last);
    try testing.expectEqual(1, streams.count);
}

test "a second field block ends the request, or is malformed" {
    var streams = begun(1);
    try testing.expectEqual(.trailers, streams.onHeaders(1, .open, true));
    try testing.expectEqual(.trailers, streams.onHeaders(1, .half_closed_local, true));
    try testing.expectEqual(.malformed, streams.onHeaders(1, .open, false).stream_error);
    const behind = streams.onHeaders(1, .half_closed_remote, true);
    try testing.expectEqual(.stream_closed, behind.stream_error);
}

test "frames on streams that have not begun end the connection" {
    const streams = begun(5);
    for ([_]StreamId{ 2, 6, 7 }) |id| {
        try testing.expectEqual(.idle_stream, streams.onData(id, null).connection_error);
        try testing.expectEqual(.idle_stream, streams.onControl(id, null).connection_error);
    }
    try testing.expectEqual(.stream_closed, streams.onData(3, null).stream_error);
}

test "frames behind a stream's end are judged by who ended it" {
    inline for (.{ .ended, .reset_here, .reset_by_peer }) |end| {
        var streams = begun(1);
        streams.ended(1, end);
        try testing.expectEqual(.ignore, streams.onControl(1, null));
        const data = streams.onData(1, null);
        const headers = streams.onHeaders(1, null, true);
        if (end == .reset_here) {
            try testing.expectEqual(.ignore, data);
            try testing.expectEqual(.ignore, headers);
        } else {
            try testing.expectEqual(.stream_closed, data.stream_error);
            try testing.expectEqual(.stream_ended, headers.connection_error);
        }
    }
}

test "what comes late of streams that were reset here is ignored, however many there were" {
    var streams: Streams = .{ .count_max = 1000 };
    var id: StreamId = 1;
    while (id < 400) : (id += 2) {
        try testing.expectEqual(.begin, streams.onHeaders(id, null, false));
        streams.opened();
        streams.ended(id, .reset_here);
        streams.released(1);
    }
    for ([_]StreamId{ 1, 101, 271, 399 }) |late| {
        try testing.expectEqual(.ignore, streams.onData(late, null));
        try testing.expectEqual(.ignore, streams.onHeaders(late, null, true));
    }
}

test "data behind the end of the request, while the response is under way, is a stream's error" {
    const streams = begun(1);
    try testing.expectEqual(.accept, streams.onData(1, .open));
    try testing.expectEqual(.accept, streams.onData(1, .half_closed_local));
    try testing.expectEqual(.stream_closed, streams.onData(1, .half_closed_remote).stream_error);
    try testing.expectEqual(.accept, streams.onControl(1, .half_closed_remote));
}

test "behind a final GOAWAY later streams are ignored, earlier ones go on" {
    var streams = begun(1);
    try testing.expectEqual(1, streams.goAway());
    try testing.expectEqual(.ignore, streams.onHeaders(3, null, true));
    try testing.expectEqual(.ignore, streams.onData(3, null));
    try testing.expectEqual(.ignore, streams.onControl(3, null));
    try testing.expectEqual(.trailers, streams.onHeaders(1, .open, true));
}

test "pushes have even numbers and a count of their own, and take nothing but controls" {
    var streams = begun(1);
    try testing.expectEqual(2, streams.promise().?);
    try testing.expectEqual(4, streams.promise().?);
    try testing.expect(streams.isIdle(6) and !streams.isIdle(4));
    try testing.expectEqual(.accept, streams.onControl(2, .reserved));
    try testing.expectEqual(.content_for_push, streams.onData(2, .reserved).connection_error);
    try testing.expectEqual(.stream_closed, streams.onData(2, .half_closed_remote).stream_error);
    streams.ended(2, .reset_by_peer);
    streams.released(2);
    try testing.expectEqual(1, streams.promised_count);
    try testing.expectEqual(1, streams.count);
    try testing.expectEqual(.ignore, streams.onControl(2, null));
    try testing.expectEqual(.stream_closed, streams.onData(2, null).stream_error);
    try testing.expectEqual(.idle_stream, streams.onControl(6, null).connection_error);
    try testing.expectEqual(.half_closed_remote, State.reserved.afterLocalHead());
    streams.promised_last = std.math.maxInt(StreamId) - 1;
    try testing.expectEqual(null, streams.promise());
}

test "the highest identifier is a stream like others" {
    var streams = begun(std.math.maxInt(StreamId));
    streams.ended(std.math.maxInt(StreamId), .reset_here);
    try testing.expectEqual(.ignore, streams.onControl(std.math.maxInt(StreamId), null));
}

test "a stream's state ends on both sides, in either order" {
    try testing.expectEqual(.closed, State.open.afterRemoteEnd().afterLocalEnd());
    try testing.expectEqual(.closed, State.open.afterLocalEnd().afterRemoteEnd());
}
