//! What the conditions and the range of a request make of a file (RFC 9110 §13, §14).

const std = @import("std");
const chars = @import("../http/chars.zig");
const clock = @import("../core/clock.zig");
const date = @import("../http/date.zig");
const etag = @import("../http/etag.zig");
const range = @import("../http/range.zig");
const Fields = @import("../http/fields.zig").Fields;

/// The file as validators see it.
pub const Validators = struct {
    /// Entity tag, with its quotes.
    tag: []const u8,
    /// What Last-Modified says, seconds since 1970; null: there is no such field.
    modified_s: ?i64,
    /// When content or inode last changed, which cannot be set back, seconds since 1970. A date is
    /// a validator only where it is not before this: contents can be put in place with any other.
    changed_s: i64,
    /// What changes the content from now on changes the tag.
    is_settled: bool,
    /// Length of the content, bytes.
    size: u64,
};

/// Which response is due.
pub const Outcome = union(enum) {
    /// 200 with all of the content.
    whole,
    /// 206 with this part.
    part: range.Range,
    /// 304
    not_modified,
    /// 412
    precondition_failed,
    /// 416
    unsatisfiable,
};

/// The fields that matter here, found in one pass; all null in most requests.
const Conditions = struct {
    any: bool = false,
    if_match: bool = false,
    if_none_match: bool = false,
    if_modified_since: ?[]const u8 = null,
    if_unmodified_since: ?[]const u8 = null,
    if_range: ?[]const u8 = null,
    range: ?[]const u8 = null,

    fn find(fields: *const Fields) Conditions {
        var self: Conditions = .{};
        for (fields.slice()) |field| switch (field.name.len) {
            5 => if (chars.eqlLower(field.name, "range")) self.note(&self.range, field.value),
            8 => {
                if (chars.eqlLower(field.name, "if-match")) {
                    self.any = true;
                    self.if_match = true;
                } else if (chars.eqlLower(field.name, "if-range")) {
                    self.note(&self.if_range, field.value);
                }
            },
            13 => if (chars.eqlLower(field.name, "if-none-match")) {
                self.any = true;
                self.if_none_match = true;
            },
            17 => if (chars.eqlLower(field.name, "if-modified-since")) {
                self.note(&self.if_modified_since, field.value);
            },
            19 => if (chars.eqlLower(field.name, "if-unmodified-since")) {
                self.note(&self.if_unmodified_since, field.value);
            },
            else => {},
        };
        return self;
    }

    fn note(self: *Conditions, place: *?[]const u8, value: []const u8) void {
        self.any = true;
        // More than one line is a list, which none of these fields can be: as good as none.
        place.* = if (place.* == null) value else "";
    }
};

/// Decides on a GET (or, with `is_get` false, a HEAD, which has no ranges) in the order of
/// RFC 9110 §13.2.2.
pub fn evaluate(fields: *const Fields, is_get: bool, file: Validators) Outcome {
    const conditions = Conditions.find(fields);
    if (!conditions.any) return .whole;
    if (conditions.if_match) {
        if (!anyMatches(fields, "if-match", file.tag, .strong)) return .precondition_failed;
    } else if (isModifiedSince(file, conditions.if_unmodified_since)) |modified| {
        if (modified) return .precondition_failed;
    }
    if (conditions.if_none_match) {
        const known = if (file.is_settled) file.tag else null;
        if (anyMatches(fields, "if-none-match", known, .weak)) return .not_modified;
    } else if (isModifiedSince(file, conditions.if_modified_since)) |modified| {
        if (!modified and file.is_settled) return .not_modified;
    }
    const wanted = conditions.range orelse return .whole;
    if (!is_get) return .whole;
    if (conditions.if_range) |value| {
        if (!etag.rangeHolds(value, file.tag, strongDate(file))) return .whole;
    }
    return switch (range.parse(wanted, file.size)) {
        .none => .whole,
        .unsatisfiable => .unsatisfiable,
        .range => |part| .{ .part = part },
    };
}

/// Whether the file is not as it was at `value`, a date; null when that is no question, and the
/// field to be ignored (RFC 9110 §13.1.3, §13.1.4).
fn isModifiedSince(file: Validators, value: ?[]const u8) ?bool {
    const since = seconds(value) orelse return null;
    const modified_s = file.modified_s orelse return null;
    return @max(modified_s, file.changed_s) > since;
}

