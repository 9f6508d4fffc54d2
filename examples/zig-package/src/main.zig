//! A server of two pages.
//!
//!     zig build run                  on port 3000
//!     zig build run -- 8080          on another one, 0 for any
//!
//!     curl http://localhost:3000/
//!     curl http://localhost:3000/where?you=are

const std = @import("std");
const gyrfalcon = @import("gyrfalcon");

const Site = struct {
    pub fn init() Site {
        return .{};
    }

    pub fn deinit(_: *Site) void {}

    pub fn onListening(_: *Site, listeners: []const gyrfalcon.Listener) void {
        var buffer: [gyrfalcon.Endpoint.text_bytes_max]u8 = undefined;
        for (listeners) |listener|
            std.debug.print("Listening on {s}\n", .{listener.endpoint.url(&buffer)});
    }

    pub fn handleRequest(_: *Site, req: *gyrfalcon.Request, res: *gyrfalcon.Response) !void {
        if (std.mem.eql(u8, req.path, "/")) return res.sendStatic("A site of its own\n");
        if (std.mem.eql(u8, req.path, "/where")) return res.print("{s}\n", .{req.target});
        res.status = 404;
        res.sendStatic("Not found\n");
    }
};

pub fn main() !void {
    var gpa: std.heap.DebugAllocator(.{}) = .init;
    defer _ = gpa.deinit();

    var server: gyrfalcon.Server(Site) = undefined;
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
