//! What one simulated client sends, byte for byte, and what has to come back for it.

const std = @import("std");
const Allocator = std.mem.Allocator;
const Files = @import("files.zig").Files;
const Options = @import("options.zig").Options;
const Pattern = @import("pattern.zig").Pattern;
const Plan = @import("plan.zig").Plan;
const spoiling = @import("spoiling.zig");

pub const Expected = union(enum) {
    /// What the plan says.
    answer: Plan,
    /// So many of the bytes that all share, or a part of them.
    file: struct { status: u16, length: u32 },
    /// One of these statuses, and the connection's end behind it.
    refused: []const u16,
    /// The handler breaks its promise: the connection ends, and the client can tell.
    spoiled: Plan,
    /// Whatever the server makes of bytes that were changed at random.
    anything,
};

pub const Request = struct {
    /// Of the script's bytes.
    start: usize,
    head_end: usize,
    end: usize,
    head_only: bool = false,
    http10: bool = false,
    /// By the connection option: the response tells for how long.
    asks_keep_alive: bool = false,
    /// The response has to announce the end, whatever it is.
    last: bool = false,
    /// The client waits for 100 (Continue) here before it sends the body.
    expects_continue: bool = false,
    expected: Expected,
};

pub const Script = struct {
    bytes: []u8,
    requests: []Request,

    /// The last response does not come to its end while its client is there.
    pub fn endsInSilence(self: *const Script) bool {
        const last = self.requests[self.requests.len - 1];
        return last.expected == .spoiled and last.expected.spoiled.style == .silent;
    }
};

pub const Nature = enum { good, malformed, mutated };

/// Writes a script to memory of `arena`.
pub fn make(
    arena: Allocator,
    random: std.Random,
    options: *const Options,
    connection: u32,
    nature: Nature,
) !Script {
    var writer: Writer = .{
        .random = random,
        .options = options,
        .connection = connection,
        .heads = nature != .mutated,
        .bytes = .init(arena),
        .requests = .init(arena),
    };
    const count = switch (random.uintLessThan(u8, 8)) {
        0 => random.intRangeAtMost(u32, 8, 40),
        1, 2 => 1,
        else => random.intRangeAtMost(u32, 1, 8),
    };
    for (0..count) |number| {
        try writer.request(@intCast(number));
        if (writer.ended) break;
    }
    switch (nature) {
        .good => {},
        .malformed => if (!writer.ended) try writer.malformed(),
        .mutated => return mutate(arena, random, writer.bytes.items),
    }
    return .{ .bytes = writer.bytes.items, .requests = writer.requests.items };
}

fn mutate(arena: Allocator, random: std.Random, bytes: []u8) !Script {
    const changed = try spoiling.mutate(arena, random, bytes);
    const all: Request = .{
        .start = 0,
        .head_end = changed.len,
        .end = changed.len,
        .expected = .anything,
    };
    return .{ .bytes = changed, .requests = try arena.dupe(Request, &.{all}) };
}

