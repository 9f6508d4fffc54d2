//! The memory orders of the protocol by which threads sleep and are woken. The code and the model
//! that is checked (zig/model) take them from here, so that they cannot drift apart.
//!
//! The sleeper sets its flag, looks once more for work, and sleeps when there is none. The waker
//! publishes work, and exchanges the flag to send one wake. Each side writes one word and then
//! looks at the other's: at least one of them has to see what the other wrote. Nothing short of
//! sequential consistency of all four accesses promises that; on arm64 a load that is merely
//! acquiring (`ldapr`) may pass an earlier store. JavaScript's `Atomics` are sequentially
//! consistent, all of them.
//!
//! Every order here is as weak as it can be: the model finds a wake that is lost, or bytes that are
//! read too early, with any of them weakened.

const Order = @import("std").builtin.AtomicOrder;

pub const Orders = struct {
    /// The sleeper: sets the flag, before its last look.
    asleep: Order,
    /// The sleeper: its last look at everything that others publish for it.
    look: Order,
    /// The sleeper: takes the flag down when it has woken. What it read late is looked at again
    /// before it sleeps the next time; a wake more costs time, not sense.
    awake: Order,
    /// The waker: publishes work, by a store or a read-modify-write.
    publish: Order,
    /// The waker: looks at the flag, before an exchange that would take its cache line away.
    peek: Order,
    /// The waker: exchanges the flag for 0, and wakes when it was 1.
    take: Order,
    /// Takes down a wish for room that it has seen, and then looks whether who had it sleeps.
    unwish: Order,
    /// Whoever is awake: reads a position that was published, and then what lies before it.
    read: Order,
    /// Gives a place back to its writer after the last read of it, where nobody sleeps for that.
    give_back: Order,
};

pub const wake: Orders = .{
    .asleep = .seq_cst,
    .look = .seq_cst,
    .awake = .monotonic,
    .publish = .seq_cst,
    .peek = .seq_cst,
    .take = .seq_cst,
    .unwish = .seq_cst,
    .read = .acquire,
    .give_back = .release,
};
