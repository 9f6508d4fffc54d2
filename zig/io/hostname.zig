//! Names and addresses as users write them, and where a server would listen for them.

const builtin = @import("builtin");
const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Defect = @import("../core/defect.zig").Defect;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const address_file = @import("../core/address.zig");
const limits = @import("../core/limits.zig");
const win32 = @import("../core/system/win32.zig");
const windows = @import("../core/system/windows.zig");

const is_windows = builtin.os.tag == .windows;

/// What tells more, by the names of this system's commands.
pub const tools = if (is_windows) struct {
    pub const addresses = "`ipconfig`";
    const interfaces = "`netsh interface ipv6 show interfaces`";
    const links = interfaces;
    const scope = "1";
    const names = "`nslookup NAME` tells what the name servers know";
} else struct {
    pub const addresses = "`ip address`";
    const interfaces = "`ip link`";
    const links = "`ip -6 address`";
    const scope = "eth0";
    const names = "`getent hosts NAME` tells what the system knows";
};

pub const List = std.BoundedArray(Endpoint, limits.listeners_max);

pub const Error = error{ AddressInvalid, UnknownHost, SystemResources };

/// RFC 1035 §2.3.4, as text.
const name_bytes_max = 253;

const code_invalid = "GYR_ADDRESS_INVALID";

/// Where to listen for `hostname`: one endpoint for an address, all that a name leads to, IPv4
/// first. "", "*" and every way to write `::` are every address of the machine, IPv6 and IPv4:
/// `Endpoint.any6`. Brackets may stand around an IPv6 address; one that holds an IPv4 address is
/// that. A name is looked up as the system does it, which may take seconds.
pub fn resolve(hostname: []const u8, port: u16, defect: *Defect) Error!List {
    var list: List = .{};
    const inner = withoutBrackets(hostname);
    if (inner.len == 0 or std.mem.eql(u8, inner, "*")) {
        list.appendAssumeCapacity(.any6);
    } else {
        try check(hostname, inner, defect);
        var buffer: [name_bytes_max:0]u8 = undefined;
        @memcpy(buffer[0..inner.len], inner);
        buffer[inner.len] = 0;
        const name = buffer[0..inner.len :0];
        if (!try lookUp(name, true, &list, defect)) {
            try checkName(hostname, inner, defect);
            if (!try lookUp(name, false, &list, defect)) return refuseUnknown(hostname, defect);
        }
    }
    for (list.slice()) |*endpoint| endpoint.setPort(port);
    return list;
}

fn withoutBrackets(hostname: []const u8) []const u8 {
    const last = hostname.len -| 1;
    if (hostname.len < 2 or hostname[0] != '[' or hostname[last] != ']') return hostname;
    // "[]" is no address, and is refused as it stands.
    return if (last == 1) hostname else hostname[1..last];
}

/// What no name or address can be.
fn check(hostname: []const u8, inner: []const u8, defect: *Defect) Error!void {
    const hint: []const u8 = if (inner.len > name_bytes_max)
        "a name has 253 bytes at most"
    else if (std.mem.indexOf(u8, inner, "://") != null)
        "give the name or the address alone; the port is an option of its own"
    else if (std.mem.indexOfScalar(u8, inner, '/') != null)
        "a unix socket is listened on by its path: option unix"
    else if (!isAscii(inner))
        "write it in its ASCII form (xn--…)"
    else if (!isPrintable(inner))
        "a name has letters, digits, dots and hyphens"
    else
        return;
    defect.set(code_invalid, hint, "{} is no host name", .{Shown{ .text = hostname }});
    return error.AddressInvalid;
}

/// What is no address, and cannot be a name either.
fn checkName(hostname: []const u8, inner: []const u8, defect: *Defect) Error!void {
    const colon = std.mem.indexOfScalar(u8, inner, ':') orelse
        std.mem.indexOfAny(u8, inner, "%[]") orelse return;
    const one_colon = std.mem.lastIndexOfScalar(u8, inner, ':') == colon;
    const hint: []const u8 = if (std.mem.indexOfScalar(u8, inner, '%') != null)
        "behind the % of a link-local address stands an interface: " ++ tools.interfaces ++
            " lists them"
    else if (one_colon)
        "the port is an option of its own"
    else
        "";
    defect.set(code_invalid, hint, "{} is no IP address", .{Shown{ .text = hostname }});
    return error.AddressInvalid;
}

fn refuseUnknown(hostname: []const u8, defect: *Defect) Error {
    const hint = tools.names;
    const text = "The name {} leads to no address";
    defect.set(code_invalid, hint, text, .{Shown{ .text = hostname }});
    return error.UnknownHost;
}

fn isAscii(text: []const u8) bool {
    for (text) |byte| if (byte >= 0x80) return false;
    return true;
}

fn isPrintable(text: []const u8) bool {
    for (text) |byte| if (byte <= ' ' or byte == 0x7f) return false;
    return true;
}

const AddressInfo = if (is_windows) std.os.windows.ws2_32.addrinfo else std.c.addrinfo;

