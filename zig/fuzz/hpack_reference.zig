//! A second reader of HPACK, written from RFC 7541 without a thought of speed: the static table and
//! the Huffman code are looked for, the dynamic table is a list of strings.
const std = @import("std");
const Allocator = std.mem.Allocator;
const huffman = @import("../http2/hpack/huffman.zig");
const names = @import("../http2/hpack/names.zig");

pub const Field = struct { name: []const u8, value: []const u8 };

pub const Error = error{ Compression, OutOfMemory };

pub const Decoder = struct {
    arena: Allocator,
    /// The newest first.
    table: std.ArrayListUnmanaged(Field) = .{},
    size_max: u64 = 4096,
    size_limit: u64 = 4096,

    pub fn decode(self: *Decoder, in: []const u8) Error![]const Field {
        var fields: std.ArrayListUnmanaged(Field) = .{};
        var reader: Reader = .{ .arena = self.arena, .in = in };
        var updates: u32 = 0;
        while (reader.in.len > 0) {
            const first = reader.in[0];
            if (first & 0x80 != 0) {
                try fields.append(self.arena, try self.entry(try reader.integer(7)));
                continue;
            }
            if (first & 0xe0 == 0x20) {
                const told = try reader.integer(5);
                updates += 1;
                if (fields.items.len > 0 or updates > 2) return error.Compression;
                if (told > self.size_limit) return error.Compression;
                self.size_max = told;
                self.evict();
                continue;
            }
            const is_kept = first & 0xc0 == 0x40;
            const index = try reader.integer(if (is_kept) 6 else 4);
            const name = if (index == 0) try reader.string() else (try self.entry(index)).name;
            const field: Field = .{ .name = name, .value = try reader.string() };
            try fields.append(self.arena, field);
            if (!is_kept) continue;
            try self.table.insert(self.arena, 0, field);
            self.evict();
        }
        return fields.items;
    }

    pub fn size(self: *const Decoder) u64 {
        var sum: u64 = 0;
        for (self.table.items) |each| sum += each.name.len + each.value.len + 32;
        return sum;
    }

    fn evict(self: *Decoder) void {
        while (self.size() > self.size_max) _ = self.table.pop();
    }

    fn entry(self: *const Decoder, index: u64) Error!Field {
        if (index == 0) return error.Compression;
        if (index > names.static_count) {
            const at = index - names.static_count - 1;
            return if (at < self.table.items.len) self.table.items[at] else error.Compression;
        }
        const found = &names.static_table[index];
        return .{
            .name = found.line[0..found.name_len],
            .value = found.line[found.name_len + 2 ..][0..found.value_len],
        };
    }
};

const Reader = struct {
    arena: Allocator,
    in: []const u8,

    fn byte(self: *Reader) Error!u8 {
        if (self.in.len == 0) return error.Compression;
        defer self.in = self.in[1..];
        return self.in[0];
    }

    fn integer(self: *Reader, prefix_bits: u3) Error!u64 {
        const prefix_max = (@as(u64, 1) << prefix_bits) - 1;
        var value: u64 = try self.byte() & prefix_max;
        if (value < prefix_max) return value;
        for (0..4) |i| {
            const next = try self.byte();
            value += @as(u64, next & 0x7f) << @intCast(7 * i);
            if (next & 0x80 == 0) return if (value < 1 << 28) value else error.Compression;
        }
        return error.Compression;
    }

    fn string(self: *Reader) Error![]const u8 {
        const is_huffman = self.in.len > 0 and self.in[0] & 0x80 != 0;
        const len = try self.integer(7);
        if (len > self.in.len) return error.Compression;
        const bytes = self.in[0..@intCast(len)];
        self.in = self.in[@intCast(len)..];
        return if (is_huffman) self.unpack(bytes) else bytes;
    }

    /// One bit after the other, until they are a symbol's word.
    fn unpack(self: *Reader, bytes: []const u8) Error![]const u8 {
        var out: std.ArrayListUnmanaged(u8) = .{};
        var word: u32 = 0;
        var bits: u8 = 0;
        for (bytes) |each| for (0..8) |i| {
            word = word << 1 | (each >> @intCast(7 - i) & 1);
            bits += 1;
            if (bits > 30) return error.Compression;
            const symbol = huffman.symbolOf(word, bits) orelse continue;
            if (symbol == huffman.eos) return error.Compression;
            try out.append(self.arena, @intCast(symbol));
            word = 0;
            bits = 0;
        };
        const is_padding = bits < 8 and word == (@as(u32, 1) << @intCast(bits)) - 1;
        return if (is_padding) out.items else error.Compression;
    }
};
