//! zlib-ng as it is called from here: raw DEFLATE (RFC 1951), its memory counted. build.zig
//! compiles it, where its sources are; what imports this file is linked with it.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;

/// Where a worker's compressors and decompressors take their memory. One thread uses it.
pub const Memory = struct {
    allocator: Allocator,
    /// What they may take together, bytes.
    bytes_max: usize,
    bytes: usize = 0,

    /// In front of each block: the library does not tell how long what it frees is.
    const Header = struct { len: usize };
    /// What the library asks of its blocks: a line of a cache.
    const alignment = 64;

    fn take(self: *Memory, len: usize) ?[*]u8 {
        const whole = alignment + len;
        if (whole > self.bytes_max -| self.bytes) return null;
        const block = self.allocator.alignedAlloc(u8, alignment, whole) catch return null;
        self.bytes += whole;
        const header: *Header = @ptrCast(block.ptr);
        header.len = whole;
        return block.ptr + alignment;
    }

    fn give(self: *Memory, bytes: [*]u8) void {
        const start: [*]align(alignment) u8 = @alignCast(bytes - alignment);
        const header: *const Header = @ptrCast(start);
        self.bytes -= header.len;
        self.allocator.free(start[0..header.len]);
    }

    pub fn create(self: *Memory, comptime T: type) error{OutOfMemory}!*T {
        return @ptrCast(@alignCast(self.take(@sizeOf(T)) orelse return error.OutOfMemory));
    }

    pub fn destroy(self: *Memory, comptime T: type, item: *T) void {
        self.give(@ptrCast(item));
    }

    fn zalloc(context: ?*anyopaque, items: c_uint, size: c_uint) callconv(.c) ?*anyopaque {
        const self: *Memory = @ptrCast(@alignCast(context.?));
        return self.take(@as(usize, items) * size);
    }

    fn zfree(context: ?*anyopaque, address: ?*anyopaque) callconv(.c) void {
        const self: *Memory = @ptrCast(@alignCast(context.?));
        self.give(@ptrCast(address orelse return));
    }
};

/// `zng_stream`. The library keeps its address: it stays where it is.
pub const Stream = extern struct {
    next_in: [*]const u8,
    avail_in: u32,
    total_in: usize,
    next_out: [*]u8,
    avail_out: u32,
    total_out: usize,
    msg: ?[*:0]const u8,
    state: ?*anyopaque,
    zalloc: *const fn (?*anyopaque, c_uint, c_uint) callconv(.c) ?*anyopaque,
    zfree: *const fn (?*anyopaque, ?*anyopaque) callconv(.c) void,
    context: ?*anyopaque,
    data_type: c_int,
    adler: u32,
    reserved: c_ulong,

    /// One that has nothing yet but where it takes memory.
    pub fn init(memory: *Memory) Stream {
        return .{
            .next_in = "",
            .avail_in = 0,
            .total_in = 0,
            .next_out = undefined,
            .avail_out = 0,
            .total_out = 0,
            .msg = null,
            .state = null,
            .zalloc = &Memory.zalloc,
            .zfree = &Memory.zfree,
            .context = memory,
            .data_type = 0,
            .adler = 0,
            .reserved = 0,
        };
    }

    /// What is to be read next; at most `avail_max`.
    pub fn setIn(self: *Stream, bytes: []const u8) void {
        self.next_in = bytes.ptr;
        self.avail_in = @intCast(bytes.len);
    }

    pub fn setOut(self: *Stream, bytes: []u8) void {
        self.next_out = bytes.ptr;
        self.avail_out = @intCast(bytes.len);
    }
};

/// Of input and output in one go, bytes.
pub const avail_max = 1 << 30;

pub const Flush = enum(i32) { none = 0, sync = 2 };

pub const Status = enum(i32) {
    ok = 0,
    stream_end = 1,
    need_dictionary = 2,
    stream_error = -2,
    data_error = -3,
    out_of_memory = -4,
    /// Nothing could be done.
    buffer_error = -5,
    _,
};

pub const deflated = 8;
pub const default_strategy = 0;

pub extern fn zng_deflateInit2(*Stream, i32, i32, i32, i32, i32) Status;
pub extern fn zng_deflate(*Stream, Flush) Status;
pub extern fn zng_deflateReset(*Stream) Status;
pub extern fn zng_deflateEnd(*Stream) Status;
pub extern fn zng_inflateInit2(*Stream, i32) Status;
pub extern fn zng_inflate(*Stream, Flush) Status;
pub extern fn zng_inflateReset(*Stream) Status;
/// As `zng_inflateReset`, with the window kept.
pub extern fn zng_inflateResetKeep(*Stream) Status;
pub extern fn zng_inflateEnd(*Stream) Status;
