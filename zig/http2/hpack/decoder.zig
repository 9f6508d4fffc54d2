//! HPACK's decoder (RFC 7541): field blocks in, lists of fields out, without heap and without I/O.
//!
//! A list that is too long is still read to its end, so that the dynamic table stays what the
//! peer's encoder takes it for: the stream is refused, the connection goes on. Work is bounded by
//! `Block.Limits.read_bytes_max`.

const std = @import("std");
const assert = std.debug.assert;
const chars = @import("../../http/chars.zig");
const huffman = @import("huffman.zig");
const integer = @import("integer.zig");
const names = @import("names.zig");
const Name = names.Name;
const Entry = names.Entry;
const table_file = @import("table.zig");
const Defects = table_file.Defects;
const Record = table_file.Record;
const Table = table_file.Table;
const TablePool = @import("table_pool.zig").TablePool;

/// The size that a table begins with, bytes (RFC 9113 §6.5.2).
pub const table_bytes_initial = 4096;
/// Updates of the table's size at the beginning of a block: the smallest and the last (§4.2).
const size_updates_max = 2;

/// One list of fields, in memory of the caller's. The text is one "name: value\r\n" line behind the
/// other, pseudo-header fields among them.
pub const Block = struct {
    /// At least as large as the decoder's table, and at most 65,535 bytes. All of it is used as
    /// scratch memory, and what was decoded is used again: who writes there calls `forgetSource`.
    text: []u8,
    lines: []Record,
    limits: Limits,
    /// How much of `text` is in use.
    bytes: u32 = 0,
    /// How much of `lines` is in use.
    count: u32 = 0,
    /// The list's size as RFC 9113 §6.5.2 counts it, with what was not kept.
    list_bytes: u64 = 0,
    excess: Excess = .none,
    source: Source = .{},
    /// How many states of tables it has been given.
    stamps: u64 = 0,

    /// What the fields were decoded from. Who sends the same request again and again says the same
    /// each time, once the table has its fields: that needs no decoding while it is still here.
    const Source = struct {
        /// Whose block it was; null: nothing may be used again.
        decoder: ?*const Decoder = null,
        /// Of its table.
        stamp: u64 = 0,
        len: u32 = 0,
        bytes: [bytes_max]u8 = undefined,
        text: [*]const u8 = undefined,
        lines: [*]const Record = undefined,
        limits: Limits = undefined,
        text_bytes: u32 = 0,
        count: u32 = 0,
        list_bytes: u64 = 0,

        const bytes_max = 96;
    };

    /// To be called by who writes to what `text` or `lines` have, and not behind it.
    pub fn forgetSource(self: *Block) void {
        self.source.decoder = null;
    }

    /// Whether what `in` says to `decoder` is here yet: then it is as if that were decoded anew.
    fn reuse(self: *Block, in: []const u8, decoder: *const Decoder) bool {
        const source = &self.source;
        if (source.decoder != decoder or source.stamp != decoder.stamp) return false;
        if (source.len != in.len or !std.mem.eql(u8, source.bytes[0..in.len], in)) return false;
        if (source.text != self.text.ptr or source.lines != self.lines.ptr) return false;
        if (!std.meta.eql(source.limits, self.limits)) return false;
        self.bytes = source.text_bytes;
        self.count = source.count;
        self.list_bytes = source.list_bytes;
        self.excess = .none;
        return true;
    }

    fn noteSource(self: *Block, in: []const u8, decoder: *const Decoder) void {
        if (in.len > Source.bytes_max or self.excess != .none) return;
        const source = &self.source;
        source.decoder = decoder;
        source.stamp = decoder.stamp;
        source.len = @intCast(in.len);
        @memcpy(source.bytes[0..in.len], in);
        source.text = self.text.ptr;
        source.lines = self.lines.ptr;
        source.limits = self.limits;
        source.text_bytes = self.bytes;
        source.count = self.count;
        source.list_bytes = self.list_bytes;
    }

    pub const Limits = struct {
        /// Size of a list (RFC 9113 §6.5.2), bytes.
        list_bytes_max: u32,
        /// A list that is too long is read up to this size; beyond it the connection ends.
        read_bytes_max: u32,
    };

    /// Why the fields were not kept: there are none then.
    pub const Excess = enum { none, too_large, too_many };

    /// A field of a block.
    pub const Field = struct {
        name: Name,
        defects: Defects,
        /// The text of the name.
        text: []const u8,
        value: []const u8,
    };

    /// The fields, in order.
    pub fn fields(self: *const Block) Iterator {
        return .{ .text = self.text[0..self.bytes], .lines = self.lines[0..self.count] };
    }

    pub const Iterator = struct {
        text: []const u8,
        lines: []const Record,

        pub inline fn next(it: *Iterator) ?Field {
            if (it.lines.len == 0) return null;
            const line = it.lines[0];
            const text = it.text[0..line.lineBytes()];
            it.lines = it.lines[1..];
            it.text = it.text[text.len..];
            return .{
                .name = line.name,
                .defects = line.defects,
                .text = text[0..line.name_len],
                .value = text[line.name_len + Entry.separator.len ..][0..line.value_len],
            };
        }
    };

    /// Where the next line may be written.
    inline fn room(self: *Block) []u8 {
        return self.text[self.bytes..];
    }

    /// Counts a field that the peer has sent. False: it is not to be kept.
    inline fn counted(self: *Block, size: u32) bool {
        self.list_bytes += size;
        if (self.list_bytes > self.limits.list_bytes_max) self.giveUp(.too_large);
        return self.excess == .none;
    }

    /// Keeps the line that was written to `room`.
    inline fn commit(self: *Block, line: Record) void {
        if (self.count == self.lines.len) return self.giveUp(.too_many);
        self.lines[self.count] = line;
        self.count += 1;
        self.bytes += @intCast(line.lineBytes());
    }

    fn giveUp(self: *Block, why: Excess) void {
        @branchHint(.cold);
        if (self.excess == .none) self.excess = why;
        self.bytes = 0;
        self.count = 0;
    }
};

