//! Says how the engine's parsers frame a connection's bytes, for the comparison with other parsers
//! in tests/differential.
//!
//! With the argument "hpack": how HPACK's decoder reads the field blocks of a connection.
//!
//! Reads cases from stdin, each a length (u32, little-endian) and as many bytes, the whole of what
//! a client sends on one connection. Answers each with a line of JSON on stdout: the requests, and
//! how it ended. A case of HPACK is blocks, each behind its length (u16, big-endian); its line
//! tells the fields of each, as their number and a hash.
const std = @import("std");
const decoder = @import("http1/decoder.zig");
const ChunkedDecoder = @import("http1/chunked.zig").ChunkedDecoder;
const Fields = @import("http/fields.zig").Fields;
const Request = @import("http/request.zig").Request;
const trailers = @import("http/trailers.zig");
const limits = @import("core/limits.zig");
const hpack = @import("http2/hpack/decoder.zig");
const hpack_table = @import("http2/hpack/table.zig");
const TablePool = @import("http2/hpack/table_pool.zig").TablePool;

const case_bytes_max = 1 << 20;
const Crc = std.hash.Crc32;

/// How a case ended.
const End = union(enum) {
    /// At the end of a message, or before the first.
    idle,
    /// Inside a message.
    partial,
    /// The connection is not persistent: what follows is not looked at.
    closed,
    /// After CONNECT: what follows is not HTTP.
    connect,
    err: []const u8,
};

/// What came of one request's body.
const Body = struct {
    complete: bool = false,
    len: usize = 0,
    crc: Crc = Crc.init(),
    trailers: std.BoundedArray(u8, limits.trailer_bytes_max) = .{},

    fn add(body: *Body, bytes: []const u8) void {
        body.len += bytes.len;
        body.crc.update(bytes);
    }
};

pub fn main() !void {
    var buffered_in = std.io.bufferedReader(std.io.getStdIn().reader());
    var buffered_out = std.io.bufferedWriter(std.io.getStdOut().writer());
    const in = buffered_in.reader();
    const case = try std.heap.page_allocator.alloc(u8, case_bytes_max);
    var args = std.process.args();
    _ = args.skip();
    const is_hpack = args.next() != null;
    while (true) {
        const len = in.readInt(u32, .little) catch |e| switch (e) {
            error.EndOfStream => return,
            else => return e,
        };
        if (len > case.len) return error.CaseTooLarge;
        try in.readNoEof(case[0..len]);
        if (is_hpack)
            try answerHpack(case[0..len], buffered_out.writer())
        else
            try answer(case[0..len], buffered_out.writer());
        // Whoever waits for the answer sends nothing before it is there.
        if (buffered_in.start == buffered_in.end) try buffered_out.flush();
    }
}

fn answer(case: []const u8, out: anytype) !void {
    try out.writeAll("{\"requests\":[");
    const end = try frame(case, out);
    try out.print("],\"end\":\"{s}\",\"code\":\"{s}\"}}\n", .{
        @tagName(end), if (end == .err) end.err else "",
    });
}

var table_memory: [TablePool.memoryBytes(1)]u8 align(hpack_table.alignment) = undefined;
var block_text: [65_535]u8 = undefined;
var block_lines: [4096]hpack_table.Record = undefined;

