//! The contents of small files in a bounded piece of memory, shared by all workers.
//!
//! The memory is a ring of blocks. What makes room is decided by CLOCK with an admission by how
//! often is asked (TinyLFU): a hand goes round the blocks; a new content takes the place of those
//! at the hand when it was asked for more often than they together, and otherwise they cool down by
//! one and the hand goes on. So a loop that is larger than the cache keeps what fits of it (FIFO,
//! LRU, CLOCK and SIEVE alone keep nothing: each is asked for just after it went), and a scan
//! passes by what is asked for again. A hit takes no lock. Each thread has a pin that names the
//! block it reads, and a block that is pinned is not overwritten (a hazard pointer): a reader
//! writes its pin and then looks whether the block is still published; a writer unpublishes and
//! then looks at the pins. A pin holds until the same thread's next look-up, which is as long as a
//! response may borrow the content; where workers change threads it is the worker's, and goes with
//! it. Writers take a lock, and never wait for it: a content that cannot be kept now is kept later.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;
const limits = @import("../core/limits.zig");
const worker_token = @import("../core/worker_token.zig");
const field_lines = @import("../http/field_lines.zig");
const FieldLines = field_lines.FieldLines;
const line_count_max = @import("dir_server_open_files.zig").line_count_max;
const Version = @import("dir_server_root.zig").Version;

/// Blocks begin at multiples of this; one cache line.
const unit = 64;
const ways = 4;
/// Workers and threads of none that can use one cache; the ones beyond go without.
const pins_max = limits.workers_max;
const no_way = std.math.maxInt(u32);

pub const Lengths = struct {
    key: u32,
    lines: u32,
    body: u32,

    fn units(self: Lengths) u32 {
        const bytes = entry_offset + @sizeOf(Entry) + self.key + self.lines + self.body + 1;
        return @intCast(std.math.divCeil(usize, bytes, unit) catch unreachable);
    }
};

/// The head of each block of the ring. Guarded by the lock.
const Block = struct {
    /// Length of the block.
    units: u32,
    /// Where its entry is published, `no_way` if it has none.
    way: u32,
};

const entry_offset = std.mem.alignForward(usize, @sizeOf(Block), @alignOf(Entry));

/// A file's content and what is said of it. Not changed once published, but for the atomic fields.
pub const Entry = struct {
    hash: u64,
    lengths: Lengths,
    line_count: u8,
    /// How many of the lines, the first ones, go with a 304.
    validator_count: u8,
    line_lengths: [line_count_max]field_lines.Lengths,
    version: Version,
    /// Seconds since 1970, as Last-Modified says; null: there is no such field.
    modified_s: ?i64,
    tag: [tag_bytes_max]u8,
    tag_len: u8,
    /// When the content was last found to be the file's, monotonic milliseconds.
    checked_ms: std.atomic.Value(u64),
    /// Cleared when the file is found to be gone.
    valid: std.atomic.Value(bool),
    /// How often it was asked for, of late, up to `heat_max`: a content that is asked for a lot is
    /// not written to at each hit.
    heat: std.atomic.Value(u8),

    pub const tag_bytes_max = 64;

    /// What the entry is found by.
    pub fn key(self: *Entry) []u8 {
        return self.bytes()[0..self.lengths.key];
    }

    /// Field lines of the response.
    pub fn lines(self: *Entry) FieldLines {
        return .{ .text = self.linesText(), .lengths = self.line_lengths[0..self.line_count] };
    }

    /// Takes a copy; their text is as long as `begin` was told.
    pub fn setLines(self: *Entry, from: FieldLines) void {
        @memcpy(self.linesText(), from.text);
        @memcpy(self.line_lengths[0..from.lengths.len], from.lengths);
        self.line_count = @intCast(from.lengths.len);
    }

    fn linesText(self: *Entry) []u8 {
        return self.bytes()[self.lengths.key..][0..self.lengths.lines];
    }

    /// The file's content.
    pub fn body(self: *Entry) []u8 {
        return self.bytes()[self.lengths.key + self.lengths.lines ..][0..self.lengths.body];
    }

    /// Room to read the content to: one byte longer, to see that there is no more.
    pub fn bodyRoom(self: *Entry) []u8 {
        const room = self.body();
        return room.ptr[0 .. room.len + 1];
    }

    pub fn etag(self: *const Entry) []const u8 {
        return self.tag[0..self.tag_len];
    }

    fn bytes(self: *Entry) [*]u8 {
        return @as([*]u8, @ptrCast(self)) + @sizeOf(Entry);
    }
};

