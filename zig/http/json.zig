//! Values as JSON (RFC 8259). The compiler makes the code for each type: the name of a field and
//! what stands around it are one constant there, and nothing is looked up when it runs.

const std = @import("std");

/// What is put together before the sink has it, bytes.
const block_bytes = 1024;
/// The longest number, and an escape, with room to spare.
const scalar_bytes_max = 64;

/// Writes `value` to `sink`, which is a pointer to something with `write(bytes) Error!void`.
///
/// Booleans, integers up to 128 bits, floats up to 64 (those that are not finite as null, as
/// `JSON.stringify` does), optionals, enums by the name of their tag, slices, arrays and tuples as
/// arrays, structs as objects, tagged unions as an object with one field. Bytes (`[]const u8`,
/// `[n]u8`) are a string; what in it is no UTF-8 becomes U+FFFD. A type with a `jsonStringify` of
/// its own (std.json) is written by that.
pub fn write(sink: anytype, value: anytype) ErrorOf(@TypeOf(sink))!void {
    var output: Output(@TypeOf(sink)) = .{ .sink = sink };
    try output.put(value);
    try output.flush();
}

/// The same into `buffer`; returns what of it was written.
pub fn writeBuffer(buffer: []u8, value: anytype) error{NoSpaceLeft}![]u8 {
    var sink: BufferSink = .{ .buffer = buffer };
    try write(&sink, value);
    return buffer[0..sink.len];
}

const BufferSink = struct {
    buffer: []u8,
    len: usize = 0,

    fn write(self: *BufferSink, bytes: []const u8) error{NoSpaceLeft}!void {
        if (self.buffer.len - self.len < bytes.len) return error.NoSpaceLeft;
        @memcpy(self.buffer[self.len..][0..bytes.len], bytes);
        self.len += bytes.len;
    }
};

fn ErrorOf(comptime Sink: type) type {
    const Result = @typeInfo(@TypeOf(@typeInfo(Sink).pointer.child.write)).@"fn".return_type.?;
    return @typeInfo(Result).error_union.error_set;
}

