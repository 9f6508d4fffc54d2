//! What a simulated client says on a WebSocket, and what it has to hear: frame by frame, whatever
//! carries them. Of the engine it has what frames look like, and no more than that; they are read
//! by a reader of the simulation's own (frame_reader.zig).
//!
//! Each message tells whose it is and what is to be made of it, so that each that comes back can be
//! known: an echo is the next of those that are awaited, to the byte.

const std = @import("std");
const Allocator = std.mem.Allocator;
const frames = @import("../websocket/frames.zig");
const extensions = @import("../websocket/extensions.zig");
const mask = @import("../websocket/mask.zig");
const permessage_deflate = @import("../websocket/permessage_deflate.zig");
const Agreement = permessage_deflate.Agreement;
const reader_file = @import("frame_reader.zig");
const Pattern = @import("pattern.zig").Pattern;
const press = @import("press.zig");

/// The beginning of each message: text, whatever its kind is.
pub const Note = struct {
    verb: Verb,
    /// Of the simulation: which client, and which of its sockets.
    who: u32,
    number: u32,
    /// Of the message, this with it, bytes.
    length: u32,

    pub const Verb = enum(u8) {
        /// It comes back.
        echo = 'e',
        /// It goes to all others who are there, and comes back.
        publish = 'p',
        /// The server closes, with `closeCode`.
        close = 'c',
        /// The server ends the connection without a word.
        terminate = 't',
    };

    pub const bytes = 25;

    pub fn write(self: *const Note, out: *[bytes]u8) void {
        out[0] = @intFromEnum(self.verb);
        const numbers = .{ self.who, self.number, self.length };
        _ = std.fmt.bufPrint(out[1..], "{x:0>8}{x:0>8}{x:0>8}", numbers) catch
            unreachable; // it fits
    }

    /// Null: it is none.
    pub fn parse(text: []const u8) ?Note {
        if (text.len < bytes) return null;
        return .{
            .verb = std.meta.intToEnum(Verb, text[0]) catch return null,
            .who = numberOf(text[1..9]) orelse return null,
            .number = numberOf(text[9..17]) orelse return null,
            .length = numberOf(text[17..25]) orelse return null,
        };
    }

    fn numberOf(digits: []const u8) ?u32 {
        return std.fmt.parseInt(u32, digits, 16) catch null;
    }

    /// What the server is to close with.
    pub fn closeCode(self: *const Note) u16 {
        return @intCast(4000 + self.number % 1000);
    }

    fn pattern(self: *const Note) Pattern {
        return .of(.request, self.who, self.number);
    }
};

/// What the server closes with when a client does not take what it is sent.
pub const too_slow = 4999;

pub const topic = "news";

/// How a client goes about it.
pub const Ways = struct {
    messages: u32,
    length_max: u32,
    length_min: u32 = Note.bytes,
    /// Of one that is published.
    publication_max: u32 = 300,
    /// Messages that may be awaited at a time.
    ahead_max: u32 = 1,
    /// A message has so many frames at most.
    fragments_max: u32 = 1,
    /// One frame in so many has a ping, or a pong, before it; 0: none.
    control_in: u8 = 0,
    publishes: bool = false,
    /// Its last message.
    last: Note.Verb = .echo,
    /// What it does when all is said.
    ending: enum { close, close_at_once, wrong } = .close,
    wrong: Wrong = .unmasked,

    /// What no client may send, and the code that it is told.
    pub const Wrong = enum(u16) {
        unmasked,
        reserved,
        opcode,
        long_ping,
        cut_ping,
        continuation,
        within,
        close_code,
        utf8,
        too_big,

        fn code(self: Wrong) u16 {
            return switch (self) {
                .utf8 => 1007,
                .too_big => 1009,
                else => 1002,
            };
        }
    };

    /// Of all its messages, bytes, about: an echo and what others hear come on top of that.
    const volume_max = 40_000;
    /// The same of one that sends a few bytes at a time.
    pub const volume_slow = 1_000;

    pub fn bound(self: *Ways, volume: u32) void {
        self.length_max = @min(self.length_max, volume);
        self.messages = @min(self.messages, @max(1, volume / self.length_max));
    }

    /// It echoes so much that a socket's credit does not last, unless what JavaScript grants of it
    /// comes back whole: all messages have the length they may have.
    pub fn outlast(self: *Ways, credit: u32, message_bytes_max: u32) void {
        self.length_min = message_bytes_max;
        self.length_max = message_bytes_max;
        // Where half comes back, twice the credit is the end of it.
        self.messages = 3 * credit / message_bytes_max + 1;
    }

    pub fn of(random: std.Random, message_bytes_max: u32, publishes: bool) Ways {
        var self: Ways = .{
            .messages = if (random.uintLessThan(u8, 6) == 0)
                random.intRangeAtMost(u32, 20, 60)
            else
                random.uintAtMost(u32, 10),
            .length_max = if (random.boolean()) 200 else message_bytes_max,
        };
        self.bound(volume_max);
        if (random.boolean()) self.ahead_max = random.intRangeAtMost(u32, 2, 8);
        if (random.boolean()) self.fragments_max = random.intRangeAtMost(u32, 2, 8);
        if (random.boolean()) self.control_in = random.intRangeAtMost(u8, 1, 5);
        self.publishes = publishes and random.boolean();
        switch (random.uintLessThan(u8, 8)) {
            0 => self.last = .close,
            1 => self.last = .terminate,
            2 => self.ending = .close_at_once,
            3 => {
                self.ending = .wrong;
                self.wrong = random.enumValue(Wrong);
            },
            else => {},
        }
        return self;
    }
};

