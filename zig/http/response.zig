//! The protocol-neutral response: what a handler fills in and an encoder sends.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Buddy = @import("../core/buddy.zig").Buddy;
const Chain = @import("../core/chain.zig").Chain;
const FileHandle = @import("../core/file_handle.zig").FileHandle;
const fields = @import("fields.zig");
const trailers = @import("trailers.zig");

pub const HeaderError = error{
    /// The name is not a token, or the value holds CR, LF,
    /// NUL or another control character (RFC 9110 §5.5, §5.6.2).
    InvalidField,
    /// The field says how the message is framed, which is the engine's to say: Content-Length,
    /// Transfer-Encoding, Connection …
    FramingField,
    /// The fields do not fit `Config.response_head_bytes_max`.
    HeadTooLarge,
};

/// What `trailer` may fail with.
pub const TrailerError = HeaderError || error{
    /// A field of this name must not stand behind a body (RFC 9110 §6.5.1).
    ForbiddenTrailer,
};

/// A range of an open file, of which it is an owner: the engine releases it when the range is sent
/// or the connection ends.
pub const File = struct { handle: FileHandle, offset: u64, length: u64 };

/// Where the body's bytes are.
pub const Body = union(enum) {
    none,
    /// Valid until the handler is called again; the engine copies what it cannot send at once.
    borrowed: []const u8,
    /// Valid as long as the server.
    static: []const u8,
    /// Written with `write`: in pool buffers that the response owns.
    written: Chain,
    file: File,
};

