//! The server that the black-box tests talk to.
//! Every value of `Config` is an option: --header_timeout_ms=300.
//!
//!     engine_app [--OPTION=VALUE]... [--files=FOLDER]
//!     engine_app --parts    tells what it was built with: a line of JSON
//!
//! Prints its URL when it listens. At its end (SIGTERM) it prints a line of JSON with what was
//! counted, and exits with 3 when the engine allocated after its start,
//! with 4 when memory was leaked.
//!
//!   GET  /hello           "Hello from the engine\n", static
//!   *    /echo            the request's body
//!   *    /describe        the request as the handler saw it, JSON
//!   GET  /size/N          N bytes of the pattern, by Response.write
//!   GET  /static/N        the first N bytes of a large static body (at most 50 MiB)
//!   GET  /borrowed/N      N bytes that the handler overwrites at its next call
//!   GET  /file/N          N bytes of the pattern, by sendFile
//!   GET  /status/N        status N with a body of three digits
//!   GET  /field/N         a field X-Long of N bytes
//!   GET  /bad-header      a field with CR LF in its value: the handler's error is told in the body
//!   GET  /header?N=V      a field of that name and value, percent-decoded; as before
//!   GET  /files/*         the folder, by DirServer; 404 without one
//!   GET  /error           the handler fails
//!   GET  /close           asks for the connection to be closed
//!   *    /trailers        the request's trailers and the length of its body, JSON
//!   *    /with-trailers/N N bytes of the pattern, trailers X-Sum: N and X-Done: yes
//!   *    /file-trailers/N N bytes of the pattern by sendFile, trailers as before
//!   GET  /early-hints     two Link fields in a 103, then "hinted\n"
//!   GET  /push?PATH&…    pushes these; a line for each: "pushed", or the error
//!   GET  /framing         the handler tries to frame its response by itself: "framed\n"
//!   GET  /reset           205 with a body and with trailers
//!   GET  /head-alone      a handler that gives no body to HEAD; "for GET\n" else
//!   GET  /upgrade         426 with an Upgrade field
//!   GET  /short-file      a file that is 1000 bytes shorter than it is said to be
//!   CONNECT tunnel:443    200
//!   GET  /counters        what was counted so far, JSON
//!   GET  /socket          a WebSocket (sockets.zig): ?origin=any, or the one that may connect
//!   GET  /sockets         what became of WebSockets, JSON

const std = @import("std");
const gyrfalcon = @import("gyrfalcon");
const sockets = @import("sockets.zig");
const Request = gyrfalcon.Request;
const Response = gyrfalcon.Response;

const is_windows = @import("builtin").os.tag == .windows;
const static_bytes = 50 * 1024 * 1024;
/// Length of the pattern's file, bytes.
const file_bytes = 4 * 1024 * 1024;

/// Byte `at` of every body made here: a prime period, so that a piece out of place is noticed.
fn pattern(at: u64) u8 {
    return @intCast('!' + at % 89);
}

/// Some periods of the pattern.
const pattern_piece: [89 * 64]u8 = piece: {
    @setEvalBranchQuota(100_000);
    var bytes: [89 * 64]u8 = undefined;
    for (&bytes, 0..) |*byte, i| byte.* = pattern(i);
    break :piece bytes;
};

/// What `static` bodies point into; `static_filled` bytes of it have been filled in.
var static_body: []u8 = &.{};
var static_filled: usize = 0;
var static_lock: std.Thread.Mutex = .{};
var file_handle: std.posix.fd_t = undefined;
threadlocal var borrowed_body: [256 * 1024]u8 = undefined;
threadlocal var borrowed_calls: u8 = 0;
/// What /files serves; opened before the server starts.
var files: ?gyrfalcon.DirServer = null;

