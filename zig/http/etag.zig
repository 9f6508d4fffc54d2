//! Entity tags and the conditions that compare them (RFC 9110 §8.8.3, §13.1).
const std = @import("std");
const chars = @import("chars.zig");
const date = @import("date.zig");

/// An entity tag as received; slices of the field value.
pub const Tag = struct {
    weak: bool,
    /// With its quotes.
    quoted: []const u8,

    /// Reads a tag that makes up the whole of `text`; null when it is none.
    pub fn parse(text: []const u8) ?Tag {
        const len = scan(text) orelse return null;
        return if (len == text.len) fromScanned(text) else null;
    }

    /// The same opaque text, weak or not (RFC 9110 §8.8.3.2): for If-None-Match.
    pub fn weakEqual(a: Tag, b: Tag) bool {
        return std.mem.eql(u8, a.quoted, b.quoted);
    }

    /// The same opaque text and both strong: for If-Match, If-Range.
    pub fn strongEqual(a: Tag, b: Tag) bool {
        return !a.weak and !b.weak and std.mem.eql(u8, a.quoted, b.quoted);
    }

    fn fromScanned(text: []const u8) Tag {
        const weak = text[0] == 'W';
        return .{ .weak = weak, .quoted = if (weak) text[2..] else text };
    }
};

/// Length of the tag at the start of `text`, null when there is none.
fn scan(text: []const u8) ?usize {
    const open: usize = if (std.mem.startsWith(u8, text, "W/")) 2 else 0;
    if (open >= text.len or text[open] != '"') return null;
    for (text[open + 1 ..], open + 1..) |c, i| switch (c) {
        '"' => return i + 1,
        0...' ', 0x7f => return null,
        else => {},
    };
    return null;
}

/// How a list of tags is compared.
pub const Comparison = enum { weak, strong };

/// Whether `value`, of one If-None-Match (`weak`) or If-Match (`strong`) field, is "*" or a list
/// that holds `current`, the tag of an existing representation; null: it has none that anybody
/// could know. What follows a malformed element is not looked at.
pub fn listMatches(value: []const u8, current: ?Tag, comparison: Comparison) bool {
    var rest = chars.trimOws(value);
    if (std.mem.eql(u8, rest, "*")) return true;
    const tag = current orelse return false;
    while (rest.len > 0) {
        if (rest[0] == ',' or chars.isOws(rest[0])) {
            rest = rest[1..];
            continue;
        }
        const len = scan(rest) orelse return false;
        const candidate = Tag.fromScanned(rest[0..len]);
        rest = rest[len..];
        const ended = chars.trimOws(rest);
        if (ended.len > 0 and ended[0] != ',') return false;
        const equal = switch (comparison) {
            .weak => candidate.weakEqual(tag),
            .strong => candidate.strongEqual(tag),
        };
        if (equal) return true;
    }
    return false;
}

/// Whether an If-Range field holds, so that the Range field counts (RFC 9110 §13.1.5): the same
/// strong tag, or exactly the date of the last modification. `current` must be a tag; `modified` is
/// in seconds since 1970, null when there is no Last-Modified.
pub fn rangeHolds(value: []const u8, current: []const u8, modified: ?i64) bool {
    const text = chars.trimOws(value);
    if (Tag.parse(text)) |tag| return tag.strongEqual(Tag.parse(current).?);
    const seconds = date.parse(text) orelse return false;
    return seconds == modified orelse return false;
}

const expect = std.testing.expect;

test "a tag is quoted text, weak with W/ before it" {
    try expect(!Tag.parse("\"a\"").?.weak);
    try expect(Tag.parse("W/\"a,b\xff\"").?.weak);
    try std.testing.expectEqualStrings("\"\"", Tag.parse("\"\"").?.quoted);
    for ([_][]const u8{
        "",
        "a",
        "\"",
        "\"a",
        "W/",
        "w/\"a\"",
        "W/a",
        "\"a b\"",
        "\"a\"b",
        "\"\x00\"",
    }) |text| try expect(Tag.parse(text) == null);
}

test "If-None-Match compares weakly and looks through its whole list" {
    const tag = Tag.parse("W/\"x\"").?;
    for ([_][]const u8{
        "*", " * ", "\"x\"", "W/\"x\"", "\"a\", \"x\"", ",, W/\"a\" ,W/\"x\",", "\"a,b\",\"x\"",
    }) |value| try expect(listMatches(value, tag, .weak));
    for ([_][]const u8{
        "",
        ",",
        "\"X\"",
        "x",
        "\"a\" \"x\"",
        "a, \"x\"",
        "*, \"a\"",
        "\"x",
        "\"a\"\"x\"",
        "\"a\"x,\"x\"",
    }) |value| try expect(!listMatches(value, tag, .weak));
}

test "If-Match compares strongly" {
    const strong = Tag.parse("\"x\"").?;
    const weak = Tag.parse("W/\"x\"").?;
    try expect(listMatches("\"a\", \"x\"", strong, .strong));
    try expect(!listMatches("W/\"x\"", strong, .strong));
    try expect(!listMatches("\"x\"", weak, .strong));
    try expect(listMatches("*", weak, .strong));
}

test "If-Range takes a strong tag or the exact date" {
    try expect(rangeHolds("\"x\"", "\"x\"", null));
    try expect(!rangeHolds("W/\"x\"", "\"x\"", null));
    try expect(!rangeHolds("W/\"x\"", "W/\"x\"", null));
    try expect(!rangeHolds("\"y\"", "\"x\"", null));
    try expect(!rangeHolds("\"x\", \"y\"", "\"x\"", null));
    try expect(!rangeHolds("*", "\"x\"", null));
    const text = "Sun, 06 Nov 1994 08:49:37 GMT";
    try expect(rangeHolds(text, "\"x\"", 784_111_777));
    try expect(!rangeHolds(text, "\"x\"", 784_111_776));
    try expect(!rangeHolds(text, "\"x\"", 784_111_778));
    try expect(!rangeHolds(text, "\"x\"", null));
    try expect(!rangeHolds("", "\"x\"", 0));
}
