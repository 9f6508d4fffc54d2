//! Server push (RFC 9113 §8.4): a request that its client has not made yet, and that is answered as
//! if it had. What is known of it ahead of the protocol that carries it.

const std = @import("std");
const assert = std.debug.assert;
const chars = @import("chars.zig");
const Field = @import("fields.zig").Field;
const isFieldValue = @import("fields.zig").isFieldValue;
const isToken = @import("fields.zig").isToken;
const limits = @import("../core/limits.zig");
const uri = @import("uri.zig");

/// Methods that are safe and cacheable, without content (RFC 9113 §8.4).
pub const Method = enum { GET, HEAD };

/// A request to be pushed.
pub const Push = struct {
    method: Method = .GET,
    /// Path and query: "/style.css?v=2".
    target: []const u8,
    /// What the client would have sent, and a handler looks at.
    fields: []const Field = &.{},
};

pub const Error = error{
    /// The protocol has no push, the client wants none, or has as many as it may have.
    PushNotAllowed,
    /// It is no path with a query, or none that is served.
    InvalidTarget,
    /// A name is no token, or a value holds control characters.
    InvalidField,
    /// A field frames a message, or belongs to the connection.
    FramingField,
    /// It is longer than `limits.push_bytes_max`, or has too many fields.
    HeadTooLarge,
    OutOfBuffers,
};

/// The canonical form of a target, or its error. `out` is as long as the target at least.
pub fn canonicalTarget(target: []const u8, out: []u8) Error![]const u8 {
    if (target.len == 0 or target[0] != '/') return error.InvalidTarget;
    if (chars.find(.target_stop, target, 0) < target.len) return error.InvalidTarget;
    if (target.len > out.len) return error.HeadTooLarge;
    const end = chars.find(.question_mark, target, 0);
    const path = uri.canonicalPath(target[0..end], out) catch return error.InvalidTarget;
    if (path.ptr == target.ptr) return target;
    // It is no longer than it was.
    std.mem.copyForwards(u8, out[path.len..], target[end..]);
    return out[0 .. path.len + target.len - end];
}

/// Whether a field may be one of a request that is pushed.
pub fn checkField(name: []const u8, value: []const u8) Error!void {
    if (!isToken(name) or !isFieldValue(value)) return error.InvalidField;
    for (framing_fields) |other| {
        if (std.ascii.eqlIgnoreCase(name, other)) return error.FramingField;
    }
}

/// What says how a message is framed, or whom it is for, and what asks for content.
pub const framing_fields = [_][]const u8{
    "connection", "content-length",    "expect",  "host",    "keep-alive", "proxy-connection",
    "te",         "transfer-encoding", "trailer", "upgrade",
};

/// Fields that a pushed request takes over from the one beside it, where it has none of its own:
/// what responses depend on and is the same for all requests of a client.
pub const inherited_fields = [_][]const u8{ "accept-encoding", "accept-language", "user-agent" };

/// Pushes one behind the other in bytes, until they can be sent.
pub const Log = struct {
    /// Writes one to `out`, and returns its length; null: there is no room.
    pub fn write(out: []u8, push: *const Push, target: []const u8) ?usize {
        var stream = std.io.fixedBufferStream(out);
        const writer = stream.writer();
        const head: Head = .{
            .method = push.method,
            .target_len = std.math.cast(u16, target.len) orelse return null,
            .field_count = std.math.cast(u16, push.fields.len) orelse return null,
        };
        writer.writeAll(std.mem.asBytes(&head)) catch return null;
        writer.writeAll(target) catch return null;
        for (push.fields) |field| {
            const lengths: [2]u16 = .{
                std.math.cast(u16, field.name.len) orelse return null,
                std.math.cast(u16, field.value.len) orelse return null,
            };
            writer.writeAll(std.mem.asBytes(&lengths)) catch return null;
            writer.writeAll(field.name) catch return null;
            writer.writeAll(field.value) catch return null;
        }
        return stream.pos;
    }

    /// The first of `bytes`, which are moved on behind it; null: there are no more. `fields` is
    /// where its fields are put.
    pub fn read(bytes: *[]const u8, fields: *[limits.push_fields_max]Field) ?Push {
        if (bytes.len == 0) return null;
        const head = std.mem.bytesToValue(Head, take(bytes, @sizeOf(Head)));
        const target = take(bytes, head.target_len);
        for (fields[0..head.field_count]) |*field| {
            const lengths = std.mem.bytesToValue([2]u16, take(bytes, 2 * @sizeOf(u16)));
            const name = take(bytes, lengths[0]);
            field.* = .{ .name = name, .value = take(bytes, lengths[1]) };
        }
        return .{
            .method = head.method,
            .target = target,
            .fields = fields[0..head.field_count],
        };
    }

    fn take(bytes: *[]const u8, len: usize) []const u8 {
        defer bytes.* = bytes.*[len..];
        return bytes.*[0..len];
    }

    const Head = struct { target_len: u16, field_count: u16, method: Method };
};

const testing = std.testing;

test "a target is made canonical, and what is none is refused" {
    var out: [64]u8 = undefined;
    for ([_][2][]const u8{
        .{ "/", "/" },
        .{ "/a.css?v=1", "/a.css?v=1" },
        .{ "/a/../b%41?x=..", "/bA?x=.." },
        .{ "/?", "/?" },
    }) |case| try testing.expectEqualStrings(case[1], try canonicalTarget(case[0], &out));
    for ([_][]const u8{ "", "a", "*", "http://a/", "/a b", "/a\r\n", "/..", "/%zz", "/%00" }) |bad|
        try testing.expectError(error.InvalidTarget, canonicalTarget(bad, &out));
    try testing.expectError(error.HeadTooLarge, canonicalTarget("/" ++ "a" ** 64, &out));
}

test "fields that frame a message, or name another host, are no fields of a push" {
    for ([_][]const u8{ "Host", "content-length", "TE", "Expect", "connection" }) |name|
        try testing.expectError(error.FramingField, checkField(name, "1"));
    for ([_][]const u8{ ":path", "a b", "" }) |name|
        try testing.expectError(error.InvalidField, checkField(name, "1"));
    try testing.expectError(error.InvalidField, checkField("a", "b\n"));
    try checkField("accept", "text/css");
}

test "pushes are read as they were written" {
    var bytes: [128]u8 = undefined;
    const fields = [_]Field{ .{ .name = "accept", .value = "*/*" }, .{ .name = "a", .value = "" } };
    const pushes = [_]Push{
        .{ .target = "/a", .fields = &fields },
        .{ .method = .HEAD, .target = "/b?c" },
    };
    var len: usize = 0;
    for (&pushes) |*push| len += Log.write(bytes[len..], push, push.target).?;
    try testing.expectEqual(null, Log.write(bytes[0..3], &pushes[0], "/a"));
    var rest: []const u8 = bytes[0..len];
    var room: [limits.push_fields_max]Field = undefined;
    for (&pushes) |*push| {
        const read = Log.read(&rest, &room).?;
        try testing.expectEqual(push.method, read.method);
        try testing.expectEqualStrings(push.target, read.target);
        try testing.expectEqual(push.fields.len, read.fields.len);
        for (push.fields, read.fields) |expected, field| {
            try testing.expectEqualStrings(expected.name, field.name);
            try testing.expectEqualStrings(expected.value, field.value);
        }
    }
    try testing.expectEqual(null, Log.read(&rest, &room));
}