/// A response. A fresh one is 200 with no fields and no body. Content-Length, Transfer-Encoding and
/// Connection are the engine's to set; Date and Server it sets unless the handler has.
pub const Response = struct {
    /// 200–599. Another value is answered as 500.
    status: u16 = 200,
    body: Body = .none,
    /// Close the connection after this response.
    close: bool = false,
    has_date: bool = false,
    has_server: bool = false,
    has_upgrade: bool = false,
    has_trailer_names: bool = false,
    /// There are early hints, trailers or fields that depend on how it is sent: Upgrade, Trailer.
    unusual: bool = false,
    /// Length told in Content-Length when it is not that of `body`:
    /// for HEAD and 304 without a body at hand.
    declared_length: ?u64 = null,
    /// "name: value\r\n" lines. Early hints and trailers lie behind it, in what it was made of.
    lines: []u8,
    lines_len: u32 = 0,
    hints_len: u32 = 0,
    trailers_len: u32 = 0,
    pool: *Buddy,
    /// What the body may take of the pool, bytes.
    memory_bytes_max: u64 = std.math.maxInt(u64),

    /// A fresh response that writes its fields to `lines` and its body to blocks of `pool`.
    pub fn init(lines: []u8, pool: *Buddy) Response {
        return .{ .lines = lines, .pool = pool };
    }

    /// Gives up the body: its blocks return to the pool, its file is released. The engine calls it.
    pub fn dropBody(self: *Response) void {
        switch (self.body) {
            .written => |*chain| chain.deinit(self.pool),
            .file => |file| file.handle.release(),
            .none, .borrowed, .static => {},
        }
        self.body = .none;
    }

    /// Back to a fresh 200. The whole value is assigned,
    /// so that nothing of the last exchange stays behind.
    pub fn reset(self: *Response) void {
        self.dropBody();
        const memory_bytes_max = self.memory_bytes_max;
        self.* = init(self.lines.ptr[0 .. self.lines.len + self.extraLength()], self.pool);
        self.memory_bytes_max = memory_bytes_max;
    }

    /// Appends a field. Both strings are copied. On an error the response is as before.
    pub fn header(self: *Response, name: []const u8, value: []const u8) HeaderError!void {
        if (!fields.isToken(name) or !fields.isFieldValue(value)) return error.InvalidField;
        if (!try self.admit(name, value)) return;
        const need = name.len + value.len + 4;
        const room = self.lines[self.lines_len..];
        if (room.len < need) return error.HeadTooLarge;
        putLine(room, name, value);
        self.lines_len += @intCast(need);
    }

    fn putLine(out: []u8, name: []const u8, value: []const u8) void {
        @memcpy(out[0..name.len], name);
        out[name.len..][0..2].* = ": ".*;
        @memcpy(out[name.len + 2 ..][0..value.len], value);
        out[name.len + 2 + value.len ..][0..2].* = "\r\n".*;
    }

    /// Appends a field to the trailer section (RFC 9110 §6.5), which follows the body. Both strings
    /// are copied; they share `Config.response_head_bytes_max` with the other fields. A response
    /// with trailers is sent in chunks, and its Trailer field names them. They are dropped for
    /// HTTP/1.0, for HEAD and for statuses without content: there is nothing they could follow.
    pub fn trailer(self: *Response, name: []const u8, value: []const u8) TrailerError!void {
        if (!fields.isToken(name) or !fields.isFieldValue(value)) return error.InvalidField;
        if (trailers.isForbidden(name)) return error.ForbiddenTrailer;
        const line = try self.makeRoom(name.len + value.len + 4, 0);
        putLine(line, name, value);
        self.unusual = true;
        self.trailers_len += @intCast(line.len);
    }

    /// Appends a field to a 103 (Early Hints) response (RFC 8297), which is sent ahead of this one:
    /// `Link: </style.css>; rel=preload; as=style`. Both strings are copied, as those of `trailer`.
    /// HTTP/1.0 clients get none. A handler that answers at once gains little by it, since both
    /// responses leave together.
    pub fn earlyHint(self: *Response, name: []const u8, value: []const u8) HeaderError!void {
        if (!fields.isToken(name) or !fields.isFieldValue(value)) return error.InvalidField;
        if (isConnectionField(name) or eql(name, "upgrade") or eql(name, "trailer")) {
            return error.FramingField;
        }
        const line = try self.makeRoom(name.len + value.len + 4, self.trailers_len);
        putLine(line, name, value);
        self.unusual = true;
        self.hints_len += @intCast(line.len);
    }

    /// Takes `need` bytes off the end of `lines` and moves the hints and trailers down, so that the
    /// room is `behind` bytes before the end.
    fn makeRoom(self: *Response, need: usize, behind: usize) error{HeadTooLarge}![]u8 {
        if (self.lines.len - self.lines_len < need) return error.HeadTooLarge;
        const extra = self.lines.ptr[self.lines.len - need .. self.lines.len + self.extraLength()];
        self.lines.len -= need;
        const moved = extra.len - need - behind;
        std.mem.copyForwards(u8, extra[0..moved], extra[need..][0..moved]);
        return extra[moved..][0..need];
    }

    fn extraLength(self: *const Response) usize {
        return self.hints_len + self.trailers_len;
    }

    /// The early hints so far, as lines.
    pub fn hintLines(self: *const Response) []const u8 {
        return (self.lines.ptr + self.lines.len)[0..self.hints_len];
    }

    /// The trailer fields so far, as lines.
    pub fn trailerLines(self: *const Response) []const u8 {
        return (self.lines.ptr + self.lines.len + self.hints_len)[0..self.trailers_len];
    }

    /// `header` with a formatted value, 1 KiB at most.
    pub fn headerFmt(
        self: *Response,
        name: []const u8,
        comptime fmt: []const u8,
        args: anytype,
    ) HeaderError!void {
        var buf: [1024]u8 = undefined;
        const value = std.fmt.bufPrint(&buf, fmt, args) catch return error.HeadTooLarge;
        return self.header(name, value);
    }

    /// False when the field is taken note of and not to be sent as it is.
    fn admit(self: *Response, name: []const u8, value: []const u8) HeaderError!bool {
        switch (name.len) {
            2, 14, 16, 17 => if (isConnectionField(name)) return error.FramingField,
            4 => if (eql(name, "date")) {
                if (self.has_date) self.dropField("date");
                self.has_date = true;
            },
            6 => if (eql(name, "server")) {
                if (self.has_server) self.dropField("server");
                self.has_server = true;
            },
            7 => {
                if (eql(name, "upgrade")) return self.admitUpgrade(value);
                if (eql(name, "trailer")) {
                    self.has_trailer_names = true;
                    self.unusual = true;
                }
            },
            10 => {
                if (!isConnectionField(name)) return true;
                if (!eql(name, "connection") or !eql(value, "close")) return error.FramingField;
                self.close = true;
                return false;
            },
            else => {},
        }
        return true;
    }

    /// Upgrade is for the next hop alone, and Connection has to say so (RFC 9110 §7.8).
    fn admitUpgrade(self: *Response, value: []const u8) HeaderError!bool {
        if (self.has_upgrade) self.dropField("upgrade");
        const line = "Connection: upgrade\r\n";
        const need = "Upgrade: ".len + value.len + "\r\n".len;
        if (!self.has_upgrade) {
            const room = self.lines[self.lines_len..];
            if (room.len < line.len + need) return error.HeadTooLarge;
            room[0..line.len].* = line.*;
            self.lines_len += line.len;
        }
        self.has_upgrade = true;
        self.unusual = true;
        return true;
    }

    /// Takes the fields called `name` out.
    pub fn dropField(self: *Response, name: []const u8) void {
        @branchHint(.cold);
        var kept: usize = 0;
        var rest: []const u8 = self.fieldLines();
        while (std.mem.indexOfScalar(u8, rest, '\n')) |line_feed| {
            const line = rest[0 .. line_feed + 1];
            rest = rest[line.len..];
            const colon = std.mem.indexOfScalar(u8, line, ':').?; // the lines were made here
            if (eql(line[0..colon], name)) continue;
            std.mem.copyForwards(u8, self.lines[kept..][0..line.len], line);
            kept += line.len;
        }
        self.lines_len = @intCast(kept);
    }

    /// Takes all fields out, and with them what was noted of them. Hints, trailers, body and the
    /// wish to close stay.
    pub fn clearFields(self: *Response) void {
        self.lines_len = 0;
        self.has_date = false;
        self.has_server = false;
        self.has_upgrade = false;
        self.has_trailer_names = false;
    }

    /// Makes the fields fit how the response is sent: Upgrade is no business of HTTP/1.0 (RFC 9110
    /// §7.8), and Trailer announces what only chunks can carry (§6.6.2).
    pub fn settleFields(self: *Response, http10: bool, chunked: bool) void {
        if (self.has_upgrade and http10) {
            self.dropField("upgrade");
            self.dropField("connection");
        }
        if (self.has_trailer_names and !chunked) self.dropField("trailer");
        if (chunked and self.trailers_len > 0 and !self.has_trailer_names) self.nameTrailers();
    }

    /// Adds the Trailer field, where there is room for it: it is a courtesy.
    fn nameTrailers(self: *Response) void {
        var out = std.io.fixedBufferStream(self.lines[self.lines_len..]);
        const out_writer = out.writer();
        var rest = self.trailerLines();
        var prefix: []const u8 = "Trailer: ";
        while (std.mem.indexOfScalar(u8, rest, '\n')) |line_feed| {
            const name = rest[0..std.mem.indexOfScalar(u8, rest, ':').?]; // as `trailer` wrote it
            rest = rest[line_feed + 1 ..];
            out_writer.print("{s}{s}", .{ prefix, name }) catch return;
            prefix = ", ";
        }
        out_writer.writeAll("\r\n") catch return;
        self.lines_len += @intCast(out.pos);
    }

    /// Fields that belong to the connection or frame the message.
    fn isConnectionField(name: []const u8) bool {
        for ([_][]const u8{
            "connection",       "content-length", "keep-alive",
            "proxy-connection", "te",             "transfer-encoding",
        }) |other| if (eql(name, other)) return true;
        return false;
    }

    fn eql(a: []const u8, b: []const u8) bool {
        return std.ascii.eqlIgnoreCase(a, b);
    }

    /// The fields so far, as lines.
    pub fn fieldLines(self: *const Response) []const u8 {
        return self.lines[0..self.lines_len];
    }

    /// Sets the body to `bytes`, which stay the handler's:
    /// valid until the handler is called again on this worker.
    pub fn send(self: *Response, bytes: []const u8) void {
        self.dropBody();
        self.body = .{ .borrowed = bytes };
    }

    /// Sets the body to `bytes` that live as long as the server; never copied.
    pub fn sendStatic(self: *Response, bytes: []const u8) void {
        self.dropBody();
        self.body = .{ .static = bytes };
    }

    /// Sets the body to a range of an open file.
    /// The engine takes the descriptor over and closes it.
    pub fn sendFile(self: *Response, fd: posix.fd_t, offset: u64, length: u64) void {
        if (FileHandle.adopt(fd)) |handle| return self.sendHandle(handle, offset, length);
        self.text(503, "out of descriptors\n");
    }

    /// The same for a file that others may be sending too. The response takes the place of one of
    /// its owners.
    pub fn sendHandle(self: *Response, handle: FileHandle, offset: u64, length: u64) void {
        self.dropBody();
        self.body = .{ .file = .{ .handle = handle, .offset = offset, .length = length } };
    }

    /// Appends a copy of `bytes` to the body, in pool blocks that double in size.
    /// What `send*` set is replaced. After an error the body is of no use.
    pub fn write(self: *Response, bytes: []const u8) error{OutOfBuffers}!void {
        if (self.body != .written) {
            self.dropBody();
            self.body = .{ .written = .{} };
        }
        try self.body.written.append(self.pool, bytes);
        if (self.body.written.block_bytes > self.memory_bytes_max) return error.OutOfBuffers;
    }

    /// Room for `len` bytes in a pool block of its own, to make a body in; what was set is
    /// replaced. `commitBody` tells which of them are the body. After an error there is none.
    pub fn reserveBody(self: *Response, len: u32) error{OutOfBuffers}![]u8 {
        self.dropBody();
        var chain: Chain = .{};
        const room = try chain.reserve(self.pool, len);
        self.body = .{ .written = chain };
        if (chain.block_bytes <= self.memory_bytes_max) return room;
        self.dropBody();
        return error.OutOfBuffers;
    }

    /// The body is `len` bytes from `start` on of the room that `reserveBody` gave.
    pub fn commitBody(self: *Response, start: u32, len: u32) void {
        self.body.written.commit(start, len);
    }

    pub const Writer = std.io.GenericWriter(*Response, error{OutOfBuffers}, writeSome);

    /// A standard writer that appends to the body.
    pub fn writer(self: *Response) Writer {
        return .{ .context = self };
    }

    fn writeSome(self: *Response, bytes: []const u8) error{OutOfBuffers}!usize {
        try self.write(bytes);
        return bytes.len;
    }

    /// Appends formatted text to the body.
    pub fn print(
        self: *Response,
        comptime fmt: []const u8,
        args: anytype,
    ) error{OutOfBuffers}!void {
        return self.writer().print(fmt, args);
    }

    /// Status and text body in one: replaces what was set, other fields stay.
    pub fn text(self: *Response, status: u16, bytes: []const u8) void {
        self.status = status;
        if (self.lines_len > 0) self.dropField("content-type");
        // A head that is full goes without it.
        self.header("Content-Type", "text/plain; charset=utf-8") catch {};
        self.sendStatic(bytes);
    }

    /// Length of the body at hand, bytes.
    pub fn bodyLength(self: *const Response) u64 {
        return switch (self.body) {
            .none => 0,
            .borrowed, .static => |bytes| bytes.len,
            .written => |chain| chain.len,
            .file => |file| file.length,
        };
    }
};

