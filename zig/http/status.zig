//! Status codes (RFC 9110 §15 and the IANA registry).
const std = @import("std");

/// The registered reason phrase of `code`, static memory; "" for a code that is not registered.
pub fn reason(code: u16) []const u8 {
    return switch (code) {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        else => "",
    };
}

/// Whether a response with `code` ends by what its framing fields say (RFC 9112 §6.3): 1xx, 204 and
/// 304 end with the head. A response to HEAD always does, which only the caller knows.
pub fn bodyAllowed(code: u16) bool {
    return code >= 200 and code != 204 and code != 304;
}

/// Whether a response with `code` may carry content (RFC 9110 §6.4.1): those of `bodyAllowed`, but
/// 205, whose framing says that there is none (§15.3.6).
pub fn contentAllowed(code: u16) bool {
    return bodyAllowed(code) and code != 205;
}

test "reason phrases of registered codes, and none for the rest" {
    try std.testing.expectEqualStrings("OK", reason(200));
    try std.testing.expectEqualStrings("Request Header Fields Too Large", reason(431));
    try std.testing.expectEqualStrings("", reason(299));
    try std.testing.expectEqualStrings("", reason(0));
    try std.testing.expectEqualStrings("", reason(65535));
}

test "1xx, 204 and 304 have no content and no framing, 205 has no content" {
    for ([_]u16{ 100, 101, 103, 199, 204, 304 }) |code| try std.testing.expect(!bodyAllowed(code));
    for ([_]u16{ 200, 205, 206, 303, 404, 999 }) |code| try std.testing.expect(bodyAllowed(code));
    for ([_]u16{ 100, 199, 204, 205, 304 }) |code| try std.testing.expect(!contentAllowed(code));
    for ([_]u16{ 200, 206, 303, 404, 999 }) |code| try std.testing.expect(contentAllowed(code));
}
