//! A field block as a `Request` (RFC 9113 §8): the same that HTTP/1's decoder fills. Its slices lie
//! in the block, whose text is the request's `head_bytes`.

const std = @import("std");
const assert = std.debug.assert;
const authority = @import("../http/authority.zig");
const chars = @import("../http/chars.zig");
const content_length = @import("../http/content_length.zig");
const Fields = @import("../http/fields.zig").Fields;
const isToken = @import("../http/fields.zig").isToken;
const ListIterator = @import("../http/fields.zig").ListIterator;
const Method = @import("../http/method.zig").Method;
const Request = @import("../http/request.zig").Request;
const trailer_fields = @import("../http/trailers.zig");
const Block = @import("hpack/decoder.zig").Block;
const Name = @import("hpack/names.zig").Name;

pub const Limits = struct {
    /// More is 414, bytes.
    target_bytes_max: u32 = 8192,
    /// Fields that a handler sees: more is 431. `Fields.capacity` bounds it too.
    header_count_max: u16 = 100,
    /// We have sent SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 §3).
    extended_connect: bool = false,
};

/// Longest method token: a longer one is 501.
pub const method_bytes_max = 32;

pub const Scheme = enum { http, https, other };

/// What a request's head says beside what is in `Request`.
pub const Head = struct {
    /// Content-Length, bytes; null: content ends with the stream.
    content_length: ?u64,
    /// The client waits for "100 Continue" before it sends the content (RFC 9110 §10.1.1).
    expect_continue: bool,
    /// Of CONNECT without `:protocol` it is `other`.
    scheme: Scheme,
    /// `:protocol` of an extended CONNECT (RFC 8441 §4); "": it is none.
    protocol: []const u8,
    /// Value of Priority (RFC 9218 §5); "" when absent.
    priority: []const u8,
};

/// Why a message is malformed (RFC 9113 §8.1.1): the stream is reset with PROTOCOL_ERROR.
pub const Malformed = enum {
    /// A pseudo-header field that requests do not have, twice, or behind a field (§8.3).
    invalid_pseudo_field,
    missing_method,
    invalid_method,
    /// A request without `:scheme`, or CONNECT with it (§8.3.1, §8.5).
    invalid_scheme,
    /// A request without `:path`, with an empty one, or with one that is no path (§8.3.1).
    invalid_path,
    missing_authority,
    invalid_authority,
    /// Host names another than `:authority`, or there are two (§8.3.1).
    invalid_host,
    /// `:protocol` without CONNECT, or without that we had offered it (RFC 8441 §4).
    invalid_protocol,
    /// Upper case, or what no name may hold (§8.2.1).
    invalid_field_name,
    invalid_field_value,
    /// Connection and its kind (§8.2.2).
    connection_field,
    /// TE with more than "trailers" (§8.2.2).
    invalid_te,
    invalid_content_length,
    /// Content-Length is not how much has come (§8.1.1).
    content_length_mismatch,
    /// A pseudo-header field in a trailer section (§8.1).
    pseudo_trailer,
    /// A field that does not belong in a trailer section (RFC 9110 §6.5.1).
    forbidden_trailer,
};

/// Requests that are answered, but not served: each has its `problem.Code`.
pub const Refusal = enum {
    head_too_large,
    too_many_fields,
    uri_too_long,
    method_too_long,
    expectation_failed,
};

pub const Result = union(enum) {
    head: Head,
    malformed: Malformed,
    refused: Refusal,
};

