//! One execution of a program, as the C11 memory model sees it: events, who reads from whom, and
//! the order of the writes to each place. Events are added one at a time, each after what it reads
//! from; an event that the model forbids there is refused.
//!
//! The model is RC11 (Lahav et al., "Repairing Sequential Consistency in C/C++11", PLDI 2017), with
//! the release sequences of C++20:
//! - happens-before is program order and synchronisation, closed transitively. A read that acquires
//!   synchronises with a write that releases when it reads from it, or from a chain of
//!   read-modify-writes that begins there;
//! - coherence: each place has one order of writes, which no thread sees backwards;
//! - a read-modify-write reads from the write just before its own;
//! - the sequentially consistent events have one order that agrees with program order, with
//!   happens-before, with the orders of writes, and with reads that come before the write that they
//!   did not see ("psc" is acyclic).
//! What it leaves out:
//! - fences: Zig has none;
//! - load buffering: nothing reads from what comes after it in program order and reads-from
//!   together. C11 allows that to relaxed accesses. It takes a cycle with two reads in it that
//!   synchronise with nothing; of the orders of the protocol, `awake` alone is relaxed;
//! - accesses of different sizes to one place.

const std = @import("std");
const assert = std.debug.assert;
const program_file = @import("program.zig");
const Order = program_file.Order;
const Place = program_file.Place;
const threads_max = program_file.threads_max;

pub const events_max = 64;
const place_count = std.meta.fields(Place).len;

/// A set of events.
const Set = u64;

pub const EventId = u8;
/// The write that each place begins with.
pub const initial: EventId = 255;

pub const Event = struct {
    thread: u8,
    /// Of the thread's events.
    number: u8,
    place: Place,
    kind: Kind,
    /// Null: plain memory.
    order: ?Order,
    /// The write that it reads from; `initial` for stores.
    source: EventId = initial,
    value_read: u32 = 0,
    value_written: u32 = 0,
    /// What happens before it.
    before: Set = 0,

    pub const Kind = enum { load, store, modify };

    pub fn reads(e: *const Event) bool {
        return e.kind != .store;
    }

    pub fn writes(e: *const Event) bool {
        return e.kind != .load;
    }

    fn acquires(e: *const Event) bool {
        const order = e.order orelse return false;
        return e.reads() and switch (order) {
            .acquire, .acq_rel, .seq_cst => true,
            else => false,
        };
    }

    fn releases(e: *const Event) bool {
        const order = e.order orelse return false;
        return e.writes() and switch (order) {
            .release, .acq_rel, .seq_cst => true,
            else => false,
        };
    }

    fn isSequential(e: *const Event) bool {
        return e.order != null and e.order.? == .seq_cst;
    }
};

