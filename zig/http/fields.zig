//! Header fields as slices of the bytes that were received: nothing is copied, nothing lower-cased.
//! Names are compared without regard to ASCII case at lookup (RFC 9110 §5.1).
const std = @import("std");
const chars = @import("chars.zig");

/// One field line. Both slices live as long as the buffer that the head was read into.
pub const Field = struct {
    name: []const u8,
    /// Without the white space around it; may be empty; may hold obs-text (bytes ≥ 0x80).
    value: []const u8,
};

/// The fields of one message in the order of their lines.
pub const Fields = struct {
    items: [capacity]Field = undefined,
    len: u16 = 0,

    /// Most fields that one message can have, whatever the configured limit says.
    pub const capacity = 128;

    /// The value of the first field called `name`, or null.
    pub fn get(fields: *const Fields, name: []const u8) ?[]const u8 {
        for (fields.slice()) |field| {
            if (std.ascii.eqlIgnoreCase(field.name, name)) return field.value;
        }
        return null;
    }

    /// The values of all fields called `name`, in order.
    pub fn iterate(fields: *const Fields, name: []const u8) Iterator {
        return .{ .rest = fields.slice(), .name = name };
    }

    /// All fields, in order.
    pub fn slice(fields: *const Fields) []const Field {
        return fields.items[0..fields.len];
    }

    /// Adds a field. Returns false, and adds nothing, when all `capacity` places are taken.
    pub fn append(fields: *Fields, name: []const u8, value: []const u8) bool {
        if (fields.len == capacity) return false;
        fields.items[fields.len] = .{ .name = name, .value = value };
        fields.len += 1;
        return true;
    }
};

/// Walks the values of the fields that have one name.
pub const Iterator = struct {
    rest: []const Field,
    name: []const u8,

    /// The next value, or null after the last.
    pub fn next(it: *Iterator) ?[]const u8 {
        while (it.rest.len > 0) {
            const field = it.rest[0];
            it.rest = it.rest[1..];
            if (std.ascii.eqlIgnoreCase(field.name, it.name)) return field.value;
        }
        return null;
    }
};

/// Walks the elements of a comma-separated list (RFC 9110 §5.6.1); empty elements are skipped. It
/// knows nothing of quoted strings: for lists of tokens only.
pub const ListIterator = struct {
    rest: []const u8,

    /// The next element without the white space around it, or null after the last.
    pub fn next(it: *ListIterator) ?[]const u8 {
        while (it.rest.len > 0) {
            const end = std.mem.indexOfScalar(u8, it.rest, ',') orelse it.rest.len;
            const element = chars.trimOws(it.rest[0..end]);
            it.rest = it.rest[@min(end + 1, it.rest.len)..];
            if (element.len > 0) return element;
        }
        return null;
    }
};

/// Whether `bytes` is a token (RFC 9110 §5.6.2): what names of fields and methods are made of.
pub fn isToken(bytes: []const u8) bool {
    for (bytes) |c| {
        if (!chars.token_table[c]) return false;
    }
    return bytes.len > 0;
}

/// Whether `bytes` may stand as a field value (RFC 9110 §5.5): no CR, LF, NUL or other control
/// character except HTAB. Obs-text is let through; the empty value is valid.
pub fn isFieldValue(bytes: []const u8) bool {
    return chars.find(.value_stop, bytes, 0) == bytes.len;
}

fn sample() Fields {
    var fields = Fields{};
    std.debug.assert(fields.append("Host", "a"));
    std.debug.assert(fields.append("Accept", "one, Two;q=1"));
    std.debug.assert(fields.append("X-Empty", ""));
    std.debug.assert(fields.append("accept", ",, three ,"));
    return fields;
}

test "get finds the first field without regard to case" {
    const fields = sample();
    try std.testing.expectEqualStrings("a", fields.get("hOST").?);
    try std.testing.expectEqualStrings("one, Two;q=1", fields.get("ACCEPT").?);
    try std.testing.expectEqualStrings("", fields.get("x-empty").?);
    try std.testing.expectEqual(null, fields.get("Hos"));
}

test "iterate yields every line of that name in order" {
    const fields = sample();
    var it = fields.iterate("accept");
    try std.testing.expectEqualStrings("one, Two;q=1", it.next().?);
    try std.testing.expectEqualStrings(",, three ,", it.next().?);
    try std.testing.expectEqual(null, it.next());
    try std.testing.expectEqual(null, it.next());
}

test "append refuses what does not fit" {
    var fields = Fields{};
    for (0..Fields.capacity) |_| try std.testing.expect(fields.append("a", "b"));
    try std.testing.expect(!fields.append("a", "b"));
    try std.testing.expectEqual(Fields.capacity, fields.slice().len);
}

test "isToken and isFieldValue refuse what would break a head" {
    try std.testing.expect(isToken("X-Custom_1.~"));
    for ([_][]const u8{ "", "a b", "a:", "a\r", "ä", "a\x00", "(a)" }) |bad| {
        try std.testing.expect(!isToken(bad));
    }
    try std.testing.expect(isFieldValue(""));
    try std.testing.expect(isFieldValue("a\tb \xff"));
    for ([_][]const u8{ "a\r\nb", "a\n", "\x00", "\x7f", "a\x1b[0m" }) |bad| {
        try std.testing.expect(!isFieldValue(bad));
    }
}
