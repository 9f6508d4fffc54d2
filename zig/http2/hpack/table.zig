//! HPACK's dynamic table (RFC 7541 §2.3.2, §4) in a ring of the caller's memory. The 32 bytes that
//! the RFC counts for each entry pay for what is kept beside its text, so that the ring is no
//! larger than the table may be.

const std = @import("std");
const assert = std.debug.assert;
const Name = @import("names.zig").Name;
const Entry = @import("names.zig").Entry;

/// What an entry counts beside its name and value, bytes (§4.1).
pub const entry_extra_bytes = 32;
/// Lengths and places are kept in 16 bits.
pub const capacity_max = 60 * 1024;
pub const alignment = 8;

/// What a field is known by, beside its text "name: value\r\n".
pub const Record = extern struct {
    name_len: u16,
    value_len: u16,
    name: Name,
    defects: Defects = .{},
    /// The encoder's; it need not be set.
    hash: u16 = 0,

    pub fn lineBytes(self: Record) usize {
        return @as(usize, self.name_len) + self.value_len + Entry.separator.len +
            Entry.line_end.len;
    }

    /// What it counts in a table or a list of fields (RFC 7541 §4.1, RFC 9113 §6.5.2).
    pub fn size(self: Record) u32 {
        return @as(u32, self.name_len) + self.value_len + entry_extra_bytes;
    }
};

/// What makes a field malformed by itself (RFC 9113 §8.2.1).
pub const Defects = packed struct(u8) {
    /// It has no name that a field may have. Pseudo-header fields that are known have one.
    name: bool = false,
    value: bool = false,
    unused: u6 = 0,
};

/// Memory of a table, bytes.
pub fn memoryBytes(capacity: u32) usize {
    return ringBytes(capacity) + slotCount(capacity) * @sizeOf(u16);
}

fn ringBytes(capacity: u32) usize {
    return std.mem.alignForward(usize, capacity, alignment);
}

pub fn slotCount(capacity: u32) usize {
    return capacity / entry_extra_bytes;
}

