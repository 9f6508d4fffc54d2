//! What the io_uring backend keeps: of an operation, in what its completion is told by; of a
//! stream, in its notes.

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
    unused: u16 = 0,

    pub fn of(stream: *io.Stream) *State {
        return @ptrCast(&stream.notes);
    }
};

/// What the kernel has of a stream.
pub const UnderWay = packed struct(u7) {
    receive: bool = false,
    input: bool = false,
    watch: bool = false,
    tell: bool = false,
    room: bool = false,
    accept: bool = false,
    connect: bool = false,

    const none: UnderWay = .{};

    pub fn isAny(self: UnderWay) bool {
        return self != none;
    }
};