const testing = std.testing;

test "a reset response keeps nothing of the last exchange" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: [256]u8 = undefined;
    var response = Response.init(&lines, &pool);
    response.status = 404;
    try response.header("X-Secret", "one");
    try response.header("Connection", "close");
    try response.print("{s}", .{"a body of client one"});
    response.reset();
    try testing.expectEqual(Response.init(&lines, &pool), response);
    try testing.expectEqual(@as(u64, 0), pool.bytes_used);
    try testing.expectEqualStrings("", response.fieldLines());
    try testing.expectEqual(@as(u64, 0), response.bodyLength());
}

test "a body takes no more of the pool than it may" {
    var pool = try Buddy.init(1 << 20);
    defer pool.deinit();
    var lines: [256]u8 = undefined;
    var response = Response.init(&lines, &pool);
    response.memory_bytes_max = 20 * 1024;
    response.reset();
    try response.write(&[_]u8{'a'} ** 9000);
    try testing.expectError(error.OutOfBuffers, response.write(&[_]u8{'b'} ** 9000));
    response.reset();
    try testing.expectEqual(@as(u64, 0), pool.bytes_used);
    try response.write("again");
    response.reset();
}

test "a body is read into room of its own, which replaces what was set" {
    var pool = try Buddy.init(1 << 20);
    defer pool.deinit();
    var lines: [256]u8 = undefined;
    var response = Response.init(&lines, &pool);
    try response.write("what was set");
    const room = try response.reserveBody(65_537);
    @memset(room[0..65_536], 'x');
    room[7] = 'y';
    response.commitBody(7, 65_529);
    try testing.expectEqual(65_529, response.bodyLength());
    const body = response.body.written.front();
    try testing.expectEqual(65_529, body.len);
    try testing.expect(body[0] == 'y' and std.mem.allEqual(u8, body[1..], 'x'));
    response.reset();
    try testing.expectEqual(@as(u64, 0), pool.bytes_used);
    response.memory_bytes_max = 4096;
    try testing.expectError(error.OutOfBuffers, response.reserveBody(5000));
    try testing.expectEqual(@as(u64, 0), pool.bytes_used);
    response.memory_bytes_max = std.math.maxInt(u64);
    try testing.expectError(error.OutOfBuffers, reserveInFullPool(&response, &pool));
    try testing.expectEqual(@as(u64, 0), pool.bytes_used);
}

