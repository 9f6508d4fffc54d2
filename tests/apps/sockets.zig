//! The WebSockets of engine_app: messages are sent back. Text that begins with '!' asks for more:
//!
//!   !close CODE REASON   the server closes; "invalid" when it cannot with that
//!   !terminate           the server ends the connection without a word
//!   !ping TEXT           the server pings
//!   !all TEXT            to every socket there is
//!   !flood N             N binary messages of 16 KiB, or as many as are taken
//!   !large N             one binary message of N bytes of '!'

const std = @import("std");
const gyrfalcon = @import("gyrfalcon");
const Request = gyrfalcon.Request;
const Response = gyrfalcon.Response;
const WebSocket = gyrfalcon.WebSocket;

const sockets_max = 512;
const large_bytes_max = 8 * 1024 * 1024;

var mutex: std.Thread.Mutex = .{};
var open: std.BoundedArray(WebSocket, sockets_max) = .{};
/// How the last of those that have ended did.
var last: struct {
    code: u16 = 0,
    clean: bool = false,
    reason: [128]u8 = undefined,
    len: usize = 0,
} = .{};
var opened: u32 = 0;
var ended: u32 = 0;
var drained: u32 = 0;
/// Messages of floods that were not taken.
var dropped: u32 = 0;
/// Whose pages may connect: it is looked at when the handler has returned.
threadlocal var origins: [1][]const u8 = undefined;
var large: [large_bytes_max]u8 = @splat('!');

pub fn upgrade(req: *Request, res: *Response) !void {
    const name = "origin=";
    const one = if (std.mem.startsWith(u8, req.query, name)) req.query[name.len..] else "";
    origins[0] = one;
    try res.header("X-Socket", "yes");
    res.upgrade(.{
        .protocols = &.{ "echo", "chat" },
        .origins = if (one.len == 0)
            .same
        else if (std.mem.eql(u8, one, "any"))
            .any
        else
            .{ .list = &origins },
    });
}

/// What became of them.
pub fn describe(res: *Response) !void {
    mutex.lock();
    defer mutex.unlock();
    try res.header("Content-Type", "application/json");
    try std.json.stringify(.{
        .open = open.len,
        .opened = opened,
        .ended = ended,
        .drained = drained,
        .dropped = dropped,
        .code = last.code,
        .clean = last.clean,
        .reason = last.reason[0..last.len],
    }, .{}, res.writer());
}

pub fn handleWSConn(_: anytype, ws: WebSocket) void {
    mutex.lock();
    defer mutex.unlock();
    opened += 1;
    open.append(ws) catch {};
}

pub fn handleWSDisconn(_: anytype, ws: WebSocket, end: *const WebSocket.End) void {
    mutex.lock();
    defer mutex.unlock();
    ended += 1;
    last.code = end.code;
    last.clean = end.is_clean;
    last.len = end.reason.len;
    @memcpy(last.reason[0..end.reason.len], end.reason);
    for (open.constSlice(), 0..) |each, i| if (each.eql(ws)) {
        _ = open.swapRemove(i);
        return;
    };
}

pub fn handleWSDrain(_: anytype, _: WebSocket) void {
    mutex.lock();
    defer mutex.unlock();
    drained += 1;
}

pub fn handleWSMessage(_: anytype, ws: WebSocket, message: *const WebSocket.Message) void {
    const bytes = message.bytes;
    if (message.kind == .text and bytes.len > 0 and bytes[0] == '!') return obey(ws, bytes[1..]);
    _ = ws.send(message.kind, bytes);
}

/// The first word of `text`, which is cut off.
fn wordOf(text: *[]const u8) []const u8 {
    const space = std.mem.indexOfScalar(u8, text.*, ' ') orelse text.len;
    defer text.* = text.*[@min(space + 1, text.len)..];
    return text.*[0..space];
}

fn obey(ws: WebSocket, text: []const u8) void {
    const Command = enum { close, terminate, ping, all, flood, large };
    var rest = text;
    const command = std.meta.stringToEnum(Command, wordOf(&rest)) orelse return;
    switch (command) {
        .terminate => _ = ws.terminate(),
        .ping => _ = ws.ping(rest),
        .all => {
            mutex.lock();
            defer mutex.unlock();
            for (open.constSlice()) |each| _ = each.sendText(rest);
        },
        .close, .flood, .large => {
            const number = std.fmt.parseInt(u32, wordOf(&rest), 10) catch return;
            switch (command) {
                .close => close(ws, number, rest),
                .flood => flood(ws, number),
                else => _ = ws.sendBinary(large[0..@min(number, large.len)]),
            }
        },
    }
}

fn close(ws: WebSocket, code: u32, reason: []const u8) void {
    if (ws.close(@truncate(code), reason) == .invalid) _ = ws.sendText("invalid");
}

fn flood(ws: WebSocket, count: u32) void {
    var refused: u32 = 0;
    for (0..count) |_| {
        if (ws.sendBinary(large[0 .. 16 * 1024]) == .dropped) refused += 1;
    }
    mutex.lock();
    defer mutex.unlock();
    dropped += refused;
}
