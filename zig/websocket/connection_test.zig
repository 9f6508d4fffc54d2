const std = @import("std");
const testing = std.testing;
const rate = @import("../core/rate.zig");
const client = @import("testing/client.zig");
const frame = client.frame;
const connection_file = @import("connection.zig");
const Connection = connection_file.Connection;
const Due = connection_file.Due;
const Settings = connection_file.Settings;
const errors = @import("errors.zig");
const frames = @import("frames.zig");
const mask = @import("mask.zig");

const default: Settings = .{};

/// A server's end, and what it tells and sends, in words.
const Server = struct {
    connection: Connection,
    out: connection_file.Out = undefined,
    log: std.ArrayList(u8),
    now_ms: u64 = 1000,

    fn init(settings: *const Settings) Server {
        return .{
            .connection = .init(settings, null, false, 1000),
            .log = .init(testing.allocator),
        };
    }

    fn deinit(self: *Server) void {
        self.log.deinit();
    }

    fn feed(self: *Server, bytes: []const u8) !void {
        const copy = try testing.allocator.dupe(u8, bytes);
        defer testing.allocator.free(copy);
        var rest = copy;
        while (true) {
            const step = self.connection.next(rest, &self.out, self.now_ms);
            rest = rest[step.consumed..];
            const log = self.log.writer();
            switch (step.event) {
                .need_more => {},
                .data => |data| try log.print("{s}{s}{s} ", .{
                    data.bytes, if (data.begins) "" else "<", if (data.ends) "" else ">",
                }),
                .ping => |payload| try log.print("ping({s}) ", .{payload}),
                .pong => |payload| try log.print("pong({s}) ", .{payload}),
                .closed => |close| try log.print("closed({?d}) ", .{
                    if (close.code) |code| @intFromEnum(code) else null,
                }),
                .failed => |err| try log.print("failed({s}) ", .{@tagName(err)}),
            }
            try self.noteFrame(step.reply);
            if (step.event == .need_more or self.connection.isClosed()) return;
        }
    }

    /// What a server sends, which is not masked.
    fn noteFrame(self: *Server, bytes: []const u8) !void {
        if (bytes.len == 0) return;
        const log = self.log.writer();
        try testing.expectEqual(bytes.len, 2 + bytes[1]);
        switch (bytes[0]) {
            0x88 => if (bytes.len == 2)
                try log.writeAll("> close ")
            else
                try log.print("> close {d}{s} ", .{
                    std.mem.readInt(u16, bytes[2..4], .big), bytes[4..],
                }),
            0x89 => try log.print("> ping({s}) ", .{bytes[2..]}),
            0x8a => try log.print("> pong({s}) ", .{bytes[2..]}),
            else => return error.TestUnexpectedResult,
        }
    }

    fn expect(self: *Server, expected: []const u8) !void {
        try testing.expectEqualStrings(expected, std.mem.trimRight(u8, self.log.items, " "));
        self.log.clearRetainingCapacity();
    }

    fn expectDue(self: *Server, now_ms: u64, expected: std.meta.Tag(Due)) !void {
        self.now_ms = now_ms;
        const due = self.connection.onDeadline(&self.out, now_ms);
        try testing.expectEqual(expected, std.meta.activeTag(due));
    }
};

test "messages are told, whole or in parts, and a PING is answered with its payload (§5.5.2)" {
    var server = Server.init(&default);
    defer server.deinit();
    try server.feed(frame(0x81, "one") ++ frame(0x01, "two"));
    try server.feed(frame(0x89, "p") ++ frame(0x80, "three"));
    try server.expect("one two> ping(p) > pong(p) three<");
    try server.feed(frame(0x89, "") ++ frame(0x89, "p" ** 125));
    const longest = "p" ** 125;
    try server.expect("ping() > pong() ping(" ++ longest ++ ") > pong(" ++ longest ++ ")");
    try server.feed(frame(0x8a, "unasked"));
    try server.expect("pong(unasked)");
}

test "a Close is answered with its code, and nothing is read behind it (§5.5.1, §7.1.5)" {
    inline for (.{
        .{ "", "closed(null) > close" },
        .{ "\x03\xe8", "closed(1000) > close 1000" },
        .{ "\x0f\xa1bye", "closed(4001) > close 4001" },
    }) |case| {
        var server = Server.init(&default);
        defer server.deinit();
        try server.feed(frame(0x01, "a") ++ frame(0x88, case[0]) ++ frame(0x80, "b"));
        try server.expect("a> " ++ case[1]);
        try testing.expect(server.connection.isClosed());
        try testing.expectEqual(rate.never, server.connection.deadlineMs());
    }
}

