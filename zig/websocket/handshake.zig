//! The server's side of the opening handshake (RFC 6455 §4.2; over HTTP/2, RFC 8441), without I/O:
//! a request in, what is to be answered out.

const std = @import("std");
const assert = std.debug.assert;
const fields_file = @import("../http/fields.zig");
const Field = fields_file.Field;
const Fields = fields_file.Fields;
const Request = @import("../http/request.zig").Request;
const extensions = @import("extensions.zig");
const limits = @import("../core/limits.zig");
const permessage_deflate = @import("permessage_deflate.zig");

/// The version that is spoken (§4.1).
pub const version = "13";
/// Sec-WebSocket-Accept's value, bytes.
pub const accept_bytes = 28;
/// Sec-WebSocket-Key's value, bytes: sixteen in base64.
pub const key_bytes = 24;

/// How the request asks for it.
pub const Way = enum {
    /// GET with Upgrade, in HTTP/1.1.
    upgrade,
    /// CONNECT with `:protocol`, in HTTP/2 and later (RFC 8441 §4).
    extended_connect,
};

pub const Origins = @import("../http/upgrade.zig").Origins;

/// What a server wants of those who connect.
pub const Policy = struct {
    origins: Origins = .any,
    /// Who sends no Origin is no browser.
    origin_required: bool = false,
    /// Null: no compression.
    deflate: ?permessage_deflate.Policy = null,
};

/// Why a request is not answered with a connection.
pub const Refusal = enum {
    /// It is not GET (§4.2.1), or no version of HTTP that has a way to ask.
    wrong_method,
    wrong_http_version,
    /// Upgrade does not name websocket.
    no_upgrade,
    /// Connection does not name Upgrade.
    no_connection_upgrade,
    /// Content would stand before the first frame.
    has_content,
    /// None, or another version than 13 (§4.4).
    unsupported_version,
    duplicate_version,
    missing_key,
    /// It is not sixteen bytes in base64.
    invalid_key,
    duplicate_key,
    duplicate_origin,
    forbidden_origin,
    /// Sec-WebSocket-Protocol is no list of tokens.
    invalid_protocol,
    /// Sec-WebSocket-Extensions does not follow its grammar (§9.1).
    invalid_extensions,

    /// HTTP/2 has no Upgrade, which 426 is about (RFC 9110 §15.5.22).
    pub fn status(self: Refusal, way: Way) u16 {
        if (way == .extended_connect and self == .unsupported_version) return 400;
        return switch (self) {
            .no_upgrade, .unsupported_version => 426,
            .wrong_method => 405,
            .forbidden_origin => 403,
            .wrong_http_version,
            .no_connection_upgrade,
            .has_content,
            .duplicate_version,
            .missing_key,
            .invalid_key,
            .duplicate_key,
            .duplicate_origin,
            .invalid_protocol,
            .invalid_extensions,
            => 400,
        };
    }

    /// What the response has to say beside its status.
    pub fn fields(self: Refusal, way: Way) []const Field {
        return switch (self) {
            // RFC 9110 §15.5.22
            .no_upgrade => &.{upgrade_field},
            // RFC 6455 §4.2.2
            .unsupported_version => if (way == .upgrade)
                &.{ upgrade_field, version_field }
            else
                &.{version_field},
            .wrong_method => &.{.{ .name = "Allow", .value = "GET" }},
            else => &.{},
        };
    }
};

const upgrade_field: Field = .{ .name = "Upgrade", .value = "websocket" };
const version_field: Field = .{ .name = "Sec-WebSocket-Version", .value = version };

pub const Verdict = union(enum) { offer: Offer, refused: Refusal };

