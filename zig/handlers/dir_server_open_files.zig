//! Large files that stay open, so that one which is asked for again is neither looked up nor opened
//! again, and takes one descriptor however many it is sent to. A bounded number of them, in sets by
//! the hash of the request's path; a set has a lock that is held for a copy of some hundred bytes,
//! and who looks for a file does not wait for it: without it the file is opened as if it were not
//! here.
//!
//! What is found here is the file that the path led to when it was last looked at. Whether it has
//! changed since is told by fstat(2), which the caller does for every request: a change in place,
//! and a file that another was put in the place of or that is gone, are seen at once.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;
const file_handle = @import("../core/file_handle.zig");
const system = @import("../core/system.zig");
const field_lines = @import("../http/field_lines.zig");
const FieldLines = field_lines.FieldLines;
const Version = @import("dir_server_root.zig").Version;
const FileHandle = file_handle.FileHandle;

/// Most files that one server may keep open.
pub const count_max = 4096;
/// Longest path of a request that a file is kept under, bytes.
pub const key_bytes_max = 1024;
/// Room for the field lines that describe a file, bytes.
pub const lines_bytes_max = 512;
/// How many they are, at most.
pub const line_count_max = 5;
pub const tag_bytes_max = 64;

/// A file that was not asked for so long is closed, milliseconds.
pub const idle_ms = 10_000;
/// How often is looked for such, milliseconds. By requests: a server that is asked for nothing
/// keeps open what it has.
const sweep_ms = 1000;
/// Slots of a set are looked at one by one.
const ways_max = 32;
/// Attempts to get a set's lock.
const spins_max = 64;
/// Of newcomers to a set that is full one in so many is kept. Were all, a loop over more files than
/// there is room for would find none: each would be asked for just after it went.
const admission = 4;

/// What is said of an open file.
pub const Kept = struct {
    /// Who gets this from `find` is an owner.
    handle: FileHandle,
    version: Version,
    /// Seconds since 1970, as Last-Modified says; null: there is no such field.
    modified_s: ?i64,
    /// How many of the lines, the first ones, go with a 304.
    validator_count: u8,
    /// When its path was last found to lead to it, monotonic milliseconds.
    checked_ms: u64,
    lines_len: u16,
    line_count: u8,
    tag_len: u8,
    line_lengths: [line_count_max]field_lines.Lengths,
    lines_buffer: [lines_bytes_max]u8,
    tag_buffer: [tag_bytes_max]u8,

    pub fn lines(self: *const Kept) FieldLines {
        return .{
            .text = self.lines_buffer[0..self.lines_len],
            .lengths = self.line_lengths[0..self.line_count],
        };
    }

    pub fn setLines(self: *Kept, from: FieldLines) void {
        @memcpy(self.lines_buffer[0..from.text.len], from.text);
        self.lines_len = @intCast(from.text.len);
        @memcpy(self.line_lengths[0..from.lengths.len], from.lengths);
        self.line_count = @intCast(from.lengths.len);
    }

    pub fn tag(self: *const Kept) []const u8 {
        return self.tag_buffer[0..self.tag_len];
    }

    pub fn setTag(self: *Kept, text: []const u8) void {
        @memcpy(self.tag_buffer[0..text.len], text);
        self.tag_len = @intCast(text.len);
    }

    /// Leaves alone what of the buffers is not in use.
    fn copyTo(self: *const Kept, out: *Kept) void {
        out.handle = self.handle;
        out.version = self.version;
        out.modified_s = self.modified_s;
        out.validator_count = self.validator_count;
        out.checked_ms = self.checked_ms;
        out.setLines(self.lines());
        out.setTag(self.tag());
    }
};

const Slot = struct {
    in_use: bool = false,
    hash: u64 = 0,
    /// When it was last asked for, monotonic milliseconds.
    asked_ms: u64 = 0,
    key_len: u16 = 0,
    kept: Kept = undefined,
    key_buffer: [key_bytes_max]u8 = undefined,

    fn holds(self: *const Slot, hash: u64, key: []const u8) bool {
        return self.in_use and self.hash == hash and
            std.mem.eql(u8, self.key_buffer[0..self.key_len], key);
    }

    /// Empties it. The caller releases what it gets, without the lock: the last close of a file
    /// that was deleted frees its blocks, which may take a while.
    fn take(self: *Slot) FileHandle {
        assert(self.in_use);
        self.in_use = false;
        return self.kept.handle;
    }
};

const Set = struct {
    mutex: std.Thread.Mutex = .{},
    slots: []Slot,
    random: std.Random.SplitMix64,

    fn lock(self: *Set) bool {
        for (0..spins_max) |_| {
            if (self.mutex.tryLock()) return true;
            std.atomic.spinLoopHint();
        }
        return false;
    }

    fn find(self: *Set, hash: u64, key: []const u8) ?*Slot {
        for (self.slots) |*slot| {
            if (slot.holds(hash, key)) return slot;
        }
        return null;
    }

    /// Where a newcomer goes: null when it is not to be kept.
    fn choose(self: *Set, now_ms: u64) ?*Slot {
        for (self.slots) |*slot| {
            if (!slot.in_use or now_ms -| slot.asked_ms >= idle_ms) return slot;
        }
        if (self.random.next() % admission != 0) return null;
        const a = self.any();
        const b = self.any();
        return if (a.asked_ms <= b.asked_ms) a else b;
    }

    fn any(self: *Set) *Slot {
        return &self.slots[@intCast(self.random.next() % self.slots.len)];
    }
};

