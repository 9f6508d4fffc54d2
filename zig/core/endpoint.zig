//! Where a server listens: an IP address with its port, or the path of a unix socket.

const builtin = @import("builtin");
const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const address_file = @import("address.zig");
const Address = address_file.Address;
const system = @import("system.zig");

pub const Endpoint = union(enum) {
    ip4: struct { bytes: [4]u8, port: u16 },
    /// `scope` is the index of the interface that a link-local address belongs to, else 0.
    ip6: struct { bytes: [16]u8, port: u16, scope: u32 = 0 },
    unix: UnixPath,

    /// The path of a socket in the file system, or the name of an abstract one (unix(7)), which
    /// begins with a NUL.
    pub const UnixPath = struct {
        buffer: [path_bytes_max]u8 = undefined,
        len: u8,

        /// What the system takes, without the NUL: 107 on Linux, 103 elsewhere.
        pub const path_bytes_max = @typeInfo(@FieldType(posix.sockaddr.un, "path")).array.len - 1;

        /// Whether there are abstract names.
        pub const has_abstract = builtin.os.tag == .linux;

        /// Null when it is longer than the system takes, or empty.
        pub fn of(path: []const u8) ?UnixPath {
            if (path.len == 0 or path.len > path_bytes_max) return null;
            var self: UnixPath = .{ .len = @intCast(path.len) };
            @memcpy(self.buffer[0..path.len], path);
            return self;
        }

        pub fn bytes(self: *const UnixPath) []const u8 {
            return self.buffer[0..self.len];
        }

        pub fn isAbstract(self: *const UnixPath) bool {
            return has_abstract and self.len > 0 and self.buffer[0] == 0;
        }
    };

    /// Any address of the system's.
    pub const System = extern union {
        any: posix.sockaddr,
        storage: posix.sockaddr.storage,
        in: posix.sockaddr.in,
        in6: posix.sockaddr.in6,
        un: posix.sockaddr.un,
    };

    pub const any6: Endpoint = .{ .ip6 = .{ .bytes = [_]u8{0} ** 16, .port = 0 } };
    pub const any4: Endpoint = .{ .ip4 = .{ .bytes = [_]u8{0} ** 4, .port = 0 } };

    /// Room for `text` and `url`, bytes: a path may triple in a URL.
    pub const text_bytes_max = 3 * UnixPath.path_bytes_max + 16;

    /// Fills `out`; returns how many bytes of it are the address.
    pub fn toSystem(self: *const Endpoint, out: *System) posix.socklen_t {
        switch (self.*) {
            .ip4 => |ip| {
                const big_port = std.mem.nativeToBig(u16, ip.port);
                out.* = .{ .in = .{ .addr = @bitCast(ip.bytes), .port = big_port } };
                return @sizeOf(posix.sockaddr.in);
            },
            .ip6 => |ip| {
                out.* = .{ .in6 = .{
                    .addr = ip.bytes,
                    .port = std.mem.nativeToBig(u16, ip.port),
                    .flowinfo = 0,
                    .scope_id = ip.scope,
                } };
                return @sizeOf(posix.sockaddr.in6);
            },
            .unix => |*path| {
                out.* = .{ .un = .{ .path = @splat(0) } };
                @memcpy(out.un.path[0..path.len], path.bytes());
                const header = @offsetOf(posix.sockaddr.un, "path");
                // An abstract name ends where it ends, a path at its NUL.
                const len = header + path.len + @intFromBool(!path.isAbstract());
                return @intCast(len);
            },
        }
    }

    /// Of an address of which `len` bytes are there; null for one of another family.
    pub fn fromSystem(in: *const System, len: posix.socklen_t) ?Endpoint {
        const header = @offsetOf(posix.sockaddr.un, "path");
        if (len >= header and in.any.family == posix.AF.UNIX)
            return fromUnix(&in.un, len);
        const found = Address.fromSystem(&in.any, len);
        return switch (found.family) {
            .ipv4 => .{ .ip4 = .{ .bytes = found.bytes[0..4].*, .port = found.port } },
            .ipv6 => .{ .ip6 = .{
                .bytes = found.bytes,
                .port = found.port,
                .scope = in.in6.scope_id,
            } },
            .unix, .none => null,
        };
    }

    fn fromUnix(un: *const posix.sockaddr.un, len: posix.socklen_t) Endpoint {
        const header = @offsetOf(posix.sockaddr.un, "path");
        const given = un.path[0..@min(len -| header, un.path.len)];
        const path = if (given.len > 0 and given[0] == 0) given else std.mem.sliceTo(given, 0);
        // One that was never bound has no path.
        return .{ .unix = UnixPath.of(path) orelse .{ .len = 0 } };
    }

    pub fn family(self: *const Endpoint) u32 {
        return switch (self.*) {
            .ip4 => posix.AF.INET,
            .ip6 => posix.AF.INET6,
            .unix => posix.AF.UNIX,
        };
    }

    /// Its port; 0 of a unix socket.
    pub fn port(self: *const Endpoint) u16 {
        return switch (self.*) {
            .ip4 => |ip| ip.port,
            .ip6 => |ip| ip.port,
            .unix => 0,
        };
    }

    pub fn setPort(self: *Endpoint, new: u16) void {
        switch (self.*) {
            .ip4 => |*ip| ip.port = new,
            .ip6 => |*ip| ip.port = new,
            .unix => unreachable, // the caller has looked
        }
    }

    /// Whether it stands for every address of this machine.
    pub fn isAny(self: *const Endpoint) bool {
        return switch (self.*) {
            .ip4 => |ip| std.mem.allEqual(u8, &ip.bytes, 0),
            .ip6 => |ip| std.mem.allEqual(u8, &ip.bytes, 0),
            .unix => false,
        };
    }

    /// As peers' addresses are told: of a unix socket the family alone.
    pub fn address(self: *const Endpoint) Address {
        return switch (self.*) {
            .ip4 => |ip| .ofIp4(ip.bytes, ip.port),
            .ip6 => |ip| .{ .bytes = ip.bytes, .port = ip.port, .family = .ipv6 },
            .unix => .{ .family = .unix },
        };
    }

    /// Without the port: "127.0.0.1", "fe80::1%eth0", "/run/app.sock", "@abstract".
    pub fn host(self: *const Endpoint, out: *[text_bytes_max]u8) []const u8 {
        var stream = std.io.fixedBufferStream(out);
        self.writeHost(stream.writer(), "%") catch unreachable; // the buffer has room for all
        return stream.getWritten();
    }

    /// "127.0.0.1:3000", "[fe80::1%eth0]:3000", "unix:/run/app.sock", "unix:@abstract".
    pub fn text(self: *const Endpoint, out: *[text_bytes_max]u8) []const u8 {
        var stream = std.io.fixedBufferStream(out);
        self.writeText(stream.writer(), "%") catch unreachable; // the buffer has room for all
        return stream.getWritten();
    }

    /// Where it is reached from this machine: "http://127.0.0.1:3000/"; localhost stands for every
    /// address. A scope is written as RFC 6874 has it (`%25eth0`), a path percent-encoded:
    /// "unix:///run/app.sock", "unix:@abstract".
    pub fn url(self: *const Endpoint, out: *[text_bytes_max]u8) []const u8 {
        return self.urlOf(.http, out);
    }

    pub const Scheme = enum { http, https };

    pub fn urlOf(self: *const Endpoint, scheme: Scheme, out: *[text_bytes_max]u8) []const u8 {
        var stream = std.io.fixedBufferStream(out);
        self.writeUrl(stream.writer(), scheme) catch unreachable; // the buffer has room for all
        return stream.getWritten();
    }

    fn writeUrl(self: *const Endpoint, writer: anytype, scheme: Scheme) !void {
        switch (self.*) {
            .unix => |*path| {
                const bytes = path.bytes();
                try writer.writeAll(if (path.isAbstract()) "unix:@" else "unix://");
                for (bytes[@intFromBool(path.isAbstract())..]) |byte| switch (byte) {
                    'a'...'z', 'A'...'Z', '0'...'9', '-', '.', '_', '~', '/' => {
                        try writer.writeByte(byte);
                    },
                    else => try writer.print("%{X:0>2}", .{byte}),
                };
            },
            .ip4, .ip6 => {
                try writer.print("{s}://", .{@tagName(scheme)});
                if (self.isAny()) {
                    try writer.print("localhost:{d}", .{self.port()});
                } else try self.writeText(writer, "%25");
                try writer.writeByte('/');
            },
        }
    }

    fn writeText(self: *const Endpoint, writer: anytype, percent: []const u8) !void {
        switch (self.*) {
            .ip4 => |ip| {
                try self.writeHost(writer, percent);
                try writer.print(":{d}", .{ip.port});
            },
            .ip6 => |ip| {
                try writer.writeByte('[');
                try self.writeHost(writer, percent);
                try writer.print("]:{d}", .{ip.port});
            },
            .unix => {
                try writer.writeAll("unix:");
                try self.writeHost(writer, percent);
            },
        }
    }

    fn writeHost(self: *const Endpoint, writer: anytype, percent: []const u8) !void {
        switch (self.*) {
            .ip4 => |*ip| try address_file.writeIp4(&ip.bytes, writer),
            .ip6 => |*ip| {
                try address_file.writeIp6(&ip.bytes, writer);
                if (ip.scope == 0) return;
                try writer.writeAll(percent);
                var name: [system.interface_name_bytes]u8 = undefined;
                if (system.interfaceName(ip.scope, &name)) |known| {
                    try writer.writeAll(known);
                } else |_| try writer.print("{d}", .{ip.scope}); // gone meanwhile: its number
            },
            .unix => |*path| {
                const bytes = path.bytes();
                if (!path.isAbstract()) return writer.writeAll(bytes);
                try writer.writeByte('@');
                try writer.writeAll(bytes[1..]);
            },
        }
    }
};