/// Asks for room when the pool is used up.
fn reserveInFullPool(response: *Response, pool: *Buddy) error{OutOfBuffers}!void {
    var others: [300]Chain = [_]Chain{.{}} ** 300;
    defer for (&others) |*chain| chain.deinit(pool);
    for (&others) |*chain| _ = chain.reserve(pool, 4000) catch break;
    _ = try response.reserveBody(4000);
}

test "CR, LF and NUL cannot reach a head, in name or value" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: [256]u8 = undefined;
    var response = Response.init(&lines, &pool);
    for ([_][]const u8{ "a\r\nb: c", "a\nb", "a\rb", "a\x00b" }) |bad| {
        try testing.expectError(error.InvalidField, response.header("X", bad));
        try testing.expectError(error.InvalidField, response.header(bad, "v"));
    }
    try testing.expectEqualStrings("", response.fieldLines());
}

test "framing fields are refused, Connection: close is taken as a wish" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: [256]u8 = undefined;
    var response = Response.init(&lines, &pool);
    for ([_][]const u8{
        "Content-Length", "transfer-encoding", "Keep-Alive", "TE", "Proxy-Connection",
    }) |name| {
        try testing.expectError(error.FramingField, response.header(name, "1"));
        try testing.expectError(error.FramingField, response.earlyHint(name, "1"));
        try testing.expectError(error.ForbiddenTrailer, response.trailer(name, "1"));
    }
    try testing.expectError(error.FramingField, response.header("Connection", "upgrade"));
    try response.header("Connection", "Close");
    try testing.expect(response.close);
    try testing.expectEqualStrings("", response.fieldLines());
}

