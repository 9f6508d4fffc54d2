//! Who a thread works as. A worker may be run by several threads, one at a time, which may come and
//! go: what is kept for each reader of something shared (a pin of a cache) is kept by the worker's
//! number, so that nothing of it stays behind with a thread. A thread that runs no worker has a
//! number of its own.

const std = @import("std");

var next: std.atomic.Value(u64) = .init(1);
threadlocal var own: u64 = 0;

/// A number that nobody else in the process has or had; not 0.
pub fn make() u64 {
    return next.fetchAdd(1, .monotonic);
}

/// Whom the calling thread works as.
pub fn current() u64 {
    if (own == 0) own = make();
    return own;
}

/// From here on the calling thread works as `token`. Returns what this is to be given when it has
/// done so; 0: as nobody.
pub fn put(token: u64) u64 {
    defer own = token;
    return own;
}

test "a thread has a number of its own, but for while it works as a worker" {
    const before = put(0);
    defer _ = put(before);
    const mine = current();
    try std.testing.expectEqual(mine, current());
    const worker = make();
    try std.testing.expect(worker != mine);
    const kept = put(worker);
    try std.testing.expectEqual(worker, current());
    try std.testing.expectEqual(worker, put(kept));
    try std.testing.expectEqual(mine, current());
}
