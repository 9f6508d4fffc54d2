//! How much CPU the control groups of this process grant it (cgroups(7)): the quota of a container.
//! Version 1 has it in cpu.cfs_quota_us and cpu.cfs_period_us, version 2 in cpu.max. A group has no
//! more than the groups around it, so that the smallest quota on the way to the root counts.

const builtin = @import("builtin");
const std = @import("std");
const system = @import("system.zig");

const path_bytes_max = 4096;
/// A longer line of a file is passed over.
const line_bytes_max = 8192;
const period_us_default = 100_000;

/// CPU time per period.
pub const Quota = struct {
    quota_us: u64,
    period_us: u64,

    /// CPUs that it is worth, a part of one counting as one: a thread more than the quota costs
    /// nothing while it sleeps, a thread less leaves some of the quota unused.
    pub fn cpus(self: Quota) u32 {
        const whole = std.math.divCeil(u64, self.quota_us, self.period_us) catch 1;
        return std.math.cast(u32, @max(whole, 1)) orelse std.math.maxInt(u32);
    }

    fn isLessThan(self: Quota, other: Quota) bool {
        return @as(u128, self.quota_us) * other.period_us <
            @as(u128, other.quota_us) * self.period_us;
    }
};

pub const Version = enum { v1, v2 };

/// The quota in force for this process; null where there is none, or none that can be read. `root`
/// stands before the paths of all files: "", but for tests.
pub fn cpuQuota(root: []const u8) ?Quota {
    if (builtin.os.tag != .linux) return null;
    var smallest: ?Quota = null;
    for ([_]Version{ .v2, .v1 }) |version| {
        var place: Place = undefined;
        if (!place.find(root, version)) continue;
        while (true) {
            if (quotaOf(place.folder(), version)) |quota| {
                if (smallest == null or quota.isLessThan(smallest.?)) smallest = quota;
            }
            if (!place.goUp()) break;
        }
    }
    return smallest;
}

fn quotaOf(folder: []const u8, version: Version) ?Quota {
    var texts: [2][64]u8 = undefined;
    return switch (version) {
        .v2 => parseCpuMax(readIn(folder, "cpu.max", &texts[0]) orelse return null),
        .v1 => parseQuota(
            readIn(folder, "cpu.cfs_quota_us", &texts[0]) orelse return null,
            readIn(folder, "cpu.cfs_period_us", &texts[1]) orelse return null,
        ),
    };
}

fn readIn(folder: []const u8, name: []const u8, buffer: []u8) ?[]const u8 {
    var path: [path_bytes_max]u8 = undefined;
    const whole = std.fmt.bufPrint(&path, "{s}/{s}", .{ folder, name }) catch return null;
    // Most often: the group has no such controller.
    return system.readFile(whole, buffer) catch null;
}

/// cpu.max: "QUOTA PERIOD", "max PERIOD" or "QUOTA". Null: no limit, or none that makes sense.
pub fn parseCpuMax(text: []const u8) ?Quota {
    var words = std.mem.tokenizeAny(u8, text, " \t\n");
    const quota = std.fmt.parseInt(u64, words.next() orelse return null, 10) catch return null;
    const period = if (words.next()) |word|
        std.fmt.parseInt(u64, word, 10) catch return null
    else
        period_us_default;
    return if (period == 0) null else .{ .quota_us = quota, .period_us = period };
}

/// cpu.cfs_quota_us, -1 for no limit, and cpu.cfs_period_us. Null as above.
pub fn parseQuota(quota_text: []const u8, period_text: []const u8) ?Quota {
    const blanks = " \t\n";
    const quota = std.fmt.parseInt(u64, std.mem.trim(u8, quota_text, blanks), 10) catch
        return null;
    const period = std.fmt.parseInt(u64, std.mem.trim(u8, period_text, blanks), 10) catch
        return null;
    return if (period == 0) null else .{ .quota_us = quota, .period_us = period };
}

/// The path in a line of /proc/self/cgroup, "ID:CONTROLLERS:PATH", if it is that of the hierarchy
/// which may hold the CPU quota in `version`.
pub fn parseMembership(line: []const u8, version: Version) ?[]const u8 {
    const first = std.mem.indexOfScalar(u8, line, ':') orelse return null;
    const rest = line[first + 1 ..];
    const second = std.mem.indexOfScalar(u8, rest, ':') orelse return null;
    const controllers = rest[0..second];
    const path = rest[second + 1 ..];
    const matches = switch (version) {
        .v2 => controllers.len == 0 and std.mem.eql(u8, line[0..first], "0"),
        .v1 => hasCpu(controllers),
    };
    return if (matches and std.mem.startsWith(u8, path, "/")) path else null;
}

