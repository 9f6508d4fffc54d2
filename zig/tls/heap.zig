//! Where picotls and OpenSSL take their memory: the C library's allocator, with everything counted
//! and a bound. Handshakes allocate; records that pass afterwards must not, and a test holds them
//! to that by these counters.
//!
//! The counters are the process's, as the libraries' own state is. Any thread may call.

const std = @import("std");
const assert = std.debug.assert;
const builtin = @import("builtin");
const Allocator = std.mem.Allocator;
const Alignment = std.mem.Alignment;
const c = std.c;

var held_bytes: std.atomic.Value(usize) = .init(0);
var bytes_max: std.atomic.Value(usize) = .init(std.math.maxInt(usize));
var taken_count: std.atomic.Value(u64) = .init(0);
var refused_count: std.atomic.Value(u64) = .init(0);
/// For tests: this many allocations succeed, all further ones fail, or the next one alone.
var grace: std.atomic.Value(i64) = .init(std.math.maxInt(i64));
var fails_once: std.atomic.Value(bool) = .init(false);

pub const Counts = struct {
    /// Bytes that are allocated now, as the C library counts them.
    bytes: usize,
    /// Allocations since the process began.
    taken: u64,
    /// Allocations that were refused because of the bound.
    refused: u64,
};

pub fn counts() Counts {
    return .{
        .bytes = held_bytes.load(.monotonic),
        .taken = taken_count.load(.monotonic),
        .refused = refused_count.load(.monotonic),
    };
}

/// From here on no more than `bytes` are given out. A handshake that gets none ends with
/// internal_error; connections that are established go on.
pub fn setBound(bytes: usize) void {
    bytes_max.store(bytes, .monotonic);
}

/// What the servers of this process may take together.
var shares: struct { mutex: std.Thread.Mutex = .{}, bytes: usize = 0 } = .{};

/// A server begins: its connections take `bytes` at most, which the bound is raised by. The first
/// one sets it.
pub fn addShare(bytes: usize) void {
    shares.mutex.lock();
    defer shares.mutex.unlock();
    shares.bytes +|= bytes;
    setBound(shares.bytes);
}

/// A server has ended. Without any there is no bound.
pub fn takeShare(bytes: usize) void {
    shares.mutex.lock();
    defer shares.mutex.unlock();
    shares.bytes -|= bytes;
    setBound(if (shares.bytes == 0) std.math.maxInt(usize) else shares.bytes);
}

/// For tests: `count` allocations succeed, all further ones fail; null lets all succeed.
pub fn failAfter(count: ?u32) void {
    fails_once.store(false, .monotonic);
    grace.store(count orelse std.math.maxInt(i64), .monotonic);
}

/// For tests: `count` allocations succeed, the next one fails, all further ones succeed.
pub fn failOnceAfter(count: u32) void {
    fails_once.store(true, .monotonic);
    grace.store(count, .monotonic);
}

/// The same memory for Zig.
pub const allocator: Allocator = .{ .ptr = undefined, .vtable = &.{
    .alloc = zigAlloc,
    .resize = Allocator.noResize,
    .remap = Allocator.noRemap,
    .free = zigFree,
} };

fn zigAlloc(_: *anyopaque, len: usize, alignment: Alignment, _: usize) ?[*]u8 {
    if (alignment.toByteUnits() <= @alignOf(std.c.max_align_t)) return @ptrCast(take(len));
    return @ptrCast(takeAligned(alignment.toByteUnits(), len));
}

fn zigFree(_: *anyopaque, old: []u8, _: Alignment, _: usize) void {
    give(old.ptr);
}

/// The C library's blocks. That of Windows frees those of an alignment by another function than the
/// rest.
const blocks = if (builtin.os.tag == .windows) headed else struct {
    const alloc = c.malloc;
    const free = c.free;

    fn allocAligned(alignment: usize, size: usize) ?*anyopaque {
        // C11: the size is a multiple of the alignment.
        return aligned_alloc(alignment, std.mem.alignForward(usize, size, alignment));
    }

    extern "c" fn aligned_alloc(alignment: usize, size: usize) ?*anyopaque;

    const sizeOf = if (builtin.os.tag == .macos) malloc_size else malloc_usable_size;
    extern "c" fn malloc_size(?*const anyopaque) usize;
    extern "c" fn malloc_usable_size(?*const anyopaque) usize;
};

/// Blocks of any alignment that are all freed in one way: what they lie in is noted before them.
const headed = struct {
    const Header = extern struct { held: ?*anyopaque, size: usize };

    fn alloc(size: usize) ?*anyopaque {
        return allocAligned(@alignOf(std.c.max_align_t), size);
    }

    fn allocAligned(alignment: usize, size: usize) ?*anyopaque {
        assert(alignment >= @alignOf(Header));
        const more = alignment + @sizeOf(Header);
        const held = c.malloc(std.math.add(usize, size, more) catch return null) orelse return null;
        const first = @intFromPtr(held) + @sizeOf(Header);
        const block: *anyopaque = @ptrFromInt(std.mem.alignForward(usize, first, alignment));
        headerOf(block).* = .{ .held = held, .size = size };
        return block;
    }

    fn free(block: *anyopaque) void {
        c.free(headerOf(block).held);
    }

    fn sizeOf(block: *const anyopaque) usize {
        return headerOf(@constCast(block)).size;
    }

    fn headerOf(block: *anyopaque) *Header {
        return @ptrFromInt(@intFromPtr(block) - @sizeOf(Header));
    }
};

fn take(size: usize) ?*anyopaque {
    if (!mayTake(size)) return null;
    return noted(blocks.alloc(@max(size, 1)));
}

