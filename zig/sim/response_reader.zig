//! A strict reader of responses, for the simulated clients. It shares no code with the engine: what
//! it does not find exactly as RFC 9110 and 9112 say is a violation.

const std = @import("std");

pub const Head = struct {
    status: u16 = 0,
    content_length: ?u64 = null,
    chunked: bool = false,
    close: bool = false,
    keep_alive: bool = false,
    /// Keep-Alive: for how long the connection is kept, seconds.
    timeout_s: ?u32 = null,
    date: bool = false,
    /// Strict-Transport-Security.
    hsts: bool = false,
    /// X-Id: which connection and request the handler believes to answer.
    id: ?struct { connection: u32, number: u32 } = null,
};

pub const Violation = error{
    NoStatusLine,
    BadFieldLine,
    BadField,
    HeadTooLong,
    RepeatedField,
    FramingTwice,
    FramingNotAllowed,
    NoFraming,
    NoDate,
    BadChunk,
};

pub const Reader = struct {
    state: State = .head,
    head: Head = .{},
    /// The head, or a line of the chunked coding, as far as it came.
    text: [head_bytes_max]u8 = undefined,
    text_len: usize = 0,
    left: u64 = 0,
    /// The number in the trailer X-Sum.
    sum: ?u32 = null,

    const head_bytes_max = 20 * 1024;

    const State = enum { head, length, chunk_size, chunk_data, chunk_end, trailer, to_end };

    pub const Event = union(enum) {
        /// All bytes were looked at.
        more,
        interim: u16,
        /// A body, perhaps an empty one, follows.
        head: *const Head,
        body: []const u8,
        end,
    };

    /// Nothing of a response has come.
    pub fn isBetween(self: *const Reader) bool {
        return self.state == .head and self.text_len == 0;
    }

    /// What a head, or a line, began with.
    pub fn seen(self: *const Reader) []const u8 {
        return self.text[0..self.text_len];
    }

    /// The next thing that `bytes`, which becomes shorter, says. `head_only`: to HEAD.
    pub fn next(self: *Reader, bytes: *[]const u8, head_only: bool) Violation!Event {
        while (true) {
            switch (self.state) {
                .head => {
                    const text = try self.take(bytes, "\r\n\r\n") orelse return .more;
                    self.head = try parseHead(text);
                    if (self.head.status < 200) return .{ .interim = self.head.status };
                    try self.begin(head_only);
                    return .{ .head = &self.head };
                },
                .length, .chunk_data => {
                    if (self.left == 0) {
                        if (self.state == .length) return self.finish();
                        self.state = .chunk_end;
                        continue;
                    }
                    if (bytes.len == 0) return .more;
                    const n: usize = @intCast(@min(self.left, bytes.len));
                    defer bytes.* = bytes.*[n..];
                    self.left -= n;
                    return .{ .body = bytes.*[0..n] };
                },
                .to_end => {
                    if (bytes.len == 0) return .more;
                    defer bytes.* = bytes.*[bytes.len..];
                    return .{ .body = bytes.* };
                },
                .chunk_size => {
                    const line = try self.take(bytes, "\r\n") orelse return .more;
                    self.left = try parseChunkSize(line);
                    self.state = if (self.left == 0) .trailer else .chunk_data;
                },
                .chunk_end => {
                    const line = try self.take(bytes, "\r\n") orelse return .more;
                    if (line.len != 2) return error.BadChunk;
                    self.state = .chunk_size;
                },
                .trailer => {
                    const line = try self.take(bytes, "\r\n") orelse return .more;
                    if (line.len == 2) return self.finish();
                    const field = try parseField(line[0 .. line.len - 2]);
                    if (!std.ascii.eqlIgnoreCase(field.name, "x-sum")) return error.BadField;
                    self.sum = std.fmt.parseInt(u32, field.value, 10) catch return error.BadField;
                },
            }
        }
    }

    fn finish(self: *Reader) Event {
        self.state = .head;
        return .end;
    }

    fn begin(self: *Reader, head_only: bool) Violation!void {
        const head = &self.head;
        self.sum = null;
        self.left = 0;
        const bodiless = head.status == 204 or head.status == 304;
        if (bodiless and head.chunked) return error.FramingNotAllowed;
        if (head.status == 204 and head.content_length != null) return error.FramingNotAllowed;
        if (!head.date and head.status < 500) return error.NoDate; // RFC 9110 §6.6.1
        // A message that did not come whole is answered as if it were GET.
        if ((head_only and head.status != 408) or bodiless) {
            self.state = .length;
        } else if (head.chunked) {
            self.state = .chunk_size;
        } else if (head.content_length) |length| {
            self.state = .length;
            self.left = length;
        } else {
            if (!head.close) return error.NoFraming;
            self.state = .to_end;
        }
    }

    /// The text up to `mark`, with it, when it is whole. Valid until the next call.
    fn take(self: *Reader, bytes: *[]const u8, mark: []const u8) Violation!?[]const u8 {
        while (bytes.len > 0) {
            if (self.text_len == self.text.len) return error.HeadTooLong;
            self.text[self.text_len] = bytes.*[0];
            self.text_len += 1;
            bytes.* = bytes.*[1..];
            const text = self.text[0..self.text_len];
            if (std.mem.endsWith(u8, text, mark)) {
                self.text_len = 0;
                return text;
            }
        }
        return null;
    }
};

