//! The WebSockets of a played JS thread: reads what the engine tells of them, and says what their
//! messages ask for (talk.zig), in records that wait where the ring has no room. It counts as
//! ts/src/bridge/socket.ts does: the engine finds a record wrong where the two differ.

const std = @import("std");
const Allocator = std.mem.Allocator;
const abi = @import("../bridge/abi.zig");
const ring_file = @import("../bridge/ring.zig");
const talk_file = @import("talk.zig");
const Note = talk_file.Note;

/// Names an exchange, or a socket, of a worker.
pub const Name = struct { worker: u32, slot: u32, generation: u32 };

const Socket = struct {
    name: Name,
    unsent_max: u32,
    /// What was sent and is not known to have left, bytes.
    unacknowledged: u64 = 0,
    /// Of messages that were dealt with, and not granted, bytes.
    owed: u32 = 0,
    message: std.ArrayListUnmanaged(u8) = .{},
    is_text: bool = false,
    is_within: bool = false,
    is_closing: bool = false,

    fn step(self: *const Socket) u64 {
        return @max(1, @min(abi.socket_ack_bytes, self.unsent_max / 4));
    }

    fn admits(self: *const Socket, bytes: u64) bool {
        const sent = self.unacknowledged;
        return sent <= self.step() or sent + bytes + abi.socket_message_cost <= self.unsent_max;
    }
};