/// Appends what `name` leads to; `is_address`: it must be one. False when it leads nowhere.
fn lookUp(name: [:0]const u8, is_address: bool, list: *List, defect: *Defect) Error!bool {
    const hints: AddressInfo = .{
        .flags = .{ .NUMERICHOST = is_address },
        .family = posix.AF.UNSPEC,
        .socktype = posix.SOCK.STREAM,
        .protocol = posix.IPPROTO.TCP,
        .addrlen = 0,
        .addr = null,
        .canonname = null,
        .next = null,
    };
    var found: ?*AddressInfo = null;
    switch (lookUpWith(name, &hints, &found)) {
        .done => {},
        .unknown => return false,
        .failed => {
            const hint = "too little memory, or too few descriptors";
            const text = "The name {} cannot be looked up";
            defect.set("GYR_ENGINE_FAILED", hint, text, .{Shown{ .text = name }});
            return error.SystemResources;
        },
    }
    // Null after a success is nothing that the standard allows: as good as no address.
    defer if (found) |first| {
        if (is_windows) win32.freeaddrinfo(first) else std.c.freeaddrinfo(first);
    };
    for ([_]i32{ posix.AF.INET, posix.AF.INET6 }) |family| {
        var at = found;
        while (at) |info| : (at = info.next) {
            if (info.family == family) try take(name, info, list, defect);
        }
    }
    return list.len > 0;
}

const Answer = enum { done, unknown, failed };

fn lookUpWith(name: [:0]const u8, hints: *const AddressInfo, found: *?*AddressInfo) Answer {
    if (is_windows) {
        windows.startSockets() catch return .failed;
        const no_memory = 8;
        return switch (win32.getaddrinfo(name, null, hints, found)) {
            0 => .done,
            no_memory => .failed,
            else => .unknown,
        };
    }
    const answer = std.c.getaddrinfo(name, null, hints, found);
    if (@intFromEnum(answer) == 0) return .done;
    return switch (answer) {
        .MEMORY, .SYSTEM => .failed,
        else => .unknown,
    };
}

fn take(name: []const u8, info: *const AddressInfo, list: *List, defect: *Defect) Error!void {
    const addr = info.addr orelse return;
    var in: Endpoint.System = undefined;
    const len = @min(info.addrlen, @sizeOf(Endpoint.System));
    @memcpy(std.mem.asBytes(&in)[0..len], @as([*]const u8, @ptrCast(addr)));
    var endpoint = Endpoint.fromSystem(&in, len) orelse return;
    try checkEndpoint(name, &endpoint, defect);
    for (list.slice()) |known| if (std.meta.eql(known, endpoint)) return;
    list.append(endpoint) catch {
        const text = "The name {} leads to more than {d} addresses";
        defect.set(code_invalid, "", text, .{ Shown{ .text = name }, limits.listeners_max });
        return error.AddressInvalid;
    };
}

/// Refuses what the system would not let a server listen on, with words that it does not have.
fn checkEndpoint(name: []const u8, endpoint: *Endpoint, defect: *Defect) Error!void {
    switch (endpoint.*) {
        .unix => unreachable, // names lead to IP addresses
        .ip4 => |ip| {
            const multicast = ip.bytes[0] >> 4 == 0xe;
            const broadcast = std.mem.allEqual(u8, &ip.bytes, 0xff);
            if (multicast or broadcast) return refuseGroup(name, defect);
        },
        .ip6 => |*ip| {
            if (ip.bytes[0] == 0xff) return refuseGroup(name, defect);
            const link_local = ip.bytes[0] == 0xfe and ip.bytes[1] >> 6 == 0b10;
            if (!link_local) {
                ip.scope = 0; // it means nothing there
            } else if (ip.scope == 0) {
                defect.set(code_invalid, "", "{} is an address of one link alone", .{
                    Shown{ .text = name },
                });
                defect.setHint(
                    "name the interface behind it: {}%" ++ tools.scope ++ "; " ++ tools.links ++
                        " lists them",
                    .{Shown{ .text = name }},
                );
                return error.AddressInvalid;
            }
        },
    }
}

fn refuseGroup(name: []const u8, defect: *Defect) Error {
    const hint = "connections come to one host: take an address of this machine";
    const text = "{} is an address of many hosts";
    defect.set(code_invalid, hint, text, .{Shown{ .text = name }});
    return error.AddressInvalid;
}

/// What a user gave, for a message: without control characters, and not longer than a line.
pub const Shown = struct {
    text: []const u8,

    const bytes_max = 64;

    pub fn format(
        self: Shown,
        comptime _: []const u8,
        _: std.fmt.FormatOptions,
        writer: anytype,
    ) !void {
        if (!std.unicode.utf8ValidateSlice(self.text)) return writer.writeAll("(no text)");
        var codepoints = (std.unicode.Utf8View.initUnchecked(self.text)).iterator();
        if (self.text.len == 0) return writer.writeAll("\"\"");
        while (codepoints.nextCodepointSlice()) |bytes| {
            if (codepoints.i > bytes_max) return writer.writeAll("…");
            const control = bytes.len == 1 and (bytes[0] < ' ' or bytes[0] == 0x7f);
            try writer.writeAll(if (control) "?" else bytes);
        }
    }
};

