//! A simulated client: sends its script in its own way, reads the responses strictly, and knows
//! what each has to be.

const std = @import("std");
const assert = std.debug.assert;
const network_file = @import("../io/simulated_network.zig");
const Network = network_file.Network;
const never = network_file.never;
const Line = @import("line.zig").Line;
const Options = @import("options.zig").Options;
const Pattern = @import("pattern.zig").Pattern;
const Plan = @import("plan.zig").Plan;
const reader_file = @import("response_reader.zig");
const Head = reader_file.Head;
const Reader = reader_file.Reader;
const script_file = @import("script.zig");
const Request = script_file.Request;
const Script = script_file.Script;

/// How a client behaves, whatever it sends.
pub const Manner = struct {
    /// The next request goes out when the last response has come.
    lockstep: bool = false,
    /// In between it waits for as long as it may.
    rests: bool = false,
    send_bytes_max: u32 = 1 << 20,
    send_pause_ms: u32 = 0,
    read_bytes_max: u32 = 32 * 1024,
    read_pause_ms: u32 = 0,
    /// What it does when all is answered, or when all is sent.
    ending: enum { close, half_close, wait } = .close,
    /// Closes soon after the head of a response that does not end.
    leaves: bool = false,
    /// What it does once it has sent so many bytes.
    giving_up: enum { not, reset, close, stall, stop_reading } = .not,
    giving_up_after: usize = 0,
    /// Sends more slowly than any minimum rate: the server has to end that.
    creeps: bool = false,
    /// Goes on sending behind a response that announced the end.
    rude: bool = false,
    /// Sends a body unasked when 100 (Continue) has not come for so long; null: never.
    continue_patience_ms: ?u64 = 700,

    pub fn of(random: std.Random) Manner {
        var self: Manner = .{
            .lockstep = random.boolean(),
            .rude = random.uintLessThan(u8, 3) == 0,
        };
        self.rests = self.lockstep and random.uintLessThan(u8, 6) == 0;
        if (random.boolean()) self.continue_patience_ms = null;
        self.ending = random.enumValue(@TypeOf(self.ending));
        switch (random.uintLessThan(u8, 8)) {
            0 => { // a trickle, above any minimum rate
                self.send_bytes_max = random.intRangeAtMost(u32, 20, 3_000);
                self.send_pause_ms = random.intRangeAtMost(u32, 0, 40);
            },
            1 => self.send_bytes_max = random.intRangeAtMost(u32, 1, 50),
            2 => {
                self.read_bytes_max = random.intRangeAtMost(u32, 100, 5_000);
                self.read_pause_ms = random.intRangeAtMost(u32, 0, 40);
            },
            3 => if (random.boolean()) {
                self.creeps = true;
                self.send_bytes_max = random.intRangeAtMost(u32, 1, 8);
                self.send_pause_ms = random.intRangeAtMost(u32, 200, 500);
            },
            else => {},
        }
        return self;
    }

    /// A response does not come to its end while the client is there: it half-closes, or leaves.
    pub fn facingSilence(self: *Manner, random: std.Random) void {
        self.leaves = random.boolean();
        self.ending = .half_close;
        if (self.leaves and random.boolean()) self.ending = .wait;
        // Otherwise it is there for ever, and nobody is to blame.
        if (self.giving_up == .stall or self.giving_up == .stop_reading) self.giving_up = .not;
    }

    /// How much is read at a time, bytes.
    pub fn readMost(self: *const Manner, random: std.Random) usize {
        const some = random.intRangeAtMost(usize, 1, self.read_bytes_max);
        return if (random.boolean()) self.read_bytes_max else some;
    }

    /// How much of `len` bytes is sent at a time.
    pub fn sendMost(self: *const Manner, random: std.Random, len: usize) usize {
        const wanted = @min(len, self.send_bytes_max);
        const is_cut = wanted > 1 and random.boolean();
        return if (is_cut) random.intRangeAtMost(usize, 1, wanted) else wanted;
    }

    /// Has `line` be given up in its way. True: the client has ended.
    pub fn abandon(self: *const Manner, line: *Line) bool {
        switch (self.giving_up) {
            .not => unreachable, // it was asked for
            .reset, .close => {
                line.close(self.giving_up == .reset);
                return true;
            },
            .stall => line.is_stalled = true,
            .stop_reading => {},
        }
        return false;
    }

    pub fn giveUp(self: *Manner, random: std.Random, script_bytes: usize) void {
        self.giving_up = random.enumValue(@TypeOf(self.giving_up));
        self.giving_up_after = random.uintAtMost(usize, script_bytes);
        if (self.giving_up == .stop_reading and random.boolean()) self.giving_up_after = 0;
    }
};