/// Why what has come is not what has to come.
pub const Fault = union(enum) {
    frame: reader_file.Violation,
    /// A sentence, and the numbers that its `#` stand for.
    what: struct { []const u8, u64, u64 },

    /// Tells `client` of it, which fails.
    pub fn tell(self: Fault, client: anytype) noreturn {
        switch (self) {
            .frame => |err| client.fail("a frame is wrong: {s}", .{@errorName(err)}),
            .what => |it| client.fail("{s} ({d}, {d})", .{ it[0], it[1], it[2] }),
        }
    }
};

pub const Talk = struct {
    arena: Allocator,
    random: std.Random,
    who: u32,
    ways: Ways,
    message_bytes_max: u32,
    /// Nothing was to keep it from what it awaits.
    strict: bool,
    /// Others publish, here or elsewhere.
    is_published: bool = false,
    /// What it has said was changed on its way.
    is_corrupt: bool = false,
    /// Of the last frame that was written.
    key: mask.Key = undefined,
    /// What is to be sent; a frame is put in whole.
    out: std.ArrayListUnmanaged(u8) = .{},
    at: usize = 0,
    said: u32 = 0,
    /// The message of which frames are still to come.
    open: ?Open = null,
    /// Awaited, in order.
    awaited: std.ArrayListUnmanaged(Awaited) = .{},
    awaited_at: usize = 0,
    pings: std.ArrayListUnmanaged(struct { number: u32, len: u8 }) = .{},
    pings_at: usize = 0,
    pings_sent: u32 = 0,
    /// What it has closed with; 1005: with nothing.
    closed_with: ?u16 = null,
    has_wronged: bool = false,
    /// What the server has closed with.
    heard_close: ?u16 = null,
    /// What it offers, until that is declined, and what has come of it; null: messages are as they
    /// are. Whoever speaks ahead of the answer has an offer, and does not know what comes of it.
    offer: ?Agreement = null,
    agreed: ?Agreement = null,
    /// Compressed messages that have been said and heard, where they have a context.
    pressed_out: u16 = 0,
    pressed_in: u16 = 0,
    reader: reader_file.Reader = .{},
    /// What is known of the message that is coming.
    coming: ?Coming = null,
    /// The last that was published by each.
    heard: std.AutoHashMapUnmanaged(u32, u32) = .{},
    echoes: u32 = 0,
    publications: u32 = 0,

    const Open = struct {
        note: Note,
        kind: frames.Kind,
        /// What it is compressed to.
        pressed: ?[]const u8 = null,
        at: u32 = 0,
        /// Frames that are to come.
        left: u32,
        is_begun: bool = false,
    };

    const Awaited = struct { note: Note, kind: frames.Kind };

    const Coming = struct {
        kind: frames.Kind,
        head: [Note.bytes]u8 = undefined,
        len: u64 = 0,
        note: ?Note = null,
        /// Of one that is compressed.
        press: ?press.Decoder = null,
    };

    // Compression.

    /// The server's answer to what was offered; "": there is none.
    pub fn agree(self: *Talk, answer: []const u8) ?Fault {
        if (answer.len == 0) {
            self.offer = null;
            return null;
        }
        const offer = self.offer orelse return fault("an extension that nobody has offered", 0, 0);
        var it: extensions.Iterator = .{ .rest = answer };
        const name = (it.next() catch null) orelse "";
        if (!std.mem.eql(u8, name, permessage_deflate.name))
            return fault("another extension is agreed on", 0, 0);
        const parameters = (permessage_deflate.Parameters.read(&it) catch null) orelse
            return fault("compression is agreed on by wrong parameters", 0, 0);
        self.agreed = permessage_deflate.accept(&offer, &parameters) orelse
            return fault("compression is agreed on beyond what was offered", 0, 0);
        self.reader.may_compress = true;
        return null;
    }

    /// The message of `note`, compressed; null: it is said as it is.
    fn pressedOf(self: *Talk, note: *const Note, kind: frames.Kind) !?[]const u8 {
        const agreed = self.agreed orelse return null;
        if (self.random.boolean()) return null;
        const message = try self.arena.alloc(u8, note.length);
        fill(message, note, kind, 0);
        const most = @min(press.head_bytes + note.length, self.message_bytes_max);
        const room = try self.arena.alloc(u8, most);
        const pressed = press.encode(&.{message}, self.pressed_out, room) orelse return null;
        if (!agreed.client_no_context_takeover) self.pressed_out +%= 1;
        return pressed;
    }

    // Saying.

    /// What may be sent now.
    pub fn pending(self: *const Talk) []const u8 {
        return self.out.items[self.at..];
    }

    pub fn sent(self: *Talk, bytes: usize) void {
        self.at += bytes;
        if (self.at < self.out.items.len) return;
        self.out.clearRetainingCapacity();
        self.at = 0;
    }

    /// It says nothing more: what is pending is the last.
    pub fn isOver(self: *const Talk) bool {
        return self.has_wronged or self.closed_with != null;
    }

    /// Whether `say` has something.
    pub fn wantsToSay(self: *const Talk) bool {
        if (self.isOver()) return false;
        if (self.heard_close != null or self.open != null) return true;
        if (self.said < self.ways.messages) return self.mayBegin();
        return self.ways.ending != .close or self.isAnswered();
    }

    fn mayBegin(self: *const Talk) bool {
        return self.awaited.items.len - self.awaited_at < self.ways.ahead_max;
    }

    fn isAnswered(self: *const Talk) bool {
        if (self.endsByServer()) return false;
        return self.awaited_at == self.awaited.items.len;
    }

    fn endsByServer(self: *const Talk) bool {
        const last = self.ways.last;
        return self.ways.messages > 0 and (last == .close or last == .terminate);
    }

    /// Puts the next frame to what is pending.
    pub fn say(self: *Talk) !void {
        if (self.heard_close) |code| return self.close(if (code == 1005) null else code);
        if (self.open != null) return self.fragment();
        if (self.said < self.ways.messages) return self.begin();
        if (self.ways.ending == .wrong) return self.wrong();
        const codes = [_]?u16{ null, 1000, 1001, 3000, 4321 };
        try self.close(codes[self.random.uintLessThan(usize, codes.len)]);
    }

    fn begin(self: *Talk) !void {
        const is_last = self.said + 1 == self.ways.messages;
        const chance = self.random.uintLessThan(u8, 3) == 0;
        const verb: Note.Verb = if (is_last)
            self.ways.last
        else if (self.ways.publishes and chance) .publish else .echo;
        // All have what is published.
        const most = if (verb == .publish) self.ways.publication_max else self.ways.length_max;
        const length = self.random.intRangeAtMost(
            u32,
            @max(Note.bytes, @min(most, self.ways.length_min)),
            @max(Note.bytes, @min(most, self.ways.length_max)),
        );
        const note: Note = .{
            .verb = verb,
            .who = self.who,
            .number = self.said,
            .length = length,
        };
        const kind: frames.Kind = if (self.random.boolean()) .text else .binary;
        self.said += 1;
        if (verb == .echo or verb == .publish)
            try self.awaited.append(self.arena, .{ .note = note, .kind = kind });
        const count = self.random.intRangeAtMost(u32, 1, self.ways.fragments_max);
        self.open = .{
            .note = note,
            .kind = kind,
            .pressed = try self.pressedOf(&note, kind),
            .left = count,
        };
        try self.fragment();
    }

    fn fragment(self: *Talk) !void {
        const may_interrupt = self.ways.control_in > 0;
        if (may_interrupt and self.random.uintLessThan(u8, self.ways.control_in) == 0)
            try self.control();
        const open = &self.open.?;
        const whole: u32 = if (open.pressed) |bytes| @intCast(bytes.len) else open.note.length;
        const rest = whole - open.at;
        const is_last = open.left == 1;
        const len = if (is_last) rest else self.random.uintAtMost(u32, rest);
        try self.head(.{
            .opcode = if (open.is_begun) .continuation else open.kind.opcode(),
            .fin = is_last,
            .compressed = open.pressed != null and !open.is_begun,
            .len = len,
        });
        const room = try self.out.addManyAsSlice(self.arena, len);
        if (open.pressed) |bytes|
            @memcpy(room, bytes[open.at..][0..len])
        else
            fill(room, &open.note, open.kind, open.at);
        _ = mask.apply(room, self.key);
        open.is_begun = true;
        open.at += len;
        open.left -= 1;
        if (is_last) self.open = null;
    }

    /// The bytes of a message from `at` on.
    pub fn fill(out: []u8, note: *const Note, kind: frames.Kind, at: u32) void {
        var text: [Note.bytes]u8 = undefined;
        note.write(&text);
        const in_text: u32 = @min(out.len, Note.bytes -| at);
        if (in_text > 0) @memcpy(out[0..in_text], text[at..][0..in_text]);
        const rest = out[in_text..];
        note.pattern().fill(rest, at + in_text);
        if (kind == .text) for (rest) |*byte| {
            byte.* &= 0x7f;
        };
    }

    fn head(self: *Talk, it: frames.Head) !void {
        self.random.bytes(&self.key);
        var own = it;
        own.key = self.key;
        var text: [frames.head_bytes_max]u8 = undefined;
        try self.out.appendSlice(self.arena, own.write(&text));
    }

    fn controlFrame(self: *Talk, opcode: frames.Opcode, payload: []const u8) !void {
        try self.head(.{ .opcode = opcode, .len = @intCast(payload.len) });
        const room = try self.out.addManyAsSlice(self.arena, payload.len);
        @memcpy(room, payload);
        _ = mask.apply(room, self.key);
    }

    fn control(self: *Talk) !void {
        var payload: [frames.control_bytes_max]u8 = undefined;
        std.mem.writeInt(u32, payload[0..4], self.pings_sent, .big);
        const len = self.random.intRangeAtMost(usize, 4, payload.len);
        @memset(payload[4..], 0x55);
        if (self.random.boolean()) return self.controlFrame(.pong, payload[0..len]);
        try self.pings.append(self.arena, .{ .number = self.pings_sent, .len = @intCast(len) });
        self.pings_sent += 1;
        try self.controlFrame(.ping, payload[0..len]);
    }

    fn close(self: *Talk, code: ?u16) !void {
        self.closed_with = code orelse 1005;
        var payload: [2 + 3]u8 = "\x00\x00bye".*;
        const told = code orelse return self.controlFrame(.close, "");
        std.mem.writeInt(u16, payload[0..2], told, .big);
        try self.controlFrame(.close, if (self.random.boolean()) payload[0..2] else &payload);
    }

    fn wrong(self: *Talk) !void {
        self.has_wronged = true;
        const raw: []const u8 = switch (self.ways.wrong) {
            .unmasked => "\x81\x01x",
            .reserved => self.reservedBits(),
            .opcode => "\x83\x80\x00\x00\x00\x00",
            .long_ping => "\x89\xfe\x00\x7e\x00\x00\x00\x00",
            .cut_ping => "\x09\x80\x00\x00\x00\x00",
            .continuation => "\x80\x80\x00\x00\x00\x00",
            .within => "\x01\x80\x00\x00\x00\x00\x81\x80\x00\x00\x00\x00",
            .close_code => "\x88\x82\x00\x00\x00\x00\x03\xed",
            .utf8 => "\x81\x82\x00\x00\x00\x00\xc3\x28",
            .too_big => {
                const len = self.message_bytes_max + 1;
                try self.head(.{ .opcode = .binary, .len = len });
                return;
            },
        };
        try self.out.appendSlice(self.arena, raw);
    }

    /// Frames of which the last has a bit that nobody has agreed on. Ahead of the answer to an
    /// offer a message may already be taken for a compressed one: RSV1 is wrong there on what does
    /// not begin a message only (RFC 7692 §6.1), and the other bits are anywhere.
    fn reservedBits(self: *const Talk) []const u8 {
        if (self.offer == null) return "\xc1\x80\x00\x00\x00\x00";
        return switch (self.who % 3) {
            0 => "\xa1\x80\x00\x00\x00\x00",
            1 => "\xc9\x80\x00\x00\x00\x00",
            else => "\x01\x80\x00\x00\x00\x00\xc0\x80\x00\x00\x00\x00",
        };
    }

    // Hearing.

    /// What has come. Null: all of it is right.
    pub fn hear(self: *Talk, bytes: []const u8) !?Fault {
        var rest = bytes;
        while (true) {
            const event = self.reader.next(&rest) catch |err| return .{ .frame = err };
            // Pings are answered behind a Close as well (RFC 6455 §5.5.1).
            if (self.heard_close != null and (event == .data or event == .close))
                return fault("a frame behind its Close", 0, 0);
            const found = switch (event) {
                .more => return null,
                .data => |*data| try self.onData(data),
                .ping => |payload| found: {
                    // Nothing goes behind a Close.
                    if (!self.isOver()) try self.controlFrame(.pong, payload);
                    break :found null;
                },
                .pong => |payload| self.onPong(payload),
                .close => |code| self.onClose(code orelse 1005),
            };
            if (found) |it| return it;
        }
    }

    fn fault(comptime what: []const u8, a: u64, b: u64) Fault {
        return .{ .what = .{ what, a, b } };
    }

    fn onPong(self: *Talk, payload: []const u8) ?Fault {
        if (self.is_corrupt) return null;
        if (self.pings_at == self.pings.items.len) return fault("a pong that nobody awaits", 0, 0);
        const asked = self.pings.items[self.pings_at];
        self.pings_at += 1;
        if (payload.len != asked.len)
            return fault("a pong of # bytes to #", payload.len, asked.len);
        const number = std.mem.readInt(u32, payload[0..4], .big);
        if (number == asked.number) return null;
        return fault("pong # to ping #", number, asked.number);
    }

    fn onData(self: *Talk, data: *const reader_file.Data) !?Fault {
        if (self.coming == null) self.coming = .{
            .kind = data.kind,
            .press = if (data.compressed) .{ .number = self.pressed_in } else null,
        };
        const coming = &self.coming.?;
        if (coming.press) |*decoder| {
            if (try self.onPressed(coming, decoder, data)) |it| return it;
        } else if (try self.onBytes(coming, data.bytes)) |it| return it;
        if (!data.ends) return null;
        defer self.coming = null;
        if (self.is_corrupt) return null;
        const note = coming.note orelse return fault("a message of # bytes", coming.len, 0);
        if (coming.len == note.length) return null;
        return fault("message # ends behind # bytes", note.number, coming.len);
    }

    fn onPressed(
        self: *Talk,
        coming: *Coming,
        decoder: *press.Decoder,
        data: *const reader_file.Data,
    ) !?Fault {
        var rest = data.bytes;
        var room: [512]u8 = undefined;
        while (true) {
            const bytes = decoder.next(&rest, &room) catch
                return fault("a compressed message is not number #", self.pressed_in, 0);
            if (bytes.len == 0) break;
            if (try self.onBytes(coming, bytes)) |it| return it;
        }
        if (rest.len > 0) return fault("# bytes behind a compressed message", rest.len, 0);
        if (!data.ends) return null;
        if (!decoder.isDone()) return fault("a compressed message lacks # bytes", decoder.left, 0);
        if (!self.agreed.?.server_no_context_takeover) self.pressed_in +%= 1;
        return null;
    }

    /// What comes next of a message.
    fn onBytes(self: *Talk, coming: *Coming, all: []const u8) !?Fault {
        var bytes = all;
        if (coming.len < Note.bytes) {
            const at: usize = @intCast(coming.len);
            const n = @min(bytes.len, Note.bytes - at);
            @memcpy(coming.head[at..][0..n], bytes[0..n]);
            coming.len += n;
            bytes = bytes[n..];
            if (coming.len == Note.bytes) if (try self.onNote(coming)) |it| return it;
        }
        if (coming.note) |*note| if (!self.is_corrupt) {
            const at: u32 = @intCast(coming.len);
            if (at + bytes.len > note.length)
                return fault("message # is longer than # bytes", note.number, note.length);
            if (isChanged(bytes, note, coming.kind, at))
                return fault("message #: a byte behind # is not its own", note.number, at);
        };
        coming.len += bytes.len;
        return null;
    }

    fn isChanged(bytes: []const u8, note: *const Note, kind: frames.Kind, from: u32) bool {
        var piece: [512]u8 = undefined;
        var at: usize = 0;
        while (at < bytes.len) {
            const n = @min(piece.len, bytes.len - at);
            fill(piece[0..n], note, kind, from + @as(u32, @intCast(at)));
            if (!std.mem.eql(u8, piece[0..n], bytes[at..][0..n])) return true;
            at += n;
        }
        return false;
    }

    /// It is known which message is coming.
    fn onNote(self: *Talk, coming: *Coming) !?Fault {
        if (self.is_corrupt) return null;
        const note = Note.parse(&coming.head) orelse return fault("a message of nobody", 0, 0);
        coming.note = note;
        if (note.who != self.who) return self.onPublication(&note);
        if (self.awaited_at == self.awaited.items.len)
            return fault("message # comes back, which nobody awaits", note.number, 0);
        const due = &self.awaited.items[self.awaited_at];
        self.awaited_at += 1;
        self.echoes += 1;
        if (due.note.number != note.number)
            return fault("message # comes back in place of #", note.number, due.note.number);
        if (!std.meta.eql(due.note, note) or due.kind != coming.kind)
            return fault("message # comes back as another", note.number, 0);
        return null;
    }

    fn onPublication(self: *Talk, note: *const Note) !?Fault {
        if (note.verb != .publish) return fault("the message of another, #", note.who, 0);
        self.publications += 1;
        const entry = try self.heard.getOrPut(self.arena, note.who);
        defer entry.value_ptr.* = note.number;
        if (entry.found_existing and note.number <= entry.value_ptr.*)
            return fault("what # has published, #, comes late", note.who, note.number);
        return null;
    }

    fn onClose(self: *Talk, code: u16) ?Fault {
        self.heard_close = code;
        if (self.coming != null and self.strict and !self.has_wronged)
            return fault("a Close with # within a message", code, 0);
        if (self.is_corrupt) return null;
        if (self.closed_with) |own| if (code == own) return null;
        if (self.has_wronged and code == self.ways.wrong.code()) return null;
        if (self.isAskedFor(code)) {
            const left = self.awaited.items.len - self.awaited_at;
            return if (left == 0) null else fault("a Close ahead of # messages", left, 0);
        }
        return switch (code) {
            // It is too slow, or others publish too much.
            too_slow, 1013 => if (self.strict and !self.is_published) unexpected(code) else null,
            // A stop, a thread that has gone, a rate, too many pings.
            1001, 1008, 1012 => if (self.strict) unexpected(code) else null,
            else => unexpected(code),
        };
    }

    fn unexpected(code: u16) Fault {
        return fault("a Close with #", code, 0);
    }

    fn isAskedFor(self: *const Talk, code: u16) bool {
        if (self.ways.last != .close or self.said != self.ways.messages) return false;
        if (self.said == 0) return false;
        const number = self.said - 1;
        const note: Note = .{ .verb = .close, .who = self.who, .number = number, .length = 0 };
        return code == note.closeCode();
    }

    /// What carries it has ended.
    pub fn onEnd(self: *const Talk) ?Fault {
        if (!self.strict or self.heard_close != null) return null;
        if (self.ways.last == .terminate and self.said == self.ways.messages and self.said > 0)
            return null;
        const left = self.awaited.items.len - self.awaited_at;
        return fault("the end came without a Close, ahead of # messages", left, 0);
    }
};