test "a Close of ours ends the connection with the peer's, and no message is told then (§7.1)" {
    var server = Server.init(&default);
    defer server.deinit();
    try server.noteFrame(server.connection.close(.going_away, "restart", &server.out, 1000));
    try server.expect("> close 1001restart");
    try testing.expect(!server.connection.isOpen() and !server.connection.isClosed());
    // They were under way. A PING is answered until the peer's Close (§5.5.2).
    try server.feed(frame(0x81, "late") ++ frame(0x01, "a") ++ frame(0x89, "p"));
    try server.expect("ping(p) > pong(p)");
    try server.feed(frame(0x80, "b") ++ frame(0x88, "\x03\xe9"));
    try server.expect("closed(1001)");
    try testing.expect(server.connection.isClosed());
}

test "a Close that is not answered in time ends the connection (§7.1.1)" {
    var server = Server.init(&default);
    defer server.deinit();
    _ = server.connection.close(.normal, "", &server.out, 1000);
    const deadline = server.connection.deadlineMs();
    try testing.expectEqual(1000 + default.close_timeout_ms, deadline);
    server.now_ms = deadline - 1;
    // What else comes gives no more time.
    try server.feed(frame(0x81, "late"));
    try server.expectDue(deadline - 1, .nothing);
    try server.expectDue(deadline, .close_unanswered);
    try testing.expect(server.connection.isClosed());
}

test "what is wrong ends the connection with its code, and nothing is read behind it (§7.1.7)" {
    inline for (.{
        .{ frame(0x83, ""), "failed(reserved_opcode) > close 1002" },
        .{ frame(0x81, "\xff"), "failed(invalid_utf8) > close 1007" },
        .{ "\x82\xff\x7f" ++ "\xff" ** 7 ++ client.key, "failed(message_too_large) > close 1009" },
        .{ frame(0x88, "\x00\x00"), "failed(invalid_close_code) > close 1002" },
        .{ "\x81\x00", "failed(unmasked_frame) > close 1002" },
    }) |case| {
        var server = Server.init(&default);
        defer server.deinit();
        try server.feed(frame(0x82, "a") ++ case[0] ++ frame(0x82, "b"));
        try server.expect("a " ++ case[1]);
        try testing.expect(server.connection.isClosed());
    }
    // Once our Close is sent nothing more is (§5.5.1).
    var server = Server.init(&default);
    defer server.deinit();
    _ = server.connection.close(.normal, "", &server.out, 1000);
    try server.feed(frame(0x83, ""));
    try server.expect("failed(reserved_opcode)");
}

test "an owner can fail a connection for what a message turns out to be" {
    var server = Server.init(&default);
    defer server.deinit();
    try server.noteFrame(server.connection.fail(.invalid_compression, &server.out));
    try server.expect("> close 1007");
    try testing.expect(server.connection.isClosed());
}

test "floods of pings, pongs and empty or tiny fragments end the connection (1008)" {
    inline for (.{
        .{ 0x89, "", 100, 2000 },
        .{ 0x8a, "", 100, 2000 },
        .{ 0x00, "", 100, 2000 },
        .{ 0x00, "a", 5000, 20_000 },
    }) |case| {
        var server = Server.init(&default);
        defer server.deinit();
        try server.feed(frame(0x02, "a" ** 64));
        var count: usize = 0;
        while (!server.connection.isClosed()) : (count += 1) {
            server.log.clearRetainingCapacity();
            try server.feed(frame(case[0], case[1]));
        }
        try server.expect("failed(excessive_load) > close 1008");
        try testing.expect(count > case[2] and count < case[3]);
    }
}

test "messages of any size, and fragments that are worth their head, are no flood" {
    var server = Server.init(&default);
    defer server.deinit();
    for (0..30_000) |_| {
        server.log.clearRetainingCapacity();
        try server.feed(frame(0x82, "") ++ frame(0x81, "a") ++ frame(0x02, "b" ** 64) ++
            frame(0x00, "c" ** 64) ++ frame(0x80, "d") ++ frame(0x89, ""));
    }
    try testing.expect(!server.connection.isClosed());
    // A frame that the network has cut is no fragment.
    for (0..30_000) |_| {
        server.log.clearRetainingCapacity();
        const bytes = frame(0x82, "abc");
        try server.feed(bytes[0..7]);
        try server.feed(bytes[7..]);
    }
    try testing.expect(!server.connection.isClosed());
}

