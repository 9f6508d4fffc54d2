//! What the bridge keeps of WebSockets: of each, and of a lane's.

const abi = @import("abi.zig");
const Chain = @import("../core/chain.zig").Chain;
const Id = @import("../core/slots.zig").Id;
const list = @import("../core/list.zig");
const Request = @import("../http/request.zig").Request;
const handshake = @import("../websocket/handshake.zig");
const frames = @import("../websocket/frames.zig");
const permessage_deflate = @import("../websocket/permessage_deflate.zig");
const Manner = @import("../server/websocket/socket.zig").Manner;
const utf8 = @import("../websocket/utf8.zig");
const errors = @import("../websocket/errors.zig");

/// What a request is that asks for a WebSocket: found out when it comes, as its head is gone when
/// JS answers.
pub const Asked = struct {
    /// It asks for one at all.
    asks: bool = false,
    /// It came ahead of the TLS handshake's end.
    is_early: bool = false,
    /// Its page is that of another host: JS may allow that.
    is_foreign: bool = false,
    /// What is wrong with it.
    refusal: ?handshake.Refusal = null,
    /// What was made of its offers of compression.
    deflate: ?permessage_deflate.Agreement = null,

    /// Of a request that asks. `deflate`: what is agreed on with those that offer it.
    pub fn of(req: *const Request, deflate: ?permessage_deflate.Policy) Asked {
        var self: Asked = .{ .asks = true };
        if (req.tls) |security| self.is_early = security.is_early;
        const way = handshake.wayOf(req).?;
        const policy: handshake.Policy = .{ .origins = .any, .deflate = deflate };
        switch (handshake.read(req, way, &policy)) {
            .refused => |refusal| self.refusal = refusal,
            .offer => |offer| {
                self.deflate = offer.deflate;
                const own = handshake.read(req, way, &.{ .origins = .same });
                self.is_foreign = own == .refused;
            },
        }
        return self;
    }
};

/// The bridge's part of a socket.
pub const SocketState = struct {
    /// JS has it, or is to be told of it; it is among its lane's.
    is_live: bool = false,
    /// What is still to be told.
    open_owed: bool = false,
    close_owed: bool = false,
    /// It is not read: JS has granted nothing more, or the ring has no room.
    is_held: bool = false,
    lane: u16 = 0,
    /// What it is to be closed with when the turn ends.
    closing: ?errors.Code = null,
    /// The exchange that it was.
    exchange: Id = .none,
    /// Bytes of messages that may be told.
    credit: u32 = 0,
    /// Of a socket that waits for room in the ring: how many bytes of a message it waits with.
    wanted: u32 = 0,
    /// It was its turn: what it may still tell ahead of those that wait, bytes, counted as credit
    /// is.
    turn_bytes: u32 = 0,
    /// The round in which it was called and was not read since; 0: in none.
    called_in: u32 = 0,
    /// Room in the ring that is kept for it from then on, bytes.
    promised: u32 = 0,
    /// What JS has sent that is not known to have left for the peer, bytes.
    outstanding: u64 = 0,
    /// What has left, and JS was not told, bytes.
    owed: u32 = 0,
    /// The message that JS is sending, of which parts are still to come.
    sending: ?Sending = null,
    link: list.Link(SocketState) = .{},
    /// Its place among those of the lane that wait for room in the ring.
    place: list.Link(SocketState) = .{},

    pub const Sending = struct {
        manner: Manner,
        total: u32,
        len: u32 = 0,
        text: utf8.Validator = .{},
    };

    fn linkOf(self: *SocketState) *list.Link(SocketState) {
        return &self.link;
    }

    fn placeOf(self: *SocketState) *list.Link(SocketState) {
        return &self.place;
    }
};

/// A message that is published in parts.
pub const Publication = struct {
    id: Id,
    manner: Manner,
    topic: [abi.topic_bytes_max]u8,
    topic_len: u8,
    total: u32,
    len: u32 = 0,
    /// One block, which holds all of it. Null: there was no memory, and nobody will have it.
    room: ?[]u8,
};

/// Of a lane.
pub const LaneSockets = struct {
    list: list.List(SocketState, SocketState.linkOf) = .{},
    queue: Queue = .{},
    /// Whose turn it is when there is room: theirs, or that of requests and their bodies.
    go_first: bool = false,
    /// What the thread has published last that did not go in one turn.
    last_published: u64 = 0,
    publication: ?Publication = null,
    /// What holds it.
    block: Chain = .{},
};