const testing = std.testing;
const Decoder = @import("../websocket/frame_decoder.zig").Decoder;
const errors = @import("../websocket/errors.zig");

/// Hears all that another has said, frames of clients though they are.
fn echoTo(talk: *Talk, kind: frames.Kind, note: *const Note, cut: usize) !?Fault {
    var bytes: [300]u8 = undefined;
    bytes[0] = 0x80 | @as(u8, @intFromEnum(kind.opcode()));
    bytes[1] = @intCast(note.length);
    Talk.fill(bytes[2..][0..note.length], note, kind, 0);
    const all = bytes[0 .. 2 + note.length];
    if (try talk.hear(all[0..cut])) |it| return it;
    return talk.hear(all[cut..]);
}

test "a talk knows its echoes, wherever they are cut, and finds what is not one" {
    var arena = std.heap.ArenaAllocator.init(testing.allocator);
    defer arena.deinit();
    var prng = std.Random.DefaultPrng.init(1);
    for (0..60) |cut| {
        var talk: Talk = .{
            .arena = arena.allocator(),
            .random = prng.random(),
            .who = 7,
            .ways = .{ .messages = 2, .length_max = 60, .ahead_max = 2 },
            .message_bytes_max = 1000,
            .strict = true,
        };
        while (talk.said < 2 or talk.open != null) try talk.say();
        const first, const second = .{ talk.awaited.items[0], talk.awaited.items[1] };
        try testing.expect(talk.pending().len >= first.note.length + second.note.length);
        const at = @min(cut, first.note.length + 2);
        try testing.expectEqual(null, try echoTo(&talk, first.kind, &first.note, at));
        var other = second;
        switch (cut % 4) {
            0 => other.note.number = 0,
            1 => other.note.length += 1,
            2 => other.note.who = 8,
            else => other.kind = if (second.kind == .text) .binary else .text,
        }
        try testing.expect(try echoTo(&talk, other.kind, &other.note, 2) != null);
    }
}

