//! Decoder of HTTP/1 request heads (RFC 9112 §2–§3, §5–§6, §9), sans-I/O: bytes in, a
//! `Request` of slices into them out. What the grammar does not allow is refused, and so is all
//! that two readers could frame differently; leniency is where request smuggling lives.
//!
//! The outcome depends on the bytes alone, never on how they were cut into reads: the request line
//! is refused at its first offending byte, a field line once its LF is there, and what needs all
//! fields (Host, framing, their number) at the end of the head.
const std = @import("std");
const chars = @import("../http/chars.zig");
const authority = @import("../http/authority.zig");
const content_length = @import("../http/content_length.zig");
const Fields = @import("../http/fields.zig").Fields;
const ListIterator = @import("../http/fields.zig").ListIterator;
const Method = @import("../http/method.zig").Method;
const request = @import("../http/request.zig");
const Request = request.Request;
const Version = request.Version;

/// Bounds on a head; all in bytes or fields.
pub const Limits = struct {
    /// Longest request target: more is 414.
    target_bytes_max: u32 = 8192,
    /// Longest head, from the first byte (leading CRLFs included) to the empty line: more is 431.
    head_bytes_max: u32 = 32_768,
    /// Most field lines: more is 431. `Fields.capacity` bounds it too.
    header_count_max: u16 = 100,
};

/// Longest method token: a longer one is 501 (RFC 9112 §3).
pub const method_bytes_max = 32;
/// Empty lines that are skipped before a request line (RFC 9112 §2.2).
pub const leading_crlf_max = 4;

/// How the message goes on after its head.
pub const Framing = struct {
    body: Body,
    /// The connection may carry another request after this one (RFC 9112 §9.3).
    keep_alive: bool,
    /// It asks for that by the connection option "keep-alive", and so knows the field Keep-Alive.
    keep_alive_asked: bool = false,
    /// The client waits for "100 Continue" before it sends the body (RFC 9110 §10.1.1).
    expect_continue: bool,
    /// The client offers to change protocol: Upgrade is present and Connection names it.
    upgrade: bool,

    pub const Body = union(enum) {
        /// Neither Content-Length nor Transfer-Encoding: no content (RFC 9112 §6.3).
        none,
        /// Content-Length, bytes; may be 0.
        length: u64,
        chunked,
    };
};

/// Why a head was refused. After any of them the connection cannot be used further. Status and
/// explanation are with the `problem.Code` of the same name.
pub const DecodeError = enum {
    /// The request line does not begin with a token and a space.
    invalid_method,
    /// A method longer than `method_bytes_max`.
    method_too_long,
    /// Not one of the four target forms, or a byte that no target may hold.
    invalid_target,
    uri_too_long,
    /// What follows the target is not `SP "HTTP/" DIGIT "." DIGIT CRLF`.
    invalid_version,
    /// A well-formed version that is not HTTP/1.x.
    version_not_supported,
    /// LF without CR before it.
    bare_line_feed,
    /// CR without LF after it.
    bare_carriage_return,
    /// A line that begins with white space: line folding (RFC 9112 §5.2).
    obs_fold,
    missing_colon,
    space_before_colon,
    invalid_field_name,
    /// A control character in a field value.
    invalid_field_value,
    head_too_large,
    too_many_fields,
    missing_host,
    duplicate_host,
    invalid_host,
    /// Not one decimal number up to `content_length.max`.
    invalid_content_length,
    duplicate_content_length,
    /// Chunked is not the one last coding (RFC 9112 §6.1).
    invalid_transfer_encoding,
    transfer_encoding_in_http10,
    transfer_encoding_with_content_length,
    /// A transfer coding before chunked that this server does not undo.
    unknown_transfer_coding,
    /// An expectation other than 100-continue.
    expectation_failed,
};

/// What `decodeHead` found.
pub const Result = union(enum) {
    need_more,
    head: struct {
        /// Bytes that the head took, leading empty lines included: the body or the next request
        /// begins there.
        consumed: u32,
        framing: Framing,
    },
    err: DecodeError,
};

/// Set in a hint once the request line has been accepted; the bits below count the bytes scanned.
const line_accepted: u32 = 1 << 31;

