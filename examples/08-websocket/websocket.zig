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
    const room = "everybody";

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
    /// at a time.
    pub fn handleWSConn(_: *Chat, ws: WebSocket) void {
        if (ws.subscribe(room) == .dropped) _ = ws.close(1013, "The room is full");
    }

    /// What is published reaches the sockets of all threads, but the one that says it. They all
    /// answer with what became of it: there is room for so much under way.
    pub fn handleWSMessage(_: *Chat, ws: WebSocket, message: *const WebSocket.Message) void {
        if (message.kind != .text) {
            _ = ws.close(1003, "Text, please");
            return;
        }
        _ = ws.sendText(message.bytes); // who takes nothing misses it
        if (ws.publish(room, .text, message.bytes) == .dropped)
            _ = ws.sendText("Too much is said at once: some have not heard that");
    }
};

pub fn main() !void {
    var gpa: std.heap.DebugAllocator(.{}) = .init;
    defer _ = gpa.deinit();

    var server: gyrfalcon.Server(Chat) = undefined;
    try server.init(gpa.allocator(), .{
        .port = try portArgument(gpa.allocator()),
        .websocket_message_bytes_max = 4 * 1024, // of what everybody is sent
    });
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
