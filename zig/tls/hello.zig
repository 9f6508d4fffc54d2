//! A look at a ClientHello (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2): whether it offers TLS 1.3, and if
//! not, what an older version's certificate is chosen by.

const std = @import("std");
const limits = @import("../core/limits.zig");

pub const Look = union(enum) {
    /// More of it is to come.
    unfinished,
    /// It offers TLS 1.3, or it is no ClientHello that can be read: whoever speaks 1.3 says so.
    modern,
    older: Older,
};

/// What a client says that does not speak TLS 1.3. All points into its message.
pub const Older = struct {
    /// The name that it asks for, as it wrote it; empty when it asks for none.
    server_name: []const u8 = "",
    /// Signatures that it takes; null when it does not say.
    algorithms: ?Numbers = null,
    suites: Numbers,
};

/// Numbers of 16 bits, as they are sent.
pub const Numbers = struct {
    bytes: []const u8,

    pub fn has(self: Numbers, number: u16) bool {
        var pairs = std.mem.window(u8, self.bytes, 2, 2);
        while (pairs.next()) |pair| {
            if (pair.len == 2 and std.mem.readInt(u16, pair[0..2], .big) == number) return true;
        }
        return false;
    }

    pub fn hasAny(self: Numbers, numbers: []const u16) bool {
        for (numbers) |number| if (self.has(number)) return true;
        return false;
    }
};

const message_client_hello = 1;
const header_bytes = 4;
const random_bytes = 32;
const extension_server_name = 0;
const extension_signature_algorithms = 13;
const extension_supported_versions = 43;
const tls13 = 0x0304;

/// `message` is a handshake message with its header, or the beginning of one.
pub fn look(message: []const u8) Look {
    if (message.len == 0) return .unfinished;
    if (message[0] != message_client_hello) return .modern;
    if (message.len < header_bytes) return .unfinished;
    const len = std.mem.readInt(u24, message[1..4], .big);
    if (len > limits.tls_message_bytes_max) return .modern;
    if (message.len < header_bytes + @as(usize, len)) return .unfinished;
    if (message.len > header_bytes + @as(usize, len)) return .modern;
    return parse(message[header_bytes..]) orelse .modern;
}

/// Null for what is not in the form of a ClientHello.
fn parse(body: []const u8) ?Look {
    var reader: Reader = .{ .rest = body };
    _ = reader.take(2 + random_bytes) orelse return null;
    _ = reader.block(u8) orelse return null; // the session
    var older: Older = .{ .suites = .{ .bytes = reader.block(u16) orelse return null } };
    _ = reader.block(u8) orelse return null; // compression
    if (reader.rest.len == 0) return .{ .older = older }; // there are no extensions
    var extensions: Reader = .{ .rest = reader.block(u16) orelse return null };
    if (reader.rest.len > 0) return null;
    while (extensions.rest.len > 0) {
        const kind = extensions.int(u16) orelse return null;
        var extension: Reader = .{ .rest = extensions.block(u16) orelse return null };
        switch (kind) {
            extension_supported_versions => {
                const versions: Numbers = .{ .bytes = extension.block(u8) orelse return null };
                if (versions.has(tls13)) return .modern;
            },
            extension_server_name => {
                var names: Reader = .{ .rest = extension.block(u16) orelse return null };
                const name_kind = names.int(u8) orelse return null;
                if (name_kind == 0) older.server_name = names.block(u16) orelse return null;
            },
            extension_signature_algorithms => {
                older.algorithms = .{ .bytes = extension.block(u16) orelse return null };
            },
            else => {},
        }
    }
    return .{ .older = older };
}

/// Takes bytes from the front; null where there are not so many.
const Reader = struct {
    rest: []const u8,

    fn take(self: *Reader, bytes: usize) ?[]const u8 {
        if (self.rest.len < bytes) return null;
        defer self.rest = self.rest[bytes..];
        return self.rest[0..bytes];
    }

    fn int(self: *Reader, comptime T: type) ?T {
        const bytes = self.take(@sizeOf(T)) orelse return null;
        return std.mem.readInt(T, bytes[0..@sizeOf(T)], .big);
    }

    /// Bytes behind their number.
    fn block(self: *Reader, comptime Length: type) ?[]const u8 {
        return self.take(self.int(Length) orelse return null);
    }
};

const testing = std.testing;

/// A ClientHello with these extensions.
fn helloWith(extensions: []const u8, out: []u8) []u8 {
    var stream = std.io.fixedBufferStream(out);
    const writer = stream.writer();
    const head = [_]u8{ 1, 0, 0, 0, 3, 3 } ++ .{7} ** 32 ++ .{ 1, 9 };
    writer.writeAll(&head ++ .{ 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0 }) catch unreachable;
    writer.writeInt(u16, @intCast(extensions.len), .big) catch unreachable;
    writer.writeAll(extensions) catch unreachable;
    const hello = stream.getWritten();
    std.mem.writeInt(u24, hello[1..4], @intCast(hello.len - 4), .big);
    return hello;
}

const name_extension = [_]u8{ 0, 0, 0, 8, 0, 6, 0, 0, 3, 'a', '.', 'b' };
const algorithms_extension = [_]u8{ 0, 13, 0, 6, 0, 4, 4, 3, 8, 4 };
const versions_extension = [_]u8{ 0, 43, 0, 5, 4, 3, 3, 3, 2 };
const modern_extension = [_]u8{ 0, 43, 0, 5, 4, 3, 4, 3, 3 };

test "TLS 1.3 is offered by supported_versions alone; else names, signatures and suites are told" {
    var memory: [200]u8 = undefined;
    const all = name_extension ++ algorithms_extension ++ versions_extension;
    const hello = helloWith(&all, &memory);
    const older = look(hello).older;
    try testing.expectEqualStrings("a.b", older.server_name);
    try testing.expect(older.algorithms.?.has(0x0403) and older.algorithms.?.has(0x0804));
    try testing.expect(!older.algorithms.?.has(0x0308));
    try testing.expect(older.suites.hasAny(&.{ 1, 0xc02f }));
    try testing.expect(!older.suites.hasAny(&.{ 0x2bc0, 0xc030 }));
    for (0..hello.len) |len| try testing.expect(look(hello[0..len]) == .unfinished);
    try testing.expect(look(helloWith("", &memory)).older.algorithms == null);
    try testing.expect(look(helloWith(&modern_extension, &memory)) == .modern);
    const behind = name_extension ++ modern_extension;
    try testing.expect(look(helloWith(&behind, &memory)) == .modern);
}

test "what is no ClientHello is for TLS 1.3 to refuse" {
    var memory: [200]u8 = undefined;
    const all = name_extension ++ algorithms_extension ++ versions_extension;
    for (0..all.len) |len| {
        const is_whole = len == 0 or len == name_extension.len or
            len == name_extension.len + algorithms_extension.len;
        const found = look(helloWith(all[0..len], &memory));
        try testing.expectEqual(is_whole, found == .older);
    }
    try testing.expect(look(&.{ 2, 0, 0, 0 }) == .modern);
    try testing.expect(look(&.{ 1, 0, 0, 0 }) == .modern);
    try testing.expect(look(&.{ 1, 0xff, 0xff, 0xff }) == .modern);
    const hello = helloWith(&all, &memory);
    memory[hello.len] = 1;
    try testing.expect(look(memory[0 .. hello.len + 1]) == .modern);
}
