//! What stands in the place of TLS in a simulation: a cipher that a child could break, with a
//! handshake of two flights, records, alerts and ends, behind the same seams of the engine
//! (net/filtering.zig, server/secured.zig). How long a handshake is, what it costs and whether it
//! finds memory is drawn from the seed, as the keys and signatures of TLS could not be.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const limits = @import("../core/limits.zig");
const list = @import("../core/list.zig");
const Id = @import("../core/slots.zig").Id;
const Security = @import("../http/security.zig").Security;
const Simulator = @import("../io/simulator.zig").Simulator;
const sealing = @import("../core/sealing.zig");
const handshakes_file = @import("../server/tls/handshakes.zig");

/// Its kind, the length of its text, its text. Each byte of that depends on the number of the
/// record in its direction: what is lost, doubled or out of order shows.
const Record = struct {
    const header_bytes = 3;
    const text_bytes_max = 1000;
    const bytes_max = header_bytes + text_bytes_max;

    const Kind = enum(u8) { hello = 1, welcome, finished, text, end, failed, _ };

    /// How many bytes a record has of which the beginning is here; null: it cannot be told yet.
    fn lenOf(bytes: []const u8) ?usize {
        if (bytes.len < header_bytes) return null;
        return header_bytes + @as(usize, std.mem.readInt(u16, bytes[1..3], .big));
    }

    fn kindOf(bytes: []const u8) Kind {
        return @enumFromInt(bytes[0]);
    }

    fn begin(out: []u8, kind: Kind, text_len: usize) []u8 {
        out[0] = @intFromEnum(kind);
        std.mem.writeInt(u16, out[1..3], @intCast(text_len), .big);
        return out[header_bytes..][0..text_len];
    }

    /// The same both ways, where the text lies.
    fn turnOver(text: []u8, number: u32) void {
        for (text, 0..) |*byte, i| byte.* ^= @truncate(number *% 31 +% i *% 7 +% 1);
    }
};

/// What a hello is made of that asks for HTTP/2.
const hello_http2 = '2';

pub const Veil = struct {
    pub const Filter = ServerFilter;
    pub const Handshakes = handshakes_file.Handshakes(ServerFilter);

    /// The system seals as the filter does.
    pub const sealer: Simulator.Sealer = .{
        .overhead_bytes = Record.header_bytes,
        .text_bytes_max = Record.text_bytes_max,
        .seal = &sealAsSystem,
    };

    fn sealAsSystem(out: []u8, kind: ?u8, text: []const u8, number: u32) void {
        const which: Record.Kind = if (kind) |value| @enumFromInt(value) else .text;
        const sealed = Record.begin(out, which, text.len);
        @memcpy(sealed, text);
        Record.turnOver(sealed, number);
    }

    /// What the workers of a run have in common.
    pub const Shared = struct {
        by_listener: [limits.listeners_max]?*Set = @splat(null),
        redirects: [limits.listeners_max]?u16 = @splat(null),
    };
};

/// What the handshakes of a run are like.
pub const Set = struct {
    /// The server's part of a handshake, bytes.
    welcome_bytes_max: u32 = 600,
    /// Of a client's record, µs of the worker's turn.
    cost_us_max: u32 = 0,
    /// Of a thousand handshakes so many find no memory.
    no_memory: u16 = 0,
    /// Filters that have not been given back.
    filters: u32 = 0,
};

