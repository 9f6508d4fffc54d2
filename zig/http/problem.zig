//! The errors that the engine itself answers with: a stable code, the status, a sentence that
//! helps, and the page that tells all three, as text or as RFC 9457 JSON. Pages are laid out at
//! comptime: nothing of a request and nothing of the engine's inside can get into one.

const std = @import("std");
const Address = @import("../core/address.zig").Address;
const accept_field = @import("accept.zig");
const chars = @import("chars.zig");
const Fields = @import("fields.zig").Fields;
const Response = @import("response.zig").Response;
const status_codes = @import("status.zig");

/// Why a message was refused, or a request answered by the engine. The numbers are stable: they
/// cross the bridge, and logs may hold them. docs/ERRORS.md lists them.
pub const Code = enum(u16) {
    // The request line.
    invalid_method = 1100,
    method_too_long = 1101,
    invalid_target = 1102,
    uri_too_long = 1103,
    invalid_version = 1104,
    version_not_supported = 1105,
    method_not_implemented = 1106,
    trace_with_body = 1107,
    tunnel_not_supported = 1108,
    connect_with_body = 1109,
    misdirected_request = 1110,
    // Lines.
    bare_line_feed = 1120,
    bare_carriage_return = 1121,
    obs_fold = 1122,
    missing_colon = 1123,
    space_before_colon = 1124,
    invalid_field_name = 1125,
    invalid_field_value = 1126,
    head_too_large = 1127,
    too_many_fields = 1128,
    // Fields.
    missing_host = 1140,
    duplicate_host = 1141,
    invalid_host = 1142,
    invalid_content_length = 1143,
    duplicate_content_length = 1144,
    invalid_transfer_encoding = 1145,
    transfer_encoding_in_http10 = 1146,
    transfer_encoding_with_content_length = 1147,
    unknown_transfer_coding = 1148,
    expectation_failed = 1149,
    // The path.
    invalid_percent_encoding = 1160,
    ambiguous_separator = 1161,
    control_character_in_path = 1162,
    invalid_utf8_in_path = 1163,
    path_escapes_root = 1164,
    invalid_path = 1165,
    // The body.
    body_too_large = 1200,
    invalid_chunk_size = 1201,
    chunk_size_too_large = 1202,
    invalid_extension = 1203,
    extensions_too_large = 1204,
    missing_chunk_end = 1205,
    invalid_trailer = 1206,
    forbidden_trailer = 1207,
    trailers_too_large = 1208,
    too_many_trailers = 1209,
    // Time.
    header_timeout = 1300,
    body_timeout = 1301,
    body_too_slow = 1302,
    write_timeout = 1303,
    response_too_slow = 1304,
    // Room.
    out_of_buffers = 1400,
    dispatch_timeout = 1401,
    connection_memory = 1402,
    // TLS.
    tls_required = 1450,
    tls_failed = 1451,
    too_early = 1452,
    // HTTP/2.
    malformed_message = 1470,
    http2_connection_error = 1471,
    http2_excessive_load = 1472,
    // WebSocket.
    invalid_websocket_handshake = 1480,
    upgrade_required = 1481,
    forbidden_origin = 1482,
    websocket_error = 1483,
    websocket_timeout = 1484,
    // Answers to requests that were understood.
    not_found = 1500,
    method_not_allowed = 1501,
    access_denied = 1502,
    precondition_failed = 1503,
    range_not_satisfiable = 1504,
    internal_error = 1505,
    service_unavailable = 1506,
    file_unreadable = 1507,
};

/// A message that was refused, as hooks see it.
pub const ProtocolError = struct {
    code: Code,
    /// Of the response that was sent; 0 when there was none and the connection was closed.
    status: u16,
    peer: Address,
};

