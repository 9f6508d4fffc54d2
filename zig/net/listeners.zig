//! What a server listens on: the places of its configuration, opened together or not at all.

const builtin = @import("builtin");
const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Allocator = std.mem.Allocator;
const Defect = @import("../core/defect.zig").Defect;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const hostname_file = @import("../io/hostname.zig");
const Shown = hostname_file.Shown;
const socket = @import("../io/socket.zig");
const unix_socket = @import("../io/unix_socket.zig");

const is_windows = builtin.os.tag == .windows;

/// Where to listen.
pub const Place = union(enum) {
    tcp: Tcp,
    unix: Unix,
    /// A listening socket that this process was started with, TCP or unix. It is the server's from
    /// its start on, and closed when it stops.
    fd: Number,

    /// A descriptor as users write it.
    pub const Number = if (builtin.os.tag == .windows) u32 else system.File;

    pub const Tcp = struct {
        /// Name or address; "", "::" and "*" mean every address of the machine, IPv6 and IPv4. A
        /// name stands for all addresses that it leads to.
        hostname: []const u8 = "::",
        /// 0: the system picks one.
        port: u16 = 3000,
    };

    pub const Unix = struct {
        /// A path, 107 bytes at most, 103 where this is not Linux. An abstract name, which Linux
        /// alone has, begins with `@` or NUL.
        path: []const u8,
        /// Rights of the file: who may write may connect. null: what the umask leaves.
        mode: ?u16 = null,
    };
};

pub const Error = error{
    OutOfMemory,
    AddressInUse,
    AccessDenied,
    /// Not one of this machine's.
    AddressNotAvailable,
    /// It cannot be listened on, whatever the machine.
    AddressInvalid,
    UnknownHost,
    SystemResources,
    Unexpected,
};

/// One socket.
pub const Listener = struct {
    fd: system.Socket,
    /// As bound.
    endpoint: Endpoint,
    /// Index of the place that asked for it.
    place: u16,
    inherited: bool = false,
    /// Of a unix socket that was made here.
    file: ?unix_socket.File = null,
};

