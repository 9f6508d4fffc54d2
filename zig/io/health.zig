//! Asks a server once whether it answers: `gyrfalcon healthcheck`, for containers that have neither
//! a shell nor a client.

const builtin = @import("builtin");
const std = @import("std");
const posix = std.posix;
const clock = @import("../core/clock.zig");
const Defect = @import("../core/defect.zig").Defect;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const hostname_file = @import("hostname.zig");
const system = @import("../core/system.zig");

/// How long a server has to answer unless told, ms.
pub const timeout_ms_default: u31 = 5_000;
/// The longest head of a request, and of what comes before the status that counts, bytes.
const head_bytes_max = 8 * 1024;

const NameError = hostname_file.Error;

/// What is asked for: the parts of a URL of the scheme http.
pub const Question = struct {
    /// As the URL has it: what the field Host is.
    authority: []const u8,
    /// A name or an address; brackets may stand around it.
    hostname: []const u8,
    port: u16,
    /// The path and what follows it, "" for "/".
    target: []const u8,

    pub const Error = error{ NotHttp, BadUrl };

    /// `NotHttp`: another scheme, or none. `BadUrl`: what cannot stand in a request as it is.
    pub fn of(url: []const u8) Error!Question {
        const scheme = "http://";
        if (!std.ascii.startsWithIgnoreCase(url, scheme)) return error.NotHttp;
        for (url) |byte| if (byte <= ' ' or byte >= 0x7f) return error.BadUrl;
        const rest = url[scheme.len..];
        const fragment = std.mem.indexOfScalar(u8, rest, '#') orelse rest.len;
        const end = std.mem.indexOfAny(u8, rest[0..fragment], "/?") orelse fragment;
        const authority = rest[0..end];
        if (std.mem.indexOfScalar(u8, authority, '@') != null) return error.BadUrl;
        const hostname, const port = try divide(authority);
        if (hostname.len == 0) return error.BadUrl;
        return .{
            .authority = authority,
            .hostname = hostname,
            .port = port,
            .target = rest[end..fragment],
        };
    }

    fn divide(authority: []const u8) Error!struct { []const u8, u16 } {
        // The colons of an IPv6 address stand in brackets.
        const after = if (std.mem.lastIndexOfScalar(u8, authority, ']')) |at| at + 1 else 0;
        const colon = std.mem.indexOfScalarPos(u8, authority, after, ':') orelse
            return .{ authority, 80 };
        const digits = authority[colon + 1 ..];
        if (digits.len == 0) return .{ authority[0..colon], 80 };
        const port = std.fmt.parseInt(u16, digits, 10) catch return error.BadUrl;
        return .{ authority[0..colon], port };
    }

    /// Where to ask. `defect` is filled in on errors.
    pub fn endpoints(self: *const Question, defect: *Defect) NameError!hostname_file.List {
        return hostname_file.resolve(self.hostname, self.port, defect);
    }
};

pub const AskError = system.Error || error{ NoAnswer, NotHttp, TimedOut, TooLong };

/// The status that the server answers with, at the first of `endpoints` that takes a connection:
/// at the others another program may listen. `NoAnswer`: it closed before that; `NotHttp`: it said
/// something else; `TimedOut`: there was no answer within `timeout_ms`, which is for all of them.
pub fn ask(endpoints: []const Endpoint, question: *const Question, timeout_ms: u31) AskError!u16 {
    const until_ms = clock.monotonicMs() + timeout_ms;
    const fd = try firstConnected(endpoints, until_ms);
    defer system.closeSocket(fd);
    var buffer: [head_bytes_max]u8 = undefined;
    const slash = if (std.mem.startsWith(u8, question.target, "/")) "" else "/";
    const head = std.fmt.bufPrint(&buffer, "GET {s}{s} HTTP/1.1\r\nHost: {s}\r\n" ++
        "User-Agent: gyrfalcon-healthcheck\r\nConnection: close\r\n\r\n", .{
        slash, question.target, question.authority,
    }) catch return error.TooLong;
    try sendAll(fd, head, until_ms);
    return statusOf(fd, &buffer, until_ms);
}

/// The error is that of the last one.
fn firstConnected(endpoints: []const Endpoint, until_ms: u64) AskError!system.Socket {
    var last: AskError = error.NoAnswer;
    for (endpoints) |*endpoint| {
        return connected(endpoint, until_ms) catch |err| switch (err) {
            error.TimedOut => return err, // nothing is left for others
            else => {
                last = err;
                continue;
            },
        };
    }
    return last;
}

fn connected(endpoint: *const Endpoint, until_ms: u64) AskError!system.Socket {
    const fd = try system.streamSocket(endpoint.family());
    errdefer system.closeSocket(fd);
    var address: Endpoint.System = undefined;
    const len = endpoint.toSystem(&address);
    while (true) {
        system.connect(fd, &address.any, len) catch |err| switch (err) {
            error.ConnectionPending, error.Interrupted => break,
            // The queue of a unix socket is full, which no event tells the end of. On Windows it is
            // how a connection begins.
            error.WouldBlock => if (endpoint.* == .unix) {
                if (clock.monotonicMs() >= until_ms) return error.TimedOut;
                system.sleepMs(10);
                continue;
            } else break,
            else => return err,
        };
        return fd;
    }
    try wait(fd, posix.POLL.OUT, until_ms);
    try checkConnection(fd);
    return fd;
}

