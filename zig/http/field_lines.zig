//! The field lines of a response: their text as HTTP/1 sends it, and beside it how long the name
//! and the value of each line are. HTTP/1 copies the text. Other protocols take the pairs, which
//! are found by their lengths, without a look at the text.

const std = @import("std");
const builtin = @import("builtin");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;
const limits = @import("../core/limits.zig");
const Field = @import("fields.zig").Field;

const separator = ": ";
const line_end = "\r\n";
/// What a line has beside its name and value, bytes.
pub const line_extra_bytes = separator.len + line_end.len;

/// Of one line, bytes.
pub const Lengths = extern struct {
    name: u16,
    value: u16,

    /// Of the whole line, bytes.
    pub fn line(self: Lengths) usize {
        return @as(usize, self.name) + self.value + line_extra_bytes;
    }
};

/// Lines that have been made; whoever made them owns the memory.
pub const FieldLines = struct {
    /// "name: value\r\n", one line behind the other.
    text: []const u8 = "",
    /// Of each line, in the same order.
    lengths: []const Lengths = &.{},

    /// Lines that are known when the program is compiled.
    pub fn of(comptime text: []const u8) FieldLines {
        const lengths = comptime blk: {
            @setEvalBranchQuota(100 * text.len + 10_000);
            var found: []const Lengths = &.{};
            var rest = text;
            while (rest.len > 0) {
                const name = std.mem.indexOf(u8, rest, separator).?;
                const end = std.mem.indexOf(u8, rest, line_end).?;
                const one: Lengths = .{ .name = name, .value = end - name - separator.len };
                found = found ++ [_]Lengths{one};
                rest = rest[one.line()..];
            }
            break :blk found;
        };
        return .{ .text = text, .lengths = lengths };
    }

    /// Asserts that text and lengths say the same. In debug builds alone: it looks at all bytes.
    pub fn check(self: FieldLines) void {
        if (builtin.mode != .Debug) return;
        var rest = self.text;
        for (self.lengths) |each| {
            const line = rest[0..each.line()];
            assert(std.mem.indexOfScalar(u8, line, ':').? == each.name);
            assert(std.mem.startsWith(u8, line[each.name..], separator));
            assert(std.mem.indexOf(u8, line, line_end).? == line.len - line_end.len);
            rest = rest[line.len..];
        }
        assert(rest.len == 0);
    }

    /// The names and values, in order.
    pub fn fields(self: FieldLines) Iterator {
        return .{ .rest = self };
    }

    /// The first `count` lines.
    pub fn first(self: FieldLines, count: usize) FieldLines {
        const lengths = self.lengths[0..count];
        var bytes: usize = 0;
        for (lengths) |each| bytes += each.line();
        return .{ .text = self.text[0..bytes], .lengths = lengths };
    }

    /// A copy in memory of its own.
    pub fn dupe(self: FieldLines, gpa: Allocator) Allocator.Error!FieldLines {
        const text = try gpa.dupe(u8, self.text);
        errdefer gpa.free(text);
        return .{ .text = text, .lengths = try gpa.dupe(Lengths, self.lengths) };
    }
};

/// Walks names and values. What it gives lives as long as the lines do.
pub const Iterator = struct {
    rest: FieldLines,

    /// The next pair, or null after the last.
    pub fn next(it: *Iterator) ?Field {
        const rest = it.rest;
        if (rest.lengths.len == 0) {
            assert(rest.text.len == 0);
            return null;
        }
        const lengths = rest.lengths[0];
        const line = rest.text[0..lengths.line()];
        it.rest = .{ .text = rest.text[line.len..], .lengths = rest.lengths[1..] };
        return .{
            .name = line[0..lengths.name],
            .value = line[lengths.name + separator.len ..][0..lengths.value],
        };
    }
};

