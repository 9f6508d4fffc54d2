//! WebSockets whose program is a JS thread. What peers send goes to it under credit: a thread that
//! does not keep up has its peers wait, and nobody else's. What it sends is counted until it has
//! left, so that it knows what waits. JS memory is not trusted, as in answers.zig: a record that is
//! wrong ends its own socket.

const std = @import("std");
const assert = std.debug.assert;
const log = @import("../core/log.zig");
const Id = @import("../core/slots.zig").Id;
const fields_file = @import("../http/fields.zig");
const Response = @import("../http/response.zig").Response;
const errors = @import("../websocket/errors.zig");
const frame_decoder = @import("../websocket/frame_decoder.zig");
const frames = @import("../websocket/frames.zig");
const utf8 = @import("../websocket/utf8.zig");
const abi = @import("abi.zig");
const answers_of = @import("answers.zig").Answers;
const Dispatcher = @import("dispatcher.zig").Dispatcher;
const Lane = @import("lane.zig").Lane;
const Corrupt = @import("ring.zig").Corrupt;
const Record = @import("ring.zig").Record;
const records = @import("socket_records.zig");
const SocketState = @import("socket_state.zig").SocketState;

/// Credit beyond which a socket is read: a control frame, told when its last byte comes, has its
/// own then, however few bytes are read at a time.
const credit_kept = abi.socket_message_cost + frames.control_bytes_max;

/// A message that JS sends, bytes: more fits no connection's memory as it is by default.
const message_bytes_bound = 1 << 28;

/// Whether records of this kind are about sockets.
pub fn isOfSocket(kind: abi.RecordKind) bool {
    const number = @intFromEnum(kind);
    return number >= @intFromEnum(abi.RecordKind.socket_send) and
        number <= @intFromEnum(abi.RecordKind.socket_credit);
}