const heat_max = 7;

/// How often was asked in vain for what is not kept: counts by hash, halved when there were many.
const Sketch = struct {
    counts: []u8,
    notes: usize = 0,

    /// Counts one more time; returns how many there were of late.
    fn note(self: *Sketch, hash: u64) u8 {
        const mask = self.counts.len - 1;
        const a = &self.counts[@intCast(hash & mask)];
        const b = &self.counts[@intCast((hash >> 32) & mask)];
        // The lower one has fewer that are not meant.
        const told = @min(a.*, b.*) +| 1;
        a.* = @max(a.*, told);
        b.* = @max(b.*, told);
        self.notes += 1;
        if (self.notes >= 8 * self.counts.len) {
            self.notes = 0;
            for (self.counts) |*count| count.* >>= 1;
        }
        return told;
    }
};

/// What a published place holds: 0 for nothing. The tag spares a look at the block.
const Word = packed struct(u64) {
    /// Start of the block in units; the block at 0 is never published.
    offset: u32,
    tag: u32,
};

/// A thread's pin. Cache lines of their own, so that threads do not disturb each other.
pub const Pin = struct {
    /// Token of the worker, or of the thread, that owns the pin; 0 for none.
    owner: std.atomic.Value(u64) align(unit) = .init(0),
    /// Start of the block that must stay, in units; 0 for none.
    offset: std.atomic.Value(u32) = .init(0),
};