fn Output(comptime Sink: type) type {
    return struct {
        const Self = @This();
        const Error = ErrorOf(Sink);

        sink: Sink,
        len: usize = 0,
        block: [block_bytes]u8 = undefined,

        fn put(self: *Self, value: anytype) Error!void {
            const T = @TypeOf(value);
            switch (@typeInfo(T)) {
                .bool => try self.raw(if (value) "true" else "false"),
                .int, .comptime_int => try self.integer(value),
                .float, .comptime_float => try self.float(value),
                .null => try self.constant("null"),
                .optional => if (value) |it| try self.put(it) else try self.constant("null"),
                .enum_literal => try self.string(@tagName(value)),
                .@"enum" => if (std.enums.tagName(T, value)) |name|
                    try self.string(name)
                else
                    try self.integer(@intFromEnum(value)),
                .@"union" => try self.tagged(value),
                .@"struct" => try self.structure(value),
                .pointer => |pointer| try self.behind(pointer, value),
                .array => |array| if (array.child == u8)
                    try self.string(&value)
                else
                    try self.list(&value),
                else => @compileError("not written as JSON: " ++ @typeName(T)),
            }
        }

        fn behind(
            self: *Self,
            comptime pointer: std.builtin.Type.Pointer,
            value: anytype,
        ) Error!void {
            switch (pointer.size) {
                .one => try self.put(value.*),
                .slice => if (pointer.child == u8) try self.string(value) else try self.list(value),
                .many, .c => {
                    if (pointer.sentinel() == null)
                        @compileError("its length is unknown: " ++ @typeName(@TypeOf(value)));
                    try self.put(std.mem.span(value));
                },
            }
        }

        fn list(self: *Self, items: anytype) Error!void {
            try self.constant("[");
            for (items, 0..) |*item, i| {
                if (i > 0) try self.constant(",");
                try self.put(item);
            }
            try self.constant("]");
        }

        fn structure(self: *Self, value: anytype) Error!void {
            const T = @TypeOf(value);
            if (std.meta.hasMethod(T, "jsonStringify")) return self.byItself(value);
            const info = @typeInfo(T).@"struct";
            try self.constant(if (info.is_tuple) "[" else "{");
            inline for (info.fields, 0..) |field, i| {
                const comma = if (i == 0) "" else ",";
                try self.constant(comma ++ comptime if (info.is_tuple) "" else key(field.name));
                try self.put(@field(value, field.name));
            }
            try self.constant(if (info.is_tuple) "]" else "}");
        }

        /// As std.json does: what has no value has an empty object.
        fn tagged(self: *Self, value: anytype) Error!void {
            const T = @TypeOf(value);
            if (std.meta.hasMethod(T, "jsonStringify")) return self.byItself(value);
            if (@typeInfo(T).@"union".tag_type == null)
                @compileError("which field it has is unknown: " ++ @typeName(T));
            switch (value) {
                inline else => |it, tag| {
                    try self.constant("{" ++ comptime key(@tagName(tag)));
                    if (@TypeOf(it) == void) try self.constant("{}") else try self.put(it);
                    try self.constant("}");
                },
            }
        }

        const Writer = std.io.GenericWriter(*Self, Error, writeAll);

        fn writeAll(self: *Self, bytes: []const u8) Error!usize {
            try self.raw(bytes);
            return bytes.len;
        }

        fn byItself(self: *Self, value: anytype) Error!void {
            try std.json.stringify(value, .{}, Writer{ .context = self });
        }

        fn integer(self: *Self, value: anytype) Error!void {
            const T = @TypeOf(value);
            const Int = if (T == comptime_int) std.math.IntFittingRange(value, value) else T;
            if (@typeInfo(Int).int.bits > 128) @compileError("too large: " ++ @typeName(T));
            const room = try self.reserve();
            self.len += std.fmt.formatIntBuf(room, @as(Int, value), 10, .lower, .{});
        }

        fn float(self: *Self, value: anytype) Error!void {
            if (@TypeOf(value) != comptime_float and @typeInfo(@TypeOf(value)).float.bits > 64)
                @compileError("too long: " ++ @typeName(@TypeOf(value)));
            const wide: f64 = value;
            if (!std.math.isFinite(wide)) return self.constant("null");
            const size = @abs(wide);
            // Where JavaScript changes over: no number is longer than 21 digits and a point.
            const is_decimal = size == 0 or (size >= 1e-6 and size < 1e21);
            const room = try self.reserve();
            const text = std.fmt.formatFloat(room, value, .{
                .mode = if (is_decimal) .decimal else .scientific,
            }) catch unreachable; // it is long enough
            self.len += text.len;
        }

        fn string(self: *Self, text: []const u8) Error!void {
            try self.constant("\"");
            var rest = text;
            while (true) {
                const plain = plainLength(rest);
                if (plain > 0) try self.raw(rest[0..plain]);
                rest = rest[plain..];
                if (rest.len == 0) break;
                rest = rest[try self.special(rest)..];
            }
            try self.constant("\"");
        }

        /// A character that does not stand for itself, or may not; returns its length in `text`.
        fn special(self: *Self, text: []const u8) Error!usize {
            switch (text[0]) {
                '"' => try self.constant("\\\""),
                '\\' => try self.constant("\\\\"),
                '\n' => try self.constant("\\n"),
                '\r' => try self.constant("\\r"),
                '\t' => try self.constant("\\t"),
                0x08 => try self.constant("\\b"),
                0x0c => try self.constant("\\f"),
                0x80...0xff => {
                    const len = sequenceLength(text);
                    try self.raw(if (len == 0) "\u{fffd}" else text[0..len]);
                    return @max(1, len);
                },
                else => |control| {
                    const digits = std.fmt.bytesToHex([1]u8{control}, .lower);
                    try self.raw("\\u00" ++ digits);
                },
            }
            return 1;
        }

        /// Room for a number.
        fn reserve(self: *Self) Error![]u8 {
            if (self.block.len - self.len < scalar_bytes_max) try self.flush();
            return self.block[self.len..];
        }

        fn constant(self: *Self, comptime bytes: []const u8) Error!void {
            if (bytes.len > block_bytes) return self.raw(bytes);
            if (self.block.len - self.len < bytes.len) try self.flush();
            self.block[self.len..][0..bytes.len].* = bytes[0..bytes.len].*;
            self.len += bytes.len;
        }

        fn raw(self: *Self, bytes: []const u8) Error!void {
            if (self.block.len - self.len < bytes.len) {
                try self.flush();
                if (bytes.len > self.block.len) return self.sink.write(bytes);
            }
            @memcpy(self.block[self.len..][0..bytes.len], bytes);
            self.len += bytes.len;
        }

        fn flush(self: *Self) Error!void {
            if (self.len == 0) return;
            defer self.len = 0;
            try self.sink.write(self.block[0..self.len]);
        }
    };
}