const App = struct {
    pub const Tls = if (@import("build_options").tls) gyrfalcon.Tls else void;
    pub const Deflate = if (@import("build_options").deflate) gyrfalcon.Deflate else void;

    server: ?*const gyrfalcon.Server(App) = null,

    pub const handleWSConn = sockets.handleWSConn;
    pub const handleWSMessage = sockets.handleWSMessage;
    pub const handleWSDrain = sockets.handleWSDrain;
    pub const handleWSDisconn = sockets.handleWSDisconn;

    pub fn init() App {
        return .{};
    }

    pub fn deinit(_: *App) void {}

    pub fn onListening(_: *App, listeners: []const gyrfalcon.Listener) void {
        var buffer: [gyrfalcon.Endpoint.text_bytes_max]u8 = undefined;
        const out = std.io.getStdOut().writer();
        for (listeners) |listener| out.print("{s}\n", .{listener.endpoint.url(&buffer)}) catch {};
    }

    pub fn handleRequest(self: *App, req: *Request, res: *Response) !void {
        const path = req.path;
        if (req.method == .CONNECT and std.mem.eql(u8, req.target, "tunnel:443")) return;
        if (std.mem.eql(u8, path, "/hello")) return res.sendStatic("Hello from the engine\n");
        if (std.mem.eql(u8, path, "/echo")) return echo(req, res);
        if (std.mem.eql(u8, path, "/describe")) return describe(req, res);
        if (std.mem.eql(u8, path, "/counters")) return writeCounters(res.writer(), self.server.?);
        if (std.mem.eql(u8, path, "/socket")) return sockets.upgrade(req, res);
        if (std.mem.eql(u8, path, "/sockets")) return sockets.describe(res);
        if (std.mem.eql(u8, path, "/bad-header")) return badHeader(res);
        if (std.mem.eql(u8, path, "/header")) return anyHeader(req.query, res);
        if (std.mem.startsWith(u8, path, "/files/")) {
            if (files) |*dir| return dir.handle(req, res, path["/files".len..]);
        }
        if (std.mem.eql(u8, path, "/trailers")) return describeTrailers(req, res);
        if (std.mem.eql(u8, path, "/early-hints")) return earlyHints(res);
        if (std.mem.eql(u8, path, "/push")) return push(req, res);
        if (std.mem.eql(u8, path, "/framing")) return frame(res);
        if (std.mem.eql(u8, path, "/reset")) return resetContent(res);
        if (std.mem.eql(u8, path, "/head-alone")) {
            return if (req.method != .HEAD) res.sendStatic("for GET\n");
        }
        if (std.mem.eql(u8, path, "/upgrade")) {
            res.text(426, "upgrade\n");
            return res.header("Upgrade", "example/1");
        }
        if (std.mem.eql(u8, path, "/short-file")) {
            return res.sendFile(try duplicate(file_handle), 1000, file_bytes);
        }
        if (std.mem.eql(u8, path, "/error")) {
            try res.header("X-Secret", "of the failed response");
            try res.write("the failed response");
            return error.Intended;
        }
        if (std.mem.eql(u8, path, "/close")) {
            res.close = true;
            return res.sendStatic("closing\n");
        }
        if (numberAfter(path, "/with-trailers/")) |n| return withTrailers(res, n);
        if (numberAfter(path, "/file-trailers/")) |n| {
            try withTrailers(res, n);
            return sendFile(res, @min(n, file_bytes));
        }
        if (numberAfter(path, "/size/")) |n| return writePattern(res, n);
        if (numberAfter(path, "/static/")) |n| {
            return res.sendStatic(staticBody(@min(n, static_bytes)));
        }
        if (numberAfter(path, "/borrowed/")) |n| {
            return sendBorrowed(res, @min(n, borrowed_body.len));
        }
        if (numberAfter(path, "/file/")) |n| return sendFile(res, @min(n, file_bytes));
        if (numberAfter(path, "/status/")) |n| return sendStatus(res, @intCast(@min(n, 65535)));
        if (numberAfter(path, "/field/")) |n| return longField(res, n);
        res.text(404, "not here\n");
    }

    fn numberAfter(path: []const u8, prefix: []const u8) ?usize {
        if (!std.mem.startsWith(u8, path, prefix)) return null;
        return std.fmt.parseInt(usize, path[prefix.len..], 10) catch null;
    }

    fn echo(req: *Request, res: *Response) !void {
        if (req.header("Content-Type")) |value| try res.header("Content-Type", value);
        for (req.body.segments) |segment| try res.write(segment);
    }

    fn describe(req: *Request, res: *Response) !void {
        try res.header("Content-Type", "application/json");
        var out = std.json.writeStream(res.writer(), .{});
        try out.beginObject();
        inline for (.{ "target", "path", "query", "authority" }) |name| {
            try out.objectField(name);
            try out.write(@field(req, name));
        }
        try out.objectField("method");
        try out.write(req.method_text);
        try out.objectField("version");
        try out.write(@tagName(req.version));
        try out.objectField("bodyBytes");
        try out.write(req.body.len);
        try out.objectField("fields");
        try out.beginArray();
        for (req.fields.slice()) |field| {
            try out.write(.{ field.name, field.value });
        }
        try out.endArray();
        try out.endObject();
    }

    fn describeTrailers(req: *Request, res: *Response) !void {
        try res.header("Content-Type", "application/json");
        var out = std.json.writeStream(res.writer(), .{});
        try out.beginObject();
        try out.objectField("bodyBytes");
        try out.write(req.body.len);
        try out.objectField("trailers");
        try out.beginArray();
        for (req.trailers.slice()) |field| try out.write(.{ field.name, field.value });
        try out.endArray();
        try out.endObject();
    }

    fn withTrailers(res: *Response, count: usize) !void {
        var digits: [20]u8 = undefined;
        try res.trailer("X-Sum", try std.fmt.bufPrint(&digits, "{d}", .{count}));
        try res.trailer("X-Done", "yes");
        if (res.trailer("Content-Length", "0")) return error.Taken else |_| {}
        try writePattern(res, count);
    }

    fn earlyHints(res: *Response) !void {
        try res.earlyHint("Link", "</style.css>; rel=preload; as=style");
        try res.earlyHint("Link", "</script.js>; rel=preload; as=script");
        res.sendStatic("hinted\n");
    }

    fn push(req: *Request, res: *Response) !void {
        var pairs = gyrfalcon.uri.QueryIterator.init(req.query);
        while (pairs.next()) |pair| {
            var buffer: [256]u8 = undefined;
            const result = res.push(&.{
                .target = try pair.decodeName(&buffer),
                .fields = &.{.{ .name = "X-Pushed", .value = "yes" }},
            });
            try res.print("{s}\n", .{if (result) "pushed" else |err| @errorName(err)});
        }
    }

    /// Fields that are the engine's to say: each is refused.
    fn frame(res: *Response) !void {
        inline for (.{
            .{ "Content-Length", "3" },
            .{ "Transfer-Encoding", "chunked" },
            .{ "Connection", "X-Field" },
            .{ "Keep-Alive", "timeout=100" },
            .{ "TE", "trailers" },
        }) |field| {
            if (res.header(field[0], field[1])) return error.Taken else |_| {}
        }
        try res.header("Trailer", "X-Never");
        try res.header("Date", "Thu, 01 Jan 1970 00:00:00 GMT");
        try res.header("Date", "Fri, 02 Jan 1970 00:00:00 GMT");
        try res.header("Server", "one");
        try res.header("Server", "two");
        res.sendStatic("framed\n");
    }

    fn resetContent(res: *Response) !void {
        res.status = 205;
        try res.trailer("X-Never", "1");
        try res.write("content");
    }

    fn writePattern(res: *Response, count: usize) !void {
        var left = count;
        while (left > 0) {
            const n = @min(left, pattern_piece.len);
            try res.write(pattern_piece[0..n]);
            left -= n;
        }
    }

    /// Every call fills the same memory with another letter.
    fn sendBorrowed(res: *Response, count: usize) void {
        borrowed_calls +%= 1;
        @memset(&borrowed_body, 'a' + borrowed_calls % 26);
        res.send(borrowed_body[0..count]);
    }

    fn sendFile(res: *Response, count: usize) !void {
        const fd = try duplicate(file_handle);
        res.sendFile(fd, 0, count);
    }

    fn sendStatus(res: *Response, status: u16) !void {
        res.status = status;
        try res.print("{d}", .{status});
    }

    fn longField(res: *Response, count: usize) !void {
        var value: [32 * 1024]u8 = undefined;
        @memset(&value, 'v');
        try res.header("X-Long", value[0..@min(count, value.len)]);
        try res.write("long\n");
    }

    fn badHeader(res: *Response) !void {
        tellHeader(res, "X-Split", "a\r\nX-Injected: b");
    }

    fn anyHeader(query: []const u8, res: *Response) !void {
        var buffer: [2][256]u8 = undefined;
        var pairs = gyrfalcon.uri.QueryIterator.init(query);
        const pair = pairs.next() orelse return error.NoField;
        const name = try pair.decodeName(&buffer[0]);
        const value = try pair.decodeValue(&buffer[1]);
        tellHeader(res, name, value);
    }

    fn tellHeader(res: *Response, name: []const u8, value: []const u8) void {
        res.sendStatic(if (res.header(name, value)) "taken\n" else |err| @errorName(err));
    }
};

