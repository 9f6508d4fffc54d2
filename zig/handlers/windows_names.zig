//! Names that Windows does not read as they are written. A file is served by one name alone: the
//! one that its directory has for it. What is refused here never reaches the system; what is left
//! of other spellings (upper and lower case, 8.3 names, links) is seen when a file has been opened,
//! by the path that the system has for it.

const std = @import("std");

/// Whether a file may be asked for by `path`: names with slashes between them, one at the end too,
/// for a directory.
pub fn isPath(path: []const u8) bool {
    if (path.len == 0) return true;
    const inner = if (path[path.len - 1] == '/') path[0 .. path.len - 1] else path;
    var names = std.mem.splitScalar(u8, inner, '/');
    while (names.next()) |name| if (!isName(name)) return false;
    return true;
}

/// Whether `name` stands for itself:
/// - without characters that no name has, among them `\`, which separates names, and `:`, behind
///   which stands an alternate stream of a file (`a.txt::$DATA`) or before which a drive;
/// - not ending in a dot or a blank, which the system drops (`secret.txt.`), so that `.` and `..`
///   are none either;
/// - no device (`NUL`, `com1.txt`), whatever stands behind its first dot.
pub fn isName(name: []const u8) bool {
    if (name.len == 0) return false;
    for (name) |byte| switch (byte) {
        0...0x1f, 0x7f, '"', '*', '/', ':', '<', '>', '?', '\\', '|' => return false,
        else => {},
    };
    const last = name[name.len - 1];
    return last != '.' and last != ' ' and !isDevice(name);
}

fn isDevice(name: []const u8) bool {
    const dot = std.mem.indexOfScalar(u8, name, '.') orelse name.len;
    const stem = std.mem.trimRight(u8, name[0..dot], " ");
    const whole = [_][]const u8{ "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$" };
    for (whole) |device| if (std.ascii.eqlIgnoreCase(stem, device)) return true;
    if (stem.len < 4) return false;
    const kind = stem[0..3];
    if (!std.ascii.eqlIgnoreCase(kind, "COM") and !std.ascii.eqlIgnoreCase(kind, "LPT")) {
        return false;
    }
    // The system takes the superscripts for digits.
    const superscripts = [_][]const u8{ "¹", "²", "³" };
    for (superscripts) |digit| if (std.mem.eql(u8, stem[3..], digit)) return true;
    return stem.len == 4 and std.ascii.isDigit(stem[3]);
}

const testing = std.testing;

test "names stand for themselves, whatever letters they have" {
    for ([_][]const u8{
        "a",         "index.html", ".htaccess", "..a",    "a..b",       "Grüße.txt", "a b",
        "console",   "con1",       "nula.txt",  "comb",   "com10",      "lpt",         "COM",
        "com1x.txt", "x.con",      "a.nul",     "auxx",   "PROGRA~1",   "com¼",       "lpt₁",
        "~",         "a'b",        "a%20b",     "[a]",    "a;b=c,d&e+", "x.com1",      "clock",
        " a",        "con-1",      "aux_",      "prn2.x", "日本",     "conin$x",     "com",
    }) |name| {
        errdefer std.debug.print("{s}\n", .{name});
        try testing.expect(isName(name));
    }
}

test "devices are no names, in upper and lower case, with what stands behind them" {
    for ([_][]const u8{
        "con",        "CON",      "Con.txt", "con .txt",   "con.",      "nul",      "NUL.tar.gz",
        "aux",        "prn.html", "CONIN$",  "conout$.js", "clock$",    "com0",     "com1",
        "COM9.txt",   "com¹",    "COM².x", "com³ .txt", "lpt0",      "LPT1",     "lpt9.html",
        "lpt¹",      "LPT²",    "lpt³.a", "nul  .a",    "aux.a.b.c", "con..txt", "prn.",
        "COM1 .html", "lpt5.",    "nul ",
    }) |name| {
        errdefer std.debug.print("{s}\n", .{name});
        try testing.expect(!isName(name));
    }
}

test "alternate streams, drives, separators, dots and blanks at the end are no names" {
    for ([_][]const u8{
        "",   ".",      "..",     "...",   "a.",     "a ",  "a. .",  "a.txt::$DATA", "a:b",
        "C:", "c:a",    "a\\b",   "\\a",   "\\\\",   "a/b", "a*",    "a?",           "a<b",
        "a>", "\"a\"",  "a|b",    "a\x00", "a\x1fb", "a\n", "a\x7f", "a..",          " ",
        "?",  "$DATA:", ":$DATA", ". ",    ".. ",    "a .",
    }) |name| {
        errdefer std.debug.print("{s}\n", .{name});
        try testing.expect(!isName(name));
    }
}

test "a path is as good as each of its names" {
    for ([_][]const u8{ "", "a", "a/b", "a/", "a/b c/d.txt/", "x~1/y" }) |path| {
        try testing.expect(isPath(path));
    }
    const refused = [_][]const u8{ "/", "/a", "a//b", "a//", "a/con/b", "a/b:", "nul/", "a./b" };
    for (refused ++ [_][]const u8{ "a/../b", "../a", "C:/a", "//server/share/a" }) |path| {
        errdefer std.debug.print("{s}\n", .{path});
        try testing.expect(!isPath(path));
    }
}

test "no name that is taken has a character that Windows gives a meaning" {
    var random = std.Random.DefaultPrng.init(testing.random_seed);
    const letters = "conulaxprtm019. :\\/$~*?\xc2\xb9\xc2\xb2";
    for (0..50_000) |_| {
        var buffer: [10]u8 = undefined;
        const name = buffer[0..random.random().uintAtMost(usize, buffer.len)];
        for (name) |*byte| byte.* = letters[random.random().uintLessThan(usize, letters.len)];
        if (!isName(name)) continue;
        try testing.expect(std.mem.indexOfAny(u8, name, "\\/:*?") == null);
        try testing.expect(std.mem.indexOfScalar(u8, ". ", name[name.len - 1]) == null);
        const stem = name[0 .. std.mem.indexOfScalar(u8, name, '.') orelse name.len];
        try testing.expect(!std.mem.eql(u8, std.mem.trimRight(u8, stem, " "), "con"));
    }
}
