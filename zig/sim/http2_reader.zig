//! A strict reader of HTTP/2's frames and of responses' field blocks, for the simulated clients. Of
//! the engine it has HPACK's decoder and no more: what frames may be is said here once again.

const std = @import("std");
const hpack = @import("../http2/hpack/decoder.zig");

pub const header_bytes = 9;
/// Of a frame that is no DATA, bytes: the servers of the simulation send small heads.
const payload_bytes_max = 4096;

pub const Type = enum(u8) {
    data = 0,
    headers = 1,
    priority = 2,
    rst_stream = 3,
    settings = 4,
    push_promise = 5,
    ping = 6,
    goaway = 7,
    window_update = 8,
    continuation = 9,
    _,
};

pub const flag_end_stream = 0x1;
pub const flag_ack = 0x1;
pub const flag_end_headers = 0x4;

/// A whole frame that is no DATA.
pub const Frame = struct {
    type: Type,
    flags: u8,
    stream: u32,
    payload: []const u8,

    pub fn word(self: *const Frame, at: usize) u32 {
        return std.mem.readInt(u32, self.payload[at..][0..4], .big);
    }
};

pub const Violation = error{
    ReservedBit,
    UnknownFlags,
    FrameTooLong,
    BadLength,
    BadStream,
    BadField,
    BadStatus,
    RepeatedField,
    ConnectionField,
    NoDate,
};

pub const Reader = struct {
    head: [header_bytes]u8 = undefined,
    head_len: usize = 0,
    payload: [payload_bytes_max]u8 = undefined,
    payload_len: usize = 0,
    /// Of the frame's payload, bytes.
    left: u32 = 0,
    state: enum { head, payload, data } = .head,

    pub const Event = union(enum) {
        /// All bytes were looked at.
        more,
        frame: Frame,
        /// DATA of so many bytes begins.
        data_begin: struct { stream: u32, len: u32, end_stream: bool },
        data: struct { stream: u32, bytes: []const u8 },
        /// All of a frame of DATA has come.
        data_end: struct { stream: u32, end_stream: bool },
    };

    pub fn isBetween(self: *const Reader) bool {
        return self.state == .head and self.head_len == 0;
    }

    /// The next thing that `bytes`, which becomes shorter, says. `frame_bytes_max` of DATA.
    pub fn next(self: *Reader, bytes: *[]const u8, frame_bytes_max: u32) Violation!Event {
        switch (self.state) {
            .head => {
                take(&self.head, &self.head_len, header_bytes, bytes);
                if (self.head_len < header_bytes) return .more;
                return self.begin(bytes, frame_bytes_max);
            },
            .payload => return self.takePayload(bytes),
            .data => {
                if (self.left == 0) {
                    self.reset();
                    return .{ .data_end = .{
                        .stream = self.stream(),
                        .end_stream = self.head[4] & flag_end_stream != 0,
                    } };
                }
                if (bytes.len == 0) return .more;
                const n = @min(self.left, bytes.len);
                defer bytes.* = bytes.*[n..];
                self.left -= @intCast(n);
                return .{ .data = .{ .stream = self.stream(), .bytes = bytes.*[0..n] } };
            },
        }
    }

    fn reset(self: *Reader) void {
        self.state = .head;
        self.head_len = 0;
        self.payload_len = 0;
    }

    fn stream(self: *const Reader) u32 {
        return std.mem.readInt(u32, self.head[5..9], .big);
    }

    fn begin(self: *Reader, bytes: *[]const u8, frame_bytes_max: u32) Violation!Event {
        if (self.head[5] & 0x80 != 0) return error.ReservedBit;
        const kind: Type = @enumFromInt(self.head[3]);
        self.left = std.mem.readInt(u24, self.head[0..3], .big);
        const known: u8 = switch (kind) {
            .data => flag_end_stream,
            .headers => flag_end_stream | flag_end_headers,
            .continuation, .push_promise => flag_end_headers,
            .settings, .ping => flag_ack,
            else => 0,
        };
        if (self.head[4] & ~known != 0) return error.UnknownFlags; // padding too: it is not used
        const is_connections = switch (kind) {
            .settings, .ping, .goaway => true,
            .window_update => self.stream() == 0,
            else => false,
        };
        if (is_connections != (self.stream() == 0)) return error.BadStream;
        if (kind == .data) {
            if (self.left > frame_bytes_max) return error.FrameTooLong;
            self.state = .data;
            return .{ .data_begin = .{
                .stream = self.stream(),
                .len = self.left,
                .end_stream = self.head[4] & flag_end_stream != 0,
            } };
        }
        if (self.left > payload_bytes_max) return error.FrameTooLong;
        self.state = .payload;
        return self.takePayload(bytes);
    }

    fn takePayload(self: *Reader, bytes: *[]const u8) Violation!Event {
        take(&self.payload, &self.payload_len, self.left, bytes);
        if (self.payload_len < self.left) return .more;
        const frame: Frame = .{
            .type = @enumFromInt(self.head[3]),
            .flags = self.head[4],
            .stream = self.stream(),
            .payload = self.payload[0..self.payload_len],
        };
        self.reset();
        const is_right = switch (frame.type) {
            .rst_stream, .window_update => frame.payload.len == 4,
            .ping => frame.payload.len == 8,
            .goaway => frame.payload.len >= 8,
            .push_promise => frame.payload.len > 4,
            .settings => frame.payload.len % 6 == 0 and
                (frame.flags & flag_ack == 0 or frame.payload.len == 0),
            else => true,
        };
        return if (is_right) .{ .frame = frame } else error.BadLength;
    }

    /// Copies to `room` until it holds `wanted` bytes, or there are no more.
    fn take(room: []u8, len: *usize, wanted: usize, bytes: *[]const u8) void {
        const n = @min(wanted - len.*, bytes.len);
        @memcpy(room[len.*..][0..n], bytes.*[0..n]);
        bytes.* = bytes.*[n..];
        len.* += n;
    }
};