pub const Cache = struct {
    ring: []align(unit) u8,
    words: []std.atomic.Value(u64),
    pins: []Pin,
    /// Pins at and above were never owned.
    pins_used: std.atomic.Value(u32) = .init(0),
    mutex: std.Thread.Mutex = .{},
    /// Where the hand is, in units. Guarded by `mutex`, as what follows.
    head: u32 = 1,
    next_way: u32 = 0,
    sketch: Sketch,

    /// Least memory that makes a cache: one block of the largest file, with room to spare.
    pub const bytes_min = 256 * 1024;
    /// Most memory that offsets in units can tell, far from their end.
    pub const bytes_max = 64 * 1024 * 1024 * 1024;

    /// Takes `bytes` for contents and about a thirtieth more for their index. Pages become resident
    /// when first used.
    pub fn init(gpa: Allocator, bytes: usize) Allocator.Error!Cache {
        assert(bytes >= bytes_min and bytes <= bytes_max);
        const ring = try gpa.alignedAlloc(u8, unit, std.mem.alignBackward(usize, bytes, unit));
        errdefer gpa.free(ring);
        const sets = std.math.floorPowerOfTwo(usize, bytes / (1024 * ways));
        const words = try gpa.alloc(std.atomic.Value(u64), sets * ways);
        errdefer gpa.free(words);
        @memset(words, .init(0));
        const pins = try gpa.alloc(Pin, pins_max);
        @memset(pins, .{});
        errdefer gpa.free(pins);
        const counts = try gpa.alloc(u8, sets * ways);
        @memset(counts, 0);
        const self: Cache = .{
            .ring = ring,
            .words = words,
            .pins = pins,
            .sketch = .{ .counts = counts },
        };
        self.blank(0, 1);
        self.blank(1, self.end() - 1);
        return self;
    }

    /// No thread may be in a call or read what it found.
    pub fn deinit(self: *Cache, gpa: Allocator) void {
        gpa.free(self.ring);
        gpa.free(self.words);
        gpa.free(self.pins);
        gpa.free(self.sketch.counts);
        self.* = undefined;
    }

    /// Memory held, bytes.
    pub fn memoryBytes(self: *const Cache) usize {
        return self.ring.len + self.words.len * @sizeOf(u64) + self.pins.len * @sizeOf(Pin);
    }

    /// The calling thread's pin, or that of the worker that runs on it: its own from the first call
    /// on; null when all are taken. It no longer holds what it held.
    pub fn pin(self: *Cache) ?*Pin {
        const token = worker_token.current();
        const start: usize = @intCast(token % pins_max);
        for (0..pins_max) |i| {
            const at = (start + i) % pins_max;
            const candidate = &self.pins[at];
            const owner = candidate.owner.load(.monotonic);
            if (owner == token) {
                candidate.offset.store(0, .release);
                return candidate;
            }
            if (owner != 0) continue;
            if (candidate.owner.cmpxchgStrong(0, token, .monotonic, .monotonic) != null) continue;
            _ = self.pins_used.fetchMax(@intCast(at + 1), .seq_cst);
            return candidate;
        }
        return null;
    }

    pub fn hashOf(key: []const u8) u64 {
        return std.hash.Wyhash.hash(0, key);
    }

    /// The valid entry for `key`, which stays as it is until `mine` is next used. Takes no lock.
    pub fn find(self: *Cache, mine: *Pin, hash: u64, key: []const u8) ?*Entry {
        const tag: u32 = @intCast(hash >> 32);
        for (self.set(hash)) |*place| {
            const seen = place.load(.acquire);
            const word: Word = @bitCast(seen);
            if (word.offset == 0 or word.tag != tag) continue;
            mine.offset.store(word.offset, .seq_cst);
            // Published still: whoever unpublishes it from now on sees the pin.
            if (place.load(.seq_cst) != seen) continue;
            const entry = self.entryAt(word.offset);
            if (entry.hash != hash or !std.mem.eql(u8, entry.key(), key)) continue;
            if (!entry.valid.load(.acquire)) continue;
            const heat = entry.heat.load(.monotonic);
            if (heat < heat_max) entry.heat.store(heat + 1, .monotonic);
            return entry;
        }
        mine.offset.store(0, .release);
        return null;
    }

    /// Begins an entry: room for its parts, to be filled in by the caller and ended by `publish` or
    /// `cancel`. Null when another thread is at it, there is no room that nobody reads, or what is
    /// kept is asked for more often. `hash`: of its key.
    pub fn begin(self: *Cache, lengths: Lengths, hash: u64) ?*Entry {
        if (!self.mutex.tryLock()) return null;
        // Both are counted up to the same: what is asked for as often as all of them stays out.
        const asked = @min(self.sketch.note(hash), heat_max);
        const offset = self.claim(lengths.units(), asked) orelse {
            self.mutex.unlock();
            return null;
        };
        const entry = self.entryAt(offset);
        entry.lengths = lengths;
        entry.heat = .init(asked);
        return entry;
    }

    /// Gives up what `begin` returned.
    pub fn cancel(self: *Cache, entry: *Entry) void {
        assert(self.blockAt(self.offsetOf(entry)).way == no_way);
        self.mutex.unlock();
    }

    /// Publishes what `begin` returned, in the place of an older entry of its key, and pins it.
    pub fn publish(self: *Cache, mine: *Pin, entry: *Entry) void {
        entry.hash = hashOf(entry.key());
        entry.valid = .init(true);
        const offset = self.offsetOf(entry);
        mine.offset.store(offset, .seq_cst);
        const way = self.chooseWay(entry);
        self.unpublish(way);
        self.blockAt(offset).way = way;
        const word: Word = .{ .offset = offset, .tag = @intCast(entry.hash >> 32) };
        self.words[way].store(@bitCast(word), .seq_cst);
        self.mutex.unlock();
    }

    fn set(self: *Cache, hash: u64) []std.atomic.Value(u64) {
        const first = self.setStart(hash);
        return self.words[first..][0..ways];
    }

    fn setStart(self: *const Cache, hash: u64) u32 {
        const sets = self.words.len / ways;
        return @intCast((hash & (sets - 1)) * ways);
    }

    fn chooseWay(self: *Cache, entry: *Entry) u32 {
        const first = self.setStart(entry.hash);
        var empty: ?u32 = null;
        for (first..first + ways) |i| {
            const way: u32 = @intCast(i);
            const word: Word = @bitCast(self.words[way].load(.monotonic));
            if (word.offset == 0) {
                empty = way;
                continue;
            }
            const other = self.entryAt(word.offset);
            if (other.hash == entry.hash and std.mem.eql(u8, other.key(), entry.key())) return way;
        }
        if (empty) |way| return way;
        self.next_way = (self.next_way + 1) % ways;
        return first + self.next_way;
    }

    fn unpublish(self: *Cache, way: u32) void {
        const word: Word = @bitCast(self.words[way].load(.monotonic));
        if (word.offset == 0) return;
        self.blockAt(word.offset).way = no_way;
        self.words[way].store(0, .seq_cst);
    }

    /// A block of `units` at or after the hand, made of blocks that nobody reads, and that were
    /// asked for less than `asked` times together. Those it passes are emptied.
    fn claim(self: *Cache, units: u32, asked: u8) ?u32 {
        if (!self.isWorthIt(units, asked)) return null;
        var start = self.head;
        var next = start;
        var wrapped = false;
        while (next - start < units) {
            if (next == self.end()) {
                if (wrapped) return null;
                wrapped = true;
                start = 1;
                next = 1;
                continue;
            }
            const block = self.blockAt(next);
            if (block.way != no_way) self.unpublish(block.way);
            const after = next + block.units;
            if (self.isPinned(next)) start = after;
            next = after;
        }
        self.blank(start, units);
        const spare = next - start - units;
        if (spare > 0) self.blank(start + units, spare);
        self.head = start + units;
        return start;
    }

    /// Whether the blocks at the hand may go for a content that was asked for `asked` times. They
    /// cool down when not, and the hand goes on behind them.
    fn isWorthIt(self: *Cache, units: u32, asked: u8) bool {
        var next = self.head;
        var start = next;
        if (self.end() - start < units) {
            start = 1;
            next = 1;
        }
        var heat: u32 = 0;
        while (next - start < units) {
            const block = self.blockAt(next);
            if (self.keptIn(next)) |entry| heat += entry.heat.load(.monotonic);
            next += block.units;
        }
        if (heat < asked) return true;
        while (start < next) {
            if (self.keptIn(start)) |entry| {
                const before = entry.heat.load(.monotonic);
                if (before > 0) entry.heat.store(before - 1, .monotonic);
            }
            start += self.blockAt(start).units;
        }
        self.head = next;
        return false;
    }

    /// The entry of the block at `offset`, if it can still be found.
    fn keptIn(self: *const Cache, offset: u32) ?*Entry {
        if (self.blockAt(offset).way == no_way) return null;
        const entry = self.entryAt(offset);
        return if (entry.valid.load(.monotonic)) entry else null;
    }

    fn isPinned(self: *Cache, offset: u32) bool {
        const used = self.pins_used.load(.seq_cst);
        for (self.pins[0..used]) |*other| {
            if (other.offset.load(.seq_cst) == offset) return true;
        }
        return false;
    }

    fn end(self: *const Cache) u32 {
        return @intCast(self.ring.len / unit);
    }

    fn blockAt(self: *const Cache, offset: u32) *Block {
        return @alignCast(@ptrCast(self.ring[@as(usize, offset) * unit ..].ptr));
    }

    fn entryAt(self: *const Cache, offset: u32) *Entry {
        return @alignCast(@ptrCast(self.ring[@as(usize, offset) * unit + entry_offset ..].ptr));
    }

    fn offsetOf(self: *const Cache, entry: *const Entry) u32 {
        const bytes = @intFromPtr(entry) - entry_offset - @intFromPtr(self.ring.ptr);
        return @intCast(@divExact(bytes, unit));
    }

    fn blank(self: *const Cache, offset: u32, units: u32) void {
        self.blockAt(offset).* = .{ .units = units, .way = no_way };
    }
};

