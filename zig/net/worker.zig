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
//!                                          with. 0: wants more in one piece
//!   onEof(p, conn)                         all input was given to onBytes and the peer sends no
//!                                          more
//!   onEofAhead(p, conn)                    the same while input is paused: what is unread comes
//!                                          before its end, which onEof tells when input goes on
//!   onUnsent(p, conn)                      the socket is full: bytes wait in the write queue
//!   onProgress(p, conn, bytes)             the socket took so many from the write queue, or it is
//!                                          empty
//!   onTimer(p, conn)                       the timer it set has fired
//!   onDrain(p, conn)                       shutdown: finish what is in flight
//!   onClose(p, conn)                       the connection is gone
//!   overBudget(p, conn, direction) ?Owner  asked when more of the pool is held for it, .input or
//!                                          .output: whose room is used up
//!   onNoMemory(p, conn, .input, owner)     bytes from the peer found no room in the pool, or put
//!                                          the connection over its budget
//!   onNoMemory(p, conn, .output, owner)    the same of bytes for the peer: to be closed
//!   afterEvent(p, conn)                    all callbacks of one event are done: set the timer
//!   checkInvariants(p, conn)               asserts what holds of an open connection between events
//!   onTurn(p), hasWork(p) bool             once per loop turn; before sleeping

const std = @import("std");
const builtin = @import("builtin");
const assert = std.debug.assert;
const posix = std.posix;
const Address = @import("../core/address.zig").Address;
const Chain = @import("../core/chain.zig").Chain;
const contiguous_bytes_max = @import("../core/chain.zig").contiguous_bytes_max;
const limits = @import("../core/limits.zig");
const orders = @import("../core/orders.zig").wake;
const list = @import("../core/list.zig");
const log = @import("../core/log.zig");
const Slots = @import("../core/slots.zig").Slots;
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
    buffer_memory_bytes: u64,
    receive_buffer_bytes: u32,
    /// What a connection gets in one turn.
    turn_bytes_max: u32 = limits.turn_bytes_max_default,
    turn_requests_max: u16 = limits.turn_requests_max_default,
};

