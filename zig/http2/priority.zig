//! Priorities (RFC 9218): the value of the field Priority and of PRIORITY_UPDATE. It is a
//! dictionary of structured fields (RFC 8941 §3.2); two of its members mean something here, and the
//! others must be well-formed.

const std = @import("std");
const StreamId = @import("frames.zig").StreamId;

pub const Priority = struct {
    /// 0 is the most urgent.
    urgency: u3 = 3,
    /// The response is of use in part: it may share the connection with others of its urgency.
    incremental: bool = false,

    /// The priority that `value` tells. What it does not tell, or tells out of range, is the
    /// default (§4); and all is, where it is malformed.
    pub fn parse(value: []const u8) Priority {
        var found: Priority = .{};
        var reader: Reader = .{ .bytes = value };
        return if (reader.dictionary(&found)) found else .{};
    }
};

/// Priorities that came ahead of their streams: the last few, so that a client's word about what it
/// is about to ask for counts (RFC 9218 §7.1).
pub const Early = struct {
    /// 0: none.
    streams: [count_max]StreamId = @splat(0),
    priorities: [count_max]Priority = @splat(.{}),
    /// Which of them the next one takes the place of.
    next: u8 = 0,

    pub const count_max = 8;

    /// `stream` has not begun. What was told of it before counts no more.
    pub fn put(self: *Early, stream: StreamId, priority: Priority) void {
        const index = std.mem.indexOfScalar(StreamId, &self.streams, stream) orelse index: {
            if (std.mem.indexOfScalar(StreamId, &self.streams, 0)) |free| break :index free;
            defer self.next = (self.next + 1) % count_max;
            break :index self.next;
        };
        self.streams[index] = stream;
        self.priorities[index] = priority;
    }

    /// What was told of `stream`, which begins now: those before it never will (RFC 9113 §5.1.1).
    pub fn take(self: *Early, stream: StreamId) ?Priority {
        const none: @Vector(count_max, StreamId) = @splat(0);
        if (@reduce(.And, @as(@Vector(count_max, StreamId), self.streams) == none)) return null;
        var found: ?Priority = null;
        for (&self.streams, self.priorities) |*each, priority| {
            if (each.* > stream) continue;
            if (each.* == stream) found = priority;
            each.* = 0;
        }
        return found;
    }

    /// Of how many streams something is kept.
    pub fn count(self: *const Early) u32 {
        var streams: u32 = 0;
        for (self.streams) |each| streams += @intFromBool(each != 0);
        return streams;
    }
};

/// What a member's value is, as far as that matters.
const Item = union(enum) { integer: i64, boolean: bool, other };

/// Reads one value from its left to its right.
const Reader = struct {
    bytes: []const u8,
    at: usize = 0,

    /// False: it is malformed.
    fn dictionary(self: *Reader, out: *Priority) bool {
        self.skip(" ");
        while (self.peek() != null) {
            const name = self.key() orelse return false;
            const item: Item = if (self.take('='))
                self.member() orelse return false
            else
                .{ .boolean = true };
            if (!self.parameters()) return false;
            note(out, name, item);
            self.skip(" \t");
            if (self.peek() == null) break;
            if (!self.take(',')) return false;
            self.skip(" \t");
            if (self.peek() == null) return false; // a comma at the end
        }
        return true;
    }

    /// The last member of a name counts.
    fn note(out: *Priority, name: []const u8, item: Item) void {
        const default: Priority = .{};
        if (std.mem.eql(u8, name, "u")) {
            out.urgency = switch (item) {
                .integer => |n| std.math.cast(u3, n) orelse default.urgency,
                else => default.urgency,
            };
        }
        if (std.mem.eql(u8, name, "i")) {
            out.incremental = switch (item) {
                .boolean => |is_set| is_set,
                else => default.incremental,
            };
        }
    }

    fn peek(self: *const Reader) ?u8 {
        return if (self.at < self.bytes.len) self.bytes[self.at] else null;
    }

    fn take(self: *Reader, c: u8) bool {
        if (self.peek() != c) return false;
        self.at += 1;
        return true;
    }

    fn skip(self: *Reader, set: []const u8) void {
        while (self.peek()) |c| {
            if (std.mem.indexOfScalar(u8, set, c) == null) return;
            self.at += 1;
        }
    }

    fn key(self: *Reader) ?[]const u8 {
        const start = self.at;
        while (self.peek()) |c| : (self.at += 1) switch (c) {
            'a'...'z', '*' => {},
            '0'...'9', '_', '-', '.' => if (self.at == start) return null,
            else => break,
        };
        return if (self.at > start) self.bytes[start..self.at] else null;
    }

    /// An item or an inner list.
    fn member(self: *Reader) ?Item {
        if (!self.take('(')) return self.bareItem();
        while (true) {
            self.skip(" ");
            if (self.take(')')) return .other;
            _ = self.bareItem() orelse return null;
            if (!self.parameters()) return null;
            const next = self.peek() orelse return null;
            if (next != ' ' and next != ')') return null;
        }
    }

    fn parameters(self: *Reader) bool {
        while (self.take(';')) {
            self.skip(" ");
            _ = self.key() orelse return false;
            if (self.take('=')) _ = self.bareItem() orelse return false;
        }
        return true;
    }

    fn bareItem(self: *Reader) ?Item {
        const first = self.peek() orelse return null;
        switch (first) {
            '?' => {
                self.at += 1;
                if (self.take('1')) return .{ .boolean = true };
                return if (self.take('0')) .{ .boolean = false } else null;
            },
            '-', '0'...'9' => return self.number(),
            '"' => return self.string(),
            ':' => {
                const end = std.mem.indexOfScalarPos(u8, self.bytes, self.at + 1, ':') orelse
                    return null;
                for (self.bytes[self.at + 1 .. end]) |c| switch (c) {
                    'a'...'z', 'A'...'Z', '0'...'9', '+', '/', '=' => {},
                    else => return null,
                };
                self.at = end + 1;
                return .other;
            },
            'a'...'z', 'A'...'Z', '*' => {
                while (self.peek()) |c| : (self.at += 1) switch (c) {
                    ':', '/', '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.' => {},
                    '^', '_', '`', '|', '~', '0'...'9', 'a'...'z', 'A'...'Z' => {},
                    else => break,
                };
                return .other;
            },
            else => return null,
        }
    }

    /// At most 15 digits, or 12 before a point and three behind it (RFC 8941 §3.3.1, §3.3.2).
    fn number(self: *Reader) ?Item {
        const is_negative = self.take('-');
        const start = self.at;
        var value: i64 = 0;
        while (self.peek()) |c| : (self.at += 1) {
            if (!std.ascii.isDigit(c)) break;
            if (self.at - start == 15) return null;
            value = value * 10 + (c - '0');
        }
        const digits = self.at - start;
        if (digits == 0) return null;
        if (!self.take('.')) return .{ .integer = if (is_negative) -value else value };
        const fraction = self.at;
        while (self.peek()) |c| : (self.at += 1) if (!std.ascii.isDigit(c)) break;
        const behind = self.at - fraction;
        return if (digits <= 12 and behind >= 1 and behind <= 3) .other else null;
    }

    fn string(self: *Reader) ?Item {
        self.at += 1;
        while (self.peek()) |c| {
            self.at += 1;
            switch (c) {
                '"' => return .other,
                '\\' => if (!self.take('"') and !self.take('\\')) return null,
                0...0x1f, 0x7f...0xff => return null,
                else => {},
            }
        }
        return null;
    }
};