/// Fills `req` with what `block` says: method, method_text, target, path, query, authority,
/// version, fields and head_bytes; its other members are left alone. Of one that is refused it has
/// the method and the fields as far as they were read; of one that is malformed nothing means
/// anything. `end_stream`: no content follows.
///
/// Handlers see what they see of HTTP/1: a Host field, first, where there is `:authority` alone,
/// and one Cookie where there were several (§8.2.3). That takes room in the block.
pub fn decode(block: *Block, end_stream: bool, limits: Limits, req: *Request) Result {
    // What there is of another message is none of this one's.
    req.method = .GET;
    req.fields.len = 0;
    switch (block.excess) {
        .none => {},
        .too_large => return .{ .refused = .head_too_large },
        .too_many => return .{ .refused = .too_many_fields },
    }
    var reader: Reader = .{
        .req = req,
        .count_max = @min(limits.header_count_max, Fields.capacity),
    };
    reader.read(block) catch |err| return reader.failure(err);
    return reader.conclude(block, end_stream, limits) catch |err| return reader.failure(err);
}

const Error = error{ Malformed, Refused };

const Reader = struct {
    req: *Request,
    count_max: u16,
    /// Fields so far; a Host that is made comes in front of them.
    count: u16 = 0,
    method: ?[]const u8 = null,
    scheme: ?[]const u8 = null,
    path: ?[]const u8 = null,
    authority: ?[]const u8 = null,
    protocol: ?[]const u8 = null,
    host: ?[]const u8 = null,
    content_length: ?[]const u8 = null,
    priority: []const u8 = "",
    cookies: u16 = 0,
    expect_continue: bool = false,
    expect_other: bool = false,
    malformed: Malformed = undefined,
    refusal: Refusal = undefined,

    fn failure(self: *const Reader, err: Error) Result {
        return switch (err) {
            error.Malformed => .{ .malformed = self.malformed },
            error.Refused => .{ .refused = self.refusal },
        };
    }

    fn bad(self: *Reader, why: Malformed) Error {
        @branchHint(.cold);
        self.malformed = why;
        return error.Malformed;
    }

    fn refuse(self: *Reader, why: Refusal) Error {
        @branchHint(.cold);
        self.refusal = why;
        self.req.fields.len = @min(self.count, self.count_max); // for the form of its answer
        return error.Refused;
    }

    fn read(self: *Reader, block: *const Block) Error!void {
        var fields = block.fields();
        var is_behind_pseudo = false;
        while (fields.next()) |field| {
            if (field.defects.name) return self.bad(.invalid_field_name);
            if (field.defects.value) return self.bad(.invalid_field_value);
            if (field.name.isPseudo()) {
                if (is_behind_pseudo) return self.bad(.invalid_pseudo_field);
                try self.notePseudo(field.name, field.value);
                continue;
            }
            is_behind_pseudo = true;
            try self.note(field.name, field.value);
            // There is one more place than that for Host, and what is too many is counted.
            if (self.count < self.count_max)
                self.req.fields.items[self.count] = .{ .name = field.text, .value = field.value };
            self.count += 1;
        }
    }

    fn notePseudo(self: *Reader, name: Name, value: []const u8) Error!void {
        const place = switch (name) {
            .@":method" => &self.method,
            .@":scheme" => &self.scheme,
            .@":path" => &self.path,
            .@":authority" => &self.authority,
            .@":protocol" => &self.protocol,
            else => return self.bad(.invalid_pseudo_field),
        };
        if (place.* != null) return self.bad(.invalid_pseudo_field);
        place.* = value;
    }

    inline fn note(self: *Reader, name: Name, value: []const u8) Error!void {
        switch (name) {
            .host => {
                if (self.host != null) return self.bad(.invalid_host);
                self.host = value;
            },
            .cookie => self.cookies += 1,
            .@"content-length" => {
                if (self.content_length != null) return self.bad(.invalid_content_length);
                self.content_length = value;
            },
            .connection, .@"keep-alive", .@"proxy-connection", .@"transfer-encoding", .upgrade => {
                return self.bad(.connection_field);
            },
            .te => if (!std.ascii.eqlIgnoreCase(value, "trailers")) return self.bad(.invalid_te),
            .expect => self.noteExpect(value),
            .priority => self.priority = value,
            else => {},
        }
    }

    fn noteExpect(self: *Reader, value: []const u8) void {
        var expectations: ListIterator = .{ .rest = value };
        while (expectations.next()) |expectation| {
            if (chars.eqlLower(expectation, "100-continue")) {
                self.expect_continue = true;
            } else self.expect_other = true;
        }
    }

    fn conclude(self: *Reader, block: *Block, end_stream: bool, limits: Limits) Error!Result {
        const req = self.req;
        const method = self.method orelse return self.bad(.missing_method);
        const known = Method.parse(method);
        if (known == .other) {
            if (!isToken(method)) return self.bad(.invalid_method);
            if (method.len > method_bytes_max) return self.refuse(.method_too_long);
        }
        req.method_text = method;
        req.method = known;
        req.version = .http2;
        const scheme = try self.concludeTarget(limits);
        try self.concludeAuthority();
        const length = try self.concludeLength(end_stream);
        if (self.expect_other) return self.refuse(.expectation_failed);
        if (self.count > self.count_max) return self.refuse(.too_many_fields);
        req.fields.len = self.count;
        if (self.cookies > 1) try self.joinCookies(block);
        if (self.host == null) try self.addHost(block);
        req.head_bytes = block.text[0..block.bytes];
        return .{ .head = .{
            .content_length = length,
            .expect_continue = self.expect_continue and !end_stream,
            .scheme = scheme,
            .protocol = self.protocol orelse "",
            .priority = self.priority,
        } };
    }

    /// §8.3.1; §8.5 for CONNECT, RFC 8441 §4 for one with a protocol.
    fn concludeTarget(self: *Reader, limits: Limits) Error!Scheme {
        const req = self.req;
        if (self.protocol != null and (req.method != .CONNECT or !limits.extended_connect))
            return self.bad(.invalid_protocol);
        if (req.method == .CONNECT and self.protocol == null) {
            if (self.scheme != null) return self.bad(.invalid_scheme);
            if (self.path != null) return self.bad(.invalid_path);
            const target = self.authority orelse return self.bad(.missing_authority);
            if (!authority.isValidWithPort(target)) return self.bad(.invalid_authority);
            req.target = target;
            req.path = target[target.len..];
            req.query = target[target.len..];
            return .other;
        }
        const scheme = self.scheme orelse return self.bad(.invalid_scheme);
        const known = knownScheme(scheme) orelse try self.schemeOf(scheme);
        const path = self.path orelse return self.bad(.invalid_path);
        if (path.len > limits.target_bytes_max) return self.refuse(.uri_too_long);
        if (chars.findShort(.target_stop, path) < path.len) return self.bad(.invalid_path);
        const is_asterisk = req.method == .OPTIONS and std.mem.eql(u8, path, "*");
        if (!std.mem.startsWith(u8, path, "/") and !is_asterisk) return self.bad(.invalid_path);
        req.target = path;
        const end = chars.findShort(.question_mark, path);
        req.path = path[0..end];
        req.query = path[@min(end + 1, path.len)..];
        return known;
    }

    /// As it is usually written; null: otherwise.
    fn knownScheme(scheme: []const u8) ?Scheme {
        if (std.mem.eql(u8, scheme, "https")) return .https;
        return if (std.mem.eql(u8, scheme, "http")) .http else null;
    }

    fn schemeOf(self: *Reader, scheme: []const u8) Error!Scheme {
        @branchHint(.cold);
        if (!isScheme(scheme)) return self.bad(.invalid_scheme);
        if (std.ascii.eqlIgnoreCase(scheme, "https")) return .https;
        return if (std.ascii.eqlIgnoreCase(scheme, "http")) .http else .other;
    }

    /// RFC 3986 §3.1
    fn isScheme(text: []const u8) bool {
        if (text.len == 0 or !std.ascii.isAlphabetic(text[0])) return false;
        for (text) |byte| switch (byte) {
            'a'...'z', 'A'...'Z', '0'...'9', '+', '-', '.' => {},
            else => return false,
        };
        return true;
    }

    fn concludeAuthority(self: *Reader) Error!void {
        const named = self.authority orelse self.host orelse return self.bad(.missing_authority);
        if (!authority.isValid(named)) return self.bad(.invalid_authority);
        if (self.host) |host| {
            if (!std.ascii.eqlIgnoreCase(host, named)) return self.bad(.invalid_host);
        }
        self.req.authority = named;
    }

    fn concludeLength(self: *Reader, end_stream: bool) Error!?u64 {
        const text = self.content_length orelse return null;
        const length = content_length.parse(text) orelse return self.bad(.invalid_content_length);
        if (end_stream and length > 0) return self.bad(.content_length_mismatch);
        return length;
    }

    /// One Cookie, where the first was: crumbs are a matter of compression (§8.2.3).
    fn joinCookies(self: *Reader, block: *Block) Error!void {
        const req = self.req;
        var out = std.io.fixedBufferStream(block.text[block.bytes..]);
        var kept: u16 = 0;
        var joined_at: ?u16 = null;
        for (req.fields.slice()) |field| {
            if (std.mem.eql(u8, field.name, "cookie")) {
                const separator = if (joined_at == null) "" else "; ";
                for ([_][]const u8{ separator, field.value }) |part| {
                    out.writer().writeAll(part) catch return self.refuse(.head_too_large);
                }
                if (joined_at != null) continue;
                joined_at = kept;
            }
            req.fields.items[kept] = field;
            kept += 1;
        }
        req.fields.len = kept;
        req.fields.items[joined_at.?].value = out.getWritten();
        block.bytes += @intCast(out.pos);
    }

    /// Who looks for Host finds it.
    fn addHost(self: *Reader, block: *Block) Error!void {
        const fields = &self.req.fields;
        const name = "host";
        if (fields.len == self.count_max) return self.refuse(.too_many_fields);
        if (block.text.len - block.bytes < name.len) return self.refuse(.head_too_large);
        const text = block.text[block.bytes..][0..name.len];
        text.* = name.*;
        block.bytes += name.len;
        const items = fields.items[0 .. fields.len + 1];
        std.mem.copyBackwards(@TypeOf(items[0]), items[1..], items[0..fields.len]);
        items[0] = .{ .name = text, .value = self.req.authority };
        fields.len += 1;
    }
};