/// A request that may become a connection. Its slices are the request's.
pub const Offer = struct {
    way: Way,
    accept: [accept_bytes]u8,
    fields: *const Fields,
    /// Whose page it is; "" when that is not told.
    origin: []const u8,
    /// What was made of the client's offers; null: messages are sent as they are.
    deflate: ?permessage_deflate.Agreement,

    /// The subprotocols that the client would speak, first the one that it likes best.
    pub fn protocols(self: *const Offer) ProtocolIterator {
        return .{ .values = self.fields.iterate("sec-websocket-protocol") };
    }

    /// The first of the client's that is one of `supported`; null when there is none.
    pub fn choose(self: *const Offer, supported: []const []const u8) ?[]const u8 {
        var it = self.protocols();
        while (it.next()) |wanted| {
            for (supported) |one| if (std.mem.eql(u8, one, wanted)) return one;
        }
        return null;
    }

    /// 101, or 200 over HTTP/2.
    pub fn status(self: *const Offer) u16 {
        return if (self.way == .upgrade) 101 else 200;
    }

    /// The response's fields, in memory of `out`. `protocol`: one of the client's, or null. HTTP/1
    /// brings `Connection: Upgrade` along with Upgrade.
    pub fn answer(self: *const Offer, protocol: ?[]const u8, out: *Answer) []const Field {
        if (protocol) |name| assert(self.choose(&.{name}) != null);
        const accept = if (self.way == .upgrade) &self.accept else null;
        return out.fill(accept, protocol orelse "", &self.deflate);
    }
};

/// The fields of the answer where the request has been read before: its key (null: over HTTP/2,
/// which has none), the subprotocol ("": none), what was agreed on.
pub fn answerTo(
    key: ?*const [key_bytes]u8,
    protocol: []const u8,
    deflate: *const ?permessage_deflate.Agreement,
    out: *Answer,
) []const Field {
    const accept = if (key) |given| acceptOf(given) else null;
    return out.fill(if (accept) |*value| value else null, protocol, deflate);
}

pub const Answer = struct {
    fields: [4]Field = undefined,
    accept: [accept_bytes]u8 = undefined,
    extension: [permessage_deflate.Agreement.text_bytes_max]u8 = undefined,

    fn fill(
        self: *Answer,
        accept: ?*const [accept_bytes]u8,
        protocol: []const u8,
        deflate: *const ?permessage_deflate.Agreement,
    ) []const Field {
        var len: usize = 0;
        if (accept) |value| {
            self.accept = value.*;
            self.fields[0] = .{ .name = "Upgrade", .value = "websocket" };
            self.fields[1] = .{ .name = "Sec-WebSocket-Accept", .value = &self.accept };
            len = 2;
        }
        if (protocol.len > 0) {
            self.fields[len] = .{ .name = "Sec-WebSocket-Protocol", .value = protocol };
            len += 1;
        }
        if (deflate.*) |*agreement| {
            const text = agreement.write(&self.extension);
            self.fields[len] = .{ .name = "Sec-WebSocket-Extensions", .value = text };
            len += 1;
        }
        return self.fields[0..len];
    }
};

/// Walks subprotocols, over all fields that have some.
pub const ProtocolIterator = struct {
    values: fields_file.Iterator,
    list: fields_file.ListIterator = .{ .rest = "" },

    pub fn next(self: *ProtocolIterator) ?[]const u8 {
        while (true) {
            if (self.list.next()) |protocol| return protocol;
            self.list = .{ .rest = self.values.next() orelse return null };
        }
    }
};

/// Whether `:protocol` of an extended CONNECT is this one (RFC 8441 §5).
pub fn isWebSocket(protocol: []const u8) bool {
    return std.ascii.eqlIgnoreCase(protocol, "websocket");
}

/// How a request asks for a WebSocket; null: it does not, and is a usual one.
pub fn wayOf(req: *const Request) ?Way {
    if (req.version == .http2) return if (req.is_extended_connect) .extended_connect else null;
    const asks = req.version == .http11 and hasToken(&req.fields, "upgrade", "websocket");
    return if (asks) .upgrade else null;
}

/// What may become of `req`, whose `:protocol` is `websocket` where it came as an extended CONNECT.
pub fn read(req: *const Request, way: Way, policy: *const Policy) Verdict {
    var offer: Offer = .{
        .way = way,
        .accept = undefined,
        .fields = &req.fields,
        .origin = "",
        .deflate = null,
    };
    if (check(req, policy, &offer)) |refusal| return .{ .refused = refusal };
    return .{ .offer = offer };
}

