//! Invariants of the head decoder: the outcome does not depend on how the bytes were cut; what is
//! accepted lies inside the input and passes a second, plainly written check of the rules that keep
//! framing safe.
const std = @import("std");
const decoder = @import("../http1/decoder.zig");
const fields = @import("../http/fields.zig");
const problem = @import("../http/problem.zig");
const Request = @import("../http/request.zig").Request;
const head_reference = @import("head_reference.zig");
const mutator = @import("mutator.zig");
const require = mutator.require;

pub const words = [_][]const u8{
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ": ",
    ":",
    ",",
    "GET ",
    "POST ",
    "CONNECT ",
    "OPTIONS * ",
    "HTTP/1.1\r\n",
    "HTTP/1.0\r\n",
    "HTTP/2.0\r\n",
    "http://a/",
    "a:80",
    "?q=1",
    "Host: a\r\n",
    "Host:",
    "Content-Length: 5\r\n",
    "Content-Length:",
    "0",
    "99999999999999999999",
    "9223372036854775807",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding:",
    "chunked",
    "gzip, ",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Connection: upgrade\r\nUpgrade: h2c\r\n",
    "Expect: 100-continue\r\n",
    "Expect: x\r\n",
    "X:\r\n",
    "X: y\r\n z\r\n",
    "\x00",
};

/// Checks one input.
pub fn run(input: []const u8, random: std.Random) !void {
    const limits = pickLimits(input, random);
    var whole_req = Request{};
    var whole_hint: u32 = 0;
    const whole = decoder.decodeHead(input, &whole_hint, limits, &whole_req);

    var cuts_buffer: [512]usize = undefined;
    const cuts = mutator.cutsOf(input.len, random, &cuts_buffer);
    var cut_req = Request{};
    const cut = try decodeCut(input, cuts, limits, &cut_req);
    try require(std.meta.eql(whole, cut));
    if (head_reference.read(input)) |plain| try requirePlain(plain, limits, whole);
    switch (whole) {
        .need_more => try require(input.len < limits.head_bytes_max),
        .err => |e| try require(problem.statusOf(problem.codeOf(e)) >= 400),
        .head => |head| {
            try require(head.consumed <= input.len and head.consumed <= limits.head_bytes_max);
            try requireSameRequest(&whole_req, &cut_req);
            try requireSlicesInside(&whole_req, input[0..head.consumed]);
            try requireSound(&whole_req, head.framing, limits);
            try requireSelfContained(input[0..head.consumed], whole, limits);
        },
    }
}

fn pickLimits(input: []const u8, random: std.Random) decoder.Limits {
    if (random.boolean()) return .{};
    return .{
        .target_bytes_max = random.uintAtMost(u32, 64),
        .head_bytes_max = 1 + random.uintAtMost(u32, @intCast(input.len + 16)),
        .header_count_max = random.uintAtMost(u16, 140),
    };
}

fn decodeCut(
    input: []const u8,
    cuts: []const usize,
    limits: decoder.Limits,
    req: *Request,
) !decoder.Result {
    var hint: u32 = 0;
    for (cuts) |cut| {
        const before = hint;
        const result = decoder.decodeHead(input[0..cut], &hint, limits, req);
        try require(hint >= before);
        if (result != .need_more) return result;
    }
    return decoder.decodeHead(input, &hint, limits, req);
}

/// What every server must read is refused only by a limit.
fn requirePlain(
    plain: head_reference.Plain,
    limits: decoder.Limits,
    result: decoder.Result,
) !void {
    switch (result) {
        .need_more => return error.InvariantBroken,
        .err => |e| switch (e) {
            .uri_too_long => {},
            .head_too_large => try require(plain.consumed > limits.head_bytes_max),
            .too_many_fields => {
                try require(plain.fields > @min(limits.header_count_max, fields.Fields.capacity));
            },
            else => return error.InvariantBroken,
        },
        .head => |head| {
            try require(head.consumed == plain.consumed);
            try require(std.meta.eql(head.framing.body, plain.body));
        },
    }
}

fn requireSameRequest(a: *const Request, b: *const Request) !void {
    inline for (.{ "method_text", "target", "path", "query", "authority", "head_bytes" }) |member| {
        try require(std.mem.eql(u8, @field(a, member), @field(b, member)));
    }
    try require(a.method == b.method and a.version == b.version);
    try require(a.fields.len == b.fields.len);
    for (a.fields.slice(), b.fields.slice()) |x, y| {
        try require(std.mem.eql(u8, x.name, y.name) and std.mem.eql(u8, x.value, y.value));
    }
}

fn requireSlicesInside(req: *const Request, head: []const u8) !void {
    try require(mutator.isInside(head, req.head_bytes));
    try require(std.mem.endsWith(u8, req.head_bytes, "\r\n\r\n"));
    inline for (.{ "method_text", "target", "path", "query" }) |member| {
        try require(mutator.isInside(req.head_bytes, @field(req, member)));
    }
    if (req.authority.len > 0) try require(mutator.isInside(req.head_bytes, req.authority));
    for (req.fields.slice()) |field| {
        try require(mutator.isInside(req.head_bytes, field.name));
        try require(mutator.isInside(req.head_bytes, field.value));
    }
}

/// The rules that keep two readers of one connection in step, written without the decoder's own
/// helpers.
fn requireSound(req: *const Request, framing: decoder.Framing, limits: decoder.Limits) !void {
    for (req.head_bytes, 0..) |c, i| switch (c) {
        '\r' => try require(req.head_bytes[i + 1] == '\n'),
        '\n' => try require(req.head_bytes[i - 1] == '\r'),
        '\t' => {},
        0...8, 11, 12, 14...0x1f, 0x7f => return error.InvariantBroken,
        else => {},
    };
    try require(std.mem.count(u8, req.head_bytes, "\r\n\r\n") == 1);
    try require(std.mem.count(u8, req.head_bytes, "\n") == req.fields.len + 2);
    try require(req.target.len <= limits.target_bytes_max);
    try require(req.fields.len <= limits.header_count_max);
    try require(fields.isToken(req.method_text));
    var hosts: usize = 0;
    var lengths: usize = 0;
    var codings: usize = 0;
    for (req.fields.slice()) |field| {
        try require(fields.isToken(field.name));
        try require(fields.isFieldValue(field.value));
        try require(std.mem.trim(u8, field.value, " \t").len == field.value.len);
        if (std.ascii.eqlIgnoreCase(field.name, "host")) hosts += 1;
        if (std.ascii.eqlIgnoreCase(field.name, "content-length")) lengths += 1;
        if (std.ascii.eqlIgnoreCase(field.name, "transfer-encoding")) codings += 1;
    }
    try require(hosts == 1 or (hosts == 0 and req.version == .http10));
    try require(lengths + codings <= 1);
    switch (framing.body) {
        .none => try require(lengths + codings == 0),
        .chunked => try require(codings == 1 and req.version == .http11),
        .length => |length| {
            const text = req.fields.get("content-length").?;
            try require(length == try std.fmt.parseInt(u63, text, 10));
            try require(std.mem.indexOfNone(u8, text, "0123456789") == null);
        },
    }
}

/// The head alone, without what followed it, means the same.
fn requireSelfContained(head: []const u8, expected: decoder.Result, limits: decoder.Limits) !void {
    var req = Request{};
    var hint: u32 = 0;
    const alone = decoder.decodeHead(head, &hint, limits, &req);
    try require(std.meta.eql(expected, alone));
}
