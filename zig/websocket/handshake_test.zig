const std = @import("std");
const testing = std.testing;
const handshake = @import("handshake.zig");
const Policy = handshake.Policy;
const Refusal = handshake.Refusal;
const permessage_deflate = @import("permessage_deflate.zig");
const Request = @import("../http/request.zig").Request;

const Pair = [2][]const u8;
const key = "dGhlIHNhbXBsZSBub25jZQ==";
const usual = [_]Pair{
    .{ "Host", "example.com" },
    .{ "Upgrade", "websocket" },
    .{ "Connection", "Upgrade" },
    .{ "Sec-WebSocket-Key", key },
    .{ "Sec-WebSocket-Version", "13" },
};

/// The usual request without the fields called `without`, and with `more`.
fn requestOf(without: []const u8, more: []const Pair) Request {
    var req: Request = .{ .authority = "example.com" };
    for (usual) |pair| {
        if (!std.ascii.eqlIgnoreCase(pair[0], without))
            std.debug.assert(req.fields.append(pair[0], pair[1]));
    }
    for (more) |pair| std.debug.assert(req.fields.append(pair[0], pair[1]));
    return req;
}

fn expectRefused(req: *const Request, policy: Policy, expected: Refusal) !void {
    try testing.expectEqual(expected, handshake.read(req, .upgrade, &policy).refused);
}

fn offerOf(req: *const Request, policy: Policy) !handshake.Offer {
    return switch (handshake.read(req, .upgrade, &policy)) {
        .offer => |offer| offer,
        .refused => |why| {
            std.debug.print("refused: {s}\n", .{@tagName(why)});
            return error.TestUnexpectedResult;
        },
    };
}

test "the example of RFC 6455 §1.3 is answered as it is there" {
    const req = requestOf("", &.{
        .{ "Origin", "http://example.com" },
        .{ "Sec-WebSocket-Protocol", "chat, superchat" },
    });
    const offer = try offerOf(&req, .{});
    try testing.expectEqual(101, offer.status());
    var out: handshake.Answer = .{};
    const fields = offer.answer(offer.choose(&.{"chat"}), &out);
    try testing.expectEqual(3, fields.len);
    try testing.expectEqualStrings("Upgrade", fields[0].name);
    try testing.expectEqualStrings("websocket", fields[0].value);
    try testing.expectEqualStrings("Sec-WebSocket-Accept", fields[1].name);
    try testing.expectEqualStrings("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", fields[1].value);
    try testing.expectEqualStrings("Sec-WebSocket-Protocol", fields[2].name);
    try testing.expectEqualStrings("chat", fields[2].value);
}

test "Upgrade and Connection are lists in any letters, on one line or several (§4.2.1)" {
    for ([_][]const Pair{
        &.{ .{ "upgrade", "WebSocket" }, .{ "connection", "keep-alive, UPGRADE" } },
        &.{ .{ "Upgrade", "h2c, websocket" }, .{ "Connection", "upgrade" } },
        &.{
            .{ "Upgrade", "h2c" },
            .{ "Upgrade", "websocket" },
            .{ "Connection", "close" },
            .{ "Connection", ",Upgrade" },
        },
    }) |fields| {
        var req = requestOf("Upgrade", fields);
        // The usual Connection is there, too: what is given has to do by itself.
        for (req.fields.items[0..req.fields.len]) |*field| {
            if (std.mem.eql(u8, field.name, "Connection")) field.name = "X-Connection";
            break;
        }
        try testing.expectEqual(.upgrade, handshake.wayOf(&req));
        _ = try offerOf(&req, .{});
    }
}

test "what does not ask for a WebSocket is none, or refused with 426 (RFC 9110 §15.5.22)" {
    for ([_][]const Pair{
        &.{},
        &.{.{ "Upgrade", "h2c" }},
        &.{.{ "Upgrade", "websockets" }},
        &.{.{ "Upgrade", "" }},
    }) |fields| {
        const req = requestOf("Upgrade", fields);
        try testing.expectEqual(null, handshake.wayOf(&req));
        try expectRefused(&req, .{}, .no_upgrade);
    }
    try testing.expectEqual(426, Refusal.no_upgrade.status(.upgrade));
    try testing.expectEqualStrings("websocket", Refusal.no_upgrade.fields(.upgrade)[0].value);
}