/// A pause of so long at most, ms.
pub fn pauseOf(random: std.Random, max_ms: u32) u64 {
    return if (max_ms == 0) 0 else random.uintAtMost(u32, max_ms);
}

pub const Client = struct {
    id: u32,
    network: *Network,
    options: *const Options,
    manner: Manner,
    script: Script,
    /// Nothing was to keep it from its answers.
    strict: bool,
    start_at: u64,
    random: std.Random,
    line: Line,
    phase: Phase = .coming,
    sent: usize = 0,
    /// Index of the request whose response comes next.
    next: usize = 0,
    reader: Reader = .{},
    /// The head of the response that is being read was looked at.
    in_response: bool = false,
    body_seen: u64 = 0,
    /// 100 (Continue) has come for the request that is being answered.
    continued: bool = false,
    /// A body is sent although 100 has not come; index of its request.
    unasked: ?usize = null,
    continue_since: ?u64 = null,
    /// A response has announced the end, and was read to its own.
    announced: bool = false,
    half_closed: bool = false,
    given_up: bool = false,
    reads_at: u64 = 0,
    sends_at: u64 = 0,
    closes_at: u64 = never,
    last_progress_ms: u64 = 0,
    connected_ms: u64 = 0,
    responses: u32 = 0,

    /// The connection whose client found a fault, for the report.
    pub threadlocal var failing: ?u32 = null;

    pub const Phase = enum { coming, talking, ended };

    /// Within what time something has to happen on a connection, virtual ms: the longest timeout,
    /// the linger time, a handler's longest thought, and some.
    pub const patience_ms = 25_000;

    // What the scheduler asks.

    /// When the client next does something of itself.
    pub fn wakesAt(self: *const Client) u64 {
        switch (self.phase) {
            .coming => return self.start_at,
            .ended => return never,
            .talking => {},
        }
        var at = self.closes_at;
        if (!self.stoppedReading() and self.line.canRecv()) at = @min(at, self.reads_at);
        if (self.stoppedReading() and self.line.link.?.server == .closed) at = 0;
        const has_more = self.sent < self.sendLimit();
        if (has_more and self.line.canSend()) at = @min(at, self.sends_at);
        if (self.line.hasRecords() or self.wantsToGiveUp() or self.wantsToFinish()) at = 0;
        if (self.continue_since) |since| if (self.manner.continue_patience_ms) |patience| {
            at = @min(at, since + patience);
        };
        return at;
    }

    pub fn step(self: *Client) void {
        switch (self.phase) {
            .coming => return self.connect(),
            .ended => return,
            .talking => {},
        }
        if (self.wantsToGiveUp()) return self.giveUp();
        if (self.stoppedReading()) {
            if (self.line.link.?.server == .closed) return self.end();
        } else {
            const is_due = self.network.now_ms >= self.reads_at;
            if (is_due and self.line.canRecv()) self.read();
        }
        if (self.phase == .talking) self.send();
        if (self.phase == .talking and self.network.now_ms >= self.closes_at) self.end();
    }

    /// Fails when nothing has happened for too long.
    pub fn checkLiveness(self: *Client) void {
        if (self.phase != .talking) return;
        const link = self.line.link.?;
        if (link.server == .waiting or link.server == .accepted) {
            self.last_progress_ms = self.network.now_ms; // the server's deadlines begin with it
            return;
        }
        if (self.manner.creeps) self.checkCreeping();
        if (self.network.now_ms - self.last_progress_ms <= patience_ms) return;
        self.fail("nothing has happened for {d} ms: the connection does not end", .{patience_ms});
    }

    /// However few bytes come at a time, each message has its deadline, and a body its rate.
    fn checkCreeping(self: *const Client) void {
        const rate = self.options.config.body_rate_min;
        if (rate == 0) return;
        const bytes_ms = self.script.bytes.len * 1000 / rate;
        const bound_ms = patience_ms * (self.script.requests.len + 1) + bytes_ms;
        const age_ms = self.network.now_ms - self.connected_ms;
        if (age_ms > bound_ms) self.fail("it creeps on for {d} ms", .{age_ms});
    }

    /// All stood still for so long: nobody is to blame for it.
    pub fn forgive(self: *Client, stall_ms: u64) void {
        self.last_progress_ms += stall_ms;
        self.connected_ms += stall_ms;
    }

    pub fn fail(self: *const Client, comptime fmt: []const u8, args: anytype) noreturn {
        failing = self.id;
        if (self.next < self.script.requests.len) {
            const due = self.script.requests[self.next];
            const text = self.script.bytes[due.start..due.end];
            std.debug.print("\nthe request, {d} bytes: \"{s}\"\n", .{ text.len, printable(text) });
            std.debug.print("so far {d} of {d} bytes were sent\n", .{ self.sent, due.end });
        }
        std.debug.panic("connection {d}: " ++ fmt, .{self.id} ++ args);
    }

    fn connect(self: *Client) void {
        const network = self.network;
        if (!network.isListening()) {
            self.phase = .ended;
            return;
        }
        if (!self.line.connect(self.id)) {
            self.start_at = network.now_ms + 50; // the backlog is full
            return;
        }
        self.phase = .talking;
        self.last_progress_ms = network.now_ms;
        self.connected_ms = network.now_ms;
    }

    fn end(self: *Client) void {
        self.line.close(false);
        self.phase = .ended;
    }

    fn progress(self: *Client) void {
        self.last_progress_ms = self.network.now_ms;
    }

    // Giving up.

    fn wantsToGiveUp(self: *const Client) bool {
        return self.manner.giving_up != .not and !self.given_up and
            self.sent >= self.manner.giving_up_after;
    }

    fn giveUp(self: *Client) void {
        self.given_up = true;
        self.progress();
        if (self.manner.abandon(&self.line)) self.phase = .ended;
    }

    fn stoppedReading(self: *const Client) bool {
        return self.given_up and self.manner.giving_up == .stop_reading;
    }

    // Sending.

    fn request(self: *const Client) ?*Request {
        return if (self.next < self.script.requests.len)
            &self.script.requests[self.next]
        else
            null;
    }

    /// How far the script may be sent now.
    fn sendLimit(self: *const Client) usize {
        if (self.half_closed) return self.sent;
        if (self.announced and !self.manner.rude) return self.sent;
        if (self.given_up and self.manner.giving_up == .stall) return self.sent;
        var limit = self.script.bytes.len;
        if (self.manner.lockstep) if (self.request()) |due| {
            limit = due.end;
        };
        if (self.waitsForContinue()) |waiting| limit = @min(limit, waiting.head_end);
        if (self.manner.giving_up != .not and !self.given_up)
            limit = @min(limit, self.manner.giving_up_after);
        return limit;
    }

    /// The request whose body is held back: the first one from which nothing of the body was sent.
    fn waitsForContinue(self: *const Client) ?*const Request {
        for (self.script.requests[self.next..], self.next..) |*it, index| {
            if (!it.expects_continue or self.sent > it.head_end) continue;
            if (index == self.next and (self.continued or self.in_response)) continue;
            if (self.unasked == index) continue;
            return it;
        }
        return null;
    }

    fn send(self: *Client) void {
        const now = self.network.now_ms;
        self.line.pump();
        if (now >= self.sends_at) {
            const rest = self.script.bytes[self.sent..self.sendLimit()];
            const most = self.manner.sendMost(self.random, rest.len);
            const n = self.line.send(rest[0..most]);
            self.sent += n;
            if (n > 0) {
                self.progress();
                self.sends_at = now + pauseOf(self.random, self.manner.send_pause_ms);
            }
        }
        self.holdBack(now);
        if (self.wantsToFinish()) {
            self.half_closed = true;
            self.line.finish();
        }
    }

    fn holdBack(self: *Client, now: u64) void {
        const waiting = self.waitsForContinue();
        if (waiting == null or self.sent < waiting.?.head_end) {
            self.continue_since = null;
            return;
        }
        const since = self.continue_since orelse {
            self.continue_since = now;
            return;
        };
        const patience = self.manner.continue_patience_ms orelse return;
        if (now < since + patience) return;
        self.unasked = (@intFromPtr(waiting.?) - @intFromPtr(self.script.requests.ptr)) /
            @sizeOf(Request);
        self.continue_since = null;
    }

    fn wantsToFinish(self: *const Client) bool {
        return self.manner.ending == .half_close and !self.half_closed and
            self.sent == self.script.bytes.len and self.manner.giving_up != .stall;
    }

    // Reading.

    fn read(self: *Client) void {
        var room: [Line.room_bytes]u8 = undefined;
        const most = self.manner.readMost(self.random);
        self.reads_at = self.network.now_ms + pauseOf(self.random, self.manner.read_pause_ms);
        switch (self.line.recv(most, &room)) {
            .nothing => {},
            .text => |text| {
                self.progress();
                if (text.len > 0) self.feed(text);
            },
            .eof => self.onEnd(false),
            .reset => self.onEnd(true),
            .wrong => |what| self.fail("{s}", .{what}),
        }
    }

    fn feed(self: *Client, bytes: []const u8) void {
        var rest = bytes;
        while (true) {
            if (rest.len == 0 and self.reader.isBetween()) return;
            if (self.announced) self.fail(
                "{d} bytes behind a response that announced the end: \"{s}\"",
                .{ rest.len, printable(rest) },
            );
            const due = self.request() orelse self.fail(
                "a response to no request: \"{s}\"",
                .{printable(rest)},
            );
            const event = self.reader.next(&rest, due.head_only) catch |err| self.fail(
                "response {d} is malformed: {s} behind \"{s}\"",
                .{ self.next, @errorName(err), printable(self.reader.seen()) },
            );
            switch (event) {
                .more => return,
                .interim => |status| self.onInterim(due, status),
                .head => |head| self.onHead(due, head),
                .body => |part| self.onBody(due, part),
                .end => self.onResponse(due),
            }
        }
    }

    fn onInterim(self: *Client, due: *const Request, status: u16) void {
        if (due.expected == .anything) return;
        if (status == 103 and isHinted(due) and !self.in_response) return;
        if (status != 100 or !due.expects_continue or self.continued)
            self.fail("an interim {d} that nothing asked for", .{status});
        self.continued = true;
        self.sends_at = self.network.now_ms;
    }

    fn isHinted(due: *const Request) bool {
        return due.expected == .answer and due.expected.answer.hasHint() and !due.http10;
    }

    fn onHead(self: *Client, due: *const Request, head: *const Head) void {
        self.in_response = true;
        self.body_seen = 0;
        self.line.note("client reads a head", head.status, self.next);
        if (head.id) |id| {
            if (id.connection != self.id) self.fail(
                "the response is for connection {d}, request {d}",
                .{ id.connection, id.number },
            );
        }
        if (head.hsts != self.options.secured) self.fail("HSTS: {}", .{head.hsts});
        if (self.manner.leaves and isSilent(due)) self.leave();
        if (due.expected == .anything) return;
        if (self.sent <= due.start and head.status != 408 and head.status != 503)
            self.fail("status {d} before its request was sent", .{head.status});
        const planned = switch (due.expected) {
            .answer, .spoiled => |plan| self.isPlanned(plan, head),
            .file => |file| head.status == file.status,
            .refused => |statuses| std.mem.indexOfScalar(u16, statuses, head.status) != null,
            .anything => true,
        };
        // What has to be refused may take too long to come.
        const excused = !self.strict or (due.expected == .refused and head.status == 408);
        if (!planned and !(excused and isTrouble(head.status))) self.fail(
            "request {d} was answered with {d}",
            .{ self.next, head.status },
        );
        if (!planned and head.id != null) self.fail("{d} comes from a handler", .{head.status});
        // What is wrong with a body may be found after a handler has failed.
        const must_close = due.last and (planned or due.expected != .refused);
        if (!head.close and (must_close or (planned and isPlannedEnd(due))))
            self.fail("the response to request {d} does not announce the end", .{self.next});
        self.checkKeepAlive(due, head);
        if (self.strict and head.close and !mayClose(due))
            self.fail("the response to request {d} announces the end for nothing", .{self.next});
    }

    fn isSilent(due: *const Request) bool {
        return due.expected == .spoiled and due.expected.spoiled.style == .silent;
    }

    fn leave(self: *Client) void {
        self.closes_at = self.network.now_ms + pauseOf(self.random, 300);
    }

    /// Whoever asks is told for how long the connection is kept, where it is; in whole seconds.
    fn checkKeepAlive(self: *const Client, due: *const Request, head: *const Head) void {
        const seconds = self.options.config.idle_timeout_ms / 1000;
        const is_due = due.asks_keep_alive and !head.close and seconds > 0;
        const told = head.timeout_s orelse {
            if (is_due) self.fail("nothing is told of the idle timeout", .{});
            return;
        };
        if (!is_due or told != seconds) self.fail("an idle timeout of {d} s is told", .{told});
    }

    fn isPlanned(self: *const Client, plan: Plan, head: *const Head) bool {
        if (head.status != plan.status()) return false;
        if (plan.kind == .fail) return head.id == null;
        const id = head.id orelse return false;
        if (id.number != plan.number) self.fail(
            "the response to request {d} is the one to request {d}",
            .{ plan.number, id.number },
        );
        const length = head.content_length orelse return true;
        return head.status == 204 or plan.kind == .status or length == plan.length or
            (plan.kind == .sum and length == plan.answerLength());
    }

    /// Statuses that a server in trouble, or out of patience, may answer with.
    fn isTrouble(status: u16) bool {
        return status == 503 or status == 408 or status == 500;
    }

    /// A body that was not awaited, or not read to its end, may cost the connection.
    fn mayClose(due: *const Request) bool {
        if (due.last or due.expects_continue or isPlannedEnd(due)) return true;
        return switch (due.expected) {
            // Of a length that is not known, ended by the close.
            .answer => |plan| plan.style == .early or due.http10,
            .file => false,
            .refused, .spoiled, .anything => true,
        };
    }

    fn isPlannedEnd(due: *const Request) bool {
        return due.expected == .answer and due.expected.answer.close;
    }

    fn onBody(self: *Client, due: *const Request, part: []const u8) void {
        const at = self.body_seen;
        self.body_seen += part.len;
        const head = &self.reader.head;
        switch (due.expected) {
            .answer, .spoiled => |plan| if (head.id != null) {
                if (self.body_seen > plan.answerLength())
                    self.fail("response {d} is too long", .{self.next});
                self.compare(plan.pattern(self.id), part, at);
            },
            .file => if (head.status == 200 or head.status == 206)
                self.compare(.shared, part, at),
            .anything => if (head.id) |id| {
                const own: Pattern = .of(.response, self.id, id.number);
                if (own.difference(part, at) == null) return;
                self.compare(.shared, part, at);
            },
            .refused => {},
        }
    }

    fn compare(self: *const Client, pattern: Pattern, part: []const u8, at: u64) void {
        const index = pattern.difference(part, at) orelse return;
        self.fail(
            "response {d}: byte {d} of the body is not its own",
            .{ self.next, at + index },
        );
    }

    fn onResponse(self: *Client, due: *const Request) void {
        const head = &self.reader.head;
        if (!due.head_only) switch (due.expected) {
            .answer => |plan| if (head.id != null) {
                self.checkLength(plan.answerLength());
                self.checkTrailer(plan);
            },
            .file => |file| if (head.status == 200 or head.status == 206)
                self.checkLength(file.length),
            .spoiled => |plan| if (plan.style != .more and head.id != null)
                self.fail("a response that lacks bytes looks whole", .{}),
            .refused, .anything => {},
        };
        self.line.note("client has read a response", self.next, self.body_seen);
        self.responses += 1;
        self.in_response = false;
        self.continued = false;
        self.announced = head.close;
        if (due.expected == .spoiled and !head.close) self.announced = head.id != null;
        if (due.expected != .anything) self.next += 1;
        const all = self.next == self.script.requests.len;
        // Who rests within a message has the body's time, which may be shorter.
        if (self.manner.rests and self.sent >= due.end) {
            const most = self.options.config.idle_timeout_ms;
            self.sends_at = self.network.now_ms + self.random.uintAtMost(u64, most);
        }
        if (all and self.manner.ending == .close)
            self.leave();
    }

    fn checkTrailer(self: *const Client, plan: Plan) void {
        // An empty body may come without chunks that are worth a trailer.
        const due = self.reader.head.chunked and self.body_seen > 0 and plan.hasTrailer();
        const sum = self.reader.sum orelse {
            if (due) self.fail("response {d} lacks its trailer", .{self.next});
            return;
        };
        if (!plan.hasTrailer() or sum != plan.number)
            self.fail("response {d} has the trailer of response {d}", .{ self.next, sum });
    }

    fn checkLength(self: *const Client, length: u64) void {
        if (self.body_seen != length) self.fail(
            "the body of response {d} has {d} of {d} bytes",
            .{ self.next, self.body_seen, length },
        );
    }

    fn onEnd(self: *Client, reset: bool) void {
        self.line.note("client sees the end", @intFromBool(reset), self.next);
        if (self.reader.state == .to_end and !reset) {
            if (self.request()) |due| if (!isSpoiled(due)) self.onResponse(due);
        } else self.checkEnd(reset);
        self.end();
    }

    fn isSpoiled(due: *const Request) bool {
        return due.expected == .spoiled;
    }

    fn checkEnd(self: *const Client, reset: bool) void {
        if (!self.strict or self.announced) return;
        const due = self.request() orelse return; // all are answered
        if (due.expected == .anything or due.expected == .spoiled) return;
        if (self.in_response) self.fail("the end came within response {d}", .{self.next});
        const how = if (reset) "a reset" else "the end";
        self.fail("{s} came in place of response {d}", .{ how, self.next });
    }

    fn printable(bytes: []const u8) @TypeOf(std.fmt.fmtSliceEscapeLower("")) {
        return std.fmt.fmtSliceEscapeLower(bytes[0..@min(bytes.len, 200)]);
    }
};