/// Decodes the head at the start of `bytes`, the bytes received so far from the message's first on.
///
/// `hint` is opaque: 0 for a new message, given back unchanged with the same bytes and more after
/// `need_more`; it makes a head that trickles in cost time linear in its length. It only grows. On
/// `head`, `req` has method, method_text, target, path, query, authority, version, fields and
/// head_bytes, all slices of `bytes`; its other members are left alone. Otherwise what `req` holds
/// is meaningless. A head that CONNECT begins has an empty path.
pub fn decodeHead(bytes: []const u8, hint: *u32, limits: Limits, req: *Request) Result {
    std.debug.assert(limits.head_bytes_max < line_accepted);
    const window = bytes[0..@min(bytes.len, limits.head_bytes_max)];
    const result = if (hint.* == 0)
        decodeWhole(window, hint, limits, req)
    else
        decodeResumed(window, hint, limits, req);
    if (result == .need_more and bytes.len >= limits.head_bytes_max) {
        return .{ .err = .head_too_large };
    }
    return result;
}

fn decodeWhole(bytes: []const u8, hint: *u32, limits: Limits, req: *Request) Result {
    const start = skipEmptyLines(bytes) orelse return .need_more;
    const fields_start = switch (decodeRequestLine(bytes, start, 0, limits, req)) {
        .next => |next| next,
        .need_more => {
            hint.* = @intCast(bytes.len);
            return .need_more;
        },
        .err => |e| return .{ .err = e },
    };
    const result = decodeFields(bytes, start, fields_start, limits, req);
    if (result == .need_more) hint.* = @as(u32, @intCast(bytes.len)) | line_accepted;
    return result;
}

/// Goes on after `need_more`: only lines that have become complete are looked at, until the empty
/// one.
fn decodeResumed(bytes: []const u8, hint: *u32, limits: Limits, req: *Request) Result {
    var scanned: usize = hint.* & ~line_accepted;
    std.debug.assert(scanned <= bytes.len);
    if (hint.* & line_accepted == 0) {
        const start = skipEmptyLines(bytes) orelse return .need_more;
        switch (decodeRequestLine(bytes, start, scanned, limits, req)) {
            .next => |next| scanned = next,
            .need_more => {
                hint.* = @intCast(bytes.len);
                return .need_more;
            },
            .err => |e| return .{ .err = e },
        }
    }
    while (true) {
        const line_feed = chars.find(.line_feed, bytes, scanned);
        if (line_feed == bytes.len) break;
        // The request line ends in LF, so there is one before every field line.
        const line_start = std.mem.lastIndexOfScalar(u8, bytes[0..line_feed], '\n').? + 1;
        switch (decodeLine(bytes[0 .. line_feed + 1], line_start)) {
            .field, .need_more => {}, // a line that has its LF never needs more
            .end => {
                var whole_hint: u32 = 0;
                return decodeWhole(bytes, &whole_hint, limits, req);
            },
            .err => |e| return .{ .err = e },
        }
        scanned = line_feed + 1;
    }
    hint.* = @as(u32, @intCast(bytes.len)) | line_accepted;
    return .need_more;
}

/// Where the request line begins; null while only empty lines, or a part of one, are there.
fn skipEmptyLines(bytes: []const u8) ?usize {
    var start: usize = 0;
    while (start < bytes.len and bytes[start] == '\r' and start < 2 * leading_crlf_max) {
        if (start + 1 == bytes.len) return null;
        if (bytes[start + 1] != '\n') break;
        start += 2;
    }
    return if (start == bytes.len) null else start;
}

/// Whether the request that `bytes` begin with has the method HEAD, as far as its head can be read.
pub fn beginsWithHead(bytes: []const u8) bool {
    const start = skipEmptyLines(bytes) orelse return false;
    return std.mem.startsWith(u8, bytes[start..], "HEAD ");
}

const Step = union(enum) { need_more, next: usize, err: DecodeError };

/// Decodes the request line at `start` and fills in method, target and version. Bytes before
/// `scanned` were seen by an earlier call that needed more.
inline fn decodeRequestLine(
    bytes: []const u8,
    start: usize,
    scanned: usize,
    limits: Limits,
    req: *Request,
) Step {
    const target_start = switch (decodeMethod(bytes, start, req)) {
        .next => |next| next,
        else => |step| return step,
    };
    // An earlier call stopped in the target, or in the ten bytes after it: the last sixteen bytes
    // hold its end if it was seen at all.
    const from = @min(@max(target_start, scanned -| 16), bytes.len);
    const bound = target_start + limits.target_bytes_max + 1;
    const window = bytes[0..@min(bytes.len, bound)];
    const target_end = chars.find(.target_stop, window, @min(from, window.len));
    if (target_end == window.len) {
        return if (window.len == bound) .{ .err = .uri_too_long } else .need_more;
    }
    if (bytes[target_end] != ' ') return .{ .err = switch (bytes[target_end]) {
        '\r', '\n' => .invalid_version,
        else => .invalid_target,
    } };
    if (target_end == target_start) return .{ .err = .invalid_target };
    const next = switch (decodeVersion(bytes, target_end + 1, req)) {
        .next => |next| next,
        else => |step| return step,
    };
    req.target = bytes[target_start..target_end];
    if (!splitTarget(req)) return .{ .err = .invalid_target };
    return .{ .next = next };
}