fn hasCpu(list: []const u8) bool {
    var names = std.mem.splitScalar(u8, list, ',');
    while (names.next()) |name| if (std.mem.eql(u8, name, "cpu")) return true;
    return false;
}

/// Which part of a hierarchy is mounted where. As the file has them: with escapes.
pub const Mount = struct { root: []const u8, point: []const u8 };

/// A line of /proc/self/mountinfo (proc_pid_mountinfo(5)), if it is a mount of the hierarchy which
/// may hold the CPU quota in `version`.
pub fn parseMount(line: []const u8, version: Version) ?Mount {
    var words = std.mem.tokenizeScalar(u8, line, ' ');
    for (0..3) |_| _ = words.next() orelse return null; // ids and device
    const mount: Mount = .{
        .root = words.next() orelse return null,
        .point = words.next() orelse return null,
    };
    _ = words.next() orelse return null; // options of the mount
    // Any number of optional fields, ended by a dash.
    while (!std.mem.eql(u8, words.next() orelse return null, "-")) {}
    const kind = words.next() orelse return null;
    _ = words.next() orelse return null; // source
    const controllers = words.next() orelse return null;
    const matches = switch (version) {
        .v2 => std.mem.eql(u8, kind, "cgroup2"),
        .v1 => std.mem.eql(u8, kind, "cgroup") and hasCpu(controllers),
    };
    return if (matches) mount else null;
}

/// Undoes the escapes of /proc/self/mountinfo: a space is "\040". Null when `out` is too small.
pub fn unescape(text: []const u8, out: []u8) ?[]u8 {
    var from: usize = 0;
    var to: usize = 0;
    while (from < text.len) : (to += 1) {
        if (to == out.len) return null;
        const octal = text[from] == '\\' and text.len - from > 3;
        const code = if (octal)
            std.fmt.parseInt(u8, text[from + 1 ..][0..3], 8) catch null
        else
            null;
        out[to] = code orelse text[from];
        from += if (code == null) 1 else 4;
    }
    return out[0..to];
}

/// Where `path` is below the mount of `root`: "/a/b" below "/a" is "/b". Null when it is not.
pub fn below(path: []const u8, root: []const u8) ?[]const u8 {
    // The group is outside of what this process may see.
    if (std.mem.startsWith(u8, path, "/..")) return null;
    if (std.mem.eql(u8, root, "/")) return if (path.len == 1) "" else path;
    if (!std.mem.startsWith(u8, path, root)) return null;
    const rest = path[root.len..];
    return if (rest.len == 0 or rest[0] == '/') rest else null;
}

/// The folder of this process's group in one hierarchy, and then those above it.
const Place = struct {
    buffer: [path_bytes_max]u8,
    len: usize,
    /// The mount point is as far as it goes up.
    len_min: usize,

    fn folder(self: *const Place) []const u8 {
        return self.buffer[0..self.len];
    }

    fn goUp(self: *Place) bool {
        if (self.len <= self.len_min) return false;
        const slash = std.mem.lastIndexOfScalar(u8, self.folder(), '/') orelse return false;
        self.len = @max(slash, self.len_min);
        return true;
    }

    fn find(self: *Place, root: []const u8, version: Version) bool {
        var group_buffer: [path_bytes_max]u8 = undefined;
        const group = groupOf(root, version, &group_buffer) orelse return false;
        return self.findMount(root, version, group);
    }

    /// The mount that shows the most of the way to `group`; one that does not show it at all, as
    /// in a container that sees its own part of the tree under the host's names, is taken for it.
    fn findMount(self: *Place, root: []const u8, version: Version, group: []const u8) bool {
        var lines = Lines.open(root, "/proc/self/mountinfo") orelse return false;
        defer lines.close();
        var best_root_len: ?usize = null;
        while (lines.next()) |line| {
            const mount = parseMount(line, version) orelse continue;
            var root_buffer: [path_bytes_max]u8 = undefined;
            const mount_root = unescape(mount.root, &root_buffer) orelse continue;
            const rest = below(group, mount_root);
            const fit: usize = if (rest == null) 0 else mount_root.len;
            if (best_root_len) |len| if (fit <= len) continue;
            if (!self.set(root, mount.point, rest orelse "")) continue;
            best_root_len = fit;
        }
        return best_root_len != null;
    }

    /// False when it is too long: nothing is changed then.
    fn set(self: *Place, root: []const u8, point: []const u8, rest: []const u8) bool {
        var point_buffer: [path_bytes_max]u8 = undefined;
        const plain = unescape(point, &point_buffer) orelse return false;
        if (root.len + plain.len + rest.len > self.buffer.len) return false;
        const whole = std.fmt.bufPrint(&self.buffer, "{s}{s}{s}", .{ root, plain, rest }) catch
            unreachable; // there is room
        self.len = whole.len;
        self.len_min = root.len + plain.len;
        return true;
    }
};