const ServerFilter = struct {
    set: *Set,
    handshakes: *Veil.Handshakes,
    conn: Id,
    link: list.Link(ServerFilter) = .{},
    phase: enum { fresh, welcomed, open, peer_closed, failed } = .fresh,
    ended: enum { no, no_memory, evicted, failed } = .no,
    failure: ?Failure = null,
    security: Security = .{ .cipher = "VEIL" },
    page: []const u8 = "",
    welcome_left: usize = 0,
    says: ?Record.Kind = null,
    has_said_end: bool = false,
    /// The system seals.
    is_offloaded: bool = false,
    read_count: u32 = 0,
    write_count: u32 = 0,

    const Failure = struct {
        alert: enum { unexpected_message },
        by: enum { us, peer, not_tls },
    };
    const Read = struct { text: []u8, used: usize, cost_us: u32 = 0 };
    const Written = struct { taken: usize, len: usize };

    pub fn init(set: *Set, handshakes: *Veil.Handshakes, conn: Id) ServerFilter {
        set.filters += 1;
        return .{ .set = set, .handshakes = handshakes, .conn = conn };
    }

    pub fn deinit(self: *ServerFilter) void {
        self.handshakes.end(self, self.ended == .evicted);
        self.set.filters -= 1;
        self.* = undefined;
    }

    pub fn evict(self: *ServerFilter) void {
        self.ended = .evicted;
        self.welcome_left = 0;
        self.says = null;
    }

    pub fn lacking(bytes: []const u8) usize {
        const len = Record.lenOf(bytes) orelse return Record.header_bytes - bytes.len;
        return len -| bytes.len;
    }

    pub fn read(self: *ServerFilter, bytes: []u8) Read {
        const nothing: Read = .{ .text = bytes[0..0], .used = bytes.len };
        if (self.ended != .no or self.phase == .failed or self.phase == .peer_closed)
            return nothing;
        const len = Record.lenOf(bytes) orelse return .{ .text = bytes[0..0], .used = 0 };
        if (bytes.len < len) return .{ .text = bytes[0..0], .used = 0 };
        return self.take(bytes[0..len]);
    }

    fn take(self: *ServerFilter, bytes: []u8) Read {
        const network = Simulator.current.?;
        const text = bytes[Record.header_bytes..];
        Record.turnOver(text, self.read_count);
        self.read_count += 1;
        var done: Read = .{ .text = bytes[0..0], .used = bytes.len };
        if (!self.isOpen()) done.cost_us = network.random().uintAtMost(u32, self.set.cost_us_max);
        switch (Record.kindOf(bytes)) {
            .hello => if (self.phase == .fresh) {
                if (network.chance(self.set.no_memory)) {
                    self.ended = .no_memory;
                    return done;
                }
                if (text.len > 0 and text[0] == hello_http2) self.security.protocol = "h2";
                self.handshakes.begin(self);
                self.phase = .welcomed;
                const most = self.set.welcome_bytes_max;
                self.welcome_left = network.random().intRangeAtMost(usize, 1, most);
                return done;
            },
            .finished => if (self.phase == .welcomed and self.welcome_left == 0) {
                self.handshakes.end(self, false);
                self.phase = .open;
                return done;
            },
            .text => if (self.phase == .open) {
                done.text = text;
                return done;
            },
            .end => if (self.phase == .open) {
                self.phase = .peer_closed;
                return done;
            },
            else => {},
        }
        self.phase = .failed;
        self.failure = .{ .alert = .unexpected_message, .by = .us };
        self.says = .failed;
        self.handshakes.end(self, false);
        return done;
    }

    pub fn write(self: *ServerFilter, pieces: []const posix.iovec_const, out: []u8) Written {
        assert(!self.is_offloaded);
        var len: usize = 0;
        while (self.welcome_left > 0 and out.len - len >= Record.bytes_max) {
            const n = @min(self.welcome_left, Record.text_bytes_max);
            self.welcome_left -= n;
            const text = Record.begin(out[len..], .welcome, n);
            @memset(text, 'w');
            if (self.welcome_left == 0) text[n - 1] = 'W'; // its last
            len += self.seal(out[len..], n);
        }
        var taken: usize = 0;
        if (self.takesText()) for (pieces) |piece| {
            var rest = piece.base[0..piece.len];
            while (rest.len > 0) {
                const n = @min(rest.len, Record.text_bytes_max);
                if (out.len - len < Record.bytes_max) return .{ .taken = taken, .len = len };
                @memcpy(Record.begin(out[len..], .text, n), rest[0..n]);
                len += self.seal(out[len..], n);
                taken += n;
                rest = rest[n..];
            }
        };
        if (self.welcome_left == 0) if (self.says) |kind| {
            if (out.len - len < Record.header_bytes) return .{ .taken = taken, .len = len };
            _ = Record.begin(out[len..], kind, 0);
            len += self.seal(out[len..], 0);
            self.says = null;
            self.has_said_end = true;
        };
        return .{ .taken = taken, .len = len };
    }

    fn seal(self: *ServerFilter, out: []u8, text_len: usize) usize {
        Record.turnOver(out[Record.header_bytes..][0..text_len], self.write_count);
        self.write_count += 1;
        return Record.header_bytes + text_len;
    }

    pub fn hasOutput(self: *const ServerFilter) bool {
        return self.welcome_left > 0 or self.says != null;
    }

    pub fn isOpen(self: *const ServerFilter) bool {
        return self.phase == .open or self.phase == .peer_closed;
    }

    pub fn takesText(self: *const ServerFilter) bool {
        return self.isOpen() and self.says == null and !self.has_said_end;
    }

    pub fn hasPeerClosed(self: *const ServerFilter) bool {
        return self.phase == .peer_closed;
    }

    pub fn hasFailed(self: *const ServerFilter) bool {
        return self.ended != .no or self.phase == .failed;
    }

    pub fn takeReason(self: *ServerFilter) ?Failure {
        const failure = self.failure orelse return null;
        self.ended = .failed;
        return failure;
    }

    pub fn close(self: *ServerFilter) void {
        const is_over = self.hasFailed() or self.has_said_end or self.phase == .fresh;
        if (!is_over) self.says = .end;
    }

    /// Files are short here.
    pub const offload_bytes_min = 1;

    pub fn keysOf(self: *const ServerFilter, out: *sealing.Keys) bool {
        if (!self.takesText() or self.hasOutput()) return false;
        const next = std.mem.nativeToLittle(u32, self.write_count);
        out.appendSliceAssumeCapacity(std.mem.asBytes(&next));
        return true;
    }

    pub fn offload(self: *ServerFilter) void {
        self.is_offloaded = true;
    }

    pub fn noteSealed(self: *ServerFilter, _: usize) void {
        assert(self.is_offloaded);
    }

    pub fn message(self: *const ServerFilter) ?sealing.Message {
        return .{ .kind = @intFromEnum(self.says orelse return null), .bytes = .{ 0, 0 } };
    }

    pub fn said(self: *ServerFilter) void {
        self.says = null;
        self.has_said_end = true;
    }

    pub fn securityNow(self: *const ServerFilter) *const Security {
        return &self.security;
    }

    pub fn hstsLine(_: *const ServerFilter) []const u8 {
        return "Strict-Transport-Security: max-age=1\r\n";
    }
};

