//! HPACK's encoder (RFC 7541): fields in, field blocks out, in memory of the caller's. What it
//! costs at most is known ahead: `blockBytesMax`.
//!
//! Which fields go into the dynamic table: at once those whose values recur; when they come a
//! second time those that mostly differ (ETag, Location, identifiers); never what is secret, so
//! that nobody can find it out by the lengths of other fields (§7.1).

const std = @import("std");
const assert = std.debug.assert;
const FieldLines = @import("../../http/field_lines.zig").FieldLines;
const line_extra_bytes = @import("../../http/field_lines.zig").line_extra_bytes;
const huffman = @import("huffman.zig");
const integer = @import("integer.zig");
const names = @import("names.zig");
const Name = names.Name;
const table_file = @import("table.zig");
const Table = table_file.Table;

/// What the peer's table can hold until its settings say otherwise (RFC 9113 §6.5.2).
const peer_table_bytes_initial = 4096;
/// What a field comes to beside its name and value, bytes: an index or nothing, and two lengths.
const field_extra_bytes_max = 4 + 2 * 4;
/// Two updates of the table's size, which a block may begin with, bytes.
pub const size_updates_bytes_max = 2 * integer.bytes_max;
/// Longer names are not looked for, nor kept.
const name_bytes_max = 128;
/// Cookies that are shorter can be guessed, byte by byte, by who can have requests made.
const cookie_guessed_bytes = 20;
/// Hashes are compared so many at a time.
const lane_count = 16;
const Hashes = @Vector(lane_count, u16);

/// No block of a status and `lines` is longer, bytes.
pub fn blockBytesMax(lines: FieldLines) usize {
    const extra = field_extra_bytes_max - line_extra_bytes;
    return size_updates_bytes_max + fieldBytesMax(":status".len, 3) +
        lines.text.len + lines.lengths.len * extra;
}

/// What a field adds to that at most, bytes.
pub fn fieldBytesMax(name_len: usize, value_len: usize) usize {
    return name_len + value_len + field_extra_bytes_max;
}

/// Memory of an encoder whose table has `capacity` bytes, bytes.
pub fn memoryBytes(capacity: u32) usize {
    return table_file.memoryBytes(capacity) + hashCount(capacity) * @sizeOf(u16);
}

fn hashCount(capacity: u32) usize {
    return std.mem.alignForward(usize, table_file.slotCount(capacity), lane_count);
}

/// Where a block is written.
pub const Out = struct {
    bytes: []u8,
    len: usize = 0,

    pub fn written(self: *const Out) []u8 {
        return self.bytes[0..self.len];
    }

    inline fn rest(self: *Out) []u8 {
        return self.bytes[self.len..];
    }
};

