//! The engine's end of a lane: writes requests, reads answers, and knows the exchanges that are
//! under way on it. One worker owns it.

const std = @import("std");
const assert = std.debug.assert;
const abi = @import("abi.zig");
const Block = @import("block.zig").Block;
const doorbell_file = @import("doorbell.zig");
const ring_file = @import("ring.zig");
const Producer = ring_file.Producer;
const Consumer = ring_file.Consumer;
const Corrupt = ring_file.Corrupt;
const Chain = @import("../core/chain.zig").Chain;
const orders = @import("../core/orders.zig").wake;
const Id = @import("../core/slots.zig").Id;
const system = @import("../core/system.zig");
const Fields = @import("../http/fields.zig").Fields;
const ProtocolError = @import("../http/problem.zig").ProtocolError;
const Request = @import("../http/request.zig").Request;
const Security = @import("../http/security.zig").Security;
const socket_state = @import("socket_state.zig");
const trailers = @import("../http/trailers.zig");
const Span = @import("../router/router.zig").Span;

/// The bridge's part of an exchange.
pub const ExchangeState = struct {
    phase: Phase = .idle,
    /// The response's head has been sent.
    head_sent: bool = false,
    /// Body bytes wait in the engine for room in the ring or for credit.
    body_waiting: bool = false,
    /// The end of the body is still to be told.
    end_owed: bool = false,
    /// That the client sends no more is still to be told.
    eof_owed: bool = false,
    lane: u16 = 0,
    /// Request body bytes that JS takes now.
    credit: u32 = 0,
    /// Response body bytes that have left and for which JS was not granted new ones yet.
    owed: u32 = 0,
    /// Response body bytes that JS has sent on credit.
    outstanding: u32 = 0,
    /// How many it may have.
    allowance: u32 = 0,
    asked: socket_state.Asked = .{},
    previous: ?*ExchangeState = null,
    next: ?*ExchangeState = null,

    pub const Phase = enum(u8) {
        /// Not on a lane, or no longer.
        idle,
        /// On a lane, without a complete answer.
        pending,
    };
};

