//! The stand-in for kqueue(2), held to what its manual page says (FreeBSD 14, macOS 14).

const std = @import("std");
const posix = std.posix;
const testing = std.testing;
const Endpoint = @import("../../core/endpoint.zig").Endpoint;
const system = @import("../../core/system.zig");
const socket = @import("../socket.zig");
const types = @import("../kevent.zig");
const Filter = types.Filter;
const Flags = types.Flags;
const Kevent = types.Kevent;
const kevent = types.kevent;
const socketPair = @import("../test_peer.zig").socketPair;

const no_time: posix.timespec = .{ .sec = 0, .nsec = 0 };

/// A queue, and a pair of sockets of which it watches the first.
const Fixture = struct {
    kq: system.File,
    pair: [2]system.Socket,
    buffer: [8]Kevent = undefined,

    fn init() !Fixture {
        const kq = try types.open();
        errdefer types.close(kq);
        return .{ .kq = kq, .pair = try socketPair() };
    }

    fn deinit(self: *Fixture) void {
        for (self.pair) |fd| if (fd != system.no_socket) system.close(fd);
        types.close(self.kq);
    }

    fn change(self: *Fixture, filter: Filter, flags: Flags) !void {
        try testing.expectEqual(0, (try self.call(&.{self.of(filter, flags)})).len);
    }

    fn of(self: *const Fixture, filter: Filter, flags: Flags) Kevent {
        const ident: usize = @intCast(self.pair[0]);
        return .{ .ident = ident, .filter = filter, .flags = flags, .udata = 7 };
    }

    fn call(self: *Fixture, changes: []const Kevent) ![]Kevent {
        return self.buffer[0..try kevent(self.kq, changes, &self.buffer, &no_time)];
    }

    /// Makes a change and returns the events that there are, with one call.
    fn after(self: *Fixture, filter: Filter, flags: Flags) ![]Kevent {
        return self.call(&.{self.of(filter, flags)});
    }

    fn events(self: *Fixture) ![]Kevent {
        return self.call(&.{});
    }

    fn say(self: *Fixture, bytes: []const u8) !void {
        try testing.expectEqual(bytes.len, try system.write(self.pair[1], bytes));
    }

    fn hear(self: *Fixture, count: usize) !void {
        var bytes: [64]u8 = undefined;
        try testing.expectEqual(count, try system.read(self.pair[0], bytes[0..count]));
    }

    fn hangUp(self: *Fixture) void {
        system.close(self.pair[1]);
        self.pair[1] = system.no_socket;
    }
};

test "EVFILT_READ is told as long as there is something to read, and how much" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    try fixture.change(.read, .{ .add = true });
    try fixture.say("hello");
    for (0..2) |_| {
        const events = try fixture.events();
        try testing.expectEqual(1, events.len);
        try testing.expectEqual(.read, events[0].filter);
        try testing.expectEqual(5, events[0].data);
        try testing.expectEqual(7, events[0].udata);
        try testing.expect(!events[0].flags.eof);
    }
    try fixture.hear(5);
    try testing.expectEqual(0, (try fixture.events()).len);
}

test "EV_CLEAR: the state is reset once it is told, and told again when more comes" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    try fixture.change(.read, .{ .add = true, .clear = true });
    try fixture.say("hello");
    try testing.expectEqual(5, (try fixture.events())[0].data);
    try testing.expectEqual(0, (try fixture.events()).len);
    try fixture.say(", again");
    try testing.expectEqual(12, (try fixture.events())[0].data);
    // What was read before anybody asked is not told.
    try fixture.say("!");
    try fixture.hear(13);
    try testing.expectEqual(0, (try fixture.events()).len);
}

test "re-adding an event modifies it, does not double it, and tells what is there" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    try fixture.change(.read, .{ .add = true, .clear = true });
    try fixture.say("hello");
    try testing.expectEqual(1, (try fixture.events()).len);
    try testing.expectEqual(0, (try fixture.events()).len);
    var again = fixture.of(.read, .{ .add = true, .clear = true });
    again.udata = 8;
    const events = try fixture.call(&.{again});
    try testing.expectEqual(1, events.len);
    try testing.expectEqual(8, events[0].udata);
    try testing.expectEqual(0, (try fixture.events()).len);
}

