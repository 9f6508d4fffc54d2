//! The address of a peer, small enough to sit in every connection.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;

/// IPv4 or IPv6 address and port of a peer, or that it came over a unix socket. 20 bytes; IPv4 uses
/// the first four of `bytes`, unix none.
pub const Address = extern struct {
    bytes: [16]u8 = [_]u8{0} ** 16,
    port: u16 = 0,
    family: Family = .none,
    _reserved: u8 = 0,

    pub const Family = enum(u8) { none = 0, unix = 1, ipv4 = 4, ipv6 = 6 };

    /// Bytes of the longest text.
    pub const text_bytes_max = 46;

    /// From the system's form, of which `len` bytes are there. An IPv4-mapped IPv6 address
    /// (::ffff:a.b.c.d) becomes IPv4. What is no address of these families has the family `none`.
    pub fn fromSystem(any: *const posix.sockaddr, len: posix.socklen_t) Address {
        const family_end = @offsetOf(posix.sockaddr, "family") + @sizeOf(posix.sa_family_t);
        if (len < family_end) return .{};
        switch (any.family) {
            posix.AF.INET => {
                if (len < @sizeOf(posix.sockaddr.in)) return .{};
                const in: *align(1) const posix.sockaddr.in = @ptrCast(any);
                return ofIp4(@bitCast(in.addr), std.mem.bigToNative(u16, in.port));
            },
            posix.AF.INET6 => {
                if (len < @sizeOf(posix.sockaddr.in6)) return .{};
                const in6: *align(1) const posix.sockaddr.in6 = @ptrCast(any);
                const port = std.mem.bigToNative(u16, in6.port);
                if (isMapped(&in6.addr)) return ofIp4(in6.addr[12..16].*, port);
                return .{ .bytes = in6.addr, .port = port, .family = .ipv6 };
            },
            posix.AF.UNIX => return .{ .family = .unix },
            else => return .{},
        }
    }

    pub fn ofIp4(bytes: [4]u8, port: u16) Address {
        return .{ .bytes = bytes ++ [_]u8{0} ** 12, .port = port, .family = .ipv4 };
    }

    /// The address without its port, in text, for logs: "127.0.0.1", "::1", "unix", "-" when it is
    /// not known.
    pub fn text(self: Address, out: *[text_bytes_max]u8) []const u8 {
        var stream = std.io.fixedBufferStream(out);
        const writer = stream.writer();
        // The longest IPv6 address has 39 bytes.
        switch (self.family) {
            .none => return "-",
            .unix => return "unix",
            .ipv4 => writeIp4(self.bytes[0..4], writer) catch unreachable,
            .ipv6 => writeIp6(&self.bytes, writer) catch unreachable,
        }
        return stream.getWritten();
    }
};

/// Whether an IPv6 address holds an IPv4 one (::ffff:a.b.c.d, RFC 4291 §2.5.5.2).
pub fn isMapped(bytes: *const [16]u8) bool {
    return std.mem.eql(u8, bytes[0..12], &([_]u8{0} ** 10 ++ [_]u8{ 0xff, 0xff }));
}

pub fn writeIp4(bytes: *const [4]u8, writer: anytype) !void {
    try writer.print("{d}.{d}.{d}.{d}", .{ bytes[0], bytes[1], bytes[2], bytes[3] });
}

/// RFC 5952 §4: lower case, and `::` for the first of the longest runs of zero groups.
pub fn writeIp6(bytes: *const [16]u8, writer: anytype) !void {
    var groups: [8]u16 = undefined;
    for (&groups, 0..) |*group, i| group.* = std.mem.readInt(u16, bytes[i * 2 ..][0..2], .big);
    const run = longestRun(&groups);
    var i: usize = 0;
    while (i < groups.len) {
        if (run.len > 1 and i == run.start) {
            try writer.writeAll("::");
            i += run.len;
            continue;
        }
        if (i > 0 and i != run.start + run.len) try writer.writeByte(':');
        try writer.print("{x}", .{groups[i]});
        i += 1;
    }
}

const Run = struct { start: usize = 0, len: usize = 0 };

/// The first of the longest runs of zeroes, if it has at least two.
fn longestRun(groups: *const [8]u16) Run {
    var longest: Run = .{};
    var current: Run = .{};
    for (groups, 0..) |group, i| {
        if (group != 0) {
            current = .{ .start = i + 1 };
            continue;
        }
        current.len += 1;
        if (current.len > longest.len) longest = current;
    }
    return if (longest.len > 1) longest else .{ .start = groups.len };
}

comptime {
    assert(@sizeOf(Address) == 20);
}

const testing = std.testing;

fn addressOf(text: []const u8) !Address {
    const parsed = try std.net.Address.parseIp(text, 80);
    return .fromSystem(&parsed.any, parsed.getOsSockLen());
}

test "an IPv4-mapped address is told as IPv4" {
    const address = try addressOf("::ffff:192.0.2.7");
    var buffer: [Address.text_bytes_max]u8 = undefined;
    try testing.expectEqual(Address.Family.ipv4, address.family);
    try testing.expectEqualStrings("192.0.2.7", address.text(&buffer));
    try testing.expectEqual(80, address.port);
}

test "an IPv6 address is told as RFC 5952 has it, without brackets and port" {
    const texts = [_][2][]const u8{
        .{ "::1", "::1" },
        .{ "::", "::" },
        .{ "1::", "1::" },
        .{ "2001:DB8::0", "2001:db8::" },
        .{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
        .{ "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
        .{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
        .{ "0:1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7" },
        .{ "1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0" },
    };
    for (texts) |pair| {
        var buffer: [Address.text_bytes_max]u8 = undefined;
        try testing.expectEqualStrings(pair[1], (try addressOf(pair[0])).text(&buffer));
    }
    const longest: Address = .{ .bytes = [_]u8{0xff} ** 16, .family = .ipv6 };
    var buffer: [Address.text_bytes_max]u8 = undefined;
    try testing.expectEqual(39, longest.text(&buffer).len);
}

test "a peer over a unix socket is told as such, and what is cut short as nobody" {
    var un: posix.sockaddr.un = .{ .path = undefined };
    var buffer: [Address.text_bytes_max]u8 = undefined;
    const unnamed: *const posix.sockaddr = @ptrCast(&un);
    try testing.expectEqualStrings("unix", Address.fromSystem(unnamed, 2).text(&buffer));
    try testing.expectEqualStrings("-", Address.fromSystem(unnamed, 0).text(&buffer));
    const in: posix.sockaddr.in = .{ .addr = 0, .port = 0 };
    const short = Address.fromSystem(@ptrCast(&in), 4);
    try testing.expectEqual(Address.Family.none, short.family);
}