/// The sockets of a lane that wait for room in the ring, in the order in which they began to. Who
/// waits for credit alone is not among them.
///
/// While some wait, who comes goes behind them. When there is room, the first are called, and read
/// later in that turn of the worker. Each has its turn, in which it may tell as much as it came to
/// wait with, a chunk at most, and goes to the end when it has more: whoever floods, the others'
/// messages pass one by one.
pub const Queue = struct {
    list: list.List(SocketState, SocketState.placeOf) = .{},
    /// The last of those at the front that were called and found no room.
    returned: ?*SocketState = null,
    /// How often some were called, and how many of the last time were not read since.
    round: u32 = 0,
    called: u32 = 0,
    /// Room in the ring that is kept for those, bytes.
    promised: u32 = 0,

    pub fn isEmpty(self: *const Queue) bool {
        return self.list.first == null;
    }

    /// Whether a socket that has no turn has to wait.
    pub fn isContended(self: *const Queue) bool {
        return self.called > 0 or !self.isEmpty();
    }

    pub fn first(self: *const Queue) ?*SocketState {
        return self.list.first;
    }

    /// It waits, where it does not already: at the end, or at the front again when it is its turn.
    pub fn add(self: *Queue, state: *SocketState) void {
        if (state.place.is_linked) return;
        if (state.turn_bytes == 0) return self.list.append(state);
        // In the order in which they were called.
        self.list.insertAfter(self.returned, state);
        self.returned = state;
    }

    /// It waits with a note, which is nobody's turn: what it has left of one gives it no place.
    pub fn addNote(self: *Queue, state: *SocketState) void {
        if (!state.place.is_linked) self.list.append(state);
    }

    /// It does not wait any more.
    pub fn drop(self: *Queue, state: *SocketState) void {
        if (self.returned == state) self.returned = state.place.prev;
        self.list.drop(state);
    }

    /// Others are called from now on.
    pub fn beginCalling(self: *Queue) void {
        self.returned = null;
        self.round +%= 1;
        if (self.round == 0) self.round = 1;
        self.called = 0;
        self.promised = 0;
    }

    /// It is its turn: it does not wait any more, and is to be read. Who has found no room in the
    /// middle of a turn goes on with that.
    pub fn call(self: *Queue, state: *SocketState) void {
        if (state.turn_bytes <= abi.socket_message_cost)
            state.turn_bytes = state.wanted + abi.socket_message_cost;
        self.drop(state);
    }

    /// Who was called will be read in this turn of the worker: `size` bytes of the ring are kept
    /// for that.
    pub fn promise(self: *Queue, state: *SocketState, size: u32) void {
        state.called_in = self.round;
        state.promised = size;
        self.called += 1;
        self.promised += size;
    }

    /// It is read, or has ended.
    pub fn answer(self: *Queue, state: *SocketState) void {
        if (state.called_in == 0) return;
        if (state.called_in == self.round) {
            self.called -= 1;
            self.promised -= state.promised;
        }
        state.called_in = 0;
    }

    /// How much of what `state` wants may be told before those that wait, bytes. 0: it has to wait
    /// as well.
    pub fn partOf(self: *const Queue, state: *SocketState) u32 {
        if (!self.isContended()) return state.wanted;
        const left = state.turn_bytes -| abi.socket_message_cost;
        if (left == 0) state.turn_bytes = 0;
        return @min(state.wanted, left);
    }
};

const testing = @import("std").testing;

fn expectOrder(queue: *const Queue, expected: []const *SocketState) !void {
    var at = queue.first();
    for (expected) |state| {
        try testing.expectEqual(state, at.?);
        at = state.place.next;
    }
    try testing.expectEqual(null, at);
}

test "who waits is called in order, and comes back to the front where it finds no room" {
    var queue: Queue = .{};
    var states: [4]SocketState = @splat(.{ .wanted = 100 });
    const a, const b, const c, const d = .{ &states[0], &states[1], &states[2], &states[3] };
    try testing.expect(!queue.isContended());
    try testing.expectEqual(100, queue.partOf(a));
    for ([_]*SocketState{ a, b, c }) |state| queue.add(state);
    queue.add(a); // it waits already
    try expectOrder(&queue, &.{ a, b, c });
    try testing.expectEqual(0, queue.partOf(d));
    queue.beginCalling();
    for ([_]*SocketState{ a, b, c }) |state| {
        queue.call(state);
        queue.promise(state, 50);
    }
    try testing.expectEqual(150, queue.promised);
    // All are called: none of them may take the others' room, nor may who comes.
    try testing.expect(queue.isEmpty() and queue.isContended());
    try testing.expectEqual(0, queue.partOf(d));
    queue.add(d);
    queue.answer(a);
    try testing.expectEqual(100, queue.partOf(a));
    a.turn_bytes -= 100; // all but what a message costs
    try testing.expectEqual(0, queue.partOf(a));
    queue.add(a);
    for ([_]*SocketState{ b, c }) |state| {
        queue.answer(state);
        queue.add(state);
    }
    try testing.expectEqual(0, queue.called);
    try testing.expectEqual(0, queue.promised);
    try expectOrder(&queue, &.{ b, c, d, a });
    queue.beginCalling();
    b.turn_bytes = 60; // what it has told in the middle of its turn is not given again
    queue.call(b);
    try testing.expectEqual(60, b.turn_bytes);
    queue.promise(b, 50);
    queue.beginCalling(); // it was not read since
    queue.answer(b);
    try testing.expectEqual(0, queue.promised);
    // With what it has left of its turn, a note goes to the end.
    queue.addNote(b);
    try expectOrder(&queue, &.{ c, d, a, b });
    queue.drop(b);
    for ([_]*SocketState{ c, d, a }) |state| queue.drop(state);
    try testing.expect(!queue.isContended());
}
