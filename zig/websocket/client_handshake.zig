//! The client's side of the opening handshake (RFC 6455 §4.1), without I/O: what is to be asked,
//! and whether the answer opens a connection.

const std = @import("std");
const assert = std.debug.assert;
const fields_file = @import("../http/fields.zig");
const Field = fields_file.Field;
const Fields = fields_file.Fields;
const extensions = @import("extensions.zig");
const handshake = @import("handshake.zig");
const permessage_deflate = @import("permessage_deflate.zig");

/// What a client asks for.
pub const Wish = struct {
    /// Tokens, each once, first the one that it likes best.
    protocols: []const []const u8 = &.{},
    /// What it would agree on; null: no compression.
    deflate: ?permessage_deflate.Agreement = null,
};

/// A handshake that has begun. Its memory holds what `fields` gives.
pub const Client = struct {
    wish: Wish,
    key: [handshake.key_bytes]u8,
    extension: [extension_bytes_max]u8 = undefined,
    lines: [4 + protocols_max]Field = undefined,

    /// Subprotocols that can be asked for.
    pub const protocols_max = 16;
    /// The parameter is offered without a value where any window does.
    const any_client_window = "; client_max_window_bits";
    const extension_bytes_max =
        permessage_deflate.Agreement.text_bytes_max + any_client_window.len;

    /// `random`: sixteen bytes that nobody can foresee.
    pub fn init(wish: Wish, random: *const [16]u8) Client {
        assert(wish.protocols.len <= protocols_max);
        for (wish.protocols) |protocol| assert(fields_file.isToken(protocol));
        var client: Client = .{ .wish = wish, .key = undefined };
        _ = std.base64.standard.Encoder.encode(&client.key, random);
        return client;
    }

    /// The request's fields, beside Host and `Connection: Upgrade`. It is a GET in HTTP/1.1.
    pub fn fields(self: *Client) []const Field {
        const protocol_name = "Sec-WebSocket-Protocol";
        self.lines[0] = .{ .name = "Upgrade", .value = "websocket" };
        self.lines[1] = .{ .name = "Sec-WebSocket-Key", .value = &self.key };
        self.lines[2] = .{ .name = "Sec-WebSocket-Version", .value = handshake.version };
        var len: usize = 3;
        if (self.wish.deflate) |offer| {
            const room = permessage_deflate.Agreement.text_bytes_max;
            var text_len = offer.write(self.extension[0..room]).len;
            if (offer.client_window_bits == 15) {
                @memcpy(self.extension[text_len..][0..any_client_window.len], any_client_window);
                text_len += any_client_window.len;
            }
            const value = self.extension[0..text_len];
            self.lines[len] = .{ .name = "Sec-WebSocket-Extensions", .value = value };
            len += 1;
        }
        for (self.wish.protocols) |protocol| {
            self.lines[len] = .{ .name = protocol_name, .value = protocol };
            len += 1;
        }
        return self.lines[0..len];
    }

    /// What the answer says. A status other than 101 is an answer like any other.
    pub fn read(self: *const Client, status: u16, answer: *const Fields) Verdict {
        if (status != 101) return .{ .failed = .not_switched };
        if (!hasOnlyToken(answer, "upgrade", "websocket")) return .{ .failed = .wrong_upgrade };
        if (!handshake.hasToken(answer, "connection", "upgrade"))
            return .{ .failed = .wrong_connection };
        const accept = only(answer, "sec-websocket-accept") orelse
            return .{ .failed = .wrong_accept };
        if (!std.mem.eql(u8, accept, &handshake.acceptOf(&self.key)))
            return .{ .failed = .wrong_accept };
        var opened: Opened = .{ .protocol = null, .deflate = null };
        if (answer.get("sec-websocket-protocol") != null) {
            opened.protocol = self.protocolOf(answer) orelse
                return .{ .failed = .wrong_protocol };
        }
        if (answer.get("sec-websocket-extensions") != null) {
            opened.deflate = self.deflateOf(answer) catch
                return .{ .failed = .wrong_extensions };
        }
        return .{ .opened = opened };
    }

    fn protocolOf(self: *const Client, answer: *const Fields) ?[]const u8 {
        const chosen = only(answer, "sec-websocket-protocol") orelse return null;
        for (self.wish.protocols) |one| if (std.mem.eql(u8, one, chosen)) return one;
        return null;
    }

    fn deflateOf(
        self: *const Client,
        answer: *const Fields,
    ) error{ Malformed, NotOffered }!permessage_deflate.Agreement {
        const offer = self.wish.deflate orelse return error.NotOffered;
        var found: ?permessage_deflate.Agreement = null;
        var values = answer.iterate("sec-websocket-extensions");
        while (values.next()) |value| {
            var it: extensions.Iterator = .{ .rest = value };
            while (try it.next()) |name| {
                const is_known = std.ascii.eqlIgnoreCase(name, permessage_deflate.name);
                if (!is_known or found != null) return error.NotOffered;
                const parameters = try permessage_deflate.Parameters.read(&it) orelse
                    return error.NotOffered;
                found = permessage_deflate.accept(&offer, &parameters) orelse
                    return error.NotOffered;
            }
        }
        // The field is there, and a list of none is malformed.
        return found.?;
    }
};

pub const Verdict = union(enum) { opened: Opened, failed: Failure };

