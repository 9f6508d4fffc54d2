//! A socket address, small enough to sit in every connection.

const std = @import("std");

/// IPv4 or IPv6 address and port of a peer or a listener. 20 bytes;
/// IPv4 uses the first four of `bytes`.
pub const Address = extern struct {
    bytes: [16]u8 = [_]u8{0} ** 16,
    port: u16 = 0,
    family: Family = .none,
    _reserved: u8 = 0,

    pub const Family = enum(u8) { none = 0, ipv4 = 4, ipv6 = 6 };

    /// From the system's form. An IPv4-mapped IPv6 address (::ffff:a.b.c.d) becomes IPv4.
    pub fn fromStd(address: std.net.Address) Address {
        switch (address.any.family) {
            std.posix.AF.INET => {
                var out: Address = .{ .family = .ipv4, .port = address.getPort() };
                @memcpy(out.bytes[0..4], std.mem.asBytes(&address.in.sa.addr));
                return out;
            },
            std.posix.AF.INET6 => {
                const raw = address.in6.sa.addr;
                const mapped_prefix = [_]u8{0} ** 10 ++ [_]u8{ 0xff, 0xff };
                var out: Address = .{ .family = .ipv6, .port = address.getPort() };
                if (std.mem.eql(u8, raw[0..12], &mapped_prefix)) {
                    out.family = .ipv4;
                    @memcpy(out.bytes[0..4], raw[12..16]);
                } else {
                    out.bytes = raw;
                }
                return out;
            },
            else => return .{},
        }
    }

    /// The address without its port, in text, for logs: "127.0.0.1", "::1", "-" when unknown.
    pub fn text(self: Address, out: *[46]u8) []const u8 {
        switch (self.family) {
            .none => return "-",
            .ipv4 => return std.fmt.bufPrint(out, "{d}.{d}.{d}.{d}", .{
                self.bytes[0], self.bytes[1], self.bytes[2], self.bytes[3],
            }) catch unreachable, // 15 bytes at most
            .ipv6 => {
                var full: [64]u8 = undefined;
                const address = std.net.Address.initIp6(self.bytes, 0, 0, 0);
                const printed = std.fmt.bufPrint(&full, "{}", .{address}) catch unreachable;
                // "[…]:0"
                const end = std.mem.lastIndexOfScalar(u8, printed, ']') orelse printed.len;
                const inner = printed[1..end];
                const len = @min(inner.len, out.len);
                @memcpy(out[0..len], inner[0..len]);
                return out[0..len];
            },
        }
    }
};

comptime {
    std.debug.assert(@sizeOf(Address) == 20);
}

test "an IPv4-mapped address is told as IPv4" {
    const std_address = try std.net.Address.parseIp6("::ffff:192.0.2.7", 80);
    const address = Address.fromStd(std_address);
    var buf: [46]u8 = undefined;
    try std.testing.expectEqual(Address.Family.ipv4, address.family);
    try std.testing.expectEqualStrings("192.0.2.7", address.text(&buf));
    try std.testing.expectEqual(@as(u16, 80), address.port);
}

test "an IPv6 address is told without brackets and port" {
    const address = Address.fromStd(try std.net.Address.parseIp6("::1", 8080));
    var buf: [46]u8 = undefined;
    try std.testing.expectEqualStrings("::1", address.text(&buf));
}