pub const Error = error{
    /// The peer's encoder and this decoder are no longer in step: COMPRESSION_ERROR.
    Compression,
    /// The list is so long that it is not worth reading on: ENHANCE_YOUR_CALM.
    ListTooLong,
};

pub const Decoder = struct {
    table: Table,
    /// Where the table's memory comes from, as it is used; null: it was given whole.
    pool: ?*TablePool = null,
    /// What the peer may set the table's size to: our SETTINGS_HEADER_TABLE_SIZE, once the peer has
    /// acknowledged it, bytes.
    size_limit: u32 = table_bytes_initial,
    /// The limit is below the table's size: the next block must begin with an update.
    is_update_due: bool = false,
    /// Of this table as it is, and of no other whose fields its block was given; 0: none yet.
    stamp: u64 = 0,

    /// `memory` is `table.memoryBytes(capacity)` long. The peer may fill 4096 bytes of a table
    /// before it knows our settings, so that `capacity` is at least that.
    pub fn init(memory: []align(table_file.alignment) u8, capacity: u32) Decoder {
        assert(capacity >= table_bytes_initial);
        var table = Table.init(memory, capacity);
        table.resize(table_bytes_initial);
        return .{ .table = table };
    }

    /// Its table has memory of `pool`, as much as the peer makes use of, until `deinit`.
    pub fn initPooled(pool: *TablePool) Decoder {
        return .{ .table = .initEmpty(table_bytes_initial), .pool = pool };
    }

    /// Gives the table's memory back where it came from a pool.
    pub fn deinit(self: *Decoder) void {
        if (self.pool) |pool| giveBack(pool, self.table.ring);
        self.* = undefined;
    }

    fn giveBack(pool: *TablePool, ring: []align(table_file.alignment) u8) void {
        if (ring.len == 0) return;
        const len = table_file.memoryBytes(@intCast(ring.len));
        pool.give(ring.ptr[0..len]); // the slots lie behind the ring
    }

    /// Adds an entry to the table. `line` is its text.
    fn insert(self: *Decoder, line: []const u8, new: Record) void {
        self.stamp = 0;
        if (self.table.wants(new)) |bytes| self.grow(bytes);
        self.table.insert(line, new);
    }

    fn grow(self: *Decoder, bytes: u32) void {
        @branchHint(.cold);
        const pool = self.pool.?; // what was given whole is as large as it may be
        const ring = self.table.ring;
        self.table.grow(pool.take(bytes), TablePool.capacityFor(bytes));
        giveBack(pool, ring);
    }

    /// The peer has acknowledged a SETTINGS_HEADER_TABLE_SIZE of ours, bytes: at most the capacity.
    pub fn setLimit(self: *Decoder, size_limit: u32) void {
        assert(size_limit <= self.table.capacity);
        self.size_limit = size_limit;
        if (self.table.size_max > size_limit) self.is_update_due = true;
        self.stamp = 0;
    }

    /// Decodes a whole field block. After an error the connection is of no use.
    pub fn decode(self: *Decoder, in: []const u8, block: *Block) Error!void {
        assert(block.text.len >= self.table.capacity and
            block.text.len <= std.math.maxInt(u16));
        if (self.stamp == 0) {
            block.stamps += 1;
            self.stamp = block.stamps;
        }
        if (block.reuse(in, self)) return;
        block.forgetSource();
        try self.decodeInto(in, block);
        if (self.stamp != 0) block.noteSource(in, self);
    }

    fn decodeInto(self: *Decoder, in: []const u8, block: *Block) Error!void {
        block.bytes = 0;
        block.count = 0;
        block.list_bytes = 0;
        block.excess = .none;
        var at = try self.decodeSizeUpdates(in);
        while (at < in.len) {
            const first = in[at];
            if (first & 0x80 != 0) {
                const index = integer.decode(in[at..], 7) catch return error.Compression;
                at += index.len;
                try self.addIndexed(index.value, block);
            } else {
                const literal = if (first & 0x40 != 0)
                    try Literal.parse(in[at..], 6)
                else if (first & 0x20 != 0)
                    return error.Compression // an update of the size behind a field
                else
                    try Literal.parse(in[at..], 4);
                at += literal.len;
                try self.addLiteral(&literal, first & 0x40 != 0, block);
            }
            if (block.list_bytes > block.limits.read_bytes_max) return error.ListTooLong;
        }
    }

    fn decodeSizeUpdates(self: *Decoder, in: []const u8) Error!usize {
        var at: usize = 0;
        var updates: u32 = 0;
        while (at < in.len and in[at] & 0xe0 == 0x20) {
            const size = integer.decode(in[at..], 5) catch return error.Compression;
            updates += 1;
            if (size.value > self.size_limit or updates > size_updates_max)
                return error.Compression;
            self.table.resize(size.value);
            self.stamp = 0;
            self.is_update_due = false;
            at += size.len;
        }
        if (self.is_update_due) return error.Compression;
        return at;
    }

    /// A field of a table's, name and value (§6.1).
    inline fn addIndexed(self: *Decoder, index: u32, block: *Block) Error!void {
        if (index > names.static_count) return self.addFromTable(index, block);
        if (index == 0) return error.Compression;
        const entry = &names.static_table[index];
        const line: Record = .{
            .name_len = entry.name_len,
            .value_len = entry.value_len,
            .name = entry.name,
        };
        if (!block.counted(line.size())) return;
        const out = block.room();
        if (out.len >= Entry.line_bytes) {
            out[0..Entry.line_bytes].* = entry.line;
        } else {
            if (out.len < line.lineBytes()) return block.giveUp(.too_large);
            @memcpy(out[0..line.lineBytes()], entry.line[0..line.lineBytes()]);
        }
        block.commit(line);
    }

    fn addFromTable(self: *Decoder, index: u32, block: *Block) Error!void {
        const at = try self.placeOf(index);
        const line = self.table.record(at);
        if (!block.counted(line.size())) return;
        const out = block.room();
        if (out.len < line.lineBytes()) return block.giveUp(.too_large);
        self.table.copyText(at, line.lineBytes(), out);
        block.commit(line);
    }

    fn placeOf(self: *const Decoder, index: u32) error{Compression}!u32 {
        const in_table = index - names.static_count - 1;
        if (in_table >= self.table.count) return error.Compression;
        return self.table.place(in_table);
    }

    /// A field whose value is in the block (§6.2).
    fn addLiteral(self: *Decoder, literal: *const Literal, keep: bool, block: *Block) Error!void {
        while (true) {
            const out = block.room();
            const line = self.writeLine(literal, out) catch |err| switch (err) {
                error.Compression => |e| return e,
                error.NoSpaceLeft => {
                    const is_first = block.bytes == 0;
                    block.giveUp(.too_large);
                    if (!is_first) continue; // there is more room now
                    // What is larger than the memory is larger than the table.
                    if (keep) self.table.clear();
                    self.stamp = 0;
                    block.list_bytes += literal.len + table_file.entry_extra_bytes;
                    return;
                },
            };
            if (keep) self.insert(out[0..line.lineBytes()], line);
            if (block.counted(line.size())) block.commit(line);
            return;
        }
    }

    /// Writes the line of a literal to the start of `out`.
    fn writeLine(
        self: *const Decoder,
        literal: *const Literal,
        out: []u8,
    ) error{ Compression, NoSpaceLeft }!Record {
        var line: Record = .{ .name_len = 0, .value_len = 0, .name = .other };
        if (literal.name_index == 0) {
            const len = try literal.name.write(out);
            const text = out[0..len];
            line.name_len = @intCast(len);
            line.name = Name.find(text);
            line.defects.name = line.name == .other and !names.isLowerToken(text);
        } else if (literal.name_index <= names.static_count) {
            const entry = &names.static_table[literal.name_index];
            if (out.len < Entry.line_bytes) return error.NoSpaceLeft;
            out[0..Entry.line_bytes].* = entry.line;
            line.name_len = entry.name_len;
            line.name = entry.name;
        } else {
            const at = try self.placeOf(literal.name_index);
            const record = self.table.record(at);
            if (out.len < record.name_len) return error.NoSpaceLeft;
            self.table.copyText(at, record.name_len, out);
            line.name_len = record.name_len;
            line.name = record.name;
            line.defects.name = record.defects.name;
        }
        const value_at = @as(usize, line.name_len) + Entry.separator.len;
        if (out.len < value_at + Entry.line_end.len) return error.NoSpaceLeft;
        out[line.name_len..][0..Entry.separator.len].* = Entry.separator.*;
        const value_room = out[value_at .. out.len - Entry.line_end.len];
        const value = value_room[0..try literal.value.write(value_room)];
        out[value_at + value.len ..][0..Entry.line_end.len].* = Entry.line_end.*;
        line.value_len = @intCast(value.len);
        line.defects.value = !isValue(value);
        return line;
    }
};

