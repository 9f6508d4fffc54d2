//! Bodies that tell whose they are: every byte follows from the connection, the request and the
//! offset, so that a byte of another connection, another request or another place is found.

const std = @import("std");

pub const Pattern = struct {
    base: u64,

    pub const Direction = enum(u64) { request = 1, response = 2 };

    /// Static bytes and files: the same for all.
    pub const shared: Pattern = .{ .base = 0x5bd1_e995_1234_5678 };

    pub fn of(direction: Direction, connection: u32, number: u32) Pattern {
        const key = @as(u64, connection) << 32 | number;
        return .{ .base = mix(key ^ @intFromEnum(direction) << 62) };
    }

    /// The bytes from `offset` on.
    pub fn fill(self: Pattern, out: []u8, offset: u64) void {
        for (out, offset..) |*byte, i| byte.* = self.at(i);
    }

    /// Index of the first byte that is not the one from `offset` on; null when all are.
    pub fn difference(self: Pattern, bytes: []const u8, offset: u64) ?usize {
        for (bytes, 0..) |byte, i| if (byte != self.at(offset + i)) return i;
        return null;
    }

    inline fn at(self: Pattern, offset: u64) u8 {
        const word = (self.base +% (offset >> 3) *% 0x9e37_79b9_7f4a_7c15) ^ self.base >> 29;
        return @truncate(word >> @intCast(8 * (offset & 7)) ^ word >> 57);
    }

    fn mix(key: u64) u64 {
        var x = key *% 0xbf58_476d_1ce4_e5b9;
        x = (x ^ x >> 27) *% 0x94d0_49bb_1331_11eb;
        return x ^ x >> 31;
    }
};

test "a body tells connection, request, direction and place" {
    var bytes: [64]u8 = undefined;
    Pattern.of(.response, 3, 4).fill(&bytes, 100);
    try std.testing.expectEqual(null, Pattern.of(.response, 3, 4).difference(&bytes, 100));
    for ([_]Pattern{
        .of(.response, 4, 4),
        .of(.response, 3, 5),
        .of(.request, 3, 4),
        .shared,
    }) |other| try std.testing.expect(other.difference(&bytes, 100).? < 8);
    try std.testing.expect(Pattern.of(.response, 3, 4).difference(&bytes, 101).? < 8);
}
