//! What connections over TLS, and those that are sent there, have to do with requests.

const std = @import("std");
const Code = problem.Code;
const log = @import("../core/log.zig");
const FieldLines = @import("../http/field_lines.zig").FieldLines;
const problem = @import("../http/problem.zig");
const Response = @import("../http/response.zig").Response;
const Security = @import("../http/security.zig").Security;
const Action = @import("exchange.zig").Action;
const refusals_of = @import("refusals.zig").Refusals;

/// Authorities of certificates ask there, without TLS, whether a name is this server's (RFC 8555
/// §8.3).
const challenge_path = "/.well-known/acme-challenge/";

pub fn Secured(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Filtering = D.Net.Filtering;
        const refusals = refusals_of(D);

        /// What a request on `conn` is told.
        pub inline fn of(d: *D, conn: *const Conn) ?*const Security {
            if (!conn.is_filtered) return null;
            return Filtering.filterOf(&d.net, conn).securityNow();
        }

        /// A field line that goes with every response; "" for none, and where the response has its
        /// own, as two must not be sent (RFC 6797 §7.1).
        pub inline fn ownLine(d: *D, conn: *const Conn, lines: FieldLines) []const u8 {
            if (!conn.is_filtered) return "";
            const line = Filtering.filterOf(&d.net, conn).hstsLine();
            return if (line.len == 0 or hasHsts(lines)) "" else line;
        }

        fn hasHsts(lines: FieldLines) bool {
            var fields = lines.fields();
            while (fields.next()) |field| {
                if (std.ascii.eqlIgnoreCase(field.name, "Strict-Transport-Security")) return true;
            }
            return false;
        }

        /// Answers the requests that nobody else is to see; null for the others.
        pub inline fn answer(d: *D, conn: *const Conn, res: *Response) ?Action {
            if (d.request.tls) |security| {
                if (!security.is_early or isSafe(d)) return null;
                return refuse(d, res, .too_early);
            }
            const shared = d.tls orelse return null;
            const port = shared.redirects[conn.listener] orelse return null;
            return redirect(d, port, res);
        }

        /// One that does nothing may be a copy (RFC 8470 §4, RFC 9110 §9.2.1).
        fn isSafe(d: *const D) bool {
            return switch (d.request.method) {
                .GET, .HEAD, .OPTIONS, .TRACE => true,
                else => false,
            };
        }

        fn refuse(d: *D, res: *Response, code: Code) Action {
            @branchHint(.cold);
            problem.write(res, problem.formatOf(&d.request.fields), code);
            return .respond;
        }

        /// The same resource over TLS.
        fn redirect(d: *D, port: u16, res: *Response) ?Action {
            @branchHint(.cold);
            const request = &d.request;
            if (std.mem.startsWith(u8, request.path, challenge_path)) return null;
            if (request.path.len == 0 or request.path[0] != '/' or request.authority.len == 0)
                return refuse(d, res, .misdirected_request);
            const mark = if (request.query.len > 0) "?" else "";
            const host = hostOf(request.authority);
            var digits: [8]u8 = undefined;
            const at = if (port == 443) "" else // the longest fits
                std.fmt.bufPrint(&digits, ":{d}", .{port}) catch unreachable;
            const location = std.fmt.bufPrint(d.head_buffer, "https://{s}{s}{s}{s}{s}", .{
                host, at, request.path, mark, request.query,
            }) catch return refuse(d, res, .uri_too_long);
            res.status = 308;
            res.header("Location", location) catch return refuse(d, res, .uri_too_long);
            return .respond;
        }

        /// Whether HTTP/2 was agreed on.
        pub fn wantsHttp2(d: *D, conn: *const Conn) bool {
            if (!conn.is_filtered) return false;
            const protocol = Filtering.filterOf(&d.net, conn).security.protocol;
            return std.mem.eql(u8, protocol, "h2");
        }

        // For the driver.

        /// The handshake is over: the time of a first request begins.
        pub fn onFiltered(d: *D, conn: *Conn) void {
            conn.app.opened_ms = d.net.now_ms;
            const is_begun = conn.app.http1.spoken == .http2; // by data ahead
            if (!is_begun and wantsHttp2(d, conn)) D.http2.begin(d, conn);
        }

        pub fn onFilterFailed(d: *D, conn: *Conn) void {
            const filter = Filtering.filterOf(&d.net, conn);
            if (filter.ended == .no_memory) log.limited("a handshake found no memory", .{});
            const failure = filter.takeReason() orelse
                return refusals.report(d, conn, .tls_failed, 0);
            log.debug("TLS ended a connection: {s}, {s}", .{
                @tagName(failure.alert), @tagName(failure.by),
            });
            if (failure.by != .not_tls) return refusals.report(d, conn, .tls_failed, 0);
            const is_told = filter.page.len > 0;
            const status = if (is_told) problem.statusOf(.tls_required) else 0;
            refusals.report(d, conn, .tls_required, status);
        }

        /// Ends the connections whose handshakes have ended for others.
        pub fn closeEvicted(d: *D) void {
            while (d.handshakes.takeEvicted()) |filter| {
                const conn = d.net.conns.get(filter.conn) orelse continue;
                // It may have sent something since, and been told of already.
                if (conn.isOpen()) refusals.closeFor(d, conn, .tls_failed);
            }
        }
    };
}

/// An authority without its port.
fn hostOf(authority: []const u8) []const u8 {
    const colon = std.mem.lastIndexOfScalar(u8, authority, ':') orelse return authority;
    const bracket = std.mem.lastIndexOfScalar(u8, authority, ']') orelse 0;
    return if (colon > bracket) authority[0..colon] else authority;
}

test "an authority's host" {
    try std.testing.expectEqualStrings("a", hostOf("a:80"));
    try std.testing.expectEqualStrings("a", hostOf("a"));
    try std.testing.expectEqualStrings("[::1]", hostOf("[::1]"));
    try std.testing.expectEqualStrings("[::1]", hostOf("[::1]:80"));
}