/// The date that names this content alone; null when there is none (RFC 9110 §8.8.2.2).
fn strongDate(file: Validators) ?i64 {
    const modified_s = file.modified_s orelse return null;
    if (file.changed_s > modified_s) return null;
    // That of this very second may still come to name two contents.
    return if (modified_s < clock.realtimeSeconds()) modified_s else null;
}

/// A date that is not one counts as absent (RFC 9110 §13.1.3, §13.1.4).
fn seconds(value: ?[]const u8) ?i64 {
    return date.parse(chars.trimOws(value orelse return null));
}

fn anyMatches(
    fields: *const Fields,
    name: []const u8,
    tag: ?[]const u8,
    comparison: etag.Comparison,
) bool {
    const current = if (tag) |text| etag.Tag.parse(text).? else null;
    var values = fields.iterate(name);
    while (values.next()) |value| {
        if (etag.listMatches(value, current, comparison)) return true;
    }
    return false;
}

const testing = std.testing;

const sample: Validators = .{
    .tag = "\"t\"",
    .modified_s = 784_111_777,
    .changed_s = 784_111_777,
    .is_settled = true,
    .size = 100,
};
const same = "Sun, 06 Nov 1994 08:49:37 GMT";
const earlier = "Sun, 06 Nov 1994 08:49:36 GMT";
const later = "Sun, 06 Nov 1994 08:49:38 GMT";

const Line = [2][]const u8;

fn expectOutcome(want: Outcome, is_get: bool, lines: []const Line) !void {
    return expectOutcomeOf(sample, want, is_get, lines);
}

fn expectOutcomeOf(file: Validators, want: Outcome, is_get: bool, lines: []const Line) !void {
    var fields: Fields = .{};
    for (lines) |line| try testing.expect(fields.append(line[0], line[1]));
    errdefer for (lines) |line| std.debug.print("{s}: {s}\n", .{ line[0], line[1] });
    try testing.expectEqual(want, evaluate(&fields, is_get, file));
}

test "conditions decide in the order of RFC 9110 §13.2.2" {
    const cases = [_]struct { Outcome, []const Line }{
        .{ .whole, &.{} },
        .{ .whole, &.{.{ "Host", "a" }} },
        .{ .whole, &.{.{ "If-Match", "\"t\"" }} },
        .{ .whole, &.{.{ "If-Match", "*" }} },
        .{ .whole, &.{ .{ "If-Match", "\"a\"" }, .{ "if-match", "\"t\"" } } },
        .{ .precondition_failed, &.{.{ "If-Match", "\"a\"" }} },
        .{ .precondition_failed, &.{.{ "If-Match", "W/\"t\"" }} },
        .{ .precondition_failed, &.{.{ "If-Match", "" }} },
        .{ .whole, &.{.{ "If-Unmodified-Since", same }} },
        .{ .precondition_failed, &.{.{ "If-Unmodified-Since", earlier }} },
        .{ .whole, &.{.{ "If-Unmodified-Since", "yesterday" }} },
        // If-Match takes the place of If-Unmodified-Since.
        .{ .whole, &.{ .{ "If-Match", "\"t\"" }, .{ "If-Unmodified-Since", earlier } } },
        .{ .not_modified, &.{.{ "If-None-Match", "\"t\"" }} },
        .{ .not_modified, &.{.{ "If-None-Match", "\"a\", W/\"t\"" }} },
        .{ .not_modified, &.{.{ "IF-NONE-MATCH", "*" }} },
        .{ .whole, &.{.{ "If-None-Match", "\"a\"" }} },
        .{ .not_modified, &.{.{ "If-Modified-Since", same }} },
        .{ .not_modified, &.{.{ "If-Modified-Since", later }} },
        .{ .whole, &.{.{ "If-Modified-Since", earlier }} },
        .{ .whole, &.{.{ "If-Modified-Since", "0" }} },
        // If-None-Match takes the place of If-Modified-Since, whichever way it decides.
        .{ .whole, &.{ .{ "If-None-Match", "\"a\"" }, .{ "If-Modified-Since", later } } },
        .{ .not_modified, &.{ .{ "If-None-Match", "\"t\"" }, .{ "If-Modified-Since", earlier } } },
        // Two lines are one value that is no date.
        .{ .whole, &.{ .{ "If-Modified-Since", same }, .{ "If-Modified-Since", same } } },
        .{ .whole, &.{ .{ "If-Unmodified-Since", earlier }, .{ "if-unmodified-since", earlier } } },
        // A failed precondition goes first.
        .{ .precondition_failed, &.{ .{ "If-None-Match", "\"t\"" }, .{ "If-Match", "\"a\"" } } },
        .{ .not_modified, &.{ .{ "Range", "bytes=0-0" }, .{ "If-None-Match", "\"t\"" } } },
    };
    for (cases) |case| {
        try expectOutcome(case[0], true, case[1]);
        try expectOutcome(case[0], false, case[1]);
    }
}