pub const Table = struct {
    ring: []align(alignment) u8,
    /// Where in the ring each entry is, in units of `alignment`. A ring too.
    slots: []u16,
    /// The slot of the newest entry.
    newest: u32 = 0,
    count: u32 = 0,
    /// Where the next entry begins in the ring.
    end: u32 = 0,
    /// As the RFC counts it, bytes.
    size: u32 = 0,
    size_max: u32,
    /// What the ring may become at most, bytes.
    capacity: u32,

    /// A table of at most `capacity` bytes, in `memory` of `memoryBytes(capacity)`.
    pub fn init(memory: []align(alignment) u8, capacity: u32) Table {
        assert(capacity <= capacity_max and memory.len == memoryBytes(capacity));
        const ring_bytes = ringBytes(capacity);
        const slots: []align(alignment) u8 = @alignCast(memory[ring_bytes..]);
        return .{
            .ring = memory[0..ring_bytes],
            .slots = @ptrCast(slots),
            .size_max = capacity,
            .capacity = capacity,
        };
    }

    /// An empty table without memory, which may `grow` to `capacity` bytes.
    pub fn initEmpty(capacity: u32) Table {
        assert(capacity <= capacity_max);
        return .{ .ring = &.{}, .slots = &.{}, .size_max = capacity, .capacity = capacity };
    }

    /// How large a ring has to be that keeps `new` too, bytes; null: this one is.
    pub fn wants(self: *const Table, new: Record) ?u32 {
        if (new.size() > self.size_max) return null; // it is not kept
        const bytes = @min(self.size + new.size(), self.size_max);
        return if (bytes > self.ring.len) bytes else null;
    }

    /// Moves the entries to `memory`, that of a larger table of `ring_capacity` bytes. The memory
    /// where they were is not looked at any more.
    pub fn grow(
        self: *Table,
        memory: []align(alignment) u8,
        ring_capacity: u32,
    ) void {
        assert(ring_capacity > self.ring.len and ring_capacity <= self.capacity);
        var larger = Table.init(memory, ring_capacity);
        larger.size_max = self.size_max;
        larger.capacity = self.capacity;
        var index = self.count;
        while (index > 0) {
            index -= 1;
            const at = self.place(index);
            const entry = self.record(at);
            const parts = self.pieces(at + @sizeOf(Record), entry.lineBytes());
            const start = larger.claim(entry).?; // it fits where less room was
            _ = larger.put(larger.put(start, parts[0]), parts[1]);
        }
        assert(larger.size == self.size and larger.count == self.count);
        self.* = larger;
    }

    /// Makes it smaller or larger, and evicts what is too much (§4.3).
    pub fn resize(self: *Table, size_max: u32) void {
        assert(size_max <= self.capacity);
        self.size_max = size_max;
        while (self.size > size_max) self.evict();
    }

    pub fn clear(self: *Table) void {
        self.count = 0;
        self.size = 0;
        self.end = 0;
    }

    /// Where entry `index` is in the ring; 0 is the newest.
    pub fn place(self: *const Table, index: u32) u32 {
        assert(index < self.count);
        return @as(u32, self.slots[self.slotOf(index)]) * alignment;
    }

    /// The slot of entry `index`.
    pub inline fn slotOf(self: *const Table, index: u32) u32 {
        const slots: u32 = @intCast(self.slots.len);
        return if (self.newest >= index) self.newest - index else self.newest + slots - index;
    }

    pub fn record(self: *const Table, at: u32) Record {
        const bytes: *align(alignment) const [@sizeOf(Record)]u8 = @alignCast(
            self.ring[at..][0..@sizeOf(Record)],
        );
        return @as(*const Record, @ptrCast(bytes)).*;
    }

    /// Copies the first `len` bytes of the text of the entry at `at` to the start of `out`, which
    /// has room. Bytes of `out` behind them may be overwritten.
    pub inline fn copyText(self: *const Table, at: u32, len: usize, out: []u8) void {
        const start = at + @sizeOf(Record);
        // Most text is short: it is quicker to copy more of it than to call for it.
        const block_len = 64;
        if (len <= block_len and out.len >= block_len and start + block_len <= self.ring.len) {
            out[0..block_len].* = self.ring[start..][0..block_len].*;
        } else self.copyLongText(start, out[0..len]);
    }

    fn copyLongText(self: *const Table, start: usize, out: []u8) void {
        const parts = self.pieces(start, out.len);
        @memcpy(out[0..parts[0].len], parts[0]);
        @memcpy(out[parts[0].len..], parts[1]);
    }

    /// Whether the text of the entry at `at` is `bytes` from `offset` on.
    pub inline fn hasText(self: *const Table, at: u32, offset: usize, bytes: []const u8) bool {
        const start = at + @sizeOf(Record) + offset;
        if (start + bytes.len > self.ring.len) return self.hasSplitText(start, bytes);
        return std.mem.eql(u8, self.ring[start..][0..bytes.len], bytes);
    }

    /// The same where the ring may end within it.
    fn hasSplitText(self: *const Table, start: usize, bytes: []const u8) bool {
        const parts = self.pieces(start, bytes.len);
        return std.mem.eql(u8, parts[0], bytes[0..parts[0].len]) and
            std.mem.eql(u8, parts[1], bytes[parts[0].len..]);
    }

    fn pieces(self: *const Table, from: usize, len: usize) [2][]const u8 {
        const start = if (from >= self.ring.len) from - self.ring.len else from;
        const first = @min(len, self.ring.len - start);
        return .{ self.ring[start..][0..first], self.ring[0 .. len - first] };
    }

    /// Adds an entry in front of the others, and evicts as many as that takes. One that is larger
    /// than the table empties it (§4.4). `line` is its text, not in this table's memory.
    pub fn insert(self: *Table, line: []const u8, new: Record) void {
        assert(line.len == new.lineBytes());
        if (self.claim(new)) |start| _ = self.put(start, line);
    }

    /// The same with the text in parts. False: it was too large, and the table is empty.
    pub fn insertField(self: *Table, name: []const u8, value: []const u8, new: Record) bool {
        assert(name.len == new.name_len and value.len == new.value_len);
        var at = self.claim(new) orelse return false;
        for ([_][]const u8{ name, Entry.separator, value, Entry.line_end }) |part|
            at = self.put(at, part);
        return true;
    }

    /// Makes room for an entry in front of the others. Null: it is larger than the table, which is
    /// empty now. Otherwise where its text begins in the ring.
    fn claim(self: *Table, new: Record) ?usize {
        const need = new.size();
        if (need > self.size_max) {
            self.clear();
            return null;
        }
        while (self.size > self.size_max - need) self.evict();
        assert(self.size + need <= self.ring.len); // what it takes is less than what it counts
        const at = self.end;
        const bytes: *align(alignment) [@sizeOf(Record)]u8 = @alignCast(
            self.ring[at..][0..@sizeOf(Record)],
        );
        bytes.* = @bitCast(new);
        const behind = at + std.mem.alignForward(usize, 8 + new.lineBytes(), alignment);
        self.end = @intCast(if (behind >= self.ring.len) behind - self.ring.len else behind);
        self.newest = if (self.newest + 1 == self.slots.len) 0 else self.newest + 1;
        self.slots[self.newest] = @intCast(at / alignment);
        self.count += 1;
        self.size += need;
        return at + @sizeOf(Record);
    }

    /// Writes `part` to the ring, and returns where it ends.
    fn put(self: *Table, from: usize, part: []const u8) usize {
        const start = if (from >= self.ring.len) from - self.ring.len else from;
        const first = @min(part.len, self.ring.len - start);
        @memcpy(self.ring[start..][0..first], part[0..first]);
        @memcpy(self.ring[0 .. part.len - first], part[first..]);
        return start + part.len;
    }

    fn evict(self: *Table) void {
        self.size -= self.record(self.place(self.count - 1)).size();
        self.count -= 1;
    }

    /// What always holds.
    pub fn checkInvariants(self: *const Table) void {
        assert(self.size <= self.size_max and self.size_max <= self.capacity);
        assert(self.ring.len <= ringBytes(self.capacity));
        assert(self.count <= self.slots.len);
        var size: u32 = 0;
        var ring_bytes: usize = 0;
        for (0..self.count) |index| {
            const each = self.record(self.place(@intCast(index)));
            size += each.size();
            ring_bytes += std.mem.alignForward(usize, 8 + each.lineBytes(), alignment);
        }
        assert(size == self.size and ring_bytes <= self.ring.len);
    }
};

