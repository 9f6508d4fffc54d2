//! A simulated client that has a connection of HTTP/1 become a WebSocket, and talks on it
//! (talk.zig).

const std = @import("std");
const Allocator = std.mem.Allocator;
const network_file = @import("../io/simulated_network.zig");
const Network = network_file.Network;
const never = network_file.never;
const handshake = @import("../websocket/handshake.zig");
const Agreement = @import("../websocket/permessage_deflate.zig").Agreement;
const client_file = @import("client.zig");
const Manner = client_file.Manner;
const patience_ms = client_file.Client.patience_ms;
const Line = @import("line.zig").Line;
const Options = @import("options.zig").Options;
const Talk = @import("talk.zig").Talk;

/// How it asks, and what that is answered with.
pub const Asking = enum(u16) {
    rightly = 101,
    without_key = 400,
    of_another_version = 426,
    from_elsewhere = 403,

    pub fn of(random: std.Random) Asking {
        if (random.uintLessThan(u8, 10) != 0) return .rightly;
        return random.enumValue(Asking);
    }
};

pub const WebSocketClient = struct {
    id: u32,
    network: *Network,
    options: *const Options,
    manner: Manner,
    asking: Asking,
    /// Says something ahead of the answer.
    is_hasty: bool,
    talk: Talk,
    key: [handshake.key_bytes]u8,
    /// Nothing was to keep it from what it awaits.
    strict: bool,
    start_at: u64,
    random: std.Random,
    line: Line,
    phase: client_file.Client.Phase = .coming,
    /// The answer's head, as far as it came.
    head: std.BoundedArray(u8, 2048) = .{},
    is_open: bool = false,
    /// It was answered with something else.
    is_refused: bool = false,
    sent: usize = 0,
    half_closed: bool = false,
    given_up: bool = false,
    reads_at: u64 = 0,
    sends_at: u64 = 0,
    closes_at: u64 = never,
    last_progress_ms: u64 = 0,
    responses: u32 = 0,

    /// What is written while less than this is pending, bytes.
    const low_bytes = 2_000;

    /// `self` is filled in; puts what it asks for to what is pending.
    pub fn prepare(self: *WebSocketClient) !void {
        const out = self.talk.out.writer(self.talk.arena);
        try out.print("GET /socket/{d} HTTP/1.1\r\nHost: sim.example\r\n", .{self.talk.who});
        try out.writeAll("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n");
        const version: u8 = if (self.asking == .of_another_version) 8 else 13;
        try out.print("Sec-WebSocket-Version: {d}\r\n", .{version});
        if (self.asking != .without_key)
            try out.print("Sec-WebSocket-Key: {s}\r\n", .{&self.key});
        if (self.asking == .from_elsewhere) try out.writeAll("Origin: http://else.example\r\n");
        if (self.random.boolean()) {
            const scheme = if (self.options.secured) "https" else "http";
            if (self.asking == .rightly)
                try out.print("Origin: {s}://sim.example\r\n", .{scheme});
        }
        if (self.talk.offer) |*offer| {
            var text: [Agreement.text_bytes_max]u8 = undefined;
            try out.print("Sec-WebSocket-Extensions: {s}\r\n", .{offer.write(&text)});
        }
        try out.writeAll("\r\n");
    }

    // What the scheduler asks.

    pub fn wakesAt(self: *const WebSocketClient) u64 {
        switch (self.phase) {
            .coming => return self.start_at,
            .ended => return never,
            .talking => {},
        }
        var at = self.closes_at;
        if (!self.stoppedReading() and self.line.canRecv()) at = @min(at, self.reads_at);
        if (self.stoppedReading() and self.line.link.?.server == .closed) at = 0;
        if (self.line.hasRecords() or self.wantsToGiveUp() or self.wantsToFinish()) at = 0;
        const may_send = !self.half_closed and !self.isStalled() and self.line.canSend();
        const has_more = self.talk.pending().len > 0 or self.maySay();
        if (may_send and has_more) at = @min(at, self.sends_at);
        return at;
    }

    pub fn step(self: *WebSocketClient) !void {
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
            if (is_due and self.line.canRecv()) try self.read();
        }
        if (self.phase == .talking) try self.send();
        if (self.phase == .talking and self.network.now_ms >= self.closes_at) self.end();
    }

    /// Fails when nothing has happened for too long.
    pub fn checkLiveness(self: *WebSocketClient) void {
        if (self.phase != .talking) return;
        const link = self.line.link.?;
        if (link.server == .waiting or link.server == .accepted) {
            self.last_progress_ms = self.network.now_ms; // the server's deadlines begin with it
            return;
        }
        const idle_ms = self.network.now_ms - self.last_progress_ms;
        if (idle_ms > patience_ms)
            self.fail("nothing has happened for {d} ms: the connection does not end", .{idle_ms});
    }

    /// All stood still for so long: nobody is to blame for it.
    pub fn forgive(self: *WebSocketClient, stall_ms: u64) void {
        self.last_progress_ms += stall_ms;
    }

    pub fn fail(self: *const WebSocketClient, comptime fmt: []const u8, args: anytype) noreturn {
        client_file.Client.failing = self.id;
        std.debug.print("\nWebSocket, {s}, {s}, {any}; {d} said, {d} of {d} came back\n", .{
            if (self.strict) "strict" else "not strict",
            @tagName(self.asking),
            self.talk.ways,
            self.talk.said,
            self.talk.awaited_at,
            self.talk.awaited.items.len,
        });
        std.debug.panic("connection {d}: " ++ fmt, .{self.id} ++ args);
    }

    fn connect(self: *WebSocketClient) void {
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
    }

    fn end(self: *WebSocketClient) void {
        self.line.close(false);
        self.phase = .ended;
    }

    fn progress(self: *WebSocketClient) void {
        self.last_progress_ms = self.network.now_ms;
    }

    // Giving up.

    fn wantsToGiveUp(self: *const WebSocketClient) bool {
        return self.manner.giving_up != .not and !self.given_up and
            self.sent >= self.manner.giving_up_after;
    }

    fn giveUp(self: *WebSocketClient) void {
        self.given_up = true;
        self.progress();
        if (self.manner.abandon(&self.line)) self.phase = .ended;
    }

    fn stoppedReading(self: *const WebSocketClient) bool {
        return self.given_up and self.manner.giving_up == .stop_reading;
    }

    fn isStalled(self: *const WebSocketClient) bool {
        return self.given_up and self.manner.giving_up == .stall;
    }

    // Sending.

    fn maySay(self: *const WebSocketClient) bool {
        if (self.is_refused or !(self.is_open or self.is_hasty)) return false;
        return self.talk.wantsToSay();
    }

    fn send(self: *WebSocketClient) !void {
        const now = self.network.now_ms;
        self.line.pump();
        if (self.half_closed or self.isStalled()) return;
        if (now >= self.sends_at) {
            if (self.talk.pending().len < low_bytes and self.maySay()) try self.talk.say();
            self.sendPending(now);
        }
        if (!self.wantsToFinish()) return;
        self.half_closed = true;
        self.line.finish();
    }

    fn sendPending(self: *WebSocketClient, now: u64) void {
        const rest = self.talk.pending();
        const most = self.manner.sendMost(self.random, rest.len);
        const n = self.line.send(rest[0..most]);
        if (n == 0) return;
        self.talk.sent(n);
        self.sent += n;
        self.progress();
        if (self.manner.send_pause_ms > 0)
            self.sends_at = now + self.random.uintAtMost(u32, self.manner.send_pause_ms);
    }

    /// Some end their side behind what they have said last.
    fn wantsToFinish(self: *const WebSocketClient) bool {
        if (self.manner.ending != .half_close or self.half_closed or self.isStalled()) return false;
        if (!self.is_open or self.talk.pending().len > 0) return false;
        // Whoever answers a Close leaves the end to the server (RFC 6455 §7.1.1).
        return self.talk.isOver() and !self.strict;
    }

    // Reading.

    fn read(self: *WebSocketClient) !void {
        var room: [Line.room_bytes]u8 = undefined;
        const most = self.manner.readMost(self.random);
        const pause_ms = client_file.pauseOf(self.random, self.manner.read_pause_ms);
        self.reads_at = self.network.now_ms + pause_ms;
        switch (self.line.recv(most, &room)) {
            .nothing => {},
            .text => |text| {
                self.progress();
                if (text.len > 0) try self.feed(text);
            },
            .eof => self.onEnd(false),
            .reset => self.onEnd(true),
            .wrong => |what| self.fail("{s}", .{what}),
        }
    }

    fn feed(self: *WebSocketClient, bytes: []const u8) !void {
        if (self.is_refused) return; // a page
        var rest = bytes;
        while (!self.is_open) {
            if (rest.len == 0) return;
            self.head.append(rest[0]) catch self.fail("a head that does not end", .{});
            rest = rest[1..];
            if (!std.mem.endsWith(u8, self.head.slice(), "\r\n\r\n")) continue;
            self.onHead(self.head.slice());
            if (self.is_refused) return;
        }
        if (try self.talk.hear(rest)) |fault| fault.tell(self);
        if (self.talk.heard_close) |code| self.line.note("client hears a Close", code, 0);
    }

    fn onHead(self: *WebSocketClient, head: []const u8) void {
        if (head.len < 12 or !std.mem.startsWith(u8, head, "HTTP/1.1 "))
            self.fail("a head that is none", .{});
        const status = std.fmt.parseInt(u16, head[9..12], 10) catch
            self.fail("a head without a status", .{});
        self.line.note("client reads a head", status, 0);
        self.responses += 1;
        if (status == 101) return self.onOpen(head);
        self.is_refused = true;
        self.closes_at = self.network.now_ms + self.random.uintAtMost(u64, 300);
        const is_trouble = status == 503 or status == 408 or status == 500;
        if (status == @intFromEnum(self.asking) or (is_trouble and !self.strict)) return;
        self.fail("it is answered with {d}", .{status});
    }

    fn onOpen(self: *WebSocketClient, head: []const u8) void {
        if (self.asking != .rightly) self.fail("a wrong handshake opens it", .{});
        const accept = handshake.acceptOf(&self.key);
        for ([_][]const u8{ "\r\nsec-websocket-accept: ", "\r\nupgrade: websocket\r\n" }) |text| {
            if (std.ascii.indexOfIgnoreCase(head, text) == null)
                self.fail("the answer lacks \"{s}\"", .{text[2..]});
        }
        if (std.mem.indexOf(u8, head, &accept) == null)
            self.fail("the answer is one to another key", .{});
        if (self.talk.agree(extensionsOf(head))) |fault| fault.tell(self);
        self.is_open = true;
    }

    fn extensionsOf(head: []const u8) []const u8 {
        const name = "\r\nsec-websocket-extensions: ";
        const at = std.ascii.indexOfIgnoreCase(head, name) orelse return "";
        const value = head[at + name.len ..];
        return value[0..std.mem.indexOf(u8, value, "\r\n").?]; // the head is whole
    }

    fn onEnd(self: *WebSocketClient, reset: bool) void {
        self.line.note("client sees the end", @intFromBool(reset), self.talk.said);
        if (self.strict and !self.is_refused) {
            if (!self.is_open) self.fail("the end came in place of the answer", .{});
            if (self.talk.onEnd()) |fault| fault.tell(self);
        }
        self.end();
    }
};
