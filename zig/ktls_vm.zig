//! The first process of a virtual machine whose kernel seals for TLS (kTLS): loads the kernel's
//! modules, starts a server, asks it for files as a client that is OpenSSL's, and ends the machine.
//! `npm run test:ktls` (scripts/test-ktls.mjs) makes the machine, and reads what is said here.

const std = @import("std");
const linux = std.os.linux;
const posix = std.posix;
const DirServer = @import("handlers/dir_server.zig").DirServer;
const Request = @import("http/request.zig").Request;
const Response = @import("http/response.zig").Response;
const Server = @import("server/server.zig").Server;
const server_tls = @import("server/tls.zig");
const Settings = @import("server/tls/settings.zig").Settings;
const clients = @import("tls/testing/openssl_client.zig");
const issuer = @import("tls/testing/issuer.zig");

const gpa = std.heap.c_allocator;
const folder = "/www";
/// Of no whole number of records.
const large_bytes = (2 << 20) + 12_345;
const medium_bytes = 300_001;

pub fn main() void {
    run() catch |err| say("FAILED: {s}\n", .{@errorName(err)});
    _ = linux.reboot(.MAGIC1, .MAGIC2, .RESTART, null);
}

fn say(comptime fmt: []const u8, args: anytype) void {
    std.io.getStdOut().writer().print("ktls: " ++ fmt, args) catch {};
}

fn run() !void {
    try mount("proc", "/proc");
    try loadModules();
    try bringUpLoopback();
    try std.fs.makeDirAbsolute(folder);
    try writePattern(folder ++ "/large.bin", large_bytes);
    try writePattern(folder ++ "/medium.bin", medium_bytes);
    try writePattern(folder ++ "/small.bin", 700);
    var server: Server(Site) = undefined;
    const port = try start(&server);
    inline for (.{
        .{ "files come whole, the kernel seals them", sealsFiles },
        .{ "each suite", sealsBySuites },
        .{ "many at a time on one connection", pipelines },
        .{ "who reads slowly gets all of it, and its end", servesSlowly },
        .{ "the client's new keys", takesNewKeys },
        .{ "a client that asks for new keys is told that there are none", refusesNewKeys },
        .{ "a client that leaves in the middle harms nobody", survivesLeavers },
    }) |one| {
        one[1](port) catch |err| {
            say("not ok: {s}: {s}\n", .{ one[0], @errorName(err) });
            return err;
        };
        say("ok: {s}\n", .{one[0]});
    }
    say("all is well\n", .{});
}

// The machine.

fn mount(kind: [*:0]const u8, at: [*:0]const u8) !void {
    _ = linux.mkdir(at, 0o755);
    try check(linux.mount(kind, at, kind, 0, 0));
}

fn check(rc: usize) !void {
    const errno = linux.E.init(rc);
    if (errno == .SUCCESS) return;
    say("the system says {s}\n", .{@tagName(errno)});
    return error.SystemRefused;
}

/// In the order of their names; one that the kernel has already is as good.
fn loadModules() !void {
    var dir = try std.fs.openDirAbsolute("/modules", .{ .iterate = true });
    defer dir.close();
    var names: std.BoundedArray([]const u8, 64) = .{};
    var entries = dir.iterate();
    while (try entries.next()) |entry| try names.append(try gpa.dupe(u8, entry.name));
    std.mem.sort([]const u8, names.slice(), {}, struct {
        fn less(_: void, a: []const u8, b: []const u8) bool {
            return std.mem.lessThan(u8, a, b);
        }
    }.less);
    for (names.constSlice()) |name| {
        const file = try dir.openFile(name, .{});
        defer file.close();
        const none: [*:0]const u8 = "";
        const fd: usize = @intCast(file.handle);
        const rc = linux.syscall3(.finit_module, fd, @intFromPtr(none), 0);
        switch (linux.E.init(rc)) {
            .SUCCESS, .EXIST => {},
            else => |errno| {
                say("module {s}: {s}\n", .{ name, @tagName(errno) });
                return error.ModuleRefused;
            },
        }
    }
}

fn bringUpLoopback() !void {
    const fd = try posix.socket(posix.AF.INET, posix.SOCK.DGRAM, 0);
    defer posix.close(fd);
    var request: linux.ifreq = std.mem.zeroes(linux.ifreq);
    @memcpy(request.ifrn.name[0..2], "lo");
    try check(linux.ioctl(fd, linux.SIOCGIFFLAGS, @intFromPtr(&request)));
    request.ifru.flags.UP = true;
    try check(linux.ioctl(fd, linux.SIOCSIFFLAGS, @intFromPtr(&request)));
}

