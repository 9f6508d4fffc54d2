//! A second reader of request heads that knows only plain ones: what it reads, every server must
//! read, and just so. It holds the decoder to accepting; the fuzzer's other checks hold it to
//! refusing.
const std = @import("std");
const Body = @import("../http1/decoder.zig").Framing.Body;

pub const Plain = struct { consumed: usize, fields: usize, body: Body };

/// How a plain head at the start of `input` frames its message; null when it is not there as a
/// whole or not plain.
pub fn read(input: []const u8) ?Plain {
    const end = std.mem.indexOf(u8, input, "\r\n\r\n") orelse return null;
    var lines = std.mem.splitSequence(u8, input[0..end], "\r\n");
    const version = requestLine(lines.next().?) orelse return null;
    var hosts: usize = 0;
    var fields: usize = 0;
    var body: Body = .none;
    while (lines.next()) |line| : (fields += 1) {
        const field = fieldLine(line) orelse return null;
        if (is(field.name, "host")) {
            hosts += 1;
            if (!consistsOf(field.value, host_bytes)) return null;
        } else if (is(field.name, "content-length")) {
            if (body != .none) return null;
            if (field.value.len > 18 or !consistsOf(field.value, digits)) return null;
            body = .{ .length = std.fmt.parseInt(u64, field.value, 10) catch return null };
        } else if (is(field.name, "transfer-encoding")) {
            if (body != .none or version == 0 or !is(field.value, "chunked")) return null;
            body = .chunked;
        } else if (is(field.name, "expect")) return null;
    }
    if (hosts != 1) return null;
    return .{ .consumed = end + 4, .fields = fields, .body = body };
}

const digits = "0123456789";
const lower = "abcdefghijklmnopqrstuvwxyz";
const upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const host_bytes = digits ++ lower ++ ".-";
const target_bytes = digits ++ lower ++ upper ++ "/?&=-._~";
const name_bytes = digits ++ lower ++ upper ++ "-";

/// The minor version of a plain request line.
fn requestLine(line: []const u8) ?u8 {
    var parts = std.mem.splitScalar(u8, line, ' ');
    const method = parts.next().?;
    const target = parts.next() orelse return null;
    const version = parts.next() orelse return null;
    if (parts.next() != null) return null;
    if (method.len > 20 or !consistsOf(method, upper) or is(method, "connect")) return null;
    if (!consistsOf(target, target_bytes) or target[0] != '/') return null;
    if (std.mem.eql(u8, version, "HTTP/1.1")) return 1;
    return if (std.mem.eql(u8, version, "HTTP/1.0")) 0 else null;
}

const Field = struct { name: []const u8, value: []const u8 };

fn fieldLine(line: []const u8) ?Field {
    const colon = std.mem.indexOfScalar(u8, line, ':') orelse return null;
    const value = std.mem.trim(u8, line[colon + 1 ..], " \t");
    if (!consistsOf(line[0..colon], name_bytes)) return null;
    for (value) |c| if (!std.ascii.isPrint(c)) return null;
    return .{ .name = line[0..colon], .value = value };
}

/// Whether `text` has at least one byte and all of them are in `bytes`.
fn consistsOf(text: []const u8, bytes: []const u8) bool {
    return text.len > 0 and std.mem.indexOfNone(u8, text, bytes) == null;
}

fn is(text: []const u8, lower_case: []const u8) bool {
    return std.ascii.eqlIgnoreCase(text, lower_case);
}