inline fn decodeMethod(bytes: []const u8, start: usize, req: *Request) Step {
    if (std.mem.startsWith(u8, bytes[start..], "GET ")) {
        req.method = .GET;
        req.method_text = bytes[start..][0..3];
        return .{ .next = start + 4 };
    }
    return decodeAnyMethod(bytes, start, req);
}

fn decodeAnyMethod(bytes: []const u8, start: usize, req: *Request) Step {
    var end = start;
    while (end < bytes.len and chars.token_table[bytes[end]]) : (end += 1) {
        if (end - start == method_bytes_max) return .{ .err = .method_too_long };
    }
    if (end == bytes.len) return .need_more;
    if (bytes[end] != ' ' or end == start) return .{ .err = .invalid_method };
    req.method_text = bytes[start..end];
    req.method = Method.parse(req.method_text);
    return .{ .next = end + 1 };
}

/// `start` is after the space that ends the target. A minor version above 1 is read as 1 (RFC 9110
/// §6.2).
inline fn decodeVersion(bytes: []const u8, start: usize, req: *Request) Step {
    if (std.mem.startsWith(u8, bytes[start..], "HTTP/1.1\r\n")) {
        req.version = .http11;
        return .{ .next = start + 10 };
    }
    return decodeAnyVersion(bytes, start, req);
}

fn decodeAnyVersion(bytes: []const u8, start: usize, req: *Request) Step {
    const shape = "HTTP/d.d\r\n";
    const text = bytes[start..@min(bytes.len, start + shape.len)];
    for (text, shape[0..text.len]) |c, expected| switch (expected) {
        'd' => if (!std.ascii.isDigit(c)) return .{ .err = .invalid_version },
        '\r' => if (c != '\r') {
            return .{ .err = if (c == '\n') .bare_line_feed else .invalid_version };
        },
        '\n' => if (c != '\n') return .{ .err = .bare_carriage_return },
        else => if (c != expected) return .{ .err = .invalid_version },
    };
    if (text.len < shape.len) return .need_more;
    if (text[5] != '1') return .{ .err = .version_not_supported };
    req.version = if (text[7] == '0') .http10 else .http11;
    return .{ .next = start + shape.len };
}

/// Splits `req.target` into authority, path and query by its form (RFC 9112 §3.2); false when it
/// has none of the four or one that the method may not use.
inline fn splitTarget(req: *Request) bool {
    if (req.target[0] != '/' or req.method == .CONNECT) return splitUnusualTarget(req);
    req.authority = "";
    splitPath(req, req.target);
    return true;
}

fn splitUnusualTarget(req: *Request) bool {
    const target = req.target;
    req.query = target[target.len..];
    req.authority = "";
    if (req.method == .CONNECT) {
        req.path = target[target.len..];
        req.authority = target;
        return authority.isValidWithPort(target);
    }
    if (std.mem.eql(u8, target, "*")) {
        req.path = target;
        return req.method == .OPTIONS;
    }
    const host_start: usize = for ([_][]const u8{ "http://", "https://" }) |scheme| {
        if (std.ascii.startsWithIgnoreCase(target, scheme)) break scheme.len;
    } else return false;
    const host_end = std.mem.indexOfAnyPos(u8, target, host_start, "/?") orelse target.len;
    req.authority = target[host_start..host_end];
    splitPath(req, target[host_end..]);
    // An empty path means "/" (RFC 9110 §4.2.3): the scheme's own slash stands for it, to stay in
    // the head.
    if (req.path.len == 0) req.path = target[host_start - 1 .. host_start];
    return authority.isValid(req.authority);
}

inline fn splitPath(req: *Request, text: []const u8) void {
    const end = chars.find(.question_mark, text, 0);
    req.path = text[0..end];
    req.query = text[@min(end + 1, text.len)..];
}

const Line = union(enum) {
    field: struct { name: []const u8, value: []const u8, next: usize },
    /// The empty line; the offset after it.
    end: usize,
    need_more,
    err: DecodeError,
};