fn takeAligned(alignment: usize, size: usize) ?*anyopaque {
    if (!mayTake(size)) return null;
    return noted(blocks.allocAligned(alignment, @max(size, 1)));
}

fn give(block: ?*anyopaque) void {
    const held = block orelse return;
    _ = held_bytes.fetchSub(blocks.sizeOf(held), .monotonic);
    blocks.free(held);
}

fn mayTake(size: usize) bool {
    const has_room = held_bytes.load(.monotonic) +| size <= bytes_max.load(.monotonic);
    if (has_room and hasGrace()) return true;
    _ = refused_count.fetchAdd(1, .monotonic);
    return false;
}

fn hasGrace() bool {
    if (grace.load(.monotonic) == std.math.maxInt(i64)) return true;
    const left = grace.fetchSub(1, .monotonic);
    return left > 0 or (left < 0 and fails_once.load(.monotonic));
}

fn noted(block: ?*anyopaque) ?*anyopaque {
    const held = block orelse return null;
    _ = held_bytes.fetchAdd(blocks.sizeOf(held), .monotonic);
    _ = taken_count.fetchAdd(1, .monotonic);
    return held;
}

// What picotls is compiled to call (scripts/lib/tls.mjs).

fn tlsMalloc(size: usize) callconv(.c) ?*anyopaque {
    return take(size);
}

fn tlsCalloc(count: usize, size: usize) callconv(.c) ?*anyopaque {
    const bytes = std.math.mul(usize, count, size) catch return null;
    const block = take(bytes) orelse return null;
    @memset(@as([*]u8, @ptrCast(block))[0..bytes], 0);
    return block;
}

fn tlsRealloc(old: ?*anyopaque, size: usize) callconv(.c) ?*anyopaque {
    const block = old orelse return take(size);
    if (size == 0) {
        give(block);
        return null;
    }
    const fresh = take(size) orelse return null;
    const kept = @min(blocks.sizeOf(block), size);
    @memcpy(@as([*]u8, @ptrCast(fresh))[0..kept], @as([*]const u8, @ptrCast(block))[0..kept]);
    give(block);
    return fresh;
}

fn tlsFree(block: ?*anyopaque) callconv(.c) void {
    give(block);
}

fn tlsAlignedAlloc(alignment: usize, size: usize) callconv(.c) ?*anyopaque {
    return takeAligned(alignment, size);
}

fn tlsPosixMemalign(out: *?*anyopaque, alignment: usize, size: usize) callconv(.c) c_int {
    out.* = takeAligned(alignment, size) orelse return @intFromEnum(c.E.NOMEM);
    return 0;
}

comptime {
    const functions = .{
        .{ "malloc", &tlsMalloc },
        .{ "calloc", &tlsCalloc },
        .{ "realloc", &tlsRealloc },
        .{ "free", &tlsFree },
        .{ "aligned_alloc", &tlsAlignedAlloc },
        .{ "posix_memalign", &tlsPosixMemalign },
    };
    // A DLL's exports cannot be hidden: it has its own functions of the name all the same.
    const visibility = if (builtin.os.tag == .windows) .default else .hidden;
    for (functions) |function| @export(function[1], .{
        .name = "gyrfalcon_tls_" ++ function[0],
        .visibility = visibility,
    });
}

// What OpenSSL is told to call, before it allocates for the first time.

const File = ?[*:0]const u8;

extern fn CRYPTO_set_mem_functions(
    malloc: *const fn (usize, File, c_int) callconv(.c) ?*anyopaque,
    realloc: *const fn (?*anyopaque, usize, File, c_int) callconv(.c) ?*anyopaque,
    free: *const fn (?*anyopaque, File, c_int) callconv(.c) void,
) c_int;

fn sslMalloc(size: usize, _: File, _: c_int) callconv(.c) ?*anyopaque {
    return take(size);
}

fn sslRealloc(old: ?*anyopaque, size: usize, _: File, _: c_int) callconv(.c) ?*anyopaque {
    return tlsRealloc(old, size);
}

fn sslFree(block: ?*anyopaque, _: File, _: c_int) callconv(.c) void {
    give(block);
}

var openssl_is_told = std.once(tellOpenssl);

fn tellOpenssl() void {
    // It refuses once it has allocated: this is called before everything else that calls it.
    std.debug.assert(CRYPTO_set_mem_functions(&sslMalloc, &sslRealloc, &sslFree) == 1);
}

/// Before the first call of OpenSSL.
pub fn init() void {
    openssl_is_told.call();
}

test "blocks with a header have their alignment and size, and are freed" {
    for ([_]usize{ 16, 32, 64, 4096 }) |alignment| {
        const block = headed.allocAligned(alignment, 100).?;
        defer headed.free(block);
        try std.testing.expect(std.mem.isAligned(@intFromPtr(block), alignment));
        try std.testing.expectEqual(100, headed.sizeOf(block));
        @memset(@as([*]u8, @ptrCast(block))[0..100], 0xff);
        try std.testing.expectEqual(100, headed.sizeOf(block));
    }
    try std.testing.expectEqual(null, headed.alloc(std.math.maxInt(usize)));
}

test "the bound is what the servers that run may take together" {
    const before = bytes_max.load(.monotonic);
    defer setBound(before);
    addShare(1 << 30);
    addShare(1 << 20);
    try std.testing.expectEqual((1 << 30) + (1 << 20), bytes_max.load(.monotonic));
    takeShare(1 << 30);
    try std.testing.expectEqual(1 << 20, bytes_max.load(.monotonic));
    takeShare(1 << 20);
    try std.testing.expectEqual(std.math.maxInt(usize), bytes_max.load(.monotonic));
}