/// What became of a connect that has ended.
fn checkConnection(fd: system.Socket) AskError!void {
    const code = try system.socketOption(c_int, fd, posix.SOL.SOCKET, posix.SO.ERROR);
    if (code == 0) return;
    if (builtin.os.tag == .windows) return system.errorOf(@intCast(code));
    return system.errorOf(@enumFromInt(code));
}

fn sendAll(fd: system.Socket, bytes: []const u8, until_ms: u64) AskError!void {
    var rest = bytes;
    while (rest.len > 0) {
        const iovecs = [_]posix.iovec_const{.{ .base = rest.ptr, .len = rest.len }};
        rest = rest[system.send(fd, &iovecs, false) catch |err| switch (err) {
            error.WouldBlock => {
                try wait(fd, posix.POLL.OUT, until_ms);
                continue;
            },
            else => return err,
        } ..];
    }
}

fn statusOf(fd: system.Socket, buffer: []u8, until_ms: u64) AskError!u16 {
    var len: usize = 0;
    while (len < buffer.len) {
        const n = system.receive(fd, buffer[len..]) catch |err| switch (err) {
            error.WouldBlock => {
                try wait(fd, posix.POLL.IN, until_ms);
                continue;
            },
            else => return err,
        };
        if (n == 0) return if (len == 0) error.NoAnswer else error.NotHttp;
        len += n;
        if (try finalStatus(buffer[0..len])) |status| return status;
    }
    return error.TooLong;
}

/// The status of the first head that is not interim (RFC 9110 §15.2); null while it is not there.
pub fn finalStatus(bytes: []const u8) error{NotHttp}!?u16 {
    const line = "HTTP/1.x nnn";
    var rest = bytes;
    while (true) {
        const known = rest[0..@min(rest.len, line.len)];
        for (known, 0..) |byte, i| {
            const fits = if (i < 7 or i == 8) byte == line[i] else std.ascii.isDigit(byte);
            if (!fits) return error.NotHttp;
        }
        if (known.len < line.len) return null;
        const status = std.fmt.parseInt(u16, rest[9..12], 10) catch return error.NotHttp;
        if (status < 100) return error.NotHttp;
        if (status >= 200) return status;
        const blank = "\r\n\r\n";
        const end = std.mem.indexOf(u8, rest, blank) orelse return null;
        rest = rest[end + blank.len ..];
    }
}

fn wait(fd: system.Socket, events: i16, until_ms: u64) AskError!void {
    const left_ms = until_ms -| clock.monotonicMs();
    if (left_ms == 0) return error.TimedOut;
    if (!try system.isReadyWithin(fd, events, @intCast(left_ms))) return error.TimedOut;
}

const testing = std.testing;

fn expectQuestion(url: []const u8, hostname: []const u8, port: u16, target: []const u8) !void {
    const question = try Question.of(url);
    try testing.expectEqualStrings(hostname, question.hostname);
    try testing.expectEqual(port, question.port);
    try testing.expectEqualStrings(target, question.target);
}

test "a URL is divided into whom to ask and what for" {
    try expectQuestion("http://127.0.0.1:8080/", "127.0.0.1", 8080, "/");
    try expectQuestion("HTTP://a.test/ready?deep=1#top", "a.test", 80, "/ready?deep=1");
    try expectQuestion("http://[::1]:3000", "[::1]", 3000, "");
    try expectQuestion("http://[::1]?a=/b", "[::1]", 80, "?a=/b");
    try expectQuestion("http://a.test:/", "a.test", 80, "/");
}

test "what is no URL of http is refused" {
    for ([_][]const u8{ "", "/ready", "localhost:3000", "https://a/", "unix:/run/a" }) |url|
        try testing.expectError(error.NotHttp, Question.of(url));
    for ([_][]const u8{
        "http://",      "http:///a",     "http://:80/",          "http://a:b/",
        "http://a@b",   "http://a/b c",  "http://a:-1/",         "http://a:65536/",
        "http://a:1:2", "http://a/\x00", "http://a/\r\nHost: b", "http://b\xc3\xbc/",
    }) |url| try testing.expectError(error.BadUrl, Question.of(url));
}

test "the status is that of the first head that is not interim, however the bytes come" {
    const whole = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.0 204 No Content\r\n\r\n";
    const status_end = comptime std.mem.indexOf(u8, whole, "204").? + 3;
    for (0..whole.len + 1) |len| {
        const expected: ?u16 = if (len < status_end) null else 204;
        try testing.expectEqual(expected, try finalStatus(whole[0..len]));
    }
    const others = [_][]const u8{ "SSH-2.0", "HTTP/2 ", "HTTP/1.1 2x", "\x15\x03", "HTTP/1.1 099" };
    for (others) |text|
        try testing.expectError(error.NotHttp, finalStatus(text));
}