pub const Lane = struct {
    index: u16 = 0,
    control: *abi.LaneControl,
    thread_line: *abi.ThreadLine,
    requests: Producer,
    responses: Consumer,
    /// A JS thread serves it.
    live: bool = false,
    /// The thread's epoch that this worker has seen.
    epoch: u32 = 0,
    /// The request ring was found full; JS has been asked to wake the worker.
    full: bool = false,
    /// JS's position when a record last found no room.
    head_when_full: u32 = 0,
    /// What a request brought was put off for what sockets were promised: the next turn goes on.
    is_put_off: bool = false,
    /// Who waits for room has it in this turn of the worker, from this position on.
    turn_from: ?u32 = null,
    pending: u32 = 0,
    first: ?*ExchangeState = null,
    /// The next one of a walk over the pending exchanges; moves on when it is unlinked.
    cursor: ?*ExchangeState = null,
    /// Exchanges whose end JS has not been told for want of room.
    aborts: []Id,
    aborts_len: usize = 0,
    sockets: socket_state.LaneSockets = .{},
    /// Where the worker runs on the lane's own thread: set in the place of a ring.
    rung: ?*bool = null,

    /// `aborts` has a place for every exchange of the worker.
    pub fn init(block: Block, worker: u32, thread: u32, aborts: []Id) Lane {
        return .{
            .index = @intCast(thread),
            .control = block.control(worker, thread),
            .thread_line = block.thread(thread),
            .requests = .{ .ring = block.requestRing(worker, thread) },
            .responses = .{ .ring = block.responseRing(worker, thread) },
            .aborts = aborts,
        };
    }

    /// Empties both rings. The JS thread is gone, and the next one has not come.
    pub fn reset(self: *Lane) void {
        assert(self.first == null);
        assert(self.sockets.list.first == null and self.sockets.queue.isEmpty());
        inline for (std.meta.fields(abi.LaneControl)) |f| {
            @atomicStore(u32, &@field(self.control, f.name), 0, .seq_cst);
        }
        self.requests = .{ .ring = self.requests.ring };
        self.responses = .{ .ring = self.responses.ring };
        self.live = false;
        self.full = false;
        self.is_put_off = false;
        self.turn_from = null;
        self.aborts_len = 0;
    }

    pub fn link(self: *Lane, state: *ExchangeState) void {
        assert(state.phase == .idle);
        state.phase = .pending;
        state.lane = self.index;
        state.previous = null;
        state.next = self.first;
        if (self.first) |first| first.previous = state;
        self.first = state;
        // Statistics read it from other threads.
        @atomicStore(u32, &self.pending, self.pending + 1, .monotonic);
    }

    pub fn unlink(self: *Lane, state: *ExchangeState) void {
        assert(state.phase == .pending and state.lane == self.index);
        if (self.cursor == state) self.cursor = state.next;
        if (state.previous) |previous| previous.next = state.next else self.first = state.next;
        if (state.next) |next| next.previous = state.previous;
        state.* = .{};
        @atomicStore(u32, &self.pending, self.pending - 1, .monotonic);
    }

    /// Whether requests may be put on it: there is a thread, and nothing that came earlier waits
    /// for room.
    pub fn takesRequests(self: *const Lane) bool {
        return self.live and !self.full and !self.is_put_off and self.aborts_len == 0;
    }

    /// Room for a record, or null: then JS wakes the worker once there is some.
    pub fn reserve(self: *Lane, size: u32) Corrupt!?[]align(abi.record_align) u8 {
        return self.reserveWith(size, null);
    }

    /// `between`: what happens between the two looks, in a test.
    fn reserveWith(
        self: *Lane,
        size: u32,
        comptime between: ?fn (*Lane) void,
    ) Corrupt!?[]align(abi.record_align) u8 {
        if (try self.requests.reserve(size)) |room| return room;
        // Others may be waiting since it was found full: they are told of the room as well.
        const was_full = self.full;
        self.full = true;
        // First the wish, then another look: JS looks at the wish after it has made room.
        @atomicStore(u32, &self.control.request_wanted, 1, orders.asleep);
        if (between) |act| act(self);
        const room = try self.requests.reserve(size) orelse {
            self.head_when_full = self.requests.head_seen;
            return null;
        };
        self.full = was_full;
        return room;
    }

    /// The same for what a request brings: sockets keep what they were promised.
    fn reserveBeside(self: *Lane, size: u32) Corrupt!?[]align(abi.record_align) u8 {
        const kept = self.sockets.queue.promised;
        if (kept == 0) return self.reserve(size);
        const largest = comptime abi.recordSize(@sizeOf(abi.Chunk) + abi.chunk_bytes_max);
        if (try self.requests.fitsBeside(size, kept, largest)) return self.reserve(size);
        self.is_put_off = true;
        return null;
    }

    /// Whether JS has made room since the ring was found full.
    pub fn hasRoomAgain(self: *const Lane) bool {
        if (self.is_put_off) return true;
        // Not `head_seen`: a smaller record that was written since, and found room, has moved that
        // on.
        if (!self.full) return false;
        return @atomicLoad(u32, self.requests.ring.head, orders.look) != self.head_when_full;
    }

    /// `hasRoomAgain` for the look before sleep. The wish is stated anew: JS may have taken it down
    /// for room that turned out too small, and found nobody asleep.
    pub fn hasRoomOrWishes(self: *const Lane) bool {
        if (self.is_put_off) return true;
        if (!self.full) return false;
        @atomicStore(u32, &self.control.request_wanted, 1, orders.asleep);
        return self.hasRoomAgain();
    }

    /// Whether sockets wait though the ring was not found full: it is the next ones' turn.
    pub fn hasTurns(self: *const Lane) bool {
        return !self.full and !self.sockets.queue.isEmpty();
    }

    /// A record of the header alone. False: no room.
    pub fn writeNote(self: *Lane, kind: abi.RecordKind, id: Id) Corrupt!bool {
        const size = @sizeOf(abi.RecordHeader);
        const room = try self.reserve(size) orelse return false;
        writeHeader(room, size, kind, 0, id);
        self.requests.commit(size);
        return true;
    }

    /// Grants JS `grant` more bytes of a response body. False: no room.
    pub fn writeCredit(self: *Lane, id: Id, grant: u32) Corrupt!bool {
        const room = try self.reserve(@sizeOf(abi.Credit)) orelse return false;
        writeHeader(room, @sizeOf(abi.Credit), .response_credit, 0, id);
        const record: *abi.Credit = @ptrCast(room.ptr);
        record.grant = grant;
        record.reserved = 0;
        self.requests.commit(@sizeOf(abi.Credit));
        return true;
    }

    /// A piece of a request body, at most `abi.chunk_bytes_max`. False: no room.
    pub fn writeChunk(self: *Lane, id: Id, bytes: []const u8, end: bool) Corrupt!bool {
        assert(bytes.len <= abi.chunk_bytes_max);
        const size = abi.recordSize(@intCast(@sizeOf(abi.Chunk) + bytes.len));
        const room = try self.reserveBeside(size) orelse return false;
        writeHeader(room, size, .request_chunk, if (end) abi.flag_end else 0, id);
        const record: *abi.Chunk = @ptrCast(room.ptr);
        record.len = @intCast(bytes.len);
        record.reserved = 0;
        @memcpy(room[@sizeOf(abi.Chunk)..][0..bytes.len], bytes);
        self.requests.commit(size);
        return true;
    }

    /// The trailers that end a request body: "name: value\r\n" lines, as the decoder let them
    /// through. `scratch` holds `abi.request_trailer_bytes_max`. False: no room.
    pub fn writeTrailers(self: *Lane, id: Id, chain: *const Chain, scratch: []u8) Corrupt!bool {
        const lines = gather(chain, scratch);
        var fields: Fields = .{};
        trailers.parse(lines, &fields);
        const table_bytes = fields.len * @sizeOf(abi.FieldSpan);
        const bytes = @sizeOf(abi.RequestTrailers) + table_bytes + lines.len;
        const size = abi.recordSize(@intCast(bytes));
        const room = try self.reserve(size) orelse return false;
        writeHeader(room, size, .request_trailers, abi.flag_end, id);
        const record: *abi.RequestTrailers = @ptrCast(room.ptr);
        record.field_count = fields.len;
        record.reserved = 0;
        record.line_bytes = @intCast(lines.len);
        const table = room[@sizeOf(abi.RequestTrailers)..];
        const out: [*]align(4) abi.FieldSpan = @alignCast(@ptrCast(table.ptr));
        for (fields.slice(), 0..) |field, i| {
            out[i] = .{ .name = spanIn(lines, field.name), .value = spanIn(lines, field.value) };
        }
        @memcpy(table[table_bytes..][0..lines.len], lines);
        self.requests.commit(size);
        return true;
    }

    fn gather(chain: *const Chain, out: []u8) []const u8 {
        assert(chain.len <= abi.request_trailer_bytes_max);
        var len: usize = 0;
        var at = chain.first;
        while (at) |segment| : (at = segment.next) {
            const bytes = segment.bytes();
            @memcpy(out[len..][0..bytes.len], bytes);
            len += bytes.len;
        }
        return out[0..len];
    }

    fn spanIn(lines: []const u8, part: []const u8) abi.Span {
        if (part.len == 0) return .{ .offset = 0, .len = 0 };
        const offset = @intFromPtr(part.ptr) - @intFromPtr(lines.ptr);
        return .{ .offset = @intCast(offset), .len = @intCast(part.len) };
    }

    /// A message that was refused. Requests go before: false unless half of the ring is free.
    pub fn writeProtocolError(self: *Lane, err: *const ProtocolError, dropped: u32) Corrupt!bool {
        if (!try self.requests.hasRoom(self.requests.ring.capacity / 2)) return false;
        const size = @sizeOf(abi.ProtocolError);
        const room = try self.requests.reserve(size) orelse return false;
        writeHeader(room, size, .protocol_error, 0, .{ .slot = 0, .generation = 0 });
        const record: *abi.ProtocolError = @ptrCast(room.ptr);
        record.code = @intFromEnum(err.code);
        record.status = err.status;
        record.dropped = dropped;
        record.peer_address = err.peer.bytes;
        record.peer_port = err.peer.port;
        record.peer_family = err.peer.family;
        record.reserved = @splat(0);
        self.requests.commit(size);
        return true;
    }

    pub const HeadParts = struct {
        route: u32,
        id: Id,
        /// Within the request's path.
        params: []const Span,
        /// Null: not known.
        body_length: ?u64,
        /// The whole body is in `request.body` and goes along.
        inline_body: bool,
        /// A record with trailers ends the body.
        has_trailers: bool,
        /// Responses that may be pushed beside this one's.
        push_room: u16,
        /// It asks for a WebSocket, and JS may have it get one.
        upgrade: bool = false,
    };

    /// The head of a request. False: no room.
    pub fn writeHead(self: *Lane, request: *const Request, parts: HeadParts) Corrupt!bool {
        const head = request.head_bytes;
        const fields = request.fields.slice();
        const place = TargetPlace.of(request);
        const raw_target = if (place.as_sent) "" else request.target;
        assert(head.len <= abi.request_head_bytes_max); // core/limits.zig
        const body_bytes: u32 = if (parts.inline_body) @intCast(request.body.len) else 0;
        const tables = parts.params.len * @sizeOf(abi.Span) + fields.len * @sizeOf(abi.FieldSpan);
        const tls_bytes = if (request.tls) |security| tlsBytes(security) else 0;
        const bytes = @sizeOf(abi.RequestHead) + tables + head.len + raw_target.len + tls_bytes +
            body_bytes;
        const size = abi.recordSize(@intCast(bytes));
        const room = try self.reserveBeside(size) orelse return false;
        writeHeader(
            room,
            size,
            .request_head,
            if (parts.inline_body and !parts.has_trailers) abi.flag_end else 0,
            parts.id,
        );
        self.fillHead(room, request, &place, &parts, body_bytes);
        const record: *abi.RequestHead = @ptrCast(room.ptr);
        record.tls_len = tls_bytes;
        var at: usize = @sizeOf(abi.RequestHead);
        at += writeParams(room[at..], place.path, parts.params);
        at += writeFields(room[at..], request);
        @memcpy(room[at..][0..head.len], head);
        if (!place.as_sent) place.rewrite(request, room[at..][0..head.len]);
        at += head.len;
        @memcpy(room[at..][0..raw_target.len], raw_target);
        at += raw_target.len;
        if (request.tls) |security| writeTls(room[at..][0..tls_bytes], security);
        at += tls_bytes;
        if (parts.inline_body) _ = request.body.copy(room[at..][0..body_bytes]);
        self.requests.commit(size);
        return true;
    }

    fn fillHead(
        _: *Lane,
        room: []align(8) u8,
        request: *const Request,
        place: *const TargetPlace,
        parts: *const HeadParts,
        body_bytes: u32,
    ) void {
        const record: *abi.RequestHead = @ptrCast(room.ptr);
        record.body_length = parts.body_length orelse abi.length_unknown;
        record.route = parts.route;
        record.method = @enumFromInt(@intFromEnum(request.method));
        record.version = @enumFromInt(@intFromEnum(request.version));
        record.field_count = request.fields.len;
        record.param_count = @intCast(parts.params.len);
        record.peer_family = request.peer.family;
        record.peer_port = request.peer.port;
        record.peer_address = request.peer.bytes;
        record.head_bytes = @intCast(request.head_bytes.len);
        record.inline_bytes = body_bytes;
        record.method_text = spanOf(request, request.method_text);
        record.target = place.target;
        record.path = place.path;
        record.query = spanOf(request, request.query);
        record.authority = place.authority;
        record.raw_target_len = if (place.as_sent) 0 else @intCast(request.target.len);
        record.tls_len = 0;
        record.push_room = parts.push_room;
        record.upgrade = @intFromBool(parts.upgrade);
    }

    fn tlsBytes(security: *const Security) u16 {
        const texts = security.cipher.len + security.protocol.len + security.server_name.len;
        return @intCast(@sizeOf(abi.TlsHead) + texts + security.certificate.len);
    }

    fn writeTls(room: []u8, security: *const Security) void {
        var flags: u8 = 0;
        if (security.is_resumed) flags |= abi.tls_flag_resumed;
        if (security.is_early) flags |= abi.tls_flag_early;
        if (security.is_authorized) flags |= abi.tls_flag_authorized;
        const head: abi.TlsHead = .{
            .version = @intFromEnum(security.version),
            .flags = flags,
            .cipher_len = @intCast(security.cipher.len),
            .protocol_len = @intCast(security.protocol.len),
            .server_name_len = @intCast(security.server_name.len),
            .reserved = 0,
            .certificate_len = @intCast(security.certificate.len),
        };
        var at: usize = @sizeOf(abi.TlsHead);
        @memcpy(room[0..at], std.mem.asBytes(&head));
        for ([_][]const u8{
            security.cipher, security.protocol, security.server_name, security.certificate,
        }) |text| {
            @memcpy(room[at..][0..text.len], text);
            at += text.len;
        }
    }

    fn writeParams(room: []u8, path: abi.Span, params: []const Span) usize {
        const out: [*]align(4) abi.Span = @alignCast(@ptrCast(room.ptr));
        for (params, 0..) |param, i| out[i] = .{
            .offset = path.offset + param.off,
            .len = param.len,
        };
        return params.len * @sizeOf(abi.Span);
    }

    fn writeFields(room: []u8, request: *const Request) usize {
        const fields = request.fields.slice();
        const out: [*]align(4) abi.FieldSpan = @alignCast(@ptrCast(room.ptr));
        for (fields, 0..) |field, i| {
            out[i] = .{
                .name = spanOf(request, field.name),
                .value = spanOf(request, field.value),
            };
        }
        return fields.len * @sizeOf(abi.FieldSpan);
    }

    /// Publishes what was written, gives back what was read, and rings the thread when it sleeps
    /// and has something to do. False: the thread is gone.
    pub fn flush(self: *Lane, doorbell: system.File) bool {
        var ring = self.requests.publish();
        const wanted = &self.control.response_wanted;
        if (self.responses.release() and @atomicLoad(u32, wanted, orders.peek) == 1) {
            @atomicStore(u32, wanted, 0, orders.unwish);
            ring = true;
        }
        if (!ring) return true;
        const asleep = &self.thread_line.asleep;
        if (@atomicLoad(u32, asleep, orders.peek) == 0) return true;
        if (@atomicRmw(u32, asleep, .Xchg, 0, orders.take) != 1) return true;
        if (self.rung) |rung| {
            rung.* = true;
            return true;
        }
        return doorbell_file.ring(doorbell);
    }
};

