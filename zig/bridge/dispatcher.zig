//! Answers requests from the route table: constants and directories by itself, handlers through the
//! lanes of the worker that the request came in by. Everything here runs on the worker's thread,
//! unless it says otherwise.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Allocator = std.mem.Allocator;
const log = @import("../core/log.zig");
const memory = @import("../core/memory.zig");
const orders = @import("../core/orders.zig").wake;
const Id = @import("../core/slots.zig").Id;
const Method = @import("../http/method.zig").Method;
const problem = @import("../http/problem.zig");
const ProtocolError = problem.ProtocolError;
const http_request = @import("../http/request.zig");
const Request = http_request.Request;
const Response = @import("../http/response.zig").Response;
const router_file = @import("../router/router.zig");
const Action = @import("../server/exchange.zig").Action;
const abi = @import("abi.zig");
const Answers = @import("answers.zig").Answers;
const Block = @import("block.zig").Block;
const doorbell_file = @import("doorbell.zig");
const lane_file = @import("lane.zig");
const Lane = lane_file.Lane;
const Table = @import("table.zig").Table;
const handshake = @import("../websocket/handshake.zig");
const frame_decoder = @import("../websocket/frame_decoder.zig");
const frames = @import("../websocket/frames.zig");
const socket_state = @import("socket_state.zig");
const Sockets = @import("sockets.zig").Sockets;
const threads = @import("threads.zig");
const Threads = threads.Threads;