pub const Encoder = struct {
    table: Table,
    /// Of the entry in each slot.
    hashes: []u16,
    capacity: u32,
    /// The smallest size that the table was to have since the last block, bytes; its present one is
    /// told behind it.
    size_min: u32,
    is_update_due: bool,
    /// Fields that have come once lately, and that are kept when they come again.
    seen: [32]u16 = @splat(0),
    seen_next: u5 = 0,
    /// How often the table has changed: an index means the same as long as this does not.
    changes: u32 = 0,
    /// How often a field was taken note of for the next time.
    noted: u32 = 0,
    /// How often a field was secret, and is to be kept nowhere.
    secrets: u32 = 0,

    /// `memory` is `memoryBytes(capacity)` long; `capacity` is a multiple of 32 bytes, or 0: no
    /// table.
    pub fn init(memory: []align(table_file.alignment) u8, capacity: u32) Encoder {
        assert(memory.len == memoryBytes(capacity));
        assert(capacity % table_file.entry_extra_bytes == 0);
        const table_bytes = table_file.memoryBytes(capacity);
        const hashes: []align(@alignOf(u16)) u8 = @alignCast(memory[table_bytes..]);
        var self: Encoder = .{
            .table = Table.init(memory[0..table_bytes], capacity),
            .hashes = @ptrCast(hashes),
            .capacity = capacity,
            .size_min = peer_table_bytes_initial,
            .is_update_due = false,
        };
        @memset(self.hashes, 0);
        self.setPeerLimit(peer_table_bytes_initial);
        // The peer need not keep what is not used here.
        self.is_update_due = self.table.size_max < peer_table_bytes_initial;
        return self;
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE, bytes.
    pub fn setPeerLimit(self: *Encoder, size_limit: u32) void {
        const size = @min(size_limit, self.capacity);
        if (size == self.table.size_max) return;
        self.size_min = if (self.is_update_due) @min(self.size_min, size) else size;
        self.is_update_due = true;
        self.changes +%= 1;
        self.table.resize(size);
    }

    /// Stays as long as fields leave the encoder as it was: those that did so come to the same the
    /// next time.
    pub fn learned(self: *const Encoder) u32 {
        return self.changes +% self.noted;
    }

    /// Begins a block; fields follow.
    pub fn begin(self: *Encoder, out: *Out) void {
        if (self.is_update_due) self.tellSize(out);
    }

    fn tellSize(self: *Encoder, out: *Out) void {
        @branchHint(.cold);
        const size = self.table.size_max;
        if (self.size_min < size)
            out.len += integer.encode(out.rest(), 5, 0x20, self.size_min);
        out.len += integer.encode(out.rest(), 5, 0x20, size);
        self.is_update_due = false;
        self.size_min = size;
    }

    /// `:status`, which comes first.
    pub fn status(self: *Encoder, out: *Out, code: u16) void {
        assert(code >= 100 and code <= 999);
        const digits = std.fmt.digits2(@intCast(code % 100));
        const text = [3]u8{ '0' + @as(u8, @intCast(code / 100)), digits[0], digits[1] };
        self.known(out, .@":status", &text);
    }

    /// All of `lines`.
    pub fn lines(self: *Encoder, out: *Out, all: FieldLines) void {
        var each = all.fields();
        while (each.next()) |one| self.field(out, one.name, one.value);
    }

    /// A field; its name may be in any case.
    pub inline fn field(self: *Encoder, out: *Out, name: []const u8, value: []const u8) void {
        var lower_buffer: [name_bytes_max]u8 = undefined;
        if (name.len > name_bytes_max) return literalWithLongName(out, name, value);
        const lower = names.lowerInto(&lower_buffer, name);
        self.add(out, Name.find(lower), lower, value);
    }

    /// A field whose name is known.
    pub fn known(self: *Encoder, out: *Out, name: Name, value: []const u8) void {
        assert(name != .other);
        self.add(out, name, @tagName(name), value);
    }

    fn add(self: *Encoder, out: *Out, name: Name, lower: []const u8, value: []const u8) void {
        if (names.staticMatch(name, value)) |index| return indexed(out, index);
        const when = policyOf(name, lower, value);
        const hash = hashOf(name, lower, value);
        if (when != .never) if (self.find(hash, name, lower, value)) |index|
            return indexed(out, index);
        var name_index: u32 = name.staticIndex();
        if (name_index == 0) name_index = self.findName(lower) orelse 0;
        const is_kept = switch (when) {
            .never => {
                self.secrets +%= 1;
                return literal(out, 4, 0x10, name_index, lower, value);
            },
            // A name that had another value before may well have another the next time.
            .at_once => name != .other or name_index == 0 or self.isSeenAgain(hash),
            .seen_again => self.isSeenAgain(hash),
        };
        if (!is_kept or !self.insert(hash, name, lower, value))
            return literal(out, 4, 0x00, name_index, lower, value);
        literal(out, 6, 0x40, name_index, lower, value);
    }

    /// Whether it came before, lately. If not it has now.
    fn isSeenAgain(self: *Encoder, hash: u16) bool {
        const seen: @Vector(self.seen.len, u16) = self.seen;
        if (@reduce(.Or, seen == @as(@TypeOf(seen), @splat(hash)))) return true;
        self.seen[self.seen_next] = hash;
        self.seen_next +%= 1;
        self.noted +%= 1;
        return false;
    }

    /// Keeps a field, unless it is so large that it would drive most of the others out.
    fn insert(self: *Encoder, hash: u16, name: Name, lower: []const u8, value: []const u8) bool {
        const size = lower.len + value.len + table_file.entry_extra_bytes;
        if (size > self.table.size_max / 2) return false;
        const is_kept = self.table.insertField(lower, value, .{
            .name_len = @intCast(lower.len),
            .value_len = @intCast(value.len),
            .name = name,
        });
        assert(is_kept);
        self.changes +%= 1;
        self.hashes[self.table.newest] = hash;
        return true;
    }

    /// The index of the entry that has this name and value.
    fn find(self: *Encoder, hash: u16, name: Name, lower: []const u8, value: []const u8) ?u32 {
        const wanted: Hashes = @splat(hash);
        var first: u32 = 0;
        while (first < self.hashes.len) : (first += lane_count) {
            const some: Hashes = self.hashes[first..][0..lane_count].*;
            var mask: std.meta.Int(.unsigned, lane_count) = @bitCast(some == wanted);
            while (mask != 0) : (mask &= mask - 1) {
                const slot = first + @ctz(mask);
                const age = self.ageOf(slot) orelse continue;
                const at = self.table.place(age);
                const record = self.table.record(at);
                if (record.name != name or record.value_len != value.len) continue;
                if (record.name_len != lower.len) continue;
                if (name == .other and !self.table.hasText(at, 0, lower)) continue;
                if (!self.table.hasText(at, lower.len + names.Entry.separator.len, value)) continue;
                return names.static_count + 1 + age;
            }
        }
        return null;
    }

    /// How many entries are newer than the one in `slot`; null: there is none in it.
    fn ageOf(self: *const Encoder, slot: u32) ?u32 {
        const table = &self.table;
        if (slot >= table.slots.len) return null;
        const slots: u32 = @intCast(table.slots.len);
        const age = if (table.newest >= slot) table.newest - slot else table.newest + slots - slot;
        return if (age < table.count) age else null;
    }

    fn findName(self: *const Encoder, lower: []const u8) ?u32 {
        for (0..self.table.count) |age| {
            const at = self.table.place(@intCast(age));
            if (self.table.record(at).name_len != lower.len) continue;
            if (self.table.hasText(at, 0, lower)) return @intCast(names.static_count + 1 + age);
        }
        return null;
    }
};

/// When a field goes into the table.
const Policy = enum { at_once, seen_again, never };

fn policyOf(name: Name, lower: []const u8, value: []const u8) Policy {
    return switch (name) {
        .authorization, .@"proxy-authorization", .@"set-cookie" => .never,
        .cookie => if (value.len < cookie_guessed_bytes) .never else .at_once,
        .@":path",
        .age,
        .@"content-length",
        .@"content-location",
        .@"content-range",
        .etag,
        .expires,
        .@"if-match",
        .@"if-modified-since",
        .@"if-none-match",
        .@"if-range",
        .@"if-unmodified-since",
        .@"last-modified",
        .location,
        .@"proxy-authenticate",
        .range,
        .@"retry-after",
        .@"www-authenticate",
        => .seen_again,
        .other => if (isSecret(lower)) .never else .at_once,
        else => .at_once,
    };
}

/// Whether a name that nobody has registered says that its value gives access.
fn isSecret(lower: []const u8) bool {
    inline for (.{ "token", "secret", "session", "password", "api-key", "apikey", "auth" }) |part|
        if (std.mem.indexOf(u8, lower, part) != null) return true;
    return false;
}

/// Differs where most fields do: in their names, their lengths and both ends of their values. What
/// has the same is compared whole.
inline fn hashOf(name: Name, lower: []const u8, value: []const u8) u16 {
    const of_name = if (name == .other) endsOf(lower) else @intFromEnum(name);
    const factor = (of_name << 1 | 1) *% 0x9e37_79b9_7f4a_7c15;
    const product = std.math.mulWide(u64, endsOf(value), factor);
    const folded: u64 = @truncate(product ^ (product >> 64));
    return @truncate(folded >> 24);
}

/// Its length and up to eight bytes of both its ends.
inline fn endsOf(bytes: []const u8) u64 {
    const len = bytes.len;
    if (len >= 8) {
        const first = std.mem.readInt(u64, bytes[0..8], .little);
        const last = std.mem.readInt(u64, bytes[len - 8 ..][0..8], .little);
        return first ^ std.math.rotl(u64, last, 29) ^ len *% 0x2127_599b_f432_5c37;
    }
    var all: u64 = len;
    for (bytes) |byte| all = all << 8 | byte;
    return all *% 0xff51_afd7_ed55_8ccd;
}

/// §6.1
inline fn indexed(out: *Out, index: u32) void {
    out.len += integer.encode(out.rest(), 7, 0x80, index);
}

/// §6.2
fn literal(
    out: *Out,
    comptime prefix_bits: u4,
    first: u8,
    name_index: u32,
    lower: []const u8,
    value: []const u8,
) void {
    out.len += integer.encode(out.rest(), prefix_bits, first, name_index);
    if (name_index == 0) string(out, lower);
    string(out, value);
}

/// §5.2: by the Huffman code where that is shorter.
fn string(out: *Out, bytes: []const u8) void {
    const huffman_bytes = huffman.encodedBytes(bytes);
    if (huffman_bytes < bytes.len) {
        out.len += integer.encode(out.rest(), 7, 0x80, @intCast(huffman_bytes));
        out.len += huffman.encode(bytes, out.rest());
        return;
    }
    out.len += integer.encode(out.rest(), 7, 0, @intCast(bytes.len));
    @memcpy(out.rest()[0..bytes.len], bytes);
    out.len += bytes.len;
}

fn literalWithLongName(out: *Out, name: []const u8, value: []const u8) void {
    @branchHint(.cold);
    out.len += integer.encode(out.rest(), 4, 0, 0);
    out.len += integer.encode(out.rest(), 7, 0, @intCast(name.len));
    out.len += names.lowerInto(out.rest(), name).len;
    string(out, value);
}

test {
    _ = @import("encoder_test.zig");
}