fn groupOf(root: []const u8, version: Version, buffer: *[path_bytes_max]u8) ?[]const u8 {
    var lines = Lines.open(root, "/proc/self/cgroup") orelse return null;
    defer lines.close();
    while (lines.next()) |line| {
        const path = parseMembership(line, version) orelse continue;
        if (path.len > buffer.len) return null;
        @memcpy(buffer[0..path.len], path);
        return buffer[0..path.len];
    }
    return null;
}

/// The lines of a file, each valid until the next.
const Lines = struct {
    fd: std.posix.fd_t,
    buffer: [line_bytes_max]u8 = undefined,
    start: usize = 0,
    end: usize = 0,

    fn open(root: []const u8, path: []const u8) ?Lines {
        var buffer: [path_bytes_max]u8 = undefined;
        const whole = std.fmt.bufPrint(&buffer, "{s}{s}", .{ root, path }) catch return null;
        const fd = system.open(whole, .{ .ACCMODE = .RDONLY, .CLOEXEC = true }, 0) catch
            return null;
        return .{ .fd = fd };
    }

    fn close(self: *Lines) void {
        system.close(self.fd);
    }

    /// A last line without its end is none.
    fn next(self: *Lines) ?[]const u8 {
        var too_long = false;
        while (true) {
            const held = self.buffer[self.start..self.end];
            if (std.mem.indexOfScalar(u8, held, '\n')) |at| {
                self.start += at + 1;
                if (!too_long) return held[0..at];
                too_long = false;
                continue;
            }
            if (held.len == self.buffer.len) {
                too_long = true;
                self.start = self.end;
            }
            if (!self.fill()) return null;
        }
    }

    fn fill(self: *Lines) bool {
        const held = self.buffer[self.start..self.end];
        std.mem.copyForwards(u8, &self.buffer, held);
        self.start = 0;
        self.end = held.len;
        const n = system.read(self.fd, self.buffer[self.end..]) catch return false;
        self.end += n;
        return n > 0;
    }
};

const testing = std.testing;

test "cpu.max and the files of version 1 are read, and what makes no sense is no limit" {
    try testing.expectEqual(Quota{ .quota_us = 150_000, .period_us = 100_000 }, parseCpuMax(
        "150000 100000\n",
    ).?);
    try testing.expectEqual(Quota{ .quota_us = 50_000, .period_us = 100_000 }, parseCpuMax(
        "50000",
    ).?);
    const none = [_][]const u8{ "max 100000\n", "max", "", "\n", "-1 1000", "10 0", "x y", "1 2x" };
    for (none) |text| try testing.expectEqual(null, parseCpuMax(text));
    try testing.expectEqual(
        Quota{ .quota_us = 20_000, .period_us = 10_000 },
        parseQuota("20000\n", "10000\n").?,
    );
    try testing.expectEqual(null, parseQuota("-1\n", "100000\n"));
    try testing.expectEqual(null, parseQuota("1000\n", "0\n"));
    try testing.expectEqual(null, parseQuota("", ""));
}