/// Decodes the line at `start`. An error means something only when the line's LF is in `bytes`.
inline fn decodeLine(bytes: []const u8, start: usize) Line {
    const name_end = nameEnd(bytes, start);
    if (name_end == bytes.len) return .need_more;
    if (bytes[name_end] != ':' or name_end == start) {
        return decodeLineWithoutName(bytes, start, name_end);
    }
    var value_start = name_end + 1;
    while (value_start < bytes.len and chars.isOws(bytes[value_start])) value_start += 1;
    const stop = chars.find(.value_stop, bytes, value_start);
    if (stop == bytes.len) return .need_more;
    if (bytes[stop] != '\r') {
        return .{ .err = if (bytes[stop] == '\n') .bare_line_feed else .invalid_field_value };
    }
    if (stop + 1 == bytes.len) return .need_more;
    if (bytes[stop + 1] != '\n') return .{ .err = .bare_carriage_return };
    var value_end = stop;
    while (value_end > value_start and chars.isOws(bytes[value_end - 1])) value_end -= 1;
    return .{ .field = .{
        .name = bytes[start..name_end],
        .value = bytes[value_start..value_end],
        .next = stop + 2,
    } };
}

/// End of the token at `start`.
inline fn nameEnd(bytes: []const u8, start: usize) usize {
    var end = chars.find(.name_stop, bytes, start);
    while (end < bytes.len and chars.token_table[bytes[end]]) end += 1;
    return end;
}

/// A line that has no colon after its first `stop - start` token characters: the empty one, or a
/// defect.
fn decodeLineWithoutName(bytes: []const u8, start: usize, stop: usize) Line {
    const empty = stop == start;
    switch (bytes[stop]) {
        '\r' => {
            if (stop + 1 == bytes.len) return .need_more;
            if (bytes[stop + 1] != '\n') return .{ .err = .bare_carriage_return };
            return if (empty) .{ .end = stop + 2 } else .{ .err = .missing_colon };
        },
        '\n' => return .{ .err = if (empty) .bare_line_feed else .missing_colon },
        ' ', '\t' => {
            if (empty) return .{ .err = .obs_fold };
            var i = stop;
            while (i < bytes.len and chars.isOws(bytes[i])) i += 1;
            if (i == bytes.len) return .need_more;
            return .{ .err = switch (bytes[i]) {
                ':' => .space_before_colon,
                '\r', '\n' => .missing_colon,
                else => .invalid_field_name,
            } };
        },
        else => return .{ .err = .invalid_field_name },
    }
}

/// What the field lines say about framing, gathered as they pass.
const Seen = struct {
    host: []const u8 = "",
    hosts: u32 = 0,
    content_length: []const u8 = "",
    content_lengths: u32 = 0,
    transfer_encoding: bool = false,
    close: bool = false,
    keep_alive: bool = false,
    connection_upgrade: bool = false,
    upgrade: bool = false,
    expect_continue: bool = false,
    expect_other: bool = false,

    inline fn note(seen: *Seen, name: []const u8, value: []const u8) void {
        switch (name.len) {
            4 => if (chars.eqlLower(name, "host")) {
                seen.host = value;
                seen.hosts += 1;
            },
            6 => if (chars.eqlLower(name, "expect")) seen.noteExpect(value),
            7 => if (chars.eqlLower(name, "upgrade")) {
                seen.upgrade = true;
            },
            10 => if (chars.eqlLower(name, "connection")) seen.noteConnection(value),
            14 => if (chars.eqlLower(name, "content-length")) {
                seen.content_length = value;
                seen.content_lengths += 1;
            },
            17 => if (chars.eqlLower(name, "transfer-encoding")) {
                seen.transfer_encoding = true;
            },
            else => {},
        }
    }

    fn noteConnection(seen: *Seen, value: []const u8) void {
        var options = ListIterator{ .rest = value };
        while (options.next()) |option| {
            if (chars.eqlLower(option, "close")) seen.close = true;
            if (chars.eqlLower(option, "keep-alive")) seen.keep_alive = true;
            if (chars.eqlLower(option, "upgrade")) seen.connection_upgrade = true;
        }
    }

    fn noteExpect(seen: *Seen, value: []const u8) void {
        var expectations = ListIterator{ .rest = value };
        while (expectations.next()) |expectation| {
            if (chars.eqlLower(expectation, "100-continue")) {
                seen.expect_continue = true;
            } else {
                seen.expect_other = true;
            }
        }
    }
};

