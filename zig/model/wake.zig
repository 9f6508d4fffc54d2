//! The protocols by which the engine's threads publish work, sleep and are woken, as programs of
//! the checker. The orders are those that the code uses (core/orders.zig); JavaScript's are
//! sequentially consistent (docs/BRIDGE.md). Comments name the functions whose steps these are.

const std = @import("std");
const orders = @import("../core/orders.zig");
const Orders = orders.Orders;
const p = @import("program.zig");
const Program = p.Program;
const Thread = p.Thread;

pub const Protocol = enum {
    sockets,
    requests,
    responses,
    table,
    accepting,
    request_room,
    response_room,
    reuse,

    /// One line for people.
    pub fn about(protocol: Protocol) []const u8 {
        return switch (protocol) {
            .sockets => "the acceptor hands sockets to a worker",
            .requests => "a worker writes requests to a JavaScript thread",
            .responses => "a JavaScript thread writes responses to a worker",
            .table => "a worker is told of a new table by one thread and of a socket by another",
            .accepting => "the acceptor waits for room, two workers close connections",
            .request_room => "a worker waits for room in the request ring",
            .response_room => "a JavaScript thread waits for room in the response ring",
            .reuse => "a place in a queue is written again when it was read",
        };
    }

    /// `o`: of the engine's side.
    pub fn program(protocol: Protocol, o: Orders) Program {
        return switch (protocol) {
            .sockets => .of(&.{ waker("acceptor", o, .exchange), sleeper("worker", o) }),
            .requests => .of(&.{ waker("worker", o, .look_first), sleeper("thread", javascript) }),
            .responses => .of(&.{ waker("thread", javascript, .look_first), sleeper("worker", o) }),
            .table => .of(&.{ reloader(o), acceptor(o), sleeperOfTwo("worker", .asleep, o) }),
            .accepting => .of(&.{
                closer("worker 1", .tail, o),
                closer("worker 2", .tail_2, o),
                sleeperOfTwo("acceptor", .wish, o),
            }),
            .request_room => .of(&.{ writer(.worker, o, .repeated), reader(javascript) }),
            .response_room => .of(&.{ writer(.thread, javascript, .repeated), reader(o) }),
            .reuse => .of(&.{ producer(o), consumer(o) }),
        };
    }
};

/// What `Atomics` are.
const javascript: Orders = blk: {
    var all: Orders = undefined;
    for (std.meta.fields(Orders)) |field| @field(all, field.name) = .seq_cst;
    break :blk all;
};

/// How the flag is taken.
const Taking = enum {
    /// Port.wake
    exchange,
    /// Lane.flush of both sides: most of the time nobody sleeps, and a look is cheaper.
    look_first,
};

/// Publishes twice, each time with the plain memory that it is about.
fn waker(name: []const u8, o: Orders, taking: Taking) Thread {
    var thread: Thread = .{ .name = name };
    // Spsc.push; Producer.publish
    thread.add(&.{ p.write(.item, 1), p.store(.tail, 1, o.publish) });
    takeAndRing(&thread, .asleep, o, taking);
    thread.add(&.{ p.write(.item_2, 2), p.store(.tail, 2, o.publish) });
    takeAndRing(&thread, .asleep, o, taking);
    return thread;
}

fn takeAndRing(thread: *Thread, flag: p.Place, o: Orders, taking: Taking) void {
    if (taking == .look_first) thread.add(&.{
        p.load(.a, flag, o.peek),
        p.goIf(.a, .equal, 0, .next),
    });
    thread.add(&.{
        p.exchange(.a, flag, 0, o.take),
        p.goIf(.a, .equal, 0, .next),
        p.ring(.bell),
        p.label(.next),
    });
}

