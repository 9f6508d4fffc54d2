//! A second maker of canonical paths, written from RFC 3986 §5.2.4 and §6.2.2 without a look at the
//! first: segments in a list, each character by itself, nothing in place.
const std = @import("std");

/// Longest path, bytes; also what `out` holds.
const bytes_max = 1025;

pub const Text = std.BoundedArray(u8, bytes_max);

/// The canonical form of `raw`, which begins with "/", in `out`; null when it is to be refused.
pub fn canonicalPath(raw: []const u8, out: *Text) ?[]const u8 {
    var segments: std.BoundedArray([]const u8, bytes_max) = .{};
    var directory = true;
    var text: Text = .{};
    var parts = std.mem.splitScalar(u8, raw[1..], '/');
    while (parts.next()) |part| {
        const start = text.len;
        if (!appendSegment(part, &text)) return null;
        const segment = text.constSlice()[start..];
        const here = segment.len == 0 or std.mem.eql(u8, segment, ".");
        const up = std.mem.eql(u8, segment, "..");
        directory = here or up;
        if (up) {
            if (segments.pop() == null) return null;
        } else if (!here) segments.appendAssumeCapacity(segment);
    }
    out.len = 0;
    for (segments.constSlice()) |segment| {
        out.appendAssumeCapacity('/');
        out.appendSliceAssumeCapacity(segment);
    }
    if (directory) out.appendAssumeCapacity('/');
    return out.constSlice();
}

/// Appends the canonical form of a segment; false when it is to be refused.
fn appendSegment(part: []const u8, text: *Text) bool {
    var decoded: Text = .{};
    var i: usize = 0;
    while (i < part.len) {
        const encoded = part[i] == '%';
        const byte = if (encoded) tripleAt(part, i) orelse return false else part[i];
        if (byte < 0x20 or byte == 0x7f or byte == '\\') return false;
        if (!encoded and (byte == ' ' or byte >= 0x80)) return false;
        if (!encoded and std.mem.indexOfScalar(u8, "\"#<>?", byte) != null) return false;
        decoded.appendAssumeCapacity(byte);
        if (encoded and !isPlain(byte)) {
            const capitals = "0123456789ABCDEF";
            const triple = [_]u8{ '%', capitals[byte >> 4], capitals[byte & 15] };
            text.appendSliceAssumeCapacity(&triple);
        } else text.appendAssumeCapacity(byte);
        i += if (encoded) 3 else 1;
    }
    return std.unicode.utf8ValidateSlice(decoded.constSlice());
}

fn tripleAt(part: []const u8, at: usize) ?u8 {
    if (part.len - at < 3) return null;
    for (part[at + 1 ..][0..2]) |c| if (!std.ascii.isHex(c)) return null;
    return std.fmt.parseInt(u8, part[at + 1 ..][0..2], 16) catch unreachable;
}

/// Visible ASCII that has no meaning of its own in a segment.
fn isPlain(c: u8) bool {
    return std.ascii.isPrint(c) and std.mem.indexOfScalar(u8, " \"#%/<>?\\", c) == null;
}