/// The client's side of it.
pub const Wire = struct {
    /// HTTP/2 is agreed on.
    is_http2: bool = false,
    /// The number of the record in whose place one comes that is not its turn; null: none does.
    lies_at: ?u32 = null,
    phase: enum { shaking, open, over } = .shaking,
    /// What is to be sent, in records.
    out: std.BoundedArray(u8, 2 * Record.bytes_max) = .{},
    in: std.BoundedArray(u8, Record.bytes_max) = .{},
    read_count: u32 = 0,
    write_count: u32 = 0,

    pub const text_bytes_max = Record.text_bytes_max;

    pub const Event = union(enum) {
        more,
        /// It lies in the wire's own memory, until the next call.
        text: []const u8,
        /// The server sends no more.
        end,
        /// The server has refused what was sent.
        failed,
        /// No record of the server's has this form, or it was not its turn.
        broken,
    };

    /// Begins the handshake.
    pub fn greet(self: *Wire, random: std.Random) void {
        var hello: [500]u8 = @splat(if (self.is_http2) hello_http2 else 'h');
        const at_least: usize = @intFromBool(self.is_http2);
        self.put(.hello, hello[0..random.intRangeAtMost(usize, at_least, hello.len)]);
    }

    pub fn isOpen(self: *const Wire) bool {
        return self.phase == .open;
    }

    pub fn isShaking(self: *const Wire) bool {
        return self.phase == .shaking;
    }

    pub fn hasLied(self: *const Wire) bool {
        return if (self.lies_at) |at| self.write_count > at else false;
    }

    pub fn hasOutput(self: *const Wire) bool {
        return self.out.len > 0;
    }

    pub fn output(self: *const Wire) []const u8 {
        return self.out.constSlice();
    }

    /// So many bytes of `output` have left.
    pub fn sent(self: *Wire, bytes: usize) void {
        const rest = self.out.constSlice()[bytes..];
        std.mem.copyForwards(u8, self.out.buffer[0..rest.len], rest);
        self.out.len = rest.len;
    }

    fn put(self: *Wire, kind: Record.Kind, text: []const u8) void {
        const is_lie = self.lies_at == self.write_count;
        var record: [Record.bytes_max]u8 = undefined;
        const sealed = Record.begin(&record, if (is_lie) .welcome else kind, text.len);
        @memcpy(sealed, text);
        Record.turnOver(sealed, self.write_count);
        self.write_count += 1;
        self.out.appendSliceAssumeCapacity(record[0 .. Record.header_bytes + text.len]);
    }

    /// Puts a beginning of `text` in a record, which goes out next. Returns how much.
    pub fn say(self: *Wire, text: []const u8) usize {
        assert(self.isOpen() and !self.hasOutput());
        const part = text[0..@min(text.len, Record.text_bytes_max)];
        if (part.len > 0) self.put(.text, part);
        return part.len;
    }

    pub fn sayEnd(self: *Wire) void {
        if (self.isOpen()) self.put(.end, "");
    }

    /// Takes from the front of `rest` until something is to be told.
    pub fn next(self: *Wire, rest: *[]const u8) Event {
        while (true) {
            const want = Record.lenOf(self.in.constSlice()) orelse Record.header_bytes;
            if (want > Record.bytes_max) return .broken;
            const n = @min(want - self.in.len, rest.len);
            self.in.appendSliceAssumeCapacity(rest.*[0..n]);
            rest.* = rest.*[n..];
            if (Record.lenOf(self.in.constSlice())) |len| if (self.in.len == len)
                if (self.takeRecord()) |event| return event else continue;
            if (rest.len == 0) return .more;
        }
    }

    fn takeRecord(self: *Wire) ?Event {
        const kind = Record.kindOf(self.in.constSlice());
        const text = self.in.slice()[Record.header_bytes..];
        Record.turnOver(text, self.read_count);
        self.read_count += 1;
        self.in.len = 0;
        switch (kind) {
            .welcome => if (self.phase == .shaking and text.len > 0) {
                const is_last = text[text.len - 1] == 'W';
                const others = text[0 .. text.len - @intFromBool(is_last)];
                if (!std.mem.allEqual(u8, others, 'w')) return .broken;
                if (is_last) {
                    self.phase = .open;
                    self.put(.finished, "");
                }
                return null;
            },
            .text => if (self.isOpen()) return .{ .text = text },
            .end => if (self.isOpen()) return self.isOver(.end),
            .failed => if (self.phase != .over) return self.isOver(.failed),
            else => {},
        }
        return .broken;
    }

    /// Nothing may follow `event`.
    fn isOver(self: *Wire, event: Event) Event {
        self.phase = .over;
        return event;
    }
};

