//! Common pools that nobody takes all of.

/// Whether who has `has` of a pool of which `left` are left may take one more: a few in any case,
/// many as long as no fewer are left for the others.
pub fn mayTake(has: usize, left: usize) bool {
    return left > 0 and (has <= few or left >= has);
}

const few = 8;

const expectEqual = @import("std").testing.expectEqual;

test "a few are for everybody, half at most for one" {
    try expectEqual(false, mayTake(0, 0));
    try expectEqual(true, mayTake(8, 1));
    try expectEqual(false, mayTake(9, 8));
    try expectEqual(true, mayTake(9, 9));
}
