//! Content on its way to a client of HTTP/2: DATA frames of the exchanges whose turn it is, while
//! windows are open and the socket takes what it is given.

const std = @import("std");
const Id = @import("../../core/slots.zig").Id;
const limits = @import("../../core/limits.zig");
const field_lines = @import("../../http/field_lines.zig");
const FieldLines = field_lines.FieldLines;
const frames = @import("../../http2/frames.zig");
const heads = @import("../../http2/response.zig");
const Out = @import("../../http2/hpack/encoder.zig").Out;
const responses_of = @import("../responses.zig").Responses;

/// For the driver `D`.
pub fn Output(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const http2 = D.http2;
        const Session = http2.Session;
        const Stream = http2.Stream;
        const responses = responses_of(D);

        // What waits.

        /// `ex` may have something to send, and be let.
        pub fn offer(d: *D, session: *Session, ex: *Exchange) void {
            if (ex.http2.place.link.is_linked or ex.http2.has_ended) return;
            if (ex.http2.stream.isClosed() or ex.held.bytes == 0) return;
            if (ex.http2.stream.send.available() > 0) {
                endStall(d, session, ex);
                return session.order.add(ex);
            }
            if (ex.http2.stall.is_on) return;
            ex.http2.stall.begin(d.rates.write, d.net.now_ms);
            session.stalled_count += 1;
            session.stalled_bytes += ex.held_bytes;
            session.stalled_files += ex.held_files;
            session.expect(ex.http2.stall.deadlineMs(d.rates.write, d.config.write_timeout_ms));
        }

        fn endStall(d: *D, session: *Session, ex: *Exchange) void {
            if (!ex.http2.stall.is_on) return;
            ex.http2.stall.end(d.rates.write, d.net.now_ms);
            session.stalled_count -= 1;
            session.stalled_bytes -= ex.held_bytes;
            session.stalled_files -= ex.held_files;
        }

        /// What `ex` holds has changed.
        pub fn countHeld(session: *Session, ex: *Exchange) void {
            if (ex.http2.stall.is_on) {
                session.stalled_bytes -= ex.held_bytes;
                session.stalled_bytes += ex.held.memory_bytes;
                session.stalled_files -= ex.held_files;
                session.stalled_files += ex.held.files;
            }
            session.held_bytes = session.held_bytes - ex.held_bytes + ex.held.memory_bytes;
            session.held_files = session.held_files - ex.held_files + ex.held.files;
            ex.held_bytes = ex.held.memory_bytes;
            ex.held_files = ex.held.files;
        }

        /// Whether `ex` may have all of its credit under way: a client that takes what it is sent,
        /// and as long as others of it do not do so already.
        pub fn makeLarge(d: *D, session: *Session, ex: *Exchange) bool {
            if (ex.http2.is_large) return true;
            if (session.large_count == limits.http2_large_streams_max) return false;
            if (session.held_bytes >= d.config.output_high_water_bytes) return false;
            ex.http2.is_large = true;
            session.large_count += 1;
            return true;
        }

        /// `ex` ends with what it holds.
        pub fn forget(session: *Session, ex: *Exchange) void {
            if (ex.http2.is_large) session.large_count -= 1;
            if (ex.http2.stall.is_on) {
                session.stalled_count -= 1;
                session.stalled_bytes -= ex.held_bytes;
                session.stalled_files -= ex.held_files;
            }
            session.held_bytes -= ex.held_bytes;
            session.held_files -= ex.held_files;
        }

        /// The client has opened a window: of `stream`; null: of the connection, or of all streams.
        pub fn onWindow(d: *D, session: *Session, stream: ?*Stream) void {
            if (stream) |one| offer(d, session, http2.exchangeOf(one)) else {
                // Windows of streams have changed only if some of them wait for one.
                var at = if (session.stalled_count > 0) session.first else null;
                while (at) |ex| : (at = ex.next) offer(d, session, ex);
            }
            pump(d, session);
        }

        // Sending.

        /// What goes into a frame: the smallest that a peer can ask for, so that others are not
        /// kept waiting.
        const data_bytes_max = frames.frame_bytes_initial;

        /// Whether the connection's turn, its socket and its window let content go.
        fn mayPump(d: *D, session: *Session) bool {
            const conn = session.conn;
            if (!conn.isOpen() or conn.queue.bytes >= limits.output_buffer_bytes) return false;
            if (d.net.bytesLeft(conn) == 0) {
                d.net.goOnLater(conn);
                return false;
            }
            return session.protocol.send.available() > 0;
        }

        /// Sends until nobody has more that may be sent, the turn is used up, or the socket is
        /// full: then it goes on when that has taken what it has.
        pub fn pump(d: *D, session: *Session) void {
            if (session.in_pump) return;
            defer http2.tunnels.noteRoom(d, session);
            if (session.order.isEmpty()) {
                session.stall.end(d.rates.write, d.net.now_ms);
                return http2.resumeLater(d, session);
            }
            session.in_pump = true;
            defer session.in_pump = false;
            while (!session.order.isEmpty() and mayPump(d, session))
                sendTurn(d, session, session.order.next().?);
            noteWindow(d, session);
            http2.resumeLater(d, session); // less is under way
        }

        /// The connection's own window may have closed, or opened.
        fn noteWindow(d: *D, session: *Session) void {
            const is_shut = session.protocol.send.available() == 0 and !session.order.isEmpty();
            if (!is_shut) return session.stall.end(d.rates.write, d.net.now_ms);
            session.stall.begin(d.rates.write, d.net.now_ms);
        }

        /// One frame of DATA, and the end behind the last.
        fn sendTurn(d: *D, session: *Session, ex: *Exchange) void {
            const conn = session.conn;
            const protocol = &session.protocol;
            const id = ex.id;
            const sendable = protocol.sendableBytes(&ex.http2.stream);
            const bytes: u24 = @intCast(@min(ex.held.bytes, sendable, data_bytes_max));
            // Behind a page in the place of what was to be streamed nothing comes.
            const is_last = (ex.response == .done or ex.drop_body) and bytes == ex.held.bytes;
            const ends = is_last and ex.http2.trailing.len == 0;
            noteSent(d, session, ex, bytes, ends);
            var header: [frames.header_bytes]u8 = undefined;
            frames.writeDataHeader(&header, ex.http2.stream.id, bytes, ends);
            d.net.write(conn, &header);
            if (!sendContent(d, session, ex, bytes)) return;
            if (!is_last) {
                if (ex.held.bytes == 0 or ex.http2.stream.send.available() == 0) {
                    session.order.remove(ex);
                    offer(d, session, ex); // its window is closed
                }
                if (D.has_sockets and ex.http2.socket != Id.none)
                    return D.websockets.onStreamProgress(d, ex);
                return responses.credit(d, d.carrierOf(ex), ex);
            }
            session.order.remove(ex);
            if (!ends) sendEnd(d, session, ex) else ex.http2.has_ended = true;
            if (!conn.isOpen() or d.exchanges.get(id) == null) return;
            if (ex.response == .done) settle(d, session, ex);
        }

        fn noteSent(d: *D, session: *Session, ex: *Exchange, bytes: u24, ends: bool) void {
            session.protocol.sentData(&ex.http2.stream, bytes, ends);
            // What has been sent whole waits for nothing any more.
            if (!ends) ex.http2.stall.sent(d.rates.write, bytes, d.net.now_ms);
            session.stall.sent(d.rates.write, bytes, d.net.now_ms);
        }

        /// The first `bytes` of what `ex` holds. False: the connection has ended.
        fn sendContent(d: *D, session: *Session, ex: *Exchange, bytes: u24) bool {
            const conn = session.conn;
            const pools = &d.net.pools;
            var left: u64 = bytes;
            while (left > 0 and conn.isOpen()) {
                const node = ex.held.first.?;
                const n = switch (node.source) {
                    .segment, .sealed => |segment| part: {
                        const slice = segment.bytes()[0..@min(segment.bytes().len, left)];
                        d.net.writeBorrowed(conn, slice);
                        break :part slice.len;
                    },
                    .static => |all| part: {
                        const slice = all[0..@min(all.len, left)];
                        d.net.writeStatic(conn, slice);
                        break :part slice.len;
                    },
                    .file => |file| part: {
                        const length = @min(file.length, left);
                        d.net.writeFilePart(conn, .{
                            .handle = file.handle.retain(),
                            .offset = file.offset,
                            .length = length,
                        });
                        break :part length;
                    },
                };
                if (!conn.isOpen()) return false;
                ex.held.consume(pools, n);
                countHeld(session, ex);
                left -= n;
            }
            return conn.isOpen();
        }

        /// Content that need not wait, since nobody else does: as many frames of `bytes` as may
        /// leave now. Returns how much has left; the stream ends with the last of it where
        /// `ends` says so. All of it is gone when the connection has ended.
        pub fn sendNow(
            d: *D,
            session: *Session,
            ex: *Exchange,
            bytes: []const u8,
            ends: bool,
        ) usize {
            const conn = session.conn;
            var used: usize = 0;
            if (!session.order.isEmpty() or ex.held.bytes > 0) return 0;
            while (used < bytes.len and mayPump(d, session)) {
                const sendable = session.protocol.sendableBytes(&ex.http2.stream);
                const n: u24 = @intCast(@min(bytes.len - used, sendable, data_bytes_max));
                if (n == 0) return used; // its window is closed
                const is_end = ends and used + n == bytes.len;
                noteSent(d, session, ex, n, is_end);
                if (is_end) ex.http2.has_ended = true;
                var header: [frames.header_bytes]u8 = undefined;
                frames.writeDataHeader(&header, ex.http2.stream.id, n, is_end);
                d.net.write(conn, &header);
                if (!conn.isOpen()) return bytes.len;
                d.net.writeBorrowed(conn, bytes[used..][0..n]);
                if (!conn.isOpen()) return bytes.len;
                used += n;
            }
            return used;
        }

        /// END_STREAM, behind all content: with trailers where there are some.
        pub fn sendEnd(d: *D, session: *Session, ex: *Exchange) void {
            if (ex.http2.has_ended or ex.http2.stream.isClosed()) return;
            ex.http2.has_ended = true;
            if (ex.http2.trailing.len > 0) return writeTrailers(d, session, ex);
            session.protocol.sentEnd(&ex.http2.stream);
            var header: [frames.header_bytes]u8 = undefined;
            frames.writeDataHeader(&header, ex.http2.stream.id, 0, true);
            d.net.write(session.conn, &header);
        }

        fn writeTrailers(d: *D, session: *Session, ex: *Exchange) void {
            session.protocol.sentEnd(&ex.http2.stream);
            const trailing = &ex.http2.trailing;
            const text = trailing.contiguous(&d.net.pools.buffers, @intCast(trailing.len)) catch
                return d.onNoMemory(session.conn, .output, .pool);
            var lengths: [limits.response_field_count_max]field_lines.Lengths = undefined;
            const lines = linesOf(text[0..@intCast(trailing.len)], &lengths);
            const frame_bytes_max = session.protocol.peer.frame_bytes_max;
            const room = d.head_buffer;
            var out: Out = .{ .bytes = room[frames.header_bytes..] };
            heads.writeTrailers(&session.protocol.encoder, &out, lines);
            const id = ex.http2.stream.id;
            const len = frames.sealHeaders(room, out.len, id, true, frame_bytes_max);
            d.net.writeBorrowed(session.conn, room[0..len]);
        }

        /// Lines as HTTP/1 has them, with their lengths.
        fn linesOf(text: []const u8, lengths: []field_lines.Lengths) FieldLines {
            var count: usize = 0;
            var each = std.mem.splitSequence(u8, text, "\r\n");
            while (each.next()) |line| {
                const colon = std.mem.indexOf(u8, line, ": ") orelse break;
                lengths[count] = .{
                    .name = @intCast(colon),
                    .value = @intCast(line.len - colon - 2),
                };
                count += 1;
            }
            return .{ .text = text, .lengths = lengths[0..count] };
        }

        /// The response has been sent. The exchange ends, unless its content is still to be read.
        pub fn settle(d: *D, session: *Session, ex: *Exchange) void {
            if (!ex.http2.has_ended) return;
            if (ex.http2.stream.isClosed()) {
                http2.release(d, session, ex);
                return http2.afterRelease(d, session);
            }
            ex.is_retired = true;
            // It waits to be told to send what nobody wants any more.
            const is_useless = ex.http2.spares_content or ex.http2.awaits_continue or
                !ex.body.isWorthReading(ex.http2.stream.content.left);
            if (is_useless) return http2.reset(d, ex, .no_error);
            // However long both sides have talked, the client has from now on to come to an end.
            ex.body.since_ms = d.net.now_ms;
            ex.body.meter.begin(d.rates.body, d.net.now_ms);
            session.expect(ex.body.deadlineMs(d.rates.body, d.config.body_timeout_ms));
        }

        /// The socket has taken some of what it was given.
        pub fn onProgress(d: *D, conn: *Conn) void {
            const session = http2.of(conn);
            pump(d, session);
            if (conn.isOpen()) http2.resumeLater(d, session);
        }
    };
}
