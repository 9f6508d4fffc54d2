//! What a worker's connections are sent: what one of them gets in a turn is gathered and leaves
//! in one vectored write; what the socket does not take stays in its write queue.
//!
//! All of these functions may close the connection: look at `isOpen` afterwards.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Chain = @import("../core/chain.zig").Chain;
const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const io = @import("../io/io.zig");
const write_queue = @import("write_queue.zig");
const WriteQueue = write_queue.WriteQueue;

/// The part of the worker `W` that sends.
pub fn Sending(comptime W: type) type {
    return struct {
        const Conn = W.Conn;
        const Filtering = W.Filtering;

        /// Room for `bytes` (at most half the output buffer) at the end of what `conn` is being
        /// sent; `commit` what was written.
        pub fn reserve(self: *W, conn: *Conn, bytes: u32) []u8 {
            assert(bytes <= limits.output_buffer_bytes / 2);
            batchFor(self, conn);
            if (!self.batch.fits(bytes)) self.flush();
            batchFor(self, conn);
            return self.batch.room();
        }

        pub fn commit(self: *W, bytes: usize) void {
            self.batch.commit(bytes);
        }

        /// Sends a copy of `bytes`, together with what else this turn brings.
        pub fn write(self: *W, conn: *Conn, bytes: []const u8) void {
            var rest = bytes;
            while (rest.len > 0 and takesMore(conn)) {
                const n = @min(rest.len, limits.output_buffer_bytes / 2);
                const room = self.reserve(conn, @intCast(n));
                if (!takesMore(conn)) return;
                @memcpy(room[0..n], rest[0..n]);
                self.commit(n);
                rest = rest[n..];
            }
        }

        /// Sends bytes that live as long as the server; they are never copied.
        pub fn writeStatic(self: *W, conn: *Conn, bytes: []const u8) void {
            if (bytes.len <= limits.inline_body_bytes_max) return self.write(conn, bytes);
            batchFor(self, conn);
            if (!self.batch.fitsSlice()) self.flush();
            if (!takesMore(conn)) return;
            batchFor(self, conn);
            self.batch.addSlice(bytes, .static);
        }

        /// Sends bytes that the caller may change when this returns:
        /// what the socket does not take now is copied.
        pub fn writeBorrowed(self: *W, conn: *Conn, bytes: []const u8) void {
            if (bytes.len <= limits.output_buffer_bytes / 4) return self.write(conn, bytes);
            writeUncopied(self, conn, bytes);
        }

        /// The same, however few they are.
        pub fn writeUncopied(self: *W, conn: *Conn, bytes: []const u8) void {
            batchFor(self, conn);
            if (!self.batch.fitsSlice()) self.flush();
            if (!takesMore(conn)) return;
            batchFor(self, conn);
            self.batch.addSlice(bytes, .borrowed);
            self.flush();
        }

        /// Sends the blocks of `source` and leaves it empty.
        pub fn writeChain(self: *W, conn: *Conn, source: *Chain) void {
            if (source.len <= limits.output_buffer_bytes / 4) {
                var at = source.first;
                while (at) |segment| : (at = segment.next) self.write(conn, segment.bytes());
                return source.deinit(&self.pools.buffers);
            }
            batchFor(self, conn);
            if (!self.batch.fitsSlice()) self.flush();
            if (!takesMore(conn)) return source.deinit(&self.pools.buffers);
            self.batch.owner = conn;
            flushWith(self, source, false);
        }

        /// Sends a range of a file; the worker is the owner from here on.
        pub fn writeFile(self: *W, conn: *Conn, file: write_queue.FileRange) void {
            if (conn.phase != .open or file.length == 0) return file.handle.release();
            batchFor(self, conn);
            flushMore(self, true);
            if (!takesMore(conn)) return file.handle.release();
            conn.queue.appendFile(&self.pools, file) catch {
                file.handle.release();
                return self.protocol.onNoMemory(conn, .output, .pool);
            };
            pump(self, conn);
        }

        /// Sends a short range of a file, at most half the output buffer, together with what else
        /// this turn brings: it is read now, and once more where the socket does not take it. The
        /// worker is the owner from here on.
        pub fn writeFilePart(self: *W, conn: *Conn, file: write_queue.FileRange) void {
            if (conn.phase != .open or file.length == 0) return file.handle.release();
            const room = reserve(self, conn, @intCast(file.length))[0..@intCast(file.length)];
            if (!takesMore(conn)) return file.handle.release();
            if (readWhole(file, room)) return self.batch.commitFile(file);
            file.handle.doubt();
            file.handle.release();
            self.close(conn);
        }

        fn readWhole(file: write_queue.FileRange, room: []u8) bool {
            var done: usize = 0;
            while (done < room.len) {
                const at = file.offset + done;
                const n = system.readAt(file.handle.fd(), room[done..], at) catch return false;
                if (n == 0) {
                    tellShort();
                    return false;
                }
                done += n;
            }
            return true;
        }

        /// Sends what `queue` holds and leaves it empty.
        pub fn writeQueue(self: *W, conn: *Conn, queue: *WriteQueue) void {
            // Its owner may end under the flush.
            var taken = queue.*;
            queue.* = .{};
            batchFor(self, conn);
            self.flush();
            if (!takesMore(conn)) return taken.deinit(&self.pools);
            conn.queue.appendQueue(&taken);
            pump(self, conn);
        }

        /// Whether what is written is sent. A flush may have ended the connection: where there was
        /// no memory for what it left, a part is gone of what the next bytes belong to, and the
        /// last word has been said.
        fn takesMore(conn: *const Conn) bool {
            return conn.phase == .open and !conn.finish_when_sent;
        }

        fn batchFor(self: *W, conn: *Conn) void {
            if (self.batch.owner == @as(?*anyopaque, conn)) return;
            self.flush();
            assert(self.batch.isEmpty());
            self.batch.owner = conn;
        }

        /// Sends what has been gathered.
        pub fn flush(self: *W) void {
            flushMore(self, false);
        }

        fn flushMore(self: *W, more: bool) void {
            if (self.batch.isEmpty()) return self.batch.reset(); // it may have had an owner
            flushWith(self, null, more);
        }

        /// Sends what has been gathered, and the blocks of `source` behind it, in one call. Takes
        /// the blocks over.
        fn flushWith(self: *W, source: ?*Chain, more: bool) void {
            const conn: *Conn = @alignCast(@ptrCast(self.batch.owner.?));
            // What is left of them when this returns has found no place.
            defer if (source) |chain| chain.deinit(&self.pools.buffers);
            if (conn.phase != .open) return self.batch.reset();
            const had_queue = !conn.queue.isEmpty();
            const gathered = self.batch.bytes;
            var sent: usize = 0;
            if (!had_queue) {
                const pieces = self.batch.piecesWith(source);
                switch (send(self, conn, pieces, more)) {
                    .sent => |n| sent = n,
                    .would_block => {},
                    .failed => {
                        self.batch.reset();
                        return self.close(conn);
                    },
                }
            }
            var queued = queueRest(self, conn, source, gathered, sent);
            // What the socket has not taken of records stands in front of that.
            if (W.filters) Filtering.keepUnsent(self, conn) catch |err| {
                queued = err;
            };
            // Callbacks follow: what they write is another batch.
            self.batch.reset();
            queued catch return self.protocol.onNoMemory(conn, .output, .pool);
            if (W.filters and conn.is_filtered) Filtering.noteFailure(self, conn);
            if (conn.queue.isEmpty()) return;
            if (self.protocol.overBudget(conn, .output)) |owner|
                return self.protocol.onNoMemory(conn, .output, owner);
            if (had_queue) return;
            if (self.bytesLeft(conn) == 0) return self.goOnLater(conn);
            // There were more blocks than go in one write: the socket may take them.
            if (W.filters and conn.is_filtered and !isForSystem(self, conn))
                return pump(self, conn);
            sendLater(self, conn);
            self.protocol.onUnsent(conn);
        }

        /// Queues what is left of the batch and of `source` when `sent` bytes of both have left.
        fn queueRest(
            self: *W,
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
        fn send(self: *W, conn: *Conn, iovecs: []posix.iovec_const, more: bool) io.SendResult {
            const quota = self.bytesLeft(conn);
            if (quota == 0) return .would_block;
            const part = partOf(iovecs, quota);
            const last = &iovecs[part.count - 1];
            const whole_len = last.len;
            last.len = part.last_len;
            defer last.len = whole_len;
            if (W.filters and conn.is_filtered)
                return Filtering.send(self, conn, iovecs[0..part.count], more);
            const result = self.backend.send(&conn.stream, iovecs[0..part.count], more);
            if (result == .sent) self.noteSent(conn, result.sent);
            return result;
        }

        /// The first `bytes` of `iovecs`, whose last piece is cut in place.
        pub fn cut(iovecs: []posix.iovec_const, bytes: usize) []posix.iovec_const {
            if (iovecs.len == 0) return iovecs;
            const part = partOf(iovecs, bytes);
            iovecs[part.count - 1].len = part.last_len;
            return iovecs[0..part.count];
        }

        const Part = struct { count: usize, last_len: usize };

        /// The pieces that hold the first `bytes` of `iovecs`, and how much of the last of them.
        fn partOf(iovecs: []const posix.iovec_const, bytes: usize) Part {
            var left = bytes;
            for (iovecs, 1..) |iovec, count| {
                if (iovec.len >= left) return .{ .count = count, .last_len = left };
                left -= iovec.len;
            }
            return .{ .count = iovecs.len, .last_len = iovecs[iovecs.len - 1].len };
        }

        /// The system took so many bytes of what `sendLater` offered, or the socket has room again.
        pub fn onSent(self: *W, conn: *Conn, bytes: u64) void {
            assert(conn.awaits_room);
            conn.awaits_room = false;
            const before = conn.queue.bytes;
            if (bytes > 0) {
                self.noteSent(conn, bytes);
                if (W.filters and conn.is_filtered) Filtering.noteSealed(self, conn, bytes);
                conn.queue.consume(&self.pools, bytes);
            }
            pumpFrom(self, conn, before);
        }

        /// Sends from the write queue until it is empty or the socket is full.
        pub fn pump(self: *W, conn: *Conn) void {
            pumpFrom(self, conn, conn.queue.bytes);
        }

        /// `before`: bytes of the queue that the protocol knows of.
        fn pumpFrom(self: *W, conn: *Conn, before: u64) void {
            if (conn.in_pump or conn.awaits_room or conn.phase == .closed) return;
            conn.in_pump = true;
            const open = if (W.filters and conn.is_filtered)
                Filtering.pumpQueue(self, conn)
            else
                pumpQueue(self, conn);
            conn.in_pump = false;
            if (!open) return self.close(conn);
            if (W.filters and conn.is_filtered) Filtering.noteFailure(self, conn);
            if (conn.queue.isEmpty()) {
                self.protocol.onProgress(conn, before);
                if (conn.queue.isEmpty() and conn.finish_when_sent) self.finishNow(conn);
            } else {
                const sent = before -| conn.queue.bytes; // records are longer than their text
                if (sent > 0) self.protocol.onProgress(conn, sent);
                if (conn.phase != .open or conn.queue.isEmpty() or conn.is_ready) return;
                if (self.protocol.overBudget(conn, .output)) |owner|
                    return self.protocol.onNoMemory(conn, .output, owner);
                self.protocol.onUnsent(conn);
            }
        }

        /// Sends from the write queue of a connection whose bytes pass no filter, or are sealed by
        /// the system. False: the connection is to be closed.
        pub fn pumpQueue(self: *W, conn: *Conn) bool {
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
                    send(self, conn, pieces, file_follows)
                else
                    sendFile(self, conn, conn.queue.first.?.source.file, quota);
                switch (result) {
                    .sent => |n| {
                        if (n == 0) {
                            tellShort();
                            return false;
                        }
                        conn.queue.consume(&self.pools, n);
                    },
                    .would_block => {
                        sendLater(self, conn);
                        return true;
                    },
                    .failed => return false,
                }
            }
            return true;
        }

        /// The system may have the queue's beginning as it is: records, or text that it seals.
        fn isForSystem(self: *W, conn: *const Conn) bool {
            return conn.queue.isSealed() or Filtering.isOffloaded(self, conn);
        }

        /// The promised length cannot be kept.
        pub fn tellShort() void {
            log.limited("a file became shorter while it was sent: the connection is closed", .{});
        }

        /// The socket is full. The system may take as much of the queue as the connection's turn
        /// has left: it stays where it is until `onSent`.
        pub fn sendLater(self: *W, conn: *Conn) void {
            assert(!W.filters or !conn.is_filtered or isForSystem(self, conn));
            conn.awaits_room = true;
            const quota = self.bytesLeft(conn);
            var iovecs: [limits.iovecs_max]posix.iovec_const = undefined;
            var file_follows = false;
            const pieces = conn.queue.iovecs(&iovecs, &file_follows);
            if (pieces.len == 0) {
                const file = conn.queue.first.?.source.file;
                return self.backend.sendLater(&conn.stream, .{ .file = .{
                    .fd = file.handle.fd(),
                    .offset = file.offset,
                    .length = @min(file.length, quota),
                } });
            }
            self.backend.sendLater(&conn.stream, .{ .memory = cut(pieces, quota) });
        }

        fn sendFile(
            self: *W,
            conn: *Conn,
            file: write_queue.FileRange,
            quota: u32,
        ) io.SendResult {
            const len = @min(file.length, quota);
            if (W.filters and conn.is_filtered and !Filtering.filterOf(self, conn).takesText())
                return .{ .sent = len }; // nobody will see it
            const result = self.backend.sendFile(&conn.stream, file.handle.fd(), file.offset, len);
            switch (result) {
                .sent => |n| {
                    self.noteSent(conn, n);
                    if (W.filters and conn.is_filtered) Filtering.noteSealed(self, conn, n);
                    if (n == 0) file.handle.doubt();
                },
                .would_block => {},
                .failed => file.handle.doubt(), // or the client has gone
            }
            return result;
        }
    };
}
