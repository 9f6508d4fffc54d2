//! What a client is told that sends HTTP to where TLS is spoken. It is no TLS, so it may be read by
//! whoever sits in between: it says nothing of this server but that.

const std = @import("std");
const method = @import("../../http/method.zig");
const problem = @import("../../http/problem.zig");
const status_codes = @import("../../http/status.zig");

/// A whole response, static memory, for the beginning of what has come; "" when that is no HTTP.
pub fn of(bytes: []const u8) []const u8 {
    if (!looksLikeHttp(bytes)) return "";
    return switch (problem.formatIn(bytes)) {
        inline else => |format| comptime response(format),
    };
}

/// A method in capitals and a space, as far as they have come.
fn looksLikeHttp(bytes: []const u8) bool {
    const method_bytes_max = 16;
    for (bytes, 0..) |byte, i| switch (byte) {
        'A'...'Z' => if (i == method_bytes_max) return false,
        ' ' => return i > 0,
        else => return false,
    };
    return bytes.len > 0;
}

fn response(comptime format: problem.Format) []const u8 {
    const code: problem.Code = .tls_required;
    const body = problem.page(format, code);
    const status = problem.statusOf(code);
    return std.fmt.comptimePrint("HTTP/1.1 {d} {s}\r\nContent-Type: {s}\r\n" ++
        "Content-Length: {d}\r\nVary: Accept\r\nConnection: close\r\n\r\n{s}", .{
        status,
        status_codes.reason(status),
        format.contentType(),
        body.len,
        body,
    });
}

const testing = std.testing;

test "HTTP is answered in the form that it asks for, everything else with nothing" {
    const text = of("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    try testing.expect(std.mem.startsWith(u8, text, "HTTP/1.1 400 Bad Request\r\n"));
    try testing.expect(std.mem.indexOf(u8, text, "https:") != null);
    const json = of("POST /a HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n");
    try testing.expect(std.mem.indexOf(u8, json, "application/problem+json") != null);
    try testing.expect(of("PRI * HTTP/2.0\r\n\r\n").len > 0);
    try testing.expect(of("DELET").len > 0);
    for ([_][]const u8{ "", "get / ", "SSH-2.0-OpenSSH", "\x00\x01", " GET", "A" ** 17 }) |other|
        try testing.expectEqualStrings("", of(other));
}
