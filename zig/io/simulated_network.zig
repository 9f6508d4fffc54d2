//! The simulated network: links, two listeners, two clocks and a random source that decides on
//! everything the system would. One thread, virtual time: the same seed gives the same run.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Allocator = std.mem.Allocator;
const Address = @import("../core/address.zig").Address;
const io = @import("io.zig");
const link_file = @import("simulated_link.zig");
pub const Link = link_file.Link;
pub const never = link_file.never;
pub const Trace = @import("simulated_trace.zig").Trace;

/// How often things go wrong: chances in 1000 unless the name says otherwise.
pub const Faults = struct {
    short_recv: u16 = 0,
    short_send: u16 = 0,
    /// A send is refused although there is room.
    refused_send: u16 = 0,
    /// An event is told and there is nothing to it; a poll ends with nothing.
    spurious_event: u16 = 0,
    /// A completion comes for a stream that was closed meanwhile.
    late_event: u16 = 0,
    /// An event that is there is not told in this poll.
    held_event: u16 = 0,
    /// What comes behind the beginning of a pause is received once more, as by an operation that
    /// was under way.
    late_recv: u16 = 0,
    /// A full socket has the system take what is to be sent next.
    takes_output: u16 = 0,
    /// A connection that the server begins fails.
    connect_refused: u16 = 0,
    /// The system is not done with a socket when it is closed, but later.
    slow_close: u16 = 0,
    accept_aborted: u16 = 0,
    accept_interrupted: u16 = 0,
    accept_exhausted: u16 = 0,
    /// A listener fails for good, while there is another.
    listener_breaks: u16 = 0,
    open_refused: u16 = 0,
    /// An RST takes with it what the receiver has not read.
    reset_discards: bool = false,
    delay_ms_max: u32 = 0,
    /// Bytes of a direction's buffers, at most and at least.
    buffer_bytes_min: u32 = 65536,
    buffer_bytes_max: u32 = 65536,
    descriptors_max: u32 = Link.slots_max,
    backlog_max: u32 = 128,
    events_max: u32 = 256,
};

