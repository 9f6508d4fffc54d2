//! Invariants of HPACK: a second reader, written from the RFC, comes to the same fields and the
//! same table; a list that is given up leaves the table as one that is kept does; what is encoded
//! comes back.
const std = @import("std");
const FieldLines = @import("../http/field_lines.zig").FieldLines;
const field_lines = @import("../http/field_lines.zig");
const fields_file = @import("../http/fields.zig");
const decoder_file = @import("../http2/hpack/decoder.zig");
const encoder_file = @import("../http2/hpack/encoder.zig");
const table_file = @import("../http2/hpack/table.zig");
const TablePool = @import("../http2/hpack/table_pool.zig").TablePool;
const names = @import("../http2/hpack/names.zig");
const reference = @import("hpack_reference.zig");
const mutator = @import("mutator.zig");
const require = mutator.require;

/// An input is blocks, one behind the other, each with its length in front in two bytes.
pub const words = [_][]const u8{
    "\x82",
    "\xbe",
    "\xbf",
    "\x00\x05\x82\x86\x84\xbe\xbf",
    "\x20",
    "\x3f\xe1\x1f",
    "\x40\x01a\x01b",
    "\x00\x01a\x01b",
    "\x10\x01a\x01b",
    "\x7f\x80\x01",
    "\xff\xff\xff\xff",
    "\x40\x81\x1f\x81\x1f",
    "\x41\x8c\xf1\xe3\xc2\xe5",
    "\x84\xff\xff\xff\xff",
    "\x0f\x10\x01v",
    "\x00\x00",
    "\x5c\x01" ++ "9",
    "\x01\x00",
    "\x40\x7f\x81\x1e",
};

const capacity = 4096;

/// The memory of one side.
const Side = struct {
    memory: [table_file.memoryBytes(capacity)]u8 align(table_file.alignment) = undefined,
    text: [16 * 1024]u8 = undefined,
    lines: [300]table_file.Record = undefined,
    decoder: decoder_file.Decoder = undefined,
    block: decoder_file.Block = undefined,

    fn init(self: *Side, limits: decoder_file.Block.Limits, lines_max: usize) void {
        self.decoder = decoder_file.Decoder.init(&self.memory, capacity);
        self.block = .{
            .text = &self.text,
            .lines = self.lines[0..lines_max],
            .limits = limits,
        };
    }
};

var roomy: Side = .{};
/// Its table has memory as it takes it.
var narrow: Side = .{};
var pool_memory: [TablePool.memoryBytes(1)]u8 align(table_file.alignment) = undefined;
var arena_memory: [8 << 20]u8 = undefined;

/// Checks one input.
pub fn run(input: []const u8, random: std.Random) !void {
    const read_bytes_max = 200_000;
    roomy.init(.{ .list_bytes_max = read_bytes_max, .read_bytes_max = read_bytes_max }, 300);
    narrow.init(.{
        .list_bytes_max = random.uintAtMost(u32, 600),
        .read_bytes_max = read_bytes_max,
    }, random.uintAtMost(usize, 8));
    var pool: TablePool = .init(&pool_memory, 1);
    narrow.decoder = .initPooled(&pool);
    var arena = std.heap.FixedBufferAllocator.init(&arena_memory);
    var plain: reference.Decoder = .{ .arena = arena.allocator() };
    var rest = input;
    while (rest.len >= 2) {
        const len = @min(std.mem.readInt(u16, rest[0..2], .big), rest.len - 2);
        const block = rest[2..][0..len];
        rest = rest[2 + len ..];
        const expected = plain.decode(block) catch |err| switch (err) {
            error.OutOfMemory => return, // more than there is room for
            error.Compression => {
                // What does not fit the memory is not looked at: it may be let pass.
                if (roomy.decoder.decode(block, &roomy.block)) {
                    try require(roomy.block.excess != .none);
                } else |_| {}
                break;
            },
        };
        roomy.decoder.decode(block, &roomy.block) catch |err| {
            try require(err == error.ListTooLong);
            break;
        };
        narrow.decoder.decode(block, &narrow.block) catch |err| {
            try require(err == error.ListTooLong);
            break;
        };
        try requireAgreed(expected, &plain);
        // What has left the table as it was says the same once more, and is not decoded then.
        for ([_]*Side{ &roomy, &narrow }) |side| {
            if (side.block.source.decoder == null) continue;
            side.block.bytes = 0;
            side.decoder.decode(block, &side.block) catch return error.InvariantBroken;
        }
        try requireAgreed(expected, &plain);
    }
    try requireRoundTrip(input, random);
}