fn writeCounters(writer: anytype, server: *const gyrfalcon.Server(App)) !void {
    const stats = server.stats();
    try writer.print(
        "{{\"connections\":{d},\"requests\":{d},\"errors\":{d}," ++
            "\"refused\":{d},\"timeouts\":{d}," ++
            "\"allocations\":{d},\"bufferBytes\":{d}}}\n",
        .{
            stats.connections,
            stats.requests_total,
            stats.errors_total,
            stats.refused_total,
            stats.timeouts_total,
            stats.allocations_after_start,
            stats.buffer_bytes,
        },
    );
}

pub fn main() !u8 {
    var debug: std.heap.DebugAllocator(.{}) = .init;
    if (try isAskedForParts(debug.allocator())) return tellParts();
    const allocations = serve(debug.allocator()) catch |err| {
        std.debug.print("engine_app: {s}\n", .{@errorName(err)});
        return 2;
    };
    if (allocations > 0) return 3;
    return if (debug.deinit() == .leak) 4 else 0;
}

fn isAskedForParts(gpa: std.mem.Allocator) !bool {
    const given = try std.process.argsAlloc(gpa);
    defer std.process.argsFree(gpa, given);
    return given.len == 2 and std.mem.eql(u8, given[1], "--parts");
}

fn tellParts() !u8 {
    const options = @import("build_options");
    const parts = .{ .tls = options.tls, .deflate = options.deflate };
    try std.json.stringify(parts, .{}, std.io.getStdOut().writer());
    return 0;
}

