//! The protocol-neutral response: what a handler fills in and an encoder sends.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Buddy = @import("../core/buddy.zig").Buddy;
const Chain = @import("../core/chain.zig").Chain;
const FileHandle = @import("../core/file_handle.zig").FileHandle;
const limits = @import("../core/limits.zig");
const field_lines = @import("field_lines.zig");
const FieldLines = field_lines.FieldLines;
const LineList = field_lines.LineList;
const isFieldValue = @import("fields.zig").isFieldValue;
const isToken = @import("fields.zig").isToken;
const json_file = @import("json.zig");
const push_file = @import("push.zig");
const Push = push_file.Push;
const trailers = @import("trailers.zig");
const Upgrade = @import("upgrade.zig").Upgrade;

pub const HeaderError = error{
    /// The name is not a token, or the value holds CR, LF,
    /// NUL or another control character (RFC 9110 §5.5, §5.6.2).
    InvalidField,
    /// The field says how the message is framed, which is the engine's to say: Content-Length,
    /// Transfer-Encoding, Connection …
    FramingField,
    /// The fields do not fit `Config.response_head_bytes_max`, or there are more than 1024.
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
    /// The connection is to leave HTTP: set by `upgrade`.
    upgrade_to: ?Upgrade = null,
    /// The fields. Early hints, and behind them trailers, lie at the end of the memory that the
    /// list was made of.
    lines: LineList,
    hints_len: u32 = 0,
    trailers_len: u32 = 0,
    hint_count: u16 = 0,
    trailer_count: u16 = 0,
    /// Requests that are to be pushed ahead of it, as `push_file.Log` has them.
    pushes: Chain = .{},
    /// How many more may be. The engine sets it before a handler is called.
    push_room: u16 = 0,
    pool: *Buddy,
    /// What the body may take of the pool, bytes.
    memory_bytes_max: u64 = std.math.maxInt(u64),

    /// A fresh response that writes its fields to `lines`, an empty list, and its body to blocks of
    /// `pool`.
    pub fn init(lines: LineList, pool: *Buddy) Response {
        assert(lines.bytes == 0 and lines.count == 0);
        assert(lines.text.len <= limits.response_head_bytes_max_bound);
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

    /// Nothing is pushed, or all has been. The engine calls it.
    pub fn dropPushes(self: *Response) void {
        self.pushes.deinit(self.pool);
        self.push_room = 0;
    }

    /// Back to a fresh 200. The whole value is assigned,
    /// so that nothing of the last exchange stays behind.
    pub fn reset(self: *Response) void {
        self.dropBody();
        self.dropPushes();
        const memory_bytes_max = self.memory_bytes_max;
        const lines = self.lines;
        self.* = init(.{
            .text = lines.text.ptr[0 .. lines.text.len + self.extraBytes()],
            .lengths = lines.lengths.ptr[0 .. lines.lengths.len + self.extraCount()],
        }, self.pool);
        self.memory_bytes_max = memory_bytes_max;
    }

    /// Appends a field. Both strings are copied. On an error the response is as before.
    pub fn header(self: *Response, name: []const u8, value: []const u8) HeaderError!void {
        if (!isToken(name) or !isFieldValue(value)) return error.InvalidField;
        if (!try self.admit(name, value)) return;
        try self.lines.append(name, value);
    }

    /// Appends fields that were checked when their lines were made, and of which nothing is to be
    /// noted.
    pub fn addLines(self: *Response, lines: FieldLines) error{HeadTooLarge}!void {
        return self.lines.appendLines(lines);
    }

    /// Appends a field to the trailer section (RFC 9110 §6.5), which follows the body. Both strings
    /// are copied; they share `Config.response_head_bytes_max` with the other fields. A response
    /// with trailers is sent in chunks, and its Trailer field names them. They are dropped for
    /// HTTP/1.0, for HEAD and for statuses without content: there is nothing they could follow.
    pub fn trailer(self: *Response, name: []const u8, value: []const u8) TrailerError!void {
        if (!isToken(name) or !isFieldValue(value)) return error.InvalidField;
        if (trailers.isForbidden(name)) return error.ForbiddenTrailer;
        try self.putExtra(name, value, 0, 0);
        self.trailers_len += @intCast(field_lines.lineBytes(name, value));
        self.trailer_count += 1;
    }

    /// Appends a field to a 103 (Early Hints) response (RFC 8297), which is sent ahead of this one:
    /// `Link: </style.css>; rel=preload; as=style`. Both strings are copied, as those of `trailer`.
    /// HTTP/1.0 clients get none. A handler that answers at once gains little by it, since both
    /// responses leave together.
    pub fn earlyHint(self: *Response, name: []const u8, value: []const u8) HeaderError!void {
        if (!isToken(name) or !isFieldValue(value)) return error.InvalidField;
        if (isConnectionField(name) or eql(name, "upgrade") or eql(name, "trailer")) {
            return error.FramingField;
        }
        try self.putExtra(name, value, self.trailers_len, self.trailer_count);
        self.hints_len += @intCast(field_lines.lineBytes(name, value));
        self.hint_count += 1;
    }

    /// Has a request answered that the client has not made yet, and the answer sent beside this one
    /// (HTTP/2 server push, RFC 9113 §8.4): to the same host, by whoever answers such requests.
    /// What it says of the client (Accept-Encoding, Accept-Language, User-Agent) is this request's
    /// unless `what` says otherwise. All is copied. `error.PushNotAllowed` where nothing can be
    /// pushed: over another protocol, with `Config.http2_pushes_max` 0, to a client that allows no
    /// pushes, refuses them, or has as many as it takes; and for a request that is one itself.
    /// Browsers take none: `earlyHint` tells them what they will need.
    pub fn push(self: *Response, what: *const Push) push_file.Error!void {
        if (self.push_room == 0) return error.PushNotAllowed;
        if (what.fields.len > limits.push_fields_max) return error.HeadTooLarge;
        for (what.fields) |field| try push_file.checkField(field.name, field.value);
        var target_buffer: [limits.push_bytes_max]u8 = undefined;
        const target = try push_file.canonicalTarget(what.target, &target_buffer);
        var bytes: [limits.push_bytes_max]u8 = undefined;
        const len = push_file.Log.write(&bytes, what, target) orelse return error.HeadTooLarge;
        try self.pushes.append(self.pool, bytes[0..len]);
        self.push_room -= 1;
        self.unusual = true;
    }

    /// Writes a line among the hints and trailers, before the last `bytes_behind` of their text and
    /// the last `count_behind` of them.
    fn putExtra(
        self: *Response,
        name: []const u8,
        value: []const u8,
        bytes_behind: u32,
        count_behind: u16,
    ) error{HeadTooLarge}!void {
        const need = field_lines.lineBytes(name, value);
        if (!self.lines.hasRoom(need, 1)) return error.HeadTooLarge;
        const line = makeGap(u8, &self.lines.text, need, self.extraBytes(), bytes_behind);
        const lengths = &self.lines.lengths;
        makeGap(field_lines.Lengths, lengths, 1, self.extraCount(), count_behind)[0] =
            field_lines.put(line, name, value);
        self.unusual = true;
    }

    /// Takes `need` items off the end of `room`, behind which `extra` others lie, and moves these
    /// down but for the last `behind`. Returns the gap that this leaves.
    fn makeGap(comptime T: type, room: *[]T, need: usize, extra: usize, behind: usize) []T {
        const at = room.len - need;
        const all = room.ptr[at .. room.len + extra];
        room.len = at;
        const moved = extra - behind;
        std.mem.copyForwards(T, all[0..moved], all[need..][0..moved]);
        return all[moved..][0..need];
    }

    fn extraBytes(self: *const Response) usize {
        return self.hints_len + self.trailers_len;
    }

    fn extraCount(self: *const Response) usize {
        return self.hint_count + self.trailer_count;
    }

    /// The fields so far, name and value. Valid until the response is changed.
    pub fn fields(self: *const Response) field_lines.Iterator {
        return self.fieldLines().fields();
    }

    /// The fields so far. Valid until the response is changed.
    pub fn fieldLines(self: *const Response) FieldLines {
        return self.lines.view();
    }

    /// The early hints so far.
    pub fn hintLines(self: *const Response) FieldLines {
        const extra = self.extraLines();
        return .{
            .text = extra.text[0..self.hints_len],
            .lengths = extra.lengths[0..self.hint_count],
        };
    }

    /// The trailer fields so far.
    pub fn trailerLines(self: *const Response) FieldLines {
        const extra = self.extraLines();
        return .{
            .text = extra.text[self.hints_len..],
            .lengths = extra.lengths[self.hint_count..],
        };
    }

    fn extraLines(self: *const Response) FieldLines {
        const lines = &self.lines;
        const extra: FieldLines = .{
            .text = (lines.text.ptr + lines.text.len)[0..self.extraBytes()],
            .lengths = (lines.lengths.ptr + lines.lengths.len)[0..self.extraCount()],
        };
        extra.check();
        return extra;
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
            4 => if (eql(name, "date")) try self.replaceFormer(&self.has_date, name, value),
            6 => if (eql(name, "server")) try self.replaceFormer(&self.has_server, name, value),
            7 => {
                if (eql(name, "upgrade")) try self.admitUpgrade(name, value);
                if (eql(name, "trailer")) {
                    if (!self.hasRoomFor(name, value)) return error.HeadTooLarge;
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

    fn hasRoomFor(self: *const Response, name: []const u8, value: []const u8) bool {
        return self.lines.hasRoom(field_lines.lineBytes(name, value), 1);
    }

    /// Takes the former out of a field that a response has once, if there is room for the new one.
    fn replaceFormer(
        self: *Response,
        is_there: *bool,
        name: []const u8,
        value: []const u8,
    ) error{HeadTooLarge}!void {
        if (!self.hasRoomFor(name, value)) return error.HeadTooLarge;
        if (is_there.*) self.dropField(name);
        is_there.* = true;
    }

    /// Upgrade is for the next hop alone, and Connection has to say so (RFC 9110 §7.8).
    fn admitUpgrade(self: *Response, name: []const u8, value: []const u8) HeaderError!void {
        if (!self.has_upgrade) {
            const option = comptime field_lines.lineBytes("Connection", "upgrade");
            const bytes = option + field_lines.lineBytes(name, value);
            if (!self.lines.hasRoom(bytes, 2)) return error.HeadTooLarge;
            self.lines.append("Connection", "upgrade") catch unreachable; // as was just seen
        }
        try self.replaceFormer(&self.has_upgrade, name, value);
        self.unusual = true;
    }

    /// Takes the fields called `name` out.
    pub fn dropField(self: *Response, name: []const u8) void {
        @branchHint(.cold);
        self.lines.drop(name);
    }

    /// Takes all fields out, and with them what was noted of them. Hints, trailers, body and the
    /// wish to close stay.
    pub fn clearFields(self: *Response) void {
        self.lines.rewind(.{});
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
            self.has_upgrade = false;
        }
        if (self.has_trailer_names and !chunked) {
            self.dropField("trailer");
            self.has_trailer_names = false;
        }
        if (chunked and self.trailer_count > 0 and !self.has_trailer_names) self.nameTrailers();
    }

    /// Adds the Trailer field, where there is room for it: it is a courtesy.
    fn nameTrailers(self: *Response) void {
        if (!self.lines.hasRoom(0, 1)) return;
        var out = std.io.fixedBufferStream(self.lines.rest());
        const out_writer = out.writer();
        var each = self.trailerLines().fields();
        var prefix: []const u8 = "Trailer: ";
        while (each.next()) |field| {
            out_writer.print("{s}{s}", .{ prefix, field.name }) catch return;
            prefix = ", ";
        }
        const name_len = "Trailer".len;
        const value_len = out.pos - "Trailer: ".len;
        out_writer.writeAll("\r\n") catch return;
        self.lines.commit(.{ .name = name_len, .value = @intCast(value_len) });
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

    /// Answers with a WebSocket: the connection is the handler's `handleWS…` functions' from here
    /// on. The fields so far go along with the 101, a body does not. A request that asks for no
    /// WebSocket, or not as RFC 6455 has it, or from a page of others, is answered with what is
    /// wrong.
    pub fn upgrade(self: *Response, how: Upgrade) void {
        self.upgrade_to = how;
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

    /// The body is `value` as JSON, in place of what was set, and Content-Type says so; status and
    /// other fields stay. What a value may be: json.zig. After an error the body is of no use.
    pub fn json(self: *Response, value: anytype) (HeaderError || error{OutOfBuffers})!void {
        if (self.lines.count > 0) self.dropField("content-type");
        try self.header("Content-Type", "application/json");
        self.dropBody();
        try json_file.write(self, value);
    }

    /// Status and text body in one: replaces what was set, other fields stay.
    pub fn text(self: *Response, status: u16, bytes: []const u8) void {
        self.status = status;
        if (self.lines.count > 0) self.dropField("content-type");
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

/// Memory for the fields of a response.
fn LineBuffer(comptime bytes: usize) type {
    return field_lines.LineBuffer(bytes, 16);
}

test "a body of JSON says that it is, in the place of what was set" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: LineBuffer(256) = .{};
    var response = Response.init(lines.list(), &pool);
    defer response.reset();
    response.text(201, "text");
    try response.json(.{ .id = 7, .tags = [_][]const u8{"a"} });
    try testing.expectEqual(201, response.status);
    var fields = response.fields();
    const field = fields.next().?;
    try testing.expectEqualStrings("Content-Type", field.name);
    try testing.expectEqualStrings("application/json", field.value);
    try testing.expectEqual(null, fields.next());
    try testing.expectEqual("{\"id\":7,\"tags\":[\"a\"]}".len, response.bodyLength());
}

test "a reset response keeps nothing of the last exchange" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: LineBuffer(256) = .{};
    var response = Response.init(lines.list(), &pool);
    response.status = 404;
    try response.header("X-Secret", "one");
    try response.header("Connection", "close");
    try response.print("{s}", .{"a body of client one"});
    response.reset();
    try testing.expectEqual(Response.init(lines.list(), &pool), response);
    try testing.expectEqual(@as(u64, 0), pool.bytes_used);
    try testing.expectEqualStrings("", response.fieldLines().text);
    try testing.expectEqual(@as(u64, 0), response.bodyLength());
}

test "a body takes no more of the pool than it may" {
    var pool = try Buddy.init(1 << 20);
    defer pool.deinit();
    var lines: LineBuffer(256) = .{};
    var response = Response.init(lines.list(), &pool);
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
    var lines: LineBuffer(256) = .{};
    var response = Response.init(lines.list(), &pool);
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
    var lines: LineBuffer(256) = .{};
    var response = Response.init(lines.list(), &pool);
    for ([_][]const u8{ "a\r\nb: c", "a\nb", "a\rb", "a\x00b" }) |bad| {
        try testing.expectError(error.InvalidField, response.header("X", bad));
        try testing.expectError(error.InvalidField, response.header(bad, "v"));
    }
    try testing.expectEqualStrings("", response.fieldLines().text);
}

test "framing fields are refused, Connection: close is taken as a wish" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: LineBuffer(256) = .{};
    var response = Response.init(lines.list(), &pool);
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
    try testing.expectEqualStrings("", response.fieldLines().text);
}

test "a second Date or Server takes the place of the first" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: LineBuffer(256) = .{};
    var response = Response.init(lines.list(), &pool);
    try response.header("A", "1");
    try response.header("Date", "one");
    try response.header("Server", "one");
    try response.header("Dates", "kept");
    try response.header("DATE", "two");
    try response.header("Server", "two");
    const expected = "A: 1\r\nDates: kept\r\nDATE: two\r\nServer: two\r\n";
    try testing.expectEqualStrings(expected, response.fieldLines().text);
}

test "fields that are cleared leave nothing that stands for them" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: LineBuffer(256) = .{};
    var response = Response.init(lines.list(), &pool);
    for ([_][]const u8{ "Date", "Server", "Upgrade", "Trailer" }) |name| {
        try response.header(name, "x");
    }
    response.clearFields();
    response.unusual = false;
    try testing.expectEqual(Response.init(lines.list(), &pool), response);
}

test "a text takes the place of what was set, its type too" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: LineBuffer(256) = .{};
    var response = Response.init(lines.list(), &pool);
    try response.header("content-type", "image/png");
    try response.header("X", "1");
    response.text(404, "none");
    const expected = "X: 1\r\nContent-Type: text/plain; charset=utf-8\r\n";
    try testing.expectEqualStrings(expected, response.fieldLines().text);
}

test "hints and trailers share the room of the fields, each in the order they came" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: LineBuffer(64) = .{};
    var response = Response.init(lines.list(), &pool);
    try response.header("A", "1");
    try response.trailer("T", "1");
    try response.earlyHint("H", "1");
    try response.trailer("U", "22");
    try response.header("B", "2");
    try response.earlyHint("I", "22");
    try testing.expectEqualStrings("A: 1\r\nB: 2\r\n", response.fieldLines().text);
    try testing.expectEqualStrings("H: 1\r\nI: 22\r\n", response.hintLines().text);
    try testing.expectEqualStrings("T: 1\r\nU: 22\r\n", response.trailerLines().text);
    // 64 - 12 - 13 - 13 bytes are left.
    const value = "v" ** 22;
    try testing.expectError(error.HeadTooLarge, response.header("C", value));
    try testing.expectError(error.HeadTooLarge, response.trailer("C", value));
    try testing.expectError(error.HeadTooLarge, response.earlyHint("C", value));
    try response.trailer("C", value[1..]);
    try testing.expectEqual(response.lines.bytes, response.lines.text.len);
    try testing.expectEqualStrings("H: 1\r\nI: 22\r\n", response.hintLines().text);
    response.reset();
    try testing.expectEqual(Response.init(lines.list(), &pool), response);
}

