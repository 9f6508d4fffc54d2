//! A second reader of chunked bodies, written from RFC 9112 §7.1 without a look at the first: whole
//! lines, no state, no limits but those of numbers.
const std = @import("std");
const chunked = @import("../http1/chunked.zig");

pub const Verdict = union(enum) {
    /// Every line that is there is well formed; the body goes on behind the input. The line that is
    /// not there as a whole has not been looked at.
    open,
    /// A line that is there as a whole breaks the grammar.
    refused,
    ended: Body,
};

pub const Body = struct {
    consumed: usize,
    data_len: usize,
    hash: u64,
    /// The trailer section without its empty line.
    trailers: []const u8,
};

/// What `input` holds.
pub fn read(input: []const u8) Verdict {
    var hash = std.hash.Wyhash.init(0);
    var data_len: usize = 0;
    var at: usize = 0;
    while (true) {
        const line = takeLine(input, &at) catch |e| return verdictOf(e);
        const size = chunkSize(line) orelse return .refused;
        if (size == 0) break;
        if (size > input.len - at) return .open;
        const data = input[at..][0..@intCast(size)];
        hash.update(data);
        data_len += data.len;
        at += data.len;
        const ending = input[at..@min(at + 2, input.len)];
        if (!std.mem.startsWith(u8, "\r\n", ending)) return .refused;
        if (ending.len < 2) return .open;
        at += 2;
    }
    const trailers = at;
    while (true) {
        const line = takeLine(input, &at) catch |e| return verdictOf(e);
        if (line.len == 0) break;
        if (!isTrailer(line)) return .refused;
    }
    return .{ .ended = .{
        .consumed = at,
        .data_len = data_len,
        .hash = hash.final(),
        .trailers = input[trailers .. at - 2],
    } };
}

fn verdictOf(e: error{ Incomplete, Malformed }) Verdict {
    return if (e == error.Incomplete) .open else .refused;
}

/// The line at `at.*` without its CRLF.
fn takeLine(input: []const u8, at: *usize) error{ Incomplete, Malformed }![]const u8 {
    const end = std.mem.indexOfScalarPos(u8, input, at.*, '\n') orelse return error.Incomplete;
    const line = input[at.*..end];
    at.* = end + 1;
    if (!std.mem.endsWith(u8, line, "\r")) return error.Malformed;
    const text = line[0 .. line.len - 1];
    return if (isText(text)) text else error.Malformed;
}

fn isText(text: []const u8) bool {
    for (text) |c| if (std.ascii.isControl(c) and c != '\t') return false;
    return true;
}

/// `1*HEXDIG [ chunk-ext ]`; null for anything else and for a size that is past every limit.
fn chunkSize(line: []const u8) ?u64 {
    const end = std.mem.indexOfNone(u8, line, "0123456789abcdefABCDEF") orelse line.len;
    if (end == 0 or end > chunked.chunk_digits_max) return null;
    const size = std.fmt.parseInt(u64, line[0..end], 16) catch return null;
    if (size > chunked.chunk_size_max) return null;
    return if (isExtensions(line[end..])) size else null;
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`
fn isExtensions(text: []const u8) bool {
    var rest = text;
    while (rest.len > 0) {
        rest = afterByte(rest, ';') orelse return false;
        rest = afterToken(trimStart(rest)) orelse return false;
        const value = afterByte(rest, '=') orelse continue;
        const start = trimStart(value);
        rest = afterQuoted(start) orelse afterToken(start) orelse return false;
    }
    return true;
}

fn trimStart(text: []const u8) []const u8 {
    return std.mem.trimLeft(u8, text, " \t");
}

/// What follows BWS and `c`.
fn afterByte(text: []const u8, c: u8) ?[]const u8 {
    const rest = trimStart(text);
    return if (rest.len > 0 and rest[0] == c) rest[1..] else null;
}

fn afterToken(text: []const u8) ?[]const u8 {
    const len = for (text, 0..) |c, i| {
        if (!isTokenByte(c)) break i;
    } else text.len;
    return if (len > 0) text[len..] else null;
}

fn afterQuoted(text: []const u8) ?[]const u8 {
    if (text.len == 0 or text[0] != '"') return null;
    var i: usize = 1;
    while (i < text.len) : (i += 1) switch (text[i]) {
        '"' => return text[i + 1 ..],
        '\\' => i += 1,
        else => {},
    };
    return null;
}

fn isTokenByte(c: u8) bool {
    return std.ascii.isAlphanumeric(c) or std.mem.indexOfScalar(u8, "!#$%&'*+-.^_`|~", c) != null;
}

fn isTrailer(line: []const u8) bool {
    const colon = std.mem.indexOfScalar(u8, line, ':') orelse return false;
    const after = afterToken(line[0..colon]) orelse return false;
    return after.len == 0 and !isForbidden(line[0..colon]);
}

/// Some of those that RFC 9110 §6.5.1 forbids: what frames, routes or authenticates.
fn isForbidden(name: []const u8) bool {
    for ([_][]const u8{
        "content-length", "transfer-encoding", "host",   "trailer",       "te",
        "authorization",  "content-type",      "expect", "content-range",
    }) |forbidden| {
        if (std.ascii.eqlIgnoreCase(name, forbidden)) return true;
    }
    return false;
}