/// Takes all that was published, sleeps when there is nothing, until both have come.
fn sleeper(name: []const u8, o: Orders) Thread {
    return .of(name, &.{
        p.label(.again),
        // Spsc.pop; Consumer.next
        p.load(.a, .tail, o.read),
        p.goIf(.a, .equal, 0, .rest),
        p.read(.b, .item),
        p.expect(.b, 1),
        p.goIf(.a, .equal, 1, .rest),
        p.read(.b, .item_2),
        p.expect(.b, 2),
        p.goto(.done),
        // Worker.beginTurn, Worker.timeout; Channel.endTurn
        p.label(.rest),
        p.store(.asleep, 1, o.asleep),
        p.load(.b, .tail, o.look),
        p.goIfSame(.a, .b, .sleep),
        p.poll(.bell),
        p.goto(.awake),
        p.label(.sleep),
        p.sleep(.bell),
        // Worker.onAwake; Channel.turn
        p.label(.awake),
        p.store(.asleep, 0, o.awake),
        p.goto(.again),
        p.label(.done),
    });
}

/// Instance.reload: the table is exchanged, not stored.
fn reloader(o: Orders) Thread {
    var thread: Thread = .of("reload", &.{p.exchange(.a, .tail, 1, o.publish)});
    takeAndRing(&thread, .asleep, o, .exchange);
    return thread;
}

fn acceptor(o: Orders) Thread {
    var thread: Thread = .of("acceptor", &.{p.store(.tail_2, 1, o.publish)});
    takeAndRing(&thread, .asleep, o, .exchange);
    return thread;
}

/// Worker.reap, Acceptor.onRoom: one connection fewer.
fn closer(name: []const u8, open: p.Place, o: Orders) Thread {
    var thread: Thread = .of(name, &.{p.add(open, 1, o.publish)});
    takeAndRing(&thread, .wish, o, .look_first);
    return thread;
}

/// Looks at two places that others publish.
fn sleeperOfTwo(name: []const u8, flag: p.Place, o: Orders) Thread {
    return .of(name, &.{
        p.label(.again),
        p.load(.a, .tail, o.read),
        p.load(.b, .tail_2, o.read),
        p.goIf(.a, .equal, 0, .rest),
        p.goIf(.b, .equal, 1, .done),
        // Worker.timeout, Dispatcher.hasWork; Acceptor.retry
        p.label(.rest),
        p.store(flag, 1, o.asleep),
        p.load(.c, .tail, o.look),
        p.load(.d, .tail_2, o.look),
        p.goIfSame(.a, .c, .next),
        p.goto(.awake),
        p.label(.next),
        p.goIfSame(.b, .d, .sleep),
        p.goto(.awake),
        p.label(.sleep),
        p.sleep(.bell),
        p.label(.awake),
        p.store(flag, 0, o.awake),
        p.goto(.again),
        p.label(.done),
    });
}

/// Whether the wish for room is stated anew before each sleep. It was not always, and a wake got
/// lost: the reader takes a wish down and finds nobody asleep; the writer finds too little room for
/// it, sleeps, and nobody knows of its wish any more.
const Wish = enum { once, repeated };
pub const Writer = enum { worker, thread };

/// As `request_room` and `response_room`, and the wish is stated when the ring is found full alone.
pub fn wishedOnce(who: Writer) Program {
    return switch (who) {
        .worker => .of(&.{ writer(.worker, orders.wake, .once), reader(javascript) }),
        .thread => .of(&.{ writer(.thread, javascript, .once), reader(orders.wake) }),
    };
}