pub const Opened = struct {
    protocol: ?[]const u8,
    deflate: ?permessage_deflate.Agreement,
};

/// Why there is no connection (§4.1, behind the handshake's fields).
pub const Failure = enum {
    not_switched,
    wrong_upgrade,
    wrong_connection,
    /// Whoever answers has not read the key.
    wrong_accept,
    /// One that was not asked for.
    wrong_protocol,
    wrong_extensions,
};

fn only(fields: *const Fields, name: []const u8) ?[]const u8 {
    var it = fields.iterate(name);
    const first = it.next();
    return if (it.next() == null) first else null;
}

fn hasOnlyToken(fields: *const Fields, name: []const u8, token: []const u8) bool {
    return std.ascii.eqlIgnoreCase(only(fields, name) orelse return false, token);
}

const testing = std.testing;

fn fieldsOf(pairs: []const [2][]const u8) Fields {
    var fields: Fields = .{};
    for (pairs) |pair| assert(fields.append(pair[0], pair[1]));
    return fields;
}

const nonce = "the sample nonce".*;
const upgrade = [2][]const u8{ "Upgrade", "WebSocket" };
const connection = [2][]const u8{ "Connection", "keep-alive, upgrade" };
const accepted = [2][]const u8{ "Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" };

test "a request has a key, the version, and what is wished for (RFC 6455 §4.1)" {
    var client = Client.init(.{ .protocols = &.{ "chat", "superchat" }, .deflate = .{} }, &nonce);
    var fields: Fields = .{};
    for (client.fields()) |field| try testing.expect(fields.append(field.name, field.value));
    try testing.expectEqualStrings("dGhlIHNhbXBsZSBub25jZQ==", fields.get("sec-websocket-key").?);
    try testing.expectEqualStrings("13", fields.get("sec-websocket-version").?);
    try testing.expectEqualStrings("websocket", fields.get("upgrade").?);
    try testing.expectEqualStrings(
        "permessage-deflate; client_max_window_bits",
        fields.get("sec-websocket-extensions").?,
    );
    var it = fields.iterate("sec-websocket-protocol");
    try testing.expectEqualStrings("chat", it.next().?);
    try testing.expectEqualStrings("superchat", it.next().?);
}

test "an answer opens a connection, with what it chose of what was wished for (§4.1)" {
    const client = Client.init(.{ .protocols = &.{ "chat", "superchat" }, .deflate = .{} }, &nonce);
    const plain = fieldsOf(&.{ upgrade, connection, accepted });
    const opened = client.read(101, &plain).opened;
    try testing.expectEqual(null, opened.protocol);
    try testing.expectEqual(null, opened.deflate);
    const full = fieldsOf(&.{
        upgrade,
        connection,
        accepted,
        .{ "Sec-WebSocket-Protocol", "superchat" },
        .{ "Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=10" },
    });
    const other = client.read(101, &full).opened;
    try testing.expectEqualStrings("superchat", other.protocol.?);
    try testing.expectEqual(10, other.deflate.?.client_window_bits);
}

test "an answer that is not one to this request opens none (§4.1)" {
    const client = Client.init(.{ .protocols = &.{"chat"}, .deflate = .{} }, &nonce);
    const protocol_name = "Sec-WebSocket-Protocol";
    const extension_name = "Sec-WebSocket-Extensions";
    for ([_]struct { Failure, []const [2][]const u8 }{
        .{ .wrong_upgrade, &.{ connection, accepted } },
        .{ .wrong_upgrade, &.{ .{ "Upgrade", "websocket, h2c" }, connection, accepted } },
        .{ .wrong_connection, &.{ upgrade, accepted } },
        .{ .wrong_connection, &.{ upgrade, .{ "Connection", "close" }, accepted } },
        .{ .wrong_accept, &.{ upgrade, connection } },
        .{ .wrong_accept, &.{ upgrade, connection, .{ "Sec-WebSocket-Accept", "s3pPLMB" } } },
        .{ .wrong_accept, &.{ upgrade, connection, accepted, accepted } },
        .{ .wrong_protocol, &.{ upgrade, connection, accepted, .{ protocol_name, "other" } } },
        .{ .wrong_protocol, &.{ upgrade, connection, accepted, .{ protocol_name, "" } } },
        .{ .wrong_extensions, &.{ upgrade, connection, accepted, .{ extension_name, "x" } } },
        .{ .wrong_extensions, &.{ upgrade, connection, accepted, .{ extension_name, "" } } },
        .{ .wrong_extensions, &.{
            upgrade,  connection,
            accepted, .{ extension_name, "permessage-deflate; unknown" },
        } },
        .{ .wrong_extensions, &.{
            upgrade,  connection,
            accepted, .{ extension_name, "permessage-deflate, permessage-deflate" },
        } },
    }) |case| {
        const fields = fieldsOf(case[1]);
        try testing.expectEqual(case[0], client.read(101, &fields).failed);
    }
    const good = fieldsOf(&.{ upgrade, connection, accepted });
    try testing.expectEqual(Failure.not_switched, client.read(200, &good).failed);
    const plain = Client.init(.{}, &nonce);
    const extended = fieldsOf(&.{
        upgrade, connection, accepted, .{ extension_name, "permessage-deflate" },
    });
    try testing.expectEqual(Failure.wrong_extensions, plain.read(101, &extended).failed);
}
