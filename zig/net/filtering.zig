//! Connections whose bytes pass a filter on their way between socket and protocol: TLS. Text is
//! what the protocol sees, records are what the socket does. The write queue keeps text, which is
//! sealed when the socket takes bytes; what is left of records that it did not take stands in
//! front of the queue.
//!
//! Handshakes cost a lot: what one turn of the worker spends on them has a bound, and those that
//! are left go on in the next, in the order in which they came. Until then their connections are
//! not served, so that what else they are sent stays in the socket.
//!
//! A filter `F` knows no socket:
//!   read(f, bytes) { text, used, cost_us }  opens records where they lie; it uses nothing when it
//!                                         wants more; a handshake tells what it has cost
//!   lacking(bytes) usize                  how much is to come of the record that `bytes` begin
//!   write(f, pieces, out) { taken, len }  what is sent next: its own, and records of `pieces`
//!   hasOutput(f) bool                     `write` has something of its own to send
//!   isOpen(f) bool                        the handshake is over
//!   takesText(f) bool                     `write` takes pieces
//!   hasPeerClosed(f) bool                 the peer has said that it sends no more
//!   hasFailed(f) bool                     it is over, but for what `write` has to say of it
//!   close(f)                              the last that is sent says that nothing follows
//!   offload_bytes_min                     from so many bytes of a file on the system is asked
//!   keysOf(f, out) bool                   what the system may seal with in its place; false:
//!                                         nothing
//!   offload(f)                            the system does: `write` is not called any more
//!   noteSealed(f, bytes)                  it has sealed so much text: the filter may fail by that
//!   message(f) ?sealing.Message           what of its own has to be sent then
//!   said(f)                               that has been sent
//!   deinit(f)

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Chain = @import("../core/chain.zig").Chain;
const contiguous_bytes_max = @import("../core/chain.zig").contiguous_bytes_max;
const memory = @import("../core/memory.zig");
const system = @import("../core/system.zig");
const io = @import("../io/io.zig");
const write_queue = @import("write_queue.zig");
const limits = @import("../core/limits.zig");
const sealing = @import("../core/sealing.zig");

