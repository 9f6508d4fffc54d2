//! Which certificate serves a name: exact names first, then wildcards of one label (RFC 6125
//! §6.4.3).

const std = @import("std");
const Allocator = std.mem.Allocator;

/// The longest name (RFC 1035 §2.3.4), bytes.
const name_bytes_max = 253;

pub const Names = struct {
    exact: std.StringHashMapUnmanaged(List) = .{},
    /// By what follows `*.`.
    wildcard: std.StringHashMapUnmanaged(List) = .{},

    /// Indices of certificates that serve one name, in the order in which they were added.
    const List = std.ArrayListUnmanaged(u16);

    pub const Error = error{ OutOfMemory, BadName };

    /// `pattern` is a name or `*.` and a name. It is copied.
    pub fn add(self: *Names, gpa: Allocator, pattern: []const u8, certificate: u16) Error!void {
        const is_wildcard = std.mem.startsWith(u8, pattern, "*.");
        const rest = if (is_wildcard) pattern[2..] else pattern;
        var memory: [name_bytes_max]u8 = undefined;
        const name = normal(rest, &memory) orelse return error.BadName;
        const table = if (is_wildcard) &self.wildcard else &self.exact;
        const entry = try table.getOrPut(gpa, name);
        if (!entry.found_existing) {
            entry.value_ptr.* = .{};
            entry.key_ptr.* = gpa.dupe(u8, name) catch |err| {
                table.removeByPtr(entry.key_ptr);
                return err;
            };
        }
        const list = entry.value_ptr;
        if (std.mem.indexOfScalar(u16, list.items, certificate) == null)
            try list.append(gpa, certificate);
    }

    pub fn deinit(self: *Names, gpa: Allocator) void {
        for ([_]*std.StringHashMapUnmanaged(List){ &self.exact, &self.wildcard }) |table| {
            var entries = table.iterator();
            while (entries.next()) |entry| {
                gpa.free(entry.key_ptr.*);
                entry.value_ptr.deinit(gpa);
            }
            table.deinit(gpa);
        }
    }

    /// The certificates that serve `asked`, as a client wrote it; empty when none does.
    pub fn find(self: *const Names, asked: []const u8) []const u16 {
        var memory: [name_bytes_max]u8 = undefined;
        const name = normal(asked, &memory) orelse return &.{};
        if (self.exact.get(name)) |list| return list.items;
        const dot = std.mem.indexOfScalar(u8, name, '.') orelse return &.{};
        const list = self.wildcard.get(name[dot + 1 ..]) orelse return &.{};
        return list.items;
    }
};

/// In lower case, without the dot of the root; null for what is no host name.
fn normal(name: []const u8, out: *[name_bytes_max]u8) ?[]const u8 {
    const end = if (std.mem.endsWith(u8, name, ".")) name.len - 1 else name.len;
    if (end == 0 or end > name_bytes_max) return null;
    for (name[0..end], 0..) |byte, index| {
        out[index] = switch (byte) {
            'a'...'z', '0'...'9', '-', '_' => byte,
            'A'...'Z' => byte | 0x20,
            '.' => if (index == 0 or name[index - 1] == '.') return null else byte,
            else => return null,
        };
    }
    return out[0..end];
}

const testing = std.testing;

test "names are found exactly, in any case, with the root's dot, then by a wildcard of one label" {
    const gpa = testing.allocator;
    var names: Names = .{};
    defer names.deinit(gpa);
    try names.add(gpa, "example.com", 0);
    try names.add(gpa, "*.example.com", 1);
    try names.add(gpa, "www.example.com", 2);
    try names.add(gpa, "WWW.example.com.", 3);
    const Case = struct { asked: []const u8, found: []const u16 };
    for ([_]Case{
        .{ .asked = "example.com", .found = &.{0} },
        .{ .asked = "EXAMPLE.com.", .found = &.{0} },
        .{ .asked = "a.example.com", .found = &.{1} },
        .{ .asked = "www.example.com", .found = &.{ 2, 3 } },
        .{ .asked = "a.b.example.com", .found = &.{} },
        .{ .asked = ".example.com", .found = &.{} },
        .{ .asked = "example.org", .found = &.{} },
        .{ .asked = "com", .found = &.{} },
        .{ .asked = "", .found = &.{} },
        .{ .asked = ".", .found = &.{} },
        .{ .asked = "*.example.com", .found = &.{} },
        .{ .asked = "exam ple.com", .found = &.{} },
        .{ .asked = "x" ** 254, .found = &.{} },
    }) |case| try testing.expectEqualSlices(u16, case.found, names.find(case.asked));
}

test "a name that no host has is refused" {
    var names: Names = .{};
    defer names.deinit(testing.allocator);
    for ([_][]const u8{ "", "*", "*.", "*.*.com", "a..b", "a b", "a*.example.com" }) |name|
        try testing.expectError(error.BadName, names.add(testing.allocator, name, 0));
}