comptime {
    assert(@sizeOf(Record) == alignment);
    // What is kept of an entry fits what it counts, rounding included.
    assert(@sizeOf(Record) + Entry.separator.len + Entry.line_end.len + alignment - 1 <=
        entry_extra_bytes);
}

const testing = std.testing;

fn insertField(table: *Table, name: []const u8, value: []const u8) void {
    var line: [2048]u8 = undefined;
    const text = std.fmt.bufPrint(&line, "{s}: {s}\r\n", .{ name, value }) catch unreachable;
    const new: Record = .{
        .name_len = @intCast(name.len),
        .value_len = @intCast(value.len),
        .name = .other,
    };
    if (value.len % 2 == 0) return table.insert(text, new);
    std.debug.assert(table.insertField(name, value, new) == (new.size() <= table.size_max));
}

test "entries leave in the order in which they came, at the very byte, wherever the ring ends" {
    const capacity = 500;
    var memory: [memoryBytes(capacity)]u8 align(alignment) = undefined;
    var table = Table.init(&memory, capacity);
    var prng = std.Random.DefaultPrng.init(3);
    const random = prng.random();
    var model = std.ArrayList([]const u8).init(testing.allocator); // oldest first
    defer {
        for (model.items) |text| testing.allocator.free(text);
        model.deinit();
    }
    var model_size: usize = 0;
    for (0..20_000) |round| {
        if (random.uintLessThan(u8, 20) == 0) {
            table.resize(random.uintAtMost(u32, capacity));
        } else {
            const len = random.uintLessThan(usize, if (random.boolean()) 20 else 520);
            const value = try testing.allocator.alloc(u8, len);
            for (value, 0..) |*byte, i| byte.* = @truncate(i *% 7 + round);
            insertField(&table, "n", value);
            try model.append(value);
            model_size += 1 + len + entry_extra_bytes;
        }
        while (model_size > table.size_max) {
            const text = model.orderedRemove(0);
            model_size -= 1 + text.len + entry_extra_bytes;
            testing.allocator.free(text);
        }
        table.checkInvariants();
        try testing.expectEqual(model_size, table.size);
        try testing.expectEqual(model.items.len, table.count);
        for (model.items, 0..) |value, i| {
            const at = table.place(@intCast(model.items.len - 1 - i));
            try testing.expectEqual(value.len, table.record(at).value_len);
            try testing.expect(table.hasText(at, 3, value));
            var out: [1024]u8 = undefined;
            const line = out[0..table.record(at).lineBytes()];
            table.copyText(at, line.len, out[0..if (i % 2 == 0) line.len else out.len]);
            try testing.expectEqualStrings(value, line[3..][0..value.len]);
        }
    }
}

