//! One end of a connection (RFC 6455 §5–§7), without I/O: bytes in, what came and what is to be
//! sent for it out. Messages are the owner's; so is what RFC 7692 makes of them, and the timer,
//! which is set to `deadlineMs`.
//!
//! A connection is over when `isClosed`: what it had to say is sent, then the stream below ends, by
//! the server first (§7.1.1).

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../core/limits.zig");
const rate = @import("../core/rate.zig");
const Account = @import("account.zig").Account;
const Charge = @import("account.zig").Charge;
const account_file = @import("account.zig");
const errors = @import("errors.zig");
const frames = @import("frames.zig");
const frame_decoder = @import("frame_decoder.zig");
const mask = @import("mask.zig");
const Code = errors.Code;

/// What all connections of an endpoint have in common.
pub const Settings = struct {
    /// A message that is received, as it is sent, bytes.
    message_bytes_max: u63 = limits.websocket_message_bytes_max_default,
    /// A frame that is sent, bytes; longer messages take several.
    frame_bytes_max: u63 = limits.websocket_frame_bytes_max_default,
    /// After so much silence the peer is asked whether it is there, ms; 0: it is not.
    ping_after_ms: u32 = limits.websocket_ping_after_ms_default,
    /// After so much silence it is given up, ms; 0: it is not. More than `ping_after_ms`, so that
    /// it can answer.
    idle_timeout_ms: u32 = limits.websocket_idle_timeout_ms_default,
    /// How long the peer may take to answer a Close, ms.
    close_timeout_ms: u32 = limits.websocket_close_timeout_ms_default,
    /// How fast a message has to come that has begun: it holds memory.
    rate: rate.Rate = .{
        .bytes_per_s = limits.body_rate_min_default,
        .grace_ms = limits.rate_grace_ms_default,
        .ahead_ms_max = limits.body_timeout_ms_default,
    },

    /// Asserts what has to hold between them.
    pub fn check(self: *const Settings) void {
        assert(self.frame_bytes_max > 0 and self.close_timeout_ms > 0);
        assert(self.idle_timeout_ms == 0 or self.ping_after_ms < self.idle_timeout_ms);
    }
};

pub const State = enum {
    open,
    /// Our Close is sent, the peer's has not come (§7.1.3). No message is sent or told any more.
    closing,
    /// Nothing is sent or read any more.
    closed,
};

/// Slices are valid until the next call.
pub const Event = union(enum) {
    /// All bytes have been taken, and nothing more can be told.
    need_more,
    /// A message, or a part of one.
    data: frame_decoder.Data,
    /// The reply answers it.
    ping: []const u8,
    pong: []const u8,
    /// The peer's Close; the reply answers it, unless ours was sent before.
    closed: frame_decoder.Close,
    /// The reply tells the peer so.
    failed: errors.Error,
};

pub const Step = struct {
    /// Bytes that were taken.
    consumed: usize,
    event: Event,
    /// To be sent before anything else; in the memory that was given for it, until the next call.
    reply: []const u8,
};

/// Where a frame of the connection's own is written. It may be one for many connections.
pub const Out = [frames.control_frame_bytes_max]u8;

/// What is due at a deadline.
pub const Due = union(enum) {
    nothing,
    /// To be sent.
    ping: []const u8,
    /// A message comes too slowly. To be sent; the connection is closed.
    slow: []const u8,
    /// It was held for too long. To be sent; the connection is closed.
    unheard: []const u8,
    /// Nothing has come for too long: closed without a word, which nobody would hear.
    silent,
    /// No answer to our Close: closed.
    close_unanswered,
};

