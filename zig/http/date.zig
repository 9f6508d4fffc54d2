//! HTTP dates (RFC 9110 §5.6.7): written as IMF-fixdate, read in all three forms.
const std = @import("std");

/// Length of an IMF-fixdate: "Sun, 06 Nov 1994 08:49:37 GMT".
pub const length = 29;

const day_names = [7][]const u8{ "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
const long_day_names = [7][]const u8{
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
};
const month_names = [12][]const u8{
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};
const seconds_per_day = 86_400;
/// 9999-12-31T23:59:59Z: the last moment that four digits of year can name.
const seconds_max: i64 = 253_402_300_799;

/// Writes `seconds` since 1970-01-01T00:00:00Z as IMF-fixdate. Moments before 1970 are written as
/// 1970's first, those after the year 9999 as its last.
pub fn format(seconds: i64, out: *[length]u8) void {
    const moment: u64 = @intCast(std.math.clamp(seconds, 0, seconds_max));
    const days = moment / seconds_per_day;
    const clock = moment % seconds_per_day;
    const civil = civilFromDays(days);
    out[0..3].* = day_names[(days + 4) % 7][0..3].*;
    out[3..5].* = ", ".*;
    out[5..7].* = twoDigits(civil.day);
    out[7] = ' ';
    out[8..11].* = month_names[civil.month - 1][0..3].*;
    out[11] = ' ';
    out[12..14].* = twoDigits(civil.year / 100);
    out[14..16].* = twoDigits(civil.year % 100);
    out[16] = ' ';
    out[17..19].* = twoDigits(clock / 3600);
    out[19] = ':';
    out[20..22].* = twoDigits(clock / 60 % 60);
    out[22] = ':';
    out[23..25].* = twoDigits(clock % 60);
    out[25..29].* = " GMT".*;
}

/// Seconds since 1970-01-01T00:00:00Z of `text` in any of the three forms of RFC 9110 §5.6.7, or
/// null when it is none of them or names a day that does not exist. The day's name must be a name
/// but need not be that date's. A two-digit year (RFC 850) from 70 on is of the 20th century. A
/// leap second counts as the second after it.
pub fn parse(text: []const u8) ?i64 {
    if (text.len < 24 or text.len > 33) return null;
    if (text[3] == ',') return parseFixdate(text);
    if (text[3] == ' ') return parseAsctime(text);
    return parseRfc850(text);
}

/// "Sun, 06 Nov 1994 08:49:37 GMT"
fn parseFixdate(text: []const u8) ?i64 {
    if (text.len != 29) return null;
    if (indexOfName(&day_names, text[0..3]) == null) return null;
    if (!std.mem.eql(u8, text[3..5], ", ") or text[7] != ' ') return null;
    if (text[11] != ' ' or !std.mem.eql(u8, text[25..], " GMT")) return null;
    const century = digits(text[12..14]) orelse return null;
    const year = digits(text[14..16]) orelse return null;
    const day = digits(text[5..7]) orelse return null;
    return momentOf(century * 100 + year, text[8..11], day, text[16..25]);
}

/// "Sunday, 06-Nov-94 08:49:37 GMT"
fn parseRfc850(text: []const u8) ?i64 {
    const comma = std.mem.indexOfScalar(u8, text, ',') orelse return null;
    if (indexOfName(&long_day_names, text[0..comma]) == null) return null;
    const rest = text[comma + 1 ..];
    if (rest.len != 23 or rest[0] != ' ' or rest[3] != '-' or rest[7] != '-') return null;
    if (!std.mem.eql(u8, rest[19..], " GMT")) return null;
    const day = digits(rest[1..3]) orelse return null;
    const year = digits(rest[8..10]) orelse return null;
    const century: u64 = if (year >= 70) 1900 else 2000;
    return momentOf(century + year, rest[4..7], day, rest[10..19]);
}

/// "Sun Nov  6 08:49:37 1994"
fn parseAsctime(text: []const u8) ?i64 {
    if (text.len != 24 or text[7] != ' ' or text[19] != ' ') return null;
    if (indexOfName(&day_names, text[0..3]) == null) return null;
    const padded = [2]u8{ if (text[8] == ' ') '0' else text[8], text[9] };
    const day = digits(&padded) orelse return null;
    const century = digits(text[20..22]) orelse return null;
    const year = digits(text[22..24]) orelse return null;
    return momentOf(century * 100 + year, text[4..7], day, text[10..19]);
}

/// `clock` is " hh:mm:ss".
fn momentOf(year: u64, month_name: []const u8, day: u64, clock: *const [9]u8) ?i64 {
    const month = (indexOfName(&month_names, month_name) orelse return null) + 1;
    if (clock[0] != ' ' or clock[3] != ':' or clock[6] != ':') return null;
    const hour = digits(clock[1..3]) orelse return null;
    const minute = digits(clock[4..6]) orelse return null;
    const second = digits(clock[7..9]) orelse return null;
    if (hour > 23 or minute > 59 or second > 60) return null;
    if (day == 0 or day > daysInMonth(year, month)) return null;
    const days = daysFromCivil(year, month, day);
    return days * seconds_per_day + @as(i64, @intCast(hour * 3600 + minute * 60 + second));
}

fn indexOfName(names: []const []const u8, text: []const u8) ?u64 {
    for (names, 0..) |name, i| {
        if (std.mem.eql(u8, name, text)) return i;
    }
    return null;
}

fn twoDigits(n: u64) [2]u8 {
    return .{ @intCast('0' + n / 10), @intCast('0' + n % 10) };
}

fn digits(text: *const [2]u8) ?u64 {
    if (!std.ascii.isDigit(text[0]) or !std.ascii.isDigit(text[1])) return null;
    return @as(u64, text[0] - '0') * 10 + (text[1] - '0');
}

fn isLeap(year: u64) bool {
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0);
}