test "EV_EOF is set when the peer is at its end, with data pending too" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    try fixture.change(.read, .{ .add = true, .clear = true });
    try fixture.say("last words");
    try testing.expect(!(try fixture.events())[0].flags.eof);
    try system.shutdown(fixture.pair[1], .send);
    const events = try fixture.events();
    try testing.expect(events[0].flags.eof);
    try testing.expectEqual(10, events[0].data);
    try testing.expectEqual(0, events[0].fflags);
    try fixture.hear(10);
    const at_end = try fixture.after(.read, .{ .add = true });
    try testing.expect(at_end[0].flags.eof);
    try testing.expectEqual(0, at_end[0].data);
}

test "EVFILT_WRITE tells the room that is left, and EV_EOF when nobody reads" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    const first = try fixture.after(.write, .{ .add = true });
    try testing.expect(first[0].data > 1000);
    try testing.expect(!first[0].flags.eof);
    const block = [_]u8{'x'} ** 4096;
    for (0..10_000) |_| {
        _ = system.write(fixture.pair[0], &block) catch |err| {
            try testing.expectEqual(error.WouldBlock, err);
            break;
        };
    }
    try testing.expectEqual(0, (try fixture.events()).len);
    fixture.hangUp();
    const events = try fixture.events();
    try testing.expect(events[0].flags.eof);
    try testing.expect(events[0].fflags != 0);
}

test "EV_ONESHOT: the event is deleted once it is told" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    const events = try fixture.after(.write, .{ .add = true, .oneshot = true });
    try testing.expectEqual(1, events.len);
    try testing.expectEqual(0, (try fixture.events()).len);
    const gone = try fixture.after(.write, .{ .delete = true });
    try testing.expect(gone[0].flags.err);
    try testing.expectEqual(@intFromEnum(posix.E.NOENT), gone[0].data);
}

test "EV_DISABLE keeps an event from being told, EV_ENABLE permits it; EV_ADD enables" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    try fixture.change(.read, .{ .add = true, .disable = true });
    try fixture.say("hello");
    try testing.expectEqual(0, (try fixture.events()).len);
    try testing.expectEqual(1, (try fixture.after(.read, .{ .enable = true })).len);
    try fixture.change(.read, .{ .disable = true });
    try testing.expectEqual(0, (try fixture.events()).len);
    try testing.expectEqual(1, (try fixture.after(.read, .{ .add = true })).len);
}

test "EV_DELETE removes; the filters of one descriptor are apart" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    try fixture.say("hello");
    const both = try fixture.call(&.{
        fixture.of(.read, .{ .add = true }),
        fixture.of(.write, .{ .add = true, .clear = true }),
    });
    try testing.expectEqual(2, both.len);
    const after = try fixture.after(.read, .{ .delete = true });
    try testing.expectEqual(0, after.len);
    try fixture.say("hello");
    try testing.expectEqual(0, (try fixture.events()).len);
}

test "a change that fails is an event with EV_ERROR, and the call's own error without room" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    const wrong: Kevent = .{ .ident = 65_000, .filter = .read, .flags = .{ .add = true } };
    const missing = fixture.of(.read, .{ .enable = true });
    const unknown: Kevent = .{ .ident = 1, .filter = .none, .flags = .{ .add = true } };
    try fixture.say("hello");
    const right = fixture.of(.read, .{ .add = true });
    const events = try fixture.call(&.{ wrong, missing, unknown, right });
    // What could be told is told by the next call.
    try testing.expectEqual(3, events.len);
    for (events, [_]posix.E{ .BADF, .NOENT, .INVAL }) |*event, errno| {
        try testing.expect(event.flags.err);
        try testing.expectEqual(@intFromEnum(errno), event.data);
    }
    try testing.expectEqual(1, (try fixture.events()).len);
    try testing.expectError(
        error.FileNotFound,
        kevent(fixture.kq, &.{fixture.of(.write, .{ .delete = true })}, &.{}, null),
    );
    try testing.expectError(error.BadDescriptor, kevent(fixture.pair[0], &.{}, &.{}, null));
}

test "EV_RECEIPT: changes are confirmed, and nothing else is told" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    try fixture.say("hello");
    const receipts = try fixture.call(&.{
        fixture.of(.read, .{ .add = true, .receipt = true }),
        fixture.of(.write, .{ .delete = true, .receipt = true }),
    });
    try testing.expectEqual(2, receipts.len);
    for (receipts, [_]i64{ 0, @intFromEnum(posix.E.NOENT) }) |*receipt, errno| {
        try testing.expect(receipt.flags.err);
        try testing.expectEqual(errno, receipt.data);
    }
    try testing.expectEqual(1, (try fixture.events()).len);
}