/// Decodes the field lines from `start` to the empty line, then judges them together.
inline fn decodeFields(
    bytes: []const u8,
    head_start: usize,
    start: usize,
    limits: Limits,
    req: *Request,
) Result {
    const count_max = @min(limits.header_count_max, Fields.capacity);
    var seen = Seen{};
    var count: usize = 0;
    var at = start;
    const end = while (true) {
        switch (decodeLine(bytes, at)) {
            .field => |field| {
                if (count < count_max) {
                    req.fields.items[count] = .{ .name = field.name, .value = field.value };
                }
                count += 1;
                seen.note(field.name, field.value);
                at = field.next;
            },
            .end => |end| break end,
            .need_more => return .need_more,
            .err => |e| {
                const complete = chars.find(.line_feed, bytes, at) < bytes.len;
                return if (complete) .{ .err = e } else .need_more;
            },
        }
    };
    if (count > count_max) return .{ .err = .too_many_fields };
    req.fields.len = @intCast(count);
    req.head_bytes = bytes[head_start..end];
    return conclude(&seen, @intCast(end), req);
}

/// Host (RFC 9112 §3.2), framing (§6) and persistence (§9.3) from what was seen.
inline fn conclude(seen: *const Seen, consumed: u32, req: *Request) Result {
    if (seen.hosts != 1) {
        if (seen.hosts > 1) return .{ .err = .duplicate_host };
        if (req.version != .http10) return .{ .err = .missing_host };
    } else {
        if (!authority.isValid(seen.host)) return .{ .err = .invalid_host };
        if (req.authority.len == 0) req.authority = seen.host;
    }
    var body: Framing.Body = .none;
    if (seen.content_lengths > 0 or seen.transfer_encoding) {
        switch (bodyFraming(seen, req)) {
            .body => |framing| body = framing,
            .err => |e| return .{ .err = e },
        }
    }
    const http10 = req.version == .http10;
    // HTTP/1.0 has no expectations: they are ignored there (RFC 9110 §10.1.1).
    if (seen.expect_other and !http10) return .{ .err = .expectation_failed };
    const has_content = switch (body) {
        .none => false,
        .length => |length| length > 0,
        .chunked => true,
    };
    return .{ .head = .{ .consumed = consumed, .framing = .{
        .body = body,
        .keep_alive = !seen.close and (!http10 or seen.keep_alive),
        .keep_alive_asked = !seen.close and seen.keep_alive,
        .expect_continue = seen.expect_continue and !http10 and has_content,
        .upgrade = seen.upgrade and seen.connection_upgrade and !http10,
    } } };
}

const BodyFraming = union(enum) { body: Framing.Body, err: DecodeError };

/// Message body length (RFC 9112 §6.3), refusing what readers could disagree on.
fn bodyFraming(seen: *const Seen, req: *const Request) BodyFraming {
    if (seen.transfer_encoding) {
        if (seen.content_lengths > 0) return .{ .err = .transfer_encoding_with_content_length };
        if (req.version == .http10) return .{ .err = .transfer_encoding_in_http10 };
        return transferCodings(req);
    }
    if (seen.content_lengths > 1) return .{ .err = .duplicate_content_length };
    const length = content_length.parse(seen.content_length) orelse {
        return .{ .err = .invalid_content_length };
    };
    return .{ .body = .{ .length = length } };
}

/// The codings of all Transfer-Encoding lines are one list; chunked must be there once, as its
/// last.
fn transferCodings(req: *const Request) BodyFraming {
    var codings: u32 = 0;
    var chunked: u32 = 0;
    var last_is_chunked = false;
    var values = req.fields.iterate("transfer-encoding");
    while (values.next()) |value| {
        // An empty element is let pass in other lists (RFC 9110 §5.6.1.2). Here readers differ on
        // what it makes of "chunked,", and no client has a reason to send it.
        var elements = std.mem.splitScalar(u8, value, ',');
        while (elements.next()) |text| {
            const element = chars.trimOws(text);
            if (element.len == 0) return .{ .err = .invalid_transfer_encoding };
            codings += 1;
            last_is_chunked = chars.eqlLower(element, "chunked");
            if (last_is_chunked) chunked += 1;
        }
    }
    if (!last_is_chunked or chunked != 1) return .{ .err = .invalid_transfer_encoding };
    if (codings > 1) return .{ .err = .unknown_transfer_coding };
    return .{ .body = .chunked };
}

test {
    _ = @import("decoder_test.zig");
}