comptime {
    assert(@sizeOf(Endpoint.System) == @sizeOf(posix.sockaddr.storage));
}

const testing = std.testing;

fn expectTexts(endpoint: Endpoint, text: []const u8, url: []const u8) !void {
    var buffer: [Endpoint.text_bytes_max]u8 = undefined;
    try testing.expectEqualStrings(text, endpoint.text(&buffer));
    try testing.expectEqualStrings(url, endpoint.url(&buffer));
    // There and back again.
    var in: Endpoint.System = undefined;
    const len = endpoint.toSystem(&in);
    try testing.expectEqualStrings(text, Endpoint.fromSystem(&in, len).?.text(&buffer));
}

test "an endpoint is told with its port, its scope or its path, and as a URL" {
    const local: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 80 } };
    try expectTexts(local, "127.0.0.1:80", "http://127.0.0.1:80/");
    try expectTexts(.any4, "0.0.0.0:0", "http://localhost:0/");
    try expectTexts(.any6, "[::]:0", "http://localhost:0/");
    var scoped = Endpoint.any6;
    scoped.ip6 = .{ .bytes = .{ 0xfe, 0x80 } ++ .{0} ** 13 ++ .{1}, .port = 8080, .scope = 1 };
    try expectTexts(scoped, "[fe80::1%lo]:8080", "http://[fe80::1%25lo]:8080/");
    scoped.ip6.scope = 1 << 30;
    try expectTexts(scoped, "[fe80::1%1073741824]:8080", "http://[fe80::1%251073741824]:8080/");
    const path: Endpoint = .{ .unix = Endpoint.UnixPath.of("/run/my app.sock").? };
    try expectTexts(path, "unix:/run/my app.sock", "unix:///run/my%20app.sock");
    const abstract: Endpoint = .{ .unix = Endpoint.UnixPath.of("\x00app").? };
    try expectTexts(abstract, "unix:@app", "unix:@app");
}

test "a path has 107 bytes at most, and its text always fits" {
    const longest = [_]u8{'?'} ** Endpoint.UnixPath.path_bytes_max;
    const endpoint: Endpoint = .{ .unix = Endpoint.UnixPath.of(&longest).? };
    var buffer: [Endpoint.text_bytes_max]u8 = undefined;
    try testing.expectEqual("unix://".len + 3 * longest.len, endpoint.url(&buffer).len);
    var in: Endpoint.System = undefined;
    const len = endpoint.toSystem(&in);
    try testing.expectEqualSlices(u8, &longest, Endpoint.fromSystem(&in, len).?.unix.bytes());
    try testing.expectEqual(null, Endpoint.UnixPath.of(&longest ++ "?"));
    try testing.expectEqual(null, Endpoint.UnixPath.of(""));
}