comptime {
    assert(entry_offset <= unit and @alignOf(Entry) <= unit);
}

const testing = std.testing;

/// An entry whose body is `len` bytes that tell its key and `salt`.
fn put(cache: *Cache, mine: *Pin, key: []const u8, salt: u8, len: u32) bool {
    const lengths: Lengths = .{ .key = @intCast(key.len), .lines = 1, .body = len };
    // What is asked for often enough comes in.
    const entry = for (0..3000) |_| {
        if (cache.begin(lengths, Cache.hashOf(key))) |entry| break entry;
    } else return false;
    @memcpy(entry.key(), key);
    entry.setLines(.{ .text = &.{salt} });
    @memset(entry.body(), salt);
    entry.checked_ms = .init(0);
    cache.publish(mine, entry);
    return true;
}

fn get(cache: *Cache, mine: *Pin, key: []const u8) ?*Entry {
    return cache.find(mine, Cache.hashOf(key), key);
}

test "what was put is found under its key, the latest of a key" {
    var cache = try Cache.init(testing.allocator, Cache.bytes_min);
    defer cache.deinit(testing.allocator);
    const mine = cache.pin().?;
    try testing.expectEqual(mine, cache.pin().?);
    try testing.expect(get(&cache, mine, "/a") == null);
    try testing.expect(put(&cache, mine, "/a", 1, 10));
    try testing.expect(put(&cache, mine, "/b", 2, 0));
    try testing.expectEqualSlices(u8, &([_]u8{1} ** 10), get(&cache, mine, "/a").?.body());
    try testing.expectEqual(0, get(&cache, mine, "/b").?.body().len);
    try testing.expect(put(&cache, mine, "/a", 3, 11));
    try testing.expectEqualSlices(u8, &([_]u8{3} ** 11), get(&cache, mine, "/a").?.body());
    get(&cache, mine, "/a").?.valid.store(false, .release);
    try testing.expect(get(&cache, mine, "/a") == null);
}