test "a silent peer is asked, then given up" {
    const settings: Settings = .{ .ping_after_ms = 100, .idle_timeout_ms = 250 };
    var server = Server.init(&settings);
    defer server.deinit();
    try testing.expectEqual(1100, server.connection.deadlineMs());
    try server.expectDue(1099, .nothing);
    try server.expectDue(1100, .ping);
    // It is asked once.
    try testing.expectEqual(1250, server.connection.deadlineMs());
    server.now_ms = 1200;
    try server.feed(frame(0x8a, ""));
    try testing.expectEqual(1300, server.connection.deadlineMs());
    try server.expectDue(1300, .ping);
    try server.expectDue(1449, .nothing);
    try server.expectDue(1450, .silent);
    try testing.expect(server.connection.isClosed());
    // Who was not asked in time has as long to answer as others.
    var late = Server.init(&settings);
    defer late.deinit();
    try late.expectDue(1400, .ping);
    try late.expectDue(1549, .nothing);
    try late.expectDue(1550, .silent);
    const patient: Settings = .{ .ping_after_ms = 0, .idle_timeout_ms = 0 };
    const idle = Connection.init(&patient, null, false, 5);
    try testing.expectEqual(rate.never, idle.deadlineMs());
}

test "a message that comes too slowly ends the connection (1008), not one that is not read" {
    const settings: Settings = .{
        .ping_after_ms = 0,
        .idle_timeout_ms = 0,
        .rate = .{ .bytes_per_s = 100, .grace_ms = 1000, .ahead_ms_max = 2000 },
    };
    var server = Server.init(&settings);
    defer server.deinit();
    try testing.expectEqual(rate.never, server.connection.deadlineMs());
    // Part of a frame, then a part of a message.
    try server.feed(frame(0x82, "abc")[0..7]);
    try testing.expect(server.connection.deadlineMs() < 1000 + 2000);
    try server.feed(frame(0x82, "abc")[7..]);
    try testing.expectEqual(rate.never, server.connection.deadlineMs());
    try server.feed(frame(0x02, "abc"));
    const deadline = server.connection.deadlineMs();
    server.connection.pause(1000);
    try testing.expectEqual(rate.never, server.connection.deadlineMs());
    server.connection.unpause(10_000);
    try testing.expectEqual(deadline + 9000, server.connection.deadlineMs());
    try server.expectDue(deadline + 9000, .slow);
    try testing.expect(server.connection.isClosed());
}

test "a peer that is held has as long as its silence may last (1013), anew when it is read" {
    const settings: Settings = .{ .ping_after_ms = 300, .idle_timeout_ms = 450 };
    var server = Server.init(&settings);
    defer server.deinit();
    server.connection.pause(1000);
    try testing.expectEqual(rate.never, server.connection.deadlineMs()); // what it is sent has one
    server.connection.hold(1000);
    try testing.expectEqual(1450, server.connection.deadlineMs());
    server.connection.unpause(1400);
    try testing.expectEqual(1700, server.connection.deadlineMs());
    server.connection.pause(1500);
    server.connection.hold(1500);
    try server.expectDue(1949, .nothing);
    try server.expectDue(1950, .unheard);
    try testing.expect(server.connection.isClosed());
    const patient: Settings = .{ .ping_after_ms = 0, .idle_timeout_ms = 0 };
    var idle = Connection.init(&patient, null, false, 5);
    idle.pause(5);
    idle.hold(5);
    try testing.expectEqual(rate.never, idle.deadlineMs());
}

test "a client's end masks what it sends, with keys that differ (§5.3)" {
    var keys = Connection.Keys.init(@splat(7));
    var end = Connection.init(&default, &keys, false, 1000);
    var server = Server.init(&default);
    defer server.deinit();
    var out: connection_file.Out = undefined;
    try testing.expect(!std.meta.eql(end.key(), end.key()));
    var ping = "\x89\x02hi".*;
    try server.feed(end.next(&ping, &out, 1000).reply);
    try server.expect("pong(hi)");
    try server.feed(end.ping("there", &out));
    try server.expect("ping(there) > pong(there)");
    // A message above the limit of a frame.
    var message = "message in pieces".*;
    var fragments = end.fragments(.text, message.len, false);
    fragments.bytes_max = 8;
    var at: usize = 0;
    while (fragments.next()) |plain| {
        var head = plain;
        head.key = end.key();
        var bytes: [frames.head_bytes_max]u8 = undefined;
        try server.feed(head.write(&bytes));
        const len: usize = @intCast(head.len);
        _ = mask.apply(message[at..][0..len], head.key.?);
        try server.feed(message[at..][0..len]);
        at += len;
    }
    try server.expect("message > in piece<> s<");
    try server.feed(end.close(.normal, "done", &out, 1000));
    try server.expect("closed(1000) > close 1000");
    var close = "\x88\x02\x03\xe8".*;
    try testing.expectEqual(errors.Code.normal, end.next(&close, &out, 1000).event.closed.code.?);
    try testing.expect(end.isClosed());
}

test "an idle connection holds little" {
    try testing.expect(@sizeOf(Connection) <= 256);
}