/// RFC 6455 §4.2.1, in its order.
fn check(req: *const Request, policy: *const Policy, offer: *Offer) ?Refusal {
    const fields = &req.fields;
    if (offer.way == .upgrade) {
        if (req.version != .http11) return .wrong_http_version;
        if (!hasToken(fields, "upgrade", "websocket")) return .no_upgrade;
        if (req.method != .GET) return .wrong_method;
        if (!hasToken(fields, "connection", "upgrade")) return .no_connection_upgrade;
    }
    if (hasContent(fields)) return .has_content;
    const versions = only(fields, "sec-websocket-version") catch return .duplicate_version;
    if (!std.mem.eql(u8, versions orelse "", version)) return .unsupported_version;
    if (offer.way == .upgrade) {
        const key = only(fields, "sec-websocket-key") catch return .duplicate_key;
        if (!isKey(key orelse return .missing_key)) return .invalid_key;
        offer.accept = acceptOf(key.?[0..key_bytes]);
    }
    offer.origin = (only(fields, "origin") catch return .duplicate_origin) orelse "";
    if (!isAllowed(req, policy, offer.origin)) return .forbidden_origin;
    if (!hasValidProtocols(fields)) return .invalid_protocol;
    offer.deflate = agree(fields, policy) catch return .invalid_extensions;
    return null;
}

/// The value of the one field called `name`; null when there is none.
fn only(fields: *const Fields, name: []const u8) error{Duplicate}!?[]const u8 {
    var it = fields.iterate(name);
    const first = it.next();
    return if (it.next() == null) first else error.Duplicate;
}

/// Whether a list of tokens has `token`, in whatever letters.
pub fn hasToken(fields: *const Fields, name: []const u8, token: []const u8) bool {
    var values = fields.iterate(name);
    while (values.next()) |value| {
        var list: fields_file.ListIterator = .{ .rest = value };
        while (list.next()) |one| if (std.ascii.eqlIgnoreCase(one, token)) return true;
    }
    return false;
}

fn hasContent(fields: *const Fields) bool {
    if (fields.get("transfer-encoding") != null) return true;
    const length = fields.get("content-length") orelse return false;
    return std.mem.trim(u8, length, "0").len > 0;
}

fn isKey(key: []const u8) bool {
    var bytes: [key_bytes / 4 * 3]u8 = undefined;
    const decoder = std.base64.standard.Decoder;
    if (key.len != key_bytes) return false;
    if ((decoder.calcSizeForSlice(key) catch return false) != 16) return false;
    decoder.decode(bytes[0..16], key) catch return false;
    return true;
}

/// Sec-WebSocket-Accept for a key (§4.2.2).
pub fn acceptOf(key: *const [key_bytes]u8) [accept_bytes]u8 {
    var hash = std.crypto.hash.Sha1.init(.{});
    hash.update(key);
    hash.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    var out: [accept_bytes]u8 = undefined;
    _ = std.base64.standard.Encoder.encode(&out, &hash.finalResult());
    return out;
}

fn isAllowed(req: *const Request, policy: *const Policy, origin: []const u8) bool {
    if (origin.len == 0) return !policy.origin_required;
    switch (policy.origins) {
        .any => return true,
        .same => {
            const at = std.mem.indexOf(u8, origin, "://") orelse return false;
            return std.ascii.eqlIgnoreCase(origin[at + 3 ..], req.authority);
        },
        .list => |list| {
            for (list) |one| if (std.ascii.eqlIgnoreCase(one, origin)) return true;
            return false;
        },
    }
}

/// §4.1 (10): one token or more.
fn hasValidProtocols(fields: *const Fields) bool {
    var values = fields.iterate("sec-websocket-protocol");
    while (values.next()) |value| {
        var list: fields_file.ListIterator = .{ .rest = value };
        var count: usize = 0;
        while (list.next()) |one| : (count += 1) if (!fields_file.isToken(one)) return false;
        if (count == 0) return false;
    }
    return true;
}

/// The first offer of permessage-deflate that can be taken. All fields are looked at to their ends:
/// they follow the grammar, or the handshake fails.
fn agree(
    fields: *const Fields,
    policy: *const Policy,
) extensions.Malformed!?permessage_deflate.Agreement {
    var found: ?permessage_deflate.Agreement = null;
    var count: usize = 0;
    var values = fields.iterate("sec-websocket-extensions");
    while (values.next()) |value| {
        var it: extensions.Iterator = .{ .rest = value };
        while (try it.next()) |name| {
            count += 1;
            if (count > limits.websocket_extensions_max) return error.Malformed;
            if (!std.ascii.eqlIgnoreCase(name, permessage_deflate.name)) continue;
            const offer = try permessage_deflate.Parameters.read(&it) orelse continue;
            const own = policy.deflate orelse continue;
            if (found == null) found = permessage_deflate.agree(&own, &offer);
        }
    }
    return found;
}

test {
    _ = @import("handshake_test.zig");
}