pub const JsSockets = struct {
    gpa: Allocator,
    random: std.Random,
    /// Exchanges that were to become sockets.
    asked: std.ArrayListUnmanaged(Name) = .{},
    list: std.ArrayListUnmanaged(Socket) = .{},
    /// Per worker: records that are to be written.
    outs: []std.ArrayListUnmanaged(u8),

    pub fn init(gpa: Allocator, random: std.Random, workers: usize) !JsSockets {
        const outs = try gpa.alloc(std.ArrayListUnmanaged(u8), workers);
        @memset(outs, .{});
        return .{ .gpa = gpa, .random = random, .outs = outs };
    }

    pub fn deinit(self: *JsSockets) void {
        self.forgetAll();
        self.asked.deinit(self.gpa);
        self.list.deinit(self.gpa);
        for (self.outs) |*out| out.deinit(self.gpa);
        self.gpa.free(self.outs);
        self.* = undefined;
    }

    /// The thread dies, and knows nothing any more.
    pub fn forgetAll(self: *JsSockets) void {
        for (self.list.items) |*socket| socket.message.deinit(self.gpa);
        self.list.clearRetainingCapacity();
        self.asked.clearRetainingCapacity();
        for (self.outs) |*out| out.clearRetainingCapacity();
    }

    // Records that wait.

    pub fn hasOutput(self: *const JsSockets, worker: u32) bool {
        return self.outs[worker].items.len > 0;
    }

    /// Writes what there is room for. False: something waits.
    pub fn flush(self: *JsSockets, worker: u32, ring: *ring_file.Producer) !bool {
        const out = &self.outs[worker];
        var at: usize = 0;
        while (at < out.items.len) {
            const size = std.mem.readInt(u32, out.items[at..][0..4], .little);
            const room = try ring.reserve(size) orelse break;
            @memcpy(room, out.items[at..][0..size]);
            ring.commit(size);
            at += size;
        }
        const left = out.items.len - at;
        std.mem.copyForwards(u8, out.items[0..left], out.items[at..]);
        out.shrinkRetainingCapacity(left);
        return left == 0;
    }

    /// Puts a record to those of `worker`, with `parts` behind it.
    fn put(self: *JsSockets, worker: u32, record: anytype, parts: []const []const u8) !void {
        const out = &self.outs[worker];
        var bytes: usize = @sizeOf(@TypeOf(record));
        for (parts) |part| bytes += part.len;
        const size = abi.recordSize(@intCast(bytes));
        var whole = record;
        const is_header = @TypeOf(record) == abi.RecordHeader;
        if (is_header) whole.size = size else whole.header.size = size;
        try out.appendSlice(self.gpa, std.mem.asBytes(&whole));
        for (parts) |part| try out.appendSlice(self.gpa, part);
        try out.appendNTimes(self.gpa, 0, size - bytes);
    }

    fn header(name: Name, kind: abi.RecordKind, flags: u16) abi.RecordHeader {
        return .{
            .size = 0,
            .kind = kind,
            .flags = flags,
            .slot = name.slot,
            .generation = name.generation,
        };
    }

    // The beginning, and the end.

    /// Has the engine answer a request with a socket.
    pub fn upgrade(self: *JsSockets, name: Name, key: [24]u8) !void {
        try self.asked.append(self.gpa, name);
        try self.put(name.worker, abi.SocketUpgrade{
            .header = header(name, .response_upgrade, 0),
            .field_count = 0,
            .protocol_len = 0,
            .field_bytes = 0,
            .key = key,
        }, &.{});
    }

    /// The exchange is none any more.
    pub fn abort(self: *JsSockets, name: Name) void {
        for (self.asked.items, 0..) |asked, i| if (std.meta.eql(asked, name)) {
            _ = self.asked.swapRemove(i);
            return;
        };
    }

    fn opened(self: *JsSockets, worker: u32, record: *const ring_file.Record) !void {
        const open = record.fixed(abi.SocketOpen).?;
        const exchange: Name = .{
            .worker = worker,
            .slot = open.exchange_slot,
            .generation = open.exchange_generation,
        };
        const count = self.asked.items.len;
        self.abort(exchange);
        if (self.asked.items.len == count)
            std.debug.panic("invariant: a socket that JS has not asked for", .{});
        const name = nameOf(worker, record);
        if (self.find(name) != null) std.debug.panic("invariant: a socket opens twice", .{});
        try self.list.append(self.gpa, .{ .name = name, .unsent_max = open.unsent_max });
        try self.put(worker, abi.SocketTopic{
            .header = header(name, .socket_subscribe, 0),
            .topic_len = talk_file.topic.len,
            .reserved = 0,
        }, &.{talk_file.topic});
    }

    fn nameOf(worker: u32, record: *const ring_file.Record) Name {
        return .{
            .worker = worker,
            .slot = record.header.slot,
            .generation = record.header.generation,
        };
    }

    fn find(self: *JsSockets, name: Name) ?*Socket {
        for (self.list.items) |*socket| if (std.meta.eql(socket.name, name)) return socket;
        return null;
    }

    /// A record of the engine's, which is about a socket.
    pub fn take(self: *JsSockets, worker: u32, record: *const ring_file.Record) !void {
        const kind = record.header.kind;
        if (kind == .socket_open) return self.opened(worker, record);
        const socket = self.find(nameOf(worker, record)) orelse
            std.debug.panic("invariant: JS is told of a socket of none: {s}", .{@tagName(kind)});
        switch (kind) {
            .socket_message => try self.takeMessage(socket, record),
            .socket_ping, .socket_pong => {
                const chunk = record.fixed(abi.Chunk).?;
                socket.owed += chunk.len + abi.socket_message_cost;
            },
            .socket_sent => {
                const left = record.fixed(abi.Credit).?.grant;
                if (left > socket.unacknowledged) std.debug.panic(
                    "invariant: {d} bytes have left, of {d}",
                    .{ left, socket.unacknowledged },
                );
                socket.unacknowledged -= left;
            },
            .socket_close => {
                socket.message.deinit(self.gpa);
                const index = (@intFromPtr(socket) - @intFromPtr(self.list.items.ptr)) /
                    @sizeOf(Socket);
                _ = self.list.swapRemove(index);
            },
            else => unreachable, // the caller knows the kinds
        }
    }

    /// Whether a record is one of sockets.
    pub fn takes(kind: abi.RecordKind) bool {
        const number = @intFromEnum(kind);
        return number >= @intFromEnum(abi.RecordKind.socket_open) and
            number <= @intFromEnum(abi.RecordKind.socket_pong);
    }

    // Messages.

    fn takeMessage(self: *JsSockets, socket: *Socket, record: *const ring_file.Record) !void {
        const chunk = record.fixed(abi.Chunk).?;
        const flags = record.header.flags;
        socket.owed += chunk.len + abi.socket_message_cost;
        const begins = flags & abi.flag_begin != 0;
        if (begins == socket.is_within)
            std.debug.panic("invariant: a message begins within another, or does not", .{});
        socket.is_within = flags & abi.flag_end == 0;
        socket.is_text = flags & abi.flag_text != 0;
        try socket.message.appendSlice(self.gpa, record.bytes[@sizeOf(abi.Chunk)..][0..chunk.len]);
        // A thread that is asked for more than it has granted would never be asked for the end.
        if (socket.is_within) return self.grant(socket);
        if (!socket.is_closing) try self.handle(socket, socket.message.items);
        socket.message.clearRetainingCapacity();
        if (self.random.boolean()) try self.grant(socket);
    }

    /// What has been saved up is granted now and then.
    pub fn grantAll(self: *JsSockets) !void {
        for (self.list.items) |*socket| if (socket.owed > 0) try self.grant(socket);
    }

    fn grant(self: *JsSockets, socket: *Socket) !void {
        try self.put(socket.name.worker, abi.Credit{
            .header = header(socket.name, .socket_credit, 0),
            .grant = socket.owed,
            .reserved = 0,
        }, &.{});
        socket.owed = 0;
    }

    fn handle(self: *JsSockets, socket: *Socket, message: []const u8) !void {
        const note = Note.parse(message) orelse return self.send(socket, message);
        switch (note.verb) {
            .echo => try self.send(socket, message),
            .publish => {
                for (self.outs, 0..) |_, worker|
                    try self.publish(socket, @intCast(worker), message);
                try self.send(socket, message);
            },
            .close => try self.close(socket, note.closeCode()),
            .terminate => {
                socket.is_closing = true;
                const name = socket.name;
                try self.put(name.worker, header(name, .socket_terminate, 0), &.{});
            },
        }
    }

    fn close(self: *JsSockets, socket: *Socket, code: u16) !void {
        socket.is_closing = true;
        try self.put(socket.name.worker, abi.SocketClose{
            .header = header(socket.name, .socket_send_close, 0),
            .code = code,
            .reason_len = 3,
            .reserved = 0,
        }, &.{"bye"});
    }

    /// So many bytes of a message go in the next record.
    fn partOf(self: *JsSockets, left: usize) usize {
        const most = @min(left, abi.chunk_bytes_max);
        if (most < 2 or self.random.boolean()) return most;
        return self.random.intRangeAtMost(usize, 1, most);
    }

    /// One message in five is not to be compressed.
    fn flagsOf(socket: *const Socket, at: usize, end: usize, total: usize) u16 {
        var flags: u16 = if (socket.is_text) abi.flag_text else 0;
        if (at == 0) flags |= abi.flag_begin;
        if (at == 0 and total % 5 == 0) flags |= abi.flag_plain;
        if (end == total) flags |= abi.flag_end;
        return flags;
    }

    fn send(self: *JsSockets, socket: *Socket, message: []const u8) !void {
        if (!socket.admits(message.len)) return self.close(socket, talk_file.too_slow);
        socket.unacknowledged += message.len + abi.socket_message_cost;
        var at: usize = 0;
        while (at == 0 or at < message.len) {
            const part = message[at..][0..self.partOf(message.len - at)];
            const end = at + part.len;
            const flags = flagsOf(socket, at, end, message.len);
            try self.put(socket.name.worker, abi.SocketSend{
                .header = header(socket.name, .socket_send, flags),
                .len = @intCast(part.len),
                .total = @intCast(message.len),
            }, &.{part});
            at = end;
            if (message.len == 0) return;
        }
    }

    fn publish(self: *JsSockets, socket: *const Socket, worker: u32, message: []const u8) !void {
        const nobody: Name = .{ .worker = worker, .slot = abi.no_socket, .generation = 0 };
        const name = if (worker == socket.name.worker) socket.name else nobody;
        var at: usize = 0;
        while (at < message.len) {
            const part = message[at..][0..self.partOf(message.len - at)];
            const end = at + part.len;
            const flags = flagsOf(socket, at, end, message.len);
            try self.put(worker, abi.SocketPublish{
                .header = header(name, .socket_publish, flags),
                .len = @intCast(part.len),
                .total = @intCast(message.len),
                .topic_len = talk_file.topic.len,
                .reserved = 0,
            }, &.{ talk_file.topic, part });
            at = end;
        }
    }
};