/// Lines that are being made, in memory of a fixed size.
pub const LineList = struct {
    text: []u8,
    lengths: []Lengths,
    /// How much of `text` is in use.
    bytes: u32 = 0,
    /// How much of `lengths` is in use.
    count: u32 = 0,

    /// Room for `bytes` and for as many lines as a response may have.
    pub fn alloc(gpa: Allocator, bytes: u32) Allocator.Error!LineList {
        const text = try gpa.alloc(u8, bytes);
        errdefer gpa.free(text);
        return .{
            .text = text,
            .lengths = try gpa.alloc(Lengths, limits.response_field_count_max),
        };
    }

    /// Gives back what `alloc` took.
    pub fn free(self: *const LineList, gpa: Allocator) void {
        gpa.free(self.text);
        gpa.free(self.lengths);
    }

    /// The lines so far. Valid until the list is changed.
    pub fn view(self: *const LineList) FieldLines {
        const lines: FieldLines = .{
            .text = self.text[0..self.bytes],
            .lengths = self.lengths[0..self.count],
        };
        lines.check();
        return lines;
    }

    /// Whether `count` lines of `bytes` in all fit behind those that are there.
    pub fn hasRoom(self: *const LineList, bytes: usize, count: usize) bool {
        return self.text.len - self.bytes >= bytes and self.lengths.len - self.count >= count;
    }

    /// Where the next line is to be written.
    pub fn rest(self: *LineList) []u8 {
        return self.text[self.bytes..];
    }

    /// Takes the line that was written there, for which there was room.
    pub inline fn commit(self: *LineList, lengths: Lengths) void {
        self.lengths[self.count] = lengths;
        self.count += 1;
        self.bytes += @intCast(lengths.line());
    }

    /// Appends a copy of a line whose characters have been checked. On an error it is as before.
    pub inline fn append(
        self: *LineList,
        name: []const u8,
        value: []const u8,
    ) error{HeadTooLarge}!void {
        if (!self.hasRoom(lineBytes(name, value), 1)) return error.HeadTooLarge;
        self.commit(put(self.rest(), name, value));
    }

    /// `append` with a value in pieces.
    pub fn appendPieces(
        self: *LineList,
        name: []const u8,
        pieces: []const []const u8,
    ) error{HeadTooLarge}!void {
        var len: usize = 0;
        for (pieces) |piece| len += piece.len;
        if (!self.hasRoom(name.len + len + line_extra_bytes, 1)) return error.HeadTooLarge;
        const out = self.rest();
        var at: usize = 0;
        for ([_][]const u8{ name, separator }) |part| at += copyTo(out[at..], part);
        for (pieces) |piece| at += copyTo(out[at..], piece);
        at += copyTo(out[at..], line_end);
        self.commit(.{ .name = @intCast(name.len), .value = @intCast(len) });
    }

    /// Appends copies of lines that were made before. On an error it is as before.
    pub fn appendLines(self: *LineList, lines: FieldLines) error{HeadTooLarge}!void {
        if (!self.hasRoom(lines.text.len, lines.lengths.len)) return error.HeadTooLarge;
        @memcpy(self.text[self.bytes..][0..lines.text.len], lines.text);
        @memcpy(self.lengths[self.count..][0..lines.lengths.len], lines.lengths);
        self.bytes += @intCast(lines.text.len);
        self.count += @intCast(lines.lengths.len);
    }

    /// Takes the lines called `name` out.
    pub fn drop(self: *LineList, name: []const u8) void {
        const before = self.view();
        self.bytes = 0;
        self.count = 0;
        var all = before.fields();
        for (before.lengths) |lengths| {
            const line = all.rest.text[0..lengths.line()];
            const field = all.next().?;
            if (std.ascii.eqlIgnoreCase(field.name, name)) continue;
            std.mem.copyForwards(u8, self.text[self.bytes..][0..line.len], line);
            self.lengths[self.count] = lengths;
            self.bytes += @intCast(line.len);
            self.count += 1;
        }
    }

    /// How far it has come.
    pub const Mark = struct { bytes: u32 = 0, count: u32 = 0 };

    pub fn mark(self: *const LineList) Mark {
        return .{ .bytes = self.bytes, .count = self.count };
    }

    /// Takes out what came behind the mark.
    pub fn rewind(self: *LineList, to: Mark) void {
        assert(to.bytes <= self.bytes and to.count <= self.count);
        self.bytes = to.bytes;
        self.count = to.count;
    }
};

/// What a line takes of the text, bytes.
pub fn lineBytes(name: []const u8, value: []const u8) usize {
    return name.len + value.len + line_extra_bytes;
}

/// Writes a line to the start of `out`, which has room for it.
pub inline fn put(out: []u8, name: []const u8, value: []const u8) Lengths {
    @memcpy(out[0..name.len], name);
    out[name.len..][0..separator.len].* = separator.*;
    @memcpy(out[name.len + separator.len ..][0..value.len], value);
    out[name.len + separator.len + value.len ..][0..line_end.len].* = line_end.*;
    return .{ .name = @intCast(name.len), .value = @intCast(value.len) };
}

fn copyTo(out: []u8, bytes: []const u8) usize {
    @memcpy(out[0..bytes.len], bytes);
    return bytes.len;
}

/// Memory of one's own for `count` lines of `bytes` in all.
pub fn LineBuffer(comptime bytes: usize, comptime count: usize) type {
    return struct {
        text: [bytes]u8 = undefined,
        lengths: [count]Lengths = undefined,

        /// An empty list in it.
        pub fn list(self: *@This()) LineList {
            return .{ .text = &self.text, .lengths = &self.lengths };
        }
    };
}

comptime {
    // Lengths of 16 bits tell all that fits.
    assert(limits.response_head_bytes_max_bound <= std.math.maxInt(u16));
}

test {
    _ = @import("field_lines_test.zig");
}
