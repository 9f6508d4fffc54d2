//! The directory that is served, known by its path. A deploy may put another in its place: a folder
//! that is removed and built anew, a link that is swapped. It is opened when it is first seen
//! there, and what was opened before is closed when the last look-up in it has ended. Each look-up
//! is in one directory from its beginning to its end, so that a swap opens no way out of either.

const std = @import("std");
const Allocator = std.mem.Allocator;
const FileHandle = @import("../core/file_handle.zig").FileHandle;
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
const root_file = @import("dir_server_root.zig");
const Root = root_file.Root;

pub const Top = struct {
    /// Absolute, unless the working directory could not be told.
    path: []const u8,
    /// Guards what follows.
    mutex: std.Thread.Mutex = .{},
    /// Null while there is no directory at the path.
    current: ?Open,
    /// When `current` was last seen to be what the path leads to, milliseconds; null: not yet.
    checked_ms: ?u64 = null,

    const Open = struct { handle: FileHandle, lookup: Root.Lookup, identity: Identity };

    const Identity = struct {
        device: u64,
        inode: u64,

        fn of(stat: *const system.Stat) Identity {
            return .{ .device = stat.device, .inode = stat.inode };
        }
    };

    pub const InitError = system.Error || Allocator.Error;

    /// The path may be gone afterwards; a relative one is taken from the working directory of now.
    pub fn init(gpa: Allocator, path: []const u8) InitError!Top {
        const absolute = try absolutePath(gpa, path);
        errdefer gpa.free(absolute);
        return .{ .path = absolute, .current = try openAt(absolute) };
    }

    fn absolutePath(gpa: Allocator, path: []const u8) Allocator.Error![]u8 {
        if (std.fs.path.isAbsolute(path)) return gpa.dupe(u8, path);
        var buffer: [std.fs.max_path_bytes]u8 = undefined;
        const folder = system.workingDirectory(&buffer) catch return gpa.dupe(u8, path);
        return std.fs.path.join(gpa, &.{ folder, path });
    }

    /// Nobody may hold it.
    pub fn deinit(self: *Top, gpa: Allocator) void {
        if (self.current) |open| open.handle.release();
        gpa.free(self.path);
        self.* = undefined;
    }

    /// A root for one look-up.
    pub const Held = struct {
        root: Root,
        handle: FileHandle,
        /// When it was last seen to be what the path leads to, milliseconds.
        checked_ms: u64,

        pub fn release(self: Held) void {
            self.handle.release();
        }
    };

    /// The root for a look-up that begins at `now_ms`: what the path led to at most `age_ms`
    /// before. `NoRoot`: there is no directory at it. The caller releases what it gets. Any thread.
    pub fn acquire(self: *Top, now_ms: u64, age_ms: u32) error{NoRoot}!Held {
        self.mutex.lock();
        defer self.mutex.unlock();
        const is_fresh = if (self.checked_ms) |checked| now_ms -| checked < age_ms else false;
        if (!is_fresh or self.current == null) {
            self.check();
            self.checked_ms = now_ms;
        }
        const open = self.current orelse return error.NoRoot;
        return .{
            .root = .{ .fd = open.handle.fd(), .lookup = open.lookup },
            .handle = open.handle.retain(),
            .checked_ms = self.checked_ms.?,
        };
    }

    /// Looks where the path leads to now.
    fn check(self: *Top) void {
        // While it is open nothing else has its inode.
        if (self.current) |open| {
            const stat = system.stat(self.path) catch |err| return self.note(err);
            if (std.meta.eql(open.identity, Identity.of(&stat))) return;
        }
        const fresh = openAt(self.path) catch |err| return self.note(err);
        if (self.current) |old| old.handle.release();
        self.current = fresh;
    }

    /// The path leads nowhere, or that cannot be told now.
    fn note(self: *Top, err: system.Error) void {
        switch (root_file.refusal(err)) {
            error.NotFound, error.AccessDenied => {},
            // Of no descriptors and the like it is no worse.
            error.Unavailable, error.Unreadable => return,
        }
        const old = self.current orelse return;
        log.warn("the directory {s} is gone: its files are answered with 503", .{self.path});
        old.handle.release();
        self.current = null;
    }

    fn openAt(path: []const u8) system.Error!Open {
        const root = try Root.open(path);
        const stat = system.fstat(root.fd) catch |err| {
            system.close(root.fd);
            return err;
        };
        const handle = FileHandle.adopt(root.fd) orelse return error.ProcessFdQuotaExceeded;
        return .{ .handle = handle, .lookup = root.lookup, .identity = Identity.of(&stat) };
    }
};