/// The status that goes with `code`; 0: the connection is closed without a response.
pub fn statusOf(code: Code) u16 {
    return switch (code) {
        .invalid_method,
        .invalid_target,
        .invalid_version,
        .trace_with_body,
        .connect_with_body,
        .bare_line_feed,
        .bare_carriage_return,
        .obs_fold,
        .missing_colon,
        .space_before_colon,
        .invalid_field_name,
        .invalid_field_value,
        .missing_host,
        .duplicate_host,
        .invalid_host,
        .invalid_content_length,
        .duplicate_content_length,
        .invalid_transfer_encoding,
        .transfer_encoding_in_http10,
        .transfer_encoding_with_content_length,
        .invalid_percent_encoding,
        .ambiguous_separator,
        .control_character_in_path,
        .invalid_utf8_in_path,
        .path_escapes_root,
        .invalid_path,
        .invalid_chunk_size,
        .invalid_extension,
        .missing_chunk_end,
        .invalid_trailer,
        .forbidden_trailer,
        .tls_required,
        .invalid_websocket_handshake,
        => 400,
        .access_denied, .forbidden_origin => 403,
        .not_found => 404,
        .method_not_allowed => 405,
        .header_timeout, .body_timeout, .body_too_slow => 408,
        .precondition_failed => 412,
        .body_too_large, .chunk_size_too_large, .extensions_too_large => 413,
        .uri_too_long => 414,
        .range_not_satisfiable => 416,
        .expectation_failed => 417,
        .misdirected_request => 421,
        .too_early => 425,
        .upgrade_required => 426,
        .head_too_large, .too_many_fields, .trailers_too_large, .too_many_trailers => 431,
        .internal_error, .file_unreadable => 500,
        .method_too_long,
        .method_not_implemented,
        .tunnel_not_supported,
        .unknown_transfer_coding,
        => 501,
        .out_of_buffers,
        .dispatch_timeout,
        .connection_memory,
        .service_unavailable,
        => 503,
        .version_not_supported => 505,
        .write_timeout,
        .response_too_slow,
        .tls_failed,
        .malformed_message,
        .http2_connection_error,
        .http2_excessive_load,
        .websocket_error,
        .websocket_timeout,
        => 0,
    };
}

