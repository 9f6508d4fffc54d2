//! The files that the simulated servers send, in a directory of their own.

const std = @import("std");
const posix = std.posix;
const Allocator = std.mem.Allocator;
const Version = @import("../handlers/dir_server_root.zig").Version;
const Pattern = @import("pattern.zig").Pattern;
const Plan = @import("plan.zig").Plan;

pub const Files = struct {
    gpa: Allocator,
    /// What every file begins with.
    shared: []u8,
    path: []const u8,
    whole: []const u8,

    /// Below `DirServer`'s bound for its cache, and above.
    pub const sizes = [_]u32{ 0, 1, 5000, 60_000, 70_000, Plan.shared_bytes_max };

    pub fn init(gpa: Allocator) !Files {
        const shared = try gpa.alloc(u8, Plan.shared_bytes_max);
        Pattern.shared.fill(shared, 0);
        const number = @as(u64, @intCast(std.c.getpid()));
        const path = try std.fmt.allocPrint(gpa, "/tmp/gyrfalcon-sim-{d}", .{number});
        try std.fs.cwd().makePath(path);
        var dir = try std.fs.cwd().openDir(path, .{});
        defer dir.close();
        for (sizes) |size| try make(dir, size, shared);
        return .{
            .gpa = gpa,
            .shared = shared,
            .path = path,
            .whole = try std.fmt.allocPrint(gpa, "{s}/{d}.bin", .{ path, Plan.shared_bytes_max }),
        };
    }

    fn make(dir: std.fs.Dir, size: u32, shared: []const u8) !void {
        var name_buffer: [32]u8 = undefined;
        const name = try std.fmt.bufPrint(&name_buffer, "{d}.bin", .{size});
        const file = try dir.createFile(name, .{});
        defer file.close();
        try file.writeAll(shared[0..size]);
        const past = 1_600_000_000 * std.time.ns_per_s;
        try file.updateTimes(past, past);
    }

    pub fn deinit(self: *Files) void {
        std.fs.cwd().deleteTree(self.path) catch {}; // a leftover in /tmp is no failure
        self.gpa.free(self.whole);
        self.gpa.free(self.path);
        self.gpa.free(self.shared);
        self.* = undefined;
    }

    /// Of a file, what is the same in every run: not where it lies, nor when it was made.
    pub fn told(version: Version) Version {
        var same = version;
        same.inode = version.size;
        same.device = 0;
        same.changed_ns = version.modified_ns;
        return same;
    }

    /// A descriptor of the longest file; the caller's.
    pub fn open(self: *const Files) !posix.fd_t {
        return posix.open(self.whole, .{ .CLOEXEC = true }, 0);
    }
};
