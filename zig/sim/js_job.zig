//! One request with a simulated JS thread, from its head to the end of its answer.

const std = @import("std");
const assert = std.debug.assert;
const abi = @import("../bridge/abi.zig");
const ring_file = @import("../bridge/ring.zig");
const network_file = @import("../io/simulated_network.zig");
const Network = network_file.Network;
const never = network_file.never;
const Pattern = @import("pattern.zig").Pattern;
const plan_file = @import("plan.zig");
const Plan = plan_file.Plan;

pub const Job = struct {
    worker: u32,
    slot: u32,
    generation: u32,
    connection: u32,
    /// Null: the path is none that a client asks for.
    plan: ?Plan,
    head_only: bool,
    version10: bool,
    due_ms: u64,
    /// Of the request's body.
    received: u64 = 0,
    expected: u64,
    body_ended: bool,
    body_spoiled: bool = false,
    /// Received and not granted again.
    ungranted: u32 = 0,
    hinted: bool = false,
    /// Requests that were pushed beside the answer, and that may yet be.
    pushed: u32 = 0,
    push_room: u32,
    authority: std.BoundedArray(u8, 32),
    head_sent: bool = false,
    sent: u64 = 0,
    /// Body bytes that may be sent.
    credit: u32 = 0,
    /// Waits for room in the ring.
    blocked: bool = false,
    streams: bool,
    tells_length: bool,
    /// It was told of a connection over TLS.
    is_secured: bool,
    /// It is to become a WebSocket, whose key this is.
    asks_socket: bool = false,
    key: [24]u8 = @splat(0),

    pub const Step = enum {
        done,
        /// No room in the ring.
        full,
        /// For the rest of the body, or for credit.
        waits,
        again,
    };

    const thought_ms_max = 400;

    pub fn begin(network: *Network, worker: u32, record: *const ring_file.Record) !Job {
        const head = record.fixed(abi.RequestHead).?;
        const tables = @as(usize, head.param_count) * @sizeOf(abi.Span) +
            @as(usize, head.field_count) * @sizeOf(abi.FieldSpan);
        const text = record.bytes[@sizeOf(abi.RequestHead) + tables ..][0..head.head_bytes];
        const random = network.random();
        const port = head.peer_port;
        var self: Job = .{
            .worker = worker,
            .slot = record.header.slot,
            .generation = record.header.generation,
            .connection = plan_file.connectionOf(head.peer_address, port),
            .plan = Plan.parse(part(text, head.path), part(text, head.query)),
            .head_only = head.method == .HEAD,
            .version10 = head.version == .http10,
            .due_ms = network.now_ms + if (random.boolean())
                0
            else
                random.uintLessThan(u64, thought_ms_max),
            .expected = head.body_length,
            .body_ended = head.header.flags & abi.flag_end != 0,
            .streams = random.boolean(),
            .tells_length = random.boolean(),
            .is_secured = head.tls_len > 0,
            .push_room = head.push_room,
            .authority = .{},
        };
        if (head.push_room > 0)
            self.authority.appendSliceAssumeCapacity(part(text, head.authority));
        if (head.upgrade != 0) self.takeKey(record, &head, text);
        const texts = @as(usize, head.head_bytes) + head.raw_target_len + head.tls_len;
        const at = @sizeOf(abi.RequestHead) + tables + texts;
        self.check(record.bytes[at..][0..head.inline_bytes]);
        return self;
    }

    fn takeKey(
        self: *Job,
        record: *const ring_file.Record,
        head: *const abi.RequestHead,
        text: []const u8,
    ) void {
        self.asks_socket = true;
        const params = @as(usize, head.param_count) * @sizeOf(abi.Span);
        const table = record.bytes[@sizeOf(abi.RequestHead) + params ..];
        for (0..head.field_count) |i| {
            var field: abi.FieldSpan = undefined;
            const bytes = std.mem.asBytes(&field);
            @memcpy(bytes, table[i * bytes.len ..][0..bytes.len]);
            if (!std.ascii.eqlIgnoreCase(part(text, field.name), "sec-websocket-key")) continue;
            const value = part(text, field.value);
            if (value.len == self.key.len) @memcpy(&self.key, value);
        }
    }

    fn part(text: []const u8, span: abi.Span) []const u8 {
        return text[span.offset..][0..span.len];
    }

    pub fn note(self: *const Job, network: *Network, what: []const u8) void {
        network.trace.note(network.now_ms, self.connection, what, self.slot, self.generation);
    }

    // The request's body.

    fn check(self: *Job, bytes: []const u8) void {
        const plan = self.plan orelse return;
        const pattern = Pattern.of(.request, self.connection, plan.number);
        if (pattern.difference(bytes, self.received) != null) self.body_spoiled = true;
        self.received += bytes.len;
    }

    pub fn takeBody(self: *Job, network: *Network, record: *const ring_file.Record) void {
        const chunk = record.fixed(abi.Chunk).?;
        assert(!self.body_ended);
        self.check(record.bytes[@sizeOf(abi.Chunk)..][0..chunk.len]);
        self.ungranted += chunk.len;
        if (record.header.flags & abi.flag_end != 0) self.body_ended = true;
        self.due_ms = @min(self.due_ms, network.now_ms);
    }

    /// They end the body.
    pub fn takeTrailers(self: *Job, network: *Network, record: *const ring_file.Record) void {
        assert(!self.body_ended);
        self.body_ended = true;
        self.due_ms = @min(self.due_ms, network.now_ms);
        const plan = self.plan orelse return;
        const trailers = record.fixed(abi.RequestTrailers).?;
        const spans = @as(usize, trailers.field_count) * @sizeOf(abi.FieldSpan);
        const lines = record.bytes[@sizeOf(abi.RequestTrailers) + spans ..][0..trailers.line_bytes];
        var buffer: [32]u8 = undefined;
        const line = std.fmt.bufPrint(&buffer, "x-sum: {d}\r\n", .{plan.number}) catch
            unreachable; // it fits
        if (std.mem.indexOf(u8, lines, line) == null) self.body_spoiled = true;
    }

    // The answer.

    pub fn step(self: *Job, network: *Network, ring: *ring_file.Producer) !Step {
        if (self.ungranted > 0 and !self.body_ended) {
            if (!try self.grant(ring)) return .full;
        }
        const plan = self.plan orelse return self.refuse(ring);
        if (!self.head_sent) {
            const early = plan.style == .early and !self.streams;
            if (!self.body_ended and !early) return .waits;
            if (plan.hasHint() and !self.hinted) {
                const hint: Field = .{ .name = Plan.hint[0], .value = Plan.hint[1] };
                if (!try self.writeSection(ring, .response_interim, 103, hint)) return .full;
                self.hinted = true;
                return .again;
            }
            if (self.pushed < plan.pushCount() and self.push_room > 0) {
                var buffer: [64]u8 = undefined;
                const target = plan.pushed(self.pushed).write(&buffer);
                const push: Field = .{ .name = self.authority.slice(), .value = target };
                if (!try self.writeSection(ring, .response_push, 0, push)) return .full;
                self.pushed += 1;
                self.push_room -= 1;
                return .again;
            }
            return self.sendHead(network, ring, plan);
        }
        return self.sendPiece(network, ring, plan);
    }

    fn grant(self: *Job, ring: *ring_file.Producer) !bool {
        const room = try ring.reserve(@sizeOf(abi.Credit)) orelse return false;
        const record: *abi.Credit = @ptrCast(room.ptr);
        record.* = .{
            .header = self.header(@sizeOf(abi.Credit), .request_credit, 0),
            .grant = self.ungranted,
            .reserved = 0,
        };
        ring.commit(@sizeOf(abi.Credit));
        self.ungranted = 0;
        return true;
    }

    fn header(self: *const Job, size: u32, kind: abi.RecordKind, flags: u16) abi.RecordHeader {
        return .{
            .size = size,
            .kind = kind,
            .flags = flags,
            .slot = self.slot,
            .generation = self.generation,
        };
    }

    fn refuse(self: *Job, ring: *ring_file.Producer) !Step {
        const answer: Answer = .{ .status = 404, .end = true };
        return if (try self.writeHead(ring, answer)) .done else .full;
    }

    const Answer = struct {
        status: u16,
        fields: []const Field = &.{},
        /// Of `pattern`, from its beginning.
        inline_bytes: u32 = 0,
        pattern: Pattern = .shared,
        length: u64 = 0,
        end: bool,
    };
    const Field = struct { name: []const u8, value: []const u8 };

    /// What the body has, and what is said of it.
    fn told(plan: Plan) struct { sent: u64, length: u64 } {
        const length: u64 = plan.answerLength();
        return switch (plan.style) {
            .less => .{ .sent = length - 5, .length = length },
            .more => .{ .sent = length + 5, .length = length },
            .silent => .{ .sent = length / 2, .length = length },
            else => .{ .sent = length, .length = length },
        };
    }

    fn sendHead(self: *Job, network: *Network, ring: *ring_file.Producer, plan: Plan) !Step {
        if (plan.kind == .fail) return self.abort(ring);
        var buffer: [32]u8 = undefined;
        const id = std.fmt.bufPrint(&buffer, "{d}.{d}", .{ self.connection, plan.number }) catch
            unreachable; // it fits
        const fields = [_]Field{
            .{ .name = "X-Id", .value = id },
            .{ .name = "Connection", .value = "close" },
        };
        const lengths = told(plan);
        const spoils = lengths.sent != lengths.length;
        const inline_max = @min(abi.response_inline_bytes_max, self.credit);
        const streams = spoils or self.streams or lengths.sent > inline_max;
        const empty = plan.kind == .status or self.head_only;
        const first = if (empty) 0 else @min(lengths.sent, inline_max);
        const bad_body = (plan.kind == .echo or plan.kind == .sum) and self.isBodyWrong(plan);
        const answer: Answer = .{
            .status = if (bad_body) 422 else plan.status(),
            .fields = fields[0..if (plan.close) 2 else 1],
            .inline_bytes = @intCast(if (streams) first / 2 else first),
            .pattern = plan.pattern(self.connection),
            .length = if (plan.kind == .status)
                0
            else if (self.tells_length or (spoils and plan.style != .silent))
                lengths.length
            else
                abi.length_unknown,
            .end = empty or !streams,
        };
        if (!try self.writeHead(ring, answer)) return .full;
        self.note(network, "JS answers");
        if (answer.end) return .done;
        self.head_sent = true;
        self.sent = answer.inline_bytes;
        self.credit -= answer.inline_bytes;
        return .again;
    }

    fn isBodyWrong(self: *const Job, plan: Plan) bool {
        if (self.body_spoiled) return true;
        if (!self.body_ended) return false; // answered early
        if (self.expected != abi.length_unknown and self.received != self.expected) return true;
        return plan.kind == .echo and self.received != plan.length;
    }

    fn writeHead(self: *Job, ring: *ring_file.Producer, answer: Answer) !bool {
        var field_bytes: u32 = 0;
        for (answer.fields) |field| field_bytes += @intCast(field.name.len + field.value.len);
        const table_bytes: u32 = @intCast(answer.fields.len * @sizeOf(abi.ResponseField));
        const size = abi.recordSize(
            @sizeOf(abi.ResponseHead) + table_bytes + field_bytes + answer.inline_bytes,
        );
        const room = try ring.reserve(size) orelse return false;
        const record: *abi.ResponseHead = @ptrCast(room.ptr);
        record.* = .{
            .header = self.header(size, .response_head, if (answer.end) abi.flag_end else 0),
            .status = answer.status,
            .field_count = @intCast(answer.fields.len),
            .content_type = .none,
            .reserved = .{ 0, 0, 0 },
            .field_bytes = field_bytes,
            .inline_bytes = answer.inline_bytes,
            .body_length = answer.length,
        };
        var at: usize = @sizeOf(abi.ResponseHead);
        for (answer.fields) |field| {
            const entry: abi.ResponseField = .{
                .name_len = @intCast(field.name.len),
                .value_len = @intCast(field.value.len),
            };
            @memcpy(room[at..][0..@sizeOf(abi.ResponseField)], std.mem.asBytes(&entry));
            at += @sizeOf(abi.ResponseField);
        }
        for (answer.fields) |field| for ([_][]const u8{ field.name, field.value }) |text| {
            @memcpy(room[at..][0..text.len], text);
            at += text.len;
        };
        answer.pattern.fill(room[at..][0..answer.inline_bytes], 0);
        ring.commit(size);
        return true;
    }

    fn abort(self: *Job, ring: *ring_file.Producer) !Step {
        const size = @sizeOf(abi.RecordHeader);
        const room = try ring.reserve(size) orelse return .full;
        const record: *abi.RecordHeader = @ptrCast(room.ptr);
        record.* = self.header(size, .response_abort, 0);
        ring.commit(size);
        return .done;
    }

    fn sendPiece(self: *Job, network: *Network, ring: *ring_file.Producer, plan: Plan) !Step {
        const total = told(plan).sent;
        const left = total - self.sent;
        if (left == 0 and plan.style == .silent) return .waits;
        if (left == 0 and plan.hasTrailer()) return self.sendTrailer(ring, plan);
        if (left > 0 and self.credit == 0) return .waits;
        const most: u32 = @intCast(@min(left, self.credit, abi.chunk_bytes_max));
        const random = network.random();
        const n = if (most > 1 and random.boolean())
            random.intRangeAtMost(u32, 1, most)
        else
            most;
        const is_last = self.sent + n == total;
        const end = is_last and !plan.hasTrailer() and plan.style != .silent;
        const size = abi.recordSize(@sizeOf(abi.Chunk) + n);
        const room = try ring.reserve(size) orelse return .full;
        const record: *abi.Chunk = @ptrCast(room.ptr);
        record.* = .{
            .header = self.header(size, .response_chunk, if (end) abi.flag_end else 0),
            .len = n,
            .reserved = 0,
        };
        plan.pattern(self.connection).fill(room[@sizeOf(abi.Chunk)..][0..n], self.sent);
        ring.commit(size);
        self.sent += n;
        self.credit -= n;
        return if (end) .done else .again;
    }

    /// The body's end, with a trailer; what is not sent in chunks goes without.
    fn sendTrailer(self: *Job, ring: *ring_file.Producer, plan: Plan) !Step {
        assert(plan.hasTrailer());
        var buffer: [16]u8 = undefined;
        const number = std.fmt.bufPrint(&buffer, "{d}", .{plan.number}) catch
            unreachable; // it fits
        const field: Field = .{ .name = Plan.trailer_name, .value = number };
        return if (try self.writeSection(ring, .response_trailers, 0, field)) .done else .full;
    }

    /// A section of one field.
    fn writeSection(
        self: *Job,
        ring: *ring_file.Producer,
        kind: abi.RecordKind,
        status: u16,
        field: Field,
    ) !bool {
        const fixed = @sizeOf(abi.FieldSection) + @sizeOf(abi.ResponseField);
        const text_bytes: u32 = @intCast(field.name.len + field.value.len);
        const size = abi.recordSize(fixed + text_bytes);
        const room = try ring.reserve(size) orelse return false;
        const record: *abi.FieldSection = @ptrCast(room.ptr);
        record.* = .{
            .header = self.header(size, kind, 0),
            .status = status,
            .field_count = 1,
            .field_bytes = text_bytes,
        };
        const entry: abi.ResponseField = .{
            .name_len = @intCast(field.name.len),
            .value_len = @intCast(field.value.len),
        };
        const bytes = std.mem.asBytes(&entry);
        @memcpy(room[@sizeOf(abi.FieldSection)..][0..bytes.len], bytes);
        @memcpy(room[fixed..][0..field.name.len], field.name);
        @memcpy(room[fixed + field.name.len ..][0..field.value.len], field.value);
        ring.commit(size);
        return true;
    }
};