/// The name of a field as it stands before its value.
fn key(comptime name: []const u8) []const u8 {
    for (name) |byte|
        if (!isPlain(byte)) @compileError("a field's name with a character to escape: " ++ name);
    return "\"" ++ name ++ "\":";
}

/// Whether `byte` stands for itself within a string, and is a character.
fn isPlain(byte: u8) bool {
    return byte >= ' ' and byte < 0x80 and byte != '"' and byte != '\\';
}

const is_plain: [256]bool = blk: {
    var table: [256]bool = undefined;
    for (&table, 0..) |*entry, byte| entry.* = isPlain(byte);
    break :blk table;
};

/// How many bytes at the start of `text` stand for themselves.
fn plainLength(text: []const u8) usize {
    const Lane = @Vector(16, u8);
    var i: usize = 0;
    while (text.len - i >= 16) : (i += 16) {
        const bytes: Lane = text[i..][0..16].*;
        // From 0x80 on they are negative, and so below the space.
        const signed: @Vector(16, i8) = @bitCast(bytes);
        const controls: u16 = @bitCast(signed < @as(@Vector(16, i8), @splat(' ')));
        const quotes: u16 = @bitCast(bytes == @as(Lane, @splat('"')));
        const backslashes: u16 = @bitCast(bytes == @as(Lane, @splat('\\')));
        const found = controls | quotes | backslashes;
        if (found != 0) return i + @ctz(found);
    }
    while (i < text.len and is_plain[text[i]]) i += 1;
    return i;
}

/// The length of the character that `text` begins with; 0 when it is no UTF-8.
fn sequenceLength(text: []const u8) usize {
    const len = std.unicode.utf8ByteSequenceLength(text[0]) catch return 0;
    if (len > text.len) return 0;
    return if (std.unicode.utf8ValidateSlice(text[0..len])) len else 0;
}

const testing = std.testing;

/// Keeps what it is given.
const Kept = struct {
    text: std.ArrayListUnmanaged(u8) = .{},
    pieces: usize = 0,

    fn write(self: *Kept, bytes: []const u8) error{OutOfMemory}!void {
        self.pieces += 1;
        try self.text.appendSlice(testing.allocator, bytes);
    }
};

fn expectJson(expected: []const u8, value: anytype) !void {
    var kept: Kept = .{};
    defer kept.text.deinit(testing.allocator);
    try write(&kept, value);
    try testing.expectEqualStrings(expected, kept.text.items);
}

/// As std.json writes it.
fn expectSame(value: anytype) !void {
    const expected = try std.json.stringifyAlloc(testing.allocator, value, .{});
    defer testing.allocator.free(expected);
    try expectJson(expected, value);
}

