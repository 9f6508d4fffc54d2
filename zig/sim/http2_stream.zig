//! A stream of a simulated client: what was asked on it, what has come, and whether that is right.

const std = @import("std");
const Client = @import("http2_client.zig").Http2Client;
const Pattern = @import("pattern.zig").Pattern;
const Plan = @import("plan.zig").Plan;
const reader = @import("http2_reader.zig");
const Head = reader.Head;
const Ask = @import("http2_script.zig").Ask;
const Talk = @import("talk.zig").Talk;

/// RFC 9113 §7
pub const Code = enum(u32) {
    no_error = 0,
    protocol_error = 1,
    internal_error = 2,
    flow_control_error = 3,
    refused_stream = 7,
    cancel = 8,
    enhance_your_calm = 11,
    _,
};

pub const Stream = struct {
    ask: *const Ask,
    /// Of one that is to be a WebSocket.
    talk: ?*Talk = null,
    id: u32 = 0,
    phase: Phase = .coming,
    /// How many SETTINGS of ours were sent when it began.
    settings_sent: usize = 0,
    began_before_settings: bool = false,
    /// What was sent of the content, bytes.
    sent: u32 = 0,
    ended: bool = false,
    send_window: i64 = 0,
    /// 100 (Continue) has come, or was not waited for.
    continued: bool = false,
    continue_since: ?u64 = null,
    head: ?Head = null,
    received: u64 = 0,
    /// By WINDOW_UPDATE, bytes.
    granted: i64 = 0,
    /// END_STREAM has come.
    answered: bool = false,
    reset_by_server: bool = false,
    cancels_at: ?u64 = null,
    since_ms: u64 = 0,
    /// A GOAWAY has said that it is not served.
    unserved: bool = false,

    pub const Phase = enum {
        coming,
        live,
        /// Both have ended it, or one has reset it.
        done,
    };

    /// The server has begun it.
    pub fn isPush(self: *const Stream) bool {
        return self.id != 0 and self.id % 2 == 0;
    }

    pub fn isLive(self: *const Stream) bool {
        return self.phase == .live;
    }

    /// Whether content may be sent, as far as the stream has to do with it.
    pub fn hasContent(self: *const Stream) bool {
        if (self.phase != .live or self.ended or self.ask.withholds) return false;
        if (self.talk != null) return self.head != null;
        return !self.ask.expects_continue or self.continued or self.head != null;
    }

    pub fn waitsForContinue(self: *const Stream) bool {
        return self.phase == .live and self.ask.expects_continue and !self.ended and
            !self.continued and self.head == null;
    }

    pub fn onHeaders(self: *Stream, client: *Client, head: Head, end_stream: bool) void {
        if (self.answered) client.fail("stream {d}: HEADERS behind its end", .{self.id});
        if (self.phase == .done) return; // they were on their way when it was reset
        self.since_ms = client.network.now_ms;
        if (head.id) |id| if (id.connection != client.id)
            client.fail("stream {d} is answered for connection {d}", .{ self.id, id.connection });
        if (self.head == null) {
            if (head.status == 0) client.fail("stream {d}: HEADERS without :status", .{self.id});
            if (head.status < 200) return self.onInterim(client, head.status, end_stream);
            self.head = head;
            self.onHead(client, &head);
        } else {
            if (head.status != 0 or !end_stream)
                client.fail("stream {d}: a second head, {d}", .{ self.id, head.status });
            self.head.?.sum = head.sum;
        }
        if (end_stream) self.onEnd(client);
    }

    fn onInterim(self: *Stream, client: *Client, status: u16, end_stream: bool) void {
        if (end_stream) client.fail("stream {d} ends with {d}", .{ self.id, status });
        if (client.isCorrupt()) return;
        const ask = self.ask;
        if (status == 103 and ask.expected == .answer and ask.expected.answer.hasHint()) return;
        if (status != 100 or !ask.expects_continue)
            client.fail("stream {d}: an interim {d} that nothing asked for", .{ self.id, status });
        self.continued = true;
        self.continue_since = null;
    }

    fn onHead(self: *Stream, client: *Client, head: *const Head) void {
        client.line.note("client reads a head", head.status, self.id);
        if (self.ask.cancels == .on_head) self.cancels_at = client.network.now_ms +
            self.ask.cancels_after_ms;
        if (client.isCorrupt()) return;
        if (head.hsts != client.options.secured)
            client.fail("stream {d}: HSTS: {}", .{ self.id, head.hsts });
        const is_planned = switch (self.ask.expected) {
            .answer, .spoiled => |plan| self.isPlanned(client, plan, head),
            .file => |file| head.status == file.status,
            .socket => head.status == 200,
            .refused => |statuses| std.mem.indexOfScalar(u16, statuses, head.status) != null,
            .broken => false,
        };
        const is_trouble = head.status == 503 or head.status == 408 or head.status == 500;
        if (!is_planned and (client.strict or !is_trouble)) client.fail(
            "stream {d}, request {d} ({s} {s}), was answered with {d}",
            .{ self.id, self.ask.number, self.ask.method, self.ask.target, head.status },
        );
        if (!is_planned and head.id != null)
            client.fail("stream {d}: {d} comes from a handler", .{ self.id, head.status });
        if (is_planned) if (self.talk) |talk| {
            if (talk.agree(head.extensions.slice())) |fault| fault.tell(client);
        };
    }

    fn isPlanned(self: *const Stream, client: *Client, plan: Plan, head: *const Head) bool {
        if (head.status != plan.status()) return false;
        if (plan.kind == .fail) return head.id == null;
        const id = head.id orelse return false;
        if (id.number != plan.number) client.fail(
            "stream {d}: the response to request {d} is the one to request {d}",
            .{ self.id, plan.number, id.number },
        );
        const length = head.content_length orelse return true;
        return head.status == 204 or plan.kind == .status or length == plan.answerLength();
    }

    /// A frame of DATA begins.
    pub fn onDataBegin(self: *Stream, client: *Client, len: u32) void {
        if (self.answered) client.fail("stream {d}: DATA behind its end", .{self.id});
        if (self.phase == .live and self.head == null)
            client.fail("stream {d}: DATA ahead of HEADERS", .{self.id});
        self.since_ms = client.network.now_ms;
        const allowed = client.initialWindowOf(self) + self.granted;
        const after: i64 = @intCast(self.received + len);
        if (len > 0 and after > allowed) client.fail(
            "stream {d}: {d} bytes have come, and its window let {d} come",
            .{ self.id, after, allowed },
        );
    }

    pub fn onData(self: *Stream, client: *Client, bytes: []const u8) void {
        const at = self.received;
        self.received += bytes.len;
        if (self.phase != .live) return;
        const head = &self.head.?;
        if (client.isCorrupt()) {
            const id = head.id orelse return;
            const own: Pattern = .of(.response, client.id, id.number);
            if (own.difference(bytes, at) == null) return;
            return self.compare(client, .shared, bytes, at);
        }
        switch (self.ask.expected) {
            .answer, .spoiled => |plan| if (head.id != null) {
                if (self.received > plan.answerLength())
                    client.fail("stream {d}: its content is too long", .{self.id});
                self.compare(client, plan.pattern(client.id), bytes, at);
            },
            .file => if (head.status == 200 or head.status == 206)
                self.compare(client, .shared, bytes, at),
            .socket => if (head.status == 200) self.hear(client, bytes) catch
                @panic("out of memory"),
            .refused, .broken => {},
        }
    }

    fn hear(self: *Stream, client: *Client, bytes: []const u8) !void {
        const talk = self.talk.?;
        talk.strict = talk.strict and client.strict;
        if (try talk.hear(bytes)) |fault| {
            std.debug.print("\nstream {d}, {any}\n", .{ self.id, talk.ways });
            fault.tell(client);
        }
    }

    fn compare(
        self: *const Stream,
        client: *Client,
        pattern: Pattern,
        bytes: []const u8,
        at: u64,
    ) void {
        const index = pattern.difference(bytes, at) orelse return;
        client.fail("stream {d}: byte {d} is not its own", .{ self.id, at + index });
    }

    /// END_STREAM has come.
    pub fn onEnd(self: *Stream, client: *Client) void {
        if (self.phase != .live) {
            self.answered = true;
            return;
        }
        self.answered = true;
        client.line.note("client has read a stream", self.id, self.received);
        client.responses += 1;
        if (!client.isCorrupt()) self.checkWhole(client);
        if (self.ended) self.phase = .done;
    }

    fn checkWhole(self: *const Stream, client: *Client) void {
        const head = &self.head.?;
        if (self.ask.isHead() or head.status == 204) {
            if (self.received > 0) client.fail("stream {d}: content of none", .{self.id});
            return;
        }
        if (head.content_length) |length| if (length != self.received) client.fail(
            "stream {d}: {d} bytes, where {d} were announced",
            .{ self.id, self.received, length },
        );
        switch (self.ask.expected) {
            .answer => |plan| if (head.id != null) {
                self.checkLength(client, plan.answerLength());
                self.checkTrailer(client, plan);
            },
            .file => |file| if (head.status == 200 or head.status == 206)
                self.checkLength(client, file.length),
            .spoiled => if (head.id != null)
                client.fail("stream {d} breaks its promise, and looks whole", .{self.id}),
            .socket => if (head.status == 200) {
                const talk = self.talk.?;
                talk.strict = talk.strict and client.strict;
                if (talk.onEnd()) |fault| fault.tell(client);
            },
            .refused, .broken => {},
        }
    }

    fn checkLength(self: *const Stream, client: *Client, length: u64) void {
        if (self.received != length) client.fail(
            "stream {d}: its content has {d} of {d} bytes",
            .{ self.id, self.received, length },
        );
    }

    fn checkTrailer(self: *const Stream, client: *Client, plan: Plan) void {
        const sum = self.head.?.sum orelse {
            // Beyond the bridge what is small is answered at once, without.
            if (plan.hasTrailer() and !client.options.bridge)
                client.fail("stream {d} lacks its trailers", .{self.id});
            return;
        };
        if (!plan.hasTrailer() or sum != plan.number)
            client.fail("stream {d} has the trailers of request {d}", .{ self.id, sum });
    }

    /// It was asked to end it without a word.
    fn isEndedByServer(self: *const Stream) bool {
        const talk = self.talk orelse return false;
        return talk.ways.last == .terminate and talk.said == talk.ways.messages;
    }

    /// RST_STREAM has come.
    pub fn onReset(self: *Stream, client: *Client, code: Code) void {
        if (self.reset_by_server) client.fail("stream {d} is reset twice", .{self.id});
        self.reset_by_server = true;
        client.line.note("client reads a reset", @intFromEnum(code), self.id);
        if (self.answered and self.ask.content == null and !client.isCorrupt())
            client.fail("stream {d} is reset behind its end", .{self.id});
        const was_live = self.isLive();
        self.phase = .done;
        if (client.isCorrupt() or !was_live) return;
        const expected = &self.ask.expected;
        const is_right = switch (code) {
            // It is to spare itself the rest.
            .no_error => self.answered,
            .refused_stream => self.head == null and
                (!client.strict or self.began_before_settings),
            .internal_error => expected.* == .spoiled or !client.strict,
            .protocol_error => expected.* == .broken,
            .cancel => !client.strict or self.isEndedByServer(),
            else => false,
        };
        if (!is_right) client.fail(
            "stream {d}, request {d} ({s} {s}), is reset with {d}",
            .{ self.id, self.ask.number, self.ask.method, self.ask.target, @intFromEnum(code) },
        );
    }
};