pub fn Worker(comptime Io: type, comptime Protocol: type) type {
    return struct {
        const Self = @This();

        pub const Conn = connection.Connection(Io, Protocol);

        comptime {
            Conn.checkLayout();
        }

        const ReadyList = list.List(Conn, Conn.readyLink);

        backend: Io,
        protocol: *Protocol,
        port: *Port,
        options: Options,
        conns: Slots(Conn),
        wheel: Wheel,
        pools: write_queue.Pools,
        batch: Batch,
        now_ms: u64 = 0,
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
                .receive_buffer_bytes = options.receive_buffer_bytes,
            });
            errdefer backend.deinit();
            port.bell = backend.bell();
            var conns = try Slots(Conn).init(port.capacity);
            errdefer conns.deinit();
            var wheel = try Wheel.init(port.capacity);
            errdefer wheel.deinit();
            var buffers = try @import("../core/buddy.zig").Buddy.init(options.buffer_memory_bytes);
            errdefer buffers.deinit();
            var nodes = try write_queue.NodePool.initFor(port.capacity);
            errdefer nodes.deinit();
            return .{
                .backend = backend,
                .protocol = protocol,
                .port = port,
                .options = options,
                .conns = conns,
                .wheel = wheel,
                .pools = .{ .buffers = buffers, .nodes = nodes },
                .batch = try Batch.init(),
            };
        }

        /// After `run` has returned, or instead of it.
        pub fn deinit(self: *Self) void {
            assert(self.conns.used == 0);
            self.batch.deinit();
            self.pools.nodes.deinit();
            self.pools.buffers.deinit();
            self.wheel.deinit();
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
            self.wheel.advance(self.now_ms, self);
        }

        /// Told to drain, and no connection is left.
        pub fn isDone(self: *const Self) bool {
            return self.draining and self.conns.used == 0 and self.port.accepted.isEmpty();
        }

        /// Announces sleep to the other threads; returns for how long `turn` may wait, ms.
        pub fn beginTurn(self: *Self) i32 {
            @atomicStore(u32, self.port.asleep, 1, orders.asleep);
            return self.timeout();
        }

        /// One turn of the loop: wait, serve what came, let the protocol flush what it gathered.
        pub fn turn(self: *Self, timeout_ms: i32) void {
            const before_ms = self.now_ms;
            const left = self.ready.len;
            self.turn_number +%= 1;
            const more = self.backend.poll(timeout_ms, self);
            if (more and self.now_ms - before_ms >= limits.held_up_ms) self.pollRest();
            self.serveReady(left);
            self.drainAccepted();
            self.wheel.advance(self.now_ms, self);
            self.protocol.onTurn(); // after the timers, so that it tells what they ended
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

        pub fn stream(self: *Self, token: io.Token) ?*Io.Stream {
            const conn = self.conns.get(token.id()) orelse return null;
            return &conn.stream;
        }

        pub fn isServed(self: *Self, token: io.Token) bool {
            const conn = self.conns.get(token.id()) orelse return false;
            return conn.phase != .closed and !conn.is_ready;
        }

        pub fn onRecv(self: *Self, token: io.Token, result: io.RecvResult) void {
            // The backend asked `stream` for this token.
            const conn = self.conns.get(token.id()).?;
            switch (result) {
                .bytes => |bytes| if (conn.phase == .open) self.receive(conn, bytes),
                .eof => self.receiveEof(conn),
                .eof_ahead => if (conn.phase == .open) self.noteEofAhead(conn),
                .failed => self.close(conn),
            }
            self.settle(conn);
        }

        pub fn onSent(self: *Self, token: io.Token, _: u64) void {
            const conn = self.conns.get(token.id()) orelse return;
            if (conn.phase == .closed) return;
            self.pump(conn);
            self.settle(conn);
        }

        /// The system is done with a connection that `close` has ended.
        pub fn onClosed(self: *Self, token: io.Token) void {
            const conn = self.conns.get(token.id()).?; // its slot was kept for this
            assert(conn.phase == .closed);
            self.giveBack(conn);
        }

        pub fn onTimer(self: *Self, index: u32) void {
            if (!self.conns.isUsed(index)) return;
            const conn = &self.conns.items[index];
            switch (conn.phase) {
                .open => {
                    self.protocol.onTimer(conn);
                    self.settle(conn);
                },
                .lingering => self.close(conn),
                .closed => {},
            }
        }

        // Input.

        fn receive(self: *Self, conn: *Conn, bytes: []u8) void {
            if (conn.input.len == 0 and !conn.paused) {
                conn.in_input = true;
                var used: usize = 0;
                while (used < bytes.len and conn.phase == .open and !conn.paused) {
                    const n = self.protocol.onBytes(conn, bytes[used..]);
                    if (n == 0) break;
                    used += n;
                }
                conn.in_input = false;
                if (conn.phase != .open or used == bytes.len) return;
                return self.keep(conn, bytes[used..]);
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

        fn receiveEof(self: *Self, conn: *Conn) void {
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
            if (!conn.eof) self.backend.pauseRecv(&conn.stream);
        }

        pub fn resumeInput(self: *Self, conn: *Conn) void {
            if (!conn.paused or conn.phase != .open) return;
            conn.paused = false;
            if (conn.in_input) return; // the loop that is under way looks at `paused`
            self.processInput(conn);
            if (conn.phase != .open or conn.paused) return;
            if (conn.eof) self.checkEof(conn) else self.backend.resumeRecv(&conn.stream);
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

        fn noteSent(self: *const Self, conn: *Conn, bytes: usize) void {
            const spent = self.spentOf(conn);
            spent.bytes +|= std.math.lossyCast(u32, bytes);
        }

        /// Bytes that `conn` may still be sent in this turn.
        fn bytesLeft(self: *const Self, conn: *Conn) u32 {
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

        fn goOnLater(self: *Self, conn: *Conn) void {
            if (conn.is_ready) return;
            conn.is_ready = true;
            self.ready.append(conn);
        }

        fn leaveReady(self: *Self, conn: *Conn) void {
            if (!conn.is_ready) return;
            conn.is_ready = false;
            self.ready.remove(conn);
        }

        /// Goes on with the first `count` connections of the ready list.
        fn serveReady(self: *Self, count: u32) void {
            for (0..count) |_| {
                // One may have ended meanwhile; what came to the list in this turn is behind them.
                const conn = self.ready.first orelse return;
                if (conn.spent.turn == self.turn_number) return;
                self.leaveReady(conn);
                if (!conn.queue.isEmpty()) self.pump(conn);
                if (conn.phase == .open) self.processInput(conn);
                self.checkEof(conn);
                self.settle(conn);
            }
        }

        // Output. All of these may close the connection: look at `isOpen` afterwards.

        /// Room for `bytes` (at most half the output buffer) at the end of what `conn` is being
        /// sent; `commit` what was written.
        pub fn reserve(self: *Self, conn: *Conn, bytes: u32) []u8 {
            assert(bytes <= limits.output_buffer_bytes / 2);
            self.batchFor(conn);
            if (!self.batch.fits(bytes)) self.flush();
            self.batchFor(conn);
            return self.batch.room();
        }

        pub fn commit(self: *Self, bytes: usize) void {
            self.batch.commit(bytes);
        }

        /// Sends a copy of `bytes`, together with what else this turn brings.
        pub fn write(self: *Self, conn: *Conn, bytes: []const u8) void {
            var rest = bytes;
            while (rest.len > 0 and conn.phase == .open) {
                const n = @min(rest.len, limits.output_buffer_bytes / 2);
                @memcpy(self.reserve(conn, @intCast(n))[0..n], rest[0..n]);
                self.commit(n);
                rest = rest[n..];
            }
        }

        /// Sends bytes that live as long as the server; they are never copied.
        pub fn writeStatic(self: *Self, conn: *Conn, bytes: []const u8) void {
            if (bytes.len <= limits.inline_body_bytes_max) return self.write(conn, bytes);
            self.batchFor(conn);
            if (!self.batch.fitsSlice()) self.flush();
            self.batchFor(conn);
            self.batch.addSlice(bytes, .static);
        }

        /// Sends bytes that the caller may change when this returns:
        /// what the socket does not take now is copied.
        pub fn writeBorrowed(self: *Self, conn: *Conn, bytes: []const u8) void {
            if (bytes.len <= limits.output_buffer_bytes / 4) return self.write(conn, bytes);
            self.batchFor(conn);
            if (!self.batch.fitsSlice()) self.flush();
            self.batchFor(conn);
            self.batch.addSlice(bytes, .borrowed);
            self.flush();
        }

        /// Sends the blocks of `source` and leaves it empty.
        pub fn writeChain(self: *Self, conn: *Conn, source: *Chain) void {
            if (source.len <= limits.output_buffer_bytes / 4) {
                var at = source.first;
                while (at) |segment| : (at = segment.next) self.write(conn, segment.bytes());
                return source.deinit(&self.pools.buffers);
            }
            self.batchFor(conn);
            if (!self.batch.fitsSlice()) self.flush();
            self.batch.owner = conn;
            self.flushWith(source, false);
        }

        /// Sends a range of a file; the worker is the owner from here on.
        pub fn writeFile(self: *Self, conn: *Conn, file: write_queue.FileRange) void {
            if (conn.phase != .open or file.length == 0) return file.handle.release();
            self.batchFor(conn);
            self.flushMore(true);
            if (conn.phase != .open) return file.handle.release();
            conn.queue.appendFile(&self.pools, file) catch {
                file.handle.release();
                return self.protocol.onNoMemory(conn, .output, .pool);
            };
            self.pump(conn);
        }

        /// Sends what `queue` holds and leaves it empty.
        pub fn writeQueue(self: *Self, conn: *Conn, queue: *WriteQueue) void {
            // Its owner may end under the flush.
            var taken = queue.*;
            queue.* = .{};
            self.batchFor(conn);
            self.flush();
            if (conn.phase != .open) return taken.deinit(&self.pools);
            conn.queue.appendQueue(&taken);
            self.pump(conn);
        }

        fn batchFor(self: *Self, conn: *Conn) void {
            if (self.batch.owner == @as(?*anyopaque, conn)) return;
            self.flush();
            assert(self.batch.isEmpty());
            self.batch.owner = conn;
        }

        /// Sends what has been gathered.
        pub fn flush(self: *Self) void {
            self.flushMore(false);
        }

        fn flushMore(self: *Self, more: bool) void {
            if (self.batch.isEmpty()) return self.batch.reset(); // it may have had an owner
            self.flushWith(null, more);
        }

        /// Sends what has been gathered, and the blocks of `source` behind it, in one call. Takes
        /// the blocks over.
        fn flushWith(self: *Self, source: ?*Chain, more: bool) void {
            const conn: *Conn = @alignCast(@ptrCast(self.batch.owner.?));
            // What is left of them when this returns has found no place.
            defer if (source) |chain| chain.deinit(&self.pools.buffers);
            defer self.batch.reset();
            if (conn.phase != .open) return;
            const had_queue = !conn.queue.isEmpty();
            const gathered = self.batch.bytes;
            var sent: usize = 0;
            if (!had_queue) {
                const pieces = self.batch.piecesWith(source);
                switch (self.send(conn, pieces, more)) {
                    .sent => |n| sent = n,
                    .would_block => {},
                    .failed => return self.close(conn),
                }
            }
            self.queueRest(conn, source, gathered, sent) catch
                return self.protocol.onNoMemory(conn, .output, .pool);
            if (conn.queue.isEmpty()) return;
            if (self.protocol.overBudget(conn, .output)) |owner|
                return self.protocol.onNoMemory(conn, .output, owner);
            if (had_queue) return;
            if (self.bytesLeft(conn) == 0) return self.goOnLater(conn);
            self.backend.sendLater(&conn.stream);
            self.protocol.onUnsent(conn);
        }

        /// Queues what is left of the batch and of `source` when `sent` bytes of both have left.
        fn queueRest(
            self: *Self,
            conn: *Conn,
            source: ?*Chain,
            gathered: usize,
            sent: usize,
        ) WriteQueue.Error!void {
            if (sent < gathered) try self.batch.moveRest(sent, &conn.queue, &self.pools);
            const chain = source orelse return;
            chain.consume(&self.pools.buffers, sent -| gathered);
            if (chain.len > 0) try conn.queue.appendChain(&self.pools, chain);
        }

        /// Sends as much of `iovecs` as the connection's turn has left and the socket takes. Where
        /// the turn ends it, `bytesLeft` is 0 afterwards.
        fn send(self: *Self, conn: *Conn, iovecs: []posix.iovec_const, more: bool) io.SendResult {
            const quota = self.bytesLeft(conn);
            if (quota == 0) return .would_block;
            const part = cut(iovecs, quota);
            const last = &iovecs[part.count - 1];
            const whole_len = last.len;
            last.len = part.last_len;
            defer last.len = whole_len;
            const result = self.backend.send(&conn.stream, iovecs[0..part.count], more);
            if (result == .sent) self.noteSent(conn, result.sent);
            return result;
        }

        const Part = struct { count: usize, last_len: usize };

        /// The pieces that hold the first `bytes` of `iovecs`, and how much of the last of them.
        fn cut(iovecs: []const posix.iovec_const, bytes: usize) Part {
            var left = bytes;
            for (iovecs, 1..) |iovec, count| {
                if (iovec.len >= left) return .{ .count = count, .last_len = left };
                left -= iovec.len;
            }
            return .{ .count = iovecs.len, .last_len = iovecs[iovecs.len - 1].len };
        }

        /// Sends from the write queue until it is empty or the socket is full.
        fn pump(self: *Self, conn: *Conn) void {
            if (conn.in_pump or conn.phase == .closed) return;
            conn.in_pump = true;
            const before = conn.queue.bytes;
            const open = self.pumpQueue(conn);
            conn.in_pump = false;
            if (!open) return self.close(conn);
            if (conn.queue.isEmpty()) {
                self.protocol.onProgress(conn, before);
                if (conn.queue.isEmpty() and conn.finish_when_sent) self.finishNow(conn);
            } else {
                const sent = before - conn.queue.bytes;
                if (sent > 0) self.protocol.onProgress(conn, sent);
                if (conn.phase != .open or conn.queue.isEmpty() or conn.is_ready) return;
                if (self.protocol.overBudget(conn, .output)) |owner|
                    return self.protocol.onNoMemory(conn, .output, owner);
                self.protocol.onUnsent(conn);
            }
        }

        fn pumpQueue(self: *Self, conn: *Conn) bool {
            while (!conn.queue.isEmpty()) {
                const quota = self.bytesLeft(conn);
                if (quota == 0) {
                    self.goOnLater(conn);
                    return true;
                }
                var iovecs: [limits.iovecs_max]posix.iovec_const = undefined;
                var file_follows = false;
                const pieces = conn.queue.iovecs(&iovecs, &file_follows);
                const result = if (pieces.len > 0)
                    self.send(conn, pieces, file_follows)
                else
                    self.sendFile(conn, conn.queue.first.?.source.file, quota);
                switch (result) {
                    .sent => |n| {
                        if (n == 0) {
                            // The promised length cannot be kept.
                            log.limited("a file became shorter while it was sent: the " ++
                                "connection is closed", .{});
                            return false;
                        }
                        conn.queue.consume(&self.pools, n);
                    },
                    .would_block => {
                        self.backend.sendLater(&conn.stream);
                        return true;
                    },
                    .failed => return false,
                }
            }
            return true;
        }

        fn sendFile(
            self: *Self,
            conn: *Conn,
            file: write_queue.FileRange,
            quota: u32,
        ) io.SendResult {
            const len = @min(file.length, quota);
            const result = self.backend.sendFile(&conn.stream, file.handle.fd(), file.offset, len);
            switch (result) {
                .sent => |n| {
                    self.noteSent(conn, n);
                    if (n == 0) file.handle.doubt();
                },
                .would_block => {},
                .failed => file.handle.doubt(), // or the client has gone
            }
            return result;
        }

        // The end.

        /// Closes once everything written so far has been sent. With `linger`, input is read and
        /// dropped for a while first, so that a reset does not overtake the response (RFC 9112
        /// §9.6).
        pub fn finish(self: *Self, conn: *Conn, linger: bool) void {
            if (conn.phase != .open) return;
            if (self.batch.owner == @as(?*anyopaque, conn)) self.flush();
            if (conn.phase != .open) return;
            conn.linger = linger or conn.input.len > 0;
            conn.finish_when_sent = true;
            if (conn.queue.isEmpty()) self.finishNow(conn);
        }

        fn finishNow(self: *Self, conn: *Conn) void {
            if (conn.phase != .open) return;
            if (!conn.linger or conn.eof) return self.close(conn);
            self.protocol.onClose(conn);
            conn.phase = .lingering;
            self.leaveReady(conn);
            conn.input.deinit(&self.pools.buffers);
            self.backend.shutdownSend(&conn.stream);
            self.backend.resumeRecv(&conn.stream);
            self.wheel.set(conn.id.slot, self.now_ms + limits.linger_ms);
        }

        /// Closes now. What was not sent is lost.
        pub fn close(self: *Self, conn: *Conn) void {
            if (conn.phase == .closed) return;
            if (conn.phase == .open) self.protocol.onClose(conn);
            conn.phase = .closed;
            self.leaveReady(conn);
            if (self.batch.owner == @as(?*anyopaque, conn)) self.batch.reset();
            const is_cut = conn.is_cut or !conn.queue.isEmpty();
            conn.input.deinit(&self.pools.buffers);
            conn.queue.deinit(&self.pools);
            self.wheel.drop(conn.id.slot);
            const ending = if (is_cut)
                self.backend.abort(&conn.stream)
            else
                self.backend.close(&conn.stream);
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

        fn drainAccepted(self: *Self) void {
            while (self.port.accepted.pop()) |accepted| self.openConn(accepted.fd, accepted.peer);
        }

        fn openConn(self: *Self, fd: posix.socket_t, peer: Address) void {
            // The acceptor counts what it hands out against the capacity.
            const id = self.conns.take() orelse unreachable;
            const conn = self.conns.get(id).?;
            conn.* = .{ .id = id, .peer = peer };
            self.backend.open(&conn.stream, fd, .of(.accepted, id)) catch {
                conn.phase = .closed;
                conn.stream.fd = -1;
                self.backend.closeAccepted(fd);
                return self.giveBack(conn);
            };
            self.protocol.onOpen(conn);
            self.protocol.afterEvent(conn);
            // On its way here its first request has mostly come.
            self.backend.receiveNow(&conn.stream, self);
        }

        fn checkDrain(self: *Self) void {
            const deadline = self.port.drain_deadline_ms.load(orders.read);
            if (deadline == 0) return;
            if (!self.draining) {
                // What lies in the sockets already is served: its clients were in time.
                self.drainAccepted(); // before `draining`, which closes an idle connection at once
                self.draining = true;
                self.pollRest();
                self.forEachOpen(drainOne);
                self.protocol.onTurn();
                self.flush();
            } else if (self.now_ms >= deadline) {
                self.forEachOpen(close);
                self.closeLingering();
                self.protocol.onTurn();
            }
            self.reap();
        }

        fn drainOne(self: *Self, conn: *Conn) void {
            self.protocol.onDrain(conn);
            self.settle(conn);
        }

        fn closeLingering(self: *Self) void {
            for (0..self.conns.fresh) |slot| {
                if (!self.conns.isUsed(@intCast(slot))) continue;
                const conn = &self.conns.items[slot];
                if (conn.phase == .lingering) self.close(conn);
            }
        }

        fn forEachOpen(self: *Self, comptime act: fn (*Self, *Conn) void) void {
            for (0..self.conns.fresh) |slot| {
                if (!self.conns.isUsed(@intCast(slot))) continue;
                const conn = &self.conns.items[slot];
                if (conn.phase == .open) act(self, conn);
            }
        }
    };
}