fn byteAt(at: usize) u8 {
    return @truncate(at *% 31 +% at / 256 *% 7);
}

fn writePattern(path: []const u8, len: usize) !void {
    const bytes = try gpa.alloc(u8, len);
    defer gpa.free(bytes);
    for (bytes, 0..) |*byte, at| byte.* = byteAt(at);
    const file = try std.fs.createFileAbsolute(path, .{});
    defer file.close();
    try file.writeAll(bytes);
}

// The server.

const Site = struct {
    dir: DirServer,

    pub const Tls = server_tls.Tls;

    pub fn init() error{NeedsFolder}!Site {
        return error.NeedsFolder; // made by `initWith`
    }

    pub fn deinit(self: *Site) void {
        self.dir.deinit(gpa);
    }

    pub fn handleRequest(self: *Site, req: *Request, res: *Response) void {
        self.dir.handle(req, res, req.path);
    }
};

fn start(server: *Server(Site)) !u16 {
    const issued = try issuer.issue(.{ .names = "DNS:localhost" });
    const certificate = try issued.certificatePem(gpa);
    const key = try issued.keyPem(gpa);
    const settings = try gpa.create([1]Settings);
    const identities = try gpa.create([1]Settings.Identity);
    identities[0] = .{ .certificate = .{ .text = certificate }, .key = .{ .text = key } };
    settings[0] = .{ .certificates = identities };
    const site: Site = .{ .dir = try DirServer.init(gpa, .{ .root = folder }) };
    try server.initWith(gpa, .{
        .hostname = "127.0.0.1",
        .port = 0,
        .workers = 1,
        .connections_max = 64,
        .buffer_memory_bytes = 32 << 20,
        .log = .info,
        .tls = settings,
    }, site);
    try server.start();
    return server.listeners()[0].endpoint.port();
}

/// How often the kernel was given keys to seal with, since it runs.
fn sealedConnections() !u64 {
    var buffer: [4096]u8 = undefined;
    const file = try std.fs.openFileAbsolute("/proc/net/tls_stat", .{});
    defer file.close();
    const text = buffer[0..try file.readAll(&buffer)];
    var lines = std.mem.tokenizeScalar(u8, text, '\n');
    while (lines.next()) |line| {
        var words = std.mem.tokenizeAny(u8, line, " \t");
        if (std.mem.eql(u8, words.next() orelse continue, "TlsTxSw"))
            return std.fmt.parseInt(u64, words.next() orelse "", 10);
    }
    return error.NoCount;
}

// Clients.

const Visit = struct {
    fd: posix.fd_t,
    tls: *clients.Client,
    /// Of `tls.text`: what has been looked at.
    read: usize = 0,
    is_over: bool = false,
    read_bytes_max: usize = 64 * 1024,

    /// `receive_bytes`: of the socket's buffer; 0 for the system's own choice.
    fn begin(port: u16, options: clients.Options, receive_bytes: c_int) !Visit {
        const fd = try posix.socket(posix.AF.INET, posix.SOCK.STREAM, 0);
        if (receive_bytes > 0) try posix.setsockopt(
            fd,
            posix.SOL.SOCKET,
            posix.SO.RCVBUF,
            std.mem.asBytes(&receive_bytes),
        );
        const address = try std.net.Address.parseIp4("127.0.0.1", port);
        try posix.connect(fd, &address.any, address.getOsSockLen());
        var self: Visit = .{ .fd = fd, .tls = try clients.Client.create(gpa, options) };
        try self.flush();
        while (!self.tls.isComplete()) try self.step();
        return self;
    }

    fn end(self: *Visit) void {
        posix.close(self.fd);
        self.tls.destroy();
    }

    fn flush(self: *Visit) !void {
        var rest: []const u8 = self.tls.out.items;
        while (rest.len > 0) rest = rest[try posix.write(self.fd, rest)..];
        self.tls.out.clearRetainingCapacity();
    }

    /// What the server sends next.
    fn step(self: *Visit) !void {
        if (self.is_over or self.tls.alert != null) return error.ConnectionOver;
        var buffer: [64 * 1024]u8 = undefined;
        const n = try posix.read(self.fd, buffer[0..self.read_bytes_max]);
        if (n == 0) self.is_over = true;
        try self.tls.feed(buffer[0..n]);
        try self.flush();
    }

    fn ask(self: *Visit, path: []const u8, close: bool) !void {
        var buffer: [256]u8 = undefined;
        const connection = if (close) "Connection: close\r\n" else "";
        const text = "GET {s} HTTP/1.1\r\nHost: localhost\r\n{s}\r\n";
        try self.tls.send(try std.fmt.bufPrint(&buffer, text, .{ path, connection }));
        try self.flush();
    }

    /// The next response, whose content is so many bytes of the pattern.
    fn expect(self: *Visit, len: usize) !void {
        const mark = "\r\n\r\n";
        var head: ?usize = null;
        while (head == null) {
            const text = self.tls.text.items[self.read..];
            head = std.mem.indexOf(u8, text, mark);
            if (head == null) try self.step();
        }
        if (!std.mem.startsWith(u8, self.tls.text.items[self.read..], "HTTP/1.1 200"))
            return error.NotOk;
        const begin_at = self.read + head.? + mark.len;
        while (self.tls.text.items.len < begin_at + len) {
            try self.step();
            if (self.read_bytes_max < 2048) std.Thread.sleep(200 * std.time.ns_per_us);
        }
        for (self.tls.text.items[begin_at..][0..len], 0..) |byte, at|
            if (byte != byteAt(at)) return error.OtherContent;
        self.read = begin_at + len;
        const rest = self.tls.text.items[self.read..];
        std.mem.copyForwards(u8, self.tls.text.items, rest);
        self.tls.text.items.len = rest.len;
        self.read = 0;
    }

    /// The server says that nothing follows, and sends nothing more.
    fn expectEnd(self: *Visit) !void {
        while (!self.tls.closed) try self.step();
        if (self.tls.text.items.len > self.read) return error.MoreText;
    }
};

