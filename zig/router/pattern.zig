//! Route patterns: what is one, and what are its parameters.
//!
//! A pattern is a path of segments separated by '/':
//!   * a literal segment matches itself;
//!   * `:name` matches one segment of at least one byte;
//!   * `*`, as the last segment only, matches the rest of the path, also when nothing is left.
//! A trailing slash counts: "/a" and "/a/" are two patterns. A pattern means its canonical form, as
//! the path of a request does (http/uri.zig): "/%61//b" is "/a/b".

const std = @import("std");
const uri = @import("../http/uri.zig");

/// Most parameters in a pattern, the wildcard included.
pub const params_max = 16;
/// Longest pattern and longest path that can match, bytes. Offsets of parameters are u16.
pub const path_bytes_max = std.math.maxInt(u16);
/// Name under which the wildcard's part of the path is found.
pub const wildcard_name = "*";

pub const Error = uri.PathError || error{
    /// Does not begin with '/'.
    PatternNotAbsolute,
    /// Longer than `path_bytes_max`.
    PatternTooLong,
    /// A byte that no request path can hold: a control, a space, '?', '#' or one above 0x7e. Such
    /// bytes are percent-encoded in a path and have to be so in the pattern.
    PatternInvalidByte,
    /// ":" with no name after it.
    ParameterNameEmpty,
    /// A parameter name with other bytes than letters, digits, '_', '$' and '-'.
    ParameterNameInvalid,
    /// Two parameters of one name in a pattern.
    ParameterNameDuplicate,
    /// More than `params_max` parameters.
    TooManyParameters,
    /// '*' elsewhere than as the whole last segment.
    WildcardNotLast,
    /// A ".." behind a parameter, which takes it away again.
    ParameterResolvedAway,
    /// An encoded "*", or an encoded ":" that begins a segment.
    PatternEncodedSyntax,
};

pub const Segment = union(enum) {
    /// May be empty: "/a/" ends in an empty literal.
    literal: []const u8,
    /// Name of the parameter, without ':'.
    param: []const u8,
    wildcard,
};

/// Walks the segments of a pattern that `check` has accepted.
pub const SegmentIterator = struct {
    rest: ?[]const u8,

    pub fn init(pattern: []const u8) SegmentIterator {
        std.debug.assert(pattern.len > 0 and pattern[0] == '/');
        return .{ .rest = pattern[1..] };
    }

    pub fn next(self: *SegmentIterator) ?Segment {
        const rest = self.rest orelse return null;
        const end = std.mem.indexOfScalar(u8, rest, '/');
        const text = rest[0 .. end orelse rest.len];
        self.rest = if (end) |at| rest[at + 1 ..] else null;
        if (text.len > 0 and text[0] == ':') return .{ .param = text[1..] };
        if (std.mem.eql(u8, text, "*")) return .wildcard;
        return .{ .literal = text };
    }
};

/// Names of a pattern's parameters, in the order in which a match reports them.
pub const ParamNames = struct {
    items: [params_max][]const u8 = undefined,
    len: u8 = 0,

    pub fn slice(self: *const ParamNames) []const []const u8 {
        return self.items[0..self.len];
    }

    /// Position of parameter `name`, or null.
    pub fn indexOf(self: *const ParamNames, name: []const u8) ?usize {
        for (self.slice(), 0..) |item, i| {
            if (std.mem.eql(u8, item, name)) return i;
        }
        return null;
    }
};

/// Checks `pattern` and writes its canonical form to `out`, which is as long at least; returns that
/// part. Meant for start-up: patterns are the programmer's.
pub fn canonical(pattern: []const u8, out: []u8) Error![]const u8 {
    const names = try paramNames(pattern);
    if (hasEncodedSyntax(pattern)) return error.PatternEncodedSyntax;
    const path = try uri.canonicalPath(pattern, out);
    if (path.ptr == pattern.ptr) @memcpy(out[0..path.len], path);
    const left = paramNames(path) catch unreachable; // what is left of a good pattern is one
    if (left.len != names.len) return error.ParameterResolvedAway;
    return out[0..path.len];
}

