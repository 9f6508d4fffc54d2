//! A chat: WebSockets in Zig. Whoever is there hears what anybody says. Its page is for two tabs.
//!
//!     zig build run-websocket                on port 3000
//!     zig build run-websocket -- 8080        on another one, 0 for any
//!
//!     open http://localhost:3000/            the page, twice

const std = @import("std");
const gyrfalcon = @import("gyrfalcon");
const WebSocket = gyrfalcon.WebSocket;

const Chat = struct {
    mutex: std.Thread.Mutex = .{},
    /// Who is there: at most so many.
    sockets: std.BoundedArray(WebSocket, 1024) = .{},

    pub fn init() Chat {
        return .{};
    }

    pub fn deinit(_: *Chat) void {}

    pub fn onListening(_: *Chat, listeners: []const gyrfalcon.Listener) void {
        var buffer: [gyrfalcon.Endpoint.text_bytes_max]u8 = undefined;
        for (listeners) |listener|
            std.debug.print("Listening on {s}\n", .{listener.endpoint.url(&buffer)});
    }

    /// Requests are answered as ever; this one by a WebSocket.
    pub fn handleRequest(_: *Chat, req: *gyrfalcon.Request, res: *gyrfalcon.Response) !void {
        if (std.mem.eql(u8, req.path, "/chat")) return res.upgrade(.{});
        if (!std.mem.eql(u8, req.path, "/")) return res.text(404, "Nothing is here\n");
        try res.header("Content-Type", "text/html; charset=utf-8");
        res.sendStatic(@embedFile("page.html"));
    }

    /// The functions from here on are called by several threads at once, but for one socket by one
    /// at a time. None is called while another is sending: a lock may be held.
    pub fn handleWSConn(self: *Chat, ws: WebSocket) void {
        self.mutex.lock();
        defer self.mutex.unlock();
        self.sockets.append(ws) catch {
            _ = ws.close(1013, "The room is full");
        };
    }

    /// `send` copies what it does not send at once. A socket of another thread is no different.
    pub fn handleWSMessage(self: *Chat, ws: WebSocket, message: *const WebSocket.Message) void {
        if (message.kind != .text) {
            _ = ws.close(1003, "Text, please");
            return;
        }
        self.mutex.lock();
        defer self.mutex.unlock();
        for (self.sockets.constSlice()) |each| _ = each.sendText(message.bytes);
    }

    pub fn handleWSDisconn(self: *Chat, ws: WebSocket, _: *const WebSocket.End) void {
        self.mutex.lock();
        defer self.mutex.unlock();
        for (self.sockets.constSlice(), 0..) |each, i| if (each.eql(ws)) {
            _ = self.sockets.swapRemove(i);
            return;
        };
    }
};

pub fn main() !void {
    var gpa: std.heap.DebugAllocator(.{}) = .init;
    defer _ = gpa.deinit();

    var server: gyrfalcon.Server(Chat) = undefined;
    try server.init(gpa.allocator(), .{ .port = try portArgument(gpa.allocator()) });
    defer server.deinit();
    try server.run(); // until SIGINT or SIGTERM
}

/// The port in the first argument, else 3000.
fn portArgument(gpa: std.mem.Allocator) !u16 {
    var args = try std.process.argsWithAllocator(gpa);
    defer args.deinit();
    _ = args.skip();
    return std.fmt.parseInt(u16, args.next() orelse "3000", 10);
}