const Writer = struct {
    random: std.Random,
    options: *const Options,
    connection: u32,
    /// HEAD may be asked for: not where a reader cannot know that it was.
    heads: bool,
    bytes: std.ArrayList(u8),
    requests: std.ArrayList(Request),
    /// A request was written behind which the server closes.
    ended: bool = false,

    const Framing = enum { none, length, chunked };

    fn one(self: *Writer, in: u16) bool {
        return self.random.uintLessThan(u16, in) == 0;
    }

    fn bodyLength(self: *Writer) u32 {
        return switch (self.random.uintLessThan(u8, 20)) {
            0...11 => self.random.uintAtMost(u32, 200),
            12...16 => self.random.uintAtMost(u32, 5_000),
            17...18 => self.random.uintAtMost(u32, 40_000),
            else => self.random.uintAtMost(u32, 200_000),
        };
    }

    fn request(self: *Writer, number: u32) !void {
        if (self.one(12)) return self.fileRequest();
        var plan: Plan = .{
            .kind = self.random.enumValue(Plan.Kind),
            .style = self.style(),
            .length = self.bodyLength(),
            .number = number,
            .close = self.one(40),
        };
        if (plan.kind == .status) plan.length = if (self.one(2)) 204 else 404;
        if (plan.kind == .fail and !self.one(4)) plan.kind = .gen;
        if (plan.kind == .fail) plan.close = false;
        const spoils = plan.isSpoiled();
        if (spoils) {
            plan.kind = .gen;
            plan.length = @max(plan.length, 10);
        }
        const framing: Framing = switch (plan.kind) {
            .gen, .status, .fail => .none,
            .echo, .sum => if (self.one(2)) .length else .chunked,
        };
        const http10 = self.one(10) and framing != .chunked;
        const head_only = self.heads and plan.kind == .gen and !spoils and self.one(8);
        var buffer: [64]u8 = undefined;
        const target = plan.write(&buffer);
        const method = if (head_only) "HEAD" else if (framing == .none) "GET" else "POST";
        const start = self.bytes.items.len;
        try self.requestLine(method, target, http10);
        const keep_alive = self.one(if (http10) 2 else 4);
        if (keep_alive) try self.bytes.appendSlice("Connection: keep-alive\r\n");
        const close = !http10 and self.one(30);
        if (close) try self.bytes.appendSlice("connection: Close\r\n");
        const body_length = if (plan.kind == .sum) self.bodyLength() else plan.length;
        const expects = framing != .none and !http10 and body_length > 0 and self.one(4);
        if (expects) try self.bytes.appendSlice("Expect: 100-continue\r\n");
        try self.framingLine(framing, body_length);
        const trailer = framing == .chunked and self.one(3);
        if (trailer) try self.bytes.appendSlice("Trailer: X-Sum\r\n");
        try self.bytes.appendSlice("\r\n");
        const head_end = self.bytes.items.len;
        if (framing != .none) try self.body(framing, body_length, number, trailer);
        self.ended = close or plan.close or spoils or (http10 and !keep_alive);
        try self.requests.append(.{
            .start = start,
            .head_end = head_end,
            .end = self.bytes.items.len,
            .head_only = head_only,
            .http10 = http10,
            .asks_keep_alive = keep_alive and !close,
            .last = close or (http10 and !keep_alive),
            .expects_continue = expects,
            .expected = if (spoils) .{ .spoiled = plan } else .{ .answer = plan },
        });
    }

    fn style(self: *Writer) Plan.Style {
        const chosen = self.random.enumValue(Plan.Style);
        return switch (chosen) {
            .less, .more => if (self.options.bridge and self.one(3)) chosen else .whole,
            // Of changed bytes nobody knows whether their client has to leave.
            .silent => if (self.options.bridge and self.heads and self.one(3)) chosen else .whole,
            else => chosen,
        };
    }

    fn fileRequest(self: *Writer) !void {
        const size = Files.sizes[self.random.uintLessThan(usize, Files.sizes.len)];
        const start = self.bytes.items.len;
        const there = !self.one(8);
        const part = there and size >= 5000 and self.one(3);
        var buffer: [64]u8 = undefined;
        const name = if (there) "bin" else "none";
        const target = std.fmt.bufPrint(&buffer, "/files/{d}.{s}", .{ size, name }) catch
            unreachable; // it is short
        const head_only = self.heads and self.one(4);
        try self.requestLine(if (head_only) "HEAD" else "GET", target, false);
        if (part) try self.bytes.appendSlice("Range: bytes=0-99\r\n");
        try self.bytes.appendSlice("\r\n");
        const end = self.bytes.items.len;
        try self.requests.append(.{
            .start = start,
            .head_end = end,
            .end = end,
            .head_only = head_only,
            .expected = .{
                .file = .{
                    // Range says something about GET alone (RFC 9110 §14.2).
                    .status = if (!there) 404 else if (part and !head_only) 206 else 200,
                    .length = if (part and !head_only) 100 else size,
                },
            },
        });
    }

    fn requestLine(self: *Writer, method: []const u8, target: []const u8, http10: bool) !void {
        const w = self.bytes.writer();
        for (0..if (self.one(20)) 2 else 0) |_| try w.writeAll("\r\n"); // RFC 9112 §2.2
        const origin = if (self.options.secured) "https://sim.example" else "http://sim.example";
        const absolute = if (self.one(20)) origin else "";
        const version = if (http10) "1.0" else "1.1";
        try w.print("{s} {s}{s} HTTP/{s}\r\n", .{ method, absolute, target, version });
        if (!http10 or self.one(2)) try w.writeAll("Host: sim.example\r\n");
        const fields = if (self.one(4)) self.random.uintAtMost(u32, 12) else 0;
        for (0..fields) |i| {
            const filler = "v" ** 90;
            const length = self.random.uintAtMost(usize, filler.len);
            try w.print("X-Field-{d}:{s}{s}\r\n", .{ i, " " ** 1, filler[0..length] });
        }
    }

    fn framingLine(self: *Writer, framing: Framing, length: u32) !void {
        const w = self.bytes.writer();
        switch (framing) {
            .none => if (self.one(10)) try w.writeAll("Content-Length: 0\r\n"),
            .length => try w.print("Content-Length: {d}\r\n", .{length}),
            .chunked => try w.writeAll("Transfer-Encoding: chunked\r\n"),
        }
    }

    fn body(self: *Writer, framing: Framing, length: u32, number: u32, trailer: bool) !void {
        const pattern = Pattern.of(.request, self.connection, number);
        var at: u32 = 0;
        const largest: u32 = if (self.one(6)) 20 else 20_000;
        const pieces_max = 300;
        var pieces: u32 = 0;
        while (at < length) : (pieces += 1) {
            const wanted = 1 + self.random.uintLessThan(u32, largest);
            const rest = length - at;
            const n = if (framing == .length or pieces == pieces_max) rest else @min(wanted, rest);
            if (framing == .chunked) try self.chunkHead(n);
            pattern.fill(try self.bytes.addManyAsSlice(n), at);
            if (framing == .chunked) try self.bytes.appendSlice("\r\n");
            at += n;
        }
        if (framing != .chunked) return;
        try self.bytes.appendSlice(if (self.one(4)) "000\r\n" else "0\r\n");
        if (trailer) try self.bytes.writer().print("X-Other:\r\nx-sum: {d}\r\n", .{number});
        try self.bytes.appendSlice("\r\n");
    }

    fn chunkHead(self: *Writer, size: u32) !void {
        const w = self.bytes.writer();
        if (self.one(4)) try w.writeAll("00");
        if (self.one(2)) try w.print("{x}", .{size}) else try w.print("{X}", .{size});
        if (size > 500 and self.one(4)) try w.writeAll(";name=value;other=\"a;b\"");
        try w.writeAll("\r\n");
    }

    fn malformed(self: *Writer) !void {
        const start = self.bytes.items.len;
        const statuses = try spoiling.append(&self.bytes, self.random, self.options);
        // What follows it is nobody's request.
        if (self.one(2)) try self.bytes.appendSlice("GET /gen/whole/5/77 HTTP/1.1\r\n" ++
            "Host: sim.example\r\n\r\n");
        self.ended = true;
        try self.requests.append(.{
            .start = start,
            .head_end = self.bytes.items.len,
            .end = self.bytes.items.len,
            .last = true,
            .expected = .{ .refused = statuses },
        });
    }
};