fn serve(gpa: std.mem.Allocator) !u64 {
    const config = try configFromArguments(gpa);
    defer std.process.argsFree(gpa, arguments);
    defer if (files) |*dir| dir.deinit(gpa);
    try makeBodies();
    defer std.heap.page_allocator.free(static_body);
    defer std.posix.close(file_handle);
    var server: gyrfalcon.Server(App) = undefined;
    try server.init(gpa, config);
    defer server.deinit();
    server.handler.server = &server;
    try server.run();
    const stdout = std.io.getStdOut().writer();
    try stdout.writeAll("COUNTERS ");
    try writeCounters(stdout, &server);
    return server.stats().allocations_after_start;
}

var arguments: [][:0]u8 = &.{};

fn configFromArguments(gpa: std.mem.Allocator) !gyrfalcon.Config {
    var config: gyrfalcon.Config = .{ .hostname = "127.0.0.1", .port = 0 };
    arguments = try std.process.argsAlloc(gpa);
    errdefer std.process.argsFree(gpa, arguments);
    const folder = "--files=";
    for (arguments[1..]) |argument| {
        if (std.mem.startsWith(u8, argument, folder)) {
            files = try gyrfalcon.DirServer.init(gpa, .{ .root = argument[folder.len..] });
        } else try setOption(&config, argument);
    }
    return config;
}

