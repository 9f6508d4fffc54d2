//! A worker: one thread, one backend, and the connections it owns from accept to close. Byte
//! streams in and out; what the bytes mean is the protocol's.
//!
//! A connection gets so many bytes and so many requests in one turn of the loop. What is left then
//! goes on a ready list, and on with the next turn, behind what came for the others meanwhile.
//!
//! `Protocol` declares:
//!   ConnState                              per connection; `.{}` is a fresh one
//!   onOpen(p, conn)                        after the slot was filled
//!   onBytes(p, conn, bytes) usize          bytes from the front of the input; how many it is done
//!                                          with. 0: wants more in one piece. It may change
//!                                          those
//!   onEof(p, conn)                         all input was given to onBytes and the peer sends no
//!                                          more
//!   onEofAhead(p, conn)                    the same while input is paused: what is unread comes
//!                                          before its end, which onEof tells when input goes on
//!   onUnsent(p, conn)                      the socket is full: bytes wait in the write queue
//!   onProgress(p, conn, bytes)             the socket took so many from the write queue, or it is
//!                                          empty
//!   onTimer(p, conn)                       the timer it set has fired
//!   onDrain(p, conn)                       shutdown: finish what is in flight
//!   onClose(p, conn)                       the connection is gone: nothing more is sent or told
//!   overBudget(p, conn, direction) ?Owner  asked when more of the pool is held for it, .input or
//!                                          .output: whose room is used up
//!   onNoMemory(p, conn, .input, owner)     bytes from the peer found no room in the pool, or put
//!                                          the connection over its budget
//!   onNoMemory(p, conn, .output, owner)    the same of bytes for the peer: to be closed
//!   afterEvent(p, conn)                    all callbacks of one event are done: set the timer
//!   checkInvariants(p, conn)               asserts what holds of an open connection between events
//!   onTurn(p), hasWork(p) bool             once per loop turn; before sleeping
//! and, when it makes connections itself:
//!   onConnected(p, conn, ?err)             what became of `connect`; after an error it is gone
//! and, where bytes of connections pass a filter (filtering.zig):
//!   Filter                                 its type; void: none do
//!   filterFor(p, conn) !?Filter            for a connection that comes in; null: none. After an
//!                                          error the connection is closed
//!   onFiltered(p, conn)                    text can be exchanged from now on
//!   onFilterFailed(p, conn)                nothing more can; the connection ends

const std = @import("std");
const builtin = @import("builtin");
const assert = std.debug.assert;
const posix = std.posix;
const Address = @import("../core/address.zig").Address;
const Buddy = @import("../core/buddy.zig").Buddy;
const contiguous_bytes_max = @import("../core/chain.zig").contiguous_bytes_max;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const limits = @import("../core/limits.zig");
const orders = @import("../core/orders.zig").wake;
const list = @import("../core/list.zig");
const log = @import("../core/log.zig");
const Slots = @import("../core/slots.zig").Slots;
const system = @import("../core/system.zig");
const Wheel = @import("../core/wheel.zig").Wheel;
const io = @import("../io/io.zig");
const AddressTable = @import("address_table.zig").AddressTable;
const connection = @import("connection.zig");
const invariants = @import("worker_invariants.zig");
const Port = @import("port.zig").Port;
const write_queue = @import("write_queue.zig");
const WriteQueue = write_queue.WriteQueue;
const Batch = @import("batch.zig").Batch;

pub const Id = @import("../core/slots.zig").Id;

pub const Options = struct {
    backend: io.Backend = .epoll,
    zero_copy: bool = false,
    busy_poll_us: u32 = 0,
    buffer_memory_bytes: u64,
    receive_buffer_bytes: u32,
    /// What a connection gets in one turn.
    turn_bytes_max: u32 = limits.turn_bytes_max_default,
    turn_requests_max: u16 = limits.turn_requests_max_default,
    /// What is read and dropped of a peer that takes nothing of what waits for it.
    drop_bytes_max: u64 = limits.drop_bytes_max_default,
    /// Connections that the protocol may have made from here; 0 for one that makes none.
    outbound_max: u32 = 0,
};