test "an entry larger than the table empties it" {
    const capacity = 100;
    var memory: [memoryBytes(capacity)]u8 align(alignment) = undefined;
    var table = Table.init(&memory, capacity);
    insertField(&table, "a", "b");
    insertField(&table, "a", "v" ** 67); // 100 in all
    try testing.expectEqual(1, table.count);
    insertField(&table, "a", "v" ** 68);
    try testing.expectEqual(0, table.count);
    try testing.expectEqual(0, table.size);
}

test "a table that grows keeps its entries, wherever its ring ends" {
    const sizes = [_]u32{ 64, 160, 504 };
    const stride = comptime std.mem.alignForward(usize, memoryBytes(504), alignment);
    var memory: [sizes.len * stride]u8 align(alignment) = undefined;
    var prng = std.Random.DefaultPrng.init(5);
    const random = prng.random();
    for (0..500) |_| {
        var growing = Table.initEmpty(504);
        var fixed_memory: [memoryBytes(504)]u8 align(alignment) = undefined;
        var fixed = Table.init(&fixed_memory, 504);
        var next: usize = 0;
        for (0..30) |_| {
            if (random.uintLessThan(u8, 10) == 0) {
                const size_max = random.uintAtMost(u32, 504);
                growing.resize(size_max);
                fixed.resize(size_max);
            }
            const value_text = "0123456789" ** 50;
            const value = value_text[0..random.uintLessThan(usize, 200)];
            const new: Record = .{
                .name_len = 1,
                .value_len = @intCast(value.len),
                .name = .other,
            };
            while (growing.wants(new)) |bytes| : (next += 1) {
                if (bytes > sizes[next]) continue;
                const room = memory[next * stride ..][0..memoryBytes(sizes[next])];
                growing.grow(@alignCast(room), sizes[next]);
            }
            insertField(&growing, "n", value);
            insertField(&fixed, "n", value);
            growing.checkInvariants();
            try testing.expectEqual(fixed.count, growing.count);
            try testing.expectEqual(fixed.size, growing.size);
            for (0..fixed.count) |index| {
                const at = growing.place(@intCast(index));
                const other = fixed.record(fixed.place(@intCast(index)));
                try testing.expectEqual(other, growing.record(at));
                try testing.expect(growing.hasText(at, 3, value_text[0..other.value_len]));
            }
        }
    }
}
