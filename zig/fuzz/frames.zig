//! Invariants of HTTP/2's frames and messages: the events do not depend on how the bytes were cut;
//! memory is asked for what has come alone; a request that is made of a field block passes a
//! second, plainly written check.
const std = @import("std");
const Request = @import("../http/request.zig").Request;
const fields_file = @import("../http/fields.zig");
const decoder_file = @import("../http2/frame_decoder.zig");
const hpack_decoder = @import("../http2/hpack/decoder.zig");
const table_file = @import("../http2/hpack/table.zig");
const frames = @import("../http2/frames.zig");
const problem = @import("../http/problem.zig");
const request = @import("../http2/request.zig");
const mutator = @import("mutator.zig");
const require = mutator.require;

/// An input follows the preface and empty SETTINGS.
pub const words = [_][]const u8{
    "\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "\x00\x00\x00\x04\x01\x00\x00\x00\x00",
    "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x10\x00",
    "\x00\x00\x05\x01\x05\x00\x00\x00\x01\x82\x86\x84\x41\x00",
    "\x00\x00\x07\x01\x05\x00\x00\x00\x03\x82\x86\x84\x41\x01a\x90",
    "\x00\x00\x01\x09\x04\x00\x00\x00\x01\x82",
    "\x00\x00\x02\x00\x01\x00\x00\x00\x01ab",
    "\x00\x00\x04\x00\x08\x00\x00\x00\x01\x01ab\x00",
    "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678",
    "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01",
    "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08",
    "\x00\x00\x05\x02\x00\x00\x00\x00\x03\x00\x00\x00\x00\x10",
    "\x00\x00\x08\x10\x00\x00\x00\x00\x00\x00\x00\x00\x01u=1i",
    "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    "\x00\x00\x00\xbe\x00\x00\x00\x00\x00",
    "\x08\x01",
    "\x2d",
    "\x40\x06cookie\x03a=b",
    "\x82\x87\x84\x41\x01a",
};

const Transcript = struct {
    hash: std.hash.Wyhash = std.hash.Wyhash.init(0),
    memory: [2][8192]u8 = undefined,
    turn: u1 = 0,
    /// What has been fed, bytes.
    fed: usize = 0,
    hpack_memory: [table_file.memoryBytes(4096)]u8 align(table_file.alignment) = undefined,
    hpack: hpack_decoder.Decoder = undefined,
    text: [8192]u8 = undefined,
    lines: [160]table_file.Record = undefined,
    req: Request = .{},
    limits: request.Limits = .{},

    fn note(self: *Transcript, value: anytype) void {
        var text: [256]u8 = undefined;
        self.hash.update(std.fmt.bufPrint(&text, "{any};", .{value}) catch text[0..]);
    }

    /// Feeds one read; true when the connection has ended.
    fn feed(self: *Transcript, decoder: *decoder_file.Decoder, bytes: []const u8) !bool {
        self.fed += bytes.len;
        var rest = bytes;
        while (true) {
            const step = decoder.next(rest);
            try require(step.consumed <= rest.len);
            const taken = rest[0..step.consumed];
            rest = rest[step.consumed..];
            switch (step.event) {
                .need_more => {
                    try require(rest.len == 0);
                    return false;
                },
                .need_memory => |needed| {
                    try require(needed <= self.fed and needed > decoder.memory.len);
                    try require(needed <= decoder.limits.block_bytes_max);
                    self.turn = ~self.turn;
                    const more = @min(needed + 100, self.memory[0].len);
                    _ = decoder.lend(self.memory[self.turn][0..more]);
                },
                .err => |err| {
                    self.note(err);
                    self.note(err.code());
                    try require(decoder.next("").event == .err);
                    return true;
                },
                .data => |data| {
                    try require(mutator.isInside(taken, data.bytes));
                    try require(data.ends_frame or data.bytes.len > 0);
                    self.hash.update(data.bytes);
                    if (data.ends_frame) self.note(.{ data.stream, data.end_stream });
                },
                .data_begin => |begin| {
                    try require(begin.padding_bytes <= begin.window_bytes);
                    self.note(begin);
                },
                .headers => |headers| {
                    self.note(.{ headers.stream, headers.end_stream, headers.self_dependent });
                    try require(headers.block.len <= decoder.limits.block_bytes_max);
                    if (!try self.readMessage(headers)) return true;
                    if (decoder.memory.len > 0) _ = decoder.takeBack();
                },
                .priority_update => |update| {
                    self.note(update.stream);
                    self.hash.update(update.value);
                },
                inline else => |event| self.note(event),
            }
        }
    }

    fn readMessage(self: *Transcript, headers: decoder_file.Event.Headers) !bool {
        self.hash.update(headers.block);
        var block: hpack_decoder.Block = .{
            .text = &self.text,
            .lines = &self.lines,
            .limits = .{ .list_bytes_max = 8192, .read_bytes_max = 65_536 },
        };
        self.hpack.decode(headers.block, &block) catch |err| {
            self.note(err);
            return false;
        };
        if (request.checkTrailers(&block, .{ .bytes_max = 1000, .count_max = 10 })) |err|
            self.note(err);
        switch (request.decode(&block, headers.end_stream, self.limits, &self.req)) {
            .head => |head| try requireSound(&self.req, head, headers.end_stream, self.limits),
            .malformed => |why| self.note(why),
            .refused => |why| {
                self.note(why);
                try require(problem.statusOf(problem.codeOf(why)) >= 400);
            },
        }
        return true;
    }
};