/// Whether `bytes` may be a field's value: no control characters, no white space at either end.
fn isValue(bytes: []const u8) bool {
    if (bytes.len == 0) return true;
    if (chars.isOws(bytes[0]) or chars.isOws(bytes[bytes.len - 1])) return false;
    return chars.findShort(.value_stop, bytes) == bytes.len;
}

/// A literal field as it is in the block.
const Literal = struct {
    /// 0: `name` has it.
    name_index: u32,
    name: String,
    value: String,
    /// Of all of it, bytes.
    len: usize,

    inline fn parse(in: []const u8, comptime prefix_bits: u4) Error!Literal {
        const index = integer.decode(in, prefix_bits) catch return error.Compression;
        var at = index.len;
        var name: String = undefined;
        if (index.value == 0) {
            name = try String.parse(in[at..]);
            at += name.len;
        }
        const value = try String.parse(in[at..]);
        return .{
            .name_index = index.value,
            .name = name,
            .value = value,
            .len = at + value.len,
        };
    }
};

/// A string literal (§5.2).
const String = struct {
    bytes: []const u8,
    is_huffman: bool,
    /// With what is in front of the bytes.
    len: usize,

    inline fn parse(in: []const u8) Error!String {
        const len = integer.decode(in, 7) catch return error.Compression;
        if (len.value > in.len - len.len) return error.Compression;
        return .{
            .bytes = in[len.len..][0..len.value],
            .is_huffman = in[0] & 0x80 != 0,
            .len = len.len + len.value,
        };
    }

    fn write(self: String, out: []u8) error{ Compression, NoSpaceLeft }!usize {
        if (self.is_huffman) return huffman.decode(self.bytes, out) catch |err| switch (err) {
            error.InvalidHuffman => error.Compression,
            error.NoSpaceLeft => |e| e,
        };
        if (self.bytes.len > out.len) return error.NoSpaceLeft;
        @memcpy(out[0..self.bytes.len], self.bytes);
        return self.bytes.len;
    }
};

test {
    _ = @import("decoder_test.zig");
}