fn parseHead(text: []const u8) Violation!Head {
    var head: Head = .{};
    var lines = std.mem.splitSequence(u8, text[0 .. text.len - 4], "\r\n");
    head.status = try parseStatusLine(lines.first());
    while (lines.next()) |line| try note(&head, try parseField(line));
    if (head.chunked and head.content_length != null) return error.FramingTwice;
    if (head.status < 200 and (head.chunked or head.content_length != null))
        return error.FramingNotAllowed;
    return head;
}

fn parseStatusLine(line: []const u8) Violation!u16 {
    const prefix = "HTTP/1.1 ";
    if (line.len < prefix.len + 4 or !std.mem.startsWith(u8, line, prefix))
        return error.NoStatusLine;
    if (line[prefix.len + 3] != ' ') return error.NoStatusLine;
    for (line) |c| if (c < ' ' or c > '~') return error.NoStatusLine;
    for (line[prefix.len..][0..3]) |c| if (!std.ascii.isDigit(c)) return error.NoStatusLine;
    const status = std.fmt.parseInt(u16, line[prefix.len..][0..3], 10) catch unreachable;
    return if (status < 100 or status > 599) error.NoStatusLine else status;
}

const Field = struct { name: []const u8, value: []const u8 };

fn parseField(line: []const u8) Violation!Field {
    const colon = std.mem.indexOfScalar(u8, line, ':') orelse return error.BadFieldLine;
    const name = line[0..colon];
    if (name.len == 0) return error.BadFieldLine;
    for (name) |c| {
        if (!std.ascii.isAlphanumeric(c) and c != '-' and c != '_') return error.BadFieldLine;
    }
    const value = line[colon + 1 ..];
    for (value) |c| if ((c < ' ' and c != '\t') or c == 0x7f) return error.BadFieldLine;
    return .{ .name = name, .value = std.mem.trim(u8, value, " \t") };
}

