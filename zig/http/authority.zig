//! The authority of a request: `host [":" port]` as Host carries it (RFC 9110 §7.2, RFC 3986
//! §3.2.2).
const std = @import("std");
const chars = @import("chars.zig");

/// Whether `bytes` is `host [":" port]` with a host that is not empty (RFC 9110 §4.2.1 refuses an
/// empty one for http and https). No user information; a port is digits up to 65535 and may be
/// empty.
pub fn isValid(bytes: []const u8) bool {
    if (bytes.len == 0) return false;
    const stop = chars.findShort(.host_stop, bytes);
    if (stop == bytes.len) return true;
    if (stop > 0 and bytes[stop] == ':') return isPort(bytes[stop + 1 ..]);
    return isValidUnusual(bytes);
}

/// Whether `bytes` is `host ":" port` with both present: the target of CONNECT (RFC 9110 §9.3.6).
pub fn isValidWithPort(bytes: []const u8) bool {
    if (!isValid(bytes)) return false;
    const colon = std.mem.lastIndexOfScalar(u8, bytes, ':') orelse return false;
    const after_literal = bytes[0] != '[' or bytes[colon - 1] == ']';
    return after_literal and colon + 1 < bytes.len;
}

fn isPort(bytes: []const u8) bool {
    var port: u32 = 0;
    for (bytes) |c| {
        const digit = c -% '0';
        if (digit > 9) return false;
        port = port *% 10 +% digit; // of what was no more than 65535
        if (port > 65_535) return false;
    }
    return true;
}

/// IP literals in brackets, percent-encoding and sub-delims.
fn isValidUnusual(bytes: []const u8) bool {
    var end: usize = undefined;
    if (bytes[0] == '[') {
        end = (std.mem.indexOfScalar(u8, bytes, ']') orelse return false) + 1;
        if (!isAddressLiteral(bytes[1 .. end - 1])) return false;
    } else {
        end = std.mem.indexOfScalar(u8, bytes, ':') orelse bytes.len;
        if (!isRegisteredName(bytes[0..end])) return false;
    }
    if (end == bytes.len) return true;
    return bytes[end] == ':' and isPort(bytes[end + 1 ..]);
}

/// Characters of an IPv6 address; whether they make one is the resolver's question.
fn isAddressLiteral(bytes: []const u8) bool {
    for (bytes) |c| {
        if (chars.hexValue(c) == null and c != ':' and c != '.') return false;
    }
    return bytes.len >= 2 and std.mem.indexOfScalar(u8, bytes, ':') != null;
}

fn isRegisteredName(bytes: []const u8) bool {
    var i: usize = 0;
    while (i < bytes.len) : (i += 1) {
        switch (bytes[i]) {
            'a'...'z', 'A'...'Z', '0'...'9', '-', '.', '_', '~' => {},
            '!', '$', '&', '\'', '(', ')', '*', '+', ',', ';', '=' => {},
            '%' => {
                if (bytes.len - i < 3) return false;
                if (chars.hexValue(bytes[i + 1]) == null) return false;
                if (chars.hexValue(bytes[i + 2]) == null) return false;
                i += 2;
            },
            else => return false,
        }
    }
    return bytes.len > 0;
}

test "hosts, ports and address literals are valid" {
    for ([_][]const u8{
        "a",         "example.com", "example.com:80",   "localhost:65535", "127.0.0.1:3000",
        "[::1]",     "[::1]:8080",  "[::ffff:1.2.3.4]", "a_b",             "ex%41mple",
        "a~b!$&'()", "host:",       "x,y",              "EXAMPLE.com.",    "a.b:00080",
    }) |text| try std.testing.expect(isValid(text));
}

test "an authority that cannot be is refused" {
    for ([_][]const u8{
        "",
        ":80",
        "a b",
        "user@host",
        "a:65536",
        "a:8x",
        "a:80:80",
        "a:-1",
        "a:+1",
        "a/b",
        "a?b",
        "[::1",
        "[::1]x",
        "[]",
        "[zz]",
        "[1.2.3.4]",
        "ex%4",
        "%zz",
        "a\x80",
        "a\tb",
        "http://a",
        "a#",
        "<a>",
        "a:99999999999999999999",
    }) |text| try std.testing.expect(!isValid(text));
}

test "CONNECT's authority needs a port" {
    for ([_][]const u8{ "a:443", "[::1]:443" }) |text| {
        try std.testing.expect(isValidWithPort(text));
    }
    for ([_][]const u8{ "a", "a:", "[::1]", "[::1]:", ":443", "" }) |text| {
        try std.testing.expect(!isValidWithPort(text));
    }
}
