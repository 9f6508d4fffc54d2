//! What the io_uring backend keeps: of an operation, in what its completion is told by; of a
//! stream, in its notes.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;
const limits = @import("../core/limits.zig");
const io = @import("io.zig");

pub const no_token: io.Token = .{ .slot = 0, .kind = .internal };

/// What a completion is told by: a token, whose slot has room in 24 bits, and the operation.
pub const Tag = packed struct(u64) {
    slot: u24,
    generation: u28,
    kind: io.Token.Of,
    operation: Operation,

    pub fn of(token: io.Token, operation: Operation) Tag {
        return .{
            .slot = @intCast(token.slot),
            .generation = token.generation,
            .kind = token.kind,
            .operation = operation,
        };
    }

    pub fn named(self: Tag) io.Token {
        return .{ .slot = self.slot, .generation = self.generation, .kind = self.kind };
    }
};

/// Of completions that nobody waits for.
pub const nobody: u64 = @bitCast(Tag.of(no_token, .cancel));

pub const Operation = enum(u8) {
    /// Bytes, again and again.
    receive,
    /// Bytes can be received, where there were no buffers to receive them into.
    input,
    /// While nothing is received: the peer's end, a reset.
    watch,
    /// What the watch has seen is to be told: completes at once.
    tell,
    /// Room for bytes to be sent.
    room,
    /// Memory is sent from where it is: completes once with what was sent, and again when the
    /// kernel needs it no more.
    send,
    /// Somebody waits at a listener.
    accept,
    /// A connect has ended.
    connect,
    /// An operation is taken back; nobody waits for this.
    cancel,
    /// Another thread rings.
    bell,
};

/// What the backend notes of a stream.
pub const State = packed struct(u32) {
    /// Bytes are wanted; of a listener: connections.
    wants_input: bool = false,
    wants_room: bool = false,
    /// The peer's end was seen by the watch, and told ahead of what is unread.
    saw_end: bool = false,
    told_end: bool = false,
    /// The watch saw that the connection is gone.
    saw_reset: bool = false,
    /// The peer's end was received.
    at_end: bool = false,
    under_way: UnderWay = .{},
    /// The receive that is under way is being taken back.
    cancelling: bool = false,
    is_closing: bool = false,
    /// While closing: all that was under way has been taken back.
    is_cancelled: bool = false,
    /// The kernel copies what this one is sent all the same.
    is_copied: bool = false,
    /// In `ZeroCopies`.
    send_place: ZeroCopies.Place = 0,
    /// The kernel has forgotten what it was asked, or would not be asked: the next poll tells.
    is_lost: bool = false,
    /// That was a connect.
    lost_connect: bool = false,
    unused: u1 = 0,

    pub fn of(stream: *io.Stream) *State {
        return @ptrCast(&stream.notes);
    }
};

/// What the kernel has of a stream.
pub const UnderWay = packed struct(u9) {
    receive: bool = false,
    input: bool = false,
    watch: bool = false,
    tell: bool = false,
    room: bool = false,
    accept: bool = false,
    connect: bool = false,
    send: bool = false,
    /// What was sent is the kernel's still.
    notice: bool = false,

    const none: UnderWay = .{};

    pub fn isAny(self: UnderWay) bool {
        return self != none;
    }
};

/// How much of each piece that the kernel has was sent, bytes: told when it is the owner's again.
pub const ZeroCopies = struct {
    sent: []u32,
    /// Free places lie in front of it.
    free: []Place,
    free_count: usize = 0,

    pub const Place = u10;

    comptime {
        assert(limits.zero_copies_max <= 1 + std.math.maxInt(Place));
    }

    /// None can be had.
    pub const none: ZeroCopies = .{ .sent = &.{}, .free = &.{} };

    pub fn init(gpa: Allocator) Allocator.Error!ZeroCopies {
        const sent = try gpa.alloc(u32, limits.zero_copies_max);
        errdefer gpa.free(sent);
        const free = try gpa.alloc(Place, limits.zero_copies_max);
        for (free, 0..) |*place, i| place.* = @intCast(i);
        return .{ .sent = sent, .free = free, .free_count = free.len };
    }

    pub fn deinit(self: *ZeroCopies, gpa: Allocator) void {
        gpa.free(self.free);
        gpa.free(self.sent);
        self.* = undefined;
    }

    pub fn take(self: *ZeroCopies) ?Place {
        if (self.free_count == 0) return null;
        self.free_count -= 1;
        const place = self.free[self.free_count];
        self.sent[place] = 0;
        return place;
    }

    pub fn release(self: *ZeroCopies, place: Place) void {
        self.free[self.free_count] = place;
        self.free_count += 1;
    }
};