fn note(head: *Head, field: Field) Violation!void {
    const is = struct {
        fn is(a: []const u8, b: []const u8) bool {
            return std.ascii.eqlIgnoreCase(a, b);
        }
    }.is;
    if (is(field.name, "content-length")) {
        if (head.content_length != null) return error.RepeatedField;
        for (field.value) |c| if (!std.ascii.isDigit(c)) return error.BadField;
        head.content_length = std.fmt.parseInt(u64, field.value, 10) catch return error.BadField;
    } else if (is(field.name, "transfer-encoding")) {
        if (head.chunked) return error.RepeatedField;
        if (!is(field.value, "chunked")) return error.BadField;
        head.chunked = true;
    } else if (is(field.name, "connection")) {
        if (head.close or head.keep_alive) return error.RepeatedField;
        head.close = is(field.value, "close");
        head.keep_alive = is(field.value, "keep-alive");
        if (!head.close and !head.keep_alive) return error.BadField;
    } else if (is(field.name, "keep-alive")) {
        const prefix = "timeout=";
        if (head.timeout_s != null) return error.RepeatedField;
        if (!std.mem.startsWith(u8, field.value, prefix)) return error.BadField;
        head.timeout_s = std.fmt.parseInt(u32, field.value[prefix.len..], 10) catch
            return error.BadField;
    } else if (is(field.name, "date")) {
        if (head.date) return error.RepeatedField;
        if (field.value.len != 29 or !std.mem.endsWith(u8, field.value, " GMT"))
            return error.BadField;
        head.date = true;
    } else if (is(field.name, "strict-transport-security")) {
        if (head.hsts) return error.RepeatedField;
        head.hsts = true;
    } else if (is(field.name, "x-id")) {
        if (head.id != null) return error.RepeatedField;
        const dot = std.mem.indexOfScalar(u8, field.value, '.') orelse return error.BadField;
        head.id = .{
            .connection = std.fmt.parseInt(u32, field.value[0..dot], 10) catch
                return error.BadField,
            .number = std.fmt.parseInt(u32, field.value[dot + 1 ..], 10) catch
                return error.BadField,
        };
    }
}

/// Hexadecimal digits and nothing else: the engine sends no extensions.
fn parseChunkSize(line: []const u8) Violation!u64 {
    const digits = line[0 .. line.len - 2];
    if (digits.len == 0 or digits.len > 8) return error.BadChunk;
    if (digits.len > 1 and digits[0] == '0') return error.BadChunk;
    var size: u64 = 0;
    for (digits) |c| {
        size = size * 16 + (std.fmt.charToDigit(c, 16) catch return error.BadChunk);
    }
    return size;
}

const testing = std.testing;
const date_line = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

fn statuses(text: []const u8, head_only: bool) !struct { u16, usize } {
    var reader: Reader = .{};
    var rest = text;
    var body: usize = 0;
    while (true) switch (try reader.next(&rest, head_only)) {
        .more => return error.Incomplete,
        .interim, .head => {},
        .body => |bytes| body += bytes.len,
        .end => return .{ reader.head.status, body },
    };
}

test "the reader takes what is right" {
    const ok = "HTTP/1.1 200 OK\r\n" ++ date_line;
    try testing.expectEqual(.{ 200, 3 }, try statuses(ok ++ "Content-Length: 3\r\n\r\nabc", false));
    try testing.expectEqual(.{ 200, 0 }, try statuses(ok ++ "Content-Length: 3\r\n\r\n", true));
    const chunked = ok ++ "Transfer-Encoding: chunked\r\n\r\n" ++
        "2\r\nab\r\n1\r\nc\r\n0\r\nx-sum: 1\r\n\r\n";
    try testing.expectEqual(.{ 200, 3 }, try statuses(chunked, false));
}

test "the reader finds what is wrong" {
    const ok = "HTTP/1.1 200 OK\r\n" ++ date_line;
    const Case = struct { Violation, []const u8 };
    for ([_]Case{
        .{ error.NoStatusLine, "HTTP/1.0 200 OK\r\n\r\n" },
        .{ error.NoDate, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
        .{ error.NoFraming, ok ++ "\r\n" },
        .{ error.FramingTwice, ok ++ "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" },
        .{ error.RepeatedField, ok ++ "Content-Length: 1\r\nContent-Length: 1\r\n\r\n" },
        .{ error.BadFieldLine, ok ++ "a b: 1\r\n\r\n" },
        .{ error.BadChunk, ok ++ "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n" },
    }) |case| try testing.expectError(case[0], statuses(case[1], false));
}
