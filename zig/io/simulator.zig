//! The simulator backend: the I/O interface over a simulated network, deterministic by seed. It
//! does what a kernel may do and rarely does: short reads and writes at any byte, events late, in
//! any order or for nothing, resets, failing accepts. What no kernel would see, the use of a
//! descriptor after its close, it ends with a panic.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Allocator = std.mem.Allocator;
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const limits = @import("../core/limits.zig");
const sealing = @import("../core/sealing.zig");
const system = @import("../core/system.zig");
const io = @import("io.zig");
const network_file = @import("simulated_network.zig");
const HeldOutput = @import("simulated_link.zig").HeldOutput;
const Link = network_file.Link;
const Network = network_file.Network;

pub const Simulator = struct {
    network: *Network,
    index: u32,
    receive_buffer: []u8,
    /// What one poll tells.
    events: []Event,
    gpa: Allocator,

    /// In the place of the descriptor of a stream whose close is under way.
    const closing_fd: posix.fd_t = Network.bell_fd_first - 1;

    /// The network that `init` joins. A simulation has one thread.
    pub threadlocal var current: ?*Network = null;

    /// How the system seals; null: it does not. `sealing.Keys` is the number of the next record,
    /// little endian.
    pub threadlocal var sealer: ?Sealer = null;

    pub const Sealer = struct {
        overhead_bytes: usize,
        text_bytes_max: usize,
        /// Writes a record of `text` to `out`. `kind`: null for data.
        seal: *const fn (out: []u8, kind: ?u8, text: []const u8, number: u32) void,

        /// Of a record.
        const bytes_max = 2048;
    };

    pub const Stream = struct {
        fd: posix.fd_t = -1,
        token: io.Token = .{ .slot = 0, .kind = .internal },
    };

    pub fn init(gpa: Allocator, options: io.Options) !Simulator {
        const network = current.?;
        assert(network.backends < Network.backends_max);
        network.backends += 1;
        const receive_buffer = try gpa.alloc(u8, options.receive_buffer_bytes);
        errdefer gpa.free(receive_buffer);
        return .{
            .network = network,
            .index = network.backends - 1,
            .receive_buffer = receive_buffer,
            .events = try gpa.alloc(
                Event,
                network.links.len + network.closed.len + Network.listeners_max,
            ),
            .gpa = gpa,
        };
    }

    pub fn deinit(self: *Simulator) void {
        self.gpa.free(self.events);
        self.gpa.free(self.receive_buffer);
        self.* = undefined;
    }

    pub fn bell(self: *const Simulator) io.Bell {
        return .ofDescriptor(Network.bell_fd_first + @as(posix.fd_t, @intCast(self.index)));
    }

    pub fn ring(its: io.Bell) void {
        current.?.woken[@intCast(its.descriptor() - Network.bell_fd_first)] = true;
    }

    pub fn nowMs(self: *const Simulator) u64 {
        return self.network.now_ms;
    }

    pub fn wallSeconds(self: *const Simulator) i64 {
        const elapsed: i64 = @intCast(self.network.now_ms / 1000);
        return @max(self.network.wall_offset_s + elapsed, 0);
    }

    pub fn memoryBytes(_: *const Simulator) usize {
        return 0;
    }

    /// Whether a poll would bring something: for whoever decides when to call it.
    pub fn hasEvents(self: *const Simulator) bool {
        const network = self.network;
        if (network.woken[self.index]) return true;
        for (0..Network.listeners_max) |i| if (self.isReady(i)) return true;
        for (network.links) |*link| {
            if (self.eventsOf(link) != null) return true;
        }
        for (network.closings.items) |closing| {
            if (closing.backend == self.index and closing.ends_at <= network.now_ms) return true;
        }
        return false;
    }

    pub fn open(self: *Simulator, stream: *Stream, fd: posix.fd_t, token: io.Token) !void {
        const link = self.network.byHandle(fd);
        assert(link.server == .accepted);
        self.checkFree(token);
        stream.* = .{ .fd = fd, .token = token };
        if (self.network.chance(self.network.faults.open_refused)) return error.SystemResources;
        link.server = .open;
        link.backend = self.index;
        link.token = token;
        link.wants_recv = true;
        // The engine's time begins here.
        if (!link.client_open) link.client_left_ms = self.network.now_ms;
        self.network.note(link, "server opens", token.slot, token.generation);
    }

    pub fn connect(
        self: *Simulator,
        stream: *Stream,
        _: *const Endpoint,
        token: io.Token,
    ) system.Error!void {
        assert(token.kind == .outbound);
        self.checkFree(token);
        if (self.network.chance(self.network.faults.open_refused)) return error.SystemResources;
        const link = self.network.dial() orelse return error.SystemResources;
        stream.* = .{ .fd = self.network.handleOf(link), .token = token };
        link.backend = self.index;
        link.token = token;
    }

    /// Nothing of the slot's last use is under way.
    fn checkFree(self: *const Simulator, token: io.Token) void {
        for (self.network.closings.items) |closing| {
            if (closing.backend == self.index and closing.token.slot == token.slot and
                closing.token.kind == token.kind) std.debug.panic(
                "slot {d} was given to another connection before the close of its last had ended",
                .{token.slot},
            );
        }
    }

    pub fn close(self: *Simulator, stream: *Stream) io.Closing {
        return self.end(stream, false);
    }

    pub fn abort(self: *Simulator, stream: *Stream) io.Closing {
        return self.end(stream, true);
    }

    fn end(self: *Simulator, stream: *Stream, with_reset: bool) io.Closing {
        const network = self.network;
        const link = network.byHandle(stream.fd);
        const output = link.output;
        link.output = null;
        if (output) |*held| held.check();
        network.serverClose(link, with_reset);
        if (output == null and !network.chance(network.faults.slow_close)) {
            stream.* = .{};
            return .closed;
        }
        network.closings.appendAssumeCapacity(.{
            .token = stream.token,
            .backend = self.index,
            .ends_at = network.arrival(),
            .output = output,
        });
        // Whoever uses it from here on is found out.
        stream.fd = closing_fd;
        return .under_way;
    }

    pub fn closeAccepted(self: *Simulator, fd: posix.fd_t) void {
        self.network.serverClose(self.network.byHandle(fd), false);
    }

    pub fn pauseRecv(self: *Simulator, stream: *Stream) void {
        const link = self.network.byHandle(stream.fd);
        if (!link.wants_recv) return;
        link.wants_recv = false;
        link.brings_late = self.network.chance(self.network.faults.late_recv);
    }

    pub fn resumeRecv(self: *Simulator, stream: *Stream) void {
        const link = self.network.byHandle(stream.fd);
        link.wants_recv = true;
        link.brings_late = false;
    }

    pub fn sendLater(self: *Simulator, stream: *Stream, output: io.Output) void {
        const link = self.network.byHandle(stream.fd);
        if (link.output != null) @panic("asked for twice, while the system has output");
        link.wants_send = true;
        if (output == .memory and output.memory.len == 0) return;
        if (!self.network.chance(self.network.faults.takes_output)) return;
        link.output = .of(output);
        self.network.note(link, "system takes output", 0, 0);
    }

    pub fn hasInput(self: *Simulator, stream: *const Stream) bool {
        const link = self.network.byHandle(stream.fd);
        return link.up.readable(self.network.now_ms) or self.isReset(link);
    }

    pub fn inFlight(self: *Simulator, stream: *const Stream) u64 {
        const link = self.network.byHandle(stream.fd);
        return link.down.len - link.down.arrived;
    }

    pub fn shutdownSend(self: *Simulator, stream: *Stream) void {
        const link = self.network.byHandle(stream.fd);
        if (link.sealed_next != null) @panic("half-closed while the system may be sealing");
        link.server_finished = true;
        link.down.finish(self.network.arrival());
        self.network.note(link, "server half-closes", 0, 0);
    }

    fn isReset(self: *const Simulator, link: *const Link) bool {
        return link.reset_server_at <= self.network.now_ms;
    }

    // Sending.

    pub fn send(
        self: *Simulator,
        stream: *Stream,
        iovecs: []const posix.iovec_const,
        _: bool,
    ) io.SendResult {
        const link = self.network.byHandle(stream.fd);
        if (link.output != null) @panic("sent while the system has output");
        return self.sendPieces(link, iovecs);
    }

    fn sendPieces(
        self: *Simulator,
        link: *Link,
        iovecs: []const posix.iovec_const,
    ) io.SendResult {
        var total: usize = 0;
        for (iovecs) |iovec| total += iovec.len;
        assert(total > 0);
        if (link.sealed_next != null)
            return self.sealPiece(link, iovecs[0].base[0..iovecs[0].len]);
        const quota = self.quotaFor(link, total) catch |err| return resultOf(err);
        var left = quota;
        for (iovecs) |iovec| {
            const n = @min(left, iovec.len);
            self.deliver(link, iovec.base[0..n]);
            left -= n;
        }
        self.network.note(link, "server sends", quota, total);
        return .{ .sent = quota };
    }

    pub fn sendFile(
        self: *Simulator,
        stream: *Stream,
        fd: posix.fd_t,
        offset: u64,
        len: u64,
    ) io.SendResult {
        const link = self.network.byHandle(stream.fd);
        if (link.output != null) @panic("sent while the system has output");
        return self.sendRange(link, .{ .fd = fd, .offset = offset, .length = len });
    }

    fn sendRange(self: *Simulator, link: *Link, range: io.FileRange) io.SendResult {
        var buffer: [16 * 1024]u8 = undefined;
        const wanted: usize = @intCast(@min(range.length, buffer.len));
        if (link.sealed_next != null) {
            const n = system.readAt(range.fd, buffer[0..wanted], range.offset) catch
                return .failed;
            return if (n == 0) .{ .sent = 0 } else self.sealPiece(link, buffer[0..n]);
        }
        const quota = self.quotaFor(link, wanted) catch |err| return resultOf(err);
        const n = system.readAt(range.fd, buffer[0..quota], range.offset) catch return .failed;
        self.deliver(link, buffer[0..n]);
        self.network.note(link, "server sends of a file", n, range.length);
        return .{ .sent = n };
    }

    // Sealing.

    pub fn sealSends(self: *Simulator, stream: *Stream, keys: *const sealing.Keys) bool {
        const link = self.network.byHandle(stream.fd);
        assert(link.sealed_next == null);
        if (sealer == null or self.network.random().boolean()) return false;
        link.sealed_next = std.mem.readInt(u32, keys.constSlice()[0..4], .little);
        self.network.note(link, "system seals", link.sealed_next.?, 0);
        return true;
    }

    pub fn sendSealed(
        self: *Simulator,
        stream: *Stream,
        message: *const sealing.Message,
    ) io.SendResult {
        const link = self.network.byHandle(stream.fd);
        if (link.output != null) @panic("sent while the system has output");
        if (self.refusalOf(link)) |refusal| return refusal;
        self.deliverSealed(link, message.kind, &message.bytes);
        return .{ .sent = message.bytes.len };
    }

    /// As much of `text` as goes in a record now.
    fn sealPiece(self: *Simulator, link: *Link, text: []const u8) io.SendResult {
        if (self.refusalOf(link)) |refusal| return refusal;
        const with = sealer.?;
        const room = if (link.client_open) link.down.room() - with.overhead_bytes else text.len;
        const most = @min(text.len, room, with.text_bytes_max);
        const is_short = self.network.chance(self.network.faults.short_send);
        const n = if (is_short) self.network.random().intRangeAtMost(usize, 1, most) else most;
        self.deliverSealed(link, null, text[0..n]);
        self.network.note(link, "server sends, sealed", n, text.len);
        return .{ .sent = n };
    }

    /// What a record cannot be sent for now; null: nothing.
    fn refusalOf(self: *Simulator, link: *Link) ?io.SendResult {
        _ = self.quotaFor(link, 1) catch |err| return resultOf(err);
        return if (!link.client_open or hasRoom(link)) null else .would_block;
    }

    /// The socket takes something; where the system seals, a record with a message.
    fn hasRoom(link: *const Link) bool {
        const least = if (link.sealed_next == null) 0 else sealer.?.overhead_bytes +
            @sizeOf(@FieldType(sealing.Message, "bytes")) - 1;
        return link.down.room() > least;
    }

    fn deliverSealed(self: *Simulator, link: *Link, kind: ?u8, text: []const u8) void {
        const with = sealer.?;
        var record: [Sealer.bytes_max]u8 = undefined;
        const out = record[0 .. with.overhead_bytes + text.len];
        with.seal(out, kind, text, link.sealed_next.?);
        link.sealed_next.? += 1;
        self.deliver(link, out);
        link.turn_bytes -= with.overhead_bytes; // it is no part of its share
    }

    /// The system sends what it has; null: nothing for now.
    fn sendHeld(self: *Simulator, link: *Link, held: *const HeldOutput) ?io.SendResult {
        held.check();
        const result: io.SendResult = if (held.file) |range|
            self.sendRange(link, range)
        else
            self.sendPieces(link, held.iovecs.constSlice());
        return if (result == .would_block) null else result;
    }

    const Refused = error{ WouldBlock, Gone };

    fn resultOf(err: Refused) io.SendResult {
        return switch (err) {
            error.WouldBlock => .would_block,
            error.Gone => .failed,
        };
    }

    /// How much of `total` bytes is taken now, at least one.
    fn quotaFor(self: *Simulator, link: *Link, total: usize) Refused!usize {
        const network = self.network;
        if (link.server_finished) std.debug.panic("sent after the FIN, {d} bytes", .{total});
        if (self.isReset(link)) return error.Gone;
        if (network.chance(network.faults.refused_send)) return error.WouldBlock;
        if (!link.client_open) {
            // It is told later; the first bytes to one that has gone are taken.
            link.reset_server_at = @min(link.reset_server_at, network.arrival());
            return total;
        }
        const room = @min(link.down.room(), total);
        if (room == 0) return error.WouldBlock;
        if (!network.chance(network.faults.short_send)) return room;
        return network.random().intRangeAtMost(usize, 1, room);
    }

    fn deliver(self: *Simulator, link: *Link, bytes: []const u8) void {
        link.turn_bytes += bytes.len;
        if (bytes.len == 0 or !link.client_open) return;
        link.down.push(bytes, self.network.arrival());
        link.down.land(self.network.now_ms);
    }

    // Accepting.

    pub fn listen(self: *Simulator, stream: *Stream, fd: posix.fd_t, token: io.Token) !void {
        assert(token.kind == .listener);
        stream.* = .{ .fd = fd, .token = token };
        const listener = &self.network.listeners[self.network.listenerOf(fd)];
        assert(listener.backend == null);
        listener.* = .{ .backend = self.index, .token = token, .wants = true };
        self.network.descriptors += 1;
    }

    pub fn closeListener(self: *Simulator, stream: *Stream) void {
        self.network.stopListening(self.network.listenerOf(stream.fd));
        stream.* = .{};
    }

    pub fn pauseAccept(self: *Simulator, stream: *Stream) void {
        self.network.listeners[self.network.listenerOf(stream.fd)].wants = false;
    }

    pub fn resumeAccept(self: *Simulator, stream: *Stream) void {
        self.network.listeners[self.network.listenerOf(stream.fd)].wants = true;
    }

    /// Whether this backend would tell that somebody waits at a listener.
    fn isReady(self: *const Simulator, index: usize) bool {
        const listener = &self.network.listeners[index];
        if (listener.backend != self.index or !listener.wants) return false;
        return self.network.hasWaiting(index);
    }

    pub fn acceptBatch(self: *Simulator, stream: *Stream, context: anytype) bool {
        const network = self.network;
        const faults = &network.faults;
        const token = stream.token;
        const index = network.listenerOf(stream.fd);
        if (network.chance(faults.listener_breaks) and network.listeners[1 - index].open) {
            context.onAcceptFailed(token, .{ .fatal = error.InvalidArgument });
            return false;
        }
        for (0..network.random().intRangeAtMost(u32, 1, limits.accept_batch)) |_| {
            if (!context.wantsMore(token)) return false;
            if (network.chance(faults.accept_interrupted)) continue;
            const exhausted = network.chance(faults.accept_exhausted);
            if (exhausted or network.descriptors >= faults.descriptors_max) {
                context.onAcceptFailed(token, .exhausted);
                return false;
            }
            const link = network.takeWaiting(index) orelse return false;
            if (network.chance(faults.accept_aborted)) {
                network.lose(link);
                continue;
            }
            link.server = .accepted;
            network.descriptors += 1;
            network.note(link, "accepted", network.descriptors, 0);
            context.onAccept(token, .{ .fd = network.handleOf(link), .peer = link.peer });
        }
        return true;
    }

    // Polling.

    const Event = struct {
        token: io.Token,
        fd: posix.fd_t,
        in: bool = false,
        out: bool = false,
        gone: bool = false,
        /// The client's FIN, where nothing is received.
        ahead: bool = false,
        accept: bool = false,
        /// A connect has ended.
        connected: bool = false,
    };

    /// Tells what has happened. It never waits: virtual time passes between the calls.
    pub fn poll(self: *Simulator, _: i32, context: anytype) bool {
        const network = self.network;
        var events = std.ArrayListUnmanaged(Event).initBuffer(self.events);
        context.onAwake();
        if (network.chance(network.faults.spurious_event)) return false; // EINTR
        network.woken[self.index] = false;
        self.collect(&events);
        network.random().shuffle(Event, events.items);
        self.tellClosed(context);
        const told = @min(events.items.len, network.faults.events_max);
        for (events.items[0..told]) |event| {
            const stream = context.stream(event.token) orelse continue;
            if (stream.fd == -1 or stream.fd == closing_fd) continue;
            if (stream.fd != event.fd) std.debug.panic(
                "an event for a stream that was closed (token {x}) found its slot's next user",
                .{@as(u64, @bitCast(event.token))},
            );
            if (comptime io.accepts(@TypeOf(context.*))) {
                if (event.accept) {
                    _ = self.acceptBatch(stream, context);
                    continue;
                }
            }
            if (!context.isServed(event.token)) continue;
            if (comptime io.connects(@TypeOf(context.*))) {
                if (event.connected) {
                    self.serveConnect(event, context);
                    continue;
                }
            }
            self.serve(event, context);
        }
        return told < events.items.len;
    }

    /// Ends the closes that are due.
    fn tellClosed(self: *Simulator, context: anytype) void {
        const closings = &self.network.closings;
        var i: usize = 0;
        while (i < closings.items.len) {
            const closing = closings.items[i];
            if (closing.backend != self.index or closing.ends_at > self.network.now_ms) {
                i += 1;
                continue;
            }
            _ = closings.swapRemove(i);
            if (closing.output) |*held| held.check();
            context.onClosed(closing.token);
        }
    }

    fn collect(self: *Simulator, events: *std.ArrayListUnmanaged(Event)) void {
        const network = self.network;
        for (&network.listeners, Network.listener_fds, 0..) |*listener, fd, i| {
            if (!self.isReady(i)) continue;
            events.appendAssumeCapacity(.{ .token = listener.token, .fd = fd, .accept = true });
        }
        for (network.links) |*link| {
            const event = self.eventsOf(link) orelse self.spuriousOf(link) orelse continue;
            if (!network.chance(network.faults.held_event)) events.appendAssumeCapacity(event);
        }
        const closed = network.closed[0..@min(network.closed_count, network.closed.len)];
        for (closed) |stale| {
            if (stale.backend != self.index) continue;
            if (!network.chance(network.faults.late_event)) continue;
            events.appendAssumeCapacity(.{
                .token = stale.token,
                .fd = stale.fd,
                .in = true,
                .out = true,
            });
        }
    }

    /// What a poll tells of `link`; null: nothing.
    fn eventsOf(self: *const Simulator, link: *const Link) ?Event {
        if (!link.used or link.backend != self.index) return null;
        const network = self.network;
        if (link.server == .connecting and link.connects_at <= network.now_ms)
            return .{ .token = link.token, .fd = network.handleOf(link), .connected = true };
        if (link.server != .open) return null;
        const ended = link.server_finished and link.up.atEnd(network.now_ms);
        const event: Event = .{
            .token = link.token,
            .fd = network.handleOf(link),
            .in = (link.wants_recv and
                (link.up.readable(network.now_ms) or self.isReset(link))) or bringsLate(link),
            .out = link.wants_send and (hasRoom(link) or self.isReset(link) or !link.client_open),
            .gone = self.isReset(link) or ended,
            .ahead = !link.wants_recv and !link.fin_told and link.up.fin_at <= network.now_ms,
        };
        return if (event.in or event.out or event.gone or event.ahead) event else null;
    }

    /// Bytes, never the end: that is told as one that stands behind a pause.
    fn bringsLate(link: *const Link) bool {
        return link.brings_late and link.up.arrived > 0;
    }

    /// A socket is told to take bytes, and takes none.
    fn spuriousOf(self: *Simulator, link: *const Link) ?Event {
        if (!link.used or link.server != .open or link.backend != self.index) return null;
        if (!link.wants_send or !self.network.chance(self.network.faults.spurious_event))
            return null;
        return .{ .token = link.token, .fd = self.network.handleOf(link), .out = true };
    }

    fn serveConnect(self: *Simulator, event: Event, context: anytype) void {
        const link = self.network.byHandle(event.fd);
        self.network.note(link, "server is told of its connect", @intFromBool(link.is_refused), 0);
        link.server = .open;
        if (link.is_refused) {
            link.reset_server_at = self.network.now_ms;
            return context.onConnected(event.token, .{ .failed = error.ConnectionRefused });
        }
        link.wants_recv = true;
        context.onConnected(event.token, .connected);
    }

    fn serve(self: *Simulator, event: Event, context: anytype) void {
        // An event of a stream that is gone was passed over, so that the link is there.
        const link = self.network.byHandle(event.fd);
        if (event.in and (link.wants_recv or bringsLate(link))) {
            link.brings_late = false;
            self.receive(link, event.token, context);
        } else if (event.gone) {
            self.network.note(link, "server is told of the end", 0, 0);
            context.onRecv(event.token, .failed);
        } else if (event.ahead and !link.wants_recv and !link.fin_told) {
            link.fin_told = true;
            self.network.note(link, "server is told of the FIN", 0, 0);
            context.onRecv(event.token, .eof_ahead);
        }
        if (!event.out) return;
        const stream = context.stream(event.token) orelse return;
        if (stream.fd != event.fd or !context.isServed(event.token)) return;
        const current_link = self.network.byHandle(stream.fd);
        if (!current_link.wants_send) return;
        if (current_link.output) |*held| {
            const result = self.sendHeld(current_link, held) orelse return;
            current_link.output = null;
            current_link.wants_send = false;
            return switch (result) {
                .sent => |n| context.onSent(event.token, n),
                .failed => context.onRecv(event.token, .failed),
                .would_block => unreachable, // told as null
            };
        }
        current_link.wants_send = false;
        context.onSent(event.token, 0);
    }

    pub fn receiveNow(self: *Simulator, stream: *Stream, context: anytype) void {
        const link = self.network.byHandle(stream.fd);
        if (link.up.readable(self.network.now_ms) or self.isReset(link))
            self.receive(link, stream.token, context);
    }

    fn receive(self: *Simulator, link: *Link, token: io.Token, context: anytype) void {
        const network = self.network;
        if (network.chance(network.faults.spurious_event)) return; // EAGAIN
        const whole = @min(self.receive_buffer.len, link.up.arrived);
        if (whole == 0) {
            if (self.isReset(link)) {
                network.note(link, "server is told of the reset", 0, 0);
                return context.onRecv(token, .failed);
            }
            if (!link.up.atEnd(network.now_ms)) return;
            network.note(link, "server reads the end", 0, 0);
            link.fin_told = true;
            return context.onRecv(token, .eof);
        }
        const short = network.chance(network.faults.short_recv);
        const count = if (short) network.random().intRangeAtMost(usize, 1, whole) else whole;
        const bytes = self.receive_buffer[0..count];
        _ = link.up.pull(bytes);
        network.note(link, "server reads", count, whole);
        context.onRecv(token, .{ .bytes = bytes });
        // Who looks at them after the call sees it.
        @memset(bytes, 0xa5);
    }
};

comptime {
    io.check(Simulator);
}

test {
    _ = @import("simulated_link.zig");
    _ = network_file;
}