test "values of every kind are written as std.json writes them" {
    const Kind = enum { one, two };
    const Either = union(enum) { number: u8, nothing, text: []const u8 };
    const Item = struct {
        id: u64,
        name: []const u8,
        tags: []const []const u8,
        parent: ?*const @This() = null,
        kind: Kind = .two,
        at: [2]i16 = .{ -1, 300 },
        key: [3]u8 = "a\"b".*,
        either: []const Either = &.{ .{ .number = 7 }, .nothing, .{ .text = "x" } },
    };
    const parent: Item = .{ .id = 0, .name = "", .tags = &.{} };
    try expectSame(Item{
        .id = std.math.maxInt(u64),
        .name = "a name",
        .tags = &.{ "a", "b" },
        .parent = &parent,
    });
    try expectSame(.{ 1, "two", .three, null, true, false, @as(?u8, 4) });
    try expectSame(.{ .a = .{}, .b = .{ .c = @as(i128, std.math.minInt(i128)) } });
    try expectSame(@as([*:0]const u8, "ends"));
    try expectSame([_]Item{ parent, parent });
    try expectSame(@as([]const Item, &.{}));
    const Open = enum(u8) { known = 1, _ };
    try expectJson("[\"known\",9]", [_]Open{ .known, @enumFromInt(9) });
}

test "std.json's own values, and what writes itself" {
    const text = "{\"a\":[1,2.5,\"x\",null,true]}";
    const parsed = try std.json.parseFromSlice(std.json.Value, testing.allocator, text, .{});
    defer parsed.deinit();
    try expectSame(parsed.value);
    try expectSame(.{ .inner = parsed.value });
}

test "numbers are as JavaScript has them" {
    try expectJson("[0,1.5,-2.25,100,0.1]", [_]f64{ 0, 1.5, -2.25, 100, 0.1 });
    try expectJson("[1e21,1e-7,0.000001]", [_]f64{ 1e21, 1e-7, 1e-6 });
    try expectJson("[null,null]", [_]f32{ std.math.inf(f32), std.math.nan(f32) });
    try expectJson("0.1", @as(f32, 0.1));
    try expectJson("1.7976931348623157e308", std.math.floatMax(f64));
    try expectJson("123456789012345680000", @as(f64, 123456789012345680000));
    const digits = std.math.minInt(i128);
    try expectJson("-170141183460469231731687303715884105728", @as(i128, digits));
}

test "every byte of a string is escaped, or stands for itself, wherever it is" {
    var text: [40]u8 = undefined;
    for (0..0x80) |byte| for (0..text.len) |at| {
        @memset(&text, 'x');
        text[at] = @intCast(byte);
        const as_slice: []const u8 = &text;
        try expectSame(as_slice);
    };
}

test "characters stay, and what is none is replaced" {
    try expectJson("\"ü€😀\"", "ü€😀");
    try expectJson("\"\u{fffd}\"", "\xff");
    try expectJson("\"a\u{fffd}\u{fffd}b\"", "a\xe2\x82b");
    try expectJson("\"\u{fffd}\u{fffd}\u{fffd}\"", "\xed\xa0\x80"); // half of a pair
    try expectJson("\"\u{fffd}\u{fffd}\"", "\xc0\x80"); // too long for what it says
    try expectJson("\"\u{fffd}\"", "\xf0");
}

test "what is longer than a block comes whole, wherever the block ends" {
    const long = "y" ** (3 * block_bytes);
    for (block_bytes - 80..block_bytes + 8) |len| {
        const first: []const u8 = long[0..len];
        try expectSame(.{ .a = first, .b = 12345, .c = @as([]const u8, "z\n"), .d = true });
    }
    try expectSame(@as([]const u8, long));
}

test "a buffer is filled to its end, and not beyond" {
    var buffer: [9]u8 = undefined;
    try testing.expectEqualStrings("{\"a\":\"b\"}", try writeBuffer(&buffer, .{ .a = "b" }));
    try testing.expectError(error.NoSpaceLeft, writeBuffer(buffer[0..8], .{ .a = "b" }));
    try testing.expectError(error.NoSpaceLeft, writeBuffer(buffer[0..0], 1));
}

test "an error of the sink ends it" {
    const Full = struct {
        fn write(_: *@This(), _: []const u8) error{OutOfBuffers}!void {
            return error.OutOfBuffers;
        }
    };
    var full: Full = .{};
    try testing.expectError(error.OutOfBuffers, write(&full, "a"));
}