/// How much content has come, beside what Content-Length says (§8.1.1).
pub const Content = struct {
    /// Bytes; null: nothing was said.
    left: ?u64,

    /// So many bytes of content have come.
    pub fn take(self: *Content, bytes: u64) error{Malformed}!void {
        const left = self.left orelse return;
        if (bytes > left) return error.Malformed;
        self.left = left - bytes;
    }

    /// The stream has ended.
    pub fn end(self: *const Content) error{Malformed}!void {
        if ((self.left orelse 0) > 0) return error.Malformed;
    }
};

pub const TrailerLimits = struct {
    /// Of their lines, bytes.
    bytes_max: u32,
    count_max: u16,
};

/// What is wrong with a trailer section; null: nothing, and its text are lines as
/// `trailers.parse` of zig/http takes them.
pub const TrailerError = union(enum) {
    malformed: Malformed,
    trailers_too_large,
    too_many_trailers,
};

/// Judges a field block that ends a message (§8.1).
pub fn checkTrailers(block: *const Block, limits: TrailerLimits) ?TrailerError {
    switch (block.excess) {
        .none => {},
        .too_large => return .trailers_too_large,
        .too_many => return .too_many_trailers,
    }
    if (block.bytes > limits.bytes_max) return .trailers_too_large;
    if (block.count > limits.count_max) return .too_many_trailers;
    var fields = block.fields();
    while (fields.next()) |field| {
        if (field.defects.name) return .{ .malformed = .invalid_field_name };
        if (field.defects.value) return .{ .malformed = .invalid_field_value };
        if (field.name.isPseudo()) return .{ .malformed = .pseudo_trailer };
        if (trailer_fields.isForbidden(field.text)) return .{ .malformed = .forbidden_trailer };
    }
    return null;
}

test {
    _ = @import("request_test.zig");
}