fn requireAgreed(expected: []const reference.Field, plain: *const reference.Decoder) !void {
    for ([_]*Side{ &roomy, &narrow }) |side| {
        const table = &side.decoder.table;
        table.checkInvariants();
        try require(table.size == plain.size() and table.size_max == plain.size_max);
        try require(table.count == plain.table.items.len);
        for (plain.table.items, 0..) |entry, i| {
            const at = table.place(@intCast(i));
            try require(table.record(at).name_len == entry.name.len);
            try require(table.hasText(at, 0, entry.name));
            try require(table.hasText(at, entry.name.len + 2, entry.value));
        }
        if (side.block.excess != .none) {
            try require(side.block.count == 0 and side.block.bytes == 0);
            continue;
        }
        var fields = side.block.fields();
        var size: usize = 0;
        for (expected) |each| {
            const field = fields.next() orelse return error.InvariantBroken;
            try require(std.mem.eql(u8, field.text, each.name));
            try require(std.mem.eql(u8, field.value, each.value));
            try requireJudged(field);
            size += each.name.len + each.value.len + 32;
        }
        try require(fields.next() == null and size == side.block.list_bytes);
        try require(size <= side.block.limits.list_bytes_max);
    }
}

/// The name is known for what it is, and what is malformed is said to be so.
fn requireJudged(field: decoder_file.Block.Field) !void {
    try require(field.name == names.Name.find(field.text));
    var is_lower = true;
    for (field.text) |c| if (std.ascii.isUpper(c)) {
        is_lower = false;
    };
    const is_name = field.name.isPseudo() or (is_lower and fields_file.isToken(field.text));
    try require(field.defects.name == !is_name);
    const is_trimmed = std.mem.trim(u8, field.value, " \t").len == field.value.len;
    const is_value = is_trimmed and fields_file.isFieldValue(field.value);
    try require(field.defects.value == !is_value);
}

var encoder_memory: [encoder_file.memoryBytes(capacity)]u8 align(table_file.alignment) = undefined;
var lines_memory: field_lines.LineBuffer(8 * 1024, 64) = .{};

/// Fields that are cut from the input at random come back, in lower case.
fn requireRoundTrip(input: []const u8, random: std.Random) !void {
    roomy.init(.{ .list_bytes_max = 1 << 16, .read_bytes_max = 1 << 20 }, 300);
    const encoder_capacity = 32 * random.uintAtMost(u32, capacity / 32);
    var encoder = encoder_file.Encoder.init(
        encoder_memory[0..encoder_file.memoryBytes(encoder_capacity)],
        encoder_capacity,
    );
    for (0..4) |_| {
        if (random.uintLessThan(u8, 4) == 0) encoder.setPeerLimit(random.uintAtMost(u32, 5000));
        var list = lines_memory.list();
        for (0..random.uintAtMost(usize, 8)) |_| {
            const name = piece(input, random, 24);
            if (name.len == 0) continue;
            list.append(name, piece(input, random, 600)) catch break;
        }
        const lines: FieldLines = .{
            .text = list.text[0..list.bytes],
            .lengths = list.lengths[0..list.count],
        };
        var bytes: [16 * 1024]u8 = undefined;
        var out: encoder_file.Out = .{ .bytes = bytes[0..encoder_file.blockBytesMax(lines)] };
        encoder.begin(&out);
        encoder.lines(&out, lines);
        encoder.table.checkInvariants();
        try roomy.decoder.decode(out.written(), &roomy.block);
        var fields = roomy.block.fields();
        var each = lines.fields();
        while (each.next()) |one| {
            const field = fields.next() orelse return error.InvariantBroken;
            try require(std.ascii.eqlIgnoreCase(field.text, one.name));
            try require(std.mem.eql(u8, field.value, one.value));
        }
        try require(fields.next() == null);
    }
}

fn piece(input: []const u8, random: std.Random, most: usize) []const u8 {
    const from = random.uintAtMost(usize, input.len);
    return input[from..][0..@min(input.len - from, random.uintAtMost(usize, most))];
}
