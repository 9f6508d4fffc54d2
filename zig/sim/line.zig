//! A simulated client's end of its connection: bare, or secured by what stands in TLS's place
//! (veil.zig). A client sends and reads text; the handshake, and how records are cut on their way,
//! is its line's affair.

const std = @import("std");
const assert = std.debug.assert;
const network_file = @import("../io/simulated_network.zig");
const Link = network_file.Link;
const Network = network_file.Network;
const plan_file = @import("plan.zig");
const Wire = @import("veil.zig").Wire;

pub const Line = struct {
    network: *Network,
    random: std.Random,
    link: ?*Link = null,
    /// Where the connection is secured.
    wire: ?Wire = null,
    /// Its side ends once all records have left; or behind one that says so.
    finishes: enum { no, silently, saying } = .no,
    /// Nothing leaves any more, not even the rest of a record.
    is_stalled: bool = false,
    /// The server has said that it sends no more; or, it refuses what it was sent.
    said: enum { nothing, end, failed } = .nothing,

    /// For `recv`: what one read may bring, and the record that was begun before it, bytes.
    pub const room_bytes = 34 * 1024;
    pub const read_bytes_max = 32 * 1024;

    comptime {
        assert(room_bytes >= read_bytes_max + Wire.text_bytes_max);
    }

    /// False: the backlog is full.
    pub fn connect(self: *Line, id: u32) bool {
        self.link = self.network.connect(id, plan_file.addressOf(id)) orelse return false;
        if (self.wire) |*wire| wire.greet(self.random);
        return true;
    }

    /// Its end; `abort`: by a reset.
    pub fn close(self: *Line, abort: bool) void {
        self.network.clientClose(self.link.?, abort);
        self.link = null;
    }

    pub fn note(self: *const Line, what: []const u8, a: u64, b: u64) void {
        self.network.note(self.link.?, what, a, b);
    }

    // Sending.

    /// Text may be sent.
    pub fn canSend(self: *const Line) bool {
        if (self.wire) |*wire| if (!wire.isOpen() or wire.hasOutput()) return false;
        return self.network.clientCanSend(self.link.?);
    }

    /// Sends as much as there is room for; where it is secured, a record at most. Returns how much.
    pub fn send(self: *Line, text: []const u8) usize {
        if (!self.canSend()) return 0;
        if (self.wire == null) return self.network.clientSend(self.link.?, text);
        const n = self.wire.?.say(text);
        self.pump();
        return n;
    }

    /// There is something to do for `pump`.
    pub fn hasRecords(self: *const Line) bool {
        if (self.is_stalled or !self.network.clientCanSend(self.link.?)) return false;
        return if (self.wire) |*wire| wire.hasOutput() else false;
    }

    /// Sends what is left of records, or a piece of it.
    pub fn pump(self: *Line) void {
        if (self.is_stalled) return;
        const wire = if (self.wire) |*wire| wire else return;
        const bytes = wire.output();
        if (bytes.len > 0) {
            const most = if (self.random.boolean())
                bytes.len
            else
                self.random.intRangeAtMost(usize, 1, bytes.len);
            wire.sent(self.network.clientSend(self.link.?, bytes[0..most]));
        }
        if (self.finishes == .no or wire.hasOutput() or wire.isShaking()) return;
        const says = self.finishes == .saying;
        self.finishes = .no;
        if (!says) return self.network.clientFinish(self.link.?);
        self.finishes = .silently;
        wire.sayEnd();
        self.pump();
    }

    /// Ends its side. One in eight does not say so in a record.
    pub fn finish(self: *Line) void {
        if (self.wire == null) return self.network.clientFinish(self.link.?);
        self.finishes = if (self.random.uintLessThan(u8, 8) == 0) .silently else .saying;
        self.pump();
    }

    // Reading.

    pub const Received = union(enum) {
        /// Perhaps none: what came told of the connection.
        text: []const u8,
        nothing,
        eof,
        /// Or, where it is secured, an end that anybody may have made.
        reset,
        /// What no server may send.
        wrong: []const u8,
    };

    pub fn canRecv(self: *const Line) bool {
        return self.said != .nothing or self.network.clientCanRecv(self.link.?);
    }

    /// Reads at most `bytes_max` from the network.
    pub fn recv(self: *Line, bytes_max: usize, room: *[room_bytes]u8) Received {
        assert(bytes_max <= read_bytes_max);
        const wire = if (self.wire) |*wire| wire else return self.recvBare(room[0..bytes_max]);
        switch (self.said) {
            .nothing => {},
            .end => return .eof,
            .failed => return .reset,
        }
        var bytes: [read_bytes_max]u8 = undefined;
        return switch (self.network.clientRecv(self.link.?, bytes[0..bytes_max])) {
            .bytes => |n| self.open(wire, bytes[0..n], room),
            .nothing => .nothing,
            .eof, .reset => .reset,
        };
    }

    fn recvBare(self: *Line, room: []u8) Received {
        return switch (self.network.clientRecv(self.link.?, room)) {
            .bytes => |n| .{ .text = room[0..n] },
            .nothing => .nothing,
            .eof => .eof,
            .reset => .reset,
        };
    }

    fn open(self: *Line, wire: *Wire, bytes: []const u8, room: *[room_bytes]u8) Received {
        var rest = bytes;
        var len: usize = 0;
        while (true) switch (wire.next(&rest)) {
            .more => break,
            .text => |text| {
                @memcpy(room[len..][0..text.len], text);
                len += text.len;
            },
            .end => self.said = .end,
            .failed => {
                if (!wire.hasLied()) return .{ .wrong = "what it sent was refused" };
                self.said = .failed;
            },
            .broken => return .{ .wrong = "a record is not the server's next" },
        };
        return .{ .text = room[0..len] };
    }
};