/// One sentence for whoever wrote the client.
pub fn detailOf(code: Code) []const u8 {
    return switch (code) {
        .invalid_method => "The request line does not begin with a method and one space " ++
            "(RFC 9112 §3).",
        .method_too_long => "The method is longer than any that this server knows (RFC 9112 §3).",
        .invalid_target => "The request target is none of the four forms, or holds a byte that " ++
            "must be percent-encoded (RFC 9112 §3.2).",
        .uri_too_long => "The request target is longer than this server takes.",
        .invalid_version => "The request line does not end with one space, \"HTTP/1.1\" and " ++
            "CRLF (RFC 9112 §3).",
        .version_not_supported => "This server speaks HTTP/1.1 and HTTP/1.0 here.",
        .method_not_implemented => "No resource of this server has a meaning for the method " ++
            "(RFC 9110 §15.6.2).",
        .trace_with_body => "A TRACE request must not have content (RFC 9110 §9.3.8).",
        .tunnel_not_supported => "This server opens no tunnels: CONNECT cannot succeed " ++
            "(RFC 9110 §9.3.6).",
        .connect_with_body => "A CONNECT request has no content here: what it would mean is not " ++
            "defined (RFC 9110 §9.3.6).",
        .misdirected_request => "The target's scheme is not that of the connection: https is " ++
            "served over TLS, and http without (RFC 9110 §7.4).",
        .bare_line_feed => "A line ends with LF alone: lines end with CRLF (RFC 9112 §2.2).",
        .bare_carriage_return => "A CR is not followed by LF: lines end with CRLF (RFC 9112 §2.2).",
        .obs_fold => "A field line begins with white space: values must not be folded over " ++
            "lines (RFC 9112 §5.2).",
        .missing_colon => "A field line has no colon after its name (RFC 9112 §5).",
        .space_before_colon => "There is white space between a field name and its colon " ++
            "(RFC 9112 §5.1).",
        .invalid_field_name => "A field name holds a character that is not allowed there " ++
            "(RFC 9110 §5.1).",
        .invalid_field_value => "A field value holds a control character (RFC 9110 §5.5).",
        .head_too_large => "The request line and fields together are larger than this server " ++
            "takes.",
        .too_many_fields => "The request has more field lines than this server takes.",
        .missing_host => "The Host field is missing: HTTP/1.1 requests name the host they are " ++
            "for (RFC 9112 §3.2).",
        .duplicate_host => "There is more than one Host field (RFC 9112 §3.2).",
        .invalid_host => "The Host field is not a host with an optional port (RFC 9110 §7.2).",
        .invalid_content_length => "Content-Length is not one decimal number in range " ++
            "(RFC 9110 §8.6).",
        .duplicate_content_length => "There is more than one Content-Length field (RFC 9112 §6.3).",
        .invalid_transfer_encoding => "Transfer-Encoding does not end with \"chunked\", once " ++
            "and alone (RFC 9112 §6.1).",
        .transfer_encoding_in_http10 => "HTTP/1.0 has no Transfer-Encoding (RFC 9112 §6.1).",
        .transfer_encoding_with_content_length => "Transfer-Encoding and Content-Length stand " ++
            "together: where the body ends is ambiguous (RFC 9112 §6.3).",
        .unknown_transfer_coding => "The only transfer coding that this server undoes is " ++
            "chunked (RFC 9112 §6.1).",
        .expectation_failed => "The only expectation that this server meets is 100-continue " ++
            "(RFC 9110 §10.1.1).",
        .invalid_percent_encoding => "A % in the path is not followed by two hexadecimal digits " ++
            "(RFC 3986 §2.1).",
        .ambiguous_separator => "The path holds a backslash, plain or encoded, which some " ++
            "software takes for a slash.",
        .control_character_in_path => "The path holds a control character.",
        .invalid_utf8_in_path => "The path, decoded, is not valid UTF-8.",
        .path_escapes_root => "The \"..\" segments of the path lead above its root " ++
            "(RFC 3986 §5.2.4).",
        .invalid_path => "The path cannot name a file.",
        .body_too_large => "The content is larger than this server takes.",
        .invalid_chunk_size => "A chunk does not begin with its size in hexadecimal digits " ++
            "(RFC 9112 §7.1).",
        .chunk_size_too_large => "The size of a chunk is larger than this server takes.",
        .invalid_extension => "A chunk extension is malformed (RFC 9112 §7.1.1).",
        .extensions_too_large => "The chunk extensions are out of proportion to the data " ++
            "(RFC 9112 §7.1.1).",
        .missing_chunk_end => "The data of a chunk is longer than its size (RFC 9112 §7.1).",
        .invalid_trailer => "A trailer field line is malformed (RFC 9112 §7.1.2).",
        .forbidden_trailer => "The trailer section holds a field that must come in the head " ++
            "(RFC 9110 §6.5.1).",
        .trailers_too_large => "The trailer section is larger than this server takes.",
        .too_many_trailers => "The request has more trailer fields than this server takes.",
        .header_timeout => "The request did not come in time: its head was not complete.",
        .body_timeout => "The request did not come in time: its content stopped coming.",
        .body_too_slow => "The content came more slowly than this server waits for.",
        .write_timeout => "The client stopped reading the response.",
        .response_too_slow => "The client read the response more slowly than this server waits " ++
            "for.",
        .out_of_buffers => "The server is short of memory for this request at the moment: try " ++
            "again later.",
        .dispatch_timeout => "No handler of the server took the request for too long: try " ++
            "again later.",
        .connection_memory => "This connection has more under way than the server keeps for " ++
            "one: send less at a time, and read the responses.",
        .tls_required => "This port speaks TLS: the address begins with https:.",
        .tls_failed => "TLS ended the connection.",
        .too_early => "The request came ahead of the end of the TLS handshake, and may be a " ++
            "copy: send it again when that is over (RFC 8470 §5.2).",
        .malformed_message => "A message was malformed, and its stream reset (RFC 9113 §8.1.1).",
        .http2_connection_error => "What came was no HTTP/2 (RFC 9113 §5.4.1).",
        .http2_excessive_load => "The client caused work out of proportion (RFC 9113 §10.5).",
        .invalid_websocket_handshake => "The request asks for a WebSocket in another way than " ++
            "RFC 6455 §4.2.1 has it.",
        .upgrade_required => "Here is a WebSocket, of version 13 (RFC 6455 §4.2).",
        .forbidden_origin => "The WebSocket is not for pages of this origin (RFC 6455 §10.2).",
        .websocket_error => "What came was no WebSocket, or more of it than this server takes " ++
            "(RFC 6455 §7.1.7).",
        .websocket_timeout => "The other end of a WebSocket was silent for too long, or too slow.",
        .not_found => "Nothing is served under this path.",
        .method_not_allowed => "The resource has no such method: Allow lists those it has.",
        .access_denied => "The server may not read this file.",
        .precondition_failed => "The resource is not in the state that the request's conditions " ++
            "ask for (RFC 9110 §13.1).",
        .range_not_satisfiable => "None of the requested ranges is within the content: " ++
            "Content-Range tells its size.",
        .internal_error => "The server failed to answer this request.",
        .file_unreadable => "The server cannot read this file.",
        .service_unavailable => "The server cannot answer this request at the moment: try again " ++
            "later.",
    };
}

