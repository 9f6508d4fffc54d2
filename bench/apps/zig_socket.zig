//! The Zig contender over WebSocket: at /echo what comes goes back, at /cast everybody else is sent
//! it. `zig_socket <port>`

const std = @import("std");
const gyrfalcon = @import("gyrfalcon");
const WebSocket = gyrfalcon.WebSocket;

const Socket = struct {
    const topic = "all";
    const casts: u64 = 1;

    pub fn init() Socket {
        return .{};
    }

    pub fn deinit(_: *Socket) void {}

    pub fn handleRequest(_: *Socket, req: *gyrfalcon.Request, res: *gyrfalcon.Response) !void {
        if (std.mem.eql(u8, req.path, "/echo")) return res.upgrade(.{});
        res.upgrade(.{ .user = casts });
    }

    pub fn handleWSConn(_: *Socket, ws: WebSocket) void {
        if (ws.user == casts) _ = ws.subscribe(topic);
    }

    pub fn handleWSMessage(_: *Socket, ws: WebSocket, message: *const WebSocket.Message) void {
        if (ws.user == casts) {
            _ = ws.publish(topic, message.kind, message.bytes);
        } else {
            _ = ws.send(message.kind, message.bytes);
        }
    }
};

pub fn main() !void {
    var args = std.process.args();
    _ = args.skip();
    const port = try std.fmt.parseInt(u16, args.next() orelse return error.PortMissing, 10);
    var server: gyrfalcon.Server(Socket) = undefined;
    try server.init(std.heap.c_allocator, .{
        .hostname = "127.0.0.1",
        .port = port,
        .workers = 1,
        .connections_max = 24_000,
        // bench/ws_load.zig reads no PINGs.
        .websocket_ping_after_ms = 0,
        .websocket_idle_timeout_ms = 0,
    });
    defer server.deinit();
    try server.run();
}