/// `W`: pointer to the worker.
pub fn Sockets(comptime W: type) type {
    return struct {
        const Driver = @typeInfo(W).pointer.child;
        const remote = Driver.remote;
        const Exchange = Driver.Exchange;
        const Session = remote.Session;

        fn sessionOf(state: *SocketState) *Session {
            return @alignCast(@fieldParentPtr("state", state));
        }

        fn laneOf(w: W, state: *const SocketState) *Lane {
            return &w.state.lanes[state.lane];
        }

        // The beginning.

        /// JS wants a WebSocket for a request. False: the record is wrong.
        pub fn takeUpgrade(
            d: *Dispatcher,
            w: W,
            lane: *Lane,
            ex: *Exchange,
            record: *const Record,
        ) bool {
            const how = record.fixed(abi.SocketUpgrade) orelse return false;
            const asked = ex.user.asked;
            if (!asked.asks or ex.user.head_sent) return false;
            const table_bytes = @as(u64, how.field_count) * @sizeOf(abi.ResponseField);
            const protocol_at = @sizeOf(abi.SocketUpgrade) + table_bytes + how.field_bytes;
            if (protocol_at + how.protocol_len > record.bytes.len) return false;
            if (how.field_count > abi.response_field_count_max) return false;
            if (how.field_bytes > w.state.fields.len) return false;
            if (asked.is_early) return refuseFor(d, w, ex, .too_early);
            if (asked.refusal) |refusal| return refuse(d, w, ex, refusal);
            const is_allowed = how.header.flags & abi.flag_origin_allowed != 0;
            const is_refused = how.header.flags & abi.flag_origin_refused != 0;
            if (is_refused or (asked.is_foreign and !is_allowed))
                return refuse(d, w, ex, .forbidden_origin);
            var protocol: [255]u8 = undefined;
            if (how.protocol_len > protocol.len) return false;
            const name = protocol[0..how.protocol_len];
            @memcpy(name, record.bytes[@intCast(protocol_at)..][0..name.len]);
            if (name.len > 0 and !fields_file.isToken(name)) return false;
            const res = w.response();
            const shared = record.bytes[@sizeOf(abi.SocketUpgrade)..];
            const answers = answers_of(W);
            const extent: answers.Extent = .{ .count = how.field_count, .bytes = how.field_bytes };
            if (!answers.copyFields(w, lane, res, Response.header, shared, extent))
                return refuseFor(d, w, ex, .internal_error); // told already
            const id = ex.id;
            lane.unlink(&ex.user);
            w.state.upgrading = .{ .lane = lane.index, .exchange = id };
            const is_plain = how.header.flags & abi.flag_plain != 0;
            const late: remote.Late = .{
                .key = how.key,
                .protocol = name,
                .deflate = if (is_plain) null else asked.deflate,
            };
            const refused = remote.upgrade(w, ex, res, &late);
            const code = refused orelse {
                // Under the 101 its connection may have ended: nobody was told of a socket.
                if (w.state.upgrading.exchange != Id.none) d.tellAbort(w, lane, id);
                return true;
            };
            d.tellAbort(w, lane, id); // JS is to forget it
            w.respondError(ex, code);
            return true;
        }

        fn refuseFor(d: *Dispatcher, w: W, ex: *Exchange, code: anytype) bool {
            d.onAbort(w, ex); // JS is to forget it
            w.respondError(ex, code);
            return true;
        }

        fn refuse(d: *Dispatcher, w: W, ex: *Exchange, refusal: anytype) bool {
            d.onAbort(w, ex);
            remote.refuse(w, ex, refusal);
            return true;
        }

        pub fn onOpen(d: *Dispatcher, w: W, session: *Session) void {
            const state: *SocketState = &session.state;
            state.lane = w.state.upgrading.lane;
            state.exchange = w.state.upgrading.exchange;
            w.state.upgrading.exchange = .none;
            state.credit = creditOf(d);
            state.is_live = true;
            state.open_owed = true;
            laneOf(w, state).sockets.list.append(state);
            tellOpen(d, w, session);
        }

        fn tellOpen(d: *Dispatcher, w: W, session: *Session) void {
            const state: *SocketState = &session.state;
            const lane = laneOf(w, state);
            const told = records.writeOpen(
                lane,
                session.id,
                state.exchange,
                creditOf(d),
                w.config.websocket_unsent_bytes_max,
                remote.isCompressed(session),
            ) catch return d.fail(w, lane);
            state.open_owed = !told;
            if (!told) lane.sockets.queue.addNote(state);
        }

        /// What may be told of a socket before JS grants more: no one has more than a quarter of
        /// the ring, or one chunk.
        fn creditOf(d: *const Dispatcher) u32 {
            const layout = &d.block.layout;
            const share = @max(layout.ring_bytes / 4, abi.chunk_bytes_max);
            return @min(layout.credit_bytes, share);
        }

        // What comes.

        /// How many of `bytes` bytes may be read now, each of which may be one of a message: there
        /// is room in the ring for what comes of them.
        pub fn room(d: *Dispatcher, w: W, session: *Session, bytes: usize) usize {
            const state: *SocketState = &session.state;
            if (!state.is_live) return bytes; // nobody hears it; it is about to end
            const credit = state.credit -| credit_kept;
            state.wanted = @intCast(@min(bytes, abi.chunk_bytes_max, credit));
            if (state.open_owed or state.wanted == 0) return hold(state);
            const lane = laneOf(w, state);
            const queue = &lane.sockets.queue;
            queue.answer(state);
            const part = queue.partOf(state);
            // Requests may be waiting for the room that is there.
            if (part == 0 or (lane.full and state.turn_bytes == 0))
                return waitForRoom(lane, state);
            const found = lane.reserve(sizeOf(part)) catch {
                d.fail(w, lane);
                return hold(state); // to be closed when the turn ends
            };
            if (found == null) return waitForRoom(lane, state);
            if (!queue.isContended()) state.turn_bytes = 0; // nobody is behind
            state.is_held = false; // it is read, so that it is not paused
            return part;
        }

        /// What is taken of the ring for what so many bytes bring.
        fn sizeOf(bytes: u32) u32 {
            return records.messageSize(@max(bytes, frames.control_bytes_max));
        }

        fn waitForRoom(lane: *Lane, state: *SocketState) usize {
            lane.sockets.queue.add(state);
            return hold(state);
        }

        fn hold(state: *SocketState) usize {
            state.is_held = true;
            return 0;
        }

        fn goOn(w: W, session: *Session) void {
            if (!session.state.is_held) return;
            session.state.is_held = false;
            remote.unpause(w, session);
        }

        pub fn onData(
            d: *Dispatcher,
            w: W,
            session: *Session,
            data: *const frame_decoder.Data,
        ) void {
            const state: *SocketState = &session.state;
            if (!state.is_live) return;
            const lane = laneOf(w, state);
            const told = records.writeMessage(lane, session.id, data) catch return d.fail(w, lane);
            assert(told); // `room` has seen to it
            const cost = abi.socket_message_cost + @as(u32, @intCast(data.bytes.len));
            state.credit -= cost;
            state.turn_bytes -|= cost;
        }

        pub fn onControl(
            d: *Dispatcher,
            w: W,
            session: *Session,
            opcode: frames.Opcode,
            payload: []const u8,
        ) void {
            const state: *SocketState = &session.state;
            const table = w.state.table.?;
            const is_wanted = if (opcode == .ping) table.tells_pings else table.tells_pongs;
            if (!state.is_live or !is_wanted) return;
            const lane = laneOf(w, state);
            const kind: abi.RecordKind = if (opcode == .ping) .socket_ping else .socket_pong;
            const told = records.writeBytes(lane, kind, 0, session.id, payload) catch
                return d.fail(w, lane);
            assert(told); // as above
            const cost = abi.socket_message_cost + @as(u32, @intCast(payload.len));
            state.credit -= cost;
            state.turn_bytes -|= cost;
        }

        // What has left.

        /// The end of a turn in which something was sent, or has left.
        pub fn onSettle(d: *Dispatcher, w: W, session: *Session) void {
            const state: *SocketState = &session.state;
            if (state.closing) |code| {
                state.closing = null;
                if (session.protocol.isOpen()) return remote.close(w, session, code, "");
            }
            if (!state.is_live) return;
            if (state.outstanding > 0) {
                remote.flush(w, session);
                if (session.tunnel == null) return; // there was no memory for it
                settleSent(w, session);
            }
            tellSent(d, w, session);
        }

        /// What is not among what waits has left.
        fn settleSent(w: W, session: *Session) void {
            const state: *SocketState = &session.state;
            const gathered = if (state.sending) |sending| sending.len else 0;
            const left = @min(state.outstanding, remote.waiting(w, session) + gathered);
            state.owed +|= @intCast(@min(state.outstanding - left, std.math.maxInt(u32)));
            state.outstanding = left;
        }

        fn ackStep(w: W) u32 {
            const quarter = w.config.websocket_unsent_bytes_max / 4;
            return @max(1, @min(abi.socket_ack_bytes, quarter));
        }

        /// Small amounts are saved up: JS counts with that.
        fn tellSent(d: *Dispatcher, w: W, session: *Session) void {
            const state: *SocketState = &session.state;
            if (state.owed < ackStep(w)) return;
            const lane = laneOf(w, state);
            const told = records.writeSent(lane, session.id, state.owed) catch
                return d.fail(w, lane);
            if (told) state.owed = 0 else lane.sockets.queue.addNote(state);
        }

        // The end.

        /// False: it is told when there is room.
        pub fn onClose(d: *Dispatcher, w: W, session: *Session) bool {
            const state: *SocketState = &session.state;
            if (!state.is_live) return true;
            state.close_owed = true;
            return tellClose(d, w, session);
        }

        fn tellClose(d: *Dispatcher, w: W, session: *Session) bool {
            const state: *SocketState = &session.state;
            const lane = laneOf(w, state);
            const end = remote.endOf(session);
            const told = !state.open_owed and records.writeClose(
                lane,
                session.id,
                end.code,
                end.reason,
                end.is_clean,
            ) catch {
                forget(lane, state);
                d.fail(w, lane);
                return true;
            };
            if (told) forget(lane, state) else lane.sockets.queue.addNote(state);
            return told;
        }

        fn forget(lane: *Lane, state: *SocketState) void {
            lane.sockets.queue.answer(state);
            lane.sockets.queue.drop(state);
            lane.sockets.list.remove(state);
            state.is_live = false;
        }

        /// There is room in the lane's ring, for some of those that wait at least.
        pub fn useRoom(d: *Dispatcher, w: W, lane: *Lane) void {
            const queue = &lane.sockets.queue;
            queue.beginCalling();
            while (queue.first()) |state| {
                const session = sessionOf(state);
                if (state.open_owed) tellOpen(d, w, session);
                if (lane.full or !lane.live) return;
                if (state.close_owed) {
                    if (!tellClose(d, w, session)) return;
                    remote.release(w, session);
                    if (!lane.live) return;
                    continue;
                }
                tellSent(d, w, session);
                if (lane.full or !lane.live) return;
                if (state.is_held and state.wanted > 0) {
                    const size = sizeOf(state.wanted);
                    const fits = hasRoom(lane, size) catch return d.fail(w, lane);
                    if (!fits) return; // the next turn goes on, or JS tells when there is room
                    queue.call(state);
                    // Another is read, or is not, whatever is done here.
                    if (session.is_paused) queue.promise(state, size);
                    goOn(w, session);
                } else {
                    queue.drop(state);
                    if (state.credit > credit_kept) goOn(w, session);
                }
            }
        }

        fn hasRoom(lane: *Lane, size: u32) Corrupt!bool {
            const promised = lane.sockets.queue.promised;
            if (promised == 0) return try lane.reserve(size) != null;
            return lane.requests.hasRoom(promised + size);
        }

        /// Nobody is there any more who has heard of them: all end with `code`.
        pub fn abandon(w: W, lane: *Lane, code: errors.Code) void {
            dropPublication(w, lane);
            while (lane.sockets.list.first) |state| {
                const session = sessionOf(state);
                forget(lane, state);
                if (state.close_owed) {
                    remote.release(w, session);
                    continue;
                }
                // Not now: a function of one of them may be under way.
                state.closing = code;
                remote.settleLater(w, session);
                goOn(w, session);
            }
        }

        /// What JS has said to them is lost, in part: all end with `code`, and it is told so.
        pub fn closeAll(w: W, lane: *Lane, code: errors.Code) void {
            dropPublication(w, lane);
            var at = lane.sockets.list.first;
            while (at) |state| : (at = state.link.next) {
                if (state.close_owed) continue;
                state.closing = code;
                remote.settleLater(w, sessionOf(state));
            }
        }

        /// The worker has stopped: what was not told will not be.
        pub fn stop(w: W, lane: *Lane) void {
            dropPublication(w, lane);
            while (lane.sockets.list.first) |state| {
                assert(state.close_owed);
                forget(lane, state);
                remote.release(w, sessionOf(state));
            }
        }

        // What JS says.

        pub fn take(d: *Dispatcher, w: W, lane: *Lane, record: *const Record) void {
            if (record.header.kind == .socket_publish) {
                if (takePublish(w, lane, record)) return;
                dropPublication(w, lane); // the next begins anew
                return complain(d, lane, record);
            }
            const id: Id = .{
                .slot = record.header.slot,
                .generation = std.math.cast(u28, record.header.generation) orelse return,
            };
            const session = Driver.websockets.byId(w, id) orelse return; // it has ended meanwhile
            const state: *SocketState = &session.state;
            if (!state.is_live or state.lane != lane.index) return;
            if (record.header.kind == .socket_terminate) return remote.terminate(w, session);
            if (!session.protocol.isOpen()) return; // it is about to end
            const fine = switch (record.header.kind) {
                .socket_send => takeSend(w, session, record),
                .socket_send_ping => takeControl(w, session, record, true),
                .socket_send_pong => takeControl(w, session, record, false),
                .socket_send_close => takeClose(w, session, record),
                .socket_subscribe => takeTopic(w, session, record, true),
                .socket_unsubscribe => takeTopic(w, session, record, false),
                .socket_credit => takeCredit(w, session, record),
                else => false, // those of an exchange: `isOfSocket`
            };
            if (fine) return;
            complain(d, lane, record);
            remote.close(w, session, .internal_error, "");
        }

        fn complain(d: *Dispatcher, lane: *Lane, record: *const Record) void {
            log.limited("JS thread {d} wrote a bad record of kind {d}, about a WebSocket", .{
                lane.index, @intFromEnum(record.header.kind),
            });
            _ = d.bad_records.fetchAdd(1, .monotonic);
        }

        fn mannerOf(record: *const Record) remote.Manner {
            const flags = record.header.flags;
            return .{
                .kind = if (flags & abi.flag_text != 0) .text else .binary,
                .may_compress = flags & abi.flag_plain == 0,
            };
        }

        /// `len` bytes at `at`; null: they reach beyond the record.
        fn bytesOf(record: *const Record, at: usize, len: u32) ?[]const u8 {
            if (len > abi.chunk_bytes_max or at + len > record.bytes.len) return null;
            return record.bytes[at..][0..len];
        }

        /// Whether JS may send so much more: what waits would have no bound.
        fn isWithin(w: W, session: *Session, bytes: u64) bool {
            settleSent(w, session);
            const waiting = session.state.outstanding;
            return waiting <= ackStep(w) or waiting + bytes <= w.config.websocket_unsent_bytes_max;
        }

        fn count(w: W, session: *Session, bytes: u64) void {
            session.state.outstanding += bytes;
            if (session.state.outstanding + session.state.owed >= ackStep(w))
                remote.settleLater(w, session);
        }

        fn takeSend(w: W, session: *Session, record: *const Record) bool {
            const send = record.fixed(abi.SocketSend) orelse return false;
            const bytes = bytesOf(record, @sizeOf(abi.SocketSend), send.len) orelse return false;
            const state: *SocketState = &session.state;
            const manner = mannerOf(record);
            const ends = record.header.flags & abi.flag_end != 0;
            if (record.header.flags & abi.flag_begin != 0) {
                if (state.sending != null or send.total > message_bytes_bound) return false;
                const cost = send.total + abi.socket_message_cost;
                if (!isWithin(w, session, cost)) return false;
                count(w, session, abi.socket_message_cost);
                if (ends) {
                    if (send.len != send.total) return false;
                    if (manner.kind == .text and !utf8.isValid(bytes)) return false;
                    remote.send(w, session, manner, bytes);
                    count(w, session, bytes.len);
                    return true;
                }
                state.sending = .{ .manner = manner, .total = send.total };
            }
            return takePart(w, session, bytes, ends);
        }

        fn takePart(w: W, session: *Session, bytes: []const u8, ends: bool) bool {
            const state: *SocketState = &session.state;
            const sending = &(state.sending orelse return false);
            sending.len += @intCast(bytes.len);
            if (sending.len > sending.total) return false;
            if (ends and sending.len != sending.total) return false;
            const is_text = sending.manner.kind == .text;
            if (is_text and !sending.text.take(bytes)) return false;
            if (ends and is_text and !sending.text.isComplete()) return false;
            if (!remote.gather(w, session, bytes, sending.total)) return true; // it has ended
            if (ends) {
                const manner = sending.manner;
                state.sending = null;
                remote.sendGathered(w, session, manner);
            }
            if (session.tunnel != null) count(w, session, bytes.len);
            return true;
        }

        fn takeControl(w: W, session: *Session, record: *const Record, is_ping: bool) bool {
            const chunk = record.fixed(abi.Chunk) orelse return false;
            if (chunk.len > frames.control_bytes_max) return false;
            const bytes = bytesOf(record, @sizeOf(abi.Chunk), chunk.len) orelse return false;
            const cost = chunk.len + abi.socket_message_cost;
            if (!isWithin(w, session, cost)) return false;
            remote.control(w, session, is_ping, bytes);
            count(w, session, cost);
            return true;
        }

        fn takeClose(w: W, session: *Session, record: *const Record) bool {
            const close = record.fixed(abi.SocketClose) orelse return false;
            const code: errors.Code = @enumFromInt(close.code);
            if (!code.maySend() or session.state.sending != null) return false;
            var reason: [frames.reason_bytes_max]u8 = undefined;
            if (close.reason_len > reason.len) return false;
            const at = @sizeOf(abi.SocketClose);
            if (at + close.reason_len > record.bytes.len) return false;
            const text = reason[0..close.reason_len];
            @memcpy(text, record.bytes[at..][0..text.len]);
            if (!utf8.isValid(text)) return false;
            remote.close(w, session, code, text);
            return true;
        }

        fn takeTopic(w: W, session: *Session, record: *const Record, comes: bool) bool {
            const topic = record.fixed(abi.SocketTopic) orelse return false;
            if (topic.topic_len == 0 or topic.topic_len > abi.topic_bytes_max) return false;
            const at = @sizeOf(abi.SocketTopic);
            const shared = bytesOf(record, at, topic.topic_len) orelse return false;
            var name: [abi.topic_bytes_max]u8 = undefined;
            @memcpy(name[0..shared.len], shared);
            if (!comes) {
                remote.unsubscribe(w, session, name[0..shared.len]);
                return true;
            }
            remote.subscribe(w, session, name[0..shared.len]) catch {
                log.limited("a WebSocket could subscribe to nothing more " ++
                    "(maxSubscriptions): it was closed with 1013", .{});
                remote.giveUp(w, session, .try_again_later);
            };
            return true;
        }

        fn takeCredit(w: W, session: *Session, record: *const Record) bool {
            const credit = record.fixed(abi.Credit) orelse return false;
            const state: *SocketState = &session.state;
            state.credit +|= credit.grant;
            // One that was held for credit alone, and waits with something else to tell, has to see
            // what it wants now.
            if (!state.place.is_linked or state.wanted == 0) goOn(w, session);
            return true;
        }

        // What JS publishes.

        /// False: it is wrong, and what had come before it of a message is of no use.
        fn takePublish(w: W, lane: *Lane, record: *const Record) bool {
            if (!w.config.websocket) return false;
            const head = record.fixed(abi.SocketPublish) orelse return false;
            if (head.topic_len == 0 or head.topic_len > abi.topic_bytes_max) return false;
            const at = @sizeOf(abi.SocketPublish);
            const topic = bytesOf(record, at, head.topic_len) orelse return false;
            const bytes = bytesOf(record, at + topic.len, head.len) orelse return false;
            if (head.total > abi.publish_bytes_max) return false;
            if (record.header.flags & abi.flag_begin != 0) {
                if (lane.sockets.publication != null) return false;
                begin(w, lane, record, head.total, topic);
            }
            const publication = &(lane.sockets.publication orelse return false);
            const end = publication.len + bytes.len;
            if (end > publication.total) return false;
            if (publication.room) |out| @memcpy(out[publication.len..][0..bytes.len], bytes);
            publication.len = @intCast(end);
            if (record.header.flags & abi.flag_end == 0) return true;
            if (publication.len != publication.total) return false;
            defer dropPublication(w, lane);
            const message = publication.room orelse return true; // told already
            const manner = publication.manner;
            if (manner.kind == .text and !utf8.isValid(message)) return false;
            const name = publication.topic[0..publication.topic_len];
            const last = &lane.sockets.last_published;
            if (remote.publish(w, publication.id, name, manner, message, last) == .dropped)
                log.limited("a worker has too much to send: a message is not published", .{});
            return true;
        }

        fn begin(w: W, lane: *Lane, record: *const Record, total: u32, topic: []const u8) void {
            const sockets = &lane.sockets;
            const id: Id = .{
                .slot = record.header.slot,
                .generation = std.math.cast(u28, record.header.generation) orelse 0,
            };
            sockets.publication = .{
                .id = id,
                .manner = mannerOf(record),
                .topic = undefined,
                .topic_len = @intCast(topic.len),
                .total = total,
                .room = sockets.block.reserve(&w.net.pools.buffers, total) catch null,
            };
            @memcpy(sockets.publication.?.topic[0..topic.len], topic);
            if (sockets.publication.?.room == null)
                log.limited("there is no memory for a message that is published", .{});
        }

        fn dropPublication(w: W, lane: *Lane) void {
            lane.sockets.publication = null;
            lane.sockets.block.deinit(&w.net.pools.buffers);
        }
    };
}