test "a part of a CPU counts as one; quotas are compared by what they are worth" {
    for ([_][3]u64{
        .{ 100_000, 100_000, 1 },
        .{ 100_001, 100_000, 2 },
        .{ 150_000, 100_000, 2 },
        .{ 50_000, 100_000, 1 },
        .{ 0, 100_000, 1 },
        .{ 400, 100, 4 },
        .{ std.math.maxInt(u64), 1, std.math.maxInt(u32) },
    }) |row| {
        const quota: Quota = .{ .quota_us = row[0], .period_us = row[1] };
        try testing.expectEqual(row[2], quota.cpus());
    }
    const half: Quota = .{ .quota_us = 500, .period_us = 1000 };
    const more: Quota = .{ .quota_us = 60, .period_us = 100 };
    try testing.expect(half.isLessThan(more));
    try testing.expect(!more.isLessThan(half));
    const most: Quota = .{ .quota_us = std.math.maxInt(u64), .period_us = 1 };
    try testing.expect(half.isLessThan(most));
}

test "the membership is that of the CPU's hierarchy, and its path may hold colons" {
    try testing.expectEqualStrings("/a:b/c", parseMembership("0::/a:b/c", .v2).?);
    try testing.expectEqual(null, parseMembership("0::/a", .v1));
    try testing.expectEqualStrings("/x", parseMembership("4:cpu,cpuacct:/x", .v1).?);
    try testing.expectEqualStrings("/", parseMembership("4:cpuacct,cpu:/", .v1).?);
    for ([_][]const u8{
        "3:cpuset:/x", "2:cpuacct:/x", "1:name=cpu:/x", "4:cpu", "4:cpu:x", "", "::",
    }) |line| {
        try testing.expectEqual(null, parseMembership(line, .v1));
        try testing.expectEqual(null, parseMembership(line, .v2));
    }
}

test "mounts of the CPU's hierarchy are found among others" {
    const v1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct";
    const v2 = "30 23 0:26 /kube\\040pods /sys/fs/cgroup ro shared:4 master:7 - cgroup2 c rw";
    try testing.expectEqualStrings("/sys/fs/cgroup/cpu", parseMount(v1, .v1).?.point);
    try testing.expectEqual(null, parseMount(v1, .v2));
    try testing.expectEqualStrings("/sys/fs/cgroup", parseMount(v2, .v2).?.point);
    try testing.expectEqual(null, parseMount(v2, .v1));
    var buffer: [64]u8 = undefined;
    try testing.expectEqualStrings("/kube pods", unescape(parseMount(v2, .v2).?.root, &buffer).?);
    for ([_][]const u8{
        "33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset",
        "33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct",
        "1 0 8:1 / / rw,relatime - ext4 /dev/sda rw,cpu",
        "1 0 8:1 / / rw",
        "1 0 8:1 / / rw - cgroup",
        "",
    }) |line| {
        try testing.expectEqual(null, parseMount(line, .v1));
        try testing.expectEqual(null, parseMount(line, .v2));
    }
}

test "escapes are undone, and what is none stays" {
    var buffer: [16]u8 = undefined;
    try testing.expectEqualStrings("a b\\c", unescape("a\\040b\\134c", &buffer).?);
    try testing.expectEqualStrings("\\04", unescape("\\04", &buffer).?);
    try testing.expectEqualStrings("\\999x", unescape("\\999x", &buffer).?);
    try testing.expectEqual(null, unescape("0123456789abcdefg", &buffer));
}

test "a path is below a root at whole names alone" {
    try testing.expectEqualStrings("/b", below("/a/b", "/a").?);
    try testing.expectEqualStrings("", below("/a", "/a").?);
    try testing.expectEqualStrings("/a", below("/a", "/").?);
    try testing.expectEqualStrings("", below("/", "/").?);
    try testing.expectEqual(null, below("/ab", "/a"));
    try testing.expectEqual(null, below("/b", "/a"));
    try testing.expectEqual(null, below("/../x", "/"));
}

/// A tree of files that stands for a machine.
const Machine = struct {
    tmp: testing.TmpDir,
    root_buffer: [path_bytes_max]u8 = undefined,
    root_len: usize = 0,

    fn init(membership: []const u8, mounts: []const u8) !Machine {
        var self: Machine = .{ .tmp = testing.tmpDir(.{}) };
        self.root_len = (try self.tmp.dir.realpath(".", &self.root_buffer)).len;
        try self.put("proc/self", "cgroup", membership);
        try self.put("proc/self", "mountinfo", mounts);
        return self;
    }

    fn deinit(self: *Machine) void {
        self.tmp.cleanup();
    }

    fn put(self: *Machine, folder: []const u8, name: []const u8, text: []const u8) !void {
        var dir = try self.tmp.dir.makeOpenPath(folder, .{});
        defer dir.close();
        try dir.writeFile(.{ .sub_path = name, .data = text });
    }

    fn expect(self: *const Machine, quota_us: ?u64) !void {
        const quota = cpuQuota(self.root_buffer[0..self.root_len]);
        try testing.expectEqual(quota_us, if (quota) |it| it.quota_us else null);
    }
};

