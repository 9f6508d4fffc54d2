//! A response's field blocks (RFC 9113 §8.3.2): its head, interim responses and trailers, from the
//! lines that HTTP/1 sends as they are.

const std = @import("std");
const chars = @import("../http/chars.zig");
const FieldLines = @import("../http/field_lines.zig").FieldLines;
const status_codes = @import("../http/status.zig");
const encoder_file = @import("hpack/encoder.zig");
const Encoder = encoder_file.Encoder;
const Out = encoder_file.Out;
const names = @import("hpack/names.zig");

/// What a response's head is made of.
pub const HeadParts = struct {
    /// 100 to 999.
    status: u16,
    /// The handler's fields. Those that belong to HTTP/1's connections are left out.
    lines: FieldLines,
    /// Bytes of content, for HEAD those that GET would send. Null: not known.
    length: ?u64,
    /// The Date to send (IMF-fixdate).
    date: *const [29]u8,
    /// Value of Server; "" sends none.
    server: []const u8 = "",
    /// A line of this server's own, as HTTP/1 sends it.
    own_line: []const u8 = "",
    /// The handler set its own Date.
    has_date: bool = false,
    /// The handler set its own Server.
    has_server: bool = false,
    /// False sends no Content-Length although the status would have one: a 2xx to CONNECT (RFC 9110
    /// §9.3.6). 1xx, 204 and 304 never have one.
    body_allowed: bool = true,
};

/// No head of these parts is longer, bytes.
pub fn headBytesMax(p: *const HeadParts) usize {
    return encoder_file.blockBytesMax(p.lines) +
        encoder_file.fieldBytesMax("date".len, p.date.len) +
        encoder_file.fieldBytesMax("server".len, p.server.len) +
        encoder_file.fieldBytesMax("content-length".len, length_digits_max) +
        encoder_file.fieldBytesMax(p.own_line.len, 0);
}

const length_digits_max = 20;

/// Writes a head's field block to `out`, which has room for `headBytesMax`. Interim responses have
/// a status and lines alone.
pub fn writeHead(encoder: *Encoder, out: *Out, p: *const HeadParts) void {
    encoder.begin(out);
    writeFields(encoder, out, p);
    if (contentLength(p)) |length| writeContentLength(encoder, out, length);
}

/// All of a head but Content-Length, which comes last: heads of one kind differ in it alone.
pub fn writeFields(encoder: *Encoder, out: *Out, p: *const HeadParts) void {
    encoder.status(out, p.status);
    if (p.status >= 200) {
        if (!p.has_date) encoder.known(out, .date, p.date);
        if (p.server.len > 0 and !p.has_server) encoder.known(out, .server, p.server);
    }
    if (std.mem.indexOfScalar(u8, p.own_line, ':')) |colon| {
        const value = std.mem.trim(u8, p.own_line[colon + 1 ..], " \r\n");
        encoder.field(out, p.own_line[0..colon], value);
    }
    writeLines(encoder, out, p.lines);
}

/// The Content-Length that a head has; null: none.
pub fn contentLength(p: *const HeadParts) ?u64 {
    const has_one = p.status >= 200 and p.body_allowed and status_codes.bodyAllowed(p.status);
    return if (has_one) p.length else null;
}

pub fn writeContentLength(encoder: *Encoder, out: *Out, length: u64) void {
    var digits: [length_digits_max]u8 = undefined;
    // Twenty digits hold any.
    const text = std.fmt.bufPrint(&digits, "{d}", .{length}) catch unreachable;
    encoder.known(out, .@"content-length", text);
}

/// No block of trailers is longer, bytes.
pub fn trailersBytesMax(lines: FieldLines) usize {
    return encoder_file.blockBytesMax(lines);
}

/// Writes the field block of trailers to `out`, which has room for `trailersBytesMax`.
pub fn writeTrailers(encoder: *Encoder, out: *Out, lines: FieldLines) void {
    encoder.begin(out);
    writeLines(encoder, out, lines);
}

fn writeLines(encoder: *Encoder, out: *Out, lines: FieldLines) void {
    var each = lines.fields();
    while (each.next()) |one| {
        if (isConnectionField(one.name)) continue;
        // HTTP/1 does not mind white space around a value; here it is malformed (§8.2.1).
        encoder.field(out, one.name, chars.trimOws(one.value));
    }
}

/// Fields that have no meaning here, and must not be sent (§8.2.2).
pub fn isConnectionField(name: []const u8) bool {
    return switch (name.len) {
        2 => eql(name, "te"),
        7 => eql(name, "upgrade"),
        10 => eql(name, "connection") or eql(name, "keep-alive"),
        16 => eql(name, "proxy-connection"),
        17 => eql(name, "transfer-encoding"),
        else => false,
    };
}

fn eql(name: []const u8, lower: []const u8) bool {
    return std.ascii.eqlIgnoreCase(name, lower);
}

test {
    _ = @import("response_test.zig");
}