/// Any thread may call its functions at any time.
pub const OpenFiles = struct {
    sets: []Set,
    slots: []Slot,
    /// When was last looked for files to be closed, monotonic milliseconds.
    swept_ms: std.atomic.Value(u64) = .init(0),

    /// Room for `count` files, or for as many as the limit of descriptors suggests; at least one.
    pub fn init(gpa: Allocator, count: u32) Allocator.Error!OpenFiles {
        assert(count > 0 and count <= count_max);
        const room = @min(count, affordable());
        const sets = try gpa.alloc(Set, std.math.divCeil(usize, room, ways_max) catch unreachable);
        errdefer gpa.free(sets);
        const ways = room / sets.len;
        const slots = try gpa.alloc(Slot, sets.len * ways);
        for (slots) |*slot| slot.* = .{};
        for (sets, 0..) |*set, i| {
            set.* = .{ .slots = slots[i * ways ..][0..ways], .random = .init(i) };
        }
        _ = file_handle.kept_max.fetchAdd(@intCast(slots.len), .monotonic);
        return .{ .sets = sets, .slots = slots };
    }

    /// Most descriptors that may stay open for files, as the process's limit has it.
    fn affordable() u32 {
        const limit = system.fileLimit() catch return count_max;
        return @intCast(std.math.clamp(limit.most / 16, 1, count_max));
    }

    /// No other call may be under way. Files that are being sent stay open for that.
    pub fn deinit(self: *OpenFiles, gpa: Allocator) void {
        for (self.slots) |*slot| {
            if (slot.in_use) slot.take().release();
        }
        _ = file_handle.kept_max.fetchSub(@intCast(self.slots.len), .monotonic);
        gpa.free(self.slots);
        gpa.free(self.sets);
        self.* = undefined;
    }

    /// Memory held, bytes.
    pub fn memoryBytes(self: *const OpenFiles) usize {
        return self.slots.len * @sizeOf(Slot) + self.sets.len * @sizeOf(Set);
    }

    /// How old what was found is.
    pub const Age = enum {
        fresh,
        /// Its path is to be looked at again by the caller, who says `renew` or `forget`. Others
        /// are told that it is fresh meanwhile.
        stale,
    };

    /// The file under `key` as it was kept. Null when there is none, or that is not told without
    /// waiting. The caller releases `out.handle`.
    pub fn find(
        self: *OpenFiles,
        hash: u64,
        key: []const u8,
        now_ms: u64,
        age_ms: u32,
        out: *Kept,
    ) ?Age {
        if (now_ms -| self.swept_ms.load(.monotonic) >= sweep_ms) self.sweep(now_ms);
        const set = self.setOf(hash);
        if (!set.lock()) return null;
        defer set.mutex.unlock();
        const slot = set.find(hash, key) orelse return null;
        slot.kept.copyTo(out);
        _ = out.handle.retain();
        slot.asked_ms = now_ms;
        if (now_ms -| slot.kept.checked_ms < age_ms) return .fresh;
        slot.kept.checked_ms = now_ms;
        return .stale;
    }

    /// Keeps a file open under `key`, in the place of what was there, unless others are asked for
    /// more. It becomes an owner of the handle; the caller stays one.
    pub fn keep(self: *OpenFiles, hash: u64, key: []const u8, now_ms: u64, kept: *const Kept) void {
        assert(key.len <= key_bytes_max);
        const set = self.setOf(hash);
        if (!set.lock()) return;
        const slot = set.find(hash, key) orelse set.choose(now_ms) orelse {
            return set.mutex.unlock();
        };
        const old: ?FileHandle = if (slot.in_use) slot.take() else null;
        kept.copyTo(&slot.kept);
        _ = kept.handle.retain();
        slot.hash = hash;
        slot.asked_ms = now_ms;
        slot.key_len = @intCast(key.len);
        @memcpy(slot.key_buffer[0..key.len], key);
        slot.in_use = true;
        set.mutex.unlock();
        if (old) |handle| handle.release();
    }

    /// The path of `handle`, which was found under `key`, led to it at `checked_ms`.
    pub fn renew(
        self: *OpenFiles,
        hash: u64,
        key: []const u8,
        handle: FileHandle,
        checked_ms: u64,
    ) void {
        const set = self.setOf(hash);
        set.mutex.lock();
        defer set.mutex.unlock();
        const slot = set.find(hash, key) orelse return;
        if (slot.kept.handle == handle) slot.kept.checked_ms = checked_ms;
    }

    /// `handle`, which was found under `key`, is no longer what is to be sent.
    pub fn forget(self: *OpenFiles, hash: u64, key: []const u8, handle: FileHandle) void {
        const set = self.setOf(hash);
        set.mutex.lock();
        const found: ?FileHandle = blk: {
            const slot = set.find(hash, key) orelse break :blk null;
            break :blk if (slot.kept.handle == handle) slot.take() else null;
        };
        set.mutex.unlock();
        if (found) |own| own.release();
    }

    /// Closes what was not asked for of late, for one of the threads that find it due.
    fn sweep(self: *OpenFiles, now_ms: u64) void {
        const before = self.swept_ms.load(.monotonic);
        if (now_ms -| before < sweep_ms) return;
        if (self.swept_ms.cmpxchgStrong(before, now_ms, .monotonic, .monotonic) != null) return;
        for (self.sets) |*set| {
            for (set.slots) |*slot| {
                if (!set.lock()) break;
                const is_idle = slot.in_use and now_ms -| slot.asked_ms >= idle_ms;
                const idle: ?FileHandle = if (is_idle) slot.take() else null;
                set.mutex.unlock();
                if (idle) |handle| handle.release();
            }
        }
    }

    fn setOf(self: *OpenFiles, hash: u64) *Set {
        return &self.sets[@intCast(hash % self.sets.len)];
    }
};
