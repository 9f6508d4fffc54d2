//! What the io_uring backend has received and not told yet.

const std = @import("std");
const io = @import("io.zig");
const ring_file = @import("ring.zig");
const Completion = ring_file.Completion;
const Ring = ring_file.Ring;
const Tag = @import("uring_state.zig").Tag;

/// Which streams may have input among the completions that they have not been told of: looked at
/// once each, however many streams are asked about.
pub const InputFilter = struct {
    /// By hash of the slot.
    bits: std.StaticBitSet(1024) = .initEmpty(),
    is_made: bool = false,
    /// Where the completions end that were looked at.
    noted: u32 = 0,

    /// `held`: what was taken from the ring and not told yet.
    pub fn mayHave(
        self: *InputFilter,
        kernel: *const Ring,
        held: []const Completion,
        token: io.Token,
    ) bool {
        const head = kernel.completion_head.*;
        if (!self.is_made) {
            self.* = .{ .is_made = true, .noted = head };
            for (held) |completion| self.note(completion);
        }
        const waiting = kernel.waiting();
        const behind: i32 = @bitCast(self.noted -% head);
        var index: u32 = @intCast(@max(behind, 0));
        while (index < waiting) : (index += 1) self.note(kernel.peek(index));
        self.noted = head +% waiting;
        return self.bits.isSet(indexOf(token.slot));
    }

    pub fn note(self: *InputFilter, completion: Completion) void {
        const tag: Tag = @bitCast(completion.user_data);
        if (tag.operation == .receive and completion.res >= 0) self.bits.set(indexOf(tag.slot));
    }

    /// What it knows is of completions that are about to be told.
    pub fn forget(self: *InputFilter) void {
        self.is_made = false;
    }

    fn indexOf(slot: u32) usize {
        return slot % 1024;
    }
};
