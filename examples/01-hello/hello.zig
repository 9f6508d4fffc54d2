//! Hello, in Zig: a handler specialised at comptime into its server.
//!
//!     zig build run-example                  on port 3000
//!     zig build run-example -- 8080          on another one, 0 for any
//!
//!     curl http://localhost:3000/
//!     curl 'http://localhost:3000/hello?name=Ada'

const std = @import("std");
const gyrfalcon = @import("gyrfalcon");

const Hello = struct {
    pub fn init() Hello {
        return .{};
    }

    pub fn deinit(_: *Hello) void {}

    pub fn onListening(_: *Hello, listeners: []const gyrfalcon.Listener) void {
        var buffer: [gyrfalcon.Endpoint.text_bytes_max]u8 = undefined;
        for (listeners) |listener|
            std.debug.print("Listening on {s}\n", .{listener.endpoint.url(&buffer)});
    }

    pub fn handleRequest(_: *Hello, req: *gyrfalcon.Request, res: *gyrfalcon.Response) !void {
        if (req.method != .GET and req.method != .HEAD) {
            try res.header("Allow", "GET, HEAD");
            return res.text(405, "This one is for GET\n");
        }
        try res.header("Content-Type", "text/plain; charset=utf-8");
        if (std.mem.eql(u8, req.path, "/")) {
            // A constant is sent from where it lies.
            res.sendStatic("Hello from Zig\n");
        } else if (std.mem.eql(u8, req.path, "/hello")) {
            try greet(req, res);
        } else {
            res.status = 404;
            res.sendStatic("Not found\n");
        }
    }

    /// The query is parsed here, because here it is asked for.
    fn greet(req: *gyrfalcon.Request, res: *gyrfalcon.Response) !void {
        var query = req.queryIterator();
        while (query.next()) |pair| {
            if (!std.mem.eql(u8, pair.name, "name")) continue;
            var buffer: [256]u8 = undefined;
            const name = pair.decodeValue(&buffer) catch {
                return res.text(400, "That is a long name\n");
            };
            return res.print("Hello {s}\n", .{name});
        }
        res.sendStatic("Hello, whoever you are\n");
    }
};

pub fn main() !void {
    var gpa: std.heap.DebugAllocator(.{}) = .init;
    defer _ = gpa.deinit();

    var server: gyrfalcon.Server(Hello) = undefined;
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