/// The part of the worker `W` that filters; `F`: the filter.
pub fn Filtering(comptime W: type, comptime F: type) type {
    return struct {
        const Self = @This();
        const Conn = W.Conn;

        /// Of a connection.
        const Slot = struct {
            filter: F,
            /// The beginning of a record that is not whole; with `is_holding`, all that has come.
            begun: Chain = .{},
            is_holding: bool = false,
            /// Its handshake waits for a later turn, in the list of `wait`.
            is_waiting: bool = false,
            wait: Wait = .fresh,
            /// The protocol knows that text can be exchanged.
            is_told_open: bool = false,
            /// The filter has failed: what comes is of no interest.
            is_deaf: bool = false,
            /// The filter was told to close.
            is_closing: bool = false,
            sealer: Sealer = .filter,
        };

        /// Who has begun is through sooner: what its handshake holds is needed for others.
        const Wait = enum(u1) { begun, fresh };

        /// Who seals what is sent. The system is asked when a long range of a file is to be sent,
        /// which need not come to this process then; for what lies in memory here the filter is as
        /// good. What comes in is the filter's always.
        const Sealer = enum(u2) { filter, filter_always, system };

        slots: []align(memory.page_bytes) Slot,
        /// Connections whose handshakes go on in later turns, those that wait longest first.
        waiting: std.EnumArray(Wait, W.ReadyList) = .initFill(.{}),
        /// What handshakes have cost of the turn of that number, µs.
        spent_us: u32 = 0,
        spent_turn: u32 = 0,
        /// Records, on their way to the socket.
        records: []align(memory.page_bytes) u8,
        /// Text of files, on its way into records.
        text: []align(memory.page_bytes) u8,
        /// What the socket has not taken of `records`, until it is in the queue.
        unsent: []const u8 = "",

        pub fn init(connections: u32) error{OutOfMemory}!Self {
            const slots = try memory.reserve(Slot, connections);
            errdefer memory.release(Slot, slots);
            const records = try memory.reserve(u8, limits.filter_bytes);
            errdefer memory.release(u8, records);
            const text = try memory.reserve(u8, limits.filter_bytes);
            return .{ .slots = slots, .records = records, .text = text };
        }

        pub fn deinit(self: *Self) void {
            memory.release(u8, self.text);
            memory.release(u8, self.records);
            memory.release(Slot, self.slots);
            self.* = undefined;
        }

        /// `conn`, which is new, has `filter` from here on.
        pub fn open(w: *W, conn: *Conn, filter: F) void {
            assert(conn.kind == .accepted);
            w.filtering.slots[conn.id.slot] = .{ .filter = filter };
            conn.is_filtered = true;
        }

        /// Of a connection whose bytes pass one.
        pub fn filterOf(w: *W, conn: *const Conn) *F {
            return &of(w, conn).filter;
        }

        fn of(w: *W, conn: *const Conn) *Slot {
            assert(conn.is_filtered);
            return &w.filtering.slots[conn.id.slot];
        }

        /// The connection ends.
        pub fn release(w: *W, conn: *Conn) void {
            assert(!conn.is_ready); // its list is found by the slot
            const own = of(w, conn);
            own.begun.deinit(&w.pools.buffers);
            own.filter.deinit();
            conn.is_filtered = false;
        }

        // Turns.

        pub fn waits(self: *const Self) bool {
            return self.waitingCount() > 0;
        }

        pub fn waitingCount(self: *const Self) u32 {
            return self.waiting.get(.begun).len + self.waiting.get(.fresh).len;
        }

        /// The list that `conn` waits in for its handshake, and now leaves; null: none.
        pub fn leave(w: *W, conn: *const Conn) ?*W.ReadyList {
            if (!conn.is_filtered) return null;
            const own = of(w, conn);
            if (!own.is_waiting) return null;
            own.is_waiting = false;
            return w.filtering.waiting.getPtr(own.wait);
        }

        fn hasSpent(w: *W) bool {
            const self = &w.filtering;
            return self.spent_turn == w.turn_number and self.spent_us >= limits.filter_turn_us;
        }

        fn spend(w: *W, cost_us: u32) void {
            const self = &w.filtering;
            if (self.spent_turn != w.turn_number) self.spent_us = 0;
            self.spent_turn = w.turn_number;
            self.spent_us +|= cost_us;
        }

        /// Whether the handshake of `own` has to go on later: this turn's time is spent, or others
        /// have waited longer.
        fn hasToWait(w: *W, own: *const Slot) bool {
            if (own.filter.isOpen() or own.filter.hasFailed()) return false;
            if (hasSpent(w)) return true;
            const lists = &w.filtering.waiting;
            if (lists.get(.begun).len > 0) return true;
            return own.wait == .fresh and lists.get(.fresh).len > 0;
        }

        /// Keeps `bytes` for a later turn. False: there is no memory for that.
        fn hold(w: *W, conn: *Conn, bytes: []const u8) bool {
            const own = of(w, conn);
            own.begun.append(&w.pools.buffers, bytes) catch return false;
            own.is_holding = true;
            if (conn.is_ready) return true; // in another list, which leads to `receiveHeld` too
            own.is_waiting = true;
            conn.is_ready = true;
            w.filtering.waiting.getPtr(own.wait).append(conn);
            return true;
        }

        /// Goes on with handshakes that have waited.
        pub fn serveWaiting(w: *W) void {
            for (std.enums.values(Wait)) |wait| {
                while (w.filtering.waiting.get(wait).first) |conn| {
                    if (hasSpent(w)) return;
                    w.goOn(conn);
                }
            }
        }

        // Input.

        /// What came from the socket.
        pub fn receive(w: *W, conn: *Conn, bytes: []u8) void {
            const own = of(w, conn);
            if (own.is_deaf) return;
            if (own.is_holding or hasToWait(w, own)) {
                if (hold(w, conn, bytes)) return;
                if (own.is_holding) return w.protocol.onNoMemory(conn, .input, .pool);
                // Without memory to wait in, its turn is now.
            }
            const rest = completeBegun(w, conn, bytes) catch
                return w.protocol.onNoMemory(conn, .input, .pool);
            if (!conn.isOpen()) return;
            const used = read(w, conn, rest);
            if (!conn.isOpen()) return;
            of(w, conn).begun.append(&w.pools.buffers, rest[used..]) catch
                return w.protocol.onNoMemory(conn, .input, .pool);
            answer(w, conn);
        }

        /// What came in an earlier turn.
        fn receiveHeld(w: *W, conn: *Conn) void {
            const own = of(w, conn);
            if (!own.is_holding or conn.is_ready) return;
            own.is_holding = false;
            const pool = &w.pools.buffers;
            while (own.begun.len > 0) {
                const want = @min(own.begun.len, contiguous_bytes_max);
                const bytes = own.begun.contiguous(pool, @intCast(want)) catch
                    return w.protocol.onNoMemory(conn, .input, .pool);
                const used = read(w, conn, bytes);
                if (!conn.isOpen()) return;
                if (used == 0) break;
                own.begun.consume(pool, used);
            }
            answer(w, conn);
        }

        /// Fills up the record that has begun, and reads it. Returns what follows it.
        fn completeBegun(w: *W, conn: *Conn, bytes: []u8) error{OutOfBuffers}![]u8 {
            const own = of(w, conn);
            const pool = &w.pools.buffers;
            var rest = bytes;
            while (own.begun.len > 0 and rest.len > 0) {
                const n = @min(rest.len, F.lacking(own.begun.front()));
                try own.begun.append(pool, rest[0..n]);
                rest = rest[n..];
                const whole = try own.begun.contiguous(pool, @intCast(own.begun.len));
                if (F.lacking(whole) > 0) continue;
                const used = read(w, conn, whole[0..@intCast(own.begun.len)]);
                if (!conn.isOpen()) return rest;
                assert(used == own.begun.len);
                own.begun.deinit(pool);
            }
            return rest;
        }

        /// Reads records and gives the protocol their text. Returns how many bytes are done with.
        fn read(w: *W, conn: *Conn, bytes: []u8) usize {
            const own = of(w, conn);
            var used: usize = 0;
            while (used < bytes.len) {
                const result = own.filter.read(bytes[used..]);
                used += result.used;
                if (result.used > 0) own.wait = .begun;
                if (result.cost_us > 0) spend(w, result.cost_us);
                tellOpen(w, conn, own);
                if (!conn.isOpen()) return used;
                if (result.text.len > 0) w.receiveText(conn, result.text);
                if (!conn.isOpen() or result.used == 0) return used;
            }
            return used;
        }

        fn tellOpen(w: *W, conn: *Conn, own: *Slot) void {
            if (own.is_told_open or !own.filter.isOpen()) return;
            own.is_told_open = true;
            w.protocol.onFiltered(conn);
        }

        /// What input has made of the filter.
        fn answer(w: *W, conn: *Conn) void {
            const filter = &of(w, conn).filter;
            if (filter.hasFailed()) return fail(w, conn);
            if (filter.hasOutput()) w.pump(conn);
            if (!conn.isOpen() or !filter.hasPeerClosed() or conn.eof) return;
            w.receiveEof(conn);
        }

        /// Sending may end a filter: there were no new keys to be had, or the system has sealed all
        /// that it may. The connection goes on to its end in the next turn, since callers up the
        /// stack are in the middle of something.
        pub fn noteFailure(w: *W, conn: *Conn) void {
            const own = of(w, conn);
            if (conn.phase != .open or own.is_deaf) return;
            if (own.filter.hasFailed()) w.goOnLater(conn);
        }

        /// What an earlier turn has left.
        pub fn goOn(w: *W, conn: *Conn) void {
            const own = of(w, conn);
            if (own.is_deaf) return;
            if (own.filter.hasFailed()) fail(w, conn) else receiveHeld(w, conn);
        }

        /// The peer is told why, and is heard no further.
        fn fail(w: *W, conn: *Conn) void {
            of(w, conn).is_deaf = true;
            w.protocol.onFilterFailed(conn);
            if (conn.isOpen()) w.finish(conn, true);
        }

        // Output.

        /// Seals `pieces` and sends as much as the socket takes. Returns how much of them is in
        /// records; `keepUnsent` has to follow, once that has left the queue.
        /// `more`: other bytes follow at once.
        pub fn send(
            w: *W,
            conn: *Conn,
            pieces: []const posix.iovec_const,
            more: bool,
        ) io.SendResult {
            const self = &w.filtering;
            const filter = &of(w, conn).filter;
            assert(self.unsent.len == 0);
            if (isOffloaded(w, conn)) return sendText(w, conn, pieces, more);
            var copy: [limits.iovecs_max]posix.iovec_const = undefined;
            @memcpy(copy[0..pieces.len], pieces);
            var rest: []posix.iovec_const = copy[0..pieces.len];
            var taken: usize = 0;
            while (true) {
                if (!filter.takesText()) { // nobody will see it
                    taken += bytesOf(rest);
                    rest = rest[rest.len..];
                }
                const written = filter.write(rest, self.records);
                skip(&rest, written.taken);
                taken += written.taken;
                if (written.len == 0) break;
                const records = self.records[0..written.len];
                switch (w.backend.send(&conn.stream, &.{pieceOf(records)}, false)) {
                    .sent => |n| {
                        w.noteSent(conn, n);
                        self.unsent = records[n..];
                    },
                    .would_block => self.unsent = records,
                    .failed => return .failed,
                }
                if (self.unsent.len > 0) break;
            }
            return .{ .sent = taken };
        }

        fn pieceOf(bytes: []const u8) posix.iovec_const {
            return .{ .base = bytes.ptr, .len = bytes.len };
        }

        fn bytesOf(pieces: []const posix.iovec_const) usize {
            var bytes: usize = 0;
            for (pieces) |piece| bytes += piece.len;
            return bytes;
        }

        fn skip(pieces: *[]posix.iovec_const, bytes: usize) void {
            var left = bytes;
            while (left > 0) {
                const piece = &pieces.*[0];
                const n = @min(left, piece.len);
                piece.base += n;
                piece.len -= n;
                left -= n;
                if (piece.len == 0) pieces.* = pieces.*[1..];
            }
        }

        /// Puts what the socket has not taken in front of the queue.
        pub fn keepUnsent(w: *W, conn: *Conn) write_queue.WriteQueue.Error!void {
            const bytes = w.filtering.unsent;
            w.filtering.unsent = "";
            if (bytes.len > 0) try conn.queue.prependSealed(&w.pools, bytes);
        }

        /// Sends what the filter has to say, and from the write queue, until both are empty or the
        /// socket is full. False: the connection is to be closed.
        pub fn pumpQueue(w: *W, conn: *Conn) bool {
            const filter = &of(w, conn).filter;
            while (!conn.queue.isEmpty() or filter.hasOutput()) {
                // What the filter says itself is little.
                if (!conn.queue.isEmpty() and w.bytesLeft(conn) == 0) {
                    w.goOnLater(conn);
                    return true;
                }
                if (isOffloaded(w, conn)) return pumpSealed(w, conn);
                switch (sendNext(w, conn)) {
                    .sent => |n| conn.queue.consume(&w.pools, n),
                    .would_block => {},
                    .failed => return false,
                }
                keepUnsent(w, conn) catch return false;
                if (!conn.queue.isSealed() or w.bytesLeft(conn) == 0) continue;
                w.sendLater(conn);
                return true;
            }
            return true;
        }

        /// Records that are left, else the next of the queue's text. What is left of records after
        /// it waits for room.
        fn sendNext(w: *W, conn: *Conn) io.SendResult {
            var iovecs: [limits.iovecs_max]posix.iovec_const = undefined;
            var file_follows = false;
            const pieces = conn.queue.iovecs(&iovecs, &file_follows);
            const quota = w.bytesLeft(conn);
            if (conn.queue.isSealed()) {
                const result = w.backend.send(&conn.stream, pieces, false);
                if (result == .sent) w.noteSent(conn, result.sent);
                return result;
            }
            if (pieces.len == 0 and !conn.queue.isEmpty()) {
                if (offload(w, conn)) return .{ .sent = 0 }; // by another way
                return sendFile(w, conn, quota);
            }
            return send(w, conn, W.cut(pieces, quota), file_follows);
        }

        fn sendFile(w: *W, conn: *Conn, quota: u32) io.SendResult {
            const file = conn.queue.first.?.source.file;
            if (!of(w, conn).filter.takesText()) return .{ .sent = file.length };
            const room = w.filtering.text[0..@min(file.length, quota, w.filtering.text.len)];
            const n = system.readAt(file.handle.fd(), room, file.offset) catch {
                file.handle.doubt();
                return .failed;
            };
            if (n == 0) {
                file.handle.doubt();
                W.tellShort();
                return .failed;
            }
            return send(w, conn, &.{pieceOf(room[0..n])}, false);
        }

        // Where the system seals.

        /// Whether it does.
        pub fn isOffloaded(w: *W, conn: *const Conn) bool {
            return of(w, conn).sealer == .system;
        }

        /// Asks the system to seal, once in a connection's life. Nothing of the filter's is left.
        fn offload(w: *W, conn: *Conn) bool {
            const own = of(w, conn);
            if (own.sealer != .filter) return false;
            assert(!conn.queue.isSealed() and w.filtering.unsent.len == 0);
            if (conn.queue.first.?.source.file.length < F.offload_bytes_min) return false;
            var keys: sealing.Keys = .{};
            defer std.crypto.secureZero(u8, &keys.buffer);
            if (!own.filter.keysOf(&keys)) return false;
            own.sealer = .filter_always;
            if (!w.backend.sealSends(&conn.stream, &keys)) return false;
            own.sealer = .system;
            own.filter.offload();
            return true;
        }

        fn sendText(
            w: *W,
            conn: *Conn,
            pieces: []const posix.iovec_const,
            more: bool,
        ) io.SendResult {
            if (!of(w, conn).filter.takesText()) return .{ .sent = bytesOf(pieces) };
            const result = w.backend.send(&conn.stream, pieces, more);
            if (result == .sent) {
                w.noteSent(conn, result.sent);
                noteSealed(w, conn, result.sent);
            }
            return result;
        }

        /// What `pumpQueue` does.
        fn pumpSealed(w: *W, conn: *Conn) bool {
            const filter = &of(w, conn).filter;
            // What stands for a message that found no room.
            if (conn.queue.isSealed()) conn.queue.consume(&w.pools, message_bytes);
            if (!filter.takesText()) conn.queue.deinit(&w.pools); // nobody will see it
            if (!W.pumpQueue(w, conn)) return false;
            if (!conn.queue.isEmpty()) return true;
            const message = filter.message() orelse return true;
            switch (w.backend.sendSealed(&conn.stream, &message)) {
                .sent => filter.said(),
                .would_block => {
                    conn.queue.prependSealed(&w.pools, &message.bytes) catch return false;
                    conn.awaits_room = true;
                    w.backend.sendLater(&conn.stream, .{ .memory = &.{} });
                },
                .failed => return false,
            }
            return true;
        }

        const message_bytes = @sizeOf(@FieldType(sealing.Message, "bytes"));

        /// The system has taken so much text of `conn`.
        pub fn noteSealed(w: *W, conn: *Conn, bytes: usize) void {
            const own = of(w, conn);
            if (own.sealer == .system) own.filter.noteSealed(bytes);
        }

        /// Has the filter say that nothing follows, once. False: the connection ends when that has
        /// left.
        pub fn hasSaidEnd(w: *W, conn: *Conn) bool {
            const own = of(w, conn);
            if (own.is_closing) return true;
            own.is_closing = true;
            own.filter.close();
            w.pump(conn); // which ends it where the queue is empty
            return false;
        }
    };
}