pub const Listeners = struct {
    items: std.BoundedArray(Listener, limits.listeners_max) = .{},
    /// Others may listen in the same places, now or soon.
    shared: bool = false,

    /// Opens every place. When that fails nothing is left open but what was inherited, and `defect`
    /// tells why.
    pub fn open(
        gpa: Allocator,
        places: []const Place,
        options: socket.Options,
        defect: *Defect,
    ) Error!Listeners {
        assert(places.len > 0);
        var self: Listeners = .{ .shared = options.reuse_port };
        errdefer {
            self.closeMade();
            self.deinit(gpa);
        }
        for (places, 0..) |*place, i| switch (place.*) {
            .tcp => |*tcp| try self.openTcp(tcp, @intCast(i), options, defect),
            .unix => |*unix| try self.openUnix(gpa, unix, @intCast(i), options, defect),
            .fd => |number| {
                const fd = if (Place.Number == system.File) number else system.ofNumber(number);
                try self.inherit(fd, @intCast(i), options, defect);
            },
        };
        return self;
    }

    /// Gives back what the list itself holds; the sockets are whoever's they were given to.
    pub fn deinit(self: *Listeners, gpa: Allocator) void {
        for (self.items.slice()) |*listener| if (listener.file) |*file| file.deinit(gpa);
        self.* = undefined;
    }

    /// Where they listen, in words: "127.0.0.1:3000, [::1]:3000". Cut at the buffer's end.
    pub fn describe(items: []const Listener, buffer: []u8) []const u8 {
        var stream = std.io.fixedBufferStream(buffer);
        const writer = stream.writer();
        for (items, 0..) |*listener, i| {
            var text: [Endpoint.text_bytes_max]u8 = undefined;
            const before = if (i == 0) "" else ", ";
            writer.print("{s}{s}", .{ before, listener.endpoint.text(&text) }) catch break;
        }
        return stream.getWritten();
    }

    /// Closes all sockets, before anybody was given them: of a start that has failed.
    pub fn closeMade(self: *Listeners) void {
        for (self.items.slice()) |*listener| {
            if (listener.inherited) continue;
            if (listener.file) |*file| file.remove();
            system.closeSocket(listener.fd);
        }
    }

    /// The server is about to close `listener`: where others may take its place, no new client is
    /// to come to it. What has begun to connect can still be accepted.
    pub fn retire(self: *const Listeners, listener: *Listener) void {
        if (listener.file) |*file| file.remove();
        if (!self.lingers(listener)) return;
        socket.takeNoMore(listener.fd) catch |err| log.warn(
            "connections that begin while the server stops may be reset: {s}",
            .{@errorName(err)},
        );
    }

    /// Whether connections to `listener` that are half made would be lost if it were closed at
    /// once, where a client could have gone to another server instead.
    pub fn lingers(self: *const Listeners, listener: *const Listener) bool {
        return self.shared and !listener.inherited and listener.endpoint != .unix;
    }

    fn add(self: *Listeners, listener: Listener, defect: *Defect) Error!void {
        self.items.append(listener) catch {
            const text = "There are more than {d} addresses to listen on";
            defect.set("GYR_ADDRESS_INVALID", "", text, .{limits.listeners_max});
            return error.AddressInvalid;
        };
    }

    /// Where it is no file and no port that are refused.
    const calls_hint = "a sandbox must allow socket, setsockopt, bind and listen";

    // TCP.

    /// How often another port is tried when the one that the system picked for the first address of
    /// a name is taken on the second.
    const port_tries_max = 32;

    fn openTcp(
        self: *Listeners,
        tcp: *const Place.Tcp,
        place: u16,
        options: socket.Options,
        defect: *Defect,
    ) Error!void {
        const list = try hostname_file.resolve(tcp.hostname, tcp.port, defect);
        const before = self.items.len;
        var tries: u32 = 0;
        while (true) : (tries += 1) {
            const again = tcp.port == 0 and tries < port_tries_max;
            self.openAll(tcp, list.constSlice(), place, options, defect) catch |err| {
                self.closeFrom(before);
                if (err == error.AddressInUse and again) continue;
                return err;
            };
            return;
        }
    }

    fn closeFrom(self: *Listeners, from: usize) void {
        for (self.items.slice()[from..]) |*listener| system.closeSocket(listener.fd);
        self.items.resize(from) catch unreachable; // it gets shorter
    }

    /// All on one port. An address that the machine does not have, of a name that leads to others
    /// too, is left out.
    fn openAll(
        self: *Listeners,
        tcp: *const Place.Tcp,
        list: []const Endpoint,
        place: u16,
        options: socket.Options,
        defect: *Defect,
    ) Error!void {
        const before = self.items.len;
        var port = tcp.port;
        var failed: Error!void = {};
        for (list) |wanted| {
            var endpoint = wanted;
            endpoint.setPort(port);
            const fd = listenOn(&endpoint, options) catch |err| {
                const told = refuse(err, tcp, &endpoint, options, defect);
                switch (err) {
                    error.AddressFamilyNotSupported, error.AddressNotAvailable => {
                        failed = told;
                        continue;
                    },
                    else => return told,
                }
            };
            errdefer system.closeSocket(fd);
            const bound = socket.endpointOf(fd) catch |err|
                return refuse(err, tcp, &endpoint, options, defect);
            port = bound.port();
            try self.add(.{ .fd = fd, .endpoint = bound, .place = place }, defect);
        }
        if (self.items.len == before) return failed;
    }

    fn listenOn(endpoint: *const Endpoint, options: socket.Options) system.Error!system.Socket {
        return socket.listen(endpoint, options) catch |err| switch (err) {
            error.AddressFamilyNotSupported, error.AddressNotAvailable => {
                if (endpoint.* != .ip6 or !endpoint.isAny()) return err;
                // A system without IPv6.
                var any4 = Endpoint.any4;
                any4.setPort(endpoint.port());
                return socket.listen(&any4, options);
            },
            else => return err,
        };
    }

    fn refuse(
        err: system.Error,
        tcp: *const Place.Tcp,
        endpoint: *const Endpoint,
        options: socket.Options,
        defect: *Defect,
    ) Error {
        const host: Shown = .{ .text = if (tcp.hostname.len == 0) "::" else tcp.hostname };
        var buffer: [Endpoint.text_bytes_max]u8 = undefined;
        const at = endpoint.text(&buffer);
        // Windows says so of a port that another has for itself, and reserves none of the low ones.
        const is_taken = is_windows and err == error.AccessDenied;
        switch (if (is_taken) error.AddressInUse else err) {
            error.AddressInUse => {
                const hint = if (is_taken)
                    "choose another port, or 0 for a free one; some are kept by Windows itself: " ++
                        "`netsh int ip show excludedportrange tcp`"
                else if (options.reuse_port)
                    "all that listen on a port must have reusePort, and be of one user"
                else
                    "choose another port, or 0 for a free one";
                const text = "Port {d} on {} is taken";
                defect.set("GYR_ADDRESS_IN_USE", hint, text, .{ endpoint.port(), host });
                return error.AddressInUse;
            },
            error.AccessDenied, error.PermissionDenied => {
                // bind(2) says EACCES of a reserved port; a filter says EPERM, of any port.
                const is_reserved = err == error.AccessDenied and
                    endpoint.port() > 0 and endpoint.port() < 1024;
                const hint = if (is_reserved) "choose a port from 1024 on" else calls_hint;
                const text = "Port {d} on {} may not be opened by this {s}";
                defect.set("GYR_ADDRESS_DENIED", hint, text, .{
                    endpoint.port(),
                    host,
                    if (is_reserved) "user" else "process",
                });
                return error.AccessDenied;
            },
            error.AddressFamilyNotSupported => {
                const text = "{s} cannot be listened on: this system has no {s}";
                const family = if (endpoint.* == .ip6) "IPv6" else "IPv4";
                defect.set("GYR_ADDRESS_INVALID", "", text, .{ at, family });
                return error.AddressNotAvailable;
            },
            error.AddressNotAvailable => {
                const hint = hostname_file.tools.addresses ++ " lists those of this machine";
                defect.set("GYR_ADDRESS_INVALID", hint, "{} is no address of this machine", .{
                    host,
                });
                return error.AddressNotAvailable;
            },
            error.NotSupported => {
                if (!is_windows or !options.reuse_port) return refuseOther(err, at, defect);
                const hint = "leave reusePort out: one server has a port";
                const text = "{s} cannot be shared: Windows gives a port to one server";
                defect.set("GYR_ADDRESS_INVALID", hint, text, .{at});
                return error.AddressInvalid;
            },
            error.InvalidArgument, error.NoDevice => {
                const text = "{s} cannot be listened on: {s}";
                defect.set("GYR_ADDRESS_INVALID", "", text, .{ at, @errorName(err) });
                return error.AddressInvalid;
            },
            else => return refuseOther(err, at, defect),
        }
    }

    fn refuseOther(err: system.Error, at: []const u8, defect: *Defect) Error {
        const text = "{s} cannot be listened on: {s}";
        defect.set("GYR_ENGINE_FAILED", "", text, .{ at, @errorName(err) });
        return switch (err) {
            error.SystemResources,
            error.ProcessFdQuotaExceeded,
            error.SystemFdQuotaExceeded,
            error.NoSpaceLeft,
            => error.SystemResources,
            else => error.Unexpected,
        };
    }

    // Unix sockets.

    fn openUnix(
        self: *Listeners,
        gpa: Allocator,
        unix: *const Place.Unix,
        place: u16,
        options: socket.Options,
        defect: *Defect,
    ) Error!void {
        if (is_windows) {
            const hint = "listen on 127.0.0.1, which no other machine reaches";
            const shown: Shown = .{ .text = unix.path };
            const text = "{} cannot be listened on: there are no unix sockets on Windows";
            defect.set("GYR_ADDRESS_INVALID", hint, text, .{shown});
            return error.AddressInvalid;
        }
        const path = try pathOf(unix, defect);
        var made = unix_socket.listen(gpa, &path, .{
            .backlog = options.backlog,
            .mode = unix.mode,
            .take_over = options.reuse_port,
        }) catch |err| return refuseUnix(err, &path, defect);
        errdefer {
            if (made.file) |*file| {
                file.remove();
                file.deinit(gpa);
            }
            system.closeSocket(made.fd);
        }
        try self.add(.{
            .fd = made.fd,
            .endpoint = .{ .unix = path },
            .place = place,
            .file = made.file,
        }, defect);
    }

    fn pathOf(unix: *const Place.Unix, defect: *Defect) Error!Endpoint.UnixPath {
        const is_abstract = unix.path.len > 0 and (unix.path[0] == '@' or unix.path[0] == 0);
        if (is_abstract and !Endpoint.UnixPath.has_abstract) {
            const hint = "a path in the file system; one that begins with @ as ./@…";
            const text = "{} is an abstract name, which Linux alone has";
            defect.set("GYR_ADDRESS_INVALID", hint, text, .{Shown{ .text = unix.path }});
            return error.AddressInvalid;
        }
        const rest = unix.path[@intFromBool(is_abstract)..];
        const shown: Shown = .{ .text = rest };
        const mark = if (is_abstract) "@" else "";
        if (rest.len == 0 or std.mem.indexOfScalar(u8, rest, 0) != null) {
            const text = "{s}{} is no path of a socket";
            defect.set("GYR_ADDRESS_INVALID", "", text, .{ mark, shown });
            return error.AddressInvalid;
        }
        var path = Endpoint.UnixPath.of(unix.path) orelse {
            const hint = "a path relative to the working directory may be shorter";
            const text = "{s}{} is too long for a socket: {d} bytes, and the system takes {d}";
            const most = Endpoint.UnixPath.path_bytes_max;
            defect.set("GYR_ADDRESS_INVALID", if (is_abstract) "" else hint, text, .{
                mark,
                shown,
                unix.path.len,
                most,
            });
            return error.AddressInvalid;
        };
        if (is_abstract) {
            path.buffer[0] = 0;
            if (unix.mode != null) {
                const hint = "leave the mode out: every user of this machine may connect";
                const text = "{s}{} is an abstract name, and has no mode";
                defect.set("GYR_ADDRESS_INVALID", hint, text, .{ mark, shown });
                return error.AddressInvalid;
            }
        }
        return path;
    }

    fn refuseUnix(err: unix_socket.Error, path: *const Endpoint.UnixPath, defect: *Defect) Error {
        const endpoint: Endpoint = .{ .unix = path.* };
        var buffer: [Endpoint.text_bytes_max]u8 = undefined;
        const at = endpoint.host(&buffer);
        switch (err) {
            error.OutOfMemory => return error.OutOfMemory,
            error.SocketInUse => {
                const hint = "stop that server, choose another path, or set reusePort to take " ++
                    "its place";
                const text = "A server listens at {s}";
                defect.set("GYR_ADDRESS_IN_USE", hint, text, .{at});
                return error.AddressInUse;
            },
            error.NotASocketFile => {
                const hint = "remove it, or choose another path";
                defect.set("GYR_ADDRESS_IN_USE", hint, "{s} is there, and is no socket", .{at});
                return error.AddressInUse;
            },
            error.SocketNotOurs => {
                const hint = "remove it if no server uses it, or choose another path";
                const text = "{s} is another user's socket";
                defect.set("GYR_ADDRESS_IN_USE", hint, text, .{at});
                return error.AddressInUse;
            },
            error.PermissionDenied => {
                const text = "{s} may not be made by this process";
                const hint = calls_hint ++ ", and the file system take sockets";
                defect.set("GYR_ADDRESS_DENIED", hint, text, .{at});
                return error.AccessDenied;
            },
            error.ReadOnlyFileSystem => {
                const hint = "choose a path on another one, or an abstract name (@NAME)";
                const text = "{s} may not be made: its file system is read-only";
                defect.set("GYR_ADDRESS_DENIED", hint, text, .{at});
                return error.AccessDenied;
            },
            error.AccessDenied => {
                const hint = "choose a folder that this user may write to";
                const text = "{s} may not be made by this user";
                defect.set("GYR_ADDRESS_DENIED", hint, text, .{at});
                return error.AccessDenied;
            },
            error.FileNotFound, error.NotDir, error.SymLinkLoop => {
                const hint = "make the folder first";
                const text = "The folder of {s} does not exist";
                defect.set("GYR_ADDRESS_INVALID", hint, text, .{at});
                return error.AddressInvalid;
            },
            error.NameTooLong => {
                const text = "{s} is too long to be taken over";
                const hint = "the path and a process number behind it must fit 107 bytes";
                defect.set("GYR_ADDRESS_INVALID", hint, text, .{at});
                return error.AddressInvalid;
            },
            else => |other| return refuseOther(other, at, defect),
        }
    }

    // What was inherited.

    fn inherit(
        self: *Listeners,
        fd: system.File,
        place: u16,
        options: socket.Options,
        defect: *Defect,
    ) Error!void {
        if (is_windows) {
            const hint = "name a host and a port";
            const text = "Descriptor {d}: Windows hands no sockets over by number";
            defect.set("GYR_ADDRESS_FD", hint, text, .{system.numberOf(fd)});
            return error.AddressInvalid;
        }
        for (self.items.slice()) |*listener| if (listener.fd == fd) {
            defect.set("GYR_ADDRESS_FD", "", "Descriptor {d} is named twice", .{fd});
            return error.AddressInvalid;
        };
        socket.inherit(fd, options) catch |err| return refuseInherited(err, fd, defect);
        const endpoint = socket.endpointOf(fd) catch |err|
            return refuseInherited(err, fd, defect);
        try self.add(.{
            .fd = fd,
            .endpoint = endpoint,
            .place = place,
            .inherited = true,
        }, defect);
        self.shared = true;
    }

    fn refuseInherited(err: socket.InheritError, fd: system.File, defect: *Defect) Error {
        const what = switch (err) {
            error.BadDescriptor => "is not open",
            error.NotASocket => "is no socket",
            error.WrongKind => "is no socket for streams",
            error.NotListening => "does not listen",
            else => @errorName(err),
        };
        const hint = "hand a listening socket to this process, as systemd does";
        defect.set("GYR_ADDRESS_FD", hint, "Descriptor {d}: {s}", .{ fd, what });
        return error.AddressInvalid;
    }
};

