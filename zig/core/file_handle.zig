//! Open files that several may send from at once. Each of them counts as an owner, and the last one
//! that lets go closes the descriptor. The counts are in a table by descriptor number, so that a
//! handle takes no memory of its own, and none has to be found when a file is opened.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("limits.zig");
const system = @import("system.zig");

const Owners = std.atomic.Value(u32);

/// Set beside the owners when a file was found not to be what it was when it was opened.
const doubt_bit: u32 = 1 << 31;

/// Zero where no descriptor of this number is held by a handle. Pages become resident when first
/// used.
var owners_by_number = std.mem.zeroes([limits.file_descriptor_max]Owners);

/// Most descriptors that all servers of the process keep open for files which may be asked for
/// again. Connections leave them alone.
pub var kept_max: std.atomic.Value(u32) = .init(0);

/// An open file. A copy of it is no owner: `retain` makes one. Any thread may call its functions.
pub const FileHandle = enum(u32) {
    _,

    /// Takes `descriptor` over; the caller is the only owner. Null, and the descriptor is closed,
    /// when its number is beyond what can be counted.
    pub fn adopt(descriptor: system.File) ?FileHandle {
        const number = system.numberOf(descriptor);
        if (number >= owners_by_number.len) {
            @branchHint(.cold);
            system.close(descriptor);
            return null;
        }
        const handle: FileHandle = @enumFromInt(number);
        // Nobody holds it by another handle.
        assert(handle.owners().load(.monotonic) & ~doubt_bit == 0);
        handle.owners().store(1, .monotonic);
        return handle;
    }

    /// For whoever sends from it.
    pub fn fd(self: FileHandle) system.File {
        return system.ofNumber(@intFromEnum(self));
    }

    /// Another owner, on behalf of one that there is.
    pub fn retain(self: FileHandle) FileHandle {
        const before = self.owners().fetchAdd(1, .monotonic);
        assert(before & ~doubt_bit > 0);
        return self;
    }

    /// One owner less. The last one closes the descriptor.
    pub fn release(self: FileHandle) void {
        const before = self.owners().fetchSub(1, .acq_rel) & ~doubt_bit;
        assert(before > 0);
        if (before == 1) system.close(self.fd());
    }

    /// Whether others than the caller, an owner, hold it. Nobody but an owner can add to them.
    pub fn isShared(self: FileHandle) bool {
        return self.owners().load(.acquire) & ~doubt_bit > 1;
    }

    /// It could not be sent as it was said to be: who keeps it open for later has to look again.
    pub fn doubt(self: FileHandle) void {
        _ = self.owners().fetchOr(doubt_bit, .monotonic);
    }

    pub fn isDoubted(self: FileHandle) bool {
        return self.owners().load(.monotonic) & doubt_bit != 0;
    }

    fn owners(self: FileHandle) *Owners {
        return &owners_by_number[@intFromEnum(self)];
    }
};

test "the last owner closes the descriptor, once" {
    const descriptor = try system.open("/dev/null", .{ .CLOEXEC = true }, 0);
    const first = FileHandle.adopt(descriptor).?;
    try std.testing.expectEqual(descriptor, first.fd());
    try std.testing.expect(!first.isShared());
    const second = first.retain();
    try std.testing.expect(first.isShared());
    first.release();
    _ = try system.fstat(descriptor);
    second.doubt();
    try std.testing.expect(second.isDoubted());
    second.release();
    try std.testing.expectError(error.BadDescriptor, system.fstat(descriptor));
}

test "owners come and go on several threads" {
    const descriptor = try system.open("/dev/null", .{ .CLOEXEC = true }, 0);
    const handle = FileHandle.adopt(descriptor).?;
    const Owner = struct {
        fn run(shared: FileHandle) void {
            for (0..10_000) |_| shared.retain().release();
            shared.release();
        }
    };
    var threads: [4]std.Thread = undefined;
    for (&threads) |*thread| thread.* = try std.Thread.spawn(.{}, Owner.run, .{handle.retain()});
    for (threads) |thread| thread.join();
    try std.testing.expect(!handle.isShared());
    _ = try system.fstat(descriptor);
    handle.release();
    try std.testing.expectError(error.BadDescriptor, system.fstat(descriptor));
}
