//! Encoder of HTTP/1 response heads and chunk framing (RFC 9112 §4, §6, §7.1, §9.3), sans-I/O.
const std = @import("std");
const status_codes = @import("../http/status.zig");
const Version = @import("../http/request.zig").Version;

/// The interim response that lets a waiting client send its body (RFC 9110 §10.1.1).
pub const continue_response = "HTTP/1.1 100 Continue\r\n\r\n";
/// Ends a chunked body that has no trailers.
pub const last_chunk = last_chunk_head ++ trailers_end;
/// Ends the chunks of a body; trailer lines follow.
pub const last_chunk_head = "0\r\n";
/// Ends the trailer section.
pub const trailers_end = "\r\n";
/// Ends each chunk's data.
pub const chunk_end = "\r\n";
/// Longest chunk head: sixteen digits and CRLF.
pub const chunk_head_bytes_max = 18;

/// What a response head is made of.
pub const HeadParts = struct {
    /// The request's version. The response always says HTTP/1.1, the highest this server speaks
    /// (RFC 9110 §6.2); an HTTP/1.0 client gets no chunks.
    version: Version = .http11,
    /// 100 to 999.
    status: u16 = 200,
    /// The handler's fields as "name: value\r\n" lines, checked when they were added; without
    /// Content-Length, Transfer-Encoding and Connection, which are written here.
    field_lines: []const u8 = "",
    /// Bytes of content, for HEAD those that GET would send. Null: not known; chunked for HTTP/1.1,
    /// ended by closing the connection for HTTP/1.0.
    length: ?u64,
    /// The Date to send (IMF-fixdate).
    date: *const [29]u8,
    /// Value of Server; "" sends none.
    server: []const u8 = "",
    /// The connection stays open after this response. Ignored when its content ends by closing.
    keep_alive: bool,
    /// From `keepAliveLines`, for a client that asked for them; sent where the connection stays
    /// open.
    keep_alive_lines: []const u8 = "",
    /// A field line of this server's own, with CRLF.
    own_line: []const u8 = "",
    /// The handler set its own Date.
    has_date: bool = false,
    /// The handler set its own Server.
    has_server: bool = false,
    /// False writes no Content-Length and no Transfer-Encoding although the status would have one:
    /// a 2xx to CONNECT (RFC 9110 §9.3.6). 1xx, 204 and 304 never have one.
    body_allowed: bool = true,

    /// Whether the connection must be closed to end the content.
    pub fn endsByClose(p: *const HeadParts) bool {
        return p.length == null and p.version == .http10 and p.hasFraming();
    }

    fn hasFraming(p: *const HeadParts) bool {
        return p.body_allowed and status_codes.bodyAllowed(p.status);
    }
};

/// Writes a response head with its empty line to the start of `out` and returns its length in
/// bytes. `error.NoSpaceLeft` when it does not fit; then `out` holds nothing of use.
pub fn head(out: []u8, p: HeadParts) error{NoSpaceLeft}!usize {
    std.debug.assert(p.status >= 100 and p.status <= 999);
    if (out.len < sizeBound(&p)) return error.NoSpaceLeft;
    var w = Writer{ .out = out.ptr };
    w.statusLine(p.status);
    w.put(p.field_lines);
    if (p.status >= 200) {
        if (!p.has_date) w.date(p.date);
        if (p.server.len > 0 and !p.has_server) {
            w.put("Server: ");
            w.put(p.server);
            w.put("\r\n");
        }
        if (p.own_line.len > 0) w.put(p.own_line);
        if (p.hasFraming()) w.framing(&p);
        if (!p.keep_alive or p.endsByClose()) {
            w.put("Connection: close\r\n");
        } else if (p.keep_alive_lines.len > 0) {
            w.put(p.keep_alive_lines);
        } else if (p.version == .http10) {
            w.put(keep_alive_line);
        }
    }
    w.put("\r\n");
    std.debug.assert(w.len <= out.len);
    return w.len;
}

/// No head of these parts is longer, bytes. A buffer of that size always takes it.
pub fn sizeBound(p: *const HeadParts) usize {
    return fixed_bytes_max + p.field_lines.len + p.server.len + p.own_line.len +
        p.keep_alive_lines.len;
}

const keep_alive_line = "Connection: keep-alive\r\n";
pub const keep_alive_lines_bytes_max = keep_alive_line.len + "Keep-Alive: timeout=4294967\r\n".len;

/// What tells a client for how long it may count on the connection after a response: whole seconds,
/// as Keep-Alive has them (RFC 2068 §19.7.1), with the connection option that belongs to the field
/// (RFC 9110 §7.6.1). Nothing below one second, which clients would take for none.
pub fn keepAliveLines(out: *[keep_alive_lines_bytes_max]u8, idle_timeout_ms: u32) []const u8 {
    const seconds = idle_timeout_ms / 1000;
    if (seconds == 0) return "";
    const form = keep_alive_line ++ "Keep-Alive: timeout={d}\r\n";
    return std.fmt.bufPrint(out, form, .{seconds}) catch unreachable; // its longest fits
}

const fixed_bytes_max = status_line_bytes_max + "Date: \r\n".len + 29 + "Server: \r\n".len +
    "Transfer-Encoding: chunked\r\n".len + length_digits_max +
    keep_alive_line.len + "\r\n".len;
const length_digits_max = 20;
const status_line_bytes_max = 64;

/// Writes the head of a chunk of `size` bytes, which must not be 0 (that would end the body):
/// digits, CRLF.
pub fn chunkHead(out: *[chunk_head_bytes_max]u8, size: u64) []const u8 {
    std.debug.assert(size > 0);
    const digits: usize = (64 - @clz(size) + 3) / 4;
    var rest = size;
    var i = digits;
    while (i > 0) : (rest >>= 4) {
        i -= 1;
        out[i] = "0123456789abcdef"[@intCast(rest & 15)];
    }
    out[digits..][0..2].* = "\r\n".*;
    return out[0 .. digits + 2];
}

/// Appends to memory that is known to be large enough.
const Writer = struct {
    out: [*]u8,
    len: usize = 0,

    inline fn put(w: *Writer, bytes: []const u8) void {
        @memcpy(w.out[w.len..][0..bytes.len], bytes);
        w.len += bytes.len;
    }

    inline fn statusLine(w: *Writer, code: u16) void {
        if (code == 200) return w.put("HTTP/1.1 200 OK\r\n");
        w.anyStatusLine(code);
    }

    fn anyStatusLine(w: *Writer, code: u16) void {
        w.put("HTTP/1.1 ");
        w.decimal(code);
        w.put(" ");
        w.put(status_codes.reason(code));
        w.put("\r\n");
    }

    inline fn date(w: *Writer, text: *const [29]u8) void {
        w.put("Date: ");
        w.put(text);
        w.put("\r\n");
    }

    inline fn framing(w: *Writer, p: *const HeadParts) void {
        if (p.length) |length| {
            w.put("Content-Length: ");
            w.decimal(length);
            w.put("\r\n");
        } else if (p.version != .http10) {
            w.put("Transfer-Encoding: chunked\r\n");
        }
    }

    fn decimal(w: *Writer, n: u64) void {
        var digits: [length_digits_max]u8 = undefined;
        var first: usize = digits.len;
        var rest = n;
        while (rest >= 10) : (rest /= 100) {
            first -= 2;
            digits[first..][0..2].* = std.fmt.digits2(@intCast(rest % 100));
        }
        if (rest > 0 or n == 0) {
            first -= 1;
            digits[first] = @intCast('0' + rest);
        }
        w.put(digits[first..]);
    }
};

test {
    _ = @import("encoder_test.zig");
}
