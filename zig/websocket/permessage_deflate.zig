//! The parameters of permessage-deflate (RFC 7692 §7.1): what a client offers, what a server makes
//! of it, what a client may take for an answer. The codec is elsewhere.

const std = @import("std");
const assert = std.debug.assert;
const extensions = @import("extensions.zig");

pub const name = "permessage-deflate";

const server_no_context_takeover = "server_no_context_takeover";
const client_no_context_takeover = "client_no_context_takeover";
const server_max_window_bits = "server_max_window_bits";
const client_max_window_bits = "client_max_window_bits";

/// The logarithm of an LZ77 window, bytes: 8 to 15 (§7.1.2).
pub const WindowBits = u4;
const window_bits_min = 8;
const window_bits_max = 15;

/// What both ends have agreed on.
pub const Agreement = struct {
    /// The server compresses each message by itself.
    server_no_context_takeover: bool = false,
    /// So does the client.
    client_no_context_takeover: bool = false,
    /// How far the server refers back.
    server_window_bits: WindowBits = window_bits_max,
    /// How far the client does.
    client_window_bits: WindowBits = window_bits_max,

    /// No longer value of Sec-WebSocket-Extensions is written here, bytes.
    pub const text_bytes_max = blk: {
        var bytes = name.len + 2 * ("; ".len + "=15".len);
        for ([_][]const u8{
            server_no_context_takeover, client_no_context_takeover,
            server_max_window_bits,     client_max_window_bits,
        }) |parameter| bytes += "; ".len + parameter.len;
        break :blk bytes;
    };

    /// As a server answers it, and a client offers what it would like: what is not the default.
    pub fn write(self: *const Agreement, out: *[text_bytes_max]u8) []const u8 {
        var stream = std.io.fixedBufferStream(out);
        const writer = stream.writer();
        // `text_bytes_max` holds all of it.
        self.print(writer) catch unreachable;
        return stream.getWritten();
    }

    fn print(self: *const Agreement, writer: std.io.FixedBufferStream([]u8).Writer) !void {
        try writer.writeAll(name);
        if (self.server_no_context_takeover)
            try writer.writeAll("; " ++ server_no_context_takeover);
        if (self.client_no_context_takeover)
            try writer.writeAll("; " ++ client_no_context_takeover);
        if (self.server_window_bits < window_bits_max)
            try writer.print("; " ++ server_max_window_bits ++ "={d}", .{self.server_window_bits});
        if (self.client_window_bits < window_bits_max)
            try writer.print("; " ++ client_max_window_bits ++ "={d}", .{self.client_window_bits});
    }
};

/// What a server wants of connections.
pub const Policy = struct {
    /// Messages that are sent refer to those before them: they are smaller, and each connection
    /// has a compressor of its own.
    server_context_takeover: bool = false,
    /// The same of those that are received, and of a decompressor.
    client_context_takeover: bool = false,
    /// At most; 8 to 15.
    server_window_bits: WindowBits = window_bits_max,
    /// At most; a client that does not let itself be told has 15.
    client_window_bits: WindowBits = window_bits_max,
};

/// The parameters of one element: an offer, or an answer. Null: absent.
pub const Parameters = struct {
    server_no_context_takeover: bool = false,
    client_no_context_takeover: bool = false,
    server_max_window_bits: ?WindowBits = null,
    /// Without a value, which an offer may leave out, it is 15.
    client_max_window_bits: ?WindowBits = null,
    client_max_window_bits_has_value: bool = false,

    /// Of the element whose name `it` gave last. Null: they have a name, a value or a number of
    /// times that is not theirs (§7.1: the offer is to be declined).
    pub fn read(it: *extensions.Iterator) extensions.Malformed!?Parameters {
        var found: Parameters = .{};
        var is_valid = true;
        while (try it.parameter()) |parameter| {
            if (!found.note(&parameter)) is_valid = false;
        }
        return if (is_valid) found else null;
    }

    fn note(self: *Parameters, parameter: *const extensions.Parameter) bool {
        const is = struct {
            fn is(one: *const extensions.Parameter, other: []const u8) bool {
                return std.ascii.eqlIgnoreCase(one.name, other);
            }
        }.is;
        if (is(parameter, server_no_context_takeover)) {
            if (self.server_no_context_takeover or parameter.value != null) return false;
            self.server_no_context_takeover = true;
        } else if (is(parameter, client_no_context_takeover)) {
            if (self.client_no_context_takeover or parameter.value != null) return false;
            self.client_no_context_takeover = true;
        } else if (is(parameter, server_max_window_bits)) {
            if (self.server_max_window_bits != null) return false;
            self.server_max_window_bits = windowBits(parameter) orelse return false;
        } else if (is(parameter, client_max_window_bits)) {
            if (self.client_max_window_bits != null) return false;
            self.client_max_window_bits_has_value = parameter.value != null;
            self.client_max_window_bits = if (parameter.value == null)
                window_bits_max
            else
                windowBits(parameter) orelse return false;
        } else return false;
        return true;
    }

    fn windowBits(parameter: *const extensions.Parameter) ?WindowBits {
        const number = parameter.number() orelse return null;
        if (number < window_bits_min or number > window_bits_max) return null;
        return @intCast(number);
    }
};

/// What a server makes of an offer (§7.1.1, §7.1.2).
pub fn agree(policy: *const Policy, offer: *const Parameters) Agreement {
    assert(policy.server_window_bits >= window_bits_min);
    assert(policy.client_window_bits >= window_bits_min);
    return .{
        .server_no_context_takeover = offer.server_no_context_takeover or
            !policy.server_context_takeover,
        .client_no_context_takeover = offer.client_no_context_takeover or
            !policy.client_context_takeover,
        .server_window_bits = @min(
            policy.server_window_bits,
            offer.server_max_window_bits orelse window_bits_max,
        ),
        // Who does not offer the parameter must not be answered with it.
        .client_window_bits = if (offer.client_max_window_bits) |bits|
            @min(policy.client_window_bits, bits)
        else
            window_bits_max,
    };
}