/// The code with the name of `e`, a value of an enum whose names are all codes: one that is not
/// does not compile.
pub fn codeOf(e: anytype) Code {
    const table = comptime blk: {
        const names = std.meta.fields(@TypeOf(e));
        var codes: [names.len]Code = undefined;
        for (names, 0..) |f, i| {
            if (f.value != i) @compileError("codeOf takes enums that count from 0");
            if (!@hasField(Code, f.name)) {
                @compileError("no problem.Code is called `" ++ f.name ++ "`; add it");
            }
            codes[i] = @field(Code, f.name);
        }
        break :blk codes;
    };
    return table[@intFromEnum(e)];
}

/// The forms that a page comes in.
pub const Format = enum(u8) {
    /// text/plain: the status line's words, the code and the detail.
    text,
    /// application/problem+json (RFC 9457).
    json,

    pub fn contentType(format: Format) []const u8 {
        return switch (format) {
            .text => "text/plain; charset=utf-8",
            .json => "application/problem+json",
        };
    }
};

/// The format that a client with this Accept wants more (RFC 9110 §12.5.1). Text where it has no
/// preference, wants neither, or says nothing that can be understood.
pub fn formatFor(accept: ?[]const u8) Format {
    var wishes: Wishes = .{};
    wishes.add(accept orelse return .text);
    return wishes.format();
}

/// The same for all Accept lines of a message, which are one list. It is asked of each request that
/// waits for its answer, and hardly ever needed. So what cannot prefer JSON is not parsed.
pub fn formatOf(fields: *const Fields) Format {
    for (fields.slice()) |field| {
        if (!chars.eqlLower(field.name, "accept")) continue;
        if (tellsFormsApart(field.value)) return formatOfAll(fields);
    }
    return .text;
}

/// False: the list names neither of the forms, nor all types that begin as one of them does. Then
/// both are wanted equally, by "*/*" or not at all.
fn tellsFormsApart(accept: []const u8) bool {
    const block_len = 32;
    const Block = @Vector(block_len, u8);
    const slashes: Block = @splat('/');
    var at: usize = 0;
    while (at + block_len <= accept.len) : (at += block_len) {
        const block: Block = accept[at..][0..block_len].*;
        var mask: u32 = @bitCast(block == slashes);
        while (mask != 0) : (mask &= mask - 1) {
            if (mayNameForm(accept, at + @ctz(mask))) return true;
        }
    }
    for (accept[at..], at..) |c, i| if (c == '/' and mayNameForm(accept, i)) return true;
    return false;
}

/// Whether the subtype behind `slash` may be of "text/*", "text/plain", "application/*",
/// "application/json" or "application/problem+json". True for a few others as well.
fn mayNameForm(accept: []const u8, slash: usize) bool {
    const subtype = accept[slash + 1 ..];
    if (subtype.len < 2) return subtype.len == 1; // "*" or nonsense: the parser knows
    return switch (subtype[0] | 0x20) {
        '*' => slash == 0 or accept[slash - 1] != '*',
        'j' => true,
        'p' => subtype[1] | 0x20 == 'l' or subtype[1] | 0x20 == 'r',
        else => false,
    };
}