test "a handshake is a GET of HTTP/1.1 whose Connection names Upgrade (§4.2.1)" {
    var req = requestOf("", &.{});
    req.method = .POST;
    try expectRefused(&req, .{}, .wrong_method);
    try testing.expectEqual(405, Refusal.wrong_method.status(.upgrade));
    req = requestOf("", &.{});
    req.version = .http10;
    try testing.expectEqual(null, handshake.wayOf(&req));
    try expectRefused(&req, .{}, .wrong_http_version);
    req = requestOf("Connection", &.{});
    try expectRefused(&req, .{}, .no_connection_upgrade);
    req = requestOf("Connection", &.{.{ "Connection", "keep-alive, Upgrades" }});
    try expectRefused(&req, .{}, .no_connection_upgrade);
}

test "no content stands between a handshake and its first frame" {
    var req = requestOf("", &.{.{ "Content-Length", "5" }});
    try expectRefused(&req, .{}, .has_content);
    req = requestOf("", &.{.{ "Transfer-Encoding", "chunked" }});
    try expectRefused(&req, .{}, .has_content);
    req = requestOf("", &.{.{ "Content-Length", "0" }});
    _ = try offerOf(&req, .{});
}

test "another version is refused with 426 and the one that is spoken (§4.2.2, §4.4)" {
    for ([_][]const u8{ "8", "14", "", "13, 8", "013", "+13" }) |value| {
        const req = requestOf("Sec-WebSocket-Version", &.{.{ "Sec-WebSocket-Version", value }});
        try expectRefused(&req, .{}, .unsupported_version);
    }
    const none = requestOf("Sec-WebSocket-Version", &.{});
    try expectRefused(&none, .{}, .unsupported_version);
    const two = requestOf("", &.{.{ "Sec-WebSocket-Version", "13" }});
    try expectRefused(&two, .{}, .duplicate_version);
    const fields = Refusal.unsupported_version.fields(.upgrade);
    try testing.expectEqual(426, Refusal.unsupported_version.status(.upgrade));
    try testing.expectEqualStrings("Sec-WebSocket-Version", fields[fields.len - 1].name);
    try testing.expectEqualStrings("13", fields[fields.len - 1].value);
}

test "a key is sixteen bytes in base64, once (§4.2.1)" {
    const none = requestOf("Sec-WebSocket-Key", &.{});
    try expectRefused(&none, .{}, .missing_key);
    for ([_][]const u8{
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZWE=",
        "dGhlIHNhbXBsZSBub25jZWFi",
        "dGhlIHNhbXBsZSBub25j====",
        "dGhlIHNhbXBsZSBub25jZR==",
        "dGhlIHNhbXBsZSBub25j*Q==",
        "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
    }) |value| {
        const req = requestOf("Sec-WebSocket-Key", &.{.{ "Sec-WebSocket-Key", value }});
        try expectRefused(&req, .{}, .invalid_key);
    }
    const two = requestOf("", &.{.{ "Sec-WebSocket-Key", key }});
    try expectRefused(&two, .{}, .duplicate_key);
}

test "pages of other origins are refused with 403 where origins are listed (§4.2.2, §10.2)" {
    const list: Policy = .{ .origins = .{
        .list = &.{ "https://a.example", "http://b.example:8080" },
    } };
    const same: Policy = .{ .origins = .same };
    for ([_]struct { []const u8, bool, bool }{
        .{ "https://a.example", true, false },
        .{ "HTTPS://A.example", true, false },
        .{ "http://b.example:8080", true, false },
        .{ "http://a.example", false, false },
        .{ "https://a.example.evil", false, false },
        .{ "https://a.example:444", false, false },
        .{ "null", false, false },
        .{ "https://example.com", false, true },
        .{ "https://example.com:8443", false, false },
        .{ "example.com", false, false },
    }) |case| {
        const req = requestOf("", &.{.{ "Origin", case[0] }});
        const offer = try offerOf(&req, .{});
        try testing.expectEqualStrings(case[0], offer.origin);
        for ([_]Policy{ list, same }, [_]bool{ case[1], case[2] }) |policy, is_allowed| {
            if (is_allowed)
                _ = try offerOf(&req, policy)
            else
                try expectRefused(&req, policy, .forbidden_origin);
        }
    }
    try testing.expectEqual(403, Refusal.forbidden_origin.status(.upgrade));
    // What is no browser has none.
    const none = requestOf("", &.{});
    _ = try offerOf(&none, list);
    try expectRefused(&none, .{ .origin_required = true }, .forbidden_origin);
    const two = requestOf("", &.{ .{ "Origin", "https://a.example" }, .{ "Origin", "null" } });
    try expectRefused(&two, list, .duplicate_origin);
}

