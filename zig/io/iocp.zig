//! The IOCP backend of Windows. What is asked of a socket is begun, and the completion port brings
//! its end. A connection from which nothing comes has one receive of no bytes under way, which
//! takes no buffer: its end says that there is something, and a receive that does not wait fetches
//! that into the worker's one buffer. Sending does not wait either; what a full socket did not
//! take is begun as a send of the system's, as files are.
//!
//! An operation that ends at once brings no packet where the sockets are the system's own
//! (`skips`), which all are but those that an old filter of the machine has wrapped.
//!
//! Of a stream that is paused while bytes of it are unread nothing can be learned until it is
//! resumed: its peer's end, and a reset, are told then. One whose bytes have all been read is told
//! of both at once. A reset behind the peer's end is told by the next send.

const std = @import("std");
const assert = std.debug.assert;
const posix = std.posix;
const Allocator = std.mem.Allocator;
const clock = @import("../core/clock.zig");
const Endpoint = @import("../core/endpoint.zig").Endpoint;
const limits = @import("../core/limits.zig");
const list = @import("../core/list.zig");
const log = @import("../core/log.zig");
const sealing = @import("../core/sealing.zig");
const system = @import("../core/system.zig");
const win32 = @import("../core/system/win32.zig");
const windows = @import("../core/system/windows.zig");
const io = @import("io.zig");
const restAfter = @import("refused_wait.zig").restAfter;
const socket = @import("socket.zig");

/// What one send that the system is given may hold, bytes: its end is all that tells of progress,
/// and the system's own buffer is full besides.
const send_bytes_max = 16 * 1024;
/// The same of a file. Between the two, a part grows while parts go fast.
const file_part_bytes_min = 32 * 1024;
const file_part_bytes_max = 1024 * 1024;
/// A part that took longer was too large, one that took less than a quarter of it too small, ms.
const file_part_ms_max = 1000;

/// Something that the system does for a socket. It has the overlapped structure until it is over.
const Operation = struct {
    overlapped: win32.OVERLAPPED = undefined,
    kind: Kind,
    under_way: bool = false,

    const Kind = enum(u8) { input, output, connect, accept };

    fn begin(self: *Operation, offset: u64) *win32.OVERLAPPED {
        assert(!self.under_way);
        self.overlapped = std.mem.zeroes(win32.OVERLAPPED);
        self.overlapped.DUMMYUNIONNAME.DUMMYSTRUCTNAME = .{
            .Offset = @truncate(offset),
            .OffsetHigh = @intCast(offset >> 32),
        };
        self.under_way = true;
        return &self.overlapped;
    }

    fn of(overlapped: *win32.OVERLAPPED) *Operation {
        return @fieldParentPtr("overlapped", overlapped);
    }

    fn status(self: *const Operation) u32 {
        return @truncate(self.overlapped.Internal);
    }

    fn bytes(self: *const Operation) u32 {
        return @truncate(self.overlapped.InternalHigh);
    }
};

/// What the backend keeps of a socket. It stays where it is while operations are under way.
pub const Stream = struct {
    /// `system.no_socket`: there is none, or it has been closed.
    fd: system.Socket = system.no_socket,
    token: io.Token = .{ .slot = 0, .kind = .internal },
    ready: list.Link(Stream) = .{},
    input: Operation = .{ .kind = .input },
    /// A connect is the first of them.
    output: Operation = .{ .kind = .output },
    notes: Notes = .{},
    /// What a part of a file may hold, as a power of two above the smallest.
    part_size: u8 = 0,
    /// When the part that is under way was begun, monotonic ms.
    part_since_ms: u64 = 0,
    /// Of a listener.
    door: ?*Door = null,

    const Notes = packed struct {
        receives: bool = false,
        /// There is something to receive, or there may be: no operation tells of it.
        readable: bool = false,
        /// The peer's end has been told, ahead of what is unread or as itself.
        ended: bool = false,
        /// All has been received.
        finished: bool = false,
        /// It is gone, which has been told.
        broken: bool = false,
        /// An operation has failed: to be told.
        failed: bool = false,
        /// An output is over: to be told.
        sent: bool = false,
        /// The output is a part of a file.
        is_file: bool = false,
        /// The file had nothing there: to be told by `sendFile`.
        file_ended: bool = false,
        /// Until it has been told what became of that.
        connecting: bool = false,
        closing: bool = false,
    };

    fn readyLink(self: *Stream) *list.Link(Stream) {
        return &self.ready;
    }

    fn isBusy(self: *const Stream) bool {
        return self.input.under_way or self.output.under_way;
    }

    fn isOpen(self: *const Stream) bool {
        return self.fd != system.no_socket and !self.notes.closing;
    }
};

