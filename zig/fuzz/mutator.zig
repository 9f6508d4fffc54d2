//! Makes inputs for a fuzzer out of its corpus: cut, doubled, spliced, sprinkled with words and odd
//! bytes.
const std = @import("std");

const Mutation = enum {
    flip,
    odd_byte,
    insert_odd,
    word,
    replace,
    delete,
    double,
    splice,
    truncate,
};

pub const Mutator = struct {
    /// At least one input.
    corpus: []const []const u8,
    words: []const []const u8,

    /// Longest input, bytes; also of a corpus file.
    pub const input_bytes_max = 64 * 1024;

    /// An input in `buffer`, decided by `random` alone.
    pub fn make(mutator: Mutator, random: std.Random, buffer: *[input_bytes_max]u8) []const u8 {
        var draft = Draft{ .buffer = buffer };
        const base = mutator.pickInput(random);
        @memcpy(buffer[0..base.len], base);
        draft.len = base.len;
        for (0..1 + random.uintLessThan(usize, 6)) |_| mutator.mutate(random, &draft);
        return buffer[0..draft.len];
    }

    fn pickInput(mutator: Mutator, random: std.Random) []const u8 {
        return mutator.corpus[random.uintLessThan(usize, mutator.corpus.len)];
    }

    fn mutate(mutator: Mutator, random: std.Random, draft: *Draft) void {
        const at = random.uintAtMost(usize, draft.len);
        switch (random.enumValue(Mutation)) {
            .flip => if (at < draft.len) {
                draft.buffer[at] ^= @as(u8, 1) << random.int(u3);
            },
            .odd_byte => if (at < draft.len) {
                draft.buffer[at] = oddByte(random);
            },
            .insert_odd => draft.insert(at, &.{oddByte(random)}),
            .word => draft.insert(at, mutator.pickWord(random)),
            .replace => {
                const word = mutator.pickWord(random);
                draft.delete(at, word.len);
                draft.insert(@min(at, draft.len), word);
            },
            .delete => draft.delete(at, 1 + random.uintLessThan(usize, 16)),
            .double => {
                var copy: [64]u8 = undefined;
                const len = @min(draft.len - at, 1 + random.uintLessThan(usize, copy.len));
                @memcpy(copy[0..len], draft.buffer[at..][0..len]);
                const often = random.uintLessThan(u8, 16) == 0;
                for (0..if (often) 200 else 1) |_| draft.insert(at, copy[0..len]);
            },
            .splice => {
                const other = mutator.pickInput(random);
                const from = random.uintAtMost(usize, other.len);
                draft.len = at;
                draft.insert(at, other[from..]);
            },
            .truncate => draft.len = at,
        }
    }

    fn pickWord(mutator: Mutator, random: std.Random) []const u8 {
        return mutator.words[random.uintLessThan(usize, mutator.words.len)];
    }

    fn oddByte(random: std.Random) u8 {
        const odd = "\x00\r\n\t :;,=\"%/?#.-+_09aFgz\x1f\x7f\x80\xff";
        return if (random.boolean()) odd[random.uintLessThan(usize, odd.len)] else random.int(u8);
    }
};

const Draft = struct {
    buffer: *[Mutator.input_bytes_max]u8,
    len: usize = 0,

    /// Inserts as much as there is room for.
    fn insert(draft: *Draft, at: usize, bytes: []const u8) void {
        const len = @min(bytes.len, draft.buffer.len - draft.len);
        std.mem.copyBackwards(u8, draft.buffer[at + len ..], draft.buffer[at..draft.len]);
        @memcpy(draft.buffer[at..][0..len], bytes[0..len]);
        draft.len += len;
    }

    fn delete(draft: *Draft, at: usize, count: usize) void {
        const len = @min(count, draft.len - at);
        std.mem.copyForwards(u8, draft.buffer[at..], draft.buffer[at + len .. draft.len]);
        draft.len -= len;
    }
};

/// Ends of the reads that an input arrives in, ascending, the input's own end not among them: none,
/// one, many or every byte. Returns a slice of `out`.
pub fn cutsOf(len: usize, random: std.Random, out: []usize) []const usize {
    if (len == 0 or out.len == 0) return out[0..0];
    const every_byte = len <= out.len and random.uintLessThan(u8, 8) == 0;
    if (every_byte) {
        for (out[0..len], 0..) |*cut, i| cut.* = i;
        return out[0..len];
    }
    const cuts = out[0..random.uintAtMost(usize, @min(out.len, 8))];
    for (cuts) |*cut| cut.* = random.uintLessThan(usize, len);
    std.mem.sort(usize, cuts, {}, std.sort.asc(usize));
    return cuts;
}

/// `error.InvariantBroken` unless `ok`; in every build mode.
pub fn require(ok: bool) error{InvariantBroken}!void {
    if (!ok) return error.InvariantBroken;
}

/// Whether `inner` lies inside `outer`.
pub fn isInside(outer: []const u8, inner: []const u8) bool {
    return @intFromPtr(inner.ptr) >= @intFromPtr(outer.ptr) and
        @intFromPtr(inner.ptr) + inner.len <= @intFromPtr(outer.ptr) + outer.len;
}