pub const Connection = struct {
    settings: *const Settings,
    decoder: frame_decoder.Decoder,
    account: Account = .{},
    state: State = .open,
    /// A PING of ours is not answered.
    awaits_pong: bool = false,
    /// The owner reads nothing: the peer's silence is not its own.
    is_paused: bool = false,
    /// Nobody takes what comes.
    is_held: bool = false,
    /// When the peer was heard last, or held; in `closing`, when our Close was sent, monotonic ms.
    since_ms: u64,
    /// Of the message that has begun and not ended.
    pace: rate.Meter = .{},
    /// A client's source of keys, which nobody may foresee (§10.3); a server has none.
    keys: ?*Keys,

    pub const Keys = std.Random.DefaultCsprng;

    /// `keys` makes it a client's end. `has_compression`: RFC 7692 was agreed on. `now_ms` is
    /// monotonic, here and below.
    pub fn init(
        settings: *const Settings,
        keys: ?*Keys,
        has_compression: bool,
        now_ms: u64,
    ) Connection {
        settings.check();
        const role: frames.Role = if (keys == null) .server else .client;
        return .{
            .settings = settings,
            .decoder = .{
                .limits = .{ .message_bytes_max = settings.message_bytes_max },
                .role = role,
                .has_compression = has_compression,
            },
            .since_ms = now_ms,
            .keys = keys,
        };
    }

    /// Messages may be sent.
    pub fn isOpen(self: *const Connection) bool {
        return self.state == .open;
    }

    /// The stream below is to end.
    pub fn isClosed(self: *const Connection) bool {
        return self.state == .closed;
    }

    // What comes.

    /// What `bytes` bring, which follow those that were taken. They are unmasked where they lie. To
    /// be called until it answers `need_more` or the connection is closed.
    pub fn next(self: *Connection, bytes: []u8, out: *Out, now_ms: u64) Step {
        assert(!self.isClosed());
        if (bytes.len > 0 and self.state == .open) {
            assert(now_ms >= self.since_ms);
            self.since_ms = now_ms;
        }
        var consumed: usize = 0;
        while (true) {
            const step = self.decoder.next(bytes[consumed..]);
            consumed += step.consumed;
            var reply: []const u8 = "";
            const event = self.take(&step.event, out, now_ms, &reply) orelse continue;
            return .{ .consumed = consumed, .event = event, .reply = reply };
        }
    }

    /// What becomes of a frame; null: nothing that is told.
    inline fn take(
        self: *Connection,
        event: *const frame_decoder.Event,
        out: *Out,
        now_ms: u64,
        reply: *[]const u8,
    ) ?Event {
        switch (event.*) {
            .need_more => return .need_more,
            .data => |data| {
                if (!data.isWhole()) {
                    if (self.takePart(&data, now_ms)) |err| return self.failing(err, out, reply);
                } else self.account.credit();
                return if (self.state == .open) .{ .data = data } else null;
            },
            .ping => |payload| {
                if (self.charge(.ping, now_ms)) |err| return self.failing(err, out, reply);
                reply.* = frames.writeControl(out, .pong, payload, self.key());
                return .{ .ping = payload };
            },
            .pong => |payload| {
                if (!self.awaits_pong) {
                    if (self.charge(.unasked_pong, now_ms)) |err|
                        return self.failing(err, out, reply);
                }
                self.awaits_pong = false;
                return .{ .pong = payload };
            },
            .close => |theirs| {
                if (self.state == .open)
                    reply.* = frames.writeClose(out, theirs.code, "", self.key());
                self.state = .closed;
                return .{ .closed = theirs };
            },
            .err => |err| return self.failing(err, out, reply),
        }
    }

    /// Counts a part of a message.
    fn takePart(self: *Connection, data: *const frame_decoder.Data, now_ms: u64) ?errors.Error {
        if (data.begins) self.pace.begin(self.settings.rate, now_ms);
        self.pace.add(self.settings.rate, data.bytes.len, now_ms);
        if (data.ends) self.pace.stop();
        if (data.frame_bytes) |bytes| {
            const is_small = bytes < account_file.fragment_bytes_small;
            // One that ends a message of a single frame was cut by the network.
            const is_fragment = !data.ends or self.decoder.opcode == .continuation;
            if (is_small and is_fragment) {
                const what: Charge = if (bytes == 0) .empty_fragment else .small_fragment;
                if (self.charge(what, now_ms)) |err| return err;
            }
        }
        if (data.ends) self.account.credit();
        return null;
    }

    fn charge(self: *Connection, what: Charge, now_ms: u64) ?errors.Error {
        self.account.charge(what, now_ms) catch return .excessive_load;
        return null;
    }

    fn failing(self: *Connection, err: errors.Error, out: *Out, reply: *[]const u8) Event {
        @branchHint(.cold);
        reply.* = self.fail(err, out);
        return .{ .failed = err };
    }

    /// Ends the connection for what is wrong with what came (§7.1.7): nothing more is read. Returns
    /// what is to be sent.
    pub fn fail(self: *Connection, err: errors.Error, out: *Out) []const u8 {
        assert(!self.isClosed());
        const is_told = self.state == .closing;
        self.state = .closed;
        if (is_told) return "";
        return frames.writeClose(out, err.code(), "", self.key());
    }

    /// The stream below has ended, or has to: code 1006 where no Close has come (§7.1.5).
    pub fn lose(self: *Connection) void {
        self.state = .closed;
    }

    // What is sent.

    /// The frames of a message. A client gives each head a `key` and masks what follows it.
    pub fn fragments(
        self: *const Connection,
        kind: frames.Kind,
        bytes: u63,
        compressed: bool,
    ) frames.Fragments {
        assert(self.isOpen());
        assert(!compressed or self.decoder.has_compression);
        return .{
            .kind = kind,
            .compressed = compressed,
            .left = bytes,
            .bytes_max = self.settings.frame_bytes_max,
        };
    }

    /// A PING with a payload of at most `frames.control_bytes_max`. Returns what is to be sent.
    pub fn ping(self: *Connection, payload: []const u8, out: *Out) []const u8 {
        assert(self.isOpen());
        self.awaits_pong = true;
        return frames.writeControl(out, .ping, payload, self.key());
    }

    /// A PONG that nobody has asked for (§5.5.3). Returns what is to be sent.
    pub fn pong(self: *Connection, payload: []const u8, out: *Out) []const u8 {
        assert(self.isOpen());
        return frames.writeControl(out, .pong, payload, self.key());
    }

    /// Begins to close (§7.1.2). `code` is one that may be sent, or null; `reason` is UTF-8, and
    /// none without a code. Returns what is to be sent, behind all messages.
    pub fn close(
        self: *Connection,
        code: ?Code,
        reason: []const u8,
        out: *Out,
        now_ms: u64,
    ) []const u8 {
        assert(self.isOpen());
        self.state = .closing;
        self.since_ms = now_ms;
        return frames.writeClose(out, code, reason, self.key());
    }

    /// What the next frame is masked with; a server masks none.
    pub fn key(self: *Connection) ?mask.Key {
        const keys = self.keys orelse return null;
        return @bitCast(keys.random().int(u32));
    }

    // Time.

    /// The owner does not read for a while. That time is not held against the peer.
    pub fn pause(self: *Connection, now_ms: u64) void {
        if (self.is_paused) return;
        self.is_paused = true;
        if (self.pace.is_running) self.pace.pause(self.settings.rate, now_ms);
    }

    /// It is paused because nobody takes what comes. That may last as long as the silence of a peer
    /// may: while nothing is read nothing tells that it has gone, or that it goes.
    pub fn hold(self: *Connection, now_ms: u64) void {
        assert(self.is_paused and self.state == .open);
        self.is_held = true;
        self.since_ms = now_ms;
    }

    /// The owner reads again.
    pub fn unpause(self: *Connection, now_ms: u64) void {
        if (!self.is_paused) return;
        self.is_paused = false;
        self.is_held = false;
        if (self.state == .open) self.since_ms = now_ms;
        // Of a message that was told of: the time of another has not begun.
        if (self.decoder.isInMessage() and self.decoder.is_told) self.pace.unpause(now_ms);
    }

    /// When `onDeadline` is to be asked next, monotonic ms; `rate.never` without a deadline.
    pub fn deadlineMs(self: *const Connection) u64 {
        const settings = self.settings;
        switch (self.state) {
            .closed => return rate.never,
            .closing => return self.since_ms + settings.close_timeout_ms,
            .open => {},
        }
        var deadline: u64 = rate.never;
        if (settings.idle_timeout_ms > 0) deadline = self.since_ms + settings.idle_timeout_ms;
        if (self.is_paused) return if (self.is_held) deadline else rate.never;
        if (settings.ping_after_ms > 0 and !self.awaits_pong)
            deadline = @min(deadline, self.since_ms + settings.ping_after_ms);
        return @min(deadline, self.pace.deadlineMs(settings.rate) orelse rate.never);
    }

    /// What is due now; nothing when it is too early.
    pub fn onDeadline(self: *Connection, out: *Out, now_ms: u64) Due {
        if (now_ms < self.deadlineMs()) return .nothing;
        if (self.state == .closing) {
            self.state = .closed;
            return .close_unanswered;
        }
        if (self.is_paused) {
            self.state = .closed;
            return .{ .unheard = frames.writeClose(out, .try_again_later, "", self.key()) };
        }
        const settings = self.settings;
        const silent_ms = now_ms - self.since_ms;
        if (settings.idle_timeout_ms > 0 and silent_ms >= settings.idle_timeout_ms) {
            if (settings.ping_after_ms == 0 or self.awaits_pong) {
                self.state = .closed;
                return .silent;
            }
            // Nobody has asked it: who was late is this side.
            self.since_ms = now_ms - settings.ping_after_ms;
        }
        if (now_ms >= self.pace.deadlineMs(settings.rate) orelse rate.never) {
            self.state = .closed;
            return .{ .slow = frames.writeClose(out, .policy_violation, "", self.key()) };
        }
        return .{ .ping = self.ping("", out) };
    }
};

test {
    _ = @import("connection_test.zig");
}