/// The agreement that a server's answer means to a client that has offered `offer` and
/// client_max_window_bits. Null: it is none that such a client may take (§7.1).
pub fn accept(offer: *const Agreement, answer: *const Parameters) ?Agreement {
    if (answer.client_max_window_bits != null and !answer.client_max_window_bits_has_value)
        return null;
    if (offer.server_no_context_takeover and !answer.server_no_context_takeover) return null;
    const server_bits = answer.server_max_window_bits orelse window_bits_max;
    if (server_bits > offer.server_window_bits) return null;
    const client_bits = answer.client_max_window_bits orelse window_bits_max;
    return .{
        .server_no_context_takeover = answer.server_no_context_takeover,
        .client_no_context_takeover = answer.client_no_context_takeover or
            offer.client_no_context_takeover,
        .server_window_bits = server_bits,
        // A client may refer back less far than it has to.
        .client_window_bits = @min(client_bits, offer.client_window_bits),
    };
}

const testing = std.testing;

fn parametersOf(text: []const u8) !?Parameters {
    var it: extensions.Iterator = .{ .rest = text };
    try testing.expectEqualStrings(name, (try it.next()).?);
    return Parameters.read(&it);
}

fn expectAnswer(policy: Policy, offer: []const u8, expected: []const u8) !void {
    const parameters = (try parametersOf(offer)).?;
    const agreement = agree(&policy, &parameters);
    var out: [Agreement.text_bytes_max]u8 = undefined;
    try testing.expectEqualStrings(expected, agreement.write(&out));
    // What is answered is understood in the same way.
    const wanted: Agreement = .{
        .server_no_context_takeover = parameters.server_no_context_takeover,
        .server_window_bits = parameters.server_max_window_bits orelse 15,
    };
    const answer = (try parametersOf(expected)).?;
    try testing.expectEqual(agreement, accept(&wanted, &answer).?);
}

const keeps: Policy = .{ .server_context_takeover = true, .client_context_takeover = true };

test "an offer is answered with what both can do (RFC 7692 §7.1.1, §7.1.2)" {
    const p = "permessage-deflate";
    try expectAnswer(keeps, p, p);
    try expectAnswer(keeps, p ++ "; client_max_window_bits", p);
    try expectAnswer(
        keeps,
        p ++ "; server_no_context_takeover; client_no_context_takeover",
        p ++ "; server_no_context_takeover; client_no_context_takeover",
    );
    try expectAnswer(
        keeps,
        p ++ "; server_max_window_bits=10; client_max_window_bits=9",
        p ++ "; server_max_window_bits=10; client_max_window_bits=9",
    );
    var small = keeps;
    small.server_window_bits = 12;
    small.client_window_bits = 11;
    // A client's window is limited only where it has offered that.
    try expectAnswer(small, p, p ++ "; server_max_window_bits=12");
    try expectAnswer(
        small,
        p ++ "; client_max_window_bits; server_max_window_bits=\"15\"",
        p ++ "; server_max_window_bits=12; client_max_window_bits=11",
    );
    try expectAnswer(
        small,
        p ++ "; client_max_window_bits=8; server_max_window_bits=8",
        p ++ "; server_max_window_bits=8; client_max_window_bits=8",
    );
    try expectAnswer(
        .{},
        p,
        p ++ "; server_no_context_takeover; client_no_context_takeover",
    );
}

test "an offer with a parameter that is not known, or not as it has to be, is declined (§7.1)" {
    for ([_][]const u8{
        "; unknown",
        "; server_no_context_takeover=1",
        "; client_no_context_takeover=\"a\"",
        "; server_max_window_bits",
        "; server_max_window_bits=7",
        "; server_max_window_bits=16",
        "; server_max_window_bits=08",
        "; client_max_window_bits=7",
        "; client_max_window_bits=16",
        "; client_max_window_bits=a",
        // Twice.
        "; client_max_window_bits; client_max_window_bits",
        "; server_no_context_takeover; server_no_context_takeover",
        "; client_no_context_takeover; client_no_context_takeover",
        "; server_max_window_bits=9; server_max_window_bits=9",
    }) |parameters| {
        var text: [200]u8 = undefined;
        const offer = try std.fmt.bufPrint(&text, "permessage-deflate{s}", .{parameters});
        try testing.expectEqual(null, try parametersOf(offer));
    }
}

test "a client takes no answer that goes beyond what it has offered (§7.1)" {
    const p = "permessage-deflate";
    const wanted: Agreement = .{ .server_no_context_takeover = true, .server_window_bits = 10 };
    for ([_][]const u8{
        p,
        p ++ "; server_max_window_bits=10",
        p ++ "; server_no_context_takeover; server_max_window_bits=11",
        p ++ "; server_no_context_takeover",
        p ++ "; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits",
    }) |text| {
        try testing.expectEqual(null, accept(&wanted, &(try parametersOf(text)).?));
    }
    const text = p ++ "; server_no_context_takeover; server_max_window_bits=9";
    const answer = (try parametersOf(text)).?;
    try testing.expectEqual(9, accept(&wanted, &answer).?.server_window_bits);
}

test "the longest value is as long as there is room for" {
    const all: Agreement = .{
        .server_no_context_takeover = true,
        .client_no_context_takeover = true,
        .server_window_bits = 14,
        .client_window_bits = 14,
    };
    var out: [Agreement.text_bytes_max]u8 = undefined;
    _ = all.write(&out);
}