/// A listener, and who asks it in a thread.
const Asked = struct {
    fd: system.Socket,
    endpoint: Endpoint,
    /// An address that is asked before.
    before: ?Endpoint = null,
    answer: AskError!u16 = 0,
    thread: std.Thread = undefined,

    fn begin(self: *Asked, timeout_ms: u31) !void {
        try self.listen();
        self.thread = try std.Thread.spawn(.{}, run, .{ self, timeout_ms });
    }

    fn listen(self: *Asked) !void {
        self.fd = try system.streamSocket(posix.AF.INET);
        var address: Endpoint.System = undefined;
        const here: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
        try system.bind(self.fd, &address.any, here.toSystem(&address));
        try system.listen(self.fd, 1);
        const len = try system.socketName(self.fd, &address.storage);
        self.endpoint = Endpoint.fromSystem(&address, len).?;
    }

    fn run(self: *Asked, timeout_ms: u31) void {
        const question = Question.of("http://a.test/ready") catch unreachable;
        const both = [_]Endpoint{ self.before orelse self.endpoint, self.endpoint };
        const endpoints = if (self.before == null) both[1..] else &both;
        self.answer = ask(endpoints, &question, timeout_ms);
    }

    /// The connection, and what has been asked on it.
    fn taken(self: *Asked, buffer: []u8) !struct { system.Socket, []u8 } {
        try testing.expect(try system.isReadyWithin(self.fd, posix.POLL.IN, 10_000));
        var storage: posix.sockaddr.storage = undefined;
        var len: posix.socklen_t = @sizeOf(posix.sockaddr.storage);
        const fd = try system.accept(self.fd, @ptrCast(&storage), &len);
        var got: usize = 0;
        while (!std.mem.endsWith(u8, buffer[0..got], "\r\n\r\n")) {
            try testing.expect(try system.isReadyWithin(fd, posix.POLL.IN, 10_000));
            got += try system.receive(fd, buffer[got..]);
        }
        return .{ fd, buffer[0..got] };
    }
};

fn say(fd: system.Socket, text: []const u8) !void {
    const iovecs = [_]posix.iovec_const{.{ .base = text.ptr, .len = text.len }};
    try testing.expectEqual(text.len, try system.send(fd, &iovecs, false));
}

test "a server is asked, and its status told" {
    var asked: Asked = .{ .fd = undefined, .endpoint = undefined };
    try asked.begin(30_000);
    defer system.closeSocket(asked.fd);
    var buffer: [1024]u8 = undefined;
    const fd, const head = try asked.taken(&buffer);
    defer system.closeSocket(fd);
    try testing.expectEqualStrings("GET /ready HTTP/1.1\r\nHost: a.test\r\n" ++
        "User-Agent: gyrfalcon-healthcheck\r\nConnection: close\r\n\r\n", head);
    try say(fd, "HTTP/1.1 5");
    try say(fd, "03 Service Unavailable\r\n");
    asked.thread.join();
    try testing.expectEqual(503, try asked.answer);
}

test "a server that closes, or says nothing, has not answered" {
    var asked: Asked = .{ .fd = undefined, .endpoint = undefined };
    try asked.begin(30_000);
    var buffer: [1024]u8 = undefined;
    const fd, _ = try asked.taken(&buffer);
    system.closeSocket(fd);
    system.closeSocket(asked.fd);
    asked.thread.join();
    try testing.expectError(error.NoAnswer, asked.answer);

    try asked.begin(20);
    const silent, _ = try asked.taken(&buffer);
    defer system.closeSocket(silent);
    asked.thread.join();
    try testing.expectError(error.TimedOut, asked.answer);
    // Nothing listens there any more.
    system.closeSocket(asked.fd);
    const question = try Question.of("http://a.test");
    const refused = ask(&.{asked.endpoint}, &question, 10_000);
    try testing.expectError(error.ConnectionRefused, refused);
}

test "the first address that takes a connection is the server, and no other answers for it" {
    const question = try Question.of("http://a.test");
    var server: Asked = .{ .fd = undefined, .endpoint = undefined };
    try server.listen();
    var other: Asked = .{ .fd = undefined, .endpoint = undefined };
    try other.listen();
    // It hangs: the system connects, and nobody answers.
    const endpoints = [_]Endpoint{ server.endpoint, other.endpoint };
    try testing.expectError(error.TimedOut, ask(&endpoints, &question, 20));
    try testing.expect(!try system.isReadyWithin(other.fd, posix.POLL.IN, 0));
    system.closeSocket(other.fd);

    // It has gone: the next is asked.
    system.closeSocket(server.fd);
    other.before = server.endpoint;
    try other.begin(30_000);
    defer system.closeSocket(other.fd);
    var buffer: [1024]u8 = undefined;
    const fd, _ = try other.taken(&buffer);
    defer system.closeSocket(fd);
    try say(fd, "HTTP/1.1 200 OK\r\n\r\n");
    other.thread.join();
    try testing.expectEqual(200, try other.answer);
}