test "the oldest contents make room, within the memory taken at init" {
    var cache = try Cache.init(testing.allocator, Cache.bytes_min);
    defer cache.deinit(testing.allocator);
    const mine = cache.pin().?;
    var prng = std.Random.DefaultPrng.init(5);
    var key: [8]u8 = undefined;
    for (0..5000) |i| {
        std.mem.writeInt(u64, &key, i, .little);
        const len = prng.random().uintLessThan(u32, 65536);
        try testing.expect(put(&cache, mine, &key, @truncate(i), len));
        const entry = get(&cache, mine, &key).?;
        try testing.expectEqual(len, entry.body().len);
        try testing.expect(std.mem.allEqual(u8, entry.body(), @truncate(i)));
    }
    std.mem.writeInt(u64, &key, 0, .little);
    try testing.expect(get(&cache, mine, &key) == null);
}

test "a content that a thread reads is not overwritten, however much is put" {
    var cache = try Cache.init(testing.allocator, Cache.bytes_min);
    defer cache.deinit(testing.allocator);
    const mine = cache.pin().?;
    const reader = try readerPin(&cache);
    try testing.expect(reader != mine);
    try testing.expect(put(&cache, mine, "/kept", 7, 60_000));
    const kept = get(&cache, reader, "/kept").?;
    var key: [8]u8 = undefined;
    for (0..500) |i| {
        std.mem.writeInt(u64, &key, i, .little);
        try testing.expect(put(&cache, mine, &key, 9, 50_000));
        try testing.expect(std.mem.allEqual(u8, kept.body(), 7));
    }
    // Unpublished long ago; its memory returns when the reader looks elsewhere.
    try testing.expect(get(&cache, reader, "/kept") == null);
    for (0..8) |_| try testing.expect(put(&cache, mine, "/new", 9, 65_000));
    try testing.expect(!std.mem.allEqual(u8, kept.body(), 7));
}

/// A pin as another thread would have it.
fn readerPin(cache: *Cache) !*Pin {
    const Other = struct {
        fn run(c: *Cache, out: *?*Pin) void {
            out.* = c.pin();
        }
    };
    var taken: ?*Pin = null;
    const thread = try std.Thread.spawn(.{}, Other.run, .{ cache, &taken });
    thread.join();
    return taken.?;
}