fn formatOfAll(fields: *const Fields) Format {
    @branchHint(.unlikely);
    var wishes: Wishes = .{};
    var values = fields.iterate("accept");
    while (values.next()) |value| wishes.add(value);
    return wishes.format();
}

/// Bytes of a head that could not be decoded that are looked at.
const raw_bytes_max = 32 * 1024;

/// The same for a head that was refused, as far as it has been received. Lines end with LF here,
/// whatever is before it; the first empty line ends the head. Nothing else may be taken from such a
/// head: two readers might not see the same in it.
pub fn formatIn(head: []const u8) Format {
    @branchHint(.cold);
    const start = std.mem.indexOfNone(u8, head, "\r\n") orelse return .text;
    const seen = head[start..@min(head.len, start + raw_bytes_max)];
    var wishes: Wishes = .{};
    var lines = std.mem.splitScalar(u8, seen, '\n');
    _ = lines.first();
    while (lines.next()) |ended| {
        // The last line may be one that has only come in part.
        if (lines.index == null) break;
        const line = std.mem.trimRight(u8, ended, "\r");
        if (line.len == 0) break;
        const name = "accept:";
        if (std.ascii.startsWithIgnoreCase(line, name)) wishes.add(line[name.len..]);
    }
    return wishes.format();
}

/// How much a client wants each of the forms.
const Wishes = struct {
    plain: Wish = .{ .type = "text", .subtype = "plain" },
    json: Wish = .{ .type = "application", .subtype = "json" },
    problem: Wish = .{ .type = "application", .subtype = "problem+json" },
    understood: bool = true,

    const Wish = accept_field.Wish;

    fn add(wishes: *Wishes, value: []const u8) void {
        if (value.len > accept_field.value_bytes_max) wishes.understood = false;
        if (!wishes.understood) return;
        var ranges: accept_field.Iterator = .{ .bytes = value };
        while (true) {
            const range = ranges.next() catch {
                wishes.understood = false;
                return;
            };
            const known = range orelse return;
            wishes.plain.note(known);
            wishes.json.note(known);
            wishes.problem.note(known);
        }
    }

    fn format(wishes: *const Wishes) Format {
        if (!wishes.understood) return .text;
        // Whoever asks for JSON takes a problem in JSON too, unless it says otherwise.
        const named = wishes.problem.precision == .exact;
        const json = if (named) wishes.problem.quality else @max(
            wishes.problem.quality,
            wishes.json.quality,
        );
        return if (json > wishes.plain.quality) .json else .text;
    }
};

/// Makes `res` the page of `code`. Fields that are in it already stay, and go with the page: Allow,
/// Content-Range.
pub fn write(res: *Response, format: Format, code: Code) void {
    @branchHint(.cold);
    res.status = statusOf(code);
    // A head that is full goes without them.
    res.header("Content-Type", format.contentType()) catch {};
    res.header("Vary", "Accept") catch {};
    res.sendStatic(page(format, code));
}

/// The body of the page of `code`: static memory.
pub fn page(format: Format, code: Code) []const u8 {
    return switch (code) {
        inline else => |known| switch (format) {
            .text => comptime textOf(known),
            .json => comptime jsonOf(known),
        },
    };
}

fn textOf(comptime code: Code) []const u8 {
    const status = statusOf(code);
    return std.fmt.comptimePrint("{d} {s}: {s}\n{s}\n", .{
        status, status_codes.reason(status), @tagName(code), detailOf(code),
    });
}

/// "about:blank" means that the problem has no more meaning than its status, and that `title` is
/// the status's phrase (RFC 9457 §4.2.1); `code` is an extension member.
fn jsonOf(comptime code: Code) []const u8 {
    const status = statusOf(code);
    const form = "{{\"type\":\"about:blank\",\"title\":\"{s}\",\"status\":{d}," ++
        "\"code\":\"{s}\",\"detail\":\"{s}\"}}\n";
    return std.fmt.comptimePrint(form, .{
        status_codes.reason(status), status, @tagName(code), jsonText(detailOf(code)),
    });
}