const testing = std.testing;

fn expectList(hostname: []const u8, comptime texts: []const []const u8) !void {
    var defect: Defect = .{};
    const list = resolve(hostname, 80, &defect) catch |err| {
        std.debug.print("{s}: {s}\n", .{ hostname, defect.message() });
        return err;
    };
    try testing.expectEqual(texts.len, list.len);
    for (texts, list.slice()) |text, endpoint| {
        var buffer: [Endpoint.text_bytes_max]u8 = undefined;
        try testing.expectEqualStrings(text, endpoint.text(&buffer));
    }
}

fn expectRefused(hostname: []const u8, message: []const u8, hint: []const u8) !void {
    var defect: Defect = .{};
    const answer = resolve(hostname, 80, &defect);
    try testing.expect(if (answer) |_| false else |_| true);
    try testing.expectEqualStrings("GYR_ADDRESS_INVALID", defect.code);
    try testing.expectEqualStrings(message, defect.message());
    try testing.expect(std.mem.indexOf(u8, defect.hint, hint) != null);
}

test "every address of the machine has many spellings" {
    for ([_][]const u8{ "", "*", "::", "::0", "0::0", "0:0:0:0:0:0:0:0", "[::]", "[0::0]" }) |text|
        try expectList(text, &.{"[::]:80"});
    try expectList("0.0.0.0", &.{"0.0.0.0:80"});
    try expectList("::ffff:0.0.0.0", &.{"0.0.0.0:80"});
}

test "addresses are taken as people write them" {
    try expectList("127.0.0.1", &.{"127.0.0.1:80"});
    try expectList("127.1", &.{"127.0.0.1:80"});
    try expectList("::1", &.{"[::1]:80"});
    try expectList("[::1]", &.{"[::1]:80"});
    try expectList("::1%1", &.{"[::1]:80"});
    try expectList("2001:DB8:0::1", &.{"[2001:db8::1]:80"});
    try expectList("::ffff:127.0.0.1", &.{"127.0.0.1:80"});
    try expectList("::FFFF:7f00:1", &.{"127.0.0.1:80"});
    try expectList("fe80::1%lo", &.{"[fe80::1%lo]:80"});
    try expectList("[fe80::1%1]", &.{"[fe80::1%lo]:80"});
}

test "what cannot be listened on is refused, with what to do" {
    try expectRefused("fe80::1", "fe80::1 is an address of one link alone", "fe80::1%eth0");
    try expectRefused("ff02::1", "ff02::1 is an address of many hosts", "of this machine");
    try expectRefused("ff02::1%lo", "ff02::1%lo is an address of many hosts", "");
    try expectRefused("224.0.0.1", "224.0.0.1 is an address of many hosts", "");
    try expectRefused("::ffff:224.0.0.1", "::ffff:224.0.0.1 is an address of many hosts", "");
    try expectRefused("255.255.255.255", "255.255.255.255 is an address of many hosts", "");
    try expectRefused("fe80::1%none", "fe80::1%none is no IP address", "`ip link`");
    try expectRefused("::1%lo", "::1%lo is no IP address", "link-local");
    try expectRefused("fe80::1%", "fe80::1% is no IP address", "`ip link`");
    try expectRefused("::1::", "::1:: is no IP address", "");
    try expectRefused("[::1", "[::1 is no IP address", "");
    try expectRefused("[]", "[] is no IP address", "");
    try expectRefused("[[::1]]", "[[::1]] is no IP address", "");
    try expectRefused("localhost:3000", "localhost:3000 is no IP address", "port is an option");
    try expectRefused("http://a", "http://a is no host name", "alone");
    try expectRefused("/run/app.sock", "/run/app.sock is no host name", "option unix");
    try expectRefused("a b", "a b is no host name", "letters");
    try expectRefused("a\x00b", "a?b is no host name", "letters");
    try expectRefused("bücher.example", "bücher.example is no host name", "xn--");
    try expectRefused("\xff\xfe", "(no text) is no host name", "xn--");
    try expectRefused("a" ** 254, "a" ** 64 ++ "… is no host name", "253");
    try expectRefused("no.invalid", "The name no.invalid leads to no address", "getent");
    try expectRefused("a" ** 253, "The name " ++ "a" ** 64 ++ "… leads to no address", "");
}

test "nothing that can be written ends the process" {
    var random = std.Random.DefaultPrng.init(testing.random_seed);
    const letters = "0123456789abcdef:.%[]*lo";
    for (0..20_000) |_| {
        var buffer: [48]u8 = undefined;
        const text = buffer[0..random.random().uintAtMost(usize, buffer.len)];
        for (text) |*byte| byte.* = letters[random.random().uintLessThan(usize, letters.len)];
        // An address, so that no name is looked up.
        if (std.mem.indexOfAny(u8, text, ":%[]") == null) continue;
        var defect: Defect = .{};
        const list = resolve(text, 1, &defect) catch continue;
        try testing.expect(list.len > 0);
    }
}
