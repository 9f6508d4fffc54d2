//! What a client sends, for tests.

const mask = @import("../mask.zig");

/// The key of every frame here, that of RFC 6455 §5.7's examples.
pub const key: mask.Key = "\x37\xfa\x21\x3d".*;

fn bytesOf(payload_bytes: usize) usize {
    return payload_bytes + 6 + (if (payload_bytes <= 125) 0 else 2);
}

/// A masked frame: its first byte, then what belongs to the payload, at most 65535 bytes.
pub fn frame(
    comptime first: u8,
    comptime payload: []const u8,
) *const [bytesOf(payload.len)]u8 {
    const whole = comptime blk: {
        @setEvalBranchQuota(100_000);
        var masked = payload[0..payload.len].*;
        for (&masked, 0..) |*byte, i| byte.* ^= key[i % 4];
        const len = payload.len;
        const length = if (len <= 125)
            [_]u8{0x80 | len}
        else
            [_]u8{ 0x80 | 126, len >> 8, len & 0xff };
        break :blk [_]u8{first} ++ length ++ key ++ masked;
    };
    return &whole;
}