const testing = std.testing;

fn openIn(places: []const Place, options: socket.Options, defect: *Defect) Error!Listeners {
    return Listeners.open(testing.allocator, places, options, defect);
}

fn end(listeners: *Listeners) void {
    listeners.closeMade();
    listeners.deinit(testing.allocator);
}

fn expectRefused(place: Place, expected: Error, code: []const u8, message: []const u8) !void {
    var defect: Defect = .{};
    try testing.expectError(expected, openIn(&.{place}, .{ .backlog = 8 }, &defect));
    try testing.expectEqualStrings(code, defect.code);
    if (std.mem.indexOf(u8, defect.message(), message) == null)
        try testing.expectEqualStrings(message, defect.message());
}

test "a name is listened on at all its addresses, on one port; what is missing is left out" {
    var defect: Defect = .{};
    var self: Listeners = .{};
    defer end(&self);
    const tcp: Place.Tcp = .{ .hostname = "of several addresses", .port = 0 };
    const v4: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const v6: Endpoint = .{ .ip6 = .{ .bytes = .{0} ** 15 ++ .{1}, .port = 0 } };
    const foreign: Endpoint = .{ .ip4 = .{ .bytes = .{ 192, 0, 2, 1 }, .port = 0 } };
    const list = [_]Endpoint{ foreign, v4, v6 };
    try self.openAll(&tcp, &list, 3, .{ .backlog = 8 }, &defect);
    const items = self.items.slice();
    try testing.expect(items.len == 2 or items.len == 1); // a machine may lack IPv6
    for (items) |*listener| {
        try testing.expectEqual(items[0].endpoint.port(), listener.endpoint.port());
        try testing.expectEqual(3, listener.place);
    }
    var none: Listeners = .{};
    const answer = none.openAll(&tcp, list[0..1], 0, .{ .backlog = 8 }, &defect);
    try testing.expectError(error.AddressNotAvailable, answer);
    try testing.expectEqualStrings("GYR_ADDRESS_INVALID", defect.code);
}

