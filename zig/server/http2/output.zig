//! Content on its way to a client of HTTP/2: DATA frames of the exchanges whose turn it is, while
//! windows are open and the socket takes what it is given.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../../core/limits.zig");
const field_lines = @import("../../http/field_lines.zig");
const FieldLines = field_lines.FieldLines;
const frames = @import("../../http2/frames.zig");
const heads = @import("../../http2/response.zig");
const Out = @import("../../http2/hpack/encoder.zig").Out;
const responses_of = @import("../responses.zig").Responses;
const Node = @import("../../net/write_queue.zig").Node;

pub fn Output(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const http2 = D.http2;
        const responses = responses_of(D);

        /// `ex` may have something to send, and be let.
        pub fn offer(session: *http2.Session, ex: *Exchange) void {
            if (ex.place.link.is_linked or ex.has_ended or ex.stream.isClosed()) return;
            const has_content = ex.held.bytes > 0;
            if (!has_content and ex.response != .done) return;
            if (has_content and ex.stream.send.available() == 0) return;
            session.order.add(ex);
        }

        /// Sends until nobody has more that may be sent, the turn is used up, or the socket is
        /// full: then it goes on when that has taken what it has.
        pub fn pump(d: *D, session: *http2.Session) void {
            const conn = session.conn;
            if (session.in_pump) return;
            session.in_pump = true;
            defer session.in_pump = false;
            while (conn.isOpen() and conn.queue.bytes < limits.output_buffer_bytes) {
                if (d.net.bytesLeft(conn) == 0) {
                    if (!session.order.isEmpty()) d.net.goOnLater(conn);
                    return;
                }
                const ex = session.order.next() orelse return;
                sendTurn(d, session, ex);
            }
        }

        /// One frame of DATA, or the end.
        fn sendTurn(d: *D, session: *http2.Session, ex: *Exchange) void {
            const conn = session.conn;
            const protocol = &session.protocol;
            const have = ex.held.bytes;
            const sendable = protocol.sendableBytes(&ex.stream);
            const bytes: u24 = @intCast(@min(have, sendable, data_bytes_max));
            const is_last = ex.response == .done and bytes == have;
            if (bytes == 0 and !is_last) return session.order.remove(ex); // its window is closed
            const has_trailers = ex.trailing.len > 0;
            if (bytes > 0 or !has_trailers) {
                const ends = is_last and !has_trailers;
                var header: [frames.header_bytes]u8 = undefined;
                frames.writeDataHeader(&header, ex.stream.id, bytes, ends);
                protocol.sentData(&ex.stream, bytes, ends);
                ex.sent_ms = d.net.now_ms;
                d.net.write(conn, &header);
                if (!conn.isOpen()) return;
                if (!sendContent(d, session, ex, bytes)) return;
            }
            if (!is_last) {
                if (ex.held.bytes == 0 or ex.stream.send.available() == 0) session.order.remove(ex);
                return responses.credit(d, d.carrierOf(ex), ex);
            }
            session.order.remove(ex);
            if (has_trailers) writeTrailers(d, session, ex);
            if (!conn.isOpen()) return;
            ex.has_ended = true;
            settle(d, session, ex);
        }

        const data_bytes_max = 16 * 1024;

        /// The first `bytes` of what `ex` holds. False: the connection has ended.
        fn sendContent(d: *D, session: *http2.Session, ex: *Exchange, bytes: u24) bool {
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
                        d.net.writeFile(conn, .{
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

        pub fn countHeld(session: *http2.Session, ex: *Exchange) void {
            session.held_bytes = session.held_bytes - ex.held_bytes + ex.held.memory_bytes;
            session.held_files = session.held_files - ex.held_files + ex.held.files;
            ex.held_bytes = ex.held.memory_bytes;
            ex.held_files = ex.held.files;
        }

        fn writeTrailers(d: *D, session: *http2.Session, ex: *Exchange) void {
            const text = ex.trailing.contiguous(
                &d.net.pools.buffers,
                @intCast(ex.trailing.len),
            ) catch return d.onNoMemory(session.conn, .output, .pool);
            var lengths: [limits.response_field_count_max]field_lines.Lengths = undefined;
            const lines = linesOf(text[0..@intCast(ex.trailing.len)], &lengths);
            const frame_bytes_max = session.protocol.peer.frame_bytes_max;
            const room = d.head_buffer;
            var out: Out = .{ .bytes = room[frames.header_bytes..] };
            heads.writeTrailers(&session.protocol.encoder, &out, lines);
            const len = frames.sealHeaders(room, out.len, ex.stream.id, true, frame_bytes_max);
            session.protocol.sentEnd(&ex.stream);
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
        pub fn settle(d: *D, session: *http2.Session, ex: *Exchange) void {
            if (!ex.has_ended) return;
            if (ex.stream.isClosed()) {
                http2.release(d, session, ex);
                return http2.afterRelease(d, session);
            }
            ex.is_retired = true;
            if (ex.spares_content) return http2.reset(d, ex, .no_error);
        }

        /// The socket has taken some of what it was given.
        pub fn onProgress(d: *D, conn: *Conn) void {
            pump(d, http2.of(conn));
            const session = http2.of(conn);
            if (conn.isOpen() and session.held_up.len > 0) http2.resumeLater(d, session);
        }
    };
}