test "version 2: the smallest quota on the way to the root counts" {
    var machine = try Machine.init("0::/pods/app/worker\n",
        \\1 0 8:1 / / rw - ext4 /dev/sda rw
        \\30 1 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw
        \\
    );
    defer machine.deinit();
    try machine.expect(null);
    try machine.put("sys/fs/cgroup/pods/app/worker", "cpu.max", "max 100000\n");
    try machine.expect(null);
    try machine.put("sys/fs/cgroup/pods", "cpu.max", "300000 100000\n");
    try machine.expect(300_000);
    try machine.put("sys/fs/cgroup/pods/app", "cpu.max", "90000 50000\n");
    try machine.expect(90_000);
    try machine.put("sys/fs/cgroup/pods/app/worker", "cpu.max", "400000 100000\n");
    try machine.expect(90_000);
    // A group beside the path is not looked at.
    try machine.put("sys/fs/cgroup/other", "cpu.max", "1000 100000\n");
    try machine.expect(90_000);
    try machine.put("sys/fs/cgroup", "cpu.max", "2000 100000\n");
    try machine.expect(2000);
}

test "version 1: the quota of nested groups, -1 for none" {
    var machine = try Machine.init("4:cpuacct,cpu:/docker/abc\n3:memory:/docker/abc\n0::/\n",
        \\32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
        \\33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
        \\34 31 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
        \\
    );
    defer machine.deinit();
    const folder = "sys/fs/cgroup/cpu,cpuacct";
    try machine.put(folder ++ "/docker/abc", "cpu.cfs_quota_us", "-1\n");
    try machine.put(folder ++ "/docker/abc", "cpu.cfs_period_us", "100000\n");
    try machine.expect(null);
    try machine.put(folder ++ "/docker", "cpu.cfs_quota_us", "250000\n");
    try machine.expect(null); // its period is missing
    try machine.put(folder ++ "/docker", "cpu.cfs_period_us", "100000\n");
    try machine.expect(250_000);
    // Both versions at once: the smaller counts.
    try machine.put("sys/fs/cgroup/unified", "cpu.max", "20000 100000\n");
    try machine.expect(20_000);
}

test "in a container: its own part of the tree is mounted, under a name with a space" {
    var machine = try Machine.init("0::/docker/abc/inner\n",
        \\29 1 0:26 /elsewhere /mnt/other rw - cgroup2 cgroup2 rw
        \\30 1 0:26 /docker/abc /sys/fs/my\040cgroup rw - cgroup2 cgroup2 rw
        \\31 1 0:26 /docker /mnt/less rw - cgroup2 cgroup2 rw
        \\
    );
    defer machine.deinit();
    try machine.put("mnt/less", "cpu.max", "1000 100000\n");
    try machine.put("mnt/other", "cpu.max", "1000 100000\n");
    try machine.put("sys/fs/my cgroup/inner", "cpu.max", "70000 100000\n");
    try machine.expect(70_000);
}

test "a group that the mount does not show is taken for the mount's own" {
    var machine = try Machine.init("0::/../../x\n",
        \\30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
        \\
    );
    defer machine.deinit();
    try machine.put("sys/fs/cgroup", "cpu.max", "110000 100000\n");
    try machine.expect(110_000);
}

test "no files, empty ones and lines of any length are no limit, and do not hide the others" {
    try testing.expectEqual(null, cpuQuota("/nowhere/at/all"));
    var empty = try Machine.init("", "");
    defer empty.deinit();
    try empty.expect(null);
    const long = "1 0 8:1 / /" ++ "x" ** (3 * line_bytes_max) ++ " rw - overlay o rw\n";
    var machine = try Machine.init("0::/a\n", long ++
        "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n" ++ long ++ "cut");
    defer machine.deinit();
    try machine.put("sys/fs/cgroup/a", "cpu.max", "120000 100000\n");
    try machine.expect(120_000);
}

test "the quota of this process can be asked for, whatever it is" {
    if (cpuQuota("")) |quota| try testing.expect(quota.cpus() >= 1);
}