test "EVFILT_USER is told once with EV_CLEAR for however many triggers, and from any thread" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    const add: Kevent = .{
        .ident = 3,
        .filter = .user,
        .flags = .{ .add = true, .clear = true },
        .udata = 9,
    };
    var trigger = add;
    trigger.flags = .{};
    trigger.fflags = types.note_trigger;
    try testing.expectEqual(0, (try fixture.call(&.{add})).len);
    for (0..3) |_|
        try testing.expectEqual(0, try kevent(fixture.kq, &.{trigger}, &.{}, null));
    const events = try fixture.events();
    try testing.expectEqual(1, events.len);
    try testing.expectEqual(3, events[0].ident);
    try testing.expectEqual(9, events[0].udata);
    try testing.expectEqual(0, (try fixture.events()).len);
    // FreeBSD resets the event with a change that has EV_CLEAR, behind what it triggers.
    var reset = add;
    reset.fflags = types.note_trigger;
    try testing.expectEqual(0, (try fixture.call(&.{reset})).len);
    const Ringer = struct {
        fn run(kq: system.File, change: Kevent) void {
            system.sleepMs(20);
            _ = kevent(kq, &.{change}, &.{}, null) catch unreachable;
        }
    };
    const thread = try std.Thread.spawn(.{}, Ringer.run, .{ fixture.kq, trigger });
    defer thread.join();
    try testing.expectEqual(1, try kevent(fixture.kq, &.{}, &fixture.buffer, null));
}

test "EVFILT_TIMER goes off every so many milliseconds, and tells how often it has" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    const timer: Kevent = .{ .ident = 1, .filter = .timer, .flags = .{ .add = true }, .data = 5 };
    try testing.expectEqual(0, (try fixture.call(&.{timer})).len);
    system.sleepMs(30);
    const events = try fixture.events();
    try testing.expectEqual(1, events.len);
    try testing.expect(events[0].data >= 5);
    try testing.expectEqual(1, try kevent(fixture.kq, &.{}, &fixture.buffer, null));
    var end = timer;
    end.flags = .{ .delete = true };
    _ = try fixture.call(&.{end});
    system.sleepMs(10);
    try testing.expectEqual(0, (try fixture.events()).len);
    var once = timer;
    once.flags = .{ .add = true, .oneshot = true };
    once.data = 1;
    _ = try fixture.call(&.{once});
    try testing.expectEqual(1, try kevent(fixture.kq, &.{}, &fixture.buffer, null));
    system.sleepMs(5);
    try testing.expectEqual(0, (try fixture.events()).len);
}

test "a listener's event tells how many connections wait" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    const endpoint: Endpoint = .{ .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = 0 } };
    const listener = try socket.listen(&endpoint, .{ .backlog = 8 });
    defer system.close(listener);
    var address: Endpoint.System = undefined;
    const len = (try socket.endpointOf(listener)).toSystem(&address);
    var clients: [3]system.Socket = undefined;
    for (&clients) |*client| {
        client.* = try system.socket(posix.AF.INET, posix.SOCK.STREAM, 0);
        try system.connect(client.*, &address.any, len);
    }
    defer for (clients) |client| system.close(client);
    const ident: usize = @intCast(listener);
    const add: Kevent = .{ .ident = ident, .filter = .read, .flags = .{ .add = true } };
    try testing.expectEqual(3, (try fixture.call(&.{add}))[0].data);
}

test "a close removes what was asked of the descriptor, also where another keeps the socket open" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    try fixture.change(.read, .{ .add = true });
    const other = try system.duplicate(fixture.pair[0], 0);
    defer system.close(other);
    types.forget(fixture.kq, fixture.pair[0]);
    system.close(fixture.pair[0]);
    fixture.pair[0] = system.no_socket;
    try fixture.say("hello");
    try testing.expectEqual(0, (try fixture.events()).len);
}

test "a wait ends at its time, and at once when there is no room for events" {
    var fixture = try Fixture.init();
    defer fixture.deinit();
    var timer = try std.time.Timer.start();
    const span: posix.timespec = .{ .sec = 0, .nsec = 30 * std.time.ns_per_ms };
    try testing.expectEqual(0, try kevent(fixture.kq, &.{}, &fixture.buffer, &span));
    try testing.expect(timer.read() >= 30 * std.time.ns_per_ms);
    try testing.expectEqual(0, try kevent(fixture.kq, &.{}, &.{}, null));
}