/// `text` as it stands between the quotes of a JSON string.
fn jsonText(comptime text: []const u8) []const u8 {
    comptime {
        @setEvalBranchQuota(20 * text.len + 1000);
        var out: []const u8 = "";
        for (text) |c| {
            if (c < 0x20) @compileError("a detail is one line");
            out = out ++ if (c == '"' or c == '\\') "\\" ++ [_]u8{c} else &[_]u8{c};
        }
        return out;
    }
}

const testing = std.testing;

test "a page tells status, code and detail, in both forms" {
    try testing.expectEqualStrings(
        "400 Bad Request: missing_host\nThe Host field is missing: HTTP/1.1 requests name the " ++
            "host they are for (RFC 9112 §3.2).\n",
        page(.text, .missing_host),
    );
    for (std.enums.values(Code)) |code| {
        const Page = struct {
            type: []const u8,
            title: []const u8,
            status: u16,
            code: []const u8,
            detail: []const u8,
        };
        const parsed = try std.json.parseFromSlice(Page, testing.allocator, page(.json, code), .{});
        defer parsed.deinit();
        try testing.expectEqualStrings("about:blank", parsed.value.type);
        try testing.expectEqualStrings(status_codes.reason(statusOf(code)), parsed.value.title);
        try testing.expectEqual(statusOf(code), parsed.value.status);
        try testing.expectEqualStrings(@tagName(code), parsed.value.code);
        try testing.expectEqualStrings(detailOf(code), parsed.value.detail);
    }
}

test "the format is what the client wants more; text in case of doubt" {
    try testing.expectEqual(Format.text, formatFor(null));
    for ([_][]const u8{
        "",
        "*/*",
        "text/plain",
        "text/*",
        "text/html",
        "image/png",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        // A tie.
        "application/json, text/plain, */*",
        "application/json,text/plain",
        "application/problem+json;q=0.5, text/*;q=0.5",
        "application/*;q=0.3, */*;q=0.3",
        // Less than text.
        "application/json;q=0.5, */*",
        "application/json;q=0.5, text/plain;q=0.6",
        "text/plain;charset=utf-8, application/json;q=0.9",
        "application/json;q=0.9, text/plain;format=flowed",
        // Not at all.
        "application/json;q=0",
        "application/json;q=0, application/problem+json;q=0.000",
        "application/problem+json;q=0, application/json",
        "application/xml",
        "application/vnd.api+json",
        "application/jsonp",
        "application/*+json",
        // What cannot be understood.
        "application/json;q=2",
        "application/json;q=abc",
        "application/json, text",
        "json",
        "application/json\x00",
        "application/json;;q=x",
        "application/json " ++ "," ** accept_field.value_bytes_max,
    }) |accept| {
        errdefer std.debug.print("for {s}\n", .{accept});
        try testing.expectEqual(Format.text, formatFor(accept));
    }
    for ([_][]const u8{
        "application/json",
        "Application/JSON",
        "application/problem+json",
        "application/*",
        "application/json;charset=utf-8",
        "application/json; profile=\"a, b; q=0\"",
        "application/json, */*;q=0.5",
        "*/*;q=0.5, application/json",
        "application/json, text/plain;q=0.9",
        "text/html, application/json;q=0.001",
        "text/plain;q=0.5, application/problem+json;q=0.501",
        "application/json;q=0, application/problem+json",
        "text/plain;q=0, */*",
        "text/*;q=0.1, */*;q=0.2",
        ", application/json ,,",
        "application/json;q=1.000;x=y",
    }) |accept| {
        errdefer std.debug.print("for {s}\n", .{accept});
        try testing.expectEqual(Format.json, formatFor(accept));
    }
}

test "all Accept lines are one list" {
    var fields: Fields = .{};
    try testing.expectEqual(Format.text, formatOf(&fields));
    for ([_]Format{ .text, .text, .json }, [_][]const u8{ "*/*", "*/*", "text/*;q=0" }) |want, v| {
        try testing.expect(fields.append("Accept", v));
        try testing.expectEqual(want, formatOf(&fields));
    }
    fields.len = 0;
    for ([_][2][]const u8{
        .{ "Accept", "text/plain;q=0.5" },
        .{ "Host", "application/json" },
        .{ "accept", "application/json" },
    }) |field| try testing.expect(fields.append(field[0], field[1]));
    try testing.expectEqual(Format.json, formatOf(&fields));
    try testing.expect(fields.append("ACCEPT", "text/plain;q=1"));
    try testing.expectEqual(Format.text, formatOf(&fields));
}