/// Waits until all of a ring is free, which its reader frees in two parts.
fn writer(who: Writer, o: Orders, wish: Wish) Thread {
    var thread: Thread = .of(@tagName(who), &.{
        // Producer.reserve; RingWriter.reserve
        p.label(.again),
        p.load(.a, .head, o.look),
        p.goIf(.a, .equal, 2, .done),
        // Lane.reserve; RingWriter.room
        p.store(.wish, 1, o.asleep),
        p.load(.b, .head, o.look),
        p.goIf(.b, .equal, 2, .done),
        p.label(.rest),
        p.store(.asleep, 1, o.asleep),
    });
    // Lane.hasRoomOrWishes; RingWriter.hasRoomOrWishes
    if (wish == .repeated) thread.add(&.{p.store(.wish, 1, o.asleep)});
    thread.add(&.{
        p.load(.c, .head, o.look),
        p.goIfSame(.b, .c, .sleep),
        p.poll(.bell),
        p.goto(.awake),
        p.label(.sleep),
        p.sleep(.bell),
        p.label(.awake),
        p.store(.asleep, 0, o.awake),
    });
    // Dispatcher.onTurn asks Lane.hasRoomAgain first; Channel.retry tries at once.
    if (who == .worker) thread.add(&.{
        p.load(.c, .head, o.look),
        p.goIfSame(.b, .c, .rest),
    });
    thread.add(&.{ p.goto(.again), p.label(.done) });
    return thread;
}

/// Gives the ring back in two parts, and looks after each whether somebody waits for it.
fn reader(o: Orders) Thread {
    var thread: Thread = .{ .name = "reader" };
    for ([_]u32{ 1, 2 }) |head| {
        // Consumer.release, Lane.flush; RingReader.release, Lane.flush
        thread.add(&.{
            p.store(.head, head, o.publish),
            p.load(.a, .wish, o.peek),
            p.goIf(.a, .equal, 0, .next),
            p.store(.wish, 0, o.unwish),
        });
        takeAndRing(&thread, .asleep, o, .look_first);
    }
    return thread;
}

/// Spsc.push: a queue of one place. Nobody sleeps for room in it: the acceptor tries again later.
fn producer(o: Orders) Thread {
    return .of("producer", &.{
        p.write(.item, 1),
        p.store(.tail, 1, o.publish),
        p.load(.a, .head, o.read),
        p.goIf(.a, .equal, 0, .done),
        p.write(.item, 2),
        p.store(.tail, 2, o.publish),
        p.label(.done),
    });
}

/// Spsc.pop
fn consumer(o: Orders) Thread {
    return .of("consumer", &.{
        p.load(.a, .tail, o.read),
        p.goIf(.a, .equal, 0, .done),
        p.read(.b, .item),
        p.expect(.b, 1),
        p.store(.head, 1, o.give_back),
        p.load(.a, .tail, o.read),
        p.goIf(.a, .other, 2, .done),
        p.read(.b, .item),
        p.expect(.b, 2),
        p.label(.done),
    });
}

/// Something weaker than what the code does, which must be found.
pub const Mutant = struct {
    /// Of `Orders`.
    field: []const u8,
    order: p.Order,
    orders: Orders,
};

/// Every order of `orders.wake`, made weaker by one step each.
pub fn mutants(buffer: *std.BoundedArray(Mutant, 32)) []const Mutant {
    inline for (std.meta.fields(Orders)) |field| {
        const order = @field(orders.wake, field.name);
        for (weaker(@field(std.meta.FieldEnum(Orders), field.name), order)) |less| {
            var changed = orders.wake;
            @field(changed, field.name) = less;
            buffer.appendAssumeCapacity(.{ .field = field.name, .order = less, .orders = changed });
        }
    }
    return buffer.constSlice();
}

/// The next orders below `order` that the accesses of `field` can have.
fn weaker(field: std.meta.FieldEnum(Orders), order: p.Order) []const p.Order {
    const is_load = switch (field) {
        .look, .peek, .read => true,
        .asleep, .awake, .publish, .take, .unwish, .give_back => false,
    };
    return switch (order) {
        .seq_cst => if (is_load) &.{.acquire} else switch (field) {
            .take => &.{.acq_rel},
            else => &.{.release},
        },
        .acq_rel => &.{ .acquire, .release },
        .acquire, .release => &.{.monotonic},
        .monotonic => &.{},
        .unordered => unreachable,
    };
}