fn setOption(config: *gyrfalcon.Config, argument: []const u8) !void {
    if (!std.mem.startsWith(u8, argument, "--")) return error.UnknownOption;
    const equals = std.mem.indexOfScalar(u8, argument, '=') orelse return error.UnknownOption;
    const value = argument[equals + 1 ..];
    inline for (@typeInfo(gyrfalcon.Config).@"struct".fields) |field| {
        if (std.mem.eql(u8, field.name, argument[2..equals])) {
            @field(config, field.name) = switch (@typeInfo(field.type)) {
                .int => try std.fmt.parseInt(field.type, value, 10),
                .bool => std.mem.eql(u8, value, "true"),
                .@"enum" => std.meta.stringToEnum(field.type, value) orelse
                    return error.InvalidValue,
                .pointer => |pointer| switch (pointer.child) {
                    gyrfalcon.Config.Listen => try placeOf(value),
                    gyrfalcon.TlsSettings => try tlsOf(value),
                    u8 => value,
                    else => return error.InvalidValue,
                },
                else => comptime unreachable,
            };
            return;
        }
    }
    return error.UnknownOption;
}

var place: [1]gyrfalcon.Config.Listen = undefined;

var identity: [1]gyrfalcon.TlsSettings.Identity = undefined;
var security: [1]gyrfalcon.TlsSettings = undefined;

/// "CERTIFICATE,KEY", files.
fn tlsOf(text: []const u8) ![]const gyrfalcon.TlsSettings {
    const comma = std.mem.indexOfScalar(u8, text, ',') orelse return error.InvalidValue;
    identity[0] = .{
        .certificate = .{ .file = text[0..comma] },
        .key = .{ .file = text[comma + 1 ..] },
    };
    security[0] = .{ .certificates = &identity };
    return &security;
}

/// "unix:PATH" or "fd:N".
fn placeOf(text: []const u8) ![]const gyrfalcon.Config.Listen {
    const colon = std.mem.indexOfScalar(u8, text, ':') orelse return error.InvalidValue;
    const rest = text[colon + 1 ..];
    if (std.mem.eql(u8, text[0..colon], "unix")) {
        place[0] = .{ .place = .{ .unix = .{ .path = rest } } };
    } else {
        const number = try std.fmt.parseInt(u31, rest, 10);
        place[0] = .{ .place = .{ .fd = number } };
    }
    return &place;
}

fn makeBodies() !void {
    static_body = try std.heap.page_allocator.alloc(u8, static_bytes);
    file_handle = if (is_windows) try temporaryFile() else try std.posix.memfd_create("pattern", 0);
    const file: std.fs.File = .{ .handle = file_handle };
    try file.writeAll(staticBody(file_bytes));
}

/// The first `count` bytes of the pattern. Most programs that this is started as are asked for few.
fn staticBody(count: usize) []const u8 {
    static_lock.lock();
    defer static_lock.unlock();
    while (static_filled < count) {
        const n = @min(pattern_piece.len, static_bytes - static_filled);
        @memcpy(static_body[static_filled..][0..n], pattern_piece[0..n]);
        static_filled += n;
    }
    return static_body[0..count];
}

/// A file that nobody else opens, gone when it is closed.
fn temporaryFile() !std.posix.fd_t {
    const folder = try std.process.getEnvVarOwned(std.heap.page_allocator, "TEMP");
    var dir = try std.fs.openDirAbsolute(folder, .{});
    defer dir.close();
    var name: [32]u8 = undefined;
    const random = std.crypto.random.int(u64);
    const path = try std.fmt.bufPrint(&name, "engine_app-{x}", .{random});
    const file = try dir.createFile(path, .{ .read = true, .exclusive = true });
    try dir.deleteFile(path);
    return file.handle;
}

fn duplicate(file: std.posix.fd_t) !std.posix.fd_t {
    if (!is_windows) return std.posix.dup(file);
    const windows = std.os.windows;
    const process = windows.GetCurrentProcess();
    var copy: windows.HANDLE = undefined;
    const same_access = 2;
    const ok = windows.kernel32.DuplicateHandle(process, file, process, &copy, 0, 0, same_access);
    return if (ok == 0) error.Unexpected else copy;
}