test "a second Date or Server takes the place of the first" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: [256]u8 = undefined;
    var response = Response.init(&lines, &pool);
    try response.header("A", "1");
    try response.header("Date", "one");
    try response.header("Server", "one");
    try response.header("Dates", "kept");
    try response.header("DATE", "two");
    try response.header("Server", "two");
    const expected = "A: 1\r\nDates: kept\r\nDATE: two\r\nServer: two\r\n";
    try testing.expectEqualStrings(expected, response.fieldLines());
}

test "fields that are cleared leave nothing that stands for them" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: [256]u8 = undefined;
    var response = Response.init(&lines, &pool);
    for ([_][]const u8{ "Date", "Server", "Upgrade", "Trailer" }) |name| {
        try response.header(name, "x");
    }
    response.clearFields();
    response.unusual = false;
    try testing.expectEqual(Response.init(&lines, &pool), response);
}

test "a text takes the place of what was set, its type too" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: [256]u8 = undefined;
    var response = Response.init(&lines, &pool);
    try response.header("content-type", "image/png");
    try response.header("X", "1");
    response.text(404, "none");
    const expected = "X: 1\r\nContent-Type: text/plain; charset=utf-8\r\n";
    try testing.expectEqualStrings(expected, response.fieldLines());
}

test "hints and trailers share the room of the fields, each in the order they came" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: [64]u8 = undefined;
    var response = Response.init(&lines, &pool);
    try response.header("A", "1");
    try response.trailer("T", "1");
    try response.earlyHint("H", "1");
    try response.trailer("U", "22");
    try response.header("B", "2");
    try response.earlyHint("I", "22");
    try testing.expectEqualStrings("A: 1\r\nB: 2\r\n", response.fieldLines());
    try testing.expectEqualStrings("H: 1\r\nI: 22\r\n", response.hintLines());
    try testing.expectEqualStrings("T: 1\r\nU: 22\r\n", response.trailerLines());
    // 64 - 12 - 13 - 13 bytes are left.
    const value = "v" ** 22;
    try testing.expectError(error.HeadTooLarge, response.header("C", value));
    try testing.expectError(error.HeadTooLarge, response.trailer("C", value));
    try testing.expectError(error.HeadTooLarge, response.earlyHint("C", value));
    try response.trailer("C", value[1..]);
    try testing.expectEqual(response.lines_len, response.lines.len);
    try testing.expectEqualStrings("H: 1\r\nI: 22\r\n", response.hintLines());
    response.reset();
    try testing.expectEqual(Response.init(&lines, &pool), response);
}