test "CR, LF and NUL cannot reach hints and trailers" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: LineBuffer(64) = .{};
    var response = Response.init(lines.list(), &pool);
    for ([_][]const u8{ "a\r\nb: c", "a\nb", "a\rb", "a\x00b" }) |bad| {
        try testing.expectError(error.InvalidField, response.trailer("X", bad));
        try testing.expectError(error.InvalidField, response.trailer(bad, "v"));
        try testing.expectError(error.InvalidField, response.earlyHint("X", bad));
        try testing.expectError(error.InvalidField, response.earlyHint(bad, "v"));
    }
    try testing.expectEqual(Response.init(lines.list(), &pool), response);
}

test "Upgrade brings its connection option, and neither goes to HTTP/1.0" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: LineBuffer(256) = .{};
    var response = Response.init(lines.list(), &pool);
    try response.header("Upgrade", "one");
    try response.header("upgrade", "two");
    const expected = "Connection: upgrade\r\nupgrade: two\r\n";
    try testing.expectEqualStrings(expected, response.fieldLines().text);
    response.settleFields(false, false);
    try testing.expectEqualStrings(expected, response.fieldLines().text);
    response.settleFields(true, false);
    try testing.expectEqualStrings("", response.fieldLines().text);
}

test "Trailer names the trailers, and stays only where they can follow" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: LineBuffer(256) = .{};
    var response = Response.init(lines.list(), &pool);
    try response.trailer("X-Sum", "1");
    try response.trailer("X-Two", "2");
    response.settleFields(false, false);
    try testing.expectEqualStrings("", response.fieldLines().text);
    response.settleFields(false, true);
    try testing.expectEqualStrings("Trailer: X-Sum, X-Two\r\n", response.fieldLines().text);
    response.reset();
    try response.header("Trailer", "Later");
    response.settleFields(false, true);
    try testing.expectEqualStrings("Trailer: Later\r\n", response.fieldLines().text);
    response.settleFields(false, false);
    try testing.expectEqualStrings("", response.fieldLines().text);
}

test "a head that is full says so and is left as it was" {
    var pool = try Buddy.init(1);
    defer pool.deinit();
    var lines: LineBuffer(20) = .{};
    var response = Response.init(lines.list(), &pool);
    try response.header("A", "0123456789");
    try testing.expectError(error.HeadTooLarge, response.header("B", "0123456789"));
    try testing.expectEqualStrings("A: 0123456789\r\n", response.fieldLines().text);
}
