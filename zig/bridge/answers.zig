//! Reads what JS threads answer. JS memory is not trusted: the fixed part of a record is copied
//! once and checked on the copy, and so are the response fields; a record that is wrong costs its
//! own exchange, and nothing else.

const std = @import("std");
const log = @import("../core/log.zig");
const Id = @import("../core/slots.zig").Id;
const limits = @import("../core/limits.zig");
const FieldLines = @import("../http/field_lines.zig").FieldLines;
const Field = @import("../http/fields.zig").Field;
const Push = @import("../http/push.zig").Push;
const http_response = @import("../http/response.zig");
const Response = http_response.Response;
const TrailerError = http_response.TrailerError;
const abi = @import("abi.zig");
const Dispatcher = @import("dispatcher.zig").Dispatcher;
const lane_file = @import("lane.zig");
const ExchangeState = lane_file.ExchangeState;
const Lane = lane_file.Lane;
const Record = @import("ring.zig").Record;
const sockets_file = @import("sockets.zig");

/// Records taken from one lane in one turn, so that sockets get theirs.
const records_per_turn = 4096;

const type_lines = blk: {
    const names = std.meta.fields(abi.ContentType);
    var lines: [names.len]FieldLines = undefined;
    for (names, 0..) |f, i| lines[i] = .of("content-type: " ++ f.name ++ "\r\n");
    break :blk lines;
};

