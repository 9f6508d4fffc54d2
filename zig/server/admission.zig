//! What happens between the decoder and the dispatcher: the path gets its canonical form, and what
//! this server does not serve is refused.

const std = @import("std");
const problem = @import("../http/problem.zig");
const Code = problem.Code;
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const uri = @import("../http/uri.zig");
const decoder = @import("../http1/decoder.zig");
const Action = @import("exchange.zig").Action;

pub fn Admission(comptime D: type) type {
    return struct {
        /// Makes the decoded request what a dispatcher may see; or tells why it cannot be served.
        pub fn admit(d: *D, framing: decoder.Framing) ?Code {
            switch (d.request.method) {
                .CONNECT, .TRACE => if (refusalOfUnusual(d, framing)) |code| return code,
                else => {},
            }
            switch (framing.body) {
                .length => |n| if (n > d.config.body_bytes_max) return .body_too_large,
                else => {},
            }
            if (d.request.target[0] != '/' and isOfOtherScheme(d)) return .misdirected_request;
            return makePathCanonical(d);
        }

        /// An https resource is to be had over a secured connection alone, and one of http is
        /// another one (RFC 9110 §7.4).
        fn isOfOtherScheme(d: *const D) bool {
            @branchHint(.cold);
            const other = if (d.request.tls == null) "https://" else "http://";
            return std.ascii.startsWithIgnoreCase(d.request.target, other);
        }

        /// Whoever looks at a path from here on sees one form of it. What is no path ("*", and
        /// CONNECT's empty one) looks canonical and stays.
        pub inline fn makePathCanonical(d: *D) ?Code {
            if (uri.isCanonical(d.request.path)) return null;
            return resolvePath(d);
        }

        fn resolvePath(d: *D) ?Code {
            @branchHint(.cold);
            d.request.path = uri.canonicalPath(d.request.path, d.path_buffer) catch |err| {
                return codeOf(err);
            };
            return null;
        }

        fn codeOf(err: uri.PathError) Code {
            return switch (err) {
                error.InvalidEncoding => .invalid_percent_encoding,
                error.AmbiguousSeparator => .ambiguous_separator,
                error.ControlCharacter => .control_character_in_path,
                error.InvalidUtf8 => .invalid_utf8_in_path,
                error.EscapesRoot => .path_escapes_root,
            };
        }

        /// Whether they are served at all (RFC 9110 §15.6.2), and neither may have content (§9.3.6,
        /// §9.3.8).
        fn refusalOfUnusual(d: *D, framing: decoder.Framing) ?Code {
            @branchHint(.cold);
            const is_trace = d.request.method == .TRACE;
            const served = if (is_trace) d.config.trace else d.config.connect;
            if (!served) return .method_not_implemented;
            if (!hasContent(framing)) return null;
            return if (is_trace) .trace_with_body else .connect_with_body;
        }

        fn hasContent(framing: decoder.Framing) bool {
            return switch (framing.body) {
                .none => false,
                .length => |n| n > 0,
                .chunked => true,
            };
        }

        /// Answers CONNECT and TRACE, which `admit` has let through.
        pub fn dispatchUnusual(d: *D, ex: *D.Exchange, res: *Response) Action {
            @branchHint(.cold);
            if (d.request.method == .TRACE) {
                trace(&d.request, res);
                return .respond;
            }
            // What follows may be meant for the tunnel that there is not (RFC 9110 §9.3.6).
            ex.keep_alive = false;
            return d.dispatcher.onRequest(d, ex, &d.request, res);
        }
    };
}

/// The request as it was received, but for what its sender may want to keep secret (RFC 9110
/// §9.3.8).
fn trace(req: *const Request, res: *Response) void {
    res.header("Content-Type", "message/http") catch unreachable; // the first of a fresh response
    echo(req.head_bytes, res) catch {
        res.reset();
        problem.write(res, problem.formatOf(&req.fields), .out_of_buffers);
    };
}

fn echo(head: []const u8, res: *Response) error{OutOfBuffers}!void {
    var rest = head;
    while (std.mem.indexOfScalar(u8, rest, '\n')) |line_feed| {
        const line = rest[0 .. line_feed + 1];
        rest = rest[line.len..];
        // The request line goes through whole; the decoder let only lines with a colon follow it.
        const colon = std.mem.indexOfScalar(u8, line, ':') orelse 0;
        if (line.ptr != head.ptr and isSensitive(line[0..colon])) continue;
        try res.write(line);
    }
}

/// Whether a field of this name is likely to hold what gives access.
fn isSensitive(name: []const u8) bool {
    for ([_][]const u8{
        "auth",    "cookie",    "credential", "key", "password", "secret",
        "session", "signature", "token",
    }) |part| if (std.ascii.indexOfIgnoreCase(name, part) != null) return true;
    return false;
}

test "credentials, cookies and keys are sensitive, what frames and negotiates is not" {
    for ([_][]const u8{
        "Authorization", "Proxy-Authorization", "Cookie",       "X-API-Key",
        "X-Auth-Token",  "X-CSRF-Token",        "X-Session-Id", "X-Amz-Security-Token",
    }) |name| try std.testing.expect(isSensitive(name));
    for ([_][]const u8{
        "Host", "Accept", "Accept-Encoding", "Via", "User-Agent", "Max-Forwards", "",
    }) |name| try std.testing.expect(!isSensitive(name));
}

test "a trace holds the request line and the fields as they came, without the sensitive ones" {
    const Buddy = @import("../core/buddy.zig").Buddy;
    const LineBuffer = @import("../http/field_lines.zig").LineBuffer;
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: LineBuffer(256, 8) = .{};
    var res = Response.init(lines.list(), &pool);
    defer res.dropBody();
    const head = "TRACE /a?token:=1 HTTP/1.1\r\nHost:a\r\nCookie: b\r\nX-A:  b \r\n" ++
        "authorization: c\r\n\r\n";
    const req = Request{ .method = .TRACE, .head_bytes = head };
    trace(&req, &res);
    const expected = "TRACE /a?token:=1 HTTP/1.1\r\nHost:a\r\nX-A:  b \r\n\r\n";
    try std.testing.expectEqualStrings(expected, res.body.written.front());
    try std.testing.expectEqualStrings("Content-Type: message/http\r\n", res.fieldLines().text);
}
