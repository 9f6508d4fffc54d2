//! A counter: a Zig handler with state. One value serves all workers, so its state is atomic.
//!
//!     zig build run-counter                  on port 3000
//!     zig build run-counter -- 8080          on another one, 0 for any
//!
//!     curl http://localhost:3000/            reads it
//!     curl -X POST http://localhost:3000/    adds one

const std = @import("std");
const gyrfalcon = @import("gyrfalcon");

const Counter = struct {
    count: std.atomic.Value(u64),

    /// Called once, before the server starts. It may fail: `!Counter`.
    pub fn init() Counter {
        return .{ .count = .init(0) };
    }

    /// Called once, when all threads have ended.
    pub fn deinit(self: *Counter) void {
        std.debug.print("Counted to {d}\n", .{self.count.raw});
    }

    pub fn onListening(_: *Counter, listeners: []const gyrfalcon.Listener) void {
        var buffer: [gyrfalcon.Endpoint.text_bytes_max]u8 = undefined;
        for (listeners) |listener|
            std.debug.print("Listening on {s}\n", .{listener.endpoint.url(&buffer)});
    }

    /// Called for each request, by several threads at once.
    /// Content-Length is the engine's business.
    pub fn handleRequest(self: *Counter, req: *gyrfalcon.Request, res: *gyrfalcon.Response) !void {
        const count = switch (req.method) {
            .GET, .HEAD => self.count.load(.monotonic),
            .POST => self.count.fetchAdd(1, .monotonic) + 1,
            else => {
                try res.header("Allow", "GET, HEAD, POST");
                return res.text(405, "Read it with GET, count with POST\n");
            },
        };
        try res.header("Content-Type", "text/plain; charset=utf-8");
        try res.print("{d}\n", .{count});
    }
};

pub fn main() !void {
    var gpa: std.heap.DebugAllocator(.{}) = .init;
    defer _ = gpa.deinit();

    var server: gyrfalcon.Server(Counter) = undefined;
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
