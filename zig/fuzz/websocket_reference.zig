//! A second reader of WebSocket frames, written as RFC 6455 §5 reads: the whole input at once, one
//! frame behind the other, nothing kept and nothing fast. What it finds is noted in words.
const std = @import("std");

pub const Options = struct {
    /// Frames are a client's.
    masked: bool,
    has_compression: bool,
    message_bytes_max: u64,
};

/// What was found, in an order that does not depend on how bytes were cut.
pub const Notes = struct {
    hash: std.hash.Wyhash = .init(0),
    count: usize = 0,

    pub fn note(self: *Notes, what: []const u8, payload: []const u8) void {
        self.count += 1;
        self.hash.update(what);
        self.hash.update(&std.mem.toBytes(payload.len));
        self.hash.update(payload);
    }
};

/// The message under way.
var message: [64 * 1024]u8 = undefined;

/// Notes what `input` has, and returns the name of what is wrong with it; "" when nothing is.
pub fn read(input: []const u8, options: Options, notes: *Notes) []const u8 {
    var rest = input;
    var kind: []const u8 = "";
    var is_compressed = false;
    var len: usize = 0;
    var announced: u64 = 0;
    while (rest.len >= 2) {
        const fin = rest[0] >> 7 == 1;
        const rsv1 = rest[0] >> 6 & 1 == 1;
        const opcode = rest[0] % 16;
        const masked = rest[1] >> 7 == 1;
        const short = rest[1] % 128;
        const is_first = opcode == 1 or opcode == 2;
        if (rest[0] >> 4 & 0b011 != 0) return "reserved_bits";
        if (rsv1 and !options.has_compression) return "reserved_bits";
        if (masked and !options.masked) return "masked_frame";
        if (!masked and options.masked) return "unmasked_frame";
        if (is_first and kind.len > 0) return "message_interrupted";
        if (opcode > 2 and opcode != 8 and opcode != 9 and opcode != 10) return "reserved_opcode";
        if (rsv1 and !is_first) return "reserved_bits";
        if (opcode == 0 and kind.len == 0) return "nothing_to_continue";
        if (opcode >= 8 and !fin) return "fragmented_control";
        if (opcode >= 8 and short > 125) return "control_too_long";

        var head: usize = 2;
        var size: u64 = short;
        if (short >= 126) {
            const count: usize = if (short == 126) 2 else 8;
            if (rest.len < 2 + count) return "";
            size = 0;
            for (rest[2..][0..count]) |byte| size = size << 8 | byte;
            head += count;
        }
        const key_at = head;
        if (masked) head += 4;
        if (rest.len < head) return "";
        if (short == 126 and size < 126) return "length_not_minimal";
        if (short == 127 and size < 65_536) return "length_not_minimal";
        if (size >> 63 == 1) return "length_too_large";
        if (is_first) {
            kind = if (opcode == 1) "text" else "binary";
            is_compressed = rsv1;
            len = 0;
            announced = 0;
        }
        if (opcode < 8) {
            announced += size;
            if (announced > options.message_bytes_max) return "message_too_large";
        }

        const come: usize = @intCast(@min(size, rest.len - head));
        const is_whole = come == size;
        var control: [125]u8 = undefined;
        const place = if (opcode < 8) message[len..][0..come] else control[0..come];
        for (place, rest[head..][0..come], 0..) |*to, from, i|
            to.* = if (masked) from ^ rest[key_at + i % 4] else from;
        rest = rest[head + come ..];
        if (opcode < 8) {
            len += come;
            const text = message[0..len];
            const is_text = kind[0] == 't' and !is_compressed;
            const ends = is_whole and fin;
            if (is_text and ends and !std.unicode.utf8ValidateSlice(text)) return "invalid_utf8";
            if (is_text and !mayBecomeText(text)) return "invalid_utf8";
            if (!ends) continue;
            notes.note(kind, text);
            kind = "";
            continue;
        }
        if (!is_whole) return "";
        switch (opcode) {
            9 => notes.note("ping", place),
            10 => notes.note("pong", place),
            else => {
                if (closeError(place)) |wrong| return wrong;
                notes.note("close", place);
                return "";
            },
        }
    }
    return "";
}

fn closeError(payload: []const u8) ?[]const u8 {
    if (payload.len == 0) return null;
    if (payload.len == 1) return "invalid_close_length";
    const code = @as(u16, payload[0]) * 256 + payload[1];
    const is_registered = code >= 1000 and code <= 1014 and
        code != 1004 and code != 1005 and code != 1006;
    if (!is_registered and (code < 3000 or code > 4999)) return "invalid_close_code";
    if (!std.unicode.utf8ValidateSlice(payload[2..])) return "invalid_close_reason";
    return null;
}

/// Whether bytes that follow can make UTF-8 of it.
fn mayBecomeText(text: []const u8) bool {
    for (0..4) |back| {
        if (back > text.len) return false;
        const whole = text[0 .. text.len - back];
        if (!std.unicode.utf8ValidateSlice(whole)) continue;
        return back == 0 or mayBecomeChar(text[text.len - back ..]);
    }
    return false;
}

fn mayBecomeChar(begun: []const u8) bool {
    const len = std.unicode.utf8ByteSequenceLength(begun[0]) catch return false;
    if (begun.len >= len) return false;
    var char: [4]u8 = @splat(0x80);
    @memcpy(char[0..begun.len], begun);
    if (begun.len > 1) return std.unicode.utf8ValidateSlice(char[0..len]);
    for (0x80..0xc0) |second| {
        char[1] = @intCast(second);
        if (std.unicode.utf8ValidateSlice(char[0..len])) return true;
    }
    return false;
}