test "of subprotocols the client's first choice is taken that the server has (§4.2.2)" {
    const req = requestOf("", &.{
        .{ "Sec-WebSocket-Protocol", "a, b" },
        .{ "Sec-WebSocket-Protocol", ",c , d" },
    });
    const offer = try offerOf(&req, .{});
    try testing.expectEqualStrings("b", offer.choose(&.{ "d", "b" }).?);
    try testing.expectEqualStrings("d", offer.choose(&.{ "A", "d" }).?);
    try testing.expectEqual(null, offer.choose(&.{ "e", "B" }));
    try testing.expectEqual(null, offer.choose(&.{}));
    var out: handshake.Answer = .{};
    for (offer.answer(null, &out)) |field|
        try testing.expect(!std.mem.eql(u8, field.name, "Sec-WebSocket-Protocol"));
    for ([_][]const u8{ "", ",", "a b", "a;b", "\"a\"", "a, (b)" }) |value| {
        const wrong = requestOf("", &.{.{ "Sec-WebSocket-Protocol", value }});
        try expectRefused(&wrong, .{}, .invalid_protocol);
    }
}

test "of extensions the first offer that can be taken is; without any there is no field (§9.1)" {
    const deflate: permessage_deflate.Policy = .{
        .server_context_takeover = true,
        .client_context_takeover = true,
    };
    const policy: Policy = .{ .deflate = deflate };
    const ten = "permessage-deflate; server_max_window_bits=10";
    const name = "Sec-WebSocket-Extensions";
    const req = requestOf("", &.{
        .{ name, "x-unknown; a=b, permessage-deflate; server_max_window_bits=99" },
        .{ name, ten ++ ", permessage-deflate" },
    });
    const offer = try offerOf(&req, policy);
    try testing.expectEqual(10, offer.deflate.?.server_window_bits);
    var out: handshake.Answer = .{};
    const fields = offer.answer(null, &out);
    try testing.expectEqualStrings(name, fields[2].name);
    try testing.expectEqualStrings(ten, fields[2].value);
    // An engine without a codec has no policy for it.
    const without = try offerOf(&req, .{});
    try testing.expectEqual(null, without.deflate);
    try testing.expectEqual(2, without.answer(null, &out).len);
    for ([_][]const u8{ "", ";", "permessage-deflate;", "a=b", ten ++ ", a;;b" }) |value| {
        const wrong = requestOf("", &.{.{ name, value }});
        try expectRefused(&wrong, policy, .invalid_extensions);
        try expectRefused(&wrong, .{}, .invalid_extensions);
    }
    const many = requestOf("", &.{.{ name, "a," ** 16 ++ "a" }});
    try expectRefused(&many, policy, .invalid_extensions);
}

test "over HTTP/2 there is no key, no Upgrade, no Connection: the answer is 200 (RFC 8441 §5)" {
    var req: Request = .{ .method = .CONNECT, .version = .http2, .authority = "example.com" };
    for ([_]Pair{
        .{ "host", "example.com" },
        .{ "sec-websocket-version", "13" },
        .{ "sec-websocket-protocol", "chat" },
        .{ "sec-websocket-extensions", "permessage-deflate" },
        .{ "origin", "https://example.com" },
    }) |pair| try testing.expect(req.fields.append(pair[0], pair[1]));
    const policy: Policy = .{ .origins = .same, .deflate = .{} };
    const offer = handshake.read(&req, .extended_connect, &policy).offer;
    try testing.expectEqual(200, offer.status());
    var out: handshake.Answer = .{};
    const fields = offer.answer("chat", &out);
    try testing.expectEqual(2, fields.len);
    try testing.expectEqualStrings("Sec-WebSocket-Protocol", fields[0].name);
    try testing.expectEqualStrings("Sec-WebSocket-Extensions", fields[1].name);
    req.fields.items[1].value = "12";
    const refused = handshake.read(&req, .extended_connect, &policy).refused;
    try testing.expectEqual(Refusal.unsupported_version, refused);
    try testing.expect(handshake.isWebSocket("websocket"));
    try testing.expect(!handshake.isWebSocket("webtransport"));
}

test "every refusal is an error to the client" {
    for (std.enums.values(handshake.Way)) |way| for (std.enums.values(Refusal)) |refusal| {
        const status = refusal.status(way);
        try testing.expect(status >= 400 and status < 500);
    };
}