test "several places are opened together, or none" {
    var defect: Defect = .{};
    const tcp: Place = .{ .tcp = .{ .hostname = "127.0.0.1", .port = 0 } };
    const any: Place = .{ .tcp = .{ .port = 0 } };
    var listeners = try openIn(&.{ tcp, any, tcp }, .{ .backlog = 8 }, &defect);
    defer end(&listeners);
    try testing.expectEqual(3, listeners.items.len);
    const taken = listeners.items.get(0).endpoint.port();
    const again: Place = .{ .tcp = .{ .hostname = "127.0.0.1", .port = taken } };
    const answer = openIn(&.{ any, again }, .{ .backlog = 8 }, &defect);
    try testing.expectError(error.AddressInUse, answer);
    try testing.expectEqualStrings("GYR_ADDRESS_IN_USE", defect.code);
    const places = [_]Place{tcp} ** (limits.listeners_max + 1);
    const many = openIn(&places, .{ .backlog = 8 }, &defect);
    try testing.expectError(error.AddressInvalid, many);
}

test "addresses that cannot be listened on are refused with a code, whatever the system says" {
    const code = "GYR_ADDRESS_INVALID";
    for ([_][]const u8{ "192.0.2.1", "2001:db8::1", "240.0.0.1", "fe80::1%lo" }) |hostname| {
        const place: Place = .{ .tcp = .{ .hostname = hostname, .port = 0 } };
        try expectRefused(place, error.AddressNotAvailable, code, hostname);
    }
    for ([_][]const u8{ "fe80::1", "ff02::1", "fe80::1%99999" }) |hostname| {
        const place: Place = .{ .tcp = .{ .hostname = hostname, .port = 0 } };
        try expectRefused(place, error.AddressInvalid, code, "");
    }
    const mapped: Place = .{ .tcp = .{ .hostname = "::ffff:127.0.0.1", .port = 0 } };
    var defect: Defect = .{};
    var listeners = try openIn(&.{mapped}, .{ .backlog = 8 }, &defect);
    defer end(&listeners);
    try testing.expect(listeners.items.get(0).endpoint == .ip4);
}