const testing = std.testing;

fn expectPriority(value: []const u8, urgency: u3, incremental: bool) !void {
    const expected: Priority = .{ .urgency = urgency, .incremental = incremental };
    try testing.expectEqual(expected, Priority.parse(value));
}

test "urgency and incremental are found, in any order, beside what is not known" {
    try expectPriority("", 3, false);
    try expectPriority("u=0", 0, false);
    try expectPriority("u=7, i", 7, true);
    try expectPriority("i,u=2", 2, true);
    try expectPriority("i=?1", 3, true);
    try expectPriority("i=?0, u=5", 5, false);
    try expectPriority(" u=1 ,\ti ", 1, true);
    try expectPriority(
        "u=1;a;b=2.5, x=\"a\\\"b\", y=tok/en, z=:YQ==:, w=(1 \"b\";c d), i;q=1",
        1,
        true,
    );
    try expectPriority("u=1, u=2, i, i=?0", 2, false);
    try expectPriority("foo, *a-b._9=-12, i", 3, true);
}

test "what is out of range or of another type is the default" {
    const values = [_][]const u8{
        "u=8", "u=-1", "u=3.0", "u=\"1\"", "u=one", "u", "u=?1", "i=1", "i=yes",
    };
    for (values) |value| try expectPriority(value, 3, false);
    try expectPriority("u=9, i", 3, true);
}

test "a value that is malformed counts as none" {
    for ([_][]const u8{
        "u=1,",    ",u=1",               "u=1,,i",     "u=",
        "=1",      "u =1",               "u= 1",       "U=1",
        "1u=1",    "u=1 i",              "u=1;",       "u=1;=2",
        "u=1;2",   "x=\"a, u=1",         "x=\"\\a\"",  "x=:a, u=1",
        "x=:a!:",  "x=(a, u=1",          "x=(a\"b\")", "i=?2, u=1",
        "u=1.",    "u=1.2345",           "u=-",        "x=\x80",
        "u=1\x00", "u=1234567890123456", "x=@",        "x=\"\x01\"",
    }) |value| try expectPriority(value, 3, false);
}

test "any bytes are read to an end" {
    var prng = std.Random.DefaultPrng.init(6);
    const random = prng.random();
    const some = "ui=?01,; \t\"\\().:-ax9*\x00\xff";
    var value: [24]u8 = undefined;
    for (0..50_000) |_| {
        const len = random.uintAtMost(usize, value.len);
        for (value[0..len]) |*c| c.* = some[random.uintLessThan(usize, some.len)];
        _ = Priority.parse(value[0..len]);
    }
}

test "what came ahead of a stream counts when it begins, the last word of each" {
    var early: Early = .{};
    early.put(5, .{ .urgency = 1 });
    early.put(9, .{ .urgency = 2 });
    early.put(5, .{ .urgency = 7, .incremental = true });
    try testing.expectEqual(2, early.count());
    try testing.expectEqual(null, early.take(3));
    try testing.expectEqual(Priority{ .urgency = 7, .incremental = true }, early.take(5).?);
    try testing.expectEqual(null, early.take(5));
    // 9 is skipped, and will not begin any more.
    try testing.expectEqual(null, early.take(11));
    try testing.expectEqual(0, early.count());
}

test "of priorities for more streams than are kept the last ones count" {
    var early: Early = .{};
    for (0..100) |i| early.put(@intCast(2 * i + 1), .{ .urgency = @intCast(i % 8) });
    try testing.expectEqual(Early.count_max, early.count());
    for (100 - Early.count_max..100) |i| {
        try testing.expectEqual(i % 8, early.take(@intCast(2 * i + 1)).?.urgency);
    }
}