/// Where `part` lies in the head; an empty span for what is not part of it (a path that was left
/// out).
inline fn spanOf(request: *const Request, part: []const u8) abi.Span {
    const offset = @intFromPtr(part.ptr) -% @intFromPtr(request.head_bytes.ptr);
    if (part.len == 0 or offset >= request.head_bytes.len) return .{ .offset = 0, .len = 0 };
    return .{ .offset = @intCast(offset), .len = @intCast(part.len) };
}

/// Bytes of the target that go along as they were received: none where its path is canonical.
pub fn rawTargetBytes(request: *const Request) u32 {
    const as_sent = spanOf(request, request.path).len == request.path.len;
    return if (as_sent) 0 else @intCast(request.target.len);
}

/// Where the target's parts lie in the copy of the head. JavaScript is to see the canonical path
/// that the router saw: one that was not sent so is put in the place of the one that was, which is
/// as long at least. Nothing behind the path moves.
const TargetPlace = struct {
    target: abi.Span,
    path: abi.Span,
    authority: abi.Span,
    as_sent: bool = true,
    /// By how much the target has become shorter, bytes.
    shift: u16 = 0,

    inline fn of(request: *const Request) TargetPlace {
        const place: TargetPlace = .{
            .target = spanOf(request, request.target),
            .path = spanOf(request, request.path),
            .authority = spanOf(request, request.authority),
        };
        return if (place.path.len == request.path.len) place else place.withCanonical(request);
    }

    fn withCanonical(sent: TargetPlace, request: *const Request) TargetPlace {
        @branchHint(.cold);
        var place = sent;
        const raw = sent.rawPath(request);
        const len: u16 = @intCast(request.path.len);
        place.as_sent = false;
        place.shift = raw.len - len;
        place.path = .{ .offset = raw.offset + place.shift, .len = len };
        place.target.offset += place.shift;
        place.target.len -= place.shift;
        if (raw.offset > sent.target.offset) place.authority.offset += place.shift;
        return place;
    }

    /// The path as it was sent: from the target's start, or the end of the authority in it.
    fn rawPath(sent: TargetPlace, request: *const Request) abi.Span {
        const target = sent.target;
        const end = std.mem.indexOfScalar(u8, request.target, '?') orelse target.len;
        const start = if (request.target[0] == '/')
            0
        else
            sent.authority.offset + sent.authority.len - target.offset;
        return .{ .offset = target.offset + start, .len = @intCast(end - start) };
    }

    fn rewrite(place: *const TargetPlace, request: *const Request, head: []u8) void {
        const before = place.path.offset - place.target.offset;
        const from = head[place.target.offset - place.shift ..][0..before];
        std.mem.copyBackwards(u8, head[place.target.offset..][0..before], from);
        @memcpy(head[place.path.offset..][0..place.path.len], request.path);
    }
};

