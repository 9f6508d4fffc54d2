//! Invariants of Sec-WebSocket-Extensions: the grammar is that of a second reader, which makes
//! lexemes first; what is agreed on is within what was offered and what is wanted, and the other
//! side understands it as it was meant.
const std = @import("std");
const chars = @import("../http/chars.zig");
const extensions = @import("../websocket/extensions.zig");
const permessage_deflate = @import("../websocket/permessage_deflate.zig");
const mutator = @import("mutator.zig");
const require = mutator.require;

pub const words = [_][]const u8{
    "permessage-deflate",
    "; server_no_context_takeover",
    "; client_no_context_takeover",
    "; server_max_window_bits=10",
    "; client_max_window_bits",
    "; client_max_window_bits=\"12\"",
    ", ",
    ";",
    "=",
    "\"\\1\\5\"",
    "x-webkit-deflate-frame",
    "08",
};

/// What was found, in an order of its own.
const Notes = struct {
    text: std.BoundedArray(u8, 4 * 4096) = .{},

    fn note(self: *Notes, mark: u8, text: []const u8) void {
        self.text.appendAssumeCapacity(mark);
        self.text.appendSliceAssumeCapacity(text);
    }
};

var notes: [2]Notes = .{ .{}, .{} };

/// Checks one input.
pub fn run(bytes: []const u8, random: std.Random) !void {
    const input = bytes[0..@min(bytes.len, 4096)];
    for (&notes) |*each| each.* = .{};
    const is_valid = if (read(input, &notes[0])) true else |_| false;
    try require(is_valid == readPlainly(input, &notes[1]));
    if (!is_valid) return;
    try require(std.mem.eql(u8, notes[0].text.slice(), notes[1].text.slice()));

    const policy: permessage_deflate.Policy = .{
        .server_context_takeover = random.boolean(),
        .client_context_takeover = random.boolean(),
        .server_window_bits = random.intRangeAtMost(u4, 8, 15),
        .client_window_bits = random.intRangeAtMost(u4, 8, 15),
    };
    var it: extensions.Iterator = .{ .rest = input };
    while (try it.next()) |_| {
        const offer = try permessage_deflate.Parameters.read(&it) orelse continue;
        try checkAgreement(&policy, &offer);
    }
}

fn read(input: []const u8, out: *Notes) !void {
    var it: extensions.Iterator = .{ .rest = input };
    while (try it.next()) |name| {
        out.note(',', name);
        while (try it.parameter()) |parameter| {
            out.note(';', parameter.name);
            if (parameter.value) |value| out.note('=', value);
        }
    }
}

const Lexeme = struct { kind: enum { token, quoted, mark }, text: []const u8 };

var lexemes: [4096]Lexeme = undefined;

fn readPlainly(input: []const u8, out: *Notes) bool {
    var count: usize = 0;
    var at: usize = 0;
    while (at < input.len) {
        const from = at;
        const c = input[at];
        at += 1;
        if (c == ' ' or c == '\t') continue;
        if (c == ',' or c == ';' or c == '=') {
            lexemes[count] = .{ .kind = .mark, .text = input[from..at] };
        } else if (c == '"') {
            while (at < input.len and input[at] != '"') at += if (input[at] == '\\') 2 else 1;
            if (at >= input.len) return false;
            lexemes[count] = .{ .kind = .quoted, .text = input[from + 1 .. at] };
            at += 1;
        } else {
            while (at < input.len and chars.token_table[input[at]]) at += 1;
            if (!chars.token_table[c]) return false;
            lexemes[count] = .{ .kind = .token, .text = input[from..at] };
        }
        count += 1;
    }
    return readElements(lexemes[0..count], out);
}

fn readElements(all: []const Lexeme, out: *Notes) bool {
    var elements: usize = 0;
    var at: usize = 0;
    while (at < all.len) {
        if (isMark(all, at, ',')) {
            at += 1;
            continue;
        }
        if (all[at].kind != .token) return false;
        elements += 1;
        out.note(',', all[at].text);
        at += 1;
        while (isMark(all, at, ';')) {
            if (at + 1 == all.len or all[at + 1].kind != .token) return false;
            out.note(';', all[at + 1].text);
            at += 2;
            if (!isMark(all, at, '=')) continue;
            if (at + 1 == all.len or all[at + 1].kind == .mark) return false;
            const value = all[at + 1];
            if (value.kind == .quoted and !isTokenInQuotes(value.text)) return false;
            out.note('=', value.text);
            at += 2;
        }
        if (at < all.len and !isMark(all, at, ',')) return false;
    }
    return elements > 0;
}

fn isMark(all: []const Lexeme, at: usize, mark: u8) bool {
    return at < all.len and all[at].kind == .mark and all[at].text[0] == mark;
}

fn isTokenInQuotes(text: []const u8) bool {
    var at: usize = 0;
    while (at < text.len) : (at += 1) {
        if (text[at] == '\\') at += 1;
        if (!chars.token_table[text[at]]) return false;
    }
    return text.len > 0;
}

fn checkAgreement(
    policy: *const permessage_deflate.Policy,
    offer: *const permessage_deflate.Parameters,
) !void {
    const agreed = permessage_deflate.agree(policy, offer);
    try require(agreed.server_window_bits >= 8 and agreed.client_window_bits >= 8);
    try require(agreed.server_window_bits <= policy.server_window_bits);
    if (offer.server_max_window_bits) |bits| try require(agreed.server_window_bits <= bits);
    if (offer.client_max_window_bits) |bits| {
        try require(agreed.client_window_bits <= @min(bits, policy.client_window_bits));
    } else try require(agreed.client_window_bits == 15);
    try require(agreed.server_no_context_takeover or policy.server_context_takeover);
    try require(agreed.client_no_context_takeover or policy.client_context_takeover);

    var out: [permessage_deflate.Agreement.text_bytes_max]u8 = undefined;
    var it: extensions.Iterator = .{ .rest = agreed.write(&out) };
    try require(std.mem.eql(u8, (try it.next()).?, permessage_deflate.name));
    const answer = (try permessage_deflate.Parameters.read(&it)).?;
    const wanted: permessage_deflate.Agreement = .{
        .server_no_context_takeover = offer.server_no_context_takeover,
        .server_window_bits = offer.server_max_window_bits orelse 15,
    };
    try require(std.meta.eql(permessage_deflate.accept(&wanted, &answer), agreed));
}