const testing = std.testing;

test "records that are cut anywhere are the same; one that is lost shows" {
    var set: Set = .{};
    var handshakes: Veil.Handshakes = .{ .most = 4 };
    var filter: ServerFilter = .init(&set, &handshakes, undefined);
    defer filter.deinit();
    filter.phase = .open;
    var records: [4 * Record.bytes_max]u8 = undefined;
    const text: [2500]u8 = @splat('t');
    const pieces = [_]posix.iovec_const{.{ .base = &text, .len = text.len }};
    const written = filter.write(&pieces, &records);
    try testing.expectEqual(text.len, written.taken);
    for ([_]usize{ 1, 2, 3, 999, written.len }) |step| {
        var wire: Wire = .{ .phase = .open };
        var len: usize = 0;
        var at: usize = 0;
        while (at < written.len) : (at += step) {
            var rest: []const u8 = records[at..@min(written.len, at + step)];
            while (true) switch (wire.next(&rest)) {
                .more => break,
                .text => |part| {
                    try testing.expect(std.mem.allEqual(u8, part, 't'));
                    len += part.len;
                },
                else => return error.Unexpected,
            };
        }
        try testing.expectEqual(text.len, len);
    }
    var wire: Wire = .{ .phase = .open };
    var rest: []const u8 = records[Record.bytes_max..written.len];
    try testing.expect(!std.mem.allEqual(u8, wire.next(&rest).text, 't'));
}
