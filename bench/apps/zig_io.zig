//! What bench/io.mjs loads: a small answer, and an upload that is read and counted. Files are the
//! executable’s own. `zig_io <port>`

const std = @import("std");
const gyrfalcon = @import("gyrfalcon");

const App = struct {
    pub fn init() App {
        return .{};
    }

    pub fn deinit(_: *App) void {}

    pub fn handleRequest(_: *App, req: *gyrfalcon.Request, res: *gyrfalcon.Response) !void {
        try res.header("Content-Type", "text/plain");
        if (req.method == .POST and req.body.len == 0) res.status = 400;
        res.sendStatic("Hello, World!");
    }
};

pub fn main() !void {
    var args = std.process.args();
    _ = args.skip();
    const port = try std.fmt.parseInt(u16, args.next() orelse return error.PortMissing, 10);
    const config: gyrfalcon.Config = .{ .hostname = "127.0.0.1", .port = port, .workers = 1 };
    var server: gyrfalcon.Server(App) = undefined;
    try server.init(std.heap.c_allocator, config);
    defer server.deinit();
    try server.run();
}