pub fn Worker(comptime Io: type, comptime Protocol: type) type {
    return struct {
        const Self = @This();

        pub const Conn = connection.Connection(Io, Protocol);

        comptime {
            Conn.checkLayout();
        }

        const Sending = @import("sending.zig").Sending(Self);

        /// Whether bytes of connections may pass a filter.
        pub const filters = @hasDecl(Protocol, "Filter") and Protocol.Filter != void;
        pub const Filtering = if (filters)
            @import("filtering.zig").Filtering(Self, Protocol.Filter)
        else
            void;

        /// Whether the protocol makes connections itself.
        const connects = @hasDecl(Protocol, "onConnected");

        pub const ReadyList = list.List(Conn, Conn.readyLink);

        backend: Io,
        protocol: *Protocol,
        port: *Port,
        options: Options,
        conns: Slots(Conn),
        /// Connections that were made from here: they take no room from those that come in.
        outbound: Slots(Conn),
        wheel: Wheel,
        pools: write_queue.Pools,
        batch: Batch,
        filtering: Filtering,
        now_ms: u64 = 0,
        /// When the sockets were last looked at, which `turnAside` does not.
        polled_ms: u64 = 0,
        closed: ?*Conn = null,
        /// Connections that have something left to do, those that wait longest first.
        ready: ReadyList = .{},
        /// Counts the turns of the loop.
        turn_number: u32 = 0,
        draining: bool = false,
        /// As the port's, since the last poll.
        retiring: bool = false,
        /// Told when a connection ends: the acceptor may be waiting for room.
        on_room: ?*const fn (context: *anyopaque) void = null,
        on_room_context: ?*anyopaque = null,
        /// Set when there is a limit of connections per address.
        addresses: ?*AddressTable = null,

        pub fn init(
            gpa: std.mem.Allocator,
            options: Options,
            port: *Port,
            protocol: *Protocol,
        ) !Self {
            var backend = try Io.init(gpa, .{
                .backend = options.backend,
                .zero_copy = options.zero_copy,
                .busy_poll_us = options.busy_poll_us,
                .receive_buffer_bytes = options.receive_buffer_bytes,
            });
            errdefer backend.deinit();
            port.bell = backend.bell();
            var conns = try Slots(Conn).init(port.capacity);
            errdefer conns.deinit();
            assert(connects or options.outbound_max == 0);
            var outbound = try Slots(Conn).init(options.outbound_max);
            errdefer outbound.deinit();
            const connections = port.capacity + options.outbound_max;
            var wheel = try Wheel.init(connections);
            errdefer wheel.deinit();
            var buffers = try Buddy.init(options.buffer_memory_bytes + limits.output_buffer_bytes);
            errdefer buffers.deinit();
            var nodes = try write_queue.NodePool.initFor(connections);
            errdefer nodes.deinit();
            var filtering = if (filters) try Filtering.init(port.capacity);
            errdefer if (filters) filtering.deinit();
            const batch = try Batch.init(&buffers);
            return .{
                .backend = backend,
                .protocol = protocol,
                .port = port,
                .options = options,
                .conns = conns,
                .outbound = outbound,
                .wheel = wheel,
                .pools = .{ .buffers = buffers, .nodes = nodes },
                .batch = batch,
                .filtering = filtering,
            };
        }

        /// After `run` has returned, or instead of it.
        pub fn deinit(self: *Self) void {
            assert(self.conns.used == 0 and self.outbound.used == 0);
            self.batch.deinit(&self.pools.buffers);
            if (filters) self.filtering.deinit();
            self.pools.nodes.deinit();
            self.pools.buffers.deinit();
            self.wheel.deinit();
            self.outbound.deinit();
            self.conns.deinit();
            self.backend.deinit();
            self.* = undefined;
        }

        /// Serves until it was told to drain and no connection is left.
        pub fn run(self: *Self) void {
            self.begin();
            while (!self.isDone()) self.turn(self.beginTurn());
        }

        /// Sets the clock before the first turn.
        pub fn begin(self: *Self) void {
            self.now_ms = self.backend.nowMs();
            self.polled_ms = self.now_ms;
            self.wheel.advance(self.now_ms, self);
        }

        /// Told to drain, and no connection is left.
        pub fn isDone(self: *const Self) bool {
            return self.draining and self.conns.used == 0 and self.outbound.used == 0 and
                self.port.accepted.isEmpty();
        }

        /// Announces sleep to the other threads; returns for how long `turn` may wait, ms.
        pub fn beginTurn(self: *Self) i32 {
            @atomicStore(u32, self.port.asleep, 1, orders.asleep);
            return self.timeout();
        }

        /// One turn of the loop: wait, serve what came, let the protocol flush what it gathered.
        pub fn turn(self: *Self, timeout_ms: i32) void {
            const left = self.ready.len;
            self.turn_number +%= 1;
            const more = self.backend.poll(timeout_ms, self);
            if (more and self.now_ms - self.polled_ms >= limits.held_up_ms) self.pollRest();
            self.polled_ms = self.now_ms;
            self.serveReady(left);
            if (filters) Filtering.serveWaiting(self);
            self.drainAccepted(limits.opened_per_turn_max);
            self.wheel.advance(self.now_ms, self);
            self.protocol.onTurn(); // after the timers, so that it tells what they ended
            self.flush();
            self.reap();
            self.checkDrain();
        }

        /// Between two turns: what other threads have published is served, without a look at the
        /// sockets.
        pub fn turnAside(self: *Self) void {
            self.onAwake();
            self.protocol.onTurn();
            self.flush();
            self.reap();
            self.checkDrain();
        }

        /// What lies in the sockets is served before timers tell that it did not come: when it was
        /// the worker that was late, its senders were in time.
        fn pollRest(self: *Self) void {
            @branchHint(.cold);
            for (0..self.conns.used / 64 + 1) |_| if (!self.backend.poll(0, self)) return;
        }

        fn timeout(self: *Self) i32 {
            if (self.ready.len > 0) return 0;
            if (filters and self.filtering.waits()) return 0;
            if (!self.port.accepted.isEmpty() or self.protocol.hasWork()) return 0;
            const deadline = self.port.drain_deadline_ms.load(orders.look);
            if (deadline != 0 and !self.draining) return 0;
            var wait: i32 = -1;
            if (self.wheel.timeoutMs(self.now_ms)) |ms| wait = @intCast(@min(ms, 60_000));
            if (deadline != 0) {
                const left: i32 = @intCast(@min(deadline -| self.now_ms + 1, 60_000));
                if (wait == -1 or left < wait) wait = left;
            }
            return wait;
        }

        // What the backend calls.

        /// The wait is over, callbacks follow: nobody needs to wake this worker now.
        pub fn onAwake(self: *Self) void {
            @atomicStore(u32, self.port.asleep, 0, orders.awake);
            self.now_ms = self.backend.nowMs();
            self.retiring = self.port.retiring.load(.monotonic);
        }

        /// The connection that a token names; null when it is stale.
        fn named(self: *Self, token: io.Token) ?*Conn {
            if (connects and token.kind == .outbound) return self.outbound.get(token.id());
            return self.conns.get(token.id());
        }

        pub fn stream(self: *Self, token: io.Token) ?*Io.Stream {
            const conn = self.named(token) orelse return null;
            return &conn.stream;
        }

        /// Those of connections that came in, then those of outbound ones.
        pub fn nextStream(self: *Self, from: *u32) ?*Io.Stream {
            const own = self.conns.fresh;
            while (from.* < own + self.outbound.fresh) {
                const is_outbound = from.* >= own;
                const slots = if (is_outbound) &self.outbound else &self.conns;
                const slot = if (is_outbound) from.* - own else from.*;
                from.* += 1;
                if (slots.isUsed(slot)) return &slots.items[slot].stream;
            }
            return null;
        }

        pub fn isServed(self: *Self, token: io.Token) bool {
            const conn = self.named(token) orelse return false;
            return conn.phase != .closed and !conn.is_ready;
        }

        pub const onConnected = if (connects) Self.tellConnected else {};

        fn tellConnected(self: *Self, token: io.Token, result: io.Connecting) void {
            const conn = self.named(token).?; // the backend asked `stream` for this token
            assert(conn.phase == .connecting);
            switch (result) {
                .connected => {
                    conn.phase = .open;
                    self.protocol.onConnected(conn, null);
                    self.settle(conn);
                },
                .failed => |err| {
                    conn.phase = .ending;
                    self.protocol.onConnected(conn, err);
                    self.end(conn);
                },
            }
        }

        pub fn onRecv(self: *Self, token: io.Token, result: io.RecvResult) void {
            // The backend asked `stream` for this token.
            const conn = self.named(token).?;
            switch (result) {
                .bytes => |bytes| if (self.isHeard(conn, bytes.len)) self.receive(conn, bytes),
                .eof => self.receiveEof(conn),
                .eof_ahead => if (conn.phase == .open) self.noteEofAhead(conn),
                // An upstream that has hung up behind all that it had to say is read to its end.
                .failed => if (conn.kind == .accepted or !conn.eof or conn.input.len == 0)
                    self.close(conn),
            }
            self.settle(conn);
        }

        pub fn onSent(self: *Self, token: io.Token, bytes: u64) void {
            const conn = self.named(token) orelse return;
            if (conn.phase == .closed) return;
            Sending.onSent(self, conn, bytes);
            self.settle(conn);
        }

        /// The system is done with a connection that `close` has ended.
        pub fn onClosed(self: *Self, token: io.Token) void {
            const conn = self.named(token).?; // its slot was kept for this
            assert(conn.phase == .closed);
            conn.queue.deinit(&self.pools); // the system may have had it until now
            self.giveBack(conn);
        }

        /// Sets the connection's one timer, monotonic ms.
        pub fn setTimer(self: *Self, conn: *const Conn, deadline_ms: u64) void {
            self.wheel.set(self.timerOf(conn), deadline_ms);
        }

        pub fn clearTimer(self: *Self, conn: *const Conn) void {
            self.wheel.clear(self.timerOf(conn));
        }

        fn timerOf(self: *const Self, conn: *const Conn) u32 {
            if (connects and conn.kind == .outbound) return self.port.capacity + conn.id.slot;
            return conn.id.slot;
        }

        pub fn onTimer(self: *Self, index: u32) void {
            const is_outbound = connects and index >= self.port.capacity;
            const slots = if (is_outbound) &self.outbound else &self.conns;
            const slot = if (is_outbound) index - self.port.capacity else index;
            if (!slots.isUsed(slot)) return;
            const conn = &slots.items[slot];
            switch (conn.phase) {
                .open, .connecting => {
                    self.protocol.onTimer(conn);
                    self.settle(conn);
                },
                .lingering => self.close(conn),
                .ending, .closed => {},
            }
        }

        // Input.

        /// Whether anything is to be made of so many bytes. Behind the connection's end, while
        /// output waits for the peer, they are counted: one that only sends is reset.
        fn isHeard(self: *Self, conn: *Conn, bytes: usize) bool {
            if (conn.phase != .open) return false;
            if (!conn.finish_when_sent or self.mayDrop(conn, bytes)) return true;
            self.close(conn);
            return false;
        }

        /// So many bytes came of which nothing is made. False: that was enough.
        pub fn mayDrop(self: *Self, conn: *Conn, bytes: usize) bool {
            if (conn.dropped == 0)
                conn.dropped_since_in_flight = self.backend.inFlight(&conn.stream);
            conn.dropped +|= bytes;
            if (conn.dropped <= self.options.drop_bytes_max) return true;
            // The system takes no more of the output before much of what it holds has left.
            if (!conn.finish_when_sent) return false;
            if (self.backend.inFlight(&conn.stream) >= conn.dropped_since_in_flight) return false;
            conn.dropped = 0;
            return true;
        }

        fn receive(self: *Self, conn: *Conn, bytes: []u8) void {
            if (filters and conn.is_filtered) return Filtering.receive(self, conn, bytes);
            self.receiveText(conn, bytes);
        }

        /// What has passed the connection's filter, or has none to pass.
        pub fn receiveText(self: *Self, conn: *Conn, bytes: []u8) void {
            if (conn.input.len == 0 and !conn.paused) {
                conn.in_input = true;
                var used: usize = 0;
                while (used < bytes.len and conn.phase == .open and !conn.paused) {
                    const n = self.protocol.onBytes(conn, bytes[used..]);
                    if (n == 0) break;
                    used += n;
                }
                conn.in_input = false;
                if (conn.phase != .open) return;
                if (used < bytes.len) self.keep(conn, bytes[used..]);
                return self.receiveOn(conn);
            }
            self.keep(conn, bytes);
            if (conn.phase == .open) self.processInput(conn);
        }

        fn keep(self: *Self, conn: *Conn, bytes: []const u8) void {
            // Without memory for input this connection cannot go on, the others can.
            conn.input.append(&self.pools.buffers, bytes) catch
                return self.protocol.onNoMemory(conn, .input, .pool);
            if (self.protocol.overBudget(conn, .input)) |owner|
                self.protocol.onNoMemory(conn, .input, owner);
        }

        /// Gives buffered input to the protocol until it wants more, pauses or the connection ends.
        fn processInput(self: *Self, conn: *Conn) void {
            if (conn.in_input or conn.is_ready) return;
            self.offerInput(conn);
            self.receiveOn(conn);
        }

        fn offerInput(self: *Self, conn: *Conn) void {
            conn.in_input = true;
            defer conn.in_input = false;
            while (conn.phase == .open and !conn.paused and conn.input.len > 0) {
                const front = conn.input.front();
                const n = self.protocol.onBytes(conn, front);
                if (conn.phase != .open) return;
                if (n > 0) {
                    conn.input.consume(&self.pools.buffers, n);
                    continue;
                }
                if (conn.paused or conn.is_ready or front.len == conn.input.len) return;
                const doubled = @as(u64, front.len) * 2;
                const want = @min(conn.input.len, doubled, contiguous_bytes_max);
                if (want <= front.len) return self.protocol.onNoMemory(conn, .input, .pool);
                _ = conn.input.contiguous(&self.pools.buffers, @intCast(want)) catch
                    return self.protocol.onNoMemory(conn, .input, .pool);
            }
        }

        pub fn receiveEof(self: *Self, conn: *Conn) void {
            if (conn.phase == .lingering) return self.close(conn);
            conn.eof = true;
            self.backend.pauseRecv(&conn.stream);
            if (conn.paused) self.noteEofAhead(conn) else self.checkEof(conn);
        }

        fn noteEofAhead(self: *Self, conn: *Conn) void {
            conn.eof_ahead = true;
            self.protocol.onEofAhead(conn);
        }

        fn checkEof(self: *Self, conn: *Conn) void {
            if (!conn.eof or conn.eof_told or conn.phase != .open) return;
            if (conn.paused or conn.is_ready) return; // it has more input
            conn.eof_told = true;
            self.protocol.onEof(conn);
        }

        /// No more bytes for the protocol until `resumeInput`: what is unread stays in the socket.
        pub fn pauseInput(self: *Self, conn: *Conn) void {
            if (conn.paused or conn.phase != .open) return;
            conn.paused = true;
            if (conn.eof or conn.recv_paused) return;
            conn.recv_paused = true;
            self.backend.pauseRecv(&conn.stream);
        }

        pub fn resumeInput(self: *Self, conn: *Conn) void {
            if (!conn.paused or conn.phase != .open) return;
            conn.paused = false;
            if (conn.in_input) return; // the loop that is under way looks at `paused`
            self.processInput(conn);
            self.checkEof(conn);
        }

        /// Ends the pause of the socket once the protocol wants more than there is: a backend that
        /// receives by itself would bring as much again with each short end of a pause.
        fn receiveOn(self: *Self, conn: *Conn) void {
            if (!conn.recv_paused or conn.paused or conn.is_ready) return;
            if (conn.phase != .open or conn.eof) return;
            conn.recv_paused = false;
            self.backend.resumeRecv(&conn.stream);
        }

        /// Whether the socket holds what the protocol has not seen.
        pub fn hasInput(self: *Self, conn: *Conn) bool {
            return conn.is_ready or (!conn.eof and self.backend.hasInput(&conn.stream));
        }

        // Turns.

        /// What `conn` has had of this turn.
        fn spentOf(self: *const Self, conn: *Conn) *connection.Spent {
            const spent = &conn.spent;
            if (spent.turn != self.turn_number) spent.* = .{ .turn = self.turn_number };
            return spent;
        }

        pub fn noteSent(self: *const Self, conn: *Conn, bytes: usize) void {
            const spent = self.spentOf(conn);
            spent.bytes +|= std.math.lossyCast(u32, bytes);
            if (conn.finish_when_sent) conn.dropped = 0;
        }

        /// Bytes that `conn` may still be sent in this turn.
        pub fn bytesLeft(self: *const Self, conn: *Conn) u32 {
            return self.options.turn_bytes_max -| self.spentOf(conn).bytes;
        }

        /// Asked before each request. False: the connection has had its share of this turn. Its
        /// input is given to the protocol again in the next.
        pub fn beginRequest(self: *Self, conn: *Conn) bool {
            const spent = self.spentOf(conn);
            const is_own = self.batch.owner == @as(?*anyopaque, conn);
            const gathered = if (is_own) self.batch.bytes else 0;
            const has_turn = spent.requests < self.options.turn_requests_max and
                spent.bytes + gathered < self.options.turn_bytes_max;
            if (has_turn) spent.requests += 1 else self.goOnLater(conn);
            return has_turn;
        }

        pub fn goOnLater(self: *Self, conn: *Conn) void {
            if (conn.is_ready) return;
            conn.is_ready = true;
            conn.ready_turn = self.turn_number;
            self.ready.append(conn);
        }

        fn leaveReady(self: *Self, conn: *Conn) void {
            if (!conn.is_ready) return;
            conn.is_ready = false;
            const others = if (filters) Filtering.leave(self, conn) else null;
            (others orelse &self.ready).remove(conn);
        }

        /// Goes on with the first `count` connections of the ready list.
        fn serveReady(self: *Self, count: u32) void {
            for (0..count) |_| {
                // One may have ended meanwhile; what came to the list in this turn is behind them.
                const conn = self.ready.first orelse return;
                if (conn.ready_turn == self.turn_number) return;
                self.goOn(conn);
            }
        }

        /// Goes on with a connection whose events have waited.
        pub fn goOn(self: *Self, conn: *Conn) void {
            self.leaveReady(conn);
            if (!conn.queue.isEmpty()) self.pump(conn);
            if (filters and conn.is_filtered and conn.phase == .open)
                Filtering.goOn(self, conn);
            if (conn.phase == .open) self.processInput(conn);
            self.checkEof(conn);
            self.settle(conn);
        }

        // Output. All of these may close the connection: look at `isOpen` afterwards.

        pub const reserve = Sending.reserve;
        pub const commit = Sending.commit;
        pub const write = Sending.write;
        pub const writeStatic = Sending.writeStatic;
        pub const writeBorrowed = Sending.writeBorrowed;
        pub const writeUncopied = Sending.writeUncopied;
        pub const writeChain = Sending.writeChain;
        pub const writeFile = Sending.writeFile;
        pub const writeFilePart = Sending.writeFilePart;
        pub const writeQueue = Sending.writeQueue;
        pub const flush = Sending.flush;
        pub const pump = Sending.pump;
        pub const pumpQueue = Sending.pumpQueue;
        pub const sendLater = Sending.sendLater;
        pub const cut = Sending.cut;
        pub const tellShort = Sending.tellShort;

        // The end.

        /// Closes once everything written so far has been sent. With `linger`, input is read and
        /// dropped for a while first, so that a reset does not overtake the response (RFC 9112
        /// §9.6). A peer that takes nothing of what was written and sends more than
        /// `drop_bytes_max` meanwhile is reset.
        pub fn finish(self: *Self, conn: *Conn, linger: bool) void {
            if (conn.phase == .connecting) return self.close(conn); // there is nothing to send
            if (conn.phase != .open) return;
            if (self.batch.owner == @as(?*anyopaque, conn)) self.flush();
            if (conn.phase != .open) return;
            // Of what is filtered the end may be on its way yet, in a record of its own.
            const may_end = filters and conn.is_filtered and !conn.eof;
            conn.linger = linger or conn.input.len > 0 or may_end;
            if (!conn.finish_when_sent) conn.dropped = 0;
            conn.finish_when_sent = true;
            if (conn.queue.isEmpty()) self.finishNow(conn);
        }

        pub fn finishNow(self: *Self, conn: *Conn) void {
            if (conn.phase != .open) return;
            if (filters and conn.is_filtered and !Filtering.hasSaidEnd(self, conn)) return;
            if (!conn.linger or conn.eof) return self.close(conn);
            conn.phase = .ending;
            self.protocol.onClose(conn);
            conn.phase = .lingering;
            self.leaveReady(conn);
            conn.input.deinit(&self.pools.buffers);
            // Where the system seals, records may be on their way to the socket, which a half-close
            // would lose. That nothing follows has been said, and `close` waits for them.
            const seals = filters and conn.is_filtered and Filtering.isOffloaded(self, conn);
            if (!seals) self.backend.shutdownSend(&conn.stream);
            self.backend.resumeRecv(&conn.stream);
            self.setTimer(conn, self.now_ms + limits.linger_ms);
        }

        /// Closes now. What was not sent is lost.
        pub fn close(self: *Self, conn: *Conn) void {
            switch (conn.phase) {
                .closed, .ending => return,
                .open, .connecting => {
                    conn.phase = .ending;
                    self.protocol.onClose(conn);
                },
                .lingering => {},
            }
            self.end(conn);
        }

        /// Closes what the protocol knows to be at its end.
        fn end(self: *Self, conn: *Conn) void {
            conn.phase = .closed;
            self.leaveReady(conn);
            if (self.batch.owner == @as(?*anyopaque, conn)) self.batch.reset();
            const is_cut = conn.is_cut or !conn.queue.isEmpty();
            conn.input.deinit(&self.pools.buffers);
            self.wheel.drop(self.timerOf(conn));
            if (filters and conn.is_filtered) Filtering.release(self, conn);
            const ending = if (is_cut)
                self.backend.abort(&conn.stream)
            else
                self.backend.close(&conn.stream);
            // What the system was offered is its own until the close has ended.
            if (ending == .closed or !conn.awaits_room) conn.queue.deinit(&self.pools);
            switch (ending) {
                .closed => self.giveBack(conn),
                .under_way => {}, // `onClosed` follows
            }
        }

        /// Gives the slot back at the end of the turn: callers up the stack still hold the pointer.
        fn giveBack(self: *Self, conn: *Conn) void {
            conn.next_closed = self.closed;
            self.closed = conn;
        }

        fn reap(self: *Self) void {
            var count: u32 = 0;
            while (self.closed) |conn| {
                self.closed = conn.next_closed;
                if (connects and conn.kind == .outbound) {
                    self.outbound.release(conn.id);
                    continue;
                }
                if (self.addresses) |table| table.release(conn.peer);
                self.conns.release(conn.id);
                count += 1;
            }
            if (count == 0) return;
            _ = self.port.open.fetchSub(count, orders.publish);
            if (self.on_room) |call| call(self.on_room_context.?);
        }

        /// After each event on a connection: what the event wrote goes out,
        /// then the protocol sets its timer.
        fn settle(self: *Self, conn: *Conn) void {
            if (conn.phase != .open) return;
            if (self.batch.owner == @as(?*anyopaque, conn)) self.flush();
            if (conn.phase == .open) self.protocol.afterEvent(conn);
            if (builtin.mode == .Debug) invariants.checkConnection(self, conn);
        }

        /// Asserts what holds between two turns: for tests, and the simulator's every step.
        pub fn checkInvariants(self: *Self) void {
            invariants.checkWorker(self);
        }

        // Accepting and draining.

        fn drainAccepted(self: *Self, most: usize) void {
            for (0..most) |_| self.openConn(self.port.accepted.pop() orelse return);
        }

        fn openConn(self: *Self, accepted: io.Accepted) void {
            // The acceptor counts what it hands out against the capacity.
            const id = self.conns.take() orelse unreachable;
            const conn = self.conns.get(id).?;
            conn.* = .{ .id = id, .peer = accepted.peer, .listener = accepted.listener };
            self.openStream(conn, accepted) catch |err| {
                log.limited("a connection was closed: it cannot be watched or secured ({s})", .{
                    @errorName(err),
                });
                if (filters and conn.is_filtered) Filtering.release(self, conn);
                conn.phase = .closed;
                conn.stream = .{};
                self.backend.closeAccepted(accepted.fd);
                return self.giveBack(conn);
            };
            self.protocol.onOpen(conn);
            if (conn.phase != .open) return;
            self.protocol.afterEvent(conn);
            if (conn.phase != .open) return;
            // On its way here its first request has mostly come.
            self.backend.receiveNow(&conn.stream, self);
        }

        fn openStream(self: *Self, conn: *Conn, accepted: io.Accepted) !void {
            if (filters) {
                if (try self.protocol.filterFor(conn)) |filter|
                    Filtering.open(self, conn, filter);
            }
            try self.backend.open(&conn.stream, accepted.fd, .of(.accepted, conn.id));
        }

        pub const ConnectError = error{
            /// All slots for connections from here are in use.
            TooManyConnections,
        } || system.Error;

        /// Begins a connection to `endpoint`: `onConnected` of the protocol tells, in a later turn,
        /// what became of it. Until then the protocol may set its timer, or close it.
        pub fn connect(self: *Self, endpoint: *const Endpoint) ConnectError!*Conn {
            comptime assert(connects);
            const id = self.outbound.take() orelse return error.TooManyConnections;
            errdefer self.outbound.release(id);
            const conn = self.outbound.get(id).?;
            conn.* = .{ .id = id, .peer = .{}, .kind = .outbound, .phase = .connecting };
            try self.backend.connect(&conn.stream, endpoint, .of(.outbound, id));
            return conn;
        }

        fn checkDrain(self: *Self) void {
            const deadline = self.port.drain_deadline_ms.load(orders.read);
            if (deadline == 0) return;
            if (!self.draining) {
                // What lies in the sockets already is served: its clients were in time.
                // Before `draining`, which closes an idle connection at once.
                self.drainAccepted(std.math.maxInt(usize));
                self.draining = true;
                self.pollRest();
                self.forEach(&.{.open}, drainOne);
                self.protocol.onTurn();
                self.flush();
            } else if (self.now_ms >= deadline) {
                self.forEach(&.{ .open, .lingering, .connecting }, close);
                self.protocol.onTurn();
                self.flush();
            }
            self.reap();
        }

        fn drainOne(self: *Self, conn: *Conn) void {
            self.protocol.onDrain(conn);
            self.settle(conn);
        }

        fn forEach(
            self: *Self,
            comptime phases: []const connection.Phase,
            comptime act: fn (*Self, *Conn) void,
        ) void {
            for ([_]*Slots(Conn){ &self.conns, &self.outbound }) |slots| {
                for (0..slots.fresh) |slot| {
                    if (!slots.isUsed(@intCast(slot))) continue;
                    const conn = &slots.items[slot];
                    if (std.mem.indexOfScalar(connection.Phase, phases, conn.phase) != null)
                        act(self, conn);
                }
            }
        }
    };
}