/// `W`: pointer to the worker.
pub fn Answers(comptime W: type) type {
    return struct {
        const Exchange = Dispatcher.ExchangeType(W);
        const sockets = sockets_file.Sockets(W);
        const remote = @typeInfo(W).pointer.child.remote;

        /// Serves every published record of the lane.
        pub fn drain(d: *Dispatcher, w: W, lane: *Lane) void {
            for (0..records_per_turn) |_| {
                const at = lane.responses.head;
                const record = lane.responses.next() catch return d.spoiled(w, lane);
                if (!take(d, w, lane, &(record orelse return))) {
                    lane.responses.head = at; // another turn has it
                    return;
                }
                if (!lane.live) return;
            }
        }

        /// False: it has to wait for what its thread has had published here before.
        fn take(d: *Dispatcher, w: W, lane: *Lane, record: *const Record) bool {
            if (sockets_file.isOfSocket(record.header.kind)) {
                const last = lane.sockets.last_published;
                const is_free = record.header.kind == .socket_credit; // it has no order
                if (!is_free and (remote.isBehind(w, last) or remote.isSpent(w))) return false;
                sockets.take(d, w, lane, record);
            } else takeAnswer(d, w, lane, record);
            return true;
        }

        fn takeAnswer(d: *Dispatcher, w: W, lane: *Lane, record: *const Record) void {
            const id: Id = .{
                .slot = record.header.slot,
                .generation = std.math.cast(u28, record.header.generation) orelse return,
            };
            const ex = w.exchangeById(id) orelse return; // it has ended in the meantime
            const state: *ExchangeState = &ex.user;
            if (state.phase != .pending or state.lane != lane.index) return;
            const fine = switch (record.header.kind) {
                .response_head => takeHead(d, w, lane, ex, record),
                .response_chunk => takeChunk(w, lane, ex, record),
                .response_abort => takeAbort(w, lane, ex),
                .request_credit => takeCredit(w, state, ex, record),
                .response_trailers => takeTrailers(d, w, lane, ex, record),
                .response_interim => takeInterim(d, w, lane, ex, record),
                .response_push => takePush(w, lane, ex, record),
                .response_upgrade => sockets.takeUpgrade(d, w, lane, ex, record),
                else => false,
            };
            if (!fine) refuse(d, w, lane, ex, record);
        }

        fn refuse(d: *Dispatcher, w: W, lane: *Lane, ex: *Exchange, record: *const Record) void {
            log.limited("JS thread {d} wrote a bad record of kind {d}: its request fails", .{
                lane.index, @intFromEnum(record.header.kind),
            });
            _ = d.bad_records.fetchAdd(1, .monotonic);
            giveUp(d, w, ex);
        }

        fn giveUp(d: *Dispatcher, w: W, ex: *Exchange) void {
            d.onAbort(w, ex); // JS is to forget it
            // Closes the connection when the response has begun.
            w.respondError(ex, .internal_error);
        }

        /// False: the record is wrong.
        fn takeHead(d: *Dispatcher, w: W, lane: *Lane, ex: *Exchange, record: *const Record) bool {
            const head = record.fixed(abi.ResponseHead) orelse return false;
            if (ex.user.head_sent) return false;
            const table_bytes = @as(u64, head.field_count) * @sizeOf(abi.ResponseField);
            const body_at = @sizeOf(abi.ResponseHead) + table_bytes + head.field_bytes;
            if (body_at + head.inline_bytes > record.bytes.len) return false;
            if (head.inline_bytes > abi.response_inline_bytes_max) return false;
            const res = w.response();
            res.status = head.status;
            if (!fillFields(w, lane, res, &head, record)) {
                giveUp(d, w, ex);
                return true; // told already
            }
            const body = record.bytes[@intCast(body_at)..][0..head.inline_bytes];
            const known = head.body_length != abi.length_unknown;
            const length: ?u64 = if (known) head.body_length else null;
            if (head.header.flags & abi.flag_end != 0) {
                lane.unlink(&ex.user);
                // HEAD may be told no length: of a stream, say.
                if (body.len > 0) res.send(body) else res.declared_length = length;
                w.respond(ex, res);
            } else {
                beginStream(w, ex, res, length, body);
            }
            return true;
        }

        fn beginStream(w: W, ex: *Exchange, res: *Response, length: ?u64, body: []const u8) void {
            const id = ex.id;
            ex.user.head_sent = true;
            ex.user.outstanding = @intCast(body.len);
            w.beginStream(ex, res, length);
            if (body.len == 0) return;
            const still = w.exchangeById(id) orelse return; // the connection failed under the head
            if (still.user.phase == .pending) w.streamBody(still, body, false);
        }

        /// False: they cannot be sent, which has been told.
        fn fillFields(
            w: W,
            lane: *Lane,
            res: *Response,
            head: *const abi.ResponseHead,
            record: *const Record,
        ) bool {
            const number = @intFromEnum(head.content_type);
            if (number != 0) {
                if (number >= type_lines.len) return complain(lane, "an unknown content type");
                res.addLines(type_lines[number]) catch unreachable; // to a fresh response
            }
            if (head.field_count == 0) return true;
            if (head.field_count > abi.response_field_count_max or
                head.field_bytes > w.state.fields.len)
            {
                return complain(lane, "too many fields");
            }
            return copyFields(
                w,
                lane,
                res,
                Response.header,
                record.bytes[@sizeOf(abi.ResponseHead)..],
                .{ .count = head.field_count, .bytes = head.field_bytes },
            );
        }

        pub const Extent = struct { count: u16, bytes: u32 };

        /// Adds the fields whose table `shared` begins with, by `add`. False: they cannot be sent,
        /// which has been told.
        pub fn copyFields(
            w: W,
            lane: *Lane,
            res: *Response,
            comptime add: anytype,
            shared: []const u8,
            extent: Extent,
        ) bool {
            var entries: Entries = .copy(w, shared, extent);
            while (entries.next() catch return complain(
                lane,
                "fields that are longer than their record",
            )) |field| {
                add(res, field.name, field.value) catch |err| switch (@as(TrailerError, err)) {
                    error.FramingField => {}, // the engine's own to say
                    error.ForbiddenTrailer => return complain(
                        lane,
                        "a trailer that must not be one",
                    ),
                    error.InvalidField => return complain(
                        lane,
                        "a field with CR, LF, NUL or another forbidden character",
                    ),
                    error.HeadTooLarge => return complain(
                        lane,
                        "fields that do not fit a response head",
                    ),
                };
            }
            return true;
        }

        /// Fields of a record, on the copy.
        const Entries = struct {
            table: []const abi.ResponseField,
            bytes: []const u8,

            fn copy(w: W, shared: []const u8, extent: Extent) Entries {
                const table = w.state.field_table[0..extent.count];
                const table_bytes = std.mem.sliceAsBytes(table);
                @memcpy(table_bytes, shared[0..table_bytes.len]);
                const bytes = w.state.fields[0..extent.bytes];
                @memcpy(bytes, shared[table_bytes.len..][0..bytes.len]);
                return .{ .table = table, .bytes = bytes };
            }

            fn next(self: *Entries) error{TooLong}!?Field {
                if (self.table.len == 0) return null;
                const entry = self.table[0];
                const end = @as(usize, entry.name_len) + entry.value_len;
                if (end > self.bytes.len) return error.TooLong;
                defer {
                    self.table = self.table[1..];
                    self.bytes = self.bytes[end..];
                }
                return .{
                    .name = self.bytes[0..entry.name_len],
                    .value = self.bytes[entry.name_len..end],
                };
            }
        };

        /// The fields of a section by themselves, in a fresh response; null: the record is wrong.
        fn sectionOf(record: *const Record) ?struct { status: u16, extent: Extent } {
            const section = record.fixed(abi.FieldSection) orelse return null;
            const table_bytes = @as(u64, section.field_count) * @sizeOf(abi.ResponseField);
            const bytes = @sizeOf(abi.FieldSection) + table_bytes + section.field_bytes;
            if (bytes > record.bytes.len) return null;
            if (section.field_count > abi.response_field_count_max) return null;
            if (section.field_bytes > abi.response_field_bytes_max) return null;
            return .{
                .status = section.status,
                .extent = .{ .count = section.field_count, .bytes = section.field_bytes },
            };
        }

        fn takeTrailers(
            d: *Dispatcher,
            w: W,
            lane: *Lane,
            ex: *Exchange,
            record: *const Record,
        ) bool {
            if (!ex.user.head_sent) return false;
            const section = sectionOf(record) orelse return false;
            const res = w.response();
            const shared = record.bytes[@sizeOf(abi.FieldSection)..];
            if (!copyFields(w, lane, res, Response.trailer, shared, section.extent)) {
                giveUp(d, w, ex);
                return true; // told already
            }
            lane.unlink(&ex.user);
            w.endStream(ex, res.trailerLines());
            return true;
        }

        fn takeInterim(
            d: *Dispatcher,
            w: W,
            lane: *Lane,
            ex: *Exchange,
            record: *const Record,
        ) bool {
            if (ex.user.head_sent) return false;
            const section = sectionOf(record) orelse return false;
            // 100 is the engine's own to send, 101 would end HTTP on the connection.
            if (section.status < 102 or section.status > 199) return false;
            const res = w.response();
            const shared = record.bytes[@sizeOf(abi.FieldSection)..];
            if (!copyFields(w, lane, res, Response.earlyHint, shared, section.extent)) {
                giveUp(d, w, ex);
                return true; // told already
            }
            w.interim(ex, section.status, res.hintLines());
            return true;
        }

        fn takePush(w: W, lane: *Lane, ex: *Exchange, record: *const Record) bool {
            const section = sectionOf(record) orelse return false;
            const count = section.extent.count;
            if (section.status > 1 or count == 0) return false;
            if (count > limits.push_fields_max + 1) return false;
            const shared = record.bytes[@sizeOf(abi.FieldSection)..];
            var entries: Entries = .copy(w, shared, section.extent);
            const first = (entries.next() catch return false).?; // there is one at least
            var fields: [limits.push_fields_max]Field = undefined;
            for (fields[0 .. count - 1]) |*field|
                field.* = (entries.next() catch return false).?; // as many as were counted
            const push: Push = .{
                .method = if (section.status == 0) .GET else .HEAD,
                .target = first.value,
                .fields = fields[0 .. count - 1],
            };
            w.push(ex, &push, first.name) catch |err| switch (err) {
                // Other requests of the client have had the room meanwhile.
                error.PushNotAllowed, error.OutOfBuffers => {},
                error.InvalidTarget, error.HeadTooLarge => log.limited(
                    "JS thread {d} pushed a request that would be refused: nothing is sent",
                    .{lane.index},
                ),
                error.InvalidField, error.FramingField => return false,
            };
            return true;
        }

        fn complain(lane: *Lane, comptime what: []const u8) bool {
            log.limited(
                "a handler of JS thread {d} sent " ++ what ++ ": answered with 500",
                .{lane.index},
            );
            return false;
        }

        fn takeChunk(w: W, lane: *Lane, ex: *Exchange, record: *const Record) bool {
            const chunk = record.fixed(abi.Chunk) orelse return false;
            const state: *ExchangeState = &ex.user;
            if (!state.head_sent) return false;
            if (chunk.len > abi.chunk_bytes_max) return false;
            if (@sizeOf(abi.Chunk) + chunk.len > record.bytes.len) return false;
            state.outstanding +|= chunk.len;
            // What the client does not take would be kept here without a bound.
            if (state.outstanding > state.allowance) return false;
            const end = chunk.header.flags & abi.flag_end != 0;
            if (end) lane.unlink(state);
            w.streamBody(ex, record.bytes[@sizeOf(abi.Chunk)..][0..chunk.len], end);
            return true;
        }

        fn takeAbort(w: W, lane: *Lane, ex: *Exchange) bool {
            lane.unlink(&ex.user);
            // Closes the connection when the response has begun.
            w.respondError(ex, .internal_error);
            return true;
        }

        fn takeCredit(w: W, state: *ExchangeState, ex: *Exchange, record: *const Record) bool {
            const credit = record.fixed(abi.Credit) orelse return false;
            state.credit +|= credit.grant;
            if (!state.body_waiting) return true;
            state.body_waiting = false;
            w.resumeBody(ex);
            return true;
        }
    };
}