pub fn writeHeader(
    room: []align(abi.record_align) u8,
    size: u32,
    kind: abi.RecordKind,
    flags: u16,
    id: Id,
) void {
    const header: *abi.RecordHeader = @ptrCast(room.ptr);
    header.* = .{
        .size = size,
        .kind = kind,
        .flags = flags,
        .slot = id.slot,
        .generation = id.generation,
    };
}

test "a path that was not sent canonical takes the place of the one that was" {
    const decoder = @import("../http1/decoder.zig");
    const uri = @import("../http/uri.zig");
    const cases = [_]struct { []const u8, []const u8, []const u8, []const u8 }{
        .{ "/a?b", "/a?b", "/a", "h" },
        .{ "//a/%61?b", "/a/a?b", "/a/a", "h" },
        .{ "/x/..", "/", "/", "h" },
        .{ "/%c3%a4?", "/%C3%A4?", "/%C3%A4", "h" },
        .{ "http://o:1/a/b?/../", "http://o:1/a/b?/../", "/a/b", "o:1" },
        .{ "http://o:1//a/./b?/../", "http://o:1/a/b?/../", "/a/b", "o:1" },
        .{ "HTTP://other//", "HTTP://other/", "/", "other" },
        .{ "http://o?%61", "http://o?%61", "/", "o" },
    };
    inline for (cases) |case| {
        const sent = "GET " ++ case[0] ++ " HTTP/1.1\r\nHost: h\r\n\r\n";
        var request: Request = .{};
        var hint: u32 = 0;
        try std.testing.expect(decoder.decodeHead(sent, &hint, .{}, &request) == .head);
        var scratch: [64]u8 = undefined;
        request.path = try uri.canonicalPath(request.path, &scratch);
        var head = sent.*;
        const place = TargetPlace.of(&request);
        if (!place.as_sent) place.rewrite(&request, &head);
        const expected = .{ .{ place.target, 1 }, .{ place.path, 2 }, .{ place.authority, 3 } };
        inline for (expected) |part| {
            const text = head[part[0].offset..][0..part[0].len];
            try std.testing.expectEqualStrings(case[part[1]], text);
        }
        const rest = "HTTP/1.1\r\nHost: h\r\n\r\n".len + request.query.len;
        try std.testing.expectEqualStrings(sent[sent.len - rest ..], head[head.len - rest ..]);
    }
}