test "one range is a part, several or malformed ones are the whole" {
    const part: Outcome = .{ .part = .{ .first = 10, .last = 19 } };
    try expectOutcome(part, true, &.{.{ "Range", "bytes=10-19" }});
    try expectOutcome(.whole, false, &.{.{ "Range", "bytes=10-19" }}); // HEAD
    try expectOutcome(.whole, true, &.{.{ "Range", "bytes=0-0,2-3" }});
    try expectOutcome(.whole, true, &.{.{ "Range", "lines=1-2" }});
    try expectOutcome(.whole, true, &.{ .{ "Range", "bytes=0-0" }, .{ "Range", "bytes=2-3" } });
    try expectOutcome(.unsatisfiable, true, &.{.{ "Range", "bytes=100-" }});
}

test "If-Range lets the range count only for the same content" {
    const part: Outcome = .{ .part = .{ .first = 10, .last = 19 } };
    const wanted: Line = .{ "Range", "bytes=10-19" };
    try expectOutcome(part, true, &.{ wanted, .{ "If-Range", "\"t\"" } });
    try expectOutcome(part, true, &.{ wanted, .{ "If-Range", same } });
    for ([_][]const u8{ "\"a\"", "W/\"t\"", earlier, later, "", "*" }) |value| {
        try expectOutcome(.whole, true, &.{ wanted, .{ "If-Range", value } });
    }
    try expectOutcome(.whole, true, &.{ wanted, .{ "If-Range", "\"t\"" }, .{ "If-Range", same } });
    // Without effect when there is no range.
    try expectOutcome(.whole, true, &.{.{ "If-Range", "\"a\"" }});
    // A range outside a content that the client does not have is not its fault.
    const outside: Line = .{ "Range", "bytes=500-" };
    try expectOutcome(.whole, true, &.{ outside, .{ "If-Range", "\"a\"" } });
}

test "no date holds against a later change" {
    var file = sample;
    file.changed_s += 1;
    const wanted: Line = .{ "Range", "bytes=10-19" };
    try expectOutcomeOf(file, .whole, true, &.{.{ "If-Modified-Since", same }});
    try expectOutcomeOf(file, .not_modified, true, &.{.{ "If-Modified-Since", later }});
    const unmodified: Line = .{ "If-Unmodified-Since", same };
    try expectOutcomeOf(file, .precondition_failed, true, &.{unmodified});
    try expectOutcomeOf(file, .whole, true, &.{.{ "If-Unmodified-Since", later }});
    try expectOutcomeOf(file, .whole, true, &.{ wanted, .{ "If-Range", same } });
    try expectOutcomeOf(file, .whole, true, &.{ wanted, .{ "If-Range", later } });
    try expectOutcomeOf(file, .not_modified, true, &.{.{ "If-None-Match", "\"t\"" }});
}

test "without a date no condition of dates holds" {
    var file = sample;
    file.modified_s = null;
    const wanted: Line = .{ "Range", "bytes=10-19" };
    for ([_][]const u8{ earlier, same, later }) |date_text| {
        try expectOutcomeOf(file, .whole, true, &.{.{ "If-Modified-Since", date_text }});
        try expectOutcomeOf(file, .whole, true, &.{.{ "If-Unmodified-Since", date_text }});
        try expectOutcomeOf(file, .whole, true, &.{ wanted, .{ "If-Range", date_text } });
    }
}

test "a content that may still change unseen is sent, whatever the client has" {
    var file = sample;
    file.tag = "W/\"t\"";
    file.is_settled = false;
    const wanted: Line = .{ "Range", "bytes=10-19" };
    try expectOutcomeOf(file, .whole, true, &.{.{ "If-None-Match", "W/\"t\", \"t\"" }});
    try expectOutcomeOf(file, .not_modified, true, &.{.{ "If-None-Match", "*" }});
    try expectOutcomeOf(file, .whole, true, &.{.{ "If-Modified-Since", later }});
    try expectOutcomeOf(file, .whole, true, &.{ wanted, .{ "If-Range", "W/\"t\"" } });
    try expectOutcomeOf(file, .precondition_failed, true, &.{.{ "If-Match", "\"t\"" }});
    try expectOutcomeOf(file, .whole, true, &.{.{ "If-Match", "*" }});
}