pub const Execution = struct {
    events: std.BoundedArray(Event, events_max) = .{},
    /// Per place its writes, in their order; the initial one is not in it.
    writes: [place_count]std.BoundedArray(EventId, events_max) = @splat(.{}),
    last_of: [threads_max]?EventId = @splat(null),
    counts: [threads_max]u8 = @splat(0),

    pub const Added = enum { yes, forbidden, race };

    /// Writes of `place`, oldest first, without the initial one.
    pub fn writesTo(x: *const Execution, place: Place) []const EventId {
        return x.writes[@intFromEnum(place)].constSlice();
    }

    /// How many writes of `place` a new event of `thread` cannot come before: those that happen
    /// before it, or that something that happens before it has read. A load may read from the last
    /// of them and from later ones; a store may come right behind it or later.
    pub fn floor(x: *const Execution, thread: u8, place: Place) usize {
        const before = x.programBefore(thread);
        var lowest: usize = 0;
        for (x.writesTo(place), 1..) |id, rank| {
            if (before & bit(id) != 0) lowest = rank;
        }
        var rest = before;
        while (rest != 0) : (rest &= rest - 1) {
            const e = &x.events.buffer[@ctz(rest)];
            if (e.place == place and e.reads()) lowest = @max(lowest, x.rankOf(place, e.source));
        }
        return lowest;
    }

    /// 0 for the initial write, 1 for the one behind it.
    fn rankOf(x: *const Execution, place: Place, id: EventId) usize {
        if (id == initial) return 0;
        return std.mem.indexOfScalar(EventId, x.writesTo(place), id).? + 1;
    }

    /// The write of a rank.
    pub fn writeAt(x: *const Execution, place: Place, rank: usize) EventId {
        return if (rank == 0) initial else x.writesTo(place)[rank - 1];
    }

    pub fn valueOf(x: *const Execution, id: EventId) u32 {
        return if (id == initial) 0 else x.events.buffer[id].value_written;
    }

    /// Whether a write can come right behind the one of `rank`: not between a read-modify-write and
    /// what it has read.
    pub fn canFollow(x: *const Execution, place: Place, rank: usize) bool {
        const all = x.writesTo(place);
        return rank == all.len or x.events.buffer[all[rank]].kind != .modify;
    }

    /// Adds an event of `thread`, which reads from the write of `rank`, or writes right behind it,
    /// or both. `rank` is not below `floor`, and `canFollow` where it writes.
    pub fn addEvent(x: *Execution, new: Event, rank: usize) error{TooLong}!Added {
        var e = new;
        const place = e.place;
        assert(rank >= x.floor(e.thread, place) and rank <= x.writesTo(place).len);
        assert(!e.writes() or x.canFollow(place, rank));
        const id: EventId = @intCast(x.events.len);
        e.number = x.counts[e.thread];
        e.before = x.programBefore(e.thread);
        if (e.reads()) {
            e.source = x.writeAt(place, rank);
            e.value_read = x.valueOf(e.source);
            if (e.acquires()) e.before |= x.releasedBy(e.source);
        }
        x.events.append(e) catch return error.TooLong;
        if (e.writes()) {
            x.writes[@intFromEnum(place)].insert(rank, id) catch unreachable; // as many as events
        }
        x.last_of[e.thread] = id;
        x.counts[e.thread] += 1;
        if (x.races(id)) return .race;
        return if (x.isSequential()) .yes else .forbidden;
    }

    /// What happens before the next event of `thread` by program order alone.
    fn programBefore(x: *const Execution, thread: u8) Set {
        const last = x.last_of[thread] orelse return 0;
        return x.events.buffer[last].before | bit(last);
    }

    /// What a read that acquires learns of by reading from `source`: the releasing writes at the
    /// head of the release sequences that it belongs to, and what happened before them.
    fn releasedBy(x: *const Execution, source: EventId) Set {
        var learnt: Set = 0;
        var at = source;
        while (at != initial) {
            const e = &x.events.buffer[at];
            if (e.releases()) learnt |= e.before | bit(at);
            if (e.kind != .modify) break;
            at = e.source;
        }
        return learnt;
    }

    /// The newest event and one that neither happens before it nor after: one of them writes, one
    /// of them is to plain memory.
    fn races(x: *const Execution, id: EventId) bool {
        const e = &x.events.buffer[id];
        for (x.events.constSlice()[0..id], 0..) |*other, i| {
            if (other.place != e.place or e.before & bit(@intCast(i)) != 0) continue;
            if (!other.writes() and !e.writes()) continue;
            if (other.order == null or e.order == null) return true;
        }
        return false;
    }

    /// Whether the sequentially consistent events can have one order: psc of RC11, fences left out.
    fn isSequential(x: *const Execution) bool {
        const count = x.events.len;
        var sequential: Set = 0;
        for (x.events.constSlice(), 0..) |*e, i| {
            if (e.isSequential()) sequential |= bit(@intCast(i));
        }
        if (@popCount(sequential) < 2) return true;
        // By event, the events after it.
        var program: [events_max]Set = @splat(0);
        var happens: [events_max]Set = @splat(0);
        var same_place: [place_count]Set = @splat(0);
        for (x.events.constSlice(), 0..) |*e, i| {
            same_place[@intFromEnum(e.place)] |= bit(@intCast(i));
            var rest = e.before;
            while (rest != 0) : (rest &= rest - 1) {
                const earlier: usize = @ctz(rest);
                happens[earlier] |= bit(@intCast(i));
                if (x.events.buffer[earlier].thread == e.thread) {
                    program[earlier] |= bit(@intCast(i));
                }
            }
        }
        var after: [events_max]Set = @splat(0);
        for (0..count) |i| {
            if (sequential & bit(@intCast(i)) == 0) continue;
            const place = x.events.buffer[i].place;
            const others = ~same_place[@intFromEnum(place)];
            // sb; sb to another place, hb, sb from another place; hb to the same place.
            var found = program[i] | (happens[i] & ~others);
            var reached = across(program[i] & others, &happens);
            while (reached != 0) : (reached &= reached - 1) {
                const at: usize = @ctz(reached);
                found |= program[at] & ~same_place[@intFromEnum(x.events.buffer[at].place)];
            }
            found |= x.modifiedAfter(@intCast(i));
            after[i] = found & sequential;
        }
        return isAcyclic(sequential, &after);
    }

    fn across(from: Set, relation: *const [events_max]Set) Set {
        var found: Set = 0;
        var rest = from;
        while (rest != 0) : (rest &= rest - 1) found |= relation[@ctz(rest)];
        return found;
    }

    /// The writes behind what `id` has written (mo), and behind what it has read (rb).
    fn modifiedAfter(x: *const Execution, id: EventId) Set {
        const e = &x.events.buffer[id];
        const own = if (e.writes()) id else e.source;
        var found: Set = 0;
        for (x.writesTo(e.place)[x.rankOf(e.place, own)..]) |later| found |= bit(later);
        return found;
    }

    fn isAcyclic(all: Set, after: *const [events_max]Set) bool {
        var left = all;
        while (left != 0) {
            // Whatever has nothing left behind it is last.
            const before = left;
            var rest = left;
            while (rest != 0) : (rest &= rest - 1) {
                const at = @ctz(rest);
                if (after[at] & left == 0) left &= ~bit(@intCast(at));
            }
            if (left == before) return false;
        }
        return true;
    }

    fn bit(id: EventId) Set {
        return @as(Set, 1) << @intCast(id);
    }
};