test "a target that was not sent canonical goes along as it was, between head and body" {
    const decoder = @import("../http1/decoder.zig");
    const uri = @import("../http/uri.zig");
    var block = try Block.take(.{
        .workers = 1,
        .threads = 1,
        .ring_bytes = abi.ring_bytes_min,
        .credit_bytes = abi.credit_bytes_min,
    });
    defer block.release();
    var lane = Lane.init(block, 0, 0, &.{});
    inline for (.{ .{ "/a?b", "" }, .{ "//a/%61?b", "//a/%61?b" } }) |case| {
        const sent = "GET " ++ case[0] ++ " HTTP/1.1\r\nHost: h\r\n\r\n";
        var request: Request = .{};
        var hint: u32 = 0;
        try std.testing.expect(decoder.decodeHead(sent, &hint, .{}, &request) == .head);
        var scratch: [64]u8 = undefined;
        request.path = try uri.canonicalPath(request.path, &scratch);
        try std.testing.expectEqual(case[1].len, rawTargetBytes(&request));
        const at = lane.requests.tail;
        const written = try lane.writeHead(&request, .{
            .route = 0,
            .id = .{ .slot = 0, .generation = 0 },
            .params = &.{},
            .body_length = 0,
            .inline_body = true,
            .has_trailers = false,
            .push_room = 0,
        });
        try std.testing.expect(written);
        const bytes = lane.requests.ring.bytes[at & (lane.requests.ring.capacity - 1) ..];
        const record: *const abi.RequestHead = @alignCast(@ptrCast(bytes));
        try std.testing.expectEqual(case[1].len, record.raw_target_len);
        const behind = @sizeOf(abi.RequestHead) + @sizeOf(abi.FieldSpan) + record.head_bytes;
        try std.testing.expectEqualStrings(case[1], bytes[behind..][0..case[1].len]);
    }
}