/// Decoded, they would be a parameter or a wildcard.
fn hasEncodedSyntax(pattern: []const u8) bool {
    return std.ascii.indexOfIgnoreCase(pattern, "/%3a") != null or
        std.ascii.indexOfIgnoreCase(pattern, "%2a") != null;
}

/// Checks `pattern` and returns the names of its parameters, which point into it. The wildcard's is
/// "*".
pub fn paramNames(pattern: []const u8) Error!ParamNames {
    if (pattern.len == 0 or pattern[0] != '/') return error.PatternNotAbsolute;
    if (pattern.len > path_bytes_max) return error.PatternTooLong;
    for (pattern) |byte| switch (byte) {
        '?', '#' => return error.PatternInvalidByte,
        '!'...'"', '$'...'>', '@'...'~' => {},
        else => return error.PatternInvalidByte,
    };
    var names: ParamNames = .{};
    var segments = SegmentIterator.init(pattern);
    while (segments.next()) |segment| switch (segment) {
        .literal => |text| {
            if (std.mem.indexOfScalar(u8, text, '*') != null) return error.WildcardNotLast;
        },
        .param => |name| {
            try checkName(name);
            if (names.indexOf(name) != null) return error.ParameterNameDuplicate;
            try append(&names, name);
        },
        .wildcard => {
            if (segments.rest != null) return error.WildcardNotLast;
            try append(&names, wildcard_name);
        },
    };
    return names;
}

fn append(names: *ParamNames, name: []const u8) Error!void {
    if (names.len == params_max) return error.TooManyParameters;
    names.items[names.len] = name;
    names.len += 1;
}

fn checkName(name: []const u8) Error!void {
    if (name.len == 0) return error.ParameterNameEmpty;
    for (name) |byte| switch (byte) {
        'a'...'z', 'A'...'Z', '0'...'9', '_', '$', '-' => {},
        else => return error.ParameterNameInvalid,
    };
}

/// One sentence for the programmer about a pattern error.
pub fn explain(err: Error) []const u8 {
    return switch (err) {
        error.PatternNotAbsolute => "a pattern begins with '/'",
        error.PatternTooLong => "a pattern has at most 65535 bytes",
        error.PatternInvalidByte => "a pattern has spaces, '?', '#' and non-ASCII percent-encoded",
        error.ParameterNameEmpty => "a parameter needs a name after ':'",
        error.ParameterNameInvalid => "a parameter name has letters, digits, '_', '$' and '-' only",
        error.ParameterNameDuplicate => "a parameter name occurs once in a pattern",
        error.TooManyParameters => "a pattern has at most 16 parameters",
        error.WildcardNotLast => "'*' can only be the whole last segment of a pattern",
        error.ParameterResolvedAway => "a '..' cannot stand behind a parameter",
        error.PatternEncodedSyntax => "'*', or ':' that begins a segment, cannot be encoded",
        error.InvalidEncoding => "a '%' in a pattern has two hexadecimal digits after it",
        error.AmbiguousSeparator => "a pattern has no backslash, encoded or not",
        error.ControlCharacter => "a pattern has no control characters, encoded or not",
        error.InvalidUtf8 => "what is percent-encoded in a pattern has to be UTF-8",
        error.EscapesRoot => "a '..' in a pattern leads above the root",
    };
}