/// What a block of fields says.
pub const Head = struct {
    /// 0: it is a section of trailers.
    status: u16 = 0,
    content_length: ?u64 = null,
    date: bool = false,
    /// Strict-Transport-Security.
    hsts: bool = false,
    id: ?struct { connection: u32, number: u32 } = null,
    sum: ?u32 = null,
    /// Sec-WebSocket-Extensions.
    extensions: std.BoundedArray(u8, 200) = .{},

    pub fn of(block: *const hpack.Block) Violation!Head {
        var head: Head = .{};
        var each = block.fields();
        var is_first = true;
        while (each.next()) |field| : (is_first = false) {
            for (field.text) |c| if (std.ascii.isUpper(c)) return error.BadField;
            for (field.value) |c| if (c == 0 or c == '\r' or c == '\n') return error.BadField;
            if (std.mem.eql(u8, field.text, ":status")) {
                if (!is_first or field.value.len != 3) return error.BadStatus;
                head.status = std.fmt.parseInt(u16, field.value, 10) catch return error.BadStatus;
                if (head.status < 100 or head.status > 599) return error.BadStatus;
            } else try head.note(field.text, field.value);
        }
        // RFC 9110 §6.6.1
        if (head.status >= 200 and head.status < 500 and !head.date) return error.NoDate;
        return head;
    }

    fn note(self: *Head, name: []const u8, value: []const u8) Violation!void {
        const forbidden = [_][]const u8{
            "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te",
        };
        for (forbidden) |one| if (std.mem.eql(u8, name, one)) return error.ConnectionField;
        if (name.len == 0 or name[0] == ':') return error.BadField;
        if (std.mem.eql(u8, name, "content-length")) {
            if (self.content_length != null) return error.RepeatedField;
            self.content_length = std.fmt.parseInt(u64, value, 10) catch return error.BadField;
        } else if (std.mem.eql(u8, name, "date")) {
            if (self.date) return error.RepeatedField;
            if (value.len != 29 or !std.mem.endsWith(u8, value, " GMT")) return error.BadField;
            self.date = true;
        } else if (std.mem.eql(u8, name, "strict-transport-security")) {
            if (self.hsts) return error.RepeatedField;
            self.hsts = true;
        } else if (std.mem.eql(u8, name, "x-id")) {
            if (self.id != null) return error.RepeatedField;
            const dot = std.mem.indexOfScalar(u8, value, '.') orelse return error.BadField;
            self.id = .{
                .connection = std.fmt.parseInt(u32, value[0..dot], 10) catch return error.BadField,
                .number = std.fmt.parseInt(u32, value[dot + 1 ..], 10) catch return error.BadField,
            };
        } else if (std.mem.eql(u8, name, "sec-websocket-extensions")) {
            if (self.extensions.len > 0) return error.RepeatedField;
            self.extensions.appendSlice(value) catch return error.BadField;
        } else if (std.mem.eql(u8, name, "x-sum")) {
            if (self.sum != null) return error.RepeatedField;
            self.sum = std.fmt.parseInt(u32, value, 10) catch return error.BadField;
        }
    }
};

const testing = std.testing;

test "the reader of frames takes them in pieces, and finds what is wrong" {
    const text = "\x00\x00\x03\x00\x01\x00\x00\x00\x01abc" ++
        "\x00\x00\x04\x03\x00\x00\x00\x00\x03\x00\x00\x00\x08";
    var reader: Reader = .{};
    var content: usize = 0;
    var resets: usize = 0;
    for (0..text.len) |i| {
        var rest: []const u8 = text[i..][0..1];
        while (true) switch (try reader.next(&rest, 100)) {
            .more => break,
            .data_begin => |begin| try testing.expectEqual(3, begin.len),
            .data => |data| content += data.bytes.len,
            .data_end => |end| try testing.expect(end.end_stream),
            .frame => |frame| {
                try testing.expectEqual(8, frame.word(0));
                resets += 1;
            },
        };
    }
    try testing.expectEqual(.{ 3, 1 }, .{ content, resets });
    const Case = struct { Violation, []const u8 };
    for ([_]Case{
        .{ error.ReservedBit, "\x00\x00\x00\x00\x00\x80\x00\x00\x01" },
        .{ error.UnknownFlags, "\x00\x00\x00\x00\x08\x00\x00\x00\x01" },
        .{ error.FrameTooLong, "\x00\x00\x65\x00\x00\x00\x00\x00\x01" },
        .{ error.BadStream, "\x00\x00\x00\x00\x00\x00\x00\x00\x00" },
        .{ error.BadStream, "\x00\x00\x00\x04\x00\x00\x00\x00\x01" },
        .{ error.BadLength, "\x00\x00\x00\x08\x00\x00\x00\x00\x01" },
    }) |case| {
        var bad: Reader = .{};
        var rest = case[1];
        try testing.expectError(case[0], bad.next(&rest, 100));
    }
}