var transcripts: [2]Transcript = .{ .{}, .{} };

/// Checks one input.
pub fn run(input: []const u8, random: std.Random) !void {
    const limits: decoder_file.Limits = .{
        .block_bytes_max = 8 + random.uintAtMost(u32, 8000),
        .continuations_max = random.uintAtMost(u16, 6),
    };
    const request_limits: request.Limits = .{
        .target_bytes_max = random.uintAtMost(u32, 200),
        .header_count_max = random.uintAtMost(u16, 140),
        .extended_connect = random.boolean(),
    };
    var cuts_buffer: [512]usize = undefined;
    const all_cuts = [2][]const usize{ &.{}, mutator.cutsOf(input.len, random, &cuts_buffer) };
    var hashes: [2]u64 = undefined;
    for (&transcripts, all_cuts, &hashes) |*transcript, cuts, *hash| {
        transcript.* = .{ .limits = request_limits };
        transcript.hpack = hpack_decoder.Decoder.init(&transcript.hpack_memory, 4096);
        var decoder: decoder_file.Decoder = .{ .limits = limits };
        const start = frames.preface ++ "\x00\x00\x00\x04\x00\x00\x00\x00\x00";
        try require(!try transcript.feed(&decoder, start));
        var from: usize = 0;
        const has_ended = for (cuts) |cut| {
            if (try transcript.feed(&decoder, input[from..cut])) break true;
            from = cut;
        } else try transcript.feed(&decoder, input[from..]);
        transcript.note(has_ended);
        hash.* = transcript.hash.final();
    }
    try require(hashes[0] == hashes[1]);
}

/// What a request must be, without the decoder's own helpers.
fn requireSound(
    req: *const Request,
    head: request.Head,
    end_stream: bool,
    limits: request.Limits,
) !void {
    try require(req.version == .http2 and fields_file.isToken(req.method_text));
    inline for (.{ "method_text", "target", "path", "query", "authority" }) |member|
        try require(mutator.isInside(req.head_bytes, @field(req, member)));
    try require(req.authority.len > 0);
    try require(std.mem.indexOfAny(u8, req.target, "\x00\r\n #") == null);
    try require(req.method == .CONNECT or req.target.len <= limits.target_bytes_max);
    const is_tunnel = req.method == .CONNECT and head.protocol.len == 0;
    try require(is_tunnel or req.path.len > 0 and (req.path[0] == '/' or req.path[0] == '*'));
    try require(head.protocol.len == 0 or limits.extended_connect);
    try require(req.fields.len <= limits.header_count_max);
    var hosts: usize = 0;
    var cookies: usize = 0;
    for (req.fields.slice()) |field| {
        try require(mutator.isInside(req.head_bytes, field.name));
        try require(mutator.isInside(req.head_bytes, field.value));
        try require(fields_file.isToken(field.name) and fields_file.isFieldValue(field.value));
        for (field.name) |c| try require(!std.ascii.isUpper(c));
        for ([_][]const u8{ "connection", "transfer-encoding", "upgrade", "keep-alive" }) |name|
            try require(!std.mem.eql(u8, field.name, name));
        if (std.mem.eql(u8, field.name, "host")) {
            hosts += 1;
            try require(std.ascii.eqlIgnoreCase(field.value, req.authority));
        }
        if (std.mem.eql(u8, field.name, "cookie")) cookies += 1;
    }
    try require(hosts == 1 and cookies <= 1);
    if (head.content_length) |length| {
        try require(length == try std.fmt.parseInt(u63, req.fields.get("content-length").?, 10));
        try require(!end_stream or length == 0);
    }
}