/// As a connection does: the table has what memory it takes.
fn answerHpack(case: []const u8, out: anytype) !void {
    var pool: TablePool = .init(&table_memory, 1);
    var reader: hpack.Decoder = .initPooled(&pool);
    defer reader.deinit();
    var block: hpack.Block = .{
        .text = &block_text,
        .lines = &block_lines,
        .limits = .{ .list_bytes_max = 1 << 20, .read_bytes_max = 1 << 20 },
    };
    try out.writeAll("{\"blocks\":[");
    var rest = case;
    var end: []const u8 = "fine";
    while (rest.len > 2) {
        const len = std.mem.readInt(u16, rest[0..2], .big);
        if (len > rest.len - 2) break;
        reader.decode(rest[2..][0..len], &block) catch |err| {
            end = @errorName(err);
            break;
        };
        if (block.excess != .none) {
            end = "excess";
            break;
        }
        if (rest.ptr != case.ptr) try out.writeByte(',');
        rest = rest[2 + len ..];
        var crc = Crc.init();
        var fields = block.fields();
        while (fields.next()) |field| {
            for ([_][]const u8{ field.text, "\x00", field.value, "\x00" }) |part| crc.update(part);
        }
        try out.print("[{d},{d},{d}]", .{ block.count, crc.final(), reader.table.size });
    }
    try out.print("],\"end\":\"{s}\"}}\n", .{end});
}

fn frame(case: []const u8, out: anytype) !End {
    var at: usize = 0;
    var count: usize = 0;
    while (true) : (count += 1) {
        var req = Request{};
        var hint: u32 = 0;
        const head = switch (decoder.decodeHead(case[at..], &hint, .{}, &req)) {
            .need_more => return if (isEmptyLines(case[at..])) .idle else .partial,
            .err => |e| return .{ .err = @tagName(e) },
            .head => |head| head,
        };
        at += head.consumed;
        var body = Body{ .complete = req.method == .CONNECT };
        const end = if (body.complete)
            End.connect
        else
            readBody(case, &at, head.framing.body, &body);
        if (count > 0) try out.writeByte(',');
        try writeRequest(out, &req, &body, at);
        if (end) |reason| return reason;
        if (!head.framing.keep_alive) return .closed;
    }
}

fn isEmptyLines(bytes: []const u8) bool {
    return std.mem.indexOfNone(u8, bytes, "\r\n") == null;
}

/// Moves `at` behind the body; how the case ended when it did not come whole.
fn readBody(case: []const u8, at: *usize, framing: decoder.Framing.Body, body: *Body) ?End {
    const rest = case[at.*..];
    switch (framing) {
        .none => {},
        .length => |length| {
            const len: usize = @intCast(@min(length, rest.len));
            body.add(rest[0..len]);
            at.* += len;
            if (len < length) return .partial;
        },
        .chunked => {
            var chunks = ChunkedDecoder{};
            while (true) switch (chunks.next(case[at.*..])) {
                .need_more => return .partial,
                .data => |data| {
                    body.add(data.bytes);
                    at.* += data.consumed;
                },
                .trailer => |piece| {
                    body.trailers.appendSliceAssumeCapacity(piece.bytes);
                    at.* += piece.consumed;
                },
                .end => |consumed| {
                    at.* += consumed;
                    break;
                },
                .err => |e| return .{ .err = @tagName(e) },
            };
        },
    }
    body.complete = true;
    return null;
}

fn writeRequest(out: anytype, req: *const Request, body: *Body, until: usize) !void {
    var trailer_fields = Fields{};
    trailers.parse(body.trailers.slice(), &trailer_fields);
    try out.writeAll("{\"method\":");
    try std.json.encodeJsonString(req.method_text, .{}, out);
    try out.writeAll(",\"target\":");
    try std.json.encodeJsonString(req.target, .{}, out);
    try out.print(",\"complete\":{},\"until\":{d},\"length\":{d},\"body\":{d}", .{
        body.complete, until, body.len, body.crc.final(),
    });
    try out.print(",\"fields\":{d},\"trailers\":{d}}}", .{
        fieldsCrc(&req.fields), fieldsCrc(&trailer_fields),
    });
}

/// Over "name:value\n" of each field as it was sent, without the white space around the value.
fn fieldsCrc(fields: *const Fields) u32 {
    var crc = Crc.init();
    for (fields.slice()) |field| {
        crc.update(field.name);
        crc.update(":");
        crc.update(field.value);
        crc.update("\n");
    }
    return crc.final();
}