test "paths that cannot be are refused with a code" {
    const invalid = "GYR_ADDRESS_INVALID";
    const long = [_]u8{'a'} ** 108;
    const cases = [_]struct { path: []const u8, err: Error, code: []const u8, told: []const u8 }{
        .{ .path = "", .err = error.AddressInvalid, .code = invalid, .told = "no path" },
        .{ .path = "@", .err = error.AddressInvalid, .code = invalid, .told = "@\"\" is no path" },
        .{ .path = "a\x00b", .err = error.AddressInvalid, .code = invalid, .told = "no path" },
        .{ .path = &long, .err = error.AddressInvalid, .code = invalid, .told = "too long" },
        .{ .path = "/none/a", .err = error.AddressInvalid, .code = invalid, .told = "folder" },
        .{ .path = "/dev/null/a", .err = error.AddressInvalid, .code = invalid, .told = "folder" },
        .{
            .path = "/dev/null",
            .err = error.AddressInUse,
            .code = "GYR_ADDRESS_IN_USE",
            .told = "no socket",
        },
    };
    for (cases) |case|
        try expectRefused(.{ .unix = .{ .path = case.path } }, case.err, case.code, case.told);
    const with_mode: Place = .{ .unix = .{ .path = "@gyrfalcon-test", .mode = 0o600 } };
    try expectRefused(with_mode, error.AddressInvalid, invalid, "abstract");
}

test "a descriptor that does not listen is refused, and stays open" {
    const fd = try socket.open(posix.AF.INET);
    defer system.close(fd);
    const code = "GYR_ADDRESS_FD";
    try expectRefused(.{ .fd = fd }, error.AddressInvalid, code, "does not listen");
    try expectRefused(.{ .fd = 12345 }, error.AddressInvalid, code, "not open");
    const ends = try system.pipe(.{});
    defer for (ends) |one| system.close(one);
    try expectRefused(.{ .fd = ends[0] }, error.AddressInvalid, code, "no socket");
}

test "an inherited socket is listened on where it is, once" {
    var defect: Defect = .{};
    const local: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const fd = try socket.listen(&local, .{ .backlog = 8 });
    defer system.close(fd);
    const place: Place = .{ .fd = fd };
    const twice = openIn(&.{ place, place }, .{ .backlog = 8 }, &defect);
    try testing.expectError(error.AddressInvalid, twice);
    var listeners = try openIn(&.{place}, .{ .backlog = 8 }, &defect);
    defer end(&listeners);
    try testing.expect(listeners.shared);
    try testing.expectEqual(try socket.endpointOf(fd), listeners.items.get(0).endpoint);
}