/// What the engine makes of `text`, which ends with what is wrong.
fn errorOf(arena: Allocator, text: []const u8, has_compression: bool) !errors.Error {
    var decoder: Decoder = .{ .has_compression = has_compression };
    var rest = try arena.dupe(u8, text);
    while (true) {
        const step = decoder.next(rest);
        rest = rest[step.consumed..];
        switch (step.event) {
            .err => |err| return err,
            .need_more => return error.NothingIsWrong,
            else => {},
        }
    }
}

test "a reserved bit is wrong whatever comes of an offer, ahead of the answer too" {
    var arena = std.heap.ArenaAllocator.init(testing.allocator);
    defer arena.deinit();
    var prng = std.Random.DefaultPrng.init(1);
    const offer: Agreement = .{};
    var text: [Agreement.text_bytes_max]u8 = undefined;
    // What is offered, what is answered, and what the server may have agreed to.
    const cases = [_]struct { ?Agreement, ?[]const u8, []const bool }{
        .{ null, null, &.{false} },
        .{ null, "", &.{false} },
        .{ offer, null, &.{ false, true } },
        .{ offer, "", &.{false} },
        .{ offer, offer.write(&text), &.{true} },
    };
    for (cases) |case| for (0..3) |who| {
        var talk: Talk = .{
            .arena = arena.allocator(),
            .random = prng.random(),
            .who = @intCast(who),
            .ways = .{ .messages = 0, .length_max = 60, .ending = .wrong, .wrong = .reserved },
            .message_bytes_max = 1000,
            .strict = true,
            .offer = case[0],
        };
        if (case[1]) |answer| try testing.expectEqual(null, talk.agree(answer));
        try talk.say();
        for (case[2]) |has_compression| {
            const err = try errorOf(arena.allocator(), talk.pending(), has_compression);
            try testing.expectEqual(.reserved_bits, err);
        }
    };
}
