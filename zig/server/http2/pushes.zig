//! Responses that are pushed (RFC 9113 §8.4): promised on the stream of a request, and made as any
//! other is, by whoever answers such requests.

const std = @import("std");
const Buddy = @import("../../core/buddy.zig").Buddy;
const Chain = @import("../../core/chain.zig").Chain;
const limits = @import("../../core/limits.zig");
const authorities = @import("../../http/authority.zig");
const chars = @import("../../http/chars.zig");
const Field = @import("../../http/fields.zig").Field;
const Fields = @import("../../http/fields.zig").Fields;
const push_file = @import("../../http/push.zig");
const Push = push_file.Push;
const Response = @import("../../http/response.zig").Response;
const frames = @import("../../http2/frames.zig");
const hpack_encoder = @import("../../http2/hpack/encoder.zig");
const names = @import("../../http2/hpack/names.zig");
const Record = @import("../../http2/hpack/table.zig").Record;
const Priority = @import("../../http2/priority.zig").Priority;
const budget_of = @import("../budget.zig").Budget;
const requests_of = @import("requests.zig").Requests;

/// For the driver `D`.
pub fn Pushes(comptime D: type) type {
    return struct {
        const Exchange = D.Exchange;
        const Session = D.http2.Session;
        const budget = budget_of(D);
        const requests = requests_of(D);

        /// How many responses may be promised now on the stream of `ex`.
        pub fn room(d: *D, ex: *const Exchange) u16 {
            const conn = d.net.conns.get(ex.conn).?;
            const session = D.http2.of(conn);
            const stream = &ex.http2.stream;
            // A push is no reason for others (§8.4).
            if (stream.isPush() or stream.isClosed() or ex.http2.has_ended) return 0;
            if (session.depth == std.math.maxInt(@TypeOf(session.depth))) return 0;
            if (session.is_over or session.farewell != .none or conn.hasPeerEnded()) return 0;
            // Who reads little has enough on its way.
            if (conn.queue.bytes >= d.config.output_high_water_bytes) return 0;
            return @intCast(session.protocol.pushRoom(d.config.http2_pushes_max));
        }

        /// What the handler of the request in `d.request`, that of `ex`, wants pushed beside `res`.
        pub fn promiseAll(d: *D, ex: *Exchange, res: *Response) void {
            @branchHint(.unlikely);
            defer res.dropPushes();
            const conn = d.connOf(ex);
            const pool = &d.net.pools.buffers;
            const len: usize = @intCast(res.pushes.len);
            const all = res.pushes.contiguous(pool, len) catch return;
            var rest: []const u8 = all[0..len];
            var fields: [limits.push_fields_max]Field = undefined;
            while (push_file.Log.read(&rest, &fields)) |push| {
                const parts: Parts = .{
                    .push = &push,
                    .authority = d.request.authority,
                    .beside = &d.request.fields,
                };
                // What has become impossible meanwhile is not pushed; the client asks for it.
                promise(d, ex, &parts) catch continue;
                if (!conn.isOpen()) return;
            }
        }

        pub const Parts = struct {
            push: *const Push,
            /// Of the request beside it.
            authority: []const u8,
            /// The fields of that, where some of them are taken over.
            beside: ?*const Fields = null,
        };

        /// Promises a response on the stream of `ex`, and has it made when nobody is in the middle
        /// of something. The connection may end by that.
        pub fn promise(d: *D, ex: *Exchange, parts: *const Parts) push_file.Error!void {
            const conn = d.connOf(ex);
            const session = D.http2.of(conn);
            const parent = ex.http2.stream.id;
            if (room(d, ex) == 0) return error.PushNotAllowed;
            if (budget.over(d, conn, .input) != null) return error.OutOfBuffers;
            var head: Head = .{};
            try head.fill(d, conn.is_filtered, parts);
            const pool = &d.net.pools.buffers;
            var kept: Chain = .{};
            errdefer kept.deinit(pool);
            try head.keep(&kept, pool);
            const id = d.exchanges.take(session.depth) orelse return error.PushNotAllowed;
            const child = d.exchanges.get(id).?;
            child.* = .{
                .id = id,
                .conn = conn.id,
                .version = .http2,
                .is_head = parts.push.method == .HEAD,
                .keep_alive = true,
                .body_length = 0,
                .http2 = .{ .place = .{
                    .id = undefined,
                    .priority = head.priority orelse below(ex.http2.place.priority),
                } },
            };
            if (!session.protocol.promise(&child.http2.stream)) {
                d.exchanges.release(id, session.depth);
                return error.PushNotAllowed;
            }
            const promised = child.http2.stream.id;
            child.http2.place.id = promised;
            child.http2.head = kept;
            child.http2.block_len = head.len;
            child.http2.head_lines = head.count;
            D.http2.link(d, session, child);
            requests.waitForClient(session, child);
            d.countPush();
            // What has been counted and linked ends with the connection, should that end here.
            writePromise(d, session, &head, parent, promised);
            if (conn.isOpen()) requests.resumeLater(d, session);
        }

        /// Takes back the promises whose responses have not begun, when either side is about to go.
        /// Clients made of nghttp2 (curl, Node.js) ignore the head of a pushed response once a
        /// GOAWAY has been sent or received, and end the connection for the content behind it,
        /// with all that is under way. The connection may end by it.
        pub fn giveUp(d: *D, session: *Session) void {
            if (session.protocol.streams.promised_count == 0) return;
            var at = session.first;
            while (at) |ex| {
                at = ex.next;
                const next = if (at) |after| after.id else null;
                if (ex.http2.stream.state != .reserved) continue;
                D.http2.cancel(d, ex);
                if (!session.conn.isOpen()) return;
                // It may have ended others.
                if (next) |id| at = d.exchanges.get(id) orelse session.first;
            }
        }

        /// What is pushed comes behind what it is for, unless the program or the client knows more,
        /// or that is of the last urgency itself.
        fn below(priority: Priority) Priority {
            return .{ .urgency = priority.urgency +| 1, .incremental = priority.incremental };
        }

        fn writePromise(
            d: *D,
            session: *Session,
            head: *const Head,
            parent: frames.StreamId,
            promised: frames.StreamId,
        ) void {
            const frame_bytes_max = session.protocol.peer.frame_bytes_max;
            const block_bytes = head.len + head.count * hpack_encoder.fieldBytesMax(0, 0);
            const more = frames.promised_id_bytes + hpack_encoder.size_updates_bytes_max;
            const bound = frames.headersBytes(block_bytes + more, frame_bytes_max);
            const out_bytes = d.net.reserve(session.conn, @intCast(bound));
            if (!session.conn.isOpen()) return;
            var out: hpack_encoder.Out = .{ .bytes = out_bytes[frames.promise_block_at..] };
            const encoder = &session.protocol.encoder;
            encoder.begin(&out);
            var each: Head.Iterator = .{ .head = head };
            while (each.next()) |field| encoder.field(&out, field.name, field.value);
            const len = frames.sealPromise(out_bytes, out.len, parent, promised, frame_bytes_max);
            d.net.commit(len);
        }

        /// The request as a field block that was decoded: lines, and what is known of each.
        const Head = struct {
            text: [limits.push_bytes_max]u8 = undefined,
            lines: [lines_max]Record = undefined,
            len: u32 = 0,
            count: u16 = 0,
            priority: ?Priority = null,

            const pseudo_count = 4;
            const lines_max = pseudo_count + limits.push_fields_max +
                push_file.inherited_fields.len;

            fn fill(
                self: *Head,
                d: *const D,
                is_secured: bool,
                parts: *const Parts,
            ) push_file.Error!void {
                const push = parts.push;
                if (!authorities.isValid(parts.authority)) return error.InvalidField;
                // A Host is added where handlers look for one.
                const fields_max = @min(limits.push_fields_max, d.config.header_count_max -| 1);
                if (push.fields.len > fields_max) return error.HeadTooLarge;
                var target_buffer: [limits.push_bytes_max]u8 = undefined;
                const target = try push_file.canonicalTarget(push.target, &target_buffer);
                if (target.len > d.config.target_bytes_max) return error.HeadTooLarge;
                try self.add(":method", @tagName(push.method));
                try self.add(":scheme", if (is_secured) "https" else "http");
                try self.add(":authority", parts.authority);
                try self.add(":path", target);
                for (push.fields) |field| {
                    try push_file.checkField(field.name, field.value);
                    try self.add(field.name, chars.trimOws(field.value));
                }
                const beside = parts.beside orelse return;
                for (push_file.inherited_fields) |name| {
                    if (self.count - pseudo_count == fields_max or self.has(name)) continue;
                    if (beside.get(name)) |value| try self.add(name, value);
                }
            }

            fn add(self: *Head, name: []const u8, value: []const u8) push_file.Error!void {
                const line: Record = .{
                    .name_len = std.math.cast(u16, name.len) orelse return error.HeadTooLarge,
                    .value_len = std.math.cast(u16, value.len) orelse return error.HeadTooLarge,
                    .name = undefined,
                };
                if (line.lineBytes() > self.text.len - self.len) return error.HeadTooLarge;
                if (self.count == self.lines.len) return error.HeadTooLarge;
                var out = std.io.fixedBufferStream(self.text[self.len..][0..line.lineBytes()]);
                const lower = names.lowerInto(out.buffer, name);
                out.pos = name.len;
                // As the decoder writes them; there is room.
                for ([_][]const u8{ names.Entry.separator, value, names.Entry.line_end }) |part|
                    out.writer().writeAll(part) catch unreachable;
                self.lines[self.count] = line;
                self.lines[self.count].name = .find(lower);
                if (self.lines[self.count].name == .priority) self.priority = .parse(value);
                self.len += @intCast(line.lineBytes());
                self.count += 1;
            }

            fn has(self: *const Head, name: []const u8) bool {
                var each: Iterator = .{ .head = self };
                while (each.next()) |field| if (std.mem.eql(u8, field.name, name)) return true;
                return false;
            }

            const Iterator = struct {
                head: *const Head,
                at: u32 = 0,
                index: u16 = 0,

                fn next(it: *Iterator) ?Field {
                    if (it.index == it.head.count) return null;
                    const line = it.head.lines[it.index];
                    const text = it.head.text[it.at..][0..line.lineBytes()];
                    it.index += 1;
                    it.at += @intCast(text.len);
                    const value = text[line.name_len + names.Entry.separator.len ..];
                    return .{ .name = text[0..line.name_len], .value = value[0..line.value_len] };
                }
            };

            /// Keeps it as requests that wait are kept.
            fn keep(self: *const Head, chain: *Chain, pool: *Buddy) push_file.Error!void {
                const lines = std.mem.sliceAsBytes(self.lines[0..self.count]);
                try chain.append(pool, self.text[0..self.len]);
                try chain.append(pool, lines);
                _ = try chain.contiguous(pool, self.len + lines.len);
            }
        };
    };
}