fn daysInMonth(year: u64, month: u64) u64 {
    return switch (month) {
        2 => if (isLeap(year)) 29 else 28,
        4, 6, 9, 11 => 30,
        else => 31,
    };
}

const Civil = struct { year: u64, month: u64, day: u64 };

// Both directions count years from March, so that the leap day ends a year, in eras of 400 years.
const days_per_era = 146_097;
const days_to_epoch = 719_468; // 0000-03-01 to 1970-01-01

fn civilFromDays(days: u64) Civil {
    const shifted = days + days_to_epoch;
    const era = shifted / days_per_era;
    const of_era = shifted % days_per_era;
    const year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    const of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const march_month = (5 * of_year + 2) / 153;
    const month = if (march_month < 10) march_month + 3 else march_month - 9;
    return .{
        .year = era * 400 + year_of_era + @intFromBool(month <= 2),
        .month = month,
        .day = of_year - (153 * march_month + 2) / 5 + 1,
    };
}

fn daysFromCivil(year: u64, month: u64, day: u64) i64 {
    // One era is added and taken off again, so that January of the year 0 stays unsigned.
    const march_year = year + 400 - @intFromBool(month <= 2);
    const of_era_year = march_year % 400;
    const march_month = if (month > 2) month - 3 else month + 9;
    const of_year = (153 * march_month + 2) / 5 + day - 1;
    const of_era = of_era_year * 365 + of_era_year / 4 - of_era_year / 100 + of_year;
    const total: i64 = @intCast(march_year / 400 * days_per_era + of_era);
    return total - days_per_era - days_to_epoch;
}

fn expectFormat(expected: []const u8, seconds: i64) !void {
    var out: [length]u8 = undefined;
    format(seconds, &out);
    try std.testing.expectEqualStrings(expected, &out);
}

test "format writes IMF-fixdate" {
    try expectFormat("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777);
    try expectFormat("Thu, 01 Jan 1970 00:00:00 GMT", 0);
    try expectFormat("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199);
    try expectFormat("Fri, 31 Dec 9999 23:59:59 GMT", seconds_max);
}

test "format clamps what it cannot write" {
    try expectFormat("Thu, 01 Jan 1970 00:00:00 GMT", std.math.minInt(i64));
    try expectFormat("Fri, 31 Dec 9999 23:59:59 GMT", std.math.maxInt(i64));
}

test "parse reads the three forms" {
    for ([_][]const u8{
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    }) |text| try std.testing.expectEqual(784_111_777, parse(text).?);
    try std.testing.expectEqual(1_709_208_000, parse("Thu, 29 Feb 2024 12:00:00 GMT").?);
    try std.testing.expectEqual(-62_167_219_200, parse("Sat, 01 Jan 0000 00:00:00 GMT").?);
    try std.testing.expectEqual(2_000_000_000, parse("Wednesday, 18-May-33 03:33:20 GMT").?);
    const leap = parse("Sat, 31 Dec 2016 23:59:60 GMT").?;
    try std.testing.expectEqual(parse("Sun, 01 Jan 2017 00:00:00 GMT").?, leap);
}

test "parse refuses what is no HTTP date" {
    for ([_][]const u8{
        "",                                "0",
        "Sun, 06 Nov 1994 08:49:37 UTC",   "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",    "Sun, 06 nov 1994 08:49:37 GMT",
        "Mon, 01 Feb 2100 24:00:00 GMT",   "Mon, 29 Feb 2100 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",   "Sun, 29 Feb 2023 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",   "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",   "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",  "Sun, 06 Nov 1994 08-49-37 GMT",
        "Sunday, 06-Nov-1994 08:49:3 GMT", "Sun Nov 06 08:49:37 +994",
        "Sundae, 06-Nov-94 08:49:37 GMT",  "Sun, 06 Nov -994 08:49:37 GMT",
    }) |text| try std.testing.expectEqual(null, parse(text));
}

test "parse reverses format on every day of 400 years and over a whole day" {
    var out: [length]u8 = undefined;
    for (0..days_per_era + 400) |day| {
        const seconds: i64 = @intCast(day * seconds_per_day + day * 7919 % seconds_per_day);
        format(seconds, &out);
        try std.testing.expectEqual(seconds, parse(&out).?);
    }
    for (0..seconds_per_day) |second| {
        format(@intCast(second), &out);
        try std.testing.expectEqual(@as(i64, @intCast(second)), parse(&out).?);
    }
}