pub const Dispatcher = struct {
    gpa: Allocator,
    block: Block,
    threads: Threads,
    /// The table that workers are to use.
    table: std.atomic.Value(*Table),
    /// Per worker: the table that it is known to use alone.
    settled: []std.atomic.Value(?*Table),
    lanes: []Lane,
    /// Where each worker copies fields to.
    fields: []u8,
    aborts: []align(memory.page_bytes) Id,
    exchanges_max: u32,
    /// Worker n is mostly run by JS thread n, whose lane with it has no thread in between: requests
    /// go there, and to others while nobody is there.
    is_paired: bool = false,
    bad_records: std.atomic.Value(u64) = .init(0),

    pub const ExchangeState = lane_file.ExchangeState;
    pub const SocketState = socket_state.SocketState;
    pub const gathers_messages = false;

    /// One per worker, in it.
    pub const WorkerState = struct {
        lanes: []Lane = &.{},
        table: ?*Table = null,
        /// The table was changed in the last turn: what was answered from the old one is on its way
        /// by the next.
        settling: bool = false,
        /// Where the search for a lane begins, so that equally busy ones take turns.
        turn: u32 = 0,
        /// Protocol errors that no lane had room for since the last that was told.
        errors_dropped: u32 = 0,
        /// Fields are copied here before they are looked at.
        fields: []u8 = &.{},
        field_table: [abi.response_field_count_max]abi.ResponseField = undefined,
        /// Whose request it was that becomes a socket now.
        upgrading: struct { lane: u16 = 0, exchange: Id = .none } = .{},
        /// Whose records are taken first.
        first_lane: u32 = 0,
    };

    /// `exchanges_max`: of one worker. `table` belongs to the caller.
    pub fn init(
        gpa: Allocator,
        block: Block,
        table: *Table,
        exchanges_max: u32,
    ) error{OutOfMemory}!Dispatcher {
        const workers = block.layout.workers;
        const count = workers * block.layout.threads;
        const settled = try gpa.alloc(std.atomic.Value(?*Table), workers);
        errdefer gpa.free(settled);
        for (settled) |*it| it.* = .init(null);
        const lanes = try gpa.alloc(Lane, count);
        errdefer gpa.free(lanes);
        const fields = try gpa.alloc(u8, workers * block.layout.response_field_bytes);
        errdefer gpa.free(fields);
        const aborts = try memory.reserve(Id, @as(usize, count) * exchanges_max);
        errdefer memory.release(Id, aborts);
        for (lanes, 0..) |*lane, i| {
            const worker: u32 = @intCast(i / block.layout.threads);
            const thread: u32 = @intCast(i % block.layout.threads);
            lane.* = Lane.init(
                block,
                worker,
                thread,
                aborts[i * exchanges_max ..][0..exchanges_max],
            );
        }
        return .{
            .gpa = gpa,
            .block = block,
            .threads = try Threads.init(gpa, block.layout.threads, workers),
            .table = .init(table),
            .settled = settled,
            .lanes = lanes,
            .fields = fields,
            .aborts = aborts,
            .exchanges_max = exchanges_max,
        };
    }

    /// After the workers have ended.
    pub fn deinit(self: *Dispatcher) void {
        self.threads.deinit(self.gpa);
        memory.release(Id, self.aborts);
        self.gpa.free(self.fields);
        self.gpa.free(self.lanes);
        self.gpa.free(self.settled);
        self.* = undefined;
    }

    pub fn memoryBytes(self: *const Dispatcher) u64 {
        const lanes = self.lanes.len * @sizeOf(Lane) + self.aborts.len * @sizeOf(Id);
        return self.block.bytes.len + self.fields.len + lanes;
    }

    /// Any thread: the flag of a worker, where JS sees it.
    pub fn asleepFlag(self: *Dispatcher, worker: u32) *u32 {
        return &self.block.worker(worker).asleep;
    }

    pub fn workerStart(self: *Dispatcher, w: anytype) !void {
        const count = self.block.layout.threads;
        w.state.lanes = self.lanes[w.index * count ..][0..count];
        const bytes = self.block.layout.response_field_bytes;
        w.state.fields = self.fields[w.index * bytes ..][0..bytes];
        w.state.table = self.table.load(.acquire);
        self.settled[w.index].store(w.state.table, .release);
    }

    pub fn workerStop(self: *Dispatcher, w: anytype) void {
        self.settled[w.index].store(null, .release);
        for (w.state.lanes) |*lane| {
            Sockets(@TypeOf(w)).stop(w, lane);
            if (lane.live) _ = lane.flush(self.threads.doorbell(lane.index));
            const epoch = self.threads.epoch(lane.index);
            if (epoch == lane.epoch or threads.isAttached(epoch)) continue;
            self.threads.noticed(lane.index);
        }
    }

    /// On the worker's thread, which lends it to the JS thread of the same number, or has it back:
    /// null. That one is told by `rung` that there is something for it, in the place of its
    /// doorbell.
    pub fn onLent(self: *Dispatcher, worker: u32, rung: ?*bool) void {
        const lane = &self.lanes[worker * self.block.layout.threads + worker];
        const before = lane.rung;
        lane.rung = rung;
        const was_rung = rung == null and before != null and before.?.*;
        // It has heard nothing of it, and may be there.
        if (was_rung and lane.live) _ = doorbell_file.ring(self.threads.doorbell(lane.index));
    }

    /// Any thread: whether no worker uses another table than the present one.
    pub fn tableSettled(self: *const Dispatcher) bool {
        const current = self.table.load(.acquire);
        for (self.settled) |*it| {
            const used = it.load(.acquire) orelse continue; // the worker has ended
            if (used != current) return false;
        }
        return true;
    }

    pub fn onRequest(
        self: *Dispatcher,
        w: anytype,
        ex: anytype,
        req: *Request,
        res: *Response,
    ) Action {
        const table = w.state.table.?;
        var params: router_file.Params = .{};
        const target = switch (table.router.match(req.method, req.path, &params)) {
            .found => |target| target,
            .method_not_allowed => |allowed| table.fallback orelse
                return methodNotAllowed(req, res, allowed),
            .none => table.fallback orelse
                return respondProblem(req, res, .not_found),
        };
        switch (table.targets[target]) {
            .constant => |*constant| {
                constant.fill(res);
                return .respond;
            },
            .dir => |*dir| {
                dir.handle(req, res, dirPath(req, &params));
                return .respond;
            },
            .lane => |route| return self.toLane(w, ex, req, res, route, &params),
        }
    }

    /// What the wildcard stands for, with the slash before it; "" where the path stops before that.
    fn dirPath(req: *const Request, params: *const router_file.Params) []const u8 {
        if (params.len == 0) return req.path;
        const span = params.items[params.len - 1];
        if (span.off == 0 or req.path[span.off - 1] != '/') return "";
        return req.path[span.off - 1 ..][0 .. span.len + 1];
    }

    fn respondProblem(req: *const Request, res: *Response, code: problem.Code) Action {
        problem.write(res, problem.formatOf(&req.fields), code);
        return .respond;
    }

    fn methodNotAllowed(
        req: *const Request,
        res: *Response,
        allowed: router_file.MethodSet,
    ) Action {
        var text: [router_file.MethodSet.allow_bytes_max]u8 = undefined;
        res.header(
            "Allow",
            allowed.allow(&text),
        ) catch unreachable; // the first field of a fresh response
        return respondProblem(req, res, .method_not_allowed);
    }

    /// What JS may send of a body before some of it has left. Streams of one connection are many:
    /// each begins with little.
    fn firstAllowance(self: *const Dispatcher, version: http_request.Version) u32 {
        const full = self.block.layout.credit_bytes;
        return if (version == .http2) @min(full, abi.credit_bytes_min) else full;
    }

    fn toLane(
        self: *Dispatcher,
        w: anytype,
        ex: anytype,
        req: *const Request,
        res: *Response,
        route: u32,
        params: *const router_file.Params,
    ) Action {
        const raw_bytes = lane_file.rawTargetBytes(req);
        if (raw_bytes > abi.request_inline_bytes_max)
            return respondProblem(req, res, .uri_too_long);
        // One that HTTP/2 has made longer, by joining its cookies.
        const head_bytes: u32 = @intCast(req.head_bytes.len);
        if (abi.ringBytesMin(head_bytes) > self.block.layout.ring_bytes)
            return respondProblem(req, res, .head_too_large);
        const room = abi.request_inline_bytes_max - raw_bytes;
        const with_body = ex.body_complete and req.body.len <= room;
        const parts: Lane.HeadParts = .{
            .route = route,
            .id = ex.id,
            .params = params.slice(),
            .body_length = if (ex.body_complete) req.body.len else ex.body_length,
            .inline_body = with_body,
            .has_trailers = ex.trailers.len > 0,
            .push_room = w.pushRoom(ex),
            .upgrade = w.state.table.?.websocket and handshake.wayOf(req) != null,
        };
        var any_live = false;
        while (self.pickLane(w, &any_live)) |lane| {
            const written = lane.writeHead(req, parts) catch {
                self.fail(w, lane);
                continue;
            };
            if (!written) continue; // it is marked as full now
            lane.link(&ex.user);
            ex.user.credit = self.block.layout.credit_bytes;
            ex.user.allowance = self.firstAllowance(ex.version);
            ex.body_taken = with_body;
            if (parts.upgrade) noteAsked(w, ex, req);
            if (with_body and parts.has_trailers) tellTrailers(w, lane, ex);
            return .pending;
        }
        if (any_live) return .busy;
        // A thread may have come since the last turn.
        if (self.noticeThreads(w)) return self.toLane(w, ex, req, res, route, params);
        return respondProblem(req, res, .service_unavailable);
    }

    fn noteAsked(w: anytype, ex: anytype, req: *const Request) void {
        @branchHint(.unlikely);
        const remote = @typeInfo(@TypeOf(w)).pointer.child.remote;
        ex.user.asked = .of(req, remote.deflatePolicy(w));
        ex.holds_input = ex.user.asked.refusal == null;
    }

    /// Trailers of a body that went along with its head.
    fn tellTrailers(w: anytype, lane: *Lane, ex: anytype) void {
        @branchHint(.cold);
        const told = lane.writeTrailers(ex.id, &ex.trailers, w.state.fields) catch blk: {
            lane.full = true; // what uses the room that seems to come finds the lane spoiled
            break :blk false;
        };
        ex.user.end_owed = !told;
    }

    /// The lane with the fewest exchanges on it of those that take requests.
    fn pickLane(self: *const Dispatcher, w: anytype, any_live: *bool) ?*Lane {
        const lanes = w.state.lanes;
        const own: u32 = if (self.is_paired) w.index else 0;
        if (lanes.len == 1 or (self.is_paired and lanes[own].live)) {
            any_live.* = lanes[own].live;
            return if (lanes[own].takesRequests()) &lanes[own] else null;
        }
        var best: ?*Lane = null;
        w.state.turn +%= 1;
        for (0..lanes.len) |i| {
            const lane = &lanes[(w.state.turn +% i) % lanes.len];
            if (!lane.live) continue;
            any_live.* = true;
            if (!lane.takesRequests()) continue;
            if (best == null or lane.pending < best.?.pending) best = lane;
        }
        return best;
    }

    pub fn onBody(self: *Dispatcher, w: anytype, ex: anytype, bytes: []const u8, end: bool) usize {
        const state: *ExchangeState = &ex.user;
        if (state.phase != .pending) return bytes.len; // answered already: nobody wants the rest
        const lane = &w.state.lanes[state.lane];
        var taken: usize = 0;
        while (taken < bytes.len) {
            const count = @min(bytes.len - taken, state.credit, abi.chunk_bytes_max);
            if (count == 0) break;
            const last = end and taken + count == bytes.len and ex.trailers.len == 0;
            const written = lane.writeChunk(ex.id, bytes[taken..][0..count], last) catch {
                self.fail(w, lane);
                return bytes.len;
            };
            if (!written) break;
            taken += count;
            state.credit -= @intCast(count);
            if (last) return bytes.len;
        }
        state.body_waiting = taken < bytes.len;
        if (end and !state.body_waiting) _ = self.tellEnd(w, lane, ex);
        return taken;
    }

    /// The request body has ended, with trailers or without. False: it is owed, or the lane failed.
    fn tellEnd(self: *Dispatcher, w: anytype, lane: *Lane, ex: anytype) bool {
        const written = if (ex.trailers.len == 0)
            lane.writeChunk(ex.id, "", true)
        else
            lane.writeTrailers(ex.id, &ex.trailers, w.state.fields);
        const told = written catch {
            self.fail(w, lane);
            return false;
        };
        ex.user.end_owed = !told;
        return told;
    }

    pub fn onAbort(self: *Dispatcher, w: anytype, ex: anytype) void {
        const state: *ExchangeState = &ex.user;
        if (state.phase != .pending) return;
        const lane = &w.state.lanes[state.lane];
        lane.unlink(state);
        self.tellAbort(w, lane, ex.id);
    }

    /// JS is to forget an exchange.
    pub fn tellAbort(self: *Dispatcher, w: anytype, lane: *Lane, id: Id) void {
        if (!lane.live) return;
        if (lane.aborts_len == 0) {
            const told = lane.writeNote(.request_abort, id) catch return self.fail(w, lane);
            if (told) return;
        }
        // No new request goes on the lane while one waits here: there is a place for every
        // exchange.
        lane.aborts[lane.aborts_len] = id;
        lane.aborts_len += 1;
    }

    /// The client has closed its end: it may still read, or be gone.
    pub fn onEof(self: *Dispatcher, w: anytype, ex: anytype) void {
        const state: *ExchangeState = &ex.user;
        if (state.phase != .pending) return;
        const lane = &w.state.lanes[state.lane];
        const told = lane.writeNote(.request_eof, ex.id) catch return self.fail(w, lane);
        state.eof_owed = !told;
    }

    /// A message was refused. One of the threads hears of it, when the program wants to know.
    pub fn onProtocolError(self: *Dispatcher, w: anytype, err: *const ProtocolError) void {
        const table = w.state.table orelse return;
        if (!table.protocol_errors) return;
        // A thread may have come since the last turn. Where none was there, nothing can end by it.
        if (!anyLive(w)) _ = self.noticeThreads(w);
        const lanes = w.state.lanes;
        const first: usize = if (self.is_paired) w.index else 0;
        for (0..lanes.len) |i| {
            const lane = &lanes[(first + i) % lanes.len];
            if (!lane.takesRequests()) continue;
            // A spoiled ring is found by who has to write to it.
            if (!(lane.writeProtocolError(err, w.state.errors_dropped) catch false)) continue;
            w.state.errors_dropped = 0;
            return;
        }
        w.state.errors_dropped +|= 1;
    }

    fn anyLive(w: anytype) bool {
        for (w.state.lanes) |*lane| if (lane.live) return true;
        return false;
    }

    pub fn onSent(self: *Dispatcher, w: anytype, ex: anytype, bytes: u64) void {
        const state: *ExchangeState = &ex.user;
        if (state.phase != .pending) return;
        state.owed +|= std.math.lossyCast(u32, bytes);
        const full = self.block.layout.credit_bytes;
        if (state.allowance < full and w.makeLarge(ex)) {
            // Its client takes what it is sent.
            state.owed +|= full - state.allowance;
            state.outstanding +|= full - state.allowance; // to be granted is to be taken off
            state.allowance = full;
        }
        // Small grants are saved up; JS has three quarters of its credit left.
        if (state.owed >= state.allowance / 4) self.grant(w, &w.state.lanes[state.lane], ex);
    }

    fn grant(self: *Dispatcher, w: anytype, lane: *Lane, ex: anytype) void {
        const state: *ExchangeState = &ex.user;
        const told = lane.writeCredit(ex.id, state.owed) catch return self.fail(w, lane);
        if (!told) return; // with the next bytes, or when there is room
        state.outstanding -|= state.owed;
        state.owed = 0;
    }

    pub fn onTurn(self: *Dispatcher, w: anytype) void {
        self.settleTable(w);
        // What waits for a lane may go on that of a thread that has come.
        var room = self.noticeThreads(w);
        // One that has had the worker publish more than goes in a turn lets others go first.
        const lanes = w.state.lanes;
        w.state.first_lane = (w.state.first_lane + 1) % @as(u32, @intCast(lanes.len));
        for (0..lanes.len) |i| {
            const lane = &lanes[(w.state.first_lane + i) % lanes.len];
            if (!lane.live) continue;
            Answers(@TypeOf(w)).drain(self, w, lane);
            if (lane.hasRoomAgain()) {
                self.useRoom(w, lane);
                room = room or !lane.full;
            } else if (lane.hasTurns()) Sockets(@TypeOf(w)).useRoom(self, w, lane);
        }
        if (w.hasBusy() and (room or self.busyIsPointless(w))) w.retryBusy();
        for (w.state.lanes) |*lane| self.useRest(w, lane);
        for (w.state.lanes) |*lane| {
            if (!lane.live or lane.flush(self.threads.doorbell(lane.index))) continue;
            // It has ended without a word: what it had is answered with 503 in the next turn.
            if (self.threads.detach(lane.index)) self.wakeOthers(w);
        }
    }

    /// What the other workers have with a thread that is gone is theirs to answer. It may have
    /// taken down the flag of one that sleeps, and owe it the wake.
    fn wakeOthers(self: *Dispatcher, w: anytype) void {
        @branchHint(.cold);
        const Io = @TypeOf(w.net.backend);
        for (0..self.block.layout.workers) |index| {
            const line = self.block.worker(@intCast(index));
            if (index != w.index) Io.ring(.ofNumber(line.wake_fd));
        }
    }

    /// Requests wait for lanes that no longer exist: they are to be refused.
    fn busyIsPointless(_: *Dispatcher, w: anytype) bool {
        for (w.state.lanes) |*lane| if (lane.live and !lane.takesRequests()) return false;
        return true;
    }

    pub fn hasWork(self: *Dispatcher, w: anytype) bool {
        if (w.state.settling or w.state.table != self.table.load(orders.look)) return true;
        for (w.state.lanes) |*lane| {
            if (self.threads.epoch(lane.index) != lane.epoch) return true;
            if (!lane.live) continue;
            // Aborts that were written after `onTurn` are published by the next one.
            if (lane.requests.tail != lane.requests.published) return true;
            if (!lane.responses.isEmpty() or lane.hasTurns()) return true;
            if (lane.hasRoomOrWishes()) return true;
        }
        return false;
    }

    fn settleTable(self: *Dispatcher, w: anytype) void {
        if (w.state.settling) {
            w.state.settling = false;
            self.settled[w.index].store(w.state.table, .release);
        }
        const current = self.table.load(.acquire);
        if (w.state.table == current) return;
        w.state.table = current;
        w.state.settling = true;
    }

    /// True when a lane is live now that was not.
    fn noticeThreads(self: *Dispatcher, w: anytype) bool {
        var any = false;
        for (w.state.lanes) |*lane| {
            if (self.threads.epoch(lane.index) == lane.epoch) continue;
            self.changeThread(w, lane);
            any = any or lane.live;
        }
        return any;
    }

    /// A JS thread has come or gone.
    fn changeThread(self: *Dispatcher, w: anytype, lane: *Lane) void {
        const epoch = self.threads.epoch(lane.index);
        lane.epoch = epoch;
        lane.live = threads.isAttached(epoch);
        if (lane.live) return;
        while (lane.first) |state| self.failExchange(w, lane, state, .service_unavailable);
        Sockets(@TypeOf(w)).abandon(w, lane, .service_restart);
        lane.reset();
        self.threads.noticed(lane.index);
    }

    /// Before the workers' start, or where there was none: a JS thread has gone, and they had to do
    /// with none yet.
    pub fn noticeEarly(self: *Dispatcher, thread: u32) void {
        const count = self.block.layout.threads;
        for (0..self.block.layout.workers) |worker| {
            const lane = &self.lanes[worker * count + thread];
            lane.reset();
            lane.epoch = self.threads.epoch(thread);
            self.threads.noticed(thread);
        }
    }

    /// The thread has spoiled its position in the request ring: nothing can be told to it any more.
    pub fn fail(self: *Dispatcher, w: anytype, lane: *Lane) void {
        log.err(
            "JS thread {d} has spoiled its request ring: it gets no more requests",
            .{lane.index},
        );
        _ = self.bad_records.fetchAdd(1, .monotonic);
        lane.live = false;
        while (lane.first) |state| self.failExchange(w, lane, state, .internal_error);
        Sockets(@TypeOf(w)).abandon(w, lane, .internal_error);
    }

    /// The thread has published what cannot be read: its answers are lost, so that what is under
    /// way is given up.
    pub fn spoiled(self: *Dispatcher, w: anytype, lane: *Lane) void {
        log.err(
            "JS thread {d} has spoiled its response ring: {d} requests fail",
            .{ lane.index, lane.pending },
        );
        _ = self.bad_records.fetchAdd(1, .monotonic);
        lane.responses.resync();
        while (lane.first) |state| {
            self.onAbort(w, exchangeOf(w, state)); // JS is to forget it
            w.respondError(exchangeOf(w, state), .internal_error);
        }
        Sockets(@TypeOf(w)).closeAll(w, lane, .internal_error);
    }

    // WebSockets.

    pub fn onSocketOpen(self: *Dispatcher, w: anytype, session: anytype) void {
        Sockets(@TypeOf(w)).onOpen(self, w, session);
    }

    pub fn socketRoom(self: *Dispatcher, w: anytype, session: anytype, bytes: usize) usize {
        return Sockets(@TypeOf(w)).room(self, w, session, bytes);
    }

    pub fn onSocketData(
        self: *Dispatcher,
        w: anytype,
        session: anytype,
        data: *const frame_decoder.Data,
    ) void {
        Sockets(@TypeOf(w)).onData(self, w, session, data);
    }

    pub fn onSocketControl(
        self: *Dispatcher,
        w: anytype,
        session: anytype,
        opcode: frames.Opcode,
        payload: []const u8,
    ) void {
        Sockets(@TypeOf(w)).onControl(self, w, session, opcode, payload);
    }

    pub fn onSocketDrain(self: *Dispatcher, w: anytype, session: anytype) void {
        Sockets(@TypeOf(w)).onSettle(self, w, session);
    }

    pub fn onSocketClose(self: *Dispatcher, w: anytype, session: anytype, _: anytype) bool {
        return Sockets(@TypeOf(w)).onClose(self, w, session);
    }

    pub fn failExchange(
        _: *Dispatcher,
        w: anytype,
        lane: *Lane,
        state: *ExchangeState,
        code: problem.Code,
    ) void {
        const ex = exchangeOf(w, state);
        if (state.phase == .pending) lane.unlink(state);
        w.respondError(ex, code); // closes the connection when the response has begun
    }

    pub fn exchangeOf(w: anytype, state: *ExchangeState) *ExchangeType(@TypeOf(w)) {
        return @alignCast(@fieldParentPtr("user", state));
    }

    pub fn ExchangeType(comptime W: type) type {
        return @typeInfo(W).pointer.child.Exchange;
    }

    /// There is room in the request ring: what had to wait goes first. Aborts before all, then by
    /// turns what sockets wait with, or what exchanges do and the heads of requests. On the turn of
    /// the latter sockets have what is left (`useRest`); on theirs room is kept for those that are
    /// called, who are read at the end of the turn.
    fn useRoom(self: *Dispatcher, w: anytype, lane: *Lane) void {
        lane.full = false;
        lane.is_put_off = false;
        lane.sockets.queue.beginCalling();
        self.tellAborts(w, lane) catch return self.fail(w, lane);
        if (lane.full) return;
        lane.turn_from = lane.requests.tail;
        if (lane.sockets.go_first) Sockets(@TypeOf(w)).useRoom(self, w, lane);
        if (!lane.full and lane.live) self.useRoomForAll(w, lane);
    }

    fn useRoomForAll(self: *Dispatcher, w: anytype, lane: *Lane) void {
        lane.cursor = lane.first;
        while (lane.cursor) |state| {
            lane.cursor = state.next;
            self.useRoomFor(w, lane, exchangeOf(w, state));
            if (lane.full or lane.is_put_off) break;
        }
        lane.cursor = null;
    }

    /// Requests have had their turn on the lane, if it was theirs.
    fn useRest(self: *Dispatcher, w: anytype, lane: *Lane) void {
        const from = lane.turn_from orelse return;
        lane.turn_from = null;
        const sockets = &lane.sockets;
        if (!sockets.go_first and !lane.full and lane.live)
            Sockets(@TypeOf(w)).useRoom(self, w, lane);
        // Who goes first and finds too little room goes first again: others leave it together.
        const is_used = lane.requests.tail != from or sockets.queue.called > 0;
        if (is_used or !lane.full) sockets.go_first = !sockets.go_first;
    }

    fn tellAborts(_: *Dispatcher, _: anytype, lane: *Lane) !void {
        var told: usize = 0;
        defer {
            const left = lane.aborts_len - told;
            std.mem.copyForwards(Id, lane.aborts[0..left], lane.aborts[told..lane.aborts_len]);
            lane.aborts_len = left;
        }
        while (told < lane.aborts_len) : (told += 1) {
            if (!try lane.writeNote(.request_abort, lane.aborts[told])) return;
        }
    }

    fn useRoomFor(self: *Dispatcher, w: anytype, lane: *Lane, ex: anytype) void {
        const state: *ExchangeState = &ex.user;
        if (state.end_owed and !self.tellEnd(w, lane, ex)) return;
        if (state.eof_owed) {
            const told = lane.writeNote(.request_eof, ex.id) catch return self.fail(w, lane);
            if (!told) return;
            state.eof_owed = false;
        }
        if (state.owed >= state.allowance / 4) self.grant(w, lane, ex);
        if (lane.full or state.phase != .pending) return;
        if (state.body_waiting and state.credit > 0) {
            state.body_waiting = false;
            w.resumeBody(ex); // may end the exchange
        }
    }
};

comptime {
    for (std.enums.values(Method)) |method| {
        assert(@intFromEnum(method) == @intFromEnum(@field(abi.Method, @tagName(method))));
    }
    for (std.enums.values(http_request.Version)) |version| {
        assert(@intFromEnum(version) == @intFromEnum(@field(abi.Version, @tagName(version))));
    }
    assert(router_file.params_max <= abi.param_count_max);
}