const ReadyList = list.List(Stream, Stream.readyLink);

/// Bytes that AcceptEx writes an address to: sixteen more than its largest form.
const address_bytes = @sizeOf(posix.sockaddr.storage) + 16;

/// A socket that waits for a client, or has one.
const Guest = struct {
    accept: Operation = .{ .kind = .accept },
    door: *Door,
    socket: system.Socket = system.no_socket,
    /// It is connected, and has not been handed on.
    has_come: bool = false,
    addresses: [2 * address_bytes]u8 = undefined,
};

/// What is kept of a listener. The listener's stream may be moved, this may not.
const Door = struct {
    next: ?*Door = null,
    token: io.Token,
    socket: system.Socket,
    family: u32,
    is_paused: bool = false,
    /// Accepts that have failed since one last brought a client, and why the last did.
    refused: u32 = 0,
    refusal: system.Error = error.Unexpected,
    guests: [limits.accepts_posted]Guest = undefined,
};

pub const Iocp = struct {
    port: system.File,
    receive_buffer: []u8,
    gpa: Allocator,
    /// Operations that end at once bring no packet.
    skips: bool,
    connect_ex: win32.ConnectEx,
    ready: ReadyList = .{},
    doors: ?*Door = null,
    /// Accepts that are under way, of listeners that are closed too.
    accepts: u32 = 0,
    entries: [entries_max]win32.OverlappedEntry = undefined,

    const entries_max = 256;
    const Self = @This();

    /// Handles that each of them holds.
    pub const descriptors = 1;

    pub const Stream = @import("iocp.zig").Stream;

    pub fn init(gpa: Allocator, options: io.Options) !Iocp {
        try windows.startSockets();
        const port = try windows.completionPort();
        errdefer system.close(port);
        // Either may have been uninstalled.
        const probe = system.streamSocket(posix.AF.INET) catch
            try system.streamSocket(posix.AF.INET6);
        defer system.closeSocket(probe);
        return .{
            .port = port,
            .skips = windows.isOwnSocket(probe),
            .connect_ex = try windows.connectEx(probe),
            .receive_buffer = try gpa.alloc(u8, options.receive_buffer_bytes),
            .gpa = gpa,
        };
    }

    /// No stream is open, and no close under way.
    pub fn deinit(self: *Iocp) void {
        // The system writes to a guest's memory until its accept is over.
        while (self.accepts > 0) {
            for (self.dequeue(1000)) |*entry| if (entry.overlapped) |overlapped| {
                const operation = Operation.of(overlapped);
                assert(operation.kind == .accept);
                self.noteAccept(operation);
            };
        }
        while (self.doors) |door| {
            self.doors = door.next;
            for (&door.guests) |*guest| dismiss(guest);
            self.gpa.destroy(door);
        }
        self.gpa.free(self.receive_buffer);
        system.close(self.port);
        self.* = undefined;
    }

    pub fn bell(self: *const Iocp) io.Bell {
        return .ofDescriptor(self.port);
    }

    pub fn ring(its: io.Bell) void {
        windows.post(its.descriptor()) catch |err|
            log.limited("a worker could not be woken: {s}", .{@errorName(err)});
    }

    /// It shares none with the system.
    pub fn memoryBytes(_: *const Iocp) usize {
        return 0;
    }

    pub fn nowMs(_: *const Iocp) u64 {
        return clock.monotonicMs();
    }

    pub fn wallSeconds(_: *const Iocp) i64 {
        return clock.realtimeSeconds();
    }

    // Streams.

    pub fn open(self: *Iocp, stream: *Self.Stream, fd: system.Socket, token: io.Token) !void {
        assert(token.kind != .internal);
        try windows.associate(self.port, fd, self.skips);
        stream.* = .{ .fd = fd, .token = token };
        stream.notes.receives = true;
        // Its first bytes may be there: the next poll, or `receiveNow`, looks before it waits.
        stream.notes.readable = true;
        self.enlist(stream);
    }

    pub fn connect(
        self: *Iocp,
        stream: *Self.Stream,
        endpoint: *const Endpoint,
        token: io.Token,
    ) system.Error!void {
        assert(token.kind == .outbound);
        const fd = try system.streamSocket(endpoint.family());
        errdefer system.closeSocket(fd);
        // ConnectEx takes a socket that is bound.
        var any: Endpoint = switch (endpoint.*) {
            .ip4 => .any4,
            .ip6 => .any6,
            .unix => return error.AddressFamilyNotSupported,
        };
        var address: Endpoint.System = undefined;
        const own_len = any.toSystem(&address);
        try system.bind(fd, &address.any, own_len);
        socket.setNodelay(fd);
        try windows.associate(self.port, fd, self.skips);
        const len = endpoint.toSystem(&address);
        stream.* = .{ .fd = fd, .token = token };
        errdefer stream.* = .{};
        stream.output.kind = .connect;
        stream.notes.connecting = true;
        const overlapped = stream.output.begin(0);
        errdefer stream.output.under_way = false;
        const ok = self.connect_ex(fd, &address.any, @intCast(len), null, 0, null, overlapped);
        const begun = try windows.begun(ok != 0);
        if (begun == .over and self.skips) self.endSend(stream);
    }

    pub fn close(self: *Iocp, stream: *Self.Stream) io.Closing {
        // The socket itself may go later.
        if (stream.isBusy()) system.shutdown(stream.fd, .send) catch {}; // it is gone already
        return self.end(stream);
    }

    pub fn abort(self: *Iocp, stream: *Self.Stream) io.Closing {
        socket.setResetOnClose(stream.fd);
        return self.end(stream);
    }

    /// The socket goes when the last of its operations is over: the packet of one that ends with
    /// its socket does not come everywhere (wine).
    fn end(self: *Iocp, stream: *Self.Stream) io.Closing {
        self.ready.drop(stream);
        if (stream.isBusy()) {
            stream.notes = .{ .closing = true };
            windows.cancel(stream.fd);
            return .under_way;
        }
        system.closeSocket(stream.fd);
        stream.* = .{};
        return .closed;
    }

    pub fn closeAccepted(_: *Iocp, fd: system.Socket) void {
        system.closeSocket(fd);
    }

    pub fn shutdownSend(_: *Iocp, stream: *Self.Stream) void {
        system.shutdown(stream.fd, .send) catch {}; // a connection that is gone needs no FIN
    }

    fn enlist(self: *Iocp, stream: *Self.Stream) void {
        if (!stream.ready.is_linked) self.ready.append(stream);
    }

    // Input.

    pub fn pauseRecv(self: *Iocp, stream: *Self.Stream) void {
        stream.notes.receives = false;
        self.watch(stream);
    }

    pub fn resumeRecv(self: *Iocp, stream: *Self.Stream) void {
        stream.notes.receives = true;
        if (stream.notes.readable) return self.enlist(stream);
        self.watch(stream);
    }

    /// Has the system tell when there is something to receive, unless that is known, or no more
    /// can come.
    fn watch(self: *Iocp, stream: *Self.Stream) void {
        const notes = &stream.notes;
        if (stream.input.under_way or notes.readable or notes.finished) return;
        if (notes.failed or notes.broken) return;
        if (notes.ended and !notes.receives) return; // it would tell of the end, again and again
        const overlapped = stream.input.begin(0);
        const begun = windows.beginReceive(stream.fd, overlapped) catch {
            // Receiving tells what it is.
            stream.input.under_way = false;
            notes.readable = true;
            return self.enlist(stream);
        };
        if (begun == .pending or !self.skips) return;
        stream.input.under_way = false;
        notes.readable = true;
        self.enlist(stream);
    }

    /// Receives what is there, without waiting for a packet that tells so.
    pub fn receiveNow(self: *Iocp, stream: *Self.Stream, context: anytype) void {
        // The next poll need not look.
        if (!stream.notes.sent and !stream.notes.failed) self.ready.drop(stream);
        self.receive(stream, context);
    }

    pub fn hasInput(_: *Iocp, stream: *const Self.Stream) bool {
        var byte: [1]u8 = undefined;
        _ = windows.peek(stream.fd, &byte) catch return false;
        return true;
    }

    fn receive(self: *Iocp, stream: *Self.Stream, context: anytype) void {
        const buffer = self.receive_buffer;
        const n = system.receive(stream.fd, buffer) catch |err|
            return self.noteNothing(stream, err, context);
        if (n == 0) {
            stream.notes.readable = false;
            stream.notes.ended = true;
            stream.notes.finished = true;
            return context.onRecv(stream.token, .eof);
        }
        // More than the buffer takes may be there.
        stream.notes.readable = n == buffer.len;
        context.onRecv(stream.token, .{ .bytes = buffer[0..n] });
        if (!stream.isOpen()) return;
        if (stream.notes.readable) self.enlist(stream) else self.watch(stream);
    }

    /// Neither bytes nor an end could be received.
    fn noteNothing(
        self: *Iocp,
        stream: *Self.Stream,
        err: system.Error,
        context: anytype,
    ) void {
        stream.notes.readable = false;
        switch (err) {
            error.WouldBlock, error.SystemResources => self.watch(stream),
            else => {
                stream.notes.broken = true;
                context.onRecv(stream.token, .failed);
            },
        }
    }

    /// Looks at what there is to receive of a stream that is paused.
    fn lookAhead(self: *Iocp, stream: *Self.Stream, context: anytype) void {
        if (stream.notes.ended) return;
        var byte: [1]u8 = undefined;
        const n = windows.peek(stream.fd, &byte) catch |err|
            return self.noteNothing(stream, err, context);
        if (n > 0) return;
        stream.notes.ended = true;
        context.onRecv(stream.token, .eof_ahead);
    }

    // Output.

    pub fn send(
        _: *Iocp,
        stream: *Self.Stream,
        iovecs: []const posix.iovec_const,
        more: bool,
    ) io.SendResult {
        assert(!stream.output.under_way);
        const n = system.send(stream.fd, iovecs, more) catch |err| return switch (err) {
            error.WouldBlock, error.SystemResources => .would_block,
            else => .failed,
        };
        return .{ .sent = n };
    }

    pub fn sealSends(_: *Iocp, _: *Self.Stream, _: *const sealing.Keys) bool {
        return false;
    }

    pub fn sendSealed(_: *Iocp, _: *Self.Stream, _: *const sealing.Message) io.SendResult {
        unreachable; // nothing is sealed
    }

    /// Never at once: `sendLater` has the system send it, and this tells when there was nothing.
    pub fn sendFile(
        _: *Iocp,
        stream: *Self.Stream,
        _: system.File,
        _: u64,
        _: u64,
    ) io.SendResult {
        if (!stream.notes.file_ended) return .would_block;
        stream.notes.file_ended = false;
        return .{ .sent = 0 };
    }

    pub fn sendLater(self: *Iocp, stream: *Self.Stream, output: io.Output) void {
        stream.notes.is_file = output == .file;
        const begun = self.beginSend(stream, output) catch {
            stream.output.under_way = false;
            stream.notes.failed = true;
            return self.enlist(stream);
        };
        if (begun == .over and self.skips) self.endSend(stream);
    }

    fn beginSend(
        self: *Iocp,
        stream: *Self.Stream,
        output: io.Output,
    ) system.Error!windows.Begun {
        switch (output) {
            .memory => |iovecs| {
                const overlapped = stream.output.begin(0);
                return windows.beginSend(stream.fd, iovecs, send_bytes_max, overlapped);
            },
            .file => |file| {
                const part = @as(u32, file_part_bytes_min) << @intCast(stream.part_size);
                const length: u32 = @intCast(@min(file.length, part));
                stream.part_since_ms = self.nowMs();
                const overlapped = stream.output.begin(file.offset);
                return windows.beginTransmit(stream.fd, file.fd, length, overlapped);
            },
        }
    }

    /// An output is over, or a connect.
    fn endSend(self: *Iocp, stream: *Self.Stream) void {
        stream.output.under_way = false;
        self.enlist(stream);
        if (stream.output.kind == .connect) return;
        const status = stream.output.status();
        const is_file = stream.notes.is_file;
        if (is_file) self.fitPart(stream);
        // A file that has become shorter has nothing for the rest of what was promised.
        const is_empty = status == windows.end_of_file or stream.output.bytes() == 0;
        if (is_file and is_empty and (status == 0 or status == windows.end_of_file)) {
            stream.notes.file_ended = true;
        } else if (status != 0) {
            stream.notes.failed = true;
            return;
        }
        stream.notes.sent = true;
    }

    /// What is told of a part is that it has gone: a slow client must not look as if it stood
    /// still, and a fast one is to have few of them.
    fn fitPart(self: *Iocp, stream: *Self.Stream) void {
        const took_ms = self.nowMs() - stream.part_since_ms;
        const largest = std.math.log2_int(u32, file_part_bytes_max / file_part_bytes_min);
        if (took_ms > file_part_ms_max) {
            stream.part_size -|= 1;
        } else if (took_ms < file_part_ms_max / 4 and stream.part_size < largest) {
            stream.part_size += 1;
        }
    }

    /// Not known: the system tells of what it has taken by its end.
    pub fn inFlight(_: *Iocp, _: *const Self.Stream) u64 {
        return 0;
    }

    // Listeners.

    pub fn listen(self: *Iocp, stream: *Self.Stream, fd: system.Socket, token: io.Token) !void {
        assert(token.kind == .listener);
        const door = try self.gpa.create(Door);
        errdefer self.gpa.destroy(door);
        try windows.associate(self.port, fd, self.skips);
        door.* = .{
            .token = token,
            .socket = fd,
            .family = try windows.familyOf(fd),
        };
        stream.* = .{ .fd = fd, .token = token, .door = door };
        for (&door.guests) |*guest| guest.* = .{ .door = door };
        // What stands against it the next poll meets again, and tells.
        for (&door.guests) |*guest| self.invite(guest) catch break;
        door.next = self.doors;
        self.doors = door;
    }

    /// Waits for a client with a socket of its own.
    fn invite(self: *Iocp, guest: *Guest) system.Error!void {
        const door = guest.door;
        assert(guest.socket == system.no_socket and !guest.accept.under_way);
        guest.socket = try system.streamSocket(door.family);
        errdefer dismiss(guest);
        const overlapped = guest.accept.begin(0);
        errdefer guest.accept.under_way = false;
        const begun = try windows.beginAccept(
            door.socket,
            guest.socket,
            &guest.addresses,
            address_bytes,
            overlapped,
        );
        self.accepts += 1;
        if (begun == .over and self.skips) self.noteAccept(&guest.accept);
    }

    fn dismiss(guest: *Guest) void {
        if (guest.socket == system.no_socket) return;
        system.closeSocket(guest.socket);
        guest.socket = system.no_socket;
        guest.has_come = false;
    }

    /// An accept is over.
    fn noteAccept(self: *Iocp, operation: *Operation) void {
        const guest: *Guest = @fieldParentPtr("accept", operation);
        operation.under_way = false;
        self.accepts -= 1;
        const door = guest.door;
        if (door.socket == system.no_socket) return dismiss(guest); // closed meanwhile
        guest.has_come = operation.status() == 0;
        if (guest.has_come) {
            door.refused = 0;
            return;
        }
        // The client left before it was accepted, or the network had a fault: the next one's turn.
        dismiss(guest);
        door.refused += 1;
        door.refusal = windows.ofStatus(operation.status());
    }

    /// What waits for a client is ended by the system; `deinit` waits for that.
    pub fn closeListener(_: *Iocp, stream: *Self.Stream) void {
        const door = stream.door.?;
        system.closeSocket(door.socket);
        door.socket = system.no_socket;
        for (&door.guests) |*guest| if (guest.has_come) dismiss(guest);
        stream.* = .{};
    }

    /// Clients that the system has accepted meanwhile wait: as many as `limits.accepts_posted`.
    pub fn pauseAccept(_: *Iocp, stream: *Self.Stream) void {
        stream.door.?.is_paused = true;
    }

    pub fn resumeAccept(_: *Iocp, stream: *Self.Stream) void {
        stream.door.?.is_paused = false;
    }

    pub fn acceptBatch(self: *Iocp, stream: *Self.Stream, context: anytype) bool {
        // Those that are over, and have not been fetched. Where there are listeners there is
        // nothing else.
        for (self.dequeue(0)) |*entry| if (entry.overlapped) |overlapped| {
            const operation = Operation.of(overlapped);
            assert(operation.kind == .accept);
            self.noteAccept(operation);
        };
        return self.serveDoor(stream.door.?, context);
    }

    /// Whether a listener has something that no packet will tell of.
    fn owesAccepts(self: *const Iocp) bool {
        var at = self.doors;
        while (at) |door| : (at = door.next) {
            if (door.is_paused or door.socket == system.no_socket) continue;
            for (&door.guests) |*guest| if (!guest.accept.under_way) return true;
        }
        return false;
    }

    fn serveDoors(self: *Iocp, context: anytype) void {
        var at = self.doors;
        while (at) |door| : (at = door.next) {
            if (door.is_paused or door.socket == system.no_socket) continue;
            _ = self.serveDoor(door, context);
        }
    }

    /// Hands on who has come to `door`, and waits for others. True when there may be more.
    fn serveDoor(self: *Iocp, door: *Door, context: anytype) bool {
        var came = false;
        for (&door.guests) |*guest| {
            if (guest.accept.under_way) continue;
            if (guest.has_come) {
                if (!context.wantsMore(door.token)) return false;
                came = true;
                context.onAccept(door.token, handOn(guest));
            }
            if (door.socket == system.no_socket) return false; // closed meanwhile
            if (door.refused >= limits.accept_batch) {
                // Whatever fails does not pass.
                door.refused = 0;
                context.onAcceptFailed(door.token, .{ .refused = door.refusal });
                return false;
            }
            self.invite(guest) catch |err| switch (io.AcceptError.of(err)) {
                // AcceptEx tells so of a client that has left before it was accepted.
                .refused => {
                    door.refused += 1;
                    door.refusal = err;
                    continue;
                },
                else => |failure| {
                    context.onAcceptFailed(door.token, failure);
                    return false;
                },
            };
            if (guest.has_come) came = true; // one had waited
        }
        return came;
    }

    fn handOn(guest: *Guest) io.Accepted {
        const peer = windows.peerOf(&guest.addresses, address_bytes);
        windows.finishAccept(guest.door.socket, guest.socket);
        defer guest.socket = system.no_socket;
        guest.has_come = false;
        return .{ .fd = guest.socket, .peer = peer };
    }

    // Waiting.

    pub fn poll(self: *Iocp, timeout_ms: i32, context: anytype) bool {
        comptime io.checkContext(Iocp, @TypeOf(context.*));
        const entries = self.dequeue(if (self.ready.len > 0 or self.owesAccepts())
            0
        else
            timeout_ms);
        context.onAwake();
        for (entries) |*entry| {
            // A bell has none.
            if (entry.overlapped) |overlapped| self.note(.of(overlapped), context);
        }
        self.serveReady(context);
        if (comptime io.accepts(@TypeOf(context.*))) self.serveDoors(context);
        return entries.len == entries_max;
    }

    fn dequeue(self: *Iocp, timeout_ms: i32) []win32.OverlappedEntry {
        return windows.dequeue(self.port, &self.entries, timeout_ms) catch |err| {
            restAfter(err);
            return self.entries[0..0];
        };
    }

    /// An operation is over.
    fn note(self: *Iocp, operation: *Operation, context: anytype) void {
        assert(operation.under_way);
        switch (operation.kind) {
            .accept => self.noteAccept(operation),
            .input => {
                const stream: *Self.Stream = @fieldParentPtr("input", operation);
                operation.under_way = false;
                if (stream.notes.closing) return endClose(stream, context);
                // A reset is told here alone by some systems (wine): receiving brings an end then.
                if (operation.status() == 0)
                    stream.notes.readable = true
                else
                    stream.notes.failed = true;
                self.enlist(stream);
            },
            .output, .connect => {
                const stream: *Self.Stream = @fieldParentPtr("output", operation);
                if (!stream.notes.closing) return self.endSend(stream);
                operation.under_way = false;
                endClose(stream, context);
            },
        }
    }

    fn endClose(stream: *Self.Stream, context: anytype) void {
        if (stream.isBusy()) return;
        const token = stream.token;
        system.closeSocket(stream.fd);
        stream.* = .{};
        context.onClosed(token);
    }

    /// One that is not served now waits for a later poll, which does not wait for it.
    fn serveReady(self: *Iocp, context: anytype) void {
        for (0..self.ready.len) |_| {
            const stream = self.ready.pop() orelse return; // others were closed
            if (context.isServed(stream.token)) {
                self.serve(stream, context);
            } else self.enlist(stream);
        }
    }

    fn serve(self: *Iocp, stream: *Self.Stream, context: anytype) void {
        const notes = &stream.notes;
        if (notes.connecting) {
            if (comptime io.connects(@TypeOf(context.*))) self.tellConnected(stream, context);
            return;
        }
        if (notes.readable) {
            if (notes.receives) {
                self.receive(stream, context);
            } else self.lookAhead(stream, context);
        }
        if (!stream.isOpen() or !notes.failed and !notes.sent) return;
        // What it received may have used its turn up.
        if (!context.isServed(stream.token)) return self.enlist(stream);
        if (notes.failed) {
            notes.failed = false;
            notes.broken = true;
            context.onRecv(stream.token, .failed);
            if (stream.isOpen() and notes.sent) self.enlist(stream);
            return;
        }
        notes.sent = false;
        context.onSent(stream.token, if (notes.file_ended) 0 else stream.output.bytes());
    }

    fn tellConnected(self: *Iocp, stream: *Self.Stream, context: anytype) void {
        stream.notes = .{};
        stream.output.kind = .output;
        const status = stream.output.status();
        if (status != 0) {
            stream.notes.broken = true;
            return context.onConnected(stream.token, .{ .failed = windows.ofStatus(status) });
        }
        windows.finishConnect(stream.fd);
        stream.notes = .{ .receives = true, .readable = true };
        self.enlist(stream);
        context.onConnected(stream.token, .connected);
    }
};

comptime {
    io.check(Iocp);
}

test {
    _ = @import("iocp_test.zig");
}