test "what is not parsed would have given text" {
    const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif," ++
        "image/webp,image/apng,image/png,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";
    try testing.expect(!tellsFormsApart(browser));
    try testing.expect(!tellsFormsApart("*/*;q=0.5"));
    // Ranges of all kinds, in any order and at any place of a block.
    const ranges = [_][]const u8{
        "*/*",              "*/*;q=0.2",        "text/*",           "text/*;q=0.3",
        "application/*",    "text/plain;q=0",   "Application/JSON", "application/problem+json",
        "application/json", "text/html",        "image/png",        "a/b",
        "TEXT/PLAIN",       "x/p",              "application/xml",  "*/",
        "application/",     "a/b;c=\"text/*\"", "text/PLAIN;q=0.1", "APPLICATION/*;q=0.4",
    };
    var prng = std.Random.DefaultPrng.init(3);
    const random = prng.random();
    var skipped: u32 = 0;
    for (0..20_000) |_| {
        var list: std.BoundedArray(u8, 256) = .{};
        for (0..random.intRangeAtMost(u8, 1, 6)) |_| {
            list.appendSliceAssumeCapacity(ranges[random.uintLessThan(usize, ranges.len)]);
            list.appendAssumeCapacity(',');
            list.appendNTimesAssumeCapacity(' ', random.uintAtMost(u8, 3));
        }
        if (tellsFormsApart(list.constSlice())) continue;
        skipped += 1;
        try testing.expectEqual(Format.text, formatFor(list.constSlice()));
    }
    try testing.expect(skipped > 500);
}

test "a head that was refused still tells how its error is to be told" {
    const json = "accept:application/json\r\n";
    for ([_][]const u8{
        "GET / HTTP/1.1\r\n" ++ json ++ "\r\n",
        "\r\nGET /\x00 HTTP/1.1\r\nA\x01\r\n" ++ json,
        "GET / HTTP/1.1\nX\nACCEPT: \tapplication/json\t\n",
        "HEAD / HTTP/9.9\r\n" ++ json ++ "Accept: text/plain;q=0.1\r\n",
        "\x16\x03\x01\n" ++ json,
    }) |head| {
        errdefer std.debug.print("for {s}\n", .{std.fmt.fmtSliceEscapeLower(head)});
        try testing.expectEqual(Format.json, formatIn(head));
    }
    for ([_][]const u8{
        "",
        "\r\n\r\n",
        "GET /",
        // Not a line of the head, or not whole.
        json ++ "Host: a\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n" ++ json,
        "GET / HTTP/1.1\r\nX-" ++ json,
        "GET / HTTP/1.1\r\nAccept : application/json\r\n",
        "GET / HTTP/1.1\r\nAccept: application/json",
        "GET / HTTP/1.1\r\nAccept: application/json\x00\r\n",
        "GET /" ++ "a" ** raw_bytes_max ++ "\r\n" ++ json,
    }) |head| {
        errdefer std.debug.print("for {s}\n", .{std.fmt.fmtSliceEscapeLower(head)});
        try testing.expectEqual(Format.text, formatIn(head));
    }
}

test "every code has a status of an error, or none, and a sentence" {
    for (std.enums.values(Code)) |code| {
        const status = statusOf(code);
        try testing.expect(status == 0 or (status >= 400 and status <= 599));
        try testing.expect(status == 0 or status_codes.reason(status).len > 0);
        try testing.expect(std.mem.endsWith(u8, detailOf(code), "."));
    }
}

test "an enum's values have the codes of their names" {
    const Some = enum { missing_host, not_found };
    try testing.expectEqual(Code.missing_host, codeOf(Some.missing_host));
    try testing.expectEqual(Code.not_found, codeOf(Some.not_found));
}