fn sealsFiles(port: u16) !void {
    const before = try sealedConnections();
    var visit = try Visit.begin(port, .{}, 0);
    defer visit.end();
    try visit.ask("/small.bin", false);
    try visit.expect(700);
    if (try sealedConnections() != before) return error.SealedTooSoon;
    for (0..3) |_| {
        try visit.ask("/large.bin", false);
        try visit.expect(large_bytes);
        try visit.ask("/small.bin", false);
        try visit.expect(700);
    }
    if (try sealedConnections() != before + 1) return error.NotSealedByKernel;
    try visit.ask("/medium.bin", true);
    try visit.expect(medium_bytes);
    try visit.expectEnd();
}

fn sealsBySuites(port: u16) !void {
    const before = try sealedConnections();
    const suites = [_][:0]const u8{
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    };
    for (suites) |suite| {
        var visit = try Visit.begin(port, .{ .suites = suite }, 0);
        defer visit.end();
        try visit.ask("/large.bin", false);
        try visit.expect(large_bytes);
        try visit.ask("/small.bin", true);
        try visit.expect(700);
        try visit.expectEnd();
    }
    if (try sealedConnections() != before + suites.len) return error.NotSealedByKernel;
}

fn pipelines(port: u16) !void {
    var visit = try Visit.begin(port, .{}, 0);
    defer visit.end();
    const rounds = 6;
    for (0..rounds) |_| {
        try visit.ask("/medium.bin", false);
        try visit.ask("/small.bin", false);
    }
    for (0..rounds) |_| {
        try visit.expect(medium_bytes);
        try visit.expect(700);
    }
}

fn servesSlowly(port: u16) !void {
    for ([_]usize{ 300, 1500 }) |bytes| {
        var visit = try Visit.begin(port, .{}, 4096);
        defer visit.end();
        visit.read_bytes_max = bytes;
        try visit.ask("/medium.bin", true);
        try visit.expect(medium_bytes);
        try visit.expectEnd();
    }
}

fn takesNewKeys(port: u16) !void {
    var visit = try Visit.begin(port, .{}, 0);
    defer visit.end();
    try visit.ask("/medium.bin", false);
    try visit.expect(medium_bytes);
    visit.tls.updateKeys(false);
    try visit.ask("/medium.bin", false);
    try visit.expect(medium_bytes);
}

fn refusesNewKeys(port: u16) !void {
    var visit = try Visit.begin(port, .{}, 0);
    defer visit.end();
    // While the filter seals there are some.
    visit.tls.updateKeys(true);
    try visit.ask("/small.bin", false);
    try visit.expect(700);
    try visit.ask("/medium.bin", false);
    try visit.expect(medium_bytes);
    visit.tls.updateKeys(true);
    try visit.ask("/small.bin", false);
    while (visit.tls.alert == null) try visit.step();
    if (visit.tls.alert.? != .internal_error) return error.OtherAlert;
}

fn survivesLeavers(port: u16) !void {
    for (0..8) |i| {
        var visit = try Visit.begin(port, .{}, 4096);
        try visit.ask("/large.bin", false);
        for (0..i) |_| try visit.step();
        visit.end();
    }
    var visit = try Visit.begin(port, .{}, 0);
    defer visit.end();
    try visit.ask("/large.bin", true);
    try visit.expect(large_bytes);
    try visit.expectEnd();
}