test "a bad pattern is refused with the error that names its defect" {
    const cases = [_]struct { []const u8, Error }{
        .{ "", error.PatternNotAbsolute },
        .{ "users", error.PatternNotAbsolute },
        .{ "*", error.PatternNotAbsolute },
        .{ ":id", error.PatternNotAbsolute },
        .{ "/" ++ "a" ** 65535, error.PatternTooLong },
        .{ "/a b", error.PatternInvalidByte },
        .{ "/a\r\n", error.PatternInvalidByte },
        .{ "/a\x00", error.PatternInvalidByte },
        .{ "/caf\xc3\xa9", error.PatternInvalidByte },
        .{ "/a?b=c", error.PatternInvalidByte },
        .{ "/a#b", error.PatternInvalidByte },
        .{ "/:", error.ParameterNameEmpty },
        .{ "/a/:/b", error.ParameterNameEmpty },
        .{ "/:id?", error.PatternInvalidByte },
        .{ "/:id.json", error.ParameterNameInvalid },
        .{ "/:id{[0-9]+}", error.ParameterNameInvalid },
        .{ "/:a/:a", error.ParameterNameDuplicate },
        .{ "/*/a", error.WildcardNotLast },
        .{ "/*/", error.WildcardNotLast },
        .{ "/a*", error.WildcardNotLast },
        .{ "/**", error.WildcardNotLast },
        .{ "/*.js", error.WildcardNotLast },
        .{ "/:*", error.ParameterNameInvalid },
        .{ "/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/:p/:q", error.TooManyParameters },
        .{ "/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/:p/*", error.TooManyParameters },
        .{ "/:id/../a", error.ParameterResolvedAway },
        .{ "/a/:id/%2e%2E", error.ParameterResolvedAway },
        .{ "/%3aid", error.PatternEncodedSyntax },
        .{ "/:a/../%3Aa", error.PatternEncodedSyntax },
        .{ "/a/%2a", error.PatternEncodedSyntax },
        .{ "/a%2Ab", error.PatternEncodedSyntax },
        .{ "/..", error.EscapesRoot },
        .{ "/a\\b", error.AmbiguousSeparator },
        .{ "/a%5cb", error.AmbiguousSeparator },
        .{ "/a%00", error.ControlCharacter },
        .{ "/100%", error.InvalidEncoding },
        .{ "/%c0%ae", error.InvalidUtf8 },
        .{ "/:na%6de", error.ParameterNameInvalid },
    };
    var out: [path_bytes_max + 1]u8 = undefined;
    for (cases) |case| {
        try std.testing.expectError(case[1], canonical(case[0], &out));
        try std.testing.expect(explain(case[1]).len > 0);
    }
}

test "a pattern is made canonical as the path of a request is" {
    const cases = [_]struct { []const u8, []const u8 }{
        .{ "/a/:id/*", "/a/:id/*" },
        .{ "//a///:id", "/a/:id" },
        .{ "/a/./x/../:id/", "/a/:id/" },
        .{ "/%61%2d/%c3%a4", "/a-/%C3%A4" },
        .{ "/%40a%3ab/x%2b", "/@a:b/x+" },
    };
    var out: [64]u8 = undefined;
    for (cases) |case| try std.testing.expectEqualStrings(case[1], try canonical(case[0], &out));
}

test "good patterns name their parameters in order, the wildcard as '*'" {
    const cases = [_]struct { []const u8, []const []const u8 }{
        .{ "/", &.{} },
        .{ "/a//b/", &.{} },
        .{ "/a:b", &.{} },
        .{ "/users/:id", &.{"id"} },
        .{ "/:a/x/:b-2/*", &.{ "a", "b-2", "*" } },
        .{ "/*", &.{"*"} },
        .{ "/" ++ "a" ** 65534, &.{} },
    };
    for (cases) |case| {
        const names = try paramNames(case[0]);
        try std.testing.expectEqual(case[1].len, names.len);
        for (case[1], names.slice()) |want, got| try std.testing.expectEqualStrings(want, got);
    }
    const full = try paramNames("/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/*");
    try std.testing.expectEqual(@as(u8, 16), full.len);
    try std.testing.expectEqual(@as(?usize, 15), full.indexOf("*"));
    try std.testing.expectEqual(@as(?usize, null), full.indexOf("p"));
}
