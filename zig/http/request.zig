//! The protocol-neutral request: what a router, a handler and the bridge see,
//! whichever protocol brought it.

const std = @import("std");
const Address = @import("../core/address.zig").Address;
const limits = @import("../core/limits.zig");
const Method = @import("method.zig").Method;
const Fields = @import("fields.zig").Fields;
const Security = @import("security.zig").Security;
const uri = @import("uri.zig");

/// Protocol version of the exchange.
pub const Version = enum(u8) { http10 = 0, http11 = 1, http2 = 2, http3 = 3 };

/// A request body that is complete, as the segments in which it was received.
/// Valid during the handler's call.
pub const Body = struct {
    segments: []const []const u8 = &.{},
    /// Sum of the segments' lengths, bytes.
    len: u64 = 0,

    /// The body as one slice, or null when it lies in more than one segment:
    /// use `copy` or walk `segments`.
    pub fn contiguous(self: *const Body) ?[]const u8 {
        return switch (self.segments.len) {
            0 => "",
            1 => self.segments[0],
            else => null,
        };
    }

    /// Copies as much of the body as fits into `out` and returns that part.
    pub fn copy(self: *const Body, out: []u8) []u8 {
        var n: usize = 0;
        for (self.segments) |segment| {
            const take = @min(segment.len, out.len - n);
            @memcpy(out[n..][0..take], segment[0..take]);
            n += take;
        }
        return out[0..n];
    }
};

/// A request. Its slices point into the receive buffer, or a copy of it, and are valid only during
/// the handler's call. Nothing is copied, decoded or lower-cased, with one exception: a path that
/// was not sent in its canonical form.
pub const Request = struct {
    method: Method = .GET,
    /// The method as received; tells the name when `method` is `.other`.
    method_text: []const u8 = "GET",
    /// The request target as received: "/a?b", "http://host/a",
    /// "host:port" or "*" (RFC 9112 §3.2).
    target: []const u8 = "/",
    /// Path of the target in its canonical form, still percent-encoded (`uri.canonicalPath`); "/"
    /// when an absolute-form target has none; "*" for OPTIONS *. The decoder leaves it as received.
    path: []const u8 = "/",
    /// Query without "?", raw; "" when absent.
    query: []const u8 = "",
    /// Host of the request: the target's authority, else the Host field, else "".
    authority: []const u8 = "",
    version: Version = .http11,
    fields: Fields = .{},
    /// The head as received; the slices above point into it.
    head_bytes: []const u8 = "",
    body: Body = .{},
    /// The trailer fields behind a chunked body (RFC 9110 §6.5), once `body` is whole. Their
    /// grammar has been checked, and none of them is of a kind that belongs in the header section;
    /// they are never merged into `fields`.
    trailers: Fields = .{},
    peer: Address = .{},
    /// It came over HTTP/2 as an extended CONNECT (RFC 8441 §4), whose `:protocol` is known here:
    /// it asks for what GET with Upgrade asks for over HTTP/1, and has its method.
    is_extended_connect: bool = false,
    /// Of the connection, when it is one over TLS: the scheme is https then.
    tls: ?*const Security = null,

    /// First value of field `name`, matched without regard to case, or null.
    pub fn header(self: *const Request, name: []const u8) ?[]const u8 {
        return self.fields.get(name);
    }

    /// First value of trailer field `name`, matched without regard to case, or null.
    pub fn trailer(self: *const Request, name: []const u8) ?[]const u8 {
        return self.trailers.get(name);
    }

    /// Walks the query's pairs; parsed now, not before.
    pub fn queryIterator(self: *const Request) uri.QueryIterator {
        return uri.QueryIterator.init(self.query);
    }
};

test "a body in two segments has no contiguous form and copies in order" {
    const body: Body = .{ .segments = &.{ "ab", "cde" }, .len = 5 };
    try std.testing.expect(body.contiguous() == null);
    var out: [4]u8 = undefined;
    try std.testing.expectEqualStrings("abcd", body.copy(&out));
}

test "an empty body is contiguous" {
    const body: Body = .{};
    try std.testing.expectEqualStrings("", body.contiguous().?);
}
