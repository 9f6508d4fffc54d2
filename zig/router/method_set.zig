//! A set of the known request methods, as a 405 response's Allow field lists them.

const std = @import("std");
const Method = @import("../http/method.zig").Method;

/// Number of methods with a name of their own; `Method.other` is not one of them.
pub const method_count: u4 = 9;

comptime {
    std.debug.assert(@typeInfo(Method).@"enum".fields.len == method_count + 1);
    for (std.enums.values(Method)) |method| {
        std.debug.assert(method == .other or @intFromEnum(method) < method_count);
    }
}

/// Set of methods, `Method.other` excluded. A value of two bytes, copied freely.
pub const MethodSet = struct {
    bits: u16 = 0,

    pub const empty: MethodSet = .{};

    /// Longest text `allow` can produce, bytes.
    pub const allow_bytes_max = blk: {
        var sum: usize = 0;
        for (std.enums.values(Method)) |method| {
            if (method != .other) sum += @tagName(method).len + 2;
        }
        break :blk sum - 2;
    };

    /// The set of the given methods; `.other` is ignored.
    pub fn of(methods: []const Method) MethodSet {
        var set: MethodSet = .{};
        for (methods) |method| set.insert(method);
        return set;
    }

    pub fn insert(self: *MethodSet, method: Method) void {
        if (method == .other) return;
        self.bits |= bit(method);
    }

    pub fn contains(self: MethodSet, method: Method) bool {
        return method != .other and self.bits & bit(method) != 0;
    }

    pub fn count(self: MethodSet) usize {
        return @popCount(self.bits);
    }

    /// Writes the value of an Allow field (RFC 9110 §10.2.1), such as "GET, HEAD", and returns it.
    /// The empty set gives "".
    pub fn allow(self: MethodSet, out: *[allow_bytes_max]u8) []const u8 {
        var n: usize = 0;
        for (std.enums.values(Method)) |method| {
            if (!self.contains(method)) continue;
            if (n > 0) {
                out[n..][0..2].* = ", ".*;
                n += 2;
            }
            const name = @tagName(method);
            @memcpy(out[n..][0..name.len], name);
            n += name.len;
        }
        return out[0..n];
    }

    fn bit(method: Method) u16 {
        return @as(u16, 1) << @intCast(@intFromEnum(method));
    }
};

test "Allow lists the methods in a fixed order, separated by comma and space" {
    var out: [MethodSet.allow_bytes_max]u8 = undefined;
    try std.testing.expectEqualStrings("", MethodSet.empty.allow(&out));
    try std.testing.expectEqualStrings("GET", MethodSet.of(&.{.GET}).allow(&out));
    const three = MethodSet.of(&.{ .POST, .HEAD, .GET });
    try std.testing.expectEqualStrings("GET, HEAD, POST", three.allow(&out));
    const all = MethodSet.of(std.enums.values(Method));
    try std.testing.expectEqual(MethodSet.allow_bytes_max, all.allow(&out).len);
}

test "a method without a name of its own is never in a set" {
    const all = MethodSet.of(std.enums.values(Method));
    try std.testing.expect(!all.contains(.other));
    try std.testing.expectEqual(@as(usize, method_count), all.count());
}