test "CR, LF and NUL cannot reach hints and trailers" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: [64]u8 = undefined;
    var response = Response.init(&lines, &pool);
    for ([_][]const u8{ "a\r\nb: c", "a\nb", "a\rb", "a\x00b" }) |bad| {
        try testing.expectError(error.InvalidField, response.trailer("X", bad));
        try testing.expectError(error.InvalidField, response.trailer(bad, "v"));
        try testing.expectError(error.InvalidField, response.earlyHint("X", bad));
        try testing.expectError(error.InvalidField, response.earlyHint(bad, "v"));
    }
    try testing.expectEqual(Response.init(&lines, &pool), response);
}

test "Upgrade brings its connection option, and neither goes to HTTP/1.0" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: [256]u8 = undefined;
    var response = Response.init(&lines, &pool);
    try response.header("Upgrade", "one");
    try response.header("upgrade", "two");
    const expected = "Connection: upgrade\r\nupgrade: two\r\n";
    try testing.expectEqualStrings(expected, response.fieldLines());
    response.settleFields(false, false);
    try testing.expectEqualStrings(expected, response.fieldLines());
    response.settleFields(true, false);
    try testing.expectEqualStrings("", response.fieldLines());
}

test "Trailer names the trailers, and stays only where they can follow" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: [256]u8 = undefined;
    var response = Response.init(&lines, &pool);
    try response.trailer("X-Sum", "1");
    try response.trailer("X-Two", "2");
    response.settleFields(false, false);
    try testing.expectEqualStrings("", response.fieldLines());
    response.settleFields(false, true);
    try testing.expectEqualStrings("Trailer: X-Sum, X-Two\r\n", response.fieldLines());
    response.reset();
    try response.header("Trailer", "Later");
    response.settleFields(false, true);
    try testing.expectEqualStrings("Trailer: Later\r\n", response.fieldLines());
    response.settleFields(false, false);
    try testing.expectEqualStrings("", response.fieldLines());
}

test "a head that is full says so and is left as it was" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: [20]u8 = undefined;
    var response = Response.init(&lines, &pool);
    try response.header("A", "0123456789");
    try testing.expectError(error.HeadTooLarge, response.header("B", "0123456789"));
    try testing.expectEqualStrings("A: 0123456789\r\n", response.fieldLines());
}