test "a wish for room that JS has taken down for too little of it is stated anew before sleep" {
    var block = try Block.take(.{
        .workers = 1,
        .threads = 1,
        .ring_bytes = abi.ring_bytes_min,
        .credit_bytes = abi.credit_bytes_min,
    });
    defer block.release();
    var lane = Lane.init(block, 0, 0, &.{});
    const id: Id = .{ .slot = 0, .generation = 0 };
    const chunk = [_]u8{'x'} ** abi.chunk_bytes_max;
    while (try lane.writeChunk(id, &chunk, false)) {}
    try std.testing.expectEqual(1, lane.control.request_wanted);
    lane.control.request_wanted = 0;
    try std.testing.expect(!lane.hasRoomOrWishes());
    try std.testing.expectEqual(1, lane.control.request_wanted);
    lane.control.request_head = 8;
    try std.testing.expect(lane.hasRoomOrWishes());
}

test "who waits for room hears of it, though another has found some at the second look" {
    var block = try Block.take(.{
        .workers = 1,
        .threads = 1,
        .ring_bytes = abi.ring_bytes_min,
        .credit_bytes = abi.credit_bytes_min,
    });
    defer block.release();
    var lane = Lane.init(block, 0, 0, &.{});
    const id: Id = .{ .slot = 0, .generation = 0 };
    const chunk = [_]u8{'x'} ** abi.chunk_bytes_max;
    const record_bytes = comptime abi.recordSize(@sizeOf(abi.Chunk) + abi.chunk_bytes_max);
    while (try lane.writeChunk(id, &chunk, false)) {} // the last one waits
    _ = lane.requests.publish();
    const MakesRoom = struct {
        fn act(one: *Lane) void {
            one.control.request_head = 2 * record_bytes;
        }
    };
    try std.testing.expect(try lane.reserveWith(record_bytes, MakesRoom.act) != null);
    try std.testing.expect(lane.hasRoomAgain());
    try std.testing.expect(lane.hasRoomOrWishes());
    // Where nobody has waited before, nobody is told.
    lane.full = false;
    lane.control.request_head = 0;
    lane.requests.head_seen = 0;
    try std.testing.expect(try lane.reserveWith(record_bytes, MakesRoom.act) != null);
    try std.testing.expect(!lane.hasRoomAgain());
}