test "no room is found when every block is read, and that is not an error" {
    var cache = try Cache.init(testing.allocator, Cache.bytes_min);
    defer cache.deinit(testing.allocator);
    const mine = cache.pin().?;
    for (0..3) |i| {
        const key = [_]u8{ 'k', @intCast(i) };
        try testing.expect(put(&cache, mine, &key, 1, 65_000));
        try testing.expect(get(&cache, try readerPin(&cache), &key) != null);
    }
    try testing.expect(put(&cache, mine, "x", 1, 60_000));
    try testing.expect(get(&cache, try readerPin(&cache), "x") != null);
    try testing.expect(!put(&cache, mine, "y", 1, 60_000));
}

/// Asks for `key`, and puts it when it is not there and may come in. Returns whether it was there.
fn ask(cache: *Cache, mine: *Pin, key: u64, len: u32) bool {
    const text = std.mem.asBytes(&key);
    if (get(cache, mine, text) != null) return true;
    const entry = cache.begin(.{ .key = 8, .lines = 1, .body = len }, Cache.hashOf(text)) orelse
        return false;
    @memcpy(entry.key(), text);
    entry.checked_ms = .init(0);
    cache.publish(mine, entry);
    return false;
}

test "a loop that is larger than the cache keeps what fits of it" {
    var cache = try Cache.init(testing.allocator, 16 * 1024 * 1024);
    defer cache.deinit(testing.allocator);
    const mine = cache.pin().?;
    var hits: usize = 0;
    for (0..20) |round| {
        for (0..400) |key| {
            if (ask(&cache, mine, key, 60 * 1024) and round >= 10) hits += 1;
        }
    }
    // 272 of 400 fit: 68 %.
    try testing.expect(hits > 4000 * 60 / 100);
}

test "a scan does not drive out what is asked for again" {
    var cache = try Cache.init(testing.allocator, 16 * 1024 * 1024);
    defer cache.deinit(testing.allocator);
    const mine = cache.pin().?;
    var prng = std.Random.DefaultPrng.init(11);
    const random = prng.random();
    var hits: usize = 0;
    for (0..40_000) |i| {
        if (i % 2 == 0) {
            _ = ask(&cache, mine, 1_000_000 + i, 30 * 1024);
        } else if (ask(&cache, mine, random.uintLessThan(u64, 200), 30 * 1024)) {
            if (i >= 20_000) hits += 1;
        }
    }
    try testing.expect(hits > 10_000 * 85 / 100);
}

test "threads that read and write at once see whole contents only" {
    var cache = try Cache.init(testing.allocator, Cache.bytes_min);
    defer cache.deinit(testing.allocator);
    const Count = std.atomic.Value(u32);
    const Worker = struct {
        fn run(c: *Cache, seed: u64, torn: *Count, hits: *Count) void {
            var prng = std.Random.DefaultPrng.init(seed);
            const random = prng.random();
            for (0..20_000) |_| {
                const mine = c.pin().?;
                const key = [_]u8{ '/', random.uintLessThan(u8, 24) };
                if (get(c, mine, &key)) |entry| {
                    const salt = entry.lines().text[0];
                    const whole = std.mem.allEqual(u8, entry.body(), salt) and
                        std.mem.eql(u8, entry.key(), &key);
                    if (!whole) _ = torn.fetchAdd(1, .monotonic);
                    _ = hits.fetchAdd(1, .monotonic);
                    if (random.uintLessThan(u8, 4) != 0) continue;
                }
                _ = put(c, mine, &key, random.int(u8), random.uintLessThan(u32, 20_000));
            }
        }
    };
    var torn: Count = .init(0);
    var hits: Count = .init(0);
    var threads: [4]std.Thread = undefined;
    for (&threads, 0..) |*thread, i| {
        thread.* = try std.Thread.spawn(.{}, Worker.run, .{ &cache, i, &torn, &hits });
    }
    for (threads) |thread| thread.join();
    try testing.expectEqual(0, torn.load(.monotonic));
    try testing.expect(hits.load(.monotonic) > 0);
}