pub const Network = struct {
    gpa: Allocator,
    prng: std.Random.DefaultPrng,
    faults: Faults,
    now_ms: u64 = 1_000_000,
    wall_offset_s: i64 = 1_700_000_000,
    trace: *Trace,
    links: []Link,
    memory: []u8,
    backlog: std.ArrayListUnmanaged(usize) = .{},
    listeners: [listeners_max]Listener = [_]Listener{.{}} ** listeners_max,
    backends: u32 = 0,
    woken: [backends_max]bool = [_]bool{false} ** backends_max,
    /// Streams that were closed, with the token that they had: for late events.
    closed: [closed_max]Closed = undefined,
    closed_count: usize = 0,
    /// Closes that are under way.
    closings: std.ArrayListUnmanaged(ClosingSocket) = .{},
    descriptors: u32 = 0,
    /// Links that the server connected, and that nobody has taken.
    dialed: std.ArrayListUnmanaged(usize) = .{},
    dialed_count: u32 = 0,

    pub const backends_max = 8;
    pub const listeners_max = 2;
    const closed_max = 32;
    pub const Closed = struct { token: io.Token, fd: posix.fd_t, backend: u32 };
    pub const ClosingSocket = struct {
        token: io.Token,
        backend: u32,
        ends_at: u64,
        output: ?link_file.HeldOutput = null,
    };
    /// Clients can connect before it is listened to, and no more once it is closed.
    pub const Listener = struct {
        open: bool = true,
        backend: ?u32 = null,
        token: io.Token = .{ .slot = 0, .kind = .internal },
        wants: bool = false,
    };

    /// Descriptors of the listeners, of the first backend's bell, and of no real file.
    pub const listener_fds = [listeners_max]posix.fd_t{ 0x3fff_ff00, 0x3fff_ff01 };
    pub const bell_fd_first: posix.fd_t = 0x3fff_fe00;

    pub fn init(
        gpa: Allocator,
        seed: u64,
        faults: Faults,
        links_max: usize,
        trace: *Trace,
    ) !Network {
        assert(links_max <= Link.slots_max);
        const links = try gpa.alloc(Link, links_max);
        errdefer gpa.free(links);
        const each: usize = faults.buffer_bytes_max;
        const memory = try gpa.alloc(u8, links_max * 2 * each);
        errdefer gpa.free(memory);
        var backlog = try std.ArrayListUnmanaged(usize).initCapacity(gpa, links_max);
        errdefer backlog.deinit(gpa);
        var closings = try std.ArrayListUnmanaged(ClosingSocket).initCapacity(gpa, Link.slots_max);
        errdefer closings.deinit(gpa);
        for (links, 0..) |*link, i| link.* = .{
            .up = .{ .bytes = memory[2 * i * each ..][0..each] },
            .down = .{ .bytes = memory[(2 * i + 1) * each ..][0..each] },
        };
        return .{
            .gpa = gpa,
            .prng = .init(seed),
            .faults = faults,
            .trace = trace,
            .links = links,
            .memory = memory,
            .backlog = backlog,
            .closings = closings,
            .dialed = try .initCapacity(gpa, links_max),
        };
    }

    pub fn deinit(self: *Network) void {
        self.dialed.deinit(self.gpa);
        self.closings.deinit(self.gpa);
        self.backlog.deinit(self.gpa);
        self.gpa.free(self.memory);
        self.gpa.free(self.links);
        self.* = undefined;
    }

    pub fn random(self: *Network) std.Random {
        return self.prng.random();
    }

    pub fn chance(self: *Network, in_1000: u16) bool {
        return in_1000 > 0 and self.random().uintLessThan(u16, 1000) < in_1000;
    }

    fn delay(self: *Network) u64 {
        const max = self.faults.delay_ms_max;
        return if (max == 0) 0 else self.random().uintAtMost(u32, max);
    }

    pub fn arrival(self: *Network) u64 {
        return self.now_ms + self.delay();
    }

    pub fn note(self: *Network, link: *const Link, what: []const u8, a: u64, b: u64) void {
        self.trace.note(self.now_ms, link.id, what, a, b);
    }

    /// The next time at which something arrives anywhere.
    pub fn nextEvent(self: *const Network) u64 {
        var at = never;
        for (self.links) |*link| if (link.used) {
            at = @min(at, link.nextEvent(self.now_ms));
        };
        for (self.closings.items) |closing| {
            if (closing.ends_at > self.now_ms) at = @min(at, closing.ends_at);
        }
        return at;
    }

    pub fn advance(self: *Network, now_ms: u64) void {
        assert(now_ms >= self.now_ms);
        self.now_ms = now_ms;
        for (self.links) |*link| if (link.used) {
            link.land(now_ms);
            self.discard(link);
        };
    }

    /// An RST that has arrived may take unread bytes with it.
    fn discard(self: *Network, link: *Link) void {
        if (!self.faults.reset_discards) return;
        if (link.reset_server_at <= self.now_ms) link.up.clear();
        if (link.reset_client_at <= self.now_ms) link.down.clear();
    }

    // The client's side.

    pub fn isListening(self: *const Network) bool {
        for (&self.listeners) |*listener| if (listener.open) return true;
        return false;
    }

    /// Connects; null when all listeners are gone, or have no room for now.
    pub fn connect(self: *Network, id: u32, peer: Address) ?*Link {
        if (!self.isListening() or self.backlog.items.len >= self.faults.backlog_max) return null;
        const link = self.newLink(id, peer) orelse return null;
        link.client_open = true;
        link.server = .waiting;
        link.listener = self.pickListener();
        self.backlog.appendAssumeCapacity(self.slotOf(link));
        self.note(link, "connect", link.up.bytes.len, link.down.bytes.len);
        return link;
    }

    fn newLink(self: *Network, id: u32, peer: Address) ?*Link {
        const link = for (self.links) |*link| {
            if (!link.used) break link;
        } else return null;
        const up = self.bufferFor(link.up.bytes);
        const down = self.bufferFor(link.down.bytes);
        link.* = .{
            .used = true,
            .generation = link.generation +% 1,
            .id = id,
            .peer = peer,
            .up = .{ .bytes = up },
            .down = .{ .bytes = down },
            .connects_at = self.arrival(),
        };
        return link;
    }

    /// Links that the server connected have ids from here on.
    pub const dialed_id_first: u32 = 1 << 30;

    /// The server connects. Whoever plays its peer finds the link with `takeDialed`, and has the
    /// client's side of it. Null when the system has no room.
    pub fn dial(self: *Network) ?*Link {
        const link = self.newLink(dialed_id_first + self.dialed_count, .{}) orelse return null;
        self.dialed_count += 1;
        link.server = .connecting;
        link.is_refused = self.chance(self.faults.connect_refused);
        link.client_open = !link.is_refused;
        if (!link.is_refused) self.dialed.appendAssumeCapacity(self.slotOf(link));
        self.descriptors += 1;
        self.note(link, "server connects", @intFromBool(link.is_refused), 0);
        return link;
    }

    /// A connection of the server's that has come to its peer.
    pub fn takeDialed(self: *Network) ?*Link {
        for (self.dialed.items, 0..) |slot, i| {
            const link = &self.links[slot];
            if (link.connects_at > self.now_ms) continue;
            _ = self.dialed.orderedRemove(i);
            return link;
        }
        return null;
    }

    /// One that is open.
    fn pickListener(self: *Network) u8 {
        while (true) {
            const index = self.random().uintLessThan(u8, listeners_max);
            if (self.listeners[index].open) return index;
        }
    }

    fn bufferFor(self: *Network, old: []u8) []u8 {
        const min = self.faults.buffer_bytes_min;
        const max = self.faults.buffer_bytes_max;
        return old.ptr[0..self.random().intRangeAtMost(u32, min, max)];
    }

    pub fn clientCanSend(self: *const Network, link: *const Link) bool {
        return link.up.room() > 0 and link.reset_client_at > self.now_ms;
    }

    /// Sends as much as there is room for.
    pub fn clientSend(self: *Network, link: *Link, data: []const u8) usize {
        if (!self.clientCanSend(link)) return 0;
        const n = @min(data.len, link.up.room());
        if (n == 0) return 0;
        if (link.server == .closed) {
            // Nobody is there any more.
            link.reset_client_at = @min(link.reset_client_at, self.arrival());
            return n;
        }
        link.up.push(data[0..n], self.arrival());
        link.up.land(self.now_ms);
        self.note(link, "client sends", n, 0);
        return n;
    }

    pub const Received = union(enum) { bytes: usize, nothing, eof, reset };

    pub fn clientRecv(self: *Network, link: *Link, out: []u8) Received {
        link.down.land(self.now_ms);
        const n = link.down.pull(out);
        if (n > 0) return .{ .bytes = n };
        if (link.reset_client_at <= self.now_ms) return .reset;
        return if (link.down.atEnd(self.now_ms)) .eof else .nothing;
    }

    pub fn clientCanRecv(self: *const Network, link: *const Link) bool {
        return link.down.readable(self.now_ms) or link.reset_client_at <= self.now_ms;
    }

    pub fn clientFinish(self: *Network, link: *Link) void {
        if (link.server == .closed) return;
        link.up.finish(self.arrival());
        self.note(link, "client half-closes", 0, 0);
    }

    /// Closes. With `abort`, or with unread bytes, that is a reset.
    pub fn clientClose(self: *Network, link: *Link, abort: bool) void {
        assert(link.client_open);
        link.client_open = false;
        link.client_left_ms = self.now_ms;
        if (abort or link.down.len > 0) {
            const at = @max(self.arrival(), link.up.lastArrival());
            link.reset_server_at = @min(link.reset_server_at, at);
        } else link.up.finish(self.arrival());
        link.down.clear();
        self.note(link, if (abort) "client resets" else "client closes", 0, 0);
        freeIfUnused(link);
    }

    fn freeIfUnused(link: *Link) void {
        if (link.client_open or link.server == .waiting or link.serverHasDescriptor()) return;
        link.used = false;
    }

    // The server's side, for the backend.

    /// The link that the engine's descriptor stands for. A stale one is the engine's fault.
    pub fn byHandle(self: *Network, fd: posix.fd_t) *Link {
        const slot = Link.slotOf(fd) orelse
            std.debug.panic("the simulator was given descriptor {d}, which is not its own", .{fd});
        const link = &self.links[slot];
        if (link.handle(slot) != fd or !link.serverHasDescriptor()) std.debug.panic(
            "use of descriptor 0x{x}, which was closed: its slot now serves connection {d}",
            .{ fd, link.id },
        );
        return link;
    }

    pub fn handleOf(self: *const Network, link: *const Link) posix.fd_t {
        return link.handle(self.slotOf(link));
    }

    fn slotOf(self: *const Network, link: *const Link) usize {
        return (@intFromPtr(link) - @intFromPtr(self.links.ptr)) / @sizeOf(Link);
    }

    /// With `abort`, or with unread bytes, that is a reset.
    pub fn serverClose(self: *Network, link: *Link, abort: bool) void {
        if (link.server == .open) {
            const at = self.closed_count % closed_max;
            const fd = self.handleOf(link);
            self.closed[at] = .{ .token = link.token, .fd = fd, .backend = link.backend };
            self.closed_count += 1;
        }
        const reset = abort or link.up.len > 0;
        self.note(link, "server closes", @intFromBool(reset), link.down.len);
        link.server = .closed;
        self.descriptors -= 1;
        if (reset) {
            // What was not sent yet is lost.
            link.down.cut();
            link.reset_client_at = @min(link.reset_client_at, self.arrival());
        } else link.down.finish(self.arrival());
        link.up.clear();
        freeIfUnused(link);
    }

    /// A connection leaves the backlog, to be accepted or to be lost.
    pub fn takeWaiting(self: *Network, listener: usize) ?*Link {
        for (self.backlog.items, 0..) |slot, i| {
            const link = &self.links[slot];
            if (link.listener != listener or link.connects_at > self.now_ms) continue;
            _ = self.backlog.orderedRemove(i);
            return link;
        }
        return null;
    }

    pub fn hasWaiting(self: *const Network, listener: usize) bool {
        for (self.backlog.items) |slot| {
            const link = &self.links[slot];
            if (link.listener == listener and link.connects_at <= self.now_ms) return true;
        }
        return false;
    }

    /// Of a listener that is open; another's descriptor is the engine's fault.
    pub fn listenerOf(self: *const Network, fd: posix.fd_t) usize {
        const index = std.mem.indexOfScalar(posix.fd_t, &listener_fds, fd) orelse
            std.debug.panic("descriptor {d} is no listener's", .{fd});
        if (!self.listeners[index].open)
            std.debug.panic("use of listener {d}, which was closed", .{index});
        return index;
    }

    /// A connection that was never accepted ends.
    pub fn lose(self: *Network, link: *Link) void {
        link.server = .closed;
        link.up.clear();
        link.reset_client_at = @min(link.reset_client_at, self.arrival());
        self.note(link, "lost before it was accepted", 0, 0);
        freeIfUnused(link);
    }

    /// Who waits there is lost.
    pub fn stopListening(self: *Network, index: usize) void {
        self.listeners[index] = .{ .open = false };
        self.descriptors -= 1;
        var kept: usize = 0;
        for (self.backlog.items) |slot| {
            const link = &self.links[slot];
            if (link.listener == index) {
                self.lose(link);
            } else {
                self.backlog.items[kept] = slot;
                kept += 1;
            }
        }
        self.backlog.shrinkRetainingCapacity(kept);
    }
};

const testing = std.testing;

test "a close with unread bytes is a reset; without, it is a FIN behind what was sent" {
    var events: [64]Trace.Event = undefined;
    var trace: Trace = .{ .events = &events };
    var network = try Network.init(testing.allocator, 1, .{}, 2, &trace);
    defer network.deinit();
    var out: [16]u8 = undefined;
    for ([_]bool{ false, true }) |unread| {
        const client = network.connect(1, .{}).?;
        const accepted = network.takeWaiting(client.listener).?;
        try testing.expectEqual(client, accepted);
        accepted.server = .open;
        network.descriptors += 1;
        if (unread) _ = network.clientSend(client, "GET");
        accepted.down.push("hello", 0);
        network.advance(network.now_ms);
        network.serverClose(accepted, false);
        try testing.expectEqual(Network.Received{ .bytes = 5 }, network.clientRecv(client, &out));
        const end = network.clientRecv(client, &out);
        try testing.expectEqual(unread, end == .reset);
        try testing.expectEqual(!unread, end == .eof);
        network.clientClose(client, false);
        try testing.expect(!client.used);
    }
    try testing.expectEqual(0, network.descriptors);
}
